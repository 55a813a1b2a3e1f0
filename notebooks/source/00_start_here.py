# %% [markdown]
# # Start here
#
# > Is this machine ready, and where does the course begin?
#
# Image generators such as Stable Diffusion do not draw pixels. They move through a **latent space**, from noise to an image, and something **steers** them.
# In five chapters and the further notebooks you rebuild the reason why, and measure every claim on your own machine.

# %% tags=["hide-input"]
from course_lib.notebook import viz
from course_lib.storage import shipped

viz.Picture(
    shipped.path("results/readme.png").read_bytes(),
    alt="Above, ten grey smudges: noise decoded by the VAE. Below, ten Fashion-MNIST items: the same noise after guided diffusion.",
    width=760,
)

# %% [markdown]
# Both rows: the same noise, decoded by the same small network. For the lower row, a guided diffusion model first moved the noise through the
# latent space. After chapter 5 you have built all of it.
#
# ## The course in one picture

# %% tags=["hide-input"]
from course_lib import device
from course_lib.experiments import course_picture

machine = device.find()
course_picture.course_picture(machine)

# %% [markdown]
# **1** An image is a long list of numbers, and most lists are noise. **2** An autoencoder rebuilds it from far *fewer* numbers. **3** A VAE turns points into clouds, so that their space
# becomes *smooth*. **4** A diffusion model learns *trajectories* in this space, from noise to an image. **5** Guidance *steers* them: the same noise, two captions.
#
# ## The images you will meet

# %% tags=["hide-input"]
from torch.nn import functional as F

from course_lib import data, teddies

fashion, labels = data.fashion_mnist("test")
first = [int((labels == k).nonzero()[0]) for k in (0, 1, 3, 7, 8, 9)]
viz.rows(
    {"Fashion-MNIST": F.interpolate(fashion[first], scale_factor=2), "teddies": teddies.dataset(6, 7)[0]},
    scale=2,
    alt="A row of grey clothes: T-shirt, trousers, dress, sneaker, bag, ankle boot. A row of coloured teddies with scarves, books and balls.",
)

# %% [markdown]
# **Fashion-MNIST** (Xiao et al. 2017): 70,000 grey images of clothes in ten classes, 32 × 32 pixels with their border: every method is quick to try on them.
# The **teddies**: colour images of 64 × 64 pixels that this workbook draws itself from known factors (how many bears, fur, activity, scarf, background, light …), so that we
# can *measure* what an image means.
#
# ## The notebooks
#
# | | chapter | the question |
# |---|---|---|
# | 1 | [Pixel space](01_pixel_space.ipynb) | Why not simply let a network draw the pixels? |
# | 2 | [Autoencoder](02_autoencoder.ipynb) | Can a network find the few numbers behind an image? |
# | 3 | [VAE](03_vae.ipynb) | Can it make their space smooth? |
# | 4 | [Latent DDPM](04_latent_ddpm.ipynb) | How does one learn to move from noise to an image? |
# | 5 | [Guidance](05_guidance.ipynb) | How does one steer? |
#
# | | further notebook | after chapter | the question |
# |---|---|---|---|
# | 6 | [A sharper VAE](06_sharper_vae.ipynb) | 3 | Why are reconstructions soft, and what helps? |
# | 7 | [Words](07_words.ipynb) | 5 | How does a generator understand a sentence? |
# | 8 | [Measuring dimension](08_measuring_dimension.ipynb) | 1 | How many numbers does an image need? |
# | 9 | [The bound, measured](09_the_bound_measured.ipynb) | 3 | How far is the ELBO from the likelihood? |
# | 10 | [Design choices of diffusion](10_design_choices.ipynb) | 4 | Which of them matter, and how would you know? |
# | 11 | [Six broken runs](11_broken_runs.ipynb) | 5 | Which part is broken? |
# | 12 | [Which latents are best to generate in?](12_best_latents.ipynb) | 4 | Do better copies mean better samples? |
# | 13 | [Fewer steps, fewer calls](13_fewer_calls.ipynb) | 5 | How few network calls make an image? |
#
# Read the chapters in order. What one trains is saved on this machine; where nothing was saved, the next one trains it itself. The minutes to read and to run are in the table of the
# [README](../README.md).
#
# ## How to use a notebook
#
# - **Run** a cell with `Shift`+`Enter`, from the top down.
# - **Predict.** Write your guess into the field. The next cell measures, and prints your guess next to the result. Its stored output is
#   hidden: "…" under the cell opens it, or run the cell.
# - **Write.** Cells with `raise NotImplementedError` are yours: two or three lines. The next cell checks them and says what is wrong. If you leave one blank, the notebook continues with
#   the workbook's own function.
# - **Unfold.** A triangle ▸ hides an answer; "…" instead of code hides what only draws.
# - **Move the sliders.** They also work on a web page, without a kernel.
#
# ## This machine
#
# The device, the precision of its arithmetic, and the threads. To choose
# otherwise, set `COURSE_DEVICE`, `COURSE_PRECISION` or `COURSE_THREADS` before you start JupyterLab. On a machine that
# does other work at the same time, `COURSE_THREADS=1` is often several times faster.

# %%
print(machine)

# %% [markdown]
# ## The data
#
# Nothing is downloaded while you work. Each shipped file is compared with its SHA-256 checksum.

# %%
files = shipped.verify()
wrong = [file for file in files if file.status != "ok"]
for file in wrong:
    print(f"{file.path} is {file.status} ({file.detail}). To fix it: {file.fix}")
print(f"{len(files) - len(wrong)} of {len(files)} data files are as they should be")

# %% [markdown]
# If all the files are as they should be, begin with [chapter 1](01_pixel_space.ipynb). If not, the line above says what
# to do, and the [README](../README.md) has a list of what can go wrong.
