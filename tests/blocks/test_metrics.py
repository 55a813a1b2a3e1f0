"""Set metrics and pair metrics against torchmetrics, SciPy, scikit-image, plain loops and closed forms."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from course_lib import metrics


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n, d, seed=0, scale=1.0, shift=0.0):
    return torch.randn(n, d, generator=seeded(seed), dtype=torch.float64) * scale + shift


def with_moments(n, mean, covariance, seed=0):
    """Samples whose sample mean and (unbiased) covariance are the given ones exactly."""
    x = normal(n, len(mean), seed)
    x = x - x.mean(0)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False).T
    return whitened @ torch.linalg.cholesky(covariance).T + mean


def covariance(d, seed):
    x = normal(3 * d, d, seed)
    return x.T @ x / len(x)


def test_frechet_of_known_gaussians():
    # Equal covariances: only the means count.
    same = covariance(6, 1)
    a = with_moments(200, torch.zeros(6, dtype=torch.float64), same, seed=2)
    b = with_moments(300, torch.full((6,), 0.5, dtype=torch.float64), same, seed=3)
    assert metrics.frechet_distance(a, b) == pytest.approx(6 * 0.25, rel=1e-9)
    # Diagonal covariances commute: the sum of (std_a - std_b)².
    stds = torch.tensor([[1.0, 2.0, 3.0], [2.0, 2.0, 0.5]], dtype=torch.float64)
    a, b = (with_moments(100, torch.zeros(3, dtype=torch.float64), (s**2).diag(), seed=4) for s in stds)
    assert metrics.frechet_distance(a, b) == pytest.approx(1 + 0 + 6.25, rel=1e-9)


def test_frechet_agrees_with_scipy_sqrtm():
    from scipy.linalg import sqrtm

    a, b = normal(500, 12, 5) @ covariance(12, 6), normal(400, 12, 7) @ covariance(12, 8) + 0.3
    cov_a, cov_b = np.cov(a.numpy().T), np.cov(b.numpy().T)
    shift = a.numpy().mean(0) - b.numpy().mean(0)
    wanted = shift @ shift + np.trace(cov_a + cov_b - 2 * sqrtm(cov_a @ cov_b).real)
    assert metrics.frechet_distance(a, b) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.filterwarnings("ignore:Metric")
def test_frechet_agrees_with_torchmetrics():
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Flatten(torch.nn.Module):
        num_features = 12

        def forward(self, images):
            return images.flatten(1)

    a, b = (torch.rand(300, 3, 2, 2, generator=seeded(s)) ** (s + 1) for s in (1, 2))
    fid = FrechetInceptionDistance(feature=Flatten(), input_img_size=(3, 2, 2)).set_dtype(torch.float64)
    fid.update(a, real=True)
    fid.update(b, real=False)
    wanted = fid.compute().item()
    assert metrics.frechet_distance(a.flatten(1), b.flatten(1)) == pytest.approx(wanted, rel=1e-5)


def test_frechet_handles_singular_covariances():
    a = normal(50, 30, 1)
    a[:, 10:] = a[:, :20]  # rank 10
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    few = normal(5, 30, 2)  # fewer samples than features
    assert metrics.frechet_distance(few, few + 1) == pytest.approx(30, rel=1e-6)


def test_frechet_takes_half_precision_and_stays_in_double():
    a, b = normal(400, 8, 1).bfloat16(), normal(400, 8, 2, 2.0).bfloat16()
    assert metrics.frechet_distance(a, b) == metrics.frechet_distance(a.double(), b.double())


def test_kid_agrees_with_a_double_loop():
    a, b = normal(9, 4, 1).numpy(), normal(7, 4, 2, 1.5, 0.4).numpy()

    def kernel(x, y):
        return (float(x @ y) / 4 + 1) ** 3

    within_a = np.mean([kernel(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j])
    within_b = np.mean([kernel(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j])
    between = np.mean([kernel(x, y) for x in a for y in b])
    got = metrics.kid(torch.from_numpy(a), torch.from_numpy(b))
    assert got == pytest.approx(within_a + within_b - 2 * between, rel=1e-12)


def test_kid_agrees_with_torchmetrics():
    from torchmetrics.image.kid import poly_mmd

    a, b = normal(100, 16, 1), normal(100, 16, 2, 1.2)
    assert_close(metrics.kid(a, b), poly_mmd(a, b).item())


def test_kid_is_unbiased():
    values = torch.tensor([metrics.kid(normal(200, 5, 2 * s), normal(200, 5, 2 * s + 1)) for s in range(200)])
    assert abs(values.mean()) < 4 * values.std() / 200**0.5  # equal distributions: zero on average


def test_the_bootstrap_error_of_kid_is_the_spread_over_sets_of_samples_or_a_little_more():
    real = normal(300, 5, 1000)
    sets = [normal(300, 5, s, scale=1.5) for s in range(60)]
    spread = torch.tensor([metrics.kid(x, real) for x in sets]).std().item()
    errors = [metrics.bootstrap(partial(metrics.kid, b=real), x, generator=seeded(), n=30).error for x in sets[:6]]
    assert 0.9 < np.mean(errors) / spread < 1.4


@pytest.mark.parametrize("chunk", [7, 1000])
def test_nearest_neighbours_agree_with_scikit_learn(chunk):
    from sklearn.neighbors import NearestNeighbors

    x, reference = normal(60, 5, 1, shift=100.0), normal(90, 5, 2, shift=100.0)
    wanted, order = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(reference).kneighbors(x)
    distances, indices = metrics.nearest_neighbours(x, reference, k=4, chunk=chunk)
    assert_close(distances, torch.from_numpy(wanted), atol=1e-10, rtol=0)
    assert_close(indices, torch.from_numpy(order))
    wanted, order = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(x).kneighbors()
    distances, indices = metrics.nearest_neighbours(x, k=4, chunk=chunk)
    assert_close(distances, torch.from_numpy(wanted), atol=1e-10, rtol=0)
    assert_close(indices, torch.from_numpy(order))


def test_the_nearest_neighbour_of_an_identical_point_is_at_distance_exactly_zero():
    x = normal(50, 20, 1, shift=1e4).float()
    distances, indices = metrics.nearest_neighbours(x, torch.cat([x + 5, x]))
    assert_close(distances[:, 0], torch.zeros(50, dtype=torch.float64), atol=0, rtol=0)
    assert_close(indices[:, 0], torch.arange(50, 100))


def test_neighbour_agreement():
    x = normal(300, 3, 1)
    rotation = torch.linalg.qr(normal(3, 3, 2)).Q
    assert metrics.neighbour_agreement(x, 7 * x @ rotation) == 1  # same neighbours in a rotated, scaled space
    unrelated = metrics.neighbour_agreement(x, normal(300, 3, 3), k=10)
    assert unrelated == pytest.approx(10 / 299, abs=0.01)


def naive_coverage(points, support, k):
    """Fraction of points within some support point's distance to its k-th other neighbour, by plain loops."""
    radii = [sorted(math.dist(s, o) for j, o in enumerate(support) if j != i)[k - 1] for i, s in enumerate(support)]
    return np.mean([any(math.dist(p, s) <= r for s, r in zip(support, radii, strict=True)) for p in points])


