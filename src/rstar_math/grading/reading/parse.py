"""A parser for answers: LaTeX, plain text, and what Python, sympy and numpy print. It evaluates nothing.

Grammar, loosest first: lists (`,` `;` and, or), relations, sets, and expressions (`expression`). A plus-minus sign
gives both answers. Whatever is not in the grammar raises `UnparsedError` and is compared as text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product as cartesian_product
from typing import Literal, final

from rstar_math.grading.bounds import MAX_CHARS, UnparsedError
from rstar_math.grading.reading import units
from rstar_math.grading.reading.based import based
from rstar_math.grading.reading.brackets import RELATIONS, is_condition
from rstar_math.grading.reading.expression import Expression
from rstar_math.grading.reading.nodes import (
    EXPRESSIONS,
    Group,
    Named,
    Node,
    Opaque,
    Percent,
    Quantity,
    Ratio,
    Relation,
    SetOperation,
    Symbol,
    symbols,
)
from rstar_math.grading.reading.quantities import TrailingUnit, compound, quantity, trailing_unit
from rstar_math.grading.reading.scan import (
    Tokens,
    check_brackets,
    closing,
    has,
    is_enclosed,
    split,
    stretches,
    with_constant_as_name,
    written,
)
from rstar_math.grading.reading.tokens import Token, tokens
from rstar_math.grading.reading.trailing import unit_start, without_prose
from rstar_math.grading.reading.vectors import with_vectors

_LIST_SEPARATORS = frozenset({",", ";", "and", "or", "row"})
_CONNECTIVES: tuple[tuple[str, Literal["union", "intersection"]], ...] = (
    ("disjunction", "union"), ("conjunction", "intersection"), ("|", "union"), ("&", "intersection"),
)  # fmt: skip
_SET_OPERATORS: dict[str, Literal["union", "intersection", "difference"]] = {
    "cup": "union",
    "cap": "intersection",
    "setminus": "difference",
}
_DENIALS = frozenset({"not", "except", "than", "if", "unless", "least", "most", "never", "no", "but"})
_NUMBER_OF_ARRAY = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?j?"
_SPACED_ROW = re.compile(rf"\[((?:\s*{_NUMBER_OF_ARRAY})(?:\s+{_NUMBER_OF_ARRAY})+\s*)\]")


def parse(text: str, *, group_thousands: bool = True) -> Node:
    """The answer that a normalised text denotes.

    Args:
      text: what `normalise.normalised` returned.
      group_thousands: read "1,234" as one number; otherwise as two.

    Raises:
      UnparsedError: the text is not in the grammar.
    """
    if len(text) > MAX_CHARS:
        raise UnparsedError(f"{len(text)} characters; at most {MAX_CHARS} are parsed")
    at_once = based(text) or compound(text)
    if at_once is not None:
        return at_once
    text = _with_commas(text)
    unit = trailing_unit(text)
    if unit is not None:
        return _with_trailing_unit(text, unit, group_thousands)
    return _parsed(text, group_thousands)


def parsed(text: str, *, group_thousands: bool = True) -> Node | None:
    """`parse`, with None for what is not in the grammar."""
    try:
        return parse(text, group_thousands=group_thousands)
    except UnparsedError:
        return None


def _parsed(text: str, group_thousands: bool) -> Node:
    found = tokens(text, group_thousands=group_thousands)
    check_brackets(found)
    return with_vectors(_Answers().answer(found))


def _parsed_or_none(text: str, group_thousands: bool) -> Node | None:
    try:
        return _parsed(text, group_thousands)
    except UnparsedError:
        return None


def _with_trailing_unit(text: str, unit: TrailingUnit, group_thousands: bool) -> Node:
    """A number with the unit behind it, and the reading in which that is a variable; other texts as they are."""
    product, amount = _parsed_or_none(text, group_thousands), _parsed_or_none(unit.amount, group_thousands)
    if amount is None or not isinstance(amount, (*EXPRESSIONS, Percent)) or symbols(amount):
        if product is None:
            raise UnparsedError(f"the unit {unit.unit} behind what is no number")
        return product
    if product is not None and not symbols(product):
        return product
    return Quantity(amount, unit.unit, product=product, attached=unit.attached)


def _with_commas(text: str) -> str:
    """numpy's print of arrays, numbers with only blanks between them, as lists."""
    if "[" not in text:
        return text
    text = _SPACED_ROW.sub(lambda match: "[" + ", ".join(match.group(1).split()) + "]", text)
    return re.sub(r"\]\s+\[", "], [", text) if re.search(r"\[\s*\[", text) else text


