"""What is in a zip archive, and where; and a member's bytes.

Layout: PKWARE, .ZIP File Format Specification (APPNOTE) 6.3: 4.3.7 local header, 4.3.9 data descriptor, 4.3.12 central
directory, 4.3.14 to 4.3.16 its end, 4.5.3 sizes of 64 bits.
"""

from __future__ import annotations

import stat
import struct
import zlib
from typing import NamedTuple

from faultdx.records.streams import MIB, BrokenError, Stored, inflated
from faultdx.records.tars import MOST_MEMBERS, Entry, Index

_LOCAL, _CENTRAL, _END, _DESCRIPTOR = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x07\x08"
_END64, _LOCATOR64 = b"PK\x06\x06", b"PK\x06\x07"
_LONGEST_DIRECTORY = 16 * MIB
_UNKNOWN = 0xFFFFFFFF  # the size stands in an extra field of 64 bits
_METHODS = {
    1: "shrunk", 6: "imploded", 9: "with Deflate64", 12: "with bzip2", 14: "with LZMA", 93: "with Zstandard",
    95: "with xz", 96: "as JPEG", 98: "with PPMd", 99: "and encrypted (AES)",
}  # fmt: skip
_UNIX, _MACOS = 3, 19
_WITH_BACKSLASH = (0, 10, 11)  # made on MS-DOS or Windows, where some programs write \ between folders


class _Head(NamedTuple):
    """The fields that a local header and a central entry share."""

    flags: int
    method: int
    crc: int
    stored: int
    size: int
    name: str


def index(stored: Stored, *, limit: int) -> Index:
    """Return the members of a zip archive, of at most `limit` bytes unpacked in all.

    Where its directory is not there (it stands at the end), the members that the local headers tell, and the problem.
    BrokenError where they are too many, too large together, or share their bytes.
    """
    found = Index()
    directory = _directory(stored)
    if directory is None:
        _walk(stored, found, limit)
    else:
        _read_directory(directory[0], directory[1], found)
    plain, end = 0, 0
    for entry in sorted(found.entries, key=lambda e: e.start):
        plain += entry.size or 0
        if entry.start < end:
            raise BrokenError("is damaged: its members share their bytes")
        end = entry.start + entry.stored_bytes
    if plain > limit:
        raise BrokenError(f"holds {plain / MIB:.0f} MiB unpacked, too much for its size")
    return found


def read(stored: Stored, entry: Entry, limit: int) -> bytes:
    """Return the bytes of a member; BrokenError where they are not what the archive states of them."""
    head = stored.at(entry.start, 30)
    if len(head) < 30 or not head.startswith(_LOCAL):
        raise BrokenError("is damaged: it is not where the archive's directory says")
    start = entry.start + 30 + sum(struct.unpack_from("<HH", head, 26))
    if entry.size is None or entry.size > limit:
        raise BrokenError(f"is larger than {limit / MIB:.0f} MiB unpacked")
    if entry.method:
        data, size, crc, _ = inflated(stored, offset=start, count=entry.stored_bytes, limit=min(limit, entry.size))
    else:
        data = stored.at(start, entry.stored_bytes)
        size, crc = len(data), zlib.crc32(data)
    if size != entry.size:
        raise BrokenError(f"is damaged: {entry.size} bytes are stated and {size} are there")
    if crc != entry.crc:
        raise BrokenError("is damaged: its checksum (CRC-32) does not match")
    return data


def _directory(stored: Stored) -> tuple[bytes, int] | None:
    """Return the central directory and the number of its entries, or None where it is not there or not whole."""
    tail_start = max(0, stored.size - 65_557)
    tail = stored.at(tail_start, 65_557)
    place = tail.rfind(_END)
    if place < 0 or len(tail) < place + 22:
        return None
    disk, first, here, count, size, offset = struct.unpack_from("<HHHHII", tail, place + 4)
    end = tail_start + place
    locator = stored.at(end - 20, 20) if end >= 20 else b""
    if locator.startswith(_LOCATOR64):
        end = struct.unpack_from("<Q", locator, 8)[0]
        block = stored.at(end, 56) if end < stored.size else b""
        if len(block) < 56 or not block.startswith(_END64):
            return None
        disk, first, here, count, size, offset = struct.unpack_from("<IIQQQQ", block, 16)
    if disk or first or here != count:
        raise BrokenError("is a part of an archive in several files")
    if count > MOST_MEMBERS or size > _LONGEST_DIRECTORY:
        raise BrokenError(f"has more than {MOST_MEMBERS} members, or too long names")
    if offset + size > end:
        return None
    directory = stored.at(offset, size)
    return (directory, count) if directory.startswith(_CENTRAL) or not count else None


