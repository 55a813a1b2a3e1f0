"""Answers to chapter 5's practice: right ones, written in several ways, and wrong ones. Two exercises are homework 5's."""

from programs.hw5 import RIGHT as HOMEWORK
from programs.hw5 import WRONG as HOMEWORK_WRONG

SHARED = ("cfg", "classifier_guided")
_APG = "def projected(cond, null, scale):\n    "
RIGHT = {name: HOMEWORK[name] for name in SHARED} | {
    "projected": [
        f"{_APG}step = cond - null\n    c = cond.flatten(1)\n    share = (step.flatten(1) * c).sum(1) / (c * c).sum(1)\n"
        "    return cond + (scale - 1) * (step - share.view(-1, 1, 1, 1) * cond)",
        f"{_APG}unit = F.normalize(cond.flatten(1), dim=1).view_as(cond)\n    step = cond - null\n"
        "    along = (step * unit).sum(dim=(1, 2, 3), keepdim=True)\n    return cond + (scale - 1) * (step - along * unit)",
        f"{_APG}a = torch.einsum('bchw,bchw->b', null, cond) / torch.einsum('bchw,bchw->b', cond, cond)\n"
        "    return cond + (scale - 1) * (a[:, None, None, None] * cond - null)",
    ]
}
WRONG = [row for row in HOMEWORK_WRONG if row[0] in SHARED] + [
    ("projected", "plain guidance", "plain guidance", f"{_APG}return null + scale * (cond - null)"),
    (
        "projected",
        "one for the batch",
        "Every image has its own",
        f"{_APG}step = cond - null\n    return cond + (scale - 1) * (step - (step * cond).sum() / (cond * cond).sum() * cond)",
    ),
    (
        "projected",
        "not squared",
        "Divide by its square",
        f"{_APG}step = cond - null\n    norm = cond.flatten(1).norm(dim=1).view(-1, 1, 1, 1)\n"
        "    return cond + (scale - 1) * (step - (step * cond).sum((1, 2, 3), keepdim=True) / norm * cond)",
    ),
    (
        "projected",
        "the scale itself",
        "scale 1 must give cond",
        f"{_APG}step = cond - null\n    along = (step * cond).sum((1, 2, 3), keepdim=True) / (cond * cond).sum((1, 2, 3), keepdim=True)\n"
        "    return cond + scale * (step - along * cond)",
    ),
]
