"""Network and spectrum as two witnesses: the arithmetic, what is counted, who is believed, and what a reader sees."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
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
from faultdx.agreement import CONFIDENT, OF_PLACE, Calibration, Heard, Said, Votes, flattened, from_dict
from faultdx.dataset import Prepared, open_prepared
from faultdx.diagnosis import Diagnosis
from faultdx.errors import ModelError
from faultdx.fusion import candidates_of, with_change
from faultdx.model import Model, load_model
from faultdx.records.record import Record
from faultdx.report.agreement import rows, section, sentences
from faultdx.report.document import to_json
from faultdx.report.text import one_line, sentence
from faultdx.signals.hypotheses import Hypothesis
from faultdx.signals.kinematics import SKF_6205
from faultdx.signals.witness import Witness

CLASSES = ("healthy", "inner_race", "outer_race", "ball")
PLACES = ("inner_race", "outer_race", "ball")


def a_calibration(**changes: Any) -> Calibration:
    heard = Heard((6.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 2.0), (0.0,) * 4)
    found = Calibration(Votes(9.0, 10.0), Votes(1.0, 2.0), True, heard, 40, 11, "other specimens")
    return replace(found, **changes)


def p_of(best: str, p: float, second: str | None = None) -> dict[str, float]:
    """Probabilities of CLASSES: p for the best, most of the rest for the second."""
    others = [name for name in CLASSES if name != best]
    second = second or others[-1]
    return {name: p if name == best else (1 - p) * (0.8 if name == second else 0.1) for name in CLASSES}


# ---- the arithmetic


def test_jeffreys_prior_is_half_a_success_and_half_a_failure() -> None:
    assert Votes(9, 10).supports == pytest.approx(9.5 / 11)
    assert Votes(0, 0).supports == 0.5


def test_the_probabilities_are_bayes_rule() -> None:
    """Written out by hand: flattened network times what the spectrum says, over all states of the machine."""
    found = a_calibration()
    candidates = candidates_of(p_of("inner_race", 0.97), ("healthy",))
    order = found.weigh(candidates, Said("located", "ball"))
    flat = dict(
        zip([c.name for c in candidates], flattened([c.network for c in candidates], found.supports), strict=True)
    )
    n = 4.0
    place = [(k + 0.5 + n * s) / (9 + 3.5 + n) for k, s in zip(found.heard.place, agreement.PLACE_SHARES, strict=True)]
    sound = [(k + 0.5 + n * s) / (2 + 2 + n) for k, s in zip(found.heard.sound, agreement.SOUND_SHARES, strict=True)]
    said = {"healthy": sound[0] / 3, "ball": place[0], "inner_race": place[6] / 2, "outer_race": place[6] / 2}
    total = sum(flat[name] * said[name] for name in CLASSES)
    assert {c.name: c.probability for c in order} == pytest.approx({k: flat[k] * said[k] / total for k in CLASSES})
    assert order[0].name == "ball"
    assert sum(c.probability for c in order) == pytest.approx(1)


@pytest.mark.parametrize("state", [*PLACES, None])
def test_what_may_be_said_beside_a_state_adds_up_to_one(state: str | None) -> None:
    heard = a_calibration(
        heard=Heard((3.0, 1.0, 0.5, 2.0, 0.3, 0.5, 0.5), (0.2, 0.3, 0.4, 4.0), (1.0, 2.0, 1.5, 3.0))
    ).heard
    for kind in ("place",) if state else ("sound", "other"):
        said = [Said("silent"), *(Said(s, p) for s in ("located", "damaged", "hint") for p in PLACES)]
        assert sum(heard.likelihood(one, state=state, kind=kind) for one in said) == pytest.approx(1)


def test_damage_without_a_place_tells_no_place_from_another() -> None:
    heard = a_calibration().heard
    said = {heard.likelihood(Said("damaged"), state=p, kind="place") for p in PLACES}
    assert len(said) == 1 and said.pop() > heard.likelihood(Said("damaged"), state=None, kind="sound")


def test_flattened_brings_the_best_to_what_its_votes_support_and_keeps_the_order() -> None:
    masses = [0.92, 0.04, 0.025, 0.015]
    flat = flattened(masses, lambda p: 0.6)
    assert flat[0] == pytest.approx(0.6, abs=1e-6) and flat == sorted(flat, reverse=True)
    cooled = (np.log(flat) - np.log(flat[0]))[1:] / (np.log(masses) - np.log(masses[0]))[1:]
    assert cooled == pytest.approx([cooled[0]] * 3)  # one temperature for all
    assert flattened(masses, lambda p: p) == pytest.approx(masses)  # what is supported stays
    assert flattened(masses, lambda p: 0.1) == pytest.approx([0.25] * 4)  # nothing is left of it
    assert flattened([0.99, 0.01, 1e-9], lambda p: 0.6)[1:] == pytest.approx([0.2, 0.2], abs=1e-6)  # as faint
    assert sum(flattened([0.5, 0.5, 0.0], lambda p: 0.45)) == pytest.approx(1)


def test_votes_within_the_training_recordings_are_discounted_for_other_bearings() -> None:
    votes = Votes(20.0, 20.0)
    within, unseen = a_calibration(confident=votes, unseen=False), a_calibration(confident=votes, unseen=True)
    share = agreement.UNSEEN_SHARES["confident"]
    assert within.supports(0.999) == pytest.approx((20.5 / 21 + share) / 2, abs=0.03)
    assert unseen.supports(0.999) == pytest.approx((20 + 4 * share) / 24, abs=0.03)
    assert within.supports(0.999) < unseen.supports(0.999)
    more = a_calibration(confident=Votes(200.0, 200.0), unseen=True)
    assert more.supports(0.999) > unseen.supports(0.999)  # records take over from the simulation


def test_a_doubtful_network_is_not_raised_and_a_surer_one_never_worth_less() -> None:
    few = a_calibration(confident=Votes(1.0, 1.5), unsure=Votes(2.5, 2.5))  # of so few, the surer ones look worse
    for found in (a_calibration(), few, replace(few, unseen=False)):
        worth = [found.supports(p) for p in np.linspace(0.26, 0.999, 60)]
        assert np.all(np.diff(worth) >= -1e-12) and all(
            w <= p for w, p in zip(worth, np.linspace(0.26, 0.999, 60), strict=True)
        )


@pytest.mark.parametrize("p", [0.25, 1 - 1e-12, 1.0])
def test_no_probability_is_certain(p: float) -> None:
    sure = a_calibration(confident=Votes(1e6, 1e6), heard=Heard((1e6, *[0.0] * 6), (0, 0, 0, 1e6), (0,) * 4))
    for said in (None, Said("silent"), Said("located", "inner_race"), Said("located", "ball")):
        order = sure.weigh(candidates_of(p_of("inner_race", p), ("healthy",)), said)
        assert all(0 < c.probability < 1 for c in order)


def test_the_stated_probability_is_right_where_its_assumptions_hold() -> None:
    """Draw records by the rule's own assumptions, count, and see that of new ones p % are right where p is said."""
    rng = np.random.default_rng(3)
    n, right_share = 6000, 0.7
    words = np.array([0.5, 0.15, 0.1, 0.15, 0.05, 0.03, 0.02])
    truth = rng.choice(4, n)  # of CLASSES
    right = rng.random(n) < right_share
    votes = np.where(right, truth, (truth + rng.integers(1, 4, n)) % 4)
    word = rng.choice(7, n, p=words)
    loud = rng.choice(4, n, p=[0.02, 0.08, 0.1, 0.8])
    half = n // 2
    place = tuple(float(np.sum((word == k)[:half] & (truth[:half] > 0))) for k in range(7))
    sound = tuple(float(np.sum((loud == k)[:half] & (truth[:half] == 0))) for k in range(4))
    found = a_calibration(
        confident=Votes(float(right[:half].sum()), float(half)), unseen=True, heard=Heard(place, sound, (0.0,) * 4)
    )
    stated, hit = [], []
    for t, v, w, s in zip(truth[half:], votes[half:], word[half:], loud[half:], strict=True):
        others = [name for name in PLACES if name != CLASSES[t]]
        if t == 0:
            said = Said(agreement.OF_OTHERS[s], None if s == 3 else PLACES[rng.integers(3)])
        elif OF_PLACE[w] == "silent":
            said = Said("silent")
        else:
            where = CLASSES[t] if w < 3 else others[rng.integers(2)]
            said = Said(OF_PLACE[w].removesuffix("_elsewhere"), where)
        p = {name: 0.97 if k == v else 0.01 for k, name in enumerate(CLASSES)}
        best = found.weigh(candidates_of(p, ("healthy",)), said)[0]
        stated.append(best.probability)
        hit.append(best.name == CLASSES[t])
    p, right = np.array(stated), np.array(hit, float)
    assert p.std() > 0.05
    for low, high in ((0.0, 0.75), (0.75, 0.9), (0.9, 1.0)):
        mine = (p >= low) & (p < high)
        assert mine.sum() > 50
        assert abs(p[mine].mean() - right[mine].mean()) < 4 * math.sqrt(0.25 / mine.sum()), (low, high)


