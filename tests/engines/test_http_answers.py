"""Answers in every shape: thoughts, parts, streams, odd counts; what was unusable is counted and said."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from rstar_math import steps
from rstar_math.engines.base import Noting
from rstar_math.engines.http.completions import without_thoughts
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.errors import ModelError
from tests.engines.asking import CHAT_SETTINGS, PARAMS, PROMPT, SETTINGS, STEP, Fixed, ask
from tests.engines.endpoint import Answer, Body, serving
from tests.engines.personalities import (
    END,
    Personality,
    chat_choice,
    stream,
)

pytestmark = pytest.mark.usefixtures("short_pauses")


def thinking(where: str) -> Callable[[str, str | None, Body], Mapping[str, Any]]:
    """A model that thinks first, and where its server puts that."""
    thought = "Let me think. I could write x = 1\n"

    def dress(text: str, met: str | None, body: Body) -> Mapping[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if where in ("reasoning", "reasoning_content"):
            message[where] = thought
        elif where == "parts":
            message["content"] = [
                {"type": "thinking", "thinking": [{"type": "text", "text": thought}]},
                {"type": "text", "text": text},
            ]
        elif where == "text":
            message["content"] = f"<think>\n{thought}</think>{text}"
        elif where == "opened by the template":
            message["content"] = f"{thought}</think>{text}"
        elif where == "channels":
            message["content"] = (
                f"<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant<|channel|>final<|message|>{text}"
            )
        return {"message": message, "finish_reason": "stop", "stop_reason": met}

    return dress


@pytest.mark.parametrize(
    "where", ["reasoning", "reasoning_content", "parts", "text", "opened by the template", "channels"]
)
def test_thoughts_are_no_part_of_a_step(where: str) -> None:
    server = Personality(dress=thinking(where))
    (generation,), _ = ask(server, settings=CHAT_SETTINGS)
    assert [(c.text, c.stop, c.finish_reason) for c in generation.completions] == [(STEP, END, "stop")] * 2


ONLY_THOUGHTS: dict[str, Mapping[str, Any]] = {
    "vLLM": {"message": {"content": None, "reasoning": "Let me"}, "finish_reason": "length", "stop_reason": None},
    "DeepSeek": {"message": {"content": "", "reasoning_content": "Let me"}, "finish_reason": "length"},
    "a marker in a thought": {
        "message": {"content": None, "reasoning_content": "I write x = 1"},
        "finish_reason": "stop",
        "stop_reason": END,
    },
    "in the text": {"message": {"content": "<think>\nLet me write\nx = 1\n"}, "finish_reason": "length"},
    "in the text, to a marker": {
        "message": {"content": "<think>\nx = 1\n"},
        "finish_reason": "stop",
        "stop_reason": END,
    },
    "in parts": {"message": {"content": [{"type": "thinking", "thinking": "Let me"}]}, "finish_reason": "length"},
    "in the text of a completion": {"text": "\n<think>\nx = 1\n", "finish_reason": "stop", "stop_reason": END},
}


@pytest.mark.parametrize("kind", ONLY_THOUGHTS)
def test_a_thought_without_a_step_is_never_a_step(kind: str) -> None:
    server = Personality(dress=lambda text, met, body: ONLY_THOUGHTS[kind])
    (generation,), engine = ask(server, settings=CHAT_SETTINGS)
    assert [(c.text.strip(), c.stop, c.finish_reason) for c in generation.completions] == [("", None, "reasoning")] * 2
    assert isinstance(engine, Noting)
    (note,) = [note for note in engine.notes() if note.kind == "reasoning"]
    assert note.count == 2
    assert "thinking off" in note.text


def test_a_model_that_only_thinks_ends_the_run_at_once(caplog: pytest.LogCaptureFixture) -> None:
    server = Personality(dress=lambda text, met, body: ONLY_THOUGHTS["vLLM"])
    with pytest.raises(ModelError, match=r"16 of 16 completions were thoughts.*enable_thinking.*max_step_tokens"):
        ask(server, replace(PARAMS, n=8), settings=CHAT_SETTINGS, times=3)
    mixed = Personality()
    number = 0

    def dress(text: str, met: str | None, body: Body) -> Mapping[str, Any]:
        nonlocal number
        number += 1
        return ONLY_THOUGHTS["vLLM"] if number % 5 else chat_choice(text, met, body)

    mixed.dress = dress
    _, engine = ask(mixed, replace(PARAMS, n=8), settings=CHAT_SETTINGS, times=5)
    assert (engine.counts.reasoning, engine.counts.stopped) == (32, 8)
    assert "32 of 40 completions were thoughts" in caplog.text


def test_marks_of_thoughts_in_code_stay_what_they_are() -> None:
    for code in ('x = "<think>"\n', "# see <think>\ny = 1\n", "if x:\n    pass\n"):
        assert without_thoughts(code) == (code, False, False)
    assert without_thoughts("<think>a</think>\n<think>b</think>\nx = 1") == ("\n\nx = 1", True, False)


def test_content_in_parts_is_read() -> None:
    def dress(text: str, met: str | None, body: Body) -> Mapping[str, Any]:
        parts = [{"type": "text", "text": text[:9]}, {"type": "output_text", "text": text[9:]}, {"type": "image_url"}]
        return {"message": {"content": parts}, "finish_reason": "stop", "stop_reason": met}

    (generation,), engine = ask(Personality(dress=dress), settings=CHAT_SETTINGS)
    assert [c.text for c in generation.completions] == [STEP] * 2
    assert engine.counts.retries == 0


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"completion_tokens": 12, "prompt_tokens": 30}, True),
        ({"completion_tokens": "12", "prompt_tokens": "30"}, True),
        ({"completion_tokens": 12.0, "prompt_tokens": 30}, True),
        ({"completion_tokens": 0, "prompt_tokens": 0, "total_tokens": 0}, False),
        ({"completion_tokens": None, "prompt_tokens": None}, False),
        ({"completion_tokens": True}, False),
        ({"completion_tokens": "many"}, False),
        ({}, False),
        (None, False),
        ("12", False),
    ],
)
def test_tokens_are_never_booked_as_none(usage: Any, counted: bool) -> None:
    (generation,), engine = ask(Personality(usage=usage), replace(PARAMS, n=1))
    (completion,) = generation.completions
    assert completion.num_tokens == (12 if counted else len(STEP) // 4)
    assert generation.num_prompt_tokens == (30 if counted else len(PROMPT) // 4)
    assert engine.counts.estimated_tokens == (0 if counted else 1)


def test_tokens_that_were_thoughts_are_estimated_with_the_text() -> None:
    message = {"content": "\nx = 1\n", "reasoning_content": "y" * 400}
    server = Personality(
        dress=lambda *_: {"message": message, "finish_reason": "stop", "stop_reason": END},
        usage={"completion_tokens": 0},
    )
    (generation,), _ = ask(server, replace(PARAMS, n=1), settings=CHAT_SETTINGS)
    assert generation.completions[0].num_tokens >= 100


def streamed(api: str) -> Answer:
    pieces: list[Mapping[str, Any]] = []
    for index in range(2):
        for part in (STEP[:7], STEP[7:]):
            one = {"text": part} if api == "completions" else {"delta": {"content": part, "role": "assistant"}}
            pieces.append({"id": "c", "choices": [{"index": index, "finish_reason": None, **one}]})
        pieces.append({"choices": [{"index": index, "delta": {}, "finish_reason": "stop", "stop_reason": END}]})
    pieces.append({"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 12}})
    return Answer(stream(pieces), headers={"Content-Type": "text/event-stream"})


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_stream_that_nobody_asked_for_is_read(api: str) -> None:
    (generation,), engine = ask(Fixed(streamed(api)), settings=SETTINGS.model_copy(update={"api": api}))
    assert [(c.text, c.stop, c.num_tokens) for c in generation.completions] == [(STEP, END, 6)] * 2
    assert engine.counts.retries == 0


@pytest.mark.parametrize("wrapping", ["gzip", "mark", "spaces"])
def test_wrapped_answers_are_read(wrapping: str) -> None:
    plain = b'{"choices": [{"text": "\\nx = 1\\n", "stop_reason": "<end_of_step>", "finish_reason": "stop"}]}'
    answers = {
        "gzip": Answer(gzip.compress(plain), headers={"Content-Encoding": "gzip"}),
        "mark": Answer(b"\xef\xbb\xbf" + plain),
        "spaces": Answer(b"\n\n  " + plain + b"\n\n"),
    }
    (generation,), _ = ask(Fixed(answers[wrapping]), replace(PARAMS, n=1))
    assert generation.completions[0].text == "\nx = 1\n"


def test_prompts_that_the_server_cuts_are_noticed(caplog: pytest.LogCaptureFixture) -> None:
    class Ollama(Personality):
        """Keeps the last half of its context of 1,000 tokens of a prompt that does not fit, and says nothing."""

        async def __call__(self, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
            if "prompt" in body:
                tokens = len(body["prompt"]) // 4
                self.usage = {"prompt_tokens": tokens if tokens < 1000 else 600, "completion_tokens": 5}
            return await super().__call__(path, body, headers)

    async def run(lengths: list[int]) -> HttpEngine:
        async with serving(Ollama()) as endpoint:
            engine = HttpEngine(endpoint.url, SETTINGS)
            for length in lengths:
                await engine.generate(steps.prompt("a b " * length), PARAMS)
            await engine.aclose()
            return engine

    assert asyncio.run(run([600, 700, 650, 900])).counts.cut_prompts == 0
    assert asyncio.run(run([600, 700, 1300])).counts.cut_prompts == 1  # half as dense as those before
    assert asyncio.run(run([1010, 1100])).counts.cut_prompts == 1  # of different length, and the same number
    assert "OLLAMA_CONTEXT_LENGTH" in caplog.text


def test_a_model_that_keeps_to_no_format_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    server = Personality(
        dress=lambda text, met, body: {"text": "The sum is 7.", "finish_reason": "stop", "stop_reason": None}
    )
    _, engine = ask(server, replace(PARAMS, n=8))
    assert engine.counts.ended == 8
    assert "8 of 8 completions ended without a marker" in caplog.text
    long = Personality(dress=lambda text, met, body: {"text": "The sum", "finish_reason": "length"})
    _, engine = ask(long, replace(PARAMS, n=8))
    assert "8 of 8 completions ran into the limit" in caplog.text


def test_a_good_server_gets_no_notes(caplog: pytest.LogCaptureFixture) -> None:
    for settings in (SETTINGS, CHAT_SETTINGS):
        _, engine = ask(Personality(), settings=settings, times=3)
        assert engine.notes() == ()
    assert caplog.text == ""
