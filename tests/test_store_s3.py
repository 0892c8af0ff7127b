"""The same ownership on an object store: S3 as moto gives it, on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from thalweg import Registry
from thalweg.errors import SupersededError
from thalweg.pipeline import execute
from thalweg.recipes.planning import plans
from thalweg.stores.attempt import mark
from thalweg.stores.files import write_bytes
from thalweg.stores.lease import acquire
from thalweg.stores.prune import prune
from thalweg.stores.references import refer
from thalweg.stores.store import Store

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

Recipes = Callable[..., Path]
WRITER = [sys.executable, str(Path(__file__).with_name("store_writer.py"))]
DIGEST = "d" * 32


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = request.node.name.replace("_", "-")[:60]
    s3fs.S3FileSystem().mkdir(name)
    yield f"s3://{name}/a store"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.fault("stores", "four processes start the same stage on S3 at once")
def test_one_commits_on_s3(bucket: str) -> None:
    started = [
        subprocess.Popen([*WRITER, bucket, "--lease", "5"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = sorted(each.communicate(timeout=200)[0].strip() for each in started)
    assert said == ["committed", "reused", "reused", "reused"]


@pytest.mark.fault("stores", "a run on S3 is paused past its lease, and another takes over")
def test_a_paused_owner_cannot_commit_on_s3(bucket: str) -> None:
    store = Store(bucket, lease=0.5)
    held = acquire(store.place("ingest", DIGEST), 1, generation=1, lease=0.5)
    assert held is not None
    paused = f"{held.place}/{held.claim.attempt}"
    write_bytes(f"{paused}/data/value", b"1")
    mark(paused, "value")
    held._over.set()  # as SIGSTOP does: no more beats
    held.thread = 0  # another's
    with store.attempt("ingest", DIGEST, patience=60) as attempt:
        assert attempt.marks() == {"value"}
        done = attempt.commit({}, numbers={})
    assert store.find("ingest", DIGEST) == done
    from thalweg.stores.attempt import Attempt

    late = Attempt(held, ())
    assert isinstance(late.superseded(), SupersededError)
    assert late.commit({}, numbers={}) == done


def test_a_recipe_on_s3_is_reused_and_pruned(
    recipe: Recipes, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    registry = Registry.installed()
    file = recipe(train={"method": "persistence"}, constrain=None, evaluate=["rmse"])
    for reused in (False, True):
        (plan,) = plans(file, registry=registry, store=bucket)
        done = execute(plan, registry=registry)
        assert {stage.reused for stage in done.stages.values() if stage.store} == {reused}
    assert list(prune(bucket)) == []
    refer(bucket, Path(done.run.folder).name, {"ingest": [done.stages["ingest"].digest]})
    assert [each.name.split("/")[0] for each in prune(bucket)] == ["preprocess", "index", "estimate", "evaluate"]
