"""Tokens per second on a GPU: search, SFT and PPM training, for a model of 7B shape and for the pocket model.

    python perf/gpu.py --write docs/results.md

Weights are random: speed does not depend on them. Each figure stands beside the limit that this chip reached in the
same minute (a large matrix product for training, a large copy for decoding), so that the share says what is left.
Without a GPU it measures nothing and says so. `--rehearse` runs the same code on a tiny shape, on any device, to see
that it works.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from measuring.sections import write_section
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from rstar_math import steps
from rstar_math.config import SFTSettings
from rstar_math.engines.torch.codec import TokenCodec
from rstar_math.engines.torch.engine import TorchEngine
from rstar_math.models import find_model
from rstar_math.training import loop
from rstar_math.training.batches import MicroLoss
from rstar_math.training.ppm import ppm_loss
from rstar_math.training.processes import Processes
from rstar_math.types import SamplingParams

NOT_MEASURED = "not measured: no GPU at hand"
NAME = "perf/gpu.py"

SHAPE_7B = {  # of Qwen2.5-Math-7B
    "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
SHAPE_TINY = SHAPE_7B | {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 2048, "max_position_embeddings": 512,
}  # fmt: skip


@dataclass(frozen=True)
class Load:
    """How much is asked for at once."""

    num_prompts: int
    num_candidates: int
    step_tokens: int
    rows: int
    row_tokens: int
    num_steps: int


FULL = Load(num_prompts=32, num_candidates=8, step_tokens=128, rows=4, row_tokens=2048, num_steps=4)
SMALL = Load(num_prompts=2, num_candidates=2, step_tokens=8, rows=2, row_tokens=64, num_steps=2)


@dataclass(frozen=True)
class Figure:
    """One measured speed, its share of what the chip can do, and the memory that it took; None: it did not fit."""

    model: str
    what: str
    tokens_per_second: float | None
    share: float | None
    limit: str
    peak_gib: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Tokens per second on a GPU.")
    parser.add_argument("--write", type=Path, help="Markdown file whose section is replaced, or made.")
    parser.add_argument("--rehearse", action="store_true", help="A tiny shape on any device: does the code run?")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.rehearse:
        text = f"## Speed on a GPU\n\n{NOT_MEASURED} (`python perf/gpu.py --write docs/results.md`)\n"
    else:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        shape, load = (SHAPE_TINY, SMALL) if arguments.rehearse else (SHAPE_7B, FULL)
        text = table(device, measure(device, shape, load), is_rehearsal=arguments.rehearse)
    print(text)
    if arguments.write:
        write_section(arguments.write, NAME, text)


def measure(device: torch.device, shape: dict[str, Any], load: Load) -> list[Figure]:
    """All figures, one model after the other."""
    is_cuda = device.type == "cuda"
    size = 8192 if is_cuda else 256
    flops, bandwidth = matmul_flops(device, size), copy_bandwidth(device, size)
    weight_bytes = torch.finfo(dtype_of(device)).bits // 8
    figures: list[Figure] = []
    for name, config in (("7B shape" if shape is SHAPE_7B else "tiny shape", shape), ("pocket", None)):
        for what, run in (("search", search_speed), ("SFT", sft_speed), ("PPM training", ppm_speed)):
            limit = "of memory bandwidth" if what == "search" else "of matrix products"
            if is_cuda:
                torch.cuda.reset_peak_memory_stats()
            speed: float | None = None
            share: float | None = None
            try:
                speed, num_parameters, batch = run(device, config, load)
            except torch.OutOfMemoryError:
                pass  # the row says so
            else:
                if what == "search":  # each decoding step reads all weights once for the whole batch
                    share = speed / batch * num_parameters * weight_bytes / bandwidth
                else:  # six operations per parameter and token, forward and backward
                    share = speed * 6 * num_parameters / flops
            peak = torch.cuda.max_memory_allocated() / 2**30 if is_cuda else 0.0
            figures.append(Figure(name, what, speed, share, limit, peak))
            gc.collect()
            if is_cuda:
                torch.cuda.empty_cache()
    return figures


def search_speed(device: torch.device, shape: dict[str, Any] | None, load: Load) -> tuple[float, int, int]:
    """Generated tokens per second of candidates for the steps of several problems; parameters; rows at once."""
    tokenizer, model = causal_lm(device, shape)
    num_parameters = count(model)
    engine = TorchEngine(model.eval(), TokenCodec(tokenizer), max_batch_rows=load.num_prompts * load.num_candidates)
    prompts = [steps.prompt(f"{i} apples and {i} pears cost {7 * i} dollars. " * 3) for i in range(load.num_prompts)]
    params = SamplingParams(n=load.num_candidates, max_tokens=load.step_tokens)

    async def once() -> int:
        made = await asyncio.gather(*(engine.generate(prompt, params) for prompt in prompts))
        return sum(c.num_tokens for generation in made for c in generation.completions)

    async def timed() -> float:
        await once()  # kernels are chosen
        began = time.perf_counter()
        num_tokens = await once()
        seconds = time.perf_counter() - began
        await engine.aclose()
        return num_tokens / seconds

    return asyncio.run(timed()), num_parameters, load.num_prompts * load.num_candidates


def sft_speed(device: torch.device, shape: dict[str, Any] | None, load: Load) -> tuple[float, int, int]:
    """Tokens per second of SFT steps; parameters; rows at once."""
    _, model = causal_lm(device, shape)

    def micro_loss() -> MicroLoss:
        ids = torch.randint(0, model.config.vocab_size, (load.rows, row_tokens(model, load)), device=device)
        logits = model(input_ids=ids, use_cache=False).logits  # [B, T, V]
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        return MicroLoss(loss, ids.numel())

    return training_speed(model, micro_loss, load, device), count(model), load.rows


def ppm_speed(device: torch.device, shape: dict[str, Any] | None, load: Load) -> tuple[float, int, int]:
    """Tokens per second of PPM steps over pairs, each text in a row of its own; parameters; rows at once."""
    _, config = causal_lm(device, shape, only_config=True)
    config.num_labels, config.pad_token_id = 1, 0
    with torch.device(device):
        model = AutoModelForSequenceClassification.from_config(config, dtype=dtype_of(device))

    def micro_loss() -> MicroLoss:
        ids = torch.randint(1, config.vocab_size, (load.rows, row_tokens(model, load)), device=device)
        logits = model(input_ids=ids, use_cache=False).logits.squeeze(-1).float()  # [B]
        half = load.rows // 2
        loss = ppm_loss(logits[:half], logits[half:], torch.ones(half, device=device))
        return MicroLoss(loss, ids.numel())

    return training_speed(model, micro_loss, load, device), count(model), load.rows


def training_speed(model: Any, micro_loss: Callable[[], MicroLoss], load: Load, device: torch.device) -> float:
    """Tokens per second of the training loop: bfloat16 weights and optimiser states, so that 7B fit one GPU."""
    settings = SFTSettings(
        num_steps=load.num_steps,
        batch_size=load.rows,
        learning_rate=1e-6,
        gradient_checkpointing=device.type == "cuda",
    )
    training = loop.Training(loop.Trainable(model, model, None), settings, Processes(device))
    endless = iter(lambda: [0], None)
    training.optimise(1, endless, lambda rows: [micro_loss])
    synchronise(device)
    began = time.perf_counter()
    report = training.optimise(load.num_steps, endless, lambda rows: [micro_loss])
    synchronise(device)
    return report.num_tokens / (time.perf_counter() - began)


def causal_lm(device: torch.device, shape: dict[str, Any] | None, only_config: bool = False) -> tuple[Any, Any]:
    """A tokenizer, and a model of random weights (of a shape, or of the pocket's); or its configuration alone."""
    folder = find_model("pocket-base").policy_folder
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    config = AutoConfig.from_pretrained(folder) if shape is None else AutoConfig.for_model("qwen2", **shape)
    if only_config:
        return tokenizer, config
    with torch.device(device):
        return tokenizer, AutoModelForCausalLM.from_config(config, dtype=dtype_of(device))


def dtype_of(device: torch.device) -> torch.dtype:
    """bfloat16 where it is fast; many CPUs emulate it."""
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def row_tokens(model: Any, load: Load) -> int:
    """Tokens of a row: as many as the load says and the model can read."""
    return min(load.row_tokens, int(model.config.max_position_embeddings))


def matmul_flops(device: torch.device, size: int) -> float:
    """Operations per second of a large matrix product."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype_of(device)) for _ in range(2))
    return 2 * size**3 / seconds_of(lambda: a @ b, device)


def copy_bandwidth(device: torch.device, size: int) -> float:
    """Bytes per second read and written by a large copy."""
    a = torch.randn(size, 4 * size, device=device)
    b = torch.empty_like(a)
    return 2 * a.numel() * 4 / seconds_of(lambda: b.copy_(a), device)


def seconds_of(run: Callable[[], object], device: torch.device, repeat: int = 10) -> float:
    """Mean seconds of a kernel, after a warm-up."""
    for _ in range(3):
        run()
    synchronise(device)
    began = time.perf_counter()
    for _ in range(repeat):
        run()
    synchronise(device)
    return (time.perf_counter() - began) / repeat


def synchronise(device: torch.device) -> None:
    """Waits until the device has done what it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def count(model: Any) -> int:
    """Parameters that take part in matrix products: all but the input embeddings."""
    embeddings = int(model.get_input_embeddings().weight.numel())
    return sum(int(p.numel()) for p in model.parameters()) - embeddings


def table(device: torch.device, figures: list[Figure], is_rehearsal: bool) -> str:
    """The figures as Markdown, with command and hardware."""
    name = torch.cuda.get_device_name(0) if device.type == "cuda" else "CPU"
    head = "rehearsal, no result" if is_rehearsal else f"`python perf/gpu.py`, torch {torch.__version__}"
    lines = [f"## Speed on a GPU\n\n{name}; {head}. Random weights, {str(dtype_of(device))[6:]}, one device.\n"]
    lines += ["| model | what | tokens/s | share of the limit | peak memory |", "|---|---|---|---|---|"]
    for f in figures:
        speed = "does not fit" if f.tokens_per_second is None else f"{f.tokens_per_second:,.0f}"
        share = "-" if f.share is None else f"{100 * f.share:.1f} % {f.limit}"
        lines.append(f"| {f.model} | {f.what} | {speed} | {share} | {f.peak_gib:.1f} GiB |")
    lines.append(
        "\nSearch: candidates of several problems at once by the torch engine. Training: the torch loop with gradient "
        "checkpointing, weights and optimiser states in the type named above."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
