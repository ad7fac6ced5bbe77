"""Training throughput against the usual code, by turns in one run.

    python benchmarks/training_speed.py [--rounds 5] [--seconds 3] [--samples 2048] [--batch 128]

The usual code, written as it is usually written, and fairly: a Dataset of float32 segments in memory, which adds noise
of a random kind at a random SNR to each item in numpy (float32, a generator for the worker); a DataLoader with 0 or 2
workers that shuffles and drops the last batch; the paper's network written plainly, with sign(r) * max(|r| - tau, 0);
the same optimizer, batch and number of classes. Ours: `faultdx.training.Trainer` as `faultdx train` runs it, on the
same segments: crops at random places, balanced classes, noise drawn for the whole batch, the average of the weights.
"The default recipe" is all that `faultdx train` does where nothing is said, its network included.

Every variant is a process of its own (or two, one for each seed), which trains for `--seconds` when it is its turn and
sleeps otherwise; the order changes from round to round. Segments a second by the clock, the median over the rounds and
(lowest, highest); and the median over the rounds of the ratio to the usual code in the same round. `--cpu` prints
segments a CPU second as well: what counts where other programs run.

    python benchmarks/training_speed.py --parts

What a step of ours spends: crops, noise, forward, backward, optimizer, average; CPU ms, medians. And what the noise
costs: the ratio of a step's time with noise to that without.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from faultdx.batches import Sampler
from faultdx.config import PrepareConfig, TrainConfig
from faultdx.dataset import open_prepared
from faultdx.networks.architecture import NETWORKS
from faultdx.preparation import prepare
from faultdx.records.source import Declared, Item
from faultdx.training import Trainer

CLASSES = 10
SNR_DB = (-10.0, 10.0)


# ---- the usual code


class NoisySegments(Dataset[tuple[Tensor, int]]):
    """Segments in memory; noise for each item when it is asked for."""

    def __init__(self, x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], *, noise: bool) -> None:
        self.x, self.y, self.noise = x, y, noise
        self.rng: np.random.Generator | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        if self.rng is None:  # after the fork: each worker its own
            self.rng = np.random.default_rng(torch.initial_seed())
        x = self.x[i]
        if self.noise:
            kind = self.rng.integers(3)
            if kind == 0:
                n = self.rng.standard_normal(x.shape, dtype=np.float32)
            elif kind == 1:
                n = self.rng.laplace(size=x.shape).astype(np.float32)
            else:
                spectrum = np.fft.rfft(self.rng.standard_normal(x.shape))
                k = np.arange(spectrum.shape[-1])
                k[0] = 1
                n = np.fft.irfft(spectrum / np.sqrt(k), n=x.shape[-1]).astype(np.float32)
            n = n - n.mean()
            snr_db = self.rng.uniform(*SNR_DB)
            scale = np.sqrt(np.var(x) / np.mean(n**2) * 10 ** (-snr_db / 10))
            x = x + (n * scale).astype(np.float32)
        return torch.from_numpy(x), int(self.y[i])


class PlainUnit(nn.Module):
    """The residual shrinkage unit, as the equations read."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm1d(c_in), nn.BatchNorm1d(c_out)
        self.conv1 = nn.Conv1d(c_in, c_out, 3, stride=stride, padding=1)
        self.conv2 = nn.Conv1d(c_out, c_out, 3, padding=1)
        self.fc = nn.Sequential(
            nn.Linear(c_out, c_out), nn.BatchNorm1d(c_out), nn.ReLU(), nn.Linear(c_out, c_out), nn.Sigmoid()
        )
        self.pool = nn.AvgPool1d(1, stride)
        self.before, self.behind = (c_out - c_in) // 2, c_out - c_in - (c_out - c_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, L) -> (B, C_out, L / stride)."""
        r = self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        absolute = torch.abs(r)
        mean = absolute.mean(dim=2)
        tau = (self.fc(mean) * mean).unsqueeze(2)
        shrunk = torch.sign(r) * torch.max(absolute - tau, torch.zeros_like(r))
        return shrunk + F.pad(self.pool(x), (0, 0, self.before, self.behind))


