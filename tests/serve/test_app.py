"""Answers over HTTP: the same as from Python, whole and as streams; the dial; notes, refusals and errors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from rstar_math.api.model import RStarMathModel
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine
from rstar_math.errors import EngineError
from rstar_math.serve.app import Server
from rstar_math.serve.settings import ServeSettings
from rstar_math.types import SamplingParams
from tests.api.fake_model import SlowEngine, fake_model
from tests.serve.serving import CHAT, answered, ask, chunks, serving, streamed


@pytest.fixture(scope="module")
def model() -> Iterator[RStarMathModel]:
    with fake_model() as made:
        yield made


@pytest.fixture(scope="module")
def client(model: RStarMathModel) -> Iterator[httpx.Client]:
    with fake_model(has_reward_model=False) as bare, serving({"fake": model, "bare": bare}) as (made, _):
        yield made


def test_an_answer_is_the_one_that_python_gives(client: httpx.Client, model: RStarMathModel) -> None:
    alone = model.solve("Question?")
    assert alone.answer is not None
    assert alone.trajectory is not None
    reply = answered(client)
    (choice,) = reply["choices"]
    assert choice["rstar"]["answer"] == alone.answer
    assert choice["message"]["content"].endswith(f"\\boxed{{{alone.answer}}}.")
    assert choice["message"]["reasoning_content"].startswith("Tree 1 (mcts) begins.\n")
    assert choice["finish_reason"] == "stop"
    cost = alone.cost
    usage = reply["usage"]
    assert usage["completion_tokens"] == cost.tokens_generated
    thought = cost.tokens_generated - alone.trajectory.num_tokens
    assert usage["completion_tokens_details"]["reasoning_tokens"] == thought > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens"] > 0
    assert choice["rstar"]["cost"] == {**choice["rstar"]["cost"], "executions": cost.executions, "grades": cost.grades}


def test_a_stream_says_the_same_piece_by_piece(client: httpx.Client) -> None:
    whole = answered(client)
    pieces = streamed(client, stream_options={"include_usage": True})
    first, *middle, last, usage = pieces
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {piece["id"] for piece in pieces} == {first["id"]}
    assert {piece["object"] for piece in pieces} == {"chat.completion.chunk"}
    deltas = [piece["choices"][0]["delta"] for piece in middle]
    message = whole["choices"][0]["message"]
    assert "".join(delta.get("content", "") for delta in deltas) == message["content"]
    thought = "".join(delta.get("reasoning_content", "") for delta in deltas)
    assert sorted(thought.splitlines()) == sorted(message["reasoning_content"].splitlines())
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["choices"][0]["rstar"]["answer"] == whole["choices"][0]["rstar"]["answer"]
    assert usage["choices"] == []
    assert usage["usage"] == whole["usage"]
    assert all(piece["usage"] is None for piece in pieces[:-1])
    assert "usage" not in streamed(client)[-1]


def test_several_answers_have_seeds_of_their_own(client: httpx.Client, model: RStarMathModel) -> None:
    reply = answered(client, n=3, seed=5)
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2]
    alone = [model.solve("Question?", seed=seed) for seed in (5, 6, 7)]
    assert [choice["rstar"]["answer"] for choice in reply["choices"]] == [solution.answer for solution in alone]
    assert reply["usage"]["completion_tokens"] == sum(solution.cost.tokens_generated for solution in alone)
    assert reply["usage"]["prompt_tokens"] == answered(client)["usage"]["prompt_tokens"]
    indices = {piece["choices"][0]["index"] for piece in streamed(client, n=3, seed=5)}
    assert indices == {0, 1, 2}


def test_many_at_once_are_answered_as_alone(client: httpx.Client) -> None:
    questions = [f"Question {k}?" for k in range(64)]
    alone = [answered(client, question)["choices"][0]["rstar"] for question in questions]
    with ThreadPoolExecutor(64) as threads:
        together = list(threads.map(lambda q: answered(client, q)["choices"][0]["rstar"], questions))
    for a, b in zip(alone, together, strict=True):
        a["cost"].pop("seconds"), b["cost"].pop("seconds")
    assert together == alone


@pytest.mark.parametrize("strategy", ["greedy", "sample", "forest"])
def test_a_name_may_say_the_strategy(client: httpx.Client, model: RStarMathModel, strategy: str) -> None:
    by_name = answered(client, model=f"fake:{strategy}")["choices"][0]["rstar"]
    by_field = answered(client, rstar={"strategy": strategy})["choices"][0]["rstar"]
    assert by_name["strategy"] == by_field["strategy"] == strategy
    assert by_name["answer"] == by_field["answer"] == model.solve("Question?", strategy).answer


def test_limits_hold(client: httpx.Client, model: RStarMathModel) -> None:
    for fields in ({"rstar": {"tokens": 300}}, {"thinking_token_budget": 300}):
        reply = answered(client, **fields)
        assert reply["usage"]["completion_tokens"] == model.solve("Question?", max_tokens=300).cost.tokens_generated
    both = answered(client, rstar={"tokens": 900}, thinking_token_budget=300)
    assert both["choices"][0]["rstar"]["limits"]["tokens"] == 300
    few = answered(client, rstar={"rollouts": 1, "seed": 3})["choices"][0]["rstar"]
    assert (few["limits"]["rollouts"], few["seed"]) == (1, 3)


def test_models_are_listed_with_what_they_can_do(client: httpx.Client) -> None:
    listed = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert {"fake", "fake:forest", "fake:greedy", "bare", "bare:sample"} <= set(listed)
    assert "bare:mcts" not in listed
    assert listed["bare"]["rstar"] == {
        "strategy": "sample",
        "strategies": ["greedy", "sample"],
        "has_reward_model": False,
        "tokens_by_effort": {},
    }
    assert client.get("/v1/models/fake:forest").json() == listed["fake:forest"]
    assert client.get("/v1/models/none").status_code == 404
    assert answered(client, model="bare")["choices"][0]["rstar"]["strategy"] == "sample"


def test_what_is_not_read_is_said(client: httpx.Client) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Another?"},
        {"role": "assistant", "content": "7"},
        {"role": "user", "content": [{"type": "text", "text": "Question?"}]},
    ]
    said = answered(client, messages=messages, frequency_penalty=0.5, user="me")["choices"][0]["rstar"]
    assert said["answer"] == answered(client)["choices"][0]["rstar"]["answer"]
    assert any("system messages were not read" in note for note in said["notes"])
    assert any("2 earlier messages" in note for note in said["notes"])
    assert "ignored: frequency_penalty" in said["notes"]


def test_a_temperature_above_zero_means_chance(client: httpx.Client) -> None:
    seeds = {answered(client, temperature=1.0)["choices"][0]["rstar"]["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert answered(client, temperature=0)["choices"][0]["rstar"]["seed"] == 0
    assert answered(client, temperature=1.0, seed=4)["choices"][0]["rstar"]["seed"] == 4


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "nothing"}, 404, "model"),
        ({"model": "fake:nothing"}, 404, "model"),
        ({"model": "/etc/passwd"}, 404, "model"),
        ({"model": "bare", "rstar": {"strategy": "mcts"}}, 400, "rstar.strategy"),
        ({"rstar": {"strategy": "/tmp/own.py:grow"}}, 400, "rstar.strategy"),
        ({"model": "fake:greedy", "rstar": {"strategy": "mcts"}}, 400, "rstar.strategy"),
        ({"rstar": {"code": "print(1)"}}, 400, "rstar.code"),
        ({"rstar": {"tokens": 0}}, 400, "rstar.tokens"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 20_000}]}, 400, "messages"),
        ({"messages": [{"role": "assistant", "content": "7"}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "messages"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format"),
        ({"logprobs": True}, 400, "logprobs"),
        ({"n": 0}, 400, "n"),
        ({"n": 65}, 400, "n"),
        ({"stop": ["x"] * 17}, 400, "stop"),
        ({"stop": ""}, 400, "stop"),
        ({"temperature": -1}, 400, "temperature"),
        ({"reasoning_effort": "enormous"}, 400, "reasoning_effort"),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    client: httpx.Client, fields: dict[str, object], status: int, param: str
) -> None:
    for stream in (False, True):
        reply = client.post(CHAT, json={**ask(), "stream": stream, **fields})
        assert reply.status_code == status, reply.text
        error = reply.json()["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert error["param"].startswith(param)
        assert error["message"]


def test_paths_and_methods_that_are_not_there(client: httpx.Client) -> None:
    for reply in (client.get("/v1/nothing"), client.get(CHAT), client.get("/docs")):
        assert reply.status_code in (404, 405)
        assert reply.json()["error"]["type"] in ("not_found_error", "invalid_request_error")


def test_metrics_and_health(client: httpx.Client) -> None:
    answered(client)
    text = client.get("/metrics").text
    assert 'rstar_requests_total{endpoint="/v1/chat/completions",status="200"}' in text
    assert 'rstar_answers_total{model="fake",outcome="answered"}' in text
    assert 'rstar_executions_total{status="error"}' in text
    assert "rstar_searches_running 0.0" in text
    assert client.get("/health").json() == {"status": "ok"}


def wait_until(holds: object, within_s: float) -> float:
    """Waits until something holds; gives the seconds that it took."""
    assert callable(holds)
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within_s
        time.sleep(0.005)
    return time.monotonic() - began


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_search(stream: bool) -> None:
    engine = SlowEngine(0.05)
    with fake_model(engine) as model, serving({"fake": model}) as (client, server):
        limit = {"tokens": 100_000_000}
        if stream:
            with client.stream("POST", CHAT, json=ask(stream=True, rstar=limit)) as reply:
                coming = chunks(reply)
                next(coming)
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post(CHAT, json=ask(rstar=limit), timeout=0.3)
        wait_until(lambda: engine.num_under_way == 0 and server.searches.slots.num_running == 0, 1.0)
        num_requests = engine.num_requests
        time.sleep(0.15)
        assert engine.num_requests == num_requests


@pytest.mark.parametrize("stream", [False, True])
def test_answer_now_gives_the_best_so_far(stream: bool) -> None:
    engine = SlowEngine(0.002)
    with fake_model(engine) as model, serving({"fake": model}) as (client, _), ThreadPoolExecutor(1) as threads:

        def endless() -> object:
            headers = {"X-Client-Request-Id": "mine"}
            body = ask(stream=stream, rstar={"tokens": 100_000_000})
            with client.stream("POST", CHAT, json=body, headers=headers) as reply:
                if stream:
                    *_, last = chunks(reply)
                    return last["choices"][0]["rstar"]
                reply.read()
                return reply.json()["choices"][0]["rstar"]

        waiting = threads.submit(endless)
        wait_until(lambda: engine.num_requests > 60, 20)
        began = time.monotonic()
        assert client.post(f"{CHAT}/control", json={"id": "mine", "action": "reasoning_end"}).json() == {
            "success": True
        }
        said = waiting.result()
        assert time.monotonic() - began < 0.5
        assert isinstance(said, dict)
        assert said["answer"] is not None
        assert any("ended early" in note for note in said["notes"])
        assert client.post(f"{CHAT}/control", json={"id": "mine"}).status_code == 404


def test_a_full_queue_refuses_and_a_waiting_search_gets_its_turn() -> None:
    settings = ServeSettings(port=0, max_concurrent=1, max_queued=1, ping_s=0.05)
    engine = SlowEngine(0.05)
    with fake_model(engine) as model, serving({"fake": model}, settings) as (client, server):
        with client.stream("POST", CHAT, json=ask(stream=True, rstar={"tokens": 100_000_000})) as first:
            coming = chunks(first)
            next(coming)
            with client.stream("POST", CHAT, json=ask(stream=True)) as second:
                lines = second.iter_lines()
                assert next(lines) == ": ping"  # it waits, and the connection stays open
                refused = client.post(CHAT, json=ask())
                assert refused.status_code == 429
                assert int(refused.headers["retry-after"]) >= 1
                assert client.post(CHAT, json=ask(n=2)).status_code == 429
                first.close()
                freed = wait_until(lambda: server.searches.slots.num_waiting == 0, 1.0)
                assert any('"role": "assistant"' in line for line in lines)
                assert freed < 1.0


def test_an_answer_is_thought_about_for_so_long_and_no_longer() -> None:
    settings = ServeSettings(port=0, request_s=0.5)
    with fake_model(SlowEngine(0.01)) as model, serving({"fake": model}, settings) as (client, _):
        began = time.monotonic()
        said = answered(client, rstar={"tokens": 100_000_000})["choices"][0]["rstar"]
        assert 0.5 <= time.monotonic() - began < 3
        assert said["answer"] is not None
        assert any("ended early" in note for note in said["notes"])


class Mortal(FakeEngine):
    """Dies and comes to life as it is told."""

    is_dead = False

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """As the fake engine, while it lives."""
        if self.is_dead:
            raise EngineError("the engine is gone \x1b[2J")
        return await super().generate(prompt, params)


def test_a_dead_engine_is_told_of_and_heals() -> None:
    engine = Mortal()
    with fake_model(engine) as model, serving({"fake": model}) as (client, _):
        answered(client)
        engine.is_dead = True
        reply = client.post(CHAT, json=ask())
        assert reply.status_code == 503
        assert reply.headers["retry-after"]
        assert "\x1b" not in reply.text
        assert client.get("/health").status_code == 503
        began = time.monotonic()
        assert client.post(CHAT, json=ask()).status_code == 503
        assert time.monotonic() - began < 0.5
        engine.is_dead = False
        wait_until(lambda: client.get("/health").status_code == 200, 5)
        answered(client)


def test_a_death_in_the_middle_of_a_stream_is_an_event() -> None:
    engine = Mortal()
    with fake_model(engine) as model, serving({"fake": model}) as (client, _):
        with client.stream("POST", CHAT, json=ask(stream=True, rstar={"tokens": 100_000_000})) as reply:
            lines = reply.iter_lines()
            assert '"role"' in next(lines)
            engine.is_dead = True
            last = [line for line in lines if line][-1]
        assert last.startswith('data: {"error": {"message": "the model does not work')


def test_the_end_lets_answers_end_and_refuses_new_ones() -> None:
    engine = SlowEngine(0.02)
    settings = ServeSettings(port=0, shutdown_s=10)
    with fake_model(engine) as model, serving({"fake": model}, settings) as (client, server):
        with client.stream("POST", CHAT, json=ask(stream=True)) as reply:
            coming = chunks(reply)
            next(coming)
            closing = asyncio.run_coroutine_threadsafe(server.searches.aclose(10), loop_of(server))
            wait_until(lambda: server.searches.is_closing, 5)
            assert client.post(CHAT, json=ask()).status_code == 503
            assert client.get("/health").json() == {"status": "closing"}
            assert list(coming)[-1]["choices"][0]["finish_reason"] == "stop"
        closing.result(10)


def loop_of(server: Server) -> asyncio.AbstractEventLoop:
    """The event loop in which a server runs."""
    (task,) = server.searches._running.values()
    return task._tasks[0].get_loop()
