"""Condition indicators of a gear, from its time-synchronous average x(n), n = 1 .. S samples of one turn.

Three signals are made of x by leaving orders of the shaft out of its spectrum (exact: a turn is a period):

    residual r     x without the mesh orders k N and the shaft's orders 1 and 2
    difference d   r without the first sidebands k N +- 1, too
    regular        x - d: what every gear has

Definitions after Lebold, McClintic, Campbell, Byington & Maynard, "Review of vibration analysis methods for gearbox
diagnostics and prognostics", Proc. 54th MFPT, 2000, and Vecer, Kreidl & Smid, "Condition indicators for gearbox
condition monitoring systems", Acta Polytechnica 45(6), 2005, who name who was first:

    FM0   peak-to-peak(x) / sum_k A_k, A_k the amplitudes of the mesh harmonics (Stewart 1977): rises with a heavy
          fault of one tooth and with wear
    FM4   S sum (d - mean d)^4 / (sum (d - mean d)^2)^2 (Stewart 1977): the kurtosis of d, 3 for noise: one or two
          teeth that stand out
    M6A   S^2 sum (d - mean d)^6 / (sum (d - mean d)^2)^3, 15 for noise; M8A: S^3, the eighth and fourth power, 105 for
          noise (Martin 1989): the same, more alert to peaks
    NA4   S sum (r - mean r)^4 / (mean over the earlier records and this one of sum (r - mean r)^2)^2 (Zakrajsek,
          Townsend & Decker, NASA TM 105950, 1993): grows with the fault. Without earlier records: the kurtosis of r
    NB4   the same of the envelope of x about one mesh harmonic (Zakrajsek, Handschuh & Decker, Proc. 48th MFPG, 1994)
    ER    rms(d) / rms(regular), the energy ratio (Swansson 1980): rises with wear of many teeth
    SI    mean amplitude of the first sidebands of the strongest mesh harmonic (sideband index, Szczepanik 1989); SLF
          their sum over rms(x), the sideband level factor
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, RecordError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parts:
    """A synchronous average and what it is made of, each of shape (samples a turn,), in the unit of the signal.

    mesh : amplitudes of the mesh harmonics 1, 2, ...; sidebands : amplitudes one order below and above each, shape
    (harmonics, 2)
    """

    average: Array
    residual: Array
    difference: Array
    regular: Array
    mesh: Array
    sidebands: Array


@dataclass(frozen=True)
class Indicators:
    """The condition indicators of one gear; NaN where one means nothing. See the top of this module.

    na4_earlier, nb4_earlier : how many earlier records NA4 and NB4 are normalised by; 0: by this record alone
    residual_power, envelope_power : what a later record's NA4 and NB4 take as `earlier`
    """

    fm0: float
    fm4: float
    m6a: float
    m8a: float
    na4: float
    nb4: float
    energy_ratio: float
    sideband_index: float
    sideband_level_factor: float
    na4_earlier: int = 0
    residual_power: float = math.nan
    envelope_power: float = math.nan


def parts_of(average: npt.ArrayLike, *, teeth: int, up_to_order: float | None = None) -> Parts:
    """Return the parts of a synchronous average, shape (samples a turn,), of a gear with so many teeth.

    up_to_order : above it nothing is taken for a mesh harmonic; None: half the samples of a turn
    Raises RecordError for what is no turn of finite numbers, or has not one mesh harmonic.
    """
    x = np.asarray(average, dtype=np.float64)
    if x.ndim != 1 or not np.isfinite(x).all() or x.size < 8:
        raise RecordError(f"the average has shape {x.shape}: give one turn of 8 finite samples or more")
    if teeth < 5:
        raise ConfigError(f"{teeth} teeth: a gear has 5 or more")
    spectrum = np.fft.rfft(x - x.mean())
    top = min(spectrum.size - 2, math.floor(up_to_order) if up_to_order is not None else spectrum.size)
    harmonics = np.arange(1, top // teeth + 1) * teeth
    harmonics = harmonics[harmonics + 1 <= top]
    if harmonics.size == 0:
        raise RecordError(f"the mesh, order {teeth}, is above the highest order of the record, {top}; record faster")
    residual, difference = spectrum.copy(), spectrum.copy()
    shaft = np.array([1, 2])
    residual[np.concatenate([harmonics, shaft])] = 0.0
    difference[np.concatenate([harmonics, harmonics - 1, harmonics + 1, shaft])] = 0.0
    size = np.abs(spectrum) * (2.0 / x.size)
    d = np.fft.irfft(difference, x.size)
    return Parts(
        average=x - x.mean(),
        residual=np.fft.irfft(residual, x.size),
        difference=d,
        regular=x - x.mean() - d,
        mesh=size[harmonics],
        sidebands=np.stack([size[harmonics - 1], size[harmonics + 1]], axis=1),
    )


def moment(x: Array, order: int) -> float:
    """Return the normalised central moment of even `order`: mean (x - mean)^order / (mean (x - mean)^2)^(order / 2).

    NaN for what is flat but for rounding.
    """
    y = x - x.mean()
    scale = float(np.abs(y).max(initial=0.0))
    if scale <= 1e-12 * max(float(np.abs(x).max(initial=0.0)), 1e-300):
        return math.nan
    y = y / scale
    return float(np.mean(y**order)) / float(np.mean(y**2)) ** (order // 2)


def mesh_envelope(average: Array, *, teeth: int, harmonic: int) -> Array:
    """Return the envelope of `average` about a mesh harmonic, half a tooth's order to either side, shape (samples,).

    |b + i H(b)|, b the average in that band (McFadden, "Detecting fatigue cracks in gears by amplitude and phase
    demodulation of the meshing vibration", Journal of Vibration, Acoustics, Stress, and Reliability in Design 108(2),
    1986).
    """
    spectrum = np.fft.fft(average)
    orders = np.arange(spectrum.size)
    inside = (np.abs(orders - harmonic * teeth) <= teeth // 2) & (orders > 0) & (orders < spectrum.size // 2)
    return np.abs(np.fft.ifft(np.where(inside, 2.0 * spectrum, 0.0)))


def indicators(parts: Parts, *, teeth: int, earlier: Sequence[tuple[float, float]] = ()) -> Indicators:
    """Return the indicators of one gear.

    earlier : (residual_power, envelope_power) of earlier records of this gear at this speed and load, for NA4 and NB4
    """
    strongest = int(parts.mesh.argmax())
    envelope = mesh_envelope(parts.average, teeth=teeth, harmonic=strongest + 1)
    powers = (float(np.var(parts.residual)), float(np.var(envelope)))
    na4, nb4 = (
        _trended(x, [before[i] for before in earlier], own=powers[i]) for i, x in enumerate((parts.residual, envelope))
    )
    mesh, rms = float(parts.mesh.sum()), float(np.sqrt(np.mean(parts.average**2)))
    regular = float(np.sqrt(np.mean(parts.regular**2)))
    sides = parts.sidebands[strongest]
    return Indicators(
        fm0=float(np.ptp(parts.average)) / mesh if mesh > 0 else math.nan,
        fm4=moment(parts.difference, 4),
        m6a=moment(parts.difference, 6),
        m8a=moment(parts.difference, 8),
        na4=na4,
        nb4=nb4,
        energy_ratio=float(np.sqrt(np.mean(parts.difference**2))) / regular if regular > 0 else math.nan,
        sideband_index=float(sides.mean()),
        sideband_level_factor=float(sides.sum()) / rms if rms > 0 else math.nan,
        na4_earlier=len(earlier),
        residual_power=powers[0],
        envelope_power=powers[1],
    )


def _trended(x: Array, earlier: Sequence[float], *, own: float) -> float:
    """Fourth moment over the squared mean power of the earlier records and this one."""
    kurtosis = moment(x, 4)
    if not earlier or math.isnan(kurtosis):
        return kurtosis
    power = (math.fsum(earlier) + own) / (len(earlier) + 1)
    return kurtosis * (own / power) ** 2 if power > 0 else math.nan
