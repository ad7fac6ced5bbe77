"""The table on a terminal: names of files are cut where that makes room, and never broken."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from faultdx.cli.tables import cut, lines

HEADER = ["file", "verdict", "confidence", "status"]
LONG = [f"/spool/hall 3/line 2/2026-11-22/motor-{n:03d}.mat" for n in (1, 2)]


def drawn(names: list[str], width: int, header: list[str] = HEADER) -> list[str]:
    """What stands on a terminal of that width, before it wraps anything."""
    rows = [[name, "outer_race", ">99.9 %", "outer race"] for name in names]
    rows = [[row[HEADER.index(h)] if h in HEADER else "x" for h in header] for row in rows]
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for part in lines(header, rows, width=width):
        console.print(part, soft_wrap=isinstance(part, Text))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_where_there_is_room_it_is_a_table() -> None:
    head, *rows = drawn(LONG, 120)
    assert head.split() == HEADER and len(rows) == 2
    assert all(row.startswith(name) and row.endswith("outer race") for row, name in zip(rows, LONG, strict=True))


@pytest.mark.parametrize("width", range(53, 81))
def test_a_name_is_cut_in_the_middle_and_its_last_part_stays(width: int) -> None:
    head, *rows = drawn(LONG, width)
    assert head.split() == HEADER and len(rows) == 2 and max(map(cell_len, rows)) <= width
    for n, row in enumerate(rows, 1):
        assert f"motor-00{n}.mat  outer_race" in row and row.count("...") == 1 and row.startswith("/"[: width - 51])


@pytest.mark.parametrize("width", [51, 40, 20])
def test_where_that_is_not_enough_each_name_has_a_line_of_its_own(width: int) -> None:
    head, more, *rows = drawn(LONG, width)
    assert (head, more.split()) == ("file", HEADER[1:])
    assert rows[::2] == LONG and all(row.startswith("  outer_race  >99.9 %") for row in rows[1::2])


def test_short_names_and_tables_without_files_are_left_as_they_are() -> None:
    assert drawn(["a.mat"], 60)[1].startswith("a.mat  outer_race")
    assert len(drawn(["a.mat"], 10, ["verdict", "status"])) >= 2
    assert drawn([], 60)[0].split() == HEADER and len(drawn([], 4)) == 2


@pytest.mark.parametrize("width", range(4, 40))
@pytest.mark.parametrize(
    "name", ["/a/b/c.mat", "x" * 50, "/\u6f22\u5b57/\u9032\u6355.mat", "no folder.csv", "/a/" + "y" * 30]
)
def test_a_cut_fits_and_ends_as_the_name_does(name: str, width: int) -> None:
    found = cut(name, width)
    assert cell_len(found) <= width and found[-1] == name[-1]
    assert found == name or "..." in found
    last = name.rpartition("/")[2]
    assert found.endswith(last) or cell_len(last) + 3 > width
