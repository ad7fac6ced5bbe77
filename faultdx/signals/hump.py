"""The hump of a rolling element: its lines smeared beyond recognition, and still more than noise.

A defect on a ball strikes only while it rolls along the track, and the axis of the spin wanders: the blows keep the
rhythm of 2 BSF for a few turns, and lose it. Lines at 2 BSF and its cage sidebands then melt into a hump, as wide as
the sidebands reach, over a floor that falls slowly with the order (cf. Smith & Randall, MSSP 64-65, 2015, where the
ball faults of the CWRU set are the ones that show no lines). Its depth is that of all the modulation in it:

    H_k^2 = (mean of P in k q +- w  -  geometric mean of the flanks) * bins / 1.5,     w = c + 0.02 k q
    H = H_1 + min(H_1, H_2)

c is the cage's order, the flanks are 0.7 orders wide; lines of race faults and integer orders are left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from faultdx.signals.envelope_order import HANN_BINS, OrderSpectra

Array = npt.NDArray[np.float64]

_FLANK = 0.7
_NOTCH_BINS = 2.5
_HARMONICS = 2
_TINY = 1e-12
_CLIP = 4.0


def hump(spectra: OrderSpectra, orders: Array, *, floor: Array, cage: float, without: npt.NDArray[np.bool_]) -> Array:
    """Return the depth H of a hump at each of `orders`, shape (bands, len(orders)).

    floor : of the noise, by the median, shape (bands, orders of the spectrum). A hump lifts it, lines do not, and so
        no bin counts for more than 4 times its floor
    cage : order of the cage
    without : bins to leave out, shape (bands, orders of the spectrum)
    """
    away = np.abs(spectra.orders - np.rint(spectra.orders)) > _NOTCH_BINS * spectra.step
    kept = away & ~without
    zero = np.zeros((kept.shape[0], 1))
    clipped = np.minimum(spectra.power, _CLIP * floor)
    power = np.concatenate([zero, np.cumsum(np.where(kept, clipped, 0.0), axis=1)], axis=1)
    count = np.concatenate([zero, np.cumsum(kept, axis=1)], axis=1)

    def mean(low: Array, high: Array) -> Array:
        i, j = (np.clip(np.rint(o / spectra.step), 0, kept.shape[1]).astype(np.int64) for o in (low, high))
        return np.asarray((power[:, j] - power[:, i]) / np.maximum(count[:, j] - count[:, i], 1.0))

    parts = []
    for k in range(1, _HARMONICS + 1):
        centre, half = k * orders, cage + 0.02 * k * orders
        below = mean(centre - half - _FLANK, centre - half)
        above = mean(centre + half, centre + half + _FLANK)
        over = mean(centre - half, centre + half) - np.sqrt(np.maximum(below, _TINY) * np.maximum(above, _TINY))
        parts.append(np.sqrt(np.maximum(over, 0.0) * 2 * half / spectra.step / HANN_BINS))
    depth = np.minimum.accumulate(np.array(parts), axis=0).sum(axis=0)
    return np.asarray(depth)
