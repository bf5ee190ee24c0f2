"""What each round of self-evolution adds under one SFT for all rounds, and whether it adds more than sampling does.

    python perf/rounds.py --out FOLDER [--seeds 1 2 3 4 5] [--recipe pocket-full] [--json FILE]

Two runs for every training seed, on the same training problems and with the same SFT: the recipe's rounds, and iterated
rejection sampling, whose rounds draw whole solutions from their own last policy for as many tokens as the rounds of the
first generated (`rstar_math.paper.rejection`). What neither needs is not made: no system, no control of the base, no
calibration, and a PPM only in rounds after which a search uses it. Each round's policy answers the seed's held-out
problems greedily. A folder that was begun is gone on with. `--report` makes nothing and tells what is there.

Tables, in percent, with intervals over seeds and problems (`rstar_math.intervals`):

    greedy   accuracy of every round's policy, all problems and by tier
    solved   training problems solved in a round, and so far, all and by tier; tokens generated for a problem

The claims were stated before the first run was made, and are corrected for their number (Holm).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from rstar_math.cli.settings import with_rounds
from rstar_math.config import Recipe
from rstar_math.config.reading import changed_recipe, load_recipe
from rstar_math.evolve import evolve
from rstar_math.intervals import Cell, paired, share
from rstar_math.paper.claims import Claim, Evidence, Measured, compare, decided, mean
from rstar_math.paper.laboratory import read_rows
from rstar_math.paper.recipes import seed_recipe
from rstar_math.paper.rejection import sampled_recipe, tokens_spent
from rstar_math.paper.result import accuracy, claims_markdown, table
from rstar_math.progress import LineProgress
from rstar_math.report.table import TextTable, count, percent, to_markdown
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import read_table, read_trees
from rstar_math.store.round import Base, Round

EVOLUTION, SAMPLING = "evolution", "rejection sampling"
LAST_TO_ADD = 3
"""Every round up to this one is to add something; later ones are to be no worse."""
MARGIN = 0.02
"""A loss of fewer points counts as none."""


@dataclass(frozen=True, slots=True)
class Solved:
    """Training problems of one arm after one round.

    Attributes:
      now: whether each was solved in the round, by seed and problem.
      so_far: in it or before.
      tiers: tier of each.
      tokens: generated for a problem, in the mean.
    """

    now: dict[Cell, float]
    so_far: dict[Cell, float]
    tiers: dict[Cell, str]
    tokens: float


def main() -> None:
    """Makes what is missing, seed by seed and round by round of both arms, and prints the tables after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of all runs")
    parser.add_argument("--recipe", default="pocket-full", help="whose rounds are made")
    parser.add_argument("--seeds", type=int, nargs="+", help="of the recipe's `reproduce.seeds`; default: all")
    parser.add_argument("--report", action="store_true", help="make nothing, tell what is there")
    parser.add_argument("--rounds", type=int, help="tell of so many rounds, and of the seeds that have them")
    parser.add_argument("--json", type=Path, help="write tables and claims there")
    options = parser.parse_args()
    recipe = lean_recipe(load_recipe(options.recipe))
    seeds = options.seeds or list(recipe.reproduce.seeds)
    for seed in () if options.report else seeds:
        for number in range(1, len(recipe.rounds) + 1):
            make(recipe, options.out, seed, number)
            tell(options.out, seeds, number, None)
    tell(options.out, seeds, options.rounds or len(recipe.rounds), options.json)


def lean_recipe(recipe: Recipe) -> Recipe:
    """The same rounds without what no later round needs."""
    uses_ppm = [*(after.search.use_ppm for after in recipe.rounds[1:]), False]
    rounds = tuple(
        each.model_copy(update={"train_ppm": needed}) for each, needed in zip(recipe.rounds, uses_ppm, strict=True)
    )
    evaluation = {"system": None, "control_problems": None, "threshold_problems": None, "rounds": "all"}
    calibration = {"problems": {"source": recipe.held_out.problems.source, "num_problems": 1}, "known": []}
    changes = {"evaluation": evaluation, "calibration": calibration, "name": f"{recipe.name}-lean"}
    return changed_recipe(recipe, changes, "perf/rounds.py").model_copy(update={"rounds": rounds})


