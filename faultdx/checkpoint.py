"""What a training saves to be continued: tensors as safetensors, numbers as JSON, all of it under a digest.

A checkpoint is input like any other file, so nothing in it is unpickled: torch.save would write a pickle. What is
taken is what the run itself would have: the same names, shapes and kinds, and finite numbers.

Format: a line "faultdx.checkpoint/1 SHA256", then a safetensors file, whose metadata hold the numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faultdx.errors import ModelError
from faultdx.intake import parse_json

_MAGIC = b"faultdx.checkpoint/1 "
_HEAD = len(_MAGIC) + 65
_MOST_HEAD = 100 << 20  # what safetensors itself takes
_PARTS = ("network", "average", "best")


@dataclass(frozen=True, eq=False)
class Saved:
    """A checkpoint in memory.

    tensors : of the parts "network", "average" and "best", by name; optimizer : by parameter and name, as torch has it
    numbers : step, loss_sum, seconds, best_loss, best_epoch; rows : of metrics
    """

    tensors: Mapping[str, Mapping[str, Tensor]]
    optimizer: Mapping[int, Mapping[str, Any]]
    numbers: Mapping[str, float]
    rows: list[dict[str, Any]]


def pack(saved: Saved) -> bytes:
    """Return a checkpoint as bytes, the same for the same state."""
    from safetensors.torch import save

    tensors = {f"{part}.{name}": value for part, values in saved.tensors.items() for name, value in values.items()}
    plain: dict[str, dict[str, Any]] = {}
    for number, values in saved.optimizer.items():
        plain[str(number)] = {k: v for k, v in values.items() if not isinstance(v, Tensor)}
        tensors |= {f"optimizer.{number}.{k}": v for k, v in values.items() if isinstance(v, Tensor)}
    said = {"numbers": saved.numbers, "rows": saved.rows, "optimizer": plain}
    ours = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    body = save(ours, metadata={"state": json.dumps(said, ensure_ascii=True)})
    return _MAGIC + hashlib.sha256(body).hexdigest().encode("ascii") + b"\n" + body


def unpack(data: bytes, expected: Saved) -> Saved:
    """Return a checkpoint from its bytes.

    expected : a state of the run to be continued: the names, shapes and kinds that it has to have
    Raises ModelError where it is damaged, of another version or of another run.
    """
    head, body = data[:_HEAD], data[_HEAD:]
    if not head.startswith(_MAGIC):
        raise ModelError("last.pt does not fit this run (no checkpoint of this version): start again with --overwrite")
    if head[len(_MAGIC) :] != hashlib.sha256(body).hexdigest().encode("ascii") + b"\n":
        raise ModelError("last.pt does not fit this run (damaged: another digest): start again with --overwrite")
    try:
        found = _read(body)
        _check(found, expected)
    except Exception as error:  # the library raises classes of its own
        raise ModelError(
            f"last.pt does not fit this run ({type(error).__name__}): start again with --overwrite"
        ) from error
    return found


def _read(body: bytes) -> Saved:
    from safetensors.torch import load

    length = int.from_bytes(body[:8], "little")
    if length > _MOST_HEAD:
        raise ValueError("an absurd header")
    header = parse_json(body[8 : 8 + length])
    said = parse_json(header["__metadata__"]["state"].encode("utf-8"))
    tensors: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
    optimizer: dict[int, dict[str, Any]] = {int(number): dict(v) for number, v in said["optimizer"].items()}
    for name, value in load(body).items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise ValueError("not finite")
        part, _, rest = name.partition(".")
        if part == "optimizer":
            number, _, key = rest.partition(".")
            optimizer[int(number)][key] = value
        else:
            tensors[part][rest] = value
    return Saved(tensors, optimizer, dict(said["numbers"]), list(said["rows"]))


def _check(found: Saved, expected: Saved) -> None:
    """Raise ValueError for another state than that of the run."""
    for part in _PARTS:
        known = expected.tensors["network"]
        if part == "best" and not found.tensors[part] and not found.numbers["best_epoch"]:
            continue
        if {k: (v.shape, v.dtype) for k, v in found.tensors[part].items()} != {
            k: (v.shape, v.dtype) for k, v in known.items()
        }:
            raise ValueError(part)
    if set(found.numbers) != set(expected.numbers):
        raise ValueError("numbers")
    for key, value in found.numbers.items():
        whole = isinstance(expected.numbers[key], int)
        if type(value) not in ((int,) if whole else (int, float)) or value < (0 if whole else -math.inf):
            raise ValueError(key)
    if not all(isinstance(row, dict) and all(_is_number(v) for v in row.values()) for row in found.rows):
        raise ValueError("rows")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
