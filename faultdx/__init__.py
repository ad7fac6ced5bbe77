"""faultdx: vibration fault diagnosis with deep residual shrinkage networks.

The library behind the command line. Nothing heavy is imported until it is used.

    record = faultdx.read_record("105.mat")
    model = faultdx.load_model("runs/pump-hall")
    print(model.diagnose(record).verdict)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from faultdx.diagnosis import Diagnosis
    from faultdx.errors import FaultdxError
    from faultdx.model import Model, load_model
    from faultdx.records import Record, find_records, inspect_file, read_record, read_samples
    from faultdx.signals.noise import add_noise
    from faultdx.testimony import known_bearing
    from faultdx.untrained import Untrained

_PUBLIC = {
    "Diagnosis": "faultdx.diagnosis",
    "FaultdxError": "faultdx.errors",
    "Model": "faultdx.model",
    "Record": "faultdx.records",
    "Untrained": "faultdx.untrained",
    "add_noise": "faultdx.signals.noise",
    "find_records": "faultdx.records",
    "inspect_file": "faultdx.records",
    "known_bearing": "faultdx.testimony",
    "load_model": "faultdx.model",
    "read_record": "faultdx.records",
    "read_samples": "faultdx.records",
}

__all__ = [
    "Diagnosis",
    "FaultdxError",
    "Model",
    "Record",
    "Untrained",
    "__version__",
    "add_noise",
    "find_records",
    "inspect_file",
    "known_bearing",
    "load_model",
    "read_record",
    "read_samples",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'faultdx' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
