# %% [markdown]
# # 6 · Further reading: a sharper VAE
#
# > Squared error gives soft reconstructions. What do the autoencoders of real image generators do about it, and what do they pay?
#
# A decoder that is not sure draws the *mean* of what is still possible, and the mean of sharp images is soft. Two other losses want
# something else: a **perceptual loss** compares what a network *sees*, a **discriminator** asks whether the image could be real.
#
# **After this notebook you can**
#
# - show with one pixel why squared error blurs, and what the two other losses prefer;
# - build a perceptual loss from any trained network, and test which part of its behaviour comes from training;
# - build a patch discriminator, balance it with the other losses, and say what it adds and what it invents;
# - read quality measures that disagree, and say which question each of them answers.
#
# **You need** chapter 3. The minutes to read and to run are in the table of the [README](../README.md).

# %%
import torch

from course_lib import adversarial, device, metrics, perceptual, recipes, teddies
from course_lib.experiments.ch1_pixel_space import meaning
from course_lib.experiments.ch6_sharper_vae import sharper, whose_features
from course_lib.homework.checks.ch6 import ch6
from course_lib.images import patches, to_float
from course_lib.judges import factor_reader
from course_lib.notebook import claims, explore, guess, viz

machine = device.find()
print(machine)
book = claims.Claims("6 Sharper VAE")

# %%
vae, reader = recipes.load_or_train("teddies-vae", machine), recipes.load_or_train("teddies-reader", machine)
tests, factors = teddies.dataset(500, 21, device=machine.device, unseen=True)
drawn, reconstructed = to_float(tests), sharper.reconstruct(vae, tests)
missing = (drawn - reconstructed).abs().mean(1, keepdim=True).expand(-1, 3, -1, -1)
some = slice(0, 5)

# %% tags=["hide-input"]
viz.rows(
    {"original": drawn[some], "reconstruction": reconstructed[some], "missing": 1 - 2 * missing[some]},
    scale=2,
    alt="Five teddies, their softer reconstructions by the VAE, and the difference, dark on white: outlines, faces and patterned cloth.",
)

# %% [markdown]
# The second row went through the workbook's VAE of teddies: 12,288 values to 256 and back, 48 times fewer, as in Stable Diffusion's
# autoencoder. The reconstruction is soft along outlines, in faces and in patterned cloth. Is that only cosmetic? Ask the **reader**:
# a small network that names six factors of a teddy image, the five words of its caption and the *fabric* of its clothes and blanket.
#
# **Predict.** Which of the six words does the reader lose most often in the reconstructions?

# %%
lost = guess.choice("the word that is lost most often", list(factor_reader.NAMED_FACTORS))
lost

# %% tags=["hide-output"]
accuracy = {name: factor_reader.factor_accuracy(reader, x, factors) for name, x in {"originals": drawn, "reconstructions": reconstructed}.items()}
drop = {word: accuracy["originals"][word] - accuracy["reconstructions"][word] for word in factor_reader.NAMED_FACTORS}
lost.compare(max(drop, key=drop.get))

# %% tags=["hide-input", "hide-output"]
claims.table(
    ["fraction read correctly", *factor_reader.NAMED_FACTORS], [[name, *(found[word] for word in factor_reader.NAMED_FACTORS)] for name, found in accuracy.items()]
)
book.claim("The reader misreads the fabric of reconstructions more often than that of originals", drop["fabric"], at_least=0.1, unit="of the images")

# %% [markdown]
# <details><summary><b>Answer</b></summary>
#
# The fabric. The five words of the caption survive. Of the fabrics, a fifth can no longer be read; the glasses are gone as well, and the "Zzz" of the sleeping
# bears is hardly there. A likely reason: stripes, checks and dots are a few pixels wide, and what changes few pixels costs little squared error.
# </details>
#
# ## One pixel, two possibilities
#
# Make it as small as possible: one pixel that is about −1 or about +1, each in half of the cases, and the latent does not say which. The
# decoder must give one answer $a$. Three losses, each computed exactly:
#
# - the **squared error** $\mathbb E\,(a - x)^2$;
# - a distance between **features**, $\mathbb E\,(\varphi(a) - \varphi(x))^2$ with $\varphi(x) = |x|$: a network that sees contrast, not sign;
# - an ideal **discriminator**, which knows how often each value occurs: $-\log p(a)$.
#
# **Predict.** By which factor is the squared error of the answer +1 larger than that of the best answer?

