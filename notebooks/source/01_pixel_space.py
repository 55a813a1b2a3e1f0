# %% [markdown]
# # 1 · Pixel space
#
# > Why not simply let a network draw the pixels?
#
# An image is a list of numbers, and a generator could learn to write that list. This chapter asks what kind of list it is,
# and measures two answers. It is far too **long**: every number has to be paid for at every step of the generator. And a
# number in it **means** too little: almost every list is noise, almost every step from a picture leads into noise, and the
# distance between two lists knows little of what they show.
#
# **Afterwards you can** say what a denoising step costs at any size and why; measure how redundant an image is; estimate how
# many numbers it needs, and know when the estimate lies; and show why noise, averages and densities fail in pixels.
#
# **You need** Python, a little PyTorch, and the idea of a vector's length. For the minutes, see the table in the
# [README](../README.md).

# %%
from course_lib.storage import shipped, weights
from course_lib.judges import classifier, factor_reader
from course_lib import data, device, dimension, metrics, recipes, teddies
from course_lib.images import scale_to_norm, patches, to_float
from course_lib.notebook import claims, viz, widgets
from course_lib.experiments.flops import power_law_exponent
from course_lib.experiments.ch1_pixel_space import density, intrinsic_dimension, meaning, off_manifold, redundancy, step_cost
import torch

machine = device.find()
print(machine)
book = claims.Claims("1 Pixel space")

# %% [markdown]
# ## The question in one picture
#
# Below are three points of the same space. The first is a photograph. The second has *exactly the same numbers* in another
# order. The third is a point chosen blindly, each number by a fair throw of 256 sides. Drawing blindly is what a generator
# does before it has learnt anything.

# %%
photos = data.photographs()
photo = photos["dogs"]
generator = torch.Generator().manual_seed(0)
order = torch.randperm(1024 * 1024, generator=generator)
shuffled = photo.flatten(1)[:, order].view(3, 1024, 1024)
random_pixels = torch.randint(0, 256, photo.shape, generator=generator, dtype=torch.uint8)
viz.grid(
    torch.stack([x[:, ::6, ::6] for x in (photo, shuffled, random_pixels)]),  # every sixth pixel, to fit the page
    titles=["a photograph", "the same pixels, shuffled", "numbers at random"],
    alt="Three squares: a photograph of dogs, the same pixels shuffled into noise, and random numbers, also noise.",
)

# %% [markdown]
# **Predict, then run.** How many numbers does one colour photograph of 1024 × 1024 have?

# %%
pixel_count, numbers = photo[0].numel(), photo.numel()
book.claim("A 1024×1024 RGB photograph has 3,145,728 numbers", numbers, equals=3_145_728)
book.claim(
    "Lecture: it has 'about a million' numbers", numbers, at_most=1_100_000, expected=False,
    reason="a million is the number of pixels; each has three channels",
)  # fmt: skip
claims.table(["what is counted", "how many"], [["pixels", pixel_count], ["numbers: red, green and blue of each", numbers], ["values that each can take", 256]])

# %% [markdown]
# <details><summary>Answer</summary>
#
# 1024 · 1024 · 3 = 3,145,728. The "about a million" that one hears counts pixels and forgets that each has three colours.
# A network that denoises this picture reads and writes every one of these numbers, at every step.
#
# </details>
#
# ## What one step costs
#
# A diffusion model draws an image in many steps (DDPM: 1,000), and each step runs a whole network. What does one cost when
# the side of the image grows? Two networks, the two families that the field uses:
#
# - **convolution**: a UNet without attention. Each pixel looks at its neighbours: the cost should grow like the number of
#   pixels, $\text{side}^2$.
# - **attention**: a transformer with one token for each pixel. Each pixel looks at every pixel: $(\text{side}^2)^2$.
#
# **Predict, then run.** Doubling the side makes a step by what factor more expensive, for each of the two? FLOPs are *counted* for
# every size, without computing anything; seconds are *measured* where this machine can bear it, and *extrapolated* beyond
# that by the FLOPs. Extrapolated points are hollow in the figure.

# %%
claims.source(step_cost.step_flops)

# %%
makers = {"convolution": step_cost.convolutional_denoiser, "attention": step_cost.attention_denoiser}
sides = [16, 32, 64, 128, 256, 512, 1024]
on_cpu = machine.device.type == "cpu"  # 16 pixels hardly occupy a GPU: larger sides are more informative there
timed = {"convolution": sides[:5] if on_cpu else sides[4:], "attention": sides[:5] if on_cpu else sides[2:5]}
flops = {name: [step_cost.step_flops(make, side) for side in sides] for name, make in makers.items()}
seconds = {name: [step_cost.step_seconds(makers[name], side, machine) for side in timed[name]] for name in makers}

# %%
full = {}  # seconds at every side: the largest measured one, times the ratio of FLOPs
for name in makers:
    last = sides.index(timed[name][-1])
    full[name] = [seconds[name][-1] * count / flops[name][last] for count in flops[name]]
panels = viz.Panels(2)
viz.draw_lines(panels[0], {n: (sides, [f / 1e12 for f in flops[n]]) for n in makers}, log="xy",
               xlabel="side of the image (pixels)", ylabel="one step (TFLOP)", title="counted")  # fmt: skip
viz.draw_lines(panels[1], {f"{n}, measured": (timed[n], seconds[n]) for n in makers}, log="xy",
               xlabel="side of the image (pixels)", ylabel="one step (seconds)", title="measured, then extrapolated")  # fmt: skip
for name, colour in zip(makers, viz.COLOURS, strict=False):
    beyond = [i for i, side in enumerate(sides) if side >= timed[name][-1]]
    panels[1].plot([sides[i] for i in beyond], [full[name][i] for i in beyond], ":", color=colour, marker="o",
                   markevery=(1, 1), markerfacecolor="white", label=f"{name}, extrapolated")  # fmt: skip
panels[1].set_xticks(sides, [str(side) for side in sides])
panels[1].legend(fontsize=8)
panels.picture("FLOPs and seconds of one step against the side, log-log. Convolution is a line of slope two, attention of four.")


# %%
def shown(name, i):
    """The time of a step, and whether it was measured."""
    if sides[i] in timed[name]:
        return step_cost.format_duration(seconds[name][timed[name].index(sides[i])])
    return step_cost.format_duration(full[name][i]) + ", extrapolated"


claims.table(
    ["side (pixels)", "convolution (GFLOP)", "convolution, time", "attention (GFLOP)", "attention, time"],
    [[side, f"{flops['convolution'][i] / 1e9:,.2f}", shown("convolution", i), f"{flops['attention'][i] / 1e9:,.2f}", shown("attention", i)]
     for i, side in enumerate(sides)],
    title="One denoising step for one image",
)  # fmt: skip

