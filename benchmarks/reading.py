"""How fast a MATLAB file is read, against scipy.io.loadmat, in one process and in turn.

    python benchmarks/reading.py [--data FOLDER] [--runs 101] [--cpu]

Files: 97.mat (3.9 MB) and 105.mat (2.9 MB) of CWRU, as they are and as scipy.io.savemat(do_compression=True) writes
their variables; from a warm file cache. Ours includes the opening of the descriptor, the checks of its kind and size,
and every bound. Minimum, median, maximum of each, and the median of the ratios pair by pair. Two tables:

- every variable of the file, decoded by both;
- the drive-end signal alone: `loadmat(path)[name]`, which is what everybody writes, and `loadmat(path,
  variable_names=[name])[name]`, against the same array as stored from us, and against `read_samples(path)`, which also
  finds the channel, makes it float32 and checks that it is finite, not constant and not absurd. No digest is taken.

The floor, beside the first table: `open(path, "rb", buffering=0).read()`, the file's bytes and nothing done with them;
as a whole process, `import numpy` and that. A reader that copies the file's bytes cannot take less.

Three ways: again and again in one process, whose memory is used again; the first large file of a fresh process, as in a
shell loop (imports and a tiny file before it are not counted), where the operating system has to give the memory; and
the whole process from its start to its end, imports counted.

--cpu counts the processor's time, user and system, instead of the clock's: on a shared machine one busy neighbour
makes a clock's maxima, and its medians, worthless. Everything here is in the file cache, so that nothing else is
waited for.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
NAMES = {"97.mat": "X097_DE_time", "105.mat": "X105_DE_time", "tiny.mat": "x"}
FRESH = """
import sys, time
sys.path.insert(0, sys.argv[3])
import reading
work = getattr(reading, sys.argv[4])
work(sys.argv[2])
print(reading.clock(work, sys.argv[1]))
"""
WHOLE = {
    "scipys": "import sys, scipy.io; scipy.io.loadmat(sys.argv[1])",
    "ours": "import sys, faultdx.records.reading as r; [v.load() for v in r.open_item(sys.argv[1]).contents.variables]",
    "scipys_signal": "import sys, scipy.io; scipy.io.loadmat(sys.argv[1])[sys.argv[2]]",
    "scipys_named": "import sys, scipy.io; scipy.io.loadmat(sys.argv[1], variable_names=sys.argv[2:])[sys.argv[2]]",
    "our_signal": "import sys, faultdx.records.reading as r; "
    "[v.load() for v in r.open_item(sys.argv[1]).contents.variables if v.name == sys.argv[2]]",
    "our_samples": "import sys, faultdx.records as r; r.read_samples(sys.argv[1])",
    "floor": "import sys, numpy; open(sys.argv[1], 'rb', buffering=0).read()",
}
EVERYTHING = ("scipys", "ours", "floor")
SIGNAL = ("scipys_signal", "scipys_named", "our_signal", "our_samples")


def ours(path: str) -> dict[str, Any]:
    """Read every numeric variable with faultdx."""
    from faultdx.records.reading import open_item

    return {v.name: v.load() for v in open_item(path).contents.variables if v.kind == "number"}


def scipys(path: str) -> dict[str, Any]:
    """Read every variable with scipy."""
    from scipy.io import loadmat

    return {k: v for k, v in loadmat(path).items() if not k.startswith("__")}


def floor(path: str) -> Any:
    """Read the bytes, and do nothing with them."""
    with Path(path).open("rb", buffering=0) as file:
        return file.read()


def scipys_signal(path: str) -> Any:
    """Read the whole file with scipy, and take the drive-end signal."""
    from scipy.io import loadmat

    return loadmat(path)[NAMES[Path(path).name]]


def scipys_named(path: str) -> Any:
    """Read the drive-end signal alone with scipy."""
    from scipy.io import loadmat

    name = NAMES[Path(path).name]
    return loadmat(path, variable_names=[name])[name]


def our_signal(path: str) -> Any:
    """Read the drive-end signal alone, as it is stored."""
    from faultdx.records.reading import open_item

    name = NAMES[Path(path).name]
    return next(v for v in open_item(path).contents.variables if v.name == name).load()


def our_samples(path: str) -> Any:
    """Read the samples of the record: the channel found, float32, checked."""
    from faultdx.records import read_samples

    return read_samples(path)


WORKS: dict[str, Callable[[str], Any]] = {
    work.__name__: work for work in (scipys, ours, floor, scipys_signal, scipys_named, our_signal, our_samples)
}


def now() -> float:
    """Return the time of the clock, or, with --cpu, of the processor in this process, in s."""
    return time.process_time() if os.environ.get("READING_CLOCK") == "cpu" else time.perf_counter()


def clock(work: Callable[[str], Any], path: str) -> float:
    """Return the milliseconds that a call takes."""
    began = now()
    work(path)
    return 1000 * (now() - began)


def spent_by(command: list[str]) -> float:
    """Run a process; return its milliseconds, of the clock or of the processor."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * (cpu if os.environ.get("READING_CLOCK") == "cpu" else wall)


