"""Where in a spectrum may a comb be found at all? A quick look at many rates, before `speed` searches a few well.

A bound, as in branch and bound (Land and Doig, "An automatic method of solving discrete programming problems",
Econometrica 28(3), 1960): neighbouring rates share their lines' neighbourhoods, and where the highest lines in these
make no comb, no rate among them does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from faultdx.signals.speed import CEILING_DB, HARMONICS, SLOWEST_HZ, TILTED, TILTS, Lines

Array = npt.NDArray[np.float64]

_ORDERS = np.arange(1, HARMONICS + 1)
_TOGETHER = 6  # rates that are looked at as one
# so many bins hold any line of theirs, by harmonic: k * 5 / 12 bins further on, and one more for rounding
_WINDOW = np.ceil(_ORDERS * (_TOGETHER - 1) / HARMONICS).astype(np.intp) + 2


def promising(lines: Lines, bands: Sequence[tuple[float, float]], *, top_order: float, certain: float) -> list[bool]:
    """Return of each band, (low_hz, high_hz), whether `search` may find a comb in it that is as certain as that.

    As `lines.up_to(top_order * high_hz).search(low_hz, high_hz, searches=len(bands), certain=certain)` would for
    each band, of `HARMONICS` lines, in one go: most spectra have a comb in none of them. Where the highest lines
    anywhere near those of `_TOGETHER` rates make no comb, none of these rates is looked at.
    """
    orders, step = _ORDERS, lines.bin_hz / HARMONICS
    ends = [lines.end(top_order * high) for _, high in bands]
    spans = [lines.span(low, high, HARMONICS, end - 1) for (low, high), end in zip(bands, ends, strict=True)]
    found = [count > 0 for _, count in spans]
    whole = [
        i
        for i, (low, count) in enumerate(spans)
        if count and round(HARMONICS * (low + step * (count - 1)) / lines.bin_hz) < ends[i]
    ]
    if not whole:
        return found
    low, count = (np.array(column) for column in zip(*(spans[i] for i in whole), strict=True))
    cells = -(-count // _TOGETHER)
    starts = np.cumsum(cells) - cells
    first = np.repeat(low, cells) + _TOGETHER * step * (np.arange(cells.sum()) - np.repeat(starts, cells))
    place = np.multiply.outer(orders / lines.bin_hz, first).astype(np.intp)
    place += (_WINDOW - _WINDOW[0])[:, None] * lines.score.size
    most = _highest(lines).take(place).sum(axis=0) + 1e-3  # dB, for the rounding of float32
    log_mgf = _log_mgf_up_to(lines, [ends[i] for i in whole])
    tries = np.log(len(bands) * count)
    enough = -math.log1p(-certain * (1 - 1e-9)) if certain < 1 else math.inf  # rounding must hide nothing
    bound = (TILTS * np.maximum.reduceat(most, starts)[:, None] - HARMONICS * log_mgf).max(axis=1)
    for j, i in enumerate(whole):
        found[i] = bool(bound[j] - tries[j] >= enough)
        if not found[i]:
            continue
        near = most[starts[j] : starts[j] + cells[j]]
        near = np.flatnonzero((TILTS * near[:, None] - HARMONICS * log_mgf[j]).max(axis=1) - tries[j] >= enough)
        rates = (_TOGETHER * near[:, None] + np.arange(_TOGETHER)).ravel()
        place = np.multiply.outer(orders / lines.bin_hz, low[j] + step * rates[rates < count[j]])
        best = lines.score[np.rint(place, out=place).astype(np.intp)].sum(axis=0).max()
        found[i] = bool((TILTS * best - HARMONICS * log_mgf[j]).max() - tries[j] >= enough)
    return found


def _highest(lines: Lines) -> npt.NDArray[np.float32]:
    """Return the highest score in the `_WINDOW` bins from each bin on, a row for each size of it, one after the
    other: shape (sizes * bins,)."""
    sizes, size = int(_WINDOW[-1] - _WINDOW[0]) + 1, lines.score.size
    rows = np.empty((sizes, size), np.float32)
    last = lines.score.astype(np.float32)
    for window in range(2, int(_WINDOW[-1]) + 1):
        out = rows[max(window - int(_WINDOW[0]), 0)]
        out[-1] = last[-1]
        np.maximum(last[:-1], last[1:], out=out[:-1])
        last = out if window >= _WINDOW[0] else out.copy()
    return rows.ravel()


def _log_mgf_up_to(lines: Lines, ends: Sequence[int]) -> Array:
    """Return the logarithm of the moment generating function of the scores below each bin of `ends`, as `Lines.log_mgf`
    is of all, shape (ends, tilts)."""
    begin, heights = int(SLOWEST_HZ / lines.bin_hz), int(CEILING_DB) + 1
    cuts = np.array(sorted(set(ends)))
    piece = np.repeat(np.arange(cuts.size) * heights, np.diff(cuts, prepend=begin))
    piece += lines.steps[begin : cuts[-1]]
    counts = np.bincount(piece, minlength=cuts.size * heights).reshape(cuts.size, heights).cumsum(axis=0)
    share = counts[np.searchsorted(cuts, ends)] / (np.array(ends) - begin)[:, None]
    return np.asarray(np.log(share @ TILTED))
