"""How deep is the comb of a fault? Lines of an order spectrum, summed where a fault puts them, against where none does.

A localised fault modulates the envelope at its order q and the harmonics k q; one that rides through the load zone is
modulated in turn at the rate of its ride, so that each harmonic has sidebands (inner race: the shaft's rate; rolling
element: the cage's; McFadden & Smith, J. Sound Vib. 96(1), 1984; Randall & Antoni, MSSP 25(2), 2011). Here

    E(o)  = sum of (P - N) over the bins within 0.5 % of o, / 1.5     squared depth of a line, however slip smears it
    A_k^2 = E(k q) + 1/2 sum_(+-) min(E(k q +- s), E(k q))            s: rate of the ride, where there is one
    D(q)  = A_1 + min(A_1, A_2) + min(A_1, A_2, A_3)                  the DEPTH of the comb, 0 to 6

with P the averaged squared-envelope spectrum (squared modulation depth), N its local noise floor. The load on a
fault is never negative, so that no sideband is deeper than its carrier (|W_1| <= W_0 for a weight w >= 0), and a
short blow has no harmonic above its first: what breaks these rules belongs to something else and is not counted.

Slip lets the largest D within a tolerance count, one slip for all harmonics. What that finds by chance, or in lines
that are nobody's, the same search shows at SURROGATE orders, which belong to no hypothesis; lines that a hypothesis
explains are taken out of the spectrum before. The EXCESS is D minus the 90 % quantile of the surrogates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.signals.envelope_order import HANN_BINS, OrderSpectra
from faultdx.signals.order import quantile

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

HARMONICS = 3
SLIP = 0.018
_SPREAD = 0.005  # share of an order over which slip smears a line
_BINS = 1.5  # ... and at least so many bins to either side
_NOTCH_BINS = 2.0  # to either side of an integer order; one more fades in
_STEPS = 13
_FIRST_BINS = 4.0  # below lies what the window makes of the mean


@dataclass(frozen=True)
class Comb:
    """Where a hypothesis puts its lines: order of the first, of the sidebands' spacing (0: none), and how many."""

    order: float
    side: float = 0.0
    harmonics: int = HARMONICS


@dataclass(frozen=True, eq=False)
class Found:
    """The deepest comb within the tolerance, for each band and base order.

    depth, slip : shape (bands, orders); parts : A_k, shape (bands, orders, harmonics)
    """

    depth: Array
    slip: Array
    parts: Array


def noise_floor(spectra: OrderSpectra) -> Array:
    """Return the mean power of the noise, shape (bands, orders): local median over one order, made a mean.

    An average of n independent periodograms is gamma distributed; its median is (1 - 1 / 9n)^3 of its mean (Wilson &
    Hilferty, PNAS 17(12), 1931), ln 2 for n = 1. Hann windows that overlap by half count for 0.68 each.
    """
    power = spectra.power
    width = max(round(1.0 / spectra.step), 16)
    first = int(_FIRST_BINS)
    blocks = (power.shape[1] - first) // width
    if blocks < 1:
        first, width, blocks = 0, power.shape[1], 1
    median = quantile(power[:, first : first + blocks * width].reshape(power.shape[0], blocks, width), 0.5)
    n = max(1.0, 0.68 * spectra.windows)
    mean = median / (math.log(2.0) if n < 1.2 else (1.0 - 1.0 / (9.0 * n)) ** 3)
    centres = first + (np.arange(blocks) + 0.5) * width
    axis = np.arange(power.shape[1])
    return np.array([np.interp(axis, centres, row) for row in mean])


