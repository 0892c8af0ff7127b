"""Names of sets of sizes."""

from __future__ import annotations

from typing import Literal

Preset = Literal["sevir-lr", "nbody", "taasrad19-small"]
Family = Literal["released", "paper"]
