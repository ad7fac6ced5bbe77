"""What a model says of a record: the pooled vote where there is one, and no verdict where there can be none."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.signal
from helpers import Trained, model_with

import faultdx
from faultdx.diagnosis import Diagnosis, outcome, reached
from faultdx.errors import FaultdxError, ModelError
from faultdx.model import LEVEL_FACTOR, Model, load_model
from faultdx.records import Item, Record, read_record

RATE = 12_000.0
SEGMENT = 2048


@pytest.fixture(scope="module")
def model(trained: Trained) -> Model:
    return load_model(trained.run)


@pytest.fixture(scope="module")
def records(trained: Trained) -> list[Record]:
    return [read_record(path) for path in sorted(trained.unseen.glob("*.mat"))]


@pytest.fixture
def record(model: Model, records: list[Record]) -> Record:
    """The record that the model is surest of."""
    return max(records, key=lambda r: model.diagnose(r, min_confidence=0).confidence or 0)


def changed(run: Path, folder: Path, **changes: object) -> Model:
    return load_model(model_with(run, folder / "model", **changes))


# ---- the vote


def test_the_verdict_is_the_pooled_vote(model: Model, records: list[Record]) -> None:
    for record in records:
        found = model.diagnose(record, min_confidence=0)
        count = record.signal.shape[1] // SEGMENT
        segments = record.signal[:, : count * SEGMENT].reshape(1, count, SEGMENT).transpose(1, 0, 2)
        p = model.probabilities(segments)
        pooled = np.exp(np.log(p).mean(axis=0))  # the geometric mean of the segments
        pooled /= pooled.sum()
        assert found.status == "diagnosed" and found.verdict == model.classes[int(pooled.argmax())]
        assert found.confidence == pytest.approx(float(pooled.max()), rel=1e-6)
        assert list(found.probabilities) == list(model.classes)
        np.testing.assert_allclose(list(found.probabilities.values()), pooled, rtol=1e-6)
        assert found.agreement == np.mean(p.argmax(axis=1) == pooled.argmax())
        assert found.segments == count
        assert found.segment_probabilities is not None and found.segment_starts_s is not None
        np.testing.assert_allclose(found.segment_probabilities, p, rtol=1e-6)
        np.testing.assert_allclose(found.segment_starts_s, np.arange(count) * SEGMENT / RATE)


def test_the_network_is_the_one_that_was_trained(trained: Trained, model: Model, records: list[Record]) -> None:
    import torch
    from safetensors.torch import load_file

    from faultdx.networks.architecture import architecture
    from faultdx.networks.drsn import Network
    from faultdx.voting import softmax

    network = Network(architecture(model.info["network"]["name"], classes=len(model.classes), samples=SEGMENT))
    network.load_state_dict(load_file(trained.run / "model" / "model.safetensors"))
    x = np.stack([r.signal[:, :SEGMENT] for r in records])
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(
        model.probabilities(x), softmax(logits, temperature=model.info["temperature"]), atol=1e-5
    )


def test_below_the_least_confidence_it_is_undecided(model: Model, record: Record) -> None:
    sure = model.diagnose(record, min_confidence=0)
    assert sure.confidence is not None
    above = model.diagnose(record, min_confidence=sure.confidence)
    assert above.status == "diagnosed" and above.verdict == sure.verdict
    below = model.diagnose(record, min_confidence=min(1.0, float(np.nextafter(sure.confidence, 2))))
    assert (below.status, below.verdict, below.fault) == ("undecided", None, None)
    assert below.probabilities == sure.probabilities and below.confidence == sure.confidence


def test_the_model_s_own_least_confidence_holds_where_none_is_given(
    trained: Trained, record: Record, tmp_path: Path
) -> None:
    assert changed(trained.run, tmp_path / "a", min_confidence=0.0).diagnose(record).status == "diagnosed"
    assert changed(trained.run, tmp_path / "b", min_confidence=1.0).diagnose(record).status == "undecided"


def test_a_fault_is_what_is_not_healthy(trained: Trained, model: Model, record: Record, tmp_path: Path) -> None:
    verdict = model.diagnose(record, min_confidence=0).verdict
    others = [c for c in model.classes if c != verdict]
    for name, healthy, fault in (("a", [verdict], False), ("b", others, True), ("c", [], None)):
        found = changed(trained.run, tmp_path / name, healthy=healthy).diagnose(record, min_confidence=0)
        assert found.verdict == verdict and found.fault is fault


def test_no_all_clear_for_a_record_that_cannot_be_compared(
    trained: Trained, model: Model, record: Record, tmp_path: Path
) -> None:
    verdict = model.diagnose(record, min_confidence=0).verdict
    others = [c for c in model.classes if c != verdict]
    clear = changed(trained.run, tmp_path / "a", healthy=[verdict], min_confidence=0.01)
    alarm = changed(trained.run, tmp_path / "b", healthy=others, min_confidence=0.01)
    loud = record.with_(signal=1000 * record.signal)
    fast = record.with_(rpm=10 * (record.rpm or 1800.0))
    elsewhere = record.with_(channels=("FE",))
    for name, strange in (("level", loud), ("speed", fast), ("channel", elsewhere)):
        found = clear.diagnose(strange)
        assert (found.status, found.verdict, found.fault) == ("undecided", None, None)
        assert any("no all-clear" in w and name in w for w in found.warnings)
        assert alarm.diagnose(strange).fault is True  # an alarm is looked into
        assert clear.diagnose(strange, min_confidence=0).verdict == verdict  # asked for, whatever the doubts


def test_what_was_known_is_passed_on(model: Model, records: list[Record]) -> None:
    record = records[0]
    found = model.diagnose(record.with_(notes=("a loose cable",)))
    assert found.file == record.path and found.sha256 == record.sha256
    assert found.sha256 == hashlib.sha256(Path(record.path).read_bytes()).hexdigest()
    assert found.rpm == record.rpm and found.sampling_rate_hz == RATE and "a loose cable" in found.warnings
    assert found.model == {"digest": model.digest, "name": "run", "version": faultdx.__version__}
    assert found.elapsed_s > 0
    x = record.signal[0].astype(np.float64) - record.signal[0].mean()
    level = found.evidence["levels"][0]
    assert level["channel"] == "DE" and level["rms"] == pytest.approx(np.sqrt(np.mean(x**2)), rel=1e-5)
    assert level["kurtosis"] == pytest.approx(np.mean(x**4) / np.mean(x**2) ** 2, rel=1e-4)


def test_the_order_of_records_changes_nothing(model: Model, records: list[Record]) -> None:
    one, other = ([model.diagnose(r).probabilities for r in order] for order in (records, records[::-1]))
    assert one == other[::-1]


# ---- records that are not as those of the training


def test_a_faster_record_is_resampled_and_the_verdict_stays(model: Model, record: Record) -> None:
    slow = model.diagnose(record, min_confidence=0)
    up = scipy.signal.resample_poly(record.signal.astype(np.float64), 4, 1, axis=1).astype(np.float32)
    fast = model.diagnose(record.with_(signal=up, sampling_rate_hz=4 * RATE), min_confidence=0)
    assert fast.status == "diagnosed" and fast.verdict == slow.verdict and fast.segments == slow.segments
    assert fast.sampling_rate_hz == 4 * RATE
    assert any("resampled from 48000 to 12000 Hz" in w for w in fast.warnings)
    assert not any("resampled" in w for w in slow.warnings)
    # there and back loses the band near half the lower rate, and no more
    p, q = (np.array(list(d.probabilities.values())) for d in (slow, fast))
    assert np.abs(p - q).max() < 0.2


def test_a_slower_record_is_unusable(model: Model, record: Record) -> None:
    found = model.diagnose(record.with_(sampling_rate_hz=8_000.0))
    assert_unusable(found, "sampling_rate", value=8_000.0, limit=RATE)
    assert "8000 Hz" in found.quality[0].message and "12000 Hz" in found.quality[0].message


def test_a_record_shorter_than_a_segment_is_unusable(model: Model, record: Record) -> None:
    assert_unusable(
        model.diagnose(record.with_(signal=record.signal[:, : SEGMENT - 1])), "too_short", SEGMENT - 1, SEGMENT
    )
    whole = model.diagnose(record.with_(signal=record.signal[:, :SEGMENT]), min_confidence=0)
    assert whole.segments == 1 and whole.agreement == 1
    fast = record.with_(signal=record.signal[:, : 2 * SEGMENT - 1], sampling_rate_hz=2 * RATE)
    assert_unusable(model.diagnose(fast), "too_short", 2 * SEGMENT - 1, 2 * SEGMENT)
    long_enough = record.with_(signal=record.signal[:, : 2 * SEGMENT], sampling_rate_hz=2 * RATE)
    assert model.diagnose(long_enough, min_confidence=0).segments == 1


def test_other_channels_are_unusable(model: Model, record: Record) -> None:
    pair = record.with_(signal=np.repeat(record.signal, 2, axis=0), channels=("DE", "FE"))
    found = model.diagnose(pair)
    assert_unusable(found, "channels", 2, 1)
    assert "--channel" in found.quality[0].message and "FE" in found.quality[0].message


def assert_unusable(found: Diagnosis, check: str, value: float, limit: float) -> None:
    assert (found.status, found.verdict, found.fault, found.confidence) == ("unusable", None, None, None)
    assert found.segments == 0 and found.probabilities == {}
    (fired,) = found.quality
    assert (fired.name, fired.severity, fired.value, fired.limit) == (check, "refuse", value, limit)
    assert found.record is not None and found.elapsed_s > 0


def test_a_level_far_from_the_training_s_is_named(model: Model, record: Record) -> None:
    low, high = model.info["envelope"]["rms"]
    rms = float(np.sqrt(np.mean(record.signal.astype(np.float64) ** 2)))
    for wanted, fires in ((1.01 * high * LEVEL_FACTOR, True), (0.99 * low / LEVEL_FACTOR, True), (high, False)):
        found = model.diagnose(record.with_(signal=record.signal * (wanted / rms)), min_confidence=0)
        assert found.status == "diagnosed"
        assert [c.name for c in found.quality] == (["level"] if fires else [])
        assert any("level" in w for w in found.warnings) == fires
        if fires:
            assert found.quality[0].severity == "warn" and found.quality[0].value == pytest.approx(wanted, rel=1e-4)


def test_a_speed_far_from_the_training_s_is_named(model: Model, record: Record) -> None:
    _, high = model.info["envelope"]["rpm"]
    for rpm, said in ((2 * high, True), (high, False), (None, False)):
        found = model.diagnose(record.with_(rpm=rpm))
        assert any("speed" in w for w in found.warnings) == said and found.rpm == rpm


def test_a_model_of_a_leaking_split_says_so_each_time(trained: Trained, record: Record, tmp_path: Path) -> None:
    leaking = changed(trained.run, tmp_path, split={"method": "random", "leakage": True})
    assert any("leaking" in w for w in leaking.diagnose(record).warnings)


# ---- files


def test_a_file_that_cannot_be_read_is_a_diagnosis_too(model: Model, tmp_path: Path) -> None:
    found = model.diagnose_item(Item(str(tmp_path / "no.mat")))
    assert found.status == "error" and found.error is not None and found.error["kind"] == "record"
    assert "no.mat" in found.error["message"] and found.record is None and found.model == model.summary


def test_the_channel_of_the_training_is_taken_where_the_file_has_it(
    model: Model, record: Record, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).normal(size=record.signal.shape)
    rate = {"sampling_rate_hz": np.array([[RATE]])}
    both = {"X901_FE_time": noise.T, "X901_DE_time": record.signal.T.astype(float)}
    scipy.io.savemat(tmp_path / "both.mat", both | rate)
    scipy.io.savemat(tmp_path / "other.mat", {"vibration": record.signal.T.astype(float)} | rate)
    wanted = model.diagnose(record).probabilities
    for name, channel in (("both", "DE"), ("other", "vibration")):
        found = model.diagnose_item(Item(str(tmp_path / f"{name}.mat")))
        assert found.probabilities == wanted and found.record is not None and found.record.channels == (channel,)
        named = [w for w in found.warnings if "vibration" in w and "DE" in w]
        assert len(named) == (name == "other")  # of another name: said, with both names


def test_a_bad_value_in_the_channel_of_the_training_is_no_reason_to_take_another(
    model: Model, record: Record, tmp_path: Path
) -> None:
    whole, holed = (record.signal.T.astype(float) for _ in range(2))
    holed[7] = np.nan
    rate = {"sampling_rate_hz": np.array([[RATE]])}
    for name, de, fe, status in (("bad", holed, whole, "unusable"), ("good", whole, holed, "diagnosed")):
        scipy.io.savemat(tmp_path / f"{name}.mat", {"X901_DE_time": de, "X901_FE_time": fe} | rate)
        found = model.diagnose_item(Item(str(tmp_path / f"{name}.mat")), min_confidence=0)
        assert found.status == status
        if status == "unusable":
            assert found.error is None and found.verdict is None and found.probabilities == {}
            assert [(c.name, c.value, c.severity) for c in found.quality] == [("not_finite", 1.0, "refuse")]


@pytest.mark.parametrize("rate", [12_005.0, 12_001.0, 12_000.3, 37_699.1])
def test_a_record_at_an_odd_rate_is_diagnosed(model: Model, record: Record, rate: float) -> None:
    samples = int(np.ceil(2 * SEGMENT * rate / RATE))
    signal = scipy.signal.resample(record.signal[:, : 2 * SEGMENT], samples, axis=1).astype(np.float32)
    found = model.diagnose(record.with_(signal=signal, sampling_rate_hz=rate), min_confidence=0)
    wanted = model.diagnose(record.with_(signal=record.signal[:, : 2 * SEGMENT]), min_confidence=0)
    assert (found.status, found.verdict, found.segments) == ("diagnosed", wanted.verdict, 2)
    # within 1e-4 the rates are the same to a network
    said = [w for w in found.warnings if w.startswith(f"resampled from {rate:g} to 12000 Hz")]
    assert len(said) == (rate > 12_001.2)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"schema": "other/1"}, "other/1"),
        ({"classes": ["one"]}, "classes"),
        ({"segment_samples": 4096}, "does not fit"),
        ({"healthy": ["nobody"]}, "healthy"),
        ({"temperature": -1}, "temperature"),
        ({"weights": {"onnx_sha256": "0" * 64}}, "another digest"),
    ],
)
def test_a_damaged_model_is_refused(trained: Trained, tmp_path: Path, damage: dict[str, object], words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        changed(trained.run, tmp_path, **damage)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_cut_network_is_refused(trained: Trained, tmp_path: Path) -> None:
    folder = model_with(trained.run, tmp_path / "model")
    data = (folder / "model.onnx").read_bytes()[:-100]
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(ModelError, match="copy the whole model folder"):
        load_model(folder)
    info = json.loads((folder / "model.json").read_text())
    info["weights"]["onnx_sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(ModelError, match="onnxruntime"):
        load_model(folder)
    (folder / "model.json").write_text("{" * 100_000)
    with pytest.raises(ModelError, match="not JSON"):
        load_model(folder)


# ---- the exit code


def test_the_outcome_of_many_is_the_worst_that_was_asked_for() -> None:
    sick = Diagnosis("a", "", "diagnosed", verdict="ball", fault=True)
    well = replace(sick, verdict="normal", fault=False)
    unsure = Diagnosis("a", "", "undecided")
    strange = Diagnosis("a", "", "unfamiliar")
    unfit, broken = Diagnosis("a", "", "unusable"), Diagnosis("a", "", "error")
    assert outcome([], ["fault"]) == outcome([sick, well, unsure, strange], []) == 0
    assert outcome([sick, broken], ["never"]) == outcome([well, unfit], ["fault"]) == 4
    assert outcome([broken, sick], ["fault"]) == outcome([unfit, sick], ["never", "ball"]) == 3
    assert outcome([well], ["fault", "ball"]) == 0 and outcome([well], ["normal"]) == 3
    assert outcome([unsure], ["undecided"]) == outcome([strange], ["unfamiliar"]) == 3
    assert outcome([unsure], ["fault", "unfamiliar"]) == 0
    assert not reached(replace(sick, fault=None), {"fault"})


# ---- the library as its front page shows it


def test_the_library_does_what_its_front_page_says(trained: Trained, model: Model) -> None:
    path = trained.unseen / "501.mat"
    record = faultdx.read_record(path)
    found = faultdx.load_model(trained.run).diagnose(record)
    assert isinstance(found, faultdx.Diagnosis) and isinstance(record, faultdx.Record)
    assert found.probabilities == model.diagnose(record).probabilities
    assert faultdx.load_model(str(trained.run / "model")).digest == model.digest
    assert [item.path for item in faultdx.find_records([str(path)])] == [str(path)]
    assert faultdx.inspect_file(path).sampling_rate_hz == RATE
    for bad in (lambda: faultdx.load_model("no such folder"), lambda: faultdx.read_record("no such file")):
        with pytest.raises(faultdx.FaultdxError):
            bad()
    assert faultdx.FaultdxError is FaultdxError


def test_noise_is_added_at_the_snr_that_was_asked_for(trained: Trained) -> None:
    x = faultdx.read_record(trained.unseen / "501.mat").signal
    noisy = faultdx.add_noise(x, kind="pink", snr_db=-4.0, rng=np.random.default_rng(1))
    n = noisy.astype(np.float64) - x
    power = np.mean((x - x.mean(axis=1, keepdims=True)).astype(np.float64) ** 2), np.mean(n**2)
    measured = 10 * np.log10(power[0] / power[1])
    assert measured == pytest.approx(-4.0, abs=0.05) and noisy.dtype == np.float32 and noisy.shape == x.shape
    again = faultdx.add_noise(x, kind="pink", snr_db=-4.0, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(noisy, again)


def test_public_names_are_there_and_no_others() -> None:
    assert dir(faultdx) == sorted(faultdx.__all__)
    assert all(getattr(faultdx, name) is not None for name in faultdx.__all__)
    with pytest.raises(AttributeError, match="no attribute 'diagnose_everything'"):
        _ = faultdx.diagnose_everything


def test_a_diagnosis_by_the_library_needs_no_torch(trained: Trained) -> None:
    code = (
        "import sys, faultdx\n"
        "found = faultdx.load_model(sys.argv[1]).diagnose(faultdx.read_record(sys.argv[2]))\n"
        "assert found.status in ('diagnosed', 'undecided')\n"
        "sys.exit('torch' in sys.modules)"
    )
    files = [str(trained.run), str(trained.unseen / "501.mat")]
    subprocess.run([sys.executable, "-W", "error", "-c", code, *files], check=True)
