"""Answers to homework 2: right ones, written in several ways, and wrong ones, as courses and libraries have shipped them."""

RIGHT = {
    "conv_output_size": [
        "def conv_output_size(size, kernel, stride, padding):\n    return math.floor((size + 2 * padding - kernel) / stride + 1)",
        "def conv_output_size(size, kernel, stride, padding):\n    n, at = 0, -padding\n    while at + kernel <= size + padding:\n        n, at = n + 1, at + stride\n    return n",
    ],
    "latent_shape": [
        "def latent_shape(height, width, halvings, channels):\n    f = 2 ** halvings\n    return channels, height // f, width // f, 3 * f * f / channels",
        "def latent_shape(height, width, halvings, channels):\n    h, w = height, width\n    for _ in range(halvings):\n        h, w = (h + 2 - 4) // 2 + 1, (w + 2 - 4) // 2 + 1\n    return (channels, h, w, (3 * height * width) / (channels * h * w))",
    ],
    "conv_transpose_output_size": [
        "def conv_transpose_output_size(size, kernel, stride, padding, output_padding):\n    return stride * (size - 1) + (kernel - 1) + output_padding + 1 - 2 * padding",
        "def conv_transpose_output_size(size, kernel, stride, padding, output_padding):\n    layer = nn.ConvTranspose1d(1, 1, kernel, stride, padding, output_padding, device='meta')\n    return layer(torch.zeros(1, 1, size, device='meta')).shape[-1]",
    ],
    "bottleneck": [
        "def bottleneck(images, weight1, bias1, weight2, bias2):\n    x = F.conv2d(images, weight1, bias1, stride=2, padding=1)\n    x = x * torch.sigmoid(x)\n    return F.conv2d(x, weight2, bias2, stride=2, padding=1)",
        "def bottleneck(images, weight1, bias1, weight2, bias2):\n    x = F.conv2d(F.pad(images, (1, 1, 1, 1)), weight1, stride=2) + bias1.view(1, -1, 1, 1)\n    x = nn.SiLU()(x)\n    return F.conv2d(F.pad(x, (1, 1, 1, 1)), weight2, stride=2) + bias2[:, None, None]",
        "def bottleneck(images, weight1, bias1, weight2, bias2):\n    x = F.silu(F.conv2d(images, weight1, bias1, padding=1)[:, :, ::2, ::2])\n    return F.conv2d(x, weight2, bias2, padding=1)[:, :, ::2, ::2]",
    ],
    "pca_reconstructions": [
        "def pca_reconstructions(train, test, k):\n    mean = train.mean(0)\n    _, V = torch.linalg.eigh(torch.cov(train.T))\n    basis = V[:, -k:]\n    return (test - mean) @ basis @ basis.T + mean",
        "def pca_reconstructions(train, test, k):\n    mean = train.mean(dim=0, keepdim=True)\n    U, S, V = torch.svd(train - mean)\n    latents = (test - mean) @ V[:, :k]\n    return latents @ V[:, :k].T + mean",
        "def pca_reconstructions(train, test, k):\n    m = train.mean(0)\n    W = torch.linalg.svd(train - m).Vh[:k]\n    out = []\n    for x in test:\n        out.append(m + sum((w @ (x - m)) * w for w in W))\n    return torch.stack(out)",
    ],
    "psnr": [
        "def psnr(images, reconstructions):\n    mse = ((images - reconstructions) ** 2).mean(dim=(1, 2, 3))\n    return 20 * math.log10(2) - 10 * torch.log10(mse)",
        "def psnr(images, reconstructions):\n    a, b = (images + 1) / 2, (reconstructions + 1) / 2\n    mse = F.mse_loss(a, b, reduction='none').flatten(1).mean(1)\n    return 10 * torch.log10(1 / mse)",
        "def psnr(images, reconstructions):\n    return torch.stack([20 * torch.log10(2 / (a - b).pow(2).mean().sqrt()) for a, b in zip(images, reconstructions)])",
    ],
}

