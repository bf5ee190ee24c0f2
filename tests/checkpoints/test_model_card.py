"""Cards of models: where a base comes from, and that nobody's own text is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub.repocard import ModelCard

from rstar_math.checkpoints.model_card import Origin, head_of, license_line, origin_of, write_card


def test_an_origin_is_handed_on(tmp_path: Path) -> None:
    first = Origin("owner/base", "apache-2.0")
    write_card(tmp_path, head_of(first), f"# Mine\n\n{license_line(first)}\n")
    assert origin_of(str(tmp_path), tmp_path) == first
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.base_model == "owner/base"
    assert "rstar-math" in (card.data.tags or [])
    assert "huggingface.co/owner/base" in card.text


@pytest.mark.parametrize("text", ["# no head\n", "---\nlicense: [a\n---\n", "---\njust text\n---\n"])
def test_a_card_of_somebodys_own_stays_and_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text)
    assert origin_of(str(tmp_path), tmp_path) == Origin()
    write_card(tmp_path, head_of(Origin()), "# Another\n")
    assert (tmp_path / "README.md").read_text() == text


def test_names_at_the_hub(tmp_path: Path) -> None:
    assert origin_of("owner/base", tmp_path).base_model == "owner/base"
    cached = tmp_path / "models--owner--base" / "snapshots" / "abc"
    cached.mkdir(parents=True)
    assert origin_of(str(cached), cached) == Origin("owner/base", None)
    assert "nothing here says which" in license_line(Origin())
