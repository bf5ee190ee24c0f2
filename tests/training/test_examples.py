"""The SFT loss mask: what is trained, what is not, at token level."""

from __future__ import annotations

from pathlib import Path

import pytest

from rstar_math import steps
from rstar_math.checkpoints.folder import load_tokenizer
from rstar_math.training.examples import IGNORED_LABEL, SFTExample, sft_example, tokenise, tokenise_all

RESPONSE = (
    "\n# Step 1: add\ntotal = 12 + 30\n<end_of_step>\n\n# Now print the final answer\nprint(total)\n<end_of_code>"
    "\n<output>42<end_of_output>\n<answer>From the result, the total is \\boxed{42}.<end_of_answer>"
)


@pytest.fixture
def example() -> SFTExample:
    return sft_example("How many are sold in all?", steps.parse(RESPONSE))


def test_only_what_the_policy_writes_is_trained(tiny_checkpoint: Path, example: SFTExample) -> None:
    tokenizer = load_tokenizer(tiny_checkpoint)
    row = tokenise(tokenizer, example)
    trained = [label for label in row.labels if label != IGNORED_LABEL]
    assert tokenizer.decode(trained) == (
        RESPONSE.replace("\n<output>42<end_of_output>", "") + "<eos>"
    )  # no prompt, no output, and the end of sequence
    assert tokenizer.decode(list(row.input_ids)) == example.text + "<eos>"
    for token, label in zip(row.input_ids, row.labels, strict=True):
        assert label in (token, IGNORED_LABEL)


def test_pieces_encode_as_the_whole_does(tiny_checkpoint: Path, example: SFTExample) -> None:
    tokenizer = load_tokenizer(tiny_checkpoint)
    pieces = [example.prompt, *(text for text, _ in example.pieces)]
    piecewise = [token for piece in pieces for token in tokenizer(piece)["input_ids"]]
    assert piecewise == list(tokenise(tokenizer, example).input_ids[:-1])


def test_a_token_across_the_border_is_not_trained() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # whole words are tokens, whatever piece their letters come from: "bx" is half trained
    vocabulary = {word: i for i, word in enumerate(["[UNK]", "a", "bx", "c"])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw)
    row = tokenise(tokenizer, SFTExample("a ", (("a b", True), ("x a", False), (" c", True))))
    assert row.input_ids == (1, 1, 2, 1, 3)
    assert row.labels == (IGNORED_LABEL, 1, IGNORED_LABEL, IGNORED_LABEL, 3)


def test_template_tokens_are_not_trained_and_white_space_is(tiny_checkpoint: Path) -> None:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    raw = load_tokenizer(tiny_checkpoint).backend_tokenizer
    raw.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),  # leaves white space out of the offsets
            processors.TemplateProcessing(single="<pad> $A", special_tokens=[("<pad>", raw.token_to_id("<pad>"))]),
        ]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<eos>")
    row = tokenise(tokenizer, SFTExample("7<code>", (("\n\n   \n", True), ("<output>\n\n<end_of_output>", False))))
    assert row.labels[0] == IGNORED_LABEL
    trained = [label for label in row.labels if label != IGNORED_LABEL]
    assert tokenizer.decode(trained) == "\n\n   \n<eos>"


def test_long_rows_are_dropped_and_counted(tiny_checkpoint: Path, example: SFTExample) -> None:
    tokenizer = load_tokenizer(tiny_checkpoint)
    length = len(tokenise(tokenizer, example).input_ids)
    longer = sft_example("How many are sold in all of the shops?", steps.parse(RESPONSE))
    tokenised = tokenise_all(tokenizer, [example, longer], max_length=length)
    assert (len(tokenised.rows), tokenised.num_too_long) == (1, 1)
    assert len(tokenised.rows[0].input_ids) == length


def test_a_solution_as_one_program() -> None:
    response = "\n# add\nx = 12\n<end_of_step>\n\ny = x + 30\n<end_of_step>" + RESPONSE.partition("<end_of_step>")[2]
    example = sft_example("How many?", steps.parse(response.replace("total", "y")), "program")
    program = "\n# add\nx = 12\n\n\ny = x + 30\n\n\n# Now print the final answer\nprint(y)\n<end_of_code>"
    assert example.pieces == ((program, True),)
    # one that was found as a whole program loses only what it printed
    again = steps.parse(program + "\n<output>42<end_of_output>")
    assert sft_example("How many?", again, "program") == example


def test_a_solution_as_plain_text() -> None:
    example = sft_example("How many?", steps.parse(RESPONSE), "text")
    assert "".join(text for text, _ in example.pieces) == RESPONSE.replace("\n<output>42<end_of_output>", "")
    assert all(trained for _, trained in example.pieces)
    assert sft_example("How many?", steps.parse(RESPONSE), "steps") == sft_example("How many?", steps.parse(RESPONSE))
