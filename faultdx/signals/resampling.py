"""Resampling by a rational factor, with the anti-aliasing filter that decimation needs."""

from __future__ import annotations

from math import gcd

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError

# The filter: a windowed sinc. 80 dB of stop-band attenuation, the transition band centred on the new Nyquist frequency
# minus half its width, so that nothing folds back above -80 dB; passband to 0.9 of the new Nyquist frequency.
_ATTENUATION_DB = 80.0
_PASSBAND = 0.90
_FARTHEST = 2000
_EXACT = 1e-5
_SAME_RATE = 1e-4  # two clocks that say one rate; a line moves by 0.01 %, less than any slip
_BLOCK = 1 << 21  # products computed at once: bounds the memory, not the result


def ratio(from_hz: float, to_hz: float) -> tuple[int, int]:
    """Return (up, down) with to_hz / from_hz = up / down, within 1e-4: less than a shaft's slip.

    Raises ConfigError where a rate is not a positive number or the two are too far apart.
    """
    if not (0 < from_hz < np.inf and 0 < to_hz < np.inf):
        raise ConfigError(f"cannot resample from {from_hz:g} Hz to {to_hz:g} Hz: both must be above 0")
    if abs(to_hz - from_hz) <= _SAME_RATE * max(from_hz, to_hz):
        return 1, 1
    from fractions import Fraction  # it loads decimal, which most records do without

    wanted = Fraction(to_hz) / Fraction(from_hz)
    small = min(wanted, 1 / wanted)
    if small < Fraction(1, _FARTHEST):
        raise ConfigError(f"cannot resample from {from_hz:g} Hz to {to_hz:g} Hz: the rates are too far apart")
    limit = 256
    while abs((fraction := small.limit_denominator(limit)) / small - 1) > _EXACT:
        limit *= 2  # the error is below 1 / limit, so this ends
    down, up = (fraction.denominator, fraction.numerator)
    return (up, down) if wanted <= 1 else (down, up)


def lowpass(up: int, down: int) -> npt.NDArray[np.float64]:
    """Return the odd-length linear-phase low-pass at the rate up * input, gain `up`: a Kaiser-windowed sinc.

    Length and shape parameter by Kaiser's formulas (Oppenheim & Schafer, Discrete-Time Signal Processing, 7.6).
    """
    widest = max(up, down)
    stop = 1.0 / widest  # in units of the Nyquist frequency at the rate up * input
    width = (1 - _PASSBAND) * stop
    beta = 0.1102 * (_ATTENUATION_DB - 8.7)
    half = int(np.ceil((_ATTENUATION_DB - 7.95) / (2.285 * np.pi * width) / 2))
    n = np.arange(-half, half + 1)
    cutoff = stop - width / 2
    return np.asarray(up * cutoff * np.sinc(cutoff * n) * np.kaiser(2 * half + 1, beta))


def resample(signal: npt.NDArray[np.float32], *, from_hz: float, to_hz: float) -> npt.NDArray[np.float32]:
    """Return `signal` (channels, samples) at `to_hz`: float32, shape (channels, ceil(samples * to_hz / from_hz)).

    Zero phase (an even filter, centred), zeros assumed beyond both ends. The same rate returns the signal itself.
    """
    up, down = ratio(from_hz, to_hz)
    if up == down:
        return signal
    divisor = gcd(up, down)
    up, down = up // divisor, down // divisor
    taps = lowpass(up, down)
    half = taps.size // 2
    reach = -(-taps.size // up) + 1  # input samples under the filter
    channels, samples = signal.shape
    outputs = -(-samples * up // down)
    # y[m] = sum_k x[k] h[m * down - k * up + half]; the k that matter start at ceil((m * down - half) / up)
    m = np.arange(outputs)
    position = m * down
    first = -((half - position) // up)  # ceil((position - half) / up)
    offset = position - first * up + half  # index of the tap that meets x[first], < taps.size
    padded = np.pad(signal.astype(np.float64), ((0, 0), (reach, 2 * reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=1)
    at_once = max(1, _BLOCK // (reach * channels))
    out = np.empty((channels, outputs), dtype=np.float32)
    for phase in range(min(up, outputs)):
        mine = m[phase::up]  # offsets repeat with period `up` in m
        h = taps[int(offset[phase]) :: -up][:reach]
        h = np.pad(h, (0, reach - h.size))
        for block in range(0, mine.size, at_once):
            chosen = mine[block : block + at_once]
            out[:, chosen] = windows[:, first[chosen] + reach] @ h
    return out
