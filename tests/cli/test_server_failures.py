"""What a user sees of a server in trouble: one that goes away in the middle of a stage, and one of each other kind."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rstar_math.config import EndpointSettings, PolicySettings, RuntimeSettings, SearchSettings
from rstar_math.engines.fake import FakeEngine
from rstar_math.errors import EngineError
from rstar_math.progress import Progress
from rstar_math.stages.search import search_problems
from rstar_math.store.records import TreeStore, tree_to_row
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.workers.jobs import SearchJob
from rstar_math.workers.pool import WorkerPool
from tests import warm
from tests.engines.endpoint import RESET, Answer, Body, Endpoint, Handler, by_engine
from tests.engines.personalities import CHAT, MODELS, Personality, error, refusing

PROBLEMS = [Problem(f"p{i}", f"What is {i}?", answer="1") for i in range(10)]


class Background:
    """An endpoint behind a real socket, in a thread."""

    def __init__(self, handler: Handler) -> None:
        self._loop = asyncio.new_event_loop()
        self._endpoint = Endpoint(handler)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._endpoint.start(), self._loop).result()

    @property
    def url(self) -> str:
        return self._endpoint.url

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._endpoint.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Server(Background):
    """The fake policy; drops every connection once `lives` requests were answered."""

    def __init__(self) -> None:
        self.lives = 10**9
        self.prompts: list[str] = []
        self._engine = FakeEngine()
        super().__init__(self._handle)

    async def _handle(self, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        if self.lives <= 0:
            return Answer(fault=RESET)
        self.lives -= 1
        self.prompts.append(body["prompt"])
        return await by_engine(self._engine, body)


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


def rstar(handler: Handler, *args: str) -> subprocess.CompletedProcess[str]:
    background = Background(handler)
    try:
        return warm.run(*(a.replace("URL", background.url) for a in args))
    finally:
        background.stop()


THOUGHT = {"message": {"content": None, "reasoning": "Let me think."}, "finish_reason": "length"}
SERVERS: dict[str, tuple[Handler, int, str]] = {
    "llama.cpp, one completion a request": (
        Personality(refuse=refusing("n", error("Only one completion choice is allowed", 500), lambda v: v > 1)),
        0,
        "gives one completion a request",
    ),
    "OpenAI, chat and other names of fields": (
        Personality(
            paths=(CHAT, MODELS),
            refuse=refusing(
                "max_tokens",
                error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", param="max_tokens"),
            ),
        ),
        0,
        "it is asked by chat.*max_completion_tokens is sent instead",
    ),
    "no credit": (
        Personality(refuse=lambda body: error("You exceeded your current quota.", 429, code="insufficient_quota")),
        2,
        "no credit left.*Add credit",
    ),
    "a model that only thinks": (
        Personality(paths=(CHAT, MODELS), dress=lambda *_: THOUGHT),
        2,
        "16 of 16 completions were thoughts without a step.*enable_thinking",
    ),
    "a web page": (
        Personality(refuse=lambda body: Answer(b"<!doctype html><title>Sign in</title>")),
        2,
        "a page for people.*Sign in.*usually it ends in /v1",
    ),
}


@pytest.mark.parametrize("kind", SERVERS)
def test_a_question_is_answered_or_the_true_reason_is_given(kind: str) -> None:
    handler, status, said = SERVERS[kind]
    done = rstar(
        handler, "solve", "--json", "--model", "URL?model=m", "--strategy", "sample", "--rollouts", "16", "3 + 4?"
    )
    assert done.returncode == status, done.stderr
    assert re.search(said, done.stderr, re.DOTALL)
    assert "Traceback" not in done.stderr
    if status == 0:
        assert json.loads(done.stdout)["answer"] == "7"


def test_an_accuracy_of_nothing_comes_with_its_reason(tmp_path: Path) -> None:
    problems = tmp_path / "problems.jsonl"
    problems.write_text('{"problem": "What is 3 + 4?", "answer": "7"}\n{"problem": "What is 4 + 3?", "answer": "7"}\n')
    said = "The decoder prompt (length 9000) is longer than the maximum model length of 4096."
    command = ["eval", "--model", "URL?model=m", "--benchmark", str(problems), "--strategy", "sample", "--workers", "1"]
    done = rstar(Personality(refuse=lambda body: error(said)), *command, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "0.0" in done.stdout
    assert "2 prompts left no room in the model's context" in done.stderr
    assert said in done.stderr
