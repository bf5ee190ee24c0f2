"""What `evaluate_step` asks of the reward model: the prefixes on the path, and the last one by its kind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rstar_math import steps
from rstar_math.api.step_probability import step_probability
from rstar_math.checkpoints.ppm_file import path_log_probability
from rstar_math.engines.base import Score
from rstar_math.errors import FormatError
from tests.training.test_calibration import CALIBRATION

PROMPT = steps.prompt("How many?")
FIRST, SECOND = "\nx = 2\n<end_of_step>", "\ny = 3\n<end_of_step>"
END, OUTPUT = "\nprint(x)\n<end_of_code>", "\n<output>2<end_of_output>"
ANSWER = "\n<answer>\\boxed{2}<end_of_answer>"


class Listed:
    """A reward model whose logits are 1, 2, 3 ... in the order of the texts; remembers what it was asked."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    async def score(self, texts: Sequence[str]) -> list[Score]:
        self.texts += texts
        return [Score(float(i + 1), 0.0, 1) for i in range(len(texts))]

    async def aclose(self) -> None: ...


def asked(text: str) -> tuple[float, list[str]]:
    reward_model = Listed()
    probability = asyncio.run(step_probability(reward_model, CALIBRATION, PROMPT + text))
    return probability, [t.removeprefix(PROMPT) for t in reward_model.texts]


def test_a_step_is_judged_with_the_steps_before_it() -> None:
    probability, texts = asked(FIRST + SECOND)
    assert texts == [FIRST, FIRST + SECOND]
    assert probability == CALIBRATION.probability("step", 2.0, path_log_probability([1.0, 2.0]), 2)
    probability, texts = asked(FIRST)
    assert probability == CALIBRATION.probability("step", 1.0, path_log_probability([1.0]), 1)


def test_the_end_of_a_program_has_a_kind_with_its_output_and_one_without() -> None:
    assert asked(FIRST + END) == (
        CALIBRATION.probability("code", 2.0, path_log_probability([1.0]), 2),
        [FIRST, FIRST + END],
    )
    assert asked(FIRST + END + OUTPUT) == (
        CALIBRATION.probability("output", 2.0, path_log_probability([1.0]), 2),
        [FIRST, FIRST + END + OUTPUT],
    )


def test_a_whole_solution_is_judged_by_its_answer_and_its_steps() -> None:
    probability, texts = asked(FIRST + SECOND + END + OUTPUT + ANSWER)
    assert texts == [FIRST, FIRST + SECOND, FIRST + SECOND + END + OUTPUT + ANSWER]
    assert probability == CALIBRATION.probability("answer", 3.0, path_log_probability([1.0, 2.0]), 4)


def test_a_text_without_a_step_is_refused() -> None:
    with pytest.raises(FormatError, match="no step that ends with"):
        asked("\nx = 2")
