"""Specs of metrics, dimensions, images, perceptual and contrastive distances, and the adversarial loss."""

import torch
from inputs import built, classes, images, normal, photos, tokens
from spec import exclude, spec

from course_lib import metrics
from course_lib.adversarial import PatchDiscriminator
from course_lib.contrastive import ImageTextPair, LatentTower
from course_lib.judges.factor_reader import FactorReader

NCHW, FEATURES = "[B, C, H, W]", {"a": "[N, D]", "b": "[M, D]"}


def features(n: int = 12, d: int = 3) -> torch.Tensor:
    return normal(n, d)


for name in ("frechet_distance", "kid"):
    spec(f"metrics.{name}", shapes=FEATURES, any_dtype=("a", "b"), number=True)(lambda: {"a": features(), "b": features(10)})
spec("metrics.nearest_neighbours", any_dtype=("x", "reference"), number=True)(
    lambda: {"x": features(), "reference": features(10), "k": 2, "chunk": 5}
)
spec("metrics.nearest_neighbours", any_dtype=("x",), number=True)(lambda: {"x": images(6), "k": 2})
spec("metrics.neighbour_agreement", rows=[("a", "b")], any_dtype=("a", "b"), number=True)(
    lambda: {"a": features(), "b": images(12), "k": 3, "chunk": 5}
)
spec("metrics.precision_recall", any_dtype=("real", "fake"), number=True)(
    lambda: {"real": features(), "fake": features(9), "k": 3, "chunk": 5}
)
spec("metrics.in_support", any_dtype=("points", "support"), number=True)(
    lambda: {"points": features(), "support": features(9), "k": 3, "chunk": 5}
)
for name in ("psnr", "ssim"):
    for reduction in ("mean", "none"):
        spec(f"metrics.{name}", shapes={"x": NCHW, "y": NCHW}, same=[("x", "y")], number=True, infinite=name == "psnr")(
            lambda reduction=reduction: {"x": images(2, 1, 12), "y": images(2, 1, 12), "reduction": reduction}
        )
spec("metrics.class_agreement", rows=[("predicted", "wanted")], number=True)(
    lambda: {"predicted": normal(6, 3), "wanted": classes(6, 3)}
)
spec("metrics.class_agreement", rows=[("predicted", "wanted")])(lambda: {"predicted": classes(6, 4), "wanted": classes(6, 3)})
for name in ("calibration_error", "reliability_diagram"):
    spec(
        f"metrics.{name}",
        shapes={"logits": "[N, K]", "labels": "[N]"},
        rows=[("logits", "labels")],
        labels={"labels": 3},
        number=True,
    )(lambda: {"logits": normal(8, 3), "labels": classes(8, 3), "bins": 5})


def bootstrapped(a: object, b: object, **options: object) -> metrics.Interval:
    return metrics.bootstrap(lambda x, y: (x.double().mean() + y.double().mean()).item(), a, b, **options)


spec("metrics.bootstrap", bootstrapped, any_dtype=("a", "b"))(
    lambda: {"a": normal(8), "b": normal(6, 2), "n": 5, "confidence": 0.9, "paired": False}
)
spec("metrics.bootstrap", bootstrapped, any_dtype=("a", "b"), rows=[("a", "b")])(
    lambda: {"a": normal(8), "b": normal(8, 2), "n": 5, "confidence": 0.9, "paired": True, "generator": torch.Generator()}
)
exclude("returns its tensor as it is, except on an Apple GPU", "metrics.off_mps")

# ---------------------------------------------------------------------------------------------------------- dimension

spec("dimension.pca_spectrum", any_dtype=("x",), number=True)(lambda: {"x": features(), "chunk": 5})
spec("dimension.pca_spectrum", any_dtype=("x",), number=True)(lambda: {"x": images(4), "chunk": 5})
spec("dimension.pca_dimension", number=True, any_dtype=("spectrum",))(
    lambda: {"spectrum": torch.tensor([3.0, 2.0, 0.5]), "fraction": 0.9}
)
spec("dimension.participation_ratio", number=True, any_dtype=("spectrum",))(lambda: {"spectrum": torch.tensor([3.0, 2.0, 0.5])})
for method in ("fit", "mle"):
    spec("dimension.two_nn", any_dtype=("x",), number=True)(
        lambda method=method: {"x": features(20), "discard": 0.1, "method": method, "chunk": 6}
    )
IMAGES = {"images": NCHW}
spec("dimension.neighbour_correlation", shapes=IMAGES, any_dtype=("images",), number=True)(
    lambda: {"images": images(), "max_distance": 3}
)
spec("dimension.linear_prediction", shapes=IMAGES, any_dtype=("images",), number=True)(lambda: {"images": images()})
spec("dimension.lossless_bits_per_pixel", shapes=IMAGES)(lambda: {"images": photos()})
spec("dimension.prediction_error", shapes=IMAGES)(lambda: {"images": photos()})

