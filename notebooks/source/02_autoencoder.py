# %% [markdown]
# # 2 · Autoencoder
#
# > Can a network find by itself the few things that an image is made of, and could one *draw* in the space of them?
#
# Chapter 1 found that an image is far fewer things than it has pixels. Here a network looks for them, and we ask what they are worth.
#
# **After this chapter you can**
#
# - build an encoder that shrinks a picture eight times along each side, and a decoder that brings it back;
# - say what a bottleneck costs, beside the best that any *linear* method can do;
# - show, with numbers, where such a space is good and where it is empty: between codes, and around them.
#
# **You need** convolutions, a loss and its gradient, and chapter 1's picture of a data set as a thin sheet in a vast space.
# How many minutes the chapter takes on your kind of machine is in the table of the [README](../README.md).

# %%
import torch

from course_lib import autoencoder, data, device, metrics, recipes, teddies
from course_lib.images import to_float
from course_lib.notebook import claims, viz, widgets
from course_lib.judges import factor_reader
from course_lib.experiments.ch2_autoencoder import bottlenecks, pca_baseline, teddy_factors
from course_lib.experiments import latents
from course_lib.experiments.evaluator import Evaluator

machine = device.find()
print(machine)
book = claims.Claims("2 Autoencoder")

# %%
train_images, train_labels = data.fashion_mnist("train", machine.device)
test_images, test_labels = data.fashion_mnist("test", machine.device)
tests = to_float(test_images)
noise = torch.rand(10, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
first = torch.stack([tests[test_labels == k][0] for k in range(10)])
viz.rows(
    {"photographs": first, "random pixels": noise},
    titles=list(data.FASHION_CLASSES),
    alt="Ten Fashion-MNIST images, one of each class, above ten squares of random grey pixels that look like nothing.",
)

# %% [markdown]
# Both rows have 1,024 numbers a picture. Yet the upper row could be *told* in a few words — a sneaker, low, dark, with a
# white sole — and the lower one could not. An **autoencoder** is a network that is forced to find such a telling: it must
# squeeze the picture through a bottleneck and draw it again from what came through.
#
# ## Eight times smaller, by convolution
#
# A convolution with stride 2 looks at small neighbourhoods and keeps every second position: it halves the side. Three of
# them make 32 → 16 → 8 → 4, which is the factor $f = 8$ of Stable Diffusion's autoencoder. The decoder is the mirror image.
# This is the whole of it:

# %%
claims.source(autoencoder.make_encoder, autoencoder.make_decoder)

# %% [markdown]
# Here is what one picture becomes on its way down and up again.

# %%
net = autoencoder.Autoencoder()
x, rows = torch.zeros(1, 1, 32, 32), [["image", "1 × 32 × 32", 1024]]
for layer in [*net.encoder, *net.decoder]:
    x = layer(x)
    if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
        kind = type(layer).__name__.replace("2d", "")
        rows.append([f"{kind} {layer.kernel_size[0]}×{layer.kernel_size[0]}", " × ".join(map(str, x.shape[1:])), x[0].numel()])
claims.table(["stage", "channels × height × width", "values"], rows)
book.claim("The latent has 16 times fewer dimensions than the image", 1024 / net.encode(tests[:1].cpu())[0].numel(), equals=16)
# %% [markdown]
# **Predict.** The narrowest place has 64 numbers, a sixteenth of the picture. After a minute of training, will you be able to tell
# the original from its copy? What will be lost first?

# %%
result = recipes.fashion_autoencoder(machine=machine)
net = result.ema
viz.loss_curve(result.losses, ylabel="squared error (nats per image)", alt="The training loss falls steeply at first and then ever more slowly.")

# %% [markdown]
# Beside it we put the best that any *linear* method can do: **principal component analysis** (PCA). Subtract the mean picture; find the 64 directions in which
# the training pictures vary most; keep of each picture its 64 lengths along them. The copy is the mean picture plus 64 fixed
# pictures, in these amounts.

# %%
claims.source(pca_baseline.pca_reconstruct)

# %%
decoded = latents.decode(net, latents.encode(net, tests))
by_pca = pca_baseline.pca_reconstruct(to_float(train_images), tests, 64).clamp(-1, 1)
pick = [int((test_labels == k).nonzero()[3]) for k in range(10)]
viz.rows(
    {"original": tests[pick], "autoencoder, 64": decoded[pick], "PCA, 64": by_pca[pick]},
    alt="Fashion-MNIST images; below them the autoencoder's reconstructions, a little soft; below these PCA's, ghostly with wavy artefacts.",
)

# %% [markdown]
# <details><summary><b>What was lost first?</b></summary>
#
# The shape comes through, and the shading; prints, seams, laces and knit do not. Fine texture is what squared error can do
# without most cheaply. The middle row is the autoencoder, the bottom row PCA. It smears, because its sixty-four pictures are the
# same for a sandal and for a coat.
# </details>
#
# In numbers: PSNR compares squared errors on a logarithmic scale (3 dB is half the error), SSIM compares local structure (1 is
# equal). The Fréchet distance asks a classifier that neither of them was trained with whether the *set* of pictures still looks like
# garments (0 is equal; lower is better).

# %%
evaluator = Evaluator(machine)
rows = []
for name, images in {"autoencoder": decoded, "PCA": by_pca}.items():
    quality = [metrics.psnr(images, tests).item(), metrics.ssim(images, tests).item(), evaluator.frechet(images)]
    rows.append([name, 64, *quality])
claims.table(["method", "dimensions", "PSNR (dB)", "SSIM", "Fréchet distance"], rows)
book.claim("With 64 dimensions the autoencoder beats PCA", rows[0][2] - rows[1][2], at_least=1.0, unit="dB PSNR")
book.claim("… and is nearer to Fashion-MNIST in the classifier's features", rows[1][4] / rows[0][4], at_least=1.5, unit="× less distance")
# %% [markdown]
# ## Is it the network, or the bend in it?
#
# Take the bends out — no activation, no convolution, one matrix down and one up — and train that by gradient descent. Theory says that
# it can do no better than PCA, and that it gets there (Baldi & Hornik 1989). On garments shrunk to 8×8 pixels, 8 numbers:

# %%
small = torch.nn.functional.avg_pool2d(tests, 4)
trained = pca_baseline.linear_autoencoder_error(small, 8, machine)
best = pca_baseline.pca_error(small, 8)
claims.table(["", "mean squared error"], [["linear autoencoder, trained", trained], ["PCA, closed form", best]])
book.claim("A linear autoencoder reaches PCA's error", trained / best, at_least=0.999, at_most=1.01, unit="× PCA's")
# %% [markdown]
# So what the autoencoder gains over PCA, it gains by bending: its sheet of pictures is curved, PCA's is flat.
#
# ## How narrow may the bottleneck be?
#
# You trained one shape of code: 4 channels at 4×4 positions, 64 numbers. One command, `course measure bottlenecks`, trained the same recipe to the end in eight
# shapes: 1, 2, 4, 8 and 16 channels at 4×4 positions, and, with one halving less, 1, 2 and 4 channels at 8×8 positions. That takes longer than a chapter may, so its
# results are stored; your own network is one point, trained again.
#
# **Predict.** 64 numbers can be 4 channels at 4×4 positions, or 1 channel at 8×8 positions. Which reconstructs better? And where does PCA catch up?

# %%
stored, live = bottlenecks.RESULT.read(), bottlenecks.bottleneck_point(net, tests)
print(f"{bottlenecks.RESULT.command}, seed {stored['seed']}, {stored['steps']:,} steps each, on {stored['machine']}")
sweep = {f"autoencoder, {f}× smaller sides": [p for p in stored["points"] if p["factor"] == f] for f in (8, 4)}
sweep |= {"PCA": stored["pca"], "the one you trained": [live]}
viz.lines(
    {name: ([p["numbers"] for p in found], [p["psnr"] for p in found]) for name, found in sweep.items()},
    xlabel="latent dimensions",
    ylabel="test PSNR (dB)",
    log="x",
    alt="PSNR rises with the latent dimensions: the 8× autoencoder lies far above PCA at 16 dimensions and a little above it at 256; 4× lies just below 8×; the live point lies on the curve.",
)

# %%
rows = [
    [name, p["numbers"], 1024 / p["numbers"], f"{p['parameters']:,}" if "parameters" in p else "–", p["psnr"], p["ssim"]] for name, found in sweep.items() for p in found
]
claims.table(["bottleneck", "dimensions", "compression (times)", "weights", "PSNR (dB)", "SSIM"], rows)

# %%
deep, shallow, pca = ({p["numbers"]: p["psnr"] for p in found} for found in list(sweep.values())[:3])
gain = {k: deep[k] - pca[k] for k in deep}
small_net, large_net = (next(p["parameters"] for p in stored["points"] if p["factor"] == f) for f in (4, 8))
most = 0.5 if machine.device.type == "cpu" else None  # a GPU's recipe is larger: it may lie above the curve
book.claim("The network you trained lies on the stored curve: its distance", live["psnr"] - deep[64], at_least=-0.5, at_most=most, unit="dB")
book.claim("From 16 to 128 dimensions the autoencoder leads PCA everywhere", min(gain[k] for k in (16, 32, 64, 128)), at_least=1.5, unit="dB")
book.claim("From 16 to 256 dimensions it loses of that lead", gain[16] - gain[256], at_least=1.5, unit="dB")
book.claim("With 256 dimensions, a quarter of the pixels, PCA has all but caught up: the lead", gain[256], at_least=0, at_most=1.2, unit="dB")
book.claim("64 dimensions: 4 channels at 4×4 positions reconstruct better than 1 channel at 8×8", deep[64] - shallow[64], at_least=0.4, unit="dB")
book.claim("256 dimensions: 16 channels at 4×4 and 4 channels at 8×8 reconstruct alike: the difference", abs(deep[256] - shallow[256]), at_most=0.5, unit="dB")
book.claim("The 4× network does it with a fraction of the weights", small_net / large_net, at_most=0.25)
# %% [markdown]
# <details><summary><b>Your prediction</b></summary>
#
# At 64 numbers, many channels at few positions reconstruct better. One number for each of 64 positions can only say how bright the place is, like a small picture
# of the picture; four numbers for a larger position can say what kind of edge runs through it. With more channels the advantage melts. Mind that the
# two networks are not alike but for the code: the 4× one lacks the deepest level, and with it most of the weights. PCA comes close when there are so many numbers that hardly
# anything must be left out; where numbers are few, bending pays.
# </details>
#
# ## Which facts fit through? Ask pictures whose facts are known
#
# Of a photograph nobody can say how much of it is "meaning". Of our teddy bears we can, because we draw them from known factors. Train
# a network of the same kind, with one halving more, on 64×64 teddies, 12,288 numbers to 256, the 48× of Stable Diffusion; change **one** factor of a picture,
# and ask how much of the change arrives at the other end.
#
# **Predict.** Rank these: background, fur colour, what the bear does, the pattern of the scarf, the grain of the fur.

# %%
bears, _ = teddies.dataset(6000, 0, device=machine.device)
pictures, factors = teddies.dataset(500, 1, device=machine.device)
nets = {16 * c: teddy_factors.train_teddy_autoencoder(bears, c, machine) for c in (1, 4, 16)}
arrived = {}
for name in ("background", "fur", "light", "activity", "fabric", "grain"):
    sent, received = teddy_factors.factor_change_rms(nets[256], factors, name)
    arrived[name] = received / sent
viz.bars(
    arrived,
    ylabel="fraction of the change that arrives",
    alt="Bars for six factors: background, light and fur arrive for the most part, activity and fabric by half, fur grain hardly at all.",
)

# %%
book.claim("A change of background arrives", arrived["background"], at_least=0.8, unit="of it")
book.claim("A change of fur grain hardly arrives", arrived["grain"], at_most=0.5, unit="of it")
book.claim("What a bear does arrives less than where it is", arrived["background"] - arrived["activity"], at_least=0.05)
# %% [markdown]
# A change that arrives is not yet a fact that can be *read*. The workbook ships a **factor reader**, a small network that was trained to name the
# factors of a teddy and has never seen one of our copies. Squeeze the teddies through ever narrower bottlenecks and ask it.
#
# **Predict.** Which fact dies first?

# %%
shown = to_float(pictures)
reconstructions = {"drawn": shown} | {f"{n} dimensions": latents.decode(net, latents.encode(net, shown)) for n, net in reversed(nets.items())}
viz.rows(
    {k: v[:8] for k, v in reconstructions.items()},
    alt="Eight teddies and their reconstructions from 256, 64 and 16 dimensions: from row to row more of the bears is lost, the background last.",
)

# %%
bear_reader = recipes.load_or_train("teddies-reader", machine)
accuracy = {k: factor_reader.factor_accuracy(bear_reader, v, factors) for k, v in reconstructions.items()}
guess = {name: 1 / n for name, n in zip(factor_reader.NAMED_FACTORS, factor_reader.NUM_VALUES, strict=True)}
table = [[name, guess[name], *(accuracy[k][name] for k in accuracy)] for name in factor_reader.NAMED_FACTORS]
claims.table(["factor", "by guessing", *(f"read from {k}" for k in accuracy)], table, title="Fraction of correct answers")

# %% [markdown]
# Right answers alone deceive: of two counts, half are guessed. **Skill** is what is right beyond guessing,
# $(\text{right} - \text{guessing})/(1 - \text{guessing})$: 0 for one who guesses, 1 for one who knows.

# %%
least = accuracy["16 dimensions"]
skill = {k: {name: (v[name] - guess[name]) / (1 - guess[name]) for name in guess} for k, v in accuracy.items()}
facts = sorted(guess, key=lambda name: -skill["64 dimensions"][name])
claims.table(
    ["factor", *(f"read from {k}" for k in skill)], [[name, *(skill[k][name] for k in skill)] for name in facts], title="Skill, sorted by that from 64 dimensions"
)
book.claim("The reader knows what was drawn", min(accuracy["drawn"][name] for name in teddies.SEMANTIC), at_least=0.95, unit="right")
book.claim("Through 16 dimensions, 768 times fewer, the background still arrives", least["background"], at_least=0.8, unit="right")
book.claim("What the bear does does not fit through 64 dimensions", accuracy["drawn"]["activity"] - accuracy["64 dimensions"]["activity"], at_least=0.2, unit="lost")
book.claim(
    "Through 64 dimensions the cloth's pattern is lost while the background is intact: difference",
    skill["64 dimensions"]["background"] - skill["64 dimensions"]["fabric"],
    at_least=0.3,
    unit="skill",
)

# %% [markdown]
# <details><summary><b>Your ranking</b></summary>
#
# The bottleneck keeps what moves many pixels together (background, fur colour, light) and drops what moves few, or each its own
# way (a pattern, the grain). It was told nothing about meaning: it ranks by *squared error*. That some meaning survives is luck of a
# kind: what we find meaningful is often large. What a bear does lives in few pixels, and suffers.
# </details>
#
# ## The space between: is a code space a place to draw in?
#
# A generator must be able to pick a *new* code and decode it. Three ways of picking, from timid to bold:
#
# 1. the middle of the straight line between the codes of two garments of different classes;
# 2. a draw from the Gaussian with the codes' own mean and covariance;
# 3. a draw from the standard normal $\mathcal N(0, I)$, knowing nothing about the codes.
#
# **Predict.** Which of the three will give readable garments?

# %%
z = latents.encode(net, test_images)
g = torch.Generator(machine.device).manual_seed(0)
pairs = torch.randperm(len(z), generator=g, device=z.device)[:4000].view(2, -1)
pairs = pairs[:, test_labels[pairs[0]] != test_labels[pairs[1]]]
middle = latents.decode(net, (z[pairs[0]] + z[pairs[1]]) / 2)
fitted = latents.decode(net, latents.sample_fitted_gaussian(z, 1500, g))
unit = latents.decode(net, torch.randn(1500, *z.shape[1:], generator=g, device=z.device))
viz.rows(
    {"reconstructions": decoded[:10], "middle of a line": middle[:10], "fitted Gaussian": fitted[:10], "N(0, I)": unit[:10]},
    alt="Reconstructions are clear; midpoints are two items of clothing at once; samples of a fitted Gaussian are blotchy; unit noise is mush.",
)

# %% [markdown]
# To count, ask the judge: a picture is *readable* when it is more than 90 % sure of what it sees (its confidence is calibrated on
# pictures that it was not trained with). Real photographs set the standard. The Fréchet distance is taken from 1,500 pictures of each kind: it comes out larger
# from fewer pictures, so compare it within this table only, and not with the one above, which is of 10,000.

# %%
image_sets = {"photographs": tests, "reconstructions": decoded, "middle of a line": middle, "fitted Gaussian": fitted, "N(0, I)": unit}
readable = {k: (evaluator.confidence(v) > latents.READABLE_CONFIDENCE).double().mean().item() for k, v in image_sets.items()}
distance = {k: evaluator.frechet(v[:1500]) for k, v in image_sets.items()}
claims.table(["images", "readable (fraction)", "Fréchet distance"], [[k, readable[k], distance[k]] for k in image_sets])
book.claim("Midpoints of lines are less readable than reconstructions", readable["reconstructions"] - readable["middle of a line"], at_least=0.1)
book.claim("Samples of a fitted Gaussian are less readable than reconstructions", readable["reconstructions"] - readable["fitted Gaussian"], at_least=0.1)
book.claim("N(0, I) decodes to something far from Fashion-MNIST", distance["N(0, I)"] / distance["reconstructions"], at_least=4, unit="×")
book.claim(
    "The same reconstructions are further away when fewer are used: 1,500 instead of 10,000",
    distance["reconstructions"] / evaluator.frechet(decoded),
    at_least=1.1,
    unit="×",
)
# %% [markdown]
# <details><summary><b>Your prediction</b></summary>
#
# None of them is safe. The middle of a line is often two garments drawn over each other: the straight line leaves the sheet on which
# the codes lie. The fitted Gaussian knows how far codes spread, and not where they are *not*. And $\mathcal N(0, I)$ is simply somewhere
# else: nobody ever told the encoder on what scale to put its codes.
# </details>
#
# ## Walk into the hole
#
# Slide from one garment to another along the straight line. The caption gives the judge's confidence and how far the picture is from the nearest
# of 2,000 *other* photographs: the two that the line begins and ends with are not among them.

# %%
start, end = z[test_labels == 9][:1], z[test_labels == 3][:1]
others = tests[-2000:]  # the line's ends are the first of their classes
path = latents.interpolate(start, end, 21)[0]


def walk(position: float = 0.0) -> tuple[torch.Tensor, str]:
    image = latents.decode(net, path[round(position * 20)][None])
    sure = evaluator.confidence(image).item()
    away = latents.distance_to_nearest(image, others).item()
    return image.cpu(), f"the classifier's confidence is {sure:.0%}; distance to the nearest other photograph {away:.1f}"


positions = [round(0.05 * i, 2) for i in range(21)]
slider = widgets.image_slider(walk, alt="A Fashion-MNIST image on the straight line from an ankle boot to a dress.", scale=8, position=positions)
slider

# %%
widgets.strip(walk, "position", [0.0, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0], alt="Seven stops on the line: boot, ever less of a boot, a smear, a dress.")

# %%
for stop in (0.0, 0.5, 1.0):
    print(f"{stop:.1f}: {slider.set(position=stop)}")
line = latents.decode(net, latents.interpolate(z[pairs[0][:300]], z[pairs[1][:300]], 5).flatten(0, 1))
sure = evaluator.confidence(line).view(300, 5).mean(0)
book.claim("On a line, the classifier is least confident in the middle", (min(sure[0], sure[4]) - sure[2]).item(), at_least=0.05, unit="confidence")
# %% [markdown]
# ## Are neighbours still neighbours?
#
# If near codes mean near pictures, then a picture's ten nearest neighbours should be the same in both spaces. We ask how many of the ten
# agree, for pixels against codes; and how many neighbours share the *class*, which is as near to meaning as this data set gets.

# %%
some = slice(0, 4000)
agree = metrics.neighbour_agreement(tests[some], z[some], k=10)
same = {}
for name, x in {"pixels": tests[some], "latents": z[some]}.items():
    found = metrics.nearest_neighbours(x, k=10)[1]
    same[name] = (test_labels[some][found] == test_labels[some][:, None]).double().mean().item()
claims.table(
    ["question", "fraction"], [["neighbours in pixels that are neighbours in latents", agree], *[[f"neighbours in {k} of the same class", v] for k, v in same.items()]]
)
book.claim("Latents preserve much of the pixels' neighbourhoods", 10 * agree, at_least=3, unit="of ten")
book.claim(
    "Neighbours in latent space have the same class hardly more often than neighbours in pixel space",
    same["latents"] - same["pixels"],
    at_least=-0.02,
    at_most=0.1,
    unit="of neighbours",
)
# %% [markdown]
# <details><summary><b>What a plain autoencoder does to neighbourhoods</b></summary>
#
# It keeps most of the pixels' own geometry. Nothing in its loss asks that things of one kind lie together, and so they hardly do more than before.
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
# An autoencoder makes images *few*: 64 numbers, and sharper than any linear telling. But it places its codes as it likes, and nothing was ever asked
# of the space between them. To draw, we need a space without holes, on a scale that we know beforehand. [Chapter 3](03_vae.ipynb) asks for
# exactly that.
#
# ## Where it comes from
#
# | here | in the literature |
# |---|---|
# | autoencoder with a bottleneck | Hinton & Salakhutdinov 2006 |
# | linear autoencoder = PCA | Baldi & Hornik 1989 |
# | factor $f = 8$, 4 channels | Rombach et al. 2022, latent diffusion |
# | SSIM | Wang et al. 2004, eq. 13 |
# | Fréchet distance between feature Gaussians | Heusel et al. 2017, eq. 6 |
