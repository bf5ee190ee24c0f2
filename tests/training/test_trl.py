"""The TRL path trains as the torch path does: the same loss at every step, on tiny checkpoints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("trl", reason="extra `train` is not installed: the TRL path is not tested")

from datasets import Dataset
from safetensors.torch import load_file
from tests.engines.tiny_checkpoints import save_checkpoint
from tests.growing import grow_fake
from tests.training.test_ppm import make_pairs
from tests.training.test_sft import make_examples
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import RewardConfig, RewardTrainer, SFTConfig, SFTTrainer, pack_dataset

from rstar_math import steps
from rstar_math.checkpoints.ppm_file import read_ppm_file
from rstar_math.config import PPMSettings, SearchSettings, SelectionSettings, SFTSettings
from rstar_math.errors import ModelError
from rstar_math.stages.select import select
from rstar_math.store.interchange import Format, write_interchange
from rstar_math.training import trl_launch
from rstar_math.training.examples import RewardExample, tokenise_all
from rstar_math.training.markers import add_markers
from rstar_math.training.ppm import pair_accuracy, train_ppm
from rstar_math.training.reward_model import train_reward_model
from rstar_math.training.sft import train_sft

CPU = torch.device("cpu")
PLAIN = {"gradient_checkpointing": False}


def sft_settings(**changes: Any) -> SFTSettings:
    values: dict[str, Any] = {"learning_rate": 3e-3, "num_steps": 5, "batch_size": 4, "warmup_steps": 2}
    values |= {"weight_decay": 0.1, "max_length": 240, "dtype": "float32", "trl": PLAIN}
    return SFTSettings.model_validate(values | changes)


def ppm_settings(**changes: Any) -> PPMSettings:
    values: dict[str, Any] = {"learning_rate": 1e-3, "num_epochs": 2, "batch_size": 4, "max_length": 240}
    values |= {"dtype": "float32", "evals_per_epoch": 1, "trl": PLAIN}
    return PPMSettings.model_validate(values | changes)


def sft_losses(base: Path, out: Path, settings: SFTSettings) -> list[float]:
    heard: list[float] = []
    train_sft(base, make_examples(6), settings, out, 3, lambda step, total, loss, tokens: heard.append(loss), CPU)
    return heard


def ppm_losses(base: Path, out: Path, settings: PPMSettings) -> tuple[list[float], Any]:
    heard: list[float] = []
    pairs, held_out = make_pairs(range(10, 16)), make_pairs(range(40, 42))
    report = train_ppm(
        base, pairs, held_out, settings, out, 3, lambda step, total, loss, tokens: heard.append(loss), CPU
    )
    return heard, report


@pytest.mark.parametrize(
    "architecture",
    ["qwen2", pytest.param("phi3", marks=pytest.mark.slow), pytest.param("llama", marks=pytest.mark.slow)],
)
def test_both_paths_give_the_same_sft_losses(architecture: str, tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", architecture)
    ours = sft_losses(base, tmp_path / "torch", sft_settings())
    # two forward passes for each batch, over two epochs and the short batch at the end of the first
    theirs = sft_losses(base, tmp_path / "trl", sft_settings(backend="trl", micro_batch_size=2))
    assert len(ours) == len(theirs) == 5
    assert ours[0] != pytest.approx(ours[-1], abs=1e-2)  # it learns
    assert theirs == pytest.approx(ours, abs=1e-4)
    weights = [dict(AutoModelForCausalLM.from_pretrained(tmp_path / n).state_dict()) for n in ("torch", "trl")]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=2e-3), name


@pytest.mark.parametrize(
    "architecture",
    ["qwen2", pytest.param("phi3", marks=pytest.mark.slow), pytest.param("llama", marks=pytest.mark.slow)],
)
def test_both_paths_give_the_same_ppm_losses(architecture: str, tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", architecture)
    ours, report = ppm_losses(base, tmp_path / "torch", ppm_settings())
    theirs, other = ppm_losses(base, tmp_path / "trl", ppm_settings(backend="trl", micro_batch_size=2))
    assert len(ours) == len(theirs) == 4
    assert theirs == pytest.approx(ours, abs=1e-4)
    assert [e.loss for e in other.evaluations] == pytest.approx([e.loss for e in report.evaluations], abs=1e-3)
    assert (other.num_problems, other.num_pairs, other.num_held_out_pairs) == (6, 18, 6)
    probes = [read_ppm_file(tmp_path / n).probes for n in ("torch", "trl")]
    assert [p.logit for p in probes[1]] == pytest.approx([p.logit for p in probes[0]], abs=1e-2)
    assert 0 <= pair_accuracy(tmp_path / "trl", make_pairs(range(40, 42)), CPU) <= 1


@pytest.mark.parametrize(
    "architecture",
    ["qwen2", pytest.param("phi3", marks=pytest.mark.slow), pytest.param("llama", marks=pytest.mark.slow)],
)
def test_packing_without_flash_attention_gives_the_same_losses(architecture: str, tmp_path: Path) -> None:
    """Packed examples do not see one another: the mask follows from position ids that begin anew."""
    base = save_checkpoint(tmp_path / "base", architecture)
    examples = make_examples(6)
    tokenizer = AutoTokenizer.from_pretrained(base)
    lengths = [len(row.input_ids) for row in tokenise_all(tokenizer, examples, 240).rows]
    assert sum(lengths) > 240 > 2 * min(lengths)  # several rows, and several examples in one
    plain = sft_settings(backend="trl", num_steps=3, batch_size=6)
    apart = sft_losses(base, tmp_path / "apart", plain)
    num_rows = len(pack_dataset(Dataset.from_dict({"input_ids": [[0] * n for n in lengths]}), 240, "bfd"))
    packed = plain.model_copy(
        update={"batch_size": num_rows, "trl": plain.trl.model_copy(update={"packing": True}), "num_steps": 3}
    )
    heard: list[float] = []
    report = train_sft(
        base, examples, packed, tmp_path / "packed", 3, lambda step, total, loss, tokens: heard.append(loss), CPU
    )
    assert num_rows < 6
    assert heard == pytest.approx(apart, abs=1e-4)
    assert (report.num_examples, report.num_epochs) == (6, 3)


def squared(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The loss of a model that regresses Q values: single texts with a target."""
    return (weight * (torch.tanh(logits[:, 0]) - target) ** 2).sum() / weight.sum()


