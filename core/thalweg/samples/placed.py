"""The index of samples as a store of its own, beside that of the fields.

It holds what index transforms added or changed: small variables, coordinates, attributes, and which fields there are.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ..errors import HandshakeError
from ..stores.arrays import lay_out, read, reading
from .index import Split
from .kinds import has_index, index_of

if TYPE_CHECKING:
    import xarray as xr

_NAMES = "placed"


def place(url: str, fields: xr.Dataset, indexed: xr.Dataset) -> None:
    """Write what distinguishes `indexed`, the fields with the index of their samples, from `fields`."""
    import xarray as xr

    own = {name: indexed.variables[name] for name in _own(fields, indexed)}
    names = {"fields": list(map(str, indexed.data_vars)), "coordinates": list(map(str, indexed.coords))}
    lay_out(url, xr.Dataset(own, attrs={**indexed.attrs, _NAMES: names}), large={})


def placed(url: str, fields: xr.Dataset) -> xr.Dataset:
    """`fields` with the index that `place` wrote."""
    import xarray as xr

    with reading(url):
        index = read(url).load()
    names = index.attrs.pop(_NAMES)
    known = {**fields.variables, **index.variables}
    variables, coordinates = ({name: known[name] for name in names[each]} for each in ("fields", "coordinates"))
    made = xr.Dataset(variables, coordinates, index.attrs)
    made.encoding = dict(fields.encoding)
    return made


def refuse_changed(fields: xr.Dataset, indexed: xr.Dataset, *, by: str) -> None:
    """Raise `HandshakeError` if an index transform changed a field: it would be left out of what is stored."""
    for name in _own(fields, indexed):
        if indexed.variables[name].chunks is not None:
            raise HandshakeError(
                f"{by} changes {str(name)!r}, and an index transform leaves every field as it is",
                allowed="small variables and coordinates that say where samples lie",
                advice="let it be a `Transform`",
            )


def content(fields: xr.Dataset, indexed: xr.Dataset, *splits: Split) -> str:
    """A digest of what samples of these splits depend on beside the fields: their places, names, and coordinates."""
    if not has_index(indexed):
        return ""
    index = index_of(indexed)
    found = hashlib.sha256(index.content(*splits).encode())
    names = {"fields": list(map(str, indexed.data_vars)), "coordinates": sorted(map(str, indexed.coords))}
    found.update(json.dumps([[n for n in each if n not in index.variables] for each in names.values()]).encode())
    for name in sorted(map(str, _own(fields, indexed))):
        if name in index.variables:
            continue
        variable = indexed.variables[name]
        parts = [variable]
        if index.along is not None and index.along in variable.dims:
            parts = [variable.isel({index.along: index.numbers(split)}) for split in splits]
        for part in parts:
            found.update(f"{name} {part.dims} {part.shape} {part.dtype} {sorted(part.attrs.items())}".encode())
            found.update(plain_bytes(part))
    return found.hexdigest()[:32]


def plain_bytes(variable: xr.Variable) -> bytes:
    """The values of a variable, for a digest."""
    import numpy as np

    values = np.ascontiguousarray(variable.values)
    return repr(values.tolist()).encode() if values.dtype.kind in "OUT" else values.tobytes()


def _own(fields: xr.Dataset, indexed: xr.Dataset) -> list[Any]:
    return [name for name, each in indexed.variables.items() if not _same(each, fields.variables.get(name))]


def _same(one: xr.Variable, other: xr.Variable | None) -> bool:
    if other is None or one.dims != other.dims or one.attrs != other.attrs:
        return False
    if one.chunks is not None or other.chunks is not None:
        # By name: to compare their values would be to read them.
        return one.chunks is not None and other.chunks is not None and one.data.name == other.data.name
    return bool(one.identical(other))
