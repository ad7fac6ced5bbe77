"""The mean of float32 samples to the digits of float64, at the speed of float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_PIECE = 1 << 17  # samples


def mean(x: npt.NDArray[np.floating[Any]]) -> float:
    """Return the mean of x, shape (samples,), one sample or more.

    Float32 samples are not converted, which takes longer than all the rest: the mean of a few thousand of them is found
    first, and what all of them deviate from it in the mean is added, so that an offset, however large, costs no digits
    (a mean in two passes: Neely, "Comparison of several algorithms for computation of means, standard deviations and
    correlation coefficients", Communications of the ACM 9(7), 1966).
    """
    if x.dtype != np.float32:
        return float(x.mean(dtype=np.float64))
    about = np.float32(near_mean(x))
    with np.errstate(over="ignore", invalid="ignore"):
        rest = sum(float((x[at : at + _PIECE] - about).sum()) for at in range(0, x.size, _PIECE))
    return float(about) + rest / x.size if math.isfinite(rest) else float(x.mean(dtype=np.float64))


def near_mean(x: npt.NDArray[np.floating[Any]]) -> float:
    """Return the mean of some thousand samples of x, evenly spaced."""
    return float(x[:: (x.size >> 12) | 1].mean(dtype=np.float64))


def central(x: npt.NDArray[np.float32], *, piece: int = 1 << 15) -> tuple[float, float, float]:
    """Return the mean of x, shape (samples,), and the second and fourth moments about it, to 1e-6 of themselves.

    One pass, piece by piece, while a piece is in the cache: sums of the powers of the deviation from a number near the
    mean, from which those about the mean follow (the binomial formula). |x| must be below 1e7.
    """
    about, ones = np.float32(near_mean(x)), np.ones(min(piece, x.size), np.float32)
    first = second = third = fourth = 0.0
    for at in range(0, x.size, piece):
        y = x[at : at + piece] - about
        square = y * y
        first += float(np.dot(y, ones[: y.size]))
        second += float(np.dot(y, y))
        third += float(np.dot(square, y))
        fourth += float(np.dot(square, square))
    m, s2, s3, s4 = (total / x.size for total in (first, second, third, fourth))
    return float(about) + m, s2 - m * m, s4 - 4 * m * s3 + 6 * m * m * s2 - 3 * m**4
