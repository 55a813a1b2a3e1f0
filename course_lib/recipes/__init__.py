"""Recipes: every trained network of the workbook, each made by one plain function that says what to expect.

    course train fashion-vae               on the command line
    recipes.fashion_vae()                  the same from Python: trains, saves under runs/, returns the TrainResult
    recipes.load_or_train("fashion-vae")   what a chapter calls: the network saved by an earlier run, or else a new run

`configs` holds the sizes of the networks, `losses` what they minimise, `store` the registry and the saved files. A recipe
trains for a fixed number of steps, so that it can be repeated; the numbers of steps are such that the VAE and the latent
denoiser together take less than three minutes on two cores. On a GPU the larger profile is used.
"""

from course_lib.recipes.configs import NUM_CLASSES, PREDICTION_TYPE, make_schedule
from course_lib.recipes.fashion import (
    fashion_autoencoder,
    fashion_ldm,
    fashion_map_autoencoder,
    fashion_map_vae,
    fashion_pixel_ddpm,
    fashion_vae,
    untrained_network,
)
from course_lib.recipes.few_steps import fashion_four_steps, fashion_one_call, fashion_one_step
from course_lib.recipes.judges import fashion_classifier, teddies_reader
from course_lib.recipes.store import RECIPES, Recipe, RunOptions, build, load_codec, load_or_train, saved_file
from course_lib.recipes.teddies import teddies_128_ldm, teddies_128_vae, teddies_ldm, teddies_vae, teddies_words

__all__ = [
    "NUM_CLASSES",
    "PREDICTION_TYPE",
    "RECIPES",
    "Recipe",
    "RunOptions",
    "build",
    "fashion_autoencoder",
    "fashion_classifier",
    "fashion_four_steps",
    "fashion_ldm",
    "fashion_map_autoencoder",
    "fashion_map_vae",
    "fashion_one_call",
    "fashion_one_step",
    "fashion_pixel_ddpm",
    "fashion_vae",
    "load_codec",
    "load_or_train",
    "make_schedule",
    "saved_file",
    "teddies_128_ldm",
    "teddies_128_vae",
    "teddies_ldm",
    "teddies_reader",
    "teddies_vae",
    "teddies_words",
    "untrained_network",
]
