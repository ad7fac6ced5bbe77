"""The search for the default recipe, by validation alone: trial after trial into one file, none run twice.

    python benchmarks/recipe.py --data FOLDER --out recipe.jsonl [TRIAL ...] [--list] [--table]

FOLDER is that of the CWRU recordings (97.mat, 105.mat, ...). A trial trains one network for some steps, one thread, and
scores its averaged weights on the middle fifth of each recording, crops at every 512 samples, as recorded and with
noise drawn twice from seeds that no training uses; the last fifth is never read. The trials "N HP" train on the first
three fifths of the recordings at one load and are scored on the middle fifth of those at the other three. Each result
is a line of JSON in --out; what is there is not run again, so that an interrupted search goes on. --table prints what
is there as Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from faultdx.batches import Sampler
from faultdx.config import TrainConfig
from faultdx.dataset import Prepared, Stretch, open_prepared
from faultdx.networks import architecture
from faultdx.signals.noise import KINDS, add_noise
from faultdx.training import Trainer

HOP, BATCH = 512, 256
LEVELS = {-10.0: 2, -8.0: 2, -4.0: 1}  # dB: how often the noise is drawn
SEED = 7  # of the noise that trials are scored with


@dataclass(frozen=True)
class Trial:
    """What is tried: settings of the training, changes to the network, and at which load ("" is all) it is trained."""

    name: str
    why: str
    steps: int = 1500
    settings: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    load: str = ""


# What the search started from, so that a trial says all in which it differs from it, whatever the defaults are.
START: Mapping[str, Any] = {
    "network": "drsn-wide",
    "snr": (-10.0, 10.0),
    "snr_focus": 1.0,
    "stretch": 0.0,
    "equalizer": 0.0,
    "batch": 128,
    "learning_rate": 0.004,
    "average": 0.995,
}
_LOW = {"snr": (-12.0, 10.0), "snr_focus": 2.0}
_OTHER = {"stretch": 0.06, "equalizer": 3.0}
_FUSED = {**_LOW, "network": "drsn-fused"}
_THREE: Mapping[str, Any] = {"widths": (16, 32, 64), "strides": (2, 2, 2)}

TRIALS = (
    Trial("wide", "where the search began"),
    Trial("wide, low SNR", "more weight on low SNRs", settings=_LOW),
    Trial("short, kernels of 7", "three units", settings=_LOW, network={"kernel": 7, **_THREE}),
    Trial("fused, three units", "a spectral branch beside them", settings=_FUSED, network=_THREE),
    Trial("fused", "two units", steps=2000, settings=_FUSED),
    Trial("fused, 128", "twice the spectral branch", steps=2000, settings=_FUSED | _OTHER, network={"spectrum": 128}),
    Trial("fused, other speeds and paths", "the default recipe, shorter", steps=2000, settings=_FUSED | _OTHER),
    Trial("in ten seconds", "is -4 dB within reach of 250 steps?", steps=250, settings=_FUSED),
    Trial("0 HP", "the easiest load to learn from", steps=1000, settings=_FUSED | _OTHER, load="0 HP"),
    Trial("3 HP", "the hardest", steps=1000, settings=_FUSED | _OTHER, load="3 HP"),
    Trial("3 HP, no other speeds or paths", "what they are worth", steps=1000, settings=_FUSED, load="3 HP"),
)


class AtLoad:
    """A prepared file of which one side holds the records of some loads only; the healthy one belongs to all."""

    def __init__(self, prepared: Prepared, keep: set[int]) -> None:
        self._prepared, self._keep = prepared, keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prepared, name)

    def rows(self, side: str) -> Any:
        """Return the segments of a side that belong to these records."""
        rows = self._prepared.rows(side)
        return rows[np.isin(self._prepared.record[rows], list(self._keep))]

    def stretches(self, side: str) -> list[Stretch]:
        """Return the stretches of these records."""
        return [s for s in self._prepared.stretches(side) if s.record in self._keep]


class Exam:
    """The crops that a trial is scored on, clean and noisy."""

    def __init__(self, prepared: Any) -> None:
        crops, labels = [], []
        for s in prepared.stretches("val"):
            starts = range(0, s.signal.shape[1] - prepared.segment + 1, HOP)
            crops += [s.signal[:, at : at + prepared.segment] for at in starts]
            labels += [s.label] * len(starts)
        clean, self.label = np.stack(crops), torch.tensor(labels)
        self.papers = {"clean": [clean]}
        for kind in KINDS:
            for snr, times in LEVELS.items():
                self.papers[f"{kind} {snr:g} dB"] = [
                    add_noise(clean, kind=kind, snr_db=snr, rng=np.random.default_rng([SEED, i, len(kind), int(-snr)]))
                    for i in range(times)
                ]

    def marks(self, network: torch.nn.Module) -> dict[str, float]:
        """Return the share of crops right under each condition, in %, and the mean loss at -8 dB."""
        network.eval()
        found, losses = {}, []
        for name, copies in self.papers.items():
            right = []
            for x in copies:
                with torch.inference_mode():
                    z = torch.cat([network(torch.from_numpy(x[i : i + BATCH])) for i in range(0, len(x), BATCH)])
                right.append(100 * float((z.argmax(dim=1) == self.label).float().mean()))
                if name.endswith("-8 dB"):
                    losses.append(float(F.cross_entropy(z, self.label)))
            found[name] = round(float(np.mean(right)), 2)
        return found | {"loss at -8 dB": round(float(np.mean(losses)), 4)}


def run(trial: Trial, prepared: Prepared) -> dict[str, Any]:
    """Train and score one trial."""
    records = prepared.records()
    normal = {i for i, label in enumerate(records["label"]) if label == "normal"}
    there = {i for i, load in enumerate(records["condition"]) if load == trial.load}
    every = set(range(len(records["label"])))
    train: Any = AtLoad(prepared, (there | normal) if trial.load else every)
    val: Any = AtLoad(prepared, (every - there) if trial.load else every)
    config = TrainConfig(**{**START, **trial.settings}, epochs=1, epoch_steps=trial.steps, threads=1)
    with _changed(config.network, trial.network):
        trainer = Trainer(train, config)
    trainer.sampler, trainer.steps_per_epoch, trainer.total = (
        Sampler(train, config, trainer.device),
        1 << 30,
        trial.steps,
    )
    began = time.process_time()
    trainer.run()
    cpu = time.process_time() - began
    marks = Exam(val).marks(trainer.state.average)
    return {"name": trial.name, "trial": asdict(trial), "cpu_s": round(cpu, 1), "marks": marks}


@contextlib.contextmanager
def _changed(name: str, changes: Mapping[str, Any]) -> Iterator[None]:
    """Let the network of this name be another one while a trainer is built."""
    known = architecture.NETWORKS
    architecture.NETWORKS = {**known, name: replace(known[name], **changes)}  # type: ignore[misc]
    try:
        yield
    finally:
        architecture.NETWORKS = known  # type: ignore[misc]


def table(lines: list[dict[str, Any]]) -> str:
    """Return the results as Markdown."""
    columns = list(lines[0]["marks"])
    rows = [f"| trial | steps | CPU-s | {' | '.join(columns)} |", "|---" * (len(columns) + 3) + "|"]
    for line in lines:
        marks = " | ".join(f"{line['marks'][c]:g}" for c in columns)
        rows.append(f"| {line['name']} | {line['trial']['steps']} | {line['cpu_s']:g} | {marks} |")
    return "\n".join(rows)


def main() -> None:
    """Run what is asked for and not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", nargs="*", help="names; all of them without")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    known = {t.name: t for t in TRIALS}
    if unknown := [name for name in given.trials if name not in known]:
        sys.exit(f"{unknown[0]!r} is no trial; --list names them")
    if given.list:
        print("\n".join(f"{t.name}: {t.why}" for t in TRIALS))
        return
    done = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    if given.table:
        print(table(done) if done else "nothing has been tried yet")
        return
    if given.data is None or not given.data.is_dir():
        sys.exit(f"{given.data}: no such folder; --data names the one that holds 97.mat, 105.mat, ...")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "cwru.h5"
        command = [sys.executable, "-m", "faultdx", "prepare", str(given.data), "--out", str(file), "--split", "time"]
        subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        with open_prepared(file) as prepared:
            for name in given.trials or known:
                if name not in {line["name"] for line in done}:
                    done.append(run(known[name], prepared))
                    with given.out.open("a") as out:
                        out.write(json.dumps(done[-1]) + "\n")
                    print(name, done[-1]["cpu_s"], done[-1]["marks"], flush=True)


if __name__ == "__main__":
    main()
