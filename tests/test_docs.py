"""What is written is true: each command and option has help, and the documents name only what there is."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

import faultdx
from faultdx.cli import app

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("README.md"), *(ROOT / "docs").rglob("*.md")])
SCRIPTS = sorted((ROOT / "docs").rglob("*.sh"))
COMMANDS: dict[str, Any] = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
ROOT_OPTIONS = {"--help", "-h", "--version"}
OPERATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "(", ")", "|&", "<(", ";;"}
SHELLS = {"", "sh", "bash", "shell", "console", "shell-session"}


@dataclass(frozen=True)
class Written:
    """A command line of faultdx as a document shows it."""

    where: str
    words: tuple[str, ...]


FENCE = re.compile(r"^ *(```+|~~~+) *([\w-]*)[^\n]*\n(.*?)^ *\1 *$", re.MULTILINE | re.DOTALL)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield (language, content) of each fenced block, and each run of indented lines as a block without one."""
    for match in FENCE.finditer(text):
        yield match[2].lower(), match[3]
    for match in re.finditer(r"(?:^ {4,}\S[^\n]*\n?)+", outside(text), re.MULTILINE):
        yield "", match[0]


def outside(text: str) -> str:
    """Return a document without its fenced blocks."""
    return FENCE.sub("", text)


