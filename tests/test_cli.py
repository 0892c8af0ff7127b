"""The command line as a user meets it: exit codes, three-part errors, and what a run ends with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fresh
import pytest
import yaml
from thalweg import Registry
from thalweg.errors import RecipeError, ThalwegError
from thalweg.recipes.planning import plans
from typer.testing import CliRunner, Result

Recipes = Callable[..., Path]

GOLDEN = Path(__file__).parent / "golden"
REGISTRY = Registry.installed()

# Ten mistakes that people make, by the sections that they spoil.
MISTAKES: dict[str, dict[str, Any]] = {
    "unknown-component": {"evaluate": ["nino43-skill"]},
    "misspelled-option": {"evaluate": [{"rmse": {"wieghts": "area"}}]},
    "wrong-type": {"train": {"method": {"linear-inverse-model": {"modes": "many"}}}},
    "unit-mismatch": {
        "preprocess": [{"rescale": {"variable": "temperature", "offset": -273.15, "units": "K", "to": "degC"}}]
    },
    "missing-file": {"PATH": "wvae.nc"},
    "overlapping-periods": {"SPLIT": {"train": [2000, 2006], "test": [2006, 2009]}},
    "overlapping-windows": {"SPLIT": {"by": "window_start", "train": [0, 59], "test": [60, 120]}},
    "train-option": {"train": {"method": "convlstm", "epochs": "many"}},
    "judge-that-does-not-fit": {"train": {"method": "convlstm", "judge": {"nino34-skill": {"leads": 12}}}},
    "law-of-no-input": {
        "constrain": [
            {"hold": {"integral": {"variable": "temperature", "target": "row(last(temprature))"}}, "by": "additive"}
        ]
    },
    "window-too-long": {"WINDOWS": {"inputs": 100, "targets": 40}},
    "unknown-variable": {"evaluate": [{"rmse": {"variable": "rain"}}]},
    "option-of-another": {"train": {"method": "persistence", "epochs": 3}},
    "unknown-section": {"evalute": ["rmse"]},
    "two-names": {"evaluate": [{"rmse": {}, "mae": {}}]},
    "unknown-cluster": {"cluster": "slrum"},
    "too-large": {"cluster": {"local": {"workers": 1, "memory": "20kB"}}},
    "variant-that-is-no-list": {
        "constrain": {"mass": {"hold": {"integral": {"variable": "temperature"}}, "by": "additive"}}
    },
    "threshold-out-of-range": {"PREPROCESS": [1, 2], "evaluate": [{"csi": {"thresholds": [1, 40]}}]},
}


def spoiled(recipe: Recipes, sections: dict[str, Any]) -> Path:
    sections = dict(sections)
    file = recipe("spoiled")
    tree = yaml.safe_load(file.read_text())
    if "PREPROCESS" in sections:
        tree["preprocess"] = [tree["preprocess"][i] for i in sections.pop("PREPROCESS")]
    if "PATH" in sections:
        tree["ingest"]["array"]["path"] = str(file.with_name(sections.pop("PATH")))
    if "SPLIT" in sections:
        tree["preprocess"][2]["split"] = sections.pop("SPLIT")
    if "WINDOWS" in sections:
        tree["preprocess"][1]["windows"] = sections.pop("WINDOWS")
    file.write_text(yaml.safe_dump({**tree, **sections}))
    return file


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_before_anything_is_spent(recipe: Recipes, tmp_path: Path, mistake: str) -> None:
    """`REGOLD=1 pytest` writes the texts anew: read them before you commit them."""
    with pytest.raises(RecipeError) as caught:
        plans(spoiled(recipe, MISTAKES[mistake]), registry=REGISTRY, store=str(tmp_path / "store"))
    text = f"{type(caught.value).__name__}: {caught.value}\n".replace(str(tmp_path), "...")
    golden = GOLDEN / f"{mistake}.txt"
    if os.environ.get("REGOLD"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()
    assert text.startswith(f"{type(caught.value).__name__}: spoiled.yaml: ")
    assert not (tmp_path / "store").exists()


def here(*arguments: str) -> Result:
    """The same in this process, which has imported what takes a fresh one seconds."""
    from thalweg.commands.cli import app

    return CliRunner().invoke(app, arguments)


def test_exit_codes(recipe: Recipes, tmp_path: Path) -> None:
    given = ["plan", str(spoiled(recipe, MISTAKES["unknown-component"]))]
    wrong = subprocess.run([sys.executable, "-m", "thalweg", *given], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
    refused = here("run", str(recipe()), "--set", "store=/proc/nowhere")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("StoreError: /proc/nowhere")
    assert "Traceback" not in refused.stderr
    assert here("plan", str(recipe()), "--store", str(tmp_path / "store")).exit_code == 0


def test_a_run_ends_with_its_scores_and_what_to_do_next(recipe: Recipes, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    plain = {**os.environ, "NO_COLOR": "1"}
    done = fresh.command("run", str(recipe()), "--store", store, environment=plain)
    assert done.returncode == 0, done.stderr
    assert "violation/area-mean" in done.stdout
    assert re.search(r"^cost      train \S+ s; estimate free \S+ s, held \S+ s$", done.stdout, re.MULTILINE)
    assert "\x1b[" not in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("compare")]
    again = here(*line.split()[2:])
    assert again.exit_code == 0, again.stderr
    assert "rmse" in again.stdout
    cited = here("cite", line.split()[3], "--store", store)
    assert "https://doi.org/10." in cited.stdout


@pytest.mark.parametrize("kind", ["datasets", "transforms", "methods", "laws", "enforcers", "losses", "metrics"])
def test_every_part_can_be_listed_and_shown(kind: str) -> None:
    from thalweg.commands.cli import app

    runner = CliRunner()
    listed = runner.invoke(app, [kind])
    assert listed.exit_code == 0
    for name in REGISTRY.parts(kind):
        assert name in listed.output
        shown = runner.invoke(app, [kind, name])
        assert shown.exit_code == 0, shown.output
        assert name in shown.output


def test_the_schema_is_json() -> None:
    assert json.loads(here("schema").stdout)["title"] == "thalweg recipe"


def test_help_loads_nothing_heavy() -> None:
    """Time is measured in benchmarks/; here, what takes it."""
    code = (
        "import sys; from typer.testing import CliRunner; from thalweg.commands.cli import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "heavy = {'numpy', 'xarray', 'dask', 'torch', 'mlflow', 'prefect', 'pandas', 'zarr'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_errors_travel_between_processes() -> None:
    import pickle

    for kind in ThalwegError.__subclasses__():
        error = kind("given", allowed="a", advice="b", where="c", file="d")
        assert str(pickle.loads(pickle.dumps(error))) == str(error) == "d: c: given\n  allowed: a\n  do: b"
