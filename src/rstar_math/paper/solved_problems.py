"""Table 2: training problems solved, beside two controls that have the tokens of the search."""

from __future__ import annotations

from rstar_math.intervals import Cell, estimate, paired, ratio, share
from rstar_math.paper import paper
from rstar_math.paper.claims import Claim, Evidence, mean
from rstar_math.paper.laboratory import Laboratory
from rstar_math.paper.rejection import NAME, sampled_run
from rstar_math.paper.result import Result, accuracy, table
from rstar_math.report.table import NONE, count, percent
from rstar_math.store.records import read_table, read_trees
from rstar_math.store.round import Base, Round
from rstar_math.store.run_files import read_control


def table2(lab: Laboratory) -> Result:
    """Training problems solved, round by round and tier by tier, and what two controls solve with the same tokens."""
    rounds = range(1, lab.num_rounds + 1)
    solved: dict[int, dict[Cell, float]] = {n: {} for n in rounds}
    so_far: dict[int, dict[Cell, float]] = {n: {} for n in rounds}
    control: dict[int, dict[Cell, float]] = {n: {} for n in rounds}
    sampled: dict[int, dict[Cell, float]] = {n: {} for n in rounds if lab.settings.controls}
    sampled_so_far: dict[int, dict[Cell, float]] = {n: {} for n in sampled}
    tokens: dict[int, list[list[int]]] = {n: [] for n in sampled}
    tier_of: dict[Cell, str] = {}
    for seed in lab.seeds:
        run, before = lab.run(seed), set[str]()
        control_file = Base(run).control
        controls = read_control(control_file) if control_file.exists() else None
        problems = {t.problem.id: t.problem.tier for t in read_trees(Round(run, 1).trees)}
        for n in rounds:
            now = {row["problem"] for row in read_table(Round(run, n).trajectories)}
            before |= now
            for problem, tier in problems.items():
                key = seed, problem
                tier_of[key] = tier or "all"
                solved[n][key], so_far[n][key] = float(problem in now), float(problem in before)
            if controls is not None:
                found = set(controls.rounds[n - 1].solved)
                control[n] |= {(seed, p): float(p in found) for p in controls.problems}
        before = set()
        for n in sampled:
            other = Round(sampled_run(lab, seed), n)
            now = {row["problem"] for row in read_table(other.trajectories)}
            before |= now
            sampled[n] |= {(seed, p): float(p in now) for p in problems}
            sampled_so_far[n] |= {(seed, p): float(p in before) for p in problems}
            spent = [sum(t.cost.tokens_generated for t in read_trees(r.trees)) for r in (Round(run, n), other)]
            tokens[n].append(spent)
    tiers = sorted(set(tier_of.values()))

    def part(outcomes: dict[Cell, float], tier: str | None = None) -> str:
        values = [v for key, v in outcomes.items() if tier in (None, tier_of[key])]
        return percent(mean(values)) if values else NONE

    lines = {}
    for n in rounds:
        cells = {f"solved so far|{tier}": part(so_far[n], tier) for tier in tiers}
        cells |= {"solved so far|all": part(so_far[n]), "this round|all": accuracy(share(solved[n]))}
        if control[n]:
            same = {key: solved[n][key] for key in control[n]}
            cells |= {
                "the control's problems|this round": part(same),
                "the control's problems|base": part(control[n]),
            }
        if n in sampled:
            ours, theirs = (sum(of) / len(tier_of) for of in zip(*tokens[n], strict=True))
            cells |= {
                f"{NAME}|solved so far": part(sampled_so_far[n]),
                f"{NAME}|this round": accuracy(share(sampled[n])),
                "tokens a problem|search": count(ours),
                "tokens a problem|sampling": count(theirs),
            }
        cells["paper|all"] = f"{paper.SOLVED_BY_ROUND['all'][n - 1]}" if n <= 4 else NONE
        lines[f"round {n}"] = cells
    first, last = solved[1], solved[lab.num_rounds]
    rising = []
    for tier in tiers:
        of_tier = {key: value for key, value in last.items() if tier_of[key] == tier}
        rising.append(Evidence(f"{tier}, last round - first", paired(of_tier, first)))
    claims = [Claim("the share of solved problems rises in every tier", tuple(rising))]
    if len(tiers) > 1:
        rises_of = {e.label.partition(",")[0]: e.difference.value for e in rising}
        hardest = min(tiers, key=lambda t: mean(v for k, v in first.items() if tier_of[k] == t))
        others = [_rise_difference(first, last, tier_of, hardest, tier) for tier in tiers if tier != hardest]
        claims.append(
            Claim(
                f"the hardest tier ({hardest}) rises most",
                tuple(others),
                ", ".join(f"{tier} {100 * rise:+.1f}" for tier, rise in rises_of.items()),
            )
        )
    for n in rounds:
        if control[n]:
            evidence = Evidence(f"round {n} - base", paired(solved[n], control[n]))
            claims.append(
                Claim(f"round {n} solves more than the untrained base does with the same tokens", (evidence,))
            )
    for n in sampled:
        evidence = Evidence(f"round {n} - {NAME}", paired(solved[n], sampled[n]))
        claims.append(Claim(f"round {n} solves more than {NAME}, with the same tokens", (evidence,)))
    note = (
        "The control: plain samples of the untrained base, with as many tokens for a problem as the round's search, on "
        f"{lab.recipe.evaluation.control_problems} of the problems of each seed. Several trees of a round count once."
        + f" {NAME.capitalize()}: a run whose rounds draw whole solutions from their own last policy."
        * bool(sampled)
    )
    num = f"{len(first):,} problems, {len(lab.seeds)} training seeds"
    title = "Table 2: training problems solved"
    return Result("table2", title, (table(f"Solved, percent: {num}", "", lines, note),), tuple(claims))


def _rise_difference(
    first: dict[Cell, float], last: dict[Cell, float], tier_of: dict[Cell, str], hardest: str, tier: str
) -> Evidence:
    """How much more the hardest tier rises than another."""
    cells = {}
    for key, before in first.items():
        rise, of = last[key] - before, tier_of[key]
        cells[key] = (rise * (of == hardest), float(of == hardest), rise * (of == tier), float(of == tier))
    found = estimate(cells, lambda m: ratio(m[:2]) - ratio(m[2:]))
    return Evidence(f"rise of {hardest} - rise of {tier}", found)
