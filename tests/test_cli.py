"""The command line from end to end: the chain from a rig to a verdict, bad inputs, and exit codes."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from helpers import (
    Trained,
    assert_refused,
    diagnosis_schema,
    faultdx,
    faultdx_here,
    model_with,
    validate,
)

from faultdx.cli import console
from faultdx.model import load_model
from faultdx.records import read_record

ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def bad(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings that cannot be diagnosed, each for another reason, between two that can."""
    folder = tmp_path_factory.mktemp("bad")
    whole = (trained.unseen / "501.mat").read_bytes()
    rate = {"sampling_rate_hz": np.array([[12000.0]])}
    noise = np.random.default_rng(0).normal(size=(6000, 1))
    (folder / "cut.mat").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.mat").touch()
    (folder / "foreign.mat").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8)
    scipy.io.savemat(folder / "nan.mat", {"vibration": np.where(np.arange(6000) == 7, np.nan, noise[:, 0]), **rate})
    scipy.io.savemat(folder / "rateless.mat", {"vibration": noise})
    scipy.io.savemat(folder / "short.mat", {"vibration": noise[:2000], **rate})
    for name in ("first.mat", "last.mat"):
        (folder / name).write_bytes(whole)
    return folder


BAD = {
    "missing.mat": ("no such file", "check the name"),
    "cut.mat": ("cut.mat",),
    "empty.mat": ("empty", "record or copy it again"),
    "foreign.mat": ("foreign.mat",),
    "nan.mat": ("not finite", "cut or repair"),
    "rateless.mat": ("sampling rate is not known", "--sampling-rate"),
}


def verdict_of(trained: Trained, file: Path) -> str:
    found = load_model(trained.run).diagnose(read_record(file), min_confidence=0)
    assert found.verdict is not None
    return found.verdict


# ---- the chain


def test_the_chain_says_one_line_a_command_on_stdout(trained: Trained) -> None:
    for name, path in (("simulate", trained.rig), ("prepare", trained.prepared), ("train", trained.run)):
        assert trained.said[name][0] == f"{path}\n"
    assert "split: specimen" in trained.said["prepare"][1]
    assert "across specimens" in trained.said["train"][1]
    assert all(ESCAPE not in text and "\r" not in text for both in trained.said.values() for text in both)


def test_a_run_folder_holds_what_the_contract_names(trained: Trained) -> None:
    assert {p.name for p in trained.run.iterdir()} >= {"config.toml", "run.json", "metrics.jsonl", "last.pt", "model"}
    model = {"model.onnx", "model.json", "model.safetensors", "MODEL_CARD.md"}
    assert {p.name for p in (trained.run / "model").iterdir()} == model
    assert len((trained.run / "metrics.jsonl").read_text().splitlines()) == 3
    run = json.loads((trained.run / "run.json").read_text())
    assert run["status"] == "finished" and run["argv"][:2] == ["faultdx", "train"]


