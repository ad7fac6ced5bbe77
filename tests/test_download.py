"""`faultdx download` against a server on this machine that tells the truth, lies, stalls, breaks off, never ends."""

from __future__ import annotations

import contextlib
import errno
import gzip
import http.server
import os
import pty
import random
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import Ran, assert_refused, environment, faultdx_here

from faultdx import downloads, files, leftovers, transfer
from faultdx.errors import ConfigError, OutputError, RecordError
from faultdx.records import find_records
from faultdx.records.cwru import Entry, catalogue
from faultdx.records.opening import blob_id
from faultdx.transfer import Limits

QUICK = Limits(connect_s=5.0, stall_s=5.0, attempts=3, pause_s=0.01, file_bytes=400_000)
IMPATIENT = replace(QUICK, connect_s=0.3, stall_s=0.3, attempts=2)
SETS = {901: "normal", 902: "12k_drive_end", 903: "12k_drive_end", 904: "48k_drive_end", 905: "12k_fan_end"}
DATA = {number: random.Random(number).randbytes(100_000 + number) for number in SETS}
WHOLE = {f"{number}.mat": data for number, data in DATA.items()}
DEFAULT = ["901.mat", "902.mat", "903.mat"]
PARTIAL = "part.faultdx-tmp"
SENT = 50_000  # by a server that breaks off or stalls
CAME = SENT // transfer._CHUNK_BYTES * transfer._CHUNK_BYTES  # of that: an unfinished chunk is lost with its connection


def entries() -> tuple[Entry, ...]:
    return tuple(
        replace(catalogue()[0], number=n, set=s, git_blob=blob_id(DATA[n]), samples=12_500, variables=("X_DE_time",))
        for n, s in SETS.items()
    )


