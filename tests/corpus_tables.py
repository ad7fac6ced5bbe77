"""The text and WAV part of the corpus."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

import numpy as np
from corpus_base import SAMPLES, Made, bad, either, flipped, good, signal

RATE = 12_000


def lines(columns: np.ndarray, *, delimiter: str = ",", end: str = "\n", comma: bool = False, quote: str = "") -> str:
    """A table of columns, shape (channels, samples), every digit of which is kept."""

    def cell(value: float) -> str:
        text = repr(float(value))
        return quote + (text.replace(".", ",") if comma else text) + quote

    return "".join(delimiter.join(map(cell, row)) + end for row in columns.T)


def text_good(rng: np.random.Generator) -> Iterator[Made]:
    s = signal(rng, 2)
    time = np.arange(SAMPLES) / RATE
    timed = np.vstack([time, s])
    comma, semicolon, tab = lines(s), lines(s, delimiter=";"), lines(s, delimiter="\t")
    files: dict[str, str | bytes] = {
        "comma": comma, "semicolon": semicolon, "tab": tab, "space": lines(s, delimiter=" "),
        "spaces": lines(s, delimiter="   "), "comma_space": lines(s, delimiter=", "), "header": "a,b\n" + comma,
        "header_spaces": " a , b \n" + comma, "header_quoted": '"a","b"\n' + comma, "quoted": lines(s, quote='"'),
        "units": "a,b\n[g],[g]\n" + comma, "units_bare": "a;b\ng;g\n" + semicolon,
        "decimal_comma": lines(s, delimiter=";", comma=True), "decimal_comma_tab": lines(s, delimiter="\t", comma=True),
        "decimal_comma_header": "a;b\n" + lines(s, delimiter=";", comma=True),
        "crlf": lines(s, end="\r\n"), "cr": lines(s, end="\r"), "no_last_end": comma[:-1], "blank_last": comma + "\n\n",
        "comments": "# made by a logger\n# 12 kHz\n" + comma, "comments_percent": "% a\n" + comma,
        "savetxt": "# a,b\n" + comma, "trailing": lines(s, end=",\n"), "trailing_semicolon": lines(s, delimiter=";",
        end=";\n"),
        "bom": b"\xef\xbb\xbf" + comma.encode(), "bom_header": b"\xef\xbb\xbfa,b\n" + comma.encode(),
        "utf16": b"\xff\xfe" + comma.encode("utf-16-le"), "utf16_be": b"\xfe\xff" + comma.encode("utf-16-be"),
        "latin1": "Beschleunigung [m/s\u00b2],Kan\u00e4le\n".encode("latin-1") + comma.encode(),
        "utf8_header": "\u0443\u0441\u043a\u043e\u0440,\u52a0\u901f\u5ea6\n".encode() + comma.encode(),
        "blank_lines": "\n".join(comma.split("\n")[:5]) + "\n\n\n" + "\n".join(comma.split("\n")[5:]),
    }  # fmt: skip
    for name, data in files.items():
        yield good(f"{name}.csv", data if isinstance(data, bytes) else data.encode(), s)
    yield good("one.txt", lines(s[:1]).encode(), s[:1], "one column")
    yield good("one_header.txt", b"acc\n" + lines(s[:1]).encode(), s[:1])
    yield good("integers.txt", b"".join(b"%d\n" % n for n in np.round(s[0] * 99)), np.round(s[:1] * 99))
    yield good("exponents.txt", b"".join(b"%.17e\n" % n for n in s[0]), s[:1])
    yield good("signs.txt", b"".join(b"%+.17f\n" % n for n in s[0]), s[:1])
    yield good("time_s.csv", ("time [s],a,b\n" + lines(timed)).encode(), s, "a time column that states the rate")
    milliseconds = lines(np.vstack([time * 1e3, s]))
    yield good("time_ms.csv", ("t [ms],a,b\n" + milliseconds).encode(), s, "a time column in ms")
    yield good("time_unit_row.csv", ("time;a;b\n[ms];[g];[g]\n" + milliseconds.replace(",", ";")).encode(), s)
    yield good("sixteen.csv", lines(signal(rng, 16)).encode(), None)
    longer = np.round(signal(rng, 1, 60_000), 4)
    yield good("longer.csv", lines(longer).encode(), longer)
    # What the readers of tables are to learn, or to refuse: a preamble, a waveform in one cell, other separators.
    preamble = "Logger 7\nSerial number: 12\nSampling rate: 12000 Hz\nDate;2024-01-01\n"
    yield either("preamble.csv", (preamble + "a;b\n" + semicolon).encode(), s)
    yield either(
        "waveform_cell.csv",
        ('id,rate,samples\n1,12000,"' + ";".join(map(repr, map(float, s[0]))) + '"\n').encode(),
        s[:1],
    )
    yield either("decimal_comma_comma.csv", lines(s, comma=True).encode(), s, "decimal commas between commas")
    yield either("pipe.csv", lines(s, delimiter="|").encode(), s)
    yield either("colon.csv", lines(s, delimiter=":").encode(), s)
    yield either("no_break_space.csv", lines(s, delimiter="\u00a0").encode(), s)
    yield either("utf16_bare.csv", comma.encode("utf-16-le"), s, "UTF-16 without a mark")
    yield either("utf32.csv", comma.encode("utf-32"), s)
    yield either("index.csv", lines(np.vstack([np.arange(320), s])).encode(), None, "a running number first")
    yield either(
        "dates.csv",
        "".join(f"2024-01-01 00:00:{i % 60:02},{v!r}\n" for i, v in enumerate(map(float, s[0]))).encode(),
        s[:1],
    )


def text_bad(rng: np.random.Generator) -> Iterator[Made]:
    s = signal(rng, 2)
    table = lines(s)
    rows = table.split("\n")[:-1]

    def with_row(row: str, at: int = 150) -> bytes:
        return "\n".join([*rows[:at], row, *rows[at:], ""]).encode()

    for name, row in {
        "more": "1,2,3", "fewer": "1", "word": "1,overload", "words": "a,b", "nan": "1,nan", "inf": "inf,1",
        "empty_cell": "1,",
        "underscore": "1_0,2", "hex": "0x10,1", "arabic": "\u0661,2", "two_points": "1.2.3,4", "signs": "--5,1",
        "bare_e": "1e,2",
        "huge": "1e400,1", "digits": "9" * 5000 + ",1", "cut": "1,2.", "brace": "{1},2", "quote": '"1,2',
        "quotes": '""1"",2',
        "percent": "5%,1", "complex": "1+2j,1", "dollar": "$1,2", "null": "null,1", "thousands": "1,234,5",
        "bidi": "\u202e1,2", "full_width": "\uff11,2",
    }.items():  # fmt: skip
        expect = either if name in ("cut", "quotes", "percent") else bad
        yield expect(f"row_{name}.csv", with_row(row))
    for share in (0.001, 0.01, 0.5, 0.99):
        yield either(f"cut_{share}.csv", table[: int(len(table) * share)].encode(), None, "cut short")
    for i in range(10):
        yield either(f"flip_{i}.csv", flipped(rng, table.encode()), None, "a bit is turned over")
    million = 1_000_000
    yield bad("nul.csv", table.encode()[:900] + b"\0" + table.encode()[900:], "a NUL in the text")
    yield bad("nuls.csv", table.encode()[:900] + bytes(5000), "ends in zeros, as a crashed file system leaves it")
    yield bad("control.csv", table.encode()[:900] + b"\x1b[2J" + table.encode()[900:])
    yield bad("line.csv", b"1" * 3 * million, "a line of three million digits")
    yield bad("line_commas.csv", b"," * 3 * million, "three million commas")
    yield bad("columns.csv", b"1," * million, "a million columns")
    yield bad("columns_two_lines.csv", (b"1," * 400_000 + b"1\n") * 2)
    yield bad("columns_header.csv", b"a," * 500_000 + b"\n" + b"1,2\n" * 50)
    yield bad("quotes.csv", b'"' * million)
    yield bad("open_quote.csv", b'"' + table.encode() * 20, "a quote that nobody closes")
    for name, char in (
        ("brackets", b"("),
        ("square", b"["),
        ("spaces", b" "),
        ("digits", b"9"),
        ("equals", b"="),
        ("colons", b":"),
    ):
        yield either(f"header_{name}.csv", b"a" + char * 500_000 + b"b,c\n" + table.encode(), s, "a heading of 500 KB")
    yield either(
        "one_names.csv",
        b",".join([b"a"] * 1000) + b"\n" + lines(signal(rng, 1000, 20)).encode(),
        None,
        "1000 columns of one name",
    )
    yield bad("thousand_rows_two_million.csv", b"1,\n" * million, "a million rows of nothing much")
    yield bad("newlines.csv", b"\n" * million)
    yield bad("spaces.csv", b" " * million)
    yield bad("semicolons.csv", b";\n" * 300_000)
    yield bad("comments.csv", b"# nothing\n" * 100_000)
    yield bad("only_header.csv", b"a,b\n")
    yield bad("one_row.csv", b"1,2\n")
    yield bad("fifteen.csv", "\n".join(rows[:15]).encode())
    yield bad("words.csv", b"the quick brown fox\njumps over\n" * 50)
    yield bad("log.txt", b"2024-01-01 12:00:00 ERROR pump: no signal\n" * 100)
    yield bad("constant.csv", b"1.5,1.5\n" * 320)
    yield bad("names_only.csv", b"a,b\nc,d\ne,f\n" * 100)
    yield bad("utf16_odd.csv", b"\xff\xfe" + table.encode("utf-16-le")[:-1])
    yield bad("utf16_surrogate.csv", b"\xff\xfe" + b"\x00\xd8" * 400)
    yield bad("utf16_nul.csv", b"\xff\xfe" + bytes(800))
    yield bad("bom.csv", b"\xef\xbb\xbf", "a byte-order mark alone")
    yield bad("utf7.csv", b"+ADE-,+ADI-\n" * 100)
    yield bad("formula.csv", b"=cmd|' /C calc'!A0,1\n" * 100)
    yield bad("eicar.txt", rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*")


def wav_file(
    data: bytes, *, code: int = 1, bits: int = 16, channels: int = 1, before: bytes = b"", **lies: int
) -> bytes:
    block = lies.get("block", channels * bits // 8 & 0xFFFF)
    head = struct.pack("<HHIIHH", code, channels, lies.get("rate", RATE), RATE * block & 0xFFFFFFFF, block, bits)
    if code == 0xFFFE:
        head += struct.pack("<HHIH", 22, bits, 0, lies.get("sub", 1)) + bytes.fromhex("000000001000800000aa00389b71")
    body = b"WAVE" + before + b"fmt " + struct.pack("<I", lies.get("fmt", len(head))) + head
    body += b"data" + struct.pack("<I", lies.get("size", len(data))) + data + b"\0" * (len(data) & 1)
    return b"RIFF" + struct.pack("<I", lies.get("riff", len(body))) + body


def wav(rng: np.random.Generator) -> Iterator[Made]:
    s = np.clip(signal(rng, 2) / 8, -0.99, 0.99)
    for bits, channels in itertools.product((8, 16, 24, 32), (1, 2)):
        scale = 2 ** (bits - 1)
        whole = np.round(s[:channels] * scale * 0.9)
        frames = (whole.T + (128 if bits == 8 else 0)).astype("<i8")
        width = bits // 8
        data = b"".join(int(v).to_bytes(width, "little", signed=bits > 8) for v in frames.reshape(-1))
        yield good(f"pcm_{bits}_{channels}.wav", wav_file(data, bits=bits, channels=channels), whole / scale)
        yield good(
            f"extensible_{bits}_{channels}.wav",
            wav_file(data, code=0xFFFE, bits=bits, channels=channels),
            whole / scale,
        )
    for bits in (32, 64):
        data = s.T.astype(f"<f{bits // 8}").tobytes()
        yield good(f"float_{bits}.wav", wav_file(data, code=3, bits=bits, channels=2), s)
        yield good(f"float_extensible_{bits}.wav", wav_file(data, code=0xFFFE, bits=bits, channels=2, sub=3), s)
    whole = np.round(s[:1] * 20000)
    data = whole.astype("<i2").tobytes()
    plain = wav_file(data)
    yield good(
        "chunks.wav", wav_file(data, before=b"LIST\x05\x00\x00\x00INFO!\x00"), whole / 2**15, "an odd chunk before"
    )
    yield good("chunks_behind.wav", plain + b"LIST\x04\x00\x00\x00INFO", whole / 2**15)
    yield good("riff_zero.wav", wav_file(data, riff=0), whole / 2**15, "a logger that never wrote the size of the file")
    for bits in (0, 1, 4, 7, 12, 13, 20, 48, 64, 255, 65535):
        yield bad(f"bits_{bits}.wav", wav_file(data, bits=bits, block=2))
    for code, bits in (
        (2, 4),
        (6, 8),
        (7, 8),
        (0x11, 4),
        (0x31, 0),
        (0x50, 0),
        (0x55, 0),
        (0xFF, 16),
        (0, 16),
        (0x1234, 16),
    ):
        yield bad(f"codec_{code:04x}.wav", wav_file(data, code=code, bits=bits, block=1))
    for name, lies in {
        "channels_0": {"channels": 0}, "channels_many": {"channels": 65535}, "rate_0": {"rate": 0},
        "block_0": {"block": 0},
        "block_3": {"block": 3}, "fmt_short": {"fmt": 2}, "fmt_huge": {"fmt": 0xFFFFFFFF}, "size_more": {"size": 9999},
        "size_huge": {"size": 0xFFFFFFFF}, "size_odd": {"size": 639}, "sub_odd": {"code": 0xFFFE, "sub": 0x55},
        "size_none": {"size": 0}, "float_16": {"code": 3},
    }.items():  # fmt: skip
        yield bad(f"{name}.wav", wav_file(data, **{"bits": 16, **lies}))
    yield either("rate_huge.wav", wav_file(data, rate=0xFFFFFFFF), None, "contradicts the rate that is declared")
    for mark in (b"RIFX", b"RF64", b"BW64"):
        yield bad(f"{mark.decode()}.wav", mark + plain[4:])
    for share in (0.01, 0.03, 0.05, 0.5, 0.99):
        yield bad(f"cut_{share}.wav", plain[: int(len(plain) * share)])
    for i in range(10):
        yield either(f"flip_{i}.wav", flipped(rng, plain[:44]) + plain[44:])
    yield bad("two_data.wav", plain[:36] + b"data\x02\x00\x00\x00\x00\x00" + plain[36:])
    yield bad("no_fmt.wav", plain[:12] + plain[36:])
    yield bad("no_data.wav", plain[:36])
    yield bad("float_nan.wav", wav_file(np.full(320, np.nan, "<f4").tobytes(), code=3, bits=32))
    yield bad("silence.wav", wav_file(bytes(640)))
    yield bad("many_chunks.wav", plain[:12] + b"junk\0\0\0\0" * 100_000)
    yield bad("chunk_sizes.wav", plain[:12] + b"junk\xff\xff\xff\xff" + plain[12:])
