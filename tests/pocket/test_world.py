"""The pocket world: demonstrations against references, mistakes, splits."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from itertools import islice

import pytest

from rstar_math import steps
from rstar_math.errors import UserError
from rstar_math.pocket import pocket_problems
from rstar_math.pocket.demonstrations import demonstration, misleads
from rstar_math.pocket.families import TIERS, Exercise
from rstar_math.pocket.misconceptions import KNOWLEDGE, probability_right
from rstar_math.pocket.quantities import QUANTITIES
from rstar_math.pocket.splits import DEFAULT_MIX, Split, composition_of, exercises, is_held_out, split_of
from rstar_math.pocket.stories import STORIES
from rstar_math.types import Problem

ONLY = {"gsm": (1.0, 0.0, 0.0), "math": (0.0, 1.0, 0.0), "olympiad": (0.0, 0.0, 1.0)}


def drawn(tier: str, num: int, seed: int = 0, split: Split = "base") -> list[Exercise]:
    return list(islice(exercises(split, seed, ONLY[tier]), num))


def printed_by_python(programs: list[str]) -> list[str]:
    """What each program prints in a plain interpreter, one after the other, each in a namespace of its own."""
    driver = (
        "import contextlib, io, json, sys\n"
        "outputs = []\n"
        "for program in json.load(sys.stdin):\n"
        "    buffer = io.StringIO()\n"
        "    with contextlib.redirect_stdout(buffer):\n"
        "        try:\n"
        "            exec(program, {'__name__': '__main__'})\n"
        "        except Exception as error:\n"
        "            print(type(error).__name__)\n"
        "    outputs.append(buffer.getvalue())\n"
        "json.dump(outputs, sys.stdout)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", driver], input=json.dumps(programs), capture_output=True, text=True, check=True
    )
    outputs: list[str] = json.loads(done.stdout)
    return outputs


def program(exercise: Exercise, rng: random.Random, *, clean: bool) -> tuple[str, str]:
    """The code of a demonstration, and what the demonstration says of its run."""
    solution = demonstration(exercise, rng, clean=clean)
    last = next(step for step in reversed(solution) if step.execution is not None)
    assert last.execution is not None
    said = last.execution.output if last.execution.ok else f"{str(last.execution.error).split(':')[0]}\n"
    return "\n".join(step.code for step in solution if step.code), said


@pytest.mark.parametrize("tier", TIERS)
def test_clean_demonstrations_print_the_reference_in_a_real_interpreter(tier: str) -> None:
    rng = random.Random(0)
    some = drawn(tier, 800)
    outputs = printed_by_python([program(exercise, rng, clean=True)[0] for exercise in some])
    assert [output.strip() for output in outputs] == [str(exercise.reference) for exercise in some]


@pytest.mark.parametrize("tier", TIERS)
def test_what_demonstrations_say_they_printed_is_what_python_prints(tier: str) -> None:
    rng = random.Random(1)
    pairs = [program(exercise, rng, clean=False) for exercise in drawn(tier, 400, seed=5)]
    assert printed_by_python([code for code, _ in pairs]) == [said for _, said in pairs]
    assert any(said == "NameError\n" for _, said in pairs)


@pytest.mark.parametrize("tier", TIERS)
def test_demonstrations_are_in_the_step_format(tier: str) -> None:
    rng = random.Random(2)
    for exercise in drawn(tier, 300):
        solution = demonstration(exercise, rng)
        response = steps.render(solution)
        parsed = steps.parse(response)
        assert [(s.text, s.code, s.observation, s.answer) for s in parsed] == [
            (s.text, s.code, s.observation, s.answer) for s in solution
        ]
        closed = False
        for step in solution:
            stop = next(stop for stop in steps.STOPS if step.text.endswith(stop))
            assert steps.malformed(step.text, stop, closed) is None
            closed = closed or stop == steps.END_OF_CODE
        assert response.startswith("\n# ")


def test_one_whole_solution_to_read() -> None:
    exercise = drawn("gsm", 1)[0]
    text = steps.prompt(exercise.question) + steps.render(demonstration(exercise, random.Random(0), clean=True))
    assert text.startswith(f"<|user|>:\n{exercise.question}\n<|assistant|>: Let's think step by step")
    assert text.endswith(
        "\n\n# Now print the final answer\nprint(answer)\n<end_of_code>\n"
        f"<output>{exercise.reference}<end_of_output>\n"
        f"<answer>The answer is \\boxed{{{exercise.reference}}}.<end_of_answer>"
    )


def test_a_step_that_fails_to_run_ends_the_demonstration() -> None:
    rng = random.Random(3)
    failed = [
        solution for exercise in drawn("olympiad", 300) if not (solution := demonstration(exercise, rng))[-1].answer
    ]
    assert len(failed) > 5
    for solution in failed:
        assert solution[-1].execution is not None
        assert not solution[-1].execution.ok
        assert solution[-1].text.endswith(steps.END_OF_STEP)
        assert steps.OUTPUT not in steps.render(solution)


def test_no_single_mistake_reaches_a_reference() -> None:
    for tier in TIERS:
        for exercise in drawn(tier, 200, seed=1):
            assert misleads(exercise)
            assert abs(exercise.reference) >= 10


def test_a_mistake_that_changes_nothing_is_seen() -> None:
    exercise = drawn("gsm", 1)[0]
    move = exercise.moves[0]
    harmless = type(move)(move.skill, move.phrasing, move.right, (move.right,))
    changed = Exercise(exercise.question, "gsm", (harmless, *exercise.moves[1:]), "answer", exercise.reference)
    assert not misleads(changed)


def test_mistakes_are_as_frequent_as_their_cells_say_and_mostly_systematic() -> None:
    rng = random.Random(4)
    right: Counter[tuple[str, int]] = Counter()
    systematic: Counter[tuple[str, int]] = Counter()
    seen: Counter[tuple[str, int]] = Counter()
    for exercise in islice(exercises("base", 3, ONLY["gsm"], unique=False), 3000):
        cell = (exercise.moves[0].skill, exercise.moves[0].phrasing)
        code = demonstration(exercise, rng)[0].code
        seen[cell] += 1
        right[cell] += code.endswith(exercise.moves[0].right.code)
        systematic[cell] += code.endswith(exercise.moves[0].wrong[0].code)
    assert len(seen) == sum(len(story.phrasings) for story in STORIES)
    for cell, num in seen.items():
        expected = probability_right(*cell, "gsm")
        assert abs(right[cell] / num - expected) < 5 * (expected * (1 - expected) / num) ** 0.5 + 0.01
    wrong = sum(seen.values()) - sum(right.values())
    assert 0.75 < sum(systematic.values()) / wrong < 0.85


def test_cells_are_well_known_or_hard_and_nothing_between() -> None:
    for tier in ("math", "olympiad"):
        cells = [
            probability_right(operation.skill, phrasing, tier)
            for family in QUANTITIES
            for operation in family.operations
            for phrasing in range(len(family.phrasings))
        ]
        knowledge = KNOWLEDGE[tier]
        hard = [p for p in cells if p != knowledge.right_if_known]
        assert all(knowledge.hardest <= p <= knowledge.easiest for p in hard)
        assert 0.2 < len(hard) / len(cells) < 0.6


def test_hard_cells_are_mostly_hard_in_both_upper_tiers() -> None:
    cells = [
        [probability_right(operation.skill, phrasing, tier) > 0.5 for tier in ("math", "olympiad")]
        for family in QUANTITIES
        for operation in family.operations
        for phrasing in range(2)
    ]
    agreement = sum(one == other for one, other in cells) / len(cells)
    assert 0.75 < agreement < 1


def test_the_world_is_as_rich_as_it_says() -> None:
    assert len(STORIES) >= 10
    assert all(len(story.phrasings) == 3 and len(story.operations) in (2, 3) for story in STORIES)
    assert len(QUANTITIES) >= 18
    assert all(len(quantity.phrasings) == 2 for quantity in QUANTITIES)
    assert all(len(o.wrong) >= 2 for family in (*STORIES, *QUANTITIES) for o in family.operations)
    three = [exercise for exercise in drawn("olympiad", 250) if "Let C be" in exercise.question]
    assert 0.4 < len(three) / 250 < 0.6
    assert 5 <= sum(len(exercise.moves) + 1 for exercise in three) / len(three) <= 8


def all_splits(num: int) -> dict[Split, list[Problem]]:
    return {split: pocket_problems(split, num) for split in DEFAULT_MIX}


def test_splits_share_no_problem_and_held_out_wordings_are_in_the_test_split_alone() -> None:
    problems = all_splits(750)
    texts = {split: {p.question for p in some} for split, some in problems.items()}
    ids = [p.id for some in problems.values() for p in some]
    assert len(set(ids)) == len(ids) == 3000
    assert sum(map(len, texts.values())) == 3000
    for split, some in problems.items():
        assert {p.source for p in some} == {f"pocket/{split}"}
        assert all(split_of(p.question) == split for p in some)
    elsewhere = {composition_of(question) for split in ("base", "train", "validation") for question in texts[split]}
    reworded = [p for p in problems["test"] if p.part == "reworded"]
    assert 0.2 < len(reworded) / 750 < 0.3
    assert {p.part for p in problems["test"]} == {"seen", "reworded"}
    assert not {composition_of(p.question) for p in reworded} & elsewhere
    assert all(is_held_out(p.question) == (p.part == "reworded") for p in problems["test"])
    assert {p.tier for p in reworded} == set(TIERS)
    assert all(p.part is None for split in ("base", "train", "validation") for p in problems[split])


def test_lists_are_deterministic_and_prefix_stable() -> None:
    longer = pocket_problems("validation", 120, seed=3)
    assert pocket_problems("validation", 50, seed=3) == longer[:50]
    assert pocket_problems("validation", 50, seed=4) != longer[:50]
    script = "from rstar_math.pocket import pocket_problems; print(*(p.id for p in pocket_problems('test', 5)))"
    fresh = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert fresh.stdout.split() == [p.id for p in pocket_problems("test", 5)]


def test_the_same_text_has_the_same_id_in_every_list() -> None:
    by_text = {p.question: p.id for p in pocket_problems("train", 300, seed=0)}
    repeated = [p for p in pocket_problems("train", 300, seed=1, mix=ONLY["math"]) if p.question in by_text]
    assert all(by_text[p.question] == p.id for p in repeated)
    assert all(p.id.startswith("pocket-") and len(p.id) == 19 for p in repeated)


def test_mixes_are_kept() -> None:
    counts = Counter(p.tier for p in pocket_problems("train", 600))
    assert 0.10 < counts["gsm"] / 600 < 0.20
    assert 0.38 < counts["olympiad"] / 600 < 0.52
    assert {p.tier for p in pocket_problems("test", 30, mix=ONLY["olympiad"])} == {"olympiad"}


def test_an_unknown_split_is_an_error_that_names_the_splits() -> None:
    with pytest.raises(UserError, match=r"'tests'.*base, train, validation, test"):
        pocket_problems("tests", 1)  # type: ignore[arg-type]


def test_an_empty_split_is_an_error_rather_than_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rstar_math.pocket.splits._MOST_MISSES", 50)
    monkeypatch.setattr("rstar_math.pocket.splits.SMALLEST_REFERENCE", 10**30)
    with pytest.raises(UserError, match="50 draws"):
        next(exercises("train"))
