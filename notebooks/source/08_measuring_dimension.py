# %% [markdown]
# # 8 · Further reading: measuring dimension
#
# > How many numbers does an image need, and when does the instrument that says so mislead?
#
# Chapter 1 asked how many numbers locate an image within its set, and trusted an estimator. Here we calibrate three estimators on sets whose dimension we know, find the two ways
# in which the best of them fails, and ask which failure a set of real images suffers from. Then we do the same for two other instruments of this workbook: the networks that *read* images.
#
# **After this notebook you can**
#
# - say what PCA, the participation ratio and TwoNN measure, and where each of them fails;
# - design the experiment that separates two failures with the same symptom;
# - say what a network that judges images was trained on, and what it therefore cannot tell you.
#
# **You need** chapter 1.

# %%
import torch

from course_lib import data, device, dimension, metrics, recipes, teddies
from course_lib.experiments.ch1_pixel_space import intrinsic_dimension, meaning, off_manifold
from course_lib.images import scale_to_norm, to_float
from course_lib.judges import classifier
from course_lib.notebook import claims, explore, guess, viz

machine = device.find()
print(machine)
book = claims.Claims("8 Measuring dimension")

# %% [markdown]
# ## Three estimators on sets of known dimension
#
# Two neighbours decide. If a point's two nearest neighbours lie at distances $r_1 < r_2$, then on a $d$-dimensional set with constant density $\log(r_2/r_1)$ is exponential with rate $d$, curved or
# not. **TwoNN** (Facco et al. 2017) reads $d$ from that. **PCA** counts the straight directions that hold 95 % of the variance, and the **participation ratio** is a smooth count of them.
# The sets: flat ones with a trace of noise (0.05 % of their size), spheres, and teddies of which 1, 2, 4 or 8 factors vary.

# %% tags=["hide-input"]
truth = {"subspace": [2, 4, 8, 16, 32], "sphere": [2, 4, 8, 16, 32]}
trace = {"subspace": 0.0005, "sphere": 0.0}
points = {kind: [intrinsic_dimension.sample_manifold(kind, d, 2000, seed=d, noise=trace[kind]) for d in ds] for kind, ds in truth.items()}
truth["teddies"] = [1, 2, 4, 8]
points["teddies"] = [intrinsic_dimension.render_free_factors(k, 2000, seed=3) for k in truth["teddies"]]
measured = {kind: [intrinsic_dimension.estimate_dimensions(x) for x in sets] for kind, sets in points.items()}
panels = viz.Panels(3, width=3.2)
for panel, kind in zip(panels, truth, strict=True):
    curves = {"PCA, 95 %": [m.pca for m in measured[kind]], "participation": [m.participation for m in measured[kind]], "TwoNN": [m.two_nn for m in measured[kind]]}
    viz.draw_lines(panel, {n: (truth[kind], v) for n, v in curves.items()}, log="xy", title=kind, xlabel="true dimension", ylabel="estimate")
    panel.plot(truth[kind], truth[kind], color="#555555", linewidth=1, label="truth")
    panel.legend(fontsize=8)
panels.picture("Estimated against true dimension. On teddies only TwoNN follows the grey diagonal; at 32 dimensions it reads too low on subspaces and spheres.")


# %% tags=["hide-input"]
def worst(kind: str, most: int) -> float:
    return 100 * max(abs(m.two_nn / d - 1) for d, m in zip(truth[kind], measured[kind], strict=True) if d <= most)


book.claim("Up to 8 dimensions TwoNN is right on subspaces, spheres and teddies: its largest error", max(worst(kind, 8) for kind in truth), at_most=15, unit="%")
times = min(m.pca / k for k, m in zip(truth["teddies"], measured["teddies"], strict=True))
book.claim("PCA counts too many dimensions on every set of teddies: at least", times, at_least=2.5, unit="times the truth")
low = 100 * (1 - measured["subspace"][-1].two_nn / 32)
book.claim("At 32 flat dimensions TwoNN reads too low by", low, at_least=15, unit="%")

