"""The tables of a run, on the terminal and in the page: accuracy, solved problems, growth, data, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rstar_math.metrics import Interval
from rstar_math.report.cluster import cluster_table
from rstar_math.report.schema import NOT_REPRODUCED, ByPart, ByTier, Report
from rstar_math.report.table import Column, TextTable, compact, count, percent, points, seconds
from rstar_math.report.terminal import print_table

if TYPE_CHECKING:
    from rstar_math.terminal.console import Console


def report_tables(report: Report) -> list[TextTable]:
    """All tables of a report, in the order in which they are read; those without any value are left out."""
    tables = [
        accuracy_table(report),
        growth_table(report),
        solved_table(report),
        parts_table(report),
        data_table(report),
        cost_table(report),
        cluster_table(report),
    ]
    return [table for table in tables if table is not None]


def print_report(console: Console, report: Report) -> None:
    """Prints the tables of a report, and what it says of confidence and of dropped data."""
    for table in report_tables(report):
        print_table(console, table)
        console.print()
    for line in report_lines(report):
        console.print(line)


def report_lines(report: Report) -> list[str]:
    """What a report says in sentences: what its judgements are worth, what was dropped, which references are odd."""
    return [
        *confidence_lines(report),
        *calibration_lines(report),
        *dropped_lines(report),
        *suspect_lines(report),
    ]


def accuracy_table(report: Report) -> TextTable:
    """Held-out accuracy by tier and round, of the policy alone and of the whole system."""
    tiers = report.tiers
    rows = [("base", *_shares(report.base.policy_greedy, tiers), *_shares(None, tiers))]
    for r in report.rounds:
        rows.append((f"round {r.round}", *_shares(r.policy_greedy, tiers), *_shares(r.system, tiers)))
    columns = [Column("", is_text=True)]
    columns += [Column(t, group) for group in ("policy", "system") for t in tiers]
    sizes = ", ".join(f"{t} {report.base.num_problems[t]}" for t in tiers if t in report.base.num_problems)
    return TextTable(
        "Accuracy on held-out problems, %",
        tuple(columns),
        tuple(rows),
        note=f"Problems: {sizes}. Policy: alone, greedy. System: PPM-augmented MCTS with the round's models.",
    )


def growth_table(report: Report) -> TextTable | None:
    """Paired differences on the same held-out problems, with their intervals."""
    if report.growth is None or not report.rounds:
        return None
    last = report.rounds[-1].round
    measured = (
        (Column(f"base to round {last}", "policy, greedy"), report.growth.base_to_last),
        (Column(f"round 1 to {last}", "policy, greedy"), report.growth.round_1_to_last),
        (Column(f"in round {last}", "system over policy"), report.growth.system_over_policy),
    )
    shown = [(column, values) for column, values in measured if values is not None]
    if not shown:
        return None
    return TextTable(
        "Differences in percentage points, with 95 % intervals",
        (Column("", is_text=True), *(column for column, _ in shown)),
        tuple((tier, *(interval(values.get(tier)) for _, values in shown)) for tier in report.tiers),
        note="Paired over the same held-out problems, percentile bootstrap.",
    )


def solved_table(report: Report) -> TextTable | None:
    """Training problems with a verified solution, by tier and round, beside the control."""
    rows: list[tuple[str, ...]] = []
    sections: list[int] = []
    for r in report.rounds:
        kinds = (("so far", r.solved), ("this round", r.solved_round), ("control", r.control))
        shown = [(name, values) for name, values in kinds if values is not None]
        for i, (name, values) in enumerate(shown):
            rows.append((f"round {r.round}" if i == 0 else "", name, *_shares(values, report.tiers)))
        if shown:
            sections.append(len(rows) - 1)
    if not rows:
        return None
    sizes = report.num_training_problems or {}
    note = "Training problems: " + ", ".join(f"{t} {n}" for t, n in sizes.items()) + ". " if sizes else ""
    samples = {r.num_control_problems for r in report.rounds if r.control is not None and r.num_control_problems}
    if any(r.control is not None for r in report.rounds):
        note += "Control: the untrained base with this round's token budget"
        note += f", on {' or '.join(str(n) for n in sorted(samples))} of the problems." if samples else "."
    return TextTable(
        "Training problems solved, %",
        (Column("", is_text=True), Column("", is_text=True), *(Column(t) for t in report.tiers)),
        tuple(rows),
        note=note,
        sections=tuple(sections[:-1]),
    )


def parts_table(report: Report) -> TextTable | None:
    """Accuracy of base and last round on each part of the held-out problems (seen and reworded, or novel)."""
    names: dict[str, None] = {}
    for numbers in (report.base.policy_greedy_parts, *(r.policy_greedy_parts for r in report.rounds)):
        names.update(dict.fromkeys(numbers or {}))
    for r in report.rounds:
        names.update(dict.fromkeys(r.system_parts or {}))
    if not names:
        return None
    measured: list[tuple[str, ByPart | None, ByPart | None]] = [("base", report.base.policy_greedy_parts, None)]
    measured += [(f"round {r.round}", r.policy_greedy_parts, r.system_parts) for r in report.rounds[-1:]]
    rows, sections = [], []
    for part in names:
        for name, policy, system in measured:
            shares = [(values or {}).get(part) for values in (policy, system)]
            rows.append((part, name, *(cell for s in shares for cell in _shares(s, report.tiers))))
        sections.append(len(rows) - 1)
    sizes = report.base.num_problems_parts or {}
    note = ", ".join(f"{part}: {sizes[part].get('all', 0)}" for part in names if part in sizes)
    columns = [Column("part", is_text=True), Column("", is_text=True)]
    columns += [Column(t, group) for group in ("policy", "system") for t in report.tiers]
    return TextTable(
        "Accuracy by part of the held-out problems, %",
        tuple(columns),
        tuple(rows),
        note=f"Problems: {note}." if note else "",
        sections=tuple(sections[:-1]),
    )


def data_table(report: Report) -> TextTable | None:
    """What each round trained on, and how well its PPM ranks pairs that it has not seen."""
    if not report.rounds:
        return None
    baselines = list(dict.fromkeys(name for r in report.rounds for name in r.ppm_pair_baselines or {}))
    rows = [
        (
            str(r.round),
            count(r.num_trajectories),
            count(r.num_pairs),
            percent(r.ppm_pair_accuracy),
            *(percent((r.ppm_pair_baselines or {}).get(name)) for name in baselines),
            count(r.num_ppm_pairs_held_out),
            percent(r.ppm_calibration_error),
        )
        for r in report.rounds
    ]
    columns = (
        Column("round", is_text=True),
        Column("trajectories", "trained on"),
        Column("pairs", "trained on"),
        Column("PPM", "pair accuracy, %"),
        *(Column(f"by {name.replace('_', ' ')}", "pair accuracy, %") for name in baselines),
        Column("pairs", "held out"),
        Column("error, %", "calibration"),
    )
    return TextTable("Data and PPM", columns, tuple(rows))


def cost_table(report: Report) -> TextTable | None:
    """What each round's search cost, and what answering one held-out problem costs."""
    if not report.rounds:
        return None
    rows = []
    for r in report.rounds:
        c = r.cost
        rows.append(
            (
                str(r.round),
                compact(c.tokens_generated),
                compact(c.tokens_scored),
                compact(c.model_calls),
                compact(c.executions),
                compact(c.grades),
                seconds(c.seconds),
                count(r.policy_greedy_tokens_per_problem),
                count(r.system_tokens_per_problem),
                count(r.system_tokens_scored_per_problem),
            )
        )
    columns = (
        Column("round", is_text=True),
        Column("generated", "tokens"),
        Column("scored", "tokens"),
        Column("calls", "model"),
        Column("executions"),
        Column("grades"),
        Column("seconds"),
        Column("greedy", "per answer"),
        Column("system", "per answer"),
        Column("scored", "per answer"),
    )
    spent = sum(sum(r.stage_seconds.values()) for r in report.rounds)
    note = (
        "Per answer: tokens for one held-out problem, generated by greedy decoding and by the system, and scored by "
        "the PPM. All other columns: the search of the training problems."
    )
    if spent:
        note += f" All stages of the rounds together: {seconds(spent)} wall seconds."
    return TextTable("Cost", columns, tuple(rows), note=note)


