"""A parser for answers: LaTeX, plain text, and what Python, sympy and numpy print. It evaluates nothing.

Grammar, loosest first: lists (`,` `;` and, or), relations, sets, sums, products, powers, calls and brackets. A
plus-minus sign gives both answers. Whatever is not in the grammar raises `UnparsedError` and is compared as text.
"""

# ruff: noqa: SIM905  (word lists read better as text)
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product as cartesian_product
from typing import Literal

from rstar_math.grading.bounds import MAX_CHARS, MAX_DEPTH, UnparsedError
from rstar_math.grading.reading import units
from rstar_math.grading.reading.nodes import (
    BOUND,
    EXPRESSIONS,
    MINUS_ONE,
    Based,
    Call,
    Constant,
    Group,
    Mapping,
    Matrix,
    Named,
    Node,
    Number,
    Opaque,
    Percent,
    Piecewise,
    Power,
    Product,
    Quantity,
    Range,
    Ratio,
    Relation,
    SetOperation,
    Sum,
    Symbol,
    negated,
    quotient,
    renamed,
    symbols,
    walk,
)
from rstar_math.grading.reading.quantities import TrailingUnit, compound, quantity, trailing_unit
from rstar_math.grading.reading.tokens import Token, tokens
from rstar_math.grading.reading.vectors import determinant, with_vectors

Tokens = Sequence[Token]

_OPENING, _CLOSING = frozenset({"open", "begin"}), frozenset({"close", "end"})
_RELATIONS = frozenset({"=", "!=", "<", "<=", ">", ">=", "~", "in"})
_SET_OPERATORS: dict[str, Literal["union", "intersection", "difference"]] = {
    "cup": "union",
    "cap": "intersection",
    "setminus": "difference",
}
_MATRICES = frozenset(
    {"matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array", "psmallmatrix", "vector", "vmatrix"}
)
_UNARY_FUNCTIONS = frozenset(
    ("sin cos tan cot sec csc sinh cosh tanh coth sech csch arcsin arccos arctan arccot arcsec arccsc").split()
)
_INVERTIBLE = frozenset(Symbol(name) for name in "fghFGH")
_INVERSES = {name: f"arc{name}" for name in ("sin", "cos", "tan", "cot", "sec", "csc")} | {
    name: f"ar{name}" for name in ("sinh", "cosh", "tanh")
}
_BASE_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}
_BASED = re.compile(r"\(?([0-9A-F]+(?:\.[0-9A-F]+)?)\)?\s*_\s*\{?\s*(-?\d{1,2}|[a-z]+)\s*\}?")
_BASE_NAMED = re.compile(r"\(?([0-9A-F]+)\)?\s*,?\s*\(?\s*(?:in )?base[ -]?\s*(\d{1,2}|[a-z]+)\)?", re.IGNORECASE)
_SPACED_ROW = re.compile(
    r"\[((?:\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?j?)(?:\s+[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?j?)+\s*)\]"
)


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
    based = _based(text)
    if based is not None:
        return based
    several_units = compound(text)
    if several_units is not None:
        return several_units
    text = _with_commas(text)
    unit = trailing_unit(text)
    if unit is not None:
        return _with_trailing_unit(text, unit, group_thousands)
    return _parsed(text, group_thousands)


def _parsed(text: str, group_thousands: bool) -> Node:
    found = tokens(text, group_thousands=group_thousands)
    _check_brackets(found)
    return with_vectors(_answer(found))


def _with_trailing_unit(text: str, unit: TrailingUnit, group_thousands: bool) -> Node:
    """A number with the unit behind it, and the reading in which that is a variable; other texts as they are."""
    try:
        product = _parsed(text, group_thousands)
    except UnparsedError:
        product = None
    try:
        amount = _parsed(unit.amount, group_thousands)
    except UnparsedError:
        amount = None
    if amount is None or not isinstance(amount, (*EXPRESSIONS, Percent)) or symbols(amount):
        if product is None:
            raise UnparsedError(f"the unit {unit.unit} behind what is no number")
        return product
    if product is not None and not symbols(product):
        return product
    return Quantity(amount, unit.unit, product=product, attached=unit.attached)


def _based(text: str) -> Based | None:
    """Digits with a base, as a subscript or in words."""
    bare = text.replace("⟦", " ").replace("⟧", " ").strip()
    match = _BASED.fullmatch(bare) or _BASE_NAMED.fullmatch(" ".join(bare.split()))
    if not match:
        return None
    base = int(match.group(2)) if match.group(2).lstrip("-").isdigit() else _BASE_WORDS.get(match.group(2).lower(), 0)
    digits = match.group(1).upper()
    if not 2 <= abs(base) <= 36 or any(int(digit, 36) >= abs(base) for digit in digits if digit != "."):
        return None
    return Based(digits.lstrip("0") or "0", base)


def _with_commas(text: str) -> str:
    """numpy's print of arrays, numbers with only blanks between them, as lists."""
    if "[" not in text:
        return text
    text = _SPACED_ROW.sub(lambda match: "[" + ", ".join(match.group(1).split()) + "]", text)
    return re.sub(r"\]\s+\[", "], [", text) if re.search(r"\[\s*\[", text) else text


def _check_brackets(found: Tokens) -> None:
    depth = 0
    for token in found:
        if token.kind in {"open", "begin"}:
            depth += 1
        elif token.kind in {"close", "end"}:
            depth -= 1
        if depth < 0:
            raise UnparsedError("a bracket that was never opened")
        if depth > MAX_DEPTH:
            raise UnparsedError(f"brackets nested deeper than {MAX_DEPTH}")
    if depth:
        raise UnparsedError("a bracket that is never closed")


def _split(found: Tokens, is_separator: Callable[[Token], bool]) -> tuple[list[Tokens], list[Token]]:
    """The stretches between separators outside brackets, and the separators."""
    parts: list[Tokens] = []
    separators: list[Token] = []
    depth = start = 0
    for i, token in enumerate(found):
        kind = token.kind
        if kind == "operator":
            if depth == 0 and is_separator(token):
                parts.append(found[start:i])
                separators.append(token)
                start = i + 1
        elif kind in _OPENING:
            depth += 1
        elif kind in _CLOSING:
            depth -= 1
    parts.append(found[start:])
    return parts, separators


def _is_list_separator(token: Token) -> bool:
    return token.value in {",", ";", "and", "or", "row"}


