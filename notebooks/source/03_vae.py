# %% [markdown]
# # 3 · The variational autoencoder
#
# > Can a network *learn* a space in which every point near the origin decodes to an item of clothing, and so does every point between two of them?
#
# Chapter 2 made images few. But its space is a map without a scale: nobody knows where the garments are and where there is nothing.
#
# **After this chapter you can**
#
# - derive the evidence lower bound (ELBO) and say, line by line, which code computes it, and in which unit;
# - say how tight the bound is, and tighten it with more draws;
# - sample through a random draw and still have a gradient, and say how much worse the other way would be;
# - find the averaging mistake that turns a beta of 1 into a beta of hundreds;
# - read a rate–distortion curve, diagnose a collapsed VAE, and choose its cure;
# - measure what a prior buys, and what it does not.
#
# **You need** chapter 2, Gaussians, and the logarithm. How many minutes the chapter takes on your kind of machine is in the table of the
# [README](../README.md).

# %%
import math

import torch

from course_lib import data, device, dimension, metrics, recipes
from course_lib.vae import ELBO, active_units, free_bits, iwae, kl_warmup, log_likelihood, log_weights
from course_lib.images import to_float
from course_lib.notebook import claims, viz, widgets
from course_lib.vae import Posterior, VAE
from course_lib.codec import posterior
from course_lib.experiments.ch3_vae import blur, disentanglement, elbo, latent_space, marginal_likelihood, posterior_collapse, rate_distortion
from course_lib.experiments import latents
from course_lib.experiments.evaluator import Evaluator

machine = device.find()
print(machine)
book = claims.Claims("3 VAE")

# %%
train_images, train_labels = data.fashion_mnist("train", machine.device)
test_images, test_labels = data.fashion_mnist("test", machine.device)
tests = to_float(test_images)
generator = torch.Generator(machine.device).manual_seed(0)
boot, dress = tests[test_labels == 9][:1], tests[test_labels == 3][:1]
some = to_float(train_images[:4000])
viz.rows(
    {"a line, in pixels": latents.interpolate(boot, dress, 9)[0], "a fitted Gaussian, in pixels": latents.sample_fitted_gaussian(some, 9, generator)},
    scale=2,
    alt="From a boot to a dress in pixels: the two fade into each other. Below: Gaussian pixels, ghosts of clothes in noise.",
)

# %% [markdown]
# In pixel space, halfway between a boot and a dress lies a double exposure, and a Gaussian that has the photographs' own mean and
# covariance draws ghosts. We want a space where both rows are garments. That is the question of this chapter, and at its end we make
# the same two rows again.
#
# ## A code that is a cloud
#
# Chapter 2's encoder answers with a point. Between points there is nothing, so the decoder may do there what it likes. The variational
# autoencoder (VAE; Kingma & Welling 2014) answers with a small *cloud*: a Gaussian with a mean and a standard deviation
# for each of its numbers,
#
# $$q(z \mid x) = \mathcal N\big(\mu(x),\ \operatorname{diag}\sigma^2(x)\big).$$
#
# The decoder must be able to draw the picture from *anywhere* in its cloud. And all clouds are pulled towards one place that we know
# beforehand, the **prior** $p(z) = \mathcal N(0, I)$. Clouds that are wide enough, and pulled together, leave no holes. This is the code:

# %%
claims.source(Posterior.sample, Posterior.kl_per_dim, Posterior.kl)

# %% [markdown]
# ## The ELBO, line by line
#
# What should such a network maximise? The only honest score of a generative model is the likelihood that it gives to a real picture,
# $\log p(x)$. With a latent $z$ behind every picture,
#
# $$\log p(x) = \log \int p(x \mid z)\, p(z)\, dz .$$
#
# The integral runs over 64 dimensions, and for almost all $z$ the picture $x$ is impossible. So look only where the encoder says that
# $x$ may come from: multiply and divide by $q$.
#
# $$\log p(x) = \log \mathbb E_{q(z \mid x)}\left[\frac{p(x \mid z)\, p(z)}{q(z \mid x)}\right]
# \ \ge\ \mathbb E_{q(z \mid x)}\left[\log \frac{p(x \mid z)\, p(z)}{q(z \mid x)}\right]$$
#
# (Jensen: the logarithm of a mean is at least the mean of the logarithms.) Split the fraction:
#
# $$\boxed{\ \log p(x)\ \ge\ \underbrace{\mathbb E_{q}\big[\log p(x \mid z)\big]}_{\text{how well it is drawn}}
# \ -\ \underbrace{\mathrm{KL}\big(q(z \mid x)\,\|\,p(z)\big)}_{\text{what the code costs}}\ =\ \mathrm{ELBO}(x)\ }$$
#
# and what was lost on the way is exactly $\mathrm{KL}\big(q(z \mid x)\,\|\,p(z \mid x)\big)$: the bound is tight when the encoder's cloud is the
# true posterior. All of it is in **nats per image**: summed over all pixels, summed over all latent numbers.

# %% [markdown]
# **Predict.** Take the smallest model there is, one number $z \sim \mathcal N(0, 1)$ and one pixel $x \sim \mathcal N(z, 0.5^2)$, where
# $\log p(x)$ is known exactly. We see $x = 1$. At which mean of $q$ is the ELBO highest: at 1, where the pixel is, at 0, where
# the prior is, or between? Does it ever reach $\log p(x)$?

# %%
mean, right = torch.linspace(-0.5, 2, 251), math.sqrt(1 / (1 + 1 / 0.5**2))  # the true posterior's standard deviation
curves = {f"q with std {s:.2f}": (mean, elbo.toy_elbo(1.0, mean, torch.full_like(mean, s)).value) for s in (0.2, right, 0.9)}
log_p = elbo.toy_evidence(1.0)
viz.lines(
    curves,
    xlabel="mean of q",
    ylabel="ELBO (nats)",
    references={"log p(x)": log_p},
    alt="ELBO against the mean of q for three widths: all peak at 0.8, and only the curve with the right width touches log p(x).",
)

# %%
best = elbo.toy_elbo(1.0, mean, torch.full_like(mean, right)).value
book.claim("The ELBO touches log p(x) where q is the true posterior", (log_p - best.max()).item(), at_least=-1e-6, at_most=1e-4, unit="nats")
book.claim("… and is nowhere above it", max(c.max().item() for _, c in curves.values()) - log_p, at_most=1e-6, unit="nats")
book.claim("The best mean lies between prior and pixel", mean[best.argmax()], at_least=0.79, at_most=0.81)

# %% [markdown]
# <details><summary><b>Between, and it touches</b></summary>
#
# The true posterior has mean $x / (1 + 0.5^2) = 0.8$: pulled a little towards the prior. All three curves peak there, and only the one with the
# right width reaches the dashed line. The two that are too narrow and too wide stay below by their KL from the true posterior.
# </details>
#
# Now the same two terms for real pictures. The decoder's noise is part of the model: $p(x \mid z) = \mathcal N(\mathrm{decode}(z), \sigma_x^2 I)$,
# so the first term is a squared error in units of that noise, plus a constant that does not train but belongs to the likelihood.

# %%
claims.source(log_likelihood, VAE.elbo, ELBO.loss)

