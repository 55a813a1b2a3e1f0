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
import time
from dataclasses import replace

import torch

from course_lib import codec, data, device, guidance, ledger, prompts, recipes, teddies, viz, widgets
from course_lib.data import to_float
from course_lib.experiments import frontier, guiding, painting, quality, symptoms

machine = device.find()
book = ledger.Ledger("5 Guidance")
print(machine)

# %%
net = recipes.ready("fashion-ldm", machine)
latent_codec = recipes.codec_of("fashion-vae", machine)
shape = (4, 4, 4)
cond, null = quality.conditional(net, machine), quality.unconditional(net, machine)


def guided(scale):
    return lambda y: guidance.guide(cond(y), null(y), scale)


ten = quality.balanced(10, machine)
first = {f"scale {w:g}": quality.draw(guided(w), ten, latent_codec, shape, machine, seed=5) for w in (1.0, 2.0, 4.0)}
viz.rows(first, scale=2, titles=list(data.FASHION_CLASSES), alt="Ten garments, one of each class, from the same noise at guidance scales 1, 2 and 4: they become crisper and more typical.")

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
# A small one on the 64 latent numbers trains in seconds.
#
# **Predict.** How much noise can a latent bear before its class is lost? When the noise is as strong as the signal, is it a guess?

# %%
train_images, train_labels = data.fashion_mnist("train", machine.device)
test_images, test_labels = data.fashion_mnist("test", machine.device)
latents = codec.cache(latent_codec, train_images)
trained = guiding.train_noisy_classifier(latents, train_labels, machine)
reader = trained.ema

# %%
test_latents = codec.cache(latent_codec, test_images)
ts = [1, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]
accuracy = guiding.accuracy_by_level(reader, test_latents, test_labels, ts)
viz.lines({"": (ts, [100 * a for a in accuracy])}, xlabel="step t (cosine schedule)", ylabel="classes read correctly (%)", references={"guessing": 10}, alt="Accuracy of the classifier on noisy latents against noise step: above 80 percent with little noise, falling smoothly to ten percent, which is guessing, at pure noise.")

# %%
book.claim("With next to no noise the classifier reads the test latents: accuracy", accuracy[0], at_least=0.75)
book.claim("With as much noise as signal (t = 500) it still reads most", accuracy[5], at_least=0.5)
book.claim("From pure noise it can only guess", accuracy[-1], at_least=0.05, at_most=0.16);

# %% [markdown]
# <details><summary>The answer</summary>
#
# It is far from a guess. A class is spread over all 64 numbers, and noise on one is averaged away by the others: what is lost last is what the class shares. That is why
# guidance acts early in the walk, when a picture is still all noise to the eye.
#
# </details>
#
# Its gradient points to where the latents look more like the wanted class. Tweedie's formula turns a score into a move of $\hat x_0$, by the factor
# $\sigma^2 / \alpha$, so that the whole of classifier guidance is one line at the end of this function. Mind that factor: at the start of the walk it is in the thousands, and
# whatever is wrong with the gradient there is wrong a thousandfold. That is why our classifier is given $\alpha\, x_t$ to read and not $x_t$: its gradient must fade with the signal.

# %%
ledger.source(guidance.classifier_guide)

# %%
weak = guiding.weak_denoiser(net, machine)
kinds = guiding.kinds(net, weak, reader, machine)
judge = quality.Judge(machine)
many = quality.balanced(500, machine)
by_gradient = {}
for scale in (0.0, 1.0, 3.0):
    drawn = quality.draw(kinds["classifier"].at(scale), many, latent_codec, shape, machine)
    by_gradient[scale] = judge.score(drawn, many)
ledger.table(["classifier's scale", "samples of the wanted class", "Fréchet distance"], [[w, f"{s.agreement:.0%}", s.frechet] for w, s in by_gradient.items()])

# %%
book.claim("Without the gradient the unconditional model hits the wanted class by chance", by_gradient[0.0].agreement, at_least=0.03, at_most=0.2)
book.claim("The gradient alone, at Bayes' own scale 1, makes it hit: share", by_gradient[1.0].agreement, at_least=0.35);

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
ledger.source(guidance.guide, guidance.within)

# %% [markdown]
# ### One scale, several conventions
#
# Half of the confusion about guidance is about where it is *off*. In this workbook, as in diffusers, EDM2 and DiT, `guidance_scale` 1 is off. In the paper of Ho & Salimans the
# weight $w$ is off at 0. Two converters, and a check that scale 1 changes not a single bit:

