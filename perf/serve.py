"""The server beside the searches alone: many questions at once, seconds by effort, memory over many requests.

    python perf/serve.py [--problems 64] [--requests 0] [--json FILE]

`rstar serve` runs as a process on the loopback address with the shipped pocket model, in deterministic mode. Rows:

    alone, N at once     the same questions by `RStarMathModel.asolve` in this process, without a server
    served, N at once    the same over HTTP, N connections; CPU of the server's process and of all below it
    effort E             one question after the other: p50 and p95 of seconds and tokens, accuracy
    memory               resident MiB of the server's process before and after `--requests` requests

`of_alone` is tokens per CPU-second as a share of the first row's. `same` counts the answers that are those of the first
row to the letter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import httpx
from measuring.cpu import cpu_seconds

from rstar_math import Problem, RStarMathModel
from rstar_math.config import RuntimeSettings
from rstar_math.pocket.splits import pocket_problems

EFFORTS = ("low", "medium", "high")


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--problems", type=int, default=64)
    options.add_argument("--requests", type=int, default=0)
    options.add_argument("--json", type=Path)
    asked = options.parse_args()
    problems = pocket_problems("validation", asked.problems, 0)
    alone = asyncio.run(_alone(problems))
    rows: list[dict[str, Any]] = [alone["row"]]
    with _server() as (url, process):
        rows.append(asyncio.run(_at_once(url, process.pid, problems, alone)))
        rows += [_by_effort(url, problems, effort) for effort in EFFORTS]
        if asked.requests:
            rows.append(asyncio.run(_memory(url, process.pid, problems, asked.requests)))
    for row in rows:
        print(
            "  ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows, indent=1))


@contextmanager
def _server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [str(Path(sys.executable).with_name("rstar")), "serve", "--port", "0", "--deterministic"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"at (http://\S+)/v1", process.stdout.readline())
        assert found is not None
        yield found[1], process
    finally:
        process.terminate()
        process.wait(60)


async def _alone(problems: Sequence[Problem]) -> dict[str, Any]:
    async with await RStarMathModel.aopen("pocket", RuntimeSettings(deterministic=True)) as model:
        await asyncio.gather(*(model.asolve(p.question) for p in problems))  # warm
        cpu, wall = cpu_seconds(), time.monotonic()
        solutions = await asyncio.gather(*(model.asolve(p.question) for p in problems))
        cpu, wall = cpu_seconds() - cpu, time.monotonic() - wall
    tokens = sum(s.cost.tokens_generated for s in solutions)
    row = {"row": f"alone, {len(problems)} at once", "tokens_per_cpu_s": tokens / cpu, "cpu_s": cpu, "wall_s": wall}
    return {"row": row, "answers": [s.answer for s in solutions]}


async def _ask(client: httpx.AsyncClient, question: str, **fields: object) -> dict[str, Any]:
    body = {"model": "pocket", "messages": [{"role": "user", "content": question}], **fields}
    reply = await client.post("/v1/chat/completions", json=body)
    reply.raise_for_status()
    found: dict[str, Any] = reply.json()
    return found


async def _at_once(url: str, pid: int, problems: Sequence[Problem], alone: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=None)) as client:
        await asyncio.gather(*(_ask(client, p.question) for p in problems))  # warm
        cpu, wall = cpu_seconds(pid), time.monotonic()
        replies = await asyncio.gather(*(_ask(client, p.question) for p in problems))
        cpu, wall = cpu_seconds(pid) - cpu, time.monotonic() - wall
    tokens = sum(reply["usage"]["completion_tokens"] for reply in replies)
    answers = [reply["choices"][0]["rstar"]["answer"] for reply in replies]
    return {
        "row": f"served, {len(problems)} at once",
        "tokens_per_cpu_s": tokens / cpu,
        "cpu_s": cpu,
        "wall_s": wall,
        "of_alone": tokens / cpu / alone["row"]["tokens_per_cpu_s"],
        "same": sum(a == b for a, b in zip(answers, alone["answers"], strict=True)),
    }


def _by_effort(url: str, problems: Sequence[Problem], effort: str) -> dict[str, Any]:
    async def ask_all() -> tuple[list[float], list[dict[str, Any]]]:
        seconds, replies = [], []
        async with httpx.AsyncClient(base_url=url, timeout=600) as client:
            for problem in problems:
                began = time.monotonic()
                replies.append(await _ask(client, problem.question, reasoning_effort=effort))
                seconds.append(time.monotonic() - began)
        return seconds, replies

    seconds, replies = asyncio.run(ask_all())
    tokens = [reply["usage"]["completion_tokens"] for reply in replies]
    right = [r["choices"][0]["rstar"]["answer"] == p.answer for r, p in zip(replies, problems, strict=True)]
    return {
        "row": f"effort {effort}",
        "accuracy": sum(right) / len(right),
        "s_p50": statistics.median(seconds),
        "s_p95": statistics.quantiles(seconds, n=20)[-1],
        "tokens_p50": statistics.median(tokens),
        "tokens_p95": statistics.quantiles(tokens, n=20)[-1],
    }


async def _memory(url: str, pid: int, problems: Sequence[Problem], num_requests: int) -> dict[str, Any]:
    before = _resident_mb(pid)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=16)) as client:
        for k in range(0, num_requests, 64):
            batch = [problems[i % len(problems)] for i in range(k, min(k + 64, num_requests))]
            await asyncio.gather(*(_ask(client, p.question, model="pocket:greedy", seed=k) for p in batch))
    return {"row": f"memory, {num_requests} requests", "mib_before": before, "mib_after": _resident_mb(pid)}


def _resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
