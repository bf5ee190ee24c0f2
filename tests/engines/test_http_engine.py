"""The HTTP engine against servers on loopback: those that leave things out, those that fail, and a whole search."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from rstar_math import steps
from rstar_math.config import EndpointSettings, SearchSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine
from rstar_math.engines.few_shot import Bootstrap
from rstar_math.engines.http import engine as http_engine
from rstar_math.engines.http import replies as http_replies
from rstar_math.engines.http import transport as http_transport
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.mcts import mcts
from rstar_math.store.records import tree_to_row
from rstar_math.tree import Tree
from rstar_math.types import Problem, SamplingParams
from rstar_math.workers.bench import Workbench
from tests.engines.endpoint import HANG, RESET, TRUNCATED, Answer, Body, Endpoint, Handler, by_engine, serving

PROMPT = steps.prompt("What is 1 + 1?")
PARAMS = SamplingParams(n=1, max_tokens=50, stop=steps.STOPS, seed=7)
QUICK = EndpointSettings(model="m", max_retry_s=20, timeout_s=5)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_engine, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(http_engine, "LONGEST_PAUSE_S", 0.05)


def choice(text: str, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"text": text, "finish_reason": finish, **more}


def one(text: str = " ok", **more: Any) -> Answer:
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    return Answer({"choices": [choice(text, stop_reason=steps.END_OF_STEP, **more)], "usage": usage})


def ask(
    handler: Handler,
    params: SamplingParams = PARAMS,
    settings: EndpointSettings = QUICK,
    bootstrap: Bootstrap | None = None,
    times: int = 1,
    prompt: str = PROMPT,
) -> tuple[list[Generation], Endpoint, HttpEngine]:
    async def run() -> tuple[list[Generation], Endpoint, HttpEngine]:
        async with serving(handler) as endpoint:
            engine = HttpEngine(endpoint.url, settings, bootstrap, api_key="secret")
            try:
                return [await engine.generate(prompt, params) for _ in range(times)], endpoint, engine
            finally:
                await engine.aclose()

    return asyncio.run(run())


def always(answer: Answer | Callable[[Body], Answer]) -> Handler:
    async def handler(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        if path == "/v1/models":
            return Answer({"data": [{"id": "m"}, {"id": "other"}]})
        return answer(body) if callable(answer) else answer

    return handler


def in_turn(*answers: Answer) -> Handler:
    left = list(answers)

    async def handler(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return handler


def test_a_request_says_what_is_wanted_and_carries_the_key() -> None:
    params = SamplingParams(n=2, temperature=0.7, top_p=0.9, max_tokens=9, stop=("<x>",), seed=2**40 + 3)
    answer = Answer({"choices": [choice("a", stop_reason="<x>")] * 2, "usage": {"completion_tokens": 7}})
    (generation,), endpoint, _ = ask(always(answer), params)
    ((path, body, headers),) = endpoint.received
    assert path == "/v1/completions"
    assert headers["authorization"] == "Bearer secret"
    wanted = {
        "model": "m",
        "prompt": PROMPT,
        "n": 2,
        "temperature": 0.7,
        "top_p": 0.9,
        "max_tokens": 9,
        "stop": ["<x>"],
    }
    assert {k: body[k] for k in wanted} == wanted
    assert body["seed"] == 3
    assert sum(c.num_tokens for c in generation.completions) == 7
    assert [c.stop for c in generation.completions] == ["<x>", "<x>"]


STOPPED = [
    ("\nx = 1\n", steps.END_OF_STEP),
    ("\nprint(x)\n", steps.END_OF_CODE),
    ("\n<answer>So \\boxed{2}.", steps.END_OF_ANSWER),
    ("\nx = 1 and then no more", None),
]


def server_that(kind: str, text: str, marker: str | None) -> Callable[[Body], Answer]:
    """A server of a kind, whose model writes `text` and then `marker`, or ends the sequence."""

    def answer(body: Body) -> Answer:
        whole = text + (marker or "")
        ends = [(whole.find(s), s) for s in body["stop"] if s in whole]
        cut, met = min(ends, default=(len(whole), None))
        if kind == "keeps the stop":
            return Answer({"choices": [choice(whole[: cut + len(met or "")])]})
        named = {"stop_reason": met} if kind == "names the stop" else {}
        return Answer({"choices": [choice(whole[:cut], **named)]})

    return answer


@pytest.mark.parametrize("kind", ["keeps the stop", "names the stop", "drops the stop"])
@pytest.mark.parametrize(("text", "marker"), STOPPED)
def test_the_stop_string_is_put_back(kind: str, text: str, marker: str | None) -> None:
    generations, endpoint, engine = ask(always(server_that(kind, text, marker)), times=2)
    for generation in generations:
        assert [(c.text, c.stop) for c in generation.completions] == [(text, marker)]
    unknown = kind == "drops the stop" or (kind == "keeps the stop" and marker is None)
    assert engine.counts.repeated_for_stop == (1 if unknown else 0)  # found out once, remembered
    assert len(endpoint.received) == (3 if unknown else 2)


def test_a_completion_that_ran_into_its_limit_has_no_stop() -> None:
    (generation,), _, engine = ask(always(Answer({"choices": [choice("\nx = <end_of_s", "length")]})))
    assert generation.completions[0].stop is None
    assert engine.counts.repeated_for_stop == 0


def test_a_server_without_n_is_asked_once_for_each_candidate() -> None:
    def answer(body: Body) -> Answer:
        return one(f" {body['seed']}")

    generations, endpoint, _ = ask(always(answer), replace(PARAMS, n=3), times=2)
    for generation in generations:
        assert [c.text for c in generation.completions] == [" 7", " 8", " 9"]
        assert [c.num_tokens for c in generation.completions] == [3, 3, 3]
        assert generation.num_prompt_tokens == 5
    assert len(endpoint.received) == 6
    assert [body.get("n") for _, body, _ in endpoint.received] == [3, *[None] * 5]


def test_fields_that_a_server_does_not_know_are_left_out_from_then_on() -> None:
    def answer(body: Body) -> Answer:
        for name in ("skip_special_tokens", "seed"):
            if name in body:
                return Answer({"detail": f"Unexpected fields in the request: {{'{name}'}}"}, 422)
        return one()

    _, endpoint, _ = ask(always(answer), times=2)
    assert len(endpoint.received) == 4
    assert not {"skip_special_tokens", "seed"} & set(endpoint.received[-1][1])


def test_without_usage_tokens_are_estimated_and_counted_as_such() -> None:
    (generation,), _, engine = ask(always(Answer({"choices": [choice("x" * 40, stop_reason=steps.END_OF_STEP)]})))
    assert generation.completions[0].num_tokens == 10
    assert engine.counts.estimated_tokens == 1


def test_log_probabilities_are_added_up() -> None:
    logprobs = {"token_logprobs": [-0.5, -0.25, -0.125]}
    settings = QUICK.model_copy(update={"logprobs": True})
    (generation,), endpoint, _ = ask(always(one(logprobs=logprobs)), settings=settings)
    assert generation.completions[0].logprob == -0.875
    assert endpoint.received[0][1]["logprobs"] == 0


def good_bytes(text: str = " ok", finish: str = "stop") -> bytes:
    """The body of a plain answer."""
    made = [{"text": text, "finish_reason": finish, "stop_reason": steps.END_OF_STEP}]
    return json.dumps({"choices": made, "usage": {"prompt_tokens": 5, "completion_tokens": 3}}).encode()


def chunked(body: bytes, size: int) -> list[bytes]:
    """Head and body of an answer whose length is not told beforehand."""
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        *(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces),
        b"0\r\n\r\n",
    ]


COUNTED = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n"
NO_NUMBERS = {"content": [{}, 3], "token_logprobs": ["x"]}
ODD = {
    "chunked": Answer(raw=chunked(good_bytes(), 7)),
    "without length": Answer(raw=[b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", good_bytes()]),
    "HTTP/1.0": Answer(raw=[b"HTTP/1.0 200 OK\r\n\r\n", good_bytes()]),
    "keep-alive, then closed": Answer(
        raw=[
            b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(good_bytes()),
            good_bytes(),
        ]
    ),
    "wrong content type": Answer(json.loads(good_bytes()), headers={"Content-Type": "text/html; charset=latin-1"}),
    "created": Answer(json.loads(good_bytes()), 201),
    "byte by byte": Answer(raw=chunked(good_bytes(), 1)),
    "more than was asked for": Answer({"choices": json.loads(good_bytes())["choices"] * 3}),
    "negative count": Answer({**json.loads(good_bytes()), "usage": {"completion_tokens": -4}}),
    "usage of another kind": Answer({**json.loads(good_bytes()), "usage": [1]}),
    "log-probabilities of another kind": Answer(
        {
            "choices": [
                choice(" ok", stop_reason=steps.END_OF_STEP, logprobs={"content": [{}, 3], "token_logprobs": ["x"]})
            ]
        }
    ),
}


@pytest.mark.parametrize("oddity", ODD)
def test_odd_answers_are_read(oddity: str) -> None:
    generations, endpoint, engine = ask(always(ODD[oddity]), times=2)
    for generation in generations:
        (completion,) = generation.completions
        assert (completion.text, completion.stop) == (" ok", steps.END_OF_STEP)
        assert completion.num_tokens >= 1
        assert completion.logprob == 0.0
    assert engine.counts.retries == 0
    assert len(endpoint.received) == 2


@pytest.mark.parametrize("finish", ["stop", "stop_sequence", "eos_token", "end_turn", "STOP", None, ""])
def test_every_word_for_stopping_is_understood(finish: str | None) -> None:
    def answer(body: Body) -> Answer:
        whole = "\nx = 1\n" + steps.END_OF_STEP
        return Answer({"choices": [choice(whole[: min(whole.find(s) for s in body["stop"] if s in whole)], finish)]})

    (generation,), _, _ = ask(always(answer))
    assert [(c.text, c.stop) for c in generation.completions] == [("\nx = 1\n", steps.END_OF_STEP)]


@pytest.mark.parametrize("finish", ["length", "max_tokens", "content_filter", "tool_calls", "model_length"])
def test_what_did_not_stop_is_not_asked_for_again(finish: str) -> None:
    (generation,), endpoint, _ = ask(always(Answer({"choices": [choice("\nx = ", finish)]})))
    assert generation.completions[0].stop is None
    assert len(endpoint.received) == 1


def test_missing_candidates_are_asked_for_again() -> None:
    def answer(body: Body) -> Answer:
        made = [choice(f" {body['seed'] + i}", stop_reason=steps.END_OF_STEP) for i in range(min(body.get("n", 1), 3))]
        return Answer({"choices": made})

    (generation,), endpoint, _ = ask(always(answer), replace(PARAMS, n=5))
    assert [c.text for c in generation.completions] == [" 7", " 8", " 9", " 10", " 11"]
    assert len(endpoint.received) == 3


def test_half_a_surrogate_pair_does_not_reach_our_files() -> None:
    body = good_bytes().replace(b" ok", rb" \ud83d ok")
    (generation,), _, _ = ask(always(Answer(body)))
    assert generation.completions[0].text.encode("utf-8") == b" ? ok"


FAULTS = {
    "busy": Answer({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.01"}),
    "internal error": Answer({"error": "oops"}, 500),
    "bad gateway": Answer(b"<html>502</html>", 502),
    "malformed JSON": Answer(b'{"choices": [{"te'),
    "no choices": Answer({"error": {"message": "engine is restarting"}}),
    "null choices": Answer({"choices": None}),
    "choices of another kind": Answer({"choices": ["text"]}),
    "null text": Answer({"choices": [{"text": None, "finish_reason": "stop"}]}),
    "broken off": Answer({"choices": [{"text": "\nx", "finish_reason": "abort"}]}),
    "an error with status 200": Answer({"error": {"message": "CUDA out of memory", "code": 500}}),
    "an event stream with an error": Answer(b'data: {"error": {"message": "overloaded"}}\n\ndata: [DONE]\n\n'),
    "a list": Answer([1, 2]),
    "nothing": Answer(b""),
    "no content": Answer(b"", 204),
    "no text encoding": Answer(b'{"choices": "\xff\xfe"}'),
    "nested without end": Answer(b"[" * 100_000),
    "damaged compression": Answer(b"no gzip", headers={"Content-Encoding": "gzip"}),
    "no HTTP": Answer(raw=[b"SSH-2.0-OpenSSH_9.2\r\n"]),
    "cut chunks": Answer(raw=chunked(good_bytes(), 7)[:4]),
    "truncated": Answer({"choices": [{"text": "x" * 500}]}, fault=TRUNCATED),
    "reset": Answer(fault=RESET),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_may_pass_is_tried_again(fault: str) -> None:
    (generation,), endpoint, engine = ask(in_turn(FAULTS[fault], FAULTS[fault], one()))
    assert generation.completions[0].text == " ok"
    assert len(endpoint.received) == 3
    assert engine.counts.retries == 2


def test_a_time_out_is_tried_again_and_then_reported() -> None:
    (generation,), _, engine = ask(
        in_turn(Answer(fault=HANG), one()), settings=QUICK.model_copy(update={"timeout_s": 0.2})
    )
    assert generation.completions[0].text == " ok"
    assert engine.counts.retries == 1
    short = QUICK.model_copy(update={"timeout_s": 0.1, "max_retry_s": 0.3})
    with pytest.raises(EngineError, match=r"no answer within 0\.1 s.*max_retry_s"):
        ask(always(Answer(fault=HANG)), settings=short)


def test_an_answer_that_drips_without_end_is_a_time_out() -> None:
    dripping = Answer(raw=chunked(b" " * 200, 1), pause_s=0.05)  # each byte comes in time, the answer never does
    settings = QUICK.model_copy(update={"timeout_s": 0.3})
    (generation,), _, engine = ask(in_turn(dripping, one()), settings=settings)
    assert generation.completions[0].text == " ok"
    assert engine.counts.retries == 1


def test_an_answer_without_end_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_transport, "LARGEST_ANSWER_BYTES", 1 << 20)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        while True:
            sent += 1
            yield b" " * (1 << 16)

    (generation,), _, engine = ask(in_turn(Answer(raw=endless()), one()))
    assert generation.completions[0].text == " ok"
    assert engine.counts.retries == 1
    assert sent < 1_000


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirection_is_followed_by_hand_not_with_the_key(status: int) -> None:
    moved = Answer(b"", status, {"Location": "https://elsewhere.example/v1/completions"})
    with pytest.raises(ModelError, match=r"redirected to https://elsewhere\.example.*give the address"):
        ask(always(moved))


def test_a_prompt_that_is_too_long_is_known_under_any_status() -> None:
    said = {"error": {"message": "the request exceeds the available context size, try increasing it"}}
    for status in (200, 400, 413, 500):
        with pytest.raises(ContextLengthError, match="context size"):
            ask(always(Answer(said, status)))


def test_the_server_says_how_long_to_wait() -> None:
    assert http_replies.seconds_of("7") == 7.0
    later = datetime.now(UTC) + timedelta(seconds=90)
    for date in (format_datetime(later, usegmt=True), format_datetime(later.astimezone(timezone(timedelta(hours=5))))):
        assert http_replies.seconds_of(date) == pytest.approx(90, abs=2)
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    for useless in (None, "", past, "-3", "nan", "inf", "soon", "Mon, 99 Foo 2026"):
        assert http_replies.seconds_of(useless) == 0.0


def test_a_wait_that_is_too_long_is_reported_at_once() -> None:
    busy = Answer({"error": {"message": "daily quota"}}, 429, {"Retry-After": "3600"})
    with pytest.raises(EngineError, match=r"daily quota, and asks to wait 3600 s.*max_retry_s"):
        ask(always(busy))
    waited = Answer({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.4"})
    began = time.monotonic()
    ask(in_turn(waited, one()))
    assert time.monotonic() - began >= 0.4  # longer than a pause of ours


def test_a_key_and_a_url_that_cannot_be_used_are_refused() -> None:
    with pytest.raises(ModelError, match="key has characters"):
        HttpEngine("http://host/v1", api_key="s\u00e9cret")
    with pytest.raises(ModelError, match="URL"):
        HttpEngine("http://host:port/v1")
    with pytest.raises(ModelError, match="URL"):
        HttpEngine("http://[::1/v1")


def test_no_message_shows_a_password() -> None:
    async def run(url: str) -> None:
        engine = HttpEngine(url, QUICK.model_copy(update={"max_retry_s": 0}))
        try:
            await engine.generate(PROMPT, PARAMS)
        finally:
            await engine.aclose()

    with pytest.raises(EngineError, match=r"http://127\.0\.0\.1:9/v1/completions") as failure:
        asyncio.run(run("http://somebody:hidden@127.0.0.1:9/v1"))
    assert "hidden" not in str(failure.value)


def test_where_no_server_is_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_engine, "FIRST_CONTACT_S", 0.1)

    async def run() -> None:
        engine = HttpEngine("http://127.0.0.1:9/v1", QUICK)
        try:
            await engine.generate(PROMPT, PARAMS)
        finally:
            await engine.aclose()

    with pytest.raises(EngineError, match="Is a server running there"):
        asyncio.run(run())


def test_a_server_that_loads_its_model_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_engine, "FIRST_CONTACT_S", 0.0)
    loading = Answer({"error": {"message": "Loading model"}}, 503)
    (generation,), _, engine = ask(in_turn(loading, loading, loading, one()))
    assert generation.completions[0].text == " ok"
    assert engine.counts.retries == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_no_matter_of_patience(status: int) -> None:
    with pytest.raises(ModelError, match=r"refuses the key.*OPENAI_API_KEY"):
        ask(always(Answer({"error": {"message": "bad key", "code": "invalid_api_key"}}, status)))


@pytest.mark.parametrize(
    "answer",
    [
        Answer({"error": {"message": "The model `m` does not exist"}}, 404),
        Answer({"detail": "Server is pinned to 'other'; requested 'm'."}, 400),
    ],
)
def test_a_wrong_model_name_lists_the_right_ones(answer: Answer) -> None:
    with pytest.raises(ModelError, match=r"'m'.*serves m, other"):
        ask(always(answer))


def test_other_refusals_give_the_words_of_the_server() -> None:
    with pytest.raises(EngineError, match="temperature must be positive"):
        ask(always(Answer({"error": {"message": "temperature must be positive"}}, 400)))


def test_a_prompt_that_is_too_long_ends_the_search_not_the_run() -> None:
    said = "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"
    with pytest.raises(ContextLengthError, match="4096"):
        ask(always(Answer({"error": {"message": said}}, 400)))


def test_the_only_model_of_a_server_needs_no_name() -> None:
    async def handler(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        return Answer({"data": [{"id": "the-one"}]}) if path == "/v1/models" else one()

    _, endpoint, _ = ask(handler, settings=QUICK.model_copy(update={"model": None}))
    assert endpoint.received[-1][1]["model"] == "the-one"
    with pytest.raises(ModelError, match=r"serves 2 models m, other; name one"):
        ask(always(one()), settings=QUICK.model_copy(update={"model": None}))


def test_a_list_of_models_that_is_not_there_is_told_apart_from_an_empty_one() -> None:
    unnamed = QUICK.model_copy(update={"model": None})

    def listing(*answers: Answer) -> Handler:
        left = list(answers)

        async def handler(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
            return one() if path != "/v1/models" else left.pop(0) if len(left) > 1 else left[0]

        return handler

    nothings: list[dict[str, Any]] = [{"data": []}, {"data": None}, {"data": [{"id": None}, 3]}, {"object": "list"}]
    for nothing in nothings:
        with pytest.raises(ModelError, match=r"serves 0 models; name one"):
            ask(listing(Answer(nothing)), settings=unnamed)
    with pytest.raises(ModelError, match=r"does not list its models \(HTTP 404.*name one"):
        ask(listing(Answer({"detail": "Not Found"}, 404)), settings=unnamed)
    with pytest.raises(ModelError, match="refuses the key"):
        ask(listing(Answer({"error": "no"}, 401)), settings=unnamed)
    loading, ready = Answer({"error": {"message": "Loading model"}}, 503), Answer({"data": [{"id": "the-one"}]})
    (generation,), _, engine = ask(listing(loading, Answer(fault=RESET), ready), settings=unnamed)
    assert generation.completions[0].text == " ok"
    assert engine.counts.retries == 2


def chat(text: str) -> Answer:
    message = {
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "stop_reason": steps.END_OF_STEP,
    }
    return Answer({"choices": [message], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})


@pytest.mark.parametrize("message", [None, "hi", {"content": {"text": "hi"}}, {"content": 3}])
def test_a_chat_answer_without_text_is_tried_again(message: Any) -> None:
    odd = Answer({"choices": [{"message": message, "finish_reason": "stop"}]})
    (generation,), _, engine = ask(in_turn(odd, chat(" ok")), settings=CHAT)
    assert generation.completions[0].text == " ok"
    assert engine.counts.retries == 1


CHAT = QUICK.model_copy(update={"api": "chat"})
PREFIX = PROMPT + "\n# Step 1: one\nx = 1\n" + steps.END_OF_STEP


def test_a_chat_endpoint_goes_on_from_the_assistants_text() -> None:
    (generation,), endpoint, engine = ask(always(chat("\ny = x\n")), settings=CHAT, prompt=PREFIX)
    ((path, body, _),) = endpoint.received
    assert path == "/v1/chat/completions"
    assert body["continue_final_message"] is True
    assert [m["role"] for m in body["messages"]] == ["user", "assistant"]
    assert body["messages"][0]["content"] == "What is 1 + 1?"
    assert body["messages"][1]["content"].endswith("x = 1\n" + steps.END_OF_STEP)
    assert generation.completions[0].text == "\ny = x\n"
    assert engine.counts.restated == 0


def test_where_chat_cannot_go_on_from_a_prefix_it_is_asked_for_the_next_step() -> None:
    def answer(body: Body) -> Answer:
        if "continue_final_message" in body:
            return Answer({"detail": "Unexpected fields in the request: {'continue_final_message'}"}, 422)
        return chat("<code>\n```python\ny = x\n```\n")

    (generation,), endpoint, engine = ask(
        always(answer), settings=CHAT, prompt=PREFIX, bootstrap=Bootstrap.named("default")
    )
    messages = endpoint.received[-1][1]["messages"]
    assert messages[0]["role"] == "system"
    assert messages[-1]["role"] == "user"
    assert "x = 1\n" + steps.END_OF_STEP in messages[-1]["content"]
    assert generation.completions[0].text == "\ny = x\n"
    assert engine.counts.restated == 1


def test_continuation_can_be_demanded() -> None:
    refused = Answer({"detail": "Unexpected fields in the request: {'continue_final_message'}"}, 422)
    with pytest.raises(EngineError, match="continue_final_message"):
        ask(always(refused), settings=CHAT.model_copy(update={"continuation": "continue"}))


class _SmallSeeds(FakeEngine):
    """The fake policy with the seeds that go over the wire."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        return await super().generate(prompt, replace(params, seed=params.seed & 0x7FFFFFFF))