# %% [markdown]
# | line of the derivation | code |
# |---|---|
# | $q(z \mid x)$ | `vae.encode(images)` → `Posterior(mean, logvar)` |
# | $z \sim q$ | `posterior.sample(generator)` |
# | $\log p(x \mid z)$ | `log_likelihood(images, vae.decode(z), vae.noise_std)` |
# | $\mathrm{KL}(q \,\Vert\, p)$ | `posterior.kl()` |
# | the ELBO, and the loss to minimise | `vae.elbo(images).value`, `.loss()` |
#
# ## Train it
#
# The network is chapter 2's: same convolutions, same 64 numbers in the middle. Only the encoder's last layer is twice as wide (mean and
# log-variance), and the loss is the ELBO. What this trains is saved; chapter 4 will walk in the space that you make here.

# %%
result = recipes.fashion_vae(machine=machine)
vae = result.ema
viz.loss_curve(
    result.losses,
    ylabel="−ELBO (nats per image)",
    alt="The negative ELBO falls steeply at first and then ever more slowly; it becomes negative, as the minus log of a density may.",
)

# %% [markdown]
# A negative "negative log-likelihood" is no mistake: pixels are treated as continuous, and a *density* may well be above 1. The same
# network on the 10,000 test pictures, each term with its standard error. A *dimension* is one of the picture's 1,024 numbers; its bits are those of a
# density over $[-1, 1]$, so that they too may be negative.

# %%
q = posterior(vae, tests)
with torch.no_grad():
    drawn = torch.cat([vae.decode(z) for z in q.sample(generator).split(500)])
bound = ELBO(log_likelihood(tests, drawn, vae.noise_std), q.kl())
decoded = latents.decode(vae, q.mode())
P, D = tests[0].numel(), q.mean[0].numel()
terms = {"−log-likelihood": -bound.log_likelihood, "KL": bound.kl, "−ELBO": -bound.value}


def bill(terms: dict) -> None:
    columns = ["test images", "nats per image", "standard error", "bits per dimension", "standard error (bits)"]
    errors = {name: (v.std() / len(v) ** 0.5).item() for name, v in terms.items()}
    bits = 1 / (P * math.log(2))
    rows = [[name, len(v), v.mean().item(), errors[name], v.mean().item() * bits, errors[name] * bits] for name, v in terms.items()]
    claims.table(["what an image costs", *columns], rows)


bill(terms)

# %%
pick = [int((test_labels == k).nonzero()[3]) for k in range(10)]
viz.rows(
    {"original": tests[pick], "decoded mean": decoded[pick], "decoded sample": drawn[pick].clamp(-1, 1)},
    titles=list(data.FASHION_CLASSES),
    scale=2,
    alt="Ten Fashion-MNIST images and below them the VAE's reconstructions, soft but right; a sample of the posterior decodes to nearly the same.",
)

# %%
psnr = metrics.psnr(decoded, tests).item()
book.claim("Test PSNR with 64 latent dimensions instead of 1,024 pixels", psnr, at_least=22.0, unit="dB")
bits = bound.bits_per_dim(P).mean()
book.claim("Bits per dimension are the nats of −ELBO ÷ (1,024 · ln 2)", bits + bound.value.mean() / (P * math.log(2)), at_least=-1e-4, at_most=1e-4)
book.claim("An image's latent costs this much", bound.kl.mean(), at_least=40, at_most=400, unit="nats")
book.claim("A sample of the posterior reconstructs nearly as well as its mean", metrics.psnr(drawn.clamp(-1, 1), tests).item() - psnr, at_least=-3.0, unit="dB")

# %% [markdown]
# ## How tight is the bound?
#
# The ELBO is a number below a truth, $\log p(x)$, that nobody knows. Almost nobody: let the encoder and the decoder be one matrix each. Then $p(x)$ is a
# Gaussian, and its likelihood can be written down. It is *probabilistic PCA* (Tipping & Bishop 1999), and even the best weights have a closed form: the principal
# directions, each as long as its variance above the noise allows. The garments, averaged down to 8×8 pixels, get eight latent numbers.
#
# **Predict.** We train that linear VAE by gradient descent on the same noisy one-draw ELBO as the big one. Does it find the optimum that was written down in
# closed form? And the bound: does it come up to $\log p(x)$, or stay below for ever?

# %%
small = marginal_likelihood.downsample(train_images[:2000])
best, nothing = marginal_likelihood.fit_ppca(small, 8), marginal_likelihood.fit_ppca(small, 0)
linear, history = marginal_likelihood.fit_linear_vae(small, 8, best.noise_std)
step, bounds, truth = (torch.tensor(column)[1:] for column in zip(*history, strict=True))
viz.lines(
    {"ELBO": (step, best.evidence - bounds), "log p(x)": (step, best.evidence - truth)},
    log="y",
    marker=False,
    references={"1 % of what eight dimensions gain": 0.01 * (best.evidence - nothing.evidence)},
    xlabel="steps",
    ylabel="below the optimum (nats per image)",
    alt="ELBO and log-likelihood of the linear VAE both come near the closed-form optimum; the ELBO stays a little further from it.",
)

# %%
gap = best.evidence - bounds[-1].item()
rows = [
    ["no latent dimensions", nothing.evidence],
    ["linear VAE: ELBO", bounds[-1].item()],
    ["linear VAE: log p(x)", truth[-1].item()],
    ["probabilistic PCA", best.evidence],
]
claims.table(["Fashion-MNIST at 8×8 pixels", "nats per image"], rows)
book.claim("The linear VAE's ELBO misses the closed-form optimum by", gap / abs(best.evidence), at_most=0.01, unit="of it")
book.claim("… and by this fraction of what eight dimensions gain at all", gap / (best.evidence - nothing.evidence), at_most=0.01)
book.claim("No model that it passed through was better than the closed form", (truth.max() - best.evidence), at_most=1e-3, unit="nats")
book.claim("In the end its bound is nearly tight", (truth[-1] - bounds[-1]), at_least=-1e-3, at_most=0.3, unit="nats")

# %% [markdown]
# <details><summary><b>It finds it, and the bound closes</b></summary>
#
# The true posterior of a linear model *is* a Gaussian, and one that a linear encoder can express. So nothing need be lost in Jensen's inequality, and the way to the highest
# ELBO leads to the highest likelihood (Lucas et al. 2019). For a curved decoder neither need be so.
# </details>
#
# How tight is it for our own VAE? The truth is out of reach, but one can come nearer from below: draw *several* $z_1 \dots z_k$ from the cloud, weigh each by
# $w = p(x \mid z)\,p(z) / q(z \mid x)$, and take the logarithm of the mean weight (IWAE; Burda et al. 2016, eq. 8):
#
# $$\mathcal L_k = \mathbb E\Big[\log \frac1k \sum_{i=1}^k \frac{p(x \mid z_i)\,p(z_i)}{q(z_i \mid x)}\Big],\qquad
# \mathrm{ELBO} = \mathcal L_1 \le \mathcal L_2 \le \dots \le \log p(x).$$

# %%
claims.source(log_weights, iwae)

