"""Thirteen ways to spoil a good recording: the package has them, for `faultdx evaluate`."""

from faultdx.signals.corruptions import CORRUPTIONS, SEVERITIES

__all__ = ["CORRUPTIONS", "SEVERITIES"]
