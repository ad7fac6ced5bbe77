"""What the lines over a table state: "Sampling rate;12800", "fs = 12.8 kHz", "Drehzahl: 1480 1/min", "Unit: g".

Only lines whose key is known, whose value is one number, and whose unit is known are taken; everything else is
passed over. LabVIEW's .lvm: "Specification for the LabVIEW Measurement File (.lvm)" (National Instruments), where
Delta_X is in seconds if X_Dimension is Time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from faultdx.records.cells import is_number, number
from faultdx.records.contents import Variable
from faultdx.records.statements import is_setting, is_statement, knows_unit, plain

_LONGEST = 400  # characters of a line that may state something
_LONGEST_KEY = 60
_KEY = re.compile(r'\s*"?(?P<key>[^\W\d][^:=;\t,"]*?)"?\s*(?:[:=;\t,]|\s(?=[\d.]))[\s:=;,]*(?P<rest>.*)', re.DOTALL)
_ATTACHED = re.compile(r"^([+-]?[\d.,]+(?:[eE][+-]?\d+)?)([^\W\d].*)$")  # 12.8kHz
_THOUSANDS = re.compile(r"\d{1,3}(\.\d{3})+")
_UNIT_KEYS = {"unit", "units", "yunit", "yunits", "yunitlabel", "einheit"}
_LVM_STEP, _LVM_DIMENSION = "deltax", "xdimension"


def _tokens(rest: str, decimal_comma: bool) -> Iterator[str]:
    for token in re.split(r"[;\t\s]+" if decimal_comma else r"[;,\t\s]+", rest):
        attached = None if is_number(token, decimal_comma) else _ATTACHED.match(token)
        yield from (part for part in (attached.groups() if attached else (token,)) if part.strip('"[]()'))


def _value(rest: str, decimal_comma: bool) -> tuple[float, str] | None:
    """Return (value, unit) where `rest` is one number, or one repeated for each column, with one unit or none."""
    tokens = [token.strip('"[]()') for token in _tokens(rest, decimal_comma)]
    numbers = {number(token, decimal_comma) for token in tokens if is_number(token, decimal_comma)}
    units = list(dict.fromkeys(token for token in tokens if not is_number(token, decimal_comma)))
    # 12.800 beside decimal commas may be twelve thousand: who knows
    if len(numbers) != 1 or len(units) > 1 or (decimal_comma and any(map(_THOUSANDS.fullmatch, tokens))):
        return None
    value = numbers.pop()
    return None if value is None or not np.isfinite(value) else (value, units[0] if units else "")


def stated_above(lines: Iterable[str], *, decimal_comma: bool) -> tuple[tuple[Variable, ...], str | None]:
    """Return what lines over a table state: sampling rates, speeds and settings as scalar variables, named as in
    the file with the unit in brackets ("Sampling rate [kHz]"); and the unit of all columns, or None."""
    found: dict[str, float] = {}
    unit: str | None = None
    steps_in_time = False
    for line in lines:
        match = _KEY.match(line) if len(line) <= _LONGEST else None
        if match is None or len(match["key"]) > _LONGEST_KEY or not match["key"].isprintable():
            continue
        key, rest = match["key"].strip(), match["rest"].strip(' \t\r\n;,"')
        word = plain(key)
        if word in _UNIT_KEYS:
            words = set(filter(None, re.split(r"[;,\t\s]+", rest)))
            unit = words.pop().strip('"[]()') if len(words) == 1 else None
        elif word == _LVM_DIMENSION:
            steps_in_time = set(rest.lower().split()) == {"time"}
        elif (is_statement(key) or is_setting(key)) and (read := _value(rest, decimal_comma)):
            value, written = read
            if word == _LVM_STEP and not written and steps_in_time:
                written = "s"
            name = f"{key} [{written}]" if written else key
            if knows_unit(name):
                found.setdefault(name, value)
    return tuple(_scalar(name, value) for name, value in found.items()), unit


def states_something(line: str, *, decimal_comma: bool) -> bool:
    """Tell whether a line over a table states something, and so holds no names."""
    return stated_above([line], decimal_comma=decimal_comma) != ((), None)


def _scalar(name: str, value: float) -> Variable:
    array = np.array(value, np.float64)
    return Variable(name, (), "number", lambda: array)
