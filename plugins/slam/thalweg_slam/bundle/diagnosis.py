"""What is wrong with a bundle, by number, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from thalweg.errors import SourceError

from .problem import Array, Bundle


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with the numbers of the cameras, points or observations that have it."""

    kind: str
    numbers: Array
    text: str
    advice: str


def inspect(bundle: Bundle) -> None:
    """Raise `SourceError` that names all that `findings` finds."""
    found = findings(bundle)
    if found:
        raise SourceError(
            "; ".join(each.text for each in found), advice="; ".join(dict.fromkeys(each.advice for each in found))
        )


def findings(bundle: Bundle) -> tuple[Finding, ...]:
    """Numbers that are not finite, points and cameras that are not determined, points behind cameras, loose parts."""
    broken = tuple(_not_finite(bundle))
    return broken or tuple(_undetermined(bundle))


def behind(bundle: Bundle) -> tuple[Finding, ...]:
    """Observations whose point is not in front of the camera."""
    numbers = np.flatnonzero(~(bundle.depth() > 0))
    if not len(numbers):
        return ()
    ends = bundle.observations[numbers[:5]].T
    names = (in_the_whole(name, numbers, bundle) for name, numbers in zip(("camera", "point"), ends, strict=True))
    seen = [f"({i}, {j})" for i, j in zip(*names, strict=True)]
    text = f"{_these('observation', numbers)} (camera, point): {', '.join(seen)}: the point is behind the camera"
    return (Finding("behind", numbers, text, "leave them out: bundle.without(numbers)"),)


def _not_finite(bundle: Bundle) -> Iterator[Finding]:
    for name, values in (("camera", bundle.cameras), ("point", bundle.points), ("observation", bundle.measured)):
        numbers = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(numbers):
            text = f"{_these(name, numbers, bundle)}: not finite"
            yield Finding(f"{name}-not-finite", numbers, text, "leave them out, or mend the source")


def _undetermined(bundle: Bundle) -> Iterator[Finding]:
    camera, point = bundle.observations.T
    views = np.bincount(point, minlength=len(bundle.points))
    least = 1 if bundle.model == "stereo" else 2
    for count in range(least):
        numbers = np.flatnonzero(views == count)
        if len(numbers):
            text = f"{_these('point', numbers, bundle)}: seen by {('no camera', 'one camera only')[count]}"
            advice = f"keep the points of bundle.select(cameras, views={least})"
            yield Finding("point-unseen" if not count else "point-without-parallax", numbers, text, advice)
    pair = camera.astype(np.int64) * len(bundle.points) + point
    order = np.argsort(pair, kind="stable")
    twice = np.sort(order[1:][np.diff(pair[order]) == 0])
    if len(twice):
        text = f"{_these('observation', twice)}: the camera has another of the same point"
        yield Finding("twice", twice, text, "leave them out: bundle.without(numbers)")
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
    if not len(few) and not (views < least).any():
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
