# %% [markdown]
# # 4 · Latent DDPM
#
# > How does noise become an image?
#
# Chapter 3 ended with a latent space whose decoder is good, and no way to sample from it. A *denoiser* provides one: a network that looks at noisy latents and estimates the clean ones. Started from pure noise and asked again and again, it
# ends at latents that decode to images. This is diffusion (DDPM, *denoising diffusion probabilistic models*).
#
# **After this chapter you can**
#
# - explain why a network that answers with an *average* produces a *sample*;
# - write a complete diffusion model: adding noise, the loss, a step of a sampler;
# - connect the denoiser with the score, chapter 3's ELBO, an ODE, and flow matching;
# - say what the network should predict, which scale its input needs, and whether samples copy the training images.
#
# **You need** chapter 3: latents, the decoder, the ELBO.

# %%
import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from course_lib import codec, data, device, diffusion, recipes, schedule, text_to_image
from course_lib.experiments import generate
from course_lib.experiments.ch4_latent_ddpm import equal_quality, equal_time, flow_matching, sampler_order, sampler_steps, schedules_and_scaling
from course_lib.experiments.ch4_latent_ddpm import pixel_targets, sample_check, target_dimension, units
from course_lib.experiments.evaluator import Evaluator
from course_lib.homework.checks.ch4 import ch4
from course_lib.images import to_float
from course_lib.notebook import claims, explore, guess, viz

machine = device.find()
print(machine)
book = claims.Claims("4 Latent DDPM")

# %% [markdown]
# ## What you will build
#
# A teddy from noise, by our shipped networks (trained for two hours; yours in this chapter is smaller). Left the noisy latent $x_t$, 8×8 positions (three of its four channels as colours). In the middle $x_t$ decoded. Right the
# denoiser's estimate of the clean latent, $\hat x_0$, decoded. Move the slider slowly:

# %% tags=["hide-input"]
model, visited = text_to_image.load(machine), []
PROMPT = "a brown teddy bear with a red scarf waving at the beach"
end = model.generate(PROMPT, n=1, scale=1, steps=20, seed=0, callback=lambda i, level, x_t, x0: visited.append((level, x_t, x0)))


def teddy(step: int) -> tuple[torch.Tensor, str]:
    level, x_t, x0_hat = visited[step]
    latent = F.interpolate(x_t[:, :3] / 3, size=64)
    return torch.cat([latent, model.codec.decode(x_t), model.codec.decode(x0_hat)]), f"t = {level.t}: signal {level.alpha:.2f}, noise {level.sigma:.2f}"


explore.sliders(
    teddy,
    alt="Left a noisy latent of 8×8 positions, in the middle it decoded, right the denoiser's estimate: a blurred teddy at the beach from the first step, sharp at the last.",
    columns=3,
    scale=3,
    step=list(range(20)),
)

# %% [markdown]
# The estimate at the first step is a blur: almost nothing is known yet, and the network answers with an average of all teddies that fit the prompt. It gets sharper from step to step.
#
# ## Why does averaging end in a sample?
#
# A network trained with squared error answers with the mean of everything that is possible, $\hat x_0 = \mathbb E[x_0 \mid x_t]$. The mean of many images is a blur, and not an image. So why does a trajectory that follows this mean end in one?
#
# Look at it in the plane, where the mean can be computed exactly: the data are three Gaussians (ellipses), and the noise starts as a round cloud about 0. The rule is the simplest one (**DDIM**, Song et al. 2021): estimate $\hat x_0$, and the
# noise that it implies; go to a lower noise level with both; repeat.
#
# **Predict.** Take a *single* step from pure noise to no noise. Where do the points end?

# %%
one_step = guess.choice("after a single step the points are", ["in the middle of the plane", "spread over the three Gaussians", "all in one Gaussian"])
one_step

# %% tags=["hide-output"]
mixture, cosine = sampler_order.toy_mixture(), schedule.cosine()
start = torch.randn(2000, 2, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def follow(x, steps, stop=0):
    """Follow the exact mean in this many steps from t = 1000, and return the points at t = stop and the mean they follow there."""
    for here, there in pairwise(cosine.grid(steps)):
        x0_hat = mixture.denoise(x, here)
        eps = (x - here.alpha * x0_hat) / here.sigma
        level = cosine.level(max(there.t, stop))
        x = level.alpha * x0_hat + level.sigma * eps
        if there.t <= stop:
            return x, x0_hat


def inside(x):  # within three standard deviations of one of the Gaussians
    offset = torch.einsum("bkd,kde->bke", x.flatten(1)[:, None] - mixture.means, mixture.axes)
    return ((offset.square() / mixture.variances).sum(2).amin(1) < 9).double().mean().item()


landed = {steps: inside(follow(start, steps)[0]) for steps in (1, 2, 3, 5, 20)}
true = inside(mixture.sample(2000, torch.Generator().manual_seed(1))[0])
print("share of points that end in a Gaussian: " + ", ".join(f"{steps} steps {share:.0%}" for steps, share in landed.items()) + f"; samples of the data {true:.0%}")

# %% tags=["hide-input", "hide-output"]
one_step.compare("in the middle of the plane" if landed[1] < 0.1 else "spread over the three Gaussians")
book.claim("The plane: points that end in a Gaussian after 1 step", 100 * landed[1], at_most=5, unit="%")
book.claim("The plane: the same after 20 steps", 100 * landed[20], at_least=90, unit="%")
panels = viz.Panels(1, 4.4, 4.2)
ends = mixture.class_log_prob(follow(start[:150], 20)[0]).argmax(1)
angles = torch.linspace(0, 2 * math.pi, 100, dtype=torch.float64)
circle = 2 * torch.stack([angles.cos(), angles.sin()])
ellipses = [m[:, None] + axes @ (variance.sqrt()[:, None] * circle) for m, axes, variance in zip(mixture.means, mixture.axes, mixture.variances, strict=True)]


# %% tags=["hide-input", "hide-output"]
def plane(t: int, steps: int) -> tuple[viz.Picture, str]:
    x_t, x0_hat = (start[:150], mixture.denoise(start[:150], cosine.level(1000))) if t == 1000 else follow(start[:150], steps, t)
    probability = mixture.class_log_prob(x_t, cosine.level(max(t, 1))).exp()
    possible = torch.special.entr(probability).sum(1).exp().mean()
    axes = panels[0]
    axes.clear()
    for k, ellipse in enumerate(ellipses):
        axes.plot(*ellipse, color=viz.COLOURS[k], linewidth=1.2)
    x_t, x0_hat = x_t.flatten(1), x0_hat.flatten(1)
    axes.scatter(*x_t.T, s=9, c=[viz.COLOURS[k] for k in ends], linewidths=0)
    if t > 0:
        axes.quiver(*x_t[:14].T, *(x0_hat - x_t)[:14].T, angles="xy", scale_units="xy", scale=1, width=0.005, color="#333333")
    axes.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xticks=(-2, 0, 2), yticks=(-2, 0, 2), title=f"t = {t}, {steps} step{'s' * (steps > 1)} in all")
    return panels.picture("Points, and arrows to the mean that they follow."), f"on average {possible:.1f} of 3 Gaussians are still possible for a point"


