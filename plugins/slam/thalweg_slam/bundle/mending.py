"""What is wrong with a bundle, mended where it can be.

bundle, report = repair(bundle)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .diagnosis import Finding, behind, findings, not_finite, refusal, seldom, twice
from .problem import Array, Bundle
from .state import Sightings, State
from .triangulation import triangulated


@dataclass(frozen=True)
class Report:
    """All that was found in a bundle, and what was done about it."""

    findings: tuple[Finding, ...]
    size: str

    @property
    def counts(self) -> dict[str, int]:
        """How many cameras, points or observations each finding has."""
        found: dict[str, int] = {}
        for each in self.findings:
            found[each.kind] = found.get(each.kind, 0) + len(each.numbers)
        return found

    def __str__(self) -> str:
        if not self.findings:
            return f"{self.size}: nothing wrong"
        return "\n".join([f"{self.size}:", *(f"  {each}" for each in self.findings)])


def repair(bundle: Bundle) -> tuple[Bundle, Report]:
    """A bundle that can be adjusted, and what was done to make it so; numbers are those of the bundle that was given.

    Observations that are not finite are left out, and of those that a camera has twice all but the one nearest to where
    the point is expected; points that are not finite or behind a camera begin where their lines of sight meet, or lose
    the observations from which they are behind; points that too few cameras see are left out. Cameras all stay. Raises
    `SourceError` for what is then still wrong.
    """
    work = _Work(bundle)
    work.not_finite()
    work.twice()
    work.behind()
    work.seldom()
    rest = findings(work.bundle)
    if rest:
        raise refusal(rest)
    name = bundle.attrs.get("source", "bundle")
    size = f"{name}: {len(bundle)} cameras, {len(bundle.points)} points, {len(bundle.observations)} observations"
    return work.bundle, Report(tuple(work.found), size)


class _Work:
    """A bundle on its way, and the numbers that its points and observations had."""

    def __init__(self, bundle: Bundle) -> None:
        # Windows name points by the numbers of the whole; here numbers are those of the bundle.
        self.bundle = bundle
        self.observations = np.arange(len(bundle.observations))
        self.found: list[Finding] = []

    def _tell(self, finding: Finding, done: str) -> None:
        self.found.append(replace(finding, done=done))

    def _drop(self, numbers: Array) -> None:
        kept = np.ones(len(self.bundle.observations), bool)
        kept[numbers] = False
        self.observations = self.observations[kept]
        self.bundle = replace(
            self.bundle, observations=self.bundle.observations[kept], measured=self.bundle.measured[kept]
        )

    def not_finite(self) -> None:
        broken = {each.kind: each for each in not_finite(self.bundle)}
        if "camera-not-finite" in broken:
            raise refusal(tuple(broken.values()))
        seen = broken.get("observation-not-finite")
        if seen is not None:
            self._tell(seen, "left out")
            self._drop(seen.numbers)
        points = broken.get("point-not-finite")
        if points is not None:
            self._tell(points, self._begun(points.numbers))

    def twice(self) -> None:
        found = twice(self.bundle, told=self.observations)
        if not found:
            return
        sightings = Sightings.of(self.bundle)
        apart = np.empty(len(self.bundle.observations))
        apart[sightings.order] = (sightings.residuals(State.of(self.bundle)) ** 2).sum(0)
        key = self.bundle.observations[:, 0].astype(np.int64) * len(self.bundle.points) + self.bundle.observations[:, 1]
        order = np.lexsort((np.arange(len(key)), np.nan_to_num(apart, nan=np.inf), key))
        again = np.sort(order[1:][np.diff(key[order]) == 0])
        finding = replace(found[0], numbers=self.observations[found[0].numbers])
        self._tell(finding, f"left out: {_shown(self.observations[again])}")
        self._drop(again)

    def behind(self) -> None:
        found = behind(self.bundle, told=self.observations)
        if not found:
            return
        points = np.unique(self.bundle.observations[found[0].numbers, 1])
        self._tell(replace(found[0], numbers=self.observations[found[0].numbers]), self._begun(points))

    def _begun(self, points: Array) -> str:
        """Begin points where their lines of sight meet, and drop the observations from which they are behind then."""
        places = triangulated(self.bundle, points)
        met = np.isfinite(places).all(axis=1)
        old = self.bundle
        moved = old.points.copy()
        moved[points[met]] = places[met]
        trial = replace(old, points=moved)
        own = np.isin(old.observations[:, 1], points)
        wrong = own & ~(trial.depth() > 0)
        # A point that is behind some camera wherever it begins stays where it was given, if that was anywhere.
        bad = np.unique(old.observations[wrong, 1])
        bad = bad[np.isfinite(old.points[bad]).all(axis=1)]
        moved[bad] = old.points[bad]
        lost = np.logical_not(np.isfinite(moved).all(axis=1))
        moved[lost] = 0.0
        self.bundle = replace(old, points=moved)
        drop = np.flatnonzero(own & (~(self.bundle.depth() > 0) | lost[old.observations[:, 1]]))
        again = len(points) - len(np.union1d(bad, np.flatnonzero(lost)))
        said = [f"{again} of {len(points)} points begin anew where their lines of sight meet"] if again else []
        if len(drop):
            said.append(f"left out: {_shown(self.observations[drop])}")
        self._drop(drop)
        return ", ".join(said)

    def seldom(self) -> None:
        few = tuple(seldom(self.bundle))
        for each in few:
            self._tell(each, "left out")
        if few:
            self.bundle, _ = self.bundle.without(np.zeros(0, np.int64))


def _shown(numbers: Array) -> str:
    shown = ", ".join(map(str, numbers[:5].tolist())) + (", ..." if len(numbers) > 5 else "")
    return f"observation{'s' if len(numbers) > 1 else ''} {shown} ({len(numbers)})"
