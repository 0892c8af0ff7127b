"""What is deployed: files that are right, and a schedule that fires by itself."""

from __future__ import annotations

import inspect
import json
import urllib.request
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from thalweg.cluster import cluster_from
from thalweg.errors import OptionError

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENTS = ROOT / "deployments"


def _tree() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((DEPLOYMENTS / "prefect.yaml").read_text())
    return tree


@pytest.mark.parametrize("deployment", _tree()["deployments"], ids=lambda each: each["name"])
def test_deployments_call_the_flow_as_it_is(deployment: dict[str, Any]) -> None:
    module, _, name = deployment["entrypoint"].rpartition(".")
    flow = getattr(import_module(module), name)
    inspect.signature(flow.fn).bind(**deployment["parameters"])
    assert (ROOT / deployment["parameters"]["recipe"]).is_file()
    cluster_from(deployment["parameters"].get("cluster", "threads"))
    assert all({"cron", "interval"} & set(schedule) for schedule in deployment["schedules"])


@pytest.mark.parametrize("file", sorted((DEPLOYMENTS / "clusters").glob("*.yaml")), ids=lambda each: each.stem)
def test_cluster_files_are_clusters(file: Path) -> None:
    given = yaml.safe_load(file.read_text())
    try:
        cluster = cluster_from(given)
    except OptionError as error:
        if "not installed" in error.given:
            pytest.skip(str(error))
        raise
    assert cluster.parallel == given[file.stem]["workers"] * given[file.stem].get("threads", 1)


def test_the_compose_file_starts_what_is_installed() -> None:
    services = yaml.safe_load((DEPLOYMENTS / "compose.yaml").read_text())["services"]
    assert set(services) == {"prefect", "mlflow", "worker"}
    assert {service["image"] for service in services.values()} == {"thalweg:local"}
    assert "deployments/prefect.yaml" in services["worker"]["command"]
    assert services["worker"]["environment"]["THALWEG_TRACKING_URI"].startswith("http://mlflow:5000")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("prefect")
def test_a_scheduled_run_fires_by_itself_and_ends_in_mlflow(
    prefect: Any, recipe: Path, tmp_path: Path, mlflow_runs: Any
) -> None:
    """The tracked deployment, every twenty seconds and with a smaller recipe, on a real server and worker."""
    # However long the commands take, the next run is near. What is seen is seen before the worker is ended: the next
    # run may be on its way by then.
    soon = {"slug": "soon", "interval": 20, "anchor_date": datetime.now(UTC).isoformat()}
    tree = _tree()
    tree["deployments"] = tree["deployments"][:1]
    tree["deployments"][0] |= {"parameters": {"recipe": str(recipe)}, "schedules": [soon], "concurrency_limit": 1}
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(tree))
    prefect("work-pool", "create", "thalweg", "--type", "process")
    prefect("deploy", "--all", "--prefect-file", str(tmp_path / "prefect.yaml"))
    runs: list[Any] = []

    def finished() -> bool:
        runs[:] = mlflow_runs(tmp_path / "store")
        return [run.info.status for run in runs] == ["FINISHED"]

    with prefect.running("worker", "start", "--pool", "thalweg"):
        prefect.wait(lambda: bool(_completed(prefect.url)))
        prefect.wait(finished)
    assert runs[0].data.metrics["free/rmse"] > 0
    assert runs[0].data.tags["thalweg.flow_run"]


def _completed(api: str) -> list[dict[str, Any]]:
    """Flow runs that a schedule started, and that are complete."""
    content = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}, "tags": {"all_": ["auto-scheduled"]}}}
    request = urllib.request.Request(
        f"{api}/flow_runs/filter", json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return [run for run in found if run["auto_scheduled"]]
