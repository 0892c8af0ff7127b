"""The named patterns of cuboids, as functions of the shape (time, height, width) that they decompose.

Self-attention, one layer after another:

    full                  (T, H, W)
    axial                 (T, 1, 1), (1, H, 1), (1, 1, W)
    divided_st            (T, 1, 1), (1, H, W)
    video_swin[_PxM]      (P, M, M), and again shifted by (P//2, M//2, M//2); 2 x 4 if not said
    spatial_lg_v1, _M     (T, 1, 1), (1, M, M) local, (1, M, M) dilated; M = 4 for v1
    axial_space_dilate_K  (T, 1, 1), (1, H//K, 1) dilated and local, (1, 1, W//K) dilated and local

Cross-attention, over all time:

    cross_KxK             (K, K)
    cross_KxK_lg          (K, K) local, then dilated
    cross_KxK_heter       (K, K) local, dilated, then local shifted by K//2
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from thalweg import UnknownNameError

from .cuboids import Column, Cuboid, Strategy
from .shapes import Triple

SelfPattern: TypeAlias = str | tuple[Cuboid, ...]
CrossPattern: TypeAlias = str | tuple[Column, ...]

LOCAL: tuple[Strategy, Strategy, Strategy] = ("l", "l", "l")
DILATED: tuple[Strategy, Strategy, Strategy] = ("d", "d", "d")

SELF_PATTERNS = (
    "full",
    "axial",
    "divided_st",
    "video_swin",
    "video_swin_PxM",
    "spatial_lg_v1",
    "spatial_lg_M",
    "axial_space_dilate_K",
)
CROSS_PATTERNS = ("cross_KxK", "cross_KxK_lg", "cross_KxK_heter")


@lru_cache(maxsize=4096)
def self_cuboids(pattern: SelfPattern, shape: Triple) -> tuple[Cuboid, ...]:
    """The cuboids of a stack of self-attention on fields of a shape. Raises `UnknownNameError`."""
    if not isinstance(pattern, str):
        return pattern
    t, h, w = shape
    time = Cuboid((t, 1, 1))
    if pattern == "full":
        return (Cuboid(shape),)
    if pattern == "axial":
        return time, Cuboid((1, h, 1)), Cuboid((1, 1, w))
    if pattern == "divided_st":
        return time, Cuboid((1, h, w))
    name, numbers = _numbers(pattern)
    if name == "video_swin" and len(numbers) in (0, 2):
        p, m = numbers or (2, 4)
        return Cuboid((p, m, m)), Cuboid((p, m, m), (p // 2, m // 2, m // 2))
    if (name == "spatial_lg" and len(numbers) == 1) or pattern == "spatial_lg_v1":
        m = 4 if pattern == "spatial_lg_v1" else numbers[0]
        return time, Cuboid((1, m, m)), Cuboid((1, m, m), strategy=DILATED)
    if name == "axial_space_dilate" and len(numbers) == 1:
        high, wide = (1, max(h // numbers[0], 1), 1), (1, 1, max(w // numbers[0], 1))
        return time, *(Cuboid(size, strategy=kind) for size in (high, wide) for kind in (DILATED, LOCAL))
    raise _unknown(pattern, SELF_PATTERNS, "self-attention")


@lru_cache(maxsize=4096)
def cross_columns(pattern: CrossPattern) -> tuple[Column, ...]:
    """The columns of a stack of cross-attention. Raises `UnknownNameError`."""
    if not isinstance(pattern, str):
        return pattern
    found = re.fullmatch(r"cross_([1-9]\d*)x\1(?:_(lg|heter))?", pattern)
    if found is None:
        raise _unknown(pattern, CROSS_PATTERNS, "cross-attention")
    k = int(found[1])
    local, dilated = Column((k, k)), Column((k, k), strategy=DILATED)
    if found[2] == "heter":
        return local, dilated, Column((k, k), (k // 2, k // 2))
    return (local, dilated) if found[2] else (local,)


def _numbers(pattern: str) -> tuple[str, tuple[int, ...]]:
    found = re.fullmatch(r"([a-z_]+?)(?:_([1-9]\d*)(?:x([1-9]\d*))?)?", pattern)
    return (found[1], tuple(int(each) for each in found.groups()[1:] if each)) if found else ("", ())


def _unknown(pattern: str, known: Sequence[str], kind: str) -> UnknownNameError:
    return UnknownNameError(
        f"no pattern of {kind} is called {pattern!r}",
        allowed=f"{', '.join(known)}, with numbers for K, M and P",
        advice=f"did you mean {known[0]!r}? or give the cuboids themselves",
    )
