"""Chapter 5's and notebook 7's teddies to order: what is asked for, and reading back whether it is there."""

import torch
from torch import Tensor

from course_lib import teddies
from course_lib.judges.factor_reader import FactorReader, read
from course_lib.teddies import LEVELS, SEMANTIC


def adherence(reader: FactorReader, images: Tensor, labels: Tensor) -> dict[str, float]:
    """The share of images [N, 3, 64, 64] in which the reader finds what labels [N, 5] ask for: of each factor, and "all".

    A null label asks for nothing: any answer is right.
    """
    logits, _ = read(reader, images)
    found = torch.stack([logits[name].argmax(1) for name in SEMANTIC], 1).cpu()
    right = (found == labels.cpu()) | (labels.cpu() == torch.tensor(LEVELS))
    return dict(zip(SEMANTIC, right.double().mean(0).tolist(), strict=True)) | {"all": right.all(1).double().mean().item()}


def sample_prompts(n: int, seed: int, unseen: bool = False) -> Tensor:
    """Labels [n, 5] of random combinations, of those that nothing is trained on (unseen) or of the others."""
    factors = teddies.sample_factors(max(100, 30 * n), seed)
    return factors[teddies.held_out(factors) == unseen][:n].labels()
