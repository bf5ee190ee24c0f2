"""Is this machine, and is this model, fit to run? One registry of checks; each says in one line what it found.

A check is a function of a `Patient` that returns a `Finding`, and one line in `CHECKS`. Checks run in order; where one
fails so that later ones make no sense, those say so. Nothing is trained, and no file is written.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rstar_math import steps as step_format
from rstar_math.config import RuntimeSettings, SearchSettings
from rstar_math.config.reading import load_recipe
from rstar_math.engines.base import Engine
from rstar_math.errors import ContextLengthError, RStarError
from rstar_math.models import ModelFolders, find_model, is_url
from rstar_math.plugins import is_own
from rstar_math.store.manifest import Manifest
from rstar_math.store.round import parts_in
from rstar_math.store.run import require_recipe_unchanged, require_run
from rstar_math.types import Completion, Problem, SamplingParams

Verdict = Literal["ok", "warning", "failed", "skipped"]

KNOWN_ANSWERS = (
    Problem("known-1", "What is 17 + 25?", "42"),
    Problem("known-2", "A box holds 12 eggs. How many eggs are in 7 boxes?", "84"),
    Problem("known-3", "What is the greatest common divisor of 84 and 36?", "12"),
)
NUM_SAMPLES = 8
_MAX_STEP_TOKENS = 256
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: one line, and where something is wrong what to do about it."""

    verdict: Verdict
    found: str
    advice: str = ""


@dataclass
class Patient:
    """What is examined. Engine and samples are opened by the first check that needs them.

    Attributes:
      model: the model, or None: the machine alone.
      reward_model: folder of a reward model, or None.
      runtime: device, arithmetic, limits of execution.
      failed: checks that failed so far.
    """

    model: ModelFolders | None = None
    reward_model: Path | None = None
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    failed: set[str] = field(default_factory=set)
    engine: Engine | None = None
    samples: tuple[Completion, ...] = ()

    @property
    def folder(self) -> Path | None:
        """The folder of the policy's weights and tokenizer; None behind a URL, of one's own engine, without a model."""
        if self.model is None:
            return None
        policy = self.model.policy
        if isinstance(policy, Path):
            return policy
        return None if is_url(policy.policy) or is_own(policy.policy) else self.model.policy_folder

    def open_engine(self) -> Engine:
        """The policy's engine.

        Raises:
          ModelError: the model is unfit.
        """
        if self.engine is None:
            from rstar_math.engines.open import open_policy

            assert self.model is not None
            self.engine = open_policy(self.model.policy, self.runtime)
        return self.engine


Check = Callable[[Patient], Coroutine[Any, Any, Finding]]


async def examine(
    patient: Patient, on_finding: Callable[[str, Finding], None] | None = None
) -> list[tuple[str, Finding]]:
    """Runs all checks in order; what a check raises is its finding."""
    findings = []
    try:
        for name, check in CHECKS.items():
            try:
                finding = await check(patient)
            except RStarError as error:
                finding = Finding("failed", str(error))
            except Exception as error:  # whatever a damaged model makes its reader raise is a finding as well
                finding = Finding("failed", f"the check broke off with {type(error).__name__}: {error}")
            finding = replace(finding, found=" ".join(finding.found.split()))  # errors of others have several lines
            if finding.verdict == "failed":
                patient.failed.add(name)
            findings.append((name, finding))
            if on_finding:
                on_finding(name, finding)
    finally:
        if patient.engine is not None:
            await patient.engine.aclose()
    return findings


