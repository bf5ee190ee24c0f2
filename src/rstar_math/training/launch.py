"""Several processes for one training: started by `accelerate launch`, or by torch's launcher on CPUs.

A function of this package is run in each of them; the first one tells of its steps, and leaves its result in a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from rstar_math.config import TrainingSettings
from rstar_math.errors import ModelError, RStarError
from rstar_math.terminal.streams import show_controls
from rstar_math.training.loop import Progress
from rstar_math.training.processes import OtherProcess, Processes

Result = TypeVar("Result")

LAUNCHED = "RSTAR_LAUNCHED"
"""Set in the environment of the processes of a launch, so that none of them launches again."""

_LISTEN_S = 0.2
"""Between two looks at what the processes tell."""


def num_processes(settings: TrainingSettings, device: torch.device) -> int:
    """Processes that a training is to run in: as set, or one for each GPU."""
    if settings.num_processes is not None:
        return settings.num_processes
    return max(1, torch.cuda.device_count()) if device.type == "cuda" else 1


def must_launch(settings: TrainingSettings, device: torch.device) -> bool:
    """Whether this process must start others; False inside a launch."""
    return LAUNCHED not in os.environ and (
        num_processes(settings, device) > 1 or settings.accelerate_config is not None
    )


def processes_of(device: torch.device) -> Processes:
    """The processes of this training: those of the launch that this process belongs to, or itself alone."""
    if LAUNCHED not in os.environ:
        return Processes(device)
    from rstar_math.training.accelerated import Accelerated

    return Accelerated(device)


def launch(
    function: Callable[..., Result],
    arguments: tuple[Any, ...],
    settings: TrainingSettings,
    device: torch.device,
    progress: Progress | None = None,
) -> Result:
    """Runs `function(*arguments, progress)` in all processes of a launch.

    Args:
      function: of a module; its last argument is None in all processes but the first.
      arguments: can be pickled.
      settings: how many processes, and by which file of `accelerate config`.
      device: a CPU, or the first GPU.
      progress: hears of every optimiser step.

    Returns:
      What it returned in the first process.

    Raises:
      ModelError: accelerate is not installed, or a process failed (its words stand above, on standard error).
      RStarError: raised by the function in the first process.
    """
    try:
        import accelerate  # noqa: F401
    except ImportError as error:
        raise ModelError(
            "several processes need the package accelerate; pip install -c constraints.txt 'rstar-math[train]', or set "
            "num_processes: 1"
        ) from error
    with tempfile.TemporaryDirectory(prefix="rstar-launch-") as folder:
        job, told, result = (Path(folder) / name for name in ("job.pickle", "told.jsonl", "result.pickle"))
        job.write_bytes(pickle.dumps((function, arguments)))
        told.touch()
        command = [sys.executable, "-m", *_launcher(settings, device)]
        command += ["-m", "rstar_math.training.launch", str(job), str(told), str(result)]
        status = _run(command, told, progress)
        if not result.exists():
            raise ModelError(
                f"the processes of the training ended with status {status} and no result; see their messages above. "
                "Try num_processes: 1, or check accelerate_config with `accelerate test`"
            )
        outcome = pickle.loads(result.read_bytes())  # written by the process that was just started
    if isinstance(outcome, RStarError):
        raise outcome
    made: Result = outcome
    return made


def _run(command: list[str], told: Path, progress: Progress | None) -> int:
    """Runs a launcher to its end, and passes on what the first process tells; its exit status."""
    with subprocess.Popen(command, env={**os.environ, LAUNCHED: "1"}) as launcher, told.open() as lines:
        try:
            status = None
            while status is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = launcher.wait(_LISTEN_S)
                for line in lines:
                    if progress is not None:
                        progress(*json.loads(line))
        except BaseException:
            launcher.terminate()  # it ends those that it started
            raise
    return status


def _launcher(settings: TrainingSettings, device: torch.device) -> list[str]:
    """The module that starts the processes, and its options."""
    number = str(num_processes(settings, device))
    if settings.accelerate_config is not None:
        options = ["--config_file", settings.accelerate_config]
        options += ["--num_processes", number] if settings.num_processes not in (None, 1) else []
        return ["accelerate.commands.launch", *options]
    if device.type == "cpu":  # accelerate itself starts several CPU processes through MPI only
        return ["torch.distributed.run", "--standalone", "--nproc_per_node", number]
    options = ["accelerate.commands.launch", "--num_processes", number, "--num_machines", "1"]
    options += ["--dynamo_backend", "no", "--mixed_precision", "no"]  # `dtype` says it
    if settings.lora is not None:
        return [*options, "--multi_gpu"]
    wrap = ["--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP", "--fsdp_state_dict_type", "FULL_STATE_DICT"]
    return [*options, "--use_fsdp", "--fsdp_version", "2", *wrap]


def main() -> None:
    """One process of a launch."""
    show_controls()
    job, told, result = map(Path, sys.argv[1:4])
    is_first = int(os.environ.get("RANK", "0")) == 0
    function, arguments = pickle.loads(job.read_bytes())  # written by the process that started this one
    with told.open("a", buffering=1) as lines:

        def tell(step: int, num_steps: int, loss: float, num_tokens: int) -> None:
            lines.write(json.dumps([step, num_steps, loss, num_tokens]) + "\n")

        try:
            outcome: object = function(*arguments, tell if is_first else None)
        except OtherProcess:
            return
        except RStarError as error:
            outcome = error
    if is_first:
        partial = result.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(outcome))
        partial.rename(result)


if __name__ == "__main__":
    main()
