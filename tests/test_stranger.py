"""A stranger's plugin, in an environment of its own: installed, checked, run, removed, with no file of ours edited."""

from __future__ import annotations

import json
import os
import site
import subprocess
import venv
from pathlib import Path

import pytest
from thalweg import Record
from thalweg.results.report import table

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted(each.parent for each in (ROOT / "examples").glob("*/pyproject.toml"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Environment:
    """A fresh environment that holds thalweg's wheel; what thalweg depends on is borrowed from this one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        venv.create(folder, with_pip=True)
        own = next(folder.glob("lib/python*/site-packages"))
        (own / "borrowed.pth").write_text("\n".join(site.getsitepackages()))

    def __call__(self, *command: str | Path, cwd: Path | None = None, code: int = 0) -> str:
        """What a command prints; it must end with `code`."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "THALWEG", "MLFLOW"))}
        env |= {"OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
        program, *arguments = map(str, command)
        line = [str(self._folder / "bin" / program), *arguments]
        done = subprocess.run(line, cwd=cwd or self._folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{program} {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, source: Path) -> None:
        self("pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", source)

    def plugins(self) -> set[str]:
        return {line.split()[0] for line in self("thalweg", "plugins").splitlines()}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("environment"))
    made.install(ROOT)
    return made


def tables(store: Path) -> list[list[dict[str, float]]]:
    """The scores of every run in a store."""
    found = [json.loads(each.read_text())["records"] for each in sorted(store.glob("runs/*/run.json"))]
    return [table(map(Record.of, records)) for records in found]


def test_a_new_plugin_works_at_once(environment: Environment, tmp_path: Path) -> None:
    environment("thalweg", "new", "--plugin", "my-waves", "--in", tmp_path)
    plugin = tmp_path / "thalweg-my-waves"
    environment.install(plugin)
    assert "my-waves" in environment.plugins()
    # Its own tests have the kit try its parts, as `thalweg check` does.
    environment("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", plugin / "tests")
    assert "my-waves-within" in environment("thalweg", "run", "recipe.yaml", cwd=plugin)
    assert len(tables(plugin / "thalweg-store")) == 2
    environment("thalweg", "new", "--plugin", "my-waves", "--in", tmp_path / "again", code=2)
    environment("pip", "uninstall", "--quiet", "--yes", "thalweg-my-waves")
    assert "my-waves" not in environment.plugins()


@pytest.mark.parametrize("example", EXAMPLES, ids=[each.name for each in EXAMPLES])
def test_an_example_is_installed_checked_and_run(environment: Environment, example: Path, tmp_path: Path) -> None:
    environment.install(example)
    environment("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", example / "tests")
    environment("thalweg", "run", example / "recipe.yaml", "--store", tmp_path / "store", cwd=tmp_path)
    (table,) = tables(tmp_path / "store")
    violation = next(row for row in table if str(row["metric"]).startswith("violation/"))
    assert violation["held"] < 1e-6 < 1e-3 < violation["free"]
    environment("pip", "uninstall", "--quiet", "--yes", example.name)
