"""A benchmark's results for people: a Markdown file to paste from, and a self-contained HTML page with the curves.

Both are made of the same tables. A figure is the mean over seeds, its standard deviation, and the 95 % interval of the
mean by Student's t; a seed's own figure is the mean over what the row leaves open (SNRs, kinds of noise, variants).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from faultdx.benchmark.results import Row, Spread, differences, over_seeds
from faultdx.benchmark.runner import Standing
from faultdx.files import show

_MEASURES = (
    ("segment", "accuracy", "Segments right, %"),
    ("record", "accuracy", "Records right (the pooled vote), %"),
    ("segment", "macro_f1", "Macro-F1 of segments, %"),
    ("segment", "false_alarms", "False alarms: healthy segments called faulty, %"),
)
_MOST_FAILURES = 40
NO_NOISE = "as recorded"
_ALL = "mean over all"


@dataclass(frozen=True)
class Table:
    """A table of texts: the first `words` columns are names, the others figures."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int
    note: str = ""


@dataclass(frozen=True)
class Block:
    """What belongs together: one data set at one level of honesty, one training noise, one side."""

    title: str
    level: str
    tables: tuple[Table, ...]
    curves: tuple[tuple[str, Mapping[str, Sequence[tuple[float, float, float, float]]]], ...]


def series_of(rows: Sequence[Row]) -> Callable[[Row], str]:
    """Return what names a row's column: the network, and the recipe and the input where there are several."""
    recipes, inputs = ({row[k] for row in rows} for k in ("recipe", "input"))

    def name(row: Row) -> str:
        more = [row["recipe"]] * (len(recipes) > 1) + [row["input"]] * (len(inputs) > 1)
        return f"{row['network']} ({', '.join(more)})" if more else str(row["network"])

    return name


def blocks_of(rows: Sequence[Row]) -> list[Block]:
    """Return the tables and curves of all results, in the order of the rows."""
    name = series_of(rows)
    places = list(dict.fromkeys((r["data"], r["level"], r["training_noise"], r["side"]) for r in rows))
    out = []
    for place in places:
        data, level, noise, side = place
        mine = [r for r in rows if (r["data"], r["level"], r["training_noise"], r["side"]) == place]
        out.append(
            Block(
                f"{data}: training noise {noise}; {side} side",
                level,
                tuple(
                    t
                    for t in (*_measures(mine, name), _groups(mine, name), _by_snr(mine, name), _pairs(mine, name))
                    if t
                ),
                _curves(mine, name),
            )
        )
    return out


def _measures(rows: Sequence[Row], name: Callable[[Row], str]) -> list[Table | None]:
    out = []
    for unit, metric, title in _MEASURES:
        chosen = [r for r in rows if (r["unit"], r["metric"], r["group"]) == (unit, metric, "all")]
        places: list[tuple[str, ...]] = []
        found: dict[Hashable, Spread] = {}
        for some, place in _summaries(chosen):
            places += [place(r) for r in some]
            found |= over_seeds(some, lambda r, place=place: (*place(r), name(r)))  # type: ignore[misc]
        ordered = sorted(dict.fromkeys(places), key=lambda p: _first(places, p[0]))
        words = ("", "noise in the test") if _several(chosen) else ("noise in the test",)
        out.append(_table(title, words, ordered, found, chosen, name))
    return out


def _summaries(rows: Sequence[Row]) -> Iterator[tuple[Sequence[Row], Callable[[Row], tuple[str, str]]]]:
    """Yield rows, and the (variant, noise) under which they are summed up: each, then over all noises and variants."""
    noisy = [r for r in rows if r["test_noise"] != "none"]
    for whole in (False, True) if _several(rows) else (True,):
        yield rows, lambda r, whole=whole: (_ALL if whole else r["variant"], _test(r))  # type: ignore[misc]
        if len({r["test_noise"] for r in noisy}) > 1:
            yield noisy, lambda r, whole=whole: (_ALL if whole else r["variant"], "all noises")  # type: ignore[misc]


def _first(places: Sequence[tuple[str, ...]], variant: str) -> int:
    return next(i for i, p in enumerate(places) if p[0] == variant)


def _test(row: Row) -> str:
    return NO_NOISE if row["test_noise"] == "none" else str(row["test_noise"])


def _table(
    title: str,
    words: tuple[str, ...],
    places: Sequence[tuple[str, ...]],
    found: Mapping[Hashable, Spread],
    rows: Sequence[Row],
    name: Callable[[Row], str],
) -> Table | None:
    names = list(dict.fromkeys(name(r) for r in rows))
    if not places:
        return None
    body = []
    for place in places:
        figures = tuple(figure(found[(*place, n)]) if (*place, n) in found else "" for n in names)
        body.append((*(place[-len(words) :]), *figures))
    return Table(title, (*words, *names), tuple(body), len(words))


