"""Chapter 3's clinic: a VAE that falls silent under the right loss, one that does under a wrong one, and two treatments."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from course_lib.vae import VAE, Posterior, active_units, free_bits, kl_warmup, log_likelihood


def _plain(widths: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them, as torch initialises them."""
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class PlainVAE(nn.Module):
    """A VAE of plain layers, neither skips nor normalisation: x [B, D] ↔ z [B, latents]. At the start a signal loses more
    than half of its size in every layer, so that behind ``depth`` of them little of x is left in z, and of z in the picture.

    noise_std² = 1/2 makes the likelihood a plain squared error.
    """

    elbo = VAE.elbo  # the very lines that train the big one

    def __init__(self, dims: int, latents: int = 16, width: int = 64, depth: int = 8, noise_std: float = 0.5**0.5) -> None:
        super().__init__()
        self.encoder = _plain([dims, *[width] * depth, 2 * latents])
        self.decoder = _plain([latents, *[width] * depth, dims])
        self.noise_std = noise_std

    def encode(self, x: Tensor) -> Posterior:
        mean, logvar = self.encoder(x).chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(-20, 10))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


@dataclass(frozen=True)
class Patient:
    """A network after treatment, its posterior of all rows, and (step, KL in nats per row) on the way."""

    net: PlainVAE
    posterior: Posterior
    history: list[tuple[int, float]]
    elbo: float  # the true one (beta 1, no floor), nats per row, mean over the rows

    @property
    def active(self) -> int:
        return int(active_units(self.posterior).sum())


def treat(
    x: Tensor,
    beta: float = 1.0,
    warmup: int = 0,
    floor: float = 0.0,
    steps: int = 750,
    depth: int = 8,
    seed: int = 0,
    free_bits: Callable[[Tensor, float], Tensor] = free_bits,
) -> Patient:
    """Train a ``PlainVAE`` on rows x [N, D], a few seconds: beta is the KL's weight in the end, warmup the steps in which it gets
    there, floor the nats that each latent number may say for nothing, counted by ``free_bits``.

    In float64: the gradients that fade away here would fall below float32's smallest number, where a CPU computes slowly.
    """
    x = x.double()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = PlainVAE(x.shape[1], depth=depth).to(x)
    generator, history = torch.Generator(x.device).manual_seed(seed), []
    optimiser = torch.optim.Adam(net.parameters(), 1e-3, betas=(0.9, 0.99))
    for step in range(steps):
        batch = x[torch.randint(len(x), (64,), device=x.device, generator=generator)]
        q = net.encode(batch)
        fit = log_likelihood(batch, net.decode(q.sample(generator)), net.noise_std)
        cost = free_bits(q.kl_per_dim(), floor)
        optimiser.zero_grad()
        (beta * kl_warmup(step, warmup) * cost - fit.mean()).backward()
        optimiser.step()
        if step % 10 == 0:
            history.append((step, q.kl().mean().item()))
    with torch.no_grad():
        elbo = net.elbo(x, generator).value.mean().item()
        return Patient(net.eval(), net.encode(x), history, elbo)
