"""The two passes of `prepare` over its records: here, in processes, or on a cluster, what is already done left out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from faultdx.config import PrepareConfig
from faultdx.cutting import Cutting, Known, cut_item, learn
from faultdx.dataset import Block
from faultdx.errors import DatasetError, RecordError
from faultdx.files import show
from faultdx.mapping import Lost, mapped
from faultdx.mapping.names import Name, not_seen
from faultdx.records.opening import is_standard_input
from faultdx.records.table import Item
from faultdx.resumption import KeptRecords
from faultdx.splits import Shares

Progress = Callable[[str, int, int], None]


class LostError(DatasetError):
    """A worker process was lost, which says nothing of the records: what the others have done is worth keeping."""


def in_order(
    work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], workers: int, dask: str | None = None
) -> Generator[Any, None, None]:
    """Yield work(*task) in the order of the tasks, a bounded number of results ahead of the consumer."""
    if not tasks:  # a cluster need not be there for nothing
        return
    # An arithmetic of memory: a result is the segments of a record with all its noises, so few may wait.
    window = 2 * workers if dask is None else None
    with closing(
        mapped(work, tasks, workers=min(workers, len(tasks)), dask=dask, window=window, here=_is_piped)
    ) as results:
        for task, result in zip(tasks, results, strict=False):
            if isinstance(result, Lost):
                which = f" at {show(task[0].path)}" if isinstance(task[0], Item) else ""
                raise LostError(
                    f"a worker process was {result.reason}{which}, most likely because memory ran out: "
                    f"{'use workers with more memory' if dask else 'use fewer --workers'}"
                )
            yield result


def _is_piped(item: object, *_: object) -> bool:
    """Tell whether a recording can be read by this process alone."""
    return isinstance(item, Item) and is_standard_input(item.path)


def learn_all(
    items: Sequence[Item],
    config: PrepareConfig,
    keep: KeptRecords,
    *,
    workers: int,
    dask: str | None,
    step: Progress,
) -> list[Known | RecordError]:
    """First pass: return what each record is, or why it cannot be used; those that `keep` has are not read again."""
    learned: list[Known | RecordError] = []
    work = partial(learn, labels=config.labels, quality=config.quality, folder=_folder(dask))
    there = [keep.known(item) for item in items]
    missing = [(item,) for item, known in zip(items, there, strict=True) if known is None]
    with closing(in_order(work, missing, workers, dask)) as results:
        for item, known in zip(items, there, strict=True):
            result = next(results) if known is None else known
            if known is None and isinstance(result, Known):
                keep.learned(item, result)
            host = getattr(result, "unseen_on", "")
            unseen = host and Name(item.path).is_seen
            learned.append(RecordError(not_seen(item.path, host), item.path) if unseen else result)
            step("reading", len(learned), len(items))
    return learned


def cut_all(
    usable: Sequence[tuple[Item, Known]],
    shares: Sequence[Shares],
    plan: Cutting,
    keep: KeptRecords,
    *,
    workers: int,
    dask: str | None,
    room: bool,
) -> Generator[Block, None, None]:
    """Second pass: yield the segments of each record, those of an interrupted run where it has them.

    room : for the segments to be kept
    """
    work = partial(cut_item, plan=plan, folder=_folder(dask))
    tasks = [(item, known, share) for (item, known), share in zip(usable, shares, strict=True)]
    there = [keep.has(known, share, plan) for _, known, share in tasks]
    missing = [(item, known.seen, share) for (item, known, share), has in zip(tasks, there, strict=True) if not has]
    with closing(in_order(work, missing, workers, dask)) as results:
        for (item, known, share), has in zip(tasks, there, strict=True):
            block = keep.block(item, known, share, plan) if has else next(results)
            if block is None:  # damaged, or the file has changed, which is for this to say
                block = work(item, known.seen, share)
            if room and not has:
                keep.cut(known, share, plan, block)
            yield block


def _folder(dask: str | None) -> str | None:
    """Return what relative names are relative to, where another machine is to open them."""
    return None if dask is None else str(Path.cwd())
