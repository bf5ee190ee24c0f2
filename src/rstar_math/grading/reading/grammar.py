"""What the parts of the grammar ask of one another: brackets hold whole answers, and answers consist of brackets."""

from __future__ import annotations

from typing import Protocol

from rstar_math.grading.reading.nodes import Node
from rstar_math.grading.reading.scan import Tokens


class Grammar(Protocol):
    """Reads tokens of one level of the grammar, all of them, into nodes; each raises `UnparsedError`."""

    def answer(self, found: Tokens) -> Node:
        """A whole answer: one item or a list of them."""
        ...

    def items(self, found: Tokens) -> list[Node]:
        """The answers in one item: one for each sign where it has a plus-minus."""
        ...

    def statement(self, found: Tokens) -> Node:
        """Statements joined by the signs of logic or Python's & and |, or a relation."""
        ...

    def expression(self, found: Tokens) -> Node:
        """One expression."""
        ...
