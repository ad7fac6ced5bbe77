"""One channel, looked at from end to end: every symptom of `symptoms` and the comb of `speed`, as numbers.

Records of more than `MOST_SAMPLES` are measured in stretches, so that an hour of signal needs no more memory than a
minute: counts and energies are added up, the worst stretch speaks for the spectrum, and any stretch may vouch for the
speed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from faultdx.signals import moments, symptoms
from faultdx.signals.order import quantile
from faultdx.signals.sieve import promising
from faultdx.signals.speed import NOTHING, Lines, Speed, good_length, hann_power

Float32Array = npt.NDArray[np.float32]
Power = npt.NDArray[np.floating]

MOST_SAMPLES = 1 << 19
ENOUGH_VALUES = 64  # different values; nobody asks for more
DROPOUT_S, WEAK = 0.01, 0.03  # a dropout: a block below this share of the median block's RMS
STEADY_S = 0.25
_FEWEST_IN_BLOCK = 32  # samples, or the RMS of a block means little
_COARSEST_HZ = 1.0  # bins further apart than this cannot tell the mains from its neighbours
SLOW_HZ = 5.0
MEASURED_SPEED, NOMINAL_SPEED = 0.01, 0.03  # how far a stated speed may be off; a round hundred lacks the slip
_FEWEST_FOR_VALUES = 256  # a shorter record may well hold few values
_MOST_RATIO = 1e6
_CERTAIN = 0.95  # of a comb, to be believed
_SURE = 0.99  # of a comb that contradicts one
_WIDEST = 5.0  # times the stated speed, or a fifth of it: 48 kHz taken for 12 kHz is within
_BANDS = 8  # of the search on either side of the stated speed, each weighed against its own surroundings
_TOP_ORDER = 12.5
_AS_STRONG_DB = 4.5
_EMPTY_DB, _BELOW_DB = 8.0, 6.0  # a line that is not there, and how far it is below the others
_NOTHING_DB = 12.0
_ONE_LINE_DB = 15.0  # of a single line, at the stated speed
_LINES_DB = 12.0  # mean of a comb most of whose lines are there
_BEARING = 2.2  # times the shaft's rate; below that no rolling bearing's fault has its comb
_PLAIN, _PLAIN_DB = 12.0, 19.0  # evidence and level of a comb at the stated speed that needs no comparison
_FAR_MORE, _MORE = 1.3, 2.5  # evidence(elsewhere) > 1.3 evidence(stated) + 2.5, to overrule it
_MAINS_DRIFT = 6e-4  # relative, of the mains frequency


@dataclass(frozen=True)
class Seen:
    """What one check saw: its value, when (s; NaN where that means nothing), and one more number worth saying."""

    value: float
    at_s: float = math.nan
    more: float = math.nan


UNSEEN = Seen(math.nan)


def speed_tolerance(rpm: float) -> float:
    """Return how far the spectrum may be from a stated speed: more from a set point such as 1500 than from 1497."""
    return NOMINAL_SPEED if rpm % 100 == 0 else MEASURED_SPEED


@dataclass
class _Sums:
    """What is added up over the stretches of a channel."""

    seen: dict[str, Seen] = field(default_factory=dict)
    values: int = 0
    energy: float = 0.0
    slow: float = 0.0
    extremes: int = 0
    spikes: int = 0
    copied: int = 0
    short: list[Float32Array] = field(default_factory=list)
    long: list[Float32Array] = field(default_factory=list)

    def keep(self, name: str, seen: Seen, *, smallest: bool = False) -> None:
        """Keep the worse of what was seen; the first where they are alike."""
        old = self.seen.get(name, UNSEEN).value
        if math.isnan(old) or (seen.value < old if smallest else seen.value > old):
            self.seen[name] = seen


def examine(
    x: Float32Array, *, sampling_rate_hz: float, rpm: float | None, mains_hz: Sequence[float]
) -> dict[str, Seen]:
    """Return what was seen of channel x, shape (samples,), by the name of the check; what is missing was not seen.

    Values that are not finite, and a constant, leave nothing else to be seen.
    """
    n, rate = x.size, sampling_rate_hz
    seen: dict[str, Seen] = {}
    if rpm is not None:
        seen["few_turns"] = Seen(n / rate * rpm / 60.0)
    low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = np.flatnonzero(~np.isfinite(x))
        return seen | {"not_finite": Seen(float(bad.size), float(bad[0]) / rate, float(np.isnan(x[bad]).sum()))}
    seen["not_finite"] = Seen(0.0)
    if low == high:
        return seen | {"flat": Seen(1.0), "stuck": Seen(n / rate, 0.0)}
    exponent = math.frexp(max(-low, high))[1]
    if abs(exponent) > 40:  # or squares would leave the range of float32; a power of two changes nothing else
        x = np.ldexp(x, -exponent)
        low, high = math.ldexp(low, -exponent), math.ldexp(high, -exponent)
    mean = moments.mean(x)
    sums = _Sums(seen)
    for part in _parts(n):
        _look(x[part], mean, (low, high), part.start / rate, sums, sampling_rate_hz=rate, rpm=rpm, mains_hz=mains_hz)
    if min(n, MOST_SAMPLES) >= 4 * _slow_block(rate, rpm):
        seen["ski_slope"] = Seen(sums.slow / sums.energy if sums.energy > 0 else 0.0)
    return _summed(sums, n, rate, mean)


def _block(seconds: float, rate: float) -> int:
    return max(round(seconds * rate), _FEWEST_IN_BLOCK)


def _slow_block(rate: float, rpm: float | None) -> int:
    slow_hz = SLOW_HZ if rpm is None else min(SLOW_HZ, rpm / 120.0)  # the shaft's own line is no drift
    return max(round(rate / (2 * slow_hz)), 2)


def _parts(n: int) -> Iterator[slice]:
    count = -(-n // MOST_SAMPLES)
    for i in range(count):
        yield slice(i * n // count, (i + 1) * n // count)


def _look(
    x: Float32Array,
    mean: float,
    extremes: tuple[float, float],
    start_s: float,
    sums: _Sums,
    *,
    sampling_rate_hz: float,
    rpm: float | None,
    mains_hz: Sequence[float],
) -> None:
    """Measure one stretch that begins `start_s` after the record does, and add it to `sums`."""
    rate = sampling_rate_hz
    y = x - np.float32(mean)
    sums.energy += float(np.dot(y, y))
    sums.values = max(sums.values, symptoms.distinct_values(x, ENOUGH_VALUES))
    run, first = symptoms.longest_run(x)
    sums.keep("stuck", Seen(run / rate if run > 1 else 0.0, start_s + first / rate, run))
    count, first = symptoms.at_extremes(x, *extremes)
    if count and not sums.extremes:
        sums.seen["clipped"] = Seen(0.0, start_s + first / rate)
    sums.extremes += count
    sums.short.append(symptoms.block_rms(y, _block(DROPOUT_S, rate)))
    sums.long.append(symptoms.block_rms(y, _block(STEADY_S, rate)))
    sums.slow += symptoms.slow_energy(y, _slow_block(rate, rpm))
    sigma = symptoms.robust_sigma(y)
    count, first, height = symptoms.spikes(y, sigma)
    if count and not sums.spikes:
        sums.seen["spikes"] = Seen(0.0, start_s + first / rate, height)
    sums.spikes += count
    samples, later, earlier = symptoms.copied(y, sigma)
    if samples and not sums.copied:
        sums.seen["repeated"] = Seen(0.0, start_s + later / rate, start_s + earlier / rate)
    sums.copied += samples
    _look_at_spectrum(y, sums, sampling_rate_hz=rate, rpm=rpm, mains_hz=mains_hz)


def _look_at_spectrum(
    y: Float32Array, sums: _Sums, *, sampling_rate_hz: float, rpm: float | None, mains_hz: Sequence[float]
) -> None:
    n = good_length(y.size)
    power = hann_power(np.fft.rfft(y[:n]))
    bin_hz = sampling_rate_hz / n
    shape, total = symptoms.shape_of(power), float(power.sum(dtype=np.float64))
    sums.keep("bandwidth", Seen(shape.top_db), smallest=True)
    sums.keep("noise", Seen(shape.flatness))
    for hz in mains_hz:
        # a motor that turns at nearly that rate has a line there of its own
        if bin_hz <= _COARSEST_HZ and (rpm is None or abs(rpm / 60.0 - hz) > 0.04 * hz):
            sums.keep("mains", Seen(symptoms.mains_share(power, bin_hz, hz, total=total), more=hz))
    if rpm is not None:
        speed = stated_speed(power, bin_hz, rpm, mains_hz=mains_hz)
        sums.keep("speed", speed, smallest=True)


def _summed(sums: _Sums, n: int, rate: float, mean: float) -> dict[str, Seen]:
    seen, sigma = sums.seen, math.sqrt(sums.energy / n)
    if n >= _FEWEST_FOR_VALUES:
        seen["flat"] = Seen(float(sums.values))
    # the two extremes of a signal that is not clipped are a sample each
    seen["clipped"] = Seen(max(sums.extremes - 2, 0) / n, seen.get("clipped", UNSEEN).at_s)
    if sigma > 0:
        seen["offset"] = Seen(abs(mean) / sigma)
    for name, count in (("spikes", float(sums.spikes)), ("repeated", sums.copied / n)):
        old = seen.get(name, UNSEEN)
        seen[name] = Seen(count, old.at_s, old.more)
    short, long = np.concatenate(sums.short), np.concatenate(sums.long)
    if short.size >= 4:
        median, loud = (float(quantile(short, q)) for q in (0.5, 0.9))
        usual = median if median > WEAK * loud else loud  # more than half of it may be gone
        weak = short < WEAK * usual
        seen["dropout"] = Seen(float(weak.mean()), float(np.argmax(weak)) * _block(DROPOUT_S, rate) / rate)
    if long.size >= 4:
        low, high = float(long.min()), float(long.max())
        ratio = min(high / low, _MOST_RATIO) if low > 0 else _MOST_RATIO
        loudest, quietest = (float(at) * _block(STEADY_S, rate) / rate for at in (np.argmax(long), np.argmin(long)))
        seen["unsteady"] = Seen(ratio, loudest, quietest)
    return seen


def stated_speed(power: Power, bin_hz: float, rpm: float, *, mains_hz: Sequence[float] = ()) -> Seen:
    """Return the relative error of a stated speed, with the speed that the spectrum shows as `more`.

    power : of a Hann window, shape (bins,), bin_hz apart; mains_hz : whose multiples are no shaft

    NaN where no comb is certain, neither at the stated speed nor at any from a fifth to five times of it.
    """
    hz, tolerance = rpm / 60.0, speed_tolerance(rpm)
    lines = Lines(power, bin_hz, up_to_hz=_TOP_ORDER * hz * (1 + tolerance))
    near = lines.search(hz * (1 - tolerance), hz * (1 + tolerance))
    if near.evidence < _PLAIN or near.level_db < _PLAIN_DB:
        other = _elsewhere(power, bin_hz, hz, tolerance, near, mains_hz)
        if other is not None:
            other = _slowest(power, bin_hz, other)
            return Seen(abs(other.rpm / rpm - 1.0), more=other.rpm)
    if near.certainty < _CERTAIN:
        return UNSEEN
    factor = _factor(lines, near)
    return Seen(abs(factor * near.rpm / rpm - 1.0), more=factor * near.rpm)


def _factor(lines: Lines, near: Speed) -> float:
    """Return by how much the shaft turns faster than the comb at the stated speed says: 1, or 2, 3, 1/2, 1/3, 1/4.

    A sampling rate taken for twice what it was leaves every second line of the stated comb empty; one taken for half
    of it puts lines between them that are as high. (Looseness puts lines at halves, too, but lower ones.)
    """
    rate = near.rpm / 60.0
    for factor in (2, 3):
        if lines.level(rate, skip=factor) < min(_EMPTY_DB, near.level_db - _BELOW_DB):
            return factor
    for part, harmonics in ((2, 16), (3, 18), (4, 16)):
        if lines.level(rate / part, harmonics=harmonics, skip=part) > near.level_db - _AS_STRONG_DB:
            between = lines.search(rate / part * 0.999, rate / part * 1.001, harmonics=harmonics, skip=part)
            if between.certainty >= _SURE and between.level_db > _LINES_DB:
                return 1 / part
    return 1.0


def _elsewhere(
    power: Power, bin_hz: float, hz: float, tolerance: float, near: Speed, mains_hz: Sequence[float]
) -> Speed | None:
    """Return the comb from a fifth of `hz` to five times of it that overrules `near`, the one at `hz`.

    A bearing fault, too, has a comb, from some 2.4 times the shaft's rate on, with the shaft's lines beside it: up
    there a comb counts only where there is next to nothing at the stated speed.
    """
    best: dict[bool, Speed] = {False: NOTHING, True: NOTHING}
    lines = Lines(power, bin_hz, up_to_hz=_TOP_ORDER * hz * _WIDEST)
    in_hz = [(hz * low, hz * high) for low, high in _bands(tolerance)]
    for (low, high), worth in zip(in_hz, promising(lines, in_hz, top_order=_TOP_ORDER, certain=_SURE), strict=True):
        if not worth:
            continue
        found = lines.up_to(_TOP_ORDER * high).search(low, high, searches=2 * _BANDS, certain=_SURE)
        fast = found.rpm > _BEARING * hz * 60.0
        if found.certainty >= _SURE and found.evidence > best[fast].evidence:
            multiples = [found.rpm / 60.0 / mains for mains in mains_hz]
            if all(abs(m - round(m)) > _MAINS_DRIFT * m for m in multiples):
                best[fast] = found
    if best[False].evidence > _FAR_MORE * near.evidence + _MORE:
        return best[False]
    if best[True].evidence > _MORE and near.level_db < _NOTHING_DB and near.certainty < _CERTAIN:
        # a shaft may show one line alone, that of its unbalance
        own = Lines(power, bin_hz, up_to_hz=2 * hz).search(hz * (1 - tolerance), hz * (1 + tolerance), harmonics=1)
        return best[True] if own.level_db < _ONE_LINE_DB else None
    return None


@lru_cache(maxsize=4)
def _bands(tolerance: float) -> tuple[tuple[float, float], ...]:
    """Return the bands of `_elsewhere`, in stated speeds."""
    edges = np.geomspace(1 + tolerance, _WIDEST, _BANDS + 1).tolist()
    return (*itertools.pairwise(edges), *((1 / high, 1 / low) for low, high in itertools.pairwise(edges)))


def _slowest(power: Power, bin_hz: float, found: Speed) -> Speed:
    """Return the comb of which `found` has every second or third line, where there is one: that is the shaft's."""
    for part in (2, 3):
        rate = found.rpm / 60.0 / part
        lines = Lines(power, bin_hz, up_to_hz=_TOP_ORDER * rate)
        between = lines.search(rate * 0.999, rate * 1.001, skip=part)
        if between.certainty >= _CERTAIN:
            return between
    return found
