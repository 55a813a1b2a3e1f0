"""Specs of the experiments of chapters 2, 3 and 6, on autoencoders."""

from typing import Any

import torch
from inputs import built, factors, generator, images, machine, normal, photos, posterior, vae
from odd_values import Denoise
from spec import exclude, spec
from targets_judges import evaluator, reader

from course_lib.adversarial import PatchDiscriminator
from course_lib.autoencoder import Autoencoder
from course_lib.experiments.ch3_vae.elbo import GradientEstimates
from course_lib.experiments.ch3_vae.latent_space import aggregate_posterior
from course_lib.experiments.ch3_vae.marginal_likelihood import LinearVAE
from course_lib.experiments.ch3_vae.posterior_collapse import PlainVAE

NCHW = {"images": "[B, C, H, W]"}
GREY, RGB = {"images": "[B, 1, H, W]"}, {"images": "[B, 3, 64, 64]"}
TRAINS = "trains a network of the recipes for seconds to minutes"


def net(channels: int = 1, **options: Any) -> Autoencoder:
    return built(Autoencoder, channels, width=8, **options)


# ---------------------------------------------------------------------------------------------------------- chapter 2

B = "experiments.ch2_autoencoder"
spec(f"{B}.bottlenecks.reconstruction_quality", same=[("reconstructions", "images")], number=True, infinite=True)(
    lambda: {"reconstructions": images(2, 1, 16), "images": images(2, 1, 16)}
)
spec(f"{B}.bottlenecks.bottleneck_point", shapes=GREY, number=True)(lambda: {"net": net(), "images": images(2, 1, 16)})
exclude(TRAINS, f"{B}.bottlenecks.measure_bottlenecks")
spec(f"{B}.pca_baseline.pca_reconstruct")(lambda: {"train_images": images(9, 1, 4), "images": images(2, 1, 4), "k": 3})
spec(f"{B}.pca_baseline.pca_error", any_dtype=("images",), number=True)(lambda: {"images": images(9, 1, 4), "k": 3})
spec(f"{B}.pca_baseline.linear_autoencoder_error", fixed=("machine",), slow=True)(
    lambda: {"images": images(500, 1, 4), "k": 3, "machine": machine(), "steps": 2}
)
spec("experiments.latents.spherical_interpolate", same=[("a", "b")])(
    lambda: {"a": normal(3, 4), "b": normal(3, 4), "points": 5, "centre": normal(1, 4)}
)
spec(f"{B}.teddy_bottlenecks.reconstruction_facts", fixed=("machine",), slow=True)(
    lambda: {
        "reconstructions": photos(2, 3, 64).float() / 128 - 1,
        "images": photos(2, 3, 64),
        "factors": factors(2),
        "machine": machine(),
    }
)
exclude("reads a stored result", f"{B}.teddy_bottlenecks.skills")
exclude(TRAINS, f"{B}.teddy_bottlenecks.measure_teddy_bottlenecks")
spec(f"{B}.teddy_bottlenecks.train_teddy_autoencoder", fixed=("machine",), shapes=RGB, slow=True)(
    lambda: {"images": photos(32, 3, 64), "channels": 2, "machine": machine(), "steps": 1}
)

# ---------------------------------------------------------------------------------------------------------- chapter 3

