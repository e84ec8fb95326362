"""Attention and the adaptive transformer block that the transformer nets share."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unfog.errors import ArgumentError
from unfog.nets.units import Dropout


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q k') v, for queries that are scaled already.

    On the CPU it is spelt out, because the fused kernel's bfloat16 backward is four times slower
    there; and so it is under forward-mode differentiation, which the fused kernels lack.

    Args:
        q: (B, H, N, D).    k, v: (B, H, M, D).
        mask: (B, M) bool, True = a real key. A sample with no real key attends to all.
    Returns: (B, H, N, D).
    """
    if mask is not None:
        mask = mask[:, None, None, :]
    forward_mode = torch.autograd.forward_ad.unpack_dual(q).tangent is not None
    if q.device.type != "cpu" and not forward_mode:
        if mask is not None:
            mask = mask | ~mask.any(-1, keepdim=True)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
    score = q @ k.transpose(-1, -2)
    if mask is not None:
        score = score.masked_fill(~mask, torch.finfo(score.dtype).min)
    return score.softmax(-1).to(v.dtype) @ v


def checked_heads(width: int, heads: int) -> int:
    """`heads` if it divides the width. Raises ArgumentError otherwise."""
    if heads < 1 or width % heads:
        fits = [n for n in range(1, width + 1) if width % n == 0 and n <= 64]
        raise ArgumentError(f"heads={heads} does not divide width={width}; allowed: {fits}")
    return heads


def split(value: Tensor, heads: int, parts: int) -> Tensor:
    """(B, N, P·H·D) → (P, B, H, N, D), laid out once, so that what follows copies nothing."""
    batch, places, _ = value.shape
    return value.view(batch, places, parts, heads, -1).permute(2, 0, 3, 1, 4).contiguous()


def join(value: Tensor) -> Tensor:
    """(B, H, N, D) → (B, N, H·D)."""
    return value.transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """Multi-head attention with normalised queries and keys, to itself or to other tokens.

    Args:
        width: W of the queries.    heads: H.
        source: width of the other tokens; None = attends to itself.
    Ref: Henry et al. 2020, Query-Key Normalization, eq. 4 (here with a learned gain per channel).
    """

    def __init__(self, width: int, heads: int, source: int | None = None) -> None:
        super().__init__()
        self.heads = checked_heads(width, heads)
        self.source = source
        if source is None:
            self.all_in = nn.Linear(width, 3 * width, bias=False)
        else:
            self.query_in = nn.Linear(width, width, bias=False)
            self.source_in = nn.Linear(source, 2 * width, bias=False)
        self.gain = nn.Parameter(torch.empty(width // heads))
        self.out = nn.Linear(width, width, bias=False)

    def initialise(self) -> None:
        """Unit-gain weights."""
        for layer in self.children():
            unit(cast(nn.Linear, layer))
        nn.init.ones_(self.gain)

    def forward(
        self, x: Tensor, tokens: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """(B, N, W) of x (B, N, W); tokens (B, M, S) to attend to; mask (B, M) True = real."""
        if self.source is None:
            q, k, v = split(self.all_in(x), self.heads, 3).unbind(0)
        else:
            q = split(self.query_in(x), self.heads, 1)[0]
            k, v = split(self.source_in(tokens), self.heads, 2).unbind(0)
        size = q.shape[-1:]
        # one gain serves queries and keys, since only their product matters
        q = F.layer_norm(q, size).to(v.dtype) * (self.gain * size[0] ** -0.5).to(v.dtype)
        return self.out(join(attend(q, F.layer_norm(k, size).to(v.dtype), v, mask)))


def unit(layer: nn.Linear, gain: float = 1.0) -> None:
    """Weights such that unit-variance inputs give results with standard deviation `gain`."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.in_features))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Modulation(nn.Module):
    """The parts (shift, scale, gate, …) that a condition vector sets: zero at the start.

    Ref: Peebles and Xie 2023, Scalable Diffusion Models with Transformers, sec. 3.2 (adaLN-zero).
    """

    def __init__(self, vector: int, width: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(vector, width * parts)

    def initialise(self) -> None:
        """Zero: blocks start as the identity."""
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, vector: Tensor, axes: int = 0) -> tuple[Tensor, ...]:
        """`parts` tensors (B, *1, W) with `axes` ones, from vector (B, V)."""
        made = self.linear(vector)
        return made.view(made.shape[0], *(1,) * axes, -1).chunk(self.parts, dim=-1)


def normed(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm over the last axis, then ·(1 + scale) + shift."""
    if shift.numel() == x.shape[-1]:  # one time for all: the kernel's own gain and bias
        gain, bias = (1 + scale).flatten().to(x.dtype), shift.flatten().to(x.dtype)
        return F.layer_norm(x, x.shape[-1:], gain, bias).to(shift.dtype)
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:]).to(shift.dtype), 1 + scale)


class Block(nn.Module):
    """Transformer block: attention, cross-attention if there are tokens, gated perceptron (SwiGLU).

    Each branch is modulated by the condition vector and starts closed.

    Args:
        width: W.    heads: H.    vector: width of the condition vector.
        source: width of the tokens to attend to, None = no cross-attention.
        expand: hidden width of the perceptron over W.
        dropout: share of its hidden units that are dropped in training.
    Ref: Peebles and Xie 2023, section 3.2; Shazeer 2020, GLU Variants Improve Transformer, eq. 6.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        vector: int,
        source: int | None,
        expand: float,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        hidden = max(8, round(width * expand / 8) * 8)
        self.modulation = Modulation(vector, width, 6 if source is None else 9)
        self.attention = Attention(width, heads)
        self.cross = None if source is None else Attention(width, heads, source)
        # no biases: the modulation shifts already, and on the CPU a bias costs a sixth of the time
        self.inner = nn.Linear(width, 2 * hidden, bias=False)
        self.outer = nn.Linear(hidden, width, bias=False)
        self.drop = Dropout(dropout)

    def initialise(self) -> None:
        """Unit-gain weights behind closed gates."""
        self.modulation.initialise()
        self.attention.initialise()
        if self.cross is not None:
            self.cross.initialise()
        unit(self.inner)
        unit(self.outer)

    def forward(
        self,
        x: Tensor,
        vector: Tensor,
        tokens: Tensor | None = None,
        token_mask: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """(B, N, W) of x (B, N, W); mask (B, N) True = a real entry."""
        shift, scale, gate, *rest = self.modulation(vector, axes=1)
        y = self.attention(normed(x, shift, scale), mask=mask)
        x = torch.addcmul(x, gate.to(x.dtype), y.to(x.dtype))
        if self.cross is not None:
            shift, scale, gate, *rest = rest
            y = self.cross(normed(x, shift, scale), tokens, token_mask)
            x = torch.addcmul(x, gate.to(x.dtype), y.to(x.dtype))
        shift, scale, gate = rest
        value, door = self.inner(normed(x, shift, scale)).chunk(2, dim=-1)
        y = self.outer(self.drop(F.silu(door) * value))
        return torch.addcmul(x, gate.to(x.dtype), y.to(x.dtype))
