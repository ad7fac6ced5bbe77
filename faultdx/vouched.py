"""The healthy recordings of a machine, as its history has them: found again, so that a baseline can be made of them.

A history keeps what was said of a recording, and not its bands: the recordings themselves are read again. One whose
bytes are not those that were diagnosed is not used. Whether a recording is healthy is said by a network that cleared
it, or by whoever names a period in which the machine was in order. "unchanged" and "no evidence" do not count: a
baseline that follows them follows a fault that grows slowly.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from faultdx.baseline import MOST_RECORDS
from faultdx.errors import ConfigError
from faultdx.files import show
from faultdx.intake import parse_json
from faultdx.records.table import Declared, Item
from faultdx.report.row import Row, instant, sha256_of

_DATE = len("2026-03-01")  # alone: the whole of that day
_NUMBERS = ("sampling_rate_hz", "rpm", "scale")
_TEXTS = ("variable", "bearing")


@dataclass(frozen=True)
class Vouched:
    """Recordings to make a baseline of, the oldest first, and what is to be said of the choice, a sentence each."""

    items: tuple[Item, ...]
    notes: tuple[str, ...]


def vouched(
    history: str | os.PathLike[str],
    *,
    asset: str,
    point: str | None = None,
    since: str | None = None,
    until: str | None = None,
    flags: Declared | None = None,
) -> Vouched:
    """Return the healthy recordings of a machine that a history knows and that are still there.

    point : where the machine has several measuring points; since, until : ISO 8601, UTC without a zone. With either
        somebody vouches for the machine in that period, and all counts that was not called a fault; without, what a
        network cleared
    flags : options, which come before what was declared when the recordings were diagnosed

    Raises ConfigError: no history, no such machine or point, several points, no time, nothing healthy, nothing there.
    """
    from faultdx.history import History  # and SQLite

    last = f"{until.strip()}T23:59:59.999" if until is not None and len(until.strip()) == _DATE else until
    span = tuple(None if text is None else _time(text) for text in (since, last))
    with History.read(history) as found:
        rows = [entry.row for entry in found.entries(asset=asset)]
        known = sorted({name for name, _ in found.series()})
    if not rows:
        there = ", ".join(name or "(no machine named)" for name in known[:8])
        raise ConfigError(f"{show(history)}: has no recordings of {show(asset)}: it has those of {there} (--asset)")
    points = sorted({row.point for row in rows if row.level_rms is not None})
    if point is not None and point not in points:
        raise ConfigError(
            f"{show(history)}: {show(asset)} has no point {show(point)}: it has {_some(points)} (--point)"
        )
    if point is None and len(points) > 1:
        raise ConfigError(
            f"{show(history)}: {show(asset)} has several measuring points ({_some(points)}): name one, --point"
        )
    chosen, notes = _healthy([row for row in rows if point is None or row.point == point], *span)
    if not chosen:
        cure = "choose another period" if any(span) else "name a period in which it was in order: --since, --until"
        raise ConfigError(f"{show(history)}: no recording of {show(asset)} is known to be healthy ({notes[0]}): {cure}")
    items, lost = [], 0
    for row in chosen[-MOST_RECORDS:]:
        item = _again(row, Path(history).parent, flags or Declared())
        items += [item] if item is not None else []
        lost += item is None
    if not items:
        raise ConfigError(
            f"{show(history)}: none of the {len(chosen)} healthy recordings of {show(asset)} is still where it was "
            "when it was diagnosed: run this in the folder that their names start from, or name them yourself"
        )
    if lost:
        notes.append(f"{lost} of them are gone, or are not the bytes that were diagnosed: not used")
    return Vouched(tuple(items), tuple(notes))


def _healthy(rows: Iterable[Row], since: str | None, until: str | None) -> tuple[list[Row], list[str]]:
    """Return a row of each healthy recording, by time, and how the choice was made."""
    of: dict[str, list[Row]] = {}
    for row in rows:
        if row.sha256 and (since is None or row.time >= since) and (until is None or row.time <= until):
            of.setdefault(row.sha256, []).append(row)
    count: Counter[str] = Counter()
    chosen = []
    for same in of.values():
        word = _word(same, by_period=since is not None or until is not None)
        count[word] += 1
        chosen += [same[0]] if word == "healthy" else []
    left_out = ", ".join(f"{n} {word}" for word, n in sorted(count.items()) if word != "healthy")
    by = "that were not called a fault in the period named" if since or until else "that a network cleared"
    said = f"{count['healthy']} of {len(of)} recordings {by}{f'; left out: {left_out}' if left_out else ''}"
    return sorted(chosen, key=lambda row: (row.time, row.sha256)), [said]


def _word(same: list[Row], *, by_period: bool) -> str:
    """Return what the diagnoses of one recording make of it: "healthy", or why it is left out."""
    if any(row.fault for row in same):
        return "called a fault"
    if all(row.status in {"error", "unusable"} for row in same):
        return "unfit"
    if by_period:
        return "healthy"
    if any(row.verdict == "changed" for row in same):
        return "changed"
    return "healthy" if any(row.status == "diagnosed" and row.fault is False for row in same) else "not cleared"


def _again(row: Row, folder: Path, flags: Declared) -> Item | None:
    """Return the recording of a row as it was asked for then; None where its bytes are not there."""
    asked = _asked(row.asked)
    told: dict[str, Any] = {k: v for k in _NUMBERS if isinstance(v := asked.get(k), int | float) and v}
    told |= {k: v for k in _TEXTS if isinstance(v := asked.get(k), str)}
    channels = asked.get("channels")
    if isinstance(channels, list) and all(isinstance(name, str) for name in channels):
        told["channels"] = tuple(channels)
    told |= {"unit": row.unit} if row.unit else {}
    own = {k: v for k in (*_NUMBERS, *_TEXTS, "channels", "unit", "asset") if (v := getattr(flags, k))}
    declared = replace(flags, **{**told, **own})
    for path in dict.fromkeys((row.file, str(folder / row.file))):
        item = Item(path, flags=declared)
        if path != "-" and sha256_of(item) == row.sha256:
            return item
    return None


def _asked(text: str) -> dict[str, Any]:
    try:
        found = parse_json(text.encode("utf-8", "surrogatepass")) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _time(text: str) -> str:
    found = instant(text)
    if found is None:
        raise ConfigError(f"{show(text)!r} is no time: write it as 2026-03-01 or 2026-03-01T12:00 (ISO 8601, UTC)")
    return found


def _some(points: list[str]) -> str:
    return ", ".join(show(point) or "(unnamed)" for point in points[:8])
