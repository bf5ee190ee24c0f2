"""`rstar problems`: sets of problems to evolve on, read from others' data or made by a model."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.help import Group
from rstar_math.cli.places import benchmarks_from, file_to_write

commands = typer.Typer(cls=Group, help="Sets of problems to evolve on.", no_args_is_help=True, rich_markup_mode=None)

Against = Annotated[
    list[str] | None,
    typer.Option(help="Benchmarks (math500, ...) or files that will be reported; may be repeated. Default: all."),
]
FromFolder = Annotated[
    Path | None, typer.Option("--from", help="Folder with files of the benchmarks; default: the hub.")
]


@commands.command()
def prepare(
    sources: Annotated[
        list[str],
        typer.Argument(help="Files of rows (.jsonl, .json, .parquet), or hub names such as AI-MO/NuminaMath-CoT."),
    ],
    out: Annotated[Path, typer.Option(help="JSONL file to write.", callback=file_to_write)],
    tiers: Annotated[str | None, typer.Option(help="Only these tiers: gsm, math, olympiad, with commas.")] = None,
    against: Against = None,
    from_folder: FromFolder = None,
    overlap: Annotated[str, typer.Option(help="block, drop or allow problems that stand in a benchmark.")] = "block",
    limit: Annotated[int | None, typer.Option(help="Only the first so many of each source.")] = None,
    synthetic: Annotated[
        bool, typer.Option(help="Problems of which their rows say that a model wrote them (NuminaMath).")
    ] = True,
) -> None:
    """Read sets, leave out duplicates and what overlaps with benchmarks, write one file."""
    from rstar_math.config import ProblemSource
    from rstar_math.errors import ConfigError
    from rstar_math.problems import prepare
    from rstar_math.problems.benchmarks import BENCHMARKS
    from rstar_math.problems.load import load_problems
    from rstar_math.store.files import write_text

    if overlap not in ("block", "drop", "allow"):
        raise ConfigError(f"--overlap {overlap!r} is not known; choose from block, drop, allow")
    names = list(BENCHMARKS) if against is None else against
    names = benchmarks_from(from_folder, names)
    benchmarks = [] if overlap == "allow" else [load_problems(ProblemSource(source=name)) for name in names]
    left_out: Counter[str] = Counter()
    problems = []
    for source in sources:
        made = prepare.read_set(source, synthetic=synthetic)
        left_out += made.left_out
        problems += made.problems[:limit]
    made = prepare.with_tiers(problems, tiers.split(",") if tiers else None)
    left_out += made.left_out
    made = prepare.without_duplicates(made.problems)
    left_out += made.left_out
    if overlap == "block":
        prepare.require_no_overlap(made.problems, benchmarks)
    elif overlap == "drop":
        made = prepare.without_overlaps(made.problems, benchmarks)
        left_out += made.left_out
    rows = (json.dumps(prepare.problem_row(p), ensure_ascii=False) + "\n" for p in made.problems)
    write_text(out, "".join(rows))
    print(f"{len(made.problems)} problems: " + _counts(Counter(p.tier or "no tier" for p in made.problems)))
    if left_out:
        print(f"left out: {_counts(left_out)}")
    print(f"checked against: {', '.join(b.name for b in benchmarks) or 'nothing'}\n{out}")


@commands.command()
def make(
    seeds: Annotated[str, typer.Argument(help="Problems to start from: a JSONL file, or a pocket split.")],
    out: Annotated[Path, typer.Option(help="JSONL file to write.", callback=file_to_write)],
    model: Annotated[str, typer.Option(help="As for solve: proposes and solves.")],
    num: Annotated[int, typer.Option(help="Problems to propose.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    settings: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE: any other setting.")] = None,
) -> None:
    """Let a model write new problems; keep those on whose answer its solutions agree."""
    import asyncio

    from rstar_math.cli.settings import changed
    from rstar_math.config import ProblemSource, RuntimeSettings, SynthesisSettings
    from rstar_math.models import find_model
    from rstar_math.problems.load import load_problems
    from rstar_math.problems.prepare import problem_row
    from rstar_math.problems.synthesis import MadeProblems, make_problems
    from rstar_math.store.files import write_text
    from rstar_math.workers.bench import open_workbench

    chosen = changed(SynthesisSettings(num_problems=num), settings or [])
    found = find_model(model)
    shown = load_problems(ProblemSource(source=seeds)).problems

    async def run() -> MadeProblems:
        async with open_workbench(found.policy, None, RuntimeSettings()) as bench:
            return await make_problems(bench.engine, bench.environment, shown, chosen, seed)

    made = asyncio.run(run())
    rows = [problem_row(p) | {"agreement": "{} of {}".format(*made.agreement[p.id])} for p in made.problems]
    write_text(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    print(f"{len(rows)} of {chosen.num_problems} proposals kept")
    if made.dropped:
        print(f"dropped: {_counts(made.dropped)}")
    print(out)


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name}: {n}" for name, n in counts.most_common())
