"""Training of reward models: one scalar at the last token of a text, under any loss over the texts of a problem.

The process preference model (`training.ppm`) is one use of it: pairs of texts and a ranking loss. An outcome reward
model (whole trajectories, correct or not) and a Q-value model (steps, their Q) are single texts with another loss.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from rstar_math.checkpoints.folder import load_tokenizer, pad_token_id_of, reward_model_from_policy
from rstar_math.config import PPMSettings
from rstar_math.errors import DataError, ModelError
from rstar_math.training import loop, packing
from rstar_math.training.examples import RewardExample, RewardLoss
from rstar_math.training.reports import Evaluation, TrainedRewardModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MIN_ROW_TOKENS = 512
"""A problem's texts are spread over several rows only beyond this many tokens (attention grows with the square)."""

EVAL_ROWS = 16
"""Most rows of one forward pass without gradients."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """Examples of one problem that go through the model together.

    Attributes:
      problem: index of the problem in the training order.
      rows: their texts: one trie, or one text each.
      row_of, token_of: `[E, K]` where each text's last token is.
      target, weight: `[E]`.
      examples: `[E]` indices of the examples as given.
    """

    problem: int
    rows: tuple[packing.TrieRow, ...]
    row_of: packing.IntArray
    token_of: packing.IntArray
    target: np.ndarray
    weight: np.ndarray
    examples: packing.IntArray

    @property
    def width(self) -> int:
        return max(row.num_tokens for row in self.rows)

    @property
    def num_tokens(self) -> int:
        return sum(row.num_tokens for row in self.rows)


@dataclass(frozen=True, slots=True)
class _Prepared:
    units: tuple[_Unit, ...]
    num_problems: int
    num_examples: int
    num_too_long: int


def train_reward_model(
    policy: Path,
    examples: Sequence[RewardExample],
    held_out: Sequence[RewardExample],
    settings: PPMSettings,
    loss: RewardLoss,
    seed: int,
    progress: loop.Progress | None = None,
    device: torch.device | None = None,
) -> TrainedRewardModel:
    """Trains a reward model from a policy's weights; a batch is `settings.batch_size` problems.

    Differs from the paper, which does not say when to stop: with `settings.early_stopping` the weights with the lowest
    held-out loss are kept, and training ends after `settings.patience` evaluations without a lower one. Without
    held-out examples it runs to its planned end.

    Raises:
      ModelError: the policy cannot be loaded or made a reward model, or the training diverged.
      DataError: no example is left to train on, or a problem is both trained on and held out.
    """
    start, cpu_start = time.perf_counter(), time.process_time()
    shared = {example.problem for example in examples} & {example.problem for example in held_out}
    if shared:
        raise DataError(f"{len(shared)} problems are both trained on and held out, for example {min(shared)!r}")
    if settings.backend == "trl":
        from rstar_math.training.trl_reward_model import train_reward_model_by_trl

        return train_reward_model_by_trl(policy, examples, held_out, settings, loss, seed, progress, device)
    device = device or loop.default_device()
    tokenizer = load_tokenizer(policy)
    pad_token_id = pad_token_id_of(tokenizer)
    dtype = loop.arithmetic_dtype(settings, device)

    with loop.seeded(seed, device):
        model = reward_model_from_policy(policy, pad_token_id, device)
        packed = takes_packed_rows(model, settings.max_length)
        train = _prepare(tokenizer, examples, settings.max_length, packed)
        test = _prepare(tokenizer, held_out, settings.max_length, packed)
        if train.num_examples == 0:
            raise DataError(
                f"no example is left of {len(examples)} to train a reward model on "
                f"({train.num_too_long} have a text longer than max_length = {settings.max_length} tokens)"
            )
        units_of: list[list[int]] = [[] for _ in range(train.num_problems)]
        for i, unit in enumerate(train.units):
            units_of[unit.problem].append(i)
        widths = [unit.width for unit in train.units]

        def micro_losses(batch: list[int]) -> Iterator[loop.MicroLoss]:
            members = [i for problem in batch for i in units_of[problem]]
            total_weight = sum(float(train.units[i].weight.sum()) for i in members)
            for group in loop.groups_of_like_width(members, widths, settings.micro_batch_size):
                units = [train.units[i] for i in group]
                logits = _unit_logits(model, units, packed, pad_token_id, dtype)
                target = torch.from_numpy(np.concatenate([unit.target for unit in units])).to(device)
                weight = torch.from_numpy(np.concatenate([unit.weight for unit in units])).to(device)
                share = loss(logits, target, weight) * (weight.sum() / total_weight)
                yield loop.MicroLoss(share, sum(unit.num_tokens for unit in units))

        num_steps = loop.num_optimiser_steps(settings, train.num_problems)
        steps_per_epoch = -(-train.num_problems // settings.batch_size)
        eval_every = -(-steps_per_epoch // settings.evals_per_epoch)
        evaluations: list[Evaluation] = []
        best: Evaluation | None = None
        best_weights: dict[str, Tensor] = {}

        def evaluate(step: int) -> bool:
            nonlocal best
            if not test.units or (step % eval_every and step != num_steps):
                return False
            logits, target, weight = _all_logits(model, test.units, packed, pad_token_id)
            now = Evaluation(step, loss(logits, target, weight).item(), _ranked_right(logits))
            evaluations.append(now)
            model.train()
            if not settings.early_stopping or best is None or now.loss < best.loss:
                best = now
                if settings.early_stopping:
                    best_weights.update({name: value.detach().clone() for name, value in model.state_dict().items()})
                return False
            return sum(later.step > best.step for later in evaluations) >= settings.patience

        batches = loop.shuffled_batches(train.num_problems, settings.batch_size, torch.Generator().manual_seed(seed))
        report = loop.optimise(model, settings, num_steps, batches, micro_losses, progress, evaluate)
        if best_weights:
            model.load_state_dict(best_weights)
    return TrainedRewardModel(
        model=model,
        tokenizer=tokenizer,
        num_problems=train.num_problems,
        num_examples=train.num_examples,
        num_held_out=test.num_examples,
        num_too_long=train.num_too_long + test.num_too_long,
        num_steps=len(report.losses),
        num_planned_steps=num_steps,
        num_tokens=report.num_tokens,
        losses=report.losses,
        evaluations=tuple(evaluations),
        best=best,
        packed=packed,
        dtype=str(dtype).removeprefix("torch."),
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu_start,
    )


def example_logits(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[RewardExample],
    packed: bool | None = None,
    max_length: int | None = None,
) -> np.ndarray:
    """Raw logits `[len(examples), K]` in float32; prefixes are shared where the model allows it (`packed` overrides).

    With `max_length`, examples with a longer text get nan, as they are dropped in training.

    Raises:
      DataError: a text is longer than the model's context, or all are longer than `max_length`.
    """
    context = _context_length(model)
    limit = context if max_length is None else min(max_length, context)
    if packed is None:
        packed = takes_packed_rows(model, limit)
    prepared = _prepare(tokenizer, examples, limit, packed)
    if prepared.num_too_long and (max_length is None or not prepared.units):
        raise DataError(f"{prepared.num_too_long} texts are longer than the reward model's context of {limit} tokens")
    logits, _, _ = _all_logits(model, prepared.units, packed, pad_token_id_of(tokenizer))
    order = np.concatenate([unit.examples for unit in prepared.units])
    result = np.full((len(examples), logits.shape[1]), np.nan)
    result[order] = logits.double().cpu().numpy()
    return result


def score_texts(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[float]:
    """The raw logit of each text at its last token, in float32, each text in a row of its own."""
    if not texts:
        return []
    examples = [RewardExample(str(i), (text,)) for i, text in enumerate(texts)]
    return [float(logit) for logit in example_logits(model, tokenizer, examples, packed=False)[:, 0]]


def takes_packed_rows(model: PreTrainedModel, max_length: int) -> bool:
    """Whether the model gives a packed token the hidden state that it has in its own text.

    Decided by trying it, in float32, on three sequences of eight tokens: attention back ends that want another form of
    mask fail or give other numbers. Sliding windows shorter than `max_length` count rows, not depth: no packing.
    """
    window = getattr(model.config.get_text_config(), "sliding_window", None)
    if window is not None and window < max_length:
        return False
    sequences = [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 8, 7, 6, 5], [1, 2, 5, 6, 7, 8, 3, 4]]
    row, last = packing.pack(sequences)
    device = model.device
    was_training = model.training
    model.eval()
    try:
        batch = packing.collate([row], row.num_tokens + 2, 0, device)
        with torch.inference_mode():
            together = model.base_model(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                attention_mask=batch.attention_mask,
                use_cache=False,
            ).last_hidden_state[0, torch.from_numpy(last).to(device)]
            alone = model.base_model(
                input_ids=torch.tensor(sequences, device=device), use_cache=False
            ).last_hidden_state[:, -1]
        return bool(torch.allclose(together, alone, rtol=1e-3, atol=1e-3))
    except (TypeError, ValueError, RuntimeError, IndexError):
        return False  # not an error: such models read plain rows, and the report says so
    finally:
        model.train(was_training)


def _prepare(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[RewardExample], max_length: int, packed: bool
) -> _Prepared:
    """Examples as units of rows, grouped by problem; those with a text of more than `max_length` tokens are dropped."""
    texts = list(dict.fromkeys(text for example in examples for text in example.texts))
    encoded = tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"] if texts else []
    tokens_of = dict(zip(texts, (tuple(ids) for ids in encoded), strict=True))
    if not all(tokens_of.values()):
        raise DataError("a text to be scored is empty")
    members: dict[str, list[int]] = {}
    for i, example in enumerate(examples):
        if all(len(tokens_of[text]) <= max_length for text in example.texts):
            members.setdefault(example.problem, []).append(i)
    kept = [i for indices in members.values() for i in indices]
    longest = max((len(tokens_of[text]) for i in kept for text in examples[i].texts), default=0)
    limit = max(MIN_ROW_TOKENS, 2 * longest)
    units: list[_Unit] = []
    for problem, indices in enumerate(members.values()):
        # neighbours in this order share the longest prefixes, so that a split doubles few tokens
        ordered = sorted(indices, key=lambda i: tokens_of[examples[i].texts[0]])
        for part in _split(ordered, examples, tokens_of, limit):
            units.append(_unit(problem, part, examples, tokens_of, packed))
    return _Prepared(tuple(units), len(members), len(kept), len(examples) - len(kept))


def _split(
    indices: list[int],
    examples: Sequence[RewardExample],
    tokens_of: dict[str, tuple[int, ...]],
    limit: int,
) -> list[list[int]]:
    """Halves a problem's examples until each part's trie has at most `limit` tokens, or is a single example."""
    texts = {text for i in indices for text in examples[i].texts}
    if len(indices) == 1 or packing.num_packed_tokens([tokens_of[text] for text in texts]) <= limit:
        return [indices]
    middle = len(indices) // 2
    return [
        *_split(indices[:middle], examples, tokens_of, limit),
        *_split(indices[middle:], examples, tokens_of, limit),
    ]


def _unit(
    problem: int,
    indices: list[int],
    examples: Sequence[RewardExample],
    tokens_of: dict[str, tuple[int, ...]],
    packed: bool,
) -> _Unit:
    texts = list(dict.fromkeys(text for i in indices for text in examples[i].texts))
    sequences = [tokens_of[text] for text in texts]
    rows: tuple[packing.TrieRow, ...]
    if packed:
        row, last = packing.pack(sequences)
        rows = (row,)
        place = {text: (0, int(token)) for text, token in zip(texts, last, strict=True)}
    else:
        rows = tuple(packing.pack([sequence])[0] for sequence in sequences)
        place = {text: (i, len(tokens_of[text]) - 1) for i, text in enumerate(texts)}
    places = np.array([[place[text] for text in examples[i].texts] for i in indices], np.int64)  # [E, K, 2]
    return _Unit(
        problem=problem,
        rows=rows,
        row_of=places[:, :, 0],
        token_of=places[:, :, 1],
        target=np.array([examples[i].target for i in indices], np.float32),
        weight=np.array([examples[i].weight for i in indices], np.float32),
        examples=np.array(indices, np.int64),
    )


def _unit_logits(
    model: PreTrainedModel, units: Sequence[_Unit], packed: bool, pad_token_id: int, dtype: torch.dtype
) -> Tensor:
    """Raw logits `[E, K]` of the units' examples, in their order; one forward pass."""
    device = model.device
    rows = [row for unit in units for row in unit.rows]
    first_row = np.cumsum([0] + [len(unit.rows) for unit in units[:-1]])
    row_of = np.concatenate([unit.row_of + first for unit, first in zip(units, first_row, strict=True)])
    token_of = np.concatenate([unit.token_of for unit in units])
    width = loop.padded_width(max(row.num_tokens for row in rows))
    batch = packing.collate(rows, width, pad_token_id, device)
    with loop.autocast(device, dtype):
        if packed:
            output = model.base_model(
                input_ids=batch.input_ids,
                position_ids=batch.position_ids,
                attention_mask=batch.attention_mask,
                use_cache=False,
            )
        else:  # padding is on the right, where no token of a causal model sees it: no mask is needed
            output = model.base_model(input_ids=batch.input_ids, use_cache=False)
    hidden = output.last_hidden_state  # [B, T, D]
    ends = hidden[torch.from_numpy(row_of).to(device), torch.from_numpy(token_of).to(device)]  # [E, K, D]
    head = cast(torch.nn.Linear, model.score)  # in float32: autocast has ended
    logits: Tensor = head(ends.float())  # [E, K, 1]
    return logits.squeeze(-1)  # [E, K]