def in_one_process(names: tuple[str, ...], path: str, runs: int) -> dict[str, list[float]]:
    """Return the milliseconds of each work, by turns, forwards and backwards, the first turn left out."""
    times: dict[str, list[float]] = {name: [] for name in names}
    for run in range(runs + 1):
        for name in names if run % 2 else reversed(names):
            times[name].append(clock(WORKS[name], path))
    return {name: found[1:] for name, found in times.items()}


def in_fresh_ones(names: tuple[str, ...], path: str, tiny: str, runs: int) -> dict[str, list[float]]:
    """Return the milliseconds of the first reading of a large file in a new process, by turns."""
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            command = [sys.executable, "-c", FRESH, path, tiny, str(HERE), name]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            times[name].append(float(done.stdout))
    return times


def whole(names: tuple[str, ...], path: str, runs: int) -> dict[str, list[float]]:
    """Return the milliseconds of whole processes, by turns, the first turn left out."""
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(runs + 1):
        for name in names:
            times[name].append(spent_by([sys.executable, "-c", WHOLE[name], path, NAMES[Path(path).name]]))
    return {name: found[1:] for name, found in times.items()}


def row(title: str, path: str, times: dict[str, list[float]], base: str) -> str:
    """Return a row of a table: minimum, median and maximum of each, and the ratios of `base` to our ways."""
    size = f"{Path(path).stat().st_size / 1e6:.1f}"
    cells = [f"{min(t):.2f}, {statistics.median(t):.2f}, {max(t):.2f}" for t in times.values()]
    for name, found in times.items():
        if name.startswith("our") or name == "floor":
            ratio = statistics.median(x / y for x, y in zip(times[base], found, strict=True))
            cells.append(f"{ratio:.1f}")
    return f"| {title} | {size} | {' | '.join(cells)} |"


def tables(files: list[tuple[str, str]], tiny: str, runs: int) -> None:
    """Measure and print, table by table."""
    few = max(runs // 5, 5)
    heads = (
        "| every variable | MB | loadmat, ms (min, median, max) | faultdx | the bytes alone "
        "| loadmat / faultdx | loadmat / the bytes alone |\n" + "|---" * 7 + "|",
        "| the drive-end signal | MB | loadmat(path)[name], ms (min, median, max) | loadmat(variable_names=) "
        "| faultdx, as stored | faultdx, read_samples | first / third | first / fourth |\n" + "|---" * 8 + "|",
    )
    for head, names in zip(heads, (EVERYTHING, SIGNAL), strict=True):
        print(head)
        for title, path in files:
            for how, times in (
                ("", in_one_process(names, path, runs)),
                (", fresh process", in_fresh_ones(names, path, tiny, few)),
                (", whole process", whole(names, path, few)),
            ):
                print(row(f"{title}{how}", path, times, names[0]), flush=True)
        print()


def check(path: str) -> None:
    """Stop where the two do not read the same samples."""
    a, b = scipys(path), ours(path)
    assert a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a), "the samples differ"
    assert np.array_equal(our_signal(path), scipys_named(path)), "the signals differ"
    assert np.array_equal(our_samples(path)[0], scipys_signal(path).ravel().astype(np.float32)), "the samples differ"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("FAULTDX_REAL_DATA", HERE.parent.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the folder that holds cwru/")
    parser.add_argument("--runs", type=int, default=101)
    parser.add_argument("--cpu", action="store_true", help="the processor's time, not the clock's")
    given = parser.parse_args()
    os.environ["READING_CLOCK"] = "cpu" if given.cpu else "wall"
    from scipy.io import savemat

    files = []
    with tempfile.TemporaryDirectory() as scratch:
        tiny = str(Path(scratch) / "tiny.mat")
        savemat(tiny, {"x": np.sin(np.arange(64.0))})
        for name in ("97.mat", "105.mat"):
            plain, packed = str(given.data / "cwru" / name), str(Path(scratch) / name)
            savemat(packed, scipys(plain), do_compression=True)
            files += [(name, plain), (f"{name}, compressed", packed)]
        for _, path in files:
            check(path)
        tables(files, tiny, given.runs)


if __name__ == "__main__":
    main()