def examine_run(run: Path, on_finding: Callable[[str, Finding], None] | None = None) -> list[tuple[str, Finding]]:
    """Reads every file of a run in full, and holds it against the checksum that its stage left.

    Returns:
      A finding for the recipe, one for the base and one for each round.

    Raises:
      DataError: the folder is no run.
    """
    path = require_run(run)

    def recipe() -> Finding:
        is_checked = require_recipe_unchanged(run)
        load_recipe(str(path))
        return Finding("ok", "as it was when the run began" if is_checked else "can be read; it has no checksum")

    def part(folder: Path) -> Finding:
        manifest = Manifest(folder)
        manifest.verify(in_full=True)
        if not manifest.num_files:
            return Finding("warning", "no stage is whole yet: nothing has a checksum")
        return Finding("ok", f"{manifest.num_files} files, all as their stages left them")

    checks: list[tuple[str, Callable[[], Finding]]] = [("recipe", recipe)]
    checks += [(folder.name, partial(part, folder)) for folder in parts_in(run)]
    findings = []
    for name, check in checks:
        try:
            finding = check()
        except RStarError as error:
            finding = Finding("failed", " ".join(str(error).split()))
        findings.append((name, finding))
        if on_finding:
            on_finding(name, finding)
    return findings


def patient_of(model: str | None, reward_model: str | None, runtime: RuntimeSettings | None = None) -> Patient:
    """The patient that options of the command line describe.

    Raises:
      ModelError: there is no such model.
    """
    found = find_model(model) if model else None
    folder = Path(reward_model) if reward_model else (found.reward_model if found else None)
    return Patient(found, folder, runtime or RuntimeSettings())


async def packages(patient: Patient) -> Finding:
    """Python, the packages that are needed, and those that only some commands need."""
    needed = ("torch", "transformers", "tokenizers", "math-verify", "sympy", "pyarrow", "httpx")
    optional = ("trl", "accelerate", "peft", "datasets", "vllm", "ray", "fastapi")
    missing = [name for name in needed if _version(name) is None]
    if missing:
        return Finding("failed", f"not installed: {', '.join(missing)}", "pip install -c constraints.txt rstar-math")
    have = ", ".join(f"{n} {_version(n)}" for n in ("torch", "transformers"))
    extras = [name for name in optional if _version(name) is not None]
    return Finding("ok", f"Python {sys.version.split()[0]}, {have}; optional: {', '.join(extras) or 'none'}")


async def device(patient: Patient) -> Finding:
    """What computes, and its memory; whether the model's weights fit."""
    import torch

    free_disk = shutil.disk_usage(Path.cwd()).free / _GIB
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        memory = torch.cuda.get_device_properties(0).total_memory / _GIB
        found = f"{len(names)} x {names[0]}, {memory:.0f} GiB each"
    else:
        found = f"CPU with {cores} cores, {memory:.1f} GiB of memory, no GPU"
    found += f", {free_disk:.0f} GiB of disk free"
    size = _weight_bytes(patient.folder) / _GIB
    if size > memory:
        advice = "take a smaller model, or run it behind a server (--model http://...)"
        return Finding("failed", f"{found}; the weights alone are {size:.1f} GiB", advice)
    if free_disk < 1:
        return Finding("warning", found, "make room: a run writes trees and models of every round")
    return Finding("ok", found)


async def sandbox(patient: Patient) -> Finding:
    """Which layers isolate step code, and whether a step runs under them."""
    from rstar_math.execution.layers import HasLayers
    from rstar_math.execution.opening import open_executor

    executor = open_executor(patient.runtime.execution, num_slots=1)
    try:
        execution = await executor.execute([], "print(6 * 7)")
        layers = await executor.layers() if isinstance(executor, HasLayers) else []
    finally:
        await executor.aclose()
    if not execution.ok or execution.output.strip() != "42":
        found = f"a step that prints 42 ended as {execution.status}: {execution.error or execution.output!r}"
        return Finding("failed", found, "see docs/execution.md for what this machine must allow")
    present = [layer.name for layer in layers if layer.active]
    absent = [layer for layer in layers if not layer.active]
    found = f"steps run; layers: {', '.join(present) or 'none'}"
    if absent:
        found += "; missing: " + ", ".join(f"{layer.name} ({layer.detail})" for layer in absent)
    if any(layer.required for layer in absent):
        return Finding("failed", found, "see docs/execution.md; steps must not run without these layers")
    return Finding("warning" if absent else "ok", found)


