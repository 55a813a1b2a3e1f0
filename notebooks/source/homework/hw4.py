# %% [markdown]
# # Homework 4 · Latent DDPM
#
# > Write the six functions of a latent diffusion model, and let them generate teddies.
#
# You need chapter 4. Each exercise below has a cell for your function, a check, and a figure that uses your function. The check reports what your function
# returned, what was expected and what the likely mistake is; run it as often as you like. If you leave an exercise blank, the notebook still runs: the cells
# after it use the workbook's own function, and say so.
#
# [[contents]]
#
# Everywhere $x_t = \alpha_t\,x_0 + \sigma_t\,\epsilon$ with $\alpha_t^2 + \sigma_t^2 = 1$. Steps run $t = 1 \dots T$, as in the DDPM paper. `B` is the batch, axis 0 of every tensor; latents are
# [B, C, h, w]. All random numbers are given to your function as an argument. `alpha` and `sigma` are the signal and noise rates of $x_t$, so `alpha` is the *root* of what the DDPM paper calls $\bar\alpha_t$.

# %% [markdown]
# [[grading]]

# %%
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib import device
from course_lib.notebook import claims, viz
from course_lib.homework.demos import compare_guess, loss_curve
from course_lib.homework.demos import hw4 as demos
from course_lib.homework.checks import hw4

print(device.find())

# %% [markdown]
# ## 1 · Noise at a chosen step
#
# [[add_noise]]
#
# The forward process in one jump (Ho et al. 2020, eq. 4):
#
# $$x_t = \sqrt{\bar\alpha_t}\; x_0 + \sqrt{1 - \bar\alpha_t}\;\epsilon.$$
#
# The $\bar\alpha_t$ are given as a table, as other libraries store them: **`alphas_cumprod` has `T` entries, and its entry 0 belongs to $t = 1$**. (The table inside the workbook's own schedules has one more entry, for clean data at $t = 0$. This one does not.)
#
# | argument | shape | what it is |
# |---|---|---|
# | `x0` | [B, C, h, w] | clean latents |
# | `t` | [B], int64 | a step for each of them, 1 to T |
# | `eps` | [B, C, h, w] | samples from N(0, 1) |
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
# [B] times [B, C, h, w] raises an error or, worse, broadcasts over the wrong axis. Use `.view(-1, 1, 1, 1)`.
# </details>


