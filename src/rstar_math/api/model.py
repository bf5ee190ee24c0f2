"""The Python API: load a model, think about a problem, judge a step; blocking or awaited.

model = RStarMathModel.from_pretrained("pocket")
solution = model.solve_with_mcts("What is ...?", num_simulations=100, max_depth=20)
solution.answer, solution.reasoning_trace
model.evaluate_step(current_state, next_step)
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from rstar_math import steps as step_format
from rstar_math.api.background import BackgroundLoop
from rstar_math.api.step_probability import step_probability
from rstar_math.checkpoints.ppm_file import read_ppm_file
from rstar_math.config import AnsweringSettings, RuntimeSettings
from rstar_math.config.reading import check
from rstar_math.engines.base import NoteKind, Noting
from rstar_math.errors import ConfigError, ModelError
from rstar_math.models import ModelFolders, default_answering, find_model
from rstar_math.search.answer import Course, answer
from rstar_math.search.choice import is_sure
from rstar_math.search.strategies import strategy as find_strategy
from rstar_math.types import Problem, Solution, Step, Unfinished
from rstar_math.workers.bench import Workbench, open_workbench

_NOTES: dict[Unfinished, tuple[NoteKind, ...]] = {
    Unfinished.QUESTION_TOO_LONG: ("too_long",),
    Unfinished.SOLUTION_TOO_LONG: ("too_long",),
    Unfinished.STEP_TOO_LONG: ("length",),
    Unfinished.NO_MARKER: ("no_stop", "restated", "cut_prompt"),
    Unfinished.FORMAT_IGNORED: ("no_stop", "restated", "cut_prompt", "length"),
    Unfinished.REASONING: ("reasoning",),
    Unfinished.WITHHELD: ("withheld",),
}
"""What an engine's notes explain of an unfinished solution."""