def test_any_loss_over_single_texts_goes_through_the_same_trainer(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "llama")
    examples = [
        RewardExample(f"p{i}", (steps.prompt(f"{i}?") + f"\nx = {k}\n",), target=0.5 - k, weight=1.0 + k)
        for i in range(5)
        for k in range(2)
    ]
    settings = ppm_settings(batch_size=2, num_epochs=1)
    ours = train_reward_model(base, examples, [], settings, squared, 1, None, CPU)
    theirs = train_reward_model(
        base, examples, [], settings.model_copy(update={"backend": "trl"}), squared, 1, None, CPU
    )
    assert theirs.losses == pytest.approx(ours.losses, abs=1e-4)


def test_nothing_is_said_of_a_training_over_the_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def told(*_: Any, **__: Any) -> None:
        raise AssertionError("a training was reported")

    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", told)
    monkeypatch.delenv("CI", raising=False)  # where TRL keeps quiet by itself
    base = save_checkpoint(tmp_path / "base", "qwen2")
    assert sft_losses(base, tmp_path / "policy", sft_settings(backend="trl", num_steps=1))
    assert ppm_losses(base, tmp_path / "ppm", ppm_settings(backend="trl", num_epochs=1))[0]


@pytest.mark.parametrize("kind", ["trl", "messages"])
def test_trl_itself_trains_on_what_is_written_for_it(kind: Format, tmp_path: Path) -> None:
    tree = grow_fake("mcts", SearchSettings(num_rollouts=16, num_candidates=6, use_ppm=False))
    selected = select([tree], SelectionSettings(), None)
    files = write_interchange(tmp_path, kind, selected.rows(), selected.pairs)
    trainers: list[tuple[Path, Any, Any, int]] = [
        (files[0], SFTTrainer, SFTConfig, 0),
        (files[1], RewardTrainer, RewardConfig, 1),
    ]
    for file, trainer, config, num_labels in trainers:
        folder = save_checkpoint(tmp_path / trainer.__name__, "qwen2", num_labels=num_labels)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
        rows = Dataset.from_json(str(file), cache_dir=str(tmp_path / "cache"))
        arguments = {"max_steps": 1, "per_device_train_batch_size": 2, "max_length": 256, "use_cpu": True}
        made = trainer(
            model=str(folder),
            args=config(str(tmp_path / "out"), report_to="none", bf16=False, save_strategy="no", **arguments),
            train_dataset=rows,
            processing_class=tokenizer,
        )
        assert len(made.train_dataset) == len(rows) > 0  # none was filtered out
        assert 0 < made.train().training_loss < 100


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "llama")
    settings = ppm_settings(early_stopping=True, patience=1, num_epochs=8, learning_rate=0.3, backend="trl")
    _, report = ppm_losses(base, tmp_path / "ppm", settings)
    best = min(report.evaluations, key=lambda e: e.loss)
    assert report.held_out_loss == best.loss
    assert report.num_steps < report.num_planned_steps
    content = read_ppm_file(tmp_path / "ppm")
    assert pair_accuracy(tmp_path / "ppm", make_pairs(range(40, 42)), CPU) == pytest.approx(content.pair_accuracy)