def _all_logits(
    model: PreTrainedModel, units: Sequence[_Unit], packed: bool, pad_token_id: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits `[E, K]`, targets `[E]` and weights `[E]` of all units' examples, in the units' order; float32."""
    model.eval()
    logits: list[Tensor | None] = [None] * len(units)
    with torch.inference_mode():
        for group in loop.groups_of_like_width(range(len(units)), [unit.width for unit in units], EVAL_ROWS):
            members = [units[i] for i in group]
            found = _unit_logits(model, members, packed, pad_token_id, torch.float32)
            for i, part in zip(group, found.split([len(unit.weight) for unit in members]), strict=True):
                logits[i] = part
    target = torch.from_numpy(np.concatenate([unit.target for unit in units]))
    weight = torch.from_numpy(np.concatenate([unit.weight for unit in units]))
    together = torch.cat([part for part in logits if part is not None])
    if not bool(torch.isfinite(together).all()):
        raise ModelError("the reward model gives logits that are not finite numbers")
    return together, target.to(together.device), weight.to(together.device)


def _ranked_right(logits: Tensor) -> float | None:
    """Share of pairs whose first text scores higher, ties counting half; None where examples are not pairs."""
    if logits.shape[1] != 2:
        return None
    margin = logits[:, 0] - logits[:, 1]
    return float(((margin > 0).float() + 0.5 * (margin == 0).float()).mean())


def _context_length(model: PreTrainedModel) -> int:
    return int(getattr(model.config.get_text_config(), "max_position_embeddings", 1 << 30))