def commands_in(line: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of each call of faultdx in a line of shell, the name itself left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in OPERATORS or set(word) <= set("();<>|&"):
            names = [i for i, w in enumerate(words) if Path(w).name == "faultdx"]
            if names and words[0] != "echo" and names[0] + 1 < len(words):
                yield tuple(words[names[0] + 1 :])
            words = []
        else:
            words.append(word)


def written() -> list[Written]:
    """Every call of faultdx in the documents and scripts, in blocks and in running text."""
    found = []
    for path in DOCUMENTS + SCRIPTS:
        text = path.read_text("utf-8")
        where = str(path.relative_to(ROOT))
        for language, content in [("sh", text)] if path in SCRIPTS else blocks(text):
            for line in content.replace("\\\n", " ").splitlines() if language in SHELLS else ():
                shell = line.strip().removeprefix("$ ")
                if "faultdx " in shell and not shell.startswith("#"):
                    try:
                        found += [Written(f"{where}: {shell}", words) for words in commands_in(shell)]
                    except ValueError:  # a word with an apostrophe: output, not a command
                        assert not shell.startswith("faultdx "), f"{where}: {shell}"
        if path in DOCUMENTS:
            for code in re.findall(r"`(faultdx [^`\n]+)`", outside(text)):
                found += [Written(f"{where}: `{code}`", words) for words in commands_in(code)]
    return found


def options_of(command: str) -> set[str]:
    return {name for p in COMMANDS[command].params for name in (*p.opts, *p.secondary_opts) if name.startswith("-")} | {
        "-h",
        "--help",
    }


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_and_option_has_help(command: str) -> None:
    assert COMMANDS[command].help and COMMANDS[command].help.strip().endswith(".")
    for parameter in COMMANDS[command].params:
        if parameter.name != "help":
            assert parameter.help, (command, parameter.name)
            assert parameter.help[0].isupper() or parameter.help.split()[0].islower(), (command, parameter.name)


def test_an_option_means_the_same_in_every_command() -> None:
    shared = "--json --records --sampling-rate --rpm --channel --variable --unit --overwrite --config --set --quiet"
    for name in [*shared.split(), "--verbose"]:
        # what is downloaded is a set of recordings: the word of the Data Center
        asked = [c for command, c in COMMANDS.items() if (command, name) != ("download", "--set")]
        said = {p.help for command in asked for p in command.params if name in p.opts}
        assert len(said) == 1, (name, said)


def test_the_commands_of_the_contract_are_there() -> None:
    assert {"prepare", "train", "diagnose", "inspect", "simulate", "networks", "download", "history"} <= set(COMMANDS)
    promised = {
        "prepare": "--records --labels --sampling-rate --rpm --channel --variable --segment --hop --normalize --noise "
        "--snr --split --fractions --workers --out --overwrite --config --set --seed --quiet --verbose",
        "train": "--network --recipe --epochs --batch --noise --snr --device --out --overwrite --resume --config --set "
        "--seed --threads --quiet --verbose",
        "diagnose": "--model --sampling-rate --rpm --channel --variable --report --fail-on --min-confidence --json "
        "--threads --quiet --verbose --quality --scale --history --new-only --csv --metrics-file",
        "networks": "--classes --json",
        "download": "--set --to --base-url --overwrite --json --quiet --verbose",
        "history": "--asset --last --json --plot",
        "export": "--out --int8 --calibrate --probabilities --seed --json --overwrite --quiet --verbose",
        "evaluate": "--noise --snr --side --by --resample --seed --threads --out --overwrite --json --quiet --verbose",
        "benchmark": "--out --data --jobs --device --list --show --dry-run --overwrite --json --quiet --verbose",
    }
    for command, options in promised.items():
        assert set(options.split()) - options_of(command) == set(), command


def test_documents_name_only_commands_and_options_that_there_are() -> None:
    calls = written()
    assert len(calls) >= 5, calls
    for call in calls:
        words = [w for w in call.words if w not in {"...", "…"}]
        command = next((w for w in words if not w.startswith("-")), None)
        allowed = ROOT_OPTIONS
        if command is not None and command != "COMMAND":
            assert command in COMMANDS, call
            allowed = options_of(command)
        given = words[: words.index("--")] if "--" in words else words
        named = {w.partition("=")[0] for w in given if re.match(r"--?[A-Za-z]", w)}
        assert named <= allowed, (call.where, named - allowed)


def test_options_in_running_text_are_options_of_some_command() -> None:
    known = ROOT_OPTIONS.union(*map(options_of, COMMANDS))
    for path in DOCUMENTS:
        for name in re.findall(r"`(--[a-z][a-z0-9-]*)[^`\n]*`", outside(path.read_text("utf-8"))):
            assert name in known, f"{path.name}: {name}"


def test_the_reader_of_documents_reads() -> None:
    line = 'X=1 faultdx prepare a.mat --out "b c.h5" && .venv/bin/faultdx train b.h5 --out r | tee log; echo faultdx no'
    assert list(commands_in(line)) == [("prepare", "a.mat", "--out", "b c.h5"), ("train", "b.h5", "--out", "r")]
    assert list(commands_in("python -m faultdx networks --json > n.txt")) == [("networks", "--json")]
    assert list(commands_in("*/10 * * * * faultdx inspect a.mat")) == [("inspect", "a.mat")]
    assert list(commands_in("pip install faultdx")) == list(commands_in('logger "faultdx is broken"')) == []
    text = "a\n```sh\nfaultdx x\n```\nb\n\n    faultdx y\n"
    assert list(blocks(text)) == [("sh", "faultdx x\n"), ("", "    faultdx y\n")]


def test_links_between_documents_lead_somewhere() -> None:
    for path in DOCUMENTS:
        text = re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target and not target.startswith("mailto:"):
                assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_public_names_have_docstrings() -> None:
    for name in faultdx.__all__:
        if name == "__version__":
            continue
        found = getattr(faultdx, name)
        assert inspect.getdoc(found), name
        if inspect.isclass(found) and found.__module__.startswith("faultdx"):
            for method, value in vars(found).items():
                if callable(value) and not method.startswith("_"):
                    assert inspect.getdoc(value), f"{name}.{method}"


def test_every_module_says_what_it_is() -> None:
    for path in sorted(Path(faultdx.__file__).parent.rglob("*.py")):
        parts = path.relative_to(Path(faultdx.__file__).parent.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name != "faultdx.__main__":
            assert importlib.import_module(name).__doc__, name


def test_no_figure_is_left_to_fill_in() -> None:
    for path in DOCUMENTS:
        assert not re.findall(r"@[A-Z0-9]+@|TODO|TBD", path.read_text("utf-8")), path.name
