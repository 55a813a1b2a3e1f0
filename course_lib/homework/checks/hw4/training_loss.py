"""Exercise `training_loss`: the diffusion loss for v-prediction, with labels dropped for classifier-free guidance."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import diffusion
from course_lib.homework.answers.standins import Net
from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw4.inputs import draw_alphas_cumprod, per_image, rates
from course_lib.schedule import BatchLevel


def _training_loss(
    net: Callable[..., Tensor],
    x0: Tensor,
    y: Tensor,
    t: Tensor,
    eps: Tensor,
    alphas_cumprod: Tensor,
    drop: Tensor,
    null_label: int,
) -> Tensor:
    """Image by image, with plain numbers."""
    total = torch.zeros((), dtype=x0.dtype, device=x0.device)
    for i in range(len(x0)):
        a = alphas_cumprod[int(t[i]) - 1].item()
        label = torch.full_like(y[:1], null_label) if bool(drop[i]) else y[i : i + 1]
        x_t = math.sqrt(a) * x0[i : i + 1] + math.sqrt(1 - a) * eps[i : i + 1]
        v = math.sqrt(a) * eps[i : i + 1] - math.sqrt(1 - a) * x0[i : i + 1]
        total = total + (net(x_t, t[i : i + 1], label) - v).square().sum()
    return total / x0.numel()


def _block(
    net: Callable[..., Tensor],
    x0: Tensor,
    y: Tensor,
    t: Tensor,
    eps: Tensor,
    alphas_cumprod: Tensor,
    drop: Tensor,
    null_label: int,
) -> Tensor:
    """The same from the workbook's parts, for the full batch at once."""
    level = BatchLevel(t, *rates(t, alphas_cumprod))
    out = net(diffusion.add_noise(x0, eps, level), t, torch.where(drop, null_label, y))
    return F.mse_loss(out.float(), diffusion.target("v", x0, eps, level))


def _cases(draw: Draw) -> list[Case]:
    cases = []
    for shape, steps, dropped, T in (((5, 4, 2, 3), (6, 1, 3, 5, 2), (0, 3), 8), ((4, 1, 6, 5), (7, 2, 12, 4), (2,), 12)):
        # The network's output depends on each of its three inputs, so that a wrong step or label shows.
        net = Net(draw.number(0.3, 0.6), draw.number(120.0, 180.0), draw.number(0.1, 0.2))
        drop = torch.zeros(shape[0], dtype=torch.bool, device=draw.device)
        drop[list(dropped)] = True
        x0, eps = draw.normal(*shape, std=1.1, mean=0.3), draw.normal(*shape)
        labels, t = draw.integers(0, 4, shape[0]), torch.tensor(steps, device=draw.device)
        given = (net, x0, labels, t, eps, draw_alphas_cumprod(draw, T), drop, 10)
        what = f"a net, x0, eps {list(shape)}, t {list(steps)}, alphas_cumprod [{T}], drop {list(map(int, drop))}, null_label 10"
        cases.append(Case(f"{what}, {draw.dtype_name}", given))
    return cases


TRAINING_LOSS = Exercise(
    "training_loss",
    points=3,
    difficulty=3,
    minutes=20,
    oracle=_training_loss,
    cases=_cases,
    differentiable=True,
    block=_block,
)


@dataclass(frozen=True)
class _Batch:
    """The arguments of a training loss, and its correct parts. A mistake replaces one part and keeps the rest."""

    net: Callable[..., Tensor]
    x0: Tensor
    y: Tensor
    t: Tensor
    eps: Tensor
    alphas_cumprod: Tensor
    drop: Tensor
    null_label: int

    @property
    def alpha(self) -> Tensor:
        return rates(self.t, self.alphas_cumprod)[0]

    @property
    def sigma(self) -> Tensor:
        return rates(self.t, self.alphas_cumprod)[1]

    @property
    def x_t(self) -> Tensor:
        return self.alpha * self.x0 + self.sigma * self.eps

    @property
    def v(self) -> Tensor:
        return self.alpha * self.eps - self.sigma * self.x0

    @property
    def labels(self) -> Tensor:
        """y with dropped labels replaced."""
        return torch.where(self.drop, self.null_label, self.y)

    @property
    def out(self) -> Tensor:
        return self.net(self.x_t, self.t, self.labels)


def _mse(out: Tensor, target: Tensor) -> Tensor:
    return (out - target).square().mean()


# --- wrong inputs of the network -----------------------------------------------------------------------------------


@TRAINING_LOSS.mistake("The mask is inverted: replace the labels where drop is True, and keep them where it is False.")
def mask_inverted(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t, torch.where(b.drop, b.y, b.null_label)), b.v)


