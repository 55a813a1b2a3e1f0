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
import torch

from course_lib import codec, data, device, guidance, ledger, recipes, viz, widgets
from course_lib.experiments import guiding, quality

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
# ## Turn it by hand
#
# Ten grains of noise, one per class. Move the slider from 1 (off) upwards and watch three things: the class becomes clear; then the contrast rises; then variety is gone.

# %%
stops = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
levels = recipes.SCHEDULE().grid(10)
turned = {w: quality.draw(guided(w), ten, latent_codec, shape, machine, levels=levels, seed=11) for w in stops}


def at_scale(guidance_scale):
    confidence = float(judge.confidence(turned[guidance_scale]).mean())
    return turned[guidance_scale], f"scale {guidance_scale:g}; the judge is {confidence:.0%} sure on average"


strip = {f"{w:g}": turned[w] for w in (0.0, 1.0, 2.0, 4.0, 8.0)}
viz.rows(strip, scale=2, titles=list(data.FASHION_CLASSES), alt="The same ten grains of noise at guidance scales 0, 1, 2, 4 and 8: from vague over typical to exaggerated garments.")

# %%
slider = widgets.image_slider(at_scale, columns=5, scale=4, guidance_scale=stops, alt="Ten garments, one per class, from fixed noise at the guidance scale of the slider.")
slider

# %%
slider.set(guidance_scale=2.0), slider.set(guidance_scale=8.0)

# %% [markdown]
# ## The frontier
#
# Which scale is best? Best *for what*? Guidance trades one good for another, so we draw the trade: 500 samples for each kind of guidance and each scale, the same noise and the same
# labels for all, and the judge's verdicts. Five kinds, one line of code each:
#
# - **classifier**: the unconditional model and the gradient of the small network above;
# - **classifier-free**: the formula as it stands;
# - **in an interval**: the same, but only at middle noise levels (Kynkäänniemi et al. 2024);
# - **rescaled**: the guided $\hat x_0$ is brought back to the unguided one's contrast (Lin et al. 2023);
# - **autoguidance**: the reference is not the unconditional model but a *bad* one, the same network after very little training (Karras et al. 2024).
#
# **Predict.** Raise the scale of plain classifier-free guidance from 1 to 5. What happens to the share of right classes, to the Fréchet distance, and to the variety (recall)?

# %%
plan = {
    "classifier": (1.0, 2.0, 4.0),
    "classifier-free": (1.0, 1.25, 1.5, 2.0, 3.0, 5.0),
    "in an interval": (1.5, 2.0, 3.0, 5.0),
    "rescaled": (2.0, 3.0, 5.0),
    "autoguidance": (1.5, 2.0, 3.0),
}
frontier = guiding.frontier({name: (kinds[name], scales) for name, scales in plan.items()}, latent_codec, judge)

# %%
measures = {"Fréchet distance": lambda p: p.score.frechet, "of the wanted class (%)": lambda p: 100 * p.score.agreement}
panels = viz.Panels(2)
for axes, (label, of) in zip((panels[0], panels[1]), measures.items(), strict=True):
    curves = {name: ([p.scale for p in ps], [of(p) for p in ps]) for name, ps in frontier.items()}
    viz.draw_lines(axes, curves, xlabel="guidance scale (1 = none)", ylabel=label)
panels.picture("Left: Fréchet distance against guidance scale for five kinds of guidance, flat at first and then rising for plain classifier-free guidance, lower in an interval. Right: share of samples of the wanted class, rising.")

# %%
panels = viz.Panels(2)
trade = {name: ([p.score.recall for p in ps], [p.score.precision for p in ps]) for name, ps in frontier.items()}
viz.draw_lines(panels[0], trade, xlabel="recall (share of real garments covered)", ylabel="precision (share that looks real)")
spread = {name: ([p.scale for p in ps], [p.diversity for p in ps]) for name, ps in frontier.items()}
viz.draw_lines(panels[1], spread, xlabel="guidance scale (1 = none)", ylabel="diversity within a class (real = 1)")
panels.picture("Left: precision against recall along each kind's scales: one is bought with the other. Right: diversity within a class falls as the scale rises.")

# %%
rows = [[name, p.scale, f"{p.score.frechet:.1f} ± {p.score.error:.1f}", f"{p.score.agreement:.0%}", p.score.precision, p.score.recall, p.diversity, p.saturated] for name, ps in frontier.items() for p in ps]
ledger.table(["guidance", "scale", "Fréchet distance", "wanted class", "precision", "recall", "diversity (real = 1)", "white pixels (real = 1)"], rows)

