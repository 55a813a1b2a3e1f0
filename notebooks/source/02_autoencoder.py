# %% [markdown]
# # 2 · Autoencoder
#
# > Can a network find by itself the few numbers that describe an image, and could one *draw* in the space of them?
#
# Chapter 1 measured that far fewer numbers describe an image than it has pixels. Here a network finds them: it squeezes each image through a
# **bottleneck** and draws it again from what came through. Then we look at the space behind the bottleneck, and find holes in it.
#
# **After this chapter you can**
#
# - build an autoencoder, write its loss and train it;
# - say what a bottleneck costs, compared with the best *linear* method, and what more training would still change;
# - show where a latent space is empty, without being deceived by the length of a midpoint.
#
# **You need** convolutions, gradients, and chapter 1.

# %%
import torch
from torch import nn

from course_lib import data, device, metrics, recipes
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
# ## Every image a point
#
# The smallest bottleneck that one can draw has **two** dimensions. A network that ships with this workbook was trained to describe each Fashion-MNIST image by two
# numbers and to draw it again from them. Below: images, what came back, and the two numbers of 2,000 test images as a map. Drag across the map: the point
# under the pointer is decoded.

# %% tags=["hide-input"]
train_images, train_labels = data.fashion_mnist("train", machine.device)
test_images, test_labels = data.fashion_mnist("test", machine.device)
tests = to_float(test_images)
map_net = recipes.load_or_train("fashion-map-autoencoder", machine)
codes = latent_map.encode_map(map_net, test_images[:2000])
pick = [int((test_labels == k).nonzero()[3]) for k in range(10)]
viz.rows(
    {"original": tests[pick], "from two numbers": latent_map.decode_map(map_net, latent_map.encode_map(map_net, tests[pick]))},
    titles=names,
    scale=2,
    alt="Ten Fashion-MNIST images, and below them what a network draws from two numbers for each: the right kind of clothing, without detail.",
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
# Two things to see. Similar images lie near each other, although nobody gave the network a class. And there are **holes**: between the streaks, and outside them, the
# decoder has never been trained, and draws a smear or two things at once. (The dashed circle has radius 2. Remember it for chapter 3.)
#
# ## The bottleneck: 1,024 numbers to 64
#
# Two dimensions are for drawing; for good images we allow 64. A convolution with stride 2 keeps every second position, so three of them make $32 \to 16 \to 8 \to 4$: the factor 8
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
        self.encode, self.decode = self.encoder, self.decoder

    def forward(self, x):
        return self.decode(self.encode(x))


torch.manual_seed(0)
net = SmallAutoencoder().to(machine.device)
print(f"{tests[:1].numel():,} numbers → {net.encode(tests[:1])[0].numel()} numbers, as {tuple(net.encode(tests[:1]).shape[1:])}")

# %% [markdown]
# ## The loss
#
# The network should draw $\hat x = \mathrm{decode}(\mathrm{encode}(x))$ close to $x$. We measure by squared error, in the unit in which the next chapter needs it: suppose that each pixel is the
# drawn one plus Gaussian noise of standard deviation $\sigma$. Then, but for a constant,
#
# $$-\log p(x \mid \hat x) = \frac{\lVert x - \hat x \rVert^2}{2\sigma^2},$$
#
# in **nats** (with logarithms to base 2 it would be bits; a nat is 1.44 bits). We take $\sigma = 0.14$, for images in $[-1, 1]$.
#
# <details><summary><b>Where does 0.14 come from?</b></summary>
#
# With $D$ pixels, $-\log p = \lVert x - \hat x\rVert^2 / (2\sigma^2) + D \log\sigma + \text{const}$. Its derivative by $\sigma$ is zero at $\sigma^2 = \lVert x - \hat x\rVert^2/D$: the best $\sigma^2$ is the **mean squared
# error** of a pixel. So $\sigma$ should be the error that the network ends with. Yours is printed below.
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
# Every network of this workbook is trained by the same four lines: compute the loss, clear the old gradients, compute the new ones, step. Write them once. `loss` is called as
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
# **Predict.** The loop below trains for less than a minute. Principal component analysis (PCA, chapter 1) also describes an image by 64 numbers: the amounts of 64 fixed images. It is the
# best *linear* method. By how much will your network beat it? (PSNR measures squared error on a logarithmic scale: 3 dB are half the error.)

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
viz.loss_curve(torch.stack(losses), ylabel="loss (nats per image)", alt="The training loss falls steeply at first and then ever more slowly.")

# %% tags=["hide-output"]
decoded = latents.decode(net, latents.encode(net, tests))
by_pca = pca_baseline.pca_reconstruct(to_float(train_images), tests, 64).clamp(-1, 1)
psnr = {name: metrics.psnr(images, tests).item() for name, images in {"yours": decoded, "PCA": by_pca}.items()}
lead.compare(round(psnr["yours"] - psnr["PCA"], 1))
error = (decoded - tests).square().mean().sqrt().item()
print(f"your network's error of a pixel (root mean square): {error:.3f}; sigma was {SIGMA}")
viz.rows(
    {"original": tests[pick], "yours, 64": decoded[pick], "PCA, 64": by_pca[pick]}, titles=names, scale=2,
    alt="Fashion-MNIST images; below them the network's reconstructions, a little soft; below these PCA's, ghostly with wavy artefacts.",
)  # fmt: skip

# %% tags=["hide-input"]
evaluator = Evaluator(machine)
frechet = {"yours": evaluator.frechet(decoded), "PCA": evaluator.frechet(by_pca)}
book.claim("In a minute of training the eight-line network reaches", psnr["yours"], at_least=21.5, unit="dB PSNR")
book.claim("With 64 dimensions it beats PCA", psnr["yours"] - psnr["PCA"], at_least=0.6, unit="dB PSNR")
small = nn.functional.avg_pool2d(tests, 4)  # 8×8 pixels, 8 numbers
linear = pca_baseline.linear_autoencoder_error(small, 8, machine) / pca_baseline.pca_error(small, 8)
book.claim("Trained without nonlinearities, on images of 8×8 pixels, a network ends at PCA's error", linear, at_least=0.999, at_most=1.01, unit="× PCA's")
book.claim("Yours is also nearer to Fashion-MNIST in the features of a classifier", frechet["PCA"] / frechet["yours"], at_least=1.5, unit="× less Fréchet distance")

# %% [markdown]
# <details><summary><b>What came through</b></summary>
#
# The outline and the shading come through; prints, seams, laces and knit do not: fine texture is the cheapest thing to lose under squared error. PCA smears, because its 64 images are the same for a sandal and for
# a coat. A network *without* nonlinearities can do no better than PCA (Baldi & Hornik 1989; measured in the ledger): what yours gains, it gains by its nonlinearities.
#
# </details>
#
# **Change and run again.** Set `STEPS` to 200: does your network still beat PCA? Then build `SmallAutoencoder(channels=1)`, with 16 numbers: what is lost now?
#
# ## How narrow may the bottleneck be?
#
# One command, `course measure bottlenecks`, trained a larger autoencoder (with residual blocks, and twice as long) in eight shapes; the results are stored. Yours is drawn on top.
#
# **Predict.** 64 numbers can be 4 channels at 4×4 positions, or 1 channel at 8×8 positions. Which reconstructs better?

# %%
shape = guess.choice("which reconstructs better", ["4 channels at 4×4", "1 channel at 8×8", "equal within 0.2 dB"])
shape

# %% tags=["hide-output", "hide-input"]
stored, live = bottlenecks.RESULT.read(), bottlenecks.reconstruction_quality(decoded, tests)
curves = {f"autoencoder, sides {f}× smaller": [(p["numbers"], p["psnr"]) for p in stored["points"] if p["factor"] == f] for f in (8, 4)}
curves["PCA"] = [(p["numbers"], p["psnr"]) for p in stored["pca"]]
deep, shallow, pca = (dict(points) for points in curves.values())
shape.compare("4 channels at 4×4" if deep[64] - shallow[64] > 0.2 else "equal within 0.2 dB")
panels = viz.Panels(1, 6.4, 3.8)
viz.draw_lines(panels[0], {name: tuple(zip(*points, strict=True)) for name, points in curves.items()}, log="x", xlabel="latent dimensions", ylabel="test PSNR (dB)")
panels[0].plot(64, live["psnr"], "*", color="black", markersize=15, label="yours", zorder=5)
panels[0].legend(fontsize=9)
panels.picture("PSNR rises with the latent dimensions. The 8× autoencoder lies far above PCA at 16 dimensions and a little above it at 256; a star marks your network.")

# %% tags=["hide-input"]
book.claim("Your network lies near the stored curve: the difference", live["psnr"] - deep[64], at_least=-2.5, at_most=0.5, unit="dB")
book.claim("64 dimensions: 4 channels at 4×4 positions reconstruct better than 1 channel at 8×8", deep[64] - shallow[64], at_least=0.4, unit="dB")
book.claim("With 256 dimensions PCA has nearly caught up: the autoencoder's lead", deep[256] - pca[256], at_least=0, at_most=1.2, unit="dB")
book.claim("… with 16 dimensions the lead is larger", deep[16] - pca[16], at_least=2.0, unit="dB")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Four channels at 4×4. The two networks differ in more than their codes (the one that ends at 8×8 lacks the deepest level, and with it most of the weights), so this experiment does not separate the two causes.
# PCA comes close when so many numbers are allowed that hardly anything must be left out.
#
# </details>
#
# ## Which facts come through?
#
# Of a photograph nobody knows how much of it is "meaning". Of a teddy we do, because we drew it from known factors, and a **factor reader**, a network trained on teddies, names the factors of a picture. Autoencoders of
# 64×64 teddies (12,288 numbers) were trained with 16, 64 and 256 latent dimensions, each for several numbers of steps (`course measure teddy-bottlenecks`). How much can the reader still read from their
# reconstructions? *Skill* is what is right beyond guessing: 0 for guessing, 1 for always right.
#
# **Predict.** After 220 steps with 64 dimensions the reader reads what the bear does with a skill of about 0.3. Is that the bottleneck or the training: what will the skill be after 3,000 steps?

# %%
skill_of_activity = guess.number("skill for the activity after 3,000 steps")
skill_of_activity

# %% tags=["hide-output", "hide-input"]
stored_teddies = teddy_bottlenecks.RESULT.read()
skills = teddy_bottlenecks.skills(stored_teddies)
panels = viz.Panels(2, 4.2, 3.6)
for panel, dimensions in zip(panels, (16, 64), strict=True):
    budgets = [row for row in skills if row.get("dimensions") == dimensions and "steps" in row]
    viz.draw_lines(
        panel, {factor: ([row["steps"] for row in budgets], [row["skill"][factor] for row in budgets]) for factor in teddy_bottlenecks.SHOWN},
        log="x", xlabel="training steps of 32 images", ylabel="skill of the reader", title=f"{dimensions} latent dimensions",
    )  # fmt: skip
    panel.set_ylim(-0.05, 1.05)
by_steps = {(row.get("dimensions"), row.get("steps")): row["skill"] for row in skills}
skill_of_activity.compare(round(by_steps[64, 3000]["activity"], 2))
panels.picture(
    "Skill against training steps for five factors. With 16 and with 64 dimensions every factor is read better after longer training; backgrounds first, activity and scarf late."
)

# %% tags=["hide-input"]
shipped = next(row["skill"] for row in skills if row["network"] == "teddies-vae")
claims.table(
    ["network", "dimensions", "steps", "PSNR (dB)", *(f"skill: {factor}" for factor in teddy_bottlenecks.SHOWN)],
    [
        [row["network"], row.get("dimensions", 12288), row.get("steps", "–"), row["psnr"] or "–", *(round(row["skill"][f], 2) for f in teddy_bottlenecks.SHOWN)]
        for row in skills
    ],
)
book.claim(
    "Through 64 dimensions, training on from 220 to 3,000 steps adds to the skill for the activity",
    by_steps[64, 3000]["activity"] - by_steps[64, 220]["activity"],
    at_least=0.3,
)
book.claim("Through the 256 dimensions of the shipped VAE the activity is read with a skill of", shipped["activity"], at_least=0.95)

# %% [markdown]
# <details><summary><b>Mostly the training</b></summary>
#
# At 220 steps one could believe that 64 numbers have no room for what the bear does. They have: all five words of a caption together are about 13 bits, and 64 numbers hold far more. The network learns first what covers many
# pixels (background, fur), because that is where the squared error is, and what covers few comes late. So "the bottleneck loses meaning" is true *at a given budget of training*. The last doubling in the table
# still changes the figures of the narrow networks, so even these are not final. (And a reader that fails on a blurred picture does not prove that the fact is gone: a network trained to read the codes themselves might find it.)
#
# </details>
#
# ## Is the space between a place to draw in?
#
# A generator must pick a *new* latent and decode it. The obvious try is halfway between two known ones. But look at lengths first.
#
# Let $a$ and $b$ be two latents, seen from the mean of all latents, at right angles to each other, as random directions in many dimensions nearly are, and of length $r$. Then
# $\lVert \tfrac12(a + b) \rVert^2 = \tfrac14(r^2 + r^2) = \tfrac12 r^2$: **the midpoint is shorter by $\sqrt{1/2} \approx 0.71$.** In many dimensions almost all latents lie near a sphere, and the straight line
# cuts through its inside, where no latent is. What decodes badly there may be a hole, or only the wrong length. To separate the two, go along the sphere. Write the midpoint on the sphere about a centre: the
# direction of $\hat a + \hat b$ (unit vectors, seen from the centre), with the mean of the two radii.


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
# Five ways to pick a latent, from cautious to daring: the straight midpoint of two images of different classes; the midpoint on the sphere about 0; the one on the sphere about the mean of all latents; a
# sample of the Gaussian with the latents' own mean and covariance; a sample of $\mathcal N(0, I)$, knowing nothing about the latents.
#
# **Predict.** A picture is *readable* if a classifier is more than 90 % sure of it. Of reconstructions that is about 70 %. Which percentage of the midpoints on the sphere about the mean?

# %%
readable_guess = guess.number("readable midpoints", unit="%")
readable_guess

# %% tags=["hide-output"]
z = latents.encode(net, test_images).flatten(1)
draw = torch.Generator(machine.device).manual_seed(0)
pairs = torch.randperm(len(z), generator=draw, device=z.device)[:4000].view(2, -1)
a, b = z[pairs[:, test_labels[pairs[0]] != test_labels[pairs[1]]]]
zero, mean = torch.zeros_like(z[0]), z.mean(0)
picked = {"reconstructions": z[:1500], "straight midpoint": (a + b) / 2, "on the sphere about 0": spherical_midpoint(a, b, zero),
          "on the sphere about the mean": spherical_midpoint(a, b, mean), "fitted Gaussian": latents.sample_fitted_gaussian(z, 1500, draw),
          "N(0, I)": torch.randn(1500, 64, generator=draw, device=z.device)}  # fmt: skip
images = {name: latents.decode(net, codes.view(-1, 4, 4, 4)) for name, codes in picked.items()}
readable = {name: (evaluator.confidence(x) > latents.READABLE_CONFIDENCE).double().mean().item() for name, x in images.items()}
distance = {name: evaluator.frechet(x[:1500]) for name, x in images.items()}
shrink = ((a + b) / 2 - mean).norm(dim=1).mean() / ((a - mean).norm(dim=1).mean() + (b - mean).norm(dim=1).mean()) * 2
print(f"the straight midpoint's distance from the mean, of the latents': {shrink:.2f}; for right angles it would be 0.71")
readable_guess.compare(round(100 * readable["on the sphere about the mean"]))

# %% tags=["hide-input"]
error_of = {name: (readable[name] * (1 - readable[name]) / len(images[name])) ** 0.5 for name in images}
claims.table(
    ["what is decoded", "readable (%)", "standard error (%)", "Fréchet distance, 1,500 images"],
    [[name, round(100 * readable[name], 1), round(100 * error_of[name], 1), round(distance[name], 1)] for name in images],
)
viz.rows(
    {name: x[:10] for name, x in images.items()}, scale=2,
    alt="Reconstructions are clear; the three kinds of midpoints are two items of clothing at once, washed out on the straight line; samples of a fitted Gaussian are blotchy; N(0, I) is mush.",
)  # fmt: skip

# %% tags=["hide-input"]
sphere = "on the sphere about the mean"
book.claim("Seen from the mean, the straight midpoint is shorter than the latents", shrink, at_least=0.6, at_most=0.82, unit="of their length")
book.claim("The right length removes a good part of the Fréchet distance", distance[sphere] / distance["straight midpoint"], at_most=0.85, unit="of the straight line's")
book.claim("… but does not make midpoints readable: the share is lower than that of reconstructions", readable["reconstructions"] - readable[sphere], at_least=0.2)
book.claim("N(0, I) decodes to something far from Fashion-MNIST", distance["N(0, I)"] / distance["reconstructions"], at_least=4, unit="×")

# %% [markdown]
# <details><summary><b>Length, and holes</b></summary>
#
# The length was real: on the sphere about the mean the Fréchet distance falls by about half. But the readable share does not rise. What remains is not length: most midpoints are still two items of clothing at once. So there *are* holes, in the sense that counts
# here: between two latents there need not be a third image. Knowing the latents' mean and covariance does not help, for it does not say where they are *not*. And $\mathcal N(0, I)$ is simply somewhere else: nobody ever
# asked the encoder for a scale.
#
# </details>
#
# Walk from an ankle boot to a dress, on the straight line (left) and on the sphere about the mean (right).

# %% tags=["hide-input"]
ends = [z[test_labels == k][:1] for k in (9, 3)]
steps = 21
paths = [latents.interpolate(*ends, steps)[0], latents.spherical_interpolate(*ends, steps, mean[None])[0]]
walked = [latents.decode(net, path.view(-1, 4, 4, 4)) for path in paths]
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
# **Change and run again.** Choose two other classes in `for k in (9, 3)` (0 is a T-shirt, 2 a pullover, 7 a sneaker). Between which two is there no hole?
#
# ## Are neighbours still neighbours?
#
# If near latents meant alike, the ten nearest neighbours of an image in latent space should more often be of its own class than in pixel space.

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
# A small gain, though far outside its standard error: nothing in the loss asks that things of one kind lie together.
#
# ## Your own pictures
#
# Name a folder of photographs, and run the cell again: they are cropped to squares of 64×64 and sent through the shipped autoencoder of *teddies*, 12,288 numbers to 256 and back. It has never seen anything but teddies. What does it keep of
# a face, or of a landscape? Without a folder the cell takes the photographs of chapter 1.

# %%
FOLDER = None  # for example "~/Pictures"
own = data.image_folder(FOLDER, size=64) if FOLDER else torch.stack(list(data.photographs(64).values()))
own = to_float(own[:8]).to(machine.device)
teddies_net = recipes.load_or_train("teddies-vae", machine)
again = latents.decode(teddies_net, latents.encode(teddies_net, own))
viz.rows(
    {"pictures": own, "from 256 numbers": again},
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
# An autoencoder makes images *few*: 64 numbers, and sharper than any linear method. What it loses depends on the loss and on the training as much as on the bottleneck. But it places its latents as it likes: on a scale that
# nobody knows, with holes between them. To draw, we need a space without holes, on a scale that we know beforehand. [Chapter 3](03_vae.ipynb) asks for exactly that.
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
