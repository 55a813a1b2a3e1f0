"""Spectra and dimensions against data whose dimension is known; redundancy against processes of known correlation."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from course_lib import dimension


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def cube(n, d, seed=0):
    return torch.rand(n, d, generator=seeded(seed), dtype=torch.float64)


def rotated(x, ambient, seed=9):
    """The same points in a space of more dimensions, along random directions: distances do not change."""
    frame = torch.linalg.qr(torch.randn(ambient, x.shape[1], generator=seeded(seed), dtype=x.dtype)).Q
    return x @ frame.T


def with_variances(variances, n, ambient, seed=0):
    x = torch.randn(n, len(variances), generator=seeded(seed), dtype=torch.float64)
    x = torch.linalg.qr(x - x.mean(0)).Q * (n - 1) ** 0.5  # sample covariance exactly 1
    return rotated(x * torch.tensor(variances, dtype=x.dtype).sqrt(), ambient)


@pytest.mark.parametrize(("n", "ambient"), [(200, 30), (20, 300)])  # covariance, then Gram matrix
@pytest.mark.parametrize("chunk", [7, 4096])
def test_spectrum_of_a_linear_subspace(n, ambient, chunk):
    variances = [9.0, 4.0, 1.0, 0.25]
    spectrum = dimension.pca_spectrum(with_variances(variances, n, ambient) + 100, chunk=chunk)
    assert spectrum.shape == (min(n, ambient),)
    wanted = torch.tensor(variances + [0] * (len(spectrum) - 4), dtype=torch.float64)
    assert_close(spectrum, wanted, atol=1e-9, rtol=0)


def test_spectrum_agrees_with_scikit_learn():
    from sklearn.decomposition import PCA

    x = torch.randint(0, 256, (70, 1, 6, 6), generator=seeded(), dtype=torch.uint8)
    wanted = PCA(svd_solver="full").fit(x.flatten(1).double().numpy()).explained_variance_
    assert_close(dimension.pca_spectrum(x), torch.from_numpy(wanted), rtol=1e-9, atol=0)


def test_dimensions_of_a_spectrum():
    spectrum = torch.tensor([60.0, 30, 6, 4], dtype=torch.float64)
    assert [dimension.pca_dimension(spectrum, s) for s in (0.5, 0.6, 0.61, 0.9, 0.95, 0.97, 1)] == [1, 1, 2, 2, 3, 4, 4]
    assert dimension.participation_ratio(spectrum) == pytest.approx(100**2 / (3600 + 900 + 36 + 16))
    assert dimension.participation_ratio(torch.ones(7)) == pytest.approx(7)
    assert dimension.participation_ratio(torch.tensor([5.0, 0, 0])) == pytest.approx(1)


@pytest.mark.parametrize("d", range(1, 9))
@pytest.mark.parametrize("method", ["fit", "mle"])
def test_two_nn_of_cubes(d, method):
    found = dimension.two_nn(rotated(cube(3000, d), 20), method=method)
    assert found.dimension == pytest.approx(d, rel=0.15)


def sphere(n):
    x = torch.randn(n, 3, generator=seeded(1), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def swiss_roll(n):
    angle, height = 4 + 10 * cube(n, 1), 20 * cube(n, 1, seed=1)
    return torch.cat([angle * angle.cos(), height, angle * angle.sin()], 1)


@pytest.mark.parametrize("make", [sphere, swiss_roll])
def test_two_nn_of_curved_surfaces(make):
    x = make(3000)
    assert dimension.two_nn(x).dimension == pytest.approx(2, rel=0.1)
    assert dimension.pca_dimension(dimension.pca_spectrum(x)) == 3  # a linear method sees the space around them


@pytest.mark.parametrize(("method", "discard"), [("fit", 0.1), ("fit", 0.25), ("mle", 0.1)])
def test_two_nn_agrees_with_scikit_dimension(method, discard):
    from skdim.id import TwoNN

    x = rotated(cube(700, 4), 12)
    theirs = TwoNN(discard_fraction=discard, method={"fit": "linear", "mle": "mle"}[method]).fit(x.numpy())
    ours = dimension.two_nn(x, discard=discard, method=method, chunk=100)
    assert ours.dimension == pytest.approx(theirs.dimension_, rel=1e-6)
    assert_close(ours.log_ratios, torch.from_numpy(theirs.x_[:, 0]), rtol=0, atol=1e-9)


def test_two_nn_of_all_points_is_the_pareto_likelihood():
    x = rotated(cube(300, 4), 12)
    found = dimension.two_nn(x, discard=0, method="mle")
    near, next_near = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").sort(1).values[:, 1:3].T
    assert found.dimension == pytest.approx(299 / (next_near / near).log().sum().item(), rel=1e-9)
    assert found.points == 300
    # The fit has no use for the last point, where -log(1 - F) is infinite.
    assert dimension.two_nn(x, discard=0).points == 299


def test_two_nn_removes_and_counts_duplicates():
    x = cube(500, 3)
    plain, doubled = dimension.two_nn(x), dimension.two_nn(torch.cat([x, x[:100], x[:50]]))
    assert (plain.duplicates, doubled.duplicates) == (0, 150)
    assert doubled.dimension == pytest.approx(plain.dimension, rel=1e-9)
    assert doubled.points == plain.points == 450


def test_two_nn_error_is_the_spread_of_runs():
    runs = [dimension.two_nn(cube(400, 2, seed=s), method="mle") for s in range(60)]
    spread = torch.tensor([r.dimension for r in runs]).std().item()
    assert runs[0].error == pytest.approx(spread, rel=0.35)


def autoregressive(rho, shape, seed=0):
    """Separable AR(1) images: pixels r apart, along a row or a column, correlate by rho^r."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    for axis in (2, 3):
        noise = np.moveaxis(noise, axis, 0)
        for i in range(1, len(noise)):
            noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
        noise = np.moveaxis(noise, 0, axis)
    return torch.from_numpy(noise)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_neighbour_correlation_of_known_images(rho):
    # Channels of different brightness: that difference must not count as correlation.
    x = autoregressive(rho, (100, 2, 48, 48)) + torch.tensor([0.0, 50.0]).view(1, 2, 1, 1)
    found = dimension.neighbour_correlation(x, 6)
    assert_close(found, rho ** torch.arange(7, dtype=torch.float64), atol=0.02, rtol=0)


