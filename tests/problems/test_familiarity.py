"""Which questions are familiar: the counts by hand, the limit, the file; the shipped model outside of its world."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from rstar_math.errors import DataError
from rstar_math.models import find_model
from rstar_math.problems.familiarity import (
    UNKNOWN_WORD,
    Familiarity,
    FamiliaritySource,
    fit_familiarity,
    read_familiarity,
    write_familiarity,
)

TRAINED = ["Add 2 and 3.", "Add 14 and 5."]


def fitted(held_out: list[str], share: float = 0.0, trained: list[str] | None = None) -> Familiarity:
    return fit_familiarity(trained or TRAINED, held_out, trained_on="a", limit_from="b", share_outside=share)


def test_surprise_by_hand() -> None:
    found = fitted(TRAINED)
    assert found.trigrams == {
        "<s> <s> add": 2,
        "<s> add #": 2,
        "add # and": 2,
        "# and #": 2,
        "and # .": 2,
        "# . </s>": 2,
    }
    # every word but "#" occurs twice among 12, "#" four times; Witten-Bell mixes orders by the number of followers
    one = 2 / 12  # p(add)
    two = (2 + 1 * one) / (2 + 1)  # p(add | <s>)
    three = (2 + 1 * two) / (2 + 1)
    number = (2 + 1 * (2 + 1 * 4 / 12) / 3) / 3  # "#" behind "add", and behind "and"
    after = (2 + 2 * one) / (4 + 2)  # "and", and ".", behind "#", which has two followers
    after = (2 + 1 * after) / 3
    expected = -(math.log(three) + 2 * math.log(number) + 2 * math.log(after)) / 6
    expected -= math.log((2 + 1 * (2 + 1 * one) / 3) / 3) / 6  # the end, behind "."
    assert found.surprise("Add 7 and 90.") == pytest.approx(expected)
    assert found.surprise("add 7 AND 90.") == found.surprise("Add 7 and 90.")


def test_unknown_words_cost_and_are_named() -> None:
    found = fitted(TRAINED)
    assert found.unknown_words("Add 2 km and 3 Km, twice.") == ("km", "Km", ",", "twice")
    assert found.unknown_words("and add 14") == ()
    assert found.surprise("km") > UNKNOWN_WORD / 2
    # a number of another kind is no number that it knows
    assert found.unknown_words("Add 2.5 and 123456.") == ("2.5", "123456")
    assert found.unknown_words("Σ 数") == ("Σ", "数")


def test_the_limit_leaves_the_share_of_held_out_questions_outside() -> None:
    held_out = [f"Add {i} and {i}." for i in range(98)] + ["Add and 1 2.", "Multiply 1 by 2."]
    for share, num_outside in ((0.0, 0), (0.01, 1), (0.02, 2), (0.029, 2)):
        found = fitted(held_out, share)
        assert sum(map(found.is_outside, held_out)) == num_outside
    assert fitted(held_out, 0.01).is_outside("Multiply 1 by 2.")
    assert fitted(held_out, 0.01).source == FamiliaritySource("a", 2, "b", 100, 0.01)


def test_too_many_questions_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rstar_math.problems.familiarity.MAX_QUESTIONS", 10)
    found = fitted(TRAINED, trained=[f"Add {i} and {i}." for i in range(25)])
    assert found.source.num_questions == 9


def test_nothing_to_count_is_refused() -> None:
    with pytest.raises(DataError, match="one of them has none"):
        fitted([])


def test_the_file_is_read_back_and_checked(tmp_path: Path) -> None:
    assert read_familiarity(tmp_path) is None
    found = fitted(["Add 2 and 2.", "Sum 1."], 0.5)
    write_familiarity(tmp_path, found)
    again = read_familiarity(tmp_path)
    assert again is not None
    assert (again.limit, again.source, again.trigrams) == (found.limit, found.source, found.trigrams)
    assert again.surprise("Add 3 to 4.") == found.surprise("Add 3 to 4.")
    path = tmp_path / "familiarity.json"
    value = json.loads(path.read_text())
    for spoilt, message in (
        (value | {"format": 9}, "format 9"),
        ({k: v for k, v in value.items() if k != "limit"}, "incomplete"),
        (value | {"trigrams": {"a b": 1}}, "runs of three words"),
        (value | {"trigrams": []}, "damaged"),
        ([], "format None"),
    ):
        path.write_text(json.dumps(spoilt))
        with pytest.raises(DataError, match=message):
            read_familiarity(tmp_path)


OUTSIDE = (
    "A car drives at 60 km/h for 3 hours. How far does it go?",
    "What is 15 % of 240?",
    "Find the cube of 17.",
    "Bo has 79 euros, earns 22 a month for 7 months and spends 40. What is left?",
    "What is the largest prime factor of 391?",
    "How many minutes are there in a week?",
    "Who won the world cup in 1998?",
    "Das Doppelte einer Zahl ist 34. Wie heißt die Zahl?",
    "Take 29 away from the cube of 7.",
    "What is the lowest common multiple of 16, 40 and 36?",
)


def test_the_shipped_model_knows_what_it_does_not_know() -> None:
    familiar = find_model("pocket").familiar()
    assert familiar is not None
    assert [question for question in OUTSIDE if not familiar.is_outside(question)] == []
    assert {"car", "h"} <= set(familiar.unknown_words(OUTSIDE[0]))
