"""The examples of reward-model training as rows of tokens: those of one problem share what their texts share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rstar_math.errors import DataError
from rstar_math.training import packing
from rstar_math.training.examples import RewardExample

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MIN_ROW_TOKENS = 512
"""A problem's texts are spread over several rows only beyond this many tokens (attention grows with the square)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Examples of one problem that go through the model together.

    Attributes:
      problem: index of the problem in the training order.
      rows: their texts: one trie, or one text each.
      row_of, token_of: `[E, K]` where each text's last token is.
      target, weight: `[E]`.
      examples: `[E]` indices of the examples as given.
    """

    problem: int
    rows: tuple[packing.TrieRow, ...]
    row_of: packing.IntArray
    token_of: packing.IntArray
    target: np.ndarray
    weight: np.ndarray
    examples: packing.IntArray

    @property
    def width(self) -> int:
        """Tokens of its longest row."""
        return max(row.num_tokens for row in self.rows)

    @property
    def num_tokens(self) -> int:
        """Tokens of its rows, without padding."""
        return sum(row.num_tokens for row in self.rows)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Examples as units, in the order of their problems, and how many were too long."""

    units: tuple[Unit, ...]
    num_problems: int
    num_examples: int
    num_too_long: int

    @property
    def units_of(self) -> list[list[int]]:
        """The indices of each problem's units."""
        found: list[list[int]] = [[] for _ in range(self.num_problems)]
        for i, unit in enumerate(self.units):
            found[unit.problem].append(i)
        return found


def prepare(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[RewardExample], max_length: int, packed: bool
) -> Prepared:
    """Examples as units of rows, grouped by problem; those with a text of more than `max_length` tokens are dropped.

    Raises:
      DataError: a text is empty.
    """
    texts = list(dict.fromkeys(text for example in examples for text in example.texts))
    encoded = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"] if texts else []
    tokens_of = dict(zip(texts, (tuple(ids) for ids in encoded), strict=True))
    if not all(tokens_of.values()):
        raise DataError("a text to be scored is empty")
    members: dict[str, list[int]] = {}
    for i, example in enumerate(examples):
        if all(len(tokens_of[text]) <= max_length for text in example.texts):
            members.setdefault(example.problem, []).append(i)
    kept = [i for indices in members.values() for i in indices]
    longest = max((len(tokens_of[text]) for i in kept for text in examples[i].texts), default=0)
    limit = max(MIN_ROW_TOKENS, 2 * longest)
    units: list[Unit] = []
    for problem, indices in enumerate(members.values()):
        # neighbours in this order share the longest prefixes, so that a split doubles few tokens
        ordered = sorted(indices, key=lambda i: tokens_of[examples[i].texts[0]])
        for part in _split(ordered, examples, tokens_of, limit):
            units.append(_unit(problem, part, examples, tokens_of, packed))
    return Prepared(tuple(units), len(members), len(kept), len(examples) - len(kept))


def _split(
    indices: list[int],
    examples: Sequence[RewardExample],
    tokens_of: dict[str, tuple[int, ...]],
    limit: int,
) -> list[list[int]]:
    """Halves a problem's examples until each part's trie has at most `limit` tokens, or is a single example."""
    texts = {text for i in indices for text in examples[i].texts}
    if len(indices) == 1 or packing.num_packed_tokens([tokens_of[text] for text in texts]) <= limit:
        return [indices]
    middle = len(indices) // 2
    return [
        *_split(indices[:middle], examples, tokens_of, limit),
        *_split(indices[middle:], examples, tokens_of, limit),
    ]


def _unit(
    problem: int,
    indices: list[int],
    examples: Sequence[RewardExample],
    tokens_of: dict[str, tuple[int, ...]],
    packed: bool,
) -> Unit:
    texts = list(dict.fromkeys(text for i in indices for text in examples[i].texts))
    sequences = [tokens_of[text] for text in texts]
    rows: tuple[packing.TrieRow, ...]
    if packed:
        row, last = packing.pack(sequences)
        rows = (row,)
        place = {text: (0, int(token)) for text, token in zip(texts, last, strict=True)}
    else:
        rows = tuple(packing.pack([sequence])[0] for sequence in sequences)
        place = {text: (i, len(tokens_of[text]) - 1) for i, text in enumerate(texts)}
    places = np.array([[place[text] for text in examples[i].texts] for i in indices], np.int64)  # [E, K, 2]
    return Unit(
        problem=problem,
        rows=rows,
        row_of=places[:, :, 0],
        token_of=places[:, :, 1],
        target=np.array([examples[i].target for i in indices], np.float32),
        weight=np.array([examples[i].weight for i in indices], np.float32),
        examples=np.array(indices, np.int64),
    )
