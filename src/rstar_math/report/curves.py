"""Pictures of curves with intervals, as PNG; matplotlib is loaded when the first is drawn. Nothing is computed here."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rstar_math.metrics import Interval
from rstar_math.report.drawing import LINES, MARKERS, legend_columns, legend_of_all, percent_axis, picture_style

_INK = "#24292f"


@dataclass(frozen=True, slots=True)
class Series:
    """One line.

    Attributes:
      label: in the legend.
      x: positions.
      y: shares in [0, 1] with their intervals.
      is_dashed: drawn with dashes, for what is only there to compare with.
    """

    label: str
    x: Sequence[float]
    y: Sequence[Interval]
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes.

    Attributes:
      title: above it.
      series: its lines.
      x_label: below it.
      x_names: names of the positions 0, 1, ...; None: a logarithmic axis of numbers.
    """

    title: str
    series: Sequence[Series]
    x_label: str
    x_names: Sequence[str] | None = None


def curves_png(panels: Sequence[Panel], y_label: str = "accuracy, %") -> bytes:
    """The panels side by side with the same vertical axis and one legend, colours by label."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    labels = list(dict.fromkeys(s.label for panel in panels for s in panel.series))
    width = max(5.5, 3.9 * len(panels))
    legend_rows = -(-len(labels) // legend_columns(labels, width))
    with picture_style(_INK):
        figure = Figure(figsize=(width, 3.4 + 0.22 * legend_rows), layout="constrained", facecolor="white", dpi=160)
        row = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axes, panel in zip(row, panels, strict=True):
            for series in panel.series:
                i = labels.index(series.label)
                color = LINES[i % len(LINES)]
                axes.plot(
                    series.x,
                    [100 * y.value for y in series.y],
                    "--" if series.is_dashed else "-",
                    marker=MARKERS[i % len(MARKERS)],
                    color=color,
                    label=series.label,
                )
                low, high = [100 * y.low for y in series.y], [100 * y.high for y in series.y]
                axes.fill_between(series.x, low, high, color=color, alpha=0.12, linewidth=0)
            axes.set_title(panel.title)
            axes.set_xlabel(panel.x_label)
            if panel.x_names is not None:
                axes.set_xticks(range(len(panel.x_names)), panel.x_names)
                axes.set_xlim(-0.3, len(panel.x_names) - 0.7)
            else:
                axes.set_xscale("log", base=2)
                axes.xaxis.set_major_locator(LogLocator(base=2))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
                axes.xaxis.set_minor_formatter(NullFormatter())
        row[0].set_ylabel(y_label)
        percent_axis(row[0], whole=False)
        legend_of_all(figure, list(row))
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
