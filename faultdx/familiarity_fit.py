"""Fit the familiarity of a model: class centres, covariance and limits, from its training and validation records.

The protocol is docs/familiarity.md's. Limits are set by record, on records that the fit had not seen: the validation
records, and each training record while the specimen, condition or recording that it belongs to is left out of its
class. Nothing of the test side is looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from faultdx.conformal import stated
from faultdx.dataset import Prepared
from faultdx.errors import RecordError
from faultdx.evaluation import unbroken
from faultdx.familiarity import MOST_COLUMNS, Space
from faultdx.signals.noise import add_noise
from faultdx.signals.quality import assess, fired
from faultdx.signals.statistics import describe, names, offsets
from faultdx.voting import pool

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Each of the two distances may raise a false alarm in 1 % of the records, so that both together do in 2 % at most.
ALARMS = 0.01
_CONFIDENCE = 0.9  # that the limit is not too low for that, given how few records it is estimated from
FEWEST = 5  # records; fewer carry no limit
_BANDS = 24
_MOST_SEGMENTS = 4000  # of each side, before noise is added; evenly over the records
_PROJECTED = 64  # of a description with more than 96 columns the directions of largest variance
_FOLDS = 5
_MOST_CHECKED, _CHECKED_S = 64, 10.0  # recordings whose signal is checked, and how much of each
_BATCH = 256
# A statistic that hardly varies in training (a simulated rig's) is given this much: what two sensors differ by.
_LEAST_SPREAD = 0.05


class WithFeatures(Protocol):
    """A model that tells its probabilities and its penultimate features."""

    def outputs(self, segments: npt.NDArray[np.float32]) -> tuple[Floats, Floats | None]:
        """(segments, channels, samples) -> (segments, classes), (segments, width) or None."""
        ...


@dataclass(frozen=True, eq=False)
class Described:
    """Segments of one side, each as recorded and once more with noise; all arrays have a row a segment.

    record : of the records table; copy : 0 as recorded, and a number for each noise that was added
    """

    views: dict[str, Floats]
    probabilities: Floats
    label: Ints
    record: Ints
    copy: Ints
    offset: Floats

    @property
    def vote(self) -> Ints:
        """The record and copy that each row belongs to, as one number: a copy votes as a record of its own."""
        return self.record * (int(self.copy.max(initial=0)) + 1) + self.copy


def fit(
    model: WithFeatures,
    prepared: Prepared,
    *,
    noise: Sequence[str],
    snr_db: tuple[float, float],
    polarity: bool,
    seed: int,
) -> dict[str, Any]:
    """Return the `familiarity` of model.json; `{"assessed": False, "why": sentence}` where there is too little.

    noise, snr_db, polarity : what the training added and turned, so that it is familiar
    """
    classes, records = len(prepared.classes), prepared.records()
    if classes > MOST_COLUMNS:
        return {"assessed": False, "why": f"it is fitted for {MOST_COLUMNS} classes at most, and there are {classes}"}
    bands = bands_for(len(prepared.channels), prepared.segment)
    how: dict[str, Any] = {"noise": noise, "snr_db": snr_db, "bands": bands}
    train = describe_side(model, prepared, "train", seed=seed, polarity=polarity, **how)
    val = describe_side(model, prepared, "val", seed=seed + 1, **how)
    folds, basis = held_out(train, records)
    n = len(np.unique(val.record)) + len(np.unique(train.record[folds >= 0]))
    if n < FEWEST:
        return {"assessed": False, "why": f"it takes {FEWEST} records or more to set a limit, and there are {n}"}
    columns = names(bands, channels=len(prepared.channels), sampling_rate_hz=prepared.sampling_rate_hz)
    entry: dict[str, Any] = {
        "assessed": True,
        "bands": bands,
        "offset": round(max(float(train.offset[train.record == r].mean()) for r in np.unique(train.record)), 4),
        "limits_from": {
            "records": n,
            "validation": len(np.unique(val.record)),
            "left_out": basis,
            "false_alarms_wanted": 2 * ALARMS,
            "rank_supports": _digits(1 / (n + 1)),
        },
        "conformal": conformal(train, val, records, str(prepared.split["method"])),
        "checks": usual_checks(prepared, records),
    }
    for name, view in train.views.items():
        if view.shape[1] > MOST_COLUMNS:  # no network of faultdx is so wide unless somebody asked for it
            continue
        floor = _LEAST_SPREAD if name == "statistics" else 0.0
        centres, whiten = cloud(view, train.label, classes, floor=floor)
        found = [_distances(Space(centres, whiten, 1.0, 1.0), val, name)]
        for fold in range(int(folds.max(initial=-1)) + 1):
            rest = folds != fold
            part = Space(*cloud(view[rest], train.label[rest], classes, floor=floor), 1.0, 1.0)
            found.append(_distances(part, train, name, ~rest))
        distance, size, copy = (np.concatenate(column) for column in zip(*found, strict=True))
        limit = limit_of(distance, n, plain=copy == copy.min())
        entry[name] = Space(centres, whiten, limit, float(np.median(size))).to_dict()
    assert len(columns) == train.views["statistics"].shape[1]
    return entry


def usual_checks(prepared: Prepared, records: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return which checks of a signal fire on the recordings of training and validation, and of how many.

    `usual`: those that fire on more than 1 % of them, and so say nothing of a new one; None where the file holds no
    unbroken signal. The first ten seconds of 64 recordings at most are looked at.
    """
    if prepared.has_noise or prepared.config["normalize"] == "zscore":
        return {"usual": None, "records": 0}
    rows = np.r_[prepared.rows("train"), prepared.rows("val")]
    numbers = np.unique(prepared.record[rows])
    numbers = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), _MOST_CHECKED)).astype(int))]
    rate, count = prepared.sampling_rate_hz, dict[str, int]()
    for number in numbers:
        rpm = float(records["rpm"][number])
        sides = [prepared.rows(side) for side in ("train", "val")]
        mine = max((side[prepared.record[side] == number] for side in sides), key=len)
        x = unbroken(prepared, mine, most=int(_CHECKED_S * rate))
        try:
            checks = assess(x, sampling_rate_hz=rate, rpm=rpm if np.isfinite(rpm) and rpm > 0 else None)
        except RecordError:  # an impossible rate or speed: nothing can be said of its signal
            continue
        for check in fired(checks):
            count[check.name] = count.get(check.name, 0) + 1
    return {"usual": sorted(k for k, n in count.items() if n > ALARMS * len(numbers)), "records": len(numbers)}


