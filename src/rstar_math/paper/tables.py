"""Tables 1, 3 to 7, 9 and 10 of the paper. Tables 2 and 8 have files of their own, and so have the figures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from rstar_math.intervals import estimate, ratio
from rstar_math.paper import paper
from rstar_math.paper.claims import Claim, Evidence, Measured, beside, compare, mean, rises
from rstar_math.paper.held_out_pairs import RANKERS, num_trained_pairs, ranked_pairs
from rstar_math.paper.laboratory import Laboratory
from rstar_math.paper.rejection import sampled_policy, sampled_system
from rstar_math.paper.result import Result, accuracy, table
from rstar_math.paper.sft_data import CONTROLS, SFT_DATA, fine_tuned_on
from rstar_math.paper.trajectories import answered_by, forests, system_cell
from rstar_math.report.table import NONE, count, percent

_INTERVALS = "95 % intervals over seeds and problems (t; shares after Wilson); differences are paired."


def by_seed(measured: Measured) -> dict[str, str]:
    """A column for each training seed."""
    return {f"by seed|{seed}": percent(value) for seed, value in measured.accuracy_by_seed().items()}


def by_tier(measured: Measured) -> dict[str, str]:
    """A column for each tier, and one over all with its interval."""
    cells = {f"by tier|{tier}": _value(measured, tier) for tier in measured.tiers()}
    return cells | {"all": accuracy(measured.accuracy())}


def _value(measured: Measured, tier: str | None = None) -> str:
    found = measured.accuracy(tier)
    return NONE if found is None else percent(found.value)


def num_problems(measured: Measured) -> str:
    """How many problems, under how many seeds."""
    return f"{len(measured.outcomes()):,} held-out problems, {len(measured.rows)} training seeds"


def table1(lab: Laboratory) -> Result:
    """The headline: base, policy, system, and the system with many trajectories."""
    last, most = lab.num_rounds, lab.settings.num_trajectories
    base, policy = lab.of_run("greedy", 0, "base, greedy"), lab.of_run("greedy", last, "policy, greedy")
    system = lab.of_run("system", last, "system")
    many = answered_by(forests(lab, last), most, f"system, {most} trajectories")
    lines = {}
    for measured in (base, policy, system, many):
        lines[measured.label] = {
            **by_tier(measured),
            **by_seed(measured),
            "tokens": count(measured.mean("tokens_generated")),
        }
    published = (paper.POLICY_BY_ROUND[0], paper.POLICY_BY_ROUND[-1], paper.SYSTEM_BY_ROUND[-1], paper.SYSTEM_64)
    for line, figure in zip(lines.values(), published, strict=True):
        line["paper, MATH"] = f"{figure:.1f}"
    claims = (
        Claim("the system lies above the base model that it grew from", (compare(system, base),)),
        Claim("the system lies above its own policy alone", (compare(system, policy),)),
        Claim("more trajectories do better still", (compare(many, system),)),
    )
    title = "Table 1: base, policy and system"
    shown = table(f"Accuracy in percent: {num_problems(base)}", "", lines, _INTERVALS)
    return Result("table1", title, (shown,), claims)


def _rounds_table(
    title: str, series: Sequence[Measured], figures: Sequence[float], heading: str, beside: Sequence[Measured] = ()
) -> Result:
    lines = {}
    for measured, figure in itertools.zip_longest([*series, *beside], figures[: len(series)]):
        cells = {**by_tier(measured), **by_seed(measured), "tokens": count(measured.mean("tokens_generated"))}
        lines[measured.label] = cells | {heading: NONE if figure is None else f"{figure:.1f}"}
    return Result("", title, (table(f"Accuracy in percent: {num_problems(series[0])}", "", lines, _INTERVALS),))


def table3(lab: Laboratory) -> Result:
    """The policy alone, round by round."""
    series = [lab.of_run("greedy", n, f"round {n}" if n else "base") for n in range(lab.num_rounds + 1)]
    sampled = [sampled_policy(lab, n) for n in range(1, lab.num_rounds + 1)] if lab.settings.controls else []
    title = "Table 3: the policy alone, greedy"
    made = _rounds_table(title, series, paper.POLICY_BY_ROUND, "paper, MATH", sampled)
    claims = (
        *rises("policy alone", series[1:]),
        Claim("the policy of round 1 lies above the base", (compare(series[1], series[0]),)),
        *_above_sampling(series[1:], sampled, "the policy lies above that of"),
    )
    return Result("table3", made.title, made.tables, claims)


def _above_sampling(series: Sequence[Measured], sampled: Sequence[Measured], what: str) -> list[Claim]:
    """Each round against the same round of rejection sampling, for the same tokens."""
    pairs = zip(series, sampled, strict=True) if sampled else ()
    return [
        Claim(f"round {n}: {what} rejection sampling with the same tokens", (compare(ours, theirs),))
        for n, (ours, theirs) in enumerate(pairs, start=1)
    ]


def table4(lab: Laboratory) -> Result:
    """The policy of round 1 with the PPM of every round."""
    series = [system_cell(lab, 1, n, f"PPM of round {n}") for n in range(1, lab.num_rounds + 1)]
    made = _rounds_table(
        "Table 4: the policy of round 1 with each round's PPM", series, paper.PPM_BY_ROUND, "paper, MATH"
    )
    accuracies = {}
    for n in range(1, lab.num_rounds + 1):
        found = {seed: ranked_pairs(lab, seed, n) for seed in lab.seeds}
        cells = {
            "pairs|trained on": count(mean(num_trained_pairs(lab, seed, n) for seed in lab.seeds)),
            "pairs|held out": count(sum(f.num_pairs for f in found.values())),
        }
        for ranker in RANKERS:
            right, num = map(sum, zip(*(f.counts(ranker) for f in found.values()), strict=True))
            cells[f"ranked right|{ranker}"] = percent(right / num) if num else NONE
        accuracies[f"round {n}"] = cells | {f"PPM by seed|{s}": percent(f.share("PPM")) for s, f in found.items()}
    note = "Pairs of held-out problems, both steps executed, no filter by margin or distance."
    pairs_table = table("Pairs of steps ranked right, percent", "", accuracies, note)
    claims = (
        *rises("policy of round 1", series),
        Claim("the PPM of round 2 lies above that of round 1", (compare(series[1], series[0]),)),
        *_pair_claims(lab),
    )
    return Result("table4", made.title, (*made.tables, pairs_table), claims)


def _pair_claims(lab: Laboratory) -> list[Claim]:
    """Pair accuracy against 0.85, and against what costs nothing."""
    claims = []
    for n in range(2, lab.num_rounds + 1):
        found = {seed: ranked_pairs(lab, seed, n) for seed in lab.seeds}
        num = sum(f.num_pairs for f in found.values())
        if not num:
            continue
        columns = [
            {(seed, p): float(counts[i]) for seed, f in found.items() for p, counts in f.by_problem[ranker].items()}
            for ranker in RANKERS
            for i in (0, 1)  # pairs ranked right, pairs
        ]
        cells = beside(columns)

        def shares(means: Sequence[float]) -> list[float]:
            return [ratio(means[i : i + 2]) for i in range(0, len(means), 2)]

        bar = estimate(cells, lambda means: shares(means)[0] - 0.85)
        beyond = estimate(cells, lambda means: shares(means)[0] - max(shares(means)[1:]))
        claims += [
            Claim(
                f"round {n}: the PPM ranks at least 85 % of the held-out pairs right",
                (Evidence("PPM - 85 %", bar),),
                f"{num:,} pairs.",
            ),
            Claim(
                f"round {n}: the PPM ranks pairs better than length and log-probability do",
                (Evidence("PPM - the best of these rules", beyond),),
            ),
        ]
    return claims


def table5(lab: Laboratory) -> Result:
    """Base, policy and system on every benchmark; here the tiers and the parts of the held-out problems."""
    last, most = lab.num_rounds, lab.settings.num_trajectories
    base, policy = lab.of_run("greedy", 0, "base, greedy"), lab.of_run("greedy", last, "policy, greedy")
    system = lab.of_run("system", last, "system")
    many = answered_by(forests(lab, last), most, f"system, {most} trajectories")
    groups = [(tier, "tier", tier) for tier in base.tiers()]
    parts = sorted({row["part"] for rows in base.rows.values() for row in rows if row["part"] is not None})
    groups += [(f"part: {part}", "part", part) for part in parts]
    lines, claims = {}, []
    for name, column, value in groups:
        of = [
            Measured(m.label, {s: [r for r in rows if r[column] == value] for s, rows in m.rows.items()})
            for m in (base, policy, system, many)
        ]
        lines[name] = {"problems": count(len(of[0].outcomes()))} | {m.label: accuracy(m.accuracy()) for m in of}
        evidence = (compare(of[2], of[1]), compare(of[1], of[0]))
        claims.append(Claim(f"{name}: system above policy above base", evidence))
    note = "The paper's benchmarks, with its figures, are measured by rstar eval --benchmark (docs/real-models.md)."
    title = "Table 5: tier by tier"
    shown = table(f"Accuracy in percent: {num_problems(base)}", "", lines, f"{_INTERVALS} {note}")
    return Result("table5", title, (shown,), tuple(claims))


def table6(lab: Laboratory) -> Result:
    """The whole system, round by round."""
    rounds = range(1, lab.num_rounds + 1)
    series = [lab.of_run("system", n, f"round {n}") for n in rounds]
    controls = zip(rounds, series, strict=True) if lab.settings.controls else ()
    sampled = [sampled_system(lab, n, system) for n, system in controls]
    made = _rounds_table("Table 6: the whole system", series, paper.SYSTEM_BY_ROUND, "paper, MATH", sampled)
    policies = [lab.of_run("greedy", n, f"policy of round {n}") for n in rounds]
    beats = [
        Claim(f"round {n}: the system lies above its policy alone", (compare(series[n - 1], policies[n - 1]),))
        for n in rounds
    ]
    above = _above_sampling(series, sampled, "the system lies above the majority of")
    return Result("table6", made.title, made.tables, (*rises("system", series), *beats, *above))


def table7(lab: Laboratory) -> Result:
    """The same base, fine-tuned in the same way on data of several kinds."""
    lines, claims = {}, []
    for n in range(2, lab.num_rounds + 1):
        cells = {
            kind: fine_tuned_on(lab, kind, n) for kind in SFT_DATA if lab.settings.controls or kind not in CONTROLS
        }
        found = {kind: measured for kind, measured in cells.items() if measured is not None}
        for kind, measured in found.items():
            figure = paper.SFT_DATA.get(kind)
            lines[f"round {n}: {kind}"] = {
                **by_tier(measured),
                **by_seed(measured),
                "paper, MATH": f"{figure:.1f}" if figure is not None and n == lab.num_rounds else NONE,
            }
        best = found["verified trajectories"]
        for kind in ("random samples", "rejection sampling", *CONTROLS):
            if kind in found:
                claims.append(Claim(f"round {n}: verified trajectories beat {kind}", (compare(best, found[kind]),)))
    note = (
        "Data of a round: its search's verified trajectories; whole solutions sampled from the policy that searched, "
        "two for a problem, whatever they answer (random) or those with the right answer (rejection sampling); right "
        "solutions by the makers of the problems (demonstrations); those kept in the same round of iterated rejection "
        "sampling; and finished trajectories with wrong answers, as many as verified ones "
        "and of the same lengths (format only). All train the base with the settings of the last "
        "round's SFT. " + _INTERVALS
    )
    title = "Table 7: what the policy is trained on"
    some = next(m for m in cells.values() if m is not None)
    return Result(
        "table7", title, (table(f"Greedy accuracy in percent: {num_problems(some)}", "", lines, note),), tuple(claims)
    )


def table9(lab: Laboratory) -> Result:
    """Tokens generated for a problem and for a trajectory, by tier."""
    last = lab.num_rounds
    system, policy = lab.of_run("system", last, "system"), lab.of_run("greedy", last, "policy, greedy")
    lines = {}
    for tier in [*system.tiers(), None]:
        rows = [r for rows in system.rows.values() for r in rows if tier in (None, r["tier"])]
        alone = [r for rows in policy.rows.values() for r in rows if tier in (None, r["tier"])]
        tokens = mean(r["tokens_generated"] for r in rows)
        trajectories = mean(r["num_trajectories"] for r in rows)
        lines[tier or "all"] = {
            "system, for a problem|generated": count(tokens),
            "system, for a problem|scored": count(mean(r["tokens_scored"] for r in rows)),
            "system, for a problem|trajectories": f"{trajectories:.1f}",
            "for a trajectory|system": count(tokens / trajectories if trajectories else None),
            "for a trajectory|policy, greedy": count(mean(r["tokens_generated"] for r in alone)),
        }
    easy, hard = paper.TOKENS_PER_TRAJECTORY
    note = f"Paper, for a trajectory of the system: {easy:,} (GSM8K) to {hard:,} (AIME)."
    title = "Table 9: what an answer costs"
    return Result("table9", title, (table("Mean tokens", "", lines, note),))


def table10(lab: Laboratory) -> Result:
    """The recipe on bases of other sizes and architectures."""
    from rstar_math.paper.bases import every_base

    lines, claims = {}, []
    for base in every_base(lab):
        lines[base.name] = {
            "parameters": count(base.num_parameters),
            "base, greedy": accuracy(base.base.accuracy()),
            "policy, greedy": accuracy(base.policy.accuracy()),
            "system": accuracy(base.system.accuracy()),
            **{f"system {heading}": cell for heading, cell in by_seed(base.system).items()},
        }
        problems = num_problems(base.system)
        claims.append(
            Claim(
                f"{base.name}: the recipe lifts the policy, and the system lies above it",
                (compare(base.policy, base.base), compare(base.system, base.policy)),
            )
        )
    shown = "; ".join(f"{name} {a:.1f} to {b:.1f}" for name, (a, b) in paper.BASES.items())
    title = "Table 10: other bases"
    note = f"Paper, MATH, base to system: {shown}. {_INTERVALS}"
    return Result("table10", title, (table(f"Accuracy in percent: {problems}", "", lines, note),), tuple(claims))
