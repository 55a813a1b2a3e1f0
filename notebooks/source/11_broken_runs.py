# %% [markdown]
# # 11 · Further reading: six broken runs
#
# > A diffusion model seldom crashes: it draws something. How do you find the part that is broken?
#
# What it draws is grey, or of the wrong class, or nearly as good as it could be, and the training log looks fine. So do not stare at the images: **measure at the joints between the
# parts**, where you know what should pass through. Here are six broken runs, and six probes that distinguish them.
#
# **After this notebook you can**
#
# - write two probes, one for the sampler and one for the network, and say what a healthy run reads;
# - recognise six well-known faults, three of which hardly show in the images;
# - say how small a fault a probe can detect, and what no probe of yours looks at.
#
# **You need** the denoiser and the sampler of chapter 4 and the guidance of chapter 5. Their networks are loaded (or trained, three minutes).

# %%
import math
from dataclasses import replace

import torch
from IPython.display import display
from torch.nn import functional as F  # noqa: F401 (your functions may use it)

from course_lib import data, device, recipes
from course_lib.experiments.ch5_guidance import failure_modes, run_report
from course_lib.experiments.evaluator import Evaluator
from course_lib.homework.checks.ch11 import ch11
from course_lib.images import to_float
from course_lib.notebook import claims, explore, guess, viz

machine = device.find()
print(machine)
book = claims.Claims("11 Six broken runs")

# %% [markdown]
# ## Seven runs
#
# All have the same noise, 20 steps of DPM-Solver++ and guidance scale 2, and draw the ten classes in the same order. In each of A to F **one part is wrong**.

# %% tags=["hide-input"]
healthy = failure_modes.healthy(machine)
runs = {"healthy": healthy, **{letter: failure_modes.inject_fault(healthy, letter) for letter in failure_modes.LETTERS}}
viz.rows(
    {name: run.images() for name, run in runs.items()},
    scale=2,
    titles=list(data.FASHION_CLASSES),
    alt="Ten Fashion-MNIST images, one of each class, by a healthy run and by the runs A to F from the same noise. Three of the six look nearly healthy.",
)

# %% [markdown]
# The six faults, in alphabetical order. Each has been made by people who knew what they were doing:
#
# - **EMA never updated**: the images come from the moving average of the weights, which still holds the weights from before the first step;
# - **latents not scaled before decoding**: the sampler works with latents of unit variance, the decoder expects them as the encoder made them;
# - **t is off by one grid step**: at each level, the network is given the timestep of the *next* level;
# - **the last step is too large**: the list of noise levels is cut short, so the last step leads from halfway straight to clean data;
# - **the terms of guidance are swapped**: $\text{main} + w\,(\text{ref} - \text{main})$;
# - **the wrong null label**: the unconditional prediction is made with the label of an ordinary class.
#
# (In all runs the VAE's latents are rescaled to a standard deviation of 5.5, that of Stable Diffusion's latents. The healthy images stay the same.)
#
# **Predict.** Which run has which fault? Guess by eye now; you can change your mind after you have measured.

# %%
guesses = {letter: guess.choice(f"run {letter}", failure_modes.FAULTS) for letter in failure_modes.LETTERS}
display(*guesses.values())

# %% [markdown]
# ## Where to measure
#
# A run is a chain of parts, and each joint has something that you know *before* you look at an image:
#
# | joint | what you know | in the code (`Run`) |
# |---|---|---|
# | data → network | noise that you added yourself, so you know the right answer | `net` |
# | sampler → network | which $t$ belongs to that noise | `reported_timestep` |
# | the sampler's own steps | the levels it should visit, and about how far each step leads | `levels` |
# | two predictions → guidance | at scale 0 the class is ignored; from there the agreement rises | `guide` |
# | null label → guidance | scale 0 should draw a bit of every class | `null_label` |
# | sampler → decoder | mean and standard deviation of what the encoder made | `codec` |
#
# ## The first probe: how far does each step lead?
#
# A sampler returns only its last state. A callback gives all of them: a trajectory of $S + 1$ states. Return the root-mean-square change of each step, over everything but the step.


# %%
def step_sizes(trajectory):
    """Return the size [S] of each step of a trajectory [S + 1, B, C, h, w]: the root of the mean squared change."""
    raise NotImplementedError  # two lines


