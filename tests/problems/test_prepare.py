"""Problem sets: schemas of others, tiers, duplicates, overlap with benchmarks; new problems by agreement."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rstar_math import steps
from rstar_math.cli.app import app
from rstar_math.config import ProblemSource, SynthesisSettings
from rstar_math.config.reading import load_recipe
from rstar_math.engines.base import Generation
from rstar_math.errors import DataError
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.problems import hub
from rstar_math.problems import prepare as problem_sets
from rstar_math.problems.files import read_problem
from rstar_math.problems.load import ProblemSet, load_problems
from rstar_math.problems.synthesis import make_problems, proposal_prompt
from rstar_math.stages.problems import load_run_problems
from rstar_math.types import Completion, Problem, SamplingParams
from rstar_math.workers.bench import Workbench

LONG = "A farmer has seven red hens and nine brown hens and sells four of them at the market on Monday morning."
NUMINA = [
    {"source": "olympiads", "problem": "Find x.", "solution": "so $\\boxed{\\frac{1}{2}}$.", "messages": []},
    {"source": "cn_k12", "problem": "Find y.", "solution": "it is clear", "messages": []},
    {"source": "gsm8k", "problem": "Find z.", "solution": "\\boxed{3}", "messages": []},
]
METAMATH = [
    {"query": "How many?", "response": "4 + 4 = 8\n#### 8\nThe answer is: 8", "type": "GSM_Rephrased"},
    {"query": "What is p?", "response": "So.\nThe answer is: \\frac{p}{q}", "type": "MATH_FOBAR"},
    {"query": "Why?", "response": "Who knows", "type": "MATH_SV"},
]


def write(path: Path, rows: Sequence[Mapping[str, object]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_numina_rows_become_problems_in_tiers(tmp_path: Path) -> None:
    made = problem_sets.read_set(write(tmp_path / "numina.jsonl", NUMINA))
    assert [(p.id, p.question, p.answer, p.tier, p.source) for p in made.problems] == [
        ("numina-1", "Find x.", "\\frac{1}{2}", "olympiad", "olympiads"),
        ("numina-3", "Find z.", "3", "gsm", "gsm8k"),
    ]
    assert made.left_out == {"no answer in the solution": 1}


def test_metamath_rows_become_problems_in_tiers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "read_hub", lambda repository, split: iter(METAMATH))
    made = problem_sets.read_set("meta-math/MetaMathQA")
    assert [(p.id, p.answer, p.tier) for p in made.problems] == [
        ("MetaMathQA-1", "8", "gsm"),
        ("MetaMathQA-2", "\\frac{p}{q}", "math"),
    ]
    assert made.left_out == {"no answer in the solution": 1}


def test_rows_of_another_schema_are_named() -> None:
    with pytest.raises(DataError, match=r"row x: needs a text `problem`.*has keys \['a', 'b'\]\. Read is a question"):
        read_problem({"a": 1, "b": 2}, "row x", "x", "file")


def test_duplicates_are_found_through_case_and_punctuation() -> None:
    questions = ["Find $x$ .", "find x", "Find $x^2$", "FIND x!"]
    problems = [Problem(str(i), q, answer) for i, (q, answer) in enumerate(zip(questions, "1112", strict=True))]
    made = problem_sets.without_duplicates(problems)
    assert [p.id for p in made.problems] == ["0", "2"]
    assert made.left_out == {"duplicate": 1, "duplicate with another answer": 1}


def benchmark(*questions: str) -> ProblemSet:
    return ProblemSet("bench", tuple(Problem(f"b{i}", q, "1") for i, q in enumerate(questions)), "hash")


@pytest.mark.parametrize(
    ("question", "overlaps"),
    [
        (LONG, True),
        ("Long ago: " + LONG.upper().replace(" and ", " and, "), True),
        ("Once upon a time. " + " ".join(LONG.split()[:13]) + " but then nothing more.", True),
        (" ".join(LONG.split()[:12]) + " but then nothing more.", False),
        ("Compute $2^{10} - 3 \\cdot 7 + 1$ now", True),  # a short benchmark problem, whole
        ("Compute $2^{11} - 3 \\cdot 7 + 1$ now", False),
        ("What is 1 + 1?", False),  # too short to mean anything within another
        ("what is $1$", True),  # but the same
        ("?!", False),
    ],
)
def test_overlap_is_thirteen_words_in_a_row_or_the_same_question(question: str, overlaps: bool) -> None:
    against = benchmark(LONG, "Compute $2^{10} - 3 \\cdot 7 + 1$", "What is 1?")
    found = problem_sets.overlaps([Problem("p", question, "1")], [against])
    assert bool(found) == overlaps
    if overlaps:
        assert found[0].benchmark == "bench"


def test_overlap_blocks_unless_told_otherwise() -> None:
    problems = [Problem("p", LONG, "1"), Problem("q", "Another question of its own, which nobody asked before", "1")]
    with pytest.raises(DataError, match=r"1 of 2 training problems overlap .*bench: 1.*p with b0: 'a farmer"):
        problem_sets.require_no_overlap(problems, [benchmark(LONG)])
    made = problem_sets.without_overlaps(problems, [benchmark(LONG)])
    assert [p.id for p in made.problems] == ["q"]
    assert made.left_out == {"overlaps with bench": 1}


def test_a_run_does_not_train_on_what_it_reports(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", [{"problem": "Truly: " + LONG, "answer": "1"}])
    test = write(tmp_path / "test.jsonl", [{"problem": LONG, "answer": "1"}])
    recipe = load_recipe("smoke")
    recipe = recipe.model_copy(update={"problems": ProblemSource(source=train)})
    load_run_problems(recipe)
    reporting = recipe.evaluation.model_copy(update={"reported": (test,)})
    with pytest.raises(DataError, match="overlap with benchmarks"):
        load_run_problems(recipe.model_copy(update={"evaluation": reporting}))
    allowed = reporting.model_copy(update={"overlap": "allow"})
    load_run_problems(recipe.model_copy(update={"evaluation": allowed}))


def test_the_command_writes_one_clean_file(tmp_path: Path) -> None:
    rows = [*NUMINA, {**NUMINA[0]}, {"source": "olympiads", "problem": LONG, "solution": "\\boxed{12}", "messages": []}]
    source = write(tmp_path / "numina.jsonl", rows)
    against = write(tmp_path / "bench.jsonl", [{"problem": LONG, "answer": "12"}])
    command = ["problems", "prepare", source, "--out", str(tmp_path / "out.jsonl"), "--against", against]
    blocked = CliRunner().invoke(app, command)
    assert isinstance(blocked.exception, DataError)
    assert not (tmp_path / "out.jsonl").exists()
    done = CliRunner().invoke(app, [*command, "--overlap", "drop", "--tiers", "olympiad"])
    assert done.exit_code == 0, done.output
    assert "1 problems: olympiad: 1" in done.output
    for reason in ("tier gsm: 1", "duplicate: 1", "overlaps with bench: 1", "no answer in the solution: 1"):
        assert reason in done.output
    (problem,) = load_problems(ProblemSource(source=str(tmp_path / "out.jsonl"))).problems
    assert (problem.id, problem.answer, problem.tier) == ("numina-1", "\\frac{1}{2}", "olympiad")


class _Author:
    """Writes sums as problems, and solves them; where a sum is odd its solutions disagree."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        if steps.ASSISTANT_TURN not in prompt:
            text = f"What is the sum of 3 and {params.seed % 4} when both are added?"
            text = "too short" if params.seed % 7 == 0 else text
            return Generation((Completion(text, params.stop[0], 9, 0.0),), 5)
        question, _ = steps.split_prompt(prompt)
        a, b = map(int, re.findall(r"\d+", question))
        texts = []
        for i in range(params.n):
            total = a + b if (a + b) % 2 == 0 or i % 4 == 0 else a + b + i
            if steps.OUTPUT in prompt:
                total = int(prompt.rpartition(steps.OUTPUT)[2].removesuffix(steps.END_OF_OUTPUT))
                texts.append((f"\n{steps.ANSWER}\\boxed{{{total}}}", steps.END_OF_ANSWER))
            else:
                texts.append((f"\nprint({total})\n", steps.END_OF_CODE))
        return Generation(tuple(Completion(t, s, 5, 0.0) for t, s in texts), 9)

    async def aclose(self) -> None: ...


