# %% [markdown]
# # 13 · Further reading: fewer steps, fewer calls
#
# > A guided image costs 40 calls of the network. How few will do?
#
# Chapter 5 pays for guidance with a second network call in every step, and chapter 4 takes 20 steps. Image generators that answer at once pay for neither: a **student** network has learned what its **teacher** does in two calls, and then what it does in two steps, again and again. This is *distillation*, and every step of it is a regression that you can write in three lines.
#
# **After this notebook you can**
#
# - write the targets of guidance distillation and of progressive distillation;
# - train a student that halves the steps of its teacher, in half a minute;
# - compare a distilled sampler fairly, and say what it loses and what it costs.
#
# **You need** chapters 4 and 5. Their networks and three students are loaded (or trained now: about two minutes each).

# %%
import copy

import torch
from torch.nn import functional as F

from course_lib import device, diffusion, distillation, metrics, recipes
from course_lib.experiments import generate
from course_lib.experiments.ch13_fewer_calls import sampling, stored, students
from course_lib.experiments.evaluator import Evaluator
from course_lib.homework.checks.ch13 import ch13
from course_lib.notebook import claims, explore, guess, viz
from course_lib.recipes import few_steps
from course_lib.samplers import ddim, dpmpp_2m
from course_lib.training import train

machine = device.find()
print(machine)
book = claims.Claims("13 Fewer calls")

# %% [markdown]
# ## The same noise
#
# Ten noises, one for each class, at guidance scale 1.5. The first row is chapter 5's: 20 steps of DPM-Solver++(2M), two calls each. Then the same with a student that needs one call a step; a student that takes four steps; and one that draws the image in a single call. For comparison, what the guided teacher does with four calls and with two:

# %%
teacher, one_call, four_steps, one_step = (recipes.load_or_train(f"fashion-{name}", machine) for name in ("ldm", "one-call", "four-steps", "one-step"))
latent_codec, SCALE = recipes.load_codec("fashion-vae", machine), sampling.SCALE
ten = torch.arange(10, device=machine.device)


def draw(net, steps, sampler="DDIM", scale=SCALE, labels=ten, seed=4):
    """Images by the guided teacher (two calls a step) or by a student (one)."""
    make = sampling.two_calls if net is teacher else sampling.one_call
    levels = recipes.make_schedule().grid(steps)
    return generate.generate(make(net, scale, machine), labels, latent_codec, (4, 4, 4), machine, levels=levels, sampler=sampler, seed=seed)


SOLVER = "DPM-Solver++(2M)"
pictures = {
    "40 calls: the guided teacher": draw(teacher, 20, SOLVER),
    "20 calls: one a step": draw(one_call, 20, SOLVER),
    "4 calls": draw(four_steps, 4),
    "1 call": draw(one_step, 1),
    "4 calls, the teacher": draw(teacher, 2, SOLVER),
    "2 calls, the teacher": draw(teacher, 1, SOLVER),
}

# %% tags=["hide-input"]
viz.rows(
    pictures,
    scale=2,
    alt="Ten Fashion-MNIST items from the same ten noises, in six rows. With 40, 20, 4 and 1 calls of teacher and students the items are the same, and in the row of 1 call slightly softer. The teacher with 4 calls draws some items blurred, with 2 calls blurred averages.",
)

# %% [markdown]
# Each student starts from the teacher's noise and ends near the teacher's image. A row with two calls is missing: that student you will train.
#
# 40 is 20 steps times 2 calls. We first remove the factor 2, then the 20.
#
# ## Two calls into one
#
# What the guided teacher answers at scale $s$,
#
# $$\hat v_s(x_t, t, y) = \hat v(x_t, t, \varnothing) + s\,\big(\hat v(x_t, t, y) - \hat v(x_t, t, \varnothing)\big),$$
#
# is a function of $x_t$, $t$, $y$ and $s$. A network can learn any such function, if it gets $s$ as an input, too (Meng et al. 2023). So: take a copy of the teacher; give it an embedding of $s$, which is added to those of $t$ and $y$ and starts at zero; noise training images as always; draw a scale between 1 and 4 *for each image*; and regress on the guided answer. Its target, written for a batch:


