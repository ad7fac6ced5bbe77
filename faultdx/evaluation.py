"""How well a model does on one side of a prepared file: per segment and per record, as recorded and under noise.

Numpy only: the model is anything with `probabilities(segments)`, so that training, inference and a notebook share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from faultdx.dataset import Prepared
from faultdx.signals.noise import add_noise, segment_rng
from faultdx.voting import pool_records

_BATCH = 2048  # segments in memory at once


class Classifier(Protocol):
    """What can be evaluated."""

    def probabilities(self, segments: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(segments, channels, samples) -> (segments, classes)."""
        ...


class Logits(Protocol):
    """What can be evaluated with a temperature."""

    def logits(self, segments: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(segments, channels, samples) -> (segments, classes)."""
        ...


@dataclass(frozen=True, eq=False)
class Condition:
    """What is scored: `rows` of the prepared file, with noise of `kind` at `snr_db` added, or as they are.

    in_file : the noise is in the file, and nothing is added
    """

    rows: npt.NDArray[np.int64]
    kind: str = ""
    snr_db: float = float("inf")
    in_file: bool = False

    @property
    def name(self) -> str:
        """ "clean", "gaussian -4 dB"."""
        return f"{self.kind} {self.snr_db:g} dB" if self.kind else "clean"


Known = Callable[[Condition, npt.NDArray[np.int64], Callable[[], npt.NDArray[np.float32]]], npt.NDArray[np.float32]]


def with_noise(
    segments: npt.NDArray[np.float32],
    *,
    kind: str,
    snr_db: float,
    seed: int,
    record: npt.NDArray[np.int64],
    start: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Return each segment with noise at exactly `snr_db`, drawn from (seed, record, start): the same in any order."""
    return np.stack(
        [
            add_noise(x, kind=kind, snr_db=snr_db, rng=segment_rng(seed, str(r), int(s), kind, snr_db))
            for x, r, s in zip(segments, record, start, strict=True)
        ]
    )


def score(
    probabilities: npt.NDArray[np.float64],
    label: npt.NDArray[np.int64],
    record: npt.NDArray[np.int64],
    classes: Sequence[str],
) -> dict[str, Any]:
    """Return accuracy, macro-F1 and recall by class per segment, and accuracy per record (the pooled vote)."""
    said = probabilities.argmax(axis=1)
    present, pooled = pool_records(probabilities, record)
    truth = np.array([label[record == r][0] for r in present])
    f1, recall = [], {}
    for k, name in enumerate(classes):
        hit = int(np.sum((said == k) & (label == k)))
        positive, of_class = int(np.sum(said == k)), int(np.sum(label == k))
        if of_class:
            recall[name] = hit / of_class
            f1.append(2 * hit / (positive + of_class))
    return {
        "segments": len(label),
        "records": len(present),
        "segment_accuracy": float(np.mean(said == label)),
        "record_accuracy": float(np.mean(pooled.argmax(axis=1) == truth)),
        "macro_f1": float(np.mean(f1)),
        "recall": recall,
    }


def evaluate_side(
    model: Classifier,
    prepared: Prepared,
    *,
    side: str,
    noise: Sequence[str] = (),
    snr_db: Sequence[float] = (),
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Score `model` on "val" or "test": as prepared, and with each noise kind at each SNR added.

    Returns {"clean": scores, "gaussian -4 dB": scores, ...}. Where the file holds noise already nothing is added, and
    each kind and SNR in it is a condition of its own. Empty when that side has no segments.
    """
    rows = prepared.rows(side)
    if not rows.size:
        return {}
    if prepared.has_noise:
        copies = [(f"{kind} {snr:g} dB", rows[mask[rows]]) for kind, snr, mask in prepared.noise_copies()]
        return {name: _score_rows(model, prepared, mine) for name, mine in copies if mine.size}
    out = {"clean": _score_rows(model, prepared, rows)}
    for kind in noise:
        for snr in snr_db:
            out[f"{kind} {snr:g} dB"] = _score_rows(model, prepared, rows, kind=kind, snr_db=snr, seed=seed)
    return out


def _score_rows(
    model: Classifier,
    prepared: Prepared,
    rows: npt.NDArray[np.int64],
    *,
    kind: str = "",
    snr_db: float = 0.0,
    seed: int = 0,
) -> dict[str, Any]:
    label, record, start = prepared.label[rows], prepared.record[rows], prepared.start[rows]
    found = []
    for at in range(0, len(rows), _BATCH):
        part = slice(at, at + _BATCH)
        x = prepared.segments(rows[part])
        if kind:
            x = with_noise(x, kind=kind, snr_db=snr_db, seed=seed, record=record[part], start=start[part])
        found.append(model.probabilities(x))
    return score(np.concatenate(found), label, record, prepared.classes)


def conditions_of(
    prepared: Prepared, rows: npt.NDArray[np.int64], *, noise: Sequence[str] = (), snr_db: Sequence[float] = ()
) -> list[Condition]:
    """Return what `rows` are scored under: clean, then each kind of noise at each SNR; or the file's own noise.

    rows : ascending; without any there is no condition
    """
    if not rows.size:
        return []
    if prepared.has_noise:
        copies = [Condition(rows[mask[rows]], kind, snr, in_file=True) for kind, snr, mask in prepared.noise_copies()]
        return [condition for condition in copies if condition.rows.size]
    return [Condition(rows), *(Condition(rows, kind, float(snr)) for kind in noise for snr in snr_db)]


def logits_under(
    model: Logits,
    prepared: Prepared,
    conditions: Sequence[Condition],
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    known: Known | None = None,
) -> list[npt.NDArray[np.float32]]:
    """Return the logits (segments, classes) of each condition; only a batch of segments is in memory at a time.

    The noise is that of `with_noise`: a segment's depends on nothing but (seed, record, start, kind, SNR).
    known : given a condition, the numbers of a batch of its segments, and what works their logits out, returns them:
        here is the place to remember them
    """
    found: list[list[npt.NDArray[np.float32]]] = [[] for _ in conditions]
    total, done = sum(len(c.rows) for c in conditions), 0
    shared: dict[bytes, list[int]] = {}  # conditions of the same rows: what is read once
    for i, condition in enumerate(conditions):
        shared.setdefault(condition.rows.tobytes(), []).append(i)
    for members in shared.values():
        rows = conditions[members[0]].rows
        for at in range(0, len(rows), _BATCH):
            part = rows[at : at + _BATCH]
            clean: list[npt.NDArray[np.float32]] = []  # read when the first condition asks for it
            for i in members:
                condition = conditions[i]
                work = partial(_logits_of, model, prepared, condition, part, clean, seed)
                found[i].append(work() if known is None else known(condition, part, work))
                done += len(part)
                progress(done, total)
    return [np.concatenate(parts) for parts in found]


def _logits_of(
    model: Logits,
    prepared: Prepared,
    condition: Condition,
    part: npt.NDArray[np.int64],
    clean: list[npt.NDArray[np.float32]],
    seed: int,
) -> npt.NDArray[np.float32]:
    """Return the logits of a batch of segments, which `clean` holds once it was read."""
    if not clean:
        clean.append(prepared.segments(part))
    x = clean[0]
    if condition.kind and not condition.in_file:
        record, start = prepared.record[part], prepared.start[part]
        x = with_noise(x, kind=condition.kind, snr_db=condition.snr_db, seed=seed, record=record, start=start)
    return np.asarray(model.logits(x), np.float32)


def unbroken(prepared: Prepared, rows: npt.NDArray[np.int64], *, most: int) -> npt.NDArray[np.float32]:
    """Return the longest unbroken stretch that segments of one record make, shape (channels, samples), `most` at most.

    rows : ascending, of one record and one side; for files without added noise, not normalised segment by segment
    """
    start = prepared.start[rows]
    joins = np.r_[True, start[1:] > start[:-1] + prepared.segment]
    run = np.cumsum(joins)
    length = [start[run == k][-1] - start[run == k][0] for k in range(1, int(run[-1]) + 1)]
    mine = rows[run == 1 + int(np.argmax(length))]
    start = prepared.start[mine] - prepared.start[mine[0]]
    mine, start = mine[start < most], start[start < most]
    out = np.empty((len(prepared.channels), int(start[-1]) + prepared.segment), np.float32)
    for x, at in zip(prepared.segments(mine), start, strict=True):
        out[:, at : at + prepared.segment] = x
    return out[:, :most]
