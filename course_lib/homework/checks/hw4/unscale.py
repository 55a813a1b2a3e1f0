"""Exercise `unscale`: from unit variance back to the VAE's own units."""

import torch
from torch import Tensor

from course_lib.homework.checks.case import Case
from course_lib.homework.checks.exercise import Draw, Exercise
from course_lib.homework.checks.hw4.inputs import per_image

PER_CHANNEL = (0, 2, 3)


def _unscale(z: Tensor, latents: Tensor) -> Tensor:
    """Channel by channel, in float64."""
    out = []
    for c in range(latents.shape[1]):
        values = latents[:, c].cpu().double()
        mean = values.sum() / values.numel()
        std = ((values - mean).square().sum() / (values.numel() - 1)).sqrt()
        out.append(z[:, c].cpu().double() * std + mean)
    return torch.stack(out, 1).to(z)


def _cases(draw: Draw) -> list[Case]:
    cases = []
    # In the second the latent has as many columns as channels, so that a [C] silently broadcasts over the wrong axis.
    for n, (b, c, h, w) in ((7, (3, 4, 2, 5)), (6, (2, 3, 4, 3))):
        spread, centre = (per_image(draw.tensor(v[:c])).transpose(0, 1) for v in ((0.4, 2.5, 1.3, 5.0), (1.5, -2.0, 0.7, 3.0)))
        # Each position of a latent has a mean of its own, and so has each image: statistics over too few axes differ.
        noise = draw.normal(n, c, h, w) + 0.5 * draw.normal(1, c, h, w) + 0.5 * draw.normal(n, c, 1, 1)
        latents = centre + spread * noise
        cases.append(Case(f"z {[b, c, h, w]}, latents {[n, c, h, w]}, {draw.dtype_name}", (draw.normal(b, c, h, w), latents)))
    return cases


def _terms(z: Tensor, latents: Tensor) -> dict[str, object]:
    """Channel by channel, z times a number plus a number."""
    return {"z": z, "1": torch.ones_like(z)}


UNSCALE = Exercise("unscale", points=1, difficulty=2, minutes=10, oracle=_unscale, cases=_cases, terms=_terms)