# %% [markdown]
# **Predict.** First where the truth is known: the linear VAE, whose clouds we make too wide by half. The ELBO falls. How many draws bring it back? Then ours:
# does $k = 50$ change the bound by much, measured in its own standard error?

# %%
draws, wrong = [1, 2, 5, 10, 25, 50], marginal_likelihood.widen_posterior(linear, 1.5)
weights = log_weights(wrong, small, 50, generator)
ours = torch.cat([log_weights(vae, x, 50, generator) for x in tests[:1000].split(500)], 1)
known, tighter = ({k: iwae(w, k) for k in draws} for w in (weights, ours))
panels = viz.Panels(2)
for axes, curve, title in ((panels[0], known, "linear VAE, posteriors too wide"), (panels[1], tighter, "our VAE")):
    truth = {"log p(x)": wrong.evidence(small).mean().item()} if curve is known else None
    viz.draw_lines(axes, {"": (draws, [v.mean().item() for v in curve.values()])}, references=truth, log="x", xlabel="draws k", ylabel="bound (nats)", title=title)
panels.picture("Left: the bound of the linear model rises with k to the dashed truth. Right: that of our VAE rises too, towards a truth unknown.")

# %% [markdown]
# In the bill below, $k = 1$ and the −ELBO are one quantity, and yet differ: the bounds are of the first 1,000 test pictures, since 50 draws of each take their time, the
# −ELBO of all 10,000, on one draw each.

# %%
bill(terms | {f"−IWAE bound, k = {k}": -tighter[k] for k in (1, 5, 50)})
left = (wrong.evidence(small) - known[50]).mean() / (wrong.evidence(small) - known[1]).mean()
rise = tighter[50] - tighter[1]
book.claim("With 50 draws, what is left of the linear model's gap", left, at_least=-0.01, at_most=0.25)
book.claim("The bound never passes log p(x) where that is known", (known[50] - wrong.evidence(small)).mean(), at_most=0.02, unit="nats")
book.claim(
    "Our VAE's bound rises with k for every image: the least rise",
    min((tighter[b] - tighter[a]).min().item() for a, b in ((1, 5), (5, 25), (1, 50))),
    at_least=-1e-2,
    unit="nats",
)
counted = ours.softmax(0).square().sum(0).reciprocal().mean()  # the effective number of draws
book.claim("Of our VAE's 50 weights, so many count", counted, at_most=15, unit="draws (effective)")
book.claim("From k = 1 to k = 50 it rises by", rise.mean(), at_least=1, unit="nats")
book.claim("… which is this many standard errors of the difference", rise.mean() / (rise.std() / len(rise) ** 0.5), at_least=10)

# %% [markdown]
# <details><summary><b>Slowly, but for certain</b></summary>
#
# In the linear model a few draws repair most of the harm, for its space is small. In 64 dimensions one or two of the 50 draws outshout all others, and the bound
# creeps and is not done at 50: the truth may lie far above. Still it rises for *every* picture — on the same draws that is Jensen's inequality once more — so the difference is sharp although the
# pictures differ by far more than that from each other. The ELBO is what we train, and less than the truth by at least that rise: that is what "bound" means.
# </details>
#
# ## The KL: a formula against sampling
#
# `kl_per_dim` is a closed form, $\tfrac12(\mu^2 + \sigma^2 - 1 - \log \sigma^2)$ for each number. By definition it is the mean of $\log q(z \mid x) - \log p(z)$
# over draws $z \sim q$: so dice must agree with the formula, if we throw them often enough.
#
# **Predict.** One picture, 64 numbers. How many draws until the dice are within 1 % of the formula?

# %%
counts = [4**i for i in range(6)]
error = elbo.monte_carlo_kl_error(Posterior(q.mean[:1], q.logvar[:1]), counts, generator)
falls = [error[0] / n**0.5 for n in counts]
viz.lines(
    {"root-mean-square error": (counts, error), "error of one draw / √n": (counts, falls)},
    references={"1 % of the KL": 0.01 * q.kl()[0].item()},
    log="xy",
    xlabel="draws n",
    ylabel="error of the KL (nats)",
    alt="The Monte Carlo error of the KL falls on a straight line of slope minus one half in logarithmic axes.",
)

# %%
logs = torch.tensor([counts, error], dtype=torch.float64).log()
slope = torch.cov(logs)[0, 1] / logs[0].var()
book.claim("The Monte Carlo error of the KL falls as n to this power", slope, at_least=-0.55, at_most=-0.45)
true = torch.distributions.kl_divergence(torch.distributions.Normal(q.mean, q.std), torch.distributions.Normal(0.0, 1.0))
book.claim("Draws needed for an error of 1 %", (error[0] / (0.01 * q.kl()[0].item())) ** 2, at_most=50)
book.claim("The closed form is torch.distributions' own", (q.kl_per_dim() - true).abs().max(), at_most=1e-3, unit="nats")

# %% [markdown]
# <details><summary><b>Fewer than you may think, and a hundred times more for the next digit</b></summary>
#
# The answer is where the curve crosses the dashed line: a few dozen at most, since the errors of 64 numbers partly cancel. But ten times more precision costs a
# hundred times more draws, and the formula is free and exact. So the KL is never sampled in training; the likelihood term, which has no formula, is — with one draw for each picture, since a batch averages over many.
# </details>
#
# ## A gradient through sampling
#
# The draw $z \sim q$ stands between the encoder and the loss, and one cannot differentiate a die. Two ways out:
#
# - **score function** (Williams 1992): $\nabla_\mu \mathbb E_q[f(z)] = \mathbb E_q[f(z)\, \nabla_\mu \log q(z)]$. It needs no gradient of $f$, only values;
# - **reparameterisation**: write $z = \mu + \sigma\,\varepsilon$ with $\varepsilon \sim \mathcal N(0, 1)$. The die does not depend on $\mu$ and $\sigma$ any more, so
#   $\nabla_\mu \mathbb E[f] = \mathbb E[\nabla f(\mu + \sigma\varepsilon)]$. That is `Posterior.sample` above.
#
# Both are right on average. **Predict:** how many times more does one noisy estimate scatter than the other, with 64 numbers? A *baseline*
# (subtract the other samples' mean from $f$) is the best-known rescue of the score function: does it close the gap?
#
# First where the answer is known: $f(z) = -\tfrac12 \lVert z \rVert^2$ at $\mu = 0$, $\sigma = 1$, in $d$ dimensions. There the variances are $1$,
# $(d+2)(d+4)/4$ and, with the baseline, $(d+4)/2$: the lines. Then for our VAE: the likelihood of one picture.

