"""One or more trained runs and a prepared file -> an evaluation: the mapping of schema faultdx.evaluation/1.

The exported network is what is scored, with onnxruntime, as a plant would run it. Several runs (seeds of one model on
one file) are scored on the same segments under the same noise; every figure is then their mean.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from faultdx import __version__, scoring
from faultdx.dataset import Prepared, open_prepared
from faultdx.errors import ConfigError, DatasetError, ModelError
from faultdx.estrangement import SPOILT, examine
from faultdx.evaluation import conditions_of, logits_under
from faultdx.files import show
from faultdx.inference import Network, model_folder
from faultdx.intake import parse_json, read_file
from faultdx.journal import Journal
from faultdx.provenance import Honesty, default_side, honesty, rows_of, seen_in
from faultdx.recollection import Memory, RememberingModel
from faultdx.signals.noise import KINDS
from faultdx.tallies import BY, UNITS, Layout, entry, groups_of, layout_of, score_logits, table_of

SCHEMA = "faultdx.evaluation/1"
SNR_DB = tuple(float(s) for s in range(-10, 11, 2))
# A second temperature, fitted for what is scored, would tell of a confidence that no diagnosis states.
TEMPERATURE_FROM = "the model's own, of its model.json: the one that diagnose uses"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Question:
    """What is asked of a model. Raises ConfigError with every problem.

    side : "test", "val" or "all"; "": test, and all of a file of which nothing was seen in training
    noise, snr_db : added at exactly this SNR to every segment, besides the segments as they are; None: all kinds, or
        nothing where the file holds noise of its own
    by : breakdowns of the accuracy; (): the grade and the condition, where they are known
    unit : what the intervals take for independent: "record" or "specimen"
    seed : of the noise and of the bootstrap, and of what is spoilt
    spoilt : of how many records spoilt copies are made, to see whether they are noticed: one of each of 13 kinds
    foreign : a prepared file, or records, of a rig that the model has not seen, to see whether that is noticed
    """

    side: str = ""
    noise: tuple[str, ...] | None = None
    snr_db: tuple[float, ...] = SNR_DB
    by: tuple[str, ...] = ()
    unit: str = "record"
    seed: int = 0
    spoilt: int = SPOILT
    foreign: str | Path | None = None

    def __post_init__(self) -> None:
        found = [f"side {self.side!r}: one of test, val, all"] if self.side not in ("", "test", "val", "all") else []
        found += [f"noise {k!r}: one of {', '.join(KINDS)}, or none" for k in self.noise or () if k not in KINDS]
        found += [f"snr {s:g} must be within -60 to 100 dB" for s in self.snr_db if not -60 <= s <= 100]
        found += [f"by {name!r}: one of {', '.join(BY)}" for name in self.by if name not in BY]
        found += [f"resample {self.unit!r}: one of {', '.join(UNITS)}"] if self.unit not in UNITS else []
        found += [f"spoilt {self.spoilt}: 0 to 1000 records"] if not 0 <= self.spoilt <= 1000 else []
        found += ["noise needs an SNR"] if self.noise and not self.snr_db else []
        if found:
            raise ConfigError("; ".join(found))


def run_folders(path: str | Path) -> list[Path]:
    """Return the run folder or model folder that `path` is, or the run folders in it, by name (seeds of one model).

    Raises ModelError where there is none.
    """
    folder = Path(path)
    if folder.is_dir() and not any((folder / name).is_file() for name in ("model.json", "model/model.json")):
        inside = sorted(child for child in folder.iterdir() if (child / "model" / "model.json").is_file())
        if inside:
            return inside
    model_folder(folder)
    return [folder]


def top_folder(run: str | Path) -> Path:
    """Return the run folder that a model folder belongs to; `run` itself where it belongs to none."""
    folder = Path(run)
    inside = folder.resolve()
    return inside.parent if inside.name == "model" and (inside.parent / "run.json").is_file() else folder


def training_file(run: str | Path) -> Path | None:
    """Return the prepared file that the run's config.toml names; None where it names none."""
    try:
        path = top_folder(run) / "config.toml"
        data = read_file(path, limit_bytes=1 << 20, kind=ModelError, cure="name the data")
        named = tomllib.loads(data.decode("utf-8"))["train"]["dataset"]
    except (ModelError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return Path(named) if isinstance(named, str) and named else None


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    question: Question | None = None,
    threads: int = 1,
    progress: Progress = lambda _what, _done, _total: None,
    journal: Journal | None = None,
) -> dict[str, Any]:
    """Return the evaluation of a run, or of the runs in a folder: plain JSON values (faultdx/schema/evaluation-1.json).

    data : a prepared file; by default the one that it was trained on
    journal : what an interrupted evaluation has finished (`faultdx.journal.kept`), which changes nothing in this one

    Raises ModelError, DatasetError, ConfigError.
    """
    q = question or Question()
    runs = run_folders(run)
    networks = [Network.open(folder, threads=threads) for folder in runs]
    digest = _one_training(runs, networks)
    known = training_file(runs[0])
    source = _source(runs[0], data, known)
    with open_prepared(source) as prepared:
        same = prepared.digest == digest
        if data is None and not same:
            raise DatasetError(
                f"{show(source)}: is not the file that {show(runs[0])} was trained on any more (another digest): "
                "name the file to evaluate on as DATA"
            )
        prepared.verify()
        for network in networks:
            _check_fit(prepared, network)
        if q.noise and prepared.has_noise:
            raise ConfigError(f"{show(source)}: holds noise already and is scored with that: leave out --noise")
        seen = None if same else seen_in(known, digest)
        side = q.side or default_side(prepared, seen, same_file=same)
        told = honesty(prepared, side, seen, same_file=same)
        return _evaluation(prepared, side, told, runs, networks, q, progress, journal)


