"""`faultdx benchmark`: a plan of trainings, run side by side, never twice, into one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faultdx.cli import console, options

if TYPE_CHECKING:
    from faultdx.benchmark.cells import Cell
    from faultdx.benchmark.runner import Standing
    from faultdx.plans import Plan

_SHOWN_EVERY_S = 0.5


def benchmark(
    plan: Annotated[
        str | None,
        typer.Argument(metavar="PLAN", show_default=False, help="A TOML file, or the name of a shipped plan (--list)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="The folder to write, or to go on in.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="FOLDER", help="What the plan's sources are relative to. [the plan's folder, or data]"
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", metavar="N", min=1, help="Cells side by side, one thread each. [the cores]")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N.")] = "cpu",
    listing: Annotated[bool, typer.Option("--list", help="List the plans that are shipped.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the plan's TOML, to copy and change.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count the cells and estimate the time; run none.")
    ] = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train and test networks as a plan says, and write one table and a page of curves.

    A cell of the plan is one training: its scores stand in results.csv, results.md and benchmark.html. The same command
    goes on where an interrupted one stopped; a finished cell is never run again. Exit code 4 says that cells failed.
    """
    from faultdx.errors import ConfigError
    from faultdx.extras import require
    from faultdx.plans import find_plan, shipped_plans

    if listing:
        _list(json)
        return
    if plan is None:
        raise ConfigError(f"no plan: name a TOML file, or one of those shipped: {', '.join(shipped_plans())}")
    found = find_plan(plan)
    if show:
        console.out(found.text.rstrip("\n"))
        return

    from faultdx.benchmark.runner import check_jobs, look

    root = (data or found.folder or Path("data")).absolute()
    side_by_side = check_jobs(jobs)
    if dry_run:
        # what --overwrite would run again counts as not run, and stays where it is
        _count(look(found, root, None if overwrite else out), side_by_side, json)
        return
    if out is None:
        raise ConfigError("--out FOLDER is missing: where the results go")
    require(("torch",), what="benchmark")
    standing, signum = _run(found, root, out, side_by_side, device, overwrite)
    _write(standing, out)
    done, failed = standing.count("finished"), standing.count("failed")
    if signum:
        console.say(f"faultdx: interrupted: {done} of {len(standing.cells)} cells done; the same command goes on")
        raise SystemExit(128 + signum)
    console.out(_summary(standing, out, json))
    if failed:
        console.say(f"faultdx: {failed} of {len(standing.cells)} cells failed; the same command tries them again")
        raise SystemExit(console.UNFIT)


def _list(json: bool) -> None:
    import json as jsonlib

    from faultdx.plans import find_plan, shipped_plans

    for name in shipped_plans():
        text = find_plan(name).description
        console.out(jsonlib.dumps({"name": name, "description": text}) if json else f"{name:<20} {text}")


def _count(standing: Standing, jobs: int, json: bool) -> None:
    import json as jsonlib

    told = {
        "plan": standing.plan.name,
        "cells": len(standing.cells),
        "finished": standing.count("finished"),
        "seconds_left": round(standing.seconds_left),
        "jobs": jobs,
        "estimate": _estimated_by(standing),
    }
    if json:
        console.out(jsonlib.dumps(told))
        return
    cells = len(standing.cells)
    console.out(
        f"{told['plan']}: {cells} cell{'s' * (cells != 1)}, {told['finished']} finished; about "
        f"{_long(standing.seconds_left)} of one thread are left, {_long(standing.seconds_left / jobs)} with {jobs} "
        f"side by side ({told['estimate']})"
    )


