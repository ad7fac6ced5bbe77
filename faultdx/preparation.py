"""Records -> prepared file: two passes over the sources, one record in memory at a time.

The first pass learns what each record is (rate, length, label, digest), so that the common rate, the classes and the
split are known before anything is cut; the second cuts, adds noise and writes, in the order of the first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.config import HEALTHY_NAMES, PrepareConfig
from faultdx.cutting import Cutting, Known, resampled_length, starts_of
from faultdx.dataset import created
from faultdx.errors import ConfigError, DatasetError, OutputError, RecordError
from faultdx.files import check_target, output_error, show
from faultdx.journal import Journal, kept, spare
from faultdx.passes import LostError, Progress, cut_all, learn_all
from faultdx.records.table import Item
from faultdx.resumption import KeptRecords
from faultdx.signals.noise import KINDS
from faultdx.splits import NAMES, Shares, SplitPlan, Subject, plan_split

_OVERHEAD_BYTES = 8 << 20  # of a prepared file, besides its segments: as `dataset.created` reckons


@dataclass(frozen=True)
class Summary:
    """What `prepare` did: counts for the user, and which inputs were left out and why."""

    path: str
    records: int
    segments: dict[str, int]
    classes: tuple[str, ...]
    healthy: tuple[str, ...]
    sampling_rate_hz: float
    plan: SplitPlan
    skipped: tuple[RecordError, ...]
    notes: tuple[str, ...]


def _without_copies(known: list[Known]) -> tuple[list[int], list[RecordError], list[str]]:
    """Return which records to keep: the same samples twice would stand on both sides of a split."""
    first: dict[str, Known] = {}
    keep, refused, notes = [], [], []
    for i, record in enumerate(known):
        earlier = first.setdefault(record.key, record)
        if earlier is record:
            keep.append(i)
        elif earlier.label != record.label:
            refused.append(
                RecordError(
                    f"{show(record.path)}: has the same samples as {show(earlier.path)} and another label "
                    f"({record.label}, {earlier.label}): correct the labels",
                    record.path,
                )
            )
        else:
            notes.append(f"{show(record.path)}: left out, the same samples as {show(earlier.path)}")
    return keep, refused, notes


def _common_rate(known: Sequence[Known], config: PrepareConfig) -> float:
    # a record too short for a segment at its own rate is left out, and must not set the rate of the others
    rates = [k.source_rate_hz for k in known]
    enough = [k.source_rate_hz for k in known if k.samples >= config.segment]
    return config.resample_hz or min(enough or rates)


def _unfit(k: Known, rate: float, config: PrepareConfig) -> str | None:
    """Return why a record cannot give a segment at the common rate, or None."""
    if k.source_rate_hz < rate:
        return (
            f"is sampled at {k.source_rate_hz:g} Hz, below the common {rate:g} Hz: the upper part of the spectrum is "
            "not in it; choose a lower --resample"
        )
    try:
        have = resampled_length(k.samples, k.source_rate_hz, rate)
    except ConfigError as error:
        return str(error)
    if have < config.segment:
        return (
            f"is shorter ({have} samples at {rate:g} Hz) than a segment of {config.segment}: choose a shorter --segment"
        )
    return None


def _resampling_notes(known: Sequence[Known], rate: float) -> list[str]:
    return [
        f"{n} record{'s' if n > 1 else ''} resampled from {source:g} to {rate:g} Hz, with an anti-aliasing filter"
        for source, n in sorted(Counter(k.source_rate_hz for k in known).items())
        if source != rate
    ]


def _check_channels(known: Sequence[Known], notes: list[str]) -> tuple[str, ...]:
    shapes: dict[int, Known] = {}
    for k in known:
        shapes.setdefault(len(k.channels), k)
    if len(shapes) > 1:
        (n_a, a), (n_b, b) = list(shapes.items())[:2]
        raise DatasetError(
            f"{show(a.path)} has {n_a} channel{'s' * (n_a > 1)} ({', '.join(a.channels)}) and {show(b.path)} has {n_b} "
            f"({', '.join(b.channels)}): choose the same with --channel"
        )
    names = sorted({", ".join(k.channels) for k in known})
    if len(names) > 1:
        notes.append(f"the records' channels have different names ({'; '.join(names[:6])}): taken by their order")
    return known[0].channels


def _usable(
    items: Sequence[Item], config: PrepareConfig, keep: KeptRecords, workers: int, step: Progress, dask: str | None
) -> tuple[list[tuple[Item, Known]], list[RecordError], float, list[str]]:
    """First pass: return the records to use, those left out with the reason, the common rate, and notes."""
    learned = learn_all(items, config, keep, workers=workers, dask=dask, step=step)
    skipped = [r for r in learned if isinstance(r, RecordError)]
    usable = [(item, r) for item, r in zip(items, learned, strict=True) if isinstance(r, Known)]
    first, refused, notes = _without_copies([k for _, k in usable])
    skipped += refused
    usable = [usable[i] for i in first]
    rate = _common_rate([k for _, k in usable], config) if usable else 0.0
    fit = []
    for item, k in usable:
        why = _unfit(k, rate, config)
        if why is None:
            fit.append((item, k))
        else:
            skipped.append(RecordError(f"{show(k.path)}: {why}", k.path))
    notes += _resampling_notes([k for _, k in fit], rate)
    if not fit:
        raise DatasetError(f"no record can be used; the first reason: {skipped[0]}" if skipped else "no records found")
    return fit, skipped, rate, notes


def _tally(
    known: Sequence[Known], classes: Sequence[str], plan: Cutting, shares: Sequence[Shares]
) -> npt.NDArray[np.int64]:
    """Return how many segments each class has on each side, (classes, 3). Raises DatasetError: none to train on."""
    config = plan.config
    counts = np.zeros((len(classes), 3), np.int64)
    for k, share in zip(known, shares, strict=True):
        _, sides = starts_of(resampled_length(k.samples, k.source_rate_hz, plan.rate_hz), share, plan, k.key)
        counts[classes.index(k.label)] += np.bincount(sides, minlength=3)
    untrained = [c for c, n in zip(classes, counts[:, 0], strict=True) if n == 0]
    if untrained:
        raise DatasetError(
            f"no segment of class {untrained[0]} is left to train on: its records are too short for segments of "
            f"{config.segment} samples in three parts; choose a shorter --segment or other --fractions"
        )
    return np.asarray(counts * max(1, len(config.noise) * len(config.snr_db)))


def _layout(
    known: Sequence[Known], config: PrepareConfig, notes: list[str]
) -> tuple[tuple[str, ...], tuple[str, ...], SplitPlan]:
    """Return channels, classes (healthy ones first) and the split. Raises DatasetError where there is none."""
    channels = _check_channels(known, notes)
    classes = tuple(sorted({k.label for k in known}, key=lambda c: (not _is_healthy(c, config), c)))
    if len(classes) < 2:
        raise DatasetError(f"the records have a single class ({classes[0]}): a network needs two or more to tell apart")
    return channels, classes, plan_split([Subject(k.label, k.specimen, k.condition) for k in known], config)


def prepare(
    items: Sequence[Item],
    out: str | Path,
    *,
    config: PrepareConfig | None = None,
    overwrite: bool = False,
    workers: int = 1,
    dask: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Write the prepared file of `items` to `out`.

    workers : processes that read and cut; dask : address of a Dask scheduler whose workers do it instead. The file is
    written by this process, and is the same, byte for byte, whoever read and cut
    progress : called with (stage, done, total). Records that cannot be used are left out and returned in
    `Summary.skipped`. Raises ConfigError, DatasetError (nothing usable, a split that is not possible), OutputError.

    What each pass has finished is kept in a journal beside `out` until that is there: killed and called again with the
    same configuration, it does what was not finished, and the file is the same, byte for byte.
    """
    config = config or PrepareConfig()
    if problems := config.problems():
        raise ConfigError("; ".join(problems))
    spare(out)
    target = check_target(out, overwrite=overwrite)
    try:
        if target.is_dir():
            raise OutputError(f"{show(target)}: is a folder; name a file")
    except OSError as error:  # it may not be looked at
        raise output_error(target, error) from error
    step = progress or (lambda _stage, _done, _total: None)
    with kept(target, ["prepare", asdict(config)], through=(LostError,)) as journal:
        return _prepared(items, target, config, journal, overwrite, workers, dask, step)


