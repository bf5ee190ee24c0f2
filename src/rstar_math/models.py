"""From what a user calls a model to its parts: a shipped name, a run, a folder, a URL, a hub name, a model file, or a
function of a file."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from rstar_math.checkpoints.ppm_file import FILE_NAME as PPM_FILE
from rstar_math.checkpoints.ppm_file import is_reward_model
from rstar_math.config import AnsweringSettings, PolicySettings, SearchSettings
from rstar_math.config.curve import Curve
from rstar_math.config.reading import check
from rstar_math.config.yaml_text import parse_yaml, read_yaml, shown_value
from rstar_math.errors import ConfigError, DataError, ModelError
from rstar_math.plugins import absolute, is_own
from rstar_math.problems.familiarity import FILE_NAME as FAMILIARITY_FILE
from rstar_math.problems.familiarity import Familiarity, read_familiarity
from rstar_math.store.files import read_json, write_json
from rstar_math.store.manifest import Manifest
from rstar_math.store.round import ANSWERING_FILE, is_run, rounds_in
from rstar_math.types import Solution

SHIPPED = Path(__file__).parent / "pocket" / "models"
"""Folders of the models that come with the package."""

SHIPPED_MODELS = ("pocket", "pocket-base")
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

Policy = Path | PolicySettings
"""A folder of this machine, or a policy behind a URL or with a few-shot prompt."""


@dataclass(frozen=True, slots=True)
class ModelFolders:
    """Where the parts of a model lie.

    Attributes:
      name: what tables call it.
      policy: folder of the policy, or how to reach and prompt it.
      reward_model: folder of the reward model, or None.
      answering: how the model answers best, as measured on validation problems; None where nobody measured.
      threshold: confidence from which its answers count as sure; None where nobody measured.
      curve: accuracy against tokens; None where nobody measured.
      familiarity: folder with what is known of its training questions (`familiarity.json`), or None.
    """

    name: str
    policy: Policy
    reward_model: Path | None = None
    answering: AnsweringSettings | None = None
    threshold: float | None = None
    familiarity: Path | None = None
    curve: Curve | None = None

    @property
    def policy_folder(self) -> Path:
        """The policy's weights, for training.

        Raises:
          ModelError: the policy is behind a URL.
        """
        if isinstance(self.policy, Path):
            return self.policy
        if is_url(self.policy.policy):
            raise ModelError(
                f"{self.name} is behind a URL, where it can be searched with but not trained; name a folder"
            )
        if is_own(self.policy.policy):
            raise ModelError(f"{self.name} is an engine of your own, which cannot be trained; name a folder")
        return _folder_or_hub(self.policy.policy)

    def familiar(self) -> Familiarity | None:
        """What is known of the questions that it was trained on; read once for each state of the file."""
        if self.familiarity is None:
            return None
        return _familiarity(self.familiarity, (self.familiarity / FAMILIARITY_FILE).stat().st_mtime_ns)

    def with_outside(self, solution: Solution, question: str) -> Solution:
        """The solution with the word on whether its question is outside of what the model was trained on."""
        familiar = self.familiar()
        if familiar is None:
            return solution
        return replace(solution, outside=familiar.is_outside(question), unknown_words=familiar.unknown_words(question))


@lru_cache(4)
def _familiarity(folder: Path, modified: int) -> Familiarity | None:
    return read_familiarity(folder)


def find_model(spec: str | Path) -> ModelFolders:
    """Finds the parts of a model.

    Args:
      spec: `pocket`, `pocket-base`, a run folder (its last whole round), a folder that holds `policy/` and perhaps
        `ppm/`, the folder of a Hugging Face checkpoint, a GGUF file (imported once), a name at the hub, the URL of an
        OpenAI-compatible server (`http://localhost:8000/v1?model=NAME`; further keys of `EndpointSettings` and
        `bootstrap` the same way), a YAML file with the keys of `PolicySettings`, or `my_file.py:function`, which gives
        an engine.

    Raises:
      ModelError: there is nothing of the kind there.
      RunError: a file of the run's model was changed or damaged since it was made.
      ConfigError: a key of the URL or of the file is not known, or its value not allowed.
    """
    if is_url(str(spec)):
        return ModelFolders(_shown(str(spec)), _from_url(str(spec)))
    if is_own(str(spec)):
        return ModelFolders(str(spec), PolicySettings(policy=absolute(str(spec))))
    if str(spec).endswith((".yaml", ".yml")):
        return _from_file(Path(spec))
    path = SHIPPED / str(spec) if str(spec) in SHIPPED_MODELS and not Path(spec).exists() else Path(spec)
    name = str(spec)
    if not path.is_dir():
        path = _folder_or_hub(name)
    if is_run(path) or rounds_in(path):
        rounds = [r for r in rounds_in(path) if r.policy.is_dir()]
        if not rounds:
            raise ModelError(f"{path} is a run without a finished policy; let `rstar evolve` finish a round first")
        path = rounds[-1].folder
    if (path / "policy").is_dir():
        Manifest(path).verify(("policy", "ppm", ANSWERING_FILE, FAMILIARITY_FILE))
        ppm = path / "ppm" if is_reward_model(path / "ppm") else None
        answering, threshold = read_answering(path / ANSWERING_FILE)
        familiarity = path if (path / FAMILIARITY_FILE).exists() else None
        curve = read_curve(path / ANSWERING_FILE)
        return ModelFolders(name, path / "policy", ppm, answering, threshold, familiarity, curve)
    if not any((path / file).exists() for file in ("config.json", "adapter_config.json")):
        raise ModelError(f"{path} is not a model: it has no config.json, and no policy/ folder with one")
    return ModelFolders(name, path)


def model_folder(folder: Path) -> Path:
    """The folder that holds a whole model: of a run its last whole round, else the folder itself.

    Raises:
      ModelError: no model is there.
    """
    if not folder.is_dir():
        raise ModelError(f"no folder {folder}; give a run, a round of one, or the folder of a checkpoint")
    policy = find_model(folder).policy_folder
    return policy.parent if policy.name == "policy" and policy != folder else policy


def is_url(spec: str) -> bool:
    """Whether a model's name is the URL of a server."""
    return spec.startswith(("http://", "https://"))


