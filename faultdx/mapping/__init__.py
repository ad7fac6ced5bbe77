"""The same function over many items, its results in the order of the items: here, in processes, or on a cluster.

`work` is a pure function of its task: where it runs, beside what, and how often it was tried changes nothing in what
it returns. It must pickle. Heavy state (a model) it makes by itself, in a method `begin()` where it has one, once in
each place where it runs.

    here       one after the other in this process; nothing is imported for it
    processes  `faultdx.mapping.processes`: worker processes of this machine, one thread each
    cluster    `faultdx.mapping.cluster`: a Dask scheduler and its workers, on any number of machines

A bounded number of items is on its way at any time, so that memory does not grow with their number. An item whose
worker dies is tried again; the second time it is given up, as a `Lost` in its place, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from faultdx.mapping.tasks import Lost, Task

__all__ = ["Lost", "Task", "mapped"]


def mapped(
    work: Callable[..., Any],
    tasks: Iterable[Task],
    *,
    workers: int = 1,
    dask: str | None = None,
    window: int | None = None,
    here: Callable[..., bool] | None = None,
) -> Generator[Any, None, None]:
    """Yield `work(*task)` for each task, in their order; `Lost` where no worker survived it.

    tasks : taken as they are needed, by the calling thread
    workers : processes; 1 is this one
    dask : address of a scheduler ("tcp://host:8786"); `workers` does not count then
    window : how many items may be ahead of the one that is yielded next; by default four for each worker
    here : says of a task that it belongs to this process (standard input does)

    What `work` raises is raised where its result would stand, and ends the run. Raises ConfigError where workers die
    as they start, and for a cluster that is not there, has no workers, or has workers of other versions. When the
    iteration ends, however it ends, no worker process of ours is left.
    """
    if dask is not None:
        from faultdx.mapping import cluster

        yield from cluster.mapped(work, tasks, address=dask, window=window, here=here)
    elif workers > 1:
        from faultdx.mapping import processes

        yield from processes.mapped(work, tasks, workers=workers, window=window, here=here)
    else:
        for task in tasks:
            yield work(*task)
