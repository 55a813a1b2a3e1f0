# %% [markdown]
# # Start here
#
# > Is this machine ready, and where does the course begin?
#
# Image generators such as Stable Diffusion do not draw pixels. They walk through a *latent space*, and something steers
# the walk. In five notebooks you rebuild the reason why, step by step, and measure every claim on your own machine.

# %% [markdown]
# | | notebook | what it answers |
# |---|---|---|
# | 1 | [Pixel space](01_pixel_space.ipynb) | Why is an image too many numbers that mean too little? |
# | 2 | [Autoencoder](02_autoencoder.ipynb) | Can a network make them few? |
# | 3 | [VAE](03_vae.ipynb) | Can it make them mean something? |
# | 4 | [Latent DDPM](04_latent_ddpm.ipynb) | How does one learn to walk in that space? |
# | 5 | [Guidance](05_guidance.ipynb) | How does one steer the walk? |
# | 6 | [A sharper VAE](06_sharper_vae.ipynb), further reading after chapter 3 | Why are its reconstructions soft, and what helps? |
# | 7 | [Words](07_words.ipynb), further reading after chapter 5 | How does a generator understand a sentence? |
#
# Read them in this order: chapter 4 walks in the space that chapter 3 made, and chapter 5 steers what chapter 4 trained.
# What a chapter trains is saved on this machine; where nothing was saved, the next chapter trains it itself. How many
# minutes each one takes is in the table of the [README](../README.md).
#
# **How to run a notebook.** Click a cell and press `Shift`+`Enter`, or choose *Run → Run All Cells*. Where you are asked to
# predict, decide first and unfold the answer then.

# %% [markdown]
# ## This machine
#
# One line says what the notebooks will use: the device, the precision of its arithmetic, and the threads. To choose
# otherwise, set `COURSE_DEVICE`, `COURSE_PRECISION` or `COURSE_THREADS` before you start JupyterLab. On a machine that
# does other work at the same time, `COURSE_THREADS=1` is often several times faster.

# %%
from course_lib import device

print(device.find())

# %% [markdown]
# ## The data
#
# Nothing is downloaded while you work: the pictures came with this workbook. Each file is compared with its SHA-256 checksum.

# %%
from course_lib.storage import shipped

files = shipped.verify()
wrong = [file for file in files if file.status != "ok"]
for file in wrong:
    print(f"{file.path} is {file.status} ({file.detail}). To fix it: {file.fix}")
print(f"{len(files) - len(wrong)} of {len(files)} data files are as they should be")

# %% [markdown]
# If all the files are as they should be, begin with [chapter 1](01_pixel_space.ipynb). If not, the line above says what
# to do, and the [README](../README.md) has a list of what can go wrong.
