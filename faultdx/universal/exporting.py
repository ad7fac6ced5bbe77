"""The trained network as ONNX: what is shipped, and run without torch."""

from __future__ import annotations

import logging
import warnings

import torch

from faultdx.universal.network import UniversalNetwork
from faultdx.universal.representation import CHANNELS, CONTEXT, PLACES, POSITIONS

_BANDS = 9


class _Saying(torch.nn.Module):
    """The network with its softmax."""

    def __init__(self, network: UniversalNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, lines: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.network(lines, context), dim=1)


def to_onnx(network: UniversalNetwork) -> bytes:
    """Return the network as ONNX: `lines` and `context` of any number of records in, `probabilities` out."""
    examples = (
        torch.zeros(2, len(PLACES), _BANDS, CHANNELS, POSITIONS),
        torch.zeros(2, len(PLACES), _BANDS, CONTEXT),
    )
    records = torch.export.Dim("records")
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of packages that this export has no use for
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            program = torch.onnx.export(
                _Saying(network).eval(),
                examples,
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=["lines", "context"],
                output_names=["probabilities"],
                dynamic_shapes={"lines": {0: records}, "context": {0: records}},
            )
    finally:
        logger.setLevel(level)
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    model = program.model_proto
    del model.metadata_props[:], model.graph.metadata_props[:]
    for node in model.graph.node:  # source paths and stack traces of the exporting machine
        del node.metadata_props[:]
        node.doc_string = ""
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        del value.metadata_props[:]
    return bytes(model.SerializeToString(deterministic=True))
