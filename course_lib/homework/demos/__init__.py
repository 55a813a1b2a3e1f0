"""The homework's figures: each runs a student's function in the real pipeline. One module for each homework."""
