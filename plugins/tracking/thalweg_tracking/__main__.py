"""`python -m thalweg_tracking STORE`: send what the runs of a store could not send."""

from __future__ import annotations

import sys
from pathlib import Path

from .observer import drain_store


def main() -> int:
    """Drain every spool; the exit code is 1 if something still waits."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "runs").is_dir():
        sys.stderr.write("usage: python -m thalweg_tracking STORE\n")
        return 2
    left = drain_store(sys.argv[1])
    for name, count in left.items():
        sys.stdout.write(f"{name}: {f'{count} events still wait' if count else 'sent'}\n")
    return int(any(left.values()))


if __name__ == "__main__":
    sys.exit(main())
