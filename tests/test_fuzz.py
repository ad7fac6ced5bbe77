"""A short run of the fuzzer: it starts, it reaches the decoders, and it finds nothing."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import environment

FUZZ = Path(__file__).resolve().parent.parent / "fuzz" / "fuzz_mat.py"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed (pip install atheris)"
)


def fuzz(*options: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, FUZZ, *options], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=100,
            check=False
    )  # fmt: skip


def test_twenty_thousand_runs_find_nothing(tmp_path: Path) -> None:
    # libFuzzer takes the peak memory that a process inherits from the one that started it for its own
    done = fuzz("-runs=20000", "-seed=1", "-max_len=2048", "-rss_limit_mb=0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    reached = re.findall(r"reached: runs (\d+), v5 (\d+), v4 (\d+), opened (\d+), loaded (\d+)", done.stderr)
    assert reached, done.stderr[-3000:]
    runs, v5, v4, opened, loaded = map(int, reached[-1])
    assert runs == 20_000
    # A fuzzer that is turned away at the door, or that nothing gets through, would find nothing either.
    assert v5 + v4 > 0.75 * runs
    assert v4 > 0.02 * runs
    assert opened > 0.15 * runs
    assert loaded > 0.15 * runs
    assert not list(tmp_path.iterdir())


def test_a_finding_is_reported(tmp_path: Path) -> None:
    """The same fuzzer over a decoder that breaks on the name "x" must say so."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(FUZZ.parent)!r})\n"
        "import fuzz_mat\n"
        "real = fuzz_mat.open_contents\n"
        "def broken(data, **options):\n"
        "    contents = real(data, **options)\n"
        "    return 1 / (not any(v.name == 'x' for v in contents.variables)) and contents\n"
        "fuzz_mat.open_contents = broken\n"
        "fuzz_mat.main(sys.argv)\n"
    )
    done = subprocess.run(
        [sys.executable, broken, "-runs=20000", "-seed=1", f"-artifact_prefix={tmp_path}/"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr + done.stdout
    assert list(tmp_path.glob("crash-*"))
