# %% [markdown]
# # 6 · Further reading: a sharper VAE
#
# > Squared error gives soft reconstructions. What do the autoencoders of real image generators do about it, and what do they pay?
#
# **After this notebook you can**
#
# - say, with a picture of one pixel, why squared error blurs, and what two other losses would rather have;
# - build a distance from any trained network, and say which doubts it forgives and which it does not;
# - build a discriminator of patches, balance it with the other losses, and say what it adds and what it makes up;
# - read figures of a reconstruction that disagree, and say which question each of them answers.
#
# **You need** chapter 3. How many minutes this takes on your kind of machine is in the table of the [README](../README.md).

# %%
from itertools import pairwise

import torch

from course_lib import adversarial, device, metrics, perceptual, recipes, teddies
from course_lib.images import to_float
from course_lib.notebook import claims, viz, widgets
from course_lib.judges import factor_reader
from course_lib.experiments.ch6_sharper_vae import sharper

machine = device.find()
print(machine)
book = claims.Claims("6 Sharper VAE")

# %%
vae, reader = recipes.load_or_train("teddies-vae", machine), recipes.load_or_train("teddies-reader", machine)
tests, factors = teddies.dataset(500, 21, device=machine.device, unseen=True)
drawn, reconstructed = to_float(tests), sharper.reconstruct(vae, tests)
missing = (drawn - reconstructed).abs().mean(1, keepdim=True).expand(-1, 3, -1, -1)
some = slice(0, 6)
viz.rows(
    {"drawn": drawn[some], "reconstructed": reconstructed[some], "missing": 1 - 2 * missing[some]},
    scale=2,
    alt="Six teddies, their softer reconstructions by the VAE, and the difference, dark on white: outlines, faces and patterned cloth.",
)

# %% [markdown]
# The second row went through the workbook's own VAE of teddies: 12,288 numbers to 256 and back, the 48× of Stable Diffusion's autoencoder. Everything that has a
# name came through: chapter 1's reader reads the reconstructions as it reads the drawings. What is missing lies along the outlines, in the faces, and in patterned cloth: the code does not say
# *exactly* where an edge runs, and the decoder must draw something nevertheless.

# %%
accuracy = {name: factor_reader.factor_accuracy(reader, x, factors) for name, x in {"drawn": drawn, "reconstructed": reconstructed}.items()}
claims.table(["words read correctly", *teddies.SEMANTIC], [[name, *(found[factor] for factor in teddies.SEMANTIC)] for name, found in accuracy.items()])
book.claim("The reader reads every word of the reconstructions", min(accuracy["reconstructed"][factor] for factor in teddies.SEMANTIC), at_least=0.97)
book.claim("… though detail is missing from them", sharper.high_frequency_rms(reconstructed) / sharper.high_frequency_rms(drawn), at_most=0.9, unit="of the drawings'")

# %% [markdown]
# ## One pixel, two possibilities
#
# Make it as small as it gets: one pixel that is about −1 or about +1, each in half of the cases, and the code does not say which. The
# decoder must give one answer $a$. Three losses, each computed exactly:
#
# - the **squared error** $\mathbb E\,(a - x)^2$;
# - a distance between **features**, $\mathbb E\,(\varphi(a) - \varphi(x))^2$ with $\varphi(x) = |x|$: a network that sees contrast, not sign;
# - a **discriminator** that knows how often each value occurs: $-\log p(a)$.
#
# **Predict.** Which answer does each of them like best?

# %%
toy = sharper.one_pixel_losses()
panels = viz.Panels(3, 2.9, 2.8)
for panel, (name, loss) in zip(panels, {"squared error": toy.squared, "features |x|": toy.features, "discriminator": toy.discriminator}.items(), strict=True):
    viz.draw_lines(panel, {"": (toy.answer, loss)}, xlabel="the answer", ylabel=name, marker=False)
    panel.fill_between(toy.answer, 0, toy.density / toy.density.max() * loss.max(), alpha=0.15, color="black")
