# %% [markdown]
# # 4 · Latent DDPM
#
# > How does one learn to walk in the latent space?
#
# Chapter 3 left us with a space of 64 numbers per garment, and with a disappointment: draw a point from the prior
# $\mathcal N(0, I)$, decode it, and you get mush. The codes of real garments do not *fill* that Gaussian. So we need something
# that turns noise into a plausible code: not in one leap, but step by step. That something is a *denoiser*, and the walk is
# diffusion.
#
# **You will be able to** say what a noise schedule is and compare four of them; read the whole of a diffusion model in four
# short functions; tell a sampler's error from a network's; say where Stable Diffusion's famous constant comes from; and defend,
# with figures, why the walk happens in a latent space and not among the pixels.
#
# **You need to know** the VAE of [chapter 3](03_vae.ipynb): encode, decode, posterior. How many minutes this chapter takes is in the
# table of the [README](../README.md); most of them are spent in one cell that trains a real diffusion model in front of you.

# %%
import torch

from course_lib import codec, data, device, diffusion, ledger, recipes, samplers, schedule, viz, widgets
from course_lib.experiments import diffusing, quality, rivals

machine = device.find()
book = ledger.Ledger("4 Latent DDPM")
print(machine)

# %% [markdown]
# ## Ruining a picture, at a chosen pace
#
# Everything in this chapter is one line (Ho et al. 2020, eq. 4): data $x_0$ and unit Gaussian noise $\epsilon$, mixed,
#
# $$x_t = \alpha_t\, x_0 + \sigma_t\, \epsilon, \qquad t = 0 \dots T,$$
#
# from clean data at $t = 0$ ($\alpha = 1, \sigma = 0$) to noise at $t = T$. A **schedule** is nothing but the table of the two rates.

# %%
ledger.source(diffusion.add_noise)
images, labels = data.fashion_mnist("test", machine.device)
SCHEDULES = {"linear": schedule.linear(), "cosine": schedule.cosine(), "scaled linear": schedule.scaled_linear(), "flow": schedule.flow()}
boot = data.to_float(images[labels == 9][:1])
eps = quality.noise(1, (1, 32, 32), machine)
ts = [1, 125, 250, 375, 500, 625, 750, 875, 1000]
ruined = {name: torch.cat([diffusion.add_noise(boot, eps, s.level(t)) for t in ts]) for name, s in SCHEDULES.items()}
viz.rows(ruined, titles=[f"t = {t}" for t in ts], scale=2, alt="One ankle boot under four noise schedules; linear ruins it earliest, cosine and the flow latest.")

# %% [markdown]
# The same boot, the same noise, four paces. The honest way to compare them is the **signal-to-noise ratio**
# $\alpha_t^2 / \sigma_t^2$: two schedules that pass through the same ratios are the same schedule up to the naming of $t$
# (Kingma et al. 2021, section 4).
#
# **Predict.** Stable Diffusion was trained with *scaled linear*. At its last step, how much signal is left? Is
# $x_T$ pure noise, as every lecture says, including this one so far?

# %%
panels = viz.Panels(2)
t = torch.arange(1, 1001)
rates = {name: (t, s.alphas[1:]) for name, s in SCHEDULES.items()}
snr = {name: (t[:-1], 20 * (s.alphas[1:-1] / s.sigmas[1:-1]).log10()) for name, s in SCHEDULES.items()}
viz.draw_lines(panels[0], rates, xlabel="step t", ylabel="signal rate alpha")
viz.draw_lines(panels[1], snr, xlabel="step t", ylabel="signal-to-noise ratio (dB)")
panels[1].set_ylim(-60, 60)
panels.picture("Left: signal rate against step for four schedules. Right: their signal-to-noise ratio in decibels; scaled linear ends near minus 23, the others far lower.")

# %%
# NBVAL_CHECK_OUTPUT
for name, s in SCHEDULES.items():
    half = int((s.alphas < s.sigmas).nonzero()[0])
    print(f"{name:14} signal left at t = T: {s.alphas[-1]:7.4f}   as much noise as signal first at t = {half}")

