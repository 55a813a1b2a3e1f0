"""Chapter 3's experiments: the ELBO taken apart, what a prior does to a space of codes, and what it leaves undone."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import teddies
from course_lib.autoencoder import Autoencoder
from course_lib.codec import posterior
from course_lib.device import Machine
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.latents import READABLE, codes, decode, gaussian_like
from course_lib.images import as_float, to_float, to_uint8
from course_lib.metrics import neighbour_agreement, psnr
from course_lib.training import TrainConfig, train
from course_lib.vae import ELBO, VAE, Posterior, elbo_loss, log_likelihood

_SHORT = TrainConfig(batch_size=64, lr=4e-3, betas=(0.9, 0.99), grad_clip=None, ema_decay=None, progress=False)

# --------------------------------------------------------------------------------------------------- the two terms


def toy_elbo(x: float, mean: Tensor, std: Tensor, weight: float = 1.0, noise_std: float = 0.5) -> ELBO:
    """The ELBO of the one-number model z ~ N(0, 1), x ~ N(weight·z, noise_std²) for q = N(mean, std²), in closed form, [N]."""
    fit = log_likelihood(torch.full_like(mean, x)[:, None], weight * mean[:, None], noise_std)
    spread = (weight * std / noise_std).square() / 2
    return ELBO(fit - spread, Posterior(mean[:, None], 2 * std.log()[:, None]).kl())


def toy_evidence(x: float, weight: float = 1.0, noise_std: float = 0.5) -> float:
    """log p(x) of the same model, whose x is Gaussian with variance weight² + noise_std²."""
    variance = weight**2 + noise_std**2
    return -(x**2 / variance + math.log(2 * math.pi * variance)) / 2


def kl_error(q: Posterior, counts: list[int], generator: torch.Generator, draws: int = 2**17) -> list[float]:
    """Root-mean-square error, in nats, of the Monte Carlo KL of one image's posterior ([1, C, h, w]) against the closed form.

    Each draw gives log q(z | x) − log p(z); an estimate is the mean of n of them, and ``draws`` make draws // n estimates.
    """
    mean, logvar = q.mean.flatten(), q.logvar.flatten()
    noise = torch.randn(draws, len(mean), device=mean.device, generator=generator)
    z = mean + (logvar / 2).exp() * noise
    terms = ((z.square() - noise.square() - logvar) / 2).sum(1).double()  # the two logs of 2π cancel
    exact = q.kl().double()
    return [(terms[: draws // n * n].view(-1, n).mean(1) - exact).square().mean().sqrt().item() for n in counts]


# ----------------------------------------------------------------------------------------------------- the gradient


@dataclass(frozen=True)
class Gradients:
    """Single-sample estimates of the gradient of E[f(z)] by the mean of z ~ N(mean, std²): each [samples, D]."""

    reparameterised: Tensor
    score: Tensor
    baseline: Tensor

    def variances(self) -> dict[str, float]:
        """Variance of one number of the gradient over samples, averaged over the D numbers."""
        return {name: g.var(0).mean().item() for name, g in vars(self).items()}


def gradients(f, mean: Tensor, std: Tensor, samples: int, generator: torch.Generator) -> Gradients:
    """Three estimators side by side, from the same noise, for any f: z [samples, D] → [samples]; mean and std are [D].

    Reparameterised: ∇f(mean + std·noise). Score function (Williams 1992): f(z)·∇ log q(z). Baseline: the same with the mean
    of the *other* samples' f subtracted, which leaves the expectation alone.
    """
    noise = torch.randn(samples, len(mean), device=mean.device, generator=generator)
    z = (mean + std * noise).requires_grad_()
    values = f(z)
    (path,) = torch.autograd.grad(values.sum(), z)
    values, score = values.detach(), noise / std
    others = (values.sum() - values) / (samples - 1)
    return Gradients(path, values[:, None] * score, (values - others)[:, None] * score)


def decoder_gradients(vae: VAE, image: Tensor, samples: int, generator: torch.Generator) -> Gradients:
    """The same for the real thing: f is log p(x | z) of one image [1, C, H, W], q its posterior, D the latent's numbers."""
    with torch.no_grad():
        q = vae.encode(image)

    def fit(z: Tensor) -> Tensor:
        decoded = vae.decode(z.view(-1, *q.mean.shape[1:])).float()
        return log_likelihood(image.expand_as(decoded), decoded, vae.noise_std)

    return gradients(fit, q.mean.flatten(), q.std.flatten(), samples, generator)


