"""`thalweg new --plugin`: what it writes works as it is."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from thalweg import OptionError, Registry
from thalweg.commands.scaffold import new_plugin
from thalweg.recipes.recipe import Recipe
from thalweg.testing import check


@pytest.fixture
def written(tmp_path: Path) -> Path:
    new_plugin("my-waves", tmp_path)
    return tmp_path / "thalweg-my-waves"


def test_files(tmp_path: Path) -> None:
    files = new_plugin("my-waves", tmp_path)
    assert [str(each.relative_to(tmp_path / "thalweg-my-waves")) for each in files] == [
        "README.md",
        "pyproject.toml",
        "recipe.yaml",
        "tests/test_plugin.py",
        "thalweg_my_waves/__init__.py",
        "thalweg_my_waves/trend.py",
        "thalweg_my_waves/wave.py",
        "thalweg_my_waves/within.py",
    ]
    assert not any("{{" in each.read_text() for each in files)


def test_pyproject_names_the_plugin(written: Path) -> None:
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]
    assert project["name"] == "thalweg-my-waves"
    assert project["entry-points"]["thalweg"] == {"my-waves": "thalweg_my_waves"}


def test_recipe_names_its_parts(written: Path) -> None:
    recipe = Recipe.load(written / "recipe.yaml")
    assert recipe.ingest == "my-waves-wave"
    assert recipe.train["method"] == ["my-waves-trend", "persistence"]
    assert len((written / "recipe.yaml").read_text().splitlines()) <= 30
    assert yaml.safe_load((written / "recipe.yaml").read_text())["name"] == "my-waves-trend"


def test_parts_keep_the_contract(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(written)
    monkeypatch.setenv("PYTHONPATH", str(written))
    try:
        report = check(Registry({"my-waves": importlib.import_module("thalweg_my_waves")}), "my-waves")
    finally:
        for module in [each for each in sys.modules if each.startswith("thalweg_my_waves")]:
            del sys.modules[module]
    assert report.ok, str(report)
    assert not report.unchecked, str(report)


@pytest.mark.parametrize("command", [["ruff", "check", "--select", "E,F,W,I,B,UP"], ["ruff", "format", "--check"]])
def test_code_is_clean(written: Path, command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--isolated", "--line-length", "120", "."],
        cwd=written,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "My Waves!",
            "'My Waves!' is no name for a plugin\n"
            "  allowed: lower-case letters and digits, in words joined by '-'\n  do: try 'my-waves'",
        ),
        ("../up", "'../up' is no name for a plugin\n  allowed: lower-case letters and digits, in words joined by '-'"),
        ("", "'' is no name for a plugin\n  allowed: lower-case letters and digits, in words joined by '-'"),
        (
            "earth",
            "a module 'thalweg_earth' is installed already\n  do: choose another name, or uninstall it",
        ),
    ],
)
def test_wrong_names_are_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(OptionError) as caught:
        new_plugin(name, tmp_path)
    assert str(caught.value).startswith(text)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(written: Path) -> None:
    (written / "README.md").write_text("mine")
    with pytest.raises(OptionError, match="is there already"):
        new_plugin("my-waves", written.parent)
    assert (written / "README.md").read_text() == "mine"
