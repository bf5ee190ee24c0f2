"""`rstar import`: a model folder from a GGUF file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.options import Out


def import_gguf(
    file: Annotated[Path, typer.Argument(help="A GGUF file, as Ollama and llama.cpp run it.")],
    out: Out,
    dtype: Annotated[
        str, typer.Option(help="Of the weights: float32 holds them exactly, bfloat16 or float16 in half of the bytes.")
    ] = "float32",
    untested: Annotated[
        bool, typer.Option("--untested", help="Also kinds of models and tokenizers that were never compared.")
    ] = False,
) -> None:
    """Write a GGUF file as a model folder, to search with and to train."""
    from rstar_math.checkpoints.gguf_import import DTYPES
    from rstar_math.checkpoints.gguf_import import import_gguf as run
    from rstar_math.errors import ConfigError

    if dtype not in DTYPES:
        raise ConfigError(f"--dtype {dtype!r} is not known; choose from {', '.join(DTYPES)}")
    made = run(file, out, dtype=dtype, untested=untested)
    print(f"{made.file.architecture}, {made.file.num_parameters:,} parameters, {dtype}")
    print(f"goes on as the file does: {made.text!r}")
    for doubt in made.file.doubts:
        print(f"never compared: {doubt}")
    print(out)
