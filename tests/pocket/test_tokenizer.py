"""The pocket tokenizer: markers, digits, round trips, and the same ids however it is loaded."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaConfig, PreTrainedTokenizerFast

from rstar_math import steps
from rstar_math.pocket.demonstrations import demonstration
from rstar_math.pocket.pretrain import encoded
from rstar_math.pocket.splits import exercises
from rstar_math.pocket.tokenizer import EOS, PAD, TURNS, corpus_texts, save_tokenizer, train_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer and the model configuration beside which AutoTokenizer reads it."""
    out = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_tokenizer(corpus_texts(800), vocab_size=900), out)
    LlamaConfig(vocab_size=960).save_pretrained(out)
    return out


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    found = AutoTokenizer.from_pretrained(folder)
    assert isinstance(found, PreTrainedTokenizerFast)
    return found


def whole_solutions(num: int) -> list[str]:
    rng = random.Random(8)
    return [
        steps.prompt(exercise.question) + steps.render(demonstration(exercise, rng))
        for exercise in islice(exercises("validation"), num)
    ]


def test_markers_and_turns_are_single_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    texts = (*steps.MARKERS, *TURNS, PAD, EOS)
    ids = [tokenizer.encode(text) for text in texts]
    assert all(len(one) == 1 for one in ids)
    assert len({one[0] for one in ids}) == len(texts)


def test_decoding_keeps_markers_even_when_told_to_skip_special_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    text = whole_solutions(1)[0]
    assert tokenizer.decode([*tokenizer.encode(text), tokenizer.eos_token_id], skip_special_tokens=True) == text


def test_digits_stand_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    for text in whole_solutions(20):
        tokens = [str(tokenizer.decode([i])) for i in tokenizer.encode(text)]
        assert all(token.isdigit() and len(token) == 1 for token in tokens if any(c.isdigit() for c in token))


def test_auto_tokenizer_gives_the_ids_of_the_raw_tokenizer(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for text in [*whole_solutions(50), "Ünïcode 漢字\t\r\n\n x  ", ""]:
        assert tokenizer.encode(text) == raw.encode(text).ids
        assert tokenizer(text)["input_ids"] == raw.encode(text).ids
    assert tokenizer.padding_side == "left"
    assert tokenizer.pad_token == PAD


def test_pieces_have_the_ids_of_the_whole(tokenizer: PreTrainedTokenizerFast) -> None:
    rng = random.Random(1)
    for exercise in islice(exercises("validation"), 40):
        solution = demonstration(exercise, rng)
        whole = steps.prompt(exercise.question) + steps.render(solution)
        row = encoded(tokenizer, exercise.question, solution)
        ending = [tokenizer.eos_token_id] if solution[-1].answer is not None else []
        assert list(row.ids) == tokenizer.encode(whole) + ending
        prefix = steps.prompt(exercise.question) + solution[0].text
        assert tokenizer.encode(whole)[: len(tokenizer.encode(prefix))] == tokenizer.encode(prefix)


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_any_text_survives(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_training_again_gives_the_same_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    again = train_tokenizer(corpus_texts(800), vocab_size=900)
    assert again.get_vocab() == tokenizer.get_vocab()
