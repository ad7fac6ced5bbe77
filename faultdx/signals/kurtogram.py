"""Which band is the most impulsive? The kurtogram, over a tree of bands.

Spectral kurtosis of the complex envelope c of a band, K = <|c|^4> / <|c|^2>^2 - 2: 0 for stationary Gaussian noise,
-1 for a tone, above 0 where blows ring. The bands are those of the 1/3-binary tree of Antoni, "Fast computation of the
kurtogram for the detection of transient faults", MSSP 21(1), 2007: the whole halved, cut in three, in four, in six,
and so on. Its filter bank is replaced by cutting the Fourier transform of the whole record, whose bands are exact.

The kurtogram is for the eye, and for the report. The witness does not choose its band by it: a single knock is more
impulsive than any bearing (see docs/witness.md).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, RecordError
from faultdx.signals.demodulation import Band, scaled
from faultdx.signals.speed import good_length

LEVELS = 6
_ENDS = 50  # a fiftieth of an envelope at either end is left out
_EMPTY = 1e-6  # a band with less of the energy than this (-60 dB) holds what the converter's filter let through
_FEWEST = 64  # samples of an envelope: fewer have no kurtosis worth the name


@dataclass(frozen=True)
class Tile:
    """A band and how impulsive it is. level : 1 for halves, 1.6 for thirds, 2 for quarters, ... (log2 of the count)"""

    band: Band
    level: float
    kurtosis: float


def kurtogram(signal: npt.ArrayLike, *, sampling_rate_hz: float, levels: int = LEVELS) -> tuple[Tile, ...]:
    """Return the tiles of `signal`, shape (samples,): 1, 2, 3, 4, 6, 8, ... bands up to 2**levels, lowest first.

    Raises RecordError for a signal that is no channel of finite numbers or is too short, ConfigError for an
    impossible number of levels.
    """
    if not 1 <= levels <= 12:
        raise ConfigError(f"levels is {levels}: give a whole number from 1 to 12")
    y = scaled(signal, sampling_rate_hz=sampling_rate_hz, fewest=2 * _FEWEST)
    spectrum = np.fft.rfft(y)
    top = spectrum.size - 1
    energy = spectrum.real**2 + spectrum.imag**2
    whole = float(energy[1:].sum())
    tiles = []
    for count in sorted({1, *(2**k for k in range(1, levels + 1)), *(3 * 2 ** (k - 1) for k in range(1, levels))}):
        edges = np.rint(np.linspace(1, top, count + 1)).astype(np.int64)
        if (edges[1:] - edges[:-1]).min() < _FEWEST:
            break
        for low, high in itertools.pairwise(edges):
            power = np.abs(np.fft.ifft(spectrum[low:high], good_length(2 * int(high - low)))) ** 2
            cut = -(-power.size // _ENDS)  # a record begins elsewhere than it ends: a step, which rings in every band
            power = power[cut:-cut]
            mean, share = float(power.mean()), float(energy[low:high].sum()) / whole if whole > 0 else 0.0
            kurtosis = float((power**2).mean()) / mean**2 - 2.0 if share > _EMPTY and mean > 0 else math.nan
            step = sampling_rate_hz / y.size
            tiles.append(Tile(Band(float(low * step), float(high * step)), math.log2(count), kurtosis))
    return tuple(tiles)


def most_impulsive(tiles: tuple[Tile, ...]) -> Tile:
    """Return the tile of highest kurtosis. Raises RecordError where none has one (a silent signal)."""
    known = [t for t in tiles if math.isfinite(t.kurtosis)]
    if not known:
        raise RecordError("no band has any power; is the channel dead?")
    return max(known, key=lambda t: t.kurtosis)
