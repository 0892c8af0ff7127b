"""The processes that learn together: one alone, or a group of torch.distributed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn


class Ranks(ABC):
    """This process among `count`, as number `rank`."""

    rank: int
    count: int

    @abstractmethod
    def parallel(self, module: nn.Module) -> nn.Module:
        """The module whose gradients are the means over all ranks."""

    @abstractmethod
    def silent(self, module: nn.Module) -> AbstractContextManager[Any]:
        """A context in which gradients are accumulated on this rank and not exchanged: more of its batch is to come."""

    @abstractmethod
    def total(self, *numbers: float) -> list[float]:
        """Each number, added up over all ranks."""

    @abstractmethod
    def gather(self, value: Any) -> list[Any]:
        """The value of every rank."""


class Alone(Ranks):
    """One process."""

    rank, count = 0, 1

    def parallel(self, module: nn.Module) -> nn.Module:
        return module

    def silent(self, module: nn.Module) -> AbstractContextManager[Any]:  # noqa: ARG002
        return nullcontext()

    def total(self, *numbers: float) -> list[float]:
        return list(numbers)

    def gather(self, value: Any) -> list[Any]:
        return [value]


class Group(Ranks):
    """A rank of the default process group: NCCL on GPUs, gloo on CPUs."""

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        self.rank, self.count, self._device = rank, count, device

    def parallel(self, module: nn.Module) -> nn.Module:
        from torch.nn.parallel import DistributedDataParallel

        # Published networks have parameters that nothing uses, and a schedule may leave others out for a while.
        return DistributedDataParallel(module, find_unused_parameters=True)

    def silent(self, module: nn.Module) -> AbstractContextManager[Any]:
        from torch.nn.parallel import DistributedDataParallel

        assert isinstance(module, DistributedDataParallel)
        return module.no_sync()

    def total(self, *numbers: float) -> list[float]:
        import torch.distributed as dist

        sums = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        dist.all_reduce(sums)
        return [float(each) for each in sums]

    def gather(self, value: Any) -> list[Any]:
        import torch.distributed as dist

        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values