# %%
step_sizes = ch11.step_sizes.check(step_sizes)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# change = trajectory.diff(dim=0)
# return change.square().flatten(1).mean(1).sqrt()
# ```
# </details>
#
# ## The second probe: does the network know the noise?
#
# Add noise to clean latents yourself, $x_t = \alpha x_0 + \sigma\epsilon$, and compare the network's output with $v = \alpha\epsilon - \sigma x_0$. Note that $\alpha$ and $\sigma$ say which noise *is* there,
# $t$ which timestep the network *is given*. In a healthy run they belong together.
#
# **Predict.** Data and noise have unit variance. What is this error for a network that always outputs 0?

# %%
nothing = guess.number("mean squared error in v of a network that outputs 0")
nothing


# %%
def denoising_error(net, x0, y, eps, alpha, sigma, t):
    """Return the mean squared error in v, a scalar; net(x_t, t, y) → v_hat; x0, eps [B, C, h, w]; alpha, sigma: floats; t, y: [B]."""
    raise NotImplementedError  # three lines


# %%
denoising_error = ch11.denoising_error.check(denoising_error)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# x_t = alpha * x0 + sigma * eps
# v = alpha * eps - sigma * x0
# return (net(x_t, t, y) - v).square().mean()
# ```
# </details>
#
# ## What a healthy run reads
#
# Both probes on the healthy run, at guidance scales 1 and 2.

# %% tags=["hide-input"]
evaluator = Evaluator(machine)
latent_codec = recipes.load_codec("fashion-vae", machine)
x0, y = latent_codec.encode(to_float(evaluator.images[:300])), evaluator.labels[:300]

# %% tags=["hide-output"]
ts = [level.t for level in healthy.levels[:-1]]
errors = torch.tensor([failure_modes.denoising_error(healthy, x0, y, t, measure=denoising_error) for t in ts])
measured = {scale: step_sizes(failure_modes.sample_latents(healthy, scale).trajectory).cpu() for scale in (1.0, 2.0)}
expected = math.pi / 40 * (1 - errors).sqrt()
zero = failure_modes.denoising_error(replace(healthy, net=lambda x_t, t, y: torch.zeros_like(x_t)), x0, y, measure=denoising_error)
nothing.compare(zero)

# %% tags=["hide-input", "hide-output"]
panels = viz.Panels(2)
viz.draw_lines(panels[0], {"": (ts, errors)}, references={"a network that outputs 0": zero}, xlabel="timestep t", ylabel="error in v")
panels[0].set(ylim=(0, 1.15))
curves = {f"measured, scale {scale:g}": (range(1, 21), sizes) for scale, sizes in measured.items()}
viz.draw_lines(panels[1], {**curves, "expected from the error": (range(1, 21), expected)}, xlabel="sampling step", ylabel="size of the step")
panels[1].set(ylim=(0, 0.1))
off = (measured[1.0] / expected - 1).abs()[:18].max()
book.claim("Without guidance the first 18 steps are as long as the network's error says: largest deviation", 100 * off, at_most=15, unit="%")
panels.picture(
    "Left: the error in v over t, lowest in the middle, about 0.4. Right: size of 20 steps; at scale 1 as the error predicts, at scale 2 the first ones are longer."
)

# %% [markdown]
# <details><summary><b>Answer, and how to read the two plots</b></summary>
#
# The network that outputs 0 has an error of 1, the variance of $v$. The healthy one is best in the middle. At the ends there is little to know: almost pure noise says little about $x_0$, and almost no noise says little about $\epsilon$.
#
# The two probes check each other. The cosine schedule turns $x_t$ by the same angle in each of the 20 steps, $\pi/40$, in the direction of $\hat v$. A network that knew $v$ would move it by $\pi/40 = 0.079$. Ours can only predict the mean of $v$, and moves it by
# $\pi/40 \cdot \sqrt{1 - \text{error}}$. Why the root? The error $v - \hat v$ of a conditional mean is uncorrelated with it, so variances add: $1 = \mathbb E\,v^2 = \mathbb E\,\hat v^2 + \text{error}$. At scale 1 that is what the sampler does, except in the last two steps (a likely reason: there the error changes much within one step).
# Guidance makes the first steps longer: it acts while the noise is high.
# </details>
#
# ## All probes, on each run
#
# Move the slider. Blue is the healthy run, orange the broken one. *Upper row*: the error in $v$; the error at $t = 300$ when the given $t$ is shifted (lowest at 0 if the right $t$ is given); the size of each step. *Lower row*: the fraction of 100 samples of the
# right class; what is drawn at guidance scale 0; the standard deviation of what the decoder gets, over that of encoded images. A classifier reads all samples after decoding by the *healthy* decoder.

