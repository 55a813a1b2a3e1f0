# %% [markdown]
# # 3 · The variational autoencoder
#
# > Can a network *learn* a space that we can sample from: one in which points near the origin decode to clothing?
#
# Chapter 2's encoder turns each image into a *point*, and between the points there are holes. This chapter turns each point into a *cloud* and pulls
# all clouds towards the origin. Where clouds overlap, the decoder was trained.
#
# **After this chapter you can**
#
# - derive the evidence lower bound (ELBO), and write its three lines of code;
# - say where the decoder's noise $\sigma_x$ comes from, and which beta a loss really has;
# - read a rate–distortion curve, and recognise a collapsed VAE;
# - say what the prior buys, under which conditions, and what it does not buy.
#
# **You need** chapter 2, Gaussians and the logarithm.

# %%
import math

import torch
from torch.nn import functional as F

from course_lib import data, device, recipes
from course_lib.autoencoder import DenseAutoencoder
from course_lib.codec import posterior
from course_lib.experiments import latent_map, latents
from course_lib.experiments.ch3_vae import dense, elbo, latent_space, prior_effects, rate_distortion
from course_lib.experiments.evaluator import Evaluator
from course_lib.homework.checks.ch3 import ch3
from course_lib.images import to_float
from course_lib.notebook import claims, explore, guess, viz
from course_lib.vae import DenseVAE, active_units

machine = device.find()
print(machine)
book = claims.Claims("3 VAE")
names = list(data.FASHION_CLASSES)

# %% [markdown]
# ## From points to clouds
#
# Chapter 2's map again: two latent dimensions, one dot for each of 500 test images. On the right a VAE of the same size. Its encoder answers with a
# *Gaussian* for each image, drawn as an ellipse of one standard deviation. (The clouds of a strong pull, beta 16, explained below. The two maps have different scales: compare the circles of radius 2.)

# %% tags=["hide-input"]
train_images, train_labels = data.fashion_mnist("train", machine.device)
test_images, test_labels = data.fashion_mnist("test", machine.device)
map_autoencoder = recipes.load_or_train("fashion-map-autoencoder", machine)
stored_maps = latent_map.stored_maps()
cloudy = next(one for one in stored_maps if one.beta == 16)
panels = viz.Panels(2, 4.7, 4.6)
for axes, title, limit in ((panels[0], "autoencoder: points", 8.5), (panels[1], "VAE (beta 16): clouds", 3.4)):
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), title=title, aspect="equal")
viz.draw_codes(panels[0], latent_map.encode_map(map_autoencoder, test_images[:500]), test_labels[:500], names)
viz.draw_codes(panels[1], cloudy.mean, cloudy.labels, names, cloudy.std)
panels.picture(
    "Left: the codes of an autoencoder, coloured by class, in streaks that reach far outside the circle of radius 2. Right: "
    "the clouds of a VAE, which overlap and fill the circle of radius 2 about the origin."
)

# %% [markdown]
# The autoencoder's points lie wherever training left them, in streaks with gaps between. The clouds lie about the origin, on a scale that we chose
# beforehand, and neighbours overlap: **islands grow together into a continent.** How hard the clouds are pulled is one number, *beta*. Move it: left
# the clouds, right what a grid of points between −5 and 5 decodes to. With less pull, gaps remain.


# %% tags=["hide-input"]
def continent(beta: float) -> tuple[viz.Picture, str]:
    one = next(m for m in stored_maps if m.beta == beta)
    left = viz.plane(one.mean, one.labels, names, (-5, 5), (-5, 5), 373, one.std.clamp(min=0.03)).pixels()
    right = viz.tile(F.interpolate(one.images / 127.5 - 1, size=43, mode="bilinear"), latent_map.SIDE, 1, gap=0)
    caption = f"beta {beta:g}: KL {one.kl:.1f} nats per image, standard deviation of a cloud {one.std.mean():.2f}, mean squared error {one.mse:.3f}"
    return viz.Picture(viz.encode(viz.side_by_side(left, right)), "Clouds, and the decoded grid.", 760), caption


explore.sliders(
    continent,
    alt="A slider over beta: as beta rises, small separate clouds grow and overlap, move towards the origin, and the decoded grid becomes smoother.",
    beta=[one.beta for one in stored_maps],
)

# %% [markdown]
# At the smallest beta the clouds are almost points (drawn larger than they are, to be visible). At the largest one they overlap so much that the decoder cannot distinguish a shirt from a pullover. The choice in between
# is what this chapter is about. Drag across the map of beta 1, and look for its gaps:

