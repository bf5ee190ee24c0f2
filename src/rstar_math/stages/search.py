"""The search of a round: a tree for each training problem, and for each held-out one whose pairs steer the PPM."""

from __future__ import annotations

from collections.abc import Sequence

from rstar_math.config import ExtraSearch, RoundSettings
from rstar_math.errors import ConfigError
from rstar_math.models import ModelFolders, find_model
from rstar_math.progress import Progress
from rstar_math.stages.base import Made, Work
from rstar_math.store.records import TreeStore
from rstar_math.store.round import Round
from rstar_math.tree import Tree
from rstar_math.types import Problem
from rstar_math.workers.jobs import SearchJob, Task
from rstar_math.workers.pool import WorkerPool


def search_stage(work: Work, this: Round) -> Made:
    """Searches the training problems, and the held-out ones whose pairs steer the PPM, with the last models."""
    settings, seed, per_part = work.settings(this), work.seed(this), work.recipe.runtime.trees_per_part
    job = search_job(this, settings, work.base)
    with TreeStore(this.trees, per_part) as store:
        training, stage = work.problems.training.problems, f"{this.name}, search"
        search_problems(work.pool, job, training, store, seed, settings.extra, work.progress, stage)
        num_solved = len({t.problem.id for t in store if t.solved})
        num_trees = len(store.done)
    with TreeStore(this.held_out_trees, per_part) as store:
        held_out, stage = work.problems.held_out.problems, f"{this.name}, held-out search"
        search_problems(work.pool, job, held_out, store, seed, (), work.progress, stage)
        num_held_out = len(store.done)
    return {"num_trees": num_trees, "num_solved": num_solved, "num_held_out_trees": num_held_out}


def search_job(this: Round, settings: RoundSettings, base: ModelFolders) -> SearchJob:
    """What a round searches with: by its recipe the base or another model, or the last round's policy, and its PPM.

    Args:
      this: the round; a later one may search with the models of the one before.
      settings: of the round.
      base: the base model.

    Raises:
      ConfigError: there is no round before the first, or no PPM where one is asked for.
      ModelError: the model that the recipe names is not there.
    """
    policy, ppm = base.policy, base.reward_model
    if settings.policy == "previous":
        if this.number == 1:
            raise ConfigError("rounds[0].policy is 'previous'; there is no round before the first: use 'base'")
        policy, ppm = this.previous.policy, this.previous.ppm
    elif settings.policy != "base":
        other = find_model(settings.policy)
        policy, ppm = other.policy, other.reward_model
    if not settings.search.use_ppm:
        ppm = None
    elif ppm is None:
        raise ConfigError(f"rounds[{this.number - 1}].search.use_ppm is true, and the model that searches has no PPM")
    return SearchJob(policy, ppm, "mcts", settings.search)


def search_problems(
    pool: WorkerPool,
    job: SearchJob,
    problems: Sequence[Problem],
    store: TreeStore,
    first_seed: int,
    extra: Sequence[ExtraSearch],
    progress: Progress,
    stage: str,
) -> None:
    """Searches every problem once, then the unsolved ones again as `extra` says; trees go to `store`.

    The k-th tree of a problem has the seed `first_seed + k`. Problems whose trees are in the store are not searched
    again.
    """
    grow_all(pool, job, [Task(p, first_seed) for p in problems], store, progress, stage)
    seed = first_seed + 1
    for number, more in enumerate(extra, start=1):
        # solved by the searches before this one, whether this process made them or one that was stopped
        solved = {t.problem.id for t in store if t.seed < seed and t.solved}
        settings = job.settings.model_copy(update={"num_rollouts": more.num_rollouts})
        again = SearchJob(job.policy, job.reward_model, job.strategy, settings)
        unsolved = [p for p in problems if p.id not in solved]
        tasks = [Task(p, seed + k) for p in unsolved for k in range(more.num_trees)]
        grow_all(pool, again, tasks, store, progress, f"{stage}, unsolved again ({number})")
        seed += more.num_trees


def grow_all(
    pool: WorkerPool, job: SearchJob, tasks: Sequence[Task], store: TreeStore, progress: Progress, stage: str
) -> None:
    """Grows a tree for each task whose tree is not in the store yet."""
    todo = [t for t in tasks if f"{t.problem.id}@{t.seed}" not in store.done]
    progress.start(stage, len(tasks), len(tasks) - len(todo))
    for _, tree in pool.run(job, todo):
        assert isinstance(tree, Tree)
        store.append(tree)
        progress.advance(tree.cost.tokens_generated, tree.solved)
    progress.finish()
