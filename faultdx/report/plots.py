"""Curves as inline SVG and the page around them, by hand: no matplotlib, no script, nothing from anywhere else.

Series are told apart by colour (Okabe and Ito's, safe with any kind of colour blindness), by dash and by marker, so
that a black-and-white print can be read. The same numbers give the same bytes.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

from faultdx.files import show
from faultdx.report.parts import CSS as _BASE_CSS
from faultdx.report.parts import POLICY

Point = tuple[float, float, float, float]  # x, value, low, high

# light and dark: the same hues, as bright as each ground needs
_COLOURS = ("#0072b2", "#d55e00", "#008a5e", "#a8508a", "#3a9fd8", "#b07a00", "#222222", "#7a5195")
_DARK = ("#58b4ec", "#f08a4b", "#3fcf9f", "#e39cc8", "#9ad2f5", "#f0c05a", "#e6e9ee", "#b79ad8")
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2", "1 2", "9 3 2 3 2 3")
_MARKERS = ("circle", "square", "triangle", "diamond", "cross", "plus", "ring", "down")
_WIDTH, _LEFT, _RIGHT, _PLOT = 720.0, 58.0, 14.0, 270.0
_MANY = 40  # points of a series; more get no markers
_NAME = 60  # characters of a legend's entry
_TEXT = 600  # characters of one text

_EXTRA_CSS = (
    ":root{" + "".join(f"--c{i}:{c};" for i, c in enumerate(_COLOURS)) + "}\n"
    "@media screen and (prefers-color-scheme:dark){:root{" + "".join(f"--c{i}:{c};" for i, c in enumerate(_DARK)) + "}}"
    """
.box{border:1px solid var(--edge);border-left:.6rem solid var(--tone,var(--none));border-radius:.4rem;
padding:.8rem 1.1rem;margin:.8rem 0}.box p:first-child{margin-top:0}.box p:last-child{margin-bottom:0}
.wide{overflow-x:auto}.grid th{width:auto}.grid th,.grid td{padding-right:.7rem;overflow-wrap:normal}
.grid td.n,.grid th.n{width:auto;padding-right:.7rem}.grid td:first-child,.grid th:first-child{white-space:nowrap}
.grid .hit{font-weight:700}.grid .soft{font-size:.87em}
.turn thead th.n{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;border:0;padding:.3rem .2rem}
.turn td{white-space:nowrap}.turn td.n{text-align:left;padding-left:.2rem}
@media (max-width:40rem){.grid td:first-child,.grid th:first-child{white-space:normal}}
.lead{font-size:1.05rem;color:var(--soft)}
@media print{.wide{overflow:visible}.grid{font-size:8.5pt}.grid th,.grid td{padding-right:.3rem}}
@page{size:A4;margin:16mm 14mm}
"""
)


def text(value: object) -> str:
    """Return anything from outside as HTML text or attribute value: one line, printable, bounded, escaped."""
    said = show(str(value))
    return html.escape(said if len(said) <= _TEXT else f"{said[:_TEXT]}…", quote=True)


def section(title: str, body: str) -> str:
    """Return a section of the page: the title is plain text, the body trusted markup; no body, no section."""
    return f"<section>\n<h2>{text(title)}</h2>\n{body}\n</section>" if body else ""


def figure(svg: str, caption: str = "") -> str:
    """Return a picture with its caption; the caption is plain text."""
    said = f"\n<figcaption>{text(caption)}</figcaption>" if caption else ""
    return f"<figure>\n{svg}{said}\n</figure>"


def table(header: Sequence[str], rows: Sequence[Sequence[object]], *, numbers_from: int = 1) -> str:
    """Return a table of plain texts; the columns from `numbers_from` on are numbers, set to the right."""

    def kind(column: int) -> str:
        return ' class="n"' if column >= numbers_from else ""

    head = "".join(f'<th scope="col"{kind(i)}>{text(name)}</th>' for i, name in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"<td{kind(i)}>{text(cell)}</td>" for i, cell in enumerate(row)) + "</tr>\n" for row in rows
    )
    return (
        f'<div class="wide"><table class="grid">\n<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'
    )


def page(title: str, sections: Sequence[str], *, lead: str = "", language: str = "en") -> str:
    """Return a whole HTML page that needs nothing else, prints on A4 and reads on a phone.

    title, lead : plain text, escaped here; sections : trusted markup, in order, empty ones left out

    The page forbids itself scripts and anything from elsewhere by its content security policy.
    """
    said = f'<p class="lead">{text(lead)}</p>\n' if lead else ""
    return (
        f'<!DOCTYPE html>\n<html lang="{text(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{_BASE_CSS}{_EXTRA_CSS}</style>\n</head>\n<body>\n"
        f"<h1>{text(title)}</h1>\n{said}" + "\n".join(part for part in sections if part) + "\n</body>\n</html>\n"
    )


def ticks(low: float, high: float, *, most: int = 8) -> list[float]:
    """Return round numbers between `low` and `high`, at most `most` and one, 1, 2 or 5 times 10^k apart."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next(m for m in (1, 2, 5, 10) if span / (step * m) <= most * (1 + 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def accuracy_curves(
    series: Mapping[str, Sequence[Point]], *, title: str, x_label: str = "SNR, dB", y_label: str = "accuracy, %"
) -> str:
    """Return curves with error bars as an `<svg>` element.

    series : name -> points (x, value, low, high), in any order; values in the unit of the y axis, percent by default.
        A point whose x or value is not finite is left out, an interval that is not finite is not drawn
    title, x_label, y_label : plain text

    Without any point the picture says so. Names longer than 60 characters are cut.
    """
    drawn = {
        name: sorted(p for p in points if math.isfinite(p[0]) and math.isfinite(p[1]))
        for name, points in series.items()
    }
    drawn = {name: points for name, points in drawn.items() if points}
    head, top = _legend(list(drawn), 40.0)
    height = top + _PLOT + 48
    parts = [f'<text x="{_LEFT:g}" y="18" font-size="15" font-weight="700" fill="currentColor">{text(title)}</text>']
    if not drawn:
        parts.append(f'<text x="{_LEFT:g}" y="{top + 40:g}" font-size="13" fill="currentColor">no values yet</text>')
        return _svg(title, 120.0, parts)
    places = [p[0] for points in drawn.values() for p in points]
    levels = [v for points in drawn.values() for p in points for v in p[1:] if math.isfinite(v)]
    x_range, y_range = _x_range(places), _y_range(levels)
    parts += [head, *_axes(x_range, y_range, sorted(set(places)), top, x_label, y_label)]
    for i, points in enumerate(drawn.values()):
        parts.append(_curve(points, i, len(drawn), x_range, y_range, top))
    return _svg(title, height, parts)


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{text(title)}" '
        f'viewBox="0 0 {_WIDTH:g} {height:g}" font-family="system-ui, DejaVu Sans, sans-serif" '
        f'stroke-linejoin="round">\n' + "\n".join(parts) + "\n</svg>"
    )


