"""Prompt adherence of generated teddies, for chapters 5 and 7: random prompts, and how many of their factors are drawn."""

import torch
from torch import Tensor

from course_lib import teddies
from course_lib.arguments import check_flag, check_integer, check_same_length, check_tensor
from course_lib.judges.factor_reader import FactorReader, read_factors
from course_lib.teddies import NUM_VALUES, SEMANTIC
from course_lib.training.config import MAX_SEED

MAX_PROMPTS = 10_000


def adherence(reader: FactorReader, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the fraction of images [N, 3, S, S] in which the reader finds what labels [N, 5] demand.

    One fraction for each semantic factor, and "all" for all five at once. A null label demands nothing: any answer is correct.
    """
    check_tensor("images", images, "[N, 3, H, W]")
    teddies.check_labels(labels)
    check_same_length("images", images, "labels", labels)
    logits, _ = read_factors(reader, images)
    found = torch.stack([logits[name].argmax(1) for name in SEMANTIC], 1).cpu()
    correct = (found == labels.cpu()) | (labels.cpu() == torch.tensor(NUM_VALUES))
    fractions = correct.double().mean(0).tolist()
    return dict(zip(SEMANTIC, fractions, strict=True)) | {"all": correct.all(1).double().mean().item()}


def sample_prompts(n: int, seed: int, unseen: bool = False) -> Tensor:
    """Sample the labels [n, 5] of random prompts: from the held-out combinations of factors (unseen), or from all others."""
    check_flag("unseen", unseen)
    n, seed = check_integer("n", n, 1, MAX_PROMPTS), check_integer("seed", seed, 0, MAX_SEED)
    factors = teddies.sample_factors(max(100, 30 * n), seed)
    return factors[teddies.is_held_out(factors) == unseen][:n].labels()
