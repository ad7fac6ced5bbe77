"""The kurtogram as a picture: how impulsive each band of a recording is, and the band that the spectrum was taken in.

Tiles of the 1/3-binary tree (`signals.kurtogram`), coarse bands below, fine ones above; the darker, the more
impulsive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from faultdx.diagnosis import Diagnosis
from faultdx.errors import FaultdxError
from faultdx.report import parts
from faultdx.report.curves import _INK, _LINE, _MARK, _inline, _number_axis, _style
from faultdx.report.recording import drawable
from faultdx.report.words import say
from faultdx.signals.demodulation import Band, demodulation_bands
from faultdx.signals.kurtogram import LEVELS, Tile, kurtogram, most_impulsive

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_SAMPLES = 1 << 20  # of a longer recording the first so many are looked at
_FAINT = 0.04  # opacity of the least impulsive tile: a band is there


def section(diagnosis: Diagnosis) -> str:
    """Return the section: which band the envelope was taken in, why, and how impulsive the bands are; "" where the
    signal cannot be drawn."""
    r = diagnosis.record
    if r is None or drawable(r) is not None:
        return ""
    row = 0
    if diagnosis.witness is not None:
        channel = (diagnosis.evidence.get("witness") or {}).get("channel")
        row = list(r.channels).index(channel) if channel in r.channels else 0
    try:
        tiles = _tiles(r.signal[row], float(r.sampling_rate_hz))
        best = most_impulsive(tiles)
    except FaultdxError:  # flat, or too short for any band
        return ""
    band = chosen_band(diagnosis, float(r.sampling_rate_hz))
    said = [say("band.most_impulsive", band=best.band, kurtosis=best.kurtosis)]
    picture = diagnosis.witness.picture if diagnosis.witness is not None else None
    if picture is not None:
        bands = len(demodulation_bands(float(r.sampling_rate_hz)))
        said = [say("band.chosen", band=picture.band, bands=bands), *said, say("band.why_not")]
    else:
        said.append(say("band.whole"))
    svg = drawn(tiles, band=band)
    body = "".join(f"<p>{parts.safe(sentence)}</p>\n" for sentence in said)
    caption = say("band.caption_marked" if band is not None else "band.caption")
    return parts.section(say("band.title"), body + parts.figure(svg, caption))


def chosen_band(diagnosis: Diagnosis, sampling_rate_hz: float) -> Band | None:
    """Return the band of the envelope spectrum that the verdict on the bearing goes by; None without one."""
    picture = diagnosis.witness.picture if diagnosis.witness is not None else None
    if picture is None:
        return None
    return next((band for band in demodulation_bands(sampling_rate_hz) if str(band) == picture.band), None)


def _tiles(signal: npt.NDArray[np.float32], rate_hz: float) -> tuple[Tile, ...]:
    return kurtogram(signal[:_MOST_SAMPLES], sampling_rate_hz=rate_hz, levels=LEVELS - 1)


def drawn(tiles: Sequence[Tile], *, band: Band | None) -> str:
    """Return the tiles as an SVG element; `band` is outlined across all rows."""
    from matplotlib.figure import Figure

    what = say("band.picture")
    known = [tile.kurtosis for tile in tiles if math.isfinite(tile.kurtosis)]
    highest = max([*known, 0.5])  # of noise alone, nothing is dark
    rows = sorted({tile.level for tile in tiles})
    with _style(what):
        figure: Figure = Figure(figsize=(8.0, 2.1))
        ax = figure.subplots()
        figure.subplots_adjust(left=0.095, right=0.97, bottom=0.215, top=0.97)
        for tile in tiles:
            share = min(max(tile.kurtosis, 0.0) / highest, 1.0) if math.isfinite(tile.kurtosis) else 0.0
            width = tile.band.high_hz - tile.band.low_hz
            y = rows.index(tile.level)
            alpha = round(_FAINT + (1 - _FAINT) * share, 2)
            ax.barh(y, width, left=tile.band.low_hz, height=0.9, color=_LINE, alpha=alpha, linewidth=0)
        if band is not None:
            ax.axvline(band.low_hz, color=_MARK, linewidth=1.0, linestyle="--")
            ax.axvline(band.high_hz, color=_MARK, linewidth=1.0, linestyle="--")
        ax.set_xlim(0, max(tile.band.high_hz for tile in tiles))
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.grid(visible=False)
        counts = [f"{2**level:.0f}" for level in rows]
        ax.set_yticks(range(0, len(rows), 2), counts[::2])
        ax.tick_params(axis="y", length=0, labelcolor=_INK)
        _number_axis(ax.xaxis)
        ax.set_xlabel(say("pictures.frequency"))
        ax.set_ylabel(say("band.rows"))
        return _inline(figure, what)