def folder_of(out: Path, arm: str, seed: int) -> Path:
    """Where the run of an arm under a seed lies."""
    return out / arm.replace(" ", "-") / f"seed-{seed}"


def make(recipe: Recipe, out: Path, seed: int, number: int) -> None:
    """Both runs of a seed up to a round, made or gone on with."""
    ours, mine = folder_of(out, EVOLUTION, seed), with_rounds(seed_recipe(recipe, seed), number)
    if num_whole(ours, number) < number:
        evolve(mine, ours, LineProgress(prefix=f"seed {seed}, {EVOLUTION}: ", every_s=60))
    theirs = folder_of(out, SAMPLING, seed)
    if num_whole(theirs, number) < number:
        spent = [tokens_spent(each, mine.seed) for each in Round(ours, number).since(1)]
        evolve(sampled_recipe(mine, spent), theirs, LineProgress(prefix=f"seed {seed}, {SAMPLING}: ", every_s=60))


def num_whole(run: Path, num_rounds: int) -> int:
    """How many rounds of a run have been measured, one after the other from the first."""
    whole = 0
    while whole < num_rounds and "evaluate" in Manifest(Round(run, whole + 1).folder):
        whole += 1
    return whole


def tell(out: Path, seeds: Sequence[int], num_rounds: int, path: Path | None) -> None:
    """Prints the tables and claims of the seeds that have whole runs."""
    of = {
        arm: [s for s in seeds if num_whole(folder_of(out, arm, s), num_rounds) == num_rounds]
        for arm in (EVOLUTION, SAMPLING)
    }
    if not of[EVOLUTION]:
        print("no seed is whole yet")
        return
    greedy = {(arm, n): greedy_of(out, arm, n, of[arm]) for arm in of for n in range(num_rounds + 1) if of[arm]}
    solved = {(arm, n): solved_of(out, arm, n, of[arm]) for arm in of for n in range(1, num_rounds + 1) if of[arm]}
    tables = [greedy_table(greedy), solved_table(solved)]
    claims = claims_of(greedy, solved, num_rounds)
    for shown in tables:
        print(to_markdown(shown))
    print(claims_markdown(claims), flush=True)
    if path:
        path.write_text(json.dumps(as_json(of, greedy, solved, claims), indent=1), encoding="utf-8")


def greedy_of(out: Path, arm: str, number: int, seeds: Sequence[int]) -> Measured:
    """Greedy answers of a round's policy, 0 for the base."""
    label = f"{arm}, round {number}" if number else "base"
    runs = {seed: folder_of(out, arm, seed) for seed in seeds}
    parts = {seed: Round(run, number) if number else Base(run) for seed, run in runs.items()}
    return Measured(label, {seed: read_rows(part.results("greedy")) for seed, part in parts.items()})


def solved_of(out: Path, arm: str, number: int, seeds: Sequence[int]) -> Solved:
    """Which training problems an arm has solved after a round."""
    now: dict[Cell, float] = {}
    so_far: dict[Cell, float] = {}
    tiers: dict[Cell, str] = {}
    tokens = []
    for seed in seeds:
        rounds = Round(folder_of(out, arm, seed), number).since(1)
        found = [{row["problem"] for row in read_table(each.trajectories)} for each in rounds]
        trees = list(read_trees(rounds[-1].trees))
        for problem in {tree.problem.id: tree.problem for tree in trees}.values():
            cell = seed, problem.id
            now[cell], so_far[cell] = float(problem.id in found[-1]), float(any(problem.id in f for f in found))
            tiers[cell] = problem.tier or "all"
        tokens.append(sum(tree.cost.tokens_generated for tree in trees) / len({t.problem.id for t in trees}))
    return Solved(now, so_far, tiers, mean(tokens))


def of_tier(cells: dict[Cell, float], tiers: dict[Cell, str], tier: str) -> dict[Cell, float]:
    """The cells of one tier."""
    return {cell: value for cell, value in cells.items() if tiers[cell] == tier}


def hardest(solved: Solved) -> str:
    """The tier of which the fewest problems are solved."""
    tiers = sorted(set(solved.tiers.values()))
    return min(tiers, key=lambda tier: mean(of_tier(solved.now, solved.tiers, tier).values()))