# %% tags=["hide-input"]
by_eye = {letter: one.value for letter, one in guesses.items()}
known = (evaluator, evaluator.images[:500], x0, y)
reports = {name: run_report.measure(run, *known, step_sizes, denoising_error) for name, run in runs.items()}


def compare(run: str) -> tuple:
    return run_report.draw(run, reports[run], reports["healthy"])


explore.sliders(
    compare, alt="The images of the chosen run under those of the healthy run, and six small plots of what the probes read on both.", run=list(failure_modes.LETTERS)
)

# %% [markdown]
# **Predict again.** The same six fields: correct your guesses, then run the cell below them.

# %%
display(*guesses.values())

# %% tags=["hide-input", "hide-output"]
normal = reports["healthy"].readings
verdicts = {letter: failure_modes.name_fault(reports[letter].readings, normal) for letter in failure_modes.LETTERS}
for letter, one in guesses.items():
    print(f"run {letter}", end=" · ")
    one.compare(verdicts[letter])
right = [sum(values[letter] == verdicts[letter] for letter in verdicts) for values in (by_eye, {letter: one.value for letter, one in guesses.items()})]
print(f"right by eye: {right[0]} of 6; after measuring: {right[1]} of 6")

# %% [markdown]
# The verdicts come from the readings alone, by six rules such as "error above 1.3 times the healthy one". Their thresholds were set on these runs; two other seeds (new noise, the same networks) test them below. Each run, its symptom, its fix, and where it has been seen:
#
# <details><summary><b>Run A</b></summary>
#
# **The last step is too large.** The trajectory is the healthy one until noise and signal are equally strong ($t = 500$), and from there it jumps to $\hat x_0$: the mean of all images that still fit. A mean has less spread, so the standard deviation at the decoder is lower than the
# healthy one; compared with 1 alone you would have missed it. The classifier does not notice; a likely reason is that means are typical of their class. *Fix:* print the levels that the sampler visits, not the number of steps you asked for. *Seen:* with 26 steps, a scheduler of diffusers visited
# t = 999, 979, … 499 and then jumped ([issue 5815](https://github.com/huggingface/diffusers/issues/5815)).
# </details>
#
# <details><summary><b>Run B</b></summary>
#
# **t is off by one grid step.** The error is lowest when you *add* 50 to the given $t$. The error itself is only a few per cent too high, and neither eye nor classifier notices. The last steps are shorter than the healthy ones, which says that something is wrong; only the shifted error says what.
# *Fix:* test the sampler on a denoiser that is known exactly, as in chapter 4. *Seen:* with five steps, a scheduler gave the network t = 800, 600, … 0 where 1000, 800, … 200 was meant
# ([diffusers, issue 5921](https://github.com/huggingface/diffusers/issues/5921); Lin et al. 2023).
# </details>
#
# <details><summary><b>Run C</b></summary>
#
# **Latents not scaled before decoding.** Everything is healthy until the decoder, which gets latents a fifth as large as in its training, and draws something near the mean image. Chapter 3's own latents have a standard deviation near 1, so they would have hidden the fault. *Fix:* let one object own both directions, as our codec does, and measure what enters the decoder.
# *Seen:* in diffusers' unconditional latent pipeline ([issue 5166](https://github.com/huggingface/diffusers/issues/5166)).
# </details>
#
# <details><summary><b>Run D</b></summary>
#
# **EMA never updated.** The training log was fine: it shows the network that was trained. But the images come from the average. At the start the last layer is zero, so $\hat v \approx 0$, the error is 1 and $x_t$ stands still: what is decoded is the noise it started from. The standard deviation of its latents is 1, as of encoded images: read alone, that probe
# would pass it. *Fix:* compare the loss of the average with that of the last weights, once, early. *Seen:* in diffusers' training script for SDXL ([issue 5783](https://github.com/huggingface/diffusers/issues/5783)).
# </details>
#
# <details><summary><b>Run E</b></summary>
#
# **The wrong null label.** It is 0, which means T-shirt. At scale 0 the run draws T-shirts, where it should draw a bit of everything. So T-shirts are not guided at all, and every other class is pushed away from T-shirts only. The fraction of the right class is as high as ever. *Fix:* sample at scale 0, and look.
# *Seen:* "no class" is a convention: label 1000 in latent-diffusion's ImageNet model ([issue 116](https://github.com/CompVis/latent-diffusion/issues/116)), zeros or the empty text elsewhere. A reader of TangoFlux's code found one convention in training and another in sampling ([issue 28](https://github.com/declare-lab/TangoFlux/issues/28)).
# </details>
#
# <details><summary><b>Run F</b></summary>
#
# **The terms of guidance are swapped.** The run obeys the label at scale 0, and at scale 2 less often than chance. The images are good, but not of what you asked for, so a look at their quality does not find it. *Fix:* turn the scale up and see which way the agreement goes.
# *Seen:* both predictions come in one batch, the conditional one first in DiT and last in diffusers. OneTrainer had opposite orders for the two text encoders of SDXL ([issue 775](https://github.com/Nerogar/OneTrainer/issues/775)).
# </details>
#
# ## One table
#
# Six probes, seven runs. The last row shows how much the readings of the *healthy* run vary over three seeds: a smaller difference is no symptom.

