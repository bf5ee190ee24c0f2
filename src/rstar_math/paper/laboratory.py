"""What the tables have in common: runs, models and measurements, each made once, kept in files, and resumable.

OUT/runs/seed-1 ...      a run of `rstar evolve` for each training seed
OUT/bases/NAME/base      a further base model, OUT/bases/NAME/seed-1 ... its runs
OUT/samples/seed-1 ...   a run of rejection sampling beside each, for the same tokens
OUT/data/seed-1 ...      SFT data and policies of table 7
OUT/rows/...             result rows, one file for each measurement
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from rstar_math.checkpoints.ppm_file import is_reward_model
from rstar_math.config import (
    AnsweringSettings,
    BudgetSettings,
    FurtherBase,
    MethodSettings,
    Recipe,
)
from rstar_math.evaluation.methods import Method, prepare
from rstar_math.evaluation.rows import evaluate_method
from rstar_math.evolve import evolve
from rstar_math.models import SHIPPED, ModelFolders, find_model
from rstar_math.paper.claims import Measured, Row
from rstar_math.paper.recipes import further_recipe, place_of, pretraining, require_sound, seed_recipe
from rstar_math.paper.side_by_side import side_by_side
from rstar_math.problems.load import ProblemSet, load_problems
from rstar_math.progress import LineProgress, Progress
from rstar_math.store.files import fingerprint, folder_fingerprint, make_folder, write_json
from rstar_math.store.journal import append_line, tell_spoiled
from rstar_math.store.manifest import Manifest
from rstar_math.store.result_rows import read_results
from rstar_math.store.round import Base, Round
from rstar_math.workers.pool import WorkerPool
from rstar_math.workers.starting import expect_training

if TYPE_CHECKING:
    pass

RewardModelKind = Literal["orm", "pqm"]


class Laboratory:
    """Makes and measures what the tables ask for, as long as the `with` block; what stands in files is not made again.

    Attributes:
      recipe: what is reproduced.
      folder: where everything is kept.
      progress: hears of every stage.
    """

    def __init__(self, recipe: Recipe, folder: Path, progress: Progress) -> None:
        """Opens a laboratory.

        Raises:
          ConfigError: the settings of the reproduction contradict the recipe.
        """
        self.recipe, self.folder, self.progress = recipe, folder, progress
        self.settings = recipe.reproduce
        expect_training()
        self._pool: WorkerPool | None = None
        self._pool_is_shared = False
        self._problems: dict[int, ProblemSet] = {}
        require_sound(recipe, folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_pool()

    @property
    def num_rounds(self) -> int:
        """Rounds of the recipe."""
        return len(self.recipe.rounds)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return self.settings.seeds

    @property
    def system(self) -> AnsweringSettings:
        """How the recipe's system answers."""
        assert self.recipe.evaluation.system is not None
        return self.recipe.evaluation.system

    # runs

    def seed_recipe(self, seed: int) -> Recipe:
        """The recipe of one training seed."""
        return seed_recipe(self.recipe, seed)

    def run(self, seed: int) -> Path:
        """The finished run of a seed."""
        return self.evolved(self.seed_recipe(seed), self.folder / "runs" / f"seed-{seed}", f"Run of seed {seed}")

    def further_recipe(self, base: FurtherBase, seed: int) -> Recipe:
        """The recipe of a further base under one training seed.

        Raises:
          ConfigError: its changes are none of the recipe.
        """
        return further_recipe(self.recipe, base, seed, self.folder)

    def further_run(self, base: FurtherBase, seed: int) -> Path:
        """The finished run of a further base under one training seed.

        What is missing is made for every base and seed at once: on a CPU two at a time, as `reward_models`, each with
        the search processes of its share of the cores; where the recipe says how many those are, one after the other.
        """
        runs: dict[Path, Recipe] = {}
        for each, s in itertools.product(self.settings.further_bases, self.seeds):
            folder, recipe = place_of(each, self.folder) / f"seed-{s}", self.further_recipe(each, s)
            if not _is_whole(recipe, folder):
                self.further_base(each)
                runs[folder] = recipe
        if len(runs) > 1 and self.recipe.runtime.num_workers is None and self._trains_on_cpu():
            self._evolve_side_by_side(runs)
        for folder, recipe in runs.items():
            self.evolved(recipe, folder, f"Run of base {recipe.name}, seed {recipe.seed}")
        return place_of(base, self.folder) / f"seed-{seed}"

    def _evolve_side_by_side(self, runs: Mapping[Path, Recipe]) -> None:
        self._close_pool()
        self.progress.say(f"{len(runs)} runs of further bases, two at a time")
        is_told = type(self.progress) is not Progress
        folders = list(runs)
        jobs = [partial(_evolve_alone, runs[folder], folder, is_told) for folder in folders]
        with closing(side_by_side(jobs, 2)) as done:
            for i, seconds in done:
                self.log("run", run=str(folders[i].relative_to(self.folder)), seconds=seconds)

    def further_base(self, base: FurtherBase) -> str:
        """The model of a further base, pretrained where it is missing."""
        if base.model is not None:
            return base.model
        place = place_of(base, self.folder)
        if not (place / "base" / "config.json").exists():
            self._pretrain(base, place)
        return str(place / "base")

    def _pretrain(self, base: FurtherBase, place: Path) -> None:
        from rstar_math.pocket.pretrain import PretrainProgress, pretrain

        settings = pretraining(base)
        self._close_pool()
        told = time.monotonic()

        def tell(at: PretrainProgress) -> None:
            nonlocal told
            if time.monotonic() - told > 20 or at.step == at.num_steps:
                told = time.monotonic()
                self.progress.say(f"base {base.name}: step {at.step} of {at.num_steps}, loss {at.loss:.3f}")

        began = time.monotonic()
        made = place / ".base.tmp"
        pretrain(made, settings, tell)
        made.rename(place / "base")
        self.log("pretrain", base=base.name, seconds=time.monotonic() - began)

    def evolved(self, recipe: Recipe, folder: Path, title: str) -> Path:
        """The finished run of a recipe in a folder, made where it is missing; `title` is told then."""
        if not _is_whole(recipe, folder):
            self.progress.say(title)
            self._close_pool()
            began = time.monotonic()
            evolve(recipe, folder, self.progress)
            self.log("run", run=str(folder.relative_to(self.folder)), seconds=time.monotonic() - began)
        return folder

    def reward_models(self, seed: int, round_number: int, kinds: Sequence[RewardModelKind]) -> dict[str, Path]:
        """Folders of a round's ORM and PQM, trained from the trees that the round's PPM was trained on.

        What is missing is trained under every seed at once: on a CPU two at a time, because the training of a small
        model leaves half of two cores idle.
        """
        folders = {(s, kind): Round(self.run(s), round_number).reward_model(kind) for s in self.seeds for kind in kinds}
        missing = {key: folder for key, folder in folders.items() if not is_reward_model(folder)}
        if missing:
            self._close_pool()
            jobs = [partial(_train_reward_model, kind, self.run(s), round_number) for s, kind in missing]
            num_processes = 2 if self._trains_on_cpu() else 1
            self.progress.say(f"Training {len(jobs)} reward models of round {round_number}, {num_processes} at a time")
            self.progress.start("reward models", len(jobs))
            keys = list(missing)
            with closing(side_by_side(jobs, num_processes)) as done:
                for i, (made, seconds) in done:
                    s, kind = keys[i]
                    write_json(missing[keys[i]].with_name(f"{kind}-report.json"), made)
                    self.log("scorer", kind=kind, seed=s, round=round_number, seconds=seconds)
                    self.progress.advance()
            self.progress.finish()
        return {kind: folders[seed, kind] for kind in kinds}

    def _trains_on_cpu(self) -> bool:
        from rstar_math.training.device import default_device

        alone = all(s.num_processes in (None, 1) for r in self.recipe.rounds for s in (r.ppm, r.sft))
        return alone and default_device().type == "cpu"

    def model(self, seed: int, policy_round: int, ppm_round: int | None = None) -> ModelFolders:
        """The policy of one round (0: the base) with the PPM of another (None: of the same)."""
        run = self.run(seed)
        if policy_round == 0:
            return replace(find_model(self.recipe.base_model), name="base", reward_model=None)
        name = f"r{policy_round}" if ppm_round in (None, policy_round) else f"r{policy_round}-ppm-r{ppm_round}"
        ppm = Round(run, ppm_round or policy_round).ppm
        return ModelFolders(name, Round(run, policy_round).policy, ppm, self.system)

    # measurements

    def problems(self, seed: int) -> ProblemSet:
        """The held-out problems that a seed is measured on."""
        if seed not in self._problems:
            self._problems[seed] = load_problems(self.seed_recipe(seed).evaluation.problems)
        return self._problems[seed]

    def of_run(self, name: str, round_number: int, label: str, run_of: Callable[[int], Path] | None = None) -> Measured:
        """What runs measured themselves after a round.

        Args:
          name: `greedy` or `system`.
          round_number: 0: the base.
          label: what tables call it.
          run_of: from a seed to its run; None: those of the recipe's own base.
        """
        rows = {}
        for seed in self.seeds:
            run = (run_of or self.run)(seed)
            part = Round(run, round_number) if round_number else Base(run)
            rows[seed] = read_rows(part.results(name))
        return Measured(label, rows)

    def measure(
        self,
        label: str,
        model_of: Callable[[int], ModelFolders],
        method: MethodSettings,
        *,
        budget: BudgetSettings | None = None,
        reward_models_of: Callable[[int], dict[str, Path]] | None = None,
        shared: bool = False,
        alone: bool = False,
        seeds: Sequence[int] | None = None,
        limit: int | None = None,
    ) -> Measured:
        """Measures a method under every seed, on the seed's held-out problems.

        Args:
          label: what tables call it.
          model_of: from a seed to the model.
          method: what is measured.
          budget: limit of one answer.
          reward_models_of: from a seed to the folders of reward models by name.
          shared: completions and scores are shared between such measurements; costs count in full, seconds are not
            measured.
          alone: in processes that have measured nothing else, whose caches are empty.
          seeds: None: all.
          limit: only the first so many problems of each seed.
        """
        rows = {}
        for seed in seeds or self.seeds:
            model = model_of(seed)
            ready = prepare(method, model, budget, reward_models_of(seed) if reward_models_of else None)
            rows[seed] = self.rows(model, ready, self.problems(seed), seed, shared=shared, alone=alone, limit=limit)
        return Measured(label, rows)

    def rows(
        self,
        model: ModelFolders,
        method: Method,
        problems: ProblemSet,
        seed: int,
        *,
        shared: bool = False,
        alone: bool = False,
        limit: int | None = None,
    ) -> list[Row]:
        """Result rows of one method of one model, from the files or made now."""
        parts = {"policy": model.policy, "scorer": method.reward_model_folder}
        key = {
            "models": {name: self._identity(part) for name, part in parts.items()},
            "strategy": method.strategy,
            "settings": method.settings.model_dump(mode="json", exclude={"strategy"}),
            "problems": problems.sha256,
            "limit": limit,
            "seed": seed,
            "shared": shared,
        }
        name = re.sub(r"[^\w.-]+", "-", f"{model.name}-{method.name}")
        path = self.folder / "rows" / f"seed-{seed}" / f"{name}-{fingerprint(key)}.jsonl"
        chosen = problems.problems[:limit]
        is_whole = path.with_suffix(".json").exists()
        if not is_whole or {p.id for p in chosen} - {row["problem"] for row in read_results(path)}:
            if alone:
                self._close_pool()
            began = time.monotonic()
            pool = self._open_pool(shared)
            evaluate_method(pool, model, method, chosen, path, seed, problems.name, self.progress)
            write_json(path.with_suffix(".json"), key)  # written last: all rows are there
            what = f"{model.name}, {method.name}, {method.settings.budget.name}"
            self.log("measure", seed=seed, what=what, seconds=time.monotonic() - began)
        by_problem = {row["problem"]: row for row in read_rows(path)}
        return [by_problem[p.id] for p in chosen]

    def _identity(self, part: object) -> str | None:
        """What a model is known by: its place below OUT, or its name in the package, so that both may be moved."""
        if part is None:
            return None
        path = Path(str(part))
        if path.is_relative_to(SHIPPED):
            return f"{path.relative_to(SHIPPED)} {folder_fingerprint(path)}"
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(part)

    def _open_pool(self, shared: bool) -> WorkerPool:
        if self._pool is not None and self._pool_is_shared != shared:
            self._close_pool()
        if self._pool is None:
            remember = str(self.folder / "shared.sqlite") if shared else None
            runtime = self.recipe.runtime.model_copy(update={"remember": remember})
            self._pool = WorkerPool(runtime).__enter__()
            self._pool_is_shared = shared
        return self._pool

    def pool(self) -> WorkerPool:
        """Search processes that share nothing."""
        return self._open_pool(shared=False)

    def _close_pool(self) -> None:
        """Training wants the cores and the memory that idle search processes hold."""
        if self._pool is not None:
            self._pool.__exit__(None, None, None)
            self._pool = None

    def log(self, event: str, **values: Any) -> None:
        """Appends one line to events.jsonl: what took how long."""
        make_folder(self.folder)
        values = {k: round(v, 1) if isinstance(v, float) else v for k, v in values.items()}
        append_line(self.folder / "events.jsonl", {"time": round(time.time(), 1), "event": event, **values})


