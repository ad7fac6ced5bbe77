"""The runner: a plan's cells side by side, each in a process of one thread; what is finished is never run again.

OUT/benchmark.json  what this folder is     OUT/plan.toml     the plan as it was run
OUT/cells/*.json    a result each           OUT/results.csv   all of them in one tidy table
work/ of OUT        prepared files; can be deleted at any time
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import hashlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import faultdx
from faultdx.benchmark.cells import Cell, Task, cells_of
from faultdx.benchmark.results import read_cell, rows_of, to_csv
from faultdx.benchmark.sources import content_of
from faultdx.errors import ConfigError, OutputError
from faultdx.files import atomic_write, check_folder, is_vacant, output_error, show
from faultdx.intake import parse_json, read_file
from faultdx.plans import Plan

SCHEMA = "faultdx.benchmark/1"
MARK = "benchmark.json"
_POLL_S = 0.1
_TABLE_EVERY_S = 60.0
_LONGEST_ERROR = 2000  # characters of what a dead process said
_WALL = ("prepare", "train", "score")
_SECONDS = 120.0  # a cell, where nobody has said or measured anything
# What decides a result besides the configuration; the digest of their source is kept with every result.
_DECIDING = (
    "batches.py", "config.py", "cutting.py", "evaluation.py", "preparation.py", "passes.py", "splits.py",
    "training.py", "voting.py",
    "benchmark/scoring.py", "networks/architecture.py", "networks/drsn.py", "networks/spectrogram.py",
    "networks/units.py", "networks/wdcnn.py", "signals/noise.py", "signals/resampling.py", "signals/segments.py",
    "simulation/bearing.py", "simulation/gearbox.py", "simulation/rig.py",
)  # fmt: skip
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Standing:
    """Where a benchmark stands: its cells, the results there are by address, and those at work."""

    plan: Plan
    cells: tuple[Cell, ...]
    results: Mapping[str, Mapping[str, Any]]
    running: tuple[Cell, ...]
    seconds_left: float

    def count(self, status: str) -> int:
        """How many cells are "finished" or "failed"."""
        return sum(self.results.get(c.address, {}).get("status") == status for c in self.cells)


Report = Callable[[Standing, Cell | None], None]


@cache
def code_digest() -> str:
    """Return the digest of the source that decides a result, but for its comments and docstrings."""
    folder = Path(faultdx.__file__).parent
    content = hashlib.sha256()
    for name in _DECIDING:
        with contextlib.suppress(FileNotFoundError):
            tree = ast.parse((folder / name).read_text("utf-8"))
            for node in ast.walk(tree):
                match node:
                    case ast.Expr(value=ast.Constant(value=str())):
                        node.value = ast.Constant("")
            content.update(f"{name}\n{ast.unparse(tree)}\n".encode())
    return content.hexdigest()[:16]


def look(plan: Plan, root: Path, out: Path | None) -> Standing:
    """Return where a plan stands in `out` (None or not there: nowhere yet), without running or writing anything.

    Raises ConfigError (a source that is missing, a setting that is wrong), DatasetError (a damaged result).
    """
    cells = cells_of(plan, content_of(plan, root))
    results = {} if out is None else _results(cells, out)
    return Standing(plan, tuple(cells), results, (), _left(plan, cells, results, ()))


def _results(cells: Sequence[Cell], out: Path) -> dict[str, dict[str, Any]]:
    found = {c.address: read_cell(_result(out, c)) for c in cells}
    return {address: result for address, result in found.items() if result is not None}


def _result(out: Path, cell: Cell) -> Path:
    return out / "cells" / f"{cell.address}.json"


def run(
    plan: Plan,
    root: Path,
    out: Path,
    *,
    jobs: int = 1,
    device: str = "cpu",
    overwrite: bool = False,
    stop: Callable[[], bool] = lambda: False,
    report: Report = lambda _standing, _cell: None,
) -> Standing:
    """Run what `plan` has not finished in `out`, `jobs` cells at a time, and write results.csv.

    overwrite : forget the results that are there; report : called when something has changed, with the cell that ended
    stop : asked ten times a second; True ends the cells at work, and what is finished stays

    Raises ConfigError, DatasetError, OutputError. A cell that fails does not raise: it is a result.
    """
    cells = cells_of(plan, content_of(plan, root))
    if problems := replace(cells[0].train, device=device).problems():
        raise ConfigError("; ".join(problems))
    with _folder(plan, out, overwrite=overwrite):
        results = {} if overwrite else _results(cells, out)
        queue = {c.address: c for c in cells if results.get(c.address, {}).get("status") != "finished"}
        for address in queue:  # what failed is tried again
            results.pop(address, None)
        if overwrite:
            _forget(out)
        atomic_write(out / "plan.toml", plan.text)
        write_table(plan, cells, results, out)
        pool = _Pool(plan, root, out, device, cells, queue)
        try:
            while (queue or pool.running) and not stop():
                while queue and len(pool.running) < jobs:
                    pool.start(queue.pop(next(iter(queue))))
                    report(pool.standing(results), None)
                for cell, result in pool.ended():
                    results[cell.address] = result
                    pool.release(cell, queue)
                    pool.write_table(results)
                    report(pool.standing(results), cell)
                time.sleep(_POLL_S)
        finally:
            pool.kill()
        write_table(plan, cells, results, out)
        return pool.standing(results)


def write_table(
    plan: Plan, cells: Sequence[Cell], results: Mapping[str, Mapping[str, Any]], out: Path
) -> list[dict[str, Any]]:
    """Write results.csv and return its rows. Raises OutputError."""
    rows = rows_of(plan.name, cells, results)
    atomic_write(out / "results.csv", to_csv(rows))
    return rows


class _Pool:
    """The processes at work."""

    def __init__(
        self, plan: Plan, root: Path, out: Path, device: str, cells: Sequence[Cell], queue: Mapping[str, Cell]
    ) -> None:
        self.running: list[tuple[Cell, subprocess.Popen[bytes], Any]] = []
        self._plan, self._root, self._out, self._device, self._cells = plan, root, out, device, cells
        self._needed = Counter(c.data_address for c in queue.values())
        self._written = time.monotonic()

    def start(self, cell: Cell) -> None:
        result = _result(self._out, cell)
        result.unlink(missing_ok=True)
        task = Task(cell, self._plan.backgrounds, self._root, self._out / "work", result, self._device, code_digest())
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with its process
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "faultdx.benchmark.cell"],  # nothing is imported from the working folder
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=_environment(),
            start_new_session=True,  # a Ctrl-C is for this process, which ends the others
        )
        self.running.append((cell, process, said))
        with contextlib.suppress(BrokenPipeError):  # it died at once: `ended` will say so
            assert process.stdin is not None
            process.stdin.write(pickle.dumps(task))
            process.stdin.flush()

    def ended(self) -> list[tuple[Cell, dict[str, Any]]]:
        """Return the cells that have ended since the last call, with their results."""
        over = [entry for entry in self.running if entry[1].poll() is not None]
        self.running = [entry for entry in self.running if entry not in over]
        return [(cell, self._outcome(cell, process, said)) for cell, process, said in over]

    def _outcome(self, cell: Cell, process: subprocess.Popen[bytes], said: Any) -> dict[str, Any]:
        if process.stdin is not None:
            process.stdin.close()
        said.seek(0)
        text = said.read().decode("utf-8", "replace").strip()
        said.close()
        found = read_cell(_result(self._out, cell))
        if found is None:
            code = process.returncode
            how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            hint = "; most likely memory ran out: use fewer --jobs" if code == -9 else ""
            last = text.splitlines()[-1] if text else ""
            message = f"the process {how}{hint}" + (f": {last[:_LONGEST_ERROR]}" if last else "")
            found = {
                "status": "failed", "address": cell.address, "cell": cell.labels,
                "error": {"kind": "internal", "message": message},
            }  # fmt: skip
            atomic_write(_result(self._out, cell), json.dumps(found, indent=1) + "\n")
        return found

    def release(self, cell: Cell, queue: Mapping[str, Cell]) -> None:
        """Delete a file of fixed noise when its last cell has ended: there may be hundreds, and each is made again."""
        self._needed[cell.data_address] -= 1
        if cell.noise.mode == "fixed" and not self._needed[cell.data_address]:
            for ending in ("h5", "json", "lock"):
                (self._out / "work" / f"{cell.data_address}.{ending}").unlink(missing_ok=True)

    def kill(self) -> None:
        """End what still runs; a result that is being written appears whole or not at all."""
        for _, process, said in self.running:
            process.kill()
            process.wait()
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
            said.close()
        self.running = []

    def write_table(self, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the table now and then: it can always be made again from the cells."""
        if time.monotonic() - self._written > _TABLE_EVERY_S:
            write_table(self._plan, self._cells, results, self._out)
            self._written = time.monotonic()

    def standing(self, results: Mapping[str, Mapping[str, Any]]) -> Standing:
        running = tuple(cell for cell, _, _ in self.running)
        left = _left(self._plan, self._cells, results, running)
        return Standing(self._plan, tuple(self._cells), dict(results), running, left)


