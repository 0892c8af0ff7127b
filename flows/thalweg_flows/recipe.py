"""`run-recipe`: a recipe as a Prefect flow, a stage as a task, one cluster for the whole flow run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.runtime import flow_run
from thalweg.credentials import mask_logs
from thalweg.pipeline import Execution
from thalweg.recipes.planning import plans
from thalweg.recipes.registry import Registry
from thalweg.results.run import STAGES

from .report import publish
from .stages import Reference, stage_task


@flow(name="run-recipe", validate_parameters=True, persist_result=False)
def run_recipe(
    recipe: str, set: Sequence[str] = (), store: str | None = None, cluster: Any = None
) -> dict[str, list[dict[str, Any]]]:
    """Run a recipe, one method after the other; gives the table of scores of each run.

    Prefect keeps the parameters of a flow run: give credentials by reference, `${NAME}`.

    Args:
        recipe: the path of a YAML file
        set: overrides, as in `train.epochs=2`
        store: the root of the stores, instead of the recipe's
        cluster: as in a recipe, instead of the recipe's
    """
    mask_logs()
    registry = Registry.installed()
    made = plans(recipe, overrides=set, registry=registry, store=store, cluster=cluster)
    # Not Prefect's DaskTaskRunner: it would need Prefect on every worker, and costs 70 ms a task.
    with made[0].cluster.open() as workers:
        tables = {}
        for plan in made:
            execution = Execution(plan, registry, tags=_tags(), workers=workers)
            with execution:
                before: Reference | None = None
                for name in STAGES:
                    label = f"{name} {plan.method.name}" if len(made) > 1 else name
                    before = stage_task(execution, name, label=label)(before, return_state=True).result()
            publish(execution)
            tables[execution.run.title] = execution.table()
    return tables


def _tags() -> dict[str, str]:
    """What finds the flow run from MLflow."""
    found = {"thalweg.flow_run": flow_run.id, "thalweg.flow_run_name": flow_run.name}
    return {key: str(value) for key, value in found.items() if value}
