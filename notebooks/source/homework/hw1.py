# %% [markdown]
# # Homework 1 · Pixel space
#
# > Write five functions that measure how many dimensions of pixel space images occupy, and how far pixel distances can be trusted.
#
# You need chapter 1. Each exercise below has a cell for your function, a check, and a figure that uses your function. The check reports what your function
# returned, what was expected and what the likely mistake is; run it as often as you like. If you leave an exercise blank, the notebook still runs: the cells
# after it use the workbook's own function, and say so.
#
# [[contents]]
#
# `x` is a table of points, one in each row: `N` points with `D` dimensions. Images are [B, C, H, W]. Do not change the arguments: make new tensors.

# %% [markdown]
# [[grading]]

# %%
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.notebook import claims, viz
from course_lib.homework.demos import compare_guess
from course_lib.homework.demos import hw1 as demos
from course_lib.homework.checks import hw1

# %% [markdown]
# ## 1 · What do patches have in common?
#
# [[patch_statistics]]
#
# Cut every image into squares of `size` × `size` pixels that do not overlap. Each square is a point $x_i$ with $D = C \cdot \text{size}^2$ dimensions. Over all $N$ squares of all images together, return
#
# $$\bar x = \tfrac1N \textstyle\sum_i x_i, \qquad \Sigma = \tfrac1{N-1} \textstyle\sum_i (x_i - \bar x)(x_i - \bar x)^\top.$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `images` | [B, C, H, W] | any range; H and W are multiples of `size`, and not equal |
# | `size` | an int | side of a square, pixels |
# | returns | ([D], [D, D]) | $\bar x$ and $\Sigma$ |
#
# The values within a patch are in the order of `F.unfold`: the first channel row by row, then the next channel.
#
# <details><summary>Hint 1</summary>
#
# First aim at one table of all patches, [N, D]. Try `F.unfold(images, size, stride=size)` on a tiny image that you can read, such as `torch.arange(24.).view(1, 1, 4, 6)`, and find out which axis holds what.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `F.unfold` gives [B, D, L], one patch in each *column*. After `transpose(1, 2)` a reshape may join the first two axes. `torch.cov` takes the transposed table.
# </details>