# %% [markdown]
# PCA is right on flat sets. On teddies it is several times too high: an edge that *moves* is no straight line in pixel space. Only TwoNN counts the factors, up to about eight of them.
#
# ## Two failures with one symptom
#
# **Too high: noise.** Noise of standard deviation $\sigma$ on $D$ axes puts two points about $\sigma\sqrt{2D}$ apart. Where the nearest neighbours are no farther than that, TwoNN sees the $D$ dimensions of the noise.
#
# **Too low: few points.** In many dimensions the nearest of 2,000 points is nearly as far away as any point. The density is not constant over such a distance, which the estimator assumes.
#
# **Predict.** A plane (2 dimensions) with 1 % of noise. We go from 125 points to 2,000. Does TwoNN come nearer to 2, or move away from it?

# %%
more_points = guess.choice("with more points TwoNN", ["comes nearer to 2", "moves away from 2"])
more_points

# %% tags=["hide-output"]
counts = [125, 250, 500, 1000, 2000]
noisy_plane = intrinsic_dimension.sample_manifold("subspace", 2, 2000, seed=2, noise=0.01)
of_noisy = [dimension.two_nn(noisy_plane[:n]).dimension for n in counts]
of_high = [dimension.two_nn(points["subspace"][-1][:n]).dimension for n in counts]
more_points.compare("moves away from 2" if of_noisy[-1] > of_noisy[0] else "comes nearer to 2")
viz.lines(
    {"a plane with 1 % noise": (counts, of_noisy), "32 flat dimensions": (counts, of_high)},
    xlabel="points", ylabel="TwoNN", log="xy", references={"2": 2, "32": 32},
    alt="With 1 % noise TwoNN leaves 2 and rises as points are added. At 32 dimensions it starts too low and rises towards 32.",
)  # fmt: skip

# %% tags=["hide-input"]
nearest = metrics.nearest_neighbours(noisy_plane, k=1)[0].median().item()
book.claim("The noisy plane: TwoNN reads, where the truth is 2", of_noisy[-1], at_least=5)
book.claim("… and its nearest neighbours are no farther than the noise puts them", nearest / (0.01 * (2 * 64) ** 0.5), at_most=1.2, unit="of σ√(2D)")
book.claim("Both estimates grow with the number of points: the smaller growth", min(of_noisy[-1] / of_noisy[0], of_high[-1] / of_high[0]), at_least=1.05, unit="times")

# %% [markdown]
# <details><summary><b>It moves away</b></summary>
#
# More points bring neighbours nearer, until the noise is all that separates them. And in 32 dimensions, where TwoNN reads too low, more points help: the estimate grows as well. So **an estimate that grows with the
# number of points may be on its way to the truth, or away from it.** Growth alone cannot say whether an estimate is too low or too high.
#
# </details>
#
# **Change and run again.** Set `noise=0.001` in the cell above: from how many points on does the estimate leave 2?
#
# ## Which failure has Fashion-MNIST?
#
# Its estimate grows, too. What separates the two explanations? Noise has a length. If the images' own pixel noise (of camera, compression and rounding) decided the estimate, then *adding* a little more noise of that kind would change it at once;
# where neighbours are much farther apart than the noise, a little more cannot matter.
#
# **Predict.** Noise of 1 % of the pixel range is added to 4,000 images. TwoNN read about 14 before. What does it read now?

# %%
with_noise = guess.number("TwoNN with 1 % of noise")
with_noise

# %% tags=["hide-output"]
train, _ = data.fashion_mnist("train", machine.device)
images = to_float(train[:8000])
generator = torch.Generator(machine.device).manual_seed(0)
noise = torch.randn(images.shape, generator=generator, device=images.device)
levels = [0.0, 0.003, 0.01, 0.03, 0.1]
by_noise = [dimension.two_nn((images + 2 * level * noise)[:4000].flatten(1)).dimension for level in levels]
by_count = [(n, dimension.two_nn(images[:n].flatten(1)).dimension) for n in (1000, 2000, 4000, 8000)]
apart = metrics.nearest_neighbours(images[:4000], k=1)[0].median().item()
with_noise.compare(round(by_noise[2], 1))
print(f"nearest neighbours are {apart:.1f} apart; noise of 1 % alone puts two images {0.02 * (2 * 1024) ** 0.5:.1f} apart")
print("images and estimate:", ", ".join(f"{n:,}: {d:.1f}" for n, d in by_count))

