"""A student's answer: one call of a function, observed, and the stand-ins that it may be given. Checks and grader share it."""
