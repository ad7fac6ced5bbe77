"""Noise of a known kind, added at an exact signal-to-noise ratio.

    gaussian   independent normal samples: a flat spectrum
    pink       power spectral density proportional to 1/f: 10 dB a decade
    laplacian  independent samples of density exp(-|n| / b) / 2b: kurtosis 6

SNR = 10 log10( mean((x - mean(x))**2) / mean(n**2) ) dB over the segment: the power of
the vibration over that of the noise (the ratio of powers of Zhao et al. 2020). An offset
is no vibration: counted as signal, it would drown the rest in noise. The ratio is set on
the noise that was drawn, so that it is exact for every segment and not only on average.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError

KINDS = ("gaussian", "pink", "laplacian")


def draw_noise(shape: tuple[int, ...], *, kind: str, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return zero-mean noise of unit mean square along the last axis, float32.

    The rows are drawn one after the other, so that one generator gives the same noise to a record whether it is
    drawn at once or in blocks.

    Parameters
    ----------
    shape : (..., samples), at least 2 samples
    kind : "gaussian" | "pink" | "laplacian"
    rng : the generator that everything random comes from

    Raises ConfigError for an unknown kind.
    """
    samples, rows = shape[-1], shape[:-1]
    if kind == "gaussian":
        noise = rng.standard_normal(shape, dtype=np.float32)
    elif kind == "laplacian":
        # the difference of two exponential variables is Laplacian; a third of the time of the inverse distribution
        pair = rng.standard_exponential((*rows, 2, samples), dtype=np.float32)
        noise = pair[..., 0, :] - pair[..., 1, :]
    elif kind == "pink":
        # independent normal Fourier coefficients are white noise; 1/sqrt(f) in amplitude is 1/f in power, from the
        # first bin of the segment to Nyquist (Timmer and Koenig 1995, Astron. Astrophys. 300, 707)
        pair = rng.standard_normal((*rows, samples // 2 + 1, 2), dtype=np.float32)
        if samples % 2 == 0:
            pair[..., -1, 0] *= np.sqrt(np.float32(2))  # at Nyquist the real part is all there is
        spectrum = pair.view(np.complex64)[..., 0] * pink_gain(samples)
        noise = np.fft.irfft(spectrum, n=samples, axis=-1).astype(np.float32, copy=False)
    else:
        raise ConfigError(f"noise kind {kind!r} is unknown; the kinds are {', '.join(KINDS)}")
    noise -= noise.mean(axis=-1, keepdims=True)
    power = np.mean(np.square(noise), axis=-1, keepdims=True)
    noise /= np.sqrt(np.maximum(power, np.finfo(np.float32).tiny))
    return np.asarray(noise)


@cache
def pink_gain(samples: int) -> npt.NDArray[np.float32]:
    """Return the amplitude gain of each rfft bin that turns white noise pink: 1/sqrt(k), and 0 for the offset."""
    gain = np.zeros(samples // 2 + 1, np.float32)
    gain[1:] = 1.0 / np.sqrt(np.arange(1, samples // 2 + 1))
    gain.flags.writeable = False  # shared by all callers
    return gain


def add_noise(x: npt.ArrayLike, *, kind: str, snr_db: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return `x` with noise of `kind` added at exactly `snr_db`, for each segment and channel by itself.

    Parameters
    ----------
    x : array, shape (samples,) or (..., samples)
    kind : "gaussian" | "pink" | "laplacian"
    snr_db : signal-to-noise ratio in dB, finite
    rng : numpy Generator

    Returns float32, the shape of `x`. A constant segment stays as it is: no SNR is defined for it.
    Raises ConfigError for an unknown kind or an SNR that is not finite.

    >>> import numpy as np
    >>> clean = np.sin(np.arange(2048) * 0.3)
    >>> noisy = add_noise(clean, kind="pink", snr_db=-4.0, rng=np.random.default_rng(0))
    >>> bool(abs(10 * np.log10(np.mean(clean**2) / np.mean((noisy - clean) ** 2)) + 4.0) < 1e-4)
    True
    """
    clean = np.asarray(x, dtype=np.float32)
    if not np.isfinite(snr_db):
        raise ConfigError(f"SNR {snr_db!r} is not a finite number of dB")
    noise = draw_noise(clean.shape, kind=kind, rng=rng)
    power = np.var(clean, axis=-1, keepdims=True, dtype=np.float64)
    noise *= np.sqrt(power * 10.0 ** (-snr_db / 10.0)).astype(np.float32)
    noise += clean
    return noise


def segment_rng(seed: int, record: str, start: int, kind: str, snr_db: float) -> np.random.Generator:
    """Return the generator of one segment's noise: the same whatever the order of the work or the number of workers.

    `record` names the recording by its content (a digest), so that renaming a file changes nothing.
    """
    key = f"{seed}/{record}/{start}/{kind}/{float(snr_db)!r}".encode()
    return np.random.default_rng(np.frombuffer(hashlib.sha256(key).digest(), dtype=np.uint32))
