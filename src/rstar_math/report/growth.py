"""From outcomes per problem to the shares and paired differences that a report holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rstar_math.metrics import Interval, mean_by_group, paired_difference
from rstar_math.report.schema import Growth
from rstar_math.types import Problem

Outcomes = Mapping[str, float]
"""Problem id -> 1 right, 0 wrong (or a mean over samples)."""


def shares_by_tier(outcomes: Outcomes, problems: Sequence[Problem]) -> dict[str, float]:
    """Mean outcome by tier, in the order of their names, and over "all"."""
    in_order = sorted(problems, key=lambda p: p.tier or "")
    values = {p.id: float(outcomes[p.id]) for p in in_order if p.id in outcomes}
    return mean_by_group(values, {p.id: p.tier for p in problems})


def shares_by_part(outcomes: Outcomes, problems: Sequence[Problem]) -> dict[str, dict[str, float]] | None:
    """`shares_by_tier` of each part of the problem set; None where the problems name no parts."""
    return {part: shares_by_tier(outcomes, members) for part, members in _parts(problems).items()} or None


def counts_by_tier(problems: Sequence[Problem]) -> dict[str, int]:
    """Number of problems by tier, in the order of their names, and over "all"."""
    tiers = sorted(p.tier for p in problems if p.tier is not None)
    return {tier: tiers.count(tier) for tier in dict.fromkeys(tiers)} | {"all": len(problems)}


def counts_by_part(problems: Sequence[Problem]) -> dict[str, dict[str, int]] | None:
    """`counts_by_tier` of each part of the problem set; None where the problems name no parts."""
    return {part: counts_by_tier(members) for part, members in _parts(problems).items()} or None


def difference_by_tier(after: Outcomes, before: Outcomes, problems: Sequence[Problem]) -> dict[str, Interval]:
    """Mean of `after` - `before` over the problems that both hold, by tier and over "all", with 95 % intervals."""
    both = [p for p in problems if p.id in after and p.id in before]
    groups = {tier: [p.id for p in both if p.tier == tier] for tier in counts_by_tier(both)}
    if both:
        groups["all"] = [p.id for p in both]
    return {
        tier: paired_difference([after[i] for i in ids], [before[i] for i in ids])
        for tier, ids in groups.items()
        if ids
    }


def growth(
    base: Outcomes | None, rounds: Sequence[Outcomes | None], system: Outcomes | None, problems: Sequence[Problem]
) -> Growth:
    """The paired differences of a run.

    Args:
      base, rounds: greedy outcomes of the base's policy and of each round's, on the held-out problems; None: not run.
      system: outcomes of the whole system with the last round's models.
      problems: the held-out problems.
    """
    last = rounds[-1] if rounds else None
    first = rounds[0] if len(rounds) > 1 else None

    def difference(after: Outcomes | None, before: Outcomes | None) -> dict[str, Interval] | None:
        return None if after is None or before is None else difference_by_tier(after, before, problems)

    return Growth(
        base_to_last=difference(last, base),
        round_1_to_last=difference(last, first),
        system_over_policy=difference(system, last),
    )


def _parts(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    parts: dict[str, list[Problem]] = {}
    for problem in problems:
        if problem.part is not None:
            parts.setdefault(problem.part, []).append(problem)
    return dict(sorted(parts.items(), reverse=True))  # "seen" first