explore.sliders(
    plane,
    alt="Two sliders, for t and the number of steps. Arrows lead from points to the mean of what is possible: near the centre at high noise, in a Gaussian at low noise.",
    t=[1000, 850, 700, 550, 400, 200, 0],
    steps=[1, 2, 5, 20],
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# In the middle, outside all three Gaussians: from pure noise everything is possible, and the mean of everything is the centre. With 20 steps almost all points end in a Gaussian, as often as true samples do.
#
# Set 20 steps and move $t$. At $t = 1000$ all arrows point to the centre, but the trajectory only goes *a little* in that direction. Then it asks again, and now a point that lies a little nearer to the orange Gaussian gets a mean nearer to the
# orange Gaussian. **The denoiser answers with the average of what is still possible; each small step makes fewer things possible; at the end only one is left, and the average of one thing is that thing.** The noise at the start decides which.
# </details>
#
# **Change and run again.** In `inside`, ask for two standard deviations (`< 4`) instead of three. 86 % of true samples lie within two: how many steps do you need to reach this share?
#
# ## Adding noise
#
# Now with images. Training needs pairs of clean data $x_0$ and noisy data
#
# $$x_t = \alpha_t\,x_0 + \sigma_t\,\varepsilon,\qquad \varepsilon \sim \mathcal N(0, I),\quad t = 0 \dots T,$$
#
# from $\alpha = 1$, $\sigma = 0$ (clean) to noise (Ho et al. 2020, eq. 4). A **schedule** is the table of both rates, and $(t, \alpha_t, \sigma_t)$ is a **level**. With $u = t/T$:
#
# | schedule | definition | who |
# |---|---|---|
# | linear | $\alpha_t^2 = \prod_{s\le t}(1 - \beta_s)$, $\sigma_t^2 = 1 - \alpha_t^2$; $\beta$ evenly spaced from 0.0001 to 0.02 | DDPM |
# | scaled linear | the same, but $\sqrt\beta$ evenly spaced, from $\sqrt{0.00085}$ to $\sqrt{0.012}$ | Stable Diffusion |
# | cosine | $\alpha_t = \cos\big(\tfrac{\pi}{2}\,\tfrac{u + 0.008}{1.008}\big)$ up to a constant factor, $\sigma_t^2 = 1 - \alpha_t^2$ | Nichol & Dhariwal 2021, and ours |
# | flow | $\alpha_t = 1 - u$, $\sigma_t = u$ | flow matching, SD3, FLUX |
#
# Where $\alpha^2 + \sigma^2 = 1$ the table `alphas_cumprod` of $\alpha_t^2$ says everything (entry 0 belongs to $t = 1$). Write the noising:


# %%
def add_noise(x0, t, eps, alphas_cumprod):
    """Return x_t; x0, eps: [B, C, H, W]; t: integers [B] in 1…T; alphas_cumprod: [T], alpha² of t = 1…T."""
    raise NotImplementedError  # two lines


# %%
add_noise = ch4.add_noise.check(add_noise)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# squared = alphas_cumprod[t - 1].view(-1, 1, 1, 1)
# return squared.sqrt() * x0 + (1 - squared).sqrt() * eps
# ```
# </details>

# %%
images, labels = data.fashion_mnist("test", machine.device)
boot = to_float(images[labels == 9][:1]).cpu().expand(6, -1, -1, -1)
t, eps = torch.tensor([1, 200, 400, 600, 800, 1000]), torch.randn(boot.shape, generator=torch.Generator().manual_seed(1))
tables = {name: (s.alphas[1:] ** 2).float() for name, s in {"linear": schedule.linear(), "scaled linear": schedule.scaled_linear(), "cosine": cosine}.items()}
noisy = {name: add_noise(boot, t, eps, table) for name, table in tables.items()}
viz.rows(
    noisy,
    titles=[f"t = {step}" for step in t.tolist()],
    scale=3,
    alt="An ankle boot with more and more noise under three schedules: linear hides it earliest, cosine latest.",
)

# %% [markdown]
# What counts is the **signal-to-noise ratio** (SNR), $\alpha_t^2/\sigma_t^2$: two schedules that pass through the same ratios give the same noisy images, up to a factor, at other values of $t$ (Kingma et al. 2021). In decibels it is $20\log_{10}(\alpha_t/\sigma_t)$: 0 dB is as much noise as signal.
#
# **Predict.** $x_T$ is usually called pure noise. What share of the signal's amplitude, $\alpha_T$, is left at the end of *scaled linear*, with which Stable Diffusion was trained?

# %%
residue = guess.number("signal left at t = T of scaled linear", unit="%")
residue

# %% tags=["hide-input", "hide-output"]
schedules = {"linear": schedule.linear(), "cosine": cosine, "scaled linear": schedule.scaled_linear(), "flow": schedule.flow()}
residue.compare(100 * schedules["scaled linear"].alphas[-1].item())
book.claim("Scaled linear: signal left at t = T", 100 * schedules["scaled linear"].alphas[-1], at_least=5, unit="%")
print("signal left at t = T: " + ", ".join(f"{name} {100 * s.alphas[-1]:.3f} %" for name, s in schedules.items()))
panels = viz.Panels(1, 6.0, 3.4)
every = torch.arange(1, 1001)
viz.draw_lines(
    panels[0],
    {name: (every[:-1], 20 * (s.alphas[1:-1] / s.sigmas[1:-1]).log10()) for name, s in schedules.items()},
    references={"as much noise as signal": 0.0},
    xlabel="step t",
    ylabel="signal-to-noise ratio (dB)",
    marker=False,
)
panels[0].set_ylim(-60, 60)
panels.picture("Signal-to-noise ratio against step for four schedules: scaled linear ends near minus 23 decibels, the others far lower.")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Almost 7 %. A sampler that starts from *pure* noise therefore starts where the network was never trained. Lin et al. (2023) showed that this is why Stable Diffusion cannot draw very dark or very bright images.
# </details>
#
# ## What the network predicts
#
# A network sees $x_t$ and $t$. It may predict any mixture of $x_0$ and $\varepsilon$: together with $x_t$, one of them gives the others (`diffusion.convert`). They differ in what an error costs. If the network errs by 1, its $\hat x_0$ errs by:

# %% tags=["hide-input"]
last = {name: schedules[name].level(1000) for name in ("cosine", "scaled linear")}
cost = {"ε (DDPM)": lambda x: x.sigma / x.alpha, "x₀": lambda x: 1.0, "v = α ε − σ x₀": lambda x: x.sigma}
claims.table(
    ["the network predicts", "error of x̂₀", *(f"{name}, t = 1000" for name in last)],
    [[name, formula, *(f"{f(x):,.1f}" for x in last.values())] for (name, f), formula in zip(cost.items(), ("σ/α", "1", "σ"), strict=True)],
)

# %% [markdown]
# Here two facts meet. Stable Diffusion predicts $\varepsilon$, in latents, where no clipping to $[-1, 1]$ helps. Its schedule stops at 7 % of signal, where an error grows 15 times, and not 20,000 times: what looked like a flaw keeps its target usable. ([Notebook 10](10_design_choices.ipynb) measures it on our schedule: $\varepsilon$ fails from $t = 1000$, and works from $t = 980$.)
# Our schedule ends with almost no signal, so our networks predict $v = \alpha\,\varepsilon - \sigma\,x_0$ (Salimans & Ho 2022, appendix D).
#
# The **loss** is the simplest in the course (Ho et al. 2020, eq. 14): add noise, predict, square the error, average over everything. One label in ten is replaced by a *null label*, so that the same network also learns to denoise without a label; chapter 5 needs that. Write it:


# %%
def training_loss(net, x0, y, t, eps, alphas_cumprod, drop, null_label):
    """Return the mean squared error of v, a scalar; net(x_t, t, y) → v; drop: bool [B], where y becomes null_label."""
    raise NotImplementedError  # three or four lines; your add_noise helps


# %%
training_loss = ch4.training_loss.check(training_loss)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# squared = alphas_cumprod[t - 1].view(-1, 1, 1, 1)
# v = squared.sqrt() * eps - (1 - squared).sqrt() * x0
# x_t = add_noise(x0, t, eps, alphas_cumprod)
# return F.mse_loss(net(x_t, t, torch.where(drop, null_label, y)), v)
# ```
# </details>
#
# ## A network and a training loop
#
# The network: residual convolutions on the latent's 4×4 positions. Each block is given the time (as sines and cosines of many frequencies) and the label, added to its channels:


# %%
class Block(nn.Module):
    def __init__(self, width, condition):
        super().__init__()
        self.norm, self.condition = nn.GroupNorm(8, width), nn.Linear(condition, width)
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, h, c):
        inner = self.first(F.silu(self.norm(h))) + self.condition(c)[:, :, None, None]
        return h + self.second(F.silu(inner))