def test_unseen_specimens_are_diagnosed_in_order_and_by_the_schema(trained: Trained) -> None:
    ran = faultdx("diagnose", trained.unseen, "--model", trained.run, "--json")
    assert ran.code == 0 and ran.err == ""
    files = sorted(trained.unseen.glob("*.mat"))
    digest = hashlib.sha256((trained.run / "model" / "model.json").read_bytes()).hexdigest()
    schema = diagnosis_schema()
    assert [d["file"] for d in ran.objects] == [str(f) for f in files] and len(files) == 16
    for d, file in zip(ran.objects, files, strict=True):
        validate(d, schema, schema)
        assert d["status"] in {"diagnosed", "undecided"} and (d["verdict"] is None) == (d["status"] == "undecided")
        assert sum(d["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        own = d["evidence"].get("agreement", {}).get("network", d["confidence"])  # before the spectrum is weighed in
        assert own == pytest.approx(max(d["probabilities"].values()), abs=2e-6) and d["segments"] == 12_000 // 2048
        assert d["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() and d["model"]["digest"] == digest


def test_the_model_folder_alone_is_enough(trained: Trained, good: Path) -> None:
    shutil.copytree(trained.run / "model", good / "plant")
    both = [faultdx("diagnose", "a.mat", "--model", m, cwd=good) for m in (trained.run, "plant")]
    assert both[0].code == 0 and both[0].out == both[1].out and both[0].out.startswith("a.mat: ")
    assert len(both[0].lines) == 1


# ---- bad inputs among good ones


def test_bad_files_cost_only_themselves(trained: Trained, bad: Path) -> None:
    names = ["first.mat", *BAD, "short.mat", "last.mat"]
    ran = faultdx("diagnose", *names, "--model", trained.run, "--json", "--min-confidence", "0", cwd=bad)
    assert ran.code == 4
    assert [d["file"] for d in ran.objects] == names
    found = {d["file"]: d for d in ran.objects}
    schema = diagnosis_schema()
    for d in ran.objects:
        validate(d, schema, schema)
    assert found["first.mat"]["status"] == found["last.mat"]["status"] == "diagnosed"
    said = ran.err.splitlines()
    assert len(said) == len(BAD) + 1  # and short.mat
    for (name, words), line in zip(BAD.items(), said, strict=False):
        assert name in line and all(word in line for word in words) and ";" in line, line
        if name == "nan.mat":
            assert found[name]["status"] == "unusable" and line.startswith("faultdx: nan.mat: unusable")
            assert [c["name"] for c in found[name]["quality"]] == ["not_finite"]
        else:
            assert found[name]["status"] == "error" and found[name]["error"]["kind"] == "record"
            assert line == f"faultdx: error: {found[name]['error']['message']}"
    short = found["short.mat"]
    assert short["status"] == "unusable" and short["quality"][0]["name"] == "too_short" and short["verdict"] is None


def test_a_bad_file_has_its_line_in_plain_output_too(trained: Trained, bad: Path) -> None:
    ran = faultdx("diagnose", "rateless.mat", "short.mat", "first.mat", "--model", trained.run, "--quiet", cwd=bad)
    assert ran.code == 4 and len(ran.lines) == 3 and len(ran.err.splitlines()) == 2
    assert ran.lines[0].startswith("rateless.mat: not read") and "--sampling-rate" in ran.lines[0]
    assert ran.lines[1].startswith("short.mat: unusable") and "record longer" in ran.lines[1]


def test_inspect_names_the_refusal_and_goes_on(bad: Path) -> None:
    ran = faultdx("inspect", *BAD, "first.mat", "--json", cwd=bad)
    assert ran.code == 4 and len(ran.objects) == len(BAD) + 1
    assert all(all(word in d["refused"] for word in BAD[d["file"]]) for d in ran.objects[:-1])
    assert ran.objects[-1]["refused"] is None and ran.objects[-1]["sampling_rate_hz"] == 12_000
    plain = faultdx("inspect", "first.mat", cwd=bad)
    assert plain.code == 0 and "12000 Hz" in plain.out and plain.lines[0] == "first.mat"


def test_prepare_leaves_bad_files_out_by_name(trained: Trained, bad: Path, tmp_path: Path) -> None:
    for label, number in (("normal", 501), ("ball", 505)):
        (tmp_path / "src" / label).mkdir(parents=True)
        shutil.copy(trained.unseen / f"{number}.mat", tmp_path / "src" / label)
    shutil.copy(bad / "empty.mat", tmp_path / "src" / "ball")
    shutil.copy(bad / "nan.mat", tmp_path / "src" / "normal")
    ran = faultdx("prepare", "src", "--out", "p.h5", "--quiet", "--segment", "1024", cwd=tmp_path)
    assert ran.code == 4 and ran.out == "p.h5\n"
    assert [line.startswith("left out: ") for line in ran.err.splitlines()] == [True, True]
    assert "empty.mat" in ran.err and "nan.mat" in ran.err


# ---- exit codes


def test_fail_on_ends_with_3_where_its_result_was_reached(trained: Trained, good: Path) -> None:
    verdict = verdict_of(trained, good / "a.mat")
    classes = load_model(trained.run).classes
    other = next(c for c in classes if c != verdict)
    sick = model_with(trained.run, good / "sick", healthy=[other])
    well = model_with(trained.run, good / "well", healthy=[verdict])

    def code(model: Path, *options: str, files: tuple[str, ...] = ("a.mat",)) -> int:
        ran = faultdx_here("diagnose", *files, "--model", model, *options, cwd=good)
        assert len(ran.lines) == len(files)
        return ran.code

    sure = ("--min-confidence", "0")
    assert code(sick, *sure) == 0
    assert code(sick, *sure, "--fail-on", "never") == 0
    assert code(sick, *sure, "--fail-on", "fault") == 3
    assert faultdx("diagnose", "a.mat", "--model", sick, *sure, "--fail-on", "fault", cwd=good).code == 3
    assert code(well, *sure, "--fail-on", "fault") == 0
    assert code(well, *sure, "--fail-on", "undecided", "--fail-on", verdict) == 3
    assert code(well, *sure, "--fail-on", other) == 0
    assert code(well, "--min-confidence", "1", "--fail-on", "undecided") == 3
    assert code(well, "--min-confidence", "1", "--fail-on", verdict) == 0
    both = ("none.mat", "a.mat")
    assert code(sick, *sure, "--fail-on", "fault", files=both) == 3
    assert code(well, *sure, "--fail-on", "fault", files=both) == 4


def test_fail_on_what_the_model_cannot_say_is_a_usage_error(trained: Trained, good: Path) -> None:
    unknown = faultdx_here("diagnose", "a.mat", "--model", trained.run, "--fail-on", "rust", cwd=good)
    assert_refused(unknown, 2, "--fail-on 'rust'", "undecided", "outer_race")
    nobody = model_with(trained.run, good / "nobody", healthy=[])
    ran = faultdx_here("diagnose", "a.mat", "--model", nobody, "--fail-on", "fault", cwd=good)
    assert_refused(ran, 2, "--fail-on fault", "--healthy")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("diagnose", "a.mat", "--model", "nowhere"), ("nowhere", "no such folder", "faultdx train")),
        (("diagnose", "a.mat", "--model", "a.mat"), ("a.mat", "is not a folder", "faultdx train")),
        (("diagnose", "a.mat", "--model", "."), (".: has no model.json", "faultdx train")),
        (("diagnose", "--model", "RUN"), ("nothing to diagnose", "name a file")),
        (("diagnose", "a.mat", "--model", "RUN", "--sampling-rate", "-5"), ("--sampling-rate", "positive")),
        (("inspect", "a.mat", "--rpm", "nan"), ("--rpm", "positive")),
        (("prepare", "--out", "p.h5"), ("nothing to prepare",)),
        (("prepare", "a.mat", "--out", "p.h5"), ("a.mat", "no label is known", "records table")),
        (("prepare", "a.mat", "--out", "p.h5", "--labels", "wear"), ("a.mat", "no wear is known", "columns")),
        (("prepare", "no.mat", "--out", "p.h5"), ("no.mat", "no such file", "check the name")),
        (
            ("prepare", "a.mat", "--out", "p.h5", "--split", "mood", "--normalize", "much", "--noise", "blue"),
            ("'mood'", "specimen", "'much'", "zscore", "'blue'", "pink"),
        ),
        (("prepare", "a.mat", "--out", "p.h5", "--split", "random"), ("random", "--allow-leakage")),
        (("prepare", "a.mat", "--out", "p.h5", "--set", "what=1"), ("'what'", "segment")),
        (("prepare", "a.mat", "--out", "p.h5", "--config", "no.toml"), ("no.toml", "no such file")),
        (("train", "--out", "r"), ("nothing to train on", "faultdx prepare")),
        (("train", "no.h5", "--out", "r"), ("no.h5", "no such file", "faultdx prepare")),
        (("train", "a.mat", "--out", "r"), ("a.mat", "not a prepared file", "faultdx prepare")),
        (("train", "a.mat", "--out", "r", "--network", "big", "--epochs", "0"), ("'big'", "drsn-cw", "epochs = 0")),
        (("train", "a.mat", "--out", "r", "--device", "tpu"), ("'tpu'", "cpu, cuda")),
        (("simulate", "pump", "--out", "s"), ("'pump'", "bearing, gearbox")),
        (("simulate", "bearing", "--out", "s", "--mat", "6"), ("'6'", "7.3")),
    ],
)
def test_wrong_use_ends_with_2_and_one_line(
    trained: Trained, good: Path, command: tuple[str, ...], words: tuple[str, ...]
) -> None:
    ran = faultdx_here(*(str(trained.run) if word == "RUN" else word for word in command), cwd=good)
    assert_refused(ran, 2, *words)
    assert {p.name for p in good.iterdir()} == {"a.mat"}  # nothing was begun


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("what",), ("what",)),
        (("diagnose", "a.mat"), ("--model",)),
        (("diagnose", "a.mat", "--model", "x", "--colour"), ("--colour",)),
        (("diagnose", "a.mat", "--model", "x", "--min-confidence", "2"), ("--min-confidence",)),
        (("prepare", "a.mat", "--out", "p.h5", "--segment", "long"), ("--segment", "integer")),
        (("prepare", "a.mat", "--out", "p.h5", "--seed", "-1"), ("--seed",)),
        (("train", "p.h5", "--out", "r", "--seed", "99999999999999999999999"), ("--seed",)),
        (("networks", "--classes", "1"), ("--classes",)),
    ],
)
def test_what_the_parser_refuses_ends_with_2_too(good: Path, command: tuple[str, ...], words: tuple[str, ...]) -> None:
    ran = faultdx_here(*command, cwd=good)
    assert ran.code == 2 and ran.out == "" and ESCAPE not in ran.err
    assert all(word in ran.err for word in words)


