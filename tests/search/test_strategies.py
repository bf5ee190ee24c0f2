"""Strategies by name, and from a file of one's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rstar_math.config import AnsweringSettings, SearchSettings
from rstar_math.engines.fake import FakeEngine
from rstar_math.errors import ConfigError
from rstar_math.evaluation.methods import Method
from rstar_math.evaluation.rows import to_row
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.models import ModelFolders
from rstar_math.report.evaluation import summarise
from rstar_math.search.strategies import STRATEGIES, strategy
from rstar_math.types import Problem
from rstar_math.workers.bench import Workbench
from rstar_math.workers.jobs import Answered, AnswerJob, Task, work
from tests.growing import fake_environment

MINE = """
from rstar_math.search.expansion import expand
from rstar_math.search.strategies import Strategy
from rstar_math.steps import ANSWER, END_OF_ANSWER, step_from_text
from rstar_math.tree import Tree

async def one_level(env, settings):
    tree = Tree.start(env.problem, "one_level", env.seed)
    await expand(env, tree, tree.root, settings)
    tree.stopped = "rollouts"
    tree.cost = env.finish()
    return tree

def not_async(env, settings):
    return None

async def draw(env, settings):
    # four rollouts end at two solutions, at one of them three times
    tree = Tree.start(env.problem, "draw", env.seed)
    for answer in ("7", "8"):
        step = step_from_text(f"{ANSWER}\\\\boxed{{{answer}}}{END_OF_ANSWER}")
        tree.add(tree.root, step).terminal = "answer"
    tree.rollouts = [1, 2, 2, 2]
    tree.nodes[1].num_tokens = 1
    env.cost.tokens_generated = 1
    return tree

samples = Strategy("anything", draw, is_independent=True, is_sampling=True)
"""


def test_a_function_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    found = strategy(f"{tmp_path}/mine.py:one_level")
    env = fake_environment(Problem("p", "Question?", "1"))
    tree = asyncio.run(found.grow(env, SearchSettings(num_candidates=3)))
    assert tree.strategy == "one_level"
    assert len(tree.nodes) > 1
    assert tree.cost.tokens_generated > 0


@pytest.mark.parametrize(("name", "confidence", "num_candidates"), [("draw", 1 / 2, 2), ("samples", 3 / 4, 4)])
def test_a_sampling_strategy_of_ones_own_can_be_declared(
    name: str, confidence: float, num_candidates: int, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    spec = f"{tmp_path}/mine.py:{name}"
    assert strategy(spec).name == spec  # a worker process finds it by this name again
    settings = AnsweringSettings(strategy=spec, selector="majority", search=SearchSettings(terminal_value="ppm"))
    bench = Workbench(FakeEngine(), FakeExecutor(), FakeGrader())
    job = AnswerJob(Path("policy"), None, settings)
    answered = asyncio.run(work(job, Task(Problem("p", "Question?", "8"), 0), bench))
    assert isinstance(answered, Answered)
    assert answered.solution.confidence == pytest.approx(confidence)
    assert len(answered.candidates) == num_candidates
    method, model = Method(name, settings, "none", None), ModelFolders("m", Path("policy"))
    row = to_row(Problem("p", "?", "8"), answered, "b", model, method, 0)
    (line,) = summarise([row]).rows
    if name == "samples":
        assert answered.solution.answer == "8"
        assert line.curves.pass_at_k == {1: 0.75, 2: 1.0, 4: 1.0}
        assert line.curves.maj_at_k is not None
    else:
        assert line.curves.pass_at_k is None
        assert line.curves.solved_by_first == {1: 0.0, 2: 1.0}


def test_what_is_known_of_each() -> None:
    def of(attribute: str) -> set[str]:
        return {name for name, known in STRATEGIES.items() if getattr(known, attribute)}

    assert of("is_independent") == {"sample", "forest", "mass", "entropy"}
    assert of("is_sampling") == {"sample"}
    assert of("is_deterministic") == {"greedy"}
    assert of("needs_value") == set(STRATEGIES) - {"greedy", "sample"}


def test_the_names_that_are_known() -> None:
    assert {"greedy", "sample", "beam", "diverse_beam", "mcts"} <= set(STRATEGIES)
    for name, known in STRATEGIES.items():
        assert strategy(name) is known


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing", "strategy 'nothing' is not known; choose from greedy, .* my_file.py:my_strategy"),
        ("mine.txt:f", "is not known"),
        ("missing.py:f", "there is no file"),
        ("mine.py:absent", "'absent' is not an async function .* the file has one_level, draw, samples$"),
        ("mine.py:not_async", "'not_async' is not an async function"),
        ("broken.py:f", "cannot be run: ZeroDivisionError"),
        ("grammar.py:f", "cannot be run: SyntaxError"),
    ],
)
def test_what_is_not_a_strategy(spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    Path("broken.py").write_text("1 / 0\n")
    Path("grammar.py").write_text("def f(:\n")
    with pytest.raises(ConfigError, match=message):
        strategy(spec)
