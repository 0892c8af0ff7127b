"""The transforms of a run with their statistics: what new data must go through, and what an estimate is freed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ..components import Parts, Transform
from ..components.calls import call
from ..errors import CorruptError, HandshakeError
from ..stores.arrays import lay_out, read, reading
from ..stores.files import read_json, write_json

if TYPE_CHECKING:
    import xarray as xr

_LIST = "transforms.json"


@dataclass(frozen=True, eq=False)
class Preparation:
    """The transforms that make the fields, in their order, and what each knows of the data that were learned from."""

    transforms: tuple[Transform, ...] = ()
    statistics: tuple[xr.Dataset, ...] = ()

    def newest(self, raw: xr.Dataset) -> xr.Dataset:
        """New data of the source, transformed with the statistics that were kept."""
        for transform, known in zip(self.transforms, self.statistics, strict=True):
            raw = call(transform, transform.newest, raw, known)
        return raw

    def undo(self, estimate: xr.Dataset) -> xr.Dataset:
        """An estimate in the values of the source."""
        for transform, known in zip(reversed(self.transforms), reversed(self.statistics), strict=True):
            estimate = call(transform, transform.invert, estimate, known)
        return estimate

    def write(self, url: str) -> tuple[str, ...]:
        """Write it into a folder: the transforms by name and options, their statistics as small groups.

        Gives the URL of the statistics of each; empty for one that has none.
        """
        said, groups = [], []
        for number, (transform, known) in enumerate(zip(self.transforms, self.statistics, strict=True)):
            knows = bool(known.variables or known.attrs)
            said.append({"name": transform.name, "options": transform.model_dump(mode="json"), "knows": knows})
            groups.append(f"{url}/{number}" if knows else "")
            if knows:
                lay_out(groups[-1], known, large={})
        write_json(f"{url}/{_LIST}", said)
        return tuple(groups)

    @classmethod
    def read(cls, url: str, registry: Parts) -> Preparation:
        """What `write` wrote. Raises `CorruptError` for what is not that, `UnknownNameError` for an absent plugin."""
        import xarray as xr

        said = read_json(f"{url}/{_LIST}")
        if not isinstance(said, list):
            raise CorruptError(f"{url} holds no preparation", advice="run the recipe again with `--from preprocess`")
        transforms, statistics = [], []
        for number, each in enumerate(said):
            transforms.append(cast(Transform, registry.make("transforms", {each["name"]: each["options"]})))
            with reading(f"{url}/{number}"):
                statistics.append(read(f"{url}/{number}").load() if each["knows"] else xr.Dataset())
        return cls(tuple(transforms), tuple(statistics))


def refuse_without_inverse(transforms: Sequence[Transform]) -> None:
    """Raise `HandshakeError` for the first transform that cannot be undone."""
    for transform in transforms:
        if not transform.invertible:
            raise HandshakeError(
                f"{transform.name} has no inverse, so that a forecast would not be in the units of its source",
                allowed="transforms that say how they are undone",
                advice=f"leave {transform.name} out of preprocess, or define its `invert`",
            )
