# %% [markdown]
# # Homework 1 · Pixel space
#
# > Write the five functions that measure how much room pictures take in pixel space, and what its distances are worth.
#
# You need chapter 1. Each exercise below has a cell for your function, a check, and a figure in which your function works. A check tells what it got, what it
# expected and what probably went wrong; ask it as often as you like. An exercise left blank stops nothing: the cells after it then use the workbook's own
# block, and say so.
#
# [[contents]]
#
# `x` is a table of points, one in each row: `N` points of `D` numbers. Pictures are [B, C, H, W]. Do not change what you are given: make new tensors.

# %%
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.notebook import claims, viz
from course_lib.homework.demos import hw1 as demos
from course_lib.homework.checks import hw1

# %% [markdown]
# ## 1 · What do patches have in common?
#
# [[patch_statistics]]
#
# Cut every image into squares of `size` × `size` pixels that do not overlap. Each square is a point $x_i$ of $D = C \cdot \text{size}^2$ numbers. Of all $N$ squares of all images together, return
#
# $$\bar x = \tfrac1N \textstyle\sum_i x_i, \qquad \Sigma = \tfrac1{N-1} \textstyle\sum_i (x_i - \bar x)(x_i - \bar x)^\top.$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `images` | [B, C, H, W] | any range; H and W are multiples of `size`, and not equal |
# | `size` | an int | side of a square, pixels |
# | returns | ([D], [D, D]) | $\bar x$ and $\Sigma$ |
#
# The numbers within a patch are in the order of `F.unfold`: the first channel row by row, then the next channel.
#
# <details><summary>Hint 1</summary>
#
# First aim at one table of all patches, [N, D]. Try `F.unfold(images, size, stride=size)` on a tiny image that you can read, such as `torch.arange(24.).view(1, 1, 4, 6)`, and look which axis holds what.
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
# **At work.** Your covariance of 12 × 12 squares of real photographs. Its eigenvectors, the principal axes, are pictures themselves; the first 24 of 432 are below, the one with the largest variance first.
# An axis is a direction, so its sign means nothing, and it is shown stretched; one flat colour means that all pixels change together. Before you look: what will the first one show, and what the 24th?

# %%
pictures, share = demos.axes(statistics)
viz.grid(pictures, 12, scale=4, alt=demos.ALT["patch_statistics"])

# %%
print(
    f"Of the variance of 432 numbers, the first axis holds {share[0]:.0%}, the first three {share[:3].sum():.0%}, all 24 {share.sum():.0%}."
)

# %% [markdown]
# ## 2 · How much do a few axes hold?
#
# [[explained_variance_ratio]]
#
# The eigenvalues $\lambda_1 \ge \lambda_2 \ge \dots$ of the covariance are the variances along the principal axes. Return the share of the first `k`:
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
# Another way: the squares of the singular values of the *centred* table, `torch.linalg.svdvals`, are $(N - 1)\,\lambda$. In the ratio, $N - 1$ cancels.
# </details>


# %% exercise="explained_variance_ratio"
def explained_variance_ratio(x: Tensor, k: int) -> float:
    """The share of the variance of points x [N, D] that their first k principal axes hold, 0 to 1."""
    ### BEGIN SOLUTION
    variances = torch.linalg.svdvals(x - x.mean(0)) ** 2  # descending
    return (variances[:k].sum() / variances.sum()).item()
    ### END SOLUTION


# %% check="explained_variance_ratio"
held = hw1.explained_variance_ratio.check(explained_variance_ratio)

# %% [markdown]
# **At work.** Three sets of points with 192 numbers each: squares of photographs, whole teddies made as small as these squares, and noise. Which of the curves rises first?

# %%
ks = [1, 2, 4, 8, 16, 32, 64, 128]
curves = {name: (ks, [held(x, k) for k in ks]) for name, x in demos.squares().items()}
viz.lines(curves, log="x", xlabel="principal axes kept, of 192", ylabel="share of the variance", alt=demos.ALT["explained_variance_ratio"])

