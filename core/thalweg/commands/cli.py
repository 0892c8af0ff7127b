"""The command line. Its exit codes: see `ending`."""

from __future__ import annotations

import difflib
import io
import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..credentials import masked
from ..errors import OptionError, SourceError
from ..results.run import STAGES
from .ending import Ending
from .help import PlainCommand

STORE = "thalweg-store"

app = typer.Typer(
    cls=Ending,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="One recipe runs five stages: ingest, preprocess, train, constrain, evaluate.",
)

RecipePath = Annotated[str, typer.Argument(metavar="RECIPE", help="a recipe, in YAML")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="change a value of the recipe; may be repeated")
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PLACE",
        envvar="THALWEG_STORE",
        help=f"where stages are kept, a path or URL: {STORE} if not given",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="KIND", help="where the stages run: threads, local, {local: {workers: 4}}; see `clusters`"
    ),
]
Runs = Annotated[
    list[str], typer.Argument(metavar="RUN", help="names of runs in the store, their beginnings, or their folders")
]
PartName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME", help="the one whose options, example and sources are shown; all are listed if not given"
    ),
]


@app.command(cls=PlainCommand)
def plan(
    recipe: RecipePath,
    set_: Sets = None,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="print the recipe with every default")] = False,
) -> None:
    """Print what would run: stages, fields, bytes, memory."""
    from ..boundaries.documents import from_option
    from ..recipes.planning import plans

    for each in plans(recipe, overrides=set_ or (), store=store, cluster=from_option("--cluster", cluster)):
        if resolved:
            import yaml

            typer.echo(yaml.safe_dump(each.resolved(), sort_keys=False))
        else:
            typer.echo(each.text())


