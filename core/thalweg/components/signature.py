"""Names, dims, dtypes and units of fields: the handshake between two stages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Literal

from ..errors import HandshakeError
from ..quantities.units import canonical_units, same_units, squared

if TYPE_CHECKING:
    import xarray as xr


Uncertainty = Literal["variance", "factor", "member"]


@dataclass(frozen=True, slots=True)
class Field:
    """One variable. An empty `dims`, `dtype` or `units` in a need means *any*; `bounds` are the values it can take."""

    name: str
    dims: tuple[str, ...] = ()
    dtype: str = ""
    units: str = ""
    bounds: tuple[float, float] | None = None

    def __str__(self) -> str:
        dims = f" ({', '.join(self.dims)})" if self.dims else ""
        return f"{self.name}{dims}{' ' + self.dtype if self.dtype else ''}{f' [{self.units}]' if self.units else ''}"


@dataclass(frozen=True, slots=True)
class Signature:
    """Fields by name, and the sizes of their dims where they are known."""

    fields: tuple[Field, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, data: xr.Dataset) -> Signature:
        """The signature of a dataset's data variables; reads no values."""
        found = []
        for name, array in data.data_vars.items():
            bounds = array.attrs.get("valid_range")
            if bounds is None and array.dtype == "uint8":
                bounds = (0, 255)
            found.append(
                Field(
                    str(name),
                    tuple(map(str, array.dims)),
                    str(array.dtype),
                    canonical_units(str(array.attrs.get("units", "1"))),
                    None if bounds is None else (float(bounds[0]), float(bounds[1])),
                )
            )
        return cls(tuple(found), {str(dim): size for dim, size in data.sizes.items()})

    def with_variance(self) -> Signature:
        """These fields, and beside each its variance: `NAME_variance`, in its units squared."""
        beside = (replace(each, name=f"{each.name}_variance", units=squared(each.units or "1")) for each in self.fields)
        return Signature((*self.fields, *(replace(each, bounds=None) for each in beside)), self.sizes)

    def with_factor(self, rank: int) -> Signature:
        """These fields, and beside each a factor of its covariance: `NAME_factor` along `rank`, in its units."""
        beside = (
            replace(each, name=f"{each.name}_factor", dims=(*each.dims, "rank"), bounds=None) for each in self.fields
        )
        return Signature((*self.fields, *beside), {**self.sizes, "rank": rank})

    def with_members(self, count: int) -> Signature:
        """These fields, each with members: `member` follows `sample`."""
        cut = {each.name: 1 if "sample" in each.dims else 0 for each in self.fields}
        fields = (
            replace(each, dims=(*each.dims[: cut[each.name]], "member", *each.dims[cut[each.name] :]))
            for each in self.fields
        )
        return Signature(tuple(fields), {**self.sizes, "member": count})

    def replaced_by(self, name: str, *, units: str = "1", **sizes: int) -> Signature:
        """One field of another layout in place of these, `(sample, *sizes)`, float32: codes, a vector of features."""
        return Signature((Field(name, ("sample", *sizes), "float32", units),), {**self.sizes, **sizes})

    def is_estimate_of(self, truth: Signature) -> bool:
        """Whether its fields, but for their uncertainty, are the truth's, on the same grid."""
        own = {each.name: set(each.dims) - {"member"} for each in self.fields if not self.is_uncertainty(each.name)}
        dims = {each.name: set(each.dims) - {"member"} for each in truth.fields}
        return own == dims and all(self.sizes.get(dim) == truth.sizes.get(dim) for dim in set().union(*dims.values()))

    @property
    def uncertainty(self) -> frozenset[Uncertainty]:
        """The kinds of uncertainty that its fields carry."""
        found: set[Uncertainty] = set()
        for each in self.fields:
            if "member" in each.dims:
                found.add("member")
            if f"{each.name}_variance" in self:
                found.add("variance")
            if f"{each.name}_factor" in self:
                found.add("factor")
        return frozenset(found)

    def is_uncertainty(self, name: str) -> bool:
        """Whether a field is the variance or the factor of another."""
        return any(name == f"{each.name}_{kind}" for each in self.fields for kind in ("variance", "factor"))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.fields)

    def __getitem__(self, name: str) -> Field:
        for each in self.fields:
            if each.name == name:
                return each
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def nbytes(self, dims: Iterable[str] | None = None) -> int:
        """Bytes of all fields, or of one slice of size 1 along every dim that is not in `dims`."""
        import numpy as np

        kept = None if dims is None else set(dims)
        return sum(
            np.dtype(each.dtype).itemsize
            * prod(self.sizes.get(dim, 1) for dim in each.dims if kept is None or dim in kept)
            for each in self.fields
            if each.dtype
        )

    def __str__(self) -> str:
        return "; ".join(map(str, self.fields)) or "nothing"


def shake(given: Signature, needs: Signature, *, giver: str, taker: str) -> None:
    """Raise `HandshakeError`, naming both parties, unless `given` holds every field of `needs`.

    A need's `dims` are a subset: order and extra dims are the taker's own affair.
    """
    for need in needs.fields:
        if need.name not in given:
            raise HandshakeError(
                f"{taker} needs {str(need)!r}, which {giver} does not give",
                allowed=str(given),
                advice=f"name one of these variables in {taker}, or add a transform that makes {need.name!r}",
            )
        offered = given[need.name]
        wrong = (
            missing_dims(need, offered)
            or (need.dtype and need.dtype != offered.dtype and f"dtype {offered.dtype!r}, not {need.dtype!r}")
            or (
                need.units
                and not same_units(need.units, offered.units)
                and f"units {offered.units!r}, not {canonical_units(need.units)!r}"
            )
        )
        if wrong:
            raise HandshakeError(
                f"{taker} needs {str(need)!r}, but {giver} gives it with {wrong}",
                allowed=str(offered),
                advice=f"convert {need.name!r} in preprocess, or change what {taker} asks for",
            )


def missing_dims(need: Field, offered: Field) -> str:
    """What `offered` lacks of the dims that `need` names, in words; empty if nothing."""
    missing = [dim for dim in need.dims if dim not in offered.dims]
    return f"dims {offered.dims!r}, without {', '.join(map(repr, missing))}" if missing else ""
