"""Draws `architecture.svg`, the picture of docs/architecture.md: `python docs/images/architecture.py`."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

WIDTH, HEIGHT = 1048, 712
INK, QUIET, LINE, GROUND = "#24292f", "#57606a", "#57606a", "#ffffff"
COLORS = {5: "#2f74b5", 4: "#3d8a4b", 3: "#b85f1e", 1: "#75589f"}
"""The colour of a box by the layer of its code."""

STAGES = (
    ("search", "trees of the training problems"),
    ("select", "right solutions, pairs of steps"),
    ("policy", "learns from the solutions"),
    ("ppm", "learns from the pairs"),
    ("calibrate", "what its scores mean"),
    ("evaluate", "problems never trained on"),
)


def main() -> None:
    """Writes the picture beside this file."""
    Path(__file__).with_suffix(".svg").write_text(architecture_svg(), encoding="utf-8")


def architecture_svg() -> str:
    """The picture as SVG text; dark on white, so that it reads on pages of any colour."""
    parts = [*_answering(), *_evolving(), *_notes()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'font-family="system-ui, -apple-system, sans-serif" font-size="13">\n'
        "<title>How a problem becomes an answer, and how a run becomes a model</title>\n"
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" fill="{LINE}"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="{GROUND}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _answering() -> list[str]:
    """The upper half: a question goes right along the first line, and its answer comes back along the second."""
    top, below = 126, 262
    middle, back = top + 40, below + 37
    adapters = [
        (66 + 68 * i, room, what)
        for i, (room, what) in enumerate(
            (
                ("engines/", "policy: next steps"),
                ("execution/", "runs their programs"),
                ("engines/", "PPM: their scores"),
                ("grading/", "compares answers"),
            )
        )
    ]
    return [
        _title(36, "A problem becomes an answer"),
        _text(24, middle + 5, "problem", INK, "start", ' font-weight="600"'),
        _arrow([(88, middle), (108, middle)]),
        _box(112, top, 158, 80, 5, "api/", ["checks what is asked", "and holds the model"]),
        _arrow([(274, middle), (296, middle)]),
        _folder(320, 54, 110, 44, ["a model"]),
        _arrow([(375, 102), (375, top - 4)]),
        _box(300, top, 158, 80, 5, "workers/bench.py", ["opens the four parts", "that searches share"]),
        _arrow([(462, middle), (484, middle)]),
        _box(488, top, 158, 80, 3, "search strategy", ["grows a tree of steps", "(mcts, beam, forest)"]),
        _arrow([(650, middle), (672, middle)], both=True),
        _box(676, top, 154, 80, 3, "environment", ["what it may ask for,", "each call counted"]),
        *(_arrow([(834, middle), (850, middle), (850, y + 24), (866, y + 24)]) for y, _, _ in adapters),
        *(_box(870, y, 154, 48, 4, room, [what]) for y, room, what in adapters),
        _arrow([(567, top + 84), (567, below - 4)]),
        _text(577, (top + 84 + below) / 2 + 3, "trees", QUIET, "start"),
        _box(488, below, 158, 74, 1, "choice", ["a vote among the", "finished solutions"]),
        _arrow([(484, back), (462, back)]),
        _box(300, below, 158, 74, 3, "confirmation", ["run once more", "in a fresh process"]),
        _arrow([(296, back), (88, back)]),
        _text(24, back + 5, "answer", INK, "start", ' font-weight="600"'),
        _text(192, back - 9, "with steps and cost", QUIET),
    ]


def _evolving() -> list[str]:
    """The lower half: a recipe becomes the folder of a run, and a round of it a model."""
    top, height = 440, 186
    middle, bottom, back = top + 50, top + height, top + height + 22
    files = ["recipe.yaml", "round-1/", "    trees/", "    pairs.parquet", "    policy/   ppm/", "    manifest.json"]
    stages = [(top + 52 + 23 * i, name, what) for i, (name, what) in enumerate(STAGES)]
    return [
        f'<path d="M24 372H{WIDTH - 24}" stroke="{LINE}" stroke-opacity="0.3" fill="none"/>',
        _title(406, "A run becomes a model"),
        _text(24, middle - 4, "recipe,", INK, "start", ' font-weight="600"'),
        _text(24, middle + 14, "problems", INK, "start", ' font-weight="600"'),
        _arrow([(94, middle), (108, middle)]),
        _box(112, top, 158, 100, 5, "evolve.py", ["round after round;", "what is whole", "is not made again"]),
        _arrow([(274, middle), (296, middle)]),
        _box(300, top, 306, height, 5, "stages/", []),
        *(_text(314, y, name, INK, "start", ' font-weight="600"') for y, name, _ in stages),
        *(_text(394, y, what, INK, "start") for y, _, what in stages),
        _arrow([(610, middle), (636, middle)]),
        _folder(642, top, 182, height, ["the folder of a run", *files]),
        _arrow([(828, middle), (886, middle)]),
        _text(855, middle - 9, "a round", QUIET),
        _folder(892, top, 132, 116, ["a model", "policy/", "ppm/", "answering.json"]),
        _arrow([(733, bottom + 4), (733, back), (191, back), (191, top + 104)]),
        _text(462, back + 18, "the next round searches with these models", QUIET),
    ]


def _notes() -> list[str]:
    return [
        _text(
            24,
            HEIGHT - 16,
            "Calls go down the layers; from 3 to 4 only through the Protocols of layer 2: engines/base.py, "
            "execution/base.py, grading/base.py.",
            QUIET,
            "start",
            ' font-size="12"',
        )
    ]


def _title(y: float, text: str) -> str:
    return _text(24, y, text, INK, "start", ' font-size="17" font-weight="600"')


def _box(x: float, y: float, width: float, height: float, layer: int, title: str, lines: Sequence[str]) -> str:
    """A part of the package, with its layer above the corner."""
    color, first = COLORS[layer], 20 if len(lines) == 1 else 26
    return "\n".join(
        [
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{color}" '
            f'fill-opacity="0.07" stroke="{color}" stroke-width="1.5"/>',
            _text(x + 14, y + first, title, color, "start", ' font-size="14" font-weight="600"'),
            _text(x + width - 6, y - 6, f"layer {layer}", color, "end", ' font-size="11"'),
            *(_text(x + 14, y + first + 20 + 18 * i, line, INK, "start") for i, line in enumerate(lines)),
        ]
    )


def _folder(x: float, y: float, width: float, height: float, lines: Sequence[str]) -> str:
    """A folder on the disk: its name, and what is in it."""
    edge = f"M{x:g} {y:g}h44l8 8H{x + width:g}V{y + height:g}H{x:g}z"
    return "\n".join(
        [
            f'<path d="{edge}" fill="{QUIET}" fill-opacity="0.06" stroke="{QUIET}" stroke-width="1.5" '
            'stroke-linejoin="round"/>',
            _text(x + 14, y + 31, lines[0], INK, "start", ' font-size="14" font-weight="600"'),
            *(_text(x + 14, y + 56 + 21 * i, line, INK, "start") for i, line in enumerate(lines[1:])),
        ]
    )


def _text(x: float, y: float, text: str, color: str, anchor: str = "middle", more: str = "") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{color}" xml:space="preserve"{more}>'
        f"{escape(text)}</text>"
    )


def _arrow(points: Sequence[tuple[float, float]], both: bool = False) -> str:
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    start = ' marker-start="url(#head)"' if both else ""
    return f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="1.5" marker-end="url(#head)"{start}/>'


if __name__ == "__main__":
    main()
