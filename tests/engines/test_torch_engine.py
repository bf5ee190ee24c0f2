"""The torch engine: the same tokens as transformers, whatever else is in the batch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rstar_math import steps
from rstar_math.engines.base import Generation, Meter
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.errors import ContextLengthError, EngineError
from rstar_math.types import SamplingParams
from tests.engines.tiny_tilings import use_smallest_blocks

QUESTIONS = ["1 + 1?", "Ann has 12 apples.", "What is 7 * 8 - 3, and why?", "x" * 40, "Ann has 12 apples. And Bob?"]
PROMPTS = [steps.prompt(question) for question in QUESTIONS]


def generate(engine: TorchEngine, requests: Sequence[tuple[str, SamplingParams]]) -> list[Generation]:
    """Answers requests that are awaited at the same time."""

    async def run() -> list[Generation]:
        return await asyncio.gather(*(engine.generate(prompt, params) for prompt, params in requests))

    return asyncio.run(run())


def sampled(seed: int = 0, n: int = 4, max_tokens: int = 12, **others: Any) -> SamplingParams:
    return SamplingParams(n=n, max_tokens=max_tokens, stop=steps.STOPS, seed=seed, **others)


@pytest.fixture(scope="module", params=["llama", "qwen2", "phi3", "mistral"])
def folder(request: pytest.FixtureRequest, checkpoints: dict[str, Path]) -> Path:
    return checkpoints[request.param]


@pytest.fixture(scope="module")
def engine(folder: Path) -> TorchEngine:
    return TorchEngine.from_pretrained(folder, device="cpu")


def test_greedy_output_is_that_of_transformers(folder: Path, engine: TorchEngine) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    greedy = sampled(n=2, temperature=0.0, max_tokens=25)
    answers = generate(engine, [(prompt, greedy) for prompt in PROMPTS])
    stop_ids = [*tokenizer.convert_tokens_to_ids(list(steps.STOPS)), tokenizer.eos_token_id]
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        output = model.generate(ids, do_sample=False, max_new_tokens=25, eos_token_id=stop_ids)
        new = output[0, ids.shape[1] :]
        logprobs = torch.log_softmax(model(output).logits[0, ids.shape[1] - 1 : -1], -1)
        expected_logprob = logprobs.gather(-1, new[:, None]).sum().item()
        stop = tokenizer.convert_ids_to_tokens(new[-1].item()) if new[-1].item() in stop_ids[:-1] else None
        text = tokenizer.decode(new[:-1] if new[-1].item() in stop_ids else new)
        assert answer.num_prompt_tokens == ids.shape[1]
        for completion in answer.completions:
            assert (completion.text, completion.stop, completion.num_tokens) == (text, stop, len(new))
            assert completion.logprob == pytest.approx(expected_logprob, abs=1e-3)


def exact(generation: Generation) -> list[tuple[str, str | None, int]]:
    """What must be equal in two generations; the log-probabilities carry floating-point noise."""
    return [(c.text, c.stop, c.num_tokens) for c in generation.completions]


def test_completions_do_not_depend_on_the_batch(engine: TorchEngine) -> None:
    requests = [(prompt, sampled(seed, n=1 + seed % 9)) for seed, prompt in enumerate(PROMPTS * 4)]
    together = generate(engine, requests)
    alone = [generate(engine, [request])[0] for request in requests]
    # floating-point noise could move a draw across a boundary; in these few hundred draws it does not
    for one, other in zip(together, alone, strict=True):
        assert exact(one) == exact(other)
        for a, b in zip(one.completions, other.completions, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-3)
    assert len({text for generation in together for text, _, _ in exact(generation)}) > 50


def test_small_batches_refill_finished_rows(folder: Path, engine: TorchEngine) -> None:
    requests = [(prompt, sampled(seed, n=3, max_tokens=1 + seed % 7)) for seed, prompt in enumerate(PROMPTS * 4)]
    small = TorchEngine.from_pretrained(folder, device="cpu", max_batch_rows=7)
    assert list(map(exact, generate(small, requests))) == list(map(exact, generate(engine, requests)))


def test_seeds_decide_and_candidates_are_nested(engine: TorchEngine) -> None:
    def texts(params: SamplingParams) -> list[str]:
        return [c.text for c in generate(engine, [(PROMPTS[0], params)])[0].completions]

    assert texts(sampled(seed=1, n=12)) == texts(sampled(seed=1, n=12))
    assert texts(sampled(seed=1, n=12))[:5] == texts(sampled(seed=1, n=5))
    assert texts(sampled(seed=1, n=12)) != texts(sampled(seed=2, n=12))
    assert len(set(texts(sampled(seed=1, n=12)))) > 6


def test_temperatures_and_nuclei_mix_in_one_batch(engine: TorchEngine) -> None:
    kinds = [sampled(temperature=0.0), sampled(temperature=0.7), sampled(top_p=0.5), sampled(temperature=1.0)]
    together = generate(engine, [(PROMPTS[2], params) for params in kinds])
    assert list(map(exact, together)) == [exact(generate(engine, [(PROMPTS[2], params)])[0]) for params in kinds]
    # a nucleus so small that it holds one token is greedy decoding
    tiny = generate(engine, [(PROMPTS[2], sampled(top_p=1e-6))])[0]
    assert exact(tiny) == exact(together[0])


@pytest.mark.parametrize("agreeing", [True, False])
def test_deterministic_mode_is_exact(folder: Path, agreeing: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not agreeing:  # as on hardware whose kernels treat every height and every place in another way
        use_smallest_blocks(monkeypatch)
    requests = [(prompt, sampled(seed, n=1 + seed % 9)) for seed, prompt in enumerate(PROMPTS * 3)]
    requests += [(PROMPTS[1] + generated, sampled(3, top_p=0.9)) for generated in ("\nx = 1", "\nx = 1 + 2\ny = x")]
    answers = []
    for max_batch_rows, order in ((256, 1), (256, -1), (20, 1), (8, 1)):
        engine = TorchEngine.from_pretrained(
            folder, device="cpu", deterministic=True, max_batch_rows=max_batch_rows, prefix_cache_mb=max_batch_rows % 3
        )
        answers.append(generate(engine, requests[::order])[::order])
    answers.append([generate(engine, [request])[0] for request in requests])
    for other in answers[1:]:
        assert other == answers[0]  # log-probabilities too, to the last bit


def test_long_prompts_are_exact_in_deterministic_mode(checkpoints: dict[str, Path]) -> None:
    prompts = [steps.prompt("7 " * length) for length in (40, 70, 20, 85, 10)]
    requests = [(prompt, sampled(seed, n=4, max_tokens=8)) for seed, prompt in enumerate(prompts)]

    def load() -> TorchEngine:
        return TorchEngine.from_pretrained(checkpoints["llama"], device="cpu", deterministic=True)

    together = generate(load(), requests)
    assert max(generation.num_prompt_tokens for generation in together) > 200
    assert [generate(load(), [request])[0] for request in requests] == together


def test_stops_at_markers_of_one_and_of_several_tokens(engine: TorchEngine) -> None:
    free = generate(engine, [(PROMPTS[1], SamplingParams(n=8, max_tokens=40, seed=5))])[0]
    assert all(completion.stop is None for completion in free.completions)
    marker = free.completions[0].text[6:9]  # three characters in the middle of what this seed writes
    assert len(marker) == 3
    stopped = generate(engine, [(PROMPTS[1], SamplingParams(n=8, max_tokens=40, seed=5, stop=(marker,)))])[0]
    for before, after in zip(free.completions, stopped.completions, strict=True):
        cut = before.text.find(marker)
        if cut < 0:
            assert (after.text, after.stop) == (before.text, None)
        else:
            assert (after.text, after.stop) == (before.text[:cut], marker)
            assert after.num_tokens < before.num_tokens
    assert stopped.completions[0].stop == marker


def test_single_token_markers_end_a_completion(engine: TorchEngine) -> None:
    requests = [(prompt, sampled(seed, n=8, max_tokens=60)) for seed, prompt in enumerate(PROMPTS * 4)]
    completions = [c for generation in generate(engine, requests) for c in generation.completions]
    assert {c.stop for c in completions} >= {None, *steps.STOPS}
    for completion in completions:
        assert not any(stop in completion.text for stop in steps.STOPS)
        assert completion.num_tokens == 60 or completion.stop is not None or "<eos>" not in completion.text
        assert completion.num_tokens <= 60


def test_long_prompts_are_refused_and_completions_end_with_the_context(engine: TorchEngine) -> None:
    too_long = steps.prompt("7 " * 400)
    with pytest.raises(ContextLengthError, match=r"the prompt has \d+ tokens, and the model's context holds 256"):
        generate(engine, [(too_long, sampled())])
    nearly = steps.prompt("7 " * 100)
    answer = generate(engine, [(nearly, SamplingParams(n=3, max_tokens=500, seed=1))])[0]
    assert max(c.num_tokens for c in answer.completions) <= 256 - answer.num_prompt_tokens

    # one bad request does not spoil its company
    async def run() -> list[Generation | BaseException]:
        both = (engine.generate(too_long, sampled()), engine.generate(PROMPTS[0], sampled()))
        return list(await asyncio.gather(*both, return_exceptions=True))

    bad, good = asyncio.run(run())
    assert isinstance(bad, ContextLengthError)
    assert isinstance(good, Generation)


def test_a_failing_model_is_an_engine_error_and_the_engine_goes_on(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("out of memory")

    expected = exact(generate(engine, [(PROMPTS[0], sampled())])[0])
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "linear", broken)
        with pytest.raises(EngineError, match="RuntimeError: out of memory"):
            generate(engine, [(PROMPTS[0], sampled()), (PROMPTS[1], sampled())])
    assert exact(generate(engine, [(PROMPTS[0], sampled())])[0]) == expected


def test_a_bad_request_spoils_nothing_beside_it(engine: TorchEngine) -> None:
    bad = {"": "the prompt is empty", "Ann \ud800 Bob": "half a surrogate pair", "7 " * 400: "context holds 256"}
    expected = exact(generate(engine, [(PROMPTS[0], sampled())])[0])

    async def run() -> list[Generation | BaseException]:
        asked = [*bad, PROMPTS[0]]
        return list(await asyncio.gather(*(engine.generate(p, sampled()) for p in asked), return_exceptions=True))

    *failures, good = asyncio.run(run())
    for failure, message in zip(failures, bad.values(), strict=True):
        assert isinstance(failure, EngineError)
        assert message in str(failure)
    assert isinstance(good, Generation)
    assert exact(good) == expected


def test_none_many_and_odd_requests(engine: TorchEngine) -> None:
    none, many, odd = generate(
        engine,
        [
            (PROMPTS[0], sampled(n=0)),
            (PROMPTS[0], sampled(n=300, max_tokens=2)),  # more than are decoded at the same time
            ("\x00\r\n\N{GRINNING FACE}e\N{COMBINING ACUTE ACCENT}\u6f22", sampled(seed=-1, max_tokens=3)),
        ],
    )
    assert none.completions == ()
    assert none.num_prompt_tokens == many.num_prompt_tokens > 0
    assert [len(g.completions) for g in (many, odd)] == [300, 4]
    assert len({c.text for c in many.completions}) > 10


def test_greedy_candidates_are_all_the_same(engine: TorchEngine) -> None:
    (answer,) = generate(engine, [(PROMPTS[0], sampled(n=9, temperature=0.0))])
    assert len(set(exact(answer))) == 1
    coldest = generate(engine, [(PROMPTS[0], sampled(n=9, temperature=1e-30))])[0]
    assert exact(coldest) == exact(answer)


def test_a_cancelled_request_leaves_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the time of a budget has run out: its rows would slow down whatever comes after it."""
    engine = TorchEngine.from_pretrained(folder, device="cpu")
    expected = exact(generate(engine, [(PROMPTS[1], sampled(max_tokens=30))])[0])
    begun, cancelled = threading.Event(), threading.Event()
    rows_of_steps: list[int] = []
    step = engine._decoder.step

    def watched(tokens: np.ndarray) -> torch.Tensor:
        begun.set()
        assert cancelled.wait(1500)
        rows_of_steps.append(len(tokens))
        return step(tokens)

    monkeypatch.setattr(engine._decoder, "step", watched)

    async def run() -> Generation:
        waiting = SamplingParams(n=20, max_tokens=200, temperature=2.0)
        abandoned = asyncio.create_task(engine.generate(PROMPTS[0], waiting))
        other = asyncio.create_task(engine.generate(PROMPTS[1], sampled(max_tokens=30)))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait, 10)
        abandoned.cancel()
        with pytest.raises(asyncio.CancelledError):
            await abandoned
        cancelled.set()
        return await other

    assert exact(asyncio.run(run())) == expected
    assert rows_of_steps[0] > 4  # both were in the batch
    assert max(rows_of_steps[1:]) <= 4


