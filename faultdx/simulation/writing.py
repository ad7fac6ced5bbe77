"""A simulated rig on the disk: MATLAB files such as a laboratory publishes, and the table that describes them."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faultdx.errors import ConfigError, OutputError, RecordError
from faultdx.files import atomic_write, check_target, is_vacant, output_error, show
from faultdx.records.record import Record

FIRST_NUMBER = 501  # the real CWRU files stop below it, but for 3001 to 3008
_TAKEN = range(3001, 3009)
TABLE = "records.csv"
_COLUMNS = (
    "path",
    "label",
    "sampling_rate_hz",
    "rpm",
    "unit",
    "specimen",
    "condition",
    "asset",
)
_MATLAB_CLASS = {"f": b"double", "u": b"uint16"}


def _variables(record: Record, number: int) -> dict[str, npt.NDArray[Any]]:
    """What stands in the file: MATLAB shapes, double samples, as in the files of CWRU; the gearbox's by plain names."""
    if record.signal.shape[0] != 1:
        raise RecordError(
            f"{show(record.path)}: has {record.signal.shape[0]} channels; a rig file holds one, write one at a time",
            record.path,
        )
    gearbox = record.details.get("machine") == "gearbox"
    signal = record.signal[0].astype(np.float64)[:, None]
    variables: dict[str, npt.NDArray[Any]] = {"vibration" if gearbox else f"X{number:03d}_DE_time": signal}
    if record.rpm is not None:
        variables["rpm" if gearbox else f"X{number:03d}RPM"] = np.array([[round(record.rpm)]], dtype=np.uint16)
    variables["sampling_rate_hz"] = np.array([[record.sampling_rate_hz]], dtype=np.float64)
    return variables


def _v5(variables: dict[str, npt.NDArray[Any]]) -> bytes:
    """MATLAB 5.0 bytes, the same for the same variables: scipy would put today's date into the header."""
    import scipy.io

    stream: Any = io.BytesIO()  # scipy takes it, its type stubs do not say so
    scipy.io.savemat(stream, variables, format="5", oned_as="column")
    data: bytes = stream.getvalue()
    header = b"MATLAB 5.0 MAT-file Platform: posix, Created on: Thu Jan  1 00:00:00 1970"
    return header.ljust(116) + data[116:]


def _v73(variables: dict[str, npt.NDArray[Any]]) -> bytes:
    """MATLAB 7.3 bytes: HDF5 behind a user block of 512 bytes, arrays transposed, MATLAB_class on each.

    Built in memory: HDF5 that runs out of disk can take the process down.
    """
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=512, libver="earliest", track_order=False) as file:
        for name, array in variables.items():
            chunked: dict[str, Any] = {}
            if array.size > 1:
                chunked = {"chunks": True, "compression": "gzip", "compression_opts": 1, "shuffle": True}
            dataset = file.create_dataset(name, data=np.ascontiguousarray(array.T), **chunked)
            dataset.attrs["MATLAB_class"] = np.bytes_(_MATLAB_CLASS[array.dtype.kind])
    data = bytearray(stream.getvalue())
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Thu Jan  1 00:00:00 1970 HDF5 schema 1.00 ."
    data[:512] = (text.ljust(116) + bytes(8) + b"\x00\x02IM").ljust(512, b"\0")
    return bytes(data)


_FORMATS = {"5": _v5, "7.3": _v73}


def _open_folder(folder: Path, *, overwrite: bool) -> None:
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{show(folder)}: is a file; choose the name of a new folder")
        if not overwrite and folder.is_dir() and not is_vacant(folder):
            raise OutputError(f"{show(folder)}: is not empty; choose a new folder, or --overwrite replaces its files")
        folder.mkdir(parents=True, exist_ok=True)
        check_target(folder / TABLE, overwrite=overwrite)
        (folder / TABLE).unlink(missing_ok=True)  # a table must not describe files that are being replaced
    except OSError as error:
        raise output_error(folder, error) from error


def write_rig(
    records: Iterable[Record],
    folder: str | Path,
    *,
    mat_format: str = "5",
    overwrite: bool = False,
) -> Path:
    """Write each record to a MATLAB file of its own, and records.csv beside them; return the folder.

    Files are 501.mat, 502.mat, ... in the order of `records`: `X501_DE_time` (samples, 1) double and `X501RPM`
    uint16 as CWRU has them, or `vibration` and `rpm` for a gearbox, and `sampling_rate_hz` in both. records.csv is
    written last and has path, label, sampling_rate_hz, rpm, unit, specimen, condition, asset and the records'
    details. One record is in memory at a time; the same records give the same bytes. With `overwrite`, files of the
    same names are replaced and others are left alone.

    Raises ConfigError (mat_format), RecordError (more than one channel), OutputError.
    """
    if mat_format not in _FORMATS:
        raise ConfigError(f"mat_format is {mat_format!r}: choose one of {', '.join(_FORMATS)}")
    root = Path(folder)
    _open_folder(root, overwrite=overwrite)
    rows: list[dict[str, str]] = []
    numbers = (number for number in itertools.count(FIRST_NUMBER) if number not in _TAKEN)
    for number, record in zip(numbers, records, strict=False):
        name = f"{number}.mat"
        atomic_write(root / name, _FORMATS[mat_format](_variables(record, number)), overwrite=overwrite)
        row = {column: getattr(record, column) for column in _COLUMNS if column != "path"}
        rows.append({**record.details, "path": name, **{k: _cell(v) for k, v in row.items()}})
    extra = dict.fromkeys(key for row in rows for key in row if key not in _COLUMNS)
    table = io.StringIO()
    writer = csv.DictWriter(table, (*_COLUMNS, *extra), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(root / TABLE, table.getvalue(), overwrite=overwrite)
    return root


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
