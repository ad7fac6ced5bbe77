"""`faultdx evaluate`: a run folder and a prepared file -> figures with intervals, as JSON, CSV and a page."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faultdx.cli import console, options

if TYPE_CHECKING:
    from faultdx.assessment import Question

_FILES = ("evaluation.csv", "evaluation.html", "evaluation.json")  # in the order they are written: JSON is the last
_JOURNAL = "evaluation"
_MOST_SNRS = 200


def evaluate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Run folder, its model/, or a folder of runs (seeds of one model).")
    ],
    data: Annotated[
        Path | None,
        typer.Argument(metavar="DATA", show_default=False, help="Prepared file. [the one that RUN was trained on]"),
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option("--noise", metavar="KIND", help="Noise to add; repeatable or a,b; or none. [all three kinds]"),
    ] = None,
    no_noise: Annotated[bool, typer.Option("--no-noise", help="Only the segments as they are.")] = False,
    snr: Annotated[
        str | None,
        typer.Option("--snr", metavar="RANGE", help="START:STOP:STEP in dB, ends included, or a list. [-10:10:2]"),
    ] = None,
    side: Annotated[
        str | None,
        typer.Option("--side", metavar="NAME", help="test, val or all. [test; all of data never seen in training]"),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="COLUMN",
            help="Accuracy by grade, condition, specimen, label, asset, rpm or path; repeatable. [grade, condition]",
        ),
    ] = None,
    resample: Annotated[
        str, typer.Option("--resample", metavar="NAME", help="What intervals draw anew: record or specimen.")
    ] = "record",
    foreign: Annotated[
        Path | None,
        typer.Option(
            "--foreign",
            metavar="DATA",
            show_default=False,
            help="Prepared file or records of another rig: are they noticed?",
        ),
    ] = None,
    spoilt: Annotated[
        int, typer.Option("--spoilt", metavar="N", min=0, max=1000, help="Records spoilt in 13 ways: noticed? 0: none.")
    ] = 12,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**63 - 2, help="Of noise and resampling.")
    ] = 0,
    threads: Annotated[int, typer.Option("--threads", min=1, max=256, metavar="N", help="CPU threads.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="The folder to write. [RUN/evaluation]")
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Score a trained model on segments it was not trained on, clean and under noise at exact SNRs.

    Writes evaluation.json, evaluation.csv and evaluation.html: accuracy per segment and per record, macro-F1, recall,
    false alarms, confusion, calibration and coverage, each with a 95 % interval; and says what they are worth.
    """
    from dataclasses import replace

    question = replace(_question(noise, no_noise, snr, side, by, resample, seed), spoilt=spoilt, foreign=foreign)

    from faultdx.assessment import evaluate as score
    from faultdx.assessment import run_folders, top_folder
    from faultdx.cli.reports import note_language
    from faultdx.files import write_together
    from faultdx.journal import kept, spare
    from faultdx.report.evaluation import render, summary, to_csv, to_json
    from faultdx.soleness import sole

    note_language()
    run_folders(run)  # a wrong RUN must not leave a folder behind
    folder = out if out is not None else top_folder(run) / "evaluation"
    spare(folder / _JOURNAL)
    with sole(folder, folder=True, note=console.note), _target(folder, overwrite=overwrite), _kept_is_said():
        with kept(folder / _JOURNAL, ["evaluate", threads]) as journal:
            with console.progress() as step:
                found = score(run, data, question=question, threads=threads, progress=step, journal=journal)
            texts = (to_csv(found), render(found), to_json(found) + "\n")
            write_together({folder / name: text for name, text in zip(_FILES, texts, strict=True)})
        if journal.taken:
            console.note(f"note: {journal.taken} batches and records were taken up from an interrupted run")
    _say(found["honesty"], summary(found))
    console.out_json(texts[-1][:-1]) if json else console.out(console.one_line(str(folder)))


