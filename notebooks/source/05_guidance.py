# %% [markdown]
# # 5 · Guidance
#
# > How does one steer the walk?
#
# Chapter 4 trained a model that draws what you ask for: give it the label "sneaker" and it mostly draws sneakers. *Mostly*. Nearly every image
# generator you have used adds one more trick, a single line of arithmetic that turns "mostly" into "nearly always" and makes every picture crisper. It has
# a price, and the price is measured here too.
#
# **You will be able to** steer a denoiser by a classifier, by itself, and by a worse version of itself; derive classifier-free guidance in two lines; convert between
# the conventions of its scale; say what it samples, and what it does *not* sample although everybody says so; and choose a scale by looking at a frontier
# and not at five pretty pictures.
#
# **You need to know** the denoiser, the levels and the sampler of [chapter 4](04_latent_ddpm.ipynb). Its model is loaded here; where there is none, it is trained
# first, with a progress bar. How many minutes that takes is in the table of the [README](../README.md).

# %%
import math
import time
from dataclasses import replace
from functools import partial

import torch

from course_lib.judges import classifier
from course_lib import codec, data, device, gaussian_mixture, guidance, metrics, recipes, teddies, text_to_image
from course_lib.notebook import claims, viz, widgets
from course_lib.images import to_float
from course_lib.experiments.ch5_guidance import failure_modes, frontier, guided_densities, noisy_classifier
from course_lib.experiments import generate, prompt_adherence
from course_lib.experiments.evaluator import Evaluator

machine = device.find()
book = claims.Claims("5 Guidance")
print(machine)

# %%
net = recipes.load_or_train("fashion-ldm", machine)
latent_codec = recipes.load_codec("fashion-vae", machine)
shape = (4, 4, 4)
cond, null = generate.conditional_factory(net, machine), generate.unconditional_factory(net, machine)


def guided(scale):
    return lambda y: guidance.guide(cond(y), null(y), scale)


ten = generate.balanced_labels(10, machine)
first = {f"scale {w:g}": generate.generate(guided(w), ten, latent_codec, shape, machine, seed=5) for w in (1.0, 2.0, 4.0)}
viz.rows(
    first,
    scale=2,
    titles=list(data.FASHION_CLASSES),
    alt="Ten Fashion-MNIST images, one of each class, from the same noise at guidance scales 1, 2 and 4: they become crisper and more typical.",
)

# %% [markdown]
# The same noise, the same network, the same twenty steps; only one number differs. Where does it come from?
#
# ## A classifier that reads noisy latents
#
# Bayes' rule, in the form of gradients (the *scores* that a denoiser knows):
#
# $$\nabla \log p(x_t \mid y) = \nabla \log p(x_t) + \nabla \log p(y \mid x_t).$$
#
# So a model that has never heard of classes can be steered by a *classifier*, if that classifier can read $x_t$ at every noise level (Dhariwal & Nichol 2021).
# A small one on the 64 latent numbers trains in seconds. Beside it we train its twin, which is shown clean latents only, as any classifier from the shelf was. The last 5,000 training
# images are kept from both.
#
# **Predict.** How much noise can a latent bear before its class is lost? When the noise is as strong as the signal, is it a guess? And does the twin do any worse?

# %%
train_images, train_labels = data.fashion_mnist("train", machine.device)
test_images, test_labels = data.fashion_mnist("test", machine.device)
latents = codec.cache(latent_codec, train_images)
shown, held_out = (latents[:-5000], train_labels[:-5000]), (latents[-5000:], train_labels[-5000:])
readers = {
    "noise-trained": noisy_classifier.train_noisy_classifier(*shown, machine).ema,
    "clean-trained": noisy_classifier.train_noisy_classifier(*shown, machine, steps=1000, max_timestep=1).ema,
}

# %%
tested = codec.cache(latent_codec, test_images), test_labels
ts = [1, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]
accuracy = {name: noisy_classifier.accuracy_by_level(net, *tested, ts) for name, net in readers.items()}
curves = {name: (ts, [100 * a for a in values]) for name, values in accuracy.items()}
viz.lines(curves, xlabel="step t (cosine schedule)", ylabel="classes read correctly (%)", references={"guessing": 10}, alt="Accuracy of two classifiers on noisy latents against noise step: both above 80 percent with little noise. The one that was shown noise falls smoothly to ten percent, which is guessing, at pure noise; the other falls much earlier.")  # fmt: skip

# %%
read, twin = accuracy["noise-trained"], accuracy["clean-trained"]
book.claim("With next to no noise the classifier reads the test latents: accuracy", read[0], at_least=0.75)
book.claim("With as much noise as signal (t = 500) it still reads most", read[5], at_least=0.5)
book.claim("From pure noise it can only guess", read[-1], at_least=0.05, at_most=0.16)
book.claim("Its twin that never saw noise reads far less there: accuracy lost at t = 500", read[5] - twin[5], at_least=0.1)

# %% [markdown]
# <details><summary>The answer</summary>
#
# It is far from a guess. A class is spread over all 64 numbers, and noise on one is averaged away by the others: what is lost last is what the class shares. That is why
# guidance acts early in the walk, when a picture is still all noise to the eye. The twin could do the same averaging, but nothing ever taught it to.
#
# </details>
#
# ### Can its word be trusted?
#
# Guidance does not use the verdict, it uses $\log p(y \mid x_t)$: a *number*. A classifier that is twice as sure as it should be pushes about twice as hard as Bayes asks. It is
# *calibrated* if it is right in 70 % of the cases in which it is 70 % sure, and the expected calibration error (ECE) says how far it is from that. The usual medicine is one
# *temperature* by which all logits are divided, fitted on latents held out of training (Guo et al. 2017). Here it may differ from level to level.
#
# **Predict.** Most networks are too sure of themselves. Which of our two is, and at which levels?

# %%
knots = [1, 150, 300, 450, 600, 750, 900]
honest = {name: noisy_classifier.calibrate_by_level(net, *held_out, knots) for name, net in readers.items()}
errors = {name: noisy_classifier.calibration_error_by_level(net, *tested, ts) for name, net in readers.items()}
errors |= {name + ", calibrated": noisy_classifier.calibration_error_by_level(net, *tested, ts) for name, (net, _) in honest.items()}
floor = noisy_classifier.calibration_floor(honest["noise-trained"][0], tested[0], ts)

# %%
panels = viz.Panels(2, width=5.2)
curves = {name: (ts, [100 * e for e in values]) for name, values in (errors | {"floor": floor}).items()}
viz.draw_lines(panels[0], curves, xlabel="step t (cosine schedule)", ylabel="calibration error (%)", log="y")
fitted = {name: (knots, temperatures) for name, (_, temperatures) in honest.items()}
viz.draw_lines(panels[1], fitted, xlabel="step t (cosine schedule)", ylabel="temperature (1 = honest)", log="y")
panels.picture("Left: expected calibration error against noise step. The noise-trained classifier lies near the floor everywhere, calibrated or not; the one of clean latents rises to over 50 percent in noise and calibration brings it down. Right: the fitted temperatures, close to 1 for the former, rising above 10 for the latter.")  # fmt: skip

# %% [markdown]
# The floor is what 10,000 test latents can tell at all: the error of an honest classifier, whose classes are drawn from its own probabilities. Now the same at one level, as a
# *reliability diagram*: how often it is right against how sure it is.

