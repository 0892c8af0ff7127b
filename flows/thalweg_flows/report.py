"""What a flow run shows in Prefect: its table of scores, and the way to MLflow."""

from __future__ import annotations

import json
from pathlib import Path

from prefect.artifacts import create_markdown_artifact
from thalweg.pipeline import Execution


def publish(execution: Execution) -> None:
    """Keep the scores and the observers' links of a finished run as a Markdown artifact, `scores-RECIPE`."""
    file = Path(execution.run.folder) / "links.json"
    links = json.loads(file.read_text()) if file.is_file() else {}
    lines = [execution.markdown(), ""]
    lines += [
        f"{name}: {f'[{line}]({line})' if line.startswith('http') else f'`{line}`'}" for name, line in links.items()
    ]
    create_markdown_artifact("\n".join(lines), key=f"scores-{execution.run.name}", description=execution.run.title)