# %%
class SmallDenoiser(nn.Module):
    def __init__(self, channels=4, width=64, blocks=3, condition=128):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(64, condition), nn.SiLU())
        self.label = nn.Embedding(11, condition)  # ten classes and the null label
        self.stem, self.head = nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, channels, 3, padding=1)
        self.blocks = nn.ModuleList(Block(width, condition) for _ in range(blocks))

    def forward(self, x_t, t, y):
        angles = t[:, None] * 1000 ** (-torch.arange(32, device=t.device) / 32)
        c = self.time(torch.cat([angles.sin(), angles.cos()], 1)) + self.label(y)
        h = self.stem(x_t)
        for block in self.blocks:
            h = block(h, c)
        return self.head(h)


# %% [markdown]
# The data: chapter 3's VAE encodes the training set once, and each channel is scaled to mean 0 and standard deviation 1. Then the loop:

# %%
latent_codec = recipes.load_codec("fashion-vae", machine)  # chapter 3's; trains it first if it is missing
train_images, train_labels = data.fashion_mnist("train", machine.device)
latents = codec.cache(latent_codec, train_images)
print(f"an image: {train_images[0].numel():,} dimensions; its latent: {latents[0].numel()} dimensions, {tuple(latents.shape[1:])}")

# %%
STEPS = 300


def fit(latents, noise_schedule, steps, seed=0):
    torch.manual_seed(seed)
    alphas_cumprod = (noise_schedule.alphas[1:] ** 2).float().to(latents.device)
    net = SmallDenoiser().to(latents.device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, betas=(0.9, 0.99))
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        i = torch.randint(len(latents), (128,), device=latents.device)
        t, drop = torch.randint(1, 1001, (128,), device=latents.device), torch.rand(128, device=latents.device) < 0.1
        x0, y = latents[i], train_labels[i].long()
        loss = training_loss(net, x0, y, t, torch.randn_like(x0), alphas_cumprod, drop, 10)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return net


small = fit(latents, cosine, STEPS)

# %% [markdown]
# That is a diffusion model. The course's own is the same idea with more care: a UNet, its weights averaged over the last steps, 1,550 larger batches. On a CPU it is `UNet(in_channels=4, width=64, multipliers=(1,), blocks=1, attention=())`: at 4×4 positions there is nothing to
# halve, and its middle block lets all positions attend to each other. The next cell loads it, or trains it if it is missing (some minutes on two cores); chapter 5 uses it.

# %%
unet = recipes.load_or_train("fashion-ldm", machine)

# %% [markdown]
# The loss never comes near zero, and should not: from noise alone, no network can know which image it was. More informative is the share of the variance of test latents that $\hat x_0$ leaves unexplained at each level. The third curve is a
# denoiser in closed form: one Gaussian for each class, with the mean and covariance of its latents.