# %% [markdown]
# <details><summary>The answer</summary>
#
# Seven percent of the signal's amplitude is still there. A sampler that starts from *pure* noise therefore starts where
# the network never was in training: the mean brightness of Stable Diffusion's pictures is stuck near grey for that reason
# (Lin et al. 2023). Cosine leaves next to nothing, the flow's straight line exactly nothing.
#
# </details>

# %%
residue = float(SCHEDULES["scaled linear"].alphas[-1])
book.claim(
    "Every schedule ends in pure noise (signal rate at T below 1 %)",
    residue,
    at_most=0.01,
    expected=False,
    reason="scaled linear, which trained Stable Diffusion, does not (Lin et al. 2023)",
)
book.claim("The workbook's own schedule does", float(recipes.SCHEDULE().alphas[-1]), at_most=0.01);

# %% [markdown]
# ## A denoiser is a plain function
#
# A network sees $x_t$ and $t$ and guesses. What should it guess: the noise, the clean data, or a mixture of both? From any one
# of them and $x_t$ follow the others, so in this workbook a **denoiser** is always the same plain function,
# $(x_t, \text{level}) \mapsto \hat x_0$, the *expected* clean data $\mathbb E[x_0 \mid x_t]$:

# %%
ledger.source(diffusion.target, diffusion.to_x0)

# %% [markdown]
# They are equivalent in what they know, not in how errors travel. If the network errs by 1, its $\hat x_0$ errs by the
# factors below: a network that predicts the noise must be ever more exact as the signal fades, one that predicts
# $v = \alpha\,\epsilon - \sigma\,x_0$ (Salimans & Ho 2022, appendix D) is safe at every level. So ours predicts `v`.

# %%
s = recipes.SCHEDULE()
alpha, sigma = s.alphas[1:-1], s.sigmas[1:-1]
factors = {"predicts eps": (t[:-1], sigma / alpha), "predicts x0": (t[:-1], torch.ones_like(alpha)), "predicts v": (t[:-1], sigma)}
viz.lines(factors, xlabel="step t", ylabel="error of x0_hat for an error of 1", log="y", alt="Error of the clean data for a unit error of the network: it explodes for eps towards t = 1000, stays at 1 for x0 and at most 1 for v.")

# %% [markdown]
# ## Samplers, on data where the truth is known
#
# A sampler walks a denoiser from noise to data. Here is a whole one, DDIM (Song et al. 2021, eq. 12): guess the clean data, see
# which noise that implies, and mix both again at the next, lower level. With `eta=1` some of the old noise is replaced by fresh noise
# at each step: that is DDPM's ancestral sampler, the original.

# %%
ledger.source(samplers.ddim)

# %% [markdown]
# How good is it? With a trained network nobody can tell the sampler's error from the network's. So take data whose denoiser is
# known in closed form: three tilted Gaussians in the plane. For those, $\mathbb E[x_0 \mid x_t]$ is Bayes' rule, and a
# high-order solver tells to eight digits where each grain of noise *must* end. Whatever is missing is the sampler's own.
#
# **Predict.** Double the number of steps. By what factor does the error of DDIM shrink? And of DPM-Solver++(2M), which is called a
# *second-order* method and remembers the step before?

# %%
steps, all_steps = (5, 10, 20, 25, 40, 50, 100, 200), (5, 10, 20, 25, 50, 100, 125, 250)
middle = diffusing.sampler_errors(steps, first=900, last=100)
whole = diffusing.sampler_errors(all_steps)
panels = viz.Panels(2)
options = {"xlabel": "steps", "ylabel": "distance from the exact end (toy's unit)", "log": "xy"}
viz.draw_lines(panels[0], {k: (steps, v) for k, v in middle.items()}, title="the middle of the walk: t = 900 to 100", **options)
viz.draw_lines(panels[1], {k: (all_steps, v) for k, v in whole.items()}, title="the whole walk: t = 1000 to 0", **options)
panels.picture("Error against steps on log axes. In the middle of the walk DDIM falls with slope one, the two others with slope two; over the whole walk these two are less steep.")

