"""PPM training: the loss by hand, learning, early stopping, seeds, and what it leaves in its folder."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rstar_math import steps
from rstar_math.checkpoints.folder import load_causal_lm, load_reward_model, reward_model_from_policy
from rstar_math.checkpoints.ppm_file import read_ppm_file
from rstar_math.config import PPMSettings
from rstar_math.errors import DataError, ModelError
from rstar_math.training import reward_model, scoring
from rstar_math.training.calibration import Drawn
from rstar_math.training.examples import RewardExample
from rstar_math.training.ppm import calibrate, pair_accuracy, ppm_loss, reward_example, train_ppm
from rstar_math.training.prefixes import prefixes
from rstar_math.types import PreferencePair

CPU = torch.device("cpu")


def make_pairs(problems: range) -> list[PreferencePair]:
    """The preferred step adds, the other subtracts; two of them at a deeper node."""
    pairs = []
    for i in problems:
        prompt = steps.prompt(f"A shop sells {i} apples and {i + 3} pears. How many?")
        first = f"\ntotal = {i} + {i + 3}\n<end_of_step>"
        for prefix, chosen, rejected, weight in (
            (prompt, first, f"\ntotal = {i} - {i + 3}\n<end_of_step>", 1.0),
            (prompt + first, "\nprint(total + 1)\n<end_of_code>", "\nprint(total - 1)\n<end_of_code>", 0.5),
            (prompt + first, "\nprint(total + 2)\n<end_of_code>", "\nprint(total - 1)\n<end_of_code>", 0.5),
        ):
            pairs.append(PreferencePair(f"p{i}", prefix, chosen, rejected, 1.0, -1.0, weight, "step", f"t{i}", 0, 1, 1))
    return pairs


def settings(**changes: object) -> PPMSettings:
    values: dict[str, object] = {"learning_rate": 3e-3, "num_epochs": 6, "batch_size": 4, "max_length": 300}
    values |= {"dtype": "float32", "dropout": 0.05, "evals_per_epoch": 1}
    return PPMSettings.model_validate({**values, **changes})


TRAIN, HELD_OUT = make_pairs(range(10, 26)), make_pairs(range(40, 46))


@pytest.fixture(scope="module")
def trained(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ppm") / "ppm"
    train_ppm(tiny_checkpoint, TRAIN, HELD_OUT, settings(), out, 1, device=CPU)
    return out


def test_loss_by_hand() -> None:
    chosen, rejected = torch.tensor([1.0, 0.0]), torch.tensor([0.0, math.log(3)])
    # -log sigmoid(1) = 0.313262; -log sigmoid(-log 3) = -log(1/4) = 1.386294
    loss = ppm_loss(chosen, rejected, torch.tensor([0.25, 0.75]))
    assert loss.item() == pytest.approx(0.25 * 0.313262 + 0.75 * 1.386294, abs=1e-5)
    # a node of four pairs counts as much as a node of one
    four = ppm_loss(
        torch.tensor([1.0] * 4 + [0.0]), torch.tensor([0.0] * 4 + [math.log(3)]), torch.tensor([0.25] * 4 + [1.0])
    )
    assert four.item() == pytest.approx((0.313262 + 1.386294) / 2, abs=1e-5)
    assert ppm_loss(torch.tensor([200.0]), torch.tensor([-200.0]), torch.tensor([1.0])).item() == 0.0
    assert ppm_loss(torch.tensor([-200.0]), torch.tensor([200.0]), torch.tensor([1.0])).item() == 400.0


def test_training_raises_pair_accuracy(tiny_checkpoint: Path, trained: Path, tmp_path: Path) -> None:
    heard: list[int] = []
    report = train_ppm(
        tiny_checkpoint, TRAIN, HELD_OUT, settings(num_epochs=None, num_steps=1, learning_rate=1e-9), tmp_path / "new",
        1, lambda step, num_steps, loss, num_tokens: heard.append(num_tokens), CPU,
    )  # fmt: skip
    assert pair_accuracy(tmp_path / "new", TRAIN, CPU) < 0.8  # a random head
    assert pair_accuracy(trained, TRAIN, CPU) > 0.95
    assert pair_accuracy(trained, HELD_OUT, CPU) > 0.9
    assert (report.num_problems, report.num_pairs, report.num_held_out_pairs) == (16, 48, 18)
    assert report.packed
    assert heard == [report.num_tokens]
    # four problems, each with its prompt and first step stored once
    texts = {pair.prefix + side for pair in TRAIN[:3] for side in (pair.chosen, pair.rejected)}
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    assert report.num_tokens / 4 < 0.5 * sum(len(tokenizer(text)["input_ids"]) for text in texts)


def test_the_head_is_fresh_and_the_rest_is_the_policy(tiny_checkpoint: Path) -> None:
    torch.manual_seed(0)
    model = reward_model_from_policy(tiny_checkpoint, 0, CPU)
    policy = load_causal_lm(tiny_checkpoint, CPU)
    for name, value in policy.base_model.state_dict().items():
        assert torch.equal(model.base_model.state_dict()[name], value)
    head = model.score
    assert isinstance(head, torch.nn.Linear)
    assert head.weight.shape == (1, 32)
    assert head.weight.std().item() == pytest.approx(0.02, rel=0.5)


def test_the_folder_loads_to_the_probes_logits(trained: Path) -> None:
    content = json.loads((trained / "ppm.json").read_text())
    assert content["format"] == 1
    assert content["scale"] == 5.0
    assert content["calibration"] is None
    assert content["pair_accuracy"] > 0.9
    assert 5 <= len(content["probes"]) <= 8
    model, tokenizer = (
        AutoModelForSequenceClassification.from_pretrained(trained),
        AutoTokenizer.from_pretrained(trained),
    )
    assert model.config.num_labels == 1
    for probe in content["probes"]:
        logit = model(torch.tensor([tokenizer(probe["text"])["input_ids"]])).logits.item()
        assert logit == pytest.approx(probe["logit"], abs=1e-4)
    # and as a padded batch, the way transformers reads one
    batch = tokenizer([probe["text"] for probe in content["probes"]], padding=True, return_tensors="pt")
    together = model(**batch).logits[:, 0].tolist()
    assert together == pytest.approx([probe["logit"] for probe in content["probes"]], abs=1e-4)
    assert len({round(logit, 3) for logit in together}) > 1


def test_a_policy_is_not_taken_for_a_reward_model(tiny_checkpoint: Path) -> None:
    with pytest.raises(ModelError, match=r"score\.weight"):
        load_reward_model(tiny_checkpoint, CPU)


def test_a_seed_fixes_the_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    short = settings(num_epochs=1)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_ppm(tiny_checkpoint, TRAIN, [], short, tmp_path / name, seed, device=CPU)
    a, b, c = (load_reward_model(tmp_path / name, CPU).state_dict() for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], c[name]) for name in a)


def test_packing_and_micro_batches_do_not_change_training(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # problems of unequal weight, or sums over micro batches could be off by a factor that Adam does not feel
    pairs = [pair for pair in TRAIN if pair.weight == 1 or pair.problem < "p15"]
    short = settings(num_epochs=None, num_steps=2, dropout=0.0)
    single = short.model_copy(update={"micro_batch_size": 1})
    reports = {
        "whole": train_ppm(tiny_checkpoint, pairs, [], short, tmp_path / "whole", 1, device=CPU),
        "micro": train_ppm(tiny_checkpoint, pairs, [], single, tmp_path / "micro", 1, device=CPU),
    }
    monkeypatch.setattr(reward_model, "takes_packed_rows", lambda model, max_length: False)
    reports["plain"] = train_ppm(tiny_checkpoint, pairs, [], short, tmp_path / "plain", 1, device=CPU)
    assert reports["micro"].packed
    assert not reports["plain"].packed
    whole = load_reward_model(tmp_path / "whole", CPU).state_dict()
    for name in ("micro", "plain"):
        assert reports[name].first_loss == pytest.approx(reports["whole"].first_loss, abs=1e-5)
        assert reports[name].last_loss == pytest.approx(reports["whole"].last_loss, abs=1e-3)
        other = load_reward_model(tmp_path / name, CPU).state_dict()
        for key in whole:
            # Adam divides by the gradient's size, so that rounding of tiny gradients shows: tolerance below the
            # learning rate
            assert torch.allclose(whole[key], other[key], atol=3e-4), key


def test_early_stopping_keeps_the_best_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    # held-out pairs that say the opposite: every step of training makes them worse
    opposite = [dataclasses.replace(p, chosen=p.rejected, rejected=p.chosen) for p in HELD_OUT if p.weight == 1]
    chosen = settings(num_epochs=30, early_stopping=True, patience=2, learning_rate=1e-2)
    report = train_ppm(tiny_checkpoint, TRAIN, opposite, chosen, tmp_path / "ppm", 1, device=CPU)
    assert report.num_steps < report.num_planned_steps == 120
    best = min(report.evaluations, key=lambda e: e.loss)
    assert report.best_step == best.step < report.num_steps
    assert report.num_steps == report.best_step + 2 * 4
    assert report.held_out_loss == best.loss
    model = load_reward_model(tmp_path / "ppm", CPU)
    examples = [reward_example(pair) for pair in opposite]
    logits = torch.from_numpy(scoring.example_logits(model, AutoTokenizer.from_pretrained(tmp_path / "ppm"), examples))
    assert ppm_loss(logits[:, 0], logits[:, 1], torch.ones(len(opposite))).item() == pytest.approx(best.loss, abs=1e-4)
    assert abs(report.evaluations[-1].loss - best.loss) > 1e-2  # so the last weights would not do


def test_ties_count_half(tiny_checkpoint: Path, trained: Path) -> None:
    same = [dataclasses.replace(pair, rejected=pair.chosen) for pair in HELD_OUT[:3]]
    assert pair_accuracy(trained, same, CPU) == 0.5
    assert math.isnan(pair_accuracy(trained, [], CPU))


def test_bad_data_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'p10'"):
        train_ppm(tiny_checkpoint, TRAIN, TRAIN[:1], settings(), tmp_path / "ppm", 1, device=CPU)
    with pytest.raises(DataError, match="max_length = 20"):
        train_ppm(tiny_checkpoint, TRAIN, [], settings(max_length=20), tmp_path / "ppm", 1, device=CPU)
    assert list(tmp_path.iterdir()) == []


def test_the_machinery_trains_on_single_texts_too(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """An outcome reward model is another loss over the same machinery."""

    def outcome_loss(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], target, reduction="none")
        return (weight * each).sum() / weight.sum()

    examples = [
        RewardExample(pair.problem, (pair.prefix + text,), target)
        for pair in TRAIN
        for text, target in ((pair.chosen, 1.0), (pair.rejected, 0.0))
    ]
    result = reward_model.train_reward_model(
        tiny_checkpoint, examples, [], settings(), outcome_loss, tmp_path / "orm", 1, device=CPU
    )
    logits = scoring.example_logits(result.model, result.tokenizer, examples)[:, 0]
    right = [(logit > 0) == (example.target == 1) for logit, example in zip(logits, examples, strict=True)]
    assert sum(right) / len(right) > 0.9
    assert result.best is None


def drawn(pairs: list[PreferencePair]) -> list[Drawn]:
    """Solutions of one or two steps, right where the last one is the preferred one."""
    found = []
    for pair in pairs:
        prompt, before = pair.prefix.split(steps.CODE)
        for side in (pair.chosen, pair.rejected):
            solution = steps.parse(before + side)
            found.append(Drawn(pair.problem, tuple(prefixes(prompt + steps.CODE, solution)), side == pair.chosen))
    return found


def test_calibration_is_stored_beside_the_weights(trained: Path) -> None:
    before = read_ppm_file(trained)
    calibration = calibrate(trained, drawn(make_pairs(range(40, 60))), 0.7, 2, CPU)
    assert calibration.weights["step"].logit > 0
    assert (calibration.temperature, calibration.num_rollouts) == (0.7, 2)
    assert (calibration.measured.num_problems, calibration.measured.num_steps) == (20, 200)
    assert calibration.measured.log_loss < calibration.measured.constant_log_loss
    assert read_ppm_file(trained) == dataclasses.replace(before, calibration=calibration)
    stored = json.loads((trained / "ppm.json").read_text())["calibration"]
    assert sorted(stored) == ["max_depth", "measured", "num_rollouts", "temperature", "weights"]


def test_calibration_does_not_depend_on_the_order_of_its_examples(trained: Path) -> None:
    """Trees are stored as they are finished: after a resume they stand in another order, with the same content."""
    found = drawn(make_pairs(range(50, 90)))
    fitted = [calibrate(trained, order, 0.7, 2, CPU) for order in (found, found[::-1], found[1::2] + found[::2])]
    assert fitted[0] == fitted[1] == fitted[2]
