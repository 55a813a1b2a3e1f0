"""Answers to the exercises of notebook 13: right ones, written in several ways, and wrong ones."""

_GUIDED = "def guided_target(cond, null, scale):\n    "
_ONE = "def two_steps_as_one(x_t, x_end, alpha, sigma, alpha_end, sigma_end):\n    "
RIGHT = {
    "guided_target": [
        f"{_GUIDED}return null + scale[:, None, None, None] * (cond - null)",
        f"{_GUIDED}w = scale.view(-1, 1, 1, 1)\n    return w * cond + (1 - w) * null",
        f"{_GUIDED}w = scale.reshape(len(scale), *[1] * (cond.ndim - 1)) - 1\n    return (1 + w) * cond - w * null",
        f"{_GUIDED}step = torch.einsum('b,bchw->bchw', scale, cond - null)\n    return null + step",
    ],
    "two_steps_as_one": [
        f"{_ONE}r = sigma_end / sigma\n    return (x_end - r * x_t) / (alpha_end - r * alpha)",
        f"{_ONE}return (sigma * x_end - sigma_end * x_t) / (sigma * alpha_end - sigma_end * alpha)",
        f"{_ONE}d = alpha_end * sigma - alpha * sigma_end\n    eps = (alpha_end * x_t - alpha * x_end) / d\n"
        "    return (x_end - sigma_end * eps) / alpha_end",
    ],
}

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    ("guided_target", "no new axes", "last axis", f"{_GUIDED}return null + scale * (cond - null)"),
    ("guided_target", "one new axis", "the height", f"{_GUIDED}return null + scale[:, None] * (cond - null)"),
    ("guided_target", "two new axes", "the channels", f"{_GUIDED}return torch.lerp(null, cond, scale[:, None, None])"),
    ("guided_target", "mean", "mean of the scales", f"{_GUIDED}return torch.lerp(null, cond, scale.mean())"),
    (
        "guided_target",
        "paper's w",
        "0 is no guidance",
        f"{_GUIDED}w = scale.view(-1, 1, 1, 1)\n    return (1 + w) * cond - w * null",
    ),
    (
        "guided_target",
        "off by one",
        "scale 1 gives null",
        f"{_GUIDED}w = scale.view(-1, 1, 1, 1) - 1\n    return null + w * (cond - null)",
    ),
    ("guided_target", "swapped", "swapped", f"{_GUIDED}w = scale.view(-1, 1, 1, 1)\n    return (1 - w) * cond + w * null"),
    ("guided_target", "step", "only the step", f"{_GUIDED}return (cond - null) * scale.view(-1, 1, 1, 1)"),
    ("guided_target", "no guidance", "no effect", f"{_GUIDED}return cond"),
    ("two_steps_as_one", "the end", "where the two steps lead", f"{_ONE}return x_end"),
    ("two_steps_as_one", "noise ignored", "is ignored", f"{_ONE}return x_end / alpha_end"),
    (
        "two_steps_as_one",
        "signal ignored",
        "divided by alpha_end alone",
        f"{_ONE}return (x_end - sigma_end * x_t / sigma) / alpha_end",
    ),
    (
        "two_steps_as_one",
        "inverted",
        "is inverted",
        f"{_ONE}r = sigma / (sigma_end + 1e-12)\n    return (x_end - r * x_t) / (alpha_end - r * alpha)",
    ),
    ("two_steps_as_one", "no division", "division is missing", f"{_ONE}return x_end - sigma_end / sigma * x_t"),
    (
        "two_steps_as_one",
        "sign",
        "sign in the denominator",
        f"{_ONE}r = sigma_end / sigma\n    return (x_end - r * x_t) / (alpha_end + r * alpha)",
    ),
    (
        "two_steps_as_one",
        "eps",
        "eps is left",
        f"{_ONE}return (alpha_end * x_t - alpha * x_end) / (alpha_end * sigma - alpha * sigma_end)",
    ),
    (
        "two_steps_as_one",
        "by sigma_end",
        "A denominator is 0",
        f"{_ONE}return (x_end / sigma_end - x_t / sigma) / (alpha_end / sigma_end - alpha / sigma)",
    ),
    (
        "two_steps_as_one",
        "exchanged",
        "are exchanged",
        f"{_ONE}r = sigma_end / sigma\n    return (x_end - r * x_t) / (alpha - r * alpha_end)",
    ),
]
