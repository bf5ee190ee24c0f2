"""SFT: it learns, it is reproducible, and what it writes loads to the same ids and logits."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from tests.engines.tiny_checkpoints import save_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

from rstar_math import steps
from rstar_math.checkpoints.folder import load_causal_lm, load_tokenizer, whole_folder
from rstar_math.config import SFTSettings
from rstar_math.errors import DataError, ModelError
from rstar_math.training.examples import SFTExample, sft_example, tokenise, tokenise_all
from rstar_math.training.sft import train_sft

CPU = torch.device("cpu")


def make_examples(num: int) -> list[SFTExample]:
    made = []
    for i in range(num):
        response = (
            f"\n# Step 1: add\ntotal = {i} + 30\n<end_of_step>\n\nprint(total)\n<end_of_code>"
            f"\n<output>{i + 30}<end_of_output>\n<answer>The total is \\boxed{{{i + 30}}}.<end_of_answer>"
        )
        made.append(
            sft_example(f"A shop sells {i} apples and 30 pears." + " How many?" * (i % 5), steps.parse(response))
        )
    return made


def settings(**changes: object) -> SFTSettings:
    values: dict[str, object] = {"learning_rate": 3e-3, "num_steps": 12, "batch_size": 4, "warmup_steps": 2}
    values |= {"max_length": 200, "dtype": "float32"}
    return SFTSettings.model_validate({**values, **changes})


def parameters_of(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_causal_lm(folder, CPU).state_dict())


def test_training_lowers_the_loss_and_reports(tiny_checkpoint: Path, tmp_path: Path) -> None:
    heard: list[tuple[int, int, float, int]] = []
    report = train_sft(
        tiny_checkpoint, make_examples(10), settings(), tmp_path / "policy", 1, lambda *event: heard.append(event), CPU
    )
    assert report.last_loss < 0.7 * report.first_loss
    assert (report.num_examples, report.num_too_long, report.num_steps) == (10, 0, 12)
    assert [step for step, *_ in heard] == list(range(1, 13))
    assert heard[-1][1] == 12
    assert heard[-1][3] == report.num_tokens > 0
    # 12 steps over batches of 4, 4 and 2 rows are four epochs
    assert report.num_epochs == pytest.approx(4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["policy"]  # nothing half-written is left


def test_a_checkpoint_loads_to_identical_ids_and_logits(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "policy"
    train_sft(tiny_checkpoint, make_examples(4), settings(num_steps=2), out, 1, device=CPU)
    assert (out / "model.safetensors").is_file()
    text = make_examples(4)[3].text
    before, after = AutoTokenizer.from_pretrained(tiny_checkpoint), AutoTokenizer.from_pretrained(out)
    ids = before(text)["input_ids"]
    assert after(text)["input_ids"] == ids
    assert after.padding_side == before.padding_side == "left"
    written = AutoModelForCausalLM.from_pretrained(out)
    again = load_causal_lm(out, CPU)
    with torch.inference_mode():
        logits = written(torch.tensor([ids])).logits
        assert torch.equal(logits, again(torch.tensor([ids])).logits)
        base_logits = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)(torch.tensor([ids])).logits
    assert not torch.allclose(logits, base_logits, atol=1e-3)  # it did move


def test_the_saved_weights_are_those_trained(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """With one step of plain size, the loss of the written folder is that of the model in memory."""
    examples = make_examples(4)
    report = train_sft(tiny_checkpoint, examples, settings(num_steps=1, batch_size=4), tmp_path / "p", 1, device=CPU)
    tokenizer, model = load_tokenizer(tiny_checkpoint), load_causal_lm(tiny_checkpoint, CPU)
    total, num = 0.0, 0
    for example in examples:  # the first loss, worked out row by row without padding
        row = tokenise(tokenizer, example)
        with torch.inference_mode():
            logp = model(torch.tensor([row.input_ids])).logits[0].log_softmax(-1)
        for position, label in enumerate(row.labels[1:]):
            if label >= 0:
                total -= float(logp[position, label])
                num += 1
    assert report.first_loss == pytest.approx(total / num, rel=1e-4)
    assert report.num_trained_tokens == num


def test_a_seed_fixes_the_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    examples = make_examples(10)
    runs = [("a", 1), ("b", 1), ("c", 2)]
    for name, seed in runs:
        torch.manual_seed(hash(name) % 1000)  # the caller's generator must not matter
        train_sft(tiny_checkpoint, examples, settings(num_steps=4, dropout=0.1), tmp_path / name, seed, device=CPU)
    a, b, c = (parameters_of(tmp_path / name) for name, _ in runs)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_micro_batches_do_not_change_the_result(tiny_checkpoint: Path, tmp_path: Path) -> None:
    examples = make_examples(10)
    for micro in (None, 1):
        train_sft(
            tiny_checkpoint, examples, settings(num_steps=2, micro_batch_size=micro), tmp_path / str(micro), 1,
            device=CPU,
        )  # fmt: skip
    whole, single = parameters_of(tmp_path / "None"), parameters_of(tmp_path / "1")
    for name in whole:
        # Adam divides by the gradient's size, so that rounding of tiny gradients shows: tolerance in learning rates
        assert torch.allclose(whole[name], single[name], atol=1e-4), name


def test_nothing_to_train_on_is_an_error_and_leaves_no_folder(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="max_length = 16"):
        train_sft(tiny_checkpoint, make_examples(2), settings(max_length=16), tmp_path / "out", 1, device=CPU)
    with pytest.raises(ModelError, match=r"no config\.json"):
        train_sft(tmp_path / "nowhere", make_examples(2), settings(), tmp_path / "out", 1, device=CPU)
    with pytest.raises(ModelError, match="lower learning_rate"):
        train_sft(tiny_checkpoint, make_examples(4), settings(learning_rate=1e30, warmup_steps=0), tmp_path / "out", 1,
                  device=CPU)  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_failed_training_keeps_the_old_folder(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "policy"
    train_sft(tiny_checkpoint, make_examples(4), settings(num_steps=1), out, 1, device=CPU)
    old = parameters_of(out)

    def interrupt(step: int, num_steps: int, loss: float, num_tokens: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sft(tiny_checkpoint, make_examples(4), settings(num_steps=1), out, 2, interrupt, CPU)
    assert all(torch.equal(old[name], value) for name, value in parameters_of(out).items())
    with contextlib.suppress(OSError), whole_folder(out) as folder:
        (folder / "model.safetensors").write_text("half")
        raise OSError("disk full")
    assert all(torch.equal(old[name], value) for name, value in parameters_of(out).items())
    train_sft(tiny_checkpoint, make_examples(3), settings(num_steps=1), out, 2, device=CPU)
    assert not all(torch.equal(old[name], value) for name, value in parameters_of(out).items())
    assert [p.name for p in tmp_path.iterdir()] == ["policy"]


@pytest.mark.parametrize(
    "architecture",
    ["qwen2", pytest.param("phi3", marks=pytest.mark.slow), pytest.param("llama", marks=pytest.mark.slow)],
)
def test_packed_rows_give_the_losses_of_plain_ones(architecture: str, tmp_path: Path) -> None:
    """Packed examples do not see one another: the mask follows from position ids that begin anew."""
    base = save_checkpoint(tmp_path / "base", architecture)
    examples = make_examples(6)
    lengths = [len(row.input_ids) for row in tokenise_all(load_tokenizer(base), examples, 240).rows]
    assert sum(lengths) > 240 > 2 * min(lengths)  # several rows, and several examples in one
    losses: dict[bool, list[float]] = {False: [], True: []}
    for packing, heard in losses.items():
        chosen = settings(num_steps=3, batch_size=6, max_length=240, packing=packing, micro_batch_size=2)
        report = train_sft(
            base, examples, chosen, tmp_path / str(packing), 3,
            lambda step, total, loss, tokens, heard=heard: heard.append(loss), CPU,
        )  # fmt: skip
        assert (report.num_examples, report.num_epochs, report.num_tokens) == (6, 3, 3 * sum(lengths))
    assert losses[True] == pytest.approx(losses[False], abs=1e-4)
    assert losses[True][0] > losses[True][-1] + 0.1


def test_a_base_without_markers_gets_them_as_tokens(tmp_path: Path) -> None:
    base = save_checkpoint(tmp_path / "base", "qwen2", markers=())
    train_sft(base, make_examples(3), settings(num_steps=1, max_length=240), tmp_path / "policy", 1, device=CPU)
    trained = AutoTokenizer.from_pretrained(tmp_path / "policy")
    assert set(steps.MARKERS) <= set(trained.get_vocab())
