"""How likely it is that a policy goes on from a step to a right answer, by letting it go on.

A reward model that was trained on the policy's own steps knows nothing of a step that the policy never makes: such a
step is where a person's question begins. Here the policy continues the step a few times, and each end counts as much
as its answer is believed, by the model's own answer to the question. No reference is needed.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Sequence
from pathlib import Path

from rstar_math import steps as step_format
from rstar_math.api.asking import question_id, shown
from rstar_math.api.step_probability import step_probability
from rstar_math.checkpoints.ppm_file import read_ppm_file
from rstar_math.config import AnsweringSettings, SearchSettings
from rstar_math.errors import ConfigError, ModelError
from rstar_math.models import ModelFolders
from rstar_math.search.answer import answer, equivalence_classes
from rstar_math.search.forms import form_of
from rstar_math.search.sampling import sample_below
from rstar_math.types import Problem, Solution, Step
from rstar_math.workers.bench import Workbench

PRIOR_WEIGHT = 1.0
"""Rollouts that the reward model's word counts for."""


MOST_ANSWERS = 64
"""Questions whose answers are kept."""


class Answers:
    """The model's own answers to the last questions, so that many steps of one question cost a single answer."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, AnsweringSettings], Solution] = OrderedDict()
        self._making = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def to(self, question: str, bench: Workbench, answering: AnsweringSettings) -> Solution:
        """The answer; made where it is not kept. Of several that ask at once one makes it."""
        async with self._making[question]:
            key = question, answering
            if key not in self._kept:
                problem = Problem(question_id(question), question)
                self._kept[key], _ = await answer(problem, bench.environment, answering, 0)
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_ANSWERS:
                (oldest, _), _ = self._kept.popitem(last=False)
                self._making.pop(oldest, None)
            return self._kept[key]


async def probability(
    bench: Workbench,
    folders: ModelFolders,
    answering: AnsweringSettings,
    text: str,
    num_rollouts: int,
    answers: Answers,
) -> float:
    """What `RStarMathModel.evaluate_step` gives for a text that ends with a step.

    Raises:
      ConfigError: `num_rollouts` is below 0 or no whole number.
      ModelError: there is no reward model, or it is not calibrated.
    """
    if not isinstance(num_rollouts, int) or num_rollouts < 0:
        raise ConfigError(f"num_rollouts is {shown(num_rollouts)}; give 0 (the reward model alone) or more")
    if folders.reward_model is None or bench.reward_model is None:
        raise ModelError(f"{folders.name} has no process preference model; evaluate_step needs one")
    in_memory = folders.reward_model == Path()  # see `RStarMathModel.from_workbench`
    calibration = None if in_memory else read_ppm_file(folders.reward_model).calibration
    if calibration is None:
        raise ModelError(
            f"the reward model of {folders.name} is not calibrated; `rstar calibrate` does it for a folder"
        )
    prior = await step_probability(bench.reward_model, calibration, text)
    if num_rollouts == 0:
        return prior
    solution = await answers.to(question_of(text), bench, answering)
    return await rolled_out(bench, text, solution, answering.search, prior, num_rollouts)


async def rolled_out(
    bench: Workbench, text: str, solution: Solution, search: SearchSettings, prior: float, num_rollouts: int
) -> float:
    """The probability, in (0, 1), for a text that ends with a step.

    Args:
      bench: policy, executor and grader.
      text: prompt and steps, the last one with its closing marker.
      solution: the model's answer to the question, whose confidence says how far an answer is believed.
      search: how the model answers: temperature, limits, form.
      prior: what the reward model says; counts as one more rollout.
      num_rollouts: fresh rollouts below the step, at least 1.
    """
    _, response = step_format.split_prompt(text)
    question = question_of(text)
    steps = step_format.parse(response.removeprefix(step_format.CODE))
    ends = await _ends(bench, Problem(question_id(question), question), steps, search, num_rollouts)
    believed = await _believed(bench, [end for end in ends if end is not None], solution)
    return (sum(believed.get(end, 0.0) for end in ends) + PRIOR_WEIGHT * prior) / (num_rollouts + PRIOR_WEIGHT)


def question_of(text: str) -> str:
    """The question of a text that begins with a prompt."""
    prompt, _ = step_format.split_prompt(text)
    opening, closing = step_format.USER_TURN.format(question=""), step_format.ASSISTANT_TURN
    return prompt.removesuffix(closing).removeprefix(opening)


async def _ends(
    bench: Workbench, problem: Problem, steps: Sequence[Step], search: SearchSettings, num_rollouts: int
) -> list[str | None]:
    """The answer that each rollout ends with; None where it ends without."""
    *before, last = steps
    env = bench.environment(problem, 0)
    if last.answer is not None:
        return [last.answer] * num_rollouts
    if not last.observation:
        stop = next((s for s in step_format.STOPS if last.text.endswith(s)), None)
        (tried,) = await form_of(search).try_steps(env, before, [(last.text, stop)])
        if tried.rejected is not None:
            return [None] * num_rollouts
        last = tried.step
    alone = {"num_rollouts": num_rollouts, "use_ppm": False, "terminal_value": "ppm"}  # nothing is graded
    tree = await sample_below(env, [*before, last], search.model_copy(update=alone))
    ends = [tree.nodes[i] for i in tree.rollouts]
    answers = [end.step.answer if end.terminal == "answer" and end.step else None for end in ends]
    return [*answers, *[None] * (num_rollouts - len(answers))]


async def _believed(bench: Workbench, ends: Sequence[str], solution: Solution) -> dict[str | None, float]:
    """How probable it is that each answer is right: the confidence for the model's own and all that mean the same.

    What the confidence leaves over goes to the other answers that the model found, by how often it found them.
    """
    found = Counter(t.answer for t in solution.candidates if t.answer is not None)
    texts = list(dict.fromkeys([*([solution.answer] if solution.answer is not None else []), *found, *ends]))
    classes = dict(zip(texts, await equivalence_classes(texts, bench.grader.grade), strict=True))
    own = classes.get(solution.answer) if solution.answer is not None else None
    others: dict[int | None, int] = defaultdict(int)
    for text, count in found.items():
        if classes[text] != own:
            others[classes[text]] += count
    num_others = sum(others.values())

    def share(text: str) -> float:
        if classes[text] == own:
            return solution.confidence
        return (1.0 - solution.confidence) * others[classes[text]] / num_others if num_others else 0.0

    return {text: share(text) for text in ends}
