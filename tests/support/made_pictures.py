"""Pictures made for a test, and how a folder of one is read."""

import numpy as np
import torch
from PIL import Image

from course_lib import data


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def one(folder, size):
    images = data.image_folder(folder, size)
    assert (images.dtype, tuple(images.shape)) == (torch.uint8, (1, 3, size, size))
    return images[0].permute(1, 2, 0).numpy()


def flat(mode, colour, size=(12, 12)):
    return Image.new(mode, size, colour)