@app.command(cls=PlainCommand)
def run(
    recipe: RecipePath,
    set_: Sets = None,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="STAGE", help="run this stage and the later ones again, though they are stored"),
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="STAGE", help="stop after this stage")] = STAGES[-1],
    only: Annotated[
        str,
        typer.Option(
            "--only", metavar="free|held", help="only the estimate without the laws, or only the one held to them"
        ),
    ] = "",
    strict: Annotated[
        bool, typer.Option("--strict", help="end the run if an observer fails, such as MLflow's")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="print more of what is done")] = False,
) -> None:
    """Run a recipe; reuse the stages that are stored.

    Prints the scores, and the commands that come next.
    """
    from ..boundaries.documents import from_option
    from ..pipeline import execute
    from ..recipes.planning import plans
    from ..recipes.registry import Registry
    from ..results.folders import links, read_run
    from ..results.scored import options_of
    from .comparing import comparison, costs, show, titles
    from .console import Progress, console, log_to_console

    for stage in (each for each in (from_, to) if each):
        if stage not in STAGES:
            near = difflib.get_close_matches(stage, STAGES, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "name one of these stages"
            raise OptionError(f"{stage!r} is no stage", allowed=", ".join(STAGES), advice=advice, where="--from/--to")
    if only not in ("", "free", "held"):
        raise OptionError(f"{only!r} is no estimate", allowed="free, held", advice="name one of these", where="--only")
    log_to_console(verbose=verbose)
    registry = Registry.installed()
    engine = from_option("--cluster", cluster)
    planned = plans(recipe, overrides=set_ or (), registry=registry, store=store, cluster=engine, only=only)
    redo = STAGES[STAGES.index(from_) :] if from_ else ()
    finished = []
    with Progress() as progress, planned[0].cluster.open() as workers:
        for i, each in enumerate(planned):
            # The first two stages are the same for all methods of a recipe: once anew is enough.
            again = redo if i == 0 else tuple(stage for stage in redo if stage not in STAGES[:2])
            finished.append(
                execute(each, registry=registry, to=to, redo=again, strict=strict, progress=progress, workers=workers)
            )
    if to != STAGES[-1]:
        for execution in finished:
            at = masked(execution.stages[to].store) or "nothing to store"
            console.print(f"{execution.run.title}: {to} at {at}", soft_wrap=True)
        return
    option = _store_option(planned[0].store.root)
    if not planned[0].tested:
        for execution in finished:
            name = Path(execution.run.folder).name
            line = f"{shlex.join(['thalweg', 'forecast', name])}{option}"
            console.print(f"{execution.run.title}: trained, not scored (no test period)", soft_wrap=True)
            console.print(f"forecast  {line}", soft_wrap=True)
        return
    scored = [each.plan for each in finished]
    names = [each.method.name for each in scored] if len(scored) > 1 else [scored[0].recipe.name]
    columns = titles(names, [options_of(each.method) for each in scored], [each.digest for each in scored])
    accounts = {
        title: read_run(each.run.folder, each.plan.store) for title, each in zip(columns, finished, strict=True)
    }
    show(comparison(accounts, registry, intervals=False))
    console.print()
    for title, execution in zip(columns, finished, strict=True):
        console.print(f"cost      {costs(execution.stages, '' if len(finished) == 1 else title)}", soft_wrap=True)
    shown = [f"{name:<10}{line}" for each in finished for name, line in links(each.run.folder).items()]
    for link in dict.fromkeys(shown):
        console.print(link, soft_wrap=True)
    folders = [Path(execution.run.folder).name for execution in finished]
    console.print(f"figures   {Path(finished[-1].run.folder) / 'figures'}", soft_wrap=True)
    line = shlex.join(["thalweg", "compare", *folders])
    console.print(f"compare   {line}{option}", soft_wrap=True)


@app.command(cls=PlainCommand)
def forecast(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the name of a run in the store, or its beginning")],
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="a file to forecast from, read as the source of the run is")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="where to write the forecast: NetCDF (.nc) or zarr (.zarr)"),
    ] = None,
    origins: Annotated[int, typer.Option("--origins", metavar="N", min=1, help="number of the newest origins")] = 1,
    variant: Annotated[
        str | None,
        typer.Option("--variant", metavar="NAME", help="which estimate, where the run has several: free, held, ..."),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Forecast from the newest data with a fitted method."""
    from ..recipes.limits import check_place
    from .forecasting import forecast_run

    forecast_run(run, check_place(store or STORE), file=file, out=out, origins=origins, variant=variant)


@app.command(cls=PlainCommand)
def compare(
    runs: Runs,
    store: StoreOption = None,
    missing: Annotated[
        str,
        typer.Option(
            "--missing",
            metavar="drop|reference",
            help="a point that a run has no value for: scored for no run (drop), or with the value of the first run "
            "(reference)",
        ),
    ] = "drop",
) -> None:
    """Compare the scores of runs, with intervals.

    A column is an estimate of a run, `free` or `held` to laws. Scores are on the points that all runs have estimates
    for; differences are paired. Prints which options differ between the recipes. Runs that were not scored, and runs
    whose truths are not the same, are refused.
    """
    from ..recipes.limits import check_place
    from ..recipes.registry import Registry
    from ..results.folders import read_run
    from .comparing import comparison, show, show_differences, show_what_differs

    if missing not in ("drop", "reference"):
        raise OptionError(f"--missing {missing!r}", allowed="drop, reference", advice="give one of them")
    place = check_place(store or STORE)
    found = {record["digest"]: record for record in (read_run(name, place) for name in runs)}
    names = [record["name"] for record in found.values()]
    # Two runs of one recipe are told apart by their digests.
    accounts = {
        f"{record['name']}/{digest[:10]}" if names.count(record["name"]) > 1 else record["name"]: record
        for digest, record in found.items()
    }
    made = comparison(
        accounts, Registry.installed(), intervals=True, missing="reference" if missing == "reference" else "drop"
    )
    show(made)
    show_differences(made)
    show_what_differs(accounts)


@app.command(cls=PlainCommand)
def prune(
    store: StoreOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be removed, and remove nothing")] = False,
) -> None:
    """Remove from a store what no run needs.

    Attempts without an owner, stages that were replaced, stages of runs that were removed.
    """
    from ..recipes.limits import check_place, human
    from ..stores.prune import prune as pruned

    total = 0
    for each in pruned(check_place(store or STORE).root, dry_run=dry_run):
        total += each.nbytes
        typer.echo(f"{human(each.nbytes):>9}  {each.name}  ({each.why})")
    typer.echo(f"{human(total):>9}  {'would be removed' if dry_run else 'removed'} in all")


@app.command(cls=PlainCommand)
def cite(runs: Runs, store: StoreOption = None) -> None:
    """Print the DOIs of all methods and data of runs."""
    from ..recipes.limits import check_place
    from ..results.folders import read_run

    place = check_place(store or STORE)
    for doi in dict.fromkeys(doi for name in runs for doi in read_run(name, place)["cite"]):
        typer.echo(f"https://doi.org/{doi}")


@app.command(cls=PlainCommand)
def plugins() -> None:
    """List the installed plugins, and those that fail."""
    from ..recipes.registry import Registry

    registry = Registry.installed()
    registry.load()
    for name, hooks in sorted(registry.plugins.items()):
        origin = registry.origins.get(name)
        provides = sorted(hook.removeprefix("register_") for hook in hooks if hook.startswith("register_"))
        watches = ["watches runs"] if any(not hook.startswith("register_") for hook in hooks) else []
        source = f"{origin.distribution} {origin.version}" if origin else ""
        typer.echo(f"{name:<16}{source:<28}{', '.join([*provides, *watches])}")
    for name, why in registry.failures.items():
        typer.echo(f"{name:<16}could not be loaded: {why}", err=True)


@app.command(cls=PlainCommand)
def new(
    plugin: Annotated[
        str, typer.Option("--plugin", metavar="NAME", help="name of the plugin: lower-case words joined by '-'")
    ],
    folder: Annotated[Path, typer.Option("--in", metavar="FOLDER", help="where to write it")] = Path(),
) -> None:
    """Write a working plugin, with a test and a recipe."""
    from .scaffold import new_plugin

    for file in new_plugin(plugin, folder):
        typer.echo(str(file))


@app.command(cls=PlainCommand)
def check(plugin: Annotated[str, typer.Argument(metavar="PLUGIN", help="name of a plugin that is installed")]) -> None:
    """Test a plugin with the conformance kit."""
    from ..recipes.registry import Registry
    from ..testing.plugin import check as conform

    report = conform(Registry.installed(), plugin)
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command(cls=PlainCommand)
def schema() -> None:
    """Print the JSON schema of recipes, for editors."""
    from ..recipes.registry import Registry
    from ..recipes.schema import schema as recipe_schema

    typer.echo(json.dumps(recipe_schema(Registry.installed()), indent=1))


@app.command(cls=PlainCommand)
def ui(
    store: StoreOption = None,
    port: Annotated[int, typer.Option(metavar="PORT", min=1, max=65535, help="port on this machine")] = 5000,
) -> None:
    """Show the runs of a store in MLflow."""
    import os

    from ..recipes.limits import check_place
    from ..results.folders import local_root, tracker_uri

    uri = os.environ.get("THALWEG_TRACKING_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    if uri and uri.startswith("http"):
        typer.echo(masked(uri))
        return
    root = local_root(check_place(store or STORE))
    if not uri and not (root / "mlflow.db").is_file():
        raise SourceError(f"there is no mlflow.db in {str(root)!r}", advice="give --store, or run a recipe first")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    # Not an argument: everyone on the machine can read those, and a database's URI may hold a password.
    os.execve(sys.executable, command, {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri or tracker_uri(root)})


def _listing(kind: str) -> None:
    def command(name: PartName = None) -> None:
        from ..recipes.registry import Registry
        from .console import console, part, parts

        registry = Registry.installed()
        if name:
            typer.echo(part(registry, kind, name))
        else:
            console.print(parts(registry, kind))

    command.__doc__ = f"List the installed {kind}, or show one."
    app.command(kind, cls=PlainCommand)(command)


for _kind in ("datasets", "transforms", "methods", "laws", "enforcers", "losses", "metrics"):
    _listing(_kind)


@app.command("clusters", cls=PlainCommand)
def clusters(name: PartName = None) -> None:
    """List the kinds of cluster, or show one."""
    from .console import cluster, clusters, console

    if name:
        typer.echo(cluster(name))
    else:
        console.print(clusters())


def _store_option(root: str) -> str:
    """`--store` as the next command needs it; a URL with a password is not printed, but where it was given."""
    if root == str(Path(STORE).resolve()):
        return ""
    return f" --store {shlex.quote(root)}" if masked(root) == root else ' --store "$THALWEG_STORE"'


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A path may hold what the terminal's encoding does not.
            stream.reconfigure(errors="backslashreplace")
    app()