@TRAINING_LOSS.mistake("No label is dropped: where drop is True, give the network null_label.")
def no_label_dropped(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t, b.y), b.v)


@TRAINING_LOSS.mistake("All labels are dropped. Replace them only where drop is True.")
def all_labels_dropped(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t, torch.full_like(b.y, b.null_label)), b.v)


@TRAINING_LOSS.mistake("Where drop is True the label becomes 0, which is an ordinary class. Use null_label.")
def class_0_as_null_label(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t, torch.where(b.drop, 0, b.y)), b.v)


@TRAINING_LOSS.mistake("null_label is added to the labels. It should replace them.")
def null_label_added(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t, b.y + b.null_label * b.drop), b.v)


@TRAINING_LOSS.mistake(
    "The network is given t - 1. Only the table is indexed with t - 1; the network expects t itself, from 1 to T."
)
def network_given_t_minus_1(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t - 1, b.labels), b.v)


@TRAINING_LOSS.mistake("The network is given the clean x0. Give it x_t.")
def network_given_x0(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x0, b.t, b.labels), b.v)


@TRAINING_LOSS.mistake("The table is read one entry too late: entry 0 belongs to t = 1, so step t has index t - 1.")
def one_entry_late(*args: Any) -> Tensor:
    b = _Batch(*args)
    alpha, sigma = rates(b.t + 1, b.alphas_cumprod)
    return _mse(b.net(alpha * b.x0 + sigma * b.eps, b.t, b.labels), alpha * b.eps - sigma * b.x0)


# --- wrong reductions ----------------------------------------------------------------------------------------------


@TRAINING_LOSS.mistake(
    "The error is summed over everything. Take the mean, or the learning rate would depend on the batch size and the image size."
)
def summed(*args: Any) -> Tensor:
    b = _Batch(*args)
    return (b.out - b.v).square().sum()


@TRAINING_LOSS.mistake("The error is summed over each image and averaged over the batch. Take the mean over everything.")
def summed_per_image(*args: Any) -> Tensor:
    b = _Batch(*args)
    return (b.out - b.v).square().flatten(1).sum(1).mean()


@TRAINING_LOSS.mistake("This returns one error for each image. Average over the batch as well: training needs a single number.")
def batch_not_averaged(*args: Any) -> Tensor:
    b = _Batch(*args)
    return (b.out - b.v).square().flatten(1).mean(1)


@TRAINING_LOSS.mistake("Nothing is averaged yet: these are the squared errors of every value.")
def nothing_averaged(*args: Any) -> Tensor:
    b = _Batch(*args)
    return (b.out - b.v).square()


@TRAINING_LOSS.mistake("A root is taken. Return the mean squared error itself.")
def root_taken(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.v).sqrt()


@TRAINING_LOSS.mistake("The absolute error is used instead of its square.")
def absolute_error(*args: Any) -> Tensor:
    b = _Batch(*args)
    return (b.out - b.v).abs().mean()


@TRAINING_LOSS.mistake("There is an extra factor of one half. Return the plain mean of the squares.")
def halved(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.v) / 2


# --- wrong targets -------------------------------------------------------------------------------------------------


@TRAINING_LOSS.mistake("The target is the noise. This network predicts v = alpha · eps - sigma · x0.")
def target_eps(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.eps)


@TRAINING_LOSS.mistake("The target is the clean data. This network predicts v = alpha · eps - sigma · x0.")
def target_x0(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.x0)


@TRAINING_LOSS.mistake(
    "The target is eps - x0, the velocity of flow matching (rectified flow): right for a network that predicts it. "
    "This network predicts v = alpha · eps - sigma · x0; diffusion.convert turns one into the other."
)
def target_velocity(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.eps - b.x0)


@TRAINING_LOSS.mistake(
    "The target is -v, or is added to the output. Both signs are in use; in this course v is alpha · eps - sigma · x0."
)
def target_negated(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.sigma * b.x0 - b.alpha * b.eps)


@TRAINING_LOSS.mistake("In the target v the rates are swapped: alpha goes with eps, sigma with x0.")
def target_rates_swapped(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.sigma * b.eps - b.alpha * b.x0)


@TRAINING_LOSS.mistake("In the target v the two terms are added. sigma · x0 is subtracted.")
def target_terms_added(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.alpha * b.eps + b.sigma * b.x0)


@TRAINING_LOSS.mistake("The rates lack their roots: the table holds alpha².")
def rates_without_roots(*args: Any) -> Tensor:
    b = _Batch(*args)
    alpha = per_image(b.alphas_cumprod[b.t - 1])
    return _mse(b.net(alpha * b.x0 + (1 - alpha) * b.eps, b.t, b.labels), alpha * b.eps - (1 - alpha) * b.x0)


