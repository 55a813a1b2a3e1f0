"""Captions from factors, and factors from captions.

    two pink teddy bears with a green scarf reading on a meadow

A caption names any of the semantic factors, in any order; a factor that it leaves out is free. `captions` writes them,
`parse_caption` reads them back, `labels_from_captions` turns them into the labels of a conditional denoiser.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .factors import NUM_VALUES, SEMANTIC, VALUES, Factors, check_factors, check_labels, value_index

_LOCATIONS = {
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
    """Write one caption for each image, naming the semantic factors in `mention` (default: all five).

    Raises ValueError where `mention` holds another name.
    """
    if isinstance(mention, str) or not isinstance(mention, Iterable) or not all(isinstance(name, str) for name in mention):
        raise TypeError(f"mention is {mention!r:.60}, but must be a list of factors' names.")
    mentioned = set(mention)
    unknown = sorted(mentioned - set(SEMANTIC))
    if unknown:
        raise ValueError(f"a caption cannot mention {unknown[0]!r}; it can mention: {', '.join(SEMANTIC)}.")
    rows = check_factors(factors).labels().tolist()
    return [_write({name: VALUES[name][i] for name, i in zip(SEMANTIC, row, strict=True) if name in mentioned}) for row in rows]


def captions_from_labels(labels: Tensor) -> list[str]:
    """Write captions for labels int64 [N, 5] in the order of SEMANTIC, the inverse of `labels_from_captions`.

    A null label leaves its factor out; five null labels give the empty caption. Raises ValueError for labels that do not exist.
    """
    check_labels(labels)
    rows = [dict(zip(SEMANTIC, row, strict=True)) for row in labels.tolist()]
    null = dict(zip(SEMANTIC, NUM_VALUES, strict=True))
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
        words.append(_LOCATIONS[named["background"]])
    return " ".join(words)


def parse_caption(caption: str) -> dict[str, str]:
    """Return the semantic factors that a caption names: {"count": "two", "fur": "pink", ...}; others are absent.

    Word order is free and case does not matter. A colour next to "scarf" is the scarf's, any other is the fur's.
    "bear" alone means one, "bears" two, unless the caption has a number. The result fits `sample_factors(n, **result)`.
    Raises ValueError for an unknown word (the known words are listed) and for a factor with two values.
    """
    if not isinstance(caption, str):
        raise TypeError(f"a caption is a text, got a {type(caption).__name__}.")
    text = caption.lower().strip()
    caption = textwrap.shorten(caption, 80, placeholder=" …")  # as messages repeat it
    found: dict[str, str] = {}
    if _NO_SCARF.search(text):
        found["scarf"] = "none"
        text = _NO_SCARF.sub(" ", text)
    words = [_SPELLINGS.get(match.group(), match.group()) for match in re.finditer(r"[\w-]+(?:['’]\w+)*", text)]
    noun = None
    for i, word in enumerate(words):
        if word in _FILLERS:
            _check_scarf_colour(words, i, caption)
        elif word in _BEARS:
            noun = _BEARS[word] if word != "teddy" else noun or "one"
        else:
            _set_factor(found, *_factor_of_word(words, i, caption), caption)
    if noun and "count" not in found:
        found["count"] = noun
    return {name: found[name] for name in SEMANTIC if name in found}


def _factor_of_word(words: list[str], i: int, caption: str) -> tuple[str, str]:
    """The factor that words[i] sets, and its value."""
    word = words[i]
    for name, known in (("count", _NUMBERS), ("activity", _ACTIVITIES), ("background", _BACKGROUNDS)):
        if word in known:
            return name, known[word]
    if word in VALUES["fur"] or word in VALUES["scarf"][1:]:
        name = "scarf" if _is_next_to_scarf(words, i) else "fur"
        if word not in VALUES[name]:
            other = "fur" if name == "scarf" else "scarf"
            raise ValueError(
                f"{word!r} is a colour of the {other}, not of the {name}, in {caption!r}; "
                f"the {name} can be: {', '.join(VALUES[name])}."
            )
        return name, word
    raise ValueError(f"{word!r} in {caption!r} is not in the vocabulary of the captions: {vocabulary()}.")


def _is_next_to_scarf(words: list[str], i: int) -> bool:
    """A colour is the scarf's in "green scarf" and, where it has no other colour, "scarf green" or "scarf is green"."""
    if words[i + 1 : i + 2] and words[i + 1] in _SCARF:
        return True
    before = [word for word in words[max(i - 2, 0) : i] if word not in ("is", "are", "in")]
    if not before or before[-1] not in _SCARF:
        return False
    scarf = max(k for k in range(i) if words[k] in _SCARF)
    return scarf == 0 or not _is_colour(words[scarf - 1])


def _is_colour(word: str) -> bool:
    return word in VALUES["fur"] or word in VALUES["scarf"]


def _check_scarf_colour(words: list[str], i: int, caption: str) -> None:
    """Raise ValueError where words[i] is a scarf without a colour."""
    if words[i] not in _SCARF:
        return
    if not any(_is_colour(word) for word in words[max(i - 1, 0) : i] + words[i + 1 : i + 3]):
        colours = ", ".join(VALUES["scarf"][1:])
        raise ValueError(f"the scarf in {caption!r} has no colour; write one of {colours}, or 'without a scarf'.")


def _set_factor(found: dict[str, str], name: str, value: str, caption: str) -> None:
    if found.setdefault(name, value) != value:
        raise ValueError(f"{caption!r} gives {name} two values, {found[name]!r} and {value!r}; name it once.")


def vocabulary() -> str:
    """Return the words that captions may use, in one line."""
    lines = ["one or two teddy bears", "fur " + "/".join(VALUES["fur"])]
    lines += ["a " + "/".join(VALUES["scarf"][1:]) + " scarf or without a scarf"]
    return "; ".join([*lines, "/".join(VALUES["activity"]), "/".join(_LOCATIONS.values())])


def lexicon() -> dict[str, Any]:
    """Return all that `parse_caption` knows of words, for programs in other languages that read captions in the same way.

    ``noScarf`` is a regular expression, which Python and JavaScript read alike; the others are words, or {word: value}.
    """
    return {
        "values": {name: list(VALUES[name]) for name in SEMANTIC},
        "numbers": dict(_NUMBERS),
        "nouns": dict(_BEARS),
        "activities": dict(_ACTIVITIES),
        "backgrounds": dict(_BACKGROUNDS),
        "locations": dict(_LOCATIONS),
        "spellings": dict(_SPELLINGS),
        "scarf": list(_SCARF),
        "fillers": sorted(_FILLERS),
        "noScarf": _NO_SCARF.pattern,
        "vocabulary": vocabulary(),
    }


def labels_from_captions(text: str | list[str], device: torch.device | str | None = None) -> Tensor:
    """Return captions as labels of a denoiser: int64 [N, 5] in the order of SEMANTIC; a factor left out gets its null label.

    The null label of factor i is its last class index, NUM_VALUES[i]. Raises ValueError as `parse_caption` does.
    """
    named = [parse_caption(caption) for caption in ([text] if isinstance(text, str) else text)]
    rows = [
        [value_index(name, one[name]) if name in one else null for name, null in zip(SEMANTIC, NUM_VALUES, strict=True)]
        for one in named
    ]
    return torch.tensor(rows, dtype=torch.int64, device=device).view(-1, len(SEMANTIC))
