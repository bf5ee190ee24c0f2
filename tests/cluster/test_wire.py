"""What crosses between machines comes out as it went in, and carries no code."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from rstar_math.cluster.wire import (
    Order,
    key_of,
    order_name,
    order_to_row,
    own_machine,
    result_to_row,
    row_to_order,
    row_to_result,
    tasks_to_text,
    text_to_tasks,
    tokens_of,
)
from rstar_math.config import AnsweringSettings, ExecutionSettings, PolicySettings, RuntimeSettings
from rstar_math.errors import ConfigError, DataError, EngineError, ModelError
from rstar_math.models import SHIPPED
from rstar_math.workers.jobs import Answered, AnswerJob, Job, SearchJob
from rstar_math.workers.process import Failure
from tests.cluster.fakes import JOB, SEARCH, done, tasks

RUNTIME = RuntimeSettings(deterministic=True, num_workers=3)


def there_and_back(job: Job, runtime: RuntimeSettings = RUNTIME, **options: Any) -> Order:
    row = json.loads(json.dumps(order_to_row(Order(job, runtime), Path("/here/run"))))
    return row_to_order(row, Path("/there/run"), **options)


def test_an_order_names_the_run_wherever_it_lies_and_models_of_the_package() -> None:
    inner, shipped = Path("/here/run/round-1/policy"), SHIPPED / "pocket" / "ppm"
    order = there_and_back(SearchJob(inner, shipped, "mcts", SEARCH, Path("/here/run/round-2/trees")))
    assert order.job == SearchJob(
        Path("/there/run/round-1/policy"), shipped, "mcts", SEARCH, Path("/there/run/round-2/trees")
    )
    assert order.runtime.deterministic
    assert order.runtime.num_workers is None  # each machine's own
    answer = AnswerJob(Path("/models/m"), None, AnsweringSettings(num_trees=3))
    assert there_and_back(answer).job == answer


def test_an_order_has_one_name_and_another_has_another() -> None:
    row = order_to_row(Order(JOB, RUNTIME), Path("run"))
    assert order_name(row) == order_name(json.loads(json.dumps(row)))
    assert order_name(row) == order_name(order_to_row(Order(JOB, RuntimeSettings(deterministic=True)), Path("run")))
    assert order_name(row) != order_name(order_to_row(Order(JOB, RuntimeSettings()), Path("run")))


@pytest.mark.parametrize(
    ("job", "runtime", "said"),
    [
        (SearchJob(Path("p"), None, "own.py:grow", SEARCH), RUNTIME, "own code"),
        (SearchJob(PolicySettings(policy="own.py:engine"), None, "mcts", SEARCH), RUNTIME, "own code"),
        (AnswerJob(Path("p"), None, AnsweringSettings(strategy="own.py:grow")), RUNTIME, "own code"),
        (JOB, RuntimeSettings(execution=ExecutionSettings(isolation="none")), "sandbox"),
        (JOB, RuntimeSettings(execution=ExecutionSettings(accept_missing=("seccomp",))), "sandbox"),
        (
            SearchJob(PolicySettings(policy="http://x/v1", endpoint={"api_key_env": "HOME"}), None, "mcts", SEARCH),  # type: ignore[arg-type]
            RUNTIME,
            "content of HOME",
        ),
    ],
)
def test_what_the_sender_would_have_to_be_trusted_for_is_refused(job: Job, runtime: RuntimeSettings, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        there_and_back(job, runtime)
    assert there_and_back(job, runtime, trusted=True).job.settings == job.settings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "another version"),
        ({"versions": {"torch": "1.0"}}, "torch 1.0 there"),
        ({"policy": {"run": "../../etc"}}, "not inside"),
        ({"policy": {"package": "/etc"}}, "not inside"),
        ({"policy": 3}, "cannot be read"),
        ({"settings": {"num_rollouts": 0}}, "num_rollouts"),
        ({"runtime": {"shell": "rm"}}, "shell"),
    ],
)
def test_an_order_that_is_none_is_refused(change: dict[str, Any], said: str) -> None:
    row = order_to_row(Order(JOB, RUNTIME), Path("run")) | change
    with pytest.raises(ConfigError, match=said):
        row_to_order(row, Path("run"))


def test_tasks_trees_answers_and_failures_come_out_as_they_went_in() -> None:
    two = tasks(2)
    assert text_to_tasks(tasks_to_text(two)) == two
    assert key_of(two[0]) == "p0@7"
    searching = SEARCH.model_copy(update={"terminal_value": "ppm"})
    answering = AnsweringSettings(strategy="sample", search=searching, selector="majority", num_trees=2)
    for job in (JOB, AnswerJob(Path("policy"), None, answering)):
        result = asyncio.run(done(job, two[1]))
        again = row_to_result(json.loads(json.dumps(result_to_row(result))))
        assert again == result
        assert not isinstance(again, Failure)
        assert tokens_of(again) == tokens_of(result) > 0
        if isinstance(again, Answered):
            assert again.candidates
    failed = row_to_result(result_to_row(Failure(ModelError("no model"))))
    assert isinstance(failed, Failure)
    assert isinstance(failed.error, ModelError)
    strange = row_to_result({"failed": {"kind": "SystemExit", "text": "x"}})
    assert isinstance(strange, Failure)
    assert type(strange.error) is EngineError


@pytest.mark.parametrize("row", [{}, {"tree": {}}, {"answered": {"correct": 1}}, {"failed": 3}])
def test_a_result_that_is_none_is_an_error(row: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        row_to_result(row)


def test_a_worker_keeps_what_its_own_machine_decides() -> None:
    own = RuntimeSettings(num_workers=2, concurrency=5, device="cuda:1", remember="here.db")
    made = own_machine(RuntimeSettings(deterministic=True, dtype="bfloat16", concurrency=64), own)
    assert (made.num_workers, made.concurrency, made.device) == (2, 5, "cuda:1")
    assert made.deterministic
    assert made.dtype == "bfloat16"
    assert made.remember is None
