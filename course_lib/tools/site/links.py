"""Links: those of a Markdown text, turned to where its page lies on the site, and a check of all links of the finished site."""

import posixpath
import re
import shutil
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

from course_lib.storage.paths import ROOT

FILES = "files"  # the folder of what is linked to and is no page
PICTURES = (".png", ".webp", ".jpg", ".jpeg", ".svg")
# Code, which is left alone; or the target of a link or of an image.
CODE_OR_LINK = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?^(?P=fence)`*[ \t]*$|(?P<ticks>`+)[^`\n]+(?P=ticks)|\]\((?P<target>[^()\s]+)\)",
    re.M | re.S,
)
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src", "audio": "src"}


class SiteError(ValueError):
    """The site cannot be built: what is wrong, in which file, and how to fix it."""


class Links:
    """Turns the links of the repository's texts into links of the site.

    pages: {file of the repository: file in the folder that sphinx reads}. folder: that folder; files that are no page are copied
    into it, unless the repository has an address and can be linked to.
    """

    def __init__(self, pages: Mapping[str, str], folder: Path, repository: str = "") -> None:
        self.pages, self.folder, self.repository = pages, folder, repository

    def turned(self, text: str, file: str, page: str) -> str:
        """Return a text with its links turned. file: where it lies in the repository. page: where it lies for sphinx.

        Raises SiteError for a link to a file that does not exist.
        """

        def turn(match: re.Match) -> str:
            return match[0] if match["target"] is None else f"]({self._target(match['target'], file, page)})"

        return CODE_OR_LINK.sub(turn, text)

    def _target(self, target: str, file: str, page: str) -> str:
        path, anchor = urldefrag(target)
        if urlparse(target).scheme or not path:
            return target
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(file), unquote(path)))
        place = self.pages.get(aim)
        if place is None:
            if not (ROOT / aim).exists() or aim.startswith(".."):
                raise SiteError(f"{file} links to {target}, which does not exist. To fix it: correct the link.")
            if self.repository and not aim.endswith(PICTURES):
                return f"{self.repository}/{'tree' if (ROOT / aim).is_dir() else 'blob'}/main/{aim}{'#' * bool(anchor)}{anchor}"
            place = self._copied(aim, file)
        return posixpath.relpath(place, posixpath.dirname(page) or ".") + ("#" + anchor if anchor else "")

    def _copied(self, aim: str, file: str) -> str:
        if (ROOT / aim).is_dir():
            raise SiteError(f"{file} links to the folder {aim}, which is no page. To fix it: link to a file in it.")
        place = f"{FILES}/{aim}"
        (self.folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / aim, self.folder / place)
        return place


class _Page(HTMLParser):
    """What a page links to, what it loads, and the places in it that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif (source := given.get(LOADED.get(tag, ""))) is not None and given.get("rel") not in ("canonical", "next", "prev"):
            self.loads.add(source)


def faults(site: Path) -> list[str]:
    """Find links of a finished site that lead nowhere, and what a page would load from elsewhere. One sentence for each."""
    pages = {path.relative_to(site).as_posix(): _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for name, page in pages.items():
        found += [f"{name} loads {one} from elsewhere" for one in sorted(page.loads) if urlparse(one).scheme not in ("", "data")]
        found += [f"{name} links to {one}, which is not there" for one in _broken(name, page, pages, site)]
    return found


def _broken(name: str, page: _Page, pages: dict[str, _Page], site: Path) -> Iterator[str]:
    for link in sorted(page.links | page.loads):
        if urlparse(link).scheme or link.startswith("//"):
            continue
        path, anchor = urldefrag(link)
        aim = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(path.partition("?")[0]))) if path else name
        missing = not (site / aim).is_file()
        if missing or (anchor and aim in pages and unquote(anchor) not in pages[aim].anchors):
            yield link
