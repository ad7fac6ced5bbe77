"""What can be wrong with a signal, each symptom as one number: measured here, judged in `quality`.

Every function takes one channel, float32, shape (samples,), of at most a few million samples (`quality` cuts longer
ones): `x` as recorded, finite, and `y` its deviation from the mean of the record. Indices count samples from 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.signals.order import quantile

Float32Array = npt.NDArray[np.float32]
Power = npt.NDArray[np.floating]

_PIECE = 1 << 17  # samples worked on at a time: 10 s at 12 kHz in one go, an hour without the memory of an hour
_SAMPLE = 4096  # values that stand for all of them where an estimate will do
_BANDS = 200  # of the whole spectrum, for its shape
_SPIKE_SIGMA, _SPIKE_ALONE = 14.0, 4.0
_SPACINGS = 5  # distances between neighbouring peaks that make a place recognisable
_COPY_BLOCK = 128  # samples; an eighth of a small buffer of a data logger
_COPY_GLANCE = 16  # of them, by which most blocks that are no copy are told
_COPY_RESIDUAL = 0.002  # share of a block's energy by which a copy may differ: noise 27 dB below the signal
_COPY_ROUGH = 0.02  # the same of its first difference, where a strong tone does not hide the rest
_CANDIDATES = 4  # lags that are looked at closely


def _pieces(n: int) -> Iterator[slice]:
    for start in range(0, n, _PIECE):
        yield slice(start, min(start + _PIECE, n))


def _thinned(x: Float32Array) -> Float32Array:
    """Every k-th sample, k odd, so that no more than 2 _SAMPLE are left."""
    return x[:: (x.size // _SAMPLE) | 1]


def distinct_values(x: Float32Array, enough: int) -> int:
    """Return how many different values x has, or any number of them from `enough` on."""
    few = _different(_thinned(x))
    return few if few >= enough else _different(x)


def _different(x: Float32Array) -> int:
    """Count different values; numpy.unique would load numpy.ma, 15 ms of a cold start."""
    ordered = np.sort(x)
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1])) if x.size else 0


def longest_run(x: Float32Array) -> tuple[int, int]:
    """Return the length and the start of the longest run of equal samples; (1, 0) where no two neighbours are equal."""
    here, after = x[:-1], x[1:]
    same = np.concatenate([np.flatnonzero(here[p] == after[p]) + p.start for p in _pieces(x.size - 1)])
    if same.size == 0:
        return 1, 0
    ends = np.flatnonzero(np.diff(same) != 1)
    first, last = np.concatenate(([0], ends + 1)), np.concatenate((ends, [same.size - 1]))
    longest = int(np.argmax(last - first))
    return int(last[longest] - first[longest]) + 2, int(same[first[longest]])


def at_extremes(x: Float32Array, low: float, high: float) -> tuple[int, int]:
    """Return how many samples equal `low` or `high`, the extremes of the record, and the first such sample.

    The extremes of an unclipped signal are met once each, and a few times where its steps are coarse.
    """
    top, bottom = np.float32(high), np.float32(low)
    count, first = 0, 0
    for piece in _pieces(x.size):
        at_end = x[piece] == top
        at_end |= x[piece] == bottom
        found = int(np.count_nonzero(at_end))
        if found and not count:
            first = piece.start + int(np.argmax(at_end))
        count += found
    return count, first


def block_rms(y: Float32Array, block: int) -> Float32Array:
    """Return the RMS about its own mean of each whole block of `block` samples, shape (samples // block,)."""
    count = y.size // block
    if not count:
        return np.empty(0, dtype=np.float32)
    blocks = y[: count * block].reshape(count, block)
    mean = blocks @ np.full(block, 1 / block, dtype=np.float32)
    square = np.einsum("ij,ij->i", blocks, blocks) / np.float32(block)
    rms: Float32Array = np.sqrt(np.maximum(square - mean * mean, 0))
    return rms


def slow_energy(y: Float32Array, block: int) -> float:
    """Return the energy, sum of squares, that is left when each block of `block` samples is replaced by its mean.

    The mean over a block passes what is slower than about half its rate: 0.1 s pass what lies below 5 Hz.
    """
    count = y.size // block
    if not count:
        return 0.0
    mean = y[: count * block].reshape(count, block) @ np.full(block, 1 / block, dtype=np.float32)
    return float(block * np.dot(mean, mean))


def robust_sigma(y: Float32Array) -> float:
    """Return the standard deviation as the median of |y| has it: median / 0.6745 (Hampel, "The influence curve and its
    role in robust estimation", J. Am. Stat. Assoc. 69, 1974), from a thinned signal."""
    some = np.abs(_thinned(y))
    return float(np.partition(some, some.size // 2)[some.size // 2]) / 0.6745


def spikes(y: Float32Array, sigma: float) -> tuple[int, int, float]:
    """Return the number of single-sample spikes, the first one, and the highest in units of `sigma`, the robust one.

    A spike stands 14 sigma out, and 4 times as far as any of the three samples before it and after it. A blow to a
    structure rings: its neighbours within a period of the ringing are as high as itself.
    """
    if sigma <= 0 or y.size < 8:
        return 0, 0, 0.0
    limit = np.float32(_SPIKE_SIGMA * sigma)
    if max(y.max(), -y.min()) <= limit:
        return 0, 0, 0.0
    high = np.concatenate([np.flatnonzero(np.abs(y[p]) > limit) + p.start for p in _pieces(y.size)])
    for step in (1, -1, 2, -2, 3, -3):
        if high.size == 0:
            return 0, 0, 0.0
        neighbour = np.abs(y[np.clip(high + step, 0, y.size - 1)])
        beyond = (high + step < 0) | (high + step >= y.size)
        high = high[(np.abs(y[high]) > _SPIKE_ALONE * neighbour) | beyond]
    if high.size == 0:
        return 0, 0, 0.0
    return int(high.size), int(high[0]), float(np.abs(y[high]).max()) / sigma


@dataclass(frozen=True)
class Shape:
    """The outline of a spectrum.

    flatness : geometric over arithmetic mean of the power in bands; 1 for white noise
    top_db : median power of the bands from 0.40 to 0.47 of the sampling rate over that of all, dB
    """

    flatness: float
    top_db: float


def shape_of(power: Power) -> Shape:
    """Return the `Shape` of a Hann spectrum's power, shape (bins,), without its mean; NaN below 1600 bins."""
    per_band = (power.size - 1) // _BANDS
    if per_band < 8:
        return Shape(math.nan, math.nan)
    bands = power[1 : 1 + per_band * _BANDS].reshape(_BANDS, per_band) @ np.full(per_band, 1 / per_band, power.dtype)
    mean = float(bands.mean())
    if not mean > 0:
        return Shape(math.nan, math.nan)
    db = 10.0 * np.log10(np.maximum(bands / mean, 1e-20))
    # a converter's own filter empties the last bands, whatever was recorded
    flatness = 10.0 ** (float(db[: int(0.9 * _BANDS)].mean()) / 10.0)
    flatness /= float(bands[: int(0.9 * _BANDS)].mean()) / mean
    return Shape(flatness, float(quantile(db[int(0.80 * _BANDS) : int(0.94 * _BANDS)], 0.5)))


def mains_share(power: Power, bin_hz: float, mains_hz: float, *, total: float | None = None) -> float:
    """Return the share of the energy within 0.5 % and 2 bins of `mains_hz` and its multiples up to the fifth.

    total : the sum of `power`, where it is known
    """
    total = float(power.sum(dtype=np.float64)) if total is None else total
    lines = 0.0
    for k in range(1, 6):
        half = 0.005 * k * mains_hz + 2 * bin_hz
        first, last = int((k * mains_hz - half) / bin_hz + 1), int((k * mains_hz + half) / bin_hz)
        lines += float(power[max(first, 1) : last + 1].sum(dtype=np.float64))
    return lines / total if total > 0 else math.nan


def copied(y: Float32Array, sigma: float) -> tuple[int, int, int]:
    """Return how many samples are a copy of others, where the copy starts, and where its original does.

    Places are recognised by the distances between successive peaks, which hardly change under a little noise; pairs of
    places vote for a lag, and the lags with the most votes are verified sample by sample. A rotating machine repeats
    its peaks, too, but never to 27 dB.
    """
    if sigma <= 0 or y.size < 4 * _COPY_BLOCK:
        return 0, 0, 0
    some = _thinned(y)
    rank = int(0.96 * some.size)
    at = _peaks(y, np.partition(some, rank)[rank])
    lags, alike = _likely_lags(at, _SPACINGS)
    if alike > 0.3:  # a machine so regular that it takes a longer stretch to tell one turn from the next
        lags += _likely_lags(at, 4 * _SPACINGS)[0]
    if not lags:
        return 0, 0, 0
    energy = block_rms(y, _COPY_BLOCK)
    return max(_verified(y, energy, lag) for lag in lags)


def _peaks(y: Float32Array, above: np.float32) -> npt.NDArray[np.int64]:
    """Return where y has a local maximum over `above`."""
    found = []
    for p in _pieces(y.size - 2):
        here = y[p.start : p.stop + 2]
        rises = here[1:] > here[:-1]
        peak = rises[:-1] > rises[1:]
        peak &= here[1:-1] > above
        found.append(np.flatnonzero(peak) + (p.start + 1))
    return np.concatenate(found)


def _likely_lags(at: npt.NDArray[np.int64], spacings: int) -> tuple[list[int], float]:
    """Return the lags that most places vote for, and the share of places that look like another.

    at : the peaks; spacings : how many distances between them make a place
    """
    distance = np.diff(at)
    count = distance.size - spacings + 1
    if count < 3:
        return [], 0.0
    key = distance[:count].copy()
    for i in range(1, spacings):
        key *= 1_000_003  # wraps around: a hash
        key += distance[i : i + count]
    order = np.argsort(key)
    again = np.flatnonzero(key[order[1:]] == key[order[:-1]])
    lags, votes = np.unique(np.abs(at[order[again + 1]] - at[order[again]]), return_counts=True)
    best = np.argsort(votes)[::-1][:_CANDIDATES]
    return [int(lags[i]) for i in best if votes[i] >= 3], again.size / count


def _verified(y: Float32Array, energy: Float32Array, lag: int) -> tuple[int, int, int]:
    """Return what `copied` does, for one lag; energy : `block_rms` of y."""
    count = (y.size - lag) // _COPY_BLOCK
    if count < 1 or lag < _COPY_BLOCK:
        return 0, 0, 0
    now, later = (y[at : at + count * _COPY_BLOCK].reshape(count, _COPY_BLOCK) for at in (0, lag))
    energy = energy[:count]
    same = energy > np.float32(0.01) * energy.max()  # silence is like silence, and another check's affair
    # What differs in its first samples by more than the whole block may is no copy: most blocks need no more looks.
    some = later[:, :_COPY_GLANCE] - now[:, :_COPY_GLANCE]
    most = np.float32(math.sqrt(_COPY_RESIDUAL)) * energy
    share = np.float32(1.001 * math.sqrt(_COPY_BLOCK / _COPY_GLANCE))  # a little more, for rounding
    at = np.flatnonzero(same & (block_rms(some.ravel(), _COPY_GLANCE) <= share * most))
    if at.size < 2:
        return 0, 0, 0
    now, change = now[at], later[at] - now[at]
    at = at[
        (block_rms(change.ravel(), _COPY_BLOCK) <= most[at])
        & (_roughness(y, change, at, lag) <= np.float32(math.sqrt(_COPY_ROUGH)) * _roughness(y, now, at, 0))
    ]
    if at.size < 2:
        return 0, 0, 0
    first = int(at[0]) * _COPY_BLOCK
    return int(at.size) * _COPY_BLOCK, first + lag, first


def _roughness(y: Float32Array, blocks: Float32Array, at: npt.NDArray[np.int64], lag: int) -> Float32Array:
    """Return the RMS of the first difference of each of `blocks`, those of y with the numbers `at`, shape (at.size,);
    with a `lag`, of what the blocks that lie so much later differ by."""
    before = np.maximum(at * _COPY_BLOCK - 1, 0)  # the sample before each block
    sample = y[before] if not lag else y[before + lag] - y[before]
    return block_rms(np.diff(blocks, axis=1, prepend=sample[:, None]).ravel(), _COPY_BLOCK)
