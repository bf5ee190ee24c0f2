"""The Python API: load a model, think about a problem, judge a step; blocking or awaited.

model = RStarMathModel.from_pretrained("pocket")
solution = model.solve_with_mcts("What is ...?", num_simulations=100, max_depth=20)
solution.answer, solution.reasoning_trace
model.evaluate_step(current_state, next_step)
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from rstar_math.api.asking import Asked, asked, shown
from rstar_math.api.background import BackgroundLoop
from rstar_math.api.probing import Probe, probe
from rstar_math.api.step_probability import step_text
from rstar_math.api.step_rollouts import Answers, probability
from rstar_math.api.thinking import Thinking
from rstar_math.api.tutoring import AsyncTutor, Tutor, lesson_on
from rstar_math.config import AnsweringSettings, RuntimeSettings
from rstar_math.config.curve import EffortName
from rstar_math.engines.base import Batches, Batching, NoteKind, Noting, Tokenizing
from rstar_math.errors import ConfigError, ModelError
from rstar_math.models import ModelFolders, default_answering, find_model
from rstar_math.search.answer import answer
from rstar_math.search.choice import is_sure
from rstar_math.search.course import Course
from rstar_math.search.strategies import STRATEGIES
from rstar_math.tutor.lesson import Lesson
from rstar_math.types import Problem, Solution, Step, Unfinished
from rstar_math.workers.bench import Tools, Workbench, open_workbench_beside

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


@dataclass(frozen=True, slots=True)
class Shared:
    """What several models of one process share; closed by whoever made it (`rstar_math.api.several`)."""

    loop: BackgroundLoop
    tools: Tools


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
        self,
        folders: ModelFolders,
        runtime: RuntimeSettings | None = None,
        bench: Workbench | None = None,
        shared: Shared | None = None,
    ) -> None:
        self.folders = folders
        self.answering: AnsweringSettings = default_answering(folders)
        self._bench = bench
        self._answers = Answers()
        self._shared = shared
        self._loop = shared.loop if shared is not None else BackgroundLoop(f"model {folders.name}")
        if bench is None:
            tools = shared.tools if shared is not None else None
            try:
                self._bench = self._loop.call(_open(folders, runtime or RuntimeSettings(), tools))
            except BaseException:
                if shared is None:
                    self._loop.close()
                raise

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.folders.name

    @property
    def has_reward_model(self) -> bool:
        """Whether steps are scored; without a reward model only strategies that sample are to be had."""
        return self._workbench.reward_model is not None

    def strategies(self) -> list[str]:
        """The strategies by which this model can answer under its own settings."""
        search = self.answering.search
        has = self.has_reward_model
        return [name for name, way in STRATEGIES.items() if has or not way.needs_reward_model(search)]

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
          ConfigError: an argument is of the wrong type.
        """
        if not isinstance(model, str | Path):
            raise ConfigError(f"the model is {shown(model)}; give its name or folder as text or as a Path")
        if runtime is not None and not isinstance(runtime, RuntimeSettings):
            raise ConfigError(f"runtime is {shown(runtime)}; give a rstar_math.config.RuntimeSettings")
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
        question = asked(
            problem,
            self,
            strategy,
            num_simulations=num_simulations,
            max_depth=max_depth,
            max_rollouts=max_rollouts,
            max_tokens=max_tokens,
            max_seconds=max_seconds,
            seed=seed,
            settings=settings,
        )
        return self._loop.call(self._answer(question, course))

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
        question = asked(
            problem,
            self,
            strategy,
            num_simulations=num_simulations,
            max_depth=max_depth,
            max_rollouts=max_rollouts,
            max_tokens=max_tokens,
            max_seconds=max_seconds,
            seed=seed,
            settings=settings,
        )
        return await self._loop.acall(self._answer(question, course))

    def stream(
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
    ) -> Thinking:
        """`asolve` to be watched: begins at once, in a running event loop, and gives events as they come.

        The events are those of `rstar_math.search.events`; the last one is `Answered`, with the solution. Close it:
        `async with model.stream(question) as thinking`. `thinking.answer_now()` ends the thinking early.
        """
        question = asked(
            problem,
            self,
            strategy,
            num_simulations=num_simulations,
            max_depth=max_depth,
            max_rollouts=max_rollouts,
            max_tokens=max_tokens,
            max_seconds=max_seconds,
            seed=seed,
            settings=settings,
        )
        return Thinking(self._loop, lambda course: self._answer(question, course))

    def tokens_for(self, effort: EffortName) -> int | None:
        """The tokens that an effort may take, by the model's measured curve; None for `none`, or without a curve."""
        return self.folders.curve.tokens_for(effort) if self.folders.curve is not None else None

    def encode(self, text: str) -> list[int] | None:
        """The tokens of a text; None where the policy's tokenizer is not at hand (behind a URL)."""
        engine = self._workbench.engine
        return list(engine.encode(text)) if isinstance(engine, Tokenizing) else None

    def decode(self, token_ids: Sequence[int]) -> str | None:
        """The text of tokens; None likewise.

        Raises:
          ConfigError: a number is no token of the policy's.
        """
        engine = self._workbench.engine
        return engine.decode(token_ids) if isinstance(engine, Tokenizing) else None

    @property
    def batches(self) -> Batches | None:
        """How many completions the policy works on at the same time; None where it does not say (behind a URL)."""
        engine = self._workbench.engine
        return engine.batches if isinstance(engine, Batching) else None

    async def aprobe(self, timeout_s: float = 10.0) -> Probe:
        """Whether policy, reward model and sandbox work at this moment; what does not reply in time does not."""
        return await self._loop.acall(probe(self._workbench, timeout_s))

    def evaluate_step(
        self,
        current_state: str | Sequence[Step],
        next_step: str,
        *,
        question: str | None = None,
        num_rollouts: int = 16,
    ) -> float:
        """How likely the policy goes on from a step to a right answer: a calibrated probability, in (0, 1).

        The policy goes on from the step, and each end counts as much as the model's own answer to the question, made
        once, believes it. The calibrated reward model counts as one more rollout. Alone (0 rollouts) it takes one pass,
        and holds only for steps that the policy itself makes, at the temperature at which it answers.

        Args:
          current_state: the text so far (a question, or a prompt with steps as `Tree.prefix` gives it), or its steps.
          next_step: text of the step; its closing marker is added where it is missing.
          question: the question, where `current_state` is a sequence of steps.
          num_rollouts: fresh rollouts below the step; 0: the reward model alone.

        Raises:
          ConfigError: an argument is of the wrong type or below 0, or `question` is missing.
          ModelError: there is no reward model, or it is not calibrated.
        """
        return self._loop.call(self._probability(step_text(current_state, next_step, question), num_rollouts))

    async def aevaluate_step(
        self,
        current_state: str | Sequence[Step],
        next_step: str,
        *,
        question: str | None = None,
        num_rollouts: int = 16,
    ) -> float:
        """`evaluate_step`, awaited."""
        return await self._loop.acall(self._probability(step_text(current_state, next_step, question), num_rollouts))

    def tutor(self, problem: str | Problem, *, seed: int = 0, settings: AnsweringSettings | None = None) -> Tutor:
        """Solves a problem, and teaches it step by step: hints, steps, and the learner's own steps judged. Blocks.

        Args:
          problem: the question; a problem that has its answer is taught by solutions that arrive at it.
          seed, settings: as for `solve`.

        Raises:
          ConfigError: the question is empty.
        """
        question = asked(problem, self, seed=seed, settings=settings)
        return Tutor(self._loop, self._loop.call(self._lesson(question)))

    async def atutor(
        self, problem: str | Problem, *, seed: int = 0, settings: AnsweringSettings | None = None
    ) -> AsyncTutor:
        """`tutor`, awaited."""
        question = asked(problem, self, seed=seed, settings=settings)
        return AsyncTutor(self._loop, await self._loop.acall(self._lesson(question)))

    def close(self) -> None:
        """Ends every search and process and frees the models; calling it twice does no harm."""
        if self._bench is not None:
            bench, self._bench = self._bench, None
            if self._shared is None:
                self._loop.stop_calls()
            self._loop.call(bench.aclose())
            if self._shared is None:
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

    async def _answer(self, asked: Asked, course: Course | None) -> Solution:
        bench, problem, settings = self._workbench, asked.problem, asked.settings
        solution, _ = await answer(problem, bench.environment, settings, asked.seed, course)
        if solution.unfinished is not None and isinstance(bench.engine, Noting):
            kinds = _NOTES.get(solution.unfinished, ())
            notes = [note.text for note in bench.engine.notes() if note.kind in kinds]
            solution = replace(solution, why=" ".join([solution.why, *notes]))
        solution = self.folders.with_outside(solution, problem.question)
        sure = is_sure(solution, settings, self.folders.answering, self.folders.threshold)
        return replace(solution, sure=sure)

    async def _lesson(self, asked: Asked) -> Lesson:
        return await lesson_on(self._workbench, asked, lambda question: self._answer(question, None))

    async def _probability(self, text: str, num_rollouts: int) -> float:
        return await probability(self._workbench, self.folders, self.answering, text, num_rollouts, self._answers)


async def _open(folders: ModelFolders, runtime: RuntimeSettings, tools: Tools | None) -> Workbench:
    return await open_workbench_beside(folders.policy, folders.reward_model, runtime, tools=tools)
