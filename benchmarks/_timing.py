"""Timing two or more ways of doing one thing, in turn, so that a drifting machine is fair to both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def in_turn(
    ways: Mapping[str, Callable[[], object]], *, repeats: int = 5, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each way, after one warm-up of each."""
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            start = clock()
            way()
            seconds[name].append(clock() - start)
    return seconds


def report(seconds: Mapping[str, list[float]], *, against: str) -> None:
    """Print each way's median, and its ratio to one of them: median, smallest and largest of the pairs."""
    print(f"{'':<44}{'seconds':>9}{'ratio':>8}{'least':>8}{'most':>8}")
    for name, each in seconds.items():
        ratios = [a / b for a, b in zip(each, seconds[against], strict=True)]
        print(
            f"{name:<44}{statistics.median(each):>9.3f}{statistics.median(ratios):>8.2f}{min(ratios):>8.2f}{max(ratios):>8.2f}"
        )
