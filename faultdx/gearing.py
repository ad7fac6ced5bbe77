"""Record + numbers of teeth -> what the record says of the gears: testimony beside that of the bearing.

It is never a fault by itself: the words are calibrated on simulated gearboxes, and on the only real broken tooth that
they were tried on they see nothing (docs/gears.md). Beside a network, a tooth that stands out takes an all-clear away.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from faultdx.errors import ConfigError, RecordError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.signals.gears import VERDICTS, GearWitness, assess_gears
from faultdx.signals.kinematics import GearPair
from faultdx.signals.quality import Check

if TYPE_CHECKING:
    from faultdx.diagnosis import Diagnosis

COLUMN = "teeth"  # of a records table
SUSPECTED = VERDICTS[0]
_MOST_TEETH = 1000


@dataclass(frozen=True)
class KnownGears:
    """A gear, or a pair in mesh.

    teeth : of the gear on the shaft whose speed is stated; other_teeth : of the one it meshes with, where known
    """

    teeth: int
    other_teeth: int | None = None

    def __str__(self) -> str:
        return str(self.teeth) if self.other_teeth is None else f"{self.teeth}:{self.other_teeth}"


def known_gears(text: str) -> KnownGears:
    """Return the gears of "32", "32,80", "32:80" or "32/80": teeth on the shaft whose speed is stated, then those of
    the other gear. Raises ConfigError.
    """
    parts = [part.strip() for part in re.split(r"[,;:/]", text.strip())]
    if not (1 <= len(parts) <= 2 and all(part.isascii() and part.isdigit() and len(part) <= 6 for part in parts)):
        raise ConfigError(f"teeth {show(text)!r}: give one whole number or two, such as 32 or 32,80")
    teeth = [int(part) for part in parts]
    if max(teeth) > _MOST_TEETH:
        raise ConfigError(f"teeth {show(text)!r}: no gear has more than {_MOST_TEETH}")
    GearPair(teeth[0], teeth[-1])
    return KnownGears(*teeth)


@dataclass(frozen=True, eq=False)
class GearTestimony:
    """What a record says of its gears: the GearWitness of the channel that says most, or why none was heard.

    obstacle : a sentence, "" where a witness was heard
    """

    witness: GearWitness | None = None
    channel: str = ""
    gears: KnownGears | None = None
    obstacle: str = ""

    @property
    def verdict(self) -> str:
        """The word of the witness; "not_assessable" where none was heard."""
        return self.witness.verdict if self.witness is not None else "not_assessable"

    @property
    def warning(self) -> str:
        """What a reader has to know of the gears, "" where there is nothing."""
        if self.witness is None:
            return f"the gears were not looked at: {self.obstacle}"
        if self.verdict == "no_evidence":
            return ""
        what = "a tooth may be damaged" if self.verdict == SUSPECTED else "the gears could not be assessed"
        return f"{what}: {self.witness.reasons[0]}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, for the evidence of a diagnosis."""
        if self.witness is None:
            return {"verdict": self.verdict, "reasons": [self.obstacle]}
        return {"channel": show(self.channel), **self.witness.to_dict()}


def named(record: Record) -> bool:
    """Tell whether somebody named the gears of a record."""
    return bool(record.details.get(COLUMN))


def hear_gears(record: Record, *, checks: Sequence[Check] = ()) -> GearTestimony | None:
    """Return what `record` says of the gears that its table or the option names; None where nobody named any.

    checks : those that fired on the signal: where one says that the speed is not the stated one, nothing is suspected
    Never raises for a record.
    """
    text = record.details.get(COLUMN, "")
    if not text:
        return None
    try:
        gears = known_gears(text)
    except ConfigError as error:
        return GearTestimony(obstacle=str(error))
    if record.rpm is None:
        return GearTestimony(obstacle="their shaft's speed is not known: --rpm, or the column rpm of a records table")
    try:
        heard = [
            (
                name,
                assess_gears(
                    row,
                    sampling_rate_hz=record.sampling_rate_hz,
                    rpm=record.rpm,
                    teeth=gears.teeth,
                    other_teeth=gears.other_teeth,
                ),
            )
            for name, row in zip(record.channels, record.signal, strict=True)
        ]
    except (ConfigError, RecordError) as error:
        return GearTestimony(obstacle=str(error))
    channel, witness = max(heard, key=lambda found: _weight(found[1]))
    doubted = next((c.message for c in checks if c.name == "speed"), None)
    if doubted and witness.verdict != "not_assessable":
        reasons = (f"its speed is in doubt, and with it the shaft of the mesh: {doubted}", *witness.reasons)
        witness = replace(witness, verdict="not_assessable", reasons=reasons)
    return GearTestimony(witness, channel, gears)


def _weight(witness: GearWitness) -> tuple[int, float]:
    fm4 = [g.indicators.fm4 for g in witness.gears if g.indicators and math.isfinite(g.indicators.fm4)]
    return ({SUSPECTED: 2, "no_evidence": 1}.get(witness.verdict, 0), max(fm4, default=0.0))


def with_gears(found: Diagnosis, record: Record, *, insists: bool = False) -> Diagnosis:
    """Return a diagnosis with what the record says of its gears beside it; the same where nobody named any.

    A tooth that stands out is never a fault by itself. An all-clear beside it is none, unless the user insists on a
    verdict; and what says only that the bearing shows nothing ("no_evidence") gives way to it.
    """
    heard = hear_gears(record, checks=found.quality)
    if heard is None:
        return found
    warnings = (*found.warnings, heard.warning) if heard.warning else found.warnings
    evidence = {**found.evidence, "gears": heard.to_dict()}
    found = replace(found, evidence=evidence, warnings=warnings, gears=heard.witness)
    if heard.verdict != SUSPECTED:
        return found
    if found.fault is False and not insists:
        return replace(found, status="undecided", verdict=None, fault=None)
    if found.fault is None and found.verdict == "no_evidence":
        return replace(found, verdict=SUSPECTED, warnings=found.warnings[:-1])  # the verdict says it
    return found


def gears_alone(found: Diagnosis, record: Record) -> Diagnosis:
    """Return the diagnosis of a record of which the gears alone are known: no bearing, no network. fault stays None.

    found : "diagnosed" so far, with the checks of the signal. Gears that cannot be looked at at all (no speed, no
    such teeth) make the record "unusable", as an unknown bearing does
    """
    heard = hear_gears(record, checks=found.quality)
    if heard is None or heard.witness is None:
        obstacle = "no teeth are named" if heard is None else heard.obstacle
        check = Check("gears", math.nan, math.nan, "refuse", obstacle)
        return replace(found, status="unusable", quality=(*found.quality, check))
    known = heard.verdict != "not_assessable"
    return replace(
        found,
        status="diagnosed" if known else "undecided",
        verdict=heard.verdict if known else None,
        evidence={**found.evidence, "gears": heard.to_dict()},
        warnings=(*found.warnings, *(c.message for c in found.quality)),
        gears=heard.witness,
    )
