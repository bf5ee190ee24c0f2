"""Self-evolution (rStar-Math, section 3.4): rounds of search, selection, training and evaluation, in one run folder.

Each round trains the policy afresh from the base model, and the PPM afresh from that policy. Every stage is resumable:
killed at any moment and started again, a run loses at most the trees in flight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rstar_math.checkpoints.ppm_file import FILE_NAME as PPM_FILE
from rstar_math.config import AnsweringSettings, ProblemSource, Recipe, RoundSettings, SearchSettings
from rstar_math.errors import ConfigError, UserError
from rstar_math.evaluation.rows import evaluate
from rstar_math.execution.opening import open_executor
from rstar_math.models import ModelFolders, find_model, write_answering
from rstar_math.problems.familiarity import FILE_NAME as FAMILIARITY_FILE
from rstar_math.problems.familiarity import write_familiarity
from rstar_math.problems.load import ProblemSet, left_out, load_problems, with_references
from rstar_math.problems.prepare import require_no_overlap
from rstar_math.progress import Progress, Steps
from rstar_math.stages.calibrate import (
    answers_as,
    calibrate_reward_model,
    draw_solutions,
    familiarity_of,
    measured,
    threshold_of,
)
from rstar_math.stages.stages import (
    Selected,
    by_problem,
    pair_length_accuracy,
    pair_logprob_accuracy,
    round_search,
    search_problems,
    select,
    sft_rows,
)
from rstar_math.store.files import write_json
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import (
    TreeStore,
    read_pairs,
    read_trajectories,
    read_trees,
    write_pairs,
    write_trajectories,
)
from rstar_math.store.result_rows import read_results
from rstar_math.store.round import ANSWERING_FILE, Base, Halves, Round, parts_in
from rstar_math.store.run import Run
from rstar_math.store.run_files import read_control
from rstar_math.tree import Tree
from rstar_math.workers.bench import answer_comparison
from rstar_math.workers.jobs import SearchJob, Task
from rstar_math.workers.pool import WorkerPool

_FILES = {
    "search": ("trees", "held-out"),
    "select": (
        *("suspect-references.json", "trajectories.parquet", "pairs.parquet", "held-out-pairs.parquet"),
        "search-cost.json",
    ),
    "policy": ("policy",),
    "calibrate": ("calibration", f"ppm/{PPM_FILE}", FAMILIARITY_FILE),
    "evaluate": ("evaluation", ANSWERING_FILE),
}
"""What each stage of a round leaves in its folder: the checksums of these stand in the manifest. A file that a later
stage writes again stands with both, but `ppm.json` only with the one that calibrates it: it may be killed between."""


@dataclass(frozen=True)
class Problems:
    """The problems of a run: searched and trained on; steering the PPM; only ever evaluated on.

    `calibration` is None where the held-out problems serve.
    """

    training: ProblemSet
    held_out: ProblemSet
    evaluation: ProblemSet
    threshold: ProblemSet | None
    calibration: ProblemSet | None = None


def evolve(recipe: Recipe, folder: Path, progress: Progress) -> None:
    """Runs, or goes on with, all rounds of a recipe in a run folder.

    Raises:
      UserError: the recipe, its problems, its base model or the folder are unfit; nothing is lost.
    """
    try:
        problems = load_run_problems(recipe)
        base = find_model(recipe.base_model)
        base.policy_folder  # noqa: B018 (raises where it cannot be trained, before any work)
        for settings in recipe.rounds:
            if settings.policy not in ("base", "previous"):
                find_model(settings.policy)
    except UserError:
        lines = unfit_parts(recipe.model_dump())
        if len(lines) > 1:  # all at once
            raise ConfigError("\n".join(lines)) from None
        raise
    for problem_set in (problems.training, problems.held_out):
        if left_out(problem_set):
            progress.say(left_out(problem_set))
    if recipe.runtime.deterministic:
        import torch

        torch.set_num_threads(1)  # sums of several threads differ in their last digits from run to run
    with Run(folder, recipe) as run, WorkerPool(recipe.runtime) as pool:
        for part in parts_in(folder):
            Manifest(part).verify()
        evaluate_base(run, pool, base, problems, progress)
        for number, settings in enumerate(recipe.rounds, start=1):
            evolve_round(run, pool, base, problems, number, settings, progress)
        control(run, pool, base, problems, progress)


def evolve_round(
    run: Run,
    pool: WorkerPool,
    base: ModelFolders,
    problems: Problems,
    number: int,
    settings: RoundSettings,
    progress: Progress,
) -> None:
    """One round: search with the last models, keep what is verified, train the next models, measure them."""
    progress.say(f"Round {number} of {len(run.recipe.rounds)}")
    stages = RoundStages(run, pool, base, problems, number, settings, progress)
    stages.run_stage("search", stages.search)
    stages.run_stage("select", stages.select)
    stages.run_stage("policy", stages.train_policy)
    stages.run_stage("ppm", stages.train_ppm)
    stages.run_stage("calibrate", stages.calibrate)
    stages.run_stage("evaluate", stages.evaluate)


class RoundStages:
    """The stages of one round, each a method that leaves files in the round's folder and says what it made."""

    def __init__(
        self,
        run: Run,
        pool: WorkerPool,
        base: ModelFolders,
        problems: Problems,
        number: int,
        settings: RoundSettings,
        progress: Progress,
    ) -> None:
        self.run, self.pool, self.base, self.problems = run, pool, base, problems
        self.number, self.settings, self.progress = number, settings, progress
        self.round = run.round(number)
        self.manifest = Manifest(self.round.folder)
        self.seed = self.round.seed(run.recipe.seed)

    def run_stage(self, name: str, stage: Any) -> None:
        """Runs a stage, unless the manifest says that it is whole; what it made is on disk before it is marked."""
        if name in self.manifest:
            return
        began = time.monotonic()
        made = stage()
        self.manifest.finish(name, self._files(name), **made)
        self.run.log("stage", round=self.number, stage=name, seconds=round(time.monotonic() - began, 3), **made)

    def _files(self, stage: str) -> list[str]:
        if stage == "ppm":
            return [f"ppm/{path.name}" for path in self.round.ppm.iterdir() if path.name != PPM_FILE]
        return list(_FILES[stage])

    def search(self) -> dict[str, Any]:
        """Searches the training problems, and the held-out ones whose pairs steer the PPM, with the last models."""
        job = round_search(self.round, self.settings, self.base)
        with TreeStore(self.round.trees, self.run.recipe.runtime.trees_per_part) as store:
            training, stage = self.problems.training.problems, f"{self.round.name}, search"
            search_problems(self.pool, job, training, store, self.seed, self.settings.extra, self.progress, stage)
            solved = len({t.problem.id for t in store if t.solved})
            num_trees = len(store.done)
        with TreeStore(self.round.held_out_trees, self.run.recipe.runtime.trees_per_part) as store:
            held_out, stage = self.problems.held_out.problems, f"{self.round.name}, held-out search"
            search_problems(self.pool, job, held_out, store, self.seed, (), self.progress, stage)
            num_held_out = len(store.done)
        return {"num_trees": num_trees, "num_solved": solved, "num_held_out_trees": num_held_out}

    def select(self) -> dict[str, Any]:
        """Keeps the best verified trajectories and the preference pairs (sections 3.3 and 3.4)."""
        rules = self.run.recipe.selection
        with answer_comparison() as same:
            executor = open_executor(self.run.recipe.runtime.execution)
            chosen = select(read_trees(self.round.trees), rules, executor, same)
        write_json(self.round.suspect_references, [asdict(s) for s in chosen.suspects])
        unfiltered = rules.model_copy(update={"min_q_margin": 0.0, "min_edit_distance": 0})  # measures every pair
        held_out = select(read_trees(self.round.held_out_trees), unfiltered, None)
        write_trajectories(self.round.trajectories, chosen.rows())
        write_pairs(self.round.pairs, chosen.pairs)
        write_pairs(self.round.held_out_pairs, held_out.pairs)
        chosen.cost.add(held_out.cost)
        write_json(self.round.search_cost, asdict(chosen.cost))
        return _made(chosen) | {"num_held_out_pairs": len(held_out.pairs)}

    def train_policy(self) -> dict[str, Any]:
        """Fine-tunes the base model on the verified trajectories so far."""
        from rstar_math.training.examples import sft_example
        from rstar_math.training.sft import train_sft

        found = [by_problem(read_trajectories(each.trajectories)) for each in self.round.since(1)]
        rows = sft_rows(found[-1], found[:-1] if self.run.recipe.keep_earlier_solutions else [])
        form = self.settings.sft.form
        examples = [sft_example(problem.question, trajectory.steps, form) for problem, trajectory, _ in rows]
        with Steps(self.progress, f"round {self.number}, policy") as progress:
            report = train_sft(
                self.base.policy_folder, examples, self.settings.sft, self.round.policy, self.seed, progress
            )
        return {
            "num_trajectories": report.num_examples,
            "num_too_long": report.num_too_long,
            "num_steps": report.num_steps,
        }

    def train_ppm(self) -> dict[str, Any]:
        """Trains the PPM from this round's policy; held-out problems steer it (first half) and measure it (second)."""
        from rstar_math.training.ppm import pair_accuracy, train_ppm

        first = 1 if self.run.recipe.accumulate_pairs else self.number
        pairs = [pair for each in self.round.since(first) for pair in read_pairs(each.pairs)]
        halves = Halves([p.id for p in self.problems.held_out.problems])
        held_out = read_pairs(self.round.held_out_pairs)
        steering = [pair for pair in held_out if halves.steers(pair.problem)]
        measuring = [pair for pair in held_out if not halves.steers(pair.problem)]
        with Steps(self.progress, f"round {self.number}, PPM") as progress:
            report = train_ppm(
                self.round.policy, pairs, steering, self.settings.ppm, self.round.ppm, self.seed, progress
            )
        return {
            "num_pairs": report.num_pairs,
            "num_too_long": report.num_too_long,
            "num_steps": report.num_steps,
            "pair_accuracy": pair_accuracy(self.round.ppm, measuring) if measuring else None,
            "pair_accuracy_by_length": pair_length_accuracy(measuring),
            "pair_accuracy_by_logprob": pair_logprob_accuracy(measuring, per_token=False),
            "pair_accuracy_by_logprob_per_token": pair_logprob_accuracy(measuring, per_token=True),
            "num_measuring_pairs": len(measuring),
        }

    def calibrate(self) -> dict[str, Any]:
        """Makes `evaluate_step` a probability, and says which questions are familiar, on problems held out."""
        recipe = self.run.recipe
        problems = self.problems.calibration or self.problems.held_out
        answering = answers_as(recipe)
        folder = self.round.calibration
        familiarity = familiarity_of(self.problems.training, problems, recipe.calibration)
        write_familiarity(self.round.folder, familiarity)
        made: dict[str, Any] = {"ppm": None, "familiarity_limit": familiarity.limit}
        if len(problems.problems) < 2:  # a fit that is judged by another problem needs two
            return made
        draw_solutions(
            self.pool,
            self.round.policy,
            problems.problems,
            answering,
            recipe.calibration,
            folder,
            self.seed,
            self.progress,
            f"round {self.number}, calibration",
        )
        calibration = calibrate_reward_model(self.round.ppm, folder, answering, recipe.calibration)
        return made | {"ppm": measured(calibration)}

    def evaluate(self) -> dict[str, Any]:
        """Measures the policy alone and the whole system on problems that no training ever sees."""
        settings = self.run.recipe.evaluation
        is_last = self.number == len(self.run.recipe.rounds)
        is_measured = is_last or settings.rounds == "all"
        folder = self.round.folder
        model = ModelFolders(folder.name, self.round.policy, self.round.ppm, familiarity=folder)
        made = {}
        if is_measured:
            alone = AnsweringSettings(strategy="greedy", search=SearchSettings(form=self.settings.sft.form))
            made["policy_greedy"] = self._accuracy(model, alone, self.problems.evaluation, "greedy")
        if settings.system is not None:
            threshold = None
            if is_last and self.problems.threshold is not None:
                name = "threshold"
                self._accuracy(model, settings.system, self.problems.threshold, name)
                threshold = threshold_of(self._rows(name), settings.target_precision)
            if is_measured:
                made["system"] = self._accuracy(model, settings.system, self.problems.evaluation, "system")
            write_answering(
                self.round.answering,
                settings.system,
                threshold,
                chosen_on=self.problems.threshold.name if self.problems.threshold else None,
                target_precision=settings.target_precision,
            )
        return made

    def _accuracy(self, model: ModelFolders, settings: AnsweringSettings, problems: ProblemSet, name: str) -> float:
        path = self.round.results(name)
        seed = self.run.recipe.seed
        rows = evaluate(self.pool, model, settings, problems.problems, path, seed, problems.name, self.progress)
        return sum(bool(r["correct"]) for r in rows) / len(rows)

    def _rows(self, name: str) -> list[dict[str, Any]]:
        return list(read_results(self.round.results(name)))


