"""The witness as a whole: what it says about records whose truth is known, and the catalogue that it is asked with."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from faultdx.errors import ConfigError, RecordError
from faultdx.records import read_record
from faultdx.signals.bearings import bearing, catalogue, find_bearings
from faultdx.signals.hypotheses import PLACES as ALL_PLACES
from faultdx.signals.kinematics import SKF_6203, SKF_6205, UC204, BearingGeometry
from faultdx.signals.witness import MARGIN, VERDICTS, Witness, assess_bearing

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
from witness_scenes import NUISANCES, PLACES, Scene, draw_scene

Array = npt.NDArray[np.float64]
RATE = 12_000.0


def asked(s: Scene, *, off: float = 0.0) -> Witness:
    return assess_bearing(s.signal, sampling_rate_hz=s.sampling_rate_hz, rpm=s.rpm * (1 + off), bearing=s.bearing)


def machine(
    order: float = 0.0,
    *,
    blow: float = 10.0,
    seconds: float = 10.0,
    hz: float = 29.5,
    seed: int = 1,
    shaft: float = 0.1,
) -> Array:
    """Noise, shaft lines, and the ringing of blows at `order` with 1 % of slip's jitter."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    x = rng.standard_normal(t.size) + shaft * sum(np.cos(2 * np.pi * k * hz * t + k) for k in range(1, 9))
    if order:
        gaps = (1 + 0.01 * rng.standard_normal(int(seconds * hz * order))) / (hz * order)
        at = (np.cumsum(gaps) * RATE).astype(int)
        at = at[at < t.size - 60]
        for k in range(60):
            x[at + k] += blow * np.exp(-k / 12) * np.sin(1.7 * k)
    return np.asarray(x)


@pytest.mark.parametrize("geometry", [SKF_6205, UC204, BearingGeometry(16, 0.331, 2.815, 15.17)])
@pytest.mark.parametrize("place", ["outer_race", "inner_race"])
@pytest.mark.parametrize("off", [0.0, 0.05])
def test_a_clear_race_fault_is_located(geometry: BearingGeometry, place: str, off: float) -> None:
    order = geometry.bpfo if place == "outer_race" else geometry.bpfi
    w = assess_bearing(machine(order * 0.995), sampling_rate_hz=RATE, rpm=29.5 * 60 * (1 + off), bearing=geometry)
    assert (w.verdict, w.place) == ("located", place)
    first = w.hypotheses[0]
    assert first.slip == pytest.approx(-0.005, abs=0.004)
    assert first.harmonics[0] > 0.5 and first.chance < 0.1
    assert w.speed is not None and w.speed.confirmed
    assert w.speed.shift == pytest.approx(1 / (1 + off) - 1, abs=1e-3)


def test_nothing_is_no_evidence_and_says_how_small_a_fault_would_have_shown() -> None:
    w = assess_bearing(machine(), sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205)
    assert w.verdict == "no_evidence" and w.place is None
    assert 0.6 <= w.smallest_depth_seen < 1.0
    noisier = assess_bearing(machine(seconds=1.5), sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205)
    assert noisier.smallest_depth_seen > w.smallest_depth_seen


def test_a_record_without_a_shaft_line_clears_nobody() -> None:
    w = assess_bearing(machine(shaft=0.0), sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205)
    assert w.verdict == "not_assessable"
    assert any("confirms a speed" in r for r in w.reasons)


@pytest.mark.parametrize("place", PLACES)
def test_ripe_faults_are_found_and_none_is_misplaced(place: str) -> None:
    said = []
    for i in range(6):
        s = draw_scene(np.random.default_rng([91, i]), place=place, severity=1.0, geometry=SKF_6205, turns=150)
        w = asked(s, off=0.03)
        said.append(w.place)
    assert said.count(place) >= 3
    assert set(said) <= {place, None}


