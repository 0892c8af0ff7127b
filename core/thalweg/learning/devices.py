"""Where a network runs."""

from __future__ import annotations

import torch


def device_of(choice: str) -> torch.device:
    """`auto` is a GPU if there is one."""
    return torch.device(
        "cuda" if choice == "auto" and torch.cuda.is_available() else "cpu" if choice == "auto" else choice
    )
