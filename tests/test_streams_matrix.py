"""Every stream in every state: each name in each sink, each closed or full descriptor, each signal, each exit code."""

from __future__ import annotations

import contextlib
import csv
import errno
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import typer.main
from helpers import (
    FAULTDX,
    Ran,
    Trained,
    assert_refused,
    diagnosis_schema,
    environment,
    faultdx,
    faultdx_here,
    validate,
)
from test_metrics import key, parse

from faultdx.cli import app
from faultdx.files import show
from faultdx.history import History

COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
ESCAPE = "\x1b"
# A name for each way in which a name can hurt a sink: markup, control, bytes, formula, option, script, shell, length.
NAMES = (
    b"d[/bold].mat", b"[a].mat", b"[red]x.mat", b"a\nb.mat", b"a\tb.mat", b"a\rb.mat", b"\x1b[31mred.mat",
    b"\x1b]0;owned\x07.mat", b"del\x7f.mat", b"n\xff\xfe.mat", b"\xed\xa0\x80.mat", b"=1+1.mat", b"@SUM(1).mat",
    b"+1.mat", b"-x.mat", b"--json.mat", b"<b>x.mat", b"<script>alert(1)<.mat", b'"quoted".mat', b"it's.mat",
    b"&amp;.mat", b"50%s%n.mat", b"back\\slash\\n.mat", "\u202egpj.mat".encode(), "\u2066x\u2069.mat".encode(),
    "\u2028.mat".encode(), "\u200b.mat".encode(), "\U0001f527.mat".encode(), "é単.mat".encode(), "e\u0301.mat".encode(),
    b"~.mat", b"~root.mat", b"$(touch pwned).mat", b"`touch pwned`.mat", b"a;b.mat", b"a b .mat", b" lead.mat",
    b"*.mat", b"?.mat", b"{a,b}.mat", b"#x.mat", b"a,b.mat", b"|x.mat", b".hidden.mat", b"y" * 246 + b".mat",
)  # fmt: skip
IN_PAGES = (*NAMES[:26:2], *(n for n in NAMES[1::2] if set(n) & set(b"<&\"'")), *NAMES[-4:])  # a page takes 0.2 s
SHOWN = [show(os.fsdecode(name)) for name in NAMES]


