"""Exercise `attention_weights`: how much each position attends to each token of a caption, padding excluded."""

import math

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.layers import masked_attention

SHAPES = ((2, 5, 6, 4), (3, 4, 5, 8))  # B, N, L, d


def _attention_weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    """By the exponentials themselves, over the tokens that may be attended to."""
    scores = torch.einsum("bnd,bld->bnl", q, k) / math.sqrt(q.shape[2])
    weights = torch.exp(scores - scores.amax(2, keepdim=True)) * mask[:, None].to(scores.dtype)
    return weights / weights.sum(2, keepdim=True)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for b, n, length, d in SHAPES:
        q, k = draw.normal(b, n, d, std=1.3), draw.normal(b, length, d, std=1.3)
        real = draw.integers(2, length, b)  # at least two tokens, and some padding
        mask = torch.arange(length, device=q.device) < real[:, None]
        cases.append(Case(f"q [{b}, {n}, {d}], k [{b}, {length}, {d}] {draw.dtype_name}, mask [{b}, {length}]", (q, k, mask)))
    return cases


ATTENTION_WEIGHTS = Exercise(
    "attention_weights", points=0, difficulty=2, minutes=5, oracle=_attention_weights, cases=_cases, block=masked_attention
)


def _scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / q.shape[-1] ** 0.5


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask[:, None], -math.inf)


@ATTENTION_WEIGHTS.mistake("The mask is not used, so positions attend to padding. Set those scores to -inf before the softmax.")
def no_mask(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return _scores(q, k).softmax(-1)


@ATTENTION_WEIGHTS.mistake(
    "The mask is applied after the softmax, so that the weights no longer add up to 1. Set the scores to -inf before it."
)
def masked_after(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return _scores(q, k).softmax(-1) * mask[:, None]


@ATTENTION_WEIGHTS.mistake("Padding has the score 0, and exp(0) = 1 is a weight like others. Its score must be -inf.")
def zero_scores(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return (_scores(q, k) * mask[:, None]).softmax(-1)


@ATTENTION_WEIGHTS.mistake("The mask is reversed: True marks the tokens that may be attended to.")
def reversed_mask(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return _masked(_scores(q, k), ~mask).softmax(-1)


@ATTENTION_WEIGHTS.mistake("The scores are not divided by the square root of d, the length of a key.")
def not_scaled(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return _masked(q @ k.mT, mask).softmax(-1)


@ATTENTION_WEIGHTS.mistake("The scores are divided by d. Divide by its square root.")
def divided_by_d(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return _masked(q @ k.mT / q.shape[-1], mask).softmax(-1)


@ATTENTION_WEIGHTS.mistake(
    "The softmax runs over the positions. Each position distributes its attention over the *tokens*, the last axis."
)
def over_positions(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return (_scores(q, k).softmax(1) * mask[:, None]).nan_to_num()


@ATTENTION_WEIGHTS.mistake("These are the scores. Apply the softmax over the tokens.")
def scores_only(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return _masked(_scores(q, k), mask)
