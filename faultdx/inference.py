"""A trained model behind `probabilities(segments)`: onnxruntime, without torch.

A model folder is input like any other: its JSON is bounded and checked, its network is checked against the digest
in the JSON, and nothing in it is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import ModelError
from faultdx.files import show
from faultdx.intake import parse_json, read_file
from faultdx.trials import remember, trial_of, was_tried
from faultdx.vetting import RefusedError, check_graph, fits, session, tried
from faultdx.voting import softmax

SCHEMA = "faultdx.model/1"
SEAL = "content_sha256"
_MAX_JSON = 4 << 20
_MAX_ONNX = 1 << 29
_CURE = "copy the whole model folder again"
_BATCH = 64  # one thread is fastest with few segments at a time


def read_onnx(folder: Path, info: Mapping[str, Any]) -> bytes:
    """Return the network of a model folder. Raises ModelError where it is not the one that model.json describes."""
    path = folder / "model.onnx"
    onnx = read_file(path, limit_bytes=_MAX_ONNX, kind=ModelError, cure=_CURE)
    if hashlib.sha256(onnx).hexdigest() != info["weights"]["onnx_sha256"]:
        raise ModelError(f"{show(path)}: is not the network that model.json describes (another digest): {_CURE}")
    return onnx


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
        outputs = [(o.name, o.shape[1:]) for o in self._session.get_outputs()]
        if not fits(self._session, (len(self.channels), self.segment), len(self.classes)):
            raise ModelError(f"{where}: model.onnx does not fit model.json: copy the folder again")
        # of the features; 0 where the network gives none
        self.width = next((s[0] for name, s in outputs if name == "features" and [*map(type, s)] == [int]), 0)
        self._shrinking = (onnx, threads) if isinstance(info.get("shrinkage"), dict) else None
        self._second: Any = None  # the session of `shrinkage`, made when it is first asked

    @classmethod
    def open(cls, path: str | Path, *, threads: int = 1) -> Network:
        """Open a run folder or its model/. Raises ModelError: missing, foreign, damaged, inconsistent."""
        folder = model_folder(path)
        data = read_file(folder / "model.json", limit_bytes=_MAX_JSON, kind=ModelError, cure=_CURE)
        info = _checked(data, folder / "model.json")
        onnx = read_onnx(folder, info)
        _vetted(onnx, show(folder), info)
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

    def shrinkage(
        self, segments: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """Return what each shrinkage unit did to each segment: alpha and the share zeroed, (segments, units) both.

        alpha is the threshold over the mean absolute feature, averaged over channels. None where the network cannot
        say. A second session computes them, made here: outputs that only a report asks for cost every diagnosis
        a seventh of its time, asked for or not (benchmarks/why.py).
        Raises ModelError: what model.json holds for it does not fit the network.
        """
        addendum = _addendum(self.info) if self._shrinking else b""
        if self._shrinking is None or not addendum:
            return None
        if self._second is None:
            whole = self._shrinking[0] + addendum
            if self.digest:  # from a folder; what was exported a moment ago is ours
                _vetted(whole, self.where, self.info)
            self._second = _session(whole, self.where, self._shrinking[1])
        names = ["alpha", "zeroed"]
        try:
            parts = [
                self._second.run(names, {"segments": np.ascontiguousarray(segments[at : at + _BATCH], np.float32)})
                for at in range(0, len(segments), _BATCH)
            ]
            alpha, zeroed = (np.concatenate([part[i] for part in parts]).astype(np.float64) for i in (0, 1))
        except Exception as error:  # onnxruntime raises classes of its own that share no base
            raise ModelError(f"{self.where}: its thresholds cannot be computed: copy the folder again") from error
        shares = all(bool((found >= 0).all() and (found <= 1).all()) for found in (alpha, zeroed))  # NaN: no
        if not shares or not alpha.shape == zeroed.shape == (len(segments), alpha.shape[-1]):
            raise ModelError(f"{self.where}: the thresholds of its network are no shares: copy the folder again")
        return alpha, zeroed

    def _run(self, segments: npt.NDArray[np.float32], names: list[str]) -> list[npt.NDArray[np.float64]]:
        widths = {"logits": len(self.classes), "features": self.width}
        try:
            parts = [
                self._session.run(names, {"segments": np.ascontiguousarray(segments[at : at + _BATCH], np.float32)})
                for at in range(0, len(segments), _BATCH)
            ]
        except MemoryError:
            raise
        except Exception as error:  # a foreign network may take one number of segments and not another
            raise ModelError(f"{self.where}: model.onnx fails on {len(segments)} segments: {_CURE}") from error
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
    try:
        return session(onnx, threads)
    except Exception as error:  # onnxruntime raises classes of its own that share no base
        raise ModelError(
            f"{where}: model.onnx is not a network that onnxruntime can run: copy the folder again"
        ) from error


def _vetted(onnx: bytes, where: str, info: Mapping[str, Any]) -> None:
    """Raise ModelError for a network that must not be run in this process, or cannot be.

    One that was tried before on this machine, byte for byte, is not tried again.
    """
    shape, classes = (_BATCH, len(info["channels"]), int(info["segment_samples"])), len(info["classes"])
    trial = trial_of(onnx, shape, classes)
    if was_tried(trial):
        return
    try:
        check_graph(onnx)
        tried(onnx, shape, classes)
    except RefusedError as error:
        raise ModelError(f"{where}: model.onnx {error}: {_CURE}, or train it again") from error
    remember(trial)


def _addendum(info: Mapping[str, Any]) -> bytes:
    """Return the nodes and outputs that make the network tell of its thresholds; b"" where model.json has none.

    They are a part of an ONNX file: appended to the whole one they join its graph, as the protobuf encoding has it
    (a message that comes twice is merged, and its repeated fields are put one behind the other).
    """
    import base64

    entry = info.get("shrinkage")
    text = entry.get("graph") if isinstance(entry, dict) else None
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return b""


def content_digest(info: Mapping[str, Any]) -> str:
    """Return what model.json states as `content_sha256`: the SHA-256 of all the rest, as sorted JSON without spaces."""
    rest = {key: value for key, value in info.items() if key != SEAL}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _checked(data: bytes, path: Path) -> dict[str, Any]:
    name = show(path)
    try:
        info = parse_json(data)
    except ValueError as error:
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
    if SEAL in info and info[SEAL] != content_digest(info):  # folders of older versions have none
        raise ModelError(
            f"{name}: is damaged (its content fails its digest): copy the model folder again, or take {SEAL} out of it "
            "where you changed it yourself"
        )
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
