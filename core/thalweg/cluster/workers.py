"""Workers: `map` over threads, or over the worker processes of a Dask cluster.

Tasks are idempotent: one whose worker is lost is run again elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, final

from ..errors import ClusterError

if TYPE_CHECKING:
    import distributed

Item = TypeVar("Item")
Result = TypeVar("Result")

POLL = 1.0
"""Seconds between two looks at the health of the workers."""


RETRIES = 3
"""How often an item whose result was lost is computed again."""


class Lost(Exception):  # noqa: N818
    """A result is lost, through no fault of its task."""


class Workers(ABC):
    """What stages and learners compute on. `client` is None for threads."""

    client: distributed.Client | None = None

    @property
    @abstractmethod
    def count(self) -> int:
        """Threads, or worker processes, that are alive."""

    @final
    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        label: str = "",
        each: Callable[[int], None] | None = None,
    ) -> list[Result]:
        """`[function(item) for item in items]`, side by side; `each(done)` is called as results come in.

        What `function` raises is raised here, and the rest is cancelled. Raises `ClusterError` for lost workers.
        """
        label = label or getattr(function, "__name__", "task")
        results: dict[int, Result] = {}
        losses: Counter[int] = Counter()
        running: dict[Any, int] = {}
        finished: SimpleQueue[Any] = SimpleQueue()
        waiting = deque(range(len(items)))
        try:
            while waiting or running:
                # Bounded, so that thousands of items do not flood a scheduler; two per thread, so that no worker idles.
                while waiting and len(running) < 2 * self._parallel:
                    number = waiting.popleft()
                    future = self._submit(function, items[number], label)
                    running[future] = number
                    future.add_done_callback(finished.put)
                try:
                    future = finished.get(timeout=POLL)
                except Empty:
                    self._check(label)
                    continue
                number = running.pop(future)
                try:
                    results[number] = self._result(future, label, items[number])
                except Lost as error:
                    losses[number] += 1
                    if losses[number] > RETRIES:
                        raise ClusterError(
                            f"{label}: item {number} was lost {RETRIES + 1} times: {error}",
                            allowed="a network and workers that stay",
                            advice="see the workers' logs, and run again: what is committed is kept",
                        ) from error
                    waiting.appendleft(number)
                    self._check(label)
                    continue
                if each is not None:
                    each(len(results))
            return [results[number] for number in range(len(items))]
        finally:
            self._cancel(running)

    @property
    @abstractmethod
    def _parallel(self) -> int: ...

    @abstractmethod
    def _submit(self, function: Callable[[Item], Result], item: Item, label: str) -> Any: ...

    @abstractmethod
    def _result(self, future: Any, label: str, item: object) -> Any: ...

    @abstractmethod
    def _check(self, label: str) -> None: ...

    @abstractmethod
    def _cancel(self, running: Collection[Any]) -> None: ...