# %%
# NBVAL_CHECK_OUTPUT
print("guidance_scale here, in diffusers, EDM2, DiT   w of Ho & Salimans 2022   what it means")
for scale, meaning in {0.0: "unconditional", 1.0: "conditional, no guidance", 1.5: "", 3.0: "", 7.5: "Stable Diffusion's default"}.items():
    w = guidance.w_from_scale(scale)
    assert guidance.scale_from_w(w) == scale
    print(f"{scale:44.1f}   {w:23.1f}   {meaning}".rstrip())

# %%
x_T = quality.noise(10, shape, machine)
level = recipes.SCHEDULE().level(500)
same = torch.equal(guided(1.0)(ten)(x_T, level), cond(ten)(x_T, level))
book.claim("Scale 1 is the conditional model, bit for bit", same, equals=1);

# %% [markdown]
# ## What does it really sample?
#
# It is often said that guidance samples the *sharpened* density $p(x)\, p(y \mid x)^w$: like the class, but more so. It reads off the formula
# above... if that formula held at every noise level at once. Let us see, on data where both denoisers are exact: two classes of two Gaussians each. Nothing is learned here and
# the sampler takes many steps, so whatever differs is guidance itself.
#
# **Predict.** Below, grey is the sharpened density in closed form, and the dots are what guidance samples. At $w = 4$, will the dots lie on the grey?

# %%
toy, plane = guiding.two_classes(), guiding.plane()
scales = (1.0, 2.0, 4.0)
said = {w: guiding.sharpened(toy, plane, 0, w) for w in scales}
points = {w: guiding.guided_points(toy, 0, w) for w in scales}
panels = viz.Panels(3, width=3.6)
for i, w in enumerate(scales):
    panels[i].imshow(said[w].numpy(), extent=plane.extent, origin="lower", cmap="Greys")
    viz.draw_points(panels[i], {"guided": points[w][:800]}, title=f"scale {w:g}", xlabel="x", ylabel="y", size=4)
panels.picture("Grey: the sharpened density at guidance scales 1, 2, 4. Dots: what guidance samples. They agree at 1; at 4 the dots lie outside, far from the other class.")

# %%
gaps = {w: guiding.total_variation(plane.shares(points[w]), said[w]) for w in scales}
floor = guiding.total_variation(plane.shares(toy.sample(20_000, torch.Generator().manual_seed(1), y=0)[0]), said[1.0])
middles = {w: (float((said[w].flatten() * plane.points[:, 0, 0, 0]).sum()), float(points[w][:, 0].mean())) for w in scales}
rows = [[w, gaps[w], *middles[w]] for w in scales]
ledger.table(["scale", "total variation between both (0 same, 1 apart)", "mean of x, sharpened", "mean of x, guided"], rows)
print(f"20,000 true points of the class against their own density: {floor:.3f}, the floor of this comparison")

# %%
book.claim("Unguided, exact denoisers sample the true density: excess over the floor", gaps[1.0] - floor, at_most=0.02)
book.claim(
    "Guidance samples the sharpened density p(x) p(y|x)^w (total variation at w = 4)",
    gaps[4.0],
    at_most=0.1,
    expected=False,
    reason="sharpening and adding noise do not commute: no process adds noise to the sharpened density and has these scores",
)
book.claim("It overshoots away from the other class: how far beyond the sharpened mean", middles[4.0][0] - middles[4.0][1], at_least=0.2);

# %% [markdown]
# <details><summary>The answer</summary>
#
# No: it overshoots. The scores that guidance adds up are those of the noisy densities $p(x_t)$ and $p(x_t \mid y)$. Sharpen each of these at its level, and the results
# are not the noisy versions of one sharpened density. At high noise the two classes are blurred over one another and the push away from the
# other class reaches far beyond what the clean densities would ask for. At scale 1 the two agree up to the floor. (Worked out by Bradley & Nakkiran 2024 and by Karras et al. 2024, whose
# toy this resembles.)
#
# So a large scale is not "more of the class". It is "less of everything else", and it leaves the data behind. The garments below show the same.
#
# </details>
#
# ## The frontier
#
# Which scale is best? Best *for what*? Guidance trades one good for another, so we draw the trade. Five kinds, one line of code each:
#
# - **classifier**: the unconditional model and the gradient of the small network above;
# - **classifier-free**: the formula as it stands;
# - **in an interval**: the same, but only at middle noise levels (Kynkäänniemi et al. 2024);
# - **rescaled**: the guided $\hat x_0$ is brought back to the unguided one's contrast (Lin et al. 2023);
# - **autoguidance**: the reference is not the unconditional model but a *bad* one, the same network after very little training (Karras et al. 2024).
#
# To be fair, every kind may ask a denoiser **20 times** for each sample, and no more. Who asks two denoisers at every level can afford 10 steps; who asks the second one at middle levels only, 12; who
# asks one, 20. Each point is 500 samples from each of **three** seeds, with the spread of the three as its error bar.
#
# **Predict.** Raise the scale of plain classifier-free guidance from 1 to 5. What happens to the share of right classes, to the Fréchet distance, and to the recall? Which of
# the other four kinds will beat it, and in what?