async def tokenizer(patient: Patient) -> Finding:
    """Every marker is one token and survives a round trip, and no pre-tokenizer was replaced behind our back."""
    if patient.folder is None:
        return _skipped(patient, "the tokenizer is not on this machine")
    from rstar_math.engines.few_shot import knows_markers
    from rstar_math.engines.torch.loading import check_folder, check_tokenizer

    folder = check_folder(patient.folder)
    with_text = not knows_markers(folder)
    loaded = check_tokenizer(folder, allow_text_markers=with_text)  # raises for a replaced pre-tokenizer
    text = step_format.prompt("Is 3 < 5?") + "\n# Step 1: it's 0.5\nx = [1, 2]\n" + "".join(step_format.MARKERS)
    again = loaded.decode(loaded(text, add_special_tokens=False)["input_ids"], skip_special_tokens=False)
    if again != text:
        at = next((i for i, (a, b) in enumerate(zip(text, again, strict=False)) if a != b), min(len(text), len(again)))
        found = f"text does not survive: {text[at : at + 20]!r} comes back as {again[at : at + 20]!r}"
        return Finding("failed", found, "train the model with another tokenizer, or check its normaliser and decoder")
    if with_text:
        advice = "fine for round 1 with the few-shot prompt; `rstar train sft` adds the markers as tokens"
        return Finding("warning", f"no marker is a token ({step_format.END_OF_STEP} is plain text)", advice)
    split = [m for m in step_format.MARKERS if len(loaded(m, add_special_tokens=False)["input_ids"]) != 1]
    if split:
        advice = "add the markers as added tokens and train the model on them (`rstar train sft` does both)"
        return Finding("failed", f"{split[0]} is not one token", advice)
    return Finding("ok", "all 7 markers are single tokens; text survives a round trip; encodes as tokenizer.json says")


async def end_of_sequence(patient: Patient) -> Finding:
    """What the configuration ends a sequence at: a special token, and none of the step format's markers."""
    if patient.folder is None:
        return _skipped(patient, "the configuration is not on this machine")
    import json

    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(patient.folder, local_files_only=True)
    ends: dict[int, str] = {}
    for name in ("config.json", "generation_config.json"):
        path = patient.folder / name
        value = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id") if path.exists() else None
        for token in value if isinstance(value, list) else [] if value is None else [value]:
            ends.setdefault(int(token), name)
    if loaded.eos_token_id is not None:
        ends.setdefault(int(loaded.eos_token_id), "tokenizer")
    if not ends:
        advice = "set eos_token_id in config.json; completions end only at markers and at the limit until then"
        return Finding("warning", "no end-of-sequence token is configured", advice)
    special = set(loaded.all_special_ids) | {i for i, t in loaded.added_tokens_decoder.items() if t.special}
    for token, where in ends.items():
        text = loaded.decode([token], skip_special_tokens=False)
        if text in step_format.MARKERS:
            advice = f"set eos_token_id in {where} to the model's own end of sequence ({loaded.eos_token!r})"
            return Finding("failed", f"{where} ends a sequence at {text}, so that a step ends the whole text", advice)
        if token not in special:
            advice = f"set eos_token_id in {where} to {loaded.eos_token_id} ({loaded.eos_token!r})"
            return Finding("failed", f"{where} ends a sequence at token {token}, which is the text {text!r}", advice)
    shown = ", ".join(repr(loaded.decode([t], skip_special_tokens=False)) for t in ends)
    return Finding("ok", f"a sequence ends at {shown}")


async def stops(patient: Patient) -> Finding:
    """Completions end at the stop markers: none is left in the text, and most first steps end at one."""
    if patient.model is None or patient.failed & {"tokenizer"}:
        return _skipped(patient, "needs a model with a sound tokenizer")
    patient.samples = await _first_steps(patient, 1.0)
    kept = [c for c in patient.samples if any(m in c.text for m in step_format.STOPS)]
    if kept:
        advice = "the engine or the server does not cut at stop strings; report the server, or use another"
        return Finding("failed", f"{len(kept)} of {NUM_SAMPLES} completions go on behind a stop marker", advice)
    stopped = [c for c in patient.samples if c.stop in step_format.STOPS]
    found = f"{len(stopped)} of {NUM_SAMPLES} first steps end at a stop marker"
    if 2 * len(stopped) < NUM_SAMPLES:
        ended = max((c.text[-30:] for c in patient.samples if c.stop is None), key=len, default="")
        advice = (
            "the model was not trained on the step format (train it, or use bootstrap: default), or something else "
            "ends its texts: see end_of_sequence"
        )
        return Finding("failed", f"{found}; others end like {ended!r}", advice)
    return Finding("ok", found)


