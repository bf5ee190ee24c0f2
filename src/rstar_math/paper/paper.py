"""The figures of the paper's tables that ours stand beside (rStar-Math, arXiv 2501.04519). Percent."""

from __future__ import annotations

SOLVED_BY_ROUND = {
    "all": (60.2, 66.6, 77.9, 90.3),
    "gsm": (97.0, 98.0, 98.0, 98.0),
    "math": (67.0, 67.0, 89.0, 95.0),
    "olympiad": (21.0, 56.0, 62.0, 81.0),
}
"""Table 2: training problems solved, by tier; rounded by the paper except for all."""

POLICY_BY_ROUND = (58.8, 69.6, 73.6, 75.8, 78.4)
"""Table 3: the policy alone on MATH, of the base and after rounds 1 to 4."""

PPM_BY_ROUND = (75.2, 84.1, 85.2, 87.0)
"""Table 4: the policy of round 1 with the PPM of rounds 1 to 4."""

SYSTEM_BY_ROUND = (75.2, 86.6, 87.0, 89.4)
"""Table 6: the whole system after rounds 1 to 4."""

SYSTEM_64 = 90.0
"""Tables 1 and 5: the whole system with 64 trajectories."""

SFT_DATA = {
    "verified trajectories": 78.4,
    "rejection sampling": 73.4,
    "random samples": 72.4,
    "demonstrations from outside": 69.6,
}
"""Table 7: the same base fine-tuned on different data; the last is NuminaMath-CoT (MetaMath: 55.2)."""

METHODS = {"best-of-N, ORM": 82.6, "MCTS, PQM": 88.2, "MCTS, PPM": 89.4}
"""Table 8: the same policy under different reward models."""

TOKENS_PER_TRAJECTORY = (3_299, 15_693)
"""Table 9: tokens generated for a trajectory, on GSM8K and on AIME."""

BASES = {"Qwen2.5-Math-7B": (58.8, 90.0), "Phi3-mini-3.8B": (41.4, 86.4)}
"""Table 10, as in the abstract: a base alone and its evolved system, on MATH."""