# %%
def guided_target(cond, null, scale):
    """Return the guided prediction of each image; cond, null [B, C, H, W]: with and without the label; scale [B], 1 for no guidance."""
    raise NotImplementedError  # one line


# %%
guided_target = ch13.guided_target.check(guided_target)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# return null + scale[:, None, None, None] * (cond - null)
# ```
#
# The new axes matter. Without them a scale [B] is matched with the *last* axis: if the batch happens to be as large as the image is wide, every column of pixels gets a scale of its own, without an error.
# </details>
#
# The loss around it (`distillation.guidance_loss`); the student's prediction type is the teacher's, and guidance is the same line in each of them:

# %% tags=["hide-input"]
claims.source(distillation.guidance_loss, docstring=False)

# %% [markdown]
# The student needs no new images and no sampling: 500 steps of 256, under a minute.
#
# **Predict.** At scale 1.5, is its Fréchet distance (20 steps, 5,000 images) lower than the guided teacher's, higher, or does the 95 % interval of the difference contain 0?

# %%
half_the_calls = guess.choice("one call a step, compared with two", ["lower", "none that can be seen: the interval contains 0", "higher"])
half_the_calls

# %% tags=["hide-input", "hide-output"]
figures = stored.RESULT.read()


def interval(values, digits=1):
    return f"{values[0]:.{digits}f} [{values[1]:.{digits}f}, {values[2]:.{digits}f}]"


def mean(arm, metric, steps=stored.TEACHER_STEPS, scale=SCALE):
    """A stored figure of an arm, mean of its seeds."""
    values = [p[metric][0] if isinstance(p[metric], list) else p[metric] for p in stored.read(figures, arm, steps, scale)]
    return sum(values) / len(values)


rows = []
for scale in stored.SCALES:
    two, one = (stored.read(figures, arm, scale=scale) for arm in ("two calls", "one call"))
    differences = "; ".join(f"{p['difference'][0]:+.2f} [{p['difference'][1]:+.2f}, {p['difference'][2]:+.2f}]" for p in one)
    rows.append(
        [scale, interval(two[0]["frechet"]), interval(one[0]["frechet"]), differences, *(f"{mean(a, 'agreement', scale=scale):.3f}" for a in ("two calls", "one call"))]
    )
claims.table(["scale", "distance, two calls", "one call", "difference, seed 0; seed 1", "agreement, two calls", "one call"], rows)
half = [p["difference"] for p in stored.read(figures, "one call")]
half_the_calls.compare(
    "none that can be seen: the interval contains 0" if all(low <= 0 <= high for _, low, high in half) else "lower" if sum(d[0] for d in half) < 0 else "higher"
)

# %% tags=["hide-input"]
book.claim("Scale 1.5, one call minus two: Fréchet distance, the worse of two seeds (stored)", max(d[0] for d in half), at_most=0.3)
book.claim(
    "Scale 1.5: seconds with two calls ÷ with one, 20 steps and decoding (stored)",
    stored.seconds_of(figures, "two calls", 20) / stored.seconds_of(figures, "one call", 20),
    at_least=1.4,
    unit="×",
)

# %% [markdown]
# <details><summary><b>Answer and how to read the table</b></summary>
#
# None that can be seen: the interval contains 0. Brackets are 95 % bootstrap intervals over the samples. The *difference* is resampled in pairs, since both draw from the same noise, so its interval is far narrower than those of the two distances. The seed is that of the student's training and of the noise; the teacher is one network.
#
# The distances themselves hide a small loss: up to scale 2 the student's lies within the interval of the teacher's for both seeds, at 3 and 4 for seed 0 alone. The paired difference shows it: about 0.3 at scale 2, in one of two seeds at scale 1, and 1.0 to 1.4 at 3 and 4. A likely reason is too little training: in trials (one seed) the gap at 3 shrank from 1.5 to 0.4 with four times as many training images and twice the learning rate. Half of the training images replaced by guided samples, which are closer to what it meets while it samples, did not help.
# </details>
#
# A thousand images here, from the same noise:

