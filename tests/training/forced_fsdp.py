"""One process of a training under FSDP2 on a CPU, for `test_trl.py`: python -m torch.distributed.run ... FOLDER.

accelerate shards for accelerators only and takes plain data parallelism for several CPU processes, so the choice is
forced here; sharding, gathering of weights and saving are the real ones, over gloo.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from accelerate import FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from tests.training.test_orm_pqm import make_texts
from tests.training.test_sft import make_examples
from torch.distributed import fsdp

from rstar_math.config import PPMSettings, SFTSettings
from rstar_math.training.orm_pqm import train_orm
from rstar_math.training.sft import train_sft
from rstar_math.training.trl_launch import OtherProcess

SHARDED: set[str] = set()
"""Classes of the modules that were sharded."""


def main(folder: Path) -> None:
    """Trains a policy and, with early stopping, an ORM; leaves their losses in a file."""
    plain: dict[str, Any] = {"batch_size": 4, "max_length": 240, "dtype": "float32", "backend": "trl"}
    plain |= {"trl": {"gradient_checkpointing": False}}
    losses: dict[str, list[float]] = {"sft": [], "orm": []}
    sft = SFTSettings.model_validate(plain | {"learning_rate": 3e-3, "num_steps": 2})
    with contextlib.suppress(OtherProcess):
        train_sft(
            folder / "base", make_examples(8), sft, folder / out_name() / "sft", 3,
            lambda step, total, loss, tokens: losses["sft"].append(loss),
        )  # fmt: skip
    orm = PPMSettings.model_validate(plain | {"learning_rate": 1e-3, "num_epochs": 1, "early_stopping": True})
    with contextlib.suppress(OtherProcess):
        train_orm(
            folder / "base", make_texts(range(10, 18), "outcome"), make_texts(range(40, 44), "outcome"), orm,
            folder / out_name() / "orm", 3, lambda step, total, loss, tokens: losses["orm"].append(loss),
        )  # fmt: skip
    if int(os.environ.get("RANK", "0")) == 0:
        (folder / f"{out_name()}.json").write_text(json.dumps(losses | {"sharded": sorted(SHARDED)}))


def out_name() -> str:
    """ "fsdp" in a launch, "one" outside."""
    return "fsdp" if "RANK" in os.environ else "one"


def force_fsdp() -> None:
    """Makes every accelerator of this process shard, and notes what it shards."""
    plain_shard = fsdp.fully_shard

    def shard(module: Any, *arguments: Any, **options: Any) -> Any:
        SHARDED.add(type(module).__name__)
        return plain_shard(module, *arguments, **options)

    fsdp.fully_shard = shard
    plain_init = AcceleratorState.__init__

    def init(self: AcceleratorState, *arguments: Any, **options: Any) -> None:
        plain_init(self, *arguments, **options)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = FullyShardedDataParallelPlugin(
                fsdp_version=2, auto_wrap_policy="transformer_based_wrap", state_dict_type="FULL_STATE_DICT"
            )

    AcceleratorState.__init__ = init


if __name__ == "__main__":
    if "RANK" in os.environ:
        force_fsdp()
    main(Path(sys.argv[1]))
