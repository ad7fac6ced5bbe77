"""One training on several processes: the same weights as one process, to rounding, and one end for all of them.

Most of it runs on threads that talk through a meeting point, one thread a process: what they compute is what processes
compute. The last tests start processes with torchrun.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from helpers import assert_refused, environment, faultdx_here
from safetensors.torch import load_file
from torch import Tensor

from faultdx.cli import ranks
from faultdx.config import RECIPES, PrepareConfig, TrainConfig
from faultdx.dataset import open_prepared
from faultdx.distributed import ALONE, Place, Processes, Team, default_threads, launched, restarted
from faultdx.errors import ConfigError, OutputError
from faultdx.networks import architecture
from faultdx.networks.architecture import Architecture
from faultdx.networks.drsn import build
from faultdx.networks.synchronised import synchronise
from faultdx.networks.units import BatchNorm
from faultdx.preparation import prepare
from faultdx.records.source import Declared, Item
from faultdx.training import Trainer

T = TypeVar("T")
TOY = Architecture("channel-wise", 8, 9, 2, (8, 12), (2, 1))
FRESH = TrainConfig(network="toy", epochs=2, batch=100, epoch_steps=4, average=0.9, threads=1)
PAPER = TrainConfig(**{**RECIPES["paper"], "network": "toy", "epochs": 2, "batch": 100, "threads": 1})


class Meeting:
    """Where threads that stand for processes hand each other values; one that fails frees the others."""

    def __init__(self, size: int) -> None:
        self.size, self.barrier, self.said = size, threading.Barrier(size, timeout=20), [None] * size

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.said[rank] = value
        self.barrier.wait()
        everyone: list[Any] = list(self.said)
        self.barrier.wait()
        return everyone


class Threads(Processes):
    """A team whose processes are threads: what they say to each other goes through a `Meeting`."""

    def __init__(self, meeting: Meeting, rank: int) -> None:
        self.meeting, self.rank, self.size, self.local_size = meeting, rank, meeting.size, meeting.size

    def _say(self, what: str, *arguments: Any) -> None:
        if what == "all_gather":
            for row, value in zip(arguments[0], self.meeting.exchange(self.rank, arguments[1].clone()), strict=True):
                row.copy_(value)
        elif what == "all_reduce":
            arguments[0].copy_(sum(self.meeting.exchange(self.rank, arguments[0].clone())))
        else:
            arguments[0].copy_(self.meeting.exchange(self.rank, arguments[0].clone())[arguments[1]])


def in_threads(size: int, work: Callable[[Threads], T]) -> list[T]:
    """Return what `work` gives in each of the threads; the first error of one of them is raised."""
    meeting, found, errors = Meeting(size), [None] * size, [None] * size

    def one(rank: int) -> None:
        try:
            found[rank] = work(Threads(meeting, rank))  # type: ignore[call-overload]
        except BaseException as error:
            errors[rank] = error  # type: ignore[call-overload]
            meeting.barrier.abort()

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ours = sorted((e for e in errors if e is not None), key=lambda e: isinstance(e, threading.BrokenBarrierError))
    if ours:
        raise ours[0]
    return found  # type: ignore[return-value]


@pytest.fixture(autouse=True, scope="module")
def small_and_single() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(architecture.NETWORKS, "toy", TOY)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of two records: 333 training segments of 64 samples are no whole number of batches."""
    folder, rng = tmp_path_factory.mktemp("toy"), np.random.default_rng(0)
    items = []
    for i in range(6):
        t = np.arange(6000 + 30 * i) / 12_800
        tone = np.sin(2 * np.pi * (700.0, 1900.0, 4100.0)[i % 3] * t) * rng.uniform(0.5, 2)
        np.save(folder / f"{i}.npy", (tone + 0.3 * rng.standard_normal(len(t))).astype(np.float32))
        label = ("normal", "inner", "outer")[i % 3]
        items.append(Item(str(folder / f"{i}.npy"), flags=Declared(sampling_rate_hz=12_800.0, label=label)))
    prepare(items, folder / "toy.h5", config=PrepareConfig(segment=64, split="time"))
    return folder / "toy.h5"


# ------------------------------------------------------------------------------------------- who is started, and where


def test_a_process_knows_its_place_by_what_torchrun_sets() -> None:
    said = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "a"}
    assert launched({}) is None
    assert launched(said) is None  # no port: not torchrun
    said |= {"MASTER_PORT": "29500"}
    assert launched(said) == Place(3, 4, 1, 2)
    assert launched({**said, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}) is None
    for wrong in ({"RANK": "4"}, {"RANK": "-1"}, {"WORLD_SIZE": "x"}, {"LOCAL_RANK": "2"}, {"LOCAL_WORLD_SIZE": "5"}):
        with pytest.raises(ConfigError, match="not what torchrun sets"):
            launched({**said, **wrong})


