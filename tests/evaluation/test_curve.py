"""Curves from result rows, and their place beside a model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rstar_math.api.model import RStarMathModel
from rstar_math.cli.combinations import Asked
from rstar_math.cli.curve import measure_curve
from rstar_math.config.curve import Curve
from rstar_math.errors import ConfigError
from rstar_math.evaluation.curve import curve_of, lines, store_curve
from rstar_math.models import SHIPPED, find_model, read_answering, read_curve, write_answering


def row(tokens: int, correct: bool | None, problem: int = 0, **changes: Any) -> dict[str, Any]:
    made = {"model": "m", "strategy": "mcts", "benchmark": "b", "seed": 0, "problem": f"p{problem}"}
    return made | {"budget": {"tokens": tokens}, "correct": correct, "tokens_generated": tokens - problem} | changes


def made() -> Curve:
    rows = [row(tokens, tokens > 100 or i % 2 == 0, i) for tokens in (200, 100) for i in range(10)]
    alone = [row(tokens, i < tokens / 50, i, strategy="greedy") for tokens in (100, 200) for i in range(10)]
    return curve_of([*rows, *alone, row(100, None), row(100, False, budget=None)], "mcts")


def test_a_curve_is_worked_out_of_rows() -> None:
    curve = made()
    assert [(p.tokens, p.accuracy) for p in curve.points] == [(100, 0.5), (200, 1.0)]
    assert curve.points[0].tokens_p50 == 95.5
    assert curve.points[0].tokens_p95 == pytest.approx(99.55)
    assert (curve.num_problems, curve.seeds, curve.strategy, curve.alone) == (10, (0,), "mcts", 0.4)
    assert lines(curve)[-1] == "reasoning_effort: minimal 107, low 132, medium 169, high 192, xhigh 200, max 200"


def test_what_gives_no_curve_is_refused() -> None:
    with pytest.raises(ConfigError, match="two budgets"):
        curve_of([row(100, True), row(200, True, strategy="forest")], "mcts")
    with pytest.raises(ConfigError, match="one model"):
        curve_of([row(100, True), row(200, True, model="other")], "mcts")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "mine"
    place.mkdir()
    for name in ("policy", "ppm"):
        (place / name).symlink_to(SHIPPED / "pocket" / name)
    shutil.copy(SHIPPED / "pocket" / "answering.json", place)
    return place


def test_it_is_written_beside_the_model_and_read_again(folder: Path) -> None:
    path = folder / "answering.json"
    before = read_answering(path)
    assert store_curve(find_model(folder), made()) == path
    assert read_answering(path) == before
    model = find_model(folder)
    assert model.curve == made()
    assert before[0] is not None
    write_answering(path, before[0], 0.9, chosen_on="others")  # as `rstar calibrate` does
    assert read_curve(path) == made()
    write_answering(path, before[0].model_copy(update={"num_trees": 9}), 0.9)
    assert read_curve(path) is None  # it was measured by other settings
    path.write_text(json.dumps(json.loads(path.read_text()) | {"curve": {"points": []}}))
    with pytest.raises(ConfigError, match="curve"):
        find_model(folder)


def test_curves_of_others_are_not_the_models(folder: Path) -> None:
    rows = [row(100, True, strategy="forest"), row(200, True, strategy="forest")]
    with pytest.raises(ConfigError, match="own strategy, mcts"):
        store_curve(find_model(folder), curve_of(rows, "forest"))
    with pytest.raises(ConfigError, match="not a folder with policy/"):
        store_curve(find_model(SHIPPED / "pocket" / "policy"), made())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tokens": (100,)}, "--tokens twice"),
        ({"tokens": (100, 200), "seconds": (1.0,)}, "no other budget"),
        ({"tokens": (100, 200), "strategies": ("mcts",)}, "of one model"),
        ({"tokens": (100, 200), "changes": ("num_trees=2",)}, "of one model"),
        ({"tokens": (100, 200), "models": (str(SHIPPED / "pocket" / "policy"),)}, "not a folder with policy/"),
    ],
)
def test_what_eval_cannot_make_a_curve_of(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    asked = Asked(models=("pocket",), benchmarks=("pocket/validation",))
    with pytest.raises(ConfigError, match=said):
        measure_curve(tmp_path, replace(asked, **changes), None, 1)


@pytest.mark.slow
def test_eval_measures_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = Asked(models=(str(folder),), benchmarks=("pocket/validation",), limit=4, tokens=(200, 100))
    measure_curve(tmp_path / "out", asked, 1, 8)
    curve = read_curve(folder / "answering.json")
    assert curve is not None
    assert [point.tokens for point in curve.points] == [100, 200]
    assert (curve.num_problems, curve.strategy, curve.benchmark) == (4, "mcts", "pocket/validation")
    assert curve.alone is not None
    assert "reasoning_effort: minimal 1" in capsys.readouterr().out
    with RStarMathModel.from_pretrained(folder) as model:
        assert (model.tokens_for("max"), model.tokens_for("none")) == (200, None)
