"""A page of a report -> Markdown, GitHub flavour: the same texts and tables, pictures by what they show.

It is made from the finished page, so that no section can be in one and not in the other. Every text in it is escaped:
what a file or a class is called makes no heading, no link, no table and no HTML.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from faultdx.report.words import say

_SILENT = {"style", "title"}
_VOID = {"meta"}
_MARKS = re.compile(r"([\\`*_\[\]<>|~&$#{}^])")
_LINKS = re.compile(r"(?i)(?<=[a-z])://|(?<=www)\.")
_BLOCK = re.compile(r"^(\d+)([.)])(?=\s|$)|^([-+=])(?=[-+=\s]|$)")  # what would begin a list or underline a heading


def escaped(text: str) -> str:
    """Return a text as Markdown that says just that: one line, no markup, no address that becomes a link."""
    said = _MARKS.sub(r"\\\1", " ".join(text.split()))
    said = _LINKS.sub(lambda found: "\\" + found[0], said)
    return _BLOCK.sub(lambda found: f"{found[1]}\\{found[2]}" if found[1] else f"\\{found[3]}", said)


def from_page(page: str) -> str:
    """Return a page that was made of `report.parts` as Markdown; an address in it stays a link."""
    reader = _Reader()
    reader.feed(re.sub(r"<svg[^>]*>.*?</svg>", _picture, page.replace("<wbr>", ""), flags=re.DOTALL))
    reader.close()
    return "\n\n".join(reader.blocks) + "\n"


def _picture(svg: re.Match[str]) -> str:
    label = re.search(r'aria-label="([^"]*)"', svg[0].partition(">")[0])
    return f"<figure-label>{label[1]}</figure-label>" if label else ""


class _Reader(HTMLParser):
    """Reads the few elements that a page has and collects blocks of Markdown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self._open: list[tuple[str, str]] = []  # (element, class)
        self._pieces: list[str] = []
        self._rows: list[list[str]] = []
        self._items: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            return
        given = dict(attrs)
        self._open.append((tag, given.get("class") or ""))
        if tag in {"div", "span"} and self._inside("tr"):
            self._pieces.append(" ")
        elif tag == "tr":
            self._rows.append([])
        elif tag == "table":
            self._rows = []
        elif tag == "ul":
            self._items = []
        elif tag == "a":
            self._pieces.append("[")
            self._open[-1] = (tag, given.get("href") or "")
        elif tag == "b" and not self._pieces:
            self._pieces.append("**")

    def handle_endtag(self, tag: str) -> None:
        if not self._open:
            return
        _, kind = self._open.pop()
        if tag in {"td", "th"} and self._rows:
            self._rows[-1].append(self._take())
        elif tag == "table":
            self.blocks.append(_table(self._rows))
        elif tag == "li":
            self._items.append(f"- {self._take()}")
        elif tag == "ul":
            self.blocks.append("\n".join(self._items))
        elif tag == "a":
            self._pieces.append(f"]({kind})")
        elif tag == "b" and self._pieces[:1] == ["**"]:
            self._pieces.append("** ")
        elif tag in {"span", "div"} and self._inside("tr"):
            self._pieces.append(" ")
        elif tag in {"h1", "h2", "p", "div", "figcaption", "span", "figure-label"} and not self._inside("tr"):
            self._block(tag, kind)

    def handle_data(self, data: str) -> None:
        said = escaped(data)
        if not said or any(tag in _SILENT for tag, _ in self._open):
            return
        self._pieces.append((" " if data[:1].isspace() else "") + said + (" " if data[-1:].isspace() else ""))

    def _inside(self, tag: str) -> bool:
        return any(open_tag == tag for open_tag, _ in self._open)

    def _take(self) -> str:
        text = " ".join("".join(self._pieces).split()).replace("[ ", "[").strip()
        self._pieces = []
        return text

    def _block(self, tag: str, kind: str) -> None:
        text = self._take()
        if not text:
            return
        if tag == "figure-label":
            text = f"*{escaped(say('page.picture'))}: {text}*"
        self.blocks.append({"h1": f"# {text}", "h2": f"## {text}"}.get(tag, f"**{text}**" if kind == "word" else text))


def _table(rows: list[list[str]]) -> str:
    width = max((len(row) for row in rows), default=0)
    lines = [[""] * width, ["---"] * width, *(row + [""] * (width - len(row)) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
