"""The pictures of `rstar view`: searches by the shipped model, seen in a headless Chromium.

    python docs/images/gallery.py     # some two minutes on two cores; writes docs/images/view-*.png

What is searched is kept in build/gallery, so that a second time only the pictures are made.
"""

# ruff: noqa: E402

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.view.browser import Page, chromium, served

from rstar_math.api.runs import search
from rstar_math.config import ProblemSource, RuntimeSettings, SearchSettings
from rstar_math.problems.load import load_problems
from rstar_math.view.library import Library
from rstar_math.view.problems import Query

IMAGES = Path(__file__).parent
FOLDER = ROOT / "build" / "gallery"
RUNTIME = RuntimeSettings(num_workers=2)
SETS = {
    "with-ppm": ("pocket", SearchSettings(use_ppm=True, num_rollouts=16)),
    "without-ppm": ("pocket-base", SearchSettings(use_ppm=False, num_rollouts=16)),
}


def main() -> None:
    """Searches, and takes the pictures."""
    for name, (model, settings) in SETS.items():
        search("pocket/test", FOLDER / name, model, settings, limit=60, runtime=RUNTIME)
    many = SearchSettings(use_ppm=True, num_rollouts=600, exploration=4.0)
    hard = [p for p in load_problems(ProblemSource(source="pocket/test")).problems if p.tier == "olympiad"]
    search(hard, FOLDER / "many-rollouts", "pocket", many, limit=6, runtime=RUNTIME)
    paths = [FOLDER / name for name in (*SETS, "many-rollouts")]
    library = Library(paths, FOLDER / "cache")
    tree = interesting(library, "with-ppm/trees")
    large = largest(library, "many-rollouts/trees")
    for browser in chromium():
        with served(paths, FOLDER / "cache") as url:
            picture(browser, url + f"#/tree?set=with-ppm/trees&tree={tree}", "tree")
            picture(browser, url + f"#/tree?set=many-rollouts/trees&tree={large}", "large", color_scheme="dark")
            words = "set=without-ppm/trees&sort=disagreement&descending=1"
            picture(browser, url + f"#/problems?{words}", "problems")
            learning(browser)
            picture(browser, url + "#/compare?a=with-ppm/trees&b=without-ppm/trees&kind=a", "compare", height=480)


def learning(browser: object) -> None:
    """The page `learn`, with what a learner wrote."""
    from rstar_math.api.several import Models
    from rstar_math.view.learning import Learning

    question = "Ada orders 12 pencils for 4 dollars each and 6 cards for 9 dollars each. What is the bill?"
    with Models(["pocket"]) as models, served([], FOLDER / "cache", learning=Learning(models)) as url:
        page = Page(browser, viewport={"width": 1440, "height": 640})
        page.open(url + "#/learn")
        page.page.fill("#question", question)
        page.page.keyboard.press("Enter")
        page.page.wait_for_selector("#own", timeout=60_000)
        page.page.click("#hint")
        page.page.wait_for_selector(".said .told")
        for number, text in enumerate(("12 + 4", "pencils = 12 * 4", "6 * 9 = 45"), start=1):
            page.page.fill("#own", text)
            page.page.click("#check")
            page.page.wait_for_function("(n) => document.querySelectorAll('.said .own').length === n", arg=number)
        taken(page, "learn")


def interesting(library: Library, name: str) -> str:
    """A tree with right and wrong answers, of a size that fits on a page."""
    trees = library.trees(name).index().to_pylist()
    fits = [t for t in trees if 0 < t["num_correct"] < t["num_rollouts"] and 35 <= t["num_nodes"] <= 75] or trees
    best = max(fits, key=lambda t: (len(t["answers"]), -t["num_nodes"]))
    return str(best["tree"])


def largest(library: Library, name: str) -> str:
    """The tree with most nodes."""
    problem = library.trees(name).problems().query(Query(sort="num_nodes", descending=True)).rows[0]["problem"]
    return str(library.trees(name).trees_of(problem)[0]["tree"])


def picture(browser: object, address: str, name: str, height: int = 720, **options: object) -> None:
    """A picture of a view."""
    page = Page(browser, viewport={"width": 1440, "height": height}, **options)
    page.open(address)
    taken(page, name)


def taken(page: Page, name: str) -> None:
    """The picture of what a page shows."""
    page.page.wait_for_timeout(500)
    path = IMAGES / f"view-{name}.png"
    page.page.screenshot(path=str(path))
    page.page.goto("about:blank")
    page.close()
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
