"""The network of a model folder as one ONNX file that says of itself what it needs to be used; and the folder's files.

Without torch: the network is in the folder already. The package onnx is imported inside functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx import __version__
from faultdx.errors import ConfigError, ModelError
from faultdx.extras import onnx_runtime
from faultdx.files import write_together
from faultdx.inference import SEAL, Network, content_digest
from faultdx.voting import softmax

PRODUCER = "faultdx"
METADATA_SCHEMA = "faultdx.onnx/1"
# One segment, as a gateway has it; two; and what a record of 120 000 samples has less one, a number of no convenience.
CHECKED_BATCHES = (1, 2, 59)
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Portable:
    """An ONNX file in memory and what can be said of it.

    outputs : names, in order; difference : the largest from the model's own, of logits and probabilities
    """

    data: bytes
    opset: int
    outputs: tuple[str, ...]
    difference: float


def packages_for_export() -> Any:
    """Return the package onnx. Raises ConfigError, with the cure, where it is not installed."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
    except ImportError as error:
        raise ConfigError(
            f"export needs the package onnx, which is not installed ({error}): pip install 'faultdx[train]'"
        ) from error
    return onnx


def metadata(network: Network, *, precision: str, opset: int) -> dict[str, str]:
    """Return what the file says of itself, each value a text: lists as JSON, numbers as Python writes them.

    precision : "float32" or "int8"
    """
    info = network.info
    dims = info.get("network", {}).get("architecture", {}) if isinstance(info.get("network"), dict) else {}
    found: dict[str, Any] = {
        "schema": METADATA_SCHEMA,
        "name": str(info.get("name", "")),
        "faultdx_version": __version__,
        "model_digest": network.digest,
        "precision": precision,
        "opset": opset,
        "classes": list(network.classes),
        "healthy": list(info["healthy"]),
        "channels": list(network.channels),
        "sampling_rate_hz": network.sampling_rate_hz,
        "segment_samples": network.segment,
        # what is done to a segment before it is given to the network, and what the graph does itself
        "normalization": info["normalization"],
        "standardizes_input": bool(dims.get("standardize", True)),
        "temperature": network.temperature,
        "min_confidence": info["min_confidence"],
        "probabilities": "softmax(logits / temperature); of a record: the geometric mean over its segments, normalized",
    }
    return {
        PRODUCER + "." + key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=True)
        for key, value in found.items()
    }


def to_portable(onnx_bytes: bytes, network: Network, *, precision: str, probabilities: bool = False) -> Portable:
    """Return a network as one ONNX file with metadata, checked by running it beside `network`.

    onnx_bytes : what `network` runs, or its int8 form; network : the model as opened
    probabilities : a third output, (segments, classes), calibrated by the model's temperature
    Raises ConfigError (onnx is not installed), ModelError (the file does not hold what it should).
    """
    onnx = packages_for_export()
    model = onnx.load_from_string(onnx_bytes)
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if probabilities:
        _add_probabilities(onnx, model, network)
    model.producer_name, model.producer_version = PRODUCER, __version__
    model.doc_string = "Vibration segments (batch, channels, samples) to logits and features, one row a segment."
    onnx.helper.set_model_props(model, metadata(network, precision=precision, opset=opset))
    data = bytes(model.SerializeToString(deterministic=True))
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # the checker and the shape inference raise classes of their own
        raise ModelError(f"{network.where}: the checker of ONNX refuses what was made of it: {error}") from error
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise ModelError(f"{network.where}: its network keeps weights in another file: it is none that faultdx wrote")
    outputs = tuple(output.name for output in model.graph.output)
    same = Network.from_parts(onnx_bytes, network.info) if precision != "float32" else network
    return Portable(data, opset, outputs, _largest_difference(data, same, outputs))


def _add_probabilities(onnx: Any, model: Any, network: Network) -> None:
    """Append softmax(logits / T), classes last, as the output `probabilities`."""
    graph, helper = model.graph, onnx.helper
    taken = {name for node in graph.node for name in node.output} | {i.name for i in graph.initializer}
    if taken & {"probabilities", "faultdx_temperature", "faultdx_scaled"}:
        raise ModelError(f"{network.where}: its network has probabilities already: it is none that faultdx wrote")
    value = helper.make_tensor("faultdx_temperature", onnx.TensorProto.FLOAT, [], [network.temperature])
    graph.initializer.append(value)
    graph.node.append(helper.make_node("Div", ["logits", "faultdx_temperature"], ["faultdx_scaled"]))
    graph.node.append(helper.make_node("Softmax", ["faultdx_scaled"], ["probabilities"], axis=-1))
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param or "batch"
    shape = [batch, len(network.classes)]
    graph.output.append(helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, shape))


def example_segments(network: Network, count: int) -> npt.NDArray[np.float32]:
    """Return noise (count, channels, samples) at the level of the training records: something to run a network on."""
    low, high = network.info["envelope"]["rms"]
    rng = np.random.default_rng(count)
    level = (low + high) / 2 or 1.0
    return (level * rng.standard_normal((count, len(network.channels), network.segment))).astype(np.float32)


def _largest_difference(data: bytes, network: Network, outputs: Sequence[str]) -> float:
    """Run the file at several batch sizes against the model itself. Raises ModelError beyond the tolerance.

    The tolerance is absolute up to a logit of 1, relative above: float32 has no more.
    """
    onnxruntime = onnx_runtime()

    try:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        worst = 0.0
        for batch in CHECKED_BATCHES:
            segments = example_segments(network, batch)
            found = dict(zip(outputs, session.run(list(outputs), {"segments": segments}), strict=True))
            expected = {"logits": network.logits(segments)}
            if "probabilities" in outputs:
                expected["probabilities"] = softmax(expected["logits"], temperature=network.temperature)
            for name, right in expected.items():
                distance = np.abs(found[name] - right) / np.maximum(1.0, np.abs(right))
                worst = max(worst, float(distance.max()) if found[name].shape == right.shape else float("inf"))
            if any(len(value) != batch for value in found.values()):
                worst = float("inf")
    except Exception as error:  # onnxruntime raises classes of its own that share no base
        raise ModelError(f"{network.where}: onnxruntime cannot run what was made of it: {error}") from error
    if not worst <= TOLERANCE:
        raise ModelError(
            f"{network.where}: the exported file gives other numbers than the model ({worst:.2g} off): no file written"
        )
    return worst


def write_model(
    folder: Path, *, onnx: bytes, info: Mapping[str, Any], card: str, safetensors: bytes | None = None
) -> None:
    """Write the model folder, model.json last: it holds the digests of the others, so a half-copied folder shows.

    A disk that fails leaves the model that was there as it was. Raises OutputError.
    """
    files: dict[Path, bytes | str] = {folder / "model.onnx": onnx}
    weights = folder / "model.safetensors"  # another model's, where this one has none
    if safetensors is not None:
        files[weights] = safetensors
    files |= {folder / "MODEL_CARD.md": card, folder / "model.json": to_json(info)}
    write_together(files, without=() if safetensors is not None else (weights,))


def to_json(info: Mapping[str, Any]) -> str:
    """Return model.json's text: readable, the same for the same model, with a digest of itself at the end."""
    rest = {key: value for key, value in info.items() if key != SEAL}
    plain = json.loads(json.dumps(rest, allow_nan=False))  # as it will be read
    return json.dumps(plain | {SEAL: content_digest(plain)}, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
