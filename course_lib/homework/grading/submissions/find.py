"""Who handed in what: from files in any layout to one submission for each student and homework; every other file is listed."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from course_lib.homework.grading.submissions.files import HandedIn, Unreadable, list_files
from course_lib.homework.grading.submissions.notebook import Notebook, read_notebook
from course_lib.homework.grading.submissions.roster import Roster

_HOMEWORK = re.compile(r"(?<![a-z0-9])(?:hw|homework|assignment|blatt)[ _-]?0*([1-9][0-9]?)(?![0-9])", re.I)
_COPY = re.compile(r"(?: ?\(\d+\)|[ _-]*copy\d*)$", re.I)  # what browsers and Jupyter add to a second file
_MOODLE = re.compile(r"(?P<name>.+?)_(?P<user>\d+)_assignsubmission_(?:file|onlinetext)_?")
_CANVAS = re.compile(r"(?P<name>[^_]+)(?P<late>_LATE)?_(?P<user>\d+)_\d+_.*", re.S)
_ATTEMPT = re.compile(r"(?:attempt|version|try|versuch|v|old|new|final|draft)[ _-]?\d*|\d{1,2}", re.I)
_GROUP = re.compile(
    r"(?:section|group|class|course|kurs|gruppe|tutorial|lab|submissions?|submitted|export|download|abgaben?|late|on time)\b.*",
    re.I,
)
NOT_A_NOTEBOOK = "It is not a notebook, and only notebooks (.ipynb) are graded."


@dataclass(frozen=True)
class Found:
    """One submission: the student's name, which homework it is ("": unknown), and the file, by its path below the folder.

    notebook: None where it cannot be graded, and then `problem` says why. remark: for the student and the teacher. older: other
    attempts at the same homework, the newest first; attempts: how many there are with this one. extra: a file next to a
    submission, which earns and costs nothing.
    """

    student: str
    homework: str
    file: str
    notebook: Notebook | None = None
    content: bytes = b""
    problem: str = ""
    remark: str = ""
    id: str = ""
    modified: float = 0.0
    late: str = ""
    extra: bool = False
    older: tuple["Found", ...] = ()
    attempts: int = 1

    @property
    def order(self) -> tuple[bool, str, str, str]:
        """Where it stands in a list: by homework and student, extra files at the end."""
        return self.extra, self.homework or "~", self.student, self.file


def find_submissions(
    folder: Path,
    names: Mapping[str, Collection[str]],
    homework: str | None = None,
    roster: Roster | None = None,
    deadline: float | None = None,
) -> list[Found]:
    """Find every file in a folder or zip archive, as submissions in the order of homework and student.

    A notebook's homework follows from its cells, or else from its name. Of several attempts the newest counts that can be read.
    Students are named by Moodle's or Canvas' patterns, by the roster, or by the folder that is theirs: see for_teachers.md.
    names: by homework, the names of its exercises. homework: this one alone, and files that do not say which they are. deadline:
    seconds since the epoch. Raises ValueError where there is no file to grade.
    """
    roster = roster or Roster()
    read = [_read(file, names, homework) for file in list_files(folder)]
    people = _people([file.parts for file, *_ in read], [which for *_, which in read], roster)
    found: list[Found] = []
    for (file, notebook, content, problem, remark, which), owner in zip(read, people, strict=True):
        other = homework is not None and which not in ("", homework)
        if other and (notebook is None or notebook.homework(names)):
            continue
        if other:  # by its name alone, which may be an old one: the teacher should see it
            notebook, problem = None, f"Its name says {which}, and this run is about {homework}: give it another name."
        person = roster.find(owner.user if owner.platform is _CANVAS else "", owner.name)  # Moodle's numbers are no user's
        late = _lateness(file.modified, deadline) or ("handed in late" if owner.late else "")
        name, number = (person.name, person.id) if person else (owner.name, owner.user)
        path = _shown("/".join(file.parts))
        one = Found(name, which, path, notebook, content, problem, remark, number, file.modified, late)
        found.append(replace(one, homework="") if other else one)
    found = sorted(_attempts(found), key=lambda one: one.order)
    if not any(one.notebook for one in found) and not any(one.homework for one in found):
        raise ValueError(f"there is no notebook of {homework or 'any homework'} below {folder}.")
    return found


_Read = tuple[HandedIn, Notebook | None, bytes, str, str, str]


def _read(file: HandedIn, names: Mapping[str, Collection[str]], homework: str | None) -> _Read:
    """(the file, its notebook or None, its bytes, why it has none, a remark, which homework it is)."""
    named = next((f"hw{match[1]}" for part in reversed(file.parts) if (match := _HOMEWORK.search(part))), "")
    is_named_so = file.parts[-1].lower().endswith(".ipynb")
    content, notebook, problem, remarks = b"", None, file.problem, []
    if not problem:
        try:
            content = file.read()
            notebook = read_notebook(content)
        except Unreadable as error:
            problem = str(error) if is_named_so else f"{NOT_A_NOTEBOOK} The file is {_shown(file.parts[-1])}."
    which = (notebook.homework(names) if notebook else "") or named
    if notebook and not is_named_so:
        remarks.append(f"The name of {_shown(file.parts[-1])} does not end in .ipynb, but it is a notebook.")
    if notebook and _HOMEWORK.search(file.parts[-1]) and which != named:
        remarks.append(f"The file is named {_shown(file.parts[-1])}, but its cells are those of {which}.")
    if which not in names:
        which = homework or "" if notebook or is_named_so else ""
    return file, notebook, content, problem, " ".join(remarks), which


def _attempts(found: Iterable[Found]) -> Iterator[Found]:
    """One submission for each student and homework, the newest that can be read; files next to it are extra.

    Who has handed in nothing else appears with what there is.
    """
    groups: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for one in found:
        groups[one.student, one.homework].append(one)
    there = {one.student for group in groups.values() for one in group if one.notebook or one.homework}
    for (student, which), group in groups.items():
        ranked = sorted(group, key=lambda one: (one.notebook is not None, one.modified, one.file), reverse=True)
        notebooks = [one for one in ranked if one.notebook]
        others = [one for one in ranked if not one.notebook]
        if which:
            newest, *older = notebooks or others[:1]
            if older:
                names = ", ".join(one.file for one in older)
                remark = f"{len(older) + 1} notebooks were handed in; the newest counts, {newest.file} (also there: {names})."
                newest = replace(newest, remark=f"{remark} {newest.remark}".strip())
            yield replace(newest, older=tuple(older), attempts=1 + len(older))
        else:
            yield from notebooks
        first = 0 if (notebooks or student in there) and not (which and not notebooks) else 1
        if first and not which and others:
            yield others[0]
        yield from (replace(one, extra=True) for one in others[first:])


def _lateness(modified: float, deadline: float | None) -> str:
    if deadline is None or modified <= deadline:
        return ""
    minutes = int((modified - deadline) // 60)
    days, hours = divmod(minutes // 60, 24)
    span = f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
    return f"handed in {span} after the deadline"


# --- whose file it is -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Owner:
    """Whose file it is. user: the number that a platform's pattern gives, or "". place: the folders above and the student's."""

    name: str
    user: str = ""
    late: bool = False
    platform: re.Pattern | None = None
    place: tuple[str, ...] = ()


def _people(paths: Sequence[tuple[str, ...]], homeworks: Sequence[str], roster: Roster) -> list[_Owner]:
    """The owner of each path. Where one homework has two of one name, their names are made longer, so that none is lost."""
    groups = _group_folders(paths, homeworks)
    owners = [_owner(parts, groups, roster) for parts in paths]
    places: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    for one, which in zip(owners, homeworks, strict=True):
        if which:
            places[one.name, which].add(one.place)
    doubled = {name for (name, _), some in places.items() if len(some) > 1}
    return [replace(one, name=" ".join(one.place)) if one.name in doubled else one for one in owners]


def _owner(parts: tuple[str, ...], groups: set[tuple[str, ...]], roster: Roster) -> _Owner:
    for pattern in (_MOODLE, _CANVAS):
        if match := next((m for part in reversed(parts) if (m := pattern.fullmatch(part))), None):
            name, user = _clean(match["name"]), match["user"]
            return _Owner(name, user, bool(match.groupdict().get("late")), pattern, (name, user))
    listed = next((part for part in map(_stem, parts) if roster.find(part)), None)
    if listed is not None:
        return _Owner(_clean(listed), place=(_clean(listed),))
    n, name = _student(parts, groups)
    above = (part for part in parts[:n] if not _HOMEWORK.search(part))
    return _Owner(_clean(name), place=(*map(_clean, above), _clean(name)))


def _candidates(parts: tuple[str, ...]) -> list[int]:
    """The positions of the folders that may be a student's: not a homework's."""
    return [n for n, part in enumerate(parts[:-1]) if not _HOMEWORK.fullmatch(_stem(part))]


def _group_folders(paths: Sequence[tuple[str, ...]], homeworks: Sequence[str]) -> set[tuple[str, ...]]:
    """Folders that hold several students: sections, exports. Where "section B" is one, so is "section C" next to it."""
    children: dict[tuple[str, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    stems: dict[tuple[str, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for parts, which in zip(paths, homeworks, strict=True):
        at = _candidates(parts)
        for outer, inner in pairwise(at):
            attempt = _ATTEMPT.fullmatch(_stem(parts[inner]))  # a folder of the student's own
            children[parts[: outer + 1]][which].add("" if attempt else parts[inner])
        if at and (stem := _without_homework(parts[-1])):
            stems[parts[: at[-1] + 1]][which].add(stem)
    groups = {folder for folder, inside in children.items() if any(len(one) > 1 for which, one in inside.items() if which)}
    groups |= {folder for folder in children if _GROUP.fullmatch(folder[-1]) or _HOMEWORK.search(folder[-1])}
    alike = {(folder[:-1], _form(folder[-1])) for folder in groups}
    groups |= {folder for folder in children if (folder[:-1], _form(folder[-1])) in alike}
    for folder, inside in stems.items():
        is_named_so = _GROUP.fullmatch(folder[-1]) or (
            _HOMEWORK.search(folder[-1]) and _GROUP.fullmatch(_without_homework(folder[-1]))
        )
        if any(len(one) > (0 if is_named_so else 2) for which, one in inside.items() if which):
            groups.add(folder)
    return groups


def _form(name: str) -> str:
    """A name without the letter or number at its end."""
    return re.sub(r"[ _-]*(?:\b[A-Za-z]|\d+)$", "", name)


def _student(parts: tuple[str, ...], groups: set[tuple[str, ...]]) -> tuple[int, str]:
    """The position of the part that names the student, and the name."""
    for n in _candidates(parts):
        if parts[: n + 1] not in groups:
            return n, _without_homework(parts[n]) if _HOMEWORK.search(parts[n]) else _stem(parts[n])
    return len(parts) - 1, _without_homework(parts[-1]) or _stem(parts[-1])


def _without_homework(name: str) -> str:
    """A name without the homework's, and what platforms (hw3-1) add to a second file."""
    return _COPY.sub("", re.sub(rf"(?:{_HOMEWORK.pattern})(?:-\d+)?", "", _stem(name), flags=re.I)).strip("_- ")


def _stem(name: str) -> str:
    """A name without the ending of a notebook or an archive."""
    return re.sub(r"\.(?:ipynb|zip)(?:\.\w+)?$", "", name, flags=re.I)


def _clean(name: str) -> str:
    """A name in one form: accents composed, blanks single, and what cannot be seen spelled out."""
    text = unicodedata.normalize("NFC", " ".join(_shown(name).split()))
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cf") else f"\\u{ord(c):04x}" for c in text) or "unnamed"


def _shown(name: str) -> str:
    """A file's name as text. Bytes that are no UTF-8 are read as Latin-1, as old archives have them."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")
    return name
