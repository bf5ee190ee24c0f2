"""Tiny randomly initialised checkpoints with a byte-level tokenizer that knows the step format's markers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from rstar_math import steps

_CORPUS = [
    steps.prompt("Ann has 12 apples and buys 30 more. How many apples does she have?"),
    "\n# Step 1: add the apples\ntotal = 12 + 30\n",
    "\n# Now print the final answer\nprint(total * 2 - 7)\n",
    f"{steps.ANSWER}From the result, the total is \\boxed{{42}}.{steps.END_OF_ANSWER}",
    "for i in range(10):\n    x = i // 3 % 4\n",
]

_SIZES: dict[str, Any] = {
    "vocab_size": 0,  # the tokenizer's
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,  # wide enough that the next token depends on the context
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": None,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": True},
    "qwen2": {"tie_word_embeddings": False, "rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}},
    "phi3": {},
    "mistral": {"sliding_window": None},
}


def make_tokenizer(markers: tuple[str, ...] = steps.MARKERS) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of some 350 tokens."""
    backend = Tokenizer(models.BPE())
    # those of Qwen2, because AutoTokenizer gives them to every model of that type
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator(
        _CORPUS,
        trainers.BpeTrainer(
            vocab_size=350,
            special_tokens=["<pad>", "<eos>", *markers],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>")


def save_checkpoint(
    folder: Path, architecture: str, *, markers: tuple[str, ...] = steps.MARKERS, num_labels: int = 0, seed: int = 0
) -> Path:
    """Saves a random checkpoint; with `num_labels`, a sequence classifier."""
    tokenizer = make_tokenizer(markers)
    settings = {**_SIZES, "vocab_size": len(tokenizer), **ARCHITECTURES[architecture]}
    config = AutoConfig.for_model(architecture, **settings, **({"num_labels": num_labels} if num_labels else {}))
    torch.manual_seed(seed)
    if num_labels:
        model = AutoModelForSequenceClassification.from_config(config)
    else:
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
