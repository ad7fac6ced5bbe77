"""The pictures: a recording's waveform and spectra as SVG for a page, a run's curves as PNG.

Here and in `trend.py` matplotlib is imported, and nowhere else, and only when a picture is drawn. The same numbers give
the same bytes: no dates, fixed ids, no style of the user's. SVG comes out ready to stand inside HTML: no prolog, no
metadata, no ids that two pictures could share, text as text, and colours as CSS variables of the page
(`--line`, `--grid`, `--mark`).
"""

from __future__ import annotations

import contextlib
import html
import io
import itertools
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from faultdx.files import show
from faultdx.report.words import say
from faultdx.signals.spectra import averaged_spectrum, squared_envelope_spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Float64Array = npt.NDArray[np.float64]


class Line(NamedTuple):
    """A line to draw, (x, y); or the band between `low` and y."""

    x: Float64Array
    y: Float64Array
    low: Float64Array | None = None


MAX_CHANNELS = 3  # drawn; more would not be read
POINTS = 1500  # of a waveform: columns about as wide as a pixel, each with its lowest and highest sample
SPECTRUM_SAMPLES = 1 << 21  # an envelope spectrum of more samples takes seconds and shows nothing more
_SPECTRUM_POINTS = 1000
_FLOOR_DB = 100  # of a spectrum's axis, below its highest line
_TINY = 1e-30  # a flat signal has a logarithmic axis, too
_NAME = 60  # characters of a channel's name
_ENVELOPE_HZ = 1000.0  # bearing and shaft frequencies, and their first harmonics, lie below
# Matplotlib wants colours; the page wants variables: these stand-ins are exchanged in the finished SVG.
_INK, _LINE, _GRID, _MARK = "#101112", "#131415", "#161718", "#191a1b"
_VARIABLES = {_INK: "currentColor", _LINE: "var(--line)", _GRID: "var(--grid)", _MARK: "var(--mark)"}


@contextlib.contextmanager
def _style(salt: str | None = None) -> Iterator[None]:
    """Matplotlib's own defaults, whatever the user's are; with a `salt`, those of an SVG with ids of its own."""
    import matplotlib

    style: dict[str, Any] = {"font.size": 9, "axes.linewidth": 0.6, "axes.grid": True, "grid.linewidth": 0.5}
    style |= {"axes.axisbelow": True}
    style |= {"axes.spines.top": False, "axes.spines.right": False, "axes.formatter.useoffset": False}
    if salt is not None:
        style |= {"svg.hashsalt": salt, "svg.fonttype": "none", "grid.color": _GRID, "axes.edgecolor": _INK}
        style |= {"text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK}
    with warnings.catch_warnings(), matplotlib.rc_context():
        # A glyph that only the reader's fonts have is no fault: the text stays text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(style)  # type: ignore[arg-type]
        yield


def _inline(figure: Figure, label: str) -> str:
    """Return the figure as an `<svg>` element for the body of a page, described by `label`."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font-family: [^;\"]*; ?", "", text)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace("\n", ""), text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, variable)
    box = re.search(r'viewBox="([^"]*)"', text)
    head = f'<svg role="img" aria-label="{html.escape(label)}" viewBox="{box[1] if box else "0 0 600 200"}"'
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"<svg[^>]*", lambda _: head, text, count=1)).strip()


def _groups(size: int, count: int) -> Iterator[tuple[int, int]]:
    """The (first, last + 1) of `count` neighbouring groups that cover `size` samples."""
    return itertools.pairwise(int(edge) for edge in np.linspace(0, size, count + 1).astype(np.int64))


def _peaks(x: Float64Array, y: Float64Array, points: int) -> Line:
    """Return at most `points` of the line (x, y): of each group of neighbours the highest."""
    if y.size <= points:
        return Line(x, y)
    keep = [first + int(np.argmax(y[first:last])) for first, last in _groups(y.size, points)]
    return Line(x[keep], y[keep])


def _band(x: Float64Array, y: Float64Array, points: int) -> Line:
    """Return the line (x, y) as the band between the lowest and the highest of each group, `points` corners in all."""
    if y.size <= points:
        return Line(x, y)
    groups = list(_groups(y.size, points // 2))
    low, high = (np.array([end(y[first:last]) for first, last in groups]) for end in (np.min, np.max))
    return Line(np.linspace(x[0], x[-1], len(groups)), high, low)


def _points(points: int, channels: int) -> int:
    """Points a channel: fewer where there are several, so that the page stays small."""
    return points if channels == 1 else points * 3 // 5


def _axes(rows: int) -> tuple[Figure, list[Axes]]:
    """A figure of `rows` axes, one below the other, with fixed margins: the pictures of a page line up."""
    from matplotlib.figure import Figure

    height = 2.1 + 1.5 * (rows - 1)
    figure = Figure(figsize=(8.0, height))
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False)
    figure.subplots_adjust(
        left=0.095, right=0.97, bottom=0.45 / height, top=1 - (0.22 if rows > 1 else 0.08) / height, hspace=0.28
    )
    return figure, list(grid[:, 0])


def _number_axis(axis: Any) -> None:
    """Plain numbers on an axis: no 1e-5 in a corner, no mathtext."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.6g}"))