def _answer(found: Tokens) -> Node:
    """A whole answer: one item or a list of them."""
    blocks, semicolons = _split(found, lambda token: token.value == ";")
    if semicolons and _has(found, ","):
        return Group(tuple(_block(block) for block in blocks if block), "")
    parts, separators = _split(found, _is_list_separator)
    kept = [part for part in parts if part]
    if not kept:
        raise UnparsedError("nothing")
    items = [item for part in kept for item in _items(part)]
    connectives = {separator.value for separator in separators}
    if len(items) == 1:
        return items[0]
    excluded = _excluded(items)
    if excluded is not None:
        return excluded
    if connectives & {"and", "or"} and all(_is_condition(item) for item in items):
        return SetOperation("union" if "or" in connectives else "intersection", tuple(items))
    return Group(tuple(items), "")


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


def _block(found: Tokens) -> Node:
    """One of several answers that semicolons separate, its parts by commas: x = 1, y = 2; x = 3, y = 4."""
    node = _answer(found)
    return Group(node.items, "(") if isinstance(node, Group) and node.bracket == "" else node


def _is_condition(item: Node) -> bool:
    return (isinstance(item, Relation) and not set(item.operators) <= {"=", "~"}) or isinstance(item, SetOperation)


def _items(found: Tokens) -> list[Node]:
    """The answers in one item: one for each sign where it has a plus-minus."""
    places = _signs(found)
    if not places:
        return [_logic(found)]
    if len(places) > 4:
        raise UnparsedError("more than four plus-minus signs")
    in_tuple = found[0].kind == "open" and found[0].value in {"(", "<"}
    together = in_tuple or any(found[i].value == "mp" for i in places)
    if together:
        choices: list[tuple[int, ...]] = [(1,) * len(places), (-1,) * len(places)]
    else:
        choices = list(cartesian_product((1, -1), repeat=len(places)))
    items = []
    for signs in choices:
        chosen = list(found)
        for place, sign in zip(places, signs, strict=True):
            token = found[place]
            plus = (sign > 0) == (token.value == "pm")
            chosen[place] = Token("operator", "+" if plus else "-", None, token.spaced)
        items.append(_logic(chosen))
    return items


def _signs(found: Tokens) -> list[int]:
    """Where the plus-minus signs stand that double this item; those inside a set or list double its members."""
    places: list[int] = []
    end_of_list = -1
    for i, token in enumerate(found):
        if token.kind == "open" and i > end_of_list and token.value in {"\\{", "{", "["}:
            closing = _closing(found, i)
            if token.value == "\\{" or _has(found[i + 1 : closing], ","):
                end_of_list = closing
        elif token.kind == "operator" and token.value in {"pm", "mp"} and i > end_of_list:
            places.append(i)
    return places


def _closing(found: Tokens, start: int) -> int:
    """Index of the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(found)):
        if found[i].kind in {"open", "begin"}:
            depth += 1
        elif found[i].kind in {"close", "end"}:
            depth -= 1
            if depth == 0:
                return i
    raise UnparsedError("a bracket that is never closed")


_CONNECTIVES: tuple[tuple[str, Literal["union", "intersection"]], ...] = (
    ("disjunction", "union"), ("conjunction", "intersection"), ("|", "union"), ("&", "intersection"),
)  # fmt: skip


def _logic(found: Tokens) -> Node:
    """Statements joined by the signs of logic or Python's & and |, or a relation."""
    values = {token.value for token in found}
    for operator, operation in _CONNECTIVES:
        if operator not in values:
            continue
        parts, separators = _split(found, lambda token, operator=operator: token.value == operator)  # type: ignore[misc]
        is_python = operator in {"|", "&"}
        if separators and all(part and (not is_python or _in_round_brackets(part)) for part in parts):
            return SetOperation(operation, tuple(_logic(part) for part in parts))
    return _relation(found)


def _in_round_brackets(part: Tokens) -> bool:
    return part[0].value == "(" and part[-1].value == ")"


def _relation(found: Tokens) -> Node:
    """A chain of relations, a ratio, or one side alone."""
    parts, separators = _split(found, lambda token: token.value in _RELATIONS)
    operators = [separator.value for separator in separators]
    if operators and parts[0]:
        parts = _with_constant_as_name(parts)
    if operators and not parts[0] and operators[0] in {"=", "~"}:
        parts, operators = parts[1:], operators[1:]
    if operators and not parts[-1] and operators[-1] == "=":
        parts, operators = parts[:-1], operators[:-1]
    if not all(parts):
        raise UnparsedError("a relation without a side")
    if not operators:
        return _ratio(parts[0])
    sides: list[Node] = []
    for i, part in enumerate(parts):
        try:
            side = _expectation(part) if i == 0 and operators[0] == "=" else None
            side = side or _list_or_side(part)
        except UnparsedError:
            if i == 0 and operators[0] in {"=", "~", "in"} and not any(token.value in _DENIALS for token in part):
                side = Opaque("".join(token.value for token in part))
            else:
                raise
        sides.append(side)
    return Relation(tuple(sides), tuple(operators))


def _with_constant_as_name(parts: list[Tokens]) -> list[Tokens]:
    """The sides of a relation; a constant alone on the first (`E = mc^2`, `I(t) = 5t`) is a name in all of them."""
    first = parts[0]
    letter = first[0]
    if letter.kind != "constant" or letter.value not in {"e", "i", "pi"}:
        return parts
    is_alone = len(first) == 1
    is_function = len(first) > 3 and first[1].value == "(" and _closing(first, 1) == len(first) - 1
    has_index = len(first) > 2 and first[1].value == "_"
    if not (is_alone or is_function or has_index):
        return parts
    if letter.value == "pi" and is_alone:
        return parts
    return [_renamed(part, letter) for part in parts]


def _expectation(found: Tokens) -> Node | None:
    """E[X^2] as a name; None for anything else."""
    if len(found) < 4 or found[1].value != "[" or _closing(found, 1) != len(found) - 1:
        return None
    is_statistic = (found[0].written or found[0].value) in {"E", "P", "Var", "V", "D"}
    return Opaque("".join(token.value for token in found)) if is_statistic else None


_DENIALS = frozenset({"not", "except", "than", "if", "unless", "least", "most", "never", "no", "but"})


def _renamed(found: Tokens, letter: Token) -> Tokens:
    """Tokens with one constant as a variable of the same letter."""
    return [
        Token("name", letter.written or letter.value, None, token.spaced)
        if token.kind == "constant" and token.value == letter.value and token.written == letter.written
        else token
        for token in found
    ]


def _list_or_side(found: Tokens) -> Node:
    return _ratio(found)