# %%
rows = [[name, diffusing.order(steps, middle[name]), diffusing.order(all_steps, whole[name])] for name in middle]
ledger.table(["sampler", "fitted order, t = 900 to 100", "fitted order, t = 1000 to 0"], rows)
orders = {name: (a, b) for name, a, b in rows}
book.claim("DDIM is a first-order method", orders["DDIM"][0], at_least=0.8, at_most=1.2)
book.claim("DPM-Solver++(2M) is of second order in the middle of the walk", orders["DPM-Solver++(2M)"][0], at_least=1.7, at_most=2.3)
book.claim(
    "It is of second order over the whole walk",
    orders["DPM-Solver++(2M)"][1],
    at_least=1.7,
    expected=False,
    reason="the first step (from nothing) and the last (to clean data) are first order, as in everybody's implementation",
);

# %% [markdown]
# <details><summary>The answer</summary>
#
# DDIM halves its error, order 1; the second-order methods quarter it *in the middle of the walk*. Over the whole walk
# they do not: at $t = T$ there is no step before to remember, and at $t = 0$ the noise vanishes and the method's own clock, the
# logarithm of the signal-to-noise ratio, runs to infinity. The last step is first order in every
# implementation, and on the log axes its slope is what remains in the end. A claim about "the order of a sampler" is a claim about a grid, too.
#
# </details>
#
# DDPM is missing above, since it follows no single path: fresh noise at each step. What it should get right is the *set* of points. So
# compare whole sets, by the Wasserstein distance of their projections; below the dashed line, two sets of true points cannot be told apart either.

# %%
few = (5, 10, 20, 50)
sets, floor = diffusing.set_errors(few)
viz.lines({k: (few, v) for k, v in sets.items()}, xlabel="steps", ylabel="distance between sets (toy's unit)", log="xy", references={"two sets of true points": floor}, alt="Distance of the sampled set from the true set against steps: DDPM highest, then DDIM, DPM-Solver++ lowest; all fall to the dashed line, where sets of true points lie, or below it.")

# %%
book.claim("At 10 steps DDPM's points are further off than DPM-Solver++'s: times", sets["DDPM"][1] / sets["DPM-Solver++(2M)"][1], at_least=1.05);

# %% [markdown]
# ## From pixels to latents, and the famous constant
#
# Now the real thing. Chapter 3's VAE turns each garment into $4 \times 4 \times 4$ numbers, and we encode the training set once.
# (If you come here without having run chapter 3, the next cell trains its VAE now.)

# %%
latent_codec = recipes.codec_of("fashion-vae", machine)
train_images, train_labels = data.fashion_mnist("train", machine.device)
latents = codec.cache(latent_codec, train_images)
shape = tuple(latents.shape[1:])
print(f"an image: {train_images[0].numel():,} numbers; its latent: {latents[0].numel()} numbers, {shape}")

# %% [markdown]
# Schedules are made for data of spread 1: that is what "equal parts of signal and noise" silently assumes. Latents come in
# whatever unit the VAE likes. The remedy is to divide by their standard deviation: a number that is *measured*, once, on the training set.
# Stable Diffusion's famous `scaling_factor` is $1 / \text{std}$ of its VAE's latents, one number for all four channels (Rombach et al. 2022,
# appendix G). It is a property of one VAE: carry it to another and it is simply wrong. Here is ours, measured:

# %%
std = latent_codec.latents_std.flatten()
constant = 1 / diffusing.spread(latent_codec, latents)
ledger.table(
    ["channel", "mean of the VAE's own numbers", "their standard deviation"],
    [[i, m, d] for i, (m, d) in enumerate(zip(latent_codec.latents_mean.flatten().tolist(), std.tolist(), strict=True))],
)
print(f"our own scaling_factor, 1 / std over all channels: {constant:.3f}")

