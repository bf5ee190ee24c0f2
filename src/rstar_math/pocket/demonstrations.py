"""Demonstrations: solutions of pocket exercises in the step format, right or with the base corpus's mistakes."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from rstar_math import steps
from rstar_math.pocket import arithmetic
from rstar_math.pocket.families import Exercise, Line, Move
from rstar_math.pocket.misconceptions import MISCOPIED_SHARE, OTHER_SHARE, SYSTEMATIC_SHARE, probability_right
from rstar_math.types import Execution, Step

UNDEFINED_NAME = "n"
"""A variable that no family assigns."""

_NUMBER = re.compile(r"(?<![\w.])\d+")
_OPERAND = re.compile(r"(?<![\w.])(?:\d+|[a-z]+)(?![\w(])")


def demonstration(exercise: Exercise, rng: random.Random, *, clean: bool = False) -> list[Step]:
    """A solution of `exercise`, to stand behind `steps.prompt(exercise.question)`.

    A step that fails to run ends it, as it would end a branch of a search: no output and no answer follow. Join the
    steps with `steps.render`, or split them into pieces that are trained and not with `steps.loss_segments`.

    Args:
      exercise: what is solved.
      rng: decides about mistakes.
      clean: make none.
    """
    lines = [move.right if clean else _attempt(move, exercise, rng) for move in exercise.moves]
    return solution(lines, exercise.result)


def solution(lines: Sequence[Line], result: str) -> list[Step]:
    """The steps that carry out `lines` and answer with the value of `result`, each executed."""
    namespace = arithmetic.Namespace()
    done: list[Step] = []
    for i, line in enumerate(lines):
        gap = "\n\n" if i else "\n"
        text = f"{gap}# {line.comment}\n{line.code}\n{steps.END_OF_STEP}"
        execution = _executed(line.code, namespace)
        done.append(Step(text=text, code=steps.code_of(text), execution=execution))
        if not execution.ok:
            return done
    text = f"\n\n# Now print the final answer\nprint({result})\n{steps.END_OF_CODE}"
    execution = _executed(f"print({result})", namespace)
    output = execution.output.rstrip()
    done.append(Step(text=text, code=steps.code_of(text), observation=steps.observation(output), execution=execution))
    done.append(Step(text=f"\n{steps.ANSWER}The answer is \\boxed{{{output}}}.{steps.END_OF_ANSWER}", answer=output))
    return done


def misleads(exercise: Exercise) -> bool:
    """Whether every single mistake leads away from the reference, so that a verified answer speaks for its steps."""
    before = arithmetic.Namespace()
    for i, move in enumerate(exercise.moves):
        rest = [later.right.code for later in exercise.moves[i + 1 :]]
        if any(_result([line.code, *rest], before, exercise.result) == exercise.reference for line in move.wrong):
            return False
        arithmetic.run(move.right.code, before)
    return True


def _result(codes: Sequence[str], before: arithmetic.Namespace, result: str) -> int | None:
    """The value of `result` after `codes`; None where they fail."""
    namespace = before.copy()
    try:
        for code in codes:
            arithmetic.run(code, namespace)
    except arithmetic.FAILURES:
        return None
    return namespace.variables[result]


def _executed(code: str, namespace: arithmetic.Namespace) -> Execution:
    try:
        return Execution(status="ok", output=arithmetic.run(code, namespace))
    except arithmetic.FAILURES as failure:
        return Execution(status="error", output="", error=f"{type(failure).__name__}: {failure}")


def _attempt(move: Move, exercise: Exercise, rng: random.Random) -> Line:
    """The step as an author of the base corpus does it."""
    if rng.random() < probability_right(move.skill, move.phrasing, exercise.tier):
        return move.right
    kind = rng.random()
    if kind < SYSTEMATIC_SHARE:
        return move.wrong[0]
    if kind < SYSTEMATIC_SHARE + OTHER_SHARE:
        return rng.choice(move.wrong[1:])
    return _slip(move.right, exercise.question, rng)


def _slip(line: Line, question: str, rng: random.Random) -> Line:
    """`line` with a number of the problem in the place of another, or with a name that nobody defined."""
    target, assigned = line.code.rsplit(" = ", 1)
    numbers = sorted(set(_NUMBER.findall(question)))
    places = [place for place in _NUMBER.finditer(assigned) if any(n != place.group() for n in numbers)]
    if places and rng.random() < MISCOPIED_SHARE:
        place = rng.choice(places)
        new = rng.choice([number for number in numbers if number != place.group()])
    else:
        place = rng.choice(list(_OPERAND.finditer(assigned)))
        new = UNDEFINED_NAME
    return Line(line.comment, f"{target} = {assigned[: place.start()]}{new}{assigned[place.end() :]}")