# %%
slope = {n: power_law_exponent(sides, flops[n]) for n in makers}
steep = {n: power_law_exponent(sides[-2:], flops[n][-2:]) for n in makers}
clock = {n: power_law_exponent(timed[n][-3:], seconds[n][-3:]) for n in makers}  # smaller images hardly occupy a machine
doubling = {n: power_law_exponent(timed[n][-2:], seconds[n][-2:]) for n in makers}
guess = {n: seconds[n][-2] * flops[n][sides.index(timed[n][-1])] / flops[n][sides.index(timed[n][-2])] for n in makers}
missed = {n: guess[n] / seconds[n][-1] for n in makers}  # had we extrapolated the largest measured side from the one before
book.claim("Convolution: the FLOPs of a step grow with the side to the power 2", steep["convolution"], at_least=1.99, at_most=2.01)
book.claim("Attention over pixels: they grow to the power 4", steep["attention"], at_least=3.95, at_most=4.01)
book.claim("Measured seconds of convolution grow with a power between 1 and 3, over the three largest sides", clock["convolution"],
           at_least=1, at_most=3)  # fmt: skip
book.claim(
    "Measured seconds of attention grow faster than those of convolution", clock["attention"] - clock["convolution"],
    at_least=0.3, unit="in the exponent",
)  # fmt: skip
for n in makers:
    book.claim(f"Extrapolated from the side before, the largest measured side ({n}) comes out within a factor of 3", missed[n],
               at_least=1 / 3, at_most=3, unit="of its seconds")  # fmt: skip
claims.table(
    ["exponent of the side", "FLOPs, 16 to 1024", "FLOPs, 512 to 1024", "seconds, three largest measured sides", "seconds, last doubling"],
    [[n, f"{slope[n]:.2f}", f"{steep[n]:.2f}", f"{clock[n]:.1f}", f"{doubling[n]:.1f}"] for n in makers],
)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Four times for convolution, and up to sixteen times for attention. At small sides the exponent of attention is lower: while
# there are few tokens, the layers that treat each token alone cost more than the table of all pairs. The clock's exponent
# is lower than that of the FLOPs where a network is so small that starting its operations takes the time.
#
# </details>
#
# So what would a whole image cost here: 1,000 steps at 1024 × 1024? And what if an encoder first made the *side* eight
# times smaller, so that the same network worked at 128 × 128? (A latent may have four channels instead of three: that changes
# the first and the last layer alone.)

# %%
at = {side: i for i, side in enumerate(sides)}
saved = {n: flops[n][at[1024]] / flops[n][at[128]] for n in makers}
book.claim("A side 8 times smaller saves 64 times the FLOPs of convolution", saved["convolution"], at_least=63, at_most=65)
book.claim("… and more than 3,500 times those of attention", saved["attention"], at_least=3500, at_most=4096)
cost = {n: {s: 1000 * (seconds[n][timed[n].index(s)] if s in timed[n] else full[n][at[s]]) for s in (1024, 128)} for n in makers}
book.claim("By the clock, the 8 times smaller side saves at least 20 times the seconds of convolution",
           cost["convolution"][1024] / cost["convolution"][128], at_least=20, unit="times")  # fmt: skip
book.claim("… and at least 1,000 times those of attention", cost["attention"][1024] / cost["attention"][128], at_least=1000,
           unit="times")  # fmt: skip
claims.table(
    ["network", "1,000 steps at 1024×1024", "1,000 steps on the 8× latent, 128×128", "FLOPs saved (times)"],
    [[n, *(step_cost.format_duration(cost[n][s]) + ("" if s in timed[n] else ", extrapolated") for s in (1024, 128)), round(saved[n])]
     for n in makers],
    title="One image on this machine: 1,000 times one step",
)  # fmt: skip

# %% [markdown]
# Both networks are toys: real ones do hundreds of times more for each pixel. Their *exponents* are the same. That is the
# first half of the reason for latent space: Stable Diffusion makes the side eight times smaller before the first step.
#
# ## Most of the numbers say nothing new
#
# May one throw so many numbers away? Look at what a pixel adds to its neighbours. Four measurements, each on
# photographs, on Fashion-MNIST, and on white noise as the control that should fail all of them:
#
# - the **correlation** of two pixels against their distance;
# - how much of a pixel's variance its **four earlier neighbours** (left, and the three above) predict linearly, $R^2$;
# - the share of **principal axes** that holds 95 % of the variance of 16 × 16 squares;
# - the **bits** that a pixel takes after lossless compression.
#
# **Predict, then run.** How similar are two pixels that are eight pixels apart in a photograph, and in Fashion-MNIST?

# %%
train, _ = data.fashion_mnist("train", machine.device)
sets = {name: redundancy.centre_crop(picture, 512) for name, picture in photos.items()}
sets |= {"Fashion-MNIST": train[:1000, :, 2:-2, 2:-2].cpu(), "white noise": redundancy.centre_crop(random_pixels, 512)}
reach = {name: 13 if name == "Fashion-MNIST" else 32 for name in sets}
found = {name: redundancy.measure_redundancy(images, reach[name]) for name, images in sets.items()}
viz.lines(
    {name: (range(len(r.correlation)), r.correlation) for name, r in found.items()},
    xlabel="distance (pixels)", ylabel="correlation of two pixels", marker=False,
    alt="Correlation against distance: photographs stay high over 32 pixels, Fashion-MNIST falls, noise is at zero.",
)  # fmt: skip

# %%
pooled = torch.cat([patches(sets[name].float(), 16) for name in photos])
views = {"photographs, 16×16 RGB": pooled, "white noise, 16×16 RGB": patches(random_pixels[None].float(), 16)}
views["Fashion-MNIST, 32×32 grey"] = train[:4000].flatten(1).float()
spectra = {name: dimension.pca_spectrum(x) for name, x in views.items()}
viz.spectrum(spectra, alt="Variance held against components used: photographs need few, Fashion-MNIST more, noise nearly all.")

# %%
claims.table(
    ["images", "correlation at 1 px", "at 8 px", "R² from 4 neighbours", "bits a pixel, packed", "of"],
    [[n, f"{r.correlation[1]:.2f}", f"{r.correlation[8]:.2f}", f"{r.r2:.3f}", f"{r.bits:.1f}", r.raw_bits] for n, r in found.items()],
)

