"""The plots of a report as SVG text: one function for each. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rstar_math.metrics import wilson
from rstar_math.report.drawing import (
    figure_with_panels,
    legend_below,
    legend_of_all,
    percent_axis,
    picture_style,
    svg_text,
    with_own_ids,
)
from rstar_math.report.schema import ByTier, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POLICY, _SYSTEM, _ALONE, _QUIET = "#3b82c4", "#d9772b", "#4f9d5d", "#8a8f98"
_INK = "#24292f"


def report_plots(report: Report) -> list[tuple[str, str]]:
    """The plots of a report as (caption, SVG) for inlining into one page; those without any value are left out."""
    drawn = [
        ("Accuracy on held-out problems, %. Bars: 95 % Wilson intervals.", accuracy_plot(report)),
        ("Training problems with a verified solution, %.", solved_plot(report)),
        (
            "evaluate_step against the share of fresh rollouts that ended right, on problems that it was not fitted "
            "on. Larger points stand for more steps; the dashed line is perfect.",
            reliability_plot(report),
        ),
        ("Tokens, and how well each round's PPM ranks pairs that it has not seen.", cost_plot(report)),
    ]
    return [(caption, with_own_ids(svg, f"plot{i}-")) for i, (caption, svg) in enumerate(drawn) if svg is not None]


def accuracy_plot(report: Report) -> str | None:
    """Accuracy of the policy alone and of the system, round after round, one panel per tier."""
    policy = [report.base.policy_greedy, *(r.policy_greedy for r in report.rounds)]
    system = [None, *(r.system for r in report.rounds)]
    if all(v is None for v in [*policy, *system]):
        return None

    def panel(axes: Axes, tier: str) -> None:
        num_problems = report.base.num_problems.get(tier)
        _line(axes, 0, policy, tier, "policy, greedy", _POLICY, "o-", num_problems)
        _line(axes, 0, system, tier, "system", _SYSTEM, "s-", num_problems)

    return _panels(report.tiers, ["base", *(str(r.round) for r in report.rounds)], panel)


def solved_plot(report: Report) -> str | None:
    """Share of the training problems solved so far, in each round alone, and by the control, one panel per tier."""
    solved = [r.solved for r in report.rounds]
    alone = [r.solved_round for r in report.rounds]
    control = [r.control for r in report.rounds]
    if all(v is None for v in [*solved, *alone, *control]):
        return None

    def panel(axes: Axes, tier: str) -> None:
        _line(axes, 0, solved, tier, "solved so far", _POLICY, "o-")
        _line(axes, 0, alone, tier, "in this round", _ALONE, "^:")  # above the first, with which it may coincide
        _line(axes, 0, control, tier, "control: base, same tokens", _QUIET, "s--")

    return _panels(report.tiers, [str(r.round) for r in report.rounds], panel)


def cost_plot(report: Report) -> str | None:
    """Tokens of each round's search, tokens of one answer, and pair accuracy of the PPM."""
    if not report.rounds:
        return None
    panels = [_search_tokens, _answer_tokens]
    if any(r.ppm_pair_accuracy is not None for r in report.rounds):
        panels.append(_pair_accuracy)
    with picture_style():
        figure, axes = figure_with_panels(len(panels))
        for a, draw in zip(axes, panels, strict=True):
            draw(a, report)
            a.set_xlabel("round")
            legend_below(a)
        return svg_text(figure)


def _search_tokens(axes: Axes, report: Report) -> None:
    generated = [r.cost.tokens_generated / 1e6 for r in report.rounds]
    scored = [r.cost.tokens_scored / 1e6 for r in report.rounds]
    _bars(axes, report, [("generated", generated, _POLICY), ("scored by the PPM", scored, _QUIET)])
    axes.set_title("search, million tokens")


def _answer_tokens(axes: Axes, report: Report) -> None:
    greedy = [r.policy_greedy_tokens_per_problem or 0.0 for r in report.rounds]
    system = [r.system_tokens_per_problem or 0.0 for r in report.rounds]
    _bars(axes, report, [("greedy", greedy, _POLICY), ("system", system, _SYSTEM)])
    axes.set_title("tokens generated a problem")


