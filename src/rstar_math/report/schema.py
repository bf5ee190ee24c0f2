"""The numbers of a run: the schema of `RUN/report.json`.

Shares are fractions in [0, 1], by tier and over "all". A value that a recipe does not compute is null, never 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rstar_math.errors import DataError
from rstar_math.metrics import Interval
from rstar_math.store.files import read_json, write_json
from rstar_math.types import Cost

FORMAT_VERSION = 1

NOT_REPRODUCED = "trajectories that a fresh execution did not reproduce"
"""Name of what `dropped` counts even where it is 0."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
ByTier = dict[str, Share]
"""Share by tier, in the order of the tiers, and under "all"."""
ByPart = dict[str, ByTier]
"""Shares by the part of the problem set that they were measured on, for example "seen" and "reworded"."""


class Numbers(BaseModel):
    """Base of all parts of a report: immutable, unknown keys forbidden, no infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProblemSetUsed(Numbers):
    """A set of problems that the numbers come from."""

    name: str
    num_problems: Count
    sha256: str = Field(description="of the ids, questions and answers, first 16 hex digits")


class BaseNumbers(Numbers):
    """The untrained base on the held-out problems."""

    policy_greedy: ByTier | None = Field(default=None, description="accuracy of the policy alone, temperature 0")
    num_problems: dict[str, Count] = Field(description="held-out problems by tier and over all")
    policy_greedy_parts: ByPart | None = None
    policy_greedy_tokens_per_problem: float | None = Field(default=None, ge=0, description="generated")
    num_problems_parts: dict[str, dict[str, Count]] | None = None


class ReliabilityPoint(Numbers):
    """Steps to which `evaluate_step` gives about the same probability."""

    predicted: Share = Field(description="mean probability")
    observed: Share = Field(description="share of the rollouts below them that ended right")
    num_steps: Count


class StepCalibration(Numbers):
    """`evaluate_step` against fresh rollouts of the policy, on problems that it was not fitted on."""

    expected_calibration_error: Share
    brier: Share = Field(description="mean squared error of the probability")
    log_loss: float = Field(ge=0, description="nats")
    constant_brier: Share = Field(description="of one probability for all steps")
    constant_log_loss: float = Field(ge=0, description="likewise")
    num_problems: Count
    num_steps: Count = Field(description="a step counts once for each solution that it stands in")
    num_rollouts: Count = Field(description="solutions drawn for each problem")
    bins: tuple[ReliabilityPoint, ...] = Field(description="the reliability diagram")


class RoundNumbers(Numbers):
    """One round: the models it made on the held-out problems, what it solved, made and cost."""

    round: int = Field(ge=1)
    policy_greedy: ByTier | None = Field(
        default=None, description="held-out accuracy of the policy alone, temperature 0"
    )
    system: ByTier | None = Field(
        default=None, description="held-out accuracy of PPM-augmented MCTS with the round's models"
    )
    solved: ByTier | None = Field(default=None, description="training problems with a verified solution so far")
    solved_round: ByTier | None = Field(default=None, description="training problems solved in this round alone")
    control: ByTier | None = Field(
        default=None, description="solved by the untrained base with this round's token budget"
    )
    ppm_pair_accuracy: Share | None = Field(default=None, description="on pairs of held-out problems")
    num_trajectories: Count | None = Field(default=None, description="trajectories that the policy was trained on")
    num_pairs: Count | None = Field(default=None, description="preference pairs that the PPM was trained on")
    cost: Cost = Field(default_factory=Cost, description="of this round's search")

    policy_greedy_parts: ByPart | None = None
    system_parts: ByPart | None = None
    policy_greedy_tokens_per_problem: float | None = Field(default=None, ge=0, description="generated")
    system_tokens_per_problem: float | None = Field(
        default=None, ge=0, description="generated, discarded candidates included"
    )
    system_tokens_scored_per_problem: float | None = Field(default=None, ge=0, description="read by the PPM")
    num_control_problems: Count | None = Field(
        default=None, description="training problems that `control` was measured on"
    )
    ppm_pair_baselines: ByTier | None = Field(
        default=None, description='pair accuracy of simple rules: {"length", "logprob", "logprob_per_token"}'
    )
    num_ppm_pairs_held_out: Count | None = Field(
        default=None, description="pairs that the pair accuracy was measured on"
    )
    ppm_calibration_error: Share | None = Field(default=None, description="expected calibration error of evaluate_step")
    ppm_calibration: StepCalibration | None = Field(default=None, description="evaluate_step against fresh rollouts")
    stage_seconds: dict[str, float] = Field(default_factory=dict, description="wall seconds of each stage")
    dropped: dict[str, Count] = Field(default_factory=dict, description="what was dropped or degraded, by name")


class Growth(Numbers):
    """Paired differences on the same held-out problems, by tier and over all, with 95 % bootstrap intervals."""

    base_to_last: dict[str, Interval] | None = Field(default=None, description="policy_greedy: last round - base")
    round_1_to_last: dict[str, Interval] | None = Field(default=None, description="policy_greedy: last round - round 1")
    system_over_policy: dict[str, Interval] | None = Field(
        default=None, description="last round: system - policy_greedy"
    )


class Confidence(Numbers):
    """The threshold below which `rstar solve` says "not sure", and what it is worth."""

    threshold: Share | None = Field(description="null: none is shown to be good enough, so that no answer is sure")
    precision: Share | None = Field(description="right answers among those that count as sure; null: none does")
    coverage: Share = Field(description="share of problems whose answer reaches it, and whose question is familiar")
    outside: Share | None = Field(
        default=None, description="share of problems that count as outside of the training problems"
    )
    target_precision: Share | None = Field(default=None, description="what the threshold was chosen for")
    chosen_on: str = Field(description="problems that the threshold was chosen on")
    measured_on: str = Field(description="problems that precision and coverage were measured on")
    num_problems: Count = Field(description="problems of `measured_on`")


class SuspectReferenceFound(Numbers):
    """A training problem whose trajectories agree with one another against its reference: probably a wrong one."""

    problem: str
    reference: str
    answer: str = Field(description="what the trajectories say instead")
    num_agreeing: Count
    num_supporting: Count = Field(description="trajectories that give the reference")
    num_trajectories: Count


class ClusterMachine(Numbers):
    """What one machine of a cluster did."""

    name: str
    num_workers: Count = Field(description="search processes that were seen")
    num_tasks: Count = Field(description="searches, samplings and answers that it handed over")
    tokens: Count = Field(description="generated for them")
    tokens_per_s: float = Field(ge=0, description="by the wall seconds of all jobs of the cluster")


class ClusterUsed(Numbers):
    """What came from the workers of a cluster, over all jobs of the run; from events.jsonl."""

    carriers: tuple[str, ...]
    seconds: float = Field(ge=0, description="wall seconds of all jobs")
    num_leases: Count
    num_taken_over: Count = Field(description="leases whose holder was lost")
    num_lost: Count = Field(description="leases that were laid out anew because they lay nowhere")
    num_twice: Count = Field(description="results that had come before")
    tokens_per_s: float = Field(ge=0)
    machines: tuple[ClusterMachine, ...]


class Report(Numbers):
    """A whole run. Rounds that are not finished yet are not in it."""

    format: int = Field(default=FORMAT_VERSION, ge=1, le=FORMAT_VERSION)
    recipe: str = Field(description="name of the recipe")
    seed: int
    base: BaseNumbers
    rounds: tuple[RoundNumbers, ...]
    growth: Growth | None = None
    confidence: Confidence | None = None
    suspect_references: tuple[SuspectReferenceFound, ...] = Field(default=(), description="by the last round's trees")
    num_training_problems: dict[str, Count] | None = Field(default=None, description="by tier and over all")
    cluster: ClusterUsed | None = Field(default=None, description="null: the processes of one machine did all of it")
    problem_sets: dict[str, ProblemSetUsed] = Field(default_factory=dict, description="by what they were used for")
    command: str | None = Field(default=None, description="the command that made the run")
    hardware: str | None = None
    versions: dict[str, str] = Field(default_factory=dict, description="rstar_math, Python, torch ...")
    created: str | None = Field(default=None, description="date and time (ISO 8601)")

    @property
    def tiers(self) -> list[str]:
        """The tiers in their order, "all" last."""
        return [t for t in self.base.num_problems if t != "all"] + ["all"]


def report_to_json(report: Report) -> dict[str, Any]:
    """The report as JSON values, every key present."""
    return report.model_dump(mode="json")


def report_from_json(value: object, where: str) -> Report:
    """The inverse of `report_to_json`.

    Raises:
      DataError: the value does not have the schema; names `where` and every bad key.
    """
    try:
        return Report.model_validate(value)
    except ValidationError as error:
        bad = [f"  {_key(e['loc'])}: {e['msg']}, got {str(e['input'])[:60]!r}" for e in error.errors()]
        raise DataError("\n".join([f"{where} is not a report of format {FORMAT_VERSION}:", *bad])) from error


def save_report(path: Path, report: Report) -> None:
    """Writes `report.json`, whole or not at all."""
    write_json(path, report_to_json(report))


def load_report(path: Path) -> Report:
    """Reads `report.json`.

    Raises:
      DataError: the file is missing, not JSON, or not a report.
    """
    return report_from_json(read_json(path), str(path))


def _key(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".") or "the whole file"
