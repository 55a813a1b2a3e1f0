"""Contrastive learning of images and captions: CLIP (Radford et al. 2021), at the workbook's size."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.arguments import (
    can_look_at,
    check_finite,
    check_number,
    check_same_dtype,
    check_same_shape,
    check_sizes,
    check_tensor,
)
from course_lib.layers import GroupNorm, ResBlock, check_features
from course_lib.text import TextTransformer

MAX_SCALE = 100.0  # CLIP, section 2.5


def similarity(images: Tensor, texts: Tensor) -> Tensor:
    """Cosine similarity of image features [N, D] and text features [M, D]: [N, M] in [-1, 1]."""
    check_tensor("images", images, "[N, D]", "float")
    check_tensor("texts", texts, f"[M, {images.shape[1]}]", "float")
    check_same_dtype("images", images, "texts", texts)
    return F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor | float, excluded: Tensor | None = None) -> Tensor:
    """CLIP's symmetric loss (Radford et al. 2021, figure 3), a scalar in nats.

    For each image of the batch: which caption is its own? For each caption: which image? The mean of both cross-entropies.

    images, texts: features [B, D], row i of both a pair. scale: one over the temperature. excluded: bool [B, B], pairs (image,
    caption) that are left out of both softmaxes; the diagonal must be False. Guessing gives log B; where k images of a batch
    share one caption, each of them contributes at least log k.
    """
    if isinstance(scale, Tensor):
        check_tensor("scale", scale, "[]", "float")
    else:
        check_number("scale", scale)
    check_tensor("images", images, "[B, D]", "float")
    check_tensor("texts", texts, "[B, D]", "float")
    check_same_shape("images", images, "texts", texts)
    logits = scale * similarity(images, texts)  # [B, B]
    if excluded is not None:
        check_tensor("excluded", excluded, f"[{len(logits)}, {len(logits)}]", "bool")
        if can_look_at(excluded) and bool(excluded.diagonal().any()):
            raise ValueError("excluded is True on its diagonal, but an image and its own caption cannot be left out.")
        logits = logits.masked_fill(excluded, -math.inf)
    targets = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


class LatentTower(nn.Module):
    """The image encoder: latents [B, channels, 8, 8] → features [B, out], by convolutions, one halving and a linear layer.

    The features are not averaged over positions: a scarf is small, and its position says what it is. width: channels at 8×8,
    doubled at 4×4.
    """

    def __init__(self, channels: int = 4, width: int = 32, out: int = 128) -> None:
        super().__init__()
        check_sizes(channels=channels, width=width, out=out)
        self.channels = channels
        a, b = width, 2 * width
        self.body = nn.Sequential(
            nn.Conv2d(channels, a, 3, padding=1),  # [B, a, 8, 8]
            ResBlock(a, a),
            nn.Conv2d(a, b, 2, stride=2),  # [B, b, 4, 4]
            ResBlock(b, b),
            GroupNorm(b),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(16 * b, out),
        )

    def forward(self, latents: Tensor) -> Tensor:
        check_features("latents", latents, f"[B, {self.channels}, 8, 8]", next(self.parameters()))
        return self.body(latents)


class ImageTextPair(nn.Module):
    """An image encoder and a text encoder into one space of D features: latents [B, 4, 8, 8] and tokens [B, L].

    The logarithm of the temperature is learned, from CLIP's initial 0.07 and never below 0.01 (Radford et al. 2021, section 2.5).
    """

    def __init__(self, features: int = 128, width: int = 32, text_dim: int = 64, text_depth: int = 2) -> None:
        super().__init__()
        self.image = LatentTower(width=width, out=features)
        self.text = TextTransformer(text_dim, text_depth)
        self.project = nn.Linear(text_dim, features, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def scale(self) -> Tensor:
        """One over the temperature."""
        with torch.no_grad():  # the parameter itself, as CLIP does: a clamped copy has no gradient that would bring it back
            self.log_scale.clamp_(max=math.log(MAX_SCALE))
        return self.log_scale.exp()

    def forward(self, latents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Features of images [B, D] and of captions [B', D], not yet normalised: see `similarity`."""
        return self.image(latents), self.project(self.text(tokens).pooled)


class RetrievalAccuracy(NamedTuple):
    """Accuracy at 1, each 0..1: the fraction of images, and of captions, whose most similar counterpart is one of their own."""

    image_to_text: float
    text_to_image: float


def unique_captions(captions: Sequence[str]) -> tuple[list[str], Tensor]:
    """The M unique captions among these N, in order of appearance, and the index of each caption in them, int64 [N]."""
    if isinstance(captions, str) or not all(isinstance(caption, str) for caption in captions):
        raise TypeError("captions must be a list of texts.")
    unique = list(dict.fromkeys(captions))
    index = {caption: i for i, caption in enumerate(unique)}
    return unique, torch.tensor([index[caption] for caption in captions], dtype=torch.int64)


def correct_matches(similarities: Tensor, caption_of: Tensor) -> tuple[Tensor, Tensor]:
    """Which of N images retrieve their caption, bool [N], and which of M unique captions retrieve one of their images, bool [M].

    similarities: [N, M]. caption_of: int64 [N], the index of each image's caption, as from `unique_captions`. Several images may
    share a caption: then each of them is a correct answer to it. Raises ValueError where a caption has no image, or caption_of
    has the wrong shape.
    """
    check_tensor("similarities", similarities, "[N, M]", "float")
    check_finite("similarities", similarities)
    check_tensor("caption_of", caption_of, "", "integer")
    caption_of = caption_of.to(similarities.device)
    captions = torch.arange(similarities.shape[1], device=caption_of.device)
    if caption_of.shape != similarities.shape[:1] or not torch.equal(caption_of.unique(), captions):
        raise ValueError(
            f"similarities is {tuple(similarities.shape)}, so caption_of must hold {similarities.shape[0]} indices in which "
            f"each of 0…{similarities.shape[1] - 1} occurs: make them with `unique_captions`."
        )
    return similarities.argmax(1) == caption_of, caption_of[similarities.argmax(0)] == captions


def retrieval_accuracy(similarities: Tensor, caption_of: Tensor) -> RetrievalAccuracy:
    """Accuracy at 1 in both directions; arguments as for `correct_matches`."""
    images, captions = correct_matches(similarities, caption_of)
    return RetrievalAccuracy(images.double().mean().item(), captions.double().mean().item())
