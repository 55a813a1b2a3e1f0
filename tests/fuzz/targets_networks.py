"""Specs of the denoising networks, their blocks, and text."""

from typing import Any

import torch
from inputs import built, classes, codec, cosine, generator, labels, machine, normal, photos, text_denoiser, tokens, unet, vae
from spec import exclude, spec

from course_lib import layers, text
from course_lib.dit import DiT, DiTBlock
from course_lib.recipes import losses
from course_lib.text_to_image import TextToImage
from course_lib.unet import Attention2d, Stage, TextAttention2d, UNet

NCHW = "[B, C, H, W]"

spec("layers.GroupNorm")(lambda: {"channels": 16})
spec("layers.GroupNorm.forward", shapes={"x": "[B, 8, H, W]"})(lambda: {"self": layers.GroupNorm(8), "x": normal(2, 8, 3, 3)})
spec("layers.ResBlock")(lambda: {"in_channels": 8, "out_channels": 16, "embed": 4})
spec("layers.ResBlock.forward", shapes={"x": "[B, 8, H, W]"}, rows=[("x", "c")])(
    lambda: {"self": built(layers.ResBlock, 8, 16, 4), "x": normal(2, 8, 3, 3), "c": normal(2, 4)}
)
spec("layers.check_noisy_batch", fixed=("axes",))(
    lambda: {"x": normal(2, 8, 3, 3), "t": torch.tensor([3, 4]), "axes": "[B, 8, H, W]"}
)
for attention in ("attend", "naive_attention"):
    spec(f"layers.{attention}", same=[("k", "v")])(
        lambda: {"q": normal(2, 2, 5, 4), "k": normal(2, 2, 6, 4), "v": normal(2, 2, 6, 4), "mask": torch.ones(2, 1, 1, 6).bool()}
    )
spec("layers.SelfAttention")(lambda: {"dim": 8, "heads": 2})
spec("layers.SelfAttention.forward", rows=[("x", "mask")])(
    lambda: {"self": built(layers.SelfAttention, 8, 2), "x": normal(2, 5, 8), "mask": torch.ones(2, 5).bool()}
)
spec("layers.CrossAttention")(lambda: {"dim": 8, "context": 4, "heads": 2})
spec("layers.masked_attention", rows=[("q", "k", "mask")])(
    lambda: {"q": normal(2, 5, 4), "k": normal(2, 6, 4), "mask": torch.ones(2, 6).bool()}
)
for method in ("forward", "attention_weights"):
    spec(f"layers.CrossAttention.{method}", rows=[("x", "context", "mask")])(
        lambda: {
            "self": built(layers.CrossAttention, 8, 4, 2),
            "x": normal(2, 5, 8),
            "context": normal(2, 6, 4),
            "mask": torch.ones(2, 6).bool(),
        }
    )
spec("layers.Conditioning")(lambda: {"dim": 8, "num_classes": 10, "frequencies": 16})
spec("layers.Conditioning")(lambda: {"dim": 8, "num_classes": (3, 5)})
spec("layers.Conditioning.forward", rows=[("t", "y")], labels={"y": 11})(
    lambda: {"self": built(layers.Conditioning, 8, 10), "t": torch.tensor([1, 5, 9]), "y": classes(3, 10)}
)
spec("layers.Conditioning.forward", rows=[("t", "y")], labels={"y": 6})(
    lambda: {"self": built(layers.Conditioning, 8, (3, 5)), "t": torch.tensor([1, 5]), "y": torch.tensor([[0, 1], [3, 5]])}
)
exclude("takes a module alone", "layers.zero_module")
exclude("checks of what the layers are given", "layers.check_features", "layers.check_heads", "layers.check_mask")