def _ratio(found: Tokens) -> Node:
    parts, separators = _split(found, lambda token: token.value == ":")
    if not separators:
        return _side(parts[0])
    if not all(parts):
        raise UnparsedError("a colon without a side")
    named = [all(token.kind in {"text", "name"} for token in part) for part in parts]
    if named == [True, False]:
        return Relation((Opaque("".join(token.value for token in parts[0])), _side(parts[1])), ("=",))
    return Ratio(tuple(_side(part) for part in parts))


def _side(found: Tokens) -> Node:
    """One side of a relation: sets, or an expression with its currency and unit."""
    found = _with_cup_letters(found)
    parts, separators = _split(found, lambda token: token.value in _SET_OPERATORS)
    if separators:
        if not all(parts):
            raise UnparsedError("a set operation without a side")
        node = _side(parts[0])
        for separator, part in zip(separators, parts[1:], strict=True):
            operator = _SET_OPERATORS[separator.value]
            if isinstance(node, SetOperation) and node.operator == operator and operator != "difference":
                node = SetOperation(operator, (*node.parts, _side(part)))
            else:
                node = SetOperation(operator, (node, _side(part)))
        return node
    if len(found) > 2 and found[0].kind == "named" and found[1].value == "-" and found[2].kind == "open":
        return SetOperation("difference", (Named(found[0].value), _side(found[2:])))
    return _quantity(found)


def _with_cup_letters(found: Tokens) -> Tokens:
    """The letter U between two brackets is a union."""
    if not any(token.kind == "name" and token.value == "U" for token in found):
        return found
    replaced = list(found)
    for i in range(1, len(found) - 1):
        if found[i].value == "U" and found[i - 1].kind == "close" and found[i + 1].kind == "open":
            replaced[i] = Token("operator", "cup")
    return replaced


def _quantity(found: Tokens) -> Node:
    """An expression with currency before it, words before it that end in "is", and units or words behind it."""
    unit_words = ""
    sign: Tokens = []
    if found and found[0].value in {"+", "-"} and len(found) > 1 and found[1].value == "currency":
        sign, found = found[:1], found[1:]
    if found and found[0].kind == "operator" and found[0].value == "currency":
        found, unit_words = found[1:], found[0].written
    elif len(found) > 1 and found[-1].kind == "operator" and found[-1].value == "currency":
        found, unit_words = found[:-1], found[-1].written
    found = [*sign, *found]
    found = _without_prose(found)
    end = _unit_start(found)
    if end == 0:
        raise UnparsedError("words without a number")
    if end == len(found):
        amount = _Expression(found).whole()
        return Quantity(amount, unit_words) if unit_words else amount
    amount = _Expression(found[:end]).whole()
    words = _words(found[end:])
    if amount == Symbol("a") and not units.is_known(units.canonical(words)):
        raise UnparsedError(f"an article before words: {words}")
    return quantity(amount, words, unit_words)


def _without_prose(found: Tokens) -> Tokens:
    """`found` without leading words that end in a verb: "the mode is 3"."""
    end = 0
    while end < len(found) and found[end].kind == "text":
        end += 1
    if 0 < end < len(found) and found[end - 1].value.lower() in {"is", "are", "equals", "about", "approximately", "be"}:
        return found[end:]
    return found


def _unit_start(found: Tokens) -> int:
    """Index at which trailing words begin (the length where there are none)."""
    end = len(found)
    i = len(found) - 1
    while i >= 0:
        token = found[i]
        if token.kind == "text":
            end = i
        elif token.kind in {"number", "close", "open", "name"} or token.value in {"^", "/", "-", "*", "'", "_"}:
            pass  # part of a unit only if a word stands before it
        else:
            break
        i -= 1
    # back from the leftmost word of the trailing run: what follows it must be words, powers and fraction bars only
    run = len(found)
    i = len(found) - 1
    while i >= end:
        token = found[i]
        if token.kind == "text":
            run = i
            i -= 1
            continue
        j = _unit_power(found, i)
        if j is not None:
            i = j
            continue
        if token.value in {"/", "-", "*", "%"} and i > end:
            i -= 1
            continue
        if token.kind in {"open", "close"} and token.value in {"(", ")", "{", "}"}:
            i -= 1
            continue
        break
    if 1 < run < len(found) and found[run - 1].value == "/" and found[run - 2].kind in {"number", "close"}:
        run -= 1  # 3/hour
    if run < len(found):
        # a bracket opened just before the first word belongs to it: 5 (cm)
        while run > 0 and found[run - 1].kind == "open" and _closes_at_end(found, run - 1):
            run -= 1
        if any(token.kind in {"open", "close"} for token in found[run:]) and not _is_balanced(found[run:]):
            return len(found)
    return run


def _unit_power(found: Tokens, i: int) -> int | None:
    """Index before an exponent that ends at i and stands behind a word; None where there is no such exponent."""
    j = i
    if found[j].value == "}" and found[j].kind == "close":
        j -= 1
        if j >= 0 and found[j].kind == "number":
            j -= 1
            if j >= 0 and found[j].value == "-":
                j -= 1
            if j > 0 and found[j].value == "{" and found[j - 1].value == "^":
                return j - 2
        return None
    if found[j].kind == "number" and j > 1 and found[j - 1].value == "^":
        return j - 2
    return None


def _closes_at_end(found: Tokens, start: int) -> bool:
    depth = 0
    for i in range(start, len(found)):
        depth += (found[i].kind == "open") - (found[i].kind == "close")
        if depth == 0:
            return i == len(found) - 1
    return False


def _is_balanced(found: Tokens) -> bool:
    depth = 0
    for token in found:
        depth += (token.kind == "open") - (token.kind == "close")
        if depth < 0:
            return False
    return depth == 0


def _words(found: Tokens) -> str:
    return " ".join(token.value for token in found)


