"""Is this machine, and is this model, fit to run? One registry of checks; each says in one line what it found.

A check is a function of a `Patient` that returns a `Finding`, and one line in `CHECKS`. Checks run in order; where one
fails so that later ones make no sense, those say so. Nothing is trained, and no file is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rstar_math.config import RuntimeSettings
from rstar_math.doctor.machine import device, packages, sandbox
from rstar_math.doctor.patient import Check, Finding, Patient
from rstar_math.doctor.policy import end_of_sequence, known_answers, sampling, stops, template, tokenizer
from rstar_math.doctor.reward_head import reward_head
from rstar_math.errors import RStarError
from rstar_math.models import find_model


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


def patient_of(model: str | None, reward_model: str | None, runtime: RuntimeSettings | None = None) -> Patient:
    """The patient that options of the command line describe.

    Raises:
      ModelError: there is no such model.
    """
    found = find_model(model) if model else None
    folder = Path(reward_model) if reward_model else (found.reward_model if found else None)
    return Patient(found, folder, runtime or RuntimeSettings())


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
