"""The recipes of the students: what they save, and that the student's steps are those that were halved."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from course_lib import data, device, distillation, recipes, teddies, text_to_image
from course_lib.diffusion import denoiser
from course_lib.recipes import configs, fashion, few_steps
from course_lib.samplers import ddim
from course_lib.storage import weights
from course_lib.unet import UNet

CPU = device.find("cpu", "fp32")


def few(split="train", device=None):
    n = {"train": 3000, "test": 500}[split]
    return tuple(part[:n] for part in data.fashion_mnist(split, device))


def quiet(steps):
    return recipes.RunOptions(0, steps, progress=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A VAE, a narrow denoiser and the students, of a few steps each, in a folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_RUNS", str(tmp_path_factory.mktemp("runs")))
        for module in (fashion, few_steps):
            patch.setattr(module, "fashion_mnist", few)
        config, training = configs.FASHION_DENOISER["cpu"]
        patch.setitem(configs.FASHION_DENOISER, "cpu", (config | {"width": 16}, replace(training, batch_size=64)))
        for name in ("FASHION_ONE_CALL", "FASHION_HALVING"):
            patch.setattr(configs, name, replace(getattr(configs, name), batch_size=64))
        recipes.fashion_vae(None, CPU, quiet(5))
        recipes.fashion_ldm(None, CPU, quiet(5))
        names = ("fashion-one-call", "fashion-four-steps", "fashion-one-step")
        yield {name: recipes.RECIPES[name].train(None, CPU, quiet(3)) for name in names}


def test_a_student_can_be_loaded_and_takes_a_scale(trained):
    for name, result in trained.items():
        loaded = recipes.load_or_train(name, CPU)
        assert_close(loaded.state_dict(), result.ema.state_dict(), rtol=0, atol=0)
        metadata = weights.load(recipes.saved_file(name))[1]
        assert metadata["config"]["takes_scale"] is True
        assert (metadata["recipe"], metadata["steps"]) == (name, 3)
        assert metadata["seconds"] >= round(result.seconds, 1), "a halved student has the seconds of all its halvings"


def test_the_large_teddies_denoiser_learns_the_scale_from_its_own_guidance(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    monkeypatch.setattr(configs, "NUM_TEDDIES", 64)
    dataset = teddies.dataset  # the recipe of the VAE evaluates on 1,000 images
    monkeypatch.setattr(teddies, "dataset", lambda n, *arguments, **options: dataset(min(n, 64), *arguments, **options))
    recipes.teddies_128_vae(None, CPU, quiet(1))
    config, training = configs.TEDDIES_128_DENOISER
    monkeypatch.setattr(configs, "TEDDIES_128_DENOISER", (config | {"width": 16}, replace(training, batch_size=8)))
    monkeypatch.setattr(configs, "TEDDIES_128_ONE_CALL", replace(configs.TEDDIES_128_ONE_CALL, batch_size=8))
    result = recipes.teddies_128_ldm(tmp_path / "net.safetensors", CPU, quiet(2))
    state, metadata = weights.load(tmp_path / "net.safetensors")
    assert (metadata["scales"], metadata["steps"], result.steps) == (list(distillation.SCALES), 4, 2)
    net = recipes.build(UNet, metadata["config"])
    net.load_state_dict(state)
    x, t, y = (
        torch.zeros(2, *text_to_image.MODELS["teddies-128-ldm"][1]),
        torch.full((2,), 500),
        torch.tensor([[0, 1, 2, 3, 4], list(teddies.NUM_VALUES)]),
    )
    assert net(x, t, y, scale=torch.tensor([1.0, 3.0])).shape == x.shape
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".resume"] == []


def test_an_unconditional_teacher_is_refused():
    net = UNet(4, 8, (1,), 1, (), 2, num_classes=None)
    with pytest.raises(ValueError, match="no guidance to teach"):
        few_steps.distil_guidance(
            net, net, (torch.zeros(2, 4, 4, 4), torch.zeros(2)), quiet(1).apply(configs.FASHION_ONE_CALL), CPU
        )


def test_an_untrained_student_is_its_teacher_at_every_scale(trained):
    student, _ = few_steps.untrained_student(CPU, seed=1)
    teacher, x = recipes.load_or_train("fashion-ldm", CPU), torch.randn(4, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    t, y = torch.tensor([1, 300, 700, 1000]), torch.arange(4)
    assert_close(student(x, t, y, scale=torch.tensor([1.0, 2.0, 3.0, 4.0])), teacher(x, t, y), rtol=0, atol=0)


def test_a_halving_brings_one_step_nearer_to_two_and_leaves_the_teacher_alone(trained):
    """On the noise of sampling itself, which the training never sees as such."""
    teacher = recipes.load_or_train("fashion-one-call", CPU)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    latents = few_steps.latents_and_labels(CPU)
    training = quiet(60).apply(configs.FASHION_HALVING)
    result = few_steps.halve(teacher, 1, latents, training, CPU)
    assert_close(teacher.state_dict(), before, rtol=0, atol=0)
    assert not teacher.training

    noise, labels = torch.randn(200, 4, 4, 4, generator=torch.Generator().manual_seed(1)), torch.arange(200) % 10
    schedule = recipes.make_schedule()

    def sample(net, steps):
        return ddim(denoiser(distillation.at_scale(net, 2.0), "v", labels), noise, schedule.grid(steps))

    goal = sample(teacher, 2)
    first, last = ((sample(net, 1) - goal).square().mean() for net in (teacher, result.net))
    assert last < 0.5 * first


def test_the_guided_teacher_is_learned(trained):
    student, _ = few_steps.untrained_student(CPU)
    teacher, latents = recipes.load_or_train("fashion-ldm", CPU), few_steps.latents_and_labels(CPU)
    training = quiet(60).apply(configs.FASHION_ONE_CALL)
    result = few_steps.distil_guidance(student, teacher, latents, training, CPU)
    assert result.losses[-10:].mean() < 0.7 * result.losses[:5].mean()
