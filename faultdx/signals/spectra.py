"""What a vibration signal is made of: level, amplitude spectrum, envelope, and the envelope's spectrum.

Amplitudes are peak amplitudes in the unit of the signal: a sine `A sin(2 pi f t)` whose frequency falls on
a bin reads `A` in that bin, whatever the window.

The functions take one channel, shape `(samples,)`, and compute in float64 (`level` in the samples' own type).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, RecordError
from faultdx.signals import moments

Float64Array = npt.NDArray[np.float64]

# Coefficients a_k of w[n] = sum_k (-1)^k a_k cos(2 pi k n / N), the periodic form. Harris, "On the use of
# windows for harmonic analysis with the discrete Fourier transform", Proc. IEEE 66(1), 1978; the flat top is
# that of D'Antona & Ferrero, "Digital signal processing for measurement systems", 2006.
_WINDOWS: dict[str, tuple[float, ...]] = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
_PIECE = 1 << 13  # samples worked on at a time: in the cache
_BATCH_SAMPLES = 1 << 20  # blocks are transformed in batches of about 8 MB, so that an hour of signal fits in memory


@dataclass(frozen=True)
class Level:
    """The size of a signal about its mean.

    rms, peak : in the unit of the signal; peak is the largest distance from the mean
    crest_factor : peak / rms, no unit; sqrt(2) for a sine. NaN where the signal is flat
    kurtosis : fourth moment over squared variance, no unit; 1.5 for a sine, 3 for Gaussian noise. NaN where
        the signal is flat
    """

    rms: float
    peak: float
    crest_factor: float
    kurtosis: float


def _real_channel(x: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `x` as it is, shape (samples,); RecordError for what holds no real numbers."""
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise RecordError(f"the signal holds {array.dtype} values, not real numbers; give a real signal")
    if array.ndim != 1 or array.size == 0:
        raise RecordError(f"the signal has shape {array.shape}, not (samples,); give one channel with samples")
    return array


def _not_finite() -> RecordError:
    return RecordError("the signal holds values that are not finite; repair the recording or leave it out")


def _channel(x: npt.ArrayLike) -> Float64Array:
    """Return `x` as float64, shape (samples,); RecordError for what has no spectrum."""
    signal = _real_channel(x).astype(np.float64)
    if not np.isfinite(signal).all():
        raise _not_finite()
    return signal


def rms_of(signal: npt.ArrayLike) -> float:
    """Return the RMS about the mean of each channel, (samples,) or (channels, samples), pooled over the channels."""
    return float(np.sqrt(np.mean(np.var(np.asarray(signal, dtype=np.float64), axis=-1))))


def _check_rate(sampling_rate_hz: float) -> None:
    if not (math.isfinite(sampling_rate_hz) and sampling_rate_hz > 0):
        raise RecordError(f"a sampling rate of {sampling_rate_hz} Hz is impossible; declare the real one")


def window_samples(name: str, n: int) -> Float64Array:
    """Return the window `name` ("boxcar", "hann", "hamming", "blackman", "flattop"), periodic, shape (n,).

    Raises ConfigError for an unknown name.
    """
    if name not in _WINDOWS:
        raise ConfigError(f"unknown window {name!r}; choose one of {', '.join(sorted(_WINDOWS))}")
    if n == 1:
        return np.ones(1)
    phase = 2 * np.pi * np.arange(n) / n
    window = np.zeros(n)
    for k, a in enumerate(_WINDOWS[name]):
        window += (-1) ** k * a * np.cos(k * phase)
    return window


