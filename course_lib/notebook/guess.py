"""A field for a prediction, which is stored and later shown next to the measurement.

    times = guess.number("factor by which a step gets more expensive", unit="times")
    …
    times.compare(16)

The field is a widget: on a page without a kernel only the question in the text remains. Nothing depends on the guess.
"""

from collections.abc import Sequence
from typing import Any

from course_lib.arguments import check_list, check_number
from course_lib.notebook.claims import format_number
from course_lib.notebook.widgets import choice_field, number_field
from course_lib.storage.console import say


class Guess:
    """One prediction; see `number` and `choice`. field: the widget that holds it."""

    def __init__(self, question: str, field: Any, unit: str = "") -> None:
        self.question, self.field, self.unit = question, field, unit

    @property
    def value(self) -> float | str | None:
        """What was predicted: a number, one of the choices, or None where nothing was."""
        text = self.field.value
        if not text.strip():
            return None
        if hasattr(self.field, "options"):
            return text
        try:
            return float(text.replace(",", ""))
        except ValueError:
            return None

    def compare(self, measured: float | str) -> None:
        """Print the prediction next to what was measured."""
        guessed, answer = self.value, self._text(measured)
        if guessed is None:
            written = self.field.value.strip()
            say(f"measured: {answer}" + (f" (your guess, {written!r}, is not a number)" if written else " (no guess)"))
        elif isinstance(guessed, str):
            say(f"you guessed: {guessed}; measured: {answer}" + (" ✓" if guessed == measured else ""))
        else:
            say(f"you guessed: {self._text(guessed)}; measured: {answer}")

    def _text(self, value: float | str) -> str:
        return value if isinstance(value, str) else f"{format_number(check_number('measured', value))} {self.unit}".strip()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        return {**self.field._repr_mimebundle_(**options), "text/plain": f"[a field for your guess: {self.question}]"}


def number(question: str, unit: str = "") -> Guess:
    """Ask for a number; shown as the last line of its cell. Thousands may be separated by commas."""
    if not isinstance(unit, str):
        raise TypeError(f"unit is a {type(unit).__name__}, but must be a text.")
    return Guess(_checked(question), number_field(question, unit), unit)


def choice(question: str, choices: Sequence[str]) -> Guess:
    """Ask for one of two or more choices; shown as the last line of its cell."""
    check_list("choices", choices, None, "texts")
    if len(set(choices)) < 2 or not all(isinstance(one, str) and one for one in choices):
        raise ValueError(f"choices is {choices!r:.80}, but must be two or more different texts.")
    return Guess(_checked(question), choice_field(question, list(choices)))


def _checked(question: str) -> str:
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"question is {question!r:.60}, but must be a text.")
    return question
