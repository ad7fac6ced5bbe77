"""The catalogue of the 161 files of the CWRU Bearing Data Center: what each recording is, known by its content.

The file names of this set are lost and changed in every copy of it, its
variable names do not follow them, and some facts inside the files are wrong.
So a file is known by the git blob id of its bytes, or, for a copy that was
saved again, by its variables. `cwru.csv` holds what was measured from the bytes
of 119 files; for the other 42, whose `variables` are empty, what the Data
Center's pages and the users of the set state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from faultdx.records.contents import Variable
from faultdx.records.cwru_names import SIGNAL_NAME, VARIABLE_NAME


@dataclass(frozen=True)
class Entry:
    """One file of the catalogue.

    set : "normal", "12k_drive_end", "48k_drive_end" or "12k_fan_end"
    fault : "normal", "inner_race", "ball", "outer_race", or one of these after "fan_end_"
    size_in : diameter of the defect in inches, as written; position : of an outer-race defect in the load zone
    file_rpm : as the file states it; true_rpm : as its spectrum shows it where that is more than 5 rpm away
    rpm_origin : of true_rpm: "file", "spectrum", or "nominal" (1797, 1772, 1750, 1730 rpm at 0, 1, 2, 3 HP)
    specimen : the physical bearing. The 12 kHz and the 48 kHz files of a defect are one bearing recorded twice, and
        the positions of an outer-race defect one bearing turned in its seat: to hold them apart in a split is to
        test on the bearing that was trained on. 3001-3008 are another maker's (NTN), so other bearings.
    variables, samples : of the file, empty and None where it was not at hand
    quirk : what goes wrong with this file, one sentence or more, else empty
    """

    number: int
    set: str
    fault: str
    size_in: str
    position: str
    load_hp: str
    sampling_rate_hz: float
    file_rpm: float | None
    true_rpm: float
    rpm_origin: str
    bearing: str
    specimen: str
    label: str
    variables: tuple[str, ...]
    samples: int | None
    git_blob: str
    quirk: str

    @property
    def name(self) -> str:
        """ "CWRU 105"."""
        return f"CWRU {self.number}"

    @property
    def condition(self) -> str:
        """The load of the motor: "0 HP" to "3 HP"."""
        return f"{self.load_hp} HP"

    def details(self) -> dict[str, str]:
        """Return what the catalogue knows beyond the fields of a Record, as text by name, empty values left out."""
        known = {
            "catalogue": self.name,
            "number": str(self.number),
            "set": self.set,
            "fault": self.fault,
            "size_in": self.size_in,
            "position": self.position,
            "load_hp": self.load_hp,
            "bearing": self.bearing,
        }
        return {key: value for key, value in known.items() if value}


def _entry(row: dict[str, str]) -> Entry:
    return Entry(
        number=int(row["number"]),
        set=row["set"],
        fault=row["fault"],
        size_in=row["size_in"],
        position=row["position"],
        load_hp=row["load_hp"],
        sampling_rate_hz=float(row["sampling_rate_hz"]),
        file_rpm=float(row["file_rpm"]) if row["file_rpm"] else None,
        true_rpm=float(row["true_rpm"]),
        rpm_origin=row["rpm_origin"],
        bearing=row["bearing"],
        specimen=row["specimen"],
        label=row["label"],
        variables=tuple(row["variables"].split("|")) if row["variables"] else (),
        samples=int(row["samples"]) if row["samples"] else None,
        git_blob=row["git_blob"],
        quirk=row["quirk"],
    )


@cache
def catalogue() -> tuple[Entry, ...]:
    """Return the 161 entries in order of their number; read from `cwru.csv` at the first call."""
    import csv

    text = Path(__file__).with_name("cwru.csv").read_text(encoding="utf-8")
    return tuple(_entry(row) for row in csv.DictReader(text.splitlines()))


@cache
def _by_blob() -> dict[str, Entry]:
    return {entry.git_blob: entry for entry in catalogue()}


@cache
def numbers() -> frozenset[int]:
    """Return the numbers that the names of the catalogue's variables bear: 105 of X105_DE_time, 56 of X056_DE_time."""
    named = (VARIABLE_NAME.match(name) for entry in catalogue() for name in entry.variables)
    return frozenset(entry.number for entry in catalogue()) | {int(m["number"]) for m in named if m}


def find(blob_id: str) -> Entry | None:
    """Return the entry whose file has exactly the bytes of this git blob id, or None."""
    return _by_blob().get(blob_id)


def find_by_variables(variables: Iterable[Variable], *, rpm: float | None = None) -> Entry | None:
    """Return the one entry with the same CWRU variables, of the same number of samples, or None.

    Finds a copy that was saved again or compressed, whose bytes differ. Stray variables (277 holds an `i`) are not
    compared. Where both `rpm`, the file's own statement, and the catalogue's `file_rpm` are known they must agree.
    """
    named = {v.name: v for v in variables if VARIABLE_NAME.match(v.name) and v.kind == "number"}
    lengths = {max(v.shape, default=1) for name, v in named.items() if SIGNAL_NAME.match(name)}
    if len(lengths) != 1:
        return None
    samples = lengths.pop()
    found = [
        entry
        for entry in catalogue()
        if entry.samples == samples
        and {name for name in entry.variables if VARIABLE_NAME.match(name)} == set(named)
        and (rpm is None or entry.file_rpm is None or rpm == entry.file_rpm)
    ]
    return found[0] if len(found) == 1 else None


def own_prefix(entry: Entry) -> str:
    """Return how the names of the file's own variables begin: "X105", but "X173" in 174 and "X056" in 3001.

    99, 175 and 217 are reported to hold another file's record too; their own is the one with their number.
    """
    for name in entry.variables:
        if SIGNAL_NAME.match(name):
            return name.split("_", 1)[0]
    return f"X{entry.number:03d}"


def own_variables(entry: Entry) -> dict[str, str]:
    """Return channel -> variable of the file's own record: {"DE": "X105_DE_time", "FE": ..., "BA": ...}.

    For a file that was not at hand these are the names that may be there.
    """
    prefix = own_prefix(entry)
    names = {channel: f"{prefix}_{channel}_time" for channel in ("DE", "FE", "BA")}
    return {c: name for c, name in names.items() if not entry.variables or name in entry.variables}
