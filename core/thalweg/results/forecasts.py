"""`thalweg forecast`: what a run fitted, on the newest data. `ROOT/runs/NAME/forecast.json` says what that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..boundaries.access import asked
from ..components import Dataset, Hold, Learner
from ..components.calls import call
from ..components.signature import Signature
from ..credentials import hidden
from ..errors import OptionError, SourceError
from ..recipes.parts import holds_of
from ..recipes.plan import Plan
from ..recipes.preparation import Preparation
from ..recipes.provenance import version_of
from ..recipes.recipe import Constraint
from ..recipes.registry import Registry
from ..samples import Prepared, Samples
from ..samples.calendar import Step, last_source
from ..stores.blocks import committed
from ..stores.conditional import names
from ..stores.sealed import read_sealed, write_sealed
from ..stores.store import Store
from . import report
from .description import Description
from .folders import NO_RUN, publish
from .solved import load, write_alone

if TYPE_CHECKING:
    import xarray as xr

FILE = "forecast.json"


def described(plan: Plan, prepared: Prepared) -> tuple[Description, Samples]:
    """What the solver of a plan is, and samples that it is made for; reads no field."""
    samples = prepared.shown
    learner = plan.method if isinstance(plan.method, Learner) else None
    recorded = plan.resolved()["train"]
    dim = samples.index.dim
    axis = last_source(samples.data, dim)[dim] if dim is not None and dim in samples.data.coords else None
    versions = {**report.versions(), plan.method.name: version_of(type(plan.method))}
    resolved = learner.resolved(plan.options) if learner is not None else {}
    description = Description(
        method=recorded["method"],
        learned=learner is not None,
        train={key: getattr(each, "name", each) for key, each in resolved.items()},
        source=Signature.of(committed(prepared.ingest).open()),
        given=samples.given,
        wanted=samples.wanted,
        samples=samples.index.form,
        step=Step.of(axis) if axis is not None else None,
        versions=versions,
    )
    return description, samples


def stand_alone(url: str, plan: Plan, prepared: Prepared, registry: Registry) -> None:
    """Make the folder of a plan's solver stand alone."""
    description, samples = described(plan, prepared)
    kept = Preparation.read(f"{prepared.preprocess.rpartition('/')[0]}/preparation", registry)
    write_alone(url, description, kept, samples.common_coordinates)


def remember(plan: Plan, folder: Path, prepared: Prepared, registry: Registry, solvers: Mapping[str, str]) -> None:
    """Write down what a run forecasts with; a method that learns nothing gets a folder beside it."""
    root = plan.store.root
    if not solvers:
        own = f"{root}/runs/{folder.name}/solver"
        stand_alone(own, plan, prepared, registry)
        solvers = {"free": own}
    tree = plan.resolved()
    said = {
        "name": plan.recipe.name,
        "solvers": {variant: url.removeprefix(f"{root}/") for variant, url in solvers.items()},
        "dataset": hidden(tree["ingest"]),
        "holds": tree["constrain"] if isinstance(tree["constrain"], dict) else {"held": tree["constrain"]},
    }
    write_sealed(str(folder / FILE), said)
    publish(str(folder), plan.store, [FILE])


@dataclass(frozen=True)
class Forecasting:
    """What a run forecasts with: solvers by variant, laws, and its source."""

    name: str
    folder: str
    solvers: Mapping[str, str]
    dataset: Mapping[str, Any]
    holds: Mapping[str, Sequence[Mapping[str, Any]]]
    """By variant, as a recipe has them."""

    @classmethod
    def of(cls, name: str, store: Store) -> Forecasting:
        """That of a run, by its name or the beginning of it. Raises `SourceError`."""
        folder = f"{store.root}/runs"
        wanted = Path(name).name
        known = sorted(each for each in names(folder) if not each.startswith(".")) if wanted else []
        # A title, `name/digest`, is a run's name too.
        either = (wanted, name.replace("/", "-"))
        found = [each for each in known if each in either] or [each for each in known if each.startswith(either)]
        said = {each: one for each in found if (one := read_sealed(f"{folder}/{each}/{FILE}", advice=_AGAIN))}
        if len(said) != 1:
            raise SourceError(
                f"{name[:200]!r} names {len(said) or 'no'} run{'s' if said else ''} that a forecast can be made with",
                allowed=", ".join(list(said) or known[:20]) or f"none in {folder}",
                advice="give more of the run's name" if said else NO_RUN[bool(known)],
            )
        ((each, one),) = said.items()
        solvers = {
            v: url if "://" in url or url.startswith("/") else f"{store.root}/{url}"
            for v, url in one["solvers"].items()
        }
        holds = one["holds"] if isinstance(one["holds"], Mapping) else {"held": one["holds"]}
        return cls(one["name"], f"{folder}/{each}", solvers, one["dataset"], holds)

    @property
    def variants(self) -> tuple[str, ...]:
        """What can be forecast: `free`, and the run's variants."""
        held = [name for name, holds in self.holds.items() if holds]
        return tuple(each for each in ("free", *held) if each in self.solvers or "free" in self.solvers)

    def variant(self, name: str | None) -> str:
        """The variant of a name; without one the only one that there is, or `free` in a run without laws.

        Raises `OptionError` for another name, and for none where there are several.
        """
        held = [each for each in self.variants if each != "free"]
        if name is None and len(held) <= 1:
            return held[0] if held else "free"
        if name not in self.variants:
            raise OptionError(
                f"{self.name} has no variant {name!r}" if name else f"{self.name} has {len(held)} variants",
                allowed=", ".join(self.variants),
                advice="name one of these as `variant`",
                where="variant",
            )
        return str(name)

    def solver(self, variant: str) -> str:
        """The URL of a variant's solver: that of `free` where no law takes part in the training."""
        return self.solvers.get(variant) or self.solvers["free"]

    def laws(self, registry: Registry, variant: str) -> tuple[Hold, ...]:
        """The laws of a variant."""
        return holds_of([Constraint(**each) for each in self.holds.get(variant, ())], registry)

    def source(self, registry: Registry, *, file: str | None = None) -> xr.Dataset:
        """The run's source as it is now, or another file read in the same way. Raises `SourceError`."""
        ((name, options),) = self.dataset.items()
        if file is not None:
            if "path" not in registry.get("datasets", name).model_fields:
                raise OptionError(
                    f"{name} reads no file that is named", allowed="its own source", advice="leave FILE out"
                )
            options = {**options, "path": file}
        part = cast(Dataset, registry.make("datasets", {name: options}, where="ingest"))
        return cast("xr.Dataset", call(part, asked, part.open, part.name, kind=SourceError))

    def forecast(
        self, registry: Registry, *, file: str | None = None, origins: int = 1, variant: str | None = None
    ) -> xr.Dataset:
        """A forecast from the newest origins, in the units of the source, held to the laws of a variant."""
        chosen = self.variant(variant)
        solved = load(self.solver(chosen), registry)
        holds = self.laws(registry, chosen)
        return solved.forecast(self.source(registry, file=file), origins=origins, holds=holds)


_AGAIN = "run its recipe again: what is committed is reused"
