"""The section of vibration severity: velocity, its spectrum, and the zone of a standard or the reason why not."""

from __future__ import annotations

from faultdx.diagnosis import Diagnosis
from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.record import Record
from faultdx.report import curves, parts
from faultdx.report.words import say
from faultdx.severity import LEAST_KW, Severity, severity
from faultdx.signals.velocity import BAND_HZ, quantity_of, velocity_spectrum

_SPECTRUM_POINTS = 700
_UP_TO_HZ = 1000.0


def section(d: Diagnosis) -> str:
    """Return the section of velocity and zone, or of the reason why there is none; "" without a usable record."""
    if d.record is None or d.status in {"unusable", "error"}:
        return ""
    found = severity(d.record)
    scope = say("levels.nothing", low=BAND_HZ[0], high=BAND_HZ[1], power=LEAST_KW)
    note = f'<p class="soft">{parts.safe(say("levels.note") if found.zone else scope)}</p>\n'
    return parts.section(say("levels.section"), parts.table(rows(found)) + note + _picture(d.record, found))


def rows(found: Severity) -> list[tuple[str, str]]:
    """Return rows (name, value): the zone first, then what it is made of."""
    if found.zone:
        meaning = say(f"levels.{found.zone}")
        out = [(say("levels.zone"), say("levels.zone_value", zone=found.zone, meaning=meaning))]
    else:
        out = [(say("levels.zone"), say("levels.zone_none", why=show(found.why_no_zone)))]
    if not found.velocities and found.why_no_zone != f"there is no velocity: {found.why_no_velocity}":
        out.append((say("levels.velocity", channel=""), say("levels.no_velocity", why=show(found.why_no_velocity))))
    for name, v in found.velocities:
        value = say("levels.velocity_value", rms=f"{v.rms:.3g}", low=v.low_hz, high=min(v.high_hz, v.top_hz))
        out.append((say("levels.velocity", channel=show(name)), value))
    m = found.machine
    if m is not None:
        ab, bc, cd = m.limits
        limits = say("levels.limits_value", ab=ab, bc=bc, cd=cd, by=m.standard, name=m.name)
        out.append((say("levels.limits"), limits))
        if m.power_kw is not None:
            out.append((say("levels.power"), say("levels.power_value", kw=m.power_kw)))
    return out


def _picture(record: Record, found: Severity) -> str:
    """Return the velocity spectrum, of the first channels; "" where there is no velocity."""
    quantity = quantity_of(record.unit)
    if not found.velocities or quantity is None:
        return ""
    lines = []
    signal = record.signal[: curves.MAX_CHANNELS, : curves.SPECTRUM_SAMPLES]
    try:
        for row in signal:
            f, a = velocity_spectrum(row, sampling_rate_hz=record.sampling_rate_hz, quantity=quantity)
            shown = f <= min(_UP_TO_HZ, float(f[-1]))
            lines.append(curves.peaks(f[shown], a[shown], _SPECTRUM_POINTS))
    except RecordError:  # a record cut short for drawing may be too short
        return ""
    many = ""
    if len(record.signal) > curves.MAX_CHANNELS:
        many = say("page.many_channels", shown=curves.MAX_CHANNELS, channels=len(record.signal))
    picture = curves.draw(
        lines,
        x_label=say("pictures.frequency"),
        y_label=say("levels.axis"),
        what=say("levels.what"),
        names=record.channels,
    )
    return parts.figure(picture, say("levels.caption", low=BAND_HZ[0], many=many))
