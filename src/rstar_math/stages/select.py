"""The selection of a round: the best verified trajectories for the policy, preference pairs for the PPM."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field

from rstar_math.config import SelectionSettings
from rstar_math.execution.base import Executor
from rstar_math.execution.opening import open_executor
from rstar_math.grading.measuring.references import SuspectReference, suspect_references
from rstar_math.search.confirm import run_again
from rstar_math.selection import select as selection
from rstar_math.selection.values import valued
from rstar_math.stages.base import Made, Work
from rstar_math.store.files import write_json
from rstar_math.store.records import read_trees, write_pairs, write_trajectories
from rstar_math.store.round import Round
from rstar_math.tree import Tree
from rstar_math.types import Cost, PreferencePair, Problem, Trajectory
from rstar_math.workers.bench import answer_comparison

Verified = tuple[Problem, Trajectory, str]
"""A trajectory with its problem and the id of the tree that it was found in."""

_VERIFIED_AT_ONCE = 64


def select_stage(work: Work, this: Round) -> Made:
    """Keeps the best verified trajectories and the preference pairs (sections 3.3 and 3.4)."""
    rules = work.recipe.selection
    with answer_comparison() as same:
        chosen = select(read_trees(this.trees), rules, open_executor(work.recipe.runtime.execution), same)
    held_out_trees = read_trees(this.held_out_trees) if work.settings(this).train_ppm else ()
    held_out = select(held_out_trees, every_pair(rules), None)
    chosen.cost.add(held_out.cost)
    write_json(this.suspect_references, [asdict(s) for s in chosen.suspects])
    write_trajectories(this.trajectories, chosen.rows())
    write_pairs(this.pairs, chosen.pairs)
    write_pairs(this.held_out_pairs, held_out.pairs)
    write_json(this.search_cost, asdict(chosen.cost))
    return {
        "num_trees": chosen.num_trees,
        "num_solved": len(chosen.solved),
        "num_trajectories": chosen.num_trajectories,
        "num_pairs": len(chosen.pairs),
        "num_not_reproduced": chosen.num_not_reproduced,
        "num_suspect_references": len(chosen.suspects),
        "num_held_out_pairs": len(held_out.pairs),
    }


def every_pair(rules: SelectionSettings) -> SelectionSettings:
    """The same rules without a filter by margin or distance: for pairs that steer or measure and train nothing."""
    return rules.model_copy(update={"min_q_margin": 0.0, "min_edit_distance": 0})


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
        """Ids of the problems with a trajectory that is kept."""
        return set(self.trajectories)

    @property
    def num_trajectories(self) -> int:
        """Trajectories that are kept, of all problems."""
        return sum(map(len, self.trajectories.values()))

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
    for tree in (valued(tree, settings.values) for tree in trees):
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
