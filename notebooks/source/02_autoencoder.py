# %% [markdown]
# # 2 · Autoencoder
#
# > Can a network learn to describe an image by a few numbers, and can we generate new images from new numbers?
#
# Chapter 1 measured that an image has far fewer dimensions than pixels. Here a network finds a short description by itself: it squeezes each image through a
# **bottleneck** and reconstructs it from what came through. Then we look at the space of these descriptions, the **latent space**, and find holes in it.
#
# **After this chapter you can**
#
# - build an autoencoder, write its loss and train it;
# - say what a bottleneck costs, compared with the best *linear* method, and what more training would still change;
# - show where a latent space is empty, without being misled by the length of a midpoint.
#
# **You need** convolutions, gradients, and chapter 1.

# %%
import torch
from torch import nn

from course_lib import data, device, metrics, recipes, teddies
from course_lib.experiments import latent_map, latents
from course_lib.experiments.ch2_autoencoder import bottlenecks, pca_baseline, teddy_bottlenecks
from course_lib.experiments.evaluator import Evaluator
from course_lib.homework.checks.ch2 import ch2
from course_lib.images import to_float
from course_lib.notebook import claims, explore, guess, viz

machine = device.find()
print(machine)
book = claims.Claims("2 Autoencoder")
names = list(data.FASHION_CLASSES)

# %% [markdown]
# ## Every image becomes a point
#
# The smallest bottleneck that is easy to draw has **two** dimensions. A network that ships with this workbook was trained to describe each Fashion-MNIST image by two
# values and to reconstruct the image from them. Below: ten images with their reconstructions, and the two values of 2,000 test images as a map. Drag across the map: the point
# under the pointer is decoded.

# %% tags=["hide-input"]
train_images, train_labels = data.fashion_mnist("train", machine.device)
test_images, test_labels = data.fashion_mnist("test", machine.device)
tests = to_float(test_images)
map_net = recipes.load_or_train("fashion-map-autoencoder", machine)
codes = latent_map.encode_map(map_net, test_images[:2000])
pick = [int((test_labels == k).nonzero()[3]) for k in range(10)]
viz.rows(
    {"original": tests[pick], "from two values": latent_map.decode_map(map_net, latent_map.encode_map(map_net, tests[pick]))},
    titles=names,
    scale=2,
    alt="Ten Fashion-MNIST images, and below them what a network draws from two values for each: the right kind of clothing, without detail.",
)

# %% tags=["hide-input"]
ticks = torch.linspace(-6, 6, 21).tolist()
explore.pad(
    lambda xy: latent_map.decode_map(map_net, xy).cpu(),
    x=ticks,
    y=ticks,
    points=codes.cpu(),
    labels=test_labels[:2000].cpu(),
    names=names,
    alt="A map of two latent dimensions: classes lie in streaks of their own, with empty regions between them, where the decoder draws blends or dark smears.",
)

# %% [markdown]
# Two things to see. Similar images lie near each other, although the network never saw a label. And there are **holes**: between the streaks the
# decoder was never trained; there it draws a dark smear, or two things at once. (Far outside it sometimes still draws a clean image, of the class that lies nearest.) (The dashed circle has radius 2. Remember it for chapter 3.)
#
# ## The bottleneck: from 1,024 dimensions to 64
#
# Two dimensions are for the map; for good reconstructions we allow 64. A convolution with stride 2 halves the side, so three of them make $32 \to 16 \to 8 \to 4$: the factor 8
# of Stable Diffusion. The decoder is the mirror image.


# %%
def down(channels, out):  # half the side
    return nn.Conv2d(channels, out, 4, stride=2, padding=1), nn.SiLU()


def up(channels, out):  # twice the side
    return nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1), nn.SiLU()


class SmallAutoencoder(nn.Module):
    def __init__(self, channels=4, w=16):
        super().__init__()
        self.encoder = nn.Sequential(*down(1, w), *down(w, 2 * w), *down(2 * w, 4 * w), nn.Conv2d(4 * w, channels, 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, 4 * w, 3, padding=1), nn.SiLU(), *up(4 * w, 2 * w), *up(2 * w, w), nn.ConvTranspose2d(w, 1, 4, stride=2, padding=1)
        )
        self.encode, self.decode = self.encoder, self.decoder  # the names that the workbook calls

    def forward(self, x):
        return self.decode(self.encode(x))


