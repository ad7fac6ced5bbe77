"""How long preparing the CWRU folder with three kinds of noise takes, against the usual code, as whole processes.

    python benchmarks/prepare_folder.py [--data FOLDER] [--runs 5] [--times 10]

The usual code, as the repositories of this field have it: scipy.io.loadmat for each file, the drive-end variable,
the 48 kHz record decimated by scipy, a loop over segments and kinds that draws the noise of one item at a time in
numpy, a list, np.array, and a file. It is measured in three forms, which differ in the file alone: np.save,
np.savez_compressed, and one item at a time appended to an HDF5 dataset. It checks nothing: no digests, no split, no
duplicates, no damaged file, no signal quality.

`--times N` prepares N altered copies of the folder as well, for the memory.
Wall clock and peak memory of whole processes, one thread each, interleaved, warm file cache.
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

import scipy.io

HERE = Path(__file__).resolve().parent
USUAL = """
import glob, sys
import numpy as np, scipy.io, scipy.signal

def pink(n):
    spectrum = np.fft.rfft(np.random.randn(n))
    f = np.arange(len(spectrum)); f[0] = 1
    return np.fft.irfft(spectrum / np.sqrt(f), n)

def noisy(x, kind, snr):
    noise = {"gaussian": lambda: np.random.randn(len(x)), "laplacian": lambda: np.random.laplace(size=len(x)),
             "pink": lambda: pink(len(x))}[kind]()
    return x + noise * np.sqrt(np.mean(x**2) / 10 ** (snr / 10) / np.mean(noise**2))

def items():
    for file in sorted(glob.glob(sys.argv[1] + "/**/*.mat", recursive=True)):
        mat = scipy.io.loadmat(file)
        x = next(mat[k] for k in mat if k.endswith("_DE_time")).ravel()
        if "X097_DE_time" in mat:
            x = scipy.signal.decimate(x, 4, ftype="fir")
        for at in range(0, len(x) - 2047, 2048):
            for kind in ("gaussian", "pink", "laplacian"):
                yield noisy(x[at : at + 2048], kind, -4.0)
"""
WAYS = {
    "usual, np.save": USUAL + "np.save(sys.argv[2], np.array(list(items()), dtype=np.float32))",
    "usual, np.savez_compressed": USUAL + "np.savez_compressed(sys.argv[2], x=np.array(list(items()), np.float32))",
    "usual, HDF5 item by item": USUAL
    + """
import h5py
with h5py.File(sys.argv[2], "w") as file:
    data = file.create_dataset("x", (0, 2048), "f4", maxshape=(None, 2048), chunks=(1, 2048))
    for i, item in enumerate(items()):
        data.resize(i + 1, axis=0)
        data[i] = item
""",
}


def timed(command: list[str]) -> tuple[float, float]:
    """Return (seconds, peak MiB) of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{command} failed: {status}")
    return seconds, usage.ru_maxrss / 1024


def copies(folder: Path, times: int, target: Path) -> None:
    """Write `times` copies of the recordings, each a little louder, so that none is left out as a duplicate."""
    for k in range(times):
        (target / f"copy{k}").mkdir(parents=True)
        for file in sorted(folder.glob("*.mat")):
            found = {n: v for n, v in scipy.io.loadmat(file).items() if not n.startswith("__")}
            louder = {n: v * (1 + 1e-3 * k) if "time" in n else v for n, v in found.items()}
            scipy.io.savemat(target / f"copy{k}" / file.name, louder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds cwru/")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    noise = [word for kind in ("gaussian", "pink", "laplacian") for word in ("--noise", kind)]
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)

        def prepare(folder: Path) -> list[str]:
            command = [sys.executable, "-m", "faultdx", "prepare", str(folder), "--out", str(out / "p.h5"), *noise]
            return [*command, "--snr", "-4", "--overwrite", "--quiet"]

        commands = {"faultdx prepare": prepare(given.data / "cwru")}
        for name, code in WAYS.items():
            suffix = {"np.save": "npy", "np.savez_compressed": "npz"}.get(name.removeprefix("usual, "), "h5")
            commands[name] = [sys.executable, "-c", code, str(given.data / "cwru"), str(out / f"u.{suffix}")]
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(given.runs + 1):
            for name, command in commands.items():
                found[name].append(timed(command))
        print("| whole process | s (min, median, max) | peak MiB | times faultdx's, median of pairs |")
        print("|---|---|---|---|")
        for name, rows in found.items():
            seconds = [s for s, _ in rows[1:]]
            ratios = [a / b for (a, _), (b, _) in zip(rows[1:], found["faultdx prepare"][1:], strict=True)]
            print(
                f"| {name} | {min(seconds):.2f}, {statistics.median(seconds):.2f}, {max(seconds):.2f} "
                f"| {max(m for _, m in rows):.0f} | {statistics.median(ratios):.1f} |"
            )
        if given.times:
            copies(given.data / "cwru", given.times, out / "many")
            seconds, mib = timed(prepare(out / "many"))
            count = given.times * len(list((given.data / "cwru").glob("*.mat")))
            print(f"| faultdx prepare, {count} records | {seconds:.2f} | {mib:.0f} | |")


if __name__ == "__main__":
    main()