@TRAINING_LOSS.mistake(
    "The loss is detached from the network's weights, so nothing would be learned. "
    "Remove .item() or float(…) at the end, and .detach() or torch.no_grad() around the network."
)
def detached(net: Callable[..., Tensor], *rest: Any) -> Tensor:
    def detached_net(*inputs: Tensor) -> Tensor:
        return net(*inputs).detach()

    return _training_loss(detached_net, *rest)


@TRAINING_LOSS.mistake("Time and label are swapped: the network takes (x_t, t, y).")
def time_and_label_swapped(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.labels, b.t), b.v)


@TRAINING_LOSS.mistake("The loss counts only the dropped images. drop concerns the labels alone: every image counts.")
def loss_only_where_dropped(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out[b.drop], b.v[b.drop])


@TRAINING_LOSS.mistake("The loss leaves out the dropped images. drop concerns the labels alone: every image counts.")
def loss_only_where_not_dropped(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out[~b.drop], b.v[~b.drop])


@TRAINING_LOSS.mistake("The loss is multiplied by drop. drop concerns the labels alone: every image counts.")
def loss_masked(*args: Any) -> Tensor:
    b = _Batch(*args)
    return ((b.out - b.v).square() * per_image(b.drop)).mean()


@TRAINING_LOSS.mistake("The loss is multiplied by ~drop. drop concerns the labels alone: every image counts.")
def loss_masked_the_other_way(*args: Any) -> Tensor:
    b = _Batch(*args)
    return ((b.out - b.v).square() * per_image(~b.drop)).mean()


@TRAINING_LOSS.mistake("The network is given t / T. It expects t itself, from 1 to T.")
def time_as_a_fraction(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t / len(b.alphas_cumprod), b.labels), b.v)


@TRAINING_LOSS.mistake("The network is given t / 1000. It expects t itself, from 1 to T.")
def time_over_1000(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t / 1000, b.labels), b.v)


@TRAINING_LOSS.mistake("The network is given t + 1. It expects t itself, from 1 to T.")
def network_given_t_plus_1(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t + 1, b.labels), b.v)


@TRAINING_LOSS.mistake("The network is given the noise. Give it x_t.")
def network_given_noise(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.eps, b.t, b.labels), b.v)


@TRAINING_LOSS.mistake(
    "The table is read one entry too early, with t - 2. Step t has index t - 1. (At t = 1 the index -1 is the last entry.)"
)
def one_entry_early(*args: Any) -> Tensor:
    b = _Batch(*args)
    alpha, sigma = rates(b.t - 1, b.alphas_cumprod)
    return _mse(b.net(alpha * b.x0 + sigma * b.eps, b.t, b.labels), alpha * b.eps - sigma * b.x0)


@TRAINING_LOSS.mistake("The table is turned round: its first entry, with hardly any noise, belongs to t = 1.")
def table_turned_round(*args: Any) -> Tensor:
    b = _Batch(*args)
    alpha, sigma = rates(b.t, b.alphas_cumprod.flip(0))
    return _mse(b.net(alpha * b.x0 + sigma * b.eps, b.t, b.labels), alpha * b.eps - sigma * b.x0)


@TRAINING_LOSS.mistake("In x_t the rates are swapped: alpha goes with x0, sigma with eps.")
def noisy_rates_swapped(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.alpha * b.eps + b.sigma * b.x0, b.t, b.labels), b.v)


@TRAINING_LOSS.mistake("In x_t the noise is subtracted. Add it: alpha · x0 + sigma · eps.")
def noise_subtracted(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.alpha * b.x0 - b.sigma * b.eps, b.t, b.labels), b.v)


@TRAINING_LOSS.mistake("In x_t x0 is not multiplied by alpha.")
def signal_not_scaled(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x0 + b.sigma * b.eps, b.t, b.labels), b.v)


@TRAINING_LOSS.mistake("In x_t eps is not multiplied by sigma.")
def noise_not_scaled(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.alpha * b.x0 + b.eps, b.t, b.labels), b.v)


@TRAINING_LOSS.mistake("sigma lacks its root: 1 - alphas_cumprod is sigma².")
def sigma_without_root(*args: Any) -> Tensor:
    b = _Batch(*args)
    sigma = b.sigma**2
    return _mse(b.net(b.alpha * b.x0 + sigma * b.eps, b.t, b.labels), b.alpha * b.eps - sigma * b.x0)


@TRAINING_LOSS.mistake("The table's entries are used as alpha. They are alpha²: take the root.")
def entries_as_alpha(*args: Any) -> Tensor:
    b = _Batch(*args)
    alpha = b.alpha**2
    sigma = (1 - alpha**2).sqrt()
    return _mse(b.net(alpha * b.x0 + sigma * b.eps, b.t, b.labels), alpha * b.eps - sigma * b.x0)


