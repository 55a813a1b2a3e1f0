"""Exercise `bound`: the importance-weighted bound of log p(x), the logarithm of a mean of weights, without overflow."""

import math

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise


def _bound(log_weights: Tensor) -> Tensor:
    largest = log_weights.amax(0)
    return largest + (log_weights - largest).exp().mean(0).log()


def _cases(draw: Draw) -> list[Case]:
    """Weights of ordinary size, and of the size that images have."""
    return [
        Case(f"log_weights {[k, b]} {draw.dtype_name}, around {mean:g}", (draw.normal(k, b, std=2.0, mean=mean),))
        for k, b, mean in ((5, 3, -1.0), (4, 2, 900.0))
    ]


BOUND = Exercise("bound", points=0, difficulty=2, minutes=3, oracle=_bound, cases=_cases)


@BOUND.mistake("The weights overflow: e⁹⁰⁰ is infinite. Use torch.logsumexp, which subtracts the largest logarithm first.")
def overflowing(log_weights: Tensor) -> Tensor:
    return log_weights.exp().mean(0).log()


@BOUND.mistake("This is the log of the sum of the weights. For the mean, subtract log k, where k is the number of samples.")
def log_of_sum(log_weights: Tensor) -> Tensor:
    return log_weights.logsumexp(0)


@BOUND.mistake("This is the mean of the log weights: the ELBO. The bound is the log of the mean weight.")
def mean_of_logs(log_weights: Tensor) -> Tensor:
    return log_weights.mean(0)


@BOUND.mistake("The mean runs over the images. It must run over the samples, which are axis 0.")
def wrong_axis(log_weights: Tensor) -> Tensor:
    return log_weights.logsumexp(1) - math.log(log_weights.shape[1])


@BOUND.mistake("This divides by k. In the logarithm a mean is a sum minus log k.")
def divided_by_k(log_weights: Tensor) -> Tensor:
    return log_weights.logsumexp(0) / len(log_weights)


@BOUND.mistake("log k is added. The mean is smaller than the sum: subtract it.")
def log_k_added(log_weights: Tensor) -> Tensor:
    return log_weights.logsumexp(0) + math.log(len(log_weights))


@BOUND.mistake("log k must be the logarithm of the number of samples, not of images: len(log_weights).")
def log_of_batch(log_weights: Tensor) -> Tensor:
    return log_weights.logsumexp(0) - math.log(log_weights.shape[1])


@BOUND.mistake("The images are averaged as well. Return one value for each image, [B].")
def batch_averaged(log_weights: Tensor) -> Tensor:
    return (torch.logsumexp(log_weights, 0) - math.log(len(log_weights))).mean()


@BOUND.mistake("This is the largest weight alone. Average over all samples.")
def largest_alone(log_weights: Tensor) -> Tensor:
    return log_weights.amax(0)
