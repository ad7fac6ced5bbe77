"""`faultdx train`: a prepared file -> a run folder with a model in it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faultdx.cli import console, options, ranks

if TYPE_CHECKING:
    from faultdx.config import TrainConfig
    from faultdx.distributed import Team


def train(
    dataset: Annotated[
        Path | None,
        typer.Argument(metavar="PREPARED.h5", show_default=False, help="What `faultdx prepare` wrote."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The run folder to write.")] = ...,  # type: ignore[assignment]
    network: Annotated[
        str | None, typer.Option("--network", metavar="NAME", help="As `faultdx networks` lists them. [drsn-fused]")
    ] = None,
    input_kind: Annotated[
        str | None,
        typer.Option("--input", metavar="KIND", help="waveform, or spectrogram: the network in 2-D. [waveform]"),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="NAME", help="default, or paper: Zhao et al. 2020. [default]")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", metavar="N", help="Epochs.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", metavar="N", help="Segments a batch. [128]")] = None,
    noise: Annotated[
        list[str] | None,
        typer.Option("--noise", metavar="KIND", help="Noise drawn in training; repeatable, or none. [all three kinds]"),
    ] = None,
    snr: Annotated[
        str | None, typer.Option("--snr", metavar="LOW:HIGH", help="Range of the noise's SNR, dB. [-12:10]")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N. [auto]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, metavar="N", help="CPU threads. [half the cores, 1 to 4]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1, help="Of everything random. [0]")
    ] = None,
    universal: Annotated[
        bool, typer.Option("--universal", help="Train the learned witness instead, on records on paper alone.")
    ] = False,
    scenes: Annotated[
        int | None, typer.Option("--scenes", min=1, metavar="N", help="Of --universal: machines on paper. [6000]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run to the same end.")] = False,
    overwrite: options.Overwrite = False,
    config: options.ConfigFile = None,
    settings: options.Set = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Train a network, by default a deep residual shrinkage network, and write its run folder.

    Noise of all three kinds at random SNR is drawn fresh for every batch. The epoch is chosen on noisy validation
    segments; the test segments are used once, for the scores at the end.
    """
    from faultdx.extras import require

    require(("torch", "onnx", "onnxscript", "safetensors", "tomli_w", "matplotlib"), what="train")
    if universal:
        from faultdx.cli.universal import train_universal

        other: dict[str, Any] = {
            "PREPARED.h5": dataset,
            "--network": network,
            "--input": input_kind,
            "--recipe": recipe,
        }
        other |= {"--batch": batch, "--noise": noise, "--snr": snr, "--device": device, "--resume": resume}
        other |= {"--config": config, "--set": settings}
        train_universal(out, scenes=scenes, epochs=epochs, seed=seed, threads=threads, overwrite=overwrite, other=other)
        return
    if scenes is not None:
        raise typer.BadParameter("it goes with --universal alone", param_hint="--scenes")
    flags = {
        "network": network,
        "input_kind": input_kind,
        "recipe": recipe,
        "epochs": epochs,
        "batch": batch,
        "noise": [kind for said in noise for kind in said.split(",")] if noise else noise,
        "snr": snr,
        "device": device,
        "threads": threads,
        "seed": seed,
    }
    with ranks.together() as team:
        if team.rank > 0:
            ranks.follow(team)
            return
        if ranks.restarted(out):
            resume, overwrite = True, False
        own = resume and config is None and (out / "config.toml").is_file()
        if own:
            config = out / "config.toml"
        configuration = _configuration(config, settings or (), flags, dataset, own=own)
        _train(team, configuration, out, resume=resume, overwrite=overwrite, verbose=verbose)


def _configuration(
    file: Path | None, settings: Sequence[str], flags: Mapping[str, Any], dataset: Path | None, *, own: bool = False
) -> TrainConfig:
    """Return what was asked for, with the prepared file in it. Raises ConfigError.

    own : the file is that of the run itself, perhaps of an older version: what it does not state was not yet there to
        be set, and today's defaults are not what it ran with
    """
    from faultdx.config import UNSAID, TrainConfig, load
    from faultdx.errors import ConfigError

    found = load(
        TrainConfig, section="train", file=file, settings=settings, flags=flags, unsaid=UNSAID if own else None
    )
    if not (dataset or found.dataset):
        raise ConfigError("nothing to train on: name a prepared file (`faultdx prepare SOURCE --out NAME.h5`)")
    return replace(found, dataset=str(dataset or found.dataset))


def _train(team: Team, configuration: TrainConfig, out: Path, *, resume: bool, overwrite: bool, verbose: bool) -> None:
    """Train, in the process that writes: the only one, or the first of those that torchrun started."""
    from faultdx.report.card import model_card
    from faultdx.report.curves import training_curves
    from faultdx.runs import Interrupted
    from faultdx.runs import train as run
    from faultdx.soleness import sole

    # Held while it trains, so that it ends between two steps; before and after there is nothing to lose, and a signal
    # ends it at once.
    stopped = console.StopFlag()
    ranks.lead(team, configuration)
    with console.progress() as step:

        def progress(done: int, total: int, row: dict[str, Any] | None) -> None:
            step("training", done, total)
            if row is not None and (verbose or row["epoch"] % max(1, configuration.epochs // 8) == 0):
                console.note(_epoch_line(row, configuration.epochs))

        try:
            with sole(out, folder=True, note=console.note):
                finished = run(
                    configuration.dataset,
                    out,
                    config=configuration,
                    resume=resume,
                    overwrite=overwrite,
                    card=model_card,
                    curves=training_curves,
                    argv=["faultdx", *sys.argv[1:]],
                    stop=lambda: bool(stopped()),
                    held=stopped.held,
                    progress=progress,
                    team=team,
                )
        except Interrupted as interrupted:
            console.say(f"faultdx: {interrupted}")
            raise SystemExit(128 + (stopped() or ranks.ASKED)) from None
        except console.Stopped:
            if stopped.began:
                console.say(f"faultdx: {console.one_line(str(out))}: interrupted; --resume continues it")
            raise
    split = finished.info["split"]
    if split["leakage"]:
        console.say("warning: the split leaks (segments of one recording on both sides): these scores mean nothing")
    for condition, s in finished.scores.get("test", {}).items():
        console.note(
            f"test, {condition}: {100 * s['segment_accuracy']:.1f} % of {s['segments']} segments, "
            f"{100 * s['record_accuracy']:.1f} % of {s['records']} records"
        )
    console.note(f"what these scores are worth: {split['level']}")
    console.out(finished.out)


def _epoch_line(row: dict[str, Any], epochs: int) -> str:
    text = f"epoch {row['epoch']}/{epochs}: training loss {row['train_loss']:.4f}"
    if "val_loss" in row:
        text += f", validation loss {row['val_loss']:.4f}, accuracy {100 * row['val_accuracy']:.2f} %"
    return text + f" ({row['seconds']:.0f} s)"