@pytest.fixture(scope="module")
def spool(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording under each name, no two of them equal, and what one run makes of them: sinks/ and out.ndjson."""
    folder = tmp_path_factory.mktemp("names")
    found = {n: v for n, v in scipy.io.loadmat(trained.unseen / "501.mat").items() if not n.startswith("__")}
    (name,) = (n for n in found if n.endswith("_time"))
    (folder / "d[").mkdir()  # of the first name
    for i, file in enumerate(NAMES):
        with (folder / os.fsdecode(file)).open("wb") as stream:
            scipy.io.savemat(stream, found | {name: found[name] + 1e-6 * i})
    files = ("--csv", "sinks/t.csv", "--history", "sinks/h.sqlite", "--metrics-file", "sinks/x.prom")
    command = ("diagnose", "--model", trained.run, "--json", "--min-confidence", "0")
    ran = faultdx(*command, *files, "--", *NAMES, cwd=folder)
    assert ran.code == 0, ran.err
    assert ran.err == ""
    (folder / "out.ndjson").write_text(ran.out, "utf-8")
    return folder


# ---- names, sink by sink


def test_ndjson_says_each_name_on_a_line_of_its_own(spool: Path) -> None:
    text = (spool / "out.ndjson").read_text("utf-8")
    lines = text.split("\n")
    assert lines.pop() == "" and len(lines) == len(NAMES) >= 19
    assert [json.loads(line)["file"] for line in lines] == SHOWN
    assert all(line.isprintable() for line in lines)
    assert not (spool / "pwned").exists()


def test_plain_lines_begin_with_the_name(trained: Trained, spool: Path) -> None:
    ran = faultdx("diagnose", "--model", trained.run, "--", *NAMES, cwd=spool)
    assert ran.code == 0 and ran.err == ""
    assert len(ran.lines) == len(NAMES) and all(line.isprintable() for line in ran.lines)
    assert all(line.startswith(f"{name}: ") for line, name in zip(ran.lines, SHOWN, strict=True))


def test_csv_holds_each_name_in_one_cell_and_no_formula(spool: Path) -> None:
    text = (spool / "sinks" / "t.csv").read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines(keepends=True)))
    cells = [row["file"] for row in rows]
    assert [c.removeprefix("'") if c[1:] in SHOWN else c for c in cells] == SHOWN
    assert not any(value.lstrip()[:1] in set("=+-@\t\r") for row in rows for value in (row["file"], row["notes"]))
    assert all(None not in row and len(row) == len(rows[0]) for row in rows)


class Page(HTMLParser):
    """The elements of a page and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_of_each_name_holds_it_as_text(trained: Trained, spool: Path) -> None:
    ran = faultdx("diagnose", "--model", trained.run, "--json", "--report", "pages", "--", *IN_PAGES, cwd=spool)
    assert ran.code == 0 and ran.err == f"{len(IN_PAGES)} reports in pages\n"
    pages = sorted(p for p in (spool / "pages").iterdir() if p.name != "index.html")
    assert len(pages) == len(IN_PAGES) >= 19
    for path in pages:  # letters, digits and their marks of any script, and nothing that a shell or a terminal obeys
        assert len(path.name.encode("utf-8")) <= 255 and path.suffix == ".html" and path.name[0] not in ".-"
        assert all(c in "._-" or unicodedata.category(c)[0] in "LMN" for c in path.name), path.name
    seen, tags = [], []
    for path in pages:
        page = Page()
        page.feed(path.read_bytes().decode("utf-8"))
        seen += [name for name in SHOWN if name in page.text]
        tags.append(frozenset(page.tags))
        assert "script" not in page.tags
    assert set(seen) == {show(os.fsdecode(name)) for name in IN_PAGES}
    assert len(set(tags)) == 1  # the same elements whatever the name: nothing in it became one


def test_the_history_gives_each_name_back(spool: Path) -> None:
    with History.read(spool / "sinks" / "h.sqlite") as history:
        stored = [entry.row.file for entry in history.entries()]
    assert sorted(stored) == sorted(SHOWN)
    ran = faultdx_here("history", "sinks/h.sqlite", "--quiet", cwd=spool)
    assert ran.code == 0 and ran.err == "" and all(line.isprintable() for line in ran.lines)
    listed = faultdx_here("history", "sinks/h.sqlite", "--json", cwd=spool)
    assert listed.code == 0 and all(isinstance(found, dict) for found in listed.objects)
    assert all(line.isprintable() for line in listed.lines)


def test_the_metrics_hold_each_name_in_a_label(spool: Path) -> None:
    samples = parse((spool / "sinks" / "x.prom").read_text("utf-8"))
    named = [dict(labels)["file"] for name, labels in samples if name == "faultdx_record_confidence"]
    assert sorted(named) == sorted(SHOWN)
    assert samples[key("faultdx_run_records", status="diagnosed")] == len(NAMES)


def test_the_table_shows_each_name_and_obeys_none(trained: Trained, spool: Path) -> None:
    shown, code = on_terminal(("diagnose", "--model", trained.run, "--quiet", "--", *NAMES), spool, COLUMNS="500")
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)  # the heading is bold
    assert ESCAPE not in plain and "\x07" not in plain and "\r" not in plain.replace("\r\n", "")
    lines = plain.split("\r\n")
    assert [line[: len(name)] for line, name in zip(lines[1:], SHOWN, strict=False)] == SHOWN


def test_inspect_shows_each_name(spool: Path) -> None:
    ran = faultdx("inspect", "--", *NAMES, cwd=spool)
    assert ran.code == 0 and ran.err == ""
    assert all(line.isprintable() for line in ran.lines) and all(name in ran.out for name in SHOWN)
    listed = faultdx("inspect", "--json", "--", *NAMES, cwd=spool)
    assert [found["file"] for found in listed.objects] == SHOWN


