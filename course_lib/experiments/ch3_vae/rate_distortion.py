"""The rate–distortion curve of a VAE: the recipe's VAE at eight betas.

``course measure rate-distortion`` measures the curve; chapter 3 trains one point of it again.
"""

from pathlib import Path

import torch
from torch import Tensor

from course_lib import device as devices
from course_lib.arguments import check_finite, check_integer, check_tensor
from course_lib.codec import posterior
from course_lib.data import fashion_mnist
from course_lib.experiments.fashion_variants import STEPS, load_or_train_base, train_beta_vae
from course_lib.images import to_float
from course_lib.metrics import psnr
from course_lib.storage.results import StoredResult
from course_lib.training.config import MAX_SEED, MIN_SEED
from course_lib.vae import ELBO, VAE, active_units, log_likelihood

BETAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
RESULT = StoredResult("rate-distortion", "results/rate_distortion.json")


@torch.no_grad()
def rate_distortion_point(net: VAE, images: Tensor, seed: int = 0) -> dict[str, float]:
    """Return a VAE's point of the curve, on images [N, 1, 32, 32] in [-1, 1].

    Means in nats per image with their standard errors, PSNR in dB, and the number of active units. rate is the KL; distortion is
    the negative log-likelihood, given one sample of the posterior. It is that of a density, so it may be negative.
    """
    check_tensor("images", images, "[N, C, H, W]", "float", least=2)
    check_finite("images", images)
    generator = torch.Generator(images.device).manual_seed(check_integer("seed", seed, MIN_SEED, MAX_SEED))
    q = posterior(net, images)
    sampled, mean = (torch.cat([net.decode(part).float() for part in z.split(500)]) for z in (q.sample(generator), q.mode()))
    bound = ELBO(log_likelihood(images, sampled, net.noise_std), q.kl())
    terms = {"rate": bound.kl, "distortion": -bound.log_likelihood, "elbo": bound.value}
    return {
        **{name: round(term.mean().item(), 3) for name, term in terms.items()},
        **{f"{name}_error": round((term.std() / len(term) ** 0.5).item(), 3) for name, term in terms.items()},
        "psnr": round(psnr(mean.clamp(-1, 1), images).item(), 3),
        "active": int(active_units(q).sum()),
    }


def measure_rate_distortion(steps: int = STEPS, seed: int = 0, out: Path | None = None) -> Path:
    """Measure rate and distortion of the VAE at eight betas; store the figures as JSON.

    A minute or two on two cores, and one more if no VAE is saved yet.
    """
    machine = devices.find()
    images = to_float(fashion_mnist("test", machine.device)[0])
    net, points = load_or_train_base(machine), []
    for beta in BETAS:
        points.append({"beta": beta, **rate_distortion_point(train_beta_vae(beta, net, machine, steps, seed), images)})
        print(points[-1], flush=True)
    figures = {"command": RESULT.command, "machine": str(machine), "seed": seed, "steps": steps, "images": len(images)}
    return RESULT.save({**figures, "points": points}, out)
