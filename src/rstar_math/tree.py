"""Search trees: nodes are prefixes of a solution (rStar-Math, section 3.1). Plain data, no search and no I/O.

Notation: N = `visit_count`, Q = `q_value` = `value_sum` / N. A tree is a flat list of nodes; node 0 is the root (the
bare prompt), and a child always stands behind its parent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rstar_math import steps as step_format
from rstar_math.types import Cost, Problem, Step, Trajectory

Terminal = Literal["answer", "dead_end", "depth_limit"]
"""Why a rollout ends at a node: an answer step; no candidate could be continued; as deep as allowed."""

DROPPED = "dropped beside an answer"
"""Why a candidate was rejected that nothing is wrong with, where `answer_siblings` is `drop`."""


@dataclass(slots=True)
class Node:
    """One step of a solution in its place in the tree.

    Attributes:
      index: position in `Tree.nodes`.
      parent: index of the parent; -1 for the root.
      depth: steps from the root, which has depth 0.
      step: the step; None for the root.
      num_proposed: how many candidates of the expansion had this same text (equal candidates are merged).
      num_tokens: tokens generated for one such candidate.
      logprob: log-probability (natural log) of the step under the policy at temperature 1.
      ppm_score: the score of the prefix that ends here by a reward model of any kind, in (-1, 1); None without one.
      visit_count: N; starts at 1 where the reward model's score is the first value, else at 0.
      value_sum: sum of the values backed up, and of the reward model's first value where there is one.
      terminal: why a rollout ends here, or None.
      rejected: why this candidate cannot be continued (it failed, or is malformed), or None.
      correct: whether the answer is equivalent to the reference; None where that was not asked.
      closed: nothing below is left to visit.
      expanded: its candidates have been drawn.
      children: indices of all candidates, the rejected ones included.
    """

    index: int
    parent: int
    depth: int
    step: Step | None
    num_proposed: int = 1
    num_tokens: int = 0
    logprob: float = 0.0
    ppm_score: float | None = None
    visit_count: int = 0
    value_sum: float = 0.0
    terminal: Terminal | None = None
    rejected: str | None = None
    correct: bool | None = None
    closed: bool = False
    expanded: bool = False
    children: list[int] = field(default_factory=list)

    @property
    def q_value(self) -> float:
        """Q, in [-1, 1]; 0 for a node that was never visited."""
        return self.value_sum / self.visit_count if self.visit_count else 0.0


@dataclass(slots=True)
class Tree:
    """What one search of one problem left behind.

    Attributes:
      problem: the problem.
      strategy: name of the strategy that grew the tree.
      seed: seed of the search; with the models it determines the tree.
      nodes: all nodes; node 0 is the root.
      rollouts: index of the terminal node of each rollout, in order.
      cost: what the search cost.
      stopped: why the search ended: "rollouts" (all done), "closed" (nothing left to visit) or "budget".
    """

    problem: Problem
    strategy: str
    seed: int
    nodes: list[Node]
    rollouts: list[int] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    stopped: str = ""

    @classmethod
    def start(cls, problem: Problem, strategy: str, seed: int) -> Tree:
        """A tree with only its root."""
        return cls(problem, strategy, seed, [Node(index=0, parent=-1, depth=0, step=None)])

    @property
    def id(self) -> str:
        """Unique within a run: rows of training data name the tree that they came from by it."""
        return f"{self.problem.id}@{self.seed}"

    @property
    def root(self) -> Node:
        """The node of the question alone."""
        return self.nodes[0]

    def add(self, parent: Node, step: Step) -> Node:
        """Appends a child of `parent`."""
        node = Node(index=len(self.nodes), parent=parent.index, depth=parent.depth + 1, step=step)
        self.nodes.append(node)
        parent.children.append(node.index)
        return node

    def graft(self, other: Tree) -> None:
        """Takes over all nodes of a tree of the same problem: its first steps become further children of this root.

        Visits, values and rollouts add up; `other` must not be used any more.
        """
        offset = len(self.nodes) - 1

        def moved(index: int) -> int:
            return index + offset if index else 0

        for node in other.nodes[1:]:
            node.index, node.parent = moved(node.index), moved(node.parent)
            node.children = [moved(i) for i in node.children]
            self.nodes.append(node)
        self.root.children += [moved(i) for i in other.root.children]
        self.root.visit_count += other.root.visit_count
        self.root.value_sum += other.root.value_sum
        self.rollouts += [moved(i) for i in other.rollouts]

    def children(self, node: Node) -> list[Node]:
        """The candidates of `node` that can be continued or that answer; rejected ones are left out."""
        return [child for i in node.children if (child := self.nodes[i]).rejected is None]

    def path(self, node: Node) -> list[Node]:
        """The nodes from the first step to `node`; empty for the root."""
        path = []
        while node.parent >= 0:
            path.append(node)
            node = self.nodes[node.parent]
        return path[::-1]

    def steps(self, node: Node) -> list[Step]:
        """The steps from the root to `node`."""
        return [n.step for n in self.path(node) if n.step is not None]

    def num_tokens(self, node: Node) -> int:
        """Tokens of the steps from the root to `node`."""
        return sum(n.num_tokens for n in self.path(node))

    def prefix(self, node: Node) -> str:
        """The text that ends at `node`: the prompt and the steps with their observations."""
        return step_format.prompt(self.problem.question) + step_format.render(self.steps(node))

    def trajectory(self, node: Node) -> Trajectory:
        """The finished solution that ends at an answer node."""
        path = self.path(node)
        scores = tuple(n.ppm_score for n in path if n.ppm_score is not None)
        return Trajectory(
            problem=self.problem.id,
            node_path=tuple(n.index for n in path),
            steps=tuple(n.step for n in path if n.step is not None),
            q_values=tuple(n.q_value for n in path),
            answer=node.step.answer if node.step else None,
            correct=node.correct,
            ppm_scores=scores if len(scores) == len(path) else (),
            logprob=sum(n.logprob for n in path),
            num_tokens=sum(n.num_tokens for n in path),
        )

    def answer_nodes(self) -> list[Node]:
        """The distinct answer nodes that rollouts ended at, in the order in which they were found."""
        found = dict.fromkeys(self.rollouts)
        return [node for i in found if (node := self.nodes[i]).terminal == "answer"]

    def trajectories(self) -> list[Trajectory]:
        """The distinct finished solutions that rollouts ended at, in the order in which they were found."""
        return [self.trajectory(node) for node in self.answer_nodes()]

    @property
    def solved(self) -> bool:
        """Whether a rollout reached an answer equivalent to the reference."""
        return any(node.correct for node in self.answer_nodes())