def _evaluation(
    prepared: Prepared,
    side: str,
    told: Honesty,
    runs: Sequence[Path],
    networks: Sequence[Network],
    q: Question,
    progress: Progress,
    journal: Journal | None,
) -> dict[str, Any]:
    noise, rows = (KINDS if q.noise is None else q.noise), rows_of(prepared, side)
    conditions = conditions_of(prepared, rows, noise=noise, snr_db=q.snr_db)
    if not conditions:
        raise DatasetError(f"{show(prepared.path)}: has no segments on its {side} side: another --side, or --side all")
    table = table_of(prepared, rows, unit=q.unit)
    groups = groups_of(prepared, rows, table, q.by)
    first = networks[0]
    layouts = [layout_of(prepared, c, first.classes, table, unit=q.unit) for c in conditions]
    healthy = np.array([name in first.info["healthy"] for name in first.classes])
    logits_bytes = 4 * len(first.classes) * len(networks) * sum(len(c.rows) for c in conditions)
    memory = Memory(journal, logits_bytes=logits_bytes)
    known = examine(
        [RememberingModel(network, memory) for network in networks],
        prepared,
        rows,
        foreign=q.foreign,
        spoilt=q.spoilt,
        seed=q.seed,
        progress=_named(progress, "familiarity"),
    )
    scored, temperatures = [], [network.temperature for network in networks]
    for i, network in enumerate(networks):
        what = f"scoring: run {i + 1} of {len(runs)}" if len(runs) > 1 else "scoring"
        found = logits_under(
            network, prepared, conditions, seed=q.seed, progress=_named(progress, what),
            known=memory.logits(network, prepared, seed=q.seed),
        )  # fmt: skip
        scored.append(
            [
                score_logits(z, layout, temperature=network.temperature, healthy=healthy, groups=groups)
                for z, layout in zip(found, layouts, strict=True)
            ]
        )
    entries = []
    for i, (condition, layout) in enumerate(zip(conditions, layouts, strict=True)):
        mine = [each[i] for each in scored]
        work = partial(entry, condition, layout, mine, classes=first.classes, groups=groups, seed=q.seed)
        rests_on = [[n.digest for n in networks], temperatures, prepared.digest, side, asdict(q), condition.name]
        entries.append(memory.plain(["figures", *rests_on], work))
        progress("intervals", i + 1, len(conditions))
    return {
        "schema": SCHEMA,
        "faultdx_version": __version__,
        "honesty": {
            "kind": told.kind,
            "level": show(told.level),
            "leaks": told.leaks,
            "same_file": told.same_file,
            "notes": [show(note) for note in (*told.notes, *_doubts(layouts[0], table, healthy, q))],
        },
        "runs": [_run(*each) for each in zip(runs, networks, temperatures, strict=True)],
        "data": {
            "path": show(Path(prepared.path).name),  # its digest says which; where it lay is nobody's business
            "digest": prepared.digest,
            "side": side,
            "segments": len(rows),
            "records": len(layouts[0].number),
            "specimens": len({str(table["specimen"][r]) for r in layouts[0].number} - {""}),
            "classes": [show(name) for name in first.classes],
            "healthy": [show(name) for name in first.info["healthy"]],
            "sampling_rate_hz": prepared.sampling_rate_hz,
            "segment_samples": prepared.segment,
            "noise_in_file": prepared.has_noise,
        },
        "settings": {
            "noise": [] if prepared.has_noise else list(noise),
            "snr_db": [] if prepared.has_noise or not noise else list(q.snr_db),
            "seed": q.seed,
            "unit": q.unit,
            "resamples": scoring.RESAMPLES,
            "interval": scoring.LEVEL,
            "bins": scoring.BINS,
            "temperature_from": TEMPERATURE_FROM,
        },
        "conditions": entries,
        "familiarity": known,
    }


