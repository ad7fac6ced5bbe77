"""What int8 costs: float32 and int8 side by side, on the same segments, in scores and in time; and how to say it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx import __version__
from faultdx.dataset import Prepared
from faultdx.evaluation import evaluate_side
from faultdx.files import show
from faultdx.inference import Network
from faultdx.quantization import Candidate, Scores, Step, mean_accuracy, noise_of_scores
from faultdx.versions import versions

SIDES = ("val", "test")
LATENCY_BATCHES = (1, 59)
_SECONDS = 1.0  # for each batch size: a median that moves by a few per cent
_REPEATS = (25, 400)
_AT_ONCE = 2048  # segments in memory
# A median that differs by less is called equal: what it moves from run to run on a machine that is not idle.
_EQUAL = 0.05


def latency(
    networks: Mapping[str, Network], segments: npt.NDArray[np.float32], *, seconds: float = _SECONDS
) -> dict[str, dict[str, dict[str, float]]]:
    """Return batch size -> name -> {"median", "low", "high"}, ms a call: the median and the quartiles.

    One thread, the networks in turn within each repeat, so that what slows the machine down slows each of them.
    """
    out: dict[str, dict[str, dict[str, float]]] = {}
    for batch in LATENCY_BATCHES:
        x = np.ascontiguousarray(np.resize(segments, (batch, *segments.shape[1:])))
        times: dict[str, list[float]] = {name: [] for name in networks}
        for network in networks.values():
            network.logits(x)  # the first call allocates
        began = time.perf_counter()
        for i in range(_REPEATS[1]):
            if i >= _REPEATS[0] and time.perf_counter() - began > seconds:
                break
            for name, network in networks.items():
                start = time.perf_counter()
                network.logits(x)
                times[name].append(1e3 * (time.perf_counter() - start))
        out[str(batch)] = {name: _quartiles(t) for name, t in times.items()}
    return out


def _quartiles(times: Sequence[float]) -> dict[str, float]:
    low, median, high = (round(float(q), 4) for q in np.quantile(times, (0.25, 0.5, 0.75)))
    return {"low": low, "median": median, "high": high}


def compare(
    network: Network,
    onnx: bytes,
    found: Sequence[Candidate],
    chosen: Candidate,
    prepared: Prepared,
    *,
    seed: int = 0,
    step: Step = lambda _d, _n: None,
) -> dict[str, Any]:
    """Return the report: how it was quantised, and scores and latency of float32 and int8 on the same segments.

    onnx : the network in float32; seed : of the noise, the same for both
    """
    integer = Network.from_parts(chosen.onnx, network.info)
    kinds, levels = noise_of_scores(network.info)
    both = {"float32": network, "int8": integer}
    scores: dict[str, dict[str, Scores]] = {"float32": {}, "int8": {"val": chosen.validation}}
    todo = [(name, side) for name in both for side in SIDES if side not in scores[name]]
    for i, (name, side) in enumerate(todo):
        scores[name][side] = evaluate_side(
            both[name], prepared, side=side, noise=kinds, snr_db=levels, seed=seed + 2
        )  # fmt: skip
        step(i + 1, len(todo))
    agreement, sample = _agreement(network, integer, prepared)
    trained_on = network.info.get("trained_on")
    same = isinstance(trained_on, dict) and trained_on.get("digest") == prepared.digest
    report: dict[str, Any] = {
        "precision": "int8",
        "model": {"name": show(str(network.info.get("name", ""))), "digest": network.digest},
        "quantization": {
            "method": "static, QDQ, int8 weights per channel, int8 activations per tensor",
            "calibration": chosen.calibration,
            "scope": chosen.scope,
            "chosen_by": "segments right on the validation side, mean over its conditions"
            if chosen.accuracy is not None
            else "nothing: the file has no validation segments",
            "candidates": [c.to_dict() for c in found],
            "float32_val_segment_accuracy": mean_accuracy(scores["float32"]["val"]),
        },
        "data": {
            "path": show(Path(prepared.path).name),
            "digest": prepared.digest,
            "trained_on_it": same,
            "seed": seed,
        },
        "bytes": {"float32": len(onnx), "int8": len(chosen.onnx)},
        "scores": {name: dict(scores[name]) for name in both},
        "same_class": agreement,
        "latency_ms": latency(both, sample),
        "threads": 1,
        "measured_with": {**versions(), "torch": None} | {"processor": _processor()},
    }
    report["measured_with"].pop("torch")
    report["findings"] = findings(report)
    return report


def _agreement(
    network: Network, integer: Network, prepared: Prepared
) -> tuple[dict[str, float], npt.NDArray[np.float32]]:
    """Return by side the share of segments, as prepared, that both put into the same class; and segments to time."""
    out: dict[str, float] = {}
    sample = prepared.segments(prepared.rows("train")[: max(LATENCY_BATCHES)])
    for side in SIDES:
        rows, same = prepared.rows(side), 0
        for at in range(0, len(rows), _AT_ONCE):
            segments = prepared.segments(rows[at : at + _AT_ONCE])
            said = [net.logits(segments).argmax(axis=1) for net in (network, integer)]
            same += int(np.sum(said[0] == said[1]))
        if len(rows):
            out[side] = same / len(rows)
    return out, sample


def _processor() -> str:
    """Return the processor's name, where Linux tells: integer arithmetic is as fast as its instructions."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123 - no file of the user's
            names = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    except OSError:
        return ""
    return show(names[0][:100]) if names else ""


