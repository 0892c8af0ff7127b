"""Learning on the workers of a Dask cluster: one rank each, pinned to it.

Dask retries a lost task alone, but the ranks of a group live and die together. So each is pinned to its worker and
never retried; the run watches the tasks and the workers, and when one is lost it cancels all, restarts the workers
that are left, and begins again with the last checkpoint, at most `restarts` times.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ClusterError, ThalwegError

if TYPE_CHECKING:
    import distributed

    from .ranks import Ranks

log = logging.getLogger("thalweg")

POLL = 0.2
GRACE = 3.0
"""Seconds in which a loss shows itself after a rank failed: who lost a peer often hears of it before the scheduler."""
WAIT = 120.0
"""Seconds until a lost worker must have come back."""


Report = Callable[[Mapping[str, float], int], None]
Arrays = dict[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class Group:
    """What is run on several workers at once, as it travels to them."""

    work: Callable[[Ranks, Report], Arrays]
    """Called on each rank; what rank 0 returns is kept. Called again on all of them, it goes on from its folder."""
    ranks: int
    folder: Path
    """Where its checkpoints are."""
    device: str = "auto"
    timeout: float = 600.0
    """Seconds that a rank waits for the others before it is lost."""
    restarts: int = 3


class PeerLostError(Exception):
    """A rank heard no more from another."""


class _Lost(Exception):  # noqa: N818
    """A worker of the group is gone."""


def run_on(client: distributed.Client, group: Group, report: Report) -> Arrays:
    """What the work returns on rank 0. Raises `ClusterError`, and what a rank raises."""
    heard = _Heard(client, report)
    for attempt in range(group.restarts + 1):
        addresses = _workers(client, group.ranks)
        _shared(client, addresses[0], group.folder)
        try:
            return _attempt(client, group, addresses, heard)
        except _Lost as loss:
            log.warning("training: %s; attempt %d of %d", loss, attempt + 1, group.restarts + 1)
            _restart(client, addresses)
            last = str(loss)
    raise ClusterError(
        f"training was interrupted {group.restarts + 1} times, the last time because {last}",
        allowed=f"{group.ranks} workers that stay",
        advice="see the workers' logs, and run again: it goes on from its last checkpoint",
    )


def _attempt(client: Any, group: Group, addresses: Sequence[str], heard: _Heard) -> Arrays:
    host, port = client.submit(_free_port, workers=[addresses[0]], allow_other_workers=False, pure=False).result()
    mark = uuid.uuid4().hex
    futures = [
        client.submit(
            _rank,
            group,
            rank,
            (host, port),
            heard.topic,
            key=f"rank-{rank}-{mark}",
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
        )
        for rank, address in enumerate(addresses)
    ]
    try:
        while any(future.status == "pending" for future in futures):
            time.sleep(POLL)
            heard.tell()
            _watch(client, futures, addresses)
        _watch(client, futures, addresses)
        found: Arrays = futures[0].result()
        heard.tell()
        return found
    except ThalwegError:
        # The other ranks wait for this one, which will not come.
        _restart(client, addresses)
        raise
    finally:
        with suppress(Exception):
            client.cancel(futures, force=True)


def _watch(client: Any, futures: Sequence[Any], addresses: Sequence[str]) -> None:
    """Raise `_Lost` if a worker is gone or a rank no longer hears another; what else a rank raised is raised here."""
    there = client.nthreads()
    gone = [address for address in addresses if address not in there]
    failed = [future for future in futures if future.status in ("error", "cancelled", "lost")]
    if not gone and not failed:
        return
    end = time.monotonic() + GRACE
    while not gone and time.monotonic() < end:
        errors = [future.exception() for future in futures if future.status == "error"]
        own = [error for error in errors if not isinstance(error, PeerLostError)]
        if own:
            raise own[0]
        time.sleep(POLL)
        gone = [address for address in addresses if address not in client.nthreads()]
    raise _Lost(f"worker {gone[0]} is lost" if gone else "a rank was no longer heard by the others")


def _workers(client: Any, count: int) -> list[str]:
    """Addresses of as many workers, in their order; waits for those that come back."""
    try:
        client.wait_for_workers(count, timeout=WAIT)
    except TimeoutError:
        raise ClusterError(
            f"`ranks: {count}` needs as many workers; there are {len(client.nthreads())}",
            allowed=f"ranks: 1 to {len(client.nthreads()) or 1}",
            advice="give the cluster more `workers`, or lower `ranks`",
        ) from None
    return sorted(client.nthreads())[:count]


def _restart(client: Any, addresses: Sequence[str]) -> None:
    """New processes for the workers that are left: a rank that waits for a lost one cannot be interrupted.

    They end themselves, and who watches them starts others. Asked to restart one, its nanny starts two at once, and
    may take the new one for the old.
    """
    known = client.scheduler_info(n_workers=-1)["workers"]
    left = [address for address in addresses if known.get(address, {}).get("nanny")]
    with suppress(Exception):
        client.run(os._exit, 1, workers=left, on_error="ignore")
    end = time.monotonic() + WAIT
    while (left := [each for each in left if each in client.nthreads()]) and time.monotonic() < end:
        time.sleep(POLL)
    if left:
        with suppress(Exception):
            client.restart_workers(left, timeout=WAIT, raise_for_error=False)


class _Heard:
    """What rank 0 reports, passed on in this thread, each epoch once."""

    def __init__(self, client: Any, report: Report) -> None:
        self.topic = f"thalweg-training-{uuid.uuid4().hex}"
        self._client, self._report, self._seen, self._step = client, report, 0, -1

    def tell(self) -> None:
        events = self._client.get_events(self.topic)
        for _, event in events[self._seen :]:
            if event["step"] > self._step:
                self._step = event["step"]
                self._report(event["numbers"], event["step"])
        self._seen = len(events)


def _shared(client: Any, address: str, folder: Path) -> None:
    """Raise `ClusterError` unless the worker sees the folder of the checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    token = folder / f".shared-{uuid.uuid4().hex}"
    token.touch()
    try:
        seen = client.submit(Path.exists, token, workers=[address], allow_other_workers=False, pure=False).result()
    finally:
        token.unlink()
    if not seen:
        raise ClusterError(
            f"worker {address} does not see {folder}, where checkpoints are kept",
            allowed="a folder that the workers share",
            advice="give a `store:` on a file system that this machine and the workers share",
        )


