"""The edges of the blocks where a value was once wrong, or a mistake accepted, without a word: each with its right value."""

from dataclasses import replace

import pytest
import torch
from networks import perturbed
from oracles import normal, seeded
from torch import nn
from torch.testing import assert_close

from course_lib import diffusion, dimension, guidance, metrics, schedule, teddies, vae
from course_lib.autoencoder import Autoencoder, reconstruction_loss
from course_lib.codec import VAECodec
from course_lib.contrastive import ImageTextPair, LatentTower
from course_lib.dit import DiT
from course_lib.gaussian_mixture import gaussian_mixture
from course_lib.judges.classifier import Classifier
from course_lib.judges.factor_reader import FactorReader
from course_lib.layers import Conditioning
from course_lib.text import TextDenoiser, TextTransformer, tokenise
from course_lib.unet import UNet
from course_lib.vae import VAE

NAN = float("nan")
COSINE = schedule.cosine()
LEVEL = COSINE.level(500)


def images(*shape, seed=0):
    return normal(*shape, seed=seed, dtype=torch.float32).tanh()


# ---------------------------------------------------------------------------------------------------------------- metrics


def test_the_frechet_distance_of_one_feature_is_that_of_two_normals():
    a, b = normal(500, 1), 1.5 * normal(400, 1, seed=1) + 2
    wanted = (a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2  # Dowson & Landau 1982, one dimension
    assert metrics.frechet_distance(a, b) == pytest.approx(wanted.item(), rel=1e-9)


@pytest.mark.parametrize(("points", "copies", "d"), [(60, 5, 64), (10, 5, 3)])
def test_a_set_with_copies_lies_on_itself(points, copies, d):
    x = normal(points, d, dtype=torch.float32).repeat(copies, 1)
    assert metrics.precision_recall(x, x) == (1.0, 1.0)


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_integer_pictures_are_refused_by_measures_of_floats(measure):
    x = torch.randint(256, (2, 1, 16, 16), generator=seeded(), dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"uint8.*to_float"):
        measure(x, x)


def test_predictions_that_are_no_numbers_or_have_another_shape_have_no_accuracy():
    zeros = torch.zeros(6, dtype=torch.int64)
    for call in (
        lambda: metrics.class_agreement(torch.tensor([[3], [2]]), torch.tensor([3, 2])),
        lambda: metrics.class_agreement(torch.full((6, 4), NAN), zeros),
        lambda: metrics.calibration_error(torch.full((6, 4), NAN), zeros),
        lambda: metrics.calibration_error(normal(6, 4), zeros + 99),
        lambda: metrics.calibration_error(normal(6, 4), zeros - 1),
        lambda: metrics.reliability_diagram(normal(6, 4), torch.tensor([1])),
    ):
        with pytest.raises(ValueError, match=r"logits|labels|predicted"):
            call()


# -------------------------------------------------------------------------------------------------------------- dimensions


def test_dimensions_that_do_not_exist_are_refused():
    lattice = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))
    half_flat = torch.cat([torch.ones(3, 1, 8, 4), images(3, 1, 8, 4)], dim=3)
    half_flat[..., 4:] = 1
    for call, words in (
        (lambda: dimension.two_nn(torch.arange(100.0)[:, None]), "lattice"),
        (lambda: dimension.two_nn(lattice), "lattice"),
        (lambda: dimension.pca_dimension(torch.tensor([1.0, 2, 97])), "descending"),
        (lambda: dimension.pca_dimension(torch.zeros(3)), "spectrum"),
        (lambda: dimension.participation_ratio(torch.zeros(3)), "spectrum"),
        (lambda: dimension.pca_spectrum(torch.tensor([[1.0, NAN], [2.0, 3.0]])), "NaN"),
        (lambda: dimension.neighbour_correlation(half_flat, 2), "same value in every pixel"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_the_spectrum_of_integers_is_that_of_the_same_floats():
    x = torch.randint(256, (40, 12), generator=seeded(), dtype=torch.uint8)  # their squares do not fit into uint8
    assert_close(dimension.pca_spectrum(x), dimension.pca_spectrum(x.double()))
    assert dimension.participation_ratio(dimension.pca_spectrum(x)) == pytest.approx(
        dimension.participation_ratio(dimension.pca_spectrum(x.double()))
    )


def test_one_image_says_nothing_of_active_units():
    with pytest.raises(ValueError, match="2 rows"):
        vae.active_units(vae.Posterior(normal(1, 4, 2, 2), normal(1, 4, 2, 2)))


# -------------------------------------------------------------------------------------------------- schedules and diffusion


def test_a_schedule_with_replaced_rates_has_no_old_tables():
    table = schedule.cosine(50)
    table.at(torch.tensor([25]))
    other = replace(table, alphas=schedule.linear(50).alphas, sigmas=schedule.linear(50).sigmas)
    assert other.at(torch.tensor([25])).alpha.item() == pytest.approx(other.level(25).alpha)
    assert other.level(25).alpha == schedule.linear(50).level(25).alpha


@pytest.mark.parametrize("t", [torch.tensor([-1]), torch.tensor([1001]), torch.tensor([5.0]), [5]])
def test_steps_that_a_schedule_does_not_have_are_refused(t):
    with pytest.raises((ValueError, TypeError), match=r"^t "):
        COSINE.at(t)


def test_the_only_step_of_a_schedule_is_noise():
    for make in (schedule.linear, schedule.cosine, schedule.flow, schedule.scaled_linear):
        assert make(1).level(1).alpha < 0.05  # some leave a trace of signal by definition


def test_a_level_without_noise_says_the_same_as_a_batch_of_such():
    x = images(3, 1, 4, 4)
    for level in (COSINE.level(0), COSINE.at(torch.tensor([0, 0, 0]))):
        with pytest.raises(ValueError, match="does not determine the noise"):
            diffusion.to_eps("x0", x, x, level)


@pytest.mark.parametrize("out", [lambda x, t, y: x[:, :1], lambda x, t, y: x.mean()])
def test_an_output_of_another_shape_has_no_loss(out):
    with pytest.raises(ValueError, match="network's output"):
        diffusion.loss(out, images(2, 3, 4, 4), None, COSINE, "eps")


def test_the_words_of_a_caption_are_dropped_all_together():
    net = TextDenoiser(16, 1, width=8, blocks=1, heads=2)
    tokens = tokenise("two pink teddy bears with a green scarf reading on a meadow").expand(2000, -1)
    left = diffusion.drop_labels(tokens, net.null_label, 0.1, seeded())
    complete, empty = (left == tokens).all(1), (left == tokenise("")).all(1)
    assert (complete | empty).all()
    assert empty.double().mean().item() == pytest.approx(0.1, abs=4 * (0.09 / 2000) ** 0.5)


# ---------------------------------------------------------------------------------------------------------------- guidance


@pytest.mark.parametrize("n", [4, 40])
def test_one_label_for_all_images_is_guided_like_one_each(n):
    net, x_t = perturbed(UNet(4, 8, (1, 2), 1, (1,), 2)), images(n, 4, 4, 4)
    found = guidance.classifier_free_guide(net, "v", 3, 10, 3.0)(x_t, LEVEL)
    wanted = guidance.guide(diffusion.denoiser(net, "v", torch.full((n,), 3)), diffusion.denoiser(net, "v", 10), 3.0)(x_t, LEVEL)
    assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 1, 1, 1)])
