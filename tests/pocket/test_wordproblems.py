"""Word problems of templates: solutions that hold, bound to their texts, and templates of one's own."""

from __future__ import annotations

import contextlib
import io
import json
import re
from itertools import islice
from pathlib import Path

import pytest

from rstar_math import steps
from rstar_math.errors import DataError
from rstar_math.pocket.wordproblems import word_problems
from rstar_math.pocket.wordproblems.drawing import IMPLIED_NUMBERS, calculated
from rstar_math.pocket.wordproblems.templates import own_templates, read_templates
from rstar_math.pocket.wordproblems.words import SMALL_NUMBERS
from tests.walking import command

PROBLEMS = list(islice(word_problems(3), 1_500))
OWN = """
// pears
= a 2..9, b 2..9, c = a * b, ? a != b
{A} has {a} rows of {b} trees. How many trees is [that|it]?
# trees in {a} rows
trees = {a} * {b}
"""


def test_programs_print_what_stands_behind_them() -> None:
    for problem in PROBLEMS:
        *code, answer = problem.steps
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec("\n".join(step.code for step in code), {})
        assert code[-1].observation == steps.observation(printed.getvalue())
        assert answer.answer == problem.answer
        assert float(problem.answer) == float(printed.getvalue()) > 0
        assert steps.parse(steps.render(problem.steps))[-1].answer == problem.answer


def test_numbers_of_the_code_stand_in_the_text() -> None:
    for problem in PROBLEMS:
        text = {float(n) for n in re.findall(r"\d+(?:\.\d+)?", problem.question)}
        text |= {
            float(SMALL_NUMBERS.index(w)) for w in re.findall(r"[a-z]+", problem.question.lower()) if w in SMALL_NUMBERS
        }
        code = "\n".join(step.code for step in problem.steps)
        numbers = {float(n) for n in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", code)}
        assert numbers - text <= IMPLIED_NUMBERS, problem.question


def test_every_wording_is_drawn_and_texts_vary() -> None:
    assert len({problem.question for problem in PROBLEMS}) == len(PROBLEMS)
    made = own_templates()
    assert len(made.problems) >= 60
    assert sum(len(template.wordings) for template in made.problems) >= 180
    assert {len(problem.steps) for problem in PROBLEMS} == {2, 3, 4}
    assert not any("{" in problem.question or "[" in problem.question for problem in PROBLEMS)


def test_the_same_seed_draws_the_same() -> None:
    first, other = (list(islice(word_problems(seed), 20)) for seed in (3, 4))
    assert first == PROBLEMS[:20]
    assert first != other


def test_templates_of_ones_own(tmp_path: Path) -> None:
    path, out = tmp_path / "own.txt", tmp_path / "out.jsonl"
    path.write_text(OWN)
    done = command("pocket", "demonstrations", "--templates", path, "--num", "4", "--out", out)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 4
    assert all(" rows of " in row["query"] and row["response"].startswith("<code>\n# trees in ") for row in rows)
    done = command("pocket", "demonstrations", "--templates", path, "--world", "pocket", "--out", out)
    assert done.returncode == 2
    assert "leave out one of them" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("+ It rains.\n// = a 2..3\n", "there is no problem; one begins with `= `"),
        ("{A} has 3 pears.", "line 1: a problem begins with `= `"),
        ("= a 3..b\nText {a}?\n# it\nx = {a}", "line 1: 'a 3..b' is neither"),
        ("= a 9..3\nText {a}?\n# it\nx = {a}", "line 1: 'a 9..3' holds no number"),
        ("= a 2..3\nText {a}?\n# it\nprint({a})", "line 4: below `#` stands"),
        ("= a 2..3\nText {a}?\n# it\nx = {a}\nAnother {a}?", "line 5: wordings stand above"),
        ("= a 2..3\nText {a}?\n# it", "line 1: a problem has numbers, wordings and steps"),
    ],
)
def test_a_bad_template_is_named_by_its_line(text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        read_templates(text.splitlines())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("= a 20..21\nText {a}?\n# it\nx = {a}", "gave 2 word problems, and nothing new"),
        ("= a 2..3\nText {q}?\n# it\nx = {a}", "'q' in 'Text {q}?' is neither a number nor a word"),
        ("= a 2..3\nText {a}?\n# it\nx = open({a})", "'open("),
        ("= a 2..3, ? a > 9\nText {a}?\n# it\nx = {a}", "no numbers fulfil a > 9"),
    ],
)
def test_a_template_without_problems_says_so(text: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        list(islice(word_problems(0, read_templates(text.splitlines())), 99))


def test_expressions_are_read_and_not_run() -> None:
    assert calculated("a * 3 - 4 / b", {"a": 2, "b": 8}) == 5.5
    with pytest.raises(DataError, match="neither a number"):
        calculated("__import__('os')", {})