def _read_directory(directory: bytes, count: int, found: Index) -> None:
    position = 0
    for _ in range(count):
        if directory[position : position + 4] != _CENTRAL or position + 46 > len(directory):
            found.problem = f"is damaged: its directory lists {count} members and ends after {len(found.entries)}"
            return
        system, flags, method, crc, stored, size, names, extras, remarks = struct.unpack_from(
            "<xBxxHHxxxxIIIHHH", directory, position + 4
        )
        external, offset = struct.unpack_from("<II", directory, position + 38)
        end = position + 46 + names
        size, stored, offset = _wide(directory[end : end + extras], (size, stored, offset))
        name = _decoded(directory[position + 46 : end], flags, system)
        mode = external >> 16 if system in (_UNIX, _MACOS) else 0
        found.add(_entry(_Head(flags, method, crc, stored, size, name), offset, mode))
        position = end + extras + remarks


def _entry(head: _Head, offset: int, mode: int = 0) -> Entry:
    kind = stat.S_IFMT(mode)
    cause = ""
    if head.flags & 0x2041:
        cause = "is encrypted"
    elif head.method not in (0, 8):
        cause = f"is compressed {_METHODS.get(head.method, f'by method {head.method}')}, which is not read here"
    elif head.flags & 0x20:
        cause = "is a patch to another file"
    elif kind == stat.S_IFLNK:
        cause = "is a link"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        cause = "is a device, a FIFO or a socket"
    elif head.method == 0 and head.stored != head.size:
        cause = f"is damaged: {head.size} bytes are stated and {head.stored} are there"
    return Entry(
        head.name,
        head.size,
        offset,
        head.stored,
        cause,
        folder=head.name.endswith("/") or kind == stat.S_IFDIR,
        method=head.method,
        crc=head.crc,
    )


def _wide(extra: bytes, values: tuple[int, ...]) -> tuple[int, ...]:
    """Return sizes (and an offset) with those that do not fit in 32 bits taken from the extra field 0x0001."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            body = extra[position + 4 : position + 4 + length]
            wide = [int.from_bytes(body[i : i + 8], "little") for i in range(0, len(body) - 7, 8)]
            return tuple(wide.pop(0) if value == _UNKNOWN and wide else value for value in values)
        position += 4 + length
    return values


def _decoded(name: bytes, flags: int, system: int) -> str:
    """Return a name: UTF-8 where it says so or reads as such (many programs do not say), else the DOS code page."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        text = name.decode("utf-8", "surrogateescape") if flags & 0x800 else name.decode("cp437")
    text = text.partition("\0")[0]
    return text.replace("\\", "/") if system in _WITH_BACKSLASH else text


def _walk(stored: Stored, found: Index, limit: int) -> None:
    """Find the members of an archive without its directory by their local headers, one behind the other."""
    position, plain = 0, 0
    found.problem = "is cut short: the directory at its end is missing"
    while (head := stored.at(position, 30)).startswith(_LOCAL) and len(head) == 30:
        flags, method, crc, size, full, names, extras = struct.unpack_from("<xxHHxxxxIIIHH", head, 4)
        text = stored.at(position + 30, names + extras)
        start = position + 30 + names + extras
        full, size = _wide(text[names:], (full, size))
        name = _decoded(text[:names], flags, _UNIX)
        if flags & 8 and not size:  # the sizes stand behind the data, the end of which the data alone tell
            if method != 8 or flags & 1:
                break
            try:
                _, full, crc, size = inflated(
                    stored, offset=start, count=stored.size - start, limit=max(0, limit - plain), keep=False
                )
            except BrokenError:
                break
            end = _after_descriptor(stored, start + size, crc, size)
        else:
            end = start + size
        if end > stored.size:
            break
        plain += full
        found.add(_entry(_Head(flags, method, crc, size, full, name), position))
        position = end
    found.problem += f", after {len(found.entries)} whole members" if found.entries else ""


def _after_descriptor(stored: Stored, position: int, crc: int, size: int) -> int:
    """Return where the data descriptor ends: CRC, stored size and size, of 32 or 64 bits, often behind a mark."""
    block = stored.at(position, 24)
    if block.startswith(_DESCRIPTOR):
        block, position = block[4:], position + 4
    if block[:4] != struct.pack("<I", crc):
        return stored.size + 1  # it is not whole
    wide = block[4:12] == struct.pack("<Q", size) and len(block) >= 20
    return position + (20 if wide else 12)
