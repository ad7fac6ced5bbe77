"""The command line as a script or a terminal sees it: streams, names, locales, reports, and signals."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from helpers import (
    FAULTDX,
    TINY,
    Ran,
    Trained,
    assert_refused,
    beyond_a_gateway,
    environment,
    faultdx,
    faultdx_here,
)

from faultdx.cli.console import PIPE_CLOSED, stop_flag
from faultdx.files import show
from faultdx.records import Declared, Item
from faultdx.report.naming import report_names

ESCAPE = "\x1b"
# A name for each way in which a name can hurt: markup, glob, control, bytes, formula, option, script, length.
HOSTILE = (
    b"d[/bold].mat",
    b"[a].mat",
    b"a\nb.mat",
    b"n\xff.mat",
    b"=1+1.mat",
    b"-x.mat",
    b"<b>x.mat",
    "é単.mat".encode(),
    "\u202egpj.mat".encode(),
    b"y" * 196 + b".mat",
)


# ---- streams


def test_a_closed_pipe_ends_it_without_a_word(trained: Trained, good: Path) -> None:
    for command in (("diagnose", "a.mat", "--model", trained.run, "--json"), ("inspect", "a.mat")):
        read, write = os.pipe()
        os.close(read)  # as `| head -1` does when it has its line
        try:
            ran = faultdx(*command, cwd=good, stdout=write)
        finally:
            os.close(write)
        assert (ran.code, ran.err) == (PIPE_CLOSED, "")


def test_head_gets_its_line(trained: Trained) -> None:
    shell = '"$@" | head -1; exit ${PIPESTATUS[0]}'
    command = [*FAULTDX, "diagnose", str(trained.rig), "--model", str(trained.run), "--json"]
    done = subprocess.run(["bash", "-c", shell, "bash", *command], env=environment(), capture_output=True, check=False)
    assert done.returncode in {0, PIPE_CLOSED} and done.stderr == b""
    assert json.loads(done.stdout)["file"].endswith("501.mat")


def test_a_stdout_that_takes_nothing_ends_it_with_5(trained: Trained, good: Path) -> None:
    command = ("diagnose", "a.mat", "--model", trained.run)
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        ran = faultdx(*command, cwd=good, stdout=full)
    finally:
        os.close(full)
    assert_refused(ran, 5, "standard output", os.strerror(errno.ENOSPC))
    closed = subprocess.run(
        ["bash", "-c", '"$@" >&-', "bash", *FAULTDX, *command], cwd=good, capture_output=True, text=True, check=False
    )
    assert_refused(Ran(closed.returncode, closed.stdout, closed.stderr), 5, "standard output: is closed")


@beyond_a_gateway
def test_standard_input_is_a_recording(trained: Trained, good: Path) -> None:
    data = (good / "a.mat").read_bytes()
    piped = faultdx("diagnose", "-", "--model", trained.run, "--json", "--report", "r", stdin=data, cwd=good)
    named = faultdx("diagnose", "a.mat", "--model", trained.run, "--json", cwd=good)
    assert piped.code == 0 and piped.objects[0]["file"] == "-"
    assert piped.objects[0]["probabilities"] == named.objects[0]["probabilities"]
    assert [p.name for p in (good / "r").iterdir()] == ["standard-input.html"]
    empty = faultdx("diagnose", "-", "--model", trained.run, stdin=b"")
    assert empty.code == 4 and "standard input: is empty" in empty.err
    closed = subprocess.run(
        ["bash", "-c", '"$@" <&-', "bash", *FAULTDX, "diagnose", "-", "--model", str(trained.run)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert closed.returncode == 4 and closed.stderr.startswith("faultdx: error: standard input: is closed")
    assert_refused(faultdx("diagnose", "-", "-", "--model", trained.run), 2, "name it once")


@beyond_a_gateway
def test_quiet_silences_notes_and_no_errors(trained: Trained, good: Path) -> None:
    loud = faultdx("diagnose", "a.mat", "--model", trained.run, "--report", "r", cwd=good)
    assert loud.err == "1 report in r\n" and len(loud.lines) == 1
    still = faultdx("diagnose", "a.mat", "no.mat", "--model", trained.run, "--report", "r", "-q", cwd=good)
    assert still.err.splitlines() == ["faultdx: error: no.mat: no such file or folder; check the name"]
    assert still.lines[0] == loud.lines[0] and len(still.lines) == 2


def test_networks_are_one_object_a_line(tmp_path: Path) -> None:
    found = faultdx_here("networks", "--classes", "4", "--json", cwd=tmp_path).objects
    assert {"drsn-wide", "drsn-cw", "drsn-cs"} <= {row["name"] for row in found}
    assert all(list(row) == ["name", "parameters", "macs", "source", "input"] for row in found)
    assert all(row["parameters"] > 0 and row["macs"] > row["parameters"] for row in found)


def test_the_version_is_the_package_s() -> None:
    from faultdx import __version__

    assert faultdx("--version").lines[0] == f"faultdx {__version__}"  # the versions of others follow


# ---- terminals


def on_terminal(command: tuple[str | Path, ...], cwd: Path, stream: str, **env: str) -> tuple[str, str, int]:
    """Run with `stream` (stdout or stderr) on a terminal: what that showed, what came of the other, the exit code."""
    leader, follower = pty.openpty()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: follower}
    process = subprocess.Popen(
        [*FAULTDX, *command],
        cwd=cwd,
        env=environment(TERM="xterm-256color", COLUMNS="400", **env),
        stdin=subprocess.DEVNULL,
        **pipes,  # type: ignore[call-overload]
    )
    os.close(follower)
    shown = b""
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):  # how a terminal says that nobody holds it any more
        while part := os.read(leader, 65536):
            shown += part
    os.close(leader)
    out, err = process.communicate(timeout=60)
    return shown.decode("utf-8", "surrogateescape"), (out or err or b"").decode("utf-8"), process.returncode


def test_a_terminal_gets_a_table(trained: Trained, good: Path) -> None:
    (good / "d[").mkdir()
    (good / "d[/bold].mat").write_bytes((good / "a.mat").read_bytes())
    command = ("diagnose", "a.mat", "d[/bold].mat", "no.mat", "--model", trained.run)
    shown, said, code = on_terminal(command, good, "stdout")
    lines = shown.splitlines()
    assert code == 4 and said.count("\n") == 1 and said.startswith("faultdx: error: no.mat")
    assert "verdict" in lines[0] and "confidence" in lines[0] and ESCAPE in lines[0]
    assert [line.split()[0] for line in lines[1:4]] == ["a.mat", "d[/bold].mat", "no.mat"]
    plain, _, _ = on_terminal(command, good, "stdout", NO_COLOR="1")
    assert "verdict" in plain and not re.search(r"\x1b\[[\d;]*[349]\d", plain)


def test_json_is_json_on_a_terminal_too(trained: Trained, good: Path) -> None:
    shown, _, _ = on_terminal(("diagnose", "a.mat", "--model", trained.run, "--json"), good, "stdout")
    assert json.loads(shown)["file"] == "a.mat" and ESCAPE not in shown


def test_a_bar_is_drawn_only_on_a_terminal_and_only_if_wanted(trained: Trained, good: Path) -> None:
    command = ("diagnose", "a.mat", "--model", trained.run)
    shown, result, code = on_terminal(command, good, "stderr")
    assert code == 0 and ESCAPE in shown and "diagnosing" in shown
    assert result.startswith("a.mat: ") and result.count("\n") == 1
    shown, _, _ = on_terminal((*command, "--quiet"), good, "stderr")
    assert shown == ""


def test_help_has_no_colour_where_none_is_wanted(good: Path) -> None:
    shown, _, code = on_terminal(("diagnose", "-h"), good, "stdout", NO_COLOR="1")
    assert code == 0 and "undecided" in shown and not re.search(r"\x1b\[[\d;]*[349]\d", shown)
    assert ESCAPE not in faultdx("diagnose", "-h").out


# ---- names


@pytest.fixture(scope="module")
def hostile(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    data = (trained.unseen / "501.mat").read_bytes()
    (folder / "d[").mkdir()
    for name in HOSTILE:
        (folder / os.fsdecode(name)).write_bytes(data)
    return folder


@beyond_a_gateway
def test_any_name_is_diagnosed_and_reported(trained: Trained, hostile: Path) -> None:
    command = ("diagnose", "--model", trained.run, "--json", "--report", "reports", "--min-confidence", "0")
    ran = faultdx(*command, "--", *HOSTILE, cwd=hostile)
    assert ran.code == 0 and ran.err == f"{len(HOSTILE)} reports in reports\n"
    assert [d["file"] for d in ran.objects] == [show(os.fsdecode(name)) for name in HOSTILE]
    assert all(d["status"] == "diagnosed" for d in ran.objects)
    pages = sorted(p for p in (hostile / "reports").iterdir() if p.name != "index.html")
    assert len(pages) == len(HOSTILE)
    assert all(re.fullmatch(r"[\w.-]+\.html", p.name) for p in pages)
    assert all(b"<b>x.mat" not in p.read_bytes() for p in pages)


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX"}])
def test_any_locale_can_say_any_name(trained: Trained, hostile: Path, env: dict[str, str]) -> None:
    ran = faultdx("diagnose", "--model", trained.run, "--json", "--", *HOSTILE, cwd=hostile, env=env)
    assert ran.code == 0
    assert [d["file"] for d in ran.objects] == [show(os.fsdecode(name)) for name in HOSTILE]
    plain = faultdx("diagnose", "--model", trained.run, "--", *HOSTILE, cwd=hostile, env=env)
    assert plain.code == 0 and len(plain.lines) == len(HOSTILE)


def test_a_missing_file_of_any_name_is_one_line(trained: Trained, tmp_path: Path) -> None:
    ran = faultdx("diagnose", "--model", trained.run, "--", *HOSTILE, b"z" * 300, cwd=tmp_path)
    assert ran.code == 4 and len(ran.err.splitlines()) == len(HOSTILE) + 1 == len(ran.lines)
    assert all(line.isprintable() for line in ran.err.splitlines() + ran.lines)


# ---- reports


@beyond_a_gateway
def test_the_same_diagnosis_gives_the_same_report(trained: Trained, good: Path) -> None:
    command = ("diagnose", "a.mat", "--model", trained.run, "--report", "r", "-q")
    assert faultdx(*command, cwd=good).code == 0
    page = good / "r" / "a.mat.html"
    first = page.read_bytes()
    page.rename(good / "r" / "before.html")
    assert faultdx(*command, cwd=good).code == 0 and page.read_bytes() == first
    assert faultdx_here(*command, cwd=good).code == 0  # it is there already, and the same
    page.write_bytes(b"another")
    refused = faultdx_here(*command, cwd=good)
    assert refused.code == 5 and "a.mat.html" in refused.err and "--overwrite" in refused.err
    assert page.read_bytes() == b"another"
    assert faultdx_here(*command, "--overwrite", cwd=good).code == 0 and page.read_bytes() == first


def test_a_report_that_cannot_be_written_loses_no_result(trained: Trained, good: Path) -> None:
    for name, number in (("b", 505), ("c", 509)):
        shutil.copy(trained.unseen / f"{number}.mat", good / f"{name}.mat")
    (good / "r").mkdir()
    (good / "r" / "a.mat.html").write_text("mine")
    (good / "r" / "b.mat.html").mkdir()
    files = ("a.mat", "b.mat", "c.mat")
    command = ("diagnose", *files, "--model", trained.run, "--json", "--min-confidence", "0")
    plain = faultdx_here(*command, cwd=good)
    ran = faultdx_here(*command, "--report", "r", cwd=good)
    assert (plain.code, ran.code) == (0, 5)
    assert [d["file"] for d in ran.objects] == list(files)
    assert [d["probabilities"] for d in ran.objects] == [d["probabilities"] for d in plain.objects]
    *errors, last = ran.err.splitlines()
    for name, line in zip(("a", "b"), errors, strict=True):
        assert line.startswith("faultdx: error: ") and f"{name}.mat.html" in line and "--overwrite" in line
    assert last == "1 report in r"
    assert (good / "r" / "a.mat.html").read_text() == "mine" and (good / "r" / "c.mat.html").is_file()
    verdicts = {d["verdict"] for d in ran.objects}
    for verdict in verdicts:  # what was asked for and found matters more than its page
        assert faultdx_here(*command, "--report", "r", "--fail-on", verdict, cwd=good).code == 3
    other = next(c for c in plain.objects[0]["probabilities"] if c not in verdicts)
    assert faultdx_here(*command, "--report", "r", "--fail-on", other, cwd=good).code == 5


@beyond_a_gateway
def test_records_of_one_name_get_reports_of_their_own(trained: Trained, good: Path) -> None:
    for folder, number in (("x", 505), ("y", 509)):
        (good / folder).mkdir()
        shutil.copy(trained.unseen / f"{number}.mat", good / folder / "a.mat")
    pair = np.random.default_rng(1).normal(size=(2, 12_000, 1))
    scipy.io.savemat(good / "two.mat", {"X901_DE_time": pair[0], "X901_FE_time": pair[1]})
    (good / "t.csv").write_text("path,channel,sampling_rate_hz\ntwo.mat,DE,12000\ntwo.mat,FE,12000\n")
    ran = faultdx("diagnose", "x/a.mat", "y/a.mat", "t.csv", "--model", trained.run, "--report", "r", "-q", cwd=good)
    assert ran.code == 0, ran.err
    pages = [p.read_bytes() for p in (good / "r").iterdir() if p.name != "index.html"]
    assert len(pages) == len(set(pages)) == 4


def test_report_names_are_safe_and_apart() -> None:
    paths = ["a.mat", "b/a.mat", "-", "é.mat", "x" * 200 + "1", "x" * 200 + "2", "..", "c.mat"]
    names = report_names([Item(p) for p in paths])
    assert len(set(names)) == len(paths) and names[-1] == "c.mat.html" and names[2] == "standard-input.html"
    assert all(re.fullmatch(r"[\w.-]{1,200}\.html", name) for name in names)
    channels = [Item("a.mat", Declared(channels=(c,))) for c in ("DE", "FE")]
    assert len(set(report_names(channels))) == 2


# ---- signals


@pytest.fixture
def hangup() -> Iterator[None]:
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup")
def test_an_ignored_hangup_stays_ignored_and_another_stops() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with stop_flag() as stopped:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stopped() == 0 and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with stop_flag() as stopped:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stopped() == signal.SIGHUP
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@beyond_a_gateway
def test_a_training_under_nohup_outlives_its_terminal(trained: Trained, tmp_path: Path) -> None:
    command = ("train", trained.prepared, *TINY, "--out", tmp_path / "run")
    ran = interrupted(command, "epoch 1/3", signal.SIGHUP, before=("nohup",))
    assert ran.code == 0 and (tmp_path / "run" / "model" / "model.json").is_file(), ran


def interrupted(command: tuple[str | Path, ...], after: str, number: int, *, before: tuple[str, ...] = ()) -> Ran:
    """Send a signal once stderr has said `after`; return how it ended."""
    process = subprocess.Popen(
        [*before, *FAULTDX, *command], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )

    def lines() -> Iterator[str]:
        assert process.stderr is not None
        for raw in process.stderr:
            line = raw.decode()
            if line.startswith(after):
                process.send_signal(number)
            yield line

    try:
        err = "".join(lines())
        assert process.stdout is not None
        out = process.stdout.read().decode()
        return Ran(process.wait(timeout=60), out, err)
    finally:
        process.kill()
        process.communicate()


@beyond_a_gateway
def test_a_training_stopped_twice_ends_as_one_that_was_not(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ("train", trained.prepared, *TINY, "--out", out)
    for more, after, number in (((), "epoch 1/3", signal.SIGINT), (("--resume",), "epoch 2/3", signal.SIGTERM)):
        ran = interrupted((*command, *more), after, number)
        assert ran.code == 128 + number and ran.out == "", ran
        last = ran.err.splitlines()[-1]
        assert last.startswith(f"faultdx: {out}: interrupted after epoch") and "--resume" in last
        assert (out / "last.pt").is_file() and json.loads((out / "run.json").read_text())["status"] == "interrupted"
        unfinished = faultdx_here("diagnose", "x.mat", "--model", out, cwd=tmp_path)
        assert_refused(unfinished, 2, str(out), "interrupted", "--resume")
    changed = faultdx_here("train", trained.prepared, "--out", out, "--resume", "--epochs", "4", cwd=tmp_path)
    assert_refused(changed, 2, "another configuration", "epochs", "--overwrite")
    finished = faultdx("train", "--out", out, "--resume", "--quiet")  # the rest is in its config.toml
    assert (finished.code, finished.out, finished.err) == (0, f"{out}\n", "")
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (out, trained.run)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_diagnosis_ends_on_a_signal(trained: Trained, number: int) -> None:
    command = [*FAULTDX, "diagnose", "-", "--model", str(trained.run)]
    process = subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:  # it waits for standard input
        assert process.stdin is not None
        process.stdin.write(bytes(1 << 20))  # more than a pipe holds, so it has begun to read
        process.stdin.flush()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (128 + number, b"", b"")
