"""`faultdx completion`: the script that lets a shell complete commands, options and their values.

The script holds every word itself: a TAB starts no Python.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faultdx.cli import console

if TYPE_CHECKING:
    from faultdx.cli.shells import Command, Option

# The words that an option takes, spelled here because those who know them import numpy; a test compares them.
WORDS: dict[str, tuple[str, ...]] = {
    "--quality": ("refuse", "warn", "off"),
    "--split": ("auto", "time", "condition", "specimen", "random"),
    "--normalize": ("none", "zscore", "record"),
    "--noise": ("gaussian", "pink", "laplacian"),
    "--input": ("waveform", "spectrogram"),
    "--recipe": ("default", "paper"),
    "--device": ("auto", "cpu", "cuda"),
    "--mat": ("5", "7.3"),
    "--fail-on": ("never", "fault", "undecided", "unfamiliar"),
}
# Where one command's word means something else, or more.
OF_COMMAND: dict[tuple[str, str], tuple[str, ...]] = {
    ("train", "--noise"): ("gaussian", "pink", "laplacian", "none"),
    ("download", "--set"): ("normal", "12k-drive-end", "12k-fan-end", "48k-drive-end", "all"),
}
_PATHS = ("FILE", "FOLDER", "DIR", "TABLE", "RUN", "SOURCE", "PREPARED")


def completion(
    context: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell to complete in.")],
) -> None:
    """Print the script that completes commands, options and their values in a shell.

    In ~/.bashrc or ~/.zshrc (after compinit): eval "$(faultdx completion bash)". For fish: faultdx completion fish
    >~/.config/fish/completions/faultdx.fish.
    """
    from faultdx.cli.shells import SCRIPTS
    from faultdx.errors import ConfigError

    if shell not in SCRIPTS:
        raise ConfigError(f"no completion for {console.one_line(shell)}: it is one of {', '.join(SCRIPTS)}")
    commands, root = described(context.find_root().command)
    console.out(SCRIPTS[shell](commands, root).rstrip("\n"))


def described(group: Any) -> tuple[list[Command], tuple[Option, ...]]:
    """Return the commands of the command line as they are, and the options of the whole."""
    from faultdx.cli.shells import HELP

    commands = [_command(name, command) for name, command in group.commands.items() if not command.hidden]
    return commands, (*(_option("", p) for p in group.params), HELP)


def _command(name: str, command: Any) -> Command:
    from faultdx.cli.shells import HELP, Command

    options = tuple(_option(name, p) for p in command.params if p.param_type_name == "option")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    takes, words = _value(arguments[0], ()) if arguments else ("", ())
    if name == "benchmark":
        takes, words = "words or path", _plans()
    return Command(name, _first_line(command.help), (*options, HELP), takes, words)


def _option(command: str, parameter: Any) -> Option:
    from faultdx.cli.shells import Option

    names = tuple(sorted((*parameter.opts, *parameter.secondary_opts), key=lambda n: not n.startswith("--")))
    if parameter.is_flag:
        return Option(names, _first_line(parameter.help), "")
    name = names[0]
    known = OF_COMMAND.get((command, name)) or WORDS.get(name, ())
    if name == "--network":
        from faultdx.networks.architecture import NETWORKS

        known = tuple(NETWORKS)
    elif name == "--bearing":
        known = _bearings()
    takes, words = _value(parameter, known)
    return Option(names, _first_line(parameter.help), takes, words)


def _bearings() -> tuple[str, ...]:
    """Return the bearings of the catalogue that a word names, without the maker's suffix behind a space."""
    from faultdx.errors import ConfigError
    from faultdx.signals.bearings import bearing, catalogue

    found: list[str] = []
    for word in dict.fromkeys(row.designation.split()[0] for row in catalogue()):
        with contextlib.suppress(ConfigError):  # one of several that differ: no word says which
            bearing(word)
            found.append(word)
    return tuple(found)


def _plans() -> tuple[str, ...]:
    """Return the names of the plans that are shipped, as `faultdx.plans.shipped_plans` does, which imports numpy."""
    folder = Path(__file__).parents[1] / "plans" / "shipped"
    return tuple(path.stem for path in sorted(folder.glob("*.toml"), key=lambda path: path.name))


def _value(parameter: Any, known: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return how a value is completed: by words, as a path, or not at all."""
    metavar = parameter.metavar or ""
    if known:
        return "words", known
    if "|" in metavar:  # bearing|gearbox
        return "words", tuple(metavar.split("|"))
    return ("path" if metavar.removesuffix("...").partition(".")[0] in _PATHS else "text"), ()


def _first_line(text: str | None) -> str:
    return " ".join((text or "").strip().partition("\n\n")[0].split())
