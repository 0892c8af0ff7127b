"""Prune removes what no run needs, and nothing that a live attempt or a run does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from thalweg import Registry
from thalweg.commands.cli import app
from thalweg.errors import CorruptError, SourceError, SupersededError
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.stores import lease as leases
from thalweg.stores.attempt import Attempt
from thalweg.stores.committed import Committed
from thalweg.stores.files import write_bytes
from thalweg.stores.prune import Pruned, prune
from thalweg.stores.references import refer
from thalweg.stores.store import Store
from typer.testing import CliRunner

Recipes = Callable[..., Path]
REGISTRY = Registry.installed()
KEPT, GONE = "a" * 32, "b" * 32


def finish(attempt: Attempt, content: bytes = b"42") -> Committed:
    write_bytes(attempt.url("data/value"), content)
    return attempt.commit({"stage": "ingest"}, numbers={})


def made(store: Store, stage: str, digest: str, *, generation: int = 1) -> Committed:
    with store.attempt(stage, digest, generation=generation) as attempt:
        return finish(attempt)


def pruned(root: Path, *, dry_run: bool = False) -> dict[str, str]:
    return {each.name: each.why for each in prune(root, dry_run=dry_run)}


def test_stages_that_no_run_needs_are_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    refer(store.root, "one-run", {"ingest": [KEPT]})
    kept = made(store, "ingest", KEPT)
    made(store, "ingest", GONE)
    expected = {f"ingest/{GONE}": "no run needs it"}
    assert pruned(tmp_path, dry_run=True) == expected
    assert (tmp_path / "ingest" / GONE).exists()
    assert pruned(tmp_path) == expected
    assert store.find("ingest", KEPT) == kept
    assert store.find("ingest", GONE) is None
    assert pruned(tmp_path) == {}


@pytest.mark.fault("stores", "two `thalweg prune` at once: each removes, and counts, what the other did not")
def test_two_prunes_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    refer(store.root, "one-run", {"ingest": [KEPT]})
    for generation in (1, 2, 3):
        made(store, "ingest", KEPT, generation=generation)
    for stage in ("preprocess", "evaluate"):
        made(store, stage, GONE)
    one = prune(tmp_path)
    first, other = [next(one).name], pruned(tmp_path)
    first += [each.name for each in one]
    assert len({*first, *other}) == len(first) + len(other) == 4
    assert store.find("ingest", KEPT) is not None
    assert pruned(tmp_path) == {}


@pytest.mark.fault("stores", "a run begins while `thalweg prune` is at work: it keeps what it needs and what it writes")
def test_a_run_that_begins_meanwhile_keeps_its_stages(tmp_path: Path) -> None:
    store = Store(tmp_path)
    refer(store.root, "one-run", {"ingest": [KEPT]})
    for stage in ("ingest", "preprocess", "evaluate"):
        made(store, stage, GONE)
    at_work = prune(tmp_path)
    assert next(at_work).name == f"ingest/{GONE}"
    refer(store.root, "another-run", {"preprocess": [GONE]})
    with store.attempt("evaluate", GONE, generation=2) as attempt:
        assert list(at_work) == []
        finish(attempt)
    assert store.find("preprocess", GONE) is not None
    assert store.find("evaluate", GONE) is not None


def test_what_was_replaced_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    refer(store.root, "one-run", {"ingest": [KEPT]})
    old = made(store, "ingest", KEPT)
    new = made(store, "ingest", KEPT, generation=2)
    name = f"ingest/{KEPT}/{Path(old.folder).name}"
    assert pruned(tmp_path, dry_run=True) == {name: "it was replaced"}
    assert pruned(tmp_path) == {name: "it was replaced"}
    assert store.find("ingest", KEPT) == new
    assert not Path(old.folder).exists()


@pytest.mark.fault("stores", "`thalweg prune` while a run is at a stage, and reads others")
def test_a_live_attempt_keeps_what_it_writes_and_reads(tmp_path: Path) -> None:
    store = Store(tmp_path)
    refer(store.root, "one-run", {"ingest": [KEPT]})
    old = made(store, "ingest", KEPT)
    read = made(store, "ingest", GONE)
    with store.attempt("preprocess", GONE, uses=(old, read)) as attempt:
        write_bytes(attempt.url("data/part"), b"1")
        made(store, "ingest", KEPT, generation=2)
        assert pruned(tmp_path) == {}
        assert attempt.commit({}, numbers={}).folder == attempt.folder
    assert set(pruned(tmp_path)) == {f"ingest/{KEPT}/{Path(old.folder).name}", f"ingest/{GONE}", f"preprocess/{GONE}"}


@pytest.mark.fault("stores", "`thalweg prune` after a run failed")
def test_an_attempt_without_an_owner_is_removed_and_cannot_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, lease=0.05)
    refer(store.root, "one-run", {"ingest": [KEPT]})
    with store.attempt("ingest", KEPT) as left:
        write_bytes(left.url("data/part"), b"123")
    (found,) = prune(tmp_path)
    assert found == Pruned(f"ingest/{KEPT}/{left.name}", 3, "its run ended without a commit")
    with pytest.raises(SupersededError, match="took over"):
        left.commit({}, numbers={})
    # Where locks tell nothing, it is looked on until no beat came for ten leases.
    monkeypatch.setattr(leases, "LOCAL", frozenset())
    monkeypatch.setenv("THALWEG_LEASE", "0.05")
    dead = leases.acquire(store.place("ingest", KEPT), 7, generation=1, lease=0.05)
    assert dead is not None
    write_bytes(f"{dead.place}/{dead.claim.attempt}/data/part", b"1")
    assert pruned(tmp_path) == {}  # it beats
    dead._over.set()
    assert pruned(tmp_path) == {f"ingest/{KEPT}/{dead.claim.attempt}": "its run ended without a commit"}


def test_a_run_that_does_not_say_what_it_needs_stops_it(tmp_path: Path) -> None:
    made(Store(tmp_path), "ingest", GONE)
    (tmp_path / "runs" / "old run").mkdir(parents=True)
    with pytest.raises(CorruptError, match=r"does not say which stages it needs") as caught:
        pruned(tmp_path)
    assert f"`rm -r '{tmp_path}/runs/old run'`" in caught.value.advice
    assert (tmp_path / "ingest" / GONE).exists()


@pytest.mark.bad_input("stores", "`thalweg prune` of a folder that is no store")
def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ingest").mkdir()
    (tmp_path / "ingest" / "notes").write_text("mine")
    with pytest.raises(SourceError, match="is no store"):
        pruned(tmp_path)
    assert (tmp_path / "ingest" / "notes").exists()


def test_the_stages_of_a_removed_run_go_and_those_of_another_stay(recipe: Recipes, tmp_path: Path) -> None:
    store = tmp_path / "store"
    for modes in (2, 3):
        (plan,) = plans(recipe(), registry=REGISTRY, store=str(store), overrides=[f"train.method.modes={modes}"])
        execute(plan, registry=REGISTRY)
    first, _ = sorted((store / "runs").iterdir(), key=lambda each: each.stat().st_mtime)
    shutil.rmtree(first)
    said = CliRunner().invoke(app, ["prune", "--store", str(store), "--dry-run"])
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    assert [line.split()[2].split("/")[0] for line in lines[:-1]] == ["train", "estimate", "estimate", "evaluate"]
    assert lines[-1].endswith("would be removed in all")
    assert CliRunner().invoke(app, ["prune", "--store", str(store)]).output.splitlines()[-1].endswith("removed in all")
    (plan,) = plans(recipe(), registry=REGISTRY, store=str(store), overrides=["train.method.modes=3"])
    assert all(stage.reused for stage in execute(plan, registry=REGISTRY).stages.values() if stage.store)