# %% tags=["hide-input", "hide-output"]
by_seed = {0: {name: one.readings for name, one in reports.items()}}
for seed in (1, 2):
    by_seed[seed] = {name: failure_modes.diagnose(replace(run, seed=seed), *known, step_sizes, denoising_error) for name, run in runs.items()}
spread = [[one["healthy"][probe] for one in by_seed.values()] for probe in normal]
claims.table(
    ["run", *normal],
    [[name, *one.values()] for name, one in by_seed[0].items()] + [["healthy, 3 seeds", *(f"{min(values):.3g} … {max(values):.3g}" for values in spread)]],
)

# %% [markdown]
# <details><summary><b>How to read it</b></summary>
#
# **By columns.** In each column one run is furthest from the healthy one, and it is a different run in each column. Rows mislead, because most faults show in several columns (D's in nearly all). Where several probes respond, start at the network and end at the decoder: if the network has
# learned nothing, no later probe means anything. A, B and E draw the right class as often as the healthy run, and so does C if a healthy decoder reads its latents: a test that only counts right classes would let them pass.
# </details>

# %% tags=["hide-input"]
named = {(seed, name): failure_modes.name_fault(one, by_seed[seed]["healthy"]) for seed, rows in by_seed.items() for name, one in rows.items()}
correct = sum(named[seed, letter] == failure_modes.answer(letter) for seed in by_seed for letter in failure_modes.LETTERS)
book.claim("The six rules name the fault: right of 6 runs × 3 seeds", correct, equals=18)
alarms = sum(failure_modes.name_fault(one["healthy"], normal) != failure_modes.NO_FAULT for one in (by_seed[1], by_seed[2]))
book.claim("They find a fault in the healthy run with other noise: of 2 seeds", alarms, equals=0)
agreed = {name: one.agreement[2] for name, one in reports.items()}
book.claim("A, B and E draw the right class as often as the healthy run: least difference", min(agreed[k] for k in "ABE") - agreed["healthy"], at_least=-0.1)
means = [one["A"][failure_modes.STD] / one["healthy"][failure_modes.STD] for one in by_seed.values()]
book.claim("A's latents have less spread than the healthy run's: largest ratio of 3 seeds", max(means), at_most=0.96)
book.claim(
    "D's latents have the right spread although they mean nothing: largest distance from 1",
    max(abs(one["D"][failure_modes.STD] - 1) for one in by_seed.values()),
    at_most=0.1,
)
book.claim("Chapter 3's own latents would hide C's fault: largest distance of their spread from 1", (latent_codec.latents_std - 1).abs().max(), at_most=0.2)

# %% [markdown]
# ## How small a fault can a probe see?
#
# Counting from 0 or from 1 is the most common confusion of all. Suppose the network is given $t - 1$ instead of $t$, one of 1,000.
#
# **Predict.** By how many per cent does the error in $v$ rise at $t = 100$?

# %%
rise = guess.number("rise of the error, t off by one", unit="%")
rise

