"""Matrix products with weights of 8 bits, for searching on CPUs that multiply bytes (AVX-512 VNNI and later).

Each output of a weight has its own scale, and so has each row that goes in: a row's result does not depend on the other
rows of a call, to the last bit, since whole numbers are added. Everything between the products stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_LARGEST = 127
_SMALLEST_SCALE = 1e-12


@dataclass(frozen=True, eq=False, slots=True)
class EightBitWeight:
    """A weight `[N, K]` as whole numbers.

    Attributes:
      columns: `[K, N]`, int8.
      scales: `[N]`: what a number of each output is worth.
    """

    columns: Tensor
    scales: Tensor

    @classmethod
    def of(cls, weight: Tensor) -> EightBitWeight:
        """The nearest to a weight `[N, K]`."""
        scales = weight.float().abs().amax(dim=1).clamp_min(_SMALLEST_SCALE) / _LARGEST  # [N]
        numbers = (weight.float() / scales[:, None]).round_().to(torch.int8)  # [N, K]
        return cls(numbers.t(), scales)

    @property
    def shape(self) -> torch.Size:
        """`(N, K)`, as the weight had it."""
        return self.columns.t().shape


Weight = Tensor | EightBitWeight


def product(x: Tensor, weight: Weight, bias: Tensor | None = None) -> Tensor:
    """`[R, K]` times a weight `[N, K]`: `[R, N]`."""
    if isinstance(weight, Tensor):
        return F.linear(x, weight, bias)
    scales = x.abs().amax(dim=-1, keepdim=True).clamp_min_(_SMALLEST_SCALE).div_(_LARGEST)  # [R, 1]
    numbers = (x / scales).round_().to(torch.int8)  # [R, K]
    found = torch._int_mm(numbers, weight.columns).to(x.dtype).mul_(scales).mul_(weight.scales)  # [R, N]
    return found if bias is None else found.add_(bias)
