"""What the learned witness sees: the order-envelope spectra cut out around each hypothesis' own orders.

For each hypothesis (outer race, inner race, ball) and each demodulation band: the lines that a fault there would have
(harmonics 1 to 3, half orders, sidebands at once and twice the shaft's and the cage's rate), each at 49 positions of
relative slip within 6 %. A position is the same share of the order for every line, so that a fault's lines stand in one
column, whatever the bearing: the geometry drops out, and the same weights score every hypothesis.

A line's two values are its modulation depth and its energy over that of the floor in the same bins; energies, the
floor and the notch at integer orders are those of the physics witness (`signals.combs`). Beside the lines stand where
the notch closes and where another hypothesis has its own lines; and, one number each, what surrounds them: clutter,
floor, impulsiveness, humps and the comb of the cage.

Everything is float32 and blind to the sensor's gain; the lines are in 0..1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from faultdx.signals.combs import Surplus, surrogates
from faultdx.signals.demodulation import Modulations
from faultdx.signals.envelope_order import OrderSpectra
from faultdx.signals.hump import hump
from faultdx.signals.hypotheses import combs_of
from faultdx.signals.kinematics import Orders
from faultdx.signals.order import quantile

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

PLACES = ("outer_race", "inner_race", "ball")
POSITIONS = 49
REACH = 0.06  # of the positions, as a share of the order
HARMONICS = 3
_OPEN, _ALIKE = 5, 0.012  # lines of each harmonic that carry a mask; share within which two lines are one
_DEPTH, _RATIO = 0.1, 3.0  # where the compression of depths and ratios sets in
_DEPTH_TOP, _RATIO_TOP = 4.2, 9.0  # what they reach, compressed: 1 in the network's input
_BINS, _SPREAD = 3.0, 0.01  # width of a line's bins, as in `combs`: its floor is that of so many
_HUMPS = 8  # surrogate orders for the hump

LINES = 10  # of a harmonic: itself, +-1, +-2 shaft, +-1, +-2 cage, half an order below
CHANNELS = HARMONICS * (2 * LINES + _OPEN + 1)
CONTEXT = 19


@dataclass(frozen=True, eq=False)
class Aligned:
    """A record as the learned witness sees it.

    lines : float32, shape (places, bands, CHANNELS, POSITIONS); context : float32, shape (places, bands, CONTEXT)
    """

    lines: Float32
    context: Float32


def swing_of(found: Modulations) -> Array:
    """Return how each band's modulation swings: its standard deviation and its kurtosis, shape (bands, 2)."""
    swing = found.depth - np.float32(1.0)
    power = swing * swing
    mean = power.mean(axis=1, dtype=np.float64)
    fourth = (power * power).mean(axis=1, dtype=np.float64)
    return np.stack([np.sqrt(mean), fourth / np.maximum(mean, 1e-12) ** 2], axis=1)


def align(spectra: OrderSpectra, bearing: Orders, *, swing: Array, confirmed: bool) -> Aligned:
    """Return what `spectra` hold around the orders of `bearing`.

    swing : of the modulations that the spectra are of, see `swing_of`
    confirmed : whether a comb of the shaft shows the speed
    """
    surplus = Surplus(spectra)
    orders = np.array([bearing.bpfo, bearing.bpfi, 2.0 * bearing.bsf])
    slip = 1.0 + np.linspace(-REACH, REACH, POSITIONS)
    carriers = orders[:, None, None] * np.arange(1, HARMONICS + 1)[:, None] * slip  # (places, harmonics, positions)
    lines = _lines_about(carriers, bearing.ftf)  # (places, harmonics, LINES, positions)
    energy = np.maximum(surplus.energy(lines), 0.0)  # (bands, ...)
    floor = _floor_under(surplus, lines)
    depth = np.log1p(np.sqrt(energy) / _DEPTH) / _DEPTH_TOP
    ratio = np.log1p(energy / np.maximum(floor, 1e-12) / _RATIO) / _RATIO_TOP
    bands = energy.shape[0]
    masks = np.concatenate(
        [surplus.open_share(lines[:, :, :_OPEN]), _others(carriers, bearing)[:, :, None]], axis=2
    )  # (places, harmonics, _OPEN + 1, positions)
    shared = np.broadcast_to(masks, (bands, *masks.shape))
    stacked = np.concatenate([depth, ratio, shared], axis=3)  # (bands, places, harmonics, channels of one, positions)
    whole = np.moveaxis(stacked, 0, 1).reshape(len(PLACES), bands, CHANNELS, POSITIONS)
    return Aligned(
        np.clip(whole, 0.0, 1.0).astype(np.float32),
        _context(surplus, bearing, orders, swing=swing, confirmed=confirmed),
    )


