"""What people pass by mistake, to be called by its name: a picture, a program, a document."""

from __future__ import annotations

import re

from faultdx.records import marks

# First bytes, what it is.
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x7fELF", "a program (ELF)"),
    (b"MZ", "a Windows program"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"SQLite format 3", "an SQLite database"),
    (b"ARROW1", "an Arrow table"),
    (b"\xd0\xcf\x11\xe0", "an old Microsoft Office document"),
    (b"TDSh", "the index of a TDMS file (.tdms_index), which holds no samples"),
    (b"fLaC", "a FLAC recording"),
    (b"OggS", "an Ogg recording"),
    (b"ID3", "an MP3 recording"),
)
# The same for what is text itself, where a column name may begin like a mark: a pattern, what it is.
_FOREIGN_TEXT: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<[!?a-zA-Z]"), "an HTML or XML document"),
    (re.compile(rb'(\xef\xbb\xbf)?\s*(\{|\[\s*[\[{"\d\-])'), "a JSON document"),
)


def what_is(data: bytes) -> str:
    """Return what this is, in words, where it is no format that we read."""
    if len(data) > 2 and data[0] == 0x80 and 2 <= data[1] <= 5:
        return "a Python pickle, which could run code"
    if data.startswith(marks.ZIP) and not marks.is_npz(data):
        return "a zip archive or an office document"
    found = next((what for mark, what in _FOREIGN if data.startswith(mark)), "")
    if found and marks.is_text(data):
        found = ""
    return found or next((what for pattern, what in _FOREIGN_TEXT if pattern.match(data[:4096])), "")
