"""Where attention falls: masks from the renderer, the words of captions, and maps of cross-attention."""

import pytest
import torch
from networks import perturbed
from oracles import normal

from course_lib import device, recipes, teddies, text
from course_lib.experiments.ch7_words import attention
from course_lib.layers import CrossAttention
from course_lib.schedule import cosine
from course_lib.text import TextDenoiser

MACHINE = device.find("cpu", "fp32")


def small_net():
    torch.manual_seed(0)
    return TextDenoiser(32, 1, in_channels=4, width=16, heads=2, blocks=1)


def scarves(n=4):
    return teddies.sample_factors(n, 3, scarf=[1 + i % 4 for i in range(n)])


def test_attention_adds_up_to_one_and_never_falls_on_padding():
    tokens = text.tokenise(["two pink teddy bears", ""])
    net = perturbed(small_net())
    maps = attention.word_maps(net, normal(2, 4, 8, 8, dtype=torch.float32), cosine().grid(10)[4], tokens)
    layers = [module for module in net.modules() if isinstance(module, CrossAttention)]
    assert maps.shape == (len(layers), 2, text.CONTEXT_LENGTH, 8, 8)
    torch.testing.assert_close(maps.sum(2), torch.ones(len(layers), 2, 8, 8))
    assert (maps.mean(0)[tokens == text.PAD] == 0).all()
    assert (maps.mean(0)[tokens != text.PAD] > 0).all()


@torch.no_grad()
def test_maps_are_the_layers_own_weights():
    net, tokens = perturbed(small_net()), text.tokenise(["two pink teddy bears", "at night"])
    level, x_t, found = cosine().grid(10)[4], normal(2, 4, 8, 8, dtype=torch.float32), []
    hooks = [
        module.register_forward_hook(lambda layer, inputs, _: found.append(layer.attention_weights(*inputs)))
        for module in net.modules()
        if isinstance(module, CrossAttention)
    ]
    maps = attention.word_maps(net, x_t, level, tokens)
    for hook in hooks:
        hook.remove()
    for map_, weights in zip(maps, found, strict=True):
        if weights.shape[1] == 64:  # of the finest layers, which are not enlarged
            torch.testing.assert_close(map_.flatten(2).mT, weights)


def test_another_function_may_compute_the_weights():
    tokens = text.tokenise(["one bear", ""])

    def first_token(q, k, mask):
        assert mask.shape == k.shape[:2]
        return torch.nn.functional.one_hot(torch.zeros(*q.shape[:2], dtype=torch.int64), k.shape[1]).float()

    maps = attention.word_maps(small_net(), normal(2, 4, 8, 8, dtype=torch.float32), cosine().grid(10)[4], tokens, first_token)
    assert (maps[:, :, 0] == 1).all()
    assert (maps[:, :, 1:] == 0).all()


def test_the_word_that_names_a_factor():
    factors = teddies.sample_factors(
        2,
        0,
        count=["one", "two"],
        fur=["blue", "grey"],
        scarf=["blue", "red"],
        activity=["waving", "eating honey"],
        background=["snow", "night"],
    )
    line = [caption.split() for caption in teddies.captions(factors)]
    wanted = {
        "fur": ["blue", "grey"],
        "scarf": ["blue", "red"],
        attention.NOUN: ["scarf", "scarf"],
        "activity": ["waving", "eating"],
        "background": ["snow", "night"],
    }
    for name, said in wanted.items():
        tokens = attention.word_token(factors, name).tolist()
        assert [words[i - 1] for words, i in zip(line, tokens, strict=True)] == said
    assert attention.word_token(factors, "scarf").tolist() != attention.word_token(factors, "fur").tolist()
    with pytest.raises(ValueError, match="names no scarf"):
        attention.word_token(teddies.sample_factors(1, 0, scarf="none"), "fur")


def test_the_masks_are_where_the_renderer_draws():
    factors = scarves()
    changed = attention.changing_pixels(factors, "scarf")
    bare = teddies.render(factors.replace(scarf="none"))
    dressed = (teddies.render(factors) - bare).abs().amax(1) > attention.CHANGED
    assert (changed | ~dressed).all()  # what is dressed depends on the scarf
    masks = attention.object_masks(factors)
    assert set(masks) == set(attention.OBJECTS)
    assert all(mask.shape == (4, 8, 8) and mask.min() >= 0 and mask.max() <= 1 for mask in masks.values())
    assert masks["scarf"].mean() < masks["fur"].mean() < masks["background"].mean()
    assert (masks["background"] + masks["scarf"] <= 1 + 1e-6).all()


def test_scenes_are_unseen_and_wear_scarves():
    scenes = attention.make_scenes(5, 1, recipes.load_codec("teddies-vae", MACHINE), MACHINE)
    assert teddies.is_held_out(scenes.factors).all()
    assert (scenes.factors.scarf > 0).all()
    assert all(" scarf " in caption for caption in scenes.captions)
    assert scenes.latents.shape == (5, 4, 8, 8)
    net = perturbed(small_net())
    maps = attention.scene_maps(net, scenes, cosine().grid(10)[4])
    token = attention.word_token(scenes.factors, "scarf")
    torch.testing.assert_close(attention.maps_of_word(maps, token)[2], maps.mean(0)[2, token[2]])


def test_heat_is_red_where_the_map_is_large():
    weight = torch.zeros(8, 8)
    weight[:4] = 1.0
    shown = attention.heat(torch.zeros(3, 64, 64), weight)
    assert (shown[0, :24] - shown[2, :24]).min() > 1
    assert (shown[0, 40:] - shown[2, 40:]).abs().max() < 0.01
    with pytest.raises(ValueError, match="no value above 0"):
        attention.heat(torch.zeros(3, 64, 64), torch.zeros(8, 8))