# %%
dims = [1, 2, 4, 8, 16, 32, 64]
toy = [elbo.estimate_gradients(lambda z: -z.square().sum(1) / 2, torch.zeros(d), torch.ones(d), 20_000, torch.Generator().manual_seed(d)).variances() for d in dims]
closed = {"score": [(d + 2) * (d + 4) / 4 for d in dims], "baseline": [(d + 4) / 2 for d in dims]}
ratios = {k: [v[k] / v["reparameterised"] for v in toy] for k in closed}
panels = viz.Panels(2)
curves = {k: (dims, v) for k, v in ratios.items()} | {f"{k}, closed form": (dims, v) for k, v in closed.items()}
viz.draw_lines(panels[0], curves, log="xy", xlabel="dimensions d", ylabel="variance ÷ reparameterised", title="a parabola")
real = elbo.estimate_decoder_gradients(vae, tests[:1], 512, generator)
panels[1].bar(list(real.variances()), list(real.variances().values()), color=viz.COLOURS[:3])
panels[1].set(yscale="log", ylabel="variance of a gradient (nats²)", title="the VAE's own likelihood")
panels.picture("Left: the variance ratio rises with dimension, on its closed form, steeper without a baseline. Right: the same ranking for the VAE.")

# %%
v, parabola = real.variances(), toy[-1]
claims.table(
    ["estimator", "variance ÷ reparameterised: parabola, 64 dimensions", "the VAE"],
    [[k, parabola[k] / parabola["reparameterised"], v[k] / v["reparameterised"]] for k in v],
)
off = max(abs(found / wanted - 1) for k in closed for found, wanted in zip(ratios[k], closed[k], strict=True))
book.claim("Variance ratios from 1 to 64 dimensions differ from their closed forms by at most", off, at_most=0.15)
book.claim("Score function ÷ reparameterised variance, in the VAE", v["score"] / v["reparameterised"], at_least=30, unit="×")
book.claim("… and still with a baseline", v["baseline"] / v["reparameterised"], at_least=3, unit="×")

# %% [markdown]
# <details><summary><b>Not close</b></summary>
#
# The score function learns only "this draw was better than that one", one number for 64 directions. Reparameterisation asks the decoder which way is
# up. To average the noise away, the score function would need as many times more samples as the table says. This line of code is why
# VAEs train at all.
# </details>
#
# ## Which beta do you really have?
#
# Much code writes the loss as "mean squared error plus KL". *Mean* over what? The ELBO sums over 1,024 pixels and over 64 latent numbers. Averaging one of
# them divides it by its count, and the balance of the two terms — the **beta** of a beta-VAE (Higgins et al. 2017) — moves by that factor. Nothing crashes, no
# curve looks odd.

# %%
claims.source(elbo.effective_beta)

# %%
ways = {"sum": (1, 1), "error averaged over pixels": (P, 1), "KL averaged over latents": (1, D), "both averaged": (P, D)}
claims.table(
    ["what the code writes, with beta = 1", "beta of a plain squared error", f"beta of our ELBO (noise {vae.noise_std})"],
    [[k, elbo.effective_beta(1, *v), elbo.effective_beta(1, *v, noise_std=vae.noise_std)] for k, v in ways.items()],
)
squares = (drawn - tests).square()
wrong = squares.flatten(1).mean(1) + q.kl_per_dim().flatten(1).mean(1)
right = squares.flatten(1).sum(1) / (2 * vae.noise_std**2) + elbo.effective_beta(1, P, D, vae.noise_std) * q.kl()
book.claim("Averaging both is our ELBO at the computed beta, up to one factor", (right / wrong).std() / (right / wrong).mean(), at_most=1e-3)
book.claim("Averaging only the error multiplies beta by the number of pixels", elbo.effective_beta(1, P) / elbo.effective_beta(1), equals=P)

# %% [markdown]
# **Predict.** Three VAEs, a few seconds each: the true ELBO, "both averaged", and "error averaged, KL summed". How many of the 64 numbers will each use?
# A number is an **active unit** if its mean moves from picture to picture (variance above 0.01; Burda et al. 2016); one that
# does not carries nothing.

# %%
effective = {k: elbo.effective_beta(1, *ways[k], noise_std=vae.noise_std) for k in ("both averaged", "error averaged over pixels")}
trained = {name: elbo.train_short_vae(train_images, beta, machine) for name, beta in {"the ELBO": 1.0, **effective}.items()}
shown, rows = {"original": tests[pick]}, []
for name, (net, trained_q) in trained.items():
    shown[name] = latents.decode(net, latents.encode(net, tests[pick]))
    active = active_units(trained_q).sum().item()
    rows.append([name, {"the ELBO": 1.0, **effective}[name], active, trained_q.kl().mean().item(), metrics.psnr(shown[name], tests[pick]).item()])
claims.table(["loss", "effective beta", "active units of 64", "KL (nats per image)", "PSNR (dB)"], rows)
viz.rows(
    shown, scale=2, alt="Reconstructions by three losses: the ELBO gives clear images, averaging both gives faint shapes, averaging the error one grey blur for all."
)

# %%
book.claim("After seconds of training, the true ELBO uses the dimensions", rows[0][2], at_least=32, unit="of 64")
book.claim("Averaging the error and summing the KL kills all of them", rows[2][2], at_most=0, unit="of 64")
book.claim("Averaging both leaves little of the information in the ELBO's latents", rows[1][3] / rows[0][3], at_most=0.3, unit="of its KL")

# %% [markdown]
# <details><summary><b>All, fewer, none</b></summary>
#
# With the error averaged over pixels and the KL summed, the KL is worth so much that the cheapest code is no code: every cloud becomes the prior itself, the KL is zero, and
# the decoder draws the same mean picture for all. With both averaged many units still count as active, for the threshold is lenient, but look at the KL: they
# hardly say anything. This is **posterior collapse**, and here it is not a mystery of deep learning but a missing factor.
# </details>
#
# ## Rate against distortion
#
# So beta is a price. Set it on purpose: the KL is a **rate** (nats spent to tell the decoder which picture it is), the negative log-likelihood a
# **distortion** (nats by which the decoder then still misses it), and beta says how many nats of distortion one nat of rate must save to be
# worth its price (Alemi et al. 2018). One command, `course measure rate-distortion`, took the recipe's VAE, trained it further at each of eight betas until it had moved
# to its new place, and stored where that lies on the test set.
#
# **Predict.** At which beta is the ELBO highest? And how steep is the curve at the point of beta 4?

# %%
stored = rate_distortion.RESULT.read()
claims.table(
    ["made by", "seed", "steps for each beta", "test images", "machine"], [[rate_distortion.RESULT.command, *(stored[k] for k in ("seed", "steps", "images", "machine"))]]
)
names = {
    "beta": "beta",
    "rate": "rate (nats)",
    "distortion": "distortion (nats)",
    "elbo": "ELBO (nats)",
    "elbo_error": "its standard error",
    "psnr": "PSNR (dB)",
    "active": "active units of 64",
}
claims.table(list(names.values()), [[point[k] for k in names] for point in stored["points"]])

# %% [markdown]
# One of them is made again, now: your own VAE is moved on to beta 16, with another seed. It must land on the stored curve, or one of the two is wrong.

# %%
strong = rate_distortion.train_beta_vae(16.0, rate_distortion.load_or_train_base(machine), machine, steps=stored["steps"], seed=1)
live = rate_distortion.rate_distortion_point(strong, tests)
by_beta = {point["beta"]: point for point in stored["points"]}
price, rate, distortion, elbos = (torch.tensor([point[k] for point in stored["points"]]) for k in ("beta", "rate", "distortion", "elbo"))
panels = viz.Panels(2)
viz.draw_lines(
    panels[0],
    {"stored": (rate, distortion), "beta 16, trained now": ([live["rate"]], [live["distortion"]])},
    xlabel="rate: KL (nats)",
    ylabel="distortion: −log-likelihood (nats)",
)
for point in stored["points"]:
    panels[0].annotate(f"{point['beta']:g}", (point["rate"], point["distortion"]), xytext=(3, 4), textcoords="offset points")
