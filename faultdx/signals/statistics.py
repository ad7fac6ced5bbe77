"""What a segment looks like, in two dozen numbers that its level does not change: its shape and its spectrum.

They describe what a network is given, not what it makes of it: `faultdx.familiarity` compares them with those of the
training segments. All are functions of (x - mean) / rms, so that gain, unit and distance of the sensor do not count;
`offset` alone tells of the mean.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# A share of the energy below this counts as this: 40 dB below the whole, a band holds noise of sensor and converter.
FLOOR = 1e-4
_LOW = 4  # the lowest band is cut again: a quarter of it holds drift and mains, the rest the shaft
_MANY = 8  # channels; of more, the mean over the channels is described
_BATCH = 1 << 20  # samples transformed at once


def edges(bands: int) -> Floats:
    """Return the limits of the bands as shares of the Nyquist frequency, shape (bands + 2,): the lowest is two."""
    even = np.arange(bands + 1) / bands
    return np.concatenate([[0.0, even[1] / _LOW], even[1:]])


def names(bands: int, *, channels: int, sampling_rate_hz: float) -> tuple[str, ...]:
    """Return what each column of `describe` is, "share of energy from 300 to 600 Hz" or "kurtosis"."""
    hz = edges(bands) * sampling_rate_hz / 2
    one = [f"share of energy from {low:.4g} to {high:.4g} Hz" for low, high in pairwise(hz)]
    one += ["kurtosis", "crest factor"]
    if channels == 1 or channels > _MANY:
        return tuple(one)
    return tuple(f"{name} in channel {c + 1}" for c in range(channels) for name in one)


def describe(segments: npt.NDArray[np.float32], *, bands: int) -> Floats:
    """Return the statistics of each segment, shape (segments, columns); the columns are those of `names`.

    segments : (segments, channels, samples), 2 * bands samples or more

    The share of the energy in each of `bands` even bands of 0 to half the sampling rate (Hann window), the lowest in
    two parts, as ln(share + FLOOR); ln(kurtosis) (3 for Gaussian noise); ln(crest factor). Of up to 8 channels one
    after the other, of more the mean over them. A constant segment gives what white noise gives in the bands, and 0.
    """
    return describe_with_offsets(segments, bands=bands)[0]


def describe_with_offsets(segments: npt.NDArray[np.float32], *, bands: int) -> tuple[Floats, Floats]:
    """Return what `describe` and `offsets` do, (segments, columns) and (segments,), from one look at the segments."""
    n, channels, samples = segments.shape
    out, offset = np.empty((n, channels, bands + 3)), np.empty((n, channels))
    step = max(1, _BATCH // (channels * samples))
    for at in range(0, n, step):
        _describe(segments[at : at + step], bands, out[at : at + step], offset[at : at + step])
    columns = out.mean(axis=1) if channels > _MANY else out.reshape(n, -1)
    return columns, np.asarray(offset.max(axis=-1))


def _describe(segments: npt.NDArray[np.float32], bands: int, out: Floats, offset: Floats) -> None:
    """Fill `out`, (segments, channels, columns), and `offset`, (segments, channels).

    Every step is a pass over all the samples, which are more than a cache holds: few of them, and in place.
    """
    samples = segments.shape[-1]
    window, starts = _grid(bands, samples)
    first = segments[..., :1]
    x = np.asarray(segments - first, dtype=np.float32)
    mean = x.mean(axis=-1, keepdims=True)
    x -= mean
    scale = np.maximum(x.max(axis=-1, keepdims=True), -x.min(axis=-1, keepdims=True))
    scale = np.where(scale > 0, scale, np.float32(1))
    x /= scale  # so that no fourth power overflows
    square = x * x
    variance, fourth = (np.einsum("...i,...i->...", v, v).astype(np.float64) / samples for v in (x, square))
    flat = variance <= 0
    variance = np.where(flat, 1.0, variance)
    x *= window
    power = np.fft.rfft(x, axis=-1).astype(np.complex64, copy=False).view(np.float32)  # real, imaginary, real, ...
    power *= power
    energy = np.add.reduceat(power, 2 * starts, axis=-1).astype(np.float64)
    total = energy.sum(axis=-1, keepdims=True)
    share = np.where(total > 0, energy / np.where(total > 0, total, 1.0), 1.0 / energy.shape[-1])
    out[..., :-2] = np.log(share + FLOOR)
    out[..., -2] = np.log(np.where(flat, 1.0, fourth / variance**2))
    out[..., -1] = np.log(np.where(flat, 1.0, 1 / np.sqrt(variance)))
    away = np.abs(first.astype(np.float64) + mean)[..., 0]
    offset[...] = np.where(flat, 0.0, away / (np.sqrt(variance) * scale[..., 0]))


@lru_cache(maxsize=8)
def _grid(bands: int, samples: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return the window, shape (samples,), and the first bin of each band, shape (bands + 1,)."""
    bins = samples // 2 + 1
    starts = np.minimum(np.rint(edges(bands)[:-1] * (bins - 1)).astype(np.int64) + 1, bins - 1)  # bin 0 is the offset
    window = np.hanning(samples).astype(np.float32)
    starts = np.maximum.accumulate(starts)
    for shared in (window, starts):
        shared.flags.writeable = False
    return window, starts


def offsets(segments: npt.NDArray[np.float32]) -> Floats:
    """Return how far the mean of each segment is from zero, in its standard deviations, shape (segments,).

    segments : (segments, channels, samples); the worst channel counts. A constant one counts as 0.
    """
    mean = np.abs(segments.mean(axis=-1, dtype=np.float64))
    spread = segments.std(axis=-1, dtype=np.float64)
    ratio: Floats = np.where(spread > 0, mean / np.where(spread > 0, spread, 1.0), 0.0)
    return np.asarray(ratio.max(axis=-1))


def as_shown(name: str, value: float) -> str:
    """Return a value of a column of `describe` in the unit of its name: "12 %" of the energy, or a plain number."""
    plain = float(np.exp(value))
    if name.startswith("share"):
        percent = 100 * (plain - FLOOR)
        return "under 0.01 %" if percent < 0.01 else f"{percent:.2g} %" if percent < 99 else f"{percent:.3g} %"
    return f"{plain:.3g}"
