"""Answers to the exercises of notebook 6: right ones, written in several ways, and wrong ones."""

RIGHT = {
    "feature_distance": [
        "def feature_distance(features_a, features_b):\n    a, b = (x / x.norm(dim=1, keepdim=True) for x in (features_a, features_b))\n    return (a - b).square().sum(1).mean((1, 2))",
        "def feature_distance(features_a, features_b):\n    a, b = F.normalize(features_a, dim=1), F.normalize(features_b, dim=1)\n    return ((a - b) ** 2).sum(dim=1).flatten(1).mean(1)",
        "def feature_distance(features_a, features_b):\n    cosine = F.cosine_similarity(features_a, features_b, dim=1)\n    return (2 - 2 * cosine).mean(dim=(1, 2))",
    ],
    "discriminator_loss": [
        "def discriminator_loss(real, fake):\n    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2",
        "def discriminator_loss(real, fake):\n    return 0.5 * (torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + fake, min=0).mean())",
    ],
    "generator_loss": [
        "def generator_loss(fake):\n    return -fake.mean()",
        "def generator_loss(fake):\n    return torch.mean(-fake)",
    ],
}

# exercise, the mistake's name, words that the message must hold, the program
WRONG = [
    (
        "feature_distance",
        "not normalised",
        "not normalised",
        "def feature_distance(features_a, features_b):\n    return ((features_a - features_b) ** 2).sum(1).mean((1, 2))",
    ),
    (
        "feature_distance",
        "channels averaged",
        "channels are averaged",
        "def feature_distance(features_a, features_b):\n    a, b = F.normalize(features_a, dim=1), F.normalize(features_b, dim=1)\n    return ((a - b) ** 2).mean((1, 2, 3))",
    ),
    (
        "feature_distance",
        "batch averaged",
        "batch is averaged",
        "def feature_distance(features_a, features_b):\n    a, b = F.normalize(features_a, dim=1), F.normalize(features_b, dim=1)\n    return ((a - b) ** 2).sum(1).mean()",
    ),
    (
        "feature_distance",
        "length of the full map",
        "Each *position*",
        "def feature_distance(features_a, features_b):\n    a, b = F.normalize(features_a.flatten(1), dim=1).view_as(features_a), F.normalize(features_b.flatten(1), dim=1).view_as(features_b)\n    return ((a - b) ** 2).sum(1).mean((1, 2))",
    ),
    (
        "discriminator_loss",
        "swapped",
        "swapped",
        "def discriminator_loss(real, fake):\n    return (F.relu(1 + real).mean() + F.relu(1 - fake).mean()) / 2",
    ),
    (
        "discriminator_loss",
        "not halved",
        "twice the loss",
        "def discriminator_loss(real, fake):\n    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()",
    ),
    (
        "discriminator_loss",
        "no hinge",
        "hinge is missing",
        "def discriminator_loss(real, fake):\n    return ((1 - real).mean() + (1 + fake).mean()) / 2",
    ),
    ("generator_loss", "sign reversed", "sign is reversed", "def generator_loss(fake):\n    return fake.mean()"),
    ("generator_loss", "summed", "patches are summed", "def generator_loss(fake):\n    return -fake.sum()"),
]
