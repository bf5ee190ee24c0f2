"""The pocket tokenizer: byte-level BPE with single digits, the markers and the fixed turns as tokens of their own.

How many tokens a problem takes sets the speed of everything at this scale. So merges may span words, up to the end of
a line or a sentence: the whole comment of a step is often one token.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rstar_math import steps
from rstar_math.pocket.demonstrations import demonstration
from rstar_math.pocket.splits import exercises

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD = "<|pad|>"
EOS = "<|eos|>"
TURNS = ("<|user|>:\n", steps.ASSISTANT_TURN)
"""Fixed text around every question. Each is one token."""

VOCAB_SIZE = 1_536

Architecture = Literal["llama", "qwen2", "phi3"]

_PIECE = r"\n*[^\n.?]+[.?]?"
"""What merges stay within: the line breaks before a line, and the line up to the end of its sentence."""


_LETTER = r"(?<![A-Za-z])[a-z](?![A-Za-z])"


def train_tokenizer(
    texts: Iterable[str] | None = None,
    vocab_size: int = VOCAB_SIZE,
    architecture: Architecture = "llama",
    *,
    letters_alone: bool = False,
) -> PreTrainedTokenizerFast:
    """Makes the tokenizer from texts, or from demonstrations of the base corpus. Encoding adds no token.

    Args:
      texts: None: demonstrations.
      vocab_size: tokens in all.
      architecture: of the model that it is for. `AutoTokenizer` gives every qwen2 model the pre-tokenizer of Qwen2,
        within which no merge spans words: those models need about half as many tokens again.
      letters_alone: whether a letter that is a word, such as the name of a quantity, is never merged with what stands
        beside it; for architectures with the pocket world's own pre-tokenizer.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = _pre_tokenizer(architecture, letters_alone)
    if architecture == "qwen2":
        from tokenizers import normalizers

        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in (PAD, EOS)])
    # not special: decoding must keep them, whatever it is told to skip
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in (*steps.MARKERS, *TURNS)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - tokenizer.get_vocab_size(),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts if texts is not None else corpus_texts(6_000), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=1_024,
    )


def _pre_tokenizer(architecture: Architecture, letters_alone: bool) -> Any:
    from tokenizers import Regex, pre_tokenizers

    patterns = [r"\d", *([_LETTER] if letters_alone else []), _PIECE]
    if architecture == "qwen2":
        from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

        patterns = [PRETOKENIZE_REGEX]
    return pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def corpus_texts(num_texts: int, seed: int = 0) -> Iterable[str]:
    """Whole solutions of the base corpus, mistakes and all."""
    rng = random.Random(f"pocket tokenizer {seed}")
    for exercise in islice(exercises("base", seed, unique=False), num_texts):
        yield steps.prompt(exercise.question) + steps.render(demonstration(exercise, rng))


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Writes tokenizer.json and tokenizer_config.json."""
    tokenizer.save_pretrained(folder)
