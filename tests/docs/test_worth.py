"""docs/images/worth.svg shows what the tables of results.md say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.scripts import ROOT, loaded_script

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def worth() -> Iterator[ModuleType]:
    with loaded_script(ROOT / "docs" / "images" / "worth.py") as module:
        yield module


def test_a_column_is_read_with_its_intervals(worth: ModuleType) -> None:
    table = ["| m | n | accuracy |", "|---|--:|--:|", "| a | 1 | 43.9 \\[40.9, 46.9] |", "| b | 2 | 5.0 \\[4, 6] |"]
    text = "\n".join(["**Some table: all**", "", *table, "", "| c | 3 | 1.0 [0.0, 2.0] |"])
    assert worth.shares(text, "Some table", "accuracy") == {"a": (43.9, 40.9, 46.9), "b": (5.0, 4.0, 6.0)}


def test_the_picture_has_the_numbers_of_the_tables(worth: ModuleType) -> None:
    results, drawn = (DOCS / "results.md").read_text(), (DOCS / "images" / "worth.svg").read_text()
    for number in (2, 4):
        rows = worth.shares(results, f"Models of round {number}, 1,200 tokens", "accuracy")
        assert all(f">{rows[method][0]:.1f}<" in drawn for method in worth.METHODS)
    assert drawn == worth.worth_svg(results), "python docs/images/worth.py"
