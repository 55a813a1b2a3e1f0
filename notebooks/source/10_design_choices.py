# %% [markdown]
# # 10 · Further reading: design choices of diffusion
#
# > A diffusion model has a dozen settings. Which of them matter, and how would you know?
#
# Chapter 4 built one model. Here its choices are compared with others: the solver and its steps, the target of the network, the average of its weights, and the space in which it all happens. Most curves were measured once by a command and stored; cheap points are measured again.
#
# **After this notebook you can**
#
# - write a step of a multistep solver, and measure the order of a solver;
# - say when more steps stop helping, and whether the solver or the network is to blame;
# - say which target fails where, and when an average of the weights matters;
# - compare two models at equal training time and at equal quality, and say what either hides.
#
# **You need** chapter 4.

# %%
import math
from itertools import pairwise

import torch

from course_lib import codec, data, device, recipes
from course_lib.experiments import flops, generate
from course_lib.experiments.ch4_latent_ddpm import equal_quality, pixel_targets, prediction_types, sampler_order, sampler_steps
from course_lib.experiments.evaluator import Evaluator
from course_lib.homework.checks.ch10 import ch10
from course_lib.notebook import claims, guess, viz

machine = device.find()
print(machine)
book = claims.Claims("10 Design choices")

# %% [markdown]
# ## Which solver, and how many steps?
#
# Chapter 4's network, the same five noises. **DDIM** follows the estimate of the clean latent. **DPM-Solver++(2M)** (Lu et al. 2022) also remembers the estimate of the step before. Both call the network once in each step:

# %%
net, latent_codec = recipes.load_or_train("fashion-ldm", machine), recipes.load_codec("fashion-vae", machine)
make, SHAPE = generate.conditional_factory(net, machine), (4, 4, 4)
five = torch.tensor([0, 3, 5, 8, 9], device=machine.device)


def draw(sampler, steps, labels=five, seed=3):
    levels = recipes.make_schedule().grid(steps)
    return generate.generate(make, labels, latent_codec, SHAPE, machine, levels=levels, sampler=sampler, seed=seed)


viz.rows(
    {f"{steps} × {name}": draw(sampler, steps) for steps in (3, 10, 50) for name, sampler in (("DDIM", "DDIM"), ("2M", "DPM-Solver++(2M)"))},
    scale=3,
    alt="Five items of clothing from the same noise with two solvers, in 3, 10 and 50 steps: after 3 steps the T-shirt has no pattern; 10 steps of 2M show the pattern of 50.",
)

# %% [markdown]
# ### A step that looks back
#
# Let $\lambda = \log(\alpha/\sigma)$ be the clock of the solver, half the logarithm of the SNR, and $h = \lambda' - \lambda$ the length of a step on it. If the estimate $\hat x_0$ did not change during the step, the probability-flow ODE would have the exact solution
#
# $$x' = \tfrac{\sigma'}{\sigma}\,x + \alpha'\,(1 - e^{-h})\,\hat x_0,$$
#
# which is DDIM. But it does change. Draw a straight line through this estimate and the one before (a step $h_\text{before}$ earlier), and take its value *in the middle* of the step instead of $\hat x_0$. Write it:


# %%
def multistep(x, x0, x0_before, h, h_before, sigma, alpha_next, sigma_next):
    """Return x at the next level; x, x0, x0_before: [B, C, H, W]; the rest are floats."""
    raise NotImplementedError  # two lines


# %%
multistep = ch10.multistep.check(multistep)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# middle = x0 + h / (2 * h_before) * (x0 - x0_before)
# return sigma_next / sigma * x + alpha_next * (1 - math.exp(-h)) * middle
# ```
# </details>
#
# Is it worth it? Take data whose denoiser is known exactly (chapter 4's three Gaussians in the plane), so that every error is the solver's, and stay in the middle of the trajectory, $t = 900$ to $100$.
#
# **Predict.** DDIM's error halves if you double the steps. By what factor does yours shrink?

# %%
factor = guess.number("the error shrinks by a factor of")
factor

# %% tags=["hide-output"]
mixture = sampler_order.toy_mixture()