# %%
panels = viz.Panels(2)
for i, (title, nets) in enumerate({"as trained": readers, "calibrated": {k: net for k, (net, _) in honest.items()}}.items()):
    curves = {}
    for name, one in nets.items():
        confidence, right, fraction = metrics.reliability_diagram(noisy_classifier.noisy_logits(one, tested[0], 600), test_labels)
        curves[name] = 100 * confidence[fraction > 0.002], 100 * right[fraction > 0.002]
    curves["honest"] = [0, 100], [0, 100]
    viz.draw_lines(panels[i], curves, xlabel="confidence (%)", ylabel="right (%)", title=f"t = 600, {title}")
panels.picture("Two reliability diagrams at step 600. As trained, the classifier that was shown noise lies on the diagonal; that of clean latents lies far below it: it is nearly sure and often wrong. Calibrated, both lie near the diagonal.")  # fmt: skip

# %%
reader, temperatures = honest["noise-trained"]
twin_reader, _ = honest["clean-trained"]
worst = {name: max(values) for name, values in errors.items()}
sentence = "A classifier trained on noise is honest as it is: its calibration error at the worst level"
book.claim(sentence, worst["noise-trained"], at_most=0.04)
book.claim("Calibrated by one temperature a level, it is at every level: the worst", worst["noise-trained, calibrated"], at_most=0.03)
book.claim("Its temperatures lie near 1: the largest distance", max(abs(T - 1) for T in temperatures), at_most=0.2)
book.claim("Its twin is sure of what it sees in noise: calibration error at the worst level", worst["clean-trained"], at_least=0.3)
book.claim("Temperatures repair most of the twin's error: what is left at the worst level", worst["clean-trained, calibrated"], at_most=0.2)
after = noisy_classifier.accuracy_by_level(twin_reader, *tested, [500])[0]
book.claim("Temperatures change no verdict: the twin's accuracy at t = 500, calibrated minus raw", after - twin[5], equals=0)

# %% [markdown]
# <details><summary>The answer</summary>
#
# Not the one that reads noise. It never sees the same noisy latent twice, so there is nothing to learn by heart, and what no one can tell it learns not to tell. For its twin noise is
# unheard-of, and it takes it for a very clear garment. Its temperatures repair the *confidence*, but not the *direction* of its gradient: dividing all logits by
# one number leaves the ranking of the classes, and with it the accuracy, as it was. What that means for guiding, we shall see below.
#
# </details>
#
# From here on we use the calibrated one that was shown noise.
#
# ### Where does it want ink?
#
# Its gradient points to where the latents look more like the wanted class. Tweedie's formula, $\nabla \log p(x_t) = (\alpha \hat x_0 - x_t) / \sigma^2$, turns a score
# into a move of $\hat x_0$, by the factor $\sigma^2 / \alpha$, so that the whole of classifier guidance is one line at the end of this function. Mind that factor: in the first of twenty steps it is about twenty thousand, in the second still above ten, and
# whatever is wrong with the gradient there is wrong that many times. That is why our classifier is given $\alpha\, x_t$ to read and not $x_t$: its gradient must fade with the signal.

# %%
claims.source(guidance.classifier_guide)

# %% [markdown]
# A gradient in latents means little to an eye, but the decoder can show it: decode $\hat x_0$, decode it again after a step along the gradient, and take the difference. Every step
# below has the same length.
#
# **Predict.** Here is a T-shirt, and we ask for a dress. Where does the classifier want ink, and where less?

# %%
start, wanted = tested[0][test_labels == data.FASHION_CLASSES.index("T-shirt/top")][:100], data.FASHION_CLASSES.index("dress")
y, eps = torch.full((100,), wanted, device=machine.device), generate.seeded_noise(100, shape, machine)
steps = [50, 200, 350, 500, 650, 800]
steps_to_dress = {}
for t in steps:
    level = recipes.make_schedule().level(t)
    x_t = level.alpha * start + level.sigma * eps
    steps_to_dress[t] = noisy_classifier.classifier_step(null(y), noisy_classifier.label_log_prob(reader, y), x_t, level, length=2.0)
before, after = (torch.stack([latent_codec.decode(steps_to_dress[t][i]) for t in steps]) for i in (0, 1))  # [levels, 100, 1, 32, 32]

# %%
one = 3
change = viz.signed(after[:, one] - before[:, one], limit=0.5)
groups = {"decoded x0_hat": before[:, one], "after the step": after[:, one], "ink wanted": change}
viz.rows(groups, titles=[f"t = {t}" for t in steps], scale=3, alt="A T-shirt seen through six levels of noise; the same after a step along the classifier's gradient towards dress; and the difference: less ink (blue) on both sleeves, more (orange) down the middle. At high noise, where the denoiser itself sees another item, ink is wanted and not wanted on that one.")  # fmt: skip

# %%
asked = [steps_to_dress[t][2].median().item() for t in steps]
viz.lines({"": (steps, asked)}, xlabel="step t (cosine schedule)", ylabel="length of Bayes' step (latent units)", log="y", alt="The length of the step that Bayes' rule asks for, against the noise step: a few hundredths at t = 50, above one from t = 350 on.")  # fmt: skip

# %%
evaluator = Evaluator(machine)
probabilities = {name: classifier.classify(evaluator.net, x)[1].softmax(1).mean(0) for name, x in (("before", before[2]), ("after", after[2]))}
more = (after[2] - before[2]).mean((0, 1, 2))  # at t = 350, all 100 T-shirts: ink wanted in each of the 32 columns of pixels
sleeves, middle = torch.cat([more[6:10], more[22:26]]).mean().item(), more[13:19].mean().item()
book.claim("For a dress the classifier wants less ink where T-shirts have their sleeves (pixels in -1…1)", sleeves, at_most=-0.01)
book.claim("For a dress it wants more ink down the middle of T-shirts (pixels in -1…1)", middle, at_least=0.01)
ratio = (probabilities["after"] / probabilities["before"])[wanted]
book.claim("The classifier of images, which never saw latents, agrees: a dress, after the step over before it (probability)", ratio, at_least=2.5)
still_seen = [classifier.classify(evaluator.net, before[i])[1].argmax(1).eq(0).float().mean() for i in (0, -1)]
book.claim("At t = 800 the denoiser has lost the T-shirts: fraction that it still sees, of those at t = 50", still_seen[1] / still_seen[0], at_most=0.6)
book.claim("Guidance acts early: Bayes' step at t = 800 over that at t = 50, medians", asked[-1] / asked[0], at_least=10)

# %% [markdown]
# <details><summary>The answer</summary>
#
# Off with the sleeves! And it speaks to what the denoiser believes at that moment: where the noise has turned the T-shirt into something else, that is what it would change into a
# dress. With little noise Bayes' rule asks for next to nothing (the last plot): it is too late, a T-shirt stays a T-shirt.
#
# </details>
#
# The same in the plane, where everything is known: two classes, each of two Gaussians. Nothing is learned here. The shade is the noisy density $p(x_t)$, the arrows are the gradient
# of the *perfect* classifier for the class on the left, whose two centres are the dots.

