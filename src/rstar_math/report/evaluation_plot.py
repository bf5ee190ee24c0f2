"""`accuracy.png`, the picture of an evaluation: accuracy against tokens. Nothing is computed here."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rstar_math.report.drawing import LINES, MARKERS, legend_columns, legend_of_all, percent_axis, picture_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from rstar_math.report.evaluation import Summary, SummaryRow

_INK = "#24292f"
_SHIFT = 0.0075
"""Share of its tokens by which a point is moved at most, for each method."""


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
    size = max(7.5, 4.2 * columns)
    legend_rows = -(-len(methods) // legend_columns([_label(m, lines) for m in methods], size))
    with picture_style(ink=_INK):
        from matplotlib.figure import Figure

        height = (3.6 if len(methods) <= 8 else 4.8) * num_rows + 0.24 * legend_rows + 0.2
        figure = Figure(figsize=(size, height), layout="constrained", facecolor="white", dpi=160)
        grid = figure.subplots(num_rows, columns, squeeze=False, sharey=True)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _tokens_panel(axes, [r for r in lines if (r.benchmark, r.model) == panel], methods)
            axes.set_title("\n".join(textwrap.fill(name, 48) for name in panel))
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for row in grid:
            row[0].set_ylabel("accuracy, % (95 % intervals)")
            percent_axis(row[0], whole=False)
        legend_of_all(figure, list(grid.flat[: len(panels)]))
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _tokens_panel(axes: Axes, lines: Sequence[SummaryRow], methods: Sequence[str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    most = _SHIFT * len(methods)
    spread = max(1.0, len(methods) - 1.0)
    baselines = {r.difference_to for r in lines}
    # equal budgets put the methods on top of one another: a small shift keeps their intervals apart
    is_moved = len({r.method for r in lines}) > 1
    for i, method in enumerate(methods):
        mine = sorted((r for r in lines if r.method == method), key=lambda r: r.mean.tokens_generated)
        points = [(r.mean.tokens_generated, r.accuracy) for r in mine if r.accuracy is not None]
        if not points:
            continue
        shift = 1.0 + most * (2 * i / spread - 1) if is_moved else 1.0
        x = [tokens * shift for tokens, _ in points]
        color, style = LINES[i % len(LINES)], "-" if i < len(LINES) else "--"
        if method in baselines:
            color, style = _INK, "-"
        axes.plot(
            x,
            [100 * a.value for _, a in points],
            style,
            marker=MARKERS[i % len(MARKERS)],
            color=color,
            label=_label(method, lines),
            zorder=3 if method in baselines else 2,
        )
        for at, (_, a) in zip(x, points, strict=True):
            axes.plot([at, at], [100 * a.low, 100 * a.high], color=color, linewidth=1, alpha=0.5)
    axes.set_xscale("log")
    moved = f"\n(points moved sideways by up to {100 * most:.1f} %)" if is_moved else ""
    axes.set_xlabel(f"mean tokens generated for an answer{moved}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _label(method: str, lines: Sequence[SummaryRow]) -> str:
    return f"{method} (baseline)" if method in {r.difference_to for r in lines} else method
