"""The card that evolution writes beside the models of a round."""

from __future__ import annotations

import json
import re
from pathlib import Path

from huggingface_hub.repocard import ModelCard

from rstar_math.config import Recipe
from rstar_math.config.reading import load_recipe
from rstar_math.report.card import _recipe


def test_each_round_has_a_card_with_its_figures(tiny_run: Path) -> None:
    report = json.loads((tiny_run / "report.json").read_text())
    for number in (1, 2):
        card = ModelCard.load(tiny_run / f"round-{number}" / "README.md")
        assert card.data.library_name == "transformers"
        found = {result.metric_name: result.metric_value for result in card.data.eval_results or []}
        rounds = report["rounds"][:number]
        assert found["greedy"] == round(rounds[-1]["policy_greedy"]["all"], 4)
        assert found["system"] == round(rounds[-1]["system"]["all"], 4)
        rows = re.findall(r"^\| (base|round \d) \| ([\d.]+) \[", card.text, re.MULTILINE)
        assert [name for name, _ in rows] == ["base", *(f"round {n + 1}" for n in range(number))]
        shares = [report["base"]["policy_greedy"]["all"], *(r["policy_greedy"]["all"] for r in rounds)]
        assert [share for _, share in rows] == [f"{100 * share:.1f}" for share in shares]
        assert "name: tiny" in card.text
        assert "pocket/train" in card.text


def test_paths_of_this_machine_stay_here() -> None:
    recipe = load_recipe("smoke")
    own = recipe.model_copy(update={"base_model": "/home/me/secret/base"})
    assert isinstance(own, Recipe)
    assert "base_model: base\n" in _recipe(own)
    assert "secret" not in _recipe(own)