def test_neighbour_correlation_agrees_with_numpy():
    x = autoregressive(0.7, (3, 1, 9, 11), seed=4)
    a = x.numpy()[:, 0]
    across = np.corrcoef(a[:, :, :-2].ravel(), a[:, :, 2:].ravel())[0, 1]
    down = np.corrcoef(a[:, :-2].ravel(), a[:, 2:].ravel())[0, 1]
    assert dimension.neighbour_correlation(x, 2)[2].item() == pytest.approx((across + down) / 2, rel=1e-10)


def test_linear_prediction_of_known_images():
    # A separable AR(1) pixel is rho W + rho N - rho² NW + noise of variance (1 - rho²)².
    rho = 0.9
    found = dimension.linear_prediction(3 * autoregressive(rho, (100, 2, 48, 48)) + 7)
    assert_close(found.weights.tolist(), [rho, -(rho**2), rho, 0.0], atol=0.02, rtol=0)
    assert found.r2 == pytest.approx(1 - (1 - rho**2) ** 2, abs=0.005)
    assert found.residual_std == pytest.approx(3 * (1 - rho**2), rel=0.01)


def test_linear_prediction_agrees_with_scikit_learn():
    from sklearn.linear_model import LinearRegression

    x = autoregressive(0.5, (2, 1, 12, 10), seed=3)
    a = x.numpy()[:, 0]
    y = a[:, 1:, 1:-1].ravel()
    inputs = np.stack([z.ravel() for z in (a[:, 1:, :-2], a[:, :-1, :-2], a[:, :-1, 1:-1], a[:, :-1, 2:])], 1)
    line = LinearRegression().fit(inputs, y)
    found = dimension.linear_prediction(x)
    assert_close(found.weights.tolist(), line.coef_.tolist(), atol=1e-9, rtol=0)
    assert found.r2 == pytest.approx(line.score(inputs, y), abs=1e-9)
    assert found.residual_std == pytest.approx((y - line.predict(inputs)).std(), rel=1e-9)