# %%
weak = frontier.weak_denoiser(net, machine)
kinds = frontier.kinds(net, weak, log_prob, machine)
harness = frontier.Harness(latent_codec, judge)
plan = {
    "classifier": (1.0, 2.0, 4.0),
    "classifier-free": (1.0, 1.5, 2.0, 3.0, 5.0),
    "in an interval": (1.5, 2.0, 3.0, 5.0),
    "rescaled": (2.0, 3.0, 5.0),
    "autoguidance": (1.5, 2.0, 3.0),
}
curves = {name: harness.curve(kinds[name], scales) for name, scales in plan.items()}

# %%
panels = viz.Panels(3, width=3.7, height=3.8)
for axes, measure, label in ((panels[0], "frechet", "Fréchet distance (less is better)"), (panels[1], "agreement", "of the wanted class (share)")):
    drawn = {name: ([p.scale for p in ps], [p.mean(measure) for p in ps], [p.error(measure) for p in ps]) for name, ps in curves.items()}
    viz.draw_lines(axes, drawn, xlabel="guidance scale (1 = none)", ylabel=label)
trade = {name: ([p.mean("recall") for p in ps], [p.mean("precision") for p in ps], [p.error("precision") for p in ps]) for name, ps in curves.items()}
viz.draw_lines(panels[2], trade, xlabel="recall (share of real garments covered)", ylabel="precision (share that looks real)")
panels.picture("Three panels for five kinds of guidance. Fréchet distance falls a little in an interval and for autoguidance, and rises for the others with the scale; the share of the wanted class rises; precision is bought with recall.")

# %%
measures = {"frechet": "Fréchet distance", "agreement": "wanted class", "precision": "precision", "recall": "recall", "diversity": "diversity (real = 1)"}
digits = {"frechet": 1}
rows = [[name, f"{p.scale:g}", p.steps, *(f"{p.mean(m):.{digits.get(m, 2)}f} ± {p.error(m):.{digits.get(m, 2)}f}" for m in measures)] for name, ps in curves.items() for p in ps]
ledger.table(["guidance", "scale", "steps", *measures.values()], rows, title="20 network calls a sample; mean and standard deviation over three seeds of 500 samples")

# %%
at = {name: {p.scale: p for p in ps} for name, ps in curves.items()}
free, middle, auto = at["classifier-free"], at["in an interval"], at["autoguidance"]
plain = free[1.0].mean("frechet")
best = {name: min(p.mean("frechet") for p in ps) for name, ps in curves.items()}
book.claim("Guidance makes the class right: share at scale 2", free[2.0].mean("agreement"), at_least=0.93)
book.claim("… more often than unguided: difference", free[2.0].mean("agreement") - free[1.0].mean("agreement"), at_least=0.04)
book.claim("Guidance brings the samples nearer to the real ones: Fréchet distance, unguided over the best of classifier-free", plain / best["classifier-free"],
           at_least=1.05, expected=False, reason="at equal calls it has half the steps, and what it gains in failures it loses in variety")  # fmt: skip
book.claim("In an interval it does: unguided over the best", plain / best["in an interval"], at_least=1.03)
book.claim("So does autoguidance: unguided over the best", plain / best["autoguidance"], at_least=1.05)
book.claim("… which makes fewer classes right than classifier-free guidance at scale 2: difference", free[2.0].mean("agreement") - auto[2.0].mean("agreement"), at_least=0.03)
book.claim("… and keeps more variety: recall, difference", auto[2.0].mean("recall") - free[2.0].mean("recall"), at_least=0.05)
book.claim("Too much is worse than none: classifier-free at scale 5 over unguided", free[5.0].mean("frechet") / plain, at_least=1.8);

# %%
worst = max(p.error("frechet") / p.mean("frechet") for ps in curves.values() for p in ps)
book.claim("The classifier steers a model that knows no classes: share at scale 4", at["classifier"][4.0].mean("agreement"), at_least=0.6)
book.claim("… but less surely than the denoiser steers itself: classifier-free at 2, difference", free[2.0].mean("agreement") - at["classifier"][2.0].mean("agreement"), at_least=0.02)
book.claim("The error bars are small beside what the scale does: the largest, as a share of its point", worst, at_most=0.2);

