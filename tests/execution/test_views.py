"""Arrays that share memory: what a step does to them is seen where it is in a process of its own, and nowhere else.

The prefix's names are copied for every candidate. Whether an array views another, is strided, reversed, broadcast, one
record of another, or may not be written to, must come out of the copy.
"""

from __future__ import annotations

import asyncio

import pytest

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.executor import SandboxExecutor
from tests.execution.conftest import Running

SETTINGS = ExecutionSettings(cpu_s=2, wall_s=120, memory_mb=256, num_slots=1, cache_entries=0)

PREFIXES = {
    "base and view": "import numpy as np\na = np.arange(12)\nv = a[2:8]",
    "strided": "import numpy as np\na = np.arange(12)\nv = a[::3]",
    "reversed": "import numpy as np\na = np.arange(12)\nv = a[::-1]",
    "transposed": "import numpy as np\na = np.arange(12).reshape(3, 4)\nv = a.T",
    "reshaped": "import numpy as np\na = np.arange(12)\nv = a.reshape(3, 4)",
    "a view alone": "import numpy as np\nv = np.arange(12)[::2]\na = np.zeros(2)",
    "a reversed view alone": "import numpy as np\nv = np.arange(12)[::-1]\na = v",
    "column": "import numpy as np\na = np.arange(12).reshape(3, 4)\nv = a[:, 1]",
    "broadcast": "import numpy as np\na = np.arange(3)\nv = np.broadcast_to(a, (2, 3))",
    "broadcast alone": "import numpy as np\nv = np.broadcast_to(np.arange(3), (2, 3))\na = np.zeros(3)",
    "two views": "import numpy as np\nb = np.arange(12)\na, v = b[:8], b[4:]",
    "two views without a base": "import numpy as np\nb = np.arange(12)\na, v = b[:8], b[4:]\nb = None",
    "in a list and a dictionary": "import numpy as np\nb = np.arange(12)\nd = {'a': [b]}\na, v = d['a'][0], b[3:]",
    "diagonal": "import numpy as np\na = np.eye(3)\nv = a.diagonal()",
    "field of records": "import numpy as np\na = np.zeros(3, dtype=[('x', 'i4'), ('y', 'f8')])\nv = a['x']",
    "one record": "import numpy as np\na = np.zeros(3, dtype=[('x', 'i4'), ('y', 'f8')])\nv = a[1]",
    "one record, twice": "import numpy as np\nb = np.zeros(3, dtype=[('x', 'i4'), ('y', 'f8')])\na = v = b[1]",
    "other type": "import numpy as np\na = np.arange(4)\nv = a.view(np.float64)",
    "read only": "import numpy as np\na = np.arange(4)\nv = a[:]\nv.flags.writeable = False",
    "no elements": "import numpy as np\na = np.arange(4)\nv = a[4:]",
    "no dimensions": "import numpy as np\na = np.arange(4)\nv = a[1:2].reshape(())",
    "Fortran order": "import numpy as np\na = np.asfortranarray(np.arange(6).reshape(2, 3))\nv = a[1]",
    "matrix": "import numpy as np\na = np.matrix([[1, 2], [3, 4]])\nv = a[0]",
    "masked": "import numpy as np\na = np.ma.array([1, 2, 3], mask=[0, 1, 0])\nv = a[1:]",
    "objects": "import numpy as np\ni = [1]\na = np.array([i, 2, i], dtype=object)\nv = a[::2]",
    "memory view": "b = bytearray(b'abcdef')\na = memoryview(b)\nv = a[::2]",
    "lists": "b = [1, 2]\na = [b, b]\nv = a[0]",
}

WRITE = """
def attempt(f):
    try: print(f())
    except Exception as e: print(type(e).__name__, e)
def put(x, value):
    x[...] = value
def one(x, name): x[name] = 9
attempt(lambda: put(v, 7))
attempt(lambda: one(v, 'x'))
attempt(lambda: one(v, 0))
print(a, v)
"""
LOOK = """
print(repr(a), repr(v))
for x in (a, v):
    try: print(x.shape, x.strides, x.flags, x.base is None, x.dtype)
    except Exception as e: print(type(e).__name__)
try: print(np.shares_memory(a, v), np.may_share_memory(a, v), v.base is a, v.flags.owndata)
except Exception as e: print(type(e).__name__)
"""


async def both(prefix: str) -> tuple[list[str], list[str], list[str]]:
    """What the steps print in a process of their own; as candidates of one node; and in the other order."""
    async with SandboxExecutor(SETTINGS) as executor:
        codes = [LOOK, WRITE, LOOK, WRITE + LOOK, LOOK]
        alone = [(await executor.execute_program([prefix, code]))[1] for code in codes]
        together = await executor.execute_all([prefix], codes)
        backwards = await executor.execute_all([prefix], codes[::-1])
        assert all(e.ok for e in (*alone, *together, *backwards)), [*alone, *together]
        return [e.output for e in alone], [e.output for e in together], [e.output for e in backwards][::-1]


@pytest.mark.parametrize("name", PREFIXES)
def test_copies_share_memory_as_the_first_names_did_and_with_nobody_else(name: str) -> None:
    alone, together, backwards = asyncio.run(both(PREFIXES[name]))
    assert together == alone
    assert backwards == alone


def test_what_a_step_writes_stays_with_the_steps_after_it(running: Running) -> None:
    prefix = ("import numpy as np\na = np.arange(6)\nv = a[::-2]", "v[0] = 99")
    assert running.execute("print(a, v)", *prefix).output == "[ 0  1  2  3  4 99] [99  3  1]\n"
    assert running.execute("a[1] = 7\nprint(a, v)", *prefix).output == "[ 0  7  2  3  4 99] [99  3  7]\n"
    assert running.execute("print(a, v)", *prefix).output == "[ 0  1  2  3  4 99] [99  3  1]\n"