# %%
least = min(found[n].correlation[1].item() for n in photos)
far = min(found[n].correlation[8].item() for n in photos)
book.claim("Neighbouring pixels of photographs correlate", least, at_least=0.9)
book.claim("… and still do eight pixels away", far, at_least=0.6)
book.claim("Four neighbours predict a photograph's pixel", min(found[n].r2 for n in photos), at_least=0.9, unit="R²")
book.claim("… and nothing of white noise", found["white noise"].r2, at_most=0.01, unit="R²")
packed = max(found[n].bits / found[n].raw_bits for n in photos)
book.claim("Lossless compression takes the bits of every photograph to 60 % or less", 100 * packed, at_most=60, unit="%")
book.claim("… and those of noise not below 100 %", 100 * found["white noise"].bits / 24, at_least=100, unit="%")
axes = {name: dimension.pca_dimension(s) for name, s in spectra.items()}
percentage = {name: 100 * axes[name] / x.shape[1] for name, x in views.items()}
book.claim("A tenth of the axes holds 95 % of the variance of photographs' squares", percentage["photographs, 16×16 RGB"],
           at_most=10, unit="%")  # fmt: skip
book.claim("… and of noise it takes most of them", percentage["white noise, 16×16 RGB"], at_least=80, unit="%")
claims.table(["images", "numbers", "axes for 95 % of the variance", "of all axes (%)"], [[n, views[n].shape[1], axes[n], f"{percentage[n]:.0f}"] for n in views])

# %% [markdown]
# <details><summary>Answer</summary>
#
# In the photographs, very similar: the picture hardly changes within eight pixels. In Fashion-MNIST a garment is only some
# twenty pixels wide, and eight pixels cross a good part of it, so the correlation has mostly gone. Larger images are *more*
# redundant, not richer in proportion: that is why they can be made eight times smaller. Noise fails all four tests, as
# it must: it has no structure to use.
#
# **Note what lossless compression does not do.** It saves a half, of a smooth picture three quarters, never 48 times. Every bit of sensor noise is stored. To save
# more, an encoder must be allowed to forget what nobody sees: that is chapter 2.
#
# </details>
#
# ## How many numbers does an image need?
#
# A teddy that leans by one angle is described by *one* number, however many pixels draw it. The **intrinsic dimension** of
# a set of images is how many numbers locate an image within the set. Three estimators:
#
# - **PCA**: axes that hold 95 % of the variance. It can only count straight directions.
# - **Participation ratio** $(\sum_i\lambda_i)^2/\sum_i\lambda_i^2$ of the same spectrum.
# - **TwoNN** (Facco et al. 2017): the ratio of the distances to a point's two nearest neighbours. In $d$ dimensions
#   $\log (r_2/r_1)$ is exponential with rate $d$, so it reads the dimension from the smallest neighbourhoods, curved or not.
#
# No instrument is believed before it is **calibrated**. So first: sets whose dimension is known, all in at least 64 axes. Flat ones
# with a whiff of noise (a two-thousandth of their size), curved ones (the surface of a sphere; the **swiss roll**, a sheet rolled up), and teddies, whose
# renderer lets exactly $k$ continuous factors go: lean, place, size, light, height, warmth, brightness, saturation, in this order.
#
# **Predict, then run.** Which estimator will count the factors of the teddies?

# %%
claims.source(dimension.participation_ratio)
truth = {"subspace": [2, 4, 8, 16, 32], "sphere": [2, 4, 8, 16, 32], "swiss roll": [2]}
whiff = {"subspace": 0.0005, "sphere": 0.0, "swiss roll": 0.0}
points = {kind: [intrinsic_dimension.sample_manifold(kind, d, 2000, seed=d, noise=whiff[kind]) for d in ds] for kind, ds in truth.items()}
truth["teddies"] = [1, 2, 4, 8]
points["teddies"] = [intrinsic_dimension.render_free_factors(k, 2000, seed=3) for k in truth["teddies"]]
measured = {kind: [intrinsic_dimension.estimate_dimensions(x) for x in sets] for kind, sets in points.items()}
viz.rows({f"{k} free": x[:8] for k, x in zip(truth["teddies"], points["teddies"], strict=True)}, scale=2,
         alt="Rows of teddies: with one factor free they only lean; with eight they also move, grow, and change their light "
         "and colours.")  # fmt: skip

# %%
panels = viz.Panels(3, width=3.2)
for i, kind in enumerate(k for k in truth if k != "swiss roll"):  # one dimension alone makes no curve: see the table
    curves = {"PCA, 95 %": [m.pca for m in measured[kind]], "participation": [m.participation for m in measured[kind]]}
    curves["TwoNN"] = [m.two_nn for m in measured[kind]]
    viz.draw_lines(panels[i], {n: (truth[kind], v) for n, v in curves.items()}, log="xy", title=kind,
                   xlabel="true dimension", ylabel="estimate")  # fmt: skip
    panels[i].plot(truth[kind], truth[kind], color="#555555", linewidth=1, label="the truth")
    panels[i].legend(fontsize=8)
panels.picture("Estimated against true dimension. On teddies only TwoNN follows the grey diagonal; at 32 dimensions it is low.")

# %%
rows = [[kind, d, m.pca, f"{m.participation:.1f}", f"{m.two_nn:.1f} ± {m.two_nn_error:.1f}"]
        for kind in truth for d, m in zip(truth[kind], measured[kind], strict=True)]  # fmt: skip
noisy_points = intrinsic_dimension.sample_manifold("subspace", 2, 2000, seed=2, noise=0.01)
noisy = intrinsic_dimension.estimate_dimensions(noisy_points)
rows.append(["subspace, 1 % noise", 2, noisy.pca, f"{noisy.participation:.1f}", f"{noisy.two_nn:.1f} ± {noisy.two_nn_error:.1f}"])


def worst(kind, most):
    return 100 * max(abs(m.two_nn / d - 1) for d, m in zip(truth[kind], measured[kind], strict=True) if d <= most)


book.claim("TwoNN is within 15 % of the truth on flat sets in faint noise, up to 8 dimensions", worst("subspace", 8), at_most=15,
           unit="%")  # fmt: skip
book.claim("… on spheres up to 8 dimensions", worst("sphere", 8), at_most=15, unit="%")
book.claim("… on the swiss roll", worst("swiss roll", 8), at_most=15, unit="%")
book.claim("… and on teddies with 1, 2, 4 and 8 factors free", worst("teddies", 8), at_most=15, unit="%")
claims.table(["set (2,000 points)", "truth", "PCA, 95 %", "participation", "TwoNN"], rows)

# %% [markdown]
# <details><summary>Answer</summary>
#
# Only TwoNN. PCA is right or nearly so on flat sets and counts one axis too many on spheres of few dimensions and on the roll (a surface of dimension $d$ lies in $d+1$
# straight ones); for the teddies it is several times too high, because *moving* an edge is no straight line in pixels. The participation ratio
# fails in the same way, less loudly.
#
# **Where TwoNN fails**, and you have just seen it: in high dimension two thousand points are too few to have truly near
# neighbours, and it reads too low; and it looks so closely that it takes 1 % of noise for dimensions, and
# reads too high. Both are worth a measurement of their own.
#
# </details>
#
# **Where and why it fails.** Noise of standard deviation $\sigma$ in $D$ axes pushes two points about $\sigma\sqrt{2D}$ apart, all axes alike.
# TwoNN sees the $D$ axes as soon as the nearest neighbours are not further than that. More points make it *worse*: neighbours come nearer and the
# noise stays. And in high dimension it is the other way round: the nearest neighbour of 2,000 points is nearly as far as any point, so that the
# density is not constant as far as that, which is what the estimator assumes. More points help, but dimension by dimension exponentially more.

