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

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError

KINDS = ("gaussian", "pink", "laplacian")


def draw_noise(shape: tuple[int, ...], *, kind: str, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return zero-mean noise of unit mean square along the last axis.

    Parameters
    ----------
    shape : (..., samples), at least 2 samples
    kind : "gaussian" | "pink" | "laplacian"
    rng : the generator that everything random comes from

    Raises ConfigError for an unknown kind.
    """
    samples = shape[-1]
    if kind == "gaussian":
        noise = rng.standard_normal(shape)
    elif kind == "laplacian":
        noise = rng.laplace(size=shape)
    elif kind == "pink":
        # white noise shaped by 1/sqrt(f) in amplitude, so 1/f in power, from the first bin of the segment to Nyquist
        spectrum = np.fft.rfft(rng.standard_normal(shape), axis=-1)
        spectrum *= pink_gain(samples)
        noise = np.fft.irfft(spectrum, n=samples, axis=-1)
    else:
        raise ConfigError(f"noise kind {kind!r} is unknown; the kinds are {', '.join(KINDS)}")
    noise = noise - noise.mean(axis=-1, keepdims=True)
    power = np.mean(np.square(noise), axis=-1, keepdims=True)
    return np.asarray(noise / np.sqrt(np.maximum(power, np.finfo(np.float64).tiny)))


def pink_gain(samples: int) -> npt.NDArray[np.float64]:
    """Return the amplitude gain of each rfft bin that turns white noise pink: 1/sqrt(k), and 0 for the offset."""
    gain = np.zeros(samples // 2 + 1)
    gain[1:] = 1.0 / np.sqrt(np.arange(1, samples // 2 + 1))
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
    clean = np.asarray(x, dtype=np.float64)
    if not np.isfinite(snr_db):
        raise ConfigError(f"SNR {snr_db!r} is not a finite number of dB")
    noise = draw_noise(clean.shape, kind=kind, rng=rng)
    power = np.var(clean, axis=-1, keepdims=True)
    return np.asarray(clean + noise * np.sqrt(power * 10.0 ** (-snr_db / 10.0)), dtype=np.float32)


def segment_rng(seed: int, record: str, start: int, kind: str, snr_db: float) -> np.random.Generator:
    """Return the generator of one segment's noise: the same whatever the order of the work or the number of workers.

    `record` names the recording by its content (a digest), so that renaming a file changes nothing.
    """
    key = f"{seed}/{record}/{start}/{kind}/{float(snr_db)!r}".encode()
    return np.random.default_rng(np.frombuffer(hashlib.sha256(key).digest(), dtype=np.uint32))
