"""Curves of a training lie in the folder of each run that uses it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from thalweg import Registry
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.results.learning_curves import figure_of, read_table, table

CURVES = {0: {"loss/train": 0.1, "rate": 1e-3}, 1: {"loss/train": 1 / 3, "loss/validate": 2.0, "rate": 0.0}}


def test_a_table_is_read_back_as_it_was() -> None:
    assert read_table(table(CURVES)) == CURVES
    assert table(CURVES).decode().splitlines()[:2] == ["epoch,loss/train,rate,loss/validate", "1,0.1,0.001,"]


def test_a_figure_has_a_panel_for_each_loss_and_score() -> None:
    more = {0: {"loss/train": 1.0, "loss/validate": 2.0, "rmse/validate": 3.0, "learning_rate": 1.0}}
    figure = figure_of(more)
    assert figure is not None
    assert [(each.get_title(), len(each.lines)) for each in figure.axes] == [("loss", 2), ("rmse", 1)]
    assert figure_of({0: {"learning_rate": 1.0}}) is None


def test_a_run_has_the_curves_of_its_training_also_when_it_is_used_again(recipe: Any, tmp_path: Path) -> None:
    registry = Registry.installed()
    train = {"method": {"fno": {"width": 4, "modes": 2, "layers": 1}}, "epochs": 2, "batch": 8}
    (plan,) = plans(recipe(train=train), registry=registry, store=str(tmp_path / "store"))
    first = execute(plan, registry=registry, to="train")
    folder = Path(first.run.folder)
    curves = read_table((folder / "curves.csv").read_bytes())
    assert list(curves) == [0, 1]
    assert {"loss/train", "learning_rate"} <= set(curves[0])
    assert (folder / "figures" / "learning.png").read_bytes()[:4] == b"\x89PNG"
    assert set(first.stages["train"].files) == {"curves.csv", "figures/learning.png"}
    shutil.rmtree(folder)
    again = execute(plan, registry=registry, to="train")
    assert again.stages["train"].reused
    assert read_table((folder / "curves.csv").read_bytes()) == curves
