"""Figure 4: searches that turn back from a low-valued approach and succeed with another. Pure.

A tree turns back where one of its rollouts is the first that is right, and parts from an earlier, wrong one at a node
such that

- the child that the wrong rollout went into, the branch that is left, has a negative Q when the right rollout begins,
  and the lowest Q of all children of that node that have a value then;
- the step that is taken instead is another approach: its code differs in more than numbers and names.

The chance level is what the same rule finds where the values of those children are shuffled among them.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from rstar_math.tree import Node, Tree

Values = dict[int, float]
"""Q of the children that have a value, by node index."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A search that turned back.

    Attributes:
      parent: node at which the rollouts part.
      left, taken: the children that the wrong and the right rollout went into.
      wrong, right: terminal nodes of the two rollouts.
      q_left: Q of `left` when the right rollout began.
      q_taken: the same of `taken`; None where it had no value yet.
    """

    parent: int
    left: int
    taken: int
    wrong: int
    right: int
    q_left: float
    q_taken: float | None


def turning_back(tree: Tree, shuffle: random.Random | None = None) -> Turn | None:
    """The first turn of a tree, or None.

    Args:
      tree: grown with the reference in view, so that its answers are known to be right or wrong.
      shuffle: shuffles the values among the children of a node: the chance level.
    """
    first = next((i for i, end in enumerate(tree.rollouts) if tree.nodes[end].correct), None)
    if first is None or first == 0:
        return None
    values = _values_before(tree, first)
    right = tree.nodes[tree.rollouts[first]]
    right_path = [0, *(n.index for n in tree.path(right))]
    for end in reversed(tree.rollouts[:first]):
        wrong = tree.nodes[end]
        if wrong.correct or wrong.terminal != "answer":
            continue
        wrong_path = [0, *(n.index for n in tree.path(wrong))]
        depth = next(
            (d for d, (a, b) in enumerate(zip(wrong_path, right_path, strict=False)) if a != b), len(right_path)
        )
        if depth >= min(len(wrong_path), len(right_path)):
            continue
        parent, left, taken = wrong_path[depth - 1], wrong_path[depth], right_path[depth]
        known = {i: values[i] for i in tree.nodes[parent].children if i in values}
        if shuffle is not None:
            drawn = list(known.values())
            shuffle.shuffle(drawn)
            known = dict(zip(known, drawn, strict=True))
        if len(known) < 2 or not known[left] < 0 or known[left] > min(known.values()):
            continue
        if approach(_code(tree.nodes[left])) == approach(_code(tree.nodes[taken])):
            continue
        return Turn(parent, left, taken, end, right.index, known[left], known.get(taken))
    return None


def chance_level(trees: Sequence[Tree], num_shuffles: int = 200, seed: int = 0) -> list[tuple[Tree, list[bool]]]:
    """Which trees turn back where values are shuffled.

    Args:
      trees: in any order, as searches end in any.
      num_shuffles: how often.
      seed: of the shuffles.

    Returns:
      Each tree that may turn at all, by id, and `[num_shuffles]` whether it does.
    """
    rng = random.Random(seed)
    able = sorted((tree for tree in trees if _may_turn(tree)), key=lambda tree: tree.id)
    drawn = [[turning_back(tree, rng) is not None for tree in able] for _ in range(num_shuffles)]
    return [(tree, [shuffle[i] for shuffle in drawn]) for i, tree in enumerate(able)]


@dataclass(frozen=True, slots=True)
class Searched:
    """How often the trees of one seed, or of several, turn back, and how often by chance.

    Attributes:
      num_trees: all of them.
      turned: those that turned back, and where.
      by_chance: `[num_shuffles]` counts of those that would, see `chance_level`.
      late: of each problem, its trees whose first right rollout comes after a wrong one: how many more turned back
        than by the mean of chance, and how many there are.
    """

    num_trees: int
    turned: tuple[tuple[Tree, Turn], ...]
    by_chance: tuple[int, ...]
    late: Mapping[str, tuple[float, int]]

    @classmethod
    def of(cls, trees: Iterable[Tree]) -> Self:
        """Counts trees."""
        listed = list(trees)
        turned = tuple((tree, turn) for tree in listed if (turn := turning_back(tree)) is not None)
        chance = chance_level(listed)
        late: dict[str, tuple[float, int]] = {}
        for tree, shuffles in chance:
            more, num = late.get(tree.problem.id, (0.0, 0))
            turns = float(turning_back(tree) is not None)
            late[tree.problem.id] = more + turns - sum(shuffles) / len(shuffles), num + 1
        return cls(len(listed), turned, tuple(map(sum, zip(*(of for _, of in chance), strict=True))), late)

    @property
    def num_late(self) -> int:
        """Trees whose first right rollout comes after a wrong one."""
        return sum(num for _, num in self.late.values())


def _may_turn(tree: Tree) -> bool:
    """Whether the tree's first right rollout comes after a wrong one."""
    first = next((i for i, end in enumerate(tree.rollouts) if tree.nodes[end].correct), None)
    return first is not None and first > 0


def _values_before(tree: Tree, rollout: int) -> Values:
    """Q of every node that has a value when a rollout begins.

    What a node started from (a reward model's score, with one visit) is what its visits and values come to without the
    rollouts that passed it.
    """
    visits = {node.index: node.visit_count for node in tree.nodes}
    sums = {node.index: node.value_sum for node in tree.nodes}
    for end in reversed(tree.rollouts[rollout:]):
        node = tree.nodes[end]
        value = 1.0 if node.correct else -1.0
        for passed in [0, *(n.index for n in tree.path(node))]:
            visits[passed] -= 1
            sums[passed] -= value
    return {i: sums[i] / n for i, n in visits.items() if n > 0 and tree.nodes[i].rejected is None}


def _code(node: Node) -> str:
    return node.step.code if node.step is not None else ""


def approach(code: str) -> str:
    """The form of a step's code: its syntax without numbers, texts and the names of variables, which may differ in
    the same approach."""
    try:
        parsed = ast.parse(code)
    except (SyntaxError, ValueError):
        return code
    called = {
        node.func.id for node in ast.walk(parsed) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for node in ast.walk(parsed):
        if isinstance(node, ast.Constant):
            node.value = 0
        elif isinstance(node, ast.Name) and node.id not in called:
            node.id = "x"
    return ast.dump(parsed)


def example_text(tree: Tree, turn: Turn, show: Callable[[float | None], str]) -> str:
    """A turn as a reader would want it, Markdown.

    Args:
      tree: that turned back.
      turn: where.
      show: a Q value as text.
    """
    shared = tree.steps(tree.nodes[turn.parent])
    lines = [f"> {tree.problem.question}", "", f"Reference: {tree.problem.answer}.", ""]
    if shared:
        lines += ["Both begin with", "", "```python", *_code_lines([s.code for s in shared]), "```", ""]
    for title, child, end, q in (
        ("First approach", turn.left, turn.wrong, turn.q_left),
        ("Other approach", turn.taken, turn.right, turn.q_taken),
    ):
        node = tree.nodes[end]
        after = tree.path(node)[tree.nodes[turn.parent].depth :]
        verdict = "right" if node.correct else "wrong"
        answer = node.step.answer if node.step is not None else None
        lines += [f"{title}, Q = {show(q)} when the search left or chose it, answer {answer} ({verdict}):", ""]
        lines += ["```python", *_code_lines([n.step.code for n in after if n.step is not None]), "```", ""]
        assert after[0].index == child
    return "\n".join(lines)


def _code_lines(codes: Sequence[str]) -> list[str]:
    return [line for code in codes for line in code.strip().splitlines() if line.strip()]
