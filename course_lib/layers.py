"""Blocks shared by the networks: normalisation, residual convolutions, attention, and the embeddings of time and label."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.arguments import can_look_at, check_flag, check_same_dtype, check_same_length, check_sizes, check_tensor

Activation = Callable[[Tensor], Tensor]
Module = TypeVar("Module", bound=nn.Module)


class GroupNorm(nn.GroupNorm):
    """Group normalisation (Wu & He 2018) with at least 8 channels per group and at most 32 groups: [B, C, H, W] → same shape.

    Half-precision x is normalised in fp32: mean and variance need it, and torch's own kernel takes six times as long
    for bf16 with channels_last on a CPU.
    """

    def __init__(self, channels: int) -> None:
        check_sizes(channels=channels)
        super().__init__(math.gcd(channels, max(1, min(32, channels // 8))), channels)

    def forward(self, x: Tensor) -> Tensor:
        check_tensor("x", x, f"[B, {self.num_channels}, H, W]", "float", least=0)
        precise = torch.promote_types(x.dtype, torch.float32)
        weight, bias = self.weight.to(precise), self.bias.to(precise)  # they may be in half precision themselves
        return F.group_norm(x.to(precise), self.num_groups, weight, bias, self.eps).to(x.dtype)


def zero_module(module: Module) -> Module:
    """Set all parameters of a layer to zero and return it, so that its residual block starts as the identity."""
    for p in module.parameters():
        nn.init.zeros_(p)
    return module


class ResBlock(nn.Module):
    """Two 3×3 convolutions with a residual connection: [B, in, H, W] → [B, out, H, W].

    embed: width of a conditioning vector [B, embed] that scales and shifts the second norm (Dhariwal & Nichol 2021, adaptive
    group normalisation); 0 for none. activation: the nonlinearity before each convolution. Raises ValueError where a conditioning
    vector is needed and not given.
    """

    def __init__(self, in_channels: int, out_channels: int, embed: int = 0, activation: Activation = F.silu) -> None:
        super().__init__()
        check_sizes(in_channels=in_channels, out_channels=out_channels)
        check_sizes(0, embed=embed)
        self.activation = activation
        self.norm1 = GroupNorm(in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = GroupNorm(out_channels)
        self.conv2 = zero_module(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.modulation = zero_module(nn.Linear(embed, 2 * out_channels)) if embed else None
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, c: Tensor | None = None) -> Tensor:
        check_features("x", x, f"[B, {self.conv1.in_channels}, H, W]", self.conv1.weight)
        h = self.norm2(self.conv1(self.activation(self.norm1(x))))
        if self.modulation is not None:
            if c is None:
                raise ValueError("This block is modulated by a conditioning vector: call it as block(x, c).")
            check_features("c", c, f"[B, {self.modulation.in_features}]", self.modulation.weight)
            check_same_length("c", c, "x", x)
            scale, shift = self.modulation(F.silu(c))[:, :, None, None].chunk(2, dim=1)
            h = torch.addcmul(shift, h, 1 + scale)
        return self.shortcut(x) + self.conv2(self.activation(h))


def check_features(name: str, x: Tensor, axes: str, weight: Tensor) -> None:
    """Check the input of a layer: floats of these axes, in the precision of its weights unless autocast sees to that."""
    check_tensor(name, x, axes, "float", least=0)
    if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
        raise ValueError(f"{name} holds {x.dtype} and the layer's weights {weight.dtype}: convert one of them.")


def check_mask(mask: Tensor | None, axes: str = "") -> None:
    """Check a mask: bool, of these axes, or None."""
    if mask is None:
        return
    check_tensor("mask", mask, axes, "any", least=0)
    if mask.dtype != torch.bool:
        raise ValueError(f"mask holds {mask.dtype}, but must hold bool: True where a query may attend to a key.")
    if can_look_at(mask) and not bool(mask.any(-1).all()):
        raise ValueError("mask has a row that is False everywhere, but each query needs a key that it may attend to.")


def check_noisy_batch(x: Tensor, t: Tensor, axes: str) -> None:
    """Check what a denoising network is given: float images x_t of these axes, and one time step t [B] for each."""
    check_tensor("x_t", x, axes, "float", least=0)
    check_tensor("t", t, "[B]", "integer", least=0)
    check_same_length("t", t, "x_t", x)


FEW_TOKENS = 256


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d) v (Vaswani et al. 2017, eq. 1): queries [B, heads, N, d], keys and values [B, heads, L, d] → like q.

    mask: bool, broadcast to [B, heads, N, L]: True where a query may attend to a key, at least one for each query (default: all).

    torch's fused kernel never stores the [N, L] weights, and is faster on a GPU and in fp32. In bf16 on a CPU its backward pass
    is slow: up to FEW_TOKENS keys `naive_attention` takes between a half and a seventh of its time (`course bench attention`).
    Raises ValueError for other shapes, or a mask that is not bool.
    """
    _check_attention(q, k, v, mask)
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and k.shape[-2] <= FEW_TOKENS:
        return _softmax_attention(q, k, v, mask)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def naive_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """`attend` without a fused kernel: two batched matrix products with a softmax between them."""
    _check_attention(q, k, v, mask)
    return _softmax_attention(q, k, v, mask)


