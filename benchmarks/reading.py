"""How fast a MATLAB file is read, against scipy.io.loadmat, in one process and in turn.

    python benchmarks/reading.py [--data FOLDER] [--runs 101]

Every variable of the file is decoded by both, from a warm file cache; ours includes the opening of the descriptor, the
checks of its kind and size, and every bound. Files: 97.mat (3.9 MB) and 105.mat (2.9 MB) of CWRU, as they are and as
scipy.io.savemat(do_compression=True) writes their variables. Minimum, median, maximum of each, and the median of the
ratios pair by pair.

Two ways: again and again in one process, whose memory is used again; and the first large file of a fresh process, as
in a shell loop (imports and a tiny file before it are not counted), where the operating system has to give the memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from faultdx.records.formats import open_contents
from faultdx.records.opening import read_bytes

HERE = Path(__file__).resolve().parent
FRESH = """
import sys, time
sys.path.insert(0, sys.argv[3])
import reading
work = getattr(reading, sys.argv[4])
work(sys.argv[2])
print(reading.clock(work, sys.argv[1]))
"""


def ours(path: str) -> dict[str, Any]:
    """Read every numeric variable with faultdx."""
    found = open_contents(read_bytes(path), name=path)
    return {v.name: v.load() for v in found.variables if v.kind == "number"}


def scipys(path: str) -> dict[str, Any]:
    """Read every variable with scipy."""
    return {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}


def clock(work: Callable[[str], Any], path: str) -> float:
    """Return the milliseconds that a call takes."""
    began = time.perf_counter()
    work(path)
    return 1000 * (time.perf_counter() - began)


def fresh(path: str, tiny: str, work: str) -> float:
    """Return the milliseconds of the first reading of a large file in a new process."""
    command = [sys.executable, "-c", FRESH, path, tiny, str(HERE), work]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def row(name: str, path: str, a: list[float], b: list[float]) -> str:
    """Return a row of the table."""
    cells = [f"{min(t):.2f}, {statistics.median(t):.2f}, {max(t):.2f}" for t in (a, b)]
    ratio = statistics.median(x / y for x, y in zip(a, b, strict=True))
    return f"| {name} | {Path(path).stat().st_size / 1e6:.1f} | {cells[0]} | {cells[1]} | {ratio:.1f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds cwru/")
    parser.add_argument("--runs", type=int, default=101)
    given = parser.parse_args()
    print("| file | MB | loadmat, ms (min, median, max) | faultdx, ms | loadmat / faultdx, median of pairs |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("97.mat", "105.mat"):
            plain = str(given.data / "cwru" / name)
            packed = str(Path(scratch) / name)
            scipy.io.savemat(packed, scipys(plain), do_compression=True)
            for path, what in ((plain, name), (packed, f"{name}, compressed")):
                a, b = scipys(path), ours(path)
                assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a), "the samples differ"
                times: dict[Callable[[str], Any], list[float]] = {scipys: [], ours: []}
                for run in range(given.runs + 1):
                    for work in (scipys, ours) if run % 2 else (ours, scipys):
                        times[work].append(clock(work, path))
                print(row(what, path, times[scipys][1:], times[ours][1:]))
                tiny = str(Path(scratch) / "tiny.mat")
                scipy.io.savemat(tiny, {"x": np.ones(4)})
                alone: dict[str, list[float]] = {"scipys": [], "ours": []}
                for _ in range(max(given.runs // 5, 5)):
                    for name_of_work, found in alone.items():
                        found.append(fresh(path, tiny, name_of_work))
                print(row(f"{what}, fresh process", path, alone["scipys"], alone["ours"]))


if __name__ == "__main__":
    main()
