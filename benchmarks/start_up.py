"""What one cold call costs: `faultdx diagnose` of one file, against the same job written plainly with torch and scipy.

    make gateway
    python benchmarks/start_up.py [--runs 21] [--environment .venv-gateway]

The job: a MATLAB v5 file of 120 000 samples, cut into 58 segments, the network, one JSON object on stdout. Whole
processes, interleaved, one thread, warm file cache; wall clock in ms (minimum, median, maximum), peak memory in MiB
(the largest resident set), and the median of the ratios run by run. `faultdx` is the installed command of the
environment named by --environment, with which the bare imports are measured too; the plain version runs with the
interpreter that runs this benchmark, which has torch. It checks nothing: no digests, no signal
quality, no damaged file, no report.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLAIN = """
import json, sys
import scipy.io, torch
from safetensors.torch import load_file
from faultdx.networks.architecture import Architecture
from faultdx.networks.drsn import Network

torch.set_num_threads(1)
info = json.load(open(sys.argv[2] + "/model/model.json"))
numbers = {k: tuple(v) if isinstance(v, list) else v for k, v in info["network"]["architecture"].items()}
network = Network(Architecture(**numbers))
network.load_state_dict(load_file(sys.argv[2] + "/model/model.safetensors"))
network.eval()
mat = scipy.io.loadmat(sys.argv[1])
x = torch.from_numpy(next(v for k, v in mat.items() if k.endswith("_DE_time")).ravel()).float()
n = info["segment_samples"]
with torch.inference_mode():
    p = torch.softmax(network(x[: len(x) // n * n].reshape(-1, 1, n)) / info["temperature"], 1)
pooled = torch.softmax(p.log().mean(0), 0)
best = int(pooled.argmax())
print(json.dumps({"file": sys.argv[1], "verdict": info["classes"][best], "confidence": float(pooled[best])}))
"""


def measure(command: list[str]) -> tuple[float, float]:
    """Return milliseconds and MiB of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    taken = 1000 * (time.perf_counter() - began)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {command}")
    return taken, usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=21)
    parser.add_argument("--environment", type=Path, default=Path(sys.prefix))
    given = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    python, tool = (str(given.environment / "bin" / name) for name in ("python", "faultdx"))
    with tempfile.TemporaryDirectory() as scratch:
        rig, prepared, run = (str(Path(scratch) / name) for name in ("rig", "rig.h5", "run"))
        for command in (
            ["simulate", "bearing", "--out", rig, "--specimens", "3", "--seconds", "10"],
            ["prepare", rig, "--out", prepared],
            ["train", prepared, "--out", run, "--epochs", "1", "--threads", "1"],
        ):
            words = [sys.executable, "-m", "faultdx", *command, "--quiet"]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        record = f"{rig}/501.mat"
        commands = {
            "python -c pass": [python, "-c", "pass"],
            "python -c 'import numpy, typer, onnxruntime'": [python, "-c", "import numpy, typer, onnxruntime"],
            "faultdx --help": [tool, "--help"],
            "faultdx --version": [tool, "--version"],
            "faultdx inspect": [tool, "inspect", record],
            "faultdx diagnose --json": [tool, "diagnose", record, "--model", run, "--json"],
            "the plain version, torch and scipy.io": [sys.executable, "-c", PLAIN, record, run],
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(given.runs + 1):
            for name, command in commands.items():
                found[name].append(measure(command))
    print("| whole process | ms (minimum, median, maximum) | MiB, median |")
    print("|---|---|---|")
    for name, runs in found.items():
        ms, mib = zip(*runs[1:], strict=True)
        cells = f"{min(ms):.0f}, {statistics.median(ms):.0f}, {max(ms):.0f}"
        print(f"| `{name}` | {cells} | {statistics.median(mib):.0f} |")
    ours = found["faultdx diagnose --json"][1:]
    for name in ("the plain version, torch and scipy.io", "python -c 'import numpy, typer, onnxruntime'"):
        ratio = statistics.median(a[0] / b[0] for a, b in zip(ours, found[name][1:], strict=True))
        print(f"\ndiagnose / {name}: {ratio:.2f}")


if __name__ == "__main__":
    main()
