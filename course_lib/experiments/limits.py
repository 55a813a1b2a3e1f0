"""How much an experiment may be asked for, and its random numbers."""

import torch

from course_lib.arguments import check_integer
from course_lib.training.config import MAX_SEED, MIN_SEED

MAX_SAMPLES = 1_000_000  # images, latents or points at once: a mistyped number should not ask for all memory
MAX_STEPS = 100_000  # of a training inside an experiment


def seeded_generator(seed: int) -> torch.Generator:
    """Return a new generator on the CPU with this seed. Raises ValueError for what is no whole number of 64 bits."""
    return torch.Generator().manual_seed(check_integer("seed", seed, MIN_SEED, MAX_SEED))
