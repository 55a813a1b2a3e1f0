# %% [markdown]
# # Start here
#
# > Is this machine ready, and where does the course begin?
#
# Image generators such as Stable Diffusion do not draw pixels. They move through a **latent space**, from noise to an image, and something **steers** the way.
# In five chapters you rebuild the reason why, step by step, and measure every claim on your own machine; four further notebooks go deeper.

# %%
from course_lib.notebook import viz
from course_lib.storage import shipped

viz.Picture(
    shipped.path("results/readme.png").read_bytes(),
    alt="Above, ten grey smudges: noise decoded by the VAE. Below, ten Fashion-MNIST items: the same noise after guided diffusion.",
    width=760,
)

# %% [markdown]
# Both rows were decoded by the same small network, from the same noise. For the lower row, a guided diffusion model first moved the noise through the
# latent space. After chapter 5 you have built all of it.
#
# ## The course in one picture

# %%
from course_lib import data, device, teddies
from course_lib.experiments import course_picture

machine = device.find()
course_picture.course_picture(machine)

# %% [markdown]
# **1** An image is a long list of numbers, and most lists are noise. **2** An autoencoder rebuilds the image from far *fewer* numbers. **3** A VAE turns points into clouds, so that the space of
# these numbers is *smooth*: whatever lies between two images is an image, too. **4** A diffusion model learns *trajectories* in this space, from noise to an image.
# **5** Guidance *steers* them: the same noise, two captions.
#
# ## Who you will meet

# %%
fashion, labels = data.fashion_mnist("test")
first = [int((labels == k).nonzero()[0]) for k in range(10)]
viz.grid(fashion[first], 10, titles=list(data.FASHION_CLASSES), scale=2, alt="One image of each class of Fashion-MNIST, from T-shirt to ankle boot.")

# %% [markdown]
# **Fashion-MNIST** (Xiao et al. 2017): 70,000 grey images of clothes in ten classes, here 32 × 32 pixels, the "hello world" on which every method is quick to try.

# %%
bears, _ = teddies.dataset(5, 7)
viz.grid(bears, 5, scale=2, alt="Five teddy bears: of several colours, with and without scarves, reading, waving or sleeping, at various places.")

# %% [markdown]
# The **teddies**: colour images of 64 × 64 pixels that this workbook draws itself, each from known factors (how many bears, which fur, what they do, scarf, background, light …), so that we
# can *measure* what an image means, and give every image an exact caption.
#
# ## The chapters
#
# | | notebook | the question |
# |---|---|---|
# | 1 | [Pixel space](01_pixel_space.ipynb) | Why not simply let a network draw the pixels? |
# | 2 | [Autoencoder](02_autoencoder.ipynb) | Can a network find few numbers that an image is made of? |
# | 3 | [VAE](03_vae.ipynb) | Can it make the space of these numbers smooth? |
# | 4 | [Latent DDPM](04_latent_ddpm.ipynb) | How does one learn to move from noise to an image in that space? |
# | 5 | [Guidance](05_guidance.ipynb) | How does one steer? |
#
# Four further notebooks, each complete in itself:
#
# | | notebook | after chapter | the question |
# |---|---|---|---|
# | 6 | [A sharper VAE](06_sharper_vae.ipynb) | 3 | Why are its reconstructions soft, and what helps? |
# | 7 | [Words](07_words.ipynb) | 5 | How does a generator understand a sentence? |
# | 8 | [Measuring dimension](08_measuring_dimension.ipynb) | 1 | How many numbers does an image really need, and when do the estimates lie? |
# | 9 | [The bound, measured](09_the_bound_measured.ipynb) | 3 | How far is the ELBO from the likelihood, and what is in the gap? |
#
# Read the five in order: chapter 4 works in the space that chapter 3 made, and chapter 5 steers what chapter 4 trained. What a chapter trains is saved
# on this machine; where nothing was saved, the next chapter trains it itself. The minutes to read and to run each one are in the table of the [README](../README.md).
#
# ## How to use a notebook
#
# - **Run a cell:** click it and press `Shift`+`Enter`. Run all cells from the top down.
# - **Predict first.** Where you see **Predict**, write your guess into the field below. The next cell measures, and prints your guess next to the result. Its stored output is
#   hidden: click the "…" under the cell to open it, or run the cell.
# - **Write.** Cells with `raise NotImplementedError` are yours: two or three lines each. The next cell checks them and says what is wrong. Leave one blank, and the notebook continues with
#   the workbook's own function.
# - **Open what is folded.** A triangle ▸ hides an answer or a solution. Some cells show only their output; their code opens with "…".
# - **Move the sliders.** They also work on a web page, without a kernel.
#
# Try a prediction:

# %%
from course_lib.notebook import guess

values = guess.number("numbers in one colour photograph of 1024 × 1024 pixels")
values

# %% tags=["hide-output"]
values.compare(data.photographs()["dogs"].numel())

# %% [markdown]
# ## This machine
#
# One line says what the notebooks will use: the device, the precision of its arithmetic, and the threads. To choose
# otherwise, set `COURSE_DEVICE`, `COURSE_PRECISION` or `COURSE_THREADS` before you start JupyterLab. On a machine that
# does other work at the same time, `COURSE_THREADS=1` is often several times faster.

# %%
print(machine)

# %% [markdown]
# ## The data
#
# Nothing is downloaded while you work: the images and networks came with this workbook. Each file is compared with its SHA-256 checksum.

# %%
files = shipped.verify()
wrong = [file for file in files if file.status != "ok"]
for file in wrong:
    print(f"{file.path} is {file.status} ({file.detail}). To fix it: {file.fix}")
print(f"{len(files) - len(wrong)} of {len(files)} data files are as they should be")

# %% [markdown]
# If all the files are as they should be, begin with [chapter 1](01_pixel_space.ipynb). If not, the line above says what
# to do, and the [README](../README.md) has a list of what can go wrong.