# %%
torch.manual_seed(0)
net = SmallAutoencoder().to(machine.device)
latent_shape = net.encode(tests[:1]).shape[1:]
d = latent_shape.numel()  # latent dimensions
print(f"{tests[0].numel():,} values → {d} values, as {tuple(latent_shape)}")

# %% [markdown]
# ## The loss
#
# The reconstruction $\hat x = \mathrm{decode}(\mathrm{encode}(x))$ should be close to $x$. We use the squared error, in the unit that the next chapter needs. Suppose that each pixel of $x$ is that of
# $\hat x$ plus Gaussian noise of standard deviation $\sigma$. Then, up to a constant,
#
# $$-\log p(x \mid \hat x) = \frac{\lVert x - \hat x \rVert^2}{2\sigma^2}.$$
#
# The unit is the **nat**, because the logarithm is natural (a nat is 1.44 bits). We take $\sigma = 0.14$, for images in $[-1, 1]$.
#
# <details><summary><b>Where does 0.14 come from?</b></summary>
#
# With $D$ pixels, $-\log p = \lVert x - \hat x\rVert^2 / (2\sigma^2) + D \log\sigma + \text{const}$. Its derivative with respect to $\sigma$ is zero at $\sigma^2 = \lVert x - \hat x\rVert^2/D$: the best $\sigma^2$ is the **mean squared
# error** of a pixel. So $\sigma$ should be the root mean square error that the network reaches in the end. Yours is printed below.
#
# </details>
#
# Write the loss: summed over the pixels of an image, averaged over the batch.

# %%
SIGMA = 0.14


def reconstruction_loss(images, reconstructions, sigma):
    """Return the squared error in nats per image, averaged over the batch; images and reconstructions are [B, 1, 32, 32]."""
    raise NotImplementedError  # one or two lines


# %%
reconstruction_loss = ch2.reconstruction_loss.check(reconstruction_loss)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# squared = (images - reconstructions).square().flatten(1).sum(1)
# return squared.mean() / (2 * sigma**2)
# ```
# </details>
#
# ## The training loop
#
# Every network of this workbook is trained by repeating four lines: compute the loss, clear the old gradients, compute the new gradients, take a step. Write them once. Call the loss as
# `loss(images, reconstructions)`.


# %%
def train_step(net, optimizer, loss, images):
    """Take one step on a batch of images; return the loss before the step, detached from the graph."""
    raise NotImplementedError  # five lines


# %%
train_step = ch2.train_step.check(train_step)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# error = loss(images, net(images))
# optimizer.zero_grad()
# error.backward()
# optimizer.step()
# return error.detach()
# ```
# </details>
#
# **Predict.** The loop below trains for less than a minute. Principal component analysis (PCA, chapter 1) with 64 components also describes an image by 64 values; no *linear* method has a smaller squared error.
# By how much will your network beat it? (PSNR is the squared error on a logarithmic scale: a lead of 3 dB means half the squared error.)

# %%
lead = guess.number("lead over PCA", unit="dB")
lead

# %%
STEPS, BATCH = 1200, 64


def loss(images, reconstructions):
    return reconstruction_loss(images, reconstructions, SIGMA)


generator = torch.Generator().manual_seed(0)
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS, pct_start=0.1)
losses = []
for _ in range(STEPS):
    batch = train_images[torch.randint(len(train_images), (BATCH,), generator=generator)]
    losses.append(train_step(net, optimizer, loss, to_float(batch)))
    schedule.step()
curve = torch.stack(losses).view(-1, 20).mean(1)
viz.lines({"": (torch.arange(len(curve)) * 20 + 10, curve)}, log="y", xlabel="training step", ylabel="loss (nats per image)",
          marker=False, alt="The training loss falls from 18,000 to about 2,000 nats in 100 steps, and to about 600 by the end.")  # fmt: skip

