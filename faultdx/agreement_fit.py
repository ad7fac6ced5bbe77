"""Calibrate network and spectrum as two witnesses, at the end of a training: `agreement` of model.json.

The network's votes are counted on the validation records. The spectrum was trained on nothing, so that what it says of
a training record is as honest as of a new one: it is asked about records of both sides, by bearing and speed, and
what it says is counted beside the truth. The test side is not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.agreement import CONFIDENT, OF_OTHERS, OF_PLACE, Calibration, Heard, Said, Votes
from faultdx.dataset import Prepared
from faultdx.errors import ConfigError
from faultdx.evaluation import Classifier, unbroken
from faultdx.records.record import Record
from faultdx.testimony import Testimony, hear, known_bearing, leaning, place_of
from faultdx.voting import pool_records

MOST_RECORDS = 48  # that the spectrum is asked about, 0.1 to 0.3 s each
LONGEST_S = 10.0  # of a record that is looked at
FEWEST_RECORDS, FEWEST_SPECIMENS = 8, 4  # with a speed that could be followed
_BATCH = 2048  # segments in memory at once
FEWEST_VOTES = 5  # validation records

Heeded = tuple[int, str, Testimony]  # class, specimen, what was heard


def fit(
    model: Classifier,
    prepared: Prepared,
    *,
    bearings: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the `agreement` of model.json; `{"calibrated": False, "why": sentence}` where there is too little.

    bearings : of each record of the table, "" where it is not known; None takes the table's column `bearing`
    """
    records = prepared.records()
    named = [str(b) for b in records.get("bearing", ())] if bearings is None else list(bearings)
    if prepared.has_noise or prepared.config["normalize"] == "zscore":
        return _none("the prepared file holds noise or normalised segments, and no unbroken signal to look at")
    usable = [i for i, rpm in enumerate(records["rpm"]) if i < len(named) and named[i] and np.isfinite(rpm) and rpm > 0]
    if not usable:
        return _none("no record of the prepared file has both its bearing and its speed")
    validation = len(np.unique(prepared.record[prepared.rows("val")]))
    if validation < FEWEST_VOTES:
        return _none(f"it takes {FEWEST_VOTES} validation records or more, and there are {validation}")
    confident, unsure = _votes(model, prepared)
    heard: list[Heeded] = []
    for number in _chosen(prepared, usable):
        heard += _hear(prepared, records, number, named[number])
    specimens = len({specimen for _, specimen, _ in heard})
    if len(heard) < FEWEST_RECORDS or specimens < FEWEST_SPECIMENS:
        return _none(
            f"it takes {FEWEST_RECORDS} records of {FEWEST_SPECIMENS} specimens whose bearing the spectrum can assess, "
            f"and there are {len(heard)} of {specimens}"
        )
    counted = tables(heard, prepared.classes, prepared.healthy)
    unseen = {"specimen": "specimens that were not trained on", "condition": "conditions that were not trained on"}
    seconds = "other seconds of the training recordings"
    whole = not np.isin(prepared.record[prepared.rows("val")], prepared.record[prepared.rows("train")]).any()
    holds_for = unseen.get(str(prepared.split["method"]), seconds) if whole else seconds
    new = whole and prepared.split["method"] == "specimen"
    return Calibration(confident, unsure, new, counted, len(heard), specimens, holds_for).to_dict()


def tables(heard: Sequence[Heeded], classes: Sequence[str], healthy: Sequence[str]) -> Heard:
    """Return what the spectrum says beside which truth; each specimen weighs one.

    heard : (true class, specimen, what the spectrum said) of each record
    """
    sums = {"place": np.zeros(len(OF_PLACE)), "sound": np.zeros(len(OF_OTHERS)), "other": np.zeros(len(OF_OTHERS))}
    by_specimen: Mapping[str, list[Heeded]] = _grouped(heard)
    for mine in by_specimen.values():
        for truth, _, testimony in mine:
            if testimony.witness is None:
                continue
            said, place = Said(*leaning(testimony.witness)), place_of(classes[truth])
            kind = "sound" if classes[truth] in healthy else "other" if place is None else "place"
            word = said.strength if kind != "place" else beside(said, place)
            sums[kind][(OF_PLACE if kind == "place" else OF_OTHERS).index(word)] += 1 / len(mine)
    return Heard(*(tuple(map(float, sums[kind])) for kind in ("place", "sound", "other")))