viz.draw_lines(panels[1], {"": (price, elbos)}, log="x", xlabel="beta", ylabel="ELBO (nats)")
panels.picture("Left: distortion falls as rate rises, steeply at first; the live point lies on the curve. Right: the ELBO peaks near beta 1.")

# %%
slopes = -distortion.diff() / rate.diff()  # between neighbours, nats of distortion saved for each nat of rate
between = (price[1:] * price[:-1]).sqrt()
claims.table(
    ["from beta", "to beta", "nats of distortion for a nat of rate"], [[a.item(), b.item(), c.item()] for a, b, c in zip(price[:-1], price[1:], slopes, strict=True)]
)
twin = by_beta[16.0]
book.claim("Betas on the stored curve", len(stored["points"]), at_least=6)
book.claim("The live point's rate, of the stored one", live["rate"] / twin["rate"], at_least=0.9, at_most=1.1)
reach = distortion.max() - distortion.min()
book.claim("The live point's distance from the stored distortion, of the curve's height", abs(live["distortion"] - twin["distortion"]) / reach, at_most=0.03)
book.claim("A higher beta always spends less rate: the largest step", rate.diff().max(), at_most=0, unit="nats")
book.claim("… for more distortion: the least step", distortion.diff().min(), at_least=0, unit="nats")
book.claim("The beta with the highest ELBO", price[elbos.argmax()], at_least=0.5, at_most=2)
book.claim("The curve's slope, of beta: the worst of all pairs of neighbours", (slopes / between).log2().abs().max(), at_most=1, unit="factors of two")

# %% [markdown]
# <details><summary><b>At 1, and as steep as beta</b></summary>
#
# The ELBO is *minus* the sum of rate and distortion, each nat counted once: that is beta 1, and every other price gives some of it away. And the training at beta stops where one more nat of
# rate saves just beta nats of distortion. So the slope of the curve *is* minus beta, and one can read it off the table between neighbours.
# </details>
#
# ## Posterior collapse
#
# A wrong factor is not the only way to fall silent. **First broken run:** the garments of 8×8 pixels again, a plain squared error, *summed*, and the right beta of 1. But
# the network is eight plain layers deep on each side, without the skips of our residual blocks. At its start every layer loses more than half of what comes in, so the code
# says next to nothing, and the decoder hardly listens. For a code that says nothing, the KL has one cure: no code at all.
#
# Two remedies. **KL warm-up** (Bowman et al. 2016; Sønderby et al. 2016) lets the KL's weight rise from 0 to 1, so that the code may speak before it pays.
# **Free bits** (Kingma et al. 2016) give each latent number some nats for nothing: silence saves no money.

# %%
claims.source(kl_warmup, free_bits)

# %% [markdown]
# **Predict.** Three runs, a few seconds each, from the same first weights. Warm-up is over before the training is: from then on the loss is the one that was collapsed.
# Will the code stay awake?

# %%
remedies = {"no remedy": {}, "KL warm-up": {"warmup_steps": 600}, "free bits": {"floor": 1 / 8}}
runs = {name: posterior_collapse.train_with_remedy(small, seed=1, **remedy) for name, remedy in remedies.items()}
panels = viz.Panels(2)
kls = {name: tuple(zip(*p.history, strict=True)) for name, p in runs.items()}
viz.draw_lines(panels[0], kls, marker=False, xlabel="steps", ylabel="KL (nats per image)", title="dotted: the warm-up is over")
panels[0].axvline(600, color="grey", ls=":", lw=1)
ranks = torch.arange(1, 17)
curves = {name: (ranks, p.posterior.kl_per_dim().mean(0).sort(descending=True).values) for name, p in runs.items()}
viz.draw_lines(panels[1], curves, xlabel="latent dimension, the largest KL first", ylabel="mean KL (nats)")
panels.picture("Left: KL stays at zero without a remedy and rises with either. Right: KL of each of 16 dimensions, all zero without a remedy.")

# %% [markdown]
# The diagnosis has three parts: the KL of each number (above), the active units (below), and what *different* codes decode to. Eight draws, twice as wide as the prior, the same for all:

# %%
z = torch.randn(8, 16, generator=generator, device=machine.device).double()
with torch.no_grad():
    shown = {name: p.net.decode(2 * z).float().clamp(-1, 1).view(-1, 1, 8, 8) for name, p in runs.items()}
viz.rows(shown, scale=8, alt="Eight latents decoded: without a remedy the same grey shape eight times, with either remedy different items of clothing.")

# %%
difference = {name: x.std(0).mean().item() for name, x in shown.items()}
columns = ["", "active units of 16", "KL (nats)", "true ELBO (nats)", "how decoded latents differ (rms)"]
claims.table(columns, [[name, p.active, p.posterior.kl().mean().item(), p.elbo, difference[name]] for name, p in runs.items()])
collapsed, warm, free = runs.values()
book.claim("The deep plain network collapses under the right loss: active units", collapsed.active, equals=0, unit="of 16")
book.claim("… and decodes every latent to the same image", difference["no remedy"] / difference["KL warm-up"], at_most=0.15, unit="of the difference after warm-up")
book.claim("KL warm-up prevents the collapse: active units", warm.active, at_least=1, unit="of 16")
book.claim("… and it does not collapse later, when the weight is 1: true ELBO gained", warm.elbo - collapsed.elbo, at_least=1, unit="nats")
book.claim("Free bits prevent the collapse: active units", free.active, at_least=1, unit="of 16")
book.claim("… and the true ELBO gains too", free.elbo - collapsed.elbo, at_least=0.5, unit="nats")

# %% [markdown]
# <details><summary><b>It stays awake</b></summary>
#
# Here the collapse was no optimum but a trap on the way: the networks with a remedy end with a *higher* ELBO, measured by the true objective, and after the dotted line
# nothing but the true objective trained the second one. Given more steps a network without a remedy may find its own way out (try `posterior_collapse.train_with_remedy(small, steps=3000)`).
# Warm-up changes only the way; free bits change the goal: they keep awake whatever is free, needed or not.
# </details>
#
# **Second broken run:** the same layers, but only four deep, so that there is no trap. Instead the error is *averaged* over the 64 pixels, and the KL summed. **Predict:** do
# the same two remedies help?

# %%
beta = elbo.effective_beta(1, error=small.shape[1])
wrong_beta = {name: posterior_collapse.train_with_remedy(small, beta=beta, depth=4, seed=1, **remedy) for name, remedy in remedies.items()}
healthy = {"the right factor instead": posterior_collapse.train_with_remedy(small, depth=4, seed=1)}
claims.table(columns[:4], [[name, p.active, p.posterior.kl().mean().item(), p.elbo] for name, p in (wrong_beta | healthy).items()], title=f"effective beta: {beta:.0f}")
viz.lines(
    {name: tuple(zip(*p.history, strict=True)) for name, p in (wrong_beta | healthy).items()},
    marker=False,
    xlabel="steps",
    ylabel="KL (nats per image)",
    alt="With the wrong factor the KL ends at zero, without warm-up and after a short rise with it; free bits lift it; with the right factor it rises by itself.",
)

