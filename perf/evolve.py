"""Self-evolution, cut small: wall and CPU seconds of its stages, and how busy the cores are.

    python perf/evolve.py [--turns 1] [--problems 60] [--against FOLDER] [--json FILE]

One round of recipes/pocket.yaml whose PPM is trained for all of `--epochs` epochs, in a new folder each time. Columns:
seconds of each stage by the run's own log, `s` and `cpu_s` of the whole command with the processes that it waited for,
and `busy`, the share of the machine's cores that this was. With `--against`, another checkout takes turns with this
one, under the same interpreter; `ratio` is this one's wall seconds over the other's. The best turn counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from rstar_math.config.reading import load_recipe

HERE = Path(__file__).parents[1]

Row = dict[str, float]


def turn(checkout: Path, recipe: Path) -> Row:
    """One run."""
    with tempfile.TemporaryDirectory() as folder:
        command = "import sys; from rstar_math.cli import main; sys.argv[0] = 'rstar'; main()"
        arguments = ["evolve", str(recipe), "--out", str(Path(folder) / "run")]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments],
            env=os.environ | {"PYTHONPATH": str(checkout / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"the run of {checkout} failed:\n{done.stderr[-3000:]}")
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        row = {"s": seconds, "cpu_s": cpu_s, "busy": cpu_s / seconds / len(os.sched_getaffinity(0))}
        for line in (Path(folder) / "run" / "events.jsonl").read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "stage":
                row[event["stage"]] = row.get(event["stage"], 0.0) + event["seconds"]
        return row


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--problems", type=int, default=60, help="training problems; twice as many for evaluation")
    parser.add_argument("--epochs", type=int, default=3, help="of the PPM, all of them")
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    checkouts = {"here": HERE} | ({"there": arguments.against.resolve()} if arguments.against else {})
    whole = load_recipe("pocket")
    first = whole.rounds[0]
    cut = whole.model_copy(
        update={
            "problems": whole.problems.model_copy(update={"num_problems": arguments.problems}),
            "rounds": (
                first.model_copy(
                    update={
                        "ppm": first.ppm.model_copy(update={"num_epochs": arguments.epochs, "early_stopping": False})
                    }
                ),
            ),
            "evaluation": whole.evaluation.model_copy(
                update={
                    "problems": whole.evaluation.problems.model_copy(update={"num_problems": 2 * arguments.problems}),
                    "control_problems": None,
                }
            ),
        }
    )
    turns: dict[str, list[Row]] = {side: [] for side in checkouts}
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "cut.yaml"
        recipe.write_text(yaml.safe_dump(cut.model_dump(mode="json")))
        for _ in range(arguments.turns):
            for side, checkout in checkouts.items():
                turns[side].append(turn(checkout, recipe))
    best = {side: min(rows, key=lambda row: row["s"]) for side, rows in turns.items()}
    if "there" in best:
        best["here"]["ratio"] = best["here"]["s"] / best["there"]["s"]
    columns = list(best["here"])
    print(f"{'':7}" + "".join(f"{column:>11}" for column in columns))
    for side, row in best.items():
        print(f"{side:7}" + "".join(f"{row[column]:11.2f}" if column in row else " " * 11 for column in columns))
    if arguments.json:
        arguments.json.write_text(json.dumps(turns, indent=1))


if __name__ == "__main__":
    main()
