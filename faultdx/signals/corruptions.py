"""Thirteen ways to spoil a good recording: what `faultdx evaluate` feeds a model to see whether it notices.

Each function takes (signal, sampling_rate_hz, rng, severity): signal float32 of shape (channels, samples), severity
0 (mild), 1 or 2 (severe). It returns the spoilt signal, a new array, and the sampling rate that would be declared for
it. What severity leaves open (place, sign, kind of filter, ...) is drawn from `rng`, so that a limit cannot be tuned to
one generator's habits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float32]
Spoilt = tuple[Signal, float]
Corruption = Callable[[Signal, float, np.random.Generator, int], Spoilt]
SEVERITIES = (0, 1, 2)


def _spread(x: Signal) -> npt.NDArray[np.float64]:
    return np.asarray(np.std(x, axis=-1, keepdims=True, dtype=np.float64))


def _single(x: npt.ArrayLike) -> Signal:
    return np.asarray(x, dtype=np.float32)


def wrong_sampling_rate(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """The samples are right and the rate declared for them is another instrument's."""
    factors = ((0.8, 1.25, 12 / 12.8, 12.8 / 12), (0.5, 2.0, 25.6 / 12, 12 / 25.6), (0.25, 4.0))[severity]
    return x.copy(), rate * float(rng.choice(factors))


