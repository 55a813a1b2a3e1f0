"""What the experiments of chapters 4 to 7 say of the most likely wrong arguments."""

import math

import pytest
import torch

from course_lib import device, recipes
from course_lib.arguments import check_integers
from course_lib.codec import VAECodec
from course_lib.experiments import flops, generate, latents, limits, prompt_adherence
from course_lib.experiments.ch4_latent_ddpm import equal_quality, sampler_order, sampler_steps, schedules_and_scaling
from course_lib.experiments.ch5_guidance import failure_modes, frontier, guided_densities, noisy_classifier
from course_lib.experiments.ch6_sharper_vae import sharper
from course_lib.experiments.ch7_words import attention, order, words
from course_lib.schedule import Level
from course_lib.vae import VAE

MACHINE = device.find("cpu", "fp32", 1)
COSINE = recipes.make_schedule()
Z = torch.zeros(4, 4, 2, 2)
IMAGES = torch.zeros(4, 1, 8, 8)
Y = torch.zeros(4, dtype=torch.int64)
LABELS = torch.zeros(4, 5, dtype=torch.int64)
MASSES = torch.ones(3, 3)
NAN = math.nan


def noisy() -> noisy_classifier.NoisyClassifier:
    return noisy_classifier.NoisyClassifier(16, 10, 8)


def codec() -> VAECodec:
    return VAECodec(VAE(width=8), torch.zeros(4), torch.ones(4))


