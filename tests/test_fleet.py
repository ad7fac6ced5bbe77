"""Many recordings: in processes and on a cluster what comes out is what one process says, whoever dies on the way."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from fleet_work import Stillborn, Unready, deadly, half_said, refuses, slow_first, square
from helpers import FAULTDX, Ran, Trained, assert_refused, environment, faultdx, faultdx_here, model_with

from faultdx.answers import Answer, Answerer, Packed, Wanted
from faultdx.cli.answering import Where, answers
from faultdx.cli.diagnose import Tally
from faultdx.cli.outputs import Outputs
from faultdx.config import PrepareConfig
from faultdx.diagnosis import Diagnosis
from faultdx.errors import ConfigError, DatasetError, FaultdxError, ModelError, RecordError
from faultdx.history import History
from faultdx.mapping import Lost, cluster, mapped
from faultdx.mapping.names import Name
from faultdx.model import load_model
from faultdx.preparation import prepare
from faultdx.records import Item, find_records


def processes_of(group: int) -> list[int]:
    """The processes below `group`, by their parents, whatever their own groups are."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().rpartition(") ")
            if rest[0] != "Z":
                parents[int(name.split()[0])] = int(rest.split()[1])
    found, new = [], [group]
    while new:
        new = [pid for pid, parent in parents.items() if parent in new]
        found += new
    return found


def gone(pids: list[int], within_s: float) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        alive = [
            pid for pid in pids if Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text()
        ]
        if not alive:
            return True
        time.sleep(0.02)
    return False


# ---- the processes


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_no_process_stays(workers: int) -> None:
    assert list(mapped(square, [(n,) for n in range(40)], workers=workers)) == [n * n for n in range(40)]
    assert list(mapped(square, [], workers=workers)) == []
    assert processes_of(os.getpid()) == []


def test_no_more_is_on_its_way_than_the_window_holds() -> None:
    taken = []

    def tasks() -> Iterator[tuple[int]]:
        for n in range(60):
            taken.append(n)
            yield (n,)

    results = mapped(slow_first, tasks(), workers=2, window=6)
    assert next(results) == 0  # the others were done long ago, and waited
    assert 2 < len(taken) <= 7
    for n in range(1, 60):
        assert next(results) == n
        assert len(taken) <= n + 7
    assert list(results) == []


def test_a_worker_that_is_killed_costs_the_item_that_kills_it_and_no_other(tmp_path: Path) -> None:
    found = list(mapped(deadly, [(n, str(tmp_path)) for n in range(20)], workers=3))
    assert found[3] == Lost("killed (signal 9), 2 times")
    assert [f[0] for i, f in enumerate(found) if i != 3] == [n for n in range(20) if n != 3]
    tries = [int(p.name.partition("-")[0]) for p in tmp_path.iterdir()]
    assert tries.count(3) == tries.count(7) == 2  # once more each, in another process


def test_a_worker_killed_in_the_middle_of_a_word_hangs_nobody() -> None:
    found = list(mapped(half_said, [(n,) for n in range(5)], workers=2))
    assert found[2] == Lost("killed (signal 9), 2 times") and found[:2] + found[3:] == [b"short"] * 4


def test_what_a_worker_raises_is_raised_in_its_place() -> None:
    results = mapped(refuses, [(n,) for n in range(9)], workers=2)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(RecordError, match="four: is no good") as caught:
        next(results)
    assert caught.value.path == "four" and processes_of(os.getpid()) == []


def test_workers_that_cannot_begin_end_the_run() -> None:
    with pytest.raises(ModelError, match="m: is no model"):
        list(mapped(Unready(), [(1,)], workers=2))
    with pytest.raises(ConfigError, match=r"killed or gone \(exit code 3\) as they start.*use fewer"):
        list(mapped(Stillborn(), [(1,), (2,)], workers=2))
    assert processes_of(os.getpid()) == []


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; sys.path[:0] = [sys.argv[1]]; from fleet_work import slow_first\n"
        "from faultdx.mapping import mapped\n"
        "results = mapped(slow_first, ((n,) for n in range(100)), workers=2); next(results)\n"
        "print('begun', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"begun\n"
        workers = processes_of(parent.pid)
        assert len(workers) == 2
        parent.kill()
    assert gone(workers, 5)


# ---- diagnose


