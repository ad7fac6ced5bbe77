"""The envelope spectrum over orders with the lines of a bearing marked: tolerance bands, harmonics and sidebands.

A band stands where the bearing has its line, as wide as was searched; the line that was found is marked in it. Above
the spectrum each place has a lane of its own, so that no label can fall on another: a block for each band, and ticks
where its sidebands would stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from faultdx.report.curves import _GRID, _INK, _LINE, _MARK, _inline, _number_axis, _peaks, _style
from faultdx.report.words import say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from faultdx.signals.witness import Picture

PLACES = ("outer_race", "inner_race", "ball", "cage")
SYMBOLS = {"outer_race": "BPFO", "inner_race": "BPFI", "ball": "2BSF", "cage": "FTF"}
HARMONICS = 3
SIDES = (-2, -1, 1, 2)  # sidebands that are drawn; the witness counts the first to either side
_POINTS, _FLOOR_POINTS = 1000, 300
_NARROWEST = 0.05  # share of the width that a harmonic's number needs; where they are closer only the first has one
_NARROW = 0.028  # ... and that of a sideband


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
    names = [name for name in PLACES if name in shown.lines]
    with _style(what):
        figure = Figure(figsize=(8.0, 3.1))
        lanes, ax = figure.subplots(2, 1, sharex=True, height_ratios=(len(names) or 1, 5.5))
        figure.subplots_adjust(left=0.095, right=0.97, bottom=0.145, top=0.985, hspace=0.05)
        use = shown.orders > 0
        line = _peaks(shown.orders[use], shown.depth[use], _POINTS)
        floor = _peaks(shown.orders[use], shown.floor[use], _FLOOR_POINTS)
        end = float(line.x[-1])
        ax.plot(line.x, line.y, color=_LINE, linewidth=0.7)
        ax.plot(floor.x, floor.y, color=_INK, linewidth=0.8, alpha=0.4)
        for k in range(1, int(end) + 1):
            ax.axvline(k, color=_INK, linewidth=0.4, linestyle=":", alpha=0.5)
        if place in names:
            _mark(ax, place, shown, end=end)
        _lanes(lanes, names, shown, place=place, end=end)
        ax.set_xlim(0, end)
        ax.set_ylim(0, 1.3 * float(max(line.y.max(), floor.y.max(), 1e-12)))
        _number_axis(ax.xaxis)
        _number_axis(ax.yaxis)
        ax.set_xlabel(say("pictures.order"))
        ax.set_ylabel(say("pictures.depth"))
        return _inline(figure, what)


def expected(shown: Picture, place: str) -> float:
    """Return the order of a place's first line as the bearing has it; where that is not known, as it was found."""
    return shown.expected.get(place, shown.lines[place])


def _mark(ax: Axes, place: str, shown: Picture, *, end: float) -> None:
    """Draw the bands of the harmonics, the lines found in them, and their sidebands, into the spectrum."""
    found, due, tolerance = shown.lines[place], expected(shown, place), shown.tolerance
    away = sidebands(place, cage=shown.lines.get("cage"))
    for k in range(1, HARMONICS + 1):
        low, high = k * due * (1 - tolerance), k * due * (1 + tolerance)
        if low <= end:
            ax.axvspan(low, min(high, end), facecolor=_MARK, alpha=0.18, linewidth=0)
        if k * found > end:
            continue
        ax.axvline(k * found, color=_MARK, linewidth=0.8, linestyle="--")
        if k == 1 or found >= _NARROWEST * end:
            _number(ax, f"{k}×", k * found, row=0)
        for side, at in _sides(k * found, away, end=end):
            ax.axvline(at, color=_MARK, linewidth=0.7, linestyle=(0, (1, 2)))
            if k == 1 and away and away >= _NARROW * end:
                _number(ax, f"{side:+d}".replace("-", "−"), at, row=1)


def _lanes(ax: Axes, names: Sequence[str], shown: Picture, *, place: str | None, end: float) -> None:
    """Draw a lane for each place: blocks where its harmonics are due, as wide as the tolerance, and ticks for its
    sidebands, the second ones shorter."""
    for row, name in enumerate(names):
        colour, y = _MARK if name == place else _INK, len(names) - 1 - row
        due, away = expected(shown, name), sidebands(name, cage=shown.expected.get("cage", shown.lines.get("cage")))
        ax.axhline(y, color=_GRID, linewidth=0.5, zorder=0)
        for k in range(1, HARMONICS + 1):
            order = k * due
            if order > end:
                break
            half = max(shown.tolerance * order, 0.003 * end)  # a block that can be seen
            ax.barh(y, 2 * half, left=order - half, height=0.62, color=colour, linewidth=0)
            for side, at in _sides(order, away, end=end):
                tall = 0.25 if abs(side) == 1 else 0.14
                ax.plot([at, at], [y - tall, y + tall], color=colour, linewidth=0.9)
    ax.set_yticks(range(len(names)), [SYMBOLS[name] for name in reversed(names)], fontsize=7.5)
    for label, name in zip(ax.get_yticklabels(), reversed(names), strict=True):
        label.set_color(_MARK if name == place else _INK)
    ax.set_ylim(-0.6, max(len(names) - 0.4, 0.6))
    ax.tick_params(axis="both", length=0, labelbottom=False)
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _sides(order: float, away: float | None, *, end: float) -> list[tuple[int, float]]:
    """Return the sidebands of a line that lie in the picture: their numbers and orders."""
    return [(k, order + k * away) for k in SIDES if 0 < order + k * away <= end] if away else []


def _number(ax: Axes, text: str, order: float, *, row: int) -> None:
    """Write the number of a line beside it, at the top, where the axis leaves room for it; row : how far down."""
    style: dict[str, Any] = {"xytext": (1.5, -8 - 9 * row), "textcoords": "offset points", "fontsize": 7.5}
    ax.annotate(text, (order, 1), xycoords=("data", "axes fraction"), color=_MARK, **style)
