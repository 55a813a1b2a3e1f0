"""Hints that two submissions have a common source: the same words, or the same programs with other names. Never a proof."""

import keyword
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from course_lib.homework.grading.reports.results import Graded

SHINGLE = 4  # words in a row that are compared
SAME_WORDS = 0.4  # share of the shorter answer's shingles that the other one has, too
MIN_TOKENS = 25  # shorter programs look alike by themselves
MAX_SHARED = 2  # a program that more students than these have written alike is the obvious one
_TOKEN = re.compile(r"#[^\n]*|\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|[A-Za-z_]\w*|\d[\w.]*|\"[^\"\n]*\"|'[^'\n]*'|[^\s\w]")


@dataclass(frozen=True)
class Alike:
    """Two students of one homework: the share of words in a row that their answers have in common, and equal programs."""

    homework: str
    students: tuple[str, str]
    words: float
    programs: tuple[str, ...]


def find_alike(graded: Iterable[Graded]) -> list[Alike]:
    """Pairs of students whose answers share `SAME_WORDS`, or with programs that are equal apart from names and comments."""
    by_homework: dict[str, list[Graded]] = defaultdict(list)
    for one in graded:
        by_homework[one.found.homework].append(one)
    found = []
    for homework, some in by_homework.items():
        forms = [{r.exercise: _form(r.program) for r in one.results if r.program} for one in some]
        common = Counter((name, form) for one in forms for name, form in one.items())
        words = [_shingles(" ".join(r.answer for r in one.results)) for one in some]
        for a, b in combinations(range(len(some)), 2):
            shared = len(words[a] & words[b]) / max(1, min(len(words[a]), len(words[b])))
            programs = tuple(
                name
                for name, form in forms[a].items()
                if forms[b].get(name) == form and len(form) >= MIN_TOKENS and common[name, form] <= MAX_SHARED
            )
            if shared >= SAME_WORDS or programs:
                found.append(Alike(homework, (some[a].found.student, some[b].found.student), shared, programs))
    return sorted(found, key=lambda one: (-one.words - len(one.programs), one.students))


def _form(program: str) -> tuple[str, ...]:
    """A program's tokens without comments, each name replaced by the order in which it first occurs."""
    order: dict[str, str] = {}
    form = []
    for token in _TOKEN.findall(program):
        if token.startswith(("#", '"""', "'''")):
            continue
        is_name = (token[0].isalpha() or token[0] == "_") and not keyword.iskeyword(token)
        form.append(order.setdefault(token, f"name{len(order)}") if is_name else token)
    return tuple(form)


def _shingles(text: str) -> set[Sequence[str]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[n : n + SHINGLE]) for n in range(len(words) - SHINGLE + 1)}
