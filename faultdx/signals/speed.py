"""How fast does the shaft turn? The spectrum's comb of shaft harmonics, found, measured, and weighed against chance.

A shaft leaves lines at its rate and at multiples of it (unbalance, misalignment, looseness, gear mesh). The power of
a Hann-windowed spectrum is divided by its local median (Gaussian noise is then 0 dB everywhere), put in dB and
clipped at 0 and 25 dB, so that no single line, however strong, makes a comb. The score of a speed is the sum over
its first harmonics (harmonic summation: Noll, "Pitch determination of human speech by the harmonic product spectrum,
the harmonic sum spectrum and a maximum likelihood estimate", Proc. Symp. Computer Processing in Communications,
1969).

How likely is such a sum by chance? K scores taken at independent places of this very spectrum, whose scores have the
moment generating function M, add up to S or more with a probability of at most exp(-max_u (u S - K log M(u)))
(Chernoff, "A measure of asymptotic efficiency for tests of a hypothesis based on the sum of observations", Ann. Math.
Stat. 23(4), 1952). Times the number of speeds that were tried, that bounds the chance of a false comb; the certainty
is what is left to 1. In a spectrum full of lines a comb means little, and so it is counted.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, RecordError
from faultdx.signals.order import quantile

Array = npt.NDArray[np.float64]
Power = npt.NDArray[np.floating]

HARMONICS = 12
CEILING_DB = 25.0  # of what a harmonic can add
_FLOOR_HZ = 4.0  # width over which the local median is taken
_FLOOR_BINS = 16  # ... and at least that many bins
SLOWEST_HZ = 1.0  # below it lies the drift of the sensor
_MOST_SAMPLES = 1 << 21  # more resolution than that finds the drift of the speed, not the speed
_BINS_AT_ONCE = 1 << 15  # few enough to stay in the cache
_ALIKE, _EXACT_DB = 0.85, 45.0
_GRID = 200_000  # speeds in one search
TILTS = np.geomspace(0.01, 5.0, 20)  # u of Chernoff's bound, 1/dB
_TILT_STEPS = np.diff(TILTS)
TILTED = np.exp(np.outer(np.arange(int(CEILING_DB) + 1), TILTS))


@dataclass(frozen=True)
class Speed:
    """A shaft speed read off a spectrum.

    rpm : turns a minute; NaN where nothing could be searched
    certainty : 0..1; 1 minus a bound on the probability of such a comb by chance, anywhere in the search
    evidence : minus the natural logarithm of that bound, for comparing combs that are both certain; 0 or more
    harmonics : how many of the harmonics that were looked at stand 10 dB or more above the local median
    rpm_error : standard error of `rpm`, from the scatter of the lines about their multiples; NaN below 3 lines
    level_db : mean height of the harmonics over the local median, each clipped at 25 dB
    """

    rpm: float
    certainty: float
    evidence: float
    harmonics: int
    rpm_error: float
    level_db: float


NOTHING = Speed(math.nan, 0.0, 0.0, 0, math.nan, 0.0)


@lru_cache(maxsize=256)
def good_length(n: int) -> int:
    """Return the largest number up to `n` with no prime factor but 2, 3 and 5: an FFT of another may take 20 x."""
    best, five = 1, 1
    while five <= n:
        three = five
        while three <= n:
            best = max(best, three << ((n // three).bit_length() - 1))
            three *= 3
        five *= 5
    return best


def hann_power(spectrum: npt.NDArray[np.complexfloating]) -> Power:
    """Return the power of the Hann-windowed signal from its plain rfft, shape (bins,) both; the ends are 0.

    The periodic Hann window is a convolution of the spectrum with (-1/4, 1/2, -1/4) (Harris, "On the use of windows
    for harmonic analysis with the discrete Fourier transform", Proc. IEEE 66(1), 1978); here times 2.
    """
    power: Power = np.zeros(spectrum.size, dtype=spectrum.real.dtype)
    for start in range(1, spectrum.size - 1, _BINS_AT_ONCE):
        stop = min(start + _BINS_AT_ONCE, spectrum.size - 1)
        hann = spectrum[start - 1 : stop - 1] + spectrum[start + 1 : stop + 1]
        hann *= -0.5
        hann += spectrum[start:stop]
        power[start:stop] = hann.real**2 + hann.imag**2
    return power


class Lines:
    """The lines of one spectrum, ready to be searched for combs."""

    def __init__(self, power: Power, bin_hz: float, *, up_to_hz: float) -> None:
        """`power`: of a Hann window, shape (bins,), bin_hz apart from 0 Hz; beyond `up_to_hz` nothing is searched."""
        self.bin_hz = bin_hz
        self._log_mgf: Array | None = None  # taken when it is first asked for
        power = power[: int(min(up_to_hz / bin_hz + 2, power.size))].astype(np.float64)
        width = max(_FLOOR_BINS, round(_FLOOR_HZ / bin_hz))
        blocks = (power.size - 1) // width
        self.power, self.width = power, width
        self.level_db = self.score = np.zeros(0)
        self.steps = np.zeros(0, np.int64)
        if blocks < 2:
            return
        floor = _between(quantile(power[1 : 1 + blocks * width].reshape(blocks, width), 0.5), width, power.size)
        level = 10.0 * np.log10(np.maximum(power / np.maximum(floor, 1e-30, out=floor), 1.0))
        self.level_db = level
        # a line between two bins, or one that wanders, is seen from either side
        score = np.minimum(level, CEILING_DB)
        self.score = score.copy()
        np.maximum(self.score[1:], score[:-1], out=self.score[1:])
        np.maximum(self.score[:-1], score[1:], out=self.score[:-1])
        self.steps = np.ceil(self.score).astype(np.int64)  # rounded up to whole dB, which can only lower the certainty

    def up_to(self, up_to_hz: float) -> Lines:
        """Return the lines up to `up_to_hz` alone, to be weighed against their own surroundings."""
        lines, end = copy.copy(self), self.end(up_to_hz)
        for name in ("power", "level_db", "score", "steps"):
            setattr(lines, name, getattr(self, name)[:end])
        lines._log_mgf = None
        return lines

    def end(self, up_to_hz: float) -> int:
        """Return how many bins there are up to `up_to_hz`; 0 where they are too few for a floor."""
        end = int(min(up_to_hz / self.bin_hz + 2, self.score.size))
        return end if (end - 1) // self.width >= 2 else 0

    def _rates(self, low_hz: float, high_hz: float, orders: npt.NDArray[np.int64], top: int) -> Array:
        """Return the rates to be tried of a comb, the highest of whose bins is `top`, shape (rates,)."""
        first, count = self.span(low_hz, high_hz, int(orders[-1]), top)
        return np.asarray(first + self.bin_hz / orders[-1] * np.arange(count))

    def span(self, low_hz: float, high_hz: float, order: int, top: int) -> tuple[float, int]:
        """Return the first and the number of those rates; they are `bin_hz / order` apart."""
        low_hz = max(low_hz, SLOWEST_HZ)
        high_hz = min(high_hz, top * self.bin_hz / 2)  # a comb has two lines or more
        found = high_hz >= low_hz and top >= 2
        return low_hz, int(min((high_hz - low_hz) / (self.bin_hz / order) + 1, _GRID)) if found else 0

    @property
    def log_mgf(self) -> Array:
        """The logarithm of the moment generating function of the scores, at each of `TILTS`."""
        if self._log_mgf is None:
            steps = self.steps[int(SLOWEST_HZ / self.bin_hz) :]
            share = np.bincount(steps, minlength=int(CEILING_DB) + 1) / max(steps.size, 1)
            self._log_mgf = np.log(share @ TILTED)
        return self._log_mgf

    def search(
        self,
        low_hz: float,
        high_hz: float,
        *,
        harmonics: int = HARMONICS,
        skip: int = 0,
        searches: int = 1,
        certain: float = 0.0,
    ) -> Speed:
        """Return the best comb whose rate is between low_hz and high_hz.

        skip : leave out the harmonics that this divides (0: none), which another comb would explain
        searches : how many like this one are made for one answer, each of which may be misled by chance
        certain : a comb that is less certain than this is not worth measuring: NOTHING is returned
        """
        orders = _orders(harmonics, skip)
        top = self.score.size - 1
        rates = self._rates(low_hz, high_hz, orders, top)
        count = rates.size
        if not count:
            return NOTHING
        bins = np.rint((orders / self.bin_hz)[:, None] * rates).astype(np.int64)  # long rows: numpy sums them fast
        inside = bins <= top
        if bins[-1, -1] <= top:
            total, used = self.score[bins].sum(axis=0), np.full(count, orders.size)
        else:
            total, used = np.where(inside, self.score[np.minimum(bins, top)], 0.0).sum(axis=0), inside.sum(axis=0)
        exponent = self.exponent(total, used)
        most = float(exponent.max())
        evidence = max(most - math.log(searches * count), 0.0)
        if -math.expm1(-evidence) < certain:
            return NOTHING
        # Among combs as likely, the one whose lines are in their very bins: beside that of a shaft at 1796 rpm stands
        # one of the mains, at 1800.
        alike = np.flatnonzero(exponent >= _ALIKE * most)
        near = bins[:, alike]
        exact = np.where(inside[:, alike], self.level_db[np.minimum(near, top)], 0.0)
        best = int(alike[np.argmax(np.minimum(exact, _EXACT_DB).sum(axis=0))])
        level = float(total[best]) / max(int(used[best]), 1)
        return self._measured(float(rates[best]), orders, evidence, level)

    def level(self, rate_hz: float, *, harmonics: int = HARMONICS, skip: int = 0) -> float:
        """Return the mean height of a comb's lines over the local median, dB, clipped as its score is."""
        bins = np.rint(_orders(harmonics, skip) * (rate_hz / self.bin_hz)).astype(np.int64)
        bins = bins[bins < self.score.size]
        return float(self.score[bins].mean()) if bins.size else 0.0

    def exponent(self, total: Array, used: npt.NDArray[np.int64]) -> Array:
        """Return minus the logarithm of Chernoff's bound, shape (rates,)."""
        # u S - K log M(u) is concave in u: from one u to the next it rises as long as S / K is above this slope
        slope = (self.log_mgf[1:] - self.log_mgf[:-1]) / _TILT_STEPS
        tilt = np.searchsorted(slope, total / np.maximum(used, 1))
        return np.asarray(np.maximum(TILTS[tilt] * total - self.log_mgf[tilt] * used, 0.0))

    def _measured(self, rate_hz: float, orders: npt.NDArray[np.int64], evidence: float, level: float) -> Speed:
        """Refine the rate by the harmonics' own peaks: least squares of f_k = k f, each weighted alike."""
        top, certainty = self.score.size - 2, -math.expm1(-evidence)
        near = np.rint(rate_hz * orders / self.bin_hz).astype(np.int64)
        orders, near = orders[near < top], near[near < top]
        window = near[:, None] + np.arange(-1, 2)
        peak = np.maximum(near - 1 + np.argmax(self.power[window], axis=1), 1)
        strong = self.level_db[peak] >= 10.0
        if not strong.any():
            return Speed(60.0 * rate_hz, certainty, evidence, 0, math.nan, level)
        orders, peak = orders[strong], peak[strong]
        # a parabola through the logarithms of three bins: within a few percent of a bin for a Hann window
        a, b, c = (np.log(self.power[peak + i] + 1e-30) for i in (-1, 0, 1))
        bend = a - 2 * b + c
        shift = np.where(bend < 0, 0.5 * (a - c) / np.where(bend < 0, bend, -1.0), 0.0)
        found = (peak + np.clip(shift, -0.5, 0.5)) * self.bin_hz
        rate = float((orders * found).sum() / (orders**2).sum())
        own = np.abs(found - orders * rate) <= 0.5 * self.bin_hz
        if 3 <= np.count_nonzero(own) < own.size:  # a line of the mains, say, next to one of the shaft
            orders, found = orders[own], found[own]
            rate = float((orders * found).sum() / (orders**2).sum())
        error = math.nan
        if found.size >= 3:
            scatter = float(((found - orders * rate) ** 2).sum() / (found.size - 1))
            error = 60.0 * math.sqrt(scatter / float((orders**2).sum()))
        return Speed(60.0 * rate, certainty, evidence, int(strong.sum()), error, level)


@lru_cache(maxsize=32)
def _orders(harmonics: int, skip: int) -> npt.NDArray[np.int64]:
    orders = np.arange(1, harmonics + 1)
    orders = orders[orders % skip != 0] if skip else orders
    orders.flags.writeable = False  # shared by all callers
    return orders


def _between(medians: Power, width: int, size: int) -> Array:
    """Return the straight lines from the middle of each block of `width` bins to the next, shape (size,).

    The blocks begin at bin 1. As numpy.interp would, in a third of its time.
    """
    out = np.empty(size)
    begin = 1 + (width + 1) // 2  # the first bin that is not before the middle of the first block
    end = begin + (medians.size - 1) * width
    out[:begin], out[end:] = medians[0], medians[-1]
    share = (np.arange(width) + 0.5 * (width % 2)) / width
    ramps = out[begin:end].reshape(-1, width)
    np.multiply.outer(np.diff(medians), share, out=ramps)
    ramps += medians[:-1, None]
    return out


def lines_of(signal: npt.ArrayLike, *, sampling_rate_hz: float, up_to_hz: float) -> Lines:
    """Return the lines of `signal`, shape (samples,), up to `up_to_hz`. Raises RecordError."""
    x = np.asarray(signal)
    if x.ndim != 1 or x.dtype.kind not in "fiub" or x.size < 2:
        raise RecordError(f"the signal has shape {x.shape} and type {x.dtype}; give one channel of real numbers")
    if not (math.isfinite(sampling_rate_hz) and sampling_rate_hz > 0):
        raise RecordError(f"a sampling rate of {sampling_rate_hz} Hz is impossible; declare the real one")
    y = x[: good_length(min(x.size, _MOST_SAMPLES))].astype(np.float64)
    if not math.isfinite(float(np.abs(y).max())):
        raise RecordError("the signal holds values that are not finite; repair the recording or leave it out")
    y -= y.mean()
    scale = float(np.abs(y).max())
    power = hann_power(np.fft.rfft(y / scale if scale > 0 else y))
    return Lines(power, sampling_rate_hz / y.size, up_to_hz=up_to_hz)


def estimate_speed(
    signal: npt.ArrayLike,
    *,
    sampling_rate_hz: float,
    near_rpm: float | None = None,
    search: float | tuple[float, float] | None = None,
    harmonics: int = HARMONICS,
) -> Speed:
    """Return the shaft `Speed` that the spectrum of `signal`, shape (samples,), shows.

    near_rpm : where to look, turns a minute; None looks everywhere in `search`
    search : with near_rpm a share to either side of it (0.03 where None); without it a range in turns a minute
        (300 to 6000 where None)
    harmonics : how many multiples make a comb, 2 or more

    A comb is as certain at a half or a double of the rate where every second line is missing or as strong: give
    near_rpm wherever something is known. Resolution is about rate / samples / harmonics Hz: 10 s and 12 harmonics
    resolve 0.5 rpm, and the refinement a tenth of it, where the speed is constant.

    Raises RecordError for a signal that has no spectrum, ConfigError for an impossible search.
    """
    if harmonics < 2:
        raise ConfigError(f"harmonics is {harmonics}: a comb needs 2 or more")
    if near_rpm is not None:
        share = 0.03 if search is None else search
        if isinstance(share, tuple) or not 0 < share < 1 or not (math.isfinite(near_rpm) and near_rpm > 0):
            raise ConfigError(f"cannot search {search} about {near_rpm} rpm: give a positive speed and a share below 1")
        low, high = near_rpm * (1 - share), near_rpm * (1 + share)
    else:
        span = (300.0, 6000.0) if search is None else search
        if not isinstance(span, tuple) or not 0 < span[0] < span[1] or not math.isfinite(span[1]):
            raise ConfigError(f"cannot search {search}: without near_rpm give a range (low, high) in turns a minute")
        low, high = span
    up_to_hz = min((harmonics + 0.5) * high / 60.0, sampling_rate_hz / 2)
    lines = lines_of(signal, sampling_rate_hz=sampling_rate_hz, up_to_hz=up_to_hz)
    return lines.search(low / 60.0, high / 60.0, harmonics=harmonics)