# %% [markdown]
# <details><summary>The answer</summary>
#
# The share of right classes rises and stays up. Recall falls from the first step on: what guidance removes first are the failures, and with them the rare. At scale 1.5 the two nearly cancel in the
# Fréchet distance; from there on there are no failures left to remove, and it only rises. **In an interval** the same push costs less: the early levels, where it would throw
# whole modes away, are left alone (and, asking the second model less often, it has more steps to spend). **Autoguidance** does another thing altogether: it pushes away from *bad pictures* and not from *other classes*, so variety
# stays, and the share of right classes rises less. **Rescaling** brings back the contrast, and a part of the distance with it. The **classifier** is honest work by a second network, which sees less than the denoiser does.
#
# </details>
#
# ## The dark side
#
# The eye sees it before the metrics: strong guidance burns.

# %%
loud = {"unguided": (kinds["classifier-free"], 1.0), "scale 5": (kinds["classifier-free"], 5.0),
        "rescaled": (kinds["rescaled"], 5.0), "in an interval": (kinds["in an interval"], 5.0)}  # fmt: skip
burnt = {name: quality.draw(kind.at(w), ten, latent_codec, shape, machine, levels=kind.levels(w), seed=11) for name, (kind, w) in loud.items()}
viz.rows(burnt, scale=2, titles=list(data.FASHION_CLASSES), alt="Ten garments from the same noise: unguided; at scale 5 harsh, white and simplified; rescaled softer again; in an interval nearer to the first row.")

# %%
dark = {"unguided": free[1.0], "scale 5": free[5.0], "rescaled": at["rescaled"][5.0], "in an interval": middle[5.0]}
shown = {"saturation": "white pixels (real = 1)", "contrast": "contrast (real = 1)", "diversity": "diversity (real = 1)", "recall": "recall", "frechet": "Fréchet distance"}
ledger.table(["guidance", *shown.values()], [[name, *(f"{p.mean(m):.2f} ± {p.error(m):.2f}" for m in shown)] for name, p in dark.items()])
book.claim("Scale 5 saturates: white pixels over those of real garments", dark["scale 5"].mean("saturation"), at_least=2.5)
book.claim("… and has more contrast than real garments", dark["scale 5"].mean("contrast"), at_least=1.05)
book.claim("… and loses variety: diversity over the unguided one's", dark["scale 5"].mean("diversity") / dark["unguided"].mean("diversity"), at_most=0.8)
book.claim("Rescaling mends the saturation: white pixels over those of plain guidance", dark["rescaled"].mean("saturation") / dark["scale 5"].mean("saturation"), at_most=0.5)
book.claim("… and the contrast: difference from real garments", abs(dark["rescaled"].mean("contrast") - 1), at_most=0.05)
book.claim("The interval mends more of the variety than rescaling does: diversity, difference", dark["in an interval"].mean("diversity") - dark["rescaled"].mean("diversity"), at_least=0.02)
book.claim("… and less of the saturation: white pixels, ratio", dark["in an interval"].mean("saturation") / dark["rescaled"].mean("saturation"), at_least=1.1);

# %% [markdown]
# So the two cures are for two ills. Rescaling repairs what a picture *looks* like; it cannot bring back what was never drawn. The interval repairs *which* pictures are drawn.
#
# ## Turn it by hand
#
# Two sliders: the scale, and at which noise levels guidance is on. Left, ten garments from one fixed noise. Right, where that setting lies: how often the class is right, and how much of the real garments'
# variety is covered (recall). Up and to the right would be best.
#
# **Predict.** Guidance at *high* noise only, at *middle* noise only, at *low* noise only: which of them makes the class right? Which costs variety?

# %%
stops = (1.0, 1.5, 2.0, 3.0, 5.0)
parts = {name: frontier.in_interval(name, net, interval, machine) for name, interval in frontier.INTERVALS.items()}
once = frontier.Harness(latent_codec, judge, seeds=(0,))
lie = {name: once.curve(kind, stops) for name, kind in parts.items()}
turned = {(name, w): quality.draw(kind.at(w), ten, latent_codec, shape, machine, levels=kind.levels(w), seed=11) for name, kind in parts.items() for w in stops}

# %%
panels = viz.Panels(1, width=3.8, height=3.6)
drawn = {name: ([p.mean("agreement") for p in ps], [p.mean("recall") for p in ps]) for name, ps in lie.items()}
viz.draw_lines(panels[0], drawn, xlabel="of the wanted class (share)", ylabel="recall (share)")
picture, chart = panels.picture("Recall against the share of right classes, one line for each interval: high noise buys classes with much variety, middle noise with less, low noise does little."), viz.Map(panels)


