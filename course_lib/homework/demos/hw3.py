"""Homework 3's figures: a student's reparameterisation, KL, ELBO, EMA, free bits and active units in real VAEs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib import data, device, recipes, teddies
from course_lib.experiments.ch3_vae import dense, marginal_likelihood, posterior_collapse
from course_lib.images import to_float
from course_lib.training import LossFn, TrainResult, train
from course_lib.vae import VAE, DenseVAE

#: Alternative texts of the figures. They stay out of the cells, where they would answer the question before the figure.
ALT = {
    "reparameterise": (
        "Two teddies. Samples from their posterior look alike at its own width; "
        "at 10 times the width the sky turns blotchy, at 40 times everything but the bears breaks up."
    ),
    "kl": "Five teddies, and below each a map of 8 by 8 positions: bright where the latent costs many nats.",
    "elbo": "The loss from step 50 on: it falls from about 2,000 to below 0, ever more slowly.",
    "elbo 2": (
        "Eight Fashion-MNIST images and their blurred reconstructions. Decoded samples of the prior are meaningless shapes where "
        "the latent is 4×4×4; where it is 16 dense dimensions most are soft shoes, trousers and shirts."
    ),
    "averaged": (
        "Test error against training step: the error of the weights jumps up and down; "
        "that of their average is smooth, and soon lower."
    ),
    "free_bits": "Mean KL of 16 latent dimensions: all at zero without a floor, all near the floor with it.",
    "active_units": (
        "KL during training: B rises by itself; A and C stay at zero; "
        "with warm-up one of them ends high, and the other falls back."
    ),
}

#: Multiples of the posterior's own standard deviation.
STD_FACTORS = (0.0, 1.0, 10.0, 40.0)


@torch.no_grad()
def decode_posterior_samples(reparameterise: Callable[[Tensor, Tensor, Tensor], Tensor], samples: int = 5) -> dict[str, Tensor]:
    """Decode samples of one teddy's posterior, widened by each of `STD_FACTORS`: rows [samples, 3, 64, 64] in [-1, 1]."""
    vae = recipes.load_or_train("teddies-vae", device.find())
    image = to_float(_teddies(1, seed=12))
    q = vae.encode(image)
    eps = torch.randn(samples, *q.mean.shape[1:], generator=torch.Generator().manual_seed(0)).to(q.mean)
    mean, logvar = (x.expand_as(eps) for x in (q.mean, q.logvar))
    rows = {"the image": image}
    for factor in STD_FACTORS:
        widened = logvar + 2 * torch.log(torch.tensor(max(factor, 1e-6), device=q.mean.device))
        rows[f"std × {factor:g}"] = vae.decode(reparameterise(mean, widened, eps)).float().clamp(-1, 1)
    return rows


@torch.no_grad()
def kl_maps(kl: Callable[[Tensor, Tensor], Tensor], n: int = 5) -> tuple[Tensor, Tensor]:
    """Teddies [n, 3, 64, 64], and the cost by ``kl`` of each position of their latents, [n, 8, 8] in nats."""
    vae = recipes.load_or_train("teddies-vae", device.find())
    images = to_float(_teddies(n, seed=13))
    q = vae.encode(images)
    # Each position as a latent of its own: [n · 8 · 8, C, 1, 1].
    mean, logvar = (x.permute(0, 2, 3, 1).reshape(-1, x.shape[1], 1, 1) for x in (q.mean, q.logvar))
    return images, kl(mean, logvar).view(n, *q.mean.shape[2:])


# The signatures of three of the student's functions.
Sample = Callable[[Tensor, Tensor, Tensor], Tensor]
Cost = Callable[[Tensor, Tensor], Tensor]
Bound = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def train_vae(reparameterise: Sample, kl: Cost, elbo: Bound, steps: int = 500) -> TrainResult[VAE]:
    """Train chapter 3's network on Fashion-MNIST with these three functions: about 15 seconds on two cores.

    The loss is minus the mean ELBO of a batch, in nats per image. See the result's ``ema`` and ``losses``.
    """
    net, config = recipes.untrained_network("fashion-vae", steps=steps)
    machine = device.find()
    return train(net, _negative_elbo(reparameterise, kl, elbo), (_fashion("train"),), config, machine=machine)


def train_dense_vae(reparameterise: Sample, kl: Cost, elbo: Bound, steps: int = 500) -> DenseVAE:
    """Train chapter 3's dense VAE, whose latent is 16 dimensions without positions, with the same functions: some seconds."""
    loss = _negative_elbo(reparameterise, kl, elbo)
    return dense.train_dense(DenseVAE, _fashion("train"), device.find(), steps, progress=False, loss=loss)