def test_outputs_that_cannot_be_written_end_with_5(trained: Trained, good: Path) -> None:
    (good / "taken.h5").write_text("mine")
    source = str(trained.unseen)
    for command, words in [
        (("prepare", source, "--out", "taken.h5"), ("taken.h5", "exists already", "--overwrite")),
        (("prepare", source, "--out", "a.mat/sub/p.h5"), ("a.mat/sub/p.h5", "choose another path")),
        (("train", str(trained.prepared), "--out", str(trained.run)), ("exists already", "--resume", "--overwrite")),
        (("train", str(trained.prepared), "--out", "a.mat"), ("a.mat", "exists already")),
        (("train", str(trained.prepared), "--out", ".", "--overwrite"), ("is not a run folder", "choose another")),
        (("train", str(trained.prepared), "--out", "new", "--resume"), ("new", "nothing to resume")),
        (("simulate", "bearing", "--out", "."), ("is not empty", "--overwrite")),
        (("simulate", "bearing", "--out", "a.mat"), ("a.mat", "is a file", "choose")),
        (("diagnose", "a.mat", "--model", str(trained.run), "--report", "a.mat"), ("a.mat", "is a file", "choose")),
        (("diagnose", "a.mat", "--model", str(trained.run), "--report", "a.mat/r"), ("a.mat/r", "another path")),
    ]:
        assert_refused(faultdx_here(*command, cwd=good), 5, *words)
    assert (good / "taken.h5").read_text() == "mine"
    assert {p.name for p in good.iterdir()} == {"a.mat", "taken.h5"}


