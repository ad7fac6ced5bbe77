"""The parts that every page of a report is made of: its style, safe text, sections, lists, tables and figures.

Everything from outside (file names, classes, units, warnings, what a model says of itself) goes through `safe`:
`show`, a length limit, `html.escape`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from faultdx.files import show
from faultdx.report.words import say

_MAX_TEXT = 600  # characters of one text; a longer one is cut, and says so
MAX_ROWS = 40  # of a table or a list
_DIGEST = re.compile(r"\b([0-9a-f]{64})\b")

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
CSS = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--edge:#d8dee4;--line:#1f5fa8;--grid:#d8dee4;
--mark:#b4461a;--bad:#b3261e;--good:#1a7037;--doubt:#8a5a00;--none:#57606a}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b0;--paper:#14171c;--edge:#333a44;
--line:#79b0f2;--grid:#333a44;--mark:#f0925f;--bad:#ff8a80;--good:#6fcf8e;--doubt:#f0c05a;--none:#9aa4b0}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1.25rem 3rem;max-width:54rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;overflow-wrap:anywhere}
h1{margin:.1rem 0 .4rem;font-size:1.9rem;line-height:1.2}h2{margin:2rem 0 .6rem;font-size:1.1rem}
p{margin:.4rem 0}ul{margin:.3rem 0;padding-left:1.2rem}
.verdict{border:1px solid var(--edge);border-left:.6rem solid var(--tone);border-radius:.4rem;padding:1rem 1.2rem}
.word{font-weight:700;letter-spacing:.06em;text-transform:uppercase;color:var(--tone)}
.bad{--tone:var(--bad)}.good{--tone:var(--good)}.doubt{--tone:var(--doubt)}.none{--tone:var(--none)}
.figures{display:flex;flex-wrap:wrap;gap:.3rem 2rem;margin-top:.6rem}.figures b{display:block;font-size:1.25rem}
.soft,figcaption,th,.figures{color:var(--soft)}.figures b{color:var(--ink)}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.28rem .8rem .28rem 0;border-bottom:1px solid var(--edge)}
th{font-weight:400;width:13rem}td.n,th.n{text-align:right;padding-right:0;width:6rem;font-variant-numeric:tabular-nums}
.bar{height:.85rem;margin-top:.3rem;background:var(--grid);border-radius:.2rem;overflow:hidden}
.bar i{display:block;height:100%;background:var(--line)}
.time td{padding-top:.15rem;padding-bottom:.15rem}.time svg{display:block;width:100%;height:1.5rem;fill:var(--line)}
.time svg{background:linear-gradient(var(--grid),var(--grid)) bottom/100% 1px no-repeat}
.axis{display:flex;justify-content:space-between}
figure{margin:.4rem 0}figure svg{width:100%;height:auto;stroke-linejoin:round}figcaption{font-size:.87rem}
svg text{font-family:system-ui,"DejaVu Sans",sans-serif}
code{font:.87em ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.wide{overflow-x:auto}.wide th{width:auto;overflow-wrap:normal}
.wide table:not(.grid) :is(td.n,th.n){width:auto;white-space:nowrap;padding-left:.8rem}
.wide th[scope=row]{min-width:6.5rem}
.group th{width:auto;padding-top:.9rem;color:var(--ink);font-weight:700}
.verdict table{margin-top:.7rem}.verdict tr:last-child>*{border-bottom:0}.verdict th{width:9.5rem}
.badge{padding:.05rem .5rem;border-radius:.3rem;border:1px solid currentColor}
.badge.good{color:var(--good)}.badge.monitor{color:var(--doubt)}.badge.alarm,.badge.danger{color:var(--bad)}
.badge.danger{background:var(--bad);color:var(--paper);border-color:var(--bad)}
@media screen and (max-width:34rem){body{padding:.8rem .8rem 2rem}h1{font-size:1.5rem}.verdict{padding:.8rem}
th,.verdict th{width:7rem}td.n,th.n{width:4.2rem}th,td{padding-right:.5rem}.verdict table,.verdict tbody,.verdict tr,
.verdict th,.verdict td{display:block;width:100%}.verdict th{border-bottom:0;padding-bottom:0}
figure{overflow-x:auto}figure svg{min-width:33rem}}
.loud{color:var(--bad);font-weight:700}
@page{size:A4;margin:15mm}
@media print{.wide{overflow:visible}body{padding:0;max-width:none;font-size:10.5pt}section,figure,tr{break-inside:avoid}
h2{break-after:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""


def safe(value: object) -> str:
    """Return anything from outside as HTML text or attribute value: one line, printable, bounded, escaped."""
    return html.escape(shown(value), quote=True)


def breakable(value: object) -> str:
    """Return a name as `safe` does, with places where a line may break: after its separators."""
    return "<wbr>".join(safe(part) for part in re.split(r"(?<=[/\\_\-.:])(?=[^/\\_\-.:])", shown(value)))


def shown(value: object) -> str:
    """Return anything from outside as text: one line, printable, bounded; still to be escaped."""
    said = show(str(value))
    if len(said) > _MAX_TEXT:
        said = f"{said[:_MAX_TEXT]}… {say('page.characters', count=len(said))}"
    return said


def page(title: str, sections: Iterable[str], *, language: str = "en", css: str = "") -> str:
    """Return a whole page of sections, HTML each, "" for none. title : still to be escaped; css : added to `CSS`."""
    return (
        f'<!DOCTYPE html>\n<html lang="{html.escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n"
        f"<style>{CSS}{css}</style>\n"
        "</head>\n<body>\n" + "\n".join(part for part in sections if part) + "\n</body>\n</html>\n"
    )


def section(title: str, body: str) -> str:
    """Return a section with its heading, or "" where `body`, HTML, is empty."""
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{body}\n</section>" if body else ""


def listing(sentences: Sequence[str]) -> str:
    """Return sentences, still to be escaped, as a list; what is over `MAX_ROWS` is counted."""
    shown = [f"<li>{safe(item)}</li>" for item in sentences[:MAX_ROWS]]
    if len(sentences) > MAX_ROWS:
        shown.append(f"<li>{html.escape(say('page.more', count=len(sentences) - MAX_ROWS))}</li>")
    return "<ul>\n" + "\n".join(shown) + "\n</ul>" if shown else ""


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Rows of (name, value), both still to be escaped; rows without a value are left out."""
    known = [(name, value) for name, value in rows if value]
    shown = [f'<tr><th scope="row">{safe(name)}</th><td>{safe(value)}</td></tr>' for name, value in known[:MAX_ROWS]]
    if len(known) > MAX_ROWS:
        shown.append(f"<tr><th></th><td>{html.escape(say('page.more', count=len(known) - MAX_ROWS))}</td></tr>")
    return "<table>\n" + "\n".join(shown) + "\n</table>" if shown else ""


def grouped(groups: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    """Return rows (name, value) in groups, each under its heading, as one table; all still to be escaped.

    Digests are set in letters of one width. A group without a row is left out; a row without a value, too.
    """
    lines = []
    for title, rows in groups:
        known = [(name, value) for name, value in rows if value]
        lines += [f'<tr class="group"><th colspan="2">{safe(title)}</th></tr>'] if known else []
        for name, value in known[:MAX_ROWS]:
            said = _DIGEST.sub(r"<code>\1</code>", safe(value))
            lines.append(f'<tr><th scope="row">{safe(name)}</th><td>{said}</td></tr>')
        if len(known) > MAX_ROWS:
            lines.append(f"<tr><th></th><td>{html.escape(say('page.more', count=len(known) - MAX_ROWS))}</td></tr>")
    return '<table class="grouped">\n' + "\n".join(lines) + "\n</table>" if lines else ""


def table_section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """Return `table(rows)` in a section of its own, or "" where it has no row."""
    return section(title, table(rows))


def figure(svg: str, caption: str) -> str:
    """Return a picture, SVG of our own, with its caption, still to be escaped."""
    return f"<figure>\n{svg}\n<figcaption>{safe(caption)}</figcaption>\n</figure>\n"
