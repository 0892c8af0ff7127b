"""thalweg from Python: run, plan, load, forecast, open_scores, compare."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import thalweg
import xarray as xr
import yaml
from thalweg import OptionError, SourceError

Recipes = Callable[..., Path]


@pytest.fixture
def two(recipe: Recipes) -> Path:
    return recipe(train={"method": ["persistence", {"linear-inverse-model": {"modes": 3, "lag": 1}}]})


def test_a_recipe_is_planned_run_and_looked_at(two: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    plans = thalweg.plan(two, store=store)
    assert len(plans) == 2
    assert "ingest" in repr(plans)
    assert not (store / "ingest").exists()
    runs = thalweg.run(plans)
    assert [each.variants for each in runs] == [("free", "held")] * 2
    assert set(runs.scores["run"]) == {each.title for each in runs}
    one = runs[1]
    overall = one.scores[one.scores["lead"].isna() & (one.scores["metric"] == "rmse")].set_index("variant")
    assert overall.loc["held", "count"] > 0
    assert one.title in repr(one)
    assert "<table" in one._repr_html_()
    assert "rmse" in repr(runs)
    assert runs[:1][0].digest == runs[0].digest
    estimate = one.estimate("held")
    assert estimate.chunks
    assert estimate.sizes["sample"] == overall.loc["held", "samples"]
    with pytest.raises(OptionError, match="has no estimate 'bound'"):
        one.estimate("bound")


def test_what_was_run_is_opened_compared_and_forecast_with(two: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first, second = thalweg.run(two, store=store)
    table = thalweg.open_scores(second.title, store=store)
    assert table["value"].equals(second.scores["value"])
    found = thalweg.compare(first, second.title, store=store)
    assert len(found.sides) == 4
    assert found.differences
    made = thalweg.forecast(second.title, store=store)
    xr.testing.assert_identical(made, second.forecast())
    assert made["temperature"].attrs["units"] == "degC"
    assert np.isfinite(made["temperature"]).all()
    with pytest.raises(SourceError, match="names no finished run"):
        thalweg.open_scores("nothing", store=store)


def test_a_recipe_may_be_plain_data(recipe: Recipes, tmp_path: Path) -> None:
    tree: dict[str, Any] = yaml.safe_load(recipe().read_text())
    (one,) = thalweg.run(tree, store=tmp_path / "store", only="free")
    assert one.variants == ("free",)
    with pytest.raises(OptionError, match="overrides of a recipe that is no file"):
        thalweg.plan(tree, overrides=["name=other"])


def test_every_public_name_is_there_and_loaded_when_asked_for() -> None:
    code = "import sys, thalweg; assert not {'pydantic', 'numpy', 'thalweg.pipeline'} & set(sys.modules); thalweg.run"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert thalweg.__all__ == dir(thalweg) == sorted(set(thalweg.__all__))
    assert all(getattr(thalweg, name) is not None for name in thalweg.__all__)
    with pytest.raises(AttributeError, match="ran"):
        thalweg.ran  # type: ignore[attr-defined]  # noqa: B018


PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"


def test_the_blocks_of_the_page_run(recipe: Recipes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipe.yaml").write_text(recipe().read_text())
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    for each in blocks:
        exec(each, names)
    assert len(blocks) == 6
    assert len(names["comparison"].sides) == 4
    assert "differences from" in repr(names["comparison"])
    assert len(repr(names["solver"]).splitlines()) == 6
    assert names["first"].solver("held") == names["first"].solver()  # its law is held on the output
    scores = names["scores"]
    assert (scores["units"][scores["metric"].str.startswith("violation/")] == "degC").all()
    with pytest.raises(thalweg.HandshakeError, match="dims"):
        names["solver"].solve(names["solver"].grid.assign(temperature=((), 0.0, {"units": "degC"})))
    assert {"value", "count", "coverage", "units", "lead"} <= set(names["scores"])
