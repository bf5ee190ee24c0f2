"""Models and benchmarks of one's own: `my_file.py:function`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rstar_math.config import PolicySettings, ProblemSource, RuntimeSettings
from rstar_math.engines.fake import FakeEngine
from rstar_math.engines.few_shot import BootstrapEngine
from rstar_math.engines.open import open_policy
from rstar_math.errors import ConfigError, DataError, ModelError
from rstar_math.models import find_model
from rstar_math.plugins import is_own, load_own
from rstar_math.problems.load import load_problems

ENGINE = """
from rstar_math.engines.fake import FakeEngine
def open_engine(): return FakeEngine()
def wanting(size): return FakeEngine()
value = 3
"""
PROBLEMS = """
from rstar_math import Problem
def two(): return [Problem(f"p{i}", "Q?", answer=str(i)) for i in range(2)]
def twice(): return 2 * two()
def texts(): return ["Q?"]
def none(): return []
"""


def test_what_looks_like_a_function_of_a_file() -> None:
    assert is_own("a/b.py:f")
    assert not any(map(is_own, ["a.py", "http://host:80/x.py", "b.py:", "a.py:f()", "OWNER/NAME", "C:\\models"]))


def test_an_engine_of_ones_own_is_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(ENGINE)
    monkeypatch.chdir(tmp_path)
    found = find_model("mine.py:open_engine")
    assert found.name == "mine.py:open_engine"
    assert isinstance(found.policy, PolicySettings)
    monkeypatch.chdir("/")  # as a process elsewhere
    assert isinstance(open_policy(found.policy, RuntimeSettings()), FakeEngine)
    with pytest.raises(ModelError, match="cannot be trained"):
        _ = found.policy_folder


def test_a_model_file_gives_it_a_prompt(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(ENGINE)
    file = tmp_path / "mine.yaml"
    file.write_text(f"policy: {tmp_path}/mine.py:open_engine\nbootstrap: default\n")
    policy = find_model(file).policy
    assert isinstance(open_policy(policy, RuntimeSettings()), BootstrapEngine)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mine.py:open", r"'open' is no function of the file, which has open_engine, wanting"),
        ("mine.py:value", r"'value' is no function of the file"),
        ("mine.py:wanting", r"called without arguments and must give an engine; it wants size"),
        ("other.py:f", r"there is no file .*other\.py"),
        ("broken.py:f", r"cannot be run: ZeroDivisionError"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(tmp_path: Path, spec: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(ENGINE)
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=message):
        load_own(f"{tmp_path}/{spec}", "an engine")


def test_problems_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PROBLEMS)

    def load(function: str, num_problems: int | None = None) -> list[str]:
        source = ProblemSource(source=f"{tmp_path}/mine.py:{function}", num_problems=num_problems)
        found = load_problems(source)
        assert found.name == "mine"
        return [p.id for p in found.problems]

    assert load("two") == ["p0", "p1"]
    assert load("two", 1) == ["p0"]
    with pytest.raises(DataError, match="has 2 problems; num_problems asks for 3"):
        load("two", 3)
    with pytest.raises(DataError, match="gives 2 ids more than once, for example 'p0'"):
        load("twice")
    with pytest.raises(DataError, match="gives a str"):
        load("texts")
    with pytest.raises(DataError, match="gives nothing"):
        load("none")
