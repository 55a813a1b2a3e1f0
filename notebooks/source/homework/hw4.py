# %% [markdown]
# # Homework 4 · Latent DDPM
#
# > Write the six functions of a latent diffusion model, and let them draw teddies.
#
# You need chapter 4. Each exercise below has a cell for your function, a check, and a figure in which your function works. A check tells what it got, what it
# expected and what probably went wrong; ask it as often as you like. An exercise left blank stops nothing: the cells after it then use the workbook's own
# block, and say so.
#
# [[contents]]
#
# Everywhere $x_t = \alpha_t\,x_0 + \sigma_t\,\epsilon$ with $\alpha_t^2 + \sigma_t^2 = 1$. Steps run $t = 1 \dots T$, as in the DDPM paper. `B` is the batch, axis 0 of every tensor; latents are
# [B, C, h, w]. What is random is given to you as an argument. `alpha` and `sigma` are the rates of $x_t$, so `alpha` is the *root* of what the DDPM paper calls $\bar\alpha_t$.

# %%
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import device
from course_lib.notebook import claims, viz
from course_lib.homework.demos import hw4 as at_work
from course_lib.homework.checks import hw4

print(device.find())

# %% [markdown]
# ## 1 · Noise, at a chosen step
#
# [[add_noise]]
#
# The forward process in one jump (Ho et al. 2020, eq. 4):
#
# $$x_t = \sqrt{\bar\alpha_t}\; x_0 + \sqrt{1 - \bar\alpha_t}\;\epsilon.$$
#
# The $\bar\alpha_t$ come as a table, as other libraries store them: **`alphas_cumprod` has `T` entries, and its entry 0 belongs to $t = 1$**. (The table inside the workbook's own schedules has one entry more, for clean data at $t = 0$. This one has not.)
#
# | argument | shape | what it is |
# |---|---|---|
# | `x0` | [B, C, h, w] | clean latents |
# | `t` | [B], int64 | a step for each of them, 1 to T |
# | `eps` | [B, C, h, w] | draws from N(0, 1) |
# | `alphas_cumprod` | [T] | $\bar\alpha_1 \dots \bar\alpha_T$ |
# | returns | [B, C, h, w] | $x_t$ |
#
# <details><summary>Hint 1</summary>
#
# A tensor indexed by a tensor of B indices gives B entries. Which index does step $t$ have?
# </details>
#
# <details><summary>Hint 2</summary>
#
# [B] times [B, C, h, w] goes wrong, or worse: it goes through and means something else. `.view(-1, 1, 1, 1)`.
# </details>


