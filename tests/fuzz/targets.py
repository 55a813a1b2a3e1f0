"""All specs, by the folders and files of course_lib."""

import importlib

MODULES = (
    "targets_diffusion",
    "targets_networks",
    "targets_metrics",
    "targets_judges",
    "targets_codecs",
    "targets_training",
    "targets_teddies",
    "targets_notebook",
    "targets_explore",
    "targets_pixel_space",
    "targets_vae_chapters",
    "targets_diffusion_chapters",
    "targets_latent_ddpm",
    "targets_latents",
    "targets_guidance_chapters",
    "targets_few_steps",
)


def load_targets() -> None:
    """Register every spec, and every exclusion."""
    for name in MODULES:
        importlib.import_module(name)