def at_scale(guidance_scale, guided_at):
    point = lie[guided_at][stops.index(guidance_scale)]
    share, recall = point.mean("agreement"), point.mean("recall")
    page = viz.beside(viz.tile(turned[guided_at, guidance_scale], 4, 3), chart.at(share, recall))
    return viz.encode(page), f"scale {guidance_scale:g} at {guided_at}: the class is right in {share:.0%}, recall {recall:.2f}"


picture

# %%
slider = widgets.image_slider(at_scale, guidance_scale=stops, guided_at=list(parts), alt="Ten garments from fixed noise, and a dot on the plot of recall against right classes, for the scale and the noise levels of the sliders.")
slider

# %%
print(slider.set(guidance_scale=5.0, guided_at="high noise"))
print(slider.set(guidance_scale=5.0, guided_at="low noise"))
book.claim("A position of these sliders is drawn in less than a second, whatever else the machine does", slider.latency(), at_most=1000, unit="ms")
five = {name: ps[-1] for name, ps in lie.items()}
book.claim("At scale 5, high noise alone makes the class right: share", five["high noise"].mean("agreement"), at_least=0.93)
book.claim("… at the price of recall: unguided minus guided there", free[1.0].mean("recall") - five["high noise"].mean("recall"), at_least=0.15)
book.claim("The middle makes it right as well: share", five["middle"].mean("agreement"), at_least=0.93)
book.claim("… for less: recall, middle minus high noise", five["middle"].mean("recall") - five["high noise"].mean("recall"), at_least=0.02)
book.claim("Low noise alone does little for the class: share minus the unguided one", five["low noise"].mean("agreement") - free[1.0].mean("agreement"), at_most=0.08);

# %% [markdown]
# <details><summary>The answer</summary>
#
# At high noise the walk decides *which* garment of its class it will draw, and a push there herds all samples to the most typical one. At low noise all is decided, and there is little left to push. In between the class is still open
# enough to be mended, and the variety is already dealt out. That is why the interval wins.
#
# </details>
#
# ## Six patients
#
# A diffusion model seldom crashes. It draws something, and the something is grey, or dull, or of the wrong kind, or quite good but not as good as it might be. Six runs are ill
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
well = symptoms.healthy(machine)
patients = {letter: symptoms.run(letter, machine) for letter in symptoms.LETTERS}
wards = {"healthy": well, **patients}
viz.rows({name: run.pictures() for name, run in wards.items()}, scale=2, titles=list(data.FASHION_CLASSES), alt="Ten garments, one of each class, by a healthy run and by the runs A to F from the same noise. A and B look nearly healthy, C is grey and blurred, D draws no garments, E is a little off, F draws garments of other classes.")

# %% [markdown]
# **Predict.** Which is which? Write six letters beside the six faults *before* you go on. Two or three are easy. For the others, say what you would measure, and what it would read.
#
# Here is a run, with all of its parts:

# %%
ledger.source(symptoms.Run)

# %% [markdown]
# ### The probes
#
# Pictures come last, after everything else has had its say. A probe looks at *one joint between two parts* and takes a number there. Choose a patient, run the cells, choose the next.

# %%
letter = "A"

patient = patients[letter]
both = {"healthy": well, letter: patient}

# %% [markdown]
# **What enters the decoder?** For each channel, its standard deviation over that of the latents on which the VAE was trained. It should be near 1.

# %%
entering = [[name, *symptoms.latents(run, test_images[:500])[1].tolist()] for name, run in both.items()]
ledger.table(["run", *(f"channel {c} (1 is right)" for c in range(4))], entering)

# %% [markdown]
# **Does guidance help?** The share of garments of the wanted class should rise with the scale. **And what does it point away from?** At scale 0 only the reference draws: it should draw a bit of everything.

# %%
followed = [[name, *symptoms.agreement(run, judge), *symptoms.reference(run, judge)] for name, run in both.items()]
ledger.table(["run", "of the wanted class, scale 0", "scale 1", "scale 2", "commonest at scale 0", "its share"], followed)

# %% [markdown]
# **How is the walk paced?** How far $x_t$ moves in each step, root mean square.

# %%
paces = {name: (list(range(1, len(symptoms.moves(run)) + 1)), symptoms.moves(run)) for name, run in both.items()}
viz.lines(paces, xlabel="step of the walk", ylabel="distance that x_t moves (1)", alt="How far the latents move in each step of the walk, for the healthy run and the chosen patient.")

# %% [markdown]
# **Has the network learned anything?** Its error on noised test latents, in $v$, where 1 is what a network has that says nothing. **Is its clock right?** By how many steps must one correct the $t$ that it is told, so that its
# error is least? No picture is drawn for these two.

