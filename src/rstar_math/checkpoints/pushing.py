"""A model folder goes to the Hugging Face hub: which of its files, and what can go wrong on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rstar_math.checkpoints.model_card import FILE_NAME
from rstar_math.errors import ModelError

_OF_A_ROUND = ("policy", "ppm")
_BESIDE = (FILE_NAME, "answering.json", "familiarity.json")
_WANTED = (".json", ".safetensors", ".model", ".txt", ".jinja", ".md")


def files_to_push(folder: Path) -> list[str]:
    """The files of a model, relative to its folder: models and what answers by them, nothing of trees or problems.

    Raises:
      ModelError: there is no card: the hub would not know what the model was made from.
    """
    places = [folder / part for part in _OF_A_ROUND] if (folder / "policy").is_dir() else [folder]
    found = [path for place in places if place.is_dir() for path in place.iterdir() if path.suffix in _WANTED]
    found += [folder / name for name in _BESIDE]
    files = sorted({str(path.relative_to(folder)) for path in found if path.is_file()})
    if FILE_NAME not in files:
        raise ModelError(
            f"{folder} has no {FILE_NAME}, which says what the model was made from and under which licence; write one "
            "(https://huggingface.co/docs/hub/model-cards), or let `rstar evolve` go on with the run, which does"
        )
    return files


def push_model(folder: Path, name: str, files: Sequence[str], *, private: bool, revision: str) -> str:
    """Sends files of a folder to a repository of the hub, which is made where it is not there.

    Returns:
      The address of the commit.

    Raises:
      ModelError: the hub cannot be reached, or refuses; says what to do.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

    api = HfApi()
    try:
        api.create_repo(name, private=private, exist_ok=True)
        if revision != "main":
            api.create_branch(name, branch=revision, exist_ok=True)
        commit = api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=list(files),
            revision=revision,
            commit_message="Upload by rstar push",
        )
    except HFValidationError as error:
        raise ModelError(f"{name!r} is no name at the hub; give OWNER/NAME ({error})") from error
    except LocalTokenNotFoundError as error:
        raise ModelError("the hub asks who you are; log in with `hf auth login`, or set HF_TOKEN") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise ModelError(
                f"the hub does not let you write to {name} ({status}); log in with `hf auth login` (or set HF_TOKEN) "
                "with a token that may write, under an owner that is yours"
            ) from error
        raise ModelError(f"the hub refuses {name}: {error}") from error
    except Exception as error:  # no connection, or one that broke off, in the words of whichever client the hub has
        raise ModelError(
            f"the hub cannot be reached ({type(error).__name__}: {error}); nothing is lost, run the same command again"
        ) from error
    return str(commit.commit_url)
