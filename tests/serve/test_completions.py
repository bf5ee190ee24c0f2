"""`/v1/completions`: prompts as text and as tokens, several at a time; log-likelihoods are refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import httpx
import pytest

from rstar_math.api.model import RStarMathModel
from rstar_math.engines.fake import FakeEngine
from rstar_math.errors import ConfigError
from tests.api.fake_model import fake_model
from tests.serve.serving import CHAT, Reply, ask, chunks, serving

PATH = "/v1/completions"


class Spelling(FakeEngine):
    """An engine whose tokens are the letters."""

    def encode(self, text: str) -> list[int]:
        """One token a letter."""
        return [ord(letter) for letter in text]

    def decode(self, token_ids: Sequence[int]) -> str:
        """The letters."""
        if any(token > 0x10FFFF for token in token_ids):
            raise ConfigError("that is no token of this model")
        return "".join(map(chr, token_ids))


@pytest.fixture(scope="module")
def model() -> Iterator[RStarMathModel]:
    with fake_model(Spelling()) as made:
        yield made


@pytest.fixture(scope="module")
def client(model: RStarMathModel) -> Iterator[httpx.Client]:
    with fake_model() as mute, serving({"fake": model, "mute": mute}) as (made, _):
        yield made


def completed(client: httpx.Client, prompt: object, **fields: object) -> Reply:
    reply = client.post(PATH, json={"model": "fake", "prompt": prompt, **fields})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_text_and_tokens_give_what_chat_gives(client: httpx.Client) -> None:
    message = client.post(CHAT, json=ask("Why?")).json()["choices"][0]["message"]["content"]
    tokens = [ord(letter) for letter in "Why?"]
    for prompt in ("Why?", ["Why?"], tokens, [tokens]):
        reply = completed(client, prompt)
        assert reply["object"] == "text_completion"
        assert [choice["text"] for choice in reply["choices"]] == [message]
        assert reply["usage"]["completion_tokens"] > 0


def test_several_prompts_several_times(client: httpx.Client, model: RStarMathModel) -> None:
    reply = completed(client, ["Why?", "How?"], n=2, seed=3)
    assert [choice["index"] for choice in reply["choices"]] == [0, 1, 2, 3]
    alone = [model.solve(question, seed=seed) for question in ("Why?", "How?") for seed in (3, 4)]
    assert [choice["rstar"]["answer"] for choice in reply["choices"]] == [solution.answer for solution in alone]
    assert reply["usage"]["completion_tokens"] == sum(solution.cost.tokens_generated for solution in alone)


def test_a_stream_says_the_same(client: httpx.Client) -> None:
    whole = completed(client, ["Why?", "How?"])
    body = {"model": "fake", "prompt": ["Why?", "How?"], "stream": True, "stream_options": {"include_usage": True}}
    with client.stream("POST", PATH, json=body) as reply:
        *pieces, usage = chunks(reply)
    for index in (0, 1):
        mine = [piece["choices"][0] for piece in pieces if piece["choices"][0]["index"] == index]
        assert "".join(choice["text"] for choice in mine) == whole["choices"][index]["text"]
        assert mine[-1]["finish_reason"] == "stop"
    assert usage["usage"] == whole["usage"]


def test_limits_of_the_message(client: httpx.Client) -> None:
    whole, short = completed(client, "Why?")["choices"][0], completed(client, "Why?", stop=["\n\n"])["choices"][0]
    assert "\n\n" not in short["text"]
    assert whole["text"].endswith(short["text"])
    assert any("left out" in note for note in short["rstar"]["notes"])
    tiny = completed(client, "Why?", max_tokens=3)["choices"][0]
    assert (tiny["text"], tiny["finish_reason"]) == (short["text"][:3], "length")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"echo": True, "logprobs": 1, "max_tokens": 1}, "Log-likelihoods of given texts"),
        ({"logprobs": 5}, "log-probabilities are not given"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [0x110000]}, "no token of this model"),
        ({"prompt": [0xD800]}, "no Unicode"),
        ({"prompt": ["Why?"] * 40, "n": 2}, "more than 64 answers"),
        ({"prompt": "Why?", "model": "mute", "suffix": "so"}, "suffix"),
        ({"prompt": [87], "model": "mute"}, "send the prompt as text"),
        ({"prompt": " "}, "the question is empty"),
        ({"best_of": 2}, "best_of must be 1"),
    ],
)
def test_what_cannot_be_honoured_is_refused(client: httpx.Client, fields: dict[str, object], said: str) -> None:
    reply = client.post(PATH, json={"model": "fake", "prompt": "Why?", **fields})
    assert reply.status_code == 400, reply.text
    assert said in reply.json()["error"]["message"]
