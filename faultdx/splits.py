"""Who is trained on, who chooses, who tests: split before segmenting, by the strictest rule the records allow.

Three levels of honesty (what the test side has never seen): other seconds of the same recordings (time), an
operating condition (condition), a physical bearing or gear (specimen). A random split of segments is none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from faultdx.config import PrepareConfig
from faultdx.errors import DatasetError

NAMES = ("train", "val", "test")
Shares = tuple[float, float, float]

LEVELS = {
    "time": "within record: the test part is other seconds of the same recordings",
    "condition": "across conditions: the test part is conditions never trained on, of the same specimens",
    "specimen": "across specimens: the test part is specimens never trained on",
    "random": "LEAKING: segments of one recording on both sides; not a measure of diagnosis",
}


@dataclass(frozen=True)
class Subject:
    """What a split needs to know of a record."""

    label: str
    specimen: str | None
    condition: str | None


@dataclass(frozen=True)
class SplitPlan:
    """For each record the shares of its time that go to (train, val, test); (0, 0, 1) is a record wholly for test."""

    method: str
    shares: tuple[Shares, ...]
    notes: tuple[str, ...] = ()

    @property
    def level(self) -> str:
        """What the test side has never seen, in words."""
        return LEVELS[self.method]


def plan_split(subjects: Sequence[Subject], config: PrepareConfig) -> SplitPlan:
    """Decide for each record which part of it is trained on, chosen on, tested on.

    Raises DatasetError where the records do not allow the split that was asked for, with what would be possible.
    """
    method = config.split
    notes: list[str] = []
    if method == "auto":
        method, why = _strictest(subjects)
        try:
            found = plan_split(subjects, replace(config, split=method))
            return replace(found, notes=(why, *found.notes))
        except DatasetError as error:  # specimens shared by classes so that no fair deal was found
            method = "time"
            notes.append(f"split in time within each record: {error}")
    fractions: Shares = (config.fractions[0], config.fractions[1], config.fractions[2])
    if method in ("time", "random"):
        return SplitPlan(method, (fractions,) * len(subjects), tuple(notes))
    groups = [getattr(s, method) for s in subjects]
    if any(g is None for g in groups):
        missing = sum(g is None for g in groups)
        raise DatasetError(
            f"a split by {method} needs the {method} of every record, and {missing} of {len(groups)} have none: "
            f"give it in a records table (column {method}), or use --split time"
        )
    _check_named(method, groups, config)
    sides, more = _sides(subjects, groups, config)
    notes += more
    train, val = fractions[:2]
    for_training: Shares = (train, 0.0, 0.0)
    if not any(side == "val" for side in sides) and val > 0:
        for_training = (train / (train + val), val / (train + val), 0.0)
        notes.append(f"too few {method}s for a validation group: validation is the last part of each training record")
    table: dict[str, Shares] = {
        "train": for_training,
        "val": (0.0, 1.0, 0.0),
        "test": (0.0, 0.0, 1.0),
        "time": fractions,
    }
    return SplitPlan(method, tuple(table[side] for side in sides), tuple(notes))


def _strictest(subjects: Sequence[Subject]) -> tuple[str, str]:
    """Return the strictest split that the records allow, and why."""
    known = all(s.specimen is not None for s in subjects)
    specimens: dict[str, set[str]] = defaultdict(set)
    for s in subjects:
        specimens[s.label].add(s.specimen or "")
    fewest = min((len(v), k) for k, v in specimens.items())
    if known and fewest[0] >= 3:
        return "specimen", "split by specimen: every class has three specimens or more"
    if not known:
        return "time", "split in time within each record: the specimens are not known (column specimen)"
    return "time", (
        f"split in time within each record: class {fewest[1]} has only {fewest[0]} "
        f"specimen{'s' if fewest[0] > 1 else ''}"
    )


def _check_named(method: str, groups: Sequence[str], config: PrepareConfig) -> None:
    for option, names in (("test-on", config.test_on), ("val-on", config.val_on)):
        for name in names:
            if name not in groups:
                there = ", ".join(sorted(set(groups))[:12])
                raise DatasetError(f"--{option} {name!r}: no record has this {method}; there are {there}")
    both = set(config.test_on) & set(config.val_on)
    if both:
        raise DatasetError(f"{sorted(both)[0]!r} is in both --test-on and --val-on")


def _sides(subjects: Sequence[Subject], groups: Sequence[str], config: PrepareConfig) -> tuple[list[str], list[str]]:
    """Return each record's side ("train", "val", "test", or "time" where its class has a single group), and notes.

    Groups are dealt class by class, so that every class is on every side it can be on; a group that holds several
    classes is dealt once. Which group goes where is drawn from the seed, unless the user named them.
    """
    labels_of: dict[str, set[str]] = defaultdict(set)
    for subject, group in zip(subjects, groups, strict=True):
        labels_of[group].add(subject.label)
    rng = np.random.default_rng([config.seed, 0x5917])
    side: dict[str, str] = dict.fromkeys(config.test_on, "test") | dict.fromkeys(config.val_on, "val")
    named = frozenset(side)
    alone: list[str] = []
    for label in sorted({s.label for s in subjects}):
        mine = sorted(g for g, labels in labels_of.items() if label in labels)
        if len(mine) == 1 and mine[0] not in named:
            alone.append(label)
            continue
        free = [mine[i] for i in rng.permutation(len(mine)) if mine[i] not in side]
        if not named:
            _deal(side, mine, free, config.fractions)
        for group in free:
            side.setdefault(group, "train")
    if alone and len(alone) == len({s.label for s in subjects}):
        raise DatasetError(
            f"a split by {config.split} is not possible: each class has a single {config.split}; use --split time, "
            "or --labels with a column that has fewer classes"
        )
    notes = [f"class {label} has a single {config.split}: it is split in time within each record" for label in alone]
    out = ["time" if s.label in alone else side[g] for s, g in zip(subjects, groups, strict=True)]
    for label in sorted({s.label for s in subjects}):
        mine_sides = {o for s, o in zip(subjects, out, strict=True) if s.label == label}
        if not mine_sides & {"train", "time"}:
            cure = (
                "name fewer groups in --test-on and --val-on"
                if named
                else f"other classes that share its {config.split}s sent them elsewhere; try another --seed, or name "
                "groups in --test-on and --val-on"
            )
            raise DatasetError(f"nothing of class {label} is left to train on; {cure}")
    return out, notes


def _deal(side: dict[str, str], mine: Sequence[str], free: list[str], fractions: Sequence[float]) -> None:
    """Deal the free groups of one class: at least one to test, one to val where three or more, the rest to train."""
    n = len(mine)
    wanted = {
        "test": max(1, round(fractions[2] * n)) if fractions[2] > 0 else 0,
        "val": max(1, round(fractions[1] * n)) if n >= 3 and fractions[1] > 0 else 0,
    }
    have_train = any(side.get(g) == "train" for g in mine)
    for name in ("test", "val"):
        while free and sum(side.get(g) == name for g in mine) < wanted[name] and (have_train or len(free) > 1):
            side[free.pop()] = name
