"""Where the teeth mesh: the speed by the comb of the mesh, and its lines over orders with what stands beside them.

The comb search is that of `signals.speed`, made for the multiples of the mesh rate instead of the shaft's: the mesh is
the loudest comb of a gearbox, and N times as fine a ruler for the speed. Its spectrum is averaged over short blocks, so
that a speed that wanders by a part in a thousand smears nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.signals.order import quantile
from faultdx.signals.speed import Lines, Speed, good_length, hann_power
from faultdx.signals.synchronous import Angle, at_even_angles

Array = npt.NDArray[np.float64]

HARMONICS = 4  # of the mesh, whose comb is searched
SEARCH = 0.05  # how far from the stated speed it is looked for at most, as a share
NEAR = 0.01  # ... and at first: so much a nameplate rounds
FOUND = 0.95  # certainty from which a mesh is found
BLOCK_TURNS = 32.0
SEEN_DB = 10.0  # over its surroundings, from which a line is one: noise averaged over a few blocks stays below 7
SIDEBANDS = 3
_OFF_BINS = 1.5  # by which a line may be off its place
_ALL_DB = 200.0


@dataclass(frozen=True)
class Line:
    """One line of an order spectrum.

    order : multiples of the first shaft's rate; amplitude : peak, in the unit of the signal; level_db : over the median
    of its surroundings
    """

    order: float
    amplitude: float
    level_db: float

    @property
    def seen(self) -> bool:
        """Whether it stands out."""
        return self.level_db >= SEEN_DB


@dataclass(frozen=True, eq=False)
class OrderSpectrum:
    """The averaged amplitude spectrum over orders: orders, amplitude and floor (local median), shape (orders,)."""

    orders: Array
    amplitude: Array
    floor: Array

    @property
    def step(self) -> float:
        """Distance of two orders."""
        return float(self.orders[1])

    def line(self, order: float) -> Line:
        """Return the line at `order`, the highest within 1.5 bins."""
        first = max(math.ceil(order / self.step - _OFF_BINS), 0)
        last = min(math.floor(order / self.step + _OFF_BINS) + 1, self.orders.size)
        if first >= last:
            return Line(order, math.nan, math.nan)
        best = first + int(self.amplitude[first:last].argmax())
        over = float(self.amplitude[best]) / max(float(self.floor[best]), 1e-300)
        level = min(20.0 * math.log10(over), _ALL_DB) if over > 0 else -_ALL_DB
        return Line(order, float(self.amplitude[best]), level)


def find_mesh(signal: Array, *, sampling_rate_hz: float, rate_hz: float, teeth: int, search: float = SEARCH) -> Speed:
    """Return the comb of the mesh near `teeth` times `rate_hz`: its `rpm` is that of the mesh, 60 times its Hz.

    signal : shape (samples,); search : as far as it is looked for, as a share: nearby first, and further off only where
    nothing is certain there
    """
    harmonics = min(HARMONICS, max(math.floor(0.45 * sampling_rate_hz / (teeth * rate_hz)), 1))
    size = good_length(min(int(BLOCK_TURNS / rate_hz * sampling_rate_hz), signal.size))
    power = np.zeros(size // 2 + 1)
    for start in range(0, signal.size - size + 1, max(size // 2, 1)):
        block = signal[start : start + size]
        power += hann_power(np.fft.rfft(block - block.mean()))
    top_hz = min((harmonics + 0.7) * teeth * rate_hz * (1 + search), sampling_rate_hz / 2)
    lines = Lines(power, sampling_rate_hz / size, up_to_hz=top_hz)
    mesh_hz = teeth * rate_hz
    found = lines.search(mesh_hz * (1 - NEAR), mesh_hz * (1 + NEAR), harmonics=harmonics, searches=2)
    if found.certainty >= FOUND or search <= NEAR:
        return found
    far = lines.search(mesh_hz * (1 - search), mesh_hz * (1 + search), harmonics=harmonics, searches=2)
    return far if far.evidence > found.evidence else found


def order_spectrum(signal: Array, angle: Angle, *, up_to_order: float) -> OrderSpectrum:
    """Return the averaged spectrum of `signal`, shape (samples,), over orders of the shaft of `angle`.

    Blocks of 32 turns, half overlapping, Hann window: 1/32 of an order. Of a shorter record one block.
    """
    per_turn = 1 << math.ceil(math.log2(2.5 * up_to_order))
    even = at_even_angles(signal, angle.turns, per_turn=per_turn)
    size = min(int(BLOCK_TURNS * per_turn), even.size)
    power, count = np.zeros(size // 2 + 1), 0
    for start in range(0, even.size - size + 1, max(size // 2, 1)):
        block = even[start : start + size]
        power += hann_power(np.fft.rfft(block - block.mean()))
        count += 1
    step = per_turn / size
    kept = min(math.floor(up_to_order / step) + 1, power.size - 1)
    # `hann_power` is that of a window of gain 1: 2 / size makes it a peak amplitude
    amplitude = np.sqrt(power[:kept] / max(count, 1)) * (2.0 / size)
    return OrderSpectrum(
        step * np.arange(kept, dtype=np.float64), amplitude, _floor(amplitude, width=round(4.0 / step))
    )


def _floor(amplitude: Array, *, width: int) -> Array:
    """Local median over about `width` bins: of blocks that overlap by half, joined by straight lines."""
    half = max(width // 2, 4)
    starts = np.arange(0, max(amplitude.size - half, 1), half)
    medians = np.array([float(quantile(amplitude[s : s + 2 * half], 0.5)) for s in starts])
    return np.asarray(np.interp(np.arange(amplitude.size), starts + half, medians))
