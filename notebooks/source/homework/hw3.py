# %% [markdown]
# # Homework 3 · The variational autoencoder
#
# > Write the six functions that make an autoencoder variational, and see each of them at work.
#
# You need chapter 3. Each exercise below has a cell for your function, a check, and a figure that uses your function. The check reports what your function
# returned, what was expected and what the likely mistake is; run it as often as you like. If you leave an exercise blank, the notebook still runs: the cells
# after it use the workbook's own function, and say so.
#
# [[contents]]
#
# Everything is counted in **nats per image**: summed over the values of an image, never averaged over them. Axis 0 of every tensor is the batch: `B` images, or `N` for a full data set. `C` is the number of channels, of a latent or of an image. All random numbers are given to your function as an argument.

# %% [markdown]
# [[grading]]

# %%
import math

import torch
from torch import Tensor

from course_lib import device
from course_lib.notebook import claims, viz
from course_lib.homework.demos import compare_guess, loss_curve
from course_lib.homework.demos import hw3 as demos
from course_lib.homework.checks import hw3

print(device.find())

# %% [markdown]
# ## 1 · A sample that gradients pass through
#
# [[reparameterise]]
#
# The encoder returns a Gaussian for each latent dimension: a mean and a **log-variance**, $\log\sigma^2$. Write the reparameterised sample
# $z = \mu + \sigma\,\varepsilon$ (Kingma & Welling 2014, eq. 10). The noise `eps` is given, so that the result can be compared. Gradients must reach `mean` and `logvar`; the check tests that too.
#
# | argument | shape | what it is |
# |---|---|---|
# | `mean` | [B, C, h, w] | $\mu$ |
# | `logvar` | [B, C, h, w] | $\log\sigma^2$ |
# | `eps` | [B, C, h, w] | samples from N(0, 1) |
# | returns | [B, C, h, w] | $z$ |
#
# <details><summary>Hint 1</summary>
#
# You need $\sigma$, and you have $\log \sigma^2$. Which function undoes a logarithm, and which undoes a square?
# </details>
#
# <details><summary>Hint 2</summary>
#
# $\log\sigma^2 = 2\log\sigma$, so $\sigma = \exp(\tfrac12 \log\sigma^2)$.
# </details>


