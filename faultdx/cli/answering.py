"""Each recording of a call -> its answer, in order, wherever it is worked out: here, in processes, on a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from faultdx.cli.outputs import Outputs

if TYPE_CHECKING:
    from faultdx.answers import Answer, Wanted
    from faultdx.model import Model
    from faultdx.records import Item
    from faultdx.untrained import Untrained


class Where(NamedTuple):
    """Where records are diagnosed, and whether the spectrum is heard beside the network."""

    jobs: int = 1
    threads: int = 1
    dask: str | None = None
    hears: bool = False


def answers(
    items: Iterable[Item],
    model: Model | Untrained,
    folder: Path | None,
    wanted: Wanted,
    outputs: Outputs,
    where: Where = Where(),  # noqa: B008 - it is frozen
    *,
    new_only: bool = False,
) -> Generator[tuple[int, Answer | None], None, None]:
    """Yield (number, answer) of each item in order, wherever it is worked out; None for one that the history has."""
    from faultdx.answers import Answerer, Packed, lost_answer, unseen_answer
    from faultdx.mapping import Lost, mapped
    from faultdx.mapping.names import Name

    jobs, dask = where.jobs, where.dask
    if dask is not None or jobs > 1:
        source: Path | Packed | Untrained
        if folder is None:
            from faultdx.untrained import Untrained

            source = model if isinstance(model, Untrained) else Untrained()
        else:
            source = folder if dask is None else Packed.of(folder)
        here = None if dask is None else str(Path.cwd())
        answerer = Answerer(
            source,
            wanted,
            digest=model.digest,
            threads=where.threads,
            hears=where.hears,
            folder=here,
            baseline=model.baseline,
        )
    else:
        answerer = Answerer.of(model, wanted)
    waiting: deque[tuple[int, Item]] = deque()  # what is on its way: as many as the window of `mapped`
    passed: deque[int] = deque()
    seen: set[str] = set()

    def tasks() -> Iterator[tuple[Item]]:
        for index, item in enumerate(items):
            if new_only and outputs.known(item):
                passed.append(index)
            else:
                waiting.append((index, item))
                yield (item,)

    with closing(mapped(answerer, tasks(), workers=jobs, dask=dask, here=_is_piped)) as results:
        for result in results:
            index, item = waiting.popleft()
            while passed and passed[0] < index:
                yield passed.popleft(), None
            answer = result
            if isinstance(result, Lost):
                answer = lost_answer(item, _lost(item, result, dask=dask is not None), model, wanted)
            elif result.unseen_on and Name(item.path).is_seen:
                answer = unseen_answer(item, result.unseen_on, model, wanted)
            if new_only and answer.sha256:
                # its twin was still on its way when this one was given out
                if answer.sha256 in seen and outputs.known(item):
                    yield index, None
                    continue
                seen.add(answer.sha256)
            yield index, answer
    while passed:
        yield passed.popleft(), None


def _is_piped(item: Item) -> bool:
    from faultdx.records.opening import is_standard_input

    return is_standard_input(item.path)


def _lost(item: Item, lost: object, *, dask: bool) -> str:
    from faultdx.files import show
    from faultdx.mapping import Lost

    assert isinstance(lost, Lost)
    cure = "a worker with more memory" if dask else "fewer --jobs"
    return (
        f"{show(item.path)}: the process that diagnosed it was {lost.reason}, most likely for want of memory: "
        f"try {cure}, or this recording alone"
    )
