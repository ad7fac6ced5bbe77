"""Completion by the shells themselves: what a TAB offers is what the command line takes."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer.main
from helpers import Trained, assert_refused, faultdx_here

from faultdx.cli import app
from faultdx.cli.completion import OF_COMMAND, WORDS, described
from faultdx.config import QUALITY, RECIPES, SPLITS
from faultdx.downloads import cwru_files
from faultdx.errors import ConfigError
from faultdx.networks.architecture import INPUT_KINDS, NETWORKS
from faultdx.plans import shipped_plans
from faultdx.signals.bearings import bearing, catalogue, find_bearings
from faultdx.signals.noise import KINDS
from faultdx.signals.segments import NORMALIZATIONS

GROUP = typer.main.get_command(app)
COMMANDS, ROOT = described(GROUP)
DRIVER = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_faultdx faultdx "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        ran = faultdx_here("completion", shell, cwd=folder)
        assert ran.code == 0 and ran.err == ""
        (folder / f"faultdx.{shell}").write_text(ran.out, "utf-8")
    return folder


def offered(scripts: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words; readline takes --option=value apart before it asks."""
    done = subprocess.run(
        ["bash", "--norc", "-c", DRIVER, "bash", str(scripts / "faultdx.bash"), "faultdx", *words],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"], "HOME": str(scripts)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.split("\n") if line]


def test_commands_are_offered_first(scripts: Path) -> None:
    assert offered(scripts, "") == list(GROUP.commands)  # type: ignore[attr-defined]
    assert offered(scripts, "dia") == ["diagnose"]
    assert offered(scripts, "--v") == ["--version"]
    assert offered(scripts, "nonsense") == []


@pytest.mark.parametrize("command", list(GROUP.commands))  # type: ignore[attr-defined]
def test_every_option_is_offered_and_no_other(scripts: Path, command: str) -> None:
    taken = {n for p in GROUP.commands[command].params for n in (*p.opts, *p.secondary_opts) if n.startswith("-")}  # type: ignore[attr-defined]
    assert set(offered(scripts, command, "-")) == taken | {"-h", "--help"}


def test_values_are_offered_where_they_are_known(scripts: Path) -> None:
    assert offered(scripts, "train", "x.h5", "--network", "") == list(NETWORKS)
    assert offered(scripts, "train", "--network", "drsn-c") == [n for n in NETWORKS if n.startswith("drsn-c")]
    assert offered(scripts, "train", "--network", "=") == list(NETWORKS)
    assert offered(scripts, "train", "--network", "=", "wd") == ["wdcnn"]
    assert offered(scripts, "prepare", "--split", "s") == ["specimen"]
    assert offered(scripts, "simulate", "") == ["bearing", "gearbox"]
    assert offered(scripts, "train", "--epochs", "") == offered(scripts, "diagnose", "--model", "") == []
    assert offered(scripts, "diagnose", "--", "--m") == []  # a file


def test_bearings_of_the_catalogue_and_shipped_plans_are_offered(scripts: Path) -> None:
    bearings = offered(scripts, "diagnose", "--bearing", "")
    stems = {row.designation.split()[0] for row in catalogue()}
    assert set(bearings) <= stems and {"6205-2RS", "6308", "ER-16K"} <= set(bearings)
    for name in stems:  # what is offered is taken, and what is left out means several bearings
        if name in bearings:
            assert bearing(name) in find_bearings(name)
        else:
            with pytest.raises(ConfigError, match="one of several"):
                bearing(name)
    assert offered(scripts, "diagnose", "--bearing", "=", "6205") == ["6205-2RS"]
    assert offered(scripts, "benchmark", "") == list(shipped_plans())
    assert offered(scripts, "benchmark", "uest") == ["uestc-speed"]
    assert offered(scripts, "benchmark", "./my") == []  # a file, which readline completes
    zsh, fish = ((scripts / f"faultdx.{shell}").read_text("utf-8") for shell in ("zsh", "fish"))
    assert (
        "    benchmark)" in zsh and f"      compadd -- {' '.join(shipped_plans())}\n      ;;" in zsh
    )  # and on to _files
    assert f"__fish_seen_subcommand_from benchmark' -F -a '{' '.join(shipped_plans())}'" in fish


def test_the_classes_of_the_model_are_offered(scripts: Path, trained: Trained) -> None:
    always = ["never", "fault", "undecided", "unfamiliar"]
    assert offered(scripts, "diagnose", "--fail-on", "") == always
    for folder in (trained.run, trained.run / "model"):
        found = offered(scripts, "diagnose", "--model", str(folder), "a.mat", "--fail-on", "")
        assert found[:4] == always and "outer_race" in found and len(found) == 8
    assert offered(scripts, "diagnose", "--model", "=", str(trained.run), "--fail-on", "out") == ["outer_race"]


def test_nothing_in_a_model_is_run(scripts: Path, tmp_path: Path) -> None:
    text = '{\n  "classes": [\n    "fine",\n    "$(touch pwned)",\n    "`touch pwned`"\n  ]\n}\n'
    (tmp_path / "model.json").write_text(text)
    assert "fine" in offered(scripts, "diagnose", "--model", str(tmp_path), "--fail-on", "")
    assert offered(scripts, "diagnose", "--model", str(tmp_path), "--fail-on", "$") == []
    assert not (Path.cwd() / "pwned").exists()


def test_the_words_are_those_that_are_taken() -> None:
    assert WORDS["--quality"] == QUALITY and WORDS["--split"] == SPLITS and WORDS["--normalize"] == NORMALIZATIONS
    assert WORDS["--noise"] == KINDS and OF_COMMAND["train", "--noise"] == (*KINDS, "none")
    assert WORDS["--input"] == INPUT_KINDS and WORDS["--recipe"] == tuple(RECIPES)
    assert all(cwru_files([name]) for name in OF_COMMAND["download", "--set"])
    named = {(c.name, n) for c in COMMANDS for o in c.options for n in o.names}
    assert set(WORDS) <= {name for _, name in named} and set(OF_COMMAND) <= named


def test_what_takes_a_path_is_left_to_the_shell() -> None:
    takes = {(c.name, n): o.takes for c in COMMANDS for o in c.options for n in o.names}
    assert {takes["diagnose", n] for n in ("--model", "--report", "--history", "--csv", "--records")} == {"path"}
    assert {takes["export", n] for n in ("--out", "--calibrate")} == {takes["train", "--config"]} == {"path"}
    assert {takes["diagnose", n] for n in ("--rpm", "--min-confidence", "--asset")} == {"text"}
    assert {takes["diagnose", n] for n in ("--json", "--quiet", "-q", "-h")} == {""}
    assert {c.name: c.takes for c in COMMANDS if c.name in ("diagnose", "export", "networks", "simulate")} == {
        "diagnose": "path", "export": "path", "networks": "", "simulate": "words",
    }  # fmt: skip


def test_a_person_at_a_keyboard_gets_it(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "rec one.mat").write_bytes(b"")
    keys = "faultdx tra\t --netw\twdc\t rec\t\n"
    setup = f"source {scripts}/faultdx.bash; faultdx() {{ printf '<%s>' \"$@\"; echo ' done'; }}; echo ready\n"
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - another program from here
        os.chdir(tmp_path)
        clean = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], clean)
    seen = ""
    try:
        for text, until in ((setup, "\nready"), (keys, "> done")):
            os.write(terminal, text.encode())
            end = time.monotonic() + 30
            while until not in seen.replace("\r", "") and time.monotonic() < end:
                if select.select([terminal], [], [], 1)[0]:
                    seen += os.read(terminal, 65536).decode("utf-8", "replace")
    finally:
        os.close(terminal)
        os.waitpid(process, 0)
    assert "<train><--network><wdcnn><rec one.mat> done" in seen


