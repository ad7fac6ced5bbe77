"""The command line: Typer, one file a command. Nothing is imported before a command needs it, the other commands' files
included: to read the options of all of them takes as long as to start Python."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any

import typer

from faultdx.cli import console

# Each is the function of that name in the file of that name; in this order --help shows them.
COMMANDS = (
    "prepare",
    "train",
    "evaluate",
    "benchmark",
    "baseline",
    "diagnose",
    "inspect",
    "history",
    "export",
    "simulate",
    "networks",
    "download",
    "completion",
)

app: typer.Typer  # the whole of it, made when it is asked for: see __getattr__


def application(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """Return the command line with the commands `names`."""
    found = typer.Typer(
        name="faultdx",
        help="Vibration fault diagnosis: recordings in, a diagnosis with its evidence out.",
        epilog="Exit codes: 0 done, 1 internal error, 2 usage, 3 a result named by --fail-on, 4 an input unfit, "
        "5 output not written, 130/143 interrupted, 141 closed pipe.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # it takes a default in [brackets] for markup
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    found.callback()(_root)
    for name in names:
        found.command(name)(getattr(importlib.import_module(f"faultdx.cli.{name}"), name))
    return found


def _version(value: bool) -> None:
    if value:
        from faultdx.versions import version_lines

        console.out("\n".join(version_lines()))  # at once: `| head -1` must not find the pipe closed
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the versions that matter and exit."),
    ] = False,
) -> None:
    """Vibration fault diagnosis: recordings in, a diagnosis with its evidence out."""


def _wanted(words: list[str]) -> Iterable[str]:
    """Return the one command that is called, or all where none is known by its first word or where it lists them."""
    name = words[0] if words else ""
    if name == "--version":
        return ()
    return (name,) if name in COMMANDS and name != "completion" else COMMANDS


def main() -> None:
    """Entry point of the installed command."""
    # starting up makes objects that stay: to look among them for garbage every 700 takes 6 % of a short call
    gc.set_threshold(50_000, 20, 20)
    console.run(lambda: application(_wanted(sys.argv[1:]))())  # noqa: PLW0108 - its own errors are caught there, too


@cache
def _whole() -> typer.Typer:
    return application()


def __getattr__(name: str) -> Any:
    if name == "app":
        return _whole()
    raise AttributeError(f"module 'faultdx.cli' has no attribute {name!r}")
