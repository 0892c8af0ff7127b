"""Claims: numbered tokens, each created once. A claim names the attempt that its holder writes, and whom it fences off.

Who holds a claim is a matter of its beat and its lock (`watch`); `who` and `since` are for people to read.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import CorruptError
from .conditional import create, names
from .files import read_json


@dataclass(frozen=True)
class Claim:
    """A token of a stage, and what its holder said when it took it."""

    token: int
    nonce: str
    generation: int
    """The manifest that its holder wants to write: 1, or more where a stage is made again."""
    fences: tuple[str, ...] = ()
    """Attempts whose holders were found dead: they may no longer commit."""
    uses: tuple[str, ...] = ()
    """Committed attempts that are read meanwhile, relative to the root of the store."""
    lease: float = 30.0
    """Seconds without a beat after which its holder counts as dead."""
    boot: str = ""
    """The running kernel that holds the lock of the claim; empty where locks tell nothing."""
    who: str = ""
    since: str = ""

    @property
    def attempt(self) -> str:
        """The name of the folder that its holder writes."""
        return f"attempt-{self.token:06d}{self.nonce}"

    @property
    def file(self) -> str:
        return f"claim-{self.token:06d}.json"

    @property
    def beat(self) -> str:
        return f"beat-{self.token:06d}"


def new_claim(token: int, *, boot: str, **fields: Any) -> Claim:
    """A claim of this process."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    who = f"process {os.getpid()} on {socket.gethostname()}"
    return Claim(token, uuid.uuid4().hex[:12], boot=boot, who=who, since=now, **fields)


def take(place: str, claim: Claim, prepare: Callable[[int], None] | None = None) -> bool:
    """Create a claim; False if its token is taken."""
    content = json.dumps(asdict(claim), indent=1, sort_keys=True).encode()
    return create(f"{place}/{claim.file}", content, prepare=prepare)


def tokens(listing: list[str]) -> list[int]:
    """The tokens that were taken, in order."""
    return sorted(_number(each) for each in listing if each.startswith("claim-") and each.endswith(".json"))


def generations(listing: list[str]) -> list[int]:
    """The numbers of the manifests, in order."""
    return sorted(_number(each) for each in listing if each.startswith("manifest-") and each.endswith(".json"))


def read_claim(place: str, token: int) -> Claim:
    """A claim; one that cannot be read is a claim of nobody. Claims do not change, so readers may keep them."""
    try:
        said = read_json(f"{place}/claim-{token:06d}.json")
        return Claim(**{**said, "fences": tuple(said["fences"]), "uses": tuple(said["uses"])})
    except (CorruptError, TypeError, KeyError, ValueError):
        return Claim(token, "", 0)


def claims_of(place: str, listing: list[str] | None = None) -> list[Claim]:
    """All claims of a stage, in order."""
    return [read_claim(place, token) for token in tokens(names(place) if listing is None else listing)]


@lru_cache(maxsize=1)
def boot() -> str:
    """An id of the running kernel, the same in all its containers; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _number(name: str) -> int:
    digits = name.partition("-")[2].partition(".")[0]
    return int(digits) if digits.isdigit() else 0