class _Expression:
    """A recursive descent over the tokens of one expression."""

    def __init__(self, found: Tokens) -> None:
        self._tokens = found
        self._i = 0

    def whole(self) -> Node:
        """The expression, which must use every token."""
        if not self._tokens:
            raise UnparsedError("an empty expression")
        for value in ("choose", "over"):
            parts, separators = _split(self._tokens, lambda token, value=value: token.value == value)  # type: ignore[misc]
            if len(separators) == 1:
                upper, lower = (_Expression(part).whole() for part in parts)
                return Call("binomial", (upper, lower)) if value == "choose" else quotient(upper, lower)
        node = self._sum()
        if self._i < len(self._tokens):
            raise UnparsedError(f"{self._tokens[self._i].value!r} where an expression should end")
        return node

    def _peek(self, offset: int = 0) -> Token | None:
        i = self._i + offset
        return self._tokens[i] if i < len(self._tokens) else None

    def _at(self, *values: str) -> bool:
        token = self._peek()
        return token is not None and token.kind == "operator" and token.value in values

    def _sum(self) -> Node:
        terms = [self._signed_product()]
        while self._at("+", "-"):
            terms.append(self._signed_product())
        return terms[0] if len(terms) == 1 else Sum(tuple(terms))

    def _signed_product(self) -> Node:
        is_negative = False
        while self._at("+", "-"):
            is_negative ^= self._at("-")
            self._i += 1
        node = self._product()
        return negated(node) if is_negative else node

    def _product(self) -> Node:
        factors = [self._factor()]
        while True:
            if self._at("*"):
                self._i += 1
                factors.append(self._signed_factor())
            elif self._at("/"):
                self._i += 1
                divisor = self._signed_factor()
                opening = self._peek()
                if opening is not None and opening.value == "(" and divisor in _INVERTIBLE:  # 1/f(x)
                    divisor = self._application(divisor, opening) or divisor
                last = factors.pop()
                factors.append(quotient(last, divisor))
            elif self._at("mod"):
                self._i += 1
                factors = [Call("mod", (_product_of(factors), self._signed_factor()))]
            elif self._starts_factor():
                before, after = self._tokens[self._i - 1], self._peek()
                assert after is not None
                if after.kind == "number" and before.kind == "number":
                    raise UnparsedError("two numbers side by side")
                application = self._application(factors[-1], after)
                if application is None:
                    factors.append(self._factor())
                else:
                    factors[-1] = application
            else:
                break
        return _product_of(factors)

    def _application(self, function: Node, opening: Token) -> Node | None:
        """A variable with brackets directly behind it: f(x), or x(x + 1)."""
        is_inverse = isinstance(function, Power) and function.exponent == MINUS_ONE and function.base in _INVERTIBLE
        if not (isinstance(function, Symbol) or is_inverse) or opening.value not in {"(", "{"}:
            return None
        end = self._closing(self._i)
        inner = self._tokens[self._i + 1 : end]
        if opening.value == "{":  # sympy's LaTeX: f{(x)}
            if not inner or inner[0].value != "(" or _closing(inner, 0) != len(inner) - 1:
                return None
            inner = inner[1:-1]
        arguments = _arguments(inner)
        following = self._tokens[end + 1] if end + 1 < len(self._tokens) else None
        if following is not None and following.value in {"^", "!", "%", "_", "'"}:
            return None
        self._i = end + 1
        return Call("apply", (function, *arguments))

    def _signed_factor(self) -> Node:
        is_negative = False
        while self._at("+", "-"):
            is_negative ^= self._at("-")
            self._i += 1
        node = self._factor()
        return negated(node) if is_negative else node

    def _starts_factor(self) -> bool:
        token = self._peek()
        if token is None:
            return False
        if token.kind in {"number", "name", "constant", "function", "constructor", "begin", "open", "named"}:
            return True
        if token.kind == "operator" and token.value == "|":
            return True
        return token.kind == "command" and token.value in {"frac", "sqrt", "binom", "sum", "prod", "int"}

    def _factor(self) -> Node:
        node = self._mixed_number()
        if node is None:
            node = self._primary()
        return self._postfix(node)

    def _mixed_number(self) -> Node | None:
        """An integer with a proper fraction of integers behind it: 1\\frac12, 1 1/2."""
        whole = self._peek()
        if whole is None or whole.number is None or whole.number.digits or whole.number.value.denominator != 1:
            return None
        following = self._peek(1)
        if following is None:
            return None
        start = self._i
        if following.kind == "command" and following.value == "frac":
            self._i += 1
            fraction_start = self._i
            end = self._end_of_fraction(fraction_start)
            inner = self._tokens[fraction_start + 1 : end]
            if all(token.kind in {"number", "open", "close"} for token in inner):
                fraction = self._primary()
                if isinstance(fraction, Number) and not fraction.digits and 0 < fraction.value < 1:
                    return Number(whole.number.value + fraction.value)
            self._i = start
            return None
        bar, denominator = self._peek(2), self._peek(3)
        if (
            following.number is not None
            and following.spaced
            and bar is not None
            and bar.value == "/"
            and denominator is not None
            and denominator.number is not None
            and not following.number.digits
            and not denominator.number.digits
            and 0 < following.number.value < denominator.number.value
        ):
            self._i += 4
            return Number(whole.number.value + following.number.value / denominator.number.value)
        return None

    def _end_of_fraction(self, start: int) -> int:
        """Index behind the two brace groups of the fraction at `start`."""
        i = start + 1
        for _ in range(2):
            if i < len(self._tokens) and self._tokens[i].value == "{":
                i = self._closing(i) + 1
            else:
                i += 1
        return min(i, len(self._tokens))

    def _closing(self, start: int) -> int:
        """Index of the bracket that closes the one at `start`."""
        return _closing(self._tokens, start)

    def _postfix(self, node: Node) -> Node:
        while True:
            if self._at("^"):
                self._i += 1
                node = self._raised(node)
            elif self._at("!"):
                self._i += 1
                if self._at("!"):
                    self._i += 1
                    node = Call("factorial2", (node,))
                else:
                    node = Call("factorial", (node,))
            elif self._at("%"):
                self._i += 1
                node = Percent(node)
            elif self._at("_"):
                self._i += 1
                node = self._subscripted(node)
            elif self._at("'"):
                self._i += 1
                node = self._primed(node)
            else:
                return node

    def _raised(self, base: Node) -> Node:
        """A power, with degrees, transposes and superscript words told apart."""
        token = self._peek()
        if token is None:
            raise UnparsedError("a power without an exponent")
        if token.value == "circ":
            self._i += 1
            return self._degrees(base)
        if token.value == "{" and token.kind == "open":
            end = self._closing(self._i)
            inner = self._tokens[self._i + 1 : end]
            self._i = end + 1
            exponent = _inner_expression(inner)
        elif token.value in {"+", "-"}:
            exponent = self._signed_exponent()
        else:
            exponent = self._primary()
            if self._at("^"):  # Python's ** associates to the right
                self._i += 1
                exponent = self._raised(exponent)
            elif self._at("!"):
                self._i += 1
                exponent = Call("factorial", (exponent,))
        if isinstance(base, Matrix) and exponent == Symbol("T"):
            return Matrix(tuple(zip(*base.rows, strict=True)))
        if isinstance(base, Group) and exponent == Symbol("T"):
            return Matrix(tuple((item,) for item in base.items))
        if isinstance(base, Group) and base.bracket == "{" and len(base.items) == 1:
            base = base.items[0]
        return Power(base, exponent)

    def _signed_exponent(self) -> Node:
        is_negative = False
        while self._at("+", "-"):
            is_negative ^= self._at("-")
            self._i += 1
        node = self._primary()
        if self._at("^"):
            self._i += 1
            node = self._raised(node)
        return negated(node) if is_negative else node

    def _degrees(self, amount: Node) -> Node:
        """Degrees, with minutes and seconds of arc if they follow."""
        total: list[Node] = [amount]
        for mark, share in (("'", 60), ("''", 3600)):
            start = self._i
            token = self._peek()
            if token is None or token.number is None:
                break
            self._i += 1
            written = ""
            while self._at("'"):
                written += "'"
                self._i += 1
            if written != mark:
                self._i = start
                break
            total.append(Number(token.number.value / share))
        return Call("degrees", (total[0] if len(total) == 1 else Sum(tuple(total)),))

    def _subscripted(self, base: Node) -> Node:
        subscript = self._subscript_text()
        if isinstance(base, Symbol):
            return Symbol(f"{base.name}_{subscript}")
        if isinstance(base, Constant) and base.name in {"i", "e"}:
            return Symbol(f"{base.name}_{subscript}")
        if isinstance(base, Number) and subscript.isdigit() and base.value.denominator == 1 and base.value >= 0:
            digits = str(base.value.numerator) if base.value < 10**4000 else ""
            if digits and 2 <= int(subscript) <= 36 and all(int(digit, 36) < int(subscript) for digit in digits):
                return Based(digits, int(subscript))
        raise UnparsedError("a subscript on what has none")

    def _subscript_text(self) -> str:
        token = self._peek()
        if token is None:
            raise UnparsedError("an empty subscript")
        if token.kind == "open":
            end = self._closing(self._i)
            inner = self._tokens[self._i + 1 : end]
            self._i = end + 1
            return "".join(part.value for part in inner)
        self._i += 1
        return token.value

    def _primed(self, base: Node) -> Node:
        if isinstance(base, Symbol):
            return Symbol(base.name + "'")
        if isinstance(base, Number):  # feet, or minutes: a unit
            return base
        raise UnparsedError("a prime on what has none")

    def _primary(self) -> Node:
        token = self._peek()
        if token is None:
            raise UnparsedError("an expression that breaks off")
        self._i += 1
        match token.kind:
            case "number":
                assert token.number is not None
                return token.number
            case "name":
                return Symbol(token.value)
            case "constant":
                return Constant(token.value)
            case "named":
                return _named(token.value)
            case "open":
                self._i -= 1
                return self._bracket()
            case "begin":
                self._i -= 1
                return self._matrix()
            case "function":
                return self._call(token.value)
            case "constructor":
                return self._constructed(token.value)
            case "command":
                return self._command(token.value)
            case "operator" if token.value == "dots":
                return Named("dots")
            case "operator" if token.value == "|":
                return self._absolute()
            case _:
                raise UnparsedError(f"{token.value!r} where a value should stand")

    def _absolute(self) -> Node:
        start, depth = self._i, 0
        for i in range(start, len(self._tokens)):
            token = self._tokens[i]
            depth += (token.kind in {"open", "begin"}) - (token.kind in {"close", "end"})
            if depth == 0 and token.kind == "operator" and token.value == "|" and i > start:
                self._i = i + 1
                inside = _Expression(self._tokens[start:i]).whole()
                return determinant(inside) if isinstance(inside, Matrix) else Call("abs", (inside,))
        raise UnparsedError("a bar that is never closed")

    def _bracket(self) -> Node:
        opening = self._tokens[self._i]
        end = self._closing(self._i)
        closing = self._tokens[end]
        inner = self._tokens[self._i + 1 : end]
        self._i = end + 1
        return _bracketed(opening.value, closing.value, inner)

    def _matrix(self) -> Node:
        environment = self._tokens[self._i].value
        end = self._closing(self._i)
        inner = self._tokens[self._i + 1 : end]
        self._i = end + 1
        if environment in {"cases", "dcases", "rcases"}:
            return _cases(inner)
        if environment not in _MATRICES:
            raise UnparsedError(f"the environment {environment}")
        rows = [row for row in _split(inner, lambda token: token.value == "row")[0] if row]
        cells = [_split(row, lambda token: token.value == "&")[0] for row in rows]
        if not cells or len({len(row) for row in cells}) != 1 or not all(cell for row in cells for cell in row):
            raise UnparsedError("rows of different length")
        matrix = Matrix(tuple(tuple(_logic(cell) for cell in row) for row in cells))
        return determinant(matrix) if environment == "vmatrix" else matrix

    def _command(self, name: str) -> Node:
        if name == "frac":
            derivative = self._derivative()
            if derivative is not None:
                return derivative
            numerator, denominator = self._argument(), self._argument()
            return quotient(numerator, denominator)
        if name == "int":
            return self._integral()
        if name == "binom":
            return Call("binomial", (self._argument(), self._argument()))
        if name == "sqrt":
            return self._root()
        if name in {"sum", "prod"}:
            return self._with_bounds(name)
        raise UnparsedError(f"the command \\{name}")

    def _argument(self) -> Node:
        token = self._peek()
        if token is None:
            raise UnparsedError("a command without its argument")
        if token.kind == "open" and token.value == "{":
            end = self._closing(self._i)
            inner = self._tokens[self._i + 1 : end]
            self._i = end + 1
            return _inner_expression(inner)
        return self._primary()

    def _root(self) -> Node:
        token = self._peek()
        index: Node = Number(Fraction(2))
        if token is not None and token.kind == "open" and token.value == "[":
            end = self._closing(self._i)
            index = _Expression(self._tokens[self._i + 1 : end]).whole()
            self._i = end + 1
        radicand = self._argument()
        if index == Number(Fraction(2)):
            return Call("sqrt", (radicand,))
        return Call("root", (radicand, index))

    def _with_bounds(self, name: str) -> Node:
        """A sum or product over an index with bounds."""
        lower, upper = self._bounds()
        sides = _split(lower, lambda token: token.value == "=")[0]
        if len(sides) != 2 or len(sides[0]) != 1 or not upper:
            raise UnparsedError("bounds that are no integers")
        bound = sides[0][0]
        outside = self._tokens
        if bound.kind == "constant":
            self._tokens = [*outside[: self._i], *_renamed(outside[self._i :], bound)]
        body = self._product()
        self._tokens = outside
        index = Symbol(bound.written or bound.value if bound.kind == "constant" else bound.value)
        number = 1 + sum(isinstance(part, Symbol) and part.name.startswith("index ") for part in walk(body))
        names = {
            name: re.sub(rf"(?:^|(?<=_)){re.escape(index.name)}$", f"index {number}", name) for name in symbols(body)
        }
        counter = Symbol(f"index {number}")
        return Call(name, (renamed(body, names), counter, _Expression(sides[1]).whole(), _Expression(upper).whole()))

    def _derivative(self) -> Node | None:
        """d/dx of what follows; None where no derivative stands here."""
        values = [token.value for token in self._tokens[self._i : self._i + 7]]
        if values[:6] != ["{", "d", "}", "{", "d", *values[5:6]] or values[6:] != ["}"]:
            return None
        variable = self._tokens[self._i + 5]
        if variable.kind != "name" or self._i + 7 >= len(self._tokens):
            return None
        self._i += 7
        return Call("derivative", (self._product(), Symbol(variable.value)))

    def _bounds(self) -> tuple[Tokens, Tokens]:
        """What stands below and above a sum, product or integral; empty where nothing does."""
        lower: Tokens = []
        upper: Tokens = []
        for _ in range(2):
            if self._at("_", "^"):
                is_lower = self._at("_")
                self._i += 1
                token = self._peek()
                if token is None:
                    raise UnparsedError("a bound that is missing")
                if token.kind == "open":
                    end = self._closing(self._i)
                    bound = self._tokens[self._i + 1 : end]
                    self._i = end + 1
                else:
                    bound = [token]
                    self._i += 1
                if is_lower:
                    lower = bound
                else:
                    upper = bound
        return lower, upper

    def _integral(self) -> Node:
        """A definite integral, its variable behind the d at its end."""
        bounds = self._bounds()
        end, depth = self._i, 0
        while end + 1 < len(self._tokens):
            token, following = self._tokens[end], self._tokens[end + 1]
            depth += (token.kind in {"open", "begin"}) - (token.kind in {"close", "end"})
            if depth == 0 and token == Token("name", "d", None, token.spaced) and following.kind == "name":
                break
            end += 1
        else:
            raise UnparsedError("an integral without its variable")
        body = _Expression(self._tokens[self._i : end]).whole()
        variable = Symbol(self._tokens[end + 1].value)
        self._i = end + 2
        if not all(bounds):
            raise UnparsedError("an integral without bounds")
        low, high = (_Expression(bound).whole() for bound in bounds)
        return Call("integral", (body, variable, low, high))

    def _call(self, name: str) -> Node:
        """A function with its exponent or base, and its argument with or without brackets."""
        exponent: Node | None = None
        base: Node | None = None
        for _ in range(2):
            if self._at("^") and exponent is None:
                self._i += 1
                exponent = self._small_argument()
            elif self._at("_") and base is None:
                self._i += 1
                base = self._small_argument()
        token = self._peek()
        if token is None:
            raise UnparsedError(f"{name} of nothing")
        braces = {"\\{"} if name in {"max", "min", "gcd", "lcm"} else set()
        if token.kind == "open" and token.value in {"(", "[", "{"} | braces:
            end = self._closing(self._i)
            arguments = _arguments(self._tokens[self._i + 1 : end])
            self._i = end + 1
        else:
            arguments = [self._bare_argument()]
        if name in _INVERSES and exponent in (MINUS_ONE, Product((MINUS_ONE, Number(Fraction(1))))):
            name, exponent = _INVERSES[name], None
        node = _applied(name, arguments, base)
        return node if exponent is None else Power(node, exponent)

    def _small_argument(self) -> Node:
        token = self._peek()
        if token is not None and token.kind == "open":
            end = self._closing(self._i)
            inner = self._tokens[self._i + 1 : end]
            self._i = end + 1
            return _inner_expression(inner)
        if self._at("-", "+"):
            return self._signed_exponent()
        return self._primary()

    def _bare_argument(self) -> Node:
        """What a function without brackets applies to: a product, up to a sign or another function."""
        is_negative = False
        if self._at("-"):
            is_negative = True
            self._i += 1
        factors = [self._factor()]
        while True:
            token = self._peek()
            if self._at("*"):
                following = self._peek(1)
                if following is None or following.kind == "function":
                    break
                self._i += 1
                factors.append(self._factor())
            elif self._at("/"):
                self._i += 1
                factors.append(quotient(factors.pop(), self._factor()))
            elif (
                token is not None
                and self._starts_factor()
                and token.kind != "function"
                and not (token.kind == "open" and token.value in {"(", "["})
                and not (token.kind == "number" and self._tokens[self._i - 1].kind == "number")
            ):
                factors.append(self._factor())
            else:
                break
        node = _product_of(factors)
        return negated(node) if is_negative else node

    def _constructed(self, name: str) -> Node:
        token = self._peek()
        assert token is not None
        end = self._closing(self._i)
        inner = self._tokens[self._i + 1 : end]
        self._i = end + 1
        return _construct(name, inner)


