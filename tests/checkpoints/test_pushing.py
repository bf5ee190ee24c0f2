"""A model goes to the hub: to a stand-in of it, which keeps what it gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rstar_math.checkpoints.model_card import Origin, head_of, write_card
from rstar_math.checkpoints.pushing import files_to_push, push_model
from rstar_math.errors import ModelError
from rstar_math.models import model_folder
from tests.checkpoints.hub_stand_in import StandIn, hub
from tests.walking import command

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")  # huggingface_hub's upload


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with hub() as running:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", running.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", running.token)
        yield running


def folder_of(tmp_path: Path, *files: str) -> Path:
    """A folder with files that hold their own names, and a card."""
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    write_card(tmp_path, head_of(Origin("owner/base", "mit")), "# A model\n")
    return tmp_path


def test_a_round_goes_without_its_trees(tmp_path: Path, stand_in: StandIn) -> None:
    kept = ("policy/config.json", "policy/model.safetensors", "ppm/ppm.json", "ppm/model.safetensors", "answering.json")
    folder = folder_of(tmp_path, *kept, "trees/part-00000.parquet", "manifest.json", "policy/notes.bin")
    files = files_to_push(folder)
    assert files == sorted([*kept, "README.md"])
    url = push_model(folder, "me/mine", files, private=True, revision="main")
    assert url.startswith(f"{stand_in.url}/me/mine/commit/")
    assert stand_in.repositories == {"me/mine": True}
    assert set(stand_in.files) == {f"me/mine:main/{name}" for name in files}
    for name in files:
        assert stand_in.files[f"me/mine:main/{name}"] == (folder / name).read_bytes()
    assert len(stand_in.stored) == 2


def test_a_branch_of_its_own(tmp_path: Path, stand_in: StandIn) -> None:
    folder = folder_of(tmp_path, "config.json", "model.safetensors")
    push_model(folder, "me/mine", files_to_push(folder), private=False, revision="second")
    assert stand_in.branches == ["me/mine:second"]
    assert "me/mine:second/config.json" in stand_in.files


@pytest.mark.parametrize(
    ("name", "token", "message"),
    [
        ("me/mine", "hf_another", "does not let you write to me/mine .401.; log in with `hf auth login`"),
        ("me/mine/more", "hf_may_write", "'me/mine/more' is no name at the hub; give OWNER/NAME"),
    ],
)
def test_what_the_hub_refuses(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, name: str, token: str, message: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    folder = folder_of(tmp_path, "config.json")
    with pytest.raises(ModelError, match=message):
        push_model(folder, name, files_to_push(folder), private=False, revision="main")
    assert not stand_in.files


def test_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_any")
    folder = folder_of(tmp_path, "config.json")
    with pytest.raises(ModelError, match=r"cannot be reached .*; nothing is lost, run the same command again"):
        push_model(folder, "me/mine", files_to_push(folder), private=False, revision="main")


def test_a_model_without_a_card_stays_here(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"has no README\.md, which says what the model was made from"):
        files_to_push(tmp_path)


def test_of_a_run_the_last_round_goes(tiny_run: Path) -> None:
    folder = model_folder(tiny_run)
    assert folder == tiny_run / "round-2"
    done = command("push", tiny_run, "me/mine", "--dry-run")
    assert done.returncode == 0, done.stderr
    for name in ("README.md", "policy/model.safetensors", "ppm/ppm.json", "answering.json"):
        assert f"  {name}\n" in done.stdout
    assert "trees" not in done.stdout.partition("files")[2]
    done = command("push", tiny_run / "nowhere", "me/mine")
    assert done.returncode == 2
    assert "no folder" in done.stderr
