"""Sources of questions, row by row."""
