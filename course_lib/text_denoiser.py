"""A denoising network conditioned on text: a text transformer, and a UNet with cross-attention to its tokens."""

from typing import Any

from torch import Tensor, nn

from course_lib.arguments import check_tensor
from course_lib.diffusion import NullCaption
from course_lib.layers import check_noisy_batch
from course_lib.text import TextTransformer, tokenise
from course_lib.unet import UNet


class TextDenoiser(nn.Module):
    """x_t [B, C, H, W], t [B] in 1…T, tokens int64 [B, L] or None → [B, C, H, W] (Rombach et al. 2022, section 3.3).

    Both parts are trained together with the diffusion loss alone (their eq. 3). The caption enters only through cross-attention.
    text_dim, text_depth: of the TextTransformer; unet: arguments of the UNet. ``null_label``: the tokens of the empty caption,
    used where y is None; unlike labels, the tokens of a caption are dropped all together, never one by one.
    """

    null_tokens: Tensor

    def __init__(self, text_dim: int = 128, text_depth: int = 2, **unet: Any) -> None:
        super().__init__()
        self.null_label = NullCaption(tokenise("")[0].tolist())
        self.register_buffer("null_tokens", tokenise("")[0], persistent=False)
        self.text = TextTransformer(text_dim, text_depth)
        self.unet = UNet(num_classes=None, context=text_dim, **unet)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        check_noisy_batch(x, t, "[B, C, H, W]")
        if y is None:
            y = self.null_tokens.expand(len(t), -1)
        check_tensor("y", y, "[B, L]", "integer", least=0)
        if len(y) != len(x):
            raise ValueError(f"There are {len(y)} captions for {len(x)} noisy images, but each needs one.")
        text = self.text(y)
        return self.unet(x, t, text=(text.features, text.mask))
