"""JSON that others wrote: what it holds is counted before any of it is made, and every reader of ours asks for that."""

from __future__ import annotations

import ast
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import faultdx
from faultdx import baseline_file
from faultdx.baseline import fit
from faultdx.baseline_file import load
from faultdx.errors import ConfigError
from faultdx.intake import DEEPEST, MOST_VALUES, parse_json
from faultdx.records.record import Record

PACKAGE = Path(faultdx.__file__).parent
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.booleans())
def test_it_says_what_json_says(value: Any, plain: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=plain).encode("utf-8")) == value


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_whatever_the_bytes_it_is_a_value_or_a_value_error(data: bytes) -> None:
    try:
        said = parse_json(data)
    except ValueError:
        return
    assert said == json.loads(data.decode("utf-8-sig"))


@pytest.mark.parametrize(
    "data",
    [b'{"a": 1, "a": 1}', b'{"x": [{"a": 1, "b": 2, "a": 3}]}', b"", b"\xff", b'"\xed\xa0\x80"', b"[1,]", b"\x00"],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(data)


def test_levels_are_counted_outside_of_texts() -> None:
    deep = b"[" * DEEPEST + b"]" * DEEPEST
    assert parse_json(deep)
    text = json.dumps(['"[{' * 200 + "\\"] * 3).encode()
    assert parse_json(text) == ['"[{' * 200 + "\\"] * 3
    for data in (b"[" + deep + b"]", b"[" * 500_000, b'{"a":' * 300 + b"1" + b"}" * 300):
        with pytest.raises(ValueError, match=r"levels|more than"):
            parse_json(data)


@pytest.mark.parametrize("end", [b"", b"\\", b'"', b"\\u12", b'",' + b'"' * 3])
@pytest.mark.parametrize("inside", [b'\\"', b"\\\\", b'""', b"ab", b'\\x"[', b'"\\'])
def test_texts_without_an_end_take_no_longer_than_others(inside: bytes, end: bytes) -> None:
    """A quadratic search takes minutes of this."""
    began = time.process_time()
    with pytest.raises(ValueError):
        parse_json(b"[" * (DEEPEST + 1) + b'"' + inside * 100_000 + end)
    assert time.process_time() - began < 1.0


def test_values_are_counted_and_no_text_with_fewer_is_refused() -> None:
    for values in ([1] * 100, [[]] * 50, {str(i): i for i in range(100)}):
        assert parse_json(json.dumps(values).encode(), most_values=101) == values
    for data in (b"[" + b"1," * 100 + b"1]", b"[" + b"[]," * 51 + b"1]"):
        with pytest.raises(ValueError, match="more than 100 values"):
            parse_json(data, most_values=100)


def test_the_strict_take_no_odd_numbers() -> None:
    for word in (b"NaN", b"Infinity", b"-Infinity", b"123456789012345678901"):
        with pytest.raises(ValueError):
            parse_json(b"[" + word + b"]", strict=True)
    assert parse_json(b"[Infinity, 123456789012345678901]") == [float("inf"), 123456789012345678901]


_BOMBS = {
    "numbers": b'{"a":[' + b"1," * (15 << 20) + b"1]}",
    "lists": b"[" + b"[]," * (10 << 20) + b"1]",
    "objects": b"[" + b'{"a":{}},' * (MOST_VALUES // 3 - 9) + b"1]",
    "deep": b"[" * (15 << 20),
    "wide": b'{"a":"' + "\U0001f527".encode() * (7 << 20) + b'"}',
}


@pytest.mark.parametrize("kind", sorted(_BOMBS))
def test_a_bomb_in_place_of_a_baseline_is_refused_within_256_mib(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(_BOMBS[kind])
    code = (
        "import resource, sys\nfrom faultdx.baseline_file import load\nfrom faultdx.errors import ConfigError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: load(sys.argv[1])\nexcept ConfigError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=60, cwd=PACKAGE.parent
    )
    said, grown = ran.stdout.splitlines()
    assert said.startswith(f"{path}: ") and len(said) < 400
    assert int(grown) < 256 << 10
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # KiB on Linux, which is what is meant above


@pytest.mark.parametrize("kind", ["folder", "pipe", "missing", "device"])
def test_what_is_no_file_is_no_baseline_and_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    import os

    path = tmp_path / "b.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match=r"b\.json: cannot be read: "):
        load(path)


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    record = Record(rng.normal(size=(1, 12_000)).astype(np.float32), 12_000.0, channels=("DE",), sha256="0" * 64)
    made, _ = fit([record])
    baseline_file.save(made, tmp_path / "a.json")
    assert load(tmp_path / "a.json").digest == made.digest
    monkeypatch.setattr(baseline_file, "_MOST_BYTES", (tmp_path / "a.json").stat().st_size - 1)
    with pytest.raises(ConfigError, match=r"b\.json: the baseline would have"):
        baseline_file.save(made, tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()


# Who reads JSON that is not a file of somebody's: what this very process made, or a child whose answer has a limit.
_OURS = {
    "intake.py": "the way in itself",
    "dataset.py": "an attribute that the look at the file has checked and bounded",
    "surveying.py": "from the child, bounded by the budget of the file",
    "records/child.py": "from a child, bounded",
    "records/table_rows.py": "from the child that reads Parquet, bounded",
    "portable.py": "what was written a moment ago",
    "runs.py": "what was written a moment ago",
    "cli/console.py": "what is to be printed",
    "mapping/processes.py": "an argument of our own to our own worker",
    "distributed.py": "between processes of one training",
    "cli/ranks.py": "between processes of one training",
}


def test_no_other_way_in_for_json() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        name = str(path.relative_to(PACKAGE))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)) or name in _OURS:
                continue
            if node.attr in ("loads", "load") and node.value.id in ("json", "jsonlib"):
                found.add(f"{name}:{node.lineno}")
    assert not found, "read it with intake.parse_json, or say in _OURS why not"
