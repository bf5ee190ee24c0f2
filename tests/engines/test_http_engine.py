"""What the HTTP engine asks a server for, and what it makes of odd answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from rstar_math import steps
from rstar_math.types import SamplingParams
from tests.engines.endpoint import Answer, Body
from tests.engines.few_answers import PARAMS, PROMPT, QUICK, always, ask, choice, chunked, good_bytes, one

pytestmark = pytest.mark.usefixtures("short_pauses")


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
