"""Recipe -> `Plan`: parts made, hands shaken, sizes and digests known, before anything is spent.

A plan opens its source lazily and runs the transforms on it lazily, so what it knows of names, dims, dtypes, units and
sizes is what will be, not what was declared. It reads coordinates, and no field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..boundaries.access import asked
from ..cluster import Cluster, cluster_from
from ..components import Dataset, Method, Transform
from ..components.calls import call, planning
from ..components.signature import Signature, shake
from ..components.transform import divided
from ..errors import SourceError, ThalwegError
from ..samples.kinds import fields_of
from ..samples.placed import content, refuse_changed
from ..stores.attempt import FORMAT
from ..stores.blocks import same_array
from ..stores.store import Store
from .handshakes import at
from .leaks import notes
from .limits import check_place, check_space, check_task
from .parts import labelled_metrics, train_options, variants_of
from .plan import Places, Plan, Step
from .provenance import digest, record, stage_code
from .recipe import Recipe
from .registry import Registry
from .steps import complete, known, sized

if TYPE_CHECKING:
    import xarray as xr


def plans(
    path: str | Path,
    *,
    overrides: Iterable[str] = (),
    registry: Registry | None = None,
    store: str | None = None,
    cluster: Any = None,
    only: str = "",
) -> list[Plan]:
    """The plans of a recipe, one per method. Raises `RecipeError`; nothing is started.

    `only="free"` leaves out the laws, `only="held"` the free twin of a method that learns under a law.
    """
    registry = registry or Registry.installed()
    recipe = Recipe.load(path, overrides=overrides)
    if only == "free":
        recipe = recipe.model_copy(update={"constrain": (), "variants": {}})
    if cluster is not None:
        recipe = recipe.model_copy(update={"cluster": cluster})
    try:
        with planning():
            return plans_of(recipe, registry, store=store, only=only)
    except ThalwegError as error:
        raise error.at("", file=recipe.file) from None


def plans_of(recipe: Recipe, registry: Registry, *, store: str | None = None, only: str = "") -> list[Plan]:
    """The plans of a parsed recipe, one per method."""
    place = check_place(store or recipe.store or "thalweg-store")
    dataset = cast(Dataset, registry.make("datasets", recipe.ingest, where="ingest"))
    transforms = tuple(
        cast(Transform, registry.make("transforms", each, where=f"preprocess[{i}]"))
        for i, each in enumerate(recipe.preprocess)
    )
    each = list(recipe.each_method())
    methods = [cast(Method, registry.make("methods", one.train["method"], where="train.method")) for one in each]
    options = train_options(recipe, registry, methods)
    variants = variants_of(recipe, registry)
    holds = tuple(hold for each in variants.values() for hold in each)
    metrics = labelled_metrics(recipe, registry)
    cluster = cluster_from(recipe.cluster)
    ground = _ground(dataset, transforms, cluster=cluster, store=place)
    names = {part: name for name, part in registry.parts("methods").items()}
    made = []
    for one, method, own in zip(each, methods, options, strict=True):
        plan = Plan(
            one,
            place,
            cluster,
            dataset,
            transforms,
            method,
            own,
            holds,
            metrics,
            only=only,
            places=ground.places,
            variants=variants,
            names=names,
        )
        made.append(complete(plan, ground.data, first=ground.steps, source_record=ground.source_record))
    return made


@dataclass(frozen=True)
class _Ground:
    """What the plans of one recipe share: the lazy data and the first two stages."""

    data: xr.Dataset
    steps: Mapping[str, Step]
    places: Places
    source_record: str


def _ground(dataset: Dataset, transforms: tuple[Transform, ...], *, cluster: Cluster, store: Store) -> _Ground:
    source = record(dataset)
    mark = digest("ingest", FORMAT, stage_code("ingest"), source, _asked(dataset, dataset.fingerprint))
    data = raw = cast("xr.Dataset", _asked(dataset, dataset.open))
    given = Signature.of(data)
    if not given.fields:
        raise SourceError(f"{dataset.name} gives no variables", advice="declare `variables`", where="ingest")
    # One of them may be of an older source.
    alike = [each.manifest for each in store.alike("ingest", digest(source))]
    older = [each for each in alike if each["digest"] != mark]
    cached, broken = known(store, "ingest", mark)
    note = f"the source changed since {older[-1]['created']}: it is read anew" if older and not cached else ""
    ingest = replace(sized("ingest", mark, raw, cached=cached, note=note), broken=broken)
    fields, data, learned = _prepared(dataset, transforms, raw)
    of_fields, of_index = divided(transforms)
    own = fields.drop_vars([name for name, array in fields.data_vars.items() if same_array(array, raw.get(name))])
    mark = digest("preprocess", mark, stage_code("preprocess"), [record(each) for each in of_fields])
    places = Places(
        digest("index", mark, [record(each) for each in of_index]),
        learned=content(fields, data, "train", "validate"),
        scored=content(fields, data, "test"),
    )
    cached, broken = known(store, "preprocess", mark)
    placed, wrong = known(store, "index", places.digest)
    preprocess = replace(
        sized("preprocess", mark, own, cached=cached and placed, note="; ".join(notes(learned, data))),
        broken="; ".join(each for each in (broken, wrong) if each),
        gives=str(
            Signature.of(
                fields_of(data).drop_vars([v for v in data.data_vars if "window" in data[v].dims], errors="ignore")
            )
        ),
    )
    for step in (ingest, preprocess):
        if not step.cached:
            check_task(step.name, step.peak, cluster)
    check_space(store, sum(step.nbytes for step in (ingest, preprocess) if not step.cached))
    return _Ground(data, {"ingest": ingest, "preprocess": preprocess}, places, digest(source))


def _prepared(
    dataset: Dataset, transforms: tuple[Transform, ...], raw: xr.Dataset
) -> tuple[xr.Dataset, xr.Dataset, list[tuple[str, xr.DataArray]]]:
    """The lazy fields, the same with the index of their samples, and which steps the statistics are of."""
    fields = data = raw
    learned = []
    count, giver = len(divided(transforms)[0]), dataset.name
    for i, transform in enumerate(transforms):
        where = f"preprocess[{i}].{transform.name}"
        before = data
        data = at(where, _transformed, transform, data, Signature.of(data), giver)
        steps = at(where, call, transform, transform.learned_steps, before)
        learned += [] if steps is None else [(transform.name, steps)]
        giver = transform.name
        if i < count:
            fields = data
        else:
            at(where, refuse_changed, fields, data, by=transform.name)
    return fields, data, learned


def _asked(dataset: Dataset, method: Callable[[], Any]) -> Any:
    return at(f"ingest.{dataset.name}", lambda: call(dataset, asked, method, dataset.name, kind=SourceError))


def _transformed(transform: Transform, data: xr.Dataset, given: Signature, giver: str) -> xr.Dataset:
    shake(given, transform.needs(), giver=giver, taker=transform.name)
    call(transform, transform.check, given)
    return call(transform, transform.apply, data, call(transform, transform.statistics, data))
