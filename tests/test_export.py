"""The exported file stands alone and says what the model says; int8 is what it claims to be, and its cost is told."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch
from helpers import FAULTDX, Trained, assert_refused, environment, faultdx, faultdx_here
from onnx import numpy_helper

from faultdx import __version__, portable, precision, quantization
from faultdx.dataset import Prepared, open_prepared
from faultdx.errors import ConfigError, DatasetError, ModelError
from faultdx.evaluation import evaluate_side
from faultdx.inference import Network
from faultdx.networks.architecture import Architecture
from faultdx.networks.drsn import Network as Torch
from faultdx.quantization import Candidate
from faultdx.voting import softmax

Array = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model(trained: Trained) -> Network:
    return Network.open(trained.run)


@pytest.fixture(scope="module")
def onnx_bytes(trained: Trained) -> bytes:
    return (trained.run / "model" / "model.onnx").read_bytes()


def run_file(path: Path, segments: Array) -> dict[str, npt.NDArray[Any]]:
    """What a stranger gets from the file alone."""
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: segments}), strict=True))


def in_torch(run: Path, segments: Array) -> npt.NDArray[Any]:
    """The logits of the weights, by torch."""
    info = json.loads((run / "model" / "model.json").read_text())
    network = Torch(Architecture.from_dict(info["network"]["architecture"]))
    network.load_state_dict(safetensors.torch.load_file(run / "model" / "model.safetensors"))
    with torch.no_grad():
        return np.asarray(network.eval()(torch.from_numpy(segments)))


# ---- one file


def test_the_file_says_what_torch_says_at_any_batch(trained: Trained, model: Network, tmp_path: Path) -> None:
    ran = faultdx_here("export", trained.run, "--out", "m.onnx", "--probabilities", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "m.onnx\n") and "opset" in ran.err
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]  # no weights beside it
    for batch in (1, 2, 59, 65):
        segments = np.random.default_rng(batch).normal(size=(batch, 1, model.segment)).astype(np.float32)
        found = run_file(tmp_path / "m.onnx", segments)
        right = in_torch(trained.run, segments)
        assert list(found) == ["logits", "features", "probabilities"]
        assert np.abs(found["logits"] - right).max() < 1e-5
        assert np.abs(found["probabilities"] - softmax(right, temperature=model.temperature)).max() < 1e-5
        assert np.abs(found["probabilities"] - model.probabilities(segments)).max() < 1e-5
        assert found["features"].shape[0] == batch and found["features"].ndim == 2


def test_the_file_says_of_itself_what_is_needed(trained: Trained, model: Network, tmp_path: Path) -> None:
    ran = faultdx_here("export", trained.run, "--out", "m.onnx", "--json", cwd=tmp_path)
    loaded = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(loaded, full_check=True)
    said = {p.key.removeprefix("faultdx."): p.value for p in loaded.metadata_props}
    assert (loaded.producer_name, loaded.producer_version) == ("faultdx", __version__)
    assert json.loads(said["classes"]) == list(model.classes) and json.loads(said["healthy"]) == model.info["healthy"]
    assert float(said["sampling_rate_hz"]) == model.sampling_rate_hz and int(said["segment_samples"]) == model.segment
    assert float(said["temperature"]) == model.temperature and said["normalization"] == model.info["normalization"]
    assert said["model_digest"] == model.digest and said["precision"] == "float32"
    assert {entry.domain: entry.version for entry in loaded.opset_import} == {"": int(said["opset"])}
    assert loaded.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert not any(t.data_location == onnx.TensorProto.EXTERNAL for t in loaded.graph.initializer)
    (found,) = ran.objects
    assert (found["file"], found["opset"], found["precision"]) == ("m.onnx", int(said["opset"]), "float32")


def test_a_model_folder_alone_gives_the_same_bytes_without_torch(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.run / "model", tmp_path / "alone")
    (tmp_path / "alone" / "model.safetensors").unlink()
    probe = "import sys; from faultdx.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run(
        [FAULTDX[0], "-c", probe, "export", "alone", "--out", "b.onnx"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "b.onnx\n"), done.stderr
    assert faultdx_here("export", trained.run, "--out", "a.onnx", "-q", cwd=tmp_path).err == ""
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_what_cannot_be_exported_is_one_line(trained: Trained, tmp_path: Path) -> None:
    run, there = trained.run, tmp_path / "there.onnx"
    there.write_bytes(b"mine")
    calibrate = ("--calibrate", trained.prepared)
    cases: tuple[tuple[tuple[str | Path, ...], int, str], ...] = (
        ((run, "--out", "x"), 2, "NAME.onnx"),
        ((run, "--out", "there.onnx"), 5, "--overwrite"),
        ((run, "--out", "x.onnx", "--int8"), 2, "--calibrate"),
        ((run, "--out", "x.onnx", *calibrate), 2, "--int8"),
        ((run, "--out", run / "model", "--int8", *calibrate, "--overwrite"), 2, "is the model itself"),
        ((run, "--out", run / "model" / "model.onnx", "--overwrite"), 2, "is the model itself"),
        ((run, "--out", "model.onnx", "--int8", *calibrate), 2, "another name"),
        ((run, "--out", tmp_path, "--int8", *calibrate, "--overwrite"), 5, "is not a model folder"),
        ((run, "--out", run, "--int8", *calibrate, "--overwrite"), 5, "is not a model folder"),
        ((run, "--out", "x.onnx", "--int8", "--calibrate", there), 2, "is not a prepared file"),
        (("nothing", "--out", "x.onnx"), 2, "no such folder"),
        ((run, "--out", "there.onnx/x.onnx"), 5, "cannot be written"),
    )
    for words, code, expected in cases:
        assert_refused(faultdx_here("export", *words, cwd=tmp_path), code, expected)
    assert there.read_bytes() == b"mine" and [p.name for p in tmp_path.iterdir()] == ["there.onnx"]
    assert faultdx_here("export", run, "--out", "there.onnx", "--overwrite", "-q", cwd=tmp_path).code == 0


def test_without_onnx_the_cure_is_named(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    ran = faultdx_here("export", trained.run, "--out", "x.onnx", cwd=tmp_path)
    assert_refused(ran, 2, "onnx", "pip install 'faultdx[train]'")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    with pytest.raises(ConfigError, match=r"pip install 'faultdx\[train\]'"):
        quantization.quantize(b"", np.zeros((1, 1, 16), np.float32))


def test_a_file_that_says_something_else_is_not_written(model: Network, onnx_bytes: bytes) -> None:
    changed = onnx.load_from_string(onnx_bytes)
    weights = next(t for t in changed.graph.initializer if t.name.endswith("fc.weight"))
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights) * np.float32(1.001), weights.name))
    with pytest.raises(ModelError, match="gives other numbers than the model"):
        portable.to_portable(changed.SerializeToString(), model, precision="float32")
    fixed = onnx.load_from_string(onnx_bytes)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    with pytest.raises(ModelError):
        portable.to_portable(fixed.SerializeToString(), model, precision="float32")


# ---- int8


@pytest.fixture(scope="module")
def exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """q.onnx with q.json, and the folder q: the same by another seed."""
    folder = tmp_path_factory.mktemp("int8")
    calibrate = ("--int8", "--calibrate", trained.prepared)
    ran = faultdx("export", trained.run, "--out", "q.onnx", *calibrate, cwd=folder)
    assert (ran.code, ran.out) == (0, "q.onnx\n"), ran.err  # the library's own prints stay away
    for word in ("float32", "int8", "latency", "test, clean", "size, KiB", "soft thresholds"):
        assert word in ran.err, word
    assert "WARNING" not in ran.err and "%|" not in ran.err
    ran = faultdx("export", trained.run, "--out", "q", *calibrate, "--quiet", "--json", cwd=folder)
    assert ran.code == 0 and ran.err == "" and len(ran.objects) == 1
    return folder


def test_int8_is_what_it_claims(exported: Path, onnx_bytes: bytes) -> None:
    loaded = onnx.load(exported / "q.onnx")
    onnx.checker.check_model(loaded, full_check=True)
    kinds = {node.op_type for node in loaded.graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    values = {t.name: numpy_helper.to_array(t) for t in loaded.graph.initializer}
    made = {name: node for node in loaded.graph.node for name in node.output}
    convolutions = [node for node in loaded.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == sum(n.op_type == "Conv" for n in onnx.load_from_string(onnx_bytes).graph.node)
    for node in convolutions:
        stored, scale = (values[name] for name in made[node.input[1]].input[:2])
        assert stored.dtype == np.int8 and scale.shape == stored.shape[:1]  # a scale for each output channel
    for node in loaded.graph.node:
        if node.op_type == "QuantizeLinear":  # the arithmetic of the soft thresholds stays in float32
            assert node.input[0] not in made or made[node.input[0]].op_type not in {"Sub", "Abs", "Neg", "Mul", "Add"}
    assert (exported / "q.onnx").stat().st_size < 0.7 * len(onnx_bytes)
    assert {p.key: p.value for p in loaded.metadata_props}["faultdx.precision"] == "int8"


def test_the_report_is_what_the_file_does(trained: Trained, model: Network, exported: Path) -> None:
    report = json.loads((exported / "q.json").read_text())
    integer = Network.from_parts((exported / "q.onnx").read_bytes(), model.info)
    kinds, levels = quantization.noise_of_scores(model.info)
    with open_prepared(trained.prepared) as prepared:
        for name, network in (("float32", model), ("int8", integer)):
            right = evaluate_side(network, prepared, side="test", noise=kinds, snr_db=levels, seed=2)
            assert report["scores"][name]["test"] == json.loads(json.dumps(right))
        x = prepared.segments(prepared.rows("test"))
        same = np.mean(model.logits(x).argmax(axis=1) == integer.logits(x).argmax(axis=1))
    assert report["same_class"]["test"] == pytest.approx(same) and same > 0.5
    assert set(model.info["scores"]["val"]) == set(report["scores"]["int8"]["val"])
    assert report["bytes"]["int8"] < report["bytes"]["float32"]
    assert report["data"]["trained_on_it"] is True
    for batch in ("1", "59"):
        assert all(0 < t["low"] <= t["median"] <= t["high"] for t in report["latency_ms"][batch].values())
    tried = {(c["calibration"], c["scope"]): c["val_segment_accuracy"] for c in report["quantization"]["candidates"]}
    assert len(tried) == 4
    way = report["quantization"]["calibration"]
    assert tried[way, "layers"] == max(a for (_, scope), a in tried.items() if scope == "layers")


def test_an_int8_folder_is_a_model(trained: Trained, exported: Path, tmp_path: Path) -> None:
    files = {p.name for p in (exported / "q").iterdir()}
    assert files == {"model.onnx", "model.json", "MODEL_CARD.md"}
    info = json.loads((exported / "q" / "model.json").read_text())
    opened = Network.open(exported / "q")
    assert opened.info["precision"] == "int8" and info["name"].endswith("-int8")
    assert info["scores"]["test"] == json.loads((exported / "q.json").read_text())["scores"]["int8"]["test"]
    assert info["float32"]["digest"] == Network.open(trained.run).digest != opened.digest
    card = (exported / "q" / "MODEL_CARD.md").read_text()
    assert "## Int8" in card and all(finding in card for finding in info["comparison"]["findings"])
    ran = faultdx_here("diagnose", trained.unseen, "--model", exported / "q", "--json", cwd=tmp_path)
    assert ran.code == 0 and all(d["model"]["digest"] == opened.digest for d in ran.objects)
    again = faultdx_here("export", exported / "q", "--out", "again.onnx", "--int8", "--calibrate", trained.prepared,
                         cwd=tmp_path)  # fmt: skip
    assert_refused(again, 2, "is int8 already")
    plain = faultdx_here("export", exported / "q", "--out", "copy.onnx", "--json", cwd=tmp_path)
    assert plain.code == 0 and plain.objects[0]["precision"] == "int8"


def test_a_folder_is_replaced_only_where_it_is_a_model(trained: Trained, exported: Path, tmp_path: Path) -> None:
    shutil.copytree(exported / "q", tmp_path / "q")
    command = ("export", trained.run, "--out", "q", "--int8", "--calibrate", trained.prepared, "-q")
    assert_refused(faultdx_here(*command, cwd=tmp_path), 5, "--overwrite")
    before = (tmp_path / "q" / "model.onnx").read_bytes()
    (tmp_path / "q" / "model.onnx").write_bytes(b"")
    assert faultdx_here(*command, "--overwrite", cwd=tmp_path).code == 0
    assert (tmp_path / "q" / "model.onnx").read_bytes() == before  # the same every time


# ---- how it is calibrated and chosen


class Sides:
    """A prepared file that says which rows were asked for."""

    def __init__(self, prepared: Prepared) -> None:
        self.asked: set[int] = set()
        self._prepared = prepared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prepared, name)

    def segments(self, rows: npt.NDArray[np.int64]) -> Array:
        self.asked |= set(rows.tolist())
        return self._prepared.segments(rows)


def test_only_the_training_side_is_calibrated_on(trained: Trained, model: Network) -> None:
    with open_prepared(trained.prepared) as prepared:
        spy: Any = Sides(prepared)
        segments = quantization.calibration_segments(model, spy)
        assert spy.asked and spy.asked <= set(prepared.rows("train").tolist())
        assert len(segments) == min(quantization.CALIBRATION_SEGMENTS, len(prepared.rows("train")))
        own = prepared.segments(np.array(sorted(spy.asked)))
    noisy = np.any(segments != own, axis=(1, 2))
    assert noisy.tolist() == [i % 2 == 0 for i in range(len(own))]
    power = np.var(own, axis=2) / np.var(segments - own, axis=2).clip(1e-12)
    snr = 10 * np.log10(power[noisy])
    low, high = model.info["noise"]["snr_db"]
    assert low - 0.1 <= snr.min() and snr.max() <= high + 0.1


@pytest.mark.parametrize("count", [1, 31, 70])
@pytest.mark.parametrize("calibration", list(quantization.CALIBRATIONS))
def test_any_number_of_segments_calibrates(model: Network, onnx_bytes: bytes, calibration: str, count: int) -> None:
    segments = portable.example_segments(model, count)
    handlers, stream = list(logging.root.handlers), io.StringIO()
    integer = Network.from_parts(quantization.quantize(onnx_bytes, segments, calibration=calibration), model.info)
    assert logging.root.handlers == handlers and logging.root.manager.disable == 0 and stream.getvalue() == ""
    distance = np.abs(integer.logits(segments) - model.logits(segments))
    assert 0 < distance.max() < 0.5 * np.ptp(model.logits(segments)) + 1


def candidate(calibration: str, scope: str, *accuracy: float) -> Candidate:
    return Candidate(calibration, scope, b"", {str(i): {"segment_accuracy": a} for i, a in enumerate(accuracy)})


def test_validation_chooses_among_the_calibrations() -> None:
    low, high = candidate("minmax", "layers", 0.9, 0.5), candidate("entropy", "layers", 0.8, 0.7)
    whole = candidate("minmax", "everything", 1.0, 1.0)
    assert quantization.choose([low, high, whole]) is high
    assert quantization.choose([low, candidate("entropy", "layers", 0.7, 0.7), whole]) is low  # of equals the first
    assert quantization.choose([candidate("minmax", "layers"), candidate("entropy", "layers")]).calibration == "minmax"
    assert candidate("minmax", "layers").accuracy is None


def test_a_file_for_another_model_is_refused(trained: Trained, model: Network) -> None:
    with open_prepared(trained.prepared) as prepared:
        quantization.check_fit(model, prepared)
        spy: Any = Sides(prepared)
        spy.classes, spy.segment = ("a", "b"), 7
        with pytest.raises(ConfigError, match=r"other classes, segment.*calibrate on"):
            quantization.check_fit(model, spy)
        spy = Sides(prepared)
        spy.rows = lambda _side: np.empty(0, np.int64)
        with pytest.raises(DatasetError, match="no training segments"):
            quantization.check_fit(model, spy)


def test_the_noise_is_that_of_the_model_s_scores() -> None:
    scores = {"val": {"clean": {}, "pink -4 dB": {}, "gaussian 2.5 dB": {}, "odd": {}, "pink x dB": {}}, "test": None}
    assert quantization.noise_of_scores({"scores": scores}) == (("pink", "gaussian"), (-4.0, 2.5))
    assert quantization.noise_of_scores({}) == (("gaussian", "pink", "laplacian"), (-4.0, 0.0))


# ---- what is said of it


def report(slow: float, change: float, *, trained_on_it: bool = True) -> dict[str, Any]:
    def side(accuracy: float) -> dict[str, Any]:
        scores = {"segments": 200, "records": 10, "segment_accuracy": accuracy, "record_accuracy": accuracy}
        return {"clean": scores, "pink -4 dB": scores | {"segment_accuracy": accuracy - 0.1}}

    return {
        "latency_ms": {"1": {"float32": {"median": 1.0}, "int8": {"median": slow}}},
        "scores": {"float32": {"val": {}, "test": side(0.9)}, "int8": {"val": {}, "test": side(0.9 + change)}},
        "same_class": {"test": 0.98},
        "bytes": {"float32": 2048, "int8": 1024},
        "quantization": {"candidates": [], "float32_val_segment_accuracy": None},
        "data": {"trained_on_it": trained_on_it},
    }


def test_losses_are_said_as_losses() -> None:
    bad = "\n".join(precision.findings(report(1.4, -0.02, trained_on_it=False)))
    assert "SLOWER for 1 segment a call: 1.40 times" in bad and "LOSES accuracy on the test side: -2.00" in bad
    assert "is not the one that the model was trained on" in bad and "98.00 %" in bad
    good = "\n".join(precision.findings(report(0.5, 0.0)))
    assert "faster for 1 segment a call: 0.50 times" in good and "keeps its accuracy" in good and "LOSES" not in good
    assert "no faster" in "\n".join(precision.findings(report(0.97, 0.0)))
    lines = precision.table(report(1.4, -0.02))
    assert " ".join(lines[1].split()) == "test, clean, segments right, % of 200 90.00 88.00 -2.00"
    assert lines[-1].endswith("x 1.40") and len({len(line) for line in lines}) == 1


def test_other_data_give_the_model_no_scores(model: Network) -> None:
    compared = report(1.0, 0.0, trained_on_it=False) | {"model": {"digest": "d"}, "threads": 1}
    compared |= {"measured_with": {}, "findings": []}
    info = precision.int8_info(model.info, compared, b"x")
    assert info["scores"] == {} and info["float32"]["scores"] == compared["scores"]["float32"]
    assert "safetensors_sha256" not in info["weights"] and info["temperature"] == model.info["temperature"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux only")
def test_latency_is_measured_in_turn(model: Network) -> None:
    calls: list[str] = []

    class Timed:
        def __init__(self, name: str) -> None:
            self.name = name

        def logits(self, x: Array) -> Array:
            calls.append(f"{self.name}{len(x)}")
            return x

    both: Any = {"a": Timed("a"), "b": Timed("b")}
    found = precision.latency(both, portable.example_segments(model, 3), seconds=0.0)
    assert set(found) == {"1", "59"} and calls[2:52] == ["a1", "b1"] * 25 and calls[-2:] == ["a59", "b59"]