# %% exercise="reparameterise"
def reparameterise(mean: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """Return a sample from N(mean, exp(logvar)) for each latent dimension, through which gradients reach mean and logvar."""
    ### BEGIN SOLUTION
    return mean + torch.exp(logvar / 2) * eps
    ### END SOLUTION


# %% check="reparameterise"
sample_latent = hw3.reparameterise.check(reparameterise)

# %% [markdown]
# **At work.** We take the posterior of one teddy, as the workbook's VAE computes it, and multiply its standard deviation by 0, 1, 10 and 40. Each image is one decoded sample. Before you look: from which factor on do you expect to see a difference?

# %%
viz.rows(demos.decode_posterior_samples(sample_latent), scale=2, alt=demos.ALT["reparameterise"])

# %% [markdown]
# ## 2 · What a latent costs
#
# [[kl]]
#
# The latent of an image costs $\mathrm{KL}\big(q(z \mid x) \,\|\, \mathcal N(0, I)\big)$. For each latent dimension this is (Kingma & Welling 2014, appendix B)
#
# $$\tfrac12\left(\mu^2 + \sigma^2 - 1 - \log\sigma^2\right) \text{ nats},$$
#
# and the dimensions are independent, so their costs add up.
#
# | argument | shape | what it is |
# |---|---|---|
# | `mean`, `logvar` | [B, C, h, w] | of $q(z \mid x)$ |
# | returns | [B] | nats per image |
#
# <details><summary>Hint 1</summary>
#
# First compute the cost of every dimension: a tensor of the shape of `mean`. Then sum over three of its four axes.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `x.flatten(1)` makes one row of values for each image. Which axis do you sum then?
# </details>


# %% exercise="kl"
def kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mean, exp(logvar)) ‖ N(0, 1)) in nats per image, [B]: summed over the latent dimensions."""
    ### BEGIN SOLUTION
    per_dim = (mean**2 + logvar.exp() - 1 - logvar) / 2
    return per_dim.flatten(1).sum(1)
    ### END SOLUTION


# %% check="kl"
latent_kl = hw3.kl.check(kl)

# %% [markdown]
# **At work.** The maps show your KL separately for each of the 8 × 8 positions of a teddy's latent. Which positions are expensive, and does any of them cost nothing?
# Write your guess into the next cell, in place of `None`, and run it before the figure. (You can leave it `None`.)

# %%
guess_cheapest = None  # your guess: the cost of the cheapest of the 8 × 8 positions, in nats

# %%
images, kl_maps = demos.kl_maps(latent_kl)
low, high = kl_maps.min(), kl_maps.max()
compare_guess("Nats of the cheapest position", guess_cheapest, low.item())
maps = (2 * (kl_maps - low) / (high - low) - 1)[:, None].expand(-1, 3, -1, -1)
viz.rows({"teddies": images, f"black {low:.0f}, white {high:.0f} nats": maps.repeat_interleave(8, 2).repeat_interleave(8, 3)}, scale=2, alt=demos.ALT["kl"])

# %% [markdown]
# ## 3 · The bound
#
# [[elbo]]
#
# Training maximises the evidence lower bound (Kingma & Welling 2014, eq. 3), here with one sample:
#
# $$\text{ELBO} = \log \mathcal N\!\left(x;\ \hat x,\ s^2 I\right) - \mathrm{KL}.$$
#
# $\hat x$ is the reconstruction, and $s$ = `noise_std` a number in the units of the pixels. The Gaussian is a *density*: its normalising constant is part of it, once for each of the image's values.
#
# | argument | shape | what it is |
# |---|---|---|
# | `images`, `copies` | [B, C, H, W] | the images $x$ and their reconstructions $\hat x$, in [-1, 1] |
# | `cost` | [B] | the KL, in nats per image, already computed |
# | `noise_std` | a float | $s$ |
# | returns | [B] | nats per image |
#
# <details><summary>Hint 1</summary>
#
# One value: $\log \mathcal N(x; \hat x, s^2) = -\frac{(x - \hat x)^2}{2 s^2} - \log s - \tfrac12 \log 2\pi$. The pixels are independent given the latent, so add them up.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `math.log` takes a float such as `noise_std`, `torch.log` takes tensors. How many values does an image have? `images[0].numel()`.
# </details>


# %% exercise="elbo"
def elbo(images: Tensor, copies: Tensor, cost: Tensor, noise_std: float) -> Tensor:
    """Return log N(images; copies, noise_std²) - cost in nats per image, [B]."""
    ### BEGIN SOLUTION
    squared = ((images - copies) / noise_std) ** 2
    constant = math.log(noise_std) + math.log(2 * math.pi) / 2
    return -(squared / 2 + constant).flatten(1).sum(1) - cost
    ### END SOLUTION


# %% check="elbo"
bound = hw3.elbo.check(elbo)

# %% [markdown]
# **At work.** Now your three functions together train chapter 3's network on Fashion-MNIST, for a few hundred steps; its latent has 4 × 4 positions with 4 channels, and $s = 0.14$. The figure begins at step 50, because the first steps would fill all of its height. The loss may fall below 0, because a density can be larger than 1.
# Then the same three functions train chapter 3's dense VAE: 16 latent dimensions without positions, $s = 0.5$. Before you look: which of the two draws clothing from $\mathcal N(0, I)$?

# %%
result = demos.train_vae(sample_latent, latent_kl, bound)
loss_curve(result.losses, first=50, ylabel="minus ELBO (nats per image)", alt=demos.ALT["elbo"])

# %%
dense_vae = demos.train_dense_vae(sample_latent, latent_kl, bound)
viz.rows(demos.reconstruct_and_sample(result.ema, dense_vae), scale=2, alt=demos.ALT["elbo 2"])

# %% [markdown]
# <details><summary><b>Why do the two priors draw so differently?</b></summary>
#
# Both networks were trained with the same bound, but not with the same latent or noise. In the first, the latents of all images together are far from $\mathcal N(0, I)$: most of its samples lie where no image was encoded. Chapter 3 measures both networks in its section on the prior.
# </details>

# %% [markdown]
# ## 4 · Weights without jitter
#
# [[averaged]]
#
# Each training step sees a different batch, so the weights jitter. For this reason a training run usually does not return its last weights, but a running average of them, the *exponential moving average* (EMA):
# after every step the average keeps a fraction `decay` of itself and takes the rest from the new weights.
#
# | argument | shape | what it is |
# |---|---|---|
# | `average` | [...] | the average so far, of one tensor of weights |
# | `weights` | [...] | the same weights after this step |
# | `decay` | a float | the fraction that the average keeps, such as 0.99 |
# | returns | [...] | the new average, a new tensor |
#
# <details><summary>Hint</summary>
#
# Two fractions that add up to 1. With `decay` 0 nothing is averaged; with `decay` 1 the average never moves.
# </details>


# %% exercise="averaged"
def averaged(average: Tensor, weights: Tensor, decay: float) -> Tensor:
    """Return the exponential moving average after one more step, of average's shape; it keeps a fraction decay of itself."""
    ### BEGIN SOLUTION
    return decay * average + (1 - decay) * weights
    ### END SOLUTION


# %% check="averaged"
update_ema = hw3.averaged.check(averaged)

# %% [markdown]
# **At work.** A small autoencoder trains at a learning rate that is too high for it, and your average follows with a decay of 0.95. The average is computed from nothing but these jittering weights; can it be better than all of them?

