"""Answers to chapter 1's practice: right ones, written in several ways, and wrong ones."""

_COMPONENTS = "def components_for(eigenvalues, share):\n    "
_NOISE = "def noise_of_length(noise, length):\n    "
_MSE = "def mean_squared_error(a, b):\n    "
RIGHT = {
    "components_for": [
        f"{_COMPONENTS}held = eigenvalues.cumsum(0) / eigenvalues.sum()\n    return int((held < share).sum()) + 1",
        f"{_COMPONENTS}held = torch.cumsum(eigenvalues, 0)\n    return (held < share * eigenvalues.sum()).sum() + 1",
        f"{_COMPONENTS}total, k = 0, 0\n    while total < share * eigenvalues.sum():\n        total += eigenvalues[k]\n"
        "        k += 1\n    return k",
        f"{_COMPONENTS}held = eigenvalues.cpu().numpy().cumsum()\n    return int(np.argmax(held >= share * held[-1])) + 1",
    ],
    "noise_of_length": [
        f"{_NOISE}now = noise.flatten(1).norm(dim=1)\n    return noise * (length / now).view(-1, 1, 1, 1)",
        f"{_NOISE}return F.normalize(noise.flatten(1)).view_as(noise) * length[:, None, None, None]",
        f"{_NOISE}return noise / noise.square().sum((1, 2, 3), keepdim=True).sqrt() * length.reshape(-1, 1, 1, 1)",
    ],
    "mean_squared_error": [
        f"{_MSE}return (a - b).square().flatten(1).mean(1)",
        f"{_MSE}return ((a - b) ** 2).mean((1, 2, 3))",
        f"{_MSE}return torch.stack([F.mse_loss(x, y) for x, y in zip(a, b)])",
    ],
}
_HELD = "held = eigenvalues.cumsum(0) / eigenvalues.sum()\n    "

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    ("components_for", "one too few", "one too few", f"{_COMPONENTS}{_HELD}return int((held < share).sum())"),
    ("components_for", "one too many", "one too many", f"{_COMPONENTS}{_HELD}return int((held < share).sum()) + 2"),
    (
        "components_for",
        "not added up",
        "one by one",
        f"{_COMPONENTS}return int((eigenvalues / eigenvalues.sum() < share).sum()) + 1",
    ),
    ("components_for", "share of the count", "number of components", f"{_COMPONENTS}return round(share * len(eigenvalues))"),
    ("noise_of_length", "not normalised", "multiplied by the length", f"{_NOISE}return noise * length.view(-1, 1, 1, 1)"),
    (
        "noise_of_length",
        "one length",
        "one common length",
        f"{_NOISE}return noise / noise.norm() * length.view(-1, 1, 1, 1)",
    ),
    (
        "noise_of_length",
        "standard deviation",
        "root mean square",
        f"{_NOISE}return noise / noise.square().mean((1, 2, 3), keepdim=True).sqrt() * length.view(-1, 1, 1, 1)",
    ),
    ("mean_squared_error", "averaged over pairs", "one value for each pair", f"{_MSE}return F.mse_loss(a, b)"),
    ("mean_squared_error", "summed", "squares are summed", f"{_MSE}return (a - b).square().flatten(1).sum(1)"),
    ("mean_squared_error", "absolute", "absolute differences", f"{_MSE}return (a - b).abs().flatten(1).mean(1)"),
]