def _cases(inner: Tokens) -> Node:
    """A system of equations, or values with their conditions."""
    rows = [row for row in _split(inner, lambda token: token.value == "row")[0] if row]
    pieces: list[tuple[Node, Node]] = []
    for row in rows:
        value, condition = _piece(row)
        if condition is None:
            pieces = []
            break
        pieces.append((_logic(value), condition))
    if pieces:
        return Piecewise(tuple(pieces))
    return Group(tuple(item for row in rows for item in _items([token for token in row if token.value != "&"])), "")


_EMPTY_WORDS = frozenset({"is", "are", "a", "an", "the", "integer", "number"})
_CONDITION_WORDS = frozenset({"if", "when", "for", "where"})


def _piece(row: Tokens) -> tuple[Tokens, Node | None]:
    """The value of one case, and its condition; None where it has none."""
    parts, marks = _split(row, lambda token: token.value in {"&", ","})
    if not marks:
        words = [i for i, token in enumerate(row) if token.value.lower() in _CONDITION_WORDS | {"otherwise", "else"}]
        if not words or not words[0]:
            return row, None
        parts = [row[: words[0]], row[words[0] :]]
    condition = [token for part in parts[1:] for token in part]
    while condition and (condition[0].value.lower() in _CONDITION_WORDS or condition[0].value in {"&", ","}):
        condition = condition[1:]
    if not parts[0] or not condition:
        return row, None
    if condition[0].value.lower() in {"otherwise", "else"} or condition[0] == Token("named", "true"):
        return parts[0], Named("true")
    if not any(token.kind == "text" for token in condition):
        try:
            return parts[0], _answer(condition)
        except UnparsedError:
            pass
    written = [token.value.lower() for token in condition]
    return parts[0], Opaque(" ".join(word for word in written if word not in _EMPTY_WORDS))


