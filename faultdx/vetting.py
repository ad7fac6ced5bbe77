"""Is an ONNX file a network that may be run here? Looked at by us first, then tried in a child process with limits.

ONNX Runtime is a library in C++ that runs what a file says: with loops, with weights in other files, with operations
of plug-ins, with sizes of any kind. What no network of faultdx has is refused by its bytes, before that library sees
it (`check_graph`). What is left may still crash it, or ask for more memory than there is: a child finds out (`tried`).

Wire format: Protocol Buffers, "Encoding". Field numbers: onnx.proto3 of ONNX 1.17.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from faultdx.extras import onnx_runtime

MIB = 1 << 20
_MOST_NODES = 20_000
_MOST_FIELDS = 2_000_000  # of the whole file: what a walk may take
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}
_STANDARD = (b"", b"ai.onnx")
# A small network and its batch take 30 MiB; what a large one takes grows with its weights and its input.
_TRIAL_S = 8.0
_TRIAL_BYTES, _TIMES_WEIGHTS, _TIMES_INPUT = 192 * MIB, 6, 64
_opening = threading.Lock()

Field = tuple[int, int, Any]


class RefusedError(Exception):
    """Why a network is not run, as the end of a sentence that begins with the file."""


def check_graph(data: bytes) -> None:
    """Raise RefusedError for a file that is no ONNX, or has what no network of faultdx has.

    Weights or values outside the file, functions, operations that are not of the ONNX standard, graphs inside of
    operations (so loops and branches), weights whose size is not that of their shape, or that are not finite numbers.
    """
    try:
        _Walk().model(memoryview(data))
    except (ValueError, IndexError) as error:
        raise RefusedError("is not a network that onnxruntime can run (no ONNX file, or damaged)") from error


class _Walk:
    def __init__(self) -> None:
        self.left = _MOST_FIELDS
        self.nodes = 0

    def fields(self, view: memoryview) -> Iterator[Field]:
        """Yield (number, wire type, value) of a message; ValueError and IndexError where it is none."""
        at, end = 0, len(view)
        while at < end:
            self.left -= 1
            if self.left < 0:
                raise RefusedError("is not a network of faultdx: it has too many parts")
            key, at = _varint(view, at)
            number, wire = key >> 3, key & 7
            if wire == _VARINT:
                value, at = _varint(view, at)
                yield number, wire, value
                continue
            if wire == _BYTES:
                size, at = _varint(view, at)
            elif wire in (_FIXED32, _FIXED64):
                size = 4 if wire == _FIXED32 else 8
            else:
                raise ValueError("a group")
            if not number or at + size > end:
                raise ValueError("a field beyond the end")
            yield number, wire, view[at : at + size]
            at += size

    def model(self, view: memoryview) -> None:
        graphs = 0
        for number, wire, value in self.fields(view):
            if number in (20, 25, 26):  # training_info, functions, configuration
                raise RefusedError("is not a network of faultdx: it has functions or training steps")
            if number == 7:
                graphs += 1  # several are merged into one (Protocol Buffers, "Encoding")
                self.graph(_message(wire, value))
        if not graphs or not self.nodes:
            raise ValueError("no graph")

    def graph(self, view: memoryview) -> None:
        for number, wire, value in self.fields(view):
            if number == 1:
                self.node(_message(wire, value))
            elif number == 5:
                self.tensor(_message(wire, value))
            elif number == 15:
                raise RefusedError("is not a network of faultdx: it has sparse weights")

    def node(self, view: memoryview) -> None:
        self.nodes += 1
        if self.nodes > _MOST_NODES:
            raise RefusedError(f"is not a network of faultdx: it has more than {_MOST_NODES} operations")
        for number, wire, value in self.fields(view):
            if number == 7 and bytes(_message(wire, value)) not in _STANDARD:
                raise RefusedError("is not a network of faultdx: it has operations that are not of the ONNX standard")
            if number == 5:
                self.attribute(_message(wire, value))

    def attribute(self, view: memoryview) -> None:
        for number, wire, value in self.fields(view):
            if number in (6, 11):
                raise RefusedError("is not a network of faultdx: it has loops or branches")
            if number in (22, 23):
                raise RefusedError("is not a network of faultdx: it has sparse weights")
            if number in (5, 10):
                self.tensor(_message(wire, value))

    def tensor(self, view: memoryview) -> None:
        dims: list[int] = []
        kind, raw = 0, None
        for number, wire, value in self.fields(view):
            if number == 13 or (number == 14 and value):
                raise RefusedError("is not a network of faultdx: it keeps weights in another file")
            if number == 1:
                dims += [value] if wire == _VARINT else _varints(_message(wire, value))
            elif number == 2:
                kind = value
            elif number == 9:
                raw = _message(wire, value)
            elif number in (4, 10) and wire == _BYTES:
                _finite(np.frombuffer(value, "<f4" if number == 4 else "<f8"))
        if any(not 0 <= n < 1 << 31 for n in dims):
            raise ValueError("a dimension")
        if raw is not None and math.prod(dims) * _ITEM_BYTES.get(kind, -1) != len(raw):
            raise ValueError("a size that is not that of the shape")
        if raw is not None and kind in _FLOATS:
            _finite(np.frombuffer(raw, _FLOATS[kind]))


def _finite(values: Any) -> None:
    if not np.isfinite(values).all():
        raise RefusedError("has weights that are not finite numbers")


def _message(wire: int, value: Any) -> memoryview:
    if wire != _BYTES:
        raise ValueError("not a message")
    view: memoryview = value
    return view


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return an unsigned number of up to ten bytes, and where it ends."""
    first = view[at]
    if first < 0x80:
        return first, at + 1
    value = first & 0x7F
    for shift in range(7, 70, 7):
        at += 1
        byte = view[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
    raise ValueError("a number of more than ten bytes")


def _varints(view: memoryview) -> list[int]:
    out, at = [], 0
    while at < len(view):
        value, at = _varint(view, at)
        out.append(value)
        if len(out) > 64:
            raise ValueError("too many dimensions")
    return out


def session(onnx: bytes, threads: int) -> Any:
    """Return a session of ONNX Runtime on the CPU. Raises what that raises."""
    onnxruntime = onnx_runtime()
    onnxruntime.set_default_logger_severity(4)  # what goes wrong comes as an exception, and once is enough
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def fits(opened: Any, shape: tuple[int, ...], classes: int) -> bool:
    """Tell whether a session takes `segments` of the shape (channels, samples) and gives `logits` first."""
    takes = [(i.name, i.type, i.shape[1:], any(isinstance(n, int) for n in i.shape[:1])) for i in opened.get_inputs()]
    gives = [(o.name, o.shape[1:]) for o in opened.get_outputs()][:1]
    return takes == [("segments", "tensor(float)", [*shape], False)] and gives == [("logits", [classes])]


def tried(onnx: bytes, shape: tuple[int, int, int], classes: int) -> None:
    """Open and run the network once in a child process. Raises RefusedError where that does not end well.

    shape : of the input `segments`, (segments, channels, samples), as it will be run; classes : of the output `logits`
    """
    onnx_runtime()  # imported before the fork: the child can open no file
    from faultdx.records.child import Limits, run
    from faultdx.records.room import ChildError

    # No noise: to import numpy.random takes longer than all of this.
    signal = np.sin(np.arange(math.prod(shape), dtype=np.float64) ** 1.1).astype(np.float32).reshape(shape)

    def work() -> dict[str, str]:
        try:
            opened = session(onnx, 1)
            outputs = opened.get_outputs()
            if not fits(opened, shape[1:], classes):
                return {"no": "does not fit model.json"}
            found = opened.run([output.name for output in outputs], {"segments": signal})
            if any([*v.shape] != [shape[0], *o.shape[1:]] for v, o in zip(found, outputs, strict=True)):
                return {"no": "gives other outputs than it states"}
            if not all(np.isfinite(value).all() for value in found if value.dtype.kind == "f"):
                return {"no": "gives numbers that are not finite"}
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime raises classes of its own that share no base
            text = str(error).lower()
            if "alloc" in text or "memory" in text:
                return {"no": "asks for more memory than such a network needs"}
            return {"no": "is not a network that onnxruntime can run"}
        return {}

    memory = _TRIAL_BYTES + _TIMES_WEIGHTS * len(onnx) + _TIMES_INPUT * 4 * math.prod(shape)
    with _opening:  # not while another thread is inside the library's own locks
        try:
            said = run(work, limits=Limits(memory, _TRIAL_S))
        except ChildError as error:
            raise RefusedError(f"{error} when it was tried in onnxruntime") from error
    if not isinstance(said, dict) or said:
        raise RefusedError(str(said["no"]) if isinstance(said, dict) else "gave no answer that makes sense")