async def grow(engine: Any) -> list[Tree]:
    settings = SearchSettings(num_rollouts=6, num_candidates=4, use_ppm=False)
    problems = [Problem(f"p{i}", f"What is {i}?", answer="1") for i in range(4)]
    bench = Workbench(engine, FakeExecutor(), FakeGrader())
    return await asyncio.gather(*(mcts(bench.environment(p, seed=1), settings) for p in problems))


def same(a: list[Tree], b: list[Tree]) -> bool:
    def rows(trees: list[Tree]) -> list[Any]:
        return [
            {k: v for k, v in tree_to_row(t).items() if k != "cost"}
            | {
                "nodes": [
                    {k: v for k, v in n.items() if k not in ("num_tokens", "logprob")} for n in tree_to_row(t)["nodes"]
                ]
            }
            for t in trees
        ]

    return rows(a) == rows(b)


async def _grow_over_http(
    faulty: Callable[[int], Answer | None], during: Callable[[Endpoint], Coroutine[Any, Any, None]] | None = None
) -> tuple[list[Tree], HttpEngine, int]:
    inner, number = _SmallSeeds(), 0

    async def handler(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        nonlocal number
        number += 1
        return faulty(number) or await by_engine(inner, body)

    async with serving(handler) as endpoint:
        engine = HttpEngine(endpoint.url, QUICK)
        disturbing = asyncio.create_task(during(endpoint)) if during else None
        trees = await grow(engine)
        if disturbing:
            await disturbing
        await engine.aclose()
    return trees, engine, number


def test_a_search_over_http_grows_the_same_trees_whatever_fails() -> None:
    async def run() -> None:
        expected = await grow(_SmallSeeds())
        trees, engine, _ = await _grow_over_http(lambda _: None)
        assert same(trees, expected)
        assert engine.counts.retries == 0
        assert [t.cost.tokens_generated for t in trees] == [t.cost.tokens_generated for t in expected]

        chance = random.Random(0)
        faults = list(FAULTS.values())
        trees, engine, _ = await _grow_over_http(lambda _: chance.choice(faults) if chance.random() < 0.3 else None)
        assert same(trees, expected)
        assert engine.counts.retries > 5

    asyncio.run(run())


def test_a_server_killed_in_mid_search_loses_no_tree() -> None:
    async def kill_and_start_again(endpoint: Endpoint) -> None:
        while len(endpoint.received) < 6:
            await asyncio.sleep(0.001)
        await endpoint.stop()
        await asyncio.sleep(0.3)
        await endpoint.start()

    async def run() -> None:
        expected = await grow(_SmallSeeds())
        trees, engine, _ = await _grow_over_http(lambda _: None, kill_and_start_again)
        assert same(trees, expected)
        assert engine.counts.retries >= 1

    asyncio.run(run())