# %% [markdown]
# **Predict.** Train the same small denoiser for a few seconds on the same latents in five units: as the VAE made them, divided by one number, by one
# number per channel, and five times too large and too small. Which of the five matter?

# %%
judge = quality.Judge(machine)
arms = diffusing.scaling(latent_codec, latents, train_labels, judge)
rows = [[a.name, float(a.std.min()), float(a.std.max()), a.score.frechet, f"{a.score.agreement:.0%}"] for a in arms]
ledger.table(["scaling", "smallest std of a channel", "largest", "Fréchet distance", "samples of the wanted class"], rows)
viz.bars({a.name: a.score.frechet for a in arms}, ylabel="Fréchet distance (lower is better)", alt="Fréchet distance for five scalings of the latents after the same short training; the two wrong units are worst.")

# %%
by_name = {a.name: a.score.frechet for a in arms}
wrong = min(by_name["5× too large"], by_name["5× too small"])
book.claim("After scaling, every channel has spread 1: largest departure", float((latents.std(dim=(0, 2, 3)) - 1).abs().max()), at_most=0.01)
book.claim("A wrong unit costs quality: the better of the two wrong ones, times per channel", wrong / by_name["per channel"], at_least=1.1)
book.claim(
    "Without any scaling latent diffusion fails: Fréchet distance, times per channel",
    by_name["none"] / by_name["per channel"],
    at_least=2,
    expected=False,
    reason="our VAE's KL term is at full weight and already pulls its latents towards spread 1; Stable Diffusion's KL has next to none",
);

# %% [markdown]
# <details><summary>The answer</summary>
#
# The two wrong units matter, the first three hardly differ *here*. This VAE was trained with the KL term at its full weight, which pulls
# every channel towards $\mathcal N(0, 1)$. Stable Diffusion's VAE was trained with a KL weight of about a millionth: nothing held its
# latents near 1, and the constant had to repair that afterwards. Too large a latent hides from the noise until late in the schedule, too
# small a one drowns at once: either way most of the training steps are spent where there is nothing to learn.
#
# </details>
#
# ## Train it
#
# The loss is the simplest in the course: noise a latent to a random level, ask the network, square the error (Ho et al. 2020, eq. 14).
# One time in ten the label is hidden, so that the same network also learns what a garment looks like in general. Chapter 5 will need that.

# %%
ledger.source(diffusion.loss)

# %%
result = recipes.fashion_ldm(machine=machine)

# %%
viz.losses(result.losses, ylabel="mean squared error of v", alt="Training loss of the latent denoiser against step: a steep fall, then a long slow decline.")

# %% [markdown]
# The curve flattens early and never comes near zero, and it should not: given only noise, nobody can know *which* garment it was. What the
# network knows at each level is the better picture: the share of the test latents' variance that it leaves unexplained.

# %%
make = quality.conditional(result.ema, machine)
test_latents = codec.cache(latent_codec, images[:1000])
ts = [1, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 999]
left = diffusing.errors_by_level(make, test_latents, labels[:1000], ts)
viz.lines({"": (ts, left)}, xlabel="step t", ylabel="variance left unexplained", references={"knows nothing": 1.0}, alt="Unexplained share of the latents' variance against noise step, rising from zero to a plateau below one, because the label alone explains some.")

# %%
first, last = result.losses[:20].mean(), result.losses[-200:].mean()
book.claim("Training lowers the loss: first 20 steps over last 200", first / last, at_least=1.3)
book.claim("With little noise (t = 50) the denoiser knows nearly all: unexplained share", left[1], at_most=0.1)
book.claim("From noise alone (t = 999) it knows little, but more than nothing: the label", left[-1], at_least=0.3, at_most=0.98);

# %% [markdown]
# ## The contrast of the course
#
# **Predict.** Two ways to make garments, both through the very same VAE decoder. Above: draw $z \sim \mathcal N(0, I)$, the VAE's own prior, and decode.
# Below: start from the same kind of noise, walk with DPM-Solver++(2M) through the denoiser in 20 steps, and decode. What will you see?

