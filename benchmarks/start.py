"""Time to the first answer: starting Python, importing thalweg, `thalweg --help`."""

from __future__ import annotations

import subprocess
import sys

from _timing import in_turn, report


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


report(
    in_turn(
        {
            "python -c pass": lambda: run("-c", "pass"),
            "import thalweg": lambda: run("-c", "import thalweg"),
            "thalweg --help": lambda: run("-m", "thalweg", "--help"),
        }
    ),
    against="python -c pass",
)
