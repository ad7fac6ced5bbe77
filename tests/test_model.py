"""The model folder: what is copied to the plant computes what was trained, and a bad one is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.optimize
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faultdx.errors import ModelError
from faultdx.evaluation import score
from faultdx.export import network_info, to_json, to_onnx, to_safetensors, weight_digests, write_model
from faultdx.inference import Network, model_folder
from faultdx.model import load_model
from faultdx.networks.architecture import Architecture, architecture
from faultdx.networks.drsn import Network as TorchNetwork
from faultdx.networks.drsn import build
from faultdx.records.record import Record
from faultdx.voting import fit_temperature, pool, pool_records, softmax

TOY = Architecture("channel-wise", 4, 6, 2, (4, 7), (2, 1), channels=2, classes=3, samples=64)
CLASSES = ("normal", "inner", "outer")
Floats = npt.NDArray[np.float64]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Several threads that wait for each other on a busy machine cost ten times the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def shaken(dims: Architecture, *, seed: int = 0) -> TorchNetwork:
    """A network whose every parameter and statistic is away from its initial value."""
    network, rng = build(dims, seed=seed), np.random.default_rng(seed)
    for name, value in network.state_dict().items():
        if value.dim() == 1:
            low, high = (0.5, 2.0) if name.endswith(("running_var", "weight")) else (-0.5, 0.5)
            value.copy_(torch.from_numpy(rng.uniform(low, high, value.shape)))
    return network.eval()


def segments(dims: Architecture, count: int, *, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return (3 * rng.standard_normal((count, dims.channels, dims.samples)) + 0.5).astype(np.float32)


def torch_logits(network: TorchNetwork, x: npt.NDArray[np.float32]) -> Floats:
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(x)).double().numpy())


def described(network: TorchNetwork) -> dict[str, Any]:
    """What model.json says of a network, as a training writes it."""
    dims = network.dims
    return {
        "schema": "faultdx.model/1",
        "name": "toy",
        "version": "0.1.0",
        "classes": list(CLASSES[: dims.classes]),
        "healthy": ["normal"],
        "sampling_rate_hz": 12_800.0,
        "segment_samples": dims.samples,
        "channels": [f"ch{i + 1}" for i in range(dims.channels)],
        "normalization": "none",
        "temperature": 1.7,
        "min_confidence": 0.5,
        "envelope": {"rms": [0.1, 10.0], "rpm": [1700.0, 1800.0]},
        "network": network_info(network, "toy"),
        "split": {"method": "time", "level": "within record", "leakage": False, "notes": []},
    }


@pytest.fixture(scope="module")
def network() -> TorchNetwork:
    return shaken(TOY)


@pytest.fixture(scope="module")
def onnx(network: TorchNetwork) -> bytes:
    return to_onnx(network)


@pytest.fixture(scope="module")
def good(network: TorchNetwork, onnx: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a model in it."""
    folder = tmp_path_factory.mktemp("run")
    safetensors = to_safetensors(network)
    info = described(network) | {"weights": weight_digests(onnx, safetensors)}
    write_model(folder / "model", onnx=onnx, safetensors=safetensors, info=info, card="# toy\n")
    return folder


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    """A model folder to spoil."""
    return shutil.copytree(good / "model", tmp_path / "model")


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    info = json.loads((folder / "model.json").read_text())
    info.pop("content_sha256", None)
    change(info)
    (folder / "model.json").write_text(json.dumps(info))


def write_onnx(folder: Path, blob: bytes) -> None:
    """Swap the network and make the digest fit, as somebody would who meant well."""
    (folder / "model.onnx").write_bytes(blob)
    edit(folder, lambda info: info["weights"].update(onnx_sha256=hashlib.sha256(blob).hexdigest()))


# ------------------------------------------------------------------------------------------------------ the export


@pytest.mark.parametrize("count", [1, 7, 130])  # 130: more than one batch of the runtime, the last one not full
def test_onnx_equals_torch(good: Path, network: TorchNetwork, count: int) -> None:
    x = segments(TOY, count)
    opened, expected = Network.open(good), torch_logits(network, x)
    assert np.abs(opened.logits(x) - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())
    assert np.allclose(opened.probabilities(x), scipy.special.softmax(expected / 1.7, axis=1), atol=1e-5)
    assert opened.probabilities(x).sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "dims",
    [
        architecture("drsn-wide", classes=3),
        replace(TOY, gate="channel-shared", standardize=False, channels=1, widths=(5,), strides=(2,)),
    ],
    ids=["drsn-wide", "shared-raw"],
)
def test_onnx_equals_torch_for_other_networks(dims: Architecture) -> None:
    net = shaken(dims)
    opened = Network.from_parts(to_onnx(net), described(net))
    for count in (1, 7):
        x, expected = segments(dims, count), torch_logits(net, segments(dims, count))
        assert np.abs(opened.logits(x) - expected).max() < 1e-5 * max(1.0, np.abs(expected).max())