def _moments(x: Tensor, axes: tuple[int, ...] = PER_CHANNEL, correction: int = 1) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over these axes, which stay as axes of length 1."""
    return x.mean(axes, keepdim=True), x.std(axes, keepdim=True, correction=correction)


# --- statistics over the wrong axes, or of the wrong tensor --------------------------------------------------------


@UNSCALE.mistake(
    "One mean and one std are used for all channels. Each channel of a latent has its own units: "
    "compute the statistics over every axis but the channels."
)
def one_mean_and_std(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents, (0, 1, 2, 3))
    return z * std + mean


@UNSCALE.mistake("One std is used for all channels. Each channel has its own.")
def one_std(z: Tensor, latents: Tensor) -> Tensor:
    return z * latents.std() + latents.mean(PER_CHANNEL, keepdim=True)


@UNSCALE.mistake(
    "The statistics are over the batch only, so every position has its own. A channel has the same units in all its rows and "
    "columns: compute them over batch, rows and columns."
)
def over_batch_only(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents, (0,))
    return z * std + mean


@UNSCALE.mistake(
    "Every latent has statistics of its own. A channel's units are the same for all latents: "
    "compute one mean and std for each channel over batch, rows and columns, dim=(0, 2, 3)."
)
def per_latent(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents, (2, 3))
    return z * std + mean


@UNSCALE.mistake("The statistics are those of z, which has unit variance. Compute those of the training set's latents.")
def statistics_of_z(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(z)
    return z * std + mean


# --- a wrong formula -----------------------------------------------------------------------------------------------


@UNSCALE.mistake("The variance multiplies z. Take its root, the standard deviation.")
def variance_for_std(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return z * std**2 + mean


@UNSCALE.mistake("This is the way to unit variance, (z - mean) / std. Compute the way back.")
def scaled_again(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return (z - mean) / std


@UNSCALE.mistake("z is divided by the std. On the way back, multiply by it.")
def divided_by_std(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return z / std + mean


@UNSCALE.mistake("The mean is subtracted. On the way back, add it.")
def mean_subtracted(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return z * std - mean


@UNSCALE.mistake("The mean is missing: the channels have the right standard deviation but the wrong mean.")
def mean_missing(z: Tensor, latents: Tensor) -> Tensor:
    return z * _moments(latents)[1]


@UNSCALE.mistake("The std is missing: the channels have the right mean but the wrong standard deviation.")
def std_missing(z: Tensor, latents: Tensor) -> Tensor:
    return z + _moments(latents)[0]


@UNSCALE.mistake(
    "The mean is added first, so it is multiplied as well. "
    "Undo the operations in reverse order: multiply by std, then add the mean."
)
def mean_added_first(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return (z + mean) * std


@UNSCALE.mistake("Mean and std are swapped.")
def mean_and_std_swapped(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return z * mean + std


@UNSCALE.mistake("This returns z unchanged. The decoder expects the VAE's own units.")
def unchanged(z: Tensor, latents: Tensor) -> Tensor:
    return z.clone()


@UNSCALE.mistake("This is close, but the std divides by n. The default of torch.std divides by n - 1, and so does the check.")
def biased_std(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents, correction=0)
    return z * std + mean


@UNSCALE.mistake("The root mean square is used instead of the std. Subtract the mean before you square.")
def root_mean_square(z: Tensor, latents: Tensor) -> Tensor:
    return z * latents.square().mean(PER_CHANNEL, keepdim=True).sqrt() + latents.mean(PER_CHANNEL, keepdim=True)


@UNSCALE.mistake(
    "The statistics broadcast along the columns: [C] is matched with the last axis. Give them the shape [1, C, 1, 1]."
)
def statistics_along_columns(z: Tensor, latents: Tensor) -> Tensor:
    return z * latents.std(PER_CHANNEL) + latents.mean(PER_CHANNEL)


@UNSCALE.mistake(
    "z is standardised first, with its own mean and std. It has unit variance over the training set: use it as it is."
)
def standardised_first(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    own_mean, own_std = _moments(z)
    return (z - own_mean) / own_std * std + mean


@UNSCALE.mistake(
    "z is standardised first, with one mean and std of its own. It has unit variance over the training set: use it as it is."
)
def standardised_over_everything(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return (z - z.mean()) / z.std() * std + mean


@UNSCALE.mistake("One mean is used for all channels. Each channel has its own.")
def one_mean(z: Tensor, latents: Tensor) -> Tensor:
    return z * _moments(latents)[1] + latents.mean()


@UNSCALE.mistake("The root of the std is taken. A standard deviation is a root already.")
def root_of_std(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return z * std.sqrt() + mean


@UNSCALE.mistake("The mean is subtracted before multiplying. z is standardised already: multiply by std, then add the mean.")
def mean_subtracted_first(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return (z - mean) * std


@UNSCALE.mistake("The mean is added and the sum divided by the std: the order and the operation are wrong. z · std + mean.")
def added_then_divided(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return (z + mean) / std


@UNSCALE.mistake("All three are multiplied. The mean is added: z · std + mean.")
def all_multiplied(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents)
    return z * std * mean


@UNSCALE.mistake("The std is taken within each latent and then averaged, which loses the differences between latents.")
def std_of_each_latent_averaged(z: Tensor, latents: Tensor) -> Tensor:
    return z * _moments(latents, (2, 3))[1].mean(0, keepdim=True) + _moments(latents)[0]


@UNSCALE.mistake("The std is taken at each position and then averaged, which loses the differences between positions.")
def std_of_each_position_averaged(z: Tensor, latents: Tensor) -> Tensor:
    return z * _moments(latents, (0,))[1].mean((2, 3), keepdim=True) + _moments(latents)[0]


@UNSCALE.mistake("Only the first latent is used. The statistics are those of all latents.")
def first_latent_only(z: Tensor, latents: Tensor) -> Tensor:
    mean, std = _moments(latents[:1])
    return z * std + mean


@UNSCALE.mistake("The range, largest minus smallest, is used instead of the std.")
def range_for_std(z: Tensor, latents: Tensor) -> Tensor:
    return z * (latents.amax(PER_CHANNEL, True) - latents.amin(PER_CHANNEL, True)) + _moments(latents)[0]


@UNSCALE.mistake("The mean absolute deviation is used instead of the std.")
def mean_deviation_for_std(z: Tensor, latents: Tensor) -> Tensor:
    mean, _ = _moments(latents)
    return z * (latents - mean).abs().mean(PER_CHANNEL, keepdim=True) + mean


@UNSCALE.mistake(
    "z is stretched from [-1, 1] to the range of the latents. It has unit variance: multiply by the std and add the mean."
)
def min_max(z: Tensor, latents: Tensor) -> Tensor:
    low, high = latents.amin(PER_CHANNEL, True), latents.amax(PER_CHANNEL, True)
    return (z + 1) / 2 * (high - low) + low


@UNSCALE.mistake("The factor of Stable Diffusion's VAE, 0.18215, is used. This VAE has its own mean and std in each channel.")
def factor_of_stable_diffusion(z: Tensor, latents: Tensor) -> Tensor:
    return z / 0.18215