def evaluate_base(run: Run, pool: WorkerPool, base: ModelFolders, problems: Problems, progress: Progress) -> None:
    """Measures the untrained base on the held-out problems."""
    manifest = Manifest(run.base.folder)
    if "evaluate" not in manifest:
        path = run.base.results("greedy")
        held_out = problems.evaluation
        settings = AnsweringSettings(strategy="greedy")
        rows = evaluate(pool, base, settings, held_out.problems, path, run.recipe.seed, held_out.name, progress)
        greedy = sum(bool(r["correct"]) for r in rows) / len(rows)
        manifest.finish("evaluate", ("evaluation",), policy_greedy=greedy)


def control(run: Run, pool: WorkerPool, base: ModelFolders, problems: Problems, progress: Progress) -> None:
    """What the untrained base solves by plain sampling with each round's token budget: does evolution pay?

    One pool of independent samples per problem serves all rounds: a round with a smaller budget looks at fewer of them.
    """
    num_problems = run.recipe.evaluation.control_problems
    manifest = Manifest(run.base.folder)
    if num_problems is None:
        return
    if "control" in manifest and len(read_control(run.base.control).rounds) >= len(run.recipe.rounds):
        return  # a run with further rounds is whole with fewer
    chosen = problems.training.problems[:num_problems]
    with TreeStore(run.base.control_trees, run.recipe.runtime.trees_per_part) as store:
        budgets = [_tokens_per_problem(each) for each in run.round(len(run.recipe.rounds)).since(1)]
        per_sample = _tokens_per_sample(run.base)
        settings = SearchSettings(
            num_rollouts=max(1, round(max(budgets) / per_sample)),
            use_ppm=False,
            temperature=run.recipe.rounds[0].search.temperature,
            max_solution_tokens=run.recipe.rounds[0].search.max_solution_tokens,
            max_step_tokens=run.recipe.rounds[0].search.max_step_tokens,
        )
        job = SearchJob(base.policy, None, "sample", settings)
        todo = [Task(p, run.recipe.seed) for p in chosen if f"{p.id}@{run.recipe.seed}" not in store.done]
        progress.start("control: samples of the base", len(chosen), len(chosen) - len(todo))
        for _, tree in pool.run(job, todo):
            assert isinstance(tree, Tree)
            store.append(tree)
            progress.advance(tree.cost.tokens_generated, tree.solved)
        progress.finish()
        trees = {t.problem.id: t for t in store}
    per_round = []
    for budget in budgets:
        # a round that was added later may have a larger budget than the samples that there are
        most = min((len(t.rollouts) for t in trees.values()), default=1)
        num_samples = min(most, max(1, round(budget / per_sample)))
        per_round.append(
            {
                "tokens_per_problem": budget,
                "num_samples": num_samples,
                "solved": sorted(
                    i for i, t in trees.items() if any(t.nodes[k].correct for k in t.rollouts[:num_samples])
                ),
            }
        )
    write_json(run.base.control, {"problems": [p.id for p in chosen], "rounds": per_round})
    manifest.finish("control", ("control", "control.json"), num_samples=settings.num_rollouts)