def read_rows(path: Path) -> list[Row]:
    """The result rows of a file; those that cannot be read are told and left out."""
    read = read_results(path)
    tell_spoiled(path, read, "left out")
    return list(read)


def stage_made(run: Path, round_number: int, stage: str) -> dict[str, Any]:
    """What a stage of a run says that it made."""
    return Manifest(Round(run, round_number).folder)[stage]


def _is_whole(recipe: Recipe, folder: Path) -> bool:
    """Whether a run has all its rounds."""
    has_control = recipe.evaluation.control_problems is None or "control" in Manifest(Base(folder).folder)
    return has_control and "evaluate" in Manifest(Round(folder, len(recipe.rounds)).folder)


def _evolve_alone(recipe: Recipe, folder: Path, is_told: bool) -> float:
    """Evolves in a process of its own; gives the seconds that it took."""
    began = time.monotonic()
    name = f"{recipe.name}, seed {recipe.seed}: "
    evolve(recipe, folder, LineProgress(prefix=name, every_s=30.0) if is_told else Progress())
    return time.monotonic() - began


def _train_reward_model(kind: RewardModelKind, run: Path, round_number: int) -> tuple[dict[str, Any], float]:
    """Trains a reward model of a finished round; says what it made, and the seconds that it took."""
    from rstar_math.stages.reward_model import TrainedRound, train_from_round

    began = time.monotonic()
    source = TrainedRound.of_run(run, round_number)
    made = train_from_round(kind, source, source.settings, source.round.reward_model(kind), source.seed, Progress())
    return made, time.monotonic() - began
