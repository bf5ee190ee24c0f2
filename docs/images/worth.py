"""Draws `worth.svg`, what choice, search and rounds are each worth, from the tables of results.md.

python docs/images/worth.py
"""

from __future__ import annotations

import re
from pathlib import Path

from rstar_math.report.drawing import LINES, picture_style, svg_text

RESULTS = Path(__file__).parents[1] / "results.md"
METHODS = {
    "greedy": "greedy",
    "maj@N": "samples,\nmajority",
    "vote, PPM": "samples,\nPPM's vote",
    "forest": "search\nunder PPM",
}
DATA = {"verified trajectories": "the search's", "rejection sampling": "samples, right ones"}


def main() -> None:
    """Writes the picture beside this file."""
    Path(__file__).with_suffix(".svg").write_text(worth_svg(RESULTS.read_text(encoding="utf-8")), encoding="utf-8")


def shares(text: str, heading: str, column: str) -> dict[str, tuple[float, float, float]]:
    """Value and interval of each row of the table below a heading, in percent.

    Raises:
      ValueError: there is no such table or column.
    """
    lines = iter(text[text.index(f"**{heading}") :].splitlines())
    header = next(line for line in lines if line.startswith("|"))
    place = [cell.strip() for cell in header.split("|")].index(column)
    found = {}
    next(lines)
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) <= place:
            break
        value, low, high = map(float, re.findall(r"[\d.]+", cells[place])[:3])
        found[cells[1]] = (value, low, high)
    return found


def worth_svg(text: str) -> str:
    """The picture as SVG text; what it shows is read from results.md."""
    from matplotlib.figure import Figure

    with picture_style():
        figure = Figure(figsize=(9.0, 3.1), layout="constrained")
        for axes, number in zip(panels := figure.subplots(1, 3, sharey=True), (2, 4), strict=False):
            rows = shares(text, f"Models of round {number}, 1,200 tokens", "accuracy")
            for i, method in enumerate(METHODS):
                value, low, high = rows[method]
                axes.bar(i, value, color=LINES[i], width=0.7, yerr=[[value - low], [high - value]], error_kw={"lw": 1})
                axes.annotate(f"{value:.1f}", (i, 3), ha="center", color="white")
            axes.set_xticks(range(len(METHODS)), list(METHODS.values()), fontsize=7)
            axes.set_title(f"models of round {number}: choice and search\n(greedy 45 tokens, others 1,200)")
        rows = shares(text[text.index("## Table 7") :], "Greedy accuracy in percent", "all")
        for i, (kind, name) in enumerate(DATA.items()):
            values = [rows[f"round {n}: {kind}"] for n in (2, 3, 4)]
            spread = [[v - low for v, low, _ in values], [high - v for v, _, high in values]]
            panels[2].errorbar(
                [n + 0.06 * i for n in (2, 3, 4)], [v for v, _, _ in values], yerr=spread, marker="os"[i], label=name
            )
        panels[2].set_xticks((2, 3, 4), ("round 2", "round 3", "round 4"))
        panels[2].set_title("greedy, trained on each round's data\nwith one SFT (table 7)")
        panels[2].legend(loc="lower right", frameon=False)
        panels[0].set_ylim(0, 100)
        panels[0].set_ylabel("accuracy, %")
        svg = svg_text(figure)
    head = svg.index(">", svg.index("<svg")) + 1
    return (
        svg[:head] + '<rect width="100%" height="100%" fill="#ffffff"/>' + svg[head:].replace("currentColor", "#24292f")
    )


if __name__ == "__main__":
    main()
