"""Options that several commands share: the same word, the same meaning, everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faultdx.cli.console import Settings


def _quiet(value: bool) -> bool:
    Settings.quiet = Settings.quiet or value
    return value


def _verbose(value: bool) -> bool:
    Settings.verbose = Settings.verbose or value
    return value


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_quiet, help="No notes and no progress; results and errors stay.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", callback=_verbose, help="Say more, and show where an internal error arose.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output where it exists.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="TOML file of settings; options stand above it.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any setting of the configuration, by its name. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
SamplingRate = Annotated[
    float | None,
    typer.Option("--sampling-rate", metavar="HZ", help="Of records that do not state theirs; never guessed."),
]
Rpm = Annotated[float | None, typer.Option("--rpm", metavar="RPM", help="Shaft speed, where the record has none.")]
Channel = Annotated[
    list[str] | None,
    typer.Option("--channel", metavar="NAME", help="Channel to read, by name or number from 1. Repeatable."),
]
Bearing = Annotated[
    str | None,
    typer.Option(
        "--bearing",
        metavar="NAME",
        help="The bearing, e.g. 6205-2RS, or its geometry: elements,diameter,pitch diameter[,contact angle], or its "
        "orders: bpfo=..,bpfi=..,bsf=..,ftf=...",
    ),
]
Variable = Annotated[
    str | None, typer.Option("--variable", metavar="NAME", help="Variable or column that holds the signal.")
]
Unit = Annotated[str | None, typer.Option("--unit", metavar="UNIT", help="Unit of the signal, e.g. g or m/s2.")]
Quality = Annotated[
    str | None,
    typer.Option(
        "--quality",
        metavar="HOW",
        help="What a signal that fails a check gets: refuse, warn, or off (no checks). [refuse]",
    ),
]
Scale = Annotated[
    float | None,
    typer.Option("--scale", metavar="X", help="Multiply the samples: units per full scale of a WAV, 1/sensitivity."),
]
Records = Annotated[
    Path | None,
    typer.Option("--records", metavar="TABLE", help="Records table (CSV, Parquet) that describes the files."),
]
