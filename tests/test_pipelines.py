"""The pipelines of the documents: the shell ones are run for real, the units are checked by systemd itself."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
from helpers import Trained, environment, faultdx

from faultdx.cli import app

ROOT = Path(__file__).resolve().parent.parent
PIPELINES = ROOT / "docs" / "pipelines"
DIAGNOSE = {o for p in typer.main.get_command(app).commands["diagnose"].params for o in p.opts}  # type: ignore[attr-defined]
needs_history = pytest.mark.skipif(
    not {"--history", "--new-only", "--metrics-file"} <= DIAGNOSE, reason="faultdx diagnose has no --history yet"
)


@dataclass(frozen=True)
class Plant:
    """A place as the documents describe it: a spool folder with two recordings and a broken one, a model, a state."""

    folder: Path
    model: Path

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def environment(self) -> dict[str, str]:
        return environment(
            PATH=f"{self.folder / 'bin'}:{os.environ['PATH']}",
            SPOOL=str(self.spool),
            MODEL=str(self.model),
            STATE=str(self.state),
        )

    def run(self, *command: str | Path, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(c) for c in command], cwd=ROOT, env=self.environment(), capture_output=True, text=True,
            errors="surrogateescape", timeout=120, check=False,
        )  # fmt: skip
        assert code is None or done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def found(self) -> dict[str, dict[str, object]]:
        """What a plain call says of each file of the spool folder, by its name."""
        ran = faultdx("diagnose", self.spool, "--model", self.model, "--json")
        return {str(o["file"]): o for o in ran.objects}


@pytest.fixture
def plant(trained: Trained, tmp_path: Path) -> Plant:
    here = Plant(tmp_path, trained.run)
    for folder in (here.spool, here.state, tmp_path / "bin"):
        folder.mkdir()
    command = tmp_path / "bin" / "faultdx"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m faultdx "$@"\n')
    command.chmod(0o755)
    recordings = sorted(trained.unseen.glob("*.mat"))
    names = ("plain.mat", "-o rm 'it'; $(x) \"y\"\n.mat")
    for recording, name in zip((recordings[0], recordings[-1]), names, strict=True):
        shutil.copyfile(recording, here.spool / name)
    (here.spool / "broken.mat").write_bytes(b"no recording")
    for path in here.spool.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    return here


def shell_blocks() -> list[str]:
    text = (ROOT / "docs" / "pipelines.md").read_text("utf-8")
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block_with(word: str) -> str:
    (found,) = [block for block in shell_blocks() if word in block]
    return found


# ---- without a history


def test_every_shell_block_is_run_here() -> None:
    assert len(shell_blocks()) == 3
    assert all(block_with(word) for word in ("xargs", "spool.sh", "faultdx history"))


@pytest.mark.parametrize("script", ["check_faultdx.sh", "spool.sh"])
def test_the_scripts_are_plain_shell(script: str) -> None:
    for shell in filter(shutil.which, ("dash", "bash", "busybox")):
        words = (shell, "sh") if shell == "busybox" else (shell,)
        assert subprocess.run([*words, "-n", PIPELINES / script], check=False).returncode == 0, shell
    assert os.access(PIPELINES / script, os.X_OK)


def test_find_and_xargs_take_every_name(plant: Plant) -> None:
    plant.run("sh", "-c", block_with("xargs"), code=123)  # a broken file is code 4, which xargs makes 123
    found = [json.loads(line) for line in (plant.state / "found.ndjson").read_text().splitlines()]
    assert len(found) == 3 and {o["file"] for o in found} == set(plant.found())
    (plant.spool / "broken.mat").unlink()
    plant.run("sh", "-c", block_with("xargs"), code=0)


def test_the_nagios_plugin_says_what_faultdx_says(plant: Plant) -> None:
    found = plant.found()
    plugin = PIPELINES / "check_faultdx.sh"
    whole = plant.run(plugin, plant.model, plant.spool, code=None)
    faults = sum(o["fault"] is True for o in found.values())
    assert whole.returncode == (2 if faults else 3)
    assert f"records=3 faults={faults} " in whole.stdout and whole.stdout.endswith(" unfit=1\n")
    assert whole.stdout.count("\n") == 1 and whole.stderr == ""
    for name, o in found.items():
        one = next(path for path in plant.spool.iterdir() if path.name[:5] == Path(name).name[:5])
        expected = {"error": 3, "undecided": 1}.get(str(o["status"]), 2 if o["fault"] else 0)
        assert plant.run(plugin, plant.model, one, code=None).returncode == expected
    gone = plant.run(plugin, plant.folder / "no-model", plant.spool, code=3)
    assert gone.stdout.startswith("FAULTDX UNKNOWN - exit code 2, faultdx: error: ")
    assert plant.run(plugin, code=3).stdout.startswith("FAULTDX UNKNOWN - usage")


def line(file: str, status: str, verdict: str | None = None, fault: bool | None = None) -> str:
    start = {"schema": "faultdx.diagnosis/1", "file": file, "sha256": "", "status": status}
    return json.dumps({**start, "verdict": verdict, "fault": fault, "confidence": 0.5})


@pytest.mark.parametrize(
    ("lines", "code", "exit_code", "said"),
    [
        ([line("a", "diagnosed", "ok", False)], 0, 0, "OK - no fault in 1 records | records=1 faults=0 "),
        ([line("a", "undecided"), line("b", "diagnosed", "ok", False)], 0, 1, "WARNING - no verdict on a | records=2"),
        ([line("a", "unfamiliar")], 0, 1, "WARNING - no verdict on a |"),
        ([line("a", "error"), line("b|c", "diagnosed", "ball", True)], 3, 2, "first b/c: ball | records=2 faults=1"),
        ([line("a", "unusable")], 4, 3, "UNKNOWN - 1 of 1 records unfit, first a |"),
        ([line('x"status": "error"', "diagnosed", "ok", False)], 0, 0, "undecided=0 unfit=0"),
        ([], 1, 3, "UNKNOWN - exit code 1, faultdx: error: a/b"),
        ([], 127, 3, "UNKNOWN - exit code 127"),
    ],
)  # fmt: skip
def test_the_nagios_plugin_maps_every_code(
    tmp_path: Path, lines: list[str], code: int, exit_code: int, said: str
) -> None:
    command = tmp_path / "faultdx"
    (tmp_path / "lines").write_text("".join(f"{text}\n" for text in lines))
    command.write_text(f'#!/bin/sh\ncat "{tmp_path}/lines"\necho "faultdx: error: a|b" >&2\nexit {code}\n')
    command.chmod(0o755)
    path = environment(PATH=f"{tmp_path}:{os.environ['PATH']}")
    done = subprocess.run(
        [PIPELINES / "check_faultdx.sh", "model", "a"], env=path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.count("\n"), done.stdout.count("|")) == (exit_code, 1, 1)
    assert done.stdout.startswith("FAULTDX ") and said in done.stdout, done.stdout


# ---- with a history


@needs_history
def test_the_spool_loop_moves_every_file_where_it_belongs(plant: Plant) -> None:
    expected = {
        Path(name).name[:5]: "refused" if o["status"] == "error" else "fault" if o["fault"] else "done"
        for name, o in plant.found().items()
    }
    fresh = plant.spool / "fresh.mat"
    fresh.write_bytes(b"a logger is writing")
    (plant.spool / "refused").mkdir()
    (plant.spool / "refused" / "broken.mat").write_bytes(b"yesterday's")
    plant.run("sh", "-c", block_with("spool.sh"))
    moved = {path.name[:5]: path.parent.name for path in plant.spool.glob("*/*")}
    assert moved == expected
    assert [path.name for path in plant.spool.iterdir() if path.is_file()] == ["fresh.mat"]
    assert len(list((plant.spool / "refused").iterdir())) == 2  # both of that name
    assert len((plant.state / "results.ndjson").read_text().splitlines()) == 3
    shown = plant.run("sh", "-c", block_with("faultdx history"))
    assert len([text for text in shown.stdout.splitlines() if not text.startswith("changed")]) == 3
    assert (plant.state / "trend.png").stat().st_size > 1000 and (plant.state / "trend.ndjson").stat().st_size > 1000


@needs_history
def test_the_spool_loop_stops_where_faultdx_cannot_work(plant: Plant) -> None:
    before = sorted(plant.spool.iterdir())
    lost = Plant(plant.folder, plant.folder / "no-model")
    lost.run("sh", PIPELINES / "spool.sh", code=2)
    assert [path for path in sorted(plant.spool.iterdir()) if path.is_file()] == before


def cron_job() -> tuple[dict[str, str], str]:
    """The settings and the command of the cron file, read as cron reads them."""
    settings: dict[str, str] = {}
    jobs = []
    for text in (PIPELINES / "faultdx.cron").read_text("utf-8").splitlines():
        if setting := re.fullmatch(r"([A-Z]+)=(.*)", text):
            settings[setting[1]] = setting[2]
        elif text and not text.startswith("#"):
            times, user, command = re.fullmatch(r"((?:[-*/0-9,]+ ){5})(\w+) (.*)", text).groups()  # type: ignore[union-attr]
            assert times.split()[0] == "*/10" and user == "faultdx"
            jobs.append(command)
    (command,) = jobs
    assert "%" not in command  # cron would end the line there
    return settings, command


@needs_history
@pytest.mark.skipif(shutil.which("flock") is None, reason="no flock here")
def test_the_cron_line_speaks_up_once_and_is_silent_then(plant: Plant) -> None:
    settings, command = cron_job()
    assert {"SHELL", "PATH", "MAILTO", "SPOOL", "MODEL", "STATE"} == set(settings)
    (plant.spool / "broken.mat").unlink()
    found = plant.found()
    first = plant.run(settings["SHELL"], "-c", command)
    fault = any(o["fault"] for o in found.values())
    assert bool(first.stdout) == fault
    assert len((plant.state / "last.txt").read_text().splitlines()) == 2
    second = plant.run(settings["SHELL"], "-c", command)
    assert (second.stdout, (plant.state / "last.txt").read_text()) == ("", "")  # nothing new
    # a pass that is still running is left alone
    (plant.state / "last.txt").write_text("running")
    with (plant.state / "lock").open() as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        third = plant.run(settings["SHELL"], "-c", command)
    assert (third.stdout, (plant.state / "last.txt").read_text()) == ("", "running")


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, strict=True, comment_prefixes=("#",), delimiters=("=",))
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string((PIPELINES / name).read_text("utf-8"))
    return found


@needs_history
def test_the_command_of_the_service_runs(plant: Plant) -> None:
    command = shlex.split(unit("faultdx.service")["Service"]["ExecStart"])
    there = {
        "/opt/faultdx/bin/faultdx": plant.folder / "bin" / "faultdx",
        "/var/spool/vibration": plant.spool,
        "/etc/faultdx/model": plant.model,
        "/var/lib/faultdx/history.sqlite": plant.state / "history.sqlite",
        "/var/lib/node_exporter/faultdx.prom": plant.state / "faultdx.prom",
    }
    assert {word for word in command if word.startswith("/")} == set(there)
    words = [there.get(word, word) for word in command]
    fault = any(o["fault"] for o in plant.found().values())
    first = plant.run(*words, code=3 if fault else 4)
    assert len(first.stdout.splitlines()) == 3
    assert 'faultdx_run_records{status="error"} 1\n' in (plant.state / "faultdx.prom").read_text()
    second = plant.run(*words, code=4)  # the broken one is tried again
    assert len(second.stdout.splitlines()) == 1
    assert "faultdx_run_records_skipped 2\n" in (plant.state / "faultdx.prom").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    names = ("faultdx.service", "faultdx.timer", "faultdx-alert.service")
    for name in names:
        text = (PIPELINES / name).read_text("utf-8").replace("/opt/faultdx/bin/faultdx", "/bin/true")
        (tmp_path / name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / name for name in names)], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    times = unit("faultdx.timer")["Timer"]["OnCalendar"]
    done = subprocess.run(["systemd-analyze", "calendar", times], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "*:00/10:00" in done.stdout


def test_the_units_say_what_the_exit_codes_mean() -> None:
    service = unit("faultdx.service")
    assert service["Service"]["SuccessExitStatus"] == "4" and service["Service"]["Type"] == "oneshot"
    assert (PIPELINES / service["Unit"]["OnFailure"]).is_file()
    words = shlex.split(service["Service"]["ExecStart"])
    assert {"--fail-on", "--new-only", "--history", "--metrics-file"} < set(words)
    assert unit("faultdx.timer")["Install"]["WantedBy"] == "timers.target"
    written = [Path(word).parent for word in words if word.endswith((".sqlite", ".prom"))]
    allowed = {Path(service["Service"]["ReadWritePaths"]), Path("/var/lib") / service["Service"]["StateDirectory"]}
    assert set(written) == allowed  # all else is read-only
