"""A solver that stands alone: its folder is all that it needs to solve, and to forecast in the units of its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from ..boundaries.options import in_yaml
from ..components import Hold, Learner, Method, OutputEnforcer, Solver, Steered
from ..components.calls import call
from ..components.context import context_of
from ..components.grid import fields_of, grid_of
from ..components.holding import handed_on
from ..components.signature import Signature, shake
from ..components.steering import Steering
from ..errors import HandshakeError
from ..recipes.preparation import Preparation, refuse_without_inverse
from ..recipes.registry import Registry
from ..samples.elements import owners
from ..samples.origins import Origins
from ..stores.arrays import lay_out, read
from ..stores.files import filesystem
from .description import FILE, Description
from .estimates import checked
from .solver import read_fitted

if TYPE_CHECKING:
    import xarray as xr

GRID = "grid"
PREPARATION = "preparation"
_NO_ATTRIBUTES = (
    "valid_range",
    "valid_min",
    "valid_max",
    "actual_range",
    "_FillValue",
    "missing_value",
    "scale_factor",
    "add_offset",
)
"""Attributes of a source that say something of its own values, which an estimate need not obey."""


@dataclass(frozen=True, eq=False, repr=False)
class Solved:
    """A solver with all that it was made from: `solve` prepared inputs, or `forecast` from data of its source."""

    solver: Solver
    description: Description
    preparation: Preparation
    grid: xr.Dataset

    @property
    def name(self) -> str:
        """The name of the method."""
        return self.description.name

    def __repr__(self) -> str:
        said = self.description
        steps = ", ".join(each.name for each in self.preparation.transforms) or "none"
        return "\n".join(
            [
                f"thalweg solver {self.name}",
                f"  options  {in_yaml(said.method)}",
                f"  source   {said.source}",
                f"  given    {said.given}",
                f"  wanted   {said.wanted}",
                f"  transforms that `forecast` applies and undoes: {steps}",
            ]
        )

    @property
    def given(self) -> Signature:
        """What `solve` is given."""
        return self.description.given

    @property
    def wanted(self) -> Signature:
        """What an estimate holds."""
        return self.description.wanted

    def solve(self, inputs: xr.Dataset) -> xr.Dataset:
        """An estimate from prepared inputs, `(sample, lead, ...)`, in memory. Raises `HandshakeError` for others.

        Prepared are inputs as the method was given them: windows, after the transforms (anomalies, not temperatures).
        """
        shake(Signature.of(inputs), _names_and_units(self.given), giver="the data", taker=self.name)
        for field in self.given.fields:
            if set(inputs[field.name].dims) != set(field.dims):
                raise HandshakeError(
                    f"{field.name!r} has dims ({', '.join(map(str, inputs[field.name].dims))})",
                    allowed=f"prepared inputs: ({', '.join(field.dims)})",
                    advice="give windows of prepared data, or data of the source to `forecast`",
                )
        return self._solve(self._fitting(inputs), holds=())

    def forecast(self, raw: xr.Dataset, *, origins: int = 1, holds: Sequence[Hold] = ()) -> xr.Dataset:
        """A forecast from the newest steps with values of `raw`, which is as the source gives it, in its units.

        `origins` of each series; the laws of `holds` are held before the transforms are undone. Coordinates:
        `reference_time(sample)`, the last input; `valid_time(sample, lead)`. Raises `HandshakeError` for data that do
        not fit, for a transform without an inverse, and for a law that looks at the truth.
        """
        refuse_without_inverse(self.preparation.transforms)
        _refuse_oracles(holds)
        said = self.description
        shake(Signature.of(raw), _names_and_units(said.source), giver="the data", taker=self.name)
        data = self.preparation.newest(raw)
        shake(Signature.of(data), _names_and_units(said.given), giver="the data", taker=self.name)
        found = Origins.newest(data, said.samples, observed=said.given.names, step=said.step, count=origins)
        inputs = self._fitting(found.inputs())
        estimate = self._solve(inputs, holds=holds).assign_coords(found.coordinates(inputs))
        made = self.preparation.undo(estimate)
        for name in said.wanted.names:
            _described(made, name, raw[name] if name in raw else data[name])
        return made

    def _solve(self, inputs: xr.Dataset, *, holds: Sequence[Hold]) -> xr.Dataset:
        own = {dim: inputs.sizes[dim] for dim in owners(inputs)}
        wanted = replace(self.wanted, sizes={**self.wanted.sizes, "sample": inputs.sizes.get("sample", 1), **own})
        solver = self.solver
        gives = solver.gives(Signature.of(inputs), wanted)
        if any(hold.site == "sampling" for hold in holds):
            assert isinstance(solver, Steered)
            grid = grid_of(fields_of(wanted, inputs), inputs)
            steering = Steering(holds, grid, lambda hold: context_of(inputs, wanted))  # noqa: ARG005
            found = call(solver, solver.sample, inputs, wanted, steering, name=self.name)
        else:
            found = call(solver, solver.solve, inputs, wanted, name=self.name)
        estimate = checked(found, gives, by=self.name)
        for hold, held in handed_on(holds, grid_of(estimate, inputs)):
            if isinstance(hold.enforcer, OutputEnforcer):
                found = call(hold.enforcer, hold.enforcer.hold, estimate, held, context_of(inputs, wanted))
                estimate = checked(found, gives, by=hold.enforcer.name, strict=False)
        return estimate

    def _fitting(self, inputs: xr.Dataset) -> xr.Dataset:
        """The inputs that it was made for. Raises `HandshakeError` for those of another grid."""
        shake(Signature.of(inputs), _names_and_units(self.given), giver="the data", taker=self.name)
        ragged = owners(inputs)
        # A list of names would leave out the coordinates that say whose an element is.
        whole = inputs.drop_vars([name for name in inputs.data_vars if name not in self.given])
        inputs = whole if ragged else inputs[list(self.given.names)]
        for dim, size in self.given.sizes.items():
            if dim != "sample" and dim not in ragged and inputs.sizes.get(dim, size) != size:
                raise HandshakeError(
                    f"the data have {inputs.sizes[dim]} along {dim!r}",
                    allowed=f"{size}, as when {self.name} was made",
                    advice="give data of the same grid and window",
                )
        for name, known in self.grid.variables.items():
            if name in inputs.coords and not _alike(inputs[name].variable, known):
                raise HandshakeError(
                    f"the data have another {str(name)!r} than {self.name} was made for",
                    allowed=f"{known.values.flat[0]} .. {known.values.flat[-1]}, {known.size} values",
                    advice="give data of the same grid",
                )
        return inputs


def write_alone(url: str, description: Description, preparation: Preparation, grid: xr.Dataset) -> None:
    """Make a folder that may hold a fitted solver stand alone."""
    preparation.write(f"{url}/{PREPARATION}")
    lay_out(f"{url}/{GRID}", grid.drop_attrs(deep=False), large={})
    description.write(url)


def load(url: str, registry: Registry | None = None) -> Solved:
    """The solver of a folder (`STORE/train/DIGEST/attempt-.../data`), which needs nothing else but its plugins.

    Raises `CorruptError` if a file is lost or is not what was written, `UnknownNameError` if the plugin of the method
    or of a transform is not installed.
    """
    registry = registry or Registry.installed()
    url = str(url).rstrip("/")
    files, path = filesystem(url)
    if not files.exists(f"{path}/{FILE}") and files.exists(f"{path}/data/{FILE}"):
        url = f"{url}/data"
    said = Description.read(url)
    method = cast(Method, registry.make("methods", dict(said.method)))
    if said.learned:
        assert isinstance(method, Learner)
        solver: Solver = read_fitted(method.fitted, url, registry=registry)
    else:
        assert isinstance(method, Solver)
        solver = method
    preparation = Preparation.read(f"{url}/{PREPARATION}", registry)
    return Solved(solver, said, preparation, read(f"{url}/{GRID}").load())


def _names_and_units(given: Signature) -> Signature:
    return Signature(tuple(replace(each, dtype="", bounds=None, dims=()) for each in given.fields))


def _refuse_oracles(holds: Sequence[Hold]) -> None:
    for hold in holds:
        if hold.oracle:
            raise HandshakeError(
                f"{hold.laws[0].name} looks at the truth, which no forecast has",
                allowed="laws whose target is known beforehand",
                advice="choose another target in the recipe, or forecast with --only free",
            )


def _alike(one: xr.Variable, other: xr.Variable) -> bool:
    import numpy as np

    if one.shape != other.shape:
        return False
    if one.dtype.kind in "iuf":
        return bool(np.allclose(one.values, other.values, rtol=1e-5, atol=1e-6, equal_nan=True))
    return bool((one.values == other.values).all())


def _described(made: xr.Dataset, name: str, source: xr.DataArray) -> None:
    """Give an estimate, and what it says of its uncertainty, the attributes of the source's field."""
    attrs: dict[Any, Any] = {key: each for key, each in source.attrs.items() if key not in _NO_ATTRIBUTES}
    units, title = str(attrs.get("units", "1")), str(attrs.get("long_name", name))
    made[name].attrs = attrs
    for suffix, square, word in (("variance", True, "variance"), ("factor", False, "factor of the covariance")):
        if f"{name}_{suffix}" in made:
            power = f"({units})2" if square and units != "1" else units
            made[f"{name}_{suffix}"].attrs = {"units": power, "long_name": f"{word} of {title}"}