def clipped(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """The amplifier's range ends inside the signal, on both sides or on one."""
    low, high = ((0.01, 0.03), (0.03, 0.08), (0.1, 0.2))[severity]
    share = rng.uniform(low, high)
    mean = x.mean(axis=-1, keepdims=True)
    if rng.random() < 0.25:
        top = np.quantile(x, 1 - share, axis=-1, keepdims=True)
        return _single(np.minimum(x, top) if rng.random() < 0.5 else np.maximum(x, 2 * mean - top)), rate
    level = np.quantile(np.abs(x - mean), 1 - share, axis=-1, keepdims=True)
    return _single(np.clip(x, mean - level, mean + level)), rate


def offset(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """A constant rides on the signal."""
    low, high = ((2.0, 4.0), (5.0, 20.0), (50.0, 200.0))[severity]
    return _single(x + rng.choice((-1, 1)) * rng.uniform(low, high) * _spread(x)), rate


def dead(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """No sensor: the amplifier's own noise (mild), a flickering last bit, a constant (severe)."""
    if severity == 0:
        noise = rng.standard_normal(x.shape) * 10 ** rng.uniform(-5, -2)
        return _single(x.mean() + _spread(x) * noise), rate
    if severity == 1:
        return _single(rng.integers(-1, 2, x.shape) * 2.0**-15), rate
    return np.full_like(x, rng.choice((0.0, 0.0, -2.5, 4.096))), rate


def half_dead(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """The sensor falls off, or is switched on late: 25 to 40, 50, or 60 to 80 % of the record are gone."""
    low, high = ((0.25, 0.4), (0.5, 0.5), (0.6, 0.8))[severity]
    n = x.shape[-1]
    length = int(n * rng.uniform(low, high))
    start = int(rng.choice((0, n - length, rng.integers(0, n - length))))
    return _gap(x, start, length, rng), rate


def _gap(x: Signal, start: int, length: int, rng: np.random.Generator) -> Signal:
    out, piece = x.copy(), slice(start, start + length)
    fill = rng.choice(("zero", "held", "noise", "weak"))
    if fill == "zero":
        out[:, piece] = 0.0
    elif fill == "held":
        out[:, piece] = x[:, start : start + 1]
    elif fill == "noise":
        level = 10 ** rng.uniform(-5, -2.3) * _spread(x)
        out[:, piece] = level * rng.standard_normal(out[:, piece].shape)
    else:
        out[:, piece] = x[:, piece] * 10 ** rng.uniform(-4, -2)
    return out


def dropout(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """A loose cable: one gap of 20 to 60 ms, three to six of 50 to 200 ms, or a fifth of the record in ten gaps."""
    n = x.shape[-1]
    count = (1, int(rng.integers(3, 7)), 10)[severity]
    out = x
    for _ in range(count):
        seconds = (rng.uniform(0.02, 0.06), rng.uniform(0.05, 0.2), 0.02 * n / rate)[severity]
        length = min(round(seconds * rate), n // 8)
        out = _gap(out, int(rng.integers(0, n - length)), length, rng)
    return out, rate


def hum(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """The mains, with or without harmonics, at 1 to 2, 4 to 9 or 20 to 100 times the signal's energy."""
    low, high = ((1.0, 2.0), (4.0, 9.0), (20.0, 100.0))[severity]
    t = np.arange(x.shape[-1]) / rate
    f0 = float(rng.choice((50.0, 60.0))) * (1 + rng.uniform(-0.003, 0.003))
    amplitudes = rng.choice(((1, 0, 0, 0, 0), (1, 0.3, 0.5, 0.1, 0.3), (0.3, 1, 0.2, 0.3, 0.1)))
    wave = sum(a * np.sin(2 * np.pi * k * f0 * t + rng.uniform(0, 6.3)) for k, a in enumerate(amplitudes, 1))
    wave = np.asarray(wave) / np.std(wave)
    return _single(x + np.sqrt(rng.uniform(low, high)) * _spread(x) * wave), rate


def ski_slope(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """An overloaded or integrating sensor: slow drift at 1.5 to 3, 10 to 30 or 100 to 1000 times the energy."""
    low, high = ((1.5, 3.0), (10.0, 30.0), (100.0, 1000.0))[severity]
    n = x.shape[-1]
    kind = rng.choice(("walk", "pink", "decay"))
    if kind == "walk":
        drift = np.cumsum(rng.standard_normal(n))
    elif kind == "pink":  # 1/f^3 in power
        f = np.fft.rfftfreq(n, 1 / rate)
        drift = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * np.maximum(f, 0.1) ** -1.5, n)
    else:
        drift = np.exp(-np.arange(n) / rate / rng.uniform(0.3, 2.0))
    drift = (drift - drift.mean()) / drift.std()
    return _single(x + rng.choice((-1, 1)) * np.sqrt(rng.uniform(low, high)) * _spread(x) * drift), rate


def spikes(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """Single samples far outside: 1 to 3, 10 to 30 or 100 to 300 of them, 20 standard deviations high or more."""
    low, high = ((1, 4), (10, 31), (100, 301))[severity]
    out = x.copy()
    for row, spread in zip(out, _spread(x), strict=True):
        at = rng.choice(row.size - 2, int(rng.integers(low, high)), replace=False) + 1
        row[at] += rng.choice((-1, 1), at.size) * rng.uniform(20, 60, at.size) * spread
    return out, rate


def quantised(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """Three bits are left: over 2 to 4 standard deviations (mild), over the peaks, or over twice the peaks."""
    mean = x.mean(axis=-1, keepdims=True)
    peak = np.abs(x - mean).max(axis=-1, keepdims=True)
    reach = (rng.uniform(2, 4) * _spread(x), peak, 2 * peak)[severity]
    step = reach / 4
    if rng.random() < 0.5:
        level = np.clip(np.round((x - mean) / step), -4, 3)
    else:
        level = np.clip(np.floor((x - mean) / step), -4, 3) + 0.5
    return _single(mean + step * level), rate


def nan_burst(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """Samples that are no numbers: one, a hundred, a tenth of the record."""
    n = x.shape[-1]
    length = (1, 100, n // 10)[severity]
    start = int(rng.integers(0, n - length))
    out = x.copy()
    out[int(rng.integers(0, len(x))), start : start + length] = rng.choice((np.nan, np.nan, np.inf, -np.inf))
    return out, rate


def repeated_block(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """A stretch of 10 to 15, 20 to 30 or 45 to 50 % is there twice, one copy with tiny noise or without."""
    low, high = ((0.1, 0.15), (0.2, 0.3), (0.45, 0.5))[severity]
    n = x.shape[-1]
    length = int(n * rng.uniform(low, high))
    first = int(rng.integers(0, n - 2 * length + 1))
    second = first + length if rng.random() < 0.5 else int(rng.integers(first + length, n - length + 1))
    noise = rng.choice((0.0, 0.0, 1e-4, 1e-3, 1e-2)) * _spread(x)
    out = x.copy()
    block = x[:, first : first + length]
    out[:, second : second + length] = block + noise * rng.standard_normal(block.shape)
    return out, rate


def low_passed(x: Signal, rate: float, rng: np.random.Generator, severity: int) -> Spoilt:
    """Somebody filtered it: the cut-off is 0.2 to 0.25, 0.15 to 0.2 or 0.1 to 0.15 of the sampling rate."""
    low, high = ((0.2, 0.25), (0.15, 0.2), (0.1, 0.15))[severity]
    cut = 2 * rng.uniform(low, high)
    kind = rng.choice(("butter4", "butter8", "zero phase", "fir", "chebyshev 2", "wall"))
    y = x.astype(np.float64)
    if kind == "fir":
        taps = int(rng.choice((65, 129, 257)))
        at = np.arange(taps) - (taps - 1) / 2
        window = np.sinc(cut * at) * np.hamming(taps)
        window /= window.sum()
        return _single(np.stack([np.convolve(row, window)[: row.size] for row in y])), rate
    n = y.shape[-1]
    spectrum = np.fft.rfft(y)
    if kind == "wall":
        spectrum[:, int(spectrum.shape[-1] * cut) :] = 0
        return _single(np.fft.irfft(spectrum, n)), rate
    over = np.tan(np.minimum(np.pi * np.arange(spectrum.shape[-1]) / n, 1.5707)) / np.tan(np.pi / 2 * cut)
    if kind == "zero phase":
        response = np.abs(_butterworth(over, 4)) ** 2
    elif kind == "chebyshev 2":
        response = _chebyshev(over, 6, stop_db=60.0, edge=1.4)
    else:
        response = _butterworth(over, 4 if kind == "butter4" else 8)
    return _single(np.fft.irfft(spectrum * response, n)), rate


def _butterworth(over: npt.NDArray[np.float64], order: int) -> npt.NDArray[np.complex128]:
    """Response of the analogue low-pass of that order at `over` times its cut-off (Butterworth 1930), by its poles."""
    poles = np.exp(1j * np.pi * (2 * np.arange(order) + order + 1) / (2 * order))
    return np.asarray(1 / np.prod(1j * over[:, None] - poles, axis=1))


def _chebyshev(over: npt.NDArray[np.float64], order: int, *, stop_db: float, edge: float) -> npt.NDArray[np.float64]:
    """Magnitude of a Chebyshev low-pass of the second kind: `stop_db` down from `edge` times the cut-off on."""
    ripple = 10 ** (stop_db / 10) - 1
    ratio = np.maximum(edge / np.maximum(over, 1e-9), 1e-9)
    polynomial = np.where(
        ratio > 1,
        np.cosh(np.minimum(order * np.arccosh(np.maximum(ratio, 1.0)), 300.0)),
        np.cos(order * np.arccos(np.minimum(ratio, 1.0))),
    )
    return np.asarray(np.sqrt(polynomial**2 / (polynomial**2 + ripple)))


CORRUPTIONS: dict[str, Corruption] = {
    "wrong sampling rate": wrong_sampling_rate,
    "clipped": clipped,
    "offset": offset,
    "dead": dead,
    "half dead": half_dead,
    "dropout": dropout,
    "hum": hum,
    "ski slope": ski_slope,
    "spikes": spikes,
    "quantised to 3 bits": quantised,
    "NaN burst": nan_burst,
    "repeated block": repeated_block,
    "low-passed": low_passed,
}