# %%
some = (test_latents[:300], test_labels[:300])
errors = [[name, *(symptoms.error(run, *some, t=t) for t in (100, 500, 900)), symptoms.clock(run, *some)] for name, run in both.items()]
ledger.table(["run", "error at t = 100", "t = 500", "t = 900", "correction of t (steps)"], errors)

# %% [markdown]
# Do you have all six? Then unfold.
#
# <details><summary>Patient A</summary>
#
# **Too large a step at the end.** The walk starts as the healthy one does, and then leaves from where noise and signal are equally strong *straight to clean data*. What it finds there is $\hat x_0$, the average of all garments
# that fit, and an average has too little spread. The judge does not mind: averages are typical. *Cure:* look at the last levels of the list that the sampler really visits, and not at the number of steps that you asked for.
# *Seen:* lists of levels cut short or with a wrong last entry; diffusers' multistep solver repeated its last noise level, so that its last step did nothing and noise was left (issue 5689, pull request 6477).
#
# </details>
#
# <details><summary>Patient B</summary>
#
# **Off by one in $t$.** At every level of the grid the network is told the $t$ of the next. Its error hardly rises, so neither eye nor judge see it; only the clock does, since with noise that you added *yourself* you know the right $t$. Off by
# one in a thousand (counting from 0 or from 1) is beyond measuring; off by one *stride* is not. *Cure:* test the sampler on a denoiser that is known exactly, as in chapter 4. *Seen:* in nearly every library once; in diffusers
# issues 444, 465 and 5921 are about it.
#
# </details>
#
# <details><summary>Patient C</summary>
#
# **Latents not scaled before decoding.** The walk is healthy to its end, and then the decoder is handed latents of unit variance that it would like 5.5 times as large: it sees something close to the average of everything, and draws that. *Cure:* let one
# object own both directions, as the codec does here, and measure its statistics. *Seen:* diffusers' unconditional latent pipeline (issue 5166). With a VAE whose latents are near unit variance anyway the same fault lies there unnoticed, as it would with chapter 3's.
#
# </details>
#
# <details><summary>Patient D</summary>
#
# **EMA never updated.** The training log was fine: it shows the network that trained. What draws is the average, and the average still holds the weights of before the first step. Its last layer is zero, so $v$ is 0 and the walk stands still:
# what is decoded is the noise it started from. Mark that its *latents* have the right spread! *Cure:* compare the loss of the average with that of the last weights, once, early. *Seen:* diffusers' training script for SDXL made an average and never
# updated it (issue 5783).
#
# </details>
#
# <details><summary>Patient E</summary>
#
# **The wrong null label.** It took label 0, and label 0 is T-shirt. So T-shirts are pushed away from T-shirts, which is to say not at all, and all others are pushed away from T-shirts. Agreement with the prompt is none the worse for it. *Cure:* draw at
# scale 0, and look. *Seen:* wherever "none" is a convention: the last label in DiT and here, the embedding of the empty text in Stable Diffusion, an embedding of zeros in SDXL (`force_zeros_for_empty_prompt`).
#
# </details>
#
# <details><summary>Patient F</summary>
#
# **Swapped guidance terms.** $\text{main} + w\,(\text{ref} - \text{main})$: off at 0 instead of 1, and at scale 2 it draws anything but what you asked for. The garments are fine, they are only the wrong ones, and no measure of quality alone would notice. *Cure:* turn
# the scale and see which way the agreement goes. *Seen:* a batch holds both halves, and DiT puts the conditional one first, diffusers last; OneTrainer had the one order for one of SDXL's text encoders and the other for the other (issue 775).
#
# </details>
#
# ### One table
#
# Six probes, seven runs. Read it by columns: in each, one run stands out.

# %%
charts = {name: symptoms.chart(run, judge, test_images[:500], *some) for name, run in wards.items()}
ledger.table(["run", *charts["healthy"]], [[name, *chart.values()] for name, chart in charts.items()])

# %%
shifts = list(range(-100, 101, 25))
told = {name: (shifts, [symptoms.error(wards[name], *some, t=300, shift=s) for s in shifts]) for name in ("healthy", "B")}
walks = {name: (list(range(1, len(symptoms.moves(wards[name])) + 1)), symptoms.moves(wards[name])) for name in ("healthy", "A", "D")}
panels = viz.Panels(2)
viz.draw_lines(panels[0], walks, xlabel="step of the walk", ylabel="distance that x_t moves (1)")
viz.draw_lines(panels[1], told, xlabel="correction of the t that the network is told (steps)", ylabel="error at t = 300 (1 = no training)")
panels.picture("Left: distance moved in each step of the walk: even for the healthy run, next to nothing for D, and for A a last step many times as long as the others. Right: error against correction of t, least at 0 for the healthy run and at plus 50 for B.")

