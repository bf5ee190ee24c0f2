"""Forward pass of Llama-like decoders over packed tokens, with a pool of key-value caches shared by candidates.

transformers' own forward spends most of its time at the pocket scale on Python, on padding, and on reading one copy of
the prefix's keys and values per candidate. Here the tokens of all sequences lie one behind the other in matrices
`[N, D]`, so no matrix product is padded. The candidates of a node are one *group*: its keys and values lie in one slot
of a pool, the prefix once and behind it the tokens of all candidates, and a mask says which token sees which column. So
prefill, decoding of many candidates and scoring of a tree of steps are the same call.

Its results are those of transformers up to floating-point noise. `rstar_math.engines.torch.weights` says which models
it knows; others run through transformers (`rstar_math.engines.torch.decoding.ModuleRows`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from rstar_math.engines.torch.eight_bit import EightBitWeight, Weight, product
from rstar_math.engines.torch.key_values import KeyValuePool
from rstar_math.engines.torch.packed_tokens import PackedTokens, Part
from rstar_math.engines.torch.sampling import next_tokens
from rstar_math.engines.torch.tiling import Tiling, cut, find_tiling
from rstar_math.engines.torch.weights import LlamaWeights

_tilings: dict[Hashable, Tiling] = {}


class PackedDecoder:
    """A Llama-like decoder with its head.

    Attributes:
      hidden_size: D.
      device: where it runs.
      tiling: the fixed shapes of deterministic mode; None outside of it.
    """

    def __init__(self, weights: LlamaWeights, deterministic: bool = False, eight_bit: bool = False) -> None:
        """Takes the weights apart.

        Args:
          weights: of the model.
          deterministic: a token's result does not depend on the other tokens of a call, to the last bit.
          eight_bit: multiply with weights of 8 bits; on a CPU, with weights given in float32.
        """
        self._embedding = weights.embedding
        self.device = self._embedding.device
        self.hidden_size = self._embedding.shape[1]
        self._num_heads, self._num_kv_heads, self._head_dim = weights.num_heads, weights.num_kv_heads, weights.head_dim
        self._eps = weights.eps
        self._head: Weight = EightBitWeight.of(weights.head) if eight_bit else _aligned(weights.head)
        self._head_bias = weights.head_bias
        self._final_norm = _aligned(weights.backbone["norm.weight"])
        self._inverse_frequencies, self._rotation_scale = weights.inverse_frequencies, weights.rotation_scale
        self._rotations = torch.zeros(0, self._head_dim // 2, dtype=torch.complex64, device=self.device)
        self._layers: list[_Layer] = []
        while f"layers.{len(self._layers)}.input_layernorm.weight" in weights.backbone:
            self._layers.append(_Layer.build(weights, f"layers.{len(self._layers)}.", eight_bit))
        self.tiling = self._tiling(weights.context_length) if deterministic else None

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
        pool.reserve(batch.num_slots, batch.visible.shape[2])
        num_tokens = len(batch.slot)
        heads, kv_heads, head_dim = self._num_heads, self._num_kv_heads, self._head_dim
        num_blocks, num_queries, num_columns = batch.visible.shape
        mask = torch.zeros(batch.visible.shape, dtype=self._embedding.dtype, device=self.device)
        mask.masked_fill_(~batch.visible, float("-inf"))
        # query heads that share a key head become further query rows of it
        shared = heads // kv_heads
        mask = mask[:, None, None].expand(-1, 1, shared, -1, -1).reshape(num_blocks, 1, -1, num_columns)
        masks = [
            mask if part.blocks is None else mask[part.blocks, :, :, : part.num_columns].contiguous()
            for part in batch.parts
        ]
        rotation = self._rotation(batch.positions)  # [N', 1, head_dim / 2]
        x = F.embedding(batch.tokens, self._embedding)  # [N', D]
        pieces = cut(len(x), self._row_heights)
        for layer, cache in zip(self._layers, pool.storage, strict=True):
            qkv = x.new_empty(len(x), heads + 2 * kv_heads, head_dim)
            for rows in pieces:
                self._before_attention(layer, x[rows], rotation[rows], qkv[rows])
            cache[batch.slot, :, :, batch.column] = qkv[:num_tokens, heads:].view(-1, 2, kv_heads, head_dim)
            q = qkv[:num_tokens, :heads]  # [N, H, head_dim]
            if not batch.dense:
                q = q.new_zeros(num_blocks * num_queries, heads, head_dim).index_copy_(0, batch.row[:num_tokens], q)
            q = q.reshape(num_blocks, num_queries, kv_heads, shared, head_dim).permute(0, 2, 3, 1, 4)
            q = q.reshape(num_blocks, kv_heads, shared * num_queries, head_dim)
            a = self._attention(q, cache, masks, batch.parts)  # [B, kv_heads, shared * M, head_dim]
            a = a.view(num_blocks, kv_heads, shared, num_queries, head_dim).permute(0, 3, 1, 2, 4)
            a = a.reshape(-1, heads * head_dim)  # [B * M, H * head_dim]
            if not batch.dense:
                a = a.index_select(0, batch.row)  # [N', H * head_dim]
            for rows in pieces:
                self._after_attention(layer, x[rows], a[rows])
        wanted = x[batch.wanted]  # [S', D]
        return self._by_rows(wanted, lambda rows: _rms_norm(rows, self._final_norm, self._eps))

    def logits(self, hidden: Tensor) -> Tensor:
        """The head's output for `[S', D]` of `forward`: `[S', V]`."""
        return self._by_rows(hidden, lambda rows: product(rows, self._head, self._head_bias))

    def value(self, hidden: Tensor) -> Tensor:
        """The same for a head with one output, `[S']` in float32.

        Summed row by row: for a product with a single column libraries sum in another order in every shape.
        """
        head = self._head
        assert isinstance(head, Tensor)  # only policies have weights of 8 bits

        def summed(rows: Tensor) -> Tensor:
            return (rows.float() * head.float()).sum(-1)

        values = self._by_rows(hidden, summed)
        return values if self._head_bias is None else values + self._head_bias.float()

    @property
    def _row_heights(self) -> tuple[int, ...] | None:
        return None if self.tiling is None else self.tiling.rows

    def _by_rows(self, x: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
        """`work` on all rows, block by block where there is a tiling."""
        pieces = cut(len(x), self._row_heights)
        return work(x) if len(pieces) == 1 else torch.cat([work(x[rows]) for rows in pieces])

    def _before_attention(self, layer: _Layer, x: Tensor, rotation: Tensor, qkv: Tensor) -> None:
        """Queries, keys and values of `[T, D]`, queries and keys turned, into `[T, H + 2 * kv_heads, head_dim]`."""
        h = _rms_norm(x, layer.attention_norm, self._eps)
        _linear(h, layer.qkv, layer.qkv_bias, qkv.flatten(1))
        _rotate(qkv[:, : self._num_heads + self._num_kv_heads], rotation)

    def _after_attention(self, layer: _Layer, x: Tensor, a: Tensor) -> None:
        """Adds to `[T, D]`, in place, what the layer makes of the heads' output `[T, H * head_dim]`."""
        x += product(a, layer.output, layer.output_bias)
        h = _rms_norm(x, layer.mlp_norm, self._eps)
        gate, up = product(h, layer.gate_up, layer.gate_up_bias).chunk(2, -1)
        x += product(F.silu(gate) * up, layer.down, layer.down_bias)

    def _attention(self, q: Tensor, cache: Tensor, masks: Sequence[Tensor], parts: tuple[Part, ...]) -> Tensor:
        """Attention of `[B, kv_heads, Q, head_dim]` to slots of `[slots, 2, kv_heads, columns, head_dim]`.

        Args:
          q, cache: queries; keys and values.
          masks: for each part, `[P', 1, Q, C]`.
          parts: of the blocks.
        """
        found = torch.empty_like(q)
        for part, mask in zip(parts, masks, strict=True):
            if self.tiling is None or part.blocks is None:
                keys, values = (cache[part.slots, kind, :, : part.num_columns] for kind in (0, 1))
                return _attend(q, keys, values, mask)
            q_of_part = q[part.blocks]
            for piece in cut(len(part.blocks), self.tiling.blocks_at_once(part.num_columns)):
                if isinstance(part.slots, slice):
                    kv = cache[part.slots.start + piece.start : part.slots.start + piece.stop]
                    kv = kv[:, :, :, : part.num_columns]
                else:
                    kv = cache[:, :, :, : part.num_columns].index_select(0, part.slots[piece])
                attended = _attend(q_of_part[piece], kv[:, 0], kv[:, 1], mask[piece])
                blocks = part.blocks[piece][: part.num_blocks - piece.start]
                found[blocks] = attended[: len(blocks)]
        return found

    def _tiling(self, context_length: int) -> Tiling:
        """The tiling of the model's shapes: found once in a process."""
        key = (
            frozenset(layer.shapes for layer in self._layers),
            *(self._head.shape, self._head_bias is None, self._num_heads, self._num_kv_heads, self._head_dim),
            *(context_length, self._embedding.dtype, self.device, torch.get_num_threads()),
        )
        if key not in _tilings:
            _tilings[key] = self._find_tiling(context_length)
        return _tilings[key]

    @torch.inference_mode()
    def _find_tiling(self, context_length: int) -> Tiling:
        rotation = self._rotation(torch.full((1,), min(17, context_length - 1), device=self.device))
        num_queries = self._num_heads * self._head_dim
        different = {layer.shapes: layer for layer in self._layers}  # how a library sums depends on shapes alone

        def layers(x: Tensor) -> Tensor:
            """All that layers do with rows, queries in the place of what attention finds."""
            x, found = x.clone(), []
            turned = rotation.expand(len(x), -1, -1)
            for layer in different.values():
                qkv = x.new_empty(len(x), self._num_heads + 2 * self._num_kv_heads, self._head_dim)
                self._before_attention(layer, x, turned, qkv)
                self._after_attention(layer, x, qkv.flatten(1)[:, :num_queries].contiguous())
                found += [qkv.flatten(1), x.clone()]
            return torch.cat(found, dim=1)

        def ends(x: Tensor) -> Tensor:
            hidden = _rms_norm(x, self._final_norm, self._eps)
            head = product(hidden, self._head, self._head_bias)
            found = [hidden, head]
            if isinstance(self._head, Tensor):  # a reward model's may have a single output
                found.append((hidden.float() * self._head[:1].float()).sum(-1, keepdim=True))
            for temperature, top_p in ((1.0, 1.0), (0.7, 1.0), (1.0, 0.9)):
                settings = (head.new_full((len(x),), value) for value in (0.37, temperature, top_p))
                found += [drawn[:, None] for drawn in next_tokens(head, *settings)]
            return torch.cat(found, dim=1)

        return find_tiling(
            (layers, ends),
            _attend,
            row_sizes=(self.hidden_size, self.hidden_size),
            num_heads=self._num_heads,
            num_kv_heads=self._num_kv_heads,
            head_dim=self._head_dim,
            context_length=context_length,
            like=self._embedding,
        )

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
    qkv: Weight
    qkv_bias: Tensor | None
    output: Weight
    output_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Weight
    gate_up_bias: Tensor | None
    down: Weight
    down_bias: Tensor | None

    @property
    def shapes(self) -> tuple[torch.Size | None, ...]:
        """The shape of each weight; layers of the same shapes do the same products."""
        weights = (getattr(self, field.name) for field in fields(self))
        return tuple(None if weight is None else weight.shape for weight in weights)

    @classmethod
    def build(cls, weights: LlamaWeights, prefix: str, eight_bit: bool) -> _Layer:
        tensors: Mapping[str, Tensor] = weights.backbone
        head_dim, half = weights.head_dim, weights.head_dim // 2
        # transformers rotates dimension i with i + half; side by side they are one complex number
        pairs = torch.stack((torch.arange(half), torch.arange(half) + half), dim=1).flatten()

        def paired(weight: Tensor, heads: int) -> Tensor:
            rows: Tensor = weight.unflatten(0, (heads, head_dim))  # [heads, head_dim, D]
            return rows[:, pairs.to(weight.device)].flatten(0, 1)  # [heads * head_dim, D]

        def fused_qkv(kind: str) -> Tensor | None:
            q, k, v = (tensors.get(f"{prefix}self_attn.{name}_proj.{kind}") for name in "qkv")
            if q is None or k is None or v is None:
                return None
            return torch.cat((paired(q, weights.num_heads), paired(k, weights.num_kv_heads), v))

        def fused_gate_up(kind: str) -> Tensor | None:
            gate, up = (tensors.get(f"{prefix}mlp.{name}_proj.{kind}") for name in ("gate", "up"))
            return None if gate is None or up is None else torch.cat((gate, up))

        def kept(weight: Tensor | None) -> Weight:
            assert weight is not None
            return EightBitWeight.of(weight) if eight_bit else _aligned(weight)

        return cls(
            attention_norm=_aligned(tensors[f"{prefix}input_layernorm.weight"]),
            qkv=kept(fused_qkv("weight")),
            qkv_bias=fused_qkv("bias"),
            output=kept(tensors[f"{prefix}self_attn.o_proj.weight"]),
            output_bias=tensors.get(f"{prefix}self_attn.o_proj.bias"),
            mlp_norm=_aligned(tensors[f"{prefix}post_attention_layernorm.weight"]),
            gate_up=kept(fused_gate_up("weight")),
            gate_up_bias=fused_gate_up("bias"),
            down=kept(tensors[f"{prefix}mlp.down_proj.weight"]),
            down_bias=tensors.get(f"{prefix}mlp.down_proj.bias"),
        )


def _attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)


def _linear(x: Tensor, weight: Weight, bias: Tensor | None, out: Tensor) -> None:
    if isinstance(weight, EightBitWeight):
        out.copy_(product(x, weight, bias))
    elif bias is None:
        torch.mm(x, weight.t(), out=out)
    else:
        torch.addmm(bias, x, weight.t(), out=out)


def _aligned(tensor: Tensor) -> Tensor:
    """The tensor at an address that is a multiple of 64 bytes; what was read from a file lies anywhere."""
    return tensor if tensor.data_ptr() % 64 == 0 else tensor.clone()


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
