# %% [markdown]
# # 1 · Pixel space
#
# > Why not simply let a network draw the pixels?
#
# An image is a point in a space with one dimension for each pixel and colour, and a generator could learn to find its way in that space. This chapter measures two reasons against it:
# **there are too many pixels, and a single pixel means too little.**
#
# **After this chapter you can**
#
# - say what one denoising step costs at any image size, for convolution, attention and patches;
# - measure how redundant an image is, and estimate how many dimensions a set of images has;
# - show why noise, density estimates and distances go wrong in pixels.
#
# **You need** Python, a little PyTorch, and the Euclidean length of a vector.

# %%
from functools import partial

import torch
from torch.nn import functional as F

from course_lib import data, device, dimension, teddies
from course_lib.experiments.ch1_pixel_space import density, intrinsic_dimension, meaning, off_manifold, step_cost
from course_lib.experiments.flops import power_law_exponent
from course_lib.homework.checks.ch1 import ch1
from course_lib.images import patches, to_float
from course_lib.notebook import claims, explore, guess, viz

machine = device.find()
print(machine)
book = claims.Claims("1 Pixel space")

# %% [markdown]
# ## The chapter in nine pictures

# %% tags=["hide-input"]
photos = data.photographs()
generator = torch.Generator().manual_seed(0)
photo = F.interpolate(photos["dogs"][None].float(), size=192, mode="area")
shuffled = photo.flatten(2)[..., torch.randperm(192 * 192, generator=generator)].view_as(photo)
random_pixels = torch.randint(0, 256, photo.shape, generator=generator).float()
scene = teddies.sample_factors(1, torch.Generator().manual_seed(2), **intrinsic_dimension.FIXED_SCENE)
straight, tilted = (teddies.render(scene.replace(x=torch.zeros(1), tilt=torch.full((1,), t))) for t in (-0.4, 0.4))
noise = torch.randn(straight.shape, generator=generator)
far = (tilted - straight).norm()
three = meaning.sample_triplets(1, "activity", moved=True, seed=4)
mse = [(x - three.anchor).square().mean().item() for x in (three.same, three.other)]
first = torch.cat([photo, shuffled, random_pixels]) / 127.5 - 1
rest = torch.cat([straight, tilted, straight + noise * far / noise.norm(), *three])
viz.grid(
    torch.cat([first, F.interpolate(rest, scale_factor=3, mode="nearest")]),
    3,
    titles=[
        *("a photograph", "the same pixels, shuffled", "random pixels"),
        *("a teddy", f"tilted: distance {far:.0f}", f"noise: distance {far:.0f}"),
        *("anchor", f"same meaning: MSE {mse[0]:.2f}", f"other meaning: MSE {mse[1]:.2f}"),
    ],
    alt="A photograph, its pixels shuffled, random pixels; a teddy, tilted, and noisy at the same distance; a triplet that the MSE gets wrong.",
)

# %% [markdown]
# - **First row.** Three points of one space. The second holds exactly the pixels of the first. Almost every point of pixel space looks like the third.
# - **Second row.** Two steps of exactly the same length from one teddy. One leads to another teddy, the other into noise.
# - **Third row.** The middle teddy does what the anchor does, in another fabric and light, another size and position. The right one does something else. The mean squared error (MSE) calls the *right* one nearer.
#
# ## Two data sets
#
# | data set | what it is | one image |
# |---|---|---|
# | **Fashion-MNIST** (Xiao et al. 2017) | 60,000 photographs of real products in ten classes, for training | 28×28 grey, padded to 32×32 = 1,024 values |
# | **Teddies** | our own renderer: every factor (activity, fur, scarf, tilt, light, …) is known, and every image has a caption | 64·64·3 = 12,288 values |

# %% tags=["hide-input"]
train, _ = data.fashion_mnist("train", machine.device)
some = teddies.render(teddies.sample_factors(8, torch.Generator().manual_seed(5)))
viz.rows(
    {"Fashion-MNIST": F.interpolate(to_float(train[:8]).cpu(), scale_factor=2, mode="nearest"), "teddies": some},
    scale=1,
    alt="Eight Fashion-MNIST images, small grey shoes and clothes, and eight colourful teddies.",
)

