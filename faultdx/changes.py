"""What changed at a measuring point since the run before: faults that came or went, statuses, levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from faultdx.history import Entry, History

# 6 dB: twice the level, or half of it. A machine that runs on varies by less; half may be a sensor that came loose.
LEVEL_FACTOR = 2.0


@dataclass(frozen=True)
class Change:
    """A change at a measuring point.

    kind : "new_fault", "fault_gone", "status" or "level"; before, after : the fault, the statuses, or the level (RMS,
        median of the run's records); "" or None where there was none
    since, now : the start of the run before and of the last run, UTC; since is "" where there is no run before
    """

    asset: str
    point: str
    kind: str
    before: str | float | None
    after: str | float | None
    since: str
    now: str

    @property
    def text(self) -> str:
        """The change as a sentence without its subject: "new fault: inner_race"."""
        if self.kind == "new_fault":
            return f"new fault: {self.after}"
        if self.kind == "fault_gone":
            return f"fault gone: {self.before}"
        if isinstance(self.before, float) and isinstance(self.after, float):
            way, factor = ("up", self.after / self.before) if self.after > self.before else (
                "down", self.before / self.after,
            )  # fmt: skip
            return f"level RMS {way} by a factor of {factor:.3g}, from {self.before:.3g} to {self.after:.3g}"
        return f"status: {self.before or 'none'} -> {self.after or 'none'}"


def changes(history: History, *, asset: str | None = None) -> list[Change]:
    """Return what changed at each measuring point between its last run and its run before, by asset and point.

    A measuring point with a single run has changed only if there is a fault, or something that could not be read.
    """
    found: list[Change] = []
    for name, point in history.series(asset=asset):
        runs = history.last_runs(name, point)
        found += compare(runs[1] if len(runs) > 1 else [], runs[0])
    return found


def compare(before: Sequence[Entry], after: Sequence[Entry]) -> list[Change]:
    """Return what changed between two runs of one measuring point; `after` is not empty, `before` may be."""
    first = after[0]
    where = (first.row.asset, first.row.point)
    when = (before[0].run_started if before else "", first.run_started)
    faults, old_faults = _faults(after), _faults(before)
    found = [Change(*where, "new_fault", "", name, *when) for name in sorted(faults - old_faults)]
    # a record that says nothing clears nothing, and neither does one that only shows nothing
    if any(e.row.status == "diagnosed" and e.row.fault is not None for e in after):
        found += [Change(*where, "fault_gone", name, "", *when) for name in sorted(old_faults - faults)]
    status, old_status = _statuses(after), _statuses(before)
    if status != old_status and (before or "error" in status or "unusable" in status):
        found.append(Change(*where, "status", old_status, status, *when))
    level, old_level = _level(after), _level(before)
    if level and old_level and not 1 / LEVEL_FACTOR < level / old_level < LEVEL_FACTOR:
        found.append(Change(*where, "level", old_level, level, *when))
    return found


def _faults(entries: Sequence[Entry]) -> set[str]:
    return {e.row.verdict for e in entries if e.row.fault and e.row.verdict is not None}


def _statuses(entries: Sequence[Entry]) -> str:
    return ", ".join(sorted({e.row.status for e in entries}))


def _level(entries: Sequence[Entry]) -> float | None:
    """The median RMS: one record of many that was struck by a crane is no change."""
    known = [e.row.level_rms for e in entries if e.row.level_rms is not None]
    return float(median(known)) if known else None
