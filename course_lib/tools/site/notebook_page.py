"""A notebook as a page of the site: pictures become files, and predictions have fields that need no kernel."""

import ast
import base64
import copy
import hashlib
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode, v4
from PIL import Image

from course_lib.tools.site.links import Links, SiteError

PICTURE = re.compile(r'<img (?P<before>[^>]*?)src="data:image/(?P<kind>webp|png|jpeg);base64,(?P<data>[^"]+)"(?P<after>[^>]*)>')
EXPLORER = re.compile(r'<div data-course-explorer="\w+">.*?</script>', re.S)
MEASURED = re.compile(r"^(?:(?P<label>[^\n·]+) · )?measured: (?P<value>[^\n]*) \(no guess\)\n?", re.M)
NEEDS_A_KERNEL = ("[slider: ", "[prompt box: ")
NOTE = (
    '<p class="course-note">What is shown here computes while you watch, and needs a kernel: open this notebook in JupyterLab '
    "(<code>make lab</code>).</p>"
)
QUESTION = re.compile(r"\A# [^\n]*\n\n(?:> [^\n]*\n)+")  # a notebook's title and its question


class Pictures:
    """The pictures of all pages, each a file of its own. folder: sphinx's static folder, to which `url` refers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "pictures"
        self.folder.mkdir(parents=True, exist_ok=True)

    def url(self, data: bytes, kind: str, page: str) -> str:
        """Write the bytes of a picture into a file named after them, and return its address from a page."""
        name = f"{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
        (self.folder / name).write_bytes(data)
        return f"{up(page)}_static/pictures/{name}"

    def taken_out(self, text: str, page: str) -> str:
        """Return HTML in which every stored picture is a file that the browser loads when it comes into view."""

        def take(match: re.Match) -> str:
            data = base64.b64decode(match["data"])
            wide, high = Image.open(io.BytesIO(data)).size
            given = re.search(r'width="(\d+)"', match[0])
            height = round(high * int(given[1]) / wide) if given else high
            size = f'height="{height}"' if given else f'width="{wide}" height="{high}"'
            source = f'src="{self.url(data, match["kind"], page)}"'
            return f'<img {match["before"]}{source}{match["after"]} {size} loading="lazy" decoding="async">'

        return PICTURE.sub(take, text)


def up(page: str) -> str:
    """The way from a page back to the site's first folder: "" or "../"."""
    return "../" * page.count("/")


def notebook_page(nb: NotebookNode, file: str, page: str, pictures: Pictures, links: Links) -> NotebookNode:
    """Return the notebook that sphinx shows. file: its place in the repository. page: its place for sphinx.

    Raises SiteError where a prediction cannot be matched with its measurement.
    """
    nb, asked = copy.deepcopy(nb), set[str]()
    answers = {m["label"]: m["value"] for cell in nb.cells for m in _measured(cell) if m["label"]}
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = links.turned(cell.source, file, page)
            continue
        if fields := dict(_guesses(cell.source, answers)):
            asked |= fields.keys()
            cell.outputs = [_html("".join(fields.values()))]
        cell.outputs = [part for out in cell.outputs for part in _shown(out, page, pictures)]
        cell.outputs = list(_compared(cell, asked, file))
    nb.cells[0].source = _with_actions(nb.cells[0].source, file, page, links.repository)
    return nb


def without_outputs(nb: NotebookNode) -> NotebookNode:
    """Return a copy as a student starts with it: a figure would answer the question that precedes it."""
    nb = copy.deepcopy(nb)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return nb


def title_and_question(nb: NotebookNode) -> tuple[str, str]:
    """The first heading of a notebook, and the question below it ("" where there is none)."""
    lines = nb.cells[0].source.splitlines()
    title = next((line[2:] for line in lines if line.startswith("# ")), "")
    return title, " ".join(line[2:] for line in lines if line.startswith("> "))


def _html(text: str) -> NotebookNode:
    return v4.new_output("display_data", {"text/html": text})