# %%
at = {name: {p.scale: p for p in ps} for name, ps in frontier.items()}
free = at["classifier-free"]
best = {name: min(p.score.frechet for p in ps) for name, ps in frontier.items()}
book.claim("A little guidance hardly moves the Fréchet distance: scale 1.5 over unguided", free[1.5].score.frechet / free[1.0].score.frechet, at_least=0.6, at_most=1.4)
book.claim("And yet it makes more classes right: share at 1.5 minus unguided", free[1.5].score.agreement - free[1.0].score.agreement, at_least=0.03)
book.claim("In an interval it does bring the samples nearer: unguided Fréchet distance over the best", free[1.0].score.frechet / best["in an interval"], at_least=1.05)
book.claim("Guidance makes the class right: share at scale 3", free[3.0].score.agreement, at_least=0.85)
book.claim("And more often than unguided: difference", free[3.0].score.agreement - free[1.0].score.agreement, at_least=0.01)
book.claim("It costs variety: diversity at scale 5 over unguided", free[5.0].diversity / free[1.0].diversity, at_most=0.95)
book.claim("And recall: at scale 5 minus unguided", free[5.0].score.recall - free[1.0].score.recall, at_most=0.0)
book.claim("Too much of it is worse than the best: Fréchet distance, scale 5 over the best", free[5.0].score.frechet / best["classifier-free"], at_least=1.02)
book.claim("It saturates: white pixels at scale 5 over unguided, times", free[5.0].saturated / free[1.0].saturated, at_least=1.5)
book.claim("In an interval, scale 5 keeps more variety than everywhere: diversity, ratio", at["in an interval"][5.0].diversity / free[5.0].diversity, at_least=1.01)
book.claim("And its best is no worse: Fréchet distance, best in an interval over best everywhere", best["in an interval"] / best["classifier-free"], at_most=1.1)
book.claim("Rescaling takes the saturation back: white pixels at scale 5, rescaled over plain", at["rescaled"][5.0].saturated / free[5.0].saturated, at_most=0.6)
book.claim("Autoguidance keeps variety: diversity at scale 3 over classifier-free's", at["autoguidance"][3.0].diversity / free[3.0].diversity, at_least=1.05);

# %% [markdown]
# <details><summary>The answer</summary>
#
# The share of right classes rises and stays up. The Fréchet distance hardly moves at first and then rises: at first guidance removes the failures and pays with variety in equal coin, then there are no failures left. Recall
# shows the bill. A guide that is on only at middle noise levels pays less of it, and is cheaper too: elsewhere the reference network is not even called. Rescaling takes back the contrast, which is
# what the eye sees first, but not the lost variety. Autoguidance does another thing altogether: it pushes away from *bad pictures* and not from *other classes*, so variety stays, and the
# share of right classes rises less. Mind the error bars in the table: with 500 samples, neighbouring points are not a ranking.
#
# </details>
#
# How much cheaper, is a matter of counting levels, not of a clock:

# %%
# NBVAL_CHECK_OUTPUT
on = sum(guiding.INTERVAL[0] < level.ratio <= guiding.INTERVAL[1] for level in recipes.SCHEDULE().grid(20)[:-1])
print(f"guided everywhere: {20 + 20} network calls; in the interval {guiding.INTERVAL}: {20 + on} calls")

# %% [markdown]
# ## Your own prompt
#
# Name garments, in any order, as often as you like. Then turn the scale.

# %%
prompt = "sneaker, coat, bag, dress, ankle boot"
scale = 2.5

wanted = guiding.classes_of(prompt)
y = torch.tensor(wanted, device=machine.device).repeat_interleave(8)
yours = quality.draw(guided(scale), y, latent_codec, shape, machine, seed=2024)
viz.rows({f"{i + 1}. {data.FASHION_CLASSES[w]}": yours[8 * i : 8 * i + 8] for i, w in enumerate(wanted)}, alt=f"Eight guided samples for each garment of the prompt: {prompt}.")

# %%
# NBVAL_CHECK_OUTPUT
try:
    guiding.classes_of("sneaker, spaceship")
except ValueError as friendly:
    print(friendly)

# %%
book.claim("Your prompt is followed: share of the samples that the judge reads as asked", judge.score(yours, y).agreement, at_least=0.7);

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
