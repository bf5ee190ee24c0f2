"""From normalised text to tokens: numbers, names, functions, words, signs and brackets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from rstar_math.grading.bounds import MAX_TOKENS, UnparsedError
from rstar_math.grading.reading import units, vocabulary
from rstar_math.grading.reading.literals import literal
from rstar_math.grading.reading.nodes import Number
from rstar_math.grading.reading.normalise import CLOSE_TEXT, OPEN_TEXT, ROW_END

Kind = Literal[
    "number", "name", "constant", "function", "constructor", "named", "command", "operator", "open", "close", "text",
    "begin", "end",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
      kind: what it is.
      value: its canonical text.
      number: the literal, for kind "number".
      spaced: whether white space stood before it.
      written: how it was written, where `value` does not tell: the letter of a constant, the sign of a currency.
    """

    kind: Kind
    value: str
    number: Number | None = None
    spaced: bool = False
    written: str = ""


_BLACKBOARD = re.compile(
    r"\\(?:mathbb|Bbb)\s*\{?\s*([A-Z])\s*\}?"
    r"(\s*[_^]\s*(?:\{\s*(?:[-+*0]|(?:>=?|<=?|\\[gl]e)\s*[01])\s*\}|[-+*0]))?"
)
_ONE_LETTER = re.compile(r"\s*(?:\{\s*(?:([A-Za-z])|\\([a-zA-Z]+))\s*\}|([A-Za-z])(?![A-Za-z])|\\([a-z]+))")
_POINTS_OR_DIGITS = re.compile(r"\s*\{\s*(?:[A-Z]['\s]*(?:[A-Z]['\s]*)+|\d[\d\s]*)\}|\s*\d")
_BRACKETS: tuple[tuple[Kind, str, str], ...] = (
    ("open", "langle", "<"), ("close", "rangle", ">"), ("open", "lfloor", "floor"), ("close", "rfloor", "floor"),
    ("open", "lceil", "ceiling"), ("close", "rceil", "ceiling"),
)  # fmt: skip
_COMMANDS: dict[str, tuple[Kind, str, str]] = {
    **{word: ("operator", value, "") for word, value in vocabulary.COMMAND_OPERATORS.items()},
    **{word: (kind, value, "") for kind, word, value in _BRACKETS},
    **{word: ("command", word, "") for word in ("frac", "sqrt", "binom", "sum", "prod", "int")},
    **{word: ("constant", vocabulary.CONSTANTS[word], word) for word in ("infty", "pi")},
    **{word: ("name", word, "") for word in vocabulary.GREEK},
    **{word: ("operator", "currency", name) for word, name in vocabulary.CURRENCIES.items()},
    "emptyset": ("named", "empty", ""),
}
"""What a command is read as, whatever follows it: kind, value, and how it was written."""

_OPERATORS = re.compile(r"\*\*|<=|>=|!=|==|=<|=>|->|[-+*/^_=<>|&!%,;:'~()\[\]{}@?#\"`]")
_WORD = re.compile(r"(?:Point|Vector)[23]D|(?:np|numpy|S|Interval|sympy|datetime)\.[A-Za-z_]\w*|[A-Za-z]+", re.ASCII)
_DIGITS = frozenset("0123456789")


def tokens(text: str, *, group_thousands: bool = True) -> list[Token]:
    """The tokens of a normalised text.

    Args:
      text: what `normalise.normalised` returned.
      group_thousands: read "1,234" outside brackets as one number.

    Raises:
      UnparsedError: there is something in it that no answer in the grammar has.
    """
    return _Lexer(text, group_thousands).run()


