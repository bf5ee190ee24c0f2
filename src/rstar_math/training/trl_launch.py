"""What TRL trainings share: packages, arguments, order of the rows, several processes by `accelerate launch`.

A function of this package is run in every process of a launch; the first process leaves its result in a file.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from rstar_math.config import LoRASettings, TrainingSettings
from rstar_math.errors import ModelError, RStarError
from rstar_math.store.files import fingerprint
from rstar_math.terminal.streams import show_controls
from rstar_math.training import loop

Result = TypeVar("Result")

_LAUNCHED = "RSTAR_LAUNCHED"
"""Set in the processes of a launch, so that none of them launches again."""


class OtherProcess(Exception):
    """Raised in all processes of a launch but the first when the training is over: there is nothing left to do."""


def require_packages() -> None:
    """Says what to install where TRL is missing.

    Raises:
      ModelError: it is.
    """
    try:
        import accelerate  # noqa: F401
        import datasets  # noqa: F401
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"backend: trl needs the package {error.name}; pip install -c constraints.txt 'rstar-math[train]', or set "
            "backend: torch"
        ) from error


def num_processes(settings: TrainingSettings) -> int:
    """Processes that a training is to run in: as set, or one for each GPU."""
    return settings.trl.num_processes or max(1, torch.cuda.device_count())


def must_launch(settings: TrainingSettings) -> bool:
    """Whether this process must start others; False inside a launch."""
    return not {"LOCAL_RANK", _LAUNCHED} & set(os.environ) and (
        num_processes(settings) > 1 or settings.trl.accelerate_config is not None
    )


def launch(function: Callable[..., Result], settings: TrainingSettings, *arguments: Any) -> Result:
    """Runs `function(*arguments)` in all processes of an `accelerate launch`.

    Returns:
      What it returned in the first process.

    Raises:
      ModelError: a process failed (its words stand above, on standard error).
      RStarError: raised by the function in the first process.
    """
    with tempfile.TemporaryDirectory(prefix="rstar-launch-") as folder:
        job, result = Path(folder) / "job.pickle", Path(folder) / "result.pickle"
        job.write_bytes(pickle.dumps((function, arguments)))
        command = [sys.executable, "-m", *_launcher(settings)]
        command += ["-m", "rstar_math.training.trl_launch", str(job), str(result)]
        status = subprocess.run(command, check=False, env={**os.environ, _LAUNCHED: "1"}).returncode
        if not result.exists():
            raise ModelError(
                f"`accelerate launch` ended with status {status} and no result; see its messages above. Try "
                "trl.num_processes: 1, or check trl.accelerate_config with `accelerate test`"
            )
        outcome = pickle.loads(result.read_bytes())  # written by the process that was just started
    if isinstance(outcome, RStarError):
        raise outcome
    made: Result = outcome
    return made


def _launcher(settings: TrainingSettings) -> list[str]:
    """The module that starts the processes, and its options."""
    number = str(num_processes(settings))
    if settings.trl.accelerate_config is not None:
        options = ["--config_file", settings.trl.accelerate_config]
        options += ["--num_processes", number] if settings.trl.num_processes else []
        return ["accelerate.commands.launch", *options]
    if not torch.cuda.is_available():  # accelerate itself starts several CPU processes through MPI only
        return ["torch.distributed.run", "--standalone", "--nproc_per_node", number]
    options = ["accelerate.commands.launch", "--num_processes", number, "--num_machines", "1"]
    options += ["--dynamo_backend", "no", "--mixed_precision", "no"]  # the trainer sets it
    if settings.trl.lora is not None:
        return [*options, "--multi_gpu"]
    wrap = ["--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP", "--fsdp_state_dict_type", "FULL_STATE_DICT"]
    return [*options, "--use_fsdp", "--fsdp_version", "2", *wrap]


def main() -> None:
    """One process of a launch."""
    show_controls()
    job, result = map(Path, sys.argv[1:3])
    function, arguments = pickle.loads(job.read_bytes())  # written by the process that started this one
    try:
        outcome: object = function(*arguments)
    except OtherProcess:
        return
    except RStarError as error:
        outcome = error
    if int(os.environ.get("RANK", "0")) == 0:
        partial = result.with_suffix(".partial")
        partial.write_bytes(pickle.dumps(outcome))
        partial.rename(result)


def training_arguments(settings: TrainingSettings, num_rows: int, seed: int, checkpoints: Path) -> dict[str, Any]:
    """Arguments of a trainer that mean the same as `settings` do in `training.loop`.

    The number of rows in one forward pass is `micro_batch_size`, else as many as the batch has for each process.

    Raises:
      ModelError: the batch cannot be divided evenly.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    per_process, rest = divmod(settings.batch_size, world)
    micro = min(settings.micro_batch_size or per_process, per_process)
    if rest or not per_process or per_process % micro:
        raise ModelError(
            f"batch_size {settings.batch_size} is not a multiple of {world} processes times micro_batch_size {micro}"
        )
    device = loop.default_device()
    return {
        "output_dir": str(checkpoints),
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": per_process // micro,
        "max_steps": loop.num_optimiser_steps(settings, num_rows),
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "bf16": loop.arithmetic_dtype(settings, device) == torch.bfloat16,
        "use_cpu": device.type == "cpu",
        "gradient_checkpointing": settings.trl.gradient_checkpointing,
        "save_strategy": "no" if settings.trl.save_steps is None else "steps",
        "save_steps": settings.trl.save_steps or 500,
        "save_total_limit": 1,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "report_to": "none" if settings.trl.tensorboard is None else "tensorboard",
        "disable_tqdm": True,
        "seed": seed,
        "dataloader_pin_memory": device.type == "cuda",
        "remove_unused_columns": False,
    }


