"""From words to pictures: the workbook's own text-to-image model, at its size.

    painter = prompts.ready()
    images = painter.draw("two pink teddy bears with a green scarf reading", n=16, scale=3, steps=20, seed=0)

The caption becomes labels (`teddies.prompt`) or, for the network that reads, tokens (`text.tokenise`); a latent denoiser is
guided by them, and the VAE of Teddies decodes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes, teddies, text
from course_lib.codec import Codec
from course_lib.device import Machine
from course_lib.guidance import Scale, classifier_free
from course_lib.samplers import Callback, dpmpp_2m
from course_lib.schedule import Schedule

MOST_STEPS = 1000


@dataclass(frozen=True)
class TextToImage:
    """A conditional latent denoiser with all that turns a caption into pictures.

    net: told what `tell` makes of captions, rows of [N, F] integers. codec: of the latents [B, *shape] that it denoises.
    """

    net: nn.Module
    codec: Codec
    schedule: Schedule
    machine: Machine
    shape: tuple[int, int, int] = (4, 8, 8)
    tell: Callable[[str | list[str]], Tensor] = teddies.prompt

    def draw(
        self,
        caption: str,
        n: int = 16,
        scale: Scale = 3.0,
        steps: int = 20,
        seed: int = 0,
        negative: str = "",
        callback: Callback | None = None,
    ) -> Tensor:
        """n pictures [n, 3, 64, 64] in [-1, 1] of a caption; the same for the same arguments.

        scale: of classifier-free guidance, 1 for none. steps: of DPM-Solver++(2M). negative: a caption of what is not wanted,
        from which guidance leads away; without one, it leads away from teddies in general. callback: as of the samplers. Raises
        ValueError for words that the teddies do not know, and for numbers out of range.
        """
        if n < 1:
            raise ValueError(f"{n} pictures were asked for: it must be 1 or more.")
        if not 1 <= steps <= MOST_STEPS:
            raise ValueError(f"{steps} steps were asked for: it must be 1 to {MOST_STEPS}, and 10 to 20 are enough.")
        return self.paint(self.tell(caption).expand(n, -1), scale, steps, seed, self.tell(negative)[0], callback=callback)

    @torch.no_grad()
    def paint(
        self,
        told: Tensor,
        scale: Scale = 3.0,
        steps: int = 10,
        seed: int = 0,
        unwanted: Tensor | None = None,
        batch: int = 64,
        callback: Callback | None = None,
    ) -> Tensor:
        """One picture [N, 3, 64, 64] for each row of what the net is told, labels [N, F] or tokens [N, L].

        unwanted: one row from which guidance leads away; by default that of the empty caption. batch: pictures at a time.
        """
        unwanted = tuple((self.tell("")[0] if unwanted is None else unwanted).tolist())
        autocast = None if self.machine.dtype == torch.float32 else self.machine.dtype
        levels, generator, painted = self.schedule.grid(steps), torch.Generator().manual_seed(seed), []
        for rows in told.to(self.machine.device).split(batch):
            noise = torch.randn(len(rows), *self.shape, generator=generator).to(self.machine.device)
            guided = classifier_free(self.net, recipes.PREDICTION_TYPE, rows, unwanted, scale, autocast=autocast)
            latents = dpmpp_2m(guided, noise * levels[0].sigma, levels, callback)
            painted.append(self.codec.decode(latents))
        return torch.cat(painted)


def load(machine: Machine | None = None, name: str = "teddies-ldm") -> TextToImage:
    """The shipped painter of Teddies, on the machine's device; name: "teddies-words" for the one that reads captions itself."""
    machine = machine or devices.find()
    net, tell = recipes.load_or_train(name, machine), text.tokenise if name == "teddies-words" else teddies.prompt
    return TextToImage(net, recipes.codec_of("teddies-vae", machine), recipes.make_schedule(), machine, tell=tell)
