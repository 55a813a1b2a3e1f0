# %% [markdown]
# # Homework 5 · Guidance
#
# > Write the line that steers a generator, the four that go with it, and the one that tells which way of steering is worth its price.
#
# You need chapter 5. Each exercise below has a cell for your function, a check, and a figure in which your function works. A check tells what it got, what it
# expected and what probably went wrong; ask it as often as you like. An exercise left blank stops nothing: the cells after it then use the workbook's own
# block, and say so.
#
# [[contents]]
#
# Everything happens on predictions of the clean latent, $\hat x_0$, and never on the predicted noise. `alpha` and `sigma` are the rates of $x_t = \alpha\,x_0 + \sigma\,\varepsilon$. `B` is the batch, axis 0 of every tensor.

# %%
import math

import torch
from torch import Tensor

from course_lib import device
from course_lib.notebook import claims, viz
from course_lib.homework.demos import hw5 as at_work
from course_lib.homework.checks import hw5

print(device.find())

# %% [markdown]
# ## 1 · The line
#
# [[cfg]]
#
# The network predicts the clean latent twice: once it is told what is wanted (`cond`), once it is told nothing (`null`). Guidance walks from `null` to `cond`, and on, `scale` times as far
# (Ho & Salimans 2022, in the convention of the workbook):
#
# - scale 0 gives `null`,
# - scale 1 gives `cond`: no guidance,
# - scale 3 goes three times as far as `cond` from `null`, in the same direction.
#
# | argument | shape | what it is |
# |---|---|---|
# | `cond`, `null` | [B, C, h, w] | the two predictions $\hat x_0$, in latent units |
# | `scale` | a float | any number, also below 1 |
# | returns | [B, C, h, w] | the guided $\hat x_0$ |
#
# Somebody may want to train through it, so let gradients pass to both predictions.
#
# <details><summary>Hint 1</summary>
#
# A walk: where does it start, in which direction does it go (a difference of two tensors), and how far?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Test your formula on paper at scale 0 and at scale 1.
# </details>


# %% exercise="cfg"
def cfg(cond: Tensor, null: Tensor, scale: float) -> Tensor:
    """The guided prediction: null at scale 0, cond at scale 1, beyond cond above 1."""
    ### BEGIN SOLUTION
    return null + scale * (cond - null)
    ### END SOLUTION


# %% check="cfg"
mix = hw5.cfg.check(cfg)

# %% [markdown]
# **At work.** Your line steers the workbook's teddies: "two pink teddy bears with a green scarf reading", three times from the same noise. Before you look: what does scale 0 draw? And is scale 8 better than 3?

# %%
viz.rows(at_work.teddies_at(mix, (0.0, 1.0, 3.0, 8.0)), scale=1, alt=at_work.ALT["cfg"])

# %% [markdown]
# The same line with another `null` is another method: put a *bad* version of the network in its place, told the same wish, and it is autoguidance (Karras et al. 2024). You will meet it in exercise 6.
#
# ## 2 · Which number means no guidance?
#
# [[to_guidance_scale]]
#
# Three papers, three ways to write the same line, each with a number that is called guidance weight or scale:
#
# | `convention` | the guided prediction | where |
# |---|---|---|
# | `"ho-salimans"` | $(1 + w)\,\text{cond} - w\,\text{null}$ | Ho & Salimans 2022, eq. 6 |
# | `"imagen"` | $w\,\text{cond} + (1 - w)\,\text{null}$ | Saharia et al. 2022, eq. 2 |
# | `"glide"` | $\text{null} + s\,(\text{cond} - \text{null})$ | Nichol et al. 2021, section 2.3 |
#
# (They write it for the predicted noise. It is the same line for $\hat x_0$: both are linear in one another.) Convert each paper's number to the workbook's `guidance_scale`, that of exercise 1.
#
# | argument | type | what it is |
# |---|---|---|
# | `value` | a float | the number that the paper gives |
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
# Write out exercise 1's line as a multiple of `cond` plus a multiple of `null`. The multiple of `cond` is the scale: read it off the others' formulas, too.
# </details>


# %% exercise="to_guidance_scale"
def to_guidance_scale(value: float, convention: str) -> float:
    """The guidance_scale (1 = none) that does what value does in the convention "ho-salimans", "imagen" or "glide"."""
    ### BEGIN SOLUTION
    if convention == "ho-salimans":
        return 1 + value
    if convention in ("imagen", "glide"):
        return value
    raise ValueError(f"{convention!r} is no convention that is known here: ho-salimans, imagen or glide.")
    ### END SOLUTION