def test_onnx_takes_what_torch_takes_at_the_edges(good: Path, network: TorchNetwork) -> None:
    opened = Network.open(good)
    x = segments(TOY, 3)
    x[0], x[1, 0], x[2] = 0.1, 0.0, x[2] * 1e-6  # constant; one dead channel; very small
    assert np.allclose(opened.logits(x), torch_logits(network, x), atol=1e-4)
    assert opened.logits(x[:0]).shape == opened.probabilities(x[:0]).shape == (0, 3)
    x[2, 0, 5] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        opened.logits(x)


def test_features_lead_to_the_logits(onnx: bytes, network: TorchNetwork) -> None:
    import onnxruntime

    x = segments(TOY, 5)
    z, features = onnxruntime.InferenceSession(onnx).run(["logits", "features"], {"segments": x})
    assert features.shape == (5, TOY.widths[-1])
    weight, bias = network.fc.weight.detach().numpy(), network.fc.bias.detach().numpy()
    assert np.allclose(features @ weight.T + bias, z, atol=1e-5)


def test_the_same_network_exports_to_the_same_bytes(onnx: bytes, network: TorchNetwork) -> None:
    assert to_onnx(shaken(TOY)) == onnx
    assert to_safetensors(shaken(TOY)) == to_safetensors(network)
    assert to_safetensors(shaken(TOY, seed=1)) != to_safetensors(network)


def test_export_tells_nothing_of_the_machine(onnx: bytes) -> None:
    root = str(Path(__file__).resolve().parent.parent).encode()
    for trace in (root, b"site-packages", b"drsn.py", b'File "'):
        assert trace not in onnx


def test_export_leaves_the_network_in_evaluation_mode_and_intact(network: TorchNetwork) -> None:
    x, before = segments(TOY, 4), torch_logits(network, segments(TOY, 4))
    assert not network.training
    assert np.array_equal(torch_logits(network, x), before)


def test_safetensors_bring_every_weight_and_statistic_back(good: Path, network: TorchNetwork) -> None:
    from safetensors.torch import load_file

    found = load_file(good / "model" / "model.safetensors")
    other = build(TOY, seed=9).eval()
    other.load_state_dict(found)
    x = segments(TOY, 4)
    assert np.array_equal(torch_logits(other, x), torch_logits(network, x))


def test_model_json_rebuilds_the_architecture_and_has_both_digests(good: Path) -> None:
    info = json.loads((good / "model" / "model.json").read_text())
    assert Architecture.from_dict(info["network"]["architecture"]) == TOY
    for name in ("onnx", "safetensors"):
        blob = (good / "model" / f"model.{name}").read_bytes()
        assert info["weights"][f"{name}_sha256"] == hashlib.sha256(blob).hexdigest()
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"temperature": float("nan")})


def test_model_opens_from_the_run_folder_and_from_its_own(good: Path) -> None:
    assert model_folder(good) == model_folder(good / "model") == good / "model"
    assert Network.open(good).digest == Network.open(good / "model").digest
    text = (good / "model" / "model.json").read_bytes()
    assert Network.open(good).digest == hashlib.sha256(text).hexdigest()


# ------------------------------------------------------------------------------------------- folders to be refused

NUMBERS: dict[str, list[Any]] = {
    "sampling_rate_hz": [0, -12_800.0, 1e30],
    "segment_samples": [0, 15, 64.0, 10**9],
    "temperature": [0, 0.0, -1.0, 1e9],
    "min_confidence": [-0.1, 1.5],
}
NOT_A_NUMBER: list[Any] = [None, "1", True, [], {}, float("nan"), float("inf"), 10**400]
OTHERS: dict[str, list[Any]] = {
    "classes": [None, 3, "abc", [], ["one"], ["a", "a", "b"], ["a", 1, "b"], {"a": 1, "b": 2, "c": 3}],
    "healthy": [None, "normal", ["gone"], [1], {"normal": 1}],
    "channels": [None, [], "ch", [1, 2], ["c"] * 65],
    "normalization": [None, "l2", 1, []],
    "weights": [None, {}, "x", {"onnx_sha256": None}, {"onnx_sha256": "ab"}, [1]],
    "envelope": [
        *[None, {}, [], {"rms": 1.0}, {"rms": [1.0]}, {"rms": [1, "2"]}, {"rms": [2, 1]}],
        *[{"rms": [1, 2], "rpm": v} for v in ("1", 5, [1], [1, None], [-1, 5], [1, 10**400])],
    ],
    "schema": [None, "faultdx.model/2", "other", 1, [], ["faultdx.model/1"]],
    "split": [None, 5, "time", []],
}
ABSURD = [(key, value) for key, values in NUMBERS.items() for value in (*values, *NOT_A_NUMBER)]
ABSURD += [(key, value) for key, values in OTHERS.items() for value in values]


