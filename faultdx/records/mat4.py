"""MATLAB v4: full numeric matrices of either byte order; text, sparse, complex and VAX ones are listed only.

Layout: "MAT-File Format" (MathWorks), chapter on level 4: a 20-byte header of five integers (type MOPT, rows,
columns, imaginary flag, name length), the name with its final NUL, the real part, the imaginary part.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from faultdx.files import show
from faultdx.records.contents import Contents, NumberArray, Variable

if TYPE_CHECKING:
    from faultdx.records.formats import Source

_HEADER = 20
_TYPES = ("f8", "f4", "i4", "i2", "u2", "u1")  # by the digit P of MOPT
_MACHINES = ("IEEE little-endian", "IEEE big-endian", "VAX D-float", "VAX G-float", "Cray")  # by M
_LONGEST_NAME = 256
_LONGEST_TEXT = 256
_MOST_VARIABLES = 10_000


@dataclass(frozen=True)
class _Matrix:
    """One header: byte `order`; `machine`, `precision` and `form` are the digits M, P and T of MOPT.

    start : where the data begin, in bytes from the start of the file
    """

    name: str
    order: str
    machine: int
    precision: int
    form: int
    rows: int
    columns: int
    is_complex: bool
    start: int

    @property
    def part_bytes(self) -> int:
        return self.rows * self.columns * np.dtype(_TYPES[self.precision]).itemsize

    @property
    def end(self) -> int:
        return self.start + self.part_bytes * (2 if self.is_complex else 1)


def _header(data: bytes | memoryview, position: int) -> _Matrix | None:
    """Return the matrix whose header stands at `position`, or None where no plausible header does."""
    for order in "<>":
        if position + _HEADER > len(data):
            return None
        mopt, rows, columns, imaginary, name_bytes = struct.unpack_from(order + "5i", data, position)
        machine, reserved, precision, form = mopt // 1000, mopt // 100 % 10, mopt // 10 % 10, mopt % 10
        if not (0 <= machine < len(_MACHINES) and reserved == 0 and precision < len(_TYPES) and form <= 2):
            continue
        # M states the byte order of the header too: a 0 read backwards is still a 0, so the other fields decide.
        if (machine == 0 and order == ">") or (machine == 1 and order == "<"):
            continue
        if rows < 0 or columns < 0 or imaginary not in (0, 1) or not 2 <= name_bytes <= _LONGEST_NAME:
            continue
        start = position + _HEADER + name_bytes
        name = bytes(data[position + _HEADER : start])
        if len(name) == name_bytes and (
            name[-1] != 0 or not name[:-1].isascii() or not name[:-1].decode().isprintable()
        ):
            continue
        title = name.rstrip(b"\0").decode("ascii", "replace")
        return _Matrix(title, order, machine, precision, form, rows, columns, bool(imaginary), start)
    return None


def matches(data: bytes) -> bool:
    """Say whether `data` starts with a plausible v4 header."""
    return _header(data, 0) is not None


def _variable(source: Source, matrix: _Matrix) -> Variable:
    shape = (matrix.rows, matrix.columns)
    if matrix.form == 1:
        text = None
        if matrix.rows == 1 and matrix.columns <= _LONGEST_TEXT and matrix.machine <= 1 and not matrix.is_complex:
            codes = np.frombuffer(source.data, matrix.order + _TYPES[matrix.precision], matrix.columns, matrix.start)
            if np.all((codes >= 0) & (codes < 256)):
                text = codes.astype(np.uint8).tobytes().decode("latin-1")
        return source.unreadable(matrix.name, shape, kind="text", cause="is text, not numbers", text=text)
    for refused, cause in (
        (matrix.form == 2, "is a sparse matrix"),
        (matrix.is_complex, "is complex"),
        (matrix.machine > 1, f"is in {_MACHINES[matrix.machine]} format"),
    ):
        if refused:
            return source.unreadable(matrix.name, shape, kind="other", cause=cause)

    def load() -> NumberArray:
        dtype = np.dtype(matrix.order + _TYPES[matrix.precision])
        stored = np.frombuffer(source.data, dtype, matrix.rows * matrix.columns, matrix.start)
        return source.native(matrix.name, stored.reshape(shape, order="F"))

    return Variable(matrix.name, shape, "number", load)


def open_mat4(source: Source) -> Contents:
    """Return the matrices of a MATLAB v4 file, each of shape (rows, columns), in file order.

    Raises RecordError where a header is implausible, a matrix runs past the end, or two share a name.
    """
    position = 0
    variables: list[Variable] = []
    while position < len(source.view):
        matrix = _header(source.view, position)
        if matrix is None:
            raise source.error(f"is damaged: no MATLAB v4 matrix starts at byte {position}")
        if matrix.end > len(source.view):
            have = len(source.view)
            raise source.error(
                f"is cut short: variable {show(matrix.name)} needs {matrix.end} bytes and the file has {have}",
                "copy it again",
            )
        if len(variables) == _MOST_VARIABLES:
            raise source.error(f"holds more than {_MOST_VARIABLES} variables", "split it")
        variables.append(_variable(source, matrix))
        position = matrix.end
    return source.contents("MATLAB v4", variables)