@TRAINING_LOSS.mistake("The target is x_t. This network predicts v = alpha · eps - sigma · x0.")
def target_x_t(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.x_t)


@TRAINING_LOSS.mistake(
    "The target is x0 - eps, a velocity of flow matching. In this course the network predicts v = alpha · eps - sigma · x0."
)
def target_velocity_to_the_data(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.x0 - b.eps)


@TRAINING_LOSS.mistake("The target is alpha · x0 - sigma · eps. It should be v = alpha · eps - sigma · x0.")
def target_swapped_and_negated(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.alpha * b.x0 - b.sigma * b.eps)


@TRAINING_LOSS.mistake("In the target v alpha is missing: alpha · eps - sigma · x0.")
def target_without_alpha(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.eps - b.sigma * b.x0)


@TRAINING_LOSS.mistake("In the target v sigma is missing: alpha · eps - sigma · x0.")
def target_without_sigma(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.alpha * b.eps - b.x0)


@TRAINING_LOSS.mistake("In the target v sigma multiplies x_t. It multiplies the clean data: alpha · eps - sigma · x0.")
def target_from_x_t(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.alpha * b.eps - b.sigma * b.x_t)


@TRAINING_LOSS.mistake("This is the error of the clean prediction, sigma² times that of v. Compare the output with v.")
def error_of_x0(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.alpha * b.x_t - b.sigma * b.out, b.x0)


@TRAINING_LOSS.mistake(
    "This is the error of the predicted noise, or one weighted by alpha²: alpha² times that of v. Compare the output with v."
)
def error_of_eps(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.sigma * b.x_t + b.alpha * b.out, b.eps)


@TRAINING_LOSS.mistake("This is a smooth absolute error (Huber). Return the plain mean of the squares.")
def smooth_l1(*args: Any) -> Tensor:
    b = _Batch(*args)
    return F.smooth_l1_loss(b.out, b.v)


@TRAINING_LOSS.mistake(
    "The differences are averaged before they are squared, so positive and negative ones cancel. First square, then average."
)
def averaged_before_squaring(*args: Any) -> Tensor:
    b = _Batch(*args)
    return (b.out - b.v).mean().square()


@TRAINING_LOSS.mistake("The sign of the loss is reversed.")
def loss_negated(*args: Any) -> Tensor:
    b = _Batch(*args)
    return -_mse(b.out, b.v)


@TRAINING_LOSS.mistake("This returns the network's output. Compare it with v: the mean of the squared difference.")
def output_returned(*args: Any) -> Tensor:
    return _Batch(*args).out


@TRAINING_LOSS.mistake("The error is averaged over each image and summed over the batch. Take the mean over everything.")
def batch_summed(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out, b.v) * len(b.x0)


@TRAINING_LOSS.mistake("This is the median of the squared errors. Take their mean.")
def median(*args: Any) -> Tensor:
    b = _Batch(*args)
    return (b.out - b.v).square().median()


@TRAINING_LOSS.mistake("Only the batch is averaged, axis 0. Take the mean over everything: training needs a single number.")
def averaged_over_the_batch_axis(*args: Any) -> Tensor:
    b = _Batch(*args)
    return (b.out - b.v).square().mean(0)


@TRAINING_LOSS.mistake("Time and label are swapped, and no label is dropped: the network takes (x_t, t, labels).")
def labels_given_as_time(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.y, b.t), b.v)


@TRAINING_LOSS.mistake("Where drop is True the label becomes -1. Use null_label.")
def minus_1_as_null_label(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.t, torch.where(b.drop, -1, b.y)), b.v)


@TRAINING_LOSS.mistake("The network is given the time 0 for every image. It expects t.")
def network_given_time_0(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, 0 * b.t, b.labels), b.v)


@TRAINING_LOSS.mistake("The network is given the entry of the table. It expects the step t itself.")
def network_given_the_table(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.net(b.x_t, b.alphas_cumprod[b.t - 1], b.labels), b.v)


@TRAINING_LOSS.mistake("x_t is added to the output. The network's output is v itself.")
def x_t_added_to_output(*args: Any) -> Tensor:
    b = _Batch(*args)
    return _mse(b.out + b.x_t, b.v)


@TRAINING_LOSS.mistake("The absolute errors are summed. Return the mean of the squares.")
def absolute_errors_summed(*args: Any) -> Tensor:
    b = _Batch(*args)
    return (b.out - b.v).abs().sum()


@TRAINING_LOSS.mistake("The errors are divided by alpha². Return the plain mean of the squares.")
def divided_by_signal(*args: Any) -> Tensor:
    b = _Batch(*args)
    return ((b.out - b.v).square() / b.alpha**2).mean()