@pytest.mark.parametrize(("key", "value"), ABSURD, ids=[f"{k}-{str(v)[:24]}" for k, v in ABSURD])
def test_absurd_values_in_model_json_are_refused(copy: Path, key: str, value: Any) -> None:
    edit(copy, lambda info: info.update({key: value}))
    with pytest.raises(ModelError, match=r"model\.json.*(schema|absurd|healthy)"):
        load_model(copy)


@pytest.mark.parametrize(
    "key",
    ["schema", *NUMBERS, "classes", "healthy", "channels", "normalization", "weights", "envelope"],
)
def test_a_missing_key_is_refused_by_name(copy: Path, key: str) -> None:
    edit(copy, lambda info: info.pop(key))
    with pytest.raises(ModelError, match=key):
        load_model(copy)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["rms", "rpm", "x"]), inner),
    max_leaves=6,
)


def test_any_value_anywhere_is_taken_or_refused(good: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(good / "model", tmp_path / "model")
    info = json.loads((folder / "model.json").read_text())
    signal = np.random.default_rng(0).standard_normal((2, 640)).astype(np.float32)

    @given(st.sampled_from(sorted(info)), json_values)
    @settings(deadline=None, max_examples=150)
    def check(key: str, value: Any) -> None:
        (folder / "model.json").write_text(json.dumps({**info, key: value}))
        try:
            model = load_model(folder)
        except ModelError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000
        else:  # what is taken has to work; a rate thousands of times below the record's makes the record unusable
            assert model.diagnose(Record(signal, 12_800.0, rpm=1750.0)).status in {"diagnosed", "undecided", "unusable"}

    check()


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"{",
        b"junk",
        b"\xff\xfe\x00",
        b"\x00" * 100,
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"9" * 5000,
        b'{"schema": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
    ids=["empty", "cut", "junk", "bytes", "zeros", "deep-list", "deep-object", "long-number", "deep-but-closed"],
)
def test_what_is_not_json_is_refused(copy: Path, blob: bytes) -> None:
    (copy / "model.json").write_bytes(blob)
    with pytest.raises(ModelError, match="not JSON"):
        load_model(copy)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "{}"])
def test_json_of_something_else_is_refused(copy: Path, text: str) -> None:
    (copy / "model.json").write_text(text)
    with pytest.raises(ModelError, match="has the schema None"):
        load_model(copy)


def test_a_model_json_larger_than_any_is_refused(copy: Path) -> None:
    (copy / "model.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(ModelError, match="larger than any"):
        load_model(copy)


def test_a_swapped_network_is_refused(copy: Path) -> None:
    (copy / "model.onnx").write_bytes(foreign_network())
    with pytest.raises(ModelError, match="another digest"):
        load_model(copy)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_network_is_refused(copy: Path, onnx: bytes, share: float) -> None:
    cut = onnx[: int(share * len(onnx))]
    (copy / "model.onnx").write_bytes(cut)
    with pytest.raises(ModelError, match="another digest"):
        load_model(copy)
    if share < 0.9:  # with a digest that fits, it is the runtime that refuses
        write_onnx(copy, cut)
        with pytest.raises(ModelError, match=r"onnxruntime can run|does not fit"):
            load_model(copy)


def test_json_that_does_not_fit_the_network_is_refused(copy: Path) -> None:
    before = (copy / "model.json").read_text()
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda info: info["classes"].pop(),
        lambda info: info["classes"].append("cage"),
        lambda info: info["channels"].pop(),
        lambda info: info.update(segment_samples=128),
    ]
    for change in changes:
        (copy / "model.json").write_text(before)
        edit(copy, change)
        with pytest.raises(ModelError, match=r"does not fit model\.json"):
            load_model(copy)