def _x_range(places: Sequence[float]) -> tuple[float, float]:
    low, high = min(places), max(places)
    pad = 0.03 * (high - low) or 1.0
    return low - pad, high + pad


def _y_range(levels: Sequence[float]) -> tuple[float, float]:
    """Return round ends around the values; a share near 100 % ends there, so that no one looks for more."""
    low, high = min(levels), max(levels)
    span = max(high - low, 1e-9, 0.02 * abs(high))
    marks = ticks(low - 0.05 * span, high + 0.05 * span, most=8)
    step = marks[1] - marks[0] if len(marks) > 1 else span
    bottom, top = step * math.floor(low / step + 1e-9), step * math.ceil(high / step - 1e-9)
    if bottom >= top:
        bottom, top = bottom - step, top + step
    return (max(bottom, 0.0) if low >= 0 else bottom), (min(top, 100.0) if 50 < high <= 100 else top)


def _x(value: float, ends: tuple[float, float]) -> float:
    return _LEFT + (value - ends[0]) / (ends[1] - ends[0]) * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, ends: tuple[float, float], top: float) -> float:
    share = (value - ends[0]) / (ends[1] - ends[0])
    return top + (1 - min(max(share, 0.0), 1.0)) * _PLOT


def _axes(
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    places: Sequence[float],
    top: float,
    x_label: str,
    y_label: str,
) -> list[str]:
    bottom, right = top + _PLOT, _WIDTH - _RIGHT
    grid, labels = [], []
    for value in ticks(*y_range):
        y = _y(value, y_range, top)
        grid.append(f"M{_LEFT:g} {y:.1f}H{right:g}")
        labels.append(f'<text x="{_LEFT - 7:g}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>')
    # where there are few places, those are what a reader asks for; else round numbers
    shown = list(places) if len(places) <= 13 else ticks(*x_range, most=11)
    for value in shown:
        x = _x(value, x_range)
        grid.append(f"M{x:.1f} {top:g}V{bottom:g}")
        labels.append(f'<text x="{x:.1f}" y="{bottom + 17:g}" text-anchor="middle">{_number(value)}</text>')
    middle = top + _PLOT / 2
    labels.append(f'<text x="{(_LEFT + right) / 2:g}" y="{bottom + 38:g}" text-anchor="middle">{text(x_label)}</text>')
    labels.append(
        f'<text x="14" y="{middle:g}" text-anchor="middle" transform="rotate(-90 14 {middle:g})">{text(y_label)}</text>'
    )
    return [
        f'<path d="{"".join(grid)}" fill="none" stroke="var(--grid,#d8dee4)" stroke-width="0.7"/>',
        f'<path d="M{_LEFT:g} {top:g}V{bottom:g}H{right:g}" fill="none" stroke="currentColor"/>',
        f'<g font-size="12" fill="currentColor">{"".join(labels)}</g>',
    ]