# %% tags=["hide-input"]
test_latents, levels_t = codec.cache(latent_codec, images[:1000]), [1, 100, 200, 300, 400, 500, 600, 700, 800, 900, 999]
gaussians = sampler_order.latent_mixture(latents, train_labels).to(machine.device, torch.float32)
makers = {"your loop": generate.conditional_factory(small, machine), "the recipe": generate.conditional_factory(unet, machine), "ten Gaussians": gaussians.denoiser}
left = {name: schedules_and_scaling.unexplained_variance(make, test_latents, labels[:1000], levels_t) for name, make in makers.items()}
book.claim("At t = 500 the recipe's network leaves less unexplained than ten Gaussians: ratio", left["the recipe"][5] / left["ten Gaussians"][5], at_most=0.95)
viz.lines(
    {name: (levels_t, values) for name, values in left.items()},
    xlabel="step t",
    ylabel="variance left unexplained",
    references={"nothing known": 1.0},
    alt="Unexplained variance against noise step: all three rise from zero to the same plateau below one; between, the recipe's network lies below the Gaussians.",
)

# %% [markdown]
# In the middle the recipe's network knows more than means and covariances can express; your loop, after 20 seconds, does not yet. At $t = 999$ all that can be known is the label.
#
# ## The theory in four times four lines
#
# <details><summary><b>Denoiser = score (Tweedie's formula)</b></summary>
#
# The **score** is $\nabla_{x_t} \log p(x_t)$, the direction in which noisy data become more likely. (Chapter 3's "score function" was another gradient, with respect to parameters.) Since $p(x_t) = \int p(x_0)\,\mathcal N(x_t;\ \alpha x_0,\ \sigma^2 I)\,dx_0$,
#
# $$\nabla \log p(x_t) = \frac{1}{p(x_t)}\int p(x_0)\,\mathcal N(x_t;\ \alpha x_0,\ \sigma^2 I)\,\frac{\alpha x_0 - x_t}{\sigma^2}\,dx_0
# = \frac{\alpha\,\mathbb E[x_0 \mid x_t] - x_t}{\sigma^2} = -\frac{\mathbb E[\varepsilon \mid x_t]}{\sigma}.$$
#
# A denoiser *is* a score, in other units.
# </details>
#
# <details><summary><b>From chapter 3's ELBO to the simple loss</b></summary>
#
# Let $x_1 \dots x_T$ be latents, with an encoder that only adds noise and has no weights. Chapter 3's ELBO becomes
# $\mathbb E \log p(x_0 \mid x_1) - \sum_{t \ge 2} \mathrm{KL}\big(q(x_{t-1} \mid x_t, x_0)\,\|\,p(x_{t-1} \mid x_t)\big) - \mathrm{KL}\big(q(x_T \mid x_0)\,\|\,p(x_T)\big)$.
# In each KL both sides are Gaussians of the same variance (the reverse process, below). The KL of two such Gaussians is the squared distance of their means, divided by twice the variance; and the means differ only in $x_0$ against $\hat x_0$. Put in, this gives (Kingma et al. 2021)
#
# $$\mathrm{KL}_t = \tfrac12\big(\mathrm{SNR}(t-1) - \mathrm{SNR}(t)\big)\,\lVert x_0 - \hat x_0\rVert^2,\qquad \lVert x_0 - \hat x_0\rVert^2 = \lVert\varepsilon - \hat\varepsilon\rVert^2 / \mathrm{SNR}(t) = \lVert v - \hat v\rVert^2\,\sigma_t^2.$$
#
# The simple loss is this bound with another weight for each level: 1 for $\lVert\varepsilon - \hat\varepsilon\rVert^2$ (DDPM), or 1 for $\lVert v - \hat v\rVert^2$ (ours). The best answer at each level, $\mathbb E[x_0 \mid x_t]$, is the same for every weight.
# </details>
#
# <details><summary><b>The reverse process of DDPM</b></summary>
#
# Given $x_0$, the step from $x_t$ back to a lower level $x'$ (with $\alpha'$, $\sigma'$) is known by Bayes' rule, since $q(x_t \mid x') = \mathcal N(\tfrac{\alpha}{\alpha'} x',\ \cdot)$ and $q(x' \mid x_0) = \mathcal N(\alpha' x_0,\ \sigma'^2 I)$ are Gaussian. With $\hat x_0$ for $x_0$:
#
# $$x' = \alpha'\,\hat x_0 + \sqrt{\sigma'^2 - s^2}\;\hat\varepsilon + s\,z,\qquad z \sim \mathcal N(0, I),\qquad s^2 = \frac{\sigma'^2}{\sigma^2}\Big(1 - \frac{\alpha^2}{\alpha'^2}\Big)$$
#
# (Ho et al. 2020, eq. 7, for $\alpha^2 + \sigma^2 = 1$). Some old noise is replaced by fresh noise $z$, and the total variance stays $\sigma'^2$.
# </details>
#
# <details><summary><b>The probability-flow ODE, and DDIM as its Euler step</b></summary>
#
# Divide by $\alpha$: $y = x_t/\alpha_t = x_0 + r\,\varepsilon$ with $r = \sigma_t/\alpha_t$. The ODE whose points have at each $r$ the same distribution as $y$ is (Song et al. 2021b; Karras et al. 2022, eq. 1)
#
# $$\frac{dy}{dr} = -r\,\nabla\log p_r(y) = \frac{y - \hat x_0}{r} = \hat\varepsilon.$$
#
# One Euler step to $r'$ is $y' = y + (r' - r)\,\hat\varepsilon = \hat x_0 + r'\,\hat\varepsilon$; times $\alpha'$: $x' = \alpha'\,\hat x_0 + \sigma'\,\hat\varepsilon$. That is DDIM with $\eta = 0$. More steps: a smaller error of Euler's method.
# </details>
#
# ## From noise to images
#
# One step of the sampler, with $\eta$ from 0 (DDIM, deterministic) to 1 (DDPM): find the noise that $\hat x_0$ implies, $\hat\varepsilon = (x_t - \alpha\,\hat x_0)/\sigma$; then
#
# $$x' = \alpha'\,\hat x_0 + \sqrt{\sigma'^2 - s^2}\;\hat\varepsilon + s\,z,\qquad s = \eta\,\frac{\sigma'}{\sigma}\sqrt{1 - \alpha^2/\alpha'^2}.$$


