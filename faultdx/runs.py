"""The run folder of a training: from a prepared file to a model that can be copied to the plant.

config.toml  run.json  metrics.jsonl  curves.png  last.pt (resume only)  model/
"""

from __future__ import annotations

import base64
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faultdx import __version__
from faultdx.agreement_fit import fit as fit_agreement
from faultdx.config import UNSAID, TrainConfig, to_toml
from faultdx.dataset import Prepared, open_prepared
from faultdx.distributed import ALONE, Team, default_threads
from faultdx.errors import ConfigError, ModelError, OutputError
from faultdx.evaluation import evaluate_side
from faultdx.export import network_info, to_onnx_parts, to_safetensors, weight_digests, write_model
from faultdx.familiarity_fit import fit as fit_familiarity
from faultdx.files import atomic_write, check_target, is_vacant, output_error, show
from faultdx.inference import SCHEMA, Network
from faultdx.intake import parse_json, read_file
from faultdx.shrinkage import fit as fit_shrinkage
from faultdx.signals.noise import KINDS
from faultdx.training import Trainer, logits
from faultdx.voting import fit_temperature

# What the scores in model.json are measured at, besides the segments as recorded.
SCORE_SNR_DB = (-4.0, 0.0)
# A verdict below this is "undecided". Not calibrated on anything: below one half the other classes together weigh more.
MIN_CONFIDENCE = 0.5

_MOST_BYTES, _MOST_JSON = 1 << 32, 1 << 24  # of a checkpoint, of run.json
_MOST_THREADS = 1 << 12  # more than any machine has; torch takes the process down at absurd ones
_SAID_BY = {"device": "--device", "threads": "--threads", "processes": "torchrun --nproc-per-node"}
_UNFINISHED = ("running", "interrupted")
# What is taken from a run that is overwritten: the model first, without which nothing else counts, and what `evaluate`
# wrote about it.
_OLD = (
    *("model/model.json", "last.pt", "metrics.jsonl", "curves.png", "config.toml"),
    *(f"evaluation/evaluation.{kind}" for kind in ("json", "csv", "html")),
)

Progress = Callable[[int, int, dict[str, Any] | None], None]


@dataclass(frozen=True)
class Finished:
    """A training that came to its end: where it is, the chosen epoch, the scores by side and condition."""

    out: str
    best_epoch: int
    epochs: int
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]
    seconds: float
    info: Mapping[str, Any]


class Interrupted(Exception):  # noqa: N818 - it is not an error: the state is saved
    """The training was asked to stop; `epoch` of `epochs` done, a checkpoint written to `out`."""

    def __init__(self, out: str, epoch: int, epochs: int) -> None:
        super().__init__(f"{out}: interrupted after epoch {epoch} of {epochs}; --resume continues it")


def train(
    dataset: str | Path,
    out: str | Path,
    *,
    config: TrainConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    card: Callable[[Mapping[str, Any]], str],
    curves: Callable[[Sequence[Mapping[str, Any]]], bytes],
    argv: Sequence[str] = (),
    stop: Callable[[], bool] = lambda: False,
    held: Callable[[], AbstractContextManager[None]] = nullcontext,
    progress: Progress = lambda _s, _t, _r: None,
    team: Team = ALONE,
) -> Finished:
    """Train on a prepared file and write the run folder `out`.

    card, curves : how the model card and the picture of the metrics are made (the report room's)
    stop : asked before every step; True saves a checkpoint and raises Interrupted
    held : the training runs within it: where signals wait for `stop`. Before there is nothing to lose, and afterwards
        the last checkpoint is written
    Raises DatasetError, ConfigError, ModelError (a checkpoint that does not fit), OutputError.
    """
    config = config or TrainConfig()
    if resume and overwrite:
        raise ConfigError("--resume continues a run and --overwrite replaces it: choose one")
    with open_prepared(dataset) as prepared:
        prepared.verify()
        config = replace(config, dataset=str(Path(dataset).absolute()))
        folder = _open_folder(Path(out), resume=resume, overwrite=overwrite)
        old = _begun(folder) if resume else {}
        torch.set_num_threads(config.threads or old.get("threads") or default_threads(team.local_size))
        trainer = Trainer(prepared, config, team=team)
        if resume:
            _check_same(folder, old, trainer, prepared)
            if (folder / "last.pt").is_file():  # a run that was killed before its first checkpoint has none
                trainer.restore(_checkpoint(folder / "last.pt"))
        elif overwrite:
            _clear(folder)  # not before everything that can refuse the start has had its say
        run = _run_info(trainer, prepared, argv)
        if resume:  # how it began stays on record
            again = [*old.get("resumed", []), {"argv": run["argv"], "started": run["started"]}]
            run |= {"argv": old.get("argv"), "started": old.get("started"), "resumed": again}
        _write_start(folder, trainer.config, run)

        def write_metrics() -> None:
            lines = "".join(json.dumps(row) + "\n" for row in trainer.state.rows)
            atomic_write(folder / "metrics.jsonl", lines)

        def save() -> None:
            atomic_write(folder / "last.pt", trainer.checkpoint())
            write_metrics()

        if trainer.state.rows:  # the kill may have come between the checkpoint and its metrics
            write_metrics()
        with held():
            ended = trainer.run(stop=stop, progress=progress, save=save)
        if stop() or not ended:  # asked while the last step ran: what is left is short, but the asker may not wait
            atomic_write(folder / "run.json", _json({**run, "status": "interrupted"}))
            raise Interrupted(show(folder), trainer.epoch, trainer.config.epochs)
        try:
            info, scores = _write_model(folder, trainer, prepared, card)
            atomic_write(folder / "curves.png", curves(trainer.state.rows))
        except BaseException as error:
            if not isinstance(error, Exception):  # a signal
                atomic_write(folder / "run.json", _json({**run, "status": "interrupted"}))
            raise
        seconds = trainer.state.seconds
        atomic_write(folder / "run.json", _json({**run, "status": "finished", "duration_s": round(seconds, 1)}))
        return Finished(str(folder), trainer.state.best_epoch, trainer.config.epochs, scores, seconds, info)


