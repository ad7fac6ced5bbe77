"""CWRU, 10 classes, the last 20 % of each record never trained on: accuracy as recorded and under noise, CPU time.

    python benchmarks/cwru_time.py [--data FOLDER] [--seeds 3] [--networks drsn-fused,drsn-wide] [--set key=value ...]

Runs the command line itself (prepare, train) with one thread in a scratch folder, then scores each model on the test
part with `faultdx.evaluation`, the noise drawn from a seed that the training never used. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from faultdx.dataset import open_prepared
from faultdx.evaluation import evaluate_side
from faultdx.inference import Network

KINDS = ("gaussian", "laplacian", "pink")
HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data"))


def faultdx(*arguments: str) -> float:
    """Run a command quietly; return its CPU seconds, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "faultdx", *arguments, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def spread(values: list[float]) -> str:
    """Mean and standard deviation, or the value alone."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "cwru")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--snr", type=float, nargs="+", default=[-10.0, -8.0, -4.0, 0.0])
    parser.add_argument("--networks", default="drsn-fused,drsn-wide,drsn-cw")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    given = parser.parse_args()
    if not given.data.is_dir():
        sys.exit(f"{given.data}: no such folder; --data names the one that holds 97.mat, 105.mat, ...")
    noise = [f"{kind} {snr:g} dB" for snr in given.snr for kind in KINDS]
    columns = ["clean", *noise]
    print("| network | CPU-s | " + " | ".join(columns) + " | records right, worst column |")
    print("|---|" + "---|" * (len(columns) + 2))
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "cwru.h5"
        faultdx("prepare", str(given.data), "--out", str(prepared), "--split", "time")
        for network in given.networks.split(","):
            cpu: list[float] = []
            segments: dict[str, list[float]] = {c: [] for c in columns}
            worst = 100.0
            for seed in range(given.seeds):
                run = Path(scratch) / f"{network}-{seed}"
                options = [f"--set={text}" for text in given.settings]
                options += ["--network", network, "--seed", str(seed), "--threads", "1"]
                cpu.append(faultdx("train", str(prepared), "--out", str(run), *options))
                with open_prepared(prepared) as data:
                    scores = evaluate_side(
                        Network.open(run), data, side="test", noise=KINDS, snr_db=given.snr, seed=10_000 + seed
                    )
                for column in columns:
                    segments[column].append(100 * scores[column]["segment_accuracy"])
                    worst = min(worst, 100 * scores[column]["record_accuracy"])
            cells = [network, spread(cpu), *(spread(segments[c]) for c in columns), f"{worst:.1f}"]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
