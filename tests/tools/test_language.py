"""Words of a dialect that this workbook once had stay out of its code, texts and messages.

The plain words to use instead are named next to each. The prose of the chapters (Markdown cells of notebooks/source/0*.py) is not
read here.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

RETIRED = {
    r"mend(s|ed|ing)?": "fix",
    r"told|telling": "given, conditioned on, reported",
    r"kept": "stored, cached, held, left",
    r"anew": "again",
    r"dear(er|est)?": "expensive",
    r"beside": "next to, compared with, in addition to",
    r"whole(?! numbers?\b)": "full, complete, entire",
    r"at hand": "available",
    r"go(es|ing)? on|went on": "continue",
    r"nobody|whoever": "rewrite the sentence",
    r"bends": "nonlinearities",
    r"dice": "sampling, random numbers",
    r"bold": "sharp",
    r"cards?": "metadata",
    r"checksums? inside|sums inside": "checksum",
    r"patients?|wards?|clinics?": "broken run",
    r"wish(es|ed)?": "prompt",
    r"shel(f|ves)": "split",
    r"rivals?": "baseline",
    r"garments?": "Fashion-MNIST image",
    r"does not hold that": "the claim that … fails here",
}
# Names that were replaced by the field's terms.
OLD_NAMES = [
    "as_said",
    "at_work",
    "fall_ill",
    "first_process",
    "kept_generators",
    "log_snr",
    "Painter",
    "Patient",
    "read_prior",
    "ruined",
    "SCHEDULE",
    "shortened",
    "Spikes",
    "spoil",
    "told_of_a_loss",
    "who_is_blue",
    "_at_home",
    "_manners",
]
TEXTS = (
    "*.md",
    "Makefile",
    ".ci/run",
    "notebooks/*.md",
    "notebooks/pages/**/*.md",
    "data/**/*.md",
    "benchmarks/*.md",
    ".github/**/*.md",
)
CODE = ("course_lib/**/*.py", "benchmarks/**/*.py", "tests/**/*.py", "conftest.py", "notebooks/source/homework/*.py")
ALLOWED = {("course_lib/storage/weights.py", r"cards?")}  # the key under which shipped files hold their metadata
WORD = {word: re.compile(rf"(?<![A-Za-z])(?:{word})(?![A-Za-z])", re.I) for word in RETIRED}


def code_of(source: str) -> str:
    """A chapter's source without its Markdown cells; the lines keep their numbers."""
    cells, markdown = [], False
    for line in source.splitlines():
        if line.startswith("# %%"):
            markdown = "[markdown]" in line
        cells.append("" if markdown else line)
    return "\n".join(cells)


def texts() -> Iterator[tuple[Path, str]]:
    """Every file that is read, and its text."""
    for pattern in (*TEXTS, *CODE):
        for path in sorted(ROOT.glob(pattern)):
            if path != Path(__file__).resolve():
                yield path, path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks" / "source").glob("*.py")):
        yield path, code_of(path.read_text(encoding="utf-8"))


TEXT = dict(texts())


def found(pattern: re.Pattern, word: str = "") -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path, text in TEXT.items()
        if pattern.search(text) and (path.relative_to(ROOT).as_posix(), word) not in ALLOWED
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("word", RETIRED)
def test_no_retired_word(word):
    lines = found(WORD[word], word)
    assert not lines, f"write {RETIRED[word]!r} instead:\n" + "\n".join(lines)


@pytest.mark.parametrize("name", OLD_NAMES)
def test_no_old_name(name):
    lines = found(re.compile(rf"(?<![A-Za-z_]){name}(?![A-Za-z])"))
    assert not lines, "\n".join(lines)


def test_the_words_are_found_where_they_stand():
    assert WORD["mend(s|ed|ing)?"].search("this mends it")
    assert WORD["kept"].search("_kept = 1")
    assert not WORD["kept"].search("skeptical")
    assert not WORD[r"whole(?! numbers?\b)"].search("a whole number")
    assert code_of("# %% [markdown]\n# told\n\n# %%\ntold = 1") == "\n\n\n# %%\ntold = 1"
    assert len(TEXT) > 200
