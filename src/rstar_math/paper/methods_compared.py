"""Table 8: reward models and strategies at equal numbers of generated tokens."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rstar_math.config import BudgetSettings, MethodSettings
from rstar_math.evaluation.methods import read_methods
from rstar_math.paper import paper
from rstar_math.paper.claims import NO_WORSE, Claim, Measured, compare
from rstar_math.paper.laboratory import Laboratory, RewardModelKind
from rstar_math.paper.result import Result, accuracy, difference, table
from rstar_math.report.table import NONE, TextTable, count, percent, seconds
from rstar_math.search.strategies import strategy

TREES = ("mcts", "forest", "ab_mcts")
"""Strategies that count as a tree search."""

BEAMS = ("beam", "diverse_beam")
"""Strategies that search under the reward model as well, but keep no tree."""

PAPERS = "MCTS, PPM"
"""The paper's search, by its name in the list of methods."""

_BESIDE_THE_PPM: tuple[RewardModelKind, ...] = ("orm", "pqm")
_REFERENCES = ("greedy", "maj@N", "best-of-N, ORM", "best-of-N, PPM", "vote, PPM")
"""What the paper's claim says a tree search under the PPM beats; the last is the strongest at the pocket scale."""

PRIMARY = (
    ("forest", "vote, PPM"),  # a search under the PPM, and a choice by the PPM among samples
    ("forest", PAPERS),  # fresh descents, and the paper's one tree
    ("forest", "diverse beam"),  # the strongest search that keeps no tree
    (PAPERS, "MCTS, PQM"),  # preferences, and values, in the paper's own tree
)
"""The few claims that the table stands or falls with: the first is better than the second, with each round's models.

They are stated here, before a run is made. Eight claims (two rounds) leave something to show after Holm's correction;
the some sixty others do not, and are corrected by themselves.
"""

UNEQUAL = 0.1
"""A mean that differs by more than this share from the budget is marked."""


def table8(lab: Laboratory) -> Result:
    """Every method at every budget, with its cost; the paper's claims and those of the better strategies."""
    methods = read_methods(lab.settings.methods).methods
    rounds = lab.settings.method_rounds or (lab.num_rounds,)
    tables, claims = [], []
    for number in rounds:
        timed = _timed(lab, number, methods)
        cells = {}
        for budget in lab.settings.budgets:
            cells[budget] = _measured(lab, number, methods, budget)
            tables.append(_table(lab, number, budget, cells[budget], timed))
        claims += claims_on(methods, cells, f"models of round {number}: " if len(rounds) > 1 else "")
    return Result("table8", "Table 8: methods at equal generated tokens", tuple(tables), tuple(claims))


def _measured(
    lab: Laboratory,
    number: int,
    methods: tuple[MethodSettings, ...],
    tokens: int,
    *,
    alone: bool = False,
    seeds: Sequence[int] | None = None,
    limit: int | None = None,
) -> dict[str, Measured]:
    """Every method with the models of a round, by its name; greedy decoding has no limit of tokens.

    Completions and scores are shared, unless each method is measured alone.
    """
    found = {}
    # methods with the same models one after another
    for method in sorted(methods, key=lambda m: m.reward_model or "ppm"):
        found[method.name] = lab.measure(
            method.name,
            lambda seed: lab.model(seed, number),
            method,
            budget=None if strategy(method.strategy).is_deterministic else BudgetSettings(tokens=tokens),
            reward_models_of=_reward_models_of(lab, number, methods),
            shared=not alone,
            alone=alone,
            seeds=seeds,
            limit=limit,
        )
    return {method.name: found[method.name] for method in methods}


def _reward_models_of(
    lab: Laboratory, number: int, methods: tuple[MethodSettings, ...]
) -> Callable[[int], dict[str, Path]]:
    """From a seed to the reward models that some method asks for, trained where they are missing."""
    wanted = [kind for kind in _BESIDE_THE_PPM if any(m.reward_model == kind for m in methods)]
    return lambda seed: lab.reward_models(seed, number, wanted)


def _timed(lab: Laboratory, number: int, methods: tuple[MethodSettings, ...]) -> dict[str, Measured]:
    """The methods at the largest budget on a few problems, with nothing shared, so that CPU seconds mean something."""
    tokens, limit = max(lab.settings.budgets), lab.settings.timed_problems
    return _measured(lab, number, methods, tokens, alone=True, seeds=lab.seeds[:1], limit=limit)