# %% tags=["hide-output"]
one_off = replace(healthy, reported_timestep=lambda t: t - 1)
at_100 = {
    name: failure_modes.denoising_error(run, x0, y, 100, measure=denoising_error)
    for name, run in {"healthy": healthy, "off by 1": one_off, "off by 50": runs["B"]}.items()
}
percent = {name: 100 * (error / at_100["healthy"] - 1) for name, error in at_100.items()}
rise.compare(percent["off by 1"])
print(f"off by 50, one step of the grid: {percent['off by 50']:.1f} %")

# %% tags=["hide-input"]
book.claim("t off by one in a thousand is beyond measuring: change of the error", percent["off by 1"], at_least=-0.5, at_most=0.5, unit="%")
book.claim("t off by a step of the grid costs little: rise of the error", percent["off by 50"], at_least=0.5, at_most=10, unit="%")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# By about a hundredth of a per cent: nothing. Even off by 50 it is a few per cent, which a drift of the loss could hide. The probe can name the fault only because it *compares shifts on the same noise*, so that the noise cancels. An error is a poor test of an index. Run the sampler on a
# denoiser that is known exactly (chapter 4): there every error is the sampler's.
# </details>
#
# ## A seventh fault
#
# Now the opposite of a last step that is too large: there is no last step. The sampler stops at its last level but one, where 9 % noise is left.
#
# **Predict.** Which of the six probes sees it?

# %%
seen_by = guess.choice("the probe that sees it", [*normal, "none of the six"])
seen_by

# %% tags=["hide-input", "hide-output"]
seventh = replace(healthy, levels=healthy.levels[:-1])
readings = failure_modes.diagnose(seventh, *known, step_sizes, denoising_error)
verdict = failure_modes.name_fault(readings, normal)
seen_by.compare("none of the six" if verdict == failure_modes.NO_FAULT else verdict)
claims.table(["run", *normal], [["healthy", *normal.values()], ["no last step", *readings.values()]])
print(f"the last levels: healthy σ = {healthy.levels[-1].sigma:.3f}, no last step σ = {seventh.levels[-1].sigma:.3f}")
viz.rows(
    {"healthy": healthy.images(), "no last step": seventh.images()}, scale=2, alt="Ten images of the healthy run, and of one without its last step: hardly a difference."
)

# %% tags=["hide-input"]
book.claim("The six probes find nothing in a run that stops one step early: verdicts other than “no fault found”", verdict != failure_modes.NO_FAULT, equals=0)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# None, and on these images you do not see it either. **A probe sees what it was made for.** It needs no seventh measurement, only one more line: print the levels, the last $\sigma$ must be 0. On images of 1024×1024 pixels people did see the noise: diffusers' multistep solver ended at a $\sigma$ above 0
# ([issue 5689](https://github.com/huggingface/diffusers/issues/5689), fixed in [pull request 6477](https://github.com/huggingface/diffusers/pull/6477)).
# </details>
#
# **Change and run again.** Break a part yourself and see which panel answers: a `seed`, fewer `levels`, a `null_label` of another class, a timestep that is too *late*.

# %%
mine = replace(healthy, reported_timestep=lambda t: min(t + 100, 1000))

# %% tags=["hide-input"]
picture, caption = run_report.draw("mine", run_report.measure(mine, *known, step_sizes, denoising_error), reports["healthy"])
print(caption)
picture

# %% [markdown]
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What you take along
#
# A broken model draws. So measure where one part hands over to the next, and compare with a run that you know to be healthy, from the same noise and with the spread over seeds next to it: few readings are right or wrong by themselves. Start at the network, end at the decoder. Add noise yourself, and you know
# the right answer. Sample at scale 0 and look. Print the levels. And what your probes do not look at, they do not see.
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | error in $v$ | Salimans & Ho 2022, appendix D | `failure_modes.velocity_error` |
# | steps of equal angle | Lu & Song 2025, section 3 (TrigFlow); Salimans & Ho 2022, appendix D | `failure_modes.rms_steps` |
# | scale 0 draws the reference | Ho & Salimans 2022, eq. 6 | `guidance.guide` |
# | latents scaled by their standard deviation | Rombach et al. 2022, appendix G | `codec.VAECodec` |
# | sampling that starts at the wrong timestep | Lin et al. 2023, table 2 | `failure_modes.timestep_offset` |
# | the six faults, and rules that name them | issues of diffusers, latent-diffusion, OneTrainer, TangoFlux | `failure_modes.inject_fault`, `failure_modes.name_fault` |
