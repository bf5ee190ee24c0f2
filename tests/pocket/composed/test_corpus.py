"""What the base of the composed world is made from: short questions, a tokenizer that leaves names and digits alone."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from rstar_math import steps
from rstar_math.models import find_model
from rstar_math.pocket.composed import corpus
from rstar_math.pocket.composed.splits import compositions
from rstar_math.pocket.composed.teacher import demonstration
from rstar_math.pocket.pretrain import PretrainSettings, encoded, pretrain


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return corpus.tokenizer()


def test_names_and_digits_are_tokens_of_their_own(tokenizer: PreTrainedTokenizerFast) -> None:
    found = next(compositions("train", 0, ("10-12",)))
    ids = tokenizer.encode(found.question, add_special_tokens=False)
    tokens = [str(tokenizer.decode([i])) for i in ids]
    assert "".join(tokens) == found.question
    assert set(found.names) <= set(tokens)
    assert all(len(token) == 1 for token in tokens if any(c.isdigit() for c in token))
    assert all(len(tokenizer.encode(marker)) == 1 for marker in steps.MARKERS)


def test_the_deepest_problems_fit_into_512_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    deep = islice(compositions("train", 0, ("10-12",)), 10)
    lengths = [len(encoded(tokenizer, found.question, demonstration(found)).ids) for found in deep]
    assert 200 < max(lengths) < 400


def test_a_base_is_made_by_the_same_command(tmp_path: Path) -> None:
    settings = PretrainSettings(
        world="composed", hidden_size=32, num_layers=1, num_heads=2, intermediate_size=48, num_demonstrations=64,
        num_threads=1,
    )  # fmt: skip
    assert pretrain(tmp_path / "base", settings) == 0
    assert find_model(tmp_path / "base").policy_folder == tmp_path / "base"


def test_questions_come_with_right_solutions() -> None:
    for question, solution in islice(corpus.demonstrations(3), 20):
        assert question.startswith("Let ")
        assert solution[-1].answer == steps.last_boxed(solution[-1].text)
