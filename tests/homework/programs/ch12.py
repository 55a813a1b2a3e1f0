"""Answers to the exercises of notebook 12: right ones, written in several ways, and wrong ones."""

_SHARE = "def high_frequency_share(latents, basis):\n    "
_POWER = f"{_SHARE}power = (basis @ latents @ basis.T).square().sum((0, 1))\n    half = len(basis) // 2\n    "
_MEAN = "def posterior_mean(points, x_t, alpha, sigma):\n    "
_SQUARED = f"{_MEAN}squared = (x_t[:, None] - alpha * points).square().sum(2)\n    "
RIGHT = {
    "high_frequency_share": [
        f"{_POWER}return 1 - power[:half, :half].sum() / power.sum()",
        f"{_SHARE}c = torch.einsum('ki,ncij,lj->nckl', basis, latents, basis) ** 2\n    h = len(basis)\n    k = torch.arange(h, device=c.device)\n"
        "    high = torch.maximum(k[:, None], k[None]) >= h // 2\n    return c[..., high].sum() / c.sum()",
        f"{_SHARE}h = basis.shape[0]\n    low = basis[: h // 2]\n    coarse = low @ latents @ low.mT\n"
        "    return (latents.pow(2).sum() - coarse.pow(2).sum()) / latents.pow(2).sum()",
    ],
    "posterior_mean": [
        f"{_SQUARED}return (-squared / (2 * sigma**2)).softmax(1) @ points",
        f"{_MEAN}w = torch.exp(-torch.cdist(x_t, alpha * points) ** 2 / (2 * sigma**2))\n    return (w / w.sum(1, keepdim=True)) @ points",
        f"{_MEAN}logits = (alpha * x_t @ points.T - alpha**2 * points.square().sum(1) / 2) / sigma**2\n"
        "    return torch.einsum('mn,nd->md', torch.softmax(logits, -1), points)",
    ],
}

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    (
        "high_frequency_share",
        "low share",
        "share of the low frequencies",
        f"{_POWER}return power[:half, :half].sum() / power.sum()",
    ),
    ("high_frequency_share", "both high", "at least one of its two", f"{_POWER}return power[half:, half:].sum() / power.sum()"),
    ("high_frequency_share", "rows only", "Only the rows' frequency", f"{_POWER}return power[half:].sum() / power.sum()"),
    (
        "high_frequency_share",
        "columns only",
        "Only the columns' frequency",
        f"{_POWER}return power[:, half:].sum() / power.sum()",
    ),
    (
        "high_frequency_share",
        "ratio",
        "high power ÷ low power",
        f"{_POWER}low = power[:half, :half].sum()\n    return (power.sum() - low) / low",
    ),
    (
        "high_frequency_share",
        "off by one",
        "is counted as low",
        f"{_POWER}return 1 - power[: half + 1, : half + 1].sum() / power.sum()",
    ),
    (
        "high_frequency_share",
        "one axis",
        "to one axis only",
        f"{_SHARE}p = (basis @ latents).square().sum((0, 1))\n    h = len(basis) // 2\n    return 1 - p[:h, :h].sum() / p.sum()",
    ),
    (
        "high_frequency_share",
        "transposed",
        "The basis is transposed",
        f"{_SHARE}p = (basis.T @ latents @ basis).square().sum((0, 1))\n    h = len(basis) // 2\n    return 1 - p[:h, :h].sum() / p.sum()",
    ),
    (
        "high_frequency_share",
        "second basis",
        "second basis is not transposed",
        f"{_SHARE}p = (basis @ latents @ basis).square().sum((0, 1))\n    h = len(basis) // 2\n    return 1 - p[:h, :h].sum() / p.sum()",
    ),
    (
        "high_frequency_share",
        "positions",
        "not of frequencies",
        f"{_SHARE}p = latents.square().sum((0, 1))\n    h = len(basis) // 2\n    return 1 - p[:h, :h].sum() / p.sum()",
    ),
    (
        "high_frequency_share",
        "amplitudes",
        "shares of the amplitudes",
        f"{_SHARE}p = (basis @ latents @ basis.T).abs().sum((0, 1))\n    h = len(basis) // 2\n    return 1 - p[:h, :h].sum() / p.sum()",
    ),
    (
        "high_frequency_share",
        "cancelled",
        "opposite signs cancel",
        f"{_SHARE}p = (basis @ latents @ basis.T).sum((0, 1)).square()\n    h = len(basis) // 2\n    return 1 - p[:h, :h].sum() / p.sum()",
    ),
    (
        "high_frequency_share",
        "mean of shares",
        "are averaged",
        f"{_SHARE}p = (basis @ latents @ basis.T).square()\n    h = len(basis) // 2\n    return (1 - p[..., :h, :h].sum((2, 3)) / p.sum((2, 3))).mean()",
    ),
    (
        "high_frequency_share",
        "centred",
        "The mean is taken out",
        f"{_SHARE}x = latents - latents.mean((2, 3), keepdim=True)\n    p = (basis @ x @ basis.T).square().sum((0, 1))\n    h = len(basis) // 2\n    return 1 - p[:h, :h].sum() / p.sum()",
    ),
    (
        "posterior_mean",
        "no alpha",
        "alpha is missing",
        f"{_MEAN}return (-torch.cdist(x_t, points) ** 2 / (2 * sigma**2)).softmax(1) @ points",
    ),
    ("posterior_mean", "sigma", "sigma is not squared", f"{_SQUARED}return (-squared / (2 * sigma)).softmax(1) @ points"),
    ("posterior_mean", "factor 2", "The factor 2 is missing", f"{_SQUARED}return (-squared / sigma**2).softmax(1) @ points"),
    ("posterior_mean", "no sigma", "sigma is not used", f"{_SQUARED}return (-squared / 2).softmax(1) @ points"),
    (
        "posterior_mean",
        "distance",
        "distance is not squared",
        f"{_MEAN}return (-torch.cdist(x_t, alpha * points) / (2 * sigma**2)).softmax(1) @ points",
    ),
    (
        "posterior_mean",
        "sign",
        "sign of the exponent is reversed",
        f"{_SQUARED}return (squared / (2 * sigma**2)).softmax(1) @ points",
    ),
    (
        "posterior_mean",
        "axis",
        "softmax over the points' axis",
        f"{_SQUARED}return (-squared / (2 * sigma**2)).softmax(0) @ points",
    ),
    ("posterior_mean", "no sum", "do not add up to 1", f"{_SQUARED}return torch.exp(-squared / (2 * sigma**2)) @ points"),
    ("posterior_mean", "nearest", "This is the nearest point", f"{_SQUARED}return points[squared.argmin(1)]"),
    ("posterior_mean", "equal", "the same weight", f"{_MEAN}return points.mean(0, keepdim=True).repeat(len(x_t), 1)"),
    (
        "posterior_mean",
        "scaled",
        "mean of alpha · x0",
        f"{_SQUARED}return (-squared / (2 * sigma**2)).softmax(1) @ (alpha * points)",
    ),
    ("posterior_mean", "noise left", "all of the noise is left", f"{_MEAN}return x_t / alpha"),
    (
        "posterior_mean",
        "mean over dimensions",
        "averaged over the dimensions",
        f"{_MEAN}squared = (x_t[:, None] - alpha * points).square().mean(2)\n    return (-squared / (2 * sigma**2)).softmax(1) @ points",
    ),
]
