"""How fast searching is, in generated tokens per CPU-second, against `transformers.generate`; and what a search adds.

    python perf/search.py [--json FILE]

Real searches with the shipped pocket model are recorded: every request of every problem, in order. Then contenders
answer these requests one after the other, in one process with one thread. Where there are several turns the best
counts, because other programs on the machine only ever make a turn slower. CPU is that of this process and of all below
it (step programs run in processes of their own). Rows:

    pocket: ...           the recorded requests, 8 candidates each, with the pocket policy. `transformers.generate` has
                          all prompts beforehand, sorted by length, at several batch sizes (on a sample of them). The
                          engine gets each problem's requests one after the other, as the search asked them, with all
                          problems in flight; without and with reuse of prefixes, and in deterministic mode.
    random 8M: ...        the same prompts with a model of 8 million random parameters, which writes all 64 tokens.
    ...: greedy, ...      one greedy completion of each prompt; here the engine has all prompts beforehand too. `equal`
                          of `prompts` completions are the text that `transformers.generate` gives to the prompt alone.
    replay, whole search  the engine (and the PPM) on the recorded requests, and the whole search again: engine,
                          executor, grader and tree. `share`: the whole search's part of the replay's speed, the median
                          of nine turns.
    bookkeeping           a search whose policy, executor, grader and PPM answer from a table: CPU of tree, strategy and
                          event loop, per node.
    memory                resident memory after so many problems with the fake engine, trees stored as in a run.
    divergence            searches with the PPM, 64 and 5 problems at a time: how many trees are not the same, and how
                          many are the same but for the last digits of a number.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from measuring.beside_transformers import against_transformers, greedy_against_transformers, random_8m
from measuring.replayed_searches import BY_REFERENCE, NUM_CANDIDATES, POLICY, WITH_PPM, record
from measuring.turns import Row
from measuring.whole_searches import NUM_WHOLE_TURNS, divergence, whole_searches, with_share
from measuring.without_models import bookkeeping, memory
from transformers.utils import logging as transformers_logging

from rstar_math.pocket.splits import pocket_problems

PARTS = ("pocket", "8M", "whole", "bookkeeping", "memory", "divergence")


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=64, help="number of problems, all in flight at once")
    parser.add_argument(
        "--turns", type=int, default=2, help="turns of each contender (greedy: one; whole searches: nine at least)"
    )
    parser.add_argument("--memory-problems", type=int, default=2000, help="problems of the memory row; 0: none")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--json", type=Path, help="write {row: {column: number}} there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    wanted = options.only

    problems = pocket_problems("validation", options.problems)
    requests = record(problems, BY_REFERENCE)
    prompts = [ask.texts[0] for chain in requests for ask in chain]
    draw = random.Random(0)
    rows: dict[str, Row] = {}

    def show(more: dict[str, Row]) -> None:
        rows.update(more)
        for name, row in more.items():
            cells = "  ".join(f"{column} {value:,.{_digits(value)}f}" for column, value in row.items())
            print(f"{name:46} {cells}", flush=True)

    print(f"{len(problems)} problems, {len(prompts)} requests of {NUM_CANDIDATES} candidates")
    if "pocket" in wanted:
        sample = draw.sample(prompts, min(128, len(prompts)))
        show(against_transformers("pocket", POLICY, requests, sample, (16, 32, 64, 128, 256), options.turns))
        show(greedy_against_transformers("pocket", POLICY, prompts, (16, 32, 64, 128, 256), 64))
    if "8M" in wanted:
        with tempfile.TemporaryDirectory() as temporary:
            folder = random_8m(Path(temporary))
            some = [chain[:3] for chain in requests[:24]]
            sample = draw.sample([ask.texts[0] for chain in some for ask in chain], 32)
            show(against_transformers("random 8M", folder, some, sample, (16, 32, 64, 128, 256), options.turns))
            show(greedy_against_transformers("random 8M", folder, draw.sample(prompts, 64), (8, 16, 32, 64), 16))
    if "whole" in wanted:
        searched = {
            "by the reference": (BY_REFERENCE, requests),
            "with the PPM": (WITH_PPM, record(problems, WITH_PPM)),
        }
        for name, (settings, asked) in searched.items():
            show(with_share(whole_searches(problems, settings, asked, name), max(options.turns, NUM_WHOLE_TURNS)))
    if "bookkeeping" in wanted:
        show({"bookkeeping, by the reference": bookkeeping(BY_REFERENCE, 64)})
        show({"bookkeeping, with the PPM": bookkeeping(WITH_PPM, 64)})
    if "memory" in wanted and options.memory_problems:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            show({"memory": pool.submit(memory, options.memory_problems).result()})
    if "divergence" in wanted:
        some_problems = problems[:32]
        show({"divergence": divergence(some_problems, False)})
        show({"divergence, deterministic": divergence(some_problems, True)})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


def _digits(value: float) -> int:
    return 0 if value == int(value) or value >= 100 else 2


if __name__ == "__main__":
    main()
