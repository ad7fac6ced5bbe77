"""One address -> one growing file: attempts, limits, and what a server may do wrong.

pooch carries the bytes (its `HTTPDownloader`, and so requests, with the proxies of the environment). Nothing that it
meets is believed: a server, or what stands in front of it, may stall, drip, break off, send another part than asked
for, redirect in a circle, or never end. An interrupted file is continued with a Range request (RFC 9110, section 14).
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faultdx import __version__
from faultdx.errors import FaultdxError, OutputError
from faultdx.files import output_error, show

if TYPE_CHECKING:
    from requests import Response

_CHUNK_BYTES = 16 * 1024
_LOOK_S = 0.1  # between two looks at how far an attempt has come
_LONGEST_WAIT_S = 60.0  # that a server can ask for with Retry-After
# The sweep of `files` removes what bears its suffix and the number of a dead process; this bears no number, so that
# it stays until the same command continues it. A folder of recordings is read without it, as without all dot files.
_PARTIAL = ".part.faultdx-tmp"
_CURE = "look there with a browser, or name a mirror with --base-url"


@dataclass(frozen=True)
class Limits:
    """What a server is allowed.

    connect_s : to accept a connection, in seconds; stall_s : to send the next 16 KiB
    attempts : for each file; pause_s : before the second one, doubled before each further one
    file_bytes : the largest file that is taken; the largest of CWRU's has about 8 MB
    """

    connect_s: float = 10.0
    stall_s: float = 30.0
    attempts: int = 4
    pause_s: float = 1.0
    file_bytes: int = 16 * 1024 * 1024


class TransferError(Exception):
    """A file did not come; the text is its cause and its cure.

    again : another attempt may do better
    of_server : the reason is not this file's; gone : the server cannot be reached at all
    wait_s : what the server asked for before another attempt
    """

    def __init__(
        self, text: str, *, again: bool = False, of_server: bool = False, gone: bool = False, wait_s: float = 0.0
    ) -> None:
        super().__init__(text)
        self.again, self.of_server, self.gone, self.wait_s = again, of_server or gone, gone, wait_s


class Partial:
    """The file that grows, under its temporary name beside `target`. A context: what is empty at its end is removed.

    Each method raises OutputError where the disk fails.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.parent / f".{target.name}{_PARTIAL}"
        try:
            # a link or a FIFO of this name would lead elsewhere, or wait for ever
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(self.path, flags, 0o666)
        except OSError as error:
            raise output_error(self.path, error) from error
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise OutputError(f"{show(self.path)}: is no regular file; remove it")

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            try:
                if self.size == 0:
                    self.path.unlink(missing_ok=True)
            finally:
                os.close(self._fd)  # a network file system says only here what became of the writes
        except OSError as error:
            raise output_error(self.path, error) from error

    @property
    def size(self) -> int:
        """Bytes so far."""
        return os.fstat(self._fd).st_size

    def append(self, data: bytes) -> None:
        """Write `data` at the end."""
        view, end = memoryview(data), self.size
        try:
            while view:
                count = os.pwrite(self._fd, view, end)
                view, end = view[count:], end + count
        except OSError as error:
            raise output_error(self.path, error) from error

    def clear(self) -> None:
        """Begin anew."""
        try:
            os.ftruncate(self._fd, 0)
        except OSError as error:
            raise output_error(self.path, error) from error

    def read(self, count: int) -> bytes:
        """Return the first `count` bytes, or all that there are."""
        parts: list[bytes] = []
        position = 0
        try:
            while part := os.pread(self._fd, count - position, position):
                parts.append(part)
                position += len(part)
        except OSError as error:
            raise output_error(self.path, error) from error
        return b"".join(parts)


