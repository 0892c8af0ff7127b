"""All linear laws of one variable on one grid as one sparse system, for arrays of numpy and tensors alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

from ..errors import ContractError, EstimateError, HandshakeError
from .fields import Array, aligned, permuted, where
from .law import LinearLaw
from .matrix import Matrix
from .rows import Gaps, Rows, factors

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class System:
    """`(G (m x) - f b) / f` over the cells of `dims`, in C order, at each index of the other dims.

    A law that reduces fewer dims than another of the same variable holds at every index of the others, so it has that
    many times its rows.
    """

    variable: str
    dims: tuple[str, ...]
    """The dims that any of the laws reduces, in the field's order."""
    outer: tuple[str, ...]
    """The other dims of the grid's field."""
    sizes: Mapping[str, int]
    cells: int
    laws: tuple[LinearLaw, ...]
    rows: tuple[Rows, ...]

    @classmethod
    def of(cls, laws: Sequence[LinearLaw], grid: xr.Dataset, *, also: Sequence[str] = ()) -> System:
        """The system of laws about one variable, on a grid; its cells lie along the dims of `also`, too."""
        rows = tuple(_rows_of(law, grid) for law in laws)
        field = grid[rows[0].variable]
        reduced = {dim for each in rows for dim in each.dims} | set(also)
        dims = tuple(str(dim) for dim in field.dims if dim in reduced)
        outer = tuple(str(dim) for dim in field.dims if dim not in reduced)
        sizes = {str(dim): size for dim, size in field.sizes.items()}
        return cls(str(field.name), dims, outer, sizes, prod(sizes[dim] for dim in dims), tuple(laws), rows)

    @property
    def count(self) -> int:
        return int(self.matrix.shape[0])

    @cached_property
    def parts(self) -> tuple[Any, ...]:
        """The rows of each law over all cells, sparse."""
        region = {dim: slice(0, self.sizes[dim]) for dim in self.dims}
        return tuple(self.spread(each, region) for each in self.rows)

    @cached_property
    def matrix(self) -> Any:
        """All rows `(k, cells)`, a scipy CSR array."""
        from scipy.sparse import vstack

        return vstack(self.parts, format="csr")

    @cached_property
    def owners(self) -> tuple[LinearLaw, ...]:
        """The law of each row."""
        pairs = zip(self.laws, self.parts, strict=True)
        return tuple(law for law, part in pairs for _ in range(part.shape[0]))

    @property
    def gaps(self) -> tuple[Gaps, ...]:
        """What a missing cell is to each row."""
        pairs = zip(self.rows, self.parts, strict=True)
        return tuple(rows.gaps for rows, part in pairs for _ in range(part.shape[0]))

    def others(self, rows: Rows) -> tuple[str, ...]:
        """The dims of the cells along which a law holds at every index."""
        return tuple(dim for dim in self.dims if dim not in rows.dims)

    def spread(self, rows: Rows, region: Mapping[str, slice]) -> Any:
        """The rows of one law over a region of all cells."""
        import numpy as np
        from scipy.sparse import csr_array, eye_array, kron

        matrix = rows.block({dim: region[dim] for dim in rows.dims})
        others = self.others(rows)
        whole = [self.sizes[dim] for dim in others]
        if others:
            # Columns of the identity that the region holds: every row is there in every region.
            at = np.arange(prod(whole)).reshape(whole)[tuple(region[dim] for dim in others)].ravel()
            matrix = csr_array(kron(matrix, eye_array(prod(whole), format="csc")[:, at], format="csr"))
        own = [*rows.dims, *others]
        sizes = {dim: region[dim].stop - region[dim].start for dim in self.dims}
        numbers = np.arange(prod(sizes.values())).reshape(tuple(sizes.values()))
        place = numbers.transpose([self.dims.index(dim) for dim in own]).ravel()
        return csr_array((matrix.data, place[matrix.indices], matrix.indptr), shape=matrix.shape)

    # ---- what is known beforehand

    def targets(self, context: xr.Dataset, grid: xr.Dataset) -> Floats:
        """`b` `(sample or 1, *outer or 1, k)` of whole rows; NaN where it, or its variance, is unknown.

        Raises `HandshakeError`.
        """
        import numpy as np

        pairs = zip(self.laws, self.rows, strict=True)
        told = [(self.told(law, rows, context, grid), law, rows) for law, rows in pairs]
        for targets, law, _ in told:
            _refuse_steps(targets, law, grid)
        found = _beside([self._laid(*each) for each in told])
        variances = self.variances(context, grid)
        return found if np.isfinite(variances).all() else np.where(np.isfinite(variances), found, np.nan)

    def check_targets(self, context: xr.Dataset, grid: xr.Dataset) -> None:
        """Raise `HandshakeError` for targets of other dims than rows have; looks at no value of them."""
        for law, rows in zip(self.laws, self.rows, strict=True):
            found = self.told(law, rows, context, grid)
            _refuse_steps(found, law, grid)
            self._refuse_dims(found, law, rows)

    def variances(self, context: xr.Dataset, grid: xr.Dataset) -> Floats:
        """R of each row's target `(sample or 1, *outer or 1, k)`. Raises `HandshakeError`, `EstimateError`."""
        import numpy as np
        import xarray as xr

        parts = []
        for law, rows in zip(self.laws, self.rows, strict=True):
            found = law.variances(context, grid)
            array = found if isinstance(found, xr.DataArray) else xr.DataArray(float(found))
            whole = array if "row" in array.dims else array.expand_dims(row=rows.count)
            parts.append(self._laid(whole, law, rows))
            if (parts[-1] < 0.0).any():
                raise EstimateError(
                    f"{law.name} says that its target has the variance {float(np.nanmin(parts[-1]))!r}",
                    allowed="0 or more, or NaN where it is unknown",
                    advice="look at what it is computed from",
                )
        return _beside(parts)

    def told(self, law: LinearLaw, rows: Rows, context: xr.Dataset, grid: xr.Dataset, /) -> xr.DataArray:  # noqa: ARG002
        """What a law says of its targets."""
        return law.targets(context, grid)

    def _laid(self, found: xr.DataArray, law: LinearLaw, rows: Rows, /) -> Floats:
        """What a law says of its rows, `(sample or 1, *outer or 1, k)`."""
        import numpy as np

        self._refuse_dims(found, law, rows)
        others, batch = self.others(rows), ("sample", *self.outer)
        # By position, not by label.
        plain = found.variable.transpose(*(dim for dim in batch if dim in found.dims), "row", ...)
        plain = plain.set_dims(
            {**{d: plain.sizes.get(d, 1) for d in batch}, "row": plain.sizes["row"]}
            | {dim: self.sizes[dim] for dim in others}
        )
        values = np.asarray(plain.transpose(*batch, "row", *others).values, dtype=np.float64)
        return values.reshape(*values.shape[: len(batch)], -1)

    def _refuse_dims(self, found: xr.DataArray, law: LinearLaw, rows: Rows, /) -> None:
        sizes = {dim: self.sizes[dim] for dim in (*self.outer, *self.others(rows))}
        wrong = [
            str(dim)
            for dim, size in found.sizes.items()
            if dim not in ("sample", "row") and size not in (sizes.get(str(dim)), 1 if dim in sizes else None)
        ]
        if wrong or found.sizes.get("row") != rows.count:
            raise HandshakeError(
                f"the targets of {law.name} are {dict(found.sizes)!r}, of {rows.count} rows",
                allowed=f"row and dims of {self.variable!r} that the law does not reduce: "
                f"{', '.join(('sample', *sizes))}",
                advice="give one target for each row of a sample",
            )

    def shares(self, there: Bools) -> Floats:
        """The share of each row that is there, `(batch, k)`, of cells `(batch, cells)`; see `factors`."""
        import numpy as np

        found = [factors(part, rows.gaps, there) for part, rows in zip(self.parts, self.rows, strict=True)]
        size = max(len(each) for each in found)
        return np.concatenate([np.broadcast_to(each, (size, each.shape[1])) for each in found], axis=1)

    def known(self, context: xr.Dataset, grid: xr.Dataset, there: Bools | None = None) -> dict[str, Array]:
        """`targets` (f b, 0 where a row says nothing), `share` (f), `noise` (R), if there is any, and `there`, if cells
        are missing.

        Axes: `(sample or 1, *outer or 1, k or cells)`; `there` are cells `(sample or 1, *outer or 1, cells)`.
        """
        import numpy as np

        targets = self.targets(context, grid)
        share = np.ones((1,) * (targets.ndim - 1) + (self.count,))
        found: dict[str, Array] = {}
        if there is not None and not there.all():
            share = self.shares(there.reshape(-1, there.shape[-1])).reshape(*there.shape[:-1], self.count)
            found["there"] = there
        share = np.where(np.isnan(targets), 0.0, share)
        found["targets"] = np.where(share > 0.0, share * np.nan_to_num(targets), 0.0)
        found["share"] = share
        noise = self.variances(context, grid)
        if noise.any():
            found["noise"] = np.where(np.isfinite(noise), noise, 0.0)
        return found

    def present(self, context: xr.Dataset) -> Bools | None:
        """Cells not missing in every input step, `(sample or 1, *outer or 1, cells)`; None if all are there."""
        import numpy as np

        there = present(context, self.variable, self.sizes)
        if there is None or any(there.sizes[dim] != self.sizes[dim] for dim in self.dims):
            return None
        values = np.asarray(there.transpose("sample", *self.outer, *self.dims).values)
        return values.reshape(*values.shape[: 1 + len(self.outer)], self.cells)

    # ---- fields, of numpy or torch

    def arrange(self, array: Array, dims: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
        """A field with its cells on one last axis, and the dims that are before it."""
        before = tuple(dim for dim in dims if dim not in self.dims)
        order = [list(dims).index(dim) for dim in (*before, *self.dims)]
        moved = permuted(array, order)
        return moved.reshape(*moved.shape[: len(before)], self.cells), before

    def back(self, flat: Array, before: Sequence[str], dims: Sequence[str]) -> Array:
        """The reverse of `arrange`."""
        full = flat.reshape(*flat.shape[:-1], *(self.sizes[dim] for dim in self.dims))
        own = (*before, *self.dims)
        return permuted(full, [own.index(dim) for dim in dims])

    def fitted(self, known: Array, before: Sequence[str]) -> Array:
        """What is known `(sample or 1, *outer or 1, last)`, with axes of 1 for the other dims of a field."""
        return aligned(known, ("sample", *self.outer, "row"), (*before, "row"))

    @cached_property
    def rows_matrix(self) -> Matrix:
        """The rows, to multiply arrays of numpy and tensors by."""
        return Matrix(self.matrix)

    def residual(self, field: Array, dims: Sequence[str], known: Mapping[str, Array]) -> tuple[Array, Array]:
        """`(G (m x) - f b) / f` and f, `(*batch, k)`, float64; 0 where a row says nothing."""
        lost = [dim for dim in (*self.outer, *self.dims) if dim not in dims]
        if lost:
            raise HandshakeError(
                f"{' and '.join(dict.fromkeys(law.name for law in self.laws))} goes over {', '.join(lost)}, and the "
                "method learns from scattered points",
                allowed="a method that learns from whole fields",
                advice="hold the law at the output",
            )
        flat, before = self.arrange(field, dims)
        flat = flat.double() if hasattr(flat, "double") else flat.astype("float64")
        _, gap, share = self.gap(flat, before, known)
        return gap / (share + (share <= 0.0) * 1.0), share

    def gap(self, flat: Array, before: Sequence[str], known: Mapping[str, Array], /) -> tuple[Array, Array, Array]:
        """`m x` of cells `(*before, cells)`, `G (m x) - f b` and f; 0 where a row says nothing."""
        if "there" in known:
            flat = where(self.fitted(known["there"], before), flat)
        share, targets = (self.fitted(known[name], before) for name in ("share", "targets"))
        return flat, where(share > 0.0, self.rows_matrix.times(flat) - targets), share


def _rows_of(law: LinearLaw, grid: xr.Dataset) -> Rows:
    """The rows of a law. Raises `ContractError` for what are none, `HandshakeError` for those of another variable."""
    rows = law.rows(grid)
    if not isinstance(rows, Rows):
        raise ContractError(
            f"`rows` of {law.name} gives a {type(rows).__name__}",
            allowed="`Rows`",
            advice="return an instance of a subclass of Rows",
        )
    if rows.variable not in grid.data_vars:
        raise HandshakeError(
            f"the rows of {law.name} are of {rows.variable!r}",
            allowed=", ".join(map(str, grid.data_vars)),
            advice="name a field of the estimate",
        )
    return rows


def _refuse_steps(targets: xr.DataArray, law: LinearLaw, grid: xr.Dataset) -> None:
    """Raise `HandshakeError` for what are no targets, or along the steps of the inputs: other leads than those that are
    estimated."""
    if not hasattr(targets, "dims"):
        raise ContractError(
            f"`targets` of {law.name} gives a {type(targets).__name__}",
            allowed="a DataArray along `row`",
            advice='return `xr.DataArray(values, dims="row")`',
        )
    if "lead" not in targets.coords or "lead" not in targets.dims or "lead" not in grid.coords:
        return
    own, wanted = targets["lead"].values.tolist(), grid["lead"].values.tolist()
    if own != wanted:
        raise HandshakeError(
            f"the targets of {law.name} are of the leads {own!r}, of the inputs",
            allowed=f"the leads that are estimated, {wanted!r}, or none",
            advice='take one step of the inputs, `.isel(lead=-1, drop=True)`, or their mean, `.mean("lead")`',
        )


def _beside(parts: Sequence[Floats]) -> Floats:
    """Of all laws, their rows beside one another."""
    import numpy as np

    shape = np.broadcast_shapes(*(each.shape[:-1] for each in parts))
    return np.concatenate([np.broadcast_to(each, (*shape, each.shape[-1])) for each in parts], axis=-1)


def parted(variances: Floats) -> tuple[Floats, Floats]:
    """The largest variance of each row `(k,)`, and the share of its root that each sample has, `(..., k)`.

    1 where all are alike, 0 where a variance is not known.
    """
    import numpy as np

    known = np.where(np.isfinite(variances), variances, 0.0)
    largest = known.reshape(-1, known.shape[-1]).max(0)
    return largest, np.sqrt(np.where(largest > 0.0, known / np.where(largest > 0.0, largest, 1.0), 1.0))


def missing_throughout(inputs: xr.Dataset, name: str) -> xr.Variable | None:
    """Where a field is missing in every input step: what has no value in an estimate either; None if nowhere."""
    if name not in inputs or inputs[name].dtype.kind != "f":
        return None
    missing = inputs[name].variable.isnull()
    missing = missing.all("lead") if "lead" in missing.dims else missing
    return missing if bool(missing.any()) else None


def present(context: xr.Dataset, name: str, sizes: Mapping[str, int]) -> xr.Variable | None:
    """Cells not missing in every input step, `(sample or 1, *(size or 1 of each dim))`.

    None if all are there, or the inputs lie on another grid.
    """
    missing = missing_throughout(context, name)
    if missing is None or any(sizes.get(str(dim)) != size for dim, size in missing.sizes.items() if dim != "sample"):
        return None
    order = ("sample", *sizes)
    whole = missing.set_dims({dim: missing.sizes.get(dim, 1) for dim in order}).transpose(*order)
    there: xr.Variable = whole.copy(data=~whole.values)
    return there


def systems(laws: Sequence[LinearLaw], grid: xr.Dataset) -> dict[str, System]:
    """The laws of each variable as one system."""
    groups: dict[str, list[LinearLaw]] = {}
    for law in laws:
        groups.setdefault(law.rows(grid).variable, []).append(law)
    return {name: System.of(group, grid) for name, group in groups.items()}
