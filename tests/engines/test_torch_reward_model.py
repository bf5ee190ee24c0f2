"""The torch reward model: the logits of transformers at the last token, whatever is scored beside them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rstar_math import steps
from rstar_math.checkpoints.ppm_file import PPMFile, Probe, write_ppm_file
from rstar_math.engines.base import Score
from rstar_math.engines.torch.loading import load_torch_reward_model
from rstar_math.engines.torch.reward_model import TorchRewardModel
from rstar_math.errors import ContextLengthError, EngineError, ModelError
from tests.engines.tiny_checkpoints import save_checkpoint
from tests.engines.tiny_tilings import use_smallest_blocks

PREFIX = steps.prompt("Ann has 12 apples and buys 30 more. How many has she?")
FIRST = "\n# Step 1: add\ntotal = 12 + 30\n" + steps.END_OF_STEP
LAST = "\nprint(total)\n" + steps.END_OF_CODE
SIBLINGS = [PREFIX + FIRST, PREFIX + "\nx = 12\n" + steps.END_OF_STEP, PREFIX, PREFIX + FIRST + LAST, PREFIX + FIRST]
OTHERS = [steps.prompt("x" * i) + FIRST * (i % 3) for i in range(1, 12)]


@pytest.fixture(scope="module", params=["llama", "qwen2", "phi3", "mistral"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_checkpoint(tmp_path_factory.mktemp("ppm") / request.param, request.param, num_labels=1)
    probes = tuple(Probe(text, expected(folder, [text])[0]) for text in (PREFIX + FIRST, OTHERS[3]))
    write_ppm_file(folder, PPMFile(scale=5.0, probes=probes))
    return folder


@pytest.fixture(scope="module")
def reward_model(folder: Path) -> TorchRewardModel:
    return load_torch_reward_model(folder, device="cpu")


def expected(folder: Path, texts: Sequence[str]) -> list[float]:
    """What transformers' own classifier says, one text at a time."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return [model(**tokenizer(text, return_tensors="pt")).logits.item() for text in texts]


def score(reward_model: TorchRewardModel, requests: Sequence[Sequence[str]]) -> list[list[Score]]:
    """Scores requests that are awaited at the same time."""

    async def run() -> list[list[Score]]:
        return await asyncio.gather(*(reward_model.score(texts) for texts in requests))

    return asyncio.run(run())


def test_logits_are_those_of_transformers(folder: Path, reward_model: TorchRewardModel) -> None:
    requests = [SIBLINGS, OTHERS, [PREFIX], [*SIBLINGS, *OTHERS]]
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    for texts, scores in zip(requests, score(reward_model, requests), strict=True):
        assert [s.logit for s in scores] == pytest.approx(expected(folder, texts), abs=1e-4)
        assert [s.value for s in scores] == pytest.approx([math.tanh(s.logit / 5) for s in scores])
        assert [s.num_tokens for s in scores] == [len(tokenizer(text).input_ids) for text in texts]
    assert len({round(s.logit, 3) for s in score(reward_model, [OTHERS])[0]}) == len(OTHERS)


def test_small_batches_give_the_same(folder: Path, reward_model: TorchRewardModel) -> None:
    small = TorchRewardModel.from_pretrained(folder, device="cpu", max_batch_tokens=100)
    one, other = score(reward_model, [OTHERS + SIBLINGS])[0], score(small, [OTHERS + SIBLINGS])[0]
    assert [s.logit for s in one] == pytest.approx([s.logit for s in other], abs=1e-4)


def test_known_prefixes_give_the_same(folder: Path) -> None:
    reward_model = TorchRewardModel.from_pretrained(folder, device="cpu")
    chain = [PREFIX, PREFIX + FIRST, PREFIX + FIRST + FIRST, PREFIX + FIRST + FIRST + LAST]
    for i, prefix in enumerate(chain):  # as a search goes down a tree
        texts = [prefix + branch for branch in (FIRST, LAST, "\nx = 7 * 8\n" + steps.END_OF_STEP)][: 3 - i % 3]
        assert [s.logit for s in score(reward_model, [texts])[0]] == pytest.approx(expected(folder, texts), abs=1e-4)
    ends = [len(text) for text in chain]
    at_once = asyncio.run(reward_model.score_steps(chain[-1], ends))
    assert [s.logit for s in at_once] == pytest.approx(expected(folder, chain), abs=1e-4)


@pytest.mark.parametrize("agreeing", [True, False])
def test_deterministic_mode_is_exact(folder: Path, agreeing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not agreeing:
        use_smallest_blocks(monkeypatch)
    requests = [SIBLINGS, OTHERS, [PREFIX], [PREFIX + FIRST * 2, PREFIX + FIRST + LAST], OTHERS[:3], OTHERS[2:9]]

    def load() -> TorchRewardModel:
        return TorchRewardModel.from_pretrained(folder, device="cpu", deterministic=True)

    together = score(load(), requests)
    assert score(load(), requests[::-1])[::-1] == together
    assert [score(load(), [request])[0] for request in requests] == together
    one = load()
    assert [score(one, [request])[0] for request in requests] == together


def test_steps_of_a_text_are_scored_in_one_pass(reward_model: TorchRewardModel) -> None:
    text = PREFIX + FIRST + LAST + "\n not scored"
    ends = [len(PREFIX), len(PREFIX + FIRST), len(PREFIX + FIRST + LAST)]
    at_once = asyncio.run(reward_model.score_steps(text, ends))
    apart = score(reward_model, [[text[:end] for end in ends]])[0]
    assert [s.logit for s in at_once] == pytest.approx([s.logit for s in apart], abs=1e-4)
    assert sum(s.num_tokens for s in at_once) == apart[-1].num_tokens


def test_nothing_to_score(reward_model: TorchRewardModel) -> None:
    assert score(reward_model, [[]]) == [[]]
    with pytest.raises(EngineError, match="empty"):
        score(reward_model, [["", PREFIX]])


def test_unfit_texts_are_refused_and_spoil_nothing(reward_model: TorchRewardModel) -> None:
    async def run() -> list[list[Score] | BaseException]:
        asked = (
            reward_model.score([PREFIX, "7 " * 400]),
            reward_model.score(["Ann \ud800"]),
            reward_model.score([PREFIX]),
        )
        return list(await asyncio.gather(*asked, return_exceptions=True))

    bad, unreadable, good = asyncio.run(run())
    assert isinstance(bad, ContextLengthError)
    assert "context holds 256" in str(bad)
    assert isinstance(unreadable, EngineError)
    assert "half a surrogate pair" in str(unreadable)
    assert isinstance(good, list)


def test_a_head_that_is_not_the_saved_one_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "ppm"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    weights = load_file(copy / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    torch.manual_seed(1)
    with pytest.raises(ModelError, match=r"probe text|lacks the weights \['score.weight'\]"):
        load_torch_reward_model(copy, device="cpu")


def test_a_policy_is_no_ppm(checkpoints: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match=r"no ppm\.json"):
        load_torch_reward_model(checkpoints["llama"], device="cpu")