@pytest.mark.parametrize("k", [1, 3])
def test_precision_recall_agree_with_plain_loops(k):
    real, fake = normal(60, 3, 1), normal(50, 3, 2, scale=0.6, shift=0.5)
    got = metrics.precision_recall(real, fake, k=k, chunk=16)
    assert got.precision == pytest.approx(naive_coverage(fake.tolist(), real.tolist(), k))
    assert got.recall == pytest.approx(naive_coverage(real.tolist(), fake.tolist(), k))
    assert 0 < got.recall < got.precision < 1  # the fakes are the narrower set


def test_precision_recall_of_toys():
    left, right = normal(200, 2, 1), normal(200, 2, 2, shift=100.0)
    assert metrics.precision_recall(left, right) == (0, 0)
    assert metrics.precision_recall(left, left) == (1, 1)
    both = torch.cat([left, right])
    assert metrics.precision_recall(both, left) == (1, 0.5)  # one of two modes: precise, half covered
    assert metrics.precision_recall(left, both) == (0.5, 1)


def images(seed=0, shape=(4, 3, 20, 24)):
    return torch.rand(shape, generator=seeded(seed)) * 2 - 1


def test_psnr_by_hand_and_by_scikit_image():
    from skimage.metrics import peak_signal_noise_ratio

    x = images()
    assert metrics.psnr(x, x + 0.2).item() == pytest.approx(20, abs=1e-4)  # 10 log10(4 / 0.04)
    y = x + torch.randn(x.shape, generator=seeded(1)) * torch.tensor([0.1, 0.2, 0.3, 0.4]).view(4, 1, 1, 1)
    wanted = [peak_signal_noise_ratio(a, b, data_range=2) for a, b in zip(x.numpy(), y.numpy(), strict=True)]
    assert_close(metrics.psnr(x, y, reduction="none").tolist(), wanted, rtol=1e-5, atol=0)
    # The mean of the images' decibels, not the decibels of the mean error.
    assert metrics.psnr(x, y).item() == pytest.approx(np.mean(wanted), rel=1e-5)


