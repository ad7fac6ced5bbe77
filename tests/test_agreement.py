"""Network and spectrum as two witnesses: the arithmetic, what is counted, and what a reader sees of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers import Trained, diagnosis_schema, faultdx, model_with, validate

from faultdx import agreement, agreement_fit
from faultdx import testimony as room
from faultdx.agreement import CONFIDENT, WORDS, Calibration, Heard, Votes, from_dict
from faultdx.dataset import Prepared, open_prepared
from faultdx.diagnosis import Diagnosis
from faultdx.errors import ModelError
from faultdx.model import Model, load_model
from faultdx.records.record import Record
from faultdx.report.agreement import rows, section, sentences
from faultdx.report.document import to_json
from faultdx.signals.kinematics import SKF_6205
from faultdx.signals.witness import Witness

CLASSES = ("healthy", "inner_race", "outer_race", "ball")


def a_calibration(**changes: Any) -> Calibration:
    fault = Heard((8.0, 2.0, 0.0), (1.0, 3.0, 6.0))
    healthy = Heard((0.0, 1.0, 0.0), (0.0, 3.0, 7.0))
    found = Calibration(
        Votes(9.0, 10.0), Votes(1.0, 2.0), {"fault": fault, "healthy": healthy}, 40, 10, "other specimens"
    )
    return replace(found, **changes)


# ---- the arithmetic


def test_jeffreys_prior_is_half_a_success_and_half_a_failure() -> None:
    assert Votes(9, 10).supports == pytest.approx(9.5 / 11)
    assert Votes(0, 0).supports == 0.5


def test_the_stated_confidence_is_bayes_rule() -> None:
    found = a_calibration()
    stated = found.state(0.999, kind="fault", word="disagree")
    q = 9.5 / 11
    right, wrong = 0.5 / 11.5, 6.5 / 11.5
    assert stated.supported == pytest.approx(q) and stated.ratio == pytest.approx(right / wrong)
    assert stated.confidence == pytest.approx(q * right / (q * right + (1 - q) * wrong))
    assert stated.network == 0.999


@pytest.mark.parametrize("kind", ["fault", "healthy"])
def test_the_order_of_the_words_is_the_order_of_the_confidences(kind: str) -> None:
    words = WORDS if kind == "fault" else WORDS[1:]
    found = [a_calibration().state(0.97, kind=kind, word=word).confidence for word in words]
    assert found == sorted(found, reverse=True) and len(set(found)) == len(words)


def test_nothing_heard_leaves_what_the_votes_support_and_a_doubtful_network_is_not_raised_by_them() -> None:
    found = a_calibration()
    assert found.state(0.95, kind="fault", word=None).confidence == pytest.approx(9.5 / 11)
    assert found.state(0.3, kind="fault", word=None).confidence == pytest.approx(0.3)
    never = replace(found, unsure=Votes(0, 0))
    assert never.state(0.8, kind="fault", word=None).confidence == pytest.approx(0.8)
    assert found.state(0.8, kind="fault", word=None).confidence == pytest.approx(0.5)


def test_beside_an_all_clear_there_are_two_words() -> None:
    heard = Heard((0.0, 1.0, 0.0), (0.0, 1.0, 6.0))
    assert heard.ratio("silent", "healthy") == pytest.approx((1.5 / 2) / (1.5 / 8))
    assert heard.ratio("silent", "fault") == pytest.approx((1.5 / 2.5) / (1.5 / 8.5))
    assert Heard((0.0, 0.0, 0.0), (0.0, 1.0, 3.0)).ratio("silent", "healthy") == 1.0


@pytest.mark.parametrize("p", [0.0, 1e-300, 1.0])
def test_a_confidence_is_never_certain(p: float) -> None:
    sure = a_calibration(confident=Votes(1e6, 1e6))
    for word in WORDS:
        assert 0 < sure.state(p, kind="fault", word=word).confidence < 1


def test_the_stated_confidence_is_right_where_its_assumptions_hold() -> None:
    """Draw records by the model's own assumptions, count, and see that among new ones p % are right where p is said."""
    rng = np.random.default_rng(3)
    right_p, wrong_p = np.array([0.6, 0.37, 0.03]), np.array([0.05, 0.45, 0.5])
    n = 4000
    right = rng.random(n) < 0.8
    word = np.where(right, rng.choice(3, n, p=right_p), rng.choice(3, n, p=wrong_p))
    half = slice(0, n // 2)
    counted = {t: tuple(float(np.sum((word[half] == k) & (right[half] == t))) for k in range(3)) for t in (True, False)}
    votes = Votes(float(right[half].sum()), n / 2)
    found = a_calibration(confident=votes, heard={"fault": Heard(counted[True], counted[False])})
    for k, name in enumerate(WORDS):
        mine = right[n // 2 :][word[n // 2 :] == k]
        stated = found.state(0.99, kind="fault", word=name).confidence
        assert abs(stated - mine.mean()) < 4 * math.sqrt(0.25 / len(mine)), name


# ---- what model.json holds


def test_what_is_written_is_what_is_read() -> None:
    found = from_dict(json.loads(json.dumps(a_calibration().to_dict())), where="m")
    assert found == a_calibration()


@pytest.mark.parametrize("nothing", [None, {"calibrated": False, "why": "too few"}])
def test_a_model_without_it_is_a_model(nothing: Any) -> None:
    assert from_dict(nothing, where="m") is None
    assert agreement.why_not(nothing)


def broken(path: str, value: Any) -> dict[str, Any]:
    entry = a_calibration().to_dict()
    at: Any = entry
    *way, last = path.split(".")
    for key in way:
        at = at[key]
    at[last] = value
    return entry


@pytest.mark.parametrize(
    "entry",
    [
        {},
        [],
        "x",
        {"calibrated": True},
        broken("confident.right", 11),
        broken("confident.of", float("inf")),
        broken("confident.of", float("nan")),
        broken("unsure.right", -1),
        broken("unsure.right", True),
        broken("heard.fault.right.agree", -0.5),
        broken("heard.fault.right", {}),
        broken("heard", {"fault": {}}),
        broken("heard.healthy.wrong.silent", 1e9),
        broken("records", "40"),
        broken("holds_for", 7),
        broken("holds_for", "x" * 1000),
    ],
)
def test_a_hostile_entry_is_refused_in_one_line(entry: Any) -> None:
    with pytest.raises(ModelError) as found:
        from_dict(entry, where="m")
    assert "\n" not in str(found.value) and "agreement" in str(found.value)


# ---- what is counted


def a_testimony(verdict: str, place: str | None) -> room.Testimony:
    return room.Testimony(Witness(verdict, place, (), None, 100.0, 0.5, ("because",)))


def test_wrong_verdicts_are_counted_without_the_network_having_made_them() -> None:
    heard = [
        (1, "a", a_testimony("located", "inner_race")),
        (2, "b", a_testimony("no_evidence", None)),
        (0, "c", a_testimony("no_evidence", None)),
    ]
    found = agreement_fit.tables(heard, CLASSES, ("healthy",))
    assert found["fault"].right == (1.0, 1.0, 0.0)  # a agrees, b is silent
    # a: two wrong places, both contradicted; b: two wrong places, silent; c: three faults that are none, silent
    assert found["fault"].wrong == (0.0, 2.0, 1.0)
    assert found["healthy"].right == (0.0, 1.0, 0.0)
    assert found["healthy"].wrong == (0.0, 1.0, 1.0)


def test_a_specimen_weighs_one_however_many_records_it_has() -> None:
    one = (1, "a", a_testimony("located", "inner_race"))
    other = (1, "b", a_testimony("no_evidence", None))
    found = agreement_fit.tables([one] * 9 + [other], CLASSES, ("healthy",))
    assert found["fault"].right == (1.0, 1.0, 0.0)
    assert sum(found["fault"].wrong) == pytest.approx(2)


def test_the_same_place_by_another_name_is_no_contradiction() -> None:
    heard = [(0, "a", a_testimony("located", "ball"))]
    found = agreement_fit.tables(heard, ("ball_007", "ball_014", "outer_race"), ())
    assert found["fault"].right == (1.0, 0.0, 0.0)
    assert found["fault"].wrong == (0.5, 0.0, 0.5)


class Fake:
    """A network that is right about all validation segments, with a probability of 0.88."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    def probabilities(self, segments: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        rows = self.prepared.rows("val")
        label = self.prepared.label[rows][: len(segments)]
        return 0.04 + 0.84 * np.eye(4)[label]


NAME = f"{SKF_6205.rolling_elements},{SKF_6205.ball_diameter},{SKF_6205.pitch_diameter}"


@contextmanager
def opened(trained: Trained) -> Iterator[Prepared]:
    with open_prepared(trained.prepared) as prepared:
        yield prepared


def test_the_fit_counts_votes_and_never_reads_the_test_side(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement_fit, "FEWEST_RECORDS", 4)
    with opened(trained) as prepared:
        read: list[int] = []
        segments = prepared.segments
        monkeypatch.setattr(prepared, "segments", lambda rows: (read.extend(rows), segments(rows))[1])
        number = len(prepared.records()["rpm"])
        entry = agreement_fit.fit(Fake(prepared), prepared, bearings=[NAME] * number)
        assert not set(read) & set(prepared.rows("test"))
        specimens = {str(s) for s in prepared.records()["specimen"][prepared.record[prepared.rows("val")]]}
    assert entry["calibrated"] is True
    assert entry["unsure"] == {"right": len(specimens), "of": len(specimens)}  # 0.88 is below CONFIDENT
    assert CONFIDENT == 0.9 and entry["confident"]["of"] == 0
    assert entry["holds_for"] == "specimens that were not trained on"
    assert from_dict(json.loads(json.dumps(entry)), where="m") is not None


def test_too_little_is_said(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(trained) as prepared:
        number = len(prepared.records()["rpm"])
        model = Fake(prepared)
        for bearings, why in (
            ([""] * number, "bearing"),
            (["no such bearing"] * number, "specimens"),
        ):
            found = agreement_fit.fit(model, prepared, bearings=bearings)
            assert found["calibrated"] is False and why in found["why"]
        monkeypatch.setitem(prepared.config, "normalize", "zscore")
        assert "normalised" in agreement_fit.fit(model, prepared, bearings=[NAME] * number)["why"]


def test_a_training_writes_what_came_of_it(trained: Trained) -> None:
    entry = json.loads((trained.run / "model" / "model.json").read_text("utf-8"))["agreement"]
    assert entry["calibrated"] in (True, False) and (entry["calibrated"] or entry["why"])


# ---- in a diagnosis


def with_entry(trained: Trained, folder: Path, entry: Any) -> Model:
    return load_model(model_with(trained.run, folder / "m", agreement=entry), bearing=geometry())


def geometry() -> room.KnownBearing:
    return room.KnownBearing("simulated", SKF_6205, "the simulation")


def heard_of(model: Model, found: Diagnosis, verdict: str, place: str | None) -> Diagnosis:
    """Put a given testimony beside a diagnosis."""

    said = replace(a_testimony(verdict, place), bearing=geometry(), channel="DE")
    before = room.hear
    try:
        room.hear = lambda *_args, **_kw: said
        return model._heard(found, Record(np.zeros((1, 64), np.float32), 12_000.0), insists=False)
    finally:
        room.hear = before


def verdict(name: str, p: float = 0.97) -> Diagnosis:
    return Diagnosis("x", "", "diagnosed", verdict=name, fault=name != "healthy", confidence=p, segments=3)


def test_the_diagnosis_states_both_confidences(trained: Trained, tmp_path: Path) -> None:
    model = with_entry(trained, tmp_path, a_calibration().to_dict())
    said: Mapping[str, Diagnosis] = {
        "agree": heard_of(model, verdict("inner_race"), "located", "inner_race"),
        "silent": heard_of(model, verdict("inner_race"), "no_evidence", None),
        "unheard": heard_of(model, verdict("inner_race"), "not_assessable", None),
        "disagree": heard_of(model, verdict("inner_race"), "located", "ball"),
    }
    for name, found in said.items():
        entry = found.evidence["agreement"]
        assert entry["network"] == 0.97 and entry["stated"] == found.confidence, name
        validate(json.loads(to_json(found)), diagnosis_schema(), diagnosis_schema())
        assert rows(found)[0][1] == "97.0 %" and section(found)
    assert said["agree"].confidence > said["unheard"].confidence > said["disagree"].confidence  # type: ignore[operator]
    assert said["unheard"].confidence == pytest.approx(9.5 / 11)
    assert said["unheard"].evidence["agreement"]["assessed"] is False
    assert "could not assess" in sentences(said["unheard"])[0] and "agree" in sentences(said["agree"])[0]
    clear = heard_of(model, verdict("healthy"), "no_evidence", None)
    assert clear.verdict == "healthy" and "no proof" in sentences(clear)[0]


def test_a_disagreement_that_leaves_too_little_keeps_the_alarm_and_drops_the_name(
    trained: Trained, tmp_path: Path
) -> None:
    weak = a_calibration(confident=Votes(3.0, 6.0))
    model = with_entry(trained, tmp_path, weak.to_dict())
    found = heard_of(model, verdict("inner_race"), "located", "ball")
    assert (found.status, found.verdict, found.fault) == ("undecided", None, True)
    silent = heard_of(model, verdict("inner_race"), "no_evidence", None)
    assert silent.verdict == "inner_race"  # what shows nothing contradicts nobody
    assert (silent.confidence or 1) < 0.5


def test_without_calibration_the_confidence_is_the_networks_own_and_that_is_said(
    trained: Trained, tmp_path: Path
) -> None:
    model = with_entry(trained, tmp_path, {"calibrated": False, "why": "there were too few"})
    found = heard_of(model, verdict("inner_race"), "located", "ball")
    assert found.confidence == 0.97 and found.verdict == "inner_race"
    assert found.evidence["agreement"]["calibrated"] is False
    assert any("too few" in sentence and "network's own" in sentence for sentence in sentences(found))


def test_a_hostile_model_folder_does_not_open(trained: Trained, tmp_path: Path) -> None:
    folder = model_with(trained.run, tmp_path / "m", agreement={"calibrated": True})
    ran = faultdx("diagnose", "--model", folder, trained.unseen / "501.mat")
    assert ran.code == 2 and ran.err.count("\n") == 1 and "agreement" in ran.err


def test_a_network_alone_has_no_agreement(trained: Trained) -> None:
    from faultdx.records import read_record

    found = load_model(trained.run).diagnose(read_record(trained.unseen / "501.mat"))
    assert "agreement" not in found.evidence and section(found) == "" and sentences(found) == [] and rows(found) == []


def test_surer_votes_are_never_stated_less_and_silence_lifts_nothing() -> None:
    few = a_calibration(confident=Votes(1.0, 1.5), unsure=Votes(2.5, 2.5))  # of so few, the surer ones look worse
    for kind in ("fault", "healthy"):
        for word in WORDS if kind == "fault" else WORDS[1:]:
            stated = [few.state(p, kind=kind, word=word).confidence for p in np.linspace(0.3, 0.999, 60)]
            assert np.all(np.diff(stated) >= -1e-12), (kind, word)
            if word != "agree":
                assert all(s <= p + 1e-12 for s, p in zip(stated, np.linspace(0.3, 0.999, 60), strict=True))