def test_what_a_request_cost_is_known_to_the_token_also_where_it_is_given_up(folder: Path) -> None:
    engine = TorchEngine.from_pretrained(folder, device="cpu")

    async def run() -> list[Meter]:
        long = SamplingParams(n=20, max_tokens=400, temperature=2.0)
        meters = [Meter() for _ in range(4)]
        answered = await engine.generate_metered(PROMPTS[1], sampled(), meters[0])
        assert meters[0].num_tokens == sum(completion.num_tokens for completion in answered.completions)
        assert meters[0].num_prompt_tokens == answered.num_prompt_tokens
        for meter, after_s in zip(meters[1:], (0.0, 0.02, 0.05), strict=True):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(after_s):
                    await engine.generate_metered(PROMPTS[0], long, meter)
        return meters

    meters = asyncio.run(run())
    assert sum(meter.num_tokens for meter in meters) == engine.batches.num_rows
    assert 0 < meters[-1].num_tokens < 20 * 400
    assert sum(engine.batches.by_size) == engine.batches.num_steps > 0
    assert not engine._batcher._taken


def test_closing_ends_the_engine(folder: Path) -> None:
    engine = TorchEngine.from_pretrained(folder, device="cpu")

    async def run() -> None:
        await engine.generate(PROMPTS[0], sampled())
        await engine.aclose()
        with pytest.raises(EngineError, match="closed"):
            await engine.generate(PROMPTS[0], sampled())

    asyncio.run(run())


def test_every_completion_says_why_it_ended(engine: TorchEngine) -> None:
    drawn = [
        c
        for seed in range(6)
        for c in generate(engine, [(PROMPTS[0], sampled(seed, n=8, max_tokens=60))])[0].completions
    ]
    assert all((c.finish_reason == "stop") == (c.stop is not None) for c in drawn)
    assert all(c.num_tokens == 60 for c in drawn if c.finish_reason == "length")
    assert {c.finish_reason for c in drawn} <= {"stop", "end", "length"}
    (short,) = generate(engine, [(PROMPTS[0], SamplingParams(n=8, max_tokens=1, seed=1))])
    assert "length" in {c.finish_reason for c in short.completions}
