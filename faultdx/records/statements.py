"""What a file states besides its signal: a sampling rate, a shaft speed, a time axis, a unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.contents import Contents, NumberArray, Variable

_RATE_NAMES = {
    "fs", "fshz", "sr", "samplerate", "sampleratehz", "samplefrequency", "samplefrequencyhz", "samplefreq",
    "samplingrate", "samplingratehz", "samplingfrequency", "samplingfrequencyhz", "samplingfreq",
}  # fmt: skip
_RPM_NAMES = {"rpm", "speedrpm", "shaftrpm", "shaftspeedrpm", "rotationspeedrpm"}
_TIME_NAMES = {"time", "times", "t", "timestamp"}
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_BRACKETS = re.compile(r"\s*[\[(]([^\])]*)[\])]\s*$")
_CWRU_RPM = re.compile(r"^X\d{3,}RPM$")
_FEWEST_TIMES = 16


@dataclass(frozen=True)
class Stated:
    """A number that the file states, and where: `by` reads "variable SampleFrequency"."""

    value: float
    by: str


def is_statement(name: str) -> bool:
    """Tell whether a variable of this name states a sampling rate or a shaft speed, and so is no channel."""
    return _plain(name) in _RATE_NAMES | _RPM_NAMES


def stated_rates(contents: Contents) -> tuple[Stated, ...]:
    """Return the sampling rates, Hz, that the header of the file or its variables state outright."""
    header = contents.sampling_rate_hz
    return ((Stated(header, f"{contents.format} header"),) if header else ()) + tuple(
        stated for v in contents.variables if _plain(v.name) in _RATE_NAMES and (stated := _stated(v))
    )


def stated_rpms(contents: Contents, *, cwru_record: str | None = None) -> tuple[Stated, ...]:
    """Return the shaft speeds, turns a minute, that variables state: "rpm" and the like, and X105RPM where
    `cwru_record` is "X105"."""
    return tuple(
        stated
        for v in contents.variables
        if (v.name == f"{cwru_record}RPM" if _CWRU_RPM.match(v.name) else _plain(v.name) in _RPM_NAMES)
        and (stated := _stated(v))
    )


def rate_of_ramp(values: NumberArray, scale_s: float) -> float | None:
    """Return the sampling rate, Hz, of evenly spaced times, shape (samples,), in units of `scale_s` s, else None."""
    if not scale_s or not is_ramp(values):
        return None
    times = values.astype(np.float64)
    step = float(times[-1] - times[0]) / (times.size - 1)
    if (step == 1.0 and scale_s == 1.0) or step * scale_s < 1e-12:
        return None  # 0, 1, 2, ... is a running number that is called a time; a THz is none either
    rate = 1.0 / (step * scale_s)
    # Printed times carry a rounding error; 12000.00004 is 12000.
    return float(round(rate)) if abs(rate - round(rate)) < 1e-5 * rate else rate


def is_ramp(values: NumberArray) -> bool:
    """Tell whether values grow evenly: each step within half a step of the mean, as rounding in print leaves it."""
    if values.size < _FEWEST_TIMES or values.dtype.kind not in "fiu":
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.diff(values.astype(np.float64))
        mean = float(steps.mean())
        return bool(np.isfinite(mean) and mean > 0 and np.abs(steps - mean).max() <= 0.5 * mean)


def time_scale(name: str) -> float | None:
    """Return the unit, in seconds, of a variable named like a time axis ("time", "t [ms]", "time_s"); 0.0 where the
    unit is not known; None where the name is not that of a time."""
    bracket = _BRACKETS.search(name)
    base = _BRACKETS.sub("", name).rsplit(".", 1)[-1].strip().lower()
    unit = bracket[1].strip().lower() if bracket else ""
    if not bracket and base.count("_") == 1 and base.split("_")[1] in _SECONDS:
        base, unit = base.split("_")
    if base.replace("_", "") not in _TIME_NAMES:
        return None
    return 0.0 if base not in {"time", "t"} and not unit else _SECONDS.get(unit, 0.0)


def unit_of(names: Sequence[str]) -> str | None:
    """Return the unit that all column headings give in brackets ("acc [g]"), else None."""
    units = {match[1].strip() if (match := _BRACKETS.search(n)) else "" for n in names}
    return (units.pop() or None) if len(units) == 1 else None


def without_unit(name: str) -> str:
    """Return a column heading without its unit in brackets: "acc [g]" -> "acc"."""
    return _BRACKETS.sub("", name)


def _stated(variable: Variable) -> Stated | None:
    if variable.kind != "number":
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
    return Stated(float(values.mean()), f"variable {show(variable.name)}")


def _plain(name: str) -> str:
    """Return the last part of a dotted name in small letters and digits: "bearing.Sample_Rate" -> "samplerate"."""
    return re.sub(r"[^a-z0-9]", "", _BRACKETS.sub("", name).rsplit(".", 1)[-1].lower())
