"""What a tree is good for in training: trajectories for SFT, preference pairs for the PPM (sections 3.3 and 3.4)."""

from __future__ import annotations

from collections.abc import Iterable
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


def preference_pairs(tree: Tree, settings: SelectionSettings) -> list[PreferencePair]:
    """The preference pairs of one tree: among the children of each node, and among whole trajectories."""
    return [*step_pairs(tree, settings), *answer_pairs(tree, settings)]


def step_pairs(tree: Tree, settings: SelectionSettings) -> list[PreferencePair]:
    """Pairs of sibling steps: the two highest Q that lead to a correct answer over the two lowest that lead to a wrong.

    Candidates that failed to execute, answer steps and steps that were never visited are never part of a pair.
    A step that leads to both kinds of answer counts as leading to a correct one.
    """
    outcome = _outcomes(tree)
    pairs: list[PreferencePair] = []
    for node in tree.nodes:
        visited = [c for c in tree.children(node) if c.index in outcome and c.terminal is None and _executed(c)]
        good = [_Side(c.q_value, _text(c)) for c in visited if outcome[c.index].correct]
        bad = [_Side(c.q_value, _text(c)) for c in visited if outcome[c.index].wrong and not outcome[c.index].correct]
        pairs += _pairs(tree, node, "step", good, bad, settings)
    return pairs


def answer_pairs(tree: Tree, settings: SelectionSettings) -> list[PreferencePair]:
    """Pairs of whole trajectories: two correct with the highest, two wrong with the lowest mean Q (section 3.3).

    A trajectory with a failed step (`max_consecutive_errors`) is never part of a pair.
    """
    found = [t for t in tree.trajectories() if t.correct is not None and all_executed(t)]
    good = [_Side(t.mean_q, step_format.render(t.steps)) for t in found if t.correct]
    bad = [_Side(t.mean_q, step_format.render(t.steps)) for t in found if not t.correct]
    return _pairs(tree, tree.root, "answer", good, bad, settings)


@dataclass(frozen=True, slots=True)
class _Side:
    q: float
    text: str


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


def _text(node: Node) -> str:
    return node.step.text + node.step.observation if node.step else ""


def _pairs(
    tree: Tree,
    node: Node,
    kind: Literal["step", "answer"],
    good: Iterable[_Side],
    bad: Iterable[_Side],
    settings: SelectionSettings,
) -> list[PreferencePair]:
    good = sorted(good, key=lambda s: (-s.q, s.text))
    bad = sorted(bad, key=lambda s: (s.q, s.text))
    most = settings.num_per_side
    num_good = num_bad = most
    if settings.fill_one_sided:  # released code: 1 x 4 or 4 x 1 where a side has a single candidate
        num_bad = 2 * most if len(good) == 1 else most
        num_good = 2 * most if len(bad) == 1 else most
    good, bad = good[:num_good], bad[:num_bad]
    kept = [
        (g, b)
        for g in good
        for b in bad
        if g.q > b.q
        and g.q - b.q >= settings.min_q_margin
        and (settings.min_edit_distance == 0 or edit_distance(g.text, b.text) >= settings.min_edit_distance)
    ]
    prefix = tree.prefix(node)
    return [
        PreferencePair(
            problem=tree.problem.id,
            prefix=prefix,
            chosen=g.text,
            rejected=b.text,
            chosen_q=g.q,
            rejected_q=b.q,
            weight=1.0 / len(kept),
            kind=kind,
            tree=tree.id,
            node=node.index,
            num_chosen=len({g.text for g, _ in kept}),
            num_rejected=len({b.text for _, b in kept}),
        )
        for g, b in kept
    ]


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance in characters."""
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        current = [i]
        for j, y in enumerate(b, start=1):
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (x != y)))
        previous = current
    return previous[-1]
