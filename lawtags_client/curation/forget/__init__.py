"""Removing questions whose authors asked for deletion."""
