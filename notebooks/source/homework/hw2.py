# %% [markdown]
# # Homework 2 · The autoencoder
#
# > Write the six functions that say how small a picture becomes, make it so, and measure what is lost.
#
# You need chapter 2. Each exercise below has a cell for your function, a check, and a figure in which your function works. A check tells what it got, what it
# expected and what probably went wrong; ask it as often as you like. An exercise left blank stops nothing: the cells after it then use the workbook's own
# block, and say so.
#
# [[contents]]
#
# Images are [B, C, H, W] with pixels from -1 to 1. Do not change what you are given: make new tensors.

# %%
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib import device
from course_lib.notebook import claims, viz
from course_lib.homework.demos import hw2 as demos
from course_lib.homework.checks import hw2

print(device.find())

# %% [markdown]
# ## 1 · How long is a side after a convolution?
#
# [[conv_output_size]]
#
# A convolution lays its kernel on the first `kernel` pixels of the padded side, then moves it on by `stride` pixels, again and again, as long as it fits. Each place gives one number. How many are there (Dumoulin & Visin 2016, relationship 6)?
#
# | argument | type | what it is |
# |---|---|---|
# | `side` | an int | pixels along one side of the input |
# | `kernel`, `stride` | ints | pixels |
# | `padding` | an int | pixels of zeros, put at **both** ends |
# | returns | an int | numbers along the same side of the output |
#
# <details><summary>Hint 1</summary>
#
# Draw it: 7 pixels, no padding, kernel 3, stride 2. Where does the kernel stand first, where last? How many moves lie between?
# </details>
#
# <details><summary>Hint 2</summary>
#
# The first place costs `kernel` pixels, each further one `stride`. What is left over at the end is lost: `//` rounds down.
# </details>


# %% exercise="conv_output_size"
def conv_output_size(side: int, kernel: int, stride: int, padding: int) -> int:
    """The side of a convolution's output, for an input of this side; padding is put at both ends."""
    ### BEGIN SOLUTION
    return (side + 2 * padding - kernel) // stride + 1
    ### END SOLUTION


# %% check="conv_output_size"
side_after = hw2.conv_output_size.check(conv_output_size)

# %% [markdown]
# **At work.** One teddy on its way down the encoder of the workbook's VAE. Of each convolution you see the first channel, a list of numbers that your function lays out as a square (the first halves twice at once). Before you look: at which side does the teddy stop being a teddy for you?

# %%
way = demos.way_down(side_after)
viz.grid(torch.cat(list(way.values())), len(way), titles=list(way), scale=3, alt=demos.ALT["conv_output_size"])

# %% [markdown]
# ## 2 · What becomes of an image?
#
# [[latent_shape]]
#
# An encoder with `halvings` convolutions of stride 2, kernel 4 and padding 1 takes RGB images [B, 3, height, width]. Its last layer gives `channels` channels. What is the shape of a latent, and how many times fewer numbers does it have than the image?
#
# | argument | type | what it is |
# |---|---|---|
# | `height`, `width` | ints | of the image, multiples of $2^{\text{halvings}}$, and not equal |
# | `halvings` | an int | how many times each side is halved |
# | `channels` | an int | of the latent |
# | returns | (int, int, int, float) | the latent's channels, height and width, and the ratio |
#
# <details><summary>Hint 1</summary>
#
# By your `conv_output_size`, what do kernel 4, stride 2, padding 1 do to an even side? And to the result once more?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Count numbers, not pixels: an RGB image has three for each pixel, a latent has `channels` for each of its places. The ratio need not be whole.
# </details>


# %% exercise="latent_shape"
def latent_shape(height: int, width: int, halvings: int, channels: int) -> tuple[int, int, int, float]:
    """Channels, height and width of the latent of an RGB image, and how many times fewer numbers it has."""
    ### BEGIN SOLUTION
    for _ in range(halvings):
        height, width = height // 2, width // 2
    return channels, height, width, 3 * 4**halvings / channels
    ### END SOLUTION


