"""The results of grading: one exercise of one student, and one submission."""

import re
from dataclasses import dataclass

from course_lib.homework.checks.case import Complaint
from course_lib.homework.grading.submissions.find import Found


@dataclass(frozen=True)
class Result:
    """One exercise of one student. points: None where a person must mark it. complaint: what the check says, or None.

    program: the cell that was graded. library: the names of the course's library that it uses.
    """

    exercise: str
    max_points: int
    points: float | None
    seconds: float = 0.0
    complaint: Complaint | None = None
    remark: str = ""
    answer: str = ""  # in words, for the person who marks it
    mark: str = ""  # the comment of the person who gave the points; "" where the grader did
    program: str = ""
    library: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """ "marked" (by a person), "passed", "partly", "failed", "blank" or "to mark"."""
        if self.mark:
            return "marked"
        if self.points is None:
            return "to mark" if self.answer else "blank"
        if self.complaint is None:
            return "passed"
        return "blank" if self.complaint.blank else "partly" if self.points else "failed"

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

    @property
    def lines(self) -> list[str]:
        """What the student reads about a program that does not pass: no hidden input, and no word of its own exceptions.

        A name that is not defined is named where the program itself spells it.
        """
        one = self.complaint
        if one is None:
            return []
        if one.blank:
            return ["It is not written yet."]
        match = re.search(r"NameError: name '(\w+)' is not defined", one.problem)
        missing = f"`{match[1]}` is not defined." if match and match[1] in re.findall(r"\w+", self.program) else ""
        right = f"Right: {', '.join(one.right)}." if one.right else ""
        given = f"Input: {one.given}." if one.given else ""
        return [line for line in (right, given, one.public or one.problem, missing, one.likely) if line]


@dataclass(frozen=True)
class Graded:
    """One submission: where it was found, and its results in the homework's order. problem: why it could not be graded at all.

    key: what the results depend on; a submission with the same one need not be graded again.
    """

    found: Found
    results: tuple[Result, ...]
    problem: str = ""
    key: str = ""

    @property
    def points(self) -> float:
        """The points that it has earned so far."""
        return sum(one.points or 0 for one in self.results)

    @property
    def of(self) -> int:
        """The points of the homework; 0 where it is not known which it is."""
        return sum(one.max_points for one in self.results)

    @property
    def library(self) -> tuple[str, ...]:
        """The names of the course's library that its programs use."""
        return tuple(sorted({name for one in self.results for name in one.library}))
