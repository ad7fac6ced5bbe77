"""The files of published data sets, recognised by what is in them and never by their names: MFPT and Paderborn.

MFPT : E. Bechhoefer, "Condition Based Maintenance Fault Database for Testing of Diagnostic and Prognostics
Algorithms" (Society for Machinery Failure Prevention Technology): a struct `bearing` with the acceleration `gs` in
g, the sampling rate `sr` in Hz, the shaft speed `rate` in Hz and the load `load` in pounds.

Paderborn (KAt) : C. Lessmeier et al., "Condition Monitoring of Bearing Damage in Electromechanical Drive Systems by
Using Motor Current Signals of Electric Motors" (PHM Society European Conference, 2016), and the files themselves as
several public readers unpack them: one struct with the fields Info, X, Y and Description. Y holds a signal an
element, with Name, Data and Raster ("HostService" 64 kHz, "Mech_4kHz", "Temp_1Hz"); X a time axis in s for each
Raster. `speed` is in turns a minute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from faultdx.errors import RecordError
from faultdx.files import show
from faultdx.records.channels import Channel, expand
from faultdx.records.contents import Contents, Variable
from faultdx.records.statements import Stated, rate_of_ramp, seconds_in

_FIELD = re.compile(r"(?P<root>[^.]+)\.(?P<side>[XY])(?:\((?P<index>\d+)\))?\.(?P<field>[^.]+)$")
_VIBRATION, _SPEED = "vibration_1", "speed"
_STEADY = 0.05  # a speed that varies by more than this share is no constant speed


@dataclass(frozen=True)
class Published:
    """What a recognised file holds. The fields are those of `conventions.Meaning`."""

    convention: str
    channels: tuple[Channel, ...]
    default: tuple[str, ...]
    rates: tuple[Stated, ...]
    rpms: tuple[Stated, ...]
    unit: str | None
    notes: tuple[str, ...]


def mfpt(contents: Contents) -> Published | None:
    """Return what an MFPT file holds, or None where this is none.

    Its `rate` is the speed of the shaft in Hz, and no sampling rate: 25 means 1500 turns a minute.
    """
    fields = {v.name.removeprefix("bearing."): v for v in contents.variables if v.name.startswith("bearing.")}
    gs, sr = fields.get("gs"), fields.get("sr")
    if gs is None or sr is None or gs.kind != "number" or len(channels := expand(gs)) != 1:
        return None
    rate, shaft, load = _scalar(sr), _scalar(fields.get("rate")), _scalar(fields.get("load"))
    notes = (f"MFPT bearing data: load {load:g} lb",) if load is not None else ()
    return Published(
        "MFPT",
        channels,
        (channels[0].name,),
        (Stated(rate, "variable bearing.sr"),) if rate else (),
        (Stated(60.0 * shaft, "variable bearing.rate, the shaft's Hz"),) if shaft else (),
        "g",
        notes,
    )


def _scalar(variable: Variable | None) -> float | None:
    """Return a number that is finite and not negative, or None."""
    if variable is None or variable.kind != "number" or variable.shape.count(1) != len(variable.shape):
        return None
    try:
        value = float(variable.load().reshape(-1)[0])
    except (RecordError, TypeError, ValueError):
        return None
    return value if np.isfinite(value) and value >= 0 else None


def _elements(contents: Contents, root: str, side: str) -> list[Mapping[str, Variable]]:
    """Return the elements of the struct array X or Y, each as its fields by name."""
    found: dict[str, dict[str, Variable]] = {}
    for v in contents.variables:
        match = _FIELD.match(v.name)
        if match and (match["root"], match["side"]) == (root, side):
            found.setdefault(match["index"] or "1", {})[match["field"]] = v
    return [e for e in found.values() if "Data" in e and e["Data"].kind == "number" and _text(e, "Raster")]


def _text(element: Mapping[str, Variable], field: str) -> str:
    return (element[field].text or "").strip() if field in element else ""


def paderborn(contents: Contents, *, variable: str | None = None) -> Published | None:
    """Return what a file of the Paderborn (KAt) kind holds, or None where this is none, or `variable` is elsewhere.

    The channels are those of one raster: that of `variable` (a Name such as "torque", or the path of its Data),
    else of vibration_1, which is the default. The sampling rate is that of the raster's time axis.
    """
    roots = {m["root"] for v in contents.variables if (m := _FIELD.match(v.name)) and m["side"] == "Y"}
    if len(roots) != 1:
        return None
    root = roots.pop()
    signals = {name: e for e in _elements(contents, root, "Y") if (name := _text(e, "Name"))}
    axes = {_text(e, "Raster"): e for e in _elements(contents, root, "X")}
    if _VIBRATION not in signals or not axes:
        return None
    known = {alias.casefold(): name for name, e in signals.items() for alias in (name, e["Data"].name)}
    default = _VIBRATION if variable is None else known.get(variable.casefold(), "")
    if not default or not expand(signals[default]["Data"]):
        return None
    raster, size = _text(signals[default], "Raster"), _samples(signals[default])
    channels = tuple(
        Channel(name, e["Data"].name, size, expand(e["Data"])[0].load, unit=_text(e, "Unit") or None)
        for name, e in signals.items()
        if _text(e, "Raster") == raster and _samples(e) == size and expand(e["Data"])
    )
    others = [name for name in signals if name not in {c.name for c in channels}]
    notes = [f"Paderborn data: {', '.join(map(show, others))} are chosen with --variable"] if others else []
    rpms, more = _speed(signals)
    unit = _text(signals[default], "Unit") or None
    return Published("Paderborn", channels, (default,), _rate(axes, raster), rpms, unit, (*notes, *more))


def _samples(element: Mapping[str, Variable]) -> int:
    return int(np.prod(element["Data"].shape))


def _rate(axes: Mapping[str, Mapping[str, Variable]], raster: str) -> tuple[Stated, ...]:
    """Return the sampling rate that the time axis of a raster gives; none where it is missing or uneven."""
    axis = axes.get(raster)
    scale = seconds_in(_text(axis, "Unit")) if axis else None
    if axis is None or not scale:
        return ()
    try:
        rate = rate_of_ramp(axis["Data"].load().reshape(-1), scale)
    except RecordError:
        return ()
    return (Stated(rate, f"time axis of raster {show(raster)}"),) if rate else ()


def _speed(signals: Mapping[str, Mapping[str, Variable]]) -> tuple[tuple[Stated, ...], tuple[str, ...]]:
    """Return the mean of the speed channel, turns a minute, and a note where it is not steady."""
    if _SPEED not in signals:
        return (), ()
    try:
        values = signals[_SPEED]["Data"].load().astype(np.float64)
    except RecordError:
        return (), ()
    if not values.size or not np.isfinite(values).all() or not values.mean() > 0:
        return (), ()
    mean, spread = float(values.mean()), float(np.ptp(values))
    notes = (f"its speed runs from {values.min():.0f} to {values.max():.0f} rpm",) if spread > _STEADY * mean else ()
    return (Stated(mean, "mean of its channel speed"),), notes
