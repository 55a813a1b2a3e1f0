# %% [markdown]
# # Homework 3 · The variational autoencoder
#
# > Write the six functions that make an autoencoder variational, and watch each of them at work.
#
# You need chapter 3. Each exercise below has a cell for your function, a check, and a figure in which your function works. A check tells what it got, what it
# expected and what probably went wrong; ask it as often as you like. An exercise left blank stops nothing: the cells after it then use the workbook's own
# block, and say so.
#
# [[contents]]
#
# Everything is counted in **nats per image**: summed over an image's numbers, never averaged over them. Axis 0 of every tensor is the batch: `B` images, or `N` where they are a whole data set. `C` counts channels, of a latent or of a picture. What is random is given to you as an argument.

# %%
import math

import torch
from torch import Tensor

from course_lib import device
from course_lib.notebook import claims, viz
from course_lib.homework.demos import hw3 as at_work
from course_lib.homework.checks import hw3

print(device.find())

# %% [markdown]
# ## 1 · A draw that a gradient can pass
#
# [[reparameterise]]
#
# The encoder answers with a Gaussian for each latent number: a mean and a **log-variance**, $\log\sigma^2$. Write the draw
# $z = \mu + \sigma\,\varepsilon$ (Kingma & Welling 2014, eq. 10). The noise `eps` is given, so that the result can be compared. Gradients must reach `mean` and `logvar`; the check tests that too.
#
# | argument | shape | what it is |
# |---|---|---|
# | `mean` | [B, C, h, w] | $\mu$ |
# | `logvar` | [B, C, h, w] | $\log\sigma^2$ |
# | `eps` | [B, C, h, w] | draws from N(0, 1) |
# | returns | [B, C, h, w] | $z$ |
#
# <details><summary>Hint 1</summary>
#
# You need $\sigma$, and you have $\log \sigma^2$. What undoes a logarithm, and what undoes a square?
# </details>
#
# <details><summary>Hint 2</summary>
#
# $\log\sigma^2 = 2\log\sigma$, so $\sigma = \exp(\tfrac12 \log\sigma^2)$.
# </details>


# %% exercise="reparameterise"
def reparameterise(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """One draw from N(mean, exp(logvar)) for each latent number, through which gradients reach mean and logvar."""
    ### BEGIN SOLUTION
    return mean + torch.exp(logvar / 2) * eps
    ### END SOLUTION


# %% check="reparameterise"
draw = hw3.reparameterise.check(reparameterise)

# %% [markdown]
# **At work.** The cloud of codes of one teddy, as the workbook's VAE gives it, and the same cloud with its standard deviation times 0, 1, 10 and 40. Each picture is one draw, decoded. Before you look: at which width do you expect to see a difference?

# %%
viz.rows(at_work.clouds(draw), scale=1, alt=at_work.ALT["reparameterise"])

# %% [markdown]
# ## 2 · What a code costs
#
# [[kl]]
#
# The code of an image costs $\mathrm{KL}\big(q(z \mid x) \,\|\, \mathcal N(0, I)\big)$. For each latent number this is (Kingma & Welling 2014, appendix B)
#
# $$\tfrac12\left(\mu^2 + \sigma^2 - 1 - \log\sigma^2\right) \text{ nats},$$
#
# and the numbers are independent, so their costs add up.
#
# | argument | shape | what it is |
# |---|---|---|
# | `mean`, `logvar` | [B, C, h, w] | of $q(z \mid x)$ |
# | returns | [B] | nats per image |
#
# <details><summary>Hint 1</summary>
#
# Write down the cost of every number first: a tensor of the shape of `mean`. What is left is to sum over three of its four axes.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `x.flatten(1)` makes one row of numbers for each image. Which axis do you sum then?
# </details>


# %% exercise="kl"
def kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, 1)) in nats per image, [B]: summed over the latent's numbers."""
    ### BEGIN SOLUTION
    per_number = (mean**2 + logvar.exp() - 1 - logvar) / 2
    return per_number.flatten(1).sum(1)
    ### END SOLUTION


# %% check="kl"
cost = hw3.kl.check(kl)

# %% [markdown]
# **At work.** Your KL, asked for each of the 8 × 8 places of a teddy's latent by itself. Before you look: which places are dear, and is any of them for free?

# %%
bears, price = at_work.prices(cost)
low, high = price.min(), price.max()
maps = (2 * (price - low) / (high - low) - 1)[:, None].expand(-1, 3, -1, -1)
viz.rows(
    {"teddies": bears, f"black {low:.0f}, white {high:.0f} nats": maps.repeat_interleave(8, 2).repeat_interleave(8, 3)},
    scale=1,
    alt=at_work.ALT["kl"],
)

