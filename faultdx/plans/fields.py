"""Reading a TOML table field by field, so that every problem is found, and each names its place."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
_MOST = 1000  # values that a list or a range may hold


class Table:
    """A table of a plan: fields are taken from it one by one, and what is left at the end is unknown.

    where : its place, for messages; problems : the list that they go to, shared by all tables of a plan
    """

    def __init__(self, where: str, content: object, problems: list[str]) -> None:
        self.where, self.problems = where, problems
        self._there = content is not None
        if not isinstance(content, dict | None):
            self.wrong("must be a table")
        self._left: dict[str, Any] = dict(content) if isinstance(content, dict) else {}
        self._known: list[str] = []

    def __bool__(self) -> bool:
        """Whether the plan has this table."""
        return self._there

    def has(self, key: str) -> bool:
        """Whether a field is there, and not taken yet."""
        return key in self._left

    def wrong(self, text: str) -> None:
        """Note a problem of this table."""
        self.problems.append(f"{self.where}: {text}" if self.where else text)

    def take(self, key: str, kind: Callable[[Any], T], default: T) -> T:
        """Return a field as `kind` reads it, `default` where it is not there or not right."""
        self._known.append(key)
        if key not in self._left:
            return default
        try:
            return kind(self._left.pop(key))
        except ValueError as error:
            self.wrong(f"{key} {error}")
            return default

    def flag(self, key: str, *, default: bool) -> bool:
        """Return a field that is true or false."""
        return self.take(key, _flag, default)

    def table(self, key: str) -> Table:
        """Return the table under `key`; one that is not there is empty, and false."""
        self._known.append(key)
        return Table(self._place(key), self._left.pop(key, None), self.problems)

    def tables(self, key: str) -> list[Table]:
        """Return the tables of an array of tables ([[key]]); none where it is not there."""
        self._known.append(key)
        found = self._left.pop(key, [])
        if not isinstance(found, list) or not all(isinstance(f, dict) for f in found):
            self.wrong(f"{key} must be written as [[{self._place(key)}]], one table for each")
            return []
        return [Table(f"{self._place(key)} {f.get('name', i + 1)}", f, self.problems) for i, f in enumerate(found)]

    def rest(self) -> Mapping[str, Any]:
        """Return all fields not taken yet, and take them."""
        found, self._left = self._left, {}
        return found

    def end(self) -> None:
        """Note what nobody asked for."""
        for key in self._left:
            self.wrong(f"{key!r} is not known here; there are {', '.join(self._known)}")

    def _place(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def words(value: Any) -> str:
    """Return a text. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def names(value: Any) -> tuple[str, ...]:
    """Return one or several texts. Raises ValueError."""
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(v, str) for v in listed) or len(listed) > _MOST:
        raise ValueError("must be text, or a list of texts")
    return tuple(listed)


def numbers(value: Any) -> tuple[float, ...]:
    """Return one or several finite numbers. Raises ValueError."""
    listed = value if isinstance(value, list) else [value]
    good = all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e15 for v in listed)
    if not good or len(listed) > _MOST:
        raise ValueError("must be a number, or a list of numbers")
    return tuple(float(v) for v in listed)


def number(value: Any) -> float:
    """Return one finite number. Raises ValueError."""
    found = numbers(value)
    if isinstance(value, list):
        raise ValueError("must be a number")
    return found[0]


def decibels(value: Any) -> tuple[float, ...]:
    """Return SNRs in dB: a number, a list, or a range "LOW:HIGH:STEP" with both ends. Raises ValueError."""
    if isinstance(value, str):
        parts = value.split(":")
        try:
            low, high, step = (float(p) for p in parts)
            count = math.floor((high - low) / step + 1e-6) + 1
            if not (step > 0 and 1 <= count <= _MOST):
                raise ValueError
        except (ValueError, OverflowError, ZeroDivisionError):
            raise ValueError(f"{value!r} must be numbers of dB, or a range 'LOW:HIGH:STEP'") from None
        found = tuple(float(np.round(low + i * step, 6)) for i in range(count))
    else:
        found = numbers(value)
    if any(not -60 <= v <= 100 for v in found):
        raise ValueError("must be within -60 to 100 dB")
    return found


def seeds_of(value: Any) -> tuple[int, ...]:
    """Return seeds: a list, or how many (3 means 0, 1, 2). Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST:
        return tuple(range(value))
    if not isinstance(value, list) or not all(
        isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 1 << 62 for v in value
    ):
        raise ValueError("must be a list of whole numbers of 0 or more, or how many there are")
    return tuple(value)
