"""A recipe: all settings of a run."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from rstar_math.config.answering import AnsweringSettings, SearchSettings
from rstar_math.config.base import Settings
from rstar_math.config.problems import ProblemSource
from rstar_math.config.runtime import RuntimeSettings
from rstar_math.config.training import PPMSettings, SFTSettings


class SelectionSettings(Settings):
    """Which trajectories and pairs a tree gives (sections 3.3 and 3.4; METHOD.md section 3)."""

    num_trajectories: int = Field(
        default=2, ge=1, description="correct trajectories per problem with the highest mean Q (paper)"
    )
    values: Literal["backed_up", "expected"] = Field(
        default="backed_up",
        description="what a step is worth: Q as the search backed it up (paper), or the share of right ends that the "
        "policy is to be expected to reach below it, by how often it proposed each candidate",
    )
    num_per_side: int = Field(default=2, ge=1, description="positives and negatives per node (paper: 2)")
    min_q_margin: float = Field(default=0.0, ge=0, le=2, description="least chosen_q - rejected_q (released code: 0.5)")
    min_edit_distance: int = Field(default=0, ge=0, description="least edit distance in characters (released code: 20)")
    fill_one_sided: bool = Field(
        default=False, description="1 x 4 or 4 x 1 where a side has one candidate (released code)"
    )


class ExtraSearch(Settings):
    """Another try at the problems that a round has not solved yet."""

    num_rollouts: int = Field(ge=1, description="rollouts of each new tree (paper: 16 more; round 4: 64, then 128)")
    num_trees: int = Field(default=1, ge=1, description="new trees from different seeds")
    num_tokens: int | None = Field(
        default=None,
        ge=1,
        description="in place of num_trees: new trees until so many tokens are generated over all these problems",
    )


class RoundSettings(Settings):
    """One round of self-evolution (section 3.4; METHOD.md section 5)."""

    problems: ProblemSource | None = Field(
        default=None,
        description="training problems of this round alone, for example harder ones; null: those of the recipe",
    )
    search: SearchSettings = Field(description="search of every training problem")
    strategy: str = Field(
        default="mcts",
        description="how: mcts (paper); sample is rejection sampling, whole solutions of which the right ones are kept",
    )
    num_tokens: int | None = Field(
        default=None,
        ge=1,
        description="every training problem is searched again, from further seeds, until so many tokens are generated "
        "over all; null: once (paper)",
    )
    extra: tuple[ExtraSearch, ...] = Field(
        default=(), description="further searches of the problems that are still unsolved"
    )
    policy: str = Field(
        default="previous",
        description="who searches: base, previous (the last round's models), or any model as --model takes it, for "
        "example the URL of a larger one (paper, round 1: DeepSeek-Coder-V2-Instruct)",
    )
    sft: SFTSettings = Field(description="training of this round's policy, from the base model")
    ppm: PPMSettings = Field(description="training of this round's PPM, from this round's policy")
    train_ppm: bool = Field(default=True, description="false: no PPM, no held-out search for it, no calibration")


class PPMHeldOut(Settings):
    """Problems searched like the training problems, whose pairs only steer and measure the PPM."""

    problems: ProblemSource = Field(
        default_factory=lambda: ProblemSource(source="pocket/validation", num_problems=120),
        description="first half: early stopping; second half: the reported pair accuracy",
    )


class CalibrationSettings(Settings):
    """What a model is to know of its own judgements, from problems that it was not trained on."""

    problems: ProblemSource | None = Field(
        default=None,
        description="problems whose sampled solutions calibrate `evaluate_step`, and whose questions say which are "
        "familiar; null: the held-out problems of the PPM",
    )
    num_rollouts: int = Field(
        default=8,
        ge=1,
        description="solutions drawn for each problem as the model answers; each is one fresh rollout below its steps",
    )
    known: tuple[ProblemSource, ...] = Field(
        default=(),
        description="further questions of the kind that the model was trained on beside the training problems, for "
        "example those of its base; only their wording is counted",
    )
    share_outside: float = Field(
        default=0.01,
        ge=0,
        lt=1,
        description="share of these questions that may count as outside of what the model was trained on",
    )


class EvaluationSettings(Settings):
    """What is measured after every round, on problems that no training ever sees."""

    rounds: Literal["all", "last"] = Field(default="all", description="rounds whose models are measured")
    problems: ProblemSource = Field(description="held-out problems of policy_greedy and system")
    system: AnsweringSettings | None = Field(
        default=None, description="PPM-augmented MCTS with the round's models; null: skip"
    )
    control_problems: int | None = Field(
        default=None,
        ge=1,
        description="training problems on which the untrained base gets the round's token budget; null: skip",
    )
    threshold_problems: ProblemSource | None = Field(
        default=None,
        description="validation problems on which the confidence threshold of `solve` is chosen; null: skip",
    )
    target_precision: float = Field(
        default=0.9, gt=0, le=1, description="share of right answers that is to be shown above the threshold"
    )
    reported: tuple[str, ...] = Field(
        default=(), description="benchmarks that will be reported: training problems are held against them as well"
    )
    overlap: Literal["block", "allow"] = Field(
        default="block", description="training problems that share 13 words in a row with a problem that is measured on"
    )


class FurtherBase(Settings):
    """One more base model that the recipe is applied to (table 10, figure 7)."""

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$", description="what tables, and its folder, are called")
    model: str | None = Field(
        default=None, description="as `base_model`; null: a base of the pocket world, made by `pretrain`"
    )
    pretrain: dict[str, Any] = Field(
        default_factory=dict, description="keys of `rstar pocket pretrain` that differ: architecture, size, data"
    )
    changes: dict[str, Any] = Field(default_factory=dict, description="keys of the recipe that differ for this base")


class ReproduceSettings(Settings):
    """How `rstar reproduce` repeats the paper's tables and figures with a recipe. Nothing here changes a run."""

    seeds: tuple[int, ...] = Field(
        default=(1, 2, 3, 4, 5),
        min_length=1,
        description="training seeds, a run for each; a folder that has fewer goes on with the further ones",
    )
    own_problems: bool = Field(
        default=False,
        description="each seed draws its own training problems, and is measured on a slice of its own of "
        "evaluation.problems, so that all seeds together see seeds x num_problems; false: all on the same",
    )
    methods: str = Field(default="pocket", description="methods of table 8, a file as `rstar eval --methods` takes it")
    method_rounds: tuple[int, ...] = Field(
        default=(), description="rounds whose models the methods of table 8 are measured with; empty: the last"
    )
    budgets: tuple[int, ...] = Field(
        default=(300, 600, 1200),
        min_length=1,
        description="tokens generated for a problem at which table 8 is measured",
    )
    timed_problems: int = Field(
        default=40,
        ge=1,
        description="problems on which the methods of table 8 are timed, alone and with nothing shared",
    )
    pair_problems: int = Field(
        default=0,
        ge=0,
        description="further held-out problems for each seed and round, whose pairs measure the PPM (table 4) beside "
        "those that the run holds out itself",
    )
    num_trajectories: int = Field(default=64, ge=2, description="most trajectories of figures 3, 6 and 7 (paper: 64)")
    controls: bool = Field(
        default=True,
        description="iterated rejection sampling beside the recipe (tables 2, 3, 6, 7), and SFT on the format alone "
        "(table 7)",
    )
    further_bases: tuple[FurtherBase, ...] = Field(
        default=(), description="further bases of table 10 and figure 7, under every seed"
    )


