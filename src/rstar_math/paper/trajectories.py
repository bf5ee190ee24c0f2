"""Measurements that several tables and figures share: systems of mixed rounds, many samples, many descents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rstar_math.config import MethodSettings, SearchSettings
from rstar_math.metrics import best_of_k, maj_at_k, pass_at_k, vote_at_k
from rstar_math.models import ModelFolders
from rstar_math.paper.claims import Measured, Row
from rstar_math.paper.laboratory import Laboratory

Score = Callable[[Row], float]


def system_cell(lab: Laboratory, policy_round: int, ppm_round: int, label: str) -> Measured:
    """The recipe's system with the policy of one round and the PPM of another."""
    if policy_round == ppm_round:
        return lab.of_run("system", policy_round, label)
    method = MethodSettings(name="system", strategy="mcts")
    return lab.measure(label, lambda seed: lab.model(seed, policy_round, ppm_round), method)


def forests(lab: Laboratory, round_number: int) -> Measured:
    """Fresh descents of the round's policy under its PPM, as many as `num_trajectories`."""
    return forest_of(lab, lambda seed: lab.model(seed, round_number), f"descents, round {round_number}")


def forest_of(lab: Laboratory, model_of: Callable[[int], ModelFolders], label: str) -> Measured:
    """The same of any model."""
    search = {"num_candidates": 4, "num_rollouts": lab.settings.num_trajectories}
    method = MethodSettings(name="descents", strategy="forest", answering={"search": search, "num_trees": 1})
    return lab.measure(label, model_of, method)


def answered_by(measured: Measured, num_trajectories: int, label: str) -> Measured:
    """The answers that the first trajectories of each search alone would have given, by a vote weighted by value.

    Costs are cut in proportion.
    """
    score = vote_of_first(num_trajectories)
    rows = {}
    for seed, of_seed in measured.rows.items():
        cut = []
        for row in of_seed:
            share = min(1.0, num_trajectories / max(1, len(row["candidates"]["classes"])))
            correct = None if row["correct"] is None else bool(score(row))
            cut.append({**row, "correct": correct, "tokens_generated": row["tokens_generated"] * share})
        rows[seed] = cut
    return Measured(label, rows)


def many_samples(lab: Laboratory, round_number: int) -> Measured:
    """Independent samples of a round's policy (0: of the base), scored by the round's PPM where it has one."""
    scored = round_number > 0
    method = _samples(lab.settings.num_trajectories, scored=scored, search=lab.system.search)
    label = f"round {round_number}" if scored else "base"
    return lab.measure(label, lambda seed: lab.model(seed, round_number), method)


def pass_of(k: int) -> Score:
    """Whether one of k samples is right, by the unbiased estimator; for independent samples only."""
    return lambda row: pass_at_k(len(row["candidates"]["correct"]), sum(row["candidates"]["correct"]), k)


def majority_of(k: int) -> Score:
    """Whether the majority of k samples is right."""
    return lambda row: maj_at_k(row["candidates"]["classes"], row["candidates"]["correct"], k)


def best_of(k: int) -> Score:
    """Whether the sample of k with the highest value is right."""
    return lambda row: best_of_k(row["candidates"]["values"], row["candidates"]["correct"], k)


def vote_of(k: int) -> Score:
    """Whether the answer of k samples with the most value is right."""

    def score(row: Row) -> float:
        found = row["candidates"]
        return vote_at_k(found["classes"], [v or 0.0 for v in found["values"]], found["correct"], k)

    return score


def vote_of_first(k: int) -> Score:
    """Whether a vote, weighted by value, of a search's first k trajectories is right; of all where it has fewer."""

    def score(row: Row) -> float:
        votes: dict[int, float] = {}
        right: dict[int, bool] = {}
        found = row["candidates"]
        for label, value, correct in list(zip(found["classes"], found["values"], found["correct"], strict=True))[:k]:
            if label is not None:
                votes[label] = votes.get(label, 0.0) + (value or 0.0)
                right[label] = correct
        return float(right[max(votes, key=lambda c: votes[c])]) if votes else 0.0

    return score


def solved_by_first(k: int) -> Score:
    """Whether one of the first k trajectories of a search is right."""
    return lambda row: float(any(row["candidates"]["correct"][:k]))


def doubling(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`, which is the last."""
    found = [1 << i for i in range(most.bit_length())]
    return found if found[-1] == most else [*found, most]


def _samples(num_samples: int, *, scored: bool, search: SearchSettings) -> MethodSettings:
    """Independent samples of the policy, with or without a reward model's scores."""
    how = {"num_rollouts": num_samples, "temperature": search.temperature, "use_ppm": scored}
    settings: dict[str, Any] = {"search": how, "num_trees": 1}
    if scored:
        return MethodSettings(name=f"{num_samples} samples", strategy="sample", answering=settings)
    settings["selector"] = "majority"
    return MethodSettings(name=f"{num_samples} samples", strategy="sample", reward_model="none", answering=settings)