# %%
guess_gain = None  # your guess: by how many per cent is the last error of the average lower than that of the weights?

# %%
errors = demos.ema_test_errors(update_ema, 0.95)
raw, average = (errors[name][1][-1].item() for name in ("raw weights", "averaged weights"))
compare_guess("Per cent by which the average's last error is lower", guess_gain, 100 * (1 - average / raw))
viz.lines(errors, marker=False, xlabel="training step", ylabel="test error (squared, per pixel)", alt=demos.ALT["averaged"])

# %% [markdown]
# ## 5 · Some nats for free
#
# [[free_bits]]
#
# The posterior of a VAE may collapse onto the prior: the latent then costs nothing and carries no information. Free bits (Kingma et al. 2016, eq. 15) remove the incentive: every latent dimension
# may spend `floor` nats for free, so the model saves nothing by spending less.
#
# $$\sum_j \max\!\big(\text{floor},\ \tfrac1B \textstyle\sum_i \mathrm{KL}_{ij}\big)$$
#
# Here $i$ counts the images of the batch and $j$ the latent dimensions.
#
# | argument | shape | what it is |
# |---|---|---|
# | `kl_per_dim` | [B, ...] | the cost of each latent dimension in nats; all axes but the first belong to the latent, however many there are |
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
    """Return the KL of a batch, with floor nats of each latent dimension for free: a scalar, in nats per image."""
    ### BEGIN SOLUTION
    return kl_per_dim.mean(0).clamp(min=floor).sum()
    ### END SOLUTION


# %% check="free_bits"
kl_with_free_bits = hw3.free_bits.check(free_bits)

# %% [markdown]
# **At work.** We train a network from chapter 3's section on posterior collapse, so deep that its posterior collapses: first without a floor, then with a floor of 0.125 nats in your function. Each mark is one of its 16 latent dimensions.

# %%
guess_most = None  # your guess: the nats of the most expensive dimension with this floor

# %%
panels = viz.Panels(1, 7.0, 3.0)
dimensions = torch.arange(1, 17)
runs = demos.train_with_free_bits(kl_with_free_bits)
kls = {name: run.posterior.kl_per_dim().mean(0).sort(descending=True).values for name, run in runs.items()}
compare_guess("Nats of the most expensive dimension", guess_most, kls["floor 0.125"][0].item())
curves = {name: (dimensions, values) for name, values in kls.items()} | {"the floor": (dimensions, torch.full((16,), 0.125))}
viz.draw_lines(panels[0], curves, xlabel="latent dimension, the most expensive first", ylabel="mean KL (nats)")
panels.picture(demos.ALT["free_bits"])

# %% [markdown]
# ## 6 · Active units
#
# [[active_units]]
#
# A latent dimension that carries information has a mean that *changes from image to image*. Burda et al. (2016, section 5.2) call it active when the variance of its posterior mean over the images is above a threshold.
#
# | argument | shape | what it is |
# |---|---|---|
# | `mean` | [N, ...] | posterior means of N images; all axes but the first belong to the latent, however many there are |
# | `threshold` | a float | in units of variance; whether the variance divides by N or N - 1 does not matter here |
# | returns | [...] of bool | for each latent dimension: active or not |
#
# <details><summary>Hint</summary>
#
# The images are axis 0. `x.var(dim=0)` already subtracts the mean over the images.
# </details>


# %% exercise="active_units"
def active_units(mean: Tensor, threshold: float) -> Tensor:
    """Return which latent dimensions vary over the images by more than threshold (a variance): bool, mean's shape without axis 0."""
    ### BEGIN SOLUTION
    return mean.var(dim=0) > threshold
    ### END SOLUTION


# %% check="active_units"
is_active = hw3.active_units.check(active_units)

# %% [markdown]
# **At work.** Three VAEs with 16 latent dimensions on Fashion-MNIST images of 8 × 8 pixels: A, B and C. Two of them are broken, in two different ways. Both broken ones were then trained again with KL warm-up: the weight of the KL rises from 0 to its final value within the first 600 of 750 steps. B is healthy. A dimension counts as active above a variance of 0.01. The true ELBO sums the squared error and counts the KL once, whatever loss a run was trained with.

# %%
runs = demos.broken_runs()
claims.table(
    ["run", "active units of 16", "KL (nats)", "true ELBO (nats)"],
    [[name, int(is_active(run.posterior.mean, 0.01).sum()), run.posterior.kl().mean().item(), run.elbo] for name, run in runs.items()],
)

# %%
curves = {name: tuple(zip(*run.history, strict=True)) for name, run in runs.items()}
viz.lines(curves, marker=False, xlabel="steps", ylabel="KL (nats per image)", alt=demos.ALT["active_units"])

