"""Specs of notebook 12's experiments: the ways of making latents, and what is measured of them."""

from inputs import built, generator, images, normal, photos, vae
from spec import exclude, spec

from course_lib.experiments.ch12_latents import codecs
from course_lib.judges.classifier import Classifier

TRAINS = "trains networks of the recipes"
STORED = "reads or makes the stored figures, which it is given"

V = "experiments.fashion_variants"
exclude(
    TRAINS,
    *(f"{V}.{name}" for name in ("train_autoencoder", "load_or_train_base", "load_or_train_classifier")),
    *(f"{V}.{name}" for name in ("train_beta_vae", "fine_tune")),
)

C = "experiments.ch12_latents.codecs"


def codec() -> codecs.LatentCodec:
    return codecs.LatentCodec(vae(), photos(9, 1, 16))


def feature_autoencoder() -> codecs.FeatureAutoencoder:
    return codecs.FeatureAutoencoder(built(Classifier), photos(4, 1, 32), 3)


exclude(TRAINS, f"{C}.make_codec", f"{C}.train_feature_autoencoder")
exclude("a record of settings", f"{C}.Way")
spec(f"{C}.LatentCodec", shapes={"images": "[N, 1, H, W]"}, images=("images",))(
    lambda: {"net": vae(), "images": photos(9, 1, 16)}
)
spec(f"{C}.LatentCodec.encode", shapes={"images": "[B, 1, H, W]"}, images=("images",))(
    lambda: {"self": codec(), "images": images(2, 1, 16)}
)
spec(f"{C}.LatentCodec.decode", shapes={"latents": "[B, 4, h, w]"})(lambda: {"self": codec(), "latents": normal(2, 4, 2, 2)})
spec(f"{C}.equivariant_loss")(lambda: {"weight": 0.5})
spec(f"{C}.noised_loss", shapes={"scale": "[1, C, 1, 1]"})(
    lambda: {"noise": 0.5, "scale": normal(1, 4, 1, 1).abs(), "encoder_too": False}
)
spec(f"{C}.FeatureAutoencoder", shapes={"images": "[N, 1, H, W]"}, images=("images",), slow=True)(
    lambda: {"classifier": built(Classifier), "images": photos(4, 1, 32), "channels": 3, "seed": 1}
)
spec(f"{C}.FeatureAutoencoder.encode", shapes={"images": "[B, 1, H, W]"}, slow=True)(
    lambda: {"self": feature_autoencoder(), "images": images(2, 1, 32)}
)
spec(f"{C}.FeatureAutoencoder.decode", shapes={"latents": "[B, 3, h, w]"}, slow=True)(
    lambda: {"self": feature_autoencoder(), "latents": normal(2, 3, 4, 4)}
)

M = "experiments.ch12_latents.measures"
spec(f"{M}.cosine_basis")(lambda: {"side": 4})
spec(f"{M}.high_frequency_share", shapes={"latents": "[N, C, h, w]"}, number=True)(lambda: {"latents": normal(5, 2, 4, 4)})
spec(f"{M}.scale_psnr", shapes={"images": "[N, 1, H, W]"}, images=("images",), infinite=True)(
    lambda: {"net": vae(), "images": photos(3, 1, 16)}
)
spec(f"{M}.kl_nats", shapes={"images": "[N, 1, H, W]"}, images=("images",))(
    lambda: {"codec": codec(), "images": photos(3, 1, 16)}
)
spec(f"{M}.irreducible_variance", number=True)(
    lambda: {"points": normal(9, 3, 2, 2), "probes": normal(4, 3, 2, 2), "generator": generator(), "times": 3}
)
spec(f"{M}.empirical_posterior", shapes={"points": "[N, D]"})(
    lambda: {"points": normal(9, 3), "x_t": normal(4, 3), "alpha": 0.6, "sigma": 0.8}
)

S = "experiments.ch12_latents.comparison"
exclude(TRAINS, *(f"{S}.{name}" for name in ("measure", "measure_point", "train_denoiser", "latent_facts", "quality")))
exclude(STORED, *(f"{S}.{name}" for name in ("stored_figures", "stored_samples", "by_way", "correlations")))
exclude("takes an evaluator, and images of its size", f"{S}.pixel_features")
spec(f"{S}.rank_correlation", infinite=True)(lambda: {"a": [1.0, 3.0, 2.0], "b": [2.0, 1.0, 3.0]})
