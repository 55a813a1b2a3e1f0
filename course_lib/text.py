"""From words to vectors: a tokeniser for the captions of Teddies, and a small transformer that reads them.

    tokens = tokenise(["two pink teddy bears reading", ""])      # int64 [2, 16]
    text = TextTransformer()(tokens)                             # text.features [2, 16, 128], text.pooled [2, 128]

The vocabulary is the words that `teddies.captions` writes, and no other: what a network has never read it cannot understand.
"""

import functools
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from course_lib import teddies
from course_lib.layers import SelfAttention

PAD, START, END = 0, 1, 2
LENGTH = 16  # tokens of a caption: at most 14 words between START and END


@functools.cache
def words() -> tuple[str, ...]:
    """The known words, in alphabetical order; word i has the token i + 3."""
    return tuple(sorted({word for caption in _every_caption() for word in caption.split()}))


@functools.cache
def _every_caption() -> tuple[str, ...]:
    """All captions that name any of the factors, in the order of the labels' mixed-radix numbers (the null label last)."""
    return tuple(teddies.say(torch.tensor(list(itertools.product(*(range(n + 1) for n in teddies.LEVELS))))))


def tokenise(captions: str | Sequence[str], device=None) -> Tensor:
    """Captions as tokens, int64 [N, 16]: START, one for each word, END, then PAD. Case and punctuation do not matter.

    The empty caption is START, END: it asks for nothing, and stands for the null label. Raises ValueError for a word that is not
    known (the known ones are listed) and for a caption of more than 14 words.
    """
    captions = [captions] if isinstance(captions, str) else captions
    rows = torch.full((len(captions), LENGTH), PAD)
    for row, caption in zip(rows, captions, strict=True):
        found = [START, *(_token(word, caption) for word in re.findall(r"[\w-]+", caption.lower())), END]
        if len(found) > LENGTH:
            raise ValueError(f"{caption!r} has {len(found) - 2} words, but a caption has at most {LENGTH - 2}: shorten it.")
        row[: len(found)] = torch.tensor(found)
    return rows.to(device)


def _token(word: str, caption: str) -> int:
    if word not in words():
        raise ValueError(f"{word!r} is a word never read, in {caption!r}. Known are: {', '.join(words())}.")
    return words().index(word) + 3


def untokenise(tokens: Tensor) -> list[str]:
    """The captions that tokens [N, L] stand for, the inverse of `tokenise`."""
    return [" ".join(words()[i - 3] for i in row if i > END) for row in tokens.tolist()]


def from_labels(labels: Tensor) -> Tensor:
    """Labels int64 [N, 5] as tokens [N, 16] on the same device, ``tokenise(teddies.say(labels))`` by a look into a table.

    Fast enough for a training step: a factor that was dropped there (the null label) is not in the caption.
    """
    number = torch.zeros(len(labels), dtype=torch.int64, device=labels.device)
    for column, levels in zip(labels.unbind(1), teddies.LEVELS, strict=True):
        number = number * (levels + 1) + column
    return _table(labels.device)[number]


@functools.cache
def _table(device: torch.device) -> Tensor:
    return tokenise(_every_caption(), device)


class Text(NamedTuple):
    """Captions that were read: features [B, L, dim] of each token, pooled [B, dim], and mask bool [B, L], False for padding.

    Features of padding mean nothing: whoever looks at `features` needs the `mask`.
    """

    features: Tensor
    pooled: Tensor
    mask: Tensor


class TextBlock(nn.Module):
    """Self-attention and MLP, each behind a norm and beside a shortcut (Vaswani et al. 2017, with the norm first)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), mask)
        return x + self.mlp(self.norm2(x))


class TextTransformer(nn.Module):
    """Reads captions: tokens int64 [B, L ≤ 16] → Text.

    It looks both ways. CLIP's reads from left to right, but in English the colour comes before what it colours: from the left,
    the "blue" of "blue scarf" cannot know whether it dyes fur or wool. Nobody asks this network for the next word, so nothing
    needs hiding. Pooled is therefore the feature of START, which always stands in the same place (CLIP's is that of END, the only
    token that sees the whole caption).
    """

    def __init__(self, dim: int = 128, depth: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.word = nn.Embedding(len(words()) + 3, dim)
        self.position = nn.Parameter(torch.randn(LENGTH, dim) * 0.02)
        self.blocks = nn.ModuleList(TextBlock(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor) -> Text:
        mask = tokens != PAD  # [B, L]
        x = self.word(tokens) + self.position[: tokens.shape[1]]  # [B, L, dim]
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        return Text(x, x[:, 0], mask)
