"""The workbook as a static site: `course site`. Notebooks are shown as they are stored; nothing is executed."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from course_lib.storage.paths import ROOT
from course_lib.tools.site import links
from course_lib.tools.site.links import SiteError
from course_lib.tools.site.stage import Stage, repository

SITE = ROOT / "build" / "site"
OURS = "_static/course.css"  # by it a site is recognised
ARROW = '<summary><span class="toctree-toggle"'
MISSING = "sphinx is not installed. To fix it: run `make site`, which installs it in .venv."


@dataclass(frozen=True)
class Built:
    """One build: the folder, its number of pages, their bytes, and the seconds."""

    folder: Path
    pages: int
    size: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.folder}: {self.pages} pages, {self.size / 1e6:.1f} MB, in {self.seconds:.0f} s.\n"
            f"To look at it: python3 -m http.server -b 127.0.0.1 -d {self.folder}"
        )


def build(site: Path = SITE, address: str | None = None) -> Built:
    """Build the site into a folder, which it replaces; the old one stays where the build fails.

    address: the repository's, for links to Colab and to files; by default the one in pyproject.toml. Raises SiteError for a
    warning of sphinx, a link that leads nowhere, what a page would load from elsewhere, where sphinx is not installed, and for a
    folder that is no site.
    """
    began, site = time.perf_counter(), site.resolve()
    _check(site)
    site.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{site.name}.", suffix=".tmp", dir=site.parent))
    try:
        stage = Stage(work / "source", repository() if address is None else address)
        stage.fill()
        done = work / "site"
        _run_sphinx(work / "source", done, work / "doctrees")
        for place, text in stage.downloads():
            (done / place).parent.mkdir(parents=True, exist_ok=True)
            (done / place).write_text(text, encoding="utf-8")
        _tidy(done)
        if found := links.faults(done):
            raise SiteError("the site has faults:\n" + "\n".join(found[:20]))
        if site.exists():
            shutil.rmtree(site)
        done.rename(site)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    files = [path for path in site.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return Built(site, sum(path.suffix == ".html" for path in files), size, time.perf_counter() - began)


def _check(site: Path) -> None:
    """Raise SiteError where no site can be built, or where a folder with other things in it would be replaced."""
    if importlib.util.find_spec("sphinx") is None:
        raise SiteError(MISSING)
    if site.exists() and not (site.is_dir() and ((site / OURS).exists() or not any(site.iterdir()))):
        raise SiteError(f"{site} is not a site that this command built, and would be replaced. To fix it: name a new folder.")


def _run_sphinx(source: Path, site: Path, doctrees: Path) -> None:
    """Run sphinx, for which every warning is an error."""
    options = ["-b", "html", "-q", "-W", "--keep-going", "-j", "auto", "-d", str(doctrees)]
    command = [sys.executable, "-m", "sphinx", *options, str(source), str(site)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, encoding="utf-8", errors="replace")
    if done.returncode:
        raise SiteError("sphinx did not finish:\n" + (done.stderr or done.stdout)[-4000:].replace(f"{source}/", ""))


def _tidy(site: Path) -> None:
    """Remove what a page never asks for: maps of minified scripts, templates of the theme, sphinx's notes for its next build.

    And give the theme's arrows in the list of pages a name, without which a screen reader does not know what they open.
    """
    (site / ".nojekyll").touch()  # GitHub Pages leaves out folders such as _static without it
    for path in [*site.rglob("*.map"), *site.glob("_static/*.html"), *(site / name for name in (".buildinfo", "objects.inv"))]:
        path.unlink(missing_ok=True)
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(ARROW, ARROW.replace("<summary>", '<summary aria-label="Pages below">')), encoding="utf-8")
