# %% [markdown]
# # Homework 2 · The autoencoder
#
# > Write six functions that calculate the shape of a latent, compute the latent, and measure what the reconstruction loses.
#
# You need chapter 2. Each exercise below has a cell for your function, a check, and a figure that uses your function. The check reports what your function
# returned, what was expected and what the likely mistake is; run it as often as you like. If you leave an exercise blank, the notebook still runs: the cells
# after it use the workbook's own function, and say so.
#
# [[contents]]
#
# Images are [B, C, H, W] with pixels from -1 to 1. Do not change the arguments: make new tensors. What is random is given to you (the weights of exercise 4): a function that draws random numbers of its own is not reproducible.

# %% [markdown]
# [[grading]]

# %%
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib import device
from course_lib.notebook import claims, viz
from course_lib.homework.demos import compare_guess, loss_curve
from course_lib.homework.demos import hw2 as demos
from course_lib.homework.checks import hw2

print(device.find())

# %% [markdown]
# ## 1 · The output size of a convolution
#
# [[conv_output_size]]
#
# A convolution places its kernel on the first `kernel` pixels of the padded input, then shifts it by `stride` pixels, again and again, as long as it fits. Each position gives one output value. How many output values are there (Dumoulin & Visin 2016, relationship 6)?
#
# | argument | type | what it is |
# |---|---|---|
# | `size` | an int | pixels along one side of the input |
# | `kernel`, `stride` | ints | pixels |
# | `padding` | an int | pixels of zeros, put at **both** ends |
# | returns | an int | values along the same side of the output |
#
# <details><summary>Hint 1</summary>
#
# Draw it: 7 pixels, no padding, kernel 3, stride 2. Where is the kernel first, and where last? How many moves are between the two?
# </details>
#
# <details><summary>Hint 2</summary>
#
# The first position needs `kernel` pixels, each further one `stride`. A remainder at the end is lost: `//` rounds down.
# </details>


# %% exercise="conv_output_size"
def conv_output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """The output size of a convolution along one side, for an input of this size; padding is put at both ends."""
    ### BEGIN SOLUTION
    return (size + 2 * padding - kernel) // stride + 1
    ### END SOLUTION


# %% check="conv_output_size"
output_size = hw2.conv_output_size.check(conv_output_size)

# %% [markdown]
# **At work.** One teddy passes through the encoder of the workbook's VAE. You see the first channel after each convolution: a list of values, which is reshaped to a square with the side that your function returns (the first convolution halves the side twice at once). Before you look: at which size do you no longer recognise the teddy?

# %%
channels = demos.encoder_channels(output_size)
viz.grid(torch.cat(list(channels.values())), len(channels), titles=list(channels), scale=3, alt=demos.ALT["conv_output_size"])

# %% [markdown]
# ## 2 · The shape of a latent
#
# [[latent_shape]]
#
# An encoder with `halvings` convolutions of stride 2, kernel 4 and padding 1 takes RGB images [B, 3, height, width]. Its last layer outputs `channels` channels. What is the shape of the latent, and how many times as many values as the latent does the image have (the compression ratio)? You may call your `conv_output_size`: functions of other cells are there when you are graded, too.
#
# | argument | type | what it is |
# |---|---|---|
# | `height`, `width` | ints | of the image, multiples of $2^{\text{halvings}}$, and not equal |
# | `halvings` | an int | how many times each side is halved |
# | `channels` | an int | of the latent |
# | returns | (int, int, int, float) | the latent's channels, height and width, and the compression ratio |
#
# <details><summary>Hint 1</summary>
#
# According to your `conv_output_size`, what do kernel 4, stride 2, padding 1 do to an even side? And to the result in turn?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Count values, not pixels: an RGB image has three for each pixel, a latent has `channels` for each of its positions. The ratio need not be an integer.
# </details>


