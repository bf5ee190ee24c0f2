"""Plots of a report as SVG text, and of an evaluation as PNG; matplotlib is loaded when the first plot is drawn.

In SVG, text and axes take the colour of the page around them (`currentColor`), so that a plot reads on light and dark
ground.
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

    from rstar_math.report.evaluation import Summary, SummaryRow

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
    with picture_style():
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


LINES = ("#3b82c4", "#d9772b", "#4f9d5d", "#b8485f", "#8467ab", "#8b6f4e", "#c65fa5", "#5f6770", "#a3a12d", "#2c9fb0")
MARKERS = "os^Dv<>PXhd*p"
_BELOW = 4


def tokens_png(summary: Summary) -> bytes | None:
    """Accuracy against mean tokens generated (logarithmic), one line per method through its budgets, as PNG.

    One panel for each benchmark and model, or for the pooled line where there is one. None where nothing was graded.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    lines = [r for r in summary.rows if r.accuracy is not None and r.mean.tokens_generated > 0]
    if any(r.num_models > 1 for r in lines):
        lines = [r for r in lines if r.num_models > 1]
    if not lines:
        return None
    panels = list(dict.fromkeys((r.benchmark, r.model) for r in lines))
    methods = list(dict.fromkeys(r.method for r in lines))
    columns = min(3, len(panels))
    num_rows = -(-len(panels) // columns)
    legend_rows = -(-len(methods) // _BELOW)
    with picture_style(ink="#24292f"):
        from matplotlib.figure import Figure

        height = (3.6 if len(methods) <= 8 else 4.8) * num_rows + 0.24 * legend_rows + 0.2
        figure = Figure(figsize=(max(7.5, 4.2 * columns), height), layout="constrained", facecolor="white", dpi=160)
        grid = figure.subplots(num_rows, columns, squeeze=False, sharey=True)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _tokens_panel(axes, [r for r in lines if (r.benchmark, r.model) == panel], methods)
            axes.set_title(", ".join(panel))
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel("accuracy, % (95 % intervals)")
        found = dict(pair for a in grid.flat for pair in zip(*a.get_legend_handles_labels()[::-1], strict=True))
        figure.legend(found.values(), found.keys(), loc="outside lower left", ncols=_BELOW, frameon=False)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _tokens_panel(axes: Axes, lines: Sequence[SummaryRow], methods: Sequence[str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    width = 0.015 * len(methods)
    spread = max(1.0, len(methods) - 1.0)
    baselines = {r.difference_to for r in lines}
    for i, method in enumerate(methods):
        mine = sorted((r for r in lines if r.method == method), key=lambda r: r.mean.tokens_generated)
        points = [(r.mean.tokens_generated, r.accuracy) for r in mine if r.accuracy is not None]
        if not points:
            continue
        # equal budgets put the methods on top of one another: a small shift keeps their intervals apart
        shift = 1.0 + width * (i / spread - 0.5)
        x = [tokens * shift for tokens, _ in points]
        color, style = LINES[i % len(LINES)], "-" if i < len(LINES) else "--"
        if method in baselines:
            color, style = "#24292f", "-"
        axes.plot(
            x,
            [100 * a.value for _, a in points],
            style,
            marker=MARKERS[i % len(MARKERS)],
            color=color,
            label=f"{method} (baseline)" if method in baselines else method,
            zorder=3 if method in baselines else 2,
        )
        for at, (_, a) in zip(x, points, strict=True):
            axes.plot([at, at], [100 * a.low, 100 * a.high], color=color, linewidth=1, alpha=0.5)
    axes.set_xscale("log")
    axes.set_xlabel("mean tokens generated for an answer")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _panels(tiers: Sequence[str], names: Sequence[str], draw: Callable[[Axes, str], None]) -> str:
    """One panel per tier, with the same vertical axis from 0 to 100 and one legend below."""
    with picture_style():
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


def picture_style(ink: str = _INK) -> AbstractContextManager[None]:
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
            "grid.color": ink,
            "grid.alpha": 0.15,
            "grid.linewidth": 0.6,
            "lines.markersize": 4.5,
            "lines.linewidth": 1.6,
            "text.color": ink,
            "axes.labelcolor": ink,
            "axes.edgecolor": ink,
            "xtick.color": ink,
            "ytick.color": ink,
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