def _named(name: str) -> Node:
    """A set by its name, as an interval where it is one."""
    zero, infinity = Number(Fraction(0)), Constant("oo")
    match name:
        case "positive reals" | "nonnegative reals":
            return Range(zero, infinity, name == "nonnegative reals", False)
        case "negative reals" | "nonpositive reals":
            return Range(negated(infinity), zero, False, name == "nonpositive reals")
        case _:
            return Named(name)


def _inner_expression(inner: Tokens) -> Node:
    """The content of braces that LaTeX needs: one expression, a unit behind it left out."""
    end = _unit_start(inner)
    return _Expression(inner[:end] if end else inner).whole()


def _product_of(factors: Sequence[Node]) -> Node:
    if len(factors) == 1:
        return factors[0]
    factors = [
        factor.items[0] if isinstance(factor, Group) and factor.bracket == "{" and len(factor.items) == 1 else factor
        for factor in factors
    ]
    matrices = [factor for factor in factors if isinstance(factor, Matrix)]
    if len(matrices) == 1:
        scalars = [factor for factor in factors if not isinstance(factor, Matrix)]
        return Matrix(tuple(tuple(Product((*scalars, cell)) for cell in row) for row in matrices[0].rows))
    unwrapped = [
        factor.items[0] if isinstance(factor, Group) and factor.bracket == "[" and len(factor.items) == 1 else factor
        for factor in factors
    ]
    return Product(tuple(unwrapped))


