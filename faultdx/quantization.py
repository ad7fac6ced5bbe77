"""A trained network in integers of 8 bits, and what that costs: accuracy, and time, beside float32's.

Static quantisation by onnxruntime: QDQ, weights per output channel, activations per tensor, both int8 (Jacob et al.
2018, doi 10.1109/CVPR.2018.00286; Wu et al. 2020, arXiv 2004.09602, for the calibrations). Convolutions and linear
layers become integer, with what goes in and comes out of them; the arithmetic between them, soft thresholds included,
stays float32: SCOPES["everything"] is measured beside it and never chosen. Without torch; onnxruntime.quantization is
imported inside functions.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.dataset import Prepared
from faultdx.errors import ConfigError, DatasetError, ModelError, OutputError
from faultdx.evaluation import evaluate_side
from faultdx.extras import onnx_runtime
from faultdx.files import output_error, show
from faultdx.inference import Network
from faultdx.leftovers import scratch
from faultdx.portable import packages_for_export
from faultdx.signals.noise import KINDS, add_noise

Floats = npt.NDArray[np.float32]
Scores = Mapping[str, Mapping[str, Any]]

CALIBRATIONS = {"minmax": "MinMax", "entropy": "Entropy"}
SCOPES: Mapping[str, tuple[str, ...] | None] = {"layers": ("Conv", "Gemm", "MatMul"), "everything": None}
CALIBRATION_SEGMENTS = 256
_BATCH = 32
_CONDITIONS = (-4.0, 0.0)  # dB, where the model states no scores of its own

Step = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One way to quantise: how it was calibrated, what became integer, and its scores on the validation side."""

    calibration: str
    scope: str
    onnx: bytes
    validation: Scores

    @property
    def accuracy(self) -> float | None:
        """Segments right on the validation side, the mean over its conditions; None without validation segments."""
        return mean_accuracy(self.validation)

    def to_dict(self) -> dict[str, Any]:
        """Return it as it stands in the report."""
        return {"calibration": self.calibration, "scope": self.scope, "bytes": len(self.onnx),
                "val_segment_accuracy": self.accuracy}  # fmt: skip


def mean_accuracy(scores: Scores) -> float | None:
    """Return the mean over the conditions of the share of segments that are right; None where there are none."""
    found = [float(s["segment_accuracy"]) for s in scores.values()]
    return float(np.mean(found)) if found else None


def check_fit(network: Network, prepared: Prepared) -> None:
    """Raise ConfigError where a prepared file is not for this model, DatasetError where it has nothing to train on."""
    pairs = {
        "classes": (prepared.classes, network.classes),
        "channels": (prepared.channels, network.channels),
        "sampling rate": (prepared.sampling_rate_hz, network.sampling_rate_hz),
        "segment": (prepared.segment, network.segment),
        "normalization": (prepared.config["normalize"], network.info["normalization"]),
    }
    other = [name for name, (has, wants) in pairs.items() if has != wants]
    if other:
        raise ConfigError(
            f"{show(prepared.path)}: is not for the model {network.where} (other {', '.join(other)}): "
            "calibrate on the prepared file that it was trained on"
        )
    if not prepared.rows("train").size:
        raise DatasetError(f"{show(prepared.path)}: has no training segments to calibrate on: prepare it again")