# %%
def ddim_step(x_t, x0_hat, alpha, sigma, alpha_next, sigma_next, eta, noise):
    """Return x at the next level (α', σ'); x_t, x0_hat, noise: [B, C, H, W]; the rest are floats."""
    raise NotImplementedError  # three lines


# %%
ddim_step = ch4.ddim_step.check(ddim_step)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# s = eta * sigma_next / sigma * math.sqrt(1 - (alpha / alpha_next) ** 2)
# eps = (x_t - alpha * x0_hat) / sigma
# return alpha_next * x0_hat + math.sqrt(max(sigma_next**2 - s**2, 0)) * eps + s * noise
# ```
# </details>
#
# All pieces are yours now, and this is the sampler:

# %%
STEPS_OF_SAMPLER, ETA = 20, 0.0


@torch.no_grad()
def sample(net, y, x, steps, noise_schedule=cosine):
    for here, there in pairwise(noise_schedule.grid(steps)):
        v = net(x, torch.full_like(y, here.t), y)
        x0_hat = here.alpha * x - here.sigma * v
        x = ddim_step(x, x0_hat, here.alpha, here.sigma, there.alpha, there.sigma, ETA, torch.randn_like(x))
    return x  # latents; the codec decodes them


def decode(x):
    return codec.decode_all(latent_codec, x)


# %% [markdown]
# **Predict.** Chapter 3's measure: an image is *readable* if our classifier is more than 90 % sure of its class. Of decoded $\mathcal N(0, I)$ few are. How many of the samples from your 20-second loop, through the same decoder?

# %%
readable = guess.number("readable samples of the network from your loop", unit="%")
readable

# %% tags=["hide-output"]
evaluator, wanted = Evaluator(machine), generate.balanced_labels(1000, machine)
noise = generate.seeded_noise(1000, (4, 4, 4), machine)
made = {
    "N(0, I), decoded": schedules_and_scaling.decode_prior(latent_codec, 1000, (4, 4, 4), machine),
    "ten Gaussians": decode(gaussians.sample(1000, torch.Generator(machine.device).manual_seed(0), wanted)[0]),
    "your loop": decode(sample(small, wanted, noise, STEPS_OF_SAMPLER)),
    "the recipe": decode(sample(unet, wanted, noise, STEPS_OF_SAMPLER)),
    "reconstructions": decode(codec.cache(latent_codec, train_images[:1000])),
    "training images": to_float(train_images[:1000]),
}
sure = {name: 100 * (evaluator.confidence(x) > 0.9).float().mean().item() for name, x in made.items()}
frechet = {name: evaluator.frechet(x) for name, x in made.items()}
readable.compare(sure["your loop"])