# %% tags=["hide-input"]
evaluator = Evaluator(machine)
comparison = sampling.Comparison(teacher, latent_codec, evaluator, 1000)
today = comparison.point(sampling.one_call(one_call, SCALE, machine), SCALE, 20, 20)
print(
    f"one call minus two: {today['difference'][0]:+.2f}, from {today['difference'][1]:+.2f} to {today['difference'][2]:+.2f}; PSNR to the teacher's images {today['psnr']:.1f} dB"
)
book.claim("The same difference here, 1,000 images", today["difference"][0], at_least=-1.5, at_most=1.5)

# %% [markdown]
# **Change and run again.** The student learned scales from 1 to 4. How far from its teacher is it at 8? And at 0, where the teacher ignores the class?

# %%
asked = 8.0

# %% tags=["hide-input"]
drawn = {f"teacher at {asked:g}": draw(teacher, 20, SOLVER, asked), f"student at {asked:g}": draw(one_call, 20, SOLVER, asked)}
print(
    f"PSNR of the student's images to the teacher's: {metrics.psnr(*drawn.values()):.1f} dB; at {SCALE:g}, in the pictures above: {metrics.psnr(*list(pictures.values())[:2]):.1f} dB"
)
viz.rows(
    drawn, scale=2, alt="Ten items by the teacher and by the student at a guidance scale beyond those of the student's training: they differ in contrast and in details."
)

# %% [markdown]
# ### Guided from the start?
#
# One can skip the teacher. *Model guidance* (Tang et al. 2025) trains an ordinary denoiser whose target is shifted by the network's own guidance, without a gradient: $v + (s - 1)\,\big(\hat v(x_t, t, y) - \hat v(x_t, t, \varnothing)\big)$. One line, one network, no second stage. We trained it for as many steps as the teacher (1,550 of 256), with $s$ as an input:

# %% tags=["hide-input"]
arms = ("two calls", "one call", "guided from the start")
claims.table(
    ["Fréchet distance (stored; guided from the start: one seed)", *(f"scale {scale:g}" for scale in stored.SCALES)],
    [[arm, *(f"{mean(arm, 'frechet', scale=scale):.1f}" for scale in stored.SCALES)] for arm in arms],
)

# %% [markdown]
# Here it loses at every scale, even at 1, where it is an ordinary denoiser. A likely reason is the budget: in the 1,550 steps in which the teacher learned to denoise without guidance, this network has to learn every scale, and its target moves while it learns. The paper trains far longer, and reports a lower distance than guidance with two calls. So this table shows that *after similar training* (the one-call student had a third more steps) a finished teacher is worth having, and not which idea is better.
#
# ## Two steps into one
#
# DDIM holds two things fixed during a step from $(\alpha, \sigma)$ to $(\alpha', \sigma')$: an estimate of the clean latent and one of the noise,
#
# $$x_t = \alpha\,x_0 + \sigma\,\varepsilon, \qquad x_{t'} = \alpha' x_0 + \sigma' \varepsilon.$$
#
# Divide by $\alpha$: $x_t / \alpha = x_0 + (\sigma / \alpha)\,\varepsilon$. Drawn over $\sigma / \alpha$, a step is a straight line; its slope is $\varepsilon$, and it would end, without noise, at the height $x_0$. (A sketch for one number of a latent. At $t = 1000$, where $\alpha = 0$, the point lies infinitely far to the right; the equations below hold there, too.)

# %% tags=["hide-input"]
noise, x = [3.0, 1.6, 0.7], [2.4, 2.1, 0.9]  # σ/α and x/α at the three levels
slope = (x[2] - x[0]) / (noise[2] - noise[0])
target = x[0] - slope * noise[0]
panels = viz.Panels(1, 6.4, 3.2)
axes = panels[0]
axes.plot(noise, x, "o-", color=viz.COLOURS[0], label="two steps of the teacher")
for i in (0, 1):
    estimate = x[i] - (x[i + 1] - x[i]) / (noise[i + 1] - noise[i]) * noise[i]
    axes.plot([noise[i + 1], 0], [x[i + 1], estimate], ":", color=viz.COLOURS[0])
    axes.annotate("the teacher's $x_0$", (0, estimate), (-0.05, estimate), ha="right", va="center", fontsize=9)