# ---- what model.json holds


def test_what_is_written_is_what_is_read() -> None:
    found = from_dict(json.loads(json.dumps(a_calibration().to_dict())), where="m")
    assert found == a_calibration()


OLDER = {
    "calibrated": True, "records": 9, "specimens": 4, "holds_for": "x", "confident": {"right": 1, "of": 1},
    "unsure": {"right": 1, "of": 1}, "heard": {"fault": {}, "healthy": {}},
}  # fmt: skip


@pytest.mark.parametrize("nothing", [None, {"calibrated": False, "why": "too few"}, OLDER])
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
        broken("unseen", 1),
        broken("heard.place.located", -0.5),
        broken("heard.place", {}),
        broken("heard", {"place": {}}),
        broken("heard", [1]),
        broken("heard.sound.silent", 1e9),
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


def a_testimony(verdict: str, place: str | None, leans: str | None = None, score: float = 0.9) -> room.Testimony:
    def hypothesis(name: str, score: float) -> Hypothesis:
        return Hypothesis(name, 3.0, 3.0, 0.0, 1.0, 0.2, 0.8, 0.01, 0.0, score, (), (0.0, 0.0), "1", 0, 0.0, True)

    shown = () if leans is None else (hypothesis("cage", 2.0), hypothesis(leans, score))
    return room.Testimony(Witness(verdict, place, shown, None, 100.0, 0.5, ("because",)))


