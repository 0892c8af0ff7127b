"""The recipes of the conservation benchmark: that they fit, and that twins share what they can."""

from __future__ import annotations

from pathlib import Path

import pytest
from thalweg.recipes.planning import plans

RECIPES = Path(__file__).resolve().parents[3] / "recipes"


@pytest.mark.parametrize("name", ["porous-medium", "stefan"])
def test_a_soft_recipe_shares_the_free_training(name: str, tmp_path: Path) -> None:
    (plain,) = plans(RECIPES / f"{name}.yaml", store=str(tmp_path))
    (soft,) = plans(RECIPES / f"{name}-soft.yaml", store=str(tmp_path))
    assert plain.solver_digest(held=False) == soft.solver_digest(held=False) != soft.solver_digest(held=True)
    assert soft.twins
    assert not plain.twins