# %%
toy, plane, arrows = (guided_densities.two_class_mixture(), guided_densities.plane_grid(), guided_densities.plane_grid(side=11, half=2.2))
centres = toy.means.view(4, 2, 1, 1)  # two of the wanted class, two of the other
seen = {t: recipes.make_schedule().level(t) for t in (100, 400, 700)}
pulls = {t: guided_densities.classifier_gradient(toy, arrows.points, 0, level) for t, level in seen.items()}
panels = viz.Panels(3, width=3.2)
for i, (t, level) in enumerate(seen.items()):
    density = toy.log_prob(plane.points, level).exp().view(plane.side, plane.side)
    panels[i].imshow(density.numpy(), extent=plane.extent, origin="lower", cmap="Greys", vmax=2 * density.max())
    panels[i].quiver(*arrows.points.flatten(1).T.numpy(), *pulls[t].T.numpy(), color=viz.COLOURS[1], width=0.006)
    viz.draw_points(panels[i], {"": level.alpha * centres[:2]}, xlabel="x", ylabel="y", size=50)
    panels[i].set(title=f"t = {t}: longest arrow {pulls[t].norm(dim=1).max():.1f}", xlim=(-2.5, 2.5), ylim=(-2.5, 2.5))
panels.picture("The gradient of the perfect classifier over the noisy density at three noise levels: with little noise long arrows on the other class's side and none on its own; with much noise arrows everywhere, all to the left and of like length.")  # fmt: skip

# %%
at_rest = {}
for t, level in seen.items():
    hard = guided_densities.classifier_gradient(toy, level.alpha * centres, 0, level).norm(dim=1)
    at_rest[t] = (hard[:2].mean() / hard[2:].mean()).item()
first, last = at_rest[100], at_rest[700]
book.claim("With little noise (t = 100) a perfect classifier lets be what is in its class: pull there over that at the other", first, at_most=0.2)
book.claim("With much (t = 700) it pulls at what is right already nearly as hard: pull there over that at the other", last, at_least=0.5)

# %% [markdown]
# Keep that last picture in mind: it comes back below. Now whole walks with the garments' classifier, and with its twin (calibrated, too):

# %%
weak = frontier.weak_denoiser(net, machine)
methods, twin_methods = (frontier.guidance_methods(net, weak, partial(noisy_classifier.label_log_prob, one), machine) for one in (reader, twin_reader))
many = generate.balanced_labels(500, machine)
factories = {("noise-trained", w): methods["classifier"].factory(w) for w in (0.0, 1.0, 3.0)}
factories["clean-trained", 1.0] = twin_methods["classifier"].factory(1.0)
by_gradient = {k: evaluator.score(generate.generate(factory, many, latent_codec, shape, machine), many) for k, factory in factories.items()}
rows = [[*k, f"{score.agreement:.0%}", score.frechet] for k, score in by_gradient.items()]
claims.table(["classifier", "scale", "samples of the wanted class", "Fréchet distance"], rows)

# %%
hits = {k: score.agreement for k, score in by_gradient.items()}
none, bayes, blind = hits["noise-trained", 0.0], hits["noise-trained", 1.0], hits["clean-trained", 1.0]
book.claim("Without the gradient the unconditional model hits the wanted class by chance", none, at_least=0.03, at_most=0.2)
book.claim("The gradient alone, at Bayes' own scale 1, makes it hit: fraction", bayes, at_least=0.35)
book.claim("That of the clean-trained twin hits less: fraction, the noise-trained one's minus the twin's", bayes - blind, at_least=0.2)

# %% [markdown]
# ## Classifier-free: the classifier was in the denoiser all along
#
# Why train a second network? A model that was taught with and without labels holds an *implicit* classifier: by Bayes' rule, read backwards,
# $\nabla \log p(y \mid x_t) = \nabla \log p(x_t \mid y) - \nabla \log p(x_t)$. Weigh it by $w$ and put it in:
#
# $$\nabla \log p(x_t) + w \, \nabla \log p(y \mid x_t)
#  \;=\; \underbrace{\nabla \log p(x_t)}_{\text{ref}} + w \, \big(\underbrace{\nabla \log p(x_t \mid y)}_{\text{main}} - \underbrace{\nabla \log p(x_t)}_{\text{ref}}\big).$$
#
# $\hat x_0$ is a linear function of the score, so the same line holds for denoisers (Ho & Salimans 2022). Here it is, with all that was ever
# added to it:

# %%
claims.source(guidance.guide, guidance.guidance_interval)

# %% [markdown]
# ### One scale, several conventions
#
# Half of the confusion about guidance is about where it is *off*. In this workbook, as in diffusers, EDM2 and DiT, `guidance_scale` 1 is off. In the paper of Ho & Salimans the
# weight $w$ is off at 0. (In *our* formulas, above and below, $w$ is the scale itself, off at 1.) Two converters, and a check that scale 1 changes not a single bit:

# %%
# NBVAL_CHECK_OUTPUT
print("guidance_scale here, in diffusers, EDM2, DiT   w of Ho & Salimans 2022   what it means")
for scale, meaning in {0.0: "unconditional", 1.0: "conditional, no guidance", 1.5: "", 3.0: "", 7.5: "Stable Diffusion's default"}.items():
    w = guidance.w_from_scale(scale)
    assert guidance.scale_from_w(w) == scale
    print(f"{scale:44.1f}   {w:23.1f}   {meaning}".rstrip())

# %%
x_T = generate.seeded_noise(10, shape, machine)
level = recipes.make_schedule().level(500)
same = torch.equal(guided(1.0)(ten)(x_T, level), cond(ten)(x_T, level))
book.claim("Scale 1 is the conditional model, bit for bit", same, equals=1)
# %% [markdown]
# ## What does it really sample?
#
# It is often said that guidance samples the *sharpened* density $p(x)\, p(y \mid x)^w$: like the class, but more so. It reads off the formula
# above... if that formula held at every noise level at once. Let us see, on the two classes in the plane, where both denoisers are exact. Nothing is learned, and nothing is
# drawn at random either: the density that guidance samples can be *computed*, for any denoiser. A sampler's walk is a flow $\dot x = v$, and along a flow the density changes by its divergence
# (Song et al. 2021, eq. 39). So walk from each point of the plane back up to pure noise, whose density is known, and add up the divergence on the way:

# %%
claims.source(guided_densities.log_density)

# %% [markdown]
# **Predict.** At $w = 4$, how much of the two densities do you expect to overlap? And on which side will guidance have too much?

# %%
scales = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
said = {w: guided_densities.sharpened_density(toy, plane, 0, w) for w in scales}
found = {w: guided_densities.sampled_density(guided_densities.exact_guidance(toy, 0, w), plane) for w in scales}
points = guided_densities.sample_points(guided_densities.exact_guidance(toy, 0, 4.0), n=400)

# %%
panels = viz.Panels(3, width=3.7)
for i, density in enumerate((said[4.0], found[4.0])):
    panels[i].imshow(density.numpy(), extent=plane.extent, origin="lower", cmap="Greys", vmax=0.014)
panels[0].set(title="p(x) p(y | x)⁴: what is said")
viz.draw_points(panels[1], {"": points}, title="what guidance samples, w = 4", size=3)
apart = viz.signed((found[4.0] - said[4.0]).view(1, 1, plane.side, plane.side))[0].permute(1, 2, 0).numpy()
panels[2].imshow(apart, extent=plane.extent, origin="lower")
panels[2].set(title="too much (orange), too little (blue)")
for axes in panels.axes:
    axes.axvline(-1, color="#555555", linestyle="--", linewidth=1)
    axes.set(xlabel="x", ylabel="y", xlim=(-2.6, 1.6), ylim=(-2.1, 2.1))
