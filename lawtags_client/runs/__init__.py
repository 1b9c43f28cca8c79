"""Runs: a recipe carried from raw questions to a verdict, resumable at every point."""