def _open_folder(folder: Path, *, resume: bool, overwrite: bool) -> Path:
    name = show(folder)
    if resume:
        if not (folder / "last.pt").is_file() and _status(folder) not in _UNFINISHED:
            there = folder.is_dir() and not is_vacant(folder)
            start = "start again with --overwrite" if there else "leave out --resume to start"
            raise OutputError(f"{name}: nothing to resume (no last.pt); {start}")
        check_target(folder / "last.pt", overwrite=True)
        return folder
    free = folder.is_dir() and is_vacant(folder)
    overwrite = overwrite or free  # such a folder holds nothing to lose
    if overwrite and folder.exists():
        if not folder.is_dir() or not (free or (folder / "run.json").is_file()):
            raise OutputError(f"{name}: is not a run folder of faultdx, so it is not overwritten; choose another --out")
        check_target(folder / "run.json", overwrite=True)
        return folder
    check_target(folder, overwrite=overwrite, resume_hint=True, folder_too=True)
    check_target(folder / "run.json", overwrite=True)
    return folder


def _clear(folder: Path) -> None:
    """Take away what an overwritten run left: its model, or its scores, must not be taken for the new ones'.

    The rest stays, whoever put it there.
    """
    for old in _OLD:
        try:
            with suppress(NotADirectoryError):  # a file of that name is not ours
                (folder / old).unlink(missing_ok=True)
        except OSError as error:
            raise output_error(folder / old, error) from error


def _checkpoint(path: Path) -> bytes:
    return read_file(path, limit_bytes=_MOST_BYTES, kind=ModelError, cure="start again with --overwrite")


