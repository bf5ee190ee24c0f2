"""Plots of a report as SVG text, drawn by matplotlib, which is loaded when the first plot is drawn.

Text and axes take the colour of the page around them (`currentColor`), so that a plot reads on light and dark ground.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from rstar_math.metrics import wilson
from rstar_math.report.schema import ByTier, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#010203"  # stands for the page's text colour until the SVG is finished
_POLICY, _SYSTEM, _QUIET = "#3b82c4", "#d9772b", "#8a8f98"
_FONT = "system-ui, sans-serif"


def report_plots(report: Report) -> list[tuple[str, str]]:
    """The plots of a report as (caption, SVG) for inlining into one page; those without any value are left out."""
    drawn = [
        ("Accuracy on held-out problems, %. Bars: 95 % Wilson intervals.", accuracy_plot(report)),
        ("Training problems with a verified solution, %.", solved_plot(report)),
        ("Tokens, and how well each round's PPM ranks pairs that it has not seen.", cost_plot(report)),
    ]
    return [(caption, _prefixed(svg, f"plot{i}-")) for i, (caption, svg) in enumerate(drawn) if svg is not None]


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
        _line(axes, 0, alone, tier, "in this round", _POLICY, "o:")
        _line(axes, 0, control, tier, "control: base, same tokens", _QUIET, "s--")

    return _panels(report.tiers, [str(r.round) for r in report.rounds], panel)


def cost_plot(report: Report) -> str | None:
    """Tokens of each round's search, tokens of one answer, and pair accuracy of the PPM."""
    if not report.rounds:
        return None
    rounds = report.rounds
    names = [str(r.round) for r in rounds]
    with _style():
        has_pairs = any(r.ppm_pair_accuracy is not None for r in rounds)
        figure, axes = _figure(9.0, 2.7, 3 if has_pairs else 2)
        _bars(
            axes[0],
            names,
            [
                ("generated", [r.cost.tokens_generated / 1e6 for r in rounds], _POLICY),
                ("scored by the PPM", [r.cost.tokens_scored / 1e6 for r in rounds], _QUIET),
            ],
        )
        axes[0].set_title("search, million tokens")
        _bars(
            axes[1],
            names,
            [
                ("greedy", [r.policy_greedy_tokens_per_problem or 0.0 for r in rounds], _POLICY),
                ("system", [r.system_tokens_per_problem or 0.0 for r in rounds], _SYSTEM),
            ],
        )
        axes[1].set_title("tokens generated a problem")
        if has_pairs:
            _pair_accuracy(axes[2], report)
        for a in axes:
            a.set_xlabel("round")
            a.margins(y=0.4)
            if a.get_legend_handles_labels()[0]:
                a.legend(loc="best", frameon=False, fontsize=8)
        return _svg(figure)


def _pair_accuracy(axes: Axes, report: Report) -> None:
    rounds = report.rounds
    _line(axes, 0, [_only(r.ppm_pair_accuracy) for r in rounds], "all", "PPM", _SYSTEM, "o-")
    baselines = list(dict.fromkeys(name for r in rounds for name in r.ppm_pair_baselines or {}))
    for name, style in zip(baselines, ("s--", "^:", "v-.", "d--"), strict=False):
        _line(axes, 0, [r.ppm_pair_baselines for r in rounds], name, f"by {name}", _QUIET, style)
    axes.set_title("pair accuracy, %")
    axes.set_xticks(range(len(rounds)), [str(r.round) for r in rounds])
    axes.set_xlim(-0.4, len(rounds) - 0.6)


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
    return plot[:head] + white + plot[head:].replace("currentColor", "#24292f")


def _panels(tiers: Sequence[str], names: Sequence[str], draw: Callable[[Axes, str], None]) -> str:
    """One panel per tier, with the same vertical axis from 0 to 100 and one legend below."""
    with _style():
        figure, axes = _figure(9.0, 2.9, len(tiers), sharey=True)
        for a, tier in zip(axes, tiers, strict=True):
            draw(a, tier)
            a.set_title(tier)
            a.set_ylim(0, 104)
            a.set_xlim(-0.4, len(names) - 0.6)
            a.set_xticks(range(len(names)), names)
            a.set_xlabel("round")
        found = dict(pair for a in axes for pair in zip(*a.get_legend_handles_labels()[::-1], strict=True))
        figure.legend(
            found.values(),
            found.keys(),
            loc="outside lower left",
            ncols=len(found) or 1,
            frameon=False,
        )
        return _svg(figure)


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


def _bars(axes: Axes, names: Sequence[str], series: Sequence[tuple[str, list[float], str]]) -> None:
    shown = [s for s in series if any(s[1])]
    width = 0.8 / max(1, len(shown))
    for k, (label, values, color) in enumerate(shown):
        x = [i + (k - (len(shown) - 1) / 2) * width for i in range(len(names))]
        axes.bar(x, values, width=width * 0.92, label=label, color=color)
    axes.set_xticks(range(len(names)), names)


def _only(share: float | None) -> ByTier | None:
    return None if share is None else {"all": share}


def _style() -> AbstractContextManager[None]:
    import matplotlib

    return matplotlib.rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "rstar_math",
            "font.size": 9,
            "axes.titlesize": 9,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.grid.axis": "y",
            "axes.axisbelow": True,
            "grid.color": _INK,
            "grid.alpha": 0.15,
            "grid.linewidth": 0.6,
            "lines.markersize": 4.5,
            "lines.linewidth": 1.6,
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "axes.edgecolor": _INK,
            "xtick.color": _INK,
            "ytick.color": _INK,
            "axes.facecolor": "none",
            "figure.facecolor": "none",
        }
    )


def _figure(width: float, height: float, num_panels: int, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, num_panels, sharey=sharey, squeeze=False)
    return figure, list(axes[0])


def _svg(figure: Figure) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]  # without the XML declaration, which may not stand inside a page
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*", f"font-family: {_FONT}", svg)
    svg = re.sub(r'(<svg [^>]*?)width="[^"]*"', r'\1width="100%"', svg, count=1)
    svg = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace(_INK, "currentColor")


def _prefixed(svg: str, prefix: str) -> str:
    """The same picture with ids of its own, so that several may stand in one page."""
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\1{prefix}", svg)
