"""A UNet as denoising network (Ho et al. 2020; Dhariwal & Nichol 2021): residual blocks down, across and up."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.layers import Conditioning, CrossAttention, GroupNorm, ResBlock, SelfAttention, zero_module


class Attention2d(nn.Module):
    """Self-attention over the positions of a feature map, beside a shortcut: [B, C, H, W] → [B, C, H, W]."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels)
        self.attention = SelfAttention(channels, heads)
        zero_module(self.attention.out)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [B, H·W, C]
        return x + self.attention(tokens).transpose(1, 2).reshape(x.shape)


class TextAttention2d(nn.Module):
    """Each position of a feature map looks at the words of a caption, beside a shortcut: [B, C, H, W] → [B, C, H, W]."""

    def __init__(self, channels: int, context: int, heads: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels)
        self.attention = CrossAttention(channels, context, heads)
        zero_module(self.attention.out)

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # [B, H·W, C]
        return x + self.attention(tokens, words, mask).transpose(1, 2).reshape(x.shape)


class Stage(nn.Module):
    """One residual block at one resolution; where asked, with attention behind it, and attention to a caption behind that."""

    def __init__(self, in_channels: int, out_channels: int, embed: int, heads: int, context: int = 0) -> None:
        super().__init__()
        self.block = ResBlock(in_channels, out_channels, embed)
        self.attention = Attention2d(out_channels, heads) if heads else nn.Identity()
        self.reading = TextAttention2d(out_channels, context, heads) if heads and context else None

    def forward(self, x: Tensor, c: Tensor, text: tuple[Tensor, Tensor] | None = None) -> Tensor:
        h = self.attention(self.block(x, c))
        return h if self.reading is None else self.reading(h, *text)


class UNet(nn.Module):
    """A denoising network: x_t [B, C, H, W], t [B] in 1…T, y [B], [B, F] or None → [B, C, H, W].

    H and W must be multiples of 2^(levels − 1), or a ValueError says so. width: channels at full resolution;
    multipliers: of each level. blocks: residual blocks a level. attention: which levels attend (0 = full resolution); the
    middle always does. num_classes, ``null_label``: as in DiT. context: where above 0, every stage that attends looks at a
    caption too, text = (features [B, L, context], mask bool [B, L]); a ValueError where such a network is given none.
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
    ) -> None:
        super().__init__()
        self.null_label, self.multiple, self.context = num_classes, 2 ** (len(multipliers) - 1), context
        embed = 4 * width
        channels = [width * m for m in multipliers]
        self.conditioning = Conditioning(embed, num_classes)
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, c = [width], width
        for level, out in enumerate(channels):
            for _ in range(blocks):
                self.down.append(Stage(c, out, embed, heads * (level in attention), context))
                skips.append(c := out)
            if level < len(channels) - 1:
                self.down.append(nn.Conv2d(c, c, 3, stride=2, padding=1))
                skips.append(c)
        self.middle = nn.ModuleList([Stage(c, c, embed, heads, context), Stage(c, c, embed, 0)])
        for level, out in reversed(list(enumerate(channels))):
            for _ in range(blocks + 1):
                self.up.append(Stage(c + skips.pop(), out, embed, heads * (level in attention), context))
                c = out
            if level > 0:
                self.up.append(nn.Conv2d(c, c, 3, padding=1))
        self.norm = GroupNorm(c)
        self.head = zero_module(nn.Conv2d(c, in_channels, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None, text: tuple[Tensor, Tensor] | None = None) -> Tensor:
        if self.context and text is None:
            raise ValueError("This UNet reads captions: give it text=(features, mask), for example of a TextTransformer.")
        if x.shape[-1] % self.multiple or x.shape[-2] % self.multiple:
            raise ValueError(
                f"x_t is {tuple(x.shape)}, but this UNet halves the sides: they must be multiples of {self.multiple}."
            )
        c = self.conditioning(t, y)  # [B, 4·width]
        h = self.stem(x)
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