axes.plot([noise[0], noise[2]], [x[0], x[2]], "-", color=viz.COLOURS[1], label="one step to the same end")
axes.plot([noise[2], 0], [x[2], target], ":", color=viz.COLOURS[1])
axes.annotate("which $x_0$?", (0, target), (-0.05, target), ha="right", va="center", fontsize=10, color=viz.COLOURS[1])
for label, across, up in zip(("$x_t$", "$x_{t'}$", "$x_{t''}$"), noise, x, strict=True):
    axes.annotate(label, (across, up), (across + 0.06, up - 0.3), fontsize=11)
axes.set(xlabel="noise over signal, σ/α", ylabel="x/α", xlim=(-1.0, 3.3), ylim=(-0.4, 2.8), xticks=range(4))
axes.legend(loc="lower right")
panels.picture(
    "From right to left: the teacher goes from x_t to x_t' and on to x_t'' in two straight lines of different slope, each pointing at another x0 where the noise is zero. One straight line leads from x_t to x_t'' directly, and points at a third x0 between them, marked with a question."
)

# %% [markdown]
# The teacher steps from $x_t$ to $x_{t'}$ with one estimate of $x_0$, and on to $x_{t''}$ with another. The student has to get from $x_t$ to the same $x_{t''}$ in *one* step, so with one $x_0$ and one $\varepsilon$:
#
# $$x_t = \alpha\,x_0 + \sigma\,\varepsilon, \qquad x_{t''} = \alpha'' x_0 + \sigma'' \varepsilon.$$
#
# Two equations, two unknowns: solve the first for $\varepsilon$, put it into the second, and solve for $x_0$. That is the student's target (Salimans & Ho 2022). Write it; in the code `_end` stands for $''$:


# %%
def two_steps_as_one(x_t, x_end, alpha, sigma, alpha_end, sigma_end):
    """Return the x0 with which one DDIM step leads from x_t to x_end, both [B, C, H, W]; the rates are floats or [B, 1, 1, 1]."""
    raise NotImplementedError  # two lines


# %%
two_steps_as_one = ch13.two_steps_as_one.check(two_steps_as_one)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# ratio = sigma_end / sigma
# return (x_end - ratio * x_t) / (alpha_end - ratio * alpha)
# ```
#
# In the last step $\sigma'' = 0$, and the target is $x_{t''}$ itself, as it must be.
# </details>
#
# That is the heart of **progressive distillation**: a student that predicts this target takes one step where its teacher takes two. Then it becomes the teacher. From here on the sampler is DDIM, because its steps have this form, and the chain starts from the one-call student in 32 steps, which can be halved five times: 32 → 16 → 8 → 4 → 2 → 1.
#
# Here is the loss of the missing student. Its teacher takes four steps, from $t = 1000$ to 750, 500, 250 and 0; the student goes straight from 1000 to 500, and from 500 to 0. As in every training of chapter 4, $x_t$ is a noised training image.

# %%
schedule = recipes.make_schedule()


def half_the_steps(student, batch, generator):
    """The loss of a student of two steps, whose teacher is the student of four."""
    x0, y = batch
    first = torch.where(torch.rand(len(x0), device=x0.device, generator=generator) < 0.5, 1000, 500)  # where its step begins
    here, middle, end = (schedule.at(first - 250 * k) for k in (0, 1, 2))
    x_t = here.alpha * x0 + here.sigma * torch.randn(x0.shape, device=x0.device, generator=generator)
    scale = 1 + 3 * torch.rand(len(x0), device=x0.device, generator=generator)
    with torch.no_grad():  # two steps of the teacher
        estimate = diffusion.to_x0("v", four_steps(x_t, here.t, y, scale=scale).float(), x_t, here)
        x_middle = distillation.ddim_step(estimate, x_t, here, middle)
        estimate = diffusion.to_x0("v", four_steps(x_middle, middle.t, y, scale=scale).float(), x_middle, middle)
        x_end = distillation.ddim_step(estimate, x_middle, middle, end)
        goal = two_steps_as_one(x_t, x_end, here.alpha, here.sigma, end.alpha, end.sigma)
    out = student(x_t, here.t, y, scale=scale).float()
    return F.mse_loss(out, (here.alpha * x_t - goal) / here.sigma)  # the error in v, SNR + 1 times that in x0


