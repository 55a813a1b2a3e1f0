"""The UNet, a denoising network of residual blocks on a way down and a way up, with skip connections between them.

Ho et al. 2020; Dhariwal & Nichol 2021.
"""

from collections.abc import Collection, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.arguments import MAX_DEPTH, check_integer, check_sizes, check_tensor
from course_lib.layers import Conditioning, CrossAttention, GroupNorm, ResBlock, SelfAttention, check_noisy_batch, zero_module


class Attention2d(nn.Module):
    """Self-attention over the positions of a feature map, with a residual connection: [B, C, H, W] → [B, C, H, W]."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels)
        self.attention = SelfAttention(channels, heads)
        zero_module(self.attention.out)

    def forward(self, x: Tensor) -> Tensor:
        check_tensor("x", x, "[B, C, H, W]", "float", least=0)
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [B, H·W, C]
        return x + self.attention(tokens).transpose(1, 2).reshape(x.shape)


class TextAttention2d(nn.Module):
    """Cross-attention from the positions of a feature map to the words of a caption, with a residual connection:
    [B, C, H, W] → [B, C, H, W]."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels)
        self.attention = CrossAttention(channels, context, heads)
        zero_module(self.attention.out)

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        check_tensor("x", x, "[B, C, H, W]", "float", least=0)
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [B, H·W, C]
        return x + self.attention(tokens, words, mask).transpose(1, 2).reshape(x.shape)


class Stage(nn.Module):
    """A residual block at one resolution, with self-attention if heads > 0, and then cross-attention to a caption if context > 0.

    Raises ValueError where a caption is needed and not given.
    """

    def __init__(self, in_channels: int, out_channels: int, embed: int, heads: int, context: int = 0) -> None:
        super().__init__()
        check_sizes(0, heads=heads, context=context)
        self.block = ResBlock(in_channels, out_channels, embed)
        self.attention = Attention2d(out_channels, heads) if heads else nn.Identity()
        self.reading = TextAttention2d(out_channels, context, heads) if heads and context else None

    def forward(self, x: Tensor, c: Tensor, text: tuple[Tensor, Tensor] | None = None) -> Tensor:
        h = self.attention(self.block(x, c))
        if self.reading is None:
            return h
        if not isinstance(text, tuple) or len(text) != 2:
            raise ValueError("This UNet reads captions: give it text=(features, mask), for example from a TextTransformer.")
        return self.reading(h, *text)


class UNet(nn.Module):
    """A denoising network: x_t [B, C, H, W], t [B] in 1…T, y [B], [B, F] or None → [B, C, H, W].

    width: channels at full resolution; multipliers: of the width, at each resolution. blocks: residual blocks per resolution.
    attention: indices of the resolutions with self-attention (0 = full resolution); the middle always has it. num_classes,
    ``null_label``: as in DiT. context: if above 0, every stage with self-attention also attends to a caption,
    text = (features [B, L, context], mask bool [B, L]). takes_scale: whether a guidance scale [B] is an input, 1 where it is not
    given, as in a network that was distilled from a guided one (`distillation`). Raises ValueError where text or a scale does not
    fit the network, and where H or W is not a multiple of 2^(resolutions − 1).
    """

    def __init__(
        self,
        in_channels: int = 4,
        width: int = 64,
        multipliers: tuple[int, ...] = (1, 2),
        blocks: int = 2,
        attention: tuple[int, ...] = (1,),
        heads: int = 4,
        num_classes: int | Sequence[int] | None = 10,
        context: int = 0,
        takes_scale: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(in_channels=in_channels, width=width)
        check_sizes(1, MAX_DEPTH, blocks=blocks)
        check_sizes(0, heads=heads, context=context)
        if not isinstance(multipliers, Sequence) or not multipliers:
            raise ValueError(f"multipliers is {multipliers!r}, but a UNet has one or more resolutions, such as (1, 2).")
        check_sizes(**{f"multipliers[{i}]": m for i, m in enumerate(multipliers)})
        if not isinstance(attention, Collection):
            raise TypeError(f"attention is {attention!r}, but must hold the indices of resolutions, such as (1,).")
        for i in attention:
            check_integer("an index in attention", i, at_least=0)
        self.null_label, self.multiple, self.takes_scale = num_classes, 2 ** (len(multipliers) - 1), takes_scale
        embed = 4 * width
        channels = [width * m for m in multipliers]
        self.conditioning = Conditioning(embed, num_classes, takes_scale=takes_scale)
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, c = [width], width
        for i, out in enumerate(channels):
            for _ in range(blocks):
                self.down.append(Stage(c, out, embed, heads * (i in attention), context))
                skips.append(c := out)
            if i < len(channels) - 1:
                self.down.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.middle = nn.ModuleList([Stage(c, c, embed, heads, context), Stage(c, c, embed, 0)])
        for i, out in reversed(list(enumerate(channels))):
            for _ in range(blocks + 1):
                self.up.append(Stage(c + skips.pop(), out, embed, heads * (i in attention), context))
                c = out
            if i > 0:
                self.up.append(nn.Conv2d(c, c, 3, padding=1))
        self.norm = GroupNorm(c)
        self.head = zero_module(nn.Conv2d(c, in_channels, 3, padding=1))

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        y: Tensor | None = None,
        text: tuple[Tensor, Tensor] | None = None,
        scale: Tensor | None = None,
    ) -> Tensor:
        check_noisy_batch(x, t, f"[B, {self.stem.in_channels}, H, W]")
        if x.shape[-1] % self.multiple or x.shape[-2] % self.multiple:
            raise ValueError(
                f"x_t is {tuple(x.shape)}, but this UNet halves the sides: H and W must be multiples of {self.multiple}."
            )
        c = self.conditioning(t, y, scale)  # [B, 4·width]
        h = self.stem(x.to(self.stem.weight.dtype))
        skips = [h]
        for module in self.down:
            h = module(h, c, text) if isinstance(module, Stage) else module(h)
            skips.append(h)
        for stage in self.middle:
            h = stage(h, c, text)
        for module in self.up:
            if isinstance(module, Stage):
                h = module(torch.cat([h, skips.pop()], dim=1), c, text)
            else:
                h = module(F.interpolate(h, scale_factor=2, mode="nearest"))
        return self.head(F.silu(self.norm(h)))
