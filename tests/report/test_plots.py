"""Plots as they are drawn: legends hide nothing, percentages end at 100, points that are moved say so."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from rstar_math.metrics import Interval
from rstar_math.report import evaluation_plot, plots
from rstar_math.report.curves import Panel, Series, curves_png
from rstar_math.report.drawing import legend_columns
from rstar_math.report.evaluation import summarise
from rstar_math.report.schema import Report
from tests.report.made_up import report
from tests.report.test_evaluation import at


def many_tiers() -> Report:
    """Nine tiers, everything solved: whatever is drawn lies at the upper end."""
    names = [f"level {i}" for i in range(9)] + ["all"]
    whole = dict.fromkeys(names, 1.0)
    changes = {"policy_greedy": whole, "system": whole, "solved": whole, "control": whole, "ppm_pair_accuracy": 1.0}
    rounds = tuple(r.model_copy(update=changes) for r in report().rounds)
    base = report().base.model_copy(update={"policy_greedy": whole, "num_problems": dict.fromkeys(names, 40)})
    return report().model_copy(update={"rounds": rounds, "base": base})


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that matplotlib makes while the test runs."""
    figures: list[Figure] = []
    module = importlib.import_module("matplotlib.figure")

    class Kept(Figure):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            figures.append(self)

    monkeypatch.setattr(module, "Figure", Kept)
    return figures


def check(figure: Figure) -> None:
    """No legend, title or label lies on the data of a panel, on another panel's, or outside the picture."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    panels = [axes for axes in figure.axes if axes.get_visible()]
    legends = [*figure.legends, *(legend for axes in panels if (legend := axes.get_legend()) is not None)]
    boxes: list[tuple[str, Bbox]] = [
        (f"legend {i}", legend.get_window_extent(renderer)) for i, legend in enumerate(legends)
    ]
    for i, axes in enumerate(panels):
        boxes.append((f"panel {i}", axes.get_window_extent(renderer)))
        boxes += [
            (f"{name} {i}", text.get_window_extent(renderer))
            for name, text in (("x label", axes.xaxis.label), ("title", axes._left_title))  # type: ignore[attr-defined]
            if text.get_text()
        ]
    for name, box in boxes:
        assert box.x0 >= -1, name
        assert box.y0 >= -1, name
        assert box.x1 <= figure.bbox.x1 + 1, name
        assert box.y1 <= figure.bbox.y1 + 1, name
    for (a, first), (b, second) in combinations(boxes, 2):
        overlap = Bbox.intersection(first, second)
        assert overlap is None or overlap.width < 1 or overlap.height < 1, (a, b)
    for axes in panels:
        if "million" not in axes.get_title(loc="left") and "tokens" not in axes.get_title(loc="left"):
            low, high = axes.get_ylim()
            assert low >= 0
            assert high <= 100


@pytest.mark.parametrize("shown", [report, many_tiers])
@pytest.mark.parametrize("plot", [plots.accuracy_plot, plots.solved_plot, plots.cost_plot])
def test_the_plots_of_a_report(
    plot: Callable[[Report], str | None], shown: Callable[[], Report], drawn: list[Figure]
) -> None:
    assert plot(shown()) is not None
    (figure,) = drawn
    check(figure)


@pytest.mark.parametrize("num_methods", [1, 2, 6, 16])
@pytest.mark.parametrize("models", [["pocket"], ["pocket", "runs/a-rather-long-name-of-a-run/seed-2", "third"]])
def test_the_picture_of_an_evaluation(num_methods: int, models: list[str], drawn: list[Figure]) -> None:
    rows = [
        at(budget, p, True, f"score-weighted vote {k}", budget, model=model)
        for budget in (300, 1_200)
        for k in range(num_methods)
        for model in models
        for p in range(5)
    ]
    assert evaluation_plot.tokens_png(summarise(rows)) is not None
    (figure,) = drawn
    check(figure)
    label = figure.axes[0].get_xlabel()
    curves = [line for line in figure.axes[0].get_lines() if not str(line.get_label()).startswith("_")]
    moved = max(abs(float(np.asarray(line.get_xdata())[0]) / 300 - 1) for line in curves)
    assert ("moved sideways" in label) == (moved > 1e-9)
    if moved > 1e-9:
        assert f"by up to {100 * moved:.1f} %" in label


@pytest.mark.parametrize("num_labels", [1, 4, 9])
def test_curves_end_at_100(num_labels: int, drawn: list[Figure]) -> None:
    y = [Interval(0.9, 0.8, 1.0), Interval(1.0, 0.9, 1.0)]
    panel = Panel("models", [Series(f"descents under the PPM, vote {i}", (1, 2), y) for i in range(num_labels)], "N")
    curves_png([panel, panel])
    (figure,) = drawn
    check(figure)


def test_a_legend_has_as_many_columns_as_fit() -> None:
    assert legend_columns(["a", "b"], 9.0) == 2
    assert legend_columns(["x" * 200, "b"], 9.0) == 1
    assert 1 < legend_columns(["score-weighted vote"] * 9, 9.0) < 6
