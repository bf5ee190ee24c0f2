"""The command itself, as a process of its own on the loopback address, asked by the `openai` package."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import openai
import pytest

from rstar_math import RStarMathModel
from rstar_math.api.asking import question_id
from rstar_math.config import BudgetSettings, ProblemSource, RuntimeSettings
from rstar_math.models import default_answering, find_model
from rstar_math.problems.load import load_problems
from rstar_math.workers.bench import open_workbench
from rstar_math.workers.jobs import Answered, AnswerJob, Task, work
from tests import warm

RSTAR = Path(sys.executable).with_name("rstar")
QUESTION = "Dan fills 23 trays with 17 buttons each, and 37 buttons get broken. How many are whole?"


@contextmanager
def served(*options: str) -> Iterator[tuple[str, warm.Running]]:
    """`rstar serve` on a free port: its URL, and its process."""
    process = warm.start("serve", "--port", "0", *options)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"at (http://\S+)/v1", line)
        assert found, line + process.communicate()[1]
        yield found[1], process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served("--deterministic") as (found, _):
        yield found


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as made:
        yield made


def test_the_answer_is_the_one_of_this_machine_to_the_letter(client: openai.OpenAI) -> None:
    with RStarMathModel.from_pretrained("pocket", RuntimeSettings(deterministic=True)) as model:
        alone = model.solve(QUESTION)
    reply = client.chat.completions.create(model="pocket", messages=[{"role": "user", "content": QUESTION}])
    content = reply.choices[0].message.content
    assert content is not None
    assert alone.answer == "354"
    assert content.endswith("\\boxed{354}.")
    codes = [step.code.strip() for step in alone.reasoning_trace if step.execution]
    assert re.findall(r"```python\n(.*?)\n```", content, re.DOTALL) == codes
    assert reply.usage is not None
    assert reply.usage.completion_tokens == alone.cost.tokens_generated
    assert reply.usage.completion_tokens_details is not None
    assert reply.usage.completion_tokens_details.reasoning_tokens
    assert [model.id for model in client.models.list()][:2] == ["pocket", "pocket:greedy"]


def test_right_and_wrong_are_those_of_an_evaluation_at_the_same_budget(client: openai.OpenAI) -> None:
    chosen = load_problems(ProblemSource(source="pocket/test", num_problems=12)).problems
    problems = [replace(problem, id=question_id(problem.question)) for problem in chosen]
    folders = find_model("pocket")
    settings = default_answering(folders).model_copy(update={"budget": BudgetSettings(tokens=300)})
    job = AnswerJob(folders.policy, folders.reward_model, settings)

    async def evaluated() -> list[Answered]:
        runtime = RuntimeSettings(deterministic=True)
        async with open_workbench(folders.policy, folders.reward_model, runtime) as bench:
            found = [await work(job, Task(problem, 0), bench) for problem in problems]
        return [one for one in found if isinstance(one, Answered)]

    rows = asyncio.run(evaluated())
    reply = client.completions.create(
        model="pocket", prompt=[problem.question for problem in problems], extra_body={"rstar": {"tokens": 300}}
    )
    assert len(rows) == len(reply.choices) == len(problems)
    for row, choice in zip(rows, reply.choices, strict=True):
        assert choice.model_extra is not None
        said = choice.model_extra["rstar"]
        assert said["answer"] == row.solution.answer
        assert said["confidence"] == row.solution.confidence
        assert said["cost"]["tokens_generated"] == row.solution.cost.tokens_generated
        codes = [step.code.strip() for step in row.solution.reasoning_trace if step.execution]
        assert re.findall(r"```python\n(.*?)\n```", choice.text, re.DOTALL) == codes
    assert {row.correct for row in rows} == {True, False}


def test_a_stream_is_read_by_the_package(client: openai.OpenAI) -> None:
    pieces = list(
        client.chat.completions.create(
            model="pocket",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    content = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert content.endswith("\\boxed{354}.")
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.completion_tokens > 100


def test_errors_are_those_that_the_package_knows(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt'"):
        client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": QUESTION}])
    with pytest.raises(openai.BadRequestError, match="log-probabilities"):
        client.chat.completions.create(model="pocket", messages=[{"role": "user", "content": QUESTION}], logprobs=True)
    impatient = client.with_options(timeout=0.05, max_retries=1)
    with pytest.raises(openai.APITimeoutError):
        impatient.chat.completions.create(
            model="pocket",
            messages=[{"role": "user", "content": QUESTION}],
            extra_body={"rstar": {"tokens": 1_000_000}},
        )


def test_tokens_are_counted_to_the_last_one_also_where_an_early_end_gave_them_up(url: str) -> None:
    """Disconnects and "answer now": what the engine drew is what `usage` and `/metrics` say."""

    def counted() -> tuple[float, float]:
        text = httpx.get(f"{url}/metrics").text
        names = ("rstar_engine_batch_rows_sum", "rstar_tokens_generated_total")
        drawn, generated = (float(re.findall(rf'^{name}{{model="pocket"}} (\S+)$', text, re.M)[0]) for name in names)
        return drawn, generated

    chat = f"{url}/v1/chat/completions"
    endless = {"model": "pocket", "messages": [{"role": "user", "content": QUESTION}], "rstar": {"tokens": 1_000_000}}
    httpx.post(chat, json=endless | {"rstar": {"tokens": 50}}, timeout=1500)
    before, began = counted(), time.monotonic()
    for wait_s in (0.1, 0.3):  # gone in the middle
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(chat, json=endless, timeout=wait_s)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(httpx.post, chat, json=endless, headers={"X-Client-Request-Id": "mine"}, timeout=1500)
        time.sleep(0.5)
        assert httpx.post(f"{chat}/control", json={"id": "mine"}).status_code == 200
        usage = answer.result().json()["usage"]
    while "rstar_searches_running 0.0" not in httpx.get(f"{url}/metrics").text:
        assert time.monotonic() - began < 60
        time.sleep(0.05)
    drawn, generated = (after - first for after, first in zip(counted(), before, strict=True))
    most_probes = (time.monotonic() - began) // 30 + 1  # each draws a token of its own
    assert 0 <= drawn - generated <= most_probes
    assert 0 < usage["completion_tokens"] < generated


def test_a_full_server_is_asked_again_and_a_signal_lets_a_running_answer_end() -> None:
    options = ("--model", "pocket-base", "--max-concurrent", "1", "--max-queued", "0", "--shutdown-seconds", "2")
    with served(*options) as (url, process):
        body = {
            "model": "pocket-base",
            "messages": [{"role": "user", "content": QUESTION}],
            "rstar": {"tokens": 1_000_000},
            "stream": True,
        }
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=3) as patient:
            with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=1500) as held:
                lines = held.iter_lines()
                next(lines)
                threading.Timer(0.5, held.close).start()
                one = patient.chat.completions.with_raw_response.create(
                    model="pocket-base",
                    messages=[{"role": "user", "content": QUESTION}],
                    extra_body={"rstar": {"tokens": 50}},
                )
        assert one.retries_taken >= 1
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=1500) as reply:
            lines = reply.iter_lines()
            next(lines)
            process.send_signal(signal.SIGTERM)
            rest = list(lines)
        assert '"finish_reason": "stop"' in rest[-4]
        assert "ended early" in rest[-4]
        assert rest[-2] == "data: [DONE]"
        assert process.wait(1500) == 0
        assert process.stderr is not None
        assert process.stderr.read() == "rstar serve: ending: running answers have 2 s\n"


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# of this test\na-key-of-some-length-1\na-key-of-some-length-2\n")
    keys.chmod(0o600)
    with served("--model", "pocket-base", "--api-key-file", str(keys)) as (url, process):
        question = [{"role": "user", "content": QUESTION}]
        for key in ("a-key-of-some-length-1", "a-key-of-some-length-2"):
            reply = openai.OpenAI(base_url=f"{url}/v1", api_key=key).models.list()
            assert list(reply)
        for key in ("a-key-of-some-length-3", "a-key-of-some-length", "schlüssel"):
            headers = {b"Authorization": f"Bearer {key}".encode()}
            refused = httpx.post(
                f"{url}/v1/chat/completions", json={"model": "pocket-base", "messages": question}, headers=headers
            )
            assert refused.status_code == 401
        assert httpx.get(f"{url}/v1/models").status_code == 401
        assert httpx.get(f"{url}/metrics").status_code == 401
        assert httpx.get(f"{url}/health").status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(1500) == 0
