"""The trend of measuring points over time, as a picture: level above, probability of a fault below."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from faultdx.files import show
from faultdx.report.row import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_NAMED = 8  # measuring points with a colour of their own; more colours cannot be told apart
FORMATS = ("png", "svg")
# Okabe and Ito: told apart with any kind of colour blindness, yellow left out on white, grey for the rest.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7a5195")
_REST = "#b0b0b0"
_FAULT = "#c00000"
_DAY_S = 86_400.0
_SHORTEST = 30 / 1440  # days, on either side of records that are closer together


def trend_picture(rows: Iterable[Row], *, title: str, format: str = "png") -> bytes:
    """Return the picture of `rows` as PNG or SVG; the same rows give the same bytes.

    A line for each measuring point, in the order of time; a ring marks a fault verdict, a cross on the time axis a
    record without a verdict. A recording that several models diagnosed has one level, and a line of probabilities
    for each model. A level or a probability that is not known leaves a gap.
    """
    import matplotlib
    from matplotlib.figure import Figure

    series: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda r: r.time):
        series.setdefault((row.asset, row.point), []).append(row)
    # those with a fault first, then those with most records
    named = sorted(series, key=lambda key: (not any(r.fault for r in series[key]), -len(series[key])))[:MAX_NAMED]
    buffer = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        style: dict[str, Any] = {"font.size": 9, "axes.grid": True, "grid.linewidth": 0.4, "grid.color": "#dddddd"}
        style |= {"axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True}
        style |= {"svg.hashsalt": "trend", "timezone": "UTC"}
        matplotlib.rcParams.update(style)  # type: ignore[arg-type]
        figure = Figure(figsize=(10, 5.6), dpi=110, layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        for key in sorted(series, key=lambda key: key in named):  # the grey ones first, below the others
            colour = _COLOURS[named.index(key)] if key in named else _REST
            _draw(upper, lower, series[key], colour=colour, label=_label(key) if key in named else "")
        _dress(upper, lower, rows=[r for part in series.values() for r in part], title=title)
        handles, labels = upper.get_legend_handles_labels()
        if len(series) > len(named):
            (rest,) = upper.plot([], [], color=_REST)
            handles, labels = [*handles, rest], [*labels, f"{len(series) - len(named)} more"]
        legend = figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=8)
        for text in legend.get_texts():
            text.set_parse_math(False)
        figure.legend(handles=_marks(), loc="outside right lower", frameon=False, fontsize=8)
        figure.savefig(buffer, format=format, metadata={"Software": None} if format == "png" else {"Date": None})
    return buffer.getvalue()


def _draw(upper: Axes, lower: Axes, rows: Sequence[Row], *, colour: str, label: str) -> None:
    style: dict[str, Any] = {"color": colour, "linewidth": 1.0, "marker": "." if len(rows) < 400 else ""}
    once = {(r.content, r.time): r for r in rows}.values()  # two models, one level
    upper.plot([_when(r) for r in once], [_value(r.level_rms) for r in once], label=label, **style)
    models: dict[str, list[Row]] = {}
    for row in rows:
        models.setdefault(row.model_digest, []).append(row)
    for own in models.values():
        lower.plot([_when(r) for r in own], [_value(r.fault_probability) for r in own], **style)
    faults = [r for r in rows if r.fault]
    ring: dict[str, Any] = {"s": 42, "facecolors": "none", "edgecolors": _FAULT, "linewidths": 1.2, "zorder": 4}
    for axes, at in ((upper, "level_rms"), (lower, "fault_probability")):
        known = [r for r in faults if getattr(r, at) is not None]
        axes.scatter([_when(r) for r in known], [getattr(r, at) for r in known], **ring)
    silent = [_when(r) for r in rows if r.verdict is None]
    cross: dict[str, Any] = {"marker": "x", "s": 22, "color": colour, "linewidths": 1.2, "zorder": 4, "clip_on": False}
    lower.scatter(silent, [0.0] * len(silent), **cross)


def _dress(upper: Axes, lower: Axes, *, rows: Sequence[Row], title: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    units = {r.unit or "raw units" for r in rows if r.level_rms is not None}
    unit = units.pop() if len(units) == 1 else "several units" if units else "none known"
    upper.set_ylabel(f"level, RMS ({show(unit)[:24]})", parse_math=False)
    levels = [r.level_rms for r in rows if r.level_rms]
    if levels and max(levels) > 30 * min(levels):
        upper.set_yscale("log")
    else:
        upper.set_ylim(bottom=0)
    lower.set_ylabel("probability of a fault")
    lower.set_ylim(-0.02, 1.03)
    lower.set_xlabel("time (UTC)")
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    lower.xaxis.set_major_locator(locator)
    lower.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    upper.set_title(show(title)[:100], loc="left", fontsize=10, parse_math=False)
    times = [_when(r) for r in rows]
    if times and max(times) - min(times) < 2 * _SHORTEST:  # one moment would be drawn over years
        middle = (max(times) + min(times)) / 2
        lower.set_xlim(middle - _SHORTEST, middle + _SHORTEST)


def _marks() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=_FAULT, marker="o", markerfacecolor="none", linestyle="", label="verdict: a fault"),
        Line2D([], [], color="#555555", marker="x", linestyle="", label="no verdict"),
    ]


def _label(key: tuple[str, str]) -> str:
    # a label that begins with "_" is left out of a legend
    return " ".join(part for part in key if part)[:40].lstrip("_") or "no asset named"


def _when(row: Row) -> float:
    """The time of a row as matplotlib counts it, days since 1970; a text that is no time came from no faultdx."""
    try:
        return datetime.fromisoformat(row.time).timestamp() / _DAY_S
    except ValueError:
        return 0.0


def _value(value: float | None) -> float:
    return math.nan if value is None else value
