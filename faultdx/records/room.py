"""Memory that a parent and its child process both see, for one array on its way from the child to the parent."""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from faultdx.records.contents import NumberArray

# Types of arrays that may come back: real numbers, in native byte order.
NATIVE = frozenset(np.dtype(f"{kind}{size}").str for kind in "iu" for size in (1, 2, 4, 8)) | {
    np.dtype(f"f{size}").str for size in (2, 4, 8)
}
_BLOCK = 1 << 22


class ChildError(Exception):
    """Why there is no answer, as the end of a sentence that begins with the library: "crashed on it (SIGSEGV)"."""


class Room:
    """Memory for one array, of at most `limit_bytes`: the child fills it, the parent takes it when the child is gone.

    It is shared between the two alone: children that are forked later do not have it.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = max(limit_bytes, 1)
        self._map: mmap.mmap | None = None
        self._base: NumberArray | None = None

    def open(self) -> None:
        """Map the room, just before the fork. Its pages are taken when they are written to."""
        self._map = mmap.mmap(-1, self.limit_bytes)

    def close_to_others(self) -> None:
        """Keep it from children that are forked from now on, which might write into it by accident."""
        if self._map is not None and hasattr(mmap, "MADV_DONTFORK"):
            self._map.madvise(mmap.MADV_DONTFORK)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NumberArray:
        """Return an array to decode into: in the room where it is free and large enough, so that no copy is needed."""
        count = math.prod(shape)
        if self._map is None or self._base is not None or count * dtype.itemsize > self.limit_bytes:
            return np.empty(shape, dtype)
        self._base = np.frombuffer(self._map, dtype, count).reshape(shape)
        return self._base

    def place(self, array: NumberArray) -> dict[str, str]:
        """Put `array` into the room unless it is there, in the child, and return how the parent finds it."""
        assert self._map is not None
        order: Literal["C", "F"] = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        whole = array.flags.f_contiguous or array.flags.c_contiguous
        if self._base is None or not whole or _address(array) != _address(self._base):
            if self._base is not None and np.shares_memory(self._base, array):
                array = array.copy()
            there: NumberArray = np.frombuffer(self._map, array.dtype, array.size)
            there.reshape(array.shape, order=order)[...] = array
        return {"dtype": array.dtype.str, "order": order}

    def take(self, said: object, shape: tuple[int, ...], *, spend: Callable[[int], None]) -> NumberArray:
        """Return the array that the child placed; `spend` is told its bytes before memory is taken, and may raise.

        Raises ChildError where what the child said about it cannot be true.
        """
        dtype = said.get("dtype") if isinstance(said, dict) else None
        order = said.get("order") if isinstance(said, dict) else None
        if self._map is None or not isinstance(dtype, str) or dtype not in NATIVE or order not in ("C", "F"):
            raise ChildError("gave no answer that makes sense")
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if size > self.limit_bytes:
            raise ChildError("gave an array that is larger than it was to be")
        spend(size)
        array: NumberArray = np.empty(math.prod(shape), dtype)  # its pages are taken when they are written to
        # Memory of its own, so that it may be forked and written to; block by block, so that it never takes twice
        # its size.
        to = array.view(np.uint8)
        for start in range(0, size, _BLOCK):
            block = min(_BLOCK, size - start)
            to[start : start + block] = np.frombuffer(self._map, np.uint8, block, start)
            if hasattr(mmap, "MADV_REMOVE"):
                self._map.madvise(mmap.MADV_REMOVE, start, block)
        self._map = None
        return array.reshape(shape, order=order)


def _address(array: NumberArray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
