"""Table 10 and figure 7: the recipe applied to several bases, under the first training seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rstar_math.models import ModelFolders, find_model
from rstar_math.reproduce.claims import Measured
from rstar_math.reproduce.laboratory import Laboratory, read_rows
from rstar_math.store.recipes import load_recipe


@dataclass(frozen=True, slots=True)
class EvolvedBase:
    """A base and what the recipe made of it.

    Attributes:
      name: of the base.
      num_parameters: of the base.
      base, policy, system: greedy of the base, greedy and system of the last round.
      model: policy and PPM of the last round.
      max_step_tokens: of its system.
    """

    name: str
    num_parameters: int
    base: Measured
    policy: Measured
    system: Measured
    model: ModelFolders
    max_step_tokens: int


def every_base(lab: Laboratory) -> Iterator[EvolvedBase]:
    """The recipe's own base, then the further ones."""
    seed = lab.seeds[0]
    yield _evolved(lab, Path(lab.recipe.base_model).name, lab.run(seed))
    for further in lab.settings.further_bases:
        yield _evolved(lab, further.name, lab.further_run(further))


def _evolved(lab: Laboratory, name: str, run: Path) -> EvolvedBase:
    seed = lab.seeds[0]
    recipe = load_recipe(str(run / "recipe.yaml"))
    last = run / f"round-{len(recipe.rounds)}"
    assert recipe.evaluation.system is not None

    def rows(label: str, folder: Path, file: str) -> Measured:
        return Measured(f"{name}, {label}", {seed: read_rows(folder / "evaluation" / f"{file}.jsonl")})

    return EvolvedBase(
        name=name,
        num_parameters=_num_parameters(find_model(recipe.base_model).policy_folder),
        base=rows("base", run / "base", "greedy"),
        policy=rows("policy", last, "greedy"),
        system=rows("system", last, "system"),
        model=ModelFolders(name, last / "policy", last / "ppm", recipe.evaluation.system),
        max_step_tokens=recipe.evaluation.system.search.max_step_tokens,
    )


def _num_parameters(folder: Path) -> int:
    """Parameters in the weights of a checkpoint, from the headers of its files."""
    import math

    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "numpy") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total