@pytest.fixture(scope="module")
def spool(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good, unreadable, missing, unfit and twice, in folders with a table."""
    folder = tmp_path_factory.mktemp("spool")
    for i, file in enumerate(sorted(trained.unseen.glob("*.mat"))[:6]):
        shutil.copy(file, folder / f"{i:02d}.mat")
    shutil.copy(folder / "01.mat", folder / "03b.mat")
    (folder / "02b.mat").write_bytes(b"no recording")
    scipy.io.savemat(folder / "05b.mat", {"X905_DE_time": np.ones((12_000, 1)), "X905RPM": 1797})
    np.savetxt(folder / "06b.csv", np.random.default_rng(0).normal(size=(30_000, 1)))
    return folder


def same(a: Ran, b: Ran) -> None:
    """The same streams and code; how long a diagnosis took may differ."""
    timeless = [re.sub(r'"elapsed_s": [0-9.]+', "", text.out) for text in (a, b)]
    assert timeless[0] == timeless[1]
    assert (a.code, a.err) == (b.code, b.err)


def timeless(path: Path) -> list[dict[str, Any]]:
    with History.read(path) as history:
        rows = [vars(entry.row) for entry in history.entries()]
    passing = ("diagnosed_at", "elapsed_s")
    return [
        {k: v for k, v in row.items() if k not in passing and not (k == "time" and row["time_from"] == "diagnosis")}
        for row in rows
    ]


WORDS = ("--sampling-rate", "12000", "--min-confidence", "0")


def test_processes_say_what_one_says(trained: Trained, spool: Path, tmp_path: Path) -> None:
    command = ("diagnose", ".", "no.mat", "--model", trained.run, *WORDS, "-q")
    ran = []
    one, two = folders = (tmp_path / "1", tmp_path / "2")
    for out in folders:
        files = [
            word
            for option, name in (("history", "h.sqlite"), ("csv", "t.csv"), ("metrics-file", "x.prom"), ("report", "r"))
            for word in (f"--{option}", out / name)
        ]
        ran.append(faultdx(*command, "--json", *files, "--jobs", out.name, cwd=spool))
    same(*ran)
    assert ran[0].code == 4 and len(ran[0].lines) == len(list(spool.iterdir())) + 1
    assert ran[0].err.count("02b.mat") == 1
    assert timeless(one / "h.sqlite") == timeless(two / "h.sqlite") != []
    tables = [csv_rows(f / "t.csv") for f in folders]
    assert tables[0] == tables[1] and len(tables[0]) == len(ran[0].lines)
    metrics = [[x for x in (f / "x.prom").read_text().split("\n") if "seconds" not in x] for f in folders]
    assert metrics[0] == metrics[1]
    pages = [{p.name: p.read_bytes() for p in (f / "r").iterdir()} for f in folders]
    assert pages[0] == pages[1] and len(pages[0]) == len(ran[0].lines) + 1  # index.html


def csv_rows(path: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline="")))
    drop = ("diagnosed_at", "elapsed_s", "time")
    return [{k: v for k, v in row.items() if k not in drop} for row in rows]


def test_new_only_passes_over_a_twin_that_is_still_on_its_way(trained: Trained, spool: Path, tmp_path: Path) -> None:
    command = ("diagnose", ".", "--model", trained.run, *WORDS, "--json", "--new-only")
    for jobs in ("1", "2"):
        ran = faultdx(*command, "--jobs", jobs, "--history", tmp_path / f"{jobs}.sqlite", cwd=spool)
        assert "03b.mat" not in {d["file"] for d in ran.objects} and len(ran.objects) == len(list(spool.iterdir())) - 1
        assert f"1 of {len(list(spool.iterdir()))} recordings are in the history already" in ran.err
    again = faultdx(*command, "--jobs", "2", "--history", tmp_path / "1.sqlite", cwd=spool)
    assert [d["file"] for d in again.objects] == ["02b.mat"]  # what could not be read is tried again


def test_standard_input_is_read_by_the_parent(trained: Trained, spool: Path) -> None:
    command = ("diagnose", "00.mat", "-", "01.mat", "--model", trained.run)
    data = (spool / "04.mat").read_bytes()
    alone, together = (faultdx(*command, "--jobs", n, stdin=data, cwd=spool) for n in ("1", "2"))
    same(alone, together)
    assert [line.partition(": ")[0] for line in together.lines] == ["00.mat", "-", "01.mat"] and together.code == 0


def test_one_job_imports_nothing_for_many(trained: Trained, spool: Path) -> None:
    code = (
        "import sys; from faultdx.cli import app\n"
        "try: app()\nexcept SystemExit: pass\n"
        "assert not {'multiprocessing', 'distributed', 'faultdx.mapping.processes'} & set(sys.modules), sys.modules"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "diagnose", "00.mat", "--model", str(trained.run)],
        cwd=spool, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


@pytest.fixture(scope="module")
def many(spool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that takes a while."""
    folder = tmp_path_factory.mktemp("many")
    for n in range(1000):
        os.link(spool / f"{n % 4:02d}.mat", folder / f"{n:04d}.mat")
    return folder


@contextlib.contextmanager
def begun(command: tuple[str | Path, ...], cwd: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A run of which the first line is out, and its workers."""
    process = subprocess.Popen(
        [*FAULTDX, *command], cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    try:
        assert process.stdout is not None and process.stdout.readline().startswith(b"{")
        yield process, processes_of(process.pid)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_all_its_workers(trained: Trained, many: Path, number: int) -> None:
    with begun(("diagnose", ".", "--model", trained.run, "--json", "--jobs", "2"), many) as (process, workers):
        assert len(workers) == 2
        process.send_signal(number)
        began = time.monotonic()
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - began < 2
    assert (process.returncode, err) == (128 + number, b"") and len(out.splitlines()) < 900
    assert gone(workers, 1)


def test_a_closed_pipe_ends_a_run_with_all_its_workers(trained: Trained, many: Path) -> None:
    with begun(("diagnose", ".", "--model", trained.run, "--json", "--jobs", "2"), many) as (process, workers):
        process.stdout.close()  # type: ignore[union-attr]
        assert process.wait(timeout=20) == 141
        assert process.stderr.read() == b""  # type: ignore[union-attr]
    assert gone(workers, 1)


def test_a_killed_worker_costs_a_run_nothing(trained: Trained, many: Path) -> None:
    command = (
        "diagnose",
        *sorted(p.name for p in many.iterdir())[:120],
        "--model",
        trained.run,
        "--json",
        "--jobs",
        "2",
    )
    with begun(command, many) as (process, workers):
        os.kill(workers[0], signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    found = [json.loads(line) for line in out.splitlines()]
    assert (process.returncode, err) == (0, b"") and [d["file"] for d in found] == [
        f"{n:04d}.mat" for n in range(1, 120)
    ]
    assert {d["status"] for d in found} <= {"diagnosed", "undecided"}


class StubModel:
    """A model that can read nothing."""

    def __init__(self) -> None:
        self.digest, self.classes = "d", ("a", "b")
        self.info: dict[str, Any] = {"healthy": ["a"], "min_confidence": 0.5}
        self.summary = {"digest": "d", "name": "n", "version": "1"}

    def diagnose_item(self, item: Item, **_: object) -> Diagnosis:
        return Diagnosis(item.path, "", "error", error={"kind": "record", "message": "no"}, model=self.summary)


def test_memory_does_not_grow_with_the_number_of_recordings() -> None:
    """Twenty thousand recordings: what is kept of one is nothing."""
    model: Any = StubModel()
    wanted = Wanted(line=True)

    def kept(count: int) -> int:
        tally = Tally()
        items = (Item(f"{n}.mat") for n in range(count))
        with Outputs(model) as outputs:
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            for _, answer in answers(items, model, Path("m"), wanted, outputs):
                assert answer is not None
                tally.take(answer)
            after = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
        assert tally.code == 4
        return after - before

    kept(50)
    assert kept(20_000) < 20_000


def test_the_code_of_a_run_is_that_of_its_worst_result() -> None:
    for flags, code in (
        ((), 0),
        (((False, True), (False, False)), 4),
        (((True, False), (False, True)), 3),
        (((False, True), (True, True)), 3),
    ):
        tally = Tally()
        for is_reached, unfit in ((False, False), *flags):
            tally.take(Answer("", is_reached, unfit))
        assert tally.code == code


def test_another_model_than_the_one_meant_is_refused(trained: Trained, tmp_path: Path) -> None:
    digest = load_model(trained.run).digest
    other = model_with(trained.run, tmp_path / "other", min_confidence=0.123)
    with pytest.raises(ModelError, match=r"other: the model changed while it was used"):
        Answerer(other, Wanted(), digest=digest).begin()
    (other / "model.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"other/model.onnx: .*another digest"):
        Answerer(Packed.of(other), Wanted(), digest=digest).begin()


def test_names_are_said_as_they_were_given(tmp_path: Path) -> None:
    here = Name("a b/x.mat", str(tmp_path))
    assert here.absolute == f"{tmp_path}/a b/x.mat" and here.words(f"{here.absolute}: is bad") == "a b/x.mat: is bad"
    assert Name("-", "/x").absolute == "-" and Name("/y/z", "/x").absolute == "/y/z" and Name("y").absolute == "y"
    assert not Name("a\0b", "/").is_seen


# ---- prepare


def digest_of(items: list[Item], out: Path, **options: Any) -> str:
    config = PrepareConfig(segment=512, noise=("gaussian", "pink"), snr_db=(-4.0,))
    prepare(items, out, config=config, **options)
    return hashlib.sha256(out.read_bytes()).hexdigest()


def test_a_prepared_file_is_the_same_whoever_cuts_it(trained: Trained, tmp_path: Path) -> None:
    items = find_records([str(trained.rig)])
    out = tmp_path / "p.h5"
    found = {digest_of(items, out, workers=n, overwrite=True) for n in (1, 4)}
    assert len(found) == 1


def test_the_second_pass_looks_again_at_what_was_touched(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.rig, tmp_path / "rig")
    items = find_records([str(tmp_path / "rig")])
    file = Path(items[2].path)

    def meddle(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("reading", total):
            told = file.stat()
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            file.write_bytes(data)
            os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))  # of the same size and age

    for workers in (1, 2):
        with pytest.raises(DatasetError, match="changed while it was prepared"):
            prepare(items, tmp_path / "p.h5", config=PrepareConfig(segment=512), progress=meddle, workers=workers)
    for path in (tmp_path / "rig").rglob("*.mat"):
        path.touch()
    digest_of(items, tmp_path / "q.h5")


def test_a_local_and_a_distributed_run_are_not_asked_for_at_once(trained: Trained, tmp_path: Path) -> None:
    for command, option in (("diagnose", "--jobs"), ("prepare", "--workers")):
        more = ("--model", trained.run) if command == "diagnose" else ("--out", tmp_path / "p.h5")
        ran = faultdx_here(command, "x.mat", *more, option, "2", "--dask", "tcp://127.0.0.1:1", cwd=tmp_path)
        assert_refused(ran, 2, option, "--dask", "choose one")


# ---- the cluster


@dataclass
class Cluster:
    address: str
    workers: list[subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two worker processes on this machine, in a working folder of their own."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("dask")
    env = environment(OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join((str(Path(__file__).parent), *sys.path)))
    common: dict[str, Any] = {"cwd": folder, "env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    file = folder / "scheduler.json"
    started = []
    try:
        words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        started.append(subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", *words], **common))
        until = time.monotonic() + 60
        while not file.is_file():
            assert time.monotonic() < until
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        words = (address, "--nthreads", "1", "--no-dashboard", "--no-nanny", "--death-timeout", "20")
        started += [
            subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_worker", *words], **common) for _ in range(2)
        ]
        yield Cluster(address, started[1:])
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def test_a_cluster_says_what_one_process_says(trained: Trained, spool: Path, dask: Cluster, tmp_path: Path) -> None:
    command = ("diagnose", ".", "no.mat", "-", "--model", trained.run, *WORDS, "--json", "-q")
    data = (spool / "04.mat").read_bytes()
    ran = []
    for name, more in (("here", ()), ("there", ("--dask", dask.address))):
        files = ("--history", tmp_path / f"{name}.sqlite", "--report", tmp_path / name)
        ran.append(faultdx(*command, *files, *more, stdin=data, cwd=spool))
    same(*ran)
    pages = [{p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("here", "there")]
    assert pages[0] == pages[1]
    here, there = (timeless(tmp_path / f"{name}.sqlite") for name in ("here", "there"))
    # of standard input the time is that of the diagnosis
    assert [{**r, "time": ""} for r in here if r["file"] == "-"] == [
        {**r, "time": ""} for r in there if r["file"] == "-"
    ]
    assert [r for r in here if r["file"] != "-"] == [r for r in there if r["file"] != "-"]


def test_a_cluster_prepares_the_same_file(
    trained: Trained, dask: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained.rig, tmp_path / "rig")
    (tmp_path / "rig" / "bad.mat").write_bytes(b"no recording")
    monkeypatch.chdir(tmp_path)
    items = find_records(["rig"])
    out = Path("p.h5")
    assert digest_of(items, out) == digest_of(items, out, dask=dask.address, overwrite=True)


def test_a_worker_that_cannot_see_a_file_says_so(
    trained: Trained, spool: Path, dask: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker looks in another folder, as on a machine without the shared file system."""
    import faultdx.cli.diagnose as command

    monkeypatch.chdir(spool)
    monkeypatch.setattr(command.Path, "cwd", lambda: Path("/nowhere"))
    model = load_model(trained.run)
    with Outputs(model) as outputs:
        items = [Item("00.mat"), Item("no.mat")]
        (_, seen), (_, missing) = answers(
            items, model, trained.run, Wanted(json=True), outputs, Where(dask=dask.address)
        )
    assert seen is not None and missing is not None
    assert "00.mat: is there, but the worker on" in str(seen.json) and "shared file system" in str(seen.complaint)
    assert missing.complaint == "faultdx: error: no.mat: no such file or folder; check the name"


def test_errors_of_a_cluster_are_a_line(dask: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(work: Any = square, address: str = dask.address) -> str:
        with pytest.raises(FaultdxError) as caught:
            list(mapped(work, [(1,)], dask=address))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "m: is no model" in told(Unready())
    monkeypatch.setattr(cluster._local, "versions", {"numpy": "0.1"}, raising=False)
    assert re.search(r"the worker tcp://127\S+ has numpy \d\S+ \(here 0\.1\): .*install the same versions", told())
    monkeypatch.undo()
    for address in ("what://ever:1", "rubbish", "tcp://127.0.0.1:99999", "tcp://127.0.0.1", "", "a b:1"):
        assert "is no address" in told(address=address)
    monkeypatch.setattr(cluster, "PATIENCE_S", 0.5)
    began = time.monotonic()
    assert "no scheduler answers there (it was given 0.5 s)" in told(address="tcp://127.0.0.1:9")
    with socket.create_server(("127.0.0.1", 0)) as other:  # somebody listens, and is no scheduler
        assert "no scheduler answers there" in told(address=f"tcp://127.0.0.1:{other.getsockname()[1]}")
    assert time.monotonic() - began < 10


def test_an_item_that_kills_worker_after_worker_is_given_up() -> None:
    import distributed

    class Killed:
        def result(self) -> None:
            raise distributed.KilledWorker("task", None, 4)  # type: ignore[no-untyped-call]

        def release(self) -> None:
            pass

    assert cluster._result(distributed, Killed(), "tcp://x") == Lost("killed, with each of the workers that tried")


def test_a_worker_of_other_versions_that_joins_late_refuses() -> None:
    with pytest.raises(ConfigError, match=r"has numpy \S+ \(here 0.1\)"):
        cluster._call(("other", b""), (1,), {"numpy": "0.1"})


def test_a_signal_ends_a_run_on_a_cluster(trained: Trained, many: Path, dask: Cluster) -> None:
    with begun(("diagnose", ".", "--model", trained.run, "--json", "--dask", dask.address), many) as (process, _):
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - began < 4
    assert (process.returncode, err) == (143, b"") and len(out.splitlines()) < 900


def test_a_cluster_survives_a_worker(trained: Trained, many: Path, dask: Cluster) -> None:
    """The last test of the cluster: it ends one of its two workers in the middle."""
    names = sorted(p.name for p in many.iterdir())[:120]
    local = faultdx("diagnose", *names, "--model", trained.run, "--json", cwd=many)
    command = ("diagnose", *names, "--model", trained.run, "--json", "--dask", dask.address)
    with begun(command, many) as (process, _):
        dask.workers[0].kill()
        out, err = process.communicate(timeout=60)
    rest = re.sub(r'"elapsed_s": [0-9.]+', "", out.decode())
    assert rest == re.sub(r'"elapsed_s": [0-9.]+', "", "".join(f"{line}\n" for line in local.lines[1:]))
    assert (process.returncode, err) == (0, b"")
