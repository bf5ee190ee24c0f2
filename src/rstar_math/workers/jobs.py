"""What search processes are asked to do, and what they give: a tree for each problem, or a graded answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rstar_math.config import AnsweringSettings, SearchSettings
from rstar_math.models import Policy
from rstar_math.search.answer import answer, equivalence_classes
from rstar_math.search.choice import worths
from rstar_math.search.confirm import recorded, run_again
from rstar_math.search.posterior import log_score
from rstar_math.search.strategies import Strategy, grow, strategy
from rstar_math.store.growing import growing_trees
from rstar_math.tree import Tree
from rstar_math.types import Problem, Solution, Trajectory
from rstar_math.workers.bench import Workbench


@dataclass(frozen=True, slots=True)
class SearchJob:
    """Grow one tree for each problem, its reference in view: data for training.

    Attributes:
      policy, reward_model: the models.
      strategy, settings: of the search.
      watched_in: folder where viewers look for trees while they grow; None: nobody does.
    """

    policy: Policy
    reward_model: Path | None
    strategy: str
    settings: SearchSettings
    watched_in: Path | None = None


@dataclass(frozen=True, slots=True)
class AnswerJob:
    """Answer each problem without its reference, then grade the answer: evaluation."""

    policy: Policy
    reward_model: Path | None
    settings: AnsweringSettings


@dataclass(frozen=True, slots=True)
class Task:
    """One problem to work on, with the seed of its search."""

    problem: Problem
    seed: int


@dataclass(frozen=True, slots=True)
class Answered:
    """What an `AnswerJob` gives for one problem.

    Attributes:
      solution: the answer, chosen without the reference; candidates are emptied of their steps to stay small.
      correct: whether the answer is right; None where the problem has no reference.
      any_correct: whether any finished trajectory is right, its program run once more; None likewise.
      timed_out: grading ran into its limit, so that the answer counts as wrong though it may be right.
      candidates: what was finished, in the order in which it was found; of independent samples the unfinished too.
      num_rollouts: rollouts, or samples, of all trees.
      process_cpu_seconds: CPU seconds of the search process since its last answer: with many problems in flight only
        the mean over problems says something. Step programs and grading run in other processes.
    """

    solution: Solution
    correct: bool | None
    any_correct: bool | None
    timed_out: bool
    candidates: tuple[Candidate, ...] = ()
    num_rollouts: int = 0
    process_cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trajectory, reduced to what pass@k, maj@k and best-of-k need.

    Attributes:
      answer_class: equivalent answers have the same number; None without an answer.
      correct: whether the answer is right, and its program came out the same once more; None without a reference.
      value: what the trajectory is worth, in [0, 1], by the settings; None where that is not known.
      log_score: sum of log sigmoid(logit) over its steps by the reward model (`search.posterior`); None without one.
      logprob: the policy's log-probability of the trajectory; None without an answer.
    """

    answer_class: int | None
    correct: bool | None
    value: float | None
    log_score: float | None = None
    logprob: float | None = None


Job = SearchJob | AnswerJob
Result = Tree | Answered


async def work(job: Job, task: Task, bench: Workbench) -> Result:
    """Does one task of a job."""
    if isinstance(job, SearchJob):
        environment = bench.environment(task.problem, task.seed)
        if job.watched_in is None:
            return await grow(job.strategy, environment, job.settings)
        growing = growing_trees(job.watched_in)
        environment.watch(growing)
        try:
            return await grow(job.strategy, environment, job.settings)
        finally:
            growing.ended(f"{task.problem.id}@{task.seed}")
    solution, trees = await answer(task.problem, bench.environment, job.settings, task.seed)
    return await graded(task.problem, solution, bench, trees, job.settings)


async def graded(
    problem: Problem,
    solution: Solution,
    bench: Workbench,
    trees: Sequence[Tree] = (),
    settings: AnsweringSettings | None = None,
) -> Answered:
    """Compares an answer, and the other candidates' answers, with the reference; no part of the search's cost.

    A candidate counts as right only if its program came out the same once more in a fresh process. The answer's own has
    done so already (`search.answer`); each other program is run here. Those that differ join `Solution.dropped`.

    Args:
      problem: with or without a reference.
      solution: the answer.
      bench: has the grader and the executor.
      trees: what the answer was chosen from, for the candidates one by one.
      settings: by which it was chosen.
    """
    settings = settings or AnsweringSettings()
    way = strategy(settings.strategy)
    found = [t for tree in trees for t in _tried(tree, way, solution.dropped)]
    verdicts: dict[str | None, bool] = {None: False}
    timed_out = False
    if problem.answer is not None:
        texts = {solution.answer, *(t.answer for t in solution.candidates), *(t.answer for t in found if t)} - {None}
        for text in sorted(texts, key=str):
            verdict = await bench.grader.grade(problem.answer, text)
            verdicts[text] = verdict.equal
            timed_out |= verdict.timed_out and text == solution.answer
        right = [t for t in (*solution.candidates, *(t for t in found if t)) if verdicts[t.answer]]
        solution = await _without_unconfirmed(solution, right, bench)
        found = [t for tree in trees for t in _tried(tree, way, solution.dropped)]
    classes = await equivalence_classes([t.answer if t else None for t in found], bench.grader.grade)
    candidates = tuple(
        Candidate(
            answer_class=label if t and t.answer is not None else None,
            correct=None if problem.answer is None else verdicts[t.answer if t else None],
            value=worth,
            log_score=log_score(t, settings.fitted.score_scale) if t and t.answer is not None else None,
            logprob=t.logprob if t and t.answer is not None else None,
        )
        for t, label, worth in zip(found, classes, worths(found, settings), strict=True)
    )
    finished = [solution.answer, *(t.answer for t in (*solution.candidates, *found) if t)]
    return Answered(
        solution,
        correct=None if problem.answer is None else verdicts[solution.answer],
        any_correct=None if problem.answer is None else any(verdicts[text] for text in finished),
        timed_out=timed_out,
        candidates=candidates,
        num_rollouts=sum(len(tree.rollouts) for tree in trees),
    )


async def _without_unconfirmed(solution: Solution, right: Sequence[Trajectory], bench: Workbench) -> Solution:
    """The solution, with those candidates dropped of `right` whose programs do not come out the same once more."""
    programs = {program: t for t in right if (program := tuple(recorded(t)))}
    if solution.trajectory is not None:
        programs.pop(tuple(recorded(solution.trajectory)), None)
    again = await asyncio.gather(*(run_again(t, bench.executor) for t in programs.values()))
    lost = {program for program, (is_same, _) in zip(programs, again, strict=True) if not is_same}
    if not lost:
        return solution
    dropped = dict.fromkeys(t for t in right if tuple(recorded(t)) in lost)
    candidates = tuple(t for t in solution.candidates if t not in dropped)
    return replace(solution, candidates=candidates, dropped=(*solution.dropped, *dropped))


def _tried(tree: Tree, way: Strategy, dropped: Sequence[Trajectory]) -> list[Trajectory | None]:
    """Each sample of a strategy that samples, None where it was not finished; else the distinct trajectories.

    What was dropped, because its program did not come out the same, counts as not finished.
    """
    if way.is_sampling:
        ends = [tree.nodes[i] for i in tree.rollouts]
        samples = [tree.trajectory(node) if node.terminal == "answer" else None for node in ends]
        return [None if t in dropped else t for t in samples]
    return [t for t in tree.trajectories() if t not in dropped]