def _run_json(folder: Path) -> bytes:
    return read_file(folder / "run.json", limit_bytes=_MOST_JSON, kind=ModelError, cure="start again with --overwrite")


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for a run to be the same run: all but where the file lies and what computes it."""
    return {k: v for k, v in config.items() if k not in ("dataset", "threads", "device")}


def _begun(folder: Path) -> dict[str, Any]:
    """Return the run.json of a run to be resumed, its parts of the right kind. Raises ModelError."""
    try:
        run = parse_json(_run_json(folder))
        run["dataset"] = {"digest": str(run["dataset"]["digest"])}
        run["config"], run["versions"] = dict(run["config"]), dict(run.get("versions", {}))
        if type(threads := run.get("threads", 0)) is not int or not 0 <= threads <= _MOST_THREADS:
            raise ValueError(threads)
        return dict(run)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{show(folder / 'run.json')}: cannot be read: start again with --overwrite") from error


def _status(folder: Path) -> str:
    """Return what run.json says of a run, '' where it says nothing."""
    try:
        return str(parse_json(_run_json(folder))["status"])
    except (ModelError, ValueError, KeyError, TypeError):
        return ""


def _check_same(folder: Path, run: Mapping[str, Any], trainer: Trainer, prepared: Prepared) -> None:
    """Refuse to continue a run where the end would not be that of the run undisturbed. Raises ConfigError."""
    old_digest, old_config = run["dataset"]["digest"], run["config"]
    if old_digest != prepared.digest:
        raise ConfigError(
            f"{show(folder)}: was trained on another dataset (digest {old_digest[:12]}, now {prepared.digest[:12]}): "
            "resume with that one, or start again with --overwrite"
        )
    now = json.loads(_json(_comparable(asdict(trainer.config))))
    then = {**UNSAID, **_comparable(old_config)}
    changed = [k for k, v in now.items() if then.get(k) != v]
    if changed:
        raise ConfigError(
            f"{show(folder)}: was started with another configuration ({', '.join(changed)}): "
            "resume with the same, or start again with --overwrite"
        )
    here = {**_computed_by(trainer), **_versions()}
    there = {"processes": 1, **run, **run["versions"]}
    for name in ("device", "processes", "threads", "torch", "numpy"):
        # what an older version did not write down is not compared
        if there.get(name) and there[name] != here[name]:
            same = f"{_SAID_BY.get(name, name)} {there[name]}"
            raise ConfigError(
                f"{show(folder)}: was started with {name} {show(str(there[name])[:80])}, and this is {here[name]}: its "
                f"last digits would be others; resume with {show(same[:80])}, or start again with --overwrite"
            )


def _run_info(trainer: Trainer, prepared: Prepared, argv: Sequence[str]) -> dict[str, Any]:
    return {
        "argv": [show(a) for a in argv],
        "status": "running",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "pid": os.getpid(),
        "seed": trainer.config.seed,
        **_computed_by(trainer),
        # by its name and its digest: where it lies, config.toml alone says, for whoever looks for it again
        "config": {**asdict(trainer.config), "dataset": Path(prepared.path).name},
        "dataset": {"path": show(Path(prepared.path).name), "digest": prepared.digest, "split": prepared.split},
        "versions": _versions(),
    }


def _computed_by(trainer: Trainer) -> dict[str, Any]:
    """Return what the last digits of a result depend on, versions aside."""
    return {"processes": trainer.team.size, "threads": torch.get_num_threads(), "device": str(trainer.device)}


def _versions() -> dict[str, str]:
    return {
        "faultdx": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


def _write_start(folder: Path, config: TrainConfig, run: Mapping[str, Any]) -> None:
    # run.json first: it is what makes the folder a run's, to be resumed or overwritten whatever comes next
    atomic_write(folder / "run.json", _json(run))
    atomic_write(folder / "config.toml", to_toml("train", config))


def _write_model(
    folder: Path, trainer: Trainer, prepared: Prepared, card: Callable[[Mapping[str, Any]], str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    network = trainer.finish()
    validation = trainer.validation
    z = logits(network, validation.x, torch.device("cpu"))
    records = prepared.records()
    trained = np.unique(prepared.record[prepared.rows("train")])
    rms, rpm = records["rms"][trained], records["rpm"][trained]
    known_rpm = rpm[np.isfinite(rpm)]
    info: dict[str, Any] = {
        "schema": SCHEMA,
        "name": folder.resolve().name,
        "version": __version__,
        "classes": list(prepared.classes),
        "healthy": list(prepared.healthy),
        "sampling_rate_hz": prepared.sampling_rate_hz,
        "segment_samples": prepared.segment,
        "channels": list(prepared.channels),
        "normalization": prepared.config["normalize"],
        "temperature": fit_temperature(z, validation.label),
        "min_confidence": MIN_CONFIDENCE,
        "familiarity": None,
        "agreement": None,
        "envelope": {
            "rms": [float(rms.min()), float(rms.max())],
            "rpm": [float(known_rpm.min()), float(known_rpm.max())] if known_rpm.size else None,
        },
        "network": network_info(network, trainer.config.network),
        "noise": {
            "kinds": list(trainer.config.noise) or sorted({KINDS[k] for k in np.unique(prepared.noise) if k >= 0}),
            "snr_db": _snr_range(trainer, prepared),
        },
        "split": prepared.split,
        "trained_on": {
            "records": len(trained),
            "segments": len(prepared.rows("train")),
            "specimens": len({s for s in records["specimen"][trained] if s}),
            "digest": prepared.digest,
        },
        "best_epoch": trainer.state.best_epoch,
        "scores": {},
        "faultdx_version": __version__,
    }
    (onnx, addendum), safetensors = to_onnx_parts(network), to_safetensors(network)
    if addendum:
        info["shrinkage"] = {"graph": base64.b64encode(addendum).decode("ascii")}
    # the scores are those of the exported network with its temperature, as a plant would run it
    model = Network.from_parts(onnx, info)
    info["scores"] = {
        side: evaluate_side(model, prepared, side=side, noise=KINDS, snr_db=SCORE_SNR_DB, seed=trainer.config.seed + 2)
        for side in ("val", "test")
    }
    config = trainer.config
    info["familiarity"] = fit_familiarity(
        model,
        prepared,
        noise=config.noise,
        snr_db=(config.snr[0], config.snr[1]),
        polarity=config.polarity,
        seed=config.seed + 3,
    )
    info["agreement"] = fit_agreement(model, prepared)
    if addendum:
        info["shrinkage"]["healthy"] = fit_shrinkage(
            model, prepared, noise=config.noise, snr_db=(config.snr[0], config.snr[1]), seed=config.seed + 4
        )
    info["weights"] = weight_digests(onnx, safetensors)
    write_model(folder / "model", onnx=onnx, safetensors=safetensors, info=info, card=card(info))
    return info, info["scores"]


def _snr_range(trainer: Trainer, prepared: Prepared) -> list[float] | None:
    if trainer.config.noise:
        return list(trainer.config.snr)
    there = prepared.snr_db[np.isfinite(prepared.snr_db)]
    return [float(there.min()), float(there.max())] if there.size else None
