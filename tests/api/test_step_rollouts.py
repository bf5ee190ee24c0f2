"""`evaluate_step` by fresh rollouts: of steps that no policy would make, too; the README's example among them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rstar_math import RStarMathModel, steps
from rstar_math.api.step_rollouts import Answers, question_of
from rstar_math.errors import ConfigError

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def model() -> Iterator[RStarMathModel]:
    with RStarMathModel.from_pretrained("pocket") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def question() -> str:
    found = re.search(r'problem = "(.*)"', README)
    assert found is not None
    return found.group(1)


def test_a_right_step_of_the_readme_is_probable_and_wrong_ones_are_not(model: RStarMathModel, question: str) -> None:
    right = "# net change\nnet = 30 - 7"
    assert f'model.evaluate_step(problem, "{right.encode("unicode_escape").decode()}")' in README
    assert model.evaluate_step(question, right) > 0.8
    for wrong in ("# net change\nnet = 30 + 7", "# net change\nnet = 30 * 7", "# net change\nnet = 7 - 30"):
        assert model.evaluate_step(question, wrong) < 0.3
    # the reward model alone has only seen what the policy does
    alone = [model.evaluate_step(question, step, num_rollouts=0) for step in (right, "# net change\nnet = 30 + 7")]
    assert abs(alone[0] - alone[1]) < 0.1


def test_later_steps_answers_and_programs_that_fail(model: RStarMathModel, question: str) -> None:
    first = steps.prompt(question) + "\n# net change\nnet = 30 - 7\n<end_of_step>"
    assert model.evaluate_step(first, "# over the whole time\nanswer = net * 6") > 0.8
    assert model.evaluate_step(first, "# over the whole time\nanswer = net * 7") < 0.3
    assert model.evaluate_step(first, "answer = missing * 6") < 0.3
    program = first + "\nanswer = net * 6\n<end_of_step>\nprint(answer)\n<end_of_code>\n<output>138<end_of_output>"
    assert model.evaluate_step(program, "\n<answer>The answer is \\boxed{138}.<end_of_answer>") > 0.8
    assert model.evaluate_step(program, "\n<answer>The answer is \\boxed{139}.<end_of_answer>") < 0.3


def test_the_same_arguments_give_the_same_probability(model: RStarMathModel, question: str) -> None:
    step = "# net change\nnet = 30 - 7"
    several = [model.evaluate_step(question, step, num_rollouts=4) for _ in range(2)]
    assert several[0] == several[1]

    async def at_once() -> list[float]:
        return await asyncio.gather(*(model.aevaluate_step(question, step, num_rollouts=4) for _ in range(2)))

    assert asyncio.run(at_once()) == pytest.approx(several, abs=1e-4)
    with pytest.raises(ConfigError, match="num_rollouts is -1"):
        model.evaluate_step(question, step, num_rollouts=-1)


def test_an_answer_is_made_once_for_each_question(model: RStarMathModel, question: str) -> None:
    answers, bench = Answers(), model._workbench

    async def asked() -> bool:
        twice = await asyncio.gather(*(answers.to(question, bench, model.answering) for _ in range(2)))
        return twice[0] is twice[1]

    assert model._loop.call(asked())


def test_the_question_is_read_from_the_prompt() -> None:
    assert question_of(steps.prompt("How many?\n  Say it.") + "\nx = 1\n<end_of_step>") == "How many?\n  Say it."
