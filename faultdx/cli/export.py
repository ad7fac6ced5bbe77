"""`faultdx export`: a trained model -> one ONNX file that stands alone, or its int8 form: a file or a model folder."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faultdx.cli import console, options

if TYPE_CHECKING:
    from faultdx.inference import Network


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", show_default=False, help="A run folder, or its model/.")],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE", help="FILE.onnx to write; with --int8 also a model folder (no .onnx)."),
    ],
    int8: Annotated[bool, typer.Option("--int8", help="Quantise to 8-bit integers; needs --calibrate.")] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate", metavar="PREPARED.h5", help="Prepared file: its training side sets the ranges of int8."
        ),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="A third output: probabilities, at the model's temperature.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**63 - 1, help="Of everything random.")] = 0,
    json: options.Json = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Write the network as one ONNX file: any batch size, its metadata inside, checked in onnxruntime.

    The file states classes, sampling rate, segment, normalization and temperature. --int8 measures its accuracy and
    latency beside float32's, on stderr and in FILE.json; some networks lose by it: read what it says.
    """
    from faultdx.errors import ConfigError
    from faultdx.files import check_target, show, write_together
    from faultdx.inference import Network, model_folder
    from faultdx.portable import packages_for_export, to_portable
    from faultdx.soleness import sole

    single = out.suffix == ".onnx"
    if not single and not int8:
        raise ConfigError(
            f"{show(out)}: --out names the file to write, NAME.onnx; the model folder itself is made to be copied"
        )
    if int8 and calibrate is None:
        raise ConfigError("--int8 needs --calibrate PREPARED.h5: the prepared file that the model was trained on")
    if calibrate is not None and not int8:
        raise ConfigError("--calibrate has no use without --int8")
    packages_for_export()
    network = Network.open(run)
    source, beside = model_folder(run), out.with_suffix(".json")
    if out.resolve() in (source.resolve(), source.resolve() / "model.onnx"):
        raise ConfigError(f"{show(out)}: is the model itself, which the export must not replace; choose another --out")
    if int8 and beside.name == "model.json":
        raise ConfigError(
            f"{show(out)}: its report would be model.json, the name of a model's own: choose another name"
        )
    with sole(out, folder=not single, note=console.note):
        if single:
            check_target(out, overwrite=overwrite)
            if int8:
                check_target(beside, overwrite=overwrite)
        else:
            _check_folder(out, overwrite=overwrite)
        data = _model_bytes(source, network)
        report: dict[str, Any] = {"file": show(out), "precision": str(network.info.get("precision", "float32"))}
        if calibrate is not None:
            data, compared = _int8(network, data, calibrate, seed)
            report |= compared
        made = to_portable(data, network, precision=report["precision"], probabilities=probabilities)
        report |= {
            "opset": made.opset,
            "outputs": list(made.outputs),
            "classes": list(network.classes),
            "checked_difference": made.difference,
        }
        if single:
            written = {out: made.data}
            if int8:  # the report of another network must not stand beside this one
                written = {out: made.data, beside: (jsonlib.dumps(report, indent=2) + "\n").encode("ascii")}
            write_together(written, overwrite=overwrite)
        else:
            _write_folder(out, made.data, network, report)
    console.note(
        f"ONNX opset {made.opset}, {report['precision']}, {len(network.classes)} classes, outputs "
        f"{', '.join(made.outputs)}; run in onnxruntime: {made.difference:.1g} off at most"
    )
    if json:
        console.out_json(jsonlib.dumps(report))
    else:
        console.out(show(out))


def _model_bytes(folder: Path, network: Network) -> bytes:
    """Return what Network.open has read and checked, read again: a training may have replaced it since."""
    from faultdx.inference import read_onnx

    return read_onnx(folder, network.info)


def _int8(network: Network, onnx: bytes, calibrate: Path, seed: int) -> tuple[bytes, dict[str, Any]]:
    from faultdx.dataset import open_prepared
    from faultdx.errors import ConfigError
    from faultdx.precision import compare, table
    from faultdx.quantization import candidates, check_fit, choose

    if network.info.get("precision", "float32") != "float32":
        raise ConfigError(
            f"{network.where}: is {network.info['precision']} already: export the run that it was made of"
        )
    with open_prepared(calibrate) as prepared, console.progress() as step:
        prepared.verify()
        check_fit(network, prepared)
        found = candidates(
            network, onnx, prepared, seed=seed, step=lambda done, total: step("calibrating", done, total)
        )
        chosen = choose(found)
        report = compare(
            network, onnx, found, chosen, prepared, seed=seed, step=lambda done, total: step("scoring", done, total)
        )
    for line in table(report):
        console.note(line)
    for finding in report["findings"]:
        console.note(finding)
    return chosen.onnx, report


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    """Find out before the long work that the folder can be written; --overwrite replaces a model, nothing else."""
    from faultdx.errors import OutputError
    from faultdx.files import check_target, is_vacant, show

    empty = folder.is_dir() and is_vacant(folder)
    # model.json is written last: a kill may have left a model without it
    files = ("model.json", "model.onnx", "model.safetensors", "MODEL_CARD.md")
    ours = folder.is_dir() and is_vacant(folder, but=files)
    if overwrite and folder.exists() and not ours and not (folder / "model.json").is_file():
        raise OutputError(f"{show(folder)}: is not a model folder, so it is not overwritten; choose another --out")
    check_target(folder, overwrite=overwrite or empty, folder_too=True)
    check_target(folder / "model.json", overwrite=overwrite)


def _write_folder(folder: Path, onnx: bytes, network: Network, report: Mapping[str, Any]) -> None:
    from faultdx.portable import write_model
    from faultdx.precision import card_section, int8_info
    from faultdx.report.card import model_card

    info = int8_info(network.info, report, onnx)
    write_model(folder, onnx=onnx, info=info, card=model_card(info) + "\n" + card_section(report))
