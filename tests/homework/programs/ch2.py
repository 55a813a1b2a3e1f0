"""Answers to the exercises of chapter 2: right ones, written in several ways, and wrong ones."""

STEP = "def train_step(net, optimizer, loss, images):\n"
MIDPOINT = "def spherical_midpoint(a, b, centre):\n"
LOSS = "def reconstruction_loss(images, reconstructions, sigma):\n"

RIGHT = {
    "reconstruction_loss": [
        LOSS + "    return (images - reconstructions).square().flatten(1).sum(1).mean() / (2 * sigma**2)",
        LOSS + "    return F.mse_loss(reconstructions, images, reduction='sum') / len(images) / sigma**2 / 2",
        LOSS + "    return 0.5 * torch.mean(torch.sum(((images - reconstructions) / sigma) ** 2, dim=(1, 2, 3)))",
    ],
    "train_step": [
        STEP
        + "    error = loss(images, net(images))\n    optimizer.zero_grad()\n    error.backward()\n    optimizer.step()\n    return error.detach()",
        STEP
        + "    optimizer.zero_grad(set_to_none=True)\n    value = loss(images, net.forward(images))\n    value.backward()\n    optimizer.step()\n"
        "    return value.detach()",
        STEP
        + "    net.zero_grad()\n    loss(images, net(images)).backward()\n    before = loss(images, net(images)).detach()\n    optimizer.step()\n"
        "    return before",
    ],
    "spherical_midpoint": [
        MIDPOINT + "    a, b = a - centre, b - centre\n    la, lb = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)\n"
        "    m = a / la + b / lb\n    return centre + (la + lb) / 2 * m / m.norm(dim=1, keepdim=True)",
        MIDPOINT + "    radius = ((a - centre).norm(dim=1) + (b - centre).norm(dim=1)) / 2\n"
        "    middle = F.normalize(F.normalize(a - centre, dim=1) + F.normalize(b - centre, dim=1), dim=1)\n"
        "    return radius[:, None] * middle + centre",
    ],
}

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    ("reconstruction_loss", "mean of all", "averaged over the pixels", LOSS + "    return F.mse_loss(reconstructions, images) / (2 * sigma**2)"),
    ("reconstruction_loss", "a sum", "batch is summed", LOSS + "    return ((images - reconstructions) ** 2).sum() / (2 * sigma**2)"),
    ("reconstruction_loss", "no half", "one half", LOSS + "    return (((images - reconstructions) / sigma) ** 2).flatten(1).sum(1).mean()"),
    ("train_step", "no zero_grad", "zero_grad", STEP + "    e = loss(images, net(images))\n    e.backward()\n    optimizer.step()\n    return e.detach()"),
    ("train_step", "no step", "have not changed", STEP + "    e = loss(images, net(images))\n    e.backward()\n    return e.detach()"),
    ("spherical_midpoint", "straight", "straight line", MIDPOINT + "    return a / 2 + b / 2"),
    (
        "spherical_midpoint",
        "about 0",
        "about 0",
        MIDPOINT + "    r = (a.norm(dim=1, keepdim=True) + b.norm(dim=1, keepdim=True)) / 2\n"
        "    return r * F.normalize(F.normalize(a, dim=1) + F.normalize(b, dim=1), dim=1)",
    ),
]  # fmt: skip