def test_a_restart_is_known_by_its_count() -> None:
    assert not restarted({}) and not restarted({"TORCHELASTIC_RESTART_COUNT": "0"})
    assert restarted({"TORCHELASTIC_RESTART_COUNT": "2"})


@pytest.mark.parametrize(("count", "size"), [(128, 2), (7, 3), (2, 3), (0, 2), (128, 5)])
def test_parts_are_all_of_a_batch_once_and_of_nearly_one_size(count: int, size: int) -> None:
    teams = []
    for rank in range(size):
        team = Team()
        team.rank, team.size = rank, size
        teams.append(team)
    parts = [list(range(count))[team.part(count)] for team in teams]
    assert [i for part in parts for i in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_threads_are_divided_among_the_processes_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert [default_threads(n) for n in (1, 2, 3, 4, 8, 100)] == [4, 2, 1, 1, 1, 1]


def test_a_process_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    team = Threads(Meeting(2), 1)
    team.local_rank = 1
    assert team.device("auto") == "cpu" and team.device("cpu") == "cpu"
    with pytest.raises(ConfigError, match=r"--device cuda$"):
        team.device("cuda:0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert team.device("auto") == team.device("cuda") == "cuda:1"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="2 processes and 1 GPU: torchrun --nproc-per-node 1"):
        team.device("auto")


# ------------------------------------------------------------------------------------------------ batch normalisation


def norm_of(seed: int) -> BatchNorm:
    norm = BatchNorm(3).double()
    with torch.no_grad():
        g = torch.Generator().manual_seed(seed)
        norm.weight.copy_(torch.randn(3, generator=g))
        norm.bias.copy_(torch.randn(3, generator=g))
    return norm


def through(norm: torch.nn.Module, x: Tensor, dy: Tensor) -> dict[str, Tensor]:
    """Return all that a training pass gives: the output, the gradients, what the module keeps."""
    x = x.clone().requires_grad_()
    y = norm(x)
    y.backward(dy)
    gradients = {name: p.grad for name, p in norm.named_parameters() if p.grad is not None}
    return {"y": y.detach(), "dx": x.grad if x.grad is not None else torch.zeros_like(x), **gradients} | {
        name: value.clone() for name, value in norm.named_buffers()
    }


@pytest.mark.parametrize("shape", [(7, 3), (7, 3, 11), (7, 3, 4, 5), (2, 3, 5), (1, 3, 4)])
@pytest.mark.parametrize("size", [2, 3])
def test_parts_are_normalised_as_the_whole_batch_is(shape: tuple[int, ...], size: int) -> None:
    # one segment among three processes leaves two of them with nothing; an offset must not cost digits
    g = torch.Generator().manual_seed(1)
    x = 100.0 + torch.randn(shape, generator=g, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1]).view(
        -1, *[1] * (len(shape) - 2)
    )
    dy = torch.randn(shape, generator=g, dtype=torch.float64)
    whole_norm = torch.nn.BatchNorm1d(3).double() if len(shape) < 4 else torch.nn.BatchNorm2d(3).double()
    whole_norm.load_state_dict(norm_of(0).state_dict())
    whole = through(whole_norm, x, dy)

    def work(team: Threads) -> dict[str, Tensor]:
        norm, part = norm_of(0), team.part(len(x))
        synchronise(norm, gather=team.gather, add=team.add)
        return through(norm, x[part], dy[part])

    parts = in_threads(size, work)
    for name in ("y", "dx"):
        assert torch.allclose(torch.cat([p[name] for p in parts]), whole[name], rtol=1e-9, atol=1e-10), name
    for name in ("weight", "bias"):
        assert torch.allclose(sum(p[name] for p in parts), whole[name], rtol=1e-9, atol=1e-10), name  # type: ignore[arg-type]
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        for part in parts:
            assert torch.allclose(part[name], whole[name], rtol=1e-12, atol=0), name


def test_one_value_in_all_is_normalised_by_the_running_statistics() -> None:
    x, dy = torch.full((1, 3), 4.0, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64)
    alone = through(norm_of(0), x, dy)

    def work(team: Threads) -> dict[str, Tensor]:
        norm, part = norm_of(0), team.part(1)
        synchronise(norm, gather=team.gather, add=team.add)
        return through(norm, x[part], dy[part])

    _, there = in_threads(2, work)
    assert all(torch.equal(there[name], alone[name]) for name in alone)


def test_evaluation_asks_nobody() -> None:
    norm = norm_of(0).eval()
    norm.across = lambda _norm, _x: pytest.fail("another process was asked")
    norm(torch.ones(2, 3, dtype=torch.float64))


# ------------------------------------------------------------------------------------------------------- the training


def in_doubles(trainer: Trainer) -> Trainer:
    """Compute in float64: what is left of rounding then stays far below what a mistake would make."""
    trainer.state.network.double()
    trainer.state.average.double()
    trainer.validation.x = trainer.validation.x.astype(np.float64)  # type: ignore[assignment]
    batch = trainer.sampler.batch
    trainer.sampler.batch = lambda step, steps: (batch(step, steps)[0].double(), batch(step, steps)[1])  # type: ignore[method-assign]
    return trainer


def finished(path: Path, config: TrainConfig, team: Team) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    with open_prepared(path) as prepared:
        trainer = in_doubles(Trainer(prepared, config, team=team))
        assert trainer.run()
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in trainer.state.rows]
    return {**trainer.state.network.state_dict(), **{f"best.{k}": v for k, v in trainer.state.best.items()}}, rows


