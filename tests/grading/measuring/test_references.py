"""Planted wrong references are found, and nothing else is."""

from __future__ import annotations

from random import Random

from rstar_math.grading import equivalent
from rstar_math.grading.measuring.references import grouped, suspect_references
from rstar_math.types import Problem


def _same(left: str, right: str) -> bool:
    return equivalent(left, right).equal


def test_planted_wrong_references_are_found() -> None:
    random = Random(3)
    answered = []
    planted = {7, 23, 31}
    for i in range(40):
        truth = 100 + i
        spellings = [str(truth), f"{truth}.0", f"\\frac{{{2 * truth}}}{{2}}"]
        answers: list[str | None] = [random.choice(spellings) for _ in range(9)]
        answers[random.randrange(9)] = str(truth + 5)  # now and then a solution is wrong
        reference = str(truth + 1000 if i in planted else truth)
        answered.append((Problem(f"p{i}", "?", reference), [*answers, None]))
    found = suspect_references(answered, _same)
    assert {suspect.problem for suspect in found} == {f"p{i}" for i in planted}
    for suspect in found:
        assert _same(suspect.answer, str(100 + int(suspect.problem[1:])))
        assert (suspect.num_agreeing, suspect.num_supporting, suspect.num_trajectories) == (8, 0, 9)


def test_what_gives_no_suspicion() -> None:
    def found(reference: str | None, answers: list[str | None]) -> int:
        return len(suspect_references([(Problem("p", "?", reference), answers)], _same))

    assert found("5", ["6", "6", "6", "6"]) == 1
    assert found(None, ["6", "6", "6", "6"]) == 0
    assert found("5", ["6", "6", "6"]) == 0, "too few answers"
    assert found("5", ["6", "6", "7", "8", "9"]) == 0, "the answers disagree"
    assert found("5", ["6", "6", "6", "6", "6", "5"]) == 0, "one of six supports the reference"
    assert found("1/2", ["0.5", "2/4", "\\frac12", "0.50"]) == 0, "the reference in other words"
    assert found("5", [None, None, "", "6", "6"]) == 0, "missing answers do not vote"


def test_the_clearest_suspicion_comes_first() -> None:
    answered = [
        (Problem("weak", "?", "1"), ["2", "2", "2", "3"]),
        (Problem("clear", "?", "1"), ["2", "2", "2", "2"]),
    ]
    assert [suspect.problem for suspect in suspect_references(answered, _same)] == ["clear", "weak"]


def test_equal_texts_are_compared_once() -> None:
    asked: list[tuple[str, str]] = []

    def same(left: str, right: str) -> bool:
        asked.append((left, right))
        return left == right

    assert grouped(["1"] * 50 + ["2"] * 50, same) == [["1"] * 50, ["2"] * 50]
    assert asked == [("1", "2")]