# %% [markdown]
# ## 3 · One number for a spectrum
#
# [[participation_ratio]]
#
# Where does one stop counting axes? The participation ratio needs no threshold (Gao et al. 2017):
#
# $$\frac{\left(\sum_i \lambda_i\right)^2}{\sum_i \lambda_i^2}.$$
#
# It is $D$ where all axes hold the same variance, and 1 where one holds everything.
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
# **At work.** Teddies in which exactly 1, 2, 4 or 8 continuous factors vary: lean, place, size, light and so on. With one factor free, all pictures lie on one path through pixel space: one number says where. Will the participation ratio say 1?

# %%
bears = demos.swaying()
viz.rows({f"{k} free": x[:8] for k, x in bears.items()}, scale=1, alt=demos.ALT["participation_ratio"])

# %%
points = {k: x.flatten(1) for k, x in bears.items()}
ratios = {k: participation(x) for k, x in points.items()}
claims.table(["factors free", "participation ratio"], list(ratios.items()))

# %% [markdown]
# ## 4 · Two neighbours
#
# [[two_nn]]
#
# TwoNN (Facco et al. 2017) asks each point for the distances $r_1$ and $r_2$ to its nearest and second nearest neighbour. In $d$ dimensions, and if the density hardly changes out to the second neighbour, $\log (r_2/r_1)$ follows the exponential law with rate $d$.
# The rate's maximum likelihood is $N$ over the sum of these logarithms; with $N-1$ in its place it is right on average (Denti et al. 2022):
#
# $$\hat d = \frac{N - 1}{\sum_{i=1}^N \log\,(r_{2,i} / r_{1,i})}.$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `x` | [N, D] | points, no two of them alike |
# | returns | a float | $\hat d$, by exactly this formula |
#
# Distances are Euclidean, the logarithm is natural, no point is left out.
#
# <details><summary>Hint 1</summary>
#
# `torch.cdist(x, x)` holds all distances. Who is the nearest neighbour of a point in this table?
# </details>
#
# <details><summary>Hint 2</summary>
#
# Sorted along each row, the first distance is that of the point to itself. `topk(3, largest=False)` saves sorting the rest.
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
# **At work.** An instrument is calibrated before it is used. First, 1,000 points each, drawn evenly from cubes of known dimension that lie in a space of 50 axes. Up to where do you expect to trust it?

# %%
known = [1, 2, 3, 5, 8, 12, 20]
cubes = {
    "TwoNN": [estimate(demos.cube(d)) for d in known],
    "participation ratio": [participation(demos.cube(d)) for d in known],
}
viz.lines(
    {name: (known, values) for name, values in cubes.items()} | {"the truth": (known, known)},
    log="xy",
    xlabel="true dimension",
    ylabel="estimate",
    alt=demos.ALT["two_nn"],
)

# %% [markdown]
# Now the teddies of exercise 3, where the truth is known as well, and garments, where nobody knows it. Which of the two estimators do you believe for the garments?

# %%
garments = demos.garments(4000)
rows = [[f"{len(x)} teddies, {k} free", k, estimate(x.double()), ratios[k]] for k, x in points.items()]
for n in (250, 1000, 4000):
    parts = garments.double().split(n)
    rows.append(
        [
            f"{n} garments" + f", mean of {len(parts)} such sets" * (len(parts) > 1),
            "?",
            *(sum(map(f, parts)) / len(parts) for f in (estimate, participation)),
        ]
    )
claims.table(["points", "truth", "TwoNN", "participation ratio"], rows)