panels.picture("Left: the sharpened density at w = 4, two blobs left of the middle. Centre: what guidance samples, two tighter blobs further left, with a sampler's dots upon them. Right: their difference: too much beyond x = -1, too little between there and the other class.")  # fmt: skip

# %%
gaps = {w: guided_densities.total_variation(found[w], said[w]) for w in scales}
viz.lines({"": (list(scales), [100 * gap for gap in gaps.values()])}, xlabel="guidance scale w (1 = none)", ylabel="mass that lies elsewhere (%)", alt="Total variation between what guidance samples and the sharpened density, against the scale: zero at 0 and at 1, a little between, rising to over half of all mass at 4.")  # fmt: skip

# %%
beyond = plane.points[:, 0, 0, 0] < -1  # further out than either of the class's own centres
middles = {w: [plane.mean(p)[0].item() for p in (said[w], found[w])] for w in scales}
sides = {w: [p.flatten()[beyond].sum().item() for p in (said[w], found[w])] for w in scales}
rows = [[w, gaps[w], found[w].sum().item(), *middles[w], *(f"{fraction:.0%}" for fraction in sides[w])] for w in scales]
columns = ["scale", "total variation (0 same, 1 apart)", "mass of the guided density", "mean x, sharpened", "mean x, guided"]
claims.table([*columns, "beyond x = -1, sharpened", "beyond x = -1, guided"], rows)

# %%
book.claim("At scale 1, exact denoisers sample the class's own density: total variation", gaps[1.0], at_most=1e-3)
book.claim("At scale 0 they sample all classes as they are: total variation", gaps[0.0], at_most=1e-3)
book.claim("What guidance samples, integrated at w = 4, is a density: its mass", found[4.0].sum(), at_least=0.999, at_most=1.001)
book.claim(
    "Guidance samples the sharpened density p(x) p(y|x)^w (total variation at w = 4)",
    gaps[4.0],
    at_most=0.1,
    expected=False,
    reason="sharpening and adding noise do not commute: no process adds noise to the sharpened density and has these scores",
)

# %%
book.claim("It overshoots away from the other class: mean of x, sharpened minus guided, at w = 4", middles[4.0][0] - middles[4.0][1], at_least=0.35)
book.claim("What is too much lies beyond the class's own centres: fraction of samples there, guided minus sharpened", sides[4.0][1] - sides[4.0][0], at_least=0.4)
tail = guided_densities.mass_outside(found[4.0], said[1.0])
book.claim("It leaves the data behind: where only 1 % of the class lies, guidance puts this many times as much", tail / 0.01, at_least=1.5)

# %% [markdown]
# <details><summary>The answer</summary>
#
# More than half of its mass lies elsewhere: it overshoots. The scores that guidance adds up are those of the noisy densities $p(x_t)$ and $p(x_t \mid y)$. Sharpen each of these at its level, and the results
# are not the noisy versions of one sharpened density. At high noise the two classes are blurred over one another, and the push away from the
# other class reaches even those points that are in the right place (the arrows above). At scales 0 and 1 nothing is sharpened, and the two agree. (Worked out by Bradley & Nakkiran 2024 and by Karras
# et al. 2024, whose toy this resembles.)
#
# The smallest example fits on a napkin. Let the class be $\mathcal N(0, s_1^2)$ and everything $\mathcal N(0, s_0^2)$. Sharpening adds up precisions, $1/s^2 = w/s_1^2 + (1 - w)/s_0^2$. The guided
# flow in $r = \sigma/\alpha$, $\mathrm dy/\mathrm dr = r\,y\,\big(\tfrac{w}{s_1^2 + r^2} + \tfrac{1 - w}{s_0^2 + r^2}\big)$, with $y = x_t / \alpha_t$, a point and not a class, multiplies *widths*: $s = s_1^{\,w} s_0^{\,1 - w}$. The cell below holds the
# integration against it.
#
# So a large scale is not "more of the class". It is "less of everything else", and it leaves the data behind. The garments below show the same.
#
# </details>

# %%
s1, s0, w = 0.6, 1.0, 4.0
narrow, wide = (gaussian_mixture.gaussian_mixture(torch.zeros(1, 2, dtype=torch.float64), s) for s in (s1, s0))
log_p = guided_densities.log_density(guidance.guide(narrow.denoiser(), wide.denoiser(), w), torch.zeros(1, 2, 1, 1))
width = math.exp(-log_p.item() / 2) / math.sqrt(2 * math.pi)  # a Gaussian in the plane has density 1 / (2π s²) in its middle
sharp = (w / s1**2 + (1 - w) / s0**2) ** -0.5
print(f"width at w = {w:g}: guided {width:.4f}, by the formula {s1**w * s0 ** (1 - w):.4f}, sharpened {sharp:.4f}")
book.claim("On one Gaussian inside another, guidance multiplies widths: integrated over s1^w s0^(1-w)", width / (s1**w * s0 ** (1 - w)), at_least=0.99, at_most=1.01)

# %% [markdown]
# ## The frontier
#
# Which scale is best? Best *for what*? Guidance trades one good for another, so we draw the trade. Five kinds, one line of code each:
#
# - **classifier**: the unconditional model and the gradient of the small network above;
# - **classifier-free**: the formula as it stands;
# - **in an interval**: the same, but only at middle noise levels, where noise over signal lies between 0.2 and 3 (Kynkäänniemi et al. 2024);
# - **rescaled**: the guided $\hat x_0$ is brought back to the unguided one's contrast (Lin et al. 2023);
# - **autoguidance**: the reference is not the unconditional model but a *bad* one, the same network after very little training (Karras et al. 2024).
#
# The classifier's scale counts otherwise: it steers a model that knows no classes, so 0 is none, and 1 is Bayes' rule.
#
# To be fair, every kind may ask a denoiser **20 times** for each sample, and no more. Who asks two denoisers at every level can afford 10 steps; who asks the second one at middle levels only, 12; who
# asks one, 20. Each point is 500 samples from each of **three** seeds, with the spread of the three as its error bar.
#
# **Predict.** Raise the scale of plain classifier-free guidance from 1 to 5. What happens to the share of right classes, to the Fréchet distance, and to the recall? Which of
# the other four kinds will beat it, and in what?

# %%
experiment = frontier.GuidanceExperiment(latent_codec, evaluator)
plan = {
    "classifier": (1.0, 2.0, 4.0),
    "classifier-free": (1.0, 1.5, 2.0, 3.0, 5.0),
    "in an interval": (1.5, 2.0, 3.0, 5.0),
    "rescaled": (2.0, 3.0, 5.0),
    "autoguidance": (1.5, 2.0, 3.0),
}
curves = {name: experiment.sweep(methods[name], scales) for name, scales in plan.items()}

# %%
panels = viz.Panels(3, width=3.7, height=3.8)
for axes, measure, label in ((panels[0], "frechet", "Fréchet distance (less is better)"), (panels[1], "agreement", "of the wanted class (fraction)")):
    drawn = {name: ([p.scale for p in ps], [p.mean(measure) for p in ps], [p.std(measure) for p in ps]) for name, ps in curves.items()}
    viz.draw_lines(axes, drawn, xlabel="guidance scale (1 = none; classifier: 0)", ylabel=label)
