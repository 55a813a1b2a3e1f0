"""MathJax for the site, from a package that carries its files: a page loads formulas' fonts from the site itself."""

import importlib.metadata
import shutil
from pathlib import Path

from course_lib.tools.site.links import SiteError

PACKAGE = "sphinx-mathjax-offline"
# Of 15 MB a page loads 1.2; the rest of these are asked for by the menu of a formula, which can read it aloud.
NEEDED = (
    "tex-chtml.js",
    "output/chtml/fonts/woff-v2",
    "input/tex/extensions",
    "a11y",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
)
CONFIG = {
    "tex": {"inlineMath": [["\\(", "\\)"]], "displayMath": [["\\[", "\\]"]]},
    "options": {
        "ignoreHtmlClass": "tex2jax_ignore|mathjax_ignore|document",
        "processHtmlClass": "tex2jax_process|mathjax_process|math|output_area",
    },
}


def copy(folder: Path) -> None:
    """Copy what the site needs of MathJax into a new folder. Raises SiteError where the package is not installed."""
    try:
        home = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(f"{PACKAGE}/static/mathjax")))
    except importlib.metadata.PackageNotFoundError:
        raise SiteError(f"the package {PACKAGE} is not installed. To fix it: run `make site`, which installs it.") from None
    for name in NEEDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (home / name).is_dir():
            shutil.copytree(home / name, folder / name)
        else:
            shutil.copy(home / name, folder / name)
