"""A guess is stored, read as a number where it is one, and shown next to the measurement."""

import pytest

from course_lib.notebook import guess


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("", "measured: 16 times (no guess)\n"),
        ("  ", "measured: 16 times (no guess)\n"),
        ("1,000", "you guessed: 1,000 times; measured: 16 times\n"),
        ("4.5", "you guessed: 4.5 times; measured: 16 times\n"),
        ("many", "measured: 16 times (your guess, 'many', is not a number)\n"),
    ],
)
def test_a_number_is_compared_as_it_was_written(written, line, capsys):
    field = guess.number("factor", unit="times")
    field.field.value = written
    field.compare(16)
    assert capsys.readouterr().out == line


@pytest.mark.parametrize(
    ("chosen", "line"),
    [
        ("", "measured: noise (no guess)\n"),
        ("noise", "you guessed: noise; measured: noise ✓\n"),
        ("tilt", "you guessed: tilt; measured: noise\n"),
    ],
)
def test_a_choice_is_compared(chosen, line, capsys):
    field = guess.choice("which?", ["tilt", "noise"])
    field.field.value = chosen
    field.compare("noise")
    assert capsys.readouterr().out == line


def test_it_shows_as_a_field_with_its_question():
    bundle = guess.number("how many?")._repr_mimebundle_()
    assert bundle["text/plain"] == "[a field for your guess: how many?]"
    assert "application/vnd.jupyter.widget-view+json" in bundle


@pytest.mark.parametrize("choices", [["a"], ["a", "a"], ["a", 1]])
def test_a_choice_needs_two_different_texts(choices):
    with pytest.raises(ValueError, match="two or more different texts"):
        guess.choice("which?", choices)
    with pytest.raises(ValueError, match="question"):
        guess.number(" ")
