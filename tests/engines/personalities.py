"""Servers of many kinds on loopback: what each refuses, how it words it, and where it puts what the model wrote."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rstar_math import steps
from tests.engines.endpoint import Answer, Body

COMPLETIONS, CHAT, MODELS = "/v1/completions", "/v1/chat/completions", "/v1/models"
SOLUTION = (
    "\n# Step 1: add them\nx = 3 + 4\n<end_of_step>\n\n# Now print the final answer\nprint(x)\n<end_of_code>"
    "\n<answer>The sum is \\boxed{7}.<end_of_answer>"
)
"""What the model behind these servers writes: all pieces of it follow one another."""


def next_text(shown: str) -> str:
    """What the model goes on with after a prompt: the solution from where the prompt ends."""
    shown = shown.split("Write the next step only")[0]
    if "<end_of_output>" in shown.rpartition("Question")[2] or shown.rstrip().endswith("<end_of_output>"):
        return SOLUTION.partition("<end_of_code>")[2]
    done = shown.rstrip().endswith("<end_of_step>")
    return SOLUTION.partition("<end_of_step>")[2] if done else SOLUTION


def cut(text: str, stop: list[str] | None) -> tuple[str, str | None]:
    """The text up to the first stop string, and that string."""
    ends = [(text.find(s), s) for s in stop or () if s in text]
    at, met = min(ends, default=(len(text), None))
    return text[:at], met


@dataclass
class Personality:
    """A server.

    Attributes:
      paths: that it has; others are 404 with `missing`.
      refuse: the error that it answers to a request; None where it answers.
      dress: makes a choice of a text, the stop string that was met, and the request.
      usage: what it counts.
      serves: models.
      requests: what it was asked, refused requests included.
    """

    paths: tuple[str, ...] = (COMPLETIONS, CHAT, MODELS)
    refuse: Callable[[Body], Answer | None] = lambda body: None
    dress: Callable[[str, str | None, Body], Mapping[str, Any]] | None = None
    usage: Any = field(default_factory=lambda: {"prompt_tokens": 30, "completion_tokens": 12})
    serves: tuple[str, ...] = ("m",)
    missing: Answer = field(default_factory=lambda: Answer({"detail": "Not Found"}, 404))
    requests: list[tuple[str, Body]] = field(default_factory=list)
    refused: int = 0

    async def __call__(self, path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        if path not in self.paths:
            self.refused += path != MODELS
            return self.missing
        if path.endswith("/models"):
            return Answer({"object": "list", "data": [{"id": name} for name in self.serves]})
        self.requests.append((path, body))
        error = self.refuse(body)
        if error is not None:
            self.refused += 1
            return error
        shown = body["prompt"] if "prompt" in body else body["messages"][-1]["content"]
        text, met = cut(next_text(shown), body.get("stop"))
        make = self.dress or (chat_choice if path.endswith("/chat/completions") else text_choice)
        choices = [{"index": i, **make(text, met, body)} for i in range(body.get("n", 1))]
        return Answer({"object": "completion", "choices": choices, "usage": self.usage})


def text_choice(text: str, met: str | None, body: Body) -> Mapping[str, Any]:
    return {"text": text, "finish_reason": "stop", "stop_reason": met}


def chat_choice(text: str, met: str | None, body: Body) -> Mapping[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"message": message, "finish_reason": "stop", "stop_reason": met}


def error(message: str, status: int = 400, **more: Any) -> Answer:
    """An error in OpenAI's shape."""
    return Answer({"error": {"message": message, **more}}, status)


def refusing(field_name: str, answer: Answer, when: Callable[[Any], bool] = lambda value: True) -> Any:
    """Refuses requests that have a field with such a value."""

    def refuse(body: Body) -> Answer | None:
        return answer if field_name in body and when(body[field_name]) else None

    return refuse


def stream(pieces: list[Mapping[str, Any]], done: bool = True, comment: bool = True) -> bytes:
    """Server-sent events."""
    lines = [": keep-alive\n"] if comment else []
    lines += [f"data: {json.dumps(piece)}\n" for piece in pieces]
    return "\n".join([*lines, "data: [DONE]\n"] if done else lines).encode()


END = steps.END_OF_STEP