# %% [markdown]
# Small sets, so that everything runs here. A photograph of 1024×1024 pixels has $1024 \cdot 1024 \cdot 3 = 3{,}145{,}728$ values (a million is the number of *pixels*).
#
# ## What a step costs
#
# A diffusion model makes an image in many steps (DDPM: 1,000), and each step runs a network on the full image. Three networks:
#
# - **convolution**: a UNet (a convolutional network that halves and doubles the side; [chapter 4](04_latent_ddpm.ipynb)) without attention. Each pixel is computed from its neighbours.
# - **attention, one token per pixel**: *attention* (Vaswani et al. 2017) compares every pair of *tokens*, the vectors that it works on. Here each pixel is a token. This is the *worst case*, and is not used at 1024.
# - **attention over patches**: what image transformers do. A square of $p \times p$ pixels becomes one token, so there are $p^2$ times fewer tokens and $p^4$ times fewer pairs.
#
# **Predict.** The side of a large image doubles. By what factor does a step with one token per pixel get more expensive?

# %%
doubling = guess.number("cost of a step when the side doubles", unit="times")
doubling

# %% [markdown]
# We *count* the floating-point operations (FLOPs) and run nothing. These are toys (32 channels, two blocks of attention); real networks are far larger, most of all with patches, whose tokens need more channels. Compare how the cost *grows*, not its height.

# %% tags=["hide-output"]
PATCH = 16
makers = {
    "convolution": step_cost.convolutional_denoiser,
    "attention, token per pixel": step_cost.attention_denoiser,
    f"attention, {PATCH}×{PATCH} patches": partial(step_cost.attention_denoiser, patch=PATCH),
}
sides = [16, 32, 64, 128, 256, 512, 1024]
flops = {name: [step_cost.step_flops(make, side) for side in sides] for name, make in makers.items()}
convolution, per_pixel, patched = flops.values()
doubling.compare(per_pixel[-1] / per_pixel[-2])
seconds = [step_cost.step_seconds(step_cost.attention_denoiser, side, machine) for side in (64, 128)]
print(f"by the clock, 64 → 128: {seconds[0]:.2g} s → {seconds[1]:.2g} s, {seconds[1] / seconds[0]:.1f} times (FLOPs: {per_pixel[3] / per_pixel[2]:.1f} times)")

# %% tags=["hide-input", "hide-output"]
viz.lines(
    {name: (sides, [count / 1e9 for count in counts]) for name, counts in flops.items()},
    log="xy",
    xlabel="side of the image (pixels)",
    ylabel="one step (GFLOP)",
    alt="Cost of a step against the side, log-log: convolution has slope two, attention with one token per pixel slope four; patches start far lower.",
)

