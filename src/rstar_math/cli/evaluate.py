"""`rstar eval`: strategies x models x sets of problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rstar_math import progress as progress_display
from rstar_math.benchmarks.problems import described, load_problems
from rstar_math.cli.settings import changed, runtime_with
from rstar_math.config import ProblemSource, RuntimeSettings
from rstar_math.errors import ConfigError
from rstar_math.models import default_answering, find_model
from rstar_math.search.strategies import strategy


def evaluate_command(
    out: Path,
    models: Sequence[str],
    benchmarks: Sequence[str],
    strategies: Sequence[str],
    limit: int | None,
    seed: int,
    workers: int | None,
    concurrency: int,
    changes: Sequence[str],
) -> None:
    """Evaluates every combination and prints one table."""
    from rich.console import Console

    from rstar_math.evaluate import evaluate
    from rstar_math.report.evaluation import print_evaluation, write_evaluation
    from rstar_math.store.files import fingerprint, write_json
    from rstar_math.workers import WorkerPool

    found = [find_model(name) for name in models]
    for name in strategies:
        strategy(name)
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit is {limit}; it must be at least 1")
    sets = [load_problems(ProblemSource(source=name, num_problems=limit)) for name in benchmarks]
    for problems in sets:
        print(described(problems))
    write_json(
        out / "benchmarks.json", [{"name": p.name, "sha256": p.sha256, "problems": len(p.problems)} for p in sets]
    )
    rows = []
    progress = progress_display.for_terminal()
    with WorkerPool(runtime_with(RuntimeSettings(), workers, concurrency)) as pool:
        for model in found:
            answering = changed(default_answering(model), changes)
            for problems in sets:
                for name in strategies:
                    # rows of other settings or other problems are other rows
                    key = {"settings": answering.model_dump(mode="json"), "problems": problems.sha256, "seed": seed}
                    key |= {"model": model.name, "strategy": name, "benchmark": problems.name}
                    path = out / "rows" / f"{problems.name.replace('/', '-')}-{name}-{fingerprint(key)}.jsonl"
                    write_json(path.with_suffix(".json"), key)
                    rows += evaluate(
                        pool, model, name, answering, problems.problems, path, seed, problems.name, progress
                    )
    write_evaluation(out, rows)
    print_evaluation(Console(), rows)
    print(f"\n{out}")
