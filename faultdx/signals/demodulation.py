"""Squared envelopes of several bands at once: where a resonance rings, the fault modulates it.

A fault's blows ring the resonances of the structure, and nobody knows beforehand which. So the signal is demodulated
in octave bands half an octave apart, as far down as an octave still holds the wanted modulation, and once more over
all of them after whitening. Whitening here is cepstral pre-whitening, X / |X|: it takes away every tone and every
resonance and leaves the timing of the blows (Borghesani, Pennacchi, Randall, Sawalhi & Ricci, "Application of
cepstrum pre-whitening for the diagnosis of bearing faults under variable speed conditions", MSSP 36(2), 2013).

Of the squared envelope |x_a(t)|^2 (Ho & Randall, MSSP 14(5), 2000) only its slow part is wanted. Divided by its mean
it is the modulation m(t) = 1 + sum_k d_k cos(2 pi f_k t + p_k): d_k is the MODULATION DEPTH of the line at f_k, no
unit, the same whatever the gain of the sensor. A train of narrow blows has depth 2 in each harmonic; noise of
bandwidth B seen for T seconds has about 1.8 / sqrt(B T) (root mean square 2 / sqrt(B T)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import RecordError
from faultdx.signals.order import quantile
from faultdx.signals.speed import good_length

Array = npt.NDArray[np.float32]

BANDS = 8
_OVERSAMPLING = 4.0  # of the slow part of an envelope: linear interpolation then errs by 2 % at the highest line
_GUARD = 1e-12
# A stray blow, a hundred times as high as the rest, has lines at all orders. What stands above 4 times the 95 %
# quantile is cut: 12 times the mean of Gaussian noise, which it hardly ever reaches, and more where blows are many.
_CAP, _CAP_QUANTILE = 4.0, 0.95
_SPARSE = 4  # every fourth sample is enough for that quantile


@dataclass(frozen=True)
class Band:
    """A demodulation band, Hz; `whitened`: after cepstral pre-whitening."""

    low_hz: float
    high_hz: float
    whitened: bool = False

    def __str__(self) -> str:
        return f"{self.low_hz:.0f}-{self.high_hz:.0f} Hz{', whitened' if self.whitened else ''}"


@dataclass(frozen=True, eq=False)
class Modulations:
    """Slow parts of squared envelopes over their means.

    bands : one for each row; rate_hz : samples a second of a row
    depth : float32, shape (bands, samples), mean 1; up_to_hz : what is faster than that is not in it
    """

    bands: tuple[Band, ...]
    rate_hz: float
    depth: Array
    up_to_hz: float


def demodulation_bands(sampling_rate_hz: float, *, widest_hz: float = 0.0, count: int = BANDS) -> tuple[Band, ...]:
    """Return `count` octaves, half an octave apart, from the Nyquist frequency down, and the whitened whole of them.

    widest_hz : the highest modulation that is looked for; an octave narrower than that cannot carry it and is left
        out, but for the topmost one
    """
    top = sampling_rate_hz / 2.0
    octaves = [Band(top * 2.0 ** (-k / 2.0 - 1.0), top * 2.0 ** (-k / 2.0)) for k in range(count)]
    octaves = [b for i, b in enumerate(octaves) if i == 0 or b.high_hz - b.low_hz >= widest_hz]
    return (*octaves, Band(octaves[-1].low_hz, top, whitened=True))


def _longer(n: int) -> int:
    """Return the smallest even product of 2, 3 and 5 that is n or more."""
    best, five = 1 << max(n - 1, 1).bit_length(), 1
    while five < best:
        three = five
        while three < best:
            twos = 2 * three
            while twos < n:
                twos *= 2
            best, three = min(best, twos), three * 3
        five *= 5
    return best


def scaled(signal: npt.ArrayLike, *, sampling_rate_hz: float, fewest: int) -> npt.NDArray[np.float64]:
    """Return one channel as float64 about its mean, at most 2 high, cut to a length that an FFT is fast at.

    Raises RecordError for a signal that is no channel of `fewest` finite numbers, or an impossible rate.
    """
    x = np.asarray(signal)
    if x.ndim != 1 or x.dtype.kind not in "fiub" or x.size < fewest:
        raise RecordError(f"the signal has shape {x.shape} and type {x.dtype}; give one channel of real numbers")
    if not (math.isfinite(sampling_rate_hz) and sampling_rate_hz > 0):
        raise RecordError(f"a sampling rate of {sampling_rate_hz} Hz is impossible; declare the real one")
    y = x[: good_length(x.size)].astype(np.float64)
    scale = float(np.abs(y).max())
    if not math.isfinite(scale):
        raise RecordError("the signal holds values that are not finite; repair the recording or leave it out")
    y /= scale or 1.0
    y -= y.mean()
    return y


def modulations(
    signal: npt.ArrayLike, *, sampling_rate_hz: float, bands: tuple[Band, ...], up_to_hz: float
) -> Modulations:
    """Return the modulation of `signal`, shape (samples,), in each band, with no line above `up_to_hz`.

    The positive frequencies of a band, moved down to 0 Hz, are its analytic signal at a low rate: |.|^2 does not see
    the shift. The rate is that of the band plus up_to_hz, so that nothing folds onto the lines that are kept. The
    signal is cut at the largest length with no prime factor but 2, 3 and 5.

    Raises RecordError for a signal that is no channel of finite numbers, or has no power in a band.
    """
    y = scaled(signal, sampling_rate_hz=sampling_rate_hz, fewest=16)
    n = y.size
    spectrum = np.fft.rfft(y.astype(np.float32))
    resolution = sampling_rate_hz / n
    kept = max(int(up_to_hz / resolution), 2)
    samples = _longer(int(_OVERSAMPLING * kept) + 2)
    slow = np.zeros((len(bands), samples // 2 + 1), dtype=np.complex64)
    for i, band in enumerate(bands):
        first, last = int(band.low_hz / resolution) + 1, min(int(band.high_hz / resolution), spectrum.size - 2)
        part = spectrum[first : last + 1]
        if part.size < 8:
            raise RecordError(f"too short for a demodulation band of {band}: {n} samples; record for longer")
        if band.whitened:
            part = part / np.maximum(np.abs(part), np.float32(_GUARD))
        analytic = np.fft.ifft(part, _longer(part.size + kept + 1))
        squared = analytic.real**2 + analytic.imag**2
        cap = _CAP * float(quantile(squared[::_SPARSE], _CAP_QUANTILE))
        if cap > 0:
            np.minimum(squared, np.float32(cap), out=squared)
        mean = float(squared.mean(dtype=np.float64))
        if mean <= 0.0:
            raise RecordError(f"no signal in the band of {band}; is the channel dead?")
        lines = np.fft.rfft(squared)[: kept + 1]
        slow[i, : lines.size] = lines * np.float32(samples / (squared.size * mean))
    depth = np.fft.irfft(slow, samples, axis=1).astype(np.float32, copy=False)
    return Modulations(bands, sampling_rate_hz * samples / n, depth, up_to_hz)
