"""perf/real.py on the pocket world's base: what it prints is what it counted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "perf" / "real.py"


def measured(part: str, *options: object) -> str:
    """What the script prints for a part."""
    chosen = ("--model", "pocket-base", "--problems", "pocket/validation", *map(str, options))
    done = subprocess.run([sys.executable, SCRIPT, part, *chosen], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_answers_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    options = ("--limit", 5, "--samples", 4, "--dtype", "float32", "--json", path)
    text = measured("answers", *options)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 5
    assert re.search(rf"^greedy +{100 * sum(row['greedy'] for row in rows) / 5:.1f} %", text, re.MULTILINE)
    assert re.search(rf"^pass@4 +{100 * sum(row['right'] > 0 for row in rows) / 5:.1f} %", text, re.MULTILINE)
    assert re.search(rf"^marked .* of {sum(row['steps'] for row in rows)} steps$", text, re.MULTILINE)
    assert all("<end_of_" in row["solution"] for row in rows)
    again = measured("answers", *options[:-2], "--against", path)
    assert "greedy above rows: 0.0 % [0.0 %, 0.0 %] (5 problems)" in again
    assert "pass@4 above rows: 0.0 % [0.0 %, 0.0 %] (5 problems)" in again


@pytest.mark.slow
def test_speed_has_a_row_for_each_contender() -> None:
    text = measured("speed", "--limit", 2, "--rows", 1, 8, "--dtypes", "float32", "int8", "--turns", 1)
    speeds = dict(re.findall(r"^(this engine, \w+|transformers, \w+) \| (\d+) \|", text, re.MULTILINE))
    assert set(speeds) == {"this engine, float32", "transformers, float32", "this engine, int8"}
    assert all(int(speed) > 0 for speed in speeds.values())