# %% tags=["hide-input"]
map_vae = recipes.load_or_train("fashion-map-vae", machine)
ticks = torch.linspace(-4, 4, 21).tolist()
explore.pad(
    lambda xy: latent_map.decode_map(map_vae, xy).cpu(),
    x=ticks,
    y=ticks,
    points=latent_map.encode_map(map_vae, test_images[:500]).cpu(),
    labels=test_labels[:500].cpu(),
    names=names,
    alt="The map of a VAE with two latent dimensions: the point under the pointer is decoded; most points near the origin decode to clothing.",
    scale=8,
)

# %% [markdown]
# ## A code that is a cloud
#
# For each latent dimension the encoder returns a mean and a log-variance (Kingma & Welling 2014):
#
# $$q(z \mid x) = \mathcal N\big(\mu(x),\ \operatorname{diag}\sigma^2(x)\big).$$
#
# The decoder gets a *sample* of it, so it must draw the image from anywhere in the cloud. But how does a gradient pass through sampling? Take the random part out:
# $z = \mu + \sigma\,\varepsilon$ with $\varepsilon \sim \mathcal N(0, I)$. Now $z$ is an ordinary function of $\mu$ and $\sigma$. Write this **reparameterisation**.


# %%
def reparameterise(mean, logvar, eps):
    """Return a sample of N(mean, exp(logvar)), given standard normal noise eps; all of one shape."""
    raise NotImplementedError  # one line


# %%
reparameterise = ch3.reparameterise.check(reparameterise)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# return mean + (logvar / 2).exp() * eps
# ```
# </details>
#
# All clouds are pulled towards the **prior** $p(z) = \mathcal N(0, I)$, by the Kullback–Leibler (KL) divergence $\mathbb E_{z \sim q}[\log q(z) - \log p(z)]$: how much, in nats, $q$ differs from $p$; never negative, and 0 only if they
# are equal. For one dimension
#
# $$\mathrm{KL}\big(\mathcal N(\mu, \sigma^2)\,\|\,\mathcal N(0, 1)\big) = \tfrac12\big(\mu^2 + \sigma^2 - 1 - \log\sigma^2\big).$$
#
# <details><summary><b>The integral, in three lines</b></summary>
#
# $$\log q(z) - \log p(z) = -\tfrac12\log\sigma^2 - \frac{(z-\mu)^2}{2\sigma^2} + \frac{z^2}{2}.$$
#
# Average over $z \sim q$, where $\mathbb E(z-\mu)^2 = \sigma^2$ and $\mathbb E z^2 = \mu^2 + \sigma^2$:
#
# $$\mathrm{KL} = -\tfrac12\log\sigma^2 - \tfrac12 + \tfrac12(\mu^2 + \sigma^2).$$
# </details>
#
# It is zero for $\mu = 0$, $\sigma = 1$: a cloud that says nothing about its image. The dimensions are independent, so their KLs *add up*.


# %%
def kl(mean, logvar):
    """Return the KL of N(mean, exp(logvar)) from N(0, I) in nats per image, [B]; mean, logvar: [B, C, h, w]."""
    raise NotImplementedError  # two lines


# %%
kl = ch3.kl.check(kl)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# per_dim = (mean.square() + logvar.exp() - 1 - logvar) / 2
# return per_dim.flatten(1).sum(1)
# ```
# </details>
#
# ## The ELBO
#
# A generative model is trained to give a high likelihood $\log p(x)$ to real images. (Likelihood measures how well a model *compresses* the data; it does not measure how good its samples look: a
# model may have a high likelihood and draw poor samples, and vice versa; Theis et al. 2016.) With a latent $z$ behind every image,
# $p(x) = \int p(x \mid z)\,p(z)\,dz$ is an integral that we cannot compute. But for *every* $z$, by the rules of probability,
# $\log p(x) = \log p(x, z) - \log p(z \mid x)$. Add and subtract $\log q(z \mid x)$, and average over $z \sim q$:
#
# $$\log p(x) = \mathbb E_q\Big[\log \frac{p(x, z)}{q(z \mid x)}\Big] + \mathbb E_q\Big[\log\frac{q(z \mid x)}{p(z \mid x)}\Big]
# = \mathrm{ELBO}(x) + \mathrm{KL}\big(q(z \mid x)\,\|\,p(z \mid x)\big).$$
#
# The last KL is never negative, so the first term is a lower bound of $\log p(x)$, and the gap is known. With $p(x, z) = p(x \mid z)\,p(z)$:
#
# $$\boxed{\ \mathrm{ELBO}(x) = \underbrace{\mathbb E_{q}\big[\log p(x \mid z)\big]}_{\text{how well it is drawn}}
# \ -\ \underbrace{\mathrm{KL}\big(q(z \mid x)\,\|\,p(z)\big)}_{\text{what the code costs}}\ \le\ \log p(x)\ }$$
#
# <details><summary><b>The other way: Jensen's inequality</b></summary>
#
# $$\log p(x) = \log \mathbb E_{q}\Big[\frac{p(x \mid z)\,p(z)}{q(z \mid x)}\Big] \ge \mathbb E_{q}\Big[\log\frac{p(x \mid z)\,p(z)}{q(z \mid x)}\Big],$$
#
# since the logarithm of a mean is at least the mean of the logarithms. Shorter, but it does not show how large the gap is.
# </details>
#
# **Predict.** The smallest model there is: one latent $z \sim \mathcal N(0, 1)$, one pixel $x \sim \mathcal N(z, 0.5^2)$. We see $x = 1$. At which mean of $q$ is the ELBO highest?

