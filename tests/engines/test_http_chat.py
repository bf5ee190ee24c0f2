"""Chat endpoints: going on from a prefix, and asking for the next step where that cannot be done."""

from __future__ import annotations

from typing import Any

import pytest

from rstar_math import steps
from rstar_math.engines.few_shot import Bootstrap
from rstar_math.errors import EngineError
from tests.engines.endpoint import Answer, Body
from tests.engines.few_answers import PROMPT, QUICK, always, ask, chat, in_turn

pytestmark = pytest.mark.usefixtures("short_pauses")


CHAT = QUICK.model_copy(update={"api": "chat"})
PREFIX = PROMPT + "\n# Step 1: one\nx = 1\n" + steps.END_OF_STEP


@pytest.mark.parametrize("message", [None, "hi", {"content": {"text": "hi"}}, {"content": 3}])
def test_a_chat_answer_without_text_is_tried_again(message: Any) -> None:
    odd = Answer({"choices": [{"message": message, "finish_reason": "stop"}]})
    (generation,), _, engine = ask(in_turn(odd, chat(" ok")), settings=CHAT)
    assert generation.completions[0].text == " ok"
    assert engine.counts.retries == 1


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