# %% tags=["hide-input"]
claims.table(["noise added (% of the pixel range)", "TwoNN of 4,000 images"], [[f"{100 * level:g}", round(d, 1)] for level, d in zip(levels, by_noise, strict=True)])
book.claim("Adding noise of 0.3 % hardly changes the estimate", abs(by_noise[1] / by_noise[0] - 1), at_most=0.05, unit="of it")
book.claim("… noise of 10 % does", by_noise[-1] / by_noise[0], at_least=1.5, unit="times")
book.claim("The estimate grows with the number of images", by_count[-1][1] - by_count[0][1], at_least=0.7)

# %% [markdown]
# <details><summary><b>What this decides, and what not</b></summary>
#
# Noise that is small against the distance of neighbours changes little, so the growth with the number of images is hardly the work of pixel noise of that size: here "too few points" is the likelier failure, and the estimate is rather too low than
# too high. It remains an estimate at one scale, on the images we have: "about 15, growing" is what may be said, not "a lower bound".
#
# </details>
#
# ## An instrument that reads: what was it trained on?
#
# The workbook reads teddies with a small network, the **factor reader**. It learned from drawings of which a third were blurred and a third noisy (standard deviation 0.15), so that it judges *what* is drawn. And it **clamps** what it is given to $[-1, 1]$. Under strong noise it therefore sees less
# than was added.
#
# **Predict.** Noise of length 240 is added to a teddy, about eight times the longest tilt of chapter 1. What is left of its length after the clamp?

# %%
after_clamp = guess.number("length of the noise after the clamp")
after_clamp

# %% tags=["hide-output"]
reader = recipes.load_or_train("teddies-reader", machine)
factors = teddies.sample_factors(400, torch.Generator().manual_seed(99))
drawn = teddies.render(factors)
direction = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(1))
added = [0, 30, 60, 120, 240]
noisy = {n: drawn + scale_to_norm(direction, torch.full((len(drawn),), float(n))) for n in added}
seen = {n: (x.clamp(-1, 1) - drawn).flatten(1).norm(dim=1).mean().item() for n, x in noisy.items()}
confidence, right = zip(*((v.mean().item() for v in meaning.reader_confidence_and_accuracy(reader, x, factors)) for x in noisy.values()), strict=True)
after_clamp.compare(round(seen[240]))

# %% tags=["hide-input"]
chance = sum(1 / len(teddies.VALUES[name]) for name in teddies.SEMANTIC) / len(teddies.SEMANTIC)
axis = [seen[n] for n in added]
panels = viz.Panels(1, 6.4, 3.6)
viz.draw_lines(
    panels[0], {"words read right": (axis, [100 * v for v in right]), "the reader's confidence": (axis, [100 * v for v in confidence])},
    references={"guessing": 100 * chance}, xlabel="length of the noise that the reader sees, after the clamp", ylabel="mean of five words (%)",
)  # fmt: skip
panels[0].set_ylim(0, 104)
panels.picture("Words read right stay near 100 % up to a noise of length 50 and then fall; the confidence falls far less; the level of guessing is drawn at a quarter.")

# %%
viz.grid(torch.stack([x[0] for x in noisy.values()]), titles=[f"{n} added, {seen[n]:.0f} seen" for n in added], scale=2,
         alt="One teddy under noise of growing length: at 30 it is grainy and clear, at 240 it can barely be made out.")  # fmt: skip

# %% tags=["hide-input"]
book.claim("Of noise of length 240 the reader sees less than half", seen[240], at_most=120)
book.claim("It is then more confident than it is accurate by", confidence[-1] - right[-1], at_least=0.1)

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# Less than half: where a pixel is already white or black, noise beyond the range is cut off. Noise that is far longer than any tilt leaves the words readable, up to about three times the length that it was trained with; beyond, the reader is wrong more often than it believes. Its confidence gives
# no warning there.
#
# </details>
#
# ## A judge with blind spots
#
# The classifier that judges Fashion-MNIST was trained with every image **shifted at random** by up to two pixels, never with noise, and clamps as well. So it *must* forgive a shift and need not forgive noise. Here are three changes: a shift by two pixels,
# noise of exactly that length, and the average of two images, with what the judge reads.
#
# **Predict.** An average of two items is neither. How sure is the judge of its answer, on average? (Of unchanged images it is 93 % sure.)

