"""docs/architecture.md: the files that it names are there, and a question crosses them as it says."""

from __future__ import annotations

import re
import threading
from itertools import pairwise
from pathlib import Path
from types import FrameType

from rstar_math.api.model import RStarMathModel
from rstar_math.engines.fake import FakeEngine, FakeRewardModel
from rstar_math.evolve import STAGES
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.workers.bench import Workbench
from tests.test_layers import imports, layer, ours, parsed

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "rstar_math"
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def rows(name: str) -> list[list[str]]:
    """The rows of the table below a mark, cell by cell."""
    table = PAGE.partition(f"<!-- {name} -->\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def names(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def module(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def modules_imported_by(path: str) -> set[str | None]:
    return {ours(name) for name in imports(parsed(module(path)), inside_functions=True)}


WALK = [(int(number), names(path)[0], names(what)) for number, path, what in rows("walk")]


def test_the_walk_goes_down_the_layers_from_file_to_file() -> None:
    assert 8 <= len(WALK) <= 10
    for number, path, _ in WALK:
        assert layer(module(path)) == number, path
    for (above, path, _), (below, following, _) in pairwise(WALK):
        assert below <= above
        assert module(following) in modules_imported_by(path), f"{path} does not import {following}"


def test_the_functions_of_the_walk_are_in_its_files() -> None:
    for _, path, said in WALK:
        (first, *_) = said
        assert re.search(rf"(\b(def|class) |^){first}\b", (PACKAGE / path).read_text(), re.MULTILINE), (
            f"{first} is not in {path}"
        )


def test_files_and_rooms_exist() -> None:
    said = [name for name in names(PAGE) if re.fullmatch(r"[\w/]+(\.py|/)", name)]
    assert len(said) > 50
    in_runs = {"trees/", "policy/", "ppm/", "evaluation/"}
    assert [name for name in said if not (PACKAGE / name).exists() and name not in in_runs] == []


def test_every_room_is_named_once() -> None:
    said = [name for room, _, _ in rows("rooms") for name in names(room)]
    rooms = {f"{path.parent.name}/" for path in PACKAGE.glob("*/*.py")}
    assert sorted(said) == sorted(rooms | {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"})


def test_the_stages_are_those_of_a_round_in_their_order() -> None:
    said = [(stage, f"rstar_math.{module(names(path)[0])}") for stage, path, _ in rows("stages")]
    assert said == [(stage.name, stage.make.__module__) for stage in STAGES]


def test_an_answer_calls_nothing_upwards_but_what_it_was_handed() -> None:
    found: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        called = module_of(frame)
        if event != "call" or called is None or frame.f_code.co_name == "<module>":
            return
        caller = frame.f_back
        while caller is not None and module_of(caller) is None:
            caller = caller.f_back
        above, below = layer(called), layer(module_of(caller) or "") if caller is not None else None
        if caller is not None and above is not None and below is not None and above > below:
            found.add((str(module_of(caller)), f"{called}.{frame.f_code.co_name}"))

    threading.setprofile(note)  # the model answers in a thread of its own
    try:
        with RStarMathModel.from_workbench(
            Workbench(FakeEngine(), FakeExecutor(), FakeGrader(), FakeRewardModel())
        ) as model:
            assert model.solve_with_mcts("What is 1 + 1?", num_simulations=4).trajectory is not None
    finally:
        threading.setprofile(None)
    handed = ("search.answer", "workers.bench.environment")
    fakes = ("engines.fake.", "execution.fake.", "grading.fake.")
    assert handed in found
    assert {edge for edge in found - {handed} if not edge[1].startswith(fakes)} == set()


def module_of(frame: FrameType) -> str | None:
    """The module of this package that a frame runs, named without `rstar_math.`."""
    name = str(frame.f_globals.get("__name__", ""))
    return name.removeprefix("rstar_math.") if name.startswith("rstar_math.") else None