def reliability_plot(report: Report) -> str | None:
    """The reliability diagram of `evaluate_step`, one panel per round."""
    calibrated = [(r.round, r.ppm_calibration) for r in report.rounds if r.ppm_calibration is not None]
    if not calibrated:
        return None
    with picture_style():
        figure, axes = figure_with_panels(max(3, len(calibrated)), height=2.7, sharey=True)
        for a, (number, calibration) in zip(axes, calibrated, strict=False):
            a.plot([0, 100], [0, 100], "--", color=_QUIET, linewidth=1)
            x = [100 * b.predicted for b in calibration.bins]
            y = [100 * b.observed for b in calibration.bins]
            a.plot(x, y, "-", color=_SYSTEM, linewidth=1)
            sizes = [6 + 120 * b.num_steps / calibration.num_steps for b in calibration.bins]
            a.scatter(x, y, s=sizes, color=_SYSTEM, clip_on=False, zorder=3)
            a.set_title(f"round {number}: error {100 * calibration.expected_calibration_error:.1f} %")
            a.set_xlim(0, 100)
            a.set_ylim(0, 100)
            a.set_xlabel("evaluate_step, %")
        for a in axes[len(calibrated) :]:
            a.set_visible(False)
        axes[0].set_ylabel("ended right, %")
        return svg_text(figure)


def _pair_accuracy(axes: Axes, report: Report) -> None:
    rounds = report.rounds
    _line(axes, 0, [_only(r.ppm_pair_accuracy) for r in rounds], "all", "PPM", _SYSTEM, "o-")
    baselines = list(dict.fromkeys(name for r in rounds for name in r.ppm_pair_baselines or {}))
    for name, style in zip(baselines, ("s--", "^:", "v-.", "d--"), strict=False):
        label = f"by {name.replace('_', ' ')}"
        _line(axes, 0, [r.ppm_pair_baselines for r in rounds], name, label, _QUIET, style)
    axes.set_title("pair accuracy, %")
    axes.set_xticks(range(len(rounds)), [str(r.round) for r in rounds])
    axes.set_xlim(-0.4, len(rounds) - 0.6)
    percent_axis(axes)


def growth_svg(report: Report) -> str:
    """The accuracy plot as a picture of its own, dark on white, for a README.

    Raises:
      ValueError: the report holds no accuracy.
    """
    plot = accuracy_plot(report)
    if plot is None:
        raise ValueError(f"the report of recipe {report.recipe!r} holds no accuracy to draw")
    white = '<rect width="100%" height="100%" fill="#ffffff"/>'
    head = plot.index(">", plot.index("<svg")) + 1
    return plot[:head] + white + plot[head:].replace("currentColor", _INK)


def _panels(tiers: Sequence[str], names: Sequence[str], draw: Callable[[Axes, str], None]) -> str:
    """One panel per tier, with the same vertical axis from 0 to 100 and one legend below."""
    with picture_style():
        figure, axes = figure_with_panels(len(tiers), sharey=True)
        for a, tier in zip(axes, tiers, strict=True):
            draw(a, tier)
            a.set_title(tier)
            a.set_xlim(-0.4, len(names) - 0.6)
            a.set_xticks(range(len(names)), names)
            a.set_xlabel("round")
            percent_axis(a)
        legend_of_all(figure, axes)
        return svg_text(figure)


def _line(
    axes: Axes,
    start: int,
    values: Sequence[ByTier | None],
    tier: str,
    label: str,
    color: str,
    style: str,
    num_problems: int | None = None,
) -> None:
    """A line through the percentages of a tier, with a gap where a value is missing."""
    shares = [None if v is None else v.get(tier) for v in values]
    if all(s is None for s in shares):
        return
    x = range(start, start + len(shares))
    axes.plot(
        x, [float("nan") if s is None else 100 * s for s in shares], style, color=color, label=label, clip_on=False
    )
    if num_problems:
        for i, share in zip(x, shares, strict=True):
            if share is not None:
                band = wilson(round(share * num_problems), num_problems)
                axes.plot([i, i], [100 * band.low, 100 * band.high], color=color, linewidth=1, alpha=0.6)


def _bars(axes: Axes, report: Report, series: Sequence[tuple[str, list[float], str]]) -> None:
    names = [str(r.round) for r in report.rounds]
    shown = [s for s in series if any(s[1])]
    width = 0.8 / max(1, len(shown))
    for k, (label, values, color) in enumerate(shown):
        x = [i + (k - (len(shown) - 1) / 2) * width for i in range(len(names))]
        axes.bar(x, values, width=width * 0.92, label=label, color=color)
    axes.set_xticks(range(len(names)), names)


def _only(share: float | None) -> ByTier | None:
    return None if share is None else {"all": share}