# %%
price = guess.number("squared error of the answer +1, compared with the best answer's", unit="times")
price

# %% tags=["hide-output"]
toy = sharper.one_pixel_losses()
at_one = toy.squared[(toy.answer - 1).abs().argmin()]
price.compare((at_one / toy.squared.min()).item())

# %% tags=["hide-input", "hide-output"]
panels = viz.Panels(3, 3.1, 3.0)
for i, (name, loss) in enumerate({"squared error": toy.squared, "features |x|": toy.features, "discriminator": toy.discriminator}.items()):
    viz.draw_lines(panels[i], {"": (toy.answer, loss)}, xlabel="the answer", ylabel="expected loss", title=name, marker=False)
    panels[i].fill_between(toy.answer, 0, toy.density / toy.density.max() * loss.max(), alpha=0.15, color="black")
    panels[i].plot([toy.answer[loss.argmin()]], [loss.min()], "v", color=viz.COLOURS[1], markersize=9)
panels.picture("Three curves over the answer, real values shaded at -1 and +1: squared error is least at 0 between them, the other two at -1 or +1.")

# %% [markdown]
# <details><summary><b>Answer: twice the price</b></summary>
#
# For *any* distribution of $x$, $\mathbb E (a-x)^2 = (a - \mathbb E x)^2 + \mathrm{Var}\,x$. So squared error likes the mean best: grey, where the truth
# is black or white, a value that never occurs (the shaded areas). The sharp answer is wrong in half of the cases, and squared error punishes a wrong guess heavily: twice the price
# of grey. Features that do not see the sign, and a discriminator that has seen only black and white, both prefer a sharp answer (triangles).
# </details>
#
# ## The same with 12,288 pixels
#
# Suppose that the latent says everything about a teddy but its position, which it leaves open to two pixels: five positions, equally likely.
# Two decoders answer. One draws the mean of all five, the other any of the five.

# %%
few = drawn[:40]
possible = sharper.horizontal_shifts(few, reach=2)  # [5 positions, 40 images, 3, 64, 64]
mean, sharp = possible.mean(0), possible[0]

# %% tags=["hide-input"]
viz.rows(
    {"truth": few[some], "the mean": mean[some], "a sharp answer": sharp[some]},
    scale=2,
    alt="Five teddies, the mean of five positions of each, blurred, and the same teddies two pixels to the side, sharp.",
)

# %% [markdown]
# ## A distance in features
#
# A **perceptual loss** compares what a trained network computes from two images, layer by layer. In **LPIPS** (Zhang et al. 2018) the network is a classifier of
# a million photographs, its features are normalised at each position, and each channel has a *weight that was learned from the
# judgements of people*. Ours is the simplest version: the workbook's reader, and all weights equal.
#
# **Write it.** For the feature maps of one layer: scale the channel vector at every position to length 1, subtract, square, sum over the
# channels, average over the positions.


# %%
def feature_distance(features_a, features_b):
    """Return the distance of two feature maps [B, C, H, W] for each pair of images: [B]."""
    raise NotImplementedError  # three lines


# %%
feature_distance = ch6.feature_distance.check(feature_distance)

# %% [markdown]
# <details><summary>Our solution</summary>
#
# ```python
# def feature_distance(features_a, features_b):
#     a, b = (x / x.norm(dim=1, keepdim=True) for x in (features_a, features_b))
#     return (a - b).square().sum(1).mean((1, 2))
# ```
# </details>
#
# The distance of two images is the sum over the four halvings of the reader:

# %%
LAYERS = slice(0, 4)  # all four; slice(0, 1) is the first alone


def in_features(a, b, net=reader):
    maps_a, maps_b = (perceptual.feature_maps(net, x)[LAYERS] for x in (a, b))
    return sum(feature_distance(u, v) for u, v in zip(maps_a, maps_b, strict=True))


# %% [markdown]
# **Three distortions of exactly the same squared error**: a little lighter, blurred, noisy.
# Before you guess, you must know how the reader was trained: to name the six words and to measure eight continuous factors (light, warmth, position, size …),
# on 64×64 drawings of which a third were *blurred* and a third were *noisy*, so that it judges what is drawn and not how sharply:

# %%
claims.source(factor_reader.corrupt, docstring=False)

# %% [markdown]
# (When it judges, its input is clamped to [−1, 1]. As a distance it sees the images unclamped.)
#
# **Predict.** Which of the three does a distance in this reader's features mind most?

# %%
most = guess.choice("the distortion that is furthest in the reader's features", ["lighter", "blurred", "noisy"])
most

# %% tags=["hide-output"]
distorted = sharper.distort(drawn[:100], error=0.1, seed=0)
seen = whose_features.distances_of_distortions(distorted, drawn[:100], in_features)
most.compare(max(seen, key=seen.get))

# %% [markdown]
# Why? Convolutions might average noise away by themselves. Or training made the difference, by its noisy images or by its task. Do not
# argue: **measure each cause in its own arm**. The same architecture with random weights (five seeds) has no training. A second reader, trained here for
# a short time on clean drawings only, has never seen noise or blur.

# %%
untrained = whose_features.untrained_readers(range(5), machine)
clean = whose_features.train_reader_without_noise(machine)
arms = {"the reader": [reader], "trained without noise": [clean], "random weights": untrained}
minds = {}  # arm -> distances of the three distortions, [networks, 3]
for name, nets in arms.items():
    found = [whose_features.distances_of_distortions(distorted, drawn[:100], lambda a, b, net=net: in_features(a, b, net)) for net in nets]
    minds[name] = torch.tensor([list(one.values()) for one in found])

# %% tags=["hide-input", "hide-output"]
panels = viz.Panels(1, 7.6, 3.8)
for i, (name, values) in enumerate(minds.items()):
    spread = values.std(0) if len(values) > 1 else None
    drawn_bars = panels[0].bar([j + 0.27 * (i - 1) for j in range(3)], values.mean(0), 0.25, yerr=spread, capsize=4, color=viz.COLOURS[i], label=name)
    panels[0].bar_label(drawn_bars, [f"{v:.3f}" for v in values.mean(0)], fontsize=9, padding=3)
panels[0].set_xticks(range(3), list(distorted))
panels[0].set(ylabel="distance in features", ylim=(0, 0.19), title="bars on random weights: ± standard deviation of 5 seeds")
panels[0].legend(fontsize=9, ncols=3, loc="upper center")
panels.picture("Distances of three distortions of equal squared error: to both trained readers noise is nearest, to random weights noise is furthest.")

# %% tags=["hide-input"]
ratio = {name: (values[:, 1] / values[:, 2]).mean().item() for name, values in minds.items()}
book.claim("At equal squared error, the reader's features mind blur more than noise", ratio["the reader"], at_least=2, unit="times")
book.claim("With random weights it is the reverse: mean of five seeds", ratio["random weights"], at_most=0.97, unit="times")
book.claim("A reader trained without any noise also minds blur more", ratio["trained without noise"], at_least=1, unit="times")

# %% [markdown]
# <details><summary><b>Answer: blur most, and training made it so</b></summary>
#
# Random weights mind noise *most*. So the architecture does the opposite, and convolutions that "average noise away" are not the reason.
# Training is. And it is not the noise in the training either: the reader that has only seen clean drawings forgives noise as well (blur ÷ noise is 1.1 to 1.6 for other seeds of this short training, and 1.9 after twice the steps). Naming colours, activities and positions
# is enough to make a network look past independent changes of single pixels. *A perceptual loss minds what its network had to see in order to do its task.*
# Whether LPIPS weighs noise and blur in this way, we have not measured.
# </details>
#
# **Change and run again.** Set `LAYERS = slice(0, 1)` above, and run from there to the figure: does the first layer alone see it the same way?
#
# ## Does it prefer a sharp answer?
#
# Now the teddy of the five positions. Squared error charges twice the price for the sharp answer, whatever the images are (the last toy says why).
#
# **Predict.** And the reader's features: is the sharp answer nearer to the truth, on average, than the mean is?

# %%
prefers = guess.choice("nearer to the truth in the reader's features", ["the mean", "a sharp answer"])
prefers


# %% tags=["hide-output"]
def price_of_sharp(net):
    expected = sharper.expected_distance(possible[:, :10], lambda a, b: in_features(a, b, net))
    return expected.sharp / expected.mean