# ------------------------------------------------------------------------------------------------------------- images

spec("images.to_float")(lambda: {"images": photos()})
spec("images.as_float", images=("images",))(lambda: {"images": photos()})
spec("images.as_float", images=("images",))(lambda: {"images": images()})
spec("images.to_uint8")(lambda: {"images": images()})
spec("images.patches", shapes=IMAGES, any_dtype=("images",))(lambda: {"images": images(), "side": 4})
spec("images.scale_to_norm", any_dtype=("norm",), shapes={"norm": "[B]"}, rows=[("noise", "norm")])(
    lambda: {"noise": normal(3, 1, 4, 4), "norm": torch.rand(3)}
)

# ------------------------------------------------------------------------------------- perceptual, adversarial, contrastive


def reader() -> FactorReader:
    return built(FactorReader, 8)


SIXTY_FOUR = "[B, 3, 64, 64]"
spec("perceptual.feature_maps", shapes={"images": SIXTY_FOUR})(lambda: {"reader": reader(), "images": images(2, 3, 64)})
spec("perceptual.perceptual_distance", shapes={"a": SIXTY_FOUR, "b": SIXTY_FOUR}, same=[("a", "b")])(
    lambda: {"reader": reader(), "a": images(2, 3, 64), "b": images(2, 3, 64)}
)
spec("metrics.check_points", any_dtype=("x",))(lambda: {"x": normal(4, 3)})
spec("adversarial.PatchDiscriminator")(lambda: {"in_channels": 3, "width": 8})
spec("adversarial.PatchDiscriminator.forward", shapes={"images": "[B, 3, H, W]"})(
    lambda: {"self": built(PatchDiscriminator, 3, 8), "images": images(2, 3, 8)}
)
spec("adversarial.discriminator_loss")(lambda: {"real": normal(2, 1, 2, 2), "fake": normal(2, 1, 2, 2)})
spec("adversarial.generator_loss")(lambda: {"fake": normal(2, 1, 2, 2)})


def two_losses(weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    last = weights.detach().clone().requires_grad_()
    return last.square().sum(), last.sum(), last


def weigh(weights: torch.Tensor, **options: object) -> object:
    from course_lib.adversarial import adaptive_weight

    return adaptive_weight(*two_losses(weights), **options)


spec("adversarial.adaptive_weight", weigh, fixed=("weights",))(lambda: {"weights": normal(3, 3), "limit": 100.0})
spec("adversarial.adaptive_weight")(
    lambda: dict(zip(("reconstruction", "adversarial", "last"), two_losses(normal(3, 3)), strict=True))
)

spec("contrastive.similarity", shapes={"images": "[N, D]", "texts": "[M, D]"})(
    lambda: {"images": normal(3, 4), "texts": normal(5, 4)}
)
spec("contrastive.contrastive_loss", shapes={"images": "[B, D]", "texts": "[B, D]"}, same=[("images", "texts")])(
    lambda: {"images": normal(3, 4), "texts": normal(3, 4), "scale": 10.0}
)
spec("contrastive.contrastive_loss", same=[("images", "texts")])(
    lambda: {"images": normal(3, 4), "texts": normal(3, 4), "scale": torch.tensor(3.0), "excluded": ~torch.ones(3, 3).bool()}
)
spec("contrastive.LatentTower")(lambda: {"channels": 4, "width": 8, "out": 6})
spec("contrastive.LatentTower.forward", shapes={"latents": "[B, 4, 8, 8]"})(
    lambda: {"self": built(LatentTower, 4, 8, 6), "latents": normal(2, 4, 8, 8)}
)
spec("contrastive.ImageTextPair")(lambda: {"features": 6, "width": 8, "text_dim": 8, "text_depth": 1})
spec("contrastive.ImageTextPair.forward", shapes={"latents": "[B, 4, 8, 8]", "tokens": "[B, L]"}, labels={"tokens": 1000})(
    lambda: {"self": built(ImageTextPair, 6, 8, 8, 1), "latents": normal(2, 4, 8, 8), "tokens": tokens()}
)
spec("contrastive.unique_captions", text=("captions",))(lambda: {"captions": ["a bear", "two bears", "a bear"]})
for name in ("correct_matches", "retrieval_accuracy"):
    spec(
        f"contrastive.{name}",
        shapes={"similarities": "[N, M]", "caption_of": "[N]"},
        rows=[("similarities", "caption_of")],
        number=True,
        labels={"caption_of": 2},
    )(lambda: {"similarities": normal(4, 2), "caption_of": torch.tensor([0, 1, 1, 0])})
