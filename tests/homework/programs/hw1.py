"""Answers to homework 1: right ones, written in several ways, and wrong ones, as courses and libraries have shipped them."""

RIGHT = {
    "patch_statistics": [
        "def patch_statistics(images, size):\n    x = F.unfold(images, size, stride=size)\n    x = x.permute(0, 2, 1).reshape(-1, x.shape[1])\n    return x.mean(0), torch.cov(x.T)",
        "def patch_statistics(images, size):\n    rows = []\n    for img in images:\n        for i in range(0, img.shape[1], size):\n            for j in range(0, img.shape[2], size):\n                rows.append(img[:, i:i + size, j:j + size].flatten())\n    x = torch.stack(rows)\n    m = x.mean(0)\n    c = x - m\n    return m, c.T @ c / (len(x) - 1)",
        "def patch_statistics(images, size):\n    p = images.unfold(2, size, size).unfold(3, size, size)\n    x = p.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * size * size)\n    mean = x.mean(dim=0)\n    return mean, torch.einsum('ni,nj->ij', x - mean, x - mean) / (x.shape[0] - 1)",
    ],
    "explained_variance_ratio": [
        "def explained_variance_ratio(x, k):\n    s = torch.linalg.svdvals(x - x.mean(0))\n    return float((s[:k] ** 2).sum() / (s ** 2).sum())",
        "def explained_variance_ratio(x, k):\n    values = np.linalg.eigvalsh(np.cov(x.cpu().numpy().T))\n    return values[-k:].sum() / values.sum()",
        "def explained_variance_ratio(x, k):\n    c = x - x.mean(dim=0, keepdim=True)\n    lam, _ = torch.linalg.eigh(c @ c.T if len(x) < x.shape[1] else c.T @ c)\n    lam = lam.flip(0)\n    return (lam[:k].sum() / lam.sum()).item()",
    ],
    "participation_ratio": [
        "def participation_ratio(x):\n    lam = torch.linalg.eigvalsh(torch.cov(x.T))\n    return (lam.sum() ** 2 / (lam ** 2).sum()).item()",
        "def participation_ratio(x):\n    s = torch.linalg.svdvals(x - x.mean(0)) ** 2\n    p = s / s.sum()\n    return 1 / float((p ** 2).sum())",
        "def participation_ratio(x):\n    c = torch.cov(x.T)\n    return torch.trace(c) ** 2 / (c * c).sum()",
    ],
    "two_nn": [
        "def two_nn(x):\n    d = (x[:, None] - x[None]).norm(dim=-1)\n    r = d.sort(dim=1).values\n    return ((len(x) - 1) / torch.log(r[:, 2] / r[:, 1]).sum()).item()",
        "def two_nn(x):\n    d = torch.cdist(x, x)\n    d.fill_diagonal_(float('inf'))\n    r = d.topk(2, largest=False).values\n    return float((x.shape[0] - 1) / (r[:, 1].log() - r[:, 0].log()).sum())",
        "def two_nn(x):\n    x = x.cpu().double().numpy()\n    total = 0.0\n    for i in range(len(x)):\n        d = np.sort(np.sqrt(((x - x[i]) ** 2).sum(1)))\n        total += math.log(d[2] / d[1])\n    return (len(x) - 1) / total",
    ],
    "triplet_error_rate": [
        "def triplet_error_rate(anchor, positive, negative):\n    near = ((anchor - positive) ** 2).mean(dim=(1, 2, 3))\n    far = ((anchor - negative) ** 2).mean(dim=(1, 2, 3))\n    return (far < near).float().mean().item()",
        "def triplet_error_rate(anchor, positive, negative):\n    wrong = 0\n    for a, p, n in zip(anchor, positive, negative):\n        wrong += int(F.mse_loss(n, a) < F.mse_loss(p, a))\n    return wrong / len(anchor)",
        "def triplet_error_rate(anchor, positive, negative):\n    d = lambda y: (anchor - y).flatten(1).norm(dim=1)\n    return (d(positive) > d(negative)).double().mean()",
    ],
}

