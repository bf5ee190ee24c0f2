"""A GGUF file becomes a model folder, which every part of the package takes: search, training, the doctor.

transformers reads the file and unpacks its weights. What it leaves out of the tokenizer is put back, and the finished
folder has to write the same greedy text as the model that was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import io
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rstar_math.checkpoints.gguf_header import SPLIT_DIGITS, GgufFile, read_header
from rstar_math.checkpoints.model_card import Origin, head_of, license_line, write_card
from rstar_math.errors import ModelError
from rstar_math.types import SamplingParams

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = ("float32", "bfloat16", "float16")

_PROMPT = "Question: Ann has 12 apples and buys 30 more. How many apples does she have?\nAnswer:"
_NUM_TOKENS = 24
_LARGE = 2_000_000_000
"""Parameters from which `imported` writes bfloat16: half of the disk, at the price of some precision."""
_CACHE_FORMAT = 1
"""Raised where an import changes what it writes, so that folders of before are not taken."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import made.

    Attributes:
      folder: the model folder.
      file: what the file says of itself.
      text: greedy text of the folder, which the model as it was read also writes.
    """

    folder: Path
    file: GgufFile
    text: str


def import_gguf(path: Path, out: Path, *, dtype: str = "float32", untested: bool = False) -> Imported:
    """Writes a GGUF file as a model folder.

    Args:
      path: the file.
      out: the folder, which may not be there yet.
      dtype: of the weights in it: float32 holds unpacked weights exactly, the others half of the bytes.
      untested: go on where the kind of model or tokenizer was never compared with another reading of it.

    Raises:
      ModelError: a package is missing, `out` is there, the file is damaged or of an unfit kind, or the folder writes
        another text than the model that was read.
      PathError, DiskFullError: the folder cannot be written.
    """
    import torch

    from rstar_math.checkpoints.folder import save_model, whole_folder

    _require_packages()
    if out.exists():
        raise ModelError(f"{out} is there already; nothing was written. Give --out another name")
    file = read_header(path)
    if file.doubts and not untested:
        raise ModelError(
            f"{path}: nobody compared {' and '.join(file.doubts)} with another reading of it, so the folder may be "
            "wrong. Serve the file with llama.cpp or Ollama and give the URL, take the model's own folder, or say "
            "--untested"
        )
    model, tokenizer = _read(file)
    _mend(file, tokenizer)
    for kind in (getattr(torch, dtype), torch.float32):
        _convert(model, kind)
    expected = _greedy(model, tokenizer)  # of the rounded weights
    _convert(model, getattr(torch, dtype))
    with whole_folder(out) as partial:
        save_model(model, tokenizer, partial)
        origin = Origin(license=file.license)
        write_card(partial, head_of(origin), f"# {out.name}\n\nUnpacked from `{path.name}`. {license_line(origin)}\n")
        del model
        text = _folder_text(partial)
        if text != expected:
            raise ModelError(
                f"{path}: the folder goes on with {text!r} where the model that transformers reads from the file goes "
                f"on with {expected!r}, so the folder is not kept; take the model's own folder"
            )
    return Imported(out, file, text)


def imported(path: Path) -> Path:
    """The folder of a GGUF file in the cache; imports it where it is not there yet, or where the file has changed.

    Raises:
      ModelError: as `import_gguf`.
    """
    if not path.is_file():
        raise ModelError(f"no file {path}; give the path of a GGUF file")
    _require_packages()
    found = path.stat()
    key = f"{_CACHE_FORMAT} {path.resolve()} {found.st_size} {found.st_mtime_ns}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rstar-math" / "gguf"
    folder = cache / f"{path.stem}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:  # search processes open a model at the same time
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            large = read_header(path).num_parameters >= _LARGE
            import_gguf(path, folder, dtype="bfloat16" if large else "float32")
    return folder


def _require_packages() -> None:
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"a GGUF file is read with the package {missing[0]}, which is not installed: "
            "pip install -c constraints.txt -e '.[gguf]'"
        )


def _read(file: GgufFile) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model, with its weights unpacked, and the tokenizer, as transformers reads them."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    config: Any = None
    with tempfile.TemporaryDirectory() as alone:  # files beside it would be taken for the model's
        (Path(alone) / "model.gguf").symlink_to(file.path.resolve())
        try:
            with _quiet():
                tokenizer = AutoTokenizer.from_pretrained(alone, gguf_file="model.gguf")
                if file.architecture == "qwen3":  # transformers leaves out how wide a head is, and takes 128
                    config = AutoConfig.from_pretrained(alone, gguf_file="model.gguf")
                    config.head_dim = file.head_dim or config.head_dim
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    alone, config=config, gguf_file="model.gguf", dtype=torch.float32, output_loading_info=True
                )
        except Exception as error:  # what it does not know raises whatever its part says
            raise ModelError(f"{file.path} cannot be read by transformers: {str(error)[:400]}") from error
    model, info = loaded
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[what]:
            some = sorted(map(str, info[what]))[:3]
            raise ModelError(f"{file.path}: {what.replace('_', ' ')} of the weights, as transformers reads it: {some}")
    # the weights are unpacked, but still marked as packed, which cannot be saved
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config
    model.config.name_or_path = model.generation_config._from_model_config = ""
    return model, tokenizer


def _mend(file: GgufFile, tokenizer: Any) -> None:
    """Puts back what transformers leaves out: digits one by one, and the token that texts begin with."""
    from tokenizers import pre_tokenizers, processors

    backend = tokenizer.backend_tokenizer
    if file.pre_tokenizer in SPLIT_DIGITS:
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    begins = backend.encode("a").ids[0] == file.bos_token_id
    if begins == file.adds_bos:
        return
    bos = backend.id_to_token(file.bos_token_id)
    front = f"{bos}:0 " if file.adds_bos else ""
    backend.post_processor = processors.TemplateProcessing(
        single=f"{front}$A:0", pair=f"{front}$A:0 {front}$B:0", special_tokens=[(bos, file.bos_token_id)]
    )


def _convert(model: Any, dtype: torch.dtype) -> None:
    """The weights alone: the angles of a rotary embedding, which are no weights, stay exact."""
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)


def _greedy(model: Any, tokenizer: PreTrainedTokenizerBase) -> str:
    """How the model that was read goes on, decoded by transformers."""
    import torch

    from rstar_math.engines.torch.codec import TokenCodec

    codec = TokenCodec.for_model(tokenizer, model)
    prompt = codec.encode([_PROMPT])[0]
    rows = torch.tensor([prompt])  # [1, T]
    with _quiet(), torch.no_grad():
        mask = torch.ones_like(rows)
        found = model.generate(rows, attention_mask=mask, max_new_tokens=_NUM_TOKENS, do_sample=False)  # [1, T + new]
    new = found[0, len(prompt) :].tolist()
    end = next((at for at, token in enumerate(new) if token in codec.end_ids), len(new))
    return codec.decode_continuations(prompt[-1], [new[:end]])[0]


def _folder_text(folder: Path) -> str:
    """How the folder goes on in our own engine."""
    from rstar_math.engines.torch.loading import load_engine

    async def ask() -> str:
        engine = load_engine(folder, device="cpu", dtype="float32", allow_text_markers=True)
        try:
            generation = await engine.generate(_PROMPT, SamplingParams(temperature=0.0, max_tokens=_NUM_TOKENS))
        finally:
            await engine.aclose()
        return generation.completions[0].text

    with ThreadPoolExecutor(1) as thread:  # whoever looks for a model may be in an event loop already
        return thread.submit(lambda: asyncio.run(ask())).result()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of transformers and of its reader."""
    from rstar_math.checkpoints.folder import quiet_transformers

    with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):
        yield