# %% [markdown]
# ## 7 · A diagnosis, in words
#
# [[collapse]]
#
# One of A and C is the plain network of exercise 5, so deep that at the start of training hardly any signal passes through it. The other one's loss *averages* the squared error over its 64 pixels, while the KL is summed.
# Which is which, and which two rows of the table show it? What would you change in each of them? Why does KL warm-up not fix both? And is A with KL warm-up cured, although it has fewer active units than B? Seven sentences are enough.

# %% [markdown] written="collapse"
# ### BEGIN SOLUTION
# **Model answer.** C has the averaged error, A is the deep network. The posterior of both has collapsed (no active unit, KL near 0), so the first three rows cannot distinguish them. With warm-up A recovers and stays active after the
# weight has reached 1, and its true ELBO rises: the collapse was a trap on the way, not the optimum. C is active at most while the KL is cheap, and has collapsed at the end: averaging the error over 64 pixels makes the KL weigh 64 times
# too much, and at that price the collapsed posterior *is* the optimum, wherever training starts. Fix for C: sum the error over the pixels (or multiply it by 64). Fix for A: warm-up, free bits, or a network that the signal passes through (skip connections, normalisation).
# Is A cured? Of its collapse, yes: it spends 1.3 nats where B spends 1.5, and its true ELBO has made up all but 0.2 of the 3.5 nats between the collapsed runs (-47.5) and B (-44.0). It is not B, though: it carries what it knows in one dimension, B in six.
#
# **Rubric, 5 points.** 1 for the assignment: half for "C averages, A is deep", half for the two rows with warm-up. 1 for the changes: half for each that suits its fault; no reason is asked for. 2 for why warm-up does not fix both: 1 for C (the wrong weight makes the collapse the optimum), 1 for A (a trap on the way, which warm-up avoids). 1 for
# the cure: half for a verdict with a number (KL or true ELBO like B's), half for what the count of units says and does not say (fewer dimensions in use, no collapse). "Cured" and "not completely" both earn this point if they say both.
#
# **Half right, 2½ points.** "A is the deep network and C averages, as the rows with warm-up show (1). C: sum the error; A: warm-up (1). Warm-up fixes A because the KL is cheap at the start (½ of 1), and C needs a longer one. A is not cured, it has one unit (0: no number of what is lost)."
#
# **Wrong answers to expect.** "A averages, because its KL is larger than C's": both are 0 to three digits. "C needs a longer warm-up": at the final weight it collapses again from any start. "More latent dimensions": both have 16 and use none. "One active unit means collapsed": its KL is nearly that of B.
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw3.summary(reparameterise, kl, elbo, averaged, free_bits, active_units)

# %% [markdown] teacher="exam"
# ## For teachers: on paper, and two minutes each on the student's own code
#
# **On paper.**
#
# 1. *Derive $\mathrm{KL}(\mathcal N(\mu, \sigma^2) \,\|\, \mathcal N(0, 1))$. What is its minimum, and where?* $\mathbb E_q[\log q - \log p] = -\tfrac12\log\sigma^2 - \tfrac12 + \tfrac12(\mu^2 + \sigma^2)$; its derivatives $\mu$ and $\tfrac12(1 - 1/\sigma^2)$ vanish at $\mu = 0$, $\sigma = 1$, where it is 0. Shows: where the four terms come from.
# 2. *Show that $\log p(x) - \text{ELBO} = \mathrm{KL}(q(z \mid x) \,\|\, p(z \mid x))$. When is the bound tight?* $\log p(x) = \log p(x, z) - \log p(z \mid x)$ for every $z$; take $\mathbb E_q$, add and subtract $\mathbb E_q \log q$. Where $q$ is the true posterior. Shows: what the gap is.
# 3. *A loss averages the squared error over D pixels and sums the KL. Which β-VAE is it?* $\tfrac1D \tfrac{\|x - \hat x\|^2}{2s^2} + \mathrm{KL} = \tfrac1D\big(\tfrac{\|x - \hat x\|^2}{2s^2} + D\,\mathrm{KL}\big)$: β = D, for C 64. Shows: the diagnosis in one line.
#
# **Oral.**
#
# 1. *`reparameterise`: what stops working with `torch.normal(mean, std)`?* The sample has the right distribution, but PyTorch passes a gradient of 0 to both: the reconstruction no longer trains the encoder. Shows: what the trick is for.
# 2. *`averaged`: your EMA at decay 1, and at 0? After how many steps has an old weight half its influence at 0.95?* It never moves; it is the last weights; $0.95^n = \tfrac12$ at n ≈ 13.5. Shows: the average has a memory of about $1/(1 - \text{decay})$ steps.
# 3. *`free_bits`: clamp first and take `.mean(0)` afterwards. Is the result larger or smaller?* Never smaller, because a maximum is convex: now every image must spend the floor in every dimension to pay no extra. Shows: what is free, and for whom.
