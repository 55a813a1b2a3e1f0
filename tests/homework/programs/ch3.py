"""Answers to chapter 3's practice: right ones, written in several ways, and wrong ones. Three exercises are homework 3's."""

from programs.hw3 import RIGHT as HOMEWORK
from programs.hw3 import WRONG as HOMEWORK_WRONG

SHARED = ("reparameterise", "kl", "free_bits")
_START = "def log_likelihood(images, decoded, noise_std):\n    "
_LOG_PROB = "torch.distributions.Normal(decoded, noise_std).log_prob(images)"
RIGHT = {name: HOMEWORK[name] for name in SHARED} | {
    "log_likelihood": [
        f"{_START}return {_LOG_PROB}.sum((1, 2, 3))",
        f"{_START}d = images[0].numel()\n    e = ((images - decoded) / noise_std).square().flatten(1).sum(1)\n"
        "    return -e / 2 - d * (math.log(noise_std) + math.log(2 * math.pi) / 2)",
        f"{_START}d = images[0].numel()\n    e = F.mse_loss(decoded, images, reduction='none').flatten(1).sum(1)\n"
        "    return -e / (2 * noise_std**2) - 0.5 * d * math.log(2 * math.pi * noise_std**2)",
    ],
    "bound": [
        "def bound(log_weights):\n    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))",
        "def bound(log_weights):\n    m = log_weights.max(0).values\n    return m + (log_weights - m).exp().mean(0).log()",
    ],
}
_AVERAGED = (
    f"{_START}d = images[0].numel()\n    e = (images - decoded).square().flatten(1).mean(1)\n"
    "    return -e / (2 * noise_std**2) - d * math.log(noise_std * math.sqrt(2 * math.pi))"
)
_NO_CONSTANT = f"{_START}return -((images - decoded) ** 2).flatten(1).sum(1) / (2 * noise_std**2)"
_VARIANCE = f"{_START}return torch.distributions.Normal(decoded, noise_std**2).log_prob(images).sum((1, 2, 3))"

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [row for row in HOMEWORK_WRONG if row[0] in SHARED] + [
    ("log_likelihood", "error averaged", "averaged over the pixels", _AVERAGED),
    ("log_likelihood", "log_prob averaged", "Everything is averaged", f"{_START}return {_LOG_PROB}.mean((1, 2, 3))"),
    ("log_likelihood", "constant forgotten", "constant is missing", _NO_CONSTANT),
    ("log_likelihood", "variance passed", "squared before", _VARIANCE),
    ("log_likelihood", "sign reversed", "minus the log-likelihood", f"{_START}return -{_LOG_PROB}.sum((1, 2, 3))"),
    ("log_likelihood", "batch averaged", "batch is averaged", f"{_START}return {_LOG_PROB}.sum((1, 2, 3)).mean()"),
    ("bound", "overflow", "overflow", "def bound(log_weights):\n    return log_weights.exp().mean(0).log()"),
    ("bound", "sum for mean", "log of the sum", "def bound(log_weights):\n    return log_weights.logsumexp(0)"),
    ("bound", "the ELBO", "mean of the log weights", "def bound(log_weights):\n    return log_weights.mean(0)"),
]
