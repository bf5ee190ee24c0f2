"""`rstar doctor`: one line for each check; the exit status says whether anything failed."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import typer

from rstar_math.config import RuntimeSettings
from rstar_math.doctor import CHECKS, Finding, examine, examine_run, patient_of
from rstar_math.errors import ConfigError
from rstar_math.terminal.visible import visible_json

_SIGNS = {"ok": "ok", "warning": "note", "failed": "FAILED", "skipped": "-"}


def doctor_command(run: Path | None, model: str | None, ppm: str | None, device: str, json: bool) -> None:
    """Examines a run; or the machine, and the model and the reward model where they are given.

    Raises:
      typer.Exit: with status 1 where a check failed.
    """
    if run is not None and (model or ppm):
        raise ConfigError("give a run, whose files are checked, or --model and --ppm, which are tried; not both")
    width = max(map(len, ("round-00", *CHECKS)))

    def show(name: str, finding: Finding) -> None:
        advice = f" -> {finding.advice}" if finding.advice else ""
        print(f"{_SIGNS[finding.verdict]:<6}  {name:<{width}}  {finding.found}{advice}", flush=True)

    if run is not None:
        findings = examine_run(run, None if json else show)
    else:
        patient = patient_of(model, ppm, RuntimeSettings(device=device))
        findings = asyncio.run(examine(patient, None if json else show))
    failed = [name for name, finding in findings if finding.verdict == "failed"]
    if json:
        print(visible_json([{"check": name, **asdict(finding)} for name, finding in findings], indent=2))
    elif failed:
        print(f"\n{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}")
    if failed:
        raise typer.Exit(1)
