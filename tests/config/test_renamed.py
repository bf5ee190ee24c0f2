"""Old keys: errors name the new ones, and what runs wrote with them is read as it was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rstar_math.config import PPMSettings, Recipe, SFTSettings
from rstar_math.config.reading import check, load_recipe
from rstar_math.config.renamed import with_new_names
from rstar_math.errors import ConfigError


def round_with(sft: dict[str, Any], ppm: dict[str, Any]) -> dict[str, Any]:
    plain = load_recipe("smoke").rounds[0].model_dump(mode="json")
    return plain | {"sft": {"num_epochs": 2} | sft, "ppm": {"num_epochs": 1} | ppm}


def recipe_with(*rounds: dict[str, Any]) -> dict[str, Any]:
    return load_recipe("smoke").model_dump(mode="json") | {"rounds": list(rounds)}


def test_a_run_that_trained_by_trl_is_read_as_it_was_meant() -> None:
    trl = {
        "gradient_checkpointing": False, "packing": True, "lora": {"rank": 8, "alpha": 16}, "save_steps": 20,
        "tensorboard": "logs", "num_processes": None, "accelerate_config": "fsdp.yaml",
    }  # fmt: skip
    old = recipe_with(round_with({"backend": "trl", "trl": trl}, {"backend": "trl", "trl": {"packing": True}}))
    (read,) = Recipe.model_validate(with_new_names(old)).rounds
    assert read.sft == SFTSettings.model_validate(
        {"num_epochs": 2, "packing": True, "lora": {"rank": 8, "alpha": 16}, "save_steps": 20, "num_processes": None}
        | {"trackers": ["tensorboard"], "accelerate_config": "fsdp.yaml"}
    )
    # what `trl` did by default: recompute, one process for each GPU; packing meant nothing to a PPM
    assert read.ppm == PPMSettings(num_epochs=1, gradient_checkpointing=True, num_processes=None)
    assert with_new_names(with_new_names(old)) == with_new_names(old)


def test_a_run_that_trained_by_the_other_backend_stays_as_it_was() -> None:
    ignored = {"gradient_checkpointing": True, "num_processes": 8, "lora": None}
    old = recipe_with(round_with({"backend": "torch", "trl": ignored}, {"trl": ignored}), round_with({}, {}))
    first, second = Recipe.model_validate(with_new_names(old)).rounds
    assert first == second
    assert first.sft == SFTSettings(num_epochs=2)


def test_a_new_key_beside_an_old_one_counts() -> None:
    both = round_with({"backend": "trl", "trl": {"save_steps": 3}, "save_steps": 4, "num_processes": 2}, {})
    (read,) = Recipe.model_validate(with_new_names(recipe_with(both))).rounds
    assert (read.sft.save_steps, read.sft.num_processes) == (4, 2)


@pytest.mark.parametrize("rounds", [None, 3, [3], [{"sft": 3}], [{"sft": {"trl": 3, "backend": "trl"}}]])
def test_what_is_not_shaped_as_a_recipe_is_left_to_the_schema(rounds: object) -> None:
    assert with_new_names({"rounds": rounds}) == {"rounds": rounds}


def test_errors_name_the_new_keys(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("extends: smoke\nrounds:\n  sft: {backend: trl, trl: {save_steps: 2, tensorboard: logs}}\n")
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(mine))
    said = str(caught.value)
    assert "rounds[0].sft.backend is not a known key; one loop trains all models" in said
    assert "num_processes: null" in said
    assert "rounds[0].sft.trl is not a known key; its keys stand in its place: save_steps" in said
    assert "tensorboard: FOLDER is now trackers: [tensorboard]" in said

    with pytest.raises(ConfigError, match="backend is not a known key; one loop"):
        check(PPMSettings, {"num_epochs": 1, "backend": "torch"}, "--set")
    with pytest.raises(
        ConfigError, match=r"trl is not a known key; its keys stand in its place: gradient_checkpointing"
    ):
        check(SFTSettings, {"num_epochs": 1, "trl": None}, "--set")
    with pytest.raises(ConfigError, match=r"runtime.wall_s is not a known key; it is now runtime.execution.wall_s"):
        check(Recipe, yaml.safe_load(yaml.safe_dump(recipe_with(round_with({}, {})))) | {"runtime": {"wall_s": 3}}, "x")
