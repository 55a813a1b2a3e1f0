"""Grading: strangers' programs run in a sandbox, and what they return is compared outside of it."""