def test_images_without_contrast_keep_the_guided_value_when_rescaled(shape):
    guide = guidance.guide(lambda x, _: torch.ones_like(x), lambda x, _: torch.zeros_like(x), 3.0, rescale=0.7)
    assert torch.equal(guide(images(*shape), LEVEL), torch.full(shape, 3.0))


def test_covariances_must_be_symmetric_and_labels_must_exist():
    with pytest.raises(ValueError, match="not symmetric"):
        gaussian_mixture(torch.zeros(1, 2), torch.tensor([[[1.0, 0.9], [0.0, 1.0]]]))
    mixture = gaussian_mixture(normal(3, 2), 0.5)
    for y in (5, -1, torch.tensor([0, 7])):
        with pytest.raises(ValueError, match=r"y|label|class"):
            mixture.denoiser(y)(normal(2, 2, 1, 1), LEVEL)


# ------------------------------------------------------------------------------------------------------- labels and captions


@pytest.mark.parametrize("y", [[4, 0], [0, 6], [0, -1], [-1, 0]])
def test_a_label_that_its_factor_does_not_have_reads_no_other_factors_row(y):
    with pytest.raises(ValueError, match=r"labels from 0 to \[3, 5\]"):
        Conditioning(16, (3, 5))(torch.tensor([1]), torch.tensor([y]))


