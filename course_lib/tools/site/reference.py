"""The reference of the building blocks, as Markdown for sphinx, from their text alone: no module is imported.

Docstrings are plain text with `backticks`, which is nearly Markdown: what Markdown would read otherwise is escaped, a name in
backticks becomes a link, and the arguments that a docstring describes one after another become a list.
"""

import ast
import itertools
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

from course_lib.storage.paths import ROOT

PACKAGE = ROOT / "course_lib"
CODE = re.compile(r"(`+)([^`]+)\1")
MARKUP = re.compile(r"([\\*_\[\]<$~|#])")
ARGUMENTS = re.compile(r"(?:(?<=^)|(?<=[.;:)] )|(?<=\n))((?:\w+(?:, | and ))*\w+): ")
SECTIONS = ("Args:", "Returns:", "Raises:")
RAISES = re.compile(r"(?<=[.)] )(?=Raises? [A-Z])")


@dataclass(frozen=True)
class Block:
    """One function, class, method or constant. members: of a class."""

    kind: str
    name: str
    signature: str
    docstring: str
    arguments: frozenset[str] = frozenset()
    source: str = ""
    members: list["Block"] = field(default_factory=list)


class Reference:
    """The pages of some modules. modules: their files, as `course_lib/vae.py`."""

    def __init__(self, modules: list[str]) -> None:
        self.texts = {file: (ROOT / file).read_text(encoding="utf-8") for file in modules}
        self.blocks = {file: list(_blocks(ast.parse(text), text)) for file, text in self.texts.items()}
        self.names: dict[str, list[str]] = {}
        for file, blocks in self.blocks.items():
            for full in _all_names(module_name(file), blocks):
                short = full.removeprefix(module_name(file) + ".")
                for known in {short, f"{module_name(file).rpartition('.')[2]}.{short}", full}:
                    self.names.setdefault(known, []).append(full)

    def link(self, name: str, module: str = "") -> str:
        """A name as a link to its entry; plain code where there is none, or more than one outside this module."""
        bare = re.sub(r"\(.*\)$", "", name)
        found = self.names.get(bare, [])
        here = [full for full in found if module and full.startswith(f"{module}.")]
        aims = here or found
        return f"{{py:obj}}`{name} <{aims[0]}>`" if len(aims) == 1 else f"`{name}`"

    def page(self, file: str) -> str:
        """The page of one module in MyST Markdown."""
        module = module_name(file)
        tree = ast.parse(self.texts[file])
        lines = [f"# {title(file)}", "", f"`{file}`", "", f"```{{py:module}} {module}", "```", ""]
        lines += [self._text(ast.get_docstring(tree) or "", module), ""]
        for block in self.blocks[file]:
            lines += self._entry(block, module, fence=6)
        return "\n".join(lines) + "\n"

    def _entry(self, block: Block, module: str, fence: int, owner: str = "") -> Iterator[str]:
        """A block as a directive of sphinx's Python domain, with what it contains."""
        ticks = "`" * fence
        yield f"{ticks}{{py:{block.kind}}} {owner}{block.name}{block.signature}"
        yield f":module: {module}"
        yield ""
        yield self._text(block.docstring, module, block.arguments)
        yield ""
        for member in block.members:
            yield from self._entry(member, module, fence - 1, f"{owner}{block.name}.")
        if block.source:
            yield from (
                "<details class='course-source'><summary>Source</summary>",
                "",
                "```python",
                block.source,
                "```",
                "",
                "</details>",
                "",
            )
        yield ticks
        yield ""

    def _text(self, docstring: str, module: str, arguments: frozenset[str] = frozenset()) -> str:
        """A docstring as Markdown."""
        parts = []
        for part in re.split(r"\n{2,}", docstring):
            head, _, rest = part.partition("\n")
            if part.startswith("    "):  # an example, which Markdown shows as code
                parts.append(part)
            elif head in SECTIONS:
                parts += [f"**{head}**", *(self.escaped(one, module) for one in _items(textwrap.dedent(rest)))]
            else:
                parts += [self.escaped(piece, module) for piece in _itemised(part, arguments)]
        return "\n\n".join(parts)

    def escaped(self, text: str, module: str = "") -> str:
        """A sentence of a docstring as Markdown."""
        pieces, at = [], 0
        for match in CODE.finditer(text):
            pieces += [_plain(text[at : match.start()]), self.link(match[2], module)]
            at = match.end()
        return "".join([*pieces, _plain(text[at:])])


def module_name(file: str) -> str:
    """`course_lib/vae.py` → course_lib.vae."""
    return file.removesuffix(".py").replace("/", ".")


