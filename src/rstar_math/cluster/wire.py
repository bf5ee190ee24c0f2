"""Jobs, tasks and results as JSON: what crosses between machines is data, checked, and never code.

Folders inside the run are named from the run's folder, which may lie elsewhere on another machine; models of the
package by their name. What a worker would have to trust the sender for is refused (`trusted`): files of own code, steps
that run without the sandbox, and keys from other environment variables than the usual one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rstar_math import errors
from rstar_math.config import AnsweringSettings, PolicySettings, RuntimeSettings, SearchSettings
from rstar_math.config.execution import ExecutionSettings
from rstar_math.config.reading import check
from rstar_math.config.runtime import EndpointSettings
from rstar_math.errors import ConfigError, DataError, EngineError, RStarError
from rstar_math.models import SHIPPED, Policy, is_url
from rstar_math.plugins import is_own
from rstar_math.store.files import fingerprint
from rstar_math.store.records import row_to_tree, tree_to_row
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.workers.jobs import Answered, AnswerJob, Job, Result, SearchJob, Task
from rstar_math.workers.process import Failure

FORMAT = 1

Row = dict[str, Any]

_OF_THE_MACHINE = (
    "num_workers",
    "concurrency",
    "device",
    "remember",
    "trees_per_part",
    "cluster",
    "address",
    "lease_s",
)
"""Keys of `runtime` that each worker decides about by itself, and that `rstar evolve` alone needs."""

_SAME_VERSIONS = ("rstar-math", "torch", "transformers", "tokenizers", "numpy", "sympy")
"""Packages that have a part in what a tree looks like."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do with every task that it takes.

    Attributes:
      job: search or answer, and by which models and settings.
      runtime: what of the machine's settings may touch a result; the rest is the worker's own.
    """

    job: Job
    runtime: RuntimeSettings


def key_of(task: Task) -> str:
    """What a task is called, everywhere: its result is kept once by this name."""
    return f"{task.problem.id}@{task.seed}"


def versions() -> dict[str, str]:
    """The versions of what computes a tree here."""
    found = {}
    for name in _SAME_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def order_to_row(order: Order, run: Path) -> Row:
    """An order as JSON; `run` is the folder of the run on this machine."""
    job = order.job
    row: Row = {
        "format": FORMAT,
        "versions": versions(),
        "runtime": order.runtime.model_dump(mode="json", exclude=set(_OF_THE_MACHINE)),
        "policy": _place_to_row(job.policy, run),
        "reward_model": None if job.reward_model is None else _place_to_row(job.reward_model, run),
        "settings": job.settings.model_dump(mode="json"),
    }
    if isinstance(job, AnswerJob):
        return row | {"kind": "answer"}
    watched = None if job.watched_in is None else _place_to_row(job.watched_in, run)
    return row | {"kind": "search", "strategy": job.strategy, "watched_in": watched}


def order_name(row: Row) -> str:
    """A short name of an order, the same wherever and whenever it is given."""
    return fingerprint(row)


def row_to_order(row: object, run: Path, trusted: bool = False) -> Order:
    """The inverse of `order_to_row`, on a machine where the run lies in the folder `run`.

    Args:
      row: as it was read.
      run: folder of the run here.
      trusted: take also what the sender would have to be trusted for.

    Raises:
      ConfigError: another version made it, it asks for what needs trust, or it is no order.
    """
    if not isinstance(row, dict) or row.get("format") != FORMAT:
        raise ConfigError("the run was started by another version of rstar-math; install the same one on every machine")
    theirs, ours = row.get("versions"), versions()
    if theirs != ours:
        theirs = theirs if isinstance(theirs, dict) else {}
        different = [f"{k} {theirs.get(k, 'none')} there, {v} here" for k, v in ours.items() if theirs.get(k) != v]
        raise ConfigError(
            f"trees would differ: the run was started with other versions ({'; '.join(different)}); install the same "
            "ones on every machine (constraints.txt)"
        )
    where = "the job of the run"
    try:
        runtime = check(RuntimeSettings, row["runtime"], where)
        policy = _row_to_place(row["policy"], run)
        scored = None if row["reward_model"] is None else _row_to_place(row["reward_model"], run)
        if scored is not None and not isinstance(scored, Path):
            raise ConfigError(f"{where}: a reward model must be a folder")
        job: Job
        if row["kind"] == "answer":
            settings = check(AnsweringSettings, row["settings"], where)
            job, strategy = AnswerJob(policy, scored, settings), settings.strategy
        else:
            strategy = str(row["strategy"])
            watched = None if row["watched_in"] is None else _row_to_place(row["watched_in"], run)
            assert watched is None or isinstance(watched, Path)
            job = SearchJob(policy, scored, strategy, check(SearchSettings, row["settings"], where), watched)
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{where} cannot be read: {error!r}") from error
    if not trusted:
        _require_no_trust(policy, strategy, runtime)
    return Order(job, runtime)


def _require_no_trust(policy: Policy, strategy: str, runtime: RuntimeSettings) -> None:
    wants = []
    if ".py:" in strategy or (isinstance(policy, PolicySettings) and is_own(policy.policy)):
        wants.append("to run a file of somebody's own code")
    if runtime.execution.isolation != "sandbox" or runtime.execution.accept_missing:
        wants.append("to run steps without the whole sandbox")
    usual = EndpointSettings().api_key_env
    if isinstance(policy, PolicySettings) and is_url(policy.policy) and policy.endpoint.api_key_env != usual:
        wants.append(f"to send the content of {policy.endpoint.api_key_env} to a server")
    if wants:
        raise ConfigError(
            f"the run asks this worker {' and '.join(wants)}; a worker does so only with --trust, which is for runs "
            "that nobody else can write to"
        )


def _place_to_row(place: Policy, run: Path) -> Row:
    if isinstance(place, PolicySettings):
        return {"settings": place.model_dump(mode="json")}
    whole = place.absolute()
    for name, folder in (("run", run.absolute()), ("package", SHIPPED)):
        if whole.is_relative_to(folder):
            return {name: str(whole.relative_to(folder))}
    return {"path": str(whole)}


def _row_to_place(row: Mapping[str, Any], run: Path) -> Policy:
    if "settings" in row:
        return check(PolicySettings, row["settings"], "the model of the run")
    if "path" in row:
        return Path(row["path"])
    folder = run.absolute() if "run" in row else SHIPPED
    inner = Path(row["run"] if "run" in row else row["package"])
    if inner.is_absolute() or ".." in inner.parts:
        raise ConfigError(f"the job of the run names {str(inner)!r}, which is not inside of it")
    return folder / inner


def tasks_to_text(tasks: list[Task]) -> str:
    """Tasks as the content of a unit."""
    return json.dumps([{"problem": asdict(task.problem), "seed": task.seed} for task in tasks])


def text_to_tasks(text: str) -> list[Task]:
    """The inverse of `tasks_to_text`.

    Raises:
      DataError: it holds no tasks.
    """
    try:
        return [Task(Problem(**row["problem"]), int(row["seed"])) for row in json.loads(text)]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"a unit of work cannot be read: {error!r}") from error


def result_to_row(result: Result | Failure) -> Row:
    """A result, or why there is none, as JSON."""
    if isinstance(result, Tree):
        return {"tree": tree_to_row(result)}
    if isinstance(result, Failure):
        return {"failed": {"kind": type(result.error).__name__, "text": str(result.error)}}
    return {"answered": asdict(result)}


def row_to_result(row: Mapping[str, Any]) -> Result | Failure:
    """The inverse of `result_to_row`.

    Raises:
      DataError: it is no result.
    """
    try:
        if "tree" in row:
            return row_to_tree(row["tree"])
        if "failed" in row:
            return Failure(_error(row["failed"]["kind"], row["failed"]["text"]))
        return _ANSWERED.validate_python(row["answered"])
    except (KeyError, TypeError, AttributeError, IndexError, ValidationError) as error:
        raise DataError(f"a result cannot be read: {error!r:.300}") from error


_ANSWERED = TypeAdapter(Answered)


def _error(kind: str, text: str) -> RStarError:
    """An error of one of our own kinds, from its name."""
    found = vars(errors).get(kind)
    if isinstance(found, type) and issubclass(found, RStarError):
        return found(text)
    return EngineError(text)


def tokens_of(result: Result | Failure) -> int:
    """Tokens that were generated for a result."""
    if isinstance(result, Failure):
        return 0
    return (result.cost if isinstance(result, Tree) else result.solution.cost).tokens_generated


def own_machine(runtime: RuntimeSettings, own: RuntimeSettings) -> RuntimeSettings:
    """The settings of a worker: what may touch a result from the order, the rest from its own machine."""
    mine = {key: getattr(own, key) for key in _OF_THE_MACHINE}
    execution = runtime.execution.model_copy(update=_slots(own.execution))
    return runtime.model_copy(update={**mine, "remember": None, "execution": execution})


def _slots(own: ExecutionSettings) -> dict[str, int | None]:
    return {"num_slots": own.num_slots}
