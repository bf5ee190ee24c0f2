"""One method is better than another over several budgets: at one at least, and at none worse by the margin."""

from __future__ import annotations

import pytest

from rstar_math.evaluation.methods import read_methods
from rstar_math.paper.claims import Measured, decided
from rstar_math.paper.methods_compared import PRIMARY, better, claims_on


def measured(num_right: int) -> Measured:
    """400 problems, of which the first `num_right` are answered right."""
    return Measured("m", {1: [{"problem": f"{i:03}", "correct": i < num_right, "tier": "gsm"} for i in range(400)]})


@pytest.mark.parametrize(
    ("right", "verdict"),
    [
        ({300: (320, 200), 600: (240, 200)}, "holds"),
        ({300: (240, 200), 600: (320, 200)}, "holds"),
        ({300: (320, 200), 600: (200, 200)}, "holds"),
        ({300: (320, 200), 600: (199, 200)}, "holds"),  # a loss, but shown to be within 2 points
        ({300: (320, 200), 600: (195, 200)}, "within noise"),  # it may be one of 2 points
        ({300: (201, 200), 600: (200, 200)}, "within noise"),
        ({300: (320, 200), 600: (160, 240)}, "does not hold"),
    ],
)
def test_better_at_one_budget_and_worse_at_none(right: dict[int, tuple[int, int]], verdict: str) -> None:
    cells = {budget: {"ours": measured(a), "theirs": measured(b)} for budget, (a, b) in right.items()}
    claim = better("ours", "theirs", cells, "here: ")
    assert decided([claim])[0].verdict == verdict
    assert claim.text == "here: ours is better than theirs at one budget at least, and at none worse by 2 points"
    assert [e.label for e in claim.evidence] == [f"{budget} tokens" for budget in right]
    assert [e.difference.value for e in claim.evidence] == pytest.approx([(a - b) / 400 for a, b in right.values()])


def test_the_best_of_several_budgets_is_corrected_for_their_number() -> None:
    # 6 of 400 more: p = 0.014 alone, and 0.042 where it is the best of three
    cells = {b: {"ours": measured(206 if b == 300 else 200), "theirs": measured(200)} for b in (300, 600, 1200)}
    alone = better("ours", "theirs", {300: cells[300]})
    assert better("ours", "theirs", cells).p_holds == pytest.approx(3 * alone.p_holds)


def test_at_most_eight_claims_of_the_shipped_table_are_primary() -> None:
    methods = read_methods("pocket").methods
    cells = {budget: {m.name: measured(200) for m in methods} for budget in (300, 600)}
    of_two_rounds = [claim for where in ("2: ", "4: ") for claim in claims_on(methods, cells, where)]
    primary = [claim for claim in of_two_rounds if claim.primary]
    assert 0 < len(primary) == 2 * len(PRIMARY) <= 8
    texts = [claim.text for claim in of_two_rounds]
    assert len(set(texts)) == len(texts), "no claim is made twice"
    without = {budget: {k: v for k, v in of.items() if k != "MCTS, PQM"} for budget, of in cells.items()}
    assert len([c for c in claims_on(methods, without, "") if c.primary]) == len(PRIMARY) - 1
