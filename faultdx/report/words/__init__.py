"""Every text of a report, in one place for translation: `say("gears.none", teeth=23)`.

A key is the topic, a module beside this one whose `WORDS` holds its texts, and the name of the text there. A text is
a template of `str.format`; what is put in is still to be made safe by the sink.

English is what is shipped. Another language is a folder beside this file, named by its code: `de/page.py`, with the
`WORDS` of the topic `page`, and so on; FAULTDX_LANGUAGE=de takes it. A topic or a text that is not there is said in
English. docs/report.md says more.
"""

from __future__ import annotations

import os
import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec

_CODE = re.compile(r"[a-z]{2,3}(_[a-z0-9]{2,8})?")  # it becomes the name of a package: nothing else gets there


def language() -> str:
    """Return the code of the language of the reports, "en" where FAULTDX_LANGUAGE names none that is there."""
    wanted = os.environ.get("FAULTDX_LANGUAGE", "").strip().lower().replace("-", "_")
    return wanted if _CODE.fullmatch(wanted) and _there(wanted) else "en"


@cache
def _there(code: str) -> bool:
    found = find_spec(f"{__name__}.{code}")
    return found is not None and found.submodule_search_locations is not None


@cache
def _topic(name: str) -> dict[str, str]:
    found: dict[str, str] = import_module(f"{__name__}.{name}").WORDS
    return found


@cache
def _translated(name: str, code: str) -> dict[str, str]:
    """The texts of a topic in another language, as far as there are any."""
    if code == "en" or find_spec(f"{__name__}.{code}.{name}") is None:
        return {}
    return _topic(f"{code}.{name}")


def say(key: str, **values: object) -> str:
    """Return the text of `key`, its fields filled in. Raises KeyError: no such text, or a field without a value."""
    topic, _, name = key.partition(".")
    text = _translated(topic, language()).get(name) or _topic(topic)[name]
    return text.format(**values) if values else text