def title(file: str) -> str:
    """What a module's page is called: `vae`, or `elbo (ch3_vae)` for a file in a folder."""
    *folders, name = module_name(file).split(".")[1:]
    return f"{name} ({folders[-1]})" if folders else name


def first_line(text: str) -> str:
    """The first sentence of a module."""
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def taught_modules() -> list[str]:
    """The files at the top of the package: what the chapters teach."""
    return sorted(path.relative_to(ROOT).as_posix() for path in PACKAGE.glob("*.py") if path.name != "__init__.py")


def _plain(text: str) -> str:
    return re.sub(r"\\\*\\\*(\w+)\\\*\\\*", r"**\1**", MARKUP.sub(r"\\\1", text))


def _itemised(text: str, arguments: frozenset[str]) -> Iterator[str]:
    """Split a paragraph where it turns to the next argument, and before what it raises; an argument becomes an item."""
    starts = [m for m in ARGUMENTS.finditer(text) if arguments and set(re.split(", | and ", m[1])) <= arguments]
    cuts = [0, *(match.start() for match in starts), len(text)]
    for i, (begin, end) in enumerate(itertools.pairwise(cuts)):
        piece, *raised = RAISES.split(text[begin:end].strip(), maxsplit=1)
        if i and piece:
            names, _, meaning = piece.partition(": ")
            yield "- " + re.sub(r"\w+(?=, | and |$)", lambda m: f"**{m[0]}**", names) + ": " + meaning.replace("\n", "\n  ")
        elif piece:
            yield piece
        yield from raised


def _items(text: str) -> Iterator[str]:
    """The lines of a section as a list: an unindented line begins an item."""
    for item in re.split(r"\n(?=\S)", text):
        name, colon, meaning = item.partition(": ")
        yield "- " + (f"**{name}**: {' '.join(meaning.split())}" if colon else " ".join(item.split()))


def _all_names(module: str, blocks: list[Block]) -> Iterator[str]:
    for block in blocks:
        yield f"{module}.{block.name}"
        yield from (f"{module}.{block.name}.{member.name}" for member in block.members)


def _blocks(tree: ast.Module, text: str) -> Iterator[Block]:
    """The public functions, classes and documented constants of a module, in its order."""
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not _is(node, "overload"):
            yield _function(node, "function", _source(text, node))
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield _class(node, _source(text, node))
        elif (
            isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        ):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            yield Block("data", ast.unparse(target), "", str(after.value.value), source=_source(text, node))


def _source(text: str, node: ast.stmt) -> str:
    """The lines of a statement, its decorators included."""
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])


def _is(node: ast.FunctionDef, decorator: str) -> bool:
    return any(ast.unparse(one).rpartition(".")[2] == decorator for one in node.decorator_list)


def _function(node: ast.FunctionDef, kind: str, source: str = "") -> Block:
    arguments = _without_self(node.args) if kind != "function" else node.args
    names = frozenset(one.arg for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])
    answer = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    signature = "" if kind == "property" else f"({ast.unparse(arguments)}){answer}"
    return Block(kind, node.name, signature, ast.get_docstring(node) or "", names, source)


def _without_self(arguments: ast.arguments) -> ast.arguments:
    """The arguments of a method as its caller gives them."""
    first = [one for one in arguments.args if one.arg in ("self", "cls")]
    return ast.arguments(
        posonlyargs=arguments.posonlyargs,
        args=[one for one in arguments.args if one not in first],
        vararg=arguments.vararg,
        kwonlyargs=arguments.kwonlyargs,
        kw_defaults=arguments.kw_defaults,
        kwarg=arguments.kwarg,
        defaults=arguments.defaults,
    )


def _class(node: ast.ClassDef, source: str) -> Block:
    """A class with its constructor's arguments (of a dataclass: its fields) and its public methods and properties."""
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    build = next((one for one in methods if one.name == "__init__"), None)
    fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    if build is not None:
        arguments = ast.unparse(_without_self(build.args))
        names = {one.arg for one in [*build.args.args, *build.args.kwonlyargs]}
    else:
        arguments = ", ".join(ast.unparse(part) for part in fields)
        names = {ast.unparse(part.target) for part in fields}
    members = [
        _function(one, "property" if _is(one, "property") else "method")
        for one in methods
        if not one.name.startswith("_") and (one.name != "forward" or ast.get_docstring(one))
    ]
    return Block(
        "class",
        node.name,
        f"({arguments})" if arguments else "",
        ast.get_docstring(node) or "",
        frozenset(names),
        source,
        members,
    )
