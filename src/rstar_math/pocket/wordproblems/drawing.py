"""Word problems drawn from templates, with solutions in the step format: a teacher of the format that is no model.

The last step of a solution computes and prints; so a problem of one calculation has one step of code and an answer.
"""

from __future__ import annotations

import ast
import operator
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from rstar_math import steps as step_format
from rstar_math.errors import DataError
from rstar_math.pocket.wordproblems.templates import Template, Templates, own_templates
from rstar_math.pocket.wordproblems.words import SMALL_NUMBERS, plural, singular, words
from rstar_math.types import Execution, Step

SHARE_WITH_ASIDE = 0.12
"""Share of the problems with a sentence that the answer does not need."""

SHARE_IN_WORDS = 0.1
"""Share of the small numbers that a text writes as words. The code has digits."""

IMPLIED_NUMBERS = frozenset({2.0, 7.0, 12.0, 60.0, 100.0})
"""What code uses that its text has in words alone: twice, half, a week, a dozen, an hour, percent."""

_MOST_TRIES = 2_000
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_OPERATIONS: Mapping[type[ast.operator] | type[ast.cmpop], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True, slots=True)
class WordProblem:
    """A problem with its solution.

    Attributes:
      answer: what its program prints.
    """

    question: str
    steps: tuple[Step, ...]
    answer: str


def word_problems(seed: int = 0, templates: Templates | None = None) -> Iterator[WordProblem]:
    """Endless word problems, no two texts alike, each template about as often as the others.

    Args:
      seed: of everything that is drawn.
      templates: where they come from; None: those of the package.

    Raises:
      DataError: a template gives no problem, or all texts were drawn.
    """
    made = templates or own_templates()
    rng = random.Random(f"word problems {seed}")
    seen: set[str] = set()
    misses = 0
    while misses < _MOST_TRIES:
        order = rng.sample(made.problems, len(made.problems))
        for template in order:
            problem = draw(template, made.asides, rng)
            if problem.question in seen:
                misses += 1
                continue
            misses = 0
            seen.add(problem.question)
            yield problem
    raise DataError(
        f"the templates gave {len(seen)} word problems, and nothing new in {_MOST_TRIES} draws; ask for fewer"
    )


def draw(template: Template, asides: Sequence[str], rng: random.Random) -> WordProblem:
    """One problem of a template.

    Raises:
      DataError: no numbers fulfil the template's conditions, or a slot has no word.
    """
    numbers = _numbers(template, rng)
    filling = _words(rng)
    wording = _chosen(rng.choice(template.wordings), rng)
    if asides and rng.random() < SHARE_WITH_ASIDE:
        aside = rng.choice([a for a in asides if _slots(a) - {"d"} <= {*_slots(wording), "u", "day", "place"}] or [""])
        before, _, question = wording.rpartition(". ")
        if aside and before and "d" not in numbers:
            numbers["d"] = float(rng.randrange(3, 60))
            wording = f"{before}. {aside} {question}"
    texts = {name: _as_written(value, rng) for name, value in numbers.items()}
    try:
        question = _capitalised(wording.format_map({**filling, **texts}))
    except (KeyError, ValueError) as error:
        raise DataError(
            f"templates, line {template.line}: {error} in {wording!r} is neither a number nor a word"
        ) from error
    known = _slots(wording) | set(numbers)
    plain = {name: _written(value) for name, value in numbers.items()}
    steps = _solution(template, {**filling, **plain}, known)
    return WordProblem(question, tuple(steps), steps[-1].answer or "")