# ---------------------------------------------------------------------------------------------------------- the betas


def effective_beta(beta: float, error: int = 1, kl: int = 1, noise_std: float = math.sqrt(0.5)) -> float:
    """The beta of the ELBO at ``noise_std`` that the loss  Σ(x − x̂)²/error + beta·KL/kl  really minimises.

    error, kl: what each sum is divided by (1 = summed, pixels or latents = averaged). The ELBO's own error is
    Σ(x − x̂)²/(2·noise_std²); with noise_std² = 1/2 that is the plain squared error.
    """
    return beta * error / kl / (2 * noise_std**2)


def short_vae(images: Tensor, beta: float, machine: Machine, steps: int = 250, seed: int = 0) -> tuple[VAE, Posterior]:
    """A VAE trained for a few seconds at some beta, and its posterior of the first 1,000 images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = VAE()

    def objective(net: VAE, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        return elbo_loss(net, as_float(batch[0]), beta, generator)

    net = train(net, objective, (images,), replace(_SHORT, steps=steps), machine=machine).net
    return net, posterior(net, images[:1000])


# ---------------------------------------------------------------------------------------------------------- the space


def readable(judge: Evaluator, images: Tensor) -> float:
    """Share of images that the judge reads with a confidence above ``READABLE``."""
    return (judge.confidence(images) > READABLE).float().mean().item()


def middles(net: Autoencoder, a: Tensor, b: Tensor) -> Tensor:
    """What lies halfway between the codes of a and of b, decoded: images [N, C, H, W] → [N, C, H, W]."""
    return decode(net, (codes(net, a) + codes(net, b)) / 2)


def disturbed(net: Autoencoder, z: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Codes z [N, …] with noise of ``strength`` times their own standard deviation (each number's), decoded."""
    noise = torch.randn(z.shape, device=z.device, generator=generator)
    return decode(net, z + strength * z.std(0) * noise)


def space_report(
    net: Autoencoder, images: Tensor, labels: Tensor, judge: Evaluator, generator: torch.Generator
) -> dict[str, float]:
    """One column of "what the prior buys", for test images [N, 1, 32, 32] in [-1, 1] and their labels.

    Fréchet distances are in the judge's features, readable are shares 0…1, PSNR in dB.
    """
    z = codes(net, images)
    half = len(images) // 2
    differ = labels[:half] != labels[half : 2 * half]
    between = middles(net, images[:half][differ], images[half : 2 * half][differ])
    unit = decode(net, torch.randn(z.shape, device=z.device, generator=generator))
    fitted = decode(net, gaussian_like(z, len(z), generator))
    shaken = disturbed(net, z, 0.5, generator)
    some = slice(0, min(2000, half))
    return {
        "reconstruction: PSNR (dB)": psnr(decode(net, z), images).item(),
        "reconstruction: Fréchet": judge.frechet(decode(net, z)),
        "halfway: readable (share)": readable(judge, between),
        "halfway: Fréchet": judge.frechet(between),
        "decoded N(0, I): readable (share)": readable(judge, unit),
        "decoded N(0, I): Fréchet": judge.frechet(unit),
        "decoded fitted Gaussian: readable (share)": readable(judge, fitted),
        "decoded fitted Gaussian: Fréchet": judge.frechet(fitted),
        "same 10 neighbours as in pixels (share)": neighbour_agreement(images[some], z[some]),
        "codes shaken by half their spread: PSNR (dB)": psnr(shaken, images).item(),
    }


@dataclass(frozen=True)
class Aggregate:
    """First two moments of q(z) = mean over images of q(z | x): mean [D], covariance [D, D], float64."""

    mean: Tensor
    covariance: Tensor

    @property
    def std(self) -> Tensor:
        return self.covariance.diagonal().sqrt()

    @property
    def eigenvalues(self) -> Tensor:
        """Of the covariance, largest first; all 1 for N(0, I)."""
        return torch.linalg.eigvalsh(self.covariance).flip(0)

    def kl(self) -> float:
        """KL in nats of the Gaussian with these moments from N(0, I): a lower bound of KL(q(z) ‖ N(0, I))."""
        trace, logdet = self.covariance.trace(), torch.logdet(self.covariance)
        return ((trace + self.mean.square().sum() - len(self.mean) - logdet) / 2).item()


