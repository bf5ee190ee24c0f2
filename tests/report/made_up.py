"""A report with made-up numbers, in the shape of a finished run."""

from __future__ import annotations

from rstar_math.metrics import Interval
from rstar_math.report.schema import (
    BaseNumbers,
    Confidence,
    Growth,
    ProblemSetUsed,
    ReliabilityPoint,
    Report,
    RoundNumbers,
    StepCalibration,
)
from rstar_math.types import Cost

TIERS = ("gsm", "math", "olympiad")


def tiers(*percents: float) -> dict[str, float]:
    shares = [p / 100 for p in percents]
    return {**dict(zip(TIERS, shares, strict=True)), "all": sum(shares) / len(shares)}


def report() -> Report:
    greedy = [(80, 24, 9), (92, 55, 25), (96, 71, 38), (97, 84, 52), (98, 90, 61)]
    system = [(95, 70, 31), (98, 86, 55), (99, 93, 70), (99, 96, 78)]
    alone = [(91, 55, 25), (99, 88, 41), (99, 97, 60), (100, 98, 72)]
    so_far = [(91, 55, 25), (99, 91, 44), (100, 100, 66), (100, 100, 79)]
    control = [(91, 55, 25), (95, 62, 30), (96, 66, 33), (97, 68, 35)]
    rounds = tuple(
        RoundNumbers(
            round=i + 1,
            policy_greedy=tiers(*greedy[i + 1]),
            system=tiers(*system[i]),
            solved=tiers(*so_far[i]),
            solved_round=tiers(*alone[i]),
            control=tiers(*control[i]),
            ppm_pair_accuracy=0.74 + 0.04 * i,
            num_trajectories=620 + 180 * i,
            num_pairs=2100 - 200 * i,
            cost=Cost(
                tokens_prompt=1_000_000 * (i + 1),
                tokens_generated=1_900_000 + 700_000 * i,
                tokens_scored=0 if i < 2 else 2_500_000,
                model_calls=31_000 + 4_000 * i,
                executions=112_345 + 1_000 * i,
                grades=8_120,
                cpu_seconds=41.3,
                seconds=131.7 + 20 * i,
            ),
            policy_greedy_parts={"seen": tiers(*greedy[i + 1]), "novel": tiers(*(0.9 * g for g in greedy[i + 1]))},
            system_parts={"seen": tiers(*system[i]), "novel": tiers(*(0.9 * s for s in system[i]))},
            policy_greedy_tokens_per_problem=59.4,
            system_tokens_per_problem=478.2,
            system_tokens_scored_per_problem=1310.0,
            num_control_problems=150,
            ppm_pair_baselines={"length": 0.52, "logprob": 0.61},
            num_ppm_pairs_held_out=412,
            ppm_calibration_error=0.031,
            ppm_calibration=StepCalibration(
                expected_calibration_error=0.031,
                brier=0.135,
                log_loss=0.43,
                constant_brier=0.188,
                constant_log_loss=0.564,
                num_problems=100,
                num_steps=4000,
                num_rollouts=8,
                bins=tuple(
                    ReliabilityPoint(predicted=p, observed=p + 0.03, num_steps=n)
                    for p, n in ((0.15, 300), (0.55, 700), (0.85, 3000))
                ),
            ),
            stage_seconds={"search": 131.7, "sft": 22.0, "ppm": 40.0, "evaluate": 30.0},
            dropped={"trajectories_not_reproduced": 3 * i, "rows_too_long": 0},
        )
        for i in range(4)
    )
    difference = {tier: Interval(0.2, 0.15, 0.25) for tier in (*TIERS, "all")}
    return Report(
        recipe="pocket",
        seed=0,
        base=BaseNumbers(
            policy_greedy=tiers(*greedy[0]),
            num_problems={"gsm": 120, "math": 120, "olympiad": 120, "all": 360},
            policy_greedy_parts={"seen": tiers(*greedy[0]), "novel": tiers(70, 20, 5)},
            policy_greedy_tokens_per_problem=61.0,
            num_problems_parts={"seen": {"all": 240}, "novel": {"all": 120}},
        ),
        rounds=rounds,
        growth=Growth(base_to_last=difference, round_1_to_last=difference, system_over_policy=difference),
        confidence=Confidence(
            threshold=0.62,
            precision=0.913,
            coverage=0.784,
            outside=0.012,
            target_precision=0.9,
            chosen_on="pocket/validation",
            measured_on="pocket/test",
            num_problems=360,
        ),
        num_training_problems={"gsm": 300, "math": 300, "olympiad": 300, "all": 900},
        problem_sets={
            "train": ProblemSetUsed(name="pocket/train", num_problems=900, sha256="0123456789abcdef"),
            "held_out": ProblemSetUsed(name="pocket/test", num_problems=360, sha256="fedcba9876543210"),
        },
        command="rstar evolve pocket --out runs/pocket",
        hardware="2 CPU cores",
        versions={"rstar_math": "0.1.0", "Python": "3.11.9", "torch": "2.13.0"},
        created="2025-01-31T12:00:00+00:00",
    )
