"""The stages that self-evolution strings together, each usable alone: search, select, train.

Every stage reads and writes files, and goes on where it was stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rstar_math.config import ExtraSearch, RoundSettings, SelectionSettings
from rstar_math.errors import ConfigError
from rstar_math.execution.base import Executor
from rstar_math.grading.measuring.references import SuspectReference, suspect_references
from rstar_math.metrics import ranking_credit
from rstar_math.models import ModelFolders, find_model
from rstar_math.progress import Progress
from rstar_math.search.confirm import run_again
from rstar_math.selection import select as selection
from rstar_math.store.records import TreeStore
from rstar_math.store.round import Round
from rstar_math.tree import Tree
from rstar_math.types import Cost, PreferencePair, Problem, Trajectory
from rstar_math.workers.jobs import SearchJob, Task
from rstar_math.workers.pool import WorkerPool

Verified = tuple[Problem, Trajectory, str]
"""A trajectory with its problem and the id of the tree that it was found in."""

_VERIFIED_AT_ONCE = 64


def round_search(this: Round, settings: RoundSettings, base: ModelFolders) -> SearchJob:
    """What a round searches with: by its recipe the base or another model, or the last round's policy, and its PPM.

    Args:
      this: the round; a later one may search with the models of the one before.
      settings: of the round.
      base: the base model.

    Raises:
      ConfigError: there is no round before the first, or no PPM where one is asked for.
      ModelError: the model that the recipe names is not there.
    """
    policy, ppm = base.policy, base.reward_model
    if settings.policy == "previous":
        if this.number == 1:
            raise ConfigError("rounds[0].policy is 'previous'; there is no round before the first: use 'base'")
        policy, ppm = this.previous.policy, this.previous.ppm
    elif settings.policy != "base":
        other = find_model(settings.policy)
        policy, ppm = other.policy, other.reward_model
    if not settings.search.use_ppm:
        ppm = None
    elif ppm is None:
        raise ConfigError(f"rounds[{this.number - 1}].search.use_ppm is true, and the model that searches has no PPM")
    return SearchJob(policy, ppm, "mcts", settings.search)


def search_problems(
    pool: WorkerPool,
    job: SearchJob,
    problems: Sequence[Problem],
    store: TreeStore,
    first_seed: int,
    extra: Sequence[ExtraSearch],
    progress: Progress,
    stage: str,
) -> None:
    """Searches every problem once, then the unsolved ones again as `extra` says; trees go to `store`.

    The k-th tree of a problem has the seed `first_seed + k`. Problems whose trees are in the store are not searched
    again.
    """
    grow_all(pool, job, [Task(p, first_seed) for p in problems], store, progress, stage)
    seed = first_seed + 1
    for number, more in enumerate(extra, start=1):
        # solved by the searches before this one, whether this process made them or one that was stopped
        solved = {t.problem.id for t in store if t.seed < seed and t.solved}
        settings = job.settings.model_copy(update={"num_rollouts": more.num_rollouts})
        again = SearchJob(job.policy, job.reward_model, job.strategy, settings)
        unsolved = [p for p in problems if p.id not in solved]
        tasks = [Task(p, seed + k) for p in unsolved for k in range(more.num_trees)]
        grow_all(pool, again, tasks, store, progress, f"{stage}, unsolved again ({number})")
        seed += more.num_trees


def grow_all(
    pool: WorkerPool, job: SearchJob, tasks: Sequence[Task], store: TreeStore, progress: Progress, stage: str
) -> None:
    """Grows a tree for each task whose tree is not in the store yet."""
    todo = [t for t in tasks if f"{t.problem.id}@{t.seed}" not in store.done]
    progress.start(stage, len(tasks), len(tasks) - len(todo))
    for _, tree in pool.run(job, todo):
        assert isinstance(tree, Tree)
        store.append(tree)
        progress.advance(tree.cost.tokens_generated, tree.solved)
    progress.finish()


@dataclass
class Selected:
    """What a set of trees is good for in training.

    Attributes:
      trajectories: the kept trajectories of each solved problem, by problem id.
      pairs: all preference pairs.
      solved: ids of the problems with a kept trajectory.
      cost: of all trees.
      num_trees: trees read.
      num_not_reproduced: trajectories dropped because a fresh execution printed something else.
      suspects: problems whose trajectories agree with one another against the reference, the clearest first.
    """

    trajectories: dict[str, list[Verified]] = field(default_factory=dict)
    pairs: list[PreferencePair] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    num_trees: int = 0
    num_not_reproduced: int = 0
    suspects: list[SuspectReference] = field(default_factory=list)

    @property
    def solved(self) -> set[str]:
        return set(self.trajectories)

    def rows(self) -> Iterator[Verified]:
        """All kept trajectories, by problem id."""
        for problem_id in sorted(self.trajectories):
            yield from self.trajectories[problem_id]


def select(
    trees: Iterable[Tree],
    settings: SelectionSettings,
    executor: Executor | None,
    same_answer: Callable[[str, str], bool] | None = None,
) -> Selected:
    """Takes trajectories and preference pairs from trees (sections 3.3 and 3.4).

    Args:
      trees: in any order; several trees of one problem share its `num_trajectories` and its answer pairs.
      settings: the rules.
      executor: runs what is kept once more from the start, past every cache; what then differs is dropped and counted.
        None keeps it unverified.
      same_answer: whether two answers mean the same; with it, references that are probably wrong are looked for.
    """
    selected = Selected()
    answered: dict[str, tuple[Problem, list[str | None]]] = {}
    candidates: dict[str, list[Verified]] = {}
    step_pairs: dict[str, list[PreferencePair]] = {}
    answer_pairs: dict[str, selection.AnswerPairs] = {}
    last_tree: dict[str, str] = {}
    for tree in trees:
        selected.num_trees += 1
        selected.cost.add(tree.cost)
        answered.setdefault(tree.problem.id, (tree.problem, []))[1].extend(t.answer for t in tree.trajectories())
        step_pairs.setdefault(tree.id, []).extend(selection.step_pairs(tree, settings))
        answer_pairs.setdefault(tree.problem.id, selection.AnswerPairs(settings)).add(tree)
        last_tree[tree.problem.id] = max(tree.id, last_tree.get(tree.problem.id, ""))
        kept = selection.top_trajectories(tree, settings.num_trajectories)
        if kept:
            candidates.setdefault(tree.problem.id, []).extend((tree.problem, t, tree.id) for t in kept)
    for problem_id, tree_id in last_tree.items():  # a problem's answer pairs stand behind its step pairs
        step_pairs[tree_id] += answer_pairs[problem_id].pairs()
    selected.pairs = [p for _, pairs in sorted(step_pairs.items()) for p in pairs]
    for problem_id in sorted(candidates):
        best: dict[str, Verified] = {}
        for row in sorted(candidates[problem_id], key=lambda r: (-r[1].mean_q, -min(r[1].q_values), r[2])):
            best.setdefault("".join(s.text for s in row[1].steps), row)  # several trees may find the same solution
        selected.trajectories[problem_id] = list(best.values())[: settings.num_trajectories]
    if same_answer is not None:
        selected.suspects = suspect_references(answered.values(), same_answer)
    if executor is not None:
        asyncio.run(_keep_reproduced(selected, executor))
    return selected


async def _keep_reproduced(selected: Selected, executor: Executor) -> None:
    gate = asyncio.Semaphore(_VERIFIED_AT_ONCE)

    async def checked(row: Verified) -> bool:
        async with gate:
            return (await run_again(row[1], executor))[0]

    try:
        rows = list(selected.rows())
        verdicts = await asyncio.gather(*(checked(row) for row in rows))
    finally:
        await executor.aclose()
    selected.num_not_reproduced = verdicts.count(False)
    selected.trajectories = {}
    for row, same in zip(rows, verdicts, strict=True):
        if same:
            selected.trajectories.setdefault(row[0].id, []).append(row)


def sft_rows(
    current: Mapping[str, Sequence[Verified]], earlier: Sequence[Mapping[str, Sequence[Verified]]]
) -> list[Verified]:
    """The SFT data of a round: its own trajectories, and those of the latest earlier round for other problems.

    Args:
      current: trajectories of this round by problem id.
      earlier: the same of the earlier rounds, the first round first.
    """
    rows: dict[str, Sequence[Verified]] = {}
    for found in [*earlier, current]:
        rows.update(found)
    return [row for problem_id in sorted(rows) for row in rows[problem_id]]


def by_problem(rows: Iterable[Verified]) -> dict[str, list[Verified]]:
    """Groups trajectories by problem id, as `Selected.trajectories` has them."""
    groups: dict[str, list[Verified]] = {}
    for row in rows:
        groups.setdefault(row[0].id, []).append(row)
    return groups


def pair_length_accuracy(pairs: Sequence[PreferencePair]) -> float | None:
    """Pair accuracy of the rule "the shorter step is better": what a PPM must beat; ties count half."""
    return _rule_accuracy(length_margins(pairs))


def length_margins(pairs: Sequence[PreferencePair]) -> list[float]:
    """Characters that each pair's better step is shorter than the other."""
    return [len(p.rejected) - len(p.chosen) for p in pairs]


