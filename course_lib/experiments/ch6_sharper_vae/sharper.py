"""Experiments of the further notebook on sharpness: why squared error blurs, and what two other losses mend and cost."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.adversarial import PatchCritic, adaptive_weight, critic_loss, generator_loss
from course_lib.codec import posterior
from course_lib.device import Machine
from course_lib.images import as_float, of_length, patches
from course_lib.judges.factor_reader import FactorReader
from course_lib.metrics import frechet_distance, psnr, ssim
from course_lib.perceptual import perceptual_distance
from course_lib.training import TrainConfig, train
from course_lib.vae import ELBO, VAE, log_likelihood

# ------------------------------------------------------------------------------------------------- one number, two answers


class Toy(NamedTuple):
    """One pixel that is about -1 or about +1, and the code does not say which: its density, and three losses of an answer.

    Everything [K], over answers a on an even grid: density p(a); squared error, distance in the features |x|, and
    log p(a) with its sign turned, which is what a perfect critic leaves to minimise.
    """

    answer: Tensor
    density: Tensor
    squared: Tensor
    features: Tensor
    critic: Tensor


def toy(spread: float = 0.1, share: float = 0.5) -> Toy:
    """The toy in closed form. spread: standard deviation about each of the two values; share: of the upper one.

    A critic that knows the densities p (real) and q (answers) says log p − log q (Goodfellow et al. 2014, prop. 1). To one
    answer, which cannot spread itself, only the first term matters.
    """
    a = torch.arange(-300, 301, dtype=torch.float64) / 200
    parts = [torch.distributions.Normal(torch.tensor(m, dtype=torch.float64), spread) for m in (-1.0, 1.0)]
    weights = torch.tensor([1 - share, share], dtype=torch.float64)
    log_p = torch.stack([part.log_prob(a) + w.log() for part, w in zip(parts, weights, strict=True)]).logsumexp(0)
    p = log_p.exp() / log_p.exp().sum()
    errors = {f: ((f(a)[:, None] - f(a)[None]).square() * p).sum(1) for f in (torch.positive, torch.abs)}
    return Toy(a, log_p.exp(), errors[torch.positive], errors[torch.abs], -log_p)


# ------------------------------------------------------------------------------------------------ one picture, many answers


def places(images: Tensor, reach: int = 2) -> Tensor:
    """The pictures [N, C, H, W] with everything moved sideways by -reach … reach pixels: [2·reach + 1, N, C, H, W].

    What comes in at a side repeats the outermost column.
    """
    wide = F.pad(images, (reach, reach, 0, 0), mode="replicate")
    return torch.stack([wide[..., i : i + images.shape[-1]] for i in range(2 * reach + 1)])


class Expected(NamedTuple):
    """What two answers cost on average: the mean of all that is possible, and one of the possible, picked by chance."""

    mean: float
    sharp: float


@torch.no_grad()
def expected(possible: Tensor, distance: Callable[[Tensor, Tensor], Tensor]) -> Expected:
    """Both answers' mean distance to a truth that is any of the `possible` [K, N, C, H, W] with the same chance.

    distance: of pairs of images [N, C, H, W], giving [N]. With squared error `sharp` is twice `mean`, whatever the pictures:
    the variance is half the mean square of the difference of two draws.
    """
    middle = possible.mean(0)
    mean = torch.stack([distance(middle, truth).mean() for truth in possible])
    sharp = torch.stack([distance(answer, truth).mean() for answer in possible for truth in possible])
    return Expected(mean.mean().item(), sharp.mean().item())


def blur(images: Tensor, side: int) -> Tensor:
    """Every pixel becomes the mean of the side × side (odd) pixels about it; beyond the border the outermost ones repeat."""
    reach = side // 2
    return F.avg_pool2d(F.pad(images, (reach,) * 4, mode="replicate"), side, stride=1)


def damaged(images: Tensor, error: float, seed: int = 0) -> dict[str, Tensor]:
    """Images [N, C, H, W] made lighter, blurred, and noisy: each exactly `error` (root mean square) away from its original."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed)).to(images.device)
    ways = {"lighter": torch.ones_like(images), "blurred": blur(images, 7) - images, "noisy": noise}
    length = torch.full((len(images),), error * images[0].numel() ** 0.5, device=images.device)
    return {name: images + of_length(way, length) for name, way in ways.items()}


# --------------------------------------------------------------------------------------------------- three ways to go on

_CONFIG = TrainConfig(
    batch_size=16, lr=5e-4, betas=(0.5, 0.99), warmup_steps=20, grad_clip=1.0, ema_decay=0.98, channels_last=True, progress=False
)


class Contest(nn.Module):
    """A VAE and the critic of its copies side by side, so that one training loop steps both."""

    def __init__(self, vae: VAE, critic: PatchCritic) -> None:
        super().__init__()
        self.vae, self.critic = vae, critic


@torch.no_grad()
def copies(vae: VAE, images: Tensor, batch: int = 100) -> Tensor:
    """The pictures decoded from the means of their posteriors, clamped to [-1, 1]: images uint8 or floats [N, C, H, W]."""
    return torch.cat([vae(as_float(x)).clamp(-1, 1) for x in images.split(batch)])