def _tokens_per_problem(this: Round) -> float:
    """Tokens that a round's search generated for each training problem."""
    trees = list(read_trees(this.trees))
    return sum(t.cost.tokens_generated for t in trees) / len({t.problem.id for t in trees})


def _tokens_per_sample(base: Base) -> float:
    tokens = [r["tokens_generated"] for r in read_results(base.results("greedy"))]
    return max(1.0, sum(tokens) / max(1, len(tokens)))


def unfit_parts(values: Mapping[str, Any]) -> list[str]:
    """What a recipe names and what cannot be had: sets of problems, the base model, who searches; one line each.

    Args:
      values: a recipe as a mapping; parts that are not as the schema wants them are passed over.
    """
    lines: dict[str, None] = {}

    def tried(key: str, load: Callable[[], object]) -> None:
        try:
            load()
        except ValidationError:  # named by the schema
            pass
        except UserError as error:
            lines[f"{key}: {error}"] = None

    sources = {
        "problems": values.get("problems"),
        "held_out.problems": _at(values, "held_out", "problems"),
        "evaluation.problems": _at(values, "evaluation", "problems"),
        "evaluation.threshold_problems": _at(values, "evaluation", "threshold_problems"),
    }
    for name in _at(values, "evaluation", "reported") or ():
        sources[f"evaluation.reported ({name})"] = {"source": name}
    for key, source in sources.items():
        if isinstance(source, Mapping):
            loads = load_problems if key.startswith("evaluation") else _load_with_references
            tried(key, partial(_load_source, loads, source))
    base = values.get("base_model")
    if isinstance(base, str):
        tried("base_model", lambda: find_model(base).policy_folder)
    rounds = values.get("rounds")
    for number, settings in enumerate(rounds if isinstance(rounds, list | tuple) else ()):
        policy = settings.get("policy") if isinstance(settings, Mapping) else None
        if isinstance(policy, str) and policy not in ("base", "previous"):
            tried(f"rounds[{number}].policy", partial(find_model, policy))
    return list(lines)


