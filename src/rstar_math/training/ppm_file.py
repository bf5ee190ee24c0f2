"""`ppm.json`, the file beside a reward model's weights: kind, scale, calibration and probe texts. Needs no torch.

PPM, PQM and ORM are the same to whoever loads them: a folder with this file, a logit for a text, a score in (-1, 1).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from rstar_math.errors import DataError, ModelError
from rstar_math.store.files import read_json, write_text

FILE_NAME = "ppm.json"
FORMAT = 1

PROBE_TOLERANCE = 1e-3
"""A loaded model whose probe logits (float32) are off by more than this is not the model that was saved."""


Kind = Literal["ppm", "pqm", "orm"]
"""What a reward model was trained to say: which step is better, the Q of a step, whether a solution is right."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """p(correct) = sigmoid(slope * logit + intercept), fitted on held-out steps.

    Attributes:
      slope, intercept: of the logistic fit.
      expected_calibration_error: in [0, 1], on the examples of the fit.
      num_examples: examples of the fit.
    """

    slope: float
    intercept: float
    expected_calibration_error: float
    num_examples: int


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
      calibration: None before `calibrate`.
      pair_accuracy: share of held-out pairs ranked right, in [0, 1]; None where none were held out. Preference pairs
        for a PPM; two texts of one problem with different targets for the others, averaged over problems.
      kind: what it was trained to say; in files that do not say so: ppm.
    """

    scale: float
    probes: tuple[Probe, ...]
    calibration: Calibration | None = None
    pair_accuracy: float | None = None
    kind: Kind = "ppm"


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
        calibration = content["calibration"]
        return PPMFile(
            scale=float(content["scale"]),
            probes=tuple(Probe(probe["text"], float(probe["logit"])) for probe in content["probes"]),
            calibration=None if calibration is None else Calibration(**calibration),
            pair_accuracy=None if content["pair_accuracy"] is None else float(content["pair_accuracy"]),
            kind=cast(Kind, kind),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is incomplete or damaged: {error!r}") from error
