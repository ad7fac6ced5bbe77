"""How loud a signal is, band by band: what a machine's own healthy recordings are compared by.

The bands are octaves up to 355 Hz and thirds of octaves above, with exact midbands 1000 * 2^k and 1000 * 2^(k/3) Hz
(the base-two system of IEC 61260-1): the same bands at every sampling rate, so that recordings of different rates
share those that both have. Thirds of octaves because a resonance that begins to ring is narrower than an octave, and
not further down because there a third holds less than one line of the shaft: a speed that drifts by a few percent
then moves a line from one band to the next, which looks like a change of 13 dB and is none (docs/baseline.md has the
measurement). Bands end at the sampling rate / 2.56, where anti-aliasing filters begin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import RecordError
from faultdx.signals.spectra import rms_of

Floats = npt.NDArray[np.float64]

LOWEST_HZ = 1000 * 2.0**-5.5  # 22.1 Hz, the lower edge of the octave about 31.25 Hz
SPLIT_HZ = 1000 * 2.0**-1.5  # 353.6 Hz: octaves below, thirds of octaves above
ALIASING = 2.56
_BLOCK_S, _WINDOW_S = 0.25, 1.0
_FEWEST_BLOCKS = 4
_FLOOR_DB = 120.0  # below the loudest band: what is quieter is rounding
_BATCH = 1 << 20  # samples transformed at once


@dataclass(frozen=True, eq=False)
class BandLevels:
    """The levels of one channel.

    edges_hz : shape (bands, 2); level_db : shape (bands,), 10 lg of the mean square in the band, dB about 1 unit
    spread_db : shape (bands,), standard deviation of the level from window to window within the recording
    rms_db : of the whole channel about its mean, dB about 1 unit
    kurtosis, crest_db : medians over windows of about a second, so that one knock does not count; kurtosis 3 for
        Gaussian noise, crest_db 20 lg(peak / RMS); NaN where every window is flat
    windows : how many there are
    """

    edges_hz: Floats
    level_db: Floats
    spread_db: Floats
    rms_db: float
    kurtosis: float
    crest_db: float
    windows: int


def band_edges(sampling_rate_hz: float) -> Floats:
    """Return the limits of the bands that a sampling rate carries whole, Hz, shape (bands, 2), from low to high.

    Raises RecordError for a rate that carries none.
    """
    top = sampling_rate_hz / ALIASING if math.isfinite(sampling_rate_hz) else 0.0
    edges = []
    for octave in range(-5, -1):  # midbands 31.25 to 250 Hz
        edges.append((1000 * 2.0 ** (octave - 0.5), 1000 * 2.0 ** (octave + 0.5)))
    k = -9  # edges of thirds are odd sixths of octaves
    while 1000 * 2.0 ** ((k + 2) / 6) <= top:
        edges.append((1000 * 2.0 ** (k / 6), 1000 * 2.0 ** ((k + 2) / 6)))
        k += 2
    kept = [edge for edge in edges if edge[1] <= top]
    if not kept:
        raise RecordError(f"a sampling rate of {sampling_rate_hz:g} Hz carries no whole band above {LOWEST_HZ:.0f} Hz")
    return np.array(kept)


def band_levels(signal: npt.ArrayLike, *, sampling_rate_hz: float) -> BandLevels:
    """Return the levels of one channel, shape (samples,), in each band.

    Averaged power of Hann blocks of 0.25 s that overlap by half (Welch 1967), summed over the band's lines, so that a
    sine of amplitude A has the level 10 lg(A^2 / 2) in its band. The spread is that between windows of a second, a
    quarter of a recording that is shorter than four.

    Raises RecordError: no channel of finite numbers, shorter than four half blocks (0.63 s), no signal.
    """
    x = np.asarray(signal)
    if x.ndim != 1 or x.dtype.kind not in "fiu":
        raise RecordError(f"the signal has shape {x.shape} and type {x.dtype}; give one channel of real numbers")
    edges = band_edges(sampling_rate_hz)
    block = max(round(_BLOCK_S * sampling_rate_hz), 8)
    hop = block // 2
    count = (x.size - block) // hop + 1
    if count < _FEWEST_BLOCKS:
        shortest = (block + (_FEWEST_BLOCKS - 1) * hop) / sampling_rate_hz
        raise RecordError(
            f"{x.size / sampling_rate_hz:.3g} s are too short for band levels: record {shortest:.3g} s or more"
        )
    scale = float(np.abs(x).max())
    if not math.isfinite(scale):
        raise RecordError("the signal holds values that are not finite; repair the recording or leave it out")
    if scale == 0:
        raise RecordError("the signal is zero throughout; is the channel dead?")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(block) / block)
    per_line = 2.0 / (block * float((window**2).sum()))
    lines_hz = np.arange(block // 2 + 1) * (sampling_rate_hz / block)
    at = np.searchsorted(lines_hz, edges)  # lines from the lower edge on, the upper edge's own is the next band's
    power = np.empty((count, len(edges)))
    blocks = np.lib.stride_tricks.sliding_window_view(x, block)[::hop][:count]
    step = max(_BATCH // block, 1)
    for first in range(0, count, step):
        part = blocks[first : first + step].astype(np.float64) / scale
        part -= part.mean(axis=1, keepdims=True)
        spectrum = np.fft.rfft(part * window, axis=1)
        total = np.cumsum(spectrum.real**2 + spectrum.imag**2, axis=1)
        power[first : first + step] = (total[:, at[:, 1] - 1] - total[:, at[:, 0] - 1]) * per_line
    mean = power.mean(axis=0)
    loudest = float(mean.max())
    if loudest <= 0:
        raise RecordError("the signal is constant; is the channel dead?")
    floor = loudest * 10 ** (-_FLOOR_DB / 10)
    unit_db = 20 * math.log10(scale)
    groups = np.array_split(power, max(4, round(count * hop / sampling_rate_hz / _WINDOW_S)))
    by_window = 10 * np.log10(np.maximum([group.mean(axis=0) for group in groups], floor))
    kurtosis, crest_db = _shape(x, windows=len(groups), scale=scale)
    return BandLevels(
        edges,
        10 * np.log10(np.maximum(mean, floor)) + unit_db,
        by_window.std(axis=0, ddof=1),
        20 * math.log10(rms_of(x)),
        kurtosis,
        crest_db,
        len(groups),
    )


def _shape(x: npt.NDArray[np.generic], *, windows: int, scale: float) -> tuple[float, float]:
    """Return the median over the windows of kurtosis and of the crest factor, dB."""
    found = []
    for part in np.array_split(x, windows):
        y = part.astype(np.float64) / scale
        y -= y.mean()
        square = y * y
        variance = float(square.mean())
        if variance > 1e-24:
            found.append(
                (float((square * square).mean()) / variance**2, 10 * math.log10(float(square.max()) / variance))
            )
    if not found:
        return math.nan, math.nan
    kurtosis, crest_db = np.median(np.array(found), axis=0)
    return float(kurtosis), float(crest_db)


def total_db(level_db: npt.ArrayLike) -> float:
    """Return the level of several bands together, dB: 10 lg of the sum of 10^(L / 10)."""
    levels = np.asarray(level_db, dtype=np.float64)
    top = float(levels.max())
    return top + 10 * math.log10(float((10 ** ((levels - top) / 10)).sum()))