# %%
wanted = quality.balanced(1000, machine)
prior = diffusing.read_prior(latent_codec, 1000, shape, machine)
drawn = quality.draw(make, wanted, latent_codec, shape, machine)
real = data.to_float(images[:1000])
sheet = {"real": real[:12], "prior": prior[:12], "prior, more": prior[12:24], "walked": drawn[:12], "walked, more": drawn[12:24]}
viz.rows(sheet, scale=2, alt="Twelve real garments; below, two rows decoded from the prior, mostly mush; below, two rows of samples of the latent diffusion model, clearly garments.")

# %%
rebuilt = codec.decode_all(latent_codec, test_latents)
scores = {"real images": real, "decoded from N(0, I)": prior, "latent diffusion": drawn, "the VAE's reconstructions": rebuilt}
distances = {name: judge.frechet(x) for name, x in scores.items()}
sure = {name: float((judge.confidence(x) > 0.9).float().mean()) for name, x in scores.items()}
ledger.table(["1,000 images", "Fréchet distance to the test images", "read with 90 % confidence"], [[k, distances[k], f"{sure[k]:.0%}"] for k in scores])

# %% [markdown]
# <details><summary>The answer</summary>
#
# Mush, and garments. Same decoder, same 64 numbers: the only difference is *where* in the space the numbers lie. The VAE never promised that its
# codes fill the Gaussian; the walk goes to where they are. And the third figure keeps us honest: decoding the codes of *real* garments
# is not free of error either. That is the VAE's blur, and no denoiser can do away with it.
#
# </details>

# %%
book.claim("Samples of the latent model are nearer to real than decoded prior noise: times", distances["decoded from N(0, I)"] / distances["latent diffusion"], at_least=2)
book.claim("The judge is sure of more of them: share, minus the prior's", sure["latent diffusion"] - sure["decoded from N(0, I)"], at_least=0.1)
agreed = judge.score(drawn, wanted).agreement
book.claim("They show the class that was asked for: share", agreed, at_least=0.6)
book.claim("The VAE's own blur is a part of the distance: reconstructions over real images", distances["the VAE's reconstructions"] / distances["real images"], at_least=1.5);

# %% [markdown]
# ## Watch one walk
#
# Six grains of noise, six classes, twenty steps. Upper row: where the walk is, $x_t$, decoded. Lower row: where the denoiser thinks it will end,
# $\hat x_0$. Move the slider slowly. The plan is there long before the picture is.

# %%
levels = recipes.SCHEDULE().grid(20)
six = torch.tensor([0, 1, 5, 7, 8, 9], device=machine.device)
walk = diffusing.walk(make(six), levels[0].sigma * quality.noise(6, shape, machine, seed=3), levels, latent_codec)


def at_step(step):
    level = walk.levels[step]
    return torch.cat([walk.x_t[step], walk.x0_hat[step]]), f"step {step} of 20: t = {level.t}, alpha {level.alpha:.3f}, sigma {level.sigma:.3f}"


shown = [0, 4, 8, 10, 12, 14, 16, 18, 20]
strip = {"x_t": walk.x_t[shown, 3], "x0_hat": walk.x0_hat[shown, 3]}
viz.rows(strip, scale=2, titles=[f"step {i}" for i in shown], alt="One walk, every few steps: the decoded x_t goes from mush to a sneaker only late; the expected end shows a blurred sneaker from the first step.")

# %%
slider = widgets.image_slider(at_step, columns=6, scale=3, step=list(range(21)), alt="Upper row: six walks at this step, decoded. Lower row: the clean garment that the denoiser expects of each.")
slider

# %%
slider.set(step=10), slider.set(step=20)

# %% [markdown]
# ## Quality against steps
#
# On the toy we knew the truth. Here the judge must do: Fréchet distance of 400 samples to the test images, for each sampler and number of steps, all from the
# same noise. (So few samples make every distance look a little larger than it is, all of them alike.)
#
# **Predict.** How many steps do you need before the *network* is the bottleneck and no longer the sampler? And with too few steps, will the samples show the wrong class more often?

