"""Readers of other packages, found by entry points.

A package adds a reader through the group `faultdx.formats`: the entry point is a Format (faultdx.records.formats), or
a function without arguments that returns one.

    [project.entry-points."faultdx.formats"]
    acme = "acme_daq.reader:FORMAT"
"""

from __future__ import annotations

from functools import cache
from typing import TypeVar

from faultdx.files import show

GROUP = "faultdx.formats"
_LONGEST = 200
T = TypeVar("T")


def said(error: BaseException) -> str:
    """Return an exception in a few printable words."""
    return show(f"{type(error).__name__}: {error}"[:_LONGEST])


@cache
def load(wanted: type[T]) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """Return the readers that are installed, in the order of their names, each of the type `wanted`, and a sentence
    on each that cannot be used. They are looked for once a process."""
    from importlib.metadata import entry_points  # costs start-up time

    readers: list[T] = []
    broken: list[str] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value)):
        try:
            loaded = point.load()
            reader = loaded if isinstance(loaded, wanted) or not callable(loaded) else loaded()
            if not isinstance(reader, wanted):
                raise TypeError(f"it is of type {type(reader).__name__}, not {wanted.__name__}")
            readers.append(reader)
        except (Exception, SystemExit) as error:  # the code of others, at its import: it may raise anything
            broken.append(f"the reader {show(point.name)} ({show(point.value)}) cannot be used ({said(error)})")
    return tuple(readers), tuple(broken)
