"""report.html: one whole file that needs nothing else, with the plots and the tables, everything escaped."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rstar_math.report.page import report_page, write_report
from rstar_math.report.plots import accuracy_plot, growth_svg, report_plots
from rstar_math.report.schema import BaseNumbers, Report, RoundNumbers, load_report
from tests.report.made_up import report


class Tags(HTMLParser):
    """All tags and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page() -> str:
    return report_page(report())


def test_both_files_are_written_whole(tmp_path: Path) -> None:
    written = report().model_copy(update={"rounds": ()})
    write_report(tmp_path, written)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]
    assert load_report(tmp_path / "report.json") == written
    assert (tmp_path / "report.html").read_text().endswith("</html>\n")


def test_the_page_needs_no_network(page: str) -> None:
    for tag, attributes in Tags(page).found:
        assert tag not in ("script", "link", "img", "iframe", "object")
        for name in ("src", "href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_the_page_names_its_origin_and_holds_the_numbers(page: str) -> None:
    for said in (
        "rstar evolve pocket --out runs/pocket",
        "360 problems of pocket/test (fedcba9876543210)",
        "2 CPU cores",
        "Accuracy on held-out problems, %",
        "<td>37.7</td>",
        "control: base, same tokens",
    ):
        assert said in page


def test_every_plot_is_there_with_ids_of_its_own(page: str) -> None:
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 4
    ids: list[str] = []
    for svg in plots:
        picture = ElementTree.fromstring(svg)
        assert picture.tag.endswith("svg")
        own = [e.attrib["id"] for e in picture.iter() if "id" in e.attrib]
        for used in re.findall(r'(?:href="|url\()#([^")]+)', svg):
            assert used in own
        ids += own
    assert len(ids) == len(set(ids))


def test_a_plot_shows_the_tiers_and_takes_the_colour_of_the_page() -> None:
    svg = accuracy_plot(report())
    assert svg is not None
    for text in ("gsm", "olympiad", "base", "policy, greedy", "system"):
        assert f">{text}</text>" in svg
    assert "currentColor" in svg
    assert "#010203" not in svg


def test_the_same_report_gives_the_same_plot() -> None:
    one_tier = Report(
        recipe="x", seed=0, base=BaseNumbers(policy_greedy={"all": 0.5}, num_problems={"all": 2}), rounds=()
    )
    assert report_plots(one_tier) == report_plots(one_tier)


def test_what_the_report_says_is_escaped() -> None:
    tier = "<img src=x onerror=alert(1)>"
    base = BaseNumbers(policy_greedy={tier: 0.5, "all": 0.5}, num_problems={tier: 2, "all": 2})
    shown = Report(
        recipe="<script>alert(1)</script>", seed=0, base=base, rounds=(RoundNumbers(round=1),), command='"><script>'
    )
    tags = {tag for tag, _ in Tags(report_page(shown)).found}
    assert not tags & {"script", "img"}


def test_a_report_without_values_still_gives_a_page() -> None:
    page = report_page(Report(recipe="bare", seed=0, base=BaseNumbers(num_problems={"all": 3}), rounds=()))
    assert "<figure" not in page
    assert "Accuracy on held-out problems" in page


def test_the_picture_stands_on_its_own() -> None:
    svg = growth_svg(report())
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "currentColor" not in svg
    with pytest.raises(ValueError, match="holds no accuracy"):
        growth_svg(Report(recipe="bare", seed=0, base=BaseNumbers(num_problems={"all": 3}), rounds=()))


def test_matplotlib_is_loaded_only_to_draw() -> None:
    code = (
        "import sys, rstar_math.report.page, rstar_math.report.tables, rstar_math.report.evaluation\n"
        "assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
