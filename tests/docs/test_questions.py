"""A problem that the documents show as an example of answering is none that the shipped models were trained on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rstar_math.pocket.splits import pocket_problems, split_of

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_ASKED = re.compile(r"^    (?:\S*/)?rstar solve (.*)$", re.MULTILINE)
_OTHER_MODEL = re.compile(r"--model (?:\S*(?://|\.py|\.yaml)|\S?\$)")
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r'"question": ("(?:[^"\\]|\\.)*").*?"source": "pocket/(\w+)"')


def asked(document: Path) -> list[str]:
    """The questions that a document puts to the shipped models, in commands and in Python."""
    text = document.read_text(encoding="utf-8")
    commands = [c for c in _ASKED.findall(text) if not _OTHER_MODEL.search(c)]
    found = [q for c in commands for q in re.findall(r'"([^"]{12,})"', c)]
    if document.name in ("README.md", "usage.md", "python.md"):
        found += [q for block in _PYTHON.findall(text) for q in re.findall(r'"([^"\n]{12,}\?)"', block)]
    return found


QUESTIONS = sorted({(d.name, q) for d in DOCUMENTS for q in asked(d)})


def test_questions_were_found() -> None:
    assert {name for name, _ in QUESTIONS} >= {"README.md", "usage.md", "python.md"}


@pytest.fixture(scope="module")
def known() -> set[str]:
    return {problem.question for problem in pocket_problems("test", 200)}


@pytest.mark.parametrize(("document", "question"), QUESTIONS)
def test_it_is_a_test_problem(document: str, question: str, known: set[str]) -> None:
    assert split_of(question) == "test", f"{document} shows a problem of the split {split_of(question)}"
    assert question in known, f"{document}: {question!r} is none of the pocket world's first test problems"


def test_rows_of_the_formats_say_where_they_come_from() -> None:
    rows = _ROW.findall((ROOT / "docs" / "formats.md").read_text(encoding="utf-8"))
    assert rows
    for question, split in rows:
        assert split_of(json.loads(question)) == split
