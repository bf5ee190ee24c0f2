"""How quick the pages are: large trees in a browser, long lists of problems, and what looking on costs a search.

    python perf/view.py trees      # trees of up to 50,000 nodes: seconds until drawn, frames a second while moved
    python perf/view.py problems   # a folder of 100,000 trees: seconds of building its index, and of each query
    python perf/view.py live       # what five viewers cost a search, and seconds until a new node is seen

The times are those of this machine, with whatever else runs on it.
"""

# ruff: noqa: E402

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.view.browser import Page, chromium, served
from tests.view.made import answer_step, grown_tree, problems, small_tree, write_trees

from rstar_math.config import ProblemSource, RuntimeSettings, SearchSettings
from rstar_math.models import find_model
from rstar_math.problems.load import load_problems
from rstar_math.store.growing import WATCHED, GrowingTrees
from rstar_math.store.records import LIVE_FOLDER, TreeStore
from rstar_math.types import Problem
from rstar_math.view.index import JOURNAL, TreeIndex
from rstar_math.view.problems import Problems, Query
from rstar_math.workers.bench import open_workbench
from rstar_math.workers.jobs import SearchJob, Task, work

SIZES = (1_000, 10_000, 50_000)

_PAN = """() => new Promise((done) => {
  const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect();
  const send = (kind, x, y) =>
    canvas.dispatchEvent(new PointerEvent(kind, { pointerId: 1, clientX: x, clientY: y, bubbles: true }));
  canvas.setPointerCapture = () => {};
  let frames = 0, began = performance.now();
  send("pointerdown", box.x + 200, box.y + 300);
  const step = () => {
    frames++;
    send("pointermove", box.x + 200 + 60 * Math.sin(frames / 9), box.y + 300 + 150 * Math.sin(frames / 7));
    const seconds = (performance.now() - began) / 1000;
    if (seconds < 2) requestAnimationFrame(step);
    else { send("pointercancel", 0, 0); done(frames / seconds); }
  };
  requestAnimationFrame(step);
})"""

_OPEN = """(address) => new Promise((done) => {
  const began = performance.now();
  const seconds = () => done((performance.now() - began) / 1000);
  const drawn = () => requestAnimationFrame(() => requestAnimationFrame(seconds));
  window.addEventListener("shown", drawn, { once: true });
  location.hash = address;
})"""


def trees(folder: Path) -> None:
    """Large trees in a browser."""
    kept = [grown_tree(n, Problem(f"p-{n}", "What is 6 * 7?", "42"), n) for n in SIZES]
    path = write_trees(folder / "trees", kept, 1)
    for opened in chromium():
        with served([path], folder / "cache") as url:
            for tree in kept:
                page = Page(opened, viewport={"width": 1400, "height": 860})
                page.open(url + "#/runs")
                seconds = page.page.evaluate(_OPEN, f"#/tree?set=trees/trees&tree={tree.id}")
                rates = [page.page.evaluate(_PAN)]
                for presses in (12, 6):
                    for _ in range(presses):
                        page.page.keyboard.press("+")
                    page.page.wait_for_timeout(100)
                    rates.append(page.page.evaluate(_PAN))
                shown = ", ".join(f"{rate:.0f}" for rate in rates)
                print(
                    f"{len(tree.nodes):>6} nodes: drawn after {seconds:.2f} s; frames a second: {shown}",
                    flush=True,
                )
                page.page.goto("about:blank")


