"""Which speeds may a shaft have of which nobody said how fast it turns? Candidates, ranked, each with its evidence.

For each speed of a range the evidence of its comb is taken as where a nominal speed is known (`shaft`): in the spectrum
of the signal and in the summed spectra of its envelopes, of combs of 12, 5 and 3 lines, and added. A comb at half or
twice the rate has every second of its lines, and the two witnesses rarely err to the same side: that tells most
multiples from the shaft. Where the bearing is known, the evidence in the envelopes for its lines (BPFO, BPFI, 2 BSF) at
a speed is added to that of the speed. A comb at exactly 50 or 60 Hz is taken for the mains: the speed of a synchronous
machine of two poles has to be stated.

The SHARE of a candidate is its part in sum exp(0.2 E), "none of these" having E = 15: a probability as far as the two
numbers were fitted, by maximum likelihood, on CWRU drive-end recordings and on simulated scenes; docs/witness.md has
how often it was right. It is an offer to a person, never a speed to go by without one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, RecordError
from faultdx.signals.demodulation import demodulation_bands, modulations
from faultdx.signals.kinematics import Orders
from faultdx.signals.shaft import envelope_lines
from faultdx.signals.speed import Lines, lines_of

Array = npt.NDArray[np.float64]

RANGE_RPM = (300.0, 6000.0)
HARMONICS = 12
MAINS_HZ = (50.0, 60.0)
_COMBS = (12, 5, 3)
_SLIP = 0.018
_SLIPS = 37
_WHOLE = 0.03  # an order as near to a whole number as that is the shaft's, too
_ENVELOPE_HZ = 700.0  # an envelope's lines are looked for up to there
_STEEPNESS, _NONE = 0.2, 15.0
_CONSIDERED, _LEAST = 10, 2.0  # candidates that are weighed, and the evidence that one takes
_APART = 0.01  # share by which two candidates differ
_MAINS_NEAR = 0.0007  # share by which the mains' own comb may be off them
_MAINS_BINS = 0.6  # ... and at least that: so far off three of its lines are still hit
_MOST_SAMPLES = 1 << 20
_FEWEST = 2048
_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Candidate:
    """A speed that the spectrum may show.

    rpm : turns a minute; share : 0..1, see above
    signal, envelope, bearing : evidence, minus the logarithm of a bound on such a comb by chance, in the spectrum, in
        the spectra of the envelopes, and for the bearing's lines at this speed (0 where no bearing is known)
    harmonics : of the first 12, how many stand 10 dB or more above the local median of the spectrum
    """

    rpm: float
    share: float
    signal: float
    envelope: float
    bearing: float
    harmonics: int

    @property
    def evidence(self) -> float:
        """All of it."""
        return self.signal + self.envelope + self.bearing


@dataclass(frozen=True)
class Estimate:
    """What the spectrum says of a speed that nobody stated.

    candidates : the likeliest first; none where nothing was found, or nothing could be searched
    range_rpm : what was searched
    """

    candidates: tuple[Candidate, ...]
    range_rpm: tuple[float, float]

    @property
    def certainty(self) -> float:
        """The share of the first candidate; 0 without one."""
        return self.candidates[0].share if self.candidates else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, for the evidence of a diagnosis: `estimated` is the first candidate's speed."""
        return {
            "stated": False,
            "estimated": float(f"{self.candidates[0].rpm:.6g}") if self.candidates else None,
            "certainty": round(self.certainty, 3),
            "range_rpm": list(self.range_rpm),
            "candidates": [
                {
                    "rpm": float(f"{c.rpm:.6g}"),
                    "share": round(c.share, 3),
                    "of_the_first": float(f"{c.rpm / self.candidates[0].rpm:.4g}"),
                    "harmonics": c.harmonics,
                    "evidence": {
                        "signal": round(c.signal, 1),
                        "envelope": round(c.envelope, 1),
                        "bearing": round(c.bearing, 1),
                    },
                }
                for c in self.candidates
            ],
        }


