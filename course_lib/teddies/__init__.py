"""Teddies: images of teddy bears rendered from known factors, with captions, at any size, on CPU or GPU."""

from .captions import captions, captions_from_labels, labels_from_captions, lexicon, parse_caption, vocabulary
from .dataset import dataset
from .factors import (
    CONTINUOUS,
    DISCRETE,
    NUISANCE,
    NUM_COMBINATIONS,
    NUM_GRAINS,
    NUM_VALUES,
    PERCEPTUAL,
    SEMANTIC,
    VALUES,
    Factors,
    check_is_factors,
    check_labels,
    combination,
    combination_id,
    is_held_out,
    sample_factors,
    value_index,
)
from .render import render

__all__ = [
    "CONTINUOUS",
    "DISCRETE",
    "NUISANCE",
    "NUM_COMBINATIONS",
    "NUM_GRAINS",
    "NUM_VALUES",
    "PERCEPTUAL",
    "SEMANTIC",
    "VALUES",
    "Factors",
    "captions",
    "captions_from_labels",
    "check_is_factors",
    "check_labels",
    "combination",
    "combination_id",
    "dataset",
    "is_held_out",
    "labels_from_captions",
    "lexicon",
    "parse_caption",
    "render",
    "sample_factors",
    "value_index",
    "vocabulary",
]
