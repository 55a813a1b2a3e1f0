"""The factor reader: a small network that predicts the factors from which an image of teddies was drawn.

It does for the Teddies what `course_lib.judges.classifier` does for Fashion-MNIST, but predicts each factor separately, so that
a chapter can ask of any image, drawn, decoded or sampled, which of its factors can still be recognised.

    net = FactorReader()
    train(net, reader_loss, (images, discrete, continuous), config)         # as the recipe teddies-reader does
    factor_accuracy(net, images, factors)          # {"fur": 0.99, …, "x": 0.98, …}
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.arguments import check_integer, check_labels, check_list, check_same_length, check_sizes, check_tensor
from course_lib.images import as_float
from course_lib.layers import GroupNorm, ResBlock
from course_lib.teddies import CONTINUOUS, SEMANTIC, VALUES, Factors, check_is_factors

#: The discrete factors that it predicts, one class each; the continuous ones, one value in [-1, 1] each, are CONTINUOUS.
NAMED_FACTORS = (*SEMANTIC, "fabric")
NUM_VALUES = tuple(len(VALUES[name]) for name in NAMED_FACTORS)
NUM_FEATURES = 128
SIDE = 64  # of the images that it was trained on, in pixels


class FactorReader(nn.Module):
    """Four halvings of an image [B, 3, 64, 64] in [-1, 1], then 128 features, then a prediction of each factor.

    Larger squares, of 128, 192, … pixels, are averaged to 64×64 first. width: channels after the first halving; the next has
    twice, the last two four times as many.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        check_sizes(width=width)
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
            nn.Flatten(),  # not averaged: the position of the bear is a factor, too
            nn.Linear(16 * c, NUM_FEATURES),
        )
        self.head = nn.Sequential(nn.SiLU(), nn.Linear(NUM_FEATURES, sum(NUM_VALUES) + len(CONTINUOUS)))

    def features(self, images: Tensor) -> Tensor:
        """Images [B, 3, S, S] in [-1, 1] → features [B, 128], for learned distances. ValueError: S is no multiple of 64."""
        check_tensor("images", images, "", "float", least=0)
        side = images.shape[-1] if images.ndim == 4 else 0
        if not side or side % SIDE or tuple(images.shape[1:]) != (3, side, side):
            raise ValueError(
                f"The images are {tuple(images.shape)}, but the reader takes [B, 3, 64, 64], or squares of a multiple of 64 "
                "pixels: resize them."
            )
        return self.body(F.avg_pool2d(images.to(next(self.parameters()).dtype), side // SIDE))

    def forward(self, images: Tensor) -> Tensor:
        """Images as for `features` → [B, logits of all NAMED_FACTORS, then the CONTINUOUS ones]; see `split_outputs`."""
        return self.head(self.features(images))


def split_outputs(out: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Split the network's output by factor: logits {name: [B, classes]}, and the continuous factors [B, K] as in CONTINUOUS."""
    check_tensor("out", out, f"[B, {sum(NUM_VALUES) + len(CONTINUOUS)}]", "float", least=0)
    *logits, continuous = out.float().split([*NUM_VALUES, len(CONTINUOUS)], dim=1)
    return dict(zip(NAMED_FACTORS, logits, strict=True)), continuous


def factor_targets(factors: Factors) -> tuple[Tensor, Tensor]:
    """The training targets: indices of the NAMED_FACTORS, int64 [N, 6], and the CONTINUOUS factors, float32 [N, K]."""
    check_is_factors(factors)
    named, continuous = (torch.stack([getattr(factors, name) for name in names], dim=1) for names in (NAMED_FACTORS, CONTINUOUS))
    return named, continuous


def reader_loss(net: FactorReader, batch: tuple[Tensor, Tensor, Tensor], generator: torch.Generator) -> Tensor:
    """Cross-entropies in nats plus ten times the squared error, on images degraded as a decoder or sampler might degrade them.

    batch: images [B, 3, 64, 64], uint8 or floats in [-1, 1], and their `factor_targets`. `corrupt` blurs a third of the images
    and adds noise to another third, so that the reader judges what is drawn and not how sharply.
    """
    check_list("batch", batch, 3, "tensors: images and their factor_targets")
    images, named, continuous = batch
    check_tensor("images", images, "[B, 3, 64, 64]")
    return prediction_loss(net(corrupt(as_float(images), generator)), named, continuous)


def prediction_loss(out: Tensor, named: Tensor, continuous: Tensor) -> Tensor:
    """Cross-entropies in nats plus ten times the squared error of the network's output [B, K]; targets as in `factor_targets`."""
    check_tensor("out", out, f"[B, {sum(NUM_VALUES) + len(CONTINUOUS)}]", "float")
    check_tensor("named", named, f"[{len(out)}, {len(NAMED_FACTORS)}]", "integer")
    check_tensor("continuous", continuous, f"[{len(out)}, {len(CONTINUOUS)}]", "float")
    for i, name in enumerate(NAMED_FACTORS):
        check_labels(name, named[:, i], NUM_VALUES[i])
    logits, values = split_outputs(out)
    cross_entropies = [F.cross_entropy(logits[name], named[:, i].long()) for i, name in enumerate(NAMED_FACTORS)]
    return sum(cross_entropies, start=values.new_zeros(())) + 10 * F.mse_loss(values, continuous)


def corrupt(images: Tensor, generator: torch.Generator) -> Tensor:
    """Leave a random third of the images unchanged, average a third over 3×3 pixels, add noise of std 0.15 to a third."""
    check_tensor("images", images, "[B, C, H, W]", "float")
    choice = torch.randint(3, (len(images), 1, 1, 1), device=images.device, generator=generator)
    noise = torch.randn(images.shape, device=images.device, generator=generator)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return torch.where(choice == 0, images, torch.where(choice == 1, blurred, images + 0.15 * noise))


@torch.no_grad()
def read_factors(net: FactorReader, images: Tensor, batch_size: int = 250) -> tuple[dict[str, Tensor], Tensor]:
    """Predict the factors of any number of images [N, 3, S, S], uint8 or floats (clamped to [-1, 1]): as `split_outputs`."""
    check_tensor("images", images, "[N, 3, H, W]")
    batch_size = check_integer("batch_size", batch_size, at_least=1)
    return split_outputs(torch.cat([net(as_float(part).clamp(-1, 1)) for part in images.split(batch_size)]))


def factor_accuracy(net: FactorReader, images: Tensor, factors: Factors) -> dict[str, float]:
    """How well the network predicts each factor of the images: accuracy for NAMED_FACTORS, R² for CONTINUOUS ones.

    R² is 1 for perfect predictions and 0 or less for uninformative ones; it is nan for a factor that does not vary. factors:
    those that the images should show, one each.
    """
    check_tensor("images", images, "[N, 3, H, W]")
    check_is_factors(factors)
    check_same_length("images", images, "factors", factors.count)
    logits, values = read_factors(net, images)
    named, continuous = factor_targets(factors.to(images.device))
    accuracies = {name: (logits[name].argmax(1) == named[:, i]).double().mean().item() for i, name in enumerate(NAMED_FACTORS)}
    unexplained = (values - continuous).square().mean(0) / continuous.var(0, unbiased=False)
    return accuracies | dict(zip(CONTINUOUS, (1 - unexplained).tolist(), strict=True))