# %%
best_mean = guess.number("mean of q with the highest ELBO")
best_mean

# %% tags=["hide-output"]
mean = torch.linspace(-0.5, 2, 251)
right = math.sqrt(1 / (1 + 1 / 0.5**2))  # the true posterior's standard deviation
curves = {f"q with std {s:.2f}": elbo.toy_elbo(1.0, mean, torch.full_like(mean, s)).value for s in (0.2, right, 0.9)}
best_mean.compare(mean[curves[f"q with std {right:.2f}"].argmax()].item())
viz.lines(
    {name: (mean, value) for name, value in curves.items()},
    xlabel="mean of q",
    ylabel="ELBO (nats)",
    references={"log p(x)": elbo.toy_evidence(1.0)},
    alt="ELBO against the mean of q for three widths: all peak at 0.8, and only the curve with the right width touches log p(x).",
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# At 0.8: the true posterior's mean is $x / (1 + 0.5^2)$, pulled a little towards the prior. Only the cloud of the right width touches the dashed line; the others
# stay below by their KL from the true posterior.
# </details>
#
# For images the decoder's noise is part of the model: $p(x \mid z) = \mathcal N(\mathrm{decode}(z), \sigma_x^2 I)$. So for an image of $D$ pixels
#
# $$\log p(x \mid z) = -\frac{\lVert x - \mathrm{decode}(z)\rVert^2}{2\sigma_x^2} - D \log\big(\sigma_x\sqrt{2\pi}\big).$$


# %%
def log_likelihood(images, decoded, noise_std):
    """Return log N(images; decoded, noise_std²) in nats per image, [B]; images, decoded: [B, C, H, W]."""
    raise NotImplementedError  # three lines


# %%
log_likelihood = ch3.log_likelihood.check(log_likelihood)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# D = images[0].numel()
# error = (images - decoded).square().flatten(1).sum(1)
# return -error / (2 * noise_std**2) - D * math.log(noise_std * math.sqrt(2 * math.pi))
# ```
# </details>
#
# That is all of it. Your three functions are the loss of a VAE:


# %%
def negative_elbo(net, batch, generator):
    images = to_float(batch[0])  # uint8 → [-1, 1]
    q = net.encode(images)
    eps = torch.randn(q.mean.shape, generator=generator, device=images.device)
    decoded = net.decode(reparameterise(q.mean, q.logvar, eps)).float()
    return (kl(q.mean, q.logvar) - log_likelihood(images, decoded, net.noise_std)).mean()


# %% [markdown]
# ## The promise
#
# An image from nothing: sample $z \sim \mathcal N(0, I)$, decode. We train two fully connected networks with a hidden width of 256 and **16 latent dimensions without positions**: an autoencoder, and
# a VAE with $\sigma_x = 0.5$ and your loss. A sample counts as *readable* if our classifier of Fashion-MNIST is more than 90 % sure of its class; the *Fréchet distance* compares the
# distributions of samples and test images in that classifier's features (0 is perfect).
#
# **Predict.** Of the autoencoder's decoded $\mathcal N(0, I)$ about 8 % are readable. Of the VAE's?

# %%
readable = guess.number("share of the VAE's samples that is readable", unit="%")
readable

# %%
NOISE = 0.5
dense_autoencoder = dense.train_dense(DenseAutoencoder, train_images, machine, progress=False)
dense_vae = dense.train_dense(DenseVAE, train_images, machine, progress=False, loss=negative_elbo, noise_std=NOISE)

# %% tags=["hide-output"]
evaluator = Evaluator(machine)
samples, score = {}, {}
for name, net in {"autoencoder": dense_autoencoder, "VAE": dense_vae}.items():
    samples[name] = latents.decode(net, dense.standard_normal(net, 2000))
    share = latent_space.readable_fraction(evaluator, samples[name])
    score[name] = [share, (share * (1 - share) / 2000) ** 0.5, evaluator.frechet(samples[name])]
readable.compare(100 * score["VAE"][0])
claims.table(["decoded N(0, I)", "readable", "standard error", "Fréchet distance"], [[name, *row] for name, row in score.items()])
viz.grid(
    torch.cat([x[:18] for x in samples.values()]),
    9,
    row_labels=["autoencoder", "", "VAE", ""],
    scale=2,
    alt="Decoded samples of N(0, I): the autoencoder's are mostly smears, the VAE's mostly soft but recognisable clothes and shoes.",
)

# %% tags=["hide-input"]
book.claim("Dense: readable samples of N(0, I), VAE ÷ autoencoder", score["VAE"][0] / score["autoencoder"][0], at_least=1.8, unit="×")
book.claim("Dense: Fréchet distance of N(0, I), autoencoder ÷ VAE", score["autoencoder"][2] / score["VAE"][2], at_least=1.2, unit="×")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# About 30 %, more than three times as many as without the prior (8 %: the floor of this measure). **The prior makes this latent space one that we can sample from**, although not well: the samples are soft, and more than two thirds are not
# readable by our strict measure.
# </details>
#
# **Change and run again.** Set `NOISE = 0.3` in the training cell and run it and the next one. The reconstructions get sharper (less noise makes the squared error weigh more); what happens to the share of readable samples?
#
# ## Sharper reconstructions: latents with positions
#
# Chapter 4 needs a *sharp* decoder. Its VAE is chapter 2's convolutional network: a latent of 4×4 positions with 4 channels, 64 dimensions. Which $\sigma_x$ is right for it? The likelihood itself gives the answer.
#
# <details><summary><b>Why σ² is the mean squared error</b></summary>
#
# $$\frac{\partial}{\partial \sigma_x^2}\Big[-\frac{\lVert x - \hat x\rVert^2}{2\sigma_x^2} - \frac D2\log\sigma_x^2\Big]
# = \frac{\lVert x - \hat x\rVert^2}{2\sigma_x^4} - \frac{D}{2\sigma_x^2} = 0 \quad\Longrightarrow\quad \sigma_x^2 = \frac1D\lVert x - \hat x\rVert^2.$$
# </details>
#
# The best $\sigma_x^2$ is the **mean squared error of a pixel**. The recipe fixes $\sigma_x = 0.14$; we check it afterwards. What this cell trains is saved, and chapter 4 uses it.

# %%
vae = recipes.fashion_vae(machine=machine).ema.eval()  # ema: the average of the weights over the last steps

# %%
tests, labels = to_float(test_images[:2000]), test_labels[:2000]
generator = torch.Generator(machine.device).manual_seed(0)
q = posterior(vae, tests)
with torch.no_grad():
    drawn = torch.cat([vae.decode(z).float() for z in q.sample(generator).split(500)])
copies = latents.decode(vae, q.mode())
fit, rate = log_likelihood(tests, drawn, vae.noise_std), kl(q.mean, q.logvar)
rms = (drawn - tests).square().mean().sqrt().item()
print(f"σ of the model: {vae.noise_std}; root-mean-square error of a pixel: {rms:.3f}")

# %% tags=["hide-input"]
P, cut = tests[0].numel(), (..., slice(2, -2), slice(2, -2))
inside = log_likelihood(tests[cut].contiguous(), drawn[cut].contiguous(), vae.noise_std)
comparable = math.log2(127.5)


def bill(name: str, nats: torch.Tensor, pixels: int) -> list:
    bits = nats.mean().item() / (pixels * math.log(2))
    return [name, nats.mean().item(), (nats.std() / len(nats) ** 0.5).item(), bits, "" if "KL" in name else f"{bits + comparable:.2f}"]


columns = ["cost of an image (2,000 test images)", "nats", "standard error", "bits per pixel", "… of an 8-bit pixel"]
claims.table(
    columns,
    [
        bill("−log-likelihood", -fit, P),
        bill("KL", rate, P),
        bill("−ELBO, the sum of both", rate - fit, P),
        bill("−ELBO of the 28×28 inner pixels", rate - inside, 28 * 28),
    ],
)
viz.rows(
    {"original": tests[:10], "reconstruction": copies[:10], "N(0, I)": latents.decode(vae, torch.randn(10, 4, 4, 4, generator=generator, device=machine.device))},
    scale=2,
    alt="Ten test images, their reconstructions, soft but right, and ten decoded samples of N(0, I): blotches of fabric that are no clothes.",
)

# %% tags=["hide-input"]
book.claim("RMS error of the trained VAE ÷ its σ of 0.14", rms / vae.noise_std, at_least=0.8, at_most=1.2)

# %% [markdown]
# Two notes on units. The negative log of a *density* may be negative. For 8-bit pixels, 127.5 values per unit, $\log_2 127.5 \approx 7$ bits must be added: the last column, comparable with published numbers. All in all, with the KL, the code of an image costs 6.4 of 8 bits: a poor compressor. And 240 of the 1,024 pixels are constant padding, easy to predict; the last row leaves them out (6.7 bits).
#
# The reconstructions are soft, but right. The decoded $\mathcal N(0, I)$ is not clothing at all. Same prior, same data, true ELBO: what is different?
#
# ## What the prior buys
#
# Five networks, three seeds each, measured by `course measure latent-space`: the spatial ones (4×4×4, 2,500 steps; beta 16 continues the VAE for 150 more) and the dense ones (16 dimensions, 1,000 steps).
#
# **Predict.** Do not sample from N(0, I), but from a Gaussian *fitted* to the latents (mean and covariance). In which of the two *spatial* spaces is its Fréchet distance smaller? (Less than 10 % apart is no difference.)

# %%
fitted = guess.choice("better samples of the fitted Gaussian", ["autoencoder", "VAE", "no difference"])
fitted

# %% tags=["hide-input", "hide-output"]
spaces = [prior_effects.PIXELS, *prior_effects.SPACES]


def cell(space: str, row: str) -> str:
    if space == prior_effects.PIXELS and row.startswith("copy"):
        return "—"
    mean, error = prior_effects.stored_mean(space, row)
    return f"{mean:.2f} ± {error:.2f}" if "readable" in row or row == "same class" else f"{mean:.1f} ± {error:.1f}"


ae, va = (prior_effects.stored_mean(name, "fitted Fréchet")[0] for name in prior_effects.SPACES[:2])
fitted.compare("no difference" if abs(ae / va - 1) < 0.1 else "VAE" if va < ae else "autoencoder")
shown = ["copy PSNR", *(f"{where} {what}" for where in ("prior", "fitted", "line", "sphere") for what in ("readable", "Fréchet"))]
claims.table(["mean of 3 seeds ± standard error", *spaces], [[latent_space.ROWS[row], *(cell(space, row) for space in spaces)] for row in shown])
perturbed, same = ({name: cell(name, row) for name in prior_effects.SPACES[:2]} for row in ("perturbed PSNR", "same class"))
print(f"latents perturbed by half their standard deviation, PSNR (dB): {perturbed}")
print(f"10 nearest neighbours of the same class: {same}")

# %% [markdown]
# Two of these measurements as pictures, in pixels and in two latent spaces: a straight line from a boot to a dress, and samples of a fitted Gaussian.

# %% tags=["hide-input"]
boot, dress = tests[labels == 9][:1], tests[labels == 3][:1]
some = to_float(train_images[:4000])
picture = {"line: pixels": latents.interpolate(boot, dress, 9)[0], "fitted: pixels": latents.sample_fitted_gaussian(some, 9, generator)}
for name, net in {"VAE 4×4×4": vae, "dense VAE": dense_vae}.items():
    ends = latents.encode(net, torch.cat([boot, dress]))
    picture[f"line: {name}"] = latents.decode(net, latents.interpolate(ends[:1], ends[1:], 9)[0])
    picture[f"fitted: {name}"] = latents.decode(net, latents.sample_fitted_gaussian(latents.encode(net, some), 9, generator))
viz.rows(
    {name: picture[name] for name in sorted(picture, reverse=True)},
    scale=2,
    alt="From a boot to a dress, and decoded samples of a fitted Gaussian, in pixels and in two latent spaces: in pixels double exposures and noise, "
    "in the spatial latent blurred double exposures, in the dense latent soft clothes.",
)

# %% [markdown]
# <details><summary><b>Answer, and what the table says</b></summary>
#
# No difference. Read the table in three steps. (A share of about 8 % is the floor: what the dense autoencoder gives without any prior.)
#
# - **N(0, I)**: the prior brings samples nearer to Fashion-MNIST in both kinds of network. In the dense one it also makes more of them readable; in the spatial one they stay far from clothing.
# - **A fitted Gaussian** does nearly as much without a prior. In the spatial pair the VAE is 7 % ahead. The dense *autoencoder*, sampled from its fitted Gaussian, has as many readable samples as the dense VAE sampled from N(0, I), and a
#   *smaller* Fréchet distance (61.5 against 109.8). So what the prior buys here is above all a *known scale*: nothing has to be fitted.
# - **Halfway**: on a sphere the Fréchet distance is 1.4 to 2.4 times smaller than on the straight line, in every space, pixels included. So a good part of chapter 2's "hole" was the *norm*: the midpoint of two latents is too
#   short. (A shorter latent also decodes to less contrast; this table does not separate the two.) On the straight line the spatial VAE is worse than the autoencoder, on the sphere they are equal. The readable share of spatial midpoints
#   changes by a few per cent at most (at beta 16 from 0.27 to 0.31): most double exposures remain, with and without the prior.
#
# Below the table: a perturbed latent loses less of the image in the spatial VAE than in the spatial autoencoder, as one expects of a decoder trained on clouds. Neighbours of the same class: no difference.
#
# So "the prior makes a space to sample from" is true, within limits, of a *dense, low-dimensional* latent with a noisy decoder. With positions, 64 dimensions, 138 nats per latent and $\sigma_x = 0.14$ it is not enough.
# We did not separate these conditions; a likely reason is that neighbouring positions are correlated, which N(0, I) ignores.
# </details>

# %% tags=["hide-input"]
own = rate_distortion.load_or_train_base(machine)  # the network above; on a GPU one of the stored curve's size
live = latent_space.latent_space_report(own, tests, labels, evaluator, generator)
stored = {name: {row: prior_effects.stored_mean(name, row)[0] for row in latent_space.ROWS if row in live} for name in prior_effects.SPACES}
plain, spatial = stored["spatial autoencoder"], stored["spatial VAE"]
book.claim("Your VAE's Fréchet distance of N(0, I) ÷ the stored mean", live["prior Fréchet"] / spatial["prior Fréchet"], at_least=0.75, at_most=1.3)
book.claim("Spatial VAE: Fréchet distance of N(0, I) ÷ that of its copies", live["prior Fréchet"] / live["copy Fréchet"], at_least=20, unit="×")
book.claim(
    "Spatial: the prior makes samples of a fitted Gaussian better",
    plain["fitted Fréchet"] / spatial["fitted Fréchet"],
    at_least=1.2,
    unit="× less distance",
    expected=False,
    reason="two moments of the latents do not say where the latents lie, with or without a prior",
)
book.claim("Halfway on the sphere: Fréchet distance, straight line ÷ sphere, your VAE", live["line Fréchet"] / live["sphere Fréchet"], at_least=1.5, unit="×")

# %% [markdown]
# ## Which beta do you really have?
#
# Much code writes the loss as "mean squared error plus KL". *Mean* over what? The ELBO *sums* over 1,024 pixels and over all latent dimensions. Averaging the error alone divides it by
# 1,024, which multiplies the weight of the KL, the **beta** of a beta-VAE (Higgins et al. 2017), by 1,024. (With no $2\sigma_x^2$ in the loss, this is beta 1,024 for $\sigma_x^2 = \tfrac12$, and beta 2,048 compared with the $\sigma_x = 0.5$ above, where $2\sigma_x^2 = \tfrac12$.)
# Nothing crashes, and the loss falls:


# %%
def loss_as_often_written(net, batch, generator):
    images = to_float(batch[0])
    q = net.encode(images)
    eps = torch.randn(q.mean.shape, generator=generator, device=images.device)
    decoded = net.decode(reparameterise(q.mean, q.logvar, eps)).float()
    error = (decoded - images).square().flatten(1).mean(1)  # averaged over the pixels
    return (error + kl(q.mean, q.logvar)).mean()  # the KL is summed over the dimensions


# %% [markdown]
# **Predict.** A latent dimension is an **active unit** if its mean changes from image to image (variance above 0.01; Burda et al. 2016). How many of the 16 are active after
# training with this loss?

# %%
units = guess.number("active units of 16")
units

# %% tags=["hide-output"]
short = dense.train_dense(DenseVAE, train_images, machine, steps=300, progress=False, loss=negative_elbo, noise_std=NOISE)
averaged = dense.train_dense(DenseVAE, train_images, machine, steps=300, progress=False, loss=loss_as_often_written)
rows, shown = [], {"original": tests[:10]}
for name, net in {"the ELBO": short, "error averaged": averaged}.items():  # both after 300 steps
    p = posterior(net, tests)
    rows.append([name, active_units(p).sum().item(), p.kl().mean().item()])
    shown[name] = latents.decode(net, p.mode()[:10])
units.compare(rows[1][1])
for name, active, nats in rows:
    print(f"{name}: {active} active units, KL {nats:.2f} nats")
viz.rows(shown, scale=2, alt="Ten images and their reconstructions: recognisable with the ELBO; with the averaged error the same grey blur ten times.")

# %% tags=["hide-input"]
book.claim("Averaging the error over the pixels silences all dimensions: active units", rows[1][1], equals=0, unit="of 16")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# None. At this beta the cheapest code is no code: every cloud *is* the prior, the KL is zero, and the decoder draws one mean image. This is **posterior collapse**, and here
# its cause is a missing factor: the same network with the correct loss uses all dimensions after the same 300 steps. (Collapse can also be a trap of optimisation. Then it helps to raise beta slowly from 0, *KL warm-up*, or to charge nothing for the first nats of
# a dimension, *free bits*: [notebook 9](09_the_bound_measured.ipynb).)
# </details>
#
# **Change and run again.** In the loss, replace `.mean(1)` by `.sum(1)`, so that beta is 1 for $\sigma_x^2 = \tfrac12$; then keep the mean, and divide the KL by 16, so that beta is $1{,}024 / 16 = 64$. How many units are active?
#
# ## Rate and distortion
#
# So beta is a price; set it on purpose. The KL is a **rate**, the nats spent on saying which image it is, the negative log-likelihood a **distortion**, the nats by which the decoder then still
# misses it. One nat of rate is worth spending if it saves beta nats of distortion (Alemi et al. 2018). `course measure rate-distortion` trained the spatial VAE further at eight betas.
#
# **Predict.** At which beta is the ELBO highest?

# %%
best_beta = guess.number("beta with the highest ELBO")
best_beta

# %% tags=["hide-input", "hide-output"]
curve = rate_distortion.RESULT.read()["points"]
beta, rates, distortion, elbos = (torch.tensor([point[k] for point in curve]) for k in ("beta", "rate", "distortion", "elbo"))
best_beta.compare(beta[elbos.argmax()].item())
mine = rate_distortion.rate_distortion_point(own, tests)
panels = viz.Panels(2)
viz.draw_lines(panels[0], {"stored": (rates, distortion), "your VAE": ([mine["rate"]], [mine["distortion"]])}, xlabel="rate: KL (nats)", ylabel="distortion (nats)")
for point in curve:
    panels[0].annotate(f"{point['beta']:g}", (point["rate"], point["distortion"]), xytext=(3, 4), textcoords="offset points")
viz.draw_lines(panels[1], {"": (beta, elbos)}, log="x", xlabel="beta", ylabel="ELBO (nats)")
panels.picture("Left: distortion falls as rate rises, ever less; your VAE lies on the curve at beta 1. Right: the ELBO peaks at beta 1.")

# %% tags=["hide-input"]
slopes = -distortion.diff() / rates.diff()
off = (slopes / (beta[1:] * beta[:-1]).sqrt()).log2().abs().max()
book.claim("Your VAE's rate ÷ the stored rate at beta 1", mine["rate"] / rates[beta == 1].item(), at_least=0.9, at_most=1.1)
book.claim("The slope of the curve is −beta: largest error between neighbours", off, at_most=0.5, unit="factors of two")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# At 1: the ELBO is minus the *sum* of rate and distortion, each nat counted once. And training at beta stops where one more nat of rate saves just beta nats of distortion, so the slope of
# the curve is $-\beta$. Latent diffusion models use a very small beta: sharp copies first, sampling is another network's task.
# </details>
#
# ## How noisy is the gradient?
#
# Reparameterisation is not the only way through sampling. The **score function** (Williams 1992), $\nabla_\mu \mathbb E_q[f(z)] = \mathbb E_q[f(z)\,\nabla_\mu \log q(z)]$, needs only values of $f$, no gradient.
# Both are right on average; the variance of one sample differs, here for $f = \log p(x \mid z)$ of one image:


# %% tags=["hide-input"]
def squared_error(z: torch.Tensor) -> torch.Tensor:
    decoded = vae.decode(z.view(-1, 4, 4, 4)).float()
    return -((tests[:1] - decoded) / vae.noise_std).square().flatten(1).sum(1) / 2


full = elbo.estimate_decoder_gradients(vae, tests[:1], 512, generator).variances()
bare = elbo.estimate_gradients(squared_error, q.mean[0].flatten(), q.std[0].flatten(), 512, generator).variances()
claims.table(
    ["estimator of the gradient", "variance ÷ reparameterised"],
    [
        ["reparameterised", 1],
        ["score function, minus the mean of the other samples (a baseline)", bare["baseline"] / bare["reparameterised"]],
        ["score function of the squared error", bare["score"] / bare["reparameterised"]],
        ["score function of the log-likelihood with its constant", full["score"] / full["reparameterised"]],
    ],
)
book.claim("Variance of the score function with a baseline ÷ reparameterised", bare["baseline"] / bare["reparameterised"], at_least=10, unit="×")

# %% [markdown]
# The last two rows differ only by a constant, which has no gradient and yet adds variance: the score function multiplies it by noise. The baseline subtracts what all samples share; that row is the fair comparison. Models *are* trained
# with score functions and better baselines, where $z$ is discrete and cannot be reparameterised.
#
# ## What the prior does not buy
#
# Each cloud is pulled towards $\mathcal N(0, I)$. Is their average, the **aggregate posterior** $q(z) = \mathbb E_x[q(z \mid x)]$, then $\mathcal N(0, I)$? The decoder was trained on $q(z)$; we sample from
# $\mathcal N(0, I)$.
#
# **Predict.** Of $\mathcal N(0, I)$ the variance is 1 in every direction. By what factor do the widest and the narrowest direction of the spatial VAE's $q(z)$ differ, in variance?

# %%
spread = guess.number("variance of the widest ÷ the narrowest direction", unit="times")
spread

# %% tags=["hide-input", "hide-output"]
total = latent_space.aggregate_posterior(q)
ratio = (total.eigenvalues[0] / total.eigenvalues[-1]).item()
spread.compare(ratio)
panels = viz.Panels(2)
viz.draw_histogram(panels[0], {"": total.std}, bins=16, xlabel="standard deviation of q(z) in one latent dimension", title="64 dimensions one by one")
panels[0].axvline(1, color="#555555", linestyle="--", linewidth=1.2)
ranks = torch.arange(1, len(total.mean) + 1)
viz.draw_lines(
    panels[1],
    {"": (ranks, total.eigenvalues)},
    references={"N(0, I)": 1.0},
    log="y",
    marker=False,
    xlabel="principal direction, widest first",
    ylabel="variance of q(z)",
    title="together",
)
panels.picture("Left: the standard deviations of 64 latent dimensions spread around 1. Right: variances along principal directions fall from far above 1 to far below.")

# %% tags=["hide-input"]
with torch.no_grad():
    from_q = evaluator.frechet(latents.decode(vae, q.sample(generator)))
print("Fréchet distance of 2,000 images decoded by the spatial VAE:")
print(f"means of the clouds (reconstructions) {live['copy Fréchet']:.1f}, samples of the clouds, q(z), {from_q:.1f},")
print(f"a Gaussian with the latents' mean and covariance {live['fitted Fréchet']:.0f}, N(0, I) {live['prior Fréchet']:.0f}")
book.claim("Widest ÷ narrowest direction of q(z), in variance", ratio, at_least=10, unit="×")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# About a hundred times. One by one most dimensions are within a factor of two of the prior's width; together they are strongly correlated, and even the fitted Gaussian misses their shape. Samples of $q(z)$ itself decode
# well, so **the decoder is not the problem**. What is missing is a way to sample from $q(z)$ without an image to encode.
# </details>
#
# That is the task of [chapter 4](04_latent_ddpm.ipynb): a diffusion model *learns* where the latents are. (Reconstructions are soft because the best answer by squared error is the mean of all images that fit
# the latent; [notebook 6](06_sharper_vae.ipynb) changes the error.)
#
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What you take along
#
# - A VAE encodes an image as a cloud. ELBO = how well it is drawn − what its latent costs, both *summed*, in nats; the gap is the KL from the true posterior.
# - A dense, low-dimensional VAE can be sampled from its prior, softly and not always readably. Our spatial one with sharper reconstructions cannot: its clouds together are far from the prior.
# - Compute the effective beta before you diagnose a collapse. Interpolate on a sphere before you diagnose a hole.
#
# [Notebook 9](09_the_bound_measured.ipynb) measures the bound: how tight it is, what sampling the KL costs, a second collapse, and whether latent dimensions find factors.
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | the ELBO, the closed-form KL, reparameterisation | Kingma & Welling 2014, eq. 3, appendix B, eq. 10 | `VAE.elbo`, `Posterior.kl`, `Posterior.sample` |
# | likelihood is not sample quality | Theis et al. 2016 | |
# | beta; rate and distortion | Higgins et al. 2017, eq. 4; Alemi et al. 2018 | `ELBO.loss`, `experiments.ch3_vae.rate_distortion` |
# | active units | Burda et al. 2016, section 5.2 | `vae.active_units` |
# | midpoints on a sphere (slerp) | White 2016 | `spherical_interpolate` in `experiments/latents.py` |
# | score function with a baseline | Williams 1992 | `experiments.ch3_vae.elbo.estimate_gradients` |
# | aggregate posterior | Hoffman & Johnson 2016 | `experiments.ch3_vae.latent_space.aggregate_posterior` |