def _lines_about(carriers: Array, cage: float) -> Array:
    """Return the lines of each harmonic, shape (places, harmonics, LINES, positions); half orders come last."""
    offsets = np.array([0.0, -1.0, 1.0, -cage, cage, -2.0, 2.0, -2.0 * cage, 2.0 * cage])
    first = carriers[:, :1]
    halves = carriers - 0.5 * first
    lines = np.concatenate([carriers[:, :, None] + offsets[:, None], halves[:, :, None]], axis=2)
    return np.asarray(np.abs(lines))


def _floor_under(surplus: Surplus, lines: Array) -> Array:
    """Return the energy of the floor in the bins of each line, shape (bands, *lines.shape)."""
    at = np.clip(np.rint(lines / surplus.step), 0, surplus.floor.shape[1] - 1).astype(np.int64)
    width = np.maximum(_SPREAD / surplus.step * lines, _BINS)
    return np.asarray(surplus.floor[:, at] * width / 1.5)


def _others(carriers: Array, bearing: Orders) -> Array:
    """Return how near the lines of another hypothesis are: 1 at the same order, 0 from 1.2 % on. Shape of carriers."""
    k = np.arange(1, 5)
    own = {
        "outer_race": k * bearing.bpfo,
        "inner_race": (k[:, None] * bearing.bpfi + np.array([-1.0, 0.0, 1.0])).ravel(),
        "ball": (k[:, None] * 2.0 * bearing.bsf + bearing.ftf * np.array([-1.0, 0.0, 1.0])).ravel(),
    }
    out = np.zeros(carriers.shape)
    for i, place in enumerate(PLACES):
        theirs = np.concatenate([lines for other, lines in own.items() if other != place])
        apart = np.abs(carriers[i][..., None] / theirs - 1.0).min(axis=-1)
        out[i] = np.clip(1.0 - apart / _ALIKE, 0.0, 1.0)
    return out


def _context(surplus: Surplus, bearing: Orders, orders: Array, *, swing: Array, confirmed: bool) -> Float32:
    """Return what surrounds the lines, shape (places, bands, CONTEXT)."""
    spectra = surplus.spectra
    bands = len(spectra.bands)
    every = spectra.orders[int(1.0 / spectra.step) :: 2]
    clutter = np.sqrt(np.maximum(surplus.energy(every), 0.0))
    cage = surplus.comb(np.array([bearing.ftf]), combs_of(bearing)["cage"], slip=0.03).depth[:, 0]
    level = np.sqrt(surplus.floor.mean(axis=1))
    spread, peaks = swing.T
    depths = np.array([quantile(clutter, q) for q in (0.5, 0.8, 0.95)])
    top = spectra.bands[0].high_hz
    of_bands = np.stack(
        [
            *(np.log1p(d / _DEPTH) for d in depths),
            np.log1p(cage / _DEPTH),
            np.log1p(level / 0.01),
            np.log1p(spread / _DEPTH),
            np.log1p(peaks / 3.0),
            np.array([math.log2(b.high_hz / top) / 4.0 for b in spectra.bands]),
            np.array([float(b.whitened) for b in spectra.bands]),
            np.full(bands, math.log(max(spectra.windows, 1)) / 3.0),
            np.full(bands, float(confirmed)),
            np.full(bands, bearing.ftf * 2.0),
        ],
        axis=1,
    )  # (bands, 12)
    open_bins = np.zeros_like(spectra.power, dtype=np.bool_)
    rows = []
    for i in range(len(PLACES)):
        nobodys = surrogates(orders[i], tuple(orders), count=_HUMPS * 2)[::2]
        humps = hump(
            spectra, np.concatenate([orders[i : i + 1], nobodys]), floor=surplus.floor, cage=bearing.ftf,
            without=open_bins,
        )  # fmt: skip
        chance = quantile(humps[:, 1:], 0.75) if nobodys.size else np.zeros(bands)
        kind = np.zeros((bands, len(PLACES)))
        kind[:, i] = 1.0
        own = [
            np.log1p(humps[:, 0] / _DEPTH),
            np.log1p(chance / _DEPTH),
            np.full(bands, orders[i] / 10.0),
            np.full(bands, float(surplus.open_share(orders[i : i + 1])[0])),
        ]
        rows.append(np.concatenate([of_bands, np.stack(own, axis=1), kind], axis=1))
    return np.asarray(rows, dtype=np.float32)