_CONV = "def bottleneck(images, weight1, bias1, weight2, bias2):\n"
_FIT = "def pca_reconstructions(train, test, k):\n    mean = train.mean(0)\n    U, S, Vh = torch.linalg.svd(train - mean, full_matrices=False)\n"

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    ("conv_output_size", "true division", "not rounded down", "def conv_output_size(size, kernel, stride, padding):\n    return (size - kernel + 2 * padding) / stride + 1"),
    ("conv_output_size", "one position missing", "One position is missing", "def conv_output_size(size, kernel, stride, padding):\n    return int((size - kernel + 2 * padding) / stride)"),
    ("conv_output_size", "padding counted once", "counted once", "def conv_output_size(size, kernel, stride, padding):\n    padded = size + padding\n    return (padded - kernel) // stride + 1"),
    ("conv_output_size", "rounded up", "rounded up", "def conv_output_size(size, kernel, stride, padding):\n    return math.ceil((size - kernel + 2 * padding) / stride) + 1"),
    ("latent_shape", "height and width swapped", "swapped", "def latent_shape(height, width, halvings, channels):\n    f = 2 ** halvings\n    w, h = height // f, width // f\n    return channels, h, w, 3 * height * width / (channels * h * w)"),
    ("latent_shape", "two times the halvings", "2 · halvings", "def latent_shape(height, width, halvings, channels):\n    h, w = height // (2 * halvings), width // (2 * halvings)\n    return channels, h, w, 3 * height * width / (channels * h * w)"),
    ("latent_shape", "pixels for numbers", "counted in pixels", "def latent_shape(height, width, halvings, channels):\n    f = 2 ** halvings\n    h, w = height // f, width // f\n    return channels, h, w, (height * width) / (h * w * channels)"),
    ("latent_shape", "upside down", "upside down", "def latent_shape(height, width, halvings, channels):\n    f = 2 ** halvings\n    h, w = height // f, width // f\n    return channels, h, w, (channels * h * w) / (3 * height * width)"),
    ("conv_transpose_output_size", "output_padding forgotten", "output_padding is forgotten", "def conv_transpose_output_size(size, kernel, stride, padding, output_padding):\n    return stride * (size - 1) + kernel - 2 * padding"),
    ("conv_transpose_output_size", "one stride too many", "one stride too many", "def conv_transpose_output_size(size, kernel, stride, padding, output_padding):\n    return size * stride + kernel - 2 * padding + output_padding"),
    ("conv_transpose_output_size", "padding added", "padding is added", "def conv_transpose_output_size(size, kernel, stride, padding, output_padding):\n    return (size - 1) * stride + 2 * padding + kernel + output_padding"),
    ("conv_transpose_output_size", "the convolution's formula", "ordinary convolution", "def conv_transpose_output_size(size, kernel, stride, padding, output_padding):\n    return (size + 2 * padding - kernel) // stride + 1"),
    ("bottleneck", "an activation too many", "after the second convolution as well", _CONV + "    x = F.silu(F.conv2d(images, weight1, bias1, stride=2, padding=1))\n    return F.silu(F.conv2d(x, weight2, bias2, stride=2, padding=1))"),
    ("bottleneck", "no activation", "no SiLU between", _CONV + "    x = F.conv2d(images, weight1, bias1, 2, 1)\n    return F.conv2d(x, weight2, bias2, 2, 1)"),
    ("bottleneck", "ReLU for SiLU", "ReLU between", _CONV + "    x = torch.clamp(F.conv2d(images, weight1, bias1, 2, 1), min=0)\n    return F.conv2d(x, weight2, bias2, 2, 1)"),
    ("bottleneck", "stride forgotten", "no stride", _CONV + "    x = F.silu(F.conv2d(images, weight1, bias1, padding=1))\n    return F.conv2d(x, weight2, bias2, padding=1)"),
    ("bottleneck", "padding forgotten", "no padding", _CONV + "    x = F.silu(F.conv2d(images, weight1, bias1, stride=2))\n    return F.conv2d(x, weight2, bias2, stride=2)"),
    ("bottleneck", "biases forgotten", "Both biases", _CONV + "    x = F.silu(F.conv2d(images, weight1, stride=2, padding=1))\n    return F.conv2d(x, weight2, stride=2, padding=1)"),
    ("bottleneck", "gradient cut off", "no gradient flows", _CONV + "    with torch.no_grad():\n        x = F.silu(F.conv2d(images, weight1, bias1, stride=2, padding=1))\n        return F.conv2d(x, weight2, bias2, stride=2, padding=1)"),
    ("bottleneck", "nothing returned", "lacks `return`", _CONV + "    x = F.silu(F.conv2d(images, weight1, bias1, stride=2, padding=1))\n    latents = F.conv2d(x, weight2, bias2, stride=2, padding=1)"),
    ("pca_reconstructions", "not centred", "Nothing is centred", "def pca_reconstructions(train, test, k):\n    U, S, Vh = torch.linalg.svd(train, full_matrices=False)\n    return test @ Vh[:k].T @ Vh[:k]"),
    ("pca_reconstructions", "mean not added back", "mean is not added", _FIT + "    latents = (test - mean) @ Vh[:k].T\n    return latents @ Vh[:k]"),
    ("pca_reconstructions", "test centred by its own mean", "centred by its own mean", _FIT + "    m = test.mean(0)\n    return (test - m) @ Vh[:k].T @ Vh[:k] + m"),
    ("pca_reconstructions", "fitted on test", "fitted to test", "def pca_reconstructions(train, test, k):\n    mean = test.mean(0)\n    _, V = torch.linalg.eigh(torch.cov(test.T))\n    return (test - mean) @ V[:, -k:] @ V[:, -k:].T + mean"),
    ("pca_reconstructions", "rows and columns of Vh mixed up", "Rows and columns of V are mixed", _FIT + "    W = Vh[:, :k]\n    return (test - mean) @ W @ W.T + mean"),
    ("pca_reconstructions", "U for V", "vectors in U", _FIT + "    W = U[:, :k]\n    return (test - mean) @ W @ W.T + mean"),
    ("pca_reconstructions", "the smallest axes", "least variance", "def pca_reconstructions(train, test, k):\n    mean = train.mean(0)\n    lam, V = torch.linalg.eigh(torch.cov(train.T))\n    return (test - mean) @ V[:, :k] @ V[:, :k].T + mean"),
    ("pca_reconstructions", "latents instead of reconstructions", "These are the latents", _FIT + "    return (test - mean) @ Vh[:k].T"),
    ("pca_reconstructions", "whitened", "divided by the singular values", _FIT + "    latents = (test - mean) @ Vh[:k].T / S[:k]\n    return latents @ Vh[:k] + mean"),
    ("pca_reconstructions", "in-place edit of the input", "in-place", "def pca_reconstructions(train, test, k):\n    mean = train.mean(0)\n    train -= mean\n    test -= mean\n    Vh = torch.linalg.svd(train, full_matrices=False).Vh\n    return test @ Vh[:k].T @ Vh[:k] + mean"),
    ("psnr", "peak of [0, 1]", "The peak is 1", "def psnr(images, reconstructions):\n    mse = ((images - reconstructions) ** 2).mean(dim=(1, 2, 3))\n    return -10 * torch.log10(mse)"),
    ("psnr", "peak of bytes", "The peak is 255", "def psnr(images, reconstructions):\n    mse = ((images - reconstructions) ** 2).mean(dim=(1, 2, 3))\n    return 20 * torch.log10(255 / torch.sqrt(mse))"),
    ("psnr", "root with a factor of 10", "factor is still 10", "def psnr(images, reconstructions):\n    rmse = ((images - reconstructions) ** 2).mean(dim=(1, 2, 3)).sqrt()\n    return 10 * torch.log10(2 / rmse)"),
    ("psnr", "natural logarithm", "natural", "def psnr(images, reconstructions):\n    mse = ((images - reconstructions) ** 2).mean(dim=(1, 2, 3))\n    return 10 * torch.log(4 / mse)"),
    ("psnr", "averaged over the batch before the logarithm", "before the logarithm", "def psnr(images, reconstructions):\n    return 10 * torch.log10(4 / F.mse_loss(images, reconstructions))"),
    ("psnr", "sum for mean", "is summed", "def psnr(images, reconstructions):\n    sse = ((images - reconstructions) ** 2).sum(dim=(1, 2, 3))\n    return 10 * torch.log10(2 ** 2 / sse)"),
    ("psnr", "sign", "sign is reversed", "def psnr(images, reconstructions):\n    mse = ((images - reconstructions) ** 2).mean(dim=(1, 2, 3))\n    return 10 * torch.log10(mse / 4)"),
    ("psnr", "peak not squared", "peak is not squared", "def psnr(images, reconstructions):\n    mse = ((images - reconstructions) ** 2).mean(dim=(1, 2, 3))\n    return 10 * torch.log10(2 / mse)"),
]  # fmt: skip
