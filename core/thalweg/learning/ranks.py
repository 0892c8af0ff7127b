"""The processes that learn together: one alone, or a group of torch.distributed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn


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

    @abstractmethod
    def rows(self, rows: Tensor) -> Tensor:
        """`(sample, ...)` of all ranks, in rank order, with its gradient; each may have another number of samples.

        Each rank then computes the same loss. A gradient through it is the sum over ranks, of which a parallel module
        takes the mean: that of the loss, for what comes before it and after it alike.
        """


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

    def rows(self, rows: Tensor) -> Tensor:
        return rows


class Together(Ranks):
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

    def rows(self, rows: Tensor) -> Tensor:
        gathered: Tensor = _Rows.apply(rows, self.rank, self.count)  # type: ignore[no-untyped-call]
        return gathered


class _Rows(torch.autograd.Function):
    """Padded to the longest, gathered, cut again."""

    @staticmethod
    def forward(context: Any, rows: Tensor, rank: int, count: int) -> Tensor:
        import torch.distributed as dist

        own = torch.tensor([len(rows)], device=rows.device)
        lengths = [torch.zeros_like(own) for _ in range(count)]
        dist.all_gather(lengths, own)
        counts = [int(each) for each in lengths]
        padded = rows.new_zeros((max(1, *counts), *rows.shape[1:]))
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in range(count)]
        dist.all_gather(found, padded)
        begin = sum(counts[:rank])
        context.own = slice(begin, begin + counts[rank])
        return torch.cat([each[:length] for each, length in zip(found, counts, strict=True)])

    @staticmethod
    def backward(context: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        import torch.distributed as dist

        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total[context.own], None, None
