"""What the base of the composed world is made from: demonstrations of depth 1 and 2, and a tokenizer of their texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from rstar_math import steps
from rstar_math.pocket.composed.splits import compositions
from rstar_math.pocket.composed.teacher import demonstration
from rstar_math.pocket.tokenizer import Architecture, train_tokenizer
from rstar_math.types import Step

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_NUM_TEXTS = 3_000
"""Texts that the tokenizer is made from."""


def demonstrations(seed: int = 0) -> Iterator[tuple[str, Sequence[Step]]]:
    """Endless questions of the base split, each with the steps of its solution."""
    for found in compositions("base", seed, unique=False):
        yield found.question, demonstration(found)


def tokenizer(architecture: Architecture = "llama") -> PreTrainedTokenizerFast:
    """The tokenizer of the composed world: names and digits are tokens of their own, and the words between them one."""
    drawn = islice(demonstrations(), _NUM_TEXTS)
    texts = (steps.prompt(question) + steps.render(done) for question, done in drawn)
    return train_tokenizer(texts, architecture=architecture, letters_alone=True)
