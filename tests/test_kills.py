"""kill -9 and signals at any moment: what is there is whole, nothing is in the way, and the end is the same."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import Trained, beyond_a_gateway
from test_training import QUICK, TOY, metrics, run, stop_after, toy_signals, write_prepared
from torture import kills, whole

from faultdx import checkpoint, files, leftovers, runs
from faultdx.benchmark import runner
from faultdx.cli import console
from faultdx.cli.console import StopFlag, Stopped
from faultdx.cli.evaluate import _target
from faultdx.cli.export import _check_folder
from faultdx.dataset import open_prepared
from faultdx.errors import ConfigError, OutputError
from faultdx.networks import architecture
from faultdx.simulation.writing import _open_folder
from faultdx.training import Trainer

SHORT = replace(QUICK, epochs=2, epoch_steps=6)
LEFT = ".run.json.4194303.faultdx-tmp"  # of a number that no process has


@pytest.fixture(autouse=True, scope="module")
def small_and_single() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architecture.NETWORKS, "toy", TOY)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("toy"), toy_signals(3000))


@pytest.fixture
def unexported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The export takes seconds, and is not what is asked about."""
    monkeypatch.setattr(runs, "_write_model", lambda *_: ({}, {}))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoint._read((folder / "last.pt").read_bytes()[checkpoint._HEAD :]).tensors["network"])


def assert_same(folder: Path, other: Path) -> None:
    a, b = weights(folder), weights(other)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert metrics(folder) == metrics(other)
    assert (folder / "config.toml").read_bytes() == (other / "config.toml").read_bytes()
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"


# ---- the commands, killed


@beyond_a_gateway
@pytest.mark.parametrize(("name", "shares"), [
    ("prepare", (0.3,)), ("prepare --workers 2 --overwrite", (0.6,)), ("diagnose", (0.5,)),
])  # fmt: skip
def test_a_killed_command_leaves_nothing_half_and_nothing_in_the_way(
    trained: Trained, tmp_path: Path, name: str, shares: tuple[float, ...]
) -> None:
    world = whole.World(trained.rig, trained.prepared, trained.run, tmp_path / "none")
    scene, tally = next(s for s in kills.SCENES if s.name == name), kills.Tally()
    (tmp_path / "base").mkdir()
    known = kills.undisturbed(scene, world, tmp_path / "base")
    assert known.calls >= 4
    for i, share in enumerate(shares):
        (tmp_path / str(i)).mkdir()
        kills.kill_once(scene, world, tmp_path / str(i), known, 2 + int(share * known.calls), tally)
    assert (tally.points, tally.landed, tally.findings) == (len(shares), len(shares), [])


def test_what_is_half_is_found(tmp_path: Path, trained: Trained) -> None:
    """The check of the files is one that can fail: each kind, cut, is named."""
    for path in (trained.prepared, *(trained.run / n for n in ("last.pt", "metrics.jsonl", "model/model.json"))):
        cut = tmp_path / path.name
        cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert whole.wrong_with(path) is None and whole.wrong_with(cut) is not None, path.name
    for name, text in (
        ("a.csv", "a,b\r\n1,2\r\n3"),
        ("a.html", "<html>"),
        ("a.prom", "x 1\ny"),
        ("a.sqlite", "x" * 50),
    ):
        (tmp_path / name).write_text(text)
        assert whole.wrong_with(tmp_path / name) is not None, name
    assert len(whole.wrong_in(tmp_path)) == 9  # the model twice: it is no JSON, and no model


def test_points_are_spread_over_the_time_and_over_the_calls() -> None:
    points = kills.spread(40, kills.Known({}, 1.0, 30), random.Random(0))
    times, calls = [p for p in points if p < 2], [int(p) - 1 for p in points if p >= 2]
    assert len(times) == len(calls) == 20 and min(times) < 0.1 and max(times) > 0.95
    assert min(calls) == 1 and max(calls) >= 29


# ---- what a kill leaves is not in the way


def left_in(folder: Path, *names: str) -> Path:
    for name in (LEFT, *names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folder_with_what_a_kill_left_is_taken_and_one_with_anything_else_is_not(tmp_path: Path) -> None:
    takes: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
        "train": (lambda f: runs._open_folder(f, resume=False, overwrite=False), ()),
        "export": (lambda f: _check_folder(f, overwrite=False), ()),
        "simulate": (lambda f: _open_folder(f, overwrite=False), ()),
        "evaluate": (lambda f: _target(f, overwrite=False).__enter__(), ()),
    }
    for name, (take, _) in takes.items():
        take(left_in(tmp_path / name))
        (tmp_path / name / "thesis.tex").touch()
        with pytest.raises(OutputError):
            take(tmp_path / name)
    half = left_in(tmp_path / "half", "model.onnx")  # killed before model.json, which is the last
    _check_folder(half, overwrite=True)
    with pytest.raises(OutputError, match="--overwrite replaces it"):
        _check_folder(half, overwrite=False)
    (half / "thesis.tex").touch()
    with pytest.raises(OutputError, match="not a model folder"):
        _check_folder(half, overwrite=True)
    begun = left_in(tmp_path / "benchmark", "work/lock", f"cells/{LEFT}")
    assert runner._is_vacant(begun)
    (begun / "cells" / "result.json").touch()
    assert not runner._is_vacant(begun)


def test_a_probe_that_was_killed_is_swept_and_hinders_nobody(tmp_path: Path) -> None:
    """In a container the numbers of the processes come again and again."""
    for number in (os.getpid(), 4194303):
        (tmp_path / f".probe.{number}{whole.TEMPORARY}").touch()
    files.check_folder(tmp_path)
    assert kills.age(tmp_path, 2 * 86400.0) == 2
    leftovers.swept.clear()
    files.check_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---- a training, killed or stopped at the moments that matter


