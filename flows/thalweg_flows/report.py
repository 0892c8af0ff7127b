"""What a flow run shows in Prefect: its table of scores, and the way to MLflow."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from thalweg.credentials import masked
from thalweg.pipeline import Execution
from thalweg.results.folders import links

SECONDS = 5.0
"""For which a page is waited for."""


def publish(execution: Execution) -> None:
    """Keep the scores and the observers' links of a finished run as a Markdown artifact, `scores-RECIPE`."""
    lines = [execution.markdown(), ""]
    for name, line in links(execution.run.folder).items():
        lines.append(f"{name}: {f'[{line}]({line})' if line.startswith('http') else f'`{line}`'}")
    text, key = "\n".join(lines), f"scores-{execution.run.name}"
    why = courtesy(lambda: create_markdown_artifact(text, key=key, description=execution.run.title))
    if why:
        get_run_logger().warning("the page %s was not written: %s", key, why)


def courtesy(call: Callable[[], object], *, seconds: float = SECONDS) -> str:
    """Make a call that costs the run at most `seconds` and never its success; gives what went wrong, or nothing."""
    wrong: list[str] = []

    def attempt() -> None:
        try:
            call()
        except Exception as error:
            wrong.append(masked(f"{type(error).__name__}: {error}".split("\n", 1)[0]))

    # In the context of the flow run: without it the artifact belongs to none.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(attempt,), daemon=True)
    thread.start()
    thread.join(seconds)
    return f"Prefect did not answer within {seconds:g} s" if thread.is_alive() else "".join(wrong)
