"""An exception inside an author's part: one line with the part, its method, file and line, wherever it runs."""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import xarray as xr
import yaml
from thalweg import Held, Registry
from thalweg.components.calls import call
from thalweg.errors import EstimateError, PartError, PlannedPartError, RecipeError, RunError
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans

MODULE = '''
"""Parts that raise in the method that `fails` names."""
import threading
from typing import ClassVar

import numpy as np
import xarray as xr
from pydantic import field_validator
from thalweg import (
    Dataset, Fitted, Law, Learner, Metric, OutputEnforcer, Solver, Transform, WholeMetric, hookimpl
)
from thalweg.testing import series, windowed


class Odd(Exception):
    """Of a foreign library: it can be neither pickled nor made again."""

    def __init__(self, code, text):
        super().__init__(f"code {code}: {text}")
        self.lock = threading.Lock()


def fail(part, method):
    if part.fails == method:
        raise Odd(7, "no such thing")  # HERE


class Waves(Dataset):
    """Waves."""
    fails: str = ""
    def open(self):
        fail(self, "open")
        data = windowed(series())
        number = np.arange(data.sizes["window"])
        data["window_split"] = "window", np.where(number < 20, 0, np.where(number < 30, -1, 2))
        return data.map(lambda each: each.chunk().map_blocks(self.later, template=each) if each.ndim == 3 else each)
    def later(self, block):
        fail(self, "later")
        return block
    def fingerprint(self):
        fail(self, "fingerprint")
        return "waves"


class Same(Transform):
    """Changes nothing."""
    fails: str = ""
    def check(self, given):
        fail(self, "check")
    def statistics(self, data):
        fail(self, "statistics")
        return xr.Dataset()
    def apply(self, data, statistics):
        fail(self, "apply")
        return data


class Still(Solver):
    """The last input."""
    fails: str = ""
    def solve(self, inputs, wanted):
        fail(self, "solve")
        lead = np.arange(wanted.sizes["lead"]) + 1
        last = inputs[list(wanted.names)].isel(lead=-1, drop=True)
        return last.expand_dims(lead=lead).transpose("sample", "lead", ...)


class Learned(Fitted):
    """What was learned."""
    fails: str = ""
    def solve(self, inputs, wanted):
        fail(self, "solve")
        return Still().solve(inputs, wanted)


class Learns(Learner):
    """Learns nothing much."""
    fails: str = ""
    later: str = ""
    fitted: ClassVar = Learned
    def fit(self, training):
        fail(self, "fit")
        return Learned(fails=self.later).with_state({"one": np.ones(1)})


class Above(Law):
    """Nothing is below zero."""
    fails: str = ""
    def residual(self, fields, context, grid):
        fail(self, "residual")
        return fields[["field"]].clip(max=0).assign(field=lambda d: d["field"].assign_attrs(units="1"))


class Raises(OutputEnforcer):
    """Raises to zero."""
    fails: str = ""
    def hold(self, estimate, held, context):
        fail(self, "hold")
        [law.residual(estimate, context, held.grid) for law in held.laws if law.fails == "inside"]
        return estimate


class Error(Metric):
    """Mean error."""
    fails: str = ""
    def statistics(self, estimate, truth):
        fail(self, "statistics")
        return {"error": estimate["field"] - truth["field"]}
    def value(self, mean):
        fail(self, "value")
        return mean["error"]


class Whole(WholeMetric):
    """Mean error."""
    fails: str = ""
    def value(self, estimate, truth):
        fail(self, "value")
        return (estimate["field"] - truth["field"]).mean()


class Picky(Metric):
    """Cannot look at its option."""
    fails: str = ""
    @field_validator("fails")
    @classmethod
    def validated(cls, value):
        return {}[value]
    def statistics(self, estimate, truth):
        return {}
    def value(self, mean):
        return 0


@hookimpl
def register_datasets(register): register("waves", Waves)
@hookimpl
def register_transforms(register): register("same", Same)
@hookimpl
def register_methods(register): register("still", Still); register("learns", Learns)
@hookimpl
def register_laws(register): register("above", Above)
@hookimpl
def register_enforcers(register): register("raises", Raises)
@hookimpl
def register_metrics(register): register("error", Error); register("whole", Whole); register("picky", Picky)
'''

