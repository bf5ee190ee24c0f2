"""A policy's server that goes away in the middle of a search stage: said, and no finished tree is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rstar_math.config import EndpointSettings, PolicySettings, RuntimeSettings, SearchSettings
from rstar_math.engines.fake import FakeEngine
from rstar_math.errors import EngineError
from rstar_math.progress import Progress
from rstar_math.stages import search_problems
from rstar_math.store.records import TreeStore, tree_to_row
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.workers import SearchJob, WorkerPool
from tests.engines.endpoint import RESET, Answer, Body, Endpoint, by_engine

PROBLEMS = [Problem(f"p{i}", f"What is {i}?", answer="1") for i in range(10)]


class Server:
    """The fake policy behind a real socket, in a thread; drops every connection once `lives` requests were answered."""

    def __init__(self) -> None:
        self.lives = 10**9
        self.prompts: list[str] = []
        self._engine = FakeEngine()
        self._loop = asyncio.new_event_loop()
        self._endpoint = Endpoint(self._handle)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._endpoint.start(), self._loop).result()

    @property
    def url(self) -> str:
        return self._endpoint.url

    async def _handle(self, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        if self.lives <= 0:
            return Answer(fault=RESET)
        self.lives -= 1
        self.prompts.append(body["prompt"])
        return await by_engine(self._engine, body)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._endpoint.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


def search(pool: WorkerPool, server: Server, folder: Path) -> dict[str, Tree]:
    endpoint = EndpointSettings(model="m", max_retry_s=0.2)
    policy = PolicySettings(policy=server.url, bootstrap="none", endpoint=endpoint)
    job = SearchJob(policy, None, "mcts", SearchSettings(num_rollouts=4, num_candidates=3, use_ppm=False))
    with TreeStore(folder) as store:
        search_problems(pool, job, PROBLEMS, store, 0, [], Progress(), "search")
        return {tree.problem.id: tree for tree in store}


def grown(tree: Tree) -> list[tuple[object, ...]]:
    return [(n.parent, n.step and n.step.text, n.visit_count, n.value_sum, n.terminal) for n in tree.nodes]


def test_a_server_that_dies_for_good_is_reported_and_the_stage_goes_on_from_what_it_had(
    server: Server, tmp_path: Path
) -> None:
    runtime = RuntimeSettings(num_workers=1, concurrency=2, device="cpu")
    with WorkerPool(runtime) as pool:
        server.lives = 40
        with pytest.raises(EngineError, match=r"failed again and again.*It was reached before; run the same command"):
            search(pool, server, tmp_path / "trees")
        with TreeStore(tmp_path / "trees") as store:
            kept = {tree.problem.id: tree for tree in store}
        assert 0 < len(kept) < len(PROBLEMS)

        server.lives, server.prompts = 10**9, []
        trees = search(pool, server, tmp_path / "trees")
        assert set(trees) == {p.id for p in PROBLEMS}
        assert all(tree_to_row(trees[i]) == tree_to_row(tree) for i, tree in kept.items())
        asked_again = {p.id for p in PROBLEMS if any(p.question in prompt for prompt in server.prompts)}
        assert asked_again == set(trees) - set(kept)

        undisturbed = search(pool, server, tmp_path / "undisturbed")
        assert {i: grown(t) for i, t in trees.items()} == {i: grown(t) for i, t in undisturbed.items()}
