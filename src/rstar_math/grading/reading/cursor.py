"""Tokens, and how far they are read."""

from __future__ import annotations

from rstar_math.grading.bounds import UnparsedError
from rstar_math.grading.reading.scan import Tokens, closing
from rstar_math.grading.reading.tokens import Token


class Cursor:
    """A place in a list of tokens.

    Attributes:
      tokens: all of them.
      i: index of the token that is read next.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.i = 0

    def peek(self, offset: int = 0) -> Token | None:
        """The token so many places ahead; None behind the last."""
        i = self.i + offset
        return self.tokens[i] if i < len(self.tokens) else None

    def here(self, missing: str) -> Token:
        """The token here.

        Raises:
          UnparsedError: there is none.
        """
        token = self.peek()
        if token is None:
            raise UnparsedError(missing)
        return token

    def at(self, *values: str) -> bool:
        """Whether one of these operators stands here."""
        token = self.peek()
        return token is not None and token.kind == "operator" and token.value in values

    def take(self, value: str) -> bool:
        """Passes an operator; False where it does not stand here."""
        found = self.at(value)
        self.i += found
        return found

    def inside(self) -> Tokens:
        """Passes a bracket or an environment: the tokens in it."""
        start, end = self.i + 1, closing(self.tokens, self.i)
        self.i = end + 1
        return self.tokens[start:end]