def test_the_place_that_damage_leans_to_is_that_of_the_deepest_lines_but_the_cages() -> None:
    def said(heard: room.Testimony) -> tuple[str, str | None]:
        assert heard.witness is not None
        return room.leaning(heard.witness)

    assert said(a_testimony("damaged", None, "ball")) == ("damaged", "ball")
    assert said(a_testimony("damaged", None)) == ("damaged", None)
    assert said(a_testimony("located", "ball", "ball")) == ("located", "ball")
    assert said(a_testimony("no_evidence", None, "ball", 0.4)) == ("hint", "ball")
    assert said(a_testimony("no_evidence", None, "ball", 0.2)) == ("silent", None)
    assert said(a_testimony("not_assessable", None, "ball", 0.9)) == ("silent", None)
    weak = a_testimony("damaged", None, "ball").witness
    assert weak is not None
    low = replace(weak, hypotheses=tuple(replace(h, score=0.3) for h in weak.hypotheses))
    hidden = replace(weak, hypotheses=tuple(replace(h, assessable=False) for h in weak.hypotheses))
    assert room.leaning(low) == room.leaning(hidden) == ("damaged", None)


def test_what_is_said_is_counted_beside_the_truth() -> None:
    classes = ("healthy", "inner_race", "outer_race", "gear_broken")
    heard = [
        (1, "a", a_testimony("located", "inner_race")),
        (2, "b", a_testimony("no_evidence", None)),
        (2, "c", a_testimony("located", "ball")),
        (1, "d", a_testimony("damaged", None, "inner_race")),
        (1, "e", a_testimony("damaged", None, "outer_race")),
        (1, "j", a_testimony("damaged", None)),
        (1, "h", a_testimony("no_evidence", None, "inner_race", 0.4)),
        (1, "i", a_testimony("no_evidence", None, "ball", 0.4)),
        (0, "f", a_testimony("no_evidence", None)),
        (3, "g", a_testimony("damaged", None)),
    ]
    found = agreement_fit.tables(heard, classes, ("healthy",))
    assert found == Heard((1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 0.0))


def test_a_specimen_weighs_one_however_many_records_it_has() -> None:
    one = (1, "a", a_testimony("located", "inner_race"))
    other = (1, "b", a_testimony("no_evidence", None))
    found = agreement_fit.tables([one] * 9 + [other], CLASSES, ("healthy",))
    assert found.place == pytest.approx((1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0))


