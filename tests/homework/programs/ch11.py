"""Answers to the exercises of notebook 11: right ones, written in several ways, and wrong ones."""

_STEPS = "def step_sizes(trajectory):\n    "
_CHANGE = f"{_STEPS}change = trajectory[1:] - trajectory[:-1]\n    "
_ERROR = (
    "def denoising_error(net, x0, y, eps, alpha, sigma, t):\n"
    "    x_t, v = alpha * x0 + sigma * eps, alpha * eps - sigma * x0\n    "
)
RIGHT = {
    "step_sizes": [
        f"{_CHANGE}return change.square().mean((1, 2, 3, 4)).sqrt()",
        f"{_STEPS}return trajectory.diff(dim=0).square().flatten(1).mean(1) ** 0.5",
        f"{_STEPS}return torch.stack([F.mse_loss(b, a).sqrt() for a, b in zip(trajectory, trajectory[1:])])",
        f"{_CHANGE}return change.flatten(1).norm(dim=1) / change[0].numel() ** 0.5",
    ],
    "denoising_error": [
        f"{_ERROR}return (net(x_t, t, y) - v).square().mean()",
        f"{_ERROR}return F.mse_loss(net(x_t, t, y), v)",
        f"{_ERROR}return ((alpha * x_t - sigma * net(x_t, t, y) - x0) / sigma).pow(2).mean()",
    ],
}

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    ("step_sizes", "no root", "root is missing", f"{_CHANGE}return change.square().mean((1, 2, 3, 4))"),
    ("step_sizes", "summed", "Take their mean", f"{_CHANGE}return change.flatten(1).norm(dim=1)"),
    ("step_sizes", "absolute", "mean absolute", f"{_CHANGE}return change.abs().mean((1, 2, 3, 4))"),
    ("step_sizes", "one for each image", "one size for each image", f"{_CHANGE}return change.square().mean((2, 3, 4)).sqrt()"),
    (
        "step_sizes",
        "from the start",
        "distance from the start",
        f"{_STEPS}return (trajectory[1:] - trajectory[0]).square().flatten(1).mean(1).sqrt()",
    ),
    ("denoising_error", "eps", "The target is the noise", f"{_ERROR}return F.mse_loss(net(x_t, t, y), eps)"),
    ("denoising_error", "clean input", "given the clean x0", f"{_ERROR}return F.mse_loss(net(x0, t, y), v)"),
    ("denoising_error", "summed", "summed over everything", f"{_ERROR}return (net(x_t, t, y) - v).square().sum()"),
    (
        "denoising_error",
        "error of x0",
        "error of x0_hat",
        f"{_ERROR}return F.mse_loss(alpha * x_t - sigma * net(x_t, t, y), x0)",
    ),
]
