"""What the pages say is run: their Python, their recipes, their errors; and the site builds without a warning."""

from __future__ import annotations

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import xarray as xr
import yaml
from thalweg import (
    Component,
    Fitted,
    Law,
    Loss,
    Method,
    Metric,
    OutputEnforcer,
    Registry,
    WholeMetric,
    hookimpl,
    scalars,
)
from thalweg.commands.cli import app
from thalweg.errors import UnknownNameError
from thalweg.learning import TrainOptions
from thalweg.pipeline import execute
from thalweg.recipes.parts import labelled_metrics, variants_of
from thalweg.recipes.planning import plans_of
from thalweg.recipes.recipe import Recipe
from thalweg.testing import check_component, check_enforcer, check_law, check_loss, check_method, check_metric
from thalweg.testing.enforcers import laws_for

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
LINES = {"HitRate": 10, "Floor": 15, "Raise": 20, "Drift": 30, "Regression": 40, "Curvature": 8}
"""What an author is promised: a metric, a law, an enforcer, a solver, a forecaster, a law at a boundary."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(params=[each for each in PAGES if blocks(each, "python")], ids=lambda page: page.stem)
def module(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The Python of a page, run from top to bottom."""
    name = f"page_{request.param.stem.replace('-', '_')}"
    file = tmp_path / f"{name}.py"
    file.write_text("\n\n".join(blocks(request.param, "python")), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, made)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(r"`((?:core|plugins|flows|recipes|tests|benchmarks|deployments)/[\w./-]+)`", page.read_text())
    assert not [each for each in named if not (ROOT / each).exists()]


def test_parts_on_a_page_keep_the_contract(module: ModuleType) -> None:
    parts = [each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__]
    made: list[Any] = [each(**each.example) for each in parts if issubclass(each, Component)]
    assert made
    for each in made:
        check_component(each)
        match each:
            case Metric():
                check_metric(each)
            case Loss():
                check_loss(each)
            case Law():
                check_law(each)
            case OutputEnforcer():
                check_enforcer(each, laws_for(each, tuple(law for law in made if isinstance(law, Law))))
            case Fitted():
                pass  # It is made by its learner.
            case Method():
                check_method(each)


def test_parts_are_as_short_as_promised() -> None:
    pages = (ROOT / "docs" / "plugin.md", ROOT / "docs" / "laws.md")
    text = "\n\n".join(block for page in pages for block in blocks(page, "python"))
    for name, most in LINES.items():
        found = re.search(rf"^class {name}\(.*?(?=^\S|\Z)", text, flags=re.MULTILINE | re.DOTALL)
        assert found, name
        lines = [line for line in found.group().splitlines() if line.strip()]
        assert len(lines) <= most, f"{name} takes {len(lines)} lines"


RECIPES = [(page, text) for page in PAGES for text in blocks(page, "yaml") if isinstance(yaml.safe_load(text), dict)]


@pytest.mark.parametrize(("page", "text"), RECIPES, ids=[page.stem for page, _ in RECIPES])
def test_recipes_on_a_page_name_parts_that_there_are(page: Path, text: str) -> None:
    recipe, registry = Recipe.parse(yaml.safe_load(text), file=page.name), Registry.installed()
    assert len(text.splitlines()) <= 30
    registry.make("datasets", recipe.ingest)
    for each in recipe.preprocess:
        registry.make("transforms", each)
    for one in recipe.each_method():
        registry.make("methods", one.train["method"])
    assert len(labelled_metrics(recipe, registry)) == len(recipe.evaluate)
    found = [hold for holds in variants_of(recipe, registry).values() for hold in holds]
    assert sum(len(hold.laws) for hold in found) == len(recipe.constrain) + sum(map(len, recipe.variants.values()))


def test_the_first_recipe_gives_sane_scores(tmp_path: Path) -> None:
    """Of temperatures whose anomalies are below 4 K, errors are about 1 K; held, the law is kept."""
    pytest.importorskip("iris_sample_data")
    text = next(text for page, text in RECIPES if page.stem == "recipe")
    recipe, registry = Recipe.parse(yaml.safe_load(text), file="recipe.md"), Registry.installed()
    for plan in plans_of(recipe, registry, store=str(tmp_path / "store")):
        numbers = scalars(execute(plan, registry=registry).records())
        assert 0.5 < numbers["free/rmse"] < 2.0, plan.method.name
        assert 0.5 < numbers["held/rmse"] < 2.0, plan.method.name
        assert numbers["held/violation/area-mean/largest"] < 1e-4 < numbers["free/violation/area-mean"] + 1e-3


class Scores:
    """A plugin of one metric."""

    @hookimpl
    def register_metrics(self, register: Any) -> None:
        class RMSE(WholeMetric):
            def value(self, estimate: xr.Dataset, truth: xr.Dataset) -> xr.DataArray:
                return estimate["field"] - truth["field"]

        register("rmse", RMSE)


def test_the_error_on_the_recipe_page() -> None:
    *_, text = blocks(ROOT / "docs" / "recipe.md", "text")
    with pytest.raises(UnknownNameError) as caught:
        Registry({"scores": Scores()}).make("metrics", "rmsee", where="evaluate[0]")
    assert str(caught.value.at("", file="demo.yaml")) == text.strip()


def test_commands_on_a_page_exist() -> None:
    known = {each.name or each.callback.__name__ for each in app.registered_commands if each.callback}
    for page in PAGES:
        named = set(re.findall(r"^thalweg ([a-z]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE))
        named |= set(re.findall(r"`thalweg ([a-z]+)", page.read_text(encoding="utf-8")))
        assert named <= known, page.name


def test_the_site_builds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) >= len(PAGES)
    outside = {url for page in pages for url in re.findall(r'(?:src|href)="(https?://[^"]+)"', page.read_text())}
    assert not [url for url in outside if re.search(r"\.(js|css|woff2?)(\?|$)", url)], "the site loads from elsewhere"


def test_the_options_of_training_on_a_page_are_those_that_there_are() -> None:
    (block,) = blocks(ROOT / "docs" / "learning.md", "yml")
    given = {key: value for key, value in yaml.safe_load(block)["train"].items() if key != "method"}
    assert TrainOptions.of(given, defaults={}).model_dump(include=set(given)) == given