def test_detection_grows_with_the_blows() -> None:
    def located(blow: float, seconds: float) -> int:
        signals = (machine(SKF_6205.bpfo, blow=blow, seconds=seconds, seed=i) for i in range(6))
        said = [assess_bearing(x, sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205).place for x in signals]
        assert set(said) <= {"outer_race", None}
        return said.count("outer_race")

    assert located(0.3, 4.0) == 0
    assert located(3.0, 4.0) == 6


def test_healthy_scenes_are_left_alone() -> None:
    verdicts = [
        asked(draw_scene(np.random.default_rng([93, i]), place=None, turns=100), off=-0.02).verdict for i in range(24)
    ]
    assert verdicts.count("located") == 0
    assert verdicts.count("damaged") <= 2


def test_knocks_make_no_fault() -> None:
    for i in range(8):
        s = draw_scene(np.random.default_rng([94, i]), place=None, geometry=SKF_6205, turns=90, nuisances=("knocks",))
        assert asked(s).verdict in ("no_evidence", "not_assessable")


def test_a_fault_of_the_other_bearing_is_not_this_ones() -> None:
    x = machine(SKF_6205.bpfo)
    assert assess_bearing(x, sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205).place == "outer_race"
    assert assess_bearing(x, sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6203).verdict in ("no_evidence", "damaged")


def test_shaft_harmonics_are_no_ball_although_its_order_is_nearly_whole() -> None:
    t = np.arange(120_000) / RATE
    swing = 1 + 0.9 * sum(np.cos(2 * np.pi * k * 29.5 * t) for k in (4, 8, 12))
    x = machine() + np.random.default_rng(5).standard_normal(t.size) * swing
    w = assess_bearing(np.asarray(x), sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6203)
    assert w.verdict == "no_evidence"
    assert not next(h for h in w.hypotheses if h.place == "ball").assessable
    assert any("ball" in r and "multiple" in r for r in w.reasons)


def test_two_faults_alike_are_damaged_and_not_resolved() -> None:
    x = machine(SKF_6205.bpfo, seed=1) + machine(SKF_6205.bpfi, seed=2, blow=8.0)
    w = assess_bearing(x, sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205)
    assert w.hypotheses[1].score >= MARGIN * w.hypotheses[0].score
    assert w.verdict == "damaged" and w.place is None
    assert "alike" in w.reasons[0]


@pytest.mark.parametrize(
    ("signal", "rate", "said"),
    [(machine(seconds=0.5), RATE, "too short"), (machine()[::16], RATE / 16, "sampled too slowly")],
)
def test_unfit_records_are_not_assessed(signal: Array, rate: float, said: str) -> None:
    w = assess_bearing(signal, sampling_rate_hz=rate, rpm=1770, bearing=SKF_6205)
    assert w.verdict == "not_assessable" and said in w.reasons[0]
    assert math.isnan(w.smallest_depth_seen) and w.to_dict()["smallest_depth_seen"] is None


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="rpm"):
        assess_bearing(machine(), sampling_rate_hz=RATE, rpm=0.0, bearing=SKF_6205)
    with pytest.raises(ConfigError, match="search"):
        assess_bearing(machine(), sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205, search=0.4)
    with pytest.raises(RecordError, match="sampling rate"):
        assess_bearing(machine(), sampling_rate_hz=math.nan, rpm=1770, bearing=SKF_6205)
    with pytest.raises(RecordError, match="finite"):
        assess_bearing(
            np.where(np.arange(120_000) == 7, np.nan, machine()), sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205
        )
    with pytest.raises(RecordError, match="shape"):
        assess_bearing(np.zeros((2, 60_000)), sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205)


def test_the_scale_of_the_sensor_does_not_count() -> None:
    x = machine(SKF_6205.bpfi)
    small, large = (assess_bearing(c * x, sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205) for c in (1e-6, 1e6))
    assert small.place == large.place == "inner_race"
    assert small.hypotheses[0].score == pytest.approx(large.hypotheses[0].score, rel=1e-3)