SHARED = {
    "one number for a list": (lambda: check_integers("ts", 100), "ts is 100, but must be a list"),
    "an empty list": (lambda: check_integers("ts", []), "ts has 0 values"),
    "a fraction among steps": (lambda: check_integers("steps", [5, 2.5]), r"steps\[1\] is 2.5"),
    "no seed": (lambda: limits.seeded_generator(None), "seed is None"),
    "a shape with one side too many": (lambda: flops.flops_per_step(noisy(), (1, 10**9, 4)), r"shape\[1\] is 1000000000"),
    "a side that is no multiple of 8": (lambda: flops.cost_at_side(100), "multiple of 8"),
    "a power law through 0": (lambda: flops.power_law_exponent([0, 1], [1, 2]), r"x\[0\] is 0"),
    "a power law of one x": (lambda: flops.power_law_exponent([2, 2], [1, 2]), "two different x"),
    "no images": (lambda: generate.balanced_labels(0, MACHINE), "n is 0"),
    "an unknown sampler": (
        lambda: generate.generate(lambda y: None, Y, codec(), (4, 2, 2), MACHINE, sampler="euler"),
        "sampler is 'euler', but must be one of 'DDPM'",
    ),
    "labels of floats": (lambda: generate.generate(lambda y: None, Y.float(), codec(), (4, 2, 2), MACHINE), "labels holds"),
    "ends of two shapes": (lambda: latents.interpolate(Z, Z[:1], 5), "a has shape"),
    "a Gaussian of one point": (lambda: latents.sample_fitted_gaussian(Z[:1], 3, None), "at least 2 rows"),
    "labels of another batch": (lambda: prompt_adherence.adherence(None, torch.zeros(2, 3, 64, 64), LABELS), "2 rows"),
    "a word for a flag": (lambda: prompt_adherence.sample_prompts(3, 1, unseen="yes"), "unseen is 'yes'"),
}
CHAPTER_4 = {
    "a curve without pairs": (lambda: equal_quality.seconds_to_reach([1.0, 2.0], 3.0), r"curve\[0\] is 1.0"),
    "a class of one latent": (lambda: sampler_order.latent_mixture(Z, torch.tensor([0, 0, 0, 1])), "two of each class"),
    "a flow from clean data": (
        lambda: sampler_order.exact_flow(sampler_order.toy_mixture(), Z[:, :2, :1, :1], COSINE.level(0), COSINE.level(9)),
        "must start with signal and noise",
    ),
    "levels in the wrong order": (lambda: sampler_order.evenly_spaced_levels(100, 900, 4), "first is 100"),
    "more steps than timesteps": (lambda: sampler_order.evenly_spaced_levels(100, 90, 20), "steps is 20"),
    "points of three dimensions": (lambda: sampler_order.sliced_wasserstein(torch.zeros(4, 3), torch.zeros(4, 3)), r"\[N, 2\]"),
    "errors of other steps": (
        lambda: sampler_order.convergence_order([2, 4], [0.1, 0.2, 0.3]),
        "steps has 2 values and errors 3",
    ),
    "an unknown metric": (lambda: sampler_steps.metric_curves({"points": []}, "fid"), "metric is 'fid'"),
    "no standard deviation": (lambda: schedules_and_scaling.snr_offset_db(0), "std is 0"),
    "a bare sigma": (lambda: schedules_and_scaling.snr_db(0.5), "must be a Level"),
    "latents of two channels": (lambda: schedules_and_scaling.global_std(codec(), Z[:, :2]), r"must be \[N, 4, h, w\]"),
    "noise of another shape": (lambda: schedules_and_scaling.decode_prior(codec(), 2, (1, 2, 2), MACHINE), r"\(2, 1, 2, 2\)"),
}
CHAPTER_5 = {
    "no such run": (lambda: failure_modes.answer("G"), "There is no run 'G'"),
    "a factor of 0": (lambda: failure_modes.stretch_latents(codec(), 0.0), "factor is 0.0"),
    "an interval of one number": (lambda: frontier.interval_guidance("", noisy(), 0.2, MACHINE), "interval is 0.2"),
    "no such metric": (lambda: frontier.FrontierPoint(1.0, 2, {"frechet": [1.0]}).mean("fid"), "one of 'frechet'"),
    "contrast of uint8": (lambda: frontier.contrast(IMAGES.to(torch.uint8)), "to_float"),
    "no such class": (
        lambda: guided_densities.sharpened_density(guided_densities.two_class_mixture(), None, 2, 1.0),
        "y is 2",
    ),
    "a start at no noise": (lambda: guided_densities.log_density(None, Z[:, :2, :1, :1], start=0.0), "start is 0.0"),
    "masses of two grids": (lambda: guided_densities.total_variation(MASSES, torch.ones(4, 4)), "must be equal"),
    "a fraction in percent": (lambda: guided_densities.mass_outside(MASSES, MASSES, 99), "fraction is 99"),
    "a level of fewer images": (lambda: noisy()(Z, COSINE.at(Y[:2])), r"rates \[4, 1, 1, 1\]"),
    "latents of another size": (lambda: noisy()(Z[..., :1], COSINE.level(9)), "flattened"),
    "a level beyond the table": (
        lambda: noisy_classifier.CalibratedClassifier(noisy(), [1, 9], [1.0, 2.0])(Z, Level(2000, 0.5, 0.5)),
        "t is 2000",
    ),
    "timesteps that fall": (lambda: noisy_classifier.CalibratedClassifier(noisy(), [9, 1], [1.0, 2.0]), "must be ascending"),
    "a temperature too few": (lambda: noisy_classifier.CalibratedClassifier(noisy(), [1, 9], [1.0]), "temperatures has 1"),
    "fewer labels than latents": (lambda: noisy_classifier.accuracy_by_level(noisy(), Z, Y[:2], [9]), "labels has shape"),
}
CHAPTERS_6_AND_7 = {
    "no spread": (lambda: sharper.one_pixel_losses(std=0.0), "std is 0.0"),
    "an even side": (lambda: sharper.box_blur(IMAGES, 4), "must be odd"),
    "uint8 images": (lambda: sharper.high_frequency_rms(IMAGES.to(torch.uint8)), "to_float"),
    "an error of NaN": (lambda: sharper.distort(IMAGES, NAN), "error is nan"),
    "two architectures": (lambda: sharper.interpolate_weights(VAE(width=8), VAE(width=16), 0.5), "one architecture"),
    "grey fakes": (lambda: sharper.train_discriminator(torch.zeros(20, 3, 8, 8), IMAGES, MACHINE), "fake has shape"),
    "an unknown factor": (lambda: words.drop_factors(LABELS, "colour"), "'colour', but must be one of"),
    "a drop in percent": (lambda: words.drop_words(LABELS, 20), "drop is 20"),
    "a split as a tuple": (lambda: words.zero_shot_accuracy(None, (Z, Z, LABELS)), "split is a tuple"),
    "a split in place of several": (lambda: words.retrieval_by_split(None, words.Split(Z, Z, LABELS)), "must be a dictionary"),
    "an empty map": (lambda: attention.heat(torch.zeros(3, 8, 8), torch.zeros(4, 4)), "no value above 0"),
    "three teddies": (lambda: order.two_captions(torch.zeros(1, 3, 2, dtype=torch.int64)), r"\[N, 2, 2\]"),
}
CASES = SHARED | CHAPTER_4 | CHAPTER_5 | CHAPTERS_6_AND_7


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_argument_is_refused_in_one_sentence(case):
    call, sentence = CASES[case]
    with pytest.raises((TypeError, ValueError), match=sentence):
        call()
