"""A page of a report -> PDF, printed by a browser that is installed: Chromium, Chrome or Edge, without a window.

Nothing is added to the package for it: a gateway writes HTML, and a desk that has a browser prints. The page needs no
network and the browser is given none. Dates are taken out of the PDF, so that the same page and the same browser
give the same bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from faultdx.errors import ConfigError, OutputError
from faultdx.files import show

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
VARIABLE = "FAULTDX_BROWSER"  # names another program, or where it is
_LIMIT_S = 120.0
# Everything that a browser does of itself and a printer need not: profiles, updates, the network.
_OPTIONS = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--disable-sync", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--no-pdf-header-footer", "--hide-scrollbars",
)  # fmt: skip
_DATES = re.compile(rb"(/(?:CreationDate|ModDate) ?\()([^)]{0,64})\)")
_ID = re.compile(rb"(/ID ?)(\[[^\]]{0,200}\])")


def find_browser() -> str:
    """Return the program that prints. Raises ConfigError where there is none."""
    named = os.environ.get(VARIABLE)
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        if named:
            raise ConfigError(f"{VARIABLE}={show(named)}: no such program; name a Chromium, Chrome or Edge")
        raise ConfigError(
            "--report-format pdf needs Chromium, Chrome or Edge, and none is on the PATH: install one, name it in "
            f"{VARIABLE}, or print the HTML report from any browser"
        )
    return found


def to_pdf(page: bytes, *, browser: str) -> bytes:
    """Return the page, HTML, printed. browser : of `find_browser`. Raises OutputError where it does not print."""
    with tempfile.TemporaryDirectory(prefix="faultdx-pdf-", ignore_cleanup_errors=True) as scratch:
        source, target = Path(scratch) / "page.html", Path(scratch) / "page.pdf"
        source.write_bytes(page)
        # a browser that runs as root, as in a container, has no sandbox; the page has no script
        sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        command = [browser, *_OPTIONS, *sandbox, f"--user-data-dir={scratch}/profile", f"--print-to-pdf={target}"]
        command.append(source.as_uri())
        try:
            ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S, check=False)
            blob = target.read_bytes() if target.exists() else b""
        except (OSError, subprocess.SubprocessError) as error:
            raise OutputError(f"{show(browser)}: could not print the report: {_reason(error)}") from error
    if not blob.startswith(b"%PDF-") or b"%%EOF" not in blob[-1024:]:
        said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        why = show(said[-1])[:200] if said else f"it ended with {ran.returncode}"
        raise OutputError(f"{show(browser)}: printed no PDF ({why}); print the HTML report instead")
    return undated(blob)


def undated(blob: bytes) -> bytes:
    """Return a PDF with its dates set to one day and its identifier to zeros, each at its own length: nothing moves."""
    blob = _DATES.sub(lambda found: found[1] + _day(found[2]) + b")", blob)
    return _ID.sub(lambda found: found[1] + re.sub(rb"[0-9A-Fa-f]", b"0", found[2]), blob)


def _day(date: bytes) -> bytes:
    digits = iter(b"20000101000000".ljust(len(date), b"0"))
    return bytes(next(digits) if 48 <= c <= 57 else c for c in date)


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it did not end in {_LIMIT_S:.0f} s; print the HTML report instead"
    return f"{show(str(error))[:200]}; print the HTML report instead"