def _long(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{math.ceil(seconds / 60)} minutes"


def _estimated_by(standing: Standing) -> str:
    if standing.count("finished"):
        return "by the finished cells"
    return "by the plan's own figures" if standing.plan.cell_seconds else "a guess: two minutes a cell"


def _summary(standing: Standing, out: Path, json: bool) -> str:
    import json as jsonlib

    from faultdx.files import show

    if not json:
        return show(out)
    counts = {k: standing.count(k) for k in ("finished", "failed")}
    return jsonlib.dumps({"out": str(out), "plan": standing.plan.name, "cells": len(standing.cells), **counts})


def _write(standing: Standing, out: Path) -> None:
    from faultdx.benchmark.results import rows_of
    from faultdx.benchmark.runner import code_digest
    from faultdx.files import atomic_write
    from faultdx.report.benchmark import to_html, to_markdown

    rows = rows_of(standing.plan.name, standing.cells, standing.results)
    atomic_write(out / "results.md", to_markdown(standing, rows, code=code_digest()))
    atomic_write(out / "benchmark.html", to_html(standing, rows, code=code_digest()))


def _run(plan: Plan, root: Path, out: Path, jobs: int, device: str, overwrite: bool) -> tuple[Standing, int]:
    """Run the plan; return where it stands, and the signal that ended it or 0."""
    from faultdx.benchmark.runner import code_digest, run

    with console.stop_flag() as stopped, _shown() as table:
        told = False

        def report(standing: Standing, cell: Cell | None) -> None:
            nonlocal told
            if not told:
                told = True
                old = sum(
                    r.get("code") != code_digest() for r in standing.results.values() if r["status"] == "finished"
                )
                console.note(
                    f"{len(standing.cells)} cells, {standing.count('finished')} finished before; {jobs} at a time"
                )
                if old:
                    console.note(
                        f"note: {old} finished cells are of another version of the code (--overwrite runs all again)"
                    )
            table(standing)
            if cell is not None:
                line = _line(standing, cell)
                failed = standing.results[cell.address]["status"] == "failed"
                (console.say if failed else console.note)(console.one_line(line))

        standing = run(
            plan, root, out, jobs=jobs, device=device, overwrite=overwrite, stop=lambda: bool(stopped()), report=report
        )
        complete = all(c.address in standing.results for c in standing.cells)
        return standing, 0 if complete else stopped()


def _line(standing: Standing, cell: Cell) -> str:
    result = standing.results[cell.address]
    done = standing.count("finished") + standing.count("failed")
    head = f"cell {done}/{len(standing.cells)}: {cell.title}"
    if result["status"] == "failed":
        return f"{head}: failed: {result['error']['message']}"
    right = _accuracy(result)
    return f"{head}: {100 * right:.1f} % of segments right ({result['seconds']['train']:.0f} s)"


def _accuracy(result: dict[str, Any] | Any) -> float:
    """The mean over the tests of the last side scored, all records."""
    rows = [s for s in result["scores"] if (s["unit"], s["metric"], s["group"]) == ("segment", "accuracy", "all")]
    mine = [s["value"] for s in rows if s["side"] == rows[-1]["side"]]
    return float(sum(mine) / len(mine)) if mine else float("nan")


@contextmanager
def _shown() -> Iterator[Callable[[Standing], None]]:
    """Give a function that draws the standing as a table on a terminal, and does nothing anywhere else."""
    if not console.progress_is_shown():
        yield lambda _standing: None
        return
    from rich.console import Console
    from rich.live import Live

    screen = Console(stderr=True)
    if not screen.is_terminal:
        yield lambda _standing: None
        return
    with Live(console=screen, refresh_per_second=2, transient=True, redirect_stdout=False) as live:
        yield lambda standing: live.update(_table(standing))


def _table(standing: Standing) -> Any:
    from rich.table import Table
    from rich.text import Text

    hours, minutes = divmod(round(standing.seconds_left / max(1, len(standing.running)) / 60), 60)
    caption = f"about {hours} h {minutes:02d} min left" if hours else f"about {minutes} min left"
    table = Table(title=Text(standing.plan.name), caption=caption, box=None, pad_edge=False)
    for name in ("network", "recipe", "done", "at work", "failed", "segments right, %", "s a training"):
        table.add_column(name, justify="left" if name in ("network", "recipe") else "right")
    running = [(c.network, c.recipe.name) for c in standing.running]
    for key in dict.fromkeys((c.network, c.recipe.name) for c in standing.cells):
        mine = [c for c in standing.cells if (c.network, c.recipe.name) == key]
        results = [standing.results[c.address] for c in mine if c.address in standing.results]
        done = [r for r in results if r["status"] == "finished"]
        right = f"{100 * sum(map(_accuracy, done)) / len(done):.1f}" if done else ""
        seconds = f"{sum(r['seconds']['train'] for r in done) / len(done):.0f}" if done else ""
        counts = (f"{len(done)}/{len(mine)}", str(running.count(key) or ""), str(len(results) - len(done) or ""))
        table.add_row(Text(key[0]), Text(key[1]), *counts, right, seconds)
    return table
