"""Envelope spectra over orders: multiples of the shaft's rate, whatever the shaft does meanwhile.

The modulations of `demodulation` are sampled anew at equal angles of the shaft (Fyfe & Munck, "Analysis of computed
order tracking", MSSP 11(2), 1997), cut into windows of 64 turns that overlap by half, and their Hann-windowed
periodograms averaged (Welch 1967). 64 turns resolve 1/64 of an order: enough to part a bearing's lines from the
shaft's, and short enough for the lines of a slipping bearing, which are no lines over minutes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.errors import RecordError
from faultdx.signals.demodulation import Band, Modulations
from faultdx.signals.speed import good_length

Array = npt.NDArray[np.float64]

TURNS = 64.0
FEWEST_TURNS = 8.0
HANN_BINS = 1.5  # equivalent noise bandwidth of the Hann window, bins: a line's power is the sum of its bins over it


@dataclass(frozen=True, eq=False)
class OrderSpectra:
    """Averaged squared-envelope spectra of several bands.

    power : squared modulation depth, shape (bands, orders); a line of depth d reads d**2 in its bin
    step : distance of two orders, 1 / turns of a window; the first order is 0
    windows : how many were averaged; turns : of one window
    """

    bands: tuple[Band, ...]
    power: Array
    step: float
    windows: int
    turns: float

    @property
    def orders(self) -> Array:
        """The order axis, shape (orders,)."""
        return np.asarray(self.step * np.arange(self.power.shape[1]))


@dataclass(frozen=True, eq=False)
class Turning:
    """How the shaft turned: times_s, increasing from 0, and the rate there in Hz, both of shape (knots,)."""

    times_s: Array
    rate_hz: Array

    def turns_at(self, times_s: Array) -> Array:
        """Return the turns made since 0 s, shape of `times_s`; the rate is linear between knots, constant outside."""
        knots = np.concatenate(
            [np.zeros(1), np.cumsum(np.diff(self.times_s) * (self.rate_hz[1:] + self.rate_hz[:-1]) / 2)]
        )
        i = np.clip(np.searchsorted(self.times_s, times_s, side="right") - 1, 0, max(self.times_s.size - 2, 0))
        since = times_s - self.times_s[i]
        if self.times_s.size < 2:
            return np.asarray(since * self.rate_hz[0])
        slope = (self.rate_hz[i + 1] - self.rate_hz[i]) / (self.times_s[i + 1] - self.times_s[i])
        inside = np.clip(since, 0.0, self.times_s[i + 1] - self.times_s[i])
        beyond = since - inside
        end = self.rate_hz[i] + slope * inside
        return np.asarray(knots[i] + (self.rate_hz[i] + end) / 2 * inside + beyond * end)


def steady(rate_hz: float) -> Turning:
    """Return a shaft that turns at `rate_hz` all the time."""
    return Turning(np.zeros(1), np.array([rate_hz]))


def order_spectra(
    found: Modulations, turning: Turning, *, up_to_order: float, turns: float = TURNS, overlap: float = 0.5
) -> OrderSpectra:
    """Return the spectra of `found` over orders of `turning`, up to `up_to_order`.

    turns : of one window; a shorter record is one window. Raises RecordError below FEWEST_TURNS turns.
    """
    times = np.arange(found.depth.shape[1]) / found.rate_hz
    angle = turning.turns_at(times)
    total = float(angle[-1])
    if total < FEWEST_TURNS:
        raise RecordError(f"only {total:.1f} turns of the shaft; record {FEWEST_TURNS:.0f} turns or more")
    per_turn = 2.5 * up_to_order
    length = good_length(int(min(turns, total) * per_turn))
    window_turns = length / per_turn
    position = np.interp(np.arange(int(total * per_turn)) / per_turn, angle, np.arange(times.size))
    left = np.minimum(position.astype(np.int64), times.size - 2)
    share = (position - left).astype(np.float32)
    resampled = found.depth[:, left] * (1 - share) + found.depth[:, left + 1] * share
    window = (1.0 - np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)  # gain 1/2: peak amplitude
    hop = max(round(length * (1 - overlap)), 1)
    starts = range(0, resampled.shape[1] - length + 1, hop)
    kept = math.floor(up_to_order * window_turns) + 2
    power = np.zeros((len(found.bands), kept))
    for start in starts:
        block = resampled[:, start : start + length]
        lines = np.fft.rfft((block - block.mean(axis=1, keepdims=True)) * window, axis=1)[:, :kept] * (2.0 / length)
        power += lines.real**2 + lines.imag**2
    return OrderSpectra(found.bands, power / len(starts), 1.0 / window_turns, len(starts), window_turns)
