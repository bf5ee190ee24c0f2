"""SFT with TRL and accelerate: the same loss, order and learning rates as `training.sft`, for models of any size.

What it adds: gradient checkpointing, LoRA, packing, several GPUs (FSDP), checkpoints that a stopped training goes on
from, TensorBoard. What it is not: another definition of the data; examples and masks come from `training.examples`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rstar_math.checkpoints.folder import (
    load_causal_lm,
    load_tokenizer,
    pad_token_id_of,
    quiet_transformers,
    whole_folder,
)
from rstar_math.config import SFTSettings
from rstar_math.errors import DataError
from rstar_math.training import loop, trl_launch
from rstar_math.training.examples import SFTExample, tokenise_all
from rstar_math.training.markers import add_markers
from rstar_math.training.reports import SFTReport
from rstar_math.training.trl_steps import MeasuredSteps


def train_sft_by_trl(
    base: Path,
    examples: Sequence[SFTExample],
    settings: SFTSettings,
    out: Path,
    seed: int,
    progress: loop.Progress | None = None,
    device: torch.device | None = None,
) -> SFTReport:
    """`training.sft.train_sft` with TRL; see there. `device` is chosen by accelerate; None or the one it would take.

    Raises:
      ModelError: TRL is not installed, `base` cannot be loaded, the training diverged, or a process failed.
      DataError: no example is left to train on.
    """
    trl_launch.require_packages()
    if trl_launch.must_launch(settings):
        return trl_launch.launch(train_sft_by_trl, settings, base, list(examples), settings, out, seed)
    start, cpu_start = time.perf_counter(), time.process_time()
    tokenizer = load_tokenizer(base)
    model = load_causal_lm(base, torch.device("cpu"))
    new_tokens = add_markers(model, tokenizer)
    tokenised = tokenise_all(tokenizer, examples, settings.max_length)
    rows = tokenised.rows
    if not any(row.num_trained_tokens for row in rows):
        raise DataError(
            f"no SFT example is left of {len(examples)} ({tokenised.num_too_long} are longer than "
            f"max_length = {settings.max_length} tokens)"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = pad_token_id_of(tokenizer)

    from datasets import Dataset

    checkpoints = trl_launch.checkpoint_folder(out, settings, base, rows, seed)
    dataset = Dataset.from_list([{"input_ids": list(r.input_ids), "labels": list(r.labels)} for r in rows])
    if settings.trl.packing:  # here, because epochs are counted in packed rows
        from trl import pack_dataset

        dataset = pack_dataset(dataset, settings.max_length, "bfd")
    trl_launch.prepare_environment(settings)
    with loop.seeded(seed, loop.default_device()):
        trainer = _trainer(model, tokenizer, dataset, settings, seed, checkpoints, bool(new_tokens), progress)
        num_steps = trainer.args.max_steps
        with loop.residual_dropout(model, settings.dropout), quiet_transformers():
            trainer.train(resume_from_checkpoint=trl_launch.last_checkpoint(checkpoints))
    losses = trainer.losses
    state = trainer.accelerator.get_state_dict(trainer.model)
    if not trainer.accelerator.is_main_process:
        raise trl_launch.OtherProcess
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if settings.trl.lora is not None:
        trained, state = trained.merge_and_unload(), None
    trained.config.use_cache = True
    with whole_folder(out) as folder, quiet_transformers():
        trained.save_pretrained(folder, state_dict=state)
        tokenizer.save_pretrained(folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    num_tokens = sum(len(row.input_ids) for row in rows)
    num_epochs = num_steps * settings.batch_size / len(dataset)
    tenth = max(1, len(losses) // 10)
    return SFTReport(
        num_examples=len(rows),
        num_too_long=tokenised.num_too_long,
        num_steps=num_steps,
        num_epochs=num_epochs,
        num_tokens=round(num_tokens * num_epochs),
        num_trained_tokens=sum(row.num_trained_tokens for row in rows),
        first_loss=sum(losses[:tenth]) / tenth,
        last_loss=sum(losses[-tenth:]) / tenth,
        dtype="bfloat16" if trainer.args.bf16 else "float32",
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )


def _trainer(
    model: Any,
    tokenizer: Any,
    dataset: Any,
    settings: SFTSettings,
    seed: int,
    checkpoints: Path,
    new_tokens: bool,
    progress: loop.Progress | None,
) -> Any:
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    class Trainer(MeasuredSteps, SFTTrainer):
        """SFTTrainer in our order, with our optimiser and learning rates, and every loss kept."""

        rstar_settings = settings
        rstar_seed = seed
        rstar_progress = staticmethod(progress) if progress else None

    arguments = trl_launch.training_arguments(settings, len(dataset), seed, checkpoints)
    arguments |= {"max_length": settings.max_length, "packing": settings.trl.packing}
    arguments["dataset_kwargs"] = {"skip_prepare_dataset": True}  # nothing is left to prepare
    trainer = Trainer(
        model=model,
        args=SFTConfig(**arguments, pad_to_multiple_of=loop.WIDTH_STEP, shuffle_dataset=False),
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=trl_launch.adapters(settings.trl.lora, "CAUSAL_LM", new_tokens, "lm_head"),
    )
    trl_launch.require_whole_adapters(trainer, settings)
    trainer.remove_callback(PrinterCallback)  # `progress` hears of every step
    return trainer