def test_a_made_problem_is_kept_where_its_solutions_agree() -> None:
    seeds = [Problem(f"s{i}", f"What is {i} plus {i}? Say it aloud.", str(2 * i), "gsm") for i in range(6)]
    settings = SynthesisSettings(num_problems=24)

    async def run(chosen: SynthesisSettings) -> tuple[dict[str, str | None], dict[str, int], set[tuple[int, int]]]:
        bench = Workbench(_Author(), FakeExecutor(), FakeGrader())
        made = await make_problems(bench.engine, bench.environment, seeds, chosen, seed=5)
        assert all(p.tier == "gsm" and p.source and p.source.startswith("made from s") for p in made.problems)
        answers = {re.findall(r"\d+", p.question)[1]: p.answer for p in made.problems}
        return answers, dict(made.dropped), set(made.agreement.values())

    answers, dropped, agreement = asyncio.run(run(settings))
    assert answers == {"1": "4", "3": "6"}  # 3 + 0 and 3 + 2 are odd: 3 of 10 solutions agree, which is less than half
    assert agreement == {(10, 10)}
    assert dropped["less than 50 % of the solutions agree"] == 2
    assert dropped["copy of a seed or of another proposal"] > 5
    assert dropped["no problem in the proposal"] >= 1
    lenient = settings.model_copy(update={"min_share": 0.3})
    assert set(asyncio.run(run(lenient))[0]) == {"0", "1", "2", "3"}
    strict = replace_min(settings, 4)
    assert asyncio.run(run(strict))[1]["fewer than 4 solutions agree"] == 2


