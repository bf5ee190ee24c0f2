"""Table 10 and figure 7: the recipe applied to several bases, each under every training seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rstar_math.config import FurtherBase
from rstar_math.models import ModelFolders, find_model
from rstar_math.paper.claims import Measured
from rstar_math.paper.laboratory import Laboratory
from rstar_math.store.round import Round


@dataclass(frozen=True, slots=True)
class EvolvedBase:
    """A base and what the recipe made of it.

    Attributes:
      name: of the base.
      num_parameters: of the base.
      base, policy, system: greedy of the base, greedy and system of the last round, under every seed.
      model_of: from a seed to policy and PPM of the last round.
    """

    name: str
    num_parameters: int
    base: Measured
    policy: Measured
    system: Measured
    model_of: Callable[[int], ModelFolders]


def every_base(lab: Laboratory) -> Iterator[EvolvedBase]:
    """The recipe's own base, then the further ones."""
    own, last = lab.recipe.base_model, lab.num_rounds
    yield _evolved(lab, Path(own).name, own, lab.run, last, lambda seed: lab.model(seed, last))
    for base in lab.settings.further_bases:
        last = len(lab.further_recipe(base, lab.seeds[0]).rounds)
        run_of, model_of = partial(lab.further_run, base), partial(_further_model, lab, base)
        yield _evolved(lab, base.name, lab.further_base(base), run_of, last, model_of)


def _evolved(
    lab: Laboratory,
    name: str,
    base_model: str,
    run_of: Callable[[int], Path],
    last: int,
    model_of: Callable[[int], ModelFolders],
) -> EvolvedBase:
    return EvolvedBase(
        name=name,
        num_parameters=_num_parameters(find_model(base_model).policy_folder),
        base=lab.of_run("greedy", 0, f"{name}, base", run_of),
        policy=lab.of_run("greedy", last, f"{name}, policy", run_of),
        system=lab.of_run("system", last, f"{name}, system", run_of),
        model_of=model_of,
    )


def _further_model(lab: Laboratory, base: FurtherBase, seed: int) -> ModelFolders:
    recipe = lab.further_recipe(base, seed)
    last = Round(lab.further_run(base, seed), len(recipe.rounds))
    return ModelFolders(base.name, last.policy, last.ppm, recipe.evaluation.system)


def _num_parameters(folder: Path) -> int:
    """Parameters in the weights of a checkpoint, from the headers of its files."""
    import math

    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "numpy") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total
