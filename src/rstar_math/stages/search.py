"""The search of a round: a tree for each training problem, and for each held-out one whose pairs steer the PPM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
from rstar_math.workers.pool import Pool


def search_stage(work: Work, this: Round) -> Made:
    """Searches the training problems, and the held-out ones whose pairs steer the PPM, with the last models."""
    settings, seed, per_part = work.settings(this), work.seed(this), work.recipe.runtime.trees_per_part
    job = search_job(this, settings, work.base)
    with TreeStore(this.trees, per_part) as store:
        training, stage = work.problems.searched(this.number).problems, f"{this.name}, search"
        search_problems(
            work.pool, job, training, store, seed, settings.extra, work.progress, stage, settings.num_tokens
        )
        num_solved = len({t.problem.id for t in store if t.solved})
        num_trees = len(store.done)
    num_held_out = 0
    if settings.train_ppm:
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
    return SearchJob(policy, ppm, settings.strategy, settings.search)


def search_problems(
    pool: Pool,
    job: SearchJob,
    problems: Sequence[Problem],
    store: TreeStore,
    first_seed: int,
    extra: Sequence[ExtraSearch],
    progress: Progress,
    stage: str,
    num_tokens: int | None = None,
) -> None:
    """Searches every problem, then the unsolved ones again as `extra` says; trees go to `store`.

    The k-th tree of a problem has the seed `first_seed + k`. Trees that are in the store are not grown again.

    Args:
      pool: of search processes.
      job: how.
      problems: in the order in which the last tokens are spent.
      store: takes the trees.
      first_seed: of the first tree of each problem.
      extra: further searches.
      progress: hears of every tree.
      stage: what progress calls it.
      num_tokens: every problem is searched again until so many are generated over all; None: once.
    """
    seed = first_seed
    if num_tokens is None:
        grow_all(pool, job, [Task(p, seed) for p in problems], store, progress, stage)
        seed += 1
    else:
        seed = _spend(num_tokens, pool, job, problems, store, seed, progress, stage)
    for number, more in enumerate(extra, start=1):
        # solved by the searches before this one, whether this process made them or one that was stopped
        solved = {t.problem.id for t in store if t.seed < seed and t.solved}
        settings = job.settings.model_copy(update={"num_rollouts": more.num_rollouts})
        again = SearchJob(job.policy, job.reward_model, job.strategy, settings)
        unsolved, title = [p for p in problems if p.id not in solved], f"{stage}, unsolved again ({number})"
        if more.num_tokens is not None:
            seed = _spend(more.num_tokens, pool, again, unsolved, store, seed, progress, title)
            continue
        tasks = [Task(p, seed + k) for p in unsolved for k in range(more.num_trees)]
        grow_all(pool, again, tasks, store, progress, title)
        seed += more.num_trees


_MOST_TREES = 400
"""Most trees of one problem that a number of tokens is spent on: two such searches fit into the seeds of a round."""


def _spend(
    num_tokens: int,
    pool: Pool,
    job: SearchJob,
    problems: Sequence[Problem],
    store: TreeStore,
    first_seed: int,
    progress: Progress,
    stage: str,
) -> int:
    """Grows one tree for each problem after the other until the tokens are spent; gives the next seed.

    The last turn takes the first problems alone, as many as the tokens are for by the mean so far. A run that was
    stopped takes the same turns, because what each spends is in the store.
    """
    seeds = range(first_seed, first_seed + _MOST_TREES)
    spent = {t.id: t.cost.tokens_generated for t in store if t.seed in seeds}
    chosen, total, num_trees = list(problems), 0, 0
    for seed in seeds:
        if not chosen:
            return seed
        tasks = [Task(p, seed) for p in chosen]
        spent |= grow_all(pool, job, tasks, store, progress, stage)
        total += sum(spent[f"{task.problem.id}@{seed}"] for task in tasks)
        num_trees += len(tasks)
        chosen = list(problems[: max(0, round((num_tokens - total) * num_trees / max(1, total)))])
    return seeds.stop


def grow_all(
    pool: Pool, job: SearchJob, tasks: Sequence[Task], store: TreeStore, progress: Progress, stage: str
) -> dict[str, int]:
    """Grows a tree for each task whose tree is not in the store yet; gives the tokens of each new one, by its id."""
    todo = [t for t in tasks if f"{t.problem.id}@{t.seed}" not in store.done]
    spent = {}
    progress.start(stage, len(tasks), len(tasks) - len(todo))
    for _, tree in pool.run(replace(job, watched_in=store.folder.absolute()), todo):
        assert isinstance(tree, Tree)
        store.append(tree)
        spent[tree.id] = tree.cost.tokens_generated
        progress.advance(tree.cost.tokens_generated, tree.solved)
    progress.finish()
    return spent
