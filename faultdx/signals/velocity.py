"""Vibration velocity from acceleration: what the limits of ISO 20816 are about.

Velocity is the integral of acceleration: in the spectrum each line is divided by 2 pi i f (Brandt & Brincker,
"Integrating time signals in frequency domain - comparison with time domain integration", Measurement 58, 2014). Near
0 Hz that division blows the drift of sensor and converter up beyond everything, so the band is cut first, here
10-1000 Hz as the standards ask, with flanks half a bin wide.

The power of a band is summed over its bins under a Hann window and divided by the window's own power (Heinzel,
Ruediger & Schilling, "Spectrum and spectral density estimation by the DFT", 2002): without the window the jump from the
record's last sample to its first puts power of the lowest frequencies at its ends, and 1/f multiplies it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import RecordError
from faultdx.signals.spectra import Float64Array, amplitude_spectrum

STANDARD_G = 9.80665  # m/s2, CGPM 1901
BAND_HZ = (10.0, 1000.0)
FEWEST_PERIODS = 10.0  # of the lowest frequency: a record of 1 s for 10 Hz
_NYQUIST_SHARE = 0.45  # of the sampling rate: above it lies the anti-aliasing filter
_HANN_POWER = 1.5  # equivalent noise bandwidth, bins

# To m/s2 and to mm/s; what a unit is called, in small letters and without spaces.
_ACCELERATION = {
    **dict.fromkeys(("g", "gn", "g's", "gs", "g_n"), STANDARD_G),
    **dict.fromkeys(("mg",), STANDARD_G / 1000.0),
    **dict.fromkeys(("m/s2", "m/s^2", "m/s²", "m/s**2", "m/s/s", "ms-2", "m·s-2", "m*s-2", "m.s-2"), 1.0),
    **dict.fromkeys(("mm/s2", "mm/s^2", "mm/s²", "mm/s**2", "mm/s/s"), 1e-3),
}
_VELOCITY = {
    **dict.fromkeys(("mm/s", "mm.s-1", "mm·s-1", "mms-1", "mm/sec"), 1.0),
    **dict.fromkeys(("m/s", "m/sec"), 1000.0),
    **dict.fromkeys(("um/s", "µm/s", "μm/s"), 1e-3),
    **dict.fromkeys(("in/s", "ips", "inch/s", "in/sec"), 25.4),
}


@dataclass(frozen=True)
class Quantity:
    """What a unit measures: kind "acceleration" (factor: to m/s2) or "velocity" (factor: to mm/s)."""

    kind: str
    factor: float


def quantity_of(unit: str | None) -> Quantity | None:
    """Return what `unit` measures, None where it is no unit of acceleration or velocity, or not declared.

    "g", "m/s2", "mm/s^2", "mm/s", "in/s" and their usual spellings; RMS, peak and the like are not units.
    """
    plain = "".join((unit or "").split()).lower()
    if plain in _ACCELERATION:
        return Quantity("acceleration", _ACCELERATION[plain])
    return Quantity("velocity", _VELOCITY[plain]) if plain in _VELOCITY else None


@dataclass(frozen=True)
class Velocity:
    """The velocity of one channel in a band.

    rms : mm/s, of `low_hz` to `high_hz`; top_hz : how far up the record reaches
    whole : whether the record holds the whole band; where not, rms is that of low_hz to top_hz, and too low
    """

    rms: float
    low_hz: float
    high_hz: float
    top_hz: float

    @property
    def whole(self) -> bool:
        """Whether the record holds the whole band."""
        return self.top_hz >= self.high_hz


def velocity_rms(
    signal: npt.ArrayLike, *, sampling_rate_hz: float, quantity: Quantity, band_hz: tuple[float, float] = BAND_HZ
) -> Velocity:
    """Return the RMS velocity of `signal`, shape (samples,), in `band_hz`, mm/s.

    v_rms^2 = sum over the bins of the band of |X_k|^2 / (2 (2 pi f_k)^2) / 1.5, X_k the Hann-windowed one-sided
    amplitude spectrum; a bin on an edge of the band counts half. A sine of amplitude A m/s2 at f Hz gives
    1000 A / (2 pi f) / sqrt(2).

    Raises RecordError: a signal or rate that is none, a record shorter than 10 periods of the lowest frequency, or one
    sampled too slowly to hold any of the band.
    """
    low, high = band_hz
    frequency_hz, amplitude = velocity_spectrum(
        signal, sampling_rate_hz=sampling_rate_hz, quantity=quantity, low_hz=low
    )
    top = _NYQUIST_SHARE * sampling_rate_hz
    if top <= low:
        raise RecordError(f"sampled at {sampling_rate_hz:g} Hz, it holds nothing above {low:g} Hz; record faster")
    step = float(frequency_hz[1])
    weight = np.clip((frequency_hz - low) / step + 0.5, 0.0, 1.0)
    weight *= np.clip((min(high, top) - frequency_hz) / step + 0.5, 0.0, 1.0)
    power = float(np.sum(weight * amplitude**2)) / 2.0 / _HANN_POWER
    return Velocity(math.sqrt(power), low, high, top)


def velocity_spectrum(
    signal: npt.ArrayLike, *, sampling_rate_hz: float, quantity: Quantity, low_hz: float = BAND_HZ[0]
) -> tuple[Float64Array, Float64Array]:
    """Return `(frequency_hz, amplitude)`, shape (samples // 2 + 1,) each, of the velocity: peak amplitudes, mm/s.

    Bins two or more below `low_hz` are 0, for what is there is drift. Raises RecordError as `velocity_rms` does.
    """
    x = np.asarray(signal)
    if x.ndim != 1 or x.dtype.kind not in "fiub":
        raise RecordError(f"the signal has shape {x.shape} and type {x.dtype}; give one channel of real numbers")
    if not (math.isfinite(sampling_rate_hz) and sampling_rate_hz > 0):
        raise RecordError(f"a sampling rate of {sampling_rate_hz} Hz is impossible; declare the real one")
    need = FEWEST_PERIODS / low_hz
    if x.size / sampling_rate_hz < need:
        seconds = x.size / sampling_rate_hz
        raise RecordError(f"{seconds:.3g} s are too short for a velocity from {low_hz:g} Hz: record {need:g} s or more")
    y = x.astype(np.float64)
    frequency_hz, amplitude = amplitude_spectrum(y - y.mean(), sampling_rate_hz=sampling_rate_hz)
    used = frequency_hz > low_hz - 2.0 * float(frequency_hz[1])
    factor = np.zeros(frequency_hz.size)
    factor[used] = quantity.factor
    if quantity.kind == "acceleration":
        factor[used] *= 1000.0 / (2.0 * math.pi * frequency_hz[used])
    return frequency_hz, np.asarray(amplitude * factor)