spec("unet.Attention2d")(lambda: {"channels": 8, "heads": 2})
spec("unet.Attention2d.forward")(lambda: {"self": built(Attention2d, 8, 2), "x": normal(2, 8, 3, 3)})
spec("unet.TextAttention2d")(lambda: {"channels": 8, "context": 4, "heads": 2})
spec("unet.TextAttention2d.forward", rows=[("x", "words", "mask")])(
    lambda: {
        "self": built(TextAttention2d, 8, 4, 2),
        "x": normal(2, 8, 3, 3),
        "words": normal(2, 5, 4),
        "mask": torch.ones(2, 5).bool(),
    }
)
spec("unet.Stage")(lambda: {"in_channels": 8, "out_channels": 8, "embed": 4, "heads": 2, "context": 4})
spec("unet.Stage.forward", rows=[("x", "c")])(
    lambda: {"self": built(Stage, 8, 8, 4, 2), "x": normal(2, 8, 3, 3), "c": normal(2, 4)}
)
spec("unet.UNet")(
    lambda: {
        "in_channels": 4,
        "width": 8,
        "multipliers": (1, 2),
        "blocks": 1,
        "attention": (1,),
        "heads": 2,
        "num_classes": 10,
        "context": 4,
    }
)
spec("unet.UNet")(
    lambda: {"width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (0, 1), "heads": 2, "num_classes": (2, 3)}
)


def noisy(net: Any, y: torch.Tensor | None, side: int = 4) -> dict[str, Any]:
    return {"self": net, "x": normal(3, 4, side, side), "t": torch.tensor([1, 500, 1000]), "y": y}


FORWARD: dict[str, Any] = {"shapes": {"x": "[B, 4, H, W]", "t": "[B]"}, "rows": [("x", "t", "y")]}
spec("unet.UNet.forward", labels={"y": 11}, **FORWARD)(lambda: noisy(unet(), classes(3, 10)))
spec("unet.UNet.forward", **FORWARD)(lambda: noisy(unet((2, 6, 6, 5, 5)), labels(3)))
spec("unet.UNet.forward", **FORWARD)(lambda: noisy(unet(), None))
spec("unet.UNet.forward", **FORWARD)(
    lambda: noisy(built(UNet, 4, 8, (1, 2), 1, (1,), 2, None, 6), None) | {"text": (normal(3, 5, 6), torch.ones(3, 5).bool())}
)

spec("dit.DiTBlock")(lambda: {"dim": 8, "heads": 2, "mlp_ratio": 2.0})
spec("dit.DiTBlock.forward", rows=[("x", "c")])(
    lambda: {"self": built(DiTBlock, 8, 2, 2.0), "x": normal(2, 5, 8), "c": normal(2, 8)}
)
spec("dit.DiT")(
    lambda: {"in_channels": 4, "size": 4, "patch": 2, "dim": 8, "depth": 1, "heads": 2, "num_classes": 10, "mlp_ratio": 2.0}
)
spec("dit.DiT.forward", labels={"y": 11}, **FORWARD)(lambda: noisy(built(DiT, dim=8, depth=1, heads=2), classes(3, 10)))

# --------------------------------------------------------------------------------------------------------------- text

exclude("takes no arguments", "text.vocabulary")
spec("text.tokenise", text=("captions",))(lambda: {"captions": ["two pink teddy bears reading", "one bear", ""]})
spec("text.tokenise", text=("captions",))(lambda: {"captions": "one bear"})
spec("text.detokenise", labels={"tokens": 10**6})(lambda: {"tokens": tokens()})
spec("text.tokenise_labels", shapes={"labels": "[N, 5]"}, labels={"labels": 100})(lambda: {"labels": labels()})
spec("text.TextBlock")(lambda: {"dim": 8, "heads": 2})
spec("text.TextBlock.forward", rows=[("x", "mask")])(
    lambda: {"self": built(text.TextBlock, 8, 2), "x": normal(2, 5, 8), "mask": torch.ones(2, 5).bool()}
)
spec("text.TextTransformer")(lambda: {"dim": 8, "depth": 1, "heads": 2})
spec("text.TextTransformer.forward", shapes={"tokens": "[B, L]"}, labels={"tokens": 1000})(
    lambda: {"self": built(text.TextTransformer, 8, 1, 2), "tokens": tokens()}
)
spec("text.TextDenoiser")(lambda: {"text_dim": 8, "text_depth": 1, "width": 8, "blocks": 1, "multipliers": (1,)})
spec("text.TextDenoiser.forward", **FORWARD)(lambda: noisy(text_denoiser(), tokens()))
spec("text.TextDenoiser.forward", **FORWARD)(lambda: noisy(text_denoiser(), None))


def model(words: bool = False) -> TextToImage:
    encode = {"encode_prompt": text.tokenise} if words else {}
    net = text_denoiser() if words else unet((2, 6, 6, 5, 5))
    return TextToImage(net, codec(3), cosine(), machine(), (4, 1, 1), **encode)


for words in (False, True):
    spec("text_to_image.TextToImage.generate", text=("caption", "negative"))(
        lambda words=words: {
            "self": model(words),
            "caption": "one pink bear",
            "n": 2,
            "scale": 3.0,
            "steps": 2,
            "seed": 1,
            "negative": "two bears",
        }
    )
spec("text_to_image.TextToImage.sample")(
    lambda: {
        "self": model(),
        "condition": labels(3),
        "scale": 2.0,
        "steps": 2,
        "seed": 1,
        "batch": 2,
        "negative_condition": labels(1)[0],
    }
)
spec("text_to_image.load")(lambda: {"machine": machine(), "name": "teddies-ldm"})
exclude("returns a function, which sample calls", "text_to_image.TextToImage.guided_denoiser")
exclude(
    "a record, whose parts are checked where they are used",
    "text_to_image.TextToImage",
    "text_to_image.TextToImage.encode_prompt",
)

# ------------------------------------------------------------------------------------------------------------- losses

spec("recipes.losses.autoencoder_loss", fixed=("net",), shapes={"images": NCHW})(
    lambda: {"net": vae(), "batch": (photos(2, 1, 16),), "generator": generator()}
)
spec("recipes.losses.beta_loss", lambda beta, batch: losses.beta_loss(beta)(vae(), batch, generator()), images=("batch",))(
    lambda: {"beta": 2.0, "batch": (photos(2, 1, 16),)}
)
spec(
    "recipes.losses.denoising_loss",
    lambda null_label, prediction_type, batch: losses.denoising_loss(null_label, prediction_type)(unet(), batch, generator()),
)(lambda: {"null_label": 10, "prediction_type": "v", "batch": (normal(3, 4, 4, 4), classes(3, 10))})
spec("recipes.losses.text_denoising_loss", lambda batch: losses.text_denoising_loss()(text_denoiser(), batch, generator()))(
    lambda: {"batch": (normal(3, 4, 4, 4), labels(3))}
)
