"""`faultdx download`: the recordings of a data set from those who own them, each verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faultdx.cli import console, options

if TYPE_CHECKING:
    from faultdx import downloads
    from faultdx.downloads import Result


def download(
    name: Annotated[str, typer.Argument(metavar="cwru", help="Which data set: cwru.")],
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME",
            help="Part of it: normal, 12k-drive-end, 48k-drive-end, 12k-fan-end, or all. Repeatable. "
            "[normal and 12k-drive-end]",
        ),
    ] = None,
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", show_default=False, help="Folder to write. [data/cwru]")
    ] = Path("data/cwru"),
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Folder of a mirror, where the files have the same names."),
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Fetch the recordings of the CWRU Bearing Data Center from its own server, each verified by its digest.

    What is there already is not fetched again, and what was interrupted goes on. A file that fails its digest is not
    kept; the others are still fetched (exit 4).
    """
    from faultdx import downloads
    from faultdx.errors import ConfigError
    from faultdx.extras import require
    from faultdx.transfer import Limits

    if name != "cwru":
        raise ConfigError(f"{console.one_line(name)!r} is no data set that can be downloaded: cwru is")
    require(("pooch",), what="download")
    chosen = downloads.cwru_files(sets or downloads.DEFAULT_SETS)
    plan = downloads.plan(chosen, to, base_url=base_url or downloads.CWRU_FILES, overwrite=overwrite)
    for line in downloads.CWRU_TERMS:
        console.note(line)
    console.note(_announcement(plan))
    results = []

    def take(result: Result) -> None:
        results.append(result)
        if result.error is not None and result.status == "failed":
            console.say(console.error_line(result.error))
        if json:
            console.out_json(_object(result))

    for result in (*plan.there, *plan.kept):
        take(result)
    try:
        with console.progress() as step:

            def report(file: downloads.File, done: int) -> None:
                size = f"{done / 1e6:.1f} of about {file.about_bytes / 1e6:.1f} MB"
                step(f"downloading: {file.name}, {size}", len(results), len(chosen))

            for result in downloads.fetch(plan, limits=Limits(), report=report):
                take(result)
    except console.Stopped:
        console.note(f"interrupted: {_verified(results)} of {len(chosen)} files are there; the same command goes on")
        raise
    untried = sum(result.status == "not tried" for result in results)
    if (failed := len(results) - _verified(results) - untried) > 3:  # more than fit one look
        console.note(f"{_verified(results)} of {len(chosen)} files are there, {failed} failed")
    if untried:
        console.note(f"{untried} further files were not tried; the same command goes on")
    if not json and _verified(results):
        console.out(str(to))
    if any(result.error is not None for result in results):
        raise SystemExit(console.NOT_WRITTEN if plan.kept else console.UNFIT)


def _announcement(plan: downloads.Plan) -> str:
    count = len(plan.there) + len(plan.kept) + len(plan.wanted)
    text = f"{count} files, {len(plan.there)} of them there already"
    if plan.wanted:
        text += f"; {len(plan.wanted)} to fetch, about {max(plan.about_bytes / 1e6, 0.1):.3g} MB"
    return f"{text}: {console.one_line(str(plan.folder))}"


def _verified(results: list[Result]) -> int:
    return sum(result.error is None for result in results)


def _object(result: Result) -> str:
    import json

    error = None if result.error is None else {"kind": result.error.kind, "message": str(result.error)}
    found = {"file": str(result.path), "set": result.file.set, "status": result.status, "error": error}
    return json.dumps(found, ensure_ascii=False)