# %% check="latent_shape"
shape_of = hw2.latent_shape.check(latent_shape)

# %% [markdown]
# **At work.** The autoencoders of Stable Diffusion (SD) 1 and 3, that of SANA, and the workbook's own. All but SANA's halve a side three times; their latents have 4 channels, SD 3's has 16. SANA's halves it five times and has 32. Which of the four, would you say, shrinks a picture most?

# %%
kinds = demos.catalogue(shape_of)
claims.table(["autoencoder", "image → latent"], [[name, shape] for name, (shape, _) in kinds.items()])
viz.bars({name: times for name, (_, times) in kinds.items()}, ylabel="times fewer numbers", alt=demos.ALT["latent_shape"])

# %% [markdown]
# ## 3 · And back?
#
# [[conv_transpose_output_size]]
#
# A transposed convolution goes the other way. Each of the `side` input numbers stamps its kernel on an empty line, each stamp `stride` pixels after the one before; where stamps overlap, they add up. Then `padding` pixels are **cut off at both ends**, and `output_padding`
# pixels are added at one end (Dumoulin & Visin 2016, relationship 14). How long is the line?
#
# | argument | type | what it is |
# |---|---|---|
# | `side` | an int | numbers along one side of the input |
# | `kernel`, `stride`, `padding` | ints | pixels of the output |
# | `output_padding` | an int | pixels added at one end, fewer than `stride` |
# | returns | an int | pixels along the same side of the output |
#
# <details><summary>Hint</summary>
#
# From where the first stamp begins to where the last one begins, there are `side - 1` steps. Where does the last one end?
# </details>


