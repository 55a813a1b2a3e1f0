"""Variants of the recipes' Fashion-MNIST autoencoders: another bottleneck, another seed, or the VAE trained further.

Everything has a CPU's size on every machine, so that any machine can add points to a curve.
"""

from copy import deepcopy
from dataclasses import replace

from course_lib import recipes
from course_lib.arguments import check_integer, check_number
from course_lib.autoencoder import Autoencoder
from course_lib.data import fashion_mnist
from course_lib.device import Machine
from course_lib.experiments.limits import MAX_STEPS
from course_lib.judges.classifier import Classifier
from course_lib.recipes import configs
from course_lib.recipes.losses import autoencoder_loss, beta_loss
from course_lib.storage import weights
from course_lib.training import LossFn, train
from course_lib.training.config import MAX_SEED, MIN_SEED
from course_lib.vae import VAE

STEPS, LR = 150, 4e-3  # of a fine-tuning


def train_autoencoder(
    factor: int, channels: int, machine: Machine, steps: int | None = None, seed: int = 0, progress: bool = True
) -> Autoencoder:
    """Train the recipe ``fashion-autoencoder`` with another bottleneck; all else is the recipe's (a CPU's, on every machine)."""
    net, training = recipes.untrained_network(
        "fashion-autoencoder", seed, steps, progress, factor=factor, latent_channels=channels
    )
    data = (fashion_mnist("train", machine.device)[0],)
    return train(net, autoencoder_loss, data, training, machine=machine).ema


def load_or_train_base(machine: Machine, seed: int = 0, steps: int | None = None, progress: bool = True) -> VAE:
    """Return the recipe's VAE (beta 1) of this seed, in a CPU's size on every machine.

    On a CPU, that of seed 0 is the recipe's own file; any other is trained once and saved next to it. steps: the recipe's number
    where None.
    """
    seed = check_integer("seed", seed, MIN_SEED, MAX_SEED)
    if seed == 0 and steps is None and configs.profile(machine) == "cpu":
        return recipes.load_or_train("fashion-vae", machine)
    net, training = recipes.untrained_network("fashion-vae", seed, steps, progress)
    file = recipes.saved_file(f"fashion-vae-seed-{seed}-steps-{training.steps}")
    if not file.exists():
        trained = train(net, autoencoder_loss, (fashion_mnist("train", machine.device)[0],), training, machine=machine).ema
        weights.save(file, trained, {"seed": seed, "steps": training.steps, "config": net.config})
    weights.restore(net, file)
    return net.to(machine.device).eval()


def load_or_train_classifier(machine: Machine, seed: int = 1, steps: int | None = None, progress: bool = True) -> Classifier:
    """Return a classifier trained by the recipe ``fashion-classifier`` with another seed than the judge's, which is 0.

    It is trained once and saved under runs/. steps: the recipe's number where None.
    """
    seed = check_integer("seed", seed, MIN_SEED, MAX_SEED)
    file = recipes.saved_file(f"fashion-classifier-seed-{seed}" + (f"-steps-{steps}" if steps else ""))
    if not file.exists():
        recipes.fashion_classifier(file, machine, recipes.RunOptions(seed, steps, progress=progress))
    net = recipes.build(Classifier, {})
    weights.restore(net, file)
    return net.to(machine.device).eval()


def train_beta_vae(beta: float, net: VAE, machine: Machine, steps: int = STEPS, seed: int = 0, progress: bool = True) -> VAE:
    """Train a copy of the trained ``net`` further, at another beta, until its rate and distortion are stable: some seconds."""
    return fine_tune(net, beta_loss(check_number("beta", beta, at_least=0)), machine, steps, seed, progress)


def fine_tune(vae: VAE, loss: LossFn[VAE], machine: Machine, steps: int = STEPS, seed: int = 0, progress: bool = True) -> VAE:
    """Train a copy of the trained ``vae`` further on Fashion-MNIST with this loss, and return it; ``vae`` stays as it is.

    loss: (net, batch, generator) → scalar, on a batch of uint8 images. Weights that it gives no gradient stay as they are.
    """
    check_integer("steps", steps, 1, MAX_STEPS)
    _, training = recipes.untrained_network("fashion-vae", seed, steps, progress)
    net = deepcopy(vae).train().requires_grad_(True)
    images, _ = fashion_mnist("train", machine.device)
    return train(net, loss, (images,), replace(training, lr=LR), machine=machine).ema
