"""Where a denoiser's cross-attention to each word of a caption falls, and whether that is where the word's object is drawn.

The renderer knows where an object is: draw the same teddies with another value of a factor, and see which pixels change.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from course_lib import teddies, text
from course_lib.arguments import check_choice, check_integer, check_labels, check_tensor
from course_lib.codec import Codec, cache
from course_lib.device import Machine
from course_lib.images import to_uint8
from course_lib.layers import CrossAttention, Weights, masked_attention
from course_lib.schedule import Level, check_level
from course_lib.teddies import SEMANTIC, VALUES, Factors, check_is_factors
from course_lib.text import TextDenoiser
from course_lib.training.config import MAX_SEED

OBJECTS = ("fur", "scarf", "activity", "background")  # what a word may name and a region of the image may show
NOUN = "scarf (the noun)"
WORDS = ("fur", "scarf", NOUN, "activity", "background")  # of a caption, by what they name
CHANGED = 0.1  # of 2 (black to white): a pixel that changes by less has only another shade
SIDE = 8  # positions along a side of the latents


class Scenes(NamedTuple):
    """Teddies that wear a scarf: images uint8 [N, 3, 64, 64], latents [N, 4, 8, 8], their factors, and full captions."""

    images: Tensor
    latents: Tensor
    factors: Factors
    captions: list[str]


def make_scenes(n: int, seed: int, codec: Codec, machine: Machine) -> Scenes:
    """Render n teddies of combinations that were held out of all training; each wears a scarf."""
    n, seed = check_integer("n", n, 1, 10_000), check_integer("seed", seed, 0, MAX_SEED)
    factors = teddies.sample_factors(30 * n + 200, seed)
    factors = factors[teddies.is_held_out(factors) & (factors.scarf > 0)][:n].to(machine.device)
    images = to_uint8(teddies.render(factors))
    return Scenes(images, cache(codec, images), factors, teddies.captions(factors))


def changing_pixels(factors: Factors, name: str) -> Tensor:
    """Return the pixels whose colour depends on a semantic factor of these teddies: bool [N, 64, 64]."""
    check_is_factors(factors)
    check_choice("name", name, SEMANTIC)
    now, values = getattr(factors, name), len(VALUES[name])
    drawn = teddies.render(factors)
    others = (teddies.render(factors.replace(**{name: (now + k) % values})) for k in range(1, values))
    return torch.stack([(other - drawn).abs().amax(1) > CHANGED for other in others]).any(0)


def object_masks(factors: Factors) -> dict[str, Tensor]:
    """Return where each of `OBJECTS` is drawn, as the share (0..1) of the pixels under each latent position: [N, 8, 8].

    The scarf, the fur and what the activity moves are the pixels that change with them; the background is all other pixels.
    """
    pixels = {name: changing_pixels(factors, name) for name in OBJECTS if name != "background"}
    pixels["background"] = ~torch.stack(list(pixels.values())).any(0)
    return {name: F.adaptive_avg_pool2d(mask.float()[:, None], SIDE)[:, 0] for name, mask in pixels.items()}


def word_token(factors: Factors, name: str) -> Tensor:
    """Return which token of each full caption is the word that names one of `WORDS`: int64 [N].

    Of several words it is the first ("playing" of "playing ball"), and of a location its noun. All teddies wear a scarf.
    """
    check_is_factors(factors)
    check_choice("name", name, WORDS)
    found = []
    for row, caption in enumerate(teddies.captions(factors)):
        line, value = caption.split(), factors.describe(row)
        if value["scarf"] == "none":
            raise ValueError(f"“{caption}” names no scarf: give teddies that wear one.")
        scarf = line.index("scarf")
        word = {"scarf": scarf - 1, NOUN: scarf, "background": len(line) - 1}
        found.append(1 + (word[name] if name in word else line.index(str(value[name]).split()[0])))  # 1: START
    return torch.tensor(found)


@torch.no_grad()
def word_maps(net: TextDenoiser, x_t: Tensor, level: Level, tokens: Tensor, weights: Weights = masked_attention) -> Tensor:
    """Return the attention of each position of x_t [B, C, S, S] to each token [B, L], for each layer: [layers, B, L, S, S].

    Mean over the heads (compare Hertz et al. 2023, figure 4). At each position it adds up to 1 over the tokens. weights: computes
    the attention of queries and keys, with images and heads together as B.
    """
    check_tensor("x_t", x_t, "[B, C, S, S]", "float")
    check_tensor("tokens", tokens, f"[{len(x_t)}, L]", "integer")
    check_level(level)
    maps: list[Tensor] = []

    def store(layer: CrossAttention, inputs: tuple[Tensor, Tensor, Tensor], _: Tensor) -> None:
        found = layer.attention_weights(*inputs, weights)  # [B, N, L]
        side = math.isqrt(found.shape[1])
        maps.append(F.interpolate(found.float().mT.unflatten(2, (side, side)), x_t.shape[2:], mode="nearest"))

    hooks = [module.register_forward_hook(store) for module in net.modules() if isinstance(module, CrossAttention)]
    try:
        net(x_t, torch.full((len(x_t),), level.t, device=x_t.device), tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(maps)


def scene_maps(net: TextDenoiser, scenes: Scenes, level: Level, weights: Weights = masked_attention, seed: int = 0) -> Tensor:
    """Return `word_maps` of scenes behind noise of this level, given their captions: [layers, N, L, 8, 8]."""
    seed = check_integer("seed", seed, 0, MAX_SEED)
    noise = torch.randn(scenes.latents.shape, generator=torch.Generator().manual_seed(seed)).to(scenes.latents.device)
    x_t = level.alpha * scenes.latents + level.sigma * noise
    return word_maps(net, x_t, level, text.tokenise(scenes.captions, x_t.device), weights)


def maps_of_word(maps: Tensor, token: Tensor) -> Tensor:
    """Select the map of one token [N] of each image from maps [layers, N, L, S, S], mean over the layers: [N, S, S]."""
    check_tensor("maps", maps, "[layers, N, L, S, S]", "float")
    check_labels("token", token, maps.shape[2], maps.shape[1])
    return maps.mean(0)[torch.arange(len(token), device=maps.device), token.to(maps.device, torch.int64)]


def heat(image: Tensor, weight: Tensor) -> Tensor:
    """Lay a map [S, S] over an image [3, H, W] in [-1, 1]: grey where it is low, red where it is largest: [3, H, W]."""
    check_tensor("image", image, "[3, H, W]", "float")
    check_tensor("weight", weight, "[S, S]", "float")
    image, weight = image.float(), weight.float()
    if not float(weight.max()) > 0:
        raise ValueError("weight has no value above 0, but is divided by its largest value.")
    share = F.interpolate((weight / weight.max())[None, None], image.shape[1:], mode="bilinear")[0, 0]
    grey = image.mean(0) * 0.5
    red = torch.stack([torch.ones_like(grey), grey - 0.6, grey - 0.8])
    return torch.lerp(grey.expand(3, -1, -1), red, share * 0.9).clamp(-1, 1)
