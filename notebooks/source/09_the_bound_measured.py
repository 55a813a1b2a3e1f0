# %% [markdown]
# # 9 · Further reading: the bound, measured
#
# > How far below the likelihood is the ELBO, and what goes wrong when it is estimated, optimised or interpreted carelessly?
#
# Chapter 3 trains by a lower bound of $\log p(x)$. Here we measure it: against a model whose likelihood is known, against tighter bounds, and against
# sampling. Then two networks that collapse for different reasons, and a look at what single latent dimensions do.
#
# **After this notebook you can**
#
# - say how tight the ELBO is for a linear model and for your own VAE;
# - choose between a closed form and sampling, and between gradient estimators;
# - distinguish a collapse that is a trap from one that is the optimum;
# - say what latent dimensions mean, and what they do not.
#
# **You need** chapter 3, whose VAE is loaded (or trained, a minute).

# %%
import torch

from course_lib import data, device, dimension, recipes
from course_lib.codec import posterior
from course_lib.experiments import latents
from course_lib.experiments.ch3_vae import disentanglement, elbo, latent_space, marginal_likelihood, posterior_collapse
from course_lib.homework.checks.ch3 import ch3
from course_lib.images import to_float
from course_lib.notebook import claims, explore, guess, viz
from course_lib.vae import Posterior, active_units, log_weights

machine = device.find()
print(machine)
book = claims.Claims("9 the bound")

# %% [markdown]
# ## What one latent dimension does
#
# The spatial VAE of chapter 3, with 4×4×4 latents. Each slider position sets *one* dimension of six items of clothing to a value; the other 63 keep theirs. Dimension 1 has the largest KL.

# %% tags=["hide-input"]
train_images, _ = data.fashion_mnist("train", machine.device)
test_images, test_labels = data.fashion_mnist("test", machine.device)
tests = to_float(test_images[:2000])
vae = recipes.load_or_train("fashion-vae", machine)
q = posterior(vae, tests)
order = latent_space.rank_dims_by_kl(q).tolist()
base = q.mean[[int((test_labels[:2000] == k).nonzero()[3]) for k in (0, 2, 4, 6, 8, 9)]]


def set_dimension(value: float, dim: int) -> tuple[torch.Tensor, str]:
    images = latent_space.traverse(vae, base, order[dim - 1], value)
    return images.cpu(), f"latent dimension {dim} of 64 at {value:+.1f}"


values = [round(0.5 * i, 1) for i in range(-6, 7)]
explore.sliders(
    set_dimension,
    alt="Six items of clothing that change in one part as one latent dimension is changed; at +3 it leaves dark holes.",
    columns=6,
    scale=3,
    value=values,
    dim=[1, 2, 64],
)

# %% [markdown]
# Each dimension sits at one of the 4×4 positions, so it changes that *part* of the image. At ±3, three standard deviations of the prior, it may punch a dark hole into a T-shirt: $\mathcal N(0, 1)$ gives the scale of a dimension, but does
# not say which values go together with the other 63. Nothing in the ELBO asks a dimension to mean something that has a name.
#
# ## A model whose likelihood is known
#
# Let encoder and decoder be one matrix each. Then $p(x)$ is a Gaussian, and $\log p(x)$ can be written down: *probabilistic PCA* (Tipping & Bishop 1999). Even the best weights have a closed form: the principal
# directions, each scaled by the square root of its variance in excess of the noise. The data: Fashion-MNIST averaged down to 8×8 pixels, with eight latent dimensions.
#
# **Predict.** We train that linear VAE on the noisy one-sample ELBO. How far below the closed-form optimum does its ELBO end?

# %%
below = guess.number("gap at the end", unit="nats")
below

# %%
small = marginal_likelihood.downsample(train_images[:2000])
best, nothing = marginal_likelihood.fit_ppca(small, 8), marginal_likelihood.fit_ppca(small, 0)
linear, history = marginal_likelihood.fit_linear_vae(small, 8, best.noise_std)

