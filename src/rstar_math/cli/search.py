"""`rstar search`: one tree for each problem, to train on; run again to go on."""

from __future__ import annotations

from typing import Annotated

import typer

from rstar_math.cli.options import Deterministic, FromRecipe, FromRound, Model, Out, Seed, Set, Workers


def search(
    problems: Annotated[str, typer.Argument(help="pocket/train, another pocket split, or a JSONL file.")],
    out: Out,
    model: Model = "pocket-base",
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.")] = None,
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    round_number: FromRound = None,
    workers: Workers = None,
    deterministic: Deterministic = False,
    settings: Set = None,
) -> None:
    """Grow one tree per problem, with the reference in view: data for training."""
    from rstar_math.cli.settings import changed, round_of, runtime_with
    from rstar_math.config import ProblemSource
    from rstar_math.errors import ConfigError
    from rstar_math.models import find_model
    from rstar_math.problems.load import left_out, load_problems, with_references
    from rstar_math.progress import for_terminal
    from rstar_math.stages.search import search_problems
    from rstar_math.store.records import TreeStore
    from rstar_math.workers.jobs import SearchJob
    from rstar_math.workers.pool import WorkerPool

    changes = settings or []
    whole, of_round = round_of(recipe, round_number)
    found = find_model(model)
    chosen = load_problems(ProblemSource(source=problems, num_problems=limit))
    how = of_round.search
    if found.reward_model is None and not any(c.partition("=")[0].strip().endswith("use_ppm") for c in changes):
        how = how.model_copy(update={"use_ppm": False})
    how = changed(how, changes, "search")
    if how.terminal_value != "ppm":
        chosen = with_references(chosen)
        if left_out(chosen):
            print(left_out(chosen))
    if how.use_ppm and found.reward_model is None:
        raise ConfigError(f"use_ppm is true, and {found.name} has no reward model")
    job = SearchJob(found.policy, found.reward_model if how.use_ppm else None, "mcts", how)
    runtime = runtime_with(whole.runtime, workers, deterministic=deterministic)
    with for_terminal() as progress, WorkerPool(runtime) as pool, TreeStore(out) as store:
        search_problems(pool, job, chosen.problems, store, seed, (), progress, "search")
        num_solved = len({t.problem.id for t in store if t.solved})
    print(f"{len(chosen.problems)} problems, {num_solved} solved; trees: {out}")