def bands_for(channels: int, samples: int) -> int:
    """Return the number of bands: fewer where there are more channels, so that the covariance stays small."""
    wanted = _BANDS if channels == 1 or channels > 8 else _BANDS // 2 if channels <= 4 else _BANDS // 4
    return max(2, min(wanted, samples // 16))


def describe_side(
    model: WithFeatures,
    prepared: Prepared,
    side: str,
    *,
    noise: Sequence[str],
    snr_db: tuple[float, float],
    bands: int,
    seed: int,
    polarity: bool = False,
) -> Described:
    """Describe the segments of "train" or "val", as prepared, and with noise.

    For the fit each training segment comes once more with noise of a random kind at a random SNR, as the sampler
    draws it. Validation records come once more with each kind, at one SNR a record: as a noisy place would be.
    polarity : the sign of each segment is drawn at random
    """
    rows = prepared.rows(side)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MOST_SEGMENTS)).astype(int))]
    rng = np.random.default_rng([seed, 0xFA])
    noise = () if prepared.has_noise else tuple(noise)
    record = prepared.record[rows]
    in_file = np.zeros(len(rows), np.int64)  # noise that the file holds already
    for i, (_, _, mask) in enumerate(prepared.noise_copies()):
        in_file[mask[rows]] = 1 + i
    of_record = {int(r): rng.uniform(*snr_db, size=max(1, len(noise))) for r in np.unique(record)}
    kind, snr = rng.integers(0, max(1, len(noise)), len(rows)), rng.uniform(*snr_db, size=len(rows))
    found: list[tuple[npt.NDArray[Any], ...]] = []
    for at in range(0, len(rows), _BATCH):
        part = slice(at, at + _BATCH)
        clean = prepared.segments(rows[part])
        clean = clean * rng.choice(np.array([-1, 1], np.float32), size=(len(clean), 1, 1)) if polarity else clean
        copies = [(in_file[part], clean)]
        if noise and side == "train":
            x = [
                add_noise(s, kind=noise[k], snr_db=float(d), rng=rng)
                for s, k, d in zip(clean, kind[part], snr[part], strict=True)
            ]
            copies.append((1 + kind[part], np.stack(x)))
        elif noise:
            for i, name in enumerate(noise):
                levels = [float(of_record[int(r)][i]) for r in record[part]]
                x = [add_noise(s, kind=name, snr_db=d, rng=rng) for s, d in zip(clean, levels, strict=True)]
                copies.append((np.full(len(clean), 1 + i), np.stack(x)))
        for copy, segments in copies:
            p, features = model.outputs(segments)
            facts = (prepared.label[rows[part]], record[part], copy, offsets(segments), p)
            found.append((*facts, describe(segments, bands=bands), *(() if features is None else (features,))))
    if not found:
        empty = np.zeros(0, np.int64)
        return Described({}, np.zeros((0, len(prepared.classes))), empty, empty, empty, np.zeros(0))
    label, number, copy, off, p, *views = (np.concatenate(column) for column in zip(*found, strict=True))
    by_name = dict(zip(("statistics", "features"), (v.astype(np.float64) for v in views), strict=False))
    return Described(by_name, p, label, number, copy, off)


