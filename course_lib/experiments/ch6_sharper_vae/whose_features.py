"""What a distance in features minds, and why: the trained reader, readers with random weights, one trained without any noise.

And the image that a distance in features likes best while several are possible, found by gradient descent.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from course_lib import teddies
from course_lib.arguments import check_dictionary, check_integer, check_list, check_number, check_tensor
from course_lib.device import Machine
from course_lib.experiments.limits import MAX_STEPS
from course_lib.images import as_float
from course_lib.judges.factor_reader import FactorReader, factor_targets, prediction_loss
from course_lib.perceptual import feature_maps
from course_lib.recipes import build
from course_lib.training import TrainConfig, train

#: The distances of pairs of images [N, C, H, W]: [N].
Distance = Callable[[Tensor, Tensor], Tensor]


def untrained_readers(seeds: Sequence[int], machine: Machine) -> list[FactorReader]:
    """Build readers with random weights, one for each seed, as a reader is before its training."""
    check_list("seeds", seeds, None, "integers")
    nets = [build(FactorReader, {}, check_integer("a seed", seed, 0, 2**63 - 1)) for seed in seeds]
    return [net.to(machine.device).requires_grad_(False) for net in nets]


def train_reader_without_noise(machine: Machine, steps: int = 150, images: int = 3000, seed: int = 0) -> FactorReader:
    """Train a reader on drawings as they are: neither blurred nor noisy, otherwise as the shipped one but for fewer steps."""
    steps, images = check_integer("steps", steps, 1, MAX_STEPS), check_integer("images", images, 64, 100_000)
    config = TrainConfig(
        steps=steps, batch_size=64, lr=3e-3, weight_decay=0.02, ema_decay=0.98, channels_last=True, seed=seed, progress=False
    )
    drawn, factors = teddies.dataset(images, 24, device=machine.device)
    net = build(FactorReader, {}, seed)
    return train(net, _clean_loss, (drawn, *factor_targets(factors)), config, machine=machine).ema.requires_grad_(False)


def _clean_loss(net: FactorReader, batch: tuple[Tensor, Tensor, Tensor], generator: torch.Generator) -> Tensor:
    """`reader_loss` without `corrupt`."""
    images, named, continuous = batch
    return prediction_loss(net(as_float(images)), named, continuous)


@torch.no_grad()
def distances_of_distortions(distorted: Mapping[str, Tensor], original: Tensor, distance: Distance) -> dict[str, float]:
    """Average the distance of each kind of distorted images [N, C, H, W] from the originals: {kind: mean}."""
    check_dictionary("distorted", distorted)
    check_tensor("original", original, "[N, C, H, W]", "float")
    return {kind: distance(images, original).mean().item() for kind, images in distorted.items()}


def best_answer(reader: FactorReader, possible: Tensor, steps: int = 100, lr: float = 0.02) -> Tensor:
    """Find images [N, 3, 64, 64] of least expected feature distance to a truth that is any of possible [K, N, 3, 64, 64].

    Adam starts from the mean of the possible images. E|φ(a) − φ(x)|² = |φ(a) − E φ(x)|² + Var φ(x), so that it is enough to
    approach the mean features. The result is a local minimum, clamped to [-1, 1].
    """
    check_tensor("possible", possible, "[K, N, 3, 64, 64]", "float")
    steps, lr = check_integer("steps", steps, 1, MAX_STEPS), check_number("lr", lr, above=0)
    with torch.no_grad():
        goals = [torch.stack(maps).mean(0) for maps in zip(*(feature_maps(reader, x) for x in possible), strict=True)]
    answer = possible.mean(0).requires_grad_(True)
    optimizer = torch.optim.Adam([answer], lr)
    for _ in range(steps):
        with torch.enable_grad():
            pairs = zip(feature_maps(reader, answer), goals, strict=True)
            loss = torch.stack([(found - goal).square().sum(1).mean((1, 2)).sum() for found, goal in pairs]).sum()
        (answer.grad,) = torch.autograd.grad(loss, answer)
        optimizer.step()
    return answer.detach().clamp(-1, 1)
