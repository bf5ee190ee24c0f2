"""perf/methods.py: every method has as many settings to choose from, none that is not known, and its table is right."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from rstar_math.config import MethodSettings
from rstar_math.evaluation.methods import check_methods
from rstar_math.search.strategies import STRATEGIES
from tests.scripts import ROOT, loaded_script


@pytest.fixture(scope="module")
def methods() -> Iterator[ModuleType]:
    with loaded_script(ROOT / "perf" / "methods.py") as module:
        yield module


def test_every_method_is_tuned_alike(methods: ModuleType) -> None:
    for name, (strategy, selector, grid) in methods.GRID.items():
        assert len(grid) == 3, name
        assert len({str(search) for search in grid}) == 3, name
        assert strategy in STRATEGIES
        asked = [
            MethodSettings(name=f"{i}", strategy=strategy, answering={"selector": selector, "search": dict(search)})
            for i, search in enumerate(grid)
        ]
        check_methods(asked, None, name)
    assert methods.BASELINE in methods.GRID


def test_a_table_has_the_best_first_and_differences_to_the_baseline(methods: ModuleType) -> None:
    rows = [
        {"correct": right, "tokens_generated": 100, "tokens_scored": 30, "cpu_seconds": 0.5, "process_cpu_seconds": cpu}
        for right, cpu in ((True, 1.0), (False, 2.0), (None, None), (True, 1.0))
    ]
    voted = methods.measured(rows)
    assert (voted.right, voted.accuracy, voted.cpu_seconds) == ([True, False, False, True], 0.5, 1.5)
    all_right = methods.measured([row | {"correct": True} for row in rows])
    table = methods.table({methods.BASELINE: (voted, "a 1"), "better": (all_right, "b 2")}, 300)
    assert table[0] == "\n300 tokens, 4 problems"
    assert table[3].startswith("| better | 100.0 | +50.0 [")
    assert table[3].endswith("| 100 | 30 | 1.50 | b 2 |")
    assert table[4] == f"| {methods.BASELINE} | 50.0 |  | 100 | 30 | 1.50 | a 1 |"