def _check_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> None:
    for name, x in (("q", q), ("k", k), ("v", v)):
        check_tensor(name, x, "[B, heads, N, d]", "float", least=0)
    if k.shape != v.shape or q.shape[:2] != k.shape[:2] or q.shape[3] != k.shape[3]:
        raise ValueError(
            f"q is {tuple(q.shape)}, k {tuple(k.shape)} and v {tuple(v.shape)}, but must be [B, heads, N, d] for q, and "
            "[B, heads, L, d] for k and v."
        )
    if not q.dtype == k.dtype == v.dtype and not torch.is_autocast_enabled(q.device.type):
        raise ValueError(f"q holds {q.dtype}, k {k.dtype} and v {v.dtype}, but must share one precision.")
    if mask is None:
        return
    check_mask(mask)
    scores = (*q.shape[:3], k.shape[2])
    fits = all(m in (1, n) for m, n in zip(mask.shape[::-1], scores[::-1], strict=False))
    if not fits or not 2 <= mask.ndim <= 4:
        raise ValueError(f"mask has shape {tuple(mask.shape)}, but must be one that broadcasts to [B, heads, N, L] = {scores}.")


def _softmax_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ v


#: Attention of positions q [B, N, d] to tokens k [B, L, d], those with mask bool [B, L] True: [B, N, L].
Weights = Callable[[Tensor, Tensor, Tensor], Tensor]


