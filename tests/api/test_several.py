"""Several models in one process, and whether their parts work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rstar_math.api.several import Models
from rstar_math.engines.base import Generation
from rstar_math.engines.fake import FakeEngine
from rstar_math.errors import ConfigError, EngineError, ModelError, SandboxError
from rstar_math.execution.fake import FakeExecutor
from rstar_math.types import Execution, SamplingParams
from tests.api.fake_model import SlowEngine, fake_model


def test_models_share_what_runs_programs_and_answer_as_alone() -> None:
    question = "What is the lowest common multiple of 16 and 40?"
    with Models(["pocket", "small=pocket-base"]) as models:
        assert list(models) == ["pocket", "small"]
        benches = [model._workbench for model in models.values()]
        assert benches[0].executor is benches[1].executor
        assert benches[0].grader is benches[1].grader
        assert benches[0].engine is not benches[1].engine
        assert models["pocket"].solve(question).answer == "80"
        assert models["small"].strategies() == ["greedy", "sample"]
        assert models["small"].solve(question, "greedy").cost.tokens_generated > 0
        tokens = models["pocket"].encode(question)
        assert tokens is not None
        assert models["pocket"].decode(tokens) == question
        with pytest.raises(ConfigError, match="-1 is no token"):
            models["pocket"].decode([-1])
        assert asyncio.run(models["pocket"].aprobe()).ok
        models["small"].close()
        assert models["pocket"].solve(question, "greedy").answer is not None  # one that is closed leaves the others
    with pytest.raises(ModelError, match="closed"):
        models["pocket"].solve(question)
    models.close()


def test_names_must_differ() -> None:
    with pytest.raises(ConfigError, match="two models are called 'pocket'"):
        Models(["pocket", "pocket"])
    with pytest.raises(ConfigError, match="no model"):
        Models([])
    with pytest.raises(ModelError, match="no model 'nothing'"):
        Models(["nothing"])


def test_a_probe_says_what_is_broken() -> None:
    class Broken(FakeEngine):
        async def generate(self, prompt: str, params: SamplingParams) -> Generation:
            raise EngineError("the engine is gone")

    class Dead(FakeExecutor):
        async def execute_program(self, steps: Sequence[str]) -> list[Execution]:
            raise SandboxError("the sandbox is gone")

    with fake_model(Broken(), Dead()) as model:
        found = asyncio.run(model.aprobe())
        assert (found.engine, found.sandbox, found.ok) == ("the engine is gone", "the sandbox is gone", False)
    with fake_model(SlowEngine(5.0)) as model:
        found = asyncio.run(model.aprobe(0.05))
        assert found.engine == "no reply within 0.05 s"
        assert found.sandbox is None
