"""The numbers that define a network: saved beside its weights, checked before anything is built from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import prod
from typing import Any, NamedTuple

from faultdx.errors import ConfigError

GATES = ("none", "squeeze-excitation", "channel-shared", "channel-wise")
FAMILIES = ("residual", "wdcnn")
INPUT_KINDS = ("waveform", "spectrogram")

# What a network may cost at most, so that numbers from a foreign file cannot exhaust the machine.
MAX_PARAMETERS = 50_000_000
MAX_MULTIPLY_ADDS = 20_000_000_000  # for one segment
MAX_LAYER = 1 << 26  # values that one layer gives for one segment: 256 MiB

LAST_POOL = 2  # the wdcnn's pooling behind its last convolution

# Of the spectral branch. Model folders do not state them, so they cannot change.
LONGEST_TRANSFORM = 2048  # samples; longer segments are cut into frames, whose spectra are averaged
_FACTOR = 64  # a transform is one of so many samples, and then others that put its results together


class Layer(NamedTuple):
    """What a layer costs: its weights, its other parameters, the positions it computes for, the channels it gives."""

    weights: int
    others: int
    positions: int
    channels: int


@dataclass(frozen=True)
class Architecture:
    """A convolutional network on segments of one or more sensor channels.

    gate : what a residual unit does after its second convolution: soft thresholding, "channel-wise" (DRSN-CW) or
        "channel-shared" (DRSN-CS); "squeeze-excitation" (SENet: channels are re-weighted); or "none" (ResNet)
    stem_channels, stem_kernel, stem_stride : the first convolution
    widths, strides : of each unit, in order; in a wdcnn the stride is the max pooling before the unit's convolution
    kernel : of the convolutions in the units, odd
    standardize : each segment and channel is brought to mean 0 and standard deviation 1 before anything else
    channels : sensor channels in; classes : logits out; samples : segment length
    shortcut : a unit's input is added to its output; without (and without a gate) it is the paper's ConvNet
    input_kind : "waveform", or "spectrogram": the segment's log-spectrogram, computed in the network; every
        convolution, kernel and stride then has two dimensions, (frequency, time)
    window, hop : of the spectrogram, in samples; 0 for waveforms
    family : "residual", or "wdcnn": plain convolutions with max pooling
    hidden : width of the wdcnn's linear layer before the last; 0 in a residual network
    spectrum : width of a second branch, which a residual network's last layer sees beside the first: two linear layers
        on the amplitude spectrum of the segment; 0 is none
    """

    gate: str
    stem_channels: int
    stem_kernel: int
    stem_stride: int
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    kernel: int = 3
    standardize: bool = True
    channels: int = 1
    classes: int = 2
    samples: int = 2048
    shortcut: bool = True
    input_kind: str = "waveform"
    window: int = 0
    hop: int = 0
    family: str = "residual"
    hidden: int = 0
    spectrum: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense or no network that fits in memory. Raises ConfigError with all of them."""
        problems = [*self._absurd()] or [*self._contradictions()] or [*self._too_large()]
        if problems:
            raise ConfigError("network: " + "; ".join(problems))

    def _absurd(self) -> Iterator[str]:
        """Yield what is wrong with each number by itself."""
        bounds = {
            "stem_channels": (1, 1024),
            "stem_kernel": (1, 1025),
            "stem_stride": (1, 512),
            "kernel": (1, 127),
            "channels": (1, 64),
            "classes": (2, 10_000),
            "samples": (16, 1 << 20),
            "window": (0, 4096),
            "hop": (0, 4096),
            "hidden": (0, 4096),
            "spectrum": (0, 4096),
        }
        for name, (low, high) in bounds.items():
            if not _is_int(getattr(self, name)) or not low <= getattr(self, name) <= high:
                yield f"{name} = {getattr(self, name)!r} is outside {low}..{high}"
        for name, allowed in {"gate": GATES, "family": FAMILIES, "input_kind": INPUT_KINDS}.items():
            if getattr(self, name) not in allowed:
                yield f"{name} {getattr(self, name)!r} is not one of {', '.join(allowed)}"
        for name in ("standardize", "shortcut"):
            if not isinstance(getattr(self, name), bool):
                yield f"{name} = {getattr(self, name)!r} is neither true nor false"
        for name, high in {"widths": 1024, "strides": 16}.items():
            if not all(_is_int(v) and 1 <= v <= high for v in getattr(self, name)):
                yield f"{name} {getattr(self, name)!r} must be 1..{high} each"
        if len(self.widths) != len(self.strides) or not 1 <= len(self.widths) <= 128:
            yield "widths and strides must have the same length, 1 to 128"

    def _contradictions(self) -> Iterator[str]:
        """Yield what does not go together, once every number makes sense by itself."""
        if self.kernel % 2 == 0:
            yield f"kernel = {self.kernel} is even"
        wider = (self.stem_channels, *self.widths)
        if self.shortcut and any(a > b for a, b in zip(wider, self.widths, strict=False)):
            yield f"widths {self.widths!r} must not shrink: the identity shortcut can only add channels"
        if self.family == "residual" and self.hidden:
            yield f"hidden = {self.hidden}: a residual network has no such layer"
        if self.family == "wdcnn" and (self.shortcut or self.gate != "none" or not self.hidden):
            yield "a wdcnn has a hidden layer, no shortcut and no gate"
        if self.family == "wdcnn" and self.spectrum:
            yield "a wdcnn has no spectral branch"
        if self.family == "wdcnn" and self.input_kind != "waveform":
            yield "a wdcnn takes waveforms only"
        if self.input_kind == "waveform" and (self.window or self.hop):
            yield "window and hop are for spectrograms"
        if self.input_kind == "spectrogram" and not (
            self.window >= 8 and self.window % 2 == 0 and 1 <= self.hop <= self.window
        ):
            yield f"window = {self.window}, hop = {self.hop}: an even window of at least 8 and a hop of 1 to the window"

    def _too_large(self) -> Iterator[str]:
        """Yield why no network can be built of numbers that go together."""
        if self.samples < self.shortest:
            yield (
                f"segments of {self.samples} samples are too short, this network takes at least {self.shortest}: "
                "cut longer segments or choose another network"
            )
            return
        largest = max(layer.positions * layer.channels for layer in self.layers())
        if self.parameters > MAX_PARAMETERS:
            yield f"{self.parameters} parameters are more than {MAX_PARAMETERS}"
        if self.multiply_adds > MAX_MULTIPLY_ADDS:
            yield f"{self.multiply_adds} multiply-adds a segment are more than {MAX_MULTIPLY_ADDS}"
        if largest > MAX_LAYER:
            yield f"a layer of {largest} values is larger than {MAX_LAYER}"

    @property
    def shortest(self) -> int:
        """The fewest samples that leave something at every layer."""
        if self.family == "residual":
            return max(16, self.window)
        positions = (LAST_POOL + self.kernel - 1) * prod(self.strides)
        return max(16, (positions - 1) * self.stem_stride + self.stem_kernel - 2 * self.stem_padding)

    @property
    def stem_padding(self) -> int:
        """Zeros on each side of the segment before the first convolution.

        Residual: half a kernel, so that every sample is seen. wdcnn: so many that samples / stride positions come out.
        """
        return max(0, self.stem_kernel - self.stem_stride) // 2 if self.family == "wdcnn" else self.stem_kernel // 2

    @property
    def frames(self) -> int:
        """Of the spectral branch: pieces that a segment is cut into, none longer than the longest transform."""
        return -(-self.samples // LONGEST_TRANSFORM)

    @property
    def transform(self) -> int:
        """Samples of one of these pieces: a multiple of 64, or where there are fewer an even number."""
        step = _FACTOR if self.samples >= _FACTOR else 2
        return self.samples // self.frames // step * step

    @property
    def dimensions(self) -> int:
        """Of the convolutions: 1, or 2 for spectrograms."""
        return 2 if self.input_kind == "spectrogram" else 1

    @property
    def shape(self) -> tuple[int, ...]:
        """What a channel has when it meets the first convolution: (samples,), or (frequencies, frames)."""
        if self.input_kind == "spectrogram":
            return (self.window // 2 + 1, (self.samples - self.window) // self.hop + 1)
        return (self.samples,)

    @property
    def parameters(self) -> int:
        """The trainable values."""
        return sum(layer.weights + layer.others for layer in self.layers())

    @property
    def multiply_adds(self) -> int:
        """Of convolutions and linear layers, for one segment; the transform to a spectrum or spectrogram included."""
        spectrum = 2 * self.shape[0] * self.window * self.shape[-1] * self.channels  # cosine and sine; window 0: none
        if self.spectrum:
            a, b = transform_factors(self.transform)
            spectrum += 2 * (a // 2 + 1) * (a * b + 2 * b * b) * self.frames * self.channels
        return spectrum + sum(layer.weights * layer.positions for layer in self.layers())

    def shapes(self) -> Iterator[tuple[int, ...]]:
        """Yield the positions behind the stem and behind each unit."""
        shape = tuple((n + 2 * self.stem_padding - self.stem_kernel) // self.stem_stride + 1 for n in self.shape)
        yield shape
        for i, stride in enumerate(self.strides):
            if self.family == "wdcnn":
                lost = self.kernel - 1 if i == len(self.strides) - 1 else 0  # the last convolution has no padding
                shape = (shape[0] // stride - lost,)
            else:
                shape = tuple(-(-n // stride) for n in shape)
            yield shape

    @property
    def flat(self) -> int:
        """The values that a wdcnn's first linear layer takes."""
        return self.widths[-1] * ([*self.shapes()][-1][0] // LAST_POOL)

    def layers(self) -> Iterator[Layer]:
        """Yield what each layer costs, in order; each with the batch normalisation that follows it somewhere."""
        d, shapes = self.dimensions, self.shapes()
        yield _conv(self.channels, self.stem_channels, self.stem_kernel**d, next(shapes))
        c_in = self.stem_channels
        for c_out, shape in zip(self.widths, shapes, strict=True):
            yield _conv(c_in, c_out, self.kernel**d, shape)
            if self.family == "residual":
                yield _conv(c_out, c_out, self.kernel**d, shape)
                if self.gate != "none":
                    yield _linear(c_out, c_out, norm=True)
                    yield _linear(c_out, 1 if self.gate == "channel-shared" else c_out)
            c_in = c_out
        if self.family == "wdcnn":
            yield _linear(self.flat, self.hidden, norm=True)
        if self.spectrum:
            bins = self.channels * (self.transform // 2)
            yield Layer(0, 2 * bins, 1, bins)  # batch normalisation of the amplitudes
            yield _linear(bins, 2 * self.spectrum, norm=True)
            yield _linear(2 * self.spectrum, self.spectrum, norm=True)
        yield _linear((self.hidden or c_in) + self.spectrum, self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON takes them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """Build from `to_dict`'s output; what older model folders do not state has its default.

        Raises ConfigError for a missing, unknown or absurd number.
        """
        known = {f.name for f in fields(cls)}
        if not known - _ADDED <= set(values) <= known:
            raise ConfigError(f"network: expected the keys {', '.join(sorted(known))}")
        lists = ("widths", "strides")
        wrong = [k for k in lists if not isinstance(values[k], list | tuple)]
        if wrong:
            raise ConfigError(f"network: {', '.join(wrong)} has the wrong type")
        arguments: dict[str, Any] = {k: tuple(v) if k in lists else v for k, v in values.items()}
        return cls(**arguments)


# What the first model folders did not state: all of them hold residual networks on waveforms, with a shortcut.
_ADDED = {"shortcut", "input_kind", "window", "hop", "family", "hidden", "spectrum"}


def transform_factors(window: int) -> tuple[int, int]:
    """Return the two factors of a transform's length: 64 and the rest, or the length itself and 1."""
    return (window, 1) if window < _FACTOR else (_FACTOR, window // _FACTOR)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _conv(c_in: int, c_out: int, taps: int, shape: tuple[int, ...]) -> Layer:
    return Layer(c_in * c_out * taps, 3 * c_out, prod(shape), c_out)  # bias, and scale and shift of the normalisation


def _linear(n_in: int, n_out: int, *, norm: bool = False) -> Layer:
    return Layer(n_in * n_out, (3 if norm else 1) * n_out, 1, n_out)


PAPER = "Zhao et al. 2020, IEEE Trans. Ind. Inform. 16(7), doi 10.1109/TII.2019.2943898"
_ZHANG = "Zhang et al. 2017, Sensors 17(2), 425, doi 10.3390/s17020425"

# The paper's table: Conv(4, 3, /2); one halving unit and three plain ones at 4, 8 and 16 channels.
_PAPER_WIDTHS = (4,) * 4 + (8,) * 4 + (16,) * 4
_PAPER_STRIDES = (2, 1, 1, 1) * 3
_DRSN_CW = Architecture("channel-wise", 4, 3, 2, _PAPER_WIDTHS, _PAPER_STRIDES)
# A wide first kernel (64 samples, as in the WDCNN) and fewer, wider units.
_DRSN_WIDE = Architecture("channel-wise", 16, 64, 16, (16, 16, 32, 32, 64, 64), (2, 1, 2, 1, 2, 1))
# Zhang et al. 2017, table 2: 64 taps at stride 16, four convolutions of 3 taps, pooling by 2 behind each of the five.
# Two units instead of the wide network's six, with kernels of 7, and beside them the amplitude spectrum.
_DRSN_FUSED = replace(_DRSN_WIDE, widths=(16, 32), strides=(2, 2), kernel=7, spectrum=64)
_WDCNN = Architecture(
    "none", 16, 64, 16, (32, 64, 64, 64), (2, 2, 2, 2), shortcut=False, family="wdcnn", hidden=100
)  # fmt: skip

NETWORKS: Mapping[str, Architecture] = {
    "drsn-fused": _DRSN_FUSED,
    "drsn-wide": _DRSN_WIDE,
    "drsn-cw": _DRSN_CW,
    "drsn-cs": replace(_DRSN_CW, gate="channel-shared"),
    "senet": replace(_DRSN_CW, gate="squeeze-excitation"),
    "resnet": replace(_DRSN_CW, gate="none"),
    "convnet": replace(_DRSN_CW, gate="none", shortcut=False),
    "wdcnn": _WDCNN,
}
SOURCES: Mapping[str, str] = {
    "drsn-fused": f"units of {PAPER}; wide stem after {_ZHANG} (WDCNN); amplitude spectrum beside them",
    "drsn-wide": f"units of {PAPER}; wide stem after {_ZHANG} (WDCNN)",
    "drsn-cw": PAPER,
    "drsn-cs": PAPER,
    "senet": f"skeleton of {PAPER}; gate of Hu et al. 2018, CVPR, doi 10.1109/CVPR.2018.00745",
    "resnet": f"baseline of {PAPER}; units of He et al. 2016, ECCV, doi 10.1007/978-3-319-46493-0_38",
    "convnet": f"baseline of {PAPER}",
    "wdcnn": _ZHANG,
}

# How a network learns from log-spectrograms. The transform takes the place of a wide stem: the same 64 samples at
# stride 16, with fixed kernels. A segment of 2048 gives 33 frequencies x 125 frames.
SPECTROGRAM: Mapping[str, Any] = {
    "input_kind": "spectrogram",
    "window": 64,
    "hop": 16,
    "stem_kernel": 3,
    "stem_stride": 2,
}


def architecture(name: str, *, input_kind: str = "waveform", **changes: Any) -> Architecture:
    """Return the named architecture with `changes`.

    input_kind : "waveform", or "spectrogram": the same network with one dimension more (`SPECTROGRAM`)
    Raises ConfigError for an unknown name, or for numbers that make no network.
    """
    if name not in NETWORKS:
        raise ConfigError(f"network {name!r} is unknown; the networks are {', '.join(NETWORKS)}")
    if input_kind == "spectrogram":
        changes = {**SPECTROGRAM, **changes}
    else:
        changes["input_kind"] = input_kind
    return replace(NETWORKS[name], **changes)
