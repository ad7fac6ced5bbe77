"""`faultdx diagnose`: recordings and a model -> verdicts on stdout, reports on request."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faultdx.cli import baseline as machine_baseline
from faultdx.cli import console, machine, options
from faultdx.cli.answering import Where, answers
from faultdx.cli.outputs import Outputs
from faultdx.cli.reports import note_language, reports_of

if TYPE_CHECKING:
    from faultdx.answers import Answer
    from faultdx.model import Model
    from faultdx.records import Item
    from faultdx.untrained import Untrained


def diagnose(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", show_default=False, help="Files, folders, globs, or - for standard input."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="FOLDER", help="A run folder, or its model/. Without: the bearing's physics."),
    ] = None,
    bearing: options.Bearing = None,
    baseline: machine_baseline.Option = None,
    gear: machine.Gear = None,
    machine_class: machine.MachineClass = None,
    power: machine.Power = None,
    zones: machine.Zones = None,
    json: options.Json = False,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Write a self-contained page a record, and a list, worst first."),
    ] = None,
    report_format: Annotated[
        list[str] | None,
        typer.Option("--report-format", metavar="NAMES", help="Of html, markdown, pdf; commas or repeated. [html]"),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on", metavar="WHAT", help="Exit 3 on fault, a class, undecided or unfamiliar. Repeatable. [never]"
        ),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option("--min-confidence", min=0, max=1, metavar="P", help="Below it: undecided. [the model's]"),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option("--history", metavar="FILE", help="Append each diagnosis to this SQLite file, once."),
    ] = None,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Pass over recordings that the history has already, by their content.")
    ] = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a row a record, safe for spreadsheets.")
    ] = None,
    metrics_file: Annotated[
        Path | None,
        typer.Option("--metrics-file", metavar="FILE", help="Write the run as metrics for Prometheus (X.prom)."),
    ] = None,
    asset: Annotated[
        str | None, typer.Option("--asset", metavar="NAME", help="The machine, where no records table names it.")
    ] = None,
    records: options.Records = None,
    sampling_rate: options.SamplingRate = None,
    rpm: options.Rpm = None,
    rpm_range: Annotated[
        str | None,
        typer.Option("--rpm-range", metavar="LOW:HIGH", help="Where to look for a speed that is not stated, rpm."),
    ] = None,
    channel: options.Channel = None,
    variable: options.Variable = None,
    unit: options.Unit = None,
    scale: options.Scale = None,
    quality: options.Quality = None,
    threads: Annotated[int, typer.Option("--threads", min=1, metavar="N", help="CPU threads.")] = 1,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, metavar="N", help="Processes; the output is the same, in order.")
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option("--dask", metavar="ADDRESS", help="Work on the cluster of a Dask scheduler, tcp://host:8786."),
    ] = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Diagnose recordings with a trained model, or bearing and gears by their numbers and speed alone.

    A table on a terminal, one line a file elsewhere, --json for scripts. A file that cannot be read is named and the
    others are still diagnosed (exit 4).
    """
    from faultdx.allocation import keep_memory
    from faultdx.answers import Wanted
    from faultdx.errors import ConfigError
    from faultdx.records import Declared, find_records

    if not files and records is None:
        raise ConfigError("nothing to diagnose: name a file, a folder, a glob, or - for standard input")
    _check_options(quality, new_only=new_only, has_history=history is not None)
    if dask is not None and jobs > 1:
        raise ConfigError("--jobs is for this machine and --dask for a cluster: choose one")
    keep_memory()
    loaded = _asked(model, bearing, threads=threads, min_confidence=min_confidence)
    knows_healthy = model is None or bool(baseline) or bool(loaded.info["healthy"])
    _check_fail_on(fail_on or [], loaded.classes, knows_healthy)
    declared = Declared(
        sampling_rate_hz=sampling_rate,
        rpm=rpm,
        channels=tuple(channel or ()),
        variable=variable,
        unit=unit,
        scale=scale,
        asset=asset,
        bearing=bearing,
        details=machine.details_of(gear, machine_class, zones, power) | _range_of(rpm_range),
    )
    items = find_records(files or [], table=machine.table_for(files or [], records), flags=declared)
    loaded.hears = _can_be_asked(items, model, bearing, compares=bool(baseline))
    if baseline:
        loaded = machine_baseline.beside(loaded, baseline, declared, quality=quality)
        items = machine_baseline.marked(items, loaded)
    _check_distinct(
        items, {"--history": history, "--csv": csv, "--metrics-file": metrics_file}, records, model, baseline
    )
    reports = reports_of(report, items, report_format, overwrite=overwrite)
    table = console.on_terminal() and not json
    outputs = Outputs(
        loaded, history=history, metrics_file=metrics_file, csv=csv, overwrite=overwrite, min_confidence=min_confidence
    )
    wanted = Wanted(
        min_confidence=min_confidence,
        quality=quality or "refuse",
        fail_on=frozenset(fail_on or ()),
        line=not json and not table,
        json=json,
        cells=table,
        row=outputs.wanted,
        page=reports is not None,
        trend=reports is not None and history is not None,
    )
    tally = Tally()
    with outputs, console.progress() as step:
        where = Where(jobs=jobs, threads=threads, dask=dask, hears=loaded.hears)
        found = answers(items, loaded, model, wanted, outputs, where, new_only=new_only)
        with closing(found):  # however the run ends, its workers end now
            for index, answer in found:
                if answer is not None:
                    tally.take(answer)
                    _say(answer, json=json)
                    if reports is not None:
                        reports.take(index, answer, outputs)
                    # last: what the history has is done with, and --new-only never comes back to it
                    if answer.row is not None and answer.json is not None:
                        outputs.add_row(answer.row, answer.json)
                step("diagnosing", index + 1, len(items))
        wrong = outputs.finish()
    for problem in wrong:
        console.say(console.error_line(problem))
    if outputs.skipped:
        console.note(f"{outputs.skipped} of {len(items)} recordings are in the history already")
    if table:
        tally.print_table()
    code = tally.code
    written = reports is None or reports.finish(passed_over=outputs.skipped)
    if (wrong or not written) and code != console.REACHED:
        code = console.NOT_WRITTEN
    if code:
        raise SystemExit(code)


