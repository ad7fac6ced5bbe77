"""`faultdx baseline`: healthy recordings of a machine -> the machine's own limits, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faultdx.cli import console, options

if TYPE_CHECKING:
    from faultdx.model import Model
    from faultdx.records import Declared, Item
    from faultdx.untrained import Untrained


def baseline(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", show_default=False, help="Healthy recordings: files, folders, globs, or -."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The baseline to write, JSON.", show_default=False)
    ] = None,
    asset: Annotated[
        str | None, typer.Option("--asset", metavar="NAME", help="The machine, where no records table names it.")
    ] = None,
    from_history: Annotated[
        Path | None,
        typer.Option("--from-history", metavar="FILE", help="Read the machine's healthy recordings again: --asset."),
    ] = None,
    point: Annotated[
        str | None, typer.Option("--point", metavar="NAME", help="Of --from-history: the measuring point.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Of --from-history: in order from then on, whoever cleared it."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Of --from-history: in order until then.")
    ] = None,
    bearing: options.Bearing = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            "--false-alarms", metavar="P", help="Share of healthy recordings that may be called changed. [0.05]"
        ),
    ] = None,
    records: options.Records = None,
    sampling_rate: options.SamplingRate = None,
    rpm: options.Rpm = None,
    channel: options.Channel = None,
    variable: options.Variable = None,
    unit: options.Unit = None,
    scale: options.Scale = None,
    quality: options.Quality = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Take the limits of a machine from its healthy recordings, for `diagnose --baseline`.

    Level, bands, kurtosis, crest factor, and with --bearing the bearing's lines, for each speed and load. One recording
    will do; more make the limits the machine's own. What cannot be used is named, and left out (exit 4).

    --from-history takes those that a network cleared, or all in a period that you vouch for, if they are still there.
    """
    from faultdx.baseline_file import baseline_from, save
    from faultdx.errors import ConfigError
    from faultdx.files import check_distinct, check_target, show
    from faultdx.records import Declared, find_records
    from faultdx.records.handles import locate
    from faultdx.soleness import sole

    if not files and records is None and from_history is None:
        raise ConfigError(
            "no healthy recordings: name a file, a folder, a glob, - for standard input, or --from-history FILE"
        )
    if from_history is not None and (files or records is not None or not asset):
        raise ConfigError("--from-history takes the recordings of one machine: --asset NAME, and no other recordings")
    if from_history is None and (point or since or until):
        raise ConfigError("--point, --since and --until are of --from-history FILE")
    if out is None:
        raise ConfigError("--out FILE is missing: where the baseline is to be written, e.g. pump-7.baseline.json")
    if quality is not None:
        from faultdx.config import QUALITY

        if quality not in QUALITY:
            raise ConfigError(f"--quality {quality!r} is unknown: it is one of {', '.join(QUALITY)}")
    if bearing is not None:
        from faultdx.testimony import known_bearing

        known_bearing(bearing)
    declared = Declared(
        sampling_rate_hz=sampling_rate,
        rpm=rpm,
        channels=tuple(channel or ()),
        variable=variable,
        unit=unit,
        scale=scale,
        asset=asset,
        bearing=bearing,
    )
    chosen: tuple[str, ...] = ()
    if from_history is not None:
        from faultdx.vouched import vouched

        known = vouched(from_history, asset=asset or "", point=point, since=since, until=until, flags=declared)
        items, chosen = list(known.items), known.notes
    else:
        items = find_records(files or [], table=None if records is None else str(records), flags=declared)
    if not items:
        raise ConfigError("no healthy recordings found there")
    read: list[str | Path] = [locate(item.path).file for item in items if item.path != "-"]
    check_distinct({"--out": out}, [*read, *([] if from_history is None else [from_history])])
    with sole(out, note=console.note):
        check_target(out, overwrite=overwrite)
        found, notes, refused = baseline_from(
            items, asset=asset or "", false_alarms=false_alarms, quality=quality or "refuse"
        )
        for error in refused:
            console.say(console.error_line(error))
        if found is None:
            raise SystemExit(console.UNFIT)
        save(found, out, overwrite=overwrite)
    for line in (*chosen, *_summary(found), *notes):
        console.note(console.one_line(line))
    console.out(show(out))
    if refused:
        raise SystemExit(console.UNFIT)


Option = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        help="What the machine is like when healthy: a file of faultdx baseline, or healthy recordings. Repeatable.",
    ),
]


def beside(
    model: Model | Untrained, names: Sequence[str], declared: Declared, *, quality: str | None
) -> Model | Untrained:
    """Return what is asked of each record with the baseline beside it: a file of it, or healthy recordings.

    declared : of the recordings, the healthy ones too. Raises ConfigError: no such file, two baselines, recordings
    that cannot be used.
    """
    from faultdx.baseline_file import baseline_from, is_baseline, load
    from faultdx.errors import ConfigError
    from faultdx.records import find_records
    from faultdx.untrained import Untrained

    stored = [name for name in names if is_baseline(name)]
    if stored and len(names) > 1:
        raise ConfigError("--baseline: one file of faultdx baseline, or recordings: not both, and not two of them")
    if stored:
        found = load(stored[0])
    else:
        items = find_records(list(names), table=None, flags=declared)
        made, notes, refused = baseline_from(items, asset=declared.asset or "", quality=quality or "refuse")
        if made is None or refused:
            raise ConfigError(f"--baseline: {refused[0] if refused else 'no healthy recordings found there'}")
        for line in notes:
            console.note(console.one_line(line))
        found = made
    if isinstance(model, Untrained):
        return Untrained(model.bearing, baseline=found)
    model.baseline = found
    return model


def marked(items: Sequence[Item], model: Model | Untrained) -> list[Item]:
    """Return the recordings with the digest of the baseline that they are asked with: a history tells them apart."""
    from dataclasses import replace

    digest = model.baseline.digest if model.baseline is not None else ""
    return [
        replace(item, flags=replace(item.flags, details={**item.flags.details, "baseline": digest})) for item in items
    ]


def _summary(found: object) -> list[str]:
    """Say what the baseline knows: recordings, speeds, loads, and how wide its limits are."""
    from faultdx.baseline import Baseline

    assert isinstance(found, Baseline)
    speeds = sorted({f"{r.rpm:g}" for r in found.references if r.rpm is not None}, key=float)
    loads = sorted({r.load for r in found.references if r.load})
    n = len(found.references)
    said = [
        f"{n} healthy recording{'' if n == 1 else 's'}{f' of {found.asset}' if found.asset else ''}; "
        f"speeds: {', '.join(speeds[:12]) or 'not known'}{' rpm' if speeds else ''}; "
        f"loads: {', '.join(loads[:12]) or 'not stated'}"
    ]
    if n == 1:
        said.append(
            "one recording does not tell how much this machine scatters: the limits rest on what others do; "
            "record more on other days"
        )
    if not speeds:
        said.append("no speed is known: a recording at another speed will look changed (--rpm)")
    return said
