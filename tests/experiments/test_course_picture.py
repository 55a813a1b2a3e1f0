"""The course in one picture, from shipped data and weights."""

import pytest
import torch

from course_lib import device, text_to_image
from course_lib.experiments import course_picture

MACHINE = device.find("cpu")


def test_shuffled_pixels_are_the_same_pixels():
    photo, shuffled = course_picture.pixels()
    assert photo.shape == shuffled.shape == (3, 256, 256)
    assert not torch.equal(photo, shuffled)
    torch.testing.assert_close(photo.flatten(1).sort(1).values, shuffled.flatten(1).sort(1).values)
    colours = [{tuple(colour) for colour in x.flatten(1).T.tolist()} for x in (photo, shuffled)]
    assert colours[0] == colours[1]  # a pixel stays together


def test_the_reconstruction_resembles_the_teddy():
    teddy, again = course_picture.reconstruction(MACHINE)
    assert teddy.shape == again.shape == (3, 64, 64)
    assert 0 < (teddy - again).square().mean() < 0.1 * teddy.var()


def test_a_trajectory_ends_at_what_the_model_generates():
    model = text_to_image.load(MACHINE)
    walk = course_picture.trajectory(model, "", steps=4)
    assert walk.shape == (5, 3, 64, 64)
    torch.testing.assert_close(walk[-1:], model.generate("", n=1, scale=1.0, steps=4, seed=course_picture.SEED))
    steps = (walk - walk[-1:]).square().flatten(1).mean(1)
    assert steps[0] > 5 * steps[-2]  # it starts far away and arrives


def test_the_maps_are_of_a_stored_beta():
    clouds, decoded = course_picture.maps(side=100)
    assert clouds.dtype == decoded.dtype == torch.uint8
    assert clouds.shape[0] == decoded.shape[0] == 3
    with pytest.raises(ValueError, match="beta"):
        course_picture.maps(beta=3.0)


def test_the_picture_names_its_five_columns():
    picture = course_picture.course_picture(MACHINE)
    assert picture.pixels().shape[1] > 700
    for word in ("Pixels", "Few", "Smooth", "Trajectory", "Steered"):
        assert word in picture.alt