def _arguments(inner: Tokens) -> list[Node]:
    parts = [part for part in _split(inner, lambda token: token.value in {",", ";"})[0] if part]
    if not parts:
        raise UnparsedError("a function of nothing")
    return [_logic(part) for part in parts]


def _applied(name: str, arguments: list[Node], base: Node | None) -> Node:
    """The node of a function call; plain arithmetic where the function is only another way of writing it."""
    first = arguments[0]
    if base is not None:
        if name != "log" or len(arguments) != 1:
            raise UnparsedError(f"{name} with a subscript")
        return Call("log", (first, base))
    match name, len(arguments):
        case "ratio_of", 2:
            return quotient(first, arguments[1])
        case "ratio_of", 1:
            return first
        case "add", _:
            return Sum(tuple(arguments))
        case "multiply", _:
            return Product(tuple(arguments))
        case "pow", 2:
            return Power(first, arguments[1])
        case "exp", 1:
            return Power(Constant("e"), first)
        case "ln", 1:
            return Call("ln", (first,))
        case "log", 1 | 2:
            return Call("log", tuple(arguments))
        case "log10" | "log2", 1:
            return Call("log", (first, Number(Fraction(10 if name == "log10" else 2))))
        case "cbrt", 1:
            return Call("root", (first, Number(Fraction(3))))
        case ("root", 2) | ("binomial", 2) | ("mod", 2):
            return Call(name, tuple(arguments))
        case "det", 1 if isinstance(first, Matrix):
            return determinant(first)
        case "conjugate", 1:
            return conjugated(first)
        case (("gcd" | "lcm" | "max" | "min"), _):
            return Call(name, tuple(arguments))
        case _, 1:
            return Call(name, (first,))
        case _:
            raise UnparsedError(f"{name} of {len(arguments)} arguments")


def _bracketed(opening: str, closing: str, inner: Tokens) -> Node:
    """What stands in brackets: a grouping, a tuple, a list, a set, an interval, a mapping."""
    if opening in {"floor", "ceiling"}:
        return Call(opening, (_logic(inner),))
    parts, separators = _split(inner, lambda token: token.value in {",", ";"})
    if opening in {"\\{", "{"}:
        return _braced(opening, inner, parts, bool(separators))
    if separators and not parts[-1]:  # (5,)
        items = [item for part in parts[:-1] for item in _items_of(part)]
        return Group(tuple(items), "(" if opening == "(" else "[")
    if not inner:
        return Group((), "(" if opening == "(" else "[")
    if not all(parts):
        raise UnparsedError("an empty place between commas")
    if opening != closing.translate(_MIRRORED):
        if len(parts) != 2:
            raise UnparsedError("brackets that do not match")
        low, high = _logic(parts[0]), _logic(parts[1])
        if (opening == "[" and low == negated(Constant("oo"))) or (closing == "]" and high == Constant("oo")):
            raise UnparsedError("an interval that contains infinity")
        return Range(low, high, opening == "[", closing == "]")
    if opening == "(" and not separators:
        return _answer(inner)
    items = [item for part in parts for item in (_items_of(part) if opening == "[" else [_logic(part)])]
    bracket: Literal["(", "[", "<"] = "(" if opening == "(" else "[" if opening == "[" else "<"
    return Group(tuple(items), bracket)


def conjugated(node: Node) -> Node:
    """The complex conjugate, brought down to the variables: a variable's own is another variable."""
    match node:
        case Number() | Constant(name="pi" | "e" | "oo"):
            return node
        case Constant(name="i"):
            return negated(node)
        case Symbol(name=name):
            return Symbol(name.removesuffix(" bar") if name.endswith(" bar") else f"{name} bar")
        case Sum(terms=terms):
            return Sum(tuple(conjugated(term) for term in terms))
        case Product(factors=factors):
            return Product(tuple(conjugated(factor) for factor in factors))
        case Power(base=base, exponent=Number() as exponent) if exponent.value.denominator == 1:
            return Power(conjugated(base), exponent)
        case _:
            if symbols(node):
                raise UnparsedError("the conjugate of a function")
            return Call("conjugate", (node,))


_MIRRORED = str.maketrans(")]}>", "([{<")


def _items_of(part: Tokens) -> list[Node]:
    parts = [piece for piece in _split(part, lambda token: token.value in {"and", "or"})[0] if piece]
    return [item for piece in parts for item in _items(piece)]


def _braced(opening: str, inner: Tokens, parts: list[Tokens], is_list: bool) -> Node:
    if not inner:
        return Group((), "{")
    if opening == "{" and not is_list and not _has(inner, ":"):
        return _answer(inner)
    builders, bars = _split(inner, lambda token: token.value == "|")
    if len(bars) == 1 and all(builders):
        return _set_builder(builders[0], builders[1])
    colons, marks = _split(inner, lambda token: token.value == ":")
    if opening == "\\{" and len(marks) == 1 and _has_relation(colons[1]) and all(colons):
        return _set_builder(colons[0], colons[1])
    pairs = [_split(part, lambda token: token.value == ":")[0] for part in parts if part]
    if pairs and all(len(pair) == 2 and pair[0] and pair[1] for pair in pairs):
        return Mapping(tuple((_logic(name), _logic(value)) for name, value in pairs))
    return Group(tuple(item for part in parts if part for item in _items_of(part)), "{")


