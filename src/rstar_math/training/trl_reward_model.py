"""Reward models with TRL and accelerate: PPM, ORM and PQM, by the loss of `training.reward_model`'s caller.

The same examples, order of problems, loss and learning rates as `training.reward_model`. Differs from it in that texts
stand in rows of their own: shared prefixes are read again in every text, because several GPUs need the model's own
forward.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rstar_math.checkpoints.folder import (
    load_reward_model,
    load_tokenizer,
    pad_token_id_of,
    quiet_transformers,
    reward_model_from_policy,
    save_model,
)
from rstar_math.config import PPMSettings
from rstar_math.errors import DataError
from rstar_math.training import loop, trl_launch
from rstar_math.training.examples import RewardExample, RewardLoss
from rstar_math.training.reports import Evaluation, TrainedRewardModel
from rstar_math.training.trl_steps import MeasuredSteps

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_EVAL_TEXTS = 16


@dataclass(frozen=True, slots=True)
class _Problem:
    """The examples of one problem: their texts as tokens, and `[E, K]` which texts each example is of."""

    texts: tuple[tuple[int, ...], ...]
    places: tuple[tuple[int, ...], ...]
    target: tuple[float, ...]
    weight: tuple[float, ...]


def train_reward_model_by_trl(
    policy: Path,
    examples: Sequence[RewardExample],
    held_out: Sequence[RewardExample],
    settings: PPMSettings,
    loss: RewardLoss,
    seed: int,
    progress: loop.Progress | None = None,
    device: torch.device | None = None,
) -> TrainedRewardModel:
    """`training.reward_model.train_reward_model` with TRL; see there. `loss` must be a function of a module.

    Raises:
      ModelError: TRL is not installed, the policy cannot be loaded, the training diverged, or a process failed.
      DataError: no example is left to train on.
    """
    trl_launch.require_packages()
    if not trl_launch.must_launch(settings):
        return _train(policy, examples, held_out, settings, loss, seed, progress)
    with tempfile.TemporaryDirectory(prefix="rstar-reward-") as folder:
        arguments = (policy, list(examples), list(held_out), settings, loss, seed, Path(folder))
        made = trl_launch.launch(_train_into, settings, *arguments)
        model = load_reward_model(Path(folder), loop.default_device()).eval()
    return TrainedRewardModel(model=model, tokenizer=load_tokenizer(policy), **made)


def _train_into(
    policy: Path,
    examples: Sequence[RewardExample],
    held_out: Sequence[RewardExample],
    settings: PPMSettings,
    loss: RewardLoss,
    seed: int,
    folder: Path,
) -> dict[str, Any]:
    """Trains, saves the model, and returns everything of the result that is no model."""
    trained = _train(policy, examples, held_out, settings, loss, seed, None)
    save_model(trained.model, trained.tokenizer, folder)
    return {f.name: getattr(trained, f.name) for f in fields(trained) if f.name not in ("model", "tokenizer")}


def _train(
    policy: Path,
    examples: Sequence[RewardExample],
    held_out: Sequence[RewardExample],
    settings: PPMSettings,
    loss: RewardLoss,
    seed: int,
    progress: loop.Progress | None,
) -> TrainedRewardModel:
    start, cpu_start = time.perf_counter(), time.process_time()
    tokenizer = load_tokenizer(policy)
    pad_token_id = pad_token_id_of(tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = pad_token_id
    train, num_long = _prepare(tokenizer, examples, settings.max_length)
    test, num_long_test = _prepare(tokenizer, held_out, settings.max_length)
    if not train:
        raise DataError(
            f"no example is left of {len(examples)} to train a reward model on ({num_long} have a text longer than "
            f"max_length = {settings.max_length} tokens)"
        )
    name = f"{loss.__module__}.{getattr(loss, '__qualname__', repr(loss))}"
    checkpoints = trl_launch.checkpoint_folder(policy.parent / "reward", settings, policy, train, seed, name)
    trl_launch.prepare_environment(settings)
    device = loop.default_device()
    with loop.seeded(seed, device):
        model = reward_model_from_policy(policy, pad_token_id, device)
        trainer = _trainer(model, tokenizer, train, test, settings, loss, seed, checkpoints, progress)
        with loop.residual_dropout(model, settings.dropout), quiet_transformers():
            trainer.train(resume_from_checkpoint=trl_launch.last_checkpoint(checkpoints))
    # Decided alike in all processes: weights are gathered by all of them, and only the first gets them (FSDP).
    is_best_kept = settings.early_stopping and trainer.best is not None
    state = trainer.best_weights if is_best_kept else trainer.accelerator.get_state_dict(trainer.model)
    if not trainer.accelerator.is_main_process:
        raise trl_launch.OtherProcess
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if settings.trl.lora is not None:
        trained.load_state_dict(state, strict=False)
        trained = trained.merge_and_unload()
    else:
        trained = reward_model_from_policy(policy, pad_token_id, device)
        trained.load_state_dict(state)
    shutil.rmtree(checkpoints, ignore_errors=True)
    num_steps = len(trainer.losses)
    planned = trainer.args.max_steps
    num_tokens = sum(len(text) for problem in train for text in problem.texts)
    return TrainedRewardModel(
        model=trained.eval(),
        tokenizer=tokenizer,
        num_problems=len(train),
        num_examples=sum(len(p.places) for p in train),
        num_held_out=sum(len(p.places) for p in test),
        num_too_long=num_long + num_long_test,
        num_steps=num_steps,
        num_planned_steps=planned,
        num_tokens=round(num_tokens * num_steps * settings.batch_size / len(train)),
        losses=tuple(trainer.losses),
        evaluations=tuple(trainer.evaluations),
        best=trainer.best,
        packed=False,
        dtype="bfloat16" if trainer.args.bf16 else "float32",
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )


def _prepare(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[RewardExample], max_length: int
) -> tuple[list[_Problem], int]:
    """Examples grouped by problem, in the order of `training.reward_model`; those with a too long text are counted."""
    texts = list(dict.fromkeys(text for example in examples for text in example.texts))
    encoded = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"] if texts else []
    tokens_of = dict(zip(texts, (tuple(ids) for ids in encoded), strict=True))
    if not all(tokens_of.values()):
        raise DataError("a text to be scored is empty")
    members: dict[str, list[RewardExample]] = {}
    for example in examples:
        if all(len(tokens_of[text]) <= max_length for text in example.texts):
            members.setdefault(example.problem, []).append(example)
    problems = []
    for group in members.values():
        place = {text: i for i, text in enumerate(dict.fromkeys(t for e in group for t in e.texts))}
        problems.append(
            _Problem(
                texts=tuple(tokens_of[text] for text in place),
                places=tuple(tuple(place[text] for text in e.texts) for e in group),
                target=tuple(e.target for e in group),
                weight=tuple(e.weight for e in group),
            )
        )
    num_kept = sum(len(p.places) for p in problems)
    return problems, len(examples) - num_kept


def _collate(problems: Sequence[_Problem], pad_token_id: int) -> dict[str, Tensor]:
    """Texts `[N, T]` padded on the right, and which of them each example `[E, K]` is of."""
    texts = [text for problem in problems for text in problem.texts]
    width = loop.padded_width(max(map(len, texts)))
    input_ids = torch.full((len(texts), width), pad_token_id)
    mask = torch.zeros((len(texts), width), dtype=torch.long)
    for i, text in enumerate(texts):
        input_ids[i, : len(text)] = torch.tensor(text)
        mask[i, : len(text)] = 1
    first, places = 0, []
    for problem in problems:
        places += [[first + i for i in example] for example in problem.places]
        first += len(problem.texts)
    return {
        "input_ids": input_ids,
        "attention_mask": mask,
        "places": torch.tensor(places),
        "target": torch.tensor([t for p in problems for t in p.target]),
        "weight": torch.tensor([w for p in problems for w in p.weight]),
    }


def _trainer(
    model: Any,
    tokenizer: Any,
    train: Sequence[_Problem],
    test: Sequence[_Problem],
    settings: PPMSettings,
    loss: RewardLoss,
    seed: int,
    checkpoints: Path,
    progress: loop.Progress | None,
) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback
    from trl import RewardConfig, RewardTrainer

    pad_token_id = int(tokenizer.pad_token_id)

    class Trainer(MeasuredSteps, RewardTrainer):
        """RewardTrainer for any loss over the texts of a problem: its own knows pairs of equal weight only."""

        rstar_settings = settings
        rstar_seed = seed
        rstar_progress = staticmethod(progress) if progress else None

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.loss_is_scaled_for_ga = True  # the loss is a share of the whole batch's: never divided again
            self.evaluations: list[Evaluation] = []
            self.best: Evaluation | None = None
            self.best_weights: dict[str, Tensor] = {}

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

        def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor:
            total = sum(batch["weight"].sum() for batch in batch_samples)
            totals: Tensor = self.accelerator.gather(torch.as_tensor(total).to(device))  # [processes]
            return totals.sum()

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            weight = inputs["weight"]
            share = loss(_example_logits(model, inputs), inputs["target"], weight)
            # processes are averaged, and shares are of the batch of all of them
            return share * (weight.sum() / num_items_in_batch) * self.accelerator.num_processes

    class HeldOut(TrainerCallback):
        """Evaluates now and then, keeps the best weights, and ends the training when patience does."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            steps_per_epoch = -(-len(train) // settings.batch_size)
            every = -(-steps_per_epoch // settings.evals_per_epoch)
            if test and (state.global_step % every == 0 or state.global_step == args.max_steps):
                control.should_training_stop |= _evaluate(
                    trainer, state.global_step, test, settings, loss, pad_token_id
                )
            return control

    arguments = trl_launch.training_arguments(settings, len(train), seed, checkpoints)
    trainer = Trainer(
        model=model,
        args=RewardConfig(**arguments, max_length=None, disable_dropout=False, center_rewards_coefficient=None),
        train_dataset=Dataset.from_list([asdict(problem) for problem in train]),
        processing_class=tokenizer,
        data_collator=lambda rows: _collate([_Problem(**row) for row in rows], pad_token_id),
        peft_config=trl_launch.adapters(settings.trl.lora, "SEQ_CLS", False, "score"),
    )
    trl_launch.require_whole_adapters(trainer, settings)
    trainer.remove_callback(PrinterCallback)  # `progress` hears of every step
    trainer.add_callback(HeldOut())
    return trainer


def _example_logits(model: Any, inputs: Any) -> Tensor:
    """Raw logits `[E, K]` in float32."""
    output = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
    logits: Tensor = output.logits.squeeze(-1).float()  # [N]
    return logits[inputs["places"]]


@torch.no_grad()
def _evaluate(
    trainer: Any, step: int, test: Sequence[_Problem], settings: PPMSettings, loss: RewardLoss, pad_token_id: int
) -> bool:
    """Held-out loss and accuracy of the weights as they are; True where training should end."""
    model = trainer.model_wrapped
    model.eval()
    logits, target, weight = [], [], []
    group: list[_Problem] = []
    for i, problem in enumerate(test):
        group.append(problem)
        if sum(len(p.texts) for p in group) >= _EVAL_TEXTS or i == len(test) - 1:
            inputs = {k: v.to(trainer.accelerator.device) for k, v in _collate(group, pad_token_id).items()}
            logits.append(_example_logits(model, inputs))
            target.append(inputs["target"])
            weight.append(inputs["weight"])
            group = []
    model.train()
    together = torch.cat(logits)
    accuracy = None
    if together.shape[1] == 2:
        margin = together[:, 0] - together[:, 1]
        accuracy = float(((margin > 0).float() + 0.5 * (margin == 0).float()).mean())
    now = Evaluation(step, float(loss(together, torch.cat(target), torch.cat(weight))), accuracy)
    trainer.evaluations.append(now)
    if not settings.early_stopping or trainer.best is None or now.loss < trainer.best.loss:
        trainer.best = now
        if settings.early_stopping:
            state = trainer.accelerator.get_state_dict(trainer.model)
            trainer.best_weights = {name: value.detach().cpu().clone() for name, value in state.items()}
        return False
    num_worse: int = sum(later.step > trainer.best.step for later in trainer.evaluations)
    return num_worse >= settings.patience