def _free_port() -> tuple[str, int]:
    """Where rank 0 will wait for the others."""
    import socket

    from distributed import get_worker

    host = get_worker().address.split("://")[-1].rsplit(":", 1)[0].strip("[]")
    with socket.socket() as probe:
        probe.bind(("", 0))
        return host, int(probe.getsockname()[1])


def _rank(group: Group, rank: int, meet: tuple[str, int], topic: str) -> Arrays:
    """The task of one rank; rank 0 gives what the work returns."""
    import dask
    import torch
    import torch.distributed as dist
    from distributed import get_worker
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    from .devices import device_of
    from .ranks import Alone, Together

    worker = get_worker()
    dask.config.set(scheduler="synchronous")
    torch.set_num_threads(worker.state.nthreads)
    device = device_of(group.device)

    def report(numbers: Any, step: int) -> None:
        worker.log_event(topic, {"numbers": dict(numbers), "step": step})

    count = group.ranks
    if count == 1:
        return group.work(Alone(), report)
    timeout = timedelta(seconds=group.timeout)
    try:
        store = TCPStore(meet[0], meet[1], count, is_master=rank == 0, timeout=timeout)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=timeout)
        found = group.work(Together(rank, count, device), report)
        return found if rank == 0 else {}
    except (RuntimeError, OSError) as error:
        if isinstance(error, ThalwegError) or not _of_peers(error):
            raise
        raise PeerLostError(str(error)) from None
    finally:
        # So that the others hear at once of a rank that failed, not after the timeout.
        if dist.is_initialized():
            dist.destroy_process_group()


def _of_peers(error: BaseException) -> bool:
    """Whether an error of torch is about another rank."""
    import torch.distributed as dist

    words = ("gloo", "NCCL", "ncclError", "Connection", "connection", "Socket", "socket", "barrier")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)
