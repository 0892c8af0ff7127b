"""What is wrong with a bundle, by number, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from thalweg import SourceError

from .problem import Array, Bundle


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the numbers of the cameras, points or observations that have it."""

    kind: str
    numbers: Array
    text: str
    advice: str
    done: str = ""
    """What was done about it."""

    def __str__(self) -> str:
        return f"{self.text}{f'; {self.done}' if self.done else ''}"


MEND = "mend what can be mended: thalweg_slam.bundle.repair(bundle), `repair: true` in a recipe"


def inspect(bundle: Bundle) -> None:
    """Raise `SourceError` that names all that `findings` finds."""
    found = findings(bundle)
    if found:
        raise refusal(found)


def refusal(found: Sequence[Finding]) -> SourceError:
    """The error that names all of them, and what to do about each."""
    advice = dict.fromkeys(each.advice for each in found)
    mended = any(each.kind in MENDED for each in found)
    return SourceError("; ".join(each.text for each in found), advice="; ".join([*advice, *([MEND] if mended else [])]))


MENDED = ("point-not-finite", "observation-not-finite", "point-unseen", "point-without-parallax", "twice", "behind")
"""Kinds that `repair` mends."""


def findings(bundle: Bundle) -> tuple[Finding, ...]:
    """Numbers that are not finite, points and cameras that are not determined, points behind cameras, loose parts."""
    broken = tuple(not_finite(bundle))
    return broken or tuple(_undetermined(bundle))


def behind(bundle: Bundle, *, told: Array | None = None) -> tuple[Finding, ...]:
    """Observations whose point is not in front of the camera; `told` are the numbers that observations are told by."""
    numbers = np.flatnonzero(~(bundle.depth() > 0))
    if not len(numbers):
        return ()
    ends = bundle.observations[numbers[:5]].T
    names = (in_the_whole(name, numbers, bundle) for name, numbers in zip(("camera", "point"), ends, strict=True))
    seen = [f"({i}, {j})" for i, j in zip(*names, strict=True)]
    shown = numbers if told is None else told[numbers]
    text = f"{_these('observation', shown)} (camera, point): {', '.join(seen)}: the point is behind the camera"
    return (Finding("behind", numbers, text, "leave them out: bundle.without(numbers)"),)


def twice(bundle: Bundle, *, told: Array | None = None) -> tuple[Finding, ...]:
    """Observations of a point that the camera has another of, listed before; `told` as in `behind`."""
    camera, point = bundle.observations.T
    pair = camera.astype(np.int64) * len(bundle.points) + point
    order = np.argsort(pair, kind="stable")
    again = np.sort(order[1:][np.diff(pair[order]) == 0])
    if not len(again):
        return ()
    text = f"{_these('observation', again if told is None else told[again])}: the camera has another of the same point"
    return (Finding("twice", again, text, "leave them out: bundle.without(numbers)"),)


HUGE = 1e100


def not_finite(bundle: Bundle) -> Iterator[Finding]:
    """Cameras, points and observations with numbers that are not finite."""
    for name, values in (("camera", bundle.cameras), ("point", bundle.points), ("observation", bundle.measured)):
        # Whose squares are not.
        numbers = np.flatnonzero(~(np.abs(values) < HUGE).all(axis=1))
        if len(numbers):
            huge = np.isfinite(values[numbers]).all()
            text = f"{_these(name, numbers, bundle)}: {f'beyond {HUGE:g}' if huge else 'not finite'}"
            yield Finding(f"{name}-not-finite", numbers, text, "leave them out, or mend the source")


def seldom(bundle: Bundle) -> Iterator[Finding]:
    """Points that too few cameras see."""
    views = np.bincount(bundle.observations[:, 1], minlength=len(bundle.points))
    least = 1 if bundle.model == "stereo" else 2
    for count in range(least):
        numbers = np.flatnonzero(views == count)
        if len(numbers):
            text = f"{_these('point', numbers, bundle)}: seen by {('no camera', 'one camera only')[count]}"
            advice = f"keep the points of bundle.select(cameras, views={least})"
            yield Finding("point-unseen" if not count else "point-without-parallax", numbers, text, advice)


def _undetermined(bundle: Bundle) -> Iterator[Finding]:
    few_views = tuple(seldom(bundle))
    yield from few_views
    camera = bundle.observations[:, 0]
    yield from twice(bundle)
    known = bundle.fixed.copy()
    for each in bundle.priors:
        known[each.cameras] = True
    sees = np.bincount(camera, minlength=len(bundle))
    few = np.flatnonzero((sees < bundle.camera.points) & ~known)
    if len(few):
        text = f"{_these('camera', few, bundle)}: fewer than {bundle.camera.points} points seen"
        yield Finding(
            "camera-few-points", few, text, "leave these cameras out, hold them (with_fixed), or give a Prior"
        )
    yield from behind(bundle)
    if not len(few) and not few_views:
        yield from _loose(bundle, known)


def _loose(bundle: Bundle, known: Array) -> Iterator[Finding]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    camera, point = bundle.observations.T
    size = len(bundle) + len(bundle.points)
    links = coo_array((np.ones(len(camera), np.int8), (camera, point + len(bundle))), (size, size))
    parts, part = connected_components(links, directed=False)
    own = [np.flatnonzero(part[: len(bundle)] == k) for k in range(parts)]
    loose = [cameras for cameras in own if not known[cameras].any()]
    if len(loose) > (0 if known.any() else 1):
        numbers = loose[-1]
        text = f"{_these('camera', numbers, bundle)}: no point in common with the other cameras"
        yield Finding(
            "disconnected", numbers, text, "adjust each part by itself, or hold a camera of each (with_fixed)"
        )
    unknown = int((~bundle.fixed).sum()) * bundle.camera.parameters + bundle.points.size
    measured = bundle.measured.size + sum(len(each.gradient) for each in bundle.priors)
    gauge = 0 if known.any() else (6 if bundle.model == "stereo" else 7)
    if unknown - gauge > measured:
        text = f"{measured} measurements for {unknown} unknowns"
        yield Finding("underdetermined", np.zeros(0, int), text, "add observations or a Prior, or hold cameras")


def _these(name: str, numbers: Array, bundle: Bundle | None = None) -> str:
    shown = ", ".join(map(str, in_the_whole(name, numbers[:8], bundle)))
    more = f", ... ({len(numbers)})" if len(numbers) > 8 else ""
    return f"{name}{'s' if len(numbers) > 1 else ''} {shown}{more}"


def in_the_whole(name: str, numbers: Array, bundle: Bundle | None) -> Array:
    """Of a window: the numbers that its cameras and points have in the whole."""
    known = None if bundle is None else bundle.attrs.get(f"{name}s")
    return numbers if known is None else np.asarray(known)[numbers]
