"""Expansion: what is executed after what, what the policy reads, what is merged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rstar_math import steps
from rstar_math.config import SearchSettings
from rstar_math.execution.fake import FakeExecutor
from rstar_math.search.expansion import expand
from rstar_math.search.forms import printed
from rstar_math.tree import Tree
from rstar_math.types import Execution, Problem, Step
from tests.growing import ScriptedEngine, at, fake_environment, grow_script


class SpyingExecutor(FakeExecutor):
    """Notes what was asked; can be told how a program ends."""

    def __init__(self, ends: dict[str, Execution] | None = None) -> None:
        super().__init__()
        self.asked: list[tuple[list[str], str]] = []
        self._ends = ends or {}

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        self.asked.append((list(prefix), code))
        return self._ends.get(code) or await super().execute(prefix, code)


def _expand_all(script: dict[str, list[str]], executor: SpyingExecutor, **search: object) -> Tree:
    """Expands every node of a script once, breadth first."""
    settings = SearchSettings.model_validate({"num_candidates": len(script[""]), "use_ppm": False, **search})
    env = fake_environment(Problem("p", "Q?", "7"), engine=ScriptedEngine(script), executor=executor)
    tree = Tree.start(env.problem, "mcts", 0)

    async def run() -> None:
        for node in tree.nodes:  # grows while it is walked
            if node.terminal is None and node.rejected is None:
                await expand(env, tree, node, settings)

    asyncio.run(run())
    return tree


def test_a_step_runs_after_its_own_prefix_and_nothing_else() -> None:
    executor = SpyingExecutor()
    _expand_all(
        {"": ["a", "b"], "a": ["c.", "d"], "b": ["e.", "e!"], "a/d": ["f."], "*/*": ["=7"], "*/*/*": ["=7"]}, executor
    )
    assert executor.asked == [
        ([], "# a"),
        ([], "# b"),
        (["# a"], "# c.\nprint(1)"),
        (["# a"], "# d"),
        (["# b"], "# e.\nprint(1)"),
        (["# b"], "# e!\nprint(missing)"),
        (["# a", "# d"], "# f.\nprint(1)"),
    ]


def test_a_failed_step_is_no_part_of_a_later_prefix() -> None:
    executor = SpyingExecutor()
    script = {"": ["a"], "a": ["b!"], "a/b!": ["c."], "a/b!/c.": ["=7"]}
    _expand_all(script, executor, max_consecutive_errors=1)
    assert executor.asked[-1] == (["# a"], "# c.\nprint(1)")


def test_the_whole_output_is_read_where_the_code_is_closed() -> None:
    ends = {"# a": Execution("ok", "first\n"), "# b.\nprint(1)": Execution("ok", "second\n")}
    tree = _expand_all({"": ["a"], "a": ["b."], "a/b.": ["=7"]}, SpyingExecutor(ends))
    assert at(tree, "a").step == Step("\n# a\n<end_of_step>", "# a", "", ends["# a"])
    closing = at(tree, "a/b.").step
    assert closing is not None
    assert closing.observation == "\n<output>first\nsecond<end_of_output>"


@pytest.mark.parametrize(
    ("execution", "reason"),
    [
        (Execution("error", "half", "ValueError: no"), "ValueError: no"),
        (Execution("cpu_limit", "", "CpuLimit: 5 s"), "CpuLimit: 5 s"),
        (
            Execution("killed", "", None),
            "killed",
        ),  # no executor should, but a failed step is never taken for a good one
        (Execution("killed", "", ""), "killed"),
    ],
)
def test_whatever_does_not_end_well_is_rejected(execution: Execution, reason: str) -> None:
    tree = _expand_all({"": ["a"]}, SpyingExecutor({"# a": execution}))
    assert at(tree, "a").rejected == reason
    assert tree.root.terminal == "dead_end"
    assert printed([], execution) == reason


def test_equal_candidates_are_merged_and_counted() -> None:
    executor = SpyingExecutor()
    tree = _expand_all({"": ["a.", "b!", "a.", "a.", "b!"], "a.": ["=7"]}, executor)
    assert [(n.step.text, n.num_proposed) for n in tree.nodes[1:3] if n.step] == [
        ("\n# a.\nprint(1)\n<end_of_code>", 3),
        ("\n# b!\nprint(missing)\n<end_of_step>", 2),
    ]
    assert len(executor.asked) == 2
    assert tree.cost.executions == 0  # the cost is written by the strategy
    assert tree.root.children == [1, 2]
    assert [c.index for c in tree.children(tree.root)] == [1]


def test_fewer_candidates_once_the_code_is_closed() -> None:
    script = {"": ["a.", "b"], "a.": ["=1", "=2", "=3", "=4"], "b": ["c.", "d.", "e.", "f."], "*/*": ["=1", "=2", "=3"]}
    tree = _expand_all(script, SpyingExecutor(), num_candidates=4, num_answer_candidates=2)
    assert len(at(tree, "a.").children) == 2
    assert len(at(tree, "b").children) == 4
    assert len(at(tree, "b/c.").children) == 2


def test_dropped_siblings_are_not_scored() -> None:
    scores = {"a.": 0.1, "a./=7": 0.2, "a./=8": 0.9}
    tree = grow_script(
        {"": ["a."], "a.": ["=7", "=8"]}, {"num_candidates": 2, "answer_siblings": "drop"}, scores=scores
    )
    assert at(tree, "a./=7").ppm_score == 0.2
    assert at(tree, "a./=8").ppm_score is None
    assert tree.cost.tokens_scored == 6  # two texts, three tokens each


def test_the_policy_is_asked_for_one_step() -> None:
    engine = ScriptedEngine({"": ["a!"]})
    env = fake_environment(Problem("p", "Q?", "7"), engine=engine)
    tree = Tree.start(env.problem, "mcts", 0)
    asyncio.run(expand(env, tree, tree.root, SearchSettings(use_ppm=False, num_candidates=3)))
    assert engine.num_requests == 1
    assert tree.nodes[1].num_proposed == 3
    step = tree.nodes[1].step
    assert step is not None
    assert steps.END_OF_STEP in step.text