# %% [markdown]
# <details><summary><b>Why the error in v?</b></summary>
#
# From $\hat x_0 = \alpha x_t - \sigma \hat v$ follows $|\hat v - v|^2 = |\hat x_0 - x_0|^2 / \sigma^2 = (\mathrm{SNR} + 1)\,|\hat x_0 - x_0|^2$, because $1/\sigma^2 = (\alpha^2 + \sigma^2)/\sigma^2$. At $t = 1000$ there is no signal, $x_t = \varepsilon$: an error measured in $\varepsilon$ would say nothing about $x_0$ there, and a student of one step starts nowhere else. Errors in $v$ and in $x_0$ both work; the table further below compares them.
# </details>
#
# **Predict.** With two calls the guided teacher takes a single step. Its Fréchet distance is over 100. And the student's, with two calls?

# %%
two_calls_left = guess.number("Fréchet distance of the student with two calls")
two_calls_left

# %%
latents_and_labels = few_steps.latents_and_labels(machine)
result = train(copy.deepcopy(four_steps).requires_grad_(True), half_the_steps, latents_and_labels, recipes.configs.FASHION_HALVING, machine=machine)
two_steps = result.ema

# %% tags=["hide-input", "hide-output"]
thousand = {
    "2 calls: your student": comparison.point(sampling.one_call(two_steps, SCALE, machine), SCALE, 2, 2, "DDIM"),
    "2 calls: the teacher, 1 step": comparison.point(sampling.two_calls(teacher, SCALE, machine), SCALE, 1, 2),
    "40 calls": comparison.point(sampling.two_calls(teacher, SCALE, machine), SCALE, 20, 40),
}
two_calls_left.compare(thousand["2 calls: your student"]["frechet"][0])
claims.table(
    ["1,000 images", "Fréchet distance", "agreement", "recall", "PSNR to the 40 calls (dB)"],
    [[name, interval(p["frechet"]), f"{p['agreement']:.3f}", f"{p['recall']:.2f}", "–" if p["calls"] == 40 else f"{p['psnr']:.1f}"] for name, p in thousand.items()],
)
book.claim("Two calls, your student: Fréchet distance ÷ that of forty", thousand["2 calls: your student"]["frechet"][0] / thousand["40 calls"]["frechet"][0], at_most=1.6)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Below 10, where one step of the teacher is at 122. At $t = 1000$ the noise says nothing about the image, so the teacher answers with a mean of the class, which guidance moves further from the mean of all: a blur. Your student answers with where the four steps ended. Thirteen seconds of training on one core.
# </details>
#
# ## Calls against distance
#
# The full chain, trained twice (seeds 0 and 1), at scale 1.5 with 5,000 images (with the 1,000 of the table above the small distances are 1.2 to 1.4 higher). Three ways to spend calls: the guided teacher with fewer and fewer steps of its solver; the one-call student with the same solver, on evenly spaced levels and on the best that we found (how: below); and the halved students, each with the number of steps it was made for. Each bar is as long as the 95 % interval (mean of the seeds). **Read it at four calls.**

# %% tags=["hide-input"]
few = stored.FEW
curves = {
    "guided teacher, 2 calls a step": ("two calls", (*few, stored.TEACHER_STEPS), 2),
    "one-call student, same solver": ("one call", (*few, stored.TEACHER_STEPS), 1),
    "the same, best levels": ("one call, best grid", (4, 2), 1),
    "halved students": ("halved", (1, 2, 4, 8, 16), 1),
}
lines = {}
for name, (arm, counts, calls) in curves.items():
    counts = sorted(counts)
    errors = [[(p["frechet"][2] - p["frechet"][1]) / 2 for p in stored.read(figures, arm, n)] for n in counts]
    lines[name] = [calls * n for n in counts], [mean(arm, "frechet", n) for n in counts], [sum(pair) / len(pair) for pair in errors]
