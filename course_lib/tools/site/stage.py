"""What sphinx reads: the repository's notebooks and texts as pages, and the pages that are made from the code and the README."""

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_lib.storage.paths import ROOT
from course_lib.tools.site import live, mathjax
from course_lib.tools.site.links import Links, SiteError
from course_lib.tools.site.notebook_page import EXPLORER, Pictures, notebook_page, title_and_question, without_outputs
from course_lib.tools.site.reference import Reference, first_line, module_name, taught_modules, title

STATIC, CONFIGURATION = (Path(__file__).with_name(name) for name in ("static", "conf.py"))
TEXTS = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
}
MADE = {f"notebooks/pages/{page}": page for page in ("formulas.md", "api/index.md")}  # pages that are made from the code
FORMULAS = re.compile(r"<!-- formulas:[^\n]*-->\n(.*?)<!-- end of formulas -->", re.S)
BLOCK = re.compile(r"`(course_lib/[\w/]+\.py):([\w.]+)`")
PLACE = re.compile(r"^<!-- (?P<what>notebooks|explorer): (?P<which>[^\n]*?) -->$", re.M)


def repository() -> str:
    """The address of the repository, from [project.urls] in pyproject.toml; "" until it is set there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project.get("urls", {}).get("Repository", "").rstrip("/").removesuffix(".git")


def pages() -> dict[str, str]:
    """{file of the repository: file for sphinx} of everything that is shown as it is, in reading order."""
    folder = ROOT / "notebooks"
    found = [*sorted(folder.glob("[0-9]*.ipynb")), *sorted(folder.glob("homework/hw*.ipynb"))]
    found += [*sorted(folder.glob("*.md")), *sorted((folder / "pages").rglob("*.md"))]
    names = [path.relative_to(folder).as_posix() for path in found]
    return {f"notebooks/{name}": name.removeprefix("pages/") for name in names} | TEXTS


class Stage:
    """The folder that sphinx reads. address: the repository's, "" for none."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.pages = folder, pages()
        self.links = Links(self.pages | MADE, folder, address)
        shutil.copytree(STATIC, folder / "_static")
        shutil.copy(CONFIGURATION, folder)
        mathjax.copy(folder / "_static" / "mathjax")
        live.fill(folder / "_static" / "live")
        self.pictures = Pictures(folder / "_static")
        self.notebooks: dict[str, NotebookNode] = {}

    def fill(self) -> None:
        """Write all pages."""
        for file, page in self.pages.items():
            if file.endswith(".ipynb"):
                nb = nbformat.read(ROOT / file, as_version=4)
                self.notebooks[page] = without_outputs(nb) if "homework/" in file else nb
                shown = notebook_page(self.notebooks[page], file, page, self.pictures, self.links)
                self._write(page, json.dumps(shown, ensure_ascii=False))
        for file, page in self.pages.items():
            if file.endswith(".md"):
                self._write(page, self._text(file, page))
        self._write_reference()

    def downloads(self) -> Iterator[tuple[str, str]]:
        """(place, content) of each notebook as it is downloaded."""
        for page, nb in self.notebooks.items():
            yield f"downloads/{page}", nbformat.writes(nb) + "\n"

    def _write(self, page: str, text: str) -> None:
        path = self.folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _text(self, file: str, page: str) -> str:
        """A Markdown file as a page: with its links turned, and what its comments ask for put in."""
        text = (ROOT / file).read_text(encoding="utf-8")
        if file == "README.md":  # the index of formulas is a page of its own
            text = FORMULAS.sub("[All formulas, with links to the code](notebooks/pages/formulas.md)\n", text)
        text = self.links.turned(text, file, page)
        return PLACE.sub(lambda match: getattr(self, f"_{match['what']}")(match["which"], page), text)

    def _notebooks(self, which: str, page: str) -> str:
        """Tiles of the notebooks whose numbers are in a range such as "1-5" or "6-"."""
        first, _, last = which.partition("-")
        tiles = [
            self._tile(name) for name in self.notebooks if name[0].isdigit() and int(first) <= int(name[:2]) <= int(last or 99)
        ]
        return "\n".join(["```{raw} html", '<div class="course-tiles">', *tiles, "</div>", "```"])

    def _tile(self, name: str) -> str:
        """A link to a notebook, with its first picture, its title and its question."""
        title, question = title_and_question(self.notebooks[name])
        picture = next(_pictures(self.notebooks[name]), "")
        shown = self.pictures.taken_out(re.sub('alt="[^"]*"', 'alt=""', picture), "index.md")  # the title next to it says it
        words = f"<strong>{title}</strong><span>{re.sub('[*`]', '', question)}</span>"
        address = name.removesuffix(".ipynb") + ".html"
        return f'<a class="course-tile" href="{address}">{shown}<span class="course-tile-text">{words}</span></a>'

    def _explorer(self, which: str, page: str) -> str:
        """A slider or pad of a notebook: "04_latent_ddpm 1" is the first one of chapter 4."""
        name, number = which.split()
        outputs = [out for cell in self.notebooks[f"{name}.ipynb"].cells for out in cell.get("outputs", [])]
        found = [match[0] for out in outputs for match in EXPLORER.finditer(out.get("data", {}).get("text/html", ""))]
        if len(found) < int(number):
            raise SiteError(f"{page} shows explorer {number} of {name}, which has {len(found)}. To fix it: name another one.")
        shown = self.pictures.taken_out(found[int(number) - 1], page)
        return f'```{{raw}} html\n<div class="course-hero">{shown}</div>\n```'

    def _write_reference(self) -> None:
        """The page of each taught file and of each experiment that the index of formulas names, and the index itself."""
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        table = FORMULAS.search(readme)
        if table is None:
            raise SiteError("README.md has lost its table of formulas. To fix it: put its two comments back.")
        taught, named = taught_modules(), {match[1] for match in BLOCK.finditer(table[1])}
        others = sorted(named - set(taught))
        blocks = Reference([*taught, *others])

        def link(match: re.Match) -> str:
            full = f"{module_name(match[1])}.{match[2]}"
            if full not in blocks.names:
                raise SiteError(
                    f"README.md names {match[0]}, which has no entry. To fix it: give it a docstring, or correct the name."
                )
            return f"{{py:obj}}`{match[2]} <{full}>`"

        rows = re.sub(r"^\| (\d+) \|", lambda m: f"| [{m[1]}]({self._chapter(m[1])}) |", BLOCK.sub(link, table[1]), flags=re.M)
        intro = "Each formula and method of the chapters, where it comes from, and the function that computes it."
        self._write("formulas.md", f"# Where each formula is\n\n{intro}\n\n{rows}")
        for file in [*taught, *others]:
            self._write(f"api/{_page_name(file)}.md", blocks.page(file))
        self._write("api/index.md", _reference_index(taught, others, blocks))

    def _chapter(self, number: str) -> str:
        return next(name for name in self.notebooks if name.startswith(f"{int(number):02d}_"))


def _pictures(nb: NotebookNode) -> Iterator[str]:
    for cell in nb.cells:
        for out in cell.get("outputs", []):
            yield from re.findall(r"<img [^>]*>", out.get("data", {}).get("text/html", ""))


def _page_name(file: str) -> str:
    return module_name(file).removeprefix("course_lib.")


def _reference_index(taught: list[str], others: list[str], blocks: Reference) -> str:
    """The first page of the reference: each module with its first sentence."""
    lines = [
        "# The building blocks",
        "",
        "Each file at the top of `course_lib` is something that a chapter teaches, small enough to read.",
    ]
    lines += ["Every entry has its source below it.", ""]
    for caption, files in (("What the chapters teach", taught), ("Experiments that the index of formulas names", others)):
        entries = [f"- [{title(one)}]({_page_name(one)}.md): {blocks.escaped(first_line(blocks.texts[one]))}" for one in files]
        lines += [f"## {caption}", "", *entries, "", "```{toctree}", ":hidden:", "", *map(_page_name, files), "```", ""]
    return "\n".join(lines)
