"""Homework 3: a student's draw, KL and ELBO in real VAEs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_lib import data, device, recipes, teddies
from course_lib.experiments.ch3_vae import marginal_likelihood, posterior_collapse
from course_lib.images import to_float
from course_lib.training import TrainResult, train
from course_lib.vae import VAE

#: What the figures show, for those who hear them. Kept out of the cells, where it would answer the question before the figure.
ALT = {
    "reparameterise": "Two teddies; draws from their cloud look alike at the cloud's own width; at 10 times the sky turns blotchy, at 40 times all but the bears breaks up.",
    "kl": "Six teddies and below each a map of 8 by 8 places: bright where the latent costs many nats.",
    "elbo": "The loss falls steeply in the first hundred steps, then slowly.",
    "elbo 2": "Ten garments, their soft copies, and what draws from the prior decode to: shapes without a meaning.",
    "averaged": "Test error against steps: that of the weights jumps up and down, that of their average is smooth, and soon below it.",
    "free_bits": "Mean KL of 16 latent numbers: all at zero without a floor, all near the floor with it.",
    "active_units": "KL on the way: B rises by itself; A and C stay at zero; with warm-up one of them ends high, the other falls back.",
}  # fmt: skip

WIDTHS = (0.0, 1.0, 10.0, 40.0)


@torch.no_grad()
def clouds(reparameterise: Callable[[Tensor, Tensor, Tensor], Tensor], draws: int = 6) -> dict[str, Tensor]:
    """One teddy's cloud of codes, decoded: at each of `WIDTHS` times its own standard deviation, draws [draws, 3, 64, 64]."""
    vae = recipes.load_or_train("teddies-vae", device.find())
    picture = to_float(_teddies(1, seed=12))
    q = vae.encode(picture)
    eps = torch.randn(draws, *q.mean.shape[1:], generator=torch.Generator().manual_seed(0)).to(q.mean)
    mean, logvar = (x.expand_as(eps) for x in (q.mean, q.logvar))
    wider = {f"std × {w:g}": logvar + 2 * torch.log(torch.tensor(max(w, 1e-6), device=q.mean.device)) for w in WIDTHS}
    return {"the picture": picture} | {
        name: vae.decode(reparameterise(mean, lv, eps)).float().clamp(-1, 1) for name, lv in wider.items()
    }


@torch.no_grad()
def prices(kl: Callable[[Tensor, Tensor], Tensor], n: int = 6) -> tuple[Tensor, Tensor]:
    """Teddies [n, 3, 64, 64], and what each place of their latents costs by ``kl``, [n, 8, 8] in nats."""
    vae = recipes.load_or_train("teddies-vae", device.find())
    bears = to_float(_teddies(n, seed=13))
    q = vae.encode(bears)
    places = [x.permute(0, 2, 3, 1).reshape(-1, x.shape[1], 1, 1) for x in (q.mean, q.logvar)]  # each place a latent of its own
    return bears, kl(*places).view(n, *q.mean.shape[2:])


def train_vae(
    reparameterise: Callable[[Tensor, Tensor, Tensor], Tensor],
    kl: Callable[[Tensor, Tensor], Tensor],
    elbo: Callable[[Tensor, Tensor, Tensor, float], Tensor],
    steps: int = 500,
) -> TrainResult:
    """Chapter 3's network on Fashion-MNIST, trained by these three functions: about 15 seconds on two cores.

    The loss is minus the mean ELBO of a batch, in nats per image. See the result's ``ema`` and ``losses``.
    """

    def loss(vae: VAE, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        images = to_float(batch[0])
        q = vae.encode(images)
        eps = torch.randn(q.mean.shape, device=q.mean.device, generator=generator)
        copies = vae.decode(reparameterise(q.mean, q.logvar, eps)).float()
        return -elbo(images, copies, kl(q.mean, q.logvar), vae.noise_std).mean()

    net, config = recipes.untrained("fashion-vae", steps=steps)
    machine = device.find()
    return train(net, loss, (data.fashion_mnist("train", machine.device)[0],), config, machine=machine)


@torch.no_grad()
def shown(vae: nn.Module, n: int = 10) -> dict[str, Tensor]:
    """Test pictures, their copies, and what the prior's own draws decode to: three rows of n garments."""
    images = to_float(data.fashion_mnist("test", next(vae.parameters()).device)[0][:n])
    q = vae.encode(images)
    z = torch.randn(q.mean.shape, generator=torch.Generator().manual_seed(2)).to(images)
    decoded = {"copies": vae.decode(q.mode()), "decoded N(0, I)": vae.decode(z)}
    return {"pictures": images} | {name: x.float().clamp(-1, 1) for name, x in decoded.items()}


def jitter(averaged: Callable[[Tensor, Tensor, float], Tensor], decay: float, steps: int = 600) -> dict[str, tuple[list, list]]:
    """A small autoencoder of 8×8 garments in training, at a high learning rate: steps and test error, raw and averaged.

    The squared error is per pixel. A second or two; the average follows every step and steers nothing.
    """
    rows, test = garments(), garments(first=2000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 8), nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 64)).to(
            rows
        )
    generator, optimizer = torch.Generator().manual_seed(0), torch.optim.Adam(net.parameters(), lr=0.02)
    average = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    errors = {"the weights as they are": ([], []), "their average": ([], [])}
    for step in range(1, steps + 1):
        batch = rows[torch.randint(len(rows), (64,), generator=generator).to(rows.device)]
        optimizer.zero_grad()
        (net(batch) - batch).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            average = {name: averaged(average[name], weight.detach(), decay) for name, weight in net.named_parameters()}
            if step % 10 == 0 and step >= 100:
                copies = net(test), torch.func.functional_call(net, average, (test,))
                for curve, copy in zip(errors.values(), copies, strict=True):
                    curve[0].append(step)
                    curve[1].append((copy - test).square().mean())
    return {name: (at, torch.stack(values).cpu()) for name, (at, values) in errors.items()}


def garments(first: int = 0) -> Tensor:
    """2,000 garments from number ``first`` on, as rows [2000, 64] of 8×8 pixels."""
    return marginal_likelihood.small_garments(data.fashion_mnist("train", device.find().device)[0][first : first + 2000])


def treated(
    free_bits: Callable[[Tensor, float], Tensor], floors: tuple[float, ...] = (0.0, 1 / 8)
) -> dict[str, posterior_collapse.Patient]:
    """A deep plain network, which falls silent, with these floors (nats for each latent number): some 3 s each."""
    rows = garments()
    return {f"floor {floor:g}": posterior_collapse.treat(rows, floor=floor, seed=1, free_bits=free_bits) for floor in floors}


def wards() -> dict[str, posterior_collapse.Patient]:
    """Three runs to be diagnosed, and two of them once more with KL warm-up; what ails A and C is the homework's question.

    Other garments and another seed than chapter 3's, so that its numbers do not give the answer away.
    """
    rows = garments(first=2000)
    ways = {"A": {"depth": 8}, "B": {"depth": 4}, "C": {"depth": 4, "beta": 64.0}}
    again = {f"{name}, with KL warm-up": ways[name] | {"warmup": 600} for name in "AC"}
    return {name: posterior_collapse.treat(rows, seed=3, **way) for name, way in (ways | again).items()}


def _teddies(n: int, seed: int) -> Tensor:
    return teddies.dataset(n, seed, device=device.find().device, fine=False)[0]
