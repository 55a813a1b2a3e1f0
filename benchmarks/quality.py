"""Time to quality: Fréchet distance of samples over seconds of training, for ours and the recipes of two other libraries.

All generate Fashion-MNIST at 32×32. Ours trains a VAE and a denoiser of its latents, and the VAE's seconds count. The other
libraries train in pixel space with their own losses, schedules, optimizers, averages and samplers, and networks of the size of
the workbook's pixel denoiser. The network of diffusers is conditioned on the class, as ours is; that of lucidrains is not.
"""

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from benchmarks import peers
from course_lib import data
from course_lib.device import Machine
from course_lib.experiments.ch4_latent_ddpm.equal_quality import frechet_floor
from course_lib.experiments.ch4_latent_ddpm.equal_time import SHAPES, guided_factory, train_latent
from course_lib.experiments.evaluator import Evaluator
from course_lib.experiments.generate import balanced_labels, generate
from course_lib.images import to_float
from course_lib.recipes import configs
from course_lib.unet import UNet

MARKS = (60.0, 180.0, 600.0)  # seconds of training at which the other libraries are evaluated
OURS = MARKS[:2]  # a separate run each, whose learning rate falls to 0 at its end


def measure(machine: Machine, marks: Sequence[float] = MARKS, ours_at: Sequence[float] = OURS, n: int = 500) -> dict:
    """{"ours": [[seconds, distance], …], …}, n samples each. About 25 minutes of training, and some of sampling."""
    evaluator = Evaluator(machine)
    found = {"floor": frechet_floor(evaluator, n), "samples": n, "ours": [ours(evaluator, seconds, n) for seconds in ours_at]}
    for name, make in {"diffusers": _Diffusers, "lucidrains": _Lucidrains}.items():
        peer = make(machine)
        snapshots = _train_to_marks(peer, marks)
        found[name] = [[seconds, evaluator.frechet(peer.generate(net, n))] for seconds, net in snapshots]
        found[f"{name}, parameters"] = peers.parameters(peer.net)
    return found


def ours(evaluator: Evaluator, seconds: float, n: int) -> list[float]:
    """Seconds of training, VAE and encoding included, and the distance."""
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        codec, result, _ = train_latent(Path(folder), evaluator.machine, seconds)
        spent = time.perf_counter() - began
    images = generate(
        guided_factory("latent", result.ema, evaluator.machine),
        balanced_labels(n, evaluator.machine),
        codec,
        SHAPES["latent"],
        evaluator.machine,
    )
    return [spent, evaluator.frechet(images)]


def _train_to_marks(peer: "_Diffusers | _Lucidrains", marks: Sequence[float]) -> list[tuple[float, nn.Module]]:
    """Train, and return copies of the averaged network at each mark. The time that the copying takes is not counted."""
    left, snapshots, began, paused = list(marks), [], time.perf_counter(), 0.0
    while left:
        peer.step()
        spent = time.perf_counter() - began - paused
        if spent >= left[0]:
            here = time.perf_counter()
            snapshots.append((spent, copy.deepcopy(peer.average()).eval()))
            left.pop(0)
            paused += time.perf_counter() - here
    return snapshots


class _Peer:
    """What both other libraries share: the images, the size of the network, the batch of a step."""

    batch = 64

    def __init__(self, machine: Machine, make: Callable[[tuple, int, tuple], Callable[[int], nn.Module]]) -> None:
        plan = configs.PIXEL_DENOISER["cpu"][0]
        wanted = peers.parameters(UNet(in_channels=1, **plan))
        self.machine = machine
        torch.manual_seed(0)  # these libraries use the global generator
        self.net = peers.matched(make(plan["multipliers"], plan["blocks"], plan["attention"]), range(8, 97, 4), wanted, 0.1)
        self.net.to(machine.device)
        self.images, self.labels = data.fashion_mnist("train", machine.device)
        self.generator = torch.Generator(machine.device).manual_seed(0)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Images [B, 1, 32, 32] in [-1, 1] and their labels."""
        at = torch.randint(len(self.images), (self.batch,), device=self.images.device, generator=self.generator)
        return to_float(self.images[at]), self.labels[at]


class _Diffusers(_Peer):
    """diffusers' examples/unconditional_image_generation: eps, 1000 linear steps, AdamW, cosine after a warm-up, EMA."""

    def __init__(self, machine: Machine, steps: int = 20_000) -> None:
        from diffusers import DDPMScheduler
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel

        super().__init__(machine, lambda *plan: peers.diffusers_unet(1, 32, *plan))
        self.noise = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear", prediction_type="epsilon")
        self.optimizer = torch.optim.AdamW(self.net.parameters(), 1e-4, (0.95, 0.999), weight_decay=1e-6)
        self.rate = get_scheduler("cosine", self.optimizer, num_warmup_steps=500, num_training_steps=steps)
        self.ema = EMAModel(self.net.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)

    def step(self) -> None:
        x0, y = self.rows()
        eps = torch.randn_like(x0)
        t = torch.randint(1000, (len(x0),), device=x0.device)
        with self.machine.autocast():
            out = self.net(self.noise.add_noise(x0, eps, t), t, y)
        nn.functional.mse_loss(out.float(), eps).backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.rate.step()
        self.optimizer.zero_grad()
        self.ema.step(self.net.parameters())

    def average(self) -> nn.Module:
        net = copy.deepcopy(self.net)
        self.ema.copy_to(net.parameters())
        return net

    @torch.no_grad()
    def generate(self, net: nn.Module, n: int, steps: int = 20) -> Tensor:
        """Generate n images with diffusers' DPMSolverMultistepScheduler, all classes equally often."""
        from diffusers import DPMSolverMultistepScheduler

        walk = DPMSolverMultistepScheduler.from_config(self.noise.config)
        walk.set_timesteps(steps)
        x = torch.randn(n, 1, 32, 32, generator=torch.Generator().manual_seed(1)).to(self.machine.device)
        y = balanced_labels(n, self.machine)
        for t in walk.timesteps:
            with self.machine.autocast():
                out = net(x, t.expand(n).to(x.device), y).float()
            x = walk.step(out, t, x).prev_sample
        return x.clamp(-1, 1)


class _Lucidrains(_Peer):
    """denoising-diffusion-pytorch as in its README: v, sigmoid schedule, Adam, EMA 0.995 every 10 steps."""

    def __init__(self, machine: Machine) -> None:
        from ema_pytorch import EMA

        library = peers.lucidrains()
        super().__init__(machine, lambda multipliers, *_: peers.lucidrains_unet(1, multipliers))
        self.diffusion = library.GaussianDiffusion(self.net.net, image_size=32, timesteps=1000, sampling_timesteps=50)
        self.diffusion.to(machine.device)
        self.optimizer = torch.optim.Adam(self.diffusion.parameters(), 8e-5, (0.9, 0.99))
        self.ema = EMA(self.diffusion, beta=0.995, update_every=10)

    def step(self) -> None:
        x0, _ = self.rows()
        with self.machine.autocast():
            value = self.diffusion((x0 + 1) / 2)  # it takes images in [0, 1]
        value.backward()
        nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update()

    def average(self) -> nn.Module:
        return self.ema.ema_model

    def generate(self, net: nn.Module, n: int) -> Tensor:
        """Generate n images with its own DDIM sampler, 50 steps."""
        torch.manual_seed(1)
        return torch.cat([net.sample(batch_size=min(100, n - i)) for i in range(0, n, 100)]) * 2 - 1
