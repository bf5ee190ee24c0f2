"""Servers that fail: what is tried again, for how long, and what is reported at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from rstar_math.engines.http import engine as http_engine
from rstar_math.engines.http import replies as http_replies
from rstar_math.engines.http import transport as http_transport
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from tests.engines.endpoint import HANG, RESET, Answer, Body, Handler
from tests.engines.few_answers import FAULTS, PARAMS, PROMPT, QUICK, always, ask, chunked, in_turn, one

pytestmark = pytest.mark.usefixtures("short_pauses")


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
