"""From nothing to the first token and to the end of one question: CPU seconds and wall seconds of new processes.

    python perf/cold_start.py [--turns 5] [--against FOLDER] [--json FILE]

Each turn starts a new interpreter. Rows:

    rstar --help     the command's help
    import torch     what torch alone takes, whole, for comparison
    rstar solve      one pocket question on the command line
    Python API       `RStarMathModel.from_pretrained("pocket").solve(...)`

Columns: `..._first_token` from the start of the process until the policy has drawn its first token, `..._end` until it
has ended. `cpu_s` counts the process and all that it has started (sandbox, grader), `s` is the wall clock. With
`--against`, another checkout of this project takes turns with this one, under the same interpreter and packages, and
`ratio` is this one's CPU seconds over the other's. The best turn counts, because other programs on the machine only
ever make a turn slower.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).parents[1]
QUESTION = "A square has a perimeter of 48. What is its area?"

_PROLOGUE = """
import sys, time
sys.path.insert(0, {perf!r})
def noted(rows):
    record = rows.Rows.record
    def first(*arguments):
        from measuring.cpu import cpu_seconds
        rows.Rows.record = record
        sys.stderr.write(f"\\nFIRST {{cpu_seconds()}} {{time.time()}}\\n")
        return record(*arguments)
    rows.Rows.record = first
class Watch:
    def find_spec(self, name, path, target=None):
        if name == "rstar_math.engines.torch.rows":
            sys.meta_path.remove(self)
            import importlib.util
            spec = importlib.util.find_spec(name)
            run = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (run(module), noted(module))
            return spec
sys.meta_path.insert(0, Watch())
"""
_PROGRAMS = {
    "rstar --help": "from rstar_math.cli import main; sys.argv = ['rstar', '--help']; main()",
    "import torch": "import torch",
    "rstar solve": "from rstar_math.cli import main; sys.argv = ['rstar', 'solve', {question!r}]; main()",
    "Python API": "from rstar_math import RStarMathModel\n"
    "with RStarMathModel.from_pretrained('pocket') as model: print(model.solve({question!r}).answer)",
}

Row = dict[str, float]


def turn(name: str, checkout: Path) -> Row:
    """One new process."""
    program = _PROLOGUE.format(perf=str(HERE / "perf")) + _PROGRAMS[name].format(question=QUESTION)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    ended, after = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{name} in {checkout} failed:\n{done.stderr}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    row = {"cpu_s_end": cpu_s, "s_end": ended - began}
    for line in done.stderr.splitlines():
        if line.startswith("FIRST "):
            _, cpu, moment = line.split()
            row |= {"cpu_s_first_token": float(cpu), "s_first_token": float(moment) - began}
    return row


def best(turns: list[Row]) -> Row:
    """The least of each column."""
    return {column: min(row[column] for row in turns) for column in turns[0]}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    checkouts = {"here": HERE} | ({"there": arguments.against.resolve()} if arguments.against else {})
    turns: dict[tuple[str, str], list[Row]] = {(name, side): [] for name in _PROGRAMS for side in checkouts}
    for number in range(arguments.turns + 1):  # the first warms the disk up, and compiles
        for name in _PROGRAMS:
            for side, checkout in checkouts.items():
                row = turn(name, checkout)
                if number:
                    turns[name, side].append(row)
    table: dict[str, dict[str, Row]] = {}
    columns = ("cpu_s_first_token", "s_first_token", "cpu_s_end", "s_end")
    print(f"{'':14}{'':7}" + "".join(f"{column:>19}" for column in columns) + f"{'ratio':>8}")
    for name in _PROGRAMS:
        rows = table[name] = {side: best(turns[name, side]) for side in checkouts}
        key = "cpu_s_first_token" if "cpu_s_first_token" in rows["here"] else "cpu_s_end"
        if "there" in rows:
            rows["here"]["ratio"] = rows["here"][key] / rows["there"][key]
        for side, row in rows.items():
            cells = "".join(f"{row[column]:19.2f}" if column in row else " " * 19 for column in columns)
            print(f"{name:14}{side:7}{cells}" + (f"{row['ratio']:8.2f}" if "ratio" in row else ""))
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