# %%
numbers_of = [125, 250, 500, 1000, 2000]
scales = [metrics.nearest_neighbours(noisy_points[:n], k=1)[0].median().item() for n in numbers_of]
noises = [dimension.two_nn(noisy_points[:n]).dimension for n in numbers_of]
high = points["subspace"][-1]
heights = [dimension.two_nn(high[:n]).dimension for n in numbers_of]
crowd = [(metrics.nearest_neighbours(x, k=1)[0].median() / torch.pdist(x[:500]).median()).item() for x in points["subspace"]]
panels = viz.Panels(2)
viz.draw_lines(panels[0], {"truth 2, 1 % noise": (numbers_of, noises), "truth 32": (numbers_of, heights)}, log="xy",
               xlabel="points", ylabel="TwoNN", references={"2": 2, "32": 32})  # fmt: skip
viz.draw_lines(panels[1], {"": (truth["subspace"], crowd)}, log="x", xlabel="true dimension",
               ylabel="nearest distance / typical distance")  # fmt: skip
panels.picture("Left: with 1 % noise TwoNN leaves 2 upwards as points are added; at 32 it stays low. Right: the nearest neighbour "
               "moves out from a few percent of a typical distance to more than half of it.")  # fmt: skip

# %%
length_of_noise = 0.01 * (2 * 64) ** 0.5
low = {kind: 100 * (1 - measured[kind][-1].two_nn / 32) for kind in ("subspace", "sphere")}
book.claim("At 32 flat dimensions TwoNN reads at least 15 % too low", low["subspace"], at_least=15, unit="%")
book.claim("… for the nearest of 2,000 points is then at least half as far as a typical one", crowd[-1], at_least=0.5)
book.claim("… and less than a tenth as far in 2 dimensions", crowd[0], at_most=0.1)
book.claim("1 % of noise makes TwoNN say more than 5 where the truth is 2", noisy.two_nn, at_least=5)
book.claim("… for the nearest neighbours are no further than the noise alone puts them", scales[-1] / length_of_noise, at_most=1.2,
           unit="of σ√(2D)")  # fmt: skip
book.claim("With an eighth of the points they are further, and the error is smaller", noises[1] / noises[-1], at_most=0.8)
times = min(m.pca / k for k, m in zip(truth["teddies"], measured["teddies"], strict=True))
book.claim("PCA says at least 2.5 times too many on every set of teddies", times, at_least=2.5, unit="times")

# %% [markdown]
# Calibrated, it may look at Fashion-MNIST, where nobody knows the truth. An honest answer comes with the question *at which
# scale*: more images mean nearer neighbours.

# %%
counts = [1000, 2000, 4000, 8000]
fashion = [intrinsic_dimension.estimate_dimensions(train[:n].float()) for n in counts]
book.claim("TwoNN on 8,000 Fashion-MNIST images: far fewer than the 1,024 pixels", fashion[-1].two_nn, at_least=8, at_most=30)
book.claim("… and the estimate grows with the number of images", fashion[-1].two_nn - fashion[0].two_nn, at_least=0.7)
claims.table(
    ["Fashion-MNIST images", "pixels", "PCA, 95 %", "participation", "TwoNN"],
    [[n, 1024, m.pca, f"{m.participation:.1f}", f"{m.two_nn:.1f} ± {m.two_nn_error:.1f}"]
     for n, m in zip(counts, fashion, strict=True)],
)  # fmt: skip

# %% [markdown]
# One or two hundredths of the number of pixels. As the estimate still grows with more images, and as TwoNN reads low at such
# heights, take it for a lower bound rather than the truth. Keep in mind the **64 numbers** that the encoder of chapter 2 will keep.
#
# ## A step of noise is not a step of meaning
#
# If images fill only a thin sheet of few dimensions, then nearly every direction from an image leads *off* the sheet.
# Take a teddy and go the same Euclidean distance twice: once by changing a **factor** (it tilts), once by adding
# **pixel noise**. How far is each result from the nearest image in a bank of teddies that differ in place and tilt?
#
# **Predict, then run.** Which of the two, at the same distance from the start, ends further from every real image?

# %%
bank = off_manifold.teddy_bank(1500, seed=1)
steps = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
steps_taken = off_manifold.compare_tilt_and_noise(steps, 16, bank, seed=2)
viz.lines(
    {"the factor changed": (steps_taken.distance.mean(1), steps_taken.tilted_to_bank.mean(1)),
     "noise added": (steps_taken.distance.mean(1), steps_taken.noisy_to_bank.mean(1))},
    xlabel="distance from the start (length of the change)", ylabel="distance to the nearest teddy",
    alt="Distance to the nearest image: flat and small when tilt changes, rising along the diagonal when noise is added.",
)  # fmt: skip

# %% [markdown]
# <details><summary>Answer</summary>
#
# The noise. Its line is the diagonal: each unit of noise is a unit away from *all* images. The tilted teddy is as far from
# its start, and yet always next to some real image: it walked along the sheet.
#
# </details>
#
# Move the slider and compare with your eye. All three pictures in the row: the start, the tilted one, the noisy one; both
# changes have the same length.


# %%
def compared(step):
    i = steps.index(step)
    shown = torch.stack([steps_taken.tilted[0, 0], steps_taken.tilted[i, 0], steps_taken.noisy[i, 0]])
    near = f"nearest teddy: {steps_taken.tilted_to_bank[i, 0]:.1f} from the tilted one, {steps_taken.noisy_to_bank[i, 0]:.1f} from the noisy one"
    return shown, f"both changes have length {steps_taken.distance[i, 0]:.1f}; {near}"


slider = widgets.image_slider(compared, alt="Three teddies: the start, tilted, and noisy; both changes equally long.", columns=3, scale=3, step=steps)
slider

# %%
print(slider.set(step=0.5))
some = [0, 2, 5, 10]
viz.rows(
    {"tilted": steps_taken.tilted[some, 0], "noisy, just as far": steps_taken.noisy[some, 0]}, scale=2,
    titles=[f"distance {steps_taken.distance[i, 0]:.1f}" for i in some],
    alt="Upper row: a teddy that tilts more and more. Lower row: the same teddy under more and more noise of the same length.",
)  # fmt: skip

