"""What is installed but not used costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"dask", "distributed", "matplotlib", "mlflow", "numpy", "pandas", "prefect", "scipy", "torch", "xarray"}

INSTALLED = "from thalweg import Registry; registry = Registry.installed()"
LOADED = f"{INSTALLED}; assert registry.plugins and not registry.failures, registry.failures"
READ = (
    "from thalweg.recipes.recipe import Recipe; Recipe.parse(dict(name='a', ingest='b', "
    "train={'method': 'c'}, evaluate=['d']))"
)


def modules_after(code: str) -> set[str]:
    """All modules that a fresh interpreter holds after running `code`."""
    probe = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code", ["import thalweg", "import thalweg.commands.cli", "import thalweg.testing", LOADED, READ]
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert not HEAVY & modules_after(code)


def test_no_part_needs_torch_to_be_known() -> None:
    """Of any plugin: it is imported where something is learned or solved."""
    kinds = ["datasets", "transforms", "methods", "laws", "enforcers", "losses", "metrics"]
    found = modules_after(f"{INSTALLED}; [registry.parts(kind) for kind in {kinds!r}]")
    assert not {"torch", "mlflow", "prefect"} & found