class RStarMathModel:
    """A policy, with its process preference model where it has one, ready to answer. Close it when done.

    Calls may come from any thread and from any running event loop (a server, Jupyter): the models and the sandbox live
    in an event loop of their own, in a thread of its own. Questions that are asked at the same time share the engine's
    batches. `solve` blocks; `asolve` is awaited, and cancelling it stops the search and its programs.

    Attributes:
      folders: where the parts of the model lie.
      answering: how it answers where nothing else is asked for.
    """

    def __init__(
        self, folders: ModelFolders, runtime: RuntimeSettings | None = None, bench: Workbench | None = None
    ) -> None:
        self.folders = folders
        self.answering: AnsweringSettings = default_answering(folders)
        self._bench = bench
        self._loop = BackgroundLoop(f"model {folders.name}")
        if bench is None:
            try:
                self._bench = self._loop.call(_open(folders, runtime or RuntimeSettings()))
            except BaseException:
                self._loop.close()
                raise

    @classmethod
    def from_pretrained(cls, model: str | Path = "pocket", runtime: RuntimeSettings | None = None) -> Self:
        """Loads a model.

        Args:
          model: `pocket`, `pocket-base`, a run folder, a folder with `policy/` and perhaps `ppm/`, a checkpoint
            folder, a name at the hub, the URL of a server, a model file, or `my_file.py:function`.
          runtime: device, arithmetic and the limits of step execution.

        Raises:
          ModelError: there is no such model, or it is unfit for the step format.
          SandboxError: steps cannot be executed safely on this machine.
        """
        if not isinstance(model, str | Path):
            raise ConfigError(f"the model is {_shown(model)}; give its name or folder as text or as a Path")
        if runtime is not None and not isinstance(runtime, RuntimeSettings):
            raise ConfigError(f"runtime is {_shown(runtime)}; give a rstar_math.config.RuntimeSettings")
        return cls(find_model(model), runtime)

    @classmethod
    async def aopen(cls, model: str | Path = "pocket", runtime: RuntimeSettings | None = None) -> Self:
        """Loads a model without holding up the running loop: `async with await RStarMathModel.aopen() as model:`."""
        return await asyncio.to_thread(cls.from_pretrained, model, runtime)

    @classmethod
    def from_workbench(
        cls, bench: Workbench, name: str = "own parts", answering: AnsweringSettings | None = None
    ) -> Self:
        """A model of parts that you made yourself: an engine, an executor, a grader and perhaps a reward model.

        Args:
          bench: the parts; they are closed with the model, and must not be bound to an event loop yet.
          name: what messages call it.
          answering: how it answers; None: without a reward model the majority of 32 samples, else the paper's way.
        """
        return cls(
            ModelFolders(name, Path(), Path() if bench.reward_model is not None else None, answering), bench=bench
        )

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
        """Thinks about a problem by PPM-augmented MCTS; otherwise as `solve`."""
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
        course: Course | None = None,
    ) -> Solution:
        """Answers a problem. Blocks; inside a running event loop, `asolve` is the same and does not.

        Args:
          problem: the question.
          strategy: how to search; None: as the settings say, which is what was measured to be best for this model.
          num_simulations: rollouts of each tree, or samples; None: as the settings say.
          max_depth: most steps of a solution; None likewise.
          max_rollouts, max_tokens, max_seconds: what the answer may cost in all: rollouts, tokens generated, wall
            seconds. Under a limit fresh trees follow one another until the first limit is reached, and the best answer
            so far is given, with its share of the vote (`Solution.confidence`).
          seed: the same seed gives the same solution.
          settings: everything else; None: the model's own.
          course: is kept up to date with how far the answer has come, to be read from another thread.

        Returns:
          The solution. Where none was finished its answer is None, and `unfinished` and `why` say the reason.

        Raises:
          ConfigError: the question is empty, or a value is of the wrong type or out of range.
          ModelError: the strategy needs a reward model and there is none, or the model has been closed.
        """
        asked = self._asked(
            problem, strategy, num_simulations, max_depth, max_rollouts, max_tokens, max_seconds, seed, settings
        )
        return self._loop.call(self._answer(*asked, course))

    async def asolve(
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
        course: Course | None = None,
    ) -> Solution:
        """`solve`, awaited. Many at a time share the engine's batches; cancelling one stops its search and programs."""
        asked = self._asked(
            problem, strategy, num_simulations, max_depth, max_rollouts, max_tokens, max_seconds, seed, settings
        )
        return await self._loop.acall(self._answer(*asked, course))

    def evaluate_step(
        self, current_state: str | Sequence[Step], next_step: str, *, question: str | None = None
    ) -> float:
        """How likely it is that the policy goes on from a step to a right answer: a calibrated probability.

        It holds for the steps that the policy itself makes, at the temperature at which it answers: of those that get
        0.8, about 80 % of fresh rollouts below them end right. `ppm.json` says how exactly, on problems held out.

        Args:
          current_state: the text so far (a question alone, or a prompt with steps as `Tree.prefix` gives it), or the
            steps so far together with `question`.
          next_step: text of the step; its closing marker is added where it is missing.
          question: the question, where `current_state` is a sequence of steps.

        Returns:
          A probability in (0, 1).

        Raises:
          ConfigError: an argument is of the wrong type, or `question` is missing.
          ModelError: there is no reward model, or it is not calibrated.
        """
        return self._loop.call(self._probability(_step_text(current_state, next_step, question)))

    async def aevaluate_step(
        self, current_state: str | Sequence[Step], next_step: str, *, question: str | None = None
    ) -> float:
        """`evaluate_step`, awaited."""
        return await self._loop.acall(self._probability(_step_text(current_state, next_step, question)))

    def close(self) -> None:
        """Ends every search and process and frees the models; calling it twice does no harm."""
        if self._bench is not None:
            bench, self._bench = self._bench, None
            self._loop.stop_calls()
            self._loop.call(bench.aclose())
            self._loop.close()

    async def aclose(self) -> None:
        """`close`, without holding up the running loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise ModelError(
            f"{self.folders.name} cannot be pickled or copied: it holds an engine, threads and processes. Load it "
            "where it is needed, with RStarMathModel.from_pretrained"
        )

    @property
    def _workbench(self) -> Workbench:
        if self._bench is None:
            raise ModelError(f"{self.folders.name} has been closed; load it again with from_pretrained")
        return self._bench

    def _asked(
        self,
        problem: str | Problem,
        strategy: str | None,
        num_simulations: int | None,
        max_depth: int | None,
        max_rollouts: int | None,
        max_tokens: int | None,
        max_seconds: float | None,
        seed: int,
        settings: AnsweringSettings | None,
    ) -> tuple[Workbench, Problem, AnsweringSettings, int]:
        """What is asked for, checked: parts, problem, settings, seed."""
        bench, question = self._workbench, _as_problem(problem)
        if settings is not None and not isinstance(settings, AnsweringSettings):
            raise ConfigError(f"settings is {_shown(settings)}; give a rstar_math.config.AnsweringSettings")
        if not isinstance(seed, int):
            raise ConfigError(f"seed is {_shown(seed)}; give a whole number")
        for name, least, number in (
            ("num_rollouts", 1, num_simulations),
            ("max_depth", 1, max_depth),
            ("max_rollouts", 1, max_rollouts),
            ("max_tokens", 1, max_tokens),
        ):
            if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
                raise ConfigError(f"{name} is {_shown(number)}; give a whole number")
            if number is not None and number < least:
                raise ConfigError(f"{name} is {number}; it must be at least {least}")
        if max_seconds is not None and not (isinstance(max_seconds, int | float) and 0 < max_seconds < math.inf):
            raise ConfigError(f"max_seconds is {_shown(max_seconds)}; give a number greater than 0")
        chosen = settings or self.answering
        changes: dict[str, object] = {"strategy": strategy} if strategy is not None else {}
        search = {"num_rollouts": num_simulations, "max_depth": max_depth}
        budget = {"rollouts": max_rollouts, "tokens": max_tokens, "seconds": max_seconds}
        changes["search"] = chosen.search.model_dump() | {k: v for k, v in search.items() if v is not None}
        changes["budget"] = chosen.budget.model_dump() | {k: v for k, v in budget.items() if v is not None}
        chosen = check(AnsweringSettings, chosen.model_dump() | changes, "solve")
        if bench.reward_model is None and find_strategy(chosen.strategy).needs_reward_model(chosen.search):
            raise ModelError(
                f"{chosen.strategy} searches by a reward model here, and {self.folders.name} has none. Take the "
                "strategy sample (the default of such a model: the majority of 32 samples), or name a reward model in "
                "a model file (docs/real-models.md)"
            )
        return bench, question, chosen, seed

    async def _answer(
        self, bench: Workbench, problem: Problem, settings: AnsweringSettings, seed: int, course: Course | None
    ) -> Solution:
        solution, _ = await answer(problem, bench.environment, settings, seed, course)
        if solution.unfinished is not None and isinstance(bench.engine, Noting):
            kinds = _NOTES.get(solution.unfinished, ())
            notes = [note.text for note in bench.engine.notes() if note.kind in kinds]
            solution = replace(solution, why=" ".join([solution.why, *notes]))
        solution = self.folders.with_outside(solution, problem.question)
        sure = is_sure(solution, settings, self.folders.answering, self.folders.threshold)
        return replace(solution, sure=sure)

    async def _probability(self, text: str) -> float:
        reward_model = self._workbench.reward_model
        if self.folders.reward_model is None or reward_model is None:
            raise ModelError(f"{self.folders.name} has no process preference model; evaluate_step needs one")
        in_memory = self.folders.reward_model == Path()  # see `from_workbench`
        calibration = None if in_memory else read_ppm_file(self.folders.reward_model).calibration
        if calibration is None:
            raise ModelError(
                f"the reward model of {self.folders.name} is not calibrated; `rstar calibrate` does it for a folder"
            )
        return await step_probability(reward_model, calibration, text)


async def _open(folders: ModelFolders, runtime: RuntimeSettings) -> Workbench:
    return open_workbench(folders.policy, folders.reward_model, runtime)


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _as_problem(problem: str | Problem) -> Problem:
    if isinstance(problem, Problem):
        question = problem.question
    elif isinstance(problem, str):
        question = problem
    else:
        raise ConfigError(f"the problem is {_shown(problem)}; give a question as text, or a rstar_math.Problem")
    if not isinstance(question, str) or not question.strip():
        raise ConfigError("the problem is empty; give the text of a question")
    try:
        digest = hashlib.sha256(question.encode()).hexdigest()[:12]
    except UnicodeEncodeError as error:
        raise ConfigError(f"the problem holds {question[error.start]!r}, which is no Unicode character") from None
    return problem if isinstance(problem, Problem) else Problem(id=f"question-{digest}", question=question.strip())


def _step_text(state: str | Sequence[Step], next_step: str, question: str | None) -> str:
    """The whole text that the reward model reads."""
    if not isinstance(next_step, str):
        raise ConfigError(f"next_step is {_shown(next_step)}; give the text of a step")
    if question is not None and not isinstance(question, str):
        raise ConfigError(f"question is {_shown(question)}; give a text")
    if not isinstance(state, str) and not (
        isinstance(state, Sequence) and all(isinstance(step, Step) for step in state)
    ):
        raise ConfigError(f"current_state is {_shown(state)}; give a text, or a sequence of steps")
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
