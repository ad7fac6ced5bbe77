"""A trained network -> the model folder that is copied to the plant: ONNX, safetensors, model.json."""

from __future__ import annotations

import copy
import hashlib
import logging
import warnings
from typing import Any

import torch

from faultdx.networks.drsn import Network, multiply_adds, parameter_count
from faultdx.networks.lifted import OUTPUTS, Lifted
from faultdx.portable import to_json, write_model

__all__ = ["network_info", "to_json", "to_onnx", "to_onnx_parts", "to_safetensors", "weight_digests", "write_model"]


def to_onnx(network: Network) -> bytes:
    """Return the network as ONNX: input `segments` (any number of them), outputs `logits` and `features`."""
    return to_onnx_parts(network)[0]


def to_onnx_parts(network: Network) -> tuple[bytes, bytes]:
    """Return the network as `to_onnx` does, and what makes it tell of its shrinkage units; b"" where it has none.

    The second part is no file by itself: appended to the first it gives the same network with two outputs more,
    `alpha` and `zeroed` (`networks.lifted.Lifted`). They are kept apart because onnxruntime plans and fuses a graph for
    all of its outputs: with them a diagnosis took 15 % longer, asked for them or not (benchmarks/why.py).
    """
    dims, lifted = network.dims, Lifted(network).eval()
    example = torch.zeros(2, dims.channels, dims.samples)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of packages that this export has no use for
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            program = torch.onnx.export(
                lifted,
                (example,),
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=["segments"],
                output_names=list(lifted.outputs),
                dynamic_shapes={"segments": {0: torch.export.Dim("batch")}},
            )
    finally:
        logger.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    model = program.model_proto
    del model.metadata_props[:]
    for node in model.graph.node:  # source paths and stack traces of the exporting machine
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    addendum = _split(model) if lifted.outputs[2:] else None
    whole = bytes(model.SerializeToString(deterministic=True))
    return whole, b"" if addendum is None else bytes(addendum.SerializeToString(deterministic=True))


def _split(model: Any) -> Any:
    """Take out of `model` what only its outputs beyond `logits` and `features` need, and return it as a model."""
    graph, addendum = model.graph, copy.copy(model)
    addendum.Clear()
    needed = set(OUTPUTS)
    for node in reversed(graph.node):  # in topological order
        if needed & set(node.output):
            needed |= set(node.input)
    for name in ("node", "output", "initializer", "value_info"):
        mine, theirs = getattr(graph, name), getattr(addendum.graph, name)
        kept: list[Any] = []
        moved: list[Any] = []
        for part in mine:
            names = part.output if name == "node" else [part.name]
            (kept if needed & set(names) else moved).append(part)
        theirs.extend(moved)
        del mine[:]
        mine.extend(kept)
    return addendum


def to_safetensors(network: Network) -> bytes:
    """Return the weights and the batch-normalisation statistics as safetensors."""
    from safetensors.torch import save

    return save({k: v.contiguous() for k, v in network.state_dict().items()})


def network_info(network: Network, name: str) -> dict[str, Any]:
    """Return what model.json says of the network itself."""
    return {
        "name": name,
        "parameters": parameter_count(network),
        "multiply_adds": multiply_adds(network),
        "architecture": network.dims.to_dict(),
    }


def weight_digests(onnx: bytes, safetensors: bytes) -> dict[str, str]:
    """Return the digests of the two forms of the weights, as they stand in model.json."""
    return {
        "onnx_sha256": hashlib.sha256(onnx).hexdigest(),
        "safetensors_sha256": hashlib.sha256(safetensors).hexdigest(),
    }