# %% tags=["hide-output"]
decoded = latents.decode(net, latents.encode(net, tests))
by_pca = pca_baseline.pca_reconstruct(to_float(train_images), tests, d).clamp(-1, 1)
quality = {name: bottlenecks.reconstruction_quality(images, tests) for name, images in {"yours": decoded, "PCA": by_pca}.items()}
lead.compare(round(quality["yours"]["psnr"] - quality["PCA"]["psnr"], 1))
error = (decoded - tests).square().mean().sqrt().item()
print(f"your network's error of a pixel (root mean square): {error:.3f}; sigma was {SIGMA}")
viz.rows(
    {"original": tests[pick], f"yours, {d}": decoded[pick], f"PCA, {d}": by_pca[pick]}, titles=names, scale=2,
    alt="Fashion-MNIST images; below them the network's reconstructions, a little soft; below these PCA's, with blurred edges and wavy artefacts.",
)  # fmt: skip

# %% tags=["hide-input"]
evaluator = Evaluator(machine)
frechet = {"yours": evaluator.frechet(decoded), "PCA": evaluator.frechet(by_pca)}
for name, found in quality.items():
    print(f"{name}, {d} dimensions: PSNR {found['psnr']:.1f} dB, SSIM {found['ssim']:.3f} (1: identical), Fréchet distance {frechet[name]:.1f} (0: alike)")
book.claim("In a minute of training the small network reaches", quality["yours"]["psnr"], at_least=21.5, unit="dB PSNR")
book.claim("With 64 dimensions it beats PCA", quality["yours"]["psnr"] - quality["PCA"]["psnr"], at_least=0.6, unit="dB PSNR")
small = nn.functional.avg_pool2d(tests, 4)  # 8×8 pixels, 8 dimensions
linear = pca_baseline.linear_autoencoder_error(small, 8, machine) / pca_baseline.pca_error(small, 8)
book.claim("Trained without nonlinearities, on images of 8×8 pixels, a network ends at PCA's error", linear, at_least=0.999, at_most=1.01, unit="× PCA's")
book.claim("Yours is also nearer to Fashion-MNIST in the features of a classifier", frechet["PCA"] / frechet["yours"], at_least=1.5, unit="× less Fréchet distance")

# %% [markdown]
# <details><summary><b>What came through</b></summary>
#
# The outline and the shading come through; prints, seams, laces and knit do not: fine texture is the cheapest thing to lose under squared error. PCA leaves waves, most likely because it adds up the same 64
# images for a sandal and for a coat. A network *without* nonlinearities can do no better than PCA (Baldi & Hornik 1989; checked in the ledger), so whatever yours gains, it gains through its nonlinearities.
# The **Fréchet distance** compares two sets of images by the means and covariances of their features in a classifier: 0 if these agree, and smaller is better. (The *FID* of the literature is the same with the features of a network trained on
# photographs.) It does not measure sharpness alone.
#
# </details>
#
# **Change and run again.** Set `STEPS` to 200: does your network still beat PCA? Then build `SmallAutoencoder(channels=1)`, with 16 dimensions: what is lost now? (All cells below follow. Some claims of the
# ledger will fail: they are about the network as it stands here.)
#
# ## How narrow may the bottleneck be?
#
# `course measure bottlenecks` trained a larger autoencoder, with residual blocks, in eight shapes for 2,500 steps each; the results are stored. Your network is drawn on top.
#
# **Predict.** 64 dimensions can be 4 channels at 4×4 positions, or 1 channel at 8×8 positions. Which reconstructs better?

# %%
better_shape = guess.choice("which reconstructs better", ["4 channels at 4×4", "1 channel at 8×8", "equal within 0.2 dB"])
better_shape

