"""What can be heard of an answer while it is thought about: trees, candidates of steps, solutions, the vote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rstar_math.types import Cost, Solution, Step, Trajectory


@dataclass(frozen=True, slots=True)
class TreeBegun:
    """A tree begins to grow.

    Attributes:
      tree: its number within the answer, from 0.
      strategy: how it grows.
    """

    tree: int
    strategy: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate of the next step, run and scored.

    Attributes:
      step: the step, with what it printed.
      num_proposed: candidates with this text.
      rejected: why it cannot be continued, or None.
      score: of the reward model, in (-1, 1); None without one.
      is_answer: it ends a solution.
    """

    step: Step
    num_proposed: int
    rejected: str | None
    score: float | None
    is_answer: bool


@dataclass(frozen=True, slots=True)
class StepsProposed:
    """A node of a tree has got candidates. Of a sampled solution each step comes as the only candidate.

    Attributes:
      tree: number of the tree.
      history: the steps before them.
      candidates: in the order in which they were proposed.
    """

    tree: int
    history: tuple[Step, ...]
    candidates: tuple[Proposal, ...]


@dataclass(frozen=True, slots=True)
class TreeGrown:
    """A tree is finished.

    Attributes:
      tree: its number.
      num_rollouts: its rollouts, or samples.
      stopped: why it ended: "rollouts", "closed" or "budget".
      cost: what it cost.
      solutions: the solutions that were found in it, those that vote.
    """

    tree: int
    num_rollouts: int
    stopped: str
    cost: Cost
    solutions: tuple[Trajectory, ...]


@dataclass(frozen=True, slots=True)
class Voted:
    """The vote over all finished trees.

    Attributes:
      num_trees: finished trees.
      num_solutions: finished solutions.
      leading: the answer that is ahead; None where there is none yet.
      share: its share of the vote, in [0, 1].
    """

    num_trees: int
    num_solutions: int
    leading: str | None
    share: float


@dataclass(frozen=True, slots=True)
class NotReproduced:
    """The chosen program did not come out the same once more; the choice is made again without it."""

    trajectory: Trajectory


@dataclass(frozen=True, slots=True)
class Answered:
    """The end: the solution, as `RStarMathModel.solve` gives it."""

    solution: Solution


Event = TreeBegun | StepsProposed | TreeGrown | Voted | NotReproduced | Answered

Listener = Callable[[Event], None]
"""Is told each event, in the thread of the search; it must not block."""
