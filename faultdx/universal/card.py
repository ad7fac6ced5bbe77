"""The card of the learned witness: what it is, what it was trained on, what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def card(info: Mapping[str, Any]) -> str:
    """Return the text of MODEL_CARD.md for what universal.json holds."""
    training, scores = info["training"], info["scores"]
    rows = "\n".join(
        f"| {limit} | {_percent(s['located'])} | {_percent(s['right'])} | {_percent(s['healthy_located'])} |"
        for limit, s in scores.items()
        if isinstance(s, Mapping)
    )
    return f"""# The learned witness of faultdx {info["version"]}

A deep residual shrinkage network of {info["parameters"]} parameters that scores the outer race, the inner race and the
rolling elements of a bearing by what stands around their own orders in the spectra of many envelopes, and "none" beside
them. It works on any bearing whose geometry and speed are known: the geometry is in the input, not in the weights.

- **Trained on**: {training["records"]} records on paper, of {training["scenes"]} scenes (seed {training["seed"]}),
  {training["epochs"]} epochs. No recording of a real machine is in the weights.
- **Not for**: several faults at once, cages, plain bearings, gears; records below 20 turns of the shaft or sampled
  slower than 6 times the inner race's rate (BPFI); a speed that is wrong by more than a tenth.
- **Bias**: its probabilities are those of the scenes, half of which have a fault. They are no probabilities of damage
  in a plant, where faults are rare.
- Digest of universal.onnx (SHA-256): `{info["onnx_sha256"]}`

On {scores["records"]} records on paper that it was not trained on, {_percent(scores["accuracy"])} of the four classes
right; and where a place is named from a given probability on:

| probability | faulty named | of these right | healthy named |
|---|---|---|---|
{rows}

What it reaches on real recordings: docs/universal.md of faultdx.
"""


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f} %"
