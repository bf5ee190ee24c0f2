"""Commands import a part of torch: what they need, and the rest when it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rstar_math.lean_torch import complete_torch, expect_torch


def output_of(program: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_command_answers_without_what_it_has_no_need_of() -> None:
    program = (
        "import json, sys\n"
        "from rstar_math.cli import main\n"
        "sys.argv = ['rstar', 'solve', 'What is 2 + 3?', '--rollouts', '1', '--trees', '1', '--json']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(json.dumps(list(sys.modules)))\n"
    )
    answer, loaded = map(json.loads, output_of(program).strip().splitlines())
    assert answer["cost"]["tokens_generated"]
    unwanted = ("transformers", "sympy", "scipy", "matplotlib", "pyarrow", "pandas", "torch._dynamo", "torch._inductor")
    assert {*unwanted, "torch._decomp", "torch.export.exported_program", "torch.ao.quantization"} & set(loaded) == set()
    assert {"torch", "tokenizers", "rstar_math.engines.torch.engine"} <= set(loaded)


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys; from rstar_math.lean_torch import expect_torch; expect_torch(); import torch\n"
        "print('torch._decomp' in sys.modules)"
    )
    monkeypatch.setenv("RSTAR_WHOLE_TORCH", "1")
    assert output_of(program) == "True\n"


def test_an_unknown_version_is_imported_whole(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("import torch._meta_registrations\n")
    (tmp_path / "torch/_meta_registrations.py").write_text("print('kernels')\n")
    (tmp_path / "torch/version.py").write_text("__version__ = '2.99.0'\n")
    program = (
        "import sys; from rstar_math.lean_torch import expect_torch; expect_torch(); sys.path.insert(0, sys.argv[1])\n"
        "import torch"
    )
    assert output_of(program, str(tmp_path)) == "kernels\n"


def test_what_is_left_out_is_there_when_it_is_used() -> None:
    program = (
        "import json, sys\n"
        "from rstar_math.lean_torch import expect_torch\n"
        "expect_torch()\n"
        "import torch\n"
        "assert 'torch._decomp' not in sys.modules\n"
        "names = sorted(vars(torch))\n"
        "drawn = torch.rand(1, generator=torch.Generator().manual_seed(0)).item()\n"
        "import torch.ao.quantization.qconfig\n"
        "from torch.distributions import Normal\n"
        "assert torch.distributions.Normal is Normal\n"
        "assert torch.export.Dim is sys.modules['torch.export'].Dim\n"
        "assert torch.nn.quantized.Linear is torch.ao.nn.quantized.Linear\n"
        "import torch._decomp\n"
        "a = torch.empty(2, 3, device='meta')\n"
        "assert torch.cdist(a, a).shape == (2, 2)\n"
        "assert drawn == torch.rand(1, generator=torch.Generator().manual_seed(0)).item()\n"
        "assert type(torch.Generator).__name__ == sys.argv[1]\n"
        "print(json.dumps(names))\n"
    )
    names = set(json.loads(output_of(program, type(torch.Generator).__name__)))
    # of a whole torch: submodules that were imported later by others are among its names, too
    assert {name for name in vars(torch) if not name.startswith("_")} - names <= {"onnx"}


def test_transformers_finds_all_of_torch() -> None:
    program = (
        "import importlib.util, sys\n"
        "from rstar_math.lean_torch import expect_torch\n"
        "expect_torch()\n"
        "if sys.argv[1] == 'torch first':\n"
        "    import torch\n"
        "importlib.util.find_spec('transformers')\n"  # what its import begins with, without the seconds that it takes
        "import torch\n"
        "torch.nn.functional.layer_norm(torch.empty(2, 3, device='meta'), (3,))\n"
    )
    for order in ("torch first", "transformers first"):
        output_of(program, order)


def test_a_process_that_has_torch_is_left_alone() -> None:
    before = list(sys.meta_path)
    expect_torch()
    assert sys.meta_path == before
    complete_torch()
    assert torch.cdist(torch.empty(2, 3, device="meta"), torch.empty(2, 3, device="meta")).shape == (2, 2)