trained_price, random_price = price_of_sharp(reader), torch.tensor([price_of_sharp(net) for net in untrained])
prefers.compare("the mean" if trained_price > 1 else "a sharp answer")

# %% tags=["hide-input", "hide-output"]
claims.table(
    ["distance", "expected distance of a sharp answer, compared with the mean's (times)"],
    [
        ["squared error", "2 (exactly)"],
        ["features, random weights, five seeds", f"{random_price.mean():.2f} ± {random_price.std():.2f}"],
        ["features of the reader", f"{trained_price:.2f}"],
    ],
)
book.claim(
    "A distance in this reader's features prefers a sharp answer to the mean", trained_price, at_most=1, expected=False, unit="times",
    reason="the price falls from 2 to about 1.4 by training, but the wrong position still costs more than the blur",
)  # fmt: skip

# %% [markdown]
# <details><summary><b>Answer: no, but the price falls, and training lowers it</b></summary>
#
# Random weights behave almost like squared error. The trained features charge less for sharpness, and still more than for the mean. A likely reason: the reader was
# trained to report the position of the teddy, so a wrong position costs.
# </details>
#
# ## And what does it like *best*?
#
# We compared two candidates only. The best answer of all can be found. The same identity as for one pixel holds for features:
#
# $$\mathbb E\,\|\varphi(a)-\varphi(x)\|^2 = \|\varphi(a)-\mathbb E\,\varphi(x)\|^2 + \mathrm{Var}\,\varphi(x).$$
#
# The best answer is the image whose features come *nearest to the mean features*. The features of the mean image are something else, because $\varphi$ is not
# linear. Nor need any image *have* the mean features. If $\varphi$ ignores what is uncertain (as $|x|$ ignores the sign), every possible image has the mean
# features, and a sharp answer is best. If not, the best answer may be an image that is none of the possible ones. Descend the gradient and look:

# %%
best = {"best, reader": whose_features.best_answer(reader, possible[:, some])}
best["best, random weights"] = whose_features.best_answer(untrained[0], possible[:, some])

# %% tags=["hide-input"]
viz.rows(
    {"a sharp answer": sharp[some], "the mean": mean[some]} | best,
    scale=2,
    alt="Five teddies: sharp; mean of five positions; the best answer for the reader, doubled but crisp with coloured grain; the best for random weights, like the mean.",
)

# %% tags=["hide-input"]
detail = {name: sharper.high_frequency_rms(x) / sharper.high_frequency_rms(few[some]) for name, x in ({"mean": mean[some]} | best).items()}
claims.table(["", *detail], [["detail (of the originals')", *detail.values()]])
book.claim("The image that the reader's features like best has more detail than what random weights like best", detail["best, reader"] - detail["best, random weights"], at_least=0.1, unit="of the originals'")  # fmt: skip

# %% [markdown]
# **Detail** is the root mean square of what a 3×3 blur removes, as a fraction of the originals'. The reader's best answer stays where the mean is, *adds* contrast, edges and
# a coloured grain that no original has, and gets nearer to the mean features than either candidate. "A perceptual loss makes images sharp" is half the truth: it asks for the right *features*, and
# a network's features can be had with wrong pixels. This is one reason to use a perceptual loss together with a loss in pixels.
#
# ## Whose meaning? A distance measures what its network was taught
#
# Chapter 1 asked which distance puts the *same meaning* nearer. An **anchor**; a teddy with the same caption but another appearance (grain of the fur, fabric, light, warmth,
# brightness, saturation); and a teddy with the same appearance in which *one word* of the caption differs. There, MSE and SSIM failed often. Now three learned distances join:
# the Euclidean distance of the VAE's **latents**, that of the reader's last 128 **features**, and how many of the five **words** that the reader answers differ.

# %% tags=["hide-input"]
three = meaning.sample_triplets(5, "activity", moved=True, seed=4)
viz.rows(
    {"anchor": three.anchor, "same meaning": three.same, "other meaning": three.other},
    scale=2,
    alt="Three rows of teddies: anchors; the same meaning with another appearance and position; the same appearance with another activity.",
)

# %% [markdown]
# **Predict.** Which of the five errs most often, that is, calls the other meaning nearer?

