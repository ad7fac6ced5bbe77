"""A corpus of hostile, odd and good files: `build` writes them into a folder, from a seed, and says what each is.

    cases = build(folder, seed=1)

Beside the corpus it writes a folder with canaries: files that some of the corpus point at and that nobody may open.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import corpus_foreign
import corpus_hdf5
import corpus_heavy
import corpus_matlab
import corpus_numpy
import corpus_tables
import h5py
import numpy as np
from corpus_base import CANARY_VALUE, CANARY_WORDS, RATE_HZ, Made, signal

__all__ = ["CANARY_VALUE", "CANARY_WORDS", "RATE_HZ", "Case", "build"]

SPARSE = 300 << 20


@dataclass(frozen=True)
class Case:
    """A file of the corpus.

    path : where it lies; what : it is, in words
    expect : "good" (must be read), "bad" (must be refused), "either" (refused, or read soundly)
    truth : float32, shape (channels, samples), what a reading of it must give; None where anything finite will do
    family : the part of the corpus, for choosing; needs : a library that its reader needs, or ""
    """

    path: Path
    what: str
    expect: str
    truth: np.ndarray | None
    family: str
    needs: str = ""


def build(folder: Path, *, seed: int = 1) -> list[Case]:
    """Write the corpus under `folder`/corpus and the canaries under `folder`/outside; return its cases."""
    corpus, outside = folder / "corpus", folder / "outside"
    corpus.mkdir(parents=True)
    outside.mkdir()
    _canaries(outside)
    cases = []
    families: dict[str, Callable[[np.random.Generator], Iterator[Made]]] = {
        "v5": corpus_matlab.v5_good,
        "v5bad": corpus_matlab.v5_bad,
        "v4": corpus_matlab.v4,
        "hdf5": lambda rng: corpus_hdf5.cases(rng, outside=outside),
        "text": corpus_tables.text_good,
        "textbad": corpus_tables.text_bad,
        "wav": corpus_tables.wav,
        "npy": corpus_numpy.npy,
        "foreign": lambda rng: corpus_foreign.foreign(rng, outside=outside),
        "archive": corpus_foreign.archives,
        "parquet": lambda rng: chain(corpus_foreign.parquet(rng), corpus_heavy.parquet(rng)),
        "heavy": corpus_heavy.heavy,
    }
    for number, (family, make) in enumerate(families.items()):
        for made in make(np.random.default_rng([seed, number])):
            path = corpus / f"{family}-{made.name}"
            path.write_bytes(made.data)
            cases.append(Case(path, made.what, made.expect, _samples(made.truth), family, made.needs))
    cases += _kinds(corpus, np.random.default_rng([seed, 99]))
    cases += _names(corpus, np.random.default_rng([seed, 98]))
    assert len({case.path for case in cases}) == len(cases)
    return cases


def _samples(truth: Any) -> np.ndarray | None:
    return None if truth is None else np.atleast_2d(np.asarray(truth, np.float32))


def _canaries(outside: Path) -> None:
    """What nobody may open: an HDF5 file, raw samples, words, and a FIFO on which a reader would wait for ever."""
    with h5py.File(outside / "canary.h5", "w") as file:
        file["x"] = np.full(4096, CANARY_VALUE)
    (outside / "canary.bin").write_bytes(np.full(4096, CANARY_VALUE).tobytes())
    (outside / "canary.txt").write_text(f"{CANARY_WORDS}\n")
    os.mkfifo(outside / "canary.fifo")


def _kinds(corpus: Path, rng: np.random.Generator) -> Iterator[Case]:
    """What is no regular file, or only in part."""

    def case(name: str, what: str, expect: str = "bad", truth: np.ndarray | None = None) -> Case:
        return Case(corpus / name, what, expect, truth, "kinds")

    content, exact = corpus_matlab.plain(rng)
    truth = _samples(exact)
    os.mkfifo(corpus / "kind-fifo.mat")
    yield case("kind-fifo.mat", "a FIFO that nobody writes to")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(corpus)  # the name of a socket is at most 107 bytes long
        try:
            server.bind("kind-socket.mat")
        finally:
            os.chdir(here)
    yield case("kind-socket.mat", "a socket")
    (corpus / "kind-folder.mat").mkdir()
    yield case("kind-folder.mat", "an empty folder that is called .mat")
    for name, target, what in (
        ("dangling", "nowhere.mat", "a link to nothing"),
        ("loop", "kind-link-loop.mat", "a link to itself"),
        ("zero", "/dev/zero", "a link to a device that never ends"),
        ("null", "/dev/null", "a link to the device of nothing"),
        ("full", "/dev/full", "a link to a device"),
        ("tty", "/dev/tty", "a link to the terminal"),
        ("fifo", "kind-fifo.mat", "a link to a FIFO"),
        ("folder", "kind-folder.mat", "a link to a folder"),
        ("parents", "kind-link-dangling.mat/x.mat", "a link through a file that is not there"),
    ):
        (corpus / f"kind-link-{name}.mat").symlink_to(target)
        yield case(f"kind-link-{name}.mat", what)
    (corpus / "kind-target.mat").write_bytes(content)
    yield case("kind-target.mat", "a good file that a link points at", "good", truth)
    (corpus / "kind-link-good.mat").symlink_to("kind-target.mat")
    yield case("kind-link-good.mat", "a link to a good file", "good", truth)
    (corpus / "kind-hard-link.mat").hardlink_to(corpus / "kind-target.mat")
    yield case("kind-hard-link.mat", "a second name of a good file", "good", truth)
    (corpus / "kind-closed.mat").write_bytes(content)
    (corpus / "kind-closed.mat").chmod(0)
    yield case("kind-closed.mat", "a file without permissions (root reads it all the same)", "either", truth)
    for name, size in (("huge", 1 << 40), ("large", SPARSE)):
        with (corpus / f"kind-sparse-{name}.mat").open("wb") as stream:
            stream.write(content)
            stream.truncate(size)
        yield case(f"kind-sparse-{name}.mat", f"a good file with a hole of {size >> 20} MiB behind it")


def _names(corpus: Path, rng: np.random.Generator) -> Iterator[Case]:
    """A good file under names that break terminals, spreadsheets, reports and shells."""
    content, exact = corpus_matlab.plain(rng)
    truth = _samples(exact)
    names = (
        b"two\nlines.mat", b"\x1b[31mred\x1b[0m.mat", b"\x1b]0;title\x07.mat", b"bell\x07.mat", b"back\x08\x08.mat",
        "right\u202eleft.mat".encode(), "iso\u2066late.mat".encode(), "zero\u200bwidth.mat".encode(),
        b"latin-\xe9\xff.mat", b"\xff\xfe.mat", b"d[/bold].mat", b"[bold]x.mat", b"[red", b"=1+1.mat", b"@SUM(A1).mat",
        b"<b>x.mat", b"<script>alert(1)<", b"-rf.mat", b"--help.mat", b" .mat", b"  spaces  .mat", b"'quote'.mat",
        b'"double".mat', b"`id`.mat", b"$(id).mat", b"$HOME.mat", b"a;b.mat", b"a|b.mat", b"a&b.mat", b"*.mat",
            b"?.mat",
        b"[a-z].mat", b"**", b"~.mat", b"%s%n.mat", b"{x}.mat", b"back\\slash.mat", b"tab\tname.mat", b"cr\rname.mat",
        b"x" * 250 + b".mat", "\u00e9".encode() * 120 + b".mat", "\U0001f600.mat".encode(), b"a:b.mat", b"a:b:c",
        b"C:con.mat", b"#.mat", b"!.mat", b"no-suffix", b"x.h5", b"x.csv", b"x.wav", b"x.npz", b"x.tar.gz", b"x.zip",
        "\u2028line.mat".encode(), "\u0627\u0644\u0639.mat".encode(), b"\xed\xa0\x80.mat", b"NaN.mat", b"null", b"True",
    )  # fmt: skip
    for name in names:
        path = os.fsencode(corpus) + b"/" + name
        file = Path(os.fsdecode(path))
        file.parent.mkdir(exist_ok=True)  # "d[/bold].mat" lies in a folder
        file.write_bytes(content)
        yield Case(file, "a good file under an odd name", "good", truth, "names")


def is_regular(path: Path) -> bool:
    """Whether `path` itself (not what it links to) is a regular file."""
    return stat.S_ISREG(path.lstat().st_mode)


def size_of(case: Case) -> int:
    """The bytes of a case, 0 where it is no regular file."""
    try:
        status = case.path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


__all__ += ["is_regular", "signal", "size_of"]