# %% exercise="latent_shape"
def latent_shape(height: int, width: int, halvings: int, channels: int) -> tuple[int, int, int, float]:
    """Channels, height and width of the latent of an RGB image, and the compression ratio."""
    ### BEGIN SOLUTION
    for _ in range(halvings):
        height, width = height // 2, width // 2
    return channels, height, width, 3 * 4**halvings / channels
    ### END SOLUTION


# %% check="latent_shape"
shape_of = hw2.latent_shape.check(latent_shape)

# %% [markdown]
# **At work.** Your function is applied to the autoencoders of Stable Diffusion (SD) 1 and 3, of SANA, and of this workbook. All but SANA's halve a side three times; their latents have 4 channels, SD 3's has 16. SANA's halves it five times and has 32.
# Write your guess into the next cell, in place of `None`, and run it before the figure. (You can leave it `None`.)

# %%
guess_most = None  # your guess: which of the four compresses an image most, and how many times? For example "SD 1, 20"

# %%
ratios = demos.compression_ratios(shape_of)
claims.table(["autoencoder", "image → latent"], [[name, shape] for name, (shape, _) in ratios.items()])
most = max(ratios, key=lambda name: ratios[name][1])
compare_guess("Compresses most", guess_most, f"{most}, {ratios[most][1]:g}")
viz.bars({name: ratio for name, (_, ratio) in ratios.items()}, ylabel="compression ratio", alt=demos.ALT["latent_shape"])

# %% [markdown]
# ## 3 · The output size of a transposed convolution
#
# [[conv_transpose_output_size]]
#
# A transposed convolution goes in the other direction. Each of the `size` input values stamps its kernel on an empty line, each stamp `stride` pixels after the previous one; where stamps overlap, they add up. Then `padding` pixels are **cut off at both ends**, and `output_padding`
# pixels are added at one end (Dumoulin & Visin 2016, relationship 14). How long is the line?
#
# | argument | type | what it is |
# |---|---|---|
# | `size` | an int | values along one side of the input |
# | `kernel`, `stride`, `padding` | ints | pixels of the output |
# | `output_padding` | an int | pixels added at one end, fewer than `stride` |
# | returns | an int | pixels along the same side of the output |
#
# <details><summary>Hint</summary>
#
# From the beginning of the first stamp to the beginning of the last one there are `size - 1` steps. Where does the last stamp end?
# </details>