# ---- classes as places


def test_classes_are_candidates_by_place() -> None:
    p = {"normal": 0.1, "fine": 0.05, "ball_007": 0.2, "ball_014": 0.3, "inner_race_007": 0.3, "outer_race": 0.05}
    found = {c.name: c for c in candidates_of(p, ("normal", "fine"))}
    assert set(found) == {"healthy", "ball", "inner_race_007", "outer_race"}
    assert found["ball"].classes == ("ball_014", "ball_007") and found["ball"].network == pytest.approx(0.5)
    assert found["healthy"].kind == "sound" and found["healthy"].place is None
    assert found["inner_race_007"].place == "inner_race"


def test_a_place_without_a_class_is_a_candidate_where_every_fault_is_a_place() -> None:
    assert "ball" in [c.name for c in candidates_of({"ok": 0.5, "inner_race": 0.3, "outer_race": 0.2}, ("ok",))]
    gears = candidates_of({"ok": 0.5, "inner_race": 0.3, "gear_broken": 0.2}, ("ok",))
    assert {c.name: c.kind for c in gears} == {"ok": "sound", "inner_race": "place", "gear_broken": "other"}
    assert [c.kind for c in candidates_of({"ok": 0.5, "bad": 0.5}, ("ok",))] == ["sound", "other"]


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
        monkeypatch.setitem(prepared.split, "method", "condition")
        other = agreement_fit.fit(Fake(prepared), prepared, bearings=[NAME] * number)
        assert other["unseen"] is False and other["confident"] == entry["confident"]
        specimens = {str(s) for s in prepared.records()["specimen"][prepared.record[prepared.rows("val")]]}
    assert entry["calibrated"] is True
    assert entry["unsure"] == {"right": len(specimens), "of": len(specimens)}  # 0.88 is below CONFIDENT
    assert CONFIDENT == 0.9 and entry["confident"]["of"] == 0
    assert entry["holds_for"] == "specimens that were not trained on" and entry["unseen"] is True
    assert sum(sum(counts.values()) for counts in entry["heard"].values()) == pytest.approx(entry["specimens"])
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


def geometry() -> room.KnownBearing:
    return room.KnownBearing("simulated", SKF_6205, "the simulation")


@pytest.fixture
def model(trained: Trained, tmp_path: Path) -> Model:
    entry = a_calibration(unseen=False, confident=Votes(10.0, 10.0)).to_dict()
    return load_model(model_with(trained.run, tmp_path / "m", agreement=entry), bearing=geometry())


def heard_of(
    model: Model,
    found: Diagnosis,
    verdict: str,
    place: str | None = None,
    *,
    leans: str | None = None,
    enough: float = 0.5,
) -> Diagnosis:
    """Put a given testimony beside a diagnosis."""
    said = replace(a_testimony(verdict, place, leans), bearing=geometry(), channel="DE")
    before = room.hear
    try:
        room.hear = lambda *_args, **_kw: said
        return model._heard(found, Record(np.zeros((1, 64), np.float32), 12_000.0), enough)
    finally:
        room.hear = before


def verdict(name: str, p: float = 0.97, second: str | None = None, **changes: Any) -> Diagnosis:
    """What the network says; below one half it is undecided."""
    known = p_of(name, p, second)
    votes = np.tile(np.array([known[c] for c in CLASSES]), (3, 1))
    found = Diagnosis(
        "x", "", "diagnosed", verdict=name, fault=name != "healthy", confidence=p, segments=3, agreement=1.0,
        probabilities={c: known[c] for c in CLASSES}, segment_probabilities=votes,
    )  # fmt: skip
    return replace(found if p >= 0.5 else replace(found, status="undecided", verdict=None, fault=None), **changes)


def sound(found: Diagnosis) -> dict[str, Any]:
    """The entry of a diagnosis, after its JSON was held against the schema."""
    document = json.loads(to_json(found))
    validate(document, diagnosis_schema(), diagnosis_schema())
    entry: dict[str, Any] = document["evidence"]["agreement"]
    assert sum(c["probability"] for c in entry["candidates"]) == pytest.approx(1, abs=1e-5)
    shares = [c["probability"] for c in entry["candidates"]]
    assert shares == sorted(shares, reverse=True)
    assert section(found) and rows(found) and sentence(found) and one_line(found)
    return entry