async def template(patient: Patient) -> Finding:
    """The prompt is the one that the model was trained on: its first steps are code that may stand."""
    if patient.model is None or not patient.samples or "stops" in patient.failed:
        return _skipped(patient, "needs completions that end at markers")
    reasons = [step_format.malformed(c.text + (c.stop or ""), c.stop, False) for c in patient.samples]
    programs = [_compiles(step_format.code_of(c.text + (c.stop or ""))) for c in patient.samples]
    fit = sum(reason is None and compiles for reason, compiles in zip(reasons, programs, strict=True))
    restated = getattr(getattr(patient.engine, "counts", None), "restated", 0)
    found = f"{fit} of {NUM_SAMPLES} first steps are Python in the step format"
    if restated:
        found += "; the chat endpoint cannot go on from a prefix and is asked for the next step instead"
    if 2 * fit < NUM_SAMPLES:
        first = next((r for r in reasons if r), None) or "the code does not compile"
        advice = f"compare the prompt with the model's training data; `bootstrap: default` shows examples ({first})"
        return Finding("failed", found, advice)
    return Finding("warning" if restated else "ok", found, "prefer the completions API" if restated else "")


async def sampling(patient: Patient) -> Finding:
    """Candidates are drawn, not decoded greedily, and the same seed gives the same ones."""
    if patient.model is None or not patient.samples:
        return _skipped(patient, "needs completions")
    different = len({c.text for c in patient.samples})
    if different == 1 and patient.folder is None and len({c.text for c in await _first_steps(patient, 2.0)}) == 1:
        advice = (
            "the server decodes greedily whatever the temperature (`transformers serve` does where the model's "
            "generation_config.json lacks do_sample: true), or its model has collapsed"
        )
        return Finding("failed", f"{NUM_SAMPLES} candidates are all the same, also at temperature 2", advice)
    same = [c.text for c in await _first_steps(patient, 1.0)] == [c.text for c in patient.samples]
    found = f"{different} distinct among {NUM_SAMPLES} candidates"
    if same:
        return Finding("ok", f"{found}; the same seed gives the same ones")
    return Finding("warning", f"{found}; the same seed gives others", "trees cannot be reproduced with this engine")


async def reward_head(patient: Patient) -> Finding:
    """The reward model's head is the one that was trained: its probe texts get the logits stored beside it."""
    if patient.reward_model is None:
        return _skipped(patient, "no reward model was given")
    from rstar_math.checkpoints.ppm_file import read_ppm_file
    from rstar_math.engines.torch.loading import load_torch_reward_model

    content = read_ppm_file(patient.reward_model)
    missing = _missing_weights(patient.reward_model)
    if missing:
        advice = "transformers fills it in at random; copy the whole folder again, or train the model again"
        return Finding("failed", f"{patient.reward_model} lacks the weights {', '.join(missing[:3])}", advice)
    # raises where a probe gets another logit
    reward_model = load_torch_reward_model(patient.reward_model, device=patient.runtime.device)
    await reward_model.aclose()
    if len(content.probes) < 2:
        advice = "train the model again, so that its probes are stored"
        return Finding("warning", "the reward model has no probe texts, so a random head would pass", advice)
    spread = max(p.logit for p in content.probes) - min(p.logit for p in content.probes)
    quality = "" if content.pair_accuracy is None else f", {100 * content.pair_accuracy:.0f} % of held-out pairs right"
    if spread < 1e-3:
        return Finding("failed", "all probe texts get the same logit", "the head has not learned anything: train again")
    if content.pair_accuracy is not None and content.pair_accuracy < 0.55:
        return Finding("warning", f"{len(content.probes)} probes are met{quality}", "hardly better than chance")
    return Finding("ok", f"{len(content.probes)} probe texts get their logits{quality}")


