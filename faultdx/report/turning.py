"""The shaft of a report: how fast it turns and who says so, its lines in the spectrum, and a few turns of the waveform.

Where no speed was stated the spectrum's candidates are shown as what they are; no mark in any picture goes by them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.diagnosis import Diagnosis
from faultdx.files import show
from faultdx.report import curves, parts
from faultdx.report.orders import SYMBOLS
from faultdx.report.spectral import place_name
from faultdx.report.words import say
from faultdx.signals.spectra import averaged_spectrum

_SURE = 0.5  # share from which a candidate is called a suggestion
_TURNS, _SECONDS = 3, 0.2
_BEFORE = 0.2  # of the stretch lie before its largest sample
_MOST_MARKS = 40  # periods of a fault in one picture
_MULTIPLES = 10
_SHARPNESS = 25.0  # lines of the spectrum to one rate of the shaft
_POINTS = 900
_SLOWEST_HZ = 0.2


def shaft_hz(d: Diagnosis) -> tuple[float, str]:
    """Return how fast the shaft turns, in Hz, and who says so, in words; (0.0, "") where nobody stated a speed."""
    found = None if d.witness is None else d.witness.speed
    if found is not None and found.confirmed and found.hz > _SLOWEST_HZ:
        return found.hz, say("shaft.at_found", rpm=60 * found.hz)
    if d.rpm and math.isfinite(d.rpm) and d.rpm > 60 * _SLOWEST_HZ:
        return d.rpm / 60.0, say("shaft.at_stated", rpm=d.rpm)
    return 0.0, ""


def row_of(d: Diagnosis) -> int:
    """Return the number of the channel that the pictures are of: where the bearing was heard, or the first."""
    named = _part(d, "witness").get("channel")
    names = [] if d.record is None else [show(name) for name in d.record.channels]
    return names.index(named) if named in names else 0


def suggestion(d: Diagnosis) -> str:
    """Return what the row of the speed says where none was stated."""
    found = _part(d, "speed").get("candidates") or []
    if not found:
        return say("shaft.row_none")
    return say("shaft.row", rpm=found[0]["rpm"], share=_percent(found[0]["share"]))


def section(d: Diagnosis) -> str:
    """Return the section of what the spectrum suggests of a speed that nobody stated; "" where one was."""
    offer = _part(d, "speed")
    if not offer:
        return ""
    low, high = offer["range_rpm"]
    found = offer["candidates"]
    if not found:
        return parts.section(say("shaft.title"), f"<p>{parts.safe(say('shaft.none', low=low, high=high))}</p>")
    first = found[0]
    sure = say(
        "shaft.suggested" if first["share"] >= _SURE else "shaft.hardly",
        rpm=first["rpm"],
        share=_percent(first["share"]),
        rounded=round(first["rpm"], 1),
    )
    rows = []
    for i, c in enumerate(found):
        weight = c["evidence"]
        said = say(
            "shaft.evidence",
            share=_percent(c["share"]),
            multiple=say("shaft.multiple", factor=c["of_the_first"]) if i else "",
            harmonics=c["harmonics"],
            signal=weight["signal"],
            envelope=weight["envelope"],
            bearing=say("shaft.of_bearing", bearing=weight["bearing"]) if offer["with_bearing"] else "",
        )
        rows.append((say("shaft.candidate", rpm=c["rpm"]), said))
    note = f'<p class="soft">{parts.safe(say("shaft.method", low=low, high=high))}</p>'
    return parts.section(say("shaft.title"), f"<p>{parts.safe(sure)}</p>\n{parts.table(rows)}\n{note}")


def harmonics(d: Diagnosis) -> str:
    """Return the picture of the slow end of the spectrum with the shaft's multiples marked; "" without a speed."""
    hz, speed = shaft_hz(d)
    r = d.record
    if r is None or hz <= 0:
        return ""
    rate_hz, row = float(r.sampling_rate_hz), row_of(d)
    end = min((_MULTIPLES + 0.5) * hz, rate_hz / 2)
    x = r.signal[row, : curves.SPECTRUM_SAMPLES].astype(np.float64)
    resolution = max(min(1.0, hz / _SHARPNESS), rate_hz / x.size)
    if end < 2 * hz or resolution > hz / 4:  # the lines of so short a record would be one
        return ""
    f, a = averaged_spectrum(x - x.mean(), sampling_rate_hz=rate_hz, resolution_hz=resolution)
    use = (f > 0) & (f <= end)
    line = curves.peaks(f[use], a[use], _POINTS)
    what = say("shaft.harmonics")
    with curves.style(what):
        figure, (ax,) = curves.axes_of(1)
        ax.plot(line.x, line.y, color=curves.LINE, linewidth=0.8)
        for k in range(1, _MULTIPLES + 1):
            if k * hz <= end:
                ax.axvline(k * hz, color=curves.MARK, linewidth=0.7, linestyle="--", zorder=0.5)
                curves.label(ax, f"{k}×", k * hz, row=0)
        ax.set_xlim(0, end)
        ax.set_ylim(0, 1.25 * float(max(line.y.max(), 1e-12)))
        curves.number_axis(ax.xaxis)
        curves.number_axis(ax.yaxis)
        ax.set_xlabel(say("pictures.frequency"))
        ax.set_ylabel(say("pictures.amplitude", unit=curves.unit_of(r.unit)), parse_math=False)
        svg = curves.inline(figure, what)
    said = say("shaft.harmonics_caption", channel=_channel(d, row), resolution=resolution, speed=speed)
    return parts.figure(svg, said)