panels.picture("Three curves over the answer, real values shaded at -1 and +1: squared error is least at 0 between them, the other two at -1 and at +1.")

# %%
best = {name: toy.answer[loss.argmin()].item() for name, loss in {"squared": toy.squared, "features": toy.features, "discriminator": toy.discriminator}.items()}
middle = toy.density[toy.answer == 0].item() / toy.density.max().item()
book.claim("Squared error likes the mean best", abs(best["squared"]), at_most=0.01)
book.claim("… a value that never occurs: its density, as a fraction of the highest", middle, at_most=1e-6)
book.claim("The features like an answer that occurs", abs(best["features"]), at_least=0.97, at_most=1.03)
book.claim("… and so does the discriminator", abs(best["discriminator"]), at_least=0.97, at_most=1.03)
cost_of_sharp = toy.squared[(toy.answer - 1).abs().argmin()].item() / toy.squared.min().item()
book.claim("By squared error, the sharp answer is twice as bad as the grey one", cost_of_sharp, at_least=1.9, at_most=2.1, unit="times")

# %% [markdown]
# <details><summary><b>The mean, and twice the price</b></summary>
#
# Squared error likes 0 best: $\mathbb E (a-x)^2 = (a - \mathbb E x)^2 + \mathrm{Var}\,x$, for *any* distribution of $x$. Grey where the truth is black or white. Features that do
# not see the sign, and a discriminator that has only seen black and white, both prefer to commit themselves. They will be wrong half of the time,
# and squared error punishes a wrong guess heavily: the sharp answer costs twice the grey one. Remember that factor; it comes back.
# </details>
#
# ## The same with 12,288 pixels
#
# Suppose that the code says everything about a teddy but its place, and leaves that open to two pixels: five positions, equally likely. Two decoders answer. The careful
# one draws the mean of all five, the sharp one any of the five.

# %%
few = drawn[:40]
possible = sharper.horizontal_shifts(few, reach=2)
mean, sharp = possible.mean(0), possible[0]
viz.rows(
    {"truth": few[some], "the mean": mean[some], "a sharp answer": sharp[some]},
    scale=2,
    alt="Six teddies, the mean of five positions of each, blurred, and the same teddies two pixels aside, sharp.",
)

# %% [markdown]
# ## A distance in features
#
# What would a distance be that looks at pictures as we do? Take a trained network, and compare what it holds inside (Zhang et al. 2018). Ours is the reader of chapter 1, which reads a teddy's
# factors from its picture; the well-known ones take a classifier of a million photographs.

# %%
claims.source(perceptual.feature_maps, perceptual.perceptual_distance)

# %% [markdown]
# **Predict.** Three damages, each of exactly the same squared error: all a little lighter, blurred, noisy. Which one does the reader mind least, and which one most?

# %%
worse = sharper.distort(drawn[:100], error=0.1, seed=0)
viz.rows({"drawn": drawn[some]} | {name: x[some] for name, x in worse.items()}, scale=2, alt="Six teddies; a little lighter; blurred; noisy.")


# %%
def in_pixels(a, b):
    return (a - b).square().flatten(1).mean(1)


def in_features(a, b):
    return perceptual.perceptual_distance(reader, a, b)


seen = {name: in_features(x, drawn[:100]).mean().item() for name, x in worse.items()}
viz.bars(
    seen,
    ylabel="distance in features",
    alt="Three damages of equal squared error as the reader's features see them: blur is farthest, lighter little nearer, noise nearest by far.",
)

# %%
book.claim("At equal squared error, these features mind blur more than noise", seen["blurred"] / seen["noisy"], at_least=2, unit="times")
book.claim("… and more than light, though little", seen["blurred"] / seen["lighter"], at_least=1.03, unit="times")

# %% [markdown]
# <details><summary><b>Noise least, blur most</b></summary>
#
# To squared error all three are equal. To this network they are not: its convolutions average noise away before it can do harm, but blur takes the edges from which it reads eyes, scarves and
# places. Light changes fur and scarf colours, and colours are what it was taught to name. This is what a distance in features is for: it weighs errors by what they do to what
# a picture *says*, as far as this network can read.
# </details>
#
# **Predict.** And the teddy of the five positions: does the distance in features prefer the sharp answer, as $|x|$ did?

