"""The shaft's speed from block to block, for a machine that does not hold it.

A speed that changes by more than a bin over the record has no comb in the spectrum of the whole, but it has one in
each block of 40 turns. The evidence of the blocks' combs is summed along straight and bent courses of the speed, and
the course with the most of it is taken, where it has clearly more than any single speed has in the same blocks. (The
idea of summing spectra along candidate courses: Urbanek, Barszcz & Antoni, "A two-step procedure for estimation of
instantaneous rotational speed with large fluctuations", MSSP 38(1), 2013.)

What a block shows for most speeds is chance, and is taken off first; what the best course collects by chance is
bounded by the logarithm of the number of courses. A free path through the blocks (Viterbi's) was tried and dropped:
so many paths are possible that seven blocks never had the evidence for one of them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from faultdx.signals.demodulation import Modulations
from faultdx.signals.envelope_order import Turning, steady
from faultdx.signals.order import quantile
from faultdx.signals.shaft import HARMONICS, SEARCH, SURE, ShaftSpeed, comb_evidence, envelope_lines
from faultdx.signals.speed import Lines, good_length, hann_power, lines_of

Array = npt.NDArray[np.float64]

_BLOCK_TURNS = 40.0
_SHORTEST_S = 1.0
_FEWEST, _MOST = 3, 40  # blocks
_STEP = 0.001  # of the grid of speeds
_SLOPES = np.arange(-0.12, 0.1201, 0.004)  # change of the speed over the record, as a share
_BENDS = np.array([-0.02, -0.01, 0.0, 0.01, 0.02])  # by how much its middle is off the straight line
_GAIN = 3.0  # of evidence, within which the height of a comb decides
_HIGHER_DB = 12.0  # over a single speed's comb, for which that speed is given up
_NEARBY = 0.012  # about a course's own speed
_DRIFT = 0.004  # below it a shaft is steady
_CHANCE = 0.75  # quantile of a block's evidence that is taken for chance


def turning_of(
    signal: npt.ArrayLike,
    found: Modulations,
    *,
    sampling_rate_hz: float,
    speed: ShaftSpeed,
    search: float = SEARCH,
    suspected: tuple[int, ...] = (),
) -> tuple[Turning, ShaftSpeed]:
    """Return how the shaft turned, and its mean speed: `speed`, or a better one where the blocks together say so.

    Arguments as for `refine_speed`, whose result `speed` is. A shaft that changes by less than 0.4 % is steady, and
    so is one in a record of less than 120 turns or 3 s.
    """
    x = np.asarray(signal)
    block_s = max(_SHORTEST_S, _BLOCK_TURNS / speed.nominal_hz, x.size / sampling_rate_hz / _MOST)
    size = round(block_s * sampling_rate_hz)
    count = x.size // size
    if count < _FEWEST:
        return steady(speed.hz), speed
    half = round(search / _STEP)
    grid: Array = speed.nominal_hz * (1.0 + np.arange(-half, half + 1, dtype=np.float64) * _STEP)
    up_to_hz = min((HARMONICS + 0.5) * grid[-1], sampling_rate_hz / 2)
    blocks = [
        lines_of(x[i * size : (i + 1) * size], sampling_rate_hz=sampling_rate_hz, up_to_hz=up_to_hz)
        for i in range(count)
    ]
    of_signal: Array = np.array([comb_evidence(lines, grid, suspected)[0] for lines in blocks])
    evidence = of_signal + _envelope_evidence(found, block_s, grid, suspected, up_to_hz=up_to_hz, count=count)
    evidence = np.maximum(evidence - quantile(evidence, _CHANCE)[:, None], 0.0)
    course, total, held = _best_course(evidence)
    rates = np.asarray(grid[course], dtype=np.float64)
    if float(rates.max() / rates.min() - 1.0) <= _DRIFT or total < SURE or total <= held:
        return steady(speed.hz), speed
    times = np.asarray((np.arange(count) + 0.5) * block_s, dtype=np.float64)
    fine, evidence_of_course = _fine(x, sampling_rate_hz, times, rates, up_to_hz=up_to_hz, suspected=suspected)
    if evidence_of_course < SURE:
        return steady(speed.hz), speed
    turning = Turning(times, fine)
    mean = float(turning.turns_at(np.array([x.size / sampling_rate_hz]))[0]) * sampling_rate_hz / x.size
    sure = -math.expm1(-evidence_of_course)
    return turning, ShaftSpeed(mean, speed.nominal_hz, sure, evidence_of_course, "followed")


def _envelope_evidence(
    found: Modulations, block_s: float, grid: Array, suspected: tuple[int, ...], *, up_to_hz: float, count: int
) -> Array:
    size = round(block_s * found.rate_hz)
    rows = np.zeros((count, grid.size))
    for i in range(count):
        depth = found.depth[:, i * size : (i + 1) * size]
        if depth.shape[1] > size // 2:
            piece = Modulations(found.bands, found.rate_hz, depth, found.up_to_hz)
            lines = envelope_lines(piece, up_to_hz=min(up_to_hz, found.up_to_hz))
            rows[i] = comb_evidence(lines, grid, suspected)[0]
    return rows


def _best_course(evidence: Array) -> tuple[npt.NDArray[np.int64], float, float]:
    """Return the best course, as places in the grid, its evidence, and that of the best single speed.

    evidence : shape (blocks, grid)
    """
    blocks, size = evidence.shape
    at = np.linspace(-0.5, 0.5, blocks)
    shapes = _SLOPES[:, None, None] * at + _BENDS[:, None] * (0.5 - 4.0 * at**2)
    offsets = np.rint(shapes.reshape(-1, blocks) / _STEP).astype(np.int64)
    best, most = (0, offsets[0]), -math.inf
    for shape in offsets:
        total = np.zeros(size)
        for i, offset in enumerate(shape):
            row = evidence[i]
            if offset >= 0:
                total[: size - offset] += row[offset:]
            else:
                total[-offset:] += row[:offset]
        place = int(total.argmax())
        if total[place] > most:
            most, best = float(total[place]), (place, shape)
    course: npt.NDArray[np.int64] = np.asarray(np.clip(best[0] + best[1], 0, size - 1), dtype=np.int64)
    # neighbouring courses see the same lines: every third counts as one of its own
    collected = max(most - math.log(offsets.shape[0] * size / 9.0), 0.0)
    held = max(float(evidence.sum(axis=0).max()) - math.log(size / 3.0), 0.0)
    return course, collected, held


def _slow(signal: npt.NDArray[np.generic], sampling_rate_hz: float, up_to_hz: float) -> tuple[Array, float]:
    """Return the signal below `up_to_hz` at four times that rate, or as it is where that is more, and its rate."""
    x = signal[: good_length(signal.size)].astype(np.float64)
    x -= x.mean()
    samples = good_length(int(4.0 * up_to_hz * x.size / sampling_rate_hz))
    if samples >= x.size:
        return x, sampling_rate_hz
    spectrum = np.fft.rfft(x)[: samples // 2 + 1]
    spectrum[int(up_to_hz * x.size / sampling_rate_hz) + 1 :] = 0.0
    return np.fft.irfft(spectrum, samples), sampling_rate_hz * samples / x.size


def _straightened(
    slow: Array, rate_hz: float, course: Turning, *, up_to_hz: float, suspected: tuple[int, ...]
) -> tuple[float, float, float]:
    """Return height and evidence of the best comb once the turning of `course` is taken out, and its speed over the
    mean of the course.

    The height, the sum of the lines' levels in dB, tells a course from its neighbours: the evidence stops counting at
    25 dB. Sampled at equal angles of the course, a shaft that follows it turns steadily: the whole record is one comb
    again.
    """
    angle = course.turns_at(np.arange(slow.size) / rate_hz)
    mean = float(angle[-1]) / ((slow.size - 1) / rate_hz)
    even = np.interp(np.linspace(0.0, angle[-1], slow.size), angle, slow)
    n = good_length(slow.size)
    lines = Lines(hann_power(np.fft.rfft(even[:n])), rate_hz / n, up_to_hz=up_to_hz)
    grid = mean * (1.0 + np.arange(-_NEARBY, _NEARBY + 1e-9, lines.bin_hz / HARMONICS / mean))
    evidence, exact = comb_evidence(lines, grid, suspected)
    best = int(np.where(evidence >= evidence.max() - _GAIN, exact, -np.inf).argmax())
    return float(exact[best]), float(evidence[best]), float(grid[best]) / mean


def _fine(
    signal: npt.NDArray[np.generic],
    sampling_rate_hz: float,
    times_s: Array,
    rates: Array,
    *,
    up_to_hz: float,
    suspected: tuple[int, ...],
) -> tuple[Array, float]:
    """Return the course near `rates` whose comb in the straightened record is the highest, and its evidence: 0 where
    a single speed has a comb as high.
    """
    slow, rate_hz = _slow(signal, sampling_rate_hz, up_to_hz)
    at = np.linspace(-0.5, 0.5, rates.size)

    def tried(course: Array) -> tuple[float, float, float]:
        return _straightened(slow, rate_hz, Turning(times_s, course), up_to_hz=up_to_hz, suspected=suspected)

    best, most, sure = rates, -math.inf, 0.0
    for step in (0.004, 0.001):
        around = best
        for change in np.arange(-4, 5) * step:
            course = around * (1.0 + change * at)
            height, evidence, factor = tried(course)
            if height > most + 1e-9:
                most, sure, best = height, evidence, course * factor
    if most < tried(np.full(rates.size, float(rates.mean())))[0] + _HIGHER_DB:
        return best, 0.0
    return best, max(sure - math.log(18 * 2 * _NEARBY / _STEP), 0.0)
