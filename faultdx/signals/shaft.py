"""The shaft's speed near a nominal one, from two witnesses: the lines of the signal and those of its envelopes.

A nameplate speed is wrong by the slip of the motor, a few percent, and a bearing's lines are looked for within 2 %:
the speed has to be measured first. The comb search of `signals.speed` is made in the spectrum of the signal and in
the summed spectra of its envelopes (each divided by its median, so that no band outshouts the others), and the
evidence of the two, minus the logarithm of a bound on the chance of such a comb, is added for each speed.

A fault whose order is near a whole number makes a comb too: BPFO = 3.05 gives lines near the 3rd, 6th, 9th harmonic
of a shaft 1.7 % faster. So a speed counts by the least evidence that is left when the harmonics that such a whole
number divides are left out. And a speed that was stated is left for another one only on
a clear gain.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError
from faultdx.signals.demodulation import Modulations
from faultdx.signals.order import quantile
from faultdx.signals.speed import Lines, good_length, hann_power, lines_of

Array = npt.NDArray[np.float64]

SEARCH = 0.12
HARMONICS = 10
_COMBS = (10, 5, 3)  # of so many lines: one shaft shows a dozen multiples, another three
_GAIN = 8.0  # of evidence, for which a stated speed is left: a factor of 3000 in probability
SURE = 4.6  # evidence of a speed that is confirmed: certainty 0.99
_TIE, _EXACT_DB = 0.002, 45.0
_GRID = 20_000
_SAME = 0.003  # two speeds that differ by less are one
_NEAR = 0.01  # a speed that differs by less from the stated one needs no gain: so much a nameplate rounds


@dataclass(frozen=True)
class ShaftSpeed:
    """A shaft speed and how sure it is.

    hz : turns a second; nominal_hz : as stated
    certainty : 0..1, of the comb (see `signals.speed`); evidence : minus the logarithm of the rest
    source : "signal", "envelope", "both", "followed" (from block to block, see
        `tracking`), or "stated" where no comb confirms any speed
    """

    hz: float
    nominal_hz: float
    certainty: float
    evidence: float
    source: str

    @property
    def confirmed(self) -> bool:
        """Whether a comb of shaft lines shows this speed."""
        return self.evidence >= SURE

    @property
    def shift(self) -> float:
        """How far the shaft is from the stated speed, as a share of it."""
        return self.hz / self.nominal_hz - 1.0


def envelope_lines(found: Modulations, *, up_to_hz: float) -> Lines:
    """Return the lines of all envelopes together."""
    n = good_length(found.depth.shape[1])
    total: npt.NDArray[np.floating] = np.zeros(n // 2 + 1)
    for row in found.depth:
        power = hann_power(np.fft.rfft(row[:n] - row[:n].mean()))
        middle = float(quantile(power[1:-1], 0.5))
        if middle > 0:
            total = total + power / middle
    return Lines(total, found.rate_hz / n, up_to_hz=up_to_hz)


def suspects(orders: Iterable[float], *, search: float = SEARCH) -> tuple[int, ...]:
    """Return the whole numbers that lines at `orders` (of faults, say) come near to at some speed of the search."""
    return tuple(
        sorted({m for q in orders for m in (math.floor(q), math.ceil(q)) if m > 1 and abs(q / m - 1) < search + 0.02})
    )


def comb_evidence(lines: Lines, rates: Array, suspected: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the evidence for each of `rates`, Hz, and what decides between equals: how exactly the lines are hit.

    The best of combs of 10, 5 and 3 lines; of each the least that is left without the multiples of a suspect.
    """
    top = lines.score.size - 1
    if top < 2:
        return np.zeros(rates.size), np.zeros(rates.size)
    bins = np.rint(rates[:, None] * np.arange(1, HARMONICS + 1) / lines.bin_hz).astype(np.int64)
    inside = bins <= top
    bins = np.minimum(bins, top)
    seen = np.where(inside, lines.score[bins], 0.0)
    exact = np.where(inside, np.minimum(lines.level_db[bins], _EXACT_DB), 0.0).sum(axis=1)
    best = np.zeros(rates.size)
    for harmonics in _COMBS:
        k = np.arange(1, harmonics + 1)
        least = np.full(rates.size, np.inf)
        for skip in (0, *(m for m in suspected if m <= harmonics)):
            columns = k[k % skip != 0] - 1 if skip else k - 1
            exponent = lines.exponent(seen[:, columns].sum(axis=1), inside[:, columns].sum(axis=1))
            np.minimum(least, exponent, out=least)
        np.maximum(best, least - math.log(len(_COMBS)), out=best)
    return best, exact


def refine_speed(
    signal: npt.ArrayLike,
    found: Modulations,
    *,
    sampling_rate_hz: float,
    nominal_hz: float,
    search: float = SEARCH,
    suspected: tuple[int, ...] = (),
) -> ShaftSpeed:
    """Return the speed of the shaft within `search` (a share) of `nominal_hz`.

    signal : shape (samples,); found : its modulations; suspected : see `suspects`

    Where no speed is certain the stated one is returned, with the certainty that it has. Raises ConfigError for an
    impossible search, RecordError as `lines_of` does.
    """
    if not (0 < search < 0.3 and math.isfinite(nominal_hz) and nominal_hz > 0):
        raise ConfigError(f"cannot search {search} about {nominal_hz} Hz: give a positive speed and a share below 0.3")
    up_to_hz = min((HARMONICS + 0.5) * nominal_hz * (1 + search), sampling_rate_hz / 2)
    both = {
        "signal": lines_of(signal, sampling_rate_hz=sampling_rate_hz, up_to_hz=up_to_hz),
        "envelope": envelope_lines(found, up_to_hz=min(up_to_hz, found.up_to_hz)),
    }
    step = min(lines.bin_hz for lines in both.values()) / HARMONICS
    count = min(max(int(2 * search * nominal_hz / step), 16), _GRID)
    rates = nominal_hz * np.linspace(1 - search, 1 + search, count + 1)
    parts = [comb_evidence(lines, rates, suspected) for lines in both.values()]
    total = np.maximum(parts[0][0], 0.0) + np.maximum(parts[1][0], 0.0)
    ranked = total + _TIE * (parts[0][1] + parts[1][1])
    near = np.abs(rates / nominal_hz - 1) <= _NEAR
    stated, best = int(np.where(near, ranked, -np.inf).argmax()), int(ranked.argmax())
    if not near[best] and total[best] < total[stated] + (_GAIN if total[stated] - trials(_NEAR) >= SURE else 0.0):
        best = stated
    evidence = max(float(total[best]) - trials(_NEAR if best == stated else search), 0.0)
    if evidence < SURE:
        return ShaftSpeed(nominal_hz, nominal_hz, -math.expm1(-evidence), evidence, "stated")
    alone = [float(part[best]) for part, _ in parts]
    source = "both" if min(alone) > 2.0 else ("signal", "envelope")[alone[1] > alone[0]]
    rate = float(rates[best])
    lines = both["envelope" if alone[1] > alone[0] else "signal"]
    measured = lines.search(rate - step, rate + step, harmonics=HARMONICS).rpm / 60.0
    hz = measured if math.isfinite(measured) and abs(measured / rate - 1) < _SAME else rate
    return ShaftSpeed(hz, nominal_hz, -math.expm1(-evidence), evidence, source)


def trials(share: float) -> float:
    """Logarithm of the number of places within `share` where such a comb might have stood."""
    return math.log(max(2 * share / _SAME, 1.0))
