"""The files of docs/extending.md run as they stand there, and do what the text says."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from rstar_math.cli.app import app
from rstar_math.config import AnsweringSettings, ProblemSource, SearchSettings
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.problems.load import load_problems
from rstar_math.search.answer import answer
from rstar_math.types import Problem, SamplingParams
from rstar_math.workers.bench import Workbench

DOCS = Path(__file__).parents[2] / "docs"
FILES = dict(
    re.findall(
        r"^<!-- file: (\S+) -->\n```python\n(.*?)^```$", (DOCS / "extending.md").read_text(), re.DOTALL | re.MULTILINE
    )
)


def write(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_text(FILES[name], encoding="utf-8")
    return path


def load(name: str, folder: Path) -> ModuleType:
    path = write(name, folder)
    spec = importlib.util.spec_from_file_location(f"extending_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_block_of_python_is_one_of_the_files() -> None:
    assert list(FILES) == ["wander.py", "adder.py", "sums.py"]
    assert (DOCS / "extending.md").read_text().count("```python") == 3


@pytest.mark.parametrize("name", FILES)
def test_the_files_run_alone(name: str, tmp_path: Path) -> None:
    write(name, tmp_path)
    done = subprocess.run([sys.executable, name], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.strip()


def test_the_strategy_answers_by_its_file(tmp_path: Path) -> None:
    path = write("wander.py", tmp_path)
    policy = FakePolicy(error_rate=0.0, malformed_rate=0.0, slip_rate=0.0)
    bench = Workbench(FakeEngine(policy), FakeExecutor(), FakeGrader(), FakeRewardModel())
    search = SearchSettings(num_rollouts=4, num_candidates=4, terminal_value="ppm")
    settings = AnsweringSettings(strategy=f"{path}:wander", search=search)
    problem = Problem("p", "What?")
    solution, trees = asyncio.run(answer(problem, bench.environment, settings, seed=0))
    assert trees[0].strategy == "wander"
    assert len(trees[0].rollouts) == 4
    assert solution.answer in ("0", "1", "2")
    assert all(trajectory.ppm_scores for trajectory in solution.candidates)


def test_the_strategy_mostly_takes_the_best_step(tmp_path: Path) -> None:
    tree = asyncio.run(load("wander.py", tmp_path).main())
    taken = best = 0
    for index in tree.rollouts:
        for node in tree.path(tree.nodes[index]):
            siblings = tree.children(tree.nodes[node.parent])
            taken += 1
            best += node.q_value == max(s.q_value for s in siblings)
    assert taken > len(tree.rollouts)
    assert best / taken >= 0.6
    assert tree.cost.tokens_generated > 0


def test_the_commands_of_the_text_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FILES:
        write(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(
        r"^    rstar (eval --model adder\.py.*)$", (DOCS / "extending.md").read_text(), re.MULTILINE
    )
    result = CliRunner().invoke(app, [*command.split(), "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert re.search(r"sums: 30 problems; sha256 [0-9a-f]+", result.output)
    (path,) = (tmp_path / "runs" / "adder" / "rows").glob("*.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 30
    assert {row["tier"] for row in rows} == {"1-digit", "2-digit", "3-digit"}
    assert all(re.fullmatch(r"\d+", row["answer"]) for row in rows)
    assert 10 <= sum(row["correct"] for row in rows) < 30  # it slips now and then


def test_the_engine_keeps_the_rules_of_engines(tmp_path: Path) -> None:
    module = load("adder.py", tmp_path)
    tree = asyncio.run(module.main())
    assert tree.solved
    assert {t.answer for t in tree.trajectories()} == {"42", "43"}  # it slips now and then
    engine = module.WriterEngine(lambda prompt, chance: f"{chance.random()} a<x>b<y>c")
    params = SamplingParams(n=3, stop=("<y>", "<x>"), seed=5)
    first, second = (asyncio.run(engine.generate("p q", params)).completions for _ in range(2))
    assert first == second
    assert len({c.text for c in first}) == 3
    assert all(c.text.endswith(" a") and c.stop == "<x>" and c.num_tokens == 3 for c in first)


def test_the_problems_are_given_with_their_tiers(tmp_path: Path) -> None:
    problems = load_problems(ProblemSource(source=f"{write('sums.py', tmp_path)}:problems"))
    assert problems.name == "sums"
    assert len(problems.problems) == 30
    for p in problems.problems:
        a, b = re.findall(r"\d+", p.question)
        assert p.answer == str(int(a) + int(b))
        assert p.tier == f"{len(a)}-digit"
