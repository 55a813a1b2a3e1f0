"""Pictures and captions in one space: CLIP's contrastive pair (Radford et al. 2021), at the workbook's size."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.layers import GroupNorm, ResBlock
from course_lib.text import TextTransformer

LARGEST_SCALE = 100.0  # CLIP, section 2.5


def similarity(images: Tensor, texts: Tensor) -> Tensor:
    """Cosines of the angles between image features [N, D] and text features [M, D]: [N, M] in [-1, 1]."""
    return F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T


def contrastive_loss(images: Tensor, texts: Tensor, scale: Tensor | float) -> Tensor:
    """CLIP's symmetric loss (Radford et al. 2021, figure 3), a scalar in nats.

    For each picture of the batch: which caption is its own? For each caption: which picture? Mean of both cross-entropies.

    images, texts: features [B, D], row i of both belongs together. scale: one over the temperature. Guessing costs log B; where
    k pictures of a batch share one caption, each of them costs log k at least.
    """
    logits = scale * similarity(images, texts)  # [B, B]
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


class LatentTower(nn.Module):
    """Latents [B, channels, 8, 8] → features [B, out]: convolutions, one halving, and a linear layer that knows each place.

    Not averaged over the places: a scarf is small, and where it sits says what it is. width: channels at 8×8; twice at 4×4.
    """

    def __init__(self, channels: int = 4, width: int = 32, out: int = 128) -> None:
        super().__init__()
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
        return self.body(latents)


class ImageTextPair(nn.Module):
    """Two towers that meet in one space of D features: pictures, as latents [B, 4, 8, 8], and captions, as tokens [B, L].

    The temperature is learned, as its logarithm, from CLIP's first value of 0.07 and never below 0.01 (section 2.5).
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
        return self.log_scale.clamp(max=math.log(LARGEST_SCALE)).exp()

    def forward(self, latents: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Features of pictures [B, D] and of captions [B', D], not yet brought to length 1: see `similarity`."""
        return self.image(latents), self.project(self.text(tokens).pooled)


class Retrieval(NamedTuple):
    """Accuracy at 1, shares of 1: pictures whose most similar caption is their own, captions whose most similar picture is
    one of theirs."""

    image_to_text: float
    text_to_image: float


def distinct(captions: Sequence[str]) -> tuple[list[str], Tensor]:
    """The different captions among these N, in order of appearance, and which of them each is, int64 [N]."""
    order = list(dict.fromkeys(captions))
    place = {caption: i for i, caption in enumerate(order)}
    return order, torch.tensor([place[caption] for caption in captions], dtype=torch.int64)


def hits(similar: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Which of N pictures find their caption, bool [N], and which of M *distinct* captions find a picture of theirs, bool [M].

    similar: [N, M]. own: int64 [N], each picture's caption, as from `distinct`. Several pictures may share a caption: then any of
    them is a right answer to it. ValueError where a caption has no picture, or `own` does not fit.
    """
    own = own.to(similar.device)
    every = torch.arange(similar.shape[1], device=own.device)
    if own.shape != similar.shape[:1] or not torch.equal(own.unique(), every):
        raise ValueError(
            f"similar is {tuple(similar.shape)}, so own must hold {similar.shape[0]} indices in which each of "
            f"0…{similar.shape[1] - 1} occurs; `distinct` makes them."
        )
    return similar.argmax(1) == own, own[similar.argmax(0)] == every


def retrieval(similar: Tensor, own: Tensor) -> Retrieval:
    """The shares of `hits`, accuracy at 1, both ways."""
    return Retrieval(*(found.double().mean().item() for found in hits(similar, own)))
