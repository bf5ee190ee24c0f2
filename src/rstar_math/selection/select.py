"""What trees are good for in training: trajectories for SFT, preference pairs for the PPM (sections 3.3 and 3.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rstar_math import steps as step_format
from rstar_math.config import SelectionSettings
from rstar_math.tree import Node, Tree
from rstar_math.types import PreferencePair, Trajectory


def top_trajectories(tree: Tree, num_kept: int = 2) -> list[Trajectory]:
    """The correct trajectories with the highest mean Q over their steps; ties by the highest minimum Q.

    Every step of a trajectory executed without error: rejected candidates are never continued.
    """
    correct = [t for t in tree.trajectories() if t.correct and all_executed(t)]
    distinct: dict[str, Trajectory] = {}  # independent samples may repeat one another
    for trajectory in sorted(correct, key=lambda t: (-t.mean_q, -min(t.q_values), t.node_path)):
        distinct.setdefault(step_format.render(trajectory.steps), trajectory)
    return list(distinct.values())[:num_kept]


def all_executed(trajectory: Trajectory) -> bool:
    """Whether every step with code ran without error."""
    return all(step.execution is None or step.execution.ok for step in trajectory.steps)


def preference_pairs(trees: Sequence[Tree], settings: SelectionSettings) -> list[PreferencePair]:
    """The preference pairs of one problem: among the children of each node, and among its whole trajectories.

    Args:
      trees: all trees of the problem.
      settings: the rules.
    """
    return [*(pair for tree in trees for pair in step_pairs(tree, settings)), *answer_pairs(trees, settings)]


def step_pairs(tree: Tree, settings: SelectionSettings) -> list[PreferencePair]:
    """Pairs of sibling steps: the two highest Q that lead to a correct answer over the two lowest that lead to a wrong.

    Candidates that failed to execute, answer steps and steps that were never visited are never part of a pair.
    A step that leads to both kinds of answer counts as leading to a correct one.
    """
    outcome = _outcomes(tree)
    pairs: list[PreferencePair] = []
    for node in tree.nodes:
        visited = [c for c in tree.children(node) if c.index in outcome and c.terminal is None and _executed(c)]
        good = [_step_side(tree, c) for c in visited if outcome[c.index].correct]
        bad = [_step_side(tree, c) for c in visited if outcome[c.index].wrong and not outcome[c.index].correct]
        pairs += _pairs(tree.problem.id, tree.prefix(node), "step", node.index, good, bad, settings)
    return pairs


def answer_pairs(trees: Sequence[Tree], settings: SelectionSettings) -> list[PreferencePair]:
    """Pairs of whole trajectories of one problem: see `AnswerPairs`.

    Args:
      trees: all trees of the problem.
      settings: the rules.
    """
    collected = AnswerPairs(settings)
    for tree in trees:
        collected.add(tree)
    return collected.pairs()


class AnswerPairs:
    """Pairs of whole trajectories of one problem: two correct with the highest, two wrong with the lowest mean Q.

    The paper relaxes the shared prefix for the answer step: the two sides share the question only (section 3.3), so
    they may come from different trees. Trees are added one by one, and nothing is kept but what can still be in a pair.
    A trajectory with a failed step (`max_consecutive_errors`) is never part of one; a solution that several trees
    found counts once.
    """

    def __init__(self, settings: SelectionSettings) -> None:
        self._settings = settings
        self._problem = self._prefix = ""
        self._good: list[_Side] = []
        self._bad: list[_Side] = []

    def add(self, tree: Tree) -> None:
        """Takes the finished trajectories of another tree of the problem.

        Raises:
          ValueError: the tree is of another problem than those before it.
        """
        if self._problem not in ("", tree.problem.id):
            raise ValueError(f"a tree of problem {tree.problem.id} was added to those of {self._problem}")
        self._problem, self._prefix = tree.problem.id, tree.prefix(tree.root)
        found = [t for t in tree.trajectories() if t.correct is not None and all_executed(t)]
        most = 2 * self._settings.num_per_side  # as many as `fill_one_sided` can ask for
        self._good = _distinct(_highest([*self._good, *(_answer_side(tree, t) for t in found if t.correct)]))[:most]
        self._bad = _distinct(_lowest([*self._bad, *(_answer_side(tree, t) for t in found if not t.correct)]))[:most]

    def pairs(self) -> list[PreferencePair]:
        """The pairs of the trees so far."""
        return _pairs(self._problem, self._prefix, "answer", 0, self._good, self._bad, self._settings)


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a pair: a step with its Q, or a whole trajectory with its mean Q."""

    q: float
    text: str
    tree: str
    logprob: float | None
    num_tokens: int | None