trade = {name: ([p.mean("recall") for p in ps], [p.mean("precision") for p in ps], [p.std("precision") for p in ps]) for name, ps in curves.items()}
viz.draw_lines(panels[2], trade, xlabel="recall (fraction of real images covered)", ylabel="precision (fraction that looks real)")
panels.picture(
    "Three panels for five guidance methods. Fréchet distance falls a little in an interval, for autoguidance and at first for the classifier, and else rises with the scale; the fraction of the wanted class rises; precision is bought with recall."
)

# %%
measures = {"frechet": "Fréchet distance", "agreement": "wanted class", "precision": "precision", "recall": "recall", "diversity": "diversity (real = 1)"}
digits = {"frechet": 1}
rows = [
    [name, f"{p.scale:g}", p.steps, *(f"{p.mean(m):.{digits.get(m, 2)}f} ± {p.std(m):.{digits.get(m, 2)}f}" for m in measures)] for name, ps in curves.items() for p in ps
]
claims.table(["guidance", "scale", "steps", *measures.values()], rows, title="20 network calls a sample; mean and standard deviation over three seeds of 500 samples")

# %%
at = {name: {p.scale: p for p in ps} for name, ps in curves.items()}
free, middle, auto = at["classifier-free"], at["in an interval"], at["autoguidance"]
plain = free[1.0].mean("frechet")
best = {name: min(p.mean("frechet") for p in ps) for name, ps in curves.items()}
book.claim("Guidance makes the class right: fraction at scale 2", free[2.0].mean("agreement"), at_least=0.93)
book.claim("… more often than unguided: difference", free[2.0].mean("agreement") - free[1.0].mean("agreement"), at_least=0.04)
book.claim("Guidance brings the samples nearer to the real ones: Fréchet distance, unguided over the best of classifier-free", plain / best["classifier-free"],
           at_least=1.05, expected=False, reason="at equal calls it has half the steps, and what it gains in failures it loses in variety")  # fmt: skip
book.claim("In an interval it does: unguided over the best", plain / best["in an interval"], at_least=1.03)
book.claim("So does autoguidance: unguided over the best", plain / best["autoguidance"], at_least=1.05)
book.claim(
    "… which makes fewer classes right than classifier-free guidance at scale 2: difference", free[2.0].mean("agreement") - auto[2.0].mean("agreement"), at_least=0.03
)
book.claim("… and keeps more variety: recall, difference", auto[2.0].mean("recall") - free[2.0].mean("recall"), at_least=0.05)
book.claim("Too much is worse than none: classifier-free at scale 5 over unguided", free[5.0].mean("frechet") / plain, at_least=1.8)
# %%
rise, unsure = free[5.0].mean("frechet") - plain, max(free[5.0].std("frechet"), free[1.0].std("frechet"))
book.claim("The classifier steers a model that knows no classes: fraction at scale 4", at["classifier"][4.0].mean("agreement"), at_least=0.6)
book.claim(
    "… but less surely than the denoiser steers itself: classifier-free at 2, difference",
    free[2.0].mean("agreement") - at["classifier"][2.0].mean("agreement"),
    at_least=0.02,
)
book.claim("What scale 5 costs is no accident of a seed: rise of the Fréchet distance over the larger standard deviation", rise / unsure, at_least=5)
# %% [markdown]
# <details><summary>The answer</summary>
#
# The share of right classes rises and stays up. Recall falls from the first step on: what guidance removes first are the failures, and with them the rare. At scale 1.5 the two nearly cancel in the
# Fréchet distance; from there on few failures are left to remove, and it only rises. **In an interval** the same push costs less: the early levels, where it would throw
# whole modes away, are left alone (and, asking the second model less often, it has more steps to spend). **Autoguidance** does another thing altogether: it pushes away from *bad pictures* and not from *other classes*, so variety
# falls least, and the share of right classes hardly moves. (The best of these two lie below the unguided distance by less than the spread of three seeds: take it as a hint.) **Rescaling** brings back the contrast, and a part of the distance with it. The **classifier** is honest work by a second network, which sees less than the denoiser does.
#
# </details>
#
# ## The dark side
#
# The eye sees it before the metrics: strong guidance burns.

# %%
loud = {"unguided": (methods["classifier-free"], 1.0), "scale 5": (methods["classifier-free"], 5.0),
        "rescaled": (methods["rescaled"], 5.0), "in an interval": (methods["in an interval"], 5.0)}  # fmt: skip
burnt = {name: generate.generate(method.factory(w), ten, latent_codec, shape, machine, levels=method.affordable_levels(w), seed=11) for name, (method, w) in loud.items()}
viz.rows(
    burnt,
    scale=2,
    titles=list(data.FASHION_CLASSES),
    alt="Ten Fashion-MNIST images from the same noise: unguided; at scale 5 harsh, white and simplified; rescaled softer again; in an interval nearer to the first row.",
)

# %%
dark = {"unguided": free[1.0], "scale 5": free[5.0], "rescaled": at["rescaled"][5.0], "in an interval": middle[5.0]}
shown = {
    "saturation": "white pixels (real = 1)",
    "contrast": "contrast (real = 1)",
    "diversity": "diversity (real = 1)",
    "recall": "recall",
    "frechet": "Fréchet distance",
}
claims.table(["guidance", *shown.values()], [[name, *(f"{p.mean(m):.2f} ± {p.std(m):.2f}" for m in shown)] for name, p in dark.items()])
book.claim("Scale 5 saturates: white pixels over those of real images", dark["scale 5"].mean("saturation"), at_least=2.5)
book.claim("… and has more contrast than real images", dark["scale 5"].mean("contrast"), at_least=1.05)
book.claim("… and loses variety: diversity over the unguided one's", dark["scale 5"].mean("diversity") / dark["unguided"].mean("diversity"), at_most=0.8)
book.claim(
    "Rescaling repairs the saturation: white pixels over those of plain guidance", dark["rescaled"].mean("saturation") / dark["scale 5"].mean("saturation"), at_most=0.5
)
book.claim("… and the contrast: difference from real images", abs(dark["rescaled"].mean("contrast") - 1), at_most=0.05)
book.claim(
    "The interval repairs more of the variety than rescaling does: diversity, difference",
    dark["in an interval"].mean("diversity") - dark["rescaled"].mean("diversity"),
    at_least=0.02,
)
book.claim("… and less of the saturation: white pixels, ratio", dark["in an interval"].mean("saturation") / dark["rescaled"].mean("saturation"), at_least=1.1)
# %% [markdown]
# Both cures help against both ills, but not equally. Rescaling mends the *looks* better: white pixels, contrast. The interval mends the *variety* better: diversity and recall, for it leaves alone the levels at which guidance decides
# which garments are drawn.
#
# ## Turn it by hand
#
# Two sliders: the scale, and at which noise levels guidance is on. Left, ten garments from one fixed noise. Right, where that setting lies: how often the class is right, and how much of the real garments'
# variety is covered (recall). Up and to the right would be best.
#
# **Predict.** Guidance at *high* noise only, at *middle* noise only, at *low* noise only: which of them makes the class right? Which costs variety?

