"""A Dask scheduler and its workers: the same function on other machines.

The function travels as one small task of its own, not as scattered data: scattered data dies with the worker that
holds it, the result of a task is made again. Each worker thread unpickles it once and keeps it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import logging
import pickle
import platform
import re
import socket
import threading
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from faultdx import __version__
from faultdx.errors import ConfigError
from faultdx.files import show
from faultdx.mapping.serving import begin_of
from faultdx.mapping.tasks import Lost, Task

PATIENCE_S = 10.0  # for the scheduler to answer, and again for a first worker to be there
_LIBRARIES = ("numpy", "onnxruntime")  # what the last digit of a result depends on
_local = threading.local()


def mapped(
    work: Callable[..., Any],
    tasks: Iterable[Task],
    *,
    address: str,
    window: int | None = None,
    here: Callable[..., bool] | None = None,
) -> Generator[Any, None, None]:
    """See `faultdx.mapping.mapped`. A task that its worker took with it is run again by another, as often as the
    scheduler allows (`distributed.scheduler.allowed-failures`, 3 unless it was set)."""
    distributed = _library()
    with _quiet(), _connected(address) as client:
        threads = _check_workers(client, address)
        most = window or 4 * max(threads, 1)
        run = uuid.uuid4().hex  # a name of its own: a result of another run is never taken for one of this
        data = pickle.dumps(work, pickle.HIGHEST_PROTOCOL)
        carried = client.submit(_same, (hashlib.sha256(data).hexdigest(), data), key=f"faultdx-{run}", pure=False)
        ahead: deque[tuple[Task, Any]] = deque()
        source, count, more = iter(tasks), 0, True
        while True:
            while more and len(ahead) < most:
                task = next(source, None)
                if task is None:
                    more = False
                    break
                local = here is not None and here(*task)
                key = f"faultdx-{run}-{count}"
                versions = None if local else _versions()
                count += 1
                ahead.append(
                    (task, None if local else client.submit(_call, carried, task, versions, key=key, pure=False))
                )
            if not ahead:
                return
            task, future = ahead.popleft()
            yield work(*task) if future is None else _result(distributed, future, address)


def _result(distributed: Any, future: Any, address: str) -> Any:
    try:
        return future.result()
    except distributed.KilledWorker:
        return Lost("killed, with each of the workers that tried")
    except (distributed.CancelledError, distributed.client.FutureCancelledError, OSError, TimeoutError) as error:
        raise ConfigError(
            f"--dask {show(address)}: the scheduler is gone, and what it had not finished with it: run this again "
            "when it is back"
        ) from error
    finally:
        future.release()


def _library() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("distributed")
    except ImportError as error:
        raise ConfigError("--dask needs the library distributed: pip install 'faultdx[dask]'") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's log off our streams: what matters of it becomes an error of ours, in one line."""
    # each module of the library has a level of its own, so that its parent's counts for nothing
    parts = [n for n in logging.root.manager.loggerDict if n.partition(".")[0] in ("distributed", "tornado", "asyncio")]
    loggers = [logging.getLogger(name) for name in parts]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _knock(address: str) -> None:
    """Find out that somebody listens at an address. Raises ConfigError; the library would take longer, and say more."""
    place = re.fullmatch(r"(?:(?:tcp|tls)://)?(?:\[([^\]\s]+)\]|([^\s:/\[\]]+)):([0-9]{1,5})", address)
    if place is None or int(place[3]) >= 1 << 16:
        raise ConfigError(f"--dask {show(address)}: is no address of a scheduler; it reads like tcp://host:8786")
    try:
        socket.create_connection((place[1] or place[2], int(place[3])), timeout=PATIENCE_S).close()
    except (OSError, UnicodeError) as error:
        raise _nobody(address) from error


def _nobody(address: str) -> ConfigError:
    return ConfigError(
        f"--dask {show(address)}: no scheduler answers there (it was given {PATIENCE_S:g} s); start one with "
        "`dask scheduler`, or check the address"
    )


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    _knock(address)
    distributed = _library()
    # One that could not connect is closed again when it is dropped, which takes 20 s and a traceback on stderr.
    kind = type("Client", (distributed.Client,), {"__del__": lambda _self: None})
    made: list[Any] = []

    def make() -> None:
        # whatever it raises is no scheduler; the library itself waits for ever for one that listens and says nothing
        with contextlib.suppress(Exception):
            made.append(kind(address, timeout=PATIENCE_S, set_as_default=False, name="faultdx"))

    thread = threading.Thread(target=make, name="faultdx-dask", daemon=True)
    thread.start()
    thread.join(2 * PATIENCE_S)
    if not made:
        raise _nobody(address)
    client = made[0]
    try:
        yield client
    finally:
        client.close(timeout=0.5)  # what it still waits for then is nothing of ours


def _check_workers(client: Any, address: str) -> int:
    """Return how many threads the workers have together. Raises ConfigError: none, or none that could stand in."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
        found = client.run(_versions, on_error="return")
        threads = int(sum(client.nthreads().values()))
    except (OSError, TimeoutError) as error:
        raise ConfigError(
            f"--dask {show(address)}: the scheduler has no workers after {PATIENCE_S:g} s; start some with "
            f"`dask worker {show(address)} --nthreads 1`"
        ) from error
    for where, theirs in found.items():
        if isinstance(theirs, dict):
            _compare(_versions(), theirs, str(where))
        elif isinstance(theirs, ImportError):
            raise ConfigError(f"--dask: the worker {show(str(where))} cannot import faultdx: {show(str(theirs))}")
    return threads


def _compare(ours: dict[str, str], theirs: dict[str, str], where: str) -> None:
    other = [
        f"{name} {theirs.get(name)} (here {version})" for name, version in ours.items() if theirs.get(name) != version
    ]
    if other:
        raise ConfigError(
            f"--dask: the worker {show(where)} has {', '.join(other)}: results would differ with the worker; install "
            "the same versions"
        )


def _versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    found: dict[str, str] | None = getattr(_local, "versions", None)
    if found is None:
        from importlib import metadata

        found = {"faultdx": __version__, "Python": ".".join(platform.python_version_tuple()[:2])}
        for name in _LIBRARIES:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = "none"
        _local.versions = found
    return dict(found)


# ---- on a worker


def _same(value: Any) -> Any:
    return value


def _call(carried: tuple[str, bytes], task: Task, versions: dict[str, str]) -> Any:
    """Run a task. The function is kept by each thread for itself: two threads never share one model."""
    digest, data = carried
    if getattr(_local, "digest", None) != digest:
        _compare(versions, _versions(), platform.node())  # of a worker that joined after the others were asked
        work = pickle.loads(data)
        begin_of(work)
        _local.digest, _local.work = digest, work
    return _local.work(*task)
