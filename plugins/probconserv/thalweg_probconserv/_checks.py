"""What is refused before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
from thalweg import EstimateError, HandshakeError, RunError

from ._arrays import Array, Plain, namespace, plain


def check_shapes(mean: Array, variance: Array | None, rows: Any, targets: Array, factor: Array | None) -> None:
    """Raise `HandshakeError` unless the shapes fit each other."""
    shapes = {"mean": mean, "variance": variance, "factor": factor, "rows": rows, "targets": targets}
    shape = {name: tuple(each.shape) for name, each in shapes.items() if each is not None}
    given = ", ".join(f"{name} {each}" for name, each in shape.items())
    error = HandshakeError(
        f"{given} do not fit",
        allowed="mean, variance (..., n), factor (..., n, r), rows (..., k, n) with k of 1 or more, targets (..., k)",
        advice="give each row a target",
    )
    if min(len(shape["mean"]), len(shape["targets"])) < 1 or len(shape["rows"]) < 2 or 0 in shape["rows"][-2:]:
        raise error
    cells, count = shape["mean"][-1:], shape["rows"][-2]
    leading = [shape["rows"][:-2], shape["targets"][:-1]]
    fits = shape["rows"][-1:] == cells and shape["targets"][-1] == count
    if "variance" in shape:
        leading.append(shape["variance"][:-1])
        fits &= shape["variance"][-1:] == cells
    if "factor" in shape:
        leading.append(shape["factor"][:-2])
        fits &= shape["factor"][-2:-1] == cells
    try:
        fits &= np.broadcast_shapes(shape["mean"][:-1], *leading) == shape["mean"][:-1]
    except ValueError:
        fits = False
    if not fits:
        raise error


def row_covariance(noise: Any, count: int) -> Plain:
    """The noise as (k,) variances, or as a covariance (k, k). Raises `HandshakeError`."""
    array = plain(noise).astype(np.float64)
    if array.shape not in ((), (count,), (count, count)):
        raise HandshakeError(f"noise {array.shape} does not fit {count} rows", allowed="a number, (k,) or (k, k)")
    error = HandshakeError(
        f"noise {noise!r} is no variance", allowed="0 or more; a matrix symmetric and positive semi-definite"
    )
    if not np.isfinite(array).all():
        raise error
    if array.ndim < 2:
        if (array < 0.0).any():
            raise error
        return np.broadcast_to(array, (count,))
    if not np.array_equal(array, array.T) or np.linalg.eigvalsh(array)[0] < -1e-12 * np.abs(array).max():
        raise error
    return array


def check_values(mean: Array, variance: Array | None, there: Array) -> None:
    """Raise `EstimateError` for a mean or variance that is none."""
    xp = namespace(mean)
    if bool(xp.isinf(mean).any()):
        raise EstimateError("the mean is infinite", allowed="finite values, or NaN where there is no field")
    if variance is None:
        return
    bad = there & ~(xp.isfinite(variance) & (variance >= 0.0))
    if bool(bad.any()):
        first = plain(xp.broadcast_to(variance, bad.shape)[bad])[0]
        raise EstimateError(
            f"the variance is {float(first)!r} at {int(bad.sum())} of {int(there.sum())} cells",
            allowed="finite values of 0 or more wherever the mean is there",
            advice="look at what the method gives as its variance",
        )


def check_laws(rows: Any, targets: Array) -> None:
    """Raise `EstimateError` for rows that are not finite, or targets that are infinite; an unknown target is NaN."""
    values = rows.data if hasattr(rows, "indptr") else rows
    for name, array, least in (("rows", values, "isfinite"), ("targets", targets, "isinf")):
        bad = getattr(namespace(array), least)(array)
        if bool((bad if least == "isinf" else ~bad).any()):
            raise EstimateError(
                f"the {name} of the laws are not finite",
                allowed="finite numbers",
                advice="look for missing values in what the law is computed from",
            )


def check_members(count: int, members: int, noise: Plain) -> None:
    """Raise `RunError` if so few members cannot obey so many exact rows."""
    exact = int((noise == 0.0).sum()) if noise.ndim == 1 else int((np.linalg.eigvalsh(noise) <= 0.0).sum())
    if exact and count >= members - 1:
        raise RunError(
            f"{count} rows cannot be held by an ensemble of {members} members",
            allowed=f"up to {max(0, members - 2)} rows without noise: members differ in {members - 1} directions",
            advice="use more members, give the laws noise, set `shrinkage` above 0, or hold them by `additive`",
        )


def named(rows: Plain) -> str:
    """`rows 1, 4`."""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(str(each) for each in rows)}"