@pytest.mark.parametrize(
    ("config", "size"),
    [(PAPER, 2), (FRESH, 3), (replace(FRESH, network="wdcnn-toy"), 2)],
    ids=["paper", "fresh", "wdcnn"],
)
def test_several_processes_train_the_network_of_one(
    toy_file: Path, config: TrainConfig, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Architecture("none", 4, 8, 1, (4, 4), (2, 2), shortcut=False, family="wdcnn", hidden=6)
    monkeypatch.setitem(architecture.NETWORKS, "wdcnn-toy", small)
    alone, rows = finished(toy_file, config, ALONE)
    # no file is opened by two threads at once: h5py holds one lock for all
    several = in_threads(size, lambda team: finished(toy_file, config, team))
    for weights, metrics in several:
        for name, value in alone.items():
            assert torch.allclose(weights[name], value, rtol=1e-5, atol=1e-7), name
        for one, other in zip(metrics, rows, strict=True):
            assert one == pytest.approx(other, rel=1e-6, abs=1e-9)
        # the same in every process, to the bit
        assert all(torch.equal(weights[name], several[0][0][name]) for name in weights)


def test_gradient_of_the_parts_is_that_of_the_batch_in_single_precision(toy_file: Path) -> None:
    """The first step, float32: what differs later grows from rounding."""
    dims = replace(TOY, samples=64, classes=3)
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(31, 1, 64, generator=g), torch.randint(0, 3, (31,), generator=g)
    network = build(dims)
    loss = torch.nn.functional.cross_entropy(network(x), y)
    loss.backward()  # type: ignore[no-untyped-call]
    from faultdx.distributed import shared_gradient

    def work(team: Threads) -> tuple[list[Tensor], float]:
        mine = copies[team.rank]
        team.prepare(mine)
        found, _ = shared_gradient(team, mine, x, y, lambda: False)
        return [p.grad for p in mine.parameters() if p.grad is not None], found

    copies = [build(dims) for _ in range(3)]
    whole = [p.grad for p in network.parameters() if p.grad is not None]
    largest = max(float(v.abs().max()) for v in whole)
    for gradients, found in in_threads(3, work):
        assert found == pytest.approx(float(loss.detach()), rel=1e-6)
        for one, other in zip(gradients, whole, strict=True):
            assert torch.allclose(one, other, rtol=1e-4, atol=1e-6 * largest)


def test_a_stop_in_one_process_stops_all_after_the_same_step_and_goes_on_from_the_first(toy_file: Path) -> None:
    whole, _ = finished(toy_file, FRESH, ALONE)

    def stopped(team: Threads) -> tuple[int, bytes]:
        steps = [0]

        def stop() -> bool:
            steps[0] += 1
            return team.rank == 1 and steps[0] == 6

        with open_prepared(toy_file) as prepared:
            trainer = in_doubles(Trainer(prepared, FRESH, team=team))
            saved: list[bytes] = []
            assert not trainer.run(stop=stop, save=lambda: saved.append(trainer.checkpoint()))
            return trainer.state.step, saved[-1]

    (step, checkpoint), (other, _) = in_threads(2, stopped)
    assert step == other == 6

    def goes_on(team: Threads) -> dict[str, Tensor]:
        with open_prepared(toy_file) as prepared:
            trainer = in_doubles(Trainer(prepared, FRESH, team=team))
            if team.rank == 0:  # the others have no checkpoint of their own
                trainer.restore(checkpoint)
            assert trainer.run()
        return trainer.state.network.state_dict()

    uninterrupted = in_threads(2, lambda team: finished(toy_file, FRESH, team))[0][0]
    for weights in in_threads(2, goes_on):
        assert all(torch.equal(value, uninterrupted[name]) for name, value in weights.items())
        assert all(torch.allclose(value, whole[name], rtol=1e-5, atol=1e-7) for name, value in weights.items())


def test_processes_that_were_started_differently_say_so(toy_file: Path) -> None:
    def work(config: Callable[[int], TrainConfig]) -> None:
        def one(team: Threads) -> None:
            with open_prepared(toy_file) as prepared:
                Trainer(prepared, config(team.rank), team=team).run()

        in_threads(2, one)

    with pytest.raises(ConfigError, match=r"process 1 on .* has another configuration than the first process"):
        work(lambda rank: replace(FRESH, seed=rank))
    with pytest.raises(ConfigError, match="batch = 1 is too small for 2 processes"):
        work(lambda _rank: replace(FRESH, batch=1))


def test_the_first_processs_threads_are_those_of_all(toy_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    in_threads(2, lambda team: finished(toy_file, replace(FRESH, epochs=1, epoch_steps=1), team))
    assert asked == [3, 3]


# ------------------------------------------------------------------------------------------------ how they end together


class Stored(Processes):
    """A process of which only the store is there, which all of them share."""

    def __init__(self, store: Any, rank: int) -> None:
        self._store, self.rank, self.size = store, rank, 2


def test_the_first_that_fails_tells_and_the_others_end_with_its_code() -> None:
    one, two = (Stored(torch.distributed.HashStore(), 0) for _ in range(2))
    two._store, two.rank = one._store, 1
    assert two.failed(5)
    assert not one.failed(2)
    lost = one._lost()
    assert lost.told and lost.exit_code == 5


def test_a_process_that_went_without_a_word_is_told_of_by_those_that_are_left() -> None:
    lost = Stored(torch.distributed.HashStore(), 0)._lost()
    assert not lost.told and lost.exit_code == 1
    assert "--resume" in str(lost) and "process 0 of 2" in str(lost) and "\n" not in str(lost)


@pytest.mark.parametrize(("code", "told"), [(5, False), (5, True)])
def test_one_line_for_all_of_them(code: int, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    team = Stored(torch.distributed.HashStore(), 1)
    monkeypatch.setattr("faultdx.distributed.launched", lambda: Place(1, 2, 1, 2))
    monkeypatch.setattr("faultdx.distributed.Processes", lambda _place: team)
    monkeypatch.setattr(ranks.console.Settings, "quiet", False)
    if told:
        Stored(team._store, 0).failed(code)
    with pytest.raises(SystemExit if told else OutputError) as raised, ranks.together() as found:
        assert found is team and ranks.console.Settings.quiet
        raise OutputError("full")
    if told:
        assert isinstance(raised.value, SystemExit) and raised.value.code == code
    assert not Stored(team._store, 0).failed(1)  # and the others know


# ---------------------------------------------------------------------------------------------------------- torchrun


def test_torchrun_trains_the_model_that_one_process_trains(toy_file: Path, tmp_path: Path) -> None:
    """Momentum and no Adam, which divides what is rounding alone (a bias before a normalisation) by its own size."""
    words = ["--epochs", "2", "--set", "epoch_steps=3", "--set", "optimizer=sgd-steps", "--set", "learning_rate=0.01"]
    # a port of its own, so that two test runs on one machine do not meet
    torchrun = ["--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", "faultdx"]
    command = ["train", str(toy_file), *words, "--threads", "1", "--quiet", "--out", "two"]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *torchrun, *command],
        cwd=tmp_path,
        env=environment(OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "two\n"  # the first process alone speaks
    assert "faultdx" not in done.stderr, done.stderr
    run = json.loads((tmp_path / "two" / "run.json").read_text("utf-8"))
    assert (run["processes"], run["status"]) == (2, "finished")

    config = TrainConfig(epochs=2, epoch_steps=3, optimizer="sgd-steps", learning_rate=0.01, threads=1)
    with open_prepared(toy_file) as prepared:
        alone = Trainer(prepared, config)
        assert alone.run()
    weights = load_file(tmp_path / "two" / "model" / "model.safetensors")
    for name, value in alone.finish().state_dict().items():
        if name in weights:
            assert torch.allclose(weights[name], value, rtol=1e-3, atol=1e-5), name
    assert len(weights) > 50
    rows = [json.loads(line) for line in (tmp_path / "two" / "metrics.jsonl").read_text("utf-8").splitlines()]
    for row, other in zip(rows, alone.state.rows, strict=True):
        assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
        assert row["val_loss"] == pytest.approx(other["val_loss"], rel=1e-4)

    # the last digits depend on how many there are
    ran = faultdx_here("train", toy_file, *words, "--threads", "1", "--out", "two", "--resume", cwd=tmp_path)
    assert_refused(ran, 2, "was started with processes 2, and this is 1", "torchrun --nproc-per-node 2")