# %% [markdown]
# ## 3 · The bound
#
# [[elbo]]
#
# What training raises is the evidence lower bound (Kingma & Welling 2014, eq. 3), here with one draw:
#
# $$\text{ELBO} = \log \mathcal N\!\left(x;\ \hat x,\ s^2 I\right) - \mathrm{KL}.$$
#
# $\hat x$ is the decoded copy, $s$ = `noise_std` a number in the units of the pixels. The Gaussian is a *density*: its normalising constant belongs to it, once for each of the image's numbers.
#
# | argument | shape | what it is |
# |---|---|---|
# | `images`, `copies` | [B, C, H, W] | $x$ and $\hat x$, in [-1, 1] |
# | `kl` | [B] | nats per image, already computed |
# | `noise_std` | a float | $s$ |
# | returns | [B] | nats per image |
#
# <details><summary>Hint 1</summary>
#
# One number: $\log \mathcal N(x; \hat x, s^2) = -\frac{(x - \hat x)^2}{2 s^2} - \log s - \tfrac12 \log 2\pi$. The pixels are independent given the code: add up.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `math.log` takes a float such as `noise_std`, `torch.log` takes tensors. How many numbers has an image? `images[0].numel()`.
# </details>


# %% exercise="elbo"
def elbo(images: Tensor, copies: Tensor, kl: Tensor, noise_std: float) -> Tensor:
    """log N(images; copies, noise_std²) - kl in nats per image, [B]."""
    ### BEGIN SOLUTION
    squared = ((images - copies) / noise_std) ** 2
    constant = math.log(noise_std) + math.log(2 * math.pi) / 2
    return -(squared / 2 + constant).flatten(1).sum(1) - kl
    ### END SOLUTION


# %% check="elbo"
bound = hw3.elbo.check(elbo)

# %% [markdown]
# **At work.** Now all three train chapter 3's network on garments, for a few hundred steps. Which will be readable: the copies, the draws from the prior, or both? The loss may fall below 0: a density can be larger than 1.

# %%
result = at_work.train_vae(draw, cost, bound)
viz.losses(result.losses, ylabel="minus ELBO (nats per image)", alt=at_work.ALT["elbo"])

# %%
viz.rows(at_work.shown(result.ema), scale=2, alt=at_work.ALT["elbo 2"])

# %% [markdown]
# ## 4 · Weights that stand still
#
# [[averaged]]
#
# Each step of a training sees another batch, so the weights jitter about what they should be. That is why what a training gives away at the end is not its last weights but a running average of them, the *exponential moving average* (EMA):
# after every step the average keeps a share `decay` of itself and takes the rest from the new weights.
#
# | argument | shape | what it is |
# |---|---|---|
# | `average` | [...] | the average so far, of one tensor of weights |
# | `weights` | [...] | the same weights after this step |
# | `decay` | a float | the share that the average keeps, such as 0.99 |
# | returns | [...] | the new average, a new tensor |
#
# <details><summary>Hint</summary>
#
# Two shares that add up to 1. With `decay` 0 nothing is averaged; with `decay` 1 the average never moves.
# </details>