# %% check="to_guidance_scale"
converted = hw5.to_guidance_scale.check(to_guidance_scale)

# %% [markdown]
# **At work.** Two numbers out of three papers, converted by you, and 32 wishes drawn with each. A judge reads the pictures: are all five factors of the wish there (count, fur, activity, scarf, background)? *Clipped* is the share of numbers at
# an end of the pixels' range. Before you look: which rows will be equal?

# %%
rows = at_work.conventions(mix, converted, (0.0, 2.0))
claims.table(["value", "convention", "guidance_scale", "wishes followed", "clipped"], rows)

# %% [markdown]
# <details><summary><b>So what does guidance buy?</b></summary>
#
# Compare the row of scale 0 with that of scale 1, which is no guidance. These wishes are easy for this network: told what is wanted, it hardly needs to be pushed. What a larger scale buys here are clearer pictures, for more clipped numbers; exercise 4 shows what too large a scale costs.
# </details>

# %% [markdown]
# ## 3 · A classifier takes the wheel
#
# [[classifier_guided]]
#
# Before there was exercise 1's line, a second network steered: a classifier that reads noisy latents and tells $\log p(y \mid x_t)$ (Dhariwal & Nichol 2021). By Bayes' rule its gradient is added to
# the score, and Tweedie's formula turns that into a move of $\hat x_0$:
#
# $$\hat x_0 \;+\; s\,\frac{\sigma^2}{\alpha}\,\nabla_{x_t} \log p(y \mid x_t).$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `x_t` | [B, C, h, w] | the noisy latents |
# | `x0_hat` | [B, C, h, w] | what an unguided network predicts for them, already computed |
# | `alpha`, `sigma` | floats | of this level, `alpha` > 0 |
# | `log_prob` | a function | `log_prob(x)` takes [B, C, h, w], gives $\log p(y \mid x)$, [B], and can be differentiated |
# | `scale` | a float | $s$: here 0 is off, and 1 is Bayes' rule |
# | returns | [B, C, h, w] | the guided $\hat x_0$ |
#
# What calls your function has switched gradients on; in a library of your own you would do that yourself, for samplers run under `torch.no_grad()`.
#
# <details><summary>Hint 1</summary>
#
# `torch.autograd.grad(number, x)` gives a tuple with the gradient of one number. `x` must ask for it (`requires_grad_`), and the number must be computed from that same `x`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `log_prob` gives B numbers, one for each picture, and none depends on another's picture. Of which *one* number is the gradient for each picture just its own?
# </details>


# %% exercise="classifier_guided"
def classifier_guided(x_t: Tensor, x0_hat: Tensor, alpha: float, sigma: float, log_prob, scale: float) -> Tensor:
    """x0_hat moved by scale · sigma² / alpha · the gradient of log_prob at x_t."""
    ### BEGIN SOLUTION
    x = x_t.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(log_prob(x).sum(), x)
    return x0_hat + scale * sigma**2 / alpha * gradient
    ### END SOLUTION


# %% check="classifier_guided"
steer = hw5.classifier_guided.check(classifier_guided)

# %% [markdown]
# **At work.** The teddies' network is told *nothing* here. A small classifier learns to read fur colours from noisy latents, in a few seconds, and your function steers by it to pink; of 32 pictures the judge counts the pink ones. Before you look: besides the colour, what will
# change?

# %%
viz.rows(at_work.steered(steer, (0.0, 1.0, 10.0)), scale=1, alt=at_work.ALT["classifier_guided"])

# %% [markdown]
# ## 4 · Only where it helps
#
# [[interval_scale]]
#
# Guidance need not be on all the way. Kynkäänniemi et al. (2024, eq. 6) use it only where the noise lies in an interval, and none elsewhere. Noise is measured in *noise over signal*, $\sigma / \alpha$, which is what they call $\sigma$:
#
# $$\text{scale if } \text{lo} < \sigma / \alpha \le \text{hi, else } 1.$$
#
# | argument | type | what it is |
# |---|---|---|
# | `scale` | a float | the guidance scale inside |
# | `alpha`, `sigma` | floats | of this level, `alpha` > 0 |
# | `lo`, `hi` | floats | bounds of noise over signal; `hi` may be infinite |
# | returns | a float | the scale to be used at this level |
#
# <details><summary>Hint</summary>
#
# Python understands `a < b <= c`. And mind what means "no guidance" in this convention.
# </details>


