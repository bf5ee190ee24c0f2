"""`rstar doctor`: one line for each check; the exit status says whether anything failed."""

from __future__ import annotations

import asyncio
import json as json_format
from dataclasses import asdict

import typer

from rstar_math.config import RuntimeSettings
from rstar_math.doctor import CHECKS, Finding, examine, patient_of

_SIGNS = {"ok": "ok", "warning": "note", "failed": "FAILED", "skipped": "-"}


def doctor_command(model: str | None, ppm: str | None, device: str, json: bool) -> None:
    """Examines the machine, and the model and the PPM where they are given.

    Raises:
      typer.Exit: with status 1 where a check failed.
    """
    width = max(map(len, CHECKS))

    def show(name: str, finding: Finding) -> None:
        advice = f" -> {finding.advice}" if finding.advice else ""
        print(f"{_SIGNS[finding.verdict]:<6}  {name:<{width}}  {finding.found}{advice}", flush=True)

    patient = patient_of(model, ppm, RuntimeSettings(device=device))
    findings = asyncio.run(examine(patient, None if json else show))
    failed = [name for name, finding in findings if finding.verdict == "failed"]
    if json:
        print(json_format.dumps([{"check": name, **asdict(finding)} for name, finding in findings], indent=2))
    elif failed:
        print(f"\n{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}")
    if failed:
        raise typer.Exit(1)
