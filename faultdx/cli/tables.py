"""Tables on a terminal that is as narrow as it is: the name of a file gives way first, and no line is broken in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

FILE = "file"  # the heading of the column that gives way
_GAP = 2  # blanks between two columns
_SHORTEST = 16  # characters that are left of a name with its folders; its last part is never cut
_CUT = "..."


def lines(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int) -> Iterator[Any]:
    """Yield what rich is to print, in order, for a terminal `width` characters wide.

    A table where there is room for one. Names of files are cut in the middle where that makes room. Where it does not,
    each name stands whole on a line of its own (the terminal wraps it, and copies it as one), its row below it.
    """
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    at = header.index(FILE) if FILE in header else None
    room = width - sum(widths) - _GAP * (len(widths) - 1)
    if room < 0 and at is not None:
        last = max((cell_len(_last(row[at])) for row in rows), default=0)
        if widths[at] + room < max(_SHORTEST, last + len(_CUT)):
            yield from _stacked(header, rows, widths, at)
            return
        rows = [[cut(cell, widths[at] + room) if i == at else cell for i, cell in enumerate(row)] for row in rows]
    yield _table(header, rows)


def cut(text: str, width: int) -> str:
    """Return the name of a file in at most `width` characters: of a longer one the beginning, and all of its last part
    where that fits."""
    from rich.cells import cell_len, chop_cells

    if cell_len(text) <= width:
        return text
    room = width - len(_CUT)
    left = min(room // 3, max(room - cell_len(_last(text)), 0))
    begin = chop_cells(text, left)[0] if left > 0 else ""
    end = chop_cells(text[::-1], room - left)[0][::-1]
    return f"{begin}{_CUT}{end}"


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _stacked(header: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], at: int) -> Iterator[Any]:
    from rich.cells import set_cell_size
    from rich.text import Text

    def line(row: Sequence[str]) -> str:
        cells = [set_cell_size(cell, widths[i]) for i, cell in enumerate(row) if i != at]
        return (" " * _GAP + (" " * _GAP).join(cells)).rstrip()

    yield Text(header[at], style="bold")
    yield Text(line(header), style="bold")
    for row in rows:
        yield Text(row[at])
        yield Text(line(row))
