"""How one problem is searched and answered: the search, its budget, the choice, and methods of an evaluation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from rstar_math.config.base import Settings

AggregateName = Literal["last", "mean", "min", "product"]
SelectorName = Literal["best", "vote", "majority", "fitted"]
WeightName = Literal["score", "logprob"]
FormName = Literal["steps", "program", "text"]
"""A form of solution: code-augmented steps, one whole program, plain text without code."""


class SearchSettings(Settings):
    """One search of one problem (section 3.1; METHOD.md section 2). Every departure from the paper is a key."""

    form: FormName = Field(
        default="steps",
        description="steps with code that each run (paper); program: one whole program, whose output is the answer; "
        "text: nothing is executed",
    )
    observation: Literal["full", "official"] = Field(
        default="full",
        description="what the policy sees of a finished program (form: steps): all it printed, or what the released "
        "code shows of it: one statement, or several with labels, floats cut to 4 decimals, 1,024 characters",
    )
    num_rollouts: int = Field(
        default=16, ge=1, description="descents from the root to a terminal node (paper: 16 in rounds 2-4)"
    )
    num_candidates: int = Field(
        default=8, ge=1, description="candidates per expansion (paper: 8; 16 in round 4; 32 in answering)"
    )
    num_answer_candidates: int | None = Field(
        default=None,
        ge=1,
        description="candidates where the code is closed and only an answer can follow; null: num_candidates",
    )
    exploration: float = Field(default=2.0, ge=0, description="c of UCT (paper: 2)")
    max_depth: int = Field(default=16, ge=1, description="steps of the longest solution (paper: 16)")
    temperature: float = Field(default=1.0, ge=0, description="of the policy (paper: 1.0)")
    top_p: float = Field(default=1.0, gt=0, le=1, description="nucleus of the policy")
    max_step_tokens: int = Field(default=512, ge=1, description="most tokens of one step; the paper is silent")
    max_solution_tokens: int = Field(
        default=2048, ge=1, description="most tokens of a solution sampled in one go (baselines; form: program)"
    )
    unvisited: Literal["first", "zero_bonus"] = Field(
        default="first",
        description="unvisited children come first (UCT is unbounded at N = 0), or get no bonus (released code)",
    )
    use_ppm: bool = Field(
        default=True, description="start a new node from its PPM score with N = 1 (paper, rounds 3 and 4)"
    )
    terminal_value: Literal["reference", "ppm"] = Field(
        default="reference",
        description="an answer is worth +1 / failure_value by the reference, or its PPM score (answering)",
    )
    failure_value: Literal[-1, 0] = Field(
        default=-1, description="value of a wrong answer (paper: -1; some ablations use 0)"
    )
    backup_dead_ends: bool = Field(
        default=True, description="back dead ends and the depth limit up to the root; released code: on the node alone"
    )
    terminal_nodes: Literal["close", "revisit"] = Field(
        default="close",
        description="close: a terminal node is visited once, and a tree ends when nothing is left (released code); "
        "revisit: as often as UCT chooses it, so that Q is a mean over rollouts (plain UCT; the paper is silent)",
    )
    answer_siblings: Literal["keep", "drop"] = Field(
        default="keep",
        description="drop: once a candidate is an answer its siblings go and one answer stays (released code)",
    )
    num_parallel: int = Field(
        default=1,
        ge=1,
        description="descents of one tree at the same time, kept apart by virtual losses; 1 as in the paper",
    )
    num_widen: int = Field(
        default=1, ge=1, description="candidates that ab_mcts, mass and entropy draw at once (theirs: 1)"
    )
    thompson_count: float = Field(
        default=1.0, gt=0, description="ab_mcts: values that the prior of mean 0 weighs in a belief (theirs: 1)"
    )
    thompson_spread: float = Field(
        default=0.3,
        gt=0,
        description="ab_mcts: standard deviation of values, in [-1, 1], in that prior (theirs: 0.63 on this scale)",
    )
    mass: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="mass: share of the policy's probability that the candidates of a step are to cover",
    )
    particle_weight: float = Field(
        default=5.0,
        ge=0,
        description="particles: a step weighs exp(this * atanh(score)); 5: the raw logit of a reward model of scale 5",
    )
    beam_width: int = Field(default=4, ge=1, description="prefixes that step beam search keeps; divides num_candidates")
    max_consecutive_errors: int = Field(
        default=0,
        ge=0,
        description="failed steps in a row that may be continued; 0 as in the paper, 1 or more as released",
    )
    prior_weight: float = Field(
        default=0.0,
        ge=0,
        description="weight of log(share of the candidates with this text) on the scale of atanh(PPM score); "
        "0: no prior (paper), 0.2: measured to pay at the pocket scale",
    )


class BudgetSettings(Settings):
    """What one answer may cost; the first limit that is reached ends the search, and the best so far is the answer."""

    rollouts: int | None = Field(default=None, ge=1, description="rollouts, or samples, in all; null: no limit")
    tokens: int | None = Field(
        default=None, ge=1, description="tokens generated, discarded candidates included; null: no limit"
    )
    seconds: float | None = Field(default=None, gt=0, description="wall seconds; null: no limit")

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.rollouts is not None or self.tokens is not None or self.seconds is not None

    @property
    def name(self) -> str:
        """What tables call it, for example "600 tokens"; "" without a limit."""
        limits = ((self.rollouts, "rollouts"), (self.tokens, "tokens"), (self.seconds, "s"))
        return ", ".join(f"{limit:,.6g} {unit}" for limit, unit in limits if limit is not None)


class FittedSettings(Settings):
    """The fitted choice: the trajectory that is most probable by reward model and policy (`search/posterior.py`).

    S = sum of log sigmoid(logit) over its steps + policy_weight * log p(trajectory). What is fitted on validation
    problems (`training/posterior.py`) stands beside the model, in answering.json.
    """

    policy_weight: float = Field(
        default=1.0,
        ge=0,
        description="weight of the policy's log-probability of a whole trajectory (beta); 0: the reward model alone. "
        "Fitted at the pocket scale: 0.6 to 2.8 (docs/log.md)",
    )
    score_scale: float = Field(
        default=5.0, gt=0, description="of the reward model: logit = score_scale * atanh(score) (`scale` of ppm.json)"
    )
    sharpness: float = Field(
        default=1.0, gt=0, description="confidence: a trajectory weighs exp(sharpness * S); changes no choice"
    )
    none_right: float | None = Field(
        default=None,
        description="confidence: log-weight of the possibility that no trajectory is right; null: left out, so that "
        "the confidence is a share among what was found",
    )


class AnsweringSettings(Settings):
    """How a problem is answered: one or more searches, then a choice (section 4; METHOD.md section 6)."""

    strategy: str = Field(
        default="mcts", description="how each tree grows: a strategy by name (paper: mcts), or my_file.py:my_strategy"
    )
    search: SearchSettings = Field(
        default_factory=lambda: SearchSettings(num_candidates=32, terminal_value="ppm"), description="each search"
    )
    num_trees: int = Field(
        default=1,
        ge=1,
        description="fresh trees with seeds of their own, side by side; under a budget as many as it allows: one by "
        "one, or under seconds alone first one and then so many at a time",
    )
    budget: BudgetSettings = Field(default_factory=BudgetSettings, description="limits of one answer")
    settled: float | None = Field(
        default=None,
        gt=0.5,
        lt=1,
        description="no further tree once the leading answer is ahead with this probability (selector fitted: once the "
        "confidence reaches it); null: never",
    )
    selector: SelectorName = Field(
        default="best",
        description="best score (paper), score-weighted vote, majority, or fitted: most probable by scores and policy",
    )
    weight: WeightName = Field(
        default="score",
        description="what a trajectory is worth: the scores of the reward model, or the policy's probability",
    )
    aggregate: AggregateName = Field(
        default="last", description="value of a trajectory from its steps' scores (paper: last)"
    )
    num_voters: int | None = Field(
        default=None, ge=1, description="only so many trajectories with the highest value vote; null: all"
    )
    fitted: FittedSettings = Field(default_factory=FittedSettings, description="of `selector: fitted`")


class MethodSettings(Settings):
    """One way to answer, to be measured beside others: a strategy, a reward model, and what differs in the settings."""

    name: str = Field(min_length=1, description="what tables call it")
    strategy: str = Field(default="mcts", description="as --strategy takes it")
    reward_model: str | None = Field(
        default=None,
        description="reward model: null: the model's own PPM; none; a name of --reward-model NAME=FOLDER; orm or pqm: "
        "the folder of that name beside the model's policy; or a folder",
    )
    answering: dict[str, Any] = Field(
        default_factory=dict, description="keys of AnsweringSettings that differ from the model's own settings"
    )

    @model_validator(mode="before")
    @classmethod
    def _old_name(cls, values: Any) -> Any:
        """Files of methods may call the reward model `scorer`, as they did."""
        if isinstance(values, dict) and "scorer" in values and "reward_model" not in values:
            return {("reward_model" if key == "scorer" else key): value for key, value in values.items()}
        return values


class MethodList(Settings):
    """A file of methods for `rstar eval --methods`."""

    baseline: str | None = Field(default=None, description="method that the others are compared with; null: the first")
    methods: tuple[MethodSettings, ...] = Field(min_length=1, description="the methods, in the order of the tables")
