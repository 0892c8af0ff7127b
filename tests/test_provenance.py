"""What makes a stage another stage: code and options, not comments and neighbours."""

from __future__ import annotations

import importlib
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import thalweg
from thalweg import Registry
from thalweg.pipeline import Execution
from thalweg.recipes import source_code
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans
from thalweg.recipes.provenance import STAGE_CODE, code_digest, digest, record, stage_code
from thalweg.recipes.source_code import NEUTRAL, digest_of, source_file
from thalweg.results.run import STAGES
from thalweg.testing.toy_learner import ToyLearner

Edit = Callable[[str, str, str], None]

HOME = Path(thalweg.__file__).parent


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("part.py", '"""Doubles."""', '"""Twice as much."""', False),
        ("part.py", "return DOUBLE", "return DOUBLE  # twice", False),
        ("part.py", "return DOUBLE", "return -DOUBLE", True),
        ("helper.py", "DOUBLE = 2", "DOUBLE = 3", True),
        ("neighbour.py", "OTHER = 1", "OTHER = 2", False),
    ],
)
def test_edited_code_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, changes: bool
) -> None:
    package = tmp_path / "edited_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("DOUBLE = 2\n")
    (package / "neighbour.py").write_text("OTHER = 1\n")
    (package / "part.py").write_text(
        "from thalweg import WholeMetric\nfrom .helper import DOUBLE\n\n\nclass Part(WholeMetric):\n"
        '    """Doubles."""\n\n    def value(self, estimate, truth):\n        return DOUBLE\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    part = importlib.import_module("edited_plugin.part").Part
    code_digest.cache_clear()
    before = code_digest(part)
    target = package / file
    target.write_text(target.read_text().replace(old, new))
    code_digest.cache_clear()
    assert (code_digest(part) != before) == changes
    for name in [name for name in sys.modules if name.startswith("edited_plugin")]:
        del sys.modules[name]


def test_a_record_holds_options_versions_and_inner_parts() -> None:
    made = Registry.installed().make("metrics", {"csi": {"thresholds": [74]}})
    found = record(made)
    assert found["name"] == "csi"
    assert found["options"]["thresholds"] == [74]
    assert found["version"].startswith("thalweg==")


# Code of core


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Core's source, to be edited."""
    made = tmp_path_factory.mktemp("core") / "thalweg"
    shutil.copytree(HOME, made, ignore=shutil.ignore_patterns("__pycache__"))
    return made


@pytest.fixture
def edit(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Edits the copy, from which digests are made then; undone in the end."""
    written: dict[Path, bytes] = {}

    def source(name: str) -> tuple[Path, str] | None:
        found = source_file(name)
        if found is None or HOME not in found[0].parents:
            return found
        return copy / found[0].relative_to(HOME), found[1]

    def change(file: str, old: str, new: str) -> None:
        written[copy / file] = (copy / file).read_bytes()
        text = (copy / file).read_text()
        assert old in text, f"{file} has changed: choose another line to edit"
        (copy / file).write_text(text.replace(old, new))
        forget()

    def forget() -> None:
        code_digest.cache_clear()
        stage_code.cache_clear()

    monkeypatch.setattr(source_code, "source_file", source)
    forget()
    yield change
    for file, text in written.items():
        file.write_bytes(text)
    forget()


EDITS = [
    ("components/totals.py", "self.sum / counted", "2 * self.sum / counted", {"evaluate", "judge"}),
    ("results/scored.py", 'sizes.astype("float64")', 'sizes.astype("float32")', {"evaluate"}),
    (
        "components/context.py",
        'range(1, wanted.sizes["lead"] + 1)',
        'range(wanted.sizes["lead"])',
        {"estimate", "evaluate", "judge"},
    ),
    ("results/solver.py", "made.with_state(load(", "made.with_state(dict(", {"train", "estimate"}),
    ("stores/blocks.py", "BLOCK = 64 *", "BLOCK = 32 *", {"ingest", "preprocess"}),
    ("stages/preprocess.py", "transform.statistics, data)", "transform.statistics, raw)", {"preprocess"}),
    (
        "samples/_batch.py",
        "np.arange(self.view.length) * self.view.every",
        "np.arange(self.view.length)",
        {"train", "estimate", "evaluate"},
    ),
    ("components/totals.py", "up over those of `dims` that are there.", "up over `dims`.", set()),
    (
        "results/scoring.py",
        "_emptied(statistic).over(*points)",
        "_emptied(statistic).over(*points)  # all of them",
        set(),
    ),
    ("results/report.py", "VERSIONED = (", 'VERSIONED = ("scipy", ', set()),
    ("commands/console.py", "width=None", "width=80", set()),
    ("cluster/workers.py", "RETRIES = 3", "RETRIES = 4", set()),
]


@pytest.mark.parametrize(("file", "old", "new", "stages"), EDITS, ids=[f"{each[0]}: {each[2]}" for each in EDITS])
def test_an_edit_of_core_is_seen_by_the_stages_that_it_concerns(
    edit: Edit, file: str, old: str, new: str, stages: set[str]
) -> None:
    before = {stage: stage_code(stage) for stage in STAGE_CODE}
    edit(file, old, new)
    assert {stage for stage in STAGE_CODE if stage_code(stage) != before[stage]} == stages


@pytest.mark.parametrize(
    ("file", "old", "new", "parts"),
    [
        ("components/law.py", "return (held - targets)", "return (targets - held)", {"law", "learner"}),
        ("components/component.py", 'own.get("variables") or ()', "()", {"law", "learner", "metric"}),
        ("samples/fields.py", "left.transpose(*right.dims, ...)", "left", {"metric"}),
        ("learning/training.py", "reproducible(job.options.seed, device)", "reproducible(0, device)", {"learner"}),
        (
            "learning/batches.py",
            "from .order import batches, pieces",
            "from .other import batches, pieces",
            {"learner"},
        ),
        ("learning/loop.py", "value * len(positions)", "value", {"learner"}),
        ("learning/scaling.py", "import numpy as np\n", "import numpy as np\n\nimport math\n", set()),
        ("learning/broken.py", "FEW = 8", "FEW = 9", set()),
        ("components/totals.py", "self.sum / counted", "2 * self.sum / counted", {"metric"}),
        ("results/scoring.py", "add(parts: Sequence", "summed(parts: Sequence", set()),
    ],
)
def test_an_edit_of_core_is_seen_by_the_parts_that_use_it(
    edit: Edit, file: str, old: str, new: str, parts: set[str]
) -> None:
    registry = Registry.installed()
    kinds = {
        "law": registry.get("laws", "area-mean"),
        "metric": registry.get("metrics", "rmse"),
        "learner": ToyLearner,
    }
    before = {name: code_digest(part) for name, part in kinds.items()}
    edit(file, old, new)
    assert {name for name, part in kinds.items() if code_digest(part) != before[name]} == parts


def test_a_place_that_is_not_there_is_an_error() -> None:
    for places in STAGE_CODE.values():
        assert set(map(":".join, places)) <= set(digest_of(places))
    with pytest.raises(LookupError, match="defines no"):
        digest_of([("thalweg.pipeline", "nothing")])


@contextmanager
def executed(found: set[str]) -> Iterator[None]:
    """The functions of core that run meanwhile, in all threads: `module:Class.method`."""

    def note(frame: FrameType, event: str, argument: Any) -> None:  # noqa: ARG001
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(HOME)) and not code.co_name.startswith("<"):
            found.add(f"{frame.f_globals['__name__']}:{code.co_qualname}")

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def known_to(plan: Plan, stage: str) -> set[str]:
    """The definitions of core in a stage's digest: its own code, and that of its parts."""
    method = type(plan.method)
    laws = [type(part) for hold in plan.holds for part in (*hold.laws, hold.enforcer)]
    parts = {
        "ingest": [type(plan.dataset)],
        "preprocess": [type(each) for each in plan.transforms],
        "train": [method],
        "constrain": [method, *laws],
        "evaluate": [*laws, *(type(each) for each in plan.metrics.values())],
    }[stage]
    places = [*STAGE_CODE["estimate" if stage == "constrain" else stage]]
    for part in parts:
        for each in part.__mro__:
            if each.__module__.startswith("thalweg"):
                own = each.__module__.startswith("thalweg.")
                places.append((each.__module__, each.__qualname__.partition(".")[0] if own else "*"))
    return set(digest_of(places))


ORCHESTRATION = {
    "thalweg.stores.arrays:reading",
    "thalweg.components.enforcer:Hold",
    "thalweg.results.records:from_parquet",
}
"""What the pipeline calls around a stage: names a broken chunk, asks a hold for its site."""


@pytest.mark.parametrize(
    "train",
    [{"method": {"linear-inverse-model": {"modes": 3, "lag": 1}}}, {"method": {"fno": {"width": 4}}, "epochs": 1}],
    ids=["closed form", "network"],
)
def test_what_a_stage_runs_is_in_its_digest(recipe: Any, tmp_path: Path, train: Any) -> None:
    """Every function of core that a stage calls, but for those of modules that change no number."""
    (plan,) = plans(recipe(train=train), store=str(tmp_path / "store"))
    neutral = tuple(f"{name}{end}" for name in (*NEUTRAL, "thalweg.pipeline", "thalweg.recipes.plan") for end in ".:")
    with Execution(plan, registry=Registry.installed()) as execution:
        for stage in STAGES:
            ran: set[str] = set()
            with executed(ran):
                execution.stage(stage)
            outer = {":".join((name.split(":")[0], name.split(":")[1].partition(".")[0])) for name in ran}
            own = {name for name in outer if not name.startswith(neutral)} - ORCHESTRATION
            assert len(own) > 3
            missing = own - known_to(plan, stage)
            assert not missing, f"{stage} runs what is not in its digest"


def test_a_package_that_hands_on_its_own_modules_has_an_end() -> None:
    """`from . import quantities` in the front of thalweg leads from `thalweg:quantities` to itself."""
    assert digest_of([("thalweg", "quantities")]) == {}
    found = digest_of([("thalweg_earth.methods._eofs", "*")])
    assert "thalweg.quantities.sphere:find_axis" in found
