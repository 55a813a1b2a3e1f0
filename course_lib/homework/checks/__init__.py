"""The homework's checks.

``from course_lib.homework.checks import hw3``, then ``hw3.kl.check(kl)`` says what is wrong with your ``kl``.
"""

from course_lib.homework.checks.ch1 import ch1
from course_lib.homework.checks.ch2 import ch2
from course_lib.homework.checks.ch3 import ch3
from course_lib.homework.checks.ch4 import ch4
from course_lib.homework.checks.ch5 import ch5
from course_lib.homework.checks.ch6 import ch6
from course_lib.homework.checks.ch7 import ch7
from course_lib.homework.checks.ch10 import ch10
from course_lib.homework.checks.ch11 import ch11
from course_lib.homework.checks.ch12 import ch12
from course_lib.homework.checks.ch13 import ch13
from course_lib.homework.checks.hw1 import hw1
from course_lib.homework.checks.hw2 import hw2
from course_lib.homework.checks.hw3 import hw3
from course_lib.homework.checks.hw4 import hw4
from course_lib.homework.checks.hw5 import hw5

HOMEWORKS = {homework.name: homework for homework in (hw1, hw2, hw3, hw4, hw5)}
# written by readers
PRACTICES = {practice.name: practice for practice in (ch1, ch2, ch3, ch4, ch5, ch6, ch7, ch10, ch11, ch12, ch13)}