# %% exercise="interval_scale"
def interval_scale(scale: float, alpha: float, sigma: float, lo: float, hi: float) -> float:
    """scale at levels whose noise over signal lies in (lo, hi], else 1, which is no guidance."""
    ### BEGIN SOLUTION
    return scale if lo < sigma / alpha <= hi else 1.0
    ### END SOLUTION


# %% check="interval_scale"
inside = hw5.interval_scale.check(interval_scale)

# %% [markdown]
# **At work.** Scale 8 once more: nowhere, at all levels, and in three intervals only. A walk begins with high noise and ends with low noise. Before you look: which interval clips most? Which loses most wishes, compared with no guidance at all?

# %%
limited = at_work.intervals(mix, inside, 8.0)
ends = ["–" if lo == hi else f"({lo:g}, {hi:g}]" for lo, hi in at_work.INTERVALS.values()]
rows = [[name, end, *one.shares] for end, (name, one) in zip(ends, limited.items(), strict=True)]
claims.table(["guidance at", "noise over signal", "wishes followed", "clipped"], rows, title="32 wishes at scale 8")

# %%
shown = {name: limited[name].pictures for name in ("all levels", "high noise", "middle", "low noise")}
viz.rows(shown, scale=1, alt=at_work.ALT["interval_scale"])

# %% [markdown]
# ## 5 · Too much contrast
#
# [[rescaled]]
#
# A large scale pushes $\hat x_0$ so far out that colours run into the ends of their range. Lin et al. (2023) bring the guided prediction back to the standard deviation of the conditional one, and mix that with what it was:
#
# $$x_\text{rescaled} = \text{guided} \cdot \frac{\operatorname{std}(\text{cond})}{\operatorname{std}(\text{guided})} \quad (15), \qquad
# x_\text{final} = \phi\, x_\text{rescaled} + (1 - \phi)\,\text{guided} \quad (16).$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `guided` | [B, C, h, w] | the guided $\hat x_0$ |
# | `cond` | [B, C, h, w] | the conditional one |
# | `rescale` | a float in 0…1 | $\phi$; 0 is off |
# | returns | [B, C, h, w] | $x_\text{final}$ |
#
# A standard deviation is taken over all the numbers *of one picture*: its channels, rows and columns together.
#
# <details><summary>Hint 1</summary>
#
# `x.std(dim=(1, 2, 3), keepdim=True)` has the shape [B, 1, 1, 1], which multiplies [B, C, h, w].
# </details>
#
# <details><summary>Hint 2</summary>
#
# What must come out at `rescale` 0, and what at 1?
# </details>


# %% exercise="rescaled"
def rescaled(guided: Tensor, cond: Tensor, rescale: float) -> Tensor:
    """guided, brought a share rescale of the way to cond's standard deviation, picture by picture."""
    ### BEGIN SOLUTION
    ratio = cond.std(dim=(1, 2, 3), keepdim=True) / guided.std(dim=(1, 2, 3), keepdim=True)
    return rescale * (guided * ratio) + (1 - rescale) * guided
    ### END SOLUTION


# %% check="rescaled"
calm = hw5.rescaled.check(rescaled)

# %% [markdown]
# **At work.** Scale 8 at all levels, rescaled by you at every step. The last row of the table is the data. Before you look: it mends the contrast. Does it mend the wishes that were lost? Judge by the table: three pictures are few.

# %%
mended = {f"rescale {share:g}": at_work.report(mix, 8.0, calm, share) for share in (0.0, 0.7, 1.0)}
rows = [[name, *one.shares] for name, one in mended.items()] + [["the data", "", f"{at_work.clipped(at_work.renders()):.1%}"]]
claims.table(["at scale 8", "wishes followed", "clipped"], rows)

# %%
viz.rows({name: one.pictures for name, one in mended.items()}, scale=1, alt=at_work.ALT["rescaled"])

# %% [markdown]
# ## 6 · What is worth its price
#
# [[frontier]]
#
# Several ways to guide, several scales each: every run gives two numbers. `distance` tells how far the samples are from the data (low is good), `agreement` in how many of them one gets what was asked for (high is good). A run is *dominated* if another is
# **at least as good in both and better in at least one**. What is not dominated is the frontier: only there is a choice to be made.
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
# First for one run i: `distance <= distance[i]` tells which runs are at least as good in distance. What else must hold of a run that dominates i? N is small, a loop is fine.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Without a loop: `distance[:, None]` and `distance[None, :]` compare every run with every other, in a table [N, N]. Which axis do you ask with `.any(...)`?
# </details>