# %%
stops = (1.0, 1.5, 2.0, 3.0, 5.0)
parts = {name: frontier.interval_guidance(name, net, interval, machine) for name, interval in frontier.INTERVALS.items()}
once = frontier.GuidanceExperiment(latent_codec, evaluator, seeds=(0,))
swept = {name: once.sweep(method, stops) for name, method in parts.items()}
turned = {
    (name, w): generate.generate(method.factory(w), ten, latent_codec, shape, machine, levels=method.affordable_levels(w), seed=11)
    for name, method in parts.items()
    for w in stops
}

# %%
panels = viz.Panels(1, width=3.8, height=3.6)
drawn = {name: ([p.mean("agreement") for p in ps], [p.mean("recall") for p in ps]) for name, ps in swept.items()}
viz.draw_lines(panels[0], drawn, xlabel="of the wanted class (fraction)", ylabel="recall (fraction)")
picture, chart = (
    panels.picture(
        "Recall against the fraction of right classes, one line for each interval: high noise buys classes with much variety, middle noise with less, low noise does little."
    ),
    viz.Map(panels),
)


def at_scale(guidance_scale, guided_at):
    point = swept[guided_at][stops.index(guidance_scale)]
    agreement, recall = point.mean("agreement"), point.mean("recall")
    page = viz.side_by_side(viz.tile(turned[guided_at, guidance_scale], 4, 3), chart.at(agreement, recall))
    return viz.encode(page), f"scale {guidance_scale:g} at {guided_at}: the class is right in {agreement:.0%}, recall {recall:.2f}"


picture

# %%
slider = widgets.image_slider(
    at_scale,
    guidance_scale=stops,
    guided_at=list(parts),
    alt="Ten Fashion-MNIST images from fixed noise, and a dot on the plot of recall against right classes, for the scale and the noise levels of the sliders.",
)
slider

# %%
print(slider.set(guidance_scale=5.0, guided_at="high noise"))
print(slider.set(guidance_scale=5.0, guided_at="low noise"))
book.claim("A position of these sliders is drawn in less than a second here", slider.latency(), at_most=1000, unit="ms")
five = {name: ps[-1] for name, ps in swept.items()}
book.claim("At scale 5, high noise alone makes the class right: fraction", five["high noise"].mean("agreement"), at_least=0.93)
book.claim("… at the price of recall: unguided minus guided there", free[1.0].mean("recall") - five["high noise"].mean("recall"), at_least=0.15)
book.claim("The middle makes it right as well: fraction", five["middle"].mean("agreement"), at_least=0.93)
book.claim("… for less: recall, middle minus high noise", five["middle"].mean("recall") - five["high noise"].mean("recall"), at_least=0.02)
book.claim("Low noise alone does little for the class: fraction minus the unguided one", five["low noise"].mean("agreement") - free[1.0].mean("agreement"), at_most=0.08)
# %% [markdown]
# <details><summary>The answer</summary>
#
# At high noise the walk decides *which* garment of its class it will draw, and a push there herds all samples to the most typical one. At low noise all is decided, and there is little left to push. In between the class is still open
# enough to be mended, and the variety is already dealt out. That is why the interval wins.
#
# </details>
#
# ## Six broken runs
#
# A diffusion model seldom crashes. It draws something, and the something is grey, or dull, or of the wrong kind, or quite good but not as good as it might be. Six runs are broken
# below. All have the pipeline of this chapter, the same noise, twenty steps and scale 2, and in each of them **one part is wrong**. Every one of these faults has been made by
# people who knew what they were doing. In no particular order:
#
# - latents not scaled back before decoding,
# - the wrong null label,
# - too large a step at the end of the walk,
# - the two terms of the guidance swapped,
# - the network is told the wrong $t$: that of the next step,
# - the average of the weights (EMA) was never updated.
#
# One thing was changed for the healthy run, too. Chapter 3's VAE pays for its KL in full, so its latents have nearly unit variance as they come, and who forgets to scale them is hardly
# punished. Stable Diffusion's VAE hardly pays for its KL. So here the VAE's latents are told in units that make them 5.5 times as large, as they are there. Its pictures are the same.

# %%
healthy = failure_modes.healthy(machine)
broken_runs = {letter: failure_modes.broken_run(letter, machine) for letter in failure_modes.LETTERS}
runs = {"healthy": healthy, **broken_runs}
viz.rows(
    {name: run.images() for name, run in runs.items()},
    scale=2,
    titles=list(data.FASHION_CLASSES),
    alt="Ten Fashion-MNIST images, one of each class, by a healthy run and by the runs A to F from the same noise. A and B look nearly healthy, C is grey and blurred, D draws nothing recognisable, E is a little off, F draws items of other classes.",
)

# %% [markdown]
# **Predict.** Which is which? Write six letters next to the six faults *before* you continue. Two or three are easy. For the others, say what you would measure, and what it would read.
#
# Here is a run, with all of its parts:

# %%
claims.source(failure_modes.Run)

# %% [markdown]
# ### The probes
#
# Pictures come last, after everything else has had its say. A probe looks at *one joint between two parts* and takes a number there. Choose a broken run, run the cells, choose the next.

# %%
letter = "A"

broken = broken_runs[letter]
both = {"healthy": healthy, letter: broken}

# %% [markdown]
# **What enters the decoder?** For each channel, its standard deviation over that of the latents on which the VAE was trained. A healthy run reads a little above 1, since guidance spreads the latents: compare with its row.

# %%
entering = [[name, *failure_modes.decoder_input_statistics(run, test_images[:500])[1].tolist()] for name, run in both.items()]
claims.table(["run", *(f"channel {c} (1 = as encoded)" for c in range(4))], entering)

# %% [markdown]
# **Does guidance help?** The share of garments of the wanted class should rise with the scale. **And what does it point away from?** At scale 0 only the reference draws: it should draw a bit of everything.

# %%
followed = [[name, *failure_modes.agreement_by_scale(run, evaluator), *failure_modes.reference_class(run, evaluator)] for name, run in both.items()]
claims.table(["run", "of the wanted class, scale 0", "scale 1", "scale 2", "most frequent at scale 0", "its fraction"], followed)

# %% [markdown]
# **How is the walk paced?** How far $x_t$ moves in each step, root mean square.

# %%
paces = {name: (list(range(1, len(failure_modes.step_sizes(run)) + 1)), failure_modes.step_sizes(run)) for name, run in both.items()}
viz.lines(
    paces,
    xlabel="sampling step",
    ylabel="distance that x_t moves (1)",
    alt="How far the latents move in each sampling step, for the healthy run and the chosen broken run.",
)

# %% [markdown]
# **Has the network learned anything?** Its error on noised test latents, in $v$, where 1 is what a network has that says nothing. **Is its clock right?** By how many steps must one correct the $t$ that it is told, so that its
# error is least? No picture is drawn for these two.

# %%
some = (tested[0][:300], test_labels[:300])
errors = [[name, *(failure_modes.denoising_error(run, *some, t=t) for t in (100, 500, 900)), failure_modes.timestep_offset(run, *some)] for name, run in both.items()]
claims.table(["run", "error at t = 100", "t = 500", "t = 900", "correction of t (steps)"], errors)

