"""Accuracy on labelled pairs, where they lie beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rstar_math.grading import POLICIES, equivalent

PAIRS = Path(__file__).parents[3] / "shared" / "grading" / "pairs.jsonl"


@pytest.mark.skipif(not PAIRS.exists(), reason=f"no labelled pairs at {PAIRS}")
def test_labelled_pairs() -> None:
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    num_pairs = num_right = false_accepts = 0
    for row in rows:
        verdict = equivalent(row["gold"], row["pred"])
        assert not verdict.timed_out
        if not verdict.contested:
            others = {equivalent(row["gold"], row["pred"], policy).equal for policy in POLICIES.values()}
            assert others == {verdict.equal}, "a verdict that is not contested depends on the policy"
        if row["contested"]:
            continue
        num_pairs += 1
        num_right += verdict.equal == row["equivalent"]
        false_accepts += verdict.equal and not row["equivalent"]
    assert num_pairs > 1_000
    assert num_right >= 0.995 * num_pairs
    assert false_accepts <= 1


REPORTS = PAIRS.with_name("reports.jsonl")


@pytest.mark.skipif(not REPORTS.exists(), reason=f"no labelled pairs at {REPORTS}")
def test_pairs_from_complaints_about_graders() -> None:
    rows = [json.loads(line) for line in REPORTS.read_text(encoding="utf-8").splitlines()]
    decided = [(equivalent(row["gold"], row["prediction"]).equal, row["equivalent"]) for row in rows]
    assert len(rows) > 400
    assert not any(equal and not label for equal, label in decided), "a false accept"
    assert sum(equal == label for equal, label in decided) >= 0.97 * len(rows)