# %% exercise="averaged"
def averaged(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    """The exponential moving average after one more step, of average's shape; it keeps a share decay of itself."""
    ### BEGIN SOLUTION
    return decay * average + (1 - decay) * weights
    ### END SOLUTION


# %% check="averaged"
smooth = hw3.averaged.check(averaged)

# %% [markdown]
# **At work.** A small autoencoder trains at a learning rate that is too high for it, and your average follows, with a decay of 0.95. Before you look: the average is made of nothing but these jittering weights; can it be better than all of them?

# %%
viz.lines(
    at_work.jitter(smooth, 0.95),
    marker=False,
    xlabel="training step",
    ylabel="test error (squared, per pixel)",
    alt=at_work.ALT["averaged"],
)

# %% [markdown]
# ## 5 · Some nats for nothing
#
# [[free_bits]]
#
# A VAE may fall silent: its code costs nothing and says nothing. Free bits (Kingma et al. 2016, eq. 15) take away the reason: every latent number
# may spend `floor` nats for nothing, so it saves nothing by spending less.
#
# $$\sum_j \max\!\big(\text{floor},\ \tfrac1B \textstyle\sum_i \mathrm{KL}_{ij}\big)$$
#
# Here $i$ counts the images of the batch and $j$ the numbers of a latent.
#
# | argument | shape | what it is |
# |---|---|---|
# | `kl_per_dim` | [B, ...] | the cost of each latent number, nats; the other axes are the latent's, as many as there may be |
# | `floor` | a float | nats |
# | returns | a scalar tensor | nats per image |
#
# <details><summary>Hint 1</summary>
#
# Read the formula from the inside: which sum is the innermost?
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.clamp` with `min=` is the maximum of a tensor and a number.
# </details>


# %% exercise="free_bits"
def free_bits(kl_per_dim: Tensor, floor: float) -> Tensor:
    """The KL of a batch with floor nats of each latent number for free: a scalar, in nats per image."""
    ### BEGIN SOLUTION
    return kl_per_dim.mean(0).clamp(min=floor).sum()
    ### END SOLUTION


# %% check="free_bits"
generous = hw3.free_bits.check(free_bits)

# %% [markdown]
# **At work.** A network of the kind that chapter 3's clinic treats, so deep that its code falls silent, trained without a floor and with yours at 0.125 nats. Each mark is one of its 16 latent numbers. Before you look: will a number spend more than the floor?

# %%
panels = viz.Panels(1, 7.0, 3.0)
numbers = torch.arange(1, 17)
kls = {name: p.posterior.kl_per_dim().mean(0).sort(descending=True).values for name, p in at_work.treated(generous).items()}
curves = {name: (numbers, values) for name, values in kls.items()} | {"the floor": (numbers, torch.full((16,), 0.125))}
viz.draw_lines(panels[0], curves, xlabel="latent number, the dearest first", ylabel="mean KL (nats)")
panels.picture(at_work.ALT["free_bits"])

# %% [markdown]
# ## 6 · Who is awake?
#
# [[active_units]]
#
# A latent number that says something has a mean that *changes from image to image*. Burda et al. (2016, section 5.2) call it active when the variance of its posterior mean over the images is above a threshold.
#
# | argument | shape | what it is |
# |---|---|---|
# | `mean` | [N, ...] | posterior means of N images; the other axes are the latent's, as many as there may be |
# | `threshold` | a float | in units of variance |
# | returns | [...] of bool | for each latent number: active or not |
#
# <details><summary>Hint</summary>
#
# The images are axis 0. `x.var(dim=0)` subtracts the mean over the images by itself.
# </details>


# %% exercise="active_units"
def active_units(mean: Tensor, threshold: float) -> Tensor:
    """Which latent numbers vary over the images by more than threshold (a variance): bool, of mean's shape without axis 0."""
    ### BEGIN SOLUTION
    return mean.var(dim=0) > threshold
    ### END SOLUTION


# %% check="active_units"
awake = hw3.active_units.check(active_units)

# %% [markdown]
# **At work.** Three VAEs of 16 latent numbers on garments of 8 × 8 pixels: A, B and C. Two of them have been ruined, in two different ways. Both were then trained once more, with KL warm-up: the KL's weight rises from 0 to its value within the first 600 of 750 steps. B is the healthy one. A number counts as active above a variance of 0.01. The true ELBO sums the squared error and counts the KL once, whatever a run was trained by.

# %%
patients = at_work.wards()
claims.table(
    ["run", "active units of 16", "KL (nats)", "true ELBO (nats)"],
    [[name, int(awake(p.posterior.mean, 0.01).sum()), p.posterior.kl().mean().item(), p.elbo] for name, p in patients.items()],
)

# %%
curves = {name: tuple(zip(*p.history, strict=True)) for name, p in patients.items()}
viz.lines(curves, marker=False, xlabel="steps", ylabel="KL (nats per image)", alt=at_work.ALT["active_units"])

# %% [markdown]
# ## 7 · A diagnosis, in words
#
# [[collapse]]
#
# One of A and C is the plain network of this homework's exercise 5, so deep that at its start next to nothing comes through it. The other's loss *averages* the squared error over its 64 pixels, while the KL is summed.
# Which is which, and which two lines of the table tell it? What would you change in each of them, and why does KL warm-up not cure both? Five sentences are enough.

# %% [markdown] written="collapse"
# ### BEGIN SOLUTION
# **Model answer.** C has the averaged error, A is the deep network. Both are silent (no active unit, KL near 0), so the first three rows cannot tell them apart. With warm-up A wakes and stays awake after the
# weight has reached 1, and its true ELBO rises: its silence was a trap on the way, not the optimum. C stirs at most while the KL is cheap, and is silent at the end: averaging the error over 64 pixels makes the KL weigh 64 times
# too much, and at that price silence *is* the optimum, wherever one starts. Cure of C: sum the error over the pixels (or multiply it by 64). Cure of A: warm-up, free bits, or a network through which the signal passes (skips, normalisation).
#
# **Rubric, 3 points.** 1 for the right assignment with the row that shows it (warm-up cures A and not C). 1 for the reason: a wrong weight makes silence the optimum, a deep network makes it a trap. 1 for a cure that fits each disease. Half a point off where a cure is named without its reason.
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw3.summary(reparameterise, kl, elbo, averaged, free_bits, active_units)
