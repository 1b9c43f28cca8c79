"""Reporting runs to servers that keep track of experiments."""
