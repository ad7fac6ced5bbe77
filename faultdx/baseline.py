"""The healthy recordings of a machine -> its own limits, and what a later recording does against them.

Levels in bands, the level of all of them, kurtosis, crest factor, and where a bearing is known the depth of its lines
in the envelope: each is compared with the healthy recordings of the same speed, and of the same load where there are
any. `faultdx.signals.tolerance` says where a limit stands, `faultdx.deviations` what a change comes to,
`docs/baseline.md` what was measured.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from faultdx.deviations import Comparison, Table, finding
from faultdx.errors import ConfigError, RecordError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.references import Reference, refer
from faultdx.signals.quality import Check

if TYPE_CHECKING:
    from faultdx.diagnosis import Diagnosis

SCHEMA = "faultdx.baseline/1"
FALSE_ALARMS = 0.05  # of a healthy recording, all its figures together
SAME_SPEED = 0.05  # share by which speeds of one regime differ at most
SAME_RATE = 0.01
MOST_RECORDS = 1000
_FEWEST_TOLD, _MOST_TOLD = 3, 100  # recordings, for each to be held against the others


@dataclass(frozen=True, eq=False)
class Baseline:
    """The healthy recordings of one machine. `fit` makes it, `faultdx.baseline_file` stores it.

    bearing : whose lines were looked for, as `faultdx.testimony.known_bearing` takes it, or ""
    false_alarms : share of healthy recordings that may be called changed
    """

    asset: str
    references: tuple[Reference, ...]
    bearing: str = ""
    false_alarms: float = FALSE_ALARMS

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, schema `faultdx.baseline/1`, without its digest."""
        return {
            "schema": SCHEMA,
            "asset": self.asset,
            "bearing": self.bearing,
            "false_alarms": self.false_alarms,
            "records": [r.to_dict() for r in self.references],
        }

    @property
    def digest(self) -> str:
        """SHA-256 of all that it holds."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def compare(self, record: Record) -> Comparison:
        """Return what `record` does against its healthy ones. Never raises for a record."""
        try:
            new = refer(record, bearing=self.bearing)
        except (RecordError, ConfigError) as error:
            return Comparison(obstacle=str(error), digest=self.digest, asset=self.asset, false_alarms=self.false_alarms)
        return self.against(new)

    def against(self, new: Reference) -> Comparison:
        """Return what the figures of a recording do against those of the healthy ones."""
        blank = Comparison(digest=self.digest, asset=self.asset, false_alarms=self.false_alarms)
        chosen, regime, obstacle = self._regime(new)
        if obstacle:
            return replace(blank, obstacle=show(obstacle))
        pairs = [(s, [f for r in chosen if (f := r.channel(s.channel)) is not None]) for s in new.channels]
        pairs = [(s, found) for s, found in pairs if found]
        if not pairs:
            names = ", ".join(sorted({s.channel for r in chosen for s in r.channels})[:8])
            there = ", ".join(s.channel for s in new.channels[:8])
            obstacle = f"the baseline has the channels {names}, the recording {there}: choose with --channel"
            return replace(blank, obstacle=show(obstacle))
        notes = list(regime.notes)
        if len(pairs) < len(new.channels):
            notes.append(f"{len(new.channels) - len(pairs)} of its channels are not in the baseline: not compared")
        rates = [new.sampling_rate_hz, *(r.sampling_rate_hz for r in chosen)]
        same_rate = max(rates) <= min(rates) * (1 + SAME_RATE)
        if not same_rate:
            notes.append(
                f"the sampling rates differ ({min(rates):g} to {max(rates):g} Hz): only the bands that all of them "
                "carry were compared, and neither kurtosis nor crest factor"
            )
        tables = [Table.of(s, found, same_rate=same_rate) for s, found in pairs]
        figures = sum(t.now.size for t in tables)
        judged = [t.judge(self.false_alarms, figures, same_load=regime.same_load) for t in tables]
        found = [finding(deviations) for deviations in judged]
        changed = any(f.changed for f in found)
        return replace(
            blank,
            changed=changed,
            fault=any(f.fault for f in found),
            gain=changed and all(f.gain for f in found if f.changed),
            gain_db=max((f.gain_db for f in found), key=abs),
            records=min(len(healthy) for _, healthy in pairs),
            rpm=regime.rpm,
            load=regime.load,
            same_load=regime.same_load,
            deviations=tuple(d for deviations in judged for d in deviations),
            notes=tuple(notes),
        )

    def _regime(self, new: Reference) -> tuple[list[Reference], Comparison, str]:
        """Return the recordings to compare with, what they have in common, and why there are none, or ""."""
        nothing = Comparison()
        if self.asset and new.asset and self.asset != new.asset:
            return [], nothing, f"the baseline is that of {self.asset}, the recording of {new.asset}"
        others = {r.unit for r in self.references if r.unit and new.unit and r.unit != new.unit}
        if others:
            return [], nothing, f"the baseline is in {', '.join(sorted(others)[:4])}, the recording in {new.unit}"
        notes = []
        chosen = list(self.references)
        speeds = sorted({r.rpm for r in chosen if r.rpm is not None})
        if speeds and new.rpm is None:
            if speeds[-1] > speeds[0] * (1 + SAME_SPEED):
                return [], nothing, "its speed is not known, and the baseline has several: --rpm"
            notes.append(f"its speed is not known: taken for that of the baseline, {speeds[0]:g} rpm")
        elif new.rpm is not None and speeds:
            chosen = [r for r in chosen if r.rpm is not None and abs(r.rpm / new.rpm - 1) <= SAME_SPEED]
            if not chosen:
                there = ", ".join(f"{s:g}" for s in speeds[:8])
                why = f"it runs at {new.rpm:g} rpm, and the healthy recordings at {there}"
                return [], nothing, f"no baseline at this speed: {why}"
        elif new.rpm is not None:
            notes.append("the speed of the healthy recordings is not known: taken for that of this one")
        same = [r for r in chosen if r.load and r.load == new.load]
        chosen = same or chosen
        loads = sorted({r.load for r in chosen if r.load})
        same_load = bool(same) if new.load and loads else None
        if same_load is False:
            notes.append(f"no baseline at its load ({new.load}): limits are as wide as another load asks for")
        known = [r.rpm for r in chosen if r.rpm is not None]
        rpm = float(np.median(known)) if known else None
        return chosen, Comparison(rpm=rpm, load=", ".join(loads[:8]), same_load=same_load, notes=tuple(notes)), ""


def fit(
    records: Sequence[Record], *, asset: str = "", false_alarms: float = FALSE_ALARMS
) -> tuple[Baseline, tuple[str, ...]]:
    """Return the baseline of healthy recordings of one machine, and what is to be said of them, a sentence each.

    asset : the machine; else the one that the recordings name. The bearing is the one that they name (`details`)

    Raises ConfigError: no recordings or too many, the same one twice, several machines, units or bearings, an
    impossible rate of false alarms; RecordError: one that is too short or holds no signal.
    """
    bearing = _one("bearing", {r.details.get("bearing", "") for r in records})
    return baseline_of([refer(r, bearing=bearing) for r in records], bearing, asset=asset, false_alarms=false_alarms)


def baseline_of(
    references: Sequence[Reference], bearing: str = "", *, asset: str = "", false_alarms: float = FALSE_ALARMS
) -> tuple[Baseline, tuple[str, ...]]:
    """Return the baseline of recordings whose figures are known, as `fit` does."""
    if not 1e-4 <= false_alarms <= 0.5:
        raise ConfigError(f"a rate of false alarms of {false_alarms:g} is impossible: 0.0001 to 0.5")
    if not 1 <= len(references) <= MOST_RECORDS:
        raise ConfigError(f"a baseline is made of 1 to {MOST_RECORDS} healthy recordings, not of {len(references)}")
    _one("unit", {r.unit for r in references})
    named = _one("machine", {r.asset for r in references} if not asset else set())
    seen: dict[str, str] = {}
    for r in references:
        key = f"{r.sha256 or r.file} {[s.channel for s in r.channels]}"
        if key in seen:
            raise ConfigError(f"{r.file}: is the same recording as {seen[key]}: name it once")
        seen[key] = r.file
    baseline = Baseline(show(asset) or named, tuple(references), bearing, false_alarms)
    return baseline, _strays(baseline)


def _one(what: str, names: set[str]) -> str:
    """Return the name that recordings agree on, "" where none of them has one. Raises ConfigError."""
    known = sorted(name for name in names if name)
    if len(known) > 1:
        said = ", ".join(show(name) for name in known[:4])
        raise ConfigError(f"the healthy recordings have more than one {what} ({said}): make a baseline of each")
    return known[0] if known else ""


def _strays(baseline: Baseline) -> tuple[str, ...]:
    """Name the recordings that are beyond the limits of the others: is each of them healthy?"""
    said, all_of = [], baseline.references
    if _FEWEST_TOLD <= len(all_of) <= _MOST_TOLD:
        for i, one in enumerate(all_of):
            found = replace(baseline, asset="", references=all_of[:i] + all_of[i + 1 :]).against(one)
            if found.changed and found.worst is not None:
                said.append(
                    f"{one.file}: is unlike the other healthy recordings ({found.worst.words()}): is it healthy?"
                )
    return tuple(said)


def with_baseline(found: Diagnosis, record: Record, baseline: Baseline | None, *, insists: bool = False) -> Diagnosis:
    """Return a diagnosis with what the healthy recordings say beside it; the same where there is no baseline.

    It takes no verdict of a fault away. A clear rise is a fault where nobody has another verdict; an all-clear beside a
    change is none, unless the user insists on a verdict; and "no_evidence" gives way to "changed".
    """
    if baseline is None or found.status in ("unusable", "error"):
        return found
    compared = baseline.compare(record)
    if compared.changed and any(c.name == "speed" for c in found.quality):
        # not held back: a comb of blows is taken for a shaft, too, and a missed fault is worse than a false alarm
        doubt = "its speed is in doubt, and another speed is a change, too"
        compared = replace(compared, notes=(*compared.notes, doubt))
    found = replace(found, evidence={**found.evidence, "baseline": compared.to_dict()})
    if compared.obstacle:
        return replace(found, warnings=(*found.warnings, _said(compared)))
    found = replace(found, warnings=(*found.warnings, *compared.notes))
    if found.confidence is not None:
        return _beside_network(found, compared, insists=insists)
    return _beside_physics(found, compared)


def _said(compared: Comparison) -> str:
    return (
        compared.reasons[0] if compared.obstacle else f"changed against its healthy recordings: {compared.reasons[0]}"
    )


def _beside_physics(found: Diagnosis, compared: Comparison) -> Diagnosis:
    """Return what the spectrum found, or nobody did, with the change beside it."""
    if found.fault:
        if compared.changed:
            return found
        doubt = (
            "nothing has changed beyond the limits of the healthy recordings: the damage was there when they were "
            "made, or the limits are too wide to tell"
        )
        return replace(found, warnings=(*found.warnings, doubt))
    if not compared.changed:
        return found if found.verdict else replace(found, status="diagnosed", verdict="unchanged")
    if found.verdict in (None, "no_evidence"):
        return replace(found, status="diagnosed", verdict="changed", fault=compared.fault or None)
    return replace(found, fault=compared.fault or None, warnings=(*found.warnings, _said(compared)))


def _beside_network(found: Diagnosis, compared: Comparison, *, insists: bool) -> Diagnosis:
    """Return a network's diagnosis as far as a change bears on it."""
    if not compared.changed:
        return found
    found = replace(found, warnings=(*found.warnings, _said(compared)))
    if found.fault is False and not insists:
        found = replace(found, status="undecided", verdict=None, fault=None)
    if found.verdict is None and compared.fault:
        found = replace(found, fault=True)
    return found


def baseline_alone(found: Diagnosis, record: Record, baseline: Baseline) -> Diagnosis:
    """Return the diagnosis of a record of which nothing but the healthy recordings is known: "changed" or "unchanged".

    found : no verdict so far, with the checks of the signal. One that cannot be compared (no baseline at its speed,
        other channels) is "unusable". "unchanged" is no all-clear: fault stays None
    """
    told = with_baseline(replace(found, status="undecided"), record, baseline)
    compared = told.evidence["baseline"]
    if compared.get("obstacle"):
        check = Check("baseline", math.nan, math.nan, "refuse", str(compared["obstacle"]))
        return replace(told, status="unusable", quality=(*found.quality, check), warnings=found.warnings)
    return replace(told, warnings=(*told.warnings, *(c.message for c in found.quality)))