def _negative_elbo(reparameterise: Sample, kl: Cost, elbo: Bound) -> LossFn:
    def loss(vae: VAE, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        images = to_float(batch[0])
        q = vae.encode(images)
        eps = torch.randn(q.mean.shape, device=q.mean.device, generator=generator)
        reconstructions = vae.decode(reparameterise(q.mean, q.logvar, eps)).float()
        return -elbo(images, reconstructions, kl(q.mean, q.logvar), vae.noise_std).mean()

    return loss


def _fashion(part: str) -> Tensor:
    return data.fashion_mnist(part, device.find().device)[0]


@torch.no_grad()
def reconstruct_and_sample(vae: VAE, dense_vae: DenseVAE, n: int = 8) -> dict[str, Tensor]:
    """Four rows of n images: test images, the first VAE's reconstructions, and decoded samples from the prior of both VAEs."""
    images = to_float(_fashion("test")[:n])
    q = vae.encode(images)
    z = torch.randn(q.mean.shape, generator=torch.Generator().manual_seed(2)).to(images)
    decoded = {
        "reconstructions": vae.decode(q.mode()),
        "N(0, I), 4×4×4 latent": vae.decode(z),
        "N(0, I), 16 dense dimensions": dense_vae.decode(dense.standard_normal(dense_vae, n)),
    }
    return {"images": images} | {name: x.float().clamp(-1, 1) for name, x in decoded.items()}


def ema_test_errors(
    averaged: Callable[[Tensor, Tensor, float], Tensor], decay: float, steps: int = 600
) -> dict[str, tuple[list[int], Tensor]]:
    """Train a small autoencoder of 8×8 images at a high learning rate: steps and test error, of the raw and the averaged weights.

    The error is squared, per pixel. A second or two; the average follows every step and does not influence training.
    """
    rows, test = _fashion_rows(), _fashion_rows(first=2000)
    net = _small_autoencoder().to(rows)
    generator, optimizer = torch.Generator().manual_seed(0), torch.optim.Adam(net.parameters(), lr=0.02)
    average = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    at: list[int] = []
    errors: dict[str, list[Tensor]] = {"raw weights": [], "averaged weights": []}
    for step in range(1, steps + 1):
        batch = rows[torch.randint(len(rows), (64,), generator=generator).to(rows.device)]
        optimizer.zero_grad()
        (net(batch) - batch).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            average = {name: averaged(average[name], weight.detach(), decay) for name, weight in net.named_parameters()}
            if step % 10 == 0 and step >= 100:
                at.append(step)
                reconstructions = net(test), torch.func.functional_call(net, average, (test,))
                for curve, reconstruction in zip(errors.values(), reconstructions, strict=True):
                    curve.append((reconstruction - test).square().mean())
    return {name: (at, torch.stack(curve).cpu()) for name, curve in errors.items()}


def _small_autoencoder() -> nn.Sequential:
    """64 pixels to 8 latent dimensions and back, always with the same initial weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 8)
        return nn.Sequential(*encoder, nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 64))


def _fashion_rows(first: int = 0) -> Tensor:
    """2,000 Fashion-MNIST images from index ``first`` on, as rows [2000, 64] of 8×8 pixels."""
    return marginal_likelihood.downsample(_fashion("train")[first : first + 2000])


def train_with_free_bits(
    free_bits: Callable[[Tensor, float], Tensor], floors: tuple[float, ...] = (0.0, 1 / 8)
) -> dict[str, posterior_collapse.CollapseRun]:
    """Train a deep plain network, whose posterior collapses, with each floor (nats per latent dimension): about 3 s each."""
    rows = _fashion_rows()
    return {
        f"floor {floor:g}": posterior_collapse.train_with_remedy(rows, floor=floor, seed=1, free_bits=free_bits)
        for floor in floors
    }


def broken_runs() -> dict[str, posterior_collapse.CollapseRun]:
    """Train three VAEs to be diagnosed, and two of them again with KL warm-up; what is wrong with A and C is the question.

    Other images and another seed than chapter 3's, so that its results do not give the answer away.
    """
    rows = _fashion_rows(first=2000)
    settings: dict[str, dict] = {"A": {"depth": 8}, "B": {"depth": 4}, "C": {"depth": 4, "beta": 64.0}}
    again = {f"{name}, with KL warm-up": settings[name] | {"warmup_steps": 600} for name in "AC"}
    return {name: posterior_collapse.train_with_remedy(rows, seed=3, **options) for name, options in (settings | again).items()}


def _teddies(n: int, seed: int) -> Tensor:
    return teddies.dataset(n, seed, device=device.find().device, fine=False)[0]
