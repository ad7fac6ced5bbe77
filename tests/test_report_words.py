"""Every text of the page stands in faultdx/report/words, and another language needs nothing else."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_report import INFO, STATUSES, Page, a_diagnosis, a_record

import faultdx.report
from faultdx.report import html, index, words
from faultdx.report.words import language, say
from faultdx.testimony import known_bearing
from faultdx.untrained import Untrained

FOLDER = Path(faultdx.report.__file__).parent
# The modules that the page of a diagnosis is made of.
PAGE = (
    "action agreement baseline bearing compared curves document evaluation gear_pictures html impulses index legible "
    "markdown missing naming opening orders origin parts past recording spectral text turning votes why why_pictures"
)
NOT_TEXTS = {"CSS", "POLICY", "_CSS"}  # names of constants that hold style or a policy
OF_MATPLOTLIB = {"axes fraction", "offset points", "Glyph .* missing from font"}
OF_CSV = {"accuracy by \0", "accuracy at coverage"}  # what scripts look for in evaluation.csv
OF_WARNINGS = {"it looks "}  # what the warning of an all-clear that was held back begins with
SENTENCE = re.compile(r"[^\W\d_]{2,}\s+[^\W\d_]{2,}")


def texts_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each string of a module that is neither a docstring nor style; of an f-string its literal parts as one."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") in NOT_TEXTS for t in node.targets):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.JoinedStr):
            parts = [str(v.value) if isinstance(v, ast.Constant) else "\0" for v in node.values]
            yield node.lineno, "".join(parts)
            for value in node.values:
                if isinstance(value, ast.FormattedValue):
                    yield from texts_of(value)
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node.lineno, node.value
        else:
            yield from texts_of(node)


def sentences_in(source: str) -> list[tuple[int, str]]:
    """Strings with two words and a space between them, markup aside."""
    found = []
    for line, text in texts_of(ast.parse(source)):
        bare = re.sub(r"<[^>]*(>|$)", "", text)
        bare = bare.rpartition(">")[2] if re.match(r"^[^<]*=\"[^<]*>", bare) else bare  # the end of a tag
        if SENTENCE.search(bare) and bare not in OF_MATPLOTLIB | OF_CSV | OF_WARNINGS and "://" not in bare:
            found.append((line, text))
    return found


@pytest.mark.parametrize("name", PAGE.split())
def test_no_sentence_stands_outside_the_words(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text("utf-8")
    assert sentences_in(source) == []


def test_the_search_finds_sentences_and_passes_markup() -> None:
    assert sentences_in('def f():\n    """A docstring."""\n    return f"<p>not {f()} drawn at all</p>"') != []
    assert sentences_in('x = "the level is high"') != []
    assert sentences_in('x = \'<td class="n soft">\'\nCSS = "a b c dd ee"') == []


def test_every_text_that_is_asked_for_is_there() -> None:
    code = "\n".join(path.read_text("utf-8") for path in FOLDER.glob("*.py"))
    asked = set(re.findall(rf'"((?:{"|".join(topics())})\.[a-z_0-9]+)"', code)) - {"page.html", "page.pdf"}
    known = {f"{topic}.{key}" for topic in topics() for key in words._topic(topic)}
    assert asked <= known, asked - known


def topics() -> list[str]:
    return sorted(path.stem for path in (FOLDER / "words").glob("*.py") if path.stem != "__init__")


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A language in which each text stands between marks."""
    (tmp_path / "xx").mkdir()
    (tmp_path / "xx" / "__init__.py").write_text("", "utf-8")
    for topic in topics():
        texts = {key: f"«{text}»" for key, text in words._topic(topic).items()}
        (tmp_path / "xx" / f"{topic}.py").write_text(f"WORDS = {texts!r}\n", "utf-8")
    monkeypatch.setattr(words, "__path__", [*words.__path__, str(tmp_path)])
    monkeypatch.setenv("FAULTDX_LANGUAGE", "xx")
    for cached in (words._there, words._topic, words._translated):
        cached.cache_clear()
    yield
    for name in [name for name in sys.modules if name.startswith("faultdx.report.words.xx")]:
        del sys.modules[name]
    for cached in (words._there, words._topic, words._translated):
        cached.cache_clear()


def outside_marks(text: str) -> str:
    depth, out = 0, []
    for c in text:
        depth += (c == "«") - (c == "»")
        out.append(c if depth == 0 and c != "»" else " ")
    assert depth == 0, text
    return "".join(out)


def names_in(value: Any) -> set[str]:
    """Every word of the data: what a page may say unmarked."""
    if isinstance(value, dict):
        return set().union(*(names_in(key) | names_in(item) for key, item in value.items()), set())
    if isinstance(value, (list, tuple)):
        return set().union(*map(names_in, value), set())
    return set(re.findall(r"[^\W\d_]{2,}", str(value))) if isinstance(value, str) else set()