@pytest.mark.slow
def test_a_stopped_training_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "qwen2")
    settings = sft_settings(backend="trl", num_steps=7, trl=PLAIN | {"save_steps": 2})
    whole = sft_losses(base, tmp_path / "whole", settings)

    class Stopped(Exception): ...

    def stop(step: int, num_steps: int, loss: float, num_tokens: int) -> None:
        if step == 6:
            raise Stopped

    with pytest.raises(Stopped):
        train_sft(base, make_examples(6), settings, tmp_path / "policy", 3, stop, CPU)
    assert not (tmp_path / "policy").exists()
    assert sft_losses(base, tmp_path / "policy", settings) == pytest.approx(whole[4:], abs=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base", "policy", "whole"]


@pytest.mark.slow
def test_lora_with_checkpointing_learns_and_leaves_an_ordinary_folder(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "qwen2", markers=())
    lora = {"rank": 8, "alpha": 16}
    board = tmp_path / "board"
    settings = sft_settings(
        backend="trl", num_steps=12, learning_rate=5e-3, trl={"lora": lora, "tensorboard": str(board)}
    )
    losses = sft_losses(base, tmp_path / "policy", settings)
    assert losses[-1] < 0.8 * losses[0]
    assert list(board.rglob("events.out.*"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "policy")
    assert all(len(tokenizer(m, add_special_tokens=False)["input_ids"]) == 1 for m in steps.MARKERS)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "policy")
    assert not [name for name, _ in model.named_parameters() if "lora" in name]


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "qwen2")
    one = train_sft(base, make_examples(8), sft_settings(backend="trl"), tmp_path / "one", 3, None, CPU)
    settings = sft_settings(backend="trl", trl=PLAIN | {"num_processes": 2})
    two = train_sft(base, make_examples(8), settings, tmp_path / "two", 3, None, CPU)
    assert two.first_loss == pytest.approx(one.first_loss, abs=1e-4)
    assert two.last_loss == pytest.approx(one.last_loss, abs=1e-3)


@pytest.mark.slow
def test_sharded_processes_train_as_one_does(tmp_path: Path) -> None:
    """FSDP2 over two processes: the losses of one process, and whole weights in the folders that the first writes."""
    save_checkpoint(tmp_path / "base", "qwen2")
    module = ["-m", "tests.training.forced_fsdp", str(tmp_path)]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = {k: v for k, v in os.environ.items() if k != "RANK"} | {"OMP_NUM_THREADS": "1"}
    for command in (module, launch + module):
        done = subprocess.run(
            [sys.executable, *command], env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "fsdp"))
    assert one["sharded"] == []
    assert {"Qwen2DecoderLayer", "Qwen2ForCausalLM", "Qwen2ForSequenceClassification"} <= set(two["sharded"])
    for kind in ("sft", "orm"):
        assert len(one[kind]) == 2
        assert two[kind] == pytest.approx(one[kind], abs=1e-4)
        weights = [load_file(tmp_path / name / kind / "model.safetensors") for name in ("one", "fsdp")]
        assert weights[0].keys() == weights[1].keys()
        assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-4) for name in weights[0])