PLANNED = [
    ("ingest", {"waves": {"fails": "open"}}, "`open` of waves", "ingest.waves"),
    ("ingest", {"waves": {"fails": "fingerprint"}}, "`fingerprint` of waves", "ingest.waves"),
    ("preprocess", [{"same": {"fails": "check"}}], "`check` of same", "preprocess[0].same"),
    ("preprocess", [{"same": {"fails": "statistics"}}], "`statistics` of same", "preprocess[0].same"),
    ("preprocess", [{"same": {"fails": "apply"}}], "`apply` of same", "preprocess[0].same"),
    ("evaluate", [{"picky": {"fails": "x"}}], "`validated` of picky", "evaluate[0].picky"),
]

RUN = [
    ("ingest", {"waves": {"fails": "later"}}, "`later` of waves"),
    ("train", {"method": {"still": {"fails": "solve"}}}, "`solve` of still"),
    ("train", {"method": {"learns": {"fails": "fit"}}}, "`fit` of learns"),
    ("train", {"method": {"learns": {"later": "solve"}}}, "`solve` of learns"),
    ("constrain", [{"hold": "above", "by": {"raises": {"fails": "hold"}}}], "`hold` of raises"),
    ("constrain", [{"hold": {"above": {"fails": "residual"}}, "by": "raises"}], "`residual` of above"),
    ("evaluate", [{"error": {"fails": "statistics"}}], "`statistics` of error"),
    ("evaluate", [{"error": {"fails": "value"}}], "`value` of error"),
    ("evaluate", [{"whole": {"fails": "value"}}], "`value` of whole"),
]

BEFORE_COMPUTING = {"ingest": "waves", "preprocess": ["same"], "train": {"method": "still"}, "evaluate": ["error"]}