def replace_min(settings: SynthesisSettings, least: int) -> SynthesisSettings:
    return settings.model_copy(update={"min_agreeing": least})


def test_the_prompt_shows_the_seeds_and_opens_the_next_one() -> None:
    prompt = proposal_prompt(["Is it so?", "How many?"])
    assert prompt.endswith("### Problem 1\nIs it so?\n\n### Problem 2\nHow many?\n\n### Problem 3\n")


AUTHOR = """
from rstar_math import steps
from rstar_math.engines.base import Generation
from rstar_math.types import Completion

class Author:
    async def generate(self, prompt, params):
        if steps.ASSISTANT_TURN not in prompt:
            text, stop = f"How much is {params.seed % 1000} and one more, taken together?", params.stop[0]
        elif steps.OUTPUT in prompt:
            printed = prompt.split(steps.OUTPUT)[1].split("<")[0]
            text, stop = f"\\n{steps.ANSWER}\\\\boxed{{{printed}}}", steps.END_OF_ANSWER
        else:
            text, stop = f"\\nprint({prompt.split('much is ')[1].split()[0]} + 1)\\n", steps.END_OF_CODE
        return Generation((Completion(text, stop, 9, 0.0),) * params.n, 5)

    async def aclose(self): ...
"""


def test_the_command_makes_problems(tmp_path: Path) -> None:
    (tmp_path / "author.py").write_text(AUTHOR)
    seeds = write(tmp_path / "seeds.jsonl", [{"problem": LONG, "answer": "12", "tier": "gsm"}])
    out = tmp_path / "made.jsonl"
    command = ["problems", "make", seeds, "--model", f"{tmp_path}/author.py:Author", "--num", "3", "--out", str(out)]
    done = CliRunner().invoke(app, [*command, "--set", "num_solutions=4"])
    assert done.exit_code == 0, done.output
    assert "3 of 3 proposals kept" in done.output
    for row, problem in zip(
        map(json.loads, out.read_text().splitlines()),
        load_problems(ProblemSource(source=str(out))).problems,
        strict=True,
    ):
        assert row["agreement"] == "4 of 4"
        assert problem.tier == "gsm"
        assert problem.answer == str(int(problem.question.split()[3]) + 1)
