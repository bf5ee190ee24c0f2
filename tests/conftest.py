"""Fixtures that tests of several parts share."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from rstar_math import steps
from tests import walking, warm

_NUM_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // _NUM_PROCESSES)))
"""Test processes share the cores: read when torch is loaded, also by the commands that tests start."""

TINY_BASE = Path(__file__).parent / "tiny_base"

SLOWEST_FIRST = (
    *("test_reproduce", "test_evolve", "test_hostile", "test_every_machine", "test_damaged_runs", "test_full_disk"),
    *("test_neighbours", "test_side_by_side", "test_runs", "test_calibrate", "test_stages", "test_signals"),
    *("test_commands", "test_model", "test_determinism", "test_gpu_benchmark", "test_accelerated", "test_faults"),
    *("test_reward_model", "test_solve", "test_real_models", "test_wheel"),
)
"""Files that take longest, each in one process: they begin first, so that no process is left with one of them alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take longest at the front; otherwise the order stays."""
    rank = {name: number for number, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this test run that all its test processes share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session", autouse=True)
def warm_commands(tmp_path_factory: pytest.TempPathFactory) -> None:
    """`tests.warm` starts commands from one process, which the first of them starts; others run in this process."""
    walking.make_commands_once()
    warm.keep_in(shared_place(tmp_path_factory))


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder with a random two-layer Llama (32 wide) and a byte-level BPE that knows the markers.

    The tokenizer is built as the pocket one is: single digits, markers as single added tokens.
    """
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    corpus = [
        steps.prompt("A shop sells 12 apples and 30 pears. How many are sold in all?"),
        "\n# Step 1: add the apples and the pears\ntotal = 12 + 30\n",
        "\n\n# Now print the final answer\nprint(total)\n",
        "\nFrom the result, the total is \\boxed{42}.",
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    bpe.train_from_iterator(corpus * 4, trainer)
    bpe.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in ("<pad>", "<eos>")])
    bpe.add_tokens([AddedToken(marker, special=False, normalized=False) for marker in steps.MARKERS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<eos>", pad_token="<pad>", padding_side="left", model_max_length=512
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.2,  # large enough for a random model to tell texts apart
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """recipes/smoke.yaml from a smaller base model, `tests/tiny_base`: nearly all that a run costs is its models."""
    path = tmp_path_factory.mktemp("recipes") / "tiny.yaml"
    path.write_text(f"extends: smoke\nname: tiny\nbase_model: {TINY_BASE}\n")
    return path


@pytest.fixture(scope="session")
def tiny_run(tiny_recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of `tiny_recipe`, made once for all test processes; nobody changes it.

    What the command printed stands beside it in `printed.txt`.
    """
    place = shared_place(tmp_path_factory) / "tiny"
    place.mkdir(exist_ok=True)
    run, printed = place / "run", place / "printed.txt"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not printed.exists():
            done = warm.run("evolve", tiny_recipe, "--out", run)
            assert done.returncode == 0, done.stderr[-4000:]
            printed.write_text(done.stdout)
    return run
