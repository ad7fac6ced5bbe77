"""The learned witness: its network, how it is shipped and run, and the verdict of both witnesses."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import TRAINER, environment, faultdx

from faultdx.errors import ConfigError, ModelError, OutputError, RecordError
from faultdx.records import read_record
from faultdx.records.record import Record
from faultdx.signals.bearings import bearing
from faultdx.signals.hearing import Unfit, hear
from faultdx.signals.hypotheses import Hypothesis
from faultdx.signals.shaft import ShaftSpeed
from faultdx.signals.witness import Witness, assess_bearing, judge
from faultdx.testimony import hear as hear_record
from faultdx.testimony import known_bearing
from faultdx.universal import limits, listening
from faultdx.universal.joint import JointWitness, assess_both, joined
from faultdx.universal.representation import (
    CHANNELS,
    CONTEXT,
    PLACES,
    POSITIONS,
    Aligned,
)
from faultdx.universal.scenes import draw_pair
from faultdx.untrained import Untrained

SKF = bearing("6205-2RS JEM").geometry


def some(records: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    lines = rng.uniform(size=(records, 3, 9, CHANNELS, POSITIONS)).astype(np.float32)
    return lines, rng.standard_normal((records, 3, 9, CONTEXT)).astype(np.float32)


def test_the_network_scores_every_hypothesis_by_the_same_weights():
    import torch

    from faultdx.universal.network import UniversalNetwork

    torch.manual_seed(0)
    network = UniversalNetwork().eval()
    lines, context = (torch.from_numpy(a) for a in some())
    with torch.no_grad():
        plain = network(lines, context)
        places, bands = [2, 0, 1], [8, 3, 1, 0, 2, 7, 6, 5, 4]
        turned = network(lines[:, places], context[:, places])
        shuffled = network(lines[:, :, bands], context[:, :, bands])
        single = network(lines[1:2], context[1:2])
    np.testing.assert_allclose(turned[:, 1:], plain[:, 1:][:, places], atol=1e-5)
    np.testing.assert_allclose(turned[:, 0], plain[:, 0], atol=1e-5)
    np.testing.assert_allclose(shuffled, plain, atol=1e-5)
    np.testing.assert_allclose(single, plain[1:2], atol=1e-5)
    assert 40_000 < sum(p.numel() for p in network.parameters()) < 60_000


def test_the_network_thresholds_softly():
    from faultdx.networks.units import Thresholds
    from faultdx.universal.network import UniversalNetwork

    assert sum(isinstance(m, Thresholds) and not m.shared for m in UniversalNetwork().modules()) == 3


def test_training_learns_and_is_the_same_again():
    import torch

    from faultdx.universal.fitting import fit, probabilities
    from faultdx.universal.lessons import Lessons

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    count, bands = 48, 1
    label = np.arange(count) % 4
    lines = rng.integers(0, 40, (count, 3, bands, CHANNELS, POSITIONS), dtype=np.uint8)
    for i, truth in enumerate(label):
        if truth:
            lines[i, truth - 1, :, 0, 20:28] = 220  # a deep first line in the bands of that hypothesis
    lessons = Lessons(lines, np.zeros((count, 3, bands, CONTEXT), dtype=np.float32), label.astype(np.int64))
    losses: list[float] = []
    network = fit(lessons, epochs=60, seed=1, progress=lambda _, loss: losses.append(loss))
    said = probabilities(network, lessons)
    assert losses[-1] < 0.6 * losses[0]
    assert np.mean(said.argmax(axis=1) == label) > 0.95
    np.testing.assert_allclose(said.sum(axis=1), 1.0, atol=1e-6)
    one, other = (probabilities(fit(lessons, epochs=1, seed=seed), lessons) for seed in (1, 2))
    np.testing.assert_array_equal(one, probabilities(fit(lessons, epochs=1, seed=1), lessons))
    assert not np.array_equal(one, other)


def test_the_shipped_network_is_the_one_that_is_pinned():
    blob = listening.SHIPPED.read_bytes()
    assert len(blob) < 2_000_000
    assert hashlib.sha256(blob).hexdigest() == limits.SHA256
    info = json.loads(listening.SHIPPED.with_suffix(".json").read_text("utf-8"))
    assert info["onnx_sha256"] == limits.SHA256
    assert info["classes"] == ["none", *PLACES]
    assert info["onnx_sha256"] in listening.SHIPPED.with_name("MODEL_CARD.md").read_text("utf-8")


@pytest.mark.parametrize("spoil", ["changed", "gone", "huge"])
def test_another_file_in_its_place_is_not_run_and_the_physics_speaks_alone(spoil, tmp_path, monkeypatch):
    path = tmp_path / "universal.onnx"
    blob = listening.SHIPPED.read_bytes()
    if spoil != "gone":
        path.write_bytes(blob[:-1] + b"x" if spoil == "changed" else bytes(3_000_000))
    monkeypatch.setattr(listening, "SHIPPED", path)
    listening.shipped.cache_clear()
    try:
        with pytest.raises(ModelError, match=r"universal\.onnx.*install faultdx again"):
            listening.shipped()
        scene = faulty(1, "outer_race")
        asked = {"sampling_rate_hz": scene.sampling_rate_hz, "rpm": scene.stated_rpm, "bearing": scene.bearing}
        alone, both = assess_bearing(scene.signal, **asked), assess_both(scene.signal, **asked)
        assert (both.verdict, both.place) == (alone.verdict, alone.place)
        assert "the trained network was not asked" in both.reasons[-1]
        assert both.reasons[:-1] == alone.reasons
    finally:
        listening.shipped.cache_clear()


def test_bytes_that_are_no_network_are_a_model_error():
    with pytest.raises(ModelError, match="there: is not a network"):
        listening.Listener(b"no onnx", where="there")


def faulty(seed: int, place: str):
    return draw_pair(np.random.default_rng([77, seed]), place=place)[1]


def test_the_physics_of_both_is_the_physics_alone():
    compared = 0
    for seed in range(8):
        scene = faulty(seed, PLACES[seed % 3])
        asked = {"sampling_rate_hz": scene.sampling_rate_hz, "rpm": scene.stated_rpm, "bearing": scene.bearing}
        alone = assess_bearing(scene.signal, **asked)
        heard = hear(scene.signal, **asked)
        both = assess_both(scene.signal, **asked)
        if isinstance(heard, Unfit):
            assert both.to_dict() == alone.to_dict()
            continue
        assert judge(heard, scene.bearing).to_dict() == alone.to_dict()
        assert isinstance(both, JointWitness)
        assert both.physics == alone.verdict
        assert both.to_dict()["learned"]["probabilities"].keys() == {"none", *PLACES}
        assert sum(both.learned.values()) == pytest.approx(1.0, abs=1e-5)
        json.dumps(both.to_dict(), allow_nan=False)
        compared += 1
    assert compared >= 5


@pytest.mark.parametrize(
    ("signal", "rate", "rpm", "error"),
    [
        (np.zeros((2, 5000)), 12e3, 1800.0, RecordError),
        (np.zeros(50_000), 12e3, 1800.0, RecordError),
        (np.full(50_000, np.nan), 12e3, 1800.0, RecordError),
        (np.ones(50_000), 0.0, 1800.0, RecordError),
        (np.ones(50_000), 12e3, np.nan, ConfigError),
    ],
)
def test_bad_input_is_refused_as_by_the_physics(signal, rate, rpm, error):
    for assess in (assess_both, assess_bearing):
        with pytest.raises(error):
            assess(signal, sampling_rate_hz=rate, rpm=rpm, bearing=SKF)


def test_what_is_too_short_or_too_slow_is_not_assessable():
    noise = np.random.default_rng(0).standard_normal(60_000)
    short = assess_both(noise[:2000], sampling_rate_hz=12e3, rpm=1800.0, bearing=SKF)
    slow = assess_both(noise, sampling_rate_hz=800.0, rpm=1800.0, bearing=SKF)
    assert (short.verdict, slow.verdict) == ("not_assessable", "not_assessable")
    assert "too short" in short.reasons[0]
    assert "too slowly" in slow.reasons[0]


SURE = ShaftSpeed(30.0, 30.0, 0.9999, 9.0, "both")


def witness_of(scores: dict[str, float], *, verdict: str, place: str | None = None) -> Witness:
    """A Witness with these scores."""
    order = {"outer_race": 3.58, "inner_race": 5.42, "ball": 4.71, "cage": 0.4}
    hypotheses = [
        Hypothesis(
            place=p, order=order[p], found_order=order[p], slip=0.0, depth=s, surrogate=0.0, excess=s, chance=0.02,
            hump=0.0, score=s, harmonics=(s,), sidebands=(0.0, 0.0), band="0-1 Hz", row=0, outshone=0.0,
            assessable=True,
        )
        for p, s in scores.items()
    ]  # fmt: skip
    ranked = tuple(sorted(hypotheses, key=lambda h: -h.score))
    return Witness(verdict, place, ranked, SURE, 300.0, 0.8, ("the finding", "a doubt"))


def said(**places: float) -> dict[str, float]:
    told = {p: places.get(p, 0.0) for p in PLACES}
    return {"none": 1.0 - sum(told.values()), **told}


WEAK = {"outer_race": 1.0, "inner_race": 0.2, "ball": 0.1, "cage": 0.1}
JOINED = [
    # scores, verdict and place of the physics, what the network says, verdict and place of both
    (WEAK, "damaged", None, said(outer_race=0.95), "located", "outer_race"),
    (WEAK, "no_evidence", None, said(outer_race=0.91), "located", "outer_race"),
    (WEAK, "damaged", None, said(outer_race=0.6), "damaged", None),  # not sure
    (WEAK, "damaged", None, said(inner_race=0.95), "damaged", None),  # another place leads
    ({**WEAK, "inner_race": 0.4}, "damaged", None, said(outer_race=0.95), "damaged", None),  # another place is near
    ({**WEAK, "outer_race": 0.85}, "no_evidence", None, said(outer_race=0.95), "no_evidence", None),  # too weak
    (WEAK, "damaged", None, said(outer_race=0.02), "no_evidence", None),
    (WEAK, "damaged", None, said(outer_race=0.2), "damaged", None),
    ({**WEAK, "ball": 2.0}, "located", "ball", said(ball=0.3), "located", "ball"),  # its silence is no objection
    ({**WEAK, "ball": 2.0}, "located", "ball", said(), "located", "ball"),
    ({**WEAK, "ball": 2.0}, "located", "ball", said(inner_race=0.95), "damaged", None),  # opposed
    (WEAK, "not_assessable", None, said(), "not_assessable", None),  # no all-clear from the network
    (WEAK, "no_evidence", None, said(ball=0.9), "no_evidence", None),
]


@pytest.mark.parametrize(("scores", "verdict", "place", "learned", "expected", "where"), JOINED)
def test_two_witnesses_come_to_one_verdict(scores, verdict, place, learned, expected, where):
    alone = witness_of(scores, verdict=verdict, place=place)
    both = joined(alone, learned)
    assert (both.verdict, both.place) == (expected, where)
    assert both.physics == verdict
    assert both.reasons[-1] == "a doubt"
    if expected != verdict:
        assert "trained network" in both.reasons[0]
        assert any("the finding" in reason for reason in both.reasons)
    else:
        assert both.reasons == alone.reasons


def test_a_line_that_the_notch_hides_is_named_by_nobody():
    alone = witness_of(WEAK, verdict="damaged")
    hidden = replace(alone.hypotheses[0], assessable=False)
    both = joined(replace(alone, hypotheses=(hidden, *alone.hypotheses[1:])), said(outer_race=0.99))
    assert both.verdict == "damaged"


def test_without_a_confirmed_speed_nothing_more_is_named():
    alone = replace(witness_of(WEAK, verdict="not_assessable"), speed=ShaftSpeed(30.0, 30.0, 0.3, 0.4, "stated"))
    assert joined(alone, said(outer_race=0.99)).verdict == "not_assessable"


def test_train_universal_writes_a_folder_whose_network_says_what_was_trained(tmp_path, monkeypatch, capsys):
    import torch

    from faultdx.cli.universal import train_universal
    from faultdx.universal import course

    trained = []
    fitted = course.fit
    monkeypatch.setattr(course, "fit", lambda *a, **k: trained.append(fitted(*a, **k)) or trained[-1])
    out = tmp_path / "learned"
    asked = {"scenes": 6, "epochs": 1, "seed": 3, "threads": 1, "other": {"--network": None, "--resume": False}}
    train_universal(out, overwrite=False, **asked)
    assert capsys.readouterr().out.strip() == str(out)
    info = json.loads((out / "universal.json").read_text("utf-8"))
    onnx = (out / "universal.onnx").read_bytes()
    assert len(onnx) < 2_000_000
    assert str(Path(__file__).parent.parent).encode() not in onnx
    assert info["onnx_sha256"] == hashlib.sha256(onnx).hexdigest()
    assert info["training"]["scenes"] == 6
    assert info["scores"]["records"] > 0
    assert info["onnx_sha256"] in (out / "MODEL_CARD.md").read_text("utf-8")

    listener = listening.Listener(onnx, where="here")
    lines, context = some()
    with torch.no_grad():
        logits = trained[0](torch.from_numpy(lines), torch.from_numpy(context))
        expected = torch.softmax(logits, dim=1).numpy()
    for i in range(len(lines)):
        told = listener.probabilities(Aligned(lines[i], context[i]))
        assert list(told) == ["none", *PLACES]
        np.testing.assert_allclose(list(told.values()), expected[i], atol=1e-5)
    with pytest.raises(ModelError, match="here"):
        listener.probabilities(Aligned(lines[0][:, :, :3], context[0]))
    with pytest.raises(OutputError, match="--overwrite"):
        train_universal(out, overwrite=False, **asked)


def test_a_learned_witness_is_vouched_for_last_and_takes_no_place_that_was_taken_meanwhile(tmp_path, monkeypatch):
    from faultdx.universal import course

    class Nothing:
        label = np.zeros(3)

        def parameters(self):
            return []

    written = []
    write = course.write_together
    monkeypatch.setattr(course, "draw_lessons", lambda *_a, **_k: Nothing())
    monkeypatch.setattr(course, "probabilities", lambda *_: np.tile([0.1, 0.2, 0.3, 0.4], (3, 1)))
    monkeypatch.setattr(course, "to_onnx", lambda _: b"onnx")
    monkeypatch.setattr(course, "card", lambda _: "card")
    monkeypatch.setattr(course, "write_together", lambda files, **how: written.extend(files) or write(files, **how))
    monkeypatch.setattr(course, "fit", lambda *_a, **_k: Nothing())
    course.train_universal(tmp_path / "one", scenes=3, epochs=1)
    assert [path.name for path in written][-1] == "universal.json"

    def meanwhile(*_args, **_options):
        (tmp_path / "two" / "universal.json").write_text("another's")
        return Nothing()

    monkeypatch.setattr(course, "fit", meanwhile)
    with pytest.raises(OutputError, match=r"universal\.json: exists already"):
        course.train_universal(tmp_path / "two", scenes=3, epochs=1)
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["universal.json"]
    assert (tmp_path / "two" / "universal.json").read_text() == "another's"
    course.train_universal(tmp_path / "two", scenes=3, epochs=1, overwrite=True)
    assert (tmp_path / "two" / "universal.onnx").read_bytes() == b"onnx"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("x.h5", "--universal"), "PREPARED.h5"),
        (("--universal", "--network", "resnet"), "--network"),
        (("--universal", "--resume"), "--resume"),
        (("x.h5", "--scenes", "5"), "--scenes"),
    ],
)
def test_what_does_not_go_with_it_is_refused(arguments, named, tmp_path):
    ran = faultdx("train", *arguments, "--out", tmp_path / "x", command=TRAINER)
    assert ran.code == 2
    assert named in ran.err
    assert not (tmp_path / "x").exists()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "places"),
    [("105", {"inner_race"}), ("130", {"outer_race"}), ("222", {"ball"}), ("224", {None}), ("97", {None})],
)
def test_real_records_get_the_verdict_that_the_docs_state(name, places, real_data):
    record = read_record(real_data / "cwru" / f"{name}.mat", channels=("DE",))
    assert record.rpm is not None
    both = assess_both(record.signal[0], sampling_rate_hz=record.sampling_rate_hz, rpm=record.rpm, bearing=SKF)
    assert both.place in places
    assert isinstance(both, JointWitness)


def test_a_diagnosis_without_a_model_has_both_witnesses():
    scene = faulty(1, "inner_race")
    geometry = scene.bearing
    named = (
        f"{geometry.rolling_elements},{geometry.ball_diameter},{geometry.pitch_diameter},{geometry.contact_angle_deg}"
    )
    record = Record(scene.signal[None], scene.sampling_rate_hz, rpm=scene.stated_rpm, channels=("a",))
    found = Untrained(known_bearing(named)).diagnose(record, quality="off")
    witness = found.evidence["witness"]
    assert set(witness["learned"]["probabilities"]) == {"none", *PLACES}
    assert witness["learned"]["physics_alone"] in ("located", "damaged", "no_evidence", "not_assessable")
    assert (hear_record(record, known_bearing(named)).to_dict().keys() ^ witness.keys()) == {"learned"}


def test_importing_it_brings_no_torch_and_no_onnxruntime():
    heavy = ("torch", "onnxruntime", "scipy")
    code = f"import sys, faultdx.universal.joint; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert ran.stdout.strip() == "[]"
