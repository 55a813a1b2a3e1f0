"""Rate against distortion: the recipe's VAE at eight betas. One command measures the curve; chapter 3 remakes one point of it."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from course_lib import device as devices
from course_lib import recipes
from course_lib.codec import posterior
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.images import as_float, to_float
from course_lib.metrics import psnr
from course_lib.recipes import configs
from course_lib.storage import results
from course_lib.training import TrainConfig, train
from course_lib.vae import ELBO, VAE, active_units, elbo_loss, log_likelihood

BETAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
STEPS, LR = 150, 4e-3
COMMAND, RESULT = "course train rate-distortion", "results/rate_distortion.json"


def start(machine: Machine) -> VAE:
    """The recipe's VAE, beta 1, of a CPU's size on every machine, so that points of one curve can be made anywhere.

    As an earlier run saved it, or trained now; on a GPU always now.
    """
    if configs.profile(machine) == "cpu":
        return recipes.load_or_train("fashion-vae", machine)
    net, training = recipes.untrained("fashion-vae")
    return _trained(net, 1.0, machine, training)


def beta_vae(beta: float, net: VAE, machine: Machine, steps: int = STEPS, seed: int = 0, progress: bool = True) -> VAE:
    """A copy of the trained ``net``, trained on at another beta until it has moved to its new place: some seconds."""
    _, training = recipes.untrained("fashion-vae", seed, steps, progress)
    return _trained(deepcopy(net).train().requires_grad_(True), beta, machine, replace(training, lr=LR))


def _trained(net: VAE, beta: float, machine: Machine, training: TrainConfig) -> VAE:
    def objective(net: VAE, batch: tuple[Tensor], generator: torch.Generator) -> Tensor:
        return elbo_loss(net, as_float(batch[0]), beta, generator)

    return train(net, objective, (fashion_mnist("train", machine.device)[0],), training, machine=machine).ema


@torch.no_grad()
def point(net: VAE, tests: Tensor, seed: int = 0) -> dict[str, float]:
    """Where a VAE lies, on images [N, 1, 32, 32] in [-1, 1]: means in nats per image, standard errors, PSNR in dB, active units.

    rate is the KL, distortion the negative log-likelihood of a draw: a density, and so it may be below 0.
    """
    generator = torch.Generator(tests.device).manual_seed(seed)
    q = posterior(net, tests)
    drawn, copies = (torch.cat([net.decode(z).float() for z in codes.split(500)]) for codes in (q.sample(generator), q.mode()))
    bound = ELBO(log_likelihood(tests, drawn, net.noise_std), q.kl())
    terms = {"rate": bound.kl, "distortion": -bound.log_likelihood, "elbo": bound.value}
    return {
        **{name: round(term.mean().item(), 3) for name, term in terms.items()},
        **{f"{name}_error": round((term.std() / len(term) ** 0.5).item(), 3) for name, term in terms.items()},
        "psnr": round(psnr(copies.clamp(-1, 1), tests).item(), 3),
        "active": int(active_units(q).sum()),
    }


def measure(steps: int = STEPS, seed: int = 0, out: Path | None = None) -> Path:
    """Rate against distortion of the VAE at eight betas, kept as JSON; what goes to ``data/`` enters the manifest.

    A minute or two on two cores, and one more where no VAE is saved yet.
    """
    machine = devices.find()
    tests = to_float(fashion_mnist("test", machine.device)[0])
    net, points = start(machine), []
    for beta in BETAS:
        points.append({"beta": beta, **point(beta_vae(beta, net, machine, steps, seed), tests)})
        print(points[-1], flush=True)
    figures = {"command": COMMAND, "machine": str(machine), "seed": seed, "steps": steps, "images": len(tests), "points": points}
    return results.keep(figures, RESULT, out, COMMAND)


def stored() -> dict:
    """What ``measure`` measured and keeps under data/results/; DataError where it is missing or altered."""
    return results.read(RESULT)
