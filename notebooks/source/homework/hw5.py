# %% [markdown]
# # Homework 5 · Guidance
#
# > Write the guidance formula, four functions that go with it, and one that shows which guidance method is worth its price.
#
# You need chapter 5. Each exercise below has a cell for your function, a check, and a figure that uses your function. The check reports what your function
# returned, what was expected and what the likely mistake is; run it as often as you like. If you leave an exercise blank, the notebook still runs: the cells
# after it use the workbook's own function, and say so.
#
# [[contents]]
#
# Everything works on predictions of the clean latent, $\hat x_0$, never on the predicted noise. `alpha` and `sigma` are the rates of $x_t = \alpha\,x_0 + \sigma\,\varepsilon$. `B` is the batch, axis 0 of every tensor.

# %% [markdown]
# [[grading]]

# %%
import math

import torch
from torch import Tensor

from course_lib import device
from course_lib.notebook import claims, viz
from course_lib.homework.demos import compare_guess
from course_lib.homework.demos import hw5 as demos
from course_lib.homework.checks import hw5

print(device.find())

# %% [markdown]
# ## 1 · Classifier-free guidance
#
# [[cfg]]
#
# The network predicts the clean latent twice: once conditioned on the prompt (`cond`), and once on the empty prompt (`null`). Guidance starts at `null` and moves towards `cond`, and beyond it, `scale` times as far
# (Ho & Salimans 2022, in the convention of the workbook):
#
# - scale 0 gives `null`,
# - scale 1 gives `cond`: no guidance,
# - scale 3 moves three times as far from `null` as `cond` is, in the same direction.
#
# | argument | shape | what it is |
# |---|---|---|
# | `cond`, `null` | [B, C, h, w] | the two predictions $\hat x_0$, in latent units |
# | `scale` | a float | any number, also below 1 |
# | returns | [B, C, h, w] | the guided $\hat x_0$ |
#
# Training may use this function too, so let gradients pass to both predictions.
#
# <details><summary>Hint 1</summary>
#
# Where does the move start, what is its direction (a difference of two tensors), and how far does it go?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Test your formula on paper at scale 0 and at scale 1.
# </details>