# %% tags=["hide-input", "hide-output"]
claims.table(["1,000 images", "readable (%)", "Fréchet distance to the test images"], [[name, f"{sure[name]:.0f}", f"{frechet[name]:.1f}"] for name in made])
book.claim("Your loop: readable samples", sure["your loop"], at_least=45, unit="%")
book.claim("The recipe's Fréchet distance ÷ that of the VAE's reconstructions", frechet["the recipe"] / frechet["reconstructions"], at_most=3)
viz.rows(
    {name: made[name][:9] for name in ("N(0, I), decoded", "ten Gaussians", "your loop", "the recipe")},
    scale=2,
    alt="Nine decoded samples of N(0, I), which are no clothes; of ten Gaussians, blotchy clothes; of your loop's network, mostly recognisable; of the recipe's, clearly clothes and shoes.",
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# About sixty in a hundred, after less than 20 seconds of training; the recipe's network reaches three quarters. The decoder is the same in all rows: only *where the latents lie* differs. The last two rows of the table are the floor: 1,000 training images, and their reconstructions. A
# denoiser cannot remove the VAE's blur, so a latent model rarely gets below the reconstructions.
#
# Look at the second row, too: ten fitted Gaussians, sampled without any diffusion, have the recipe's Fréchet distance, if fewer readable images, and are ahead of your loop in both. On latents as simple as these, *one Gaussian for each class* is a strong baseline. (Chapter 3's single Gaussian for all classes is not.)
# </details>
#
# **Change and run again.** Set `ETA = 1.0` (DDPM) in the sampler's cell and run it and the cells after it: does fresh noise help at 20 steps? And at `STEPS_OF_SAMPLER = 100`?
#
# Five trajectories from your noise, with the recipe's network. Upper row: $x_t$, decoded. Lower row: $\hat x_0$, decoded.

# %% tags=["hide-input"]
five = torch.tensor([1, 5, 7, 8, 9], device=machine.device)
grid = cosine.grid(20)
trajectory = schedules_and_scaling.record_trajectory(makers["the recipe"](five), generate.seeded_noise(5, (4, 4, 4), machine, seed=3), grid, latent_codec)


def at_step(step: int) -> tuple[torch.Tensor, str]:
    level = trajectory.levels[step]
    return torch.cat([trajectory.x_t[step], trajectory.x0_hat[step]]), f"t = {level.t}: signal {level.alpha:.2f}, noise {level.sigma:.2f}"


explore.sliders(
    at_step,
    alt="Upper row: five decoded noisy latents, blotches until late. Lower row: the denoiser's estimates, blurred clothes of the right class from the first step.",
    columns=5,
    scale=3,
    step=list(range(21)),
)

# %% [markdown]
# The kind of clothing is fixed at the first step (that is the label), its shape by the middle, its details at the end.
#
# ### With too few steps
#
# **Predict.** Take 3 steps instead of 20. *Precision* is the share of samples that look like real ones, *recall* the share of real images that the samples cover (Kynkäänniemi et al. 2019). Which one suffers?

# %%
suffers = guess.choice("3 steps instead of 20: which one falls?", ["precision", "recall", "both"])
suffers

# %% tags=["hide-input", "hide-output"]
stored = {p["steps"]: p for p in sampler_steps.RESULT.read()["points"] if p["sampler"] == "DDIM"}
few, many = stored[3], stored[20]
falls = {name: few[name][0] < many[name][0] - 0.03 for name in ("precision", "recall")}
suffers.compare("both" if all(falls.values()) else next((name for name, fell in falls.items() if fell), "neither"))
claims.table(
    ["DDIM, 1,000 samples (stored)", "Fréchet distance", "precision", "recall"],
    [[f"{n} steps", *(f"{p[m][0]:.3g} ({p[m][1]:.3g} to {p[m][2]:.3g})" for m in ("frechet", "precision", "recall"))] for n, p in ((3, few), (20, many))],
)
book.claim("DDIM, 3 steps: recall minus that of 20 steps (stored)", few["recall"][0] - many["recall"][0], at_most=-0.1)
same_class, same_noise = torch.full((10,), 9, device=machine.device), generate.seeded_noise(10, (4, 4, 4), machine, seed=5)
viz.rows(
    {name: decode(sample(unet, same_class, same_noise, n)) for name, n in {"1 step": 1, "3 steps": 3, "20 steps": 20}.items()},
    scale=2,
    alt="Ten ankle boots from the same ten noises: in one step ten times the same blurred boot, in three steps less varied than in twenty, where heels and shafts differ most.",
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Recall. One step gives the average boot of the class, ten times; three steps give boots that look real but vary less. They cover half of the real images instead of four fifths. High precision alone is no sign of good samples.
# </details>
#
# ## Flow matching: the same model on a straight line
#
# Stable Diffusion 3 and FLUX use other words. **Flow matching** (Lipman et al. 2023; *rectified flow*, Liu et al. 2022) mixes along a straight line, $x_u = (1 - u)\,x_0 + u\,\varepsilon$, trains a network to predict the line's **velocity** $\varepsilon - x_0$ with squared error, and samples
# with Euler steps, $x \leftarrow x + (u' - u)\,\text{velocity}$. (Many papers let time run from noise to data; then the sign changes.)
#
# It is our model in other coordinates. The line is a schedule, and the velocity a mixture of $x_0$ and $\varepsilon$, like $v$. So the network that you have can be asked for it: go to the cosine level with the same SNR, divide $x_u$ by $\sqrt{(1-u)^2 + u^2}$, and convert:


# %%
@torch.no_grad()
def velocity(x, u, y):
    size = math.hypot(1 - u, u)
    level = schedules_and_scaling.level_at_snr(cosine, 20 * math.log10(max(1 - u, 1e-4) / u))
    v = unet(x / size, torch.full_like(y, level.t), y)
    return diffusion.convert("v", "velocity", v, x / size, level)


SHIFT = 1.0  # 1: none; the text below says what it is for
line = [SHIFT * u / (1 + (SHIFT - 1) * u) for u in torch.linspace(1, 0, 21).tolist()]
x = noise
for u, u_next in pairwise(line):
    x = x + (u_next - u) * velocity(x, u, wanted)
straight = evaluator.frechet(decode(x))
print(f"Fréchet distance in 20 steps: DDIM on the cosine schedule {frechet['the recipe']:.1f}, Euler along the straight line {straight:.1f}")

# %% tags=["hide-input"]
book.claim("The v network, asked for its velocity: Fréchet distance ÷ DDIM's", straight / frechet["the recipe"], at_least=0.75, at_most=1.3)

# %% [markdown]
# What remains of the difference is a choice of *weights*: at which levels the training looks most.
#
# - **Logit-normal times** (Esser et al. 2024): $u = \mathrm{sigmoid}(n)$ with $n \sim \mathcal N(m, s^2)$. Since $\log\mathrm{SNR} = 2\log\frac{1-u}{u} = -2n$, this is a *normal distribution of the log-SNR*: most training at the middle levels.
# - **The resolution shift**, $u' = \frac{k\,u}{1 + (k - 1)\,u}$, with $k = 3$ in SD3 at 1024 pixels. Since $\frac{1-u'}{u'} = \frac1k\,\frac{1-u}{u}$, it lowers the log-SNR by $2\log k$ everywhere (9.5 dB): the reason given is that large images are redundant (chapter 1), so that it takes more noise to hide the same content.
#
# The weights do matter. The course's network, trained for the same 300 steps in each way (two seeds, `course measure flow-matching`):

# %% tags=["hide-input"]
by_arm = {n: flow_matching.distances(flow_matching.RESULT.read(), n) for n in (5, 20)}
claims.table(
    ["300 steps of training; Fréchet distance, two seeds", "5 steps of DDIM", "20 steps"],
    [[arm, *("  ".join(f"{d:.1f}" for d in by_arm[n][arm]) for n in by_arm)] for arm in by_arm[20]],
)
ratio = min(by_arm[20]["v, cosine"]) / max(by_arm[20]["velocity, logit-normal times"])
book.claim("Trained for 300 steps: v on the cosine schedule ÷ velocity at logit-normal times, worst pair of seeds", ratio, at_least=1.1, unit="×")

# %% [markdown]
# Most training at the middle levels is best here, on both seeds; SD3's shift, made for large images, does not pay in 64 dimensions. **Change and run again.** Shift the *sampler* instead: set `SHIFT = 3.0` above, then `0.5`.
#
# %% [markdown]
# ## What to predict depends on dimension
#
# In 64 latent dimensions $x_0$ and $v$ do about equally well ([notebook 10](10_design_choices.ipynb)). But chapter 1 found that images fill few of their dimensions. Take a spiral in a *plane*, place the plane in a space of $D$ dimensions, and train a small network (five linear layers, 256 wide)
# on it, once to predict $v$ and once to predict $x_0$, from which $v$ follows. Both minimise the same error of $v$.
#
# **Predict.** In $D = 512$ dimensions pure noise lies 22.6 away from the plane ($\sqrt{510}$). How far from it are the samples of the network that predicts $v$?

# %%
off_plane = guess.number("distance of the samples from the plane, predicting v, D = 512")
off_plane

# %% tags=["hide-output"]
spirals = target_dimension.compare(512, ["v", "x0"], steps=300)
off_plane.compare(spirals["v"].off_plane)

# %% tags=["hide-input", "hide-output"]
book.claim("Spiral in 512 dimensions: distance of the samples from the plane, predicting v", spirals["v"].off_plane, at_least=10)
book.claim("The same, v ÷ x0", spirals["v"].off_plane / spirals["x0"].off_plane, at_least=50, unit="×")
over_dimension = target_dimension.curves(target_dimension.RESULT.read())
panels = viz.Panels(1, 5.6, 3.4)
dimensions = [D for D in target_dimension.DIMENSIONS if D > 2]
off = {
    {"x0": "predicts x₀", "v": "predicts v"}[name]: (dimensions, [sum(values) / 2 for values in found[1:]])
    for name, (_, found) in over_dimension.items()
    if name != "eps"
}
off["pure noise"] = (dimensions, [math.sqrt(D - 2) for D in dimensions])
viz.draw_lines(panels[0], off, xlabel="dimensions D", ylabel="distance from the plane", log="xy")
panels.picture(
    "Distance of the samples from the plane against D, stored, mean of two seeds: predicting x0 it stays near 0.01; predicting v it rises from 0.04 to almost that of pure noise."
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Most of the way: about 20 of 22.6. In 8 dimensions both are near the plane. The target $v$ contains noise in all $D$ dimensions, and the network must reproduce every one of them; $x_0$ lies in a plane, and stays easy. One reason is that 256 hidden units cannot pass on 512
# dimensions of noise, but not the only one: with 1,024 units and twice the steps three quarters of the distance are left (stored).
#
# **So the choice of target is a matter of dimension.** Where data fill much of their space, any target will do. Where they lie low in a large one, as pixels do, $x_0$ is the safe choice: Li & He (2025) report that transformers over large patches of pixels fail with
# $\varepsilon$ or velocity, and work with $x_0$.
# </details>
#
# **Change and run again.** `target_dimension.compare(512, ["v"], steps=300, width=1024)` takes half a minute: how much of the distance is left?

# %% [markdown]
# ## Units: the famous constant
#
# A schedule assumes data with standard deviation 1, and latents come in the unit that their VAE likes. Hence Stable Diffusion's famous `scaling_factor` of 0.18215: one over the standard deviation of *its* VAE's latents, measured on training images (Rombach et al. 2022, appendix G).
# For another VAE the number is simply wrong. Some that are in use:
#
# | model | latents are multiplied by | after subtracting |
# |---|---|---|
# | Stable Diffusion 1 and 2 | 0.18215 | 0 |
# | SDXL | 0.13025 | 0 |
# | Stable Diffusion 3 | 1.5305 | 0.0609 |
# | FLUX.1 | 0.3611 | 0.1159 |
# | Wan 2.1, Qwen-Image; this course | one number for each channel | one number for each channel |
#
# What does a wrong constant change? Let the latents have standard deviation $s$ instead of 1:

# %%
constants = {"Fashion-MNIST": 1 / schedules_and_scaling.global_std(latent_codec, latents), "teddies": schedules_and_scaling.scaling_factor(model.codec)}
print("1 / standard deviation of our VAEs' latents: " + ", ".join(f"{name} {c:.2f}" for name, c in constants.items()))
level, rows = cosine.level(500), []
for name, s in {"5 times too small": 1 / 5, "right": 1.0, "5 times too large": 5.0}.items():
    a, b = level.alpha, level.sigma
    rows.append([name, f"{20 * math.log10(a * s / b):.1f}", f"{math.hypot(a * s, b):.2f}", f"{math.hypot(a, b * s):.2f}"])
claims.table(["latents", "SNR at t = 500 (dB)", "standard deviation of the input x_t", "… of the target v"], rows)

# %% [markdown]
# Three things change: the SNR at every step, as if the **schedule** were another one ($20\log_{10} s$ dB); the size of the network's **input**; and the size of its **target**. Which one matters? The stored experiment switches them on one by one (`course measure units`: a small transformer, 200 steps of training, two seeds).
#
# **Predict.** Latents 5 times too small, Fréchet distance: which of the three does the harm?

# %%
culprit = guess.choice("5 times too small: the harm comes from", ["the schedule", "the input", "the target"])
culprit

# %% tags=["hide-input", "hide-output"]
harm = units.distances(units.RESULT.read())
mean = {key: sum(values) / len(values) for key, values in harm.items()}
culprit.compare(
    max(("the input", "the target"), key=lambda part: mean[0.2, f"schedule and {part[4:]}"]) if mean[0.2, "wrong unit"] > 1.2 * mean[0.2, "schedule"] else "the schedule"
)
shown = {"right unit": (1.0, "schedule")} | {f"{name}: {arm}": (s, arm) for s, name in ((0.2, "÷ 5"), (5.0, "× 5")) for arm in units.ARMS}
claims.table(["latents: what is wrong", "Fréchet distance, two seeds"], [[name, "  ".join(f"{d:.0f}" for d in harm[key])] for name, key in shown.items()])
scaled = units.RESULT.read()["scalings"]
print("our VAE with a small KL weight, Fréchet distance: " + ", ".join(f"{one['scaling']} {one['frechet']:.0f}" for one in scaled))
worst = min(harm[0.2, "schedule and target"]) / max(harm[0.2, "schedule and input"])
book.claim("Latents 5 times too small: wrong target ÷ wrong input, worst pair of seeds (stored)", worst, at_least=1.3, unit="×")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# The target. With latents 5 times too small, the shifted schedule alone is as good as the right one, and so is a small input; a target of the wrong size alone does all the harm (135 to 143 against 66 to 86). With latents 5 times too large the schedule is to blame for most.
# So **a wrong unit is not just a wrong schedule**. EDM therefore scales input, output and loss explicitly (Karras et al. 2022, table 1).
#
# Our VAEs were trained with the KL at full weight, which pulls their latents towards standard deviation 1: their constants are near 1, and scaling changes little. Stable Diffusion's KL weight is about a millionth, and the standard deviation of its latents 5.5. A VAE of ours, trained like that and started with large latents, ends at 3.4: without scaling the
# Fréchet distance is 131, with one constant 84, with one for each channel 83 (means of two seeds).
# </details>
#
# ## Are the samples copies?
#
# A network could score well by repeating its training images. So compare each sample with its nearest training image. The control must pass through the same decoder, which blurs: *reconstructions of test images*, which no network has seen. And a positive control shows what
# copies would look like: reconstructions of training images.


# %%
def nearest(some):
    """Return the distance of each image to its nearest training image, and which one that is."""
    return torch.cdist(some.flatten(1), to_float(train_images).flatten(1)).min(1)


def reconstruct(some):
    return decode(codec.cache(latent_codec, some))


tested = {
    "samples": made["the recipe"][:500],
    "new images, reconstructed": reconstruct(images[:500]),
    "copies: training images, reconstructed": made["reconstructions"][:500],
}
distance = {name: nearest(x) for name, x in tested.items()}

# %% tags=["hide-input"]
median = {name: found.values.median().item() for name, found in distance.items()}
low = {name: found.values.quantile(0.05).item() for name, found in distance.items()}
claims.table(["500 of each", "median distance to the nearest training image", "nearest 5 %"], [[name, median[name], low[name]] for name in tested])
book.claim("Median distance to the training images: samples ÷ new images", median["samples"] / median["new images, reconstructed"], at_least=0.9, at_most=1.2)
book.claim("The same, copies ÷ new images", median["copies: training images, reconstructed"] / median["new images, reconstructed"], at_most=0.8)
closest = distance["samples"].values.argsort()[:8]
viz.rows(
    {"closest samples": made["the recipe"][closest], "their neighbours": to_float(train_images[distance["samples"].indices[closest]])},
    scale=2,
    alt="The eight samples nearest to the training set, with their neighbours: simple shapes such as trousers, similar but not the same.",
)

# %% [markdown]
# The samples are as far from the training images as new images are, and copies would be much nearer. (This finds copies of entire images only. A network that is large for its data, or trained for very long, can memorise.) How good they are, from 10,000 samples:

# %% tags=["hide-input"]
checked = sample_check.RESULT.read()
rows = [[f"Fréchet distance, {int(n):,} samples", v["samples"], *v["floor"]] for n, v in checked["frechet"].items()]
rows += [[f"KID, parts of {checked['kid_part']:,}", checked["kid"]["samples"], *checked["kid"]["floor"]]]
claims.table(["stored", "samples", f"floor: training images, mean of {checked['draws']} draws", "least", "largest"], rows)

# %% [markdown]
# The floor is what real images reach: with few samples the Fréchet distance of *perfect* samples is far from 0, so compare distances only at the same number. Ours are clearly above it. (At 1,000 samples they are nearer than in the table above: here the solver is DPM-Solver++, of notebook 10, and not DDIM. KID, a distance by kernels, has the same expectation at any number of samples; Bińkowski et al. 2018.)
#
# ## Pixels against latents
#
# Was the latent space worth it? Equal library, schedule, solver and seconds of training; the time spent on the autoencoder counts as part of the latent model's (`course measure pixel-vs-latent`, 2,000 samples):

# %% tags=["hide-input"]
race = equal_time.RESULT.read()
names = {
    "numbers": "dimensions",
    "flops_per_step": "operations of one network call",
    "images_seen_per_second": "images per second, training",
    "images_per_second": "samples per second",
}
rows = [[label, race["latent"][key], race["pixel"][key]] for key, label in names.items()]
rows += [[f"Fréchet distance after {race['seconds']:.0f} s of training", race["latent"]["frechet_by_scale"]["1"], race["pixel"]["frechet_by_scale"]["1"]]]
claims.table(["", "latents", "pixels"], rows)
book.claim(
    "Equal seconds: Fréchet distance, pixels ÷ latents (stored)", race["pixel"]["frechet_by_scale"]["1"] / race["latent"]["frechet_by_scale"]["1"], at_least=1.5, unit="×"
)
matched = equal_quality.RESULT.read()
(seconds, ours), (longer, theirs) = matched["latent"]["curve"][-1], matched["pixel"]["curve"][-1]
print(f"another run, on one thread: latents after {seconds:.0f} s {ours:.1f}; pixels after {longer:.0f} s {theirs:.1f} (training images: {matched['floor']:.1f})")
print("the latent model on the way: " + ", ".join(f"{seconds:.0f} s {distance:.1f}" for seconds, distance in matched["latent"]["curve"]))

# %% [markdown]
# Even in four times the seconds this pixel model does not reach the latent model. But it predicts $v$ with convolutions, and the section on dimension names a stronger form: $x_0$, on large patches. Five models of pixels, 90 seconds each (`course measure pixel-targets`):

# %% tags=["hide-input"]
pixels = {p["arm"]: p for p in pixel_targets.RESULT.read()["points"]}
claims.table(
    ["pixels, 90 s of training", "images per second, training", "Fréchet distance"],
    [[name, f"{p['images_seen_per_second']:,}", p["frechet"]] for name, p in pixels.items()],
)
book.claim(
    "Pixels on patches of 16×16: v ÷ x0 (stored, one seed)", pixels["patches of 16×16, v"]["frechet"] / pixels["patches of 16×16, x0"]["frechet"], at_least=4, unit="×"
)

# %% [markdown]
# A patch of 16×16 has 256 dimensions, more than the 128 of this transformer's tokens: $v$ fails, $x_0$ works, as Li & He (2025) report, and the large patches make a step cheap. After 90 seconds it is about where the latent model was after 85 in the run above (its VAE included). So a latent space is no longer the only way to make pixels tractable, and on small grey images this one seed does not show it to be faster.
# What the latent space has and pixels have not is chapter 3's result: near means alike. ([Notebook 10](10_design_choices.ipynb) continues the race.)
#
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What you take along
#
# - A denoiser answers with the average of what is still possible. Each small step makes fewer things possible, and the trajectory ends in a sample; one step ends at the average.
# - Noise, square the error, step down: three functions. The denoiser is a score in other units, the loss a reweighted ELBO, DDIM an Euler step, flow matching the same model on another schedule.
# - What the network should predict depends on how many dimensions the data *fill*; which scale it needs, on the latents' standard deviation. Before you trust samples, look for copies.
#
# [Chapter 5](05_guidance.ipynb) steers the network that you have just trained.
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | adding noise, simple loss, reverse process | Ho et al. 2020, eq. 4, 14, 7 | `diffusion.add_noise`, `diffusion.loss`, `samplers.ddpm` |
# | $v$ | Salimans & Ho 2022, appendix D | `diffusion.target` |
# | cosine; scaled linear; zero terminal SNR | Nichol & Dhariwal 2021, eq. 17; Rombach et al. 2022; Lin et al. 2023 | `schedule` |
# | DDIM, $\eta$ | Song et al. 2021a, eq. 12 and 16 | `samplers.ddim` |
# | score, probability-flow ODE | Song et al. 2021b; Karras et al. 2022, eq. 1 | `gaussian_mixture.GaussianMixture.score` |
# | ELBO of diffusion, invariance to the schedule | Kingma et al. 2021 | |
# | flow matching, rectified flow | Lipman et al. 2023; Liu et al. 2022 | `schedule.flow`, `diffusion.convert` |
# | logit-normal times, resolution shift | Esser et al. 2024 | |
# | precision and recall | Kynkäänniemi et al. 2019 | `metrics` |
