"""`rstar serve` beside `rstar eval`: many questions at once, first events, seconds by effort, memory.

    python perf/serve.py [--problems 64] [--only speed,first,efforts,memory] [--requests 0] [--write FILE] [--json FILE]

`rstar serve` runs as a process on the loopback address with the shipped pocket model, in deterministic mode; problems
are those of `pocket/validation`. Rows:

    eval              `rstar eval` of the same problems with the model's own settings, one process, 64 at once; CPU of
                      the command and of all below it, without what it takes to start (measured on one problem)
    served, N at once the same questions over HTTP, N connections, nothing remembered from before; CPU of the server's
                      process and of all below it. `of_eval`: tokens per CPU-second as a share of eval's; `same`:
                      answers that are eval's to the letter
    alone             each of these questions by itself: `same` as together
    first event       milliseconds from the request to the first event of a stream, one after the other, without and
                      beside other searches; slots are free
    early end         seconds from "answer now" to the whole reply, and from a disconnect to the end of its search
    effort E          one question after the other: accuracy, CPU seconds, p50 and p95 of seconds and tokens
    memory            resident MiB of the server's process along `--requests` greedy requests

`--write docs/results.md` puts the table of efforts there.
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
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import httpx
from measuring.cpu import cpu_of, cpu_seconds
from measuring.sections import write_section

from rstar_math.api.asking import question_id
from rstar_math.metrics import wilson
from rstar_math.pocket.splits import pocket_problems
from rstar_math.types import Problem

EFFORTS = ("low", "medium", "high")
RSTAR = str(Path(sys.executable).with_name("rstar"))
Row = dict[str, Any]


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--problems", type=int, default=64)
    options.add_argument("--only", default="speed,first,efforts,memory")
    options.add_argument("--requests", type=int, default=0)
    options.add_argument("--write", type=Path, help="Markdown file into which the table of efforts is put.")
    options.add_argument("--json", type=Path)
    asked = options.parse_args()
    only = asked.only.split(",")
    problems = pocket_problems("validation", asked.problems, 0)
    rows: list[Row] = []

    def note(*more: Row) -> None:
        for row in more:
            rows.append(row)
            shown = [
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            ]
            print("  ".join(shown), flush=True)

    if "speed" in only:
        measured, answers = _eval(problems)
        with _server() as (url, process):
            note(measured, *asyncio.run(_at_once(url, process.pid, problems, measured, answers)))
    if set(only) - {"speed"}:
        with _server() as (url, process):
            if "first" in only:
                note(*asyncio.run(_first_events(url, problems)))
                note(asyncio.run(_early_ends(url, problems)))
            efforts = (
                [_by_effort(url, process.pid, problems, effort) for effort in EFFORTS] if "efforts" in only else []
            )
            note(*efforts)
            if asked.write is not None and efforts:
                write_section(asked.write, "perf/serve.py", _table(efforts, asked.problems))
            if asked.requests and "memory" in only:
                note(asyncio.run(_memory(url, process.pid, problems, asked.requests)))
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows, indent=1))


@contextmanager
def _server() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    command = [RSTAR, "serve", "--port", "0", "--deterministic"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"at (http://\S+)/v1", process.stdout.readline())
        assert found is not None
        yield found[1], process
    finally:
        process.terminate()
        process.wait(60)


def _eval(problems: Sequence[Problem]) -> tuple[Row, list[str | None]]:
    """The row of `rstar eval`, and its answers in the order of the problems."""
    with tempfile.TemporaryDirectory() as folder:
        costs = [_evaluated(Path(folder), part) for part in (problems[:1], problems)]
    (start, few, _), (cpu, tokens, answers) = costs
    tokens_per_s = (tokens - few) / (cpu - start)
    row = {"row": "eval", "tokens_per_cpu_s": tokens_per_s, "cpu_s": cpu, "cpu_s_of_one": start, "tokens": tokens}
    return row, answers


def _evaluated(folder: Path, problems: Sequence[Problem]) -> tuple[float, int, list[str | None]]:
    """CPU seconds of the whole command, tokens, answers."""
    file, out = folder / f"{len(problems)}.jsonl", folder / f"out-{len(problems)}"
    lines = [{"id": question_id(p.question), "problem": p.question, "answer": p.answer} for p in problems]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [RSTAR, "eval", "--out", str(out), "--benchmark", str(file), "--strategy", "mcts", "--deterministic"]
    cpu = cpu_of([*command, "--workers", "1"])
    (rows,) = (out / "rows").glob("*.jsonl")
    found = {row["problem"]: row for row in map(json.loads, rows.read_text().splitlines())}
    in_order = [found[line["id"]] for line in lines]
    return cpu, sum(row["tokens_generated"] for row in in_order), [row["answer"] for row in in_order]


async def _ask(client: httpx.AsyncClient, question: str, **fields: object) -> dict[str, Any]:
    body = {"model": "pocket", "messages": [{"role": "user", "content": question}], **fields}
    reply = await client.post("/v1/chat/completions", json=body)
    reply.raise_for_status()
    found: dict[str, Any] = reply.json()
    return found


async def _at_once(
    url: str, pid: int, problems: Sequence[Problem], measured: Row, known: Sequence[str | None]
) -> list[Row]:
    own = {"strategy": "mcts"}
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=None)) as client:
        cpu, wall = cpu_seconds(pid), time.monotonic()
        replies = await asyncio.gather(*(_ask(client, p.question, rstar=own) for p in problems))
        cpu, wall = cpu_seconds(pid) - cpu, time.monotonic() - wall
        alone = [await _ask(client, problem.question, rstar=own) for problem in problems]
    tokens = sum(reply["usage"]["completion_tokens"] for reply in replies)
    same = sum(reply["choices"][0]["rstar"]["answer"] == answer for reply, answer in zip(replies, known, strict=True))
    content = [[reply["choices"][0]["message"]["content"] for reply in several] for several in (replies, alone)]
    return [
        {
            "row": f"served, {len(problems)} at once",
            "tokens_per_cpu_s": tokens / cpu,
            "cpu_s": cpu,
            "wall_s": wall,
            "of_eval": tokens / cpu / measured["tokens_per_cpu_s"],
            "same": same,
        },
        {"row": "alone", "same": sum(a == b for a, b in zip(*content, strict=True)), "of": len(problems)},
    ]


async def _first_events(url: str, problems: Sequence[Problem]) -> list[Row]:
    rows = []
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=None)) as client:
        for num_beside in (0, 4, 16):
            endless = {"tokens": 100_000_000}
            beside = [asyncio.create_task(_ask(client, p.question, rstar=endless)) for p in problems[:num_beside]]
            await asyncio.sleep(1.0 if beside else 0.0)
            waits = [await _first_event(client, problem.question) for problem in problems[:40]]
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            p50, most = 1000 * statistics.median(waits), 1000 * max(waits)
            rows.append({"row": f"first event, {num_beside} beside", "ms_p50": p50, "ms_max": most, "of": len(waits)})
    return rows


async def _first_event(client: httpx.AsyncClient, question: str) -> float:
    """Seconds from the request to its first event; the rest is not waited for."""
    body = {"model": "pocket", "messages": [{"role": "user", "content": question}], "stream": True}
    began = time.monotonic()
    async with client.stream("POST", "/v1/chat/completions", json=body) as reply:
        async for line in reply.aiter_lines():
            if line.startswith("data: "):
                return time.monotonic() - began
    raise AssertionError("a stream ended without an event")


async def _early_ends(url: str, problems: Sequence[Problem]) -> Row:
    """Twenty of each; the time of the reply, or the request, that tells of it is part of the figure."""
    chat, now, gone = "/v1/chat/completions", list[float](), list[float]()
    endless = {"tokens": 100_000_000}
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        for number, problem in enumerate(problems[:20]):
            body = {"model": "pocket", "messages": [{"role": "user", "content": problem.question}], "rstar": endless}
            name = {"X-Client-Request-Id": f"early-{number}"}
            waiting = asyncio.create_task(client.post(chat, json=body, headers=name))
            await asyncio.sleep(0.5)
            began = time.monotonic()
            (await client.post(f"{chat}/control", json={"id": f"early-{number}"})).raise_for_status()
            (await waiting).raise_for_status()
            now.append(time.monotonic() - began)
            waiting = asyncio.create_task(client.post(chat, json=body))
            await asyncio.sleep(0.5)
            began = time.monotonic()
            waiting.cancel()
            while "rstar_searches_running 0.0" not in (await client.get("/metrics")).text:
                await asyncio.sleep(0.005)
            gone.append(time.monotonic() - began)
    return {
        "row": "early end",
        "now_s_p50": statistics.median(now),
        "now_s_max": max(now),
        "gone_s_p50": statistics.median(gone),
        "gone_s_max": max(gone),
    }


def _by_effort(url: str, pid: int, problems: Sequence[Problem], effort: str) -> Row:
    async def ask_all() -> tuple[list[float], list[dict[str, Any]]]:
        seconds, replies = [], []
        async with httpx.AsyncClient(base_url=url, timeout=600) as client:
            for problem in problems:
                began = time.monotonic()
                replies.append(await _ask(client, problem.question, reasoning_effort=effort))
                seconds.append(time.monotonic() - began)
        return seconds, replies

    cpu = cpu_seconds(pid)
    seconds, replies = asyncio.run(ask_all())
    cpu = cpu_seconds(pid) - cpu
    tokens = [reply["usage"]["completion_tokens"] for reply in replies]
    right = [r["choices"][0]["rstar"]["answer"] == p.answer for r, p in zip(replies, problems, strict=True)]
    return {
        "row": f"effort {effort}",
        "right": sum(right),
        "accuracy": sum(right) / len(right),
        "cpu_s_mean": cpu / len(problems),
        "s_p50": statistics.median(seconds),
        "s_p95": statistics.quantiles(seconds, n=20)[-1],
        "tokens_p50": statistics.median(tokens),
        "tokens_p95": statistics.quantiles(tokens, n=20)[-1],
    }


def _table(efforts: Sequence[Row], num_problems: int) -> str:
    lines = [
        "## Serving: what an effort costs",
        "",
        f"`python perf/serve.py --problems {num_problems} --only efforts --write docs/results.md`: the model `pocket`",
        f"as it is shipped, {num_problems} problems of `pocket/validation`, one question after the other, over HTTP in",
        "deterministic mode. Tokens are all that were generated for an answer, brackets are 95 % intervals over",
        f"problems, seconds those of a machine with {os.cpu_count()} cores under a load of {os.getloadavg()[0]:.0f}.",
        "",
        "| `reasoning_effort` | right, % | CPU seconds, mean | seconds p50 | seconds p95 | tokens p50 | tokens p95 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in efforts:
        interval = wilson(row["right"], num_problems)
        accuracy = f"{100 * row['accuracy']:.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
        seconds = f"{row['cpu_s_mean']:.2f} | {row['s_p50']:.2f} | {row['s_p95']:.2f}"
        tokens = f"{row['tokens_p50']:,.0f} | {row['tokens_p95']:,.0f}"
        lines.append(f"| `{row['row'].removeprefix('effort ')}` | {accuracy} | {seconds} | {tokens} |")
    return "\n".join([*lines, ""])


async def _memory(url: str, pid: int, problems: Sequence[Problem], num_requests: int) -> Row:
    found, every = {}, max(1, num_requests // 5)
    async with httpx.AsyncClient(base_url=url, timeout=600, limits=httpx.Limits(max_connections=16)) as client:
        done = 0
        while done < num_requests:
            batch = [problems[(done + i) % len(problems)] for i in range(min(50, num_requests - done))]
            await asyncio.gather(*(_ask(client, p.question, model="pocket:greedy", seed=done) for p in batch))
            done += len(batch)
            if done % every == 0 or done == len(batch):
                found[f"mib_{done}"] = _resident_mb(pid)
    return {"row": f"memory, {num_requests} requests", **found}


def _resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    main()