# %%
(collapsed, warm, free), (right_beta,) = wrong_beta.values(), healthy.values()
never = "at this beta the collapse is the optimum itself, and a schedule that ends at this beta ends there"
book.claim("With the error averaged the posterior collapses: active units", collapsed.active, equals=0, unit="of 16")
book.claim("KL warm-up prevents it under the wrong factor too: active units", warm.active, at_least=1, unit="of 16", expected=False, reason=never)
book.claim("Free bits prevent it even so: active units", free.active, at_least=1, unit="of 16")
book.claim("… but only the right factor gives the ELBO back: more than free bits by", right_beta.elbo - free.elbo, at_least=0.5, unit="nats")
book.claim("… and more than the collapsed run by", right_beta.elbo - collapsed.elbo, at_least=1, unit="nats")

# %% [markdown]
# <details><summary><b>Ask first which disease it is</b></summary>
#
# A trap can be walked around; an optimum cannot. Under a beta of 64 the warm-up is past the true weight almost at once, and in the end there is nothing to stay awake for. Free bits forbid
# the silence, but the network keeps no more alive than the floor makes it. So first compute the *effective* beta; then compare the objective *that was trained*, with its own beta: only
# if the run with a remedy does better by that was the silence a trap. Here free bits give the true ELBO back and lose by the trained one, so it was no trap but the wrong price.
# </details>
#
# ## What the 64 numbers do
#
# In our trained VAE, sorted by what each costs:

# %%
cost = q.kl_per_dim().mean(0).flatten().sort(descending=True).values
active = active_units(q).sum().item()
book.claim("Active units of the trained VAE", active, equals=64, unit="of 64")
viz.lines(
    {"": (torch.arange(1, len(cost) + 1), cost)},
    xlabel="latent dimension, the largest KL first",
    ylabel="mean KL (nats)",
    marker=False,
    alt="KL of each of the 64 latent dimensions in falling order: all are above zero.",
)

# %% [markdown]
# Take hold of one. The slider sets one latent dimension of six items of clothing to a value and leaves the other 63 alone; dimension 1 has the largest KL. Since the prior is
# $\mathcal N(0, 1)$, we know beforehand what range is sensible: this is the first thing that a prior buys.

# %%
order, base = latent_space.rank_dims_by_kl(q).tolist(), q.mean[[*pick[:10:2], pick[9]]]


def set_dimension(value: float = 0.0, dim: int = 1) -> tuple[torch.Tensor, str]:
    index = order[dim - 1]
    images = latent_space.traverse(vae, base, index, value)
    change = (images - latent_space.traverse(vae, base, index, 0.0)).square().mean().sqrt().item()
    caption = f"latent dimension {dim} at {value:+.1f}: the images differ from those at 0 by {change:.3f} (root mean square)"
    return images.cpu(), caption


values = [round(0.5 * i, 1) for i in range(-6, 7)]
traversal = widgets.image_slider(
    set_dimension, alt="Six items of clothing that change as one latent dimension is changed.", columns=6, scale=4, value=values, dim=[1, 2, 3, 8, 32, 64]
)
traversal

# %%
stops = [-3.0, -1.5, 0.0, 1.5, 3.0]
rows = {f"{stop:+.1f}": set_dimension(stop, 1)[0] for stop in stops}
viz.rows(rows, scale=2, alt="Five rows of six items of clothing: the latent dimension with the largest KL set to -3, -1.5, 0, 1.5 and 3 changes one part of each.")

# %%
for rank in (1, 64):
    print(traversal.set(value=3.0, dim=rank))

# %% [markdown]
# Each number sits at one of the 4×4 places of the latent, and so it changes that *part* of the garment. Nothing in the loss asks a single number to
# mean something that has a name.
#
# ## What the prior buys
#
# Now the comparison that chapter 2 asked for. Its autoencoder has the same network, the same 64 numbers, the same pictures, the same training. The only
# difference is the cloud and its price. (If chapter 2 left no network on this machine, it is trained now.) As a third we take the VAE that pays *sixteen*
# times more for its code: the point of the curve above that you have trained.
#
# **Predict**, for each line of the table, who wins: a copy of a photograph; the middle between two codes; a decoded $\mathcal N(0, I)$; a decoded Gaussian
# that was fitted to the codes; keeping neighbours; a latent that is perturbed by half its own standard deviation.

# %%
plain = recipes.load_or_train("fashion-autoencoder", machine)
evaluator, nets = Evaluator(machine), {"autoencoder": plain, "VAE": vae, "VAE, beta 16": strong}
report = {name: latent_space.latent_space_report(net, tests[:2000], test_labels[:2000], evaluator, generator) for name, net in nets.items()}
claims.table(["measured on 2,000 test images", *nets], [[row, *(report[name][row] for name in nets)] for row in report["VAE"]])

# %%
noise = torch.randn(8, *base.shape[1:], generator=generator, device=machine.device)
lines, units, fits = {}, {}, {}
for name, net in nets.items():
    z, ends = latents.encode(net, tests[:4000]), latents.encode(net, torch.cat([boot, dress]))
    lines[f"line: {name}"] = latents.decode(net, latents.interpolate(ends[:1], ends[1:], 8)[0])
    units[f"N(0, I): {name}"] = latents.decode(net, noise)
    fits[f"fitted: {name}"] = latents.decode(net, latents.sample_fitted_gaussian(z, 8, generator))
viz.rows(
    lines | units | fits,
    scale=2,
    alt="Lines, unit noise and fitted Gaussians as each of the three networks decodes them; beta 16 gives softer shapes, none gives clear images from N(0, I).",
)

# %% [markdown]
# <details><summary><b>Less than promised — and exactly what was paid for</b></summary>
#
# Lectures often say that the prior makes lines and samples good. On this data, at the true ELBO, it does not: fitted Gaussians are no
# better than the plain autoencoder's, lines and neighbours a little worse, and that space was never as torn as the story goes. What the
# VAE has for sure is a known *scale*, and *calm*: a disturbed code loses less of the picture than the autoencoder's, because the decoder has seen the whole cloud.
# Beta 16 shows the other end: what $\mathcal N(0, I)$ decodes to is nearer to garments, though still far, and no longer so far from the network's own
# copies, because every copy is blurred. With a prior alone, one pays for samples in sharpness.
# </details>