def _solution(template: Template, filling: Mapping[str, str], known: set[str]) -> list[Step]:
    values: dict[str, float] = {}
    steps: list[Step] = []
    for i, step in enumerate(template.steps):
        comment = next((c for c in step.comments if _slots(c) <= known), step.comments[-1])
        code = step.code.format_map(filling)
        values[step.variable] = calculated(code.partition(" = ")[2], values)
        is_last = i == len(template.steps) - 1
        printed = f"{values[step.variable]}" if is_last else ""
        body = (
            f"{code}\nprint({step.variable})\n{step_format.END_OF_CODE}"
            if is_last
            else f"{code}\n{step_format.END_OF_STEP}"
        )
        text = f"\n# {comment.format_map(filling)}\n{body}"
        seen = step_format.observation(printed) if is_last else ""
        execution = Execution(status="ok", output=f"{printed}\n" if is_last else "")
        steps.append(Step(text=text, code=step_format.code_of(text), observation=seen, execution=execution))
    answer = _written(values[template.steps[-1].variable])
    ending = f"\n{step_format.ANSWER}The answer is \\boxed{{{answer}}}.{step_format.END_OF_ANSWER}"
    return [*steps, Step(text=ending, answer=answer)]


def _numbers(template: Template, rng: random.Random) -> dict[str, float]:
    for _ in range(_MOST_TRIES):
        numbers: dict[str, float] = {}
        for number in template.numbers:
            numbers[number.name] = (
                calculated(number.computed, numbers) if number.computed else _narrowed(rng.choice(number.values))
            )
        if all(calculated(condition, numbers) for condition in template.conditions):
            return numbers
    raise DataError(f"templates, line {template.line}: no numbers fulfil {', '.join(template.conditions)}")


def calculated(expression: str, values: Mapping[str, float]) -> float:
    """The value of an expression of numbers, variables, `+ - * /` and one comparison, as Python computes it.

    Raises:
      DataError: anything else stands in it.
    """
    return _value(ast.parse(expression, mode="eval").body, values, expression)


def _value(node: ast.expr, values: Mapping[str, float], whole: str) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left, values, whole), _value(right, values, whole))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left, values, whole), _value(right, values, whole))
    raise DataError(
        f"templates: {ast.unparse(node)!r} in {whole!r} is neither a number, a known name, + - * / nor < > !="
    )


def _words(rng: random.Random) -> dict[str, str]:
    """A word for every slot: three people, of whom the first is spoken of as he or she, things, places."""
    is_he = rng.random() < 0.5
    first = rng.choice(words("he" if is_he else "she"))
    others = rng.sample([name for name in (*words("he"), *words("she")) if name != first], 2)
    he, his, him, himself = ("he", "his", "him", "himself") if is_he else ("she", "her", "her", "herself")
    filling = {"A": first, "B": others[0], "C": others[1], "He": he.capitalize()}
    filling |= {"he": he, "his": his, "him": him, "himself": himself}
    things, people = rng.sample(words("things"), 2), rng.sample(words("people"), 2)
    box = rng.choice(words("containers"))
    for several, one, word in [
        *zip(("t", "u"), ("t1", "u1"), things, strict=True),
        *zip(("people", "folk"), ("people1", "folk1"), people, strict=True),
        ("boxes", "box", box),
    ]:
        filling |= {several: plural(word), one: singular(word)}
    filling |= dict(zip("xyz", rng.sample(words("colors"), 3), strict=True))
    return filling | {"place": rng.choice(words("places")), "day": rng.choice(words("days"))}


def _chosen(text: str, rng: random.Random) -> str:
    """The text with one of each `[this|or that]`."""
    return _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), text)


def _slots(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _narrowed(value: float) -> float:
    return int(value) if value == int(value) else value


def _written(value: float) -> str:
    return f"{_narrowed(value)}"


def _as_written(value: float, rng: random.Random) -> str:
    if value in range(2, len(SMALL_NUMBERS)) and rng.random() < SHARE_IN_WORDS:
        return SMALL_NUMBERS[int(value)]
    return _written(value)


def _capitalised(text: str) -> str:
    """The text with sentences that begin in upper case."""
    return re.sub(r"(^|[.?!] )([a-z])", lambda match: match[1] + match[2].upper(), text)