def _cpu(measured: Measured) -> float | None:
    own, rest = measured.mean("process_cpu_seconds"), measured.mean("cpu_seconds")
    return None if own is None or rest is None else own + rest


def _table(
    lab: Laboratory, number: int, tokens: int, cells: dict[str, Measured], timed: dict[str, Measured]
) -> TextTable:
    lines = {}
    for name, measured in cells.items():
        generated = measured.mean("tokens_generated") or 0.0
        mark = "*" if name != "greedy" and abs(generated - tokens) > UNEQUAL * tokens else ""
        over = compare(measured, cells[PAPERS]).difference if PAPERS in cells and name != PAPERS else None
        line = {
            "accuracy": accuracy(measured.accuracy()),
            f"over {PAPERS}": difference(over),
            "tokens|generated": count(generated) + mark,
            "tokens|scored": count(measured.mean("tokens_scored")),
        }
        if tokens == max(lab.settings.budgets):
            cpu = _cpu(timed[name])
            line["CPU|seconds"] = NONE if cpu is None else seconds(cpu)
        line |= {f"by seed|{s}": percent(a) for s, a in measured.accuracy_by_seed().items()}
        if number == lab.num_rounds and name in paper.METHODS:
            line["paper, MATH"] = f"{paper.METHODS[name]:.1f}"
        lines[name] = line
    some = next(iter(cells.values()))
    title = f"Models of round {number}, {tokens:,} tokens: {len(some.outcomes()):,} problems, percent"
    note = (
        "95 % intervals over seeds and problems; differences are paired. Discarded candidates count as generated. "
        "Completions and scores were shared between methods, and every method counts them in full."
    )
    if tokens == max(lab.settings.budgets):
        note += f" CPU: on {lab.settings.timed_problems} problems of the first seed, with nothing shared."
    if any("*" in line["tokens|generated"] for line in lines.values()):
        note += " * more than 10 % from the budget."
    return table(title, "method", lines, note)


def claims_on(
    methods: Sequence[MethodSettings], cells: Mapping[int, Mapping[str, Measured]], where: str
) -> list[Claim]:
    """The claims on one round's models, the primary ones first.

    Args:
      methods: of the table.
      cells: every method by its name, by budget in tokens.
      where: what stands before each claim.
    """
    under_ppm = [m for m in methods if m.reward_model in (None, "ppm")]
    searches = [m.name for m in under_ppm if m.strategy in TREES]
    rivals = [PAPERS, *(m.name for m in under_ppm if m.strategy in BEAMS)]
    claims = [
        replace(better(name, rival, cells, where), primary=True)
        for name, rival in PRIMARY
        if all({name, rival} <= set(of) for of in cells.values())
    ]
    for name in searches:
        for budget, of in cells.items():
            others = [other for other in _REFERENCES if other in of]
            if others:
                evidence = tuple(compare(of[name], of[other]) for other in others)
                claims.append(Claim(f"{where}{budget:,} tokens: {name} beats {', '.join(others)}", evidence))
    for name, rival in itertools.product(searches, rivals):
        if name != PAPERS and (name, rival) not in PRIMARY and all(rival in of for of in cells.values()):
            claims.append(better(name, rival, cells, where))
    if all({"MCTS, PQM", PAPERS} <= set(of) for of in cells.values()):
        for budget, of in cells.items():
            claims.append(
                Claim(f"{where}{budget:,} tokens: {PAPERS} beats MCTS, PQM", (compare(of[PAPERS], of["MCTS, PQM"]),))
            )
    return claims


def better(name: str, rival: str, cells: Mapping[int, Mapping[str, Measured]], where: str = "") -> Claim:
    """The claim that a method is better than a rival: at one budget at least, and at none worse by a margin.

    Args:
      name: of the method.
      rival: name of the other.
      cells: every method by its name, by budget in tokens.
      where: what stands before the claim.
    """
    margin = f"{100 * NO_WORSE:.0f} points"
    return Claim(
        f"{where}{name} is better than {rival} at one budget at least, and at none worse by {margin}",
        tuple(compare(of[name], of[rival], label=f"{budget:,} tokens") for budget, of in cells.items()),
        f"{name} - {rival}.",
        margin=NO_WORSE,
    )