def prepare_environment(settings: TrainingSettings) -> None:
    """What trainers read from the environment: where TensorBoard's files go."""
    if settings.trl.tensorboard is not None:
        os.environ["TENSORBOARD_LOGGING_DIR"] = settings.trl.tensorboard


def last_checkpoint(folder: Path) -> str | None:
    """The latest checkpoint that an earlier, stopped training left, or None."""
    from transformers.trainer_utils import get_last_checkpoint

    return get_last_checkpoint(str(folder)) if folder.is_dir() else None


def checkpoint_folder(
    out: Path, settings: TrainingSettings, base: Path, rows: Iterable[object], *identity: object
) -> Path:
    """Where a training keeps its checkpoints: beside `out`, and apart from those of any other training.

    Args:
      out: what the training makes.
      settings: of the training.
      base: folder of the model that is trained, known by the names, sizes and times of its weights.
      rows: what it is trained on, known by their `repr`.
      identity: whatever else makes it another training.
    """
    data = hashlib.sha256()
    for row in rows:
        data.update(repr(row).encode())
    weights = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(base.glob("*.safetensors"))]
    value = [settings.model_dump(mode="json"), str(base.resolve()), weights, data.hexdigest(), *map(str, identity)]
    return out.parent / f".{out.name}.{fingerprint(value)}.checkpoints"


def require_whole_adapters(trainer: Any, settings: TrainingSettings) -> None:
    """Adapters are merged into the weights by one process, which needs them whole.

    Raises:
      ModelError: they are sharded.
    """
    if settings.trl.lora is not None and trainer.is_fsdp_enabled:
        raise ModelError(
            "trl.lora with a trl.accelerate_config that shards (FSDP): adapters could not be merged at the end; set "
            "distributed_type: MULTI_GPU there, or trl.lora: null"
        )


def adapters(settings: LoRASettings | None, task: str, new_tokens: bool, head: str) -> Any:
    """The peft configuration of LoRA settings, or None for full fine-tuning.

    Embeddings are trained in full where tokens were added: nothing else could teach the model what they mean.
    """
    if settings is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.target_modules,
        task_type=task,
        modules_to_save=["embed_tokens", head] if new_tokens else ([head] if task == "SEQ_CLS" else None),
        ensure_weight_tying=task == "CAUSAL_LM",
    )


def optimiser_of(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """The same optimiser as in `training.loop`: AdamW, only matrices decay."""
    decayed = [p for p in model.parameters() if p.requires_grad and p.dim() >= 2]
    others = [p for p in model.parameters() if p.requires_grad and p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def schedule_of(optimiser: torch.optim.Optimizer, settings: TrainingSettings, num_steps: int) -> LambdaLR:
    """The same learning rates as in `training.loop`."""
    return LambdaLR(optimiser, lambda step: loop.learning_rate_factor(min(step, num_steps - 1), num_steps, settings))


class EpochOrder(torch.utils.data.Sampler[int]):
    """Row indices in the order of `loop.shuffled_batches`, for the epoch that was set last."""

    def __init__(self, rows: Sized, seed: int) -> None:
        self._num_rows, self._seed, self._epoch = len(rows), seed, 0

    def __len__(self) -> int:
        return self._num_rows

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch, counted from 0; called by the trainer, also when it goes on from a checkpoint."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed)
        for _ in range(self._epoch):
            torch.randperm(self._num_rows, generator=generator)
        yield from torch.randperm(self._num_rows, generator=generator).tolist()


if __name__ == "__main__":
    main()