def confidence_lines(report: Report) -> list[str]:
    """What the threshold of `rstar solve` is worth, as text."""
    c = report.confidence
    if c is None:
        return []
    precision = "none of them right or wrong" if c.precision is None else f"{percent(c.precision)} % of them are right"
    chosen = f"chosen on {c.chosen_on}"
    if c.target_precision is not None:
        chosen += f", so that at least {percent(c.target_precision)} % of them are right"
    if c.threshold is None:
        return [f"Confidence: no answer counts as sure, because no confidence is good enough ({chosen})."]
    lines = [
        f"Confidence: from {c.threshold:.2f} on, an answer counts as sure ({chosen}). On {c.num_problems} problems of "
        f"{c.measured_on}, {percent(c.coverage)} % of the answers are sure, and {precision}."
    ]
    if c.outside is not None:
        lines.append(
            f"Familiarity: {percent(c.outside)} % of these questions count as outside of what the model was trained "
            "on. Their answers are never called sure."
        )
    return lines


def calibration_lines(report: Report) -> list[str]:
    """What `evaluate_step` of the last round is worth, as text."""
    found = [r.ppm_calibration for r in report.rounds if r.ppm_calibration is not None]
    if not found:
        return []
    c = found[-1]
    return [
        f"evaluate_step of the last round, on {c.num_steps:,} steps of {c.num_problems} problems that it was not "
        f"fitted on ({c.num_rollouts} solutions each): calibration error {percent(c.expected_calibration_error)} %, "
        f"Brier score {c.brier:.3f} (one probability for all steps: {c.constant_brier:.3f}), log loss {c.log_loss:.3f} "
        f"({c.constant_log_loss:.3f})."
    ]


def dropped_lines(report: Report) -> list[str]:
    """What was dropped or degraded in each round, as text."""
    lines = []
    for r in report.rounds:
        # that nothing failed to be reproduced is worth saying, that nothing else was dropped is not
        shown = [(name, n) for name, n in r.dropped.items() if n or name == NOT_REPRODUCED]
        if shown:
            counts = ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in shown)
            lines.append(f"Dropped or degraded in round {r.round}: {counts}")
    return lines


def interval(value: Interval | None) -> str:
    """A difference with its interval, in percentage points."""
    if value is None:
        return "-"
    return f"{points(value.value)} [{points(value.low)}, {points(value.high)}]"


def _shares(values: ByTier | Mapping[str, float] | None, tiers: Sequence[str]) -> list[str]:
    return [percent((values or {}).get(tier)) for tier in tiers]


def suspect_lines(report: Report) -> list[str]:
    """What a report says of references that are probably wrong; at most ten by name."""
    suspects = report.suspect_references
    if not suspects:
        return []
    named = [
        f"{s.problem} ({s.reference}; {s.num_agreeing} of {s.num_trajectories} trajectories say {s.answer})"
        for s in suspects[:10]
    ]
    more = f", and {len(suspects) - 10} more" if len(suspects) > 10 else ""
    return [f"References that are probably wrong, or firm misconceptions of the policy: {'; '.join(named)}{more}."]
