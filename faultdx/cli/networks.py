"""`faultdx networks`: the networks, their size, and where they come from."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from faultdx.cli import console, options


def networks(
    classes: Annotated[int, typer.Option("--classes", min=2, metavar="N", help="Classes to tell apart.")] = 10,
    json: options.Json = False,
) -> None:
    """List the networks with their parameters, multiply-adds for a segment of 2048 samples, and sources."""
    from faultdx.errors import ConfigError
    from faultdx.networks.architecture import INPUT_KINDS, NETWORKS, SOURCES, architecture

    for name in NETWORKS:
        for kind in INPUT_KINDS:
            try:
                dims = architecture(name, input_kind=kind, classes=classes)
            except ConfigError:  # a network of waveforms alone
                continue
            row = {
                "name": name,
                "parameters": dims.parameters,
                "macs": dims.multiply_adds,
                "source": SOURCES[name],
                "input": kind,
            }
            if json:
                console.out(jsonlib.dumps(row))
            else:
                console.out(
                    f"{name:<10} {kind:<12} {row['parameters']:>8} parameters {row['macs']:>10} multiply-adds  "
                    f"{row['source']}"
                )