def figure(spread: Spread) -> str:
    """Return shares as percent: mean ± standard deviation [95 % interval], or the mean of a single seed."""
    if spread.n < 2:
        return f"{100 * spread.mean:.1f}"
    low, high = (max(0.0, min(1.0, spread.mean + side * spread.half)) for side in (-1, 1))
    return f"{100 * spread.mean:.1f} ± {100 * spread.sd:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _groups(rows: Sequence[Row], name: Callable[[Row], str]) -> Table | None:
    chosen = [r for r in rows if (r["unit"], r["metric"]) == ("segment", "accuracy") and r["group"] != "all"]

    def key(r: Row) -> tuple[str, str, str, str]:
        return (r["variant"], r["group"], NO_NOISE if r["test_noise"] == "none" else "all noises", name(r))

    places = list(dict.fromkeys(key(r)[:3] for r in chosen))
    every = list(dict.fromkeys((_ALL, *key(r)[1:3]) for r in chosen)) if _several(chosen) else []
    found = over_seeds(chosen, key) | over_seeds(chosen, lambda r: (_ALL, *key(r)[1:]))
    title = "By group of records: segments right, %"
    words = ("", "records", "noise in the test") if every else ("records", "noise in the test")
    return _table(title, words, [*places, *every], found, chosen, name)


def _several(rows: Sequence[Row]) -> bool:
    return len({r["variant"] for r in rows}) > 1


def _by_snr(rows: Sequence[Row], name: Callable[[Row], str]) -> Table | None:
    chosen = _accuracy(rows)

    def key(r: Row) -> tuple[str, str, str]:
        return (str(r["test_noise"]), f"{r['test_snr_db']:g}", name(r))

    noisy = [r for r in chosen if r["test_snr_db"] is not None]
    places = sorted({key(r)[:2] for r in noisy}, key=lambda p: (_order(noisy, p[0]), float(p[1])))
    return _table("By SNR: segments right, %", ("noise", "SNR, dB"), places, over_seeds(noisy, key), noisy, name)


def _order(rows: Sequence[Row], noise: str) -> int:
    return next(i for i, r in enumerate(rows) if r["test_noise"] == noise)


def _accuracy(rows: Sequence[Row]) -> list[Row]:
    return [r for r in rows if (r["unit"], r["metric"], r["group"]) == ("segment", "accuracy", "all")]


def _pairs(rows: Sequence[Row], name: Callable[[Row], str]) -> Table | None:
    body = []
    chosen = _accuracy(rows)
    for what, mine in (
        (NO_NOISE, [r for r in chosen if r["test_noise"] == "none"]),
        ("all noises", [r for r in chosen if r["test_noise"] != "none"]),
    ):
        for (a, b), d in differences(mine, name).items():
            low, high = 100 * (d.mean - d.half), 100 * (d.mean + d.half)
            if d.n < 2:
                interval, said = "", "one training"
            else:
                interval = f"[{low:+.2f}, {high:+.2f}]"
                said = f"{a} better" if low > 0 else f"{b} better" if high < 0 else "not told apart"
            body.append((f"{a} - {b}", what, f"{100 * d.mean:+.2f}", interval, str(d.n), said))
    if not body:
        return None
    return Table(
        "Networks against each other: difference in segments right, percentage points",
        ("pair", "noise in the test", "difference", "95 % interval", "pairs", "verdict"),
        tuple(body),
        2,
        "Paired: two trainings that differ in the network alone. The intervals are not corrected for the number of "
        "comparisons: of twenty pairs without a difference, one is expected to show one.",
    )


def _curves(
    rows: Sequence[Row], name: Callable[[Row], str]
) -> tuple[tuple[str, Mapping[str, Sequence[tuple[float, float, float, float]]]], ...]:
    noisy = [r for r in _accuracy(rows) if r["test_snr_db"] is not None]
    out = []
    for noise in dict.fromkeys(r["test_noise"] for r in noisy):
        mine = [r for r in noisy if r["test_noise"] == noise]
        if len({r["test_snr_db"] for r in mine}) < 3:
            continue
        found = over_seeds(mine, lambda r: (name(r), r["test_snr_db"]))
        series = {
            n: [_point(snr, found[n, snr]) for snr in sorted({r["test_snr_db"] for r in mine if name(r) == n})]
            for n in dict.fromkeys(name(r) for r in mine)
        }
        out.append((f"{noise} noise", series))
    return tuple(out)


def _point(snr: float, spread: Spread) -> tuple[float, float, float, float]:
    half = 0.0 if math.isnan(spread.half) else spread.half
    low, high = max(0.0, spread.mean - half), min(1.0, spread.mean + half)
    return (snr, 100 * spread.mean, 100 * low, 100 * high)


def cost(rows: Sequence[Row]) -> Table | None:
    """Return what each network costs: its size, and the mean time of a training."""
    name = series_of(rows)
    cells = {r["cell"]: r for r in rows}
    body = []
    for n in dict.fromkeys(name(r) for r in rows):
        mine = [r for r in cells.values() if name(r) == n]
        sizes = (max(r[k] for r in mine) for k in ("parameters", "multiply_adds"))
        times = (sum(r[k] for r in mine) / len(mine) for k in ("steps", "train_seconds", "train_cpu_seconds"))
        body.append((n, str(len(mine)), *(f"{v:.0f}" for v in (*sizes, *times))))
    header = ("network", "trainings", "parameters", "multiply-adds", "steps", "seconds", "CPU seconds")
    return Table("Cost of a training, one thread", header, tuple(body), 1) if body else None


