"""How likely it is that a policy goes on from a step to a right answer, by a calibrated reward model."""

from __future__ import annotations

from collections.abc import Sequence

from rstar_math import steps as step_format
from rstar_math.api.asking import shown
from rstar_math.checkpoints.ppm_file import Calibration, path_log_probability
from rstar_math.engines.base import RewardModel
from rstar_math.errors import ConfigError, FormatError
from rstar_math.training.prefixes import prefixes
from rstar_math.types import Step


async def step_probability(reward_model: RewardModel, calibration: Calibration, text: str) -> float:
    """The probability, in (0, 1), for a text that ends with a step.

    The steps before it are scored as well, in the same request: a solution is as good as its worst step.

    Args:
      reward_model: whose logits the calibration maps.
      calibration: its own.
      text: prompt and steps, the last one with its closing marker.

    Raises:
      FormatError: the text holds no step.
      ContextLengthError: it is longer than the reward model's context.
    """
    prompt, response = step_format.split_prompt(text)
    found = prefixes(prompt, step_format.parse(response))
    if not found:
        raise FormatError(f"no step that ends with one of {', '.join(step_format.STOPS)} in {response[-60:]!r}")
    *before, last = found
    on_path = [prefix for prefix in before if prefix.kind == "step"]
    logits = [score.logit for score in await reward_model.score([prefix.text for prefix in (*on_path, last)])]
    path = path_log_probability(logits if last.kind == "step" else logits[:-1])
    return calibration.probability(last.kind, logits[-1], path, last.depth)


def step_text(state: str | Sequence[Step], next_step: str, question: str | None) -> str:
    """The whole text that the reward model reads; arguments as `RStarMathModel.evaluate_step` takes them.

    Raises:
      ConfigError: an argument is of the wrong type, or the question is missing.
    """
    if not isinstance(next_step, str):
        raise ConfigError(f"next_step is {shown(next_step)}; give the text of a step")
    if question is not None and not isinstance(question, str):
        raise ConfigError(f"question is {shown(question)}; give a text")
    if not isinstance(state, str) and not (
        isinstance(state, Sequence) and all(isinstance(step, Step) for step in state)
    ):
        raise ConfigError(f"current_state is {shown(state)}; give a text, or a sequence of steps")
    return _state_text(state, question) + _closed(next_step)


def _state_text(state: str | Sequence[Step], question: str | None) -> str:
    if not isinstance(state, str):
        if question is None:
            raise ConfigError("evaluate_step needs `question` where current_state is a sequence of steps")
        return step_format.prompt(question) + step_format.render(state)
    return state if step_format.ASSISTANT_TURN in state else step_format.prompt(state)


def _closed(step: str) -> str:
    if any(step.rstrip().endswith(m) for m in (*step_format.STOPS, step_format.END_OF_OUTPUT)):
        return step.rstrip()
    return ("" if step.startswith("\n") else "\n") + step.rstrip("\n") + "\n" + step_format.END_OF_STEP