def _has(found: Tokens, value: str) -> bool:
    return bool(_split(found, lambda token: token.value == value)[1])


def _has_relation(found: Tokens) -> bool:
    return any(token.kind == "operator" and token.value in _RELATIONS for token in found)


def _set_builder(variable: Tokens, condition: Tokens) -> Node:
    """The set of the numbers that meet a condition: the condition itself."""
    if len(variable) > 1 and variable[1].value != "in":
        return _set_of_values(_logic(variable), _answer(condition))
    if variable[0].kind != "name":
        raise UnparsedError("a set of something else than a variable")
    if len(variable) > 1 and not (variable[1].value == "in" and variable[-1].value == "reals"):
        raise UnparsedError("a set over something else than the reals")
    node = renamed(_answer(condition), {variable[0].value: BOUND})
    if isinstance(node, Group) and all(_is_condition(item) for item in node.items):
        return SetOperation("intersection", node.items)
    return node


def _set_of_values(value: Node, condition: Node) -> Node:
    """{2k + 1 : k in the integers}, as the value being in the set that its variable is taken from.

    Raises:
      UnparsedError: the condition says something else.
    """
    match condition:
        case Relation(sides=(Symbol(name=name), Named() as values), operators=("in",)) if name in symbols(value):
            return Relation((renamed(value, {name: BOUND}), values), ("in",))
        case _:
            raise UnparsedError("a set of values with another condition")


_COMPARISONS = {
    "Eq": "=", "Equality": "=", "Ne": "!=", "Unequality": "!=", "Lt": "<", "StrictLessThan": "<", "Le": "<=",
    "LessThan": "<=", "Gt": ">", "StrictGreaterThan": ">", "Ge": ">=", "GreaterThan": ">=", "Contains": "in",
}  # fmt: skip
_RANGE_ENDS = {
    "Interval": (True, True),
    "Interval.open": (False, False),
    "Interval.Lopen": (False, True),
    "Interval.Ropen": (True, False),
}


def _construct(name: str, inner: Tokens) -> Node:
    """What a constructor of Python, sympy or numpy prints as."""
    parts = [part for part in _split(inner, lambda token: token.value == ",")[0] if part]
    keywords = [part for part in parts if len(part) > 2 and part[1].value == "=" and part[0].kind in {"text", "name"}]
    positional = [part for part in parts if part not in keywords]
    if name in {"Symbol", "str", "np.str_"} and positional:
        return _logic(positional[0])
    nodes = [_logic(part) for part in positional]
    if name in _COMPARISONS and len(nodes) == 2:
        return Relation((nodes[0], nodes[1]), (_COMPARISONS[name],))
    if name == "Piecewise":
        pairs = [node.items for node in nodes if isinstance(node, Group) and len(node.items) == 2]
        if len(pairs) == len(nodes) > 0:
            return Piecewise(tuple((value, condition) for value, condition in pairs))
    if name in {"And", "Or"}:
        return SetOperation("intersection" if name == "And" else "union", tuple(nodes))
    if name in _RANGE_ENDS and len(nodes) in {2, 3, 4}:
        low_closed, high_closed = _RANGE_ENDS[name]
        flags = nodes[2:]
        if flags:
            low_closed = flags[0] != Named("true")
            high_closed = len(flags) < 2 or flags[1] != Named("true")
        return Range(nodes[0], nodes[1], low_closed, high_closed)
    if name in {"Union", "Intersection"}:
        return SetOperation("union" if name == "Union" else "intersection", tuple(nodes))
    if name == "Complement" and len(nodes) == 2:
        return SetOperation("difference", (nodes[0], nodes[1]))
    if name == "FiniteSet":
        return Group(tuple(nodes), "{")
    if name in {"set", "frozenset", "list", "List", "deque"}:
        bracket: Literal["{", "["] = "{" if "set" in name else "["
        items = nodes[0].items if len(nodes) == 1 and isinstance(nodes[0], Group) else tuple(nodes)
        return Group(items, bracket)
    if name in {"Tuple", "tuple", "Point", "Point2D", "Point3D", "Vector", "Vector2D", "vector"}:
        items = nodes[0].items if len(nodes) == 1 and isinstance(nodes[0], Group) else tuple(nodes)
        return Group(items, "(")
    if name in {"dict", "OrderedDict", "Dict"} and len(nodes) == 1:
        return nodes[0]
    if "atrix" in name or name.endswith("array"):
        if len(nodes) == 3 and isinstance(nodes[2], Group):
            return _matrix_of_shape(nodes)
        if len(nodes) == 1:
            return _matrix_of(nodes[0], is_sympy="atrix" in name)
    if name in {"mpc", "complex", "np.complex128"} and len(nodes) == 2:
        return Sum((nodes[0], Product((nodes[1], Constant("i")))))
    if len(nodes) == 1 and isinstance(nodes[0], (*EXPRESSIONS, Named)):
        return nodes[0]
    raise UnparsedError(f"{name} of {len(nodes)} arguments")


def _matrix_of(node: Node, *, is_sympy: bool) -> Node:
    """The matrix of nested lists; of a flat list, sympy's column or numpy's vector."""
    rows = matrix_rows(node)
    if rows is not None:
        return Matrix(rows)
    if isinstance(node, Group) and is_sympy:
        return Matrix(tuple((item,) for item in node.items))
    return node


def _matrix_of_shape(nodes: Sequence[Node]) -> Node:
    """Matrix(2, 2, [a, b, c, d])."""
    height, width, cells = nodes
    if isinstance(height, Number) and isinstance(width, Number) and isinstance(cells, Group):
        num_rows, num_columns = int(height.value), int(width.value)
        if num_rows > 0 and num_columns > 0 and num_rows * num_columns == len(cells.items):
            return Matrix(tuple(tuple(cells.items[i * num_columns : (i + 1) * num_columns]) for i in range(num_rows)))
    raise UnparsedError("a matrix whose cells do not fit its shape")


def matrix_rows(node: Node) -> tuple[tuple[Node, ...], ...] | None:
    """The rows of a list of lists of equal length; None for anything else."""
    if not isinstance(node, Group) or not node.items:
        return None
    rows: list[tuple[Node, ...]] = []
    for item in node.items:
        if not isinstance(item, Group) or item.bracket not in {"[", "("} or not item.items:
            return None
        if any(isinstance(cell, Group) for cell in item.items):
            return None
        rows.append(item.items)
    return tuple(rows) if len({len(row) for row in rows}) == 1 else None
