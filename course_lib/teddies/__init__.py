"""Teddies: pictures of teddy bears drawn from known factors, with captions, at any size, on CPU or GPU."""

from .captions import captions, parse, prompt, say, vocabulary
from .dataset import dataset
from .factors import (
    CONTINUOUS,
    DISCRETE,
    GRAINS,
    LEVELS,
    NUISANCE,
    NUM_COMBINATIONS,
    PERCEPTUAL,
    SEMANTIC,
    VALUES,
    Factors,
    combination,
    combination_id,
    held_out,
    index,
    sample_factors,
)
from .render import render

__all__ = [
    "CONTINUOUS",
    "DISCRETE",
    "GRAINS",
    "LEVELS",
    "NUISANCE",
    "NUM_COMBINATIONS",
    "PERCEPTUAL",
    "SEMANTIC",
    "VALUES",
    "Factors",
    "captions",
    "combination",
    "combination_id",
    "dataset",
    "held_out",
    "index",
    "parse",
    "prompt",
    "render",
    "sample_factors",
    "say",
    "vocabulary",
]
