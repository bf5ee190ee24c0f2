"""What counts as a model: a folder, a run, a URL, a hub name, a model file."""

from __future__ import annotations

from pathlib import Path

import pytest

from rstar_math.config import PolicySettings
from rstar_math.errors import ConfigError, ModelError
from rstar_math.models import find_model


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_url_names_its_model_and_options() -> None:
    found = find_model("http://user:pw@host:8000/v1/?model=Qwen/Qwen2.5-7B&api=chat&bootstrap=none&max_requests=4")
    assert isinstance(found.policy, PolicySettings)
    assert found.policy.policy == "http://user:pw@host:8000/v1"
    assert found.policy.bootstrap == "none"
    assert (found.policy.endpoint.model, found.policy.endpoint.api) == ("Qwen/Qwen2.5-7B", "chat")
    assert found.policy.endpoint.max_requests == 4
    assert found.name.startswith("http://host:8000/v1/?model=")
    assert "pw" not in found.name


def test_a_wrong_option_of_a_url_names_the_near_one() -> None:
    with pytest.raises(ConfigError, match=r"endpoint\.modle is not a known key; did you mean 'model'"):
        find_model("http://host/v1?modle=x")


def test_what_is_behind_a_url_cannot_be_trained() -> None:
    with pytest.raises(ModelError, match="not trained"):
        _ = find_model("http://host/v1").policy_folder


def test_a_model_file_gives_policy_and_ppm(tmp_path: Path, tiny_checkpoint: Path) -> None:
    file = tmp_path / "laptop.yaml"
    file.write_text("policy: http://localhost:11434/v1\nendpoint: {model: qwen2.5:3b, api: chat}\n")
    found = find_model(file)
    assert found.name == "laptop"
    assert isinstance(found.policy, PolicySettings)
    assert found.policy.endpoint.model == "qwen2.5:3b"

    file.write_text(f"policy: {tiny_checkpoint}\nbootstrap: none\n")
    assert find_model(file).policy_folder == tiny_checkpoint
    file.write_text(f"policy: {tiny_checkpoint}\nppm: {tmp_path}\n")
    with pytest.raises(ModelError, match="not a reward model's folder"):
        find_model(file)
    file.write_text("- a list\n")
    with pytest.raises(ConfigError, match="must be a mapping"):
        find_model(file)


def test_a_hub_name_that_cannot_be_loaded_says_what_to_do() -> None:
    with pytest.raises(ModelError, match=r"could not be loaded from the hub .*copy its folder here"):
        find_model("nobody/no-such-model-here")


def test_any_other_name_is_no_model() -> None:
    with pytest.raises(ModelError, match=r"neither a folder nor one of pocket, pocket-base"):
        find_model("pokcet")


def test_a_name_at_the_hub_is_read_from_its_cache(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    repository = tmp_path / "hub" / "models--owner--tiny"
    shutil.copytree(tiny_checkpoint, repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find_model("owner/tiny").policy_folder == repository / "snapshots" / ("a" * 40)