# %% [markdown]
# Do you have all six? Then unfold.
#
# <details><summary>Run A</summary>
#
# **Too large a step at the end.** The walk starts as the healthy one does, and then leaves from where noise and signal are equally strong *straight to clean data*. What it finds there is $\hat x_0$, the average of all garments
# that fit, and an average has less spread than the healthy walk's end. Held against 1 alone you would not have seen it; the last step of the walk shows it at once. The judge does not mind: averages are typical. *Cure:* look at the last levels of the list that the sampler really visits, and not at the number of steps that you asked for.
# *Seen:* lists of levels cut short or with a wrong last entry; diffusers' multistep solver repeated its last noise level, so that its last step did nothing and noise was left (issue 5689, pull request 6477).
#
# </details>
#
# <details><summary>Run B</summary>
#
# **Off by one in $t$.** At every level of the grid the network is told the $t$ of the next. Its error hardly rises, so the judge does not see it. Its last step is shorter than the healthy one's, which tells that *something* is off; *what* is off only the clock says, since with noise that you added *yourself* you know the right $t$. Off by
# one in a thousand (counting from 0 or from 1) is beyond measuring; off by one *stride* is not. *Cure:* test the sampler on a denoiser that is known exactly, as in chapter 4. *Seen:* in nearly every library once; in diffusers
# issues 444, 465 and 5921 are about it.
#
# </details>
#
# <details><summary>Run C</summary>
#
# **Latents not scaled before decoding.** The walk is healthy to its end, and then the decoder is handed latents of unit variance that it would like 5.5 times as large: it sees something close to the average of everything, and draws that. *Cure:* let one
# object own both directions, as the codec does here, and measure its statistics. *Seen:* diffusers' unconditional latent pipeline (issue 5166). With a VAE whose latents are near unit variance anyway the same fault lies there unnoticed, as it would with chapter 3's.
#
# </details>
#
# <details><summary>Run D</summary>
#
# **EMA never updated.** The training log was fine: it shows the network that trained. What draws is the average, and the average still holds the weights of before the first step. Its last layer is zero, so $v$ is 0 and the walk stands still:
# what is decoded is the noise it started from. Mark that its *latents* have the right spread! *Cure:* compare the loss of the average with that of the last weights, once, early. *Seen:* diffusers' training script for SDXL made an average and never
# updated it (issue 5783).
#
# </details>
#
# <details><summary>Run E</summary>
#
# **The wrong null label.** It took label 0, and label 0 is T-shirt. So T-shirts are pushed away from T-shirts, which is to say not at all, and all others are pushed away from T-shirts. Agreement with the prompt is none the worse for it. *Cure:* draw at
# scale 0, and look. *Seen:* wherever "none" is a convention: the last label in DiT and here, the embedding of the empty text in Stable Diffusion, an embedding of zeros in SDXL (`force_zeros_for_empty_prompt`).
#
# </details>
#
# <details><summary>Run F</summary>
#
# **Swapped guidance terms.** $\text{main} + w\,(\text{ref} - \text{main})$: off at 0 instead of 1, and at scale 2 it draws anything but what you asked for. The garments are fine, they are only the wrong ones, and no measure of quality alone would notice. *Cure:* turn
# the scale and see which way the agreement goes. *Seen:* a batch holds both halves, and DiT puts the conditional one first, diffusers last; OneTrainer had the one order for one of SDXL's text encoders and the other for the other (issue 775).
#
# </details>
#
# ### One table
#
# Six probes, seven runs. Read it by columns: in each, the run with that fault reads furthest from the healthy one. Some faults show in other columns, too.

# %%
diagnoses = {name: failure_modes.diagnose(run, evaluator, test_images[:500], *some) for name, run in runs.items()}
claims.table(["run", *diagnoses["healthy"]], [[name, *readings.values()] for name, readings in diagnoses.items()])

# %%
shifts = list(range(-100, 101, 25))
corrected = {name: (shifts, [failure_modes.denoising_error(runs[name], *some, t=300, shift=s) for s in shifts]) for name in ("healthy", "B")}
paces = {name: (list(range(1, len(failure_modes.step_sizes(runs[name])) + 1)), failure_modes.step_sizes(runs[name])) for name in ("healthy", "A", "D")}
panels = viz.Panels(2)
viz.draw_lines(panels[0], paces, xlabel="sampling step", ylabel="distance that x_t moves (1)")
viz.draw_lines(panels[1], corrected, xlabel="correction of the t that the network is given (steps)", ylabel="error at t = 300 (1 = no training)")
panels.picture(
    "Left: distance moved in each sampling step: even for the healthy run, next to nothing for D, and for A a last step many times as long as the others. Right: error against correction of t, least at 0 for the healthy run and at plus 50 for B."
)


# %%
def reads(probe, letter):
    (name,) = (n for n in diagnoses["healthy"] if n.startswith(probe))
    return diagnoses[letter][name], [readings[name] for other, readings in diagnoses.items() if other != letter]


a, rest = reads("last step", "A")
book.claim("A leaps at the end: its last step over the longest of the other runs, times", a / max(rest), at_least=4)
b, rest = reads("timestep", "B")
book.claim("B's timestep is behind by one stride of the grid", b, equals=failure_modes.STRIDE, unit="steps")
book.claim("And no other run's is behind or ahead: largest correction", max(map(abs, rest)), equals=0, unit="steps")
c, rest = reads("std", "C")
book.claim("C's decoder is handed too small latents: standard deviation over the smallest of the other runs, times", c / min(rest), at_most=0.4)

# %%
d, rest = reads("error", "D")
book.claim("D has learned nothing: error over the largest of the other runs, times", d / max(rest), at_least=1.3)
e, rest = reads("most frequent", "E")
book.claim("E's reference draws one class: its fraction over the largest of the other runs, times", e / max(rest), at_least=1.3)
f, rest = reads("agreement", "F")
book.claim("F gets worse by guidance: agreement gained", f, at_most=-0.4)
book.claim("And no other run does: least agreement gained", min(rest), at_least=-0.1)
# %% [markdown]
# What the eye missed, and why one measures:

# %%
agreed = {name: failure_modes.agreement_by_scale(run, evaluator, (2.0,))[0] for name, run in runs.items()}
book.claim("A, B and E draw what is asked for as well as the healthy run: least difference", min(agreed[k] for k in "ABE") - agreed["healthy"], at_least=-0.1)
stds = {name: next(iter(readings.values())) for name, readings in diagnoses.items()}
book.claim("A's latents have a smaller standard deviation than the healthy run's, as averages have: times", stds["A"] / stds["healthy"], at_most=0.98)
book.claim("D's latents have the right standard deviation although they mean nothing", stds["D"], at_least=0.85, at_most=1.15)
least, most = (float(f(latent_codec.latents_std)) for f in (torch.min, torch.max))
book.claim("Chapter 3's own latents would have hidden C's fault: their least standard deviation", least, at_least=0.6)
book.claim("And their largest", most, at_most=1.6)
one, healthy_error, late_error = (
    failure_modes.denoising_error(run, *some, t=100) for run in (replace(healthy, reported_timestep=lambda t: t - 1), healthy, broken_runs["B"])
)
book.claim("Off by one in a thousand is beyond measuring: error over the healthy one's", one / healthy_error, at_least=0.99, at_most=1.01)
book.claim("Even a full stride costs little: error over the healthy one's", late_error / healthy_error, at_least=1.0, at_most=1.2)
# %%
between = {
    "E does not guide T-shirts at all: largest difference between its latents at scales 1 and 2": (
        failure_modes.sample_latents(broken_runs["E"], 1.0).latents[::10],
        failure_modes.sample_latents(broken_runs["E"]).latents[::10],
    ),
    "F at scale 0 is the healthy run at scale 1, the terms are swapped: largest difference": (
        failure_modes.sample_latents(broken_runs["F"], 0.0).latents,
        failure_modes.sample_latents(healthy, 1.0).latents,
    ),
    "C's trajectory is the healthy one to its end: largest difference": (
        failure_modes.sample_latents(broken_runs["C"]).latents,
        failure_modes.sample_latents(healthy).latents,
    ),
}
for sentence, (these, those) in between.items():
    book.claim(sentence, float((these - those).abs().max()), at_most=0.05)
