"""Captions from factors, and factors from captions.

    two pink teddy bears with a green scarf reading on a meadow

A caption names any of the semantic factors, in any order; what it leaves out is free. `captions` writes them,
`parse` reads them back, `prompt` makes of them the labels that a conditional denoiser is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import Tensor

from .factors import LEVELS, SEMANTIC, VALUES, Factors, index

_PLACES = {
    "meadow": "on a meadow",
    "beach": "on a beach",
    "night": "at night",
    "bedroom": "in a bedroom",
    "snow": "in the snow",
}
_SCARF = ("scarf", "scarves")
_FILLERS = {*_SCARF, "a", "an", "the", "with", "at", "in", "on", "of", "and", "is", "are", "while", "who", "that"}
_FILLERS |= {"wearing", "wears", "its", "their"}
_BEARS = {"bear": "one", "bears": "two", "teddy": "one", "teddies": "two"}
_NUMBERS = {"one": "one", "single": "one", "1": "one", "two": "two", "pair": "two", "both": "two", "2": "two"}
_ACTIVITIES = {
    "reading": "reading", "reads": "reading", "read": "reading", "book": "reading", "books": "reading",
    "waving": "waving", "waves": "waving", "wave": "waving",
    "sleeping": "sleeping", "sleeps": "sleeping", "sleep": "sleeping", "asleep": "sleeping",
    "eating": "eating honey", "eats": "eating honey", "eat": "eating honey", "honey": "eating honey",
    "playing": "playing ball", "plays": "playing ball", "play": "playing ball", "ball": "playing ball",
    "holding": "holding a balloon", "holds": "holding a balloon", "hold": "holding a balloon",
    "balloon": "holding a balloon", "balloons": "holding a balloon",
}  # fmt: skip
_BACKGROUNDS = {name: name for name in VALUES["background"]} | {"snowy": "snow"}
_SPELLINGS = {"gray": "grey"}
_NO_SCARF = re.compile(r"\b(?:without|no|not wearing)\s+(?:a\s+|any\s+)?(?:scarf|scarves)\b|\bscarfless\b")


def captions(factors: Factors, mention: Iterable[str] = SEMANTIC) -> list[str]:
    """One caption for each picture, naming the semantic factors in `mention` (default: all five).

    Raises ValueError where `mention` names something that a caption cannot say.
    """
    mention = set(mention)
    if mention - set(SEMANTIC):
        raise ValueError(
            f"a caption cannot mention {sorted(mention - set(SEMANTIC))[0]!r}; it can mention: {', '.join(SEMANTIC)}."
        )
    rows = factors.labels().tolist()
    return [_write({name: VALUES[name][i] for name, i in zip(SEMANTIC, row, strict=True) if name in mention}) for row in rows]


def say(labels: Tensor) -> list[str]:
    """Labels int64 [N, 5] in the order of SEMANTIC as captions, the inverse of `prompt`: a null label leaves its factor out.

    Labels without any factor give the empty caption.
    """
    rows = [dict(zip(SEMANTIC, row, strict=True)) for row in labels.tolist()]
    null = dict(zip(SEMANTIC, LEVELS, strict=True))
    return [_write({name: VALUES[name][i] for name, i in row.items() if i != null[name]}) for row in rows]


def _write(named: dict[str, str]) -> str:
    count = named.get("count")
    words = [count] if count else []
    words += [named["fur"]] if "fur" in named else []
    if count:
        words.append("teddy bears" if count == "two" else "teddy bear")
    if "scarf" in named:
        words.append("without a scarf" if named["scarf"] == "none" else f"with a {named['scarf']} scarf")
    if "activity" in named:
        words.append(named["activity"])
    if "background" in named:
        words.append(_PLACES[named["background"]])
    return " ".join(words)


def parse(caption: str) -> dict[str, str]:
    """The semantic factors that a caption names, by name: {"count": "two", "fur": "pink", ...}; others are absent.

    Word order is free and case does not matter. A colour next to "scarf" is the scarf's, any other is the fur's.
    "bear" alone says one, "bears" two, unless a number says otherwise. The result fits `sample_factors(n, **parse(…))`.
    Raises ValueError for an unknown word (the known ones are listed) and for a factor that is named twice over.
    """
    text = caption.lower().strip()
    found: dict[str, str] = {}
    if _NO_SCARF.search(text):
        found["scarf"] = "none"
        text = _NO_SCARF.sub(" ", text)
    words = [_SPELLINGS.get(word, word) for word in re.findall(r"[\w-]+", text)]
    noun = None
    for place, word in enumerate(words):
        if word in _FILLERS:
            _bare_scarf(words, place, caption)
        elif word in _BEARS:
            noun = _BEARS[word] if word != "teddy" else noun or "one"
        else:
            _note(found, *_meaning(words, place, caption), caption)
    if noun and "count" not in found:
        found["count"] = noun
    return {name: found[name] for name in SEMANTIC if name in found}


def _meaning(words: list[str], place: int, caption: str) -> tuple[str, str]:
    """Which factor a word is about, and the value that it gives it."""
    word = words[place]
    for name, known in (("count", _NUMBERS), ("activity", _ACTIVITIES), ("background", _BACKGROUNDS)):
        if word in known:
            return name, known[word]
    if word in VALUES["fur"] or word in VALUES["scarf"][1:]:
        name = "scarf" if _beside_scarf(words, place) else "fur"
        if word not in VALUES[name]:
            other = "fur" if name == "scarf" else "scarf"
            raise ValueError(
                f"{word!r} is a colour of the {other}, not of the {name}, in {caption!r}; "
                f"the {name} can be: {', '.join(VALUES[name])}."
            )
        return name, word
    raise ValueError(f"{word!r} is not a word the teddies know, in {caption!r}. They know: {vocabulary()}.")


def _beside_scarf(words: list[str], place: int) -> bool:
    """A colour is the scarf's in "green scarf" and, where it has no other colour, "scarf green" or "scarf is green"."""
    if words[place + 1 : place + 2] and words[place + 1] in _SCARF:
        return True
    before = [word for word in words[max(place - 2, 0) : place] if word not in ("is", "are", "in")]
    if not before or before[-1] not in _SCARF:
        return False
    where = max(i for i in range(place) if words[i] in _SCARF)
    return where == 0 or not _is_colour(words[where - 1])