def claims_of(
    greedy: dict[tuple[str, int], Measured], solved: dict[tuple[str, int], Solved], last: int
) -> tuple[Claim, ...]:
    """The claims that were stated beforehand, on the rounds that are there; those on rejection sampling with both arms.

    Holm's correction is over the claims that can be made.
    """
    ours = [greedy[EVOLUTION, n] for n in range(last + 1)]
    claims = [
        Claim(f"round {n + 1} adds to the policy of round {n}", (compare(ours[n + 1], ours[n]),))
        for n in range(1, min(last, LAST_TO_ADD))
    ]
    claims += [
        Claim(
            f"the policy of round {n + 1} is no worse than that of round {n}, by {100 * MARGIN:.0f} points",
            (compare(ours[n + 1], ours[n]),),
            margin=MARGIN,
            may_be_level=True,
        )
        for n in range(LAST_TO_ADD, last)
    ]
    if (SAMPLING, last) in greedy:
        tier = hardest(solved[EVOLUTION, 1])
        a, b = solved[EVOLUTION, last], solved[SAMPLING, last]
        evidence = paired(of_tier(a.so_far, a.tiers, tier), of_tier(b.so_far, b.tiers, tier))
        claims += [
            Claim(
                f"the policy of round {last} lies above that of {SAMPLING} with the same tokens",
                (compare(ours[last], greedy[SAMPLING, last]),),
            ),
            Claim(
                f"{EVOLUTION} has solved more training problems of the hardest tier ({tier})",
                (Evidence(f"{EVOLUTION} - {SAMPLING}, {tier}, round {last}", evidence),),
            ),
        ]
    return tuple(claims)


def greedy_table(greedy: dict[tuple[str, int], Measured]) -> TextTable:
    """Accuracy of every policy."""
    lines = {}
    for (arm, number), measured in greedy.items():
        if arm == EVOLUTION or number:
            cells = {f"by tier|{tier}": accuracy(measured.accuracy(tier)) for tier in measured.tiers()}
            by_seed = {f"by seed|{seed}": percent(value) for seed, value in measured.accuracy_by_seed().items()}
            lines[measured.label] = {"all": accuracy(measured.accuracy()), **cells, **by_seed}
    some = greedy[EVOLUTION, 1]
    title = f"Greedy accuracy in percent: {len(some.outcomes()):,} held-out problems, {len(some.rows)} training seeds"
    return table(title, "", lines, "95 % intervals over seeds and problems.")


def solved_table(solved: dict[tuple[str, int], Solved]) -> TextTable:
    """Training problems solved by every round."""
    lines = {}
    for (arm, number), found in solved.items():
        tiers = sorted(set(found.tiers.values()))
        lines[f"{arm}, round {number}"] = {
            "this round|all": accuracy(share(found.now)),
            **{f"this round|{t}": percent(mean(of_tier(found.now, found.tiers, t).values())) for t in tiers},
            "so far|all": accuracy(share(found.so_far)),
            **{f"so far|{t}": percent(mean(of_tier(found.so_far, found.tiers, t).values())) for t in tiers},
            "tokens a problem": count(found.tokens),
        }
    return table("Training problems solved, percent", "", lines, "Several trees of a round count once.")


def as_json(
    seeds: dict[str, list[int]],
    greedy: dict[tuple[str, int], Measured],
    solved: dict[tuple[str, int], Solved],
    claims: Sequence[Claim],
) -> dict[str, Any]:
    """The numbers of tables and claims."""
    return {
        "seeds": seeds,
        "greedy": {measured.label: measured.accuracy_by_seed() for measured in greedy.values()},
        "solved": {
            f"{arm}, round {n}": {"now": mean(s.now.values()), "so_far": mean(s.so_far.values()), "tokens": s.tokens}
            for (arm, n), s in solved.items()
        },
        "claims": [
            {
                "claim": d.claim.text,
                "verdict": d.verdict,
                "p": d.p,
                "by": [[e.difference.value, e.difference.low, e.difference.high] for e in d.claim.evidence],
            }
            for d in decided(claims)
        ],
    }


if __name__ == "__main__":
    main()
