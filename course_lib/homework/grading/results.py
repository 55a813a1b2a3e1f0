"""The results of grading: one exercise of one student, and one submission."""

from dataclasses import dataclass

from course_lib.homework.checks.case import Complaint
from course_lib.homework.grading import submission


@dataclass(frozen=True)
class Result:
    """One exercise of one student. points: None where a person must mark it. complaint: what the check says, or None."""

    exercise: str
    max_points: int
    points: float | None
    seconds: float = 0.0
    complaint: Complaint | None = None
    remark: str = ""
    answer: str = ""  # in words, for the person who marks it
    mark: str = ""  # the comment of the person who gave the points; "" where the grader did

    @property
    def state(self) -> str:
        """ "marked" (by a person), "passed", "failed", "blank" or "to mark"."""
        if self.mark:
            return "marked"
        if self.points is None:
            return "to mark" if self.answer else "blank"
        if self.complaint is None:
            return "passed"
        return "blank" if self.complaint.blank else "failed"

    @property
    def why(self) -> str:
        """The reason for the points, in one line for the CSV."""
        if self.mark:
            return self.mark
        if self.points is None:
            return "to be marked by a person" if self.answer else "no answer"
        if self.complaint is None:
            return self.remark
        one = self.complaint
        text = "not written" if one.blank else one.problem or f"got {one.got}, expected {one.expected}"
        return " ".join(filter(None, [text, one.likely, self.remark]))


@dataclass(frozen=True)
class Graded:
    """One submission: where it was found, and its results in the homework's order. problem: why it could not be graded at all."""

    found: submission.Found
    results: tuple[Result, ...]
    problem: str = ""

    @property
    def points(self) -> float:
        """The points that it has earned so far."""
        return sum(one.points or 0 for one in self.results)
