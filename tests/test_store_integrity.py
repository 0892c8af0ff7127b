"""A flipped byte anywhere in a store is named, or the scores are the same; and the advice mends it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from thalweg import Registry, scalars
from thalweg.commands.cli import app
from thalweg.errors import CorruptError
from thalweg.pipeline import Execution, execute
from thalweg.recipes.plan import Plan
from thalweg.recipes.planning import plans
from thalweg.results.run import STAGES
from thalweg.stores.store import Store
from typer.testing import CliRunner

Recipes = Callable[..., Path]
REGISTRY = Registry.installed()

VICTIMS = {
    "a manifest": ("evaluate/*/manifest-000001.json", "--from evaluate"),
    "a manifest's number": ("evaluate/*/manifest-000001.json", "--from evaluate"),
    "the weights": ("train/*/attempt-*/data/state.safetensors", "--from train"),
    "the options of a solver": ("train/*/attempt-*/data/options.json", "--from train"),
    "the card of a solver": ("train/*/attempt-*/data/card.md", "--from train"),
    "the metadata of an array": ("preprocess/*/attempt-*/data/temperature/zarr.json", "--from preprocess"),
    "the metadata of a group": ("ingest/*/attempt-*/data/zarr.json", "--from ingest"),
    "an estimate's metadata": ("estimate/*/attempt-*/data/zarr.json", "--from constrain"),
    "the table of scores": ("evaluate/*/attempt-*/data/scores.parquet", "--from evaluate"),
    "the layout of the sums by sample": ("evaluate/*/attempt-*/sums/zarr.json", "--from evaluate"),
    "a figure": ("evaluate/*/attempt-*/data/figures/scores.png", "--from evaluate"),
}
CHUNKS = {
    "a chunk of the source": ("ingest/*/attempt-*/data/temperature/c/0/0/0", "preprocess", "--from ingest"),
    "a coordinate": ("preprocess/*/attempt-*/data/latitude/c/0", "train", "--from preprocess"),
    "a chunk of an estimate": ("estimate/*/attempt-*/data/temperature/c/0/0/0/0", "evaluate", "--from constrain"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the store of one finished run; each test takes a copy."""
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def done(recipe: Recipes, finished: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A recipe, and a store in which it was run."""
    file = finished / "wave.yaml"
    if not file.exists():
        shutil.copy(tmp_path / "wave.nc", finished)
        file.write_text(recipe().read_text().replace(str(tmp_path), str(finished)))
        execute(planned(file, finished / "store"), registry=REGISTRY)
    shutil.copytree(finished / "store", tmp_path / "store")
    return file, tmp_path / "store"


def planned(file: Path, store: Path) -> Plan:
    (plan,) = plans(file, registry=REGISTRY, store=str(store))
    return plan


def again(file: Path, store: Path, *redo: str) -> Execution:
    return execute(planned(file, store), registry=REGISTRY, redo=redo)


def scores(execution: Execution) -> dict[str, float]:
    return {key: value for key, value in scalars(execution.records()).items() if "seconds" not in key}


def flip(file: Path, at: int | None = None) -> None:
    content = bytearray(file.read_bytes())
    place = int(np.random.default_rng().integers(len(content))) if at is None else at
    content[place] ^= 1
    file.write_bytes(bytes(content))


@pytest.mark.fault("stores", "a byte is flipped in {id}")
@pytest.mark.parametrize("victim", VICTIMS)
def test_a_flipped_byte_is_named_and_its_stage_made_again(done: tuple[Path, Path], victim: str) -> None:
    file, store = done
    pattern, advice = VICTIMS[victim]
    broken = sorted(store.glob(pattern))[0]
    spots = {"a manifest": '"sha256": "', "a manifest's number": '"seconds": '}
    flip(broken, broken.read_text().index(spots[victim]) + 16 if victim in spots else None)
    name = (
        str(broken.relative_to(store))
        if "manifest" in victim
        else broken.relative_to(store).as_posix().split("/", 3)[3]
    )
    plan = planned(file, store)
    stage = advice.split()[1]
    assert name in plan.steps[stage].broken
    assert not plan.steps[stage].cached
    assert f"{stage:<11}{plan.steps[stage].digest[:10]}  broken" in plan.text()
    with pytest.raises(CorruptError, match=re.escape(name)) as caught:
        execute(plan, registry=REGISTRY)
    assert advice in caught.value.advice
    # What the advice says, works; and of a broken stage nothing is reused.
    mended = execute(planned(file, store), registry=REGISTRY, redo=STAGES[STAGES.index(stage) :], to=stage)
    assert not mended.stages[stage].reused
    assert planned(file, store).steps[stage].cached


@pytest.mark.fault("stores", "a byte is flipped in {id}, which carries its own CRC-32C")
@pytest.mark.parametrize("victim", CHUNKS)
def test_a_flipped_byte_of_a_chunk_is_named_when_it_is_read(done: tuple[Path, Path], victim: str) -> None:
    file, store = done
    pattern, reader, advice = CHUNKS[victim]
    whole = scores(again(file, store))
    broken = sorted(store.glob(pattern))[0]
    flip(broken)
    assert scores(again(file, store)) == whole  # nothing reads it
    with pytest.raises(
        CorruptError, match=re.escape(broken.relative_to(store).as_posix().split("data/", 1)[1])
    ) as caught:
        execute(planned(file, store), registry=REGISTRY, redo=STAGES[STAGES.index(reader) :], to=reader)
    assert advice in caught.value.advice
    stage = advice.split()[1]
    assert scores(again(file, store, *STAGES[STAGES.index(stage) :])) == whole


@pytest.mark.fault("stores", "a manifest is cut to nothing")
def test_an_empty_manifest_is_named_and_replaced(done: tuple[Path, Path]) -> None:
    file, store = done
    (broken,) = store.glob("preprocess/*/manifest-000001.json")
    broken.write_bytes(b"")
    assert "manifest-000001.json is not JSON" in planned(file, store).steps["preprocess"].broken
    assert not again(file, store, *STAGES[1:]).stages["preprocess"].reused


@pytest.mark.fault("stores", "a byte is flipped in the record of a run that `compare` reads")
def test_a_run_record_that_was_changed_is_not_compared(done: tuple[Path, Path]) -> None:
    _, store = done
    (record,) = store.glob("runs/*/run.json")
    flip(record, record.read_text().index('"value": 0.') + 12)
    refused = CliRunner().invoke(app, ["compare", str(record.parent)])
    assert refused.exit_code == 1
    assert f"{record} is not what was written" in refused.output


def test_from_a_stage_replaces_and_keeps(done: tuple[Path, Path]) -> None:
    """A manifest is never overwritten: the next one has the next number, and the highest is read."""
    file, store = done
    (before,) = store.glob("evaluate/*/manifest-*.json")
    content = before.read_bytes()
    again(file, store, "evaluate")
    assert sorted(each.name for each in before.parent.glob("manifest-*")) == [
        "manifest-000001.json",
        "manifest-000002.json",
    ]
    assert before.read_bytes() == content
    found = Store(store).find("evaluate", before.parent.name)
    assert found is not None
    assert found.manifest["generation"] == 2
    assert json.loads(content)["attempt"] in {each.name for each in before.parent.glob("attempt-*")}


def test_an_extra_file_is_not_read_but_an_extra_array_is_refused(done: tuple[Path, Path]) -> None:
    file, store = done
    data = next(store.glob("preprocess/*/attempt-*/data"))
    (data / "temperature" / ".nfs0001").write_bytes(b"x")
    (data / "temperature" / "notes.txt").write_bytes(b"x")
    assert planned(file, store).steps["preprocess"].cached
    shutil.copytree(data / "latitude", data / "latitude2")
    assert "data/latitude2/zarr.json was not there when committed" in planned(file, store).steps["preprocess"].broken