# %% exercise="patch_statistics"
def patch_statistics(images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Mean [D] and unbiased covariance [D, D] of all squares of size × size pixels that tile images [B, C, H, W]."""
    ### BEGIN SOLUTION
    patches = F.unfold(images, size, stride=size).transpose(1, 2).flatten(0, 1)
    return patches.mean(0), torch.cov(patches.T)
    ### END SOLUTION


# %% check="patch_statistics"
statistics = hw1.patch_statistics.check(patch_statistics)

# %% [markdown]
# **At work.** Your function computes the covariance of 12 × 12 squares of real photographs. Its eigenvectors, the principal axes, are images themselves; the first 24 of 432 are shown below, in order of decreasing variance.
# The sign of an axis is arbitrary, because an axis is only a direction, and the contrast of each image is stretched. One flat colour means that all pixels change together.
# Write your guess into the next cell, in place of `None`, and run it before the figure. (You can leave it `None`.)

# %%
guess_first_axis = None  # your guess: the percentage of the variance along the first of the 432 axes

# %%
axes, fractions = demos.principal_axes(statistics)
viz.grid(axes, 12, scale=5, titles=[str(i) for i in range(1, 25)], alt=demos.ALT["patch_statistics"])

# %%
compare_guess("Percentage along the first axis", guess_first_axis, 100 * fractions[0].item())
print(f"The first three axes hold {fractions[:3].sum():.0%} of the variance, all 24 hold {fractions.sum():.0%}.")

# %% [markdown]
# ## 2 · How much variance do a few axes hold?
#
# [[explained_variance_ratio]]
#
# The eigenvalues $\lambda_1 \ge \lambda_2 \ge \dots$ of the covariance are the variances along the principal axes. Return the fraction of the variance that the first `k` explain:
#
# $$\frac{\lambda_1 + \dots + \lambda_k}{\lambda_1 + \lambda_2 + \dots}.$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `x` | [N, D] | points; N may be smaller or larger than D |
# | `k` | an int | how many axes, at least 1 |
# | returns | a float | 0 to 1 |
#
# <details><summary>Hint 1</summary>
#
# `torch.linalg.eigvalsh` gives the eigenvalues of a symmetric matrix. In which order?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Alternatively, use the squares of the singular values of the *centred* table, `torch.linalg.svdvals`: they are $(N - 1)\,\lambda$, and $N - 1$ cancels in the ratio.
# </details>


# %% exercise="explained_variance_ratio"
def explained_variance_ratio(x: Tensor, k: int) -> float:
    """The fraction of the variance of points x [N, D] that their first k principal axes explain, 0 to 1."""
    ### BEGIN SOLUTION
    variances = torch.linalg.svdvals(x - x.mean(0)) ** 2  # descending
    return (variances[:k].sum() / variances.sum()).item()
    ### END SOLUTION


# %% check="explained_variance_ratio"
explained = hw1.explained_variance_ratio.check(explained_variance_ratio)

# %% [markdown]
# **At work.** Three sets of points with 192 dimensions: squares of photographs, entire teddies shrunk to the size of these squares, and noise. Which curve rises fastest?

# %%
ks = [1, 2, 4, 8, 16, 32, 64, 128]
curves = {name: (ks, [explained(x, k) for k in ks]) for name, x in demos.point_sets().items()}
viz.lines(curves, log="x", xlabel="principal axes used, of 192", ylabel="fraction of the variance", alt=demos.ALT["explained_variance_ratio"])

# %% [markdown]
# ## 3 · One number for a spectrum
#
# [[participation_ratio]]
#
# How many axes matter? The participation ratio answers without a threshold (Gao et al. 2017):
#
# $$\frac{\left(\sum_i \lambda_i\right)^2}{\sum_i \lambda_i^2}.$$
#
# It is $D$ if all axes hold the same variance, and 1 if one axis holds all of it.
#
# | argument | shape | what it is |
# |---|---|---|
# | `x` | [N, D] | points; N may be smaller or larger than D |
# | returns | a float | a number of axes |
#
# <details><summary>Hint</summary>
#
# You have the $\lambda$ from exercise 2. Axes without variance add nothing to either sum.
# </details>


# %% exercise="participation_ratio"
def participation_ratio(x: Tensor) -> float:
    """(Σλ)² / Σλ² of the variances λ along the principal axes of points x [N, D]."""
    ### BEGIN SOLUTION
    variances = torch.linalg.svdvals(x - x.mean(0)) ** 2
    return (variances.sum() ** 2 / (variances**2).sum()).item()
    ### END SOLUTION


# %% check="participation_ratio"
participation = hw1.participation_ratio.check(participation_ratio)

# %% [markdown]
# **At work.** Teddies in which exactly 1, 2, 4 or 8 continuous factors vary: lean, position, size, light and so on. With one free factor, all images lie on one curve in pixel space, and a single number gives the position on it.

# %%
guess_one_free = None  # your guess: the participation ratio of teddies with one free factor

# %%
free = demos.teddies_with_free_factors()
viz.rows({f"{k} free": x[:5] for k, x in free.items()}, scale=4, alt=demos.ALT["participation_ratio"])

# %%
points = {k: x.flatten(1) for k, x in free.items()}
ratios = {k: participation(x) for k, x in points.items()}
compare_guess("Participation ratio with one free factor", guess_one_free, ratios[1])
claims.table(["factors free", "participation ratio"], list(ratios.items()))

# %% [markdown]
# ## 4 · Two neighbours
#
# [[two_nn]]
#
# TwoNN (Facco et al. 2017) measures the distances $r_1$ and $r_2$ of each point to its nearest and second nearest neighbour. In $d$ dimensions, if the density is nearly constant out to the second neighbour, $\log (r_2/r_1)$ follows an exponential distribution with rate $d$.
# The maximum-likelihood estimate of the rate is $N$ over the sum of these logarithms; with $N-1$ in the numerator it is unbiased (Denti et al. 2022):
#
# $$\hat d = \frac{N - 1}{\sum_{i=1}^N \log\,(r_{2,i} / r_{1,i})}.$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `x` | [N, D] | points, no two of them equal |
# | returns | a float | $\hat d$, by exactly this formula |
#
# Distances are Euclidean, the logarithm is natural, no point is discarded.
#
# <details><summary>Hint 1</summary>
#
# `torch.cdist(x, x)` returns all distances. Which point is the nearest neighbour of a point in this table?
# </details>
#
# <details><summary>Hint 2</summary>
#
# If you sort each row, the first distance is that of the point to itself. `topk(3, largest=False)` saves sorting the rest.
# </details>


# %% exercise="two_nn"
def two_nn(x: Tensor) -> float:
    """The intrinsic dimension of points x [N, D], (N - 1) / Σ log(r2 / r1)."""
    ### BEGIN SOLUTION
    _, r1, r2 = torch.cdist(x, x).topk(3, largest=False).values.T  # ascending: itself, then two neighbours
    return ((len(x) - 1) / torch.log(r2 / r1).sum()).item()
    ### END SOLUTION


# %% check="two_nn"
estimate = hw1.two_nn.check(two_nn)

# %% [markdown]
# **At work.** An instrument is calibrated before it is used. First we take cubes of known dimension in a space with 50 axes, and sample 1,000 points uniformly from each cube. Up to which dimension do you expect a correct estimate?

# %%
known = [1, 2, 3, 5, 8, 12, 20]
twonn = demos.within_limits(estimate, n=1000, d=50, sets=len(known))
cubes = {"TwoNN": [twonn(demos.sample_cube(d)) for d in known], "participation ratio": [participation(demos.sample_cube(d)) for d in known]}
viz.lines(
    {name: (known, values) for name, values in cubes.items()} | {"the truth": (known, known)},
    log="xy",
    xlabel="true dimension",
    ylabel="estimate",
    alt=demos.ALT["two_nn"],
)

# %% [markdown]
# Next come the teddies of exercise 3, whose true dimension is known as well, and Fashion-MNIST images, whose true dimension is not. Which of the two estimators do you believe for Fashion-MNIST?

# %%
fashion = demos.fashion_points(4000)
twonn = demos.within_limits(estimate, n=4000, d=1024)
rows = [[f"{len(x)} teddies, {k} free", k, twonn(x.double()), ratios[k]] for k, x in points.items()]
for n in (250, 1000, 4000):
    parts = fashion.double().split(n)
    rows.append(
        [f"{n} Fashion-MNIST images" + f", mean of {len(parts)} such sets" * (len(parts) > 1), "?", *(sum(map(f, parts)) / len(parts) for f in (twonn, participation))]
    )
claims.table(["points", "truth", "TwoNN", "participation ratio"], rows)

# %% [markdown]
# ## 5 · How often is the distance wrong?
#
# [[triplet_error_rate]]
#
# A triplet has three images: an anchor, a *positive* with the same meaning, and a *negative* with another meaning. The pixel MSE makes an **error** if the negative is *nearer* to the anchor than the positive is. A tie is not an error.
#
# $$\text{MSE}(a, b) = \tfrac1{CHW} \textstyle\sum (a - b)^2$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `anchor`, `positive`, `negative` | [B, C, H, W] each | row b of all three is one triplet |
# | returns | a float | the fraction of triplets that are errors, 0 to 1 |
#
# <details><summary>Hint</summary>
#
# First one distance for each triplet, a tensor [B], twice. Comparing two such tensors gives True or False for each triplet; converted to numbers, their mean is the fraction.
# </details>


# %% exercise="triplet_error_rate"
def triplet_error_rate(anchor: Tensor, positive: Tensor, negative: Tensor) -> float:
    """The fraction of triplets in which pixel MSE puts the negative image nearer to the anchor than the positive one."""
    ### BEGIN SOLUTION
    to_positive, to_negative = ((anchor - other).square().flatten(1).mean(1) for other in (positive, negative))
    return (to_negative < to_positive).double().mean().item()
    ### END SOLUTION


# %% check="triplet_error_rate"
error_rate = hw1.triplet_error_rate.check(triplet_error_rate)

# %% [markdown]
# **At work.** In each triplet, the *positive* shares every word of the anchor's caption, but has another position, size, lean, light, tint, grain and fabric. The *negative* has the same appearance, but its caption differs in one word: the count, the fur's colour, the activity, the scarf's colour or the background.

# %%
guess_fur = None  # your guess: the error rate, from 0 to 1, where only the fur's colour differs

# %%
sets = demos.triplets()
shown = sets["activity"]
viz.rows({"anchor": shown.anchor[:4], "positive": shown.same[:4], "negative": shown.other[:4]}, scale=2, alt=demos.ALT["triplet_error_rate"])

# %%
rates = {word: error_rate(*three) for word, three in sets.items()}
compare_guess("Error rate for the fur's colour", guess_fur, rates["fur"])
viz.bars(rates, ylabel="triplet error rate", alt=demos.ALT["triplet_error_rate 2"])

# %% [markdown]
# ## 6 · Far and near, in words
#
# [[far_and_near]]
#
# Three questions about what you have just measured; two sentences for each are enough.
#
# 1. For the teddies, TwoNN and the participation ratio differ. What does each of them count, and why does a teddy that only leans need more than one principal axis?
# 2. In which direction does TwoNN's estimate for Fashion-MNIST change with the number of images, and why? Name one reason why the participation ratio need not be the true dimension either.
# 3. Why does the pixel distance make so many errors, and why are some words harder for it than others? Your answer should fit all five bars.

# %% [markdown] written="far_and_near"
# ### BEGIN SOLUTION
# **Model answer.** 1. TwoNN uses only the nearest neighbours and counts the directions *within* the set, curved or not: one. The participation ratio counts the straight axes that hold the variance of the entire set. When a teddy leans, edges move over pixels; each pixel
# turns on and off at a different angle, so the curve keeps turning into new directions of pixel space. 2. It grows. With more points the neighbours are nearer, and finer differences count as dimensions; also, TwoNN is too low in high dimensions, as the cubes show, and less so with more points.
# The participation ratio is right only for a flat set that is equally wide in all its directions: curvature makes it too high, and narrow directions hardly count. 3. MSE compares pixels at the same position. A teddy that moves, in another light, changes nearly all of its pixels and no word: on average the positive is 0.18 away.
# A word is found only where it changes more than that, and its change is area × squared contrast. The background changes 91 % of the pixels (0.43), the count half of them (0.18, as much as position and light, so about half of the triplets are errors). Fur paints all of the bear, but that is a quarter of the image at a moderate
# contrast (0.08); the activity changes 17 % (0.06); the scarf has the strongest contrast of all, but on 4 % of the pixels (0.02).
#
# **Rubric, 5 points.** Question 1, 2 points: half for "local", half for "straight axes of the entire set", 1 for the reason (a moving edge is not a straight line in pixel space; "the set is curved" alone is half of it). Question 2, 1½: half for "it grows"; half for either reason (finer detail, or the bias of few points in high
# dimensions); half for one reason against the participation ratio. Question 3, 1½: half for "pixel by pixel at the same position"; half for the comparison with what position and light change; half for area and contrast together. Area alone earns this half only if the answer does not contradict the bar of fur.
#
# **Half right, 2½ points.** "TwoNN looks at neighbours and finds one direction, the participation ratio looks at all points together (1). TwoNN grows, because with more images the neighbours are nearer (1). The MSE compares pixels in place (½), and it misses small things like the fur."
#
# **Wrong answers to expect.** "800 teddies are too few for PCA": one free factor gives 2.5 to 2.6 with 100 or 1,600 of them. "TwoNN falls": read the other way round. "Fur is a small area": it is all of the bear. "A scarf is small, so it makes few errors": small changes are the ones that are missed.
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw1.summary(patch_statistics, explained_variance_ratio, participation_ratio, two_nn, triplet_error_rate)

# %% [markdown] teacher="exam"
# ## For teachers: on paper, and two minutes each on the student's own code
#
# **On paper.**
#
# 1. *Derive TwoNN's law from a density that is constant out to the second neighbour.* Given $r_2$, the nearest neighbour is uniform in a ball of radius $r_2$: $P(r_1 \le r) = (r/r_2)^d$. So $\mu = r_2/r_1$ has $P(\mu > m) = m^{-d}$, and $\log\mu$ is exponential with rate $d$; the likelihood $d^N e^{-d \sum \log\mu_i}$ is largest at $N / \sum \log\mu_i$. Shows: why TwoNN needs no scale.
# 2. *The variances along four axes are 4, 2, 1, 1. Which fraction does the first explain, and what is the participation ratio? When is the ratio 4, when 1?* 4/8 = ½; 64/22 ≈ 2.9; for equal variances; where one axis holds all of it. Shows: what the number averages.
# 3. *One white pixel moves along a black line of K pixels. How many factors are free? What are the distance of two such images and the participation ratio?* One. Any two different images differ in two pixels, so the MSE is 2/K however far the pixel moved. The covariance is $\tfrac1K(I - \tfrac1K 11^\top)$: K − 1 equal eigenvalues, ratio K − 1. Shows: exercise 6 in one line.
#
# **Oral.**
#
# 1. *`patch_statistics`: what has which shape if you forget `transpose(1, 2)`?* The table is [B · D, L]: a row holds one pixel of all patches, the covariance is [L, L]. Shows: which axis holds the points.
# 2. *`two_nn`: one image is in the table twice. What do you return?* Its $r_1$ is 0, the logarithm infinite, the estimate 0 (or nearly, if rounding leaves a tiny $r_1$). Shows: why "no two points equal" is in the statement.
# 3. *Multiply all images by 2: which of your five functions change?* Only the first: the mean doubles, the covariance is four times as large. Ratios of variances, of distances, and comparisons of distances stay. Shows: what is a ratio.
