"""`rstar explain`: every key of a recipe."""

from __future__ import annotations

from typing import Annotated

import typer

from rstar_math.cli.options import OneObject


def explain(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or a name that `rstar recipes` lists.")],
    json: OneObject = False,
) -> None:
    """Every key of a recipe: value, source, and what the paper and the released code have."""
    from rstar_math.cli.explanation import for_output, print_explanation, to_json
    from rstar_math.config.explain import explain
    from rstar_math.terminal.visible import visible_json

    explanation = explain(recipe)
    if json:
        print(visible_json(to_json(explanation), indent=2))
    else:
        print_explanation(for_output(), explanation)