class Recipe(Settings):
    """A whole run of self-evolution."""

    name: str = Field(description="shown in reports")
    base_model: str = Field(
        default="pocket-base", description="the model that evolution starts from: a name or a folder"
    )
    seed: int = Field(default=0, description="of everything")
    problems: ProblemSource = Field(description="training problems with reference answers")
    held_out: PPMHeldOut = Field(default_factory=PPMHeldOut, description="problems that steer and measure the PPM")
    calibration: CalibrationSettings = Field(
        default_factory=CalibrationSettings, description="`evaluate_step` as a probability, and familiar questions"
    )
    selection: SelectionSettings = Field(default_factory=SelectionSettings, description="trajectories and pairs")
    keep_earlier_solutions: bool = Field(
        default=True,
        description="SFT data of problems not solved again in a round come from the latest round that solved them",
    )
    accumulate_pairs: bool = Field(
        default=False, description="train the PPM on the pairs of this and all earlier rounds; paper: of this round"
    )
    rounds: tuple[RoundSettings, ...] = Field(min_length=1, description="the rounds, in order (paper: four)")
    evaluation: EvaluationSettings = Field(description="what is measured after every round")
    reproduce: ReproduceSettings = Field(
        default_factory=ReproduceSettings, description="how `rstar reproduce` repeats the paper's tables with it"
    )
    runtime: RuntimeSettings = Field(default_factory=RuntimeSettings, description="the machine")

    @model_validator(mode="after")
    def _searches_with_what_is_trained(self) -> Recipe:
        for number, (settings, following) in enumerate(zip(self.rounds, self.rounds[1:], strict=False)):
            if following.policy == "previous" and following.search.use_ppm and not settings.train_ppm:
                raise ValueError(
                    f"rounds[{number}].train_ppm is false, and rounds[{number + 1}].search.use_ppm is true: there is "
                    "no PPM to search with; change one of them"
                )
        system = self.evaluation.system
        if system is not None and system.search.use_ppm and not all(settings.train_ppm for settings in self.rounds):
            raise ValueError(
                "rounds.train_ppm is false, and evaluation.system.search.use_ppm is true: there is no PPM to answer "
                "with; set evaluation.system to null"
            )
        return self
