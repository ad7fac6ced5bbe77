"""The time-synchronous average: what a signal does once a turn of one shaft, and nothing else.

The signal is sampled anew at equal angles of the shaft and averaged over the turns: what is locked to the shaft stays,
everything else falls by the square root of the turns (McFadden, "A revised model for the extraction of periodic
waveforms by time domain averaging", MSSP 1(1), 1987; Braun, "The synchronous (time domain) average revisited", MSSP
25(4), 2011).

The average needs the angle to a small part of a tooth over the whole record, which no stated speed gives. Where there
is no tachometer, the tooth mesh itself is the angle: its strongest harmonic, demodulated in phase (Bonnardot, El
Badaoui, Randall, Daniere & Guillet, "Use of the acceleration signal of a gearbox in order to perform angular
resampling (with limited speed fluctuation)", MSSP 19(4), 2005). The limits of that: changes of speed faster than about
a fifth of the slowest shaft's rate are not followed; a slow change of the mesh's own phase, by load, say, is taken for
one of speed; and there is no mark on the shaft: where the turn begins is where the record began, so that the number of
a tooth means nothing on the machine, and two records' averages are not lined up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, RecordError
from faultdx.signals.order import quantile

Array = npt.NDArray[np.float64]

_UPSAMPLING = 4  # before interpolating linearly: the highest order then loses 4 % of its amplitude at most
_HIGHEST = 0.45  # of the sampling rate: above it lies the anti-aliasing filter
_SHALLOW = 0.25  # of the median: below it the mesh is too weak to have a phase
_MOST_SHALLOW = 0.02  # share of the record that may be so
_CLEAR_DB = 8.0  # of the mesh over its surroundings, from which its phase is one
_PER_TOOTH = 32


@dataclass(frozen=True, eq=False)
class Angle:
    """The angle of a shaft at each sample.

    turns : increasing, shape (samples,); 0 at the first sample
    source : "mesh" where it was read off the phase of the tooth mesh, "speed" where it is time times a constant speed
    harmonic : of the mesh, whose phase it is; 0 without
    wander : standard deviation of `turns` about an even turning, turns
    """

    turns: Array
    source: str
    harmonic: int
    wander: float


@dataclass(frozen=True, eq=False)
class SynchronousAverage:
    """The average over the turns of one shaft.

    mean : one turn, shape (samples a turn,), a power of 2, in the unit of the signal
    halves : the averages of every other turn, and of the rest, shape (2, samples a turn)
    turns : how many were averaged
    error : standard error of a sample of `mean`, from the scatter of the turns
    share : of the signal's power that is locked to the shaft, 0..1, the noise that is left in `mean` taken off
    up_to_order : of the shaft; above it `mean` holds nothing
    """

    mean: Array
    halves: Array
    turns: int
    error: float
    share: float
    up_to_order: float


def steady_angle(samples: int, *, sampling_rate_hz: float, rate_hz: float) -> Angle:
    """Return the angle of a shaft that turns at `rate_hz` all the time."""
    return Angle(np.arange(samples, dtype=np.float64) * (rate_hz / sampling_rate_hz), "speed", 0, 0.0)


def mesh_angle(
    signal: npt.ArrayLike, coarse: Angle, *, teeth: int, slowest: float, sampling_rate_hz: float, harmonics: int = 4
) -> Angle:
    """Return the angle by the phase of the mesh, or `coarse` where no harmonic of the mesh is clear enough.

    signal : shape (samples,); coarse : the angle as far as it is known, right within a fraction of a tooth a turn
    teeth : mesh cycles a turn; slowest : rate of the slowest shaft over that of this one, at most 1
    harmonics : how many multiples of the mesh are looked at

    With u the coarse angle and N the teeth, the part of x(t) exp(-2 pi i k N u) below slowest / 2 orders, where no
    sideband of any shaft is, is A exp(i p); the angle is u + p / (2 pi k N). Of the harmonics the one with the least
    error of phase, sqrt(noise / signal) / k, is taken.
    """
    x = _channel(signal)
    total = float(coarse.turns[-1])
    rate_hz = total / (x.size - 1) * sampling_rate_hz
    width = 0.45 * min(slowest, 1.0)
    best: tuple[float, int, npt.NDArray[np.complex128]] | None = None
    for k in range(1, harmonics + 1):
        if (k * teeth + 1) * rate_hz > _HIGHEST * sampling_rate_hz:
            break
        carrier = np.exp(-2j * np.pi * k * teeth * coarse.turns)
        spectrum = np.fft.fft(x * carrier)
        order = np.abs(np.fft.fftfreq(x.size, 1.0 / sampling_rate_hz)) / rate_hz
        near, around = order <= width, (order > width) & (order <= 1.5)
        power = np.abs(spectrum) ** 2
        floor = float(quantile(power[around], 0.5)) / math.log(2.0) if around.any() else 0.0
        over = float(power[near].sum()) / max(floor * np.count_nonzero(near), 1e-300)
        if 10.0 * math.log10(max(over, 1e-300)) < _CLEAR_DB:
            continue
        mask = np.where(near, np.cos(np.pi / 2 * np.minimum(order / width, 1.0)) ** 2, 0.0)
        slow = np.fft.ifft(spectrum * mask)
        inside = np.abs(slow[_edge(x.size, total) : -_edge(x.size, total)])
        weak = float(np.mean(inside < _SHALLOW * float(quantile(inside, 0.5))))
        if weak <= _MOST_SHALLOW and (best is None or k * math.sqrt(over) > best[0]):
            best = (k * math.sqrt(over), k, slow)
    if best is None:
        return coarse
    _, k, slow = best
    phase = np.unwrap(np.angle(slow))
    turns = coarse.turns + phase / (2 * np.pi * k * teeth)
    turns = np.maximum.accumulate(turns)
    turns -= turns[0]
    even = np.linspace(turns[0], turns[-1], turns.size)
    return Angle(turns, "mesh", k, float(np.std(turns - even)))


def _edge(samples: int, turns: float) -> int:
    """Samples of the first and of the last turn, which the filter sees one side of."""
    return max(min(round(samples / max(turns, 1.0)), samples // 8), 1)


def synchronous_average(
    signal: npt.ArrayLike, angle: Angle, *, ratio: float = 1.0, teeth: int, multiple: int = 1
) -> SynchronousAverage:
    """Return the average of `signal`, shape (samples,), over the turns of a shaft.

    angle : of the shaft that carries the first gear; ratio : rate of the shaft wanted over that shaft's
    teeth : of the gear on the shaft wanted: a turn gets 32 samples a tooth or more
    multiple : the number of turns averaged is a multiple of it where there are as many; as many turns as the other
        shaft of a pair takes to come back to the same place make it vanish from the average

    The first turn and the last are left out. Raises RecordError below 3 turns, ConfigError for an impossible ratio.
    """
    if not (math.isfinite(ratio) and ratio > 0) or teeth < 1 or multiple < 1:
        raise ConfigError(f"no average at {ratio} times the shaft's rate over {teeth} teeth: give positive numbers")
    x = _channel(signal)
    if x.size != angle.turns.size:
        raise RecordError(f"an angle of {angle.turns.size} samples is not that of {x.size} samples")
    turns = angle.turns * ratio
    first = math.ceil(turns[0] + 1.0)
    count = math.floor(turns[-1] - 1.0) - first
    if count < 3:
        raise RecordError(f"only {max(count, 0)} whole turns of the shaft; record for longer")
    count -= count % multiple if count >= multiple else 0
    a_turn = x.size / float(turns[-1])
    up_to = _HIGHEST * a_turn
    size = 1 << max(math.ceil(math.log2(max(2.5 * up_to, _PER_TOOTH * teeth))), 3)
    rows = at_even_angles(x - x.mean(), turns, per_turn=size, first=first, count=count).reshape(count, size)
    spectrum = np.fft.rfft(np.stack([rows.mean(axis=0), rows[::2].mean(axis=0), rows[1::2].mean(axis=0)]), axis=1)
    spectrum[:, 0] = 0.0
    spectrum[:, math.floor(up_to) + 1 :] = 0.0
    mean, *halves = np.fft.irfft(spectrum, size, axis=1)
    variance = float(np.mean(rows.var(axis=0, ddof=1)))
    error2 = variance / count
    locked = max(float(np.mean(mean**2)) - error2, 0.0)
    share_locked = locked / max(locked + variance, 1e-300)
    return SynchronousAverage(mean, np.asarray(halves), count, math.sqrt(error2), share_locked, up_to)


def at_even_angles(
    signal: Array, turns: Array, *, per_turn: int, first: float = 0.0, count: int | None = None
) -> Array:
    """Return `signal`, shape (samples,), at `per_turn` even angles a turn, shape (count * per_turn,).

    turns : of the shaft at each sample, increasing; first : turn to begin with; count : turns, None: all whole ones
    """
    count = math.floor(float(turns[-1]) - first) if count is None else count
    fine = _finer(signal)
    wanted = first + np.arange(count * per_turn) / per_turn
    places = np.interp(wanted, turns, np.arange(signal.size, dtype=np.float64)) * _UPSAMPLING
    left = np.minimum(places.astype(np.int64), fine.size - 2)
    share = places - left
    return np.asarray(fine[left] * (1.0 - share) + fine[left + 1] * share)


def _finer(x: Array) -> Array:
    """Return the signal between its samples too: zeros behind its spectrum, `_UPSAMPLING` times the samples."""
    spectrum = np.fft.rfft(x)
    if x.size % 2 == 0:
        spectrum[-1] *= 0.5  # the line at half the rate becomes two
    return np.asarray(np.fft.irfft(spectrum, x.size * _UPSAMPLING) * _UPSAMPLING)


def _channel(signal: npt.ArrayLike) -> Array:
    x = np.asarray(signal)
    if x.ndim != 1 or x.dtype.kind not in "fiub" or x.size < 64:
        raise RecordError(f"the signal has shape {x.shape} and type {x.dtype}; give one channel of 64 samples or more")
    y = x.astype(np.float64)
    if not np.isfinite(y).all():
        raise RecordError("the signal holds values that are not finite; repair the recording or leave it out")
    return y
