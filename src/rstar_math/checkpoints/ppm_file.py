"""`ppm.json`, the file beside a reward model's weights: kind, scale, calibration and probe texts. Needs no torch.

PPM, PQM and ORM are the same to whoever loads them: a folder with this file, a logit for a text, a score in (-1, 1).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from rstar_math.errors import DataError, ModelError
from rstar_math.store.files import read_json, write_text

FILE_NAME = "ppm.json"
FORMAT = 1

PROBE_TOLERANCE = 1e-3
"""A loaded model whose probe logits (float32) are off by more than this is not the model that was saved."""


Kind = Literal["ppm", "pqm", "orm"]
"""What a reward model was trained to say: which step is better, the Q of a step, whether a solution is right."""


StepKind = Literal["step", "code", "output", "answer"]
"""What a prefix ends with: a step, the program's last step without its output, the same with it, or an answer.

Preferences rank the candidates of one node, so a logit has another zero, and another scale, for each kind.
"""


@dataclass(frozen=True, slots=True)
class LogOdds:
    """Log-odds = intercept + logit * (its logit) + path * (log-probability of the path) + depth * (number of steps)."""

    intercept: float
    logit: float
    path: float
    depth: float


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Steps whose probability falls into one bin: its mean, the share of rollouts that ended right, their number."""

    predicted: float
    observed: float
    num_steps: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far probabilities were right on problems that they were not fitted on (cross-fitting by problem).

    Attributes:
      expected_calibration_error: mean distance of predicted and observed frequency over ten bins, in [0, 1].
      brier: mean squared error of the probability, in [0, 1].
      log_loss: mean negative log-likelihood of the outcome, in nats.
      constant_brier, constant_log_loss: of the best constant, which knows nothing of the step.
      num_problems, num_steps: measured on; a step counts once for each solution that it stands in.
      bins: the reliability diagram, from low probabilities to high; empty bins are left out.
    """

    expected_calibration_error: float
    brier: float
    log_loss: float
    constant_brier: float
    constant_log_loss: float
    num_problems: int
    num_steps: int
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """From logits to the probability that the policy goes on to a right answer (`training.calibration` fits it).

    Attributes:
      weights: of each kind of step.
      max_depth: deepest step of the fit; deeper ones count as this deep.
      temperature: at which the rollouts below the steps were drawn.
      num_rollouts: solutions drawn for each problem.
      measured: on problems that the map was not fitted on.
    """

    weights: Mapping[StepKind, LogOdds]
    max_depth: int
    temperature: float
    num_rollouts: int
    measured: Reliability

    def probability(self, kind: StepKind, logit: float, path: float, depth: int) -> float:
        """The probability, in (0, 1), that the policy goes on from a prefix to a right answer.

        Args:
          kind: what the prefix ends with.
          logit: of the prefix.
          path: `path_log_probability` of its steps.
          depth: number of its steps.
        """
        w = self.weights[kind]
        z = w.intercept + w.logit * logit + w.path * path + w.depth * min(depth, self.max_depth)
        return math.exp(_log_sigmoid(z))


def path_log_probability(logits: Iterable[float]) -> float:
    """Sum of log sigmoid(logit), <= 0, over the prefixes of kind "step": one bad step makes a bad path."""
    return sum(map(_log_sigmoid, logits))


def _log_sigmoid(z: float) -> float:
    return min(z, 0.0) - math.log1p(math.exp(-abs(z)))


@dataclass(frozen=True, slots=True)
class Probe:
    """A text and the raw logit that the saved model gives it."""

    text: str
    logit: float


@dataclass(frozen=True, slots=True)
class PPMFile:
    """What a reward model needs beside its weights.

    Attributes:
      scale: score = tanh(logit / scale).
      probes: checked at every load: a head that fails to load is otherwise random without an error.
      calibration: None before `calibrate`, and in files of earlier versions, whose fit was no probability.
      pair_accuracy: share of held-out pairs ranked right, in [0, 1]; None where none were held out. Preference pairs
        for a PPM; two texts of one problem with different targets for the others, averaged over problems.
      kind: what it was trained to say; in files that do not say so: ppm.
    """

    scale: float
    probes: tuple[Probe, ...]
    calibration: Calibration | None = None
    pair_accuracy: float | None = None
    kind: Kind = "ppm"


def is_reward_model(folder: Path) -> bool:
    """Whether a folder is that of a reward model, as far as its names tell."""
    return (folder / FILE_NAME).exists()


def write_ppm_file(folder: Path, content: PPMFile) -> None:
    """Writes `ppm.json` into a folder, whole or not at all."""
    value = {"format": FORMAT, **asdict(content)}
    write_text(folder / FILE_NAME, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_ppm_file(folder: Path) -> PPMFile:
    """Reads `ppm.json` from a folder.

    Raises:
      ModelError: there is none, it is not JSON, lacks a key, or has another format number.
    """
    path = folder / FILE_NAME
    if not path.exists():
        raise ModelError(f"{folder} is not a PPM: it has no {FILE_NAME}")
    try:
        content = read_json(path)
    except DataError as error:
        raise ModelError(str(error)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise ModelError(f"{path} has format {found!r}; this version reads format {FORMAT}")
    kind = content.get("kind", "ppm")
    if kind not in get_args(Kind):
        raise ModelError(f"{path} has kind {kind!r}; this version knows {', '.join(get_args(Kind))}")
    try:
        return PPMFile(
            scale=float(content["scale"]),
            probes=tuple(Probe(probe["text"], float(probe["logit"])) for probe in content["probes"]),
            calibration=_read_calibration(content["calibration"]),
            pair_accuracy=None if content["pair_accuracy"] is None else float(content["pair_accuracy"]),
            kind=cast(Kind, kind),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is incomplete or damaged: {error!r}") from error


def _read_calibration(value: dict[str, Any] | None) -> Calibration | None:
    if value is None or "weights" not in value:  # earlier versions: a slope and an intercept
        return None
    measured = value["measured"]
    bins = tuple(ReliabilityBin(**row) for row in measured["bins"])
    return Calibration(
        weights={kind: LogOdds(**value["weights"][kind]) for kind in get_args(StepKind)},
        max_depth=value["max_depth"],
        temperature=value["temperature"],
        num_rollouts=value["num_rollouts"],
        measured=Reliability(**(measured | {"bins": bins})),
    )
