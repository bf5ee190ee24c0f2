"""ORM and PQM: losses by hand, learning, both backends alike, and folders that everything loads as it loads a PPM."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from rstar_math import steps
from rstar_math.checkpoints.ppm_file import read_ppm_file
from rstar_math.config import PPMSettings, RuntimeSettings
from rstar_math.doctor.patient import Patient
from rstar_math.doctor.reward_head import reward_head
from rstar_math.engines.open import open_reward_model
from rstar_math.errors import DataError, ModelError
from rstar_math.selection.scored_texts import ScoredText
from rstar_math.training import orm_pqm
from rstar_math.training.calibration import Drawn
from rstar_math.training.orm_pqm import ORM_SCALE, PQMLoss, orm_loss, ranked_right, train_orm, train_pqm
from rstar_math.training.ppm import calibrate
from rstar_math.training.prefixes import prefixes
from rstar_math.training.reports import ScoredTextsReport

CPU = torch.device("cpu")


def make_texts(problems: range, kind: Literal["outcome", "q_value"]) -> list[ScoredText]:
    """Trajectories that add are right, those that subtract wrong; steps of them, with Q between."""
    rows: list[ScoredText] = []

    def add(text: str, target: float) -> None:
        rows.append(ScoredText(f"p{i}", text, kind, target, 1, 1.0, f"p{i}@0", len(rows)))

    for i in problems:
        prompt = steps.prompt(f"A shop sells {i} apples and {i + 3} pears. How many?")
        for sign, worth in (("+", 1.0), ("-", -1.0)):
            first = f"\ntotal = {i} {sign} {i + 3}\n<end_of_step>"
            last = "\nprint(total)\n<end_of_code>\n<answer>So many.<end_of_answer>"
            if kind == "q_value":
                add(prompt + first, 0.5 * worth)
                add(prompt + first + last, worth)
            else:
                add(prompt + first + last, float(worth > 0))
    return rows


def settings(**changes: object) -> PPMSettings:
    values: dict[str, object] = {"learning_rate": 3e-3, "num_epochs": 10, "batch_size": 4, "max_length": 300}
    values |= {"dtype": "float32", "evals_per_epoch": 1, "scale": 1.0}
    return PPMSettings.model_validate({**values, **changes})


KINDS: dict[str, tuple[Literal["outcome", "q_value"], Callable[..., ScoredTextsReport]]] = {
    "orm": ("outcome", train_orm),
    "pqm": ("q_value", train_pqm),
}


@pytest.fixture(scope="module", params=["orm", "pqm"])
def trained(
    request: pytest.FixtureRequest, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, ScoredTextsReport]:
    kind, train = KINDS[request.param]
    out = tmp_path_factory.mktemp("reward_models") / request.param
    texts, held_out = make_texts(range(10, 26), kind), make_texts(range(40, 46), kind)
    return request.param, out, train(tiny_checkpoint, texts, held_out, settings(), out, 1, device=CPU)


def test_orm_loss_by_hand() -> None:
    logits, target = torch.tensor([[0.0], [math.log(3)], [math.log(3)]]), torch.tensor([1.0, 1.0, 0.0])
    # -log 1/2, -log 3/4, -log 1/4
    expected = (1 * 0.693147 + 2 * 0.287682 + 1 * 1.386294) / 4
    assert orm_loss(logits, target, torch.tensor([1.0, 2.0, 1.0])).item() == pytest.approx(expected, abs=1e-5)


def test_pqm_loss_by_hand() -> None:
    logits, target = torch.tensor([[0.0], [5.0]]), torch.tensor([0.5, -1.0])
    # tanh(0) and tanh(5 / 5) = 0.761594 against 0.5 and -1
    expected = (1 * 0.25 + 3 * 1.761594**2) / 4
    assert PQMLoss(5.0)(logits, target, torch.tensor([1.0, 3.0])).item() == pytest.approx(expected, abs=1e-5)
    assert PQMLoss(1.0)(logits, target, torch.tensor([1.0, 0.0])).item() == pytest.approx(0.25)


def test_training_ranks_held_out_texts(trained: tuple[str, Path, ScoredTextsReport], tiny_checkpoint: Path) -> None:
    kind, out, report = trained
    assert report.pair_accuracy is not None
    assert report.pair_accuracy > 0.9
    assert report.held_out_loss is not None
    assert report.constant_loss is not None
    assert report.held_out_loss < 0.5 * report.constant_loss
    # the entropy of one in two; the mean square of 1/2, 1, -1/2, -1
    assert report.constant_loss == pytest.approx(math.log(2) if kind == "orm" else 0.625)
    assert report.last_loss < 0.5 * report.first_loss
    assert (report.num_problems, report.num_held_out_texts) == (16, 12 if kind == "orm" else 24)
    assert ranked_right(out, make_texts(range(40, 46), KINDS[kind][0]), device=CPU) == report.pair_accuracy


def test_the_folder_is_a_reward_model_like_a_ppm(trained: tuple[str, Path, ScoredTextsReport]) -> None:
    kind, out, report = trained
    content = json.loads((out / "ppm.json").read_text())
    assert (content["kind"], content["format"]) == (kind, 1)
    assert content["scale"] == (ORM_SCALE if kind == "orm" else 1.0)
    assert content["pair_accuracy"] == report.pair_accuracy
    probes = read_ppm_file(out).probes
    assert len(probes) == orm_pqm.NUM_PROBES

    async def scored() -> list[float]:
        reward_model = open_reward_model(out, RuntimeSettings(device="cpu"))  # what a search opens
        scores = await reward_model.score([probe.text for probe in probes])
        await reward_model.aclose()
        assert [s.logit for s in scores] == pytest.approx([p.logit for p in probes], abs=1e-4)
        return [s.value for s in scores]

    values = asyncio.run(scored())
    for probe, value in zip(probes, values, strict=True):
        right = " + " in probe.text
        if kind == "orm":  # the score is a probability on another scale
            assert (1 + value) / 2 == pytest.approx(1 / (1 + math.exp(-probe.logit)), abs=1e-4)
        assert (value > 0) == right


def test_the_doctor_looks_at_its_head(trained: tuple[str, Path, ScoredTextsReport], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    _, out, _ = trained
    patient = Patient(None, out, RuntimeSettings(device="cpu"))
    assert asyncio.run(reward_head(patient)).verdict == "ok"
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in out.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    weights = load_file(copy / "model.safetensors")
    weights["score.weight"] = torch.randn_like(weights["score.weight"])
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="probe text"):
        asyncio.run(reward_head(Patient(None, copy, RuntimeSettings(device="cpu"))))


def test_it_is_calibrated_as_a_ppm_is(trained: tuple[str, Path, ScoredTextsReport]) -> None:
    kind, out, _ = trained
    solutions = []
    for row in make_texts(range(40, 52), "outcome"):
        prompt, response = row.text.split(steps.CODE)
        found = prefixes(prompt + steps.CODE, steps.parse(response))
        solutions.append(Drawn(row.problem, tuple(found), row.target > 0))
    calibration = calibrate(out, solutions, 0.7, 2, CPU)
    assert calibration.measured.log_loss < calibration.measured.constant_log_loss
    assert read_ppm_file(out).calibration == calibration
    assert read_ppm_file(out).kind == kind


def test_early_stopping_keeps_the_best_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    held_out = [dataclasses.replace(row, target=1 - row.target) for row in make_texts(range(40, 46), "outcome")]
    chosen = settings(num_epochs=30, early_stopping=True, patience=2, learning_rate=1e-2)
    report = train_orm(
        tiny_checkpoint, make_texts(range(10, 26), "outcome"), held_out, chosen, tmp_path / "orm", 1, device=CPU
    )
    assert report.num_steps < report.num_planned_steps
    assert report.held_out_loss == min(e.loss for e in report.evaluations)
    assert report.best_step < report.num_steps


def test_bad_data_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    right = [row for row in make_texts(range(3), "outcome") if row.target]
    values = make_texts(range(3), "q_value")
    for train, texts, message in (
        (train_orm, values, "rows of kind 'outcome'; problem p0 has a 'q_value'"),
        (train_pqm, right, "rows of kind 'q_value'"),
        (train_orm, right, "all 3 trajectories are right"),
        (train_pqm, [dataclasses.replace(values[0], target=1.5)], r"targets in \[-1, 1\]; problem p0 has 1.5"),
        (train_pqm, [], "no example is left of 0"),
    ):
        with pytest.raises(DataError, match=message):
            train(tiny_checkpoint, texts, [], settings(), tmp_path / "out", 1, device=CPU)
    assert list(tmp_path.iterdir()) == []


def test_ranking_is_averaged_over_problems() -> None:
    def row(problem: str, target: float) -> ScoredText:
        return ScoredText(problem, f"{problem}{target}", "q_value", target, 1, 1.0, "t", 0)

    texts = [row("a", 1.0), row("a", 0.0), row("a", -1.0), row("b", 1.0), row("b", -1.0), row("c", 1.0), row("b", 0.5)]
    logits = np.array([2.0, 3.0, 1.0, 0.0, 0.0, 9.0, np.nan])
    # a: 2 of 3 pairs right; b: a tie, and a text that was too long; c: no pair
    assert orm_pqm._ranked_right(texts, logits) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert math.isnan(orm_pqm._ranked_right(texts[:1], logits[:1]))
