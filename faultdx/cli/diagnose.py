"""`faultdx diagnose`: recordings and a model -> verdicts on stdout, reports on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faultdx.cli import console, options
from faultdx.cli.outputs import Outputs
from faultdx.cli.reports import Reports

if TYPE_CHECKING:
    from faultdx.diagnosis import Diagnosis


def diagnose(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", show_default=False, help="Files, folders, globs, or - for standard input."),
    ] = None,
    model: Annotated[Path, typer.Option("--model", metavar="FOLDER", help="A run folder, or its model/.")] = ...,  # type: ignore[assignment]
    json: options.Json = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Write one self-contained HTML file a record.")
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option("--fail-on", metavar="WHAT", help="Exit 3 on fault, a class, or undecided. Repeatable. [never]"),
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
    channel: options.Channel = None,
    variable: options.Variable = None,
    unit: options.Unit = None,
    scale: options.Scale = None,
    quality: options.Quality = None,
    threads: Annotated[int, typer.Option("--threads", min=1, metavar="N", help="CPU threads.")] = 1,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Diagnose recordings with a trained model.

    A table on a terminal, one line a file elsewhere, --json for scripts. A file that cannot be read is named and the
    others are still diagnosed (exit 4).
    """
    from faultdx.diagnosis import load_model, outcome
    from faultdx.errors import ConfigError
    from faultdx.records import Declared, find_records
    from faultdx.report.document import to_json
    from faultdx.report.text import one_line, table_rows

    if not files and records is None:
        raise ConfigError("nothing to diagnose: name a file, a folder, a glob, or - for standard input")
    _check_options(quality, new_only=new_only, has_history=history is not None)
    loaded = load_model(model, threads=threads)
    _check_fail_on(fail_on or [], loaded.classes, bool(loaded.info["healthy"]))
    declared = Declared(
        sampling_rate_hz=sampling_rate,
        rpm=rpm,
        channels=tuple(channel or ()),
        variable=variable,
        unit=unit,
        scale=scale,
        asset=asset,
    )
    items = find_records(files or [], table=None if records is None else str(records), flags=declared)
    if not items:
        raise ConfigError("nothing to diagnose: no recordings found there")
    reports = None if report is None else Reports(report, items, dict(loaded.info) | loaded.summary, overwrite)
    table = console.on_terminal() and not json
    done: list[Any] = []
    outputs = Outputs(
        loaded, history=history, metrics_file=metrics_file, csv=csv, overwrite=overwrite, min_confidence=min_confidence
    )
    with outputs, console.progress() as step:
        for i, item in enumerate(items):
            if new_only and outputs.known(item):
                step("diagnosing", i + 1, len(items))
                continue
            found = loaded.diagnose_item(item, min_confidence=min_confidence, quality=quality or "refuse")
            _complain(found)
            if json:
                console.out_json(to_json(found))
            elif not table:
                console.out(one_line(found))
            outputs.add(found, item)
            if reports is not None:
                reports.write(i, found)
            # the samples are not needed any more: a thousand files must not fill the memory
            done.append(replace(found, record=None, segment_probabilities=None, segment_starts_s=None))
            step("diagnosing", i + 1, len(items))
        wrong = outputs.finish()
    for problem in wrong:
        console.say(console.error_line(problem))
    if outputs.skipped:
        console.note(f"{outputs.skipped} of {len(items)} recordings are in the history already")
    if table:
        header, rows = table_rows(done)
        console.print_table(header[:-1], [row[:-1] for row in rows])  # the notes are sentences: they go below
        for found in done:
            for warning in found.warnings:
                console.say(console.one_line(f"{found.file}: {warning}"))  # a part of the result
    code = outcome(done, fail_on or [])
    written = reports is None or reports.finish()
    if (wrong or not written) and code != console.REACHED:
        code = console.NOT_WRITTEN
    if code:
        raise SystemExit(code)


def _complain(found: Diagnosis) -> None:
    """Name on stderr what makes the exit code 4."""
    from faultdx.report.text import one_line

    if found.error is not None:
        console.say(f"faultdx: error: {console.one_line(found.error['message'])}")
    elif found.status == "unusable":
        console.say(f"faultdx: {console.one_line(one_line(found))}")


def _check_options(quality: str | None, *, new_only: bool, has_history: bool) -> None:
    from faultdx.config import QUALITY
    from faultdx.errors import ConfigError

    if quality is not None and quality not in QUALITY:
        raise ConfigError(f"--quality {quality!r} is unknown: it is one of {', '.join(QUALITY)}")
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
