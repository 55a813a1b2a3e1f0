"""The list of a course's students, as Canvas, Moodle or a spreadsheet exports it: who handed something in, and who did not."""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FULL = ("student", "name", "full name", "student name")
_FIRST, _LAST = (
    ("first name", "firstname", "given name", "vorname"),
    ("last name", "lastname", "surname", "nachname", "family name"),
)
_IDS: tuple[str, ...] = ("sis user id", "id number", "id", "student id", "user id", "matriculation number", "matrikelnummer")
_IDS += ("username", "sis login id", "login", "login id", "email address", "email", "e-mail")


@dataclass(frozen=True)
class Person:
    """One student of a roster. name: as the roster spells it. id: what the platform knows them by, or "". row: all columns."""

    name: str
    id: str
    row: tuple[str, ...]


@dataclass(frozen=True)
class Roster:
    """The students of a course. header: the columns of the file, which a gradebook for the same platform needs again."""

    header: tuple[str, ...] = ()
    people: tuple[Person, ...] = ()
    keys: tuple[tuple[str, Person], ...] = ()

    def find(self, *spellings: str) -> Person | None:
        """The student with the first of these names, numbers or addresses that the roster knows, in any case and word order."""
        known = dict(self.keys)
        return next((known[key] for one in spellings if (key := _key(one)) in known), None)


def read_roster(path: Path) -> Roster:
    """Read a roster. Raises ValueError, in one sentence, for a file without a column of names."""
    text = path.read_bytes().decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    header, *rows = [[*map(str.strip, row)] for row in csv.reader(io.StringIO(text), delimiter=separator)] or [[]]
    column = {name.casefold(): n for n, name in reversed([*enumerate(header)])}
    if not (set(_FULL) & set(column) or (set(_FIRST) & set(column) and set(_LAST) & set(column))):
        raise ValueError(
            f"{path} has no column of names: its first line must hold {_FULL[0]!r}, or {_FIRST[0]!r} and {_LAST[0]!r}."
        )

    def cell(row: list[str], names: tuple[str, ...]) -> str:
        return next((row[column[name]] for name in names if name in column and column[name] < len(row) and row[column[name]]), "")

    people, keys = [], []
    for row in rows:
        name = cell(row, _FULL) or f"{cell(row, _FIRST)} {cell(row, _LAST)}".strip()
        if not name or _key(name).startswith(("pointspossible", "studenttest")):  # Canvas' own lines
            continue
        last, comma, first_ = name.partition(",")
        shown = f"{first_.strip()} {last.strip()}" if comma else name
        person = Person(unicodedata.normalize("NFC", shown), cell(row, _IDS), tuple(row))
        people.append(person)
        keys += [(key, person) for key in set(_spellings(row, column, name, shown))]
    shared = {key for key, times in Counter(key for key, _ in keys).items() if times > 1 or not key}
    return Roster(tuple(header), tuple(people), tuple((key, person) for key, person in keys if key not in shared))


def _spellings(row: list[str], column: dict[str, int], name: str, shown: str) -> Iterator[str]:
    yield from (_key(name), _key(shown))
    words = shown.split()
    yield _key("".join(words[-1:] + words[:-1]))  # the family name first, as in Canvas' files
    for one in _IDS:
        if one in column and column[one] < len(row):
            yield _key(row[column[one]])
            yield _key(row[column[one]].partition("@")[0])


def _key(text: str) -> str:
    """Letters and digits alone, in lower case, and accents in one form."""
    return "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())
