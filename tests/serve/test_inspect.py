"""inspect_ai's own command against the server: docs/clients/inspect_pocket.py as docs/serving.md runs it.

RSTAR_TEST_INSPECT names the command `inspect`, which may lie in another environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rstar_math.cli.app import app
from tests.serve.test_process import RSTAR, served

TASK = Path(__file__).parents[2] / "docs" / "clients" / "inspect_pocket.py"
INSPECT = os.environ.get("RSTAR_TEST_INSPECT", "")


@pytest.mark.slow
@pytest.mark.skipif(not INSPECT, reason="RSTAR_TEST_INSPECT does not name the command of inspect_ai")
def test_streamed_and_whole_replies_are_scored_the_same(tmp_path: Path) -> None:
    problems = CliRunner().invoke(app, ["pocket", "problems", "test", "--num", "8"])
    assert problems.exit_code == 0
    rows = [json.loads(line) for line in problems.stdout.splitlines()]
    rows[3]["answer"] = "1"  # not what it is
    (tmp_path / "pocket.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / TASK.name).write_text(TASK.read_text())  # it takes relative paths alone
    with served("--deterministic") as (url, _):
        whole, streamed = (scores(tmp_path, url, stream) for stream in ("false", "true"))
    assert whole == streamed
    assert len(whole) == 8
    assert [value for value, _ in whole.values()].count("C") >= 5
    assert whole[rows[3]["id"]][0] == "I"


def scores(folder: Path, url: str, stream: str) -> dict[str, tuple[str, str]]:
    """Verdict and answer of each problem."""
    words = [INSPECT, "eval", TASK.name, "-T", "problems=pocket.jsonl", "-T", f"rstar={RSTAR}"]
    words += ["--model", "openai-api/rstar/pocket", "-M", f"stream={stream}", "--reasoning-effort", "low"]
    words += ["--log-dir", stream, "--log-format", "json", "--display", "none"]
    environment = os.environ | {"RSTAR_API_KEY": "none", "RSTAR_BASE_URL": f"{url}/v1", "HOME": str(folder)}
    found = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stdout + found.stderr
    (log,) = (folder / stream).glob("*.json")
    made = json.loads(log.read_text())
    assert made["status"] == "success", made.get("error")
    by_problem = {sample["id"]: sample["scores"]["by_our_grader"] for sample in made["samples"]}
    return {problem: (score["value"], score.get("answer")) for problem, score in by_problem.items()}