# %% [markdown]
# **Can it still be read?** The distance says that the noisy teddy has left the images. Does it still *mean* the same? That takes a reader, and
# one that you can look into. The workbook ships a small convolutional network that was trained on teddies to say what was drawn: each of the five words
# of a caption, the fabric, and the numbers for light, colours and place. A third of the pictures that it learned from were blurred, and a third
# noisy: normal noise of standard deviation 0.15 in each of the 12,288 numbers, of length $0.15\sqrt{12288}\approx 17$. It never saw more.

# %%
claims.source(factor_reader.FactorReader)
bear_reader = recipes.load_or_train("teddies-reader", machine)
promised = weights.load(shipped.path("weights/teddies_reader.safetensors"))[1]["metrics"]
fresh = teddies.sample_factors(1000, torch.Generator().manual_seed(99))
drawn = teddies.render(fresh)
sure, right = meaning.reader_confidence_and_accuracy(bear_reader, drawn, fresh)
claims.table(
    ["word", "values", "read right (%)", "mean confidence (%)", "read right by its metadata (%)"],
    [[name, len(teddies.VALUES[name]), f"{100 * r:.1f}", f"{100 * c:.1f}", f"{100 * promised[name]:.1f}"]
     for name, r, c in zip(teddies.SEMANTIC, right, sure, strict=True)],
    title="The reader on 1,000 teddies drawn just now; its metadata holds what it reached on 2,000 others after its training",
)  # fmt: skip

# %% [markdown]
# **Predict, then run.** The longest step along the tilt above is some thirty units long. After thirty units of noise, how many of the words are still read right?

# %%
lengths = [0, 30, 60, 120, 240]
direction = torch.randn(drawn[:400].shape, generator=generator)
through_noise = {n: drawn[:400] + scale_to_norm(direction, torch.full((400,), float(n))) for n in lengths}
noisy_read = {n: [v.mean().item() for v in meaning.reader_confidence_and_accuracy(bear_reader, x, fresh[:400])] for n, x in through_noise.items()}
viz.lines(
    {"words read right": (lengths, [100 * noisy_read[n][1] for n in lengths]),
     "confidence": (lengths, [100 * noisy_read[n][0] for n in lengths])},
    xlabel="length of the noise", ylabel="five words, mean (%)",
    alt="Words read right stay near all up to sixty units of noise and then fall, to less than two thirds; the confidence falls far less.",
)  # fmt: skip

# %%
viz.grid(torch.stack([x[0] for x in through_noise.values()]), titles=[f"noise {n}" for n in lengths], scale=2,
         alt="One teddy under noise of growing length: at thirty it is grainy and clear, at 240 it is barely to be seen.")  # fmt: skip

# %%
book.claim("The reader reads each word right in at least 97 of 100 teddies drawn afresh", right.min(), at_least=0.97)
book.claim("Noise of 30 units, about the longest tilt, leaves at least 97 words in a hundred readable", noisy_read[30][1], at_least=0.97)
book.claim("… though it is at least 1.5 times as much as the reader ever saw", 30 / (0.15 * 12_288**0.5), at_least=1.5, unit="times")
book.claim("After 240 units of noise it has lost at least 20 points in a hundred", noisy_read[0][1] - noisy_read[240][1], at_least=0.2)
book.claim("… and is surer than it is right: its own confidence is no alarm", noisy_read[240][0] - noisy_read[240][1],
           at_least=0.1)  # fmt: skip

# %% [markdown]
# <details><summary>Answer</summary>
#
# Practically all. So "noise leaves the set of images" and "noise destroys the meaning" are two sentences, and only the first is true at this
# length: the picture is far from every teddy *and* perfectly legible, for thirty units are a little noise in each of 12,288 numbers, and the reader averages over neighbours.
# Noise it has met in training, but not so much of it. That is no comfort for a generator, whose noise must come *out* of the picture; it is
# the reason why a denoiser is possible at all: under a good deal of noise, the image can still be told. Far beyond, the reader goes wrong
# and does not know it.
#
# </details>
#
# **And the average of two images?** Halfway between two teddies there is no third teddy, but two ghosts. Next, the same
# three changes on real garments: a *move* by two pixels (a factor that we know how to change in a photograph), noise of exactly that
# length, and the average of two. The judge is a small classifier that this workbook trained, and whose confidence is calibrated; the
# bank holds all 60,000 training images.

# %%
ghosts = (steps_taken.tilted[0, :8] + steps_taken.tilted[0, 8:]) / 2
ghost_distance = off_manifold.distance_to_bank(ghosts, bank).mean().item()
test_images, test_labels = data.fashion_mnist("test", machine.device)
x0, y = to_float(test_images[:1000]), test_labels[:1000]
moved = off_manifold.shift_right(x0, 2)
noise = torch.randn(x0.shape, generator=generator).to(x0)
changed = {"as they are": x0, "moved by 2 pixels": moved}
changed["noise, just as far"] = x0 + scale_to_norm(noise, (moved - x0).flatten(1).norm(dim=1))
changed["average of two"] = (x0 + x0.roll(1, 0)) / 2
viz.rows({**{n: x[1:9] for n, x in changed.items()}}, alt="Rows of Fashion-MNIST images: as they are, moved, noisy, and averages of two.")

# %%
base = steps_taken.tilted_to_bank[0].mean()
book.claim("A change of tilt by half its range ends no further from the nearest teddy than 1.5 times the start",
           steps_taken.tilted_to_bank[-1].mean() / base, at_most=1.5, unit="times")  # fmt: skip
book.claim("Noise of the same length ends at least 5 times further", steps_taken.noisy_to_bank[-1].mean() / base, at_least=5, unit="times")
book.claim("The average of two teddies is at least 3 times further than a teddy", ghost_distance / base, at_least=3, unit="times")
viz.grid(ghosts[:5], alt="Five averages of two teddies each: two transparent ghosts in every picture.", scale=2,
         title="averages of two teddies")  # fmt: skip

# %%
judge = recipes.load_or_train("fashion-classifier", machine)
read = {n: off_manifold.classifier_confidence_and_accuracy(judge, x, y) for n, x in changed.items()}
near = {n: off_manifold.distance_to_bank(x[:100], train).mean().item() for n, x in changed.items()}  # the first 100: it takes long
length = {n: (x - x0)[:100].flatten(1).norm(dim=1).mean().item() for n, x in changed.items()}

