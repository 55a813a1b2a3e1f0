"""The verdicts of claims against verdicts worked out by hand, and its tables as readers and nbval get them."""

import math
import re
from html.parser import HTMLParser

import pytest
import torch

from course_lib import diffusion
from course_lib.notebook import claims
from course_lib.notebook.claims import Claims

NAN, INF = math.nan, math.inf


@pytest.fixture
def book() -> Claims:
    return Claims("3 VAE")


@pytest.fixture(autouse=True)
def outputs(monkeypatch) -> list[dict]:
    """The bundles that a notebook would be handed by IPython's display."""
    seen = []

    def display(*objects, raw=False):
        seen.extend(obj if raw else {"text/markdown": obj._repr_markdown_()} for obj in objects)

    monkeypatch.setattr(claims, "display", display)
    return seen


class Cells(HTMLParser):
    """The texts of a table's cells, row by row, as a browser reads them."""

    def __init__(self, text: str):
        super().__init__()
        self.rows, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data


@pytest.mark.parametrize(
    ("measured", "bound", "holds"),
    [
        (3_145_728, {"equals": 3_145_728}, True),
        (3_145_727, {"equals": 3_145_728}, False),
        (23.0, {"at_least": 23}, True),
        (22.999, {"at_least": 23}, False),
        (0.05, {"at_most": 0.05}, True),
        (0.0501, {"at_most": 0.05}, False),
        (2.0, {"at_least": 1, "at_most": 3}, True),
        (0.9, {"at_least": 1, "at_most": 3}, False),
        (3.1, {"at_least": 1, "at_most": 3}, False),
        (-INF, {"at_most": 0}, True),
        (INF, {"at_most": 1e300}, False),
        (NAN, {"at_least": -1e300}, False),
        (NAN, {"at_most": 1e300}, False),
        (True, {"equals": True}, True),
        (torch.tensor(4.5), {"at_least": 4}, True),
    ],
)
def test_a_verdict_is_what_the_bound_says(book, measured, bound, holds):
    book.claim("a claim", measured, **bound)
    assert book.claims["a claim"].holds is holds
    if holds:
        book.close()
    else:
        with pytest.raises(AssertionError, match="1 of 1 claims"):
            book.close()


def test_all_that_fails_is_named_at_once_and_the_table_is_shown_nevertheless(book, outputs):
    book.claim("good", 1, equals=1)
    book.claim("too blurred", 20.0, at_least=23, unit="dB")
    book.claim("too slow", 9.0, at_most=4, unit="min")
    with pytest.raises(AssertionError) as failure:
        book.close()
    message = str(failure.value)
    assert "2 of 3" in message
    assert "too blurred: measured 20 dB, bound ≥ 23" in message
    assert "too slow: measured 9 min, bound ≤ 4" in message
    assert "good" not in message
    assert len(outputs) == 1


def test_a_claim_announced_not_to_hold_must_not_hold(book, outputs):
    book.claim("the aggregate posterior is N(0, I)", 3.2, at_most=0.1, unit="nats", expected=False, reason="pulled by the data")
    book.close()
    (table,) = outputs
    assert "does not hold" in table["text/plain"]
    assert "pulled by the data" in table["text/plain"]
    book.claim("the aggregate posterior is N(0, I)", 0.01, at_most=0.1, expected=False, reason="pulled by the data")
    with pytest.raises(AssertionError, match="aggregate"):
        book.close()


def test_what_was_not_measured_is_not_excused_by_an_announcement(book):
    book.claim("a claim", NAN, at_least=1, expected=False, reason="so they say")
    with pytest.raises(AssertionError, match="nan"):
        book.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs a bound"),
        ({"equals": 1, "at_least": 1}, "needs a bound"),
        ({"at_least": 3, "at_most": 2}, "can never hold"),
        ({"at_least": 3, "expected": False}, "give the reason"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_refused(book, options, words):
    with pytest.raises(ValueError, match=words):
        book.claim("a claim", 1.0, **options)
    assert not book.claims


@pytest.mark.parametrize("bound", ["at_least", "at_most", "equals"])
def test_a_bound_that_is_nan_is_refused(book, bound):
    with pytest.raises(ValueError, match="a bound that is NaN"):
        book.claim("a claim", 1.0, **{bound: NAN})


def test_many_numbers_are_no_measurement(book):
    with pytest.raises(TypeError, match="measured is a Tensor"):
        book.claim("a claim", torch.ones(3), at_least=0)


def test_an_empty_table_asserts_nothing_and_says_so(book):
    with pytest.raises(ValueError, match="no claims"):
        book.close()


def test_a_cell_run_twice_enters_its_claim_once(book):
    for measured in (1.0, 2.0):
        book.claim("a claim", measured, at_least=0)
    assert [c.measured for c in book.claims.values()] == [2.0]


def test_the_verdicts_print_nothing_that_differs_between_machines(book, capsys):
    printed = []
    for measured in (23.4567, 24.9876):
        book.claim("sharp enough", measured, at_least=23, unit="dB")
        book.claim("a million", measured, at_least=1e6, expected=False, reason=f"it is {measured}")
        book.verdicts()
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert re.search(r"holds +≥ 23 +sharp enough", printed[0])
    assert re.search(r"does not hold +≥ 1,000,000 +a million", printed[0])


def test_a_table_reads_the_same_in_html_and_in_plain_text(outputs):
    rows = [["pixels <RGB>", 3_145_728, 0.123456], ["latents & co", 65_536, 12_345.678], ["none", 0, True]]
    claims.table(["what", "numbers", "error (dB)"], rows, title="A table")
    (table,) = outputs
    expected = [
        ["what", "numbers", "error (dB)"],
        ["pixels <RGB>", "3,145,728", "0.1235"],
        ["latents & co", "65,536", "12,346"],
        ["none", "0", "True"],
    ]
    assert Cells(table["text/html"]).rows == expected
    lines = table["text/plain"].splitlines()
    assert lines[0] == "A table"
    assert [re.split(r" {2,}", line) for line in lines[1:]] == expected
    assert len({line.index(second) for line, (_, second, _) in zip(lines[1:], expected, strict=True)}) == 1


def test_the_source_shown_is_the_source_that_runs(outputs):
    claims.source(diffusion.add_noise)
    text = outputs[0]["text/markdown"]
    assert "`add_noise` in `course_lib/diffusion.py`" in text
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    scope = dict(vars(diffusion))
    exec(code, scope)
    level = diffusion.Level(1, 0.6, 0.8)
    assert scope["add_noise"](torch.tensor(2.0), torch.tensor(3.0), level) == pytest.approx(0.6 * 2 + 0.8 * 3)


def test_a_method_is_shown_unindented_and_a_docstring_can_be_left_out(outputs):
    claims.source(Claims.verdicts, docstring=False)
    code = re.search(r"```python\n(.*?)```", outputs[0]["text/markdown"], re.DOTALL)[1]
    assert code.startswith("def verdicts")
    assert '"""' not in code
    assert "say(" in code
