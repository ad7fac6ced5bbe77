"""What a run of `diagnose` leaves behind: history, metrics and CSV say what its JSON says."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
import typer.main
from helpers import FAULTDX, Trained, assert_refused, environment, faultdx
from rows import row
from test_metrics import key, parse

from faultdx import database
from faultdx.cli import app
from faultdx.cli.outputs import Outputs
from faultdx.diagnosis import Diagnosis
from faultdx.errors import ConfigError, OutputError
from faultdx.history import History
from faultdx.model import Model, load_model
from faultdx.records import Item, find_records
from faultdx.report.document import to_dict

DIAGNOSE = {o for p in typer.main.get_command(app).commands["diagnose"].params for o in p.opts}  # type: ignore[attr-defined]
needs_options = pytest.mark.skipif(
    not {"--history", "--new-only", "--metrics-file", "--csv"} <= DIAGNOSE,
    reason="faultdx diagnose has no --history yet",
)


@pytest.fixture(scope="module")
def model(trained: Trained) -> Model:
    return load_model(trained.run)


@pytest.fixture
def spool(trained: Trained, tmp_path: Path) -> Path:
    """A folder with two recordings of named assets and one that is none."""
    folder = tmp_path / "spool"
    folder.mkdir()
    first, *_, last = sorted(trained.unseen.glob("*.mat"))
    shutil.copy(first, folder / "=1+1.mat")
    shutil.copy(last, folder / "b.mat")
    (folder / "c.mat").write_bytes(b"no recording")
    table = "path,asset,point,recorded_at,sampling_rate_hz\n=1+1.mat,pump 7,DE,2024-05-01T10:00:00Z,12000\n"
    (folder / "records.csv").write_text(f"{table}b.mat,pump 8,DE,,12000\nc.mat,pump 9,DE,,12000\n")
    return folder


def run(model: Model, spool: Path, *, new_only: bool = False, **files: Path | bool) -> list[Diagnosis]:
    """What diagnose does, without its streams."""
    found = []
    with Outputs(model, **files) as outputs:  # type: ignore[arg-type]
        for item in find_records([str(spool)]):
            if not (new_only and outputs.known(item)):
                found.append(model.diagnose_item(item))
                outputs.add(found[-1], item)
        assert outputs.finish() == []
    return found


def stored(path: Path) -> list[dict[str, object]]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [json.loads(text) for (text,) in db.execute("SELECT json FROM diagnosis ORDER BY id")]


def test_all_three_say_what_the_diagnoses_say(model: Model, spool: Path, tmp_path: Path) -> None:
    history, metrics, table = (tmp_path / name for name in ("h.sqlite", "x.prom", "t.csv"))
    found = run(model, spool, history=history, metrics_file=metrics, csv=table)
    documents = [to_dict(d) for d in found]
    assert stored(history) == documents

    rows = list(csv.DictReader(io.StringIO(table.read_text("utf-8-sig"), newline="")))
    assert [r["status"] for r in rows] == [d.status for d in found] and rows[2]["status"] == "error"
    assert [r["verdict"] or None for r in rows] == [d.verdict for d in found]
    assert [r["asset"] for r in rows] == ["pump 7", "pump 8", "pump 9"]
    assert [(r["time_from"]) for r in rows] == ["stated", "file", "file"]
    assert rows[0]["time"] == "2024-05-01T10:00:00.000Z" and rows[0]["file"].endswith("=1+1.mat")
    healthy = model.info["healthy"]
    for r, d in zip(rows[:2], found[:2], strict=True):
        assert float(r["fault_probability"]) == pytest.approx(1 - sum(d.probabilities[c] for c in healthy), abs=1e-5)
        assert float(r["level_rms"]) == pytest.approx(max(entry["rms"] for entry in d.evidence["levels"]), rel=1e-5)

    samples = parse(metrics.read_text())
    for r, d in zip(rows[:2], found[:2], strict=True):
        labels = {"file": d.file, "asset": r["asset"], "point": r["point"]}
        assert samples[key("faultdx_record_confidence", **labels)] == pytest.approx(d.confidence, abs=1e-5)
        if d.fault is not None:
            assert samples[key("faultdx_record_fault", **labels)] == d.fault
    assert samples[key("faultdx_run_records", status="error")] == 1
    assert samples[key("faultdx_model_info", **model.summary)] == 1
    assert abs(samples[key("faultdx_run_timestamp_seconds")] - time.time()) < 60


def test_a_run_again_adds_nothing_and_new_only_tries_the_error_again(model: Model, spool: Path, tmp_path: Path) -> None:
    history, metrics = tmp_path / "h.sqlite", tmp_path / "x.prom"
    first = run(model, spool, history=history)
    run(model, spool, history=history)
    assert len(stored(history)) == 3
    (spool / "b.mat").rename(spool / "renamed.mat")
    (spool / "records.csv").write_text((spool / "records.csv").read_text().replace("b.mat", "renamed.mat"))
    again = run(model, spool, new_only=True, history=history, metrics_file=metrics)
    assert [d.status for d in again] == ["error"] and len(stored(history)) == 3
    samples = parse(metrics.read_text())
    assert samples[key("faultdx_run_records_skipped")] == 2
    # what was found before is still said: an alarm must not go out because nothing new came in
    labels = {"file": first[0].file, "asset": "pump 7", "point": "DE"}
    assert samples[key("faultdx_record_confidence", **labels)] == pytest.approx(first[0].confidence, abs=1e-5)


def test_a_history_that_fails_costs_neither_csv_nor_metrics(
    model: Model, spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "WAIT_S", 0.05)
    monkeypatch.setattr(database, "_ATTEMPT_S", 0.02)
    history, metrics, table = (tmp_path / name for name in ("h.sqlite", "x.prom", "t.csv"))
    item = Item(str(spool / "b.mat"))
    with Outputs(model, history=history, metrics_file=metrics, csv=table) as outputs:
        outputs.add(model.diagnose_item(item), item)
        with contextlib.closing(sqlite3.connect(history)) as other:
            other.execute("BEGIN EXCLUSIVE")
            (wrong,) = outputs.finish()
    assert isinstance(wrong, OutputError) and "h.sqlite: is locked by another program" in str(wrong)
    assert table.is_file() and metrics.is_file()


def test_what_cannot_be_written_is_found_before_the_work(model: Model, tmp_path: Path) -> None:
    there = tmp_path / "there.prom"
    there.write_text("mine")
    with pytest.raises(OutputError, match=r"there.prom: exists already; --overwrite replaces it"):
        Outputs(model, csv=there)
    with pytest.raises(ConfigError, match=r"there.prom: is no SQLite database"):
        Outputs(model, history=there)
    for option in ("history", "metrics_file", "csv"):
        with pytest.raises((OutputError, ConfigError), match=r"there.prom/x.prom: cannot be"):
            Outputs(model, **{option: there / "x.prom"})  # type: ignore[arg-type]
    assert there.read_text() == "mine"
    with Outputs(model, csv=there, metrics_file=there, overwrite=True) as outputs:
        pass
    assert there.read_text() == "mine" and outputs.skipped == 0  # nothing before the end


def test_a_run_that_is_ended_keeps_its_history_alone(model: Model, spool: Path, tmp_path: Path) -> None:
    history, table = tmp_path / "h.sqlite", tmp_path / "t.csv"
    item = Item(str(spool / "b.mat"))
    with pytest.raises(KeyboardInterrupt), Outputs(model, history=history, csv=table) as outputs:
        outputs.add(model.diagnose_item(item), item)
        raise KeyboardInterrupt
    assert len(stored(history)) == 1 and not table.exists()


def test_a_run_that_is_ended_waits_for_no_lock_for_long(model: Model, spool: Path, tmp_path: Path) -> None:
    history, item = tmp_path / "h.sqlite", Item(str(spool / "b.mat"))
    with contextlib.closing(sqlite3.connect(tmp_path / "h.sqlite")) as other:
        with pytest.raises(KeyboardInterrupt), Outputs(model, history=history) as outputs:
            outputs.add(model.diagnose_item(item), item)
            other.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            raise KeyboardInterrupt
        assert time.monotonic() - began < 8


# ---- the command


@needs_options
def test_the_command_does_it_all(trained: Trained, spool: Path, tmp_path: Path) -> None:
    files = ("--history", tmp_path / "h.sqlite", "--metrics-file", tmp_path / "x.prom", "--csv", tmp_path / "t.csv")
    command = ("diagnose", spool, "--model", trained.run, "--json")
    first = faultdx(*command, *files)
    assert first.code == 4 and stored(tmp_path / "h.sqlite") == first.objects
    again = faultdx(*command, *files, "--new-only")
    assert_refused(again, 5, "t.csv: exists already")
    again = faultdx(*command, *files, "--new-only", "--overwrite")
    assert again.code == 4 and [o["status"] for o in again.objects] == ["error"]
    (spool / "c.mat").unlink()
    (spool / "records.csv").write_text("\n".join((spool / "records.csv").read_text().splitlines()[:3]) + "\n")
    nothing = faultdx(*command, *files, "--new-only", "--overwrite", "--quiet")
    assert (nothing.code, nothing.out, nothing.err) == (0, "", "")
    assert_refused(faultdx(*command, "--new-only"), 2, "--new-only", "--history")


@needs_options
def test_diagnoses_that_are_killed_or_run_at_once_are_all_there_in_the_end(trained: Trained, tmp_path: Path) -> None:
    history = tmp_path / "h.sqlite"
    command = [
        *FAULTDX,
        "diagnose",
        str(trained.rig),
        "--model",
        str(trained.run),
        "--history",
        str(history),
        "--quiet",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment()}
    killed = subprocess.Popen(command, **quiet)  # type: ignore[call-overload]
    time.sleep(1.0)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    both = [subprocess.Popen([*command, *more], **quiet) for more in ([], ["--new-only"])]  # type: ignore[call-overload]
    assert {process.wait(timeout=100) for process in both} <= {0, 4}
    with History.read(history) as opened:
        found = [os.path.basename(entry.row.file) for entry in opened.entries()]  # noqa: PTH119
    assert sorted(found) == sorted(path.name for path in trained.rig.glob("*.mat"))


def test_a_pipe_that_came_in_place_of_the_table_meanwhile_is_not_replaced(model: Model, tmp_path: Path) -> None:
    """--overwrite is for tables: what a run writes for hours is not what was there when it began."""
    table = tmp_path / "t.csv"
    table.write_text("old")
    with Outputs(model, csv=table, overwrite=True) as outputs:
        outputs.add_row(row(1), "{}")
        table.unlink()
        os.mkfifo(table)
        (wrong,) = outputs.finish()
    assert isinstance(wrong, OutputError) and "t.csv: is a pipe; name a file" in str(wrong)
    assert table.is_fifo() and [p.name for p in tmp_path.iterdir()] == ["t.csv"]
