"""The headings of a records table: those that are known, and what somebody may have meant by one that is not.

A heading that is misunderstood is worse than an error: a rate that is not taken, a label that is missing. So a near
miss is refused with the heading to use, and what is like no heading is kept as a detail.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

from faultdx.files import show

COLUMNS = (
    "label", "sampling_rate_hz", "rpm", "channel", "variable", "unit", "scale", "specimen", "condition", "asset",
    "bearing",
)  # fmt: skip
_UNITS = {"sampling_rate_hz": "samples a second", "rpm": "turns a minute"}
# What people call a number that we know: taken for it only where each cell is a number.
_OTHER_NAMES = {
    **dict.fromkeys(
        ("fs", "fs_hz", "sr", "rate", "rate_hz", "sampling_rate", "sample_rate", "sample_rate_hz", "samplerate",
         "samplingrate", "sampling_frequency", "sampling_frequency_hz", "sample_frequency", "sampling_freq"),
        "sampling_rate_hz",
    ),
    **dict.fromkeys(("speed", "speed_rpm", "shaft_speed", "shaft_rpm", "rotational_speed", "rotation_speed"), "rpm"),
    **dict.fromkeys(("scale_factor", "scaling", "calibration_factor"), "scale"),
}  # fmt: skip
_PATHS = (
    "file", "filename", "file_name", "filepath", "file_path", "paths", "fullpath", "full_path", "pathname", "files",
    "filenames", "recording", "record", "name", "source",
)  # fmt: skip
_NEAR = 0.8


def delimiter_of(header: str) -> str:
    """Return the delimiter of a table by its first line."""
    return max(",;\t", key=header.count)


def misspelt(header: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return what is wrong with headings that are nearly one of `COLUMNS`, which is not there itself."""
    problems = []
    for heading in header:
        plain = _plain(heading)
        if heading in (*COLUMNS, "path", ""):
            continue
        meant = _OTHER_NAMES.get(plain)
        if meant and not all(_is_number(cell) for row in rows if (cell := row.get(heading, ""))):
            meant = None
        meant = meant or _nearest(plain, COLUMNS)
        if meant and meant not in header:
            unit = f" (in {_UNITS[meant]})" if meant in _UNITS else ""
            problems.append(
                f"the column {show(heading)} is not known: rename it to {meant}{unit}, or give it another name"
            )
    return problems


def nearest_to_path(header: Sequence[str]) -> str | None:
    """Return the heading that most likely stands for `path`, None where none does."""
    by_name = {_plain(heading): heading for heading in reversed(header) if heading}
    found = next((by_name[name] for name in _PATHS if name in by_name), None)
    if found is not None:
        return found
    near = difflib.get_close_matches("path", by_name, n=1, cutoff=0.7)
    return by_name[near[0]] if near else None


def no_path(header: Sequence[str], heading: str | None) -> str:
    """Return the problem of a table without a column `path`; `heading` is the one that should be called so."""
    there = ", ".join(show(cell) for cell in header[:12]) or "none"
    return f"no column path (it has {there})" + (f": rename {show(heading)} to path" if heading else "")


def lacks_path(rows: Sequence[Sequence[str]], *, called: str, there: Callable[[str], bool]) -> str | None:
    """Return the heading that should be `path` ("" where that cannot be told) where a file is a records table without
    one; None where it is no such table.

    rows : the first of the file, the headings before the others, without a heading `path`
    called : the name of the file; there : tells whether a file of a name exists beside it
    """
    header, cells = rows[0], [row for row in rows[1:] if any(row)]
    if len(cells) == 0 or any(_is_number(cell) for cell in header):
        return None
    for i, heading in enumerate(header):
        column = [row[i] for row in cells if len(row) > i and row[i]]
        # A number may be the name of a file too, and is no sign of a table; nor is one word of many that is.
        if 2 * sum(not _is_number(cell) and there(cell) for cell in column) > len(column):
            return heading
    if called.lower() != "records.csv" or all(_is_number(cell) for row in cells[:-1] or cells for cell in row if cell):
        return None
    return nearest_to_path(header) or ""


def _nearest(plain: str, names: Sequence[str]) -> str | None:
    near = difflib.get_close_matches(plain, names, n=1, cutoff=_NEAR)
    return near[0] if near and abs(len(near[0]) - len(plain)) <= 1 else None


def _plain(heading: str) -> str:
    """Return a heading as ours are written: "Sampling rate [Hz]" -> "sampling_rate_hz"."""
    return re.sub(r"[^0-9a-z]+", "_", heading.lower()).strip("_")


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ".", 1))
    except ValueError:
        return False
    return True
