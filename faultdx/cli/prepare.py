"""`faultdx prepare`: recordings -> one HDF5 file of segments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faultdx.cli import console, options


def prepare(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            show_default=False,
            help="Files, folders, globs, a records table (CSV, Parquet), or - for standard input.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.h5", help="The prepared file to write.")] = ...,  # type: ignore[assignment]
    records: options.Records = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="COLUMN", help="Column that names the class (CWRU: label or fault). [label]"),
    ] = None,
    healthy: Annotated[
        list[str] | None,
        typer.Option(
            "--healthy", metavar="CLASS", help="Class that means no fault. Repeatable. [normal, healthy, ...]"
        ),
    ] = None,
    sampling_rate: options.SamplingRate = None,
    rpm: options.Rpm = None,
    channel: options.Channel = None,
    variable: options.Variable = None,
    unit: options.Unit = None,
    scale: options.Scale = None,
    quality: options.Quality = None,
    resample: Annotated[
        float | None, typer.Option("--resample", metavar="HZ", help="Common sampling rate. [the lowest there is]")
    ] = None,
    segment: Annotated[int | None, typer.Option("--segment", metavar="N", help="Samples a segment. [2048]")] = None,
    hop: Annotated[
        int | None, typer.Option("--hop", metavar="N", help="Samples from one segment to the next. [no overlap]")
    ] = None,
    normalize: Annotated[
        str | None,
        typer.Option("--normalize", metavar="HOW", help="none, zscore (each segment) or record, as stored. [none]"),
    ] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option(
            "--noise",
            metavar="KIND",
            help="gaussian, pink or laplacian, fixed in the file as in the paper. Repeatable. "
            "[none: drawn fresh in training]",
        ),
    ] = None,
    snr: Annotated[
        list[float] | None, typer.Option("--snr", metavar="DB", help="SNR of that noise, exact. Repeatable.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="HOW",
            help="time, condition, specimen, random, or auto: specimen where every class has three, else time. [auto]",
        ),
    ] = None,
    fractions: Annotated[
        str | None, typer.Option("--fractions", metavar="A,B,C", help="Shares of train, val, test. [0.6,0.2,0.2]")
    ] = None,
    test_on: Annotated[
        list[str] | None,
        typer.Option("--test-on", metavar="NAME", help="Condition or specimen to test on. Repeatable."),
    ] = None,
    val_on: Annotated[
        list[str] | None,
        typer.Option("--val-on", metavar="NAME", help="Condition or specimen to validate on. Repeatable."),
    ] = None,
    allow_leakage: Annotated[
        bool, typer.Option("--allow-leakage", help="Allow --split random; everything made from it says so.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1, help="Of the split and the noise. [0]")
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Processes that read and cut; the file is the same.")
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option("--dask", metavar="ADDRESS", help="Read and cut on a Dask cluster, tcp://host:8786."),
    ] = None,
    overwrite: options.Overwrite = False,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Cut recordings into segments and write them, split for training, to one HDF5 file.

    CWRU files are known by their content. Your own records take their labels from one folder a class, or from a
    table (records.csv) with the columns path, label, and any of sampling_rate_hz, rpm, channel, variable, unit,
    specimen, condition, asset.
    """
    from faultdx.config import PrepareConfig, load
    from faultdx.errors import ConfigError, DatasetError
    from faultdx.files import check_distinct
    from faultdx.preparation import prepare as run
    from faultdx.records import Declared, find_records
    from faultdx.records.handles import locate
    from faultdx.soleness import sole

    configuration = load(
        PrepareConfig,
        section="prepare",
        file=config,
        settings=settings or (),
        flags={
            "labels": labels,
            "healthy": healthy,
            "resample_hz": resample,
            "segment": segment,
            "hop": hop,
            "normalize": normalize,
            "quality": quality,
            "noise": [kind for said in noise for kind in said.split(",")] if noise else noise,
            "snr_db": snr,
            "split": split,
            "fractions": fractions,
            "test_on": test_on,
            "val_on": val_on,
            "allow_leakage": allow_leakage or None,
            "seed": seed,
        },
    )
    if not sources and records is None:
        raise ConfigError("nothing to prepare: name a file, a folder, a glob or a records table")
    if dask is not None and workers > 1:
        raise ConfigError("--workers is for this machine and --dask for a cluster: choose one")
    declared = Declared(
        sampling_rate_hz=sampling_rate,
        rpm=rpm,
        channels=tuple(channel or ()),
        variable=variable,
        unit=unit,
        scale=scale,
    )
    items = find_records(sources or [], table=None if records is None else str(records), flags=declared)
    files = [locate(item.path).file for item in items if item.path != "-"]
    tables = [Path(name) / "records.csv" for name in sources or () if name != "-"]
    check_distinct({"--out": out}, [*files, *tables, *([] if records is None else [records])])
    try:
        with sole(out, note=console.note), console.progress() as step:
            summary = run(
                items, out, config=configuration, overwrite=overwrite, workers=workers, dask=dask, progress=step
            )
    except DatasetError as refusal:
        for left_out in refusal.skipped:
            console.say(f"left out: {console.one_line(str(left_out))}")
        _say_what_is_kept(refusal)
        raise
    except BaseException as interruption:
        _say_what_is_kept(interruption)
        raise
    for text in summary.notes:
        console.note(f"note: {text}")
    for error in summary.skipped:
        console.say(f"left out: {console.one_line(str(error))}")
    train, val, test = (summary.segments[name] for name in ("train", "val", "test"))
    console.note(
        f"{summary.records} records, {len(summary.classes)} classes, {train} + {val} + {test} segments "
        f"(train, val, test) at {summary.sampling_rate_hz:g} Hz"
    )
    if summary.plan.method == "random":
        console.say("warning: the split leaks: pieces of one recording on both sides; the file says so")
    console.note(f"split: {summary.plan.method}: {summary.plan.level}")
    for text in summary.plan.notes:
        console.note(f"split: {text.removeprefix('split ')}")
    console.out(summary.path)
    if summary.skipped:
        raise SystemExit(console.UNFIT)


def _say_what_is_kept(error: BaseException) -> None:
    for text in getattr(error, "__notes__", ()):  # of `faultdx.journal`: what was finished is not lost
        console.note(f"faultdx: {text}")