# %%
a, v, s = report.values()
perturbed, unit, fitted, middle = ("latents perturbed by half their std: PSNR (dB)", "decoded N(0, I): Fréchet", "decoded fitted Gaussian: Fréchet", "halfway: Fréchet")
book.claim("A perturbed latent keeps more of the image with the prior", v[perturbed] - a[perturbed], at_least=0.3, unit="dB")
reconstruction = "reconstruction: Fréchet"
book.claim("A more expensive latent (beta 16) brings N(0, I) nearer to Fashion-MNIST", v[unit] / s[unit], at_least=1.1, unit="× less distance")
book.claim("… and its own reconstructions farther from it", s[reconstruction] / v[reconstruction], at_least=2, unit="× more distance")
book.claim("… and costs sharpness", v["reconstruction: PSNR (dB)"] - s["reconstruction: PSNR (dB)"], at_least=1.5, unit="dB")
book.claim("The prior makes the midpoint of a line a clear image", a[middle] / v[middle], at_least=1.5, unit="× less distance", expected=False,
           reason="the midpoint of two latents is not the latent of an image here either, and wider posteriors (beta 16) do not help")  # fmt: skip
book.claim("The prior makes samples of a fitted Gaussian clear images", a[fitted] / v[fitted], at_least=1.5, unit="× less distance", expected=False,
           reason="two moments of the latents do not say where the latents lie")  # fmt: skip
same = "same 10 neighbours as in pixels (fraction)"
book.claim(
    "The prior keeps more of the pixels' neighbours",
    v[same] - a[same],
    at_least=0.05,
    expected=False,
    reason="a plain autoencoder preserves them better: noise in the latent costs some order",
)

# %% [markdown]
# How much calmer? Shake the codes harder and harder.

# %%
strength = [0.0, 0.125, 0.25, 0.5, 1.0]
psnr_by_noise = {}
for name, net in nets.items():
    z = latents.encode(net, tests[:1000])
    images = [latent_space.decode_perturbed(net, z, s, generator) for s in strength]
    psnr_by_noise[name] = (strength, [metrics.psnr(x, tests[:1000]).item() for x in images])
viz.lines(
    psnr_by_noise,
    xlabel="noise on the latent (in standard deviations of each dimension)",
    ylabel="PSNR to the photograph (dB)",
    alt="PSNR falls with noise on the latent: the autoencoder starts highest and falls fastest; beta 16 starts lowest, falls least and ends highest.",
)

# %% [markdown]
# Walk the line yourself, in the three spaces at once.

# %%
paths = {name: latents.interpolate(*latents.encode(net, torch.cat([boot, dress])).split(1), 21)[0] for name, net in nets.items()}


def walk(position: float = 0.0) -> tuple[torch.Tensor, str]:
    step = round(20 * position)
    pictures = torch.cat([latents.decode(net, paths[name][step][None]) for name, net in nets.items()])
    sure = evaluator.confidence(pictures).tolist()
    return pictures.cpu(), "the classifier's confidence: " + ", ".join(f"{name} {c:.0%}" for name, c in zip(nets, sure, strict=True))


positions = [round(0.05 * i, 2) for i in range(21)]
slider = widgets.image_slider(walk, alt="From a boot to a dress: autoencoder, VAE, VAE with beta 16, side by side.", columns=3, scale=5, position=positions)
slider

# %%
for stop in (0.0, 0.5, 1.0):
    print(f"{stop:.1f}: {slider.set(position=stop)}")

# %% [markdown]
# ## What it does not buy: the clouds together are not the prior
#
# Each cloud is pulled towards $\mathcal N(0, I)$. Is the *sum* of all clouds then $\mathcal N(0, I)$? That sum, the **aggregate posterior**
# $q(z) = \mathbb E_x[q(z \mid x)]$, is what the decoder was trained on; $\mathcal N(0, I)$ is where we would draw from. The KL that we pay splits exactly in
# two (Hoffman & Johnson 2016):
#
# $$\mathbb E_x\,\mathrm{KL}\big(q(z \mid x)\,\|\,p(z)\big) = \underbrace{I(x; z)}_{\text{what the code tells}} + \underbrace{\mathrm{KL}\big(q(z)\,\|\,p(z)\big)}_{\text{drawing from the wrong place}}$$
#
# The second part is at least the KL of the Gaussian with $q(z)$'s mean and covariance, because the rest is one more KL: $q(z)$'s from that Gaussian.

# %%
total = latent_space.aggregate_posterior(q)
panels = viz.Panels(2)
viz.draw_histogram(panels[0], {"mean": total.mean, "standard deviation": total.std}, bins=24, xlabel="over the 64 latent dimensions")
ranks = torch.arange(1, len(total.mean) + 1)
viz.draw_lines(
    panels[1], {"": (ranks, total.eigenvalues)}, references={"N(0, I)": 1.0}, log="y", marker=False, xlabel="direction, widest first", ylabel="variance of q(z)"
)
panels.picture("Left: means spread around 0 and standard deviations around 1. Right: variances along principal directions from far above 1 to far below 1.")

# %%
with torch.no_grad():
    posterior_samples = latents.decode(vae, q.sample(generator)[:2000])
claims.table(
    ["what is decoded by the VAE", "Fréchet distance to photographs (2,000 images)"],
    [
        ["the means of the posteriors", v["reconstruction: Fréchet"]],
        ["samples of the posteriors, q(z)", evaluator.frechet(posterior_samples)],
        ["a Gaussian with the mean and covariance of the posteriors' means", v[fitted]],
        ["N(0, I)", v[unit]],
    ],
)

# %%
ratio = total.eigenvalues[0] / total.eigenvalues[-1]
book.claim("Each dimension's own standard deviation is near the prior's", total.std.mean(), at_least=0.5, at_most=1.5)
book.claim("But together: widest ÷ narrowest direction of q(z), in variance", ratio, at_least=10, unit="×")
book.claim("KL of the fitted Gaussian from N(0, I), a lower bound for q(z)'s", total.kl(), at_least=5, unit="nats")
book.claim("N(0, I) decodes farther from Fashion-MNIST than reconstructions do", v[unit] / v["reconstruction: Fréchet"], at_least=10, unit="×")
book.claim("So does even the fitted Gaussian: two moments are not enough", v[fitted] / v["reconstruction: Fréchet"], at_least=3, unit="×")

# %% [markdown]
# One by one the numbers look like the prior's; together they do not. They are strongly correlated, and even a Gaussian with the covariance of the clouds' means does not fix it:
# the codes do not lie as a Gaussian does. Draws from the clouds themselves decode well, so the *decoder* is innocent. What is missing is a way to draw from $q(z)$. That is
# the whole task of [chapter 4](04_latent_ddpm.ipynb), and it explains a habit of latent diffusion: keep the prior's price low, for the sake of sharp copies,
# and let a diffusion model learn where the codes really are.
#
# ## Why copies blur
#
# The likelihood term is a squared error. **Predict:** an edge may stand at many places with equal chance, and you must give *one* answer. Which answer has the least squared
# error: an edge in the middle, or something that is no edge at all?

# %%
signals = blur.edge_signals(1000, 0.15)
answer, position = blur.least_squares_answer(signals), torch.linspace(0, 1, signals.shape[1])
guess = torch.linspace(-1.5, 1.5, 61)
risk = (((guess - 1) ** 2 + (guess + 1) ** 2) / 2, ((guess.abs() - 1) ** 2))
panels = viz.Panels(2)
viz.draw_lines(
    panels[0], {"truth is +1 or −1": (guess, risk[0]), "if one knew which": (guess, risk[1])}, xlabel="the one answer", ylabel="mean squared error", marker=False
)
curves = {"one edge": (position, signals[0]), "another": (position, signals[1]), "least squared error": (position, answer)}
viz.draw_lines(panels[1], curves, xlabel="position", ylabel="brightness", marker=False)
panels.picture("Left: the risk of an answer to a truth of +1 or -1 is least at 0, which is never true. Right: two edges, and the best answer, a ramp.")

