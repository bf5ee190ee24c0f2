"""Every setting of a run as checked values: the schema of recipes.

A recipe is YAML with the keys of `Recipe`. Unknown keys and bad values are errors that name the key, the value and what
is allowed. Values from the paper say so; "pocket" marks values measured at the pocket scale (docs/log.md).
Reading files is in `rstar_math.store.recipes`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Base of all settings: immutable, unknown keys forbidden, descriptions taken from the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


AggregateName = Literal["last", "mean", "min", "product"]
SelectorName = Literal["best", "vote", "majority"]
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
        default=1, ge=1, description="candidates that ab_mcts draws at once where it goes wider (theirs: 1)"
    )
    thompson_count: float = Field(
        default=1.0, gt=0, description="ab_mcts: values that the prior of mean 0 weighs in a belief (theirs: 1)"
    )
    thompson_spread: float = Field(
        default=0.3,
        gt=0,
        description="ab_mcts: standard deviation of values, in [-1, 1], in that prior (theirs: 0.63 on this scale)",
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
        description="no further tree once the leading answer is ahead with this probability; null: never",
    )
    selector: SelectorName = Field(default="best", description="best score (paper), score-weighted vote, or majority")
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


class MethodSettings(Settings):
    """One way to answer, to be measured beside others: a strategy, a reward model, and what differs in the settings."""

    name: str = Field(min_length=1, description="what tables call it")
    strategy: str = Field(default="mcts", description="as --strategy takes it")
    scorer: str | None = Field(
        default=None,
        description="reward model: null: the model's own PPM; none; a name of --scorer NAME=FOLDER; orm or pqm: the "
        "folder of that name beside the model's policy; or a folder",
    )
    answering: dict[str, Any] = Field(
        default_factory=dict, description="keys of AnsweringSettings that differ from the model's own settings"
    )


class MethodList(Settings):
    """A file of methods for `rstar eval --methods`."""

    baseline: str | None = Field(default=None, description="method that the others are compared with; null: the first")
    methods: tuple[MethodSettings, ...] = Field(min_length=1, description="the methods, in the order of the tables")


class SelectionSettings(Settings):
    """Which trajectories and pairs a tree gives (sections 3.3 and 3.4; METHOD.md section 3)."""

    num_trajectories: int = Field(
        default=2, ge=1, description="correct trajectories per problem with the highest mean Q (paper)"
    )
    num_per_side: int = Field(default=2, ge=1, description="positives and negatives per node (paper: 2)")
    min_q_margin: float = Field(default=0.0, ge=0, le=2, description="least chosen_q - rejected_q (released code: 0.5)")
    min_edit_distance: int = Field(default=0, ge=0, description="least edit distance in characters (released code: 20)")
    fill_one_sided: bool = Field(
        default=False, description="1 x 4 or 4 x 1 where a side has one candidate (released code)"
    )


class LoRASettings(Settings):
    """Low-rank adapters in place of full fine-tuning; merged into the weights when the training ends."""

    rank: int = Field(default=64, ge=1, description="rank of the adapters; the paper fine-tunes all weights")
    alpha: int = Field(default=128, ge=1, description="their scale is alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout on their input")
    target_modules: str = Field(default="all-linear", description="which layers get adapters, as peft names them")


class TRLSettings(Settings):
    """What only `backend: trl` knows (docs/real-models.md)."""

    gradient_checkpointing: bool = Field(default=True, description="recompute activations in the backward pass")
    packing: bool = Field(default=False, description="SFT: several examples in one row, none of which sees another")
    lora: LoRASettings | None = Field(default=None, description="adapters; null: all weights (paper)")
    save_steps: int | None = Field(
        default=None,
        ge=1,
        description="checkpoint after so many optimiser steps, taken up at the next start; null: none",
    )
    tensorboard: str | None = Field(default=None, description="folder for TensorBoard; null: no logs")
    num_processes: int | None = Field(
        default=None, ge=1, description="processes of `accelerate launch`; null: one per GPU"
    )
    accelerate_config: str | None = Field(
        default=None,
        description="file of `accelerate config`, for example FSDP; null: FSDP where there are several GPUs",
    )


class TrainingSettings(Settings):
    """What SFT and PPM training have in common. Adam with decoupled weight decay, gradient norm clipped."""

    learning_rate: float = Field(default=7e-6, gt=0, description="peak learning rate (paper, appendix A.2: 7e-6)")
    num_epochs: float | None = Field(default=None, gt=0, description="passes over the data; give this or num_steps")
    num_steps: int | None = Field(default=None, ge=1, description="optimiser steps; give this or num_epochs")
    batch_size: int = Field(default=128, ge=1, description="rows per optimiser step (SFT), problems per step (PPM)")
    micro_batch_size: int | None = Field(default=None, ge=1, description="rows per forward pass; null: the whole batch")
    warmup_steps: int = Field(default=0, ge=0, description="steps of linear warm-up")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="decay after the warm-up (paper)"
    )
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled weight decay")
    max_length: int = Field(
        default=4096, ge=8, description="rows longer than this many tokens are dropped, and counted (paper)"
    )
    max_grad_norm: float = Field(default=1.0, gt=0, description="gradient norm is clipped to this")
    dtype: Literal["float32", "bfloat16"] = Field(
        default="bfloat16", description="arithmetic of forward and backward passes"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1, description="dropout on the residual stream while training")
    backend: Literal["torch", "trl"] = Field(
        default="torch", description="torch: one device, no further packages; trl: TRL and accelerate, for real models"
    )
    trl: TRLSettings = Field(default_factory=TRLSettings, description="only for backend: trl")

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSettings:
        if (self.num_epochs is None) == (self.num_steps is None):
            raise ValueError("give exactly one of num_epochs and num_steps")
        return self


class SFTSettings(TrainingSettings):
    """Supervised fine-tuning of the policy on verified trajectories (section 3.4)."""

    num_epochs: float | None = Field(default=None, gt=0, description="passes over the data (paper: 2); or num_steps")
    form: FormName = Field(
        default="steps",
        description="what the policy learns to write: the trajectories as they are (paper); program: their code in one "
        "piece, without the answer; text: without what was printed",
    )


class PPMSettings(TrainingSettings):
    """Training of the process preference model on pairs (section 3.3)."""

    scale: float = Field(default=5.0, gt=0, description="score = tanh(logit / scale); 5 as in the released code")
    early_stopping: bool = Field(
        default=False, description="keep the weights with the lowest loss on held-out problems"
    )
    evals_per_epoch: int = Field(default=2, ge=1, description="evaluations on held-out problems per epoch")
    patience: int = Field(default=3, ge=1, description="evaluations without improvement before training stops")


class EndpointSettings(Settings):
    """How to talk to an OpenAI-compatible server (docs/real-models.md)."""

    model: str | None = Field(default=None, description="name of the model at the server; null: the only one it lists")
    api: Literal["completions", "chat"] = Field(
        default="completions",
        description="completions goes on from a text exactly; chat only where a server has nothing else",
    )
    continuation: Literal["auto", "continue", "restate"] = Field(
        default="auto",
        description="chat: let the server go on from the assistant's text (continue), or show the steps so far and ask "
        "for the next one (restate); auto: the first, and the second where the server refuses",
    )
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="environment variable that holds the key, where one is set"
    )
    max_requests: int = Field(default=64, ge=1, description="requests in flight")
    timeout_s: float = Field(default=600.0, gt=0, description="wall seconds of one request")
    max_retry_s: float = Field(
        default=300.0, ge=0, description="a request that fails is tried again for so many seconds"
    )
    logprobs: bool = Field(default=False, description="ask for log-probabilities (recorded, not used by any strategy)")
    extra_body: dict[str, Any] = Field(default_factory=dict, description="further fields of every request")


class PolicySettings(Settings):
    """A model that is more than a folder: behind a URL, or with a few-shot prompt. A YAML file with these keys is a
    model as any command takes it."""

    policy: str = Field(
        description="URL of an OpenAI-compatible server, a folder, a name at the hub, or my_file.py:function"
    )
    ppm: str | None = Field(default=None, description="folder of a process preference model")
    bootstrap: str = Field(
        default="auto",
        description="few-shot prompt for a model that does not know the step format: a JSONL file of examples "
        "({question, response}), `default` for the package's own, `none`; auto: default behind a URL, and for a folder "
        "whose tokenizer lacks the markers",
    )
    endpoint: EndpointSettings = Field(default_factory=EndpointSettings, description="only behind a URL")


class ProblemSource(Settings):
    """A set of problems: a split of the pocket world, a benchmark by name, or a JSONL file."""

    source: str = Field(
        description="pocket/train, pocket/validation, pocket/test, a benchmark (math500, gsm8k, ...: from the hub; "
        "FOLDER/math500: from a folder of files), the path of a JSONL file with `problem` and `answer`, or "
        "my_file.py:function"
    )
    num_problems: int | None = Field(default=None, ge=1, description="take the first so many; null: all (files only)")
    skip: int = Field(default=0, ge=0, description="leave out so many before the first")
    seed: int = Field(default=0, description="of the order in which a pocket split is drawn")


class SynthesisSettings(Settings):
    """How problems are made, and when one is trusted."""

    num_problems: int = Field(default=100, ge=1, description="problems to propose")
    num_seeds_shown: int = Field(default=4, ge=1, description="seed problems in each prompt")
    temperature: float = Field(default=1.0, ge=0, description="of the proposals")
    max_tokens: int = Field(default=400, ge=1, description="most tokens of a proposal")
    num_solutions: int = Field(default=10, ge=2, description="independent solutions of a proposal (paper: 10)")
    min_agreeing: int = Field(default=3, ge=2, description="solutions with the majority's answer, at least (paper: 3)")
    min_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="share of the finished solutions that agree with it, at least (paper: half)",
    )
    solution_temperature: float = Field(default=1.0, gt=0, description="of the solutions")
    max_solution_tokens: int = Field(default=2048, ge=1, description="most tokens of a solution")


class ExtraSearch(Settings):
    """Another try at the problems that a round has not solved yet."""

    num_rollouts: int = Field(ge=1, description="rollouts of each new tree (paper: 16 more; round 4: 64, then 128)")
    num_trees: int = Field(default=1, ge=1, description="new trees from different seeds")


class RoundSettings(Settings):
    """One round of self-evolution (section 3.4; METHOD.md section 5)."""

    search: SearchSettings = Field(description="search of every training problem")
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


IsolationLayer = Literal["limits", "no_capabilities", "no_new_privileges", "landlock", "seccomp"]
"""Layers of isolation without which steps are not executed, unless `runtime.accept_missing` names them."""


class RuntimeSettings(Settings):
    """The machine, not the method: nothing here may change a result in deterministic mode."""

    num_workers: int | None = Field(
        default=None, ge=1, description="search processes; null: one per accelerator, or per CPU core"
    )
    concurrency: int = Field(default=64, ge=1, description="problems in flight in one process")
    max_batch_rows: int = Field(default=256, ge=1, description="most candidates decoded at the same time")
    deterministic: bool = Field(
        default=False, description="fixed batch shapes: the same trees at any concurrency, slower"
    )
    engine: Literal["torch", "vllm"] = Field(default="torch", description="what runs a policy of this machine")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="weights while searching")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps")
    remember: str | None = Field(
        default=None,
        description="file of completions and scores: what was asked for before is not made again; null: none",
    )
    trees_per_part: int = Field(default=50, ge=1, description="trees in one file of a run")
    cpu_s: float = Field(default=5.0, gt=0, description="CPU seconds of one step's program")
    wall_s: float = Field(default=20.0, gt=0, description="wall seconds of one step's program")
    memory_mb: int = Field(default=1024, ge=64, description="memory of one step's program")
    accept_missing: tuple[IsolationLayer, ...] = Field(
        default=(), description="layers of isolation that this machine may lack; lacking any other, it executes nothing"
    )
    isolation: Literal["sandbox", "none"] = Field(
        default="sandbox", description="none: steps run with the caller's rights, which is not a security boundary"
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

    seeds: tuple[int, ...] = Field(default=(1, 2, 3), min_length=1, description="training seeds, a run for each")
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
    further_bases: tuple[FurtherBase, ...] = Field(
        default=(), description="further bases of table 10 and figure 7, under the first seed"
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
