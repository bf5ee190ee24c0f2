"""lm-eval's own command against the server: docs/clients/lm_eval_pocket.yaml as docs/serving.md runs it.

RSTAR_TEST_LM_EVAL names the command `lm_eval`, which may lie in another environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from rstar_math.cli.app import app
from tests.serve.test_process import served

TASK = Path(__file__).parents[2] / "docs" / "clients" / "lm_eval_pocket.yaml"
LM_EVAL = os.environ.get("RSTAR_TEST_LM_EVAL", "")


@pytest.mark.slow
@pytest.mark.skipif(not LM_EVAL, reason="RSTAR_TEST_LM_EVAL does not name the command of lm-eval")
def test_right_and_wrong_are_those_of_the_answers_themselves(tmp_path: Path) -> None:
    problems = CliRunner().invoke(app, ["pocket", "problems", "test", "--num", "8"])
    rows = [json.loads(line) for line in problems.stdout.splitlines()]
    rows[3]["answer"] = "1"  # not what it is
    (tmp_path / "pocket.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / TASK.name).write_text(TASK.read_text())
    with served("--deterministic") as (url, _):
        where = f"model=pocket,base_url={url}/v1/chat/completions"
        words = [LM_EVAL, "run", "--model", "local-chat-completions", "--model_args", where, "--apply_chat_template"]
        words += ["--tasks", "rstar_pocket", "--include_path", ".", "--output_path", "out", "--log_samples"]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
        found = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert found.returncode == 0, found.stdout + found.stderr
        questions = {"model": "pocket", "prompt": [row["problem"] for row in rows], "rstar": {"tokens": 300}}
        reply = httpx.post(f"{url}/v1/completions", json=questions | {"seed": 1234}, timeout=60).json()
    (log,) = (tmp_path / "out").rglob("samples_*.jsonl")
    samples = {s["doc"]["id"]: s["exact_match"] == 1 for s in map(json.loads, log.read_text().splitlines())}
    answers = [choice["rstar"]["answer"] for choice in reply["choices"]]
    assert samples == {row["id"]: answer == row["answer"] for row, answer in zip(rows, answers, strict=True)}
    assert samples[rows[3]["id"]] is False
    assert any(samples.values())
