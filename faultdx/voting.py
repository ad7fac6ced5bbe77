"""From segments to a record: how the probabilities of many segments become one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def softmax(logits: npt.ArrayLike, *, temperature: float = 1.0) -> Floats:
    """Return exp(logits / T), normalised over the last axis. Guo et al. 2017 for the temperature."""
    z = np.asarray(logits, dtype=np.float64) / temperature
    z = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(z / z.sum(axis=-1, keepdims=True))


def pool(probabilities: npt.ArrayLike) -> Floats:
    """Return the record's probabilities (classes,) from its segments' (segments, classes): their geometric mean.

    The product would treat the segments of one record as independent witnesses, which they are not, and say 1.0 of
    everything; the geometric mean keeps the scale of a single segment. Both choose the same class.
    """
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), 1e-12))
    return softmax(logs.mean(axis=0))


def pool_records(probabilities: npt.ArrayLike, record: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the record numbers present, ascending, and each one's pooled probabilities (records, classes)."""
    p, number = np.asarray(probabilities, dtype=np.float64), np.asarray(record)
    present = np.unique(number)
    return present, np.stack([pool(p[number == r]) for r in present]) if present.size else p[:0]


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the temperature T > 0 that minimises the cross-entropy of softmax(logits / T) (Guo et al. 2017).

    The cross-entropy is convex in 1/T; found by golden-section search over 0.05..20. No data: 1.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if not len(y):
        return 1.0

    def loss(log_t: float) -> float:
        p = softmax(z, temperature=float(np.exp(log_t)))
        return float(-np.log(np.maximum(p[np.arange(len(y)), y], 1e-300)).mean())

    low, high = np.log(0.05), np.log(20.0)
    golden = (np.sqrt(5.0) - 1) / 2
    a, b = high - golden * (high - low), low + golden * (high - low)
    fa, fb = loss(a), loss(b)
    for _ in range(40):
        if fa < fb:
            high, b, fb = b, a, fa
            a = high - golden * (high - low)
            fa = loss(a)
        else:
            low, a, fa = a, b, fb
            b = low + golden * (high - low)
            fb = loss(b)
    return float(np.exp((low + high) / 2))
