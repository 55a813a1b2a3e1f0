"""The homework's figures: a student's function at work in the real pipeline, one module for each homework."""
