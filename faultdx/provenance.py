"""What a model has seen of the data that it is scored on: the level of honesty that a figure allows.

Where the data are the file that it was trained on, the file's split says it. Of any other file the recordings are
compared with those of the training file by the digest of their samples, and their segments by where they were cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.dataset import Prepared, open_prepared
from faultdx.errors import DatasetError
from faultdx.files import show

SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Seen:
    """What of a training file a model has seen, trained on or chosen by: recordings -> starts of their segments.

    segment : samples of a segment of that file
    """

    starts: Mapping[str, npt.NDArray[np.int64]]
    specimens: frozenset[str]
    segment: int


@dataclass(frozen=True)
class Honesty:
    """How much the figures say.

    kind : "specimen" | "condition" | "time" | "random" (the split's method), "seen" (trained on, or chosen by),
        "foreign" (recordings never seen), "unknown"
    level : in words, what the scored side has never seen; leaks : the figures are too good, and say nothing
    same_file : the data are the file that it was trained on; notes : exceptions, a sentence each
    """

    kind: str
    level: str
    leaks: bool
    same_file: bool
    notes: tuple[str, ...] = ()


def seen_in(path: Path | None, digest: str) -> Seen | None:
    """Return what was seen of the training file at `path`; None where it is missing, damaged or another by now."""
    if path is None:
        return None
    try:
        with open_prepared(path) as prepared:
            if prepared.digest != digest:
                return None
            table = prepared.records()
            rows = np.flatnonzero(prepared.side != SIDES.index("test"))
            record = prepared.record[rows]
            there = np.unique(record)
            starts = {str(table["sha256"][r]): np.sort(prepared.start[rows[record == r]]) for r in there}
            specimens = frozenset(str(table["specimen"][r]) for r in there) - {""}
            return Seen(starts, specimens, prepared.segment)
    except DatasetError:
        return None


def rows_of(prepared: Prepared, side: str) -> npt.NDArray[np.int64]:
    """Return the segment numbers of "train", "val", "test" or "all", ascending."""
    return np.arange(len(prepared.label)) if side == "all" else prepared.rows(side)


def default_side(prepared: Prepared, seen: Seen | None, *, same_file: bool) -> str:
    """Return "all" for a file of which no recording was seen, "test" for any other."""
    if same_file or seen is None:
        return "test"
    known = {str(s) for s in prepared.records()["sha256"]}
    return "test" if known & seen.starts.keys() else "all"


def honesty(prepared: Prepared, side: str, seen: Seen | None, *, same_file: bool) -> Honesty:
    """Return how much figures on `side` of `prepared` say of a model that has seen `seen` (None: cannot be told)."""
    split: Mapping[str, Any] = prepared.split
    notes = tuple(str(n) for n in split["notes"])
    if same_file:
        return _of_its_own_file(prepared, side, notes)
    other = "not the file that it was trained on"
    if seen is None:
        return Honesty(
            "unknown",
            f"not known: {other}, which is not at hand, so whether it was trained on these recordings cannot be told",
            False,
            False,
        )
    table, rows = prepared.records(), rows_of(prepared, side)
    record = prepared.record[rows]
    there = np.unique(record)
    shared = [r for r in there if str(table["sha256"][r]) in seen.starts]
    overlap = sum(
        _overlapping(prepared.start[rows[record == r]], prepared.segment, seen.starts[str(table["sha256"][r])], seen)
        for r in shared
    )
    counts = f"{len(shared)} of {len(there)} recordings were seen in training"
    if overlap:
        level = f"LEAKING: {overlap} of {len(rows)} segments overlap what it was trained or chosen on"
        return Honesty("seen", level, True, False, (f"{other}, but {counts}",))
    if shared:
        level = "within record: other seconds of recordings that it was trained on"
        return Honesty("time", level, False, False, (f"{other}, but {counts}",))
    names = {str(table["specimen"][r]) for r in there}
    known = sorted(names & seen.specimens)
    if known:
        level = "across conditions at most: other recordings of specimens that it was trained on"
        more = ", ".join(show(k) for k in known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
        return Honesty("condition", level, False, False, (other, f"specimens of these names were trained on: {more}"))
    if "" in names or not seen.specimens:
        said = "foreign recordings, never seen in training; not all specimens are named, so some may be known to it"
    else:
        said = "foreign: recordings and specimens never seen in training"
    return Honesty("foreign", said, False, False, (other,))


def _of_its_own_file(prepared: Prepared, side: str, notes: tuple[str, ...]) -> Honesty:
    split: Mapping[str, Any] = prepared.split
    if side in ("train", "all"):
        level = "LEAKING: the segments that it was trained on are among those scored; not a measure of diagnosis"
        return Honesty("seen", level, True, True, notes)
    if side == "val":
        level = "validation: the epoch and the temperature were chosen on these very segments, so it is optimistic"
        leaking = (f"the split itself: {split['level']}",) if split["leakage"] else ()
        return Honesty("seen", level, bool(split["leakage"]), True, (*leaking, *notes))
    return Honesty(str(split["method"]), str(split["level"]), bool(split["leakage"]), True, notes)


def _overlapping(start: npt.NDArray[np.int64], samples: int, trained: npt.NDArray[np.int64], seen: Seen) -> int:
    """Return how many segments at `start`, `samples` long, share samples with one of those that were seen."""
    first = np.searchsorted(trained, start - seen.segment, side="right")  # the first that ends behind our start
    near = trained[np.minimum(first, len(trained) - 1)]
    return int(np.sum((first < len(trained)) & (near < start + samples)))