def many_trees(folder: Path, num: int = 100_000) -> None:
    """A list of very many problems."""
    with TreeStore(folder / "trees", 1000) as store:
        for i in range(num):
            question = f"How many of {i} cows have {i % 89} spots?"
            store.append(small_tree(Problem(f"p-{i:06d}", question, "42", f"tier-{i % 3}"), i, ("42", str(i % 7))))
    began = time.perf_counter()
    index = TreeIndex(folder / "trees", folder / "cache")
    index.refresh()
    print(f"{num} trees: index built in {time.perf_counter() - began:.1f} s", flush=True)
    began = time.perf_counter()
    index = TreeIndex(folder / "trees", folder / "cache")
    index.refresh()
    print(f"opened again in {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    listed = Problems(index.table)
    print(f"grouped by problem in {time.perf_counter() - began:.2f} s")
    queries = {
        "list": Query(),
        "page 900": Query(offset=90_000),
        "sort by tokens": Query(sort="tokens", descending=True),
        "sort by disagreement": Query(sort="disagreement"),
        "search two words": Query(text="4711 spots"),
        "search, filter, sort": Query(text="cows", tier="tier-1", solved="yes", sort="problem", descending=True),
    }
    for name, query in queries.items():
        began = time.perf_counter()
        found = listed.query(query)
        print(f"{name}: {time.perf_counter() - began:.3f} s ({found.num_found} found)")


@contextmanager
def viewers(path: Path, num: int) -> Iterator[None]:
    """Readers of the event stream of a folder of trees, one of them slow, by a server in a process of its own."""
    if not num:
        yield
        return
    rstar = Path(sys.executable).with_name("rstar")
    with subprocess.Popen([str(rstar), "view", str(path), "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"{server.stdout.readline().split()[1]}api/live?set={path.name}/trees"
        with subprocess.Popen([sys.executable, "-c", _READERS, url, str(num)]) as readers:
            yield
            server.terminate()
            readers.terminate()


_READERS = """
import sys, threading, time, urllib.request
def read(is_slow):
    with urllib.request.urlopen(sys.argv[1]) as reply:
        while reply.readline():
            time.sleep(1.0 if is_slow else 0)
for number in range(int(sys.argv[2])):
    threading.Thread(target=read, args=(number == 0,)).start()
"""


def live(folder: Path) -> None:
    """What viewers cost a search: CPU seconds of the process that searches, in turns with and without viewers."""
    spent = asyncio.run(_searches(folder))
    means = {num: statistics.mean(values) for num, values in spent.items()}
    listed = {num: [round(v, 2) for v in values] for num, values in spent.items()}
    print(f"CPU seconds of the search: no viewer {means[0]:.2f}, five {means[5]:.2f}: {means[5] / means[0] - 1:+.1%}")
    print(json.dumps(listed), flush=True)
    _latency(folder)


async def _searches(folder: Path) -> dict[int, list[float]]:
    found = find_model("pocket")
    bench = open_workbench(found.policy, found.reward_model, RuntimeSettings(), "cpu", 2)
    settings = SearchSettings(use_ppm=True, num_rollouts=16)
    chosen = load_problems(ProblemSource(source="pocket/train", num_problems=40)).problems
    spent: dict[int, list[float]] = {0: [], 5: []}
    for turn in range(-1, 6):
        for num in (0, 5) if turn % 2 else (5, 0):
            out = folder / f"trees-{turn}-{num}"
            out.mkdir(parents=True)
            (out / JOURNAL).touch()
            job = SearchJob(found.policy, found.reward_model, "mcts", settings, out)
            with viewers(out, num):
                await asyncio.sleep(1.0 if num else 0.0)
                before = time.process_time()
                await asyncio.gather(*(work(job, Task(p, turn + 9), bench) for p in chosen))
                if turn >= 0:  # the first turn warms up
                    spent[num].append(time.process_time() - before)
                if num:
                    assert (out / LIVE_FOLDER / WATCHED).exists(), "nobody looked"
    await bench.aclose()
    return spent


def _latency(folder: Path) -> None:
    path = folder / "latency"
    tree = small_tree(problems(1)[0])
    seen = []
    with TreeStore(path) as store:
        store.append(small_tree(problems(2)[1]))
        growing = GrowingTrees(path)
        for opened in chromium():
            with served([path], folder / "cache") as url:
                page = Page(opened, viewport={"width": 1200, "height": 800})
                page.open(url + "#/problems?set=latency/trees")
                page.page.wait_for_timeout(500)
                growing(tree)
                page.page.wait_for_selector("text=growing now")
                page.open(url + f"#/tree?set=latency/trees&tree={tree.id}")
                for _ in range(10):
                    page.page.wait_for_timeout(300)
                    tree.add(tree.nodes[1], answer_step("1"))
                    began = time.perf_counter()
                    growing(tree)
                    page.page.wait_for_selector(f"text={len(tree.nodes)} nodes")
                    seen.append(time.perf_counter() - began)
                page.page.goto("about:blank")
    median = statistics.median(seen)
    print(f"a new node is on the page after {median:.2f} s (median of {len(seen)}), at most {max(seen):.2f} s")


if __name__ == "__main__":
    what = {"trees": trees, "problems": many_trees, "live": live}
    with tempfile.TemporaryDirectory() as scratch:
        for chosen in sys.argv[1:] or list(what):
            what[chosen](Path(scratch) / chosen)
