"""The next token from logits and one random number each: sampling that does not depend on the rest of the batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def uniforms(prompt: Sequence[int], seed: int, num_rows: int, num_tokens: int) -> np.ndarray:
    """The random numbers of one request.

    Drawn from Philox, a counter-based generator keyed by the seed and the prompt: row i is the same for every
    `num_rows` > i, and two nodes of a search that uses one seed throughout do not share their luck.

    Returns:
      `[num_rows, num_tokens]` in [0, 1).
    """
    digest = hashlib.blake2b(np.asarray(prompt, dtype=np.int64).tobytes(), digest_size=8).digest()
    key = np.array([seed & (2**64 - 1), int.from_bytes(digest, "little")], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).random((num_rows, num_tokens))


def next_tokens(logits: Tensor, uniform: Tensor, temperature: Tensor, top_p: Tensor) -> tuple[Tensor, Tensor]:
    """Draws one token per row.

    Args:
      logits: `[R, V]`.
      uniform: `[R]` in [0, 1).
      temperature: `[R]`, 0 takes the most likely token.
      top_p: `[R]` in (0, 1]: only the smallest set of most likely tokens with at least this probability takes part.

    Returns:
      `[R]` token ids, and `[R]` their log-probabilities at temperature 1.
    """
    logits = logits.float()
    shifted = logits - logits.amax(-1, keepdim=True)  # [R, V]
    mass = shifted.exp()
    greedy = temperature == 0
    if bool(greedy.all()):
        tokens = logits.argmax(-1)
    else:
        plain = bool((temperature == 1).all())
        weights = mass if plain else (shifted / temperature.masked_fill(greedy, 1.0)[:, None]).exp()
        tokens = _inverse_cdf(_nucleus(weights, top_p), uniform)
        if bool(greedy.any()):
            tokens = torch.where(greedy, logits.argmax(-1), tokens)
    logprobs = shifted.gather(-1, tokens[:, None]).squeeze(-1) - mass.sum(-1).log()
    return tokens, logprobs


def _inverse_cdf(weights: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the cumulated `weights` (`[R, V]`, not normalised) pass `uniform` times their sum."""
    cumulated = weights.cumsum(-1)
    total = cumulated[:, -1:]
    # strictly below the total, so that no token of weight 0 at the end is ever taken
    point = torch.minimum(uniform[:, None].float() * total, torch.nextafter(total, total.new_zeros(())))
    return torch.searchsorted(cumulated, point, right=True).squeeze(-1)


def _nucleus(weights: Tensor, top_p: Tensor) -> Tensor:
    """`weights` with 0 outside each row's nucleus; rows with `top_p` 1 are not touched."""
    inside = top_p < 1
    if not bool(inside.any()):
        return weights
    ordered, ids = weights[inside].sort(dim=-1, descending=True, stable=True)
    cumulated = ordered.cumsum(-1)
    # a token stays while those before it do not suffice; the first always does
    outside = (cumulated - ordered) >= top_p[inside, None] * cumulated[:, -1:]
    outside[:, 0] = False
    nucleus = weights.clone()
    nucleus[inside] = weights[inside].masked_fill(torch.zeros_like(outside).scatter_(-1, ids, outside), 0.0)
    return nucleus