def calibration_segments(network: Network, prepared: Prepared, *, seed: int = 0) -> Floats:
    """Return segments of the training side, never of another: shape (at most 256, channels, samples).

    Every second one with noise of a kind and an SNR that the model was trained with, where it was and the file holds
    none already: what the activations were in training.
    """
    rng = np.random.default_rng([seed, 0xCA1])
    rows = prepared.rows("train")
    segments = prepared.segments(np.sort(rng.permutation(rows)[:CALIBRATION_SEGMENTS])).copy()
    noise = network.info.get("noise")
    kinds = [k for k in (noise.get("kinds") or []) if k in KINDS] if isinstance(noise, dict) else []
    if kinds and not prepared.has_noise and isinstance(noise, dict):
        low, high = noise.get("snr_db") or (min(_CONDITIONS), max(_CONDITIONS))
        for i in range(0, len(segments), 2):
            kind, snr = kinds[(i // 2) % len(kinds)], float(rng.uniform(low, high))
            segments[i] = add_noise(segments[i], kind=kind, snr_db=snr, rng=rng)
    return segments


def quantize(onnx: bytes, segments: Floats, *, calibration: str = "minmax", scope: str = "layers") -> bytes:
    """Return a float32 network as int8, its ranges taken from what it makes of `segments` (n, channels, samples).

    calibration : "minmax" takes the whole range of an activation, "entropy" the part that loses least of its
        distribution (Kullback-Leibler); scope : a key of SCOPES
    Raises ConfigError where onnxruntime.quantization cannot be imported, ModelError where it cannot do it, OutputError
    where its scratch files (below TMPDIR) cannot be written.
    """
    library = packages_for_export()
    try:
        onnx_runtime()
        from onnxruntime import quantization
    except ImportError as error:
        raise ConfigError(
            f"int8 needs onnxruntime.quantization, which cannot be imported ({error}): pip install 'faultdx[train]'"
        ) from error
    batch = min(_BATCH, len(segments))  # its histograms take batches of one size only
    whole = range(0, len(segments) - len(segments) % batch, batch)
    batches = iter([{"segments": segments[at : at + batch]} for at in whole])

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, Floats] | None:
            return next(batches, None)

    kinds, model = SCOPES[scope], library.load_from_string(onnx)
    # the layers are convolutions and Gemm; a MatMul is a part of the spectral branch's Fourier transform, where a line
    # that stands far out would leave the others no bits
    transform = [node.name for node in model.graph.node if node.op_type == "MatMul"]
    try:
        with scratch() as folder, _silent():
            target = folder / "int8.onnx"
            try:
                quantization.quantize_static(
                    model,
                    target,
                    Reader(),
                    quant_format=quantization.QuantFormat.QDQ,
                    op_types_to_quantize=None if kinds is None else list(kinds),
                    nodes_to_exclude=transform,
                    per_channel=True,
                    activation_type=quantization.QuantType.QInt8,
                    weight_type=quantization.QuantType.QInt8,
                    calibrate_method=quantization.CalibrationMethod[CALIBRATIONS[calibration]],
                )
                return target.read_bytes()
            except RecursionError as error:  # of tempfile, which tries for ever to remove what may not be removed
                raise OutputError(f"{show(folder)}: scratch files cannot be removed; check the rights there") from error
            except OSError:
                raise
            except Exception as error:  # it raises whatever numpy, onnx and onnxruntime raise
                raise ModelError(f"the network cannot be quantised ({calibration}, {scope}): {error}") from error
    except OSError as error:  # onnxruntime quantises by way of files
        raise output_error(error.filename or os.environ.get("TMPDIR", "/tmp"), error) from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep the library's prints off stdout, which carries the result alone, and its advice off stderr."""
    handlers, level = list(logging.root.handlers), logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)
        logging.root.handlers[:] = handlers  # it adds one of its own where there is none


def noise_of_scores(info: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the noise (kinds, SNRs in dB) that the scores in model.json are stated at: "pink -4 dB" -> pink, -4."""
    kinds: dict[str, None] = {}
    levels: dict[float, None] = {}
    scores = info.get("scores")
    for side in scores.values() if isinstance(scores, dict) else ():
        for name in side if isinstance(side, dict) else ():
            words = str(name).split()
            if len(words) == 3 and words[0] in KINDS and words[2] == "dB":
                with contextlib.suppress(ValueError):
                    levels[float(words[1])] = None
                    kinds[words[0]] = None
    return (tuple(kinds), tuple(levels)) if kinds else (KINDS, _CONDITIONS)


def candidates(
    network: Network, onnx: bytes, prepared: Prepared, *, seed: int = 0, step: Step = lambda _d, _n: None
) -> list[Candidate]:
    """Return every calibration and scope, quantised and scored on the validation side, clean and under noise."""
    segments = calibration_segments(network, prepared, seed=seed)
    kinds, levels = noise_of_scores(network.info)
    ways = [(calibration, scope) for scope in SCOPES for calibration in CALIBRATIONS]
    found = []
    for i, (calibration, scope) in enumerate(ways):
        data = quantize(onnx, segments, calibration=calibration, scope=scope)
        model = Network.from_parts(data, network.info)
        scores = evaluate_side(model, prepared, side="val", noise=kinds, snr_db=levels, seed=seed + 2)
        found.append(Candidate(calibration, scope, data, scores))
        step(i + 1, len(ways))
    return found


def choose(found: Sequence[Candidate]) -> Candidate:
    """Return the calibration that is right most often on the validation side; of equals, and without one, the first.

    Of scope "layers" only: what lies between the layers gains nothing in speed from fewer bits, and may lose by it.
    """
    return max((c for c in found if c.scope == "layers"), key=lambda c: c.accuracy or 0.0)