def test_an_error_names_each_on_one_line(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "d[").mkdir()
    for name in NAMES:
        (tmp_path / os.fsdecode(name)).write_bytes(b"no recording")
    ran = faultdx("diagnose", "--model", trained.run, "--quiet", "--json", "--", *NAMES, cwd=tmp_path)
    assert ran.code == 4 and [found["file"] for found in ran.objects] == SHOWN
    said = ran.err.splitlines()
    assert len(said) == len(NAMES) and all(line.isprintable() for line in said)
    assert all(line.startswith(f"faultdx: error: {name}") for line, name in zip(said, SHOWN, strict=True))


@pytest.mark.parametrize("encoding", ["locale", "stream"])
def test_ascii_alone_says_any_name(trained: Trained, spool: Path, encoding: str) -> None:
    env, names = {"PYTHONIOENCODING": "ascii:strict"}, SHOWN
    if encoding == "locale":  # then a name is bytes, and those beyond ASCII are shown as such
        env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        names = [show(name.decode("ascii", "surrogateescape")) for name in NAMES]
    command = ("diagnose", "--model", trained.run, "--min-confidence", "0")
    ran = faultdx(*command, "--json", "--csv", f"{encoding}.csv", "--", *NAMES, cwd=spool, env=env)
    assert ran.code == 0 and ran.out.isascii() and ran.err.isascii()
    assert [found["file"] for found in ran.objects] == names
    assert (spool / f"{encoding}.csv").read_bytes().count(b"\r\n") == len(NAMES) + 1
    plain = faultdx(*command, "--", *NAMES, cwd=spool, env=env)
    assert plain.code == 0 and plain.out.isascii() and len(plain.lines) == len(NAMES)


# ---- terminals


def on_terminal(command: tuple[str | bytes | Path, ...], cwd: Path, **env: str) -> tuple[str, int]:
    """Run with stdout and stderr on one terminal, as a person does; return what it was sent, and the exit code."""
    leader, follower = pty.openpty()
    settings = {"TERM": "xterm-256color", "COLUMNS": "200"} | env
    process = subprocess.Popen(
        [*FAULTDX, *command], cwd=cwd, env=environment(**settings), stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody holds it any more
        while part := os.read(leader, 65536):
            shown += part
    os.close(leader)
    return shown.decode("utf-8", "surrogateescape"), process.wait(timeout=60)


COLOUR = re.compile(r"\x1b\[[\d;]*[349]\d")


@pytest.mark.parametrize(
    ("env", "escapes", "colours"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, False, False)],
)
def test_a_terminal_gets_what_it_can_show(
    trained: Trained, good: Path, env: dict[str, str], escapes: bool, colours: bool
) -> None:
    shown, code = on_terminal(("diagnose", "a.mat", "--model", trained.run, "--min-confidence", "0"), good, **env)
    assert code == 0 and "Traceback" not in shown
    assert (ESCAPE in shown, bool(COLOUR.search(shown))) == (escapes, colours)
    table = [line for line in shown.replace("\r", "\n").split("\n") if line.startswith("a.mat")]
    assert len(table) == 1  # a bar, if any, was taken away
    quiet, code = on_terminal(("diagnose", "a.mat", "--model", trained.run, "--json", "--quiet"), good, **env)
    assert code in {0, 4} and ESCAPE not in quiet and json.loads(quiet)["file"] == "a.mat"


def test_help_obeys_the_terminal(tmp_path: Path) -> None:
    assert COLOUR.search(on_terminal(("diagnose", "-h"), tmp_path)[0]) is None
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown, code = on_terminal(("diagnose", "-h"), tmp_path, **env)
        assert code == 0 and ESCAPE not in shown and "--fail-on" in shown


# ---- closed and full descriptors