# %%
of_averages = guess.number("confidence in averages", unit="%")
of_averages

# %% tags=["hide-output"]
test_images, test_labels = data.fashion_mnist("test", machine.device)
judge = recipes.load_or_train("fashion-classifier", machine)
x0, y = to_float(test_images[:1000]), test_labels[:1000]
moved = off_manifold.shift_right(x0, 2)
unit = torch.randn(x0.shape, generator=generator, device=x0.device)
changed = {"unchanged": x0, "moved": moved, "noise": x0 + scale_to_norm(unit, (moved - x0).flatten(1).norm(dim=1)), "average": (x0 + x0.roll(1, 0)) / 2}
sure = {name: classifier.classify(judge, x)[1].softmax(1).max(1).values.cpu() for name, x in changed.items()}
of_averages.compare(round(100 * sure["average"].mean().item()))
above = {name: (100 * (v > 0.9).float().mean()).round().item() for name, v in sure.items()}
print("percent of the images that the judge is more than 90 % sure of:", ", ".join(f"{name} {v:.0f}" for name, v in above.items()))

# %% tags=["hide-input"]
shown = torch.cat([changed[name][:6] for name in ("moved", "noise", "average")])
guesses = classifier.classify(judge, shown)[1].softmax(1).cpu()
said = [f"{data.FASHION_CLASSES[p.argmax()]}\n{100 * p.max():.0f}\u00a0%" for p in guesses]
viz.grid(shown, 6, titles=said, scale=3, row_labels=["moved", "noise", "average"],
         alt="Eighteen Fashion-MNIST images, moved, noisy and averaged, each under the class that the judge reads and its confidence.")  # fmt: skip

# %% tags=["hide-input"]
book.claim("The judge is less confident in averages than in moved images: by", (sure["moved"].mean() - sure["average"].mean()).item(), at_least=0.03)
book.claim("… yet of many averages it is more than 90 % sure", above["average"], at_least=15, unit="%")

# %% [markdown]
# <details><summary><b>On average less sure, and often quite sure</b></summary>
#
# On average the judge trusts an average less than a real image. But of many single averages it is more than 90 % sure: a boot laid over a pullover is "pullover". A confidence above 90 % is therefore no proof that an image shows *one* thing; in chapters 2 and 3, where "readable" means just that, some of the readable midpoints are double
# exposures.
#
# </details>
#
# **Change and run again.** Move by one pixel, or by six (`off_manifold.shift_right(x0, 6)`): what does the judge make of shifts that it was not trained with?
#
# Move the mixture of two images by hand, and watch the judge change its mind.

# %% tags=["hide-input"]
pair = x0[[0, 1]]
weights = [round(0.1 * i, 1) for i in range(11)]
mixed = torch.cat([(1 - w) * pair[:1] + w * pair[1:] for w in weights])
probabilities = classifier.classify(judge, mixed)[1].softmax(1).cpu()


def mixture(weight: float) -> tuple[torch.Tensor, str]:
    p = probabilities[weights.index(weight)]
    return mixed[weights.index(weight)][None].cpu(), f"{data.FASHION_CLASSES[p.argmax()]}, {100 * p.max():.0f} %"


explore.sliders(mixture, alt="A mixture of two Fashion-MNIST images, and the class that the judge reads.", scale=7, weight=weights)

# %% [markdown]
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What you take along
#
# An estimate of dimension belongs to a scale and to a number of points; its growth has two causes, and an experiment separates them. A network that reads images answers the question it was trained on, forgives what its training varied, and does not know what it never saw. Before you believe an
# instrument, calibrate it where the truth is known.
#
# ## Where it comes from
#
# | formula or method | name in `course_lib` | source |
# |---|---|---|
# | $\log(r_2/r_1)\sim\mathrm{Exp}(d)$ | `dimension.two_nn` | Facco et al. 2017 |
# | $(\sum\lambda)^2/\sum\lambda^2$ | `dimension.participation_ratio` | Gao et al. 2017 |
# | components for 95 % of the variance | `dimension.pca_dimension` | Pearson 1901 |
# | calibrated confidence | `classifier.calibrate` | Guo et al. 2017, eq. 9 |