def _decades(axis: Any) -> None:
    """Plain numbers at the powers of ten of a logarithmic axis, at most seven of them, and no marks between: mathtext
    takes a fifth of the time of a page.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def channel_name(name: str, index: int) -> str:
    """Return what a channel is called in a picture: its own name, or its number from 1 where it has none."""
    said = show(name).strip()[:_NAME]
    return said or say("pictures.channel", number=index + 1)


def _unit(unit: str | None) -> str:
    return say("pictures.raw_units") if unit is None else show(unit)[:24]


def _draw(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    what: str,
    log: bool = False,
    marks: Mapping[str, float] | None = None,
    names: Sequence[str] = (),
) -> str:
    """Return one axes below the other, one for each of `lines`, as SVG; `marks` names places on x, `names` the lines
    where there are several."""
    with _style(what):
        figure, axes = _axes(len(lines))
        for i, (ax, line) in enumerate(zip(axes, lines, strict=True)):
            if line.low is None:
                ax.plot(line.x, line.y, color=_LINE, linewidth=0.7)
            else:
                ax.fill_between(line.x, line.low, line.y, facecolor=_LINE, edgecolor=_LINE, linewidth=0.5)
            ax.set_xlim(0, line.x[-1])
            ax.set_ylabel(y_label, parse_math=False)
            if len(lines) > 1:
                name = channel_name(names[i] if i < len(names) else "", i)
                ax.set_title(name, loc="left", fontsize=9, parse_math=False)
            if log:
                ax.set_yscale("log")
                _decades(ax.yaxis)
            else:
                _number_axis(ax.yaxis)
            _number_axis(ax.xaxis)
            for name, place in (marks or {}).items():
                if place <= line.x[-1]:
                    ax.axvline(place, color=_MARK, linewidth=0.8, linestyle="--")
                    ax.annotate(
                        name, (place, 1), xycoords=("data", "axes fraction"), xytext=(2, -9),
                        textcoords="offset points", fontsize=8, color=_MARK,
                    )  # fmt: skip
        axes[-1].set_xlabel(x_label)
        return _inline(figure, what)


def waveform(
    signal: npt.NDArray[np.float32], *, sampling_rate_hz: float, unit: str | None, names: Sequence[str] = ()
) -> str:
    """Return the waveform of `signal`, shape (channels, samples), finite, as an SVG element.

    A long signal is drawn by the lowest and the highest sample of each column, so that no peak is lost.
    """
    rows = signal[:MAX_CHANNELS].astype(np.float64)
    t = np.arange(rows.shape[1]) / sampling_rate_hz
    lines = [_band(t, row, _points(POINTS, len(rows))) for row in rows]
    what = say("pictures.waveform")
    return _draw(lines, x_label=say("pictures.time"), y_label=_unit(unit), what=what, names=names)


def spectrum(
    signal: npt.NDArray[np.float32],
    *,
    sampling_rate_hz: float,
    unit: str | None,
    resolution_hz: float,
    names: Sequence[str] = (),
) -> str:
    """Return the averaged amplitude spectrum of `signal`, shape (channels, samples), as an SVG element.

    The mean is removed; the axis has peak amplitudes (a sine of amplitude 1 reads 1) and is logarithmic. Raises
    RecordError as `averaged_spectrum` does.
    """
    lines = []
    for row in signal[:MAX_CHANNELS].astype(np.float64):
        f, a = averaged_spectrum(row - row.mean(), sampling_rate_hz=sampling_rate_hz, resolution_hz=resolution_hz)
        f, a = f[1:], np.maximum(a[1:], max(a.max() * 10 ** (-_FLOOR_DB / 20), _TINY))
        lines.append(_peaks(f, a, _points(_SPECTRUM_POINTS, len(signal))))
    what = say("pictures.spectrum")
    label = say("pictures.amplitude" if len(lines) == 1 else "pictures.amplitude_short", unit=_unit(unit))
    return _draw(lines, x_label=say("pictures.frequency"), y_label=label, what=what, log=True, names=names)


def envelope_spectrum(
    signal: npt.NDArray[np.float32],
    *,
    sampling_rate_hz: float,
    unit: str | None,
    rpm: float | None,
    names: Sequence[str] = (),
) -> str:
    """Return the squared envelope spectrum of `signal`, shape (channels, samples), as an SVG element.

    It ends at 1 kHz and looks at SPECTRUM_SAMPLES at most. The shaft rate and its harmonics are marked where
    `rpm` is known. Raises RecordError as `squared_envelope_spectrum` does.
    """
    lines = []
    for row in signal[:MAX_CHANNELS, :SPECTRUM_SAMPLES].astype(np.float64):
        f, a = squared_envelope_spectrum(row - row.mean(), sampling_rate_hz=sampling_rate_hz)
        shown = (f > 0) & (f <= max(_ENVELOPE_HZ, 16 * f[1]))
        lines.append(_peaks(f[shown], a[shown], _points(_SPECTRUM_POINTS, len(signal))))
    marks = {f"{k}×": k * rpm / 60 for k in (1, 2, 3)} if rpm else None
    return _draw(
        lines,
        x_label=say("pictures.frequency"),
        y_label=say("pictures.squared", unit=_unit(unit)),
        what=say("pictures.envelope"),
        marks=marks,
        names=names,
    )


def training_curves(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a PNG of a run: loss, validation accuracy and learning rate over the epochs.

    rows : an epoch each, with any of the keys epoch, train_loss, val_loss, val_accuracy (0..1) and
        learning_rate; a value that is missing or no finite number leaves a gap. No rows, an empty frame
    """
    from matplotlib.figure import Figure

    epochs = [float(i + 1) if math.isnan(epoch) else epoch for i, epoch in enumerate(_column(rows, "epoch"))]
    panels = [
        (
            say("pictures.loss"),
            {
                say("pictures.training"): _column(rows, "train_loss"),
                say("pictures.validation"): _column(rows, "val_loss"),
            },
        ),
        (say("pictures.accuracy"), {"": [100 * value for value in _column(rows, "val_accuracy")]}),
        (say("pictures.learning_rate"), {"": _column(rows, "learning_rate")}),
    ]
    buffer = io.BytesIO()
    with _style():
        figure = Figure(figsize=(10.5, 3.0), layout="constrained", dpi=110)
        for ax, (title, series) in zip(figure.subplots(1, len(panels)), panels, strict=True):
            _panel(ax, epochs, series)
            ax.set_title(title, fontsize=10)
            ax.set_xlabel(say("pictures.epoch"))
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """The values of `key`, NaN where there is no finite number."""
    values = []
    for row in rows:
        value = row.get(key)
        known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        values.append(float(value) if known and value is not None else math.nan)
    return values


