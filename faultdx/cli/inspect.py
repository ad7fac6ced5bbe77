"""`faultdx inspect`: what would be read from a file, and why it would be refused."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated, Any

import typer

from faultdx.cli import console, options


def inspect(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files, folders, globs, or - for standard input.")
    ],
    json: options.Json = False,
    records: options.Records = None,
    sampling_rate: options.SamplingRate = None,
    rpm: options.Rpm = None,
    channel: options.Channel = None,
    variable: options.Variable = None,
    unit: options.Unit = None,
    scale: options.Scale = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Show what would be read: format, variables, channels, rate, speed, level, catalogue entry, or the refusal."""
    from faultdx.errors import ConfigError
    from faultdx.records import Declared, find_records
    from faultdx.records.inspection import inspect_item

    flags = Declared(
        sampling_rate_hz=sampling_rate,
        rpm=rpm,
        channels=tuple(channel or ()),
        variable=variable,
        unit=unit,
        scale=scale,
    )
    items = find_records(files, table=None if records is None else str(records), flags=flags)
    if not items:
        raise ConfigError("nothing to inspect: no recordings found there")
    refused = 0
    for item in items:
        found = inspect_item(item)
        refused += found.refused is not None
        content = found.to_dict()
        if json:
            console.out(jsonlib.dumps(content, ensure_ascii=True))
        else:
            console.out("\n".join(_lines(content)) + ("\n" if len(items) > 1 else ""))
    if refused:
        raise SystemExit(console.UNFIT)


def _checks(checks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return a row for each check that fired, and one that counts those that did not."""
    fired = [c for c in checks if c["severity"] in ("warn", "refuse")]
    unmade = [c["name"] for c in checks if c["value"] is None]
    passed = len(checks) - len(fired) - len(unmade)
    rows = [(f"check {c['name']}", f"{c['severity']}: {console.one_line(c['message'])}") for c in fired]
    if checks:
        said = f"{passed} of {len(checks)} passed" + (f", {', '.join(unmade)} not made" if unmade else "")
        rows.append(("checks", said))
    return rows


def _lines(content: dict[str, Any]) -> list[str]:
    from faultdx.files import show

    origin = content.get("known_from") or {}

    def with_origin(key: str, value: str) -> str:
        return f"{value}  ({show(origin[key])})" if key in origin else value

    rows: list[tuple[str, str]] = []
    if content.get("format"):
        rows.append(("format", f"{content['format']}, {content['size_bytes']} bytes"))
    for v in content.get("variables", [])[:12]:
        shape = " x ".join(str(n) for n in v["shape"]) or "scalar"
        rows.append(("variable", f"{show(v['name'])}  {shape}  {v['kind']}"))
    if len(content.get("variables", [])) > 12:
        rows.append(("", f"... {len(content['variables']) - 12} more variables"))
    if content.get("channels"):
        rows.append(("channels", with_origin("channels", ", ".join(show(c) for c in content["channels"]))))
    if content.get("taken") and content["taken"] != content["channels"]:
        rows.append(("read", ", ".join(show(c) for c in content["taken"])))
    for key, unit in (("sampling_rate_hz", "Hz"), ("rpm", "rpm")):
        if content.get(key) is not None:
            rows.append((key.removesuffix("_hz").replace("_", " "), with_origin(key, f"{content[key]:g} {unit}")))
    if content.get("duration_s") is not None:
        rows.append(("duration", f"{content['duration_s']:.3f} s, {content['samples']} samples"))
    for key in ("unit", "label"):
        if content.get(key):
            rows.append((key, with_origin(key, show(content[key]))))
    rows += [
        (
            f"level {show(found['channel'])}",
            f"RMS {found['rms']:.4g}, peak {found['peak']:.4g}, crest factor {found['crest_factor']:.3g}, "
            f"kurtosis {found['kurtosis']:.3g}",
        )
        for found in content.get("levels", [])
    ]
    rows += _checks(content.get("quality", []))
    if content.get("catalogue"):
        rows.append(("catalogue", show(content["catalogue"])))
    rows += [("note", console.one_line(n)) for n in content.get("notes", [])]
    if content.get("refused"):
        rows.append(("refused", console.one_line(content["refused"])))
    width = max((len(name) for name, _ in rows), default=0)
    return [content["file"], *(f"  {name:<{width}}  {text}" for name, text in rows)]
