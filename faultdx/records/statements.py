"""What a file states besides its signal: a sampling rate, a shaft speed, a time axis, a unit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.contents import Contents, NumberArray, Variable

_RATE_NAMES = {
    "fs", "fshz", "sr", "samplerate", "sampleratehz", "samplefrequency", "samplefrequencyhz", "samplefreq",
    "samplingrate", "samplingratehz", "samplingfrequency", "samplingfrequencyhz", "samplingfreq",
    "abtastrate", "abtastfrequenz",
}  # fmt: skip
_RPM_NAMES = {"rpm", "speedrpm", "shaftrpm", "shaftspeedrpm", "rotationspeedrpm", "drehzahl"}
# Seconds from one sample to the next, where a unit says that they are seconds.
_STEP_NAMES = {
    "dt", "deltat", "deltax", "timestep", "timeincrement", "sampleinterval", "samplinginterval", "sampleperiod",
    "samplingperiod",
}  # fmt: skip
# Facts that bear on how a file was recorded, and state no rate: an analyser's upper frequency.
_SETTING_NAMES = {"frequencylimit"}
_TIME_NAMES = {"time", "times", "t", "timestamp", "xvalue", "zeit"}
_SECONDS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "ms": 1e-3, "us": 1e-6, "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
}  # fmt: skip
_HERTZ = {
    "": 1.0, "hz": 1.0, "1/s": 1.0, "s/s": 1.0, "sa/s": 1.0, "sps": 1.0, "samples/s": 1.0, "khz": 1e3, "ks/s": 1e3,
}  # fmt: skip
_PER_MINUTE = {
    "": 1.0, "rpm": 1.0, "1/min": 1.0, "/min": 1.0, "min-1": 1.0, "min^-1": 1.0, "u/min": 1.0, "r/min": 1.0,
    "rev/min": 1.0, "hz": 60.0, "1/s": 60.0,
}  # fmt: skip
_CWRU_RPM = re.compile(r"^X\d{3,}RPM$")
_FEWEST_TIMES = 16
_SHORTEST_STEP_S = 1e-12
_SAME_INTEGER = 1e-5  # printed times and intervals carry a rounding error: 12000.00004 Hz are 12000


class Stated(NamedTuple):
    """A number that the file states, and where: `by` reads "variable SampleFrequency"."""

    value: float
    by: str


def is_statement(name: str) -> bool:
    """Tell whether a variable of this name states a sampling rate or a shaft speed, and so is no channel."""
    return plain(name) in _RATE_NAMES | _RPM_NAMES | _STEP_NAMES


def is_setting(name: str) -> bool:
    """Tell whether this is the name of a fact about the recording that states neither rate nor speed."""
    return plain(name) in _SETTING_NAMES


def knows_unit(name: str) -> bool:
    """Tell whether the unit in the brackets of a statement's name ("fs [kHz]") is one that can be reckoned with."""
    return is_setting(name) or _scale(name) is not None


def stated_rates(contents: Contents) -> tuple[Stated, ...]:
    """Return the sampling rates, Hz, that the header of the file or its variables state outright, or as the time
    from sample to sample."""
    header = contents.sampling_rate_hz
    rates = [Stated(header, f"{contents.format} header")] if header else []
    for v in contents.variables:
        word = plain(v.name)
        if word in _RATE_NAMES and (stated := _stated(v)):
            rates.append(stated)
        elif word in _STEP_NAMES and (stated := _stated(v)) and stated.value > _SHORTEST_STEP_S:
            rates.append(Stated(rounded_rate(1.0 / stated.value), stated.by))
    return tuple(rates)


def stated_rpms(contents: Contents, *, cwru_record: str | None = None) -> tuple[Stated, ...]:
    """Return the shaft speeds, turns a minute, that variables state: "rpm" and the like, and X105RPM where
    `cwru_record` is "X105"."""
    return tuple(
        stated
        for v in contents.variables
        if (v.name == f"{cwru_record}RPM" if _CWRU_RPM.match(v.name) else plain(v.name) in _RPM_NAMES)
        and (stated := _stated(v))
    )


def rounded_rate(rate_hz: float) -> float:
    """Return the whole number that a rate reckoned from printed times or intervals is next to, else the rate."""
    whole = float(round(rate_hz))
    return whole if abs(rate_hz - whole) < _SAME_INTEGER * rate_hz else rate_hz