def _is_colour(word: str) -> bool:
    return word in VALUES["fur"] or word in VALUES["scarf"]


def _bare_scarf(words: list[str], place: int, caption: str) -> None:
    """A scarf without a colour says too little: ask for one."""
    if words[place] not in _SCARF:
        return
    if not any(_is_colour(word) for word in words[max(place - 1, 0) : place] + words[place + 1 : place + 3]):
        raise ValueError(
            f"which colour is the scarf in {caption!r}? Say one of {', '.join(VALUES['scarf'][1:])}, or 'without a scarf'."
        )


def _note(found: dict[str, str], name: str, value: str, caption: str) -> None:
    if found.setdefault(name, value) != value:
        raise ValueError(f"{caption!r} gives {name} twice: {found[name]!r} and {value!r}; name it once.")


def vocabulary() -> str:
    """The words to build a caption from, in one line."""
    lines = ["one or two teddy bears", "fur " + "/".join(VALUES["fur"])]
    lines += ["a " + "/".join(VALUES["scarf"][1:]) + " scarf or without a scarf"]
    return "; ".join([*lines, "/".join(VALUES["activity"]), "/".join(_PLACES.values())])


def prompt(text: str | list[str], device=None) -> Tensor:
    """Captions as labels for a denoiser: int64 [N, 5] in the order of SEMANTIC; a factor left out gets its null label.

    The null label of a factor is its last class index, LEVELS[i]. Raises ValueError as `parse` does.
    """
    named = [parse(caption) for caption in ([text] if isinstance(text, str) else text)]
    rows = [
        [index(name, one[name]) if name in one else null for name, null in zip(SEMANTIC, LEVELS, strict=True)] for one in named
    ]
    return torch.tensor(rows, dtype=torch.int64, device=device).view(-1, len(SEMANTIC))