# %%
plain, shift, noised, average = changed
book.claim("The classifier reads moved images almost as well as unchanged ones", read[plain][1] - read[shift][1], at_most=0.08)
book.claim("… but loses at least 10 points in a hundred under noise of the same length", read[plain][1] - read[noised][1], at_least=0.1)
book.claim("The classifier is less confident in averages than in the images themselves", read[plain][0] - read[average][0], at_least=0.08)
book.claim("… and less confident in averages than in moved images", read[shift][0] - read[average][0], at_least=0.03)
book.claim("Noise ends further from the 60,000 images than the move", near[noised] / near[shift], at_least=1.15, unit="times")
book.claim("The average of two is further from them than an image is", near[average] / near[plain], at_least=1.1, unit="times")
book.claim(
    "The average of two is further from them than a moved image", near[average] / near[shift], at_least=1, expected=False,
    unit="times", reason="a blurred average is never far from some image, and few items stand two pixels to the right: "
    "the distance to the nearest image does not decide whether something is one",
)  # fmt: skip
claims.table(
    ["Fashion-MNIST images", "length of the change", "distance to the nearest of 60,000", "classifier's confidence", "read correctly"],
    [[n, f"{length[n]:.1f}", f"{near[n]:.1f}", f"{read[n][0]:.2f}", "–" if n == average else f"{read[n][1]:.2f}"]
     for n in changed],
)  # fmt: skip

# %%
shown = torch.cat([changed[n][:5] for n in (shift, noised, average)])
guesses = classifier.classify(judge, shown)[1].softmax(1).cpu()
said = [f"{data.FASHION_CLASSES[p.argmax()]} {100 * p.max():.0f} %" for p in guesses]
viz.grid(shown, 5, titles=said, scale=3, row_labels=["moved", "noise", "average"],
         alt="Fifteen Fashion-MNIST images, moved, noisy and averaged, each below the class that the classifier reads and its confidence.")  # fmt: skip

# %% [markdown]
# Here you may look over the judge's shoulder: above each picture, what it reads and how sure it is.
#
# Read the last row of the table slowly. For teddies, where the bank is dense, an average is far from every image, as it should be.
# For garments the average is *nearer* to the bank than a perfectly good garment that stands two pixels to the right. The judge, who
# looks at what is shown, is not deceived: it is surer of the moved one than of the average. Pixel distance had it
# the wrong way round. It will do so again below.
#
# ## Spiky: a density that learns by heart
#
# To generate is to sample from a density. The simplest density of images puts a soft Gaussian **kernel** on each training image,
# $\hat p(x)=\frac1N\sum_i \mathcal N(x;\,x_i,\,h^2 I)$ (Parzen 1962), with the width $h$ that makes *held-out* images most
# likely. We ask three things. How many kernels hold a new point up? Hundreds: a smooth hill. One: a heap of spikes. How likely are *held-out*
# images, against the density's own training images? And does it beat the dullest density there is, **one** Gaussian?
#
# **Predict, then run.** 4,000 kernels, from 1 to 256 dimensions. In how many dimensions does a new point still have ten
# kernels that share it?

# %%
claims.source(density.kernel_density_fit)
dims, parts = [1, 2, 4, 8, 16, 32, 64, 256], (4000, 500, 500)
gauss = [density.kernel_density_fit(*density.sample_gaussian_sets(d, parts, seed=d)) for d in dims]
coordinates = density.principal_coordinate_sets(to_float(train[:5000]).cpu(), 256, parts)
fashion_fits = [density.kernel_density_fit(*(part[:, :d] for part in coordinates)) for d in dims]
best = [-0.5 * d * (torch.tensor(2 * torch.pi).log() + 1).item() for d in dims]  # of the true Gaussian, nats for a point
lost = [b - s.log_likelihood for b, s in zip(best, gauss, strict=True)]
single = [density.gaussian_log_likelihood(coordinates[0][:, :d], coordinates[2][:, :d]) for d in dims]
gap = [s.train_log_likelihood - s.log_likelihood for s in fashion_fits]
claims.table(
    ["dimensions", "Gaussian: truth", "kernels", "Fashion-MNIST: kernels, held out", "kernels, own images", "one Gaussian, held out"],
    [[d, f"{b:.1f}", f"{g.log_likelihood:.1f}", f"{c.log_likelihood:.1f}", f"{c.train_log_likelihood:.1f}", f"{o:.1f}"]
     for d, b, g, c, o in zip(dims, best, gauss, fashion_fits, single, strict=True)],
    title="Log-likelihood (nats a point) of 500 points",
)  # fmt: skip

# %%
book.claim("In one dimension, at least 50 of 4,000 kernels contribute at a new image", fashion_fits[0].effective_kernels, at_least=50)
book.claim("In 16 principal dimensions of Fashion-MNIST fewer than ten do", fashion_fits[dims.index(16)].effective_kernels, at_most=10)
book.claim("In 256 it is one", fashion_fits[-1].effective_kernels, at_most=1.5)
book.claim("In 256 dimensions fewer than 5 contribute even for a Gaussian", gauss[-1].effective_kernels, at_most=5)
book.claim("In one dimension the kernels lose almost nothing against the truth", lost[0], at_most=0.3, unit="nats")
book.claim("… in 256, at least 20 nats for each point", lost[-1], at_least=20, unit="nats")
book.claim("On Fashion-MNIST, its own images are within 0.5 nats of held-out ones in one dimension", abs(gap[0]), at_most=0.5, unit="nats")
book.claim("… and at least 50 nats more likely in 256: memorised", gap[-1], at_least=50, unit="nats")
won = [c.log_likelihood - o for c, o in zip(fashion_fits, single, strict=True)]
book.claim("In 8 dimensions 4,000 kernels model Fashion-MNIST better than one Gaussian", won[dims.index(8)], at_least=1, unit="nats")
book.claim("… in 256 the one Gaussian models it better", -won[-1], at_least=10, unit="nats")

# %%
panels = viz.Panels(3, width=3.2)
viz.draw_lines(panels[0], {"Gaussian": (dims, [s.effective_kernels for s in gauss]), "Fashion-MNIST": (dims, [s.effective_kernels for s in fashion_fits])},
               log="xy", xlabel="dimensions", ylabel="kernels that contribute at a new point", title="effective kernels")  # fmt: skip
viz.draw_lines(panels[1], {"": (dims, lost)}, log="x", xlabel="dimensions", ylabel="lost against the truth (nats a point)",
               title="Gaussian: truth is known")  # fmt: skip
viz.draw_lines(panels[2], {"own images above held-out ones": (dims, gap), "kernels above one Gaussian": (dims, won)}, log="x",
               xlabel="dimensions", ylabel="log-likelihood (nats a point)", title="Fashion-MNIST")  # fmt: skip
panels[2].legend(fontsize=8, loc="upper left")
panels.picture("Left: kernels contributing at a new point fall from hundreds to one as dimensions grow. Middle: the log-likelihood lost "
               "grows. Right: so does what is memorised, and in 256 dimensions one Gaussian beats the kernels.")  # fmt: skip

