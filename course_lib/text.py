"""The text encoder, and the denoiser that it conditions: a tokeniser for the captions of the Teddies, a small transformer over
their tokens, and a UNet with cross-attention to them.

    tokens = tokenise(["two pink teddy bears reading", ""])      # int64 [2, 16]
    text = TextTransformer()(tokens)                             # text.features [2, 16, 128], text.pooled [2, 128]
    net = TextDenoiser(width=64)                                 # net(x_t, t, tokens): the prediction, [2, 4, 8, 8]

The vocabulary is exactly the words that `teddies.captions` writes: a network cannot understand a word that it has never read.
"""

import functools
import itertools
import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_lib import teddies
from course_lib.arguments import MAX_DEPTH, can_look_at, check_sizes, check_tensor
from course_lib.diffusion import NullCaption
from course_lib.layers import SelfAttention, check_features, check_heads, check_noisy_batch
from course_lib.unet import UNet

PAD, START, END = 0, 1, 2
CONTEXT_LENGTH = 16  # tokens of a caption: at most 14 words between START and END


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """The known words, in alphabetical order; word i has the token i + 3."""
    return tuple(sorted({word for caption in _every_caption() for word in caption.split()}))


@functools.cache
def _every_caption() -> tuple[str, ...]:
    """The captions of all labels, null labels included, in lexicographic order of the labels (see `tokenise_labels`)."""
    labels = torch.tensor(list(itertools.product(*(range(n + 1) for n in teddies.NUM_VALUES))))
    return tuple(teddies.captions_from_labels(labels))


def tokenise(captions: str | Sequence[str], device: torch.device | str | None = None) -> Tensor:
    """Convert captions to tokens, int64 [N, 16]: START, one for each word, END, then PAD. Case and punctuation do not matter.

    The empty caption is START, END: it names no factor, and serves as the null label. Raises ValueError for an unknown word (the
    message lists the known ones) and for a caption of more than 14 words.
    """
    captions = [captions] if isinstance(captions, str) else captions
    if not isinstance(captions, Sequence) or not all(isinstance(caption, str) for caption in captions):
        raise TypeError(f"captions is a {type(captions).__name__}, but must be a text or a list of texts.")
    rows = torch.full((len(captions), CONTEXT_LENGTH), PAD)
    for row, caption in zip(rows, captions, strict=True):
        found = [START, *(_token(word, caption) for word in re.findall(r"[\w-]+(?:['’]\w+)*", caption.lower())), END]
        if len(found) > CONTEXT_LENGTH:
            raise ValueError(
                f"{_short(caption)} has {len(found) - 2} words, but a caption has at most {CONTEXT_LENGTH - 2}: shorten it."
            )
        row[: len(found)] = torch.tensor(found)
    return rows.to(device)


def _token(word: str, caption: str) -> int:
    if word not in vocabulary():
        raise ValueError(
            f"{word!r} in {_short(caption)} is not in the vocabulary. The known words are: {', '.join(vocabulary())}."
        )
    return vocabulary().index(word) + 3


def _short(caption: str) -> str:
    """A caption as a message repeats it."""
    return repr(textwrap.shorten(caption, 80, placeholder=" …"))


def _check_tokens(tokens: Tensor) -> None:
    """Check tokens [N, L ≤ 16]; their values only on the CPU."""
    check_tensor("tokens", tokens, "[N, L]", "integer", least=0)
    if tokens.shape[1] > CONTEXT_LENGTH:
        raise ValueError(f"tokens has shape {tuple(tokens.shape)}, but a caption has at most {CONTEXT_LENGTH} tokens.")
    if not can_look_at(tokens) or not len(tokens):
        return
    last = len(vocabulary()) + END
    if not 0 <= int(tokens.min()) <= int(tokens.max()) <= last:
        raise ValueError(f"tokens runs from {int(tokens.min())} to {int(tokens.max())}, but must be in 0 to {last}.")


def detokenise(tokens: Tensor) -> list[str]:
    """Convert tokens [N, L] back to captions, the inverse of `tokenise`."""
    _check_tokens(tokens)
    return [" ".join(vocabulary()[i - 3] for i in row if i > END) for row in tokens.tolist()]


