"""Splits: nobody stands on two sides, and everybody is trained on."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faultdx.config import PrepareConfig
from faultdx.errors import DatasetError
from faultdx.splits import LEVELS, NAMES, Shares, SplitPlan, Subject, plan_split

FRACTIONS = [(0.6, 0.2, 0.2), (0.5, 0.25, 0.25), (0.7, 0.1, 0.2), (0.2, 0.2, 0.6)]

subjects = st.lists(
    st.builds(
        Subject,
        label=st.sampled_from(["ball", "inner", "normal", "outer"]),
        specimen=st.sampled_from([f"s{i}" for i in range(7)]),
        condition=st.sampled_from([f"c{i}" for i in range(5)]),
    ),
    min_size=1,
    max_size=40,
)
# as a laboratory has them: a specimen has one class
bearings = subjects.map(lambda found: [Subject(s.label, f"{s.label} {s.specimen}", s.condition) for s in found])


def side_of(shares: Shares, fractions: tuple[float, ...]) -> str:
    """Return the side of a record, "time" where it is cut into all three."""
    if shares == fractions:
        return "time"
    whole = {(0.0, 1.0, 0.0): "val", (0.0, 0.0, 1.0): "test"}
    if shares not in whole:
        assert shares[2] == 0  # a record for training gives nothing to test on
        assert shares[0] > 0
    return whole.get(shares, "train")


def config_of(method: str, fractions: tuple[float, ...] = FRACTIONS[0], **more: Any) -> PrepareConfig:
    return PrepareConfig(split=method, fractions=fractions, **more)


def check(found: list[Subject], plan: SplitPlan, fractions: tuple[float, ...]) -> dict[str, list[str]]:
    """Assert what holds for every plan by group; return the side of each record by class."""
    sides = [side_of(shares, fractions) for shares in plan.shares]
    groups: dict[str, set[str]] = defaultdict(set)  # of a class
    for s in found:
        groups[s.label].add(getattr(s, plan.method))
    seen: dict[str, set[str]] = defaultdict(set)
    by_class: dict[str, list[str]] = defaultdict(list)
    for s, side in zip(found, sides, strict=True):
        by_class[s.label].append(side)
        if side == "time":
            assert len(groups[s.label]) == 1
            assert f"class {s.label} has a single {plan.method}: it is split in time within each record" in plan.notes
        else:
            seen[getattr(s, plan.method)].add(side)
    assert all(len(where) == 1 for where in seen.values())
    for label, where in by_class.items():
        assert set(where) & {"train", "time"}, label
        assert "time" not in where or set(where) == {"time"}
    return by_class


@settings(max_examples=300, deadline=None)
@given(found=subjects, method=st.sampled_from(["specimen", "condition"]), seed=st.integers(0, 50), data=st.data())
def test_no_group_on_two_sides_and_every_class_is_trained_on(
    found: list[Subject], method: str, seed: int, data: st.DataObject
) -> None:
    fractions = data.draw(st.sampled_from(FRACTIONS))
    try:
        plan = plan_split(found, config_of(method, fractions, seed=seed))
    except DatasetError as error:
        assert "\n" not in str(error)
        return
    assert plan.method == method
    check(found, plan, fractions)


@settings(max_examples=200, deadline=None)
@given(found=bearings, seed=st.integers(0, 50))
def test_specimens_of_one_class_each_fill_every_side_they_can(found: list[Subject], seed: int) -> None:
    specimens: dict[str, set[str | None]] = defaultdict(set)
    for s in found:
        specimens[s.label].add(s.specimen)
    try:
        plan = plan_split(found, config_of("specimen", seed=seed))
    except DatasetError as error:
        assert "each class has a single specimen" in str(error)
        assert all(len(mine) == 1 for mine in specimens.values())
        return
    by_class = check(found, plan, FRACTIONS[0])
    for label, mine in specimens.items():
        wanted = {1: {"time"}, 2: {"train", "test"}}.get(len(mine), {"train", "val", "test"})
        assert set(by_class[label]) == wanted
    if not any("val" in sides for sides in by_class.values()):  # then it is taken from the training records
        assert all(s[1] > 0 for s in plan.shares if s[0] > 0)
        assert any("too few specimens for a validation group" in note for note in plan.notes)


@settings(max_examples=100, deadline=None)
@given(found=bearings, seed=st.integers(0, 50), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_records_changes_nothing(found: list[Subject], seed: int, shuffle: random.Random) -> None:
    order = list(range(len(found)))
    shuffle.shuffle(order)
    try:
        plan = plan_split(found, config_of("specimen", seed=seed))
    except DatasetError:
        return
    again = plan_split([found[i] for i in order], config_of("specimen", seed=seed))
    assert again.shares == tuple(plan.shares[i] for i in order)
    assert again.notes == plan.notes


@settings(max_examples=200, deadline=None)
@given(found=subjects, seed=st.integers(0, 5))
def test_auto_takes_the_strictest_split_and_says_why(found: list[Subject], seed: int) -> None:
    specimens: dict[str, set[str | None]] = defaultdict(set)
    for s in found:
        specimens[s.label].add(s.specimen)
    fewest = min(len(v) for v in specimens.values())
    try:
        plan = plan_split(found, config_of("auto", seed=seed))
    except DatasetError as error:  # classes that share specimens can use each other's up
        assert fewest >= 3
        assert "left to train on" in str(error)
        return
    assert plan.method == ("specimen" if fewest >= 3 else "time")
    assert plan.level == LEVELS[plan.method]
    assert "specimen" in plan.notes[0]
    if plan.method == "specimen":
        check(found, plan, FRACTIONS[0])
    else:
        assert set(plan.shares) == {FRACTIONS[0]}


def test_auto_without_specimens_splits_in_time() -> None:
    found = [Subject("a", "s1", None), Subject("b", None, None)]
    plan = plan_split(found, config_of("auto"))
    assert plan.method == "time"
    assert "the specimens are not known" in plan.notes[0]


def rig() -> list[Subject]:
    """Three classes, four specimens each, three conditions."""
    return [Subject(c, f"{c}{i}", f"{load}hp") for c in "abc" for i in range(4) for load in range(3)]


def test_named_groups_go_where_they_were_sent() -> None:
    found = rig()
    plan = plan_split(found, config_of("condition", test_on=("2hp",), val_on=("0hp",)))
    expected: dict[str | None, Shares] = {"0hp": (0.0, 1.0, 0.0), "1hp": (0.6, 0.0, 0.0), "2hp": (0.0, 0.0, 1.0)}
    assert plan.shares == tuple(expected[s.condition] for s in found)
    plan = plan_split(found, config_of("specimen", test_on=("a0", "b1", "c3")))
    tested = {s.specimen for s, shares in zip(found, plan.shares, strict=True) if shares[2]}
    assert tested == {"a0", "b1", "c3"}
    assert all(shares[1] == pytest.approx(0.25) for shares in plan.shares if not shares[2])


def test_a_class_of_one_specimen_is_split_in_time_and_the_note_says_so() -> None:
    """As in the CWRU set: one healthy bearing, and several faulty ones."""
    found = [*rig(), Subject("normal", "n", "0hp")]
    plan = plan_split(found, config_of("specimen"))
    assert plan.shares[-1] == FRACTIONS[0]
    assert plan.notes == ("class normal has a single specimen: it is split in time within each record",)


@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        ([Subject("a", None, "c"), Subject("b", "s", "c")], {"split": "specimen"}, "1 of 2 have none"),
        ([Subject("a", "s", None), Subject("b", "s", None)], {"split": "condition"}, "column condition"),
        ([Subject("a", "s", "c"), Subject("b", "t", "c")], {"split": "specimen"}, "each class has a single specimen"),
        (rig(), {"split": "condition", "test_on": ("9hp",)}, "'9hp': no record has this condition; there are 0hp, 1hp"),
        (rig(), {"split": "condition", "val_on": ("x",)}, "--val-on 'x'"),
        (rig(), {"split": "condition", "val_on": ("0hp",), "test_on": ("0hp",)}, "'0hp' is in both"),
        (rig(), {"split": "condition", "test_on": ("0hp", "1hp", "2hp")}, "nothing of class a is left to train on"),
        ([*rig(), Subject("n", "n0", "0hp")], {"split": "condition", "test_on": ("0hp",)}, "nothing of class n"),
    ],
)
def test_splits_that_are_not_possible(found: list[Subject], options: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        plan_split(found, PrepareConfig(**options))
    assert message in str(caught.value)


def test_time_and_random_give_every_record_the_same_shares() -> None:
    for method in ("time", "random"):
        plan = plan_split(rig(), config_of(method, (0.5, 0.25, 0.25), allow_leakage=True))
        assert set(plan.shares) == {(0.5, 0.25, 0.25)}
    assert plan.level.startswith("LEAKING")
    assert NAMES == ("train", "val", "test")


def test_another_seed_deals_other_groups() -> None:
    assert len({plan_split(rig(), config_of("specimen", seed=seed)).shares for seed in range(10)}) > 3
