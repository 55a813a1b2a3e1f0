"""The building blocks of the workbook *Latent Space & Guidance*: small, tested, fast on CPU and GPU.

Every file at the top of this package is a block that a chapter teaches; the folders hold what makes the course run.
"""

__version__ = "0.1.0"