# %% tags=["hide-output", "hide-input"]
stored, live = bottlenecks.RESULT.read(), quality["yours"]
curves = {f"autoencoder, sides {f}× smaller": [(p["numbers"], p["psnr"]) for p in stored["points"] if p["factor"] == f] for f in (8, 4)}
curves["PCA"] = [(p["numbers"], p["psnr"]) for p in stored["pca"]]
deep, shallow, pca = (dict(points) for points in curves.values())
better_shape.compare("4 channels at 4×4" if deep[64] - shallow[64] > 0.2 else "equal within 0.2 dB")
panels = viz.Panels(1, 6.4, 3.8)
viz.draw_lines(panels[0], {name: tuple(zip(*points, strict=True)) for name, points in curves.items()}, log="x", xlabel="latent dimensions", ylabel="test PSNR (dB)")
panels[0].plot(d, live["psnr"], "*", color="black", markersize=15, label="yours", zorder=5)
panels[0].legend(fontsize=9)
panels.picture("PSNR rises with the latent dimensions. The 8× autoencoder lies far above PCA at 16 dimensions and a little above it at 256; a star marks your network.")

# %% tags=["hide-input"]
book.claim("Your network lies near the stored curve: the difference", live["psnr"] - deep.get(d, float("nan")), at_least=-2.5, at_most=0.5, unit="dB")
book.claim("64 dimensions: 4 channels at 4×4 positions reconstruct better than 1 channel at 8×8", deep[64] - shallow[64], at_least=0.4, unit="dB")
book.claim("From 16 to 256 dimensions the autoencoder's lead over PCA shrinks by", deep[16] - pca[16] - (deep[256] - pca[256]), at_least=2, unit="dB")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Four channels at 4×4. The two networks differ in more than the shape of their codes (the one that ends at 8×8 lacks the deepest level, and with it most of the weights), and this experiment does not separate the
# two causes. PCA catches up where so many dimensions are allowed that little is left to lose. Your star lies 1.8 dB below the curve. Trained for 2,500 steps like the stored network, yours reaches 24.1 dB (measured): so about 1.0 dB of the 1.8 is training, and the rest comes from
# what else differs (residual blocks, three times the weights, averaging of the weights).
#
# </details>
#
# ## Which facts come through?
#
# For a photograph we cannot say how much of it is "meaning". For a teddy we can, because we drew it from known factors, and a **factor reader**, a classifier trained on teddies, reads them off a picture. Below, eight teddies and
# what the shipped autoencoder of teddies makes of them (a VAE, as in chapter 3, trained for 18,000 steps): 12,288 values, then 256, then 12,288 again. This is the ratio of Stable Diffusion, 48×.

# %% tags=["hide-input"]
bears = to_float(teddies.dataset(8, teddy_bottlenecks.UNSEEN_SEED)[0]).to(machine.device)
teddies_net = recipes.load_or_train("teddies-vae", machine)
viz.rows(
    {"original": bears, "from 256 values": latents.decode(teddies_net, latents.encode(teddies_net, bears))},
    scale=2,
    alt="Eight teddies and their reconstructions from 256 values: softer, and patterns of scarves fade, but fur, activity and background are the same.",
)

# %% [markdown]
# Smaller autoencoders were trained with 16, 64 and 256 latent dimensions for 220, 1,000 and 3,000 steps of 32 images (`course measure teddy-bottlenecks`). How much does the reader still read from their
# reconstructions? *Skill* is accuracy beyond guessing: 0 for guessing, 1 for always right.
#
# **Predict.** With 64 dimensions and 220 steps, the reader reads the bear's activity with a skill of about 0.3. What is the skill after 3,000 steps?

# %%
skill_of_activity = guess.number("skill for the activity after 3,000 steps")
skill_of_activity

# %% tags=["hide-output", "hide-input"]
skills = teddy_bottlenecks.skills(teddy_bottlenecks.RESULT.read())
panels = viz.Panels(3, 3.5, 3.6)
for i, dimensions in enumerate((16, 64, 256)):
    budgets = [row for row in skills if row.get("dimensions") == dimensions and "steps" in row]
    viz.draw_lines(
        panels[i], {factor: ([row["steps"] for row in budgets], [row["skill"][factor] for row in budgets]) for factor in teddy_bottlenecks.SHOWN},
        log="x", xlabel="training steps", ylabel="" if i else "skill of the reader", title=f"{dimensions} dimensions", references={"guessing": 0},
    )  # fmt: skip
    panels[i].set(ylim=(-0.08, 1.05), xlim=(190, 3500))
    panels[i].get_legend().remove()
