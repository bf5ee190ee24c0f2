"""Is a run whole? Every file, held against the checksum that its stage left."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from rstar_math.config.reading import load_recipe
from rstar_math.doctor.patient import Finding
from rstar_math.errors import RStarError
from rstar_math.store.manifest import Manifest
from rstar_math.store.round import parts_in
from rstar_math.store.run import require_recipe_unchanged, require_run


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