def beside(said: Said, place: str | None) -> str:
    """Return which of `OF_PLACE` the spectrum said beside damage of `place`."""
    return said.strength if said.place in (None, place) else f"{said.strength}_elsewhere"


def _grouped(heard: Sequence[Heeded]) -> dict[str, list[Heeded]]:
    out: dict[str, list[Heeded]] = defaultdict(list)
    for one in heard:
        out[one[1]].append(one)
    return out


def _none(why: str) -> dict[str, Any]:
    return {"calibrated": False, "why": why}


def _votes(model: Classifier, prepared: Prepared) -> tuple[Votes, Votes]:
    """Count the validation votes that are right, of the confident and of the others; each specimen weighs one.

    Records of one specimen resemble each other: counted one by one, four loads of a bearing would be four witnesses.
    """
    rows = prepared.rows("val")
    if not rows.size:
        return Votes(0, 0), Votes(0, 0)
    record = prepared.record[rows]
    parts = [rows[at : at + _BATCH] for at in range(0, rows.size, _BATCH)]
    p = np.concatenate([model.probabilities(prepared.segments(part)) for part in parts])
    numbers, pooled = pool_records(p, record)
    truth = np.array([prepared.label[rows][record == r][0] for r in numbers])
    right, sure = pooled.argmax(axis=1) == truth, pooled.max(axis=1) >= CONFIDENT
    specimen = np.array(_specimens(prepared))[numbers]
    weight = np.array([1 / np.sum(specimen == s) for s in specimen])
    return tuple(  # type: ignore[return-value]
        Votes(round(float(weight[m & right].sum()), 4), round(float(weight[m].sum()), 4)) for m in (sure, ~sure)
    )


def _chosen(prepared: Prepared, usable: Sequence[int]) -> list[int]:
    """Return the usable records that are asked about: those of validation and training, the specimens in turn."""
    there = np.unique(prepared.record[np.r_[prepared.rows("train"), prepared.rows("val")]])
    specimen, turn = _specimens(prepared), defaultdict[str, int](int)
    order: list[tuple[int, int]] = []
    for number in map(int, np.intersect1d(there, usable)):
        order.append((turn[specimen[number]], number))
        turn[specimen[number]] += 1
    return [number for _, number in sorted(order)[:MOST_RECORDS]]


def _specimens(prepared: Prepared) -> list[str]:
    """Return the specimen of each record; records of one class that name none count as one specimen."""
    records = prepared.records()
    return [str(s) or f"of {label}" for s, label in zip(records["specimen"], records["label"], strict=True)]


def _hear(prepared: Prepared, records: Mapping[str, npt.NDArray[Any]], number: int, bearing: str) -> list[Heeded]:
    """Return what the spectrum says of the longer of a record's two parts; nothing where it cannot assess that."""
    try:
        known = known_bearing(bearing)
    except ConfigError:
        return []
    sides = [rows[prepared.record[rows] == number] for rows in (prepared.rows("train"), prepared.rows("val"))]
    rows = max(sides, key=len)
    rate = prepared.sampling_rate_hz
    signal = unbroken(prepared, rows, most=int(LONGEST_S * rate))
    found = hear(Record(signal, rate, rpm=float(records["rpm"][number]), channels=prepared.channels), known)
    if found.witness is None or found.witness.verdict == "not_assessable":
        return []
    return [(int(prepared.label[rows[0]]), _specimens(prepared)[number], found)]