# %%
squared, features = (sharper.expected_distance(possible, d) for d in (in_pixels, in_features))
claims.table(
    ["average distance to the truth", "of the mean", "of a sharp answer", "sharp / mean"],
    [["squared error", *squared, squared.sharp / squared.mean], ["features", *features, features.sharp / features.mean]],
)

# %%
book.claim("In images too, a sharp answer costs twice the mean by squared error", squared.sharp / squared.mean, at_least=1.999, at_most=2.001, unit="times")
book.claim("A distance in features charges less for sharpness", features.sharp / features.mean, at_most=1.8, unit="times")
book.claim(
    "A distance in features prefers a sharp answer to the mean",
    features.sharp / features.mean,
    at_most=1,
    expected=False,
    unit="times",
    reason="this reader was trained to report where the teddy is, so its features depend on position; only features that ignore what is uncertain forgive a sharp answer to it",
)

# %% [markdown]
# <details><summary><b>No: these features see where things are</b></summary>
#
# The price of sharpness falls, but it does not fall below 1. A distance between features is a squared error again, of other numbers, and its best answer is a picture with the *mean features*. It
# prefers sharpness only where the features do not see the doubt, as $|x|$ does not see the sign. Our reader was taught to say where the teddy is, so its features depend on position.
# "A perceptual loss makes sharp pictures" is true only as far as the network looks past what the code leaves open: always ask *whose* perception.
# </details>
#
# ## A discriminator
#
# The other way out of the toy was to ask how often an answer *occurs*. Nobody knows the density of pictures, but a network can learn the next best thing: to tell real ones
# from made ones (Goodfellow et al. 2014). It looks at patches of 18 × 18 pixels only (Isola et al. 2017). Where the teddy sits, it cannot know; how an edge looks, it can.

# %%
claims.source(adversarial.PatchDiscriminator, adversarial.discriminator_loss, adversarial.generator_loss)

# %% [markdown]
# **Predict.** A discriminator learns from other teddies to tell them from their means over five positions. Which share of the patches of new ones does it sort rightly, where 0.5 is guessing? And sharp answers
# from truths?

# %%
others = to_float(teddies.dataset(400, 22, device=machine.device)[0])
discriminator = sharper.train_discriminator(others, sharper.horizontal_shifts(others, 2).mean(0), machine)
sorted_correctly = {"the mean": sharper.discriminator_accuracy(discriminator, few, mean), "a sharp answer": sharper.discriminator_accuracy(discriminator, few, sharp)}
viz.bars(
    sorted_correctly,
    ylabel="patches sorted correctly (0.5: guessing)",
    alt="The discriminator distinguishes most patches of means from real ones, and sharp answers hardly better than by guessing.",
)

# %%
book.claim("A patch discriminator distinguishes the mean from real images", sorted_correctly["the mean"], at_least=0.7)
book.claim("… and does not distinguish a sharp answer from them", sorted_correctly["a sharp answer"], at_least=0.45, at_most=0.55)

# %% [markdown]
# <details><summary><b>Only the discriminator asks for sharpness</b></summary>
#
# A patch of a teddy two pixels aside is a patch of a teddy. The discriminator finds nothing wrong with it, and it is right: nothing *is* wrong, but that it is another picture. Whether that matters
# is for the other losses to say. So all three are used together (Esser et al. 2021; Rombach et al. 2022).
# </details>
#
# ## Three ways to continue
#
# Now the shipped VAE itself. Three copies of it train on for the same steps on the same pictures: one with its old loss, one with the distance in features added, one with the discriminator as well. The discriminator
# learns at the same time. How loudly may it speak? Its weight is set again at each step, so that it pulls as hard at the decoder's last layer as the other losses do:

# %%
claims.source(adversarial.adaptive_weight, sharper.adversarial_losses, sharper.finetune)

