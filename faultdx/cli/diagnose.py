"""`faultdx diagnose`: recordings and a model -> verdicts on stdout, reports on request."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faultdx.cli import console, options

if TYPE_CHECKING:
    from faultdx.records import Item


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
    records: options.Records = None,
    sampling_rate: options.SamplingRate = None,
    rpm: options.Rpm = None,
    channel: options.Channel = None,
    variable: options.Variable = None,
    unit: options.Unit = None,
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
    from faultdx.errors import ConfigError, OutputError
    from faultdx.files import check_folder, show
    from faultdx.records import Declared, find_records
    from faultdx.report.document import to_json
    from faultdx.report.text import one_line, table_rows

    if not files and records is None:
        raise ConfigError("nothing to diagnose: name a file, a folder, a glob, or - for standard input")
    loaded = load_model(model, threads=threads)
    _check_fail_on(fail_on or [], loaded.classes, bool(loaded.info["healthy"]))
    declared = Declared(
        sampling_rate_hz=sampling_rate, rpm=rpm, channels=tuple(channel or ()), variable=variable, unit=unit
    )
    items = find_records(files or [], table=None if records is None else str(records), flags=declared)
    if not items:
        raise ConfigError("nothing to diagnose: no recordings found there")
    names = report_names(items)
    if report is not None and report.exists() and not report.is_dir():
        raise OutputError(f"{show(report)}: is a file; choose a folder for the reports")
    if report is not None:
        check_folder(report)
    table = console.on_terminal() and not json
    done: list[Any] = []
    written = 0
    with console.progress() as step:
        for i, item in enumerate(items):
            found = loaded.diagnose_item(item, min_confidence=min_confidence)
            if found.error is not None:
                console.say(f"faultdx: error: {console.one_line(found.error['message'])}")
            if json:
                console.out_json(to_json(found))
            elif not table:
                console.out(one_line(found))
            if report is not None:
                try:
                    _write_report(found, report / names[i], dict(loaded.info) | loaded.summary, overwrite=overwrite)
                    written += 1
                except OutputError as error:  # the verdict is out, and the other files are waiting
                    console.say(console.error_line(error))
            # the samples are not needed any more: a thousand files must not fill the memory
            done.append(replace(found, record=None, segment_probabilities=None, segment_starts_s=None))
            step("diagnosing", i + 1, len(items))
    if table:
        header, rows = table_rows(done)
        console.print_table(header[:-1], [row[:-1] for row in rows])  # the notes are sentences: they go below
        for found in done:
            for warning in found.warnings:
                console.say(console.one_line(f"{found.file}: {warning}"))  # a part of the result
    if report is not None:
        console.note(f"{written} report{'s' * (written != 1)} in {console.one_line(str(report))}")
    code = outcome(done, fail_on or [])
    if report is not None and written < len(items) and code != console.REACHED:
        code = console.NOT_WRITTEN
    if code:
        raise SystemExit(code)


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


def report_names(items: Sequence[Item]) -> list[str]:
    """Return a file name for each record's report: its own name, made safe, and told apart where two are alike.

    A table may list a file twice, with other channels or variables: these are two records.
    """
    safe = []
    for item in items:
        name = "standard-input" if item.path == "-" else Path(item.path).name
        safe.append("".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[:120] or "record")
    count = Counter(safe)
    out = []
    for item, name in zip(items, safe, strict=True):
        which = "\0".join((item.path, *item.declared.channels, item.declared.variable or ""))
        mark = "-" + hashlib.sha256(which.encode("utf-8", "surrogateescape")).hexdigest()[:8] if count[name] > 1 else ""
        out.append(f"{name}{mark}.html")
    return out


def _write_report(found: Any, target: Path, info: dict[str, Any], *, overwrite: bool) -> None:
    from faultdx.errors import OutputError
    from faultdx.files import atomic_write, show
    from faultdx.report.html import render

    page = render(found, model_info=info).encode("utf-8")
    if target.exists() and not overwrite:
        if target.is_file() and target.read_bytes() == page:
            return  # the same report: nothing to lose
        raise OutputError(f"{show(target)}: exists already and is another report; --overwrite replaces it")
    atomic_write(target, page)