# %%
NAMES = {"MSE": "MSE", "SSIM": "1 − SSIM", "latent": "latent", "features": "features", "words": "words"}
worst = guess.choice("the distance that errs most often when nothing moves", list(NAMES.values()))
worst


# %% tags=["hide-output"]
def errors(nets, each, **options):
    """How often each distance errs, in %, over `each` triplets for every word: one dictionary for each reader."""
    triplets = [meaning.sample_triplets(each, word, seed=100 + i, **options) for i, word in enumerate(teddies.SEMANTIC)]
    found = [[meaning.triplet_error_rates(*(meaning.represent(x, vae, net) for x in three)) for three in triplets] for net in nets]
    return [{name: 100 * sum(one[name] for one in rates) / len(rates) for name in NAMES} for rates in found]


(still,), (moving,) = (errors([reader], 120, moved=moved) for moved in (False, True))
worst.compare(NAMES[max(still, key=still.get)])

# %% tags=["hide-input", "hide-output"]
panels = viz.Panels(1, 7.6, 3.6)
for i, (name, wrong) in enumerate({"nothing moves": still, "the same meaning also moves": moving}.items()):
    bars_ = panels[0].bar(
        [j + 0.4 * i - 0.2 for j in range(5)], list(wrong.values()), 0.38, color=viz.COLOURS[(0, 5)[i]], label=name, capsize=4,
        yerr=[100 * (p / 100 * (1 - p / 100) / 600) ** 0.5 for p in wrong.values()],
    )  # fmt: skip
    panels[0].bar_label(bars_, [f"{p:.0f}" for p in wrong.values()], fontsize=9, padding=2)
panels[0].axhline(50, color="#555555", linestyle="--", linewidth=1.2)
panels[0].annotate("guessing", (4.45, 50), ha="right", va="bottom", fontsize=9)
panels[0].set_xticks(range(5), list(NAMES.values()))
panels[0].set(ylabel="triplets wrong (%)", ylim=(0, 125), yticks=range(0, 101, 20))
panels[0].legend(fontsize=9, ncols=2, loc="upper center")
panels.picture(
    "Triplets wrong by five distances, without and with movement: the features err most, the words almost never, and MSE, 1 − SSIM and the latent more than guessing when the teddy moves."
)

# %% [markdown]
# Why do the features of so good a reader fail? Change one part of the appearance at a time: the **fabric**, which the reader was taught to name; **light and
# colours**, which it was taught to measure; the **grain** of the fur. And repeat it with random weights.

# %%
parts = {"fabric": ("fabric",), "light and colours": ("light", "warmth", "brightness", "saturation"), "grain": ("grain",)}
apart, by_chance = {}, {}
for name, part in parts.items():
    apart[name], random_one = errors([reader, untrained[0]], 24, moved=False, appearance=part)
    by_chance[name] = random_one["features"]

# %% tags=["hide-input"]
claims.table(
    ["the only difference in the same meaning", *(f"{NAMES[d]} (%)" for d in ("MSE", "latent", "features", "words")), "features, random weights (%)"],
    [[name, *(f"{apart[name][d]:.0f}" for d in ("MSE", "latent", "features", "words")), f"{by_chance[name]:.0f}"] for name in parts],
    title="Triplets wrong, of 120",
)
book.claim(
    "The features of a network that was trained on meaning err less often than pixels", still["features"] / still["MSE"], at_most=1,
    unit="of MSE's errors", expected=False, reason="it was taught to name the fabric too, and its features weigh that like a word",
)  # fmt: skip
book.claim("When only the fabric differs, the features err more often than with random weights", apart["fabric"]["features"] - by_chance["fabric"], at_least=10, unit="points")  # fmt: skip

# %% [markdown]
# <details><summary><b>Answer: the features</b></summary>
#
# They contain all that the network must report, and to it the fabric is a sixth word, worth as much as the other five. Random weights hardly mind a fabric, so it is
# training that made it large. Light and colours, which it was taught to measure, weigh no more than with random weights; the grain is too faint to decide a triplet for any of them. Read only the five answers that matter here, and hardly a triplet is wrong (an unfair contest: it was taught exactly these).
# The VAE's latent was trained on squared error, and it errs like pixels.
# </details>
#
# Change meaning and appearance yourself. The left teddy stays; the right one changes up to five **words** (scarf, activity, fur, count, background) and its
# **appearance**, from its own to a stranger's. Which numbers follow the words?