def notes_of(standing: Standing, code: str) -> list[str]:
    """Return what a reader has to know before any figure."""
    done, failed = standing.count("finished"), standing.count("failed")
    results = [standing.results[c.address] for c in standing.cells if c.address in standing.results]
    finished = [r for r in results if r["status"] == "finished"]
    out = [f"{done} of {len(standing.cells)} cells finished, {failed} failed; {len(standing.plan.seeds)} seeds."]
    out += list(dict.fromkeys(f"{r['data']['data']}: {r['level']}." for r in finished))
    out += list(dict.fromkeys(n + "." for r in finished for n in r["data"]["split_notes"]))
    out += list(dict.fromkeys(f"Left out: {e}" for r in finished for e in r["data"]["left_out"]))
    if other := sum(r["code"] != code for r in finished):
        out.append(f"{other} cells were computed by another version of the code; --overwrite runs them again.")
    versions = dict.fromkeys(" ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in finished)
    return out + [f"Computed with {v}." for v in versions]


def failures(standing: Standing) -> list[str]:
    """Return a line for each cell that failed."""
    bad = [(c, standing.results[c.address]) for c in standing.cells if c.address in standing.results]
    lines = [show(f"{c.title}: {r['error']['message']}") for c, r in bad if r["status"] == "failed"]
    more = len(lines) - _MOST_FAILURES
    return lines[:_MOST_FAILURES] + ([f"and {more} more"] if more > 0 else [])


def to_markdown(standing: Standing, rows: Sequence[Row], *, code: str) -> str:
    """Return the results as Markdown. `code` is the digest of the code now (`runner.code_digest`)."""
    parts = [f"# {standing.plan.name}", _bare(standing.plan.description), *_list(notes_of(standing, code)), _HOW]
    for block in blocks_of(rows):
        parts += [f"## {_bare(block.title)}", f"Level: {block.level}."]
        parts += [_markdown(t, "###") for t in block.tables]
    if (costs := cost(rows)) is not None:
        parts.append(_markdown(costs, "##"))
    if bad := failures(standing):
        parts += ["## Failed", *_list(bad)]
    return "\n\n".join(p for p in parts if p) + "\n"


_HOW = (
    "Mean ± standard deviation over seeds [95 % interval of the mean, Student's t]. A seed's figure is the mean over "
    "the SNRs, kinds of noise and variants that a row leaves open."
)


def _list(lines: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {_bare(line)}" for line in lines)] if lines else []


def _markdown(table: Table, level: str) -> str:
    line = "|" + "---|" * table.words + "---:|" * (len(table.header) - table.words)
    body = [" | ".join(_bare(cell) for cell in row) for row in (table.header, *table.rows)]
    text = "\n".join([f"| {body[0]} |", line, *(f"| {row} |" for row in body[1:])])
    return f"{level} {table.title}\n\n{text}" + (f"\n\n{table.note}" if table.note else "")


def _bare(text: str) -> str:
    return show(text).replace("|", "\\|").replace("<", "&lt;")


def to_html(standing: Standing, rows: Sequence[Row], *, code: str) -> str:
    """Return the results as a self-contained page. `code` as in `to_markdown`."""
    from faultdx.report import plots

    def drawn(table: Table) -> str:
        note = f"<p class='soft'>{plots.text(table.note)}</p>" if table.note else ""
        heading = f"<h3>{plots.text(table.title)}</h3>"
        return heading + plots.table(table.header, table.rows, numbers_from=table.words) + note

    notes = "".join(f"<li>{plots.text(n)}</li>" for n in notes_of(standing, code))
    leaks = any(level.startswith("LEAKING") for level in {str(r["level"]) for r in rows})
    sections = [f"<div class='box {'bad' if leaks else 'none'}'><ul>{notes}</ul><p>{plots.text(_HOW)}</p></div>"]
    for block in blocks_of(rows):
        pictures = [plots.figure(plots.accuracy_curves(series, title=title)) for title, series in block.curves]
        body = f"<p><b>{plots.text(block.level)}</b></p>" + "".join(pictures) + "".join(drawn(t) for t in block.tables)
        sections.append(plots.section(block.title, body))
    if (costs := cost(rows)) is not None:
        sections.append(plots.section("Cost", drawn(costs)))
    if bad := failures(standing):
        sections.append(plots.section("Failed", "<ul>" + "".join(f"<li>{plots.text(b)}</li>" for b in bad) + "</ul>"))
    plan = f"<pre>{_lines(standing.plan.text, plots.text)}</pre>"
    sections.append(plots.section("The plan", plan))
    return plots.page(standing.plan.name, sections, lead=standing.plan.description)


def _lines(text: str, escape: Callable[[object], str]) -> str:
    return "\n".join(escape(line) for line in text.splitlines())
