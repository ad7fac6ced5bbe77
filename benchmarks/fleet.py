"""How fast a folder of recordings is diagnosed in one call, against a loop over the plain torch version.

    python benchmarks/fleet.py [--model RUN] [--records 1000] [--few 100] [--jobs 2] [--profile]

Records of 10 s at 12 kHz (120 000 samples, MATLAB v5, uncompressed) in one folder. Twenty are simulated; the others are
copies with other values in them (each times its own factor near 1), so that every file has a digest of its own. The
model is RUN, or a drsn-wide trained for this, for two epochs: its verdicts are worthless, its speed is that of any.

The plain version, as one writes it: scipy.io.loadmat, the drive-end variable, segments of the model's length as one
batch, the same network in torch with the same weights, softmax, the mean of the logarithms, json.dumps, a line a file,
flushed. It checks nothing: no digest, no signal quality, no damaged file, and states no evidence.

Whole processes, wall clock and CPU time (user and system, of the process and its children), one thread each, warm file
cache, interleaved. "times real time" is seconds of recording for each second. Peak memory is the largest process's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io

SECONDS = 10.0
PLAIN = """
import json, sys
from pathlib import Path
import numpy as np, scipy.io, torch
from safetensors.torch import load_file
from faultdx.networks.architecture import Architecture
from faultdx.networks.drsn import build
torch.set_num_threads(1)
folder = Path(sys.argv[2])
info = json.loads((folder / "model.json").read_text())
network = build(Architecture.from_dict(info["network"]["architecture"]))
network.load_state_dict(load_file(folder / "model.safetensors"))
network.eval()
n = info["segment_samples"]
with torch.inference_mode():
    for path in sorted(Path(sys.argv[1]).glob("*.mat")):
        mat = scipy.io.loadmat(path)
        x = next(v for k, v in mat.items() if k.endswith("DE_time")).ravel().astype(np.float32)
        x = torch.from_numpy(x[: len(x) // n * n].reshape(-1, 1, n))
        p = torch.softmax(torch.log_softmax(network(x), 1).mean(0), 0)
        best = int(p.argmax())
        said = {"file": path.name, "verdict": info["classes"][best], "confidence": float(p[best])}
        print(json.dumps(said), flush=True)
"""


@dataclass(frozen=True)
class Cost:
    """Of one whole process: wall clock and CPU time, s; peak memory of the largest process, MiB."""

    seconds: float
    cpu_s: float
    mib: float


def timed(command: list[str]) -> Cost:
    """Run a process to its end."""
    env = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status not in (0, 4 << 8):
        raise SystemExit(f"{command} failed: {status}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def simulated(folder: Path, count: int) -> list[str]:
    """Write `count` records of ten seconds into `folder`; return their names."""
    rig = folder.parent / "rig"
    tool = [sys.executable, "-m", "faultdx", "simulate", "bearing", "--out", str(rig)]
    subprocess.run(
        [*tool, "--specimens", "3", "--seconds", f"{SECONDS:g}", "-q"], check=True, stdout=subprocess.DEVNULL
    )
    sources = [
        {k: v for k, v in scipy.io.loadmat(f).items() if not k.startswith("__")}
        for f in sorted(rig.rglob("*.mat"))[:20]
    ]
    folder.mkdir()
    names = []
    for n in range(count):
        found = sources[n % len(sources)]
        factor = 1 + 1e-5 * n
        other = {k: (np.asarray(v) * factor if "time" in k else v) for k, v in found.items()}
        scipy.io.savemat(folder / f"{n:05d}.mat", other)
        names.append(f"{n:05d}.mat")
    return names


def trained(scratch: Path) -> Path:
    """Train a drsn-wide on the simulated rig, for two epochs."""
    tool = [sys.executable, "-m", "faultdx"]
    for words in (
        ["prepare", str(scratch / "rig"), "--out", str(scratch / "rig.h5"), "--segment", "2048"],
        ["train", str(scratch / "rig.h5"), "--network", "drsn-wide", "--epochs", "2", "--out", str(scratch / "run")],
    ):
        subprocess.run([*tool, *words, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    return scratch / "run"


def profile(command: list[str]) -> None:
    """Print where one call spends its time."""
    code = (
        "import cProfile, io, pstats, sys\nfrom faultdx.cli import main\np = cProfile.Profile(); p.enable()\n"
        "try: main()\nexcept SystemExit: pass\n"
        "p.disable(); s = io.StringIO(); pstats.Stats(p, stream=s).sort_stats('tottime').print_stats(30)\n"
        "sys.stderr.write(s.getvalue())"
    )
    subprocess.run([sys.executable, "-c", code, *command], check=False, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        simulated(scratch / "all", given.records)
        (scratch / "few").mkdir()
        for path in sorted((scratch / "all").iterdir())[: given.few]:
            os.link(path, scratch / "few" / path.name)
        model = given.model or trained(scratch)
        inner = model / "model" if (model / "model").is_dir() else model
        tool = [sys.executable, "-m", "faultdx", "diagnose", "--model", str(model), "--json"]
        if given.profile:
            profile([*tool[3:], str(scratch / "few")])
            return
        commands = {
            f"faultdx diagnose, {given.few} records": ([*tool, str(scratch / "few")], given.few),
            f"faultdx diagnose, {given.records} records": ([*tool, str(scratch / "all")], given.records),
            f"the same, --jobs {given.jobs}": (
                [*tool, str(scratch / "all"), "--jobs", str(given.jobs)],
                given.records,
            ),
            f"plain torch and scipy.io, {given.records} records": (
                [sys.executable, "-c", PLAIN, str(scratch / "all"), str(inner)],
                given.records,
            ),
        }
        found: dict[str, list[Cost]] = {label: [] for label in commands}
        for _ in range(given.runs):
            for label, (command, _) in commands.items():
                found[label].append(timed(command))
        print("| whole process | wall, s (min, median) | CPU, s (median) | times real time | of CPU time | peak MiB |")
        print("|---|---|---|---|---|---|")
        for label, (_, count) in commands.items():
            wall = [c.seconds for c in found[label]]
            cpu = statistics.median(c.cpu_s for c in found[label])
            middle = statistics.median(wall)
            print(
                f"| {label} | {min(wall):.2f}, {middle:.2f} | {cpu:.2f} | {count * SECONDS / middle:.0f} "
                f"| {count * SECONDS / cpu:.0f} | {max(c.mib for c in found[label]):.0f} |"
            )


if __name__ == "__main__":
    main()