# %% tags=["hide-input", "hide-output"]
step, bounds, truth = (torch.tensor(column)[1:] for column in zip(*history, strict=True))
gap = best.evidence - bounds[-1].item()
below.compare(gap)
print(f"closed form: {best.evidence:.2f} nats; without latent dimensions: {nothing.evidence:.2f} nats")
viz.lines(
    {"ELBO": (step, best.evidence - bounds), "log p(x)": (step, best.evidence - truth)},
    log="y",
    marker=False,
    references={"1 % of what eight dimensions gain": 0.01 * (best.evidence - nothing.evidence)},
    xlabel="steps",
    ylabel="below the optimum (nats per image)",
    alt="ELBO and log-likelihood of the linear VAE both come near the closed-form optimum; the ELBO stays a little further from it.",
)

# %% tags=["hide-input"]
book.claim("The linear VAE's ELBO misses the optimum by this fraction of what eight dimensions gain", gap / (best.evidence - nothing.evidence), at_most=0.01)
book.claim("At the end its bound is nearly tight", truth[-1] - bounds[-1], at_least=-1e-3, at_most=0.3, unit="nats")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# A small fraction of a nat. The true posterior of a linear model *is* a Gaussian, and one that a linear encoder can express, so the bound can close, and the way to the highest
# ELBO leads to the highest likelihood (Lucas et al. 2019). For a nonlinear decoder neither is guaranteed.
# </details>
#
# ## Importance weights: a tighter bound
#
# For our own VAE $\log p(x)$ is unknown, but we can approach it from below. Draw $z_1 \dots z_k$ from the cloud, weigh each by
# $w = p(x \mid z)\,p(z) / q(z \mid x)$, and take the logarithm of the mean weight (IWAE; Burda et al. 2016, eq. 8):
#
# $$\mathcal L_k = \mathbb E\Big[\log \frac1k \sum_{i=1}^k w_i\Big],\qquad \mathrm{ELBO} = \mathcal L_1 \le \mathcal L_2 \le \dots \le \log p(x).$$
#
# Given the log weights, write the bound. (Weights of e⁵⁰⁰ overflow: `torch.logsumexp`.)


# %%
def bound(log_weights):
    """Return the log of the mean weight for each image, [B], of log weights [k, B]."""
    raise NotImplementedError  # one line


# %%
bound = ch3.bound.check(bound)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# return log_weights.logsumexp(0) - math.log(len(log_weights))
# ```
# </details>
#
# First a model whose $\log p(x)$ is known: the linear VAE, its clouds made too wide by half. Then our VAE, on 500 images.
#
# **Predict.** By how many nats does the bound of our VAE rise from $k = 1$ to $k = 50$?

# %%
rise = guess.number("rise of the bound", unit="nats")
rise

# %%
generator = torch.Generator(machine.device).manual_seed(0)
wide = marginal_likelihood.widen_posterior(linear, 1.5)
weights = {"linear VAE": log_weights(wide, small, 50, generator), "our VAE": log_weights(vae, tests[:500], 50, generator)}
draws = [1, 2, 5, 10, 25, 50]
bounds_by_k = {name: [torch.stack([bound(part) for part in w.split(k)]).mean(0) for k in draws] for name, w in weights.items()}

# %% tags=["hide-input", "hide-output"]
known, ours = bounds_by_k.values()
exact = wide.evidence(small)
change = ours[-1] - ours[0]
rise.compare(change.mean().item())
panels = viz.Panels(2)
for axes, (name, curve) in zip(panels, bounds_by_k.items(), strict=True):
    truth = {"log p(x)": exact.mean().item()} if name == "linear VAE" else None
    title = "linear VAE, clouds too wide" if truth else name
    viz.draw_lines(axes, {"": (draws, [v.mean().item() for v in curve])}, references=truth, log="x", xlabel="samples k", ylabel="bound (nats)", title=title)
panels.picture("Left: the bound of the linear model rises with k to the dashed truth. Right: that of our VAE still rises at k = 50.")

# %% tags=["hide-input"]
effective = weights["our VAE"].softmax(0).square().sum(0).reciprocal().mean()
left = ((exact - known[-1]).mean() / (exact - known[0]).mean()).item()
book.claim("With 50 samples, what is left of the linear model's gap", left, at_least=-0.01, at_most=0.25)
book.claim("Our VAE's bound rises from k = 1 to 50 by", change.mean(), at_least=8, unit="nats")
print(f"effective number of the 50 samples: {effective:.1f}; standard error of the rise: {change.std().item() / len(change) ** 0.5:.2f} nats")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# In the linear model a few samples repair most of the harm. In 64 dimensions one or two of the 50 samples dominate, so the bound rises slowly and has not converged at 50: the truth may lie
# far above. But it rises for every image, and the standard error of the *difference* is small, since both bounds use the same samples. That is what "bound" means.
# </details>
#
# ## The KL: a formula against sampling
#
# By definition the KL is the mean of $\log q(z \mid x) - \log p(z)$ over samples $z \sim q$, so a Monte Carlo average must converge to the formula.
#
# **Predict.** One image, 64 dimensions. How many samples until the error is 1 %?

