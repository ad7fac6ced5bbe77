"""A bearing diagnosed without a model: what the spectrum says, how it is said, and the network beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from helpers import Trained, validate

from faultdx.diagnosis import Diagnosis, reached
from faultdx.errors import ConfigError
from faultdx.model import load_model
from faultdx.records import find_records
from faultdx.records.record import Record
from faultdx.records.source import read_item
from faultdx.report.document import to_dict, to_json
from faultdx.report.html import render
from faultdx.report.text import headline, limits, one_line, sentence, table_rows
from faultdx.signals.quality import Check
from faultdx.simulation.rig import simulate
from faultdx.testimony import agreement, hear, known_bearing, place_of
from faultdx.untrained import CLASSES, Untrained

SKF_6205 = "9,0.3126,1.537"


@pytest.fixture(scope="module")
def rig() -> dict[str, Record]:
    """One record of each class, 6 s, by label."""
    found: dict[str, Record] = {}
    for record in simulate("bearing", specimens=1, seconds=6.0, seed=3):
        found.setdefault(str(record.label), record)
    return found


# ---- naming a bearing


def test_a_bearing_is_named_by_designation_or_by_geometry() -> None:
    by_name, by_numbers = known_bearing("6205-2RS JEM"), known_bearing("9, 7.94, 39.04")
    assert by_name.geometry.bpfi == pytest.approx(5.4152, abs=1e-4)  # of the Bearing Data Center's table
    assert by_numbers.geometry.bpfi == pytest.approx(5.4152, abs=1e-3)
    assert known_bearing("9,7.94,39.04,15").geometry.contact_angle_deg == 15


@pytest.mark.parametrize("text", ["6205", "SKF 6205-2RS", "62052RS", "6205-ZZ C3", " 6205/c3"])
def test_suffixes_and_makers_do_not_hide_a_bearing(text: str) -> None:
    assert known_bearing(text).geometry.rolling_elements == 9


@pytest.mark.parametrize("text", ["HK6205", "6205x", "16205", "620", "6205\n\x1b[31mX"])
def test_another_bearing_is_not_taken_for_one_that_is_known(text: str) -> None:
    with pytest.raises(ConfigError):
        known_bearing(text)


@pytest.mark.parametrize(
    "text", ["", "no such bearing", "9,7.94", "9.5,7.94,39", "9,39,7.94", "nan,1,2", "9,x,39", "inf,1,2"]
)
def test_what_is_no_bearing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        known_bearing(text)


# ---- what is said


@pytest.mark.parametrize("label", ["inner_race", "outer_race", "ball"])
def test_a_fault_is_located_without_any_training(rig: dict[str, Record], label: str) -> None:
    found = Untrained(known_bearing(SKF_6205)).diagnose(rig[label])
    assert (found.status, found.verdict, found.fault) == ("diagnosed", label, True)
    assert found.confidence is None and found.probabilities == {}
    seen = found.evidence["witness"]
    assert seen["place"] == label
    order = {"inner_race": "bpfi", "outer_race": "bpfo", "ball": "2bsf"}[label]
    (named,) = [h for h in seen["hypotheses"] if h["place"] == label]
    assert named["found_order"] == pytest.approx(seen["bearing"]["orders"][order], rel=0.02)


def test_a_healthy_record_shows_no_evidence_which_is_no_all_clear(rig: dict[str, Record]) -> None:
    found = Untrained(known_bearing(SKF_6205)).diagnose(rig["healthy"])
    assert (found.status, found.verdict, found.fault) == ("diagnosed", "no_evidence", None)
    assert "no all-clear" in sentence(found)
    assert found.evidence["witness"]["smallest_depth_seen"] > 0


def test_another_bearings_geometry_finds_nothing_in_an_inner_race_fault(rig: dict[str, Record]) -> None:
    found = Untrained(known_bearing("13,7.5,38.5")).diagnose(rig["inner_race"])
    assert found.verdict != "inner_race"


def test_too_short_a_record_is_undecided_with_the_reason(rig: dict[str, Record]) -> None:
    record = rig["inner_race"]
    found = Untrained(known_bearing(SKF_6205)).diagnose(record.with_(signal=record.signal[:, :4000]), quality="off")
    assert (found.status, found.verdict, found.fault) == ("undecided", None, None)
    assert "turns" in one_line(found)


def test_without_a_speed_or_a_bearing_it_is_unusable_and_says_what_is_missing(rig: dict[str, Record]) -> None:
    known, record = Untrained(known_bearing(SKF_6205)), rig["outer_race"]
    assert [c.name for c in known.diagnose(record.with_(rpm=None)).quality][-1:] == ["speed"]
    found = Untrained().diagnose(record.with_(details={}))
    assert found.status == "unusable" and "--bearing" in one_line(found)
    found = Untrained().diagnose(record.with_(details={"bearing": SKF_6205}))
    assert found.verdict == "outer_race"
    found = Untrained().diagnose(record.with_(details={"bearing": "no such bearing"}))
    assert found.status == "unusable" and "catalogue" in one_line(found)


def test_a_broken_signal_is_unusable_as_with_a_model(rig: dict[str, Record]) -> None:
    record = rig["outer_race"]
    clipped = np.clip(record.signal, -record.signal.std() / 4, record.signal.std() / 4)
    assert Untrained(known_bearing(SKF_6205)).diagnose(record.with_(signal=clipped)).status == "unusable"


def test_the_channel_that_says_most_is_heard(rig: dict[str, Record]) -> None:
    fault, healthy = rig["inner_race"], rig["healthy"]
    n = min(fault.signal.shape[1], healthy.signal.shape[1])
    both = np.concatenate([healthy.signal[:, :n], fault.signal[:, :n]])
    found = Untrained(known_bearing(SKF_6205)).diagnose(fault.with_(signal=both, channels=("far", "near")))
    assert found.verdict == "inner_race"
    assert found.evidence["witness"]["channel"] == "near"


@pytest.mark.parametrize("label", ["inner_race", "outer_race", "ball"])
def test_a_speed_that_the_spectrum_contradicts_places_nothing_wrong(rig: dict[str, Record], label: str) -> None:
    record = rig[label]
    assert record.rpm is not None
    doubt = Check("speed", 0.35, 0.01, "warn", "the spectrum shows another shaft")
    for factor in (0.6, 0.8, 1.25, 1.5):
        heard = hear(record.with_(rpm=factor * record.rpm), known_bearing(SKF_6205), checks=[doubt])
        assert heard.witness is not None and heard.witness.speed is not None
        # a comb near the stated speed confirms nothing where a better one is far off
        assert heard.witness.verdict == "not_assessable" and "in doubt" in heard.witness.reasons[0]
        assert heard.witness.place is None
    small = Check("speed", 0.03, 0.01, "warn", "the spectrum shows it 3 % off")
    near = hear(record.with_(rpm=1.03 * record.rpm), known_bearing(SKF_6205), checks=[small]).witness
    assert near is not None and near.place == label  # the witness has found that itself


# ---- how it is shown


@pytest.mark.parametrize("label", ["inner_race", "healthy"])
def test_json_page_table_and_line_say_the_same(rig: dict[str, Record], label: str) -> None:
    model = Untrained(known_bearing(SKF_6205))
    found = model.diagnose(rig[label])
    schema = json.loads(resources.files("faultdx").joinpath("schema", "diagnosis-1.json").read_text("utf-8"))
    validate(json.loads(to_json(found)), schema, schema)
    assert to_dict(found)["evidence"]["witness"]["verdict"] in ("located", "no_evidence")
    what = headline(found)[2]
    page = render(found, model_info=dict(model.info) | model.summary)
    assert what in page and what in one_line(found)
    assert "The bearing in the spectrum" in page and "<svg" in page
    assert "confidence" not in one_line(found)
    assert table_rows([found])[1][0][1] == found.verdict
    assert any("no all-clear" in said for said in limits(found, model_info=model.info))
    assert "class" not in sentence(found)


def test_its_digest_tells_its_bearing_and_its_limits() -> None:
    digests = {Untrained(b).digest for b in (None, known_bearing(SKF_6205), known_bearing("9,0.3127,1.537"))}
    assert len(digests) == 3
    assert Untrained(known_bearing(SKF_6205)).digest in digests
    assert set(Untrained.classes) == set(CLASSES)


# ---- beside a network


def test_places_are_read_from_the_names_of_classes() -> None:
    assert place_of("inner_race_007") == "inner_race"
    assert place_of("Outer-Race") == "outer_race"
    assert place_of("ball") == "ball"
    assert place_of("roller_wear") == "ball"
    assert [place_of(name) for name in ("normal", "broken_tooth", "", None)] == [None] * 4


def test_agreement_is_by_place_and_silence_contradicts_nobody(rig: dict[str, Record]) -> None:
    bearing = known_bearing(SKF_6205)
    inner, healthy = hear(rig["inner_race"], bearing), hear(rig["healthy"], bearing)
    said: Callable[..., str] = lambda heard, verdict, fault: agreement(heard, verdict=verdict, fault=fault)[0]  # noqa: E731
    assert said(inner, "inner_race_014", True) == "agree"
    assert said(inner, "outer_race_014", True) == "disagree"
    assert said(inner, "normal", False) == "disagree"
    assert said(inner, "imbalance", True) == "agree"  # the place is not compared where the class names none
    assert said(inner, None, None) == "alone"
    assert said(inner, "left", None) == said(healthy, None, None) == "silent"
    assert said(healthy, "inner_race", True) == said(healthy, "normal", False) == "silent"


def test_an_all_clear_that_the_spectrum_contradicts_is_none(rig: dict[str, Record], trained: Trained) -> None:
    model = load_model(trained.run, bearing=known_bearing(SKF_6205))
    record = rig["inner_race"]
    clear = Diagnosis(record.path, record.sha256, "diagnosed", verdict="healthy", fault=False, confidence=0.9)
    found = model._heard(clear, record, 0.5)
    assert (found.status, found.verdict, found.fault) == ("undecided", None, True)
    assert any("inner race" in warning for warning in found.warnings)
    assert (
        headline(found)[:2] == ("bad", "fault") and "inner race" in one_line(found) and "inner race" in sentence(found)
    )
    insisted = model._heard(clear, record, 0.0)
    assert insisted.verdict == "healthy" and insisted.evidence["witness"]["with_the_network"] == "disagree"
    fault = replace(clear, verdict="outer_race", fault=True)
    kept = model._heard(fault, record, 0.5)
    assert kept.verdict == "outer_race" and kept.fault is True  # a fault is never taken away
    assert any("network says outer_race" in warning for warning in kept.warnings)


def test_where_the_network_has_no_verdict_damage_that_the_spectrum_shows_is_a_fault(
    rig: dict[str, Record], trained: Trained
) -> None:
    model = load_model(trained.run, bearing=known_bearing(SKF_6205))
    for status in ("undecided", "unfamiliar"):
        silent = Diagnosis("x", "", status, confidence=0.4, probabilities={"healthy": 0.4, "ball": 0.3}, segments=3)
        found = model._heard(silent, rig["outer_race"], 0.5)
        assert (found.status, found.verdict, found.fault) == (status, None, True)
        assert reached(found, {"fault"}) and "outer race" in one_line(found)
        assert found.evidence["witness"]["with_the_network"] == "alone"
        unheard = model._heard(silent, rig["healthy"], 0.5)
        assert unheard.fault is None and unheard.evidence["witness"]["with_the_network"] == "silent"


def test_a_network_with_a_bearing_gives_both_witnesses(trained: Trained) -> None:
    model = load_model(trained.run, bearing=known_bearing(SKF_6205))
    (item,) = find_records([str(trained.unseen / "501.mat")])
    found = model.diagnose_item(item)
    assert found.evidence["witness"]["with_the_network"] in ("agree", "disagree", "silent")
    assert found.confidence is not None
    unheard = model.diagnose(read_item(item).with_(rpm=None))
    assert any("bearing was not looked at" in warning for warning in unheard.warnings)


# ---- real recordings


@pytest.mark.real_data
def test_on_real_recordings_what_is_located_is_where_it_is(real_data: Path) -> None:
    model = Untrained(known_bearing("6205-2RS JEM"))
    right = named = 0
    for number in ("105", "130", "185", "209", "234", "97", "197"):
        (item,) = find_records([str(real_data / "cwru" / f"{number}.mat")])
        found = model.diagnose_item(item)
        label = (found.record.label if found.record else "") or ""
        if found.verdict in ("inner_race", "outer_race", "ball"):
            named += 1
            right += label.startswith(found.verdict)
        if label == "normal":
            assert found.fault is not True
    assert right == named >= 5