def _from_url(url: str) -> PolicySettings:
    parts = urlsplit(url)
    options: dict[str, Any] = {key: parse_yaml(value, f"{_shown(url)}: {key}") for key, value in parse_qsl(parts.query)}
    bare = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    outer = [key for key in ("bootstrap", "ppm") if key in options]
    value = {"policy": bare} | {key: options.pop(key) for key in outer} | {"endpoint": options}
    return check(PolicySettings, value, _shown(url))


def _shown(url: str) -> str:
    """The URL without a password, for tables and logs."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def _from_file(path: Path) -> ModelFolders:
    value = read_yaml(path, "model file")
    if not isinstance(value, dict):
        raise ConfigError(f"model file {path} must be a mapping of keys to values, got {type(value).__name__}")
    policy = check(PolicySettings, value, str(path))
    if is_own(policy.policy):
        policy = policy.model_copy(update={"policy": absolute(policy.policy)})
    elif not is_url(policy.policy):
        _folder_or_hub(policy.policy)
    if policy.ppm is not None and not is_reward_model(Path(policy.ppm)):
        raise ModelError(f"{path}: ppm is {policy.ppm!r}, which is not a reward model's folder (it has no {PPM_FILE})")
    return ModelFolders(path.stem, policy, Path(policy.ppm) if policy.ppm else None)


def _folder_or_hub(name: str) -> Path:
    """The folder of a checkpoint: as it stands, of a GGUF file in the cache, or from the hub or its cache."""
    if Path(name).is_dir():
        return Path(name)
    if name.endswith(".gguf"):
        from rstar_math.checkpoints.gguf_import import imported

        return imported(Path(name))
    if not _HUB_NAME.fullmatch(name):
        raise ModelError(
            f"no model {name!r}: it is neither a folder nor one of {', '.join(SHIPPED_MODELS)}; give the folder of a "
            "Hugging Face checkpoint or of a run, a name at the hub (OWNER/NAME), or the URL of a server"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "README.md"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ModelError(
            f"no model {name!r}: there is no such folder, and it could not be loaded from the hub ({error}); check the "
            "name, log in with `hf auth login` where the model is gated, or copy its folder here"
        ) from error


def read_answering(path: Path) -> tuple[AnsweringSettings | None, float | None]:
    """Reads the answering settings beside a model, and its confidence threshold.

    Raises:
      DataError: the file cannot be read, or a key is missing or wrong; names both.
      ConfigError: a setting is not known, or its value not allowed.
    """
    if not path.exists():
        return None, None
    value = read_json(path)
    for key in ("answering", "threshold"):
        if not isinstance(value, dict) or key not in value:
            raise DataError(f"{path}: {key} is missing")
    threshold = value["threshold"]
    is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool) and abs(threshold) < 1e300
    if threshold is not None and not is_number:
        raise DataError(f"{path}: threshold is {shown_value(threshold)}; it must be a number or null")
    if not isinstance(value["answering"], dict):
        raise DataError(f"{path}: answering is {shown_value(value['answering'])}; it must be an object")
    return check(AnsweringSettings, value["answering"], str(path)), threshold


def read_curve(path: Path) -> Curve | None:
    """Reads the measured curve beside a model; None where there is none.

    Raises:
      ConfigError: a key of it is missing or wrong.
    """
    value = read_json(path) if path.exists() else None
    curve = value.get("curve") if isinstance(value, dict) else None
    return None if curve is None else check(Curve, curve, f"{path}: curve")


def write_curve(model: ModelFolders, curve: Curve) -> Path:
    """Writes a curve beside a model, into the file of its answering settings; gives its path."""
    assert isinstance(model.policy, Path)
    path = model.policy.parent / ANSWERING_FILE
    answering = default_answering(model).model_dump(mode="json")
    before = read_json(path) if path.exists() else {"format": 1, "answering": answering, "threshold": None}
    assert isinstance(before, dict)  # it was read when the model was found
    write_json(path, before | {"curve": curve.model_dump(mode="json")})
    manifest = Manifest(path.parent)
    if manifest.path.exists():
        manifest.finish("curve", (ANSWERING_FILE,), num_budgets=len(curve.points))
    return path


def write_answering(path: Path, answering: AnsweringSettings, threshold: float | None, **measured: object) -> None:
    """Writes the answering settings beside a model, with what was measured on which problems.

    A curve that stands there is kept where it was measured by the same settings.
    """
    value = {"format": 1, "answering": answering.model_dump(mode="json"), "threshold": threshold, **measured}
    if read_answering(path)[0] == answering and (curve := read_curve(path)) is not None:
        value["curve"] = curve.model_dump(mode="json")
    write_json(path, value)


def default_answering(model: ModelFolders) -> AnsweringSettings:
    """The model's own answering settings, or the paper's; without a reward model 32 samples and a majority."""
    if model.answering is not None:
        return model.answering
    if model.reward_model is not None:
        return AnsweringSettings()
    search = SearchSettings(num_rollouts=32, use_ppm=False, terminal_value="ppm")
    return AnsweringSettings(strategy="sample", search=search, selector="majority")
