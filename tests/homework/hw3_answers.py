"""Homework 3 as people answer it: right in several ways, and wrong in the ways that courses and libraries have shipped."""

RIGHT = {
    "reparameterise": [
        "def reparameterise(mean, logvar, eps):\n    std = (0.5 * logvar).exp()\n    return eps * std + mean",
        "def reparameterise(mean, logvar, eps):\n    return torch.addcmul(mean, logvar.exp().sqrt(), eps)",
        "def reparameterise(mean, logvar, eps):\n    return torch.stack([m + v.exp() ** 0.5 * e for m, v, e in zip(mean, logvar, eps)])",
    ],
    "kl": [
        "def kl(mean, logvar):\n    return -0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp(), dim=[1, 2, 3])",
        "def kl(mean, logvar):\n    q = torch.distributions.Normal(mean, torch.exp(0.5 * logvar))\n    p = torch.distributions.Normal(0.0, 1.0)\n    return torch.distributions.kl_divergence(q, p).sum((1, 2, 3))",
        "def kl(mean, logvar):\n    total = 0\n    for c in range(mean.shape[1]):\n        total = total + 0.5 * (mean[:, c] ** 2 + torch.expm1(logvar[:, c]) - logvar[:, c]).sum(-1).sum(-1)\n    return total",
    ],
    "elbo": [
        "def elbo(images, copies, kl, noise_std):\n    p = torch.distributions.Normal(copies, noise_std)\n    return p.log_prob(images).sum((1, 2, 3)) - kl",
        "def elbo(images, copies, kl, noise_std):\n    d = images[0].numel()\n    mse = F.mse_loss(copies, images, reduction='none').flatten(1).sum(1)\n    return -mse / (2 * noise_std**2) - 0.5 * d * math.log(2 * math.pi * noise_std**2) - kl",
    ],
    "free_bits": [
        "def free_bits(kl_per_dim, floor):\n    k = kl_per_dim.mean(dim=0)\n    return torch.maximum(k, torch.full_like(k, floor)).sum()",
        "def free_bits(kl_per_dim, floor):\n    k = kl_per_dim.mean(dim=0)\n    return floor * k.numel() + F.relu(k - floor).sum()",
    ],
    "active_units": [
        "def active_units(mean, threshold):\n    centred = mean - mean.mean(0, keepdim=True)\n    return (centred**2).mean(0) > threshold",
        "def active_units(mean, threshold):\n    return torch.gt(torch.var(mean, 0), threshold)",
        "def active_units(mean, threshold):\n    return mean.std(0) > math.sqrt(threshold)",
    ],
}

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    ("reparameterise", "log-variance taken for the standard deviation", "log-variance itself", "def reparameterise(mean, logvar, eps):\n    return mean + logvar * eps"),
    ("reparameterise", "variance taken for the standard deviation", "a half is missing", "def reparameterise(mean, logvar, eps):\n    return mean + torch.exp(logvar) * eps"),
    ("reparameterise", "noise of its own instead of eps", "random numbers of its own", "def reparameterise(mean, logvar, eps):\n    return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)"),
    ("reparameterise", "global seed reset inside", "resets the global seed", "def reparameterise(mean, logvar, eps):\n    torch.manual_seed(0)\n    return mean + torch.exp(0.5 * logvar) * eps"),
    ("reparameterise", "in-place edit of the input", "in-place", "def reparameterise(mean, logvar, eps):\n    eps *= torch.exp(0.5 * logvar)\n    return mean + eps"),
    ("reparameterise", "only the mode", "noise is missing", "def reparameterise(mean, logvar, eps):\n    return mean"),
    ("reparameterise", "gradient cut off", "no gradient flows", "def reparameterise(mean, logvar, eps):\n    return mean.detach() + torch.exp(0.5 * logvar).detach() * eps"),
    ("kl", "mean for sum over the latent", "averaged over the numbers of a latent", "def kl(mean, logvar):\n    return -0.5 * torch.mean(1 + logvar - mean.pow(2) - logvar.exp(), dim=(1, 2, 3))"),
    ("kl", "mean over everything", "Everything is averaged", "def kl(mean, logvar):\n    return -0.5 * torch.mean(1 + logvar - mean.pow(2) - logvar.exp())"),
    ("kl", "sum over channels alone", "Only the channels are summed", "def kl(mean, logvar):\n    return -0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp(), dim=1)"),
    ("kl", "missing half", "half in front is missing", "def kl(mean, logvar):\n    return -torch.sum(1 + logvar - mean.pow(2) - logvar.exp(), dim=[1, 2, 3])"),
    ("kl", "sign", "sign is turned round", "def kl(mean, logvar):\n    return 0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp(), dim=[1, 2, 3])"),
    ("kl", "log-variance taken for log standard deviation", "log standard deviation", "def kl(mean, logvar):\n    std = logvar.exp()\n    return 0.5 * (mean**2 + std**2 - 1 - 2 * torch.log(std)).flatten(1).sum(1)"),
    ("kl", "log-variance taken for the variance", "taken for the variance itself", "def kl(mean, logvar):\n    var = logvar\n    return 0.5 * (mean**2 + var - 1 - torch.log(var)).flatten(1).sum(1)"),
    ("kl", "averaged over the batch as well", "[B], is asked for", "def kl(mean, logvar):\n    return (-0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp(), dim=[1, 2, 3])).mean()"),
    ("kl", "the other way round", "wrong way round", "def kl(mean, logvar):\n    q = torch.distributions.Normal(mean, torch.exp(0.5 * logvar))\n    p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))\n    return torch.distributions.kl_divergence(p, q).flatten(1).sum(1)"),
    ("kl", ".item() and a list", "no gradient flows", "def kl(mean, logvar):\n    per = 0.5 * (mean**2 + logvar.exp() - 1 - logvar)\n    return torch.tensor([p.sum().item() for p in per], dtype=mean.dtype, device=mean.device)"),
    ("kl", "nothing returned", "lacks `return`", "def kl(mean, logvar):\n    out = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).flatten(1).sum(1)"),
    ("elbo", "reconstruction averaged over pixels, KL summed", "averaged over the pixels", "def elbo(images, copies, kl, noise_std):\n    mse = ((images - copies) ** 2).mean(dim=(1, 2, 3))\n    return -mse / (2 * noise_std**2) - math.log(noise_std * math.sqrt(2 * math.pi)) - kl"),
    ("elbo", "mean squared error minus KL", "hides a weight", "def elbo(images, copies, kl, noise_std):\n    return -((images - copies) ** 2).mean(dim=(1, 2, 3)) - kl"),
    ("elbo", "KL added", "KL is added", "def elbo(images, copies, kl, noise_std):\n    p = torch.distributions.Normal(copies, noise_std)\n    return p.log_prob(images).flatten(1).sum(1) + kl"),
    ("elbo", "constant forgotten", "constant is missing", "def elbo(images, copies, kl, noise_std):\n    return -((images - copies) ** 2).flatten(1).sum(1) / (2 * noise_std**2) - kl"),
    ("elbo", "loss instead of bound", "minus the ELBO", "def elbo(images, copies, kl, noise_std):\n    p = torch.distributions.Normal(copies, noise_std)\n    return kl - p.log_prob(images).flatten(1).sum(1)"),
    ("elbo", "noise_std not squared", "not squared", "def elbo(images, copies, kl, noise_std):\n    d = images[0].numel()\n    return -((images - copies) ** 2).flatten(1).sum(1) / (2 * noise_std) - d * math.log(noise_std * math.sqrt(2 * math.pi)) - kl"),
    ("elbo", "variance passed as standard deviation", "squared before", "def elbo(images, copies, kl, noise_std):\n    p = torch.distributions.Normal(copies, noise_std**2)\n    return p.log_prob(images).flatten(1).sum(1) - kl"),
    ("free_bits", "floor for each image", "each image by itself", "def free_bits(kl_per_dim, floor):\n    return torch.clamp(kl_per_dim, min=floor).mean(0).sum()"),
    ("free_bits", "floor on the sum", "applied to the sum", "def free_bits(kl_per_dim, floor):\n    return torch.clamp(kl_per_dim.flatten(1).sum(1).mean(), min=floor)"),
    ("free_bits", "ceiling for floor", "ceiling", "def free_bits(kl_per_dim, floor):\n    return torch.clamp(kl_per_dim.mean(0), max=floor).sum()"),
    ("free_bits", "mean for sum", "averaged over the latent", "def free_bits(kl_per_dim, floor):\n    return torch.clamp(kl_per_dim.mean(0), min=floor).mean()"),
    ("free_bits", "floor subtracted", "floor is subtracted", "def free_bits(kl_per_dim, floor):\n    return F.relu(kl_per_dim.mean(0) - floor).sum()"),
    ("active_units", "mean square for variance", "mean square, not the variance", "def active_units(mean, threshold):\n    return mean.pow(2).mean(0) > threshold"),
    ("active_units", "standard deviation for variance", "standard deviation is compared", "def active_units(mean, threshold):\n    return mean.std(dim=0) > threshold"),
    ("active_units", "wrong axis", "within each image", "def active_units(mean, threshold):\n    return mean.flatten(1).var(dim=1) > threshold"),
    ("active_units", "mask inverted", "turned round", "def active_units(mean, threshold):\n    return mean.var(dim=0) < threshold"),
    ("active_units", "a count instead of a mask", "number of active units", "def active_units(mean, threshold):\n    return int((mean.var(dim=0) > threshold).sum())"),
]  # fmt: skip
