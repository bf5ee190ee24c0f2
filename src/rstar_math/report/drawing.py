"""What all plots have in common: style, colours, axes of percentages, legends, SVG text. Nothing is plotted here.

In SVG, text and axes take the colour of the page around them (`currentColor`), so that a plot reads on light and dark
ground. matplotlib is loaded when the first plot is drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""Stands for the page's text colour until an SVG is finished."""
LINES = ("#3b82c4", "#d9772b", "#4f9d5d", "#b8485f", "#8467ab", "#8b6f4e", "#c65fa5", "#5f6770", "#a3a12d", "#2c9fb0")
MARKERS = "os^Dv<>PXhd*p"

_FONT = "system-ui, sans-serif"
_HANDLE_INCHES, _LETTER_INCHES = 0.65, 0.075
"""Room of a name in a legend, with its line and the gap to the next."""


def picture_style(ink: str = INK) -> AbstractContextManager[None]:
    """matplotlib's settings for all plots; `ink` is the colour of text and axes."""
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


def figure_with_panels(
    num_panels: int, width: float = 9.0, height: float = 2.9, most_in_row: int = 4, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure `width` inches wide, with panels in rows that are `height` inches high."""
    from matplotlib.figure import Figure

    columns = min(num_panels, most_in_row)
    num_rows = -(-num_panels // columns)
    figure = Figure(figsize=(width, height * num_rows), layout="constrained")
    grid = figure.subplots(num_rows, columns, sharey=sharey, squeeze=False)
    for axes in grid.flat[num_panels:]:
        axes.set_visible(False)
    return figure, list(grid.flat[:num_panels])


def percent_axis(axes: Axes, whole: bool = True) -> None:
    """Ends a vertical axis of percentages at 100, and at 0; `whole`: shows all of it, otherwise only what is drawn."""
    low, high = (0.0, 100.0) if whole else axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 100.0))
    for line in axes.get_lines():
        line.set_clip_on(False)  # a marker at 100 is drawn whole


def legend_below(axes: Axes) -> None:
    """A legend below the panel, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.3), frameon=False, fontsize=8, borderaxespad=0)


def legend_of_all(figure: Figure, panels: Sequence[Axes]) -> None:
    """One legend below all panels, each name once, in as many columns as there is room for."""
    found = dict(pair for a in panels for pair in zip(*a.get_legend_handles_labels()[::-1], strict=True))
    if found:
        num_columns = legend_columns(list(found), figure.get_figwidth())
        figure.legend(found.values(), found.keys(), loc="outside lower left", ncols=num_columns, frameon=False)


def legend_columns(names: Sequence[str], width: float) -> int:
    """How many names of a legend stand side by side in `width` inches."""
    column = _HANDLE_INCHES + _LETTER_INCHES * max(map(len, names))
    return max(1, min(len(names), int(width / column)))


def svg_text(figure: Figure) -> str:
    """The figure as SVG text for inlining into a page, as wide as what is around it."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]  # without the XML declaration, which may not stand inside a page
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*", f"font-family: {_FONT}", svg)
    svg = re.sub(r'(<svg [^>]*?)width="[^"]*"', r'\1width="100%"', svg, count=1)
    svg = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace(INK, "currentColor")


def with_own_ids(svg: str, prefix: str) -> str:
    """The same picture with ids of its own, so that several may stand in one page."""
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\1{prefix}", svg)
