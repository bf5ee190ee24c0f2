"""`rstar doctor`: one line for each check; the exit status says whether anything failed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rstar_math.doctor.patient import Finding

_SIGNS = {"ok": "ok", "warning": "note", "failed": "FAILED", "skipped": "-"}


def doctor(
    run: Annotated[
        Path | None, typer.Argument(help="Folder of a run: all its files are held against their checksums.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="As for solve; default: the machine alone.")] = None,
    ppm: Annotated[str | None, typer.Option(help="Folder of a reward model; default: the model's own.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Is this machine, model, prompt format and sandbox fit to run? Is a run whole? One line each."""
    import asyncio
    from dataclasses import asdict

    from rstar_math.config import RuntimeSettings
    from rstar_math.doctor.examine import CHECKS, examine, patient_of
    from rstar_math.doctor.run import examine_run
    from rstar_math.errors import ConfigError
    from rstar_math.terminal.visible import visible_json

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
