"""One method is better than another over several budgets: at one at least, and worse at none."""

from __future__ import annotations

import pytest

from rstar_math.paper.claims import Measured
from rstar_math.paper.methods_compared import better


def measured(num_right: int) -> Measured:
    """100 problems, of which the first `num_right` are answered right."""
    return Measured("m", {1: [{"problem": f"{i:03}", "correct": i < num_right, "tier": "gsm"} for i in range(100)]})


@pytest.mark.parametrize(
    ("right", "verdict", "shown"),
    [
        ({300: (80, 50), 600: (60, 50)}, "holds", 300),
        ({300: (60, 50), 600: (80, 50)}, "holds", 600),
        ({300: (80, 50), 600: (50, 50)}, "holds", 300),
        ({300: (51, 50), 600: (50, 50)}, "within noise", 300),
        ({300: (80, 50), 600: (40, 60)}, "does not hold", 600),
    ],
)
def test_better_at_one_budget_and_worse_at_none(right: dict[int, tuple[int, int]], verdict: str, shown: int) -> None:
    cells = {budget: {"ours": measured(a), "theirs": measured(b)} for budget, (a, b) in right.items()}
    claim = better("ours", "theirs", cells, "here: ")
    assert claim.verdict == verdict
    assert claim.text == "here: ours is better than theirs at one budget at least, and worse at none"
    (evidence,) = claim.evidence
    assert evidence.label == f"ours - theirs, {shown} tokens"
    a, b = right[shown]
    assert evidence.difference.value == pytest.approx((a - b) / 100)