def moment(d: Diagnosis) -> str:
    """Return the picture of a few turns of the shaft about the largest sample, the fault's period marked."""
    r = d.record
    if r is None:
        return ""
    hz, speed = shaft_hz(d)
    rate_hz, row = float(r.sampling_rate_hz), row_of(d)
    x = r.signal[row].astype(np.float64)
    about = x - x.mean()
    size = round((_TURNS / hz if hz > 0 else _SECONDS) * rate_hz)
    if not (_MULTIPLES < size <= x.size) or not about.any():
        return ""
    peak = int(np.abs(about).argmax())
    start = min(max(peak - round(_BEFORE * size), 0), x.size - size)
    period_s, symbol, place = _period(d, hz)
    svg = _stretch(x[start : start + size], start, peak, rate_hz, turn_s=1 / hz if hz > 0 else 0.0,
                   period_s=period_s, label=symbol and say("shaft.period", symbol=symbol, period=1e3 * period_s),
                   unit=r.unit)  # fmt: skip
    channel = _channel(d, row)
    said = say("shaft.moment_seconds", seconds=size / rate_hz, channel=channel)
    if hz > 0:
        said = say("shaft.moment_turns", turns=_TURNS, channel=channel, speed=speed)
    if symbol:
        said += say("shaft.moment_period", period=1e3 * period_s, place=place, symbol=symbol)
    return parts.figure(svg, said)


def _stretch(
    x: npt.NDArray[np.float64], start: int, peak: int, rate_hz: float, *, turn_s: float, period_s: float, label: str,
    unit: str | None,
) -> str:  # fmt: skip
    """Draw samples from the number `start` on, with marks every turn and every period from the number `peak` on."""
    t = (start + np.arange(x.size)) / rate_hz
    line, what = curves.band(t, x, curves.POINTS), say("shaft.moment")
    top, low = float(x.max()), float(x.min())
    with curves.style(what):
        figure, (ax,) = curves.axes_of(1)
        if line.low is None:
            ax.plot(line.x, line.y, color=curves.LINE, linewidth=0.7)
        else:
            ax.fill_between(line.x, line.low, line.y, facecolor=curves.LINE, edgecolor=curves.LINE, linewidth=0.5)
        for at in _marks(t, peak / rate_hz, turn_s):
            ax.axvline(at, color=curves.INK, linewidth=0.9, linestyle=":", zorder=0.5)
        for at in _marks(t, peak / rate_hz, period_s):  # below the label
            ax.axvline(at, ymax=0.87, color=curves.MARK, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0.5)
        if label:
            curves.label(ax, label, peak / rate_hz, row=0)
        ax.set_xlim(t[0], t[-1])
        room = 0.08 * (top - low)
        ax.set_ylim(low - room, top + (3 if label else 1) * room)
        curves.number_axis(ax.xaxis)
        curves.number_axis(ax.yaxis)
        ax.set_xlabel(say("pictures.time"))
        ax.set_ylabel(curves.unit_of(unit), parse_math=False)
        return curves.inline(figure, what)


def _marks(t: npt.NDArray[np.float64], at: float, step: float) -> list[float]:
    """Return the places `at`, `step` apart from it, between the ends of `t`; none where there would be too many."""
    if step <= 0 or (t[-1] - t[0]) / step > _MOST_MARKS:
        return []
    first, last = math.ceil((t[0] - at) / step), math.floor((t[-1] - at) / step)
    return [at + k * step for k in range(first, last + 1)]


def _period(d: Diagnosis, hz: float) -> tuple[float, str, str]:
    """Return the period of the place that the spectrum names, s, its symbol and its name; (0.0, "", "") without."""
    place = None if d.witness is None else d.witness.place
    if place is None or d.witness is None or hz <= 0:
        return 0.0, "", ""
    order = next((h.found_order for h in d.witness.hypotheses if h.place == place), 0.0)
    if order <= 0 or _TURNS * order > _MOST_MARKS:
        return 0.0, "", ""
    return 1.0 / (order * hz), SYMBOLS[place], place_name(place)


def _channel(d: Diagnosis, row: int) -> str:
    """Return " of DE" where there are several channels, else ""."""
    if d.record is None or len(d.record.channels) < 2:
        return ""
    return say("shaft.of_channel", channel=curves.channel_name(d.record.channels[row], row))


def _percent(share: float) -> str:
    return f"{min(max(round(100 * share), 1), 99)} %"


def _part(d: Diagnosis, key: str) -> Mapping[str, Any]:
    found = d.evidence.get(key)
    return found if isinstance(found, Mapping) else {}
