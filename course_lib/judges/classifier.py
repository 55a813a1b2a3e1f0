"""The workbook's own judge: a small residual network that reads Fashion-MNIST garments, 32×32.

It scores generators and never trains them: `features` feeds `course_lib.metrics` (Fréchet distance, KID, precision
and recall), the logits say whether a sample is of the wanted class, and their calibrated confidence whether it can be
read at all. Group normalisation, so that a picture's score does not depend on what else is in its batch.

    net = Classifier()
    train(net, classifier_loss, (images, labels), TrainConfig(**TRAINING))
    calibrate(net, held_out_images, held_out_labels)
    features, logits = read(net, samples)
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.images import as_float
from course_lib.layers import GroupNorm

# What `course_lib.training.TrainConfig` takes; with all 60,000 images about five epochs.
TRAINING = {"steps": 2400, "batch_size": 128, "lr": 4e-3, "weight_decay": 0.05, "ema_decay": None, "channels_last": True}


class ResidualBlock(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), the identity at first (He et al. 2016b, fig. 1b; zero-initialised)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1, self.norm2 = GroupNorm(channels), GroupNorm(channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(self.norm1(x)))
        return x + self.conv2(F.relu(self.norm2(h)))


class Classifier(nn.Module):
    """Three residual blocks at 1/2, 1/4 and 1/8 of the size, then 64 features, then the classes.

    Args:
        in_channels: of the images. num_classes: of the labels.
        widths: channels of the three blocks, multiples of 8.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, widths: tuple[int, int, int] = (16, 32, 64)):
        super().__init__()
        self.in_channels = in_channels
        a, b, c = widths
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, a, 4, stride=2, padding=1),  # [B, a, H/2, W/2]
            ResidualBlock(a),
            nn.Conv2d(a, b, 2, stride=2),  # [B, b, H/4, W/4]
            ResidualBlock(b),
            nn.Conv2d(b, c, 2, stride=2),  # [B, c, H/8, W/8]
            ResidualBlock(c),
            GroupNorm(c),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),  # nothing to do at 32×32; larger images come down to the same 4×4
            nn.Flatten(),
            nn.Linear(16 * c, 64),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(64, num_classes))

    def features(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in [-1, 1], H and W at least 32 -> features [B, 64], before the last ReLU."""
        if x.ndim != 4 or x.shape[1] != self.in_channels or min(x.shape[-2:]) < 32:
            raise ValueError(
                f"The classifier was given {tuple(x.shape)}: it reads images [B, {self.in_channels}, H, W] of at least "
                "32×32 pixels."
            )
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """Images as for `features` -> logits [B, num_classes]."""
        return self.head(self.features(x))


def augment(images: Tensor, generator: torch.Generator, shift: int = 1, mirror: bool = False) -> Tensor:
    """Each image moved by up to `shift` pixels both ways, border pixels repeated; with `mirror` half are mirrored.

    Not mirrored by default: nearly all shoes of Fashion-MNIST point to the left, and a judge should see a wrong one.

    Args: images: [B, C, H, W], any type. generator: on the device of the images.
    """
    b, _, h, w = images.shape
    at = {"generator": generator, "device": images.device}
    down, right = torch.randint(-shift, shift + 1, (2, b, 1), **at)
    rows = (torch.arange(h, device=images.device) + down).clamp(0, h - 1)
    columns = (torch.arange(w, device=images.device) + right).clamp(0, w - 1)
    if mirror:
        columns = torch.where(torch.randint(2, (b, 1), **at).bool(), columns.flip(1), columns)
    picked = images[torch.arange(b, device=images.device)[:, None, None], :, rows[:, :, None], columns[:, None]]
    return picked.permute(0, 3, 1, 2)  # the indexing put channels last


def classifier_loss(net: nn.Module, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
    """Cross-entropy in nats of augmented images, labels smoothed by 0.02; what `course_lib.training.train` calls.

    Args: batch: images [B, C, H, W], uint8 or floats in [-1, 1], and labels [B].
    """
    images, labels = batch
    return F.cross_entropy(net(as_float(augment(images, generator))).float(), labels, label_smoothing=0.02)


@torch.no_grad()
def read(net: Classifier, images: Tensor, batch_size: int = 500) -> tuple[Tensor, Tensor]:
    """Features [N, 64] and logits [N, num_classes] of any number of images, without gradients.

    Args: images: [N, C, H, W], uint8 or floats in [-1, 1] (others are clamped), on the device of `net`.
    """
    features = torch.cat([net.features(as_float(part).clamp(-1, 1)) for part in images.split(batch_size)])
    return features, net.head(features)


def calibrate(net: Classifier, images: Tensor, labels: Tensor) -> float:
    """Divide the logits by the temperature that makes held-out labels most likely (Guo et al. 2017, eq. 9).

    It is folded into the last layer, so that the confidence of `net` is honest from then on; labels and features
    stay as they are.

    Args: images, labels: as for `classifier_loss`, not seen in training; a few thousand.
    Returns: the temperature; above 1 where the network was too sure of itself.
    """
    temperature = best_temperature(read(net, images)[1], labels)
    with torch.no_grad():
        net.head[1].weight.div_(temperature)
        net.head[1].bias.div_(temperature)
    return temperature


def best_temperature(logits: Tensor, labels: Tensor, widest: float = 4.0) -> float:
    """What to divide logits [N, K] by so that the labels [N] become most likely (Guo et al. 2017, eq. 9).

    widest: one of 401 values in equal ratios is found, from 1 / widest to widest.
    """
    logits, labels = logits.double().cpu(), labels.cpu()
    temperatures = torch.logspace(-1, 1, 401, base=widest, dtype=torch.float64)

    def loss(i: int) -> float:
        return F.cross_entropy(logits / temperatures[i], labels).item()

    low, high = 0, len(temperatures) - 1
    while low < high:  # the loss is convex in 1 / temperature: it falls, then rises
        middle = (low + high) // 2
        low, high = (low, middle) if loss(middle) <= loss(middle + 1) else (middle + 1, high)
    return temperatures[low].item()