def rate_of_ramp(values: NumberArray, scale_s: float) -> float | None:
    """Return the sampling rate, Hz, of evenly spaced times, shape (samples,), in units of `scale_s` s, else None."""
    if not scale_s or not is_ramp(values):
        return None
    times = values.astype(np.float64)
    step = float(times[-1] - times[0]) / (times.size - 1)
    if (step == 1.0 and scale_s == 1.0) or step * scale_s < _SHORTEST_STEP_S:
        return None  # 0, 1, 2, ... is a running number that is called a time; a THz is none either
    return rounded_rate(1.0 / (step * scale_s))


def is_ramp(values: NumberArray) -> bool:
    """Tell whether values grow evenly: each step within half a step of the mean, as rounding in print leaves it."""
    if values.size < _FEWEST_TIMES or values.dtype.kind not in "fiu":
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(values.astype(np.float64))
        mean = float(steps.mean())
        return bool(np.isfinite(mean) and mean > 0 and np.abs(steps - mean).max() <= 0.5 * mean)


def time_scale(name: str, unit: str | None = None) -> float | None:
    """Return the unit, in seconds, of a variable named like a time axis ("time", "t [ms]", "time_s"); 0.0 where the
    unit is not known; None where the name is not that of a time. `unit` is what the format itself says of it."""
    base, bracket = _parts(name)
    base = base.rsplit(".", 1)[-1].strip().lower()
    said = (unit or "" if bracket is None else bracket).strip().lower()
    if bracket is None and base.count("_") == 1 and base.split("_")[1] in _SECONDS:
        base, said = base.split("_")
    if base.replace("_", "") not in _TIME_NAMES:
        return None
    return _SECONDS.get(said, 0.0)


def seconds_in(unit: str) -> float | None:
    """Return a unit of time in seconds ("ms": 0.001), or None where it is none that is known. What has no unit in a
    format that lays down seconds is in seconds."""
    return 1.0 if not unit.strip() else _SECONDS.get(unit.strip().lower())


def unit_of(names: Sequence[str]) -> str | None:
    """Return the unit that all column headings give in brackets ("acc [g]"), else None."""
    units = {(_parts(name)[1] or "").strip() for name in names}
    return (units.pop() or None) if len(units) == 1 else None


def without_unit(name: str) -> str:
    """Return a column heading without its unit in brackets: "acc [g]" -> "acc"."""
    return _parts(name)[0]


def plain(name: str) -> str:
    """Return the last part of a dotted name in small letters and digits: "bearing.Sample_Rate" -> "samplerate"."""
    return re.sub(r"[^a-z0-9]", "", _parts(name)[0].rsplit(".", 1)[-1].lower())


def _parts(name: str) -> tuple[str, str | None]:
    """Return a heading without what stands in brackets at its end, and that: "acc [g]" -> ("acc", "g"), else None.

    No regular expression: a heading of 500 000 opening brackets would keep one busy for hours.
    """
    text = name.rstrip()
    opening = max(text.rfind("["), text.rfind("("))
    if text[-1:] not in ("]", ")") or opening < 0 or "]" in text[opening:-1] or ")" in text[opening:-1]:
        return name, None
    inside = text[opening + 1 : -1]
    return (name, None) if inside.strip().isdecimal() else (text[:opening].rstrip(), inside)  # waveform(2) is no unit


def _scale(name: str, unit: str | None = None) -> float | None:
    """Return what turns the value of a statement into Hz, turns a minute or seconds; None where its unit is unknown."""
    bracket = _parts(name)[1]
    said = (unit or "" if bracket is None else bracket).strip().lower()
    word = plain(name)
    if word in _STEP_NAMES:
        return _SECONDS.get(said) if said else None
    return (_HERTZ if word in _RATE_NAMES else _PER_MINUTE).get(said)


def _stated(variable: Variable) -> Stated | None:
    scale = _scale(variable.name, variable.unit)
    if variable.kind != "number" or scale is None:
        return None
    try:
        array = variable.load()
    except RecordError:  # a broken side remark must not cost a good signal; what it said is then asked for
        return None
    if array.dtype.kind not in "fiu" or not array.size:
        return None
    values = array.astype(np.float64).ravel()
    # A column that repeats the speed in every row states it as well as a scalar does; one that varies does not.
    if not np.all(np.isfinite(values)) or not 0 < values.max() <= 1.001 * values.min():
        return None
    value = float(values.mean()) * scale
    return Stated(value, f"variable {show(variable.name)}") if math.isfinite(value) else None