class Surplus:
    """What stands above the noise floor: power P - N with the integer orders taken out, ready to be summed."""

    def __init__(self, spectra: OrderSpectra, *, floor: Array | None = None, without: Mask | None = None) -> None:
        """`without`: bins to leave out, shape (bands, orders) or (orders,)."""
        self.spectra, self.step = spectra, spectra.step
        self.floor = noise_floor(spectra) if floor is None else floor
        away = np.abs(spectra.orders - np.rint(spectra.orders)) / spectra.step
        self.passed = np.clip(away - _NOTCH_BINS, 0.0, 1.0)
        self.passed[: int(_FIRST_BINS)] = 0.0
        over = (spectra.power - self.floor) * self.passed
        if without is not None:
            over = np.where(without, 0.0, over)
        self.over = over
        self._sum = np.concatenate([np.zeros((over.shape[0], 1)), np.cumsum(over, axis=1)], axis=1)
        self._passed = np.concatenate([[0.0], np.cumsum(self.passed)])

    def _edges(self, orders: Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        half = np.maximum(_SPREAD / self.step * orders, _BINS)
        place = orders / self.step
        top = self._sum.shape[1] - 1
        low = np.clip(np.rint(place - half), 0, top).astype(np.int64)
        return low, np.clip(np.rint(place + half) + 1, 0, top).astype(np.int64)

    def energy(self, orders: Array) -> Array:
        """Return E, shape (bands, *orders.shape); 0 outside the spectrum. It can be negative: noise scatters."""
        low, high = self._edges(orders)
        return np.asarray((self._sum[:, high] - self._sum[:, low]) / HANN_BINS)

    def open_share(self, orders: Array) -> Array:
        """Return which share of the bins at each order the notch at integer orders leaves, shape of `orders`."""
        low, high = self._edges(orders)
        return np.asarray((self._passed[high] - self._passed[low]) / np.maximum(high - low, 1))

    def comb(self, bases: Array, comb: Comb, *, slip: float = SLIP) -> Found:
        """Return the deepest comb of the kind of `comb` at each of the orders `bases`, shape (orders,)."""
        steps = max(round(_STEPS * slip / SLIP), 1) | 1
        slips = np.linspace(-slip, slip, steps)
        k = np.arange(1, comb.harmonics + 1)
        lines = bases[:, None, None] * (1.0 + slips)[:, None] * k
        energy = np.maximum(self.energy(lines), 0.0)
        if comb.side:
            below, above = self.energy(np.maximum(lines - comb.side, 0.0)), self.energy(lines + comb.side)
            energy = energy + 0.5 * sum(np.clip(e, 0.0, energy) for e in (below, above))
        parts = np.minimum.accumulate(np.sqrt(energy), axis=-1)
        depth = parts.sum(axis=-1)
        best = depth.argmax(axis=-1)
        at = np.take_along_axis(parts, best[..., None, None], axis=2)[:, :, 0]
        return Found(depth.max(axis=-1), slips[best], at)


def families(spectra: OrderSpectra, bases: Array, *, side: float, harmonics: int = 4, sidebands: int = 4) -> Mask:
    """Return the bins of the lines k q + j s, shape (bands, orders); `bases` has the q of each band, shape (bands,)."""
    k, j = np.arange(1, harmonics + 1)[:, None], np.arange(-sidebands, sidebands + 1)
    lines = np.abs((bases[:, None, None] * k + j * side).reshape(bases.size, -1))
    return _bins(spectra, lines)


def _bins(spectra: OrderSpectra, lines: Array) -> Mask:
    """Bins within 0.6 % or 2.5 bins of each of `lines`, shape (bands, lines)."""
    bins = spectra.power.shape[1]
    half = np.maximum(0.006 * lines / spectra.step, 2.5)
    low = np.clip(np.rint(lines / spectra.step - half), 0, bins).astype(np.int64)
    high = np.clip(np.rint(lines / spectra.step + half) + 1, 0, bins).astype(np.int64)
    edges = np.zeros((lines.shape[0], bins + 1))
    rows = np.broadcast_to(np.arange(lines.shape[0])[:, None], lines.shape)
    np.add.at(edges, (rows, low), 1.0)
    np.add.at(edges, (rows, high), -1.0)
    return np.asarray(np.cumsum(edges, axis=1)[:, :-1] > 0.5)


def surrogates(order: float, others: tuple[float, ...], *, count: int = 48) -> Array:
    """Return orders about `order` (0.6 to 1.67 times) that belong to no hypothesis: none of `others`, their halves
    and doubles within 4 %, and no integer within 0.06.
    """
    grid = order * np.geomspace(0.6, 1.67, count)
    taken = np.abs(grid - np.rint(grid)) < 0.06
    for other in others:
        for m in (0.5, 1.0, 2.0):
            taken |= np.abs(grid / (m * other) - 1.0) < 0.04
    return grid[~taken]
