"""What is not installed with faultdx itself, which command wants it, and how it is had.

`pip install faultdx` brings what `diagnose`, `inspect` and `history` need and no more, for a gateway without a GPU or
much of a disk. The rest comes with extras.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

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


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # half removed, or a stub without a spec
        return False