def _step_side(tree: Tree, node: Node) -> _Side:
    text = node.step.text + node.step.observation if node.step else ""
    return _Side(node.q_value, text, tree.id, *_probability(node.logprob, node.num_tokens))


def _answer_side(tree: Tree, trajectory: Trajectory) -> _Side:
    text = step_format.render(trajectory.steps)
    num_tokens = sum(tree.nodes[i].num_tokens for i in trajectory.node_path)
    return _Side(trajectory.mean_q, text, tree.id, *_probability(trajectory.logprob, num_tokens))


def _probability(logprob: float, num_tokens: int) -> tuple[float | None, int | None]:
    """A log-probability and the tokens it is the sum of; None where the engine gave none (it records 0)."""
    return (logprob, num_tokens) if logprob != 0.0 and num_tokens > 0 else (None, None)


def _highest(sides: Iterable[_Side]) -> list[_Side]:
    return sorted(sides, key=lambda s: (-s.q, s.text, s.tree))


def _lowest(sides: Iterable[_Side]) -> list[_Side]:
    return sorted(sides, key=lambda s: (s.q, s.text, s.tree))


def _distinct(sides: Iterable[_Side]) -> list[_Side]:
    first: dict[str, _Side] = {}
    for side in sides:
        first.setdefault(side.text, side)
    return list(first.values())


@dataclass(slots=True)
class _Outcome:
    correct: bool = False
    wrong: bool = False


def _outcomes(tree: Tree) -> dict[int, _Outcome]:
    """For each node on the way to a graded answer: whether a correct, and whether a wrong answer lies below it."""
    outcome: dict[int, _Outcome] = {}
    for answer in tree.answer_nodes():
        if answer.correct is None:
            continue
        for node in tree.path(answer):
            seen = outcome.setdefault(node.index, _Outcome())
            seen.correct |= answer.correct
            seen.wrong |= not answer.correct
    return outcome


def _executed(node: Node) -> bool:
    return node.step is not None and (node.step.execution is None or node.step.execution.ok)


def _pairs(
    problem: str,
    prefix: str,
    kind: Literal["step", "answer"],
    node: int,
    good: Iterable[_Side],
    bad: Iterable[_Side],
    settings: SelectionSettings,
) -> list[PreferencePair]:
    good, bad = _highest(good), _lowest(bad)
    most = settings.num_per_side
    num_good = num_bad = most
    if settings.fill_one_sided:  # released code: 1 x 4 or 4 x 1 where a side has a single candidate
        num_bad = 2 * most if len(good) == 1 else most
        num_good = 2 * most if len(bad) == 1 else most
    good, bad = good[:num_good], bad[:num_bad]
    least = settings.min_edit_distance
    kept = [
        (g, b)
        for g in good
        for b in bad
        if g.q > b.q
        and g.q - b.q >= settings.min_q_margin
        and (least == 0 or edit_distance(g.text, b.text, at_most=least) >= least)
    ]
    return [
        PreferencePair(
            problem=problem,
            prefix=prefix,
            chosen=g.text,
            rejected=b.text,
            chosen_q=g.q,
            rejected_q=b.q,
            weight=1.0 / len(kept),
            kind=kind,
            tree=g.tree,
            node=node,
            num_chosen=len({g.text for g, _ in kept}),
            num_rejected=len({b.text for _, b in kept}),
            rejected_tree=None if b.tree == g.tree else b.tree,
            chosen_logprob=g.logprob,
            rejected_logprob=b.logprob,
            chosen_num_tokens=g.num_tokens,
            rejected_num_tokens=b.num_tokens,
        )
        for g, b in kept
    ]


def edit_distance(a: str, b: str, at_most: int | None = None) -> int:
    """Levenshtein distance in characters.

    Args:
      a: one text.
      b: the other.
      at_most: a distance of this or more is not told apart: it is what comes back.
    """
    from rapidfuzz.distance import Levenshtein

    distance = Levenshtein.distance(a, b, score_cutoff=at_most)
    return distance if at_most is None else min(distance, at_most)