def test_linear_prediction_of_a_plain_ramp_is_perfect():
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(2, 1, 16, 16)
    assert dimension.linear_prediction(ramp).r2 == pytest.approx(1, abs=1e-9)
    assert dimension.linear_prediction(ramp).residual_std == pytest.approx(0, abs=1e-6)


def undo(error):
    """Decode a plane pixel by pixel, as JPEG-LS writes the predictor down."""
    height, width = error.shape
    plane = np.zeros((height + 1, width + 1), int)
    for i in range(height):
        for j in range(width):
            left, above, corner = plane[i + 1, j], plane[i, j + 1], plane[i, j]
            if corner >= max(left, above):
                guess = min(left, above)
            elif corner <= min(left, above):
                guess = max(left, above)
            else:
                guess = left + above - corner
            plane[i + 1, j + 1] = (guess + error[i, j]) % 256
    return plane[1:, 1:]


def photograph():
    from skimage import data

    return torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None]


def test_prediction_error_can_be_undone():
    x = photograph()[:, :, 100:140, 200:230]
    error = dimension.prediction_error(x)
    for plane, wanted in zip(error[0].numpy(), x[0].numpy(), strict=True):
        np.testing.assert_array_equal(undo(plane.astype(int)), wanted)


def test_bits_per_pixel_of_noise_constants_and_known_entropy():
    noise = torch.randint(0, 256, (4, 3, 128, 128), generator=seeded(), dtype=torch.uint8)
    assert 24 <= dimension.lossless_bits_per_pixel(noise) < 24 * 1.01  # noise cannot be compressed
    assert dimension.lossless_bits_per_pixel(torch.full((4, 1, 128, 128), 7, dtype=torch.uint8)) < 0.02
    steps = torch.randint(0, 4, (1, 1, 1, 2**17), generator=seeded(), dtype=torch.uint8)
    walk = (steps.long().cumsum(-1) % 256).to(torch.uint8)  # each pixel has 2 bits of information, whatever its value
    assert 2 <= dimension.lossless_bits_per_pixel(walk) < 2.6


def test_bits_per_pixel_of_a_photograph_compared_with_png(tmp_path):
    from skimage import io

    x = photograph()
    io.imsave(tmp_path / "photograph.png", x[0].permute(1, 2, 0).numpy(), check_contrast=False)
    png = (tmp_path / "photograph.png").stat().st_size * 8 / (512 * 512)
    assert 0.7 * png < dimension.lossless_bits_per_pixel(x) < png


@pytest.mark.parametrize(
    ("call", "clue"),
    [
        (lambda: dimension.pca_spectrum(torch.zeros(1, 5)), "2 points"),
        (lambda: dimension.pca_dimension(torch.ones(5), 95), "fraction is 95"),
        (lambda: dimension.two_nn(torch.ones(50, 5)), "distinct points"),
        (lambda: dimension.two_nn(torch.rand(50, 5), method="slope"), "slope"),
        (lambda: dimension.neighbour_correlation(torch.rand(2, 1, 8, 8), 8), "8×8"),
        (lambda: dimension.neighbour_correlation(torch.zeros(2, 1, 8, 8), 2), "same value"),
        (lambda: dimension.linear_prediction(torch.rand(8, 8)), "B, C, H, W"),
        (lambda: dimension.linear_prediction(torch.rand(2, 1, 1, 8)), "1×8"),
        (lambda: dimension.lossless_bits_per_pixel(torch.rand(2, 1, 8, 8)), "uint8"),
    ],
)
def test_invalid_input_raises(call, clue):
    with pytest.raises(ValueError, match=clue):
        call()


@pytest.mark.gpu
def test_the_gpu_measures_as_the_cpu_does():
    points, x = rotated(cube(500, 3), 10), autoregressive(0.7, (4, 2, 24, 24))
    assert_close(dimension.pca_spectrum(points.cuda()).cpu(), dimension.pca_spectrum(points))
    assert dimension.two_nn(points.cuda()).dimension == pytest.approx(dimension.two_nn(points).dimension, rel=1e-6)
    assert_close(dimension.neighbour_correlation(x.cuda(), 4).cpu(), dimension.neighbour_correlation(x, 4))
    assert dimension.linear_prediction(x.cuda()).r2 == pytest.approx(dimension.linear_prediction(x).r2, rel=1e-6)
