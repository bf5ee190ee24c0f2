"""The pages in a real browser: by clicks, by keys, narrow, dark, with hostile texts; no request leaves the machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from rstar_math.config import ExecutionSettings
from rstar_math.execution.base import Executor
from rstar_math.execution.fake import FakeExecutor
from rstar_math.store.records import TreeStore, write_pairs
from rstar_math.store.round import Round
from rstar_math.tree import Tree
from rstar_math.types import PreferencePair, Problem
from rstar_math.view.again import Again
from rstar_math.view.export import export_page
from rstar_math.view.library import Library
from tests.view.browser import Page, chromium, served
from tests.view.hostile import TEXTS
from tests.view.made import answer_step, grown_tree, problems, small_tree, write_trees

browser = pytest.fixture(scope="module")(chromium)


def fake_executor(settings: ExecutionSettings, num_slots: int | None = None) -> Executor:
    return FakeExecutor()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages") / "run"
    first, second, third = problems(3)
    trees = [small_tree(first, 1000), small_tree(second, 1000), grown_tree(400, third, 1000)]
    write_trees(Round(folder, 1).trees, trees)
    write_trees(Round(folder, 2).trees, [small_tree(first, 2000, ("41",)), small_tree(second, 2000)])
    good, bad = (trees[0].nodes[i].step for i in (3, 4))
    assert good is not None
    assert bad is not None
    write_pairs(
        Round(folder, 1).pairs,
        [PreferencePair(first.id, "before", good.text, bad.text, 1.0, -1.0, 1.0, "step", trees[0].id, 1, 2, 1)],
    )
    (folder / "recipe.yaml").write_text("name: made\n")
    return folder


@pytest.fixture(scope="module")
def url(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served([run], tmp_path_factory.mktemp("cache"), Again(fake_executor)) as address:
        yield address


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    opened = Page(browser, viewport={"width": 1200, "height": 800})
    yield opened
    opened.close()


def test_from_a_pair_to_its_node_to_running_it_again(page: Page, url: str) -> None:
    page.open(url)
    page.page.click("a:text-is('pairs')")
    page.page.click("a:text-is('pair 0')")
    page.shown()
    assert page.page.locator("text=see node 3 in its tree").count() == 1
    page.page.click("text=see node 4 in its tree")
    page.page.wait_for_selector("text=Node 4")
    assert "wrong answer" in page.text("#step")
    page.page.click("text=step before")
    page.page.wait_for_selector("text=Node 1")
    assert "x = 40 + 2" in page.text("#step .program")
    page.page.click("#again")
    page.page.wait_for_selector("text=Not the same as when it was searched")  # it printed 42 then, and does not now
    page.page.fill("textarea", "print(6 * 7)")
    page.page.click("#again")
    page.page.wait_for_selector("text=Edited.")
    assert page.text(".again .output").strip() == "42"


def test_from_solved_by_one_alone_to_both_trees(page: Page, url: str) -> None:
    page.open(url + "#/compare?a=run/round-1/trees&b=run/round-2/trees")
    page.page.click("text=solved by A, not by B (1)")
    page.shown()
    page.page.click("a:text-is('both trees')")
    page.page.wait_for_selector(".two canvas >> nth=1")
    assert page.page.locator(".two canvas").count() == 2
    heads = page.page.locator(".tree-head").all_inner_texts()
    assert ["✓ solved" in h for h in heads] == [True, False]


def test_keys_choose_nodes_and_the_address_keeps_what_is_shown(page: Page, url: str) -> None:
    page.open(url + "#/tree?set=run/round-1/trees&tree=p-000@1000")
    for key, node in (
        ("Home", "The question"),
        ("ArrowRight", "Node 1"),
        ("ArrowRight", "Node 3"),
        ("ArrowDown", "Node 4"),
    ):
        page.page.keyboard.press(key)
        page.page.wait_for_selector(f"aside h2:has-text('{node}')")
    page.page.keyboard.press("x")
    page.page.keyboard.press("c")
    address = page.page.evaluate("location.href")
    assert "node=4" in address
    assert "rejected=1" in address
    assert "colour=score" in address
    page.open(address)
    page.page.wait_for_selector("aside h2:has-text('Node 4')")
    assert page.page.locator("input[type=checkbox]").first.is_checked()
    page.page.keyboard.press("?")
    assert "replay the rollouts" in page.text("dialog")
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("b")


def test_problems_are_searched_sorted_and_filtered(page: Page, url: str) -> None:
    page.open(url + "#/problems?set=run/round-1/trees")
    rows = page.page.locator("tbody tr")
    assert rows.count() == 3
    page.page.keyboard.press("/")
    page.page.keyboard.type("p-001")
    page.page.wait_for_selector("text=1 of 3 problems")
    assert "p-001" in rows.first.inner_text()
    page.page.fill("#search", "")
    page.page.click("button:text('nodes')")
    page.page.click("button:text('nodes')")
    page.page.wait_for_selector("th[aria-sort=descending]")
    page.page.wait_for_selector("tbody tr:first-child:has-text('p-002')")
    assert "sort=num_nodes" in page.page.evaluate("location.hash")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "trees"
    return write_trees(folder, [hostile_tree(i, text) for i, text in enumerate(TEXTS)])


def hostile_tree(i: int, text: str) -> Tree:
    name = text if len(text) < 2000 else "long"
    tree = small_tree(Problem(f"{i}-{name}", text, text, text[:50], "made", text[:50]), i, (text, "x"))
    for node in tree.nodes[1:]:
        assert node.step is not None
        execution = node.step.execution and replace(node.step.execution, output=text, error=text)
        node.step = replace(node.step, text=text, code=node.step.code and text, execution=execution, observation=text)
        node.rejected = node.rejected and text
    return tree


def test_hostile_texts_run_nothing_and_break_no_layout(
    page: Page, hostile: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with served([hostile], tmp_path_factory.mktemp("cache")) as url:
        page.open(url + "#/problems?set=trees/trees")
        assert page.page.locator("tbody tr").count() == len(TEXTS)
        trees = Library([hostile], tmp_path_factory.mktemp("cache")).trees("trees/trees").index()
        for tree, problem in zip(trees["tree"].to_pylist(), trees["problem"].to_pylist(), strict=True):
            go(page, "tree", tree=tree, node="1")
            page.page.wait_for_selector("aside h2:has-text('Node 1')")
            page.shown()
            assert_harmless(page)
            if tree.partition("-")[0] not in ("0", "4", "12", "30", "32", "36", "37", "40"):
                continue
            go(page, "problem", problem=problem)
            page.page.wait_for_selector("h2:has-text('Trees in')")
            page.shown()
            assert_harmless(page)
        page.page.goto("about:blank")
        origin = url.removesuffix("/view/")
        assert all(address.startswith((origin, "about:", "data:")) for address in page.asked)


def go(page: Page, view: str, **words: str) -> None:
    """To a view, as a link would go there."""
    page.page.evaluate(
        "([view, words]) => { location.hash = `#/${view}?${new URLSearchParams({ set: 'trees/trees', ...words })}` }",
        [view, words],
    )


def assert_harmless(page: Page) -> None:
    state = page.page.evaluate(
        """() => ({
          ran: window.ran, wide: document.documentElement.scrollWidth - innerWidth,
          strange: document.querySelectorAll(
            'script:not([src]), iframe, object, embed, form, base, style, img, video, math, svg').length,
          handlers: [...document.querySelectorAll('*')]
            .filter((e) => [...e.attributes].some((a) => a.name.startsWith('on'))).length,
          links: [...document.links].filter((a) => !a.getAttribute('href').startsWith('#/')).length,
          nav: document.querySelector('header').getBoundingClientRect().height,
        })"""
    )
    assert state["ran"] is None
    assert (state["strange"], state["handlers"], state["links"]) == (0, 0, 0)
    assert state["wide"] <= 0
    assert state["nav"] < 200


VIEWS = (
    "#/runs",
    "#/problems?set=run/round-1/trees",
    "#/problem?set=run/round-1/trees&problem=p-000",
    "#/tree?set=run/round-1/trees&tree=p-000@1000",
    "#/two?set=run/round-1/trees&tree=p-000@1000&set2=run/round-2/trees&tree2=p-000@2000",
    "#/pairs?set=run/round-1/trees",
    "#/pair?set=run/round-1/trees&number=0",
    "#/compare?a=run/round-1/trees&b=run/round-2/trees",
    "#/nothing",
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_narrow_and_in_both_looks(browser: Any, url: str, theme: str) -> None:
    narrow = Page(browser, viewport={"width": 360, "height": 700}, color_scheme=theme)
    for view in VIEWS:
        narrow.open(url + view)
        assert narrow.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert narrow.page.title()
        ink, back = narrow.page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        light = [sum(map(int, c.removeprefix("rgb(").removesuffix(")").split(","))) for c in (ink, back)]
        assert (light[0] < light[1]) == (theme == "light")
    narrow.close()


AXE = Path(__file__).parents[2] / "build" / "axe-core" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Any, url: str, theme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not here: npm install --prefix build/axe-core axe-core@4.14.1")
    looked_at = Page(browser, viewport={"width": 1200, "height": 800}, color_scheme=theme, bypass_csp=True)
    faults = []
    for view in VIEWS:
        looked_at.open(url + view)
        looked_at.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = looked_at.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        for v in found["violations"]:
            if v["impact"] in ("serious", "critical"):
                faults.append((view, v["id"], [n["html"][:120] for n in v["nodes"][:3]]))
    assert not faults
    looked_at.close()


def test_a_new_tree_and_a_new_node_are_on_the_page_at_once(page: Page, tmp_path: Path) -> None:
    from rstar_math.store.growing import GrowingTrees

    first, second = problems(2)
    folder = tmp_path / "trees"
    with TreeStore(folder) as store:
        store.append(small_tree(first))
        growing = GrowingTrees(folder)
        with served([folder], tmp_path / "cache") as url:
            page.open(url + "#/problems?set=trees/trees")
            page.page.wait_for_timeout(400)  # somebody looks from now on
            tree = small_tree(second, 5)
            growing(tree)
            page.page.wait_for_selector("text=growing now", timeout=3000)
            page.page.click("text=p-001 (6 nodes)")
            page.page.wait_for_selector("text=6 nodes")
            tree.add(tree.nodes[1], answer_step("4711"))
            began = time.monotonic()
            time.sleep(0.11)
            growing(tree)
            page.page.wait_for_selector("text=7 nodes", timeout=3000)
            assert time.monotonic() - began < 3
            growing.ended(tree.id)
            tree.stopped = "closed"
            store.append(tree)
            page.page.wait_for_selector("text=stopped: closed", timeout=8000)
            page.page.goto("about:blank")


def test_an_exported_page_opens_from_disk_and_asks_nobody(page: Page, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    exported = export_page(Library([run], tmp_path / "cache"), path, 200)
    assert (exported.num_problems, exported.num_trees, exported.num_left_out) == (5, 5, 0)
    page.open(path.as_uri())
    page.page.click("text=run/round-1/trees")
    page.page.wait_for_selector("text=3 of 3 problems")
    page.page.fill("#search", "p-002")
    page.page.wait_for_selector("text=1 of 3 problems")
    page.open(path.as_uri() + "#/tree?set=run%2Fround-1%2Ftrees&tree=p-000%401000&node=5")
    page.page.wait_for_selector("aside h2:has-text('Node 5')")
    assert "x = 40 + 2" in page.text("#step .program")
    page.open(path.as_uri() + "#/pair?set=run%2Fround-1%2Ftrees&number=0")
    assert "see node 3" in page.text("main")
    page.open(path.as_uri() + "#/compare?a=run%2Fround-1%2Ftrees&b=run%2Fround-2%2Ftrees&kind=a")
    page.page.click("a:text-is('both trees')")
    page.page.wait_for_selector(".two canvas >> nth=1")
    assert all(address.startswith(("file:", "about:", "data:", "blob:")) for address in page.asked)
    assert json.dumps(str(tmp_path))[1:-1] not in path.read_text(encoding="utf-8")