def _panel(ax: Axes, epochs: Sequence[float], series: Mapping[str, Sequence[float]]) -> None:
    """Draw the series, label -> values, on a logarithmic axis where they span more than a decade."""
    from matplotlib.ticker import MaxNLocator

    seen = [value for values in series.values() for value in values if math.isfinite(value)]
    if not seen:
        ax.text(0.5, 0.5, say("pictures.no_values"), ha="center", va="center", transform=ax.transAxes)
        return
    marker = "o" if len(epochs) < 40 else ""
    for (label, values), color in zip(series.items(), ("#1f5fa8", "#c4541a"), strict=False):
        ax.plot(epochs, values, label=label, color=color, marker=marker, markersize=3)
    if len(series) > 1:
        ax.legend(frameon=False)
        if min(seen) > 0 and max(seen) > 20 * min(seen):
            ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def label(ax: Axes, name: str, place: float, *, row: int) -> None:
    """Write a name at the top of the line at `place` of the x axis, `row` lines further down."""
    ax.annotate(
        name, (place, 1), xycoords=("data", "axes fraction"), xytext=(2, -9 - 10 * row),
        textcoords="offset points", fontsize=8, color=_MARK,
    )  # fmt: skip


# What the pictures of the modules beside this one are drawn with.
LINE, INK, MARK = _LINE, _INK, _MARK
style, inline, axes_of, number_axis, unit_of, band, peaks = _style, _inline, _axes, _number_axis, _unit, _band, _peaks
draw = _draw