def test_the_temperature_comes_back_from_its_limit():
    pair = ImageTextPair(8, 8, 16, 1)
    with torch.no_grad():
        pair.log_scale.fill_(9.0)
    optimizer = torch.optim.SGD([pair.log_scale], 0.1)
    (pair.scale / 100).backward()  # a loss that falls with the scale
    optimizer.step()
    assert pair.scale.item() < 100


@pytest.mark.parametrize("call", [
    lambda: teddies.captions_from_labels(torch.full((1, 5), -1)),
    lambda: teddies.captions_from_labels(torch.full((1, 5), 50)),
    lambda: teddies.dataset(3, 0, 16, unseen=2),
    lambda: schedule.flow(2.5),
    lambda: VAE(noise_std=NAN),
    lambda: reconstruction_loss(Autoencoder(width=8), images(2, 1, 16, 16), -0.14),
    lambda: vae.kl_warmup(-5, 10),
    lambda: diffusion.drop_labels(torch.zeros(3, dtype=torch.int64), 10, NAN),
    lambda: diffusion.clamp_x0(lambda x, _: x, 1, -1),
    lambda: metrics.nearest_neighbours(normal(5, 3), chunk=0),
    lambda: VAE(1, width=8).encode(torch.zeros(1, 1, 16, 16, dtype=torch.uint8)),
    lambda: VAE(1, width=8).encode(images(1, 3, 16, 16)),
    lambda: DiT(size=(4, 8)),
    lambda: LatentTower()(images(2, 4, 8, 16)),
    lambda: TextTransformer(16, 1)(torch.ones(1, 20, dtype=torch.int64)),
])  # fmt: skip
def test_mistakes_that_were_once_accepted_or_obscure_are_sentences(call):
    with pytest.raises((ValueError, TypeError), match=r"\bmust\b|\btakes\b|\bat most\b") as error:
        call()
    assert type(error.value) in (ValueError, TypeError)


# --------------------------------------------------------------------------------------------------------------- precision


def test_a_vae_in_float64_is_the_one_in_float32_but_finer():
    net = perturbed(VAE(1, width=8))
    x = images(6, 1, 16, 16)
    single = net.elbo(x, seeded(1))
    net, x = net.double(), x.double()
    assert net(x).dtype == torch.float64
    double = net.elbo(x, seeded(1))
    assert double.kl.dtype == double.log_likelihood.dtype == torch.float64
    assert_close(double.kl.float(), single.kl, rtol=1e-4, atol=1e-4)
    codec = VAECodec.fit(net, x)
    assert_close(codec.encode(x).mean((0, 2, 3)), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-9)


T, Y = torch.tensor([3, 999]), torch.tensor([1, 2])
NETWORKS = {
    "unet": (lambda: UNet(4, 8, (1, 2), 1, (1,), 2), (images(2, 4, 8, 8), T, Y)),
    "dit": (lambda: DiT(size=4, dim=16, depth=1, heads=2), (images(2, 4, 4, 4), T, Y)),
    "captions": (
        lambda: TextDenoiser(16, 1, width=8, blocks=1, heads=2),
        (images(2, 4, 8, 8), T, tokenise(["a bear", "two"])),
    ),
    "vae": (lambda: VAE(1, width=8), (images(2, 1, 16, 16),)),
    "autoencoder": (lambda: Autoencoder(1, width=8), (images(2, 1, 16, 16),)),
    "classifier": (lambda: Classifier(widths=(8, 8, 8)), (images(2, 1, 32, 32),)),
    "reader": (lambda: FactorReader(8), (images(2, 3, 64, 64),)),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_run_with_weights_in_half_precision(name, dtype):
    make, arguments = NETWORKS[name]
    torch.manual_seed(0)
    net: nn.Module = perturbed(make())
    with torch.no_grad():
        wanted = net(*arguments)
        found = net.to(dtype)(*arguments)
    error = (found.float() - wanted).square().mean().sqrt() / wanted.square().mean().sqrt()
    assert error < (0.06 if dtype == torch.bfloat16 else 0.01)  # bf16 has 8 bits, fp16 has 11


def test_the_frequencies_of_time_are_not_rounded_with_the_weights():
    exact, half = Conditioning(16, None), Conditioning(16, None)
    half.load_state_dict(exact.state_dict())
    half.bfloat16()
    t = torch.tensor([999])
    assert_close(half(t, None).float(), exact(t, None), rtol=0.1, atol=0.05)