# %% [markdown]
# <details><summary>Answer</summary>
#
# For the garments, only in a handful of dimensions. By 64 the density is 4,000 separate spikes: sampling from it returns a training image
# with noise on it, and it finds its own images far likelier than new ones. In the end a single Gaussian, which knows nothing but variances, is the better
# model of garments. Even for a plain Gaussian, the friendliest of all densities, thousands of kernels lose dozens of nats for each point.
# Pixel space has a thousand dimensions here and three million in the photograph. No number of images fills it; a generator
# must *know* something about images, or work in a smaller space.
#
# </details>
#
# ## Meaning against appearance
#
# Last, the question that decides what a "small error" is. Take a teddy, the **anchor**. One picture shares its *meaning* (same
# count, fur colour, activity, scarf and place) and differs in *appearance*: the grain of the fur, the fabric, light, warmth, brightness and saturation. Another shares the full appearance and
# means something else: one word of the caption has changed. A good distance puts the same meaning nearer.
#
# **Predict, then run.** How often does the squared error of pixels (MSE) get it wrong? And SSIM, which is meant to see
# like a person? And if the same-meaning teddy also sits elsewhere and tilts a little?
#
# Three *learned* distances stand beside them, between what a network makes of the two pictures:
#
# - the **latent** of a VAE that the workbook ships (chapters 2 and 3 build such networks). It learned to draw teddies again from 256 numbers, and was given no description of them;
# - the 128 **features** of the reader above, its last layer before the answers;
# - the **words** that the reader answers: how many of the five differ. That is no fair race, for it was taught, on other teddies, exactly the words that
#   are asked for here. It shows what a distance can be once it counts what matters *and nothing else*.
#
# **Predict, then run.** Will the features beat the pixels?

# %%
three = meaning.sample_triplets(5, "activity", moved=True, seed=4)
caption = teddies.captions(teddies.sample_factors(5, torch.Generator().manual_seed(4)))[0]
print(f"caption of the first anchor, and of the teddy below it: {caption}")
viz.rows(
    {"anchor": three.anchor, "same meaning": three.same, "other meaning": three.other}, scale=2,
    alt="Three rows of teddies: anchors; the same meaning with another appearance and position; the same appearance doing something else.",
)  # fmt: skip

# %%
claims.source(meaning.represent, meaning.total_variation)

# %%
vae = recipes.load_or_train("teddies-vae", machine)


def representation(images):
    return meaning.represent(images, vae, bear_reader)


each = 400  # triplets for each factor: 2,000 in all, and 2,000 in which the same meaning has moved
errors = {}
for i, factor in enumerate(teddies.SEMANTIC):
    three, moved_three = (meaning.sample_triplets(each, factor, moved_too, seed=100 + i) for moved_too in (False, True))
    anchor, another = representation(three.anchor), representation(three.other)
    errors[factor, False] = meaning.triplet_error_rates(anchor, representation(three.same), another)
    errors[factor, True] = meaning.triplet_error_rates(anchor, representation(moved_three.same), another)  # its anchors and others are the very same

# %%
distances = list(meaning.DISTANCES)
mean = {(d, m): 100 * sum(errors[f, m][d] for f in teddies.SEMANTIC) / len(teddies.SEMANTIC)
        for d in distances for m in (False, True)}  # fmt: skip
for m in (False, True):
    claims.table(
        ["what changes in the other meaning", *(f"{d} (%)" for d in distances)],
        [[f, *(f"{100 * errors[f, m][d]:.0f}" for d in distances)] for f in teddies.SEMANTIC]
        + [["all 2,000", *(f"{mean[d, m]:.1f}" for d in distances)]],
        title="Triplets wrong: the other meaning is called nearer; " + ("the same meaning has moved, too" if m else "nothing moves"),
    )  # fmt: skip

# %%
book.claim("When the same meaning also moves a little, MSE gets at least half of the triplets wrong", mean["MSE", True],
           at_least=50, unit="%")  # fmt: skip
book.claim("… and SSIM at least half", mean["SSIM", True], at_least=50, unit="%")
book.claim("Over a changed scarf SSIM errs in at least 80 % even when nothing moves", 100 * errors["scarf", False]["SSIM"],
           at_least=80, unit="%")  # fmt: skip
book.claim("A changed background is hardly ever missed when nothing moves", 100 * errors["background", False]["MSE"], at_most=5, unit="%")
book.claim(
    "MSE gets at least half wrong even when only the appearance differs", mean["MSE", False], at_least=50,
    unit="%", expected=False, reason="a new background or a second bear repaints so many pixels that MSE notices; small meanings are lost",
)  # fmt: skip

# %%
book.claim("The latent of a VAE, trained without labels, still errs in at least 20 %", mean["latent", False], at_least=20, unit="%")
book.claim("… and over a scarf in at least half, for it learned to preserve what changes many pixels", 100 * errors["scarf", False]["latent"],
           at_least=50, unit="%")  # fmt: skip
book.claim("The words that the reader answers err in at most 2 %, moved or not", max(mean["words", m] for m in (False, True)),
           at_most=2, unit="%")  # fmt: skip
book.claim(
    "The features of a network that was trained on meaning err less than the pixels", mean["features", False] / mean["MSE", False],
    at_most=1, unit="of MSE's errors", expected=False,
    reason="it was trained to name the fabric as well, and its features weigh that like a word: see the next table",
)  # fmt: skip
worse = [mean["features", m] - max(mean[d, m] for d in ("MSE", "SSIM", "latent")) for m in (False, True)]
book.claim("… in fact they err more than MSE, SSIM and the latent, moved or not", min(worse), at_least=3, unit="points")

# %%
errors_of_mean = {k: 100 * (v / 100 * (1 - v / 100) / 2000) ** 0.5 for k, v in mean.items()}  # standard errors of percentages
labels = {(d, m): d + (",\nmoved too" if m else "") for m in (False, True) for d in distances}
viz.bars({labels[k]: mean[k] for k in labels}, errors=[errors_of_mean[k] for k in labels], ylabel="triplets wrong (%)",
         alt="Triplets wrong by each distance: MSE, SSIM and the latent a good part, most when the teddy moved; features most, words none.")  # fmt: skip

# %% [markdown]
# Why do the features of so good a reader fail? Ask them about one part of the appearance at a time: the **fabric**, which the reader was taught to name;
# the **light and colours**, which it was taught to measure; and the **grain** of the fur, which nobody ever asked it for.

# %%
appearances = {"fabric": ("fabric",), "light and colours": ("light", "warmth", "brightness", "saturation"), "grain": ("grain",)}
parts = {}
for name, appearance in appearances.items():
    found_wrong = [meaning.triplet_error_rates(*map(representation, meaning.sample_triplets(60, factor, False, seed=100 + i, appearance=appearance)))
                   for i, factor in enumerate(teddies.SEMANTIC)]  # fmt: skip
    parts[name] = {d: 100 * sum(e[d] for e in found_wrong) / len(found_wrong) for d in distances}
