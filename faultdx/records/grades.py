"""How diagnosable a CWRU recording is by classical methods: the grades of Smith and Randall.

W. A. Smith and R. B. Randall, "Rolling element bearing diagnostics using the Case Western Reserve University data: a
benchmark study", Mechanical Systems and Signal Processing 64-65 (2015) 100-131; the best of their three methods, for
the 60 recordings of the 12 kHz drive-end set:

    Y1  clearly diagnosable, with the classical features of the fault
    Y2  clearly diagnosable, with features that are not the classical ones
    P1  probably diagnosable: discrete components at the frequencies of the fault, not dominant
    P2  potentially diagnosable: smeared components that seem to belong to the fault
    N1  not diagnosable for the fault, with other problems in the signal

No recording of this set has another grade. A healthy recording has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from faultdx.records.cwru import Entry, catalogue

GRADES = ("Y1", "Y2", "P1", "P2", "N1")
_GRADED = {
    **dict.fromkeys((130, 131, 132, 133, 156, 209, 210, 211, 212), "Y1"),
    **dict.fromkeys((199,), "P1"),
    **dict.fromkeys((185, 186, 187, 188, 198), "P2"),
    **dict.fromkeys((118, 119, 120, 200, 224, 225, 3001, 3002, 3003, 3004), "N1"),
}


def grade(entry: Entry) -> str:
    """Return the grade of a recording of the 12 kHz drive-end set, "" for any other."""
    return _GRADED.get(entry.number, "Y2") if entry.set == "12k_drive_end" else ""


def grades_of(table: Mapping[str, Iterable[Any]]) -> list[str]:
    """Return the grade of each row of a prepared file's records table, "" where it is not known.

    The table names no catalogue number, so a recording is known by its specimen, load, rate and length together; where
    several are alike in all four, by its speed, then by the number in its file name, or by their all having one grade.
    """
    columns = ("specimen", "condition", "source_rate_hz", "samples", "rpm", "path")
    rows = zip(*(table[name] for name in columns), strict=True)
    return [_grade_of(str(s), str(c), float(rate), float(n), float(rpm), str(p)) for s, c, rate, n, rpm, p in rows]


def _grade_of(specimen: str, condition: str, rate_hz: float, samples: float, rpm: float, path: str) -> str:
    found = [
        e
        for e in catalogue()
        if (e.specimen, e.condition, e.sampling_rate_hz) == (specimen, condition, rate_hz)
        and (e.samples is None or e.samples == samples)
    ]
    if np.isfinite(rpm):
        found = [e for e in found if abs(e.true_rpm - rpm) <= 5] or found
    named = [e for e in found if PurePath(path).stem == str(e.number)]
    grades = {grade(e) for e in named or found}
    return grades.pop() if len(grades) == 1 else ""
