"""What grading gives: results, stored as they come, the marks of a person, tables and pages."""
