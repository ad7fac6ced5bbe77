"""Reads files, each in a fresh child of one light process, and says what came of it: run as a script.

    python corpus_reader.py REQUEST ANSWERS

REQUEST is a JSON file: {"paths": [...], "rate_hz": ..., "import": [...], "members": bool}. ANSWERS becomes one JSON
line a file. A forked child starts with the memory of this process, which is small, so that its peak is its own.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from faultdx.errors import RecordError
from faultdx.records import Declared, Record, find_records, read_item, read_record

DEADLINE_S = 12.0
# What no reader of a recording has any business with.
FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "pickle.find_class", "os.remove",
    "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.link", "os.symlink", "shutil.rmtree",
)  # fmt: skip
heard: list[str] = []


def listen(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what is opened for writing or outside the places of Python and of this package, and what is forbidden."""
    if event == "open":
        path, mode, flags = arguments
        if not isinstance(path, (str, bytes)):
            return
        name = os.fsdecode(path)
        written = bool(isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        heard.append(f"{'writes' if written or set(mode or '') & set('wax+') else 'reads'} {name}")
    elif event in FORBIDDEN:
        heard.append(f"{event} {arguments!r:.200}")


def plain(record: Record) -> dict[str, Any]:
    return {
        "shape": record.signal.shape,
        "samples": base64.b64encode(record.signal.tobytes()).decode(),
        "rate_hz": record.sampling_rate_hz,
    }


def read(path: str, *, rate_hz: float, members: bool) -> dict[str, Any]:
    """Read one file, or all records in it, in this process."""
    start = time.monotonic()
    records: list[Record] = []
    answer: dict[str, Any] = {"errors": []}
    works: list[Callable[[], Record]] = [lambda: read_record(path, sampling_rate_hz=rate_hz)]
    try:
        if members:
            items = find_records([path], flags=Declared(sampling_rate_hz=rate_hz))
            works = [partial(read_item, item) for item in items]
        for work in works:
            try:
                records.append(work())
            except RecordError as error:
                answer["errors"].append([str(error), error.path, error.exit_code])
    except RecordError as error:
        answer["errors"].append([str(error), error.path, error.exit_code])
    except BaseException:  # a crash is what is looked for
        answer["crash"] = traceback.format_exc()
    # Before the answer is made, which takes memory too.
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    answer |= {"seconds": time.monotonic() - start, "own_kib": own, "children_kib": children, "heard": heard[:]}
    return answer | {"records": [plain(record) for record in records]}


def apart(path: str, *, rate_hz: float, members: bool) -> dict[str, Any]:
    """Read one file in a child, which is killed when it takes too long."""
    inlet, outlet = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(inlet)
            with os.fdopen(outlet, "wb") as stream:
                stream.write(json.dumps(read(path, rate_hz=rate_hz, members=members)).encode())
        finally:
            os._exit(0)
    os.close(outlet)
    parts, end = [], time.monotonic() + DEADLINE_S
    with os.fdopen(inlet, "rb", buffering=0) as stream:
        while (left := end - time.monotonic()) > 0 and select.select([stream], [], [], left)[0]:
            if not (part := stream.read(1 << 20)):
                break
            parts.append(part)
        else:
            os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if not os.WIFEXITED(status):
        return {"signal": os.WTERMSIG(status), "records": [], "errors": []}
    answer: dict[str, Any] = json.loads(b"".join(parts) or b'{"crash": "no answer", "records": [], "errors": []}')
    return answer


def main(request_file: str, answers_file: str) -> None:
    """Serve one request."""
    warnings.simplefilter("error")
    request = json.loads(Path(request_file).read_bytes())
    for name in request["import"]:
        importlib.import_module(name)
    sys.addaudithook(listen)
    how = {"rate_hz": request["rate_hz"], "members": request["members"]}
    with Path(answers_file).open("w") as answers:
        for path in request["paths"]:
            heard.clear()
            answers.write(json.dumps(apart(path, **how)) + "\n")
            answers.flush()  # or a child would write it again


if __name__ == "__main__":
    main(*sys.argv[1:])
