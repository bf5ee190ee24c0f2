"""How likely it is that a policy goes on from a step to a right answer, by a calibrated reward model."""

from __future__ import annotations

from rstar_math import steps as step_format
from rstar_math.checkpoints.ppm_file import Calibration, path_log_probability
from rstar_math.engines.base import RewardModel
from rstar_math.errors import FormatError
from rstar_math.training.prefixes import prefixes


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
