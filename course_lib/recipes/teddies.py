"""The recipes of Teddies: VAEs for 64×64 and for 128×128 pixels, and latent denoisers, conditioned on labels or on captions."""

from pathlib import Path

import torch
from torch import nn

from course_lib import device as devices
from course_lib import teddies
from course_lib.codec import cache
from course_lib.device import Machine
from course_lib.distillation import SCALES
from course_lib.recipes import configs
from course_lib.recipes.few_steps import copy_that_takes_scale, distil_guidance
from course_lib.recipes.losses import autoencoder_loss, denoising_loss, text_denoising_loss
from course_lib.recipes.store import (
    TEDDIES,
    Network,
    RunOptions,
    build,
    latent_statistics,
    load_codec,
    recipe,
    reconstruction_psnr,
    resumable,
    save,
)
from course_lib.text import TextDenoiser
from course_lib.training import LossFn, TrainResult, train
from course_lib.unet import UNet
from course_lib.vae import VAE


@recipe("teddies-vae", VAE, TEDDIES, shipped=True)
def teddies_vae(out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None) -> TrainResult[VAE]:
    """The VAE of Teddies, 64×64×3 → 8×8×4, saved as ``data/weights/teddies_vae.safetensors``.

    Five images of six are drawn without grain and texture, which a compression of 48× cannot keep. About an hour on two cores
    (0.2 s a step); an interrupted run continues where it stopped. The metadata give the test PSNR with and without them.
    """
    machine, options = machine or devices.find(), options or RunOptions()
    config, training = configs.TEDDIES_VAE
    training = options.apply(training)
    images = torch.cat([
        teddies.dataset(configs.NUM_TEDDIES * 5 // 6, 1, device=machine.device, fine=False)[0],
        teddies.dataset(configs.NUM_TEDDIES // 6, 2, device=machine.device)[0],
    ])  # fmt: skip
    net = build(VAE, config, training.seed)
    with resumable("teddies-vae") as resume_file:
        result = train(net, autoencoder_loss, (images,), training, machine=machine, resume_file=resume_file)
        result.ema.to(machine.device)  # "fsdp" leaves it on the CPU
        drawn = {"test_psnr_without_grain_and_texture": False, "test_psnr": True}
        tests = {name: teddies.dataset(1000, 3, device=machine.device, unseen=True, fine=fine)[0] for name, fine in drawn.items()}
        facts = {
            "metrics": {name: reconstruction_psnr(result.ema, some) for name, some in tests.items()},
            "latents": latent_statistics(result.ema, images),
        }
        save("teddies-vae", result, training, config, out, facts)
    return result


@recipe("teddies-128-vae", VAE, TEDDIES)
def teddies_128_vae(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[VAE]:
    """The VAE of the large Teddies, 128×128×3 → 8×8×8, saved as ``runs/teddies_128_vae.safetensors``.

    All images are drawn without the grain of the fur and with the texture of the cloth. Half an hour on two cores (0.12 s a
    step); an interrupted run continues where it stopped.
    """
    machine, options = machine or devices.find(), options or RunOptions()
    config, training = configs.TEDDIES_128_VAE
    training = options.apply(training)
    images, _ = teddies.dataset(configs.NUM_TEDDIES, 1, 128, machine.device, grain=False)
    net = build(VAE, config, training.seed)
    with resumable("teddies-128-vae") as resume_file:
        result = train(net, autoencoder_loss, (images,), training, machine=machine, resume_file=resume_file)
        result.ema.to(machine.device)  # "fsdp" leaves it on the CPU
        drawn = {"test_psnr_without_grain_and_texture": {"fine": False}, "test_psnr_without_grain": {"grain": False}}
        tests = {name: teddies.dataset(1000, 3, 128, machine.device, unseen=True, **how)[0] for name, how in drawn.items()}
        facts = {
            "metrics": {name: reconstruction_psnr(result.ema, some) for name, some in tests.items()},
            "latents": latent_statistics(result.ema, images),
        }
        save("teddies-128-vae", result, training, config, out, facts)
    return result


@recipe("teddies-ldm", UNet, TEDDIES, shipped=True)
def teddies_ldm(out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None) -> TrainResult[UNet]:
    """The denoiser of Teddies on the latents of ``teddies-vae``, conditioned on any of the five semantic factors.

    About an hour on two cores; an interrupted run continues where it stopped. Held-out combinations are never seen. Saved as
    ``data/weights/teddies_ldm.safetensors``.
    """
    loss = denoising_loss(teddies.NUM_VALUES)
    return _train_denoiser("teddies-ldm", UNet, configs.TEDDIES_DENOISER, loss, out, machine, options)


@recipe("teddies-words", TextDenoiser, TEDDIES, shipped=True, dtype=torch.int8)
def teddies_words(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[TextDenoiser]:
    """``teddies-ldm`` once more, but conditioned on captions, whose words it reads itself (`text.TextDenoiser`).

    Same images, same network, the same fraction of factors dropped, fewer steps: only the form of the condition differs.
    About half an hour on two cores. Saved as ``data/weights/teddies_words.safetensors``.
    """
    return _train_denoiser("teddies-words", TextDenoiser, configs.TEDDIES_WORDS, text_denoising_loss(), out, machine, options)


@recipe("teddies-128-ldm", UNet, TEDDIES)
def teddies_128_ldm(
    out: Path | None = None, machine: Machine | None = None, options: RunOptions | None = None
) -> TrainResult[UNet]:
    """The denoiser of the large Teddies on the latents of ``teddies-128-vae``, with the guidance scale as an input.

    It is trained as ``teddies-ldm``; then a copy that takes the scale learns to predict in one call what guidance predicts in two
    (`distillation.guidance_loss`), at the scales of its metadata. About an hour on two cores; an interrupted run continues where
    it stopped. It is not shipped, and no notebook uses it yet. options: steps and seconds are those of each part. Saved as
    ``runs/teddies_128_ldm.safetensors``.
    """
    machine, options = machine or devices.find(), options or RunOptions()
    config, training = configs.TEDDIES_128_DENOISER
    training, distilling = options.apply(training), options.apply(configs.TEDDIES_128_ONE_CALL)
    images, factors = teddies.dataset(configs.NUM_TEDDIES, 6, 128, machine.device, grain=False)
    data = cache(load_codec("teddies-128-vae", machine), images), factors.labels()
    net, loss = build(UNet, config, training.seed), denoising_loss(teddies.NUM_VALUES)
    with resumable("teddies-128-ldm") as resume_file, resumable("teddies-128-ldm-one-call") as distilling_file:
        teacher = train(net, loss, data, training, machine=machine, resume_file=resume_file)
        student, config = copy_that_takes_scale(teacher.ema.to(machine.device), config, training.seed)
        result = distil_guidance(student, teacher.ema, data, distilling, machine, drop=0.1, resume_file=distilling_file)
        facts = {"scales": SCALES, "seconds": round(teacher.seconds + result.seconds, 1), "steps": teacher.steps + result.steps}
        save("teddies-128-ldm", result, training, config, out, facts)
    return result


def _train_denoiser(
    name: str,
    network: type[Network],
    setting: configs.Setting,
    loss: LossFn[nn.Module],
    out: Path | None,
    machine: Machine | None,
    options: RunOptions | None,
) -> TrainResult[Network]:
    machine, options = machine or devices.find(), options or RunOptions()
    config, training = setting
    training = options.apply(training)
    images, factors = teddies.dataset(configs.NUM_TEDDIES, 6, device=machine.device)
    latents = cache(load_codec("teddies-vae", machine), images)
    net = build(network, config, training.seed)
    data = (latents, factors.labels())
    with resumable(name) as resume_file:
        result = train(net, loss, data, training, machine=machine, resume_file=resume_file)
        save(name, result, training, config, out)
    return result
