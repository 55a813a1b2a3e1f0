"""Specs of the autoencoder, the VAE, codecs, and the storage of weights and latents."""

import tempfile
from pathlib import Path

import torch
from inputs import built, codec, generator, images, normal, photos, posterior, vae
from odd_values import Denoise
from spec import exclude, spec
from torch import nn

from course_lib.autoencoder import Autoencoder
from course_lib.codec import PixelCodec
from course_lib.storage import latent_shards, weights
from course_lib.vae import ELBO, Posterior

IMAGES, LATENTS = {"images": "[B, 1, H, W]"}, {"latents": "[B, 4, H, W]"}
SHAPE = {"in_channels": 1, "width": 8, "factor": 8, "latent_channels": 4, "blocks": 1, "stem": 2}

for name in ("make_encoder", "make_decoder"):
    spec(f"autoencoder.{name}")(lambda: {"in_channels": 1, "width": 8, "factor": 8, "out_channels": 4, "blocks": 1, "stem": 2})
spec("autoencoder.EncoderDecoder")(lambda: dict(SHAPE))
spec("autoencoder.Autoencoder")(lambda: dict(SHAPE))
spec("vae.VAE")(lambda: {"noise_std": 0.1, **SHAPE})


def net() -> Autoencoder:
    return built(Autoencoder, width=8)


spec("autoencoder.EncoderDecoder.encoder_output", shapes=IMAGES)(lambda: {"self": net(), "images": images(2, 1, 16)})
spec("autoencoder.EncoderDecoder.decode", shapes=LATENTS)(lambda: {"self": net(), "latents": normal(2, 4, 2, 2)})
for method in ("encode", "forward"):
    spec(f"autoencoder.Autoencoder.{method}", shapes=IMAGES)(lambda: {"self": net(), "images": images(2, 1, 16)})
    spec(f"vae.VAE.{method}", shapes=IMAGES)(lambda: {"self": vae(), "images": images(2, 1, 16)})
spec("autoencoder.reconstruction_loss", shapes=IMAGES)(
    lambda: {"net": Denoise(net()), "images": images(2, 1, 16), "noise_std": 0.14}
)
exclude("the fields of a record; VAE.elbo makes it", "vae.ELBO")
spec("autoencoder.at_least_float32")(lambda: {"x": normal(2, 3)})

spec("vae.Posterior", lambda mean, logvar: Posterior(mean, logvar).kl(), same=[("mean", "logvar")], infinite=True)(
    lambda: {"mean": normal(3, 2, 2, 2), "logvar": normal(3, 2, 2, 2)}
)
spec("vae.Posterior.sample")(lambda: {"self": posterior(), "generator": generator()})
exclude("takes no arguments", "vae.Posterior.mode", "vae.Posterior.kl_per_dim", "vae.Posterior.kl")
for method, more in {"loss": {"beta": 1.5}, "bits_per_dim": {"dims": 64}}.items():
    spec(f"vae.ELBO.{method}")(lambda more=more: {"self": ELBO(normal(3), torch.rand(3)), **more})
spec("vae.VAE.elbo", shapes=IMAGES)(lambda: {"self": vae(), "images": images(2, 1, 16), "generator": generator()})
spec("vae.log_likelihood", same=[("images", "reconstruction")])(
    lambda: {"images": images(), "reconstruction": images(), "noise_std": 0.14}
)
spec("vae.elbo_loss", shapes=IMAGES)(lambda: {"vae": vae(), "images": images(2, 1, 16), "beta": 1.0, "generator": generator()})
spec("vae.log_weights", shapes=IMAGES)(lambda: {"vae": vae(), "images": images(2, 1, 16), "k": 3, "generator": generator()})
spec("vae.iwae", shapes={"log_weights": "[K, B]"})(lambda: {"log_weights": normal(6, 3), "k": 2})
spec("vae.free_bits")(lambda: {"kl_per_dim": torch.rand(3, 2, 2, 2), "floor": 0.1})
spec("vae.kl_warmup")(lambda: {"step": 3, "steps": 10})
spec("vae.active_units")(lambda: {"posterior": posterior(), "threshold": 0.01})

