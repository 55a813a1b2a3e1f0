"""Homework 2, the autoencoder: what its checks compare with, and what people get wrong. A file for each exercise."""

from course_lib.homework.checks.exercise import Homework, Written
from course_lib.homework.checks.hw2.bottleneck import BOTTLENECK
from course_lib.homework.checks.hw2.conv_output_size import CONV_OUTPUT_SIZE
from course_lib.homework.checks.hw2.conv_transpose_output_size import CONV_TRANSPOSE_OUTPUT_SIZE
from course_lib.homework.checks.hw2.latent_shape import LATENT_SHAPE
from course_lib.homework.checks.hw2.pca_reconstructions import PCA_RECONSTRUCTIONS
from course_lib.homework.checks.hw2.psnr import PSNR

hw2 = Homework(
    "hw2",
    "Autoencoder",
    CONV_OUTPUT_SIZE,
    LATENT_SHAPE,
    CONV_TRANSPOSE_OUTPUT_SIZE,
    BOTTLENECK,
    PCA_RECONSTRUCTIONS,
    PSNR,
    Written("holes", 5, 3, 20),
)