class _Lexer:
    def __init__(self, text: str, group_thousands: bool) -> None:
        self._text = text
        self._group_thousands = group_thousands
        self._position = 0
        self._depth = 0  # of brackets in which commas separate
        self._braces: list[bool] = []  # of open braces: whether it counts for the depth
        self._spaced = False
        self._found: list[Token] = []

    def run(self) -> list[Token]:
        text = self._text
        while self._position < len(text):
            if len(self._found) > MAX_TOKENS:
                raise UnparsedError(f"more than {MAX_TOKENS} tokens")
            character = text[self._position]
            if character.isspace():
                self._spaced = True
                self._position += 1
                continue
            if character == OPEN_TEXT:
                end = text.find(CLOSE_TEXT, self._position)
                word = text[self._position + 1 : end] if end > 0 else text[self._position + 1 :]
                self._position = end + 1 if end > 0 else len(text)
                self._marked_word(word)
            elif character == ROW_END:
                self._emit("operator", "row", 1)
            elif character == "\\":
                self._command()
            elif character in _DIGITS or (
                character == "." and text[self._position + 1 : self._position + 2] in _DIGITS
            ):
                self._number()
            elif character.isalpha() and character.isascii():
                self._word()
            else:
                self._operator()
            self._spaced = False
        return self._found

    def _emit(self, kind: Kind, value: str, length: int = 0, number: Number | None = None, written: str = "") -> None:
        self._found.append(Token(kind, value, number, self._spaced, written))
        self._position += length
        self._spaced = False

    def _marked_word(self, word: str) -> None:
        lower = word.lower().strip(".")
        if lower in {"and", "or"}:
            self._emit("operator", lower)
        elif self._sign_in_words(word, lower, 0):
            pass
        elif word in {"pi", "oo"}:
            self._emit("constant", word)
        else:
            self._emit("text", word)

    def _sign_in_words(self, word: str, lower: str, length: int) -> bool:
        """Reads a word that is a sign, a currency or a set by its name; False for any other."""
        if lower == "to" and self._is_between_numbers(length):
            self._emit("operator", ":", length)
        elif lower in {"percent", "pct"}:
            self._emit("operator", "%", length)
        elif lower in vocabulary.MONEY_WORDS and not self._found:
            behind = self._position + length
            has_stop = length and self._text[behind : behind + 1] == "."  # Rs. 500
            self._emit("operator", "currency", length + has_stop, written=units.canonical(lower))
        elif word in vocabulary.NAMED:
            self._emit("named", vocabulary.NAMED[word], length)
        else:
            return False
        return True

    def _command(self) -> None:
        text, start = self._text, self._position
        environment = re.compile(r"\\(begin|end)\s*\{(\w+)\*?\}\s*(?:\[[a-z]\])?\s*(\{[^{}]*\})?").match(text, start)
        if environment:
            kind: Kind = "begin" if environment.group(1) == "begin" else "end"
            columns = environment.group(3) or ""
            is_array = environment.group(2) == "array" and kind == "begin"
            length = len(environment.group()) - (0 if is_array else len(columns))
            self._emit(kind, environment.group(2), length)
            return
        blackboard = _BLACKBOARD.match(text, start)
        if blackboard:
            part = re.sub(r"[\s{}_^]", "", blackboard.group(2) or "").replace("\\ge", ">=").replace("\\le", "<=")
            name_of_set = vocabulary.SETS.get(blackboard.group(1) + part)
            if name_of_set is None:
                raise UnparsedError(f"the set {blackboard.group()}")
            self._emit("named", name_of_set, len(blackboard.group()))
            return
        vector = re.compile(r"\\unitvector\{([ijk])\}").match(text, start)
        if vector:
            self._emit("name", f"unit {vector.group(1)}", len(vector.group()))
            return
        name = re.compile(r"\\([A-Za-z]+)").match(text, start)
        if not name:
            character = text[start + 1 : start + 2]
            if character in "{}":
                self._depth += 1 if character == "{" else -1
                self._emit("open" if character == "{" else "close", "\\" + character, 2)
            elif character == "%":
                self._emit("operator", "%", 2)
            elif character == "$":
                self._emit("operator", "currency", 2, written="dollar")
            elif character in {"_", "&", "#"}:
                self._emit("operator", character, 2)
            else:
                raise UnparsedError(f"a backslash before {character!r}")
            return
        word, length = name.group(1), len(name.group())
        if word == "Gamma" and text[start + length :].lstrip().startswith("("):
            self._emit("function", "gamma", length)
        elif word in _COMMANDS:
            kind, value, written = _COMMANDS[word]
            self._emit(kind, value, length, written=written)
        elif word in vocabulary.FUNCTIONS and word != "pow":
            self._emit("function", vocabulary.FUNCTIONS[word], length)
        elif word in vocabulary.ACCENTS:
            self._accented(vocabulary.ACCENTS[word], length)
        else:
            self._emit("command", word, length)

    def _accented(self, accent: str, length: int) -> None:
        """A letter with a bar, hat or tilde is another variable; a bar over more is a conjugate, or marks a segment."""
        letter = _ONE_LETTER.match(self._text, self._position + length)
        points = _POINTS_OR_DIGITS.match(self._text, self._position + length)
        if letter:
            name = next(group for group in letter.groups() if group)
            self._emit("name", f"{name} {accent}", letter.end() - self._position)
        elif accent == "bar" and not points:
            self._emit("function", "conjugate", length)
        else:
            self._position += length

    def _number(self) -> None:
        text = self._text
        number, written, self._position = literal(
            text, self._position, separable=self._depth == 0 and self._group_thousands
        )
        self._emit("number", written, 0, number)
        following = re.compile(r"j(?![A-Za-z0-9_])").match(text, self._position)
        if following and not re.search(r"(?<![A-Za-z\\])[ik](?![A-Za-z])", text):
            self._emit("constant", "i", 1)

    def _word(self) -> None:
        text, start = self._text, self._position
        functions, constructors = vocabulary.FUNCTIONS, vocabulary.CONSTRUCTORS
        match = _WORD.match(text, start)
        assert match is not None
        word = match.group()
        rest = text[start + len(word) :]
        called = rest.lstrip(" ").startswith("(")
        if "." in word and word not in vocabulary.NAMED and not (called and word in constructors):
            word = word.partition(".")[0]
            called = False
        digits = re.match(r"\d+(?![\d.])", rest)
        if word in vocabulary.FUNCTIONS_OR_UNITS and not re.match(
            r"\s*(?:[({\\\d]|[A-Za-z](?![A-Za-z])|[_^]\s*\{?-?\d+\}?\s*[\w(\\])", rest
        ):
            self._emit("text", word, len(word))
        elif called and word in constructors and not (word in {"N", "S"} and not rest.startswith("(")):
            self._emit("constructor", word, len(word))
        elif digits and len(word) > 1 and word + digits.group() in (constructors | functions.keys()):
            word += digits.group()
            self._emit("function" if word in functions else "constructor", functions.get(word, word), len(word))
        elif word in vocabulary.ELEMENTARY or (
            word in functions and (called or word not in vocabulary.AMBIGUOUS_FUNCTIONS)
        ):
            self._emit("function", functions[word], len(word))
        elif len(word) == 1 and digits and word not in {"e", "E", "i", "I"} and "\\" not in text and "{" not in text:
            self._emit("name", f"{word}_{digits.group()}", 1 + digits.end())
        else:
            self._plain_word(word)

    def _plain_word(self, word: str) -> None:
        lower = word.lower()
        if lower in {"and", "or"} and word != lower.upper():
            self._emit("operator", lower, len(word))
        elif self._sign_in_words(word, lower, len(word)):
            pass
        elif word in vocabulary.CONSTANTS:
            self._emit("constant", vocabulary.CONSTANTS[word], len(word), written=word)
        elif word in vocabulary.GREEK or word in {"lamda", "lambda_"}:
            self._emit("name", "lambda" if word.startswith("lam") else word, len(word))
        elif len(word) == 1:
            self._emit("name", word, 1)
        elif word == "in" and self._found and not (len(self._found) == 1 and self._found[0].kind == "number"):
            self._emit("operator", "in", 2)
        elif self._is_coefficient(word) or (
            _is_product(word) and not units.is_unit(word) and lower not in vocabulary.SHORT_WORDS
        ):
            for letter in word:
                self._plain_word_letter(letter)
        else:
            joined = word[:-1]
            if joined in vocabulary.ELEMENTARY:
                self._emit("function", vocabulary.FUNCTIONS[joined], len(joined))
                self._emit("name", word[-1], 1)
            else:
                self._emit("text", word, len(word))

    def _is_coefficient(self, word: str) -> bool:
        """Whether two letters are a constant and a variable: Ax + B, Ce^x, Gm_1 in LaTeX."""
        is_latex = "\\" in self._text and bool(re.match(r"\s*[_^]", self._text[self._position + 2 :]))
        if is_latex and re.fullmatch("[A-Z][a-z]", word) and not units.is_unit(word):
            return True
        following = self._text[self._position + 2 : self._position + 4].lstrip()[:1]
        is_added = (
            following in set("+-^)=*/") if following else bool(self._found) and self._found[-1].value in {"+", "-"}
        )
        return bool(re.fullmatch("[A-DK][xyzt]", word) and is_added) or bool(
            re.fullmatch("[A-Z]e", word) and following == "^"
        )

    def _is_between_numbers(self, length: int) -> bool:
        """Whether a number stands before and behind a word: 3 to 4."""
        following = self._text[self._position + length :].lstrip()[:1]
        return bool(self._found) and self._found[-1].kind == "number" and following in _DIGITS

    def _plain_word_letter(self, letter: str) -> None:
        if letter in vocabulary.CONSTANTS:
            self._emit("constant", vocabulary.CONSTANTS[letter], 1, written=letter)
        else:
            self._emit("name", letter, 1)

    def _operator(self) -> None:
        match = _OPERATORS.match(self._text, self._position)
        if not match:
            raise UnparsedError(f"the character {self._text[self._position]!r}")
        value = match.group()
        length = len(value)
        value = {"**": "^", "==": "=", "=<": "<=", "=>": ">="}.get(value, value)
        if value in {"(", "["}:
            self._depth += 1
            self._emit("open", value, length)
        elif value in {")", "]"}:
            self._depth -= 1
            self._emit("close", value, length)
        elif value == "{":
            # braces that LaTeX needs hold one thing; others are Python's sets
            before = self._found[-1] if self._found else None
            is_argument = before is not None and (
                before.kind == "command"
                or before.value in {"^", "_"}
                or (before.kind == "close" and before.value == "}")
            )
            self._braces.append(not is_argument)
            self._depth += not is_argument
            self._emit("open", "{", length)
        elif value == "}":
            if self._braces and self._braces.pop():
                self._depth -= 1
            self._emit("close", "}", length)
        elif value in {'"', "`"} or (
            value == "'" and (not self._found or self._found[-1].kind == "open" or self._spaced or self._quoted())
        ):
            self._position += length
        else:
            self._emit("operator", value, length)

    def _quoted(self) -> bool:
        """Whether the quote here closes a Python string: a bracket or a comma follows, and one was opened before."""
        before = self._text[: self._position]
        return before.count("'") % 2 == 1 and bool(re.search(r"[(\[,{=:\s]'[^']*$", before))


def _is_product(word: str) -> bool:
    """Whether a bare word is rather a product of variables: short, or capitals (points), or letters in a row."""
    if word.isupper():
        return len(word) <= 6
    if len(word) <= 3:
        return word.islower() or not word[1:].islower()
    return len(word) <= 8 and all(ord(b) - ord(a) == 1 for a, b in pairwise(word))