# %% exercise="conv_transpose_output_size"
def conv_transpose_output_size(side: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    """The side of a transposed convolution's output, for an input of this side."""
    ### BEGIN SOLUTION
    last = (side - 1) * stride + kernel
    return last - 2 * padding + output_padding
    ### END SOLUTION


# %% check="conv_transpose_output_size"
side_back = hw2.conv_transpose_output_size.check(conv_transpose_output_size)

# %% [markdown]
# **At work.** Your function says how large the canvas must be; then stamps with stride 2 are laid on it. Stamps lie in both directions, so they are squares; shown are 4 × 4 pixels from the middle. Within a square, the brighter a pixel, the more stamps touch it; above stand the fewest and the most. Decoders that are careless about this draw checkerboards (Odena et al. 2016). Which of the kernels 2, 3, 4 and 5 would you choose?

# %%
touched = demos.stamps(side_back)
viz.grid(torch.cat(list(touched.values())), len(touched), titles=list(touched), scale=5, alt=demos.ALT["conv_transpose_output_size"])

# %% [markdown]
# ## 4 · A bottleneck
#
# [[bottleneck]]
#
# Write the narrow end of an encoder as a function of its weights: a convolution, SiLU, a second convolution. Both convolutions have stride 2 and one pixel of padding; SiLU is $x \cdot \text{sigmoid}(x)$. After the second there is no SiLU, for a code may be any number.
#
# | argument | shape | what it is |
# |---|---|---|
# | `images` | [B, C, H, W] | images, or what an earlier layer made of them; H and W are multiples of 4 |
# | `weight1`, `bias1` | [M, C, 4, 4], [M] | of the first convolution |
# | `weight2`, `bias2` | [K, M, 4, 4], [K] | of the second |
# | returns | [B, K, H/4, W/4] | codes |
#
# <details><summary>Hint 1</summary>
#
# `F.conv2d` takes the input, a weight and a bias, and `stride=` and `padding=`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `F.silu` exists. Look at the shapes after each line: `print(x.shape)` in a cell of your own, with small random tensors.
# </details>


# %% exercise="bottleneck"
def bottleneck(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """Images [B, C, H, W] → codes [B, K, H/4, W/4]: convolution, SiLU, convolution, each with stride 2 and padding 1."""
    ### BEGIN SOLUTION
    hidden = F.conv2d(images, weight1, bias1, stride=2, padding=1)
    return F.conv2d(F.silu(hidden), weight2, bias2, stride=2, padding=1)
    ### END SOLUTION


# %% check="bottleneck"
narrow = hw2.bottleneck.check(bottleneck)

# %% [markdown]
# **At work.** Your function is the end of an encoder that makes 16 numbers of a garment with 1,024 pixels. The whole is trained for 600 steps, about 15 seconds on a laptop. What do you expect 16 numbers to keep?

# %%
result = demos.train_small(narrow)
viz.loss_curve(result.losses, ylabel="squared error (nats per image)", alt=demos.ALT["bottleneck"])

# %%
train, test = demos.garments("train", 4000), demos.garments("test", 1000)
by_network = demos.copies(result.ema, test)
viz.rows({"garments": test[:10], "copies by 16 numbers": by_network[:10]}, scale=2, alt=demos.ALT["bottleneck 2"])

# %% [markdown]
# ## 5 · The best that a straight line can do
#
# [[pca_reconstructions]]
#
# Principal component analysis is an autoencoder without bends. Subtract the mean point of `train`. The `k` directions in which the centred points vary most are the axes, of length 1 and at right angles to each other; they are the first right singular vectors of the centred table.
# A point's code is its length along each axis. The copy is the mean plus the axes in these amounts. Both the mean and the axes are learned on `train`; what is copied is `test`.
#
# | argument | shape | what it is |
# |---|---|---|
# | `train` | [N, D] | points to learn from, more or fewer than D |
# | `test` | [M, D] | points to copy |
# | `k` | an int | how many numbers a code has, fewer than N and D |
# | returns | [M, D] | the copies |
#
# <details><summary>Hint 1</summary>
#
# `torch.linalg.svd(table, full_matrices=False)` returns U, S, Vh. The axes are the *rows* of Vh, the one with the largest variance first.
# </details>
#
# <details><summary>Hint 2</summary>
#
# With `axes` [k, D], codes are `centred @ axes.T`, [M, k]. What takes them back to [M, D]?
# </details>


# %% exercise="pca_reconstructions"
def pca_reconstructions(train: Tensor, test: Tensor, k: int) -> Tensor:
    """Copies of test [M, D] by their first k principal components, learned on train [N, D]."""
    ### BEGIN SOLUTION
    mean = train.mean(0)
    axes = torch.linalg.svd(train - mean, full_matrices=False).Vh[:k]
    return mean + (test - mean) @ axes.T @ axes
    ### END SOLUTION


# %% check="pca_reconstructions"
straight = hw2.pca_reconstructions.check(pca_reconstructions)

# %% [markdown]
# **At work.** The same garments by 16 numbers of PCA, between them and the network's copies. Which do you find better, and at what?

# %%
by_pca = demos.linear_copies(straight, train, test, 16)
viz.rows(
    {"garments": test[:10], "16 numbers, PCA": by_pca[:10], "16 numbers, network": by_network[:10]},
    scale=2,
    alt=demos.ALT["pca_reconstructions"],
)

# %% [markdown]
# ## 6 · How good is a copy?
#
# [[psnr]]
#
# Eyes differ; decibels can be compared. The peak signal-to-noise ratio of one image is
#
# $$10 \log_{10} \frac{\text{peak}^2}{\text{MSE}},$$
#
# where MSE is the mean squared error over all numbers of this image, and the peak is how far the largest pixel can be from the smallest. Here pixels go from -1 to 1.
#
# | argument | shape | what it is |
# |---|---|---|
# | `images`, `copies` | [B, C, H, W] | from -1 to 1; a copy may go a little beyond, and is taken as it is |
# | returns | [B] | decibels, for each image its own |
#
# <details><summary>Hint</summary>
#
# First the squared error of each image, [B]: over which axes does the mean run? Then the logarithm, `torch.log10`.
# </details>


# %% exercise="psnr"
def psnr(images: Tensor, copies: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each copy in decibels, [B], for pixels from -1 to 1."""
    ### BEGIN SOLUTION
    mse = (images - copies).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / mse)
    ### END SOLUTION


# %% check="psnr"
decibels = hw2.psnr.check(psnr)

# %% [markdown]
# **At work.** Your network's 16 numbers beside PCA with ever more. Before you look: how many numbers will PCA need to copy as well as the network?

# %%
ks = [4, 8, 12, 16, 24, 32, 48, 64]
linear = [decibels(test, demos.linear_copies(straight, train, test, k)).mean().item() for k in ks]
yours = decibels(test, by_network)
viz.lines(
    {"PCA": (ks, linear), "your network": ([16], [yours.mean().item()])},
    log="x",
    xlabel="numbers in a code",
    ylabel="mean PSNR (dB)",
    alt=demos.ALT["psnr"],
)

# %%
order = yours.argsort()
viz.rows(
    {
        f"{name}: {yours[i].min():.0f} to {yours[i].max():.0f} dB": torch.cat([test[i], by_network[i]])
        for name, i in (("worst", order[:5]), ("best", order[-5:]))
    },
    scale=2,
    titles=["garment"] * 5 + ["its copy"] * 5,
    alt=demos.ALT["psnr 2"],
)

# %% [markdown]
# ## 7 · Holes, in words
#
# [[holes]]
#
# An autoencoder copies. Can it also draw? Here are codes that are no picture's, decoded by your network: half way between the garment above and another; drawn from the Gaussian with the codes' own mean and covariance; drawn from $\mathcal N(0, I)$. The printed numbers are the standard deviations of the sixteen numbers of a code, over a thousand garments.

# %%
print("codes:", *(f"{std:.1f}" for std in demos.spread(result.ema, test)))
viz.rows(demos.drawn(result.ema, test), scale=2, alt=demos.ALT["holes"])

# %% [markdown]
# Three questions; two sentences for each are enough.
#
# 1. With 16 numbers the network leads PCA; chapter 2 found that with 256 it hardly does. Why does bending pay where numbers are few?
# 2. Your best and your worst copies differ by many decibels. What have the best in common, and why does a high PSNR not say that they are good pictures?
# 3. What in the training loss told the decoder what to make of a code that is no picture's? Why are draws from $\mathcal N(0, I)$ worse than codes half way between two garments, and what would you change in the training so that one may draw?

# %% [markdown] written="holes"
# ### BEGIN SOLUTION
# **Model answer.** 1. Pictures of garments lie near a curved sheet of few dimensions. PCA can only lay a flat space through it, and needs many axes to follow the bends; a network bends its own sheet. With many axes the flat space holds nearly everything, and there is little left to gain. 2. They are plain and of one tone (dark, or empty around a small garment): there is
# little to err in. PSNR compares with the *possible* range and not with what there is to see, and squared error forgives the loss of all fine texture. 3. Nothing: the loss asks only at the codes of training pictures. Between two of them the decoder is smooth, so it gives something like a mixture of neighbours; codes of N(0, I) have another scale (see the printed numbers) and other
# correlations than the pictures' codes and mostly fall where no picture ever was. One adds a term that pulls the codes towards a known distribution and makes the decoder see clouds instead of points: the VAE of chapter 3 (noise on the codes in training is half of it).
#
# **Rubric, 3 points.** 1 for each question. 1: half for curved against flat, half for why the lead melts. 2: half for plain or dark pictures, half for what PSNR does not see. 3: half for "the loss is asked at training codes only", half for a change that fits (a prior, noise on the codes).
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw2.summary(conv_output_size, latent_shape, conv_transpose_output_size, bottleneck, pca_reconstructions, psnr)
