"""The doctor catches what it must: a replaced pre-tokenizer, missing markers, a wrong stop, a random head."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import pre_tokenizers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast
from typer.testing import CliRunner

from rstar_math import steps
from rstar_math.checkpoints.ppm_file import PPMFile, Probe, write_ppm_file
from rstar_math.cli.app import app
from rstar_math.config import PolicySettings, RuntimeSettings
from rstar_math.doctor.examine import CHECKS, examine
from rstar_math.doctor.patient import Finding, Patient
from rstar_math.engines.base import Engine, Generation
from rstar_math.engines.fake import FakeEngine, FakePolicy
from rstar_math.models import ModelFolders
from rstar_math.training.scoring import score_texts
from rstar_math.types import Completion, SamplingParams
from tests.engines.tiny_checkpoints import save_checkpoint

ON_CPU = RuntimeSettings(device="cpu")


def check(name: str, patient: Patient) -> Finding:
    """One check alone, as `examine` runs it."""

    async def run() -> Finding:
        checks = dict(CHECKS)
        CHECKS.clear()
        CHECKS[name] = checks[name]
        try:
            return (await examine(patient))[0][1]
        finally:
            CHECKS.clear()
            CHECKS.update(checks)

    return asyncio.run(run())


def of_folder(folder: Path) -> Patient:
    return Patient(ModelFolders("m", folder), None, ON_CPU)


def of_engine(engine: Engine) -> Patient:
    return Patient(ModelFolders("m", PolicySettings(policy="http://host/v1")), None, ON_CPU, engine=engine)


def test_a_sound_tokenizer_passes(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "sound", "qwen2")
    assert check("tokenizer", of_folder(folder)).verdict == "ok"
    assert check("end_of_sequence", of_folder(folder)).verdict == "ok"


def test_a_replaced_pre_tokenizer_is_caught(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "replaced", "qwen2")
    path = folder / "tokenizer.json"
    loaded = PreTrainedTokenizerFast(tokenizer_file=str(path), pad_token="<pad>", eos_token="<eos>")
    loaded.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    loaded.save_pretrained(folder)
    finding = check("tokenizer", of_folder(folder))
    assert finding.verdict == "failed"
    assert "replaces the pre-tokenizer" in finding.found


def test_missing_markers_are_caught(tmp_path: Path) -> None:
    some = tuple(m for m in steps.MARKERS if m != steps.OUTPUT)
    finding = check("tokenizer", of_folder(save_checkpoint(tmp_path / "some", "qwen2", markers=some)))
    assert finding.verdict == "failed"
    assert steps.OUTPUT in finding.found
    finding = check("tokenizer", of_folder(save_checkpoint(tmp_path / "none", "qwen2", markers=())))
    assert finding.verdict == "warning"
    assert "few-shot" in finding.advice


@pytest.mark.parametrize("end", [steps.END_OF_STEP, "a"])
def test_a_wrong_end_of_sequence_is_caught(tmp_path: Path, end: str) -> None:
    folder = save_checkpoint(tmp_path / "wrong", "qwen2")
    token = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(end)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": token}))
    finding = check("end_of_sequence", of_folder(folder))
    assert finding.verdict == "failed"
    assert end in finding.found
    assert "config.json" in finding.advice


class _Deaf(FakeEngine):
    """An engine that does not hear stop strings: it goes on to the end."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        return await super().generate(prompt, replace(params, stop=()))


class _Silent(FakeEngine):
    """An engine whose texts end at something else than a marker."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        return Generation(tuple(Completion("\nx = 1\n", None, 3, 0.0) for _ in range(params.n)), 5)


class _Greedy(FakeEngine):
    """A server that decodes greedily whatever is asked."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        return await super().generate(prompt, replace(params, temperature=0.0))


def test_a_wrong_stop_is_caught() -> None:
    sound = FakePolicy(malformed_rate=0.0)
    assert check("stops", of_engine(FakeEngine(sound))).verdict == "ok"
    finding = check("stops", of_engine(_Deaf(sound)))
    assert finding.verdict == "failed"
    assert "go on behind a stop marker" in finding.found
    finding = check("stops", of_engine(_Silent()))
    assert finding.verdict == "failed"
    assert "0 of 8 first steps end at a stop marker" in finding.found


