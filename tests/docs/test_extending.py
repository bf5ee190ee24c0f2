"""The files of docs/extending.md run as they stand there, and do what the text says."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rstar_math.benchmarks.problems import load_problems
from rstar_math.config import AnsweringSettings, ProblemSource, SearchSettings
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeScorer
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.answer import answer
from rstar_math.search.strategies import STRATEGIES
from rstar_math.types import Problem, SamplingParams
from rstar_math.workbench import Workbench

DOCS = Path(__file__).parents[2] / "docs"
FILES = dict(
    re.findall(
        r"^<!-- file: (\S+) -->\n```python\n(.*?)^```$", (DOCS / "extending.md").read_text(), re.DOTALL | re.MULTILINE
    )
)


def load(name: str, folder: Path) -> ModuleType:
    path = folder / name
    path.write_text(FILES[name], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"extending_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, folder: Path, *arguments: str) -> str:
    (folder / name).write_text(FILES[name], encoding="utf-8")
    command = [sys.executable, name, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(autouse=True)
def strategies_as_before() -> Iterator[None]:
    before = dict(STRATEGIES)
    yield
    STRATEGIES.clear()
    STRATEGIES.update(before)


def test_every_block_of_python_is_one_of_the_files() -> None:
    assert list(FILES) == ["beam.py", "engine.py", "problems.py"]
    assert (DOCS / "extending.md").read_text().count("```python") == 3


@pytest.mark.parametrize("name", ["beam.py", "engine.py"])
def test_the_files_run_alone(name: str, tmp_path: Path) -> None:
    assert run(name, tmp_path).strip()


def test_the_strategy_answers_by_its_name(tmp_path: Path) -> None:
    load("beam.py", tmp_path)
    policy = FakePolicy(error_rate=0.0, malformed_rate=0.0, slip_rate=0.0)
    bench = Workbench(FakeEngine(policy), FakeExecutor(), FakeGrader(), FakeScorer())
    settings = AnsweringSettings(search=SearchSettings(num_rollouts=4, num_candidates=4, terminal_value="ppm"))
    solution, trees = asyncio.run(answer(Problem("p", "What?"), bench.environment, "beam", settings, seed=0))
    assert trees[0].strategy == "beam"
    assert solution.answer in ("0", "1", "2")
    assert len(solution.candidates) == 4
    assert all(trajectory.ppm_scores for trajectory in solution.candidates)


def test_the_beam_keeps_the_best_prefixes(tmp_path: Path) -> None:
    tree = asyncio.run(load("beam.py", tmp_path).main())
    assert 1 <= len(tree.rollouts) <= 4
    for depth in range(max(n.depth for n in tree.nodes)):
        level = [n for n in tree.nodes if n.depth == depth]
        expanded = [n.ppm_score for n in level if n.expanded and n.ppm_score is not None]
        left = [n.ppm_score for n in level if not n.expanded and not n.terminal and n.ppm_score is not None]
        if expanded and left:
            assert min(expanded) >= max(left)


def test_the_engine_keeps_the_rules_of_engines(tmp_path: Path) -> None:
    module = load("engine.py", tmp_path)
    tree = asyncio.run(module.main())
    assert tree.solved
    assert {t.answer for t in tree.trajectories()} == {"42", "43"}  # it slips now and then
    engine = module.WriterEngine(lambda prompt, chance: f"{chance.random()} a<x>b<y>c")
    params = SamplingParams(n=3, stop=("<y>", "<x>"), seed=5)
    first, second = (asyncio.run(engine.generate("p q", params)).completions for _ in range(2))
    assert first == second
    assert len({c.text for c in first}) == 3
    assert all(c.text.endswith(" a") and c.stop == "<x>" and c.num_tokens == 3 for c in first)


def test_the_problems_are_read_with_their_tiers(tmp_path: Path) -> None:
    out = run("problems.py", tmp_path, "sums.jsonl")
    assert out.strip() == "sums.jsonl"
    problems = load_problems(ProblemSource(source=str(tmp_path / "sums.jsonl"))).problems
    assert len(problems) == 30
    assert {p.tier for p in problems} == {"1-digit", "2-digit", "3-digit"}
    for p in problems:
        a, b = re.findall(r"\d+", p.question)
        assert p.answer == str(int(a) + int(b))
