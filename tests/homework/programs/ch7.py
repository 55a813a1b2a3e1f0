"""Answers to the exercises of notebook 7: right ones, written in several ways, and wrong ones."""

_LOSS = "def contrastive_loss(images, texts, scale):\n    "
_COS = f"{_LOSS}logits = scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T\n    target = torch.arange(len(logits), device=logits.device)\n    "
_WEIGHTS = "def attention_weights(q, k, mask):\n    "
_INSIDE = "def attention_inside(attention, mask):\n    "
RIGHT = {
    "contrastive_loss": [
        f"{_COS}return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2",
        f"{_LOSS}a, b = (x / x.norm(dim=1, keepdim=True) for x in (images, texts))\n    s = scale * (a @ b.T)\n"
        "    return -(s.log_softmax(1).diagonal().mean() + s.log_softmax(0).diagonal().mean()) / 2",
        f"{_LOSS}s = scale * F.cosine_similarity(images[:, None], texts[None], dim=2)\n"
        "    return ((s.logsumexp(1) + s.logsumexp(0)) / 2 - s.diag()).mean()",
    ],
    "attention_weights": [
        f"{_WEIGHTS}scores = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5\n"
        "    return scores.masked_fill(~mask[:, None], -math.inf).softmax(-1)",
        f"{_WEIGHTS}scores = torch.einsum('bnd,bld->bnl', q, k) / math.sqrt(k.shape[-1])\n"
        "    return torch.softmax(torch.where(mask.unsqueeze(1), scores, torch.full_like(scores, float('-inf'))), dim=2)",
        f"{_WEIGHTS}w = torch.exp(q @ k.mT / q.shape[-1] ** 0.5) * mask[:, None, :]\n    return w / w.sum(-1, keepdim=True)",
    ],
    "attention_inside": [
        f"{_INSIDE}return (attention * mask).flatten(1).sum(1) / attention.flatten(1).sum(1)",
        f"{_INSIDE}return (attention * mask).sum((1, 2)) / attention.sum((1, 2))",
        f"{_INSIDE}return torch.einsum('nij,nij->n', attention, mask) / attention.sum(dim=(-1, -2))",
    ],
}

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    (
        "contrastive_loss",
        "not normalised",
        "not normalised",
        f"{_LOSS}s, y = scale * images @ texts.T, torch.arange(len(images), device=images.device)\n"
        "    return (F.cross_entropy(s, y) + F.cross_entropy(s.T, y)) / 2",
    ),
    ("contrastive_loss", "one direction", "Only one direction", f"{_COS}return F.cross_entropy(logits, target)"),
    (
        "contrastive_loss",
        "not halved",
        "twice the loss",
        f"{_COS}return F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)",
    ),
    (
        "contrastive_loss",
        "divided by the scale",
        "one over the temperature",
        _COS.replace("scale * F", "1 / scale * F")
        + "return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2",
    ),
    ("attention_weights", "no mask", "mask is not used", f"{_WEIGHTS}return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)"),
    (
        "attention_weights",
        "masked after",
        "after the softmax",
        f"{_WEIGHTS}return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) * mask[:, None]",
    ),
    (
        "attention_weights",
        "not scaled",
        "not divided by the square root",
        f"{_WEIGHTS}return (q @ k.mT).masked_fill(~mask[:, None], -math.inf).softmax(-1)",
    ),
    ("attention_inside", "not divided", "a share is asked for", f"{_INSIDE}return (attention * mask).sum((1, 2))"),
    (
        "attention_inside",
        "divided by the area",
        "not by the mask's area",
        f"{_INSIDE}return (attention * mask).sum((1, 2)) / mask.sum((1, 2))",
    ),
    ("attention_inside", "one number", "one share for each image", f"{_INSIDE}return (attention * mask).sum() / attention.sum()"),
]
