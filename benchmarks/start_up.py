"""How long a cold `faultdx --help` and a cold `faultdx diagnose` take, against an interpreter that imports torch.

    python benchmarks/start_up.py [--runs 11]

Interleaved runs in one go, wall clock of whole processes, warm file cache, one thread; minimum, median, maximum.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    given = parser.parse_args()
    python = sys.executable
    with tempfile.TemporaryDirectory() as scratch:
        rig, prepared, run = (str(Path(scratch) / name) for name in ("rig", "rig.h5", "run"))
        tool = [python, "-m", "faultdx"]
        for command in (
            ["simulate", "bearing", "--out", rig, "--specimens", "3", "--seconds", "10"],
            ["prepare", rig, "--out", prepared],
            ["train", prepared, "--out", run, "--epochs", "1", "--threads", "1"],
        ):
            subprocess.run([*tool, *command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        commands = {
            "python -c pass": [python, "-c", "pass"],
            "faultdx --help": [*tool, "--help"],
            "faultdx inspect (10 s at 12 kHz)": [*tool, "inspect", f"{rig}/501.mat"],
            "faultdx diagnose --json (10 s at 12 kHz)": [*tool, "diagnose", f"{rig}/501.mat", "--model", run, "--json"],
            "python -c 'import torch, scipy.io'": [python, "-c", "import torch, scipy.io"],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(given.runs + 1):
            for name, command in commands.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                times[name].append(1000 * (time.perf_counter() - began))
    print("| whole process | minimum, ms | median, ms | maximum, ms |")
    print("|---|---|---|---|")
    for name, found in times.items():
        warm = found[1:]
        print(f"| `{name}` | {min(warm):.0f} | {statistics.median(warm):.0f} | {max(warm):.0f} |")


if __name__ == "__main__":
    main()
