"""Draws `loop.svg`, the picture of self-evolution in the README: `python docs/images/loop.py`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

WIDTH, HEIGHT = 900, 318
INK, QUIET, LINE, GROUND = "#24292f", "#57606a", "#57606a", "#ffffff"
BLUE, ORANGE, GREEN, PURPLE = "#3b82c4", "#d9772b", "#4f9d5d", "#8467ab"
BOX_WIDTH, BOX_HEIGHT, TOP = 190, 132, 92
LEFTS = (20, 243, 466, 689)


def main() -> None:
    """Writes the picture beside this file."""
    Path(__file__).with_suffix(".svg").write_text(loop_svg(), encoding="utf-8")


def loop_svg() -> str:
    """The picture as SVG text; dark on white, so that it reads on pages of any colour."""
    middle = TOP + BOX_HEIGHT / 2
    bottom = TOP + BOX_HEIGHT
    search, train = LEFTS[0] + BOX_WIDTH / 2, LEFTS[2] + BOX_WIDTH / 2
    back = bottom + 48
    parts = [
        _box(
            LEFTS[0],
            BLUE,
            "1. Search",
            ["The policy proposes", "steps, Python runs them.", "MCTS grows a tree", "for every problem."],
        ),
        _box(
            LEFTS[1],
            ORANGE,
            "2. Select",
            ["Keep right solutions,", "and pairs of a good", "and a bad step from", "the same place."],
        ),
        _box(
            LEFTS[2],
            GREEN,
            "3. Train",
            ["The policy learns from", "the solutions.", "The PPM learns from", "the pairs."],
        ),
        _box(LEFTS[3], PURPLE, "4. Measure", ["Both solve problems", "that they were never", "trained on."]),
        _text(search, 30, "training problems", QUIET),
        _text(search, 48, "with reference answers", QUIET),
        _arrow([(search, 58), (search, TOP - 4)]),
        *(_arrow([(left + BOX_WIDTH + 4, middle), (right - 4, middle)]) for left, right in pairwise(LEFTS)),
        _arrow([(train, bottom + 4), (train, back), (search, back), (search, bottom + 4)]),
        _text((search + train) / 2, back + 22, "next round: a better policy and a better PPM search again", INK),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, -apple-system, sans-serif" font-size="13.5">\n'
        "<title>Self-evolution: search, select, train, measure; then the next round</title>\n"
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="{LINE}"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="{GROUND}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _box(left: float, color: str, title: str, lines: Sequence[str]) -> str:
    texts = [_text(left + 14, TOP + 30, title, color, "start", ' font-size="17" font-weight="600"')]
    texts += [_text(left + 14, TOP + 56 + 19 * i, line, INK, "start") for i, line in enumerate(lines)]
    frame = (
        f'<rect x="{left}" y="{TOP}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" fill="{color}" '
        f'fill-opacity="0.07" stroke="{color}" stroke-width="1.5"/>'
    )
    return "\n".join([frame, *texts])


def _text(x: float, y: float, text: str, color: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}"{more}>{escape(text)}</text>'


def _arrow(points: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="1.5" marker-end="url(#head)"/>'


if __name__ == "__main__":
    main()
