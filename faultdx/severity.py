"""Vibration severity by ISO 20816-3: the zone of a velocity, where the standard is about the machine, or why not.

Zone A: newly commissioned machines; B: fit for unrestricted long-term operation; C: not fit for continuous operation,
tolerable until it can be put right; D: severe enough to cause damage. The limits are those of ISO 10816-3:2009, which
ISO 20816-3:2022 took over for the housing; tables on the web disagree, and a plant may have agreed others, so they can
be given instead.

No zone is ever given by default: it takes the class of the machine, a declared unit, and a record that holds 10 to
1000 Hz. The standard is about industrial machines above 15 kW that turn at 120 to 30 000 rpm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from faultdx.errors import ConfigError, RecordError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.signals.velocity import BAND_HZ, Velocity, quantity_of, velocity_rms

STANDARD = "ISO 20816-3"
# mm/s RMS, A/B, B/C, C/D. Group 1: above 300 kW to 50 MW, or electric with a shaft height of 315 mm or more; group 2:
# above 15 to 300 kW, or electric of 160 to 315 mm. Rigid or flexible: the foundation, in the direction measured.
LIMITS: Mapping[str, tuple[float, float, float]] = {
    "group1-rigid": (2.3, 4.5, 7.1),
    "group1-flexible": (3.5, 7.1, 11.0),
    "group2-rigid": (1.4, 2.8, 4.5),
    "group2-flexible": (2.3, 4.5, 7.1),
}
LEAST_KW = 15.0
MOST_KW = {"group1": 50_000.0, "group2": 300.0}  # an electric machine of less belongs to group 1 by its shaft height
SPEED_RPM = (120.0, 30_000.0)
ZONES = "ABCD"
# Columns of a records table; an option gives the same, for all records.
CLASS, CUSTOM, POWER = "machine_class", "zones", "power_kw"


@dataclass(frozen=True)
class MachineClass:
    """What a velocity is judged by.

    name : of LIMITS, or "custom"; limits : mm/s RMS, A/B, B/C, C/D; power_kw : of the machine, None: not known
    """

    name: str
    limits: tuple[float, float, float]
    power_kw: float | None = None

    @property
    def standard(self) -> str:
        """Where the limits are from."""
        return STANDARD if self.name in LIMITS else "limits as given"

    def why_out_of_scope(self, rpm: float | None) -> str | None:
        """Return why the standard is not about this machine at this speed, None where it is."""
        if self.name not in LIMITS:
            return None  # whoever gives limits of their own has their own scope
        return self._of_power() or _of_speed(rpm)

    def _of_power(self) -> str | None:
        if self.power_kw is None:
            return f"its power is not known, and {STANDARD} is about machines above {LEAST_KW:g} kW"
        if self.power_kw <= LEAST_KW:
            return f"{STANDARD} is about machines above {LEAST_KW:g} kW, and this one has {self.power_kw:g} kW"
        group = self.name.partition("-")[0]
        if self.power_kw > MOST_KW[group]:
            return f"{group} ends at {MOST_KW[group]:g} kW, and this machine has {self.power_kw:g} kW"
        return None

    def zone(self, rms: float) -> str:
        """Return the zone of a velocity, mm/s RMS; a limit itself belongs to the better zone."""
        return ZONES[sum(rms > limit for limit in self.limits)]


def _of_speed(rpm: float | None) -> str | None:
    if rpm is None:
        return f"its speed is not known, and {STANDARD} is about {SPEED_RPM[0]:g} to {SPEED_RPM[1]:g} rpm"
    if not SPEED_RPM[0] <= rpm <= SPEED_RPM[1]:
        return f"{STANDARD} is about {SPEED_RPM[0]:g} to {SPEED_RPM[1]:g} rpm, and this machine turns at {rpm:g}"
    return None


def machine_class(
    name: str | None, *, zones: str | None = None, power_kw: float | str | None = None
) -> MachineClass | None:
    """Return the class `name`, or the limits that `zones` gives, "1.4,2.8,4.5" (mm/s RMS); None where neither is said.

    Raises ConfigError: an unknown class, both, limits that do not rise, a power that is none.
    """
    power = _power(power_kw)
    if name and zones:
        raise ConfigError("a machine class and limits of one's own (zones) exclude each other: give one of them")
    if zones:
        limits = _limits(zones)
        return MachineClass("custom", limits, power)
    if not name:
        return None
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    if plain not in LIMITS:
        raise ConfigError(f"machine class {show(name)!r} is unknown: it is one of {', '.join(LIMITS)}")
    return MachineClass(plain, LIMITS[plain], power)


def _limits(text: str) -> tuple[float, float, float]:
    parts = text.replace(";", ",").replace("/", ",").split(",")
    try:
        a, b, c = (float(part) for part in parts)
    except ValueError:
        a = b = c = math.nan
    if not (0 < a < b < c < math.inf):
        raise ConfigError(
            f"zones {show(text)!r}: give the limits A/B, B/C, C/D in mm/s RMS, rising, such as 1.4,2.8,4.5"
        )
    return a, b, c


def _power(value: float | str | None) -> float | None:
    if value is None or value == "":
        return None
    try:
        power = float(value)
    except ValueError:
        power = math.nan
    if not (math.isfinite(power) and power > 0):
        raise ConfigError(f"power {show(str(value))!r}: give the rated power of the machine in kW, above 0")
    return power


@dataclass(frozen=True)
class Severity:
    """The velocities of a record and their zone.

    velocities : of each channel, (name, Velocity); why_no_velocity : "" where there are some
    machine : what the zone is by, None where nobody said; zone : of the worst channel, None where there is none
    why_no_zone : a sentence, "" where there is one
    """

    velocities: tuple[tuple[str, Velocity], ...]
    why_no_velocity: str
    machine: MachineClass | None
    zone: str | None
    why_no_zone: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        out: dict[str, Any] = {
            "channels": [{"channel": show(name), "rms_mm_s": float(f"{v.rms:.4g}")} for name, v in self.velocities],
            "band_hz": list(BAND_HZ),
            "why_no_velocity": self.why_no_velocity or None,
            "zone": self.zone,
            "why_no_zone": self.why_no_zone or None,
        }
        if self.machine is not None:
            m = self.machine
            out["machine"] = {"class": m.name, "limits_mm_s": list(m.limits), "by": m.standard, "power_kw": m.power_kw}
        return out


def severity(record: Record) -> Severity:
    """Return velocity and zone of `record`, by its unit and the columns machine_class, zones and power_kw of its table
    (the options of the same names). Never raises for a record.
    """
    details = record.details
    try:
        machine = machine_class(details.get(CLASS), zones=details.get(CUSTOM), power_kw=details.get(POWER))
        wrong = ""
    except ConfigError as error:
        machine, wrong = None, str(error)
    found, why = _velocities(record)
    if not found:
        return Severity((), why, machine, None, f"there is no velocity: {why}")
    reason = wrong or _why_no_zone(found, machine, record.rpm)
    if machine is None or reason:
        return Severity(found, "", machine, None, reason)
    return Severity(found, "", machine, machine.zone(max(v.rms for _, v in found)), "")


def _why_no_zone(found: tuple[tuple[str, Velocity], ...], machine: MachineClass | None, rpm: float | None) -> str:
    if machine is None:
        return "the class of the machine is not known: --machine-class, or the column machine_class of a records table"
    if not all(v.whole for _, v in found):
        top = found[0][1].top_hz
        return f"the record reaches {top:.4g} Hz, and the limits are for {BAND_HZ[0]:g} to {BAND_HZ[1]:g} Hz"
    outside = machine.why_out_of_scope(rpm)
    return f"out of scope: {outside}" if outside else ""


def _velocities(record: Record) -> tuple[tuple[tuple[str, Velocity], ...], str]:
    quantity = quantity_of(record.unit)
    if record.unit is None:
        return (), "no unit is declared: --unit, or the column unit of a records table"
    if quantity is None:
        return (), f"{show(record.unit)[:24]} is no unit of acceleration or velocity that is known"
    if not np.isfinite(record.signal).all():
        return (), "the signal holds values that are not finite"
    found = []
    for name, row in zip(record.channels, record.signal, strict=True):
        try:
            velocity = velocity_rms(row, sampling_rate_hz=record.sampling_rate_hz, quantity=quantity)
        except RecordError as error:
            return (), str(error)
        if velocity.rms <= 0:
            return (), "the signal is flat"
        found.append((name, velocity))
    return tuple(found), ""


def severity_evidence(record: Record) -> dict[str, Any]:
    """Return {"severity": ...} for the evidence of a diagnosis; {} where no class and no limits are named.

    A velocity takes a transform of the whole record in double precision, a third of what a diagnosis takes: it is
    computed for those who ask what it is judged by. The report has it of every record.
    """
    named = any(record.details.get(column) for column in (CLASS, CUSTOM))
    return {"severity": severity(record).to_dict()} if named else {}