_UNFOLD = "    x = F.unfold(images, size, stride=size).transpose(1, 2).reshape(-1, images.shape[1] * size * size)\n"

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    ("patch_statistics", "unfold's columns taken for rows", "columns of F.unfold", "def patch_statistics(images, size):\n    D = images.shape[1] * size ** 2\n    x = F.unfold(images, kernel_size=size, stride=size).view(-1, D)\n    return x.mean(0), torch.cov(x.T)"),
    ("patch_statistics", "stride forgotten", "patches overlap", "def patch_statistics(images, size):\n    x = F.unfold(images, size)\n    x = x.permute(0, 2, 1).reshape(-1, x.shape[1])\n    return x.mean(0), torch.cov(x.T)"),
    ("patch_statistics", "divided by N", "divides by N - 1", "def patch_statistics(images, size):\n" + _UNFOLD + "    m = x.mean(0)\n    return m, (x - m).T @ (x - m) / len(x)"),
    ("patch_statistics", "not centred", "Centre the patches first", "def patch_statistics(images, size):\n" + _UNFOLD + "    return x.mean(0), x.T @ x / (len(x) - 1)"),
    ("patch_statistics", "channel last", "Channel first", "def patch_statistics(images, size):\n    x = images.permute(0, 2, 3, 1)\n    p = x.unfold(1, size, size).unfold(2, size, size).permute(0, 1, 2, 4, 5, 3)\n    p = p.reshape(-1, images.shape[1] * size * size)\n    return p.mean(0), torch.cov(p.T)"),
    ("patch_statistics", "height and width swapped within a patch", "Rows and columns within a patch are swapped", "def patch_statistics(images, size):\n    x = images.unfold(3, size, size).unfold(2, size, size)\n    x = x.permute(0, 3, 2, 1, 4, 5).reshape(-1, images.shape[1] * size * size)\n    return x.mean(0), torch.cov(x.T)"),
    ("patch_statistics", "a reshape for patches", "strips, not squares", "def patch_statistics(images, size):\n    x = images.reshape(-1, images.shape[1] * size * size)\n    return x.mean(0), torch.cov(x.T)"),
    ("patch_statistics", "patches compared with patches", "compares patches with patches", "def patch_statistics(images, size):\n" + _UNFOLD + "    return x.mean(dim=0), torch.cov(x)"),
    ("patch_statistics", "correlation for covariance", "correlations", "def patch_statistics(images, size):\n" + _UNFOLD + "    return x.mean(dim=0), torch.from_numpy(np.corrcoef(x.numpy().T))"),
    ("patch_statistics", "each image by itself", "within each image", "def patch_statistics(images, size):\n    means, covs = [], []\n    for img in images:\n        x = F.unfold(img[None], size, stride=size)[0].T\n        means.append(x.mean(0))\n        covs.append(torch.cov(x.T))\n    return torch.stack(means).mean(0), torch.stack(covs).mean(0)"),
    ("explained_variance_ratio", "not centred", "mean is not subtracted", "def explained_variance_ratio(x, k):\n    s = torch.linalg.svdvals(x) ** 2\n    return (s[:k].sum() / s.sum()).item()"),
    ("explained_variance_ratio", "singular values not squared", "Singular values are standard deviations", "def explained_variance_ratio(x, k):\n    U, S, V = torch.linalg.svd(x - x.mean(0), full_matrices=False)\n    return (S[:k].sum() / S.sum()).item()"),
    ("explained_variance_ratio", "eigh's order forgotten", "k smallest", "def explained_variance_ratio(x, k):\n    lam = torch.linalg.eigvalsh(torch.cov(x.T))\n    return (lam[:k].sum() / lam.sum()).item()"),
    ("explained_variance_ratio", "the k-th axis alone", "k-th axis alone", "def explained_variance_ratio(x, k):\n    s = torch.linalg.svdvals(x - x.mean(0)) ** 2\n    ratio = s / s.sum()\n    return ratio[k - 1].item()"),
    ("explained_variance_ratio", "standardised", "divided by their standard deviations", "def explained_variance_ratio(x, k):\n    z = (x - x.mean(0)) / x.std(0)\n    s = torch.linalg.svdvals(z) ** 2\n    return (s[:k].sum() / s.sum()).item()"),
    ("explained_variance_ratio", "variances of coordinates", "coordinates themselves", "def explained_variance_ratio(x, k):\n    v, _ = torch.sort(torch.var(x, dim=0), descending=True)\n    return (v[:k].sum() / v.sum()).item()"),
    ("explained_variance_ratio", "in-place edit of the input", "in-place", "def explained_variance_ratio(x, k):\n    x -= x.mean(0)\n    s = torch.linalg.svdvals(x) ** 2\n    return (s[:k].sum() / s.sum()).item()"),
    ("explained_variance_ratio", "the curve instead of one number", "entire curve", "def explained_variance_ratio(x, k):\n    s = torch.linalg.svdvals(x - x.mean(0)) ** 2\n    return torch.cumsum(s, 0) / s.sum()"),
    ("participation_ratio", "upside down", "swapped", "def participation_ratio(x):\n    lam = torch.linalg.eigvalsh(torch.cov(x.T))\n    return ((lam ** 2).sum() / lam.sum() ** 2).item()"),
    ("participation_ratio", "sum not squared", "numerator is not squared", "def participation_ratio(x):\n    lam = torch.linalg.eigvalsh(torch.cov(x.T))\n    return (lam.sum() / (lam ** 2).sum()).item()"),
    ("participation_ratio", "singular values for variances", "Singular values of the data", "def participation_ratio(x):\n    s = torch.linalg.svdvals(x - x.mean(0))\n    return (s.sum() ** 2 / (s ** 2).sum()).item()"),
    ("participation_ratio", "means for sums", "Sums are asked for", "def participation_ratio(x):\n    lam = torch.linalg.eigvalsh(torch.cov(x.T))\n    return (lam.mean() ** 2 / (lam ** 2).mean()).item()"),
    ("participation_ratio", "not centred", "mean is not subtracted", "def participation_ratio(x):\n    lam = torch.linalg.eigvalsh(x.T @ x / len(x))\n    return (lam.sum() ** 2 / (lam ** 2).sum()).item()"),
    ("participation_ratio", "covariance of the points", "Points and coordinates are swapped", "def participation_ratio(x):\n    lam = torch.linalg.eigvalsh(torch.cov(x))\n    return (lam.sum() ** 2 / (lam ** 2).sum()).item()"),
    ("participation_ratio", "nothing returned", "lacks `return`", "def participation_ratio(x):\n    lam = torch.linalg.eigvalsh(torch.cov(x.T))\n    ratio = (lam.sum() ** 2 / (lam ** 2).sum()).item()"),
    ("two_nn", "a point as its own neighbour", "its own nearest neighbour", "def two_nn(x):\n    d = torch.cdist(x, x, compute_mode='donot_use_mm_for_euclid_dist')\n    r = torch.sort(d, dim=1).values\n    mu = r[:, 1] / r[:, 0]\n    return ((len(x) - 1) / torch.log(mu).sum()).item()"),
    ("two_nn", "one neighbour too far", "one position too far", "def two_nn(x):\n    r = torch.cdist(x, x).sort(dim=1).values\n    return ((len(x) - 1) / torch.log(r[:, 3] / r[:, 2]).sum()).item()"),
    ("two_nn", "squared distances", "Squared distances", "def two_nn(x):\n    d2 = ((x[:, None] - x[None]) ** 2).sum(-1)\n    r = d2.sort(dim=1).values\n    return ((len(x) - 1) / torch.log(r[:, 2] / r[:, 1]).sum()).item()"),
    ("two_nn", "N in the numerator", "N is in the numerator", "def two_nn(x):\n    r = (x[:, None] - x[None]).norm(dim=-1).sort(dim=1).values\n    return (1 / torch.log(r[:, 2] / r[:, 1]).mean()).item()"),
    ("two_nn", "no logarithm", "logarithm is missing", "def two_nn(x):\n    r = (x[:, None] - x[None]).norm(dim=-1).sort(dim=1).values\n    return ((len(x) - 1) / (r[:, 2] / r[:, 1]).sum()).item()"),
    ("two_nn", "upside down", "upside down", "def two_nn(x):\n    r = (x[:, None] - x[None]).norm(dim=-1).sort(dim=1).values\n    return ((len(x) - 1) / torch.log(r[:, 1] / r[:, 2]).sum()).item()"),
    ("two_nn", "average of inverses", "averages the reciprocal", "def two_nn(x):\n    r = (x[:, None] - x[None]).norm(dim=-1).sort(dim=1).values\n    return (1 / torch.log(r[:, 2] / r[:, 1])).mean().item()"),
    ("explained_variance_ratio", "eigvals for eigvalsh", "promises no order", "def explained_variance_ratio(x, k):\n    lam = torch.linalg.eigvals(torch.cov(x.T)).real\n    return (lam[:k].sum() / lam.sum()).item()"),
    ("two_nn", "the farthest points", "farthest", "def two_nn(x):\n    r = torch.cdist(x, x).topk(3).values\n    return ((len(x) - 1) / torch.log(r[:, 2] / r[:, 1]).sum()).item()"),
    ("triplet_error_rate", "mean of a mask", "have no mean", "def triplet_error_rate(anchor, positive, negative):\n    a = ((anchor - positive) ** 2).mean((1, 2, 3))\n    b = ((anchor - negative) ** 2).mean((1, 2, 3))\n    return (b < a).mean().item()"),
    ("triplet_error_rate", "comparison reversed", "comparison is reversed", "def triplet_error_rate(anchor, positive, negative):\n    a = ((anchor - positive) ** 2).mean(dim=(1, 2, 3))\n    b = ((anchor - negative) ** 2).mean(dim=(1, 2, 3))\n    return (a < b).float().mean().item()"),
    ("triplet_error_rate", "ties counted", "Ties are counted", "def triplet_error_rate(anchor, positive, negative):\n    a = ((anchor - positive) ** 2).mean(dim=(1, 2, 3))\n    b = ((anchor - negative) ** 2).mean(dim=(1, 2, 3))\n    return (a >= b).float().mean().item()"),
    ("triplet_error_rate", "absolute for squared", "absolute differences", "def triplet_error_rate(anchor, positive, negative):\n    a = (anchor - positive).abs().sum(dim=(1, 2, 3))\n    b = (anchor - negative).abs().sum(dim=(1, 2, 3))\n    return (b < a).float().mean().item()"),
    ("triplet_error_rate", "mse_loss over the full batch", "judged separately", "def triplet_error_rate(anchor, positive, negative):\n    return float(F.mse_loss(anchor, negative) < F.mse_loss(anchor, positive))"),
    ("triplet_error_rate", "a count instead of a rate", "how many triplets", "def triplet_error_rate(anchor, positive, negative):\n    a = ((anchor - positive) ** 2).flatten(1).sum(1)\n    b = ((anchor - negative) ** 2).flatten(1).sum(1)\n    return int((b < a).sum())"),
    ("triplet_error_rate", "pixels compared one by one", "Single pixels", "def triplet_error_rate(anchor, positive, negative):\n    a = F.mse_loss(anchor, positive, reduction='none')\n    b = F.mse_loss(anchor, negative, reduction='none')\n    return (b < a).float().mean().item()"),
    ("triplet_error_rate", "in-place edit of the input", "in-place", "def triplet_error_rate(anchor, positive, negative):\n    positive -= anchor\n    negative -= anchor\n    return (negative.flatten(1).norm(dim=1) < positive.flatten(1).norm(dim=1)).float().mean().item()"),
]  # fmt: skip
