"""Sampling: distributions, nuclei and log-probabilities by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from rstar_math.engines.torch.sampling import next_tokens, uniforms
from rstar_math.errors import ConfigError
from rstar_math.types import SamplingParams

LOGITS = torch.log(torch.tensor([0.1, 0.5, 0.0, 0.15, 0.25]))


def draw(points: list[float], temperature: float = 1.0, top_p: float = 1.0) -> tuple[list[int], list[float]]:
    rows = len(points)
    tokens, logprobs = next_tokens(
        LOGITS.expand(rows, -1).contiguous(),
        torch.tensor(points, dtype=torch.float64),
        torch.full((rows,), temperature),
        torch.full((rows,), top_p),
    )
    return tokens.tolist(), logprobs.tolist()


@pytest.mark.parametrize(
    "value", [{"n": -1}, {"temperature": -0.1}, {"temperature": math.nan}, {"temperature": math.inf}, {"top_p": 0.0},
              {"top_p": 1.1}, {"top_p": math.nan}, {"max_tokens": 0}, {"stop": ("<end>", "")}]
)  # fmt: skip
def test_what_no_engine_can_do_is_refused_at_once(value: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="|".join((*value, "stop marker is empty"))):
        SamplingParams(**value)


def test_tokens_follow_the_cumulated_probabilities() -> None:
    tokens, logprobs = draw([0.0, 0.09, 0.11, 0.59, 0.61, 0.74, 0.76, 1 - 2**-53])
    assert tokens == [0, 0, 1, 1, 3, 3, 4, 4]
    assert logprobs[:3] == pytest.approx([math.log(0.1), math.log(0.1), math.log(0.5)])


def test_temperature_sharpens_the_draw_but_not_the_log_probability() -> None:
    # at temperature 1/2 the weights are 0.01, 0.25, 0, 0.0225, 0.0625 of 0.345
    tokens, logprobs = draw([0.028, 0.030, 0.75, 0.76, 0.82], temperature=0.5)
    assert tokens == [0, 1, 1, 3, 4]
    assert logprobs[0] == pytest.approx(math.log(0.1))


def test_greedy_takes_the_most_likely() -> None:
    assert draw([0.0, 0.99], temperature=0.0)[0] == [1, 1]


def test_nucleus_is_the_smallest_set_with_enough_probability() -> None:
    points = list(np.linspace(0, 0.999, 50))
    assert set(draw(points, top_p=0.5)[0]) == {1}
    assert set(draw(points, top_p=0.51)[0]) == {1, 4}
    assert set(draw(points, top_p=0.76)[0]) == {1, 4, 3}
    assert set(draw(points, top_p=0.95)[0]) == {0, 1, 3, 4}


def test_frequencies_match_probabilities() -> None:
    tokens, _ = draw(uniforms([1, 2], seed=7, num_rows=1, num_tokens=20_000)[0].tolist())
    frequencies = np.bincount(tokens, minlength=5) / len(tokens)
    assert frequencies == pytest.approx([0.1, 0.5, 0.0, 0.15, 0.25], abs=0.015)


def test_random_numbers_belong_to_prompt_seed_and_row() -> None:
    base = uniforms([1, 2, 3], 5, 4, 10)
    assert (base == uniforms([1, 2, 3], 5, 9, 10)[:4]).all()
    assert (base != uniforms([1, 2, 3], 6, 4, 10)).any()
    assert (base != uniforms([1, 2, 4], 5, 4, 10)).any()
    assert (uniforms([1], -1, 1, 3) == uniforms([1], 2**64 - 1, 1, 3)).all()
    assert len(np.unique(base)) == base.size
