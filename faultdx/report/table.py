"""Rows -> CSV that a spreadsheet may open.

RFC 4180: comma, double quotes, CR LF. UTF-8 with a byte order mark, always: without one Excel takes the file for the
code page of the machine, and a mark that came and went with the names in it would break whoever reads the file by its
header. A program reads `--json` instead, or this with the encoding "utf-8-sig".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from faultdx.files import show
from faultdx.report.row import Row

# The columns, in their order. They change by addition at the end only.
CSV_HEADER = (
    "file", "asset", "point", "time", "time_from", "status", "verdict", "fault", "confidence", "agreement",
    "fault_probability", "segments", "sampling_rate_hz", "rpm", "level_rms", "level_peak", "crest_factor", "kurtosis",
    "unit", "notes", "sha256", "model_digest", "model_name", "diagnosed_at", "elapsed_s",
)  # fmt: skip
# What makes a cell a formula (OWASP, "CSV Injection"), the full-width forms included. A tab or CR before it does too.
_FORMULA = "=+-@\t\r\uff1d\uff0b\uff0d\uff20"
BOM = "\ufeff"


def cell(value: object) -> str:
    """Return a value as a cell: None is empty, a bool yes or no, a number itself, a text safe for a spreadsheet.

    A text that a spreadsheet would run as a formula gets an apostrophe in front, leading blanks notwithstanding;
    a line break or another control character is spelled out.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    shown = show(text)
    return f"'{shown}" if text[:1] in {"\t", "\r"} or shown.lstrip()[:1] in set(_FORMULA) else shown


def to_csv_rows(rows: Iterable[Row]) -> list[list[str]]:
    """Return the header, then one list of cells a row, in their order, errors included."""
    return [list(CSV_HEADER), *([cell(getattr(row, name)) for name in CSV_HEADER] for row in rows)]


def to_csv(rows: Iterable[Row]) -> str:
    """Return the table as text that begins with a byte order mark; to be written with `faultdx.files.atomic_write`."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerows(to_csv_rows(rows))
    return BOM + stream.getvalue()
