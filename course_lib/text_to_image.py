"""Text-to-image generation: the workbook's own models of the Teddies, at their own small sizes.

    model = text_to_image.load()
    images = model.generate("two pink teddy bears with a green scarf reading", n=16, scale=3, steps=20, seed=0)

The caption is encoded as labels (`teddies.labels_from_captions`) or, for a network with a text encoder, as tokens
(`text.tokenise`). Both condition a latent denoiser under classifier-free guidance; a VAE of the Teddies decodes its latents.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from course_lib import device as devices
from course_lib import recipes, teddies, text
from course_lib.arguments import check_choice, check_integer, check_tensor
from course_lib.codec import Codec
from course_lib.device import Machine
from course_lib.diffusion import Denoiser, denoiser
from course_lib.distillation import SCALES, at_scale
from course_lib.guidance import Rule, Scale, classifier_free_guide
from course_lib.samplers import Callback, dpmpp_2m
from course_lib.schedule import Schedule

MAX_STEPS, MAX_IMAGES = 1000, 100_000
#: The codec of each model, and the shape of its latents.
MODELS = {
    "teddies-128-ldm": ("teddies-128-vae", (8, 8, 8)),
    "teddies-ldm": ("teddies-vae", (4, 8, 8)),
    "teddies-words": ("teddies-vae", (4, 8, 8)),
}


@dataclass(frozen=True)
class TextToImage:
    """A conditional latent denoiser with everything that turns a caption into images.

    net: the denoising network. codec: decodes its latents [B, *shape]. encode_prompt: captions → the condition that the network
    takes, integers [N, F]. Guidance takes two network calls a step; one, where it is plain and the network has the scale as an
    input (``takes_scale``) and has learned that scale (see `distillation.SCALES`).
    """

    net: nn.Module
    codec: Codec
    schedule: Schedule
    machine: Machine
    shape: tuple[int, int, int]
    encode_prompt: Callable[[str | list[str]], Tensor] = teddies.labels_from_captions

    def generate(
        self,
        caption: str,
        n: int = 16,
        scale: Scale = 3.0,
        steps: int = 20,
        seed: int = 0,
        negative: str = "",
        callback: Callback | None = None,
    ) -> Tensor:
        """Generate n images [n, 3, H, W] in [-1, 1] of a caption; equal arguments give equal images.

        scale: of classifier-free guidance, 1 for none. steps: of DPM-Solver++(2M). negative: a caption of what is not wanted,
        from which guidance leads away; the empty caption stands for teddies in general. callback: as in the samplers. Raises
        ValueError for words that `encode_prompt` does not know, and for n or steps out of range.
        """
        n = check_integer("n", n, 1, MAX_IMAGES)
        steps = check_integer("steps", steps)
        if not 1 <= steps <= MAX_STEPS:
            raise ValueError(f"steps is {steps}, but the number of steps must be 1 to {MAX_STEPS}; 20 are enough.")
        condition, negative_condition = self.encode_prompt(caption).expand(n, -1), self.encode_prompt(negative)[0]
        return self.sample(condition, scale, steps, seed, negative_condition, callback=callback)

    @torch.no_grad()
    def sample(
        self,
        condition: Tensor,
        scale: Scale = 3.0,
        steps: int = 20,
        seed: int = 0,
        negative_condition: Tensor | None = None,
        batch: int = 64,
        callback: Callback | None = None,
        rescale: float = 0.0,
        rule: Rule | None = None,
        sampler: Callable[..., Tensor] = dpmpp_2m,
    ) -> Tensor:
        """Sample one image [N, 3, H, W] for each row of the condition, labels [N, F] or tokens [N, L].

        negative_condition: one row, [F] or [L], from which guidance leads away; by default that of the empty caption. batch:
        images sampled at a time. rescale, rule: as in `guidance.guide`. sampler: one of the deterministic `samplers`.
        """
        check_tensor("condition", condition, "[N, F]", "integer")
        batch = check_integer("batch", batch, at_least=1)
        seed = check_integer("seed", seed, 0, 2**63 - 1)
        if negative_condition is not None:
            check_tensor("negative_condition", negative_condition, f"[{condition.shape[1]}]", "integer")
        negative = None if negative_condition is None else tuple(negative_condition.tolist())
        levels, generator, images = self.schedule.grid(steps), torch.Generator().manual_seed(seed), []
        for rows in condition.split(batch):
            devices.leave_busy_cores()
            noise = torch.randn(len(rows), *self.shape, generator=generator).to(self.machine.device)
            guided = self.guided_denoiser(rows, scale, negative, rescale, rule)
            latents = sampler(guided, noise * levels[0].sigma, levels, callback=callback)
            images.append(self.codec.decode(latents))
        return torch.cat(images)

    def guided_denoiser(
        self,
        condition: Tensor,
        scale: Scale,
        negative_condition: tuple[int, ...] | None = None,
        rescale: float = 0.0,
        rule: Rule | None = None,
    ) -> Denoiser:
        """Return the denoiser (x_t, level) → x0_hat that guidance makes of the network: an image for each row of labels.

        negative_condition: as a tuple of F integers; the others as for `sample`.
        """
        check_tensor("condition", condition, "[N, F]", "integer")
        condition = condition.to(self.machine.device)
        autocast = None if self.machine.dtype == torch.float32 else self.machine.dtype
        null = tuple(self.encode_prompt("")[0].tolist())
        negative = null if negative_condition is None else negative_condition
        plain = negative == null and rescale == 0 and rule is None
        one_call = plain and getattr(self.net, "takes_scale", False)
        if one_call and isinstance(scale, int | float) and SCALES[0] <= scale <= SCALES[1]:
            return denoiser(at_scale(self.net, scale), recipes.PREDICTION_TYPE, condition, autocast)
        return classifier_free_guide(self.net, recipes.PREDICTION_TYPE, condition, negative, scale, rescale, autocast, rule)


def load(machine: Machine | None = None, name: str = "teddies-ldm") -> TextToImage:
    """Load a model of the Teddies onto the machine's device.

    name: "teddies-ldm", conditioned on labels; "teddies-words", which reads the caption with a text encoder of its own; or
    "teddies-128-ldm", conditioned on labels, which draws images of 128×128 pixels and is not shipped: where it was not trained
    before, it is trained now, for more than an hour. Raises ValueError for another name.
    """
    check_choice("name", name, MODELS)
    machine, (codec_name, shape) = machine or devices.find(), MODELS[name]
    net, codec = recipes.load_or_train(name, machine), recipes.load_codec(codec_name, machine)
    encode_prompt = text.tokenise if name == "teddies-words" else teddies.labels_from_captions
    return TextToImage(net, codec, recipes.make_schedule(), machine, shape, encode_prompt)
