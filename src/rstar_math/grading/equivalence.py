"""Whether two answers mean the same: the rules in the order in which they are tried."""

from __future__ import annotations

import time

from rstar_math.grading.policy import DEFAULT, Policy
from rstar_math.grading.shortcut import shortcut
from rstar_math.types import Verdict


def equivalent(gold: str, prediction: str | None, policy: Policy = DEFAULT) -> Verdict:
    """Decides whether `prediction` means the same as the reference `gold`, and names the rule that decided.

    Not bounded in time by itself: where inputs are not trusted, ask a `GradingPool`.
    """
    started = time.process_time()
    decided = shortcut(gold, prediction)
    if decided is not None:
        return decided
    assert prediction is not None
    from rstar_math.grading.symbolic import math_verify_equal

    equal = math_verify_equal(gold, prediction)
    return Verdict(equal=equal, rule="math_verify", seconds=time.process_time() - started)