def test_a_prompt_that_the_model_does_not_know_is_caught() -> None:
    async def run(policy: FakePolicy) -> dict[str, Finding]:
        patient = of_engine(FakeEngine(policy))
        return {name: await CHECKS[name](patient) for name in ("stops", "template")}

    assert asyncio.run(run(FakePolicy(malformed_rate=0.0)))["template"].verdict == "ok"
    finding = asyncio.run(run(FakePolicy(malformed_rate=1.0)))
    assert "failed" in {f.verdict for f in finding.values()}


def test_a_server_that_always_decodes_greedily_is_caught() -> None:
    async def run(engine: Engine) -> Finding:
        patient = of_engine(engine)
        await CHECKS["stops"](patient)
        return await CHECKS["sampling"](patient)

    sound = FakePolicy(malformed_rate=0.0)
    assert asyncio.run(run(FakeEngine(sound))).verdict == "ok"
    finding = asyncio.run(run(_Greedy(sound)))
    assert finding.verdict == "failed"
    assert "do_sample" in finding.advice


@pytest.fixture
def ppm(tmp_path: Path) -> Path:
    folder = save_checkpoint(tmp_path / "ppm", "llama", num_labels=1)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    loaded = AutoTokenizer.from_pretrained(folder)
    texts = ["x = 1", "print(2 + 3)", "# Step 1: add the apples"]
    probes = tuple(Probe(t, v) for t, v in zip(texts, score_texts(model, loaded, texts), strict=True))
    write_ppm_file(folder, PPMFile(5.0, probes))
    return folder


def test_a_head_that_was_trained_passes(ppm: Path) -> None:
    finding = check("reward_head", Patient(None, ppm, ON_CPU))
    assert finding.verdict == "ok", finding


@pytest.mark.parametrize("damage", ["missing", "another"])
def test_a_random_head_is_caught(ppm: Path, damage: str) -> None:
    weights = load_file(ppm / "model.safetensors")
    if damage == "missing":
        del weights["score.weight"]
    else:
        weights["score.weight"] = torch.randn_like(weights["score.weight"])
    save_file(weights, ppm / "model.safetensors", metadata={"format": "pt"})
    finding = check("reward_head", Patient(None, ppm, ON_CPU))
    assert finding.verdict == "failed"
    assert ("lacks the weights score.weight" if damage == "missing" else "probe text") in finding.found


def test_the_command_gives_one_line_for_each_check_and_says_what_to_do(tmp_path: Path, ppm: Path) -> None:
    folder = save_checkpoint(tmp_path / "wrong", "qwen2", markers=tuple(m for m in steps.MARKERS if m != steps.OUTPUT))
    config = json.loads((folder / "config.json").read_text())
    end = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(steps.END_OF_STEP)
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": end}))
    weights = load_file(ppm / "model.safetensors")
    save_file(
        weights | {"score.weight": -weights["score.weight"]}, ppm / "model.safetensors", metadata={"format": "pt"}
    )
    done = CliRunner().invoke(app, ["doctor", "--model", str(folder), "--ppm", str(ppm), "--device", "cpu"])
    assert done.exit_code == 1
    lines = done.stdout.strip().splitlines()
    assert [line.split()[1] for line in lines[: len(CHECKS)]] == list(CHECKS)
    failed = {line.split()[1]: line for line in lines if line.startswith("FAILED")}
    assert set(failed) == {"tokenizer", "end_of_sequence", "reward_head"}
    assert "rstar train sft" in failed["tokenizer"]  # what to do
    assert "set eos_token_id in config.json" in failed["end_of_sequence"]
    assert "copy" in failed["reward_head"] or "train" in failed["reward_head"]
    assert lines[-1] == f"3 of {len(CHECKS)} checks failed: tokenizer, end_of_sequence, reward_head"


def test_a_check_that_breaks_off_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Patient) -> Finding:
        raise ValueError("what\n  now")

    monkeypatch.setitem(CHECKS, "device", broken)
    finding = check("device", Patient())
    assert finding.verdict == "failed"
    assert "ValueError: what now" in finding.found


def test_the_machine_alone_is_examined_without_a_model() -> None:
    findings = {
        name: asyncio.run(CHECKS[name](Patient())) for name in ("packages", "device", "tokenizer", "reward_head")
    }
    assert findings["packages"].verdict == "ok"
    assert findings["tokenizer"].verdict == findings["reward_head"].verdict == "skipped"
