"""The shipped network behind one function: an aligned record -> probabilities, by onnxruntime, without torch.

The file is part of the package and pinned by its digest: another file is refused, and what is pinned needs no trial.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from faultdx.errors import ModelError
from faultdx.extras import onnx_runtime
from faultdx.files import show
from faultdx.intake import read_file
from faultdx.universal import limits
from faultdx.universal.representation import PLACES, Aligned

CLASSES = ("none", *PLACES)
SHIPPED = Path(__file__).with_name("model") / "universal.onnx"
_MOST_BYTES = 2_000_000
_CURE = "install faultdx again"


class Listener:
    """A network that listens to aligned records."""

    def __init__(self, onnx: bytes, *, where: str) -> None:
        """Raise ModelError for bytes that onnxruntime cannot run."""
        onnxruntime = onnx_runtime()
        onnxruntime.set_default_logger_severity(4)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.where = where
        try:
            self._session: Any = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its own that share no base
            raise ModelError(f"{where}: is not a network that onnxruntime can run: {_CURE}") from error

    def probabilities(self, aligned: Aligned) -> Mapping[str, float]:
        """Return what the network says of a record: "none" and the three places, which add up to 1."""
        feed = {"lines": aligned.lines[None], "context": aligned.context[None]}
        try:
            said = self._session.run(["probabilities"], feed)[0][0]
        except Exception as error:  # as above
            raise ModelError(f"{self.where}: fails on a record: {_CURE}") from error
        return {name: float(value) for name, value in zip(CLASSES, said, strict=True)}


@lru_cache(maxsize=1)
def shipped() -> Listener:
    """Return the network that comes with faultdx, opened once. Raises ModelError where its file is gone or changed."""
    onnx = read_file(SHIPPED, limit_bytes=_MOST_BYTES, kind=ModelError, cure=_CURE)
    if hashlib.sha256(onnx).hexdigest() != limits.SHA256:
        raise ModelError(f"{show(SHIPPED)}: is not the network that this version of faultdx was made with: {_CURE}")
    return Listener(onnx, where=show(SHIPPED))
