"""What the parts of the corpus share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

RATE_HZ = 12_000.0
SAMPLES = 320
CANARY_VALUE = 8765.4321  # in the samples of a file that nobody may open
CANARY_WORDS = "the canary is alive"


@dataclass(frozen=True)
class Made:
    """A file to be: its name, its bytes, and what is expected of it (see corpus.Case)."""

    name: str
    what: str
    data: bytes
    expect: str
    truth: Any = None
    needs: str = ""


def good(name: str, data: bytes, truth: Any, what: str = "", *, needs: str = "") -> Made:
    return Made(name, what or name, data, "good", truth, needs)


def bad(name: str, data: bytes, what: str = "", *, needs: str = "") -> Made:
    return Made(name, what or name, data, "bad", None, needs)


def either(name: str, data: bytes, truth: Any = None, what: str = "", *, needs: str = "") -> Made:
    return Made(name, what or name, data, "either", truth, needs)


def signal(rng: np.random.Generator, channels: int = 1, samples: int = SAMPLES) -> np.ndarray:
    """Noise about an even tone, shape (channels, samples)."""
    tone = np.sin(np.arange(samples) * 0.7)
    return rng.normal(size=(channels, samples)) + tone


def flipped(rng: np.random.Generator, data: bytes, *, bits: int = 1) -> bytes:
    """A copy with some bits turned over."""
    out = bytearray(data)
    for where in rng.integers(0, len(out), bits):
        out[where] ^= 1 << int(rng.integers(8))
    return bytes(out)
