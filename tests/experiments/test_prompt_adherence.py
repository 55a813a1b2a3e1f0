"""Prompt adherence: which prompts are sampled, and what the factor reader finds in rendered teddies."""

import torch

from course_lib import device, recipes, teddies
from course_lib.experiments import prompt_adherence
from course_lib.teddies import NUM_VALUES, SEMANTIC


def test_prompts_are_held_out_if_and_only_if_unseen_ones_are_wanted():
    for unseen in (False, True):
        labels = prompt_adherence.sample_prompts(40, 3, unseen)
        assert labels.shape == (40, 5)
        factors = teddies.sample_factors(40, 0, **dict(zip(SEMANTIC, labels.unbind(1), strict=True)))
        assert (teddies.is_held_out(factors) == unseen).all()


def test_adherence_is_high_for_matching_images_and_low_for_others():
    reader = recipes.load_or_train("teddies-reader", device.find("cpu", "fp32"))
    images, factors = teddies.dataset(60, 8)
    labels = factors.labels()
    matching = prompt_adherence.adherence(reader, images, labels)
    assert matching["all"] >= 0.85
    assert prompt_adherence.adherence(reader, images, labels.roll(1, 0))["all"] < 0.1
    null = torch.tensor(NUM_VALUES).expand(60, -1)
    assert prompt_adherence.adherence(reader, images, null) == dict.fromkeys((*SEMANTIC, "all"), 1.0)
    count_only = torch.cat([labels[:, :1], null[:, 1:]], 1)
    assert prompt_adherence.adherence(reader, images, count_only)["all"] == matching["count"]