# %%
grid = {"DDPM": (5, 10, 20, 50), "DDIM": (5, 10, 20), "DPM-Solver++(2M)": (3, 5, 10, 20)}
curves = diffusing.quality_against_steps(make, latent_codec, judge, shape, grid, n=400)
panels = viz.Panels(2)
viz.draw_lines(panels[0], {k: (grid[k], [s.frechet for s in v]) for k, v in curves.items()}, xlabel="steps (network calls)", ylabel="Fréchet distance", log="xy")
viz.draw_lines(panels[1], {k: (grid[k], [100 * s.agreement for s in v]) for k, v in curves.items()}, xlabel="steps (network calls)", ylabel="of the wanted class (%)", log="x")
panels.picture("Left: Fréchet distance against steps for three samplers; DPM-Solver++ is flat from ten steps on, DDPM needs the most. Right: share of samples of the wanted class.")

# %%
best = {name: {n: s.frechet for n, s in zip(grid[name], curves[name], strict=True)} for name in grid}
book.claim("DPM-Solver++(2M): 10 steps are as good as 20; Fréchet distance, 10 over 20", best["DPM-Solver++(2M)"][10] / best["DPM-Solver++(2M)"][20], at_most=1.25)
agreed = [s.agreement for s in curves["DPM-Solver++(2M)"]]
book.claim("Three steps hit the wanted class no less often than twenty: share, minus that of 20", agreed[0] - agreed[-1], at_least=-0.03)
book.claim("And yet they are further from real: Fréchet distance, 3 steps over 20", best["DPM-Solver++(2M)"][3] / best["DPM-Solver++(2M)"][20], at_least=1.2)
book.claim("At 5 steps DDPM is worse than DPM-Solver++(2M): times", best["DDPM"][5] / best["DPM-Solver++(2M)"][5], at_least=1.1);

# %% [markdown]
# <details><summary>The answer</summary>
#
# About ten. From there on DPM-Solver++ gains next to nothing: the rest of the distance belongs to the network and to the VAE. And here is something that the
# error on the toy could not show: with a learned denoiser DDPM's fresh noise can *repair* errors of earlier steps, so that with many steps it may end at or even
# below the deterministic samplers. Look at the right end of the curves.
#
# And the class? With too few steps it is hit *no less* often: a walk of three steps ends near the average garment of its class, blurred but unmistakable. A high agreement alone is no
# sign of good samples; keep that in mind for chapter 5, where we buy agreement on purpose.
#
# </details>
#
# ### The moving average
#
# The samples come from an average over the last weights of training (EMA), not from the last weights themselves. Does it matter?

# %%
last_weights = quality.draw(quality.conditional(result.net, machine), wanted[:500], latent_codec, shape, machine)
averages = {"last weights": judge.frechet(last_weights), "moving average": judge.frechet(drawn[:500])}
ledger.table(["500 samples with", "Fréchet distance"], [[k, v] for k, v in averages.items()])
book.claim("The moving average draws at least as well as the last weights: distance, average over last", averages["moving average"] / averages["last weights"], at_most=1.1);

# %% [markdown]
# Little, in a run whose learning rate falls to zero: that is a kind of averaging, too. With a constant learning rate the gap is large.
#
# ## Pixels against latents, honestly
#
# The thesis of the course deserves a fair fight. Same library, same kind of network, same schedule, sampler, judge, machine and the same seconds of training. The
# latent side pays for its autoencoder out of its own purse. The pixel side may hold $\hat x_0$ inside $[-1, 1]$ at each step, as pixel-space DDPMs do.
#
# The fight takes longer than this chapter may, so what follows was measured once by one command, undisturbed, and stored with that command, its seed
# and its machine; below we remake the cheap points of it live.