def test_two_that_agree_are_surer_than_one_and_silence_gives_no_other_name(model: Model) -> None:
    both = heard_of(model, verdict("inner_race"), "located", "inner_race")
    unheard = heard_of(model, verdict("inner_race"), "not_assessable")
    silent = heard_of(model, verdict("inner_race"), "no_evidence", enough=0.3)
    for found, by in ((both, "both"), (unheard, "network"), (silent, "network")):
        entry = sound(found)
        assert (found.status, found.verdict, found.fault) == ("diagnosed", "inner_race", True)
        assert entry["named_by"] == by and entry["network"] == pytest.approx(0.97)
        assert entry["stated"] == pytest.approx(found.confidence, abs=1e-6)
    assert (both.confidence or 0) > (unheard.confidence or 1) > (silent.confidence or 1)
    assert unheard.evidence["agreement"]["assessed"] is False
    below = heard_of(model, verdict("inner_race"), "no_evidence", enough=(silent.confidence or 0) + 1e-6)
    assert (below.status, below.verdict) == ("undecided", None) and below.confidence == silent.confidence
    named = {c["name"]: c["probability"] for c in sound(below)["candidates"]}
    assert below.fault is (True if named["healthy"] < 0.5 else None)
    assert "could not assess" in sentences(unheard)[0] and "agree" in sentences(both)[0]
    clear = heard_of(model, verdict("healthy"), "no_evidence")
    assert clear.verdict == "healthy" and clear.fault is False and "no proof" in sentences(clear)[0]
    assert (clear.confidence or 1) <= 0.97  # silence lifts nothing


def test_only_the_same_place_lifts_a_confidence(model: Model) -> None:
    for found in (
        heard_of(model, verdict("healthy", 0.6), "no_evidence"),
        heard_of(model, verdict("inner_race", 0.6), "damaged"),
    ):
        assert found.confidence is not None and found.confidence <= 0.6 and sound(found)["named_by"] == "network"
    lifted = heard_of(model, verdict("inner_race", 0.6), "damaged", leans="inner_race")
    assert (lifted.confidence or 0) > 0.6


def test_a_place_that_the_spectrum_names_is_believed_before_the_network(model: Model) -> None:
    found = heard_of(model, verdict("outer_race"), "located", "inner_race")
    entry = sound(found)
    assert (found.status, found.verdict, found.fault) == ("diagnosed", "inner_race", True)
    assert entry["named_by"] == "spectrum" and entry["word"] == "disagree" and entry["network"] == pytest.approx(0.97)
    assert found.confidence == pytest.approx(found.evidence["agreement"]["candidates"][0]["probability"])
    assert 0.5 < (found.confidence or 0) < 0.97
    assert found.agreement == 0.0  # no segment votes for it
    assert found.probabilities["outer_race"] == pytest.approx(0.97)  # the network's own stay
    assert any("network says outer_race" in w for w in found.warnings)
    assert any("spectrum is believed" in w for w in found.warnings)
    assert any("The spectrum is believed" in s for s in sentences(found))
    assert "The network finds" not in sentence(found) and "inner_race" in one_line(found)


def test_an_all_clear_beside_a_located_fault_is_a_fault(model: Model) -> None:
    found = heard_of(model, verdict("healthy"), "located", "ball")
    assert (found.status, found.verdict, found.fault) == ("diagnosed", "ball", True)
    assert sound(found)["named_by"] == "spectrum" and sound(found)["kind"] == "healthy"


@pytest.mark.parametrize("enough", [0.5, 0.0])
def test_a_network_that_was_right_about_other_specimens_is_believed_before_a_spectrum_that_errs(
    trained: Trained, tmp_path: Path, enough: float
) -> None:
    heard = Heard(
        (3.0, 1.0, 0.0, 2.0, 0.0, 2.0, 5.0), (1.0, 0.0, 0.0, 2.0), (0.0,) * 4
    )  # this bearing's numbers are wrong
    entry = a_calibration(confident=Votes(40.0, 40.0), heard=heard).to_dict()
    model = load_model(model_with(trained.run, tmp_path / "m", agreement=entry), bearing=geometry())
    found = heard_of(model, verdict("outer_race"), "located", "inner_race", enough=enough)
    assert found.verdict == "outer_race" and sound(found)["named_by"] == "network"
    assert (found.confidence or 1) < 0.97


