"""What a learner wrote, as pieces that can be run: a number, a formula, an equation, lines of Python, a sentence. Pure.

Nothing is run here, and nothing that the learner wrote is trusted: the pieces go to the sandbox.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

MAX_CHARS = 2_000
MAX_PIECES = 16

_NUMBER = r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?"
_ONLY_NUMBER = re.compile(rf"(?P<number>{_NUMBER}(?:\s*/\s*\d+)?)\s*%?\.?", re.ASCII)
_IN_SENTENCE = re.compile(rf"(?<![\w.,]){_NUMBER}(?![\w])(?!,\d)", re.ASCII)
_ANSWERS = re.compile(r"\b(?:final )?(?:answer|result)(?: is\b|:)", re.IGNORECASE)
_SYMBOLS = str.maketrans(
    {
        "×": "*",
        "·": "*",
        "∗": "*",
        "⋅": "*",
        "÷": "/",
        "−": "-",
        "–": "-",
        "²": "**2",
        "³": "**3",
        "^": "**",
        "\u00a0": " ",
    }
)
_LATEX = (
    (re.compile(r"\\(?:boxed|fbox|text|mathrm)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}"), r"((\1)/(\2))"),
    (re.compile(r"\\(?:times|cdot)\b"), "*"),
    (re.compile(r"\\div\b"), "/"),
    (re.compile(r"\\[()\[\]]|\\[,;! ]|\$"), " "),
)
_FORMULA = re.compile(r"[\w\s.+\-*/%()=,\[\]]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing that a learner said, or one statement of a program.

    Attributes:
      source: as it was written.
      code: what is to be run for it; "" where there is nothing.
      report: an expression whose value is what the piece computes; None where it computes nothing.
      name: the variable that it sets, or None.
      expression: the right-hand side as source, where there is one.
      claims: what it says its value is, as expressions.
      is_answer: it is said to be the answer.
    """

    source: str
    code: str = ""
    report: str | None = None
    name: str | None = None
    expression: str | None = None
    claims: tuple[str, ...] = ()
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """What was understood.

    Attributes:
      pieces: in order; empty where nothing was.
      why: what was wrong with the text, for the learner; "" where it was read.
    """

    pieces: tuple[Piece, ...] = ()
    why: str = ""


def read(text: str) -> Read:
    """Reads what a learner wrote."""
    if len(text) > MAX_CHARS:
        return Read(why=f"That is too long to read: {len(text):,} characters; one step has room in {MAX_CHARS:,}.")
    plain = _plain(text)
    if not plain:
        return Read(
            why="There is nothing to look at yet. Write your next step: a number, a formula, or a line of Python."
        )
    if (only := _ONLY_NUMBER.fullmatch(plain)) is not None:
        return Read((_number(plain, only["number"]),))
    pieces = pieces_of(plain)
    if pieces is None:
        pieces = []
        for line in filter(None, (line.strip() for line in re.split(r"\n|;", plain))):
            found = _line(line)
            if found is None:
                return Read(
                    why=f"No step can be read in {_quoted(line)}: write a number, a formula, or a line of Python."
                )
            pieces += found
    if len(pieces) > MAX_PIECES:
        return Read(why=f"These are {len(pieces)} steps at once; send at most {MAX_PIECES}.")
    if not pieces:
        return Read(why="There is no step in this text: only comments.")
    return Read(tuple(pieces))


def pieces_of(code: str) -> list[Piece] | None:
    """The statements of a program, each as a piece; None where it is no Python."""
    body = parsed(code)
    if body is None:
        return None
    pieces: list[Piece] = []
    for statement in body:
        pieces += _statement(statement, ast.get_source_segment(code, statement) or ast.unparse(statement))
    return pieces


def parsed(code: str) -> list[ast.stmt] | None:
    """The statements of a program; None where it is no Python, or too deep to be looked at."""
    try:
        tree = ast.parse(code)
        ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree.body


def numbers_in(text: str) -> list[str]:
    """The numbers that stand in a text, as they stand there but without commas."""
    return [found.replace(",", "") for found in re.findall(rf"(?<![\w.,]){_NUMBER[5:]}", text, re.ASCII)]


def _plain(text: str) -> str:
    text = text.strip().removeprefix("```python").removeprefix("```").removesuffix("```")
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    text = re.sub(r"(\d)\s*\*\*\s*(?=\d)", r"\1**", text.translate(_SYMBOLS))
    return text.strip()