class PlainNetwork(nn.Module):
    """drsn-cw or drsn-wide, by the same numbers as ours."""

    def __init__(self, name: str, samples: int) -> None:
        super().__init__()
        dims = NETWORKS[name]
        self.stem = nn.Conv1d(
            1, dims.stem_channels, dims.stem_kernel, stride=dims.stem_stride, padding=dims.stem_padding
        )
        units, c_in = [], dims.stem_channels
        for c_out, stride in zip(dims.widths, dims.strides, strict=True):
            units.append(PlainUnit(c_in, c_out, stride))
            c_in = c_out
        self.units, self.bn, self.fc = nn.Sequential(*units), nn.BatchNorm1d(c_in), nn.Linear(c_in, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, L) -> (B, classes)."""
        x = (x - x.mean(dim=2, keepdim=True)) / (x.std(dim=2, keepdim=True) + 1e-12)
        x = F.relu(self.bn(self.units(self.stem(x))))
        return self.fc(x.mean(dim=2))  # type: ignore[no-any-return]


def usual(path: Path, network: str, batch: int, *, workers: int, noise: bool) -> Iterator[int]:
    """Train by the usual code; yield the number of segments after each step."""
    with open_prepared(path) as prepared:
        rows = prepared.rows("train")
        data = NoisySegments(prepared.segments(rows), prepared.label[rows].astype(np.int64), noise=noise)
        samples = prepared.segment
    loader = DataLoader(
        data, batch_size=batch, shuffle=True, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
    model = PlainNetwork(network, samples).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    while True:
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield len(x)


# ---- ours


def trainer_of(path: Path, network: str, batch: int, *, noise: bool = True, seed: int = 0) -> Trainer:
    """Return the training that `faultdx train` would run, without an end; "-": the default network and recipe.

    Of a named network with the usual code's augmentation: noise, neither other speeds nor an equaliser.
    """
    config = TrainConfig(batch=batch, epochs=100_000, seed=seed)
    if network != "-":
        config = replace(config, network=network, snr=SNR_DB, snr_focus=1.0, stretch=0.0, equalizer=0.0)
    with open_prepared(path) as prepared:
        return Trainer(prepared, config if noise else replace(config, noise=()))


def worker(given: argparse.Namespace) -> None:
    """One variant: train for so many seconds each time a line comes in, and say how many segments that were."""
    name, network, noise = given.worker, given.network, not given.clean
    torch.set_num_threads(given.threads)
    path = Path(given.data)
    if name == "usual":
        steps = usual(path, network, given.batch, workers=given.workers, noise=noise)
        turn: Callable[[float], int] = lambda seconds: _until(steps, seconds)  # noqa: E731
    else:
        trainer = trainer_of(path, network, given.batch, noise=noise, seed=given.seed)

        def turn(seconds: float) -> int:
            # as the command runs it; an epoch's end is passed over, for the usual code validates nothing
            trainer.steps_per_epoch = trainer.total + 1
            began, first = time.perf_counter(), trainer.state.step
            trainer.run(stop=lambda: time.perf_counter() - began >= seconds)
            return (trainer.state.step - first) * given.batch

    turn(1.0)  # warm
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        cpu, began = _cpu(), time.perf_counter()
        done = turn(float(line))
        sys.stdout.write(json.dumps([done, time.perf_counter() - began, _cpu() - cpu]) + "\n")
        sys.stdout.flush()


def _until(steps: Iterator[int], seconds: float) -> int:
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += next(steps)
    return done


def _cpu() -> float:
    """CPU seconds of this process and of the children that are still running (the loader's workers)."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    total, tick = own.ru_utime + own.ru_stime, os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                said = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(said[1]) == os.getpid():
                total += (int(said[11]) + int(said[12])) / tick
    return total


# ---- by turns


PAPER, WIDE = "drsn-cw", "drsn-wide"
# what is trained by how many processes of how many threads; the first is what all others are compared with
VARIANTS: dict[str, tuple[str, ...]] = {
    "usual, drsn-cw, 1 thread, 0 workers": (f"usual {PAPER} --threads 1",),
    "usual, drsn-cw, 1 thread, 2 workers": (f"usual {PAPER} --threads 1 --workers 2",),
    "usual, drsn-cw, 2 threads, 0 workers": (f"usual {PAPER} --threads 2",),
    "usual, drsn-wide, 1 thread, 0 workers": (f"usual {WIDE} --threads 1",),
    "faultdx, drsn-cw, 1 thread": (f"ours {PAPER} --threads 1",),
    "faultdx, drsn-cw, two seeds, 1 thread each": (f"ours {PAPER} --threads 1", f"ours {PAPER} --threads 1 --seed 1"),
    "faultdx, drsn-wide, 1 thread": (f"ours {WIDE} --threads 1",),
    "faultdx, drsn-wide, two seeds, 1 thread each": (f"ours {WIDE} --threads 1", f"ours {WIDE} --threads 1 --seed 1"),
    "faultdx, the default recipe, 1 thread": ("default - --threads 1",),
    "faultdx, the default recipe, two seeds": ("default - --threads 1", "default - --threads 1 --seed 1"),
}


def by_turns(path: Path, given: argparse.Namespace) -> None:
    """Let the variants train in turn; print the table."""
    processes: dict[str, list[subprocess.Popen[str]]] = {}
    how = [sys.executable, __file__, "--data", str(path), "--batch", str(given.batch), "--worker"]
    for name, commands in VARIANTS.items():
        processes[name] = []
        for words in commands:
            what, network, *rest = words.split()
            command = [*how, what, "--network", network, *rest]
            processes[name].append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for process in (one for group in processes.values() for one in group):
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    clock: dict[str, list[float]] = {name: [] for name in processes}
    cpu: dict[str, list[float]] = {name: [] for name in processes}
    for turn in range(given.rounds):
        order = list(processes)[turn % len(processes) :] + list(processes)[: turn % len(processes)]
        for name in order:
            said = []
            for process in processes[name]:
                assert process.stdin is not None
                process.stdin.write(f"{given.seconds}\n")
                process.stdin.flush()
            for process in processes[name]:
                assert process.stdout is not None
                said.append(json.loads(process.stdout.readline()))
            clock[name].append(sum(done / wall for done, wall, _ in said))
            cpu[name].append(sum(done for done, _, _ in said) / sum(used for _, _, used in said))
    for process in (one for group in processes.values() for one in group):
        process.communicate()
    first, _, two, wide, *_ = VARIANTS
    print("| variant | segments/s | times the first | times usual, 2 threads | times usual, drsn-wide |", end="")
    print(" segments/CPU-s | times the first |\n|---|---|---|---|---|---|---|")
    for name in VARIANTS:
        ratios = [_ratio(clock[name], clock[other]) for other in (first, two, wide)]
        own = f"{_spread(cpu[name])} | {_ratio(cpu[name], cpu[first])}"
        print(f"| {name} | {_spread(clock[name])} | {' | '.join(ratios)} | {own} |")


def _ratio(one: list[float], other: list[float]) -> str:
    return f"{statistics.median(a / b for a, b in zip(one, other, strict=True)):.2f}"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} ({min(values):.0f}, {max(values):.0f})"