def ledoit_wolf(x: Floats) -> tuple[Floats, float]:
    """Return the covariance of the rows of `x`, shrunk towards a multiple of the identity, and by how much (0..1).

    Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate
    Analysis 88(2), eq. 14. x : (samples, d), about any mean
    """
    n, d = x.shape
    x = x - x.mean(axis=0)
    sample = x.T @ x / n
    target = np.trace(sample) / d
    square = x * x
    spread = float(((square.T @ square) / n - sample**2).sum()) / n
    distance = float(((sample - target * np.eye(d)) ** 2).sum())
    shrink = min(1.0, spread / distance) if distance > 0 else 1.0
    return (1 - shrink) * sample + shrink * target * np.eye(d), shrink


def cloud(x: Floats, label: Ints, classes: int, *, floor: float = 0.0) -> tuple[Floats, Floats]:
    """Return the class centres (classes, d) and the whitening (m, d) of the scatter about them, one for all classes.

    floor : the least standard deviation of a column; besides, none is below a twentieth of their median
    A class without a segment gets the mean of all. m = d, or 64 where d is above 96.
    """
    overall = x.mean(axis=0)
    centres = np.stack([x[label == k].mean(axis=0) if np.any(label == k) else overall for k in range(classes)])
    about = x - centres[label]
    spread = about.std(axis=0)
    least = max(floor, 0.05 * float(np.median(spread[spread > 0], axis=0)) if np.any(spread > 0) else 1.0)
    scale = np.maximum(spread, least)
    covariance, _ = ledoit_wolf(about / scale)
    covariance[np.diag_indices_from(covariance)] += 1 - (spread / scale) ** 2  # what the floor adds
    if len(scale) <= 96:
        root = np.linalg.inv(np.linalg.cholesky(covariance))
        return centres, np.tril(root) / scale
    everything = (x - overall) / scale
    values, vectors = np.linalg.eigh(everything.T @ everything)
    basis = vectors[:, np.argsort(values)[-_PROJECTED:]]
    root = np.linalg.inv(np.linalg.cholesky(basis.T @ covariance @ basis))
    return centres, root @ basis.T / scale