units = healthy.images() - latent_codec.decode(failure_modes.sample_latents(healthy).latents[:10])
book.claim("The VAE in other units draws the same images: largest difference of a pixel", float(units.abs().max()), at_most=0.05)
book.claim("A leaps from where noise is as strong as signal: one over the other", broken_runs["A"].levels[-2].ratio, at_least=0.9, at_most=1.1)
book.claim("D's x_t stands still: its longest step", max(failure_modes.step_sizes(broken_runs["D"])), at_most=0.02)
# %% [markdown]
# ## The flagship: teddies to order
#
# All that the five chapters built, in one picture: the VAE of 64×64 teddies (chapter 3's recipe, 12,288 numbers to 256), a denoiser in its latent space that is told five factors
# (chapter 4), and guidance. It was trained on two cores of the authors' machine in about an hour, on 24,000 drawn teddies of which *no* one showed certain combinations of factors: a tenth of all that there are.
#
# **Predict.** A judge of its own reads the five factors back from a picture; all five must be right. How often, unguided? Guided? And for combinations that the denoiser has never seen?

# %%
model = text_to_image.load(machine)
reader = recipes.load_or_train("teddies-reader", machine)
asked = {"seen": prompt_adherence.sample_prompts(128, 51), "never seen": prompt_adherence.sample_prompts(128, 52, unseen=True)}
strengths = (1.0, 3.0, 8.0)
followed = {(which, w): prompt_adherence.adherence(reader, model.sample(y, scale=w), y) for which, y in asked.items() for w in strengths}
claims.table(
    ["combination", "guidance scale", *teddies.SEMANTIC, "all five"],
    [[which, w, *(f"{x:.2f}" for x in fractions.values())] for (which, w), fractions in followed.items()],
    title="Fraction of 128 images in which the reader finds what was asked for",
)

# %%
renders, truth = teddies.dataset(500, 53, device=machine.device)
on_renders = prompt_adherence.adherence(reader, to_float(renders), truth.labels())
print(f"all five read right from real renders: {on_renders['all']:.3f}")
book.claim("The reader itself reads all five factors of rendered teddies: fraction", on_renders["all"], at_least=0.97)
book.claim("Guided (scale 3), all five are right, of combinations seen: fraction", followed["seen", 3.0]["all"], at_least=0.9)
book.claim("… and of combinations never seen", followed["never seen", 3.0]["all"], at_least=0.8)
both = {w: sum(followed[which, w]["all"] for which in asked) / 2 for w in strengths}
book.claim("Unguided it follows nearly as well: fraction, both sets together", both[1.0], at_least=0.9)
book.claim("Guidance has little to add to that: fraction at scale 3 minus unguided", both[3.0] - both[1.0], at_least=-0.03, at_most=0.1)
book.claim("Scale 8 breaks images, and prompt adherence with them: fraction at scale 3 minus at scale 8", both[3.0] - both[8.0], at_least=0.03)
began = time.perf_counter()
model.generate("one brown teddy bear", n=16, steps=10)
book.claim("Sixteen guided teddies of 64×64 take at most half a minute here", time.perf_counter() - began, at_most=30, unit="s")

# %% [markdown]
# <details><summary>The answer</summary>
#
# Nearly always, guided or not: five labels leave little to doubt. Combinations that it has never seen come as well as others: each factor has its own table of vectors, so the denoiser was built to
# put parts together. (Notebook 7 takes these tables away and gives it words.) What guidance adds here is for the eye: colours and outlines become clearer. And at scale 8 pictures break.
#
# </details>
#
# ## Your own prompt
#
# Type what you would like to see, press Enter, and set the scale. The teddies know counts, furs, activities, scarves and places; for any other word they tell you which they know.


# %%
def generate_teddies(prompt, guidance_scale):
    images = model.generate(prompt, n=16, scale=guidance_scale, steps=10, seed=7)
    right = prompt_adherence.adherence(reader, images, teddies.labels_from_captions(prompt).expand(16, -1))["all"]
    return images, f"scale {guidance_scale:g}: the reader finds all that “{prompt}” names in {round(16 * right)} of 16"


prompt = "two pink teddy bears with a green scarf reading"
box = widgets.prompt_box(
    generate_teddies, prompt=prompt, columns=4, scale=2, guidance_scale=[1.0, 2.0, 3.0, 5.0, 8.0], alt="Sixteen teddies as the prompt describes them."
)
box

# %%
viz.rows(
    {f"scale {w:g}": generate_teddies(prompt, w)[0][:8] for w in (1.0, 3.0, 8.0)},
    scale=1,
    alt="Eight teddies of the prompt “two pink teddy bears with a green scarf reading” at guidance scales 1, 3 and 8: from soft over clear to harsh.",
)

# %%
print(box.set(prompt=prompt, guidance_scale=3.0))
print(box.set(prompt="one blue teddy bear sleeping at night", guidance_scale=3.0))

# %%
# NBVAL_CHECK_OUTPUT
try:
    generate_teddies("two purple teddy bears", 3.0)
except ValueError as friendly:
    print(friendly)

# %% [markdown]
# ## The ledger

# %%
book.close()

# %%
# NBVAL_CHECK_OUTPUT
book.verdicts()

# %% [markdown]
# ## Where it comes from
#
# | in the notebook | in the papers | source |
# |---|---|---|
# | `guidance.classifier_guide` | $s\, \nabla \log p_\phi(y \mid x_t)$ | Dhariwal & Nichol 2021, algorithm 2 |
# | `guidance.guide`, `guidance_scale` | $1 + w$ | Ho & Salimans 2022, eq. 6 |
# | `guidance.guidance_interval`, `level.ratio` | $(\sigma_\text{lo}, \sigma_\text{hi}]$ | Kynkäänniemi et al. 2024, eq. 6 |
# | `guidance_rescale` (here in x0 space) | $\phi$ | Lin et al. 2023, eq. 15 and 16 |
# | `ref` = a weaker net | $D_0$ | Karras et al. 2024 (autoguidance), eq. 3 |
# | `noisy_classifier.calibrate_by_level`, `metrics.reliability_diagram` | $T$, fig. 1 | Guo et al. 2017, eq. 3 and 9 |
# | `guided_densities.log_density` | $\log p_0 = \log p_T + \int \nabla \cdot f$ | Song et al. 2021 (score SDE), eq. 39 |
# | what guidance does not sample | gamma-powered distribution | Bradley & Nakkiran 2024 |
# | precision, recall | | Kynkäänniemi et al. 2019, eq. 1 and 2 |
#
# That was the course: pixels are too many and mean too little; an autoencoder makes them few; a VAE makes them meaningful; a DDPM learns to walk there; and one line steers the walk.
