"""Figures 3 to 7 of the paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rstar_math.intervals import estimate, ratio, share
from rstar_math.metrics import Interval
from rstar_math.paper.backtracking import Searched, Turn, example_text
from rstar_math.paper.bases import every_base
from rstar_math.paper.claims import Claim, Evidence, Measured, combined, compare, mean
from rstar_math.paper.laboratory import Laboratory
from rstar_math.paper.result import Result, accuracy, table
from rstar_math.paper.trajectories import (
    Score,
    best_of,
    doubling,
    forest_of,
    forests,
    majority_of,
    many_samples,
    pass_of,
    solved_by_first,
    system_cell,
    vote_of,
    vote_of_first,
)
from rstar_math.report.curves import Panel, Series, curves_png
from rstar_math.report.table import NONE, TextTable, count, percent
from rstar_math.store.records import read_trees
from rstar_math.store.round import Round
from rstar_math.tree import Tree


def curve(measured: Measured, score_of: Callable[[int], Score], ks: Sequence[int]) -> list[Interval]:
    """Accuracy at every k with intervals over seeds and problems."""
    return [_known(share(measured.cells(score=score_of(k)))) for k in ks]


def _curves_table(title: str, series: Sequence[Series], note: str = "") -> TextTable:
    ks = sorted({int(x) for s in series for x in s.x})
    lines = {
        s.label: {f"N|{k}": percent(dict(zip(s.x, (y.value for y in s.y), strict=True)).get(k)) for k in ks}
        for s in series
    }
    return table(title, "", lines, note)


def figure3(lab: Laboratory) -> Result:
    """Accuracy against the number of trajectories."""
    last = lab.num_rounds
    ks = doubling(lab.settings.num_trajectories)
    descents, sampled = forests(lab, last), many_samples(lab, last)
    series = [
        Series("descents under the PPM, vote", ks, curve(descents, vote_of_first, ks)),
        Series("samples, PPM-weighted vote", ks, curve(sampled, vote_of, ks)),
        Series("samples, best of N by PPM", ks, curve(sampled, best_of, ks)),
        Series("samples, majority", ks, curve(sampled, majority_of, ks), is_dashed=True),
    ]
    most, some = ks[-1], ks[max(0, len(ks) - 3)]
    claims = (
        Claim(
            f"accuracy grows with the number of trajectories, from 1 to {most}",
            tuple(
                compare(m, m, score=of(most), worse_score=of(1), label=f"{name}: {most} - 1")
                for name, m, of in (
                    ("descents", descents, vote_of_first),
                    ("samples, PPM-weighted vote", sampled, vote_of),
                )
            ),
        ),
        Claim(
            f"it still grows from {some} to {most}",
            (
                compare(
                    descents, descents, score=vote_of_first(most), worse_score=vote_of_first(some), label="descents"
                ),
            ),
        ),
    )
    png = curves_png([Panel(f"models of round {last}", series, "trajectories")])
    shown = _curves_table("Accuracy in percent by number of trajectories", series, _points_note(lab, descents, sampled))
    return Result("figure3", "Figure 3: accuracy and the number of trajectories", (shown,), claims, png=png)


def _points_note(lab: Laboratory, descents: Measured, sampled: Measured) -> str:
    most = lab.settings.num_trajectories
    each = [(m.mean("tokens_generated") or 0.0) / most for m in (descents, sampled)]
    return f"Tokens: {count(each[0])} for a descent (discarded candidates included), {count(each[1])} for a sample."


def figure4(lab: Laboratory) -> Result:
    """Searches that turn back from a low-valued approach, round by round, against chance."""
    lines, claims, example = {}, [], ""
    for n in range(1, lab.num_rounds + 1):
        searched = {s: Searched.of(read_trees(Round(lab.run(s), n).trees)) for s in lab.seeds}
        found = [pair for of in searched.values() for pair in of.turned]
        by_chance = sorted(map(sum, zip(*(of.by_chance for of in searched.values() if of.by_chance), strict=True)))
        num_late = sum(of.num_late for of in searched.values())
        low, high = (by_chance[int(q * len(by_chance))] if by_chance else 0 for q in (0.025, 0.975))
        lines[f"round {n}"] = {
            "trees": count(sum(of.num_trees for of in searched.values())),
            "solved after a wrong rollout": count(num_late),
            "turned back": count(len(found)),
            "share of those, %": percent(len(found) / num_late) if num_late else NONE,
            "by chance": f"{mean(by_chance):.1f} [{low}, {high}]",
        }
        kind = "PPM-guided" if lab.recipe.rounds[n - 1].search.use_ppm else "terminal-guided"
        late = {(s, p): (more, float(num)) for s, of in searched.items() for p, (more, num) in of.late.items()}
        evidence = (
            [Evidence("share of the searches solved late, found - chance", estimate(late, ratio))] if late else []
        )
        claims.append(
            Claim(
                f"round {n} ({kind}): searches turn back from low-valued branches more often than chance has it",
                tuple(evidence),
            )
        )
        if found:
            example = _example(found, n) or example
    note = (
        "Turned back: the first right rollout parts from an earlier wrong one at a branch whose Q is negative and the "
        "lowest of its siblings that have a value, and takes another approach there (code that differs in more than "
        "numbers and names). By chance: the same with the values of the siblings shuffled, 95 % of 200 shuffles. "
        "Before anything succeeds a terminal-guided search has no values but those of failures: it cannot differ."
    )
    shown = table("Training searches of all seeds", "", lines, note)
    return Result("figure4", "Figure 4: turning back", (shown,), tuple(claims), text=example)


def _example(found: Sequence[tuple[Tree, Turn]], number: int) -> str:
    """The clearest turn of a round: late in the solution, the left branch far below the one taken."""
    known = [(tree, turn) for tree, turn in found if turn.q_taken is not None]
    if not known:
        return ""

    def clearness(pair: tuple[Tree, Turn]) -> tuple[float, str]:
        tree, turn = pair
        assert turn.q_taken is not None
        return (turn.q_taken - turn.q_left, tree.id)

    tree, turn = max(known, key=clearness)
    shown = example_text(tree, turn, lambda q: "none yet" if q is None else f"{q:+.2f}")
    return f"An example of round {number}:\n\n{shown}"


def figure5(lab: Laboratory) -> Result:
    """What moves the result: the reward model or the policy."""
    last = lab.num_rounds
    rounds = range(1, last + 1)
    grid = {(p, n): system_cell(lab, p, n, f"policy {p}, PPM {n}") for p in (1, last) for n in rounds}
    alone = {p: lab.of_run("greedy", p, f"policy {p}, greedy") for p in (1, last)}
    lines = {}
    for p in (1, last):
        cells = {f"PPM of round|{n}": accuracy(grid[p, n].accuracy()) for n in rounds}
        lines[f"policy of round {p}"] = {"alone, greedy": accuracy(alone[p].accuracy())} | cells
    names = [str(n) for n in rounds]
    series = []
    for p in (1, last):
        values = [_known(grid[p, n].accuracy()) for n in rounds]
        series.append(Series(f"policy of round {p} under each PPM", list(range(last)), values))
        flat = [_known(alone[p].accuracy())] * last
        series.append(Series(f"policy of round {p} alone", list(range(last)), flat, is_dashed=True))
    parts = [(grid[p, n], None) for p in (1, last) for n in rounds]

    def spreads(means: Sequence[float]) -> float:
        first, final = means[:last], means[last:]
        by_reward_model = mean(max(of) - min(of) for of in (first, final))
        by_policy = mean(abs(a - b) for a, b in zip(first, final, strict=True))
        return by_reward_model - by_policy

    swap = compare(grid[1, last], grid[last, 1], label=f"policy 1 with PPM {last} - policy {last} with PPM 1")
    lifted = compare(grid[1, last], alone[last], label=f"policy 1 with PPM {last} - policy {last} alone")
    claims = (
        Claim("the first policy under the last PPM beats the last policy under the first PPM", (swap,)),
        Claim(
            "the spread between reward models is larger than the spread between policies",
            (combined("mean spread over PPMs - mean spread over policies", parts, spreads),),
        ),
        Claim("the first policy under the last PPM beats the last policy alone", (lifted,)),
    )
    png = curves_png([Panel("the recipe's system", series, "PPM of round", names)])
    shown = table("Accuracy in percent", "", lines)
    return Result("figure5", "Figure 5: reward model against policy", (shown,), claims, png=png)


def _known(found: Interval | None) -> Interval:
    assert found is not None, "held-out problems have references"
    return found


def figure6(lab: Laboratory) -> Result:
    """pass@N of the base and of the evolved policy, by plain sampling; and by searching."""
    last = lab.num_rounds
    ks = doubling(lab.settings.num_trajectories)
    base, evolved, descents = many_samples(lab, 0), many_samples(lab, last), forests(lab, last)
    series = [
        Series("base, samples", ks, curve(base, pass_of, ks)),
        Series(f"policy of round {last}, samples", ks, curve(evolved, pass_of, ks)),
        Series("descents under the PPM, any of first N", ks, curve(descents, solved_by_first, ks)),
    ]
    evidence = tuple(compare(evolved, base, score=pass_of(k), label=f"pass@{k}") for k in ks)
    claims = (Claim("the evolved policy's pass@N lies above the base's at every N", evidence),)
    png = curves_png([Panel("", series, "N")], "solved by one of N, %")
    note = (
        "Samples: the unbiased estimator. Descents are not independent samples of one distribution: any of the first N."
    )
    shown = _curves_table("Solved by one of N, percent", series, note)
    return Result("figure6", "Figure 6: pass@N", (shown,), claims, png=png)


def figure7(lab: Laboratory) -> Result:
    """PPM-guided search of policies of different size: do they come together as N grows?"""
    ks = doubling(lab.settings.num_trajectories)
    bases = list(every_base(lab))
    series, searches, greedy = [], [], []
    for base in bases:
        label = f"{base.name} ({base.num_parameters / 1e6:.1f} M)"
        found = forest_of(lab, base.model_of, label)
        series.append(Series(label, ks, curve(found, solved_by_first, ks)))
        searches.append(found)
        greedy.append((base.policy, None))
    claims = []
    if len(bases) > 1:
        at_first, at_last = ([(m, solved_by_first(k)) for m in searches] for k in (ks[0], ks[-1]))
        num = len(bases)

        def closer(means: Sequence[float]) -> float:
            """How much smaller the spread of the last is than that of the first."""
            before, after = means[:num], means[num:]
            return (max(before) - min(before)) - (max(after) - min(after))

        claims = [
            Claim(
                f"policies of different size come together from N = 1 to N = {ks[-1]}",
                (combined(f"spread at 1 - spread at {ks[-1]}", [*at_first, *at_last], closer),),
            ),
            Claim(
                f"they are closer at N = {ks[-1]} than their policies are alone",
                (combined(f"spread of greedy - spread at {ks[-1]}", [*greedy, *at_last], closer),),
            ),
        ]
    png = curves_png([Panel("descents under each model's PPM", series, "N")], "solved by one of the first N, %")
    shown = _curves_table("Solved by one of the first N descents, percent", series)
    return Result("figure7", "Figure 7: policies of different size", (shown,), tuple(claims), png=png)
