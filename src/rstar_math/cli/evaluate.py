"""`rstar eval`: models and methods, measured on problems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.options import Deterministic, Out, Set, Workers
from rstar_math.cli.places import benchmarks_from


def evaluate(
    out: Out,
    model: Annotated[list[str], typer.Option(help="As for solve; may be repeated.")] = ["pocket"],  # noqa: B006
    benchmark: Annotated[
        list[str],
        typer.Option(help="A JSONL file, or a name that `rstar benchmarks` lists; may be repeated."),
    ] = ["pocket/test"],  # noqa: B006
    from_folder: Annotated[
        Path | None, typer.Option("--from", help="Folder with files of the benchmarks; default: the hub.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="Strategies (`rstar strategies` lists them), separated by commas; default without --methods: "
            "greedy,mcts, or greedy,sample where a model has no reward model."
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(help="YAML file of methods (strategy, reward model, settings), pocket, or uct; may be repeated."),
    ] = None,
    reward_model: Annotated[
        list[str] | None,
        typer.Option(
            "--reward-model", "--scorer", help="NAME=FOLDER of a reward model that methods name; may be repeated."
        ),
    ] = None,
    tokens: Annotated[
        list[int] | None, typer.Option(help="Budget: tokens generated for an answer; may be repeated, for one each.")
    ] = None,
    rollouts: Annotated[list[int] | None, typer.Option(help="Budget: rollouts, or samples, in all; likewise.")] = None,
    seconds: Annotated[list[float] | None, typer.Option(help="Budget: wall seconds; likewise.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Method that others are compared with; default: first.")] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Methods share completions and scores; seconds are not measured.")
    ] = False,
    pool: Annotated[bool, typer.Option("--pool", help="Models differ in training seed only: a line over all.")] = False,
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.")] = None,
    seed: Annotated[list[int], typer.Option(help="Seed of every search; may be repeated.")] = [0],  # noqa: B006
    workers: Workers = None,
    concurrency: Annotated[int, typer.Option(help="Problems in flight in one process.")] = 64,
    deterministic: Deterministic = False,
    settings: Set = None,
    curve: Annotated[
        bool, typer.Option("--curve", help="Write accuracy against --tokens beside the model, for `rstar serve`.")
    ] = False,
) -> None:
    """Measure models and methods on problems, at equal budgets; one row per problem, resumable."""
    from rstar_math.cli.combinations import Asked, evaluate_combinations

    asked = Asked(
        models=model,
        benchmarks=benchmarks_from(from_folder, benchmark),
        strategies=strategy.split(",") if strategy else (),
        method_files=methods or (),
        tokens=tokens or (),
        rollouts=rollouts or (),
        seconds=seconds or (),
        seeds=seed,
        reward_models=reward_model or (),
        baseline=baseline,
        limit=limit,
        changes=settings or (),
        pool_models=pool,
        shared=shared,
        deterministic=deterministic,
    )
    if curve:
        from rstar_math.cli.curve import measure_curve

        measure_curve(out, asked, workers, concurrency)
    else:
        evaluate_combinations(out, asked, workers, concurrency)
