"""WAV: RIFF/WAVE with PCM or floating-point samples, one variable a channel.

Layout: Multimedia Programming Interface and Data Specifications 1.0 (IBM and Microsoft, 1991);
WAVE_FORMAT_EXTENSIBLE: Microsoft, "Multiple channel audio data and WAVE files" (2001); RF64 and BW64, whose sizes
are in a chunk of 64-bit numbers: EBU Tech 3306 (2018) and ITU-R BS.2088. RIFX is RIFF in big-endian order.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from faultdx.records.contents import Contents, NumberArray, Variable

if TYPE_CHECKING:
    from faultdx.records.formats import Source

Order = Literal["little", "big"]
_MARK = {"little": "<", "big": ">"}
_LONG = (b"RF64", b"BW64")
_IN_DS64 = 0xFFFFFFFF  # a size that stands in the ds64 chunk
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
# The tail of the GUID of a sub-format; its first two bytes are the plain format code.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_CODECS = {
    0x0002: "Microsoft ADPCM",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0050: "MPEG",
    0x0055: "MP3",
    0x00FF: "AAC",
    0x0161: "Windows Media Audio",
}
_CURE = "export it as uncompressed PCM or float WAV"
_MOST_CHANNELS = 256


def _chunks(source: Source, order: Order) -> dict[bytes, memoryview]:
    """Return the first `fmt ` and `data` chunks; a chunk that runs past the end of the file raises RecordError."""
    view, position, found = source.view, 12, {}
    long_bytes = _data_bytes(source) if bytes(view[:4]) in _LONG else None
    while position + 8 <= len(view):
        kind, size = bytes(view[position : position + 4]), int.from_bytes(view[position + 4 : position + 8], order)
        if kind == b"data" and long_bytes is not None and size == _IN_DS64:
            size = long_bytes
        if kind in (b"fmt ", b"data"):
            if kind in found:
                raise source.error(f"has two {kind.decode().strip()} chunks", _CURE)
            if position + 8 + size > len(view):
                have = len(view) - position - 8
                raise source.error(
                    f"is cut short: its {kind.decode().strip()} chunk states {size} bytes and {have} are there",
                    "copy or record it again",
                )
            found[kind] = view[position + 8 : position + 8 + size]
        if len(found) == 2:
            break
        position += 8 + size + (size & 1)
    for kind in (b"fmt ", b"data"):
        if kind not in found:
            raise source.error(f"is cut short: it has no {kind.decode().strip()} chunk", "copy or record it again")
    return found


def _data_bytes(source: Source) -> int:
    """Return the size of the data that the ds64 chunk of a long file states; it has to come first."""
    view = source.view
    kind, size = bytes(view[12:16]), int.from_bytes(view[16:20], "little")
    if kind != b"ds64" or size < 28 or len(view) < 20 + size:
        raise source.error(f"is a damaged {bytes(view[:4]).decode()} file: it has no whole ds64 chunk", _CURE)
    return int.from_bytes(view[28:36], "little")


def _layout(source: Source, fmt: memoryview, order: Order) -> tuple[int, int, int, int]:
    """Return (code, channels, sampling rate in Hz, bits a sample) after checks of each against the others."""
    if len(fmt) < 16:
        raise source.error("has a damaged fmt chunk", _CURE)
    code, channels, rate_hz, _, block, bits = struct.unpack_from(_MARK[order] + "HHIIHH", fmt)
    if code == _EXTENSIBLE:
        if len(fmt) < 40 or bytes(fmt[26:40]) != _GUID_TAIL:
            raise source.error("has an extensible header of an unknown sub-format", _CURE)
        code = int.from_bytes(fmt[24:26], order)
    if code not in (_PCM, _FLOAT):
        raise source.error(f"is compressed ({_CODECS.get(code, f'codec 0x{code:04x}')})", _CURE)
    if bits not in ((8, 16, 24, 32) if code == _PCM else (32, 64)):
        raise source.error(
            f"has {bits}-bit {'PCM' if code == _PCM else 'float'} samples, which no reader expects", _CURE
        )
    if not 1 <= channels <= _MOST_CHANNELS or block != channels * bits // 8:
        raise source.error(f"has a damaged header: {channels} channels of {bits} bits in {block} bytes", _CURE)
    if rate_hz == 0:
        raise source.error("states a sampling rate of 0 Hz", "export it again with its sampling rate")
    return code, channels, rate_hz, bits


@dataclass(frozen=True)
class _Samples:
    """The data chunk: frames of one sample a channel."""

    source: Source
    data: memoryview
    order: Order
    code: int
    bits: int
    channels: int

    @property
    def count(self) -> int:
        return len(self.data) // (self.channels * self.bits // 8)

    def _stored(self, dtype: str) -> NumberArray:
        return np.frombuffer(self.data, _MARK[self.order] + dtype).reshape(self.count, self.channels)

    def channel(self, index: int) -> NumberArray:
        """Return channel `index`, shape (samples,): PCM scaled so that full scale is 1, floats as they are."""
        name = f"channel_{index + 1}"
        if self.code == _FLOAT:
            return self.source.native(name, self._stored(f"f{self.bits // 8}")[:, index])
        self.source.spend(name, self.count * 8)
        if self.bits == 8:  # the only unsigned one
            return (self._stored("u1")[:, index].astype(np.float32) - np.float32(128)) / np.float32(128)
        if self.bits == 16:
            return self._stored("i2")[:, index].astype(np.float32) / np.float32(2**15)
        if self.bits == 24:  # exact in float32, whose significand has 24 bits
            wide = np.zeros((self.count, 4), np.uint8)
            packed = np.frombuffer(self.data, np.uint8).reshape(self.count, self.channels, 3)[:, index]
            wide[:, 1:] = packed if self.order == "little" else packed[:, ::-1]
            return (wide.view("<i4")[:, 0] >> 8).astype(np.float32) / np.float32(2**23)
        return self._stored("i4")[:, index].astype(np.float64) / 2.0**31


def open_wav(source: Source) -> Contents:
    """Return the channels of a WAV file as `channel_1`..., shape (samples,), and its sampling rate.

    8, 16 and 24-bit PCM come as float32, 32-bit PCM as float64, both in [-1, 1); floats as stored. RIFX, RF64 and
    BW64 are read as RIFF is. Raises RecordError for compressed codecs, and a data chunk that is cut short.
    """
    order: Order = "big" if bytes(source.view[:4]) == b"RIFX" else "little"
    chunks = _chunks(source, order)
    code, channels, rate_hz, bits = _layout(source, chunks[b"fmt "], order)
    samples = _Samples(source, chunks[b"data"], order, code, bits, channels)
    frame_bytes = channels * bits // 8
    if len(samples.data) % frame_bytes:
        raise source.error(f"is damaged: {len(samples.data)} bytes are no whole number of {frame_bytes}-byte frames")
    variables = tuple(
        Variable(f"channel_{i + 1}", (samples.count,), "number", partial(samples.channel, i)) for i in range(channels)
    )
    return Contents("WAV", variables, sampling_rate_hz=float(rate_hz))
