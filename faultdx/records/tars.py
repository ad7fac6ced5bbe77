"""What is in a tar archive, and where: headers only, walked forwards.

Layout: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format" (long
names, sizes in base 256).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from faultdx.records.streams import BrokenError, Forward

MOST_MEMBERS = 10_000
LONGEST_NAMES = 4 * 1024 * 1024  # of all members together
_BLOCK = 512
_LONGEST_EXTENSION = 1024 * 1024
_KINDS = {
    b"1": "a link", b"2": "a link", b"3": "a device", b"4": "a device", b"5": "a folder", b"6": "a FIFO",
    b"D": "a folder", b"V": "a label", b"M": "a piece of a file, the rest of which is in another archive",
    b"S": "stored with holes",
}  # fmt: skip
_FILES = b"\x0007"


@dataclass(frozen=True)
class Entry:
    """A member: its name as stored, its size unpacked, bytes (None: not stated), and where and how it is stored.

    cause : why it cannot be read, "" where it can; folder : whether it is one
    method, crc : of a zip member
    """

    name: str
    size: int | None
    start: int = 0
    stored_bytes: int = 0
    cause: str = ""
    folder: bool = False
    method: int = 0
    crc: int | None = None


@dataclass
class Index:
    """The members that are whole, in the order of the archive, and what is wrong with the rest ("" if nothing)."""

    entries: list[Entry] = field(default_factory=list)
    problem: str = ""
    names_bytes: int = 0

    def add(self, entry: Entry) -> None:
        """Add a member; BrokenError over the limits."""
        self.names_bytes += len(entry.name)
        if len(self.entries) >= MOST_MEMBERS or self.names_bytes > LONGEST_NAMES:
            raise BrokenError(f"has more than {MOST_MEMBERS} members, or too long names")
        self.entries.append(entry)


@dataclass
class _Said:
    """What the headers before a member say of it."""

    name: str | None = None
    size: int | None = None
    sparse: bool = False
    real_name: str | None = None  # of a sparse member, whose name is made up


def is_header(block: bytes) -> bool:
    """Tell whether a block of 512 bytes is the header of a tar member: its checksum holds."""
    if len(block) < _BLOCK or not block[0]:
        return False
    try:
        stated = _number(block[148:156])
    except BrokenError:
        return False
    others = block[:148] + b" " * 8 + block[156:_BLOCK]
    # Some old programs added up signed bytes.
    return stated == sum(others) or stated == sum(others) - 256 * sum(b > 127 for b in others)


def index(stream: Forward) -> Index:
    """Return the members of a tar archive.

    Where it is cut or a header is damaged, those before it, and the problem. BrokenError where a checksum of the
    whole is wrong, so that none of them is to be believed, or there are too many.
    """
    found = Index()
    try:
        _walk(stream, found)
        stream.finish()
    except BrokenError as error:
        if not error.cut:
            raise
        if stream.checked and found.entries:
            # A damaged stream may look like one that is cut: its checksum, which would tell, is at its end. What lies
            # before a good header was in step; of the last member nothing tells that.
            found.entries.pop()
        found.problem = f"{error}{_after(found)}"
    return found


def _after(found: Index) -> str:
    return f" after {len(found.entries)} whole members" if found.entries else ""


def _walk(stream: Forward, found: Index) -> None:
    position = 0
    said = _Said()
    extensions = 0
    while True:
        stream.go(position)
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise BrokenError("is cut short", cut=True)
        if not block.strip(b"\0"):
            return
        if not is_header(block):
            found.problem = f"is damaged: no header of a member at byte {position}{_after(found)}"
            return
        kind = block[156:157]
        stated = _number(block[124:136])
        size = stated if said.size is None or kind in b"xXgLK" else said.size
        start = position + _BLOCK
        if kind in b"xXgLK":
            extensions += 1
            if size > _LONGEST_EXTENSION or extensions > 4 * MOST_MEMBERS:
                raise BrokenError("has a name or a remark of impossible length")
            stream.go(start)
            text = stream.read(size)
            if len(text) < size:
                raise BrokenError("is cut short", cut=True)
            _extend(said, kind, text)
            position = start + _padded(size)
            continue
        name = said.real_name or (said.name if said.name is not None else _name(block))
        has_data = kind not in (b"1", b"2", b"3", b"4", b"5", b"6")
        cause = _KINDS.get(kind, "" if kind in _FILES else "of an unknown kind")
        if said.sparse:
            cause = _KINDS[b"S"]
        is_folder = cause == "a folder" or (kind in _FILES and name.endswith("/"))
        if kind == b"S":
            start = _after_holes(stream, block, start)
        position = start + (_padded(size) if has_data else 0)
        if has_data:
            stream.go(start + size)  # what is listed is there to its end
        found.add(Entry(name, size, start, size, f"is {cause}" if cause else "", is_folder))
        said = _Said()


def _after_holes(stream: Forward, block: bytes, start: int) -> int:
    """Return where the data of an old GNU sparse member start: after the blocks that go on with its list of holes."""
    more = block[482]
    while more:
        stream.go(start)
        block = stream.read(_BLOCK)
        if len(block) < _BLOCK:
            raise BrokenError("is cut short", cut=True)
        more, start = block[504], start + _BLOCK
    return start


def _extend(said: _Said, kind: bytes, text: bytes) -> None:
    """Take what an extension header says: x of the next member, g of all (nothing of which is needed), L a name."""
    if kind == b"L":
        said.name = _text(text)
    if kind not in b"xX":
        return
    position = 0
    while position < len(text):
        blank = text.find(b" ", position, position + 12)
        digits = text[position:blank] if blank > 0 else b""
        length = int(digits) if digits.isdigit() else 0
        if length <= len(digits) + 1 or position + length > len(text):
            if text[position:].strip(b"\0"):
                raise BrokenError("is damaged: a remark on a member is no list of values")
            return
        key, _, value = text[blank + 1 : position + length - 1].partition(b"=")
        if key == b"path":
            said.name = _text(value)
        elif key == b"size":
            if not value.isdigit() or len(value) > 18:
                raise BrokenError("is damaged: a member has an impossible size")
            said.size = int(value)
        elif key.startswith(b"GNU.sparse."):
            said.sparse = True
            said.real_name = _text(value) if key == b"GNU.sparse.name" else said.real_name
        position += length


def _name(block: bytes) -> str:
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field_: bytes) -> str:
    return field_.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _number(text: bytes) -> int:
    """Read a number: octal digits, or base 256 where the first bit is set."""
    if text[0] == 0x80:
        return int.from_bytes(text[1:], "big")
    digits = text.strip(b" \0")
    if not all(c in b"01234567" for c in digits):
        raise BrokenError("is damaged: a number in a header is none")
    return int(digits or b"0", 8)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK
