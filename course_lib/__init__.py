"""The building blocks of the workbook *Latent Space & Guidance*: small, tested, fast on CPU and GPU."""

__version__ = "0.1.0"