def bearing_diagnosis() -> Any:
    """A bearing whose inner race is damaged, on a shaft whose lines are there too."""
    rate, turns_hz = 12_000.0, 1797 / 60
    t = np.arange(int(8 * rate)) / rate
    signal = 0.3 * np.random.default_rng(1).standard_normal(t.size) + 0.5 * np.sin(2 * np.pi * turns_hz * t)
    blows = np.zeros(t.size)
    every_hz = turns_hz * known_bearing("6205").geometry.bpfi
    blows[(np.arange(0, t[-1] * every_hz) / every_hz * rate).astype(int)] = 1
    ring = np.exp(-np.arange(200) / 25) * np.sin(2 * np.pi * 3000 * np.arange(200) / rate)
    signal += 6 * np.convolve(blows * (1 + np.cos(2 * np.pi * turns_hz * t)), ring)[: t.size]
    record = a_record().with_(signal=signal[None].astype(np.float32), rpm=1797.0)
    return Untrained(known_bearing("6205")).diagnose(record)


def test_in_another_language_every_visible_text_is_that_language(marked: None) -> None:
    assert language() == "xx" and say("page.file") == "«file»"
    physics = bearing_diagnosis()
    assert physics.verdict == "inner_race"
    network = a_diagnosis(segment_probabilities=np.full((300, 4), 0.25), segment_starts_s=np.arange(300.0))
    data = names_in([*STATUSES, INFO, list(network.probabilities), dict(physics.evidence), dict(physics.model)])
    data |= names_in(["bpfo hz order band_hz 0 HP motor MATLAB spool mat pump hall", "BPFO BPFI BSF FTF", "m/s²"])
    data |= names_in(["faultdx", "postponed", "ab" * 32, "cd" * 32, "ef" * 32, network.verdict, physics.verdict])
    data |= {word for c in (*network.quality, *STATUSES["unusable"].quality) for word in names_in(c.message)}
    data |= names_in([*network.warnings, *physics.warnings, "cut short copy it again", "Hz whitened"])
    for diagnosis in [*STATUSES.values(), physics, network]:
        page = Page(html.render(diagnosis, model_info=INFO if diagnosis is not physics else {}))
        assert any("«" in said for said in page.words)
        for said in page.words:
            stray = set(re.findall(r"[^\W\d_]{2,}", outside_marks(said))) - data
            assert not stray, (said, stray)
        labels = [a["aria-label"] for _, a in page.tags if "aria-label" in a]
        assert all((label or "").startswith("«") for label in labels)
    listed = index.Index()
    listed.add(index.listed(network), link="a.html")
    assert "«" in listed.page() and 'lang="xx"' in listed.page()


def test_a_text_that_is_not_translated_is_said_in_english(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marked: None
) -> None:
    (tmp_path / "xx" / "page.py").write_text("WORDS = {'file': 'Datei'}\n", "utf-8")
    (tmp_path / "xx" / "band.py").unlink()
    assert say("page.file") == "Datei" and say("page.asset") == "asset"
    assert say("band.rows") == "bands in a row"
    monkeypatch.setenv("FAULTDX_LANGUAGE", "en")
    assert say("page.file") == "file"


@pytest.mark.parametrize("name", ["", "zz", "../../etc", "page", "os", "en", "__init__", "x" * 99, "de.page"])
def test_a_language_that_is_not_there_is_english(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULTDX_LANGUAGE", name)
    assert language() == "en" and say("page.file") == "file"


def test_a_number_takes_the_noun_that_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"had": "{count:|healthy record was|healthy records were} read, {share:.0%}", "plain": "{count} of {of}"}
    monkeypatch.setitem(sys.modules, "faultdx.report.words.nouns", type("Nouns", (), {"WORDS": texts}))
    words._topic.cache_clear()
    assert say("nouns.had", count=1, share=0.5) == "1 healthy record was read, 50%"
    for count in (0, 2, 21, np.int64(5)):
        assert say("nouns.had", count=count, share=0.5) == f"{count} healthy records were read, 50%"
    assert say("nouns.had", count=np.int64(1), share=0.5).startswith("1 healthy record was")
    assert say("nouns.plain", count=1, of=2) == "1 of 2"
    with pytest.raises(KeyError):
        say("nouns.had", share=0.5)
    words._topic.cache_clear()


def test_a_language_may_have_other_forms_than_one_and_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pl").mkdir()
    few = "def form(n):\n    return 0 if n == 1 else 1 if n % 10 in (2, 3, 4) and n % 100 not in (12, 13, 14) else 2\n"
    (tmp_path / "pl" / "__init__.py").write_text(few, "utf-8")
    (tmp_path / "pl" / "index.py").write_text("WORDS = {'title': '{count:|plik|pliki|plików}'}\n", "utf-8")
    monkeypatch.setattr(words, "__path__", [*words.__path__, str(tmp_path)])
    monkeypatch.setenv("FAULTDX_LANGUAGE", "pl")
    caches = (words._there, words._topic, words._translated, words._form)
    for cached in caches:
        cached.cache_clear()
    assert [say("index.title", count=n) for n in (1, 3, 5, 12)] == ["1 plik", "3 pliki", "5 plików", "12 plików"]
    assert say("page.other_classes", count=3) == "3 other classes"  # not translated: English, by its own forms
    for name in [name for name in sys.modules if name.startswith("faultdx.report.words.pl")]:
        del sys.modules[name]
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize(("name", "unknown"), [("", ""), ("en", ""), ("EN", ""), ("zz", "zz"), ("../x", "../x")])
def test_a_language_that_is_not_there_is_named(name: str, unknown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULTDX_LANGUAGE", name)
    assert words.unknown_language() == unknown


def test_a_missing_text_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        say("page.no_such_text")
    with pytest.raises(KeyError):
        say("page.from", value="x")
