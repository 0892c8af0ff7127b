"""Which kind of index a dataset carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import HandshakeError
from . import pairs, windows
from .index import FORM, SampleIndex
from .pairs import Pairs
from .ragged import MARK, Ragged
from .windows import Windows

if TYPE_CHECKING:
    import xarray as xr

_Kind = type[Windows] | type[Pairs] | type[Ragged]
_KINDS: dict[str, _Kind] = {"windows": Windows, "pairs": Pairs, "ragged": Ragged}


def kind_of(form: Mapping[str, Any]) -> _Kind:
    """The kind of index that a form describes."""
    return _KINDS[str(form["kind"])]


_OWN = frozenset((windows.START, windows.SERIES, windows.SPLIT, windows.FURTHER, pairs.SPLIT))


def fields_of(data: xr.Dataset) -> xr.Dataset:
    """`data` without the variables that say where samples lie."""
    return data.drop_vars([name for name in data.data_vars if name in _OWN or str(name).startswith(MARK)])


def has_index(data: xr.Dataset) -> bool:
    """Whether `data` says where its samples lie."""
    return isinstance(data.attrs.get(FORM), dict)


def index_of(data: xr.Dataset) -> SampleIndex:
    """The index that `data` carries. Raises `HandshakeError` if there is none, or if its steps were cut since."""
    form = data.attrs.get(FORM)
    if not isinstance(form, dict):
        raise HandshakeError(
            "the preprocessed data has no samples",
            allowed="data with an index of samples",
            advice="add a `windows` transform to preprocess, or a dataset that declares its pairs",
        )
    return kind_of(form).read(data, form)