def foreign_network(*, name: str = "segments", kind: int = 1, shape: tuple[Any, ...] = ("n", 2, 64)) -> bytes:
    """An ONNX network that is not one of ours: the mean over time of each channel, as three logits."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Cast", [name], ["c"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["c", "axes"], ["m"], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["logits"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [1], [2]),
        helper.make_tensor("w", TensorProto.FLOAT, [2, 3], [1.0] * 6),
    ]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info(name, kind, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (shape[0], 3))],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def scalar_network() -> bytes:
    """A network that takes a single number and gives it back."""
    from onnx import TensorProto, helper

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ()) for name in ("segments", "logits")]
    graph = helper.make_graph([helper.make_node("Identity", ["segments"], ["logits"])], "one", ports[:1], ports[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def test_a_foreign_network_is_refused_unless_it_has_our_ports(copy: Path) -> None:
    write_onnx(copy, foreign_network())
    assert Network.open(copy).probabilities(segments(TOY, 3)).shape == (3, 3)
    for blob in (
        foreign_network(name="x"),
        foreign_network(kind=11),
        foreign_network(shape=(2, 2, 64)),
        scalar_network(),
    ):
        write_onnx(copy, blob)
        with pytest.raises(ModelError, match="does not fit"):
            load_model(copy)


def test_missing_parts_are_named(copy: Path, tmp_path: Path) -> None:
    (copy / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx: cannot be read: no such file"):
        load_model(copy)
    (copy / "model.json").unlink()
    with pytest.raises(ModelError, match=r"has no model\.json"):
        load_model(copy)
    with pytest.raises(ModelError, match=r"no such folder; .*faultdx train"):
        load_model(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="is not a folder"):
        load_model(tmp_path / "file")


def test_a_run_that_was_interrupted_says_so(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"state")
    with pytest.raises(ModelError, match="interrupted: continue it with --resume"):
        load_model(tmp_path)


def test_hostile_names_come_out_on_one_line(copy: Path) -> None:
    odd = copy.rename(copy.parent / "bad\n\x1b[31m\u202ename")
    (odd / "model.json").write_text("{")
    with pytest.raises(ModelError) as caught:
        load_model(odd)
    assert str(caught.value).isprintable()


# ------------------------------------------------------------------------------------------------- without torch

_PLANT = """
import sys
import numpy as np
from faultdx import Record, load_model
model = load_model(sys.argv[1])
signal = np.random.default_rng(0).standard_normal((2, 6400))
found = model.diagnose(Record(signal, 12800.0))
assert found.status in ("diagnosed", "undecided") and found.segments == 100, found
heavy = {"torch", "pandas", "matplotlib", "h5py", "onnx", "sklearn", "typer", "rich"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_diagnosis_needs_no_torch(good: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _PLANT, str(good)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_diagnosis_is_the_pooled_vote_of_the_segments(good: Path) -> None:
    model, signal = load_model(good), segments(TOY, 9).transpose(1, 0, 2).reshape(2, -1)
    record = Record(signal, 12_800.0)
    by_segment = model.probabilities(signal.reshape(2, 9, 64).transpose(1, 0, 2))
    pooled = pool(by_segment)
    found = model.diagnose(record, min_confidence=0.0)
    assert (found.status, found.verdict) == ("diagnosed", CLASSES[int(pooled.argmax())])
    assert list(found.probabilities) == list(CLASSES)
    assert list(found.probabilities.values()) == pytest.approx(pooled)
    assert found.confidence == pytest.approx(pooled.max())
    assert found.agreement == pytest.approx(np.mean(by_segment.argmax(axis=1) == pooled.argmax()))
    assert found.fault == (found.verdict != "normal")
    unsure = model.diagnose(record, min_confidence=1.0)
    assert (unsure.status, unsure.verdict, unsure.fault) == ("undecided", None, None)


# --------------------------------------------------------------------------------------------------------- voting

logit_arrays = hnp.arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(2, 5)), elements=st.floats(-30, 30))


@given(logit_arrays, st.floats(0.05, 20))
def test_softmax_equals_scipy(z: Floats, temperature: float) -> None:
    assert np.allclose(softmax(z, temperature=temperature), scipy.special.softmax(z / temperature, axis=-1))


def test_softmax_of_huge_logits_is_finite() -> None:
    assert softmax([1e300, -1e300]).tolist() == [1.0, 0.0]