# ---- what a step spends


def parts(path: Path, network: str, given: argparse.Namespace) -> None:
    """Print the CPU ms of each part of a step, and what the noise costs, in turns."""
    torch.set_num_threads(1)
    trainer = trainer_of(path, network, given.batch)
    sampler, state = trainer.sampler, trainer.state
    quiet: Sampler = trainer_of(path, network, given.batch, noise=False).sampler
    from faultdx.training import _update_average

    spent: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = work()
        spent.setdefault(name, []).append(1000 * (time.process_time() - began))
        return found

    state.network.train()
    for step in range(given.rounds * 20):
        timed("batch without noise", lambda s=step: quiet.batch(s, 100))
        x, y = timed("batch with noise", lambda s=step: sampler.batch(s, 100))
        loss = timed("forward", lambda x=x, y=y: F.cross_entropy(state.network(x), y))
        state.optimizer.zero_grad(set_to_none=True)
        timed("backward", lambda loss=loss: loss.backward())
        timed("optimizer", state.optimizer.step)
        timed("average", lambda s=step: _update_average(state.average, state.network, 0.995, s))
    names = ("batch with noise", "forward", "backward", "optimizer", "average")
    whole = [sum(spent[name][i] for name in names) for i in range(len(spent["forward"]))]
    noise = [a - b for a, b in zip(spent["batch with noise"], spent["batch without noise"], strict=True)]
    what = "the default recipe" if network == "-" else network
    print(f"\n{what}, batch of {given.batch} x {given.samples}: CPU ms a step, median\n")
    print("| part | ms | of the step |\n|---|---|---|")
    total = statistics.median(whole)
    for name, values in (("crops and labels", spent["batch without noise"]), ("noise", noise)):
        print(f"| {name} | {statistics.median(values):.2f} | {100 * statistics.median(values) / total:.1f} % |")
    for name in names[1:]:
        print(
            f"| {name} | {statistics.median(spent[name]):.2f} | {100 * statistics.median(spent[name]) / total:.1f} % |"
        )
    print(f"| all | {total:.2f} | |")
    extra = [n / (w - n) for n, w in zip(noise, whole, strict=True)]
    print(f"\nThe noise makes a step {100 * statistics.median(extra):.1f} % longer.")


def written(folder: Path, samples: int) -> Path:
    """Prepare ten classes of tones in noise, about as many segments as CWRU at 12 kHz has."""
    rng, items = np.random.default_rng(0), []
    for i in range(4 * CLASSES):
        t = np.arange(60 * samples) / 12_000
        x = np.sin(2 * np.pi * (300 + 450 * (i % CLASSES)) * t) + rng.standard_normal(len(t))
        np.save(folder / f"{i}.npy", x.astype(np.float32))
        label = "normal" if i % CLASSES == 0 else f"fault {i % CLASSES}"
        items.append(Item(str(folder / f"{i}.npy"), flags=Declared(sampling_rate_hz=12_000.0, label=label)))
    prepare(items, folder / "tones.h5", config=PrepareConfig(segment=samples, split="time"))
    return folder / "tones.h5"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--networks", default="drsn-cw,drsn-wide,-", help="of --parts; - is the default recipe")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--data", default="", help=argparse.SUPPRESS)
    parser.add_argument("--network", default="", help=argparse.SUPPRESS)
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--clean", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return worker(given)
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), given.samples)
        if not given.parts:
            return by_turns(path, given)
        for network in given.networks.split(","):
            parts(path, network, given)
    return None


if __name__ == "__main__":
    main()