def test_what_nobody_is_sure_of_is_undecided_and_stays_an_alarm(model: Model) -> None:
    found = heard_of(model, verdict("outer_race"), "located", "inner_race", enough=0.99)
    assert (found.status, found.verdict, found.fault) == ("undecided", None, True)
    entry = sound(found)
    assert entry["named_by"] is None and entry["candidates"][0]["name"] == "inner_race"
    assert any("likeliest is inner_race" in w for w in found.warnings)
    insisted = heard_of(model, verdict("outer_race"), "located", "inner_race", enough=0.0)
    assert insisted.verdict == "inner_race"


def test_an_all_clear_beside_damage_without_a_place_is_none(model: Model) -> None:
    likely = heard_of(model, verdict("healthy", 0.99), "damaged", enough=0.3)  # sound is the likeliest, all the same
    assert sound(likely)["candidates"][0]["name"] == "healthy" and sound(likely)["candidates"][0]["probability"] > 0.3
    assert (likely.status, likely.verdict, likely.fault) == ("undecided", None, True)
    assert heard_of(model, verdict("healthy", 0.99), "damaged", enough=0.0).verdict == "healthy"
    found = heard_of(model, verdict("healthy"), "damaged", enough=0.9)
    assert (found.status, found.verdict, found.fault) == ("undecided", None, True)
    sound(found)
    fault = heard_of(model, verdict("inner_race"), "damaged", leans="ball")
    assert fault.fault is True and sound(fault)["candidates"]
    assert fault.verdict != "inner_race" or sound(fault)["named_by"] == "network"
    placeless = heard_of(model, verdict("inner_race"), "damaged")
    assert sound(placeless)["named_by"] == "network" and (placeless.confidence or 1) <= 0.97
    assert "does not name the place" in sentences(placeless)[0]
    short = heard_of(model, verdict("inner_race"), "damaged", enough=0.95)  # by nobody: the alarm stays, the name goes
    assert (short.status, short.verdict, short.fault) == ("undecided", None, True)
    own = heard_of(model, verdict("inner_race"), "damaged", leans="inner_race")
    assert (
        own.verdict == "inner_race"
        and sound(own)["named_by"] == "both"
        and (own.confidence or 0) > (fault.confidence or 1)
    )


def test_an_undecided_network_gets_the_name_from_the_spectrum_and_an_unfamiliar_one_none(model: Model) -> None:
    undecided = verdict("inner_race", 0.46)
    found = heard_of(model, undecided, "located", "ball")
    assert (found.status, found.verdict, found.fault) == ("diagnosed", "ball", True)
    both = heard_of(model, undecided, "located", "inner_race")
    assert both.verdict == "inner_race" and sound(both)["named_by"] == "both"
    silent = heard_of(model, undecided, "no_evidence")
    assert (silent.status, silent.verdict, silent.fault) == ("undecided", None, None) and sound(silent)["candidates"]
    strange = heard_of(model, verdict("inner_race", status="unfamiliar", verdict=None, fault=None), "located", "ball")
    assert (strange.status, strange.verdict, strange.fault) == ("unfamiliar", None, True)
    candidates = sound(strange)["candidates"]
    assert candidates[0]["name"] == "ball" and sound(strange)["word"] == "alone"
    assert "not heard" in sentences(strange)[0] and not any("two independent" in said for said in sentences(strange))
    others = {c["name"]: c["probability"] for c in candidates}
    assert others["inner_race"] == pytest.approx(others["outer_race"])  # the network is not heard


def test_a_place_without_a_class_is_told_and_no_verdict(model: Model) -> None:
    p = {"healthy": 0.01, "inner_race": 0.97, "outer_race": 0.02}
    found = heard_of(model, verdict("inner_race", probabilities=p, segment_probabilities=None), "located", "ball")
    assert (found.status, found.verdict, found.fault) == ("undecided", None, True)
    entry = sound(found)
    assert entry["candidates"][0] == {**entry["candidates"][0], "name": "ball", "place": "ball", "classes": []}
    assert any("no class" in w for w in found.warnings)