panels[2].legend(fontsize=9, loc=(0.58, 0.14))
by_steps = {(row.get("dimensions"), row.get("steps")): row["skill"] for row in skills}
skill_of_activity.compare(round(by_steps[64, 3000]["activity"], 2))
panels.picture(
    "Skill against training steps for five factors, one panel for each bottleneck. Every factor is read better after longer training; background and fur first, scarf and fabric last."
)

# %% tags=["hide-input", "hide-output"]
longest = [row for row in skills if row.get("steps") in (None, 3000)]
claims.table(
    ["reconstructed by", "dimensions", "steps", "PSNR (dB)", *(f"skill: {factor}" for factor in teddy_bottlenecks.SHOWN)],
    [
        [row["network"], row.get("dimensions", "–"), row.get("steps", "–"), row["psnr"] or "–", *(round(row["skill"][f], 2) for f in teddy_bottlenecks.SHOWN)]
        for row in longest
    ],
)
gained = by_steps[64, 3000]["activity"] - by_steps[64, 220]["activity"]
book.claim("Through 64 dimensions, 3,000 steps of training instead of 220 add to the skill for the activity", gained, at_least=0.3)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# After 220 steps it looks as if 64 dimensions had no room for the bear's activity. They have: count, fur, activity, scarf, background and fabric have 2·6·6·5·5·4 = 7,200 combinations. To name one of them takes $\log_2 7{,}200 \approx 13$ yes-or-no answers (bits), and 64 values can hold far more. With 1,000 steps the skill for the activity is 0.31, 0.79 and 0.95 for 16, 64 and 256 dimensions: both matter, the width and the training. The order in which the factors
# arrive has a likely reason: background and fur cover many pixels, so squared error rewards them first; a scarf covers few. So "the bottleneck loses meaning" is true only *for a given length of training*, and ours is not the
# end: from 1,000 to 3,000 steps the skill for the scarf still rises from 0.05 to 0.28 with 16 dimensions, from 0.44 to 0.64 with 64 and from 0.67 to 0.90 with 256. (And a reader that fails on a blurred picture does not prove
# that the fact is lost: a network trained to read the codes themselves might find it.)
#
# </details>
#
# ## Between two images
#
# A generator must pick a *new* latent and decode it. The obvious attempt is the point halfway between two known latents. But first look at its length.
#
# Let $a$ and $b$ be two latents, measured from the mean of all latents, of length $r$, and at right angles (two random directions in many dimensions nearly are). Then
# $\lVert \tfrac12(a + b) \rVert^2 = \tfrac14(r^2 + r^2) = \tfrac12 r^2$: **the midpoint is shorter by a factor of $\sqrt{1/2} \approx 0.71$.** So the straight line passes closer to the mean than
# the latents themselves lie. If the image decoded there is bad, the reason may be a hole, or only the wrong length. To separate the two, walk on a sphere. The midpoint on the sphere about a centre has the
# direction of $\hat a + \hat b$ (unit vectors, seen from the centre), and as its radius the mean of the two radii.


# %%
def spherical_midpoint(a, b, centre):
    """Return the point halfway between a and b, both [N, D], on the sphere about centre [D]."""
    raise NotImplementedError  # three to five lines


# %%
spherical_midpoint = ch2.spherical_midpoint.check(spherical_midpoint)

# %% [markdown]
# <details><summary><b>Our solution</b></summary>
#
# ```python
# a, b = a - centre, b - centre
# length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
# middle = a / length_a + b / length_b
# return centre + (length_a + length_b) / 2 * middle / middle.norm(dim=1, keepdim=True)
# ```
# </details>
#
# Five ways to pick a latent, from cautious to bold: the straight midpoint of two images of different classes; the midpoint on the sphere about 0; the midpoint on the sphere about the mean of all latents; a
# sample of the Gaussian with the latents' own mean and covariance; a sample of $\mathcal N(0, I)$, which uses nothing about the latents. For comparison, the worst way to mix two images: the average of their **pixels**, a double exposure.
#
# **Predict.** We call an image *readable* if a classifier is more than 90 % sure of its class. About 70 % of your reconstructions are, and about a quarter of the double exposures. What percentage of the midpoints on the sphere about the mean?

