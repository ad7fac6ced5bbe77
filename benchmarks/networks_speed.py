"""How fast each network trains and infers, beside the default network in the same run.

    python benchmarks/networks_speed.py [--rounds 5] [--seconds 0.5] [--samples 2048] [--batch 128]

One thread. The networks take turns, a short slice each in every round, so that a busy neighbour slows all of them
alike. A figure is the median over the rounds of (segments/s) / (segments/s of drsn-wide in the same round); the last
column is drsn-wide's own median in segments/s. Training: forward, cross-entropy, backward, AdamW, on a batch that is
there already. Inference: onnxruntime on the exported network, 64 segments at a time, as `faultdx diagnose` runs it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import onnxruntime
import torch
from torch.nn import functional as F

from faultdx.export import to_onnx
from faultdx.networks.architecture import INPUT_KINDS, NETWORKS, Architecture, architecture
from faultdx.networks.drsn import build

STANDARD = "drsn-wide"
BATCH = 64  # of faultdx.inference


def training(dims: Architecture, batch: int) -> Callable[[], int]:
    """Return one training step, which returns the number of its segments."""
    network = build(dims).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    x = torch.randn(batch, dims.channels, dims.samples)
    y = torch.arange(batch) % dims.classes

    def step() -> int:
        loss = F.cross_entropy(network(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return batch

    return step


def inference(dims: Architecture) -> Callable[[], int]:
    """Return one call of the exported network, which returns the number of its segments."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(to_onnx(build(dims).eval()), options, providers=["CPUExecutionProvider"])
    x = torch.randn(BATCH, dims.channels, dims.samples).numpy()

    def call() -> int:
        session.run(["logits"], {"segments": x})
        return BATCH

    return call


def rate(work: Callable[[], int], seconds: float) -> float:
    """Return segments/s over at least `seconds`."""
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += work()
    return done / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=128)
    given = parser.parse_args()
    torch.set_num_threads(1)

    sizes = {
        (name, kind): architecture(name, input_kind=kind, classes=10, samples=given.samples)
        for kind in INPUT_KINDS
        for name in NETWORKS
        if kind == "waveform" or NETWORKS[name].family == "residual"
    }
    work = {key: (training(dims, given.batch), inference(dims)) for key, dims in sizes.items()}
    rates: dict[tuple[str, str], list[tuple[float, float]]] = {key: [] for key in work}
    for pair in work.values():  # warm
        for one in pair:
            one()
    for _ in range(given.rounds):
        for key, pair in work.items():
            rates[key].append((rate(pair[0], given.seconds), rate(pair[1], given.seconds)))

    print("| network | input | parameters | multiply-adds | training | inference |")
    print("|---|---|---|---|---|---|")
    standard = rates[STANDARD, "waveform"]
    for (name, kind), dims in sizes.items():
        both = zip(rates[name, kind], standard, strict=True)
        ratios = [[own[i] / other[i] for i in (0, 1)] for own, other in both]
        cells = [f"{statistics.median(r[i] for r in ratios):.2f}" for i in (0, 1)]
        print(f"| {name} | {kind} | {dims.parameters} | {dims.multiply_adds} | {' | '.join(cells)} |")
    medians = [statistics.median(r[i] for r in standard) for i in (0, 1)]
    print(f"\n1.00 is {medians[0]:.0f} segments/s in training and {medians[1]:.0f} in inference, on this machine, now.")


if __name__ == "__main__":
    main()
