"""Print what a student reads for each known mistake: ``python -m course_lib.homework.checks hw3``, or without a name for all."""

import sys
from collections.abc import Iterator

import torch

from course_lib.homework.checks import HOMEWORKS
from course_lib.homework.checks.exercise import Homework
from course_lib.storage.console import say


def messages(homework: Homework) -> Iterator[str]:
    """For each known mistake of a homework: its name and the complaint that it gets from the exercise's check."""
    for exercise in homework.exercises:
        for mistake in exercise.mistakes:
            complaint = exercise.complaint(mistake.function, devices=[torch.device("cpu")])
            text = complaint.text(exercise.name, exercise.points) if complaint else "✓ NOT CAUGHT"
            yield f"{homework.name} · {mistake.function.__name__}\n{text}\n"


def main() -> None:
    """Print the messages of the homeworks that the command line names."""
    for name in sys.argv[1:] or HOMEWORKS:
        if name not in HOMEWORKS:
            raise SystemExit(f"there is no homework {name!r}; choose from {', '.join(HOMEWORKS)}.")
        for text in messages(HOMEWORKS[name]):
            say(text)


if __name__ == "__main__":
    main()