@given(logit_arrays, st.randoms(use_true_random=False))
def test_pooling(z: Floats, random: Any) -> None:
    p = softmax(z)
    pooled = pool(p)
    assert pooled.shape == (p.shape[1],) and pooled.sum() == pytest.approx(1.0) and (pooled > 0).all()
    order = list(range(len(p)))
    random.shuffle(order)
    assert np.allclose(pool(p[order]), pooled)  # the order of the segments says nothing
    assert np.allclose(pool(np.tile(p, (3, 1))), pooled)  # nor does saying the same thing three times
    one = np.maximum(p[:1], 1e-12)
    assert np.allclose(pool(p[:1]), one[0] / one.sum())  # one segment speaks for itself
    # the geometric mean, renormalised; and the class that the product of the probabilities would choose
    logs = np.log(np.maximum(p, 1e-12))
    expected = scipy.special.softmax(logs.mean(axis=0))
    assert np.allclose(pooled, expected)
    assert logs.sum(axis=0)[pooled.argmax()] == pytest.approx(logs.sum(axis=0).max())


def test_pooling_of_certainties_that_contradict_each_other_is_finite() -> None:
    assert pool([[1.0, 0.0], [0.0, 1.0]]).tolist() == pytest.approx([0.5, 0.5])
    assert pool([[1.0, 0.0]] * 3 + [[0.0, 1.0]]).argmax() == 0


def test_pooling_by_record() -> None:
    p = softmax(np.random.default_rng(0).standard_normal((7, 3)))
    record = np.array([5, 2, 5, 9, 2, 5, 2])
    present, pooled = pool_records(p, record)
    assert present.tolist() == [2, 5, 9]
    assert all(np.allclose(row, pool(p[record == r])) for r, row in zip(present, pooled, strict=True))
    none, empty = pool_records(np.empty((0, 3)), np.empty(0, np.int64))
    assert none.size == 0 and empty.shape == (0, 3)


def overconfident(true_temperature: float, *, seed: int = 0, count: int = 4000) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Logits, and labels drawn from softmax(logits / true_temperature)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 4, (count, 4))
    p = scipy.special.softmax(z / true_temperature, axis=1)
    return z, (rng.random((count, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("true_temperature", [0.3, 1.0, 2.5, 8.0])
def test_temperature_equals_that_of_scipy_and_recovers_the_truth(true_temperature: float) -> None:
    z, y = overconfident(true_temperature)

    def loss(t: float) -> float:
        return float(-scipy.special.log_softmax(z / t, axis=1)[np.arange(len(y)), y].mean())

    oracle = scipy.optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-10})
    found = fit_temperature(z, y)
    assert found == pytest.approx(oracle.x, rel=1e-4)
    assert loss(found) <= oracle.fun + 1e-10
    assert found == pytest.approx(true_temperature, rel=0.15)
    assert np.array_equal(softmax(z, temperature=found).argmax(axis=1), z.argmax(axis=1))


def test_temperature_at_the_ends() -> None:
    assert fit_temperature(np.empty((0, 3)), np.empty(0, np.int64)) == 1.0
    z = np.eye(3)
    assert fit_temperature(z, np.arange(3)) == pytest.approx(0.05, rel=1e-3)  # never wrong: as sure as is allowed
    assert fit_temperature(z, (np.arange(3) + 1) % 3) == pytest.approx(20.0, rel=1e-3)  # never right
    assert 0.05 <= fit_temperature(1e6 * overconfident(1.0)[0], overconfident(1.0)[1]) <= 20.001


# ---------------------------------------------------------------------------------------------------------- scores


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 60))
@settings(deadline=None, max_examples=60)
def test_scores_equal_those_of_scikit_learn(seed: int, classes: int, count: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    record = rng.integers(0, 5, count)
    label = rng.integers(0, classes, 5)[record]  # one label a record; some classes may be absent
    p = softmax(rng.standard_normal((count, classes)) + 1.5 * np.eye(classes)[label] * rng.random((count, 1)))
    names = [f"class {k}" for k in range(classes)]
    found = score(p, label, record, names)
    said, present = p.argmax(axis=1), np.unique(label)
    assert found["segment_accuracy"] == pytest.approx(metrics.accuracy_score(label, said))
    # over the classes that are there: one that is not has no recall, and an F1 of 0 by convention only
    f1 = metrics.f1_score(label, said, labels=present, average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(f1)
    recall = metrics.recall_score(label, said, labels=present, average=None, zero_division=0)
    assert found["recall"] == pytest.approx(dict(zip([names[k] for k in present], recall, strict=True)))
    numbers, pooled = pool_records(p, record)
    truth = [label[record == r][0] for r in numbers]
    assert found["record_accuracy"] == pytest.approx(metrics.accuracy_score(truth, pooled.argmax(axis=1)))
    assert (found["segments"], found["records"]) == (count, len(numbers))
    json.dumps(found, allow_nan=False)
