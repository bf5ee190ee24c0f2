"""What is asked of a model, checked before anything is done: the question, how it is searched, what it may cost."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Protocol

from rstar_math.config import AnsweringSettings
from rstar_math.config.reading import check
from rstar_math.errors import ConfigError, ModelError
from rstar_math.search.strategies import strategy as find_strategy
from rstar_math.types import Problem


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was found in order.

    Attributes:
      problem: the question.
      settings: how it is answered, limits included.
      seed: of the search.
    """

    problem: Problem
    settings: AnsweringSettings
    seed: int


class Answering(Protocol):
    """What is to be known of the model that is asked: its name, its own settings, and whether it scores steps."""

    answering: AnsweringSettings

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def has_reward_model(self) -> bool:
        """Whether it scores steps."""


def asked(
    problem: str | Problem,
    model: Answering,
    strategy: str | None = None,
    *,
    num_simulations: int | None = None,
    max_depth: int | None = None,
    max_rollouts: int | None = None,
    max_tokens: int | None = None,
    max_seconds: float | None = None,
    seed: int = 0,
    settings: AnsweringSettings | None = None,
) -> Asked:
    """Checks a question as `RStarMathModel.solve` takes it; raises ConfigError and ModelError as it does."""
    question = as_problem(problem)
    if settings is not None and not isinstance(settings, AnsweringSettings):
        raise ConfigError(f"settings is {shown(settings)}; give a rstar_math.config.AnsweringSettings")
    if not isinstance(seed, int):
        raise ConfigError(f"seed is {shown(seed)}; give a whole number")
    for name, number in (
        ("num_rollouts", num_simulations),
        ("max_depth", max_depth),
        ("max_rollouts", max_rollouts),
        ("max_tokens", max_tokens),
    ):
        if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
            raise ConfigError(f"{name} is {shown(number)}; give a whole number")
        if number is not None and number < 1:
            raise ConfigError(f"{name} is {number}; it must be at least 1")
    if max_seconds is not None and not (isinstance(max_seconds, int | float) and 0 < max_seconds < math.inf):
        raise ConfigError(f"max_seconds is {shown(max_seconds)}; give a number greater than 0")
    chosen = settings or model.answering
    changes: dict[str, object] = {"strategy": strategy} if strategy is not None else {}
    search = {"num_rollouts": num_simulations, "max_depth": max_depth}
    budget = {"rollouts": max_rollouts, "tokens": max_tokens, "seconds": max_seconds}
    changes["search"] = chosen.search.model_dump() | {k: v for k, v in search.items() if v is not None}
    changes["budget"] = chosen.budget.model_dump() | {k: v for k, v in budget.items() if v is not None}
    chosen = check(AnsweringSettings, chosen.model_dump() | changes, "solve")
    if not model.has_reward_model and find_strategy(chosen.strategy).needs_reward_model(chosen.search):
        raise ModelError(
            f"{chosen.strategy} searches by a reward model here, and {model.name} has none. Take the "
            "strategy sample (the default of such a model: the majority of 32 samples), or name a reward model in "
            "a model file (docs/real-models.md)"
        )
    return Asked(question, chosen, seed)


def question_id(question: str) -> str:
    """The id of a problem of which only the question is known. Chance comes from it, so that it is the text's alone."""
    return f"question-{hashlib.sha256(question.strip().encode()).hexdigest()[:12]}"


def as_problem(problem: str | Problem) -> Problem:
    """A question as a problem.

    Raises:
      ConfigError: it is empty, or neither text nor a problem.
    """
    if isinstance(problem, Problem):
        question = problem.question
    elif isinstance(problem, str):
        question = problem
    else:
        raise ConfigError(f"the problem is {shown(problem)}; give a question as text, or a rstar_math.Problem")
    if not isinstance(question, str) or not question.strip():
        raise ConfigError("the problem is empty; give the text of a question")
    try:
        own_id = question_id(question)
    except UnicodeEncodeError as error:
        raise ConfigError(f"the problem holds {error.object[error.start]!r}, which is no Unicode character") from None
    return problem if isinstance(problem, Problem) else Problem(id=own_id, question=question.strip())


def shown(value: object) -> str:
    """A value of the caller's for a message: its first characters, and its type."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
