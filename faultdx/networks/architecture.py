"""The numbers that define a network: saved beside its weights, checked before anything is built from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from faultdx.errors import ConfigError

PAPER = "Zhao et al. 2020, IEEE Trans. Ind. Inform. 16(7), doi 10.1109/TII.2019.2943898"


@dataclass(frozen=True)
class Architecture:
    """A residual network on one-dimensional segments.

    gate : what ends a residual unit: "channel-wise" (DRSN-CW) or "channel-shared" (DRSN-CS) soft thresholding
    stem_channels, stem_kernel, stem_stride : the first convolution
    widths, strides : of each residual unit, in order
    kernel : of the convolutions in the units, odd
    channels : sensor channels in; classes : logits out; samples : segment length
    standardize : each segment and channel is brought to mean 0 and standard deviation 1 before the first convolution
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

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense or no network that fits in memory. Raises ConfigError with all of them."""
        bounds = {
            "stem_channels": (1, 1024),
            "stem_kernel": (1, 1025),
            "stem_stride": (1, 512),
            "kernel": (1, 127),
            "channels": (1, 64),
            "classes": (2, 10_000),
            "samples": (16, 1 << 20),
        }
        problems = [
            f"{name} = {getattr(self, name)!r} is outside {low}..{high}"
            for name, (low, high) in bounds.items()
            if not _is_int(getattr(self, name)) or not low <= getattr(self, name) <= high
        ]
        if self.gate not in ("channel-wise", "channel-shared"):
            problems.append(f"gate {self.gate!r} is neither channel-wise nor channel-shared")
        if not problems and self.kernel % 2 == 0:
            problems.append(f"kernel = {self.kernel} is even")
        if len(self.widths) != len(self.strides) or not 1 <= len(self.widths) <= 128:
            problems.append("widths and strides must have the same length, 1 to 128")
        if not all(_is_int(w) and 1 <= w <= 1024 for w in self.widths):
            problems.append(f"widths {self.widths!r} must be 1..1024 each")
        elif _is_int(self.stem_channels) and any(
            a > b for a, b in zip((self.stem_channels, *self.widths), self.widths, strict=False)
        ):
            problems.append(f"widths {self.widths!r} must not shrink: the identity shortcut can only add channels")
        if not all(_is_int(s) and 1 <= s <= 16 for s in self.strides):
            problems.append(f"strides {self.strides!r} must be 1..16 each")
        if problems:
            raise ConfigError("network: " + "; ".join(problems))

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON takes them."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Architecture:
        """Build from `to_dict`'s output. Raises ConfigError for a missing, unknown or absurd number."""
        known = {f.name for f in fields(cls)}
        if set(values) != known:
            raise ConfigError(f"network: expected the keys {', '.join(sorted(known))}")
        lists = ("widths", "strides")
        wrong = [k for k in lists if not isinstance(values[k], list | tuple)]
        wrong += [k for k in ("gate", "standardize") if not isinstance(values[k], str if k == "gate" else bool)]
        if wrong:
            raise ConfigError(f"network: {', '.join(wrong)} has the wrong type")
        arguments: dict[str, Any] = {k: tuple(v) if k in lists else v for k, v in values.items()}
        return cls(**arguments)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# The paper's table: Conv(4, 3, /2); one halving unit and three plain ones at 4, 8 and 16 channels.
_PAPER_WIDTHS = (4,) * 4 + (8,) * 4 + (16,) * 4
_PAPER_STRIDES = (2, 1, 1, 1) * 3
_DRSN_CW = Architecture("channel-wise", 4, 3, 2, _PAPER_WIDTHS, _PAPER_STRIDES)
# A wide first kernel (Zhang et al. 2017, WDCNN: 64 samples) and fewer, wider units.
_DRSN_WIDE = Architecture("channel-wise", 16, 64, 16, (16, 16, 32, 32, 64, 64), (2, 1, 2, 1, 2, 1))

NETWORKS: Mapping[str, Architecture] = {
    "drsn-wide": _DRSN_WIDE,
    "drsn-cw": _DRSN_CW,
    "drsn-cs": replace(_DRSN_CW, gate="channel-shared"),
}
SOURCES: Mapping[str, str] = {
    "drsn-wide": f"units of {PAPER}; wide stem after Zhang et al. 2017, Sensors 17(2), 425 (WDCNN)",
    "drsn-cw": PAPER,
    "drsn-cs": PAPER,
}


def architecture(name: str, **changes: Any) -> Architecture:
    """Return the named architecture with `changes`. Raises ConfigError for an unknown name."""
    if name not in NETWORKS:
        raise ConfigError(f"network {name!r} is unknown; the networks are {', '.join(NETWORKS)}")
    return replace(NETWORKS[name], **changes)
