"""`faultdx history`: the trend of a plant, and what changed since the run before."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faultdx.cli import console, options

if TYPE_CHECKING:
    from faultdx.changes import Change
    from faultdx.history import Entry

SCHEMA = "faultdx.history/1"
_HEADER = ["time (UTC)", "asset", "point", "result", "confidence", "p(fault)", "level RMS", "file"]


def history(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What diagnose --history wrote.", show_default=False)],
    asset: Annotated[str | None, typer.Option("--asset", metavar="NAME", help="This machine only. [all]")] = None,
    last: Annotated[
        int | None,
        typer.Option("--last", min=1, metavar="N", help="The newest N records of each measuring point only. [all]"),
    ] = None,
    json: options.Json = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw levels and fault probabilities over time: .png or .svg."),
    ] = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show the trend that a history holds, and what changed at each measuring point since the run before.

    A table on a terminal, one line a record and a change elsewhere, --json for scripts.
    """
    from faultdx.changes import changes
    from faultdx.errors import ConfigError
    from faultdx.extras import require
    from faultdx.files import atomic_write, check_distinct, check_target, show
    from faultdx.history import History
    from faultdx.report.row import Row

    if plot is not None:
        _format_of(plot)
        require(("matplotlib",), what="--plot")
        check_distinct({"--plot": plot}, [file])
        check_target(plot, overwrite=overwrite)
    asset = None if asset is None else show(asset)
    with History.read(file) as opened:
        if asset is not None and not opened.series(asset=asset):
            assets = dict.fromkeys(name or "(records without an asset)" for name, _ in opened.series())
            listed = ", ".join(list(assets)[:20]) + (f" and {len(assets) - 20} more" if len(assets) > 20 else "")
            raise ConfigError(f"{show(file)}: has no asset {asset or '(none named)'}; it has {listed}")
        table = console.on_terminal() and not json
        cells: list[list[str]] = []
        rows: list[Row] = []
        for entry in opened.entries(asset=asset, last=last):
            if plot is not None:
                rows.append(entry.row)
            if table:
                cells.append(_cells(entry))
            elif json:
                console.out_json(jsonlib.dumps(_record(entry), ensure_ascii=False))
            else:
                console.out(_line(entry))
        if table:
            console.print_table(_HEADER, cells)
        found = changes(opened, asset=asset)
        for change in found:
            if json:
                console.out_json(jsonlib.dumps(_change(change), ensure_ascii=False))
            else:
                console.out(f"changed: {_where(change.asset, change.point)}: {change.text}{_since(change)}")
        if not found:
            console.note("nothing changed since the run before")
    if plot is not None:
        from faultdx.report.trend import trend_picture

        title = asset if asset is not None else file.name
        atomic_write(plot, trend_picture(rows, title=title, format=_format_of(plot)), overwrite=overwrite)
        console.note(f"picture in {console.one_line(str(plot))}")


def _format_of(plot: Path) -> str:
    from faultdx.errors import ConfigError
    from faultdx.files import show

    found = plot.suffix.lower().removeprefix(".")
    if found not in {"png", "svg"}:
        raise ConfigError(f"--plot {show(plot)}: the name must end in .png or .svg")
    return found


def _where(asset: str, point: str) -> str:
    return f"{asset or 'no asset named'}{', ' if point else ''}{point}"


def _since(change: Change) -> str:
    return f" (since {change.since[:16]}Z)" if change.since else " (no run before)"


def _result(entry: Entry) -> str:
    row = entry.row
    if row.verdict is None:
        return row.status
    kind = {True: "fault: ", False: "no fault found: ", None: ""}[row.fault]
    return f"{kind}{row.verdict}"


def _level(entry: Entry) -> str:
    row = entry.row
    return "-" if row.level_rms is None else f"{row.level_rms:.4g} {row.unit or 'raw units'}"


def _cells(entry: Entry) -> list[str]:
    from faultdx.report.text import percent

    row = entry.row
    shares = [percent(row.confidence), percent(row.fault_probability)]
    return [_minute(row.time), row.asset or "-", row.point or "-", _result(entry), *shares, _level(entry), row.file]


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")


def _line(entry: Entry) -> str:
    from faultdx.report.text import percent

    row = entry.row
    said = [_result(entry)]
    if row.confidence is not None:
        said.append(f"confidence {percent(row.confidence)}")
    if row.fault_probability is not None:
        said.append(f"fault probability {percent(row.fault_probability)}")
    if row.level_rms is not None:
        said.append(f"level RMS {_level(entry)}")
    return f"{row.time} {_where(row.asset, row.point)}: {', '.join(said)} ({row.file})"


def _record(entry: Entry) -> dict[str, Any]:
    fields = asdict(entry.row)
    del fields["content"]
    return {"schema": SCHEMA, "type": "record", **fields, "run": entry.run, "run_started": entry.run_started}


def _change(change: Change) -> dict[str, Any]:
    return {"schema": SCHEMA, "type": "change", **asdict(change), "text": change.text}
