"""What a reward model makes of texts: one scalar at the last token of each.

Prefixes are read once where the model allows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from rstar_math.checkpoints.folder import pad_token_id_of
from rstar_math.errors import DataError, ModelError
from rstar_math.training import batches, packing
from rstar_math.training.device import autocast
from rstar_math.training.examples import RewardExample
from rstar_math.training.units import Unit, prepare

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EVAL_ROWS = 16
"""Most rows of one forward pass without gradients."""


class Scorer(nn.Module):
    """A reward model as the loop trains it: from rows of tokens to the logits of the texts that end in them.

    The forward pass is a module's own, because that is what several processes wrap.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Takes the model, whose layers stay its own."""
        super().__init__()
        self.model = model
        self.config: Any = model.config
        self._no_split_modules = model._no_split_modules  # the layers that FSDP shards, one at a time

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None,
        attention_mask: Tensor | None,
        row_of: Tensor,
        token_of: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        """Raw logits `[E, K]` in float32.

        Args:
          input_ids: `[B, T]`.
          position_ids, attention_mask: as `packing.collate` makes them; None for rows of one text each, padded on the
            right, where no token of a causal model sees the padding.
          row_of, token_of: `[E, K]` where each text's last token is.
          dtype: arithmetic of the layers.
        """
        placed = {} if position_ids is None else {"position_ids": position_ids, "attention_mask": attention_mask}
        with autocast(input_ids.device, dtype):
            output = self.model.base_model(input_ids=input_ids, use_cache=False, **placed)
        hidden = output.last_hidden_state  # [B, T, D]
        ends = hidden[row_of, token_of]  # [E, K, D]
        head = cast(nn.Linear, self.model.score)  # in float32: autocast has ended
        logits: Tensor = head(ends.to(next(head.parameters()).dtype))  # [E, K, 1]
        return logits.squeeze(-1).float()


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
    prepared = prepare(tokenizer, examples, limit, packed)
    if prepared.num_too_long and (max_length is None or not prepared.units):
        raise DataError(f"{prepared.num_too_long} texts are longer than the reward model's context of {limit} tokens")
    logits, _, _ = all_logits(Scorer(model), prepared.units, packed, pad_token_id_of(tokenizer), model.device)
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


def unit_logits(
    scorer: nn.Module,
    units: Sequence[Unit],
    packed: bool,
    pad_token_id: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Raw logits `[E, K]` of the units' examples, in their order; one forward pass of a `Scorer`."""
    rows = [row for unit in units for row in unit.rows]
    first_row = np.cumsum([0] + [len(unit.rows) for unit in units[:-1]])
    row_of = np.concatenate([unit.row_of + first for unit, first in zip(units, first_row, strict=True)])
    token_of = np.concatenate([unit.token_of for unit in units])
    width = batches.padded_width(max(row.num_tokens for row in rows))
    batch = packing.collate(rows, width, pad_token_id, device)
    placed = (batch.position_ids, batch.attention_mask) if packed else (None, None)
    ends = (torch.from_numpy(row_of).to(device), torch.from_numpy(token_of).to(device))
    logits: Tensor = scorer(batch.input_ids, *placed, *ends, dtype)
    return logits


def all_logits(
    scorer: nn.Module, units: Sequence[Unit], packed: bool, pad_token_id: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits `[E, K]`, targets `[E]` and weights `[E]` of all units' examples, in the units' order; float32.

    Raises:
      ModelError: a logit is not a finite number.
    """
    scorer.eval()
    logits: list[Tensor | None] = [None] * len(units)
    with torch.inference_mode():
        for group in batches.groups_of_like_width(range(len(units)), [unit.width for unit in units], EVAL_ROWS):
            members = [units[i] for i in group]
            found = unit_logits(scorer, members, packed, pad_token_id, torch.float32, device)
            for i, part in zip(group, found.split([len(unit.weight) for unit in members]), strict=True):
                logits[i] = part
    target = torch.from_numpy(np.concatenate([unit.target for unit in units]))
    weight = torch.from_numpy(np.concatenate([unit.weight for unit in units]))
    together = torch.cat([part for part in logits if part is not None])
    if not bool(torch.isfinite(together).all()):
        raise ModelError("the reward model gives logits that are not finite numbers")
    return together, target.to(together.device), weight.to(together.device)


def share_ranked_right(logits: Tensor) -> float | None:
    """Share of pairs whose first text scores higher, ties counting half; None where examples are not pairs."""
    if logits.shape[1] != 2:
        return None
    margin = logits[:, 0] - logits[:, 1]
    return float(((margin > 0).float() + 0.5 * (margin == 0).float()).mean())


def _context_length(model: PreTrainedModel) -> int:
    return int(getattr(model.config.get_text_config(), "max_position_embeddings", 1 << 30))