# %%
left = teddies.sample_factors(1, 6, count="one", fur="brown", activity="waving", scarf="red", background="meadow", fabric="plain")
other = teddies.sample_factors(
    1, 8, count="two", fur="pink", activity="reading", scarf="blue", background="beach", fabric="dots", light=-left.light.sign(), warmth=-left.warmth.sign()
)
positions = [(words, appearance) for words in range(6) for appearance in (0.0, 0.25, 0.5, 0.75, 1.0)]
morphs = [meaning.morph(left, other, *position) for position in positions]
right = torch.cat([teddies.render(one) for one in morphs])
from_left = meaning.represent(teddies.render(left).expand(len(right), -1, -1, -1), vae, reader)
distances = meaning.paired_distances(from_left, meaning.represent(right, vae, reader))


# %% tags=["hide-input"]
def morphed(words, appearance):
    i = positions.index((words, appearance))
    numbers = ", ".join(f"{NAMES[name]} {value[i]:.2f}" for name, value in distances.items())
    return torch.stack([teddies.render(left)[0], right[i]]), f"{teddies.captions(morphs[i])[0]}: {numbers}"


explore.sliders(
    morphed,
    alt="A teddy, and the same with some words of its caption, or its appearance, changed.",
    columns=2,
    scale=4,
    words=list(range(6)),
    appearance=[0.0, 0.25, 0.5, 0.75, 1.0],
)

# %% [markdown]
# ## A discriminator
#
# The other way out of the toy was to ask how often an answer *occurs*. The density of images is unknown, but a network can learn the next best thing: to distinguish real
# images from made ones (Goodfellow et al. 2014). A **patch discriminator** gives one score for every patch of 18 × 18 pixels (Isola et al. 2017). It does not see where the teddy is, but it sees what an edge looks like.
#
# **Write its loss** (hinge loss): a real patch costs $\max(0, 1 - s)$, a fake one $\max(0, 1 + s)$, where $s$ is its score. Average each over its patches, then take the mean of the two.
# **And the decoder's**, for which fake patches should score high: minus the mean score.


# %%
def discriminator_loss(real, fake):
    """Return the discriminator's hinge loss of its scores of real and of fake patches, any shape: a scalar."""
    raise NotImplementedError  # two lines


def generator_loss(fake):
    """Return the decoder's loss of the scores of its patches: a scalar."""
    raise NotImplementedError  # one line


# %%
discriminator_loss = ch6.discriminator_loss.check(discriminator_loss)
generator_loss = ch6.generator_loss.check(generator_loss)

# %% [markdown]
# <details><summary>Our solutions</summary>
#
# ```python
# def discriminator_loss(real, fake):
#     return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2
#
# def generator_loss(fake):
#     return -fake.mean()
# ```
# (with `import torch.nn.functional as F`; `(1 - real).clamp(min=0)` is the same)
# </details>
#
# Train a discriminator with your loss: the truth against means over five positions, on other teddies. Then give it new ones.
#
# **Predict.** What fraction of the patches of *sharp answers* and truths does it classify correctly? (0.5 is guessing.)

# %%
fraction = guess.number("fraction of patches classified correctly, sharp answers against truths")
fraction

# %% tags=["hide-output"]
others = to_float(teddies.dataset(400, 22, device=machine.device)[0])
means = sharper.horizontal_shifts(others, 2).mean(0)
discriminator = sharper.train_discriminator(others, means, machine, loss=discriminator_loss)
fooled = sharper.discriminator_accuracy(discriminator, few, sharp)
fraction.compare(fooled)
caught = sharper.discriminator_accuracy(discriminator, few, mean)
print(f"the mean against the truth: {caught:.3f}")
print(f"the decoder's loss: {generator_loss(discriminator(mean)):.2f} for the mean, {generator_loss(discriminator(sharp)):.2f} for a sharp answer")

# %% tags=["hide-input"]
book.claim("A patch discriminator distinguishes the mean from the truth better than a sharp answer from it", caught - fooled, at_least=0.2)

