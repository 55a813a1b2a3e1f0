"""Posterior collapse: a VAE that collapses under the right loss, one that collapses under a wrong one, and two remedies."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from course_lib import vae
from course_lib.arguments import MAX_DEPTH, check_finite, check_integer, check_number, check_sizes, check_tensor
from course_lib.recipes.store import build
from course_lib.training.config import MAX_SEED, MIN_SEED
from course_lib.vae import ELBO, VAE, Posterior, active_units, kl_warmup, log_likelihood


def _mlp(widths: list[int]) -> nn.Sequential:
    """Linear layers with ReLU between them, as torch initialises them."""
    layers = [layer for a, b in pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


class PlainVAE(nn.Module):
    """A VAE of plain layers, without skip connections or normalisation: x [B, D] ↔ z [B, latents].

    At initialisation every layer shrinks its signal by more than half. After ``depth`` layers little of x is left in z, and
    little of z in the reconstruction. noise_std² = 1/2 makes the likelihood a plain squared error.
    """

    elbo: Callable[..., ELBO] = VAE.elbo  # the same lines that train chapter 3's VAE

    def __init__(self, dims: int, latents: int = 16, width: int = 64, depth: int = 8, noise_std: float = 0.5**0.5) -> None:
        super().__init__()
        check_sizes(dims=dims, latents=latents, width=width)
        check_sizes(0, MAX_DEPTH, depth=depth)
        self.encoder = _mlp([dims, *[width] * depth, 2 * latents])
        self.decoder = _mlp([latents, *[width] * depth, dims])
        self.dims, self.latents, self.noise_std = dims, latents, check_number("noise_std", noise_std, above=0)

    def encode(self, x: Tensor) -> Posterior:
        mean, logvar = self.encoder(self._checked("x", x, self.dims)).chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(-20, 10))

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(self._checked("z", z, self.latents))

    def _checked(self, name: str, x: Tensor, width: int) -> Tensor:
        check_tensor(name, x, f"[B, {width}]", "float", least=0)
        return x.to(next(self.parameters()).dtype)


@dataclass(frozen=True)
class CollapseRun:
    """A trained network, its posterior of all rows, and the history of its KL: (step, nats per row)."""

    net: PlainVAE
    posterior: Posterior
    history: list[tuple[int, float]]
    elbo: float  # the true one (beta 1, no floor), in nats per row, averaged over the rows

    @property
    def active(self) -> int:
        """Number of active units."""
        return int(active_units(self.posterior).sum())


def train_with_remedy(
    x: Tensor,
    beta: float = 1.0,
    warmup_steps: int = 0,
    floor: float = 0.0,
    steps: int = 750,
    depth: int = 8,
    seed: int = 0,
    free_bits: Callable[[Tensor, float], Tensor] = vae.free_bits,
) -> CollapseRun:
    """Train a ``PlainVAE`` on rows x [N, D] for a few seconds, with or without a remedy against posterior collapse.

    beta: final weight of the KL. warmup_steps: steps in which the weight rises to it. floor: free nats of each latent dimension,
    as ``free_bits`` counts them. In float64: the vanishing gradients would underflow to denormal numbers in float32, which are
    slow on a CPU.
    """
    check_tensor("x", x, "[N, D]", "float")
    check_finite("x", x)
    x, seed = x.double(), check_integer("seed", seed, MIN_SEED, MAX_SEED)
    beta, floor = check_number("beta", beta, at_least=0), check_number("floor", floor, at_least=0)
    check_integer("warmup_steps", warmup_steps, at_least=0)
    check_integer("steps", steps, 1, 100_000)
    net = build(PlainVAE, {"dims": x.shape[1], "depth": depth}, seed).to(x)
    generator, history = torch.Generator(x.device).manual_seed(seed), []
    optimiser = torch.optim.Adam(net.parameters(), 1e-3, betas=(0.9, 0.99))
    for step in range(steps):
        batch = x[torch.randint(len(x), (64,), device=x.device, generator=generator)]
        q = net.encode(batch)
        fit = log_likelihood(batch, net.decode(q.sample(generator)), net.noise_std)
        kl = free_bits(q.kl_per_dim(), floor)
        optimiser.zero_grad()
        (beta * kl_warmup(step, warmup_steps) * kl - fit.mean()).backward()
        optimiser.step()
        if step % 10 == 0:
            history.append((step, q.kl().mean().item()))
    with torch.no_grad():
        elbo = net.elbo(x, generator).value.mean().item()
        return CollapseRun(net.eval(), net.encode(x), history, elbo)