def test_one_place_with_several_classes_is_no_verdict_unless_one_is_asked_for(model: Model) -> None:
    p = {"healthy": 0.01, "inner_race_007": 0.005, "inner_race_014": 0.015, "outer_race": 0.97, "ball": 0.0}
    known = verdict("outer_race", probabilities=p, segment_probabilities=None)
    found = heard_of(model, known, "located", "inner_race")
    assert (found.verdict, found.fault) == (None, True)
    assert sound(found)["candidates"][0]["classes"] == ["inner_race_014", "inner_race_007"]
    assert heard_of(model, known, "located", "inner_race", enough=0.0).verdict == "inner_race_014"
    p |= {"inner_race_014": 0.6, "inner_race_007": 0.35, "outer_race": 0.04}
    size = verdict("inner_race_014", probabilities=p, segment_probabilities=None, confidence=0.6)
    agreed = heard_of(model, size, "located", "inner_race")
    assert agreed.verdict == "inner_race_014" and (agreed.confidence or 1) <= 0.6 / 0.95 + 1e-9  # no size is confirmed


def changed(found: Diagnosis, *, fault: bool = True) -> Diagnosis:
    """As `faultdx.baseline` leaves a network's diagnosis beside a change."""
    change = {
        "verdict": "changed",
        "reasons": [],
        "asset": "",
        "digest": "0" * 64,
        "fault": fault,
        "false_alarms": 0.05,
    }
    found = replace(found, evidence={**found.evidence, "baseline": change})
    if found.fault is False:
        found = replace(found, status="undecided", verdict=None, fault=None)
    return replace(found, fault=True) if fault and found.verdict is None else found


def test_what_a_baseline_calls_damaged_gets_the_likeliest_place(model: Model) -> None:
    clear = heard_of(model, verdict("healthy", 0.97, "ball"), "no_evidence")
    assert clear.verdict == "healthy"
    found = with_change(changed(clear), healthy=("healthy",), enough=0.0)
    assert (found.status, found.verdict, found.fault) == ("diagnosed", "ball", True)
    entry = sound(found)
    assert entry["named_by"] == "baseline"
    assert next(c["name"] for c in entry["candidates"] if c["name"] != "healthy") == "ball"
    shares = {c["name"]: c["probability"] for c in clear.evidence["agreement"]["candidates"]}
    weights = {name: share * (0.05 if name == "healthy" else 1) for name, share in shares.items()}
    assert found.confidence == pytest.approx(weights["ball"] / sum(weights.values()))
    unsure = with_change(changed(clear), healthy=("healthy",), enough=0.9)
    assert (unsure.status, unsure.verdict, unsure.fault) == ("undecided", None, True)
    assert unsure.evidence["agreement"]["candidates"] == found.evidence["agreement"]["candidates"]
    assert with_change(changed(clear, fault=False), healthy=("healthy",), enough=0.0).verdict is None
    strange = verdict("healthy", status="unfamiliar", verdict=None, fault=None)
    strange = changed(heard_of(model, strange, "no_evidence"))
    assert with_change(strange, healthy=("healthy",), enough=0.5) is strange
    fault = changed(heard_of(model, verdict("inner_race"), "no_evidence", enough=0.3))
    assert with_change(fault, healthy=("healthy",), enough=0.0) is fault


def test_without_calibration_the_confidence_is_the_networks_own_and_that_is_said(
    trained: Trained, tmp_path: Path
) -> None:
    folder = model_with(trained.run, tmp_path / "m", agreement={"calibrated": False, "why": "there were too few"})
    model = load_model(folder, bearing=geometry())
    found = heard_of(model, verdict("inner_race"), "located", "ball")
    assert found.confidence == 0.97 and found.verdict == "inner_race"
    assert found.evidence["agreement"]["calibrated"] is False
    assert any("too few" in said and "network's own" in said for said in sentences(found))
    clear = heard_of(model, verdict("healthy"), "located", "ball")
    assert (clear.status, clear.verdict, clear.fault) == ("undecided", None, True)


def test_a_hostile_model_folder_does_not_open(trained: Trained, tmp_path: Path) -> None:
    folder = model_with(trained.run, tmp_path / "m", agreement={"calibrated": True})
    ran = faultdx("diagnose", "--model", folder, trained.unseen / "501.mat")
    assert ran.code == 2 and ran.err.count("\n") == 1 and "agreement" in ran.err


def test_a_network_alone_has_no_agreement(trained: Trained) -> None:
    from faultdx.records import read_record

    found = load_model(trained.run).diagnose(read_record(trained.unseen / "501.mat"))
    assert "agreement" not in found.evidence and section(found) == "" and sentences(found) == [] and rows(found) == []
