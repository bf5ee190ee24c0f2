"""From a request to how its question is thought about: model, strategy, limits, seed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from rstar_math.api.model import RStarMathModel
from rstar_math.config.curve import EffortName
from rstar_math.serve.errors import RequestError, refused
from rstar_math.serve.requests import Exact, Request


@dataclass(frozen=True, slots=True)
class Dial:
    """How a question is thought about.

    Attributes:
      name: of the model, as it was asked for.
      model: the model.
      strategy: None: the model's own.
      tokens, rollouts, seconds: limits of the answer; None: the model's own.
      seed: of the search.
      notes: what the client should know.
    """

    name: str
    model: RStarMathModel
    strategy: str | None
    tokens: int | None
    rollouts: int | None
    seconds: float | None
    seed: int
    notes: tuple[str, ...]


def model_names(models: Mapping[str, RStarMathModel]) -> dict[str, tuple[RStarMathModel, str | None]]:
    """Every name that a request may give: a model, or a model with one of its strategies, `pocket:forest`."""
    names: dict[str, tuple[RStarMathModel, str | None]] = {}
    for name, model in models.items():
        names[name] = (model, None)
        names |= {f"{name}:{strategy}": (model, strategy) for strategy in model.strategies()}
    return names


def dial(request: Request, names: Mapping[str, tuple[RStarMathModel, str | None]]) -> Dial:
    """What the request asks for.

    Raises:
      RequestError: there is no such model or strategy, or two fields contradict each other.
    """
    if request.model not in names:
        listed = ", ".join(name for name in names if ":" not in name)
        raise RequestError(
            404, f"there is no model {request.model!r}; there are {listed}", code="model_not_found", param="model"
        )
    model, strategy = names[request.model]
    exact, notes = request.rstar or Exact(), list[str]()
    if exact.strategy is not None:
        if strategy not in (None, exact.strategy):
            raise refused("rstar.strategy", f"the model's name says {strategy}, rstar.strategy {exact.strategy}")
        if exact.strategy not in model.strategies():
            choices = ", ".join(model.strategies())
            raise refused("rstar.strategy", f"{model.name} cannot search by {exact.strategy!r}; it can by {choices}")
        strategy = exact.strategy
    tokens = exact.tokens
    if request.reasoning_effort is not None and tokens is None:
        strategy, tokens = _effort(request.reasoning_effort, model, strategy, notes)
    budget = request.thinking_token_budget
    if budget is not None:
        tokens = budget if tokens is None else min(tokens, budget)
    seed = exact.seed if exact.seed is not None else request.seed
    if seed is None:
        seed = secrets.randbits(31) if request.temperature else 0
    if request.temperature:
        notes.append("temperature: candidates are drawn as the model was measured; above 0 it means a seed by chance")
    return Dial(request.model, model, strategy, tokens, exact.rollouts, exact.seconds, seed, tuple(notes))


def _effort(
    effort: EffortName, model: RStarMathModel, strategy: str | None, notes: list[str]
) -> tuple[str | None, int | None]:
    """Strategy and token budget of a `reasoning_effort`."""
    if effort == "none":
        return strategy or "greedy", None
    if (tokens := model.tokens_for(effort)) is not None:
        return strategy, tokens
    notes.append(
        f"reasoning_effort: nobody measured what {model.name} makes of more tokens; its own settings were used"
    )
    return strategy, None