# %%
readable_guess = guess.number("readable midpoints", unit="%")
readable_guess

# %% tags=["hide-output"]
z = latents.encode(net, test_images).flatten(1)
draw = torch.Generator(machine.device).manual_seed(0)
one, other = torch.randperm(len(z), generator=draw, device=z.device)[:4000].view(2, -1)
different = test_labels[one] != test_labels[other]
one, other = one[different], other[different]
a, b, zero, mean = z[one], z[other], torch.zeros_like(z[0]), z.mean(0)
picked = {
    "straight midpoint": (a + b) / 2,
    "on the sphere about 0": spherical_midpoint(a, b, zero),
    "on the sphere about the mean": spherical_midpoint(a, b, mean),
    "fitted Gaussian": latents.sample_fitted_gaussian(z, 1500, draw),
    "N(0, I)": torch.randn(1500, d, generator=draw, device=z.device),
}
images = {"reconstructions": decoded[:1500], "average of the pixels": (tests[one] + tests[other]) / 2}
images |= {name: latents.decode(net, codes.view(-1, *latent_shape)) for name, codes in picked.items()}
readable = {name: (evaluator.confidence(x) > latents.READABLE_CONFIDENCE).double().mean().item() for name, x in images.items()}
sphere = "on the sphere about the mean"
readable_guess.compare(round(100 * readable[sphere]))

# %%
radius, middle = (z - mean).norm(dim=1), ((a + b) / 2 - mean).norm(dim=1)
print(f"distance from the mean: latents {radius.mean():.1f} ± {radius.std():.1f}, straight midpoints {middle.mean():.1f} ± {middle.std():.1f}")
print(f"ratio {middle.mean() / radius.mean():.2f}; distance of the mean from 0: {mean.norm():.1f}")

# %% tags=["hide-input", "hide-output"]
distance = {name: evaluator.frechet(x[:1500]) for name, x in images.items()}
error_of = {name: (readable[name] * (1 - readable[name]) / len(images[name])) ** 0.5 for name in images}
claims.table(
    ["image", "readable (%)", "standard error (%)", "Fréchet distance, 1,500 images"],
    [[name, round(100 * readable[name], 1), round(100 * error_of[name], 1), round(distance[name], 1)] for name in images],
)
viz.rows(
    {name: x[:8] for name, x in images.items()}, scale=2,
    alt="Reconstructions are clear; averages of pixels and the three kinds of midpoints show two items of clothing at once, washed out on the straight line; samples of a fitted Gaussian are blotchy; N(0, I) is mush.",
)  # fmt: skip

# %% tags=["hide-input"]
book.claim("The right length removes a good part of the Fréchet distance", distance[sphere] / distance["straight midpoint"], at_most=0.85, unit="of the straight line's")
book.claim(
    "… but midpoints on the sphere are not more readable than averages of pixels", readable[sphere] - readable["average of the pixels"], at_most=0.03, unit="of images"
)
book.claim("N(0, I) decodes to something far from Fashion-MNIST", distance["N(0, I)"] / distance["reconstructions"], at_least=4, unit="×")

# %% [markdown]
# <details><summary><b>Length, and holes</b></summary>
#
# The length mattered: on the sphere about the mean the Fréchet distance falls by about half. (The sphere about 0 is the wrong one: the mean itself is about as far from 0 as the latents are from the mean.) But the readable
# share does not rise. What remains is not a matter of length: a latent midpoint is no more readable than a double exposure of the two photographs (rather less), and it looks like one. So there *are* holes, in the sense that counts for a
# generator: between two latents there need not be a third image. The mean and the covariance of the latents do not say where the holes are. And $\mathcal N(0, I)$ is simply elsewhere: the loss does not ask the encoder for any scale.
#
# Three networks of chapter 3, trained longer from different seeds, agree: Fréchet distance 59 ± 1 on the line and 30.3 ± 0.2 on the sphere, readable 23.1 ± 0.6 % and 22.2 ± 0.3 % (± one standard error over three seeds), averages of pixels 26 %.
#
# </details>
#
# Now walk from an ankle boot to a dress: on the straight line (left), and on the sphere about the mean (right).