# %%
needed = guess.number("samples for an error of 1 %")
needed

# %% tags=["hide-output"]
counts = [4**i for i in range(6)]
error = elbo.monte_carlo_kl_error(Posterior(q.mean[:1], q.logvar[:1]), counts, generator, draws=2**15)
one_percent = 0.01 * q.kl()[0].item()
needed.compare(round((error[0] / one_percent) ** 2))
viz.lines(
    {"root-mean-square error": (counts, error), "error of one sample / √n": (counts, [error[0] / n**0.5 for n in counts])},
    references={"1 % of the KL": one_percent},
    log="xy",
    xlabel="samples n",
    ylabel="error of the KL (nats)",
    alt="The Monte Carlo error of the KL falls on a straight line of slope minus one half in logarithmic axes.",
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# About twenty, since the errors of 64 dimensions partly cancel. But ten times more precision costs a hundred times more samples, and the formula is exact and free. So the
# KL is never sampled in training. The likelihood term, which has no formula, is: with one sample per image, since a batch averages over many.
# </details>
#
# ## Two estimators of a gradient
#
# Take $f(z) = -\tfrac12\lVert z\rVert^2$ at $\mu = 0$, $\sigma = 1$, in $d$ dimensions, where everything is known. The score-function estimator multiplies one number, $f(z)$, with a noise vector; the
# reparameterised one differentiates $f$.
#
# **Predict.** At $d = 64$, by what factor is the variance of the score-function estimator larger?

# %%
factor = guess.number("variance, score function ÷ reparameterised, 64 dimensions", unit="times")
factor

# %% tags=["hide-output"]
dims = [1, 2, 4, 8, 16, 32, 64]
variances = []
for d in dims:
    made = torch.Generator().manual_seed(d)
    variances.append(elbo.estimate_gradients(lambda z: -z.square().sum(1) / 2, torch.zeros(d), torch.ones(d), 20_000, made).variances())
ratio = {name: [v[name] / v["reparameterised"] for v in variances] for name in ("score", "baseline")}
factor.compare(ratio["score"][-1])

# %% tags=["hide-input"]
closed = {"score": [(d + 2) * (d + 4) / 4 for d in dims], "baseline": [(d + 4) / 2 for d in dims]}
panels = viz.Panels(1, 6.0, 3.6)
for i, name in enumerate(closed):
    panels[0].plot(dims, closed[name], color=viz.COLOURS[i], linewidth=1.2, label=f"{name}, closed form")
    panels[0].plot(dims, ratio[name], color=viz.COLOURS[i], linestyle="none", marker="o", markersize=6, label=f"{name}, measured")
panels[0].set(xscale="log", yscale="log", xlabel="dimensions d", ylabel="variance ÷ reparameterised")
panels[0].legend(fontsize=9)
panels.picture("The variance ratios rise with dimension and lie on their closed forms: the square of d without a baseline, linear in d with it.")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# $(d+2)(d+4)/4 = 1{,}122$; with the mean of the other samples subtracted (a *baseline*) $(d + 4)/2 = 34$. The score function learns only "this sample was better than that one", one number for 64
# directions. An additive constant in $f$ changes no gradient but adds to the first ratio without limit, so only the second is a fair comparison. (Control variates do better still: NVIL, VIMCO.)
# </details>
#
# ## Posterior collapse, first kind: a trap
#
# The 8×8 images again, a *summed* squared error, the right beta of 1. But the network is eight plain layers deep on each side, without skip connections. At initialisation every layer
# loses more than half of its input, so the code says next to nothing, and the decoder hardly uses it. For a code that says nothing, the KL has one remedy: no code at all.
#
# Two remedies. **KL warm-up** (Bowman et al. 2016; Sønderby et al. 2016) raises the KL's weight from 0 to 1, so that the code can become useful before it costs anything.
# **Free bits** (Kingma et al. 2016) exempt some nats of each dimension: silence saves nothing. Write the second.


# %%
def free_bits(kl_per_dim, floor):
    """The KL of a batch [B, ...] with `floor` nats of each dimension free: a scalar in nats per image (mean over the batch first)."""
    raise NotImplementedError  # one line


# %%
free_bits = ch3.free_bits.check(free_bits)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# return kl_per_dim.mean(0).clamp(min=floor).sum()
# ```
# </details>
#
# **Predict.** Warm-up is over after 600 of 750 steps; from then on the loss is the one that collapsed. How many of the 16 units are active at the end, with warm-up?

# %%
awake = guess.number("active units of 16, after warm-up")
awake

# %%
remedies = {"no remedy": {}, "KL warm-up": {"warmup_steps": 600}, "free bits": {"floor": 1 / 8}}
runs = {name: posterior_collapse.train_with_remedy(small, seed=1, free_bits=free_bits, **remedy) for name, remedy in remedies.items()}

# %% tags=["hide-input", "hide-output"]
awake.compare(runs["KL warm-up"].active)
panels = viz.Panels(2)
viz.draw_lines(panels[0], {n: tuple(zip(*p.history, strict=True)) for n, p in runs.items()}, marker=False, xlabel="steps", ylabel="KL (nats per image)")
panels[0].axvline(600, color="grey", ls=":", lw=1)
panels[0].annotate("warm-up ends", (595, 0.1), rotation=90, ha="right", fontsize=8, color="grey")
ranks = torch.arange(1, 17)
curves = {name: (ranks, p.posterior.kl_per_dim().mean(0).sort(descending=True).values) for name, p in runs.items()}
viz.draw_lines(panels[1], curves, xlabel="latent dimension, the largest KL first", ylabel="mean KL (nats)")
claims.table(["", "active units of 16", "KL (nats)", "true ELBO (nats)"], [[n, p.active, p.posterior.kl().mean().item(), p.elbo] for n, p in runs.items()])
panels.picture("Left: KL stays at zero without a remedy and rises with either. Right: KL of each of 16 dimensions, all zero without a remedy.")

# %% tags=["hide-input"]
trapped, warm, free = runs.values()
book.claim("The deep plain network collapses under the right loss: active units", trapped.active, equals=0, unit="of 16")
book.claim("KL warm-up prevents it, also after its weight is 1: true ELBO gained", warm.elbo - trapped.elbo, at_least=1, unit="nats")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# One or two of sixteen, about one nat. A modest awakening, but a real one: the networks with a remedy end with a *higher* true ELBO, and after the dotted line nothing but the true objective trained the
# second one. So this collapse was no optimum but a trap on the way. Warm-up changes only the way; free bits change the goal: they keep active what is free, needed or not.
# </details>
#
# ## Second kind: the optimum itself
#
# The same layers, only four deep: no trap. Instead the error is *averaged* over the 64 pixels and the KL summed: an effective beta of 64. Which of the two objectives does a remedy improve?

# %%
beta = elbo.effective_beta(1, error=small.shape[1])
averaged = {n: posterior_collapse.train_with_remedy(small, beta=beta, depth=4, seed=1, **remedy) for n, remedy in remedies.items()}
averaged["the right factor"] = posterior_collapse.train_with_remedy(small, depth=4, seed=1)

# %% tags=["hide-input"]
rows = []
for name, run in averaged.items():
    nats = run.posterior.kl().mean().item()
    rows.append([name, run.active, nats, run.elbo, run.elbo - (beta - 1) * nats])
claims.table(["", "active units of 16", "KL (nats)", "true ELBO (nats)", f"objective at beta {beta:.0f} (nats)"], rows)
silent, warm, free, right = averaged.values()
book.claim("With the error averaged the posterior collapses: active units", silent.active, equals=0, unit="of 16")
book.claim(
    "KL warm-up prevents it here too: active units",
    warm.active,
    at_least=1,
    expected=False,
    reason="at this beta the collapse is the optimum, and a schedule that ends at this beta ends there",
)
book.claim("Free bits give back this fraction of the ELBO that the right factor gains", (free.elbo - silent.elbo) / (right.elbo - silent.elbo), at_least=0.2, at_most=0.8)
book.claim("… and are worse by the objective at beta 64", rows[0][4] - rows[2][4], at_least=20, unit="nats")

# %% [markdown]
# **A trap can be walked around; an optimum cannot.** At beta 64 the warm-up passes the true weight almost at once, and at the end there is nothing to stay active for. Free bits forbid the silence and give back *about half* of the true
# ELBO that the right factor gains; by the objective that was actually minimised (last column) they are far worse than silence. That column is the diagnosis: only if a remedy improves the *trained* objective was the collapse a trap. Here it was the wrong price.
#
# **Change and run again.** Give the trapped network of the first kind more time: `posterior_collapse.train_with_remedy(small, steps=3000, seed=1)`. Does it find its own way out?
#
# ## Do latent dimensions find the true factors?
#
# Of Fashion-MNIST we do not know the factors; of teddies we do. Here is one bear of which only **three** things vary: its horizontal position, its vertical position and its size. A VAE gets eight latent dimensions.
#
# **Predict.** How many of the eight stay active?

# %%
used = guess.number("active units of 8")
used

# %%
free_factors = ("x", "y", "size")
teddy_net, bears, factors = disentanglement.train_teddy_vae(free_factors, 3000, 600, machine)
tq = posterior(teddy_net, bears)
truth = torch.stack([getattr(factors, name) for name in free_factors], 1)

# %% tags=["hide-input", "hide-output"]
active = active_units(tq).sum().item()
used.compare(active)
match = disentanglement.squared_correlations(tq.mean, truth.to(bears.device)).cpu()[latent_space.rank_dims_by_kl(tq).cpu()]
squares = torch.cat([tq.mean.flatten(1), tq.mean.flatten(1).square(), torch.ones(len(truth), 1, device=bears.device)], 1).cpu()
residual = truth - squares @ torch.linalg.lstsq(squares, truth).solution
r2 = 1 - residual.square().sum(0) / (truth - truth.mean(0)).square().sum(0)
table = [[name, *match[:, i].tolist(), r2[i].item()] for i, name in enumerate(free_factors)]
claims.table(
    ["squared correlation with", *(f"dimension {i}" for i in range(1, 9)), "all and their squares (R²)"],
    [[c if isinstance(c, str) else round(c, 2) for c in row] for row in table],
)
print(f"TwoNN dimension of the latent means: {dimension.two_nn(tq.mean.flatten(1)).dimension:.1f}, of the factors: {dimension.two_nn(truth).dimension:.1f}")
viz.rows(
    {"drawn": bears[:10], "decoded": latents.decode(teddy_net, tq.mode()[:10])}, scale=2, alt="Ten bears at different positions and sizes, and their reconstructions."
)

# %% tags=["hide-input"]
book.claim("Position can be read from all latent dimensions together", r2[:2].min(), at_least=0.5, unit="R²")
book.claim("The number of active units is the number of factors", active, equals=3, expected=False, reason="each factor is spread over several latent dimensions")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# More than three, and no factor belongs to one dimension alone. Why is not separated here: 600 steps are few, and the threshold of an active unit (variance above 0.01) is lenient; a likely reason is also that a moving bear is a
# *curved* path in pixel space, which several coordinates encode more cheaply. That a VAE "discovers the factors" is more than the ELBO promises (Locatello et al. 2019).
# </details>
#
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What you take along
#
# The ELBO is tight where the encoder can express the true posterior, and loose by an unknown amount elsewhere; more samples tighten it slowly in many dimensions. What has a closed form is not sampled. Compute
# the effective beta first; then ask of a collapse whether a remedy improves the objective that was trained.
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | linear VAE, probabilistic PCA | Lucas et al. 2019; Tipping & Bishop 1999, eq. 7 and 8 | `experiments.ch3_vae.marginal_likelihood` |
# | importance-weighted bound | Burda et al. 2016, eq. 8 | `vae.log_weights`, `vae.iwae` |
# | score-function gradient with a baseline | Williams 1992; Mnih & Gregor 2014 | `experiments.ch3_vae.elbo.estimate_gradients` |
# | KL warm-up | Bowman et al. 2016; Sønderby et al. 2016 | `vae.kl_warmup` |
# | free bits | Kingma et al. 2016, eq. 15 | `vae.free_bits` |
# | factors are not found unasked | Locatello et al. 2019 | `experiments.ch3_vae.disentanglement.squared_correlations` |
