"""The noisy classifier of chapter 5, against closed forms and counts that they do not compute themselves."""

import pytest
import torch
from torch import nn

from course_lib import device, schedule
from course_lib.experiments.ch5_guidance import noisy_classifier
from course_lib.gaussian_mixture import gaussian_mixture

CPU = device.find("cpu", "fp32")


def test_the_classifier_comes_near_the_bayes_optimum():
    """Two classes at ±m: the best accuracy at a level is Phi(alpha·|m| / √(alpha² s² + sigma²)); training must come near it."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (4000,), generator=generator)
    x0 = (2.0 * y - 1).view(-1, 1, 1, 1) * 0.25 + 0.5 * torch.randn(4000, 4, 2, 2, generator=generator)
    net = noisy_classifier.train_noisy_classifier(x0, y, CPU, steps=300).ema
    found = noisy_classifier.accuracy_by_level(net, x0, y, [1, 500, 1000])
    best = []
    for t in (1, 500, 1000):  # |m| = 0.25·√16 = 1 in all, the spread is 0.5
        level = schedule.cosine().level(t)
        z = level.alpha / (level.alpha**2 * 0.25 + level.sigma**2) ** 0.5
        best.append(0.5 * (1 + torch.erf(torch.tensor(z / 2**0.5)).item()))
    assert found == pytest.approx(best, abs=0.04)


def test_the_guiding_gradient_stays_bounded_where_the_signal_fades():
    """sigma² / alpha times the gradient of an untrained net: about the same at t = 990 (alpha 0.02) and t = 900 (0.15)."""
    torch.manual_seed(0)
    net, schedule_ = noisy_classifier.NoisyClassifier(64), schedule.cosine()
    x = torch.randn(32, 4, 4, 4, requires_grad=True)
    norms = []
    for t in (900, 990):
        level = schedule_.level(t)
        (g,) = torch.autograd.grad(noisy_classifier.label_log_prob(net, torch.zeros(32, dtype=torch.long))(x, level).sum(), x)
        norms.append((level.sigma**2 / level.alpha * g).norm(dim=1).mean().item())
    assert norms[1] < 2 * norms[0]


def test_log_prob_is_that_of_the_wanted_class():
    class Known(nn.Module):
        def forward(self, x_t, level):
            return torch.tensor([[0.0, 1.0, 2.0]]).expand(len(x_t), 3)

    got = noisy_classifier.label_log_prob(Known(), torch.tensor([2, 0]))(torch.zeros(2, 1, 1, 1), schedule.cosine().level(5))
    total = sum(torch.tensor([0.0, 1.0, 2.0]).exp())
    torch.testing.assert_close(got, torch.stack([torch.tensor(2.0), torch.tensor(0.0)]) - total.log())


class Overconfident(nn.Module):
    """Bayes' own classifier of a Gaussian mixture, its logits multiplied by a factor that depends on t."""

    def __init__(self, mixture, factor) -> None:
        super().__init__()
        self.mixture, self.factor = mixture, factor
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x_t, level):
        return self.factor(level.t) * self.mixture.class_log_prob(x_t, level)


def four_classes():
    return gaussian_mixture(torch.tensor([[1.0, 1.0], [-1.0, 0.5], [0.0, -1.2], [1.5, -1.0]]), 0.5)


def test_calibration_undoes_a_known_overconfidence_at_every_level():
    mixture, ts = four_classes(), [1, 300, 600]
    x0, y = mixture.sample(4000, torch.Generator().manual_seed(0))
    net = Overconfident(mixture, lambda t: 1 + t / 200)
    calibrated, found = noisy_classifier.calibrate_by_level(net, x0, y, ts)
    assert found == pytest.approx([1 + t / 200 for t in ts], rel=0.12)
    x0, y = mixture.sample(4000, torch.Generator().manual_seed(1))
    between = [150, 450]  # where nothing was fitted
    floor = noisy_classifier.calibration_floor(Overconfident(mixture, lambda t: 1.0), x0, between)
    for before, after, least in zip(
        *(noisy_classifier.calibration_error_by_level(n, x0, y, between) for n in (net, calibrated)), floor, strict=True
    ):
        assert after < least + 0.02
        assert before > after + 0.02


def test_a_calibrated_classifier_takes_one_level_and_those_of_a_batch():
    net = noisy_classifier.CalibratedClassifier(noisy_classifier.NoisyClassifier(8), [1, 500, 900], [1.0, 3.0, 2.0])
    x, steps = torch.randn(4, 2, 2, 2), torch.tensor([1, 250, 700, 1000])
    wanted = [1.0 + 2 * 249 / 499, 2.5, 2.0]  # in a line between the knots, and flat behind the last
    torch.testing.assert_close(net.table[steps[1:]], torch.tensor(wanted))
    together = net(x, schedule.cosine().at(steps))
    for i, t in enumerate(steps.tolist()):
        level = schedule.cosine().level(t)
        alone = net(x[i : i + 1], level)
        torch.testing.assert_close(alone, together[i : i + 1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(alone * net.table[t], net.net(x[i : i + 1], level))


def test_a_classifier_step_is_that_of_bayes_rule_at_a_given_length():
    mixture, x, level = four_classes(), torch.randn(5, 2, 1, 1), schedule.cosine().level(400)
    log_prob = lambda x_t, level: mixture.class_log_prob(x_t, level)[:, 2]  # noqa: E731
    x0, moved, bayes_length = noisy_classifier.classifier_step(mixture.denoiser(), log_prob, x, level, 0.3)
    bayes = (mixture.denoise(x, level, 2) - x0).flatten(1)  # Bayes' rule: where the class's own denoiser is
    torch.testing.assert_close(bayes_length, bayes.norm(dim=1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close((moved - x0).flatten(1), 0.3 * bayes / bayes.norm(dim=1, keepdim=True), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("max_timestep", "expected"), [(1, 1), (300, 300), (None, 1000)])
def test_training_goes_up_to_the_maximal_timestep(max_timestep, expected, monkeypatch):
    seen = []

    class Watched(noisy_classifier.NoisyClassifier):
        def forward(self, x_t, level):
            seen.append(level.t)
            return super().forward(x_t, level)

    monkeypatch.setattr(noisy_classifier, "NoisyClassifier", Watched)
    noisy_classifier.train_noisy_classifier(
        torch.randn(256, 4, 2, 2), torch.arange(256) % 10, CPU, steps=4, max_timestep=max_timestep
    )
    ts = torch.cat(seen)
    assert ts.min() <= 4
    assert 0.98 * expected <= ts.max() <= expected
