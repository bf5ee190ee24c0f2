"""What a tree is good for in training the reward models that a PPM is held against: texts with a target, one by one.

Outcomes of finished trajectories for an ORM, Q values of steps for a PQM (rStar-Math, section 4.3, table 8). What the
PPM and the policy are trained on is in `rstar_math.selection.select`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from rstar_math.selection.select import all_executed
from rstar_math.tree import Node, Tree


@dataclass(frozen=True, slots=True)
class ScoredText:
    """A text, and what a reward model is to say of it: one row of training data of an ORM or a PQM.

    Attributes:
      problem: id of the problem.
      text: prompt and steps: a finished trajectory (outcome), or up to the end of one step (q_value).
      kind: what the target is.
      target: outcome: 1 where the answer is right, 0 where it is wrong; q_value: Q of the last step, in [-1, 1].
      visit_count: rollouts that ended there (outcome), N of the step (q_value).
      weight: of the row in the loss, > 0.
      tree: id of the tree (`Tree.id`); of the first where several trees of a problem hold the text.
      node: index of the node that the text ends at.
    """

    problem: str
    text: str
    kind: Literal["outcome", "q_value"]
    target: float
    visit_count: int
    weight: float
    tree: str
    node: int


def outcomes(trees: Iterable[Tree]) -> list[ScoredText]:
    """The distinct finished trajectories of trees, right or wrong, with equal weights: what an ORM is trained on.

    A trajectory with a failed step (`max_consecutive_errors`), and one that nobody graded, is left out.
    """
    rows = []
    for tree in trees:
        for node in tree.answer_nodes():
            if node.correct is not None and all_executed(tree.trajectory(node)):
                num_ended = tree.rollouts.count(node.index)
                rows.append(_scored(tree, node, "outcome", float(node.correct), num_ended))
    return merged(rows)


def step_values(trees: Iterable[Tree]) -> list[ScoredText]:
    """The Q value of every step that a rollout passed, with equal weights: what a PQM is trained on.

    Candidates that failed, and those that only a PPM valued, are left out; so are trees without a reference, and those
    of strategies that back nothing up (independent samples).
    """
    rows = []
    for tree in trees:
        if tree.problem.answer is None or not any(node.value_sum for node in tree.nodes):
            continue
        passed = {node.index: node for end in tree.rollouts for node in tree.path(tree.nodes[end])}
        for _, node in sorted(passed.items()):
            if node.rejected is None and node.visit_count and _ran(node):
                q_value = min(1.0, max(-1.0, node.q_value))
                rows.append(_scored(tree, node, "q_value", q_value, node.visit_count))
    return merged(rows)


def merged(rows: Iterable[ScoredText]) -> list[ScoredText]:
    """Each text of a problem once: several trees may hold it, with the mean of their targets, each visit counting."""
    found: dict[tuple[str, str], ScoredText] = {}
    for row in sorted(rows, key=lambda r: (r.problem, r.tree, r.node)):
        before = found.setdefault((row.problem, row.text), row)
        if before is not row:
            visits = before.visit_count + row.visit_count
            target = (before.target * before.visit_count + row.target * row.visit_count) / visits
            found[row.problem, row.text] = replace(before, target=target, visit_count=visits)
    return list(found.values())


def _scored(tree: Tree, node: Node, kind: Literal["outcome", "q_value"], target: float, visit_count: int) -> ScoredText:
    return ScoredText(
        problem=tree.problem.id,
        text=tree.prefix(node),
        kind=kind,
        target=target,
        visit_count=visit_count,
        weight=1.0,
        tree=tree.id,
        node=node.index,
    )


def _ran(node: Node) -> bool:
    return node.step is not None and (node.step.execution is None or node.step.execution.ok)
