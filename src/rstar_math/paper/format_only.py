"""SFT data in the right format with wrong answers: what table 7's gain owes to the format alone."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from rstar_math.errors import DataError
from rstar_math.selection.select import all_executed
from rstar_math.store.records import read_trajectories, read_trees
from rstar_math.store.round import Round
from rstar_math.tree import Tree
from rstar_math.types import Problem, Step, Trajectory

_PER_PROBLEM = 2
"""Solutions of one problem in the data, as long as there are enough of others."""


def wrong_as_verified(this: Round) -> list[tuple[Problem, tuple[Step, ...]]]:
    """Finished trajectories with wrong answers, one for each verified trajectory of a round and about as long.

    They come from the trees of the round, and of earlier ones where these have too few. If all together are too few,
    some stand there more than once.

    Args:
      this: a round that is whole.

    Raises:
      DataError: no finished trajectory has a wrong answer.
    """
    lengths = [trajectory.num_tokens for _, trajectory, _ in read_trajectories(this.trajectories)]
    found: list[tuple[Problem, Trajectory]] = []
    for each in reversed(this.since(1)):
        if len(found) < len(lengths):
            found += wrong(read_trees(each.trees), len(lengths) - len(found))
    if not found and lengths:
        raise DataError(f"{this.folder} and the rounds before it have no finished trajectory with a wrong answer")
    chosen = nearest(lengths, [trajectory.num_tokens for _, trajectory in found])
    return [(found[i][0], found[i][1].steps) for i in chosen]


def wrong(trees: Iterable[Tree], num_wanted: int) -> list[tuple[Problem, Trajectory]]:
    """The distinct finished trajectories with wrong answers whose steps all executed: two of each problem, or all.

    Args:
      trees: in any order.
      num_wanted: where two of each problem are fewer, all are taken.
    """
    by_problem: dict[str, dict[str, tuple[Problem, Trajectory]]] = {}
    for tree in sorted(trees, key=lambda tree: tree.id):
        for trajectory in tree.trajectories():
            if trajectory.correct is False and trajectory.answer is not None and all_executed(trajectory):
                text = "".join(step.text for step in trajectory.steps)
                by_problem.setdefault(tree.problem.id, {}).setdefault(text, (tree.problem, trajectory))
    few, all_of = [], []
    for problem in sorted(by_problem):
        distinct = list(by_problem[problem].values())
        few += distinct[:_PER_PROBLEM]
        all_of += distinct
    return few if len(few) >= num_wanted else all_of


def nearest(wanted: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """For each wanted length the place of the nearest one that is left; when none is left, all are there again.

    Args:
      wanted: `[N]` tokens.
      lengths: `[M]` tokens; at least one where N > 0.

    Returns:
      `[N]` places among `lengths`.
    """
    left: list[tuple[int, int]] = []
    chosen = []
    for length in wanted:
        if not left:
            left = sorted((own, place) for place, own in enumerate(lengths))
        at = bisect_left(left, (length, -1))
        if at == len(left) or (at > 0 and length - left[at - 1][0] <= left[at][0] - length):
            at -= 1
        chosen.append(left.pop(at)[1])
    return chosen