def pair_logprob_accuracy(pairs: Sequence[PreferencePair], per_token: bool) -> float | None:
    """Pair accuracy of the rule "what the policy finds more probable is better"; ties count half.

    Args:
      pairs: those that carry no log-probabilities are left out.
      per_token: compare means over the tokens instead of sums, which favour short steps.

    Returns:
      A share in [0, 1]; None where no pair carries log-probabilities.
    """
    return _rule_accuracy([m for m in logprob_margins(pairs, per_token) if m is not None])


def logprob_margins(pairs: Sequence[PreferencePair], per_token: bool) -> list[float | None]:
    """By how much the policy finds each pair's better step more probable; None where a pair does not say."""
    return [_logprob_margin(p, per_token) for p in pairs]


def _logprob_margin(pair: PreferencePair, per_token: bool) -> float | None:
    if pair.chosen_logprob is None or pair.rejected_logprob is None:
        return None
    if not per_token:
        return pair.chosen_logprob - pair.rejected_logprob
    if not pair.chosen_num_tokens or not pair.rejected_num_tokens:
        return None
    return pair.chosen_logprob / pair.chosen_num_tokens - pair.rejected_logprob / pair.rejected_num_tokens


def _rule_accuracy(margins: Sequence[float]) -> float | None:
    return sum(map(ranking_credit, margins)) / len(margins) if margins else None