# %%
book.claim("The least-squares answer is the mean of all possible edges", (answer - signals.mean(0)).abs().max(), at_most=1e-4)
book.claim("Its steepest step, of an edge's 2", answer.diff().max(), at_most=0.4)
sharp = {"photographs": blur.sharpness(tests[:2000])}
for name, net in nets.items():
    sharp[name] = blur.sharpness(latents.decode(net, latents.encode(net, tests[:2000])))
viz.bars(
    sharp, ylabel="difference of neighbouring pixels (rms)", alt="Sharpness of photographs and of three networks' reconstructions: each is softer, beta 16 the softest."
)

# %%
book.claim("The VAE's reconstructions are softer than photographs", sharp["VAE"] / sharp["photographs"], at_most=0.92, unit="of their sharpness")
book.claim("A plain autoencoder's reconstructions blur too, without any prior", sharp["autoencoder"] / sharp["photographs"], at_most=0.95, unit="of their sharpness")
book.claim("A more expensive latent blurs more", sharp["VAE"] - sharp["VAE, beta 16"], at_least=0.01)

# %% [markdown]
# <details><summary><b>No edge at all</b></summary>
#
# Squared error is least at the *mean* of what is possible, and the mean of sharp things is soft. Wherever the code does not say exactly where a seam runs, the
# decoder draws all possible seams at once. So "VAEs blur" is half the truth: the error blurs, with or without a prior; a prior only makes the code say less. The
# remedies change the error: perceptual and adversarial losses.
# </details>
#
# ## Do latent numbers find the true factors?
#
# Of garments nobody knows the factors. Of teddies we do: here is one bear, of which only **three** things vary: its place to the left and right, its place up and
# down, and its size. A VAE gets eight latent numbers and must decide how many to use.
#
# **Predict:** three factors, eight numbers. How many stay active? Does each follow one factor?

# %%
free = ("x", "y", "size")
teddy_net, bears, factors = disentanglement.train_teddy_vae(free, 3000, 600, machine)
tq, truth = posterior(teddy_net, bears), torch.stack([getattr(factors, name) for name in free], 1)
viz.rows(
    {"drawn": bears[:10], "decoded": latents.decode(teddy_net, tq.mode()[:10])}, scale=2, alt="Ten bears at different positions and sizes, and their reconstructions."
)

# %%
match = disentanglement.squared_correlations(tq.mean, truth.to(bears.device)).cpu()
ranked = latent_space.rank_dims_by_kl(tq).cpu()
viz.heatmap(
    match[ranked],
    rows=range(1, 9),
    columns=free,
    limits=(0, 1),
    label="squared correlation",
    ylabel="latent dimension, the largest KL first",
    xlabel="true factor",
    alt="Heat map of squared correlations of eight latent dimensions with three factors: each factor correlates with several dimensions.",
)

# %%
two_nn = {"true factors": truth, "latent means": tq.mean.flatten(1), "pixels": bears.flatten(1)}
two_nn = {name: dimension.two_nn(x).dimension for name, x in two_nn.items()}
active = active_units(tq).sum().item()
claims.table(["", "number"], [["free factors", len(free)], ["active units (of 8)", active], *[[f"TwoNN dimension of the {k}", d] for k, d in two_nn.items()]])
squares = torch.cat([tq.mean.flatten(1), tq.mean.flatten(1).square(), torch.ones(len(truth), 1, device=bears.device)], 1).cpu()
residual = truth - squares @ torch.linalg.lstsq(squares, truth).solution
r2 = 1 - residual.square().sum(0) / (truth - truth.mean(0)).square().sum(0)
claims.table(
    ["factor", "best single latent dimension (squared correlation)", "all dimensions and their squares (R²)"],
    [[n, match[:, i].max().item(), r2[i].item()] for i, n in enumerate(free)],
)

# %%
book.claim("At least as many dimensions are active as factors are free", active, at_least=3, at_most=8)
book.claim("Position can be read from the latent", r2[:2].min(), at_least=0.6, unit="R²")
book.claim(
    "The number of active units is the number of factors",
    active,
    equals=3,
    expected=False,
    reason="a curved sheet of images is encoded more cheaply in several latent dimensions than in as many as it has dimensions itself",
)

# %% [markdown]
# <details><summary><b>More numbers than factors</b></summary>
#
# A moving bear is a *curved* path through the space of pictures, and the VAE lays it out curved: each factor is told by several numbers, and none by one alone. The
# ELBO asks for cheap and right, not for named axes; that a VAE "discovers the factors" is more than it promises (Locatello et al. 2019). What it does find is that
# there is little to say: most of each fact is in the code, and the sheet of codes has few dimensions.
# </details>
#
# ## The ledger

# %%
book.close()

# %%
# NBVAL_CHECK_OUTPUT
book.verdicts()

# %% [markdown]
# ## What you take along
#
# The ELBO trades how well a picture is drawn against what its code costs, in nats, and every term has a line of code. Reparameterisation makes it trainable; a forgotten
# sum makes it collapse. The prior gives the latent space a scale and calm. It does not make it a place to draw from: the clouds together are not the prior. That is
# where diffusion comes in, and [chapter 4](04_latent_ddpm.ipynb) uses the VAE that you have just trained.
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | the ELBO | Kingma & Welling 2014, eq. 3 | `VAE.elbo`, `ELBO.value` |
# | closed-form KL | Kingma & Welling 2014, appendix B | `Posterior.kl` |
# | reparameterisation | Kingma & Welling 2014, eq. 10; Rezende et al. 2014 | `Posterior.sample` |
# | score-function gradient with a baseline | Williams 1992 | `experiments.ch3_vae.elbo.estimate_gradients` |
# | importance-weighted bound | Burda et al. 2016, eq. 8 | `vae.iwae` |
# | linear VAE, probabilistic PCA | Lucas et al. 2019; Tipping & Bishop 1999, eq. 7 and 8 | `experiments.ch3_vae.marginal_likelihood` |
# | beta | Higgins et al. 2017, eq. 4 | `ELBO.loss(beta)` |
# | rate and distortion | Alemi et al. 2018 | `experiments.ch3_vae.rate_distortion` |
# | KL warm-up | Bowman et al. 2016; Sønderby et al. 2016 | `vae.kl_warmup` |
# | free bits | Kingma et al. 2016, eq. 15 | `vae.free_bits` |
# | active units | Burda et al. 2016, section 5.2 | `vae.active_units` |
# | splitting the KL | Hoffman & Johnson 2016 | `experiments.ch3_vae.latent_space.aggregate_posterior` |
# | factors are not found unasked | Locatello et al. 2019 | `experiments.ch3_vae.disentanglement.squared_correlations` |
# | $\mu, \log \sigma^2$ · $z$ · $\sigma_x$ | | `posterior.mean`, `.logvar` · latents · `vae.noise_std` |
