"""Stages on disk: who may write an attempt, what a committed stage holds, and what may be removed.

ROOT/STAGE/DIGEST/claim-000001.json       token 1 was taken; created only if absent (`conditional`, `claims`)
ROOT/STAGE/DIGEST/beat-000001             changes as long as its holder lives (`lease`, `watch`)
ROOT/STAGE/DIGEST/attempt-000001NONCE/    what its holder writes, and nobody else
ROOT/STAGE/DIGEST/manifest-000001.json    created only if absent, written last; the highest number counts
ROOT/runs/NAME-DIGEST/stages.json         the stages that a run needs (`prune`)
"""

from __future__ import annotations

from .arrays import read
from .files import filesystem, read_json, write_bytes, write_json

__all__ = ["filesystem", "read", "read_json", "write_bytes", "write_json"]
