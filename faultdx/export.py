"""A trained network -> the model folder that is copied to the plant: ONNX, safetensors, model.json."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from faultdx.files import atomic_write
from faultdx.networks.drsn import Network, multiply_adds, parameter_count


class _WithFeatures(torch.nn.Module):
    """(B, C, L) -> logits (B, K) and the pooled features (B, width) that lead to them."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, segments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.network.features(segments)
        return self.network.fc(features), features


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
                _WithFeatures(network).eval(),
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


def write_model(folder: Path, *, onnx: bytes, safetensors: bytes, info: Mapping[str, Any], card: str) -> None:
    """Write the model folder, model.json last: it holds the digests of the others, so a half-copied folder shows."""
    atomic_write(folder / "model.onnx", onnx)
    atomic_write(folder / "model.safetensors", safetensors)
    atomic_write(folder / "MODEL_CARD.md", card)
    atomic_write(folder / "model.json", to_json(info))


def to_json(info: Mapping[str, Any]) -> str:
    """Return model.json's text: readable, the same for the same model."""
    return json.dumps(info, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
