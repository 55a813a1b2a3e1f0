"""Answers to the exercise of notebook 10: right ones, written in several ways, and wrong ones."""

_STEP = "def multistep(x, x0, x0_before, h, h_before, sigma, alpha_next, sigma_next):\n    "
_END = "\n    return sigma_next / sigma * x + alpha_next * (1 - math.exp(-h)) * middle"
RIGHT = {
    "multistep": [
        f"{_STEP}middle = x0 + h / (2 * h_before) * (x0 - x0_before){_END}",
        f"{_STEP}r = h_before / h\n    middle = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * x0_before\n"
        "    return (sigma_next / sigma) * x - alpha_next * math.expm1(-h) * middle",
        f"{_STEP}slope = (x0 - x0_before) / h_before\n    e = torch.exp(torch.tensor(-h, dtype=x.dtype, device=x.device))\n"
        "    return x * (sigma_next / sigma) + (x0 + slope * h / 2) * (alpha_next * (1 - e))",
    ]
}

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    ("multistep", "first order", "first-order step", f"{_STEP}middle = x0{_END}"),
    ("multistep", "to the end", "Its middle is half as far", f"{_STEP}middle = x0 + h / h_before * (x0 - x0_before){_END}"),
    ("multistep", "exchanged", "are exchanged", f"{_STEP}middle = x0 + h_before / (2 * h) * (x0 - x0_before){_END}"),
    (
        "multistep",
        "backwards",
        "Continue the line beyond x0",
        f"{_STEP}middle = x0 + h / (2 * h_before) * (x0_before - x0){_END}",
    ),
    (
        "multistep",
        "exponential alone",
        "for h = 0 nothing may change",
        f"{_STEP}middle = x0 + h / (2 * h_before) * (x0 - x0_before)\n"
        "    return sigma_next / sigma * x + alpha_next * math.exp(-h) * middle",
    ),
    (
        "multistep",
        "equal steps",
        "are taken as equal",
        f"{_STEP}middle = 1.5 * x0 - 0.5 * x0_before{_END}",
    ),
]
