"""The homework's checks: ``from course_lib.checks import hw3``, then ``hw3.kl.check(kl)`` explains what is wrong with your ``kl``."""

from course_lib.checks.hw3 import hw3
from course_lib.checks.hw5 import hw5

HOMEWORKS = {one.name: one for one in (hw3, hw5)}