# %% exercise="add_noise"
def add_noise(x0: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """Return x_t [B, C, h, w]: x0 with the noise eps of its step t (1 to T); entry 0 of alphas_cumprod belongs to t = 1."""
    ### BEGIN SOLUTION
    alpha_squared = alphas_cumprod[t - 1].view(-1, 1, 1, 1)
    return alpha_squared.sqrt() * x0 + (1 - alpha_squared).sqrt() * eps
    ### END SOLUTION


# %% check="add_noise"
noised = hw4.add_noise.check(add_noise)

# %% [markdown]
# **At work.** One teddy's latent, noised by your function and decoded. Before you look: from which step on will you no longer be able to say what these teddies are doing?

# %%
ts = [1, 200, 400, 600, 800, 1000]
viz.grid(demos.decode_noised(noised, ts), titles=[f"t = {t}" for t in ts], scale=2, alt=demos.ALT["add_noise"])

# %% [markdown]
# ## 2 · What the network should predict
#
# [[target]]
#
# A network may predict the noise, the clean data, or a mixture of both, $v = \alpha\,\epsilon - \sigma\,x_0$ (Salimans & Ho 2022, appendix D). Flow matching's **velocity**, $\epsilon - x_0$, is another such mixture, with the rates left out (many papers let time run from noise to data and write $x_0 - \epsilon$: a convention, not a mistake). It has a name and a use of its own (chapter 4); here we write $v$. Either
# follows from the other: with $x_t$ and the velocity, $x_0 = (x_t - \sigma\cdot\text{velocity})/(\alpha + \sigma)$ and $\epsilon = x_0 + \text{velocity}$ (`diffusion.convert`).
#
# | argument | shape | what it is |
# |---|---|---|
# | `prediction_type` | text | `"eps"`, `"x0"` or `"v"` |
# | `x0`, `eps` | [B, C, h, w] | clean latents, unit noise |
# | `alpha`, `sigma` | [B, 1, 1, 1] | the rates of each image's level |
# | returns | [B, C, h, w] | what a network of this prediction type should output |
#
# <details><summary>Hint</summary>
#
# Three cases, each of one line. Which of the two does `alpha` multiply in $x_t$, and which in $v$?
# </details>


# %% exercise="target"
def target(prediction_type: str, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return what a network of this prediction type ("eps", "x0" or "v") should output, [B, C, h, w]."""
    ### BEGIN SOLUTION
    if prediction_type == "v":
        return alpha * eps - sigma * x0
    return eps if prediction_type == "eps" else x0
    ### END SOLUTION


# %% check="target"
wanted = hw4.target.check(target)

# %% [markdown]
# **At work.** The figure shows what a network should output for one teddy, decoded as if it were a latent. The targets `x0` and `eps` are the same at every step. Before you look: what does `v` show at the first step, and what at the last?

# %%
targets = demos.decode_targets(wanted, [1, 400, 600, 800, 1000])
viz.grid(torch.cat(list(targets.values())), titles=list(targets), scale=2, alt=demos.ALT["target"])

# %% [markdown]
# ## 3 · Back to clean data
#
# [[to_x0]]
#
# A sampler needs the clean data, whatever the network predicts. Convert each type of output into $x_0$. The schedule preserves the variance: $\alpha^2 + \sigma^2 = 1$.
#
# | argument | shape | what it is |
# |---|---|---|
# | `prediction_type` | text | `"eps"`, `"x0"` or `"v"` |
# | `out` | [B, C, h, w] | the output of a network of this prediction type |
# | `x_t` | [B, C, h, w] | its input |
# | `alpha`, `sigma` | [B, 1, 1, 1] | the rates of each image's level |
# | returns | [B, C, h, w] | the clean data that this output stands for |
#
# <details><summary>Hint 1</summary>
#
# For `"eps"`: solve $x_t = \alpha\,x_0 + \sigma\,\epsilon$ for $x_0$.
# </details>
#
# <details><summary>Hint 2</summary>
#
# For `"v"`: two equations, two unknowns. Take $\alpha$ times the first and $\sigma$ times the second, so that $\epsilon$ cancels.
# </details>


# %% exercise="to_x0"
def to_x0(prediction_type: str, out: Tensor, x_t: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """Return the clean data [B, C, h, w] that the output of a network of this prediction type stands for."""
    ### BEGIN SOLUTION
    if prediction_type == "eps":
        return (x_t - sigma * out) / alpha
    return alpha * x_t - sigma * out if prediction_type == "v" else out
    ### END SOLUTION


# %% check="to_x0"
cleaned = hw4.to_x0.check(to_x0)

# %% [markdown]
# **At work.** First your two functions together. Take the perfect output of each prediction type, perturb it a little (Gaussian noise of standard deviation 0.1), and convert it into $x_0$: how large is the error? One of the three curves grows without bound.
# Write your guess into the next cell, in place of `None`, and run it before the figure. (You can leave it `None`.)

# %%
guess_unbounded = None  # your guess: which prediction type, and at which end? For example "v at t = 1"

# %%
steps = [1, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 950, 980, 990, 999]
errors = demos.x0_errors(wanted, cleaned, steps)
worst = max(errors, key=lambda name: errors[name][1].max())
compare_guess("Largest error of x0", guess_unbounded, f"{worst} at t = {steps[errors[worst][1].argmax()]}")
viz.lines(errors, log="y", xlabel="step t", ylabel="error of x0 (latent unit)", alt=demos.ALT["to_x0"])

# %% [markdown]
# Next comes the shipped denoiser of Teddies, which predicts `v`. Its inputs are the noised latents of exercise 1 and an empty prompt: which $x_0$ does it predict?

# %%
viz.grid(demos.decode_x0_predictions(cleaned, ts), titles=[f"t = {t}" for t in ts], scale=2, alt=demos.ALT["to_x0 2"])

# %% [markdown]
# ## 4 · One sampling step
#
# [[ddim_step]]
#
# The network has predicted $\hat x_0$ from $x_t$. DDIM (Song et al. 2021, eq. 12) computes the noise that this implies, and mixes both again at the next, lower level:
#
# $$x_\text{next} = \alpha_\text{next}\,\hat x_0 + \sqrt{\sigma_\text{next}^2 - s^2}\;\hat\epsilon + s\,\epsilon', \qquad
# s = \eta\,\frac{\sigma_\text{next}}{\sigma}\sqrt{1 - \frac{\alpha^2}{\alpha_\text{next}^2}}.$$
#
# $\hat\epsilon$ is the noise that $x_t$ and $\hat x_0$ imply; $\epsilon'$ is fresh noise, scaled to the standard deviation $s$ (eq. 16, in our symbols: the paper's $\alpha$ is the square of ours).
# With $\eta = 0$ nothing is random, and with $\eta = 1$ this is DDPM's own sampler.
#
# | argument | shape | what it is |
# |---|---|---|
# | `x_t`, `x0_hat` | [B, C, h, w] | the noisy latents, and the prediction |
# | `alpha`, `sigma` | floats | the rates of the level of `x_t` |
# | `alpha_next`, `sigma_next` | floats | the rates of the next level; on the last step 1 and 0 |
# | `eta` | a float | 0 to 1 |
# | `noise` | [B, C, h, w] | $\epsilon'$, samples from N(0, 1); given at $\eta = 0$ as well |
# | returns | [B, C, h, w] | $x_\text{next}$ |
#
# <details><summary>Hint 1</summary>
#
# $\hat\epsilon$: solve $x_t = \alpha\,\hat x_0 + \sigma\,\hat\epsilon$ for it.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Compute $s$ first: it is a float (`math.sqrt`), and the formula contains it twice.
# </details>


# %% exercise="ddim_step"
def ddim_step(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, alpha_next: float, sigma_next: float, eta: float, noise: Tensor) -> Tensor:
    """Return the result of one DDIM step from the level (alpha, sigma) to (alpha_next, sigma_next), [B, C, h, w]."""
    ### BEGIN SOLUTION
    eps = (x_t - alpha * x0_hat) / sigma
    fresh = eta * sigma_next / sigma * math.sqrt(1 - (alpha / alpha_next) ** 2)
    return alpha_next * x0_hat + math.sqrt(sigma_next**2 - fresh**2) * eps + fresh * noise
    ### END SOLUTION


# %% check="ddim_step"
step = hw4.ddim_step.check(ddim_step)

# %% [markdown]
# **At work.** The shipped denoiser and twenty of your steps sample the prompt "two pink teddy bears with a green scarf reading" at guidance scale 3. Each column starts from the same noise. Before you look: what will the images of one column share, and will the row of $\eta = 1$ look worse?

# %%
viz.rows(demos.sample_for_each_eta(step), scale=3, alt=demos.ALT["ddim_step"])

# %% [markdown]
# ## 5 · The loss
#
# [[training_loss]]
#
# All of training is one line (Ho et al. 2020, eq. 14, here for $v$), with one addition: occasionally an image's label is dropped, so that the same network learns the unconditional distribution as well (Ho & Salimans 2022, algorithm 1). Here, everything that training samples at random is an argument of your function.
#
# | argument | shape | what it is |
# |---|---|---|
# | `net` | a function | `net(x_t, t, y)` → [B, C, h, w], its prediction of `v`; it expects `t` itself, 1 to T |
# | `x0`, `eps` | [B, C, h, w] | clean latents, unit noise |
# | `y`, `t` | [B], int64 | labels; steps, 1 to T |
# | `alphas_cumprod` | [T] | as in exercise 1: entry 0 belongs to $t = 1$ |
# | `drop` | [B], bool | True where the label is dropped |
# | `null_label` | an int | the label that replaces a dropped one |
# | returns | a scalar tensor | the mean of the squared error over all values |
#
# <details><summary>Hint 1</summary>
#
# Four lines: the labels; alpha and sigma; $x_t$ and $v$; the error. You have written the middle two already, and may call `add_noise` and `target` here: functions of other cells are there when you are graded, too.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.where(condition, a, b)` takes from `a` where the condition is True. Assigning to `y[drop]` would change the caller's labels permanently.
# </details>


# %% exercise="training_loss"
def training_loss(net, x0: Tensor, y: Tensor, t: Tensor, eps: Tensor, alphas_cumprod: Tensor, drop: Tensor, null_label: int) -> Tensor:
    """Return the mean squared error of the net's v, a scalar; labels are null_label where drop is True."""
    ### BEGIN SOLUTION
    labels = torch.where(drop, null_label, y)
    alpha_squared = alphas_cumprod[t - 1].view(-1, 1, 1, 1)
    alpha, sigma = alpha_squared.sqrt(), (1 - alpha_squared).sqrt()
    out = net(alpha * x0 + sigma * eps, t, labels)
    return F.mse_loss(out, alpha * eps - sigma * x0)
    ### END SOLUTION


# %% check="training_loss"
loss = hw4.training_loss.check(training_loss)

# %% [markdown]
# **At work.** Your loss trains a small denoiser on the latents of a thousand teddies for a few seconds. Its only condition is the fur colour. Because the latents have unit variance, there is a simple baseline: a network that always outputs 0 has a loss of about 1. Before you look: after such a short training, which will be right, the colour or the shape?

# %%
guess_loss = None  # your guess: the mean loss of the last 50 of 250 steps

# %%
result = demos.train_colour_denoiser(loss)
compare_guess("Mean loss of the last 50 steps", guess_loss, result.losses[-50:].mean().item())
loss_curve(result.losses, ylabel="mean squared error of v", alt=demos.ALT["training_loss"])

# %%
viz.grid(demos.sample_each_colour(result.ema), len(demos.fur_colours()), titles=demos.fur_colours(), scale=2, alt=demos.ALT["training_loss 2"])

# %% [markdown]
# ## 6 · Back to the VAE's units
#
# [[unscale]]
#
# A denoiser works on latents with mean 0 and standard deviation 1 *in each channel*; the decoder expects the VAE's own units. Compute these units from the latents of the training set, and convert a sampler's $z$ to them.
#
# | argument | shape | what it is |
# |---|---|---|
# | `z` | [B, C, h, w] | a sampler's result: unit variance, mean 0 in each channel |
# | `latents` | [N, C, h, w] | latents of the training set, in the VAE's own units |
# | returns | [B, C, h, w] | `z` in the VAE's own units |
#
# One mean and one standard deviation for each channel, over all images and all positions. Use `torch.std` with its default (it divides by $n - 1$).
#
# <details><summary>Hint 1</summary>
#
# The latents were normalised by $(\text{latent} - \text{mean}) / \text{std}$. Undo the last operation first.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `mean` and `std` take several axes at once, `dim=(…)`, and keep them as axes of length 1 with `keepdim=True`.
# </details>


# %% exercise="unscale"
def unscale(z: Tensor, latents: Tensor) -> Tensor:
    """Return z [B, C, h, w] of unit variance in the units of latents [N, C, h, w]: a mean and a std for each channel."""
    ### BEGIN SOLUTION
    mean = latents.mean(dim=(0, 2, 3), keepdim=True)
    std = latents.std(dim=(0, 2, 3), keepdim=True)
    return z * std + mean
    ### END SOLUTION


# %% check="unscale"
own_units = hw4.unscale.check(unscale)

# %% [markdown]
# **At work.** The same samples are passed to the decoder in three ways. (The KL keeps the latents of the teddies' VAE near unit variance, so a missing unscaling would hardly be visible. For this figure the latents are given other units, a gain and an offset for each channel, as a VAE with a weaker KL may have.) Before you look: Stable Diffusion's `scaling_factor` is one number for all channels. Is one number enough here?

# %%
channel_std = demos.unnormalised_latents().std(dim=(0, 2, 3))
print("std of each channel:", [round(x, 2) for x in channel_std.tolist()])
viz.rows(demos.compare_unscaling(own_units, step), scale=2, alt=demos.ALT["unscale"])

# %% [markdown]
# ## 7 · A diagnosis, in words
#
# [[diagnosis]]
#
# Four runs of the full pipeline with the same network, prompt, guidance scale and noise, $\eta = 1$. One is healthy; each of A, B and C has one wrong line, in three different parts of the pipeline. The table describes the last $z$ of each run, and the input of its decoder.

# %%
runs = demos.broken_runs(own_units, step)
stds = {name: [round(x, 2) for x in decoder_input.std(dim=(0, 2, 3)).tolist()] for name, (_, decoder_input, _) in runs.items()}
claims.table(
    ["run", "std of the last z", "largest |z|", "std of each channel at the decoder"],
    [[name, z.std().item(), z.abs().max().item(), str(stds[name])] for name, (z, _, _) in runs.items()],
)

# %%
viz.rows({name: images for name, (_, _, images) in runs.items()}, scale=3, alt=demos.ALT["diagnosis"])

# %% [markdown]
# What is wrong in each of A, B and C, and which column shows it? Name for each the line of the pipeline that you would look at first. And why can the images alone mislead you about C: what would you print before you blame the network? Eight sentences are enough.

# %% [markdown] written="diagnosis"
# ### BEGIN SOLUTION
# **Model answer.** A: the predictions $\hat x_0$ are clamped to $[-1, 1]$ at every step, a habit from pixel space. The largest |z| is exactly 1 and the standard deviation is well below 1; latents have no such range, so contrast and colour are lost. Look at the line after the network's
# call. B: too much noise is left in: the standard deviation is above 1, and the largest |z| is above that of the healthy run. Fresh noise is added with $\eta = 1$, but the old noise still has the full $\sigma_\text{next}$ instead of $\sqrt{\sigma_\text{next}^2 - s^2}$, so every step carries more noise than its level
# allows, and the network takes it for structure. Look at the DDIM step. C: its z equals the healthy one, digit for digit in the first two columns; only the input of the decoder differs: about 1 in every channel instead of the training latents' own standard deviations. The unscaling is missing.
# Its images look worst of all although network and sampler did everything right: print mean and std of z (should be about 0 and 1) and of the decoder's input (should be those of the training latents) before blaming the network.
#
# **Rubric, 5 points.** 1½ for the causes, half for each. A: the predictions (or x) are clamped to [-1, 1]. B: the sampler leaves too much noise; which term is wrong is not asked for. C: the samples are not unscaled. 1½ for the columns, half for each. A: largest |z| is exactly 1 (or std 0.69). B: std 1.11 or largest |z| 3.9, compared with 1.01 and 3.1 of the
# healthy run. C: the decoder's input alone, while both columns of z equal the healthy run's. 1 for the lines: all three right (after the network's call; the DDIM step; before the decoder) 1, two of them half. 1 for C: half for why the images mislead (they look worst although network and sampler did everything right), half for what to print (mean or std
# of z, or of the decoder's input, compared with the training latents).
#
# **Half right, 2½ points.** "A is clamped, |z| is 1 (1). B is too strong in colour, so the guidance scale is too high (0), std 1.1 (½). C's decoder gets the wrong std, about 1 in every channel (½), because of the VAE (0: which line?). I would look at the clamp (0: one line of three). Print the std of z (½)."
#
# **Wrong answers to expect.** "B has a higher guidance scale": the scale is the same in all runs. "A has too few steps" or "A's eta is 0": |z| of exactly 1 is no accident. "C's network is not trained": its z is the healthy one digit for digit. "B and C are both unscaled": B's decoder has the right units.
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw4.summary(add_noise, target, to_x0, ddim_step, training_loss, unscale)

# %% [markdown] teacher="exam"
# ## For teachers: on paper, and two minutes each on the student's own code
#
# **On paper.**
#
# 1. *$q(x_\text{next} \mid x_t, x_0)$ is Gaussian. Find mean and variance, and show that $\eta = 1$ gives them.* With $\rho = \alpha/\alpha_\text{next}$, $x_t = \rho\,x_\text{next} + \sqrt{1 - \rho^2}\,\epsilon$, so the variance is $\sigma_\text{next}^2 (1 - \rho^2)/\sigma^2 = s^2$ at $\eta = 1$, and the mean $\alpha_\text{next} x_0 + \rho\,\tfrac{\sigma_\text{next}^2}{\sigma^2}(x_t - \alpha x_0)$; since $\sigma_\text{next}^2 - s^2 = \sigma_\text{next}^4 \rho^2 / \sigma^2$, DDIM's term is the same. Shows: DDPM is a DDIM.
# 2. *Invert v, that is, find $x_0$ and $\epsilon$ from $x_t$ and $v$. Why is that safe at $t = T$, where eps is not?* $x_0 = \alpha x_t - \sigma v$, $\epsilon = \sigma x_t + \alpha v$: a rotation. An error $e$ of v becomes $\sigma e$; an error of eps becomes $(\sigma/\alpha)\,e$, unbounded as $\alpha \to 0$. Shows: exercise 3's figure.
# 3. *Write the losses of eps and of v as weights on the error of $x_0$.* $\|\epsilon - \hat\epsilon\|^2 = \tfrac{\alpha^2}{\sigma^2}\|x_0 - \hat x_0\|^2$ (the signal-to-noise ratio), $\|v - \hat v\|^2 = \tfrac1{\sigma^2}\|x_0 - \hat x_0\|^2$ (that ratio plus 1). Shows: prediction types are weightings.
#
# **Oral.**
#
# 1. *`add_noise`: what if `view` were `(1, -1, 1, 1)` and B = C?* No error: channel c of every image gets the noise of step $t_c$. Shows: a broadcast fails silently where sizes agree.
# 2. *`training_loss`: why `t - 1` in the table and `t` for the network? Which batches would notice `t` in the table?* The table's entry 0 belongs to t = 1; the network was built for 1 to T. Only a batch with t = T raises an error; the others train one step off. Shows: a convention, not arithmetic.
# 3. *`unscale`: which line would you change for Stable Diffusion's `scaling_factor`, 0.18215?* `return z / 0.18215`: one standard deviation (about 5.5) for all channels, and no mean. Shows: what that number is.