def _number(source: str, number: str, is_answer: bool = False) -> Piece:
    return Piece(source, report=re.sub(r"(?<![\d.])0+(?=\d)", "", number.replace(",", "")), is_answer=is_answer)


def _line(line: str) -> list[Piece] | None:
    """A line that is no Python by itself."""
    if (only := _ONLY_NUMBER.fullmatch(line)) is not None:
        return [_number(line, only["number"])]
    found = pieces_of(line)
    if found is not None:
        return found
    if _FORMULA.fullmatch(line) and (equation := _equation(line)) is not None:
        return [equation]
    return _sentence(line)


def _equation(line: str) -> Piece | None:
    """`12 * 4 = 48`, `total = 12 * 4 = 48`."""
    parts = [part.strip() for part in line.split("=")]
    name = parts[0] if len(parts) > 1 and parts[0].isidentifier() else None
    sides = parts[1:] if name is not None else parts
    if not all(_is_expression(side) for side in sides):
        return None
    main = next((side for side in sides if not _ONLY_NUMBER.fullmatch(side)), sides[0])
    claims = tuple(side for side in sides if side is not main)
    if name is None:
        return Piece(line, report=main, expression=main, claims=claims)
    return Piece(line, f"{name} = {main}", name, name, main, claims)


def _is_expression(text: str) -> bool:
    body = parsed(text)
    return body is not None and len(body) == 1 and isinstance(body[0], ast.Expr)


def _sentence(line: str) -> list[Piece] | None:
    """The number that a sentence states: of an equation in it, or its last one."""
    is_answer = _ANSWERS.search(line) is not None
    for formula in re.findall(r"[\d(][\d\s.+\-*/%()]*=\s*[\d.]+", line):
        if (equation := _equation(formula.rstrip(". "))) is not None:
            return [Piece(line, report=equation.report, expression=equation.expression, claims=equation.claims)]
    numbers = [n.rstrip(".,") for n in _IN_SENTENCE.findall(line)]
    return [_number(line, numbers[-1], is_answer)] if numbers else None


def _statement(statement: ast.stmt, source: str) -> list[Piece]:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[ast.expr() as value], keywords=[])) if (
            not isinstance(value, ast.JoinedStr | ast.Starred)
        ):
            inner = ast.unparse(value)
            return [Piece(source, report=inner, expression=inner)]
        case ast.Expr(value=ast.Constant(value=str())):
            return []
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
            return [Piece(source, source)]
        case ast.Expr(value=ast.Compare(left=left, ops=ops, comparators=sides)) if all(
            isinstance(o, ast.Eq) for o in ops
        ):
            main = ast.unparse(left)
            return [Piece(source, report=main, expression=main, claims=tuple(map(ast.unparse, sides)))]
        case ast.Expr(value=value):
            inner = ast.unparse(value)
            return [Piece(source, report=inner, expression=inner)]
        case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)) if len(names) == len(
            values
        ) and all(isinstance(n, ast.Name) for n in names):
            return [
                _assignment(source, n.id, ast.unparse(v))
                for n, v in zip(names, values, strict=True)
                if isinstance(n, ast.Name)
            ]
        case (
            ast.Assign(targets=[*_, ast.Name(id=name)], value=value)
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
        ):
            return [Piece(source, source, name, name, ast.unparse(value))]
        case ast.AugAssign(target=ast.Name(id=name)):
            return [Piece(source, source, name, name)]
        case ast.For() | ast.While() | ast.If() | ast.With() | ast.Try() | ast.Assign():
            last = _last_set(statement)
            return [Piece(source, source, last, last)]
    return [Piece(source, source)]


def _assignment(source: str, name: str, value: str) -> Piece:
    return Piece(source, f"{name} = {value}", name, name, value)


def _last_set(statement: ast.stmt) -> str | None:
    """The variable that a compound statement sets last, those of loops left out."""
    loops = {
        id(n) for s in ast.walk(statement) if isinstance(s, ast.For | ast.comprehension) for n in ast.walk(s.target)
    }
    names = [
        n
        for n in ast.walk(statement)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and id(n) not in loops
    ]
    return max(names, key=lambda n: (n.lineno, n.col_offset)).id if names else None


def _quoted(text: str) -> str:
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"
