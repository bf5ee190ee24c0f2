"""How well a grader does on labelled pairs: pure sums over verdicts, no files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rstar_math.types import Verdict


@dataclass(frozen=True, slots=True)
class Pair:
    """A reference and a prediction, with what a person says about them.

    Attributes:
      id: names the pair in reports.
      gold: the reference.
      prediction: the answer to be graded; None where there is none.
      equivalent: the label; None where there is none.
      category: a label that reports show apart.
      contested: whether reasonable graders differ on this pair.
    """

    id: str
    gold: str
    prediction: str | None
    equivalent: bool | None = None
    category: str = ""
    contested: bool = False


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What came out on some pairs.

    Attributes:
      num_pairs: pairs.
      num_labelled: pairs with a label; what follows is about these, `timeouts` apart.
      num_right: verdicts that agree with the label; an undecided pair is not right.
      false_accepts: equal by the verdict, not by the label.
      false_rejects: not equal by the verdict, but by the label; undecided pairs do not count here.
      timeouts: pairs undecided at a limit, labelled or not.
    """

    num_pairs: int
    num_labelled: int
    num_right: int
    false_accepts: int
    false_rejects: int
    timeouts: int

    @property
    def accuracy(self) -> float | None:
        """Share of the labelled pairs that are right, in [0, 1]; None without labels."""
        return self.num_right / self.num_labelled if self.num_labelled else None

    def as_json(self) -> dict[str, float | int | None]:
        """The block that a summary file holds."""
        labelled = self.num_labelled > 0
        return {
            "num_pairs": self.num_pairs,
            "num_labelled": self.num_labelled,
            "accuracy": self.accuracy,
            "false_accepts": self.false_accepts if labelled else None,
            "false_rejects": self.false_rejects if labelled else None,
            "timeouts": self.timeouts,
        }


@dataclass(frozen=True, slots=True)
class Milliseconds:
    """CPU milliseconds per pair."""

    median: float
    p99: float
    maximum: float

    def as_json(self) -> dict[str, float]:
        """The block that a summary file holds."""
        return {"median": self.median, "p99": self.p99, "max": self.maximum}


def accuracy(pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> Accuracy:
    """The accuracy of verdicts on pairs, both in the same order."""
    labelled = [(p, v) for p, v in zip(pairs, verdicts, strict=True) if p.equivalent is not None]
    decided = [(p, v) for p, v in labelled if not v.timed_out]
    return Accuracy(
        num_pairs=len(pairs),
        num_labelled=len(labelled),
        num_right=sum(v.equal == p.equivalent for p, v in decided),
        false_accepts=sum(v.equal and not p.equivalent for p, v in decided),
        false_rejects=sum(bool(p.equivalent) and not v.equal for p, v in decided),
        timeouts=sum(v.timed_out for v in verdicts),
    )


def accuracy_where(pairs: Sequence[Pair], verdicts: Sequence[Verdict], kept: Iterable[bool]) -> Accuracy:
    """The accuracy on the pairs for which `kept` is True."""
    chosen = [(p, v) for p, v, keep in zip(pairs, verdicts, kept, strict=True) if keep]
    return accuracy([p for p, _ in chosen], [v for _, v in chosen])


def milliseconds(verdicts: Sequence[Verdict]) -> Milliseconds:
    """CPU time per pair; all 0 without pairs."""
    if not verdicts:
        return Milliseconds(0.0, 0.0, 0.0)
    times = sorted(1e3 * verdict.seconds for verdict in verdicts)
    middle = len(times) // 2
    median = times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2
    return Milliseconds(median, times[math.ceil(0.99 * len(times)) - 1], times[-1])


def categories(pairs: Sequence[Pair]) -> list[str]:
    """The categories that occur, in alphabetical order."""
    return sorted({pair.category for pair in pairs if pair.category})


def rule_counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How often each rule decided, the most frequent first."""
    return dict(Counter(verdict.rule for verdict in verdicts).most_common())
