"""Generators of random numbers: seeded, saved, restored, and left as they were found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_all(seed: int) -> None:
    """Seed every generator that a network may draw from."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of all of them, as JSON."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    state = {
        "torch": _text(torch.get_rng_state()),
        "numpy": [kind, np.asarray(keys).tolist(), *rest],
        "python": random.getstate(),
    }
    return state | ({"cuda": _text(torch.cuda.get_rng_state(device))} if device.type == "cuda" else {})


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """The inverse of `random_state`, also after a way through JSON."""
    torch.set_rng_state(_tensor(state["torch"]))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(_tensor(state["cuda"]), device)
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


@contextmanager
def aside(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from a seed, and go on afterwards as if nothing had been drawn."""
    before = random_state(device)
    seed_all(seed)
    try:
        yield
    finally:
        restore_random_state(before, device)


@contextmanager
def reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """Algorithms that give the same bits again, where torch has such, and generators of one's own."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    # Read by torch when it is set; its stubs do not know it.
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False
    try:
        with aside(seed, device):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = filled


def _text(state: Tensor) -> str:
    return state.cpu().numpy().tobytes().hex()


def _tensor(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