def speed_candidates(
    signal: npt.ArrayLike,
    *,
    sampling_rate_hz: float,
    range_rpm: tuple[float, float] = RANGE_RPM,
    bearing: Orders | None = None,
    most: int = 4,
) -> Estimate:
    """Return at most `most` speeds that `signal`, shape (samples,), may have been recorded at, the likeliest first.

    range_rpm : lowest and highest; bearing : on this shaft, where it is known
    Of a record of more than 1 048 576 samples the first so many are used; of less than 2048 nothing is said.

    Raises ConfigError for an impossible range, RecordError for a signal that is no channel of finite numbers.
    """
    low, high = range_rpm
    if not 0 < low < high < math.inf:
        raise ConfigError(f"cannot look for speeds from {low} to {high} rpm: give a lower and a higher one above 0")
    x = np.asarray(signal)[:_MOST_SAMPLES]
    if x.ndim != 1 or x.dtype.kind not in "fiub":
        raise RecordError(f"the signal has shape {x.shape} and type {x.dtype}; give one channel of real numbers")
    nothing = Estimate((), (float(low), float(high)))
    if x.size < _FEWEST or float(x.min()) == float(x.max()):
        return nothing
    of_signal = lines_of(
        x,
        sampling_rate_hz=sampling_rate_hz,
        up_to_hz=min((HARMONICS + 0.5) * high / 60.0, sampling_rate_hz / 2),
    )
    of_envelopes = _envelopes(x, sampling_rate_hz)
    if of_signal.score.size < 3:
        return nothing
    top_hz = (of_signal.score.size - 1) * of_signal.bin_hz
    grid = np.arange(low / 60.0, min(high / 60.0, top_hz / 2.0), of_signal.bin_hz / HARMONICS)
    if not grid.size:
        return nothing
    parts = [_evidence(lines, grid, _COMBS) for lines in (of_signal, of_envelopes)]
    for hz in MAINS_HZ:
        theirs = np.abs(grid - hz) <= max(_MAINS_NEAR * hz, _MAINS_BINS * of_signal.bin_hz)
        for row in parts:
            row[theirs] = 0.0
    found = []
    for place in _peaks(grid, parts[0] + parts[1]):
        rate, own = float(grid[place]), [float(part[place]) for part in parts]
        ridden = 0.0 if bearing is None else _of_bearing(of_envelopes, rate, bearing)
        found.append((own[0] + own[1] + ridden, rate, own, ridden))
    found.sort(key=lambda row: -row[0])
    shares = _shares([row[0] for row in found])
    candidates = []
    for (_, rate, own, ridden), share in zip(found[:most], shares, strict=False):
        measured = of_signal.search(rate - 2 * of_signal.bin_hz / HARMONICS, rate + 2 * of_signal.bin_hz / HARMONICS)
        near = math.isfinite(measured.rpm) and abs(measured.rpm / 60.0 / rate - 1.0) < _APART / 2
        rpm = measured.rpm if near and own[0] >= own[1] else 60.0 * rate
        candidates.append(Candidate(rpm, share, own[0], own[1], ridden, measured.harmonics))
    return Estimate(tuple(candidates), (float(low), float(high)))


def _envelopes(signal: npt.NDArray[np.generic], sampling_rate_hz: float) -> Lines:
    up_to_hz = min(_ENVELOPE_HZ, sampling_rate_hz / 8.0)
    found = modulations(
        signal, sampling_rate_hz=sampling_rate_hz, bands=demodulation_bands(sampling_rate_hz), up_to_hz=up_to_hz
    )
    return envelope_lines(found, up_to_hz=up_to_hz)


def _evidence(lines: Lines, rates: Array, combs: Sequence[int], *, skip: int = 0) -> Array:
    """Return the evidence for each of `rates`, Hz, shape (rates,): the best of combs of so many lines.

    skip : leave out the lines that this divides; 0: none
    """
    top = lines.score.size - 1
    if top < 2:
        return np.zeros(rates.size)
    out = np.zeros(rates.size)
    for start in range(0, rates.size, _AT_ONCE):
        some = rates[start : start + _AT_ONCE]
        total, used, best = np.zeros(some.size), np.zeros(some.size, np.int64), np.zeros(some.size)
        for k in range(1, max(combs) + 1):
            if not (skip and k % skip == 0):
                bins = np.rint(k / lines.bin_hz * some).astype(np.int64)
                inside = bins <= top
                total += np.where(inside, lines.score[np.minimum(bins, top)], 0.0)
                used += inside
            if k in combs and used.any():
                np.maximum(best, lines.exponent(total, used) - math.log(len(combs)), out=best)
        out[start : start + _AT_ONCE] = best
    return out


def _of_bearing(lines: Lines, rate_hz: float, bearing: Orders) -> float:
    """Return the evidence for the lines of a race or an element at this speed, the most of the three."""
    slips = 1.0 + np.linspace(-_SLIP, _SLIP, _SLIPS)
    orders = [q for q in (bearing.bpfo, bearing.bpfi, 2.0 * bearing.bsf) if abs(q - round(q)) >= _WHOLE]
    found = [float(_evidence(lines, rate_hz * q * slips, _COMBS).max()) for q in orders]
    return max(max(found, default=0.0) - math.log(_SLIPS), 0.0)


def _peaks(grid: Array, total: Array) -> list[int]:
    """Return the places of the highest evidence, no two within 1 % of each other."""
    left = np.where(total >= _LEAST, total, -np.inf)
    out: list[int] = []
    while len(out) < _CONSIDERED:
        best = int(left.argmax())
        if not math.isfinite(left[best]):
            break
        out.append(best)
        left[np.abs(grid / grid[best] - 1.0) <= _APART] = -np.inf
    return out


def _shares(evidence: Sequence[float]) -> list[float]:
    """Return the share of each, one of "none of these" left over; numbers as in the head of this module."""
    weights = np.exp(_STEEPNESS * (np.array([*evidence, _NONE]) - max([*evidence, _NONE])))
    return [float(w) for w in weights[:-1] / weights.sum()]
