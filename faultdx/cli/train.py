"""`faultdx train`: a prepared file -> a run folder with a model in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from faultdx.cli import console, options


def train(
    dataset: Annotated[
        Path | None,
        typer.Argument(metavar="PREPARED.h5", show_default=False, help="What `faultdx prepare` wrote."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The run folder to write.")] = ...,  # type: ignore[assignment]
    network: Annotated[
        str | None, typer.Option("--network", metavar="NAME", help="As `faultdx networks` lists them. [drsn-wide]")
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
        str | None, typer.Option("--snr", metavar="LOW:HIGH", help="Range of the noise's SNR, dB. [-10:10]")
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
    from faultdx.config import TrainConfig, load
    from faultdx.errors import ConfigError

    if resume and config is None and (out / "config.toml").is_file():
        config = out / "config.toml"
    configuration = load(
        TrainConfig,
        section="train",
        file=config,
        settings=settings or (),
        flags={
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
        },
    )
    source = str(dataset or configuration.dataset)
    if not source:
        raise ConfigError("nothing to train on: name a prepared file (`faultdx prepare SOURCE --out NAME.h5`)")

    from faultdx.report.card import model_card
    from faultdx.report.curves import training_curves
    from faultdx.runs import Interrupted
    from faultdx.runs import train as run

    # Held while it trains, so that it ends between two steps; before and after there is nothing to lose, and a signal
    # ends it at once.
    stopped = console.StopFlag()
    with console.progress() as step:

        def progress(done: int, total: int, row: dict[str, Any] | None) -> None:
            step("training", done, total)
            if row is not None and (verbose or row["epoch"] % max(1, configuration.epochs // 8) == 0):
                console.note(_epoch_line(row, configuration.epochs))

        try:
            finished = run(
                source,
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
            )
        except Interrupted as interrupted:
            console.say(f"faultdx: {interrupted}")
            raise SystemExit(128 + stopped()) from None
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