# %% exercise="conv_transpose_output_size"
def conv_transpose_output_size(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    """The output size of a transposed convolution along one side, for an input of this size."""
    ### BEGIN SOLUTION
    end_of_last = (size - 1) * stride + kernel
    return end_of_last - 2 * padding + output_padding
    ### END SOLUTION


# %% check="conv_transpose_output_size"
transposed_size = hw2.conv_transpose_output_size.check(conv_transpose_output_size)

# %% [markdown]
# **At work.** Your function gives the size of the canvas; then stamps are placed on it with stride 2. Images have two dimensions, so the stamps are squares; the figure shows 4 × 4 pixels from the middle. The brighter a pixel is, the more stamps touch it; the title gives the smallest and the largest number of stamps. Decoders with an unfavourable kernel size produce checkerboard artefacts (Odena et al. 2016).

# %%
guess_even = None  # your guess: which of the kernels 2, 3, 4 and 5 touch all pixels equally often?

# %%
overlaps = demos.kernel_overlaps(transposed_size)
even = [name.split(":")[0] for name, stamps in overlaps.items() if stamps.min() == stamps.max()]
compare_guess("Touch all pixels equally often", guess_even, ", ".join(even))
viz.grid(torch.cat(list(overlaps.values())), len(overlaps), titles=list(overlaps), scale=5, alt=demos.ALT["conv_transpose_output_size"])

# %% [markdown]
# ## 4 · A bottleneck
#
# [[bottleneck]]
#
# Write the narrow end of an encoder as a function of its weights: a convolution, SiLU, a second convolution. Both convolutions have stride 2 and one pixel of padding; SiLU is $x \cdot \text{sigmoid}(x)$. There is no SiLU after the second one, because a latent may have any value.
#
# | argument | shape | what it is |
# |---|---|---|
# | `images` | [B, C, H, W] | images, or the output of an earlier layer; H and W are multiples of 4 |
# | `weight1`, `bias1` | [M, C, 4, 4], [M] | of the first convolution |
# | `weight2`, `bias2` | [K, M, 4, 4], [K] | of the second |
# | returns | [B, K, H/4, W/4] | latents |
#
# <details><summary>Hint 1</summary>
#
# `F.conv2d` takes the input, a weight and a bias, and `stride=` and `padding=`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `F.silu` exists. Print the shape after each line, `print(x.shape)`, in a new cell with small random tensors.
# </details>


# %% exercise="bottleneck"
def bottleneck(images: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """Images [B, C, H, W] → latents [B, K, H/4, W/4]: convolution, SiLU, convolution, each with stride 2 and padding 1."""
    ### BEGIN SOLUTION
    hidden = F.conv2d(images, weight1, bias1, stride=2, padding=1)
    return F.conv2d(F.silu(hidden), weight2, bias2, stride=2, padding=1)
    ### END SOLUTION


# %% check="bottleneck"
encode = hw2.bottleneck.check(bottleneck)

# %% [markdown]
# **At work.** Your function is the end of an encoder that compresses Fashion-MNIST images of 1,024 pixels to 16 latent dimensions. The autoencoder is trained for 600 steps, about 15 seconds on a laptop. Which details do you expect in the reconstructions?

# %%
result = demos.train_autoencoder(encode)
loss_curve(result.losses, ylabel="squared error (nats per image)", log="y", alt=demos.ALT["bottleneck"])

# %%
train, test = demos.fashion_images("train", 4000), demos.fashion_images("test", 1000)
by_network = demos.reconstruct(result.ema, test)
viz.rows({"images": test[:10], "16 dimensions, network": by_network[:10]}, scale=2, alt=demos.ALT["bottleneck 2"])

# %% [markdown]
# ## 5 · The best linear autoencoder
#
# [[pca_reconstructions]]
#
# Principal component analysis is an autoencoder without nonlinearities. Subtract the mean point of `train`. The `k` directions in which the centred points vary most are the axes, of length 1 and orthogonal to each other; they are the first right singular vectors of the centred table.
# A point's latent holds its coordinate along each axis. The reconstruction is the mean plus the axes times these coordinates. Both the mean and the axes are learned on `train`; the points to reconstruct are `test`.
#
# | argument | shape | what it is |
# |---|---|---|
# | `train` | [N, D] | points to learn from, more or fewer than D |
# | `test` | [M, D] | points to reconstruct |
# | `k` | an int | latent dimensions, fewer than N and D |
# | returns | [M, D] | the reconstructions |
#
# <details><summary>Hint 1</summary>
#
# `torch.linalg.svd(table, full_matrices=False)` returns U, S, Vh. The axes are the *rows* of Vh, the one with the largest variance first.
# </details>
#
# <details><summary>Hint 2</summary>
#
# With `axes` [k, D], the latents are `centred @ axes.T`, [M, k]. How do you get back to [M, D]?
# </details>


# %% exercise="pca_reconstructions"
def pca_reconstructions(train: Tensor, test: Tensor, k: int) -> Tensor:
    """Reconstructions of test [M, D] from their first k principal components, learned on train [N, D]."""
    ### BEGIN SOLUTION
    mean = train.mean(0)
    axes = torch.linalg.svd(train - mean, full_matrices=False).Vh[:k]
    return mean + (test - mean) @ axes.T @ axes
    ### END SOLUTION


# %% check="pca_reconstructions"
reconstruct = hw2.pca_reconstructions.check(pca_reconstructions)

# %% [markdown]
# **At work.** From top to bottom: the same images, their reconstructions from 16 dimensions of PCA, and those of the network. Which reconstructions look better to you, and in what respect?

# %%
by_pca = demos.reconstruct_by_pca(reconstruct, train, test, 16)
viz.rows({"images": test[:10], "16 dimensions, PCA": by_pca[:10], "16 dimensions, network": by_network[:10]}, scale=2, alt=demos.ALT["pca_reconstructions"])

# %% [markdown]
# ## 6 · How good is a reconstruction?
#
# [[psnr]]
#
# Judgements by eye differ; decibels can be compared. The peak signal-to-noise ratio of one image is
#
# $$10 \log_{10} \frac{\text{peak}^2}{\text{MSE}},$$
#
# where MSE is the mean squared error over all values of this image, and the peak is the largest possible difference between two pixels. Here pixels go from -1 to 1.
#
# | argument | shape | what it is |
# |---|---|---|
# | `images`, `reconstructions` | [B, C, H, W] | from -1 to 1; a reconstruction may go a little beyond, and is taken as it is |
# | returns | [B] | decibels, one value for each image; infinite where the MSE is 0, which `torch.log10` gives by itself |
#
# <details><summary>Hint</summary>
#
# First the squared error of each image, [B]: over which axes does the mean run? Then the logarithm, `torch.log10`.
# </details>


# %% exercise="psnr"
def psnr(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each reconstruction in decibels, [B], for pixels from -1 to 1."""
    ### BEGIN SOLUTION
    mse = (images - reconstructions).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(4 / mse)
    ### END SOLUTION


# %% check="psnr"
decibels = hw2.psnr.check(psnr)

# %% [markdown]
# **At work.** The figure compares your network, which has 16 latent dimensions, with PCA for a growing number of dimensions.

# %%
guess_dimensions = None  # your guess: how many dimensions does PCA need to match the network's 16?

# %%
ks = [4, 8, 12, 16, 24, 32, 48, 64]
linear = [decibels(test, demos.reconstruct_by_pca(reconstruct, train, test, k)).mean().item() for k in ks]
yours = decibels(test, by_network)
enough = next((k for k, db in zip(ks, linear, strict=True) if db >= yours.mean()), "more than 64")
compare_guess(f"Dimensions of PCA, of {ks}", guess_dimensions, enough)
viz.lines({"PCA": (ks, linear), "your network": ([16], [yours.mean().item()])}, log="x", xlabel="latent dimensions", ylabel="mean PSNR (dB)", alt=demos.ALT["psnr"])

# %%
order = yours.argsort()
shown = {}
for name, i in (("worst", order[:6]), ("best", order[-6:])):
    shown |= {f"{name} images": test[i], f"{yours[i].min():.0f} to {yours[i].max():.0f} dB": by_network[i]}
viz.rows(shown, scale=3, alt=demos.ALT["psnr 2"])

# %% [markdown]
# ## 7 · Holes, in words
#
# [[holes]]
#
# An autoencoder reconstructs. Can it also generate? Here your network decodes latents that belong to no image: half way between the image above and another; sampled from the Gaussian with the mean and covariance of the latents; sampled from $\mathcal N(0, I)$. The printed values are the standard deviations of the sixteen latent dimensions over a thousand images.

# %%
print("latents:", *(f"{std:.1f}" for std in demos.latent_stds(result.ema, test)))
viz.rows(demos.decode_new_latents(result.ema, test), scale=2, alt=demos.ALT["holes"])

# %% [markdown]
# Three questions; two sentences for each are enough.
#
# 1. With 16 latent dimensions the network is better than PCA; chapter 2 found that with 256 it hardly is. Why do nonlinearities help more when there are few dimensions?
# 2. Your best and your worst reconstructions differ by many decibels. What do the best ones have in common, and why does a high PSNR not mean that they are good images?
# 3. Which part of the training loss trains the decoder on latents that belong to no image? Why are samples from $\mathcal N(0, I)$ worse than latents half way between two images, and how would you change the training so that you can sample?

# %% [markdown] written="holes"
# ### BEGIN SOLUTION
# **Model answer.** 1. Fashion-MNIST images lie near a curved surface of few dimensions. PCA can only fit a flat space to it, and needs many axes to follow the curvature; a network learns a curved surface. With many axes the flat space holds nearly everything, and there is little left to gain. 2. They are plain and of one tone (dark, or empty around a small item): there is
# little to get wrong. PSNR compares with the *possible* range and not with the content, and squared error hardly punishes the loss of all fine texture. 3. Nothing: the loss only uses the latents of training images. Between two of them the decoder is smooth, so it gives something like a mixture of neighbours; samples of N(0, I) have another scale (see the printed values) and other
# correlations than the images' latents and mostly fall where no image was encoded. One adds a term that pulls the latents towards a known distribution and trains the decoder on noisy latents instead of single points: the VAE of chapter 3 (noise on the latents during training is half of it).
#
# **Rubric, 5 points.** Question 1, 1 point: half for curved against flat, half for why the advantage disappears (the flat space holds nearly everything). Question 2, 1: half for plain or dark images, half for what PSNR does not measure (texture, content, what a person sees). Question 3, 3: 1 for "no part of it" with its reason (the loss only uses
# latents of training images); 1 for why N(0, I) is worse: half for its other scale or correlations, half for "half way stays near the images' latents"; 1 for a change: half for an idea (a prior, noise on the latents, a distribution fitted afterwards), half for why one can then sample.
#
# **Half right, 2½ points.** "A network is more powerful than PCA, but with many dimensions both are good (½: why the gain disappears, not why it is there). The best are dark and plain (½). No part of it (½: no reason). N(0, I) has another scale than the printed values (½). One should train a VAE (½: no reason)."
#
# **Wrong answers to expect.** "The spreads are larger than 1": the printed values are 0.2 to 0.8. "The KL trains it": this network has none. "The reconstruction loss, because the decoder is smooth": smoothness is no part of the loss. "A high PSNR means a good image": the worst image has more to get wrong.
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw2.summary(conv_output_size, latent_shape, conv_transpose_output_size, bottleneck, pca_reconstructions, psnr)

# %% [markdown] teacher="exam"
# ## For teachers: on paper, and two minutes each on the student's own code
#
# **On paper.**
#
# 1. *An encoder of three convolutions (kernel 4, stride 2, padding 1) turns 3 × 512 × 512 into 4 × 64 × 64. What are the compression ratio and the receptive field of one latent value?* 786,432 / 16,384 = 48. $1 + 3 \cdot 1 + 3 \cdot 2 + 3 \cdot 4 = 22$ pixels along a side. Shows: strides multiply.
# 2. *How many stamps of a transposed convolution with stride 2 touch a pixel, along one side and in the plane, for kernels 3 and 4? Which rule avoids a checkerboard?* Kernel 3: 1 and 2 by turns, so 1, 2 or 4 in the plane; kernel 4: 2, so 4 everywhere. The kernel must be a multiple of the stride. Shows: exercise 3's figure without the figure.
# 3. *Points with 4 dimensions have variances 5, 3, 1, 1 along their axes. Which MSE per value has PCA with k = 2, and which PSNR for pixels from -1 to 1?* It loses the last two: (1 + 1)/4 = ½; $10 \log_{10}(4 / 0.5) \approx 9.0$ dB. Shows: what PCA minimises.
#
# **Oral.**
#
# 1. *`psnr`: your images are now from 0 to 1. Which line changes, and what happens to the decibels?* The peak becomes 1, so 4 becomes 1; the MSE becomes a quarter, and the decibels stay. Shows: where the 4 comes from.
# 2. *`bottleneck`: put a SiLU after the second convolution. Which latents are no longer possible?* Values below about -0.28, SiLU's minimum. Shows: why the last layer has no nonlinearity.
# 3. *`pca_reconstructions`: what does it return for k = D (with N > D)? And if the mean is that of `test`, for a `test` of one image?* `test` itself; that image itself for every k, because nothing is left to reconstruct. Shows: what is learned on which set.
