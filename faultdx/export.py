"""A trained network -> the model folder that is copied to the plant: ONNX, safetensors, model.json."""

from __future__ import annotations

import hashlib
import logging
import warnings
from typing import Any

import torch

from faultdx.networks.drsn import Network, multiply_adds, parameter_count
from faultdx.networks.lifted import Lifted
from faultdx.portable import to_json, write_model

__all__ = ["network_info", "to_json", "to_onnx", "to_safetensors", "weight_digests", "write_model"]


def to_onnx(network: Network) -> bytes:
    """Return the network as ONNX: input `segments` (any number of them), outputs `logits` and `features`."""
    dims = network.dims
    example = torch.zeros(2, dims.channels, dims.samples)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of packages that this export has no use for
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            program = torch.onnx.export(
                Lifted(network).eval(),
                (example,),
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=["segments"],
                output_names=["logits", "features"],
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
    return bytes(model.SerializeToString(deterministic=True))


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
