"""What is measured on problems that no training ever sees: the base, the models of each round, and a control."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from rstar_math.config import AnsweringSettings, SearchSettings
from rstar_math.evaluation.rows import evaluate
from rstar_math.models import ModelFolders, write_answering
from rstar_math.problems.load import ProblemSet
from rstar_math.stages.base import Made, Work
from rstar_math.stages.calibrate import fitted_answering, threshold_of
from rstar_math.stages.search import grow_all
from rstar_math.store.files import write_json
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import TreeStore, read_trees
from rstar_math.store.result_rows import read_results
from rstar_math.store.round import Base, Round
from rstar_math.store.run_files import Control, ControlRound, read_control
from rstar_math.tree import Tree
from rstar_math.workers.jobs import SearchJob, Task


def evaluate_stage(work: Work, this: Round) -> Made:
    """Measures the policy alone and the whole system, and chooses from which confidence an answer is sure."""
    settings, problems = work.recipe.evaluation, work.problems
    is_last = this.number == len(work.recipe.rounds)
    is_measured = is_last or settings.rounds == "all"
    model = ModelFolders(this.folder.name, this.policy)
    if work.settings(this).train_ppm:
        model = replace(model, reward_model=this.ppm, familiarity=this.folder)
    made = {}
    if is_measured:
        alone = AnsweringSettings(strategy="greedy", search=SearchSettings(form=work.settings(this).sft.form))
        made["policy_greedy"] = _share_right(_answers(work, this, "greedy", model, alone, problems.evaluation))
    if settings.system is not None:
        threshold, system = None, settings.system
        if is_measured:
            fitted_on = problems.calibration or problems.held_out
            path, seed = this.results("choice"), work.recipe.seed
            system = fitted_answering(work.pool, model, system, fitted_on, path, seed, work.progress)
        if is_last and problems.threshold is not None:
            rows = _answers(work, this, "threshold", model, system, problems.threshold)
            threshold = threshold_of(rows, settings.target_precision)
        if is_measured:
            rows = _answers(work, this, "system", model, system, problems.evaluation)
            made["system"] = _share_right(rows)
        write_answering(
            this.answering,
            system,
            threshold,
            chosen_on=problems.threshold.name if problems.threshold else None,
            target_precision=settings.target_precision,
        )
    return made


def evaluate_base(work: Work) -> None:
    """Measures the untrained base."""
    base = work.run.base
    manifest = Manifest(base.folder)
    if "evaluate" not in manifest:
        greedy = AnsweringSettings(strategy="greedy")
        rows = _answers(work, base, "greedy", work.base, greedy, work.problems.evaluation)
        manifest.finish("evaluate", ("evaluation",), policy_greedy=_share_right(rows))


def control(work: Work) -> None:
    """What the untrained base solves by plain sampling with each round's token budget: does evolution pay?

    One pool of independent samples per problem serves all rounds: a round with a smaller budget looks at fewer of them.
    """
    recipe, base = work.recipe, work.run.base
    manifest = Manifest(base.folder)
    if recipe.evaluation.control_problems is None:
        return
    if "control" in manifest and len(read_control(base.control).rounds) >= len(recipe.rounds):
        return  # a run with further rounds is whole with fewer
    budgets = [_tokens_per_problem(each) for each in work.run.rounds()]
    per_sample = _tokens_per_sample(base)
    first = recipe.rounds[0].search
    settings = SearchSettings(
        num_rollouts=max(1, round(max(budgets) / per_sample)),
        use_ppm=False,
        temperature=first.temperature,
        max_solution_tokens=first.max_solution_tokens,
        max_step_tokens=first.max_step_tokens,
    )
    chosen = work.problems.training.problems[: recipe.evaluation.control_problems]
    tasks = [Task(p, recipe.seed) for p in chosen]
    job = SearchJob(work.base.policy, None, "sample", settings)
    with TreeStore(base.control_trees, recipe.runtime.trees_per_part) as store:
        grow_all(work.pool, job, tasks, store, work.progress, "control: samples of the base")
        trees = {t.problem.id: t for t in store}
    found = Control(
        problems=tuple(p.id for p in chosen),
        rounds=tuple(_within(budget, per_sample, trees.values()) for budget in budgets),
    )
    write_json(base.control, found.model_dump(mode="json"))
    files = (base.control_trees.name, base.control.name)
    manifest.finish("control", files, num_samples=settings.num_rollouts)


def _within(budget: float, per_sample: float, trees: Collection[Tree]) -> ControlRound:
    """What the first samples of each problem solve, as many as a budget of tokens for a problem allows."""
    # a round that was added later may have a larger budget than the samples that there are
    most = min((len(t.rollouts) for t in trees), default=1)
    num_samples = min(most, max(1, round(budget / per_sample)))
    solved = sorted(t.problem.id for t in trees if any(t.nodes[k].correct for k in t.rollouts[:num_samples]))
    return ControlRound(tokens_per_problem=budget, num_samples=num_samples, solved=tuple(solved))


def _tokens_per_problem(this: Round) -> float:
    """Tokens that a round's search generated for each training problem."""
    trees = list(read_trees(this.trees))
    return sum(t.cost.tokens_generated for t in trees) / len({t.problem.id for t in trees})


def _tokens_per_sample(base: Base) -> float:
    tokens: list[int] = [r["tokens_generated"] for r in read_results(base.results("greedy"))]
    return max(1.0, sum(tokens) / max(1, len(tokens)))


def _answers(
    work: Work, part: Base | Round, name: str, model: ModelFolders, settings: AnsweringSettings, problems: ProblemSet
) -> Sequence[dict[str, Any]]:
    """The result rows of a measurement; those that are in its file are not made again."""
    path, seed = part.results(name), work.recipe.seed
    return evaluate(work.pool, model, settings, problems.problems, path, seed, problems.name, work.progress)


def _share_right(rows: Sequence[dict[str, Any]]) -> float:
    return sum(bool(r["correct"]) for r in rows) / len(rows)