@pytest.fixture
def raising(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    (tmp_path / "raising_plugin.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("raising_plugin")
    del sys.modules["raising_plugin"]


def written(tmp_path: Path, **sections: Any) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump({"name": "raising", **BEFORE_COMPUTING, **sections}))
    return file


def here(module: ModuleType) -> str:
    """Where `fail` raises."""
    file = str(module.__file__)
    return f"{file}:{1 + [*map(str.rstrip, Path(file).read_text().splitlines())].index(RAISED)}"


RAISED = '        raise Odd(7, "no such thing")  # HERE'


@pytest.mark.bad_input("authors", "a part that raises while the plan is made: {id}")
@pytest.mark.parametrize(("section", "given", "said", "place"), PLANNED, ids=[each[2] for each in PLANNED])
def test_while_a_plan_is_made(
    raising: ModuleType, tmp_path: Path, section: str, given: Any, said: str, place: str
) -> None:
    with pytest.raises(PlannedPartError) as caught:
        plans(
            written(tmp_path, **{section: given}), registry=Registry({"mine": raising}), store=str(tmp_path / "store")
        )
    text = str(caught.value)
    assert isinstance(caught.value, RecipeError)
    what = "KeyError: 'x'" if "picky" in said else "Odd: code 7: no such thing"
    assert f"recipe.yaml: {place}: {said} raised {what} ({raising.__file__}:" in text
    assert here(raising) in text or "picky" in said
    assert len(text.splitlines()) == 2
    assert not (tmp_path / "store").exists()


@pytest.mark.fault("authors", "a part raises while the run is under way")
@pytest.mark.parametrize(("section", "given", "said"), RUN, ids=[each[2] for each in RUN])
def test_while_a_stage_runs(raising: ModuleType, tmp_path: Path, section: str, given: Any, said: str) -> None:
    registry = Registry({"mine": raising})
    (plan,) = plans(written(tmp_path, **{section: given}), registry=registry, store=str(tmp_path / "store"))
    with pytest.raises(PartError) as caught:
        execute(plan, registry=registry)
    text = str(caught.value)
    assert text.splitlines() == [
        f"{said} raised Odd: code 7: no such thing ({here(raising)})",
        "  do: mend the part at this line; `run --verbose` shows the traceback",
    ]
    assert not isinstance(caught.value, RecipeError)
    assert "Traceback" in caught.value.trace


@pytest.mark.fault("authors", "a part raises an exception that does not pickle, in a worker process of another machine")
def test_in_a_worker_process(raising: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    registry = Registry({"mine": raising})
    recipe = written(tmp_path, train={"method": {"still": {"fails": "solve"}}})
    cluster = {"local": {"workers": 1, "memory": "1GiB"}}
    (plan,) = plans(recipe, registry=registry, store=str(tmp_path / "store"), cluster=cluster)
    with pytest.raises(PartError) as caught:
        execute(plan, registry=registry)
    assert str(caught.value).startswith(f"`solve` of still raised Odd: code 7: no such thing ({here(raising)})")
    assert "Traceback" in caught.value.trace


def test_the_part_inside_is_named_and_not_the_one_around_it(raising: ModuleType) -> None:
    law, enforcer = raising.Above(fails="residual"), raising.Raises()
    law = law.model_copy(update={"fails": "residual"})
    data = xr.Dataset({"field": ("x", [1.0])})
    object.__setattr__(law, "_name", "above")

    def hold() -> None:
        enforcer.hold(data, Held((law,), data), data)
        law.residual(data, data, data)

    with pytest.raises(PartError, match=r"^`residual` of above raised Odd"):
        call(enforcer, hold)


def test_what_is_raised_on_purpose_and_what_is_our_fault_stay_as_they_are(raising: ModuleType) -> None:
    part = raising.Still()

    def on_purpose() -> None:
        raise EstimateError("three poses")

    with pytest.raises(EstimateError, match="three poses"):
        call(part, on_purpose)
    with pytest.raises(ZeroDivisionError):
        call(part, lambda: 1 / 0)


def test_it_travels_between_processes() -> None:
    error = PartError("`open` of waves raised", advice="mend it", where="ingest", trace="Traceback: ...")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.trace) == (PartError, str(error), "Traceback: ...")
    assert isinstance(again, RunError)
    planned = pickle.loads(pickle.dumps(PlannedPartError.of(error)))
    assert (type(planned), str(planned), planned.trace) == (PlannedPartError, str(error), "Traceback: ...")


def test_verbose_shows_the_traceback(raising: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry({"mine": raising})
    recipe = written(tmp_path, evaluate=[{"error": {"fails": "value"}}])
    (plan,) = plans(recipe, registry=registry, store=str(tmp_path / "store"))
    with caplog.at_level(logging.DEBUG, "thalweg"), pytest.raises(PartError):
        execute(plan, registry=registry)
    assert caplog.text.count("Traceback (most recent call last)") == 1
    assert RAISED.strip().removesuffix("  # HERE") in caplog.text


INSTALLED = """
import sys
from importlib import metadata
found, mine = metadata.entry_points, metadata.EntryPoint("raising", "raising_plugin", "thalweg")
metadata.entry_points = lambda **asked: [mine] if asked.get("group") == "thalweg" else found(**asked)
from thalweg.commands.cli import main
main()
"""


@pytest.mark.parametrize(
    ("section", "given", "code"),
    [("ingest", {"waves": {"fails": "open"}}, 2), ("evaluate", [{"error": {"fails": "statistics"}}], 1)],
    ids=["plan", "run"],
)
def test_the_command_line_says_it_once(
    raising: ModuleType, tmp_path: Path, section: str, given: Any, code: int
) -> None:
    recipe = written(tmp_path, **{section: given})
    command = [sys.executable, "-c", INSTALLED, "run", str(recipe), "--store", str(tmp_path / "store")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "THALWEG_PLUGINS": "raising"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("no such thing") == 1
    assert done.stderr.count(here(raising)) == 1