# %% [markdown]
# <details><summary><b>Answer: it guesses</b></summary>
#
# A patch of a teddy two pixels further left is a patch of a teddy. Nothing *is* wrong with it, except that it belongs to a different image. Judging that is the job of the other losses, so they are used together. **Rombach et al.
# (2022)** train the autoencoder of latent diffusion with absolute error and LPIPS, a patch discriminator, and a very small KL term (or vector quantisation). Ours is a simplified
# version: squared error as in chapter 3's ELBO, the reader's features, the patch discriminator, the full KL.
# </details>
#
# ## Three ways to continue
#
# Three copies of the shipped VAE train on for the same steps on the same images: with the old loss, with the distance in features added, and with the discriminator as well,
# which learns at the same time. How much weight should it get? The weight is set again at each step, so that its gradient at the decoder's last layer is as large as that of the other losses:

# %%
claims.source(adversarial.adaptive_weight, docstring=False)

# %%
images = teddies.dataset(3000, 20, device=machine.device)[0]
ways = {"squared error": {}, "+ features": {"perceptual": 20.0}, "+ discriminator": {"perceptual": 20.0, "adversarial": 0.4}}
nets = {name: sharper.finetune(vae, images, machine, reader, steps=100, **weights) for name, weights in ways.items()}
nets = {"before": vae} | nets
reconstructions = {name: sharper.reconstruct(net, tests[:40]) for name, net in nets.items()}

# %% [markdown]
# Look at the middles, enlarged four times. The last row is the difference between the two rows "+ discriminator" and "squared error", four times as strong (grey: no difference).

# %% tags=["hide-input"]
corner = (slice(0, 5), slice(None), slice(14, 46), slice(16, 48))
changed = (reconstructions["+ discriminator"] - reconstructions["squared error"])[corner]
viz.rows(
    {"original": drawn[corner]} | {name: reconstructions[name][corner] for name in ways} | {"what the discriminator changed": (4 * changed).clamp(-1, 1)},
    scale=4,
    alt="The middles of five teddies, enlarged: squared error and features are soft; with the discriminator edges are crisper; the difference lies along edges and in eyes, with single coloured pixels.",
)

# %% [markdown]
# The discriminator sharpens edges, and it **invents**: single coloured pixels in the eyes, light specks along outlines. The glasses of the first two bears, which the latent has lost, do not return.
#
# **Predict.** Which of the four has the best PSNR?

# %%
best_psnr = guess.choice("the highest PSNR", list(nets))
best_psnr

# %% tags=["hide-output"]
training_images = teddies.dataset(600, 23, device=machine.device)[0]
reports = {name: sharper.sharpness_report(net, reader, tests[:300], machine, training_images) for name, net in nets.items()}
fabric = {name: factor_reader.factor_accuracy(reader, sharper.reconstruct(net, tests), factors)["fabric"] for name, net in nets.items()}
best_psnr.compare(max(reports, key=lambda name: reports[name].psnr))

# %% tags=["hide-input", "hide-output"]
columns = ["", "PSNR (dB)", "fabric read correctly", "distance in features", "Fréchet distance of patches", "detail (of the originals')", "new discriminator's accuracy", "KL (nats)"]  # fmt: skip
claims.table(columns, [[name, r.psnr, fabric[name], r.features, r.patch_frechet, r.detail, r.discriminator_accuracy, r.kl] for name, r in reports.items()])  # fmt: skip
before, plain, featured, adversarially = reports.values()
book.claim("With the discriminator detail grows, compared with squared error", adversarially.detail - plain.detail, at_least=0.03, unit="of the originals'")  # fmt: skip
book.claim("… at a price: PSNR falls by", plain.psnr - adversarially.psnr, at_least=0.05, unit="dB")
book.claim(
    "A new discriminator can no longer distinguish these reconstructions from originals", adversarially.discriminator_accuracy, at_most=0.55,
    expected=False, reason="after a short training edges are crisper, not right, and have traces of their own that a new discriminator finds",
)  # fmt: skip