# %% exercise="cfg"
def cfg(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    """Return the guided prediction: null at scale 0, cond at scale 1, beyond cond above 1."""
    ### BEGIN SOLUTION
    return null + scale * (cond - null)
    ### END SOLUTION


# %% check="cfg"
guide = hw5.cfg.check(cfg)

# %% [markdown]
# **At work.** Your formula guides the workbook's model of teddies towards "two pink teddy bears with a green scarf reading", three images at each scale, from the same three noises in every row. Before you look: what does scale 0 generate? And is scale 8 better than 3?

# %%
viz.rows(demos.sample_at_scales(guide, (0.0, 1.0, 3.0, 8.0)), scale=3, alt=demos.ALT["cfg"])

# %% [markdown]
# <details><summary><b>What the rows show</b></summary>
#
# Scale 0 ignores the prompt: teddies of any kind. From scale 1 on all are pink, read, and wear a green scarf; the larger the scale, the stronger the colours. Scale 8 follows the prompt no better than 3, and changes more: one pair has moved into the snow, although the prompt names no place.
# </details>
#
# The same formula with another `null` is another method: if `null` is the prediction of a *weaker* version of the network, conditioned on the same prompt, the method is called autoguidance (Karras et al. 2024). You will meet it in exercise 6.
#
# ## 2 · Which number means no guidance?
#
# [[to_guidance_scale]]
#
# Three papers write the same formula in three ways, each with a number that is called guidance weight or guidance scale:
#
# | `convention` | the guided prediction | where |
# |---|---|---|
# | `"ho-salimans"` | $(1 + w)\,\text{cond} - w\,\text{null}$ | Ho & Salimans 2022, eq. 6 |
# | `"imagen"` | $w\,\text{cond} + (1 - w)\,\text{null}$ | Saharia et al. 2022, eq. 2 |
# | `"glide"` | $\text{null} + s\,(\text{cond} - \text{null})$ | Nichol et al. 2021, section 2.3 |
#
# (They write it for the predicted noise. The formula for $\hat x_0$ is the same, because each is a linear function of the other.) Convert each paper's number to the workbook's `guidance_scale`, that of exercise 1.
#
# | argument | type | what it is |
# |---|---|---|
# | `value` | a float | the number in the paper's convention |
# | `convention` | a string | one of the three names above |
# | returns | a float | `guidance_scale`, 1 for none |
#
# <details><summary>Hint 1</summary>
#
# For which value is only `cond` left in each formula? That value must become 1.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Write exercise 1's formula as a multiple of `cond` plus a multiple of `null`. The multiple of `cond` is the scale: read it off the other formulas, too.
# </details>


# %% exercise="to_guidance_scale"
def to_guidance_scale(value: float, convention: str) -> float:
    """Return the guidance_scale (1 = none) that is equivalent to value in the convention "ho-salimans", "imagen" or "glide"."""
    ### BEGIN SOLUTION
    if convention == "ho-salimans":
        return 1 + value
    if convention in ("imagen", "glide"):
        return value
    raise ValueError(f"convention is {convention!r}, but it must be ho-salimans, imagen or glide.")
    ### END SOLUTION


# %% check="to_guidance_scale"
converted = hw5.to_guidance_scale.check(to_guidance_scale)

# %% [markdown]
# **At work.** Your function converts two numbers from the convention of each paper, and 32 prompts are sampled with each result, random ones that name all five factors (count, fur, activity, scarf, background). A factor reader checks whether all five are in the image. *Clipped* is the percentage of pixel values at
# an end of their range; drawings of teddies have 6 % of them, so neither 0 % nor 20 % is the goal. Rows with the same scale are equal.
# Write your guess into the next cell, in place of `None`, and run it before the table. (You can leave it `None`.)

# %%
guess_scales = None  # your guess: how many different scales do the numbers 0 and 2 become in the three conventions?

# %%
rows = demos.compare_conventions(guide, converted, (0.0, 2.0))
compare_guess("Different scales", guess_scales, len({row[2] for row in rows}))
claims.table(["value", "convention", "guidance_scale", "prompt adherence", "clipped"], rows)

# %% [markdown]
# <details><summary><b>So what does guidance buy?</b></summary>
#
# Compare the row of scale 0 with that of scale 1, which is no guidance. These prompts are easy for this network: conditioned on the prompt, it hardly needs guidance. Here, a larger scale buys clearer images, at the price of more clipped values.
# </details>

# %% [markdown]
# ## 3 · Guidance by a classifier
#
# [[classifier_guided]]
#
# Before exercise 1's formula was known, a second network did the guiding: a classifier that reads noisy latents and returns $\log p(y \mid x_t)$ (Dhariwal & Nichol 2021). By Bayes' rule its gradient is added to
# the score, and Tweedie's formula turns that into a step of $\hat x_0$:
#
# $$\hat x_0 \;+\; s\,\frac{\sigma^2}{\alpha}\,\nabla_{x_t} \log p(y \mid x_t).$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `x_t` | [B, C, h, w] | the noisy latents |
# | `x0_hat` | [B, C, h, w] | what an unguided network predicts for them, already computed |
# | `alpha`, `sigma` | floats | the rates of this level, `alpha` > 0 |
# | `log_prob` | a function | `log_prob(x)` takes [B, C, h, w], returns $\log p(y \mid x)$, [B], and is differentiable |
# | `scale` | a float | $s$: here 0 is off, and 1 is Bayes' rule |
# | returns | [B, C, h, w] | the guided $\hat x_0$ |
#
# Your function is called with autograd switched on (`torch.enable_grad()`; samplers usually run without), but `x_t` itself does not require gradients, and it must stay as it is: work on a detached `x` with the same values.
#
# <details><summary>Hint 1</summary>
#
# `torch.autograd.grad(number, x)` returns a tuple with the gradient of one number. `x` must require gradients (`requires_grad_`), and the number must be computed from that same `x`, not from `x_t`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `log_prob` returns B numbers, one for each image, and none depends on the other images. Which *single* number has a gradient that contains, for each image, exactly that image's own gradient?
# </details>


# %% exercise="classifier_guided"
def classifier_guided(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob, scale: float) -> Tensor:
    """Return x0_hat plus scale · sigma² / alpha · the gradient of log_prob at x_t."""
    ### BEGIN SOLUTION
    x = x_t.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(log_prob(x).sum(), x)
    return x0_hat + scale * sigma**2 / alpha * gradient
    ### END SOLUTION


# %% check="classifier_guided"
guide_by_classifier = hw5.classifier_guided.check(classifier_guided)

# %% [markdown]
# **At work.** Here the teddies' network gets the *empty* prompt. A small classifier learns to read fur colours from noisy latents, in a few seconds, and your function uses it to guide towards pink; the factor reader counts the pink teddies among 32 images. Before you look: besides the colour, what will
# change?

# %%
viz.rows(demos.sample_with_classifier(guide_by_classifier, (0.0, 1.0, 10.0)), scale=2, alt=demos.ALT["classifier_guided"])

# %% [markdown]
# <details><summary><b>What else changes?</b></summary>
#
# At scale 10 all are pink, and the pair in the middle, which waved, has fallen asleep. (A likely reason: so strong a push at high noise moves everything that is still undecided there.) Scale 1 would be Bayes' rule if the classifier and the solver were perfect; this classifier was trained for seconds, and about half of the teddies are pink.
# </details>
#
# ## 4 · Guidance at some levels only
#
# [[interval_scale]]
#
# Guidance need not be on at every level. Kynkäänniemi et al. (2024, eq. 6) use it only where the noise lies in an interval, and switch it off elsewhere. Noise is measured as *noise over signal*, $\sigma / \alpha$ (the paper writes $\sigma$ for it):
#
# $$\text{scale if } \text{lo} < \sigma / \alpha \le \text{hi, else } 1.$$
#
# | argument | type | what it is |
# |---|---|---|
# | `scale` | a float | the guidance scale inside |
# | `alpha`, `sigma` | floats | the rates of this level, `alpha` > 0 |
# | `lo`, `hi` | floats | bounds of noise over signal; `hi` may be infinite |
# | returns | a float | the scale for this level |
#
# <details><summary>Hint</summary>
#
# Python understands `a < b <= c`. And remember which scale means "no guidance" in this convention.
# </details>


# %% exercise="interval_scale"
def interval_scale(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    """Return scale at levels whose noise over signal lies in (lo, hi], else 1, which is no guidance."""
    ### BEGIN SOLUTION
    return scale if lo < sigma / alpha <= hi else 1.0
    ### END SOLUTION


# %% check="interval_scale"
scale_in_interval = hw5.interval_scale.check(interval_scale)

# %% [markdown]
# **At work.** Scale 8 again: it is applied nowhere, at all levels, or in one of three intervals, in 20 steps of the solver. Sampling starts at high noise and ends at low noise. The pictures below the table show three images for the prompt of exercise 1.

# %%
guess_clips = None  # your guess: which interval clips most, "high noise", "middle" or "low noise"?

# %%
reports = demos.evaluate_intervals(guide, scale_in_interval, 8.0)
ends = ["–" if lo == hi else f"({lo:g}, {hi:g}]" for lo, hi in demos.GUIDANCE_INTERVALS.values()]
rows = [[name, end, *report.percentages] for end, (name, report) in zip(ends, reports.items(), strict=True)]
most = max(("high noise", "middle", "low noise"), key=lambda name: reports[name].clipped)
compare_guess("Clips most", guess_clips, most)
claims.table(["guidance at", "noise over signal", "prompt adherence", "clipped"], rows, title="32 prompts at scale 8, 20 steps")

# %%
images = {name: reports[name].images for name in ("nowhere", "all levels", "high noise", "middle", "low noise")}
viz.rows(images, scale=3, alt=demos.ALT["interval_scale"])

# %% [markdown]
# <details><summary><b>What the table says</b></summary>
#
# These prompts need no guidance: "nowhere" follows as many of them as any interval does, and clips the fewest values. So the table shows what guidance costs at each noise level. At high noise alone it clips as much as at all levels; in the middle it clips far less and loses hardly a prompt. (Kynkäänniemi et al. also leave out high noise.) In exercise 6 the network needs guidance, and you will see what an interval buys.
# </details>
#
# **Guidance or solver?** Below, scale 8 at all levels in 10, 20 and 40 steps, and, in the last row, at low noise only in 40 steps (the table above has the same in 20). Before you look: if guidance were to blame for a wrong image, which rows would show it?

# %%
by_steps = demos.compare_steps(guide, scale_in_interval, 8.0, (10, 20, 40))
claims.table(["at scale 8", "prompt adherence", "clipped"], [[name, *report.percentages] for name, report in by_steps.items()])

# %%
viz.rows({name: report.images[1:] for name, report in by_steps.items() if "only" not in name}, scale=3, alt=demos.ALT["steps"])

# %% [markdown]
# <details><summary><b>What the table says</b></summary>
#
# Guidance is the same in the first three rows, so its faults would be in all of them. It is the *solver* that loses prompts in 10 steps. The clipped values fall with the steps as well, but even in 40 there are almost four times as many as without guidance (the row "nowhere" above). At low noise only, 40 steps follow more prompts than the 20 steps above: part of that loss was the solver's,
# too. Double the steps before you blame guidance.
# </details>
#
# ## 5 · Too much contrast
#
# [[rescaled]]
#
# A large scale pushes $\hat x_0$ so far out that colours reach the ends of their range. Lin et al. (2023) bring the guided prediction back to the standard deviation of the conditional one, and mix the result with the guided prediction:
#
# $$x_\text{rescaled} = \text{guided} \cdot \frac{\operatorname{std}(\text{cond})}{\operatorname{std}(\text{guided})} \quad \text{(eq. 15)}, \qquad
# x_\text{final} = \phi\, x_\text{rescaled} + (1 - \phi)\,\text{guided} \quad \text{(eq. 16)}.$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `guided` | [B, C, h, w] | the guided $\hat x_0$ |
# | `cond` | [B, C, h, w] | the conditional one |
# | `rescale` | a float in 0…1 | $\phi$; 0 is off |
# | returns | [B, C, h, w] | $x_\text{final}$ |
#
# A standard deviation is taken over all the values *of one image*: its channels, rows and columns together. (Whether you divide by N or N − 1 does not matter: it cancels.)
#
# <details><summary>Hint 1</summary>
#
# `x.std(dim=(1, 2, 3), keepdim=True)` has the shape [B, 1, 1, 1], which broadcasts with [B, C, h, w].
# </details>
#
# <details><summary>Hint 2</summary>
#
# What must the result be at `rescale` 0, and what at 1?
# </details>


# %% exercise="rescaled"
def rescaled(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    """Return guided, moved a fraction rescale of the way to cond's standard deviation, image by image."""
    ### BEGIN SOLUTION
    ratio = cond.std(dim=(1, 2, 3), keepdim=True) / guided.std(dim=(1, 2, 3), keepdim=True)
    return rescale * (guided * ratio) + (1 - rescale) * guided
    ### END SOLUTION


# %% check="rescaled"
rescale_guided = hw5.rescaled.check(rescaled)

# %% [markdown]
# **At work.** Scale 8 at all levels, rescaled by your function at every step. The last row of the table is the data. What does rescaling cost in prompt adherence? Use the table: two images are too few to judge by.

# %%
guess_clipped = None  # your guess: the percentage of clipped values with φ = 0.7

# %%
reports = {f"rescale {phi:g}": demos.evaluate_guidance(guide, 8.0, rescale_guided, phi) for phi in (0.0, 0.7, 1.0)}
data_row = ["the data", "", f"{demos.clipped_fraction(demos.rendered_teddies()):.1%}"]
rows = [[name, *report.percentages] for name, report in reports.items()]
compare_guess("Percentage clipped with φ = 0.7", guess_clipped, 100 * reports["rescale 0.7"].clipped)
claims.table(["at scale 8", "prompt adherence", "clipped"], [*rows, data_row])

# %%
viz.rows({name: report.images[1:] for name, report in reports.items()}, scale=4, alt=demos.ALT["rescaled"])

# %% [markdown]
# ## 6 · What is worth its price
#
# [[frontier]]
#
# There are several ways to guide, each at several scales, and every run gives two numbers. `distance` measures how far the samples are from the data (low is good), `agreement` how many of them show what was asked for (high is good). A run is *dominated* if another is
# **at least as good in both and better in at least one**. The runs that are not dominated form the (Pareto) frontier: only among them is there a choice to be made.
#
# | argument | shape | what it is |
# |---|---|---|
# | `distance` | [N] | of N runs in any order; low is good |
# | `agreement` | [N] | of the same runs; high is good |
# | returns | [N] of bool | for each run, in the order given: not dominated? |
#
# Two runs that are equal in both do not dominate each other.
#
# <details><summary>Hint 1</summary>
#
# First for one run i: `distance <= distance[i]` shows which runs are at least as good in distance. What else must be true of a run that dominates i? N is small, so a loop is fine.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Without a loop: `distance[:, None]` and `distance[None, :]` compare every run with every other, in a table [N, N]. Along which axis do you take `.any(...)`?
# </details>


# %% exercise="frontier"
def frontier(distance: Tensor, agreement: Tensor) -> Tensor:
    """Return which runs no other run dominates (low distance and high agreement are good): bool [N], in the order given."""
    ### BEGIN SOLUTION
    nearer, agreeing = distance[None, :] <= distance[:, None], agreement[None, :] >= agreement[:, None]
    better = (distance[None, :] < distance[:, None]) | (agreement[None, :] > agreement[:, None])
    return ~(nearer & agreeing & better).any(dim=1)
    ### END SOLUTION


# %% check="frontier"
not_dominated = hw5.frontier.check(frontier)

# %% [markdown]
# **At work.** We return to chapter 5's plane with two classes, and to a network that sees the classes a little blurred. Your `cfg` guides it in three ways: away from the unconditional network, the same but only where σ/α lies in (0.3, 1.5] (by your `interval_scale`), and away from a network that sees the classes even more blurred (autoguidance).
# Nothing is sampled at random: the density that each run samples from is computed. *Distance* is the percentage of this density's mass that is in the wrong place (the total variation from the class's density), *agreement* the probability that a perfect classifier gives to the class, averaged over this density; the classes overlap, so the agreement of the class itself, the last row of the table, is below 100 %, and a run above it avoids the points that could be of either class. Before you look: is the run without guidance on the frontier?

# %%
*runs, ideal = demos.evaluate_methods(guide, scale_in_interval)
distance, agreement = torch.tensor([[run.distance for run in runs], [run.agreement for run in runs]])
on_frontier = not_dominated(distance, agreement)
rows = [[run.method, f"{run.scale:g}", f"{run.distance:.0%}", f"{run.agreement:.1%}", "yes" if chosen else ""] for run, chosen in zip(runs, on_frontier, strict=True)]
rows.append([ideal.method, "", f"{ideal.distance:.0%}", f"{ideal.agreement:.1%}", "cannot be reached"])
claims.table(["guidance", "scale", "distance", "agreement", "on the frontier"], rows)

# %%
panels = viz.Panels(1, 7.0, 4.0)
by_method = {run.method: [other for other in runs if other.method == run.method] for run in runs}
curves = {method: ([100 * r.distance for r in rs], [100 * r.agreement for r in rs]) for method, rs in by_method.items()}
viz.draw_lines(panels[0], curves, xlabel="distance: mass in the wrong place (%)", ylabel="agreement: of the wanted class (%)")
order = distance[on_frontier].argsort()
x, y = 100 * distance[on_frontier][order], 100 * agreement[on_frontier][order]
panels[0].plot(x, y, color="black", linewidth=7, alpha=0.15, zorder=0)
panels.picture(demos.ALT["frontier"])

# %% [markdown]
# ## 7 · A choice, in words
#
# [[choice]]
#
# Read the table and the figure above; argue from their numbers. (a) A shop generates *one* image for each order, and every image of the wrong thing is returned. (b) A laboratory generates a million images to train a classifier on them, in addition to real ones. Which run would you
# choose for each, and why? Name a run on the frontier that you would choose for neither, and say why. And name one thing that these two numbers do not show, and that you would look at before you decide. Six sentences are enough. Points: 1½ each for (a) and (b), most of it for the reason; 1 for the run that you would choose for neither; 1 for what is not shown.

# %% [markdown] written="choice"
# ### BEGIN SOLUTION
# **Model answer.** (a) The shop pays for wrong images and not for lost variety: it moves up the frontier until agreement hardly rises any more, to guidance in an interval at 5 (or plain guidance at 3), where more than 98 % are right. Plain guidance at 5 buys one
# percent more for a quarter of the mass: the price is that the images look alike and exaggerated. (b) The laboratory needs the data's own distribution: the least distance, autoguidance at 1.5. The gap to full agreement is not all error: even of the
# true class a perfect classifier assigns only some 85 % to it, since the classes overlap, and a training set without these hard cases teaches a wrong decision boundary. For neither: plain guidance at 5 (or autoguidance at 2, or the interval at 1.5: neither near nor reliable). Not shown: variety for one
# and the same prompt (recall), what the images look like (contrast, clipped colours), which cases are lost, or the cost: every method calls a second network, the interval only at some levels.
#
# **Rubric, 5 points.** (a) 1½: half for a run of high agreement *on the frontier*, 1 for a reason from what a wrong image costs (half if it only says "highest agreement"). (b) 1½: half for the run of least distance, 1 for a reason from the distribution: training on guided samples loses the rare and the ambiguous cases (half if it only says "nearest to the
# data"). For neither, 1: half for a run on the frontier, half for why (its neighbour is nearly as good in one number and much better in the other). Not shown, 1: half for the thing (variety for one prompt, contrast or clipping, cost, error bars or seeds), half for why it matters to the shop or to the laboratory.
#
# **Half right, 2½ points.** "(a) Plain guidance at 5, it has the highest agreement (1). (b) Autoguidance at 1.5, it is nearest to the data (1). For neither: no guidance, it is worse in both (0: not on the frontier). The numbers do not show how the images look (½)."
#
# **Wrong answers to expect.** "(b) The run with the highest agreement, since labels must be right": the class itself has only 85 %. "(a) Autoguidance at 3": dominated. "The class itself": it cannot be reached. "The frontier is the best choice for everybody": it only removes bad choices.
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw5.summary(cfg, to_guidance_scale, classifier_guided, interval_scale, rescaled, frontier)

# %% [markdown] teacher="exam"
# ## For teachers: on paper, and two minutes each on the student's own code
#
# **On paper.**
#
# 1. *From Bayes' rule and Tweedie's formula, derive $\hat x_0 + s\,\tfrac{\sigma^2}{\alpha}\nabla \log p(y \mid x_t)$.* $\nabla\log p(x_t \mid y) = \nabla\log p(x_t) + \nabla\log p(y \mid x_t)$, and $\hat x_0 = (x_t + \sigma^2\,\nabla\log p(x_t))/\alpha$ turns a change $g$ of the score into a change $\tfrac{\sigma^2}{\alpha}\,g$ of $\hat x_0$; $s = 1$ is Bayes' rule. Shows: where the factor comes from.
# 2. *Which number means "no guidance" in Ho & Salimans, Imagen and GLIDE, and which gives the unconditional prediction?* 0, 1, 1; and -1, 0, 0. Shows: a number without its convention says nothing.
# 3. *Runs (distance, agreement in %): A (10, 80), B (20, 90), C (20, 85), D (60, 90.1), E (10, 80). Which are on the frontier, and which of these is useless?* A, B, D, E: B dominates C; A and E are equal and do not dominate each other. D: 40 points of distance for a tenth of agreement. Shows: "not dominated" is not "good".
#
# **Oral.**
#
# 1. *`classifier_guided`: take the `.sum()` out. What happens, and why is the sum right?* `grad` refuses more than one number (for B = 1 it passes). Each image's `log_prob` depends on that image alone, so the gradient of the sum holds every image's own; a mean would divide by B. Shows: what autograd differentiates.
# 2. *`cfg`: what do scales 0.5 and -1 give, and what does any scale give where `cond` equals `null`?* Half way; as far from `null` as `cond`, on the other side; that same prediction. Shows: a line through two points.
# 3. *`rescaled`: cond has std 1 and guided has std 2. What is the std at φ = 0.7, and is the result `cond` at φ = 1?* $2\,(0.7 \cdot \tfrac12 + 0.3) = 1.3$. No: it is guided times a number, with the std of cond and the pattern of guided. Shows: what is rescaled, and what not.
