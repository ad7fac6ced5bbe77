"""Prepared files, model folders and checkpoints that lie: a sample of the long run, and every finding by its name."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers import Trained, assert_refused, beyond_a_gateway, faultdx_here
from torture.lies import case_of, judge, read_baseline, read_model, read_prepared
from torture.mutations import DEEP, HEAD, sealed

from faultdx import surveying, vetting
from faultdx.baseline import fit
from faultdx.baseline_file import save
from faultdx.benchmark.results import read_cell
from faultdx.config import TrainConfig, load
from faultdx.dataset import open_prepared
from faultdx.errors import ConfigError, DatasetError, FaultdxError, ModelError
from faultdx.inference import Network, content_digest
from faultdx.intake import read_file
from faultdx.model import load_model
from faultdx.plans import find_plan
from faultdx.records.record import Record
from faultdx.surveying import fletcher32
from faultdx.vetting import RefusedError, check_graph

WITHOUT_LIMIT = 20  # seconds: nothing here may wait


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(WITHOUT_LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def model(trained: Trained, tmp_path: Path) -> Path:
    """A model folder to spoil."""
    return Path(shutil.copytree(trained.run / "model", tmp_path / "model"))


@pytest.fixture
def prepared(trained: Trained, tmp_path: Path) -> Path:
    """A prepared file to spoil."""
    return Path(shutil.copy(trained.prepared, tmp_path / "p.h5"))


def swapped(folder: Path, onnx: bytes) -> None:
    """Put another network into a model folder, and work all digests out again, as a liar does."""
    import hashlib

    (folder / "model.onnx").write_bytes(onnx)
    info = json.loads((folder / "model.json").read_text())
    info["weights"]["onnx_sha256"] = hashlib.sha256(onnx).hexdigest()
    (folder / "model.json").write_text(sealed(json.dumps(info)))


# ---------------------------------------------------------- a sample of the long run


@beyond_a_gateway
@pytest.mark.parametrize(("kind", "numbers"), [("prepared", range(500, 530)), ("model", range(500, 525))])
@pytest.mark.filterwarnings("ignore")
def test_a_sample_of_mutants(kind: str, numbers: range, trained: Trained, tmp_path: Path) -> None:
    world, hidden = trained.run.parent, list[str]()
    good: Any = read_prepared(trained.prepared) if kind == "prepared" else read_model(trained.run)
    good = json.loads(json.dumps(good, default=str))
    outcomes = set()
    for number in numbers:
        folder = tmp_path / str(number)
        folder.mkdir()
        case = case_of(kind, number, 7, world, folder, {})
        outcome, text = judge(case, good, hidden)
        assert not outcome.startswith("FINDING"), (number, case.how, outcome, text)
        outcomes.add(outcome)
    assert {"refused", "the same answer"} <= outcomes


def test_the_command_line_says_it_in_one_line_with_exit_code_2(trained: Trained, model: Path, prepared: Path) -> None:
    data = bytearray(prepared.read_bytes())
    data[len(data) // 2] ^= 4
    prepared.write_bytes(data)
    record = next(trained.unseen.glob("*.mat"))
    assert_refused(
        faultdx_here("evaluate", trained.run, prepared, cwd=model), 2, "p.h5: is damaged", "prepare it again"
    )
    text = (model / "model.json").read_text()
    (model / "model.json").write_text(text.replace('"temperature": ', '"temperature": 1'))
    assert_refused(faultdx_here("diagnose", record, "--model", model, cwd=model), 2, "model.json", "digest", "copy")


# ---------------------------------------------------------- prepared files


def test_the_samples_are_those_that_hdf5_reads(prepared: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(prepared) as file, open_prepared(prepared) as ours:
        every = file["segments"][:]
        for count in (1, 7, len(every)):
            rows = np.sort(rng.choice(len(every), count, replace=False))
            assert np.array_equal(ours.segments(rows), every[rows])
        assert {k: v.tolist() for k, v in ours.records().items() if k == "path"} == {
            "path": file["records/path"].asstr()[:].tolist()
        }


def test_a_sample_of_mutants_of_a_baseline(tmp_path: Path) -> None:
    """Cut at each 32nd byte of its head; changed at random; with a value that is odd, under a digest that fits it."""
    noise = np.random.default_rng(0).normal(size=(1, 12_000)).astype(np.float32)
    save(fit([Record(noise, 12_000.0, channels=("DE",), sha256="0" * 64)])[0], tmp_path / "pump.json")
    good = json.loads(json.dumps(read_baseline(tmp_path / "pump.json")))
    outcomes: Counter[str] = Counter()
    for number in (*range(0, HEAD, 32), *range(HEAD, HEAD + 120)):
        folder = tmp_path / str(number)
        folder.mkdir()
        case = case_of("baseline", number, 3, tmp_path, folder, {})
        outcome, text = judge(case, good, [])
        assert not outcome.startswith("FINDING"), (number, case.how, outcome, text)
        outcomes[outcome] += 1
    assert outcomes["refused"] > 80 and len(outcomes) == 3


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 40_000])
@pytest.mark.parametrize("kind", ["noise", "zeros", "ones"])
def test_fletchers_checksum_is_that_of_hdf5(tmp_path: Path, count: int, kind: str) -> None:
    noise = np.random.default_rng(count).standard_normal(count).astype("f4")
    data = {"noise": noise, "zeros": np.zeros(count, "f4"), "ones": np.frombuffer(b"\xff" * 4 * count, "f4")}[kind]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        stored = file.create_dataset("x", data=data, chunks=(count,), fletcher32=True)
        raw = stored.id.read_direct_chunk((0,))[1]
    assert fletcher32(raw[:-4]) == int.from_bytes(raw[-4:], "little")


@pytest.mark.parametrize("how", ["crash", "spin", "memory"])
def test_what_goes_wrong_inside_hdf5_stays_in_its_child(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def spoilt(*_: object) -> dict[str, Any]:
        if how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        while how == "spin":
            pass
        return {"x": len(bytearray(1 << 33))}

    limits = surveying.Limits
    monkeypatch.setattr(surveying, "_survey", spoilt)
    monkeypatch.setattr(surveying, "Limits", lambda memory, _: limits(memory, 1.0))
    with (
        pytest.raises(DatasetError, match=r"p\.h5: is damaged or hostile .*: prepare it again"),
        open_prepared(prepared),
    ):
        pass


def test_nothing_is_read_through_a_link_or_a_virtual_dataset(prepared: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(prepared, tmp_path / "other.h5"))
    with h5py.File(prepared, "a") as file:
        del file["segments"]
        file["segments"] = h5py.ExternalLink(str(other), "/segments")
    with pytest.raises(DatasetError, match="damaged or incomplete"), open_prepared(prepared):
        pass
    with h5py.File(prepared, "a") as file, h5py.File(other) as source:
        del file["segments"]
        layout = h5py.VirtualLayout(source["segments"].shape, "f4")
        layout[:] = h5py.VirtualSource(source["segments"])
        file.create_virtual_dataset("segments", layout)
    with pytest.raises(DatasetError, match="packed in another way"), open_prepared(prepared):
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f["record"].__setitem__(0, 10**6), "records outside the table"),
        (lambda f: f["split"].__setitem__(0, 100), "a split of another kind"),
        (lambda f: f["noise"].__setitem__(0, 99), "a noise of another kind"),
        (lambda f: f.attrs.__setitem__("sampling_rate_hz", np.nan), "of another kind"),
        (lambda f: f.attrs.__setitem__("config", DEEP), "damaged or incomplete"),
        (
            lambda f: f.attrs.__setitem__("sampling_rate_hz", DEEP),
            r"could not convert string to float: '\[{1,200}\): prepare",
        ),
        (lambda f: f["records/path"].__setitem__(0, "elsewhere"), "fails its digest"),
        (lambda f: f["records"].__delitem__("sha256"), "a records table of another kind"),
    ],
)
def test_numbers_that_lead_nowhere_are_refused_on_opening(
    prepared: Path, change: Callable[[h5py.File], object], words: str
) -> None:
    with h5py.File(prepared, "a") as file:
        change(file)
    with pytest.raises(DatasetError, match=words), open_prepared(prepared):
        pass


def test_segments_that_somebody_packed_again_are_refused_with_the_cure(prepared: Path) -> None:
    with h5py.File(prepared, "a") as file:
        data = file["segments"][:]
        del file["segments"]
        file.create_dataset("segments", data=data, compression="gzip")
    with pytest.raises(DatasetError, match=r"packed in another way than faultdx packs them\): prepare it again"), open_prepared(prepared):  # fmt: skip # noqa: E501
        pass


def test_a_flipped_sample_is_found_when_its_chunk_is_read_and_not_before(prepared: Path) -> None:
    with h5py.File(prepared) as file:
        at = file["segments"].id.get_chunk_info_by_coord((0, 0, 0)).byte_offset
    data = bytearray(prepared.read_bytes())
    data[at + 5] ^= 1
    prepared.write_bytes(data)
    with open_prepared(prepared) as ours:
        ours.segments(np.array([len(ours.label) - 1]))
        with pytest.raises(DatasetError, match="a chunk fails its checksum"):
            ours.segments(np.array([0]))


def test_a_file_that_is_cut_while_it_is_used_is_damaged(prepared: Path) -> None:
    with open_prepared(prepared) as ours:
        with prepared.open("r+b") as stream:
            stream.truncate(4096)
        with pytest.raises(DatasetError, match="is damaged"):
            ours.segments(np.arange(len(ours.label)))


# ---------------------------------------------------------- models


def test_model_json_is_held_to_its_digest_and_one_of_an_older_version_has_none(model: Path) -> None:
    path = model / "model.json"
    info = json.loads(path.read_text())
    assert info["content_sha256"] == content_digest(info)
    path.write_text(json.dumps(info | {"classes": info["classes"][::-1]}))
    with pytest.raises(ModelError, match=r"fails its digest.*take content_sha256 out"):
        load_model(model)
    del info["content_sha256"]
    path.write_text(json.dumps(info))
    load_model(model)
    path.write_text('{"temperature": 2.0, ' + json.dumps(info)[1:])
    with pytest.raises(ModelError, match="not JSON"):  # a key twice
        load_model(model)


def onnx_with(data: bytes, change: Callable[[Any, Any], None]) -> bytes:
    onnx = pytest.importorskip("onnx")
    found = onnx.load_from_string(data)
    change(found, onnx)
    return bytes(found.SerializeToString())


def _outside(found: Any, onnx: Any) -> None:
    weights = found.graph.initializer[0]
    weights.data_location, weights.raw_data = onnx.TensorProto.EXTERNAL, b""
    weights.external_data.add(key="location", value="/etc/passwd")


def _loop(found: Any, onnx: Any) -> None:
    body = onnx.helper.make_graph([], "body", [], [])
    found.graph.node.append(onnx.helper.make_node("Loop", ["", ""], [], body=body))


def _foreign(found: Any, _: Any) -> None:
    found.graph.node[0].domain = "com.example"


def _function(found: Any, _: Any) -> None:
    found.functions.add(name="f")


def _nan(found: Any, onnx: Any) -> None:
    floats = next(i for i in found.graph.initializer if i.data_type == 1 and i.raw_data)
    floats.raw_data = floats.raw_data[:-4] + np.float32("nan").tobytes()


def _sizes(found: Any, _: Any) -> None:
    found.graph.initializer[0].dims[:] = [1 << 30, 1 << 30]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_outside, "keeps weights in another file"),
        (_loop, "loops or branches"),
        (_foreign, "not of the ONNX standard"),
        (_function, "functions or training steps"),
        (_nan, "not finite"),
        (_sizes, "no ONNX file, or damaged"),
    ],
)
def test_what_no_network_of_faultdx_has_is_refused_before_onnxruntime_sees_it(
    model: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any, Any], None], words: str
) -> None:
    swapped(model, onnx_with((model / "model.onnx").read_bytes(), change))
    monkeypatch.setattr(vetting, "session", lambda *_: pytest.fail("onnxruntime saw it"))
    with pytest.raises(ModelError, match=words) as caught:
        load_model(model)
    assert "\n" not in str(caught.value) and str(model) in str(caught.value)


def test_a_network_that_wants_all_the_memory_is_refused(model: Path) -> None:
    def change(found: Any, onnx: Any) -> None:
        helper = onnx.helper
        found.graph.initializer.append(helper.make_tensor("vast_size", 7, [1], [1 << 31]))
        found.graph.node.append(helper.make_node("ConstantOfShape", ["vast_size"], ["vast"]))
        found.graph.node.append(helper.make_node("ReduceMean", ["vast"], ["vast_mean"], keepdims=0))
        found.graph.output.append(helper.make_tensor_value_info("vast_mean", 1, []))

    swapped(model, onnx_with((model / "model.onnx").read_bytes(), change))
    with pytest.raises(ModelError, match="memory"):
        load_model(model)


def test_a_network_that_takes_only_as_many_segments_as_it_was_tried_with_is_refused(model: Path) -> None:
    def change(found: Any, onnx: Any) -> None:  # found by the long run, case 2715
        helper, logits = onnx.helper, found.graph.output[0].name
        last = next(n for n in found.graph.node if logits in n.output)
        last.output[list(last.output).index(logits)] = "inner"
        sixty_four = np.zeros((64, 1), np.float32)
        found.graph.initializer.append(onnx.numpy_helper.from_array(sixty_four, "rows"))
        found.graph.node.append(helper.make_node("Add", ["inner", "rows"], [logits]))

    swapped(model, onnx_with((model / "model.onnx").read_bytes(), change))
    with pytest.raises(ModelError, match=r"model\.onnx fails on 5 segments: copy"):
        read_network(model, 5)


def read_network(folder: Path, count: int) -> None:
    found = Network.open(folder)
    found.outputs(np.zeros((count, len(found.channels), found.segment), np.float32))


@pytest.mark.parametrize("how", ["crash", "spin"])
def test_what_goes_wrong_inside_onnxruntime_stays_in_its_child(
    model: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def spoilt(*_: object) -> None:
        if how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)

    monkeypatch.setenv("XDG_CACHE_HOME", str(model.parent / "cache"))  # one that was tried is not tried again
    monkeypatch.setattr(vetting, "session", spoilt)
    monkeypatch.setattr(vetting, "_TRIAL_S", 0.5)
    with pytest.raises(ModelError, match=r"crashed on it \(SIGSEGV\)" if how == "crash" else "more than 0.5 s"):
        load_model(model)


def test_a_graph_cut_anywhere_is_refused_and_nothing_else(model: Path) -> None:
    data = (model / "model.onnx").read_bytes()
    check_graph(data)
    rng = random.Random(0)
    for at in [*range(40), *(rng.randrange(len(data)) for _ in range(25))]:
        with pytest.raises(RefusedError):
            check_graph(data[:at])


# ---------------------------------------------------------- names that lead elsewhere


def _read_config(path: Path) -> object:
    return load(TrainConfig, section="train", file=path)


@pytest.mark.parametrize("kind", ["FIFO", "device", "folder", "itself"])
@pytest.mark.parametrize("name", ["model.json", "model.onnx", "p.h5", "x.toml", "plan.toml", "cell.json"])
def test_what_is_no_regular_file_is_refused_at_once(model: Path, prepared: Path, kind: str, name: str) -> None:
    path = model / name if name.startswith("model") else prepared.with_name(name)
    path.unlink(missing_ok=True)
    make: dict[str, Callable[[], object]] = {
        "FIFO": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "itself": lambda: path.symlink_to(path),
    }
    make[kind]()
    read: dict[str, Callable[[], object]] = {
        "p.h5": lambda: open_prepared(path).__enter__(),
        "x.toml": lambda: _read_config(path),
        "plan.toml": lambda: find_plan(path),
        "cell.json": lambda: read_cell(path),
    }
    if name == "cell.json" and kind == "itself":
        pytest.skip("a link to itself is a cell that is not there yet")
    with pytest.raises(FaultdxError) as caught:
        read.get(name, lambda: load_model(model))()
    assert "\n" not in str(caught.value)


def test_a_link_to_the_same_bytes_is_followed(model: Path, tmp_path: Path) -> None:
    for name in ("model.json", "model.onnx"):  # as in a volume of Kubernetes
        (model / name).rename(tmp_path / name)
        (model / name).symlink_to(tmp_path / name)
    load_model(model)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    began = time.monotonic()
    with pytest.raises(ModelError, match="larger than any such file"):
        read_file(path, limit_bytes=100, kind=ModelError, cure="copy it")
    assert time.monotonic() - began < 1
    path.write_bytes(b"x" * 100)
    assert read_file(path, limit_bytes=100, kind=ModelError, cure="copy it") == b"x" * 100


@pytest.mark.parametrize("text", ["x = " + DEEP, "\xff", "a.b = 1\na = 2", "x = " + "9" * 5000, "[" * 5000])
def test_toml_that_lies_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(text.encode("latin-1"))
    for read in (_read_config, find_plan):
        with pytest.raises(ConfigError, match=r"x\.toml: is not a TOML file"):
            read(path)


# ---------------------------------------------------------- checkpoints


@beyond_a_gateway
def test_a_checkpoint_is_held_to_its_digest_and_a_liars_to_the_run(trained: Trained) -> None:
    import hashlib

    import torch

    from faultdx.checkpoint import Saved, pack, unpack

    good = (trained.run / "last.pt").read_bytes()
    assert b"pickle" not in good[:300] and good.startswith(b"faultdx.checkpoint/1 ")
    weights = {"a": torch.arange(4.0).reshape(2, 2)}
    copies = {"a": weights["a"].clone()}
    numbers = {"step": 3, "loss_sum": 0.5, "seconds": 1.0, "best_loss": float("inf"), "best_epoch": 0}
    saved = Saved({"network": weights, "average": copies, "best": {}}, {0: {"step": torch.tensor(3.0)}}, numbers, [])
    data = pack(saved)
    back = unpack(data, saved)
    assert back.numbers == numbers and torch.equal(back.tensors["network"]["a"], weights["a"])
    assert torch.equal(back.optimizer[0]["step"], torch.tensor(3.0))
    for at in range(len(data)):
        with pytest.raises(ModelError, match=r"last\.pt does not fit"):
            unpack(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], saved)
    for lie in (
        Saved({"network": {"a": torch.ones(2, 3)}, "average": copies, "best": {}}, {}, numbers, []),
        Saved({"network": {"a": torch.full((2, 2), torch.nan)}, "average": copies, "best": {}}, {}, numbers, []),
        Saved({"network": {**weights, "b": weights["a"] + 1}, "average": copies, "best": {}}, {}, numbers, []),
        Saved({"network": weights, "average": copies, "best": {}}, {}, {**numbers, "step": -1}, []),
        Saved({"network": weights, "average": copies, "best": {}}, {}, {**numbers, "step": 2.5}, []),
        Saved({"network": weights, "average": copies, "best": {}}, {}, {**numbers, "best_epoch": 1}, []),
        Saved({"network": weights, "average": copies, "best": {}}, {}, numbers, [{"epoch": "x"}]),
    ):
        with pytest.raises(ModelError, match=r"last\.pt does not fit"):
            unpack(pack(lie), saved)
    body = pickle.dumps(print)
    hostile = b"faultdx.checkpoint/1 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    with pytest.raises(ModelError, match=r"last\.pt does not fit"):
        unpack(hostile, saved)
