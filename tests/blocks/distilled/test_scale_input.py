"""A network with a guidance scale as an input: it starts as the network without, and reads the scale once it is trained."""

import pytest
import torch
from networks import perturbed
from oracles import normal
from torch.testing import assert_close

from course_lib.layers import Conditioning
from course_lib.unet import UNet

CONFIG = {"in_channels": 3, "width": 16, "heads": 2, "blocks": 1, "num_classes": 5}


def batch(n=4):
    return normal(n, 3, 8, 8, dtype=torch.float32), torch.linspace(1, 1000, n).long(), torch.arange(n) % 5


def test_a_student_starts_as_its_teacher_at_every_scale():
    teacher, student = perturbed(UNet(**CONFIG)), UNet(**CONFIG, takes_scale=True)
    missing, unexpected = student.load_state_dict(teacher.state_dict(), strict=False)
    assert unexpected == []
    assert missing
    assert all(name.startswith("conditioning.scale.") for name in missing)
    for scale in (None, torch.tensor([1.0, 2.0, 4.0, -3.0])):
        assert torch.equal(student(*batch(), scale=scale), teacher(*batch()))


def test_the_scale_of_each_image_reaches_its_output_and_no_other():
    net = perturbed(UNet(**CONFIG, takes_scale=True))
    one = torch.ones(4)
    plain, changed = net(*batch(), scale=one), net(*batch(), scale=torch.tensor([1.0, 1.0, 3.0, 1.0]))
    assert_close(net(*batch()), plain)  # no scale is scale 1
    differs = (changed - plain).abs().amax(dim=(1, 2, 3))
    assert (differs > 1e-4).tolist() == [False, False, True, False]


def test_without_the_input_nothing_is_added_to_the_weights():
    assert not [name for name in UNet(**CONFIG).state_dict() if "scale" in name]
    assert Conditioning(8, 3).scale is None


def test_a_gradient_reaches_the_embedding_of_the_scale():
    net = perturbed(UNet(**CONFIG, takes_scale=True))
    net(*batch(), scale=torch.tensor([1.0, 2.0, 3.0, 4.0])).square().mean().backward()
    assert all(p.grad.abs().max() > 0 for p in net.conditioning.scale.parameters())


@pytest.mark.parametrize(
    ("takes_scale", "scale", "says"),
    [
        (False, torch.ones(4), "takes no guidance scale"),
        (True, torch.ones(3), "scale has 3 rows and t 4"),
        (True, torch.ones(4, 1), "must be \\[B\\]"),
        (True, torch.ones(4).long(), "must hold floats"),
    ],
)
def test_a_scale_that_does_not_fit_is_refused(takes_scale, scale, says):
    with pytest.raises(ValueError, match=says):
        UNet(**CONFIG, takes_scale=takes_scale)(*batch(), scale=scale)


def test_takes_scale_is_true_or_false():
    with pytest.raises(TypeError, match="takes_scale"):
        UNet(**CONFIG, takes_scale=1)