def _shown(out: NotebookNode, page: str, pictures: Pictures) -> Iterator[NotebookNode]:
    """The output as the page shows it: HTML where there is some, with its pictures taken out."""
    data = out.get("data", {})
    if "text/html" in data:
        data.pop("image/png", None)
        data["text/html"] = pictures.taken_out(data["text/html"], page)
    elif set(data) == {"text/plain"} and data["text/plain"].startswith(NEEDS_A_KERNEL):
        out = _html(NOTE)
    yield out


def _guesses(source: str, answers: dict[str, str]) -> Iterator[tuple[str, str]]:
    """(name, field) of every prediction that a cell asks for by `guess.number` or `guess.choice`.

    A dictionary of predictions has a field for each label under which one is answered, and all answers to choose from.
    """
    for node in ast.parse(source).body:
        value = node.value if isinstance(node, ast.Assign) else None
        if isinstance(value, ast.Call) and ast.unparse(value.func).startswith("guess."):
            name = ast.unparse(node.targets[0])  # type: ignore[attr-defined]
            question, *detail = (_literal(one) for one in [*value.args, *(one.value for one in value.keywords)])
            yield name, _field(name, str(question), *detail)
        elif isinstance(value, ast.DictComp) and ast.unparse(value.value).startswith("guess."):
            yield from ((label, _field(label, label, sorted(answers.values()))) for label in answers)


def _literal(node: ast.expr) -> str | list[str]:
    """What is written in the call; "" for what the notebook computes."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ""


def _field(name: str, question: str, detail: str | list[str] = "") -> str:
    """The field for one prediction. detail: the unit of a number, or the choices."""
    if isinstance(detail, str):
        unit = html.escape(detail)
        box = f'<input type="text" autocomplete="off" placeholder="{unit or "your guess"}" data-unit="{unit}">'
    else:
        choices = "".join(f"<option>{html.escape(one)}</option>" for one in detail)
        box = f'<select><option value="">your guess …</option>{choices}</select>'
    return f'<div class="course-guess" data-guess="{name}"><label><span>{html.escape(question)}</span> {box}</label></div>'


def _measured(cell: NotebookNode) -> list[re.Match]:
    """The lines of a cell's output in which a measurement waits for a guess."""
    return [match for out in cell.get("outputs", []) for match in MEASURED.finditer(out.get("text", ""))]


def _compared(cell: NotebookNode, asked: set[str], file: str) -> Iterator[NotebookNode]:
    """The cell's outputs, where each line of a measurement follows the reader's prediction."""
    names = [name for name in re.findall(r"(\w+)\.compare\(", cell.source) if name in asked]
    plain = [match for match in _measured(cell) if not match["label"]]
    if len(names) != len(plain):
        raise SiteError(f"{file}: a cell compares {names}, but measures {len(plain)} times. To fix it: build the notebook again.")
    for out in cell.outputs:
        at, text = 0, out.get("text", "")
        for match in MEASURED.finditer(text):
            name, value = match["label"] or names.pop(0), html.escape(match["value"])
            before = f"{html.escape(match['label'])} · " if match["label"] else ""
            yield from _printed(text[at : match.start()])
            yield _html(
                f'<p class="course-measured" data-of="{name}" data-value="{value}">{before}<span>measured: {value}</span></p>'
            )
            at = match.end()
        if not at:
            yield out
        else:
            yield from _printed(text[at:])


def _printed(text: str) -> list[NotebookNode]:
    return [v4.new_output("stream", name="stdout", text=text)] if text.strip() else []


def _with_actions(source: str, file: str, page: str, repository: str) -> str:
    """The first cell with a line below its question: download this notebook, or open it in Colab."""
    actions = [f'<a download href="{up(page)}downloads/{page}">Download this notebook</a>']
    if repository.startswith("https://github.com/"):
        place = repository.removeprefix("https://github.com/")
        actions.append(f'<a href="https://colab.research.google.com/github/{place}/blob/main/{file}">Open it in Colab</a>')
    line = f'<p class="course-actions">{" ".join(actions)}</p>'
    at = match.end() if (match := QUESTION.match(source)) else source.find("\n") + 1 or len(source)
    return f"{source[:at].rstrip()}\n\n{line}\n\n{source[at:].lstrip()}"
