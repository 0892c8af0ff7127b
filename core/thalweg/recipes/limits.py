"""What there is room for: memory of workers, space of a store. Raises `TooLargeError` before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..boundaries.access import filesystem
from ..boundaries.documents import kind_of
from ..cluster import Cluster
from ..components import Demand, Learner
from ..components.signature import Signature
from ..errors import OptionError, ThalwegError, TooLargeError
from ..stores.store import Store
from .handshakes import at


def demand_of(
    learner: Learner, options: Mapping[str, Any], cluster: Cluster, *, given: Signature, wanted: Signature
) -> Demand:
    """What the training takes, if the cluster has it."""
    demand: Demand = at("train", learner.demand, given, wanted, options)
    if demand.workers > cluster.processes:
        raise OptionError(
            f"{learner.name} is to learn on {demand.workers} workers, but there is room for {cluster.processes}",
            allowed=f"up to {cluster.processes} on {cluster.summary}",
            advice=f"use `cluster: {{local: {{workers: {demand.workers}}}}}`, or cuda, slurm, kubernetes, address",
            where="train",
        )
    if demand.memory > cluster.memory_per_worker:
        raise TooLargeError(
            f"learning {learner.name} takes {human(demand.memory)}, but a worker has "
            f"{human(cluster.memory_per_worker)}",
            allowed=f"up to {human(cluster.memory_per_worker)} on {cluster.summary}",
            advice="lower `batch`, raise `accumulate` or `ranks`, take a smaller network, or give workers more memory",
            where="train",
        )
    return demand


def check_task(name: str, peak: int, cluster: Cluster) -> None:
    """A task of the stage `name` must fit into a worker's memory."""
    room = cluster.memory_per_task
    if peak > room:
        raise TooLargeError(
            f"a task of {name} needs {human(peak)}, but a worker has {human(room)} for one",
            allowed=f"up to {human(room)} on {cluster.summary}",
            advice="give the workers more memory or fewer threads, smaller chunks to the dataset, or a smaller region",
            where=name,
        )


def check_place(root: str) -> Store:
    """The store at a path or URL, which must be a place for folders. Raises `OptionError`."""
    try:
        store = Store(root)
        if store.local is None:
            filesystem(store.root)
            if "?" in root or "#" in root:
                raise OptionError(
                    f"{root!r} has a query", allowed="a path, or a URL of a folder", advice="leave the query out"
                )
            return store
        nearest = next(each for each in (store.local, *store.local.parents) if each.exists())
    except ThalwegError as error:
        raise error.at("store") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise OptionError(f"{root!r} is no place for a store: {error}", where="store", advice="give a path") from None
    if not nearest.is_dir():
        what = kind_of(nearest.stat().st_mode) if not nearest.is_file() else "a file"
        inside = "" if nearest == store.local else f": {str(nearest)!r}"
        raise OptionError(
            f"{store.root!r}{inside} is {what}",
            allowed="a folder, or a path where one can be made",
            advice="give another path",
            where="store",
        )
    return store


def check_space(store: Store, nbytes: int) -> None:
    """The store must have space for what is not there yet."""
    free = store.free_bytes()
    if free is not None and nbytes > free:
        raise TooLargeError(
            f"the stores need up to {human(nbytes)}, but {human(free)} are free at {store.root}",
            allowed=f"up to {human(free)}",
            advice="free some space, or give another `store:`",
            where="store",
        )


def human(nbytes: float) -> str:
    """Bytes for people: `1.3 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if nbytes < 1000:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:.1f} TB"
