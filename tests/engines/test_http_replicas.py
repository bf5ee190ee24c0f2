"""Several servers of one model: questions stick to one, the least busy helps out, a killed one is left out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest

from rstar_math import steps
from rstar_math.config import EndpointSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine
from rstar_math.engines.http import replicas
from rstar_math.engines.http.engine import HttpEngine
from rstar_math.engines.http.replicas import Replicas
from rstar_math.engines.http.transport import Transport
from rstar_math.errors import EngineError
from rstar_math.types import SamplingParams
from tests.engines.endpoint import Answer, Body, Endpoint, by_engine, serving

pytestmark = pytest.mark.usefixtures("short_pauses")
PARAMS = SamplingParams(n=2, temperature=1.0, max_tokens=40, stop=(steps.END_OF_STEP,), seed=3)


async def answer(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
    return await by_engine(FakeEngine(), body)


def engine(*servers: Endpoint, max_retry_s: float = 5.0) -> HttpEngine:
    first, *others = (server.url for server in servers)
    settings = EndpointSettings(model="m", replicas=tuple(others), max_retry_s=max_retry_s)
    return HttpEngine(first, settings)


def questions(server: Endpoint) -> Counter[str]:
    return Counter(body["prompt"].partition("?")[0] for _, body, _ in server.received)


async def ask_all(asked: HttpEngine, num: int, depth: int = 1) -> list[Generation]:
    async def one(i: int) -> list[Generation]:
        prompt, found = steps.prompt(f"Question {i}?"), []
        for _ in range(depth):
            found.append(await asked.generate(prompt, PARAMS))
            prompt += found[-1].completions[0].text + steps.END_OF_STEP
        return found

    return [g for each in await asyncio.gather(*map(one, range(num))) for g in each]


def test_all_requests_about_a_question_go_to_one_server_and_both_have_some() -> None:
    async def run() -> None:
        async with serving(answer) as a, serving(answer) as b:
            asked = engine(a, b)
            found = await ask_all(asked, 12, depth=3)
            await asked.aclose()
            assert len(found) == 36
            assert set(questions(a)) & set(questions(b)) == set()
            assert len(questions(a)) > 1
            assert len(questions(b)) > 1
            assert set((questions(a) + questions(b)).values()) == {3}

    asyncio.run(run())


def test_a_server_that_is_killed_is_left_out_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "FIRST_REST_S", 0.2)

    async def run() -> None:
        async with serving(answer) as a:
            b = Endpoint(answer)
            await b.start()
            asked = engine(a, b)
            before = await ask_all(asked, 8)
            num_of_b = len(b.received)
            assert num_of_b > 0
            await b.stop()
            assert await ask_all(asked, 8) == before  # the same answers, all from the other one
            assert len(a.received) == 8 + (8 - num_of_b)
            again = Endpoint(answer, b.port)
            await again.start()
            await asyncio.sleep(0.5)
            assert await ask_all(asked, 8) == before
            assert len(again.received) == num_of_b  # its questions come back to it
            await again.stop()
            await asked.aclose()

    asyncio.run(run())


def test_where_all_are_lost_the_error_names_them() -> None:
    async def run() -> None:
        async with serving(answer) as a, serving(answer) as b:
            gone = a.url, b.url
        asked = HttpEngine(gone[0], EndpointSettings(model="m", replicas=(gone[1],), max_retry_s=0.1))
        with pytest.raises(EngineError, match=r"\(and 1 more\).*failed again and again"):
            await asked.generate(steps.prompt("Q?"), PARAMS)
        await asked.aclose()

    asyncio.run(run())


def test_the_least_busy_one_helps_where_the_preferred_one_is_far_behind() -> None:
    async def run() -> None:
        held = asyncio.Event()

        async def slow(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
            await held.wait()
            return await answer(path, body, headers)

        async with serving(slow) as a, serving(slow) as b:
            line = Replicas([Transport(a.url, None, 30.0), Transport(b.url, None, 30.0)])
            body = {"prompt": "p", "n": 1, "temperature": 1.0, "max_tokens": 9, "stop": [], "seed": 1}
            sent = [asyncio.create_task(line.send("POST", "/completions", body, "one question")) for _ in range(12)]
            while len(a.received) + len(b.received) < 12:
                await asyncio.sleep(0.01)
            held.set()
            await asyncio.gather(*sent)
            assert sorted((len(a.received), len(b.received))) == [4, 8]
            await line.aclose()

    asyncio.run(run())
