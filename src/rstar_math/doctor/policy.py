"""Checks of a policy: its tokenizer, where its texts end, what it writes, and whether it finds known answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rstar_math import steps as step_format
from rstar_math.config import SearchSettings
from rstar_math.doctor.patient import Finding, Patient, skipped, weight_bytes
from rstar_math.errors import ContextLengthError
from rstar_math.types import Completion, Problem, SamplingParams

KNOWN_ANSWERS = (
    Problem("known-1", "What is 17 + 25?", "42"),
    Problem("known-2", "A box holds 12 eggs. How many eggs are in 7 boxes?", "84"),
    Problem("known-3", "What is the greatest common divisor of 84 and 36?", "12"),
)
NUM_SAMPLES = 8
_MAX_STEP_TOKENS = 256
_SEED_TOKENS = 24
"""Tokens that show whether a seed gives the same: a model that never ends its steps would write ten times as many."""


async def tokenizer(patient: Patient) -> Finding:
    """Every marker is one token and survives a round trip, and no pre-tokenizer was replaced behind our back."""
    if patient.folder is None:
        return skipped(patient, "the tokenizer is not on this machine")
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
        return skipped(patient, "the configuration is not on this machine")
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
        return skipped(patient, "needs a model with a sound tokenizer")
    patient.samples = await _first_steps(patient, 1.0, _MAX_STEP_TOKENS)
    kept = [c for c in patient.samples if any(m in c.text for m in step_format.STOPS)]
    if kept:
        advice = "the engine or the server does not cut at stop strings; report the server, or use another"
        return Finding("failed", f"{len(kept)} of {NUM_SAMPLES} completions go on behind a stop marker", advice)
    stopped = [c for c in patient.samples if c.stop in step_format.STOPS]
    found = f"{len(stopped)} of {NUM_SAMPLES} first steps end at a stop marker"
    if 2 * len(stopped) < NUM_SAMPLES:
        ended = max((c.text[-30:] for c in patient.samples if c.stop is None), key=len, default="")
        advice = (
            "the model does not keep to the step format (teach it: `rstar pocket demonstrations`, `rstar train sft`; "
            "or show it examples of your own by bootstrap), or something else ends its texts: see end_of_sequence"
        )
        return Finding("failed", f"{found}; others end like {ended!r}", advice)
    return Finding("ok", found)


async def template(patient: Patient) -> Finding:
    """The prompt is the one that the model was trained on: its first steps are code that may stand."""
    if patient.model is None or not patient.samples or "stops" in patient.failed:
        return skipped(patient, "needs completions that end at markers")
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
        return skipped(patient, "needs completions")
    different = len({c.text for c in patient.samples})
    if different == 1 and patient.folder is None and not await _varies(patient, 2.0):
        advice = (
            "the server decodes greedily whatever the temperature (`transformers serve` does where the model's "
            "generation_config.json lacks do_sample: true), or its model has collapsed"
        )
        return Finding("failed", f"{NUM_SAMPLES} candidates are all the same, also at temperature 2", advice)
    # Both behind a prompt that was read already: an engine that keeps it rounds otherwise than when it reads it.
    first, again = [[c.text for c in await _first_steps(patient, 1.0, _SEED_TOKENS)] for _ in range(2)]
    same = first == again
    found = f"{different} distinct among {NUM_SAMPLES} candidates"
    if same:
        return Finding("ok", f"{found}; the same seed gives the same ones")
    return Finding("warning", f"{found}; the same seed gives others", "trees cannot be reproduced with this engine")


async def known_answers(patient: Patient) -> Finding:
    """A few easy problems, each by a few samples: does the whole chain of policy, executor and grader find them?"""
    if patient.model is None or patient.failed & {"sandbox", "tokenizer", "stops"}:
        return skipped(patient, "needs a model that ends its steps, and a sandbox")
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


async def _varies(patient: Patient, temperature: float) -> bool:
    return len({c.text for c in await _first_steps(patient, temperature, _MAX_STEP_TOKENS)}) > 1


async def _first_steps(patient: Patient, temperature: float, max_tokens: int) -> tuple[Completion, ...]:
    """Candidates for the first step of the first known problem."""
    problem = (_own_problems(patient) or KNOWN_ANSWERS)[0]
    params = SamplingParams(
        n=NUM_SAMPLES, temperature=temperature, max_tokens=max_tokens, stop=step_format.STOPS, seed=7
    )
    try:
        generation = await patient.open_engine().generate(step_format.prompt(problem.question), params)
    except ContextLengthError as error:
        raise type(error)(f"the model's context is too short for a short question: {error}") from error
    return generation.completions


def _own_problems(patient: Patient) -> Sequence[Problem]:
    """Problems of the world that a pocket model knows; () for all others."""
    folder = patient.folder
    if folder is None or weight_bytes(folder) > 64 << 20 or not (folder / "tokenizer.json").exists():
        return ()
    from rstar_math.pocket.splits import pocket_problems

    return tuple(pocket_problems("validation", 3, seed=11))


def _compiles(code: str) -> bool:
    try:
        compile(code, "<step>", "exec")
    except (SyntaxError, ValueError):
        return False
    return bool(code.strip())
