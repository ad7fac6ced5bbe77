"""The envelope spectrum over orders with the lines of a bearing marked: tolerance bands, harmonics and sidebands.

Above the spectrum each place has a lane of its own, so that no label can fall on another: a block where each harmonic
is looked for, as wide as the tolerance, and ticks where its sidebands would stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from faultdx.report.curves import _GRID, _INK, _LINE, _MARK, _inline, _number_axis, _peaks, _style
from faultdx.report.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faultdx.signals.witness import Picture

PLACES = ("outer_race", "inner_race", "ball", "cage")
SYMBOLS = {"outer_race": "BPFO", "inner_race": "BPFI", "ball": "2BSF", "cage": "FTF"}
HARMONICS = 3
_POINTS, _FLOOR_POINTS = 1000, 300
_NARROWEST = 0.05  # share of the width that a harmonic's number needs; where they are closer only the first has one


def sidebands(place: str, *, cage: float | None) -> float | None:
    """Return how far, in orders, the sidebands of a place's lines stand: the inner race's at the shaft's rate, the
    rolling element's at the cage's (where that is known); None for a place that has none."""
    return {"inner_race": 1.0, "ball": cage}.get(place)


def annotated(shown: Picture, *, place: str | None) -> str:
    """Return the envelope spectrum that a verdict on a bearing goes by as an SVG element, its lines marked.

    place : whose lines are marked in the spectrum itself; None marks those of no place, only the lanes above it
    """
    from matplotlib.figure import Figure

    what = say("pictures.orders")
    lines = {name: shown.lines[name] for name in PLACES if name in shown.lines}
    with _style(what):
        figure = Figure(figsize=(8.0, 3.1))
        lanes, ax = figure.subplots(2, 1, sharex=True, height_ratios=(len(lines) or 1, 5.5))
        figure.subplots_adjust(left=0.095, right=0.97, bottom=0.145, top=0.985, hspace=0.05)
        use = shown.orders > 0
        line = _peaks(shown.orders[use], shown.depth[use], _POINTS)
        floor = _peaks(shown.orders[use], shown.floor[use], _FLOOR_POINTS)
        end = float(line.x[-1])
        ax.plot(line.x, line.y, color=_LINE, linewidth=0.7)
        ax.plot(floor.x, floor.y, color=_INK, linewidth=0.8, alpha=0.4)
        for k in range(1, int(end) + 1):
            ax.axvline(k, color=_INK, linewidth=0.4, linestyle=":", alpha=0.5)
        if place in lines:
            _mark(ax, place, lines, end=end, tolerance=shown.tolerance)
        _lanes(lanes, lines, place=place, end=end, tolerance=shown.tolerance)
        ax.set_xlim(0, end)
        ax.set_ylim(0, 1.12 * float(max(line.y.max(), floor.y.max(), 1e-12)))
        _number_axis(ax.xaxis)
        _number_axis(ax.yaxis)
        ax.set_xlabel(say("pictures.order"))
        ax.set_ylabel(say("pictures.depth"))
        return _inline(figure, what)


def _mark(ax: Axes, place: str, lines: Mapping[str, float], *, end: float, tolerance: float) -> None:
    """Draw harmonics with their tolerance bands, and their sidebands, into the spectrum."""
    away = sidebands(place, cage=lines.get("cage"))
    for k in range(1, HARMONICS + 1):
        order = k * lines[place]
        if order <= end:
            ax.axvspan(
                order * (1 - tolerance), min(order * (1 + tolerance), end), facecolor=_MARK, alpha=0.18, linewidth=0
            )
            ax.axvline(order, color=_MARK, linewidth=0.8, linestyle="--")
            if k == 1 or lines[place] >= _NARROWEST * end:
                _number(ax, f"{k}×", order)
        for side in (order - away, order + away) if away else ():
            if 0 < side <= end:
                ax.axvline(side, color=_MARK, linewidth=0.7, linestyle=(0, (1, 2)))


def _lanes(ax: Axes, lines: Mapping[str, float], *, place: str | None, end: float, tolerance: float) -> None:
    """Draw a lane for each place: blocks for its harmonics, as wide as the tolerance, and ticks for its sidebands."""
    names = list(lines)
    for row, name in enumerate(names):
        colour, y = _MARK if name == place else _INK, len(names) - 1 - row
        away = sidebands(name, cage=lines.get("cage"))
        ax.axhline(y, color=_GRID, linewidth=0.5, zorder=0)
        for k in range(1, HARMONICS + 1):
            order = k * lines[name]
            if order > end:
                break
            half = max(tolerance * order, 0.003 * end)  # a block that can be seen
            ax.barh(y, 2 * half, left=order - half, height=0.62, color=colour, linewidth=0)
            for side in _sides(order, away, end=end):
                ax.plot([side, side], [y - 0.25, y + 0.25], color=colour, linewidth=0.9)
    ax.set_yticks(range(len(names)), [SYMBOLS[name] for name in reversed(names)], fontsize=7.5)
    for label, name in zip(ax.get_yticklabels(), reversed(names), strict=True):
        label.set_color(_MARK if name == place else _INK)
    ax.set_ylim(-0.6, max(len(names) - 0.4, 0.6))
    ax.tick_params(axis="both", length=0, labelbottom=False)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _sides(order: float, away: float | None, *, end: float) -> Sequence[float]:
    return [side for side in (order - away, order + away) if 0 < side <= end] if away else []


def _number(ax: Axes, text: str, order: float) -> None:
    """Write the number of a harmonic beside its line, at the top, where the axis leaves room for it."""
    style: dict[str, Any] = {"xytext": (1.5, -8), "textcoords": "offset points", "fontsize": 7.5}
    ax.annotate(text, (order, 1), xycoords=("data", "axes fraction"), color=_MARK, **style)