forty = mean("two calls", "frechet")
panels = viz.Panels(1, 6.8, 4.0)
viz.draw_lines(panels[0], lines, xlabel="network calls for an image", ylabel="Fréchet distance", log="xy", references={"1.5 × forty calls": 1.5 * forty})
panels.picture(
    "Fréchet distance against network calls on logarithmic axes. The guided teacher falls from above 100 with two calls to 6 with forty; the one-call student from above 100 with one to 6 with twenty, lower by a third in four steps on its best levels. The halved students lie between 7 and 9 from sixteen calls down to one."
)


# %% tags=["hide-input"]
def to_forty(arm, n):
    """The Fréchet distance over that of forty calls with the same seed, mean of the arm's seeds."""
    pairs = zip(stored.read(figures, arm, n), stored.read(figures, "two calls"), strict=False)  # an arm of one seed has the first
    ratios = [p["frechet"][0] / reference["frechet"][0] for p, reference in pairs]
    return sum(ratios) / len(ratios)


# %% tags=["hide-input"]
table = {
    "40: the guided teacher": ("two calls", 20),
    "20: one a step": ("one call", 20),
    "4: halved": ("halved", 4),
    "2: halved": ("halved", 2),
    "1: halved": ("halved", 1),
    "4: one a step, best levels (seed 0)": ("one call, best grid", 4),
    "4: one a step": ("one call", 4),
    "4: the guided teacher, best levels (seed 0)": ("two calls, best grid", 2),
    "4: the guided teacher": ("two calls", 2),
}
rows = []
for name, (arm, n) in table.items():
    cells = [f"{mean(arm, 'frechet', n):.2f}", f"{to_forty(arm, n):.2f}", f"{mean(arm, 'kid', n):.1f}"]
    cells += [f"{mean(arm, metric, n):.3f}" for metric in ("agreement", "precision", "recall")]
    rows.append([name, *cells, "–" if name.startswith("40") else f"{mean(arm, 'psnr', n):.1f}"])
claims.table(["calls (means of two seeds)", "Fréchet distance", "÷ forty calls", "KID", "agreement", "precision", "recall", "PSNR to forty calls (dB)"], rows)

# %% tags=["hide-input"]
book.claim("Four calls: Fréchet distance ÷ that of forty (stored)", to_forty("halved", 4), at_most=1.5)
book.claim("Four calls with the solver on its best levels: the same ratio", to_forty("one call, best grid", 4), at_least=1.5)
book.claim("The guided teacher with four calls: the same ratio", to_forty("two calls", 2), at_least=3)
book.claim("One call: the same ratio", to_forty("halved", 1), at_most=2)

# %% [markdown]
# Lower is better for distance and KID; higher for agreement (the judge sees the class that was asked for), precision (images look like real ones), recall (the variety of real ones is covered) and PSNR (the teacher's own image).
#
# **With four calls in all the distance is a sixth larger than with forty, with one call it is 1.4 times as large.** Is the comparison fair? The solver's levels are usually evenly spaced in $t$, which is not best in so few steps. So we tried all 56 choices of the three levels below $t = 1000$ from 900, 800, … 200 (2,000 images, seed 0) and took the best: 800, 700, 200. On these levels the one-call student gets a third better in four steps, but not as good as the halved one in a single step.
#
# What matters in the training? The same chain with one thing changed (seed 0; in the first row seed 1, too):

# %% tags=["hide-input"]
variants = {
    "as above": "halved",
    "one scale in training (1.5) instead of 1 to 4": "halved, one scale",
    "error in x₀ instead of v": "halved, error in x0",
    "100 training steps a halving instead of 250": "halved, fewer steps of training",
    "500 training steps": "halved, more steps of training",
}
claims.table(
    ["Fréchet distance (stored)", *(f"{n} call{'s' * (n > 1)}" for n in few)],
    [[name, *(" / ".join(f"{p['frechet'][0]:.2f}" for p in stored.read(figures, arm, n)) for n in few)] for name, arm in variants.items()],
)

# %% [markdown]
# **100 training steps are too few**, the more so the fewer the calls: 8.0 against 7.3 at four calls, 9.3 against 7.9 at two, 11.1 against 8.9 at one. The other changes (500 steps, one scale, errors in $x_0$) move the distance by less than the two seeds of the first row differ; one seed each cannot separate them.
#
# And where do the halved students lose quality? The chain begins from the one-call student in 32 steps of *DDIM*:

# %% tags=["hide-input"]
ways = {"20, solver of 2nd order": ("one call", 20), "32, DDIM": ("one call, DDIM", 32)} | {f"{n}, halved": ("halved", n) for n in students.HALVINGS}
chain = {name: stored.read(figures, arm, n)[0]["frechet"][0] for name, (arm, n) in ways.items()}
claims.table(["calls", *chain], [["Fréchet distance (seed 0, stored)", *(f"{value:.2f}" for value in chain.values())]])
book.claim("From 32 steps of DDIM to 4 by three halvings: distance added, share of that of 32", chain["4, halved"] / chain["32, DDIM"] - 1, at_most=0.15)

# %% [markdown]
# Four calls lose 1.0 against forty (6.3 with this seed). Two thirds of that are there before the first halving: DDIM in 32 steps is worse than the solver of second order in 20. A better teacher (more steps, or a target from a solver of second order) is the next thing to try.
#
# ## What is lost
#
# **Predict.** The student of four steps was trained at $t = 1000, 750, 500$ and 250 alone. Give it 20 steps. Does its Fréchet distance fall, stay, or rise?

# %%
more_steps = guess.choice("the student of four steps, with 20 steps", ["falls", "stays within 10 %", "rises"])
more_steps

# %% tags=["hide-input", "hide-output"]
used = {n: comparison.point(sampling.one_call(four_steps, SCALE, machine), SCALE, n, n, "DDIM") for n in (4, 8, 20)} | {"forty calls": thousand["40 calls"]}
ratio = used[20]["frechet"][0] / used[4]["frechet"][0]
more_steps.compare("rises" if ratio > 1.1 else "falls" if ratio < 0.9 else "stays within 10 %")
claims.table(
    ["the student of four steps, 1,000 images", "Fréchet distance", "agreement", "precision", "recall"],
    [[f"{n} steps" if isinstance(n, int) else n, interval(p["frechet"]), *(f"{p[m]:.3f}" for m in ("agreement", "precision", "recall"))] for n, p in used.items()],
)
book.claim("The student of four steps with 20 steps: Fréchet distance ÷ with 4", ratio, at_most=0.9)
book.claim("The same: precision, difference", used[20]["precision"] - used[4]["precision"], at_most=-0.03)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# It falls, even below that of forty calls, though with 1,000 images the intervals overlap. Is the student better than its teacher? Look at the other columns: precision and agreement fall, too, and recall rises. The latents show what has changed:
# </details>

# %% tags=["hide-input", "hide-output"]
five_hundred = generate.balanced_labels(500, machine)
x_T, levels = generate.seeded_noise(500, (4, 4, 4), machine), {n: recipes.make_schedule().grid(n) for n in (4, 8, 20)}


def spread(latents, labels):
    """The standard deviation of latents about the mean of their class."""
    return torch.stack([(latents[labels == k] - latents[labels == k].mean(0)).square().mean() for k in range(10)]).mean().sqrt().item()


spreads = {"training images": spread(*(part[:5000] for part in latents_and_labels))}
spreads["40 calls"] = spread(dpmpp_2m(sampling.two_calls(teacher, SCALE, machine)(five_hundred), x_T, levels[20]), five_hundred)
for n, grid in levels.items():
    spreads[f"{n} steps"] = spread(ddim(sampling.one_call(four_steps, SCALE, machine)(five_hundred), x_T, grid), five_hundred)
book.claim("Spread within a class, student of four steps with 20 steps ÷ training images", spreads["20 steps"] / spreads["training images"], at_least=1.03)
book.claim("Guidance at 1.5 narrows a class: 40 calls ÷ training images", spreads["40 calls"] / spreads["training images"], at_most=0.97)
viz.bars(
    spreads,
    ylabel="spread of latents within a class",
    alt="Bars: training images 0.81, forty calls 0.74, the student of four steps 0.71 with 4 steps, 0.82 with 8 and 0.90 with 20.",
)