def _named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)


def _one_training(runs: Sequence[Path], networks: Sequence[Network]) -> str:
    """Return the digest of the file that all were trained on, "" where it is not recorded. Raises ConfigError."""
    asked = [(_inside(n, "trained_on", "digest"), n.classes, n.channels, n.info["healthy"]) for n in networks]
    for folder, mine in zip(runs, asked, strict=True):
        if mine != asked[0]:
            raise ConfigError(
                f"{show(folder)}: was trained on another file than {show(runs[0])}, so they are no seeds of one model: "
                "evaluate them one by one"
            )
    return asked[0][0]


def _source(run: Path, data: str | Path | None, known: Path | None) -> Path:
    if data is not None:
        return Path(data)
    if known is None:
        raise ConfigError(f"{show(run)}: does not say what it was trained on: name a prepared file as DATA")
    if not known.is_file():
        raise DatasetError(
            f"{show(known)}: no such file, and {show(run)} was trained on it: name the prepared file as DATA"
        )
    return known


def _check_fit(prepared: Prepared, network: Network) -> None:
    """Raise DatasetError where the segments are not what the network takes, or hold classes that it does not know."""
    found = []
    if abs(prepared.sampling_rate_hz - network.sampling_rate_hz) > 1e-6 * network.sampling_rate_hz:
        found.append(f"{prepared.sampling_rate_hz:g} Hz, not {network.sampling_rate_hz:g} Hz (prepare --resample)")
    if prepared.segment != network.segment:
        found.append(f"segments of {prepared.segment} samples, not {network.segment} (prepare --segment)")
    if len(prepared.channels) != len(network.channels):
        found.append(f"{len(prepared.channels)} channels, not {len(network.channels)} (prepare --channel)")
    if prepared.config["normalize"] != network.info["normalization"]:
        said, wanted = prepared.config["normalize"], network.info["normalization"]
        found.append(f"normalised {said!r}, not {wanted!r} (prepare --normalize)")
    there = {prepared.classes[k] for k in np.unique(prepared.label)}
    strange = sorted(there - set(network.classes))
    if strange:
        named, knows = ", ".join(map(show, strange[:8])), ", ".join(map(show, network.classes[:12]))
        found.append(f"classes that the model does not know: {named} (it knows {knows}; prepare --labels)")
    if found:
        raise DatasetError(f"{show(prepared.path)}: does not fit the model {network.where}: {'; '.join(found)}")


def _doubts(layout: Layout, table: Any, healthy: Any, q: Question) -> list[str]:
    """Return what the intervals and the figures do not show."""
    out = []
    names = [str(table["specimen"][r]) for r in layout.number]
    specimens = len(set(names) - {""})
    if layout.units < scoring.FEW:
        out.append(
            f"the intervals rest on {layout.units} {q.unit}{'s' * (layout.units != 1)}: those of shares are wide, and "
            "those of macro-F1, calibration and AURC too narrow"
        )
    if q.unit == "record" and all(names) and specimens < len(names):
        out.append(
            f"the {len(names)} records come from {specimens} specimens, and the intervals say nothing about other "
            "specimens (--resample specimen)"
        )
    if not healthy[layout.label].any():
        out.append("no healthy segments: false alarms are not defined")
    return out


def _inside(network: Network, key: str, name: str) -> str:
    """Return a text of model.json that nothing else has checked."""
    found = network.info.get(key)
    return str(found.get(name) or "") if isinstance(found, dict) else ""


def _run(folder: Path, network: Network, temperature: float) -> dict[str, Any]:
    try:
        path = top_folder(folder) / "run.json"
        seed = parse_json(read_file(path, limit_bytes=1 << 24, kind=ModelError, cure="train it again"))["seed"]
    except ModelError as error:  # a model without its run folder has none; one that cannot be read is another matter
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, FileNotFoundError):
            raise
        seed = None
    except (ValueError, LookupError, TypeError):
        seed = None
    return {
        "path": show(folder),
        "name": show(str(network.info.get("name", ""))),
        "digest": network.digest,
        "network": show(_inside(network, "network", "name")),
        "seed": seed if isinstance(seed, int) else None,
        "trained_on": show(_inside(network, "trained_on", "digest")),
        "temperature": round(temperature, 6),
        "own_temperature": network.temperature,
    }
