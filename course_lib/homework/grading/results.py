"""The results of grading: one exercise of one student, and one submission."""

from dataclasses import dataclass

from course_lib.homework.checks.case import Complaint
from course_lib.homework.grading import submission


@dataclass(frozen=True)
class Result:
    """One exercise of one student. points: None where a person must read it. complaint: what the checks say, or None."""

    exercise: str
    of: int
    points: int | None
    seconds: float = 0.0
    complaint: Complaint | None = None
    remark: str = ""
    answer: str = ""  # in words, for the person who reads it

    @property
    def why(self) -> str:
        """One line for the CSV."""
        if self.points is None:
            return "to be read by a person" if self.answer else "no answer"
        if self.complaint is None:
            return self.remark
        one = self.complaint
        text = "not written" if one.blank else one.problem or f"got {one.got}, expected {one.expected}"
        return " ".join(filter(None, [text, one.likely, self.remark]))


@dataclass(frozen=True)
class Graded:
    """One submission: where it lay, and its results in the homework's order. problem: why nothing of it could be graded."""

    found: submission.Found
    results: tuple[Result, ...]
    problem: str = ""

    @property
    def points(self) -> int:
        return sum(one.points or 0 for one in self.results)