# %% [markdown]
# Guidance makes the classes narrower, on average (0.74 against 0.81; chapter 5). With 8 and with 20 steps the student draws wider ones, 0.82 and 0.90, which is not what it was asked for: its precision falls. A likely reason why the Fréchet distance falls all the same: it also counts the variety that guidance took away. And a likely reason for the width, which we did not test: each of its estimates is made for a step of 250, from start to end, and is now used for a shorter one. So a lower distance need not mean a better copy of the teacher. **A student belongs to its steps.**
#
# What few steps lose is in the table of the section before: from 4 calls to 2 and to 1, recall falls and so does the PSNR to the teacher's own images, while agreement stays. A likely reason: a regression answers with a mean, so each student averages a little over what its teacher distinguished. The slider: ten noises; calls on one axis, scale on the other.

# %% tags=["hide-input"]
ways = {"40": (teacher, 20, SOLVER), "20": (one_call, 20, SOLVER), "4": (four_steps, 4, "DDIM"), "2": (two_steps, 2, "DDIM"), "1": (one_step, 1, "DDIM")}


def at(calls: str, guidance: float):
    net, steps, sampler = ways[calls]
    return draw(net, steps, sampler, guidance), f"{calls} calls, scale {guidance:g}"


explore.sliders(
    at, alt="Ten items, one of each class, for a number of network calls and a guidance scale.", columns=5, scale=2, calls=list(ways), guidance=[1.0, 1.5, 2.0, 3.0, 4.0]
)

# %% [markdown]
# ## When does it pay?

# %% tags=["hide-input"]
before, after = (stored.seconds_of(figures, arm, n) for arm, n in (("two calls", 20), ("halved", 4)))
spent = stored.read(figures, "one call")[0]["training_seconds"] + sum(stored.read(figures, "halved", n)[0]["training_seconds"] for n in (16, 8, 4))
claims.table(
    ["seconds for 1,000 images, decoded", "40 calls", "20 calls", "4 calls", "2 calls", "1 call"],
    [["one core", *(f"{stored.seconds_of(figures, arm, n):.2f}" for arm, n in (("two calls", 20), ("one call", 20), ("halved", 4), ("halved", 2), ("halved", 1)))]],
)
print(f"training of the student of four steps: {spent:.0f} s on one core, repaid after {1000 * spent / (before - after):,.0f} images")
book.claim("Seconds for 1,000 images, decoded: 40 calls ÷ 4 calls (stored)", before / after, at_least=4, unit="×")

# %% [markdown]
# It pays from some tens of thousands of images on. At one call, decoding them is half of the work.
#
# **An honest end.** This is the easy case: 64 latent dimensions, ten classes, a distribution that a small network maps from noise in one step. On large images one call is much harder. Progressive distillation there needs thousands of steps a stage, and its last halvings cost visibly more; newer methods replace the regression, whose answer is a mean, by a loss on the *distribution* of the student's images (a discriminator: ADD; a second score network: DMD), or train without a teacher (consistency models, MeanFlow). None of them is built here. And our distances compare one teacher with its students: two seeds of the students' training, one network and one judge.
#
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What you take along
#
# - What a network computes in two calls or two steps is a function, and another network can learn it by regression. Guidance in one call is nearly free; a scale is an input like a label.
# - One DDIM step has one $x_0$ and one $\varepsilon$. The target of a halving is the $x_0$ of the step that two steps amount to.
# - Compare at equal *calls*, and give the solver its best levels. Then say what the distance does not: agreement, precision, recall, and how close the images are to the teacher's.
# - A student belongs to its steps, its range of scales, and its teacher.
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | guidance in one call | Meng et al. 2023 (*On distillation of guided diffusion models*), stage one | `distillation.guidance_loss` |
# | half the steps | Salimans & Ho 2022, algorithm 2; Meng et al. 2023, stage two | `distillation.halving_loss`, `distillation.two_steps_as_one` |
# | SNR + 1 | Salimans & Ho 2022 | `measured_in="v"` |
# | halvings as a chain | Salimans & Ho 2022; Meng et al. 2023 | `students.halvings` |
# | guidance from the start | Tang et al. 2025 (model guidance) | `students.own_guidance_loss` |
