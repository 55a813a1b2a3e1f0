"""The factor reader: a small network that reads from a picture of teddies what was drawn.

It is to Teddies what `course_lib.judges.classifier` is to Fashion-MNIST, but it answers a question for each factor, so that a
chapter can ask of any picture, drawn, decoded or sampled: which of the facts are still there?

    net = FactorReader()
    train(net, reader_loss, (images, discrete, continuous), TrainConfig(**TRAINING))
    accuracy(net, images, factors)          # {"fur": 0.99, …, "x": 0.98, …}
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.images import as_float
from course_lib.layers import GroupNorm, ResBlock
from course_lib.teddies import CONTINUOUS, SEMANTIC, VALUES, Factors

#: The factors with names that it reads, one answer each, and the continuous ones, one number in [-1, 1] each.
NAMED = (*SEMANTIC, "fabric")
LEVELS = tuple(len(VALUES[name]) for name in NAMED)
FEATURES = 128

TRAINING = {"steps": 3000, "batch_size": 64, "lr": 3e-3, "weight_decay": 0.02, "ema_decay": 0.99, "channels_last": True}


class FactorReader(nn.Module):
    """Four halvings of a picture [B, 3, 64, 64] in [-1, 1], then 128 features, then an answer for each factor.

    width: channels after the first halving; twice, then four times as many further down.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        a, b, c = width, 2 * width, 4 * width
        self.config = {"width": width}
        self.body = nn.Sequential(
            nn.Conv2d(3, a, 4, stride=2, padding=1),  # [B, a, 32, 32]
            nn.SiLU(),
            nn.Conv2d(a, b, 4, stride=2, padding=1),  # [B, b, 16, 16]
            ResBlock(b, b),
            nn.Conv2d(b, c, 2, stride=2),  # [B, c, 8, 8]
            ResBlock(c, c),
            nn.Conv2d(c, c, 2, stride=2),  # [B, c, 4, 4]
            ResBlock(c, c),
            GroupNorm(c),
            nn.SiLU(),
            nn.Flatten(),  # not averaged: where the bear sits is a factor, too
            nn.Linear(16 * c, FEATURES),
        )
        self.head = nn.Sequential(nn.SiLU(), nn.Linear(FEATURES, sum(LEVELS) + len(CONTINUOUS)))

    def features(self, images: Tensor) -> Tensor:
        """Pictures [B, 3, 64, 64] in [-1, 1] → features [B, 128]: what a learned distance compares."""
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, 64, 64):
            raise ValueError(f"The reader was given {tuple(images.shape)}: it reads pictures [B, 3, 64, 64]; resize them first.")
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures as for `features` → [B, logits of all NAMED factors, then the CONTINUOUS ones]; see `answers`."""
        return self.head(self.features(images))


def answers(out: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The network's output by factor: logits {name: [B, levels]}, and the continuous factors [B, K] as in CONTINUOUS."""
    *logits, continuous = out.float().split([*LEVELS, len(CONTINUOUS)], dim=1)
    return dict(zip(NAMED, logits, strict=True)), continuous


def targets(factors: Factors) -> tuple[Tensor, Tensor]:
    """What the reader should say: indices of the NAMED factors, int64 [N, 6], and the CONTINUOUS ones, float32 [N, K]."""
    return tuple(torch.stack([getattr(factors, name) for name in names], dim=1) for names in (NAMED, CONTINUOUS))


def reader_loss(net: FactorReader, batch: tuple[Tensor, Tensor, Tensor], generator: torch.Generator) -> Tensor:
    """Cross-entropies in nats plus ten times the squared error, on pictures as a decoder or sampler might spoil them.

    batch: pictures [B, 3, 64, 64], uint8 or [-1, 1] floats, and their `targets`. A third of the pictures is blurred and a
    third is noisy, at random, so that the reader judges what is drawn and not how crisply.
    """
    images, named, continuous = batch
    logits, numbers = answers(net(corrupt(as_float(images), generator)))
    wrong = sum(F.cross_entropy(logits[name], named[:, i]) for i, name in enumerate(NAMED))
    return wrong + 10 * F.mse_loss(numbers, continuous)


def corrupt(images: Tensor, generator: torch.Generator) -> Tensor:
    """A third of the pictures untouched, a third averaged over 3×3 pixels, a third with noise of standard deviation 0.15."""
    kind = torch.randint(3, (len(images), 1, 1, 1), device=images.device, generator=generator)
    noise = torch.randn(images.shape, device=images.device, generator=generator)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.where(kind == 0, images, torch.where(kind == 1, blurred, images + 0.15 * noise))


@torch.no_grad()
def read(net: FactorReader, images: Tensor, batch_size: int = 250) -> tuple[dict[str, Tensor], Tensor]:
    """`answers` for any number of pictures [N, 3, 64, 64], uint8 or floats (clamped to [-1, 1]), without gradients."""
    return answers(torch.cat([net(as_float(part).clamp(-1, 1)) for part in images.split(batch_size)]))


def accuracy(net: FactorReader, images: Tensor, factors: Factors) -> dict[str, float]:
    """How well each factor can be read: the share of right answers for NAMED ones, R² for CONTINUOUS ones.

    R² is 1 for perfect and 0 (or less) for no knowledge. The factors are those that the pictures should show.
    """
    logits, numbers = read(net, images)
    named, continuous = targets(factors.to(images.device))
    shares = {name: (logits[name].argmax(1) == named[:, i]).double().mean().item() for i, name in enumerate(NAMED)}
    left = (numbers - continuous).square().mean(0) / continuous.var(0, unbiased=False)
    return shares | dict(zip(CONTINUOUS, (1 - left).tolist(), strict=True))
