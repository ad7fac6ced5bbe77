"""What tells a format, or an archive, by its bytes: cheap looks, so that no reader is imported for a file of another.

A look never raises. Where a mark is not enough to be sure (a zip archive may be arrays or a document), the first bytes
say whether the reader's own module is worth asking, which is imported only then.
"""

from __future__ import annotations

MAT5_MAGIC = b"MATLAB 5.0 MAT-file"
MAT5_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}  # version and byte order, at 124
MAT5_HEADER = 128  # bytes
MATLAB_73 = b"MATLAB 7.3 MAT-file"  # HDF5
ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b\x08"
ARCHIVE_HEAD = 512  # bytes of a file that tell whether it may be an archive
MATLAB_HEAD = 4096  # bytes of a file that tell whether it is MATLAB v5 and nothing else

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HDF5_PLACES = (0, 512, 1024, 2048)
_RIFF = (b"RIFF", b"RF64", b"RIFX", b"BW64")
_UFF_LINE = b"    -1"  # the first line of a universal file that is not blank
_UFF_HEAD = 512
_MAT4_HEADER = 20
_TAR_CHECKSUM = slice(148, 156)
_TAR_BINARY = 0x80  # its first byte, where it is no octal number
_MOST_MOPT = 4052  # of the type of a v4 matrix, its first integer


def is_hdf5(data: bytes) -> bool:
    """Say whether `data` have the HDF5 signature where MATLAB and others put it, or at least MATLAB's words."""
    return any(data[at : at + 8] == _HDF5_SIGNATURE for at in _HDF5_PLACES) or data.startswith(MATLAB_73)


def is_mat5(data: bytes) -> bool:
    """Say whether `data` has the mark of MATLAB v5, or at least the words at its start."""
    cut = len(data) < MAT5_HEADER and data.startswith(MAT5_MAGIC[:6])  # its words alone would pass for text
    return data[124:128] in MAT5_ORDERS or data.startswith(MAT5_MAGIC) or cut


def is_surely_mat5(head: bytes) -> bool:
    """Say whether a file that begins with `head`, `MATLAB_HEAD` bytes or all of it, is read as MATLAB v5 whatever
    follows: its words and its mark are there, and HDF5's are not."""
    return head.startswith(MAT5_MAGIC) and head[124:128] in MAT5_ORDERS and not is_hdf5(head)


def is_wav(data: bytes) -> bool:
    """Say whether `data` starts as a WAV file or one of its relatives."""
    return data[:4] in _RIFF and data[8:12] in (b"WAVE", b"")


def is_npy(data: bytes) -> bool:
    """Say whether `data` starts as an .npy file."""
    return data.startswith(b"\x93NUMPY")


def is_npz(data: bytes) -> bool:
    """Say whether `data` are a zip archive of .npy files: `npy.matches_npz`."""
    if not data.startswith(ZIP):
        return False
    from faultdx.records.npy import matches_npz

    return matches_npz(data)


def is_tdms(data: bytes) -> bool:
    """Say whether `data` start as a TDMS file."""
    return data.startswith(b"TDSm")


def is_parquet(data: bytes) -> bool:
    """Say whether `data` start as a Parquet file."""
    return data.startswith(b"PAR1")


def is_uff(data: bytes) -> bool:
    """Say whether `data` start as a universal file: `uff.matches`."""
    if _UFF_LINE not in data[:_UFF_HEAD]:
        return False
    from faultdx.records.uff import matches

    return matches(data)


def is_mat4(data: bytes) -> bool:
    """Say whether `data` starts with a plausible MATLAB v4 header: `mat4.matches`."""
    first = data[:4]
    small = min(int.from_bytes(first, "little"), int.from_bytes(first, "big")) <= _MOST_MOPT
    if len(data) < _MAT4_HEADER or not small:
        return False
    from faultdx.records.mat4 import matches

    return matches(data)


def is_text(data: bytes) -> bool:
    """Say whether `data` are text: `text.matches`."""
    from faultdx.records.text import matches

    return matches(data)


def may_be_archive(head: bytes) -> bool:
    """Tell by its first 512 bytes whether a file is worth opening as an archive."""
    if head.startswith((ZIP, GZIP)):
        return True
    if len(head) < ARCHIVE_HEAD or not head[0]:
        return False
    checksum = head[_TAR_CHECKSUM]
    digits = checksum.strip(b" \0")
    if digits and not digits.isdigit() and checksum[0] != _TAR_BINARY:
        return False
    from faultdx.records import tars

    return tars.is_header(head[:ARCHIVE_HEAD])