def transfer(url: str, partial: Partial, *, limits: Limits, tick: Callable[[], None]) -> None:
    """Append to `partial` what `url` has beyond its size, until the server says that this was all.

    `tick` is called about ten times a second, and at the end of an attempt. Raises TransferError after the last
    attempt; what came stays, for another run, unless it was too much. Raises OutputError where the disk fails.
    """
    for attempt in range(1, limits.attempts + 1):
        try:
            return _Attempt(url, partial, limits).run(tick)
        except TransferError as error:
            if not error.again or attempt == limits.attempts:
                raise
            time.sleep(max(limits.pause_s * 2 ** (attempt - 1), min(error.wait_s, _LONGEST_WAIT_S)))
    return None


class _Attempt:
    """One request. It runs in a thread, which is left behind where it does not come to an end: the time-outs of
    requests are for each read of a socket, and a server that drips its headers, or a name that is being looked for,
    passes them all."""

    def __init__(self, url: str, partial: Partial, limits: Limits) -> None:
        self._url, self._partial, self._limits = url, partial, limits
        self._shown = shown(url)
        self._lock = threading.Lock()
        self._abandoned = False
        self._moved = time.monotonic()
        self._response: Response | None = None
        self._error: BaseException | None = None

    def run(self, tick: Callable[[], None]) -> None:
        import pooch  # type: ignore[import-untyped]

        headers = {"User-Agent": f"faultdx/{__version__}", "Accept-Encoding": "identity"}
        if self._partial.size:
            headers["Range"] = f"bytes={self._partial.size}-"
        times = (self._limits.connect_s, self._limits.stall_s)
        hooks = {"response": self._begin}
        carrier = pooch.HTTPDownloader(chunk_size=_CHUNK_BYTES, headers=headers, timeout=times, hooks=hooks)
        thread = threading.Thread(target=self._carry, args=(carrier,), daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_LOOK_S)
                tick()
                if thread.is_alive() and time.monotonic() - self._moved > sum(times):
                    raise self._stalled()
        finally:
            self._abandon()
        tick()
        if isinstance(self._error, Exception) and not isinstance(
            self._error, (TransferError, FaultdxError, MemoryError)
        ):
            raise self._explained(self._error) from self._error
        if self._error is not None:
            raise self._error

    # ---- in the thread

    def _carry(self, carrier: Callable[[str, _Attempt, None], None]) -> None:
        try:
            carrier(self._url, self, None)
        except BaseException as error:
            self._error = error
        finally:
            if self._response is not None:
                self._response.close()

    def write(self, data: bytes) -> None:
        """Take what pooch hands on."""
        with self._lock:
            if self._abandoned:
                raise TransferError("abandoned")
            if self._partial.size + len(data) > self._limits.file_bytes:
                self._partial.clear()
                raise self._too_large()
            self._partial.append(data)
            self._moved = time.monotonic()

    def flush(self) -> None:
        """Nothing is held back."""

    def _begin(self, response: Response, **_: Any) -> None:
        """Look at the head of an answer before its body is read; requests calls this for every redirect as well."""
        self._response = response
        if response.is_redirect:
            response.close()  # requests would read the body to its end, and there may be none
            return
        with self._lock:
            if self._abandoned:
                raise TransferError("abandoned")
            self._moved = time.monotonic()
            self._check(response)

    def _check(self, response: Response) -> None:
        code, size = response.status_code, self._partial.size
        coded = response.headers.get("Content-Encoding", "identity") != "identity"
        if code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and size:
            self._partial.clear()  # it is longer than the file
            raise TransferError(f"{self._shown} has less than is here already; try again", again=True)
        if code == HTTPStatus.PARTIAL_CONTENT:
            found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != size or coded:
                self._partial.clear()
                raise TransferError(f"{self._shown} sent another part than was asked for; try again", again=True)
        elif code == HTTPStatus.OK:
            self._partial.clear()  # it knows no ranges, or was not asked for one
        else:
            raise self._refused(code, response.headers.get("Retry-After", ""))
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and self._partial.size + int(length) > self._limits.file_bytes:
            self._partial.clear()
            raise self._too_large()

    # ---- what went wrong

    def _abandon(self) -> None:
        with self._lock:
            self._abandoned = True
        if self._response is not None:
            # wakes a thread that waits for bytes; there is nothing to wake where it has ended
            with contextlib.suppress(AttributeError, ValueError, RuntimeError, OSError):
                self._response.raw.shutdown()

    def _stalled(self) -> TransferError:
        return TransferError(
            f"{self._shown}: next to nothing came for {self._limits.stall_s:g} s; the same command goes on",
            again=True,
            of_server=True,
        )

    def _too_large(self) -> TransferError:
        return TransferError(
            f"{self._shown} sends more than {self._limits.file_bytes / 2**20:g} MiB, which no such file has; "
            "check --base-url"
        )

    def _refused(self, code: int, retry_after: str) -> TransferError:
        known = {status.value: f" {status.phrase}" for status in HTTPStatus}
        text = f"{self._shown} answered {code}{known.get(code, '')}"
        if code >= 500 or code in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS):
            wait_s = float(retry_after) if retry_after.isdecimal() and len(retry_after) < 9 else 0.0
            return TransferError(f"{text}; try again later", again=True, of_server=True, wait_s=wait_s)
        return TransferError(f"{text}; {_CURE}")

    def _explained(self, error: Exception) -> TransferError:
        """Return the failure that an exception of pooch, requests, urllib3, http.client, ssl or socket stands for."""
        from requests import exceptions as asked
        from urllib3 import exceptions as sent

        chain = list(_causes(error))
        reason, url = _reason(chain), self._shown

        def has(*kinds: type[BaseException]) -> bool:
            return any(isinstance(link, kinds) for link in chain)

        if has(asked.Timeout, sent.ReadTimeoutError) and not has(sent.ConnectTimeoutError):
            return self._stalled()
        if has(asked.TooManyRedirects):
            return TransferError(f"{url} redirects without end; {_CURE}")
        if isinstance(error, asked.InvalidSchema):
            return TransferError(f"{url} redirects to what is no http or https address; {_CURE}")
        if isinstance(error, ValueError):  # also requests.exceptions.InvalidURL and InvalidHeader
            return TransferError(f"{url} sent an address or a header without sense: {reason}; {_CURE}")
        unreachable = (
            (asked.SSLError, "no secure connection", "check the clock, the certificates and the proxy"),
            (sent.ProxyError, "the proxy refuses", "check HTTPS_PROXY and HTTP_PROXY"),
            (sent.NewConnectionError, "cannot be reached", "check the network, the proxy and --base-url"),
            (sent.ConnectTimeoutError, "cannot be reached", "check the network, the proxy and --base-url"),
        )
        for kind, what, cure in unreachable:
            if has(kind):
                again = not has(ssl.SSLCertVerificationError)
                return TransferError(f"{url}: {what}: {reason}; {cure}", again=again, gone=True)
        if has(sent.IncompleteRead):
            reason = "it ended before the length that was announced"
        cause = f"{url}: the connection broke off after {self._partial.size} bytes: {reason}; the same command goes on"
        return TransferError(cause, again=True, of_server=True)


def shown(url: str) -> str:
    """Return the address as it may stand in a message: without the name and the password that it may hold."""
    return show(re.sub(r"(?<=://)[^/]*@", "", url))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and all that are wrapped in it, outermost first."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        link = waiting.pop(0)
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            waiting += [*link.args, getattr(link, "reason", None), link.__cause__, link.__context__]


def _reason(chain: list[BaseException]) -> str:
    """Return what the system said, in its words; else what the innermost exception says, cut to a line."""
    for link in reversed(chain):
        verdict = getattr(link, "verify_message", None)  # of ssl.SSLCertVerificationError
        if verdict:
            return show(str(verdict))
        if isinstance(link, OSError) and link.errno and link.strerror:
            return show(link.strerror[:1].lower() + link.strerror[1:])
    if any("timed out" in str(link) for link in chain):
        return "no answer in time"
    return show(" ".join((str(chain[-1]) or type(chain[-1]).__name__).split())[:120])