def tokenise_labels(labels: Tensor) -> Tensor:
    """Convert labels int64 [N, 5] to the tokens [N, 16] of their captions, same device; a null label leaves its factor out.

    Equal to ``tokenise(teddies.captions_from_labels(labels))``, but looked up in a table: fast enough for a training step.
    Raises ValueError for labels of another shape, or, on the CPU, that do not exist.
    """
    check_tensor("labels", labels, f"[N, {len(teddies.NUM_VALUES)}]", "integer", least=0)
    if can_look_at(labels):
        teddies.check_labels(labels)
    row = torch.zeros(len(labels), dtype=torch.int64, device=labels.device)
    for column, num_values in zip(labels.unbind(1), teddies.NUM_VALUES, strict=True):
        row = row * (num_values + 1) + column
    return _token_table(labels.device)[row]


@functools.cache
def _token_table(device: torch.device) -> Tensor:
    return tokenise(_every_caption(), device)


class TextFeatures(NamedTuple):
    """Encoded captions: features [B, L, dim] of tokens, pooled [B, dim] of captions, and mask bool [B, L], False for padding.

    The features of padding are meaningless: always use `features` together with `mask`.
    """

    features: Tensor
    pooled: Tensor
    mask: Tensor


class TextBlock(nn.Module):
    """Self-attention and an MLP, each after a norm, with residual connections (Vaswani et al. 2017, but with the norm first)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        check_features("x", x, f"[B, N, {self.norm1.normalized_shape[0]}]", self.norm1.weight)
        x = x + self.attention(self.norm1(x), mask)
        return x + self.mlp(self.norm2(x))


class TextTransformer(nn.Module):
    """A transformer encoder for captions: tokens int64 [B, L ≤ 16] → TextFeatures.

    Attention is bidirectional. CLIP's text encoder is causal, but in English the colour comes before the noun: read from left to
    right, the "blue" of "blue scarf" cannot know whether it means fur or wool. This network predicts no next word, so no token
    needs to be masked. The pooled feature is that of START, which is always at the same position (CLIP pools at END, the only
    token that sees the full caption).
    """

    def __init__(self, dim: int = 128, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        check_heads(dim, heads)
        check_sizes(0, MAX_DEPTH, depth=depth)
        self.word = nn.Embedding(len(vocabulary()) + 3, dim)
        self.position = nn.Parameter(torch.randn(CONTEXT_LENGTH, dim) * 0.02)
        self.blocks = nn.ModuleList(TextBlock(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor) -> TextFeatures:
        _check_tokens(tokens)
        mask = tokens != PAD  # [B, L]
        if can_look_at(tokens) and not bool(mask.any(1).all()):
            raise ValueError("A caption consists of padding alone, but even the empty caption has START and END: see tokenise.")
        x = self.word(tokens.long()) + self.position[: tokens.shape[1]]  # [B, L, dim]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        return TextFeatures(x, x[:, 0], mask)


class TextDenoiser(nn.Module):
    """x_t [B, C, H, W], t [B] in 1…T, tokens int64 [B, L] or None → [B, C, H, W] (Rombach et al. 2022, section 3.3).

    Both parts are trained together with the diffusion loss alone (their eq. 3). The caption enters only through cross-attention.
    text_dim, text_depth: of the TextTransformer; unet: arguments of the UNet. ``null_label``: the tokens of the empty caption,
    used where y is None; unlike labels, the tokens of a caption are dropped all together, never one by one.
    """

    null_tokens: Tensor

    def __init__(self, text_dim: int = 128, text_depth: int = 2, **unet: Any) -> None:
        super().__init__()
        self.null_label = NullCaption(tokenise("")[0].tolist())
        self.register_buffer("null_tokens", tokenise("")[0], persistent=False)
        self.text = TextTransformer(text_dim, text_depth)
        self.unet = UNet(num_classes=None, context=text_dim, **unet)

    def forward(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        check_noisy_batch(x, t, "[B, C, H, W]")
        if y is None:
            y = self.null_tokens.expand(len(t), -1)
        check_tensor("y", y, "[B, L]", "integer", least=0)
        if len(y) != len(x):
            raise ValueError(f"There are {len(y)} captions for {len(x)} noisy images, but each needs one.")
        text = self.text(y)
        return self.unet(x, t, text=(text.features, text.mask))