async def known_answers(patient: Patient) -> Finding:
    """A few easy problems, each by a few samples: does the whole chain of policy, executor and grader find them?"""
    if patient.model is None or patient.failed & {"sandbox", "tokenizer", "stops"}:
        return _skipped(patient, "needs a model that ends its steps, and a sandbox")
    from rstar_math.execution.opening import open_executor
    from rstar_math.search.sampling import sample
    from rstar_math.workers.bench import Workbench, open_grader

    settings = SearchSettings(
        num_rollouts=4, use_ppm=False, temperature=0.7, max_step_tokens=_MAX_STEP_TOKENS, max_solution_tokens=512
    )
    problems = _own_problems(patient) or KNOWN_ANSWERS
    executor, grader = open_executor(patient.runtime.execution), open_grader()
    bench = Workbench(patient.open_engine(), executor, grader)
    try:
        trees = await asyncio.gather(*(sample(bench.environment(p, seed=0), settings) for p in problems))
    finally:
        await executor.aclose()
        await grader.aclose()
    solved = [tree.problem.id for tree in trees if tree.solved]
    found = f"{len(solved)} of {len(problems)} known problems solved by one of 4 samples"
    if solved:
        return Finding("ok", found)
    ends = sorted({n.rejected or n.terminal or "" for t in trees for n in t.nodes if n.rejected or n.terminal})
    advice = f"look at `rstar solve`; solutions end with: {'; '.join(e.splitlines()[0][:60] for e in ends if e)[:160]}"
    return Finding("failed", found, advice)


CHECKS: dict[str, Check] = {
    "packages": packages,
    "device": device,
    "sandbox": sandbox,
    "tokenizer": tokenizer,
    "end_of_sequence": end_of_sequence,
    "stops": stops,
    "template": template,
    "sampling": sampling,
    "reward_head": reward_head,
    "known_answers": known_answers,
}


async def _first_steps(patient: Patient, temperature: float) -> tuple[Completion, ...]:
    """Candidates for the first step of the first known problem."""
    problem = (_own_problems(patient) or KNOWN_ANSWERS)[0]
    params = SamplingParams(
        n=NUM_SAMPLES, temperature=temperature, max_tokens=_MAX_STEP_TOKENS, stop=step_format.STOPS, seed=7
    )
    try:
        generation = await patient.open_engine().generate(step_format.prompt(problem.question), params)
    except ContextLengthError as error:
        raise type(error)(f"the model's context is too short for a short question: {error}") from error
    return generation.completions


def _own_problems(patient: Patient) -> Sequence[Problem]:
    """Problems of the world that a pocket model knows; () for all others."""
    folder = patient.folder
    if folder is None or _weight_bytes(folder) > 64 << 20 or not (folder / "tokenizer.json").exists():
        return ()
    from rstar_math.pocket.splits import pocket_problems

    return tuple(pocket_problems("validation", 3, seed=11))


def _skipped(patient: Patient, why: str) -> Finding:
    return Finding("skipped", "no model was given" if patient.model is None and patient.reward_model is None else why)


def _compiles(code: str) -> bool:
    try:
        compile(code, "<step>", "exec")
    except (SyntaxError, ValueError):
        return False
    return bool(code.strip())


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _weight_bytes(folder: Path | None) -> int:
    if folder is None:
        return 0
    return sum(p.stat().st_size for p in [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")])


def _missing_weights(folder: Path) -> list[str]:
    """Names of weights that the architecture has and the folder lacks."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from rstar_math.checkpoints.folder import quiet_transformers
    from rstar_math.engines.torch.loading import check_folder

    options: dict[str, Any] = {"dtype": torch.float32, "output_loading_info": True, "local_files_only": True}
    with quiet_transformers():
        _, loading = AutoModelForSequenceClassification.from_pretrained(check_folder(folder), **options)
    return sorted(loading["missing_keys"])