C = "experiments.ch3_vae"
spec(f"{C}.blur.edge_signals")(lambda: {"n": 3, "spread": 0.2, "points": 8, "seed": 1})
spec(f"{C}.blur.least_squares_answer", shapes={"signals": "[n, points]"})(
    lambda: {"signals": normal(3, 8), "steps": 5, "lr": 0.1}
)
spec(f"{C}.blur.sharpness", shapes=NCHW)(lambda: {"images": images()})
spec(f"{C}.disentanglement.train_teddy_vae", fixed=("machine",), slow=True)(
    lambda: {"free": ("x", "y"), "n": 64, "steps": 1, "machine": machine(), "latents": 2, "noise_std": 0.2, "seed": 1}
)
spec(f"{C}.disentanglement.squared_correlations", rows=[("latents", "factors")], shapes={"factors": "[N, K]"})(
    lambda: {"latents": normal(6, 2), "factors": normal(6, 3)}
)
spec(f"{C}.elbo.toy_elbo", same=[("mean", "std")])(
    lambda: {"x": 1.0, "mean": normal(4), "std": torch.rand(4) + 0.1, "weight": 1.5, "noise_std": 0.5}
)
spec(f"{C}.elbo.toy_evidence")(lambda: {"x": 1.0, "weight": 1.5, "noise_std": 0.5})
spec(f"{C}.elbo.monte_carlo_kl_error")(lambda: {"q": posterior(1), "counts": [1, 4], "generator": generator(), "draws": 64})
spec(f"{C}.elbo.GradientEstimates.variances")(lambda: {"self": GradientEstimates(normal(5, 2), normal(5, 2), normal(5, 2))})
exclude("a record of results", f"{C}.elbo.GradientEstimates", f"{C}.latent_space.AggregatePosterior")
exclude("a record of results", f"{C}.marginal_likelihood.PPCA", f"{C}.posterior_collapse.CollapseRun")
spec(f"{C}.elbo.estimate_gradients", same=[("mean", "std")])(
    lambda: {
        "f": Denoise(lambda z: z.square().sum(1)),
        "mean": normal(3),
        "std": torch.rand(3) + 0.1,
        "samples": 4,
        "generator": generator(),
    }
)
spec(f"{C}.elbo.estimate_decoder_gradients")(
    lambda: {"vae": vae(), "image": images(1, 1, 16), "samples": 3, "generator": generator()}
)
spec(f"{C}.elbo.effective_beta")(lambda: {"beta": 1.0, "error": 1, "kl": 1, "noise_std": 0.7})
spec(f"{C}.elbo.train_short_vae", images=("images",), fixed=("machine",), slow=True)(
    lambda: {"images": photos(64, 1, 32), "beta": 1.0, "machine": machine(), "steps": 1, "seed": 1}
)

L = f"{C}.latent_space"
spec(f"{L}.readable_fraction", shapes=GREY, images=("images",))(lambda: {"evaluator": evaluator(), "images": images(3, 1, 32)})
spec(f"{L}.decode_perturbed")(lambda: {"net": net(), "z": normal(3, 4, 2, 2), "strength": 0.5, "generator": generator()})
spec(f"{L}.aggregate_posterior")(lambda: {"q": posterior(9)})
spec(f"{L}.AggregatePosterior.kl")(lambda: {"self": aggregate_posterior(posterior(9))})
spec(f"{L}.rank_dims_by_kl")(lambda: {"q": posterior()})
spec(f"{L}.traverse")(lambda: {"net": vae(), "z": normal(2, 4, 2, 2), "index": 3, "value": 1.0})
exclude("needs a thousand images and the evaluator of all test images", f"{L}.latent_space_report")

M = f"{C}.marginal_likelihood"


def linear_vae() -> LinearVAE:
    return built(LinearVAE, 4, 2, 0.5)


spec(f"{M}.fit_ppca", shapes={"x": "[N, D]"}, any_dtype=("x",), number=True)(lambda: {"x": normal(9, 4), "latents": 2})
spec(f"{M}.LinearVAE")(lambda: {"dims": 4, "latents": 2, "noise_std": 0.5})
spec(f"{M}.LinearVAE.elbo")(lambda: {"self": linear_vae(), "images": normal(3, 4), "generator": generator()})
spec(f"{M}.LinearVAE.decode")(lambda: {"self": linear_vae(), "z": normal(3, 2)})
for method in ("encode", "exact_elbo", "evidence", "bounds"):
    spec(f"{M}.LinearVAE.{method}")(lambda: {"self": linear_vae(), "x": normal(3, 4)})