# %%
images = teddies.dataset(3000, 20, device=machine.device)[0]
ways = {"squared error": {}, "+ features": {"perceptual": 20.0}, "+ discriminator": {"perceptual": 20.0, "adversarial": 0.4}}
nets = {"before": vae} | {name: sharper.finetune(vae, images, machine, reader, steps=200, **weights) for name, weights in ways.items()}
reconstructions = {name: sharper.reconstruct(net, tests[:40]) for name, net in nets.items()}
viz.rows(
    {"drawn": drawn[some]} | {name: x[some] for name, x in reconstructions.items()},
    scale=2,
    alt="Six teddies and their reconstructions by the VAE as shipped and by its three continuations; the last has the crispest edges.",
)

# %% [markdown]
# Look closely, nose to the screen: one face and one scarf, four times as large.

# %%
corner = (slice(0, 4), slice(None), slice(16, 48), slice(16, 48))
viz.rows(
    {"drawn": drawn[corner]} | {name: x[corner] for name, x in reconstructions.items()},
    scale=4,
    alt="The middles of four teddies, enlarged: before, squared error and features are soft; with the discriminator, edges are crisper.",
)

# %% [markdown]
# **Predict**, before you run the next cell: which of the four has the best PSNR? The smallest distance in features? Whose patches are most like real ones? Do the latents change?

# %%
training_images = teddies.dataset(1000, 23, device=machine.device)[0]
reports = {name: sharper.sharpness_report(net, reader, tests, machine, training_images) for name, net in nets.items()}
columns = ["", "PSNR (dB)", "SSIM", "distance in features", "patches' Fréchet distance", "detail (of the originals')", "new discriminator's accuracy (0.5: guessing)"]
claims.table(columns, [[name, r.psnr, r.ssim, r.features, r.patch_frechet, r.detail, r.discriminator_accuracy] for name, r in reports.items()])
claims.table(["latents", "KL (nats)", *(f"std of channel {i}" for i in range(4))], [[name, r.kl, *r.latents_std] for name, r in reports.items()])

# %%
before, plain, featured, adversarially = reports.values()
book.claim("The features' own distance falls where it is trained for", featured.features / plain.features, at_most=0.985, unit="of squared error's")
book.claim("… but the reconstructions' detail does not grow by it", featured.detail - plain.detail, at_least=-0.03, at_most=0.03, unit="of the originals'")
book.claim("… and their PSNR stays: the difference from squared error", featured.psnr - plain.psnr, at_least=-0.2, at_most=0.1, unit="dB")
book.claim("With the discriminator detail grows", adversarially.detail - plain.detail, at_least=0.03, unit="of the originals'")
book.claim("… and patches become more like real ones", adversarially.patch_frechet / plain.patch_frechet, at_most=0.9, unit="of the Fréchet distance")
book.claim("The price: reconstructions are less faithful", plain.psnr - adversarially.psnr, at_least=0.05, unit="dB")
book.claim(
    "A new discriminator can no longer distinguish the reconstructions from the originals",
    adversarially.discriminator_accuracy,
    at_most=0.55,
    expected=False,
    reason="a short training makes edges crisper, not right, and leaves small traces of its own that a new discriminator finds",
)
book.claim("The latent becomes more expensive where features count", featured.kl / plain.kl, at_least=1.01, unit="times the nats")
moved = max(abs(a - b) for a, b in zip(adversarially.latents_std, before.latents_std, strict=True))
book.claim("… but the latents keep their standard deviation in every channel, within", moved, at_most=0.1)

# %% [markdown]
# <details><summary><b>Four figures, four winners?</b></summary>
#
# Each loss gets what it asks for. Squared error keeps the PSNR. The features bring their own distance down, by telling more in the code (more nats), and hardly touch sharpness, as the five positions foretold. The discriminator brings detail back, and
# patches whose statistics are nearer to real ones, and pays in PSNR. The latents keep their spread: what denoises the old ones can nearly be kept. A *fresh* discriminator, though, still tells reconstructions from drawings about as
# well as before: crisper is not yet right.
# </details>

