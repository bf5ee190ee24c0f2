"""Forward pass of Llama-like decoders over packed tokens, with a pool of key-value caches shared by candidates.

transformers' own forward spends most of its time at the pocket scale on Python, on padding, and on reading one copy of
the prefix's keys and values per candidate. Here the tokens of all sequences lie one behind the other in matrices
`[N, D]`, so no matrix product is padded. The candidates of a node are one *group*: its keys and values lie in one slot
of a pool, the prefix once and behind it the tokens of all candidates, and a mask says which token sees which column. So
prefill, decoding of many candidates and scoring of a tree of steps are the same call.

Its results are those of transformers up to floating-point noise. `rstar_math.engines.weights` says which models it
knows; others run through transformers (`rstar_math.engines.decoding.ModuleRows`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rstar_math.engines.weights import LlamaWeights


@dataclass(frozen=True, slots=True)
class Rounding:
    """Sizes are rounded up to multiples of these.

    Matrix libraries sum in another order for very small or odd shapes, and in several blocks for long sums. At these
    multiples the CPU kernels give each row the same bits whatever else is in the matrix (seen with MKL, and checked
    where it matters, not promised by it).

    Attributes:
      tokens, queries, columns: the multiples.
      shared_columns: groups that see more columns than this are attended to with a number of columns of their own,
        because long sums are cut into blocks by their length; None: all groups share theirs.
      own_columns: the multiple that such a number is rounded up to.
    """

    tokens: int = 1
    queries: int = 1
    columns: int = 1
    shared_columns: int | None = None
    own_columns: int = 1


NO_ROUNDING = Rounding()
STEADY = Rounding(tokens=8, queries=4, columns=16, shared_columns=192, own_columns=64)


@dataclass(frozen=True, slots=True)
class PackedTokens:
    """Tokens to read, N in all, belonging to G groups in neighbouring slots of the pool.

    Attributes:
      tokens: `[N']` ids; those behind the first N are padding.
      positions: `[N']` position of each token in its own sequence.
      slot: `[N]` pool slot of each token's group.
      column: `[N]` column of the slot that receives the token's key and value.
      row: `[N']` row of the token among the queries of this call, M per group; those of the first N are all different.
      dense: whether `row` is 0 .. N' - 1 in order, with N' = N = G * M, so that nothing has to be moved.
      first_slot: slot of the first group.
      visible: `[G, M, C]` whether a token sees a column; every row sees at least one, unused rows too.
      parts: groups, and how many columns they see, of each attention; empty: one attention of all groups to C columns.
      wanted: `[S']` indices of the tokens whose output is wanted; those behind the first S are padding.
    """

    tokens: Tensor
    positions: Tensor
    slot: Tensor
    column: Tensor
    row: Tensor
    dense: bool
    first_slot: int
    visible: Tensor
    parts: tuple[tuple[Tensor, int], ...]
    wanted: Tensor

    @classmethod
    def build(
        cls,
        *,
        tokens: np.ndarray,
        positions: np.ndarray,
        slot: np.ndarray,
        column: np.ndarray,
        query: np.ndarray,
        first_slot: int,
        visible: np.ndarray,
        wanted: np.ndarray,
        rounding: Rounding,
        device: torch.device,
    ) -> PackedTokens:
        """Rounds sizes and moves everything to the device.

        Args:
          tokens, positions, slot, column: `[N]`, see the attributes.
          query: `[N]` number of the token among its group's tokens of this call, 0 .. M - 1.
          first_slot: slot of the first group.
          visible: `[G, M, C]`, see the attributes; every group has something in column 0.
          wanted: `[S]`, see the attributes.
          rounding: multiples that sizes are rounded up to.
          device: where the model is.
        """
        num_groups, num_queries, num_columns = visible.shape
        own_columns = _own_columns(visible, rounding)
        more_queries, more_columns = -num_queries % rounding.queries, -num_columns % rounding.columns
        if own_columns is not None:
            more_columns = max(0, int(own_columns.max()) - num_columns)
        if more_queries or more_columns:
            visible = np.pad(visible, ((0, 0), (0, more_queries), (0, more_columns)))
            visible[:, num_queries:, 0] = True
            num_queries += more_queries
        more_tokens, more_wanted = -len(tokens) % rounding.tokens, -len(wanted) % rounding.tokens
        row = (slot - first_slot) * num_queries + query
        dense = not more_tokens and len(row) == num_groups * num_queries and bool((np.diff(row) == 1).all())
        if more_tokens:
            tokens, positions, row = (np.pad(array, (0, more_tokens)) for array in (tokens, positions, row))
        if more_wanted:
            wanted = np.pad(wanted, (0, more_wanted))

        def moved(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        parts: tuple[tuple[Tensor, int], ...] = ()
        if own_columns is not None:
            parts = tuple((moved(np.flatnonzero(own_columns == c)), int(c)) for c in np.unique(own_columns))
        return cls(
            tokens=moved(tokens),
            positions=moved(positions),
            slot=moved(slot),
            column=moved(column),
            row=moved(row),
            dense=dense,
            first_slot=first_slot,
            visible=moved(visible),
            parts=parts,
            wanted=moved(wanted),
        )


def _own_columns(visible: np.ndarray, rounding: Rounding) -> np.ndarray | None:
    """`[G]` columns that each group is attended to with; None where all groups share theirs."""
    shared = rounding.shared_columns
    if shared is None or visible.shape[2] <= shared:
        return None
    seen: np.ndarray = np.asarray(visible.any(axis=1))  # [G, C]
    own = visible.shape[2] - np.argmax(seen[:, ::-1], axis=1)  # [G] up to the last that is seen
    return np.maximum(shared, own + -own % rounding.own_columns)


class KeyValuePool:
    """Keys and values of every layer, grown when needed.

    Attributes:
      storage: `[layers, slots, 2, kv_heads, columns, head_dim]`, keys before values.
    """

    def __init__(
        self, num_layers: int, num_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.storage = torch.zeros(num_layers, 0, 2, num_heads, 0, head_dim, dtype=dtype, device=device)

    @property
    def num_slots(self) -> int:
        """Slots there is room for."""
        return self.storage.shape[1]

    @property
    def num_columns(self) -> int:
        """Columns there is room for in each slot."""
        return self.storage.shape[4]

    def reserve(self, num_slots: int, num_columns: int) -> None:
        """Makes room for at least this many slots and columns, keeping what is there."""
        slots, columns = self.num_slots, self.num_columns
        if slots >= num_slots and columns >= num_columns:
            return
        # more than was asked for, so that a growing batch does not copy its pool at every step
        num_slots = slots if slots >= num_slots else max(16, 1 << (num_slots - 1).bit_length())
        num_columns = columns if columns >= num_columns else (num_columns + num_columns // 2 + 63) // 64 * 64
        layers, _, _, heads, _, head_dim = self.storage.shape
        grown = self.storage.new_empty(layers, num_slots, 2, heads, num_columns, head_dim)
        grown[:, :slots, :, :, :columns] = self.storage
        # zeros in what is new: a masked column still takes part in a product, where NaN times 0 would be NaN
        grown[:, :slots, :, :, columns:] = 0
        grown[:, slots:] = 0
        self.storage = grown

    def copy(self, source: int, target: int, num_columns: int) -> None:
        """Copies the first columns of a slot to another."""
        self.storage[:, target, :, :, :num_columns] = self.storage[:, source, :, :, :num_columns]


class PackedDecoder:
    """A Llama-like decoder without its head.

    Attributes:
      hidden_size: D.
      device: where it runs.
    """

    def __init__(self, weights: LlamaWeights) -> None:
        """Takes the weights apart."""
        self._embedding = weights.embedding
        self.device = self._embedding.device
        self.hidden_size = self._embedding.shape[1]
        self._num_heads, self._num_kv_heads, self._head_dim = weights.num_heads, weights.num_kv_heads, weights.head_dim
        self._eps = weights.eps
        self._final_norm = weights.backbone["norm.weight"]
        self._inverse_frequencies, self._rotation_scale = weights.inverse_frequencies, weights.rotation_scale
        self._rotations = torch.zeros(0, self._head_dim // 2, dtype=torch.complex64, device=self.device)
        self._layers: list[_Layer] = []
        while f"layers.{len(self._layers)}.input_layernorm.weight" in weights.backbone:
            self._layers.append(_Layer.build(weights, f"layers.{len(self._layers)}."))

    def new_pool(self) -> KeyValuePool:
        """An empty pool of the model's shape."""
        return KeyValuePool(
            len(self._layers), self._num_kv_heads, self._head_dim, self._embedding.dtype, self._embedding.device
        )

    def forward(self, batch: PackedTokens, pool: KeyValuePool) -> Tensor:
        """Reads tokens, writes their keys and values into `pool`, gives the normalised output of the wanted ones.

        Returns:
          `[S', D]`, in the order of `batch.wanted`.
        """
        pool.reserve(batch.first_slot + batch.visible.shape[0], batch.visible.shape[2])
        num_tokens = len(batch.slot)
        heads, kv_heads, head_dim = self._num_heads, self._num_kv_heads, self._head_dim
        num_groups, num_queries, num_columns = batch.visible.shape
        slots = slice(batch.first_slot, batch.first_slot + num_groups)
        mask = torch.zeros(batch.visible.shape, dtype=self._embedding.dtype, device=self.device)
        mask.masked_fill_(~batch.visible, float("-inf"))
        # query heads that share a key head become further query rows of it
        shared = heads // kv_heads
        mask = mask[:, None, None].expand(-1, 1, shared, -1, -1).reshape(num_groups, 1, -1, num_columns)
        rotation = self._rotation(batch.positions)  # [N', 1, head_dim / 2]

        x = F.embedding(batch.tokens, self._embedding)  # [N', D]
        for layer, cache in zip(self._layers, pool.storage, strict=True):
            h = _rms_norm(x, layer.attention_norm, self._eps)
            qkv = F.linear(h, layer.qkv, layer.qkv_bias).view(-1, heads + 2 * kv_heads, head_dim)
            _rotate(qkv[:, : heads + kv_heads], rotation)
            cache[batch.slot, :, :, batch.column] = qkv[:num_tokens, heads:].view(-1, 2, kv_heads, head_dim)
            q = qkv[:num_tokens, :heads]  # [N, H, head_dim]
            if not batch.dense:
                q = q.new_zeros(num_groups * num_queries, heads, head_dim).index_copy_(0, batch.row[:num_tokens], q)
            q = q.reshape(num_groups, num_queries, kv_heads, shared, head_dim).permute(0, 2, 3, 1, 4)
            q = q.reshape(num_groups, kv_heads, shared * num_queries, head_dim)
            a = _attention(q, cache[slots], mask, batch.parts)  # [G, kv_heads, shared * M, head_dim]
            a = a.view(num_groups, kv_heads, shared, num_queries, head_dim).permute(0, 3, 1, 2, 4)
            a = a.reshape(-1, heads * head_dim)  # [G * M, H * head_dim]
            if not batch.dense:
                a = a.index_select(0, batch.row)  # [N', H * head_dim]
            x = x + F.linear(a, layer.output, layer.output_bias)
            h = _rms_norm(x, layer.mlp_norm, self._eps)
            gate, up = F.linear(h, layer.gate_up, layer.gate_up_bias).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer.down, layer.down_bias)
        return _rms_norm(x[batch.wanted], self._final_norm, self._eps)

    def _rotation(self, positions: Tensor) -> Tensor:
        """Rotary factors of `positions` as complex numbers, `[N, 1, head_dim / 2]`, from a table grown when needed."""
        needed = int(positions.max()) + 1
        if needed > len(self._rotations):
            size = max(256, 1 << (needed - 1).bit_length())
            angles = torch.arange(size, device=self.device).float()[:, None] * self._inverse_frequencies
            self._rotations = torch.complex(
                angles.cos() * self._rotation_scale, angles.sin() * self._rotation_scale
            )  # [size, head_dim / 2]
        return self._rotations[positions][:, None]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Weights of one layer; queries, keys and values in one matrix, gate and up projection in one."""

    attention_norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    output: Tensor
    output_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Tensor
    gate_up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None

    @classmethod
    def build(cls, weights: LlamaWeights, prefix: str) -> _Layer:
        tensors: Mapping[str, Tensor] = weights.backbone
        head_dim, half = weights.head_dim, weights.head_dim // 2
        # transformers rotates dimension i with i + half; side by side they are one complex number
        pairs = torch.stack((torch.arange(half), torch.arange(half) + half), dim=1).flatten()

        def paired(weight: Tensor, heads: int) -> Tensor:
            return weight.unflatten(0, (heads, head_dim))[:, pairs.to(weight.device)].flatten(0, 1)

        def fused_qkv(kind: str) -> Tensor | None:
            q, k, v = (tensors.get(f"{prefix}self_attn.{name}_proj.{kind}") for name in "qkv")
            if q is None or k is None or v is None:
                return None
            return torch.cat((paired(q, weights.num_heads), paired(k, weights.num_kv_heads), v))

        def fused_gate_up(kind: str) -> Tensor | None:
            gate, up = (tensors.get(f"{prefix}mlp.{name}_proj.{kind}") for name in ("gate", "up"))
            return None if gate is None or up is None else torch.cat((gate, up))

        qkv, gate_up = fused_qkv("weight"), fused_gate_up("weight")
        assert qkv is not None
        assert gate_up is not None
        return cls(
            attention_norm=tensors[f"{prefix}input_layernorm.weight"],
            qkv=qkv,
            qkv_bias=fused_qkv("bias"),
            output=tensors[f"{prefix}self_attn.o_proj.weight"],
            output_bias=tensors.get(f"{prefix}self_attn.o_proj.bias"),
            mlp_norm=tensors[f"{prefix}post_attention_layernorm.weight"],
            gate_up=gate_up,
            gate_up_bias=fused_gate_up("bias"),
            down=tensors[f"{prefix}mlp.down_proj.weight"],
            down_bias=tensors.get(f"{prefix}mlp.down_proj.bias"),
        )


def _attention(q: Tensor, cache: Tensor, mask: Tensor, parts: tuple[tuple[Tensor, int], ...]) -> Tensor:
    """Attention of `[G, kv_heads, Q, head_dim]` to `[G, 2, kv_heads, columns, head_dim]`, part by part."""
    if not parts:
        columns = mask.shape[-1]
        return F.scaled_dot_product_attention(q, cache[:, 0, :, :columns], cache[:, 1, :, :columns], attn_mask=mask)
    found = q.new_empty(q.shape)
    for groups, columns in parts:
        keys, values = (cache[groups, kind, :, :columns] for kind in (0, 1))
        found[groups] = F.scaled_dot_product_attention(q[groups], keys, values, attn_mask=mask[groups][..., :columns])
    return found


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root mean square norm of the rows of `[N, D]`; half the time of torch's own on the CPU."""
    y = x.float()
    return weight * (y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def _rotate(heads: Tensor, rotation: Tensor) -> None:
    """Applies rotary factors `[N, 1, head_dim / 2]` to `[N, heads, head_dim]` in place."""
    pairs = heads.unflatten(-1, (-1, 2))
    if heads.dtype == torch.float32:
        torch.view_as_complex(pairs).mul_(rotation)
    else:  # there are no complex numbers of half precision
        heads.copy_(torch.view_as_real(torch.view_as_complex(pairs.float()) * rotation).flatten(-2))
