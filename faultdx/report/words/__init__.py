"""Every text of a report, in one place for translation: `say("gears.none", teeth=23)`.

A key is the topic, a module beside this one whose `WORDS` holds its texts, and the name of the text there. A text is
a template of `str.format`; what is put in is still to be made safe by the sink. `{count:|record|records}` is the number
and the noun that goes with it, "1 record", "3 records".

English is what is shipped. Another language is a folder beside this file, named by its code: `de/page.py`, with the
`WORDS` of the topic `page`, and so on; FAULTDX_LANGUAGE=de takes it. A topic or a text that is not there is said in
English. A language that has other forms than one and many gives `form(count) -> int` in its `__init__`: which of the
forms between the bars a number takes. docs/report.md says more.
"""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import SupportsIndex

VARIABLE = "FAULTDX_LANGUAGE"
_CODE = re.compile(r"[a-z]{2,3}(_[a-z0-9]{2,8})?")  # it becomes the name of a package: nothing else gets there
_NOUN = re.compile(r"\{(\w+):\|([^{}]*)\}")


def language() -> str:
    """Return the code of the language of the reports, "en" where FAULTDX_LANGUAGE names none that is there."""
    wanted = _wanted()
    return wanted if _CODE.fullmatch(wanted) and _there(wanted) else "en"


def unknown_language() -> str:
    """Return what FAULTDX_LANGUAGE names where there is no such language, "" where there is, or where it is not set."""
    wanted = _wanted()
    return wanted if wanted not in ("", "en") and language() == "en" else ""


def _wanted() -> str:
    return os.environ.get(VARIABLE, "").strip().lower().replace("-", "_")


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
    translated = _translated(topic, language()).get(name)
    text = translated or _topic(topic)[name]
    if not values:
        return text
    if ":|" in text:
        code = language() if translated else "en"
        text = _NOUN.sub(lambda found: _counted(values[found[1]], found[2].split("|"), code), text)
    return text.format(**values)


def _counted(count: object, forms: list[str], code: str) -> str:
    """Return a number and the noun that goes with it, as a template."""
    number = operator.index(count) if isinstance(count, SupportsIndex) else 0
    said = f"{count} {forms[min(_form(code)(number), len(forms) - 1)]}"
    return said.replace("{", "{{").replace("}", "}}")


@cache
def _form(code: str) -> Callable[[int], int]:
    own = None if code == "en" else getattr(import_module(f"{__name__}.{code}"), "form", None)
    return own if callable(own) else lambda count: int(count != 1)
