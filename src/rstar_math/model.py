"""The Python API: load a model, think about a problem, judge a step.

model = RStarMathModel.from_pretrained("pocket")
solution = model.solve_with_mcts("What is ...?", num_simulations=100, max_depth=20)
solution.answer, solution.reasoning_trace
model.evaluate_step(current_state, next_step)
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from rstar_math import steps as step_format
from rstar_math.answering import is_sure
from rstar_math.config import AnsweringSettings, RuntimeSettings
from rstar_math.errors import ConfigError, ModelError
from rstar_math.models import ModelFolders, default_answering, find_model
from rstar_math.search import strategies
from rstar_math.search.answer import answer
from rstar_math.store.files import read_json
from rstar_math.types import Problem, Solution, Step
from rstar_math.workbench import Workbench, open_workbench

T = TypeVar("T")


class RStarMathModel:
    """A policy with its process preference model, ready to answer. Use `from_pretrained`; close it when done.

    Calls may come from any thread. The models and the sandbox live in an event loop of their own.
    """

    def __init__(self, folders: ModelFolders, runtime: RuntimeSettings) -> None:
        self.folders = folders
        self.answering: AnsweringSettings = default_answering(folders)
        self._runtime = runtime
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rstar-math", daemon=True)
        self._thread.start()
        try:
            self._bench: Workbench | None = self._call(_open(folders, runtime))
        except BaseException:
            self._stop_loop()
            raise

    @classmethod
    def from_pretrained(cls, model: str | Path = "pocket", runtime: RuntimeSettings | None = None) -> Self:
        """Loads a model.

        Args:
          model: `pocket`, `pocket-base`, a run folder, a folder with `policy/` and `ppm/`, or a checkpoint folder.
          runtime: device, arithmetic and the limits of step execution.

        Raises:
          ModelError: there is no such model, or it is unfit for the step format.
          SandboxError: steps cannot be executed safely on this machine.
        """
        return cls(find_model(model), runtime or RuntimeSettings())

    def solve_with_mcts(
        self,
        problem: str | Problem,
        num_simulations: int | None = None,
        max_depth: int | None = None,
        *,
        max_rollouts: int | None = None,
        max_tokens: int | None = None,
        max_seconds: float | None = None,
        seed: int = 0,
        settings: AnsweringSettings | None = None,
    ) -> Solution:
        """Thinks about a problem by PPM-augmented MCTS.

        Args:
          problem: the question.
          num_simulations: rollouts of each tree; None: as measured to be best for this model.
          max_depth: most steps of a solution; None likewise.
          max_rollouts, max_tokens, max_seconds: what the answer may cost in all: rollouts, tokens generated, wall
            seconds. Under a limit fresh trees follow one another until the first limit is reached, and the best answer
            so far is given, with its share of the vote (`Solution.confidence`).
          seed: the same seed gives the same solution.
          settings: everything else; None: the model's own.

        Raises:
          ConfigError: the question is empty, or a number is out of range.
        """
        return self.solve(
            problem,
            "mcts",
            num_simulations=num_simulations,
            max_depth=max_depth,
            max_rollouts=max_rollouts,
            max_tokens=max_tokens,
            max_seconds=max_seconds,
            seed=seed,
            settings=settings,
        )

    def solve(
        self,
        problem: str | Problem,
        strategy: str | None = None,
        *,
        num_simulations: int | None = None,
        max_depth: int | None = None,
        max_rollouts: int | None = None,
        max_tokens: int | None = None,
        max_seconds: float | None = None,
        seed: int = 0,
        settings: AnsweringSettings | None = None,
    ) -> Solution:
        """Answers a problem by any strategy, None: the one that the settings name; otherwise as `solve_with_mcts`."""
        chosen = settings or self.answering
        if strategy is not None:
            chosen = chosen.model_copy(update={"strategy": strategy})
        if strategies.strategy(chosen.strategy).needs_reward_model(chosen.search) and self.folders.ppm is None:
            raise ModelError(
                f"{chosen.strategy} searches by a reward model, and {self.folders.name} has none; take the strategy "
                "sample, or name a PPM in a model file (docs/real-models.md)"
            )
        limits = {"rollouts": max_rollouts, "tokens": max_tokens, "seconds": max_seconds}
        for name, limit in limits.items():
            if limit is not None and not limit > 0:
                raise ConfigError(f"max_{name} is {limit}; it must be greater than 0")
        budget = chosen.budget.model_dump() | {k: v for k, v in limits.items() if v is not None}
        changes = {"num_rollouts": num_simulations, "max_depth": max_depth}
        search = chosen.search.model_dump() | {k: v for k, v in changes.items() if v is not None}
        for name, value in changes.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1")
        chosen = AnsweringSettings.model_validate(chosen.model_dump() | {"search": search, "budget": budget})
        solution, _ = self._call(answer(_as_problem(problem), self._workbench.environment, chosen, seed))
        sure = is_sure(solution, chosen, self.folders.answering, self.folders.threshold)
        return replace(solution, sure=sure)

    def evaluate_step(
        self, current_state: str | Sequence[Step], next_step: str, *, question: str | None = None
    ) -> float:
        """How likely it is that a step leads to a right answer, by the PPM, calibrated on held-out problems.

        Args:
          current_state: the text so far (a question alone, or a prompt with steps as `Tree.prefix` gives it), or the
            steps so far together with `question`.
          next_step: text of the step; its closing marker is added where it is missing.
          question: the question, where `current_state` is a sequence of steps.

        Returns:
          A probability in [0, 1].

        Raises:
          ModelError: the model has no PPM, or its PPM was never calibrated.
        """
        if self.folders.ppm is None or self._workbench.scorer is None:
            raise ModelError(f"{self.folders.name} has no process preference model; evaluate_step needs one")
        calibration = read_json(self.folders.ppm / "ppm.json").get("calibration")
        if not calibration:
            raise ModelError(f"the PPM in {self.folders.ppm} was never calibrated; see `rstar train ppm --held-out`")
        text = _state_text(current_state, question) + _closed(next_step)
        score = self._call(self._workbench.scorer.score([text]))[0]
        return _sigmoid(calibration["slope"] * score.logit + calibration["intercept"])

    def close(self) -> None:
        """Ends every process and frees the models; calling it twice does no harm."""
        if self._bench is not None:
            bench, self._bench = self._bench, None
            self._call(bench.aclose())
            self._stop_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _workbench(self) -> Workbench:
        if self._bench is None:
            raise ModelError(f"{self.folders.name} has been closed; load it again with from_pretrained")
        return self._bench

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


async def _open(folders: ModelFolders, runtime: RuntimeSettings) -> Workbench:
    return open_workbench(folders.policy, folders.ppm, runtime)


def _as_problem(problem: str | Problem) -> Problem:
    if isinstance(problem, Problem):
        return problem
    if not problem.strip():
        raise ConfigError("the problem is empty; give the text of a question")
    return Problem(id=f"question-{hashlib.sha256(problem.encode()).hexdigest()[:12]}", question=problem.strip())


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


def _sigmoid(x: float) -> float:
    import math

    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
