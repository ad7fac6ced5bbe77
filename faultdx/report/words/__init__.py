"""Every text of a report, in one place for translation: `say("gears.none", teeth=23)`.

A key is the topic, a module beside this one whose `WORDS` holds its texts, and the name of the text there. A text is
a template of `str.format`; what is put in is still to be made safe by the sink.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module


@cache
def _topic(name: str) -> dict[str, str]:
    found: dict[str, str] = import_module(f"{__name__}.{name}").WORDS
    return found


def say(key: str, **values: object) -> str:
    """Return the text of `key`, its fields filled in. Raises KeyError: no such text, or a field without a value."""
    topic, _, name = key.partition(".")
    text = _topic(topic)[name]
    return text.format(**values) if values else text
