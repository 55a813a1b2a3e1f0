"""The homework's figures: each runs a student's function in the real pipeline. One module for each homework."""

from course_lib.notebook.claims import format_number
from course_lib.notebook.viz import loss_curve as loss_curve  # the homework's notebooks import it from here
from course_lib.storage.console import say


def compare_guess(what: str, guess: object, measured: float | str) -> None:
    """Print a student's guess, a number or a text (None for no guess), and what was measured."""
    say(f"{what}: {'no guess' if guess is None else f'your guess {_text(guess)}'}, measured {_text(measured)}")


def _text(value: object) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return format_number(round(value, 3)) if is_number else str(value)  # type: ignore[call-overload]