def taught_critic(real: Tensor, fake: Tensor, machine: Machine, steps: int = 150, seed: int = 0) -> PatchCritic:
    """A critic that has learned, from scratch, to tell the patches of real [N, 3, H, W] from those of fake ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        critic = PatchCritic(real.shape[1])

    def objective(critic: PatchCritic, batch: tuple[Tensor, Tensor], generator: torch.Generator) -> Tensor:
        return critic_loss(*(critic(as_float(x)).float() for x in batch))

    config = replace(_CONFIG, steps=steps, lr=2e-3, seed=seed, ema_decay=None)
    return train(critic, objective, (real, fake), config, machine=machine).net


@torch.no_grad()
def told_apart(critic: PatchCritic, real: Tensor, fake: Tensor) -> float:
    """The share of patches, real and fake in equal parts, that the critic puts on the right side of 0; 0.5 is guessing."""
    right = (critic(as_float(real)) > 0).double().mean() + (critic(as_float(fake)) < 0).double().mean()
    return (right / 2).item()


def sharpen(
    vae: VAE,
    images: Tensor,
    machine: Machine,
    reader: FactorReader | None = None,
    perceptual: float = 0.0,
    adversarial: float = 0.0,
    steps: int = 300,
    seed: int = 0,
) -> VAE:
    """Train a copy of the VAE further on images (uint8 [N, 3, 64, 64]) and return it.

    The loss: the negative ELBO for each number of the picture, plus `perceptual` times the distance in the reader's features,
    plus `adversarial` times the critic's opinion at its adaptive weight (Esser et al. 2021, eq. 5 to 7).
    """
    vae = copy.deepcopy(vae).requires_grad_(True)
    critic = taught_critic(images, copies(vae, images), machine, seed=seed) if adversarial else PatchCritic()
    numbers, last = images[0].numel(), vae.decoder[-1].weight

    def objective(both: Contest, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        x = as_float(batch[0])
        q = both.vae.encode(x)
        decoded = both.vae.decode(q.sample(generator))
        elbo = ELBO(log_likelihood(x, decoded.float(), vae.noise_std), q.kl())
        loss = elbo.loss() / numbers
        if perceptual:
            loss = loss + perceptual * perceptual_distance(reader, decoded, x).mean()
        if adversarial:
            both.critic.requires_grad_(False)  # in this part it judges, and does not learn
            opinion = generator_loss(both.critic(decoded).float())
            both.critic.requires_grad_(True)
            loss = loss + adversarial * adaptive_weight(loss, opinion, last) * opinion
            loss = loss + critic_loss(both.critic(x).float(), both.critic(decoded.detach()).float())
        return loss

    result = train(Contest(vae, critic), objective, (images,), replace(_CONFIG, steps=steps, seed=seed), machine=machine)
    return result.ema.vae


def blend(one: VAE, other: VAE, share: float) -> VAE:
    """A VAE whose every weight lies between those of two, `share` of the way (0..1) to the other; both stay as they are.

    It works for two that were trained on from the same weights ("network interpolation", Wang et al. 2018, ESRGAN, section 3.4).
    """
    between = copy.deepcopy(one)
    for weight, goal in zip(between.parameters(), other.parameters(), strict=True):
        weight.data.lerp_(goal.data, share)
    return between


# ---------------------------------------------------------------------------------------------------------- the figures


def detail(images: Tensor) -> float:
    """Root mean square of what a blur over 3×3 pixels takes away: images [N, C, H, W]."""
    return (images - blur(images, 3)).square().mean().sqrt().item()


@dataclass(frozen=True)
class Report:
    """How a VAE copies pictures that it has not seen, and what its latents are like.

    psnr in dB; ssim; features: mean perceptual distance; patches: Fréchet distance of the 4×4 patches' 48 numbers; detail:
    as a share of the originals' own; told_apart: by a critic fresh from training on other pictures, 0.5 is guessing; kl in
    nats per image; std: of the latent means, channel by channel.
    """

    psnr: float
    ssim: float
    features: float
    patches: float
    detail: float
    told_apart: float
    kl: float
    std: tuple[float, ...]


@torch.no_grad()
def report(vae: VAE, reader: FactorReader, images: Tensor, machine: Machine, critic_images: Tensor) -> Report:
    """All figures of one VAE on images, uint8 [N, 3, 64, 64]; critic_images: others, with which the fresh critic learns."""
    x, fake, q = as_float(images), copies(vae, images), posterior(vae, images)
    with torch.enable_grad():
        critic = taught_critic(critic_images, copies(vae, critic_images), machine, seed=1)
    return Report(
        psnr(fake, x).item(),
        ssim(fake, x).item(),
        torch.cat([perceptual_distance(reader, *pair) for pair in zip(fake.split(100), x.split(100), strict=True)]).mean().item(),
        frechet_distance(patches(fake, 4), patches(x, 4)),
        detail(fake) / detail(x),
        told_apart(critic, x, fake),
        q.kl().mean().item(),
        tuple(q.mean.std((0, 2, 3)).tolist()),
    )