# ------------------------------------------------------------------------------------------------------------- codecs

exclude("takes no arguments", "codec.PixelCodec")
spec("codec.PixelCodec.encode", shapes={"images": "[B, C, H, W]"})(lambda: {"self": PixelCodec(), "images": images()})
spec("codec.PixelCodec.decode", shapes={"latents": "[B, C, H, W]"})(lambda: {"self": PixelCodec(), "latents": normal(2, 1, 4, 4)})
spec("codec.VAECodec", shapes={"latents_mean": "[4]", "latents_std": "[4]"}, number=True)(
    lambda: {"vae": vae(), "latents_mean": normal(4), "latents_std": torch.rand(4) + 0.1}
)
spec("codec.VAECodec.encode", shapes=IMAGES)(lambda: {"self": codec(), "images": images(2, 1, 16)})
spec("codec.VAECodec.decode", shapes=LATENTS)(lambda: {"self": codec(), "latents": normal(2, 4, 2, 2)})
for name in ("VAECodec.fit", "posterior", "channel_statistics"):
    spec(f"codec.{name}", shapes=IMAGES, images=("images",), number=name != "posterior")(
        lambda: {"vae": vae(), "images": photos(4, 1, 16), "batch": 3}
    )
    spec(f"codec.{name}", shapes=IMAGES, images=("images",), number=name != "posterior")(
        lambda: {"vae": vae(), "images": images(4, 1, 16), "batch": 3}
    )
spec("codec.cache", shapes=IMAGES, images=("images",))(lambda: {"codec": codec(), "images": photos(4, 1, 16), "batch": 3})
spec("codec.decode_all", shapes=LATENTS)(lambda: {"codec": codec(), "latents": normal(4, 4, 2, 2), "batch": 3})

# ------------------------------------------------------------------------------------------------------------ storage


FOLDER = tempfile.TemporaryDirectory(prefix="course-fuzz-")


def folder() -> Path:
    """A new folder, deleted with all others when the process ends."""
    return Path(tempfile.mkdtemp(dir=FOLDER.name))


def encoded() -> Path:
    made = folder() / "latents"
    latent_shards.encode(codec(), lambda first, stop: photos(stop - first, 1, 16), 5, made, 2)
    return made


spec("storage.latent_shards.encode", fixed=("n",))(
    lambda: {
        "codec": codec(),
        "images": Denoise(lambda first, stop: photos(stop - first, 1, 16)),
        "n": 5,
        "folder": folder() / "latents",
        "rows": 2,
        "rank": 0,
        "world": 1,
        "dtype": torch.bfloat16,
    }
)
spec("storage.latent_shards.load")(lambda: {"folder": encoded(), "first": 1, "stop": 4})
exclude("takes a codec alone", "storage.latent_shards.codec_fingerprint")


def state() -> dict[str, torch.Tensor]:
    return {"weight": normal(3, 2), "bias": normal(3)}


def file() -> Path:
    return weights.save(folder() / "net", state(), {"config": {"in_features": 2}})


spec("storage.weights.save", any_dtype=("net", "metadata"))(
    lambda: {"path": folder() / "net", "net": state(), "metadata": {"config": {"width": 8}, "psnr": 20.5}, "dtype": torch.float16}
)
spec("storage.weights.load")(lambda: {"path": file()})
spec("storage.weights.restore")(lambda: {"net": nn.Linear(2, 3), "path": file()})
spec("storage.weights.write_metadata")(lambda: {"path": file()})
spec("storage.weights.tensor_checksum", text=("text",), any_dtype=("tensors",))(lambda: {"tensors": state(), "text": "a"})
spec("storage.weights.file_name")(lambda: {"path": Path("a/b")})
