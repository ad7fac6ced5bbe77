"""How fast a MATLAB file is read, against scipy.io.loadmat, in one process and in turn.

    python benchmarks/reading.py [--data FOLDER] [--runs 101]

Every variable of the file is decoded by both, from a warm file cache; ours includes the opening of the descriptor, the
checks of its kind and size, and every bound. Files: 97.mat (3.9 MB) and 105.mat (2.9 MB) of CWRU, as they are and as
scipy.io.savemat(do_compression=True) writes their variables. Minimum, median, maximum of each, and the median of the
ratios pair by pair.
"""

from __future__ import annotations

import argparse
import os
import statistics
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
                rows = [
                    f"{min(t[1:]):.2f}, {statistics.median(t[1:]):.2f}, {max(t[1:]):.2f}"
                    for t in (times[scipys], times[ours])
                ]
                ratio = statistics.median(x / y for x, y in zip(times[scipys][1:], times[ours][1:], strict=True))
                size = Path(path).stat().st_size / 1e6
                print(f"| {what} | {size:.1f} | {rows[0]} | {rows[1]} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