book.claim("When the same meaning differs in the fabric alone, MSE hardly errs", parts["fabric"]["MSE"], at_most=15, unit="%")
book.claim("… and the features, which were trained on it, do in at least 30 %", parts["fabric"]["features"], at_least=30, unit="%")
book.claim("… more than for light and colours", parts["fabric"]["features"] - parts["light and colours"]["features"], at_least=8,
           unit="points")  # fmt: skip
book.claim("When it differs in the grain alone, which they were not, the features hardly err", parts["grain"]["features"],
           at_most=5, unit="%")  # fmt: skip
claims.table(["the only difference in the same meaning", *(f"{d} (%)" for d in distances)],
             [[name, *(f"{parts[name][d]:.1f}" for d in distances)] for name in parts], title="Triplets wrong, of 300")  # fmt: skip

# %% [markdown]
# <details><summary>Answers</summary>
#
# It depends on how many pixels a meaning paints. A background or a second bear covers half the picture, and it is hardly ever missed. A scarf
# is a matter of a few pixels and of one word in the caption: the light outvotes it. And once a bear moves by a few
# pixels, every edge pays twice, and MSE and SSIM are wrong more often than a coin. The VAE's latent is no way out: it, too, learned from squared errors.
#
# The features are no way out either, and that is the surprise: they are the worst. They hold all that the network must tell, and to it the fabric was
# a sixth word, to be told as surely as the five. *A learned distance measures what its network was taught, all of it.* Read only the five answers
# that were asked for, and hardly a triplet is wrong. Remember it when a chapter trusts the features of a judge.
#
# </details>
#
# Now change meaning and appearance by hand. The left teddy stays; the right one changes up to five **words** of its caption (in the order scarf,
# activity, fur, count, place) and its **appearance**, from its own to a stranger's. Watch which distances follow the words.

# %%
left = teddies.sample_factors(1, 6, count="one", fur="brown", activity="waving", scarf="red", background="meadow", fabric="plain")
other = teddies.sample_factors(1, 8, count="two", fur="pink", activity="reading", scarf="blue", background="beach", fabric="dots",
                               light=-left.light.sign(), warmth=-left.warmth.sign())  # fmt: skip
still = teddies.render(left)
start = representation(still)


# %%
positions = [(words, appearance) for words in range(6) for appearance in (0.0, 0.25, 0.5, 0.75, 1.0)]
each = [meaning.morph(left, other, *position) for position in positions]
drawn = torch.cat([teddies.render(factors) for factors in each])
apart = meaning.paired_distances({view: v.expand(len(each), *v.shape[1:]) for view, v in start.items()}, representation(drawn))  # measured in one go


def morphed(words, appearance):
    i = positions.index((words, appearance))
    values = ", ".join(f"{name} {value[i]:.2f}" for name, value in apart.items())
    return torch.stack([still[0], drawn[i]]), f"{teddies.captions(each[i])[0]}: {values} (1 - SSIM)"


morphs = widgets.image_slider(morphed, alt="A teddy, and the same with some words of its caption, or its appearance, changed.",
                              columns=2, scale=3, words=[0, 1, 2, 3, 4, 5], appearance=[0.0, 0.25, 0.5, 0.75, 1.0])  # fmt: skip
morphs

# %%
print(morphs.set(words=1, appearance=0.0))
print(morphs.set(words=0, appearance=1.0))
book.claim("A position of this slider is drawn in less than a second, whatever else the machine does", morphs.latency(), at_most=1000,
           unit="ms")  # fmt: skip
grids = {"meaning": [morphed(w, 0.0)[0][1] for w in range(6)], "appearance": [morphed(0, v / 4)[0][1] for v in range(5)]}
viz.rows({k: torch.stack(v) for k, v in grids.items()}, scale=2,
         alt="Upper row: a teddy that loses word after word of its caption. Lower row: the same teddy in another and another light.")  # fmt: skip

# %%
word, dress = ({name: d[positions.index(at)].item() for name, d in apart.items()} for at in [(1, 0.0), (0, 1.0)])
for name in ("MSE", "latent", "features"):
    book.claim(f"{name} calls another appearance further away than another scarf", dress[name] / word[name], at_least=1, unit="times")
book.claim("… the reader's words call it nearer", dress["words"] / word["words"], at_most=0.2, unit="times")
counted = [apart["words"][positions.index((w, 1.0))].item() for w in range(6)]
book.claim("Whatever the appearance, the reader counts the changed words: the largest error", max(abs(c - w) for w, c in enumerate(counted)),
           at_most=0.3, unit="words")  # fmt: skip
claims.table(
    ["what changes", *distances], [["one word, the scarf", *(f"{word[d]:.3g}" for d in distances)], ["the full appearance", *(f"{dress[d]:.3g}" for d in distances)]]
)

# %% [markdown]
# ## The ledger

# %%
book.close()

# %%
# NBVAL_CHECK_OUTPUT
book.verdicts()

# %% [markdown]
# ## What to take along
#
# Pixels are too many: every step pays for each of them, by the square of the side or by its fourth power. They are redundant:
# neighbours predict them, and few numbers place an image in its set. And they mean little: noise and meaning look alike to the
# distance between pixels. We want a space with **fewer** numbers (chapter 2) in which **distance and density mean something**
# (chapter 3), and only then will we learn to draw in it (chapter 4). Continue with [chapter 2](02_autoencoder.ipynb).
#
# ## Where it comes from
#
# | formula or method | name in `course_lib` | source |
# |---|---|---|
# | $O(n^2 d)$ for attention over $n$ tokens, $O(k\,n\,d^2)$ for convolution | `layers.SelfAttention`, `layers.ResBlock` | Vaswani et al. 2017, table 1 |
# | UNet, DiT as denoisers | `unet.UNet`, `dit.DiT` | Ho et al. 2020; Peebles and Xie 2023 |
# | working at a side 8 times smaller | chapters 2 to 5 | Rombach et al. 2022, section 4.1 |
# | the predictor behind the bits a pixel | `dimension.prediction_error` | Weinberger et al. 2000, eq. 1 |
# | $(\sum\lambda)^2/\sum\lambda^2$ | `dimension.participation_ratio` | Gao et al. 2017 |
# | $\log(r_2/r_1)\sim\mathrm{Exp}(d)$ | `dimension.two_nn` | Facco et al. 2017 |
# | $\frac1N\sum_i\mathcal N(x; x_i, h^2I)$ | `experiments.ch1_pixel_space.density.kernel_density_fit` | Parzen 1962 |
# | SSIM | `metrics.ssim` | Wang et al. 2004, eq. 13 |
# | calibrated confidence | `classifier.calibrate` | Guo et al. 2017, eq. 9 |