# %%
def reads(probe, letter):
    (name,) = (n for n in charts["healthy"] if n.startswith(probe))
    return charts[letter][name], [chart[name] for other, chart in charts.items() if other != letter]


a, rest = reads("last step", "A")
book.claim("A leaps at the end: its last step over the longest of the other runs, times", a / max(rest), at_least=4)
b, rest = reads("clock", "B")
book.claim("B's clock is behind by one stride of the grid", b, equals=symptoms.STRIDE, unit="steps")
book.claim("And nobody else's is behind or ahead: largest correction", max(map(abs, rest)), equals=0, unit="steps")
c, rest = reads("spread", "C")
book.claim("C's decoder is handed too small latents: spread over the smallest of the other runs, times", c / min(rest), at_most=0.4)

# %%
d, rest = reads("error", "D")
book.claim("D has learned nothing: error over the largest of the other runs, times", d / max(rest), at_least=1.3)
e, rest = reads("commonest", "E")
book.claim("E's reference draws one class: its share over the largest of the other runs, times", e / max(rest), at_least=1.3)
f, rest = reads("agreement", "F")
book.claim("F gets worse by guidance: agreement gained", f, at_most=-0.4)
book.claim("And nobody else does: least agreement gained", min(rest), at_least=-0.1);

# %% [markdown]
# What the eye missed, and why one measures:

# %%
agreed = {name: symptoms.agreement(run, judge, (2.0,))[0] for name, run in wards.items()}
book.claim("A, B and E draw what is asked for as well as the healthy run: least difference", min(agreed[k] for k in "ABE") - agreed["healthy"], at_least=-0.1)
spread = {name: next(iter(chart.values())) for name, chart in charts.items()}
book.claim("A's latents have less spread than the healthy run's, as averages have: times", spread["A"] / spread["healthy"], at_most=0.98)
book.claim("D's latents have the right spread although they mean nothing", spread["D"], at_least=0.85, at_most=1.15)
least, most = (float(f(latent_codec.latents_std)) for f in (torch.min, torch.max))
book.claim("Chapter 3's own latents would have hidden C's fault: their least standard deviation", least, at_least=0.6)
book.claim("And their largest", most, at_most=1.6)
one, healthy_error, late_error = (symptoms.error(run, *some, t=100) for run in (replace(well, told=lambda t: t - 1), well, patients["B"]))
book.claim("Off by one in a thousand is beyond measuring: error over the healthy one's", one / healthy_error, at_least=0.99, at_most=1.01)
book.claim("Even a whole stride costs little: error over the healthy one's", late_error / healthy_error, at_least=1.0, at_most=1.2);

# %%
between = {
    "E does not guide T-shirts at all: largest difference between its latents at scales 1 and 2": (symptoms.walk(patients["E"], 1.0).latents[::10], symptoms.walk(patients["E"]).latents[::10]),
    "F at scale 0 is the healthy run at scale 1, the terms have changed places: largest difference": (symptoms.walk(patients["F"], 0.0).latents, symptoms.walk(well, 1.0).latents),
    "C's walk is the healthy one to its end: largest difference": (symptoms.walk(patients["C"]).latents, symptoms.walk(well).latents),
}
for sentence, (these, those) in between.items():
    book.claim(sentence, float((these - those).abs().max()), at_most=0.05)
units = well.pictures() - latent_codec.decode(symptoms.walk(well).latents[:10])
book.claim("The VAE in other units draws the same pictures: largest difference of a pixel", float(units.abs().max()), at_most=0.05)
book.claim("A leaps from where noise is as strong as signal: one over the other", patients["A"].levels[-2].ratio, at_least=0.9, at_most=1.1)
book.claim("D's walk stands still: its longest step", max(symptoms.moves(patients["D"])), at_most=0.02);

# %% [markdown]
# ## The flagship: teddies to order
#
# All that the five chapters built, in one picture: the VAE of 64×64 teddies (chapter 3's recipe, 12,288 numbers to 256), a denoiser in its latent space that is told five factors
# (chapter 4), and guidance. It was trained for about an hour on two cores, on 24,000 drawn teddies of which *no* one showed certain combinations of factors: a tenth of all that there are.
#
# **Predict.** A judge of its own reads the five factors back from a picture; all five must be right. How often, unguided? Guided? And for combinations that the denoiser has never seen?