def _question(
    noise: list[str] | None,
    no_noise: bool,
    snr: str | None,
    side: str | None,
    by: list[str] | None,
    unit: str,
    seed: int,
) -> Question:
    """Return what the options ask. Raises ConfigError with every problem in them."""
    from faultdx.assessment import SNR_DB, Question
    from faultdx.errors import ConfigError

    problems, levels = [], SNR_DB
    kinds = None if noise is None else _words(noise)
    if no_noise and kinds not in (None, ("none",)):
        problems.append("--no-noise and --noise contradict each other: choose one")
    if kinds is not None and "none" in kinds and len(kinds) > 1:
        problems.append("--noise none stands alone")
    if no_noise or kinds == ("none",):
        kinds = ()
    if snr is not None and kinds == ():
        problems.append("--snr has no noise to set it for: name one with --noise")
    if kinds is not None and not kinds and noise is not None and not no_noise and _words(noise) != ("none",):
        problems.append("--noise names nothing")
    try:
        levels = SNR_DB if snr is None else snr_levels(snr)
    except ConfigError as error:
        problems.append(str(error))
    try:
        question = Question(side or "", kinds, levels, _words(by or ()), unit, seed)
    except ConfigError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError("; ".join(problems))
    return question


def _words(values: Any) -> tuple[str, ...]:
    """Return the words of a repeatable option, each of which may be a list with commas, once each."""
    return tuple(dict.fromkeys(word for value in values for word in value.replace(",", " ").split()))


def snr_levels(said: str) -> tuple[float, ...]:
    """Return the SNRs of START:STOP:STEP, ends included, or of a list with commas. Raises ConfigError.

    >>> snr_levels("-10:10:5")
    (-10.0, -5.0, 0.0, 5.0, 10.0)
    >>> snr_levels("-8,-4,0")
    (-8.0, -4.0, 0.0)
    """
    from faultdx.errors import ConfigError

    problem = ConfigError(
        f"--snr {console.one_line(said)!r}: START:STOP:STEP in dB, as -10:10:2, or a list, as -8,-4,0"
    )
    try:
        numbers = [float(part) for part in said.split(":" if ":" in said else ",")]
    except ValueError:
        raise problem from None
    if not all(abs(v) < 1e6 for v in numbers):
        raise problem
    if ":" not in said:
        return tuple(dict.fromkeys(v + 0.0 for v in numbers))
    if len(numbers) != 3 or numbers[2] == 0 or (numbers[1] - numbers[0]) * numbers[2] < 0:
        raise problem
    start, stop, step = numbers
    count = int((stop - start) / step + 1e-9) + 1
    if count > _MOST_SNRS:
        raise ConfigError(f"--snr {said!r}: {count} levels; {_MOST_SNRS} at most")
    return tuple(round(start + k * step, 9) + 0.0 for k in range(count))


@contextlib.contextmanager
def _target(folder: Path, *, overwrite: bool) -> Iterator[None]:
    """Find out before the long work, the block, that the folder can be written, and leave no empty one behind.

    Raises OutputError.
    """
    from faultdx.errors import OutputError
    from faultdx.files import check_folder, is_vacant, show

    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{show(folder)}: is a file; choose another --out")
    if folder.is_dir() and not is_vacant(folder):
        if not overwrite:
            raise OutputError(f"{show(folder)}: exists already; --overwrite replaces it, --out names another")
        if not any((folder / name).is_file() for name in _FILES):
            raise OutputError(
                f"{show(folder)}: is no evaluation of faultdx, so it is not overwritten; choose another --out"
            )
    new = not folder.exists()
    check_folder(folder)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            if new:
                folder.rmdir()
        raise


@contextlib.contextmanager
def _kept_is_said() -> Iterator[None]:
    """Say of an interruption that what was finished is kept."""
    try:
        yield
    except BaseException as error:
        for text in getattr(error, "__notes__", ()):
            console.note(f"faultdx: {text}")
        raise


def _say(told: dict[str, Any], lines: list[str]) -> None:
    if told["leaks"]:
        console.say(f"warning: {told['level']}")
    for line in lines:
        console.note(line)
    if not told["leaks"]:
        console.note(f"what these figures are worth: {told['level']}")
    for note in told["notes"]:
        console.note(f"note: {note}")
