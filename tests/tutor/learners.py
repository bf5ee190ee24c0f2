"""Simulated learners of the pocket world: right steps in other words, and wrong ones."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rstar_math.pocket import arithmetic
from rstar_math.pocket.families import Exercise

_SWAPPED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}


@dataclass(frozen=True, slots=True)
class Try:
    """What a learner writes.

    Attributes:
      how: in what words, or with what mistake.
      before: what the same learner wrote before, all of it right.
      text: what is judged.
      wrong: the line that is wrong; None where all is right.
    """

    how: str
    before: tuple[str, ...]
    text: str
    wrong: str | None = None


def right_tries(exercise: Exercise) -> Iterator[Try]:
    """The steps of an exercise in other words."""
    codes = [move.right.code for move in exercise.moves]
    values = _values(codes)
    renamed = [_renamed(code, {name: f"my_{name}" for name in _names(codes)}) for code in codes]
    for i, code in enumerate(codes):
        name, expression = _assigned(code)
        before = tuple(codes[:i])
        yield Try("as it is", before, code)
        yield Try("other names", tuple(renamed[:i]), renamed[i])
        yield Try("a formula", before, expression)
        yield Try("a number", before, str(values[i]))
        yield Try("after numbers alone", tuple(map(str, values[:i])), str(values[i]))
        yield Try("a sentence", before, f"So the next thing that I need comes out as {values[i]}.")
        yield Try("an equation", before, f"{_inlined(expression, codes[:i], values)} = {values[i]}")
        turned = _turned(expression)
        if turned != expression:
            yield Try("operands turned round", before, f"{name} = {turned}")
        if i and "import" not in "".join(codes[: i + 1]):
            yield Try("several steps in one", (), f"{name} = {_merged(codes[: i + 1])}")
        if i + 1 < len(codes) and not {_assigned(c)[0] for c in codes[i : i + 1]} & _used(codes[i + 1]):
            yield Try("in another order", before, codes[i + 1])
    yield Try("all at once", (), "\n".join(renamed))
    yield Try("the answer straight away", (), str(values[-1]))


def wrong_tries(exercise: Exercise, rng: random.Random) -> Iterator[Try]:
    """The misconceptions of an exercise, and slips."""
    codes = [move.right.code for move in exercise.moves]
    values = _values(codes)
    for i, move in enumerate(exercise.moves):
        before = tuple(codes[:i])
        for number, line in enumerate(move.wrong):
            how = "the systematic mistake" if number == 0 else "another mistake"
            yield Try(how, before, line.code, line.code)
            yield Try(f"{how}, in a whole solution", (), "\n".join([*before, line.code, *codes[i + 1 :]]), line.code)
        for how, code in _slips(move.right.code, exercise.question, rng):
            got = _value([*before, code])
            if got is not None and got not in values:
                yield Try(how, before, code, code)
                yield Try(f"{how}, as a number", before, str(got), str(got))


def _slips(code: str, question: str, rng: random.Random) -> Iterator[tuple[str, str]]:
    name, expression = _assigned(code)
    imports = "".join(f"{line}\n" for line in code.split("\n")[:-1])
    places = list(re.finditer(r"(?<![\w.])\d+", expression))
    numbers = sorted(set(re.findall(r"(?<![\w.])\d+", question)))
    if places and len(numbers) > 1:
        place = rng.choice(places)
        other = rng.choice([n for n in numbers if n != place.group()] or ["17"])
        yield "another number", f"{imports}{name} = {expression[: place.start()]}{other}{expression[place.end() :]}"
        yield (
            "a number miscopied",
            f"{imports}{name} = {expression[: place.start()]}{int(place.group()) + 10}{expression[place.end() :]}",
        )
    tree = ast.parse(expression, mode="eval").body
    if isinstance(tree, ast.BinOp):
        swapped = ast.BinOp(tree.left, _SWAPPED[type(tree.op)](), tree.right)
        yield "another operator", f"{imports}{name} = {ast.unparse(swapped)}"
        if isinstance(tree.op, ast.Sub | ast.FloorDiv | ast.Mod):
            yield "quantities swapped", f"{imports}{name} = {ast.unparse(ast.BinOp(tree.right, tree.op, tree.left))}"


def _values(codes: list[str]) -> list[int]:
    namespace, values = arithmetic.Namespace(), []
    for code in codes:
        arithmetic.run(code, namespace)
        values.append(namespace.variables[_assigned(code)[0]])
    return values


def _value(codes: list[str]) -> int | None:
    try:
        return _values(codes)[-1]
    except (*arithmetic.FAILURES, TypeError, OverflowError):
        return None


def _assigned(code: str) -> tuple[str, str]:
    name, expression = code.split("\n")[-1].split(" = ", 1)
    return name, expression


def _names(codes: list[str]) -> list[str]:
    return [_assigned(code)[0] for code in codes]


def _used(code: str) -> set[str]:
    return {n.id for n in ast.walk(ast.parse(_assigned(code)[1])) if isinstance(n, ast.Name)}


def _renamed(code: str, names: Mapping[str, str]) -> str:
    return re.sub(r"(?<![\w.])[a-z]+(?![\w(])", lambda m: names.get(m[0], m[0]), code)


def _merged(codes: list[str]) -> str:
    """One expression for the last of some steps."""
    known: dict[str, str] = {}
    for code in codes:
        name, expression = _assigned(code)
        known[name] = re.sub(
            r"(?<![\w.])[a-z]+(?![\w(])", lambda m: f"({known[m[0]]})" if m[0] in known else m[0], expression
        )
    return known[_assigned(codes[-1])[0]]


def _inlined(expression: str, codes: list[str], values: list[int]) -> str:
    """The expression with numbers for names."""
    known = {name: str(value) for name, value in zip(_names(codes), values, strict=False)}
    return re.sub(r"(?<![\w.])[a-z]+(?![\w(])", lambda m: known.get(m[0], m[0]), expression)


def _turned(expression: str) -> str:
    tree = ast.parse(expression, mode="eval").body
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.Add | ast.Mult):
        return ast.unparse(ast.BinOp(tree.right, tree.op, tree.left))
    return expression
