"""The pictures of why: attribution over frequency and over time, thresholds by unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from faultdx.report.curves import _INK, _LINE, _MARK, _band, _inline, _number_axis, _style
from faultdx.report.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faultdx.explanation import Explanation
    from faultdx.shrinkage import Thresholds

_LEAST_DB = -60.0  # of the spectrum behind the bands
_WAVE_POINTS = 800
_NAMED_UNITS = 16


def over_frequency(found: Explanation) -> str:
    """Return the drop by band above the spectrum of the example, as an SVG element. It has a `frequency`."""
    what = say("why.frequency_alt")
    a = found.frequency
    assert a is not None
    with _style(what):
        figure, (top, below) = _two()
        _drops(top, a.edges, a.drop, a.beyond())
        _limits(top, a.chance)
        f, level = _levels(found)
        below.fill_between(f, _LEAST_DB, level, facecolor=_LINE, edgecolor=_LINE, linewidth=0.5)
        for i in a.beyond():
            below.axvspan(a.edges[i], a.edges[i + 1], facecolor=_MARK, alpha=0.2, linewidth=0)
        below.set_ylim(_LEAST_DB, 3)
        below.set_xlim(0, float(a.edges[-1]))
        below.set_xlabel(say("why.frequency_axis"))
        below.set_ylabel(say("why.spectrum_axis"))
        _number_axis(below.xaxis)
        return _inline(figure, what)


def over_time(found: Explanation) -> str:
    """Return the drop by window above the example's waveform, as an SVG element. It has a `time` and an `example`."""
    what = say("why.time_alt")
    moments, segment = found.time, found.example
    assert moments is not None and segment is not None
    i, start = found.example_index, float(moments.starts_s[found.example_index])
    edges = start + moments.position.edges
    beyond = [int(w) for w in np.flatnonzero(moments.beyond()[i])]
    with _style(what):
        figure, (top, below) = _two()
        _drops(top, edges, moments.each[i], beyond)
        _limits(top, (None, float(moments.limits[i])))
        x = start + np.arange(segment.shape[1]) / found.sampling_rate_hz
        line = _band(x, segment[0].astype(np.float64), _WAVE_POINTS)
        if line.low is None:
            below.plot(line.x, line.y, color=_LINE, linewidth=0.6)
        else:
            below.fill_between(line.x, line.low, line.y, facecolor=_LINE, edgecolor=_LINE, linewidth=0.5)
        for w in beyond:
            below.axvspan(edges[w], edges[w + 1], facecolor=_MARK, alpha=0.2, linewidth=0)
        below.set_xlim(float(edges[0]), float(edges[-1]))
        below.set_xlabel(say("why.time_axis"))
        below.set_ylabel(say("why.amplitude_axis"))
        _number_axis(below.xaxis)
        _number_axis(below.yaxis)
        return _inline(figure, what)


def thresholds(found: Thresholds) -> str:
    """Return the thresholds by unit over the range of healthy records, as an SVG element."""
    from matplotlib.figure import Figure

    what = say("why.units_alt")
    x = np.arange(1, len(found.alpha) + 1)
    with _style(what):
        figure = Figure(figsize=(8.0, 2.2))
        ax = figure.subplots()
        figure.subplots_adjust(left=0.095, right=0.97, bottom=0.21, top=0.96)
        width = 0.5
        for state, alpha in (("noisy", 0.25), ("clean", 0.6)) if found.healthy is not None else ():
            band = found.healthy.bands.get((state, "alpha")) if found.healthy is not None else None
            if band is not None:
                ax.bar(x, band[2] - band[0], width, bottom=band[0], color=_LINE, alpha=alpha, linewidth=0)
                if state == "clean" or (("clean", "alpha") not in found.healthy.bands if found.healthy else False):
                    ax.hlines(band[1], x - width / 2, x + width / 2, color=_INK, linewidth=0.9)
            width *= 0.6
        ax.plot(x, found.alpha, linestyle="", marker="o", markersize=5, color=_MARK, clip_on=False, zorder=4)
        ax.set_xlim(0.4, len(x) + 0.6)
        ax.set_ylim(0, 1)
        if len(x) <= _NAMED_UNITS:
            ax.set_xticks(x)
        ax.grid(visible=False, axis="x")
        ax.set_xlabel(say("why.units_axis"))
        ax.set_ylabel(say("why.alpha_axis"))
        _number_axis(ax.xaxis)
        _number_axis(ax.yaxis)
        return _inline(figure, what)


def _two() -> tuple[Any, tuple[Axes, Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.3))
    top, below = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=0.095, right=0.97, bottom=0.145, top=0.975, hspace=0.12)
    return figure, (top, below)


def _drops(ax: Axes, edges: npt.NDArray[np.float64], drop: npt.NDArray[np.float64], beyond: list[int]) -> None:
    colours = [_MARK if i in beyond else _LINE for i in range(len(drop))]
    ax.bar(edges[:-1], drop, np.diff(edges), align="edge", color=colours, edgecolor="none", linewidth=0)
    ax.axhline(0, color=_INK, linewidth=0.6)
    ax.set_ylabel(say("why.drop_axis"))
    _number_axis(ax.yaxis)


def _limits(ax: Axes, chance: tuple[float | None, float | None] | None) -> None:
    for limit in chance or ():
        if limit is not None:
            ax.axhline(limit, color=_INK, linewidth=0.8, linestyle="--")


def _levels(found: Explanation) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the example's spectrum, the first channel's, smoothed, in dB below its highest line."""
    assert found.example is not None
    x = found.example[0].astype(np.float64)
    power = np.square(np.abs(np.fft.rfft((x - x.mean()) * np.hanning(len(x)))))
    group = max(1, len(power) // 400)
    power = power[: len(power) // group * group].reshape(-1, group).mean(axis=1)
    f = (np.arange(len(power)) + 0.5) * group * found.sampling_rate_hz / len(x)
    level = 10 * np.log10(np.maximum(power, 1e-30) / max(float(power.max()), 1e-30))
    return f, np.maximum(level, _LEAST_DB)
