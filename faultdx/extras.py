"""What is not installed with faultdx itself, which command wants it, and how it is had.

`pip install faultdx` brings what `diagnose`, `inspect` and `history` need and no more, for a gateway without a GPU or
much of a disk. The rest comes with extras.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from typing import Any

from faultdx.errors import ConfigError

# The extra that brings each package, by the name that it is imported under.
EXTRAS = {
    "distributed": "dask",
    "matplotlib": "report",
    "nptdms": "tdms",
    "onnx": "train",
    "onnxscript": "train",
    "pooch": "download",
    "pyarrow": "parquet",
    "pyuff": "uff",
    "safetensors": "train",
    "scipy": "train",
    "tomli_w": "train",
    "torch": "train",
}


def require(names: Iterable[str], *, what: str) -> None:
    """Raise ConfigError, before any work is done, where a package that `what` needs is not installed."""
    missing = [name for name in names if not _installed(name)]
    if missing:
        raise ConfigError(sentence(missing[0], what=what))


def sentence(name: str, *, what: str) -> str:
    """Return what is to be said of a missing package; '' for one that no extra brings."""
    extra = EXTRAS.get(name.partition(".")[0])
    return f"{what} needs {name}, which is not installed: pip install 'faultdx[{extra}]'" if extra else ""


def onnx_runtime() -> Any:
    """Return the module onnxruntime, which then reports to nobody.

    From 1.29 on its wheels send what they run, and on what machine, to their maker, and write an identifier into the
    folder for temporary files, unless this variable says otherwise before the first import (its docs/Privacy.md).
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    return onnxruntime


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # half removed, or a stub without a spec
        return False
