"""Readers of other packages: found by their entry points, run in children, and no danger to each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from faultdx.errors import RecordError
from faultdx.records import plugins
from faultdx.records.formats import open_contents

READER = """
import os
import numpy as np
from faultdx.records.contents import Contents, Variable
from faultdx.records.formats import Format

ASKED = []

def matches(data):
    ASKED.append(data)
    return data.startswith(b"ACME")

def open_acme(source):
    import colorsys  # what is imported late can be imported, too
    values = np.frombuffer(source.data, "<f4", offset=8)
    if values.size == 3:
        os.abort()
    if values.size == 4:
        raise ValueError("four is a bad number")
    source.spend("x", 8 * values.size)
    here = np.array([float(os.getpid())])
    return Contents("ACME DAQ", (
        Variable("x", values.shape, "number", lambda: values, sampling_rate_hz=5e3, unit="g"),
        Variable("process", (1,), "number", lambda: here),
    ))

FORMAT = Format("ACME", matches, open_acme)

def make():
    return Format("ACME made", matches, open_acme, isolated=False)

def nonsense():
    return "a word"

NUMBER = 5

def raises():
    raise OSError("no\\nlicence")

def matches_badly(data):
    raise IndexError("too short")

BAD = Format("bad", matches_badly, open_acme)
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a package with the entry points given, as pip would leave it; forget it at the end."""

    def put(**points: str) -> None:
        (tmp_path / "acme_daq.py").write_text(READER)
        info = tmp_path / "acme_daq-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-daq\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[faultdx.formats]", *lines, ""]))
        monkeypatch.syspath_prepend(tmp_path)
        plugins.load.cache_clear()

    plugins.load.cache_clear()
    yield put
    plugins.load.cache_clear()
    sys.modules.pop("acme_daq", None)


def acme(samples: int = 200) -> bytes:
    return b"ACME\0\0\0\0" + np.arange(samples, dtype="<f4").tobytes()


@pytest.mark.parametrize("point", ["acme_daq:FORMAT", "acme_daq:make"])
def test_a_reader_of_another_package(install: Install, point: str) -> None:
    install(acme=point)
    contents = open_contents(acme(), name="x.acme")
    x, process = contents.variables
    assert (contents.format, x.sampling_rate_hz, x.unit) == ("ACME DAQ", 5e3, "g")
    np.testing.assert_array_equal(x.load(), np.arange(200, dtype="f4"))
    assert process.load()[0] != os.getpid()  # in a child, whatever it says of itself


def test_without_it_the_file_is_unknown() -> None:
    plugins.load.cache_clear()
    with pytest.raises(RecordError, match="is in no format that is read here; give a MATLAB"):
        open_contents(acme(), name="x.acme")


def test_its_crash_and_its_exceptions_are_recorderrors(install: Install) -> None:
    install(acme="acme_daq:FORMAT")
    with pytest.raises(RecordError, match=r"x: the ACME library crashed on it \(SIGABRT\); "):
        open_contents(acme(3), name="x")
    with pytest.raises(RecordError, match=r"x: the ACME reader cannot read it \(ValueError: four is a bad number\); "):
        open_contents(acme(4), name="x")
    with pytest.raises(RecordError, match=r"x: x would take the decoded size to .* limit"):
        open_contents(acme(5000), name="x", budget_bytes=1000)


def test_one_that_is_broken_is_named_and_costs_the_others_nothing(install: Install) -> None:
    install(
        a_missing="acme_nowhere:FORMAT", b_absent="acme_daq:NOTHING", c_word="acme_daq:nonsense",
        d_number="acme_daq:NUMBER", e_raises="acme_daq:raises", f_bad="acme_daq:BAD", z_good="acme_daq:FORMAT",
    )  # fmt: skip
    assert open_contents(acme(), name="x").format == "ACME DAQ"
    with pytest.raises(RecordError) as caught:
        open_contents(b"\x01\x02\0\x04 something else" * 9, name="x")
    text = str(caught.value)
    assert text.isprintable()
    assert text.startswith("x: is in no format that is read here; the reader a_missing (acme_nowhere:FORMAT) cannot")
    for part in (
        "ModuleNotFoundError", "b_absent", "AttributeError", "c_word", "of type str, not Format", "d_number",
        "of type int", "e_raises", "OSError: no\\x0alicence", "the reader bad failed to look at it (IndexError",
    ):  # fmt: skip
        assert part in text


def test_a_foreign_file_may_be_read_by_a_plugin(install: Install, tmp_path: Path) -> None:
    install(acme="acme_daq:FORMAT")
    with pytest.raises(RecordError, match="is a FLAC recording"):
        open_contents(b"fLaC" + bytes(100), name="x")
    module = sys.modules["acme_daq"]
    assert [data[:4] for data in module.ASKED] == [b"fLaC"]


def test_a_file_that_is_no_good_text_may_be_read_by_a_plugin(install: Install) -> None:
    install(acme="acme_daq:FORMAT")
    data = b"ACMEword" + bytes(range(0x80, 0x100)) * 4  # no zero byte: it may be latin-1
    assert open_contents(data, name="x").format == "ACME DAQ"
    with pytest.raises(RecordError, match="is neither text nor a known recording"):
        open_contents(data[2:], name="x")


def test_they_are_asked_only_where_nothing_else_matches(install: Install) -> None:
    install(acme="acme_daq:FORMAT")
    assert open_contents(b"a,b\n" + b"1,2\n" * 30, name="x").format == "text"
    assert "acme_daq" not in sys.modules


def test_reading_a_known_format_does_not_look_for_packages() -> None:
    code = (
        "import sys\n"
        "from faultdx.records.formats import open_contents\n"
        "open_contents(b'a,b\\n' + b'1,2\\n' * 30, name='x')\n"
        "sys.exit('importlib.metadata' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
