"""The README's map of the package is complete, and each formula is where its index says."""

import importlib
import operator
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "course_lib"
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHAPTERS = sorted((ROOT / "notebooks" / "source").glob("0[1-9]_*.py"))


def between(name: str) -> str:
    """The part of the README between the comments that begin and end it."""
    return re.search(rf"<!-- {name}:[^\n]*-->\n(.*?)<!-- end of {name} -->", README, re.S)[1]


MAP = between("map")
INDEX = between("formulas")
ROWS = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in INDEX.splitlines() if line.startswith("| ")][2:]


# --- the map -------------------------------------------------------------------------------------------------------


def mapped() -> dict[str, str]:
    """{path: description} of the map's lines; a folder ends in a slash. Indentation by two spaces says what is in what."""
    found, parents = {}, []
    for line in MAP.splitlines():
        match = re.match(r"^( *)([\w./]+)\s{2,}(\S.*)$", line)
        if not match or line.startswith("```"):
            continue
        depth = len(match[1]) // 2
        parents[depth:] = [match[2]]
        found["".join(parents)] = match[3]
    return found


def folders() -> list[Path]:
    return sorted({path.parent for path in PACKAGE.rglob("*.py")})


def test_every_file_at_the_top_and_every_folder_has_a_line():
    wanted = {f"course_lib/{path.name}" for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
    wanted |= {f"{folder.relative_to(ROOT).as_posix()}/" for folder in folders()}
    assert set(mapped()) == wanted


@pytest.mark.parametrize("folder", [f for f in folders() if f != PACKAGE], ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_a_folders_line_names_its_files(folder):
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    line = mapped()[f"{folder.relative_to(ROOT).as_posix()}/"]
    named = set(re.findall(r"\w+", line.partition(":")[0])) if ":" in line else set()
    assert named == files, line


# --- the index of formulas -----------------------------------------------------------------------------------------


def blocks(cell: str) -> list[tuple[str, str]]:
    """The (file, name) pairs of an index's cell: `course_lib/vae.py:Posterior.kl`."""
    return re.findall(r"`(course_lib/[\w/]+\.py):([\w.]+)`", cell)


def test_the_index_is_long_enough_and_every_row_names_code():
    assert len(ROWS) >= 44
    assert [row for row in ROWS if not blocks(row[-1])] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[1])
def test_a_formula_is_where_the_index_says(row):
    for file, name in blocks(row[-1]):
        module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
        block = operator.attrgetter(name)(module)
        home = getattr(getattr(block, "fget", block), "__module__", module.__name__)  # where it is defined, not re-exported
        assert home == module.__name__, f"{name} is defined in {home}"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_what_a_chapters_own_table_names_exists(chapter):
    """The tables of formulas at a chapter's end name blocks as `vae.iwae` or `Posterior.kl`: each must be found."""
    source = chapter.read_text(encoding="utf-8")
    table = [line for line in source.splitlines() if line.startswith("# | ")]
    names = {name for line in table for name in re.findall(r"`([a-z_0-9.]+\.[A-Za-z_]\w*)`", line)}
    modules = {path.stem: path for path in PACKAGE.rglob("*.py")}
    missing = []
    for name in sorted(names):
        module, _, attribute = name.removeprefix("experiments.").partition(".")
        if module not in modules or re.search(rf"^{module}\b[^(\n]*=", source, re.M):
            continue  # a variable of the notebook, such as `posterior.mean`
        path = modules[module].relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        try:
            operator.attrgetter(attribute)(importlib.import_module(path))
        except AttributeError:
            missing.append(name)
    assert missing == []