def _number(value: float) -> str:
    said = f"{value:.6g}"
    return "0" if float(said) == 0 else said.replace("-", "−")


def _style(index: int) -> tuple[str, str, str]:
    """Return colour, dash and marker of a series; sixty-four are told apart, though nobody reads that many."""
    i, turn = index % len(_COLOURS), index // len(_COLOURS)
    colour = f"var(--c{i},{_COLOURS[i]})"
    return colour, _DASHES[(i + turn) % len(_DASHES)], _MARKERS[(i + 3 * turn) % len(_MARKERS)]


def _curve(
    points: Sequence[Point], index: int, count: int, x_range: tuple[float, float], y_range: tuple[float, float],
    top: float,
) -> str:  # fmt: skip
    colour, dash, marker = _style(index)
    nudge = 2.4 * (index - (count - 1) / 2) if count <= 8 else 0.0  # so that error bars stand side by side
    at = [(_x(p[0], x_range), _y(p[1], y_range, top)) for p in points]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)
    bars = []
    for (x, _), (_, _, low, high) in zip(at, points, strict=True):
        if math.isfinite(low) and math.isfinite(high) and high > low:
            y0, y1 = _y(low, y_range, top), _y(high, y_range, top)
            bars.append(f"M{x + nudge:.1f} {y0:.1f}V{y1:.1f}")
            bars.append(
                f"M{x + nudge - 2.5:.1f} {y0:.1f}h5M{x + nudge - 2.5:.1f} {y1:.1f}h5" if len(at) < _MANY else ""
            )
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    found = [f'<path d="{line}" stroke-width="1.8"{dashed}/>' if len(at) > 1 else ""]
    found.append(f'<path d="{"".join(bars)}" stroke-width="1" opacity="0.75"/>' if bars else "")
    found += [_marker(marker, x, y, colour) for x, y in at] if len(at) < _MANY else []
    return f'<g fill="none" stroke="{colour}">{"".join(found)}</g>'


def _marker(kind: str, x: float, y: float, colour: str) -> str:
    r = 3.6
    if kind in ("circle", "ring"):
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r - 0.4}"' + (
            f' fill="{colour}"/>' if kind == "circle" else "/>"
        )
    shapes = {
        "square": f"M{x - 3:.1f} {y - 3:.1f}h6v6h-6z",
        "triangle": f"M{x:.1f} {y - r:.1f}l{r} {2 * r - 1}h{-2 * r}z",
        "down": f"M{x:.1f} {y + r:.1f}l{r} {1 - 2 * r}h{-2 * r}z",
        "diamond": f"M{x:.1f} {y - 4.2:.1f}l4.2 4.2l-4.2 4.2l-4.2 -4.2z",
        "cross": f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6",
        "plus": f"M{x - r:.1f} {y:.1f}h{2 * r}M{x:.1f} {y - r:.1f}v{2 * r}",
    }
    fill = "none" if kind in ("cross", "plus") else colour
    return f'<path d="{shapes[kind]}" fill="{fill}" stroke-width="1.5"/>'


def _legend(names: Sequence[str], y: float) -> tuple[str, float]:
    """Return the legend, in as many rows as it needs, and where the plot below it starts."""
    found, x = [], _LEFT
    for i, name in enumerate(names):
        said = show(str(name))
        said = said if len(said) <= _NAME else said[: _NAME - 1] + "…"
        width = 46 + 7.2 * len(said)
        if x > _LEFT and x + width > _WIDTH - _RIGHT:
            x, y = _LEFT, y + 18
        colour, dash, marker = _style(i)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        found.append(
            f'<g fill="none" stroke="{colour}"><path d="M{x:.1f} {y - 4:g}h28" stroke-width="1.8"{dashed}/>'
            f"{_marker(marker, x + 14, y - 4, colour)}</g>"
            f'<text x="{x + 34:.1f}" y="{y:g}" font-size="12.5" fill="currentColor">{html.escape(said)}</text>'
        )
        x += width
    return "".join(found), y + 12