# The command line with this catalogue, as a process of its own.
PROGRAM = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_download
from faultdx import downloads
downloads.catalogue = test_download.entries
from faultdx.cli import main
main()
"""


# ---- the server


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the script for the file says, each request with the next word of it; the last word stays."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.asked.append((self.path, self.headers.get("Range")))
        self.server.headers.append(dict(self.headers))
        words = self.server.scripts.get(name, [good])
        answer = words.pop(0) if len(words) > 1 else words[0]
        self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            answer(self, WHOLE.get(name, b""))

    def head(self, code: int, *lines: tuple[str, object]) -> None:
        self.send_response(code)
        for name, value in lines:
            self.send_header(name, str(value))
        self.end_headers()

    def body(self, data: bytes) -> None:
        self.wfile.write(data)
        self.server.sent[self.path.rpartition("/")[2]] += len(data)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripts: dict[str, list[Callable[[Handler, bytes], None]]] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.headers: list[dict[str, str]] = []
        self.sent: Counter[str] = Counter()
        self.ended = threading.Event()
        self.half = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/files"

    def handle_error(self, *_: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(*_)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(downloads, "catalogue", entries)
    monkeypatch.setattr(transfer, "Limits", lambda: QUICK)
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.ended.set()
        found.shutdown()
        thread.join()


def good(h: Handler, data: bytes) -> None:
    asked = re.fullmatch(r"bytes=(\d+)-", h.headers.get("Range") or "")
    if not data:
        missing(h, data)
    elif asked is None:
        h.head(200, ("Content-Length", len(data)))
        h.body(data)
    elif (start := int(asked[1])) >= len(data):
        h.head(416, ("Content-Length", 0), ("Content-Range", f"bytes */{len(data)}"))
    else:
        part = data[start:]
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        h.head(206, ("Content-Length", len(part)), ("Content-Range", span))
        h.body(part)


def without_ranges(h: Handler, data: bytes) -> None:
    h.head(200, ("Content-Length", len(data)))
    h.body(data)


def lies(h: Handler, data: bytes) -> None:
    without_ranges(h, bytes(len(data)))


def breaks_off(h: Handler, data: bytes) -> None:
    h.head(200, ("Content-Length", len(data)))
    h.body(data[:SENT])


def breaks_off_unsaid(h: Handler, data: bytes) -> None:
    h.head(200)
    h.body(data[:SENT])


def stalls(h: Handler, data: bytes) -> None:
    breaks_off(h, data)
    h.wfile.flush()
    h.server.half.set()
    h.server.ended.wait(20)


def drips(h: Handler, data: bytes) -> None:
    h.head(200, ("Content-Length", len(data)))
    while not h.server.ended.wait(0.05):
        h.body(b"x")


def drips_headers(h: Handler, data: bytes) -> None:
    h.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not h.server.ended.wait(0.05):
        h.wfile.write(b"x")


def missing(h: Handler, data: bytes) -> None:
    page = b"<!DOCTYPE html><title>Page not found</title>"
    h.head(404, ("Content-Length", len(page)))
    h.body(page)


def fails(h: Handler, data: bytes) -> None:
    h.head(500, ("Content-Length", 0))


def busy(h: Handler, data: bytes) -> None:
    h.head(503, ("Content-Length", 0), ("Retry-After", 7))


def hangs_up(h: Handler, data: bytes) -> None:
    h.close_connection = True


def circle(h: Handler, data: bytes) -> None:
    h.head(302, ("Location", h.path), ("Content-Length", 0))


def page(h: Handler, data: bytes) -> None:
    without_ranges(h, b"\n<html><body>Please sign in to the guest network</body></html>")


def empty(h: Handler, data: bytes) -> None:
    without_ranges(h, b"")


def endless(h: Handler, data: bytes) -> None:
    h.head(200)
    while not h.server.ended.is_set():
        h.body(bytes(65536))


def too_long(h: Handler, data: bytes) -> None:
    h.head(200, ("Content-Length", 10**12))
    h.body(data)


def elsewhere(h: Handler, data: bytes) -> None:
    """A redirect whose own body never ends, then the file."""
    if "moved" in h.path:
        good(h, data)
        return
    h.head(301, ("Location", f"/moved/{h.path.rpartition('/')[2]}"))
    while not h.server.ended.is_set():
        h.wfile.write(bytes(65536))


def to(address: str) -> Callable[[Handler, bytes], None]:
    return lambda h, data: h.head(302, ("Location", address), ("Content-Length", 0))


def other_part(h: Handler, data: bytes) -> None:
    h.head(206, ("Content-Length", 10), ("Content-Range", f"bytes 3-12/{len(data)}"))
    h.body(data[3:13])


def no_length(h: Handler, data: bytes) -> None:
    h.head(200, ("Content-Length", "many"))
    h.body(data)


def compressed(h: Handler, data: bytes) -> None:
    packed = gzip.compress(data)
    h.head(200, ("Content-Length", len(packed)), ("Content-Encoding", "gzip"))
    h.body(packed)


def chunked(h: Handler, data: bytes) -> None:
    h.head(200, ("Transfer-Encoding", "chunked"))
    h.body(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))


def nonsense(h: Handler, data: bytes) -> None:
    h.wfile.write(b"\x00\xff220 ftp ready\r\n\r\n" + data)


# ---- what every outcome has in common


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def assert_honest(folder: Path, *, there: list[str], partial: dict[str, int] | None = None) -> None:
    """Exactly these files verify, and beside them are only partial files, with so many bytes."""
    kept = {f".{name}.{PARTIAL}": size for name, size in (partial or {}).items()}
    assert names(folder) == sorted([*there, *kept])
    for name in there:
        assert (folder / name).read_bytes() == WHOLE[name], name
    assert {name: (folder / name).stat().st_size for name in kept} == kept


def download(server: Server, folder: Path, *more: str) -> Ran:
    return faultdx_here("download", "cwru", "--to", folder, "--base-url", server.url, *more, cwd=folder.parent)


def complaints(ran: Ran) -> list[str]:
    return [line for line in ran.err.splitlines() if line.startswith("faultdx: error: ")]


def fetched(server: Server, folder: Path, limits: Limits = QUICK) -> downloads.Result:
    """Fetch 901.mat by the library."""
    plan = downloads.plan(downloads.cwru_files(("normal",)), folder, base_url=server.url)
    (result,) = downloads.fetch(plan, limits=limits)
    return result


# ---- a server that means well


def test_the_files_of_the_default_sets(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cwru"
    ran = faultdx_here("download", "cwru", "--base-url", server.url, "--to", folder, cwd=tmp_path)
    assert (ran.code, ran.out) == (0, f"{folder}\n"), ran
    assert_honest(folder, there=DEFAULT)
    said = ran.err.splitlines()
    assert len(said) == 3 and all(line.isprintable() for line in said)  # no bar, no colour: this is no terminal
    assert downloads.CWRU_PAGE in said[0] and "source" in said[1]
    assert said[2] == f"3 files, 0 of them there already; 3 to fetch, about 0.3 MB: {folder}"
    assert [path for path, _ in server.asked] == [f"/files/{name}" for name in DEFAULT]
    assert server.headers[0]["User-Agent"].startswith("faultdx/")
    again = download(server, folder, "--json")
    assert again.code == 0 and len(server.asked) == 3
    assert [(row["status"], row["error"]) for row in again.objects] == [("there", None)] * 3
    assert [row["file"] for row in again.objects] == [str(folder / name) for name in DEFAULT]


@pytest.mark.parametrize(
    ("chosen", "there"),
    [
        (["normal"], ["901.mat"]),
        (["12k-fan-end", "48k-drive-end"], ["904.mat", "905.mat"]),
        (["normal", "all"], list(WHOLE)),
    ],
)
def test_sets_are_chosen_by_name(server: Server, tmp_path: Path, chosen: list[str], there: list[str]) -> None:
    ran = download(server, tmp_path / "d", *(word for name in chosen for word in ("--set", name)), "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, f"{tmp_path / 'd'}\n", "")
    assert_honest(tmp_path / "d", there=there)


def test_the_folder_by_default_is_below_the_current_one(server: Server, tmp_path: Path) -> None:
    ran = faultdx_here("download", "cwru", "--set", "normal", "--base-url", server.url + "/", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "data/cwru\n")
    assert_honest(tmp_path / "data" / "cwru", there=["901.mat"])
    assert server.asked == [("/files/901.mat", None)]


@pytest.mark.parametrize("answer", [compressed, chunked, elsewhere, without_ranges])
def test_ways_to_send_a_file(server: Server, tmp_path: Path, answer: Callable[[Handler, bytes], None]) -> None:
    server.scripts["901.mat"] = [answer]
    assert fetched(server, tmp_path).status == "fetched"
    assert_honest(tmp_path, there=["901.mat"])


def test_the_proxy_of_the_environment_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    ran = faultdx_here(
        "download", "cwru", "--set", "normal", "--to", "d", "--base-url", "http://mirror.invalid/x", cwd=tmp_path
    )
    assert ran.code == 0, ran
    assert server.asked == [("http://mirror.invalid/x/901.mat", None)]
    assert_honest(tmp_path / "d", there=["901.mat"])


# ---- a server that does not


@pytest.mark.parametrize(
    ("answer", "cause", "requests", "partial"),
    [
        (lies, "has not the digest of the catalogue", 2, 0),
        (breaks_off_unsaid, "(50000 bytes) has not the digest", 2, 0),
        (page, "a web page instead of the file", 2, 0),
        (empty, "sent nothing", 2, 0),
        (missing, "answered 404 Not Found; look there with a browser", 1, 0),
        (fails, "answered 500 Internal Server Error; try again later", 3, 0),
        (circle, "redirects without end", 31, 0),
        (to("file:///etc/passwd"), "redirects to what is no http or https address", 1, 0),
        (to("ftp://127.0.0.1/901.mat"), "redirects to what is no http or https address", 1, 0),
        (to("http://[::1"), "sent an address or a header without sense: Invalid IPv6 URL", 1, 0),
        (endless, "sends more than 0.38147 MiB", 1, 0),
        (too_long, "sends more than 0.38147 MiB", 1, 0),
        (other_part, "another part than was asked for", 3, 0),
        (hangs_up, "the connection broke off after 0 bytes", 3, 0),
        (nonsense, "the connection broke off after 0 bytes", 3, 0),
        (no_length, "sent an address or a header without sense", 1, 0),
        (breaks_off, "the connection broke off after 49152 bytes: it ended before", 3, CAME),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_file_that_fails_is_named_and_the_others_come(
    server: Server,
    tmp_path: Path,
    answer: Callable[[Handler, bytes], None],
    cause: str,
    requests: int,
    partial: int,
) -> None:
    server.scripts["902.mat"] = [answer]
    folder = tmp_path / "d"
    started = time.monotonic()
    ran = download(server, folder)
    assert time.monotonic() - started < 20
    assert (ran.code, ran.out) == (4, f"{folder}\n"), ran
    (complaint,) = complaints(ran)
    assert complaint.startswith(f"faultdx: error: {folder}/902.mat: not downloaded: ") and cause in complaint
    assert ran.err.endswith(complaint + "\n") and complaint.isprintable() and "(Caused by" not in complaint
    assert_honest(folder, there=["901.mat", "903.mat"], partial={"902.mat": partial} if partial else None)
    asked = [range_ for path, range_ in server.asked if path == "/files/902.mat"]
    assert len(asked) == requests


@pytest.mark.parametrize("answer", [stalls, drips, drips_headers])
def test_a_file_that_stops_coming_is_given_up_and_what_came_stays(
    server: Server, tmp_path: Path, answer: Callable[[Handler, bytes], None]
) -> None:
    server.scripts["901.mat"] = [answer]
    started = time.monotonic()
    result = fetched(server, tmp_path, IMPATIENT)
    assert time.monotonic() - started < 10 and len(server.asked) == 2
    assert result.status == "failed" and isinstance(result.error, RecordError)
    assert "next to nothing came for 0.3 s; the same command goes on" in str(result.error)
    assert result.error.path == str(tmp_path / "901.mat")
    assert_honest(tmp_path, there=[], partial={"901.mat": CAME} if answer is stalls else None)


def test_trouble_that_passes_is_waited_for(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", waits.append)
    server.scripts["901.mat"] = [fails, fails, good]
    server.scripts["902.mat"] = [busy, good]
    server.scripts["903.mat"] = [lies, good]  # the second try
    ran = download(server, tmp_path / "d")
    assert ran.code == 0 and complaints(ran) == []
    assert waits == [QUICK.pause_s, 2 * QUICK.pause_s, 7.0]
    assert_honest(tmp_path / "d", there=DEFAULT)


def test_a_server_that_keeps_failing_is_left_alone(server: Server, tmp_path: Path) -> None:
    for name in WHOLE:
        server.scripts[name] = [fails]
    ran = download(server, tmp_path / "d", "--set", "all", "--json")
    assert ran.code == 4 and len(complaints(ran)) == 3 and "2 further files were not tried" in ran.err
    assert [row["status"] for row in ran.objects] == ["failed"] * 3 + ["not tried"] * 2
    assert all(row["error"]["kind"] == "record" for row in ran.objects)
    assert len(server.asked) == 3 * QUICK.attempts and names(tmp_path / "d") == []


def test_a_file_missing_here_and_there_is_no_reason_to_stop(server: Server, tmp_path: Path) -> None:
    for name in ("901.mat", "902.mat", "903.mat", "904.mat"):
        server.scripts[name] = [missing]
    ran = download(server, tmp_path / "d", "--set", "all")
    assert ran.code == 4 and len(complaints(ran)) == 4 and ran.out == f"{tmp_path / 'd'}\n"
    assert_honest(tmp_path / "d", there=["905.mat"])


def test_a_server_that_is_not_there_ends_it_at_once(server: Server, tmp_path: Path) -> None:
    nobody = Server()
    nobody.server_close()
    ran = download(nobody, tmp_path / "d")
    assert ran.code == 4 and ran.out == ""
    (complaint,) = complaints(ran)
    assert (
        "901.mat cannot be reached" not in complaint and "901.mat: cannot be reached: connection refused" in complaint
    )
    assert "2 further files were not tried" in ran.err and names(tmp_path / "d") == []
    unknown = faultdx_here("download", "cwru", "--to", "d", "--base-url", "http://mirror.invalid", cwd=tmp_path)
    (complaint,) = complaints(unknown)
    assert unknown.code == 4 and re.search(r"cannot be reached|next to nothing came", complaint)


def test_a_proxy_that_is_not_there(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = Server()
    nobody.server_close()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nobody.server_port}")
    ran = download(server, tmp_path / "d")
    (complaint,) = complaints(ran)
    assert ran.code == 4 and "the proxy refuses: connection refused; check HTTPS_PROXY" in complaint


def test_a_certificate_that_nobody_vouches_for(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        (
            f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout {key} -out {certificate} "
            "-addext subjectAltName=IP:127.0.0.1"
        ).split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    address = server.url.replace("http:", "https:")
    waits: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", waits.append)
    ran = faultdx_here("download", "cwru", "--to", "d", "--base-url", address, cwd=tmp_path)
    (complaint,) = complaints(ran)
    assert waits == []  # it will not be another one in a second
    assert ran.code == 4 and "no secure connection: self-signed certificate; check the clock" in complaint
    assert names(tmp_path / "d") == [] and server.asked == []


def test_a_server_without_encryption_where_it_was_asked_for(server: Server, tmp_path: Path) -> None:
    address = server.url.replace("http:", "https:")
    ran = faultdx_here("download", "cwru", "--to", "d", "--base-url", address, cwd=tmp_path)
    (complaint,) = complaints(ran)
    assert ran.code == 4 and "no secure connection: " in complaint and names(tmp_path / "d") == []


def test_a_password_in_the_address_is_used_and_not_shown(server: Server, tmp_path: Path) -> None:
    server.scripts["901.mat"] = [missing]
    address = server.url.replace("127", "me:geheim@127")
    ran = faultdx_here("download", "cwru", "--set", "normal", "--to", "d", "--base-url", address, cwd=tmp_path)
    assert "geheim" not in ran.err + ran.out and f"{server.url}/901.mat answered 404" in ran.err
    assert server.headers[0]["Authorization"].startswith("Basic ")


# ---- going on


def partial_file(folder: Path, data: bytes, name: str = "901.mat") -> Path:
    folder.mkdir(exist_ok=True)
    found = folder / f".{name}.{PARTIAL}"
    found.write_bytes(data)
    return found


def test_an_interrupted_file_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.scripts["901.mat"] = [breaks_off, good]
    assert fetched(server, tmp_path).status == "fetched"
    assert_honest(tmp_path, there=["901.mat"])
    assert [asked for _, asked in server.asked] == [None, f"bytes={CAME}-"]
    assert server.sent["901.mat"] == SENT + len(DATA[901]) - CAME


def test_a_later_run_goes_on_where_an_earlier_one_stopped(server: Server, tmp_path: Path) -> None:
    partial_file(tmp_path, DATA[901][:70_000])
    assert fetched(server, tmp_path).status == "fetched"
    assert_honest(tmp_path, there=["901.mat"])
    assert server.asked == [("/files/901.mat", "bytes=70000-")]
    assert server.sent["901.mat"] == len(DATA[901]) - 70_000


def test_a_file_that_only_lacked_its_name_gets_it(server: Server, tmp_path: Path) -> None:
    partial_file(tmp_path, DATA[901])
    assert fetched(server, tmp_path).status == "fetched" and server.asked == []
    assert_honest(tmp_path, there=["901.mat"])


@pytest.mark.parametrize("before", [bytes(70_000), bytes(100_901), bytes(150_000), bytes(500_000)])
def test_a_partial_file_of_other_content_is_no_harm(server: Server, tmp_path: Path, before: bytes) -> None:
    partial_file(tmp_path, before)
    assert fetched(server, tmp_path).status == "fetched"
    assert_honest(tmp_path, there=["901.mat"])


def test_a_server_without_ranges_sends_it_all_again(server: Server, tmp_path: Path) -> None:
    server.scripts["901.mat"] = [without_ranges]
    partial_file(tmp_path, DATA[901][:70_000])
    assert fetched(server, tmp_path).status == "fetched"
    assert_honest(tmp_path, there=["901.mat"])
    assert server.asked == [("/files/901.mat", "bytes=70000-")]


def test_a_link_in_the_place_of_the_partial_file_is_not_followed(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / f".901.mat.{PARTIAL}").symlink_to(other)
    assert_refused_late(download(server, folder, "--set", "normal"), 5, PARTIAL)
    (folder / f".901.mat.{PARTIAL}").unlink()
    os.mkfifo(folder / f".901.mat.{PARTIAL}")
    assert_refused_late(download(server, folder, "--set", "normal"), 5, PARTIAL, "is no regular file")
    assert other.read_bytes() == b"mine" and server.asked == []


def assert_refused_late(ran: Ran, code: int, *words: str) -> None:
    """The command ended with one complaint, after its notes."""
    assert (ran.code, ran.out) == (code, ""), ran
    (complaint,) = complaints(ran)
    assert all(word in complaint for word in words), complaint


def test_the_temporary_name_is_one_that_readers_skip_and_the_sweep_leaves(tmp_path: Path) -> None:
    partial = partial_file(tmp_path, b"half")
    os.utime(partial, (0, 0))
    assert partial.name.endswith(leftovers.SUFFIX) and f".x{transfer._PARTIAL}" == f".x.{PARTIAL}"
    with files.replacing(tmp_path / "a") as temporary:
        temporary.write_bytes(b"")
    assert partial.exists()
    assert [item.path for item in find_records([str(tmp_path)])] == [str(tmp_path / "a")]


# ---- the folder


def test_a_file_of_the_same_name_is_not_overwritten(server: Server, tmp_path: Path) -> None:
    (tmp_path / "902.mat").write_bytes(b"mine")
    ran = download(server, tmp_path)
    assert (ran.code, ran.out) == (5, f"{tmp_path}\n")
    (complaint,) = complaints(ran)
    assert f"{tmp_path}/902.mat: exists, and is not the Data Center's file; --overwrite replaces it" in complaint
    assert (tmp_path / "902.mat").read_bytes() == b"mine" and "/files/902.mat" not in dict(server.asked)
    assert (tmp_path / "903.mat").read_bytes() == WHOLE["903.mat"]
    over = download(server, tmp_path, "--overwrite")
    assert over.code == 0
    assert_honest(tmp_path, there=DEFAULT)


def test_overwriting_waits_for_the_new_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "901.mat").write_bytes(b"mine")
    server.scripts["901.mat"] = [lies]
    assert download(server, tmp_path, "--overwrite", "--set", "normal").code == 4
    assert (tmp_path / "901.mat").read_bytes() == b"mine" and names(tmp_path) == ["901.mat"]


def test_a_folder_of_the_name_of_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "901.mat").mkdir()
    ran = download(server, tmp_path, "--overwrite", "--set", "normal")
    assert_refused_late(ran, 5, "901.mat: exists, and is not the Data Center's file; --to names another folder")
    assert server.asked == []


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    ran = faultdx_here("download", "cwru", "--base-url", server.url, "--to", "file/d", cwd=tmp_path)
    assert_refused(ran, 5, "cannot be written")
    assert server.asked == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir(mode=0o500)
    assert_refused(download(server, folder), 5, "permission denied", "choose a folder")
    assert server.asked == []


def test_a_folder_that_is_complete_need_not_be_writable(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert download(server, tmp_path).code == 0

    def refused(*_: object) -> None:
        raise OutputError("read-only")

    monkeypatch.setattr(downloads, "check_folder", refused)
    assert download(server, tmp_path).code == 0


def test_a_disk_that_is_too_small_is_found_out_first(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1000))  # type: ignore[attr-defined]
    assert_refused(download(server, tmp_path / "d"), 5, "free some space")
    assert server.asked == []


def test_a_disk_that_fills_up_ends_it(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite

    def full(fd: int, data: bytes, offset: int) -> int:
        if offset > 60_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data, offset)

    monkeypatch.setattr(transfer.os, "pwrite", full)
    ran = download(server, tmp_path)
    assert_refused_late(ran, 5, "no space left on device", "free some space")
    assert len(server.asked) == 1 and names(tmp_path) == [f".901.mat.{PARTIAL}"]
    monkeypatch.undo()
    monkeypatch.setattr(downloads, "catalogue", entries)
    assert download(server, tmp_path).code == 0
    assert_honest(tmp_path, there=DEFAULT)


def test_two_at_once_do_not_meet_in_one_folder(server: Server, tmp_path: Path) -> None:
    first = downloads.fetch(downloads.plan(downloads.cwru_files(), tmp_path, base_url=server.url), limits=QUICK)
    assert next(first).status == "fetched"
    assert_refused_late(download(server, tmp_path), 5, "another download is at work there")
    late = downloads.plan(downloads.cwru_files(), tmp_path, base_url=server.url)
    assert [result.status for result in first] == ["fetched"] * 2
    assert [result.status for result in downloads.fetch(late, limits=QUICK)] == ["there"] * 2
    assert len(server.asked) == 3
    assert_honest(tmp_path, there=DEFAULT)


# ---- usage


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cwru", "--set", "12k"), ("--set '12k' is unknown", "12k-drive-end", "all")),
        (("mfpt",), ("'mfpt'", "cwru")),
        (("cwru", "--base-url", "ftp://host/x"), ("--base-url", "https://")),
        (("cwru", "--base-url", "file:///tmp"), ("--base-url", "https://")),
        (("cwru", "--base-url", "host/x"), ("--base-url", "https://")),
        (("cwru", "--base-url", "http:///x"), ("--base-url", "https://")),
        (("cwru", "--base-url", "http://host:port/x"), ("--base-url", "https://")),
        (("cwru", "--base-url", "http://[::1/x"), ("--base-url", "https://")),
        (("cwru", "--base-url", "http://host/x?file="), ("--base-url", "no ? or #")),
        (("cwru", "--base-url", "http://host/x\r\nCookie: 1"), ("--base-url", "\\x0d")),
    ],
)
def test_what_is_refused(server: Server, tmp_path: Path, words: tuple[str, ...], said: tuple[str, ...]) -> None:
    assert_refused(faultdx_here("download", *words, cwd=tmp_path), 2, *said)
    assert names(tmp_path) == []


def test_the_library_raises_what_it_says(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown"):
        downloads.cwru_files(("x",))
    with pytest.raises(ConfigError, match="base-url"):
        downloads.plan(downloads.cwru_files(), tmp_path, base_url="x")
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written"):
        downloads.plan(downloads.cwru_files(), tmp_path / "f")


def test_a_report_is_called_with_what_came(server: Server, tmp_path: Path) -> None:
    calls: list[tuple[str, int]] = []
    plan = downloads.plan(downloads.cwru_files(("normal",)), tmp_path, base_url=server.url)
    assert [r.status for r in downloads.fetch(plan, report=lambda file, done: calls.append((file.name, done)))]
    assert calls[-1] == ("901.mat", len(DATA[901]))


# ---- as a process


def command(server: Server, folder: Path) -> list[str]:
    return [sys.executable, "-c", PROGRAM, "download", "cwru", "--base-url", server.url, "--to", str(folder)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_what_is_verified_and_goes_on_later(server: Server, tmp_path: Path, number: int) -> None:
    server.scripts["902.mat"] = [stalls, good]
    with subprocess.Popen(
        command(server, tmp_path), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert server.half.wait(20)
        partial = tmp_path / f".902.mat.{PARTIAL}"
        while not (partial.exists() and partial.stat().st_size == CAME):  # the chunks that are complete
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + number, b"")
    assert err.decode().splitlines()[3:] == ["interrupted: 1 of 3 files are there; the same command goes on"]
    assert_honest(tmp_path, there=["901.mat"], partial={"902.mat": CAME})
    ran = download(server, tmp_path)
    assert ran.code == 0 and ("/files/902.mat", f"bytes={CAME}-") in server.asked
    assert_honest(tmp_path, there=DEFAULT)


def test_a_stdout_that_is_closed(server: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$@" >&-', "bash", *command(server, tmp_path), "--quiet"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert_refused(Ran(done.returncode, done.stdout, done.stderr), 5, "standard output: is closed")
    assert_honest(tmp_path, there=DEFAULT)
    read, write = os.pipe()
    os.close(read)
    try:
        gone = subprocess.run(
            [*command(server, tmp_path), "-q"],
            env=environment(),
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    finally:
        os.close(write)
    assert (gone.returncode, gone.stderr) == (141, b"")


def test_a_terminal_gets_a_bar(server: Server, tmp_path: Path) -> None:
    def slow(h: Handler, data: bytes) -> None:
        h.head(200, ("Content-Length", len(data)))
        for start in range(0, len(data), 20_000):
            h.body(data[start : start + 20_000])
            time.sleep(0.1)

    server.scripts["902.mat"] = [slow]
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command(server, tmp_path),
        env=environment(TERM="xterm-256color", COLUMNS="200"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):  # how a terminal says that nobody holds it any more
        while part := os.read(leader, 65536):
            shown += part
    os.close(leader)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out.decode()) == (0, f"{tmp_path}\n")
    assert re.search(r"downloading: 902\.mat, 0\.\d of about 0\.1 MB", shown.decode()) and "1/3" in shown.decode()


def test_nothing_of_the_network_is_loaded_before_it_is_needed() -> None:
    probe = (
        "import sys, faultdx.downloads, faultdx.cli\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "sys.exit(' '.join(loaded & {'pooch', 'requests', 'urllib3', 'platformdirs'}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")


# ---- the catalogue itself


def test_the_catalogue_can_be_fetched_as_it_is() -> None:
    everything = downloads.cwru_files(("all",))
    assert len(everything) == 161 == len({file.name for file in everything})
    assert all(re.fullmatch(r"\d{2,4}\.mat", file.name) for file in everything)
    assert all(re.fullmatch(r"[0-9a-f]{40}", file.git_blob) for file in everything)
    counts = Counter(file.set for file in everything)
    assert counts == {"normal": 4, "12k-drive-end": 60, "48k-drive-end": 52, "12k-fan-end": 45}
    assert len(downloads.cwru_files()) == 64
    assert max(file.about_bytes for file in everything) < Limits().file_bytes // 2
    assert downloads.CWRU_FILES.startswith("https://engineering.case.edu/")


@pytest.mark.real_data
def test_real_files_verify_and_have_about_the_size_that_is_said(
    server: Server, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "catalogue", catalogue)
    wanted = [file for file in downloads.cwru_files() if file.name in ("97.mat", "105.mat")]
    real = {file.name: (real_data / "cwru" / file.name).read_bytes() for file in wanted}
    for file in wanted:
        assert len(real[file.name]) == pytest.approx(file.about_bytes, rel=0.001)
        server.scripts[file.name] = [lambda h, _: good(h, real[h.path.rpartition("/")[2]])]
    partial_file(tmp_path, real["97.mat"][:1_000_000], "97.mat")
    plan = downloads.plan(wanted, tmp_path, base_url=server.url)
    assert [result.status for result in downloads.fetch(plan)] == ["fetched"] * 2
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == real
    assert server.asked[0] == ("/files/97.mat", "bytes=1000000-")