def _bins_hz(n: int, sampling_rate_hz: float) -> Float64Array:
    return np.arange(n // 2 + 1, dtype=np.float64) * float(sampling_rate_hz / n)


def _one_sided(n: int) -> Float64Array:
    """Factors that fold the negative frequencies onto the bins of rfft: 2, but 1 at 0 Hz and at Nyquist."""
    factors = np.full(n // 2 + 1, 2.0)
    factors[0] = 1.0
    if n % 2 == 0:
        factors[-1] = 1.0
    return factors


def amplitude_spectrum(
    x: npt.ArrayLike, *, sampling_rate_hz: float, window: str = "hann"
) -> tuple[Float64Array, Float64Array]:
    """Return `(frequency_hz, amplitude)`, each of shape (samples // 2 + 1,), of the whole signal.

    x : shape (samples,). Its mean is kept: subtract it first where it is not wanted
    amplitude : |rfft(w x)| / sum(w), doubled where a bin stands for two frequencies, in the unit of x
        (Heinzel, Ruediger & Schilling, "Spectrum and spectral density estimation by the DFT", 2002)

    Raises RecordError for an empty, complex or non-finite signal or an impossible rate, ConfigError for an
    unknown window.
    """
    signal = _channel(x)
    _check_rate(sampling_rate_hz)
    n = signal.size
    w = window_samples(window, n)
    amplitude: Float64Array = np.abs(np.fft.rfft(signal * w)) / w.sum() * _one_sided(n)
    return _bins_hz(n, sampling_rate_hz), amplitude


def averaged_spectrum(
    x: npt.ArrayLike,
    *,
    sampling_rate_hz: float,
    resolution_hz: float,
    window: str = "hann",
    overlap: float = 0.5,
) -> tuple[Float64Array, Float64Array]:
    """Return `(frequency_hz, amplitude)` averaged over overlapping blocks, shape (block // 2 + 1,) each.

    The average is that of the power (Welch, "The use of fast Fourier transform for the estimation of power
    spectra", IEEE Trans. Audio Electroacoust. 15(2), 1967); its root is returned, as a peak amplitude in the
    unit of x.

    x : shape (samples,); the mean is kept
    resolution_hz : distance of the bins wished for; a block is round(rate / resolution) samples, or the whole
        signal where that is shorter
    overlap : share of a block that the next one repeats, 0 <= overlap < 1

    Raises RecordError as `amplitude_spectrum` does, ConfigError for an impossible resolution, overlap or
    window.
    """
    signal = _channel(x)
    _check_rate(sampling_rate_hz)
    if not (math.isfinite(resolution_hz) and resolution_hz > 0):
        raise ConfigError(f"a resolution of {resolution_hz} Hz is impossible; give a positive number")
    if not 0 <= overlap < 1:
        raise ConfigError(f"an overlap of {overlap} is impossible; give a share from 0 to below 1")
    block = int(min(max(round(min(sampling_rate_hz / resolution_hz, 2.0**53)), 2), signal.size))
    hop = max(block - round(block * overlap), 1)
    w = window_samples(window, block)
    blocks = np.lib.stride_tricks.sliding_window_view(signal, block)[::hop]
    power = np.zeros(block // 2 + 1)
    batch = max(_BATCH_SAMPLES // block, 1)
    for first in range(0, len(blocks), batch):
        power += (np.abs(np.fft.rfft(blocks[first : first + batch] * w, axis=-1)) ** 2).sum(axis=0)
    amplitude: Float64Array = np.sqrt(power / len(blocks)) / w.sum() * _one_sided(block)
    return _bins_hz(block, sampling_rate_hz), amplitude


def _analytic(signal: Float64Array, weights: Float64Array) -> npt.NDArray[np.complex128]:
    """Analytic signal of the bins that `weights`, shape (samples // 2 + 1,), lets through.

    Marple, "Computing the discrete-time analytic signal via FFT", IEEE Trans. Signal Process. 47(9), 1999.
    """
    n = signal.size
    spectrum = np.zeros(n, dtype=np.complex128)
    spectrum[: n // 2 + 1] = np.fft.rfft(signal) * _one_sided(n) * weights
    return np.fft.ifft(spectrum)


def envelope(x: npt.ArrayLike) -> Float64Array:
    """Return the envelope of x, the modulus of its analytic signal, shape (samples,), in the unit of x.

    Raises RecordError for an empty, complex or non-finite signal.
    """
    signal = _channel(x)
    return np.abs(_analytic(signal, np.ones(signal.size // 2 + 1)))


def squared_envelope_spectrum(
    x: npt.ArrayLike,
    *,
    sampling_rate_hz: float,
    band: tuple[float, float] | None = None,
    window: str = "hann",
) -> tuple[Float64Array, Float64Array]:
    """Return `(frequency_hz, amplitude)` of the squared envelope of x, shape (samples // 2 + 1,) each.

    The squared, not the plain, envelope: squaring a band-limited signal makes only sums and differences of
    its frequencies, where the root would spread them (Ho & Randall, "Optimisation of bearing diagnostic
    techniques using simulated and actual bearing fault signals", MSSP 14(5), 2000; Randall & Antoni, "Rolling
    element bearing diagnostics: a tutorial", MSSP 25(2), 2011). The mean of the squared envelope is removed.
    A carrier of amplitude A, modulated by 1 + m cos(2 pi f t), reads 2 m A^2 at f and m^2 A^2 / 2 at 2 f; the
    unit is that of x, squared.

    x : shape (samples,)
    band : (low, high) in Hz, the demodulation band; None takes all but 0 Hz

    Raises RecordError as `amplitude_spectrum` does, ConfigError for an impossible band or window.
    """
    signal = _channel(x)
    _check_rate(sampling_rate_hz)
    frequency_hz = _bins_hz(signal.size, sampling_rate_hz)
    inside = frequency_hz > 0
    if band is not None:
        low, high = band
        if not 0 <= low < high <= sampling_rate_hz / 2:
            raise ConfigError(
                f"no band from {low} to {high} Hz at {sampling_rate_hz} Hz; keep 0 <= low < high <= rate / 2"
            )
        inside &= (frequency_hz >= low) & (frequency_hz <= high)
    analytic = _analytic(signal, inside.astype(np.float64))
    squared = analytic.real**2 + analytic.imag**2
    return amplitude_spectrum(squared - squared.mean(), sampling_rate_hz=sampling_rate_hz, window=window)


def level(x: npt.ArrayLike) -> Level:
    """Return the `Level` of x, shape (samples,), about its mean.

    Kurtosis is the plain one, neither bias-corrected nor excess. Raises RecordError for an empty, complex or
    non-finite signal.
    """
    signal = _real_channel(x)
    low, high = float(signal.min()), float(signal.max())
    if not (math.isfinite(low) and math.isfinite(high)):  # a NaN is the minimum and the maximum of what it is in
        raise _not_finite()
    scale = max(high, -low)
    if scale == 0:
        return Level(0.0, 0.0, math.nan, math.nan)
    is_short = signal.dtype == np.float32
    smallest, largest = (1e-7, 1e7) if is_short else (1e-60, 1e60)
    if not smallest < scale < largest:  # or a fourth power leaves the range of the type
        signal, low, high = signal / scale, low / scale, high / scale
    else:
        scale = 1.0
    mean, second, fourth = moments.central(signal) if is_short else _central(signal)
    rms, peak = math.sqrt(max(second, 0.0)), max(high - mean, mean - low)
    if peak <= 1e-13 * max(high, -low):  # what is left of a constant is rounding
        return Level(0.0, 0.0, math.nan, math.nan)
    return Level(rms * scale, peak * scale, peak / rms, fourth / rms**4)


def _central(signal: npt.NDArray[Any]) -> tuple[float, float, float]:
    """Return the mean, and the second and fourth moments about it, in float64."""
    mean = float(signal.mean(dtype=np.float64))
    second = fourth = 0.0
    for at in range(0, signal.size, _PIECE):
        y = signal[at : at + _PIECE].astype(np.float64)
        y -= mean
        second += float(np.dot(y, y))
        y *= y
        fourth += float(np.dot(y, y))
    return mean, second / signal.size, fourth / signal.size