def _prepared(
    items: Sequence[Item],
    target: Path,
    config: PrepareConfig,
    journal: Journal,
    overwrite: bool,
    workers: int,
    dask: str | None,
    step: Progress,
) -> Summary:
    keep = KeptRecords(journal, config)
    usable, skipped, rate, notes = _usable(items, config, keep, workers, step, dask)
    known = [k for _, k in usable]
    try:
        channels, classes, split = _layout(known, config, notes)
    except DatasetError as error:
        error.skipped = tuple(skipped)  # what was left out may be why
        raise
    plan = Cutting(config, rate, split.method)
    counts = _tally(known, classes, plan, split.shares)
    notes += [
        f"class {c} has no segment in the {NAMES[side]} part"
        for c, n in zip(classes, counts, strict=True)
        for side in (1, 2)
        if n[side] == 0 and config.fractions[side] > 0
    ]
    healthy = tuple(c for c in classes if _is_healthy(c, config))
    unknown = [c for c in config.healthy if c not in classes]
    if unknown:
        raise DatasetError(f"--healthy {unknown[0]!r}: no record has this class; there are {', '.join(classes)}")
    if not healthy:
        notes.append("no class is known to be healthy, so fault or no fault will not be said: --healthy CLASS names it")
    if journal.taken:
        notes.append(f"{journal.taken} of {len(items)} records are taken up from an interrupted run")
    segments_bytes = int(counts.sum()) * len(channels) * config.segment * 4
    room = journal.room(segments_bytes + _OVERHEAD_BYTES, segments_bytes + _OVERHEAD_BYTES - journal.size)
    if not room:
        notes.append(
            "interrupted while it cuts, it would cut again: the disk has no room to keep segments twice, or another "
            "run writes the same file"
        )
    with created(
        target,
        total=int(counts.sum()),
        channels=len(channels),
        samples=config.segment,
        labels=[classes.index(k.label) for k in known],
        overwrite=overwrite,
    ) as writer:
        with closing(cut_all(usable, split.shares, plan, keep, workers=workers, dask=dask, room=room)) as blocks:
            for done, block in enumerate(blocks):
                writer.append(done, block)
                step("cutting", done + 1, len(usable))
        writer.finish(
            _table(known),
            {
                "config": json.dumps(asdict(config), sort_keys=True),
                "declared": json.dumps(_declared(usable[0][0]), sort_keys=True),
                "classes": list(classes),
                "healthy": list(healthy),
                "channels": list(channels),
                "sampling_rate_hz": rate,
                "segment": config.segment,
                "noise_kinds": list(KINDS),
                "seed": config.seed,
                "split_method": split.method,
                "split_level": split.level,
                "split_notes": list(split.notes),
                "leakage": split.method == "random",
            },
        )
    for k in known:
        notes += [f"{show(k.path)}: {n}" for n in k.notes]
    return Summary(
        path=str(target),
        records=len(known),
        segments=dict(zip(NAMES, counts.sum(axis=0).tolist(), strict=True)),
        classes=classes,
        healthy=healthy,
        sampling_rate_hz=rate,
        plan=split,
        skipped=tuple(skipped),
        notes=tuple(notes),
    )


def _declared(item: Item) -> dict[str, Any]:
    """Return what the command line declared of every record: the rest of the file's configuration."""
    flags = item.flags
    return {
        "sampling_rate_hz": flags.sampling_rate_hz,
        "rpm": flags.rpm,
        "channels": list(flags.channels),
        "variable": flags.variable,
        "unit": flags.unit,
        "scale": flags.scale,
    }


def _is_healthy(label: str, config: PrepareConfig) -> bool:
    return label in config.healthy if config.healthy else label.lower() in HEALTHY_NAMES


def _table(known: Sequence[Known]) -> dict[str, list[Any]]:
    text = ("path", "sha256", "label", "specimen", "condition", "asset", "unit", "bearing")
    table: dict[str, list[Any]] = {name: [getattr(k, name) or "" for k in known] for name in text}
    table["rpm"] = [k.rpm if k.rpm is not None else float("nan") for k in known]
    for name in ("source_rate_hz", "samples", "rms"):
        table[name] = [float(getattr(k, name)) for k in known]
    return table