@final
class _Answers:
    """The grammar: each method reads all of its tokens, at one level or any tighter one."""

    def answer(self, found: Tokens) -> Node:
        """A whole answer: one item or a list of them."""
        if has(found, ";") and has(found, ","):
            return Group(tuple(_as_tuple(self.answer(block)) for block in stretches(found, {";"})), "")
        parts, separators = split(found, _LIST_SEPARATORS)
        items = [item for part in parts if part for item in self.items(part)]
        if not items:
            raise UnparsedError("nothing")
        if len(items) == 1:
            return items[0]
        excluded = _excluded(items)
        if excluded is not None:
            return excluded
        if not {"and", "or"}.isdisjoint(separators) and all(is_condition(item) for item in items):
            return SetOperation("union" if "or" in separators else "intersection", tuple(items))
        return Group(tuple(items), "")

    def items(self, found: Tokens) -> list[Node]:
        """The answers in one item: one for each sign where it has a plus-minus."""
        places = _signs(found)
        if not places:
            return [self.statement(found)]
        if len(places) > 4:
            raise UnparsedError("more than four plus-minus signs")
        in_tuple = found[0].kind == "open" and found[0].value in {"(", "<"}
        together = in_tuple or any(found[i].value == "mp" for i in places)
        repeat = 1 if together else len(places)
        items = []
        for signs in cartesian_product((1, -1), repeat=repeat):
            chosen = list(found)
            for place, sign in zip(places, signs * (len(places) // repeat), strict=True):
                is_plus = (sign > 0) == (found[place].value == "pm")
                chosen[place] = Token("operator", "+" if is_plus else "-", None, found[place].spaced)
            items.append(self.statement(chosen))
        return items

    def statement(self, found: Tokens) -> Node:
        """Statements joined by the signs of logic or Python's & and |, or a relation."""
        values = {token.value for token in found}
        for operator, operation in _CONNECTIVES:
            if operator not in values:
                continue
            parts, separators = split(found, {operator})
            is_python = operator in {"|", "&"}
            if separators and all(part and (not is_python or _in_round_brackets(part)) for part in parts):
                return SetOperation(operation, tuple(map(self.statement, parts)))
        return self._relation(found)

    def _relation(self, found: Tokens) -> Node:
        """A chain of relations, a ratio, or one side alone."""
        parts, operators = split(found, RELATIONS)
        if operators and parts[0]:
            parts = _with_constant_as_name(parts)
        if operators and not parts[0] and operators[0] in {"=", "~"}:
            parts, operators = parts[1:], operators[1:]
        if operators and not parts[-1] and operators[-1] == "=":
            parts, operators = parts[:-1], operators[:-1]
        if not all(parts):
            raise UnparsedError("a relation without a side")
        if not operators:
            return self._ratio(parts[0])
        first = self._named_side(parts[0], operators[0])
        return Relation((first, *map(self._ratio, parts[1:])), tuple(operators))

    def _named_side(self, found: Tokens, operator: str) -> Node:
        """The first side of a relation, which may be a name that is no expression: E[X^2] = 3, the area = 3."""
        try:
            is_name = operator == "=" and _is_statistic(found)
            return Opaque(written(found)) if is_name else self._ratio(found)
        except UnparsedError:
            if operator in {"=", "~", "in"} and not any(token.value in _DENIALS for token in found):
                return Opaque(written(found))
            raise

    def _ratio(self, found: Tokens) -> Node:
        parts, separators = split(found, {":"})
        if not separators:
            return self._side(parts[0])
        if not all(parts):
            raise UnparsedError("a colon without a side")
        if [all(token.kind in {"text", "name"} for token in part) for part in parts] == [True, False]:
            return Relation((Opaque(written(parts[0])), self._side(parts[1])), ("=",))
        return Ratio(tuple(map(self._side, parts)))

    def _side(self, found: Tokens) -> Node:
        """One side of a relation: sets, or an expression with its currency and unit."""
        found = _with_cup_letters(found)
        parts, separators = split(found, _SET_OPERATORS)
        if separators:
            if not all(parts):
                raise UnparsedError("a set operation without a side")
            node = self._side(parts[0])
            for separator, part in zip(separators, parts[1:], strict=True):
                operator = _SET_OPERATORS[separator]
                joins = isinstance(node, SetOperation) and node.operator == operator and operator != "difference"
                before = node.parts if joins and isinstance(node, SetOperation) else (node,)
                node = SetOperation(operator, (*before, self._side(part)))
            return node
        if len(found) > 2 and found[0].kind == "named" and found[1].value == "-" and found[2].kind == "open":
            return SetOperation("difference", (Named(found[0].value), self._side(found[2:])))
        return self._quantity(found)

    def _quantity(self, found: Tokens) -> Node:
        """An expression with currency before it, words before it that end in "is", and units or words behind it."""
        currency = ""
        sign: Tokens = []
        if len(found) > 1 and found[0].value in {"+", "-"} and found[1].value == "currency":
            sign, found = found[:1], found[1:]
        if found and _is_currency(found[0]):
            found, currency = found[1:], found[0].written
        elif len(found) > 1 and _is_currency(found[-1]):
            found, currency = found[:-1], found[-1].written
        found = without_prose([*sign, *found])
        end = unit_start(found)
        if end == 0:
            raise UnparsedError("words without a number")
        amount = self.expression(found[:end])
        if end == len(found):
            return Quantity(amount, currency) if currency else amount
        words = " ".join(token.value for token in found[end:])
        if amount == Symbol("a") and not units.is_known(units.canonical(words)):
            raise UnparsedError(f"an article before words: {words}")
        return quantity(amount, words, currency)

    def expression(self, found: Tokens) -> Node:
        """One expression."""
        return Expression(found, self).whole()


def _as_tuple(node: Node) -> Node:
    """One of several answers that semicolons separate, its parts by commas: x = 1, y = 2; x = 3, y = 4."""
    return Group(node.items, "(") if isinstance(node, Group) and node.bracket == "" else node


def _excluded(items: Sequence[Node]) -> Node | None:
    """`x != 0, 1` as x being neither; None for anything else."""
    match items[0]:
        case Relation(sides=(name, _), operators=("!=",)) if all(
            isinstance(item, EXPRESSIONS) and not symbols(item) for item in items[1:]
        ):
            others = [Relation((name, item), ("!=",)) for item in items[1:]]
            return SetOperation("intersection", (items[0], *others))
        case _:
            return None


def _signs(found: Tokens) -> list[int]:
    """Where the plus-minus signs stand that double this item; those inside a set or list double its members."""
    places: list[int] = []
    end_of_list = -1
    for i, token in enumerate(found):
        if token.kind == "open" and i > end_of_list and token.value in {"\\{", "{", "["}:
            end = closing(found, i)
            if token.value == "\\{" or has(found[i + 1 : end], ","):
                end_of_list = end
        elif token.kind == "operator" and token.value in {"pm", "mp"} and i > end_of_list:
            places.append(i)
    return places


def _in_round_brackets(part: Tokens) -> bool:
    return part[0].value == "(" and part[-1].value == ")"


def _with_constant_as_name(parts: list[Tokens]) -> list[Tokens]:
    """The sides of a relation; a constant alone on the first (`E = mc^2`, `I(t) = 5t`) is a name in all of them."""
    first = parts[0]
    letter = first[0]
    if letter.kind != "constant" or letter.value not in {"e", "i", "pi"}:
        return parts
    is_alone = len(first) == 1 and letter.value != "pi"
    is_function = len(first) > 3 and first[1].value == "(" and is_enclosed(first, 1)
    has_index = len(first) > 2 and first[1].value == "_"
    if not (is_alone or is_function or has_index):
        return parts
    return [with_constant_as_name(part, letter) for part in parts]


def _is_statistic(found: Tokens) -> bool:
    """Whether tokens are E[X^2], which is a name."""
    if len(found) < 4 or found[1].value != "[" or not is_enclosed(found, 1):
        return False
    return (found[0].written or found[0].value) in {"E", "P", "Var", "V", "D"}


def _with_cup_letters(found: Tokens) -> Tokens:
    """The letter U between two brackets is a union."""
    if not any(token.kind == "name" and token.value == "U" for token in found):
        return found
    replaced = list(found)
    for i in range(1, len(found) - 1):
        if found[i].value == "U" and found[i - 1].kind == "close" and found[i + 1].kind == "open":
            replaced[i] = Token("operator", "cup")
    return replaced


def _is_currency(token: Token) -> bool:
    return token.kind == "operator" and token.value == "currency"