# %% [markdown]
# ## From faithful to crisp, by hand
#
# The two ends come from the same weights, so that every network *between* them works too (Wang et al. 2018). Move the slider from squared error to the discriminator: the reconstruction gets less faithful, and its patches more like real ones.

# %%
fractions = [i / 10 for i in range(11)]
ends = nets["squared error"], nets["+ discriminator"]
blends = {fraction: sharper.reconstruct(sharper.interpolate_weights(*ends, fraction), tests[some]) for fraction in fractions}


def between(fraction):
    made = blends[fraction]
    psnr = metrics.psnr(made, drawn[some])
    detail = sharper.high_frequency_rms(made) / sharper.high_frequency_rms(drawn[some])
    caption = f"{fraction:.0%} of the way to the discriminator: PSNR {psnr:.2f} dB, detail {detail:.0%} of the originals'"
    return torch.cat([drawn[some], made]), caption


widgets.image_slider(between, alt="Six teddies and below their reconstructions, from soft to crisp.", columns=6, scale=2, fraction=fractions)

# %%
print(between(0.0)[1], between(1.0)[1], sep="\n")

# %%
path = [sharper.sharpness_report(sharper.interpolate_weights(*ends, fraction), reader, tests[:200], machine, training_images) for fraction in (0, 0.25, 0.5, 0.75, 1)]
viz.lines(
    {"": ([r.psnr for r in path], [r.patch_frechet for r in path])},
    xlabel="PSNR (dB)",
    ylabel="Fréchet distance of patches",
    alt="A rising curve: the more faithful a reconstruction, the less its patches are like real ones.",
)

# %% [markdown]
# To the right and down would be a reconstruction that is better in both. Along this line none is: who wants more of the one must give of the other. Blau & Michaeli (2018) prove that such a
# border exists for every way of restoring pictures.

# %%
steps = [(b.psnr - a.psnr, b.patch_frechet - a.patch_frechet) for a, b in pairwise(path)]
book.claim("On the way to the discriminator every part of it costs fidelity: the largest step", max(s[0] for s in steps), at_most=0.02, unit="dB")
book.claim("… and brings patches nearer to real ones: the largest step", max(s[1] for s in steps), at_most=0.003)

# %% [markdown]
# ## The ledger

# %%
book.close()

# %%
# NBVAL_CHECK_OUTPUT
book.verdicts()

# %% [markdown]
# ## What you take along
#
# Squared error draws the mean of what the code leaves open, and the mean of sharp pictures is soft. A distance in features weighs errors by what a network reads, and forgives only the doubts that
# this network does not see. A discriminator asks for pictures that could be real, and does not ask whether they are *this* one. Fidelity and sharpness are two axes: no figure measures both, and no
# autoencoder has the best of both. Image generators take the sharp end, because nobody compares their samples with an original.
#
# **Try it.** Raise the weight of the discriminator to 2 (who wins?), or set that of the features to 0: what does the table say, and do you like the pictures? Then take the features of
# the first layer only (`perceptual.TAPS`): do they forgive more sharpness, or less?
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | distance in features | Zhang et al. 2018, eq. 1 (LPIPS, there with learned weights); Johnson et al. 2016 | `perceptual.perceptual_distance` |
# | a discriminator learns the density ratio | Goodfellow et al. 2014, proposition 1 | `sharper.one_pixel_losses` |
# | discriminator of patches | Isola et al. 2017, section 3.2.2 | `adversarial.PatchDiscriminator` |
# | hinge loss | Lim & Ye 2017, eq. 3 and 4 | `adversarial.discriminator_loss`, `.generator_loss` |
# | the discriminator's weight | Esser et al. 2021, eq. 7 | `adversarial.adaptive_weight` |
# | all of it in an autoencoder for latent diffusion | Rombach et al. 2022, appendix G | `sharper.finetune` |
# | between two networks | Wang et al. 2018 (ESRGAN), section 3.4 | `sharper.interpolate_weights` |
# | faithful or like real ones, not both | Blau & Michaeli 2018 | the last figure |