# %% [markdown]
# The columns: **Fréchet distance of patches** compares mean and covariance of all 4×4 patches with those of the originals. The **new discriminator** is trained from scratch, on other images, to recognise these reconstructions
# (0.5: it guesses). **KL** is what the latent costs.
#
# <details><summary><b>Answer: each loss gets what it asks for</b></summary>
#
# Squared error has the best PSNR. The features bring their own distance down. The discriminator brings detail back and patches whose statistics are nearer to real ones, and
# pays in PSNR. A *new* discriminator recognises these reconstructions no less well than before: crisper is not yet right. Nor does the discriminator bring the fabric back: what
# the latent has lost can only be invented. (Another seed of the training, compared with squared error: PSNR −0.15 instead of −0.19 dB, detail +0.07 instead of +0.08, Fréchet distance −30 instead of −34 %.)
# </details>
#
# **Change and run again.** Raise the discriminator's weight from 0.4 to 2, or set the weight of the features to 0, and run the cells since `ways`. Which numbers move, and do you like the images?
#
# ## From faithful to crisp, by hand
#
# Both ends were trained from the same weights, so that every network *between* them works too (Wang et al. 2018). Move from squared error to the discriminator.

# %%
fractions = [i / 10 for i in range(11)]
ends = nets["squared error"], nets["+ discriminator"]
blends = {f: sharper.reconstruct(sharper.interpolate_weights(*ends, f), tests[:4]) for f in fractions}


# %% tags=["hide-input"]
def between(fraction):
    made = blends[fraction]
    share = sharper.high_frequency_rms(made) / sharper.high_frequency_rms(drawn[:4])
    caption = f"{fraction:.0%} of the way to the discriminator: PSNR {metrics.psnr(made, drawn[:4]):.2f} dB, detail {share:.0%} of the originals'"
    return torch.cat([drawn[:4], made]), caption


explore.sliders(between, alt="Four teddies and below their reconstructions, from soft to crisp.", columns=4, scale=3, fraction=fractions)

# %% tags=["hide-input"]
made = [sharper.reconstruct(sharper.interpolate_weights(*ends, f), tests[:200]) for f in (0, 0.25, 0.5, 0.75, 1)]
psnr = [metrics.psnr(x, drawn[:200]).item() for x in made]
unlike = [metrics.frechet_distance(patches(x, 4), patches(drawn[:200], 4)) for x in made]
viz.lines(
    {"": (psnr, unlike)},
    xlabel="PSNR (dB): faithful →",
    ylabel="← like real ones: Fréchet distance of patches",
    title=f"{psnr[0] - psnr[-1]:.1f} dB from end to end: a small price",
    alt="A rising curve: the more faithful a reconstruction, the less its patches are like real ones.",
    height=4.2,
)

# %% [markdown]
# Further right *and* further down would be better in both. On this line, no network is: what you gain in one you pay in the other, very little at first. Blau & Michaeli (2018) prove that such a
# border exists for every method of restoring images.
#
# ## The ledger

# %% tags=["hide-input"]
book.close()

# %% [markdown]
# ## What to take along
#
# Squared error draws the mean of what the latent leaves open, and the mean of sharp images is soft. A distance in features weighs errors by what its network was trained to see: change the training, and the distance changes;
# its best answer is an image near the mean *features*. A discriminator asks for images that could be real, and does not ask whether they are *this* one. Fidelity and sharpness are two axes, and no single number measures both.
# Image generators take the sharp end, because their samples are never compared with an original.
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | distance in features, all weights equal | Zhang et al. 2018, eq. 1 (LPIPS: learned weights); Johnson et al. 2016 | `perceptual.perceptual_distance` |
# | an ideal discriminator knows the density ratio | Goodfellow et al. 2014, proposition 1 | `sharper.one_pixel_losses` |
# | patch discriminator | Isola et al. 2017, section 3.2.2 | `adversarial.PatchDiscriminator` |
# | hinge loss | Lim & Ye 2017, eq. 3 and 4 | `adversarial.discriminator_loss`, `.generator_loss` |
# | the discriminator's weight | Esser et al. 2021, eq. 7 | `adversarial.adaptive_weight` |
# | perceptual + adversarial loss in an autoencoder for latent diffusion | Rombach et al. 2022, appendix G | simplified in `sharper.finetune` |
# | between two networks | Wang et al. 2018 (ESRGAN), section 3.4 | `sharper.interpolate_weights` |
# | faithful or like real ones, not both | Blau & Michaeli 2018 | the last figure |
# | triplets of meaning and appearance | this workbook, chapter 1 | `meaning.sample_triplets` |