def held_out(train: Described, records: dict[str, npt.NDArray[Any]]) -> tuple[Ints, dict[str, int]]:
    """Return which fold each training segment is left out in, -1 for never; and how many classes by what.

    A class is dealt by specimen where it has two or more, else by condition, else by record; a class of a single
    record is in every fold.
    """
    folds = np.full(len(train.record), -1, np.int64)
    basis: dict[str, int] = {}
    for k in np.unique(train.label):
        mine = np.flatnonzero(train.label == k)
        for by in ("specimen", "condition", "record"):
            group = train.record[mine].astype(str) if by == "record" else records[by][train.record[mine]]
            there = sorted({str(g) for g in group})
            if len(there) > 1 and "" not in there:
                number = {g: i % _FOLDS for i, g in enumerate(there)}
                folds[mine] = [number[str(g)] for g in group]
                basis[by] = basis.get(by, 0) + 1
                break
    return folds, basis


def _groups(side: Described, chosen: npt.NDArray[np.bool_] | None) -> list[npt.NDArray[np.bool_]]:
    mask = np.ones(len(side.vote), np.bool_) if chosen is None else chosen
    return [mask & (side.vote == v) for v in np.unique(side.vote[mask])]


def _distances(
    space: Space, side: Described, name: str, chosen: npt.NDArray[np.bool_] | None = None
) -> tuple[Floats, Ints, Ints]:
    """Return of each record and copy the distance to the nearest class, its segments and which copy it is."""
    groups = _groups(side, chosen)
    distance = [float(space.distances(side.views[name][m].mean(axis=0)).min()) for m in groups]
    size, copy = [int(m.sum()) for m in groups], [int(side.copy[m][0]) for m in groups]
    return np.array(distance), np.array(size, np.int64), np.array(copy, np.int64)


def limit_of(distances: Floats, records: int, *, plain: npt.NDArray[np.bool_]) -> float:
    """Return the limit that at most a share ALARMS of new records exceeds, with 90 % confidence, from so many records.

    The logarithms are taken for normal, and the limit is their one-sided tolerance limit, mean + k s. Where there are
    99 records or more, rank alone supports that rate: the limit is then no lower than the distance of that rank, among
    all and among the `plain` ones, to which no noise was added.
    """
    logs = np.log(np.maximum(distances, 1e-6))
    limit = math.exp(float(logs.mean()) + tolerance_factor(records) * max(float(logs.std(ddof=1)), 1e-3))
    if records >= round(1 / ALARMS) - 1:
        for these in (distances, distances[plain]):
            rank = min(len(these), math.ceil((len(these) + 1) * (1 - ALARMS)))
            limit = max(limit, float(np.sort(these)[rank - 1]))
    return limit


def tolerance_factor(n: int, *, share: float = 1 - ALARMS, confidence: float = _CONFIDENCE) -> float:
    """Return k for which mean + k s of n normal values is above a `share` of all, with that confidence.

    Natrella 1963, "Experimental statistics", NBS Handbook 91, section 2-2.3: within a few per cent of the exact one,
    by the noncentral t distribution, from n = 5 on.
    """
    from statistics import NormalDist

    p, g = NormalDist().inv_cdf(share), NormalDist().inv_cdf(confidence)
    a, b = 1 - g * g / (2 * (n - 1)), p * p - g * g / n
    return (p + math.sqrt(max(0.0, p * p - a * b))) / a


def conformal(train: Described, val: Described, records: dict[str, npt.NDArray[Any]], split: str) -> dict[str, Any]:
    """Return the `conformal` of model.json, from the validation records without added noise: `faultdx.conformal`."""
    lowest = int(val.copy.min(initial=0))
    groups = _groups(val, val.copy == lowest)
    numbers = [int(val.record[m][0]) for m in groups]
    p = np.array([pool(val.probabilities[m]) for m in groups]).reshape(len(groups), -1)
    facts = {key: [str(records[key][r]) for r in numbers] for key in ("specimen", "condition")}
    trained = frozenset(str(records["specimen"][r]) for r in np.unique(train.record))
    return stated(p, [int(val.label[m][0]) for m in groups], facts, split=split, trained=trained)


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