def test_the_answer_is_plain_json_and_has_its_picture() -> None:
    w = assess_bearing(machine(SKF_6205.bpfo), sampling_rate_hz=RATE, rpm=1770, bearing=SKF_6205)
    said = json.loads(json.dumps(w.to_dict(), allow_nan=False))
    assert said["verdict"] in VERDICTS and {h["place"] for h in said["hypotheses"]} == set(ALL_PLACES)
    assert said["speed_hz"] == pytest.approx(29.5, rel=1e-3) and 0.99 <= said["speed_certainty"] <= 1
    assert w.picture is not None
    assert w.picture.orders.shape == w.picture.depth.shape == w.picture.floor.shape
    near = np.abs(w.picture.orders - w.picture.lines["outer_race"]) < 0.1
    assert w.picture.depth[near].max() == pytest.approx(w.hypotheses[0].harmonics[0], rel=0.35)


# the catalogue


def test_the_catalogue_gives_the_known_frequencies() -> None:
    known = {
        "6205-2RS JEM": (3.5848, 5.4152, 4.7135, 0.39828),
        "6203-2RS JEM": (3.0530, 4.9469, 3.9874, 0.3817),
        "ER-16K": (3.572, 5.428, 4.64, 0.3969),
        "ZA-2115": (7.092, 8.908, 8.39, 0.4433),
    }
    for name, orders in known.items():
        assert list(bearing(name).geometry.orders().values()) == pytest.approx(orders, rel=2e-3)


@pytest.mark.parametrize("written", ["6205", "skf 6205-2rs jem", "SKF 6205 2RS", "6205-ZZ C3"])
def test_a_designation_is_understood_as_people_write_it(written: str) -> None:
    assert bearing(written).name == "SKF 6205-2RS JEM"


def test_rows_that_differ_have_to_be_chosen_from() -> None:
    assert len(find_bearings("NU205")) == 2
    with pytest.raises(ConfigError, match=r"12 elements .* 13 elements"):
        bearing("NU205")
    assert bearing("FAG 6203").maker == "FAG"


@pytest.mark.parametrize("unknown", ["", "bearing", "62", "7205", "620"])
def test_what_is_not_in_the_catalogue_is_not_guessed(unknown: str) -> None:
    assert find_bearings(unknown) == ()
    with pytest.raises(ConfigError, match="not in the catalogue"):
        bearing(unknown)


def test_every_row_says_where_it_comes_from() -> None:
    assert all(b.source and b.basis in ("published", "typical") for b in catalogue())
    assert all(b.note for b in catalogue() if b.basis == "typical")


def test_scenes_are_repeatable_and_know_their_nuisances() -> None:
    one, two = (draw_scene(np.random.default_rng([95]), place="ball", turns=60, nuisances=NUISANCES) for _ in range(2))
    np.testing.assert_array_equal(one.signal, two.signal)
    assert np.isfinite(one.signal).all()


# real recordings


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("number", "place"), [(105, "inner_race"), (130, "outer_race"), (188, "ball"), (197, None), (97, None)]
)
def test_cwru_drive_end(real_data: Path, number: int, place: str | None) -> None:
    r = read_record(real_data / "cwru" / f"{number}.mat", channels=("DE",))
    assert r.rpm is not None
    w = assess_bearing(r.signal[0], sampling_rate_hz=r.sampling_rate_hz, rpm=0.96 * r.rpm, bearing=SKF_6205)
    assert w.place == place
    assert w.speed is not None and w.speed.hz * 60 == pytest.approx(r.rpm, rel=2e-3)
    assert w.verdict == ("located" if place else "no_evidence")


@pytest.mark.real_data
def test_the_other_bearing_of_a_faulty_motor_is_left_alone(real_data: Path) -> None:
    for number in (105, 130, 222):
        r = read_record(real_data / "cwru" / f"{number}.mat", channels=("FE",))
        assert r.rpm is not None
        w = assess_bearing(r.signal[0], sampling_rate_hz=r.sampling_rate_hz, rpm=r.rpm, bearing=SKF_6203)
        assert w.verdict == "no_evidence", (number, w.reasons)
