"""The workbook's own judge of generated images: a small residual network that classifies Fashion-MNIST, 32×32.

It evaluates generators and never trains them: `features` feeds `course_lib.metrics` (Fréchet distance, KID, precision
and recall), the logits show whether a sample is of the wanted class, and their calibrated confidence whether it is
recognisable at all. It uses group normalisation, so that an image's score does not depend on the rest of its batch.

    net = Classifier()
    train(net, classifier_loss, (images, labels), config)        # as the recipe fashion-classifier does
    calibrate(net, held_out_images, held_out_labels)
    features, logits = classify(net, samples)
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.arguments import (
    MAX_SIZE,
    check_finite,
    check_flag,
    check_integer,
    check_integers,
    check_labels,
    check_list,
    check_number,
    check_sizes,
    check_tensor,
)
from course_lib.images import as_float
from course_lib.layers import GroupNorm, ResBlock


class Classifier(nn.Module):
    """Three residual blocks (He et al. 2016b) at 1/2, 1/4 and 1/8 of the side, then 64 features, then the classes.

    Args:
        in_channels: of the images. num_classes: of the labels.
        widths: channels of the three blocks, multiples of 8.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, widths: tuple[int, int, int] = (16, 32, 64)) -> None:
        super().__init__()
        check_sizes(in_channels=in_channels, num_classes=num_classes)
        check_list("widths", widths, 3, "numbers of channels")
        a, b, c = check_integers("widths", widths, 1, MAX_SIZE)
        self.in_channels = in_channels
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, a, 4, stride=2, padding=1),  # [B, a, H/2, W/2]
            ResBlock(a, a, activation=F.relu),
            nn.Conv2d(a, b, 2, stride=2),  # [B, b, H/4, W/4]
            ResBlock(b, b, activation=F.relu),
            nn.Conv2d(b, c, 2, stride=2),  # [B, c, H/8, W/8]
            ResBlock(c, c, activation=F.relu),
            GroupNorm(c),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),  # no effect at 32×32; larger images are averaged to the same 4×4
            nn.Flatten(),
            nn.Linear(16 * c, 64),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(64, num_classes))

    def features(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in [-1, 1], H and W at least 32 -> features [B, 64], before the last ReLU."""
        check_tensor("images", x, "", "float", least=0)
        if x.ndim != 4 or x.shape[1] != self.in_channels or min(x.shape[-2:]) < 32:
            raise ValueError(
                f"The images are {tuple(x.shape)}, but the classifier takes [B, {self.in_channels}, H, W] of at least "
                "32×32 pixels."
            )
        return self.body(x.to(next(self.parameters()).dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Images as for `features` -> logits [B, num_classes]."""
        return self.head(self.features(x))


def augment(images: Tensor, generator: torch.Generator, shift: int = 1, mirror: bool = False) -> Tensor:
    """Shift each image randomly by up to `shift` pixels in both directions, repeating border pixels; `mirror` flips half of them.

    No flips by default: nearly all shoes of Fashion-MNIST point to the left, and a judge should notice one that does not.

    Args: images: [B, C, H, W], any dtype. generator: on the device of the images.
    """
    check_tensor("images", images, "[B, C, H, W]", "any")
    shift = check_integer("shift", shift, 0, max(images.shape[-2:]))
    check_flag("mirror", mirror)
    b, _, h, w = images.shape
    down, right = torch.randint(-shift, shift + 1, (2, b, 1), generator=generator, device=images.device)
    rows = (torch.arange(h, device=images.device) + down).clamp(0, h - 1)
    columns = (torch.arange(w, device=images.device) + right).clamp(0, w - 1)
    if mirror:
        flipped = torch.randint(2, (b, 1), generator=generator, device=images.device)
        columns = torch.where(flipped.bool(), columns.flip(1), columns)
    picked = images[torch.arange(b, device=images.device)[:, None, None], :, rows[:, :, None], columns[:, None]]
    return picked.permute(0, 3, 1, 2)  # the indexing put channels last


def classifier_loss(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
    """Cross-entropy in nats of augmented images, with label smoothing 0.02; a loss for `course_lib.training.train`.

    Args: batch: images [B, C, H, W], uint8 or floats in [-1, 1], and labels [B].
    """
    check_list("batch", batch, 2, "tensors: images and labels")
    images, labels = batch
    logits = net(as_float(augment(images, generator))).float()
    check_labels("labels", labels, logits.shape[1], len(images))
    return F.cross_entropy(logits, labels.long(), label_smoothing=0.02)


@torch.no_grad()
def classify(net: Classifier, images: Tensor, batch_size: int = 500) -> tuple[Tensor, Tensor]:
    """Compute features [N, 64] and logits [N, num_classes] of any number of images, without gradients.

    Args: images: [N, C, H, W], uint8 or floats in [-1, 1] (others are clamped), on the device of `net`.
    """
    check_tensor("images", images, "[N, C, H, W]")
    batch_size = check_integer("batch_size", batch_size, at_least=1)
    features = torch.cat([net.features(as_float(part).clamp(-1, 1)) for part in images.split(batch_size)])
    return features, net.head(features)


def calibrate(net: Classifier, images: Tensor, labels: Tensor) -> float:
    """Calibrate the network in place by temperature scaling on held-out images (Guo et al. 2017, eq. 9).

    The temperature is folded into the last layer. Predicted classes and features do not change.

    Args: images, labels: as for `classifier_loss`, not seen in training; a few thousand.
    Returns: the temperature; above 1 where the network was overconfident.
    """
    temperature = best_temperature(classify(net, images)[1], labels)
    last = net.head[1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.div_(temperature)
        last.bias.div_(temperature)
    return temperature


def best_temperature(logits: Tensor, labels: Tensor, max_temperature: float = 4.0) -> float:
    """Find the temperature by which to divide logits [N, K] so that the labels [N] are most likely (Guo et al. 2017, eq. 9).

    The result is one of 401 values in geometric progression from 1 / max_temperature to max_temperature.
    """
    check_tensor("logits", logits, "[N, K]", "float")
    check_finite("logits", logits)
    check_labels("labels", labels.cpu() if isinstance(labels, Tensor) else labels, logits.shape[1], len(logits))
    check_number("max_temperature", max_temperature, above=1)
    logits, labels = logits.double().cpu(), labels.long().cpu()
    temperatures = torch.logspace(-1, 1, 401, base=max_temperature, dtype=torch.float64)

    def loss(i: int) -> float:
        return F.cross_entropy(logits / temperatures[i], labels).item()

    low, high = 0, len(temperatures) - 1
    while low < high:  # the loss is convex in 1 / temperature: it falls, then rises
        middle = (low + high) // 2
        low, high = (low, middle) if loss(middle) <= loss(middle + 1) else (middle + 1, high)
    return temperatures[low].item()