# ---- the real recordings


@pytest.mark.real_data
def test_real_recordings_are_counted_as_the_split_says(real_data: Path, tmp_path: Path) -> None:
    import h5py

    ran = faultdx("prepare", real_data / "cwru", "--out", "cwru.h5", cwd=tmp_path)
    assert ran.code == 0, ran.err
    files = sorted((real_data / "cwru").glob("*.mat"))
    expected = np.zeros(3, int)
    for path in files:
        name = next(n for n, *_ in scipy.io.whosmat(path) if n.endswith(f"{path.stem}_DE_time"))
        samples = scipy.io.loadmat(path, variable_names=[name])[name].size
        if path.stem == "97":  # at 48 kHz, the others at 12 kHz
            samples = -(-samples // 4)
        ends = np.rint(np.array([0, 0.6, 0.8, 1.0]) * samples).astype(int)
        room = np.diff(ends) - [2048, 2048, 0]  # a segment's length is left free between two parts
        expected += room // 2048
    with h5py.File(tmp_path / "cwru.h5") as file:
        assert len(file["records/path"]) == len(files)
        assert np.bincount(file["split"][:]).tolist() == expected.tolist()
        assert file["segments"].shape == (expected.sum(), 1, 2048)
        assert float(file.attrs["sampling_rate_hz"]) == 12_000


@pytest.mark.real_data
def test_a_real_recording_is_diagnosed(trained: Trained, real_data: Path) -> None:
    ran = faultdx("diagnose", real_data / "cwru" / "105.mat", "--model", trained.run, "--json")
    (found,) = ran.objects  # the model has seen a simulated rig alone, and says so
    assert ran.code == 0 and found["status"] == "unfamiliar" and found["verdict"] is None
    assert found["sampling_rate_hz"] == 12_000 and found["rpm"] == pytest.approx(1797, abs=5)
    assert found["segments"] == 121_265 // 2048


@pytest.mark.real_data
def test_prepare_takes_one_recording_from_standard_input(real_data: Path, tmp_path: Path) -> None:
    import h5py

    cwru = real_data / "cwru"
    names = ("97.mat", "105.mat", "118.mat")
    piped = faultdx(
        *("prepare", "-", cwru / names[1], cwru / names[2], "--out", "piped.h5", "--workers", "2"),
        cwd=tmp_path,
        stdin=(cwru / names[0]).read_bytes(),
    )
    named = faultdx("prepare", *(cwru / name for name in names), "--out", "named.h5", cwd=tmp_path)
    assert (piped.code, named.code) == (0, 0), piped.err + named.err
    with h5py.File(tmp_path / "piped.h5") as a, h5py.File(tmp_path / "named.h5") as b:
        assert a["records/path"].asstr()[0] == "-"
        assert np.array_equal(a["segments"][:], b["segments"][:])


def test_help_shows_the_defaults_that_stand_in_brackets(tmp_path: Path) -> None:
    for command, words in (("train", ("[drsn-fused]", "[-12:10]")), ("prepare", ("[label]", "[no overlap]", "[auto]"))):
        said = " ".join(faultdx_here(command, "-h", cwd=tmp_path).out.split())
        assert all(word in said for word in words), said


def test_what_was_left_out_is_named_where_prepare_gives_up(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n" + "\n".join(str(i * i % 4999) for i in range(5000)))
    (tmp_path / "b.csv").write_text("x\n" + "\n".join("nan" for _ in range(5000)))
    (tmp_path / "t.csv").write_text("path,label,sampling_rate_hz\na.csv,a,1000\nb.csv,b,1000\n")
    ran = faultdx_here("prepare", "t.csv", "--out", "p.h5", cwd=tmp_path)
    assert ran.code == 2
    assert "left out: " in ran.err and "b.csv" in ran.err and "single class (a)" in ran.err.splitlines()[-1]


def test_an_error_of_the_system_names_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    def app() -> None:
        raise PermissionError(13, "Permission denied", "x/y.json")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.raises(SystemExit) as end:
            console.run(app)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert end.value.code == 5
    assert capsys.readouterr().err.startswith("faultdx: error: x/y.json: permission denied; ")