# %% exercise="add_noise"
def add_noise(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """x_t [B, C, h, w]: x0 with the noise eps of its step t (1 to T); entry 0 of alphas_cumprod belongs to t = 1."""
    ### BEGIN SOLUTION
    kept = alphas_cumprod[t - 1].view(-1, 1, 1, 1)
    return kept.sqrt() * x0 + (1 - kept).sqrt() * eps
    ### END SOLUTION


# %% check="add_noise"
noised = hw4.add_noise.check(add_noise)

# %% [markdown]
# **At work.** One teddy's latent, ruined by your function, and decoded. Before you look: at which step, do you think, will you no longer be able to say what these teddies do?

# %%
ts = [1, 200, 400, 600, 800, 1000]
viz.grid(at_work.ruined(noised, ts), titles=[f"t = {t}" for t in ts], scale=1, alt=at_work.ALT["add_noise"])

# %% [markdown]
# ## 2 · What the network shall say
#
# [[target]]
#
# A network may be asked for the noise, for the clean data, or for a mixture of both, $v = \alpha\,\epsilon - \sigma\,x_0$ (Salimans & Ho 2022, appendix D).
#
# | argument | shape | what it is |
# |---|---|---|
# | `kind` | text | `"eps"`, `"x0"` or `"v"` |
# | `x0`, `eps` | [B, C, h, w] | clean latents, unit noise |
# | `alpha`, `sigma` | [B, 1, 1, 1] | the rates of each picture's level |
# | returns | [B, C, h, w] | what a network of this kind should answer |
#
# <details><summary>Hint</summary>
#
# Three cases, each of one line. Beside which of the two stands `alpha` in $x_t$, and beside which in $v$?
# </details>


# %% exercise="target"
def target(kind: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a network of this kind ("eps", "x0" or "v") should output, [B, C, h, w]."""
    ### BEGIN SOLUTION
    if kind == "v":
        return alpha * eps - sigma * x0
    return eps if kind == "eps" else x0
    ### END SOLUTION


# %% check="target"
wanted = hw4.target.check(target)

# %% [markdown]
# **At work.** What a network shall say about one teddy, decoded as if it were a latent. The answers `x0` and `eps` are the same at every step. Before you look: what does `v` show at the first step, and what at the last?

# %%
answers = at_work.targets(wanted, [1, 400, 600, 800, 1000])
viz.grid(torch.cat(list(answers.values())), titles=list(answers), scale=1, alt=at_work.ALT["target"])

# %% [markdown]
# ## 3 · And back
#
# [[to_x0]]
#
# A sampler wants the clean data, whatever the network says. Turn each kind of answer into $x_0$. The schedule keeps the variance: $\alpha^2 + \sigma^2 = 1$.
#
# | argument | shape | what it is |
# |---|---|---|
# | `kind` | text | `"eps"`, `"x0"` or `"v"` |
# | `out` | [B, C, h, w] | what a network of this kind answered |
# | `x_t` | [B, C, h, w] | what it was shown |
# | `alpha`, `sigma` | [B, 1, 1, 1] | the rates of each picture's level |
# | returns | [B, C, h, w] | the clean data that this answer stands for |
#
# <details><summary>Hint 1</summary>
#
# For `"eps"`: solve $x_t = \alpha\,x_0 + \sigma\,\epsilon$ for $x_0$.
# </details>
#
# <details><summary>Hint 2</summary>
#
# For `"v"`: two equations, two unknowns. Take $\alpha$ times the first and $\sigma$ times the second, so that $\epsilon$ drops out.
# </details>


# %% exercise="to_x0"
def to_x0(kind: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The clean data [B, C, h, w] that the output of a network of this kind stands for."""
    ### BEGIN SOLUTION
    if kind == "eps":
        return (x_t - sigma * out) / alpha
    return alpha * x_t - sigma * out if kind == "v" else out
    ### END SOLUTION


# %% check="to_x0"
cleaned = hw4.to_x0.check(to_x0)

# %% [markdown]
# **At work.** First your two functions together. Take the perfect answer of each kind, spoil it a little (random numbers of standard deviation 0.1), and turn it into $x_0$: how far off is that? Before you look: which curve runs away, and at which end?

# %%
steps = [1, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 950, 980, 990, 999]
viz.lines(
    at_work.survived(wanted, cleaned, steps),
    log="y",
    xlabel="step t",
    ylabel="error of x0 (latent unit)",
    alt=at_work.ALT["to_x0"],
)

# %% [markdown]
# And the shipped denoiser of Teddies, which answers with `v`. It is shown the ruined pictures of exercise 1, and not told a single word: what does it take for $x_0$?

# %%
viz.grid(at_work.glimpses(cleaned, ts), titles=[f"t = {t}" for t in ts], scale=1, alt=at_work.ALT["to_x0 2"])

# %% [markdown]
# ## 4 · One step of the walk
#
# [[ddim_step]]
#
# The network has guessed $\hat x_0$ from $x_t$. DDIM (Song et al. 2021, eq. 12) asks which noise that implies, and mixes both again at the next, lower level:
#
# $$x_\text{next} = \alpha_\text{next}\,\hat x_0 + \sqrt{\sigma_\text{next}^2 - s^2}\;\hat\epsilon + s\,\epsilon', \qquad
# s = \eta\,\frac{\sigma_\text{next}}{\sigma}\sqrt{1 - \frac{\alpha^2}{\alpha_\text{next}^2}}.$$
#
# $\hat\epsilon$ is what $x_t$ and $\hat x_0$ imply; $\epsilon'$ is fresh noise, of standard deviation $s$ (eq. 16, in our symbols: the paper's $\alpha$ is the square of ours).
# With $\eta = 0$ nothing is random, with $\eta = 1$ this is DDPM's own sampler.
#
# | argument | shape | what it is |
# |---|---|---|
# | `x_t`, `x0_hat` | [B, C, h, w] | where the walk is, and the guess |
# | `alpha`, `sigma` | floats | the level of `x_t` |
# | `alpha_next`, `sigma_next` | floats | the level to go to; on the last step 1 and 0 |
# | `eta` | a float | 0 to 1 |
# | `noise` | [B, C, h, w] | $\epsilon'$, draws from N(0, 1); given at $\eta = 0$ as well |
# | returns | [B, C, h, w] | $x_\text{next}$ |
#
# <details><summary>Hint 1</summary>
#
# $\hat\epsilon$: solve $x_t = \alpha\,\hat x_0 + \sigma\,\hat\epsilon$ for it.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Compute $s$ first: it is a float (`math.sqrt`), and it stands in two places.
# </details>


# %% exercise="ddim_step"
def ddim_step(
    x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, alpha_next: float, sigma_next: float, eta: float, noise: Tensor
) -> Tensor:
    """One step of DDIM from the level (alpha, sigma) to (alpha_next, sigma_next), [B, C, h, w]."""
    ### BEGIN SOLUTION
    eps = (x_t - alpha * x0_hat) / sigma
    fresh = eta * sigma_next / sigma * math.sqrt(1 - (alpha / alpha_next) ** 2)
    return alpha_next * x0_hat + math.sqrt(sigma_next**2 - fresh**2) * eps + fresh * noise
    ### END SOLUTION


# %% check="ddim_step"
step = hw4.ddim_step.check(ddim_step)

# %% [markdown]
# **At work.** The shipped denoiser, guided with scale 3 by "two pink teddy bears with a green scarf reading", and twenty of your steps. Each column starts from the same noise. Before you look: what will the pictures of one column share, and will the row of $\eta = 1$ look worse?

# %%
viz.rows(at_work.drawn(step), scale=1, alt=at_work.ALT["ddim_step"])

# %% [markdown]
# ## 5 · The loss
#
# [[training_loss]]
#
# All of training is one line (Ho et al. 2020, eq. 14, here for $v$), with one addition: now and then a picture's label is hidden, so that the same network learns what a teddy looks like in general (Ho & Salimans 2022, algorithm 1). What is drawn at random in training is given here.
#
# | argument | shape | what it is |
# |---|---|---|
# | `net` | a function | `net(x_t, t, y)` → [B, C, h, w], its answer for `v`; it is told `t` as it is, 1 to T |
# | `x0`, `eps` | [B, C, h, w] | clean latents, unit noise |
# | `y`, `t` | [B], int64 | labels; steps, 1 to T |
# | `alphas_cumprod` | [T] | as in exercise 1: entry 0 belongs to $t = 1$ |
# | `drop` | [B], bool | True where the label is to be hidden |
# | `null_label` | an int | the label that says nothing |
# | returns | a scalar tensor | the mean of the squared error over all numbers |
#
# <details><summary>Hint 1</summary>
#
# Four lines: the labels; alpha and sigma; $x_t$ and $v$; the error. You have written the middle two already, but your function must stand on its own: write them again here.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.where(condition, a, b)` takes from `a` where the condition is True. Assigning to `y[drop]` would change the caller's labels for good.
# </details>


# %% exercise="training_loss"
def training_loss(
    net, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor, drop: Tensor, null_label: int
) -> Tensor:
    """The mean squared error of the net's v, a scalar; labels are null_label where drop is True."""
    ### BEGIN SOLUTION
    shown = torch.where(drop, null_label, y)
    kept = alphas_cumprod[t - 1].view(-1, 1, 1, 1)
    alpha, sigma = kept.sqrt(), (1 - kept).sqrt()
    out = net(alpha * x0 + sigma * eps, t, shown)
    return F.mse_loss(out, alpha * eps - sigma * x0)
    ### END SOLUTION


# %% check="training_loss"
objective = hw4.training_loss.check(training_loss)

# %% [markdown]
# **At work.** Your loss trains a small denoiser on the latents of a thousand teddies for a few seconds. It is told one thing only, the colour of the fur. Unit variance makes a good yardstick: a network that always answers 0 has a loss of about 1. Before you look: after so short a training, which will be right, the colour or the shape?

# %%
result = at_work.train_denoiser(objective)
viz.losses(result.losses, ylabel="mean squared error of v", alt=at_work.ALT["training_loss"])

# %%
viz.grid(
    at_work.in_each_colour(result.ema),
    len(at_work.colours()),
    titles=at_work.colours(),
    scale=1,
    alt=at_work.ALT["training_loss 2"],
)

# %% [markdown]
# ## 6 · Back to the VAE's units
#
# [[unscale]]
#
# A denoiser works on latents of mean 0 and standard deviation 1 *in each channel*; the decoder wants the VAE's own units. Measure those on the latents of the training set, and bring a sampler's $z$ there.
#
# | argument | shape | what it is |
# |---|---|---|
# | `z` | [B, C, h, w] | what a sampler gives: unit variance, mean 0 in each channel |
# | `latents` | [N, C, h, w] | latents of the training set, in the VAE's own units |
# | returns | [B, C, h, w] | `z` in the VAE's own units |
#
# One mean and one standard deviation for each channel, over all pictures and all places. Take `torch.std` as it comes (it divides by $n - 1$).
#
# <details><summary>Hint 1</summary>
#
# The way there was $(\text{latent} - \text{mean}) / \text{std}$. Undo the last thing first.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `mean` and `std` take several axes at once, `dim=(…)`, and keep them as axes of length 1 with `keepdim=True`.
# </details>


# %% exercise="unscale"
def unscale(z: Tensor, latents: Tensor) -> Tensor:
    """z [B, C, h, w] of unit variance in the units of latents [N, C, h, w]: a mean and a std for each channel."""
    ### BEGIN SOLUTION
    mean = latents.mean(dim=(0, 2, 3), keepdim=True)
    std = latents.std(dim=(0, 2, 3), keepdim=True)
    return z * std + mean
    ### END SOLUTION


# %% check="unscale"
own_units = hw4.unscale.check(unscale)

# %% [markdown]
# **At work.** The same walks given to the decoder in three ways. (The KL has held the teddies' VAE near unit variance, so that forgetting would hardly show. For this figure its latents are written in other units, a gain and an offset for each channel, as a VAE without that hold may choose.) Before you look: Stable Diffusion's `scaling_factor` is one number for all channels. Will one number do here?

# %%
spread = at_work.odd_latents().std(dim=(0, 2, 3))
print("std of each channel:", [round(x, 2) for x in spread.tolist()])
viz.rows(at_work.in_units(own_units, step), scale=1, alt=at_work.ALT["unscale"])

# %% [markdown]
# ## 7 · A diagnosis, in words
#
# [[diagnosis]]
#
# Four runs of the whole pipeline with one network, one caption, one guidance scale and one noise, $\eta = 1$. One is healthy; each of A, B and C has one line wrong, in three different places. The table tells of the last $z$ of each run, and of what its decoder was then given.

# %%
patients = at_work.patients(own_units, step)
channels = {name: [round(x, 2) for x in given.std(dim=(0, 2, 3)).tolist()] for name, (_, given, _) in patients.items()}
claims.table(
    ["run", "std of the last z", "largest |z|", "std of each channel at the decoder"],
    [[name, z.std().item(), z.abs().max().item(), str(channels[name])] for name, (z, _, _) in patients.items()],
)

# %%
viz.rows({name: pictures for name, (_, _, pictures) in patients.items()}, scale=1, alt=at_work.ALT["diagnosis"])

# %% [markdown]
# What is wrong in each of A, B and C, and which column tells it? Name the line of the pipeline that you would look at first. And why can the pictures alone mislead you about C: what would you print before you blame the network? Six sentences are enough.

# %% [markdown] written="diagnosis"
# ### BEGIN SOLUTION
# **Model answer.** A: the guesses $\hat x_0$ are held inside $[-1, 1]$ at every step, a habit from pixel space. The largest |z| is exactly 1 and the spread is well below 1; latents have no such box, so contrast and colour are lost. Look at the line after the network's
# call. B: too much noise is left in: the spread is above 1 and the largest |z| above the healthy run's. Fresh noise comes in with $\eta = 1$, but the old noise still takes the whole $\sigma_\text{next}$ instead of $\sqrt{\sigma_\text{next}^2 - s^2}$, so every step carries more noise than its level
# allows, and the network takes it for structure. Look at the DDIM step. C: its z is the healthy one, number for number in the first two columns; only what the decoder was given differs: about 1 in every channel instead of the training latents' own spreads. The unscaling is missing.
# Its pictures look worst of all although network and sampler did everything right: print mean and std of z (should be about 0 and 1) and of the decoder's input (should be the training latents') before blaming the network.
#
# **Rubric, 3 points.** 1 for each of A, B and C: half for the cause, half for the column that shows it. For B "the sampler leaves too much noise, std above 1" is enough for the cause if the DDIM step is named. Half a point off (never below 0) where C is blamed on the network or the sampler.
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw4.summary(add_noise, target, to_x0, ddim_step, training_loss, unscale)
