"""Steady inference on one thread: torch, and onnxruntime with the network exported plainly and as faultdx exports it.

    python benchmarks/inference.py [--runs 41] [--batch 58] [--networks drsn-wide ...]

Segments of 2048 samples, 10 classes, seeded weights, interleaved; minimum, median and maximum of a run in ms, the
largest difference of the logits from torch's, and the median of the ratios run by run. 58 segments are 10 s at 12 kHz.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import torch

from faultdx.export import to_onnx
from faultdx.networks import lifted
from faultdx.networks.architecture import NETWORKS, architecture
from faultdx.networks.drsn import Network, build


class Plain(torch.nn.Module):
    """The network as it is trained."""

    outputs = ("logits", "features")

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, segments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, C, L) -> logits, features."""
        features = self.network.features(segments)
        return self.network.fc(features), features


def session(onnx: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """Return the network behind a call, one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    found = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    return lambda x: np.asarray(found.run(["logits"], {"segments": x})[0])


def exported(network: Network, form: type[Any]) -> bytes:
    """Return the ONNX of a network in that form."""
    used, lifted_form = form, lifted.Lifted
    import faultdx.export

    faultdx.export.Lifted = used  # type: ignore[attr-defined]
    try:
        return to_onnx(network)
    finally:
        faultdx.export.Lifted = lifted_form  # type: ignore[attr-defined]


def settled(name: str) -> Network:
    """Return a network whose batch normalisation has seen signals."""
    network = build(architecture(name, classes=10), seed=1)
    network.train()
    with torch.no_grad():
        for _ in range(20):
            network(torch.randn(32, 1, 2048))
    return network.eval()


def clock(work: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> float:
    """Return the milliseconds of a call."""
    began = time.perf_counter()
    work(x)
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=41)
    parser.add_argument("--batch", type=int, default=58)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    x = np.random.default_rng(0).standard_normal((given.batch, 1, 2048)).astype(np.float32)
    print(
        f"| network, {given.batch} segments | torch, ms | onnxruntime, plain | as exported | plain / exported | "
        "largest difference |"
    )
    print("|---|---|---|---|---|---|")
    for name in given.networks:
        network = settled(name)

        def in_torch(x: np.ndarray, network: Network = network) -> np.ndarray:
            with torch.inference_mode():
                return network(torch.from_numpy(x)).numpy()

        ways = (in_torch, session(exported(network, Plain)), session(to_onnx(network)))
        error = float(np.abs(ways[2](x) - ways[0](x)).max())
        times: list[list[float]] = [[], [], []]
        for _ in range(given.runs + 1):
            for way, found in zip(ways, times, strict=True):
                found.append(clock(way, x))
        cells = [f"{min(t[1:]):.2f}, {statistics.median(t[1:]):.2f}, {max(t[1:]):.2f}" for t in times]
        ratio = statistics.median(a / b for a, b in zip(times[1][1:], times[2][1:], strict=True))
        print(f"| {name} | {' | '.join(cells)} | {ratio:.2f} | {error:.1e} |")


if __name__ == "__main__":
    main()