class Killed(BaseException):
    """What a run does not see coming."""


def kill_at(monkeypatch: pytest.MonkeyPatch, name: str, count: int) -> None:
    """Kill at the `count`-th writing of the file `name`, before it."""
    real, seen = runs.atomic_write, []

    def write(path: Any, data: Any, **how: Any) -> None:
        seen.extend([1] if Path(path).name == name else [])
        if Path(path).name == name and len(seen) == count:
            raise Killed
        real(path, data, **how)

    monkeypatch.setattr(runs, "atomic_write", write)


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "_write_model", lambda *_: ({}, {}))
        run(dataset, folder, SHORT)
    return folder


@pytest.mark.parametrize(
    ("file", "count"),
    [("config.toml", 1), ("last.pt", 1), ("metrics.jsonl", 1), ("metrics.jsonl", 2), ("curves.png", 1)],
)  # fmt: skip
def test_a_kill_at_any_file_of_a_training_is_made_good(
    dataset: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unexported: None, file: str,
    count: int,
) -> None:  # fmt: skip
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        kill_at(patch, file, count)
        with pytest.raises(Killed):
            run(dataset, folder, SHORT)
    run(dataset, folder, SHORT, resume=True)
    assert_same(folder, undisturbed)


def test_a_run_killed_before_it_is_one_begins_anew(
    dataset: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unexported: None
) -> None:
    folder = left_in(tmp_path / "run")
    with pytest.raises(OutputError, match=r"nothing to resume .*leave out --resume"):
        run(dataset, folder, SHORT, resume=True)
    run(dataset, folder, SHORT)
    assert_same(folder, undisturbed)
    # a finished run without its checkpoint is not trained anew: --overwrite says that
    (folder / "last.pt").unlink()
    with pytest.raises(OutputError, match=r"nothing to resume .*--overwrite"):
        run(dataset, folder, SHORT, resume=True)


def test_a_stop_while_it_measures_keeps_the_epoch_s_steps(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faultdx.training._EVALUATE", 16)  # several batches of validation
    with open_prepared(dataset) as prepared:
        undisturbed = Trainer(prepared, SHORT)
        undisturbed.run()
        saved: list[bytes] = []
        trainer = Trainer(prepared, SHORT)
        # 6 steps ask 6 times; the seventh time is between two batches of the validation
        assert not trainer.run(stop=stop_after(6), save=lambda: saved.append(trainer.checkpoint()))
        assert (trainer.state.step, trainer.epoch, trainer.state.rows, len(saved)) == (6, 0, [], 1)
        again = Trainer(prepared, SHORT)
        again.restore(saved[0])
        assert again.run()
    assert again.state.step == undisturbed.state.step == 12

    def untimed(trainer: Trainer) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.state.rows]

    assert untimed(again) == untimed(undisturbed) and len(untimed(again)) == 2
    ours, theirs = again.state.average.state_dict(), undisturbed.state.average.state_dict()
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)


def test_signals_are_held_while_it_trains_and_only_then(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[str] = []

    @contextmanager
    def held() -> Iterator[None]:
        inside.append("held")
        yield
        inside.append("free")

    def export(*_: object) -> None:
        inside.append("export")
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(runs, "_write_model", export)
    with pytest.raises(Stopped):
        run(dataset, tmp_path / "run", SHORT, held=held)
    assert inside == ["held", "free", "export"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
    monkeypatch.setattr(runs, "_write_model", lambda *_: ({}, {}))
    steps: list[int] = []
    run(dataset, tmp_path / "run", SHORT, resume=True, progress=lambda step, _t, _r: steps.append(step))
    assert steps == [] and json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"


def test_a_held_signal_sets_a_flag_and_one_outside_does_what_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_ended", [])  # of a run that another test made in this process
    monkeypatch.setattr(console, "_stopped", [])
    came: list[int] = []
    old = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        flag = StopFlag()
        assert not flag.began
        os.kill(os.getpid(), signal.SIGTERM)
        assert came == [signal.SIGTERM] and flag() == 0
        with flag.held():
            os.kill(os.getpid(), signal.SIGTERM)
            assert flag() == signal.SIGTERM and flag.began
            with pytest.raises(Stopped):
                os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert came == [signal.SIGTERM] * 2
    finally:
        signal.signal(signal.SIGTERM, old)


# ---- what would give another end is refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"threads": 7}, r"threads 7, and this is 1: .*--threads 7"),
        ({"device": "cuda"}, r"device cuda, and this is cpu"),
        ({"versions": {"torch": "0.1"}}, r"torch 0\.1, and this is .*resume with torch 0\.1"),
        ({"versions": {"numpy": "0.1"}}, r"numpy 0\.1"),
    ],
)
def test_what_would_change_the_last_digits_is_refused(
    dataset: Path, tmp_path: Path, unexported: None, change: dict[str, Any], said: str
) -> None:
    folder = tmp_path / "run"
    with suppress(runs.Interrupted):
        run(dataset, folder, SHORT, stop=stop_after(1))
    told = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(told | change))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(ConfigError, match=said):
        run(dataset, folder, SHORT, resume=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_run_goes_on_with_the_threads_it_began_with(dataset: Path, tmp_path: Path, unexported: None) -> None:
    """Another machine has other cores: what `train` would take there by itself is not what it took here."""
    folder, unsaid = tmp_path / "run", replace(SHORT, threads=0)
    with suppress(runs.Interrupted):
        run(dataset, folder, replace(unsaid, threads=2), stop=stop_after(1))
    threads: list[int] = []
    run(dataset, folder, unsaid, resume=True, progress=lambda *_: threads.append(torch.get_num_threads()))
    assert set(threads) == {2}