def test_it_starts_no_python_and_loads_nothing_heavy(scripts: Path) -> None:
    text = (scripts / "faultdx.bash").read_text("utf-8")
    assert "python" not in text and "$(faultdx " not in text
    probe = "import sys\nfrom faultdx.cli import app\nsys.argv = ['faultdx', 'completion', 'bash']\ntry: app()\n"
    probe += "finally: assert not {'numpy', 'torch', 'onnxruntime'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_another_shell_is_refused(tmp_path: Path) -> None:
    assert_refused(faultdx_here("completion", "tcsh\x1b", cwd=tmp_path), 2, "tcsh\\x1b", "bash, zsh, fish")


def test_help_texts_with_quotes_stay_in_theirs(scripts: Path) -> None:
    for shell, quote in (("zsh", "'\\''"), ("fish", "\\'")):
        text = (scripts / f"faultdx.{shell}").read_text("utf-8")
        assert all(f"'{c.name}" in text or f" {c.name} " in text for c in COMMANDS)
        said = [line for line in text.splitlines() if "the model" in line and "temperature" in line]
        assert said and all(quote in line for line in said)
        assert all(line.replace(quote, "").count("'") % 2 == 0 for line in said)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_reads_its_script(scripts: Path) -> None:
    done = subprocess.run(["zsh", "-n", str(scripts / "faultdx.zsh")], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
def test_fish_offers_the_same(scripts: Path) -> None:
    for line, expected in (("faultdx dia", "diagnose"), ("faultdx train --network wd", "wdcnn")):
        code = f"source {scripts}/faultdx.fish; complete -C '{line}'"
        done = subprocess.run(["fish", "-N", "-c", code], capture_output=True, text=True, check=False)
        assert expected in [found.split("\t")[0] for found in done.stdout.splitlines()], done
