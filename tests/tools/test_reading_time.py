"""Minutes of a notebook made for the purpose, counted by hand."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_lib.tools import chapter_table, reading_time
from course_lib.tools.build_notebooks import FOLDER

PROSE = "one two three $x^2$\n<details><summary>four</summary>five six seven\n</details>"
CODE = """
import torch

x = torch.zeros(3)
viz.lines(
    {"a": x},
    alt="a line",
)
book.claim("x", 0, equals=0)
if x is None:
    claims.table(["a"], [[1]])
    y = 1
"""
PICTURE = new_output("display_data", {"image/png": "…", "text/html": "<img>"})
TABLE = new_output("display_data", {"text/html": "<table></table>"})
LEDGER = new_output("display_data", {"text/html": "<details><table></table></details>"})
SOURCE = new_output("display_data", {"text/markdown": "`a` in `b`\n\n```python\ndef a():\n    return 1\n```"})


@pytest.fixture
def found(tmp_path) -> reading_time.Reading:
    cells = [
        new_markdown_cell(PROSE),
        new_code_cell(CODE, outputs=[PICTURE, TABLE, LEDGER, SOURCE]),
        new_code_cell("viz.lines({}, alt='hidden')\nz = 2", outputs=[PICTURE], metadata={"tags": ["hide-input"]}),
        new_code_cell("times = guess.number('factor')\ntimes"),
        new_code_cell("kl = hw3.kl.check(kl)"),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "one.ipynb")
    return reading_time.measure(tmp_path / "one.ipynb", seconds=120)


def test_words_that_are_folded_count_half(found):
    assert found.words == 4 + 4 / 2


def test_visible_code_and_displayed_sources_are_counted(found):
    assert found.code_lines == 10 + 2 + 1
    assert found.source_lines == 2


def test_claims_tables_and_drawing_are_a_share_of_the_visible_code(found):
    assert found.presented_lines == 4 + 1 + 1
    assert found.presented == 6 / 13


def test_figures_tables_predictions_and_writing_have_their_minutes(found):
    assert (found.figures, found.predictions, found.writing) == (3, 1, 10)
    assert found.minutes == pytest.approx(6 / 150 + 15 / 15 + 3 + 1.5 + 10 + 2)


# --- the chapters' budgets ------------------------------------------------------------------------------------------

BUDGETS = {"01_pixel_space": 60, "02_autoencoder": 60, "03_vae": 75}  # minutes: one sitting


@pytest.mark.parametrize("name", BUDGETS)
def test_a_chapter_is_read_in_one_sitting(name):
    seconds = chapter_table.read_timings()[name]["cpu"]["seconds"]
    found = reading_time.measure(FOLDER / f"{name}.ipynb", seconds)
    assert found.minutes <= BUDGETS[name]
    assert found.presented <= 0.2, "claims, tables and drawing belong into cells tagged hide-input"
    assert found.predictions >= 3
    assert found.writing > 0