def test_a_base_without_markers_gets_them_as_tokens(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "qwen2", markers=())
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    before = model.get_input_embeddings().weight.shape[0]
    ids = add_markers(model, tokenizer)
    assert len(ids) == len(steps.MARKERS)
    assert model.get_input_embeddings().weight.shape[0] == model.config.vocab_size == max(ids) + 1 > before
    mean = model.get_input_embeddings().weight[:before].mean(dim=0)
    assert torch.allclose(model.get_input_embeddings().weight[ids[3]], mean)
    assert tokenizer.decode(tokenizer(steps.OUTPUT)["input_ids"], skip_special_tokens=True) == steps.OUTPUT
    assert add_markers(model, tokenizer) == []

    train_sft(base, make_examples(3), sft_settings(num_steps=1), tmp_path / "policy", 1, None, CPU)
    trained = AutoTokenizer.from_pretrained(tmp_path / "policy")
    assert set(steps.MARKERS) <= set(trained.get_vocab())


def test_a_batch_that_cannot_be_divided_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="batch_size 4 is not a multiple of 1 processes times micro_batch_size 3"):
        trl_launch.training_arguments(sft_settings(micro_batch_size=3), 10, 0, tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ModelError, match="8 processes"):
        trl_launch.training_arguments(sft_settings(), 10, 0, tmp_path)


def test_checkpoints_of_another_training_are_not_gone_on_from(tmp_path: Path) -> None:
    bases = [save_checkpoint(tmp_path / f"base-{seed}", "qwen2", seed=seed) for seed in (0, 1)]
    settings, out = sft_settings(), tmp_path / "policy"
    rows = [("a", (1, 2)), ("b", (3,))]
    here = trl_launch.checkpoint_folder(out, settings, bases[0], rows, 3)
    assert here == trl_launch.checkpoint_folder(out, settings, bases[0], list(rows), 3)
    assert here.parent == out.parent
    others = [
        trl_launch.checkpoint_folder(out, settings, bases[1], rows, 3),
        trl_launch.checkpoint_folder(out, settings, bases[0], [("a", (1, 2)), ("b", (4,))], 3),
        trl_launch.checkpoint_folder(out, settings, bases[0], rows, 4),
        trl_launch.checkpoint_folder(out, sft_settings(learning_rate=1e-3), bases[0], rows, 3),
    ]
    save_checkpoint(bases[0], "qwen2", seed=2)  # in the same place, of the same size
    others.append(trl_launch.checkpoint_folder(out, settings, bases[0], rows, 3))
    assert len({here, *others}) == 6


def test_adapters_that_are_sharded_are_refused() -> None:
    with_lora = sft_settings(trl={"lora": {"rank": 8, "alpha": 16}})
    for is_sharded in (False, True):
        trainer = SimpleNamespace(is_fsdp_enabled=is_sharded)
        trl_launch.require_whole_adapters(trainer, sft_settings())
        if is_sharded:
            with pytest.raises(ModelError, match=r"trl\.lora.*MULTI_GPU"):
                trl_launch.require_whole_adapters(trainer, with_lora)
        else:
            trl_launch.require_whole_adapters(trainer, with_lora)


def test_rows_come_in_the_order_of_the_torch_path() -> None:
    from rstar_math.training.loop import shuffled_batches

    batches = shuffled_batches(5, 2, torch.Generator().manual_seed(9))
    flat = [i for _ in range(6) for i in next(batches)]
    order = trl_launch.EpochOrder(range(5), 9)
    first = list(order)
    order.set_epoch(1)
    assert first + list(order) == flat