def _range_of(text: str | None) -> dict[str, str]:
    """Return the speeds to look among as the column of a records table that means the same. Raises ConfigError."""
    if text is None:
        return {}
    from faultdx.unstated import COLUMN, known_range

    known_range(text)
    return {COLUMN: text}


def _check_distinct(
    items: Sequence[Item],
    outputs: dict[str, Path | None],
    records: Path | None,
    model: Path | None,
    baseline: Sequence[str] | None,
) -> None:
    """Raise ConfigError where an output is another one, or is read by this command."""
    if not any(outputs.values()):
        return
    from faultdx.files import check_distinct
    from faultdx.records.handles import locate

    history = outputs["--history"]
    beside = {} if history is None else {"the journal of --history": Path(f"{history}-journal")}
    named = [] if model is None else [p for folder in (model, model / "model") for p in folder.glob("*") if p.is_file()]
    read: list[str | Path] = [locate(item.path).file for item in items if item.path != "-"]
    read += [*named, *(baseline or ()), *([] if records is None else [records])]
    check_distinct({**outputs, **beside}, read)


class Tally:
    """What a run comes to: its exit code, and on a terminal its table. Of a line that was written nothing is kept."""

    def __init__(self) -> None:
        self._reached = self._unfit = False
        self._rows: list[tuple[str, ...]] = []
        self._warnings: list[str] = []

    def take(self, answer: Answer) -> None:
        """Count an answer."""
        self._reached |= answer.reached
        self._unfit |= answer.unfit
        if answer.cells:
            self._rows.append(answer.cells)
            self._warnings += [f"{answer.cells[0]}: {warning}" for warning in answer.warnings]

    @property
    def code(self) -> int:
        """The exit code of the run, as far as its records go."""
        if self._reached:
            return console.REACHED
        return console.UNFIT if self._unfit else console.DONE

    def print_table(self) -> None:
        """Draw the table; its notes are sentences, and go below it."""
        from faultdx.report.text import TABLE_HEADER

        console.print_table(list(TABLE_HEADER[:-1]), [list(row[:-1]) for row in self._rows])
        for warning in self._warnings:
            console.say(console.one_line(warning))  # a part of the result


def _can_be_asked(items: Sequence[Item], model: Path | None, bearing: str | None, *, compares: bool = False) -> bool:
    """Return whether a bearing is named, by the option or by a table. Raises ConfigError where nothing can be asked."""
    from faultdx.errors import ConfigError

    if not items:
        raise ConfigError("nothing to diagnose: no recordings found there")
    named = bearing is not None or any(item.declared.bearing for item in items)
    if model is None and not named and not compares and not machine.gears_named(items):
        raise ConfigError(
            "nothing to diagnose with: --model FOLDER, --bearing NAME or --gear TEETH (and --rpm where none is "
            "stated), or --baseline FILE"
        )
    return named


def _asked(model: Path | None, bearing: str | None, *, threads: int, min_confidence: float | None) -> Model | Untrained:
    """Return what is to be asked of each record. A bearing that nobody knows is refused before any work."""
    if bearing is not None:
        from faultdx.testimony import known_bearing

        known_bearing(bearing)
    if model is not None:
        from faultdx.model import load_model

        return load_model(model, threads=threads)
    from faultdx.errors import ConfigError
    from faultdx.untrained import Untrained

    if min_confidence is not None:
        raise ConfigError("--min-confidence is of a model's probability: without --model there is none")
    return Untrained()


def _say(answer: Answer, *, json: bool) -> None:
    """Write the result to stdout, and on stderr what makes the exit code 4."""
    if answer.complaint is not None:
        console.say(console.one_line(answer.complaint))
    if json and answer.json is not None:
        console.out_json(answer.json)
    elif answer.line is not None:
        console.out(answer.line)


def _check_options(quality: str | None, *, new_only: bool, has_history: bool) -> None:
    from faultdx.errors import ConfigError

    if quality is not None:
        from faultdx.config import QUALITY  # and all there is to configure

        if quality not in QUALITY:
            raise ConfigError(f"--quality {quality!r} is unknown: it is one of {', '.join(QUALITY)}")
    note_language()
    if new_only and not has_history:
        raise ConfigError("--new-only needs --history FILE: what is new is what the history does not have")


def _check_fail_on(wanted: Sequence[str], classes: Sequence[str], healthy_known: bool) -> None:
    from faultdx.errors import ConfigError

    allowed = ["never", "fault", "undecided", "unfamiliar", *classes]
    for word in wanted:
        if word not in allowed:
            raise ConfigError(f"--fail-on {word!r} is unknown: it is one of {', '.join(allowed)}")
    if "fault" in wanted and not healthy_known:
        raise ConfigError(
            "--fail-on fault cannot be reached: the model knows no healthy class (prepare --healthy CLASS names it); "
            "name the classes to fail on"
        )
