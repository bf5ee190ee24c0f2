"""The loop: learning rates and dropout by hand, gradient checkpointing, a loss that diverges."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tests.training.test_sft import make_examples

from rstar_math.checkpoints.folder import load_causal_lm
from rstar_math.config import SFTSettings
from rstar_math.training import loop
from rstar_math.training.device import seeded
from rstar_math.training.sft import train_sft

CPU = torch.device("cpu")


def settings(**changes: object) -> SFTSettings:
    return SFTSettings.model_validate({"num_steps": 12, "batch_size": 4, "dtype": "float32"} | changes)


def test_learning_rate_schedules_by_hand() -> None:
    def factors(schedule: str) -> list[float]:
        chosen = settings(schedule=schedule, warmup_steps=1)
        return [loop.learning_rate_factor(step, 5, chosen) for step in range(5)]

    assert factors("linear") == pytest.approx([0.5, 1.0, 0.75, 0.5, 0.25])
    assert factors("constant") == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0])
    root = math.sqrt(0.5)
    assert factors("cosine") == pytest.approx([0.5, 1.0, (1 + root) / 2, 0.5, (1 - root) / 2])


def test_dropout_acts_in_training_only(tiny_checkpoint: Path) -> None:
    model = load_causal_lm(tiny_checkpoint, CPU)
    ids = torch.arange(20)[None]
    plain = model(ids).logits
    with loop.residual_dropout(model, 0.5), seeded(0, CPU):
        assert torch.equal(model(ids).logits, plain)
        model.train()
        assert not torch.allclose(model(ids).logits, plain)
    assert torch.equal(model(ids).logits, plain)  # the hooks are gone


@pytest.mark.parametrize("packing", [False, True])
def test_recomputed_activations_change_no_gradient(packing: bool, tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Dropout is drawn again as it was."""
    losses: dict[bool, list[float]] = {}
    for again in (False, True):
        heard = losses.setdefault(again, [])
        chosen = settings(num_steps=3, gradient_checkpointing=again, packing=packing, dropout=0.1, max_length=200)
        train_sft(
            tiny_checkpoint, make_examples(4), chosen, tmp_path / str(again), 1,
            lambda step, num_steps, loss, tokens, heard=heard: heard.append(loss), CPU,
        )  # fmt: skip
    assert losses[True] == pytest.approx(losses[False], abs=1e-5)
    assert losses[True][-1] != losses[True][0]


def test_only_matrices_decay() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    module[0].weight.requires_grad_(False)
    groups = loop.optimiser_of(module, settings(weight_decay=0.5)).param_groups
    assert [(g["weight_decay"], [p.dim() for p in g["params"]]) for g in groups] == [(0.5, []), (0.0, [1, 1, 1])]
    module[0].weight.requires_grad_(True)
    groups = loop.optimiser_of(module, settings(weight_decay=0.5)).param_groups
    assert [p.dim() for p in groups[0]["params"]] == [2]