# %%
painter = prompts.ready(machine)
reader = recipes.ready("teddies-reader", machine)
asked = {"seen": painting.wishes(128, 51), "never seen": painting.wishes(128, 52, unseen=True)}
strengths = (1.0, 3.0, 8.0)
followed = {(which, w): painting.adherence(reader, painter.paint(y, scale=w), y) for which, y in asked.items() for w in strengths}
ledger.table(["combination", "guidance scale", *teddies.SEMANTIC, "all five"], [[which, w, *(f"{share:.2f}" for share in shares.values())] for (which, w), shares in followed.items()], title="Share of 128 pictures in which the reader finds what was asked for")

# %%
renders, truth = teddies.dataset(500, 53, device=machine.device)
on_renders = painting.adherence(reader, to_float(renders), truth.labels())
print(f"all five read right from real renders: {on_renders['all']:.3f}")
book.claim("The judge itself reads all five factors of drawn teddies: share", on_renders["all"], at_least=0.97)
book.claim("Guided (scale 3), all five are right, of combinations seen: share", followed["seen", 3.0]["all"], at_least=0.9)
book.claim("… and of combinations never seen", followed["never seen", 3.0]["all"], at_least=0.8)
both = {w: sum(followed[which, w]["all"] for which in asked) / 2 for w in strengths}
book.claim("Unguided it follows nearly as well: share, both kinds together", both[1.0], at_least=0.9)
book.claim("Guidance adds what is missing: share at scale 3 minus unguided", both[3.0] - both[1.0], at_least=0)
book.claim("Scale 8 breaks pictures, and with them the wish: share at scale 3 minus at scale 8", both[3.0] - both[8.0], at_least=0.03)
began = time.perf_counter()
painter.draw("one brown teddy bear", n=16, steps=10)
book.claim("Sixteen guided teddies of 64×64 take at most half a minute, whatever else the machine does", time.perf_counter() - began, at_most=30, unit="s");

# %% [markdown]
# <details><summary>The answer</summary>
#
# Nearly always, and guided always: five labels leave little to doubt. Combinations that it has never seen come as well as others: each factor has its own table of vectors, so the denoiser was built to
# put parts together. (Notebook 7 takes these tables away and gives it words.) What guidance adds here is for the eye: colours and outlines become clearer. And at scale 8 pictures break.
#
# </details>
#
# ## Your own prompt
#
# Type what you would like to see, press Enter, and set the scale. The teddies know counts, furs, activities, scarves and places; for any other word they tell you which they know.

# %%
def bears(prompt, guidance_scale):
    images = painter.draw(prompt, n=16, scale=guidance_scale, steps=10, seed=7)
    right = painting.adherence(reader, images, teddies.prompt(prompt).expand(16, -1))["all"]
    return images, f"scale {guidance_scale:g}: the judge finds all that “{prompt}” names in {round(16 * right)} of 16"


wish = "two pink teddy bears with a green scarf reading"
box = widgets.prompt_box(bears, prompt=wish, columns=4, scale=2, guidance_scale=[1.0, 2.0, 3.0, 5.0, 8.0], alt="Sixteen teddies as the prompt describes them.")
box

# %%
viz.rows({f"scale {w:g}": bears(wish, w)[0][:8] for w in (1.0, 3.0, 8.0)}, scale=1, alt="Eight teddies of the prompt “two pink teddy bears with a green scarf reading” at guidance scales 1, 3 and 8: from soft over clear to harsh.")

# %%
print(box.set(prompt=wish, guidance_scale=3.0))
print(box.set(prompt="one blue teddy bear sleeping at night", guidance_scale=3.0))

# %%
# NBVAL_CHECK_OUTPUT
try:
    bears("two purple teddy bears", 3.0)
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
# | `guidance.classifier_guide` | $s\, \nabla \log p_\phi(y \mid x_t)$ | Dhariwal & Nichol 2021, algorithm 1 |
# | `guidance.guide`, `guidance_scale` | $1 + w$ | Ho & Salimans 2022, eq. 6 |
# | `guidance.within`, `level.ratio` | $(\sigma_\text{lo}, \sigma_\text{hi}]$ | Kynkäänniemi et al. 2024, eq. 6 |
# | `guidance_rescale` (here in x0 space) | $\phi$ | Lin et al. 2023, eq. 15 and 16 |
# | `ref` = a weaker net | $D_0$ | Karras et al. 2024 (autoguidance), eq. 3 |
# | what guidance does not sample | gamma-powered distribution | Bradley & Nakkiran 2024 |
# | precision, recall | | Kynkäänniemi et al. 2019, eq. 1 and 2 |
#
# That was the course: pixels are too many and mean too little; an autoencoder makes them few; a VAE makes them meaningful; a DDPM learns to walk there; and one line steers the walk.