# %% tags=["hide-input"]
ends = [z[test_labels == k][:1] for k in (9, 3)]
steps = 21
paths = [latents.interpolate(*ends, steps)[0], latents.spherical_interpolate(*ends, steps, mean[None])[0]]
walked = [latents.decode(net, path.view(-1, *latent_shape)) for path in paths]
sure = [evaluator.confidence(x).tolist() for x in walked]


def walk(position):
    i = round(position * (steps - 1))
    caption = f"the classifier's confidence: straight {sure[0][i]:.0%}, on the sphere {sure[1][i]:.0%}"
    return torch.stack([walked[0][i], walked[1][i]]).cpu(), caption


explore.sliders(
    walk,
    alt="From an ankle boot to a dress on two paths: in the middle both show a boot and a dress at once, paler on the straight line.",
    columns=2,
    scale=6,
    position=[round(0.05 * i, 2) for i in range(steps)],
)

# %% [markdown]
# **Change and run again.** Open the cell above and choose two other classes in `for k in (9, 3)` (0 is a T-shirt, 2 a pullover, 7 a sneaker). Between which two classes is there no hole?
#
# ## Are neighbours still neighbours?
#
# If nearby latents mean the same kind of thing, the ten nearest neighbours of an image in latent space should more often be of its own class than in pixel space.

# %%
some = slice(0, 4000)
of_the_same_class = {}
for name, x in {"pixels": tests[some], "latents": z[some]}.items():
    nearest = metrics.nearest_neighbours(x, k=10)[1]
    of_the_same_class[name] = (test_labels[some][nearest] == test_labels[some][:, None]).double().mean(1)
gain = of_the_same_class["latents"] - of_the_same_class["pixels"]
print(", ".join(f"{name} {share.mean():.3f}" for name, share in of_the_same_class.items()), f"; gain {gain.mean():.3f} ± {gain.std() / len(gain) ** 0.5:.3f}")

# %% tags=["hide-input"]
book.claim("Neighbours in latent space are of the same class a little more often than in pixel space", gain.mean(), at_least=0.0, at_most=0.12, unit="of neighbours")

# %% [markdown]
# A small gain, though it is many times its standard error (over images; three trainings from different seeds gave 0.027, 0.030 and 0.033). Nothing in the loss asks that images of one class lie together.
#
# ## Your own pictures
#
# Name a folder of photographs, and run the cell again: each is cropped to a square, reduced to 64×64, and sent through the shipped autoencoder of *teddies*. It was trained on nothing but teddies. What is left of
# a face, or of a landscape? Without a folder the cell takes the photographs of chapter 1.

# %%
FOLDER = None  # for example "~/Pictures"
own = data.image_folder(FOLDER, size=64) if FOLDER else torch.stack(list(data.photographs(64).values()))
own = to_float(own[:8]).to(machine.device)
again = latents.decode(teddies_net, latents.encode(teddies_net, own))
viz.rows(
    {"original": own, "from 256 values": again},
    scale=2,
    alt="Photographs, and what an autoencoder trained on teddies makes of them: blurred blocks of their main colours.",
)

# %% [markdown]
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What you take along
#
# An autoencoder makes images *small*: 64 dimensions instead of 1,024, with a smaller error than any linear method. What is lost depends on the loss and on the training as much as on the bottleneck. But the network puts its latents
# wherever it likes: on an unknown scale, with holes between them. To generate, we need a space without holes, on a scale that we know beforehand. [Chapter 3](03_vae.ipynb) asks for exactly that.
#
# ## Where it comes from
#
# | here | in the literature |
# |---|---|
# | autoencoder with a bottleneck | Hinton & Salakhutdinov 2006 |
# | linear autoencoder = PCA | Baldi & Hornik 1989 |
# | factor 8, 4 channels | Rombach et al. 2022 |
# | spherical interpolation (slerp) | Shoemake 1985; for latents White 2016 |
# | Fréchet distance between feature Gaussians | Heusel et al. 2017, eq. 6 |