def masked_attention(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """Return the attention of each position q [B, N, d] to each token k [B, L, d]: [B, N, L], rows sum to 1.

    mask: bool [B, L], False for padding, which gets none.
    """
    check_tensor("q", q, "[B, N, d]", "float")
    check_tensor("k", k, f"[{len(q)}, L, {q.shape[2]}]", "float")
    check_same_dtype("q", q, "k", k)
    check_mask(mask, f"[{len(q)}, {k.shape[1]}]")
    scores = q @ k.mT / q.shape[-1] ** 0.5
    return scores.masked_fill(~mask[:, None], -math.inf).softmax(-1)


def check_heads(dim: int, heads: int) -> None:
    """Check the width of an attention layer, and the number of its heads."""
    check_sizes(dim=dim, heads=heads)
    if dim % heads:
        raise ValueError(f"dim is {dim} and heads {heads}, but dim must be a multiple of heads.")


class SelfAttention(nn.Module):
    """Multi-head self-attention over tokens [B, N, dim] → [B, N, dim] (Vaswani et al. 2017); dim a multiple of heads.

    mask: bool [B, N], True for the tokens that may be attended to (default: all).
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        check_features("x", x, f"[B, N, {self.out.in_features}]", self.out.weight)
        B, N, D = x.shape
        if mask is not None:
            check_mask(mask, f"[{B}, {N}]")
        q, k, v = self.qkv(x).view(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)  # 3 × [B, heads, N, d]
        visible = None if mask is None else mask[:, None, None]  # [B, 1, 1, N]: the same for every head and query
        return self.out(attend(q, k, v, visible).transpose(1, 2).reshape(B, N, D))


class CrossAttention(nn.Module):
    """Multi-head cross-attention: tokens [B, N, dim] attend to a context [B, L, context], such as a caption → [B, N, dim].

    Queries come from the tokens, keys and values from the context (Rombach et al. 2022, section 3.3). mask: bool [B, L], True for
    the tokens of the context that may be attended to, at least one each (default: all). dim must be a multiple of heads.
    """

    def __init__(self, dim: int, context: int, heads: int) -> None:
        super().__init__()
        check_heads(dim, heads)
        check_sizes(context=context)
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(context, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def _project(self, x: Tensor, context: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the queries [B, heads, N, d], and the keys and values [B, heads, L, d]; arguments as in `forward`."""
        check_features("x", x, f"[B, N, {self.q.in_features}]", self.q.weight)
        check_features("context", context, f"[B, L, {self.kv.in_features}]", self.kv.weight)
        check_same_length("context", context, "x", x)
        if mask is not None:
            check_mask(mask, f"[{len(x)}, {context.shape[1]}]")
        B, L, heads = *context.shape[:2], self.heads
        q = self.q(x).view(B, x.shape[1], heads, -1).transpose(1, 2)
        k, v = self.kv(context).view(B, L, 2, heads, -1).permute(2, 0, 3, 1, 4)
        return q, k, v

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = self._project(x, context, mask)
        visible = None if mask is None else mask[:, None, None]
        return self.out(attend(q, k, v, visible).transpose(1, 2).reshape(x.shape))

    def attention_weights(
        self, x: Tensor, context: Tensor, mask: Tensor | None = None, weights: Weights = masked_attention
    ) -> Tensor:
        """Return the attention of each token to each token of the context, mean over the heads: [B, N, L]. For figures.

        weights: computes it from queries, keys and mask, with the batch and the heads together as B.
        """
        q, k, _ = self._project(x, context, mask)
        visible = x.new_ones(context.shape[:2], dtype=torch.bool) if mask is None else mask
        each = weights(q.flatten(0, 1), k.flatten(0, 1), visible.repeat_interleave(self.heads, 0))
        return each.unflatten(0, (-1, self.heads)).mean(1)


class Conditioning(nn.Module):
    """Embeds time, labels and perhaps a guidance scale as one vector: t [B], y [B] or [B, F] or None, scale [B] → [B, dim].

    Time: sines and cosines at frequencies from 1 to 1/10,000 of a radian per step (DDPM, after Vaswani et al. 2017), then a
    two-layer network. Labels: a learned vector for each; the vectors of several factors are summed. num_classes: of the one
    label, or of each of F factors; a factor's null label is the index after its last class. takes_scale: whether a guidance
    scale is an input (Meng et al. 2023, section 3.1); its part of the vector starts at 0, and None stands for 1, no guidance.
    Raises ValueError for labels of another shape, for a label that its factor does not have (on a GPU that is an assertion of
    the device), and for a scale that the network does not take.
    """

    index: Tensor
    first_row: Tensor
    null_labels: Tensor

    def __init__(
        self, dim: int, num_classes: int | Sequence[int] | None, frequencies: int = 128, takes_scale: bool = False
    ) -> None:
        super().__init__()
        check_sizes(dim=dim)
        check_sizes(2, frequencies=frequencies)
        check_flag("takes_scale", takes_scale)
        # integers, because .bfloat16() would round the frequencies themselves to three digits
        self.register_buffer("index", torch.arange(frequencies // 2), persistent=False)
        self.time = nn.Sequential(nn.Linear(frequencies, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.null: tuple[int, ...] = ()
        if num_classes is not None:
            self.null = tuple(num_classes) if isinstance(num_classes, Sequence) else (num_classes,)
        for classes in self.null:
            check_sizes(num_classes=classes)
        *first, rows = itertools.accumulate((n + 1 for n in self.null), initial=0)  # each factor has its own rows in one table
        self.register_buffer("first_row", torch.tensor(first, dtype=torch.int64), persistent=False)
        self.register_buffer("null_labels", torch.tensor(self.null, dtype=torch.int64), persistent=False)
        self.label = nn.Embedding(rows, dim) if self.null else None
        self.scale = nn.Sequential(nn.Linear(1, dim), nn.SiLU(), zero_module(nn.Linear(dim, dim))) if takes_scale else None

    @property
    def time_dtype(self) -> torch.dtype:
        """The precision of the weights."""
        return next(self.time.parameters()).dtype

    def forward(self, t: Tensor, y: Tensor | None, scale: Tensor | None = None) -> Tensor:
        check_tensor("t", t, "[B]", "integer", least=0)
        rates = torch.exp(-math.log(10_000) * (self.index / len(self.index)))
        angle = t[:, None].float() * rates
        c = self.time(torch.cat([angle.cos(), angle.sin()], dim=1).to(self.time_dtype)) + self._embedded_scale(scale, t)
        if self.label is None:
            return c
        if y is None:  # unconditional: the null label of each factor
            y = self.null_labels.expand(t.shape[0], -1)
        check_tensor("y", y, "", "integer", least=0)
        y = y[:, None] if y.ndim == 1 else y  # [B, F]
        if y.shape != (t.shape[0], len(self.null)):
            raise ValueError(
                f"The labels are {tuple(y.shape)} for {len(t)} noisy images, but this network takes {len(self.null)} for each: "
                f"give [{len(t)}, {len(self.null)}]."
            )
        valid = (y >= 0) & (y <= self.null_labels)
        if can_look_at(y) and not bool(valid.all()):
            raise ValueError(
                f"The labels run from {y.amin(0).tolist()} to {y.amax(0).tolist()}, but this network has labels from 0 to "
                f"{list(self.null)}, the last of which means none."
            )
        # on a GPU, where looking would wait, a wrong label must not read another factor's row: it is sent beyond the table
        return c + self.label(torch.where(valid, y + self.first_row, self.label.num_embeddings)).sum(1)

    def _embedded_scale(self, scale: Tensor | None, t: Tensor) -> Tensor | float:
        if self.scale is None:
            if scale is not None:
                raise ValueError(
                    "This network takes no guidance scale: build it with takes_scale=True, or guide it from outside."
                )
            return 0.0
        scale = torch.ones(t.shape[0], device=t.device) if scale is None else scale
        check_tensor("scale", scale, "[B]", "float", least=0)
        check_same_length("scale", scale, "t", t)
        return self.scale((scale[:, None] - 1).to(self.time_dtype))