def _left(
    plan: Plan, cells: Sequence[Cell], results: Mapping[str, Mapping[str, Any]], running: Sequence[Cell]
) -> float:
    """Return the seconds of one thread that the cells without a result will take, those at work by half.

    By what finished cells of the same network and recipe took, else of the network, else as the plan says.
    """
    taken: dict[tuple[str, ...], list[float]] = {}
    for cell in {c.address: c for c in cells}.values():
        result = results.get(cell.address, {})
        if result.get("status") == "finished":
            for key in ((cell.network, cell.recipe.name), (cell.network,), ()):
                taken.setdefault(key, []).append(sum(result["seconds"][k] for k in _WALL))

    def one(cell: Cell) -> float:
        for key in ((cell.network, cell.recipe.name), (cell.network,)):
            if key in taken:
                return sum(taken[key]) / len(taken[key])
        if cell.network in plan.cell_seconds:
            return plan.cell_seconds[cell.network]
        known = taken.get((), list(plan.cell_seconds.values()))
        return sum(known) / len(known) if known else _SECONDS

    at_work = {c.address for c in running}
    todo = {c.address: c for c in cells if c.address not in results}
    return sum(one(c) * (0.5 if c.address in at_work else 1.0) for c in todo.values())


@contextlib.contextmanager
def _folder(plan: Plan, out: Path, *, overwrite: bool) -> Iterator[None]:
    """Make `out` this plan's folder and hold it: nobody else runs in it meanwhile. Raises OutputError."""
    name = show(out)
    if out.exists() and not out.is_dir():
        raise OutputError(f"{name}: is a file; choose the name of a folder")
    mark = out / MARK
    try:
        if mark.is_file():
            there = parse_json(read_file(mark, limit_bytes=1 << 20, kind=OutputError, cure="choose another --out"))
            if there.get("schema") != SCHEMA or (there.get("plan") != plan.name and not overwrite):
                raise OutputError(
                    f"{name}: holds the benchmark {show(str(there.get('plan')))!r}; choose another --out, or "
                    "--overwrite replaces it"
                )
        elif out.is_dir() and not _is_vacant(out):
            raise OutputError(f"{name}: is not empty and holds no benchmark; choose another --out")
    except (OSError, ValueError, AttributeError) as error:
        raise OutputError(f"{show(mark)}: cannot be read; choose another --out") from error
    check_folder(out / "cells")
    check_folder(out / "work")
    with (out / "work" / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{name}: another benchmark is running in this folder; wait for it, or choose another --out"
            ) from None
        except OSError:  # a file system without locks: what is written is whole all the same
            pass
        for folder in (out / "cells", out / "work"):  # what killed workers left
            for rest in folder.glob(".*.faultdx-tmp"):
                rest.unlink(missing_ok=True)
        atomic_write(mark, json.dumps({"schema": SCHEMA, "plan": plan.name}, indent=1) + "\n")
        yield


def _is_vacant(out: Path) -> bool:
    """Tell whether there is nothing in `out` but what a run makes before its mark: a kill may have come there."""
    cells, work = out / "cells", out / "work"
    return (
        is_vacant(out, but=("cells", "work"))
        and (not cells.exists() or is_vacant(cells))
        and (not work.exists() or is_vacant(work, but=("lock",)))
    )


def _forget(out: Path) -> None:
    try:
        for old in (out / "cells").glob("*.json"):
            old.unlink()
        for name in ("results.csv", "results.md", "benchmark.html"):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise output_error(out, error) from error


def _environment() -> dict[str, str]:
    """One thread a process, and this very package, wherever it was found."""
    home = str(Path(faultdx.__file__).parent.parent)
    path = os.pathsep.join(p for p in (home, os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": path}


def check_jobs(jobs: int | None) -> int:
    """Return how many cells to run at a time: as asked, or one for each core that this process may use."""
    if jobs is not None and jobs < 1:
        raise ConfigError(f"jobs = {jobs} must be 1 or more")
    return jobs or max(1, len(os.sched_getaffinity(0)))