# %%
fight = rivals.stored()
print(f"measured by `{fight['command']}`, seed {fight['seed']}, {fight['seconds']:.0f} s of training each, on {fight['machine']}")
names = {"numbers": "numbers per picture", "flops_per_step": "operations of one network call", "images_seen_per_second": "pictures per second in training", "images_per_second": "samples per second, 20 steps"}
rows = [[label, fight["latent"][key], fight["pixel"][key]] for key, label in names.items()]
rows += [[f"Fréchet distance at guidance scale {k}", v, fight["pixel"]["frechet_by_scale"][k]] for k, v in fight["latent"]["frechet_by_scale"].items()]
ledger.table(["", "latent", "pixel"], rows, title="The same seconds, two spaces")

# %%
scales = list(fight["latent"]["frechet_by_scale"])
curves = {side: ([float(k) for k in scales], [fight[side]["frechet_by_scale"][k] for k in scales]) for side in ("latent", "pixel")}
viz.lines(curves, xlabel="guidance scale (1 = none; chapter 5)", ylabel="Fréchet distance", log="y", alt="Fréchet distance against guidance scale, latent and pixel model after equal seconds of training: the latent curve lies below at every scale.")

# %% [markdown]
# Now the cheap points, live: operations of one network call, samples per second on a small batch, and our own model's distance beside the stored one.

# %%
rival = rivals.untrained_rival(machine)
work = {"latent": rivals.flops_per_step(result.ema, shape), "pixel": rivals.flops_per_step(rival, (1, 32, 32))}
speed = {
    "latent": rivals.images_per_second("latent", result.ema, latent_codec, machine, n=200, steps=10),
    "pixel": rivals.images_per_second("pixel", rival, codec.PixelCodec(), machine, n=20, steps=10),
}
ledger.table(["", "latent", "pixel", "ratio"], [["operations of one network call", work["latent"], work["pixel"], work["pixel"] / work["latent"]], ["samples per second, 10 steps, decoded", speed["latent"], speed["pixel"], speed["latent"] / speed["pixel"]]])

# %%
stored = fight["latent"]["frechet_by_scale"]["1"]
book.claim("The latent has fewer numbers than the image: times", train_images[0].numel() / latents[0].numel(), equals=16)
book.claim("A network call in pixel space costs more operations: times", work["pixel"] / work["latent"], at_least=5)
book.claim("Sampling in latent space is faster, decoding included: times", speed["latent"] / speed["pixel"], at_least=3)
book.claim("After equal seconds the latent model is nearer to real (stored, unguided): times", fight["pixel"]["frechet_by_scale"]["1"] / stored, at_least=1.2)
book.claim("Today's run agrees with the stored one: Fréchet distance, today over stored", distances["latent diffusion"] / stored, at_least=0.4, at_most=2.0);

# %% [markdown]
# ## The ledger
#
# Every claim of this chapter, what was measured just now, and whether it holds. A claim that does not hold is in the table too, with the reason.

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
# | `alpha`, `sigma` | $\sqrt{\bar\alpha_t}$, $\sqrt{1 - \bar\alpha_t}$ | Ho et al. 2020 (DDPM), eq. 4 |
# | `diffusion.loss` | $L_\text{simple}$ | Ho et al. 2020, eq. 14 |
# | `v` | $\alpha_t \epsilon - \sigma_t x$ | Salimans & Ho 2022, appendix D |
# | `samplers.ddim`, `eta` | $\eta$ | Song et al. 2021 (DDIM), eq. 12 and 16 |
# | `samplers.dpmpp_2m` | DPM-Solver++(2M) | Lu et al. 2022, algorithm 2 |
# | `schedule.cosine` | $\bar\alpha_t$ | Nichol & Dhariwal 2021, eq. 17 |
# | `level.ratio` | $\sigma$ of EDM | Karras et al. 2022 |
# | latent scaling | `scaling_factor` | Rombach et al. 2022, appendix G |
# | terminal signal | zero terminal SNR | Lin et al. 2023 |
# | Fréchet distance | FID with other features | Heusel et al. 2017, eq. 6 |
#
# The model that you trained is saved. [Chapter 5](05_guidance.ipynb) takes the steering wheel.
