"""One observed call of a student's function, and the stand-ins for networks that it may get. Checks and grader share both."""
