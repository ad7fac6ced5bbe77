"""A trained model behind `probabilities(segments)`: onnxruntime, without torch.

A model folder is input like any other: its JSON is bounded and checked, its network is checked against the digest
in the JSON, and nothing in it is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import ModelError
from faultdx.files import show
from faultdx.voting import softmax

SCHEMA = "faultdx.model/1"
_MAX_JSON = 4 << 20
_MAX_ONNX = 1 << 29
_BATCH = 64  # one thread is fastest with few segments at a time


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise ModelError(f"{show(path)}: cannot be read: {reason}") from error
    if len(data) > limit:
        raise ModelError(f"{show(path)}: is larger than any model of faultdx ({limit >> 20} MiB): not a model file")
    return data


def model_folder(path: str | Path) -> Path:
    """Return the folder that holds model.json: `path` itself or its `model/`. Raises ModelError."""
    folder = Path(path)
    for candidate in (folder, folder / "model"):
        if (candidate / "model.json").is_file():
            return candidate
    if not folder.exists():
        raise ModelError(f"{show(folder)}: no such folder; `faultdx train PREPARED --out {show(folder)}` makes one")
    what = "is not a folder" if not folder.is_dir() else "has no model.json"
    if (folder / "last.pt").exists():
        what = "has no model yet (its training was interrupted: continue it with --resume)"
    raise ModelError(f"{show(folder)}: {what}; name the run folder that `faultdx train` wrote, or its model/")


class Network:
    """The network of a model folder and what model.json says of it.

    info : model.json, checked; digest : sha256 of model.json, which holds the digests of the weights
    """

    def __init__(self, onnx: bytes, info: Mapping[str, Any], *, digest: str, where: str, threads: int) -> None:
        self.info, self.digest, self.where = info, digest, where
        self.classes: tuple[str, ...] = tuple(info["classes"])
        self.channels: tuple[str, ...] = tuple(info["channels"])
        self.sampling_rate_hz = float(info["sampling_rate_hz"])
        self.segment = int(info["segment_samples"])
        self.temperature = float(info["temperature"])
        self._session = _session(onnx, where, threads)
        takes = [
            (i.name, i.type, i.shape[1:], any(isinstance(n, int) for n in i.shape[:1]))
            for i in self._session.get_inputs()
        ]
        outputs = [(o.name, o.shape[1:]) for o in self._session.get_outputs()]
        gives = outputs[:1]
        if takes != [("segments", "tensor(float)", [len(self.channels), self.segment], False)] or gives != [
            ("logits", [len(self.classes)])
        ]:
            raise ModelError(f"{where}: model.onnx does not fit model.json: copy the folder again")
        # of the features; 0 where the network gives none
        self.width = next((s[0] for name, s in outputs if name == "features" and [*map(type, s)] == [int]), 0)

    @classmethod
    def open(cls, path: str | Path, *, threads: int = 1) -> Network:
        """Open a run folder or its model/. Raises ModelError: missing, foreign, damaged, inconsistent."""
        folder = model_folder(path)
        data = _read(folder / "model.json", _MAX_JSON)
        info = _checked(data, folder / "model.json")
        onnx = _read(folder / "model.onnx", _MAX_ONNX)
        if hashlib.sha256(onnx).hexdigest() != info["weights"]["onnx_sha256"]:
            raise ModelError(
                f"{show(folder / 'model.onnx')}: is not the network that model.json describes (another digest): "
                "copy the whole model folder again"
            )
        digest = hashlib.sha256(data).hexdigest()
        return cls(onnx, info, digest=digest, where=show(folder), threads=threads)

    @classmethod
    def from_parts(cls, onnx: bytes, info: Mapping[str, Any]) -> Network:
        """A network that is not on the disk yet; `info` as in model.json."""
        return cls(onnx, info, digest="", where="the new network", threads=1)

    def logits(self, segments: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(segments, channels, samples) float32 -> (segments, classes)."""
        return self._run(segments, ["logits"])[0]

    def outputs(
        self, segments: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
        """Return probabilities (segments, classes), as `probabilities` does, and features (segments, width).

        Both from one run. The features are None where the network gives none.
        """
        if not self.width:
            return self.probabilities(segments), None
        logits, features = self._run(segments, ["logits", "features"])
        return softmax(logits, temperature=self.temperature), features

    def _run(self, segments: npt.NDArray[np.float32], names: list[str]) -> list[npt.NDArray[np.float64]]:
        widths = {"logits": len(self.classes), "features": self.width}
        parts = [
            self._session.run(names, {"segments": np.ascontiguousarray(segments[at : at + _BATCH], np.float32)})
            for at in range(0, len(segments), _BATCH)
        ]
        out = [
            np.concatenate([part[i] for part in parts]).astype(np.float64) if parts else np.empty((0, widths[name]))
            for i, name in enumerate(names)
        ]
        if not all(np.isfinite(found).all() for found in out):
            raise ModelError(f"{self.where}: the network gives numbers that are not finite: train it again")
        return out

    def probabilities(self, segments: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(segments, channels, samples) float32 -> (segments, classes), calibrated by the model's temperature."""
        return softmax(self.logits(segments), temperature=self.temperature)


def _session(onnx: bytes, where: str, threads: int) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own that share no base
        raise ModelError(
            f"{where}: model.onnx is not a network that onnxruntime can run: copy the folder again"
        ) from error


def _checked(data: bytes, path: Path) -> dict[str, Any]:
    name = show(path)
    try:
        info = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name}: is not JSON: copy the model folder again") from error
    if not isinstance(info, dict) or info.get("schema") != SCHEMA:
        found = info.get("schema") if isinstance(info, dict) else None
        found = found[:40] if isinstance(found, str) else None
        raise ModelError(
            f"{name}: has the schema {found!r}; this version reads {SCHEMA}: train again or update faultdx"
        )
    problems = [key for key, test in _TESTS.items() if key not in info or not _holds(test, info[key])]
    problems += ["split"] if not isinstance(info.get("split", {}), dict) else []
    if problems:
        raise ModelError(f"{name}: missing or absurd: {', '.join(problems)}: copy the model folder again")
    if not set(info["healthy"]) <= set(info["classes"]):
        raise ModelError(f"{name}: a healthy class is not among the classes: copy the model folder again")
    return info


def _holds(test: Any, value: Any) -> bool:
    try:
        return bool(test(value))
    except (TypeError, ValueError, KeyError, AttributeError):
        return False


def _names(value: Any, low: int, high: int) -> bool:
    return isinstance(value, list) and low <= len(value) <= high and all(isinstance(v, str) for v in value)


def _number(value: Any, low: float, high: float) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high and math.isfinite(value)
    )


def _range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(_number(x, 0, 1e300) for x in value)
        and value == sorted(value)
    )


_TESTS: Mapping[str, Any] = {
    "classes": lambda v: _names(v, 2, 10_000) and len(set(v)) == len(v),
    "healthy": lambda v: _names(v, 0, 10_000),
    "channels": lambda v: _names(v, 1, 64),
    "sampling_rate_hz": lambda v: _number(v, 1e-3, 1e9),
    "segment_samples": lambda v: isinstance(v, int) and _number(v, 16, 1 << 20),
    "normalization": lambda v: v in ("none", "zscore", "record"),
    "temperature": lambda v: _number(v, 1e-3, 1e3),
    "min_confidence": lambda v: _number(v, 0, 1),
    "weights": lambda v: isinstance(v["onnx_sha256"], str) and len(v["onnx_sha256"]) == 64,
    "envelope": lambda v: _range(v["rms"]) and (v.get("rpm") is None or _range(v["rpm"])),
}
