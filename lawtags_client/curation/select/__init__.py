"""Filters, duplicates, split, and lists of questions to forget."""
