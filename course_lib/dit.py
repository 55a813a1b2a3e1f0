"""The diffusion transformer (DiT), a denoising network with adaLN-Zero conditioning (Peebles & Xie 2023)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.arguments import MAX_DEPTH, check_number, check_same_length, check_sizes, check_tensor
from course_lib.layers import Conditioning, SelfAttention, check_features, check_heads, check_noisy_batch, zero_module


class DiTBlock(nn.Module):
    """Self-attention and an MLP, each scaled, shifted and gated by the conditioning vector (adaLN-Zero; DiT, figure 3)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        check_heads(dim, heads)
        hidden = int(dim * check_number("mlp_ratio", mlp_ratio, above=0))
        check_sizes(**{"dim · mlp_ratio": hidden})
        self.norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.attention = SelfAttention(dim, heads)
        # DiT's own code uses GELU's tanh approximation, made for speed: on a CPU it is three times slower than GELU itself.
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.modulation = zero_module(nn.Linear(dim, 6 * dim))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:  # x [B, N, dim], c [B, dim]
        check_features("x", x, f"[B, N, {self.modulation.in_features}]", self.modulation.weight)
        check_features("c", c, f"[B, {self.modulation.in_features}]", self.modulation.weight)
        check_same_length("c", c, "x", x)
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(c)[:, None].chunk(6, dim=2)  # each [B, 1, dim]
        x = torch.addcmul(x, gate1, self.attention(torch.addcmul(shift1, self.norm(x), 1 + scale1)))
        return torch.addcmul(x, gate2, self.mlp(torch.addcmul(shift2, self.norm(x), 1 + scale2)))


class DiT(nn.Module):
    """A denoising network: x_t [B, C, S, S], t [B] in 1…T, y [B], [B, F] or None → [B, C, S, S].

    size: side S of the input, a multiple of patch. patch: side of the square that becomes one token. dim, depth, heads:
    width, number of blocks, attention heads. num_classes: of the label, 0…num_classes − 1, or of each of F labels; ``null_label``
    equals num_classes, the index after the last class of each; None for an unconditional network. Raises ValueError for a size
    that is not a multiple of patch, and for x_t of another size.
    """

    def __init__(
        self,
        in_channels: int = 4,
        size: int = 4,
        patch: int = 1,
        dim: int = 256,
        depth: int = 6,
        heads: int = 4,
        num_classes: int | Sequence[int] | None = 10,
        mlp_ratio: float = 4.0,
    ) -> None:
        super().__init__()
        check_sizes(in_channels=in_channels, size=size, patch=patch)
        check_sizes(0, MAX_DEPTH, depth=depth)
        check_heads(dim, heads)
        if size % patch:
            raise ValueError(f"size is {size} and patch {patch}, but the patches must tile it: make size a multiple of patch.")
        self.patch, self.null_label, self.input_shape = patch, num_classes, (in_channels, size, size)
        tokens, features = (size // patch) ** 2, in_channels * patch**2
        self.embed = nn.Linear(features, dim)
        self.position = nn.Parameter(torch.randn(1, tokens, dim) * 0.02)
        self.conditioning = Conditioning(dim, num_classes)
        self.blocks = nn.ModuleList(DiTBlock(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.modulation = zero_module(nn.Linear(dim, 2 * dim))
        self.head = zero_module(nn.Linear(dim, features))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        check_tensor("x_t", x, "", "float", least=0)
        if x.shape[1:] != self.input_shape:
            raise ValueError(
                f"x_t is {tuple(x.shape)}, but this DiT was made for [B, {', '.join(map(str, self.input_shape))}]: "
                "give DiT the in_channels and size of your latents."
            )
        check_noisy_batch(x, t, "[B, C, H, W]")
        B, C, H, W = x.shape
        p = self.patch
        h = F.pixel_unshuffle(x, p).flatten(2).transpose(1, 2)  # [B, tokens, C·p²]
        h = self.embed(h.to(self.embed.weight.dtype)) + self.position  # [B, tokens, dim]
        c = F.silu(self.conditioning(t, y))  # [B, dim]
        for block in self.blocks:
            h = block(h, c)
        shift, scale = self.modulation(c)[:, None].chunk(2, dim=2)
        h = self.head(torch.addcmul(shift, self.norm(h), 1 + scale))  # [B, tokens, C·p²]
        return F.pixel_shuffle(h.transpose(1, 2).reshape(B, C * p * p, H // p, W // p), p)