# %% tags=["hide-input", "hide-output"]
steep = {name: power_law_exponent(sides[-2:], counts[-2:]) for name, counts in flops.items()}
claims.table(
    ["network", "GFLOP at 1024", "grows like side to the power (512 to 1024)", "GFLOP at 128", "saved by an 8× smaller side (times)"],
    [[n, f"{c[-1] / 1e9:,.0f}", f"{steep[n]:.1f}", f"{c[3] / 1e9:,.3g}", f"{c[-1] / c[3]:,.0f}"] for n, c in flops.items()],
)
book.claim("FLOPs saved by an 8 times smaller side, one token per pixel", per_pixel[-1] / per_pixel[3], at_least=3500, unit="×")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Almost 16 times: there are four times as many tokens, and each looks at four times as many. (At small sides it is less, because there the layers that treat tokens one by one cost more than the
# pairs.) Convolution: four times. Patches make attention affordable: they move its curve down. They do not change where it is heading: at 1024 the slope of this toy is 3.5 again. (Where the pairs begin to dominate depends on
# the width, here 32 channels: wider networks are less steep at the same side.)
#
# An encoder that makes the *side* 8 times smaller saves 64 times for convolution, and about 4,000 times for one token per pixel. Stable Diffusion does this: for an image of 512×512 pixels it generates 64×64 *latents*, the
# output of such an encoder.
# </details>
#
# **Change and run again.** Set `PATCH = 2` and run the last three code cells again: where does this curve meet the convolution's?
#
# ## Most pixels say nothing new
#
# May we make images 8 times smaller? Take one photograph at five sizes, and correlate the values of two pixels at a given distance. Same content, so only the size differs.

# %%
PHOTO = "dogs"
sizes = [1024, 512, 256, 128, 64]
smaller = {size: F.adaptive_avg_pool2d(photos[PHOTO].float(), size) for size in sizes}
correlation = {size: dimension.neighbour_correlation(image[None], 32) for size, image in smaller.items()}
print("correlation at 8 pixels: " + ", ".join(f"{size}: {c[8]:.2f}" for size, c in correlation.items()))
print(f"variance of a pixel that one 8 pixels away predicts, at 1024: {correlation[1024][8] ** 2:.0%}")

# %% [markdown]
# **Larger images are more redundant**: at 1024, a pixel predicts most of one that is eight pixels away. (A correlation of $r$ means that a line predicts a share of $r^2$ of the variance.) A second measure of redundancy needs *principal component analysis* (PCA):
#
# 1. Take many points (here: patches of 16×16 pixels, 768 values) and subtract their mean.
# 2. Find the direction in which they vary most, then the one at right angles to it in which they vary most, and so on: the *principal components*.
# 3. The variance along each is an *eigenvalue* of the covariance matrix. The first few often hold nearly all of it, and the others can be left out.
#
# How many components hold a given share of the variance? Write it. (The patches of photographs and the images of Fashion-MNIST have different sizes, so compare each with its own number of pixels.)


# %%
def components_for(eigenvalues, share):
    """Return the smallest number of components that hold this share (0..1) of the variance; eigenvalues [D], largest first."""
    raise NotImplementedError  # two lines


# %%
components_for = ch1.components_for.check(components_for)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# held = eigenvalues.cumsum(0) / eigenvalues.sum()
# return int((held < share).sum()) + 1
# ```
# </details>

# %%
pixels = {
    "photographs, 16×16": torch.cat([patches(F.adaptive_avg_pool2d(p[None].float(), 512), 16) for p in photos.values()]),
    "Fashion-MNIST, 32×32": train[:4000].flatten(1).float(),
    "random pixels": torch.rand(4000, 768, generator=generator),
}
spectra = {name: dimension.pca_spectrum(x).cpu() for name, x in pixels.items()}
needed = {name: components_for(eigenvalues, 0.95) for name, eigenvalues in spectra.items()}
print("components for 95 % of the variance: " + ", ".join(f"{name} {k} of {len(spectra[name])}" for name, k in needed.items()))

# %% tags=["hide-input"]
panels = viz.Panels(2)
viz.draw_lines(
    panels[0],
    {f"{size}×{size}": (torch.arange(33), c) for size, c in correlation.items()},
    marker=False,
    xlabel="distance (pixels)",
    ylabel="correlation of two pixels",
    title="one photograph at five sizes",
)
held = {n: (torch.arange(1, len(e) + 1), 100 * e.cumsum(0) / e.sum()) for n, e in spectra.items()}
viz.draw_lines(panels[1], held, log="x", marker=False, references={"95 %": 95.0}, xlabel="components used", ylabel="variance held (%)", title="PCA")
book.claim("Correlation 8 pixels apart, at 1024 minus at 64", correlation[1024][8] - correlation[64][8], at_least=0.2)
book.claim("Components for 95 % of the variance of photographs' patches", 100 * needed["photographs, 16×16"] / 768, at_most=3, unit="% of all")
panels.picture("Left: at every distance the correlation is higher in larger versions of one photograph. Right: few components hold most of the variance of photographs.")

# %% [markdown]
# **Change and run again.** Set `PHOTO = "mountains"`, or `"dandelions"`: is its curve at 1024 higher or lower?
#
# ## How many dimensions does an image have?
#
# A set of teddies that differ in their tilt alone has *one* dimension, however many pixels draw it: a curve in pixel space. The **intrinsic dimension** of a set is the number of coordinates that locate an image in it.
# Our renderer lets us choose it. (Measured at 32·32·3 = 3,072 values; drawn larger below.)

# %%
truth = [1, 2, 4, 8]
free = [intrinsic_dimension.render_free_factors(k, 2000, seed=3) for k in truth]

# %% tags=["hide-input"]
only_tilt = intrinsic_dimension.FIXED_SCENE | {"x": 0.0, "tilt": torch.linspace(-1, 1, 5)}
shown = {"1 free: tilt": teddies.render(teddies.sample_factors(5, 0, **only_tilt))}
for k, name in ((2, "2: + position"), (4, "4: + size, light"), (8, "8: + height, colours")):
    shown[name] = intrinsic_dimension.render_free_factors(k, 5, seed=3, size=64)
viz.rows(
    shown, scale=2, alt="Teddies: with one free factor they only tilt; with two they also move; with four the size and light change; with eight also height and colours."
)

# %% [markdown]
# PCA counts *straight* directions. **TwoNN** (Facco et al. 2017) looks at each point's two nearest neighbours: in one dimension the second is often much farther than the first, in many dimensions hardly at all.
# If points lie evenly in $d$ dimensions, $\log(r_2/r_1)$ has an exponential distribution with rate $d$, whether the set is curved or not: so one over its mean estimates $d$.
#
# **Predict.** Teddies that differ only in tilt: how many components does PCA need for 95 % of their variance?

# %%
components = guess.number("PCA components for one free factor")
components

# %% tags=["hide-output"]
by_pca = [components_for(dimension.pca_spectrum(x), 0.95) for x in free]
by_two_nn = [dimension.two_nn(x) for x in free]
fashion = {n: dimension.two_nn(train[:n].float()) for n in (1000, 8000)}
components.compare(by_pca[0])
for n, found in fashion.items():
    print(f"Fashion-MNIST, {n} images, 1,024 pixels: TwoNN {found.dimension:.1f} ± {found.error:.1f}")

# %% tags=["hide-input", "hide-output"]
worst = 100 * max(abs(one.dimension / k - 1) for k, one in zip(truth, by_two_nn, strict=True))
book.claim("TwoNN on teddies with 1, 2, 4, 8 free factors: largest error", worst, at_most=15, unit="%")
book.claim("PCA's smallest overcount on them", min(p / k for k, p in zip(truth, by_pca, strict=True)), at_least=2.5, unit="×")
book.claim("TwoNN on 8,000 Fashion-MNIST images of 1,024 pixels", fashion[8000].dimension, at_least=8, at_most=30)
panels = viz.Panels(1, 6.0, 3.6)
panels[0].plot(truth, truth, color="#999999", linewidth=5, label="truth", zorder=1)
curves = {"PCA, 95 %": (truth, by_pca), "TwoNN": (truth, [one.dimension for one in by_two_nn], [one.error for one in by_two_nn])}
viz.draw_lines(panels[0], curves, log="xy", xlabel="free factors", ylabel="estimated dimension")
panels[0].legend(fontsize=9)
panels.picture("Estimated against true dimension: TwoNN lies on the diagonal at 1, 2, 4 and 8; PCA lies far above it.")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Four, and with eight free factors about a hundred. An edge that *moves* makes no straight line in pixels: the set is curved. TwoNN counts right.
#
# For Fashion-MNIST the truth is unknown. TwoNN says about 15, some 1.5 % of the pixels, and the estimate depends on the number of images. TwoNN can be too high (noise) or too low (many dimensions, few points):
# [notebook 8](08_measuring_dimension.ipynb) shows when.
# </details>
#
# ## A step of noise is not a step of meaning
#
# If images fill only a thin, curved sheet, then nearly every direction leads *off* it. We walk from 16 teddies over the same distances in two ways: by tilting them, and by adding noise. For that we need noise of a given length.


# %%
def noise_of_length(noise, length):
    """Return the noise [B, C, H, W], scaled so that image b has the Euclidean length length[b]; length: [B]."""
    raise NotImplementedError  # two lines


# %%
noise_of_length = ch1.noise_of_length.check(noise_of_length)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# now = noise.flatten(1).norm(dim=1)
# return noise * (length / now).view(-1, 1, 1, 1)
# ```
# </details>
#
# **Predict.** After a tilt by half of its range, which is farther from the nearest of 1,500 other teddies?

# %%
farther = guess.choice("farther from every other teddy", ["the tilted one", "the noisy one", "equally far"])
farther

# %% tags=["hide-output"]
steps = [i / 10 for i in range(11)]
bank = off_manifold.teddy_bank(1500, seed=1)  # they differ in position and tilt
start = teddies.sample_factors(16, generator, **intrinsic_dimension.FIXED_SCENE)
x0 = teddies.render(start)
noise = torch.randn(x0.shape, generator=generator)
tilted = torch.stack([teddies.render(start.replace(tilt=start.tilt - s * start.tilt.sign())) for s in steps])
length = (tilted - x0).flatten(2).norm(dim=2)  # [steps, 16]
noisy = torch.stack([x0 + noise_of_length(noise, one) for one in length])
near = {n: off_manifold.distance_to_bank(x.flatten(0, 1), bank).view(length.shape) for n, x in {"tilted": tilted, "noisy": noisy}.items()}
farther.compare("the noisy one" if near["noisy"][-1].mean() > near["tilted"][-1].mean() else "the tilted one")
print(
    f"step {length[-1].mean():.1f}; to the nearest teddy: tilted {near['tilted'][-1].mean():.1f}, noisy {near['noisy'][-1].mean():.1f}; at the start {near['tilted'][0].mean():.1f}"
)


# %% tags=["hide-input", "hide-output"]
def compared(step):
    i = steps.index(step)
    shown = torch.stack([tilted[0, 0], tilted[i, 0], noisy[i, 0]])
    apart = f"to the nearest teddy: tilted {near['tilted'][i, 0]:.1f}, noisy {near['noisy'][i, 0]:.1f}"
    return shown, f"start, tilted, noisy; both steps have length {length[i, 0]:.1f}; {apart}"


base = near["tilted"][0].mean()
book.claim("Tilted: distance to the nearest teddy, end ÷ start", near["tilted"][-1].mean() / base, at_most=1.5, unit="×")
book.claim("Noisy, just as far: end ÷ start", near["noisy"][-1].mean() / base, at_least=5, unit="×")
explore.sliders(compared, alt="Three teddies: the start, tilted, and noisy, with a slider for the length of both steps.", columns=3, scale=3, step=steps)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# The noisy one, by far: a unit of noise is a unit away from *all* teddies. The tilted one walked along the sheet and is always close to some other teddy. (You can still see what the noisy teddy does: to leave the set of images is not
# yet to lose the meaning. That makes denoising possible.)
# </details>
#
# ## Densities become spikes
#
# To generate is to sample from a probability density. The simplest estimate puts a Gaussian *kernel* of width $h$ on each of $N$ training points (Parzen 1962):
#
# $$\hat p(x) = \frac1N \sum_i \mathcal N(x;\ x_i,\ h^2 I).$$
#
# The width $h$ is chosen so that *held-out* points, which have no kernel, get the highest likelihood.


# %%
def kernel_density(x, points, h):
    return torch.distributions.Normal(points, h).log_prob(x[:, None]).exp().mean(1)


# %% tags=["hide-input"]
def draw_points(n):  # two bumps
    which = (torch.rand(n, generator=generator) < 0.4).double()
    return torch.randn(n, generator=generator, dtype=torch.float64) * (0.8 - 0.3 * which) + 3.2 * which


line, points, held_out = torch.linspace(-3, 5.5, 341, dtype=torch.float64), draw_points(500), draw_points(1000)
normal = [torch.distributions.Normal(m, s).log_prob(line).exp() for m, s in ((0.0, 0.8), (3.2, 0.5))]
panels = viz.Panels(3, width=3.2, height=3.0)
for i, n in enumerate((5, 50, 500)):
    h = density.kernel_density_fit(points[:n, None], held_out[:500, None], held_out[500:, None]).bandwidth
    curves = {"true density": (line, 0.6 * normal[0] + 0.4 * normal[1]), "kernel density": (line, kernel_density(line, points[:n], h))}
    viz.draw_lines(panels[i], curves, marker=False, xlabel="x", ylabel="density" if i == 0 else "", title=f"{n} points, h = {h:.2f}")
    panels[i].plot(points[:n], torch.full((n,), -0.015), "|", color="#555555", markersize=6)
    panels[i].set(ylim=(-0.03, 0.45))
panels.picture("Kernel densities in one dimension with 5, 50 and 500 points: with more points the curve approaches the true density with its two bumps.")

# %% [markdown]
# In one dimension 500 points suffice. Now the same in the 1,024 dimensions of Fashion-MNIST, with 4,000 kernels. A *sample* is a training image, chosen at random, plus noise of standard deviation $h$:

# %%
images = to_float(train[:5000]).cpu()
fit = density.kernel_density_fit(*images.flatten(1).split((4000, 500, 500)))
samples = images[:8] + fit.bandwidth * torch.randn(images[:8].shape, generator=generator)
print(f"h = {fit.bandwidth:.3f}; log-likelihood: training images {fit.train_log_likelihood:.0f}, held-out images {fit.log_likelihood:.0f} nats")

# %% tags=["hide-input"]
viz.rows(
    {"training image": images[:8], "sample": samples},
    scale=2,
    alt="Training images of Fashion-MNIST, and under each a sample of the kernel density: the same image plus noise.",
)

# %% [markdown]
# Nothing new: the density has memorised its images. It finds them far more likely than new ones, partly because each has a kernel of its own (a *nat* is the unit of log-likelihood with the natural logarithm). When does that begin? Count
# the kernels that contribute to the density at a *held-out* image: $\exp(-\sum_i s_i \log s_i)$, where $s_i$ is the share of kernel $i$ (1 if one kernel has everything, 4,000 if all contribute equally). Many kernels make a smooth hill,
# one is a spike. We use only the first $d$ principal components of the images.
#
# **Predict.** How many of 4,000 kernels contribute at a held-out image in 16 dimensions?

# %%
kernels = guess.number("contributing kernels in 16 dimensions")
kernels

# %% tags=["hide-output"]
dims = [1, 2, 4, 8, 16, 64, 256]
sets = density.principal_coordinate_sets(images, 256, (4000, 500, 500))
effective = [density.kernel_density_fit(*(part[:, :d] for part in sets)).effective_kernels for d in dims]
gauss = [density.kernel_density_fit(*density.sample_gaussian_sets(d, (4000, 500, 500), seed=d)).effective_kernels for d in dims]
kernels.compare(effective[dims.index(16)])

# %% tags=["hide-input", "hide-output"]
book.claim("In 16 dimensions of Fashion-MNIST, contributing kernels of 4,000", effective[dims.index(16)], at_most=10)
book.claim("In 1,024 dimensions, training above held-out images", fit.train_log_likelihood - fit.log_likelihood, at_least=300, unit="nats")
viz.lines(
    {"Fashion-MNIST": (dims, effective), "a Gaussian": (dims, gauss)},
    log="xy",
    references={"ten kernels": 10.0},
    xlabel="dimensions",
    ylabel="kernels that contribute",
    alt="Kernels that contribute at a new point, of 4,000: hundreds in one dimension, below ten from about 8 or 16 dimensions on, and one in 256.",
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Three or four. Even for a Gaussian, which has a single smooth peak, the kernels separate in a few dozen dimensions. A photograph has three million. No attainable number of images fills such a space: a generator must either
# *know* something about images, or work in a smaller space.
# </details>
#
# ## Meaning against appearance
#
# What is a *small* error? Take an **anchor**. One teddy has the *same meaning* (all five words of its caption: count, fur, activity, scarf, background) in another *appearance* (fabric, grain, light, colours). Another has the same appearance, and
# *one word* is different. A distance is wrong about this **triplet** if it calls the other meaning nearer. Write the first distance:


# %%
def mean_squared_error(a, b):
    """Return the mean squared error of each pair of images, [N]; a, b: [N, C, H, W]."""
    raise NotImplementedError  # one line


# %%
mean_squared_error = ch1.mean_squared_error.check(mean_squared_error)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# return (a - b).square().flatten(1).mean(1)
# ```
# </details>
#
# The second is 1 − SSIM. The *structural similarity* (Wang et al. 2004) compares means, variances and correlations of small windows, and was made to agree better with human eyes.
#
# **Predict.** The teddy with the same meaning is also shifted slightly and tilted. In what share of the triplets is the MSE wrong? (Guessing: 50 %.)

# %%
wrong = guess.number("triplets that the MSE gets wrong", unit="%")
wrong

# %% tags=["hide-output"]
APPEARANCE, EACH = teddies.PERCEPTUAL, 80
distances = {"MSE": mean_squared_error, "1 − SSIM": meaning.ssim_distance}
rates = {}
for moved in (False, True):
    for i, word in enumerate(teddies.SEMANTIC):
        three = meaning.sample_triplets(EACH, word, moved, seed=100 + i, appearance=APPEARANCE)
        for name, distance in distances.items():
            mistaken = distance(three.anchor, three.other) < distance(three.anchor, three.same)
            rates[name, moved, word] = 100 * mistaken.double().mean().item()
total = {(n, m): sum(rates[n, m, w] for w in teddies.SEMANTIC) / 5 for n in distances for m in (False, True)}
wrong.compare(total["MSE", True])
print(f"1 − SSIM: {total['1 − SSIM', True]:.0f} %; MSE {total['MSE', True]:.0f} %")

# %% tags=["hide-input", "hide-output"]
panels = viz.Panels(2, width=4.9)
for axes, moved, title in ((panels[0], False, "only the appearance differs"), (panels[1], True, "… and the teddy moves a little")):
    for i, name in enumerate(distances):
        heights = [*(rates[name, moved, w] for w in teddies.SEMANTIC), total[name, moved]]
        errors = [(p * (100 - p) / n) ** 0.5 for p, n in zip(heights, [EACH] * 5 + [5 * EACH], strict=True)]
        at = [k + 0.4 * i - 0.2 for k in range(6)]
        axes.bar(at, heights, 0.38, yerr=errors, capsize=2, color=viz.COLOURS[i], label=name)
    axes.axhline(50, color="#555555", linestyle="--", linewidth=1.2, label="guessing")
    axes.set_xticks(range(6), [*teddies.SEMANTIC, "all"], fontsize=8)
    axes.set(ylim=(0, 125), yticks=range(0, 101, 25), ylabel="triplets wrong (%)", title=title)
    axes.legend(fontsize=8, ncols=3, loc="upper center")
for name, value in {"MSE": total["MSE", True], "1 − SSIM": total["1 − SSIM", True]}.items():
    book.claim(f"{name}: triplets wrong when the same meaning moves a little", value, at_least=55, unit="%")
panels.picture(
    "Triplets wrong by MSE and 1 − SSIM, for each changed word, with standard errors. Left, nothing moves: many over the scarf, few over the "
    "background. Right, moved: far more than half."
)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# About 70 %, worse than guessing; 1 − SSIM is wrong even more often here. It depends on how many pixels a word changes. A background or a second teddy covers much of the image, and such a change is rarely overlooked while nothing moves; a scarf covers few
# pixels, and another light changes more. (Error bars: one standard error.) Why is moving so expensive? A likely reason is that every edge counts as an error twice: where it was, and where it is now.
# </details>
#
# **Change and run again.** Set `APPEARANCE = ("grain",)` in the measuring cell: only the finest texture of the fur differs. What is left of the errors in the left panel?
#
# Try it by hand. The left teddy stays; the right one changes up to five **words** of its caption (scarf, activity, fur, count, background) and its **appearance**. Which slider moves the distances more?

# %% tags=["hide-input"]
left = teddies.sample_factors(1, 6, count="one", fur="brown", activity="waving", scarf="red", background="meadow", fabric="plain")
end = teddies.sample_factors(
    1, 8, count="two", fur="pink", activity="reading", scarf="blue", background="beach", fabric="dots", light=-left.light.sign(), warmth=-left.warmth.sign()
)
still = teddies.render(left)


def morphed(words, appearance):
    factors = meaning.morph(left, end, words, appearance)
    image = teddies.render(factors)
    values = ", ".join(f"{name} {distance(still, image).item():.2f}" for name, distance in distances.items())
    return torch.cat([still, image]), f"{teddies.captions(factors)[0]}: {values}"


explore.sliders(
    morphed,
    alt="A teddy, and next to it the same one with some words of its caption changed, or its appearance.",
    columns=2,
    scale=3,
    words=[0, 1, 2, 3, 4, 5],
    appearance=[0.0, 0.25, 0.5, 0.75, 1.0],
)

# %% [markdown]
# Do *learned* distances do better? [Notebook 6](06_sharper_vae.ipynb) measures it: it depends on what their network was trained for.
#
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What you take along
#
# - There are **too many** pixels: a step's cost grows like the side to the power 2 (convolution) up to 4 (attention), and most pixels repeat their neighbours.
# - A pixel **means too little**: almost every step leads into noise, a density becomes a set of spikes, and the distance between two images says little about what they show.
# - We want a space with **fewer dimensions** ([chapter 2](02_autoencoder.ipynb)) in which **neighbours mean the same** and we can sample ([chapter 3](03_vae.ipynb)). Then we learn to generate in it ([chapter 4](04_latent_ddpm.ipynb)).
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | cost of attention and convolution | Vaswani et al. 2017, table 1 | `layers.SelfAttention`, `layers.ResBlock` |
# | UNet, transformer over patches | Ho et al. 2020; Peebles & Xie 2023 | `unet.UNet`, `dit.DiT` |
# | a side 8 times smaller | Rombach et al. 2022, section 4.1 | chapters 2 to 5 |
# | TwoNN | Facco et al. 2017 | `dimension.two_nn` |
# | kernel density | Parzen 1962 | `experiments.ch1_pixel_space.density.kernel_density_fit` |
# | SSIM | Wang et al. 2004, eq. 13 | `metrics.ssim` |