# %% exercise="frontier"
def frontier(distance: Tensor, agreement: Tensor) -> Tensor:
    """Which runs are dominated by no other (low distance and high agreement are good): bool [N], in the order given."""
    ### BEGIN SOLUTION
    nearer, agreeing = distance[None, :] <= distance[:, None], agreement[None, :] >= agreement[:, None]
    better = (distance[None, :] < distance[:, None]) | (agreement[None, :] > agreement[:, None])
    return ~(nearer & agreeing & better).any(dim=1)
    ### END SOLUTION


# %% check="frontier"
best = hw5.frontier.check(frontier)

# %% [markdown]
# **At work.** Chapter 5's plane with two classes, and a network that sees them a little blurred. Your `cfg` guides it in three ways: away from the unconditional network, the same in your interval only, and away from a network that is blurred still more (autoguidance).
# Nothing is drawn at random: the density that each run samples is computed. *Distance* is the share of its mass that lies elsewhere than the class's, *agreement* the share that a perfect classifier takes for the class; the classes overlap, so not even the class itself, the last row of the table, agrees with it wholly. Before you look: is the run without guidance on the frontier?

# %%
*runs, ideal = at_work.runs(mix, inside)
distance, agreement = torch.tensor([[run.distance for run in runs], [run.agreement for run in runs]])
kept = best(distance, agreement)
rows = [
    [r.kind, f"{r.scale:g}", f"{r.distance:.0%}", f"{r.agreement:.1%}", "yes" if k else ""]
    for r, k in zip(runs, kept, strict=True)
]
rows.append([ideal.kind, "", f"{ideal.distance:.0%}", f"{ideal.agreement:.1%}", "cannot be reached"])
claims.table(["guidance", "scale", "distance", "agreement", "on the frontier"], rows)

# %%
panels = viz.Panels(1, 7.0, 4.0)
kinds = {run.kind: [r for r in runs if r.kind == run.kind] for run in runs}
curves = {kind: ([100 * r.distance for r in rs], [100 * r.agreement for r in rs]) for kind, rs in kinds.items()}
viz.draw_lines(panels[0], curves, xlabel="distance: mass that lies elsewhere (%)", ylabel="agreement: of the wanted class (%)")
along = distance[kept].argsort()
panels[0].plot(100 * distance[kept][along], 100 * agreement[kept][along], color="black", linewidth=7, alpha=0.15, zorder=0)
panels.picture(at_work.ALT["frontier"])

# %% [markdown]
# ## 7 · A choice, in words
#
# [[choice]]
#
# Read the table and the picture above. (a) A shop draws *one* picture for each order, and every picture of the wrong thing comes back. (b) A laboratory draws a million pictures to train a classifier on them, beside real ones. Which run would you
# choose for each, and why? Name a run on the frontier that you would choose for neither, and say why. And name one thing that these two numbers do not show you, and that you would look at before you decide. Six sentences are enough.

# %% [markdown] written="choice"
# ### BEGIN SOLUTION
# **Model answer.** (a) The shop pays for wrong pictures and not for lost variety: it goes up the frontier until agreement hardly rises any more, to guidance in an interval at 5 (or plain guidance at 3), where more than 98 % are right. Plain guidance at 5 buys one
# percent more for a quarter of the mass: for that the pictures must look alike and exaggerated. (b) The laboratory wants the data's own distribution: the least distance, autoguidance at 1.5. What is missing to a full agreement there is not all error: even of the
# true class a perfect classifier takes only some 85 % for it, since the classes overlap, and a training set without these hard cases teaches a wrong border. For neither: plain guidance at 5 (or autoguidance at 2, or the interval at 1.5: neither near nor sure). Not shown: variety for one
# and the same wish (recall), what the pictures look like (contrast, clipped colours), which cases are lost, or the cost: every kind asks a second network, the interval only at some levels.
#
# **Rubric, 3 points.** 1 for (a) with a run of high agreement *on the frontier* and a reason out of the costs of a wrong picture. 1 for (b) with the run of least distance (or close to it) and a reason out of the distribution: training on guided samples loses the rare and the
# doubtful cases. 1 for a run that nobody should choose, with its reason, *and* something that is not shown (variety or recall, contrast, cost, error bars or seeds). Half a point off where a dominated run is chosen.
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw5.summary(cfg, to_guidance_scale, classifier_guided, interval_scale, rescaled, frontier)
