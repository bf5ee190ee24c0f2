"""lm-eval and inspect_ai, unmodified, against a server process: 30 problems, as docs/serving.md has it.

Right and wrong are those of `rstar eval` at the same budget and seed, and the answers are the same to the letter.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from rstar_math.api.asking import question_id
from rstar_math.models import find_model
from tests import warm
from tests.serve.test_process import RSTAR, served

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"
TOKENS, SEED = 300, 1234
"""The budget, and lm-eval's seed, which it sends unasked."""


def needs(package: str) -> pytest.MarkDecorator:
    """Skips where a client is not installed."""
    return pytest.mark.skipif(
        importlib.util.find_spec(package) is None, reason=f"{package} is not installed; the extra `dev` has it"
    )


@dataclass(frozen=True)
class Measured:
    """A folder with `pocket.jsonl`, and what `rstar eval` made of it: id -> answer ("" for none), and id -> right."""

    folder: Path
    answers: Mapping[str, str]
    right: Mapping[str, bool]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("clients")
    made = warm.run("pocket", "problems", "test", "--num", "30").stdout
    rows = [json.loads(line) for line in made.splitlines()]
    rows = [row | {"id": question_id(row["problem"])} for row in rows]  # the id from which the server draws chance
    rows[3]["answer"] = "1"  # not what it is
    (folder / "pocket.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    how = ("--strategy", "mcts", "--tokens", str(TOKENS), "--seed", str(SEED), "--deterministic", "--workers", "1")
    done = warm.run("eval", "--out", "out", "--benchmark", "pocket.jsonl", *how, cwd=folder)
    assert done.returncode == 0, done.stderr
    (file,) = (folder / "out" / "rows").glob("*.jsonl")
    found = {row["problem"]: row for row in map(json.loads, file.read_text().splitlines())}
    assert len(found) == 30
    right = {key: row["correct"] for key, row in found.items()}
    assert not right[rows[3]["id"]]
    assert sum(right.values()) >= 15
    return Measured(folder, {key: row["answer"] or "" for key, row in found.items()}, right)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served("--deterministic") as (found, _):
        yield found


def run_script(folder: Path, script: str, more: Mapping[str, str]) -> str:
    """Runs a client's own code in a process, in a folder; gives what it wrote to standard error."""
    (folder / "script.py").write_text(script)
    done = warm.run(cwd=folder, env=os.environ | {"HOME": str(folder)} | dict(more), program="script.py")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


LM_EVAL = """
import json
from pathlib import Path
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

tasks = TaskManager(include_path=".", include_defaults=False)  # its own tasks take six seconds to list
found = {}
for name, call in json.loads(Path("calls.json").read_text()).items():
    try:
        done = simple_evaluate(**call, task_manager=tasks, log_samples=True)
    except Exception as error:
        found[name] = repr(error)
        continue
    (samples,) = done["samples"].values()
    found[name] = {s["doc"]["id"]: [bool(s["exact_match"] == 1), s["resps"][0][0]] for s in samples}
Path("found.json").write_text(json.dumps(found))
"""


@needs("lm_eval")
def test_lm_eval_finds_what_rstar_eval_finds_by_chat_and_by_tokens(measured: Measured, url: str) -> None:
    """`local-completions` sends tokens, eight prompts in a call. Log-likelihoods are refused, and it says why."""
    folder = measured.folder
    (folder / "lm_eval_pocket.yaml").write_text((CLIENTS / "lm_eval_pocket.yaml").read_text())
    (folder / "choices.yaml").write_text(
        "task: choices\ndataset_path: json\ndataset_kwargs: {data_files: {test: pocket.jsonl}}\ntest_split: test\n"
        'output_type: multiple_choice\ndoc_to_text: "{{problem}}"\ndoc_to_choice: ["1", "2"]\ndoc_to_target: 0\n'
    )
    by_chat = {"model": "pocket", "base_url": f"{url}/v1/chat/completions", "num_concurrent": 8}
    by_tokens = {"model": "pocket", "base_url": f"{url}/v1/completions", "tokenizer": str(find_model("pocket").policy)}
    local = {"model": "local-completions", "model_args": by_tokens, "batch_size": 8}
    calls = {
        "chat": {"model": "local-chat-completions", "model_args": by_chat, "apply_chat_template": True},
        "tokens": local,
        "choices": local | {"model_args": by_tokens | {"max_retries": 1}, "limit": 2},
    }
    calls = {
        name: call | {"tasks": ["choices" if name == "choices" else "rstar_pocket"]} for name, call in calls.items()
    }
    (folder / "calls.json").write_text(json.dumps(calls))
    said = run_script(
        folder, LM_EVAL, {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    )
    found = json.loads((folder / "found.json").read_text())
    assert "400 Client Error" in found["choices"]
    assert "Log-likelihoods of given texts" in said
    for kind in ("chat", "tokens"):
        assert {key: right for key, (right, _) in found[kind].items()} == measured.right
        assert {key: last_boxed(text) for key, (_, text) in found[kind].items()} == measured.answers
    assert found["chat"] == found["tokens"]


INSPECT = """
import json, sys
from pathlib import Path
from inspect_ai._cli.main import main

for words in json.loads(Path("calls.json").read_text()):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


@needs("inspect_ai")
def test_inspect_finds_what_rstar_eval_finds_whole_and_streamed(measured: Measured, url: str) -> None:
    task, problems = "clients/inspect_pocket.py", measured.folder / "pocket.jsonl"
    (measured.folder / "clients").symlink_to(CLIENTS)  # it takes relative paths of tasks alone
    words = ["eval", task, "-T", f"problems={problems}", "-T", f"rstar={RSTAR}", "--seed", str(SEED)]
    words += ["--model", "openai-api/rstar/pocket", "--extra-body", json.dumps({"rstar": {"tokens": TOKENS}})]
    words += ["--log-format", "json", "--display", "none"]
    calls = [[*words, "-M", f"stream={stream}", "--log-dir", stream] for stream in ("false", "true")]
    (measured.folder / "calls.json").write_text(json.dumps(calls))
    run_script(measured.folder, INSPECT, {"RSTAR_API_KEY": "none", "RSTAR_BASE_URL": f"{url}/v1"})
    for stream in ("false", "true"):
        (log,) = (measured.folder / stream).glob("*.json")
        made = json.loads(log.read_text())
        assert made["status"] == "success", made.get("error")
        scores = {sample["id"]: sample["scores"]["by_our_grader"] for sample in made["samples"]}
        assert {key: score["value"] == "C" for key, score in scores.items()} == measured.right
        assert {key: score.get("answer") or "" for key, score in scores.items()} == measured.answers
        events = [event for sample in made["samples"] for event in sample["events"] if event["event"] == "model"]
        assert {bool(event["call"]["request"].get("stream")) for event in events} == {stream == "true"}
        assert all(sample["output"]["usage"]["output_tokens"] > 0 for sample in made["samples"])


def last_boxed(text: str) -> str:
    """The last boxed answer of a text; "" without one."""
    found: list[str] = re.findall(r"\\boxed\{(.*)\}", text)
    return found[-1] if found else ""
