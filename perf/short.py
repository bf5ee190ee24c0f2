"""The short form of the benchmarks, one after the other, and one table of ratios: what `make perf` runs.

    python perf/short.py [--json FILE]

Each ratio stands within one run of one benchmark, so other programs on the machine move it little. What the rows say in
full, and with more turns, is in the help of the benchmark that they name. A benchmark that fails is told, and makes the
command fail; the others go on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Short:
    """A benchmark, cut short.

    Attributes:
      arguments: its file and options.
      ratios: what is read from its `--json`: text and number.
    """

    arguments: tuple[str, ...]
    ratios: Callable[[Any], dict[str, float]]


def _cold_start(found: Any) -> dict[str, float]:
    torch = found["import torch"]["here"]["cpu_s_end"]
    names = {"rstar solve": "rstar solve", "Python API": "the Python API"}
    return {
        f"CPU to the first token of {said}, over import torch": found[name]["here"]["cpu_s_first_token"] / torch
        for name, said in names.items()
    }


def _execution(found: Any) -> dict[str, float]:
    row = found["trivial"]
    return {"CPU of a step in a warm process pool, over a step here": row["pool"] / row["this"]}


def _search(found: Any) -> dict[str, float]:
    speeds = {name: row["tokens_per_cpu_s"] for name, row in found.items() if "tokens_per_cpu_s" in row}
    sampled = {name: speed for name, speed in speeds.items() if "greedy" not in name}
    theirs = max(speed for name, speed in sampled.items() if "transformers" in name)
    ours = max(speed for name, speed in sampled.items() if "transformers" not in name and "deterministic" not in name)
    return {"tokens per CPU-second of the engine, over transformers.generate": ours / theirs}


def _scale(found: Any) -> dict[str, float]:
    small, large = found
    return {
        f"CPU of {what} per problem, {large['problems']:,.0f} problems over {small['problems']:,.0f}": large[what]
        / small[what]
        for what in ("search", "store", "select", "report")
    }


def _api(found: Any) -> dict[str, float]:
    together, threads = (found[f"{way}, here"]["per_cpu_s"] for way in ("asolve", "threads"))
    return {"questions per CPU-second awaited at once, over 32 threads": together / threads}


BENCHMARKS = (
    Short(("cold_start.py", "--turns", "1"), _cold_start),
    Short(("execution.py", "--rows", "trivial", "--turns", "1"), _execution),
    Short(("search.py", "--only", "pocket", "--problems", "12", "--turns", "1"), _search),
    Short(("scale.py", "--sizes", "500", "4000", "--searched", "500"), _scale),
    Short(("api.py", "--questions", "32", "--turns", "1"), _api),
)


def main() -> None:
    """Runs the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    table: dict[str, float] = {}
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for short in BENCHMARKS:
            name, out, began = short.arguments[0], Path(folder) / "numbers.json", time.perf_counter()
            command = [sys.executable, str(HERE / name), *short.arguments[1:], "--json", str(out)]
            done = subprocess.run(
                command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
            )
            if done.returncode:
                failed.append(name)
                print(f"{name} failed:\n{done.stderr[-2000:]}", file=sys.stderr)
                continue
            print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            table |= short.ratios(json.loads(out.read_text()))
    width = max(map(len, table), default=0)
    for what, ratio in table.items():
        print(f"{what:{width}}  {ratio:8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1))
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
