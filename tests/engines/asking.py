"""One engine, one server of `personalities`, a few requests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from rstar_math import steps
from rstar_math.config import EndpointSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.few_shot import Bootstrap
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.types import SamplingParams
from tests.engines.endpoint import Answer, Body, Handler, serving
from tests.engines.personalities import MODELS

PROMPT = steps.prompt("What is 3 + 4?")
STEP = "\n# Step 1: add them\nx = 3 + 4\n"
PARAMS = SamplingParams(n=2, temperature=0.8, top_p=0.9, max_tokens=512, stop=steps.STOPS, seed=7)
SETTINGS = EndpointSettings(model="m", max_retry_s=20, timeout_s=20)
CHAT_SETTINGS = SETTINGS.model_copy(update={"api": "chat"})


def ask(
    server: Handler,
    params: SamplingParams = PARAMS,
    settings: EndpointSettings = SETTINGS,
    times: int = 1,
    prompt: str = PROMPT,
    below: str = "",
    bootstrap: Bootstrap | None = None,
    key: str | None = None,
) -> tuple[list[Generation], HttpEngine]:
    async def run() -> tuple[list[Generation], HttpEngine]:
        async with serving(server) as endpoint:
            url = endpoint.url if not below else endpoint.url.removesuffix("/v1")
            engine = HttpEngine(url, settings, bootstrap, api_key=key)
            try:
                return [await engine.generate(prompt, params) for _ in range(times)], engine
            finally:
                await engine.aclose()

    return asyncio.run(run())


class Fixed:
    """Always the same answer, to everything but the list of models. `count`: how often it was given."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.count = 0

    async def __call__(self, asked: str, body: Body, headers: Mapping[str, str]) -> Answer:
        self.count += asked != MODELS
        return Answer({"data": [{"id": "m"}]}) if asked == MODELS else self.answer
