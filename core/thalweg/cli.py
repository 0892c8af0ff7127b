"""The command line. Exit codes: 0; 1 the run failed; 2 the recipe is wrong and nothing was started."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import OptionError, RecipeError, SourceError, ThalwegError
from .run import STAGES

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="One recipe runs five stages: ingest, preprocess, train, constrain, evaluate.",
)

RecipePath = Annotated[str, typer.Argument(metavar="RECIPE", help="a recipe, in YAML")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="change a value of the recipe; repeatable")
]
StoreOption = Annotated[
    str | None, typer.Option("--store", envvar="THALWEG_STORE", help="where stages are kept: a path or URL")
]
ClusterOption = Annotated[str | None, typer.Option("--cluster", help="threads, local, {local: {workers: 4}}, ...")]
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="names of runs in the store, or their folders")]
PartName = Annotated[str | None, typer.Argument(metavar="[NAME]", help="show its options, sources and an example")]


def _yaml(text: str | None) -> Any:
    import yaml

    return None if text is None else yaml.safe_load(text)


@app.command()
def plan(
    recipe: RecipePath,
    set_: Sets = None,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    resolved: Annotated[bool, typer.Option("--resolved", help="print the recipe with every default")] = False,
) -> None:
    """Say what would run: stages, fields, bytes, memory, what is cached."""
    from .plan import plans

    for each in plans(recipe, overrides=set_ or (), store=store, cluster=_yaml(cluster)):
        if resolved:
            import yaml

            typer.echo(yaml.safe_dump(each.resolved(), sort_keys=False))
        else:
            typer.echo(each.text())


@app.command()
def run(
    recipe: RecipePath,
    set_: Sets = None,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="STAGE", help="run this stage and the later ones anew")
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="STAGE", help="stop after this stage")] = STAGES[-1],
    only: Annotated[str, typer.Option("--only", metavar="free|held", help="estimate only this one")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="let an observer that fails end the run")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
) -> None:
    """Run a recipe; stages that are committed are reused."""
    from .console import Progress, console, log_to_console, scores
    from .pipeline import execute
    from .plan import plans
    from .plugins import Registry

    for stage in (each for each in (from_, to) if each):
        if stage not in STAGES:
            raise OptionError(f"{stage!r} is no stage", allowed=", ".join(STAGES), where="--from/--to")
    if only not in ("", "free", "held"):
        raise OptionError(f"--only {only!r}", allowed="free, held")
    log_to_console(verbose=verbose)
    registry = Registry.installed()
    made = plans(recipe, overrides=set_ or (), registry=registry, store=store, cluster=_yaml(cluster), only=only)
    redo = STAGES[STAGES.index(from_) :] if from_ else ()
    finished = []
    with Progress() as progress, made[0].cluster.open() as workers:
        for i, each in enumerate(made):
            # The first two stages are the same for all methods of a recipe: once anew is enough.
            again = redo if i == 0 else tuple(stage for stage in redo if stage not in STAGES[:2])
            finished.append(
                execute(each, registry=registry, to=to, redo=again, strict=strict, progress=progress, workers=workers)
            )
    if to != STAGES[-1]:
        for execution in finished:
            console.print(f"{execution.run.title}: {to} at {execution.stages[to].store or 'nothing to store'}")
        return
    several = len(finished) > 1
    title = {id(each): each.plan.method.name if several else each.plan.recipe.name for each in finished}
    console.print(scores({title[id(each)]: each.table() for each in finished}))
    console.print()
    for line in _links([Path(execution.run.folder) for execution in finished]):
        console.print(line, soft_wrap=True)
    names = " ".join(Path(execution.run.folder).name for execution in finished)
    where = f" --store {made[0].store.root}" if store else ""
    console.print(f"figures   {Path(finished[-1].run.folder) / 'figures'}", soft_wrap=True)
    console.print(f"compare   thalweg compare {names}{where}", soft_wrap=True)


@app.command()
def compare(runs: Runs, store: StoreOption = None) -> None:
    """Put the scores of runs side by side."""
    from .console import console, scores

    records = [_record(name, store) for name in runs]
    console.print(scores({record["name"]: record["table"] for record in records}))


@app.command()
def cite(runs: Runs, store: StoreOption = None) -> None:
    """Print the DOIs of everything that took part in runs."""
    for doi in dict.fromkeys(doi for name in runs for doi in _record(name, store)["cite"]):
        typer.echo(f"https://doi.org/{doi}")


@app.command()
def plugins() -> None:
    """List the plugins that are installed, and those that failed to load."""
    from .plugins import Registry

    registry = Registry.installed()
    registry.load()
    for name, hooks in sorted(registry.plugins.items()):
        origin = registry.origins.get(name)
        typer.echo(
            f"{name:<16}{f'{origin.distribution} {origin.version}' if origin else '':<28}{', '.join(sorted(hooks))}"
        )
    for name, why in registry.failures.items():
        typer.echo(f"{name:<16}could not be loaded: {why}", err=True)


@app.command()
def new(
    plugin: Annotated[str, typer.Option("--plugin", metavar="NAME", help="lower-case words joined by '-'")],
    folder: Annotated[Path, typer.Option("--in", metavar="FOLDER", help="where to write it")] = Path(),
) -> None:
    """Write a working plugin, with a test and a recipe."""
    from .scaffold import new_plugin

    for file in new_plugin(plugin, folder):
        typer.echo(str(file))


@app.command()
def check(plugin: Annotated[str, typer.Argument(metavar="PLUGIN")]) -> None:
    """Run the conformance kit on a plugin."""
    from .plugins import Registry
    from .testing.plugin import check as conform

    report = conform(Registry.installed(), plugin)
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def schema() -> None:
    """Print the JSON schema of recipes, for editors."""
    from .plugins import Registry
    from .recipe import schema as recipe_schema

    typer.echo(json.dumps(recipe_schema(Registry.installed()), indent=1))


@app.command()
def ui(store: StoreOption = None, port: Annotated[int, typer.Option(help="on 127.0.0.1")] = 5000) -> None:
    """Open MLflow on the runs of a store, until interrupted."""
    import os

    root = Path(store or "thalweg-store").resolve()
    uri = (
        os.environ.get("THALWEG_TRACKING_URI")
        or os.environ.get("MLFLOW_TRACKING_URI")
        or f"sqlite:///{root / 'mlflow.db'}"
    )
    if uri.startswith("http"):
        typer.echo(uri)
        return
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--backend-store-uri",
        uri,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    os.execv(sys.executable, command)


def _listing(kind: str) -> None:
    def command(name: PartName = None) -> None:
        from .console import console, part, parts
        from .plugins import Registry

        registry = Registry.installed()
        if name:
            typer.echo(part(registry, kind, name))
        else:
            console.print(parts(registry, kind))

    command.__doc__ = f"List the {kind} that are installed, or show one."
    app.command(kind)(command)


for _kind in ("datasets", "transforms", "methods", "laws", "enforcers", "losses", "metrics"):
    _listing(_kind)


def _record(name: str, store: str | None) -> dict[str, Any]:
    """A run's record, by its name (or the beginning of it) or its folder."""
    folder = Path(store or "thalweg-store") / "runs"
    found = [Path(name)] if (Path(name) / "run.json").is_file() else sorted(folder.glob(f"{name.replace('/', '-')}*"))
    files = [each / "run.json" for each in found if (each / "run.json").is_file()]
    if len(files) != 1:
        known = sorted(each.parent.name for each in folder.glob("*/run.json"))
        raise SourceError(
            f"{name!r} names {len(files) or 'no'} finished run{'s' if files else ''}",
            allowed=", ".join(known) or f"none in {folder}",
            advice="give --store, or the run's full name",
        )
    record: dict[str, Any] = json.loads(files[0].read_text())
    return record


def _links(folders: list[Path]) -> list[str]:
    """What observers left to be shown (`links.json`), each once."""
    lines: dict[str, None] = {}
    for folder in folders:
        if (folder / "links.json").is_file():
            for name, line in json.loads((folder / "links.json").read_text()).items():
                lines[f"{name:<10}{line}"] = None
    return list(lines)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except ThalwegError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(2 if isinstance(error, RecipeError) else 1)
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on from the last committed stage", err=True)
        sys.exit(130)