def solve(x, steps, step):
    """From t = 900 to 100; the first step has no estimate before it, so it is DDIM's."""
    before = h_before = None
    for here, there in pairwise(sampler_order.evenly_spaced_levels(900, 100, steps)):
        x0, h = mixture.denoise(x, here), there.half_log_snr - here.half_log_snr
        if before is None or step is None:
            x = there.sigma / here.sigma * x + there.alpha * (1 - math.exp(-h)) * x0
        else:
            x = step(x, x0, before, h, h_before, here.sigma, there.alpha, there.sigma)
        before, h_before = x0, h
    return x


start = torch.randn(200, 2, 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
end = sampler_order.exact_flow(mixture, start, *sampler_order.evenly_spaced_levels(900, 100, 1))
counts = (10, 20, 40, 80, 160)
errors = {name: [sampler_order.median_distance(solve(start, n, step), end) for n in counts] for name, step in {"DDIM": None, "yours": multistep}.items()}
factor.compare(errors["yours"][3] / errors["yours"][4])

# %% tags=["hide-input", "hide-output"]
orders = {name: sampler_order.convergence_order(counts, values) for name, values in errors.items()}
book.claim("Order of DDIM in the middle of the trajectory", orders["DDIM"], at_least=0.8, at_most=1.2)
book.claim("Order of the multistep solver there", orders["yours"], at_least=1.7, at_most=2.3)
viz.lines(
    {f"{name}: order {orders[name]:.2f}": (counts, values) for name, values in errors.items()},
    xlabel="steps",
    ylabel="median distance from the exact end",
    log="xy",
    alt="Error against steps on logarithmic axes: DDIM falls with slope one, the multistep solver with slope two.",
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# By about four: the order, minus the slope on these axes, is 2. It is the order *in the middle*. The last step, to $\sigma = 0$, is of first order in every implementation, since there $\lambda$ is infinite; so is the first, which has no estimate before it. And a trained network is smooth only down to some scale.
# </details>
#
# On equal grids (5 to 40 steps), with your network and with the exact denoiser of ten Gaussians fitted to its latents:

# %% tags=["hide-input"]
train_images, train_labels = data.fashion_mnist("train", machine.device)
latents = codec.cache(latent_codec, train_images)
gaussians = sampler_order.latent_mixture(latents[:20000], train_labels[:20000]).to(machine.device, torch.float32)
labels = generate.balanced_labels(40, machine)
level = recipes.make_schedule().level(900)
x_900 = level.alpha * latents[:40] + level.sigma * generate.seeded_noise(40, SHAPE, machine)
fitted = sampler_order.orders_on_equal_grids({"ten Gaussians": gaussians.denoiser(labels), "the network": make(labels)}, x_900, (5, 10, 20, 40))
claims.table(["order, fitted on 5 to 40 steps", *fitted["the network"]], [[name, *values.values()] for name, values in fitted.items()])
book.claim("On coarse grids the network lowers Heun's order: ten Gaussians minus network", fitted["ten Gaussians"]["Heun"] - fitted["the network"]["Heun"], at_least=0.1)

# %% [markdown]
# ### Until the network is the bottleneck
#
# Now the quality of the samples. **Predict.** With DPM-Solver++(2M), after how many steps does the Fréchet distance stop falling?

# %%
enough = guess.choice("enough steps", ["5", "10", "20", "50"])
enough

# %% tags=["hide-input", "hide-output"]
measured = sampler_steps.RESULT.read()
solver = {p["steps"]: p["frechet"] for p in measured["points"] if p["sampler"] == "DPM-Solver++(2M)"}
last = solver[max(solver)]
enough.compare(str(min((n for n in (5, 10, 20, 50) if n in solver and solver[n][0] <= last[2]), default=50)))
book.claim("DPM-Solver++(2M): Fréchet distance with 10 steps ÷ with 20 (stored)", solver[10][0] / solver[20][0], at_most=1.25)
panels = viz.Panels(2, width=4.6, height=3.6)
for axes, metric, name in ((panels[0], "frechet", "Fréchet distance"), (panels[1], "recall", "recall")):
    viz.draw_lines(axes, sampler_steps.metric_curves(measured, metric), xlabel="network calls", ylabel=name, log="xy" if metric == "frechet" else "x")
panels.picture(
    "Fréchet distance and recall of four samplers against network calls, with 95 percent intervals: DPM-Solver++ is flat from ten calls on, DDPM needs most; recall rises with the calls."
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# About 10: from there on the intervals overlap. What is left, a likely share of network and VAE, more steps do not remove. Count *calls*: Heun's method, of second order too, calls the network twice a step. The stored figures are for unguided sampling; a large guidance scale needs more steps (chapter 5).
# </details>
#
# One point, measured again with the network on this machine:

# %% tags=["hide-input"]
evaluator, thousand = Evaluator(machine), generate.balanced_labels(1000, machine)
today = evaluator.frechet(draw("DPM-Solver++(2M)", 10, thousand, seed=0))
print(f"Fréchet distance with 10 steps: stored {solver[10][0]:.1f} ({solver[10][1]:.1f} to {solver[10][2]:.1f}), here {today:.1f}")
book.claim("DPM-Solver++(2M), 10 steps: measured here ÷ stored", today / solver[10][0], at_least=0.5, at_most=1.6)

# %% [markdown]
# ## What should the network predict?
#
# Same network, same seed, same 1,550 steps; it predicts $\varepsilon$, $x_0$ or $v$. Each is sampled from $t = 1000$, where our schedule leaves 0.005 % of the signal, and from $t = 980$, where 3 % of it is left.
#
# **Predict.** Which target fails from $t = 1000$?

# %%
fails = guess.choice("fails from t = 1000", ["ε", "x₀", "v", "none of them"])
fails

# %% tags=["hide-input", "hide-output"]
trained = prediction_types.RESULT.read()
found = {t: prediction_types.distances_by_variant(trained, start=t) for t in prediction_types.START_TIMESTEPS}
first = {(target, t): found[t][target, "cosine"][0] for target in ("eps", "x0", "v") for t in found}
worst = max(("eps", "x0", "v"), key=lambda target: first[target, 1000])
fails.compare({"eps": "ε", "x0": "x₀", "v": "v"}[worst])
claims.table(
    ["Fréchet distance (stored, one seed)", *(f"from t = {t}" for t in found)],
    [[{"eps": "ε", "x0": "x₀", "v": "v"}[target], *(f"{first[target, t]:.1f}" for t in found)] for target in ("eps", "x0", "v")],
)
book.claim("Predicting ε: Fréchet distance from t = 1000 ÷ from 980 (stored)", first["eps", 1000] / first["eps", 980], at_least=2)
book.claim("Predicting v: the same ratio", first["v", 1000] / first["v", 980], at_most=1.3)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# $\varepsilon$: to get $\hat x_0$ from it, one divides by $\alpha$, and an error grows 20,000 times; at $t = 980$ only thirty times, and $\varepsilon$ does as well as the others. The rest of the table is one seed with an interval of about ±2 on every number: **between $x_0$ and $v$ these 64 dimensions show no difference**. In many dimensions there is a large one (chapter 4: a spiral in 512
# dimensions, patches of pixels), and *at which levels* the loss looks matters, too (chapter 4: logit-normal times).
# </details>
#
# ## The average of the weights
#
# We sample with a moving average of the weights (EMA), not with the last ones. The same $v$ network, with the learning rate falling to zero and with a constant one:

# %% tags=["hide-input"]
weights = {(w, rate): prediction_types.distances_by_variant(trained, w)["v", rate][0] for rate in ("cosine", "constant") for w in ("last", "average")}
claims.table(
    ["Fréchet distance (stored, one seed, ±2)", "last weights", "average"],
    [[f"learning rate {name}", f"{weights['last', rate]:.2f}", f"{weights['average', rate]:.2f}"] for rate, name in (("cosine", "falls to 0"), ("constant", "constant"))],
)

# %% [markdown]
# With a falling rate the two agree: letting the rate fall is a kind of averaging itself. With a constant rate the average is ahead by half a unit, the direction that theory expects, *but each number has an interval of ±2*: one seed shows nothing here. Notebook 11 shows what happens if the average is never updated.
#
# ## Pixels against latents: equal seconds, or equal quality?
#
# Equal seconds flatter the model that learns fast. So let the pixel UNet train four times as long, and watch both (one thread, one seed, `course measure matched-quality`). The crosses are chapter 4's other pixel models, 90 seconds each on two threads of another machine.
#
# **Predict.** After how many times the latent model's training time is the pixel UNet as good?

# %%
times = guess.choice("the pixel UNet needs", ["twice", "3 to 4 times", "more than 4 times the training time"])
times

# %% tags=["hide-input", "hide-output"]
matched = equal_quality.RESULT.read()
goal, last_pixel = matched["latent"]["curve"][-1], matched["pixel"]["curve"][-1]
needed = equal_quality.seconds_to_reach(matched["pixel"]["curve"], goal[1])
times.compare("more than 4 times the training time" if needed > 4 * goal[0] else "3 to 4 times" if needed > 2.5 * goal[0] else "twice")
book.claim("Pixel UNet: seconds to the latent model's final quality ÷ the latent model's seconds, or more", min(needed, last_pixel[0]) / goal[0], at_least=2, unit="×")
curves = {{"latent": "latents (VAE included)", "pixel": "pixels, UNet, v"}[side]: list(zip(*matched[side]["curve"], strict=True)) for side in ("latent", "pixel")}
panels = viz.Panels(1, 6.4, 4.0)
viz.draw_lines(panels[0], curves, xlabel="seconds of training", ylabel="Fréchet distance", log="xy", references={"training images": matched["floor"]})
for point, symbol in zip(pixel_targets.RESULT.read()["points"][1:], "xx++", strict=True):
    panels[0].plot(point["seconds"], point["frechet"], symbol, color="#333333", markersize=8)
    panels[0].annotate(point["arm"].removeprefix("patches of "), (point["seconds"] * 1.08, point["frechet"]), fontsize=8, va="center")
panels.picture(
    "Fréchet distance against seconds of training: latents fall from 34 at 77 seconds to 8 at 180; the pixel UNet needs more than 720 seconds. Transformers on patches after 90 seconds: 16×16 patches that predict x0 lie at 17, on the latents' curve; the same predicting v at 190."
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# More than four times. That is true of *this* pixel model. One that predicts $x_0$ on patches of 16×16 is, after 90 seconds, on the latent model's curve, and the same network predicting $v$ is the worst of all. So the target may decide the race as much as the space does. (Different machines and thread counts: read the crosses to within a factor of two in time. One seed each.)
# </details>
#
# What grows with the image, all else equal (counted, not run; the recipes' UNets, which have attention at low resolutions in pixel space):

# %% tags=["hide-input"]
counted = [flops.cost_at_side(side) for side in (32, 64, 128, 256)]
claims.table(
    ["side (pixels)", "one call in pixels (MFLOP)", "one call in latents (MFLOP)", "20 steps, decoded: pixels ÷ latents"],
    [[c.side, f"{c.pixel / 1e6:,.0f}", f"{c.latent / 1e6:,.0f}", f"{c.ratio():.1f}"] for c in counted],
)
book.claim("The ratio of operations grows with the image: 256 pixels ÷ 32", counted[-1].ratio() / counted[0].ratio(), at_least=1.05, unit="×")

# %% [markdown]
# Convolutions grow alike in both spaces; the ratio grows through attention, whose work grows with the square of the number of positions. (At 1024 pixels it would be nearly all of the work, and so no one builds such a network: an extrapolation is not a measurement.)
#
# **Change and run again.** Add another solver to the first picture (`"Heun"`, `"DDPM"`), or 20 steps: at which number can you no longer tell the solvers apart?
#
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What you take along
#
# - A second-order solver needs about 10 calls here; then the network is the bottleneck. An order belongs to a part of a trajectory and to a grid.
# - Targets differ where something degenerates: $\varepsilon$ where the signal ends, $v$ where the data fill few of many dimensions (chapter 4). Elsewhere, do not expect to see a difference with one seed.
# - Say what is equal in a comparison: seconds, calls, or quality. Give the rival its best form before you declare a winner.
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | multistep solver | Lu et al. 2022 (DPM-Solver++), algorithm 2 | `samplers.dpmpp_2m` |
# | Heun's method | Karras et al. 2022, algorithm 1 | `samplers.heun` |
# | targets | Salimans & Ho 2022, appendix D; Li & He 2025 | `diffusion.target` |
# | starting where no signal is left | Lin et al. 2023 | `prediction_types` |
# | average of the weights | Ho et al. 2020, appendix B | `training.ema` |
# | precision and recall | Kynkäänniemi et al. 2019 | `metrics` |
