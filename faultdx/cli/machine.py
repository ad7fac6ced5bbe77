"""What the options of `diagnose` say of the machine, beside its bearing: gears, class and power."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faultdx.cli import console
from faultdx.files import show

if TYPE_CHECKING:
    from faultdx.records import Item

Gear = Annotated[
    str | None,
    typer.Option(
        "--gear",
        metavar="TEETH[,TEETH]",
        help="Teeth of the gear on the shaft whose speed is stated, and of the one it meshes with.",
    ),
]
MachineClass = Annotated[
    str | None,
    typer.Option(
        "--machine-class",
        metavar="CLASS",
        help="For a zone of ISO 20816-3: group1-rigid, group1-flexible, group2-rigid or group2-flexible.",
    ),
]
Power = Annotated[
    float | None, typer.Option("--power", metavar="KW", help="Rated power: no zone of ISO 20816-3 without it.")
]
Zones = Annotated[
    str | None,
    typer.Option("--zones", metavar="AB,BC,CD", help="Limits of your own in mm/s RMS, 10-1000 Hz: 1.4,2.8,4.5."),
]


def details_of(
    gear: str | None, machine_class: str | None, zones: str | None, power_kw: float | None
) -> dict[str, str]:
    """Return what was said as the columns of a records table that mean the same. Raises ConfigError for nonsense."""
    said: dict[str, str] = {}
    if gear is not None:
        from faultdx.gearing import COLUMN, known_gears

        known_gears(gear)
        said[COLUMN] = gear
    if machine_class is not None or zones is not None or power_kw is not None:
        from faultdx.severity import CLASS, CUSTOM, POWER
        from faultdx.severity import machine_class as known_class

        known_class(machine_class, zones=zones, power_kw=power_kw)
        found = {CLASS: machine_class, CUSTOM: zones, POWER: None if power_kw is None else f"{power_kw:.12g}"}
        said |= {column: value for column, value in found.items() if value is not None}
    return said


def gears_named(items: Sequence[Item]) -> bool:
    """Tell whether the gears of any recording are named, by the option or by a table."""
    from faultdx.gearing import COLUMN

    return any(item.declared.details.get(COLUMN) or item.flags.details.get(COLUMN) for item in items)


def table_for(sources: Sequence[str], records: Path | None) -> str | None:
    """Return the records table that was named. Where none was, a terminal is told of those that lie beside the files.

    A folder is read with its table; files named one by one are not, and may then have no bearing and no speed.
    """
    if records is not None:
        return str(records)
    if console.progress_is_shown():
        from faultdx.records.folders import TABLE_NAME

        folders = {Path(source).parent for source in sources if source != "-" and not Path(source).is_dir()}
        for table in sorted(folder / TABLE_NAME for folder in folders):
            if table.is_file():
                console.note(
                    f"note: {show(table)} is not read for files named one by one: --records takes what it says"
                )
    return None