def _at(values: Mapping[str, Any], group: str, key: str) -> Any:
    inner = values.get(group)
    return inner.get(key) if isinstance(inner, Mapping) else None


def _load_source(load: Callable[[ProblemSource], ProblemSet], source: Mapping[str, Any]) -> None:
    load(ProblemSource.model_validate(source))


def _load_with_references(source: ProblemSource) -> ProblemSet:
    return with_references(load_problems(source))


def load_run_problems(recipe: Recipe) -> Problems:
    """Loads all problems of a recipe, and refuses problems that are both trained and measured on.

    Training and held-out problems without a usable reference are left out: nothing can be verified on them.

    Raises:
      DataError: no training or held-out problem has a reference.
      ConfigError: a held-out or evaluation question is also a training question.
    """
    settings = recipe.evaluation
    problems = Problems(
        training=with_references(load_problems(recipe.problems)),
        held_out=with_references(load_problems(recipe.held_out.problems)),
        evaluation=load_problems(settings.problems),
        threshold=load_problems(settings.threshold_problems) if settings.threshold_problems else None,
        calibration=load_problems(recipe.calibration.problems) if recipe.calibration.problems else None,
    )
    trained = {p.question.strip() for p in problems.training.problems}
    for other in (problems.held_out, problems.evaluation, problems.threshold, problems.calibration):
        for p in other.problems if other else ():
            if p.question.strip() in trained:
                raise ConfigError(f"problem {p.id} of {other.name if other else ''} is also a training problem")
    if settings.overlap == "block":
        reported = [load_problems(ProblemSource(source=name)) for name in settings.reported]
        measured = [s for s in (problems.evaluation, problems.threshold) if s is not None]
        # the pocket world asks in a few phrasings, so its questions share their words by construction
        others = [s for s in [*measured, *reported] if not s.name.startswith("pocket/")]
        require_no_overlap(problems.training.problems, others)
    return problems


def _made(selected: Selected) -> dict[str, Any]:
    return {
        "num_trees": selected.num_trees,
        "num_solved": len(selected.solved),
        "num_trajectories": sum(len(rows) for rows in selected.trajectories.values()),
        "num_pairs": len(selected.pairs),
        "num_not_reproduced": selected.num_not_reproduced,
        "num_suspect_references": len(selected.suspects),
    }
