"""What the report of a recording is called: its own name, as far as every file system can bear it.

Letters and digits of any script stay. What a path, a shell, a terminal or another system could trip over becomes "_":
separators, spaces, controls, marks that turn the reading direction, bytes that are no UTF-8, names of devices.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faultdx.records.table import Item

MOST_BYTES = 180  # of 255, so that there is room for a mark, a suffix and what a temporary name adds
_PLAIN = "._-"
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def safe_name(name: str) -> str:
    """Return a file name as one that is safe everywhere: NFC, letters, digits and their marks, ".", "_" and "-"."""
    composed = unicodedata.normalize("NFC", name)
    out = "".join(c if c in _PLAIN or unicodedata.category(c)[0] in "LMN" else "_" for c in composed)
    if out[:1] in (".", "-"):  # neither hidden nor an option
        out = f"_{out[1:]}"
    if out.partition(".")[0].lower() in _DEVICES:
        out = f"_{out}"
    end = len(out.encode()[:MOST_BYTES].decode("utf-8", "ignore"))
    while 0 < end < len(out) and unicodedata.category(out[end])[0] == "M":  # a mark stays with its letter
        end -= 1
    return out[:end].rstrip(".") or "record"


def report_names(items: Sequence[Item]) -> list[str]:
    """Return a file name for each record's report: its own name, made safe, and told apart where two are alike.

    A table may list a file twice, with other channels or variables: these are two records. "index" is taken. Names
    that differ in capitals alone are one name on some systems, and are told apart, too.
    """
    safe = [safe_name("standard-input" if item.path == "-" else Path(item.path).name) for item in items]
    count = Counter([*map(_folded, safe), "index", "index"])
    out = []
    for item, name in zip(items, safe, strict=True):
        which = "\0".join((item.path, *item.declared.channels, item.declared.variable or ""))
        digest = hashlib.sha256(which.encode("utf-8", "surrogateescape")).hexdigest()
        out.append(f"{name}{f'-{digest[:8]}' if count[_folded(name)] > 1 else ''}.html")
    return out


def _folded(name: str) -> str:
    """The name as a system sees it that knows no capitals."""
    return unicodedata.normalize("NFC", name.casefold())