# %% [markdown]
# ## 5 · How often is the distance wrong?
#
# [[triplet_error_rate]]
#
# Three pictures: an anchor, one that means the like of it, and one that means something else. The squared error of pixels gets the triplet **wrong** when it puts the unlike picture *nearer* to the anchor than the like one. A tie is not wrong.
#
# $$\text{MSE}(a, b) = \tfrac1{CHW} \textstyle\sum (a - b)^2$$
#
# | argument | shape | what it is |
# |---|---|---|
# | `anchor`, `like`, `unlike` | [B, C, H, W] each | row b of all three is one triplet |
# | returns | a float | the share of wrong triplets, 0 to 1 |
#
# <details><summary>Hint</summary>
#
# First one distance for each triplet, a tensor [B], twice. A comparison of two such tensors gives True and False; as numbers, their mean is a share.
# </details>


# %% exercise="triplet_error_rate"
def triplet_error_rate(anchor: Tensor, like: Tensor, unlike: Tensor) -> float:
    """The share of triplets of which pixel MSE puts the unlike picture nearer to the anchor than the like one."""
    ### BEGIN SOLUTION
    to_like, to_unlike = ((anchor - other).square().flatten(1).mean(1) for other in (like, unlike))
    return (to_unlike < to_like).double().mean().item()
    ### END SOLUTION


# %% check="triplet_error_rate"
wrong = hw1.triplet_error_rate.check(triplet_error_rate)

# %% [markdown]
# **At work.** In each triplet, *like* has every word of the anchor's caption and another place, size, lean, light, tint, grain and fabric. *Unlike* keeps all of these and changes one word: the count, the fur's colour, the activity, the scarf's colour or the background. Guess for each: in how many of a hundred triplets does the pixel distance err?

# %%
sets = demos.triplets()
shown = sets["activity"]
viz.rows(
    {"anchor": shown.anchor[:4], "like": shown.same[:4], "unlike": shown.other[:4]}, scale=1, alt=demos.ALT["triplet_error_rate"]
)

# %%
viz.bars(
    {word: wrong(*three) for word, three in sets.items()}, ylabel="share of triplets wrong", alt=demos.ALT["triplet_error_rate 2"]
)

# %% [markdown]
# ## 6 · Far and near, in words
#
# [[far_and_near]]
#
# Three questions on what you have just measured; two sentences for each are enough.
#
# 1. For the teddies, TwoNN and the participation ratio differ. What does each of them count, and why does a teddy that only leans fill more than one principal axis?
# 2. TwoNN's estimate for the garments changes when there are more of them. Which way, and why? Why may neither estimator be taken for the truth there, and why can the participation ratio be too low as well as too high?
# 3. Why does the pixel distance get so many triplets wrong, and why are some words harder for it than others?

# %% [markdown] written="far_and_near"
# ### BEGIN SOLUTION
# **Model answer.** 1. TwoNN looks only at the nearest neighbours and counts in how many directions one can go *within* the set, curved or not: one. The participation ratio counts the straight axes that hold the variance of the whole set. When a teddy leans, edges move over pixels; each pixel
# turns on and off at another angle, so the curve bends through ever new directions of pixel space. 2. It grows: with more points the neighbours come nearer, and finer differences count as dimensions. TwoNN also reads too low in high dimension, as the cubes show, because the nearest of a thousand
# points is not near; the participation ratio would be right only for a flat set that is equally wide in all its directions, and counts narrow directions as nearly nothing. 3. MSE compares what stands at the same place: a teddy that moves a few pixels changes nearly all of its pixels and no word. A word that paints many pixels (the background) is large for MSE as well, one that paints few
# (a scarf, what it reads) is drowned by place and light.
#
# **Rubric, 3 points.** 1 for each question. 1: half for local or curved against global and straight, half for the reason (a moving edge is no straight line in pixels). 2: half for the direction with its reason, half for why either is no truth (scale, too low in high dimension, curved or unequal directions). 3: half for
# "pixel by pixel at the same place", half for the size of what a word paints.
# ### END SOLUTION

# %% [markdown]
# ## What you have so far

# %%
hw1.summary(patch_statistics, explained_variance_ratio, participation_ratio, two_nn, triplet_error_rate)
