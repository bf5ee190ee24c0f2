"""Deep thinking (section 4; METHOD.md section 6): search one problem, choose among what was finished."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from rstar_math.config import AnsweringSettings
from rstar_math.search.budget import Budget
from rstar_math.search.choice import chosen_from, worths
from rstar_math.search.confirm import recorded
from rstar_math.search.course import Course
from rstar_math.search.environment import Environment
from rstar_math.search.events import NotReproduced, TreeBegun, TreeGrown, Voted
from rstar_math.search.strategies import Strategy, grow, strategy
from rstar_math.search.together import all_of
from rstar_math.search.unfinished import diagnose
from rstar_math.tree import Tree
from rstar_math.types import Cost, Problem, Solution, Trajectory, Unfinished, Verdict

_DROPPED = (
    "solutions were dropped, because their programs did not come out the same when they were run once more in a fresh "
    "process; ask again with another seed"
)
_TREE_SEEDS = 1_000
"""Seeds of the trees of one answer; those of neighbouring seeds do not overlap."""

MakeEnvironment = Callable[[Problem, int], Environment]
"""(problem, seed of the search) -> its environment."""


async def answer(
    problem: Problem,
    make_environment: MakeEnvironment,
    settings: AnsweringSettings,
    seed: int,
    course: Course | None = None,
) -> tuple[Solution, list[Tree]]:
    """Answers a problem without looking at its reference, which is taken away before the search begins.

    `num_trees` grow side by side, so that the engine has enough to do for one question alone. Under a limit of seconds
    the first grows alone, for an early answer, and then as many at a time as the clock allows. They grow one after the
    other where a limit of tokens or rollouts, or a settled vote, is to end the search after any of them.

    The program of the chosen trajectory is run once more in a fresh process. Where it does not come out the same, all
    trajectories with this program are dropped and counted, and the choice is made again, by the same rule.

    Args:
      problem: the question.
      make_environment: of each search.
      settings: strategy, search, choice and limits.
      seed: the same seed gives the same answer.
      course: is told how far the answer has come, and ends it where somebody asks it to.

    Returns:
      The best solution so far, and the trees it was chosen from. Without any it says why.
    """
    course = course or Course()
    way = strategy(settings.strategy)
    blind = replace(problem, answer=None)
    budget = Budget(settings.budget)
    voting = make_environment(blind, seed)
    course.begin([voting])
    course.begin_answer(budget)
    most_trees = settings.num_trees if not budget.limited else None
    if way.is_deterministic:
        most_trees = 1
    counts = budget.limits.tokens is not None or budget.limits.rollouts is not None or settings.settled is not None
    num_at_once = 1 if counts or way.is_deterministic else settings.num_trees
    trees, found, choice = list[Tree](), list[Trajectory](), None
    grown_in = list[Environment]()
    while True:
        first = len(trees)
        num_now = 1 if budget.limited and first == 0 else num_at_once
        environments = [make_environment(blind, seed * _TREE_SEEDS + first + k) for k in range(num_now)]
        for number, env in enumerate(environments, start=first):
            env.budget = budget
            if course.listener is not None:
                env.hear(course.listener, number)
                course.tell(TreeBegun(number, settings.strategy))
        grown_in += environments
        course.begin(environments)
        search = settings.search
        if budget.rollouts_left is not None and budget.rollouts_left < search.num_rollouts:
            search = search.model_copy(update={"num_rollouts": budget.rollouts_left})
        trees += await all_of(grow(settings.strategy, env, search) for env in environments)
        budget.book_rollouts(sum(max(1, len(tree.rollouts)) for tree in trees))
        for number, tree in enumerate(trees[first:], start=first):
            voters = _voters(tree, way)
            found += voters
            course.tell(TreeGrown(number, len(tree.rollouts), tree.stopped, tree.cost, tuple(voters)))
        classes = await equivalence_classes([t.answer for t in found], voting.grade)
        choice = chosen_from(found, classes, settings)
        leading, share = (found[choice.index].answer, choice.share) if choice is not None else (None, 0.0)
        course.note(len(trees), leading, share)
        course.tell(Voted(len(trees), len(found), leading, share))
        is_settled = settings.settled is not None and choice is not None and choice.lead >= settings.settled
        wasted = trees[-1].cost.tokens_generated == 0  # the context is full, or nothing fits: no tree will do better
        if is_settled or budget.spent or trees[-1].stopped == "budget" or wasted or len(trees) == most_trees:
            break
    dropped: list[Trajectory] = []
    while choice is not None and not await voting.confirm(found[choice.index]):
        course.tell(NotReproduced(found[choice.index]))
        program = recorded(found[choice.index])
        dropped += [t for t in found if recorded(t) == program]
        found = [t for t in found if recorded(t) != program]
        classes = await equivalence_classes([t.answer for t in found], voting.grade)
        choice = chosen_from(found, classes, settings)
    cost = Cost()
    for part in (*(tree.cost for tree in trees), voting.finish()):
        cost.add(part)
    cost.seconds = voting.cost.seconds  # the clock on the wall, not the sum of trees that grew side by side
    if choice is None:
        diagnosis = diagnose(trees, grown_in, settings)
        nothing = Solution(
            answer=None,
            reasoning_trace=(),
            trajectory=None,
            candidates=tuple(found),
            cost=cost,
            unfinished=Unfinished.NOT_REPRODUCED if dropped else diagnosis.reason,
            why=f"{len(dropped)} {_DROPPED}" if dropped else diagnosis.text,
            dropped=tuple(dropped),
        )
        return nothing, trees
    chosen = found[choice.index]
    worth = dict(enumerate(-1.0 if v is None else v for v in worths(found, settings)))  # those without an answer: last
    others = [found[i] for i in sorted(worth, key=lambda i: -worth[i]) if i != choice.index]
    solution = Solution(
        answer=chosen.answer,
        reasoning_trace=chosen.steps,
        trajectory=chosen,
        candidates=(chosen, *others),
        confidence=choice.share,
        cost=cost,
        dropped=tuple(dropped),
    )
    return solution, trees


def _voters(tree: Tree, way: Strategy) -> list[Trajectory]:
    """One vote per distinct trajectory of a search, but one per rollout where rollouts are independent."""
    if way.is_independent:
        return [tree.trajectory(node) for i in tree.rollouts if (node := tree.nodes[i]).terminal == "answer"]
    return tree.trajectories()


async def equivalence_classes(
    answers: Sequence[str | None], grade: Callable[[str, str | None], Awaitable[Verdict]]
) -> list[int]:
    """Labels answers so that equivalent ones have the same label; each None is alone.

    Each answer is compared with one representative of each class found so far, in order.
    """
    labels: list[int] = []
    by_text: dict[str, int] = {}
    representatives: list[tuple[int, str]] = []
    for i, text in enumerate(answers):
        if text is None:
            labels.append(i)
            continue
        if text not in by_text:
            by_text[text] = i
            for label, representative in representatives:
                verdict = await grade(representative, text)
                if verdict.equal:
                    by_text[text] = label
                    break
            else:
                representatives.append((i, text))
        labels.append(by_text[text])
    return labels
