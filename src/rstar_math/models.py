"""From what a user calls a model to its folders: a shipped name, a run, a folder with policy and PPM, a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rstar_math.config import AnsweringSettings, SearchSettings
from rstar_math.errors import ModelError
from rstar_math.store.files import read_json, write_json
from rstar_math.store.recipes import check

_SHIPPED = Path(__file__).parent / "pocket" / "models"
SHIPPED_MODELS = ("pocket", "pocket-base")


@dataclass(frozen=True, slots=True)
class ModelFolders:
    """Where the parts of a model lie.

    Attributes:
      name: what tables call it.
      policy: folder of the policy.
      ppm: folder of the process preference model, or None.
      answering: how the model answers best, as measured on validation problems; None where nobody measured.
      threshold: confidence from which its answers count as sure; None where nobody measured.
    """

    name: str
    policy: Path
    ppm: Path | None = None
    answering: AnsweringSettings | None = None
    threshold: float | None = None


def find_model(spec: str | Path) -> ModelFolders:
    """Finds the folders of a model.

    Args:
      spec: `pocket`, `pocket-base`, a run folder (its last whole round), a folder that holds `policy/` and perhaps
        `ppm/`, or the folder of a Hugging Face checkpoint.

    Raises:
      ModelError: there is nothing of the kind there.
    """
    path = _SHIPPED / str(spec) if str(spec) in SHIPPED_MODELS and not Path(spec).exists() else Path(spec)
    name = str(spec)
    if not path.is_dir():
        raise ModelError(
            f"no model {name!r}: it is neither a folder nor one of {', '.join(SHIPPED_MODELS)}; "
            "give the folder of a Hugging Face checkpoint, or of a run"
        )
    if (path / "recipe.yaml").exists() or list(path.glob("round-*")):
        rounds = sorted(
            (r for r in path.glob("round-*") if (r / "policy").is_dir()),
            key=lambda r: int(r.name.removeprefix("round-")),
        )
        if not rounds:
            raise ModelError(f"{path} is a run without a finished policy; let `rstar evolve` finish a round first")
        path = rounds[-1]
    if (path / "policy").is_dir():
        ppm = path / "ppm" if (path / "ppm" / "ppm.json").exists() else None
        answering, threshold = read_answering(path / "answering.json")
        return ModelFolders(name, path / "policy", ppm, answering, threshold)
    if not (path / "config.json").exists():
        raise ModelError(f"{path} is not a model: it has no config.json, and no policy/ folder with one")
    return ModelFolders(name, path)


def read_answering(path: Path) -> tuple[AnsweringSettings | None, float | None]:
    """Reads the answering settings beside a model, and its confidence threshold."""
    if not path.exists():
        return None, None
    value = read_json(path)
    return check(AnsweringSettings, value["answering"], str(path)), value["threshold"]


def write_answering(path: Path, answering: AnsweringSettings, threshold: float | None, **measured: object) -> None:
    """Writes the answering settings beside a model, with what was measured on which problems."""
    value = {"format": 1, "answering": answering.model_dump(mode="json"), "threshold": threshold, **measured}
    write_json(path, value)


def default_answering(model: ModelFolders) -> AnsweringSettings:
    """The model's own answering settings; the paper's where it has none (without a PPM: 32 samples and a majority)."""
    if model.answering is not None:
        return model.answering
    if model.ppm is not None:
        return AnsweringSettings()
    search = SearchSettings(num_rollouts=32, use_ppm=False, terminal_value="ppm")
    return AnsweringSettings(search=search, selector="majority")