def aggregate(q: Posterior) -> Aggregate:
    """Moments of the aggregate posterior (law of total variance): covariance of the means plus the mean of the variances."""
    mean, variance = q.mean.flatten(1).double(), q.logvar.flatten(1).double().exp()
    return Aggregate(mean.mean(0), mean.T.cov(correction=0) + variance.mean(0).diag())


def by_kl(q: Posterior) -> Tensor:
    """The latent's numbers, the most informative (largest mean KL) first: flat indices [D]."""
    return q.kl_per_dim().mean(0).flatten().argsort(descending=True)


def traverse(net: VAE, z: Tensor, index: int, value: float) -> Tensor:
    """Codes z [N, C, h, w] with the number ``index`` (flat) set to value, decoded."""
    moved = z.flatten(1).clone()
    moved[:, index] = value
    return decode(net, moved.view_as(z))


# ----------------------------------------------------------------------------------------------------------- the blur


def edges(n: int, spread: float, points: int = 64, seed: int = 0) -> Tensor:
    """n one-dimensional pictures of an edge, dark then bright, at a place that varies by ± spread of the width: [n, points]."""
    places = 0.5 + spread * (2 * torch.rand(n, 1, generator=torch.Generator().manual_seed(seed)) - 1)
    return torch.where(torch.linspace(0, 1, points) < places, -1.0, 1.0)


def best_answer(signals: Tensor, steps: int = 200, lr: float = 0.1) -> Tensor:
    """The one answer [points] with the least squared error to all signals [n, points], found by gradient descent from zero."""
    answer = torch.zeros(signals.shape[1], requires_grad=True)
    optimiser = torch.optim.SGD([answer], lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        (signals - answer).square().sum(1).mean().backward()
        optimiser.step()
    return answer.detach()


def sharpness(images: Tensor) -> float:
    """Root-mean-square difference of neighbouring pixels, along both axes: images [N, C, H, W]."""
    across, down = images.diff(dim=-1).square().mean(), images.diff(dim=-2).square().mean()
    return ((across + down) / 2).sqrt().item()


# -------------------------------------------------------------------------------------------------------- the teddies

HELD = {"count": "one", "fur": "brown", "activity": "waving", "scarf": "red", "background": "meadow", "fabric": "plain"}
HELD |= {"grain": 0} | dict.fromkeys(teddies.CONTINUOUS, 0.0)


def teddy_vae(
    free: tuple[str, ...], n: int, steps: int, machine: Machine, latents: int = 8, noise_std: float = 0.2, seed: int = 0
) -> tuple[VAE, Tensor, teddies.Factors]:
    """A VAE with ``latents`` numbers for 32×32 teddies whose ``free`` factors alone vary; 500 held out, with factors.

    Trained in fp32 on every machine: bf16 learns the finer factors later (of y, R² 0.43 instead of 0.75 after 600 steps).
    """
    machine = replace(machine, precision="32-true")
    held = {name: value for name, value in HELD.items() if name not in free}
    factors = teddies.sample_factors(n + 500, seed, **held)
    images = to_uint8(teddies.render(factors, 32)).to(machine.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = VAE(in_channels=3, width=12, factor=32, latent_channels=latents, noise_std=noise_std)

    def objective(net: VAE, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        return elbo_loss(net, to_float(batch[0]), generator=generator)

    config = replace(_SHORT, steps=steps, lr=2e-3, grad_clip=1.0)
    net = train(net, objective, (images[500:],), config, machine=machine).net
    return net, to_float(images[:500]), factors[slice(0, 500)]


def follows(latents: Tensor, factors: Tensor) -> Tensor:
    """Which latent follows which factor: squared correlations [D, K] of latents [N, D] and factors [N, K]."""
    a, b = (F.normalize(x.double() - x.double().mean(0), dim=0) for x in (latents.flatten(1), factors))
    return (a.T @ b).square()