def findings(report: Mapping[str, Any]) -> list[str]:
    """Return in words what the user must know before int8 replaces float32: no gain assumed, time first."""
    return [*_of_time(report), *_of_answers(report)]


def _of_time(report: Mapping[str, Any]) -> list[str]:
    out = []
    for batch, times in report["latency_ms"].items():
        ratio = times["int8"]["median"] / max(times["float32"]["median"], 1e-9)
        many = "1 segment" if batch == "1" else f"{batch} segments"
        if ratio > 1 + _EQUAL:
            out.append(f"int8 is SLOWER for {many} a call: {ratio:.2f} times the time of float32, on this machine")
        elif ratio < 1 - _EQUAL:
            out.append(f"int8 is faster for {many} a call: {ratio:.2f} times the time of float32, on this machine")
        else:
            out.append(f"int8 is no faster for {many} a call: {ratio:.2f} times the time of float32, on this machine")
    return out


def _of_answers(report: Mapping[str, Any]) -> list[str]:
    out = []
    for side in SIDES:
        before, after = report["scores"]["float32"].get(side) or {}, report["scores"]["int8"].get(side) or {}
        changes = [(after[c]["segment_accuracy"] - before[c]["segment_accuracy"], c) for c in before if c in after]
        if changes:
            least, where = min(changes)
            mean = sum(change for change, _ in changes) / len(changes)
            count = before[where]["segments"]
            what = "int8 LOSES accuracy" if mean <= -0.00005 else "int8 keeps its accuracy"
            out.append(
                f"{what} on the {side} side: {100 * mean:+.2f} points of segments in the mean of {len(changes)} "
                f"conditions, {100 * least:+.2f} at worst ({where}; one of its {count} segments is {100 / count:.2f})"
            )
    for side, share in report["same_class"].items():
        out.append(f"int8 and float32 name the same class for {100 * share:.2f} % of the {side} segments")
    gates = [c for c in report["quantization"]["candidates"] if c["scope"] == "everything"]
    known = [(c["val_segment_accuracy"], c["calibration"]) for c in gates if c["val_segment_accuracy"] is not None]
    reference = report["quantization"]["float32_val_segment_accuracy"]
    if known and reference is not None:
        said = ", ".join(f"{100 * (a - reference):+.2f} points ({name})" for a, name in known)
        out.append(f"all in int8, soft thresholds too, is not chosen: {said} against float32 on the validation side")
    if not report["data"]["trained_on_it"]:
        out.append(
            "the prepared file is not the one that the model was trained on: its test side may hold what was trained on"
        )
    return out


def table(report: Mapping[str, Any]) -> list[str]:
    """Return the comparison as aligned lines of text: scores by side and condition, size, latency."""
    rows = [("", "float32", "int8", "change")]
    for side in SIDES:
        full, integer = (report["scores"][k].get(side) or {} for k in ("float32", "int8"))
        for condition, of in full.items():
            for key, what in (("segment_accuracy", "segments"), ("record_accuracy", "records")):
                a, b = 100 * of[key], 100 * integer[condition][key]
                name = f"{side}, {condition}, {what} right, % of {of[what]}"
                rows.append((name, f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f}"))
    size = report["bytes"]
    before, after = (size[k] / 1024 for k in ("float32", "int8"))
    rows.append(("size, KiB", f"{before:.0f}", f"{after:.0f}", f"x {after / before:.2f}"))
    for batch, times in report["latency_ms"].items():
        a, b = (times[k]["median"] for k in ("float32", "int8"))
        rows.append((f"latency, ms, batch of {batch}, 1 thread, median", f"{a:.3f}", f"{b:.3f}", f"x {b / a:.2f}"))
    first = max(len(r[0]) for r in rows)
    width = [max(len(r[i]) for r in rows) for i in (1, 2, 3)]
    return [
        "  ".join([r[0].ljust(first), *(cell.rjust(w) for cell, w in zip(r[1:], width, strict=True))]) for r in rows
    ]


def int8_info(info: Mapping[str, Any], report: Mapping[str, Any], onnx: bytes) -> dict[str, Any]:
    """Return model.json of the int8 network: float32's, with the scores and the digest of what it is now.

    The temperature is float32's. The scores are int8's own, on the sides of the prepared file; none where that is not
    the file that the model was trained on, because the split that model.json states is that file's. No times: they are
    of the machine that measured them and of that hour, and the digest of model.json is the model's name in a history.
    """
    same = report["data"]["trained_on_it"]
    compared = ("quantization", "data", "bytes", "same_class")
    return {
        **{key: value for key, value in info.items() if key != "shrinkage"},  # it fits float32's graph alone
        "name": f"{info.get('name', 'model')}-int8",
        "precision": "int8",
        "scores": dict(report["scores"]["int8"]) if same else {},
        "weights": {"onnx_sha256": hashlib.sha256(onnx).hexdigest()},
        "float32": {"digest": report["model"]["digest"], "scores": dict(report["scores"]["float32"])},
        "comparison": {**{key: report[key] for key in compared}, "findings": _of_answers(report)},
        "faultdx_version": __version__,
    }


def card_section(report: Mapping[str, Any]) -> str:
    """Return the section of the model card that says what int8 changed, Markdown."""
    lines = [
        "## Int8", "",
        f"Quantised from the float32 model `{report['model']['digest'][:12]}`: {report['quantization']['method']}; "
        f"calibration {report['quantization']['calibration']}, on training segments. The temperature is float32's.",
        "", *(f"- {finding}." for finding in report["findings"]), "",
        *(f"    {line}".rstrip() for line in table(report)),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