@pytest.mark.parametrize("shape", [(3, 3, 17, 23), (2, 1, 28, 28), (2, 1, 11, 11)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ssim_by_scikit_image(shape, dtype):
    from skimage.metrics import structural_similarity

    x = torch.rand(shape, generator=seeded(), dtype=dtype) * 2 - 1
    x = x.cumsum(-1) / 8  # smooth, as images are
    y = x + 0.14 * torch.randn(shape, generator=seeded(1), dtype=dtype)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 2, "channel_axis": 0}
    wanted = [structural_similarity(a, b, **options) for a, b in zip(x.double().numpy(), y.double().numpy(), strict=True)]
    assert_close(metrics.ssim(x, y, reduction="none").tolist(), wanted, rtol=1e-5, atol=1e-6)
    assert metrics.ssim(x, x).item() == pytest.approx(1)


def test_class_agreement():
    wanted = torch.tensor([0, 1, 2, 1])
    assert metrics.class_agreement(torch.tensor([0, 1, 0, 0]), wanted) == 0.5
    assert metrics.class_agreement(torch.eye(3)[[0, 1, 2, 0]] * 9, wanted) == 0.75


def test_calibration_error_by_hand():
    confidence, right = torch.tensor([0.9, 0.9, 0.6, 0.6]), torch.tensor([1, 1, 1, 0])
    logits = torch.stack([confidence.log(), (1 - confidence).log()], 1)
    # Two bins: |1 - 0.9| and |0.5 - 0.6|, half of the samples each.
    assert metrics.calibration_error(logits, 1 - right, bins=10) == pytest.approx(0.1, abs=1e-6)


def test_a_reliability_diagram_sums_to_the_calibration_error():
    logits, labels = 2 * normal(3000, 10), torch.randint(10, (3000,), generator=seeded(5))
    confidence, accuracy, fraction = metrics.reliability_diagram(logits, labels)
    assert fraction.sum().item() == pytest.approx(1)
    assert confidence.tolist() == sorted(confidence.tolist())
    assert len(confidence) < 15  # ten classes: confidence is at least 0.1, so the first bin is empty
    found = (fraction * (confidence - accuracy).abs()).sum().item()
    assert found == pytest.approx(metrics.calibration_error(logits, labels), abs=1e-5)


def test_bootstrap_error_of_a_mean():
    x = normal(400, 1, 1, scale=3.0)
    found = metrics.bootstrap(lambda s: s.mean(), x, generator=seeded(2), n=2000)
    assert found.value == x.mean().item()
    wanted = x.std(correction=0).item() / 20
    assert found.error == pytest.approx(wanted, rel=0.06)
    assert found.high - found.low == pytest.approx(2 * 1.96 * wanted, rel=0.08)
    assert found.low < found.value < found.high


def test_the_bootstrap_interval_has_its_nominal_coverage():
    covered = 0
    for s in range(200):
        found = metrics.bootstrap(torch.mean, normal(60, 1, s), generator=seeded(s), n=200, confidence=0.9)
        covered += found.low <= 0 <= found.high
    assert 0.83 <= covered / 200 <= 0.96  # 0.9 within three standard errors


def test_bootstrap_pairs():
    x = normal(200, 1, 1)
    difference = metrics.bootstrap(lambda a, b: (a - b).mean(), x, x + 1, generator=seeded(2), paired=True)
    assert difference.error == pytest.approx(0, abs=1e-12)  # row by row the difference is 1
    unpaired = metrics.bootstrap(lambda a, b: (a - b).mean(), x, x + 1, generator=seeded(2))
    assert unpaired.error == pytest.approx((2 / 200) ** 0.5, rel=0.25)


@pytest.mark.parametrize(
    ("call", "clue"),
    [
        (lambda: metrics.frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4)), "same D"),
        (lambda: metrics.frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3)), "at least 2 rows"),
        (lambda: metrics.frechet_distance(torch.full((5, 3), torch.nan), torch.zeros(5, 3)), "NaN"),
        (lambda: metrics.kid(torch.zeros(1, 3), torch.zeros(5, 3)), "at least 2 rows"),
        (lambda: metrics.nearest_neighbours(torch.zeros(4, 3), k=4), r"k is 4.*3 other points"),
        (lambda: metrics.neighbour_agreement(torch.zeros(4, 3), torch.zeros(5, 3)), "4 and 5 rows"),
        (lambda: metrics.precision_recall(torch.zeros(3, 2), torch.zeros(9, 2)), "at least 4 rows"),
        (lambda: metrics.psnr(torch.zeros(2, 1, 8, 8), torch.zeros(1, 1, 8, 8)), "equal"),
        (lambda: metrics.psnr(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8), "sum"), "reduction"),
        (lambda: metrics.ssim(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)), "11×11"),
        (lambda: metrics.class_agreement(torch.zeros(3, dtype=torch.long), torch.zeros(4, dtype=torch.long)), "labels"),
        (lambda: metrics.bootstrap(torch.mean, torch.zeros(4), confidence=95), "confidence is 95"),
        (lambda: metrics.bootstrap(torch.mean, torch.zeros(4), torch.zeros(5), paired=True), "equally many"),
    ],
)
def test_invalid_input_raises(call, clue):
    with pytest.raises(ValueError, match=clue):
        call()


@pytest.mark.gpu
def test_the_gpu_measures_as_the_cpu_does():
    a, b = normal(300, 8, 1), normal(300, 8, 2, 1.3)
    x, y = images(1), images(2)
    for call, inputs in [
        (metrics.frechet_distance, (a, b)),
        (metrics.kid, (a, b)),
        (lambda p, q: metrics.precision_recall(p, q).precision, (a, b)),
        (lambda p, q: metrics.nearest_neighbours(p, q, k=3)[0].sum(), (a, b)),
        (lambda p, q: metrics.bootstrap(lambda u, v: u.mean() - v.mean(), p, q, generator=seeded(4)).high, (a, b)),
        (metrics.psnr, (x, y)),
        (metrics.ssim, (x, y)),
    ]:
        assert float(call(*(z.cuda() for z in inputs))) == pytest.approx(float(call(*inputs)), rel=1e-4)