def shell(script: str, *command: str | Path, cwd: Path, **env: str) -> Ran:
    """Run a script of bash in which "$@" is the command."""
    done = subprocess.run(
        ["bash", "-c", script, "bash", *FAULTDX, *command], cwd=cwd, env=environment(**env), capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def test_a_closed_stderr_changes_no_result(trained: Trained, good: Path) -> None:
    command = ("diagnose", "a.mat", "no.mat", "--model", trained.run, "--min-confidence", "0")
    right = shell('"$@"', *command, cwd=good)
    assert right.code == 4 and len(right.lines) == 2 and right.err != ""
    for streams in ("2>/dev/full", "<&- 2>&-"):
        files = ("--history", "h.sqlite", "--csv", "t.csv", "--metrics-file", "x.prom")
        ran = shell(f'"$@" {streams}', *command, *files, cwd=good)
        assert (ran.code, ran.out, ran.err) == (4, right.out, "")
        for written in ("t.csv", "x.prom", "h.sqlite"):
            assert b"faultdx: error" not in (good / written).read_bytes()
        with History.read(good / "h.sqlite") as history:
            assert [entry.row.file for entry in history.entries() if entry.row.status != "error"] == ["a.mat"]
        for path in (good / "t.csv", good / "x.prom", good / "h.sqlite"):
            path.unlink()


CLOSED = (
    "import os, sys; from faultdx.cli import console; console.run(lambda: print(os.open('/dev/null', os.O_RDONLY)))"
)


def test_no_file_is_opened_as_a_standard_stream(tmp_path: Path) -> None:
    """A library that writes to descriptor 2 must not write into the history."""
    for streams in ("2>&-", "<&- 2>&-", "<&-"):
        script = f'"$0" -c "$1" {streams}'
        done = subprocess.run(
            ["bash", "-c", script, FAULTDX[0], CLOSED], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0 and int(done.stdout) > 2, (streams, done)


def test_everything_closed_is_an_output_that_could_not_be_written(trained: Trained, good: Path) -> None:
    assert shell('"$@" <&- >&- 2>&-', "diagnose", "a.mat", "--model", trained.run, cwd=good).code == 5


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_full_disk_behind_stdout_is_one_line(tmp_path: Path, good: Path, buffered: str) -> None:
    commands = (
        ("--help",),
        ("--version",),
        ("networks", "--json"),
        ("completion", "bash"),
        ("inspect", good / "a.mat"),
    )
    for command in (*commands, *((name, "-h") for name in COMMANDS[:2])):
        ran = shell('"$@" >/dev/full', *command, cwd=tmp_path, PYTHONUNBUFFERED=buffered)
        assert_refused(ran, 5, "standard output: cannot be written", os.strerror(errno.ENOSPC))


def test_a_reader_that_left_is_no_error_for_anything(tmp_path: Path) -> None:
    for command in (("--version",), ("completion", "zsh"), ("--help",), ("networks",)):
        ran = shell('"$@" | true; exit "${PIPESTATUS[0]}"', *command, cwd=tmp_path)
        assert ran.code in {0, 141} and ran.err == "", command
    read, write = os.pipe()
    os.close(read)
    try:
        assert (faultdx("--help", stdout=write).code, faultdx("networks", stdout=write).code) == (141, 141)
    finally:
        os.close(write)
    first = shell('"$@" | head -1; exit "${PIPESTATUS[0]}"', "--version", cwd=tmp_path)
    assert first.code == 0 and first.lines[0].startswith("faultdx ")


# ---- order and time


MANY = 40


@contextlib.contextmanager
def started(*command: str | Path, cwd: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that is under way, its streams piped and buffered as they are by default."""
    process = subprocess.Popen(
        [*FAULTDX, *command], cwd=cwd, env=environment(PYTHONUNBUFFERED=""), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, bufsize=0,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def many(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty recordings of different content: a run that takes a second."""
    folder = tmp_path_factory.mktemp("many")
    found = {n: v for n, v in scipy.io.loadmat(trained.unseen / "501.mat").items() if not n.startswith("__")}
    (name,) = (n for n in found if n.endswith("_time"))
    for i in range(MANY):
        scipy.io.savemat(folder / f"{i:02d}.mat", found | {name: found[name] + 1e-6 * i})
    return folder


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_line_is_there_before_the_next_file_is_read(trained: Trained, many: Path, json_lines: bool) -> None:
    more = ("--json",) if json_lines else ()
    with started("diagnose", many, "--model", trained.run, *more, cwd=many) as process:
        assert process.stdout is not None
        first = os.read(process.stdout.fileno(), 1 << 20)
        assert process.poll() is None
        assert first.endswith(b"\n") and first.count(b"\n") < MANY
        rest, said = process.communicate(timeout=60)
    lines = (first + rest).decode().splitlines()
    names = [json.loads(line)["file"] if json_lines else line.partition(":")[0] for line in lines]
    assert [Path(name).name for name in names] == [f"{i:02d}.mat" for i in range(MANY)] and said == b""


def test_failures_keep_their_place_in_the_order(trained: Trained, good: Path) -> None:
    (good / "bad.mat").write_bytes(b"no recording")
    names = ["no.mat", "a.mat", "bad.mat", "-", "also-no.mat"]
    ran = faultdx("diagnose", *names, "--model", trained.run, "--json", stdin=(good / "a.mat").read_bytes(), cwd=good)
    assert ran.code == 4 and [found["file"] for found in ran.objects] == names
    assert [found["status"] == "error" for found in ran.objects] == [True, False, True, False, True]


# ---- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_whole_outputs_or_none(trained: Trained, many: Path, tmp_path: Path, number: int) -> None:
    files: tuple[str, ...] = ("--history", "h.sqlite", "--csv", "t.csv", "--metrics-file", "x.prom")
    files += ("--report", "r") if number == signal.SIGTERM else ()
    command = ("diagnose", many, "--model", trained.run, "--json", "--min-confidence", "0", *files)
    with started(*command, cwd=tmp_path) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(number)
        rest, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (128 + number, b"")
    printed = [json.loads(line)["file"] for line in [*lines, *rest.splitlines()]]
    assert 3 <= len(printed) < MANY
    assert {p.name for p in tmp_path.iterdir()} <= {"h.sqlite", "r"}  # no CSV, no metrics, nothing temporary
    pages = sorted((tmp_path / "r").iterdir()) if "--report" in files else []
    assert all(page.suffix == ".html" and page.read_text("utf-8").rstrip().endswith("</html>") for page in pages)
    with History.read(tmp_path / "h.sqlite") as history:
        stored = sorted(entry.row.file for entry in history.entries())
    # what was said is kept; the last, which the signal may have met between its line and its row, or before its line
    named = sorted(str(many / page.name.removesuffix(".html")) for page in pages)
    for kept in (stored, named) if pages else (stored,):
        assert kept == printed[: len(kept)] and len(printed) - 1 <= len(kept) <= len(printed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_inspect_ends_on_a_signal(many: Path, number: int) -> None:
    with started("inspect", many, "--json", cwd=many) as process:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        process.send_signal(number)
        rest, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (128 + number, b"")
    assert len(rest.splitlines()) < MANY - 1 and all(json.loads(line) for line in rest.splitlines())


# ---- the schema, and what the exit code says


@pytest.fixture(scope="module")
def mixed(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, object]]]:
    """Recordings of every fate, and what is said of them: diagnosed, undecided, unusable, error."""
    folder = tmp_path_factory.mktemp("mixed")
    shutil.copy(trained.unseen / "501.mat", folder / "a.mat")
    scipy.io.savemat(folder / "flat.mat", {"X001_DE_time": np.zeros((12_000, 1))})
    (folder / "bad.mat").write_bytes(b"no recording")
    names = ("a.mat", "flat.mat", "bad.mat", "no.mat")
    found: list[dict[str, object]] = []
    for least in ("0", "1"):
        ran = faultdx("diagnose", *names, "--model", trained.run, "--json", "--min-confidence", least,
                      "--sampling-rate", "12000", cwd=folder)  # fmt: skip
        assert ran.code == 4
        found += ran.objects
    return folder, found


def test_the_shipped_schema_holds_for_every_status(mixed: tuple[Path, list[dict[str, object]]]) -> None:
    schema = diagnosis_schema()
    _, found = mixed
    assert {d["status"] for d in found} == {"diagnosed", "undecided", "unusable", "error"}
    for diagnosis in found:
        validate(diagnosis, schema, schema)
        for wrong in ({"status": "fine"}, {"file": None}, {"probabilities": [1]}, {"segments": "many"}):
            with pytest.raises(AssertionError):
                validate(diagnosis | wrong, schema, schema)


def test_confidence_decides_as_it_is_told(trained: Trained, mixed: tuple[Path, list[dict[str, object]]]) -> None:
    folder, found = mixed
    sure, unsure = found[0], found[4]
    assert (sure["status"], unsure["status"], unsure["verdict"], unsure["fault"]) == (
        "diagnosed",
        "undecided",
        None,
        None,
    )
    assert sure["confidence"] == unsure["confidence"]  # what is found does not depend on what is asked
    half = faultdx_here("diagnose", "a.mat", "--model", trained.run, "--json", "--min-confidence", "0.5", cwd=folder)
    (middle,) = half.objects
    assert middle["confidence"] == sure["confidence"]
    if middle["confidence"] < 0.5:
        assert middle["status"] == "undecided"


def test_each_word_of_fail_on_has_its_code(trained: Trained, mixed: tuple[Path, list[dict[str, object]]]) -> None:
    folder, found = mixed
    verdict = str(found[0]["verdict"])
    classes = json.loads((trained.run / "model" / "model.json").read_text())["classes"]
    other = next(c for c in classes if c != verdict)
    is_fault = bool(found[0]["fault"])

    def code(*more: str, least: str = "0", files: tuple[str, ...] = ("a.mat",)) -> int:
        asked = ("diagnose", *files, "--model", trained.run, "--json", "--sampling-rate", "12000")
        return faultdx_here(*asked, "--min-confidence", least, *more, cwd=folder).code

    assert code() == 0
    assert [code("--fail-on", word) for word in (verdict, other, "never", "undecided", "unfamiliar")] == [3, 0, 0, 0, 0]
    assert code("--fail-on", "fault") == (3 if is_fault else 0)
    assert [code("--fail-on", word, least="1") for word in (verdict, "undecided", "fault")] == [0, 3, 0]
    repeated = ("--fail-on", other, "--fail-on", "never", "--fail-on", verdict)
    assert code(*repeated) == 3
    both = ("a.mat", "bad.mat", "flat.mat")
    assert (code(files=both), code("--fail-on", other, files=both), code("--fail-on", verdict, files=both)) == (4, 4, 3)
    assert (code(files=("bad.mat",)), code(files=("flat.mat",))) == (4, 4)
    assert code("--fail-on", "never", files=both) == 4


# ---- help and version


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_h_is_help_everywhere(tmp_path: Path, command: str) -> None:
    name = (command,) if command else ()
    short, long = faultdx_here(*name, "-h", cwd=tmp_path), faultdx_here(*name, "--help", cwd=tmp_path)
    assert short == long and short.code == 0 and short.err == ""
    assert re.match(rf"Usage: .*faultdx {command}.*\[OPTIONS\]", short.lines[0]) and short.out.isprintable() is False


def test_the_version_names_what_matters_and_imports_none_of_it(tmp_path: Path) -> None:
    from importlib import metadata

    lines = faultdx_here("--version", cwd=tmp_path).lines
    named = dict(line.split(" ", 1) for line in lines)
    assert list(named) == ["faultdx", "python", "numpy", "onnxruntime", "torch", "platform"]
    for name in ("numpy", "onnxruntime", "torch"):
        assert named[name] == metadata.version(name)
    probe = "import sys; from faultdx.versions import versions; versions(); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([FAULTDX[0], "-c", probe], check=False).returncode == 0


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from faultdx import versions

    monkeypatch.setattr(versions, "PACKAGES", ("numpy", "no-such-package-of-anybody"))
    assert "no-such-package-of-anybody not installed" in versions.version_lines()
