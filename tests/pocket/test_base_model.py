"""The base model that is shipped: an ordinary folder, fit for the step format, weak where it should be."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from rstar_math import steps
from rstar_math.pocket import arithmetic, pocket_problems
from rstar_math.types import Problem

FOLDER = Path(str(files("rstar_math"))) / "pocket" / "models" / "pocket-base"


@pytest.fixture(scope="module")
def base() -> tuple[Any, PreTrainedTokenizerFast]:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return AutoModelForCausalLM.from_pretrained(FOLDER).eval(), tokenizer


@torch.inference_mode()
def greedy(base: tuple[Any, PreTrainedTokenizerFast], problems: list[Problem]) -> list[str]:
    """What the base writes for each problem up to the end of its code."""
    model, tokenizer = base
    batch = tokenizer(
        [steps.prompt(problem.question) for problem in problems],
        return_tensors="pt",
        padding=True,
        return_token_type_ids=False,
    )
    end = tokenizer.convert_tokens_to_ids(steps.END_OF_CODE)
    out = model.generate(**batch, max_new_tokens=140, do_sample=False, eos_token_id=end)
    return [str(tokenizer.decode(ids, skip_special_tokens=True)) for ids in out[:, batch["input_ids"].shape[1] :]]


def num_right(base: tuple[Any, PreTrainedTokenizerFast], tier: str, num: int) -> int:
    mix = {"gsm": (1.0, 0.0, 0.0), "olympiad": (0.0, 0.0, 1.0)}[tier]
    right = 0
    problems = pocket_problems("validation", num, mix=mix)
    for problem, text in zip(problems, greedy(base, problems), strict=True):
        namespace, printed = arithmetic.Namespace(), ""
        assert text.endswith(steps.END_OF_CODE)
        try:
            for step in steps.parse(text):
                printed += arithmetic.run(step.code, namespace)
        except arithmetic.FAILURES:
            continue
        right += printed.strip() == problem.answer
    return right


def test_it_is_small_and_its_tokenizer_is_fit_for_the_step_format(
    base: tuple[Any, PreTrainedTokenizerFast],
) -> None:
    model, tokenizer = base
    assert model.num_parameters() < 1.2e6
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5e6
    assert all(len(tokenizer.encode(marker)) == 1 for marker in steps.MARKERS)
    assert len(tokenizer) <= model.config.vocab_size


def test_it_does_most_stories_and_few_olympiad_problems(
    base: tuple[Any, PreTrainedTokenizerFast],
) -> None:
    assert num_right(base, "gsm", 24) >= 12
    assert num_right(base, "olympiad", 24) <= 8


def test_problems_are_short_in_tokens(base: tuple[Any, PreTrainedTokenizerFast]) -> None:
    _, tokenizer = base
    lengths = [len(tokenizer.encode(steps.prompt(p.question))) for p in pocket_problems("validation", 150)]
    assert sum(lengths) / len(lengths) < 32
    assert max(lengths) < 80