spec(f"{M}.widen_posterior")(lambda: {"net": linear_vae(), "factor": 2.0})
spec(f"{M}.downsample", shapes=GREY)(lambda: {"images": photos(2, 1, 16), "side": 4})
spec(f"{M}.fit_linear_vae", shapes={"x": "[N, D]"})(
    lambda: {"x": normal(9, 4), "latents": 2, "noise_std": 0.5, "steps": 3, "lr": 0.03, "seed": 1}
)

K = f"{C}.posterior_collapse"


def plain_vae() -> PlainVAE:
    return built(PlainVAE, 4, 2, 8, 1)


spec(f"{K}.PlainVAE")(lambda: {"dims": 4, "latents": 2, "width": 8, "depth": 1, "noise_std": 0.5})
spec(f"{K}.PlainVAE.elbo")(lambda: {"self": plain_vae(), "images": normal(3, 4), "generator": generator()})
spec(f"{K}.PlainVAE.encode")(lambda: {"self": plain_vae(), "x": normal(3, 4)})
spec(f"{K}.PlainVAE.decode")(lambda: {"self": plain_vae(), "z": normal(3, 2)})
spec(f"{K}.train_with_remedy", shapes={"x": "[N, D]"}, slow=True)(
    lambda: {"x": normal(9, 4), "beta": 1.0, "warmup_steps": 2, "floor": 0.1, "steps": 3, "depth": 2, "seed": 1}
)
spec(f"{C}.rate_distortion.rate_distortion_point", shapes=GREY)(lambda: {"net": vae(), "images": images(3, 1, 16), "seed": 1})
exclude(TRAINS, f"{C}.rate_distortion.measure_rate_distortion")

# ---------------------------------------------------------------------------------------------------------- chapter 6

S = "experiments.ch6_sharper_vae.sharper"


def discriminator() -> PatchDiscriminator:
    return built(PatchDiscriminator, 3, 8)


spec(f"{S}.one_pixel_losses")(lambda: {"std": 0.1, "upper": 0.4})
spec(f"{S}.horizontal_shifts", shapes=NCHW)(lambda: {"images": images(), "reach": 2})
spec(f"{S}.expected_distance", fixed=("distance",))(
    lambda: {"possible": normal(3, 2, 1, 4, 4), "distance": Denoise(lambda a, b: (a - b).square().flatten(1).mean(1)[:, None])}
)
spec(f"{S}.box_blur", shapes=NCHW)(lambda: {"images": images(), "side": 3})
spec(f"{S}.distort", shapes=NCHW)(lambda: {"images": images(), "error": 0.1, "seed": 1})
spec(f"{S}.reconstruct", shapes=GREY, images=("images",))(lambda: {"vae": vae(), "images": photos(3, 1, 16), "batch": 2})
spec(f"{S}.discriminator_accuracy", images=("real", "fake"))(
    lambda: {"discriminator": discriminator(), "real": images(3, 3, 8), "fake": images(3, 3, 8)}
)
spec(f"{S}.interpolate_weights")(lambda: {"one": vae(), "other": vae(), "fraction": 0.3})
spec(f"{S}.high_frequency_rms", shapes=NCHW)(lambda: {"images": images()})
spec(f"{S}.train_discriminator", same=[("real", "fake")], any_dtype=("real", "fake"), fixed=("machine",), slow=True)(
    lambda: {"real": images(20, 3, 8), "fake": images(20, 3, 8), "machine": machine(), "steps": 1, "seed": 1}
)
spec(f"{S}.finetune", shapes=RGB, images=("images",), fixed=("machine", "adversarial"), slow=True)(
    lambda: {
        "vae": vae(3),
        "images": photos(16, 3, 64),
        "machine": machine(),
        "reader": reader(),
        "perceptual": 0.1,
        "adversarial": 0.0,
        "steps": 1,
        "seed": 1,
    }
)
exclude("one term of finetune's loss", f"{S}.adversarial_losses")
exclude("two modules in one", f"{S}.VAEWithDiscriminator")
exclude("a record of results", f"{S}.SharpnessReport")
exclude("trains a discriminator of 64×64 images for seconds", f"{S}.sharpness_report")
