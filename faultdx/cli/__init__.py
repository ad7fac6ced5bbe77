"""The command line: Typer, one file a command. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

from typing import Annotated

import typer

from faultdx import __version__
from faultdx.cli import console, diagnose, download, history, inspect, networks, prepare, simulate, train

app = typer.Typer(
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


def _version(value: bool) -> None:
    if value:
        console.out(f"faultdx {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Vibration fault diagnosis: recordings in, a diagnosis with its evidence out."""


app.command("prepare")(prepare.prepare)
app.command("train")(train.train)
app.command("diagnose")(diagnose.diagnose)
app.command("inspect")(inspect.inspect)
app.command("simulate")(simulate.simulate)
app.command("networks")(networks.networks)
app.command("download")(download.download)
app.command("history")(history.history)


def main() -> None:
    """Entry point of the installed command."""
    console.run(app)
